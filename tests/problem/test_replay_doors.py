"""Law 2 of reading: a verdict is about what ran, at every door; what cannot be followed is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from trust.questions import slope
from trust.questions_of_records import FOREIGN, SHARED, function

from symgrad import compare, find_instabilities, gradient, lift, verify, verify_function
from symgrad.errors import NotReproducible, ReplayMismatch, UnknownOperation

X = torch.tensor([0.75, -0.375], dtype=torch.float64)
OK = ("proved", "agrees")


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.slow
def test_an_operator_of_another_library_is_not_read_by_its_bare_name(name):
    _, right, wrong = FOREIGN[name]
    operator = getattr(torch.ops.other, name)
    for hand, good in ((right, True), (wrong, False)):
        made = function(lambda x: operator(x), lambda x, g, h=hand: g * h(x))
        assert (verify_function(made, at={"x": X}).verdict in OK) is good


def test_a_kernel_that_cannot_be_looked_into_is_refused():
    library = torch.library.Library("closed", "DEF")
    library.define("exp(Tensor x) -> Tensor")
    library.impl("exp", lambda x: torch.from_numpy(np.exp(x.detach().numpy())), "CPU")
    with pytest.raises((UnknownOperation, NotReproducible)):
        verify(lambda x: torch.ops.closed.exp(x).sum(), lambda x: 0 * x, at={"x": X})


@pytest.mark.parametrize(("name", "does", "right", "wrong"), SHARED, ids=[s[0] for s in SHARED])
@pytest.mark.slow
def test_a_write_through_shared_memory_is_seen(name, does, right, wrong):
    assert verify_function(function(does, right), at={"x": X}).verdict in OK
    assert verify_function(function(does, wrong), at={"x": X}).verdict == "refuted"


@pytest.mark.parametrize(("beta", "threshold"), [(3.0, 0.2), (1.0, 0.2), (0.5, 1.0)])
@pytest.mark.slow
def test_softplus_above_its_threshold_is_the_identity(beta, threshold):
    def f(x):
        return F.softplus(x, beta, threshold).sum()

    x = torch.tensor([0.5, -0.25, 3.5], dtype=torch.float64)
    right = lambda x: torch.where(x * beta > threshold, torch.ones_like(x), torch.sigmoid(x * beta))  # noqa: E731
    assert np.allclose(right(x), slope(f, x))
    assert verify(f, right, at={"x": x}).verdict == "proved"
    assert verify(f, lambda x: torch.sigmoid(x * beta), at={"x": x}).verdict == "refuted"


def test_above_its_default_threshold_softplus_is_read_as_what_it_means():
    """From 20 on torch returns x for log(1 + exp(x)), which is 2e-9 more: its own slopes there are no error."""
    x = torch.tensor([0.5, 24.0, -32.0], dtype=torch.float64)
    assert F.softplus(x)[1] == 24.0

    def f(x):
        return F.softplus(x).sum()

    assert verify(f, torch.sigmoid, at={"x": x}).verdict == "proved"
    assert verify(f, slope(f, x), at={"x": x}).verdict in OK
    assert verify(f, torch.sigmoid(x), at={"x": x}).verdict in OK
    assert verify(f, slope(f, x) * (1 + 1e-7), at={"x": x}).verdict == "refuted"
    assert verify(f, lambda x: torch.sigmoid(x) + 1e-9, at={"x": x}).verdict == "refuted"


def test_a_row_of_attention_in_which_everything_is_masked_is_zero():
    mask = torch.tensor([[True, False], [False, False]])

    def f(q):
        return (F.scaled_dot_product_attention(q, q, q * q, attn_mask=mask) ** 2).sum()

    q = torch.tensor([[0.5, -0.25], [1.0, 0.75]], dtype=torch.float64)
    truth = slope(f, q)
    assert torch.isfinite(truth).all()
    assert verify(f, truth, at={"q": q}).verdict in OK
    assert verify(f, 2 * truth, at={"q": q}).verdict == "refuted"


@pytest.mark.parametrize("upper", [False, True])
def test_the_inverse_from_a_complex_factor(upper):
    def f(x):
        factor = torch.tril(torch.complex(x, 0.5 * torch.tril(x, -1)))
        return torch.cholesky_inverse(factor.mH.contiguous() if upper else factor, upper=upper).real.sum()

    x = torch.tensor([[1.5, 0.25], [0.5, 2.0]], dtype=torch.float64)
    truth = slope(f, x)
    assert verify(f, truth, at={"x": x}).verdict in OK
    assert verify(f, truth.T.contiguous(), at={"x": x}).verdict == "refuted"


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, g):
        return g * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2)


DOORS = {
    "verify": lambda f: verify(f, lambda x: 1 - torch.tanh(x) ** 2, at={"x": X}),
    "gradient": lambda f: gradient(f, at={"x": X}),
    "sizes": lambda f: gradient(f, at={"x": ("n",)})["x"](x=X),
    "lift": lambda f: lift(f, at={"x": X}),
    "compare": lambda f: compare(f, f, at={"x": X}),
    "find_instabilities": lambda f: find_instabilities(f, at={"x": X}),
    "verify_function": lambda f: verify_function(Cube, at={"x": X}),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_compares_the_record_with_what_ran(door, monkeypatch):
    """An operation that is read as another one is noticed wherever it is read."""
    from symgrad.lifting.tracing import aten, direct_operations

    def misread(x):
        return torch.tanh(x).sum()

    monkeypatch.setattr(aten, "find", lambda name: "sin" if name == "tanh" else None)
    monkeypatch.setitem(direct_operations.ROWS, torch.tanh, "sin")
    aten.writer_of.cache_clear()
    try:
        with pytest.raises(ReplayMismatch, match="does not give what the code computed"):
            DOORS[door](misread)
    finally:
        aten.writer_of.cache_clear()
