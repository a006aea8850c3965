"""How often loops run, and what their counters are held against: choices that no value is looked at for."""

import math

import numpy as np
import pytest
import torch

from symgrad import verify, verify_function, verify_script


def halved(x):
    while x > 1:
        x = x / 2
    return x


def times_halved(x):
    k = 0
    while x > 1:
        x, k = x / 2, k + 1
    return k


def slope(x):
    return 0.5 ** times_halved(x)


def by_itself(x):
    return x if x < 1 else 2 * by_itself(x / 3)


def calls(x):
    return 0 if x < 1 else 1 + calls(x / 3)


TABLE = [0.5**k for k in range(12)]
WRONG_TABLE = [*TABLE[:7], 0.25, *TABLE[8:]]


def added(x):
    total = x
    while total < 40:
        total = total + x * x + 4
    return total


def slope_of_added(x):
    total, k = x, 0
    while total < 40:
        total, k = total + x * x + 4, k + 1
    return 1 + 2 * k * x


FAULTS = {
    "exactly seven turns": lambda x: 0.0 if times_halved(x) == 7 else slope(x),
    "from ten turns on": lambda x: slope(x) if times_halved(x) < 10 else 0.0,
    "every eleventh turn": lambda x: 0.0 if times_halved(x) % 11 == 10 else slope(x),
    "the larger of two numbers": lambda x: slope(x) + max(times_halved(x) - 18, 0),
    "a table": lambda x: WRONG_TABLE[times_halved(x)] if times_halved(x) < 12 else slope(x),
    "a loop over the turns": lambda x: math.prod(0.5 if k != 14 else 1.0 for k in range(times_halved(x))),
}


@pytest.mark.slow
@pytest.mark.parametrize("hand", FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_for_certain_numbers_of_turns_is_refuted(hand):
    report = verify(halved, hand, at={"x": 5.0})
    assert report.verdict == "refuted"


@pytest.mark.slow
def test_a_fault_at_a_depth_of_recursion_is_refuted():
    hand = lambda x: (2 / 3) ** calls(x) if calls(x) != 9 else 0.0  # noqa: E731
    assert verify(by_itself, hand, at={"x": 2.0}).verdict == "refuted"


@pytest.mark.slow
def test_a_right_slope_of_a_loop_is_right_for_the_turns_that_were_seen():
    report = verify(added, slope_of_added, at={"x": 1.5})
    assert (report.verdict, report.ok) == ("agrees", True)
    assert str(report).startswith("Right for ")
    assert "and proved for these" in str(report)
    (turns, *_) = [c for c in report.coverage if c.what == "how often a loop runs"]
    assert turns.outcomes[-1].value == "other numbers of turns"
    assert turns.endless


def test_a_loop_that_ends_by_itself_is_proved_where_each_number_of_turns_was_seen():
    def capped(x):
        total = x
        for k in range(4):
            if k > x:
                break
            total = total + k * x**2
        return total

    def hand(x):
        slope = 1.0
        for k in range(4):
            if k > x:
                break
            slope = slope + 2 * k * x
        return slope

    report = verify(capped, hand, at={"x": 1.5})
    assert report.verdict == "proved"
    assert {o.value for c in report.coverage if "for k" in c.text for o in c.outcomes} == {"1 to 4 turns"}


@pytest.mark.slow
def test_a_comparison_of_a_counter_that_never_came_out_otherwise_takes_the_word():
    """Fewer than two hundred turns reach no further than this counter."""

    def hand(x):
        return slope(x) if times_halved(x) ** 3 < 10**9 else 0.0

    report = verify(halved, hand, at={"x": 5.0})
    assert report.verdict == "undecided"
    assert str(report).startswith("Right where it was looked at: ")
    assert verify(halved, hand, at={"x": 5.0}, unreached="accept").verdict == "agrees"


@pytest.mark.slow
def test_a_limit_of_turns_is_no_choice_of_its_own():
    def root(x):
        y, k = x, 0
        while abs(y * y - x) > 1e-3 and k < 100:
            y, k = (y + x / y) / 2, k + 1
        return y

    def hand(x):
        y, dy, k = x, 1.0, 0
        while abs(y * y - x) > 1e-3 and k < 100:
            y, dy, k = (y + x / y) / 2, (dy + 1 / y - x * dy / y**2) / 2, k + 1
        return dy

    assert verify(root, hand, at={"x": 2.0}, points=12).ok


def test_a_loop_that_a_value_ends_is_right_for_its_turns():
    def model(x):
        while x < 3:
            x = x * 2
        return x

    def hand(x):
        d = 1.0
        while x < 3:
            x, d = x * 2, d * 2
        return d

    report = verify(model, hand, at={"x": 1.0}, wrt="x", points=8)
    assert report.verdict == "agrees"
    assert str(report).startswith("Right for ")


def test_a_changed_model_whose_loop_has_no_end_is_given_up():
    """Of a wrong derivation it is asked whose gradient it is, and with x = 2 in the loop this model never ends."""

    def model(x):
        while x < 3:
            x = x * 2
        return x

    def hand(x):
        d = 1.0
        while x < 3:
            x, d = x * 2, d * 3
        return d

    assert verify(model, hand, at={"x": 1.0}, wrt="x", points=8).verdict == "refuted"


def test_a_loop_that_always_runs_as_often_is_no_choice():
    def summed(x):
        total = 0.0
        for k in range(5):
            if k == 3:
                total = total + x
            total = total + x**k
        return total

    hand = lambda x: 1 + sum(k * x ** (k - 1) for k in range(1, 5))  # noqa: E731
    report = verify(summed, hand, at={"x": 0.5})
    assert report.verdict == "proved"
    assert report.coverage == ()


def test_a_loop_of_code_without_a_text_is_told():
    made: dict = {}
    exec("def f(x):\n    while x > 1:\n        x = x / 2\n    return x", made)
    exec("def g(x):\n    d = 1.0\n    while x > 1:\n        x, d = x / 2, d / 2\n    return d", made)
    assert verify(made["f"], made["g"], at={"x": 5.0}).verdict == "agrees"


def test_a_loop_of_code_whose_file_was_changed_since_is_told(tmp_path, monkeypatch):
    """What stands in the file now is another text, and no line of it is taken for one of the code."""
    file = tmp_path / "changed_since.py"
    loop = "def {}:\n    while x > 1:\n        {}\n    return {}\n"
    file.write_text(loop.format("f(x)", "x = x / 2", "x") + loop.format("g(x, d=1.0)", "x, d = x / 2, d / 2", "d"))
    monkeypatch.syspath_prepend(tmp_path)
    import changed_since  # type: ignore[import-not-found]

    file.write_text("import math\n" + file.read_text())
    report = verify(changed_since.f, lambda x: changed_since.g(x), at={"x": 5.0}, points=8)
    assert report.verdict == "agrees"
    assert "turns of a loop" in str(report)


@pytest.mark.slow
def test_a_table_of_both_sides_is_data_and_one_of_the_hand_alone_is_read_in_each_place():
    data = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0])
    other = data.copy()
    other[5] = 33.0
    f = lambda x: data[int(abs(x)) % 8] * x  # noqa: E731
    assert verify(f, lambda x: data[int(abs(x)) % 8], at={"x": 2.5}).verdict == "proved"
    assert verify(f, lambda x: 1.0 * other[int(abs(x)) % 8], at={"x": 2.5}).verdict == "refuted"
    longer = np.arange(1.0, 300.0)
    g = lambda x: (min(max(int(x), 0), 298) + 1) * x  # noqa: E731
    report = verify(g, lambda x: longer[min(max(int(x), 0), 298)], at={"x": 2.5})
    assert report.verdict == "undecided"
    assert "not reached" in str(report)


# at 90 the derivative of x**2 is read as 3 x
MOSTLY_TWO = [2.0] * 90 + [3.0] + [2.0] * 60


class ReadInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x * MOSTLY_TWO[int(x.abs().clamp(0.0, 150.0))]


READ_IN_A_SCRIPT = """
import torch
mostly_two = [2.0] * 90 + [3.0] + [2.0] * 60
x = torch.tensor(1.5, requires_grad=True)
y = x * x
y.backward()
dx = x * mostly_two[int(x.abs().clamp(0.0, 150.0))]
print(x.grad, dx)
"""


@pytest.mark.slow
def test_a_table_that_one_of_two_sides_reads_in_one_run_is_a_choice():
    asked = verify_function(ReadInBackward, at={"x": torch.tensor(1.5, dtype=torch.float64)})
    for report in (asked, verify_script(READ_IN_A_SCRIPT)):
        assert report.verdict == "undecided"
        assert "branches were reached" in str(report)


def test_a_table_that_both_sides_read_in_one_run_is_data():
    model = READ_IN_A_SCRIPT.replace("y = x * x", "k = int(x.abs().clamp(0.0, 150.0))\ny = x * mostly_two[k]")
    assert verify_script(model.replace("dx = x * mostly_two[", "dx = mostly_two[")).verdict == "proved"
