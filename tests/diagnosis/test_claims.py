"""What a line of a derivation claims: by its name in the styles that people use, the user's word, its value."""

from __future__ import annotations

import pytest

from symgrad import verify, verify_script
from symgrad.diagnosis.claims import Reading, is_derivative_like, lookup, read_name, read_words
from symgrad.errors import BadInput

READINGS = [
    ("dh1_dwh", Reading("h1", "wh")),
    ("dh1dwh", Reading("h1", "wh")),
    ("d_loss_d_W", Reading("loss", "W")),
    ("dL_dW", Reading("L", "W")),
    ("dloss_dp", Reading("loss", "p")),
    ("dy_by_dx", Reading("y", "x")),
    ("dz2", Reading(None, "z2")),
    ("d_x", Reading(None, "x")),
    ("grad_w1", Reading(None, "w1")),
    ("W1_grad", Reading(None, "W1")),
    ("delta_z", Reading(None, "z")),
    ("x_bar", Reading(None, "x")),
    ("dhRaw", Reading(None, "hRaw")),
    ("H_yy", Reading(None, "yy")),
    ("dh_next", Reading(None, "h")),
]


@pytest.mark.parametrize(("name", "meant"), READINGS, ids=[n for n, _ in READINGS])
def test_a_name_is_read_as_people_mean_it(name, meant):
    assert meant in read_name(name)


def test_layers_deltas_are_those_of_their_sums():
    assert Reading(None, "z3") in read_name("delta3")


@pytest.mark.parametrize("name", ["h1", "scale", "probs", "data", "denom", "loss"])
def test_other_names_do_not_look_like_derivatives(name):
    assert not is_derivative_like(name)


@pytest.mark.parametrize("name", ["dx", "dW1", "d_h", "grad_b", "W_grad", "delta2", "tanh_d"])
def test_names_of_derivatives_do(name):
    assert is_derivative_like(name)


def test_spelling_matters_less_than_the_letters():
    names = {"h1_raw": [3], "W": [1]}
    assert lookup("h1_raw", names) == ([3], 1.0)
    found, sure = lookup("h1Raw", names)
    assert found == [3]
    assert 0.9 < sure < 1.0
    assert lookup("q9", names) == ([], 0.0)


def test_words_are_read():
    assert read_words("d out / d h1") == Reading("out", "h1")
    assert read_words("∂L/∂W1") == Reading("L", "W1")
    assert read_words("the adjoint of h2") == Reading(None, "h2")
    assert read_words("whatever") is None


def model(w, x):
    import math

    a = w * x
    b = math.tanh(a)
    return b * b


def hand(w, x):
    import math

    a = w * x
    b = math.tanh(a)
    t1 = 2 * b
    t2 = t1 * (1 - a**2)  # tanh' of the value before tanh
    t3 = t2 * x
    return {"w": t3}


AT = {"w": 0.7, "x": 0.9}


def test_lines_without_telling_names_are_claimed_by_value():
    report = verify(model, hand, wrt="w", at=AT)
    claims = {s.name: s.claims for s in report.steps}
    assert claims["t1"] == "d out / d b"
    assert claims["a"] == "the value of a"


def test_the_users_word_decides():
    report = verify(model, hand, wrt="w", at=AT, meanings={"t2": "d out / d a"})
    assert report.wrong_steps == ("t2",)
    steps = {s.name: s for s in report.steps}
    assert (steps["t2"].claims, steps["t2"].verdict) == ("d out / d a", "wrong")
    assert steps["t3"].verdict == "fed wrong values"
    assert steps["t1"].verdict == "right"


def test_a_word_that_cannot_be_read_is_an_error_with_the_names():
    with pytest.raises(BadInput, match="could not be read"):
        verify(model, hand, wrt="w", at=AT, meanings={"t2": "d out / d nothing"})


def test_the_old_name_of_meanings_warns_and_works():
    with pytest.warns(DeprecationWarning, match="meanings="):
        report = verify(model, hand, wrt="w", at=AT, claims={"t2": "d out / d a"})
    assert report.wrong_steps == ("t2",)


def misnamed(w, x):
    import math

    a = w * x
    b = math.tanh(a)
    db = 2 * b
    dx = db * (1 - b**2)  # it is the adjoint of a: a wrong name, and right
    dw = -dx * x
    return {"w": dw}


def test_a_right_value_under_a_wrong_name_is_not_accused():
    report = verify(model, misnamed, wrt="w", at=AT)
    assert report.wrong_steps == ("dw",)
    assert {s.name: s.verdict for s in report.steps}["dx"] == "misnamed"


WRITTEN_BEFORE = """
import torch
x = torch.tensor([1.0, 2.0, -1.0])
w = torch.tensor([0.5, 0.1, 0.3])
w_gs = 3 * x * w
print(w_gs.max(), w_gs.min())
w_ = w.clone().requires_grad_(True)
loss = (x * w_**2).sum()
loss.backward()
print(w_.grad.max(), w_.grad.min())
"""


def test_a_gradient_that_a_script_binds_before_the_model_is_no_value_of_the_model():
    report = verify_script(WRITTEN_BEFORE)
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("w_gs",)
    assert report.repaired_source is not None
    assert "w_gs = 2 * x * w" in report.repaired_source
