"""How far the float kernels of the operation table err, in units in the last place: measured, and printed as a table.

    python tests/support/measure_ulps.py [points] [row ...]

The truth is Arb's ball of the row's meaning at 1,300 bits (which `test_scalars.py` checks against mpmath).  An error is
counted in units in the last place of the true value, or of the row's ``of`` where that is larger: a kernel that
subtracts numbers near one cannot keep the digits of a difference near zero.  What `kernel_errors` states as an absolute
error in the dtypes of few digits is taken off first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.evaluation.balls import Balls, ball_of, binary
from symgrad.ops.row import precision
from symgrad.ops.scalars import OPS, Op, X, Y
from symgrad.program.builder import Builder
from symgrad.program.program import interpret
from symgrad.rounding.kernel_bounds import HALF_ABSOLUTE

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def one_step(op: Op) -> Any:
    """The Program that applies a row to its inputs X (and Y)."""
    b = Builder()
    steps = [b.input(name, ()) for name in ("X", "Y")[: op.arity]]
    return b.build({"value": b.apply(op.name, *steps)})


def inside(op: Op, points: list[np.ndarray]) -> np.ndarray:
    """Which points lie in the row's domain."""
    holds = sp.lambdify((X, Y), op.domain, "numpy")(points[0], points[-1])
    return np.broadcast_to(np.asarray(holds, dtype=bool), points[0].shape)


def sample(op: Op, n: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[np.ndarray]:
    """``n`` points of the row's domain, exact in ``dtype``: magnitudes from 1e-8 to 1e2, plain ones, near 0 and 1."""
    rng = np.random.default_rng(seed)
    found: list[list[np.ndarray]] = [[] for _ in range(op.arity)]
    count = 0
    while count < n:
        columns = []
        for _ in range(op.arity):
            m = 2 * n
            kinds = [
                10 ** rng.uniform(-8, 2, m) * rng.choice([-1, 1], m),
                rng.uniform(-8, 8, m),
                rng.uniform(-1, 1, m),
                rng.choice([-1, 1], m) * (1 + rng.choice([-1, 1], m) * 10 ** rng.uniform(-6, -1, m)),
            ]
            drawn = np.choose(rng.integers(0, len(kinds), m), kinds)
            columns.append(torch.tensor(drawn).to(dtype).double().numpy() + 0.0)  # no -0.0
        keep = inside(op, columns)
        for place, column in zip(found, columns, strict=True):
            place.append(column[keep])
        count += int(keep.sum())
    return [np.concatenate(place)[:n] for place in found]


def exact(op: Op, points: list[np.ndarray]) -> np.ndarray:
    """Balls of the row's meaning, by its branches where it chooses."""
    if op.branches:
        return _chosen(op, points)
    b = Builder()
    steps = [b.input(name, points[0].shape) for name in ("X", "Y")[: op.arity]]
    program = b.build({"value": b.apply(op.name, *steps)})
    return interpret(program, Balls(), {k: binary(p) for k, p in zip(("X", "Y"), points)})[program.output]


def _chosen(op: Op, points: list[np.ndarray]) -> np.ndarray:
    """SymPy's own reading of a choice, at exact rational points."""
    from symgrad.program.selection import select

    b = Builder()
    steps = [b.input(name, points[0].shape) for name in ("X", "Y")[: op.arity]]
    program = b.build({"value": select(b, op.name, steps, points)})
    return interpret(program, Balls(), {k: binary(p) for k, p in zip(("X", "Y"), points)})[program.output]


def errors(
    op: Op, kernel: Callable[..., Any], dtype: torch.dtype, points: list[np.ndarray], numpy: bool = False
) -> Any:
    """The kernel's error at every point, in units in the last place; overflow and underflow count as zero."""
    with precision(1300):  # log_ndtr(20) is 1e-90 short of nothing
        truth = exact(op, points)
        if numpy:
            kind = str(dtype).removeprefix("torch.")
            with np.errstate(all="ignore"):
                got = kernel(*(p.astype(kind) for p in points)).astype(np.float64)
        else:
            got = kernel(*(torch.tensor(p).to(dtype) for p in points)).double().numpy()
        info = torch.finfo(dtype)
        of = np.zeros(points[0].shape)
        if op.of is not None:
            of = np.abs(np.broadcast_to(sp.lambdify((X, Y), op.of, "numpy")(points[0], points[-1]), points[0].shape))
        found = np.zeros(points[0].shape)
        absolute = HALF_ABSOLUTE.get(op.name, 0.0) if info.bits == 16 else 0.0
        for k, (ball, value) in enumerate(zip(truth, got.tolist(), strict=True)):
            near = float(ball.mid())
            if abs(near) > info.max:
                continue
            if not np.isfinite(value):
                found[k] = np.inf
                continue
            error = float(abs(ball_of(value) - ball).upper()) - absolute
            if error <= info.smallest_normal * (1 + max(abs(p[k]) for p in points)):
                continue  # kernels may flush what is below the normal numbers
            found[k] = error / (2.0 ** (np.frexp(max(abs(near), of[k]))[1] - 1) * info.eps)
    return found


def numpy_kernel(op: Op) -> Callable[..., Any] | None:
    """NumPy's function of the row's name or one of its other names."""
    return next((getattr(np, name) for name in (op.name, *op.also) if hasattr(np, name)), None)


def main(points: int, rows: list[str]) -> None:
    names = [str(d).removeprefix("torch.") for d in DTYPES]
    print(f"{'row':14s} {'stated':>7s}", *(f"{n:>9s}" for n in names), "  NumPy:", *(f"{n:>8s}" for n in names[:3]))
    for name in rows or OPS:
        op = OPS[name]
        line, worst = [], 0.0
        for dtype in DTYPES:
            at = sample(op, points, dtype)
            try:
                worst_here = errors(op, op.torch, dtype, at)
            except NotImplementedError:  # torch has no such kernel
                line.append(f"{'-':>9s}")
                continue
            line.append(f"{worst_here.max():9.3g}")
            if worst_here.max() >= worst:
                worst = worst_here.max()
                where = [p[worst_here.argmax()] for p in at]
        line.append("        ")
        kernel = numpy_kernel(op)
        for dtype in DTYPES[:3] if kernel is not None else ():
            found = errors(op, kernel, dtype, sample(op, points, dtype), numpy=True).max()
            line.append(f"{found:8.3g}")
            worst = max(worst, found if dtype != torch.float16 else 0)
        mark = "  <- more than half of what is stated" if worst > op.ulps / 2 and worst else ""
        print(f"{name:14s} {op.ulps:7g}", *line, mark, f"at {where}" if mark else "", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000, sys.argv[2:])
