r"""How fields write: errors with a dot in control, ``k_+`` in learning, ``\sum_{i : y_i = 1}`` in statistics.

Each is read as it stands, so that the right derivative is right and the one with a slip is wrong.
"""

import pytest

from symgrad import Latex, verify
from symgrad.errors import BadFormula, SymgradError

PAIRS = {  # a formula, what is claimed, and where the slip is planted
    "a sign below a name, beside entries": (
        r"\ell = -q^\top k_+ + \log\sum_{i=0}^{K} e^{q^\top k_i}",
        r"\nabla_q \ell = -k_+ + \frac{\sum_{i=0}^K e^{q^\top k_i} k_i}{\sum_{j=0}^{K} e^{q^\top k_j}}",
        ("-k_+", "k_+"),
    ),
    "a function that stands for the negative one": (
        r"-D = \frac12\sum_{j=1}^J \left(1 + \log \sigma_j^2 - \sigma_j^2\right)",
        r"\frac{\partial(-D)}{\partial \sigma_j} = \frac{1}{\sigma_j} - \sigma_j",
        ("- \\sigma_j", "+ \\sigma_j"),
    ),
    "a quadratic form with a prime": (
        r"S(b) = (y - X b)'(y - X b)",
        r"\frac{\partial S}{\partial b} = -2X'y + 2X'Xb",
        ("2X'Xb", "X'Xb"),
    ),
    "a function said after it was called": (
        r"\ln L(b) = \sum_{i=1}^N \left(y_i x_i'b - \ln(1 + e^{x_i'b})\right)",
        r"\frac{\partial \ln L}{\partial b} = \sum_{i=1}^N (y_i - \Lambda(x_i'b)) x_i, \quad "
        r"\Lambda(z) = \frac{1}{1 + e^{-z}}",
        ("y_i - ", "y_i + "),
    ),
    "a sum after the argument of a function": (
        r"\ell(p) = \ln p\sum_{i=1}^n k_i + n\ln(1 - p)",
        r"\ell'(p) = \frac1p\sum_{i=1}^n k_i - \frac{n}{1 - p}",
        ("- \\frac{n}", "+ \\frac{n}"),
    ),
    "a sum over those that meet a condition": (
        r"f(m) = \sum_{i : x_i > 0}(x_i - m)^2",
        r"f'(m) = -2\sum_{i : x_i > 0}(x_i - m)",
        ("x_i > 0", "x_i < 0"),
    ),
    "an error e and its speed": (
        r"V = \frac12 s^2, \qquad s = \dot e + \lambda e",
        r"\dot V = s(\ddot e + \lambda\dot e)",
        ("\\lambda\\dot e", "\\lambda e"),
    ),
    "related rates": (r"V = \frac43\pi r^3", r"\frac{dV}{dt} = 4\pi r^2\frac{dr}{dt}", ("4\\pi", "2\\pi")),
    "the energy of a motion": (
        r"V = \frac12\dot{\mathbf{q}}^\top M\dot{\mathbf{q}}, \quad M = M^\top",
        r"\dot V = \dot{\mathbf{q}}^\top M\ddot{\mathbf{q}}",
        ("= \\dot", "= 2\\dot"),
    ),
    "a condition in parentheses": (
        r"H = \frac12 u^\top R u + \lambda^\top u",
        r"\frac{\partial H}{\partial u} = Ru + \lambda = 0 \quad (R = R^\top)",
        ("Ru", "2Ru"),
    ),
    "a Hessian of a function of one argument": (
        r"\phi(x) = \log(1 + a^\top x)",
        r"\nabla^2\phi(x) = -\frac{1}{(1 + a^\top x)^2} a a^\top",
        ("= -", "= "),
    ),
    "choices with punctuation": (
        r"h(a) = \begin{cases} \frac12 a^2 & \text{for } |a| \le 1,\\ |a| - \frac12, & \text{otherwise.}\end{cases}",
        r"h'(a) = \begin{cases} a & \text{for } |a| \le 1,\\ \operatorname{sgn}(a), & \text{otherwise.}\end{cases}",
        ("operatorname{sgn}(a)", "operatorname{sgn}(a) a"),
    ),
    "the Jacobian of a motion": (
        r"\begin{aligned} \dot x &= \alpha x - \beta xy \\ \dot y &= \delta xy - \gamma y \end{aligned}",
        r"J = \begin{pmatrix} \alpha - \beta y & -\beta x \\ \delta y & \delta x - \gamma \end{pmatrix}",
        ("-\\beta x", "\\beta x"),
    ),
    "values at states and times": (
        r"J = (r + \gamma V(s') - \theta^\top\phi(s))^2",
        r"\nabla_\theta J = -2(r + \gamma V(s') - \theta^\top\phi(s))\phi(s)",
        ("= -2", "= -"),
    ),
    "a density by its logarithm": (
        r"\pi_\theta(a|s) = \exp(-(a - \theta s)^2)",
        r"\nabla_\theta\log\pi_\theta(a|s) = 2s(a - \theta s)",
        ("= 2s", "= 2"),
    ),
    "the square of a function of the time": (
        r"e(n) = d(n) - w x(n), \quad J = e^2(n)",
        r"\frac{\partial J}{\partial w} = -2e(n)x(n)",
        ("= -2", "= 2"),
    ),
    "a total beside its parts": (
        r"J = \sum_{i=1}^n \log(1 + P_i) - \lambda\left(\sum_{i=1}^n P_i - P\right)",
        r"\frac{\partial J}{\partial P_i} = \frac{1}{1 + P_i} - \lambda",
        ("- \\lambda", "+ \\lambda"),
    ),
    "a distance from orthogonal matrices": (
        r"f(X) = \|X^\top X - I\|_F^2",
        r"\nabla f(X) = 4X(X^\top X - I)",
        ("4X", "2X"),
    ),
    "a derivative that has to be zero": (
        r"L = \sum_{k=1}^K n_k\log\pi_k + \lambda\left(1 - \sum_{k=1}^K \pi_k\right)",
        r"\frac{\partial L}{\partial\pi_k} = \frac{n_k}{\pi_k} - \lambda \overset{!}{=} 0",
        ("- \\lambda", "+ \\lambda"),
    ),
    "a score of a logarithm that a row says": (
        r"\log L(a) = \sum_{i=1}^n (d_i\log a - a t_i)",
        r"U(a) = \frac{\partial\log L}{\partial a} = \frac{\sum_i d_i}{a} - \sum_i t_i",
        ("- \\sum_i", "+ \\sum_i"),
    ),
    "a probability of one": (
        r"P(y = 1 \mid x) = \Phi(\beta x)",
        r"\frac{\partial P(y = 1 \mid x)}{\partial x} = \beta\phi(\beta x)",
        ("\\beta\\phi", "\\phi"),
    ),
    "a list that leaves names out": (
        r"S(x_1, \ldots, x_n) = \log\sum_{i=1}^n e^{x_i}",
        r"\frac{\partial S}{\partial x_i} = e^{x_i - S(x_1, \ldots, x_n)}",
        ("x_i - S", "S - x_i"),
    ),
    "an entry of a gradient": (
        r"f(x) = \frac12\|A x - b\|^2 + c\sum_{i=1}^n \sqrt{1 + x_i^2}",
        r"[\nabla f(x)]_i = [A^\top(A x - b)]_i + \frac{c x_i}{\sqrt{1 + x_i^2}}",
        ("c x_i", "2 c x_i"),
    ),
    "letters before what they are multiplied with": (
        r"U(q) = mgl(1 - \cos q)",
        r"U'(q) = mgl\sin q",
        ("= mgl", "= -mgl"),
    ),
    "a layer whose letters only the Jacobian tells": (
        r"h = \tanh(W x + b)",
        r"\frac{\partial h}{\partial x} = \operatorname{diag}(1 - h^2) W",
        ("1 - h^2", "1 - h"),
    ),
    "a value for each sample": (
        r"L_i = (y_i - w^\top x_i)^2",
        r"\frac{\partial L_i}{\partial w} = -2(y_i - w^\top x_i)x_i",
        ("-2", "-"),
    ),
    "a magnitude": (r"|Z| = \sqrt{R^2 + \omega^2 L^2}", r"\frac{d|Z|}{d\omega} = \frac{\omega L^2}{|Z|}", ("L^2", "L")),
    "the square of a magnitude": (
        r"|H(\omega)|^2 = \frac{1}{1 + \omega^2}",
        r"\frac{d|H|^2}{d\omega} = -2\omega|H(\omega)|^4",
        ("^4", "^2"),
    ),
    "parentheses after the argument of a function": (
        r"y = \sin x(1 + \cos x)",
        r"\frac{dy}{dx} = \cos x(1 + \cos x) - \sin^2 x",
        ("- \\sin^2 x", "+ \\sin^2 x"),
    ),
}


SLOW = {
    "a sign below a name, beside entries",
    "a function said after it was called",
    "a sum over those that meet a condition",
    "parentheses after the argument of a function",
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in PAIRS])
def test_it_is_read_as_it_stands(name):
    formula, hand, (right, wrong) = PAIRS[name]
    assert hand.count(right) >= 1
    assert verify(Latex(formula), Latex(hand)).verdict == "proved"
    assert verify(Latex(formula), Latex(hand.replace(right, wrong))).verdict == "refuted"


def test_a_function_that_may_take_all_that_follows_it_is_asked_about():
    y = Latex(r"y = \sin x(1 + x)")
    with pytest.raises(BadFormula, match="it is not clear where the argument") as error:
        verify(y, Latex(r"\frac{dy}{dx} = (1 + 2x)\cos(x(1 + x))"))
    assert "all that follows it" in error.value.what
    assert (
        "alone, and what follows it as a factor" in verify(y, Latex(r"\frac{dy}{dx} = (1 + x)\cos x + \sin x")).notes[0]
    )


def test_a_value_at_a_name_is_none_where_the_name_is_differentiated_for():
    with pytest.raises(SymgradError):
        verify(Latex(r"E = \frac12 m v(t)^2"), Latex(r"\frac{dE}{dt} = m v(t) v'(t)"))
    with pytest.raises(SymgradError):
        verify(Latex(r"y = h(x)^2 x"), Latex(r"\frac{dy}{dx} = h(x)^2"))


def test_rows_of_a_system_are_equations():
    system = (
        r"L(x, y) = x^2 + 2y^2 - a(x + y) \\ \begin{cases} \frac{\partial L}{\partial x} = 2x - a = 0 \\ %s \end{cases}"
    )
    assert verify(Latex(system % r"\frac{\partial L}{\partial y} = 4y - a = 0")).verdict == "proved"
    assert verify(Latex(system % r"\frac{\partial L}{\partial y} = 2y - a = 0")).verdict == "refuted"


def test_a_letter_i_that_is_added_to_no_product_is_a_name():
    rotor = r"T = \frac12\omega^\top I\omega"
    assert verify(Latex(rotor), Latex(r"\nabla_\omega T = \frac12(I + I^\top)\omega")).verdict == "proved"
    assert verify(Latex(rotor), Latex(r"\nabla_\omega T = \omega")).verdict == "refuted"
