"""verify_function: a ``torch.autograd.Function`` (or a custom operator) against its own forward."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np
import torch

from symgrad.checking.judge import judge
from symgrad.diagnosis.custom_code import Recorded, Runs, Setting
from symgrad.errors import BadInput, NotReproducible, SymgradError, UnknownName, close_names
from symgrad.lifting.tracing.autograd_functions import Custom, FunctionRun
from symgrad.lifting.tracing.functions import nearly_equal
from symgrad.problem.arguments import check_budgets, domain_of
from symgrad.problem.sampling import Bounds, draw
from symgrad.program.builder import Builder
from symgrad.program.derivative import tangent
from symgrad.program.program import derivation_lines, same_structure, sliced
from symgrad.progress import shown
from symgrad.report.report import Report
from symgrad.report.wording import listed
from symgrad.verifier import _report

__all__ = ["verify_function"]


@shown("reading the function")
def verify_function(
    function: Any,
    *,
    at: Mapping[str, Any] | Sequence[Any],
    wrt: str | Sequence[str] | None = None,
    domain: Mapping[str, Bounds] | str | Any = None,
    points: int = 64,
    effort: float = 1.0,
    seed: int = 0,
) -> Report:
    """Say whether the ``backward`` of a ``torch.autograd.Function`` is the derivative of its ``forward``.

    For outputs y = forward(x, ...) and cotangents v of y's shapes, backward must give sum_j conj(v_j) dy_j/dx (torch's
    convention), **for every v**: the cotangents are inputs that are drawn, and moved like the others.  Where there is
    a ``jvp``, its tangents are compared with the exact ones in the same way.  A ``torch.library.custom_op`` with
    ``register_autograd`` is taken likewise.

    ``at`` maps forward's arguments (without ctx) to tensors, arrays or shapes, or lists them in order; anything else
    (numbers beside tensors, flags, None) is passed on as it is.  The claims go by the names of forward's arguments.
    Each of them is also judged alone, where backward does something else for ``ctx.needs_input_grad``; a None for a
    tensor counts as zero.  ``domain``, ``points``, ``effort`` and ``seed`` are as for `verify`.

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

    Raises `BadInput` for what is no such function, `UnknownName` for a name in ``at`` that forward does not have,
    `UserCodeFailed` where forward or backward raises, `WrongShape` for a wrong number of gradients.

    Guarantee: that of `verify`.
    """
    check_budgets(points, effort, seed)
    custom = Custom.of(function)
    arguments = _arguments(custom, at)
    rng = np.random.default_rng((seed, 3))
    bounds, conditions = domain_of(domain, custom.names, "forward's arguments are")
    values, dtypes, given = _values(custom, arguments, bounds, rng)
    names = (
        [wrt] if isinstance(wrt, str) else list(wrt) if wrt is not None else [n for n in custom.names if n in dtypes]
    )
    for n in names:
        if n not in dtypes:
            near = close_names(n, dtypes)
            raise UnknownName(
                f"wrt names {n!r}; forward's float tensors are {', '.join(dtypes)}.", instead=near or None
            )
    setting = Setting(custom, values, dtypes, given, bounds, points, effort, seed, conditions)
    reports = [_backward_report(setting, names, rng)] if custom.backward is not None else []
    if custom.jvp is not None:
        reports += _jvp_reports(setting, rng)
    claims = {name: c for r in reports for name, c in r.claims.items()}
    notes = [n for r in reports for n in r.notes]
    unsafe = tuple(i for r in reports for i in r.instabilities)
    return replace(reports[0], claims=claims, notes=tuple(dict.fromkeys(notes)), instabilities=unsafe)


# ------------------------------------------------------------------------------------------------ arguments


def _arguments(custom: Custom, at: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    if not isinstance(at, Mapping):
        if isinstance(at, (torch.Tensor, np.ndarray)):
            at = (at,)
        if len(at) > len(custom.names):
            raise BadInput(
                f"at has {len(at)} values, and forward takes {len(custom.names)}: {', '.join(custom.names)}."
            )
        at = dict(zip(custom.names, at, strict=False))
    for n in at:
        if n not in custom.names:
            near = close_names(n, custom.names)
            raise UnknownName(
                f"at has {n!r}, but forward's arguments are {', '.join(custom.names)}.", instead=near or None
            )
    missing = [n for n in custom.names if n not in at and n not in custom.defaults]
    if missing:
        raise BadInput(
            f"at has no value for {', '.join(missing)}.", instead=f"Pass values or shapes: at={{{missing[0]!r}: (3,)}}."
        )
    return dict(at)


def _values(
    custom: Custom, arguments: Mapping[str, Any], domain: Mapping[str, Bounds], rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, str], frozenset[str]]:
    """The arguments' values, the dtypes of those that are float tensors, and which of them were given."""
    values: dict[str, Any] = {}
    dtypes: dict[str, str] = {}
    given = set()
    default = next(
        (
            str(v.dtype).removeprefix("torch.")
            for v in arguments.values()
            if isinstance(v, torch.Tensor) and v.is_floating_point()
        ),
        "float64",
    )
    has_tensor = any(isinstance(v, (torch.Tensor, np.ndarray)) or _is_shape(v) for v in arguments.values())
    for n, v in arguments.items():
        if isinstance(v, torch.Tensor):
            if v.is_floating_point() or v.is_complex():
                dtypes[n] = str(v.dtype).removeprefix("torch.")
                wide = torch.complex128 if v.is_complex() else torch.float64
                values[n] = v.detach().cpu().to(wide).numpy()
                given.add(n)
            else:
                values[n] = v
        elif isinstance(v, np.ndarray) and v.dtype.kind in "fc":
            dtypes[n], values[n] = str(v.dtype), v.astype(np.complex128 if v.dtype.kind == "c" else np.float64)
            given.add(n)
        elif _is_shape(v):
            dtypes[n], values[n] = default, draw(v, rng, domain.get(n, (None, None)))
        elif isinstance(v, float) and not has_tensor:
            dtypes[n], values[n] = default, np.asarray(v)
            given.add(n)
        else:
            values[n] = v
    if not dtypes:
        raise BadInput("at has no tensor of floats.", instead="Pass tensors, arrays or shapes for forward's tensors.")
    return values, dtypes, frozenset(given)


def _is_shape(value: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(isinstance(n, int) and not isinstance(n, bool) for n in value)


# ------------------------------------------------------------------------------------------------ backward


def _backward_report(setting: Setting, names: Sequence[str], rng: np.random.Generator) -> Report:
    custom = setting.custom
    outs = custom.run(setting.values, None, setting.dtypes)
    shapes = {k: outs.program.shape(i) for k, i in outs.outputs.items()}
    kinds = {k: outs.program.steps[i].is_complex for k, i in outs.outputs.items()}
    named = dict(zip(shapes, _cotangents(custom, shapes), strict=True))
    cotangents = {}
    for output, n in named.items():
        cotangents[n] = draw(shapes[output], rng)
        if kinds[output]:
            cotangents[n] = cotangents[n] + 1j * draw(shapes[output], rng)
    runs = Runs(setting, lambda s, point: _backward(s, point, named, None))
    problem = setting.problem(runs, cotangents, names, 1)
    report = _report(problem, judge(problem), None, None)
    own = custom.run(setting.values, cotangents, setting.dtypes)
    told = listed(list(named.values()))
    notes = [f"The claims are about every {told}: cotangents are drawn, and moved like the inputs."]
    notes += [f"The gradient for {n} is None, which autograd takes for zero." for n in own.missing if n in names]
    notes += _by_torch(setting, cotangents, own)
    claims = dict(report.claims)
    for n in names if len(names) > 1 else ():
        alone = _alone(setting, named, cotangents, own, n)
        if alone is not None:
            claims[f"{n} (needed alone)"] = replace(alone.claims[n], name=f"{n} (needed alone)")
            notes.append(
                f"With ctx.needs_input_grad true for {n} alone, backward computes something else; it is judged too."
            )
    return replace(report, claims=claims, notes=(*notes, *report.notes))


def _cotangents(custom: Custom, outputs: Mapping[str, Any]) -> list[str]:
    places = [int(k[7:-1]) if k.endswith("]") else 0 for k in outputs]
    names = custom.cotangent_names(max(places, default=0) + 1)
    return [names[k] for k in places]


def _backward(
    setting: Setting, point: Mapping[str, Any], named: Mapping[str, str], needs: Sequence[str] | None
) -> Recorded:
    """Forward, made a scalar by the cotangents, and backward; ``needs`` are the gradients that are asked for."""
    cotangents = {n: point[n] for n in named.values()}
    run = setting.custom.run(point, cotangents, setting.dtypes, needs)
    b = Builder.on(run.program)
    total = None
    for output, i in run.outputs.items():
        v = b.inputs[named[output]]
        part = b.sum(b.mul(i, b.conj(v))) if b.shape(i) else b.mul(i, b.conj(v))
        total = part if total is None else b.add(total, part)
    assert total is not None
    program = b.build({})
    asked = run.gradients if needs is None else {n: run.gradients[n] for n in needs}
    return Recorded(program, total, asked, run.values, derivation_lines(program, total), tuple(setting.dtypes))


def _alone(
    setting: Setting, named: Mapping[str, str], cotangents: Mapping[str, Any], own: FunctionRun, name: str
) -> Report | None:
    """The report on one gradient that is asked for alone, if backward then goes another way."""
    run = setting.custom.run(setting.values, cotangents, setting.dtypes, [name])
    pieces = [sliced(r.program, {name: r.gradients[name]}) for r in (own, run)]
    if same_structure(*pieces):
        return None

    runs = Runs(setting, lambda s, point: _backward(s, point, named, [name]))
    problem = setting.problem(runs, cotangents, [name], 1)
    return _report(problem, judge(problem), None, None)


def _by_torch(setting: Setting, cotangents: Mapping[str, Any], own: FunctionRun) -> list[str]:
    """Autograd, calling the function itself, must get the same gradients; where it refuses, its words are told."""
    try:
        found = setting.custom.by_torch(setting.values, cotangents, setting.dtypes)
    except SymgradError:
        raise
    except Exception as error:
        return [f"autograd itself fails with this function: {str(error).splitlines()[0]}"]
    narrow = any(k in ("float16", "bfloat16") for k in setting.dtypes.values())
    eps = 0.1 if narrow else 1e-3 if "float32" in setting.dtypes.values() else 1e-9
    for name, g in found.items():
        mine = own.values.get(name)
        if g is None or mine is None or g.shape != mine.shape:
            continue
        if not nearly_equal(mine.astype(g.dtype), g, eps):
            raise NotReproducible(
                f"called by autograd, backward gives another gradient for {name} than when it is called by itself.",
                instead="Something outside of forward and backward changes it: a global variable, or random numbers.",
            )
    return []


# ------------------------------------------------------------------------------------------------ jvp


def _forward(setting: Setting, point: Mapping[str, Any], output: str) -> Recorded:
    """The tangent of an output, exactly, and what jvp gives for it."""
    moves = {n: point[f"tangent of {n}"] for n in setting.dtypes}
    run = setting.custom.run(point, None, setting.dtypes, tangents=moves)
    program, total = run.program, None
    for n in setting.dtypes:
        program, step = tangent(program, run.outputs[output], program.inputs[n], program.inputs[f"tangent of {n}"])
        b = Builder.on(program)
        total = step if total is None else b.add(total, step)
        program = b.build({})
    assert total is not None
    return Recorded(program, total, {"jvp": run.tangents[output]}, {"jvp": run.values[f"jvp {output}"]})


def _jvp_reports(setting: Setting, rng: np.random.Generator) -> list[Report]:
    tangents = {f"tangent of {n}": draw(tuple(np.asarray(setting.values[n]).shape), rng) for n in setting.dtypes}
    moves = {n: tangents[f"tangent of {n}"] for n in setting.dtypes}
    run = setting.custom.run(setting.values, None, setting.dtypes, tangents=moves)
    reports = []
    for output in run.tangents:
        label = "jvp" if output == "output" else f"jvp of {output}"
        runs = Runs(setting, functools.partial(_forward, output=output))
        problem = setting.problem(runs, tangents, ["jvp"], 0)
        report = _report(problem, judge(problem), None, None)
        reports.append(replace(report, claims={label: replace(report.claims["jvp"], name=label)}))
    return reports
