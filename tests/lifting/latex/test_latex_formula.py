"""Formulas in LaTeX as people write them: what was read, what it is worth, and what is refused.

`TABLE` has the formula, its plain reading, and its value by NumPy, written independently, at the point `AT`.
"""

import math
import re

import numpy as np
import pytest
import torch

from symgrad import Latex, compare, lift, verify
from symgrad.errors import BadInput, WrongShape

draw = np.random.default_rng(7).normal
AT = {
    "x": 0.7,
    "y": 1.3,
    "z": -0.4,
    "mu": 0.2,
    "sigma": 1.7,
    "w": 0.9,
    "b": -0.3,
    "n": 3.0,
    "alpha": 0.25,
    "beta": 2.5,
    "gamma": 0.9,
    "epsilon": 1e-3,
    "lambda": 0.15,
    "eta": 0.1,
    "theta": 0.6,
    "t": 2.0,
    "k": 1.5,
    "p": 0.3,
    "a": 2.0,
    "c": -1.1,
    "w_y": 0.8,
    "w_hy": -0.6,
    "h_t": 0.35,
    "h_1": 0.45,
    "x_1": 0.15,
    "x_2": -0.25,
    "y_hat": 0.64,
    "beta_1": 0.9,
    "m_t": 0.05,
    "v_t": 0.02,
    "theta_t": 0.5,
    "y_prime": 2.2,
    "m_1": 3.0,
    "m_2": 4.0,
    "r": 1.5,
    "G": 6.0,
    "V_max": 2.0,
    "K_m": 0.5,
    "S": 1.25,
    "omega": 3.0,
    "phi": 0.4,
    "A": 1.5,
    "v": draw(size=4),
    "u": draw(size=4),
    "q": draw(size=3),
    "M": draw(size=(4, 4)) + 4 * np.eye(4),
    "N": draw(size=(4, 4)),
    "U": draw(size=(4, 3)),
    "X": draw(size=(5, 3)),
    "r_5": draw(size=5),
}
TENSORS = {"v", "u", "q", "M", "N", "U", "X"}


def softmax(z):
    e = np.exp(z)
    return e / e.sum()


def logistic(z):
    return 1 / (1 + np.exp(-z))


TABLE = [
    # ------------------------------------------------------------------------ numbers
    (r"\frac{1}{1+e^{-x}}", "1/(1 + exp(-x))", lambda x, **_: 1 / (1 + math.exp(-x))),
    (
        r"\frac{1}{\sigma\sqrt{2\pi}} e^{-\frac{(x-\mu)^2}{2\sigma^2}}",
        "1/(sigma*sqrt(2*pi))*exp(-(x - mu)**2/(2*sigma**2))",
        lambda x, mu, sigma, **_: math.exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi)),
    ),
    (
        r"-\frac{1}{2}\log(2\pi\sigma^2) - \frac{(x-\mu)^2}{2\sigma^2}",
        "-1/2*log(2*pi*sigma**2) - (x - mu)**2/(2*sigma**2)",
        lambda x, mu, sigma, **_: -0.5 * math.log(2 * math.pi * sigma**2) - (x - mu) ** 2 / (2 * sigma**2),
    ),
    (r"\tanh(w x + b)", "tanh(w*x + b)", lambda x, w, b, **_: math.tanh(w * x + b)),
    (r"w_y\left(1-\tanh^2 x\right)", "w_y*(1 - tanh(x)**2)", lambda w_y, x, **_: w_y * (1 - math.tanh(x) ** 2)),
    (r"w_{hy}\, h_t + b", "w_hy*h_t + b", lambda w_hy, h_t, b, **_: w_hy * h_t + b),
    (
        r"-\left[y \ln \hat{y} + (1-y)\ln(1-\hat y)\right]",
        "-(y*log(y_hat) + (1 - y)*log(1 - y_hat))",
        lambda y, y_hat, **_: -(y * math.log(y_hat) + (1 - y) * math.log(1 - y_hat)),
    ),
    (r"\ln\left(1+e^{x}\right)", "log(1 + exp(x))", lambda x, **_: math.log1p(math.exp(x))),
    (
        r"\sigma(x)\bigl(1-\sigma(x)\bigr)",
        "sigmoid(x)*(1 - sigmoid(x))",
        lambda x, **_: logistic(x) * (1 - logistic(x)),
    ),
    (r"\sigma'(x)", "sigmoid'(x)", lambda x, **_: logistic(x) * (1 - logistic(x))),
    (r"\sigma^2 x", "sigma**2*x", lambda sigma, x, **_: sigma**2 * x),
    (r"x\,\sigma(\beta x)", "x*sigmoid(beta*x)", lambda x, beta, **_: x * logistic(beta * x)),
    (
        r"\tfrac12 x \left(1+\operatorname{erf}\tfrac{x}{\sqrt2}\right)",
        "1/2*x*(1 + erf(x/sqrt(2)))",
        lambda x, **_: x / 2 * (1 + math.erf(x / math.sqrt(2))),
    ),
    (
        r"0.5x\left(1+\tanh\left[\sqrt{2/\pi}\left(x+0.044715x^3\right)\right]\right)",
        "0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
        lambda x, **_: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    (
        r"\max(0, z) + \alpha \min(0, z)",
        "max(0, z) + alpha*min(0, z)",
        lambda z, alpha, **_: max(0, z) + alpha * min(0, z),
    ),
    (
        r"\begin{cases} z & \text{if } z > 0 \\ \alpha(e^{z}-1) & \text{otherwise} \end{cases}",
        "where(z > 0, z, alpha*(exp(z) - 1))",
        lambda z, alpha, **_: z if z > 0 else alpha * (math.exp(z) - 1),
    ),
    (
        r"\mathbb{1}[x > 0]\, y - \mathbf{1}_{\{x \le 0\}}",
        "where(x > 0, 1, 0)*y - where(x <= 0, 1, 0)",
        lambda y, **_: y,
    ),
    (
        r"\frac{\hat y - y}{\hat y (1-\hat y)}",
        "(y_hat - y)/(y_hat*(1 - y_hat))",
        lambda y, y_hat, **_: (y_hat - y) / (y_hat * (1 - y_hat)),
    ),
    (
        r"\theta_t - \frac{\eta}{\sqrt{v_t}+\epsilon} m_t",
        "theta_t - eta/(sqrt(v_t) + epsilon)*m_t",
        lambda theta_t, eta, v_t, epsilon, m_t, **_: theta_t - eta / (math.sqrt(v_t) + epsilon) * m_t,
    ),
    (r"\frac{m_t}{1-\beta_1^t}", "m_t/(1 - beta_1**t)", lambda m_t, beta_1, t, **_: m_t / (1 - beta_1**t)),
    (r"\sin^2 x + \cos^2 x", "sin(x)**2 + cos(x)**2", lambda **_: 1.0),
    (r"A \cos(\omega t + \phi)", "A*cos(omega*t + phi)", lambda A, omega, t, phi, **_: A * math.cos(omega * t + phi)),
    (r"\sin 2x \cos y", "sin(2*x)*cos(y)", lambda x, y, **_: math.sin(2 * x) * math.cos(y)),
    (r"\arctan\frac{y}{x}", "atan(y/x)", lambda x, y, **_: math.atan(y / x)),
    (r"\frac{e^x - e^{-x}}{2} - \sinh x", "(exp(x) - exp(-x))/2 - sinh(x)", lambda **_: 0.0),
    (r"\log_2 x + \log_{10}(y)", "log(x, 2) + log(y, 10)", lambda x, y, **_: math.log2(x) + math.log10(y)),
    (r"\sqrt[3]{x} \sqrt{x^2+y^2}", "cbrt(x)*sqrt(x**2 + y**2)", lambda x, y, **_: x ** (1 / 3) * math.hypot(x, y)),
    (r"\left|z\right|^{p} + |z|", "abs(z)**p + abs(z)", lambda z, p, **_: abs(z) ** p + abs(z)),
    (r"-G\frac{m_1 m_2}{r^2}", "-G*(m_1*m_2/r**2)", lambda G, m_1, m_2, r, **_: -G * m_1 * m_2 / r**2),
    (r"\frac{V_{\max} S}{K_m + S}", "V_max*S/(K_m + S)", lambda V_max, S, K_m, **_: V_max * S / (K_m + S)),
    (
        r"y' - \dfrac{x}{y'} \times 3 \times 10^{-2}",
        "y_prime - x/y_prime·3·10**(-2)",
        lambda y_prime, x, **_: y_prime - x / y_prime * 0.03,
    ),
    (
        r"\frac{\Gamma(\alpha+\beta)}{\Gamma(\alpha)\,\Gamma(\beta)} p^{\alpha-1}(1-p)^{\beta-1}",
        None,
        lambda alpha, beta, p, **_: (
            math.gamma(alpha + beta) / math.gamma(alpha) / math.gamma(beta) * p ** (alpha - 1) * (1 - p) ** (beta - 1)
        ),
    ),
    (
        r"\frac{\lambda^k e^{-\lambda}}{\Gamma(k+1)}",
        "lambda**k*exp(-lambda)/gamma(k + 1)",
        lambda k, **p: p["lambda"] ** k * math.exp(-p["lambda"]) / math.gamma(k + 1),
    ),
    (r"a/b \cdot c", "a/b·c", lambda a, b, c, **_: a / b * c),
    (
        r"\binom{n}{k} \abs{z} \mathds{1}[x > 0]",
        "gamma(n + 1)/(gamma(k + 1)*gamma(n - k + 1))*abs(z)*where(x > 0, 1, 0)",
        lambda n, k, z, **_: math.gamma(n + 1) / math.gamma(k + 1) / math.gamma(n - k + 1) * abs(z),
    ),
    (r"\norm{v}_1 \norm{q}^2", "norm_1(v)*norm(q)**2", lambda v, q, **_: np.abs(v).sum() * (q @ q)),
    (r"3! \, x", "gamma(3 + 1)*x", lambda x, **_: 6 * x),
    (r"$$ x \;%  a remark" + "\n" + r" + y $$", "x + y", lambda x, y, **_: x + y),
    # ------------------------------------------------------------------------ sums and indices
    (r"\frac{1}{n} \sum_{i=1}^{n} v_i^2", "1/n*sum(i=1..n, v[i]**2)", lambda v, **_: (v**2).mean()),
    (
        r"\frac1n \sum_{i=0}^{n-1} (v_i - \mu)^2",
        "1/n*sum(i=0..n - 1, (v[i] - mu)**2)",
        lambda v, mu, **_: ((v - mu) ** 2).mean(),
    ),
    (r"\sum_i u_i \log v_i^2", "sum(i, u[i]*log(v[i]**2))", lambda u, v, **_: (u * np.log(v**2)).sum()),
    (
        r"\sum_{i \le j} M_{ij} + \sum_{i=1, i \ne 2}^{4} v_i",
        "sum(i, sum(j, where(i <= j, M[i, j], 0))) + sum(i=1..4, where(i != 2, v[i], 0))",
        lambda M, v, **_: np.triu(M).sum() + v.sum() - v[1],
    ),
    (
        r"\sum_i \sum_{j<i} v_i u_j + \prod_{k \ne 1} v_k",
        "sum(i, sum(j, where(j < i, v[i]*u[j], 0))) + prod(k, where(k != 1, v[k], 1))",
        lambda u, v, **_: sum(v[i] * u[:i].sum() for i in range(4)) + v[1:].prod(),
    ),
    (r"\sum_i^n v_i^2", "sum(i=1..n, v[i]**2)", lambda v, **_: (v**2).sum()),
    (r"\sum_{i,j} M_{ij} v_i v_j", "sum(i, sum(j, M[i, j]*v[i]*v[j]))", lambda M, v, **_: v @ M @ v),
    (r"\sum_{k=1}^{m} \prod_{s=1}^{d} U_{k,s}", "sum(k=1..m, prod(s=1..d, U[k, s]))", lambda U, **_: U.prod(1).sum()),
    (
        r"v_0 + \sum_{k=1}^{n} v_k x^k",
        "v[0] + sum(k=1..n, v[k]*x**k)",
        lambda v, x, **_: sum(v[k] * x**k for k in range(4)),
    ),
    (
        r"\sum_{t=1}^{T} \gamma^{t-1} v_t",
        "sum(t=1..T, gamma**(t - 1)*v[t])",
        lambda v, gamma, **_: sum(gamma**t * v[t] for t in range(4)),
    ),
    (r"\sum_{t=1}^{T} (v_t - v_{t-1})^2", "sum(t=1..T, (v[t] - v[t - 1])**2)", lambda v, **_: (np.diff(v) ** 2).sum()),
    (r"s_i = \frac{e^{v_i}}{\sum_j e^{v_j}}", "s[i] = exp(v[i])/sum(j, exp(v[j]))", lambda v, **_: softmax(v)),
    (r"z_k = \sum_{s=1}^{d} U_{k,s} q_s", "z[k] = sum(s=1..d, U[k, s]*q[s])", lambda U, q, **_: U @ q),
    (
        r"J = \frac{1}{2}\sum_{i=1}^{m} \left(q^\top X^{(i)} - r^{(i)}\right)^2",
        "J = 1/2*sum(i=1..m, (q.T*X[i] - r[i])**2)",
        lambda X, q, **p: 0.5 * ((X @ q - p["r_5"]) ** 2).sum(),
    ),
    (r"D_{ij} = \delta_{ij} v_i", "D[i, j] = delta[i, j]*v[i]", lambda v, **_: np.diag(v)),
    # ------------------------------------------------------------------------ matrices
    (r"v^T M v", "v.T*M*v", lambda v, M, **_: v @ M @ v),
    (r"\mathbf{v}^{\mathsf T}\mathbf{u}", "v.T*u", lambda v, u, **_: v @ u),
    (r"\vec{v} \cdot \vec{u}", "v·u", lambda v, u, **_: v @ u),
    (r"\langle v, u \rangle", "dot(v, u)", lambda v, u, **_: v @ u),
    (
        r"\|U q - v\|^2 + \lambda \lVert q \rVert_2^2",
        "norm(U*q - v)**2 + lambda*norm(q)**2",
        lambda U, q, v, **p: ((U @ q - v) ** 2).sum() + p["lambda"] * (q**2).sum(),
    ),
    (r"\left\|U\right\|_F^2 + \|v\|_1", "norm_F(U)**2 + norm_1(v)", lambda U, v, **_: (U**2).sum() + np.abs(v).sum()),
    (
        r"\operatorname{tr}(M N^\top) + \det M",
        "tr(M*N.T) + det(M)",
        lambda M, N, **_: np.trace(M @ N.T) + np.linalg.det(M),
    ),
    (
        r"\log\det(M^\top M) - \log |M|",
        "log(det(M.T*M)) - log(abs(M))",
        lambda M, **_: np.log(np.linalg.det(M.T @ M)) - np.log(np.linalg.det(M)),
    ),
    (
        r"(U^\top U + \lambda \mathbf{I})^{-1} U^\top v",
        "(U.T*U + lambda*identity)**(-1)*U.T*v",
        lambda U, v, **p: np.linalg.solve(U.T @ U + p["lambda"] * np.eye(3), U.T @ v),
    ),
    (r"M^{-\top} v", "(M**(-1)).T*v", lambda M, v, **_: np.linalg.solve(M.T, v)),
    (r"\operatorname{softmax}(U q)", "softmax(U*q)", lambda U, q, **_: softmax(U @ q)),
    (
        r"(\operatorname{diag}(v) - v v^\top) u",
        "(diag(v) - v*v.T)*u",
        lambda v, u, **_: (np.diag(v) - np.outer(v, v)) @ u,
    ),
    (
        r"U^\top v \odot \sigma'(q)",
        "U.T*v ⊙ sigmoid'(q)",
        lambda U, v, q, **_: U.T @ v * logistic(q) * (1 - logistic(q)),
    ),
    (r"v \odot (1 - \tanh^2(u))", "v ⊙ (1 - tanh(u)**2)", lambda v, u, **_: v * (1 - np.tanh(u) ** 2)),
    (r"\mathbf{1}^\top v", "ones.T*v", lambda v, **_: v.sum()),
    (r"\max(0, U q)", "max(0, U*q)", lambda U, q, **_: np.maximum(0, U @ q)),
    (r"M^2 v", "M**2*v", lambda M, v, **_: M @ M @ v),
    (
        r"\begin{aligned} h &= \tanh(U q + v) \\ L &= \tfrac{1}{2}\, h^\top M h \\ "
        r"&\quad - \log \textstyle\sum_i e^{h_i} \end{aligned}",
        None,
        lambda U, q, v, M, **_: (
            0.5 * np.tanh(U @ q + v) @ M @ np.tanh(U @ q + v) - np.log(np.exp(np.tanh(U @ q + v)).sum())
        ),
    ),
]


def at_point(formula):
    point = {n: np.asarray(AT[n], dtype=float) for n in formula.names if n in AT}
    if "r" in formula.names and "X" in formula.names:
        point["r"] = AT["r_5"]
    return point


def value_of(text, **more):
    formula = Latex(text)
    (value,) = formula.run({**at_point(formula), **more}).values.values()
    return value


@pytest.mark.parametrize(("text", "plain", "exact"), TABLE, ids=[t[:50] for t, _, _ in TABLE])
def test_the_table(text, plain, exact):
    formula = Latex(text)
    if plain is not None:
        assert formula.plain == plain
    assert set(formula.names) <= set(AT)
    np.testing.assert_allclose(value_of(text), exact(**AT), rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------------------------------------ the question

F = (
    r"f(\vec{W},{U}) = \frac{1}{\sqrt{m}} \sum \limits _{k=1} ^{m} "
    r"\frac{w_k}{(1+exp(-\sum \limits _{s=1} ^{d} u_{k,s} \cdot x_s))}"
)
DW = (
    r"\frac{\partial f}{\partial w_k} = \frac{1}{\sqrt{m}} "
    r"\frac{1}{(1+exp(-\sum \limits _{s=1} ^{d} u_{k,s} \cdot x_s))}"
)
DU = (
    r"\frac{\partial f}{\partial u_{k,N}} = \frac{1}{\sqrt{m}} \frac{x_N \cdot w_k \cdot "
    r"exp(-\sum \limits _{s=1} ^{d} u_{k,s} \cdot x_s)}{(1+exp(-\sum \limits _{s=1} ^{d} u_{k,s} \cdot x_s))^2}"
)
SHAPES = {"u": (10, 3), "w": (10,), "x": (3,)}


class SingleLayerNet(torch.nn.Module):
    def __init__(self, m=10, d=3):
        super().__init__()
        self.m = m
        self.linear1 = torch.nn.Linear(d, m, bias=False)
        self.linear2 = torch.nn.Linear(m, 1, bias=False)

    def forward(self, x):
        return self.linear2(torch.sigmoid(self.linear1(x))).squeeze() / np.sqrt(self.m)


def by_hand(u, w, x):
    tmp0 = np.matmul(u, x)
    tmp = np.exp(-1 * tmp0)
    dw = (1 / np.sqrt(10)) / (1 + tmp)
    tmp2 = (1 + tmp) * (1 + tmp)
    du = np.outer(w * (1 / np.sqrt(10)) * tmp / tmp2, x)
    return {"w": dw, "u": du}


def test_the_formulas_of_the_question_are_proved():
    for hand in ([Latex(DW), Latex(DU)], (Latex(DW), Latex(DU)), {"w": Latex(DW), "u": Latex(DU)}):
        report = verify(Latex(F), hand, at=SHAPES)
        assert report.verdict == "proved"
        assert set(report.claims) == {"u", "w"}
    assert verify(Latex(F), Latex(DU), at=SHAPES).claims.keys() == {"u"}
    assert "w[k]/(1 + exp(-sum(s=1..d, u[k, s]·x[s])))" in str(verify(Latex(F), Latex(DW), at=SHAPES).notes)


def test_the_formula_of_the_question_is_its_numpy_code_and_its_module():
    assert verify(Latex(F), by_hand, at=SHAPES).verdict == "proved"
    alone = Latex(DU, shapes={"u": ("m", "d")})
    assert compare(alone, lambda u, w, x: by_hand(u, w, x)["u"], at=SHAPES).kind in ("proved", "agrees")
    to_module = {"u": "linear1.weight", "w": "linear2.weight"}
    net = SingleLayerNet()
    assert compare(net, Latex(F, rename=to_module), at={"x": (3,)}).kind in ("proved", "agrees")
    hand = [Latex(t, rename=to_module, shapes={"u": ("m", "d")}) for t in (DW, DU)]
    report = verify(net, hand, at={"x": (3,)})
    assert report.verdict == "proved"
    assert set(report.claims) == {"linear1.weight", "linear2.weight"}


WRONG = [
    (DW, "\\frac{1}{\\sqrt{m}} ", ""),
    (DW, "exp(-", "exp("),
    (DU, "x_N \\cdot", ""),
    (DU, "^2", ""),
    (DU, "x_N \\cdot w_k", "x_N \\cdot w_N"),
    (DU, "{\\sqrt{m}}", "{m}"),
    (DU, "\\frac{x_N", "-\\frac{x_N"),
    (DU, "u_{k,N}}", "u_{N,k}}"),
]


@pytest.mark.parametrize(("text", "right", "wrong"), WRONG)
def test_wrong_variants_are_refuted(text, right, wrong):
    assert right in text
    changed = text.replace(right, wrong, 1) if right != "^2" else text.replace(right, wrong)
    if wrong in ("x_N \\cdot w_N", "u_{N,k}}"):
        with pytest.raises(WrongShape, match="the index N runs along axes of 3 and 10 entries"):
            verify(Latex(F), Latex(changed), at=SHAPES)
    else:
        assert verify(Latex(F), Latex(changed), at=SHAPES).verdict == "refuted"


# ------------------------------------------------------------------------------------------------ derivations

SQUARE = {"A": (3, 3), "x": (3,)}
LAYER = {"W": (3, 2), "x": (2,), "b": (3,), "y": (3,)}
NET = r"\begin{aligned} z &= Wx + b \\ L &= \tfrac12 \|\sigma(z) - y\|^2 \end{aligned}"
RIGHT = [
    (r"f = \|Ax-b\|^2", r"\nabla_x f = 2A^\top(Ax-b)", {"A": (4, 3), "x": (3,), "b": (4,)}),
    (r"f = \|Ax-b\|^2", r"\frac{\partial f}{\partial A} = 2(Ax-b)x^\top", {"A": (4, 3), "x": (3,), "b": (4,)}),
    (r"f = x^\top A x", r"\frac{\partial f}{\partial x} = x^\top(A+A^\top)", SQUARE),
    (
        r"f = \operatorname{tr}(AXB)",
        r"\frac{\partial f}{\partial X} = A^\top B^\top",
        {"A": (2, 3), "X": (3, 4), "B": (4, 2)},
    ),
    (
        r"f = \operatorname{tr}(X^{-1}A)",
        r"\frac{\partial f}{\partial X} = -(X^{-1} A X^{-1})^\top",
        {"A": (2, 2), "X": (2, 2)},
    ),
    (r"f = \log\det X", r"\frac{\partial f}{\partial X} = X^{-\top}", {"X": (2, 2)}),
    (
        r"s_i = \frac{e^{z_i}}{\sum_j e^{z_j}}",
        r"\frac{\partial s_i}{\partial z_j} = s_i (\delta_{ij} - s_j)",
        {"z": (4,)},
    ),
    (r"y_i = \sum_j W_{ij} x_j", r"\frac{\partial y_i}{\partial W_{jk}} = \delta_{ij} x_k", {"W": (3, 2), "x": (2,)}),
    (r"y = Wx", r"\frac{\partial y}{\partial x} = W", {"W": (3, 2), "x": (2,)}),
    (NET, r"\nabla_b L = (\sigma(z) - y) \odot \sigma'(z)", LAYER),
    (
        NET,
        r"\begin{aligned} \delta &= (\sigma(z) - y) \odot \sigma'(z) \\ "
        r"\frac{\partial L}{\partial W} &= \delta x^\top \\ \frac{\partial L}{\partial b} &= \delta \end{aligned}",
        LAYER,
    ),
    (r"f(x) = x^3", r"f'(x) = 3x^2", {}),
    (r"y = x^3", r"\frac{dy}{dx} = 3x^2", {}),
    (r"y = x^3", r"dy/dx = 3x^2", {}),
    (r"f = \sum_k b_k", r"\frac{\partial f}{\partial b_k} = 1", {"b": (3,)}),
    (r"f(U) = \sum_{k,s} u_{k,s}^2", r"\frac{\partial f}{\partial U_{k,s}} = 2u_{k,s}", {"u": (3, 2)}),
    (r"x^3", r"3x^2", {}),
]


@pytest.mark.parametrize(("model", "hand", "at"), RIGHT, ids=[h[:40] for _, h, _ in RIGHT])
def test_right_derivatives_are_right_and_twice_them_is_not(model, hand, at):
    assert verify(Latex(model), Latex(hand), at=at).ok
    *left, right = re.split(r"(= |&= )(?!.*= )", hand)
    sign = "" if not left and right[0] == "-" else "-" if right[0] in "123" else "2"
    wrong = "".join(left) + sign + (right.removeprefix("-") if right[0] == "-" else right)
    assert verify(Latex(model), Latex(wrong), at=at).verdict == "refuted"


def test_second_derivatives():
    cubes = Latex(r"f(x) = \sum_i x_i^3")
    hessian = Latex(r"\frac{\partial^2 f}{\partial x_i \partial x_j} = 6 x_i \delta_{ij}")
    assert verify(cubes, hessian, at={"x": (3,)}, order=2).verdict == "proved"
    assert verify(cubes, hessian, at={"x": (3,)}).verdict == "proved"  # the left side says the order
    with pytest.raises(BadInput, match="Pass order=2"):
        verify(cubes, hessian, at={"x": (3,)}, order=1)
    assert verify(Latex(r"f(x) = x^3"), Latex(r"f''(x) = 6x"), order=2).verdict == "proved"


def test_the_chain_rule_over_tensors():
    chain = [
        Latex(r"\frac{\partial L}{\partial z} = (\sigma(z)-y)\odot\sigma'(z)"),
        Latex(r"\frac{\partial L}{\partial W} = \frac{\partial L}{\partial z} x^\top"),
        Latex(r"\frac{\partial L}{\partial b} = \frac{\partial L}{\partial z}"),
    ]
    report = verify(Latex(NET), chain, at=LAYER)
    assert report.verdict == "proved"
    assert set(report.claims) == {"W", "b"}


STEPS = r"""\begin{align}
    h_1 &= \tanh(w_h h_0) \\
    \frac{\partial h_1}{\partial w_h} &= (1 - h_1^2) h_0 \\
    h_2 &= \tanh(w_h h_1) \\
    \frac{\partial h_2}{\partial w_h} &= (1 - h_2^2)\left(h_1 + w_h \frac{\partial h_1}{\partial w_h}\right)
\end{align}"""


def test_a_derivation_is_judged_line_by_line():
    model = Latex(r"h_2 = \tanh(w_h \tanh(w_h h_0))")
    assert verify(model, Latex(STEPS)).verdict == "proved"
    wrong = STEPS.replace("(1 - h_1^2) h_0", "(1 - h_1) h_0")
    report = verify(model, Latex(wrong))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("dh_1/dw_h",)
    assert verify(Latex("y = (x+1)^2"), Latex(r"\frac{dy}{dx} = 2(x+1) = 2x + 2")).verdict == "proved"


def test_names_that_the_model_has_decide_what_a_letter_below_is():
    by_name = verify("w_h*tanh(w_x*x)", Latex(r"\frac{\partial f}{\partial w_h} = \tanh(w_x x)"))
    assert by_name.verdict == "proved"
    by_index = verify(
        lambda w, x: torch.tanh(w @ x).sum(),
        Latex(r"\frac{\partial f}{\partial w_{ij}} = \left(1 - \tanh^2\left(\sum_k w_{ik} x_k\right)\right) x_j"),
        at={"w": (3, 2), "x": (2,)},
    )
    assert by_index.verdict == "proved"
    assert (
        verify("sigma*(x + 1)", Latex(r"\frac{\partial g}{\partial x} = \sigma(x + 1) - \sigma x")).verdict == "proved"
    )


def test_an_index_above_a_name_is_an_index_where_it_is_bound():
    assert Latex(r"\sum_{i=1}^{m} x^{(i)}_1").plain == "sum(i=1..m, x[i, 1])"
    assert Latex(r"W^{(1)} x + b^{(1)}").names == ("W_1", "b_1", "x")
    assert Latex(r"\sum_{j,k} w^{(2)}_{jk}").names == ("w_2",)


def test_sizes_are_found_or_asked_for():
    at = {"v": np.arange(4.0)}
    assert Latex(r"\sum_{k=1}^{m} v_k / m").run(at).values["value"] == 1.5
    with pytest.raises(WrongShape, match="how large n is"):
        Latex(r"\sum_{k=1}^{n-1} v_k").run(at)
    assert Latex(r"\sum_{k=1}^{n-1} v_k", shapes={"v": ("n",)}).run(at).values["value"] == 3
    with pytest.raises(WrongShape, match="the size m is 4 elsewhere, and 3 here"):
        Latex(r"\sum_{k=1}^{m} v_k + \sum_{k=1}^{m} q_k").run({**at, "q": np.arange(3.0)})


def test_lift_says_how_a_formula_was_read():
    program = lift(Latex(r"f = w^\top x"), at={"w": (3,), "x": (3,)})
    source = program.steps[-1].source
    assert source is not None
    assert source.text == "f = w.T*x"


def test_steps_are_of_numbers_and_tensors_follow_linear_algebra():
    model = Latex(r"f = \tfrac12 x^\top A x")
    hand = [Latex(r"y = A x"), Latex(r"\nabla_x f = \tfrac12 (y + A^\top x)")]
    assert verify(model, hand, at={"A": (3, 3), "x": (3,)}).verdict == "proved"
    diagonal = [Latex(r"y = A x"), Latex(r"\frac{\partial f}{\partial x} = y")]
    assert verify(model, diagonal, at={"A": (3, 3), "x": (3,)}).verdict == "refuted"
    assert verify(Latex(r"f = \tfrac12 A x^2"), diagonal, at={"A": 2.0, "x": 3.0}).verdict == "proved"
