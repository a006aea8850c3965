"""verify_function: a ``torch.autograd.Function`` (or a custom operator) against its own forward."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from symgrad.api.opaque_kernels import judge_kernel
from symgrad.errors import (
    BadInput,
    NotReproducible,
    ReplayMismatch,
    SymgradError,
    UnknownName,
    UserCodeFailed,
    close_names,
)
from symgrad.indices.sizes import Sizes, Unread
from symgrad.lifting.formulas import Numbers, Several
from symgrad.lifting.tracing.autograd_functions import Custom, FunctionRun
from symgrad.lifting.tracing.custom_sides import (
    Arguments,
    Beside,
    CustomSide,
    Forward,
    Runs,
    backward_beside,
    backward_of_backward_beside,
    jvp_beside,
)
from symgrad.lifting.tracing.functions import nearly_equal
from symgrad.problem.arguments import find_point, is_shape, plain_keys, plain_point
from symgrad.problem.canary import undisturbed
from symgrad.problem.question import Asked, KnownInputs, Problem, given_to
from symgrad.problem.replay import replay
from symgrad.problem.sampling import Inputs, draw
from symgrad.problem.shapes import Shapes, at_smallest_sizes
from symgrad.program.program import same_structure, sliced
from symgrad.progress import shown, within
from symgrad.report.report import Report
from symgrad.report.wording import listed
from symgrad.typing import DeviceLike, DomainLike, DtypeLike, FunctionLike, NamesLike, PointLike, Unreached
from symgrad.verifier import answer

_FEW = 3  # outputs of which every choice that may be used is judged


@shown("reading the function")
@undisturbed
def verify_function(
    function: FunctionLike,
    *,
    at: PointLike | Sequence[object],
    reference: Callable[..., object] | None = None,
    tile: int | Mapping[str, int] | None = None,
    device: DeviceLike | None = None,
    wrt: NamesLike | None = None,
    order: int = 1,
    domain: DomainLike | None = None,
    assuming: str | Sequence[str] | None = None,
    meanings: Mapping[str, str] | None = None,
    dtype: DtypeLike | None = None,
    points: int = 64,
    effort: float = 1.0,
    unreached: Unreached = "refuse",
    seed: int = 0,
    timeout: float | None = None,
) -> Report:
    """Say whether the ``backward`` of a ``torch.autograd.Function`` is the derivative of its ``forward``.

    For outputs y = forward(x, ...) and cotangents v of y's shapes, backward must give sum_j conj(v_j) dy_j/dx (torch's
    convention), **for every v**: the cotangents are inputs that are drawn, and moved like the others.  Where there is
    a ``jvp``, its tangents are compared with the exact ones in the same way.  A ``torch.library.custom_op`` with
    ``register_autograd`` is taken likewise.

    ``at`` maps forward's arguments (without ctx) to tensors, arrays or shapes, or lists them in order; anything else
    (numbers beside tensors, flags, None) is passed on as it is.  A shape may hold names, ``("n", 3)``, or whole blocks,
    ``("16*n", 3)``: the claims are then about all n.  Of code that runs at multiples of a block alone they are about
    these.  The claims go by the names of forward's arguments.  Each of them is also judged alone, where
    backward does something else for ``ctx.needs_input_grad``; a None for a tensor counts as zero (but is no claim about
    one that requires no gradient where another in ``at`` does), and a gradient of a shape that the argument can be
    broadcast to is summed, as autograd does it.  Where ``set_materialize_grads(False)`` asks for it, every choice of
    outputs that are not used is judged too, with None for their cotangents.  What is right for the given value of a
    number that is passed on, or that the code reads by a name, and not for others, is said to be.

    With ``order=2`` the backward of backward is judged beside it: for cotangents u of the gradients g, what autograd
    makes of the operations in backward must be the derivative of sum(conj(u) g) for the true g, by the arguments and
    by v.  A ``detach`` in backward, or a value that forward saved on its way, cuts it off.  The other arguments are as
    for `verify`.

    >>> import torch
    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x**2
    >>> report = verify_function(Cube, at={"x": (2,)})
    >>> report.verdict
    'refuted'

    (This backward forgets ``grad_output``, which no test with cotangents of ones can see.)

    **Black boxes.**  What cannot be followed, a kernel in Triton, CUDA or C++, is judged beside a ``reference`` that
    can: a function of the same arguments that computes the same.  ``function`` may then be anything that is called with
    them.  It is run on ``device``, at the sizes around the length of its blocks (``tile=128``, or one for each name of
    a size), on other strides, with large values and empty rows; outputs and gradients are held to the reference's exact
    ones, within what rounding in their dtype does to a stable computation in any order of summation.

    >>> import numpy as np
    >>> def total(x):
    ...     return torch.as_tensor(np.cumsum(x.detach().numpy()[:16])[-1])  # forgets what is behind its block
    >>> report = verify_function(total, reference=lambda x: x.sum(), at={"x": ("n",)}, tile=16)
    >>> report.verdict, report.claims["output"].witness.point["x"].shape
    ('refuted', (17,))

    Raises `BadInput` for what is no such function, and for order 2 of what cannot be differentiated twice;
    `UnknownName` for a name in ``at`` that forward does not have, `UserCodeFailed` where forward or backward raises,
    `WrongShape` for a wrong number of gradients.

    Guarantee: that of `verify`.
    """
    if reference is not None:
        asked = Asked(wrt, None, 1, domain, assuming, meanings, dtype, points, effort, seed, unreached=unreached)
        with within(timeout):
            return judge_kernel(function, reference, at, asked, tile, device)
    custom, named = _by_name(Custom.of(function), at)
    wrt = None if wrt is None else [n for name in Asked(wrt).names for n in custom.signature.leaves(name)]
    asked = Asked(wrt, named, order, domain, assuming, meanings, dtype, points, effort, seed, unreached=unreached)
    with within(timeout):
        setting = _setting(custom, asked)
        problems = [*_backward_problems(setting), *_jvp_problems(setting)]
        return answer(*problems, *(_second_order_problems(setting) if order == 2 else ()))


# ------------------------------------------------------------------------------------------------ arguments


@dataclass(frozen=True, eq=False)
class _Setting:
    """The function with the arguments that it is judged at, and what was asked."""

    custom: Custom
    asked: Asked
    arguments: Arguments
    inputs: Inputs
    shapes: Shapes | None
    forward: Forward

    @property
    def dtypes(self) -> Mapping[str, str]:
        return self.arguments.dtypes

    @property
    def names(self) -> list[str]:
        """The arguments whose gradients are asked for."""
        return self.asked.names if self.asked.wrt is not None else list(self.dtypes)

    @property
    def constants(self) -> frozenset[str]:
        """The tensors that require no gradient, where another does and ``wrt`` does not say which are asked for."""
        given = {n: v.requires_grad for n, v in (self.asked.at or {}).items() if isinstance(v, torch.Tensor)}
        known = self.asked.wrt is None and any(given.values())
        return frozenset(n for n, required in given.items() if known and not required)

    def problem(self, beside: Beside, extra: Mapping[str, Any], wrt: Sequence[str], order: int) -> Problem:
        """The question about one side of the function; ``extra`` are the cotangents or tangents, which are inputs."""
        runs = Runs(self.custom, self.arguments, beside, extra)
        point = {**self.inputs.point, **extra}
        recorded = runs.recorded(point)
        replay(recorded.computed(), {**point, **extra}, self.custom.name)
        first = recorded.sides()
        dtypes = {n: run.program.steps[i].dtype for run in first for n, i in run.program.inputs.items()}
        point = {n: point[n] for n in dtypes}
        free = tuple(n for n in dtypes if n in self.inputs.free or n in extra)
        facts = tuple(f for f in self.inputs.facts if f.name in point)
        inputs = replace(self.inputs, point=point, free=free, given=self.inputs.given & set(dtypes), facts=facts)
        model, hand = (CustomSide(runs, k, tuple(dtypes)) for k in (0, 1))
        asked = self.asked
        return Problem(
            model, hand, inputs, dtypes, tuple(wrt), order, first=first, meanings=asked.meanings, **asked.budgets
        )


def _by_name(custom: Custom, at: PointLike | Sequence[object]) -> tuple[Custom, dict[str, Any]]:
    """The function with its lists of tensors opened, and what each single argument is."""
    signature = custom.signature
    if not isinstance(at, Mapping):
        if isinstance(at, (torch.Tensor, np.ndarray)):
            at = (at,)
        if not isinstance(at, (list, tuple)):
            raise BadInput(
                f"at is a {type(at).__name__}.",
                instead=f"Pass values or shapes by name: at={{{custom.names[0]!r}: (3,)}}.",
            )
        at = signature.by_name(at)
    opened, flat = signature.opened(plain_keys(at, "at"), lists_too=custom.is_op)
    given = plain_point(flat) or {}
    for n in given:
        if n not in opened.names:
            near = close_names(n, opened.names)
            raise UnknownName(
                f"at has {n!r}, but forward's arguments are {', '.join(opened.names)}.", instead=near or None
            )
    missing = [n for n in opened.names if n not in given and n not in opened.defaults]
    if missing:
        raise BadInput(
            f"at has no value for {', '.join(missing)}.", instead=f"Pass values or shapes: at={{{missing[0]!r}: (3,)}}."
        )
    return replace(custom, signature=opened), given


def _setting(custom: Custom, asked: Asked) -> _Setting:
    """Forward's arguments made definite: those that are float tensors as inputs, the others passed on as they are."""
    at = asked.at or {}
    is_tensor = {n: isinstance(v, (torch.Tensor, np.ndarray)) or is_shape(v, names=True) for n, v in at.items()}
    single = not any(is_tensor.values())
    floats = {
        n: v for n, v in at.items() if _is_float(v) or is_shape(v, names=True) or (single and isinstance(v, float))
    }
    forward = Forward(custom, {n: v for n, v in at.items() if n not in floats})
    if not floats:
        raise BadInput("at has no tensor of floats.", instead="Pass tensors, arrays or shapes for forward's tensors.")
    for n in asked.names:
        if n not in floats:
            near = close_names(n, floats)
            raise UnknownName(
                f"wrt names {n!r}; forward's float tensors are {', '.join(floats)}.", instead=near or None
            )
    asked = replace(asked, at=floats)
    given = given_to(forward, asked)
    shapes, found = at_smallest_sizes(given.shapes, given.at, {}, lambda at: _found(forward, asked, given, at))
    inputs, dtypes = found
    return _Setting(custom, asked, Arguments({**forward.passed, **inputs.point}, dtypes), inputs, shapes, forward)


def _found(
    forward: Forward, asked: Asked, given: KnownInputs, at: Mapping[str, Any] | None
) -> tuple[Inputs, dict[str, str]]:
    inputs, dtypes = given.inputs(forward, asked, at)
    inputs, _ = find_point(forward, inputs, dtypes, asked.seed)
    moved = tuple(dtypes) if asked.wrt is None else tuple(n for n in dtypes if n in asked.names or n in inputs.free)
    return replace(inputs, free=moved), dtypes


def _is_float(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.is_floating_point() or value.is_complex()
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


# ------------------------------------------------------------------------------------------------ backward


@dataclass(frozen=True, eq=False)
class _Seeded:
    """Forward's outputs by the names of their cotangents; the values that these begin with; the shapes with names."""

    named: Mapping[str, str]
    cotangents: Mapping[str, np.ndarray]
    shapes: Shapes | None


def _seeded(setting: _Setting) -> _Seeded:
    custom = setting.custom
    outs = custom.run(setting.arguments.values, None, setting.dtypes)
    named = outs.cotangents
    rng = np.random.default_rng((setting.asked.seed, 6))
    cotangents = {named[k]: _like(outs, i, rng) for k, i in outs.outputs.items()}
    return _Seeded(named, cotangents, _with_outputs(setting, named, cotangents))


def _backward_problems(setting: _Setting) -> list[Problem]:
    """Backward for all that is asked for, for each alone where it goes another way, and without some cotangents."""
    custom, names = setting.custom, setting.names
    if custom.backward is None:
        return []
    seeded = _seeded(setting)
    named, cotangents, shapes = seeded.named, seeded.cotangents, seeded.shapes
    own = custom.run(setting.arguments.values, cotangents, setting.dtypes)
    without = [n for n in names if n in setting.constants and n in own.missing]
    names = [n for n in names if n not in without]
    problem = setting.problem(backward_beside(named), cotangents, names, 1)
    notes = [f"{n} requires no gradient, and backward gives None for it: that was not judged." for n in without]
    notes += [*_understood(setting, seeded, own), *_by_torch(setting, cotangents, own)]
    problems = []
    for n in names if len(names) > 1 else ():
        run = custom.run(setting.arguments.values, cotangents, setting.dtypes, [n])
        if not same_structure(*(sliced(r.program, {n: r.gradients[n]}) for r in (own, run))):
            alone = setting.problem(backward_beside(named, [n]), cotangents, [n], 1)
            problems.append(replace(alone, shapes=shapes, labels={n: f"{n} (needed alone)"}))
            notes.append(
                f"With ctx.needs_input_grad true for {n} alone, backward computes something else; it is judged too."
            )
    for used in () if own.materialize else _parts(named):
        absent = listed([v for k, v in named.items() if k not in used])
        try:
            some = setting.problem(backward_beside(used), {v: cotangents[v] for v in used.values()}, names, 1)
        except UserCodeFailed as error:  # loudly, where it happens
            notes.append(f"With None for {absent}, {error.what.rstrip('.')}; that was not judged.")
            continue
        problems.append(replace(some, shapes=shapes, labels={n: f"{n} (without {absent})" for n in names}))
    if not own.materialize and len(named) > 1:
        notes.append(
            "The gradient of an output that is not used comes in as None: backward is judged without each, too."
        )
    return [replace(problem, shapes=shapes, notes=tuple(notes)), *problems]


def _parts(named: Mapping[str, str]) -> list[dict[str, str]]:
    """The outputs that may be used without the others: every choice of a few; of many one alone, or all but one."""
    counts = range(1, len(named)) if len(named) <= _FEW else (1, len(named) - 1)
    return [dict(part) for k in counts for part in itertools.combinations(named.items(), k)]


def _understood(setting: _Setting, seeded: _Seeded, own: FunctionRun) -> list[str]:
    """What the claims are about, and what autograd does with gradients that are not of the arguments' own kind."""
    names, steps = setting.names, own.program.steps
    every = f"every {listed(list(seeded.named.values()))}"
    notes = [f"The claims are about {every}: values are drawn, and moved like the inputs."]
    if setting.asked.order == 1:
        notes.append("Only the first order was judged; order=2 judges the derivative of backward too.")
    missing = [n for n in own.missing if n in names and n not in setting.constants]
    notes += [f"The gradient for {n} is None, which autograd takes for zero." for n in missing]
    notes += [
        f"Backward's gradient for {n} has the shape {list(shape)}: autograd sums it to {list(steps[i].shape)}, the "
        f"shape of {n}."
        for n, shape in own.summed.items()
        if n in names and (i := own.gradients[n]) is not None
    ]
    real = [n for n in names if not setting.dtypes[n].startswith("complex")]
    if any(steps[i].is_complex for i in own.outputs.values()):
        notes += [f"{n} is real and the output is complex: the gradient is the real part of conj(v) dy/d{n}, summed "
                  "over the output." for n in real]  # fmt: skip
    notes += [
        f"Backward's gradient for {n} is complex and {n} is real: autograd refuses it. Return its real part."
        for n in real
        if n in own.gradients and steps[own.gradients[n]].is_complex
    ]
    return notes


# ------------------------------------------------------------------------------------------------ second order


def _second_order_problems(setting: _Setting) -> list[Problem]:
    """What autograd makes of backward, for every cotangent of the gradients that are asked for."""
    custom = setting.custom
    if custom.backward is None:
        raise BadInput(f"{custom.name} has no backward.", instead="Ask for order=1: its jvp is then judged.")
    seeded = _seeded(setting)
    along = {n: f"cotangent of the gradient for {n}" for n in setting.names if n not in setting.constants}
    rng = np.random.default_rng((setting.asked.seed, 9))
    point, kinds = setting.inputs.point, setting.dtypes
    seeds = {
        n: draw(np.shape(point[n]), rng) + (1j * draw(np.shape(point[n]), rng) if kinds[n].startswith("complex") else 0)
        for n in along
    }
    extra = {**seeded.cotangents, **{along[n]: v for n, v in seeds.items()}}
    beside = backward_of_backward_beside(seeded.named, along)
    wrt = (*along, *seeded.named.values())
    problem = setting.problem(beside, extra, wrt, 1)
    assert problem.first is not None
    model, read = problem.first
    numbers, called = _by_torch_twice(setting, seeded, seeds, read.values)
    notes: tuple[str, ...] = ()
    if numbers:  # another Function's backward, which was not read
        hand = Several({n: Numbers(numbers[n]) for n in wrt})
        problem = replace(problem, hand=hand, first=(model, hand.run({})), values_only=True)
        notes = (
            f"Backward calls {listed(called)}, which autograd differentiates by the backward that is written there: "
            "of the second order its numbers at your own point were judged.",
        )
    shapes = seeded.shapes
    if shapes is not None:
        shapes = replace(shapes, of={**shapes.of, **{along[n]: s for n, s in shapes.of.items() if n in along}})
    return [replace(problem, shapes=shapes, labels={n: f"{n} (second order)" for n in wrt}, notes=notes)]


def _by_torch_twice(
    setting: _Setting, seeded: _Seeded, seeds: Mapping[str, Any], mine: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Autograd, differentiating backward itself, must get what was read of it.  Where it does not, because other
    Functions are called there, what it gets, and their names."""
    custom = setting.custom
    try:
        found, called = custom.by_torch_twice(setting.arguments.values, seeded.cotangents, seeds, setting.dtypes)
    except SymgradError:
        raise
    except Exception as error:
        raise BadInput(
            f"autograd cannot differentiate {custom.name}.backward: {str(error).splitlines()[0].rstrip('.')}.",
            instead="Ask for order=1, or write backward in operations that autograd can differentiate.",
        ) from error
    for name, g in found.items():
        if name in mine and not nearly_equal(mine[name].astype(g.dtype), g, _nearness(setting)):
            if called:
                return found, called
            raise ReplayMismatch(
                f"what was read of {custom.name}.backward does not give the second derivative for {name} that autograd "
                "computes.",
                instead="This is a fault of symgrad: no verdict is given. Ask for order=1.",
            )
    return {}, []


def _like(run: FunctionRun, step: int, rng: np.random.Generator) -> np.ndarray:
    """A cotangent of an output's form."""
    shape, is_complex = run.program.shape(step), run.program.steps[step].is_complex
    return draw(shape, rng) + 1j * draw(shape, rng) if is_complex else draw(shape, rng)


def _with_outputs(setting: _Setting, named: Mapping[str, str], cotangents: Mapping[str, Any]) -> Shapes | None:
    """The shapes with names, those of the cotangents too; `BadInput` where a length is no expression in the sizes."""
    shapes = setting.shapes
    if shapes is None:
        return None
    any_sizes = Sizes.of(shapes.names, shapes.fixed, least=max(3, shapes.least))
    own = shapes.own()
    multiples = [{n: v * (1 if n in shapes.fixed else k) for n, v in own.items()} for k in (1, 2, 3)]
    for sizes in (any_sizes, Sizes(shapes.names, tuple(multiples))):  # it may run at multiples of a block only
        try:
            found = _lengths_met(setting, shapes, named, sizes)
            break
        except UserCodeFailed:
            continue
    else:
        return replace(shapes, of={**shapes.of, **{n: np.shape(v) for n, v in cotangents.items()}})
    of = dict(shapes.of)
    for n, lengths in found.items():
        try:
            of[n] = tuple(_length(sizes, numbers) for numbers in zip(*lengths, strict=True))
        except (Unread, ValueError):
            raise BadInput(
                f"the shapes of what forward returns, {lengths} at the sizes {sizes}, are no expressions in them.",
                instead="Pass shapes of numbers: the claims are then about these.",
            ) from None
    return replace(shapes, of=of)


def _lengths_met(
    setting: _Setting, shapes: Shapes, named: Mapping[str, str], sizes: Sizes
) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of the outputs at some sizes, by their cotangents' names.  Raises what the code raises there."""
    rng = np.random.default_rng((setting.asked.seed, 7))
    found: dict[str, list[tuple[int, ...]]] = {n: [] for n in named.values()}
    for run in sizes.runs:
        point = {**setting.inputs.point, **{n: draw(shape, rng) for n, shape in shapes.at(run).items()}}
        _, out = find_point(setting.forward, replace(setting.inputs, point=point), setting.dtypes, 0)
        for output, i in out.program.outputs.items():
            found[named[output]].append(out.program.shape(i))
    return found


def _length(sizes: Sizes, numbers: Sequence[int]) -> Any:
    found = sizes.expression(numbers)
    return int(found) if found.is_Integer else str(found) if found.is_Symbol else found


def _by_torch(setting: _Setting, cotangents: Mapping[str, Any], own: FunctionRun) -> list[str]:
    """Autograd, calling the function itself, must get the same gradients; where it refuses, its words are told."""
    try:
        found = setting.custom.by_torch(setting.arguments.values, cotangents, setting.dtypes)
    except SymgradError:
        raise
    except Exception as error:
        return [f"autograd itself fails with this function: {str(error).splitlines()[0]}"]
    eps = _nearness(setting)
    for name, g in found.items():
        mine = own.values.get(name)
        if g is None or mine is None or g.shape != mine.shape:
            continue
        if not nearly_equal(mine.astype(g.dtype), g, eps):
            made = f"forward gives another {name}" if name in own.outputs else None
            what = made or f"backward gives another gradient for {name}"
            raise NotReproducible(
                f"called by autograd, {what} than when it is called by itself.",
                instead="Something outside of forward and backward changes it: a global variable, or random numbers.",
            )
    return []


def _nearness(setting: _Setting) -> float:
    """How near two runs of the same code must be: kernels are free in the order in which they add."""
    kinds = set(setting.dtypes.values())
    if kinds & {"float16", "bfloat16"}:
        return 0.1
    return 1e-3 if kinds & {"float32", "complex64"} else 1e-9


# ------------------------------------------------------------------------------------------------ jvp


def _jvp_problems(setting: _Setting) -> list[Problem]:
    """The tangent that jvp gives for each output, against the exact one, for every tangent of the arguments."""
    custom, dtypes = setting.custom, setting.dtypes
    if custom.jvp is None:
        return []
    rng = np.random.default_rng((setting.asked.seed, 8))
    moves = {n: draw(tuple(np.asarray(setting.inputs.point[n]).shape), rng) for n in dtypes}
    run = custom.run(setting.arguments.values, None, dtypes, tangents=moves)
    tangents = {f"tangent of {n}": move for n, move in moves.items()}
    shapes = setting.shapes
    if shapes is not None:
        shapes = replace(shapes, of={**shapes.of, **{f"tangent of {n}": s for n, s in shapes.of.items()}})
    problems = []
    for output in run.tangents:
        label = "jvp" if output == "output" else f"jvp of {output}"
        problem = setting.problem(jvp_beside(output), tangents, ["jvp"], 0)
        problems.append(replace(problem, shapes=shapes, labels={"jvp": label}))
    return problems
