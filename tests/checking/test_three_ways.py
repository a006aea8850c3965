"""The table of a report: three ways to compute each derivative, judged by mpmath and by torch itself."""

import math
import pickle
import re
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch

from symgrad import SymgradError, verify, verify_script

POSTS = Path(__file__).resolve().parent.parent / "posts"
W = torch.tensor([[0.3, -0.7], [1.1, 0.2], [-0.4, 0.9]])
X = torch.tensor([0.5, -1.5])


def loss(W, x):
    return torch.tanh(W @ x).sum()


def hand(W, x):
    return (1 - torch.tanh(W @ x) ** 2)[:, None] * x[None, :]


@pytest.fixture(scope="module")
def matrix():
    return verify(loss, hand, wrt="W", at={"W": W, "x": X})


def truth(point, i, j):
    """One entry of the gradient to 60 digits."""
    with mpmath.workdps(60):
        z = mpmath.fsum(
            mpmath.mpf(float(w)) * mpmath.mpf(float(x)) for w, x in zip(point["W"][i], point["x"], strict=True)
        )
        return (1 - mpmath.tanh(z) ** 2) * mpmath.mpf(float(point["x"][j]))


def gap(x: float) -> float:
    """The gap between neighbouring numbers of float32 at x."""
    return 2.0 ** (math.frexp(x)[1] - 24)


def test_each_way_is_what_it_says_at_every_point(matrix):
    ways = matrix.table().ways
    assert len(ways) > 3
    assert [w.is_own for w in ways] == [True] + [False] * (len(ways) - 1)
    for w in ways:
        point = {n: torch.tensor(v, dtype=torch.float32) for n, v in w.point.items()}
        leaf = point["W"].requires_grad_()
        (automatic,) = torch.autograd.grad(loss(leaf, point["x"]), leaf)
        assert np.array_equal(w.values["autograd"], automatic.numpy())
        with torch.no_grad():
            assert np.array_equal(w.values["hand"], hand(**point).numpy())
        assert w.values["symbolic"].dtype == np.float32
        for (i, j), exact in np.ndenumerate(w.truth):
            right = truth(w.point, i, j)
            assert exact == float(right)
            for way, far in w.ulps.items():
                off = abs(mpmath.mpf(float(w.values[way][i, j])) - right) / gap(exact)
                assert 0 <= far[i, j] - off <= 1e-9 * (1 + off), "it is rounded up, and hardly at all"
                assert off < 16, "all three are right"


def test_differences_are_of_yours_and_autograd_in_ulps(matrix):
    own = matrix.table().ways[0]
    apart = own.values["hand"].astype(float) - own.values["autograd"].astype(float)
    assert np.array_equal(own.differences, apart / np.vectorize(gap)(own.truth))


def test_a_backward_that_is_wrong_stands_out_beside_a_derivation_that_is_right():
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.sin(x)

        @staticmethod
        def backward(ctx, g):
            return g * torch.cos(ctx.saved_tensors[0]) * 1.001

    report = verify(lambda x: 2 * Sine.apply(x), lambda x: 2 * torch.cos(x), at={"x": 0.3})
    for w in report.table().ways:
        assert w.ulps["hand"].item() <= 1
        assert w.ulps["symbolic"].item() <= 1
        assert w.ulps["autograd"].item() > 1e11
        assert w.values["autograd"].item() == pytest.approx(2.002 * math.cos(w.point["x"].item()), rel=1e-13)


class Half(torch.autograd.Function):
    """A sine whose backward is off by a thousandth below 0.3."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sin(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * torch.cos(x) * torch.where(x.abs() > 0.3, 1.0, 1.001)


def test_autograd_that_is_wrong_elsewhere_than_at_the_users_own_point_is_told():
    report = verify(lambda x: 2 * Half.apply(x), lambda x: 2 * torch.cos(x), at={"x": 0.31})
    assert report.verdict == "proved"
    assert report.table().ways[0].ulps["autograd"].item() < 1, "it is right here"
    (note,) = report.notes
    said = re.fullmatch(r"x: at x = (\S+) autograd gives (\S+), and the derivative is (\S+): that is more .*", note)
    assert said is not None
    x, gives, exact = map(float, said.groups())
    assert exact == pytest.approx(2 * math.cos(x), rel=1e-5)
    assert gives == pytest.approx(2.002 * math.cos(x), rel=1e-5)
    rows = verify(lambda x: 2 * Half.apply(x).sum(), lambda x: 2 * torch.cos(x), at={"x": torch.tensor([0.31, 2.0])})
    assert [n for n in rows.notes if "at another point than yours, in entry [" in n]


def test_autograd_that_only_rounds_is_not_told():
    def model(x):
        return (1 - torch.cos(x)) * 1e8  # its slope cancels nothing, and its value all

    for dtype in ("float16", "bfloat16", "float32", "float64"):
        report = verify(model, lambda x: torch.sin(x) * 1e8, at={"x": 0.01}, dtype=dtype)
        assert not [note for note in report.notes if "autograd" in note]


def test_each_point_is_computed_on_the_branch_that_the_code_takes_there():
    report = verify(lambda x: x * x if x > 0 else x**3, lambda x: 2 * x if x > 0 else 3 * x * x, at={"x": 0.1})
    seen = set()
    for row in report.table().rows:
        x = row["at x"]
        right = 2 * x if x > 0 else 3 * x * x
        assert [row[way] for way in ("symbolic", "autograd", "hand", "truth")] == pytest.approx([right] * 4, rel=1e-14)
        seen.add((row["branch"], x > 0))
    assert seen == {(1, True), (2, False)}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_truth_is_at_the_point_that_the_code_was_given(dtype):
    """Sampled points have more bits than these dtypes hold."""
    report = verify(lambda x: x * x, lambda x: 2 * x, at={"x": 0.3}, dtype=dtype)
    kind = getattr(torch, dtype)
    for w in report.table().ways:
        x = w.point["x"].item()
        assert torch.tensor(x, dtype=kind).item() == x
        assert w.truth.item() == 2 * x
        assert all(far.item() == 0 for far in w.ulps.values()), "doubling is exact"


def test_what_there_is_not_has_no_number():
    text = verify("x**3", "3*x**2", wrt="x", at={"x": 2.0}).table().ways[0]
    assert set(text.values) == {"symbolic", "hand"}, "no model in torch"
    assert text.differences is None
    second = verify(lambda x: x**3, lambda x: 6 * x, at={"x": 2.0}, order=2).table().ways[0]
    assert (second.values["symbolic"].item(), second.values["hand"].item(), second.truth.item()) == (12, 12, 12)
    assert "autograd" not in second.values
    alone = verify("x**2", 0.61, wrt="x", at={"x": 0.3}).table()
    assert [(w.is_own, w.values["hand"].item()) for w in alone.ways] == [(True, 0.61)], "numbers are for one point"
    shapes = verify(loss, lambda W, x: x, wrt="W", at={"W": W, "x": X}).table()
    assert shapes.rows == ()
    assert "no point" in str(shapes)


@pytest.mark.slow
def test_a_script_is_run_again_at_each_point_and_autograd_with_it():
    ways = [w for w in verify_script(POSTS / "tanh_rnn.txt").table().ways if w.claim.startswith("W_h")]
    assert len(ways) > 2
    for w in ways:
        weight, last = (mpmath.mpf(float(w.point[name])) for name in ("W_h", "W_y"))
        with mpmath.workdps(40):
            right = mpmath.diff(lambda v: last * mpmath.tanh(v * mpmath.tanh(v / 2)), weight)  # noqa: B023
        assert w.truth.item() == pytest.approx(float(right), rel=1e-6)
        assert w.values["autograd"].item() == pytest.approx(float(right), rel=1e-5)
        assert w.values["symbolic"].item() == pytest.approx(float(right), rel=1e-5)
        assert w.values["hand"].item() != pytest.approx(float(right), rel=1e-2)


def test_a_report_that_travelled_has_left_the_code_behind(matrix):
    back = pickle.loads(pickle.dumps(matrix))
    with pytest.raises(SymgradError) as caught:
        back.table()
    assert str(caught.value) == (
        "the code that this report is about is not with it: it was pickled, or came from another process.\n"
        "Call table() where the gradient is verified."
    )
