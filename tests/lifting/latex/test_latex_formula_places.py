r"""Formulas in LaTeX whose signs stand where books put them: ``d`` beside a name d, ``f'(2)``, ``\partial_x^2 u``,
``\mathbf{AXB}``, ``x^*``, rows that say afterwards what a name is.

The right sides are SymPy's, or of the Matrix Cookbook (Petersen, Pedersen; 2012).
"""

from __future__ import annotations

import pytest

from symgrad import Latex, verify
from symgrad.errors import BadFormula

OPTION = r"d = \frac{\ln(S/K) + (r + \sigma^2/2)T}{\sigma\sqrt T}, \quad V = S N(d) - K e^{-rT} N(d - \sigma\sqrt T)"
CUBE, WAVE = "f(x) = x^3 - 2x", r"u(x,t) = e^{-kt}\sin(nx)"
CHAIN = {"A": (2, 3), "X": (3, 4), "B": (4, 2)}
SQUARES = {"A": (3, 3), "b": (3,), "x": (3,)}


@pytest.mark.parametrize(
    ("formula", "right", "wrong"),
    [
        (CUBE, "f'(2) = 10", "f'(2) = 12"),
        (CUBE, r"\left.\frac{df}{dx}\right|_{x=2} = 10", r"\left.\frac{df}{dx}\right|_{x=2} = 4"),
        ("f(x,y) = x^2 y", r"f_x \Big|_{x=1, y=2} = 4", r"\partial_x f \Big|_{x=1, y=2} = 2"),
        (WAVE, r"\partial_x^2 u = -n^2 u", r"\partial_x^2 u = -n u"),
        (WAVE, r"\partial_t\partial_x u = -kn e^{-kt}\cos(nx)", r"\partial_{xt} u = kn e^{-kt}\cos(nx)"),
        ("f(x) = (x - x^*)^2", "f'(x) = 2(x - x^*)", "f'(x) = 2(x^* - x)"),
    ],
)  # fmt: skip
def test_a_number_at_a_place(formula, right, wrong):
    assert verify(Latex(formula), Latex(right)).verdict == "proved"
    assert verify(Latex(formula), Latex(wrong)).verdict == "refuted"


@pytest.mark.slow
def test_a_derivative_beside_a_name_d_is_one():
    for left in (r"\frac{dV}{dS}", "dV/dS", r"\frac{\mathrm{d}V}{\mathrm{d}S}"):
        assert verify(Latex(OPTION), Latex(rf"{left} = N(d)")).verdict == "proved"
    assert verify(Latex(OPTION), Latex(r"\frac{dV}{dS} = N(d - \sigma\sqrt T)")).verdict == "refuted"
    assert verify(Latex(r"y = \frac{d x}{d + x}"), Latex(r"\frac{dy}{dx} = \frac{d^2}{(d + x)^2}")).verdict == "proved"


def test_bold_letters_together_are_a_product_where_that_gives_an_answer():
    """Cookbook (101) and (117): a script stands on the last of them."""
    trace = Latex(r"\operatorname{Tr}(\mathbf{AXB})")
    left = r"\frac{\partial}{\partial\mathbf X}\operatorname{Tr}(\mathbf{AXB})"
    right = verify(trace, Latex(rf"{left} = \mathbf A^T\mathbf B^T"), at=CHAIN, wrt="X")
    assert right.verdict == "proved"
    assert right.notes[0] == r"\mathbf{AXB} was read as the product of its letters; \mathrm{AXB} is one name."
    quadratic = Latex(r"f = \operatorname{Tr}(\mathbf{X}^T\mathbf{BXC})")
    shapes = {"X": (3, 2), "B": (3, 3), "C": (2, 2)}
    hand = r"\frac{\partial f}{\partial\mathbf X} = \mathbf{BXC} + \mathbf{B}^T\mathbf{XC}^T"
    assert verify(quadratic, Latex(hand), at=shapes, wrt="X").verdict == "proved"
    assert verify(quadratic, Latex(hand.replace("^T", "")), at=shapes, wrt="X").verdict == "refuted"
    with pytest.raises(BadFormula, match=r"their product to some and one name"):
        verify(Latex(r"L = \mathbf{AB} w^2"), Latex(r"\frac{dL}{dw} = 2\mathbf{AB} w"))


def test_a_star_is_a_transpose_on_a_matrix_and_a_name_on_a_number():
    inner = Latex(r"f(x) = \langle Ax, x\rangle - 2\langle b, x\rangle")
    assert verify(inner, Latex(r"\nabla f(x) = (A + A^*)x - 2b"), at=SQUARES, wrt="x").verdict == "proved"
    assert verify(inner, Latex(r"\nabla f(x) = (A - A^*)x - 2b"), at=SQUARES, wrt="x").verdict == "refuted"
    with pytest.raises(BadFormula, match=r"x\^\* is the transpose of x to some"):
        verify(Latex("f(x) = x^* A x"), Latex(r"\nabla f(x) = 2Ax"), at=SQUARES, wrt="x")


@pytest.mark.slow
def test_a_row_may_say_afterwards_what_a_name_is():
    mixture = Latex(r"\ell = \sum_{i=1}^N\log\left(\sum_{k=1}^K\pi_k e^{-(x_i-\mu_k)^2/2}\right)")
    share = r"\gamma_{ik} = \frac{\pi_k e^{-(x_i-\mu_k)^2/2}}{\sum_{j=1}^K\pi_j e^{-(x_i-\mu_j)^2/2}}"
    slope = r"\frac{\partial\ell}{\partial\mu_k} = \sum_{i=1}^N\gamma_{ik}(x_i-\mu_k)"
    at = {"x": (4,), "mu": (3,), "pi": (3,)}
    assert verify(mixture, Latex(rf"{slope}, \quad {share}"), at=at, wrt="mu").verdict == "proved"
    assert (
        verify(mixture, Latex(rf"{slope}, \quad {share.replace('x_i', '2x_i')}"), at=at, wrt="mu").verdict == "refuted"
    )


@pytest.mark.slow
def test_the_derivative_of_a_function_at_another_place_is_a_factor():
    """A part of the loss of logistic regression, log h, whose slope is (1 - h) x; in row 2 a sign is wrong."""
    h = r"h_\theta(x^{(i)})"
    loss = rf"h_\theta(x) = \frac{{1}}{{1+e^{{-\theta^\top x}}}}, \quad J = -\sum_{{i=1}}^m y^{{(i)}}\log {h}"
    slope = rf"\frac{{\partial {h}}}{{\partial\theta_j}}"
    first = rf"\frac{{\partial J}}{{\partial\theta_j}} = -\sum_{{i=1}}^m \frac{{y^{{(i)}}}}{{{h}}}{slope}"
    last = rf"\\ = \sum_{{i=1}}^m y^{{(i)}}(1-{h})x_j^{{(i)}}"
    at = {"theta": (2,), "x": (3, 2), "y": (3,)}
    wrong = verify(Latex(loss), Latex(first + last), at=at, wrt="theta")
    assert (wrong.verdict, [s.source.line for s in wrong.steps if s.verdict == "wrong"]) == ("refuted", [2])
    assert verify(Latex(loss), Latex(first + last.replace(r"\sum", r"-\sum")), at=at, wrt="theta").verdict == "proved"


def test_an_identity_is_differentiated_as_it_stands():
    identity = Latex(r"\tanh x = \frac{e^x - e^{-x}}{e^x + e^{-x}}")
    assert verify(identity, Latex(r"\frac{d}{dx}\tanh x = 1 - \tanh^2 x")).verdict == "proved"
    assert verify(identity, Latex(r"\frac{d}{dx}\tanh x = 1 - \tanh x")).verdict == "refuted"


PENDULUM = r"L = \frac12 m l^2\dot\theta^2 + mgl\cos\theta"
MOTION = r"\frac{d}{dt}\frac{\partial L}{\partial\dot\theta} - \frac{\partial L}{\partial\theta} = "
POLAR = r"L = \frac12 m(\dot r^2 + r^2\dot\theta^2)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formula", "right", "wrong"),
    [
        (PENDULUM, MOTION + r"ml^2\ddot\theta + mgl\sin\theta = 0", MOTION + r"ml^2\ddot\theta - mgl\sin\theta = 0"),
        (
            POLAR,
            r"\frac{d}{dt}\left(\frac{\partial L}{\partial\dot\theta}\right) = m(r^2\ddot\theta + 2r\dot r\dot\theta)",
            r"\frac{d}{dt}\left(\frac{\partial L}{\partial\dot\theta}\right) = mr^2\ddot\theta",
        ),
    ],
)
def test_what_moves_in_time_moves_in_its_momentum_too(formula, right, wrong):
    """Landau, Lifshitz: Mechanics, 2 and 5: r moves with its own speed."""
    assert verify(Latex(formula), Latex(right)).verdict == "proved"
    assert verify(Latex(formula), Latex(wrong)).verdict == "refuted"


def test_a_mean_that_no_row_says_is_that_of_what_is_summed():
    likelihood = Latex(r"\ell(\mu) = -\frac{1}{2\sigma^2}\sum_{i=1}^n (x_i-\mu)^2")
    at = {"x": (4,)}
    assert verify(likelihood, Latex(r"\ell'(\mu) = \frac{n(\bar x-\mu)}{\sigma^2}"), at=at).verdict == "proved"
    assert verify(likelihood, Latex(r"\ell'(\mu) = \frac{\bar x-\mu}{\sigma^2}"), at=at).verdict == "refuted"


@pytest.mark.slow
def test_a_norm_of_any_power():
    norm, at = Latex(r"f(x) = \|x\|_p"), {"x": (3,), "p": 3.0}
    slope = r"\frac{\partial f}{\partial x_k} = \frac{x_k|x_k|^{p-2}}{\|x\|_p^{p-1}}"
    assert verify(norm, Latex(slope), at=at, wrt="x").verdict == "proved"
    assert verify(norm, Latex(slope.replace("p-2", "p-1")), at=at, wrt="x").verdict == "refuted"


def test_brackets_hold_indices_where_a_sum_binds_them_and_factors_elsewhere():
    energy = Latex(r"J = \sum_{n=0}^{N-1} d[n]^2 h[n]")
    at = {"d": (4,), "h": (4,)}
    assert verify(energy, Latex(r"\frac{\partial J}{\partial h[l]} = d[l]^2"), at=at).verdict == "proved"
    assert verify(energy, Latex(r"\frac{\partial J}{\partial h[l]} = d[l]"), at=at).verdict == "refuted"
    assert Latex("y = a[x+1]").plain == "y = a*(x + 1)"


@pytest.mark.parametrize("y", [{}, {"y": 2}])
def test_a_number_of_a_class_is_a_whole_number(y):
    """Of other numbers the indicator is nothing, and a wrong sign before it is not seen."""
    loss = Latex(r"L = \log\sum_{j=1}^K e^{z_j} - \sum_{k=1}^K \mathbb{1}[k=y] z_k")
    slope = r"\frac{\partial L}{\partial z_i} = \frac{e^{z_i}}{\sum_{j=1}^K e^{z_j}} "
    at = {"z": (4,), **y}
    assert verify(loss, Latex(slope + r"- \mathbb{1}[i=y]"), at=at, wrt="z").verdict == "proved"
    assert verify(loss, Latex(slope + r"+ \mathbb{1}[i=y]"), at=at, wrt="z").verdict == "refuted"


@pytest.mark.parametrize(
    "formula",
    [
        r"f(x;\lambda) = \lambda e^{-\lambda x}",
        r"f(x\mid\lambda) = \lambda e^{-\lambda x}",
        r"\log f(x;\lambda) = \log\lambda - \lambda x",
    ],
)
def test_a_score_is_the_slope_of_a_logarithm(formula):
    given = "x \\mid \\lambda" if "mid" in formula else "x; \\lambda"
    score = rf"s(\lambda) = \frac{{\partial}}{{\partial\lambda}}\log f({given}) = \frac{{1}}{{\lambda}} - x"
    assert verify(Latex(formula), Latex(score)).verdict == "proved"
    assert verify(Latex(formula), Latex(score.replace("- x", "+ x"))).verdict == "refuted"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formula", "right", "wrong"),
    [
        ("h(x) = f(x)g(x)", "h'(x) = f'(x)g(x) + f(x)g'(x)", "h'(x) = f'(x)g'(x)"),
        ("h(x) = f(g(x))", "h'(x) = f'(g(x))g'(x)", "h'(x) = f'(g(x))"),
        ("w = f(x-ct)", r"\frac{\partial w}{\partial t} = -cf'(x-ct)", r"\frac{\partial w}{\partial t} = cf'(x-ct)"),
    ],
)
def test_what_is_true_of_every_function_is_proved(formula, right, wrong):
    assert verify(Latex(formula), Latex(right)).verdict == "proved"
    assert verify(Latex(formula), Latex(wrong)).verdict == "refuted"


def test_a_letter_before_a_parenthesis_may_be_a_factor_too():
    """g is the gravity here: of the two readings neither is taken without the other being asked about."""
    with pytest.raises(BadFormula, match=r"g\(...\) reads as a function"):
        verify(Latex("y = g(t - 1) + t^2"), Latex(r"\frac{dy}{dt} = g + 2t"))


def test_an_entry_by_its_number_is_no_name():
    r"""Read as a name, \hat y_c would be an input that no z moves."""
    loss = r"L = -\log\hat{y}_c, \quad \hat{y}_k = \frac{e^{z_k}}{\sum_j e^{z_j}}"
    hand = Latex(r"\frac{\partial L}{\partial z_k} = \hat{y}_k - \mathbb{1}[k=c]")
    assert verify(Latex(loss), hand, at={"z": (4,)}, wrt="z").verdict == "proved"
    written = r"\sum_k \mathbb{1}[k=c]"
    meant = loss.replace(r"-\log\hat{y}_c", rf"-{written} \log\hat{{y}}_k")
    assert verify(Latex(meant), hand, at={"z": (4,)}, wrt="z").verdict == "proved"
