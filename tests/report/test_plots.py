"""Pictures of a report."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import mpmath
import numpy as np
import pytest
import torch

from symgrad import SymgradError, verify, verify_script

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def wrong():
    return verify("w*tanh(w*x)", {"w": "tanh(w*x) + w*x*(1 - (w*x)**2)"}, at={"w": 2.0, "x": 0.5})


@pytest.fixture(scope="module")
def matrix():
    return verify(
        lambda W, x: torch.tanh(W @ x).sum(),
        lambda W, x: torch.outer(1 - torch.tanh(W @ x), x),
        wrt="W",
        at={"W": (3, 2), "x": (2,)},
    )


# ------------------------------------------------------------------------------------------------ pictures


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_number_is_drawn_as_f_its_derivative_and_yours(wrong):
    f, exact, yours, seen = wrong.plot().get_lines()
    x = exact.get_xdata()
    claim = wrong.claims["w"]
    z = x * 0.5
    np.testing.assert_allclose(f.get_ydata(), x * np.tanh(z), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(exact.get_ydata(), np.tanh(z) + z * (1 - np.tanh(z) ** 2), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(yours.get_ydata(), np.tanh(z) + z * (1 - z**2), rtol=1e-12, atol=1e-12)
    assert list(seen.get_xdata()) == [2.0, 2.0]
    assert list(seen.get_ydata()) == [claim.hand_value, claim.exact_value]
    assert seen.get_label() == "your own point"


@pytest.mark.slow
def test_yours_is_cut_off_where_it_would_press_all_else_into_a_line():
    """Far out it is 1e6, and at the own point the difference of 1 is what is to be seen."""
    axes = verify("tanh(x)", "1 + x**8", at={"x": 2.5}).plot()
    f, exact, _, seen = (line.get_ydata() for line in axes.get_lines())
    low, high = axes.get_ylim()
    for told in (f, exact, seen):
        assert low < min(told) <= max(told) < high
    assert high < 1e4


@pytest.mark.slow
def test_the_title_says_what_is_held_and_the_input_finds_its_claim(wrong):
    assert wrong.plot("w").get_title() == "f and its derivative by w\nheld: x = 0.5"
    post = verify_script(Path(__file__).resolve().parents[1] / "posts" / "tanh_rnn.txt")
    assert post.plot("W_h").get_title() == "f and its derivative by W_h\nheld: W_y = 40"


def test_a_difference_that_the_own_point_does_not_show_is_drawn_at_the_counterexample():
    """At x = 20 the two agree to nine digits: no picture would show it."""
    told = verify("tanh(x)", "1 - tanh(x)**2 + exp(-x)", at={"x": 20.0})
    seen = told.plot().get_lines()[-1]
    assert seen.get_label() == "your own point"
    near = verify("x**2", "2*x + exp(-x)", at={"x": 20.0})
    assert near.plot().get_lines()[-1].get_label() == "counterexample"
    assert list(near.plot().get_lines()[-1].get_xdata()) == [near.claims["x"].witness.point["x"]] * 2


@pytest.mark.slow
def test_curves_end_where_the_code_takes_another_branch():
    """On the other side the Program that was read is not what the code computes."""
    drawn = verify(lambda x: torch.relu(x) ** 2, lambda x: 2 * x * (x > 0) + 0.5, at={"x": 1.0}).plot()
    for line in drawn.get_lines()[:3]:
        x, y = line.get_xdata(), line.get_ydata()
        assert np.isnan(y[x < 0]).all()
        assert np.isfinite(y[x > 0]).all()


def test_the_entry_of_the_counterexample_is_moved(matrix):
    exact = matrix.plot(what="curves").get_lines()[1]
    claim = matrix.claims["W"]
    (i, j), point = claim.witness.entry, claim.witness.point
    W = np.array(point["W"])
    expected = []
    for x in exact.get_xdata():
        W[i, j] = x
        expected.append((1 - np.tanh(W[i] @ point["x"]) ** 2) * point["x"][j])
    np.testing.assert_allclose(exact.get_ydata(), expected, rtol=1e-9, atol=1e-12)


def test_a_tensor_is_drawn_in_ulps(matrix):
    (image,) = matrix.plot().get_images()
    claim = matrix.claims["W"]
    gap = np.abs(claim.hand_value - claim.exact_value) / np.spacing(np.abs(claim.exact_value))
    np.testing.assert_allclose(image.get_array(), gap, rtol=1e-9)
    ticks = [*image.axes.get_xticks(), *image.axes.get_yticks()]
    assert ticks == [round(tick) for tick in ticks], "there is no entry 0.5"


def test_the_lines_of_a_wrong_derivation_are_drawn_with_their_errors():
    def hand(w, x):
        z = w * x
        dz = x * 2
        return {"w": (1 - torch.tanh(z) ** 2) * dz}

    axes = verify(lambda w, x: torch.tanh(w * x), hand, wrt="w", at={"w": 0.5, "x": 1.5}).plot(what="lines")
    shown = {t.get_text(): bar for t, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}
    assert shown["z"].get_width() == 0
    assert shown["dz"].get_width() == pytest.approx(1.0), "twice what it is meant to be"
    assert shown["dz"].get_facecolor() == matplotlib.colors.to_rgba("C3")


def test_the_lines_of_a_right_derivation_are_drawn_with_their_rounding():
    def hand(w, x):
        t = torch.tanh(w * x)
        slope = 1 - t**2
        return {"w": slope * x}

    point = {"w": torch.tensor(1.25), "x": torch.tensor(3.0)}
    axes = verify(lambda w, x: torch.tanh(w * x), hand, wrt="w", at=point).plot(what="lines")
    shown = {t.get_text(): bar.get_width() for t, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}
    slope = 1 - torch.tanh(torch.tensor(3.75)) ** 2
    with mpmath.workdps(40):
        far = abs(mpmath.mpf(slope.item()) - mpmath.sech(3.75) ** 2) / np.spacing(np.float32(mpmath.sech(3.75) ** 2))
    assert shown["slope"] == pytest.approx(float(far), rel=1e-9)
    assert shown["t"] < 2 < shown["slope"]


def test_an_unstable_formula_is_drawn_over_magnitudes():
    def by_hand(z):
        s = torch.sigmoid(z)
        return s * (1 - s)

    told = verify(lambda z: torch.sigmoid(z), by_hand, at={"z": torch.tensor(12.0)})
    axes = told.plot(what="magnitudes")
    z, ulps = axes.get_lines()[0].get_data()
    assert max(u for x, u in zip(z, ulps) if x < 0.5) < 4
    assert min(u for x, u in zip(z, ulps) if 12 < x < 60) > 1000
    assert axes.get_ylabel() == "error in ulps of float32"


@pytest.mark.parametrize(
    ("question", "message"), [({"name": "q"}, "no claim 'q'"), ({"what": "curve"}, "no picture 'curve'")]
)
def test_asking_for_what_is_not_there_says_what_is(wrong, question, message):
    with pytest.raises(SymgradError, match=message):
        wrong.plot(**question)


def test_a_script_with_two_derivations_of_one_input_is_drawn():
    post = """
import torch
w = torch.tensor(0.5, requires_grad=True)
y = torch.tanh(3 * w)
y.backward()
dw = 3 * (1 - (3 * w.item())**2)
dw_again = 3 * (1 - torch.tanh(3 * w).item()**2)
print(w.grad, dw, dw_again)
"""
    told = verify_script(post)
    assert list(told.claims) == ["w (dw)", "w (dw_again)"]
    assert told.plot("w (dw)").get_xlabel() == "w"
