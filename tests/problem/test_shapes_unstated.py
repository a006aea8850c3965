"""Law 4 of reading: what only means something for arrays is never proved for a number."""

from __future__ import annotations

import pytest
import torch
from trust.questions_of_data import ONE_NUMBER, WRT

from symgrad import Latex, compare, find_instabilities, gradient, lift, verify
from symgrad.errors import BadInput, WrongShape


@pytest.mark.parametrize("row", ONE_NUMBER, ids=[r[0] for r in ONE_NUMBER])
@pytest.mark.slow
def test_what_is_right_for_one_number_alone_is_not_right(row):
    name, f, hand = row
    options = {"wrt": WRT[name]} if name in WRT else {}
    try:
        assert verify(f, hand, **options).verdict == "refuted"
    except WrongShape:  # of arrays it has no value at all
        assert isinstance(f, Latex)


def test_a_function_of_vectors_is_asked_of_all_lengths():
    report = verify(lambda x: x.mean(), lambda x: torch.ones_like(x) / x.numel())
    assert str(report.claims["x"].verdict) == "proved for all n"
    assert any("No shape was given for x" in n for n in report.notes)


def test_a_function_that_works_entry_by_entry_is_asked_of_numbers():
    report = verify(lambda w, x: torch.tanh(w * x), lambda w, x: x * (1 - torch.tanh(w * x) ** 2), wrt="w")
    assert report.verdict == "proved"
    assert report.notes == ()


def test_numbers_that_are_given_are_numbers():
    assert verify(lambda x: x.mean(), lambda x: torch.ones_like(x), at={"x": 0.5}).verdict == "proved"
    assert verify(Latex(r"\|x\|^2"), Latex("2x"), at={"x": 0.5}).verdict == "proved"


MIXING = {
    "mean": lambda x: x.mean(),
    "softmax": lambda x: torch.softmax(x, -1),
    "cumsum": lambda x: torch.cumsum(x, 0),
    "sort": lambda x: torch.sort(x).values,
}


@pytest.mark.parametrize("name", MIXING)
def test_no_door_takes_a_number_for_what_mixes_entries(name):
    program = lift(MIXING[name])
    assert [program.shape(i) for i in program.inputs.values()] == [(2,)]
    assert compare(MIXING[name], lambda x: x * 1.0).kind == "refuted"


def test_the_gradient_of_a_mean_is_that_of_all_lengths():
    found = gradient(lambda x: x.mean())["x"]
    x = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    assert torch.equal(found(x=x), torch.full_like(x, 1 / 3))


@pytest.mark.parametrize("door", [gradient, lift, find_instabilities])
def test_letters_whose_shapes_are_not_clear_are_asked_about_at_each_door(door):
    with pytest.raises(BadInput, match="which shapes a, x have is not said"):
        door(Latex(r"\|a x\|^2"))


def test_letters_of_matrices_are_matrices_at_each_door():
    assert lift(Latex(r"\log\det X")).shape(0) == (2, 2)
    assert compare(Latex(r"\operatorname{tr}(X^\top)"), Latex(r"\operatorname{tr} X")).kind == "proved"
