"""gradient: the exact derivative, to print, to read as SymPy, and to call on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.api.opaque_kernels import worst_of_outputs
from symgrad.checking.index_claims import Reading, agrees_with
from symgrad.checking.judge import judge
from symgrad.checking.verdicts import Verdict
from symgrad.errors import (
    AmbiguousBranch,
    BadInput,
    SymgradError,
    UnknownName,
    UnknownOperation,
    WrongShape,
    close_names,
)
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.evaluation.exact import is_huge_power, meaning
from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.evaluation.singular_points import value_at
from symgrad.evaluation.torch_code import as_tensors, bind, call, source
from symgrad.indices.printing import latex, plain, text
from symgrad.indices.reader import Value, read
from symgrad.indices.run_merging import ORDERED, merged, one_sided
from symgrad.indices.sizes import Sizes, Unread, size_symbol
from symgrad.indices.terms import Array
from symgrad.indices.torch_functions import TensorFunction, sizes_of, tensor_function
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.surroundings import neutral
from symgrad.ops.row import precision
from symgrad.problem.arguments import dtypes_of, find_point, full_name, resolve
from symgrad.problem.canary import undisturbed
from symgrad.problem.definedness import branches_on
from symgrad.problem.question import Asked, alone, open_alone, pose
from symgrad.problem.replay import replay
from symgrad.problem.sampling import draw
from symgrad.problem.shapes import Shapes
from symgrad.program.builder import Builder
from symgrad.program.derivative import derivatives
from symgrad.program.program import Guard, Program, interpret
from symgrad.report.exact_formulas import slope_of, typeset
from symgrad.typing import DomainLike, DtypeLike, FormulaLike, HandLike, NamesLike, PointLike, Unreached

# --------------------------------------------------------------------------------------------------------- comparisons
# Two smaller questions: do two formulas say the same, and what Program is this?


@undisturbed
def compare(
    a: FormulaLike,
    b: HandLike,
    *,
    at: PointLike | None = None,
    domain: DomainLike | None = None,
    assuming: str | Sequence[str] | None = None,
    dtype: DtypeLike | None = None,
    points: int = 64,
    effort: float = 1.0,
    unreached: Unreached = "refuse",
    seed: int = 0,
    opaque: bool = False,
    tile: int | Mapping[str, int] | None = None,
) -> Verdict:
    """Say whether two formulas have the same value, with a proof or a counterexample; no derivative is taken.

    The arguments are as for `verify`; the names in ``b`` must be among those of ``a``.  All float inputs that are not
    given by value are resampled; if all are given, all are.

    >>> compare("exp(x)*exp(y)", "exp(x + y)").kind
    'proved'
    >>> compare("sqrt(x**2)", "x").kind
    'refuted'
    >>> print(compare(lambda A, x: A @ x, lambda A, x: (A * x).sum(1), at={"A": ("m", "n"), "x": ("n",)}))
    proved for all m and n

    With ``opaque=True`` the first is a kernel that cannot be followed, and the second a reference that can: it is run
    as a black box where kernels break, as `verify_function` does with ``reference=`` (which says more, and has
    ``tile``), and the worst of the verdicts on its outputs is the answer.

    >>> compare(lambda x: torch.from_numpy(x.numpy() ** 2), lambda x: x**2, at={"x": ("n",)}, opaque=True, tile=4).kind
    'agrees'

    Raises what `verify` raises.
    """
    asked = Asked(None, at, 1, domain, assuming, None, dtype, points, effort, seed, values=True, unreached=unreached)
    if opaque:
        return worst_of_outputs(a, b, at or {}, replace(asked, values=False), tile)
    if isinstance(b, Mapping):
        raise BadInput("compare takes two formulas, and b is a mapping.", instead="Pass the formula of one value.")
    return judge(pose(a, b, asked)).verdicts["value"]


@undisturbed
def lift(thing: FormulaLike, *, at: PointLike | None = None, seed: int = 0) -> Program:
    """The Program that ``thing`` computes at ``at``: its operations, in its order, under its names.

    >>> print(lift("(x + y) - x").listing())
    %0 = input() float64[]
    %1 = input() float64[]
    %2 = add(%0, %1) float64[]
    %3 = sub(%2, %0) float64[]

    ``thing`` and ``at`` are as for `verify`; raises what `verify` raises.
    """
    program = alone(thing, Asked(at=at, seed=seed)).run.program
    return ReadFormula(**{f.name: getattr(program, f.name) for f in fields(program)})


# ----------------------------------------------------------------------------------------------------------- gradients

# ----------------------------------------------------------------------------------------------------- sized gradients
# gradient for all sizes: the exact derivative read in index notation, as one torch function of any sizes.
#
# The code is run at a few sizes and read as one formula (`symgrad.checking.index_claims` does the same for `verify`).
# A reading is used only if, in balls, it gives what the exact derivative is at sizes that it was not read at.  Where
# there is none, the derivative is taken anew at the sizes of each call, which is slower and just as exact.

_BITS = 256
_TRIES = 6  # points at which code that makes choices is run, at each assignment of sizes


class SizedGradient(dict[str, "SizedDerivative"]):
    """The derivatives by input name; called, all of them at once, with what they have in common computed once."""

    def __init__(self, work: _Work) -> None:
        super().__init__({name: SizedDerivative(name, work) for name in work.names})
        self._work = work

    def __call__(self, *positional: Any, **named: Any) -> dict[str, torch.Tensor]:
        return self._work.values(self._work.names, positional, named)

    def _repr_latex_(self) -> str | None:
        return "\n\n".join(filter(None, (derivative._repr_latex_() for derivative in self.values()))) or None

    @property
    def code(self) -> str | None:
        """The torch lines that compute all of them; None where they are taken anew at each call's sizes."""
        found = self._work.function(self._work.names)
        return found.code if isinstance(found, TensorFunction) else None


@dataclass(frozen=True, eq=False, repr=False)
class SizedDerivative:
    """An exact derivative for all sizes: to call on tensors of any sizes, to print, to read as SymPy.

    The result has the common dtype of the arguments, on their device.
    """

    wrt: str
    _work: _Work

    def __call__(self, *positional: Any, **named: Any) -> torch.Tensor:
        return self._work.values((self.wrt,), positional, named)[self.wrt]

    @property
    def why(self) -> str | None:
        """Why the derivative is taken anew at each call's sizes; None where one formula holds for all sizes."""
        found = self._work.function((self.wrt,))
        return None if isinstance(found, TensorFunction) else found

    @property
    def array(self) -> Array:
        """The derivative in index notation.  Raises `Unread` where it has none."""
        return self._work.array(self.wrt)

    @property
    def sympy(self) -> Any:
        """The entry of the derivative as a SymPy expression with `Sum` and `Indexed`, of its indices."""
        return plain(self._shown())

    def _shown(self) -> Any:
        """The entry, at indices with plain names."""
        return self.array.at(self._indices)

    @property
    def _indices(self) -> list[sp.Symbol]:
        array = self.array
        taken = {str(s) for s in array.body.free_symbols} | set(self._work.symbols)
        letters = (c for c in "ijklpqrstuv" if c not in taken)
        return [sp.Symbol(next(letters), integer=True) for _ in array.axes]

    def _repr_latex_(self) -> str | None:
        try:
            return f"${slope_of(self.wrt, self._indices)} = {latex(self._shown())}$"
        except Unread:  # it has no formula that holds for all sizes
            return None

    @property
    def code(self) -> str | None:
        """The torch lines; None where the derivative is taken anew at each call's sizes."""
        found = self._work.function((self.wrt,))
        return found.code if isinstance(found, TensorFunction) else None

    def __str__(self) -> str:
        try:
            return text(self._shown())
        except Unread as error:
            return f"the derivative by {self.wrt}, taken at the sizes of each call: {error.what}"

    __repr__ = __str__


@dataclass(eq=False)
class _Work:
    """A formula, its shapes, and what was found out about its derivatives."""

    model: Formula
    shapes: Shapes
    at: Mapping[str, Any]
    own: Mapping[str, Any]
    names: tuple[str, ...]
    order: int
    seed: int
    here: Callable[..., Mapping[str, Any]]  # gradient, at given numbers
    _functions: dict[tuple[str, ...], TensorFunction | str] = field(default_factory=dict)
    _taken: dict[Any, Mapping[str, Any]] = field(default_factory=dict)

    def run(self, sizes: Mapping[str, int], seed: int) -> tuple[Program, dict[str, Any]]:
        """The derivatives' Program at these sizes, and the point that it was made at."""
        point = {n: draw(s, np.random.default_rng((seed, 5, k)), (None, None))
                 for k, (n, s) in enumerate(self.shapes.at(sizes).items())}  # fmt: skip
        given = {**self.at, **{n: self.own.get(n, v) for n, v in point.items()}}
        inputs = resolve(self.model, given, self.names, None, seed, self.own)
        inputs, run = find_point(self.model, inputs, dtypes_of(self.model, given, inputs.point, "float64"), seed)
        replay(run, inputs.point, "the formula")
        b = Builder.on(run.program)
        output = run.program.output
        if b.shape(output) or self.order != 1:
            raise Unread("Jacobians and Hessians are taken at the sizes of each call.")
        found = derivatives(b, output, {n: run.program.inputs[n] for n in self.names}, 1)
        program = b.build(found)
        if any(g.op not in ORDERED or not g.outcome.ndim for g in branches_on(program, list(program.inputs))):
            raise Unread("the formula chooses between branches.")
        return program, dict(inputs.point)

    @cached_property
    def read(self) -> dict[str, Value] | Unread:
        """The derivatives for all sizes, held against what they are at sizes that they were not read at."""
        sizes = Sizes.of(self.shapes.names, self.shapes.fixed, least=max(3, self.shapes.least))
        try:
            program = merged([self.both_ways(r) for r in sizes.runs])
            values = read(program, sizes, {n: self.shape(n) for n in program.inputs}, program.outputs.values())
            found = {n: values[i] for n, i in program.outputs.items()}
            for k, there in enumerate(self._elsewhere()):
                self._check(found, there, self.seed + 1 + k)
        except Unread as error:
            return error
        except SymgradError as error:
            return Unread(f"the code could not be run at other sizes: {error.what}")
        return found

    def both_ways(self, sizes: Mapping[str, int]) -> Program:
        """The Program at a point where each choice between entries shows that it is one."""
        for k in range(_TRIES):
            program, _ = self.run(sizes, self.seed + k)
            if not one_sided(program):
                return program
        raise Unread("a choice between entries came out one way wherever it was tried.")

    @cached_property
    def least(self) -> int:
        """The least size from which the reading holds: one, where it gives what the code computes there."""
        assert isinstance(self.read, dict)
        own = self.shapes.own()
        ones = [{**own, n: 1} for n in self.shapes.free] + [{**own, **dict.fromkeys(self.shapes.free, 1)}]
        try:
            for sizes in ones:
                self._check(self.read, sizes, self.seed)
        except SymgradError:
            return self.shapes.least
        return 1

    def shape(self, name: str) -> tuple[Any, ...]:
        """An input's shape, in numbers and names of sizes."""
        given = self.shapes.of.get(name, self.at.get(name, self.own.get(name)))
        return given if isinstance(given, tuple) else () if given is None else np.shape(given)

    def _elsewhere(self) -> list[dict[str, int]]:
        own, free = self.shapes.own(), self.shapes.free
        return [own, {**own, **dict.fromkeys(free, self.shapes.least)}, {**own, **dict.fromkeys(free, 4)}]

    def _check(self, found: Mapping[str, Value], sizes: Mapping[str, int], seed: int) -> None:
        program, point = self.run(sizes, seed)
        inputs = {n: point[n] for n in program.inputs}
        with precision(_BITS):
            balls = interpret(program, Balls(), {n: binary(v) for n, v in inputs.items()}, program.outputs.values())
        for name, value in found.items():
            reading = Reading(value.body, value.body, value.factors)
            if not agrees_with(reading, flat(balls[program.outputs[name]]), inputs, sizes):
                raise Unread("the formula that was read does not give what the code computes at other sizes.")

    def array(self, name: str) -> Array:
        if isinstance(self.read, Unread):
            raise self.read
        return self.read[name].array()

    def function(self, names: tuple[str, ...]) -> TensorFunction | str:
        """The torch function for all sizes, or why there is none."""
        if names not in self._functions:
            try:
                self._functions[names] = self._lowered(names)
            except (Unread, UnknownOperation) as error:
                self._functions[names] = error.what
        return self._functions[names]

    def _lowered(self, names: tuple[str, ...]) -> TensorFunction:
        if isinstance(self.read, Unread):
            raise self.read
        if any(len(v.axes) != len(v.factors) for n, v in self.read.items() if n in names):
            raise Unread("axes of length one or of several factors are read at given sizes only.")
        return tensor_function({n: self.array(n) for n in names}, self.symbols)

    @cached_property
    def symbols(self) -> dict[str, tuple[Any, ...]]:
        """The inputs' shapes in numbers and size symbols."""
        of = {n: self.shape(n) for n in self.model.names}
        return {
            n: tuple(size_symbol(k) if isinstance(k, str) else sp.Integer(k) for k in shape) for n, shape in of.items()
        }

    def values(self, names: tuple[str, ...], positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        named = {full_name(n, self.model.names): v for n, v in named.items()}
        with neutral():
            function = self.function(names)
        values = bind(tuple(self.symbols), positional, named)
        tensors = dict(zip(values, as_tensors(values)[0], strict=True))
        sizes = sizes_of(self.symbols, tensors)
        if isinstance(function, TensorFunction) and min(sizes.values(), default=1) >= self.least:
            return function(**values)
        key = tuple(tuple(t.shape) for t in tensors.values())
        if key not in self._taken:
            point = {n: t.detach().cpu().to(torch.float64).numpy() for n, t in tensors.items()}
            with neutral():
                found = self.here(self.model, wrt=list(self.names), at=point, order=self.order, seed=self.seed)
            if any(branches_on(d, list(d.inputs)) for d in found.values()):
                return {n: found[n](**_plain(found[n], values)) for n in names}
            self._taken[key] = found
        found = self._taken[key]
        return {n: found[n](**_plain(found[n], values)) for n in names}


def _plain(program: Program, values: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in values.items() if n in program.inputs}


def sized_gradient(
    model: Formula,
    shapes: Shapes,
    at: Mapping[str, Any],
    own: Mapping[str, Any],
    names: Sequence[str],
    order: int,
    seed: int,
    here: Callable[..., Mapping[str, Any]],
) -> SizedGradient:
    """The derivatives of a formula whose ``shapes`` have names in them; ``here`` is `gradient` at given numbers."""
    return SizedGradient(_Work(model, shapes, at, own, tuple(names), order, seed, here))


# ----------------------------------------------------------------------------------------------------------- gradients

_LOOK = {"gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal, "eq": np.equal}
_LOOK |= {"ne": np.not_equal}


class Gradient(dict[str, "Derivative"]):
    """The derivatives by input name, typeset one under the other in a notebook."""

    def _repr_latex_(self) -> str:
        return "\n\n".join(derivative._repr_latex_() for derivative in self.values())


class ReadFormula(Program):
    """A formula as it was read, typeset in a notebook."""

    def _repr_latex_(self) -> str | None:
        return typeset(self) if len(self.outputs) == 1 else None


@dataclass(frozen=True, eq=False, repr=False)
class Derivative(Program):
    """An exact derivative: a Program that can be called, printed, and read as SymPy.

    ``wrt`` is the input it is for.  It is the derivative on the branch that the formula takes at ``point``; a call
    with inputs that would take another branch raises `AmbiguousBranch` rather than answer for the wrong one.
    """

    wrt: str = ""
    point: Mapping[str, Any] = field(default_factory=dict)
    of: int = 0  # the step of the formula's value

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """The derivative's value: tensors in, a tensor out, of any float dtype, on the inputs' device.

        Inputs go by name (dots as underscores) or in order.  Scalars broadcast; tensors have the Program's shapes,
        with leading batch dimensions in front if wanted.  Where floats find no number (what overflows on the way, 0/0)
        the exact derivative is read in balls, and at a point where it is written as 0/0 the limit from both sides.
        """
        named = {full_name(name, list(self.inputs)): value for name, value in named.items()}
        values = {**dict(zip(self.inputs, positional, strict=False)), **named}
        guards = branches_on(self, list(self.inputs))
        if guards and len(values) == len(self.inputs):
            self._check(guards, values)
        try:
            found = call(self, *positional, **named)
        except torch._C._LinAlgError:  # type: ignore[attr-defined]  # det's slope is written with an inverse
            found = self._completed(torch.full(self.shape(self.output), torch.nan, dtype=torch.float64), values)
            if found.isnan().any():
                raise
        mapped = torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
        return found if mapped or not found.isnan().any() else self._completed(found, values)

    def _completed(self, found: torch.Tensor, values: Mapping[str, Any]) -> torch.Tensor:
        """With the numbers that floats did not find; those of a batch are not looked for."""
        given = {n: to_numpy(torch.as_tensor(v)) for n, v in values.items()}
        one = all(given[n].shape == self.shape(i) for n, i in self.inputs.items())
        if not one or not all(np.isfinite(v).all() for v in given.values()):
            return found
        exact = torch.as_tensor(value_at(self, self.output, self.of, given), dtype=found.dtype, device=found.device)
        return torch.where(found.isnan(), exact, found)

    def _check(self, guards: Sequence[Guard], values: Mapping[str, Any]) -> None:
        given = {n: torch.as_tensor(v) for n, v in values.items()}
        inputs = {n: v.to(torch.complex128 if v.is_complex() else torch.float64) for n, v in given.items()}
        for name, i in self.inputs.items():
            if tuple(inputs[name].shape) != self.shape(i):
                raise AmbiguousBranch(
                    "the formula chooses between branches, and a batch may need several of them.",
                    instead="Call it for one point at a time.",
                )
        sides = interpret(self, Floats("float64"), inputs, [a for g in guards for a in g.args])
        for guard in guards:
            look = _LOOK.get(guard.op)
            arrays = [to_numpy(sides[a]) for a in guard.args]
            same = (
                np.array_equal(np.broadcast_to(look(*arrays), guard.outcome.shape), guard.outcome)
                if look is not None and len(arrays) == 2
                else all(np.array_equal(to_numpy(inputs[n]), self.point[n]) for n in inputs)
            )
            if not same:
                where = guard.source.text if guard.source is not None else guard.op
                raise AmbiguousBranch(
                    f"these inputs take another branch than the point at which the gradient was taken ({where}).",
                    instead="Call symgrad.gradient again with at= this point.",
                )

    @property
    def sympy(self) -> Any:
        """The derivative as a SymPy expression; for a tensor, an object array of them."""
        return meaning(self, self.output)

    @property
    def code(self) -> str:
        """The derivative as torch code, to read or to paste."""
        return source(self)

    def __str__(self) -> str:
        if self.shape(self.output) or len(self) >= 40:
            return self.code
        found = self.sympy
        huge = any(is_huge_power(p.base, p.exp) for p in found.atoms(sp.Pow))  # which SymPy would write out
        return str(found if huge else sp.simplify(found))

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return typeset(self, slope_of(self.wrt))


@undisturbed
def gradient(
    formula: FormulaLike, *, wrt: NamesLike | None = None, at: PointLike | None = None, order: int = 1, seed: int = 0
) -> Mapping[str, Derivative | SizedDerivative]:
    """The exact derivative of ``formula`` with respect to each input in ``wrt`` (by default each float input).

    For a scalar formula f the gradient df/dx, of x's shape; for a tensor the Jacobian, of shape f.shape + x.shape;
    with ``order=2`` the Hessian.  ``formula`` and ``at`` are as for `verify`.

    >>> g = gradient("w*tanh(w*x)")
    >>> g["x"].sympy
    w**2*(1 - tanh(w*x)**2)
    >>> g["x"](w=torch.tensor([1.0, 2.0]), x=torch.tensor(0.0))
    tensor([1., 4.])

    With names in the shapes, ``at={"U": ("m", "d"), "w": ("m",), "x": ("d",)}``, the derivatives hold for all sizes:
    each can be called on tensors of any, and the whole result too, which gives all of them from one torch function.

    >>> g = gradient(lambda A, x: x @ A @ x, at={"A": ("n", "n"), "x": ("n",)})
    >>> g["x"]
    (sum_s A[i,s]*x[s]) + sum_s A[s,i]*x[s]
    >>> g["x"](A=torch.eye(3), x=torch.tensor([1.0, 2.0, 3.0]))
    tensor([2., 4., 6.])
    >>> sorted(g(A=torch.eye(2), x=torch.ones(2)))
    ['A', 'x']

    Raises `UnknownName` for a name that the formula does not have, `WrongShape` for a formula of several values, and
    what `verify` raises for the formula.

    Guarantee: SymPy's derivative of each operation's exact meaning, put together by the chain rule; the torch
    function's only errors are rounding.
    """
    model, asked = open_alone(formula, Asked(wrt, at, order, seed=seed))
    for name in asked.names:
        if full_name(name, model.names) not in model.names:
            raise UnknownName(
                f"wrt names {name!r}, but the formula has only {', '.join(model.names)}.",
                instead=close_names(name, model.names) or None,
            )
    asked = replace(asked, wrt=[full_name(n, model.names) for n in asked.names])
    here = alone(model, asked)
    names = asked.names or list(here.dtypes)
    if here.shapes is not None:
        given = here.given
        return sized_gradient(here.model, here.shapes, given.at or {}, given.own, names, order, seed, gradient)
    program = here.run.program
    if len(program.outputs) != 1:
        raise WrongShape(
            f"the formula has {len(program.outputs)} values: {', '.join(program.outputs)}.",
            instead="Ask for the gradient of one of them at a time, or of one array that holds them.",
        )
    b = Builder.on(program)
    found = derivatives(b, program.output, {n: program.inputs[n] for n in names}, order)
    whole = b.build(program.outputs)
    return Gradient({name: _derivative(whole, name, i, here.inputs.point) for name, i in found.items()})


def _derivative(program: Program, name: str, step: int, point: Mapping[str, Any]) -> Derivative:
    kept = program.bindings, program.guards, program.course
    return Derivative(program.inputs, program.steps, {name: step}, *kept, name, dict(point), program.output)
