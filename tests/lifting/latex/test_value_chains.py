"""Values that a text says are equal: each side is compared with the first, and the first that breaks is named."""

from __future__ import annotations

import mpmath as mp
import pytest

from symgrad import Latex, SymgradError, verify


def rows(*sides: str) -> str:
    return "\\begin{aligned}\n" + " \\\\\n".join(sides) + "\n\\end{aligned}"


RIGHT = [
    r"\cos 2x = \cos^2 x - \sin^2 x = 1 - 2\sin^2 x",
    r"\operatorname{Var}(X) = E[(X-\mu)^2] = E[X^2] - 2\mu E[X] + \mu^2 = E[X^2] - \mu^2",
    r"\mathbb{E}[XY] = \operatorname{Cov}(X, Y) + \mathbb{E}[X]\mathbb{E}[Y]",
    r"\sum_{i=1}^n (x_i - \bar x)^2 = \sum_{i=1}^n x_i^2 - n \bar x^2",
    r"\sum_{k=1}^n \frac{1}{k(k+1)} = 1 - \frac{1}{n+1} = \frac{n}{n+1}",
    r"\sum_{t=0}^\infty x^t = \frac{1}{1 - x}",
    r"\int_0^1 x e^x \, dx = \left[x e^x\right]_0^1 - \int_0^1 e^x \, dx = e - (e - 1) = 1",
    r"\frac{d}{dx}\int_0^{x^2} e^{-t^2} \, dt = e^{-x^4} \cdot \frac{d}{dx} x^2 = 2x e^{-x^4}",
    r"\dot V = x^\top A^\top P x + x^\top P A x = x^\top (A^\top P + P A) x",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_equal_is_proved(text: str):
    assert verify(Latex(text)).verdict == "proved"


BROKEN = [  # the text, and the row at which it breaks
    (rows(r"\cos 2x &= \cos^2 x - \sin^2 x", r"&= 1 - \sin^2 2x", r"&= \cos^2 2x"), 2),
    (rows(r"\operatorname{Var}(X) &= E[(X-\mu)^2]", r"&= E[X^2] - \mu^2 + \mu^2", r"&= E[X^2]"), 2),
    (rows(r"\sum_{k=0}^{n-1} (2k+1) &= 2\cdot\frac{n(n-1)}{2} + n", r"&= n^2 - n", r"&= n(n-1)"), 2),
    (rows(r"\int_0^1 x e^x \, dx &= e - \left[e^x\right]_0^1", r"&= e - e - 1"), 2),
    (rows(r"\int_0^\infty x^2 e^{-ax} \, dx &= \frac{d^2}{da^2} \frac1a", r"&= \frac{1}{a^3}"), 2),
    (rows(r"\dot V &= x^\top A^\top P x + x^\top P A x", r"&= x^\top (A P + P A) x"), 2),
    (rows(r"F = -\frac{dU}{dr} &= \frac{d}{dr}\frac{k}{r}", r"&= -\frac{k}{r^2}", r"&= -\frac{k}{r}"), 3),
]


@pytest.mark.parametrize(("text", "row"), BROKEN)
def test_the_first_side_that_breaks_is_named_by_its_row(text: str, row: int):
    report = verify(Latex(text))
    assert report.verdict == "refuted"
    assert [s.source.line for s in report.steps if s.verdict == "wrong" and s.source is not None] == [row]


def test_a_value_by_sympy_is_that_of_a_quadrature():
    report = verify(Latex(r"\int_1^x \frac{\ln t}{t} \, dt = \frac{\ln^2 x}{3}"))
    witness = report.claims["side 2"].witness
    x = float(witness.point["x"])
    assert witness.exact_value == pytest.approx(float(mp.quad(lambda t: mp.log(t) / t, [1, x])), rel=1e-9)


def test_a_derivative_of_an_integral_is_judged_by_leibniz():
    formula = Latex(r"F(x) = \int_0^{x^2} e^{-t^2} \, dt")
    assert verify(formula, Latex(r"F'(x) = 2x e^{-x^4}")).verdict == "proved"
    assert verify(formula, Latex(r"F'(x) = 2x e^{-x^2}")).verdict == "refuted"


def test_what_is_right_for_positive_numbers_says_so_first_and_accuses_no_row():
    report = verify(Latex(r"\sqrt{x^2} = x"))
    assert not report
    assert report.wrong_steps == ()
    assert str(report).startswith("Wrong unless x > 0: ")
    length = Latex(
        r"T = 2\pi\sqrt{\frac{L}{g}} \\ \frac{dT}{dL} = \frac{\pi}{g}\sqrt{\frac{g}{L}} = \frac{\pi}{\sqrt{gL}}"
    )
    report = verify(length)
    assert report.wrong_steps == ()
    assert str(report).startswith("Wrong unless g > 0: ")
    assert verify(length, assuming="L > 0, g > 0").verdict == "proved"


def test_a_row_that_needs_a_symmetric_matrix_is_not_accused():
    text = rows(
        r"\nabla_{\mu}\left[-\tfrac12 (x-\mu)^\top \Sigma^{-1} (x-\mu)\right] &= \Sigma^{-1}(x-\mu)",
        r"&= \Sigma^{-1}\mu - \Sigma^{-1}x",
    )
    report = verify(Latex(text))
    assert [s.verdict for s in report.steps] == ["right", "wrong"]
    assert "Line 1 is right if Sigma is symmetric" in " ".join(str(report).split())


def test_letters_that_replace_others_are_asked_about():
    text = r"F = \frac{G}{1 + G H} = \frac{k}{s + k}"
    with pytest.raises(SymgradError, match="k and s stand in the place of G and H") as told:
        verify(Latex(text))
    assert "Add a row before this one, G = ..." in str(told.value)
    assert verify(Latex(rf"G = \frac{{k}}{{s}} \\ H = 1 \\ {text}")).verdict == "proved"
