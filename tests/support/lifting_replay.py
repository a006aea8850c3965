"""What every test of lifting by running demands of a recorded Program.

`replay` runs user code at one point and reads the recorded Program in floats there and at a second point of the same
branch: both must give what the code itself gives (a value that was lost on the way would stay what it was at the
first).  `gradient_agrees` compares the Program's adjoint with torch's autograd in float64.

An argument's name says what it is: x y z u v are vectors, p q positive ones, s t r scalars, A B square matrices, C a
wide one, P a positive definite one, X a tensor of three axes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from support.adjoints import adjoint

from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.lifting.tracing.functions import Function, Run
from symgrad.program.builder import Builder
from symgrad.program.program import interpret

SHAPES = {
    **dict.fromkeys("xyzuvpq", (4,)),
    **dict.fromkeys("str", ()),
    **dict.fromkeys("ABP", (4, 4)),
    "C": (3, 4),
    "X": (2, 3, 4),
}
TOLERANCE = {"float64": 1e-13, "complex128": 1e-13, "float32": 2e-6, "complex64": 2e-6}


def points(names: Any, *, dtype: str = "float64", seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two points close to each other."""
    random = np.random.default_rng(seed)
    first, second = {}, {}
    for name in names:
        value, step = random.standard_normal(SHAPES[name]), random.standard_normal(SHAPES[name])
        other = value + 1e-3 * step
        if name in "pq":
            value, other = np.abs(value) + 0.5, np.abs(other) + 0.5
        if name == "P":
            value, other = (m @ m.T + np.eye(4) for m in (value, other))
        first[name], second[name] = (np.asarray(m, dtype=dtype) for m in (value, other))
    return first, second


def floats(program: Any, point: Mapping[str, Any], wanted: Any = None, dtype: str | None = None) -> dict[int, Any]:
    inputs = {name: torch.as_tensor(np.asarray(point[name])) for name in program.inputs}
    if dtype is not None:
        inputs = {n: x.to(torch.complex128 if x.is_complex() else torch.float64) for n, x in inputs.items()}
    return interpret(program, Floats(dtype), inputs, wanted)


def assert_equal(got: Any, want: Any, rtol: float) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert np.array_equal(np.isnan(got), np.isnan(want))
    scale = np.max(np.abs(np.where(np.isfinite(want), want, 0)), initial=1e-300)
    finite = np.isfinite(want)
    assert np.array_equal(got[~finite & ~np.isnan(want)], want[~finite & ~np.isnan(want)])
    assert np.max(np.abs(got[finite] - want[finite]), initial=0) <= rtol * scale, (got, want)


def replay(
    code: Callable[..., Any] | Function, *at: Mapping[str, Any], like: str | None = None, dtype="float64"
) -> Run:
    """Run, record, and check the Program at every point; the first two are drawn by the arguments' names."""
    function = code if isinstance(code, Function) else Function.of(code, like=like)
    at = at or points(function.names, dtype=dtype)
    dtypes = {n: str(np.asarray(v).dtype) for n, v in at[0].items()}
    run = function.run(at[0], dtypes)
    for point in at:
        values, plain = floats(run.program, point), function.plain(point, dtypes)
        assert plain.keys() == run.program.outputs.keys()
        for name, step in run.program.outputs.items():
            kind = plain[name].dtype
            if kind.kind in "fc" and function.library != "math":
                assert run.program.steps[step].dtype == str(kind)
            narrow = {str(kind), *dtypes.values()} & TOLERANCE.keys()
            assert_equal(to_numpy(values[step]), plain[name], max(TOLERANCE[d] for d in narrow))
    return run


def gradients(run: Run, point: Mapping[str, Any], wrt: Any, cotangents: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The adjoint of sum(cotangent * output), read in float64."""
    b = Builder.on(run.program)
    total = None
    for name, seed in cotangents.items():
        part = b.sum(b.mul(run.program.outputs[name], b.constant(seed)))
        total = part if total is None else b.add(total, part)
    result = adjoint(b.build({"total": total}), total)
    steps = {name: result.of.get(run.program.inputs[name]) for name in wrt if name in run.program.inputs}
    values = floats(result.program, point, [s for s in steps.values() if s is not None], "float64")
    return {
        name: np.zeros(np.shape(point[name])) if steps.get(name) is None else to_numpy(values[steps[name]])
        for name in wrt
    }


def gradient_agrees(code: Callable[..., Any], *at: Mapping[str, Any], rtol: float = 1e-12) -> Run:
    """`replay`, and the adjoint of a random combination of the outputs equals torch's."""
    run = replay(code, *at)
    names = tuple(inspect.signature(code).parameters)
    point = at[0] if at else points(names)[0]
    leaves = {n: torch.tensor(v, requires_grad=v.dtype.kind == "f") for n, v in point.items()}
    result = code(**leaves)
    parts = result if isinstance(result, tuple) else (result,)
    random = np.random.default_rng(1)
    seeds = {name: random.standard_normal(v.shape) for name, v in run.values.items()}
    total = sum((torch.tensor(s) * y).sum() for s, y in zip(seeds.values(), parts, strict=True))
    wrt = [n for n, x in leaves.items() if x.requires_grad]
    if total.requires_grad:
        truth = torch.autograd.grad(total, [leaves[n] for n in wrt], allow_unused=True)
    else:
        truth = [None] * len(wrt)
    found = gradients(run, point, wrt, seeds)
    for name, t in zip(wrt, truth, strict=True):
        assert_equal(found[name], np.zeros(point[name].shape) if t is None else t.numpy(), rtol)
    return run
