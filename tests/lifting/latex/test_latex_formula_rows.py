"""Rows that define functions, and left sides as people write them: right ones are right, and with a slip refuted.

`CALLS` has the rows, their plain reading, and their value by NumPy, written independently, at the point `AT`.
"""

import math

import numpy as np
import pytest

from symgrad import Latex, verify

draw = np.random.default_rng(7).normal
AT = {
    "x": 0.7,
    "w": 0.9,
    "b": -0.3,
    "a": 2.0,
    "theta": 0.6,
    "v": draw(size=4),
    "u": draw(size=4),
    "q": draw(size=3),
    "U": draw(size=(4, 3)),
    "X": draw(size=(5, 3)),
}


def softmax(z):
    e = np.exp(z)
    return e / e.sum()


def logistic(z):
    return 1 / (1 + np.exp(-z))


# ------------------------------------------------------------------------------------------------ functions of rows

CALLS = [
    (r"f(t) = t^2 + a \\ y = f(3) \cdot f(x+1)", "y = f(3)·f(x + 1)", lambda a, x, **_: (9 + a) * ((x + 1) ** 2 + a)),
    (r"f(t) = t^2 \\ g(t) = f(f(t)) + t \\ y = g(2x)^2", "y = g(2*x)**2", lambda x, **_: ((2 * x) ** 4 + 2 * x) ** 2),
    (r"f(p, q) = p - q^2 \\ y = f(x, f(2, x))", "y = f(x, f(2, x))", lambda x, **_: x - (2 - x**2) ** 2),
    (
        r"f(t) = \sum_{i=1}^{4} v_i t^i \\ y = \sum_{i=1}^{4} i f(u_i)",
        "y = sum(i=1..4, i*f(u[i]))",
        lambda u, v, **_: sum((k + 1) * sum(v[i] * u[k] ** (i + 1) for i in range(4)) for k in range(4)),
    ),
    (
        r"s(t) = \frac{1}{1+e^{-t}} \\ z = U q \\ y = v^\top s(z)",
        "z = U*q; y = v.T*s(z)",
        lambda v, U, q, **_: v @ logistic(U @ q),
    ),
    (
        r"s(t) = \frac{1}{1+e^{-t}} \\ t = w x \\ y = s(t) - s(-2t)",
        "t = w*x; y = s(t) - s(-2*t)",
        lambda w, x, **_: logistic(w * x) - logistic(-2 * w * x),
    ),
    (r"s(t) = t^3 + x t \\ y = s'(2x) + s''(1)", "y = s'(2*x) + s''(1)", lambda x, **_: 12 * x**2 + x + 6),
    (
        r"k(p, q) = e^{-\|p - q\|^2} \\ y = k(u, v) + k(x, w)",
        "y = k(u, v) + k(x, w)",
        lambda u, v, x, w, **_: np.exp(-((u - v) ** 2).sum()) + math.exp(-((x - w) ** 2)),
    ),
    (
        r"h_\theta(c) = \tanh(\theta c) \\ y = h_\theta(x) h_\theta(1)",
        "y = h_theta(x)*h_theta(1)",
        lambda theta, x, **_: math.tanh(theta * x) * math.tanh(theta),
    ),
    (
        r"p_j(z) = \frac{e^{z_j}}{\sum_k e^{z_k}} \\ y = p_2(U q) - p_1(2 v)",
        "y = p[2](U*q) - p[1](2*v)",
        lambda U, q, v, **_: softmax(U @ q)[1] - softmax(2 * v)[0],
    ),
    (
        r"z(x) = w x + b \\ y(x) = \tanh(z(x)) - z",
        "z = w*x + b; y = tanh(z) - z",
        lambda w, x, b, **_: math.tanh(w * x + b) - (w * x + b),
    ),
    (r"h(x) = q^\top x \\ y = \sum_{i=1}^{5} h(X_i)", "y = sum(i=1..5, h(X[i]))", lambda q, X, **_: (X @ q).sum()),
    (r"f(x) = x^\top x \\ y = f(u) + f(2)", "y = f(u) + f(2)", lambda u, **_: u @ u + 4),
    (r"f(t) = \frac{1}{n} \sum_{i=1}^{n} t_i^2 \\ y = f(v)", "y = f(v)", lambda v, **_: (v**2).mean()),
]


@pytest.mark.parametrize(("text", "plain", "exact"), CALLS, ids=[t[:40] for t, _, _ in CALLS])
def test_a_function_that_a_row_defines_is_called(text, plain, exact):
    formula = Latex(text)
    assert formula.plain.replace("\n", "; ") == plain
    (value,) = formula.run({n: np.asarray(AT[n]) for n in formula.names}).values.values()
    np.testing.assert_allclose(value, exact(**AT), rtol=1e-12, atol=1e-14)


SIGMOID = r"\sigma(z) = \frac{1}{1+e^{-z}} \\ L = (\sigma(w x) - y)^2"
LOGISTIC = (
    r"h_\theta(x) = \frac{1}{1+e^{-\theta^\top x}} \\ "
    r"J(\theta) = \frac{1}{m} \sum_{i=1}^m \left(h_\theta(x^{(i)}) - y^{(i)}\right)^2"
)
OF_ROWS = [  # a model, its derivative, what makes it wrong
    (r"f(x) = x^n", r"f'(x) = \frac{n f(x)}{x}", ("{x}", "{x^2}"), {}),
    (r"g(z) = \frac{1}{1 + e^{-z}}", r"g'(z) = g(z)(1 - g(z))", ("1 - g", "1 + g"), {}),
    (r"\sigma(x) = \frac{1}{1 + e^{-x}}", r"\sigma'(x) = \sigma(x)(1 - \sigma(x))", ("1 -", "2 -"), {}),
    (r"f(x, y) = x^2 y", r"\frac{\partial f}{\partial x} = \frac{2 f(x, y)}{x}", ("f(x, y)", "f(y, x)"), {}),
    (r"f(x) = x^3", r"f'(x) = \frac{3 f(x)}{x} = 3x^2", ("3x^2", "3x"), {}),
    (r"f(x) = x^3", r"f'(x) = 3 f(1) x^2", ("f(1)", "f(2)"), {}),
    (SIGMOID, r"\frac{dL}{dw} = 2(\sigma(wx) - y)\, \sigma(wx)\, (1-\sigma(wx))\, x", ("1-", "x-"), {}),
    (SIGMOID, r"\frac{dL}{dw} = 2(\sigma(wx) - y)\, \sigma'(wx)\, x", ("'(wx)", "'(w)"), {}),
    (
        r"R(w) = \frac{w^\top A w}{w^\top w}",
        r"\nabla_w R(w) = \frac{1}{w^\top w}(Aw + A^\top w - 2R(w) w)",
        ("- 2R", "- R"),
        {"A": (3, 3), "w": (3,)},
    ),
    (
        LOGISTIC,
        r"\frac{\partial J}{\partial \theta} = \frac{2}{m} \sum_{i=1}^m (h_\theta(x^{(i)}) - y^{(i)}) "
        r"h_\theta(x^{(i)}) (1-h_\theta(x^{(i)})) x^{(i)}",
        ("(1-h_\\theta(x^{(i)}))", ""),
        {"x": (5, 3), "theta": (3,), "y": (5,)},
    ),
    (
        r"p_j(x) = \frac{e^{x_j}}{\sum_k e^{x_k}}",
        r"\frac{\partial p_j}{\partial x_i} = p_j(x)(\delta_{ij} - p_i(x))",
        ("p_i(x)", "p_j(x)"),
        {"x": (4,)},
    ),
]


@pytest.mark.parametrize(("model", "hand", "slip", "at"), OF_ROWS, ids=[h[:40] for _, h, _, _ in OF_ROWS])
def test_a_derivative_by_means_of_the_function_itself(model, hand, slip, at):
    assert verify(Latex(model), Latex(hand), at=at).verdict == "proved"
    assert slip[0] in hand
    assert verify(Latex(model), Latex(hand.replace(*slip)), at=at).verdict == "refuted"


# ------------------------------------------------------------------------------------------------ left sides

FORMS = [  # a model, its derivative, what makes it wrong
    # names in braces, with labels, of several letters, of logarithms
    (r"L = \|x\|^2", r"\frac{\partial{L}}{\partial{x_i}} = 2x_i", ("2x", "x"), {"x": (3,)}),
    (r"y = x^3", r"\frac{d{y}}{d{x}} = 3x^2", ("3", "2"), {}),
    (r"y = x^3", r"\dv{y}{x} = 3x^2", ("3", "2"), {}),
    (r"y(x) = x^3", r"\dv{x} (x^3) = 3x^2", ("= 3", "= 2"), {}),
    (r"z = x^3 y", r"\left(\frac{\partial z}{\partial x}\right)_y = 3x^2 y", ("3", "2"), {}),
    (r"z = x^3 y", r"(\partial z / \partial y) = x^3", ("= x", "= 2x"), {}),
    (r"z = x^3 y", r"\boxed{\frac{\partial z}{\partial y} = x^3}", ("= x", "= 2x"), {}),
    (
        r"z^{(1)} = W^{(1)} x && \text{(a layer)} \\ L = \|z^{(1)}\|^2",
        r"\frac{\partial L}{\partial W^{(1)}} = 2 z^{(1)} x^\top",
        ("2 z", "z"),
        {"W_1": (2, 3), "x": (3,)},
    ),
    (
        r"KL_{loss} = \log\frac{s}{r} + \frac{r^2}{2s^2}",
        r"\frac{\partial KL_{loss}}{\partial r} = -\frac{1}{r} + \frac{r}{s^2}",
        ("s^2", "s"),
        {},
    ),
    (r"\ln L(\mu) = -n \mu^2", r"\frac{\partial \ln L}{\partial \mu} = -2 n \mu", ("-2", "-"), {}),
    (r"KL = x^2 \\ J = KL^2 + y", r"\frac{\partial J}{\partial x} = 4 KL x", ("4", "2"), {}),
    (r"\ln L = -\mu^2 \\ A = 2k - 2 \ln L", r"\frac{\partial A}{\partial \mu} = -\frac{4 \ln L}{\mu}", ("-", ""), {}),
    (r"xy = 3 p^2", r"\frac{\partial xy}{\partial p} = 6 p", ("6", "3"), {}),
    # a derivative of a formula
    (r"x^2 e^{-x}", r"\frac{d}{dx}\left(x^2 e^{-x}\right) = 2xe^{-x} - x^2e^{-x}", ("- x", "+ x"), {}),
    (r"f(x) = x^2 y", r"\frac{\partial}{\partial x} x^2 y = 2x y", ("2x", "x"), {}),
    (r"x y^2", r"\frac{\partial xy^2}{\partial y} = 2xy", ("= 2", "= 3"), {}),
    (
        r"\operatorname{tr}(XA)",
        r"\frac{\partial}{\partial X} \mathrm{tr} (XA) = A^\top",
        ("A^\\top", "A"),
        {"X": (3, 3), "A": (3, 3)},
    ),
    (r"\|Ax-b\|^2", r"\nabla_x \|Ax-b\|^2 = 2A^\top(Ax-b)", ("2A", "A"), {"A": (4, 3), "x": (3,), "b": (4,)}),
    (
        r"\mathbf{a}^T\mathbf{X}\mathbf{b}",
        r"\frac{\partial \mathbf{a}^T\mathbf{X}\mathbf{b}}{\partial \mathbf{X}} = \mathbf{a}\mathbf{b}^T",
        ("= ", "= 2"),
        {"a": (3,), "X": (3, 2), "b": (2,)},
    ),
    # a name of a derivative
    (r"p = -\frac{dF}{dV} = \frac{R}{V}", r"\frac{dp}{dV} = -\frac{R}{V^2}", ("-", ""), {}),
    (r"U(x) = U_0 x^{-12}", r"F(x) = -\frac{dU}{dx} = 12 U_0 x^{-13}", ("12", "13"), {}),
    (
        r"z = W x \\ L = \|z\|^2",
        r"\delta = \frac{\partial L}{\partial z} = 2z \\ \frac{\partial L}{\partial W} = \delta x^\top",
        ("2z", "z"),
        {"W": (3, 2), "x": (2,)},
    ),
    # conditions below a sum, and its upper limit alone
    (r"L = \sum_{i<j} x_i x_j", r"\frac{\partial L}{\partial x_k} = \sum_{j \ne k} x_j", ("\\ne", "<"), {"x": (4,)}),
    (r"L = \prod_i x_i", r"\frac{\partial L}{\partial x_k} = \prod_{j \ne k} x_j", ("\\ne", ">"), {"x": (4,)}),
    (
        r"L = \sum_{i \ne j} x_i y_j",
        r"\frac{\partial L}{\partial x_k} = \sum_{j=1, j \neq k}^{n} y_j",
        (", j \\neq k", ""),
        {"x": (4,), "y": (4,)},
    ),
    (
        r"p_j = \frac{e^{a_j}}{\sum_k^C e^{a_k}} \\ L = -\sum_j^C y_j \log p_j",
        r"\frac{\partial L}{\partial a_i} = \sum_j^C y_j (p_i - \delta_{ij})",
        ("(p_i", "(p_j"),
        {"a": (4,), "y": (4,)},
    ),
    # rows of tensors that a row before has defined, and rows of inputs
    (
        r"p_j = e^{o_j} \\ L = \sum_{j=1}^{C} y_j p_j",
        r"\frac{\partial L}{\partial o_i} = y_i p_i",
        ("y_i p_i", "p_i"),
        {"o": (4,), "y": (4,)},
    ),
    (
        r"J = \sum_{i=1}^{m} (q^\top X_i - y_i)^2",
        r"\nabla_q J = 2 \sum_{i=1}^{m} (q^\top X_i - y_i) X_i",
        ("2 ", ""),
        {"X": (5, 3), "q": (3,), "y": (5,)},
    ),
]


@pytest.mark.parametrize(("model", "hand", "slip", "at"), FORMS, ids=[h[:40] for _, h, _, _ in FORMS])
def test_left_sides_that_people_write(model, hand, slip, at):
    assert verify(Latex(model), Latex(hand), at=at).verdict == "proved"
    assert slip[0] in hand
    assert verify(Latex(model), Latex(hand.replace(*slip)), at=at).verdict == "refuted"


def test_the_second_derivative_as_it_is_written():
    for hand in (r"\frac{d^2 y}{dx^2} = 6x", r"\frac{\partial^{2} y}{\partial x^{2}} = 6x", r"\dv[2]{y}{x} = 6x"):
        assert verify(Latex("y = x^3"), Latex(hand), order=2).verdict == "proved"
        assert verify(Latex("y = x^3"), Latex(hand.replace("6x", "3x")), order=2).verdict == "refuted"


def test_a_backward_pass_names_the_rows_of_its_model():
    model = Latex(r"z = w x \\ a = \tanh(z) \\ L = (a - y)^2")
    hand = (
        r"\frac{\partial L}{\partial a} = 2(a-y) \\ \delta = \frac{\partial L}{\partial z} = "
        r"\frac{\partial L}{\partial a}(1-a^2) \\ \frac{\partial L}{\partial w} = \frac{\partial L}{\partial z} x"
    )
    report = verify(model, Latex(hand))
    assert (report.verdict, report.wrong_steps) == ("proved", ())
    report = verify(model, Latex(hand.replace("(1-a^2)", "(1-z^2)")))
    assert (report.verdict, report.wrong_steps) == ("refuted", ("dL/dz",))


PAIRS = r"U = \sum_{i<j} \frac{q_i q_j}{|r_i - r_j|}"


@pytest.mark.parametrize(("power", "verdict"), [("3", "proved"), ("2", "refuted")])
def test_a_quotient_that_indices_choose_needs_no_value_elsewhere(power, verdict):
    hand = (
        rf"\frac{{\partial U}}{{\partial r_k}} = -\sum_{{j \ne k}} \frac{{q_k q_j (r_k - r_j)}}{{|r_k - r_j|^{power}}}"
    )
    assert verify(Latex(PAIRS), Latex(hand), at={"q": (4,), "r": (4,)}).verdict == verdict
    q, r = np.array([1.0, 2.0, 0.5]), np.array([0.25, 1.5, 3.0])
    (value,) = Latex(PAIRS).run({"q": q, "r": r}).values.values()
    assert float(value) == pytest.approx(sum(q[i] * q[j] / abs(r[i] - r[j]) for i in range(3) for j in range(i)))


def test_a_sum_without_terms_takes_no_index_out_of_its_tensor():
    formula = Latex(r"y = \sum_{i=1}^{n} \sum_{j=i+1}^{n} \frac{1}{x_j - x_i}")
    x = np.array([0.5, 1.5, 4.0])
    (value,) = formula.run({"x": x}).values.values()
    assert float(value) == pytest.approx(1 + 1 / 3.5 + 1 / 2.5)


def test_the_letter_of_a_sum_is_its_own_where_the_left_side_has_it_too():
    formula = Latex(r"e_{ij} = (r_{ij} - \sum_k u_{ik} v_{jk})^2")
    at = {"r": (3, 4), "u": (3, 2), "v": (4, 2)}
    left = r"\frac{\partial e_{ij}}{\partial u_{ik}}"
    right = Latex(rf"{left} = -2(r_{{ij}} - \sum_k u_{{ik}} v_{{jk}}) v_{{jk}}")
    assert verify(formula, right, at=at).verdict == "proved"
    assert verify(formula, Latex(rf"{left} = -2(r_{{ij}} - u_{{ik}} v_{{jk}}) v_{{jk}}"), at=at).verdict == "refuted"


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        (r"u_{xx} = -k^2 u", "proved"),
        (r"u_t = -k^2 u", "proved"),
        (r"u_{xx} = -k u", "refuted"),
        (r"u_{xt} = -k^3 e^{-k^2 t} \cos kx", "proved"),
    ],
)
def test_letters_below_the_model_are_what_it_is_differentiated_for(slope, verdict):
    assert verify(Latex(r"u = e^{-k^2 t} \sin kx"), Latex(slope)).verdict == verdict
