"""What a refusal says to write, written so, is answered: refusals, the advice in each, and the question then.

The formulas are of the kinds that books and notes have; each is refused because it has two readings, or none.
"""

import pytest

from symgrad import Latex, verify
from symgrad.errors import SymgradError

VECTOR, MATRIX = {"x": (3,)}, {"X": (3, 2)}
REFUSED = {
    "psi": (
        (r"L = a \log b - \psi(b)", r"\frac{\partial L}{\partial a} = \log b", {}),
        r"\operatorname{digamma}",
        (r"L = a \log b - \operatorname{digamma}(b)", r"\frac{\partial L}{\partial a} = \log b", {}),
    ),
    "the normal distribution": (
        (r"C = S N(s) + s", r"\frac{\partial C}{\partial S} = N(s)", {}),
        r"\operatorname{ndtr}",
        (r"C = S \operatorname{ndtr}(s) + s", r"\frac{\partial C}{\partial S} = \operatorname{ndtr}(s)", {}),
    ),
    "a dot after what an operator takes": (
        (r"y = x^2 e^x", r"\frac{dy}{dx} = \frac{d}{dx} x^2 \cdot e^x", {}),
        r"\frac{d}{dx}(...)",
        (r"y = x^2 e^x", r"\frac{dy}{dx} = \frac{d}{dx}(x^2 \cdot e^x)", {}),
    ),
    "letters of two shapes": (
        (r"f(x) = \|a x\|^2", r"\nabla f = 2 a^2 x", {}),
        'at={"a": 1.0, "x": ("n",)}',
        (r"f(x) = \|a x\|^2", r"\nabla f = 2 a^2 x", {"a": 1.0, "x": ("n",)}),
    ),
    "a point between vectors": (
        (
            r"E = \sigma(v . x)",
            r"\frac{\partial E}{\partial v} = \sigma(v . x)(1 - \sigma(v . x)) x",
            {"v": (3,), **VECTOR},
        ),
        r"v^\top u",
        (
            r"E = \sigma(v^\top x)",
            r"\frac{\partial E}{\partial v} = \sigma(v^\top x)(1 - \sigma(v^\top x)) x",
            {"v": (3,), **VECTOR},
        ),
    ),
    "an index that stands twice": (
        (r"f = \sum_i \sum_k u_{ik}^2", r"\frac{\partial f}{\partial u_{ii}} = 2 u_{ii}", {"u": (3, 3)}),
        "Use a letter for each axis.",
        (r"f = \sum_i \sum_k u_{ik}^2", r"\frac{\partial f}{\partial u_{mn}} = 2 u_{mn}", {"u": (3, 3)}),
    ),
    "bars around a vector": (
        (r"y = |x|^2", r"\nabla_x y = 2 x", VECTOR),
        r"\|x\|",
        (r"y = \|x\|^2", r"\nabla_x y = 2 x", VECTOR),
    ),
    "an inverse function": (
        (r"y = \ln^{-1}(2x)", r"\frac{dy}{dx} = -\frac{1}{x (\ln 2x)^2}", {}),
        r"\frac{1}{\ln x}",
        (r"y = \frac{1}{\ln 2x}", r"\frac{dy}{dx} = -\frac{1}{x (\ln 2x)^2}", {}),
    ),
    "a fraction on the line": (
        (r"y = 1/2x", r"\frac{dy}{dx} = \frac{1}{2}", {}),
        r"\frac{a}{b} c",
        (r"y = \frac{1}{2} x", r"\frac{dy}{dx} = \frac{1}{2}", {}),
    ),
    "the product of two vectors": (
        (r"y = x x", r"\nabla_x y = 2 x", VECTOR),
        r"x^\top y",
        (r"y = x^\top x", r"\nabla_x y = 2 x", VECTOR),
    ),
    "a function of a matrix": (
        (r"f = \operatorname{tr}(\exp(X))", r"\frac{\partial f}{\partial X_{ij}} = \exp(X_{ij})", {"X": (2, 2)}),
        r"\exp(A_{ij})",
        (r"f = \sum_{i}\sum_{j} \exp(X_{ij})", r"\frac{\partial f}{\partial X_{ij}} = \exp(X_{ij})", {"X": (2, 2)}),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_refusal_says_to_write_is_answered(name):
    (formula, hand, at), advice, (instead, its_hand, its_at) = REFUSED[name]
    with pytest.raises(SymgradError) as caught:
        verify(Latex(formula), Latex(hand), at=at)
    assert advice in str(caught.value)
    assert verify(Latex(instead), Latex(its_hand), at=its_at).verdict == "proved"


def test_bars_around_a_bold_letter_are_its_length():
    y = r"y = \frac{\mathbf{v} \cdot \mathbf{w}}{\left|\mathbf{v}\right| |\mathbf{w}|}"
    first, rest = r"\frac{\mathbf{w}}{|\mathbf{v}||\mathbf{w}|}", r"y \frac{\mathbf{v}}{|\mathbf{v}|^2}"
    at = {"v": (4,), "w": (4,)}
    for sign, verdict in (("-", "proved"), ("+", "refuted")):
        hand = Latex(rf"\frac{{\partial y}}{{\partial \mathbf{{v}}}} = {first} {sign} {rest}")
        assert verify(Latex(y), hand, at=at).verdict == verdict
