"""One text that says what is differentiated and what its derivative is.

The truths are those of mpmath's numerical derivative, at a point, of the functions that stand beside the texts.
"""

import mpmath
import pytest

from symgrad import Latex, verify
from symgrad.errors import BadFormula, BadInput, SymgradError
from symgrad.lifting.whole_questions import sides_of

WHOLE = [  # a text, whether it is right, what it differentiates, what it claims, of which order
    (r"\frac{d}{dx} x^2 = 2x", lambda x: x**2, lambda x: 2 * x, 1),
    (r"\frac{d}{dx}(x^2 e^{x}) = 2x e^{x}", lambda x: x**2 * mpmath.exp(x), lambda x: 2 * x * mpmath.exp(x), 1),
    (r"\left(x^2 \ln x\right)' = 2x \ln x + x", lambda x: x**2 * mpmath.log(x), lambda x: 2 * x * mpmath.log(x) + x, 1),
    (r"D_x \left[ x^3 \right] = 2 x^2", lambda x: x**3, lambda x: 2 * x**2, 1),
    (r"f(x) = \sqrt{x} \implies f'(x) = \frac{1}{2\sqrt{x}}", mpmath.sqrt, lambda x: 1 / (2 * mpmath.sqrt(x)), 1),
    (r"f(x) = \sqrt{x} \text{ and } f'(x) = \frac{1}{\sqrt{x}}", mpmath.sqrt, lambda x: 1 / mpmath.sqrt(x), 1),
    (r"f(x) = \ln x,\quad f'''(x) = \frac{2}{x^3}", mpmath.log, lambda x: 2 / x**3, 3),
    (r"f(x) = \ln x,\quad f^{(4)}(x) = \frac{6}{x^4}", mpmath.log, lambda x: 6 / x**4, 4),
    (r"x(t) = t^3,\quad \ddot x = 6 t", lambda t: t**3, lambda t: 6 * t, 2),
    (r"V(r) = \frac{1}{r} \\ F = -\frac{dV}{dr} = \frac{1}{r^2}", lambda r: 1 / r, lambda r: -1 / r**2, 1),
    (r"V(r) = \frac{1}{r} \\ -\frac{dV}{dr} = -\frac{1}{r^2}", lambda r: 1 / r, lambda r: 1 / r**2, 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "f", "claimed", "order"), WHOLE, ids=[w[0] for w in WHOLE])
def test_a_text_in_latex_is_a_question(text, f, claimed, order):
    truth = mpmath.diff(f, 0.7, order)
    right = abs(truth - claimed(mpmath.mpf(0.7))) < 1e-6
    assert verify(Latex(text)).verdict == ("proved" if right else "refuted")


@pytest.mark.parametrize(
    ("text", "formula", "verdict"),
    [
        (
            r"\frac{\partial \ell}{\partial\sigma} = \frac{\partial}{\partial\sigma}"
            r"\left(-n\log\sigma - \frac{s}{2\sigma^2}\right) = -\frac{n}{\sigma} + \frac{s}{\sigma^3}",
            r"\ell = \left(-n\log\sigma - \frac{s}{2\sigma^2}\right)",
            "proved",
        ),
        (
            r"\sigma'(x) = \frac{d}{dx}\left(1+e^{-x}\right)^{-1} = -\frac{e^{-x}}{(1+e^{-x})^2}",
            r"\sigma(x) = \left(1+e^{-x}\right)^{-1}",
            "refuted",
        ),
    ],
)
def test_a_derivation_that_begins_with_its_operator_says_what_is_differentiated(text, formula, verdict):
    assert sides_of(Latex(text))[0].text == formula
    assert verify(Latex(text)).verdict == verdict


def test_a_mixed_derivative_is_that_of_the_first_one():
    f = r"f(x, y) = x^2 y^3 \\ "
    assert verify(Latex(f + r"\frac{\partial^2 f}{\partial x \partial y} = 6 x y^2")).verdict == "proved"
    assert verify(Latex(f + r"f_{xy} = 6 x y^2")).verdict == "proved"
    wrong = verify(Latex(f + r"f_{xy} = 6 x^2 y"))
    assert wrong.verdict == "refuted"
    assert "y, of ∂f/∂x" in str(wrong)


def test_a_gradient_is_given_entry_by_entry_in_the_order_of_the_arguments():
    f = r"f(x, y) = x^2 + 3xy \\ \nabla f = "
    assert verify(Latex(f + r"\begin{pmatrix} 2x + 3y \\ 3x \end{pmatrix}")).verdict == "proved"
    report = verify(Latex(f + r"(2x + 3y, 2x)^\top"))
    assert {n: c.kind for n, c in report.claims.items()} == {"x": "proved", "y": "refuted"}
    assert verify(Latex(r"g = c x^2 y"), Latex(r"\nabla g = (2cxy, cx^2)")).verdict == "proved"
    with pytest.raises(BadFormula, match="which inputs the 2 columns of this matrix are for") as error:
        verify(Latex(r"g = a b^2"), Latex(r"\nabla g = (b^2, 2ab)"))
    assert r"Write its left side as \frac{\partial g}{\partial(a, b)}" in str(error.value)
    assert verify(Latex(r"g = a b^2"), Latex(r"\frac{\partial g}{\partial(a, b)} = (b^2, 2ab)")).verdict == "proved"


def test_a_derivative_for_a_power_needs_to_be_sure():
    normal = r"\ell(\mu, \sigma^2) = -\frac{1}{2}\log \sigma^2 - \frac{\mu^2}{2\sigma^2} \\ "
    claim = r"\frac{\partial \ell}{\partial \sigma^2} = -\frac{1}{2\sigma^2} + \frac{\mu^2}{2\sigma^4}"
    assert verify(Latex(normal + claim)).verdict == "proved"
    assert verify(Latex(normal + claim.replace(r"2\sigma^4", r"\sigma^4"))).verdict == "refuted"
    with pytest.raises(BadFormula, match=r"a derivative for x\^2, or one of order 2"):
        verify(Latex(r"f(x) = x^2 \\ \frac{df}{dx^2} = 2"))


def test_a_power_that_a_row_says_is_a_name():
    rows = r"\sigma^2 = a^2 + b \\ f = \log \sigma^2 + \sigma^4 \\ "
    assert (
        verify(Latex(rows + r"\frac{\partial f}{\partial a} = \frac{2a}{\sigma^2} + 4 a \sigma^2")).verdict == "proved"
    )
    with pytest.raises(BadFormula, match="only its power 2 is defined"):
        verify(Latex(r"\sigma^2 = a^2 \\ f = \sigma \\ \frac{df}{da} = 1"))


def test_one_step_of_a_recurrence_has_two_names():
    step = r"h_t = \tanh(w h_{t-1} + u x_t) \\ \frac{\partial h_t}{\partial h_{t-1}} = "
    assert verify(Latex(step + "w (1 - h_t^2)")).verdict == "proved"
    assert verify(Latex(step + "w (1 - h_{t-1}^2)")).verdict == "refuted"
    h = Latex(r"h_t = \tanh(W h_{t-1})")
    jacobian = Latex(r"\frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(1 - h_t^2) W")
    assert verify(h, jacobian, at={"W": (2, 2), "h_{t-1}": (2,)}, wrt="h_tm1").verdict == "proved"


def test_indices_tell_which_letters_are_vectors():
    softmax = Latex(
        r"p_i = \frac{e^{z_i}}{\sum_k e^{z_k}} \\ \frac{\partial p_i}{\partial z_j} = p_i(\delta_{ij} - p_j)"
    )
    report = verify(softmax)
    assert report.verdict == "proved"
    assert "z of the shape (n)" in report.notes[-1]
    wrong = softmax.text.replace(r"\delta_{ij}", "1")
    assert verify(Latex(wrong)).verdict == "refuted"


def test_rows_may_say_afterwards_what_their_names_are():
    text = r"E = (y - t)^2,\quad y = w x \\ \frac{\partial E}{\partial w} = 2 (y - t) x"
    assert verify(Latex(text)).verdict == "proved"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("d/dx (x**2) = 2*x", "proved"),
        ("d/dx (x**2) = x", "refuted"),
        ("d/dx sin(x)**2 = 2*sin(x)*cos(x) = sin(2*x)", "proved"),
        ("y = x**2\ndy/dx = 2*x", "proved"),
        ("u = 3*x\ny = u**2\ndy/du = 2*u\ndy/dx = 2*u", "refuted"),
    ],
)
def test_text_is_a_question_too(text, verdict):
    assert verify(text).verdict == verdict


MESSAGES = [
    (
        "x**2",
        r"""
there is no hand formula beside this text.
    x**2
Write an equation, d/dx (x**2) = 2*x, or pass the hand formula beside it.
""",
    ),
    (
        "d/dx x**2 + x = 2*x",
        r"""
it is not clear where what is differentiated ends.
    d/dx x**2 + x
         ^^^^^^
Write d/dx (x**2 + x) = ..., with parentheses around all of it.
""",
    ),
    (
        Latex(r"x^2"),
        r"""
this text claims no derivative, and no two values that are equal.
    x^2
Add a row such as \frac{\partial f}{\partial x} = ...; or pass the formula and its derivative.
""",
    ),
    (
        Latex(r"\frac{df}{dx} = 2x"),
        r"""
this text says what the derivative is, and not of what.
    \frac{df}{dx} = 2x
Add a row before it, f(x) = ...; or pass two: the formula, and its derivative.
""",
    ),
    (
        3.0,
        r"""
there is no hand formula beside this float.
Pass the formula and its derivative: verify(formula, hand).
""",
    ),
]


@pytest.mark.parametrize(("question", "message"), MESSAGES, ids=[m.split(chr(10))[1][:30] for _, m in MESSAGES])
def test_what_is_no_whole_question_is_told_what_lacks(question, message):
    with pytest.raises(SymgradError) as error:
        verify(question)
    assert f"\n{error.value}\n" == message


def test_what_the_messages_say_is_then_answered():
    assert verify("d/dx (x**2 + x) = 2*x + 1").ok
    assert verify("x**2", "2*x").ok
    assert verify(Latex(r"f(x) = x^2 \\ \frac{df}{dx} = 2x")).ok
    with pytest.raises(BadInput, match="Use Latex"):
        verify("d^2/dx^2 (x**3) = 6*x")
    assert verify(Latex(r"\frac{d^2}{dx^2} (x^3) = 6x")).ok
