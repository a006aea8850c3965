"""The derivative that the checker writes, against torch's autograd in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.steps_in_torch import in_torch

from symgrad.proving.checker_adjoint import REAL, SLOPES, CheckedStep, derivative
from symgrad.proving.checker_arithmetic import NotCovered

Steps = list[CheckedStep]
F64 = torch.float64


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
_NO_AUTOGRAD = {"Si": "si", "Ci": "ci", "Ei": "ei", "li": "li", "LambertW": "lambertw", "erfi": "erfi", "Shi": "shi"}
_NO_AUTOGRAD |= {"Chi": "chi", "fresnels": "fresnels", "fresnelc": "fresnelc", "airyai": "airyai", "airybi": "airybi"}
_OF_TWO = ("add", "sub", "mul", "pow", "atan2", "polylog", "uppergamma", "elliptic_f", "elliptic_e", "elliptic_pi")
_DERIVATIVES = {"airyaiprime": "airyai", "airybiprime": "airybi"}


@pytest.mark.parametrize("op", sorted(set(SLOPES) - {*_NO_AUTOGRAD, *_DERIVATIVES, *_OF_TWO, "neg"}))
def test_the_slope_of_each_function(op):
    at = 0.37
    steps = [leaf("x"), CheckedStep(op, (0,), None, ())]
    assert agrees(steps, {"x": torch.tensor(at, dtype=F64)}, "x")


@pytest.mark.parametrize("op", sorted({*_NO_AUTOGRAD, *_DERIVATIVES}))
def test_the_slope_of_each_function_that_torch_can_not_differentiate(op):
    """By a symmetric difference of mpmath's values, at thirty digits."""
    import mpmath

    order, of = (1, _NO_AUTOGRAD[op]) if op in _NO_AUTOGRAD else (2, _DERIVATIVES[op])
    with mpmath.workdps(50):
        truth = mpmath.diff(getattr(mpmath, of), mpmath.mpf("0.37"), order)
    steps = [leaf("x"), CheckedStep(op, (0,), None, ())]
    new, last = derivative(steps, 1, 0, "gradient")
    found = in_torch([*steps, *new], {"x": torch.tensor(0.37, dtype=F64)})[last]
    assert float(found) == pytest.approx(float(mpmath.re(truth)), rel=1e-10)


@pytest.mark.parametrize(
    ("op", "numbers", "k"),
    [("elliptic_f", [0.7, 0.4], 0), ("elliptic_e", [0.7, 0.4], 0), ("elliptic_pi", [0.3, 0.7, 0.4], 1)],
)
def test_the_slope_of_elliptic_integrals_by_their_amplitude(op, numbers, k):
    """By a difference of mpmath's values, at fifty digits; no slope is known by another argument."""
    import mpmath

    of = {"elliptic_f": mpmath.ellipf, "elliptic_e": mpmath.ellipe, "elliptic_pi": mpmath.ellippi}[op]
    with mpmath.workdps(50):
        truth = mpmath.diff(lambda a: of(*(a if i == k else mpmath.mpf(x) for i, x in enumerate(numbers))), numbers[k])
    names = "xyz"[: len(numbers)]
    steps = [*map(leaf, names), CheckedStep(op, tuple(range(len(numbers))), None, ())]
    new, last = derivative(steps, len(numbers), k, "gradient")
    known = [leaf("x") if s.op.startswith(("slope", "elliptic")) else s for s in (*steps, *new)]
    found = in_torch(known, {n: torch.tensor(x, dtype=F64) for n, x in zip(names, numbers, strict=True)})[last]
    assert float(found) == pytest.approx(float(truth), rel=1e-10)


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


def by_backward(steps: Steps, inputs: dict[str, torch.Tensor], name: str) -> bool:
    """Whether the gradient is what backward() leaves in a complex leaf, or behind what is detached."""
    by = next(k for k, s in enumerate(steps) if s.params == name)
    new, last = derivative(steps, len(steps) - 1, by, "gradient")
    found = in_torch([*steps, *new], inputs)[last]
    leaves = {k: x.clone().requires_grad_() for k, x in inputs.items()}
    value = in_torch(steps, leaves)[-1]
    value.backward(torch.ones_like(value))
    truth = leaves[name].grad
    return truth is not None and torch.allclose(found.to(truth.dtype), truth, rtol=1e-9, atol=1e-12)


def complex_steps(op: str, arity: int, params: Any = None) -> Steps:
    """A function of complex z and w, and then both parts of what it gives, weighted."""
    real = op in REAL
    steps = [CheckedStep("input", (), name, (2,), True) for name in ("z", "w")][:arity]
    steps.append(CheckedStep(op, tuple(range(arity)), params, (2,), not real))
    if real:
        return steps
    steps += [CheckedStep("real", (arity,), None, (2,)), CheckedStep("imag", (arity,), None, (2,))]
    return [*steps, CheckedStep("powi", (arity + 2,), 2, (2,)), CheckedStep("add", (arity + 1, arity + 3), None, (2,))]


@pytest.mark.parametrize(
    "op", "add sub mul div pow neg powi exp log sqrt sin cos tanh sigmoid abs sign conj real imag".split()
)
def test_complex_numbers(op):
    """The conjugate Wirtinger gradient, as torch has it."""
    steps = complex_steps(op, 2 if op in ("add", "sub", "mul", "div", "pow") else 1, 3 if op == "powi" else None)
    inputs = {s.params: torch.tensor(_OF[s.params], dtype=torch.complex128) for s in steps if s.op == "input"}
    for name in inputs:
        assert by_backward(steps, inputs, name)


_OF = {"z": [0.3 + 1.2j, -0.7 - 0.4j], "w": [1.1 - 0.2j, 0.4 + 0.8j]}


def test_a_real_leaf_of_complex_numbers_gets_the_real_part():
    z, turned = CheckedStep("input", (), "z", (2,), True), CheckedStep("mul", (0, 1), None, (2,), True)
    steps = [leaf("x", 2), z, turned, CheckedStep("exp", (2,), None, (2,), True), CheckedStep("abs", (3,), None, (2,))]
    inputs = {"x": torch.tensor([0.3, -1.2], dtype=F64), "z": torch.tensor(_OF["z"], dtype=torch.complex128)}
    assert by_backward(steps, inputs, "x")
    assert by_backward(steps, inputs, "z")


def test_a_complex_function_of_a_real_number_has_a_complex_slope():
    z, turned = CheckedStep("input", (), "z", (), True), CheckedStep("mul", (0, 1), None, (), True)
    steps = [leaf("x"), z, turned, CheckedStep("exp", (2,), None, (), True)]
    new, last = derivative(steps, 3, 0, "slope")
    x, w = torch.tensor(0.3, dtype=F64), torch.tensor(0.2 + 1.1j, dtype=torch.complex128)
    assert torch.allclose(in_torch([*steps, *new], {"x": x, "z": w})[last], w * torch.exp(x * w))


def test_what_is_detached_passes_nothing_on():
    steps = [leaf("x", 2), CheckedStep("sin", (0,), None, (2,)), CheckedStep("stop", (1,), None, (2,))]
    steps += [CheckedStep("mul", (0, 2), None, (2,)), CheckedStep("mul", (1, 3), None, (2,))]
    assert by_backward(steps, {"x": torch.tensor([0.3, -1.2], dtype=F64)}, "x")


def test_hessians():
    steps = [leaf("x", 3), CheckedStep("tanh", (0,), None, (3,)), CheckedStep("mul", (0, 1), None, (3,))]
    steps.append(CheckedStep("scatter", (2,), [1, 1, 1], ()))
    assert agrees(steps, {"x": torch.tensor([0.2, -1.0, 0.7], dtype=F64)}, "x", "hessian")


def test_what_has_no_rule_is_said_by_name():
    steps = [leaf("x"), CheckedStep("elliptic_k", (0,), None, ())]
    with pytest.raises(NotCovered, match="the derivative of elliptic_k"):
        derivative(steps, 1, 0, "gradient")
