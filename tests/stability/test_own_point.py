"""What floats did at the user's own point is measured when it is asked for, and is about the moment of the verdict."""

from __future__ import annotations

import pickle

import numpy as np
import torch

from symgrad import verify
from symgrad.rounding import running_bounds

# ------------------------------------------------------------------------------------------------ when it is measured


def _sigmoid(w, x):
    return torch.sigmoid(w * x)


def _slope(w, x):
    s = torch.sigmoid(w * x)
    return {"w": s * (1 - s) * x}


AT = {"w": torch.tensor(1.5), "x": torch.tensor(3.0)}


def test_a_verdict_runs_no_bounds_and_its_rounding_does(monkeypatch):
    runs = []
    before = running_bounds.RunningErrors.read
    monkeypatch.setattr(running_bounds.RunningErrors, "read", lambda *args: runs.append(1) or before(*args))
    report = verify(_sigmoid, _slope, at=AT, wrt="w")
    assert report.verdict == "proved"
    assert not runs
    rounding = report.claims["w"].rounding
    assert runs
    assert rounding is not None
    assert rounding.hand.within
    assert report.claims["w"].rounding is rounding


def test_a_pickled_report_has_its_rounding_with_it():
    report = verify(_sigmoid, _slope, at=AT, wrt="w")
    again = pickle.loads(pickle.dumps(report))
    assert repr(again.claims["w"].rounding) == repr(report.claims["w"].rounding)
    assert str(again) == str(report)


def test_rounding_is_measured_in_neutral_surroundings():
    plain, other = (verify(_sigmoid, _slope, at=AT, wrt="w") for _ in range(2))
    with torch.inference_mode():
        assert repr(other.claims["w"].rounding) == repr(plain.claims["w"].rounding)


def test_zero_where_nothing_tells_the_truth_from_zero_has_lost_no_digits():
    """The ball around this gradient's third entry is zero to 70 digits and no more: a float says no more than zero."""
    z, w = (torch.tensor(x, dtype=torch.float64) for x in ([0.1, 0.7, -1.3], [0.1, 0.7, 0.0]))
    report = verify(
        lambda z, w: torch.softmax(z, 0).sum() + (w * z).sum(), lambda z, w: {"z": w}, wrt="z", at={"z": z, "w": w}
    )
    assert report.verdict == "proved"
    assert [i.side for i in report.instabilities] == ["autograd"]
    assert report.instabilities[0].exact == 0
    assert report.claims["z"].rounding.hand.largest <= 0.5


# ------------------------------------------------------------------------------------------------ what it is about


def test_values_that_are_changed_after_the_verdict_change_no_rounding():
    rng = np.random.default_rng(0)
    given, factor = rng.normal(size=3), rng.normal(size=3)
    found = []
    for change in (False, True):
        x, c = given.copy(), torch.tensor(factor)
        model, hand = _with_factor(c)
        report = verify(model, hand, at={"x": x}, wrt="x")
        if change:
            x += 1.0
            c += 1.0
        found.append(report.claims["x"].rounding)
    assert found[0].hand == found[1].hand
    assert repr(found[0].lines) == repr(found[1].lines)
    assert found[0].autograd.largest == found[1].autograd.largest
    assert found[1].autograd.within is not False


def _with_factor(c):
    return (lambda x: (c * torch.exp(x)).sum()), (lambda x: c * torch.exp(x))


def test_a_model_that_gives_other_values_by_then_has_no_bound_of_autograd():
    state = {"scale": 2.0}

    def model(x):
        return state["scale"] * torch.exp(x)

    report = verify(model, lambda x: 2 * torch.exp(x), at={"x": 0.3}, wrt="x")
    assert report.verdict == "proved"
    state["scale"] = 3.0
    rounding = report.claims["x"].rounding
    assert rounding.autograd.largest < 2
    assert rounding.autograd.bound is None
