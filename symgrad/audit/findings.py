"""Torch's derivatives beside the exact ones: each mode of each case, and what is told of a difference.

The exact derivative is symgrad's, of torch's own forward pass as it was recorded, in balls.  A difference is told if it
is far more than rounding explains (`is_unstable`), *and* torch's own forward pass sides with the exact number
(`quotients`, from the five lines that are told).  So a rule of symgrad's that were wrong would be told by nobody.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
import torch
from torch import Tensor
from torch.func import grad, jvp

from symgrad.api.gradients import lift
from symgrad.audit.cases import Case
from symgrad.audit.quotients import confirms, has_two_answers, is_the_derivative, line
from symgrad.errors import SymgradError
from symgrad.evaluation.singular_points import value_at
from symgrad.program.builder import Builder
from symgrad.program.derivative import gradients
from symgrad.program.program import Program
from symgrad.progress import doing, shown
from symgrad.rounding.accuracy import condition, is_unstable

_SETUP = "v = tuple(torch.linspace(k, 2, t.numel(), dtype=t.dtype).reshape(t.shape) for k, t in enumerate(x, 1))"
_DOT = "dot = lambda a, b: sum((p * q).sum() for p, q in zip(a, b))"
MODES = {  # what is asked of torch, by f, x and a direction v: the gradient, v . grad f, and v . H v in four ways
    "reverse": "torch.autograd.grad(f([t.requires_grad_() for t in x]), x, materialize_grads=True)",
    "forward": "jvp(f, (x,), (v,))[1]",
    "reverse over reverse": "dot(grad(lambda x: dot(grad(f)(x), v))(x), v)",
    "forward over reverse": "jvp(lambda x: dot(grad(f)(x), v), (x,), (v,))[1]",
    "reverse over forward": "dot(grad(lambda x: jvp(f, (x,), (v,))[1])(x), v)",
    "forward over forward": "jvp(lambda x: jvp(f, (x,), (v,))[1], (x,), (v,))[1]",
}
AGAINST = "forward against reverse"  # of which one is taken for exact: there is no derivative


@dataclass(frozen=True)
class Found:
    """One derivative of torch's that is wrong: where, what torch says, what is so, and five lines that show it."""

    name: str
    mode: str
    dtype: str
    where: str
    torch: float
    exact: float
    reproducer: str
    times: int = 1  # at how many points


@shown("auditing torch")
def audit(cases: Iterable[Case], tell: Callable[[str], None] = lambda _: None) -> list[Found]:
    """What is wrong, at the first point for each operator, mode and dtype; ``tell`` is told what was not judged."""
    found: dict[tuple[str, str, str], Found] = {}
    for case in cases:
        doing(f"auditing {case.name}")
        for dtype in (torch.float64, torch.float32):
            try:
                for one in judge(case.cast(dtype)):
                    key = one.name, one.mode, one.dtype
                    first = found.get(key, one)
                    found[key] = Found(**{**vars(first), "times": first.times + (key in found)})
            except SymgradError as error:
                tell(f"{case.name}: {error.what}")
                break
    return list(found.values())


def judge(case: Case) -> Iterator[Found]:
    """What torch gets wrong of one case, in the dtype of its point.  Raises what `lift` raises."""
    space, dtype = _space(case), str(case.point[0].dtype).removeprefix("torch.")
    f, doubles = space["f"], tuple(x.double() for x in case.point)
    try:
        if not torch.isfinite(f(case.point)) or not torch.equal(f(doubles), f(doubles)):
            return
    except (RuntimeError, ValueError):  # no kernel for this dtype, or no point of it
        return
    program, steps = _derivatives(f, case.point, space["v"])
    along = [x.double() for x in space["v"]]
    exact = {
        "reverse": [n for k in range(len(doubles)) for n in _numbers(program, steps[f"g{k}"], doubles)],
        "forward": _numbers(program, steps["forward"], doubles),
        "second": _numbers(program, steps["second"], doubles),
    }
    slopes = torch.tensor([truth for truth, _ in exact["reverse"]], dtype=torch.float64)
    sizes = torch.cat([x.reshape(-1) for x in doubles]).abs()
    known = slopes.abs().nan_to_num()
    size = float(case.size(doubles) + known.max() + (known * sizes).sum())
    far, near = max(1.0, float(sizes.max())), min([1.0, *sizes[sizes > 0].tolist()])
    total = math.nan
    for mode, text in MODES.items():
        order = 2 if "over" in mode else 1
        try:
            said = eval(text, _space(case))
        except (RuntimeError, NotImplementedError):  # torch says that it cannot
            continue
        values = torch.cat([t.detach().reshape(-1) for t in said]).tolist() if mode == "reverse" else [float(said)]
        truths = exact["second" if order == 2 else mode]
        wrong = [
            k
            for k, (value, (truth, floor)) in enumerate(zip(values, truths, strict=True))
            if _differs(value, truth, floor, dtype, size / (far if truth else near) ** order)
        ]
        for k in wrong:
            shown, entry = _shown(case, mode, k), k if mode == "reverse" else None
            if confirms(shown, order, entry, values[k], truths[k][0]) and _is_smooth(f, doubles, slopes):
                yield Found(case.name, mode, case.dtype, case.where, values[k], truths[k][0], shown)
                break
        if mode == "reverse":
            total = sum(map(operator.mul, values, torch.cat([t.reshape(-1) for t in along]).tolist()))
        elif mode == "forward" and _differs(values[0], total, truths[0][1], dtype, size):
            shown = _shown(case, AGAINST, 0)
            if has_two_answers(shown, values[0], total):
                yield Found(case.name, AGAINST, case.dtype, case.where, values[0], total, shown)


def _shown(case: Case, mode: str, k: int) -> str:
    """Five lines without symgrad that print what torch says; of a gradient the entry that is looked at first."""
    written = ", ".join(f"torch.tensor({x.tolist()}, dtype={x.dtype})" for x in case.point)
    entry = f"torch.cat([t.flatten() for t in {MODES['reverse']}])[{k}]"
    texts = {**MODES, "reverse": entry, AGAINST: f"{MODES['forward']}, dot({MODES['reverse']}, v)"}
    return "\n".join(
        [
            "import torch; from torch.func import grad, jvp",
            f"x = ({written},)",
            f"f = {case.text}",
            f"{_SETUP}; {_DOT}",
            f"print({texts[mode]})",
        ]
    )


def _space(case: Case) -> dict[str, Any]:
    space: dict[str, Any] = {"torch": torch, "grad": grad, "jvp": jvp, "f": case.function()}
    space["x"] = tuple(x.clone() for x in case.point)
    exec(f"{_SETUP}; {_DOT}", space)
    return space


# ---------------------------------------------------------------------------------------------- the exact derivatives


def _derivatives(
    f: Callable[..., Tensor], point: Sequence[Tensor], direction: Sequence[Tensor]
) -> tuple[Program, dict[str, int]]:
    """The function's record with its gradient, and its first and second derivative along a direction."""
    names = [f"x{k}" for k in range(len(point))]
    model = eval(f"lambda {', '.join(names)}: f(({', '.join(names)},))", {"f": f})
    program = lift(model, at=dict(zip(names, point, strict=True)))
    b = Builder.on(program)
    inputs = {n: program.inputs[n] for n in names}
    kind = program.steps[program.output].dtype
    v = {n: b.constant(d.double().numpy(), kind) for n, d in zip(names, direction, strict=True)}

    def along(of: int) -> tuple[dict[str, int], int]:
        found = gradients(b, of, inputs)
        parts = [b.sum(b.mul(g, v[n])) for n, g in found.items()]
        return found, b.sum(b.stack(parts))

    first, forward = along(program.output)
    steps = {f"g{k}": first[n] for k, n in enumerate(names)} | {"forward": forward, "second": along(forward)[1]}
    return b.build({"value": program.output, **steps}), steps


def _numbers(program: Program, step: int, point: Sequence[Tensor]) -> list[tuple[float, float]]:
    """Each entry of a derivative, NaN where it has none, with what accuracy its inputs and its constants allow."""
    at = {f"x{k}": x for k, x in enumerate(point)}
    values = value_at(program, step, program.outputs["value"], {n: x.numpy() for n, x in at.items()}, one_sided=True)
    values = values.reshape(-1)
    open_program, more = _with_constants_as_inputs(program)
    floors = zip(
        condition(open_program, {**at, **more}, step, entries=range(values.size)).tolist(),
        condition(program, at, step, entries=range(values.size)).tolist(),
        strict=True,
    )
    return [(v, next(filter(math.isfinite, both), abs(v))) for v, both in zip(values.tolist(), floors, strict=True)]


def _with_constants_as_inputs(program: Program) -> tuple[Program, dict[str, Tensor]]:
    """So that what weights and direction let cancel is no fault: they are rounded as inputs are.

    Numbers such as a root of pi are not: everybody can have more digits of them.
    """
    steps, values = list(program.steps), {}
    for i, step in enumerate(steps):
        is_open = step.op == "constant" and not step.is_complex and not _is_irrational(step.params.exact)
        value = step.params.value if is_open else 0
        if np.size(value) > 1 or np.any(np.mod(value, 1)):  # a whole number is what it is: an exponent, a half of two
            name = f"constant {i}"
            values[name] = torch.as_tensor(np.broadcast_to(np.asarray(value, float), step.shape).copy())
            steps[i] = replace(step, op="input", args=(), params=name)
    inputs = {**program.inputs, **{n: int(n.split()[1]) for n in values}}
    return replace(program, steps=tuple(steps), inputs=inputs), values


def _is_irrational(exact: Any) -> bool:
    return isinstance(exact, sp.Expr) and exact.is_rational is False


def _differs(value: float, truth: float, attainable: float, dtype: str, size: float) -> bool:
    """Whether torch's number is none, or further off than rounding and the range of the dtype explain.

    ``size`` is what a derivative of such a function has: some units in its last place are no find where it cancels,
    and least of all where it cancels altogether.
    """
    f = torch.finfo(getattr(torch, dtype))
    if not math.isfinite(truth) or abs(truth) > f.max / 4:
        return False
    if not math.isfinite(value):
        return True
    error = abs(value - truth)
    return error > max(2**10 * f.tiny, 16 * f.eps * size) and bool(
        is_unstable(torch.tensor(error), torch.tensor(attainable), dtype)
    )


def _is_smooth(f: Callable[..., Tensor], point: Sequence[Tensor], slopes: Tensor) -> bool:
    """Whether the exact gradient gives the slopes along general lines too: on one line a kink may hide."""
    seeded, sizes = torch.Generator().manual_seed(0), [x.numel() for x in point]
    for _ in range(2):
        flat = torch.randn(slopes.numel(), generator=seeded, dtype=torch.float64)
        direction = [d.reshape(x.shape) for d, x in zip(torch.split(flat, sizes), point, strict=True)]
        allowed = 0.01 * (float((slopes * flat).abs().sum()) or 1.0)
        if not is_the_derivative(float((slopes * flat).sum()), allowed, 1, *line(f, point, direction)):
            return False
    return True
