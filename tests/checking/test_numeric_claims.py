"""Numbers without code: what rounding can account for, and what it cannot; layouts and orders of answers."""

import math

import numpy as np
import pytest
import torch

from symgrad import compare, jvp, verify, vjp
from symgrad.checking.numeric_claims import typed_unit
from symgrad.checking.verdicts import Agrees
from symgrad.errors import BadInput, UnknownName, WrongShape

AT = {"w": 0.7, "x": 1.3}
TRUE = 1.3 * (1 - math.tanh(0.91) ** 2)


def judge(value, at=AT):
    report = verify("tanh(w*x)", {"w": value}, at=at)
    return report, report.claims["w"]


def test_a_number_that_rounding_explains_agrees_and_says_to_what():
    report, claim = judge(TRUE)
    assert report.verdict == "agrees"
    assert isinstance(claim.verdict, Agrees)
    assert 1e-16 < claim.verdict.told_to < 1e-12
    assert "as far as numbers alone can tell" in " ".join(str(report).split())


@pytest.mark.parametrize("relative", [1e-11, 1e-6, 0.01, -1.0])
def test_a_number_that_rounding_does_not_explain_is_refuted(relative):
    report, claim = judge(TRUE * (1 + relative))
    assert report.verdict == "refuted"
    assert claim.witness.at_own_point
    assert "rounding, in float64 and to the digits that were typed, accounts for at most" in report.notes[0]


@pytest.mark.parametrize(("relative", "verdict"), [(0.0, "agrees"), (1e-7, "agrees"), (1e-3, "refuted")])
def test_the_dtype_of_the_numbers_decides_what_rounding_can_do(relative, verdict):
    """A relative difference of 1e-7 is nothing in float32, and an error in float64."""
    point = {n: np.float32(v) for n, v in AT.items()}
    w, x = (float(v) for v in point.values())
    value = x * (1 - math.tanh(w * x) ** 2) * (1 + relative)
    assert judge(np.float32(value), point)[0].verdict == verdict


def test_no_rounding_of_a_stable_computation_is_called_wrong():
    """Entries of gradients that torch computed in float32, 192 of them, against exact derivatives."""

    def model(W, x, y):
        return ((torch.tanh(W @ x) - y) ** 2).sum()

    for seed in range(16):
        g = torch.Generator().manual_seed(seed)
        at = {"W": torch.randn(3, 4, generator=g), "x": torch.randn(4, generator=g), "y": torch.randn(3, generator=g)}
        W = at["W"].clone().requires_grad_()
        (numbers,) = torch.autograd.grad(model(W, at["x"], at["y"]), W)
        assert verify(model, {"W": numbers}, at=at).verdict == "agrees"
        assert verify(model, {"W": numbers * 1.01}, at=at).verdict == "refuted"


def test_of_a_few_entries_near_zero_less_is_told_and_the_others_agree():
    """An ulp of x in x - 1: nothing where that is about one, and a tenth of the two that are tiny."""
    x = torch.linspace(2, 3, 40)
    x[:2] = 1 + 2.0**-20
    numbers = x - 1 + 2.0**-23
    report = verify(lambda x: ((x - 1) ** 2).sum() / 2, {"x": numbers}, at={"x": x})
    verdict = report.claims["x"].verdict
    assert (verdict.kind, verdict.faint) == ("agrees", 2)
    assert "and of 2 entries near zero more" in " ".join(str(report).split())
    assert verify(lambda x: ((x - 1) ** 2).sum() / 2, {"x": numbers[:4]}, at={"x": x[:4]}).verdict == "undecided"


def test_numbers_copied_from_a_print():
    """tensor(8.1888): four digits after the point, and so half a unit of the last of them."""
    at = {"w_h": 2.0, "w_y": 40.0, "h0": 0.5}
    formula = "w_y*tanh(w_h*tanh(w_h*h0))"
    assert verify(formula, {"w_h": 8.1888}, at=at).verdict == "agrees"
    assert verify(formula, {"w_h": 8.1898}, at=at).verdict == "refuted"
    assert verify(formula, {"w_h": -40.21530288726289}, at=at).verdict == "refuted"


@pytest.mark.parametrize(
    ("numbers", "unit"),
    [([0.1234, -0.02, 1.5], 1e-4), (0.5, 0.0), (1 / 3, 0.0), (8.1888, 1e-4), ([1.0, 2.0], 0.0), ([], 0.0)],
)
def test_typed_units(numbers, unit):
    assert typed_unit(np.asarray(numbers, dtype=np.float64)) == pytest.approx(unit, rel=1e-12)


def test_numbers_beside_formulas():
    """Each is judged as what it is: the formula everywhere, the number here."""
    report = verify("tanh(w*x)", {"w": TRUE, "x": "w*(1 - tanh(w*x)**2)"}, at=AT)
    assert {n: c.kind for n, c in report.claims.items()} == {"w": "agrees", "x": "proved"}


def test_numbers_at_a_kink_and_outside_the_domain():
    kink = verify("abs(w)", {"w": 0.3}, at={"w": 0.0})
    assert kink.verdict == "agrees"
    assert [(k.low, k.high, k.hand) for k in kink.kinks] == [(-1.0, 1.0, 0.3)]
    assert verify("abs(w)", {"w": 1.3}, at={"w": 0.0}).verdict == "refuted"
    assert verify("tanh(w*x)", {"w": float("nan")}, at=AT).verdict == "refuted"


# ------------------------------------------------------------------------------------------------ layouts and orders


def residual(W, x, y):
    return ((W @ x - y) ** 2).sum()


def right(W, x, y):
    return {"W": 2 * torch.outer(W @ x - y, x)}


def turned(W, x, y):
    return {"W": 2 * torch.outer(x, W @ x - y)}


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.slow
def test_a_transposed_gradient_is_wrong_and_called_a_transpose(n, bare):
    g = torch.Generator().manual_seed(0)
    at = {"W": torch.randn(3, n, generator=g), "x": torch.randn(n, generator=g), "y": torch.randn(3, generator=g)}
    hand = {"W": turned(**at)["W"]} if bare else turned
    report = verify(residual, hand, at=at)
    assert report.verdict == "refuted"
    assert f"W: yours is exactly the transpose of the derivative, which has shape [3, {n}]." in report.notes
    other = {"W": 2 * turned(**at)["W"]} if bare else lambda W, x, y: {"W": 2 * turned(W, x, y)["W"]}
    assert not any("transpose" in note for note in verify(residual, other, at=at).notes)


def test_squeezed_layouts_are_told():
    report = verify(lambda w, x: (w * x).sum(), lambda w, x: {"w": x.reshape(-1)}, at={"w": (3, 1), "x": (3, 1)})
    assert report.verdict == "proved"
    assert report.claims["w"].note == "yours has the shape [3] and was read in the shape [3, 1]"


def test_a_jacobian_of_per_sample_losses():
    """The gradients of each sample's loss, stacked: the Jacobian of the vector of losses."""

    def losses(w, X, y):
        return (X @ w - y) ** 2

    def per_sample(w, X, y):
        return {"w": 2 * (X @ w - y)[:, None] * X}

    at = {"w": (3,), "X": (4, 3), "y": (4,)}
    assert verify(losses, per_sample, at=at, wrt="w").verdict == "proved"
    wrong = verify(losses, lambda w, X, y: {"w": (X @ w - y)[:, None] * X}, at=at, wrt="w")
    assert wrong.verdict == "refuted"


def test_a_hessian_in_numbers():
    def f(x):
        return (x**4).sum() / 12 + x[0] * x[1]

    x = torch.tensor([0.5, -1.5], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(f, x)
    assert verify(f, {"x": hessian}, at={"x": x}, order=2).verdict == "agrees"
    assert verify(f, {"x": hessian + torch.eye(2)}, at={"x": x}, order=2).verdict == "refuted"


def test_single_values_tuples_and_mappings():
    assert verify("w**2*x", "2*w*x", wrt="w").verdict == "proved"
    assert verify("w**2*x", ("2*w*x", "w**2"), wrt=("w", "x")).verdict == "proved"
    assert verify("w**2*x", {"x": "w**2", "w": "2*w*x"}).verdict == "proved"
    assert verify("w**2*x", ("w**2", "2*w*x"), wrt=("w", "x")).verdict == "refuted"


def test_complex_numbers():
    z = np.array(1.5 - 0.5j)
    model = lambda z: (z * z.conj()).real  # noqa: E731
    assert verify(model, {"z": 2 * z}, at={"z": torch.tensor(z)}).verdict == "agrees"
    assert verify(model, {"z": 2 * z.conj()}, at={"z": torch.tensor(z)}).verdict == "refuted"


# ------------------------------------------------------------------------------------------------ products


def test_a_vjp_given_a_cotangent():
    def layer(W, x):
        return torch.tanh(W @ x)

    def pulled(W, x, g):
        dz = g * (1 - torch.tanh(W @ x) ** 2)
        return {"W": torch.outer(dz, x), "x": W.T @ dz}

    def forgotten(W, x, g):
        dz = 1 - torch.tanh(W @ x) ** 2
        return {"W": torch.outer(dz, x), "x": W.T @ dz}

    at = {"W": (3, 2), "x": (2,), "g": (3,)}
    report = verify(vjp(layer, "g"), pulled, at=at)
    assert report.verdict == "proved"
    assert report.claims["W"].autograd_value is not None
    assert verify(vjp(layer, "g"), forgotten, at=at).verdict == "refuted"


def test_a_jvp_given_tangents():
    def layer(W, x):
        return torch.tanh(W @ x)

    def pushed(W, x, dW, dx):
        return (1 - torch.tanh(W @ x) ** 2) * (dW @ x + W @ dx)

    at = {"W": (3, 2), "x": (2,), "dW": (3, 2), "dx": (2,)}
    along = {"W": "dW", "x": "dx"}
    assert compare(jvp(layer, along), pushed, at=at).kind == "proved"
    assert compare(jvp(layer, along), lambda W, x, dW, dx: pushed(W, x, dW, 2 * dx), at=at).kind == "refuted"
    W, x, dW, dx = (torch.randn(s, dtype=torch.float64) for s in at.values())
    _, truth = torch.func.jvp(layer, (W, x), (dW, dx))
    assert torch.allclose(pushed(W, x, dW, dx), truth)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: vjp("x*v", "v"), BadInput, "the formula has an input called 'v' itself.\nGive v another name."),
        (lambda: jvp("x*v", {"y": "dy"}), UnknownName, "tangents has 'y', but the formula has only v, x."),
        (
            lambda: verify(vjp(lambda x: x**2, "g"), lambda x, g: {"x": 2 * x * g}, at={"x": (3,), "g": (2,)}),
            WrongShape,
            "g has the shape [2], and the formula's output [3].\nA cotangent has the output's shape: at={'g': (3,)}.",
        ),
    ],
)
def test_what_is_wrong_with_a_product_is_told(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message
