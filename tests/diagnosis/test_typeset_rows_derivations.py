"""Derivations as people typeset them, each right as it stands and with one slip, whose row is to be named.

`../corpus/typeset_derivations.txt` has a title after ``#``, the rows, and after ``!`` what is written wrongly in
the last place where it stands, and how.  That they are right is textbook mathematics; the slips are planted.
"""

from __future__ import annotations

import pytest
from derivations.typeset import derivations, measure, squeezed

from symgrad import Latex, verify
from symgrad.errors import WrongShape

DERIVATIONS = derivations()
QUICK = (
    "quotient, aligned",
    "chain rule, u-substitution with let",
    "displays with words between",
    "logarithmic differentiation",
    "quotient rule with primes",
    "trig identity",
    "quadratic form",
)
UNFIT = (
    "frobenius",
    "LQR quadratic cost",
)  # whose slip leaves tensors that do not fit, which is an error with its place
ALL = [pytest.param(t, marks=() if t in QUICK else pytest.mark.slow) for t in DERIVATIONS]


@pytest.mark.parametrize("title", ALL)
def test_what_is_right_has_no_wrong_row(title):
    report = verify(Latex(DERIVATIONS[title][0]))
    assert report.ok, str(report)
    assert [s.source.text for s in report.steps if s.verdict == "wrong"] == []


@pytest.mark.parametrize("title", ALL)
def test_the_row_with_the_slip_is_the_one_that_is_named(title):
    rows, right, wrong = DERIVATIONS[title]
    before, after = rows.rsplit(right, 1)
    slip = squeezed(wrong).lstrip("=")
    asked = Latex(before + wrong + after)
    if title in UNFIT:
        with pytest.raises(WrongShape) as error:
            verify(asked)
        assert slip in squeezed(error.value.where or "")
        return
    report = verify(asked)
    named = [squeezed(s.source.text) for s in report.steps if s.verdict == "wrong"]
    if not report.steps:
        assert report.verdict == "refuted"
    else:
        assert len(named) == 1, str(report)
        assert slip in named[0]


SQUARE = r"f(x) = (x + 1)^2 \\ = x^2 + {}x + 1"


@pytest.mark.parametrize(
    ("slope", "rewritten", "verdicts"),
    [
        (r"f'(x) = 2x + 2", 2, ["right"]),
        (r"f'(x) = 2(x + 1) \\ = 2x + 2", 2, ["right", "right", "right"]),
        (r"f'(x) = 2(x + 1) \\ = 2x + 2", 1, ["wrong", "right", "right"]),
        (r"f'(x) = 2x + 1", 1, ["wrong"]),
        (r"f'(x) = 1 + x + x \\ = 2x + 1", 1, ["wrong", "fed wrong values", "fed wrong values"]),
        (r"f'(x) = 2x + 1 \\ = 2x", 1, ["wrong", "fed wrong values", "wrong"]),
    ],
)
def test_a_function_is_what_is_said_of_it_first_and_what_else_is_said_is_judged(slope, rewritten, verdicts):
    report = verify(Latex(rf"{SQUARE.replace('{}', str(rewritten))} \\ {slope}"))
    assert [s.verdict for s in report.steps] == verdicts
    assert bool(report) is (set(verdicts) == {"right"})
    if verdicts == ["wrong", "right", "right"]:
        assert str(report).startswith("The result is right, and proved; the derivation is not: line 2 is wrong.")


def test_the_rows_of_a_model_of_tensors_are_judged_too():
    model = r"f(x) = \|A x - b\|^2 = (A x - b)^\top (A x - b) \\ = x^\top A^\top A x - {}b^\top A x + b^\top b"
    hand = Latex(r"\nabla f(x) = 2 A^\top (A x - b)")
    at = {"A": (3, 2), "x": (2,), "b": (3,)}
    assert verify(Latex(model.replace("{}", "2")), hand, at=at).verdict == "proved"
    broken = verify(Latex(model.replace("{}", "")), hand, at=at)
    assert [s.verdict for s in broken.steps] == ["right", "wrong"]
    assert not broken


@pytest.mark.parametrize("between", [" = ", "\nf = "])
def test_steps_in_text_that_say_a_name_twice_say_that_both_are_equal(between):
    right = verify(f"f = (x + 1)**2{between}x**2 + 2*x + 1\ndf/dx = 2*x + 2")
    assert right.verdict == "proved"
    wrong = verify(f"f = (x + 1)**2{between}x**2 + x + 1\ndf/dx = 2*x + 1")
    assert [s.verdict for s in wrong.steps] == [None, "wrong", "fed wrong values"]
    assert wrong.verdict == "refuted"


LOGARITHMIC = r"y = x^{\ln x} \\ \ln y = {} \\ \frac{y'}{y} = {} \\ y' = 2 x^{\ln x - 1} \ln x"


@pytest.mark.parametrize(
    ("log", "share", "wrong"),
    [
        (r"(\ln x)^2", r"\frac{2 \ln x}{x}", []),
        (r"(\ln x)^2", r"\frac{2 \ln x}{x^2}", [3]),
        (r"(\ln x)^3", r"\frac{2 \ln x}{x}", [2]),
    ],
)
def test_logarithmic_differentiation_is_judged_row_by_row(log, share, wrong):
    report = verify(Latex(LOGARITHMIC.replace("{}", log, 1).replace("{}", share, 1)))
    assert [s.source.line for s in report.steps if s.verdict == "wrong"] == wrong
    assert bool(report) is (not wrong)


@pytest.mark.parametrize("left", ["ln y", "ln(y)", "log(y)"])
def test_the_logarithm_of_a_function_says_in_text_what_it_is(left):
    steps = f"{left} = x*ln(x)\n1/y * dy/dx = ln(x) + 1\ndy/dx = x**x*(ln(x) + 1)"
    assert verify(steps).verdict == "proved"
    wrong = verify(steps.replace("ln(x) + 1", "ln(x) - 1"))
    assert [s.verdict for s in wrong.steps][1:] == ["wrong", "fed wrong values"]
    again = verify(f"y = x**x\n{left} = x**2*ln(x)\n(1/y) dy/dx = x + 2*x*ln(x)")
    assert [s.verdict for s in again.steps][1:] == ["wrong", "fed wrong values"]


@pytest.mark.parametrize("seeds", [range(100, 103), pytest.param(range(100, 160), marks=pytest.mark.slow)], ids=len)
def test_slips_in_random_rows_are_named_by_their_rows(seeds):
    count, missed = measure(seeds)
    assert count["named"] >= 0.95 * count["made"], missed
    assert not count["accused"], missed


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        (r"(x+1)^2 &= x^2 + 2x + {} \\ (x-1)^2 &= x^2 - 2x + 1", [1]),
        (r"a &= (x+1)^2 = x^2 + 2x + {} \\ b &= (x-1)^2 = x^2 - 2x + 1", [1]),
        (r"(x-1)^2 &= x^2 - 2x + 1 \\ (x+1)^2 &= x^2 + 2x + {}", [2]),
        (r"f(x) &= x^2 \\ g(x) &= x^2 + 1 = x^2 + {} \\ f'(x) &= 2x", [2]),
        (r"g(x) &= x^2 + 1 = x^2 + {} \\ f(x) &= x^2 \\ f'(x) &= 2x", [1]),
    ],
)
def test_a_row_beside_what_is_asked_says_what_is_equal_too(rows, wrong):
    for number, faults in (("1", []), ("2", wrong)):
        report = verify(Latex(f"\\begin{{aligned}} {rows.format(number)} \\end{{aligned}}"))
        assert [s.source.line for s in report.steps if s.verdict == "wrong"] == faults
        assert report.verdict == ("refuted" if faults else "proved")
        assert bool(report.wrong_steps) is bool(faults)


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [
        (r"(Xw-y)^\top (Xw-y)", "proved"),
        (r"(Xw-y)^\top (Xw+y)", "refuted"),
        (r"w^\top X^\top X w - 2y^\top X w + y^\top y", "proved"),
        (r"w^\top X^\top X w - y^\top X w + y^\top y", "refuted"),
    ],
)
def test_a_row_that_says_again_what_the_model_is_is_compared_with_it(loss, verdict):
    rows = rf"\begin{{aligned}} L &= {loss} \\ \nabla_w L &= 2X^\top(Xw-y) \end{{aligned}}"
    report = verify(Latex(r"L(w) = \|Xw - y\|^2"), Latex(rows))
    assert report.claims["w"].kind == "proved"
    assert report.verdict == verdict
    assert [s.name for s in report.steps if s.verdict == "wrong"] == ["L"] * (verdict == "refuted")
