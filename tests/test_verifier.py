"""verify, from a person's code to the verdict.

The two questions that the library was made for come first, told again in our own code: a recurrent network whose two
derivations agree with each other and are both wrong, and a network whose formulas are right although they differ from
autograd in the ninth decimal.  The ways in which derivations go wrong are in test_corpus.py.
"""

from __future__ import annotations

import math
import threading
from functools import partial

import numpy as np
import pytest
import sympy as sp
import torch
from support.networks import POINT, net, rnn

from symgrad import lift, verify
from symgrad.checking.verdicts import Proved

OK = ("proved", "agrees")

# ------------------------------------------------------------------------------------------------ two tanh steps


def forward_chain(w_h, w_y, h0, *, slope=lambda raw, out: 1 - raw**2):
    h1_raw = w_h * h0
    h1 = math.tanh(h1_raw)
    h2_raw = w_h * h1
    h2 = math.tanh(h2_raw)
    dh1_dwh = slope(h1_raw, h1) * h0
    dh2_dwh = slope(h2_raw, h2) * (h1 + w_h * dh1_dwh)
    return {"w_h": w_y * dh2_dwh, "w_y": h2}


def backward_pass(w_h, w_y, h0, *, slope=lambda raw, out: 1 - raw**2):
    h1_raw = w_h * h0
    h1 = math.tanh(h1_raw)
    h2_raw = w_h * h1
    h2 = math.tanh(h2_raw)
    dh2_raw = slope(h2_raw, h2) * w_y
    dh1_raw = slope(h1_raw, h1) * (w_h * dh2_raw)
    return {"w_h": h1 * dh2_raw + h0 * dh1_raw, "w_y": h2}


def output_slope(raw, out):
    return 1 - out**2


W, X = sp.symbols("w x", real=True)
DERIVATIONS = pytest.mark.parametrize("derivation", [forward_chain, backward_pass])


@DERIVATIONS
def test_two_derivations_that_agree_with_each_other_are_both_refuted(derivation):
    report = verify(rnn, derivation, at=POINT, dtype="float32")
    assert report.verdict == "refuted"
    assert not report
    assert (report.claims["w_h"].kind, report.claims["w_y"].kind) == ("refuted", "proved")


@DERIVATIONS
def test_both_values_at_the_users_own_point_are_told(derivation):
    claim = verify(rnn, derivation, at=POINT, dtype="float32").claims["w_h"]
    assert claim.hand_value == pytest.approx(-40.2153, abs=5e-5)
    assert claim.exact_value == pytest.approx(8.1888, abs=5e-5)
    assert claim.autograd_value == pytest.approx(8.1888, abs=5e-5)
    text = str(verify(rnn, derivation, at=POINT, dtype="float32"))
    assert "-40.2153" in text
    assert "8.1888" in text


@DERIVATIONS
def test_the_witness_is_simple_and_a_calculator_confirms_it(derivation):
    witness = verify(rnn, derivation, at=POINT).claims["w_h"].witness
    point = {name: float(value) for name, value in witness.point.items()}
    assert all(abs(v) <= 64 and v * 8 == int(v * 8) for v in point.values())
    x = torch.tensor(point["w_h"], dtype=torch.float64, requires_grad=True)
    rnn(x, point["w_y"], point["h0"]).backward()
    assert witness.exact_value == pytest.approx(float(x.grad), rel=1e-12)
    assert witness.hand_value == pytest.approx(derivation(**point)["w_h"], rel=1e-12)


@DERIVATIONS
def test_with_the_slope_at_the_output_both_derivations_are_proved(derivation):
    report = verify(rnn, partial(derivation, slope=output_slope), wrt=("w_h", "w_y"), at=POINT, dtype="float32")
    assert report.verdict == "proved"
    assert all(isinstance(c.verdict, Proved) for c in report.claims.values())


# ------------------------------------------------------------------------------------------------ a hidden layer


def by_formulas(linear1_weight, linear2_weight, x):
    e = np.exp(-1 * np.matmul(linear1_weight, x.transpose()).squeeze())
    dw = (1 / np.sqrt(10)) / (1 + e)
    inner = linear2_weight * (1 / np.sqrt(10)) * e / ((1 + e) * (1 + e))
    du = np.transpose(np.matmul(x.transpose(), inner))
    return {"linear1.weight": du, "linear2.weight": dw}


@pytest.mark.parametrize("seed", [0, 1, 2, 17])
def test_formulas_that_differ_from_autograd_by_rounding_are_right(seed):
    module, at = net(seed)
    report = verify(module, by_formulas, at=at, seed=seed)
    assert report.verdict == "proved"
    for claim in report.claims.values():
        rounding = claim.rounding
        assert rounding.dtype == "float32"
        assert rounding.hand.largest <= rounding.hand.bound
        assert rounding.autograd.largest <= rounding.autograd.bound
        assert rounding.hand.largest < 50


def test_the_ulps_of_both_sides_are_measured_against_the_truth():
    module, at = net(0)
    claim = verify(module, by_formulas, at=at).claims["linear1.weight"]
    u, w = (p.detach().double() for p in module.parameters())
    z = u @ torch.tensor(at["x"][0]).double()
    truth = (w[0] * torch.sigmoid(z) * torch.sigmoid(-z) / math.sqrt(10))[:, None] * torch.tensor(at["x"]).double()
    assert claim.exact_value == pytest.approx(truth.numpy(), rel=1e-14)
    ulp = np.spacing(np.abs(truth.numpy()).astype(np.float32)).astype(np.float64)
    for side, values in ((claim.rounding.hand, claim.hand_value), (claim.rounding.autograd, claim.autograd_value)):
        apart = np.abs(values.astype(np.float64) - truth.numpy()) / ulp
        assert side.largest == pytest.approx(apart.max(), abs=1e-3)


def test_a_slip_in_the_networks_formulas_is_refuted():
    def slip(linear1_weight, linear2_weight, x):
        right = by_formulas(linear1_weight, linear2_weight, x)
        return {**right, "linear1.weight": right["linear1.weight"] * np.float32(1 + 2**-12)}

    module, at = net(3)
    report = verify(module, slip, at=at)
    assert (report.claims["linear1.weight"].kind, report.claims["linear2.weight"].kind) == ("refuted", "proved")


# ------------------------------------------------------------------------------------------------ forms of questions


@pytest.mark.parametrize(
    ("formula", "hand"),
    [
        ("tanh(w*x)", {"w": "x*(1 - tanh(w*x)**2)", "x": "w/cosh(w*x)**2"}),
        (sp.tanh(W * X), {"w": X * sp.sech(W * X) ** 2, "x": W * (1 - sp.tanh(W * X) ** 2)}),
        (lambda w, x: torch.tanh(w * x), lambda w, x: (x * (1 - torch.tanh(w * x) ** 2), w / torch.cosh(w * x) ** 2)),
        (lambda w, x: np.tanh(w * x), lambda w, x: {"w": x / np.cosh(w * x) ** 2, "x": w / np.cosh(w * x) ** 2}),
        ("tanh(w*x)", lambda w, x: {"w": x / math.cosh(w * x) ** 2, "x": w / math.cosh(w * x) ** 2}),
        (lift("tanh(w*x)"), ("x*(1 - tanh(w*x)**2)", "w*(1 - tanh(w*x)**2)")),
    ],
    ids=["text", "sympy", "torch tuple", "numpy mapping", "text and math", "Program"],
)
def test_formula_and_hand_may_be_of_any_kind(formula, hand):
    assert verify(formula, hand).verdict == "proved"


def test_a_jacobian_has_the_outputs_shape_and_then_the_inputs():
    f = lambda x, k: torch.sin(k @ x)  # noqa: E731
    at = {"x": torch.tensor([0.5, -1.0]), "k": torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]])}
    right = lambda x, k: torch.cos(k @ x)[:, None] * k  # noqa: E731
    assert verify(f, right, wrt="x", at=at).verdict == "proved"
    report = verify(f, lambda x, k: right(x, k).T, wrt="x", at=at)
    assert report.claims["x"].witness.reason == "shape"


def test_order_two_is_the_hessian():
    f = lambda x, A: x @ A @ x / 2 + torch.exp(x).sum()  # noqa: E731
    at = {"x": [0.5, -1.0], "A": [[2.0, 1.0], [0.0, 3.0]]}
    right = lambda x, A: (A + A.T) / 2 + torch.diag(torch.exp(x))  # noqa: E731
    assert verify(f, right, wrt="x", at=at, order=2).verdict == "proved"
    unsymmetric = lambda x, A: A + torch.diag(torch.exp(x))  # noqa: E731
    assert verify(f, unsymmetric, wrt="x", at=at, order=2).verdict == "refuted"


def test_complex_inputs_follow_torch():
    f = lambda z: (z * z.conj()).real.sum()  # noqa: E731
    at = {"z": torch.tensor([1 + 2j, -0.5j])}
    assert verify(f, lambda z: 2 * z, at=at).verdict == "proved"
    assert verify(f, lambda z: 2 * z.conj(), at=at).verdict == "refuted"


def test_a_complex_function_of_a_real_variable_has_a_complex_derivative():
    turn = sp.exp(sp.I * W * X)
    assert verify(turn, {"x": sp.I * W * turn}).verdict == "proved"
    assert verify(turn, {"x": -sp.I * W * turn}).verdict == "refuted"
    assert verify(turn, {"x": -W * sp.sin(W * X)}).verdict == "proved"  # torch's: the real part


def test_a_real_leaf_of_a_complex_output_gets_the_real_part_and_the_report_says_so():
    """torch's gradient of a real leaf is the real part; the derivative itself is right as well, and called so."""
    f = lambda w: (w * (2 + 3j)).sum()  # noqa: E731
    at = {"w": torch.tensor([1.0, 2.0])}
    w = at["w"].clone().requires_grad_()
    f(w).backward(torch.tensor(1 + 0j))
    assert w.grad.tolist() == [2.0, 2.0]
    real = verify(f, lambda w: 2 * torch.ones_like(w), at=at)
    assert real.verdict == "proved"
    assert "as torch has it, the gradient is the real part of the derivative" in " ".join(str(real).split())
    whole = verify(f, lambda w: (2 + 3j) * torch.ones_like(w), at=at)
    assert whole.verdict == "proved"
    assert "torch's gradient of a real input is the real part of it" in " ".join(str(whole).split())
    assert verify(f, lambda w: 3 * torch.ones_like(w), at=at).verdict == "refuted"
    assert verify(f, lambda w: (2 - 3j) * torch.ones_like(w), at=at).verdict == "refuted"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", torch.float32, np.float32])
def test_the_dtype_changes_the_rounding_and_never_the_verdict(dtype):
    at = {"x": [0.3, -1.2, 2.0]}
    f = lambda x: torch.exp(torch.sin(x)).sum()  # noqa: E731
    report = verify(f, lambda x: torch.exp(torch.sin(x)) * torch.cos(x), at=at, dtype=dtype)
    assert report.verdict == "proved"
    rounding = report.claims["x"].rounding
    assert rounding.dtype == str(dtype).removeprefix("torch.").removeprefix("<class 'numpy.").rstrip("'>")
    assert rounding.hand.largest <= rounding.hand.bound
    wrong = verify(f, lambda x: torch.exp(torch.sin(x)) * torch.sin(x), at=at, dtype=dtype)
    assert wrong.verdict == "refuted"


def test_inputs_that_are_given_and_not_differentiated_are_data():
    """p - y is the gradient of cross-entropy because these y add up to one."""
    f = lambda z, y: -(y * torch.log_softmax(z, 0)).sum()  # noqa: E731
    hand = lambda z, y: torch.softmax(z, 0) - y  # noqa: E731
    z = [0.5, 1.0, -1.0]
    assert verify(f, hand, wrt="z", at={"z": z, "y": [0.0, 1.0, 0.0]}).verdict == "proved"
    assert verify(f, hand, wrt="z", at={"z": z, "y": [0.5, 1.0, 0.0]}).verdict == "refuted"


# ------------------------------------------------------------------------------------------------ determinism


def every_text(seed: int) -> list[str]:
    module, at = net(1)
    reports = [
        verify(rnn, forward_chain, at=POINT, dtype="float32", seed=seed),
        verify(module, by_formulas, at=at, seed=seed),
        verify("acosh(x)", "1/sqrt(x**2 - 1)", seed=seed),
        verify(lambda x: torch.relu(x).sum(), lambda x: (x > 0.5) * 1.0, at={"x": (3,)}, seed=seed),
    ]
    return [report.explain() for report in reports]


def test_the_same_seed_gives_the_same_text_also_with_other_threads_busy():
    first = every_text(5)
    stop = threading.Event()

    def spin():
        a = np.ones((64, 64))
        while not stop.is_set():
            a = np.tanh(a @ a / 64)

    busy = [threading.Thread(target=spin) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        assert every_text(5) == first
    finally:
        stop.set()
        for thread in busy:
            thread.join()


def test_another_seed_may_look_elsewhere_and_concludes_the_same():
    verdicts = [verify(rnn, forward_chain, at=POINT, seed=seed).verdict for seed in range(5)]
    assert set(verdicts) == {"refuted"}
