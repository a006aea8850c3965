"""Names that books write with signs of their own: means in angles, states before and after, what an integral is of."""

import pytest

from symgrad import Latex, SymgradError, verify

PAIRS = [
    (
        r"\langle E\rangle(\alpha) = \frac{\hbar^2\alpha}{2m}+\frac{m\omega^2}{8\alpha}",
        r"\frac{d\langle E\rangle}{d\alpha} = \frac{\hbar^2}{2m} - \frac{m\omega^2}{8\alpha^2}",
    ),
    (
        r"v = \langle x^2\rangle - \langle x\rangle^2",
        r"\frac{\partial v}{\partial\langle x\rangle} = -2\langle x\rangle",
    ),
    (r"x^+ = A x + B u", r"\frac{\partial x^+}{\partial u} = B"),
    (
        r"D_{\mathrm{KL}}(\mathcal N(\mu,\sigma^2)\,\|\,\mathcal N(0,1)) = \tfrac12(\mu^2+\sigma^2-1-\ln\sigma^2)",
        r"\frac{\partial D_{\mathrm{KL}}}{\partial\sigma} = \sigma - \frac1\sigma",
    ),
    (r"S(t) = \exp\left(-\int_0^t \lambda(s)\,ds\right)", r"S'(t) = -\lambda(t)S(t)"),
    (r"y(t) = \int_0^t q(s)\,ds", r"y'(t) = q(t)"),
    (r"y = x^3", r"d^2y/dx^2 = 6x"),
    (r"y = x^x \\ \ln y = x \ln x", r"y'/y = \ln x + 1"),
    (r"V = G M m r^2", r"\frac{dV}{dr} = 2GMmr"),
    (r"f = \sin(x^2)\cos x", r"f' = \cos x\,(2x\cos(x^2)) - \sin x\,\sin(x^2)"),
    (r"F(x) = \int_0^x t e^{-t}\,dt", r"F''(x) = (1-x)e^{-x}"),
    (r"G(x,y) = \int_0^x \sin(t y)\,dt", r"\frac{\partial^2 G}{\partial x\partial y} = x\cos(xy)"),
]


@pytest.mark.parametrize(("formula", "hand"), PAIRS, ids=[f[:30] for f, _ in PAIRS])
def test_a_name_in_a_book_is_a_name(formula, hand):
    assert verify(Latex(formula), Latex(hand)).verdict == "proved"
    left, right = hand.split("=", 1)
    assert verify(Latex(formula), Latex(f"{left} = -2\\left({right}\\right)")).verdict == "refuted"


@pytest.mark.slow
def test_a_trace_is_no_name():
    P = r"P^+ = (I-KH)P(I-KH)^\top+KRK^\top"
    hand = r"\frac{\partial\operatorname{tr}(P^+)}{\partial K} = -2(I-KH)PH^\top+2KR"
    symmetric = "P = P.T, R = R.T"
    assert verify(Latex(P), Latex(hand), assuming=symmetric).verdict == "proved"
    assert verify(Latex(P), Latex(hand.replace("2KR", "KR")), assuming=symmetric).verdict == "refuted"


def test_a_sign_above_that_no_row_says_is_asked_about():
    with pytest.raises(SymgradError, match="has many meanings"):
        verify(Latex(r"f = x^+ y"), Latex(r"\frac{df}{dy} = x^+"))  # the positive part of x, to some


@pytest.mark.slow
def test_shapes_that_a_jacobian_alone_tells_are_read_from_it():
    step = Latex(r"h_t = \tanh(W_{hh}h_{t-1} + W_{xh}x_t + b)")
    hand = r"\frac{\partial h_t}{\partial h_{t-1}} = \operatorname{diag}(1-h_t^2)\,W_{hh}"
    assert verify(step, Latex(hand)).verdict == "proved"
    assert verify(step, Latex(hand.replace("h_t^2", "h_t"))).verdict == "refuted"


def test_shapes_that_nothing_tells_are_asked_for_and_the_advice_is_answered():
    step, hand = Latex(r"h = \tanh(w x)"), Latex(r"\frac{\partial h}{\partial x} = \operatorname{diag}(1 - h^2) w")
    with pytest.raises(SymgradError) as error:
        verify(step, hand)
    assert 'at={"x": ("n",), "W": ("m", "n")}' in str(error.value)
    assert verify(step, hand, at={"w": ("n", "m"), "x": ("m",)}).verdict == "proved"


def test_a_word_at_the_end_of_a_row_is_a_factor_and_a_remark_is_not():
    """Dropped as a remark, the word would leave another formula."""
    assert Latex(r"f = 2x \text{learning\_rate}").plain == "f = 2*x*learning_rate"
    assert Latex(r"f = -2x\langle x\rangle").plain == "f = -2*x*mean_x"
    assert Latex(r"f = 2x \text{ by the chain rule}").plain == "f = 2*x"
    with pytest.raises(SymgradError):
        Latex(r"f = 2x - \text{learning rate}")


def test_parentheses_around_a_product_say_where_a_denominator_ends():
    assert Latex(r"A E/(R T^2) \exp(-x)").plain == "A*E/(R*T**2)*exp(-x)"
    with pytest.raises(SymgradError, match="what the denominator is"):
        _ = Latex(r"1/(1+x)(2+y)").equations
