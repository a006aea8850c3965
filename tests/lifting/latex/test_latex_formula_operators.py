"""Operators within rows: how far d/dx reaches, primes, multiples of a derivative, words between formulas."""

from __future__ import annotations

import pytest

from symgrad import Latex, verify
from symgrad.errors import BadFormula

F = r"f(x) = x^2 \sin x \\ "

# a right side of f'(x), in each way to write it
RIGHT = (
    r"\frac{d}{dx}(x^2) \sin x + x^2 \cos x",
    r"\sin x \frac{d}{dx} x^2 + x^2 \frac{d}{dx} \sin x",
    r"\frac{d}{dx} x^2 \sin x",
    r"\frac{d}{dx}\left(x^2\right)\cdot\sin x + x^2\cdot\frac{d}{dx}(\sin x)",
    r"(x^2)' \sin x + x^2 (\sin x)'",
    r"(x^2 \sin x)'",
    r"\frac{d(x^2)}{dx} \sin x + x^2 \cos x",
    r"2x \frac{dx}{dx} \sin x + x^2 \cos x",
    r"\frac{d}{dx} x^2 \sin x \cdot \frac{dx}{dx}",
    r"f'",
)


@pytest.mark.parametrize("side", RIGHT)
def test_an_operator_takes_the_product_to_its_right_or_what_is_in_parentheses(side):
    assert verify(Latex(F + rf"f'(x) = {side} = x^2 \cos x + 2x \sin x")).verdict == "proved"


@pytest.mark.parametrize("side", RIGHT[:-1])
def test_an_operator_is_no_wildcard(side):
    wrong = side.replace(r"\sin x", r"\cos x", 1)
    assert wrong != side
    report = verify(Latex(F + rf"f'(x) = {wrong} = x^2 \cos x + 2x \sin x"))
    assert [s.verdict for s in report.steps if s.name.startswith("df")] == ["wrong", "right"]


TWO_READINGS = (
    (r"\frac{d}{dx} x^2 \cdot \sin x", "not clear where what is differentiated ends"),
    (r"\frac{d}{dx}(x + 1)(x - 1)", "not clear where what is differentiated ends"),
    (r"\frac{d}{dx}(x^2)/x", "not clear where what is differentiated ends"),
    (r"(y - x)'(y - x)", "a derivative to some and a transpose to others"),
    (r"(X + 1)' x", "a derivative to some and a transpose to others"),
)


@pytest.mark.parametrize(("side", "message"), TWO_READINGS)
def test_two_readings_are_asked_about(side, message):
    with pytest.raises(BadFormula, match=message):
        verify(Latex(F + rf"f'(x) = {side}"))


def test_what_the_message_says_to_write_is_read():
    assert verify(Latex(F + r"f'(x) = \frac{d}{dx}(x^2 \cdot \sin x)")).verdict == "proved"


SAME = (
    r"y = x^2 \\ \frac{dy}{dx} = 2x",
    r"Let $y = x^2$, where $x$ is real. By the power rule, $$\frac{dy}{dx} = 2x.$$",
    r"If \[ y = x^2 \] then \[ \frac{dy}{dx} = 2x. \]",
    r"Let y = x^2. Then \frac{dy}{dx} = 2x",
    r"\text{Let } y = x^2, \text{ so that } \frac{dy}{dx} = 2x \text{ by the power rule}",
    r"y = x^2 \iff \frac{1}{2}\frac{dy}{dx} = x",
    r"y = f(x) = x^2 \\ f'(x) = 2x",
)


@pytest.mark.parametrize("text", SAME)
def test_words_between_formulas_join_them(text):
    assert verify(Latex(text)).verdict == "proved"
    wrong = text.replace("2x", "3x") if "2x" in text else f"{text}^3"
    assert verify(Latex(wrong)).verdict == "refuted"


def test_a_condition_in_words_is_where_the_claim_is_made():
    said = r"y = |x| \\ \frac{dy}{dx} = %s \text{ for } x %s 0"
    asked = {(slope, sign): verify(Latex(said % (slope, sign))).verdict for slope in ("1", "-1") for sign in "<>"}
    assert asked == {("1", ">"): "proved", ("-1", "<"): "proved", ("1", "<"): "refuted", ("-1", ">"): "refuted"}


def test_what_says_the_model_again_is_judged():
    rows = r"y = (3x+1)^5 \\ u = 3x+1 \\ y = u^4 \\ \frac{dy}{du} = 4u^3 \\ \frac{dy}{dx} = 15(3x+1)^4"
    report = verify(Latex(rows))
    assert report.wrong_steps == ("y",)
    assert "What this line says is not y." in str(report)
    assert "line is wrong" not in str(report).replace("line 2 is wrong", "")
