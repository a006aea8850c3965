r"""Whole questions as notes and books set them: matrices of derivatives, differentials, conditions beside equations,
rows in another order, functions that rows name.  Right ones are right, and with a slip refuted.
"""

import pytest

from symgrad import Latex, verify
from symgrad.errors import BadFormula, SymgradError

POLAR = r"x = r\cos\theta, \quad y = r\sin\theta"
ARM = r"x = a\cos s + b\cos(s+t), \quad y = a\sin s + b\sin(s+t)"
ROBOT = (
    r"\mathbf{x} = \begin{bmatrix} x \\ y \\ \theta\end{bmatrix},\quad "
    r"f(\mathbf{x},u) = \begin{bmatrix} x + hv\cos\theta \\ y + hv\sin\theta \\ \theta + hu \end{bmatrix}"
)
SQUARE = {"X": ("n", "n")}

QUESTIONS = [  # the formula, its derivative, a slip in that
    (
        r"F(u,v) = \begin{pmatrix} u^2 - v^2 \\ 2uv \end{pmatrix}",
        r"J_F = \begin{pmatrix} 2u & -2v \\ 2v & 2u \end{pmatrix}",
        ("-2v", "2v"),
        {},
    ),
    (r"F(u,v) = (u^2 v, \sin u)", r"DF = \begin{bmatrix} 2uv & u^2 \\ \cos u & 0 \end{bmatrix}", ("u^2", "v^2"), {}),
    (
        r"F(x) = \begin{bmatrix} x_1^2 + x_2 \\ x_1 x_2\end{bmatrix}",
        r"J(x) = \begin{bmatrix} 2x_1 & 1 \\ x_2 & x_1 \end{bmatrix}",
        ("x_2 & x_1", "x_1 & x_2"),
        {},
    ),
    (
        POLAR,
        r"J = \begin{pmatrix} \cos\theta & -r\sin\theta \\ \sin\theta & r\cos\theta \end{pmatrix}",
        ("-r", "r"),
        {},
    ),
    (POLAR, r"\frac{\partial(x, y)}{\partial(r, \theta)} = r", ("= r", "= r^2"), {}),
    (
        POLAR,
        r"J = \begin{vmatrix} x_r & x_\theta \\ y_r & y_\theta \end{vmatrix} = r".replace(
            "x_r", r"\frac{\partial x}{\partial r}"
        )
        .replace(r"x_\theta", r"\frac{\partial x}{\partial \theta}")
        .replace("y_r", r"\frac{\partial y}{\partial r}")
        .replace(r"y_\theta", r"\frac{\partial y}{\partial \theta}"),
        ("= r", "= 2r"),
        {},
    ),
    (
        POLAR,
        r"\frac{\partial x}{\partial\theta} = -y, \quad \frac{\partial y}{\partial\theta} = x",
        ("= x", "= -x"),
        {},
    ),
    (
        ARM,
        r"J(s, t) = \begin{bmatrix} -a\sin s - b\sin(s+t) & -b\sin(s+t) \\ "
        r"a\cos s + b\cos(s+t) & b\cos(s+t)\end{bmatrix}",
        ("& -b", "& b"),
        {},
    ),
    (
        ROBOT,
        r"\frac{\partial f}{\partial\mathbf{x}} = "
        r"\begin{bmatrix} 1 & 0 & -hv\sin\theta \\ 0 & 1 & hv\cos\theta \\ 0 & 0 & 1 \end{bmatrix}",
        ("-h", "h"),
        {},
    ),
    (
        r"V = \frac{kQ}{\sqrt{x^2+y^2}}",
        r"\nabla V = \begin{pmatrix} -\frac{kQx}{(x^2+y^2)^{3/2}} \\ -\frac{kQy}{(x^2+y^2)^{3/2}} \end{pmatrix}",
        (r"-\frac", r"\frac"),
        {},
    ),
    (r"f(x,y) = x^2y + e^{xy}", r"\nabla f = \langle 2xy + ye^{xy},\, x^2 + xe^{xy} \rangle", ("x^2 +", "x^2 -"), {}),
    (r"f(x,y) = x^3 y^2", r"H = \begin{bmatrix} 6xy^2 & 6x^2y \\ 6x^2y & 2x^3\end{bmatrix}", ("2x^3", "2x^2"), {}),
    (r"f = \begin{vmatrix} a & b \\ c & d \end{vmatrix}", r"\frac{\partial f}{\partial b} = -c", ("-c", "c"), {}),
    (
        r"f = v^\top \begin{bmatrix} \cos t & -\sin t \\ \sin t & \cos t \end{bmatrix} v",
        r"\frac{\partial f}{\partial t} = -\|v\|^2 \sin t",
        ("-", ""),
        {"v": (2,)},
    ),
    (r"f(X) = \ln\det X", r"df = \operatorname{tr}(X^{-1}\,dX)", ("X^{-1}", "X"), SQUARE),
    (r"Y = X^{-1}", r"\mathrm{d}Y = -X^{-1}(\mathrm{d}X)X^{-1}", ("-X", "X"), SQUARE),
    (r"g(r) = \frac{GM}{r^2}", r"\mathrm{d}g = -\frac{2GM}{r^3}\,\mathrm{d}r", ("2GM", "GM"), {}),
    (
        r"f(x,y) = x^2 y",
        r"df = \frac{\partial f}{\partial x}dx + \frac{\partial f}{\partial y}dy = 2xy\,dx + x^2 dy",
        (" + x^2 dy", ""),
        {},
    ),
    (r"f(x) = |x|, \quad x < 0", r"f'(x) = -1", ("-", ""), {}),
    (r"f = \sqrt{x^2 y}", r"\frac{\partial f}{\partial x} = \sqrt y \quad (x, y > 0)", (r"\sqrt y", "y"), {}),
    (
        r"L = -\sum_i y_i \log p_i, \quad p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}, \quad \sum_i y_i = 1",
        r"\frac{\partial L}{\partial z_i} = p_i - y_i",
        ("p_i - y_i", "y_i - p_i"),
        {},
    ),
    (r"f(x) = x^\top A x, \quad A = A^\top", r"\nabla f = 2Ax", ("2", ""), {"A": ("n", "n"), "x": ("n",)}),
    (
        r"\operatorname{SiLU}(x) = \frac{x}{1+e^{-x}}",
        r"\operatorname{SiLU}'(x) = \frac{\operatorname{SiLU}(x)}{x}(1 + x - \operatorname{SiLU}(x))",
        ("1 + x", "1"),
        {},
    ),
    (
        r"\mathrm{GELU}(x) = \frac{x}{2}(1+\tanh(x+x^3))",
        r"\mathrm{GELU}'(x) = \frac{\mathrm{GELU}(x)}{x} + \frac{x}{2}(1+3x^2)(1-\tanh^2(x+x^3))",
        ("3x^2", "x^2"),
        {},
    ),
    (
        r"J(w,b) = \sum_{i=1}^{m}(f_{w,b}(x^{(i)}) - y^{(i)})^2, \quad f_{w,b}(x) = wx + b",
        r"\frac{\partial J}{\partial w} = 2\sum_{i=1}^{m}(f_{w,b}(x^{(i)}) - y^{(i)})x^{(i)}",
        ("2", ""),
        {},
    ),
    (
        r"L(\theta) = \sum_{i=1}^{m} \log h_\theta(x^{(i)}), \quad h_\theta(x) = \frac{1}{1+e^{-\theta^T x}}",
        r"\frac{\partial L}{\partial \theta_j} = \sum_{i=1}^{m}(1 - h_\theta(x^{(i)}))x_j^{(i)}",
        ("1 - h", "h"),
        {},
    ),
    (
        r"s_i = \operatorname{softmax}(z)_i = \frac{e^{z_i}}{\sum_k e^{z_k}}",
        r"\frac{\partial s_i}{\partial z_j} = s_i(\delta_{ij} - s_j)",
        (r"\delta_{ij} - s_j", "1 - s_j"),
        {},
    ),
    (
        r"D = \frac{1}{P}\sum_{k=1}^{n} t_k e^{-y t_k}, \qquad P = \sum_{k=1}^n e^{-y t_k}",
        r"\frac{\partial P}{\partial y} = -D P",
        ("-", ""),
        {},
    ),
    (r"k = A e^{-E_a/(RT)}", r"\frac{d \ln k}{dT} = \frac{E_a}{R T^2}", ("T^2", "T"), {}),
    (
        r"S(U, V) = N \ln V + \frac{3}{2} N\ln U",
        r"\frac{1}{T} = \left(\frac{\partial S}{\partial U}\right)_V = \frac{3N}{2U}",
        ("3", "5"),
        {},
    ),
    (
        r"P = \sum_{t=1}^{n} \frac{c}{(1+y)^t} + \frac{F}{(1+y)^n}",
        r"\frac{dP}{dy} = -\sum_{t=1}^{n} \frac{t\,c}{(1+y)^{t+1}} - \frac{nF}{(1+y)^{n+1}}",
        ("^{n+1}", "^n"),
        {},
    ),
    (
        r"U(x_1,x_2) = x_1^{\alpha}x_2^{1-\alpha}",
        r"MRS = \frac{\partial U/\partial x_1}{\partial U/\partial x_2} = \frac{\alpha}{1-\alpha}\frac{x_2}{x_1}",
        (r"\frac{x_2}{x_1}", r"\frac{x_1}{x_2}"),
        {},
    ),
    (
        r"E = E^\circ - \frac{RT}{nF}\ln Q",
        r"\left(\frac{\partial E}{\partial T}\right)_Q = \frac{E - E^\circ}{T}",
        ("E^", "2E^"),
        {},
    ),
    (r"Q(P) = a P^{-2}", r"\varepsilon = \frac{dQ}{dP}\frac{P}{Q} = -2", ("-2", "-1"), {}),
    (
        r"C = S N(d_1) - Ke^{-r\tau} N(d_2), \; d_{1,2} = \frac{\ln(S/K) + (r \pm \sigma^2/2)\tau}{\sigma\sqrt{\tau}}",
        r"\mathcal{V} = \frac{\partial C}{\partial \sigma} = S\sqrt{\tau}\,N'(d_1)",
        ("d_1", "d_2"),
        {},
    ),
    (
        r"v = \frac{V_{\max}[S]}{K_m + [S]}",
        r"\frac{dv}{d[S]} = \frac{V_{\max} K_m}{(K_m + [S])^2}",
        ("K_m + [S]", "K_m - [S]"),
        {},
    ),
    (r"[A](t) = [A]_0 e^{-kt}", r"\frac{d[A]}{dt} = -k[A]", ("[A]", "[A]_0"), {}),
    (
        r"f = (\alpha-1)\log x - \log B(\alpha,\beta)",
        r"\frac{\partial f}{\partial\alpha} = \log x - \psi(\alpha) + \psi(\alpha+\beta)",
        ("+ \\psi", "- \\psi"),
        {},
    ),
    (
        r"\sigma_p^2 = \mathbf{w}^\top \Sigma \mathbf{w}, \quad \Sigma = \Sigma^\top",
        r"\frac{\partial \sigma_p}{\partial \mathbf{w}} = \frac{\Sigma\mathbf{w}}{\sigma_p}",
        (r"{\sigma_p}", r"{2\sigma_p}"),
        {"Sigma": ("n", "n"), "w": ("n",)},
    ),
    (
        r"a = \tanh(W x), \quad L = v^\top a",
        r"\frac{\partial L}{\partial W} = (v\odot(1-a^2))x^\top",
        ("1-a", "1+a"),
        {"W": ("h", "d"), "x": ("d",), "v": ("h",)},
    ),
]


@pytest.mark.parametrize(("formula", "hand", "slip", "at"), QUESTIONS, ids=[hand[:40] for _, hand, _, _ in QUESTIONS])
def test_a_question_as_it_is_typeset(formula, hand, slip, at):
    assert verify(Latex(formula), Latex(hand), at=at).verdict in ("proved", "agrees")
    wrong = "".join(slip[1].join(hand.rpartition(slip[0])[::2]))
    assert wrong != hand
    assert verify(Latex(formula), Latex(wrong), at=at).verdict == "refuted"


ALONE = [
    POLAR + r"\\ \frac{\partial(x,y)}{\partial(r,\theta)} = r",
    r"f(x,y) = (x y, x^2) \\ J_f = \begin{pmatrix} y & x \\ 2x & 0\end{pmatrix}",
    r"y = x^2, \quad dy = 2x\,dx",
    r"d\ln|X| = \operatorname{tr}(X^{-1}dX)",
    r"f(x) = |x|, \quad x > 0 \\ f'(x) = 1",
    r"\frac{d}{dx}\ln|x| = \frac1x, \quad x \neq 0",
    r"\operatorname{tr}(X) = \sum_i X_{ii}",
]


@pytest.mark.parametrize("text", ALONE)
def test_a_question_in_one_text(text):
    assert verify(Latex(text), at=SQUARE if "X" in text else {}).verdict == "proved"


def test_columns_that_nothing_names_are_asked_about():
    matrix = r"\begin{bmatrix} -a\sin s - b\sin(s+t) & -b\sin(s+t) \\ a\cos s + b\cos(s+t) & b\cos(s+t)\end{bmatrix}"
    with pytest.raises(BadFormula, match=r"which inputs the 2 columns .* a, b, s, t") as error:
        verify(Latex(ARM), Latex(f"J = {matrix}"))
    written = r"\frac{\partial(x, y)}{\partial(a, b)}"
    assert f"Write its left side as {written}" in str(error.value)
    followed = written.replace("(a, b)", "(s, t)")
    assert verify(Latex(ARM), Latex(f"{followed} = {matrix}")).verdict == "proved"


def test_a_condition_on_indices_is_not_left_out():
    softmax = Latex(r"s_i = \frac{e^{z_i}}{\sum_k e^{z_k}}")
    with pytest.raises(BadFormula, match="some entries alone") as error:
        verify(softmax, Latex(r"\frac{\partial s_i}{\partial z_j} = -s_i s_j, \quad i \neq j"))
    assert r"\delta_{ij}" in str(error.value)


def test_a_condition_says_where_the_witness_may_be():
    report = verify(Latex(r"f(x) = x^2, \quad 2 < x < 3"), Latex(r"f'(x) = 2x + 1"))
    assert 2 < float(report.claims["x"].witness.point["x"]) < 3


ASKED = [  # the formula, its derivative, what is asked; what the message says to write, which is then answered
    (
        r"y^2 = x^2 + 1, \quad z = 2y^2",
        r"\frac{\partial y}{\partial x} = \frac{x}{y}",
        "one root or the other",
        r"y = \sqrt{x^2 + 1}",
    ),
    (r"f = B(x, y)", r"\frac{\partial f}{\partial x} = f(\psi(x) - \psi(x+y))", "B is not a known", None),
]


@pytest.mark.parametrize(("formula", "hand", "what", "model"), ASKED, ids=[a[2] for a in ASKED])
def test_what_may_be_read_in_two_ways_is_asked(formula, hand, what, model):
    with pytest.raises(SymgradError, match=what) as error:
        verify(Latex(formula), Latex(hand))
    if model is None:
        model, hand = r"f = \operatorname{beta}(x, y)", hand.replace(r"\psi", r"\operatorname{digamma}")
        assert r"\operatorname{beta}(a, b)" in str(error.value)
    assert verify(Latex(model), Latex(hand)).verdict == "proved"
