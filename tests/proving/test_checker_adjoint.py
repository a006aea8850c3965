"""The derivative that the checker writes, against torch's autograd in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad.ops.scalars import OPS
from symgrad.proving.checker_adjoint import SLOPES, CheckedStep, derivative, positions
from symgrad.proving.checker_arithmetic import NotCovered

Steps = list[CheckedStep]
F64 = torch.float64


def in_torch(steps: Steps, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The values of steps, computed by torch."""
    values: list[torch.Tensor] = []
    for s in steps:
        a = [values[k] for k in s.args]
        match s.op:
            case "input":
                values.append(inputs[s.params])
            case "constant":
                number = np.pi if "name" in s.params else eval(s.params["entries"][0])
                values.append(torch.tensor(float(number), dtype=F64))
            case "pick":
                flat = torch.cat([torch.zeros(1, dtype=F64), *(x.reshape(-1) for x in a)])
                values.append(flat[torch.tensor(positions(s.params, s.shape))].reshape(s.shape))
            case "scatter":
                out = torch.zeros(s.size + 1, dtype=F64)
                values.append(
                    out.index_add(0, torch.tensor(positions(s.params, a[0].shape)), a[0].reshape(-1))[1:].reshape(
                        s.shape
                    )
                )
            case "powi":
                values.append(a[0] ** s.params)
            case "polygamma":
                values.append(torch.polygamma(s.params, a[0]))
            case "inverse":
                values.append(torch.linalg.inv(a[0]))
            case "det":
                values.append(torch.linalg.det(a[0]))
            case "neg":
                values.append(-a[0])
            case "add" | "sub" | "mul" | "div" | "pow" | "matmul":
                values.append(getattr(torch, s.op)(*a))
            case op:
                values.append(OPS[op].torch(*a))
    return values


def agrees(steps: Steps, inputs: dict[str, torch.Tensor], name: str, kind: str = "gradient") -> bool:
    """Whether the derivative of the last step is autograd's."""
    by = next(k for k, s in enumerate(steps) if s.params == name)
    new, last = derivative(steps, len(steps) - 1, by, kind)
    found = in_torch([*steps, *new], inputs)[last]
    value = lambda x: in_torch(steps, {**inputs, name: x})[-1]  # noqa: E731
    x = inputs[name]
    match kind:
        case "gradient":
            truth = torch.autograd.functional.jacobian(lambda x: value(x).sum(), x)
        case "jacobian":
            truth = torch.autograd.functional.jacobian(value, x)
        case _:
            truth = torch.autograd.functional.hessian(value, x)
    return found.shape == truth.shape and torch.allclose(found, truth, rtol=1e-9, atol=1e-12)


def leaf(name: str, *shape: int) -> CheckedStep:
    return CheckedStep("input", (), name, shape)


# SciPy's names for what torch has no derivative of are judged by the rows that have them in `SLOPES` all the same.
_NO_AUTOGRAD = {"Si", "Ci", "Ei", "li", "LambertW", "erfi"}


@pytest.mark.parametrize("op", sorted(set(SLOPES) - _NO_AUTOGRAD - {"neg"}))
def test_the_slope_of_each_function(op):
    at = 0.37
    steps = [leaf("x"), CheckedStep(op, (0,), None, ())]
    assert agrees(steps, {"x": torch.tensor(at, dtype=F64)}, "x")


@pytest.mark.parametrize("op", sorted(_NO_AUTOGRAD))
def test_the_slope_of_each_function_that_torch_can_not_differentiate(op):
    """By a symmetric difference of mpmath's values, at thirty digits."""
    import mpmath

    of = {"Si": "si", "Ci": "ci", "Ei": "ei", "li": "li", "LambertW": "lambertw", "erfi": "erfi"}[op]
    with mpmath.workdps(50):
        truth = mpmath.diff(getattr(mpmath, of), mpmath.mpf("0.37"))
    steps = [leaf("x"), CheckedStep(op, (0,), None, ())]
    new, last = derivative(steps, 1, 0, "gradient")
    found = in_torch([*steps, *new], {"x": torch.tensor(0.37, dtype=F64)})[last]
    assert float(found) == pytest.approx(float(mpmath.re(truth)), rel=1e-10)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "pow", "atan2"])
@pytest.mark.parametrize("name", ["x", "y"])
def test_two_arguments(op, name):
    steps = [leaf("x", 3), leaf("y", 3), CheckedStep(op, (0, 1), None, (3,))]
    inputs = {"x": torch.tensor([0.3, 1.2, 2.0], dtype=F64), "y": torch.tensor([1.7, 0.4, 0.9], dtype=F64)}
    assert agrees(steps, inputs, name)
    assert agrees(steps, inputs, name, "jacobian")


ARRAYS = {
    "powers": [leaf("x", 2), CheckedStep("powi", (0,), 3, (2,)), CheckedStep("neg", (1,), None, (2,))],
    "used twice": [
        leaf("x", 2),
        CheckedStep("pick", (0, 0), [1, 1, 0, 4, 2], (5,)),
        CheckedStep("exp", (1,), None, (5,)),
    ],
    "turned": [leaf("x", 2, 3), CheckedStep("pick", (0,), {"offset": 0, "strides": [1, 3]}, (3, 2))],
    "added up": [leaf("x", 2, 3), CheckedStep("scatter", (0,), {"offset": 0, "strides": [0, 1]}, (3,))],
    "added up, some": [
        leaf("x", 4),
        CheckedStep("exp", (0,), None, (4,)),
        CheckedStep("scatter", (1,), [2, 0, 1, 2], (2,)),
    ],
    "product": [leaf("x", 2, 2, 3), leaf("y", 2, 3, 2), CheckedStep("matmul", (0, 1), None, (2, 2, 2))],
    "inverse": [leaf("x", 1, 3, 3), CheckedStep("inverse", (0,), None, (1, 3, 3))],
    "determinant": [leaf("x", 2, 2, 2), CheckedStep("det", (0,), None, (2,))],
}


@pytest.mark.parametrize("kind", ["gradient", "jacobian"])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name, kind):
    steps = ARRAYS[name]
    generator = torch.Generator().manual_seed(5)
    inputs = {s.params: torch.rand(s.shape, generator=generator, dtype=F64) for s in steps if s.op == "input"}
    for wrt in inputs:
        assert agrees(steps, inputs, wrt, kind)


def test_hessians():
    steps = [leaf("x", 3), CheckedStep("tanh", (0,), None, (3,)), CheckedStep("mul", (0, 1), None, (3,))]
    steps.append(CheckedStep("scatter", (2,), [1, 1, 1], ()))
    assert agrees(steps, {"x": torch.tensor([0.2, -1.0, 0.7], dtype=F64)}, "x", "hessian")


def test_what_has_no_rule_is_said_by_name():
    steps = [leaf("x"), CheckedStep("airyai", (0,), None, ())]
    with pytest.raises(NotCovered, match="the derivative of airyai"):
        derivative(steps, 1, 0, "gradient")
