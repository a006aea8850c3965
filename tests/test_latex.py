"""Formulas in LaTeX as people write them: what was read, what it is worth, and what is refused.

`TABLE` has the formula, its plain reading, and its value by NumPy, written independently, at the point `AT`.
"""

import math
import re

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symgrad import Latex, compare, lift
from symgrad.errors import BadInput, SymgradError, UnknownName, WrongShape
from symgrad.lifting.formulas import open_formula

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
    (r"\frac{1}{\sigma\sqrt{2\pi}} e^{-\frac{(x-\mu)^2}{2\sigma^2}}", "1/(sigma*sqrt(2*pi))*exp(-(x - mu)**2/(2*sigma**2))",
     lambda x, mu, sigma, **_: math.exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))),
    (r"-\frac{1}{2}\log(2\pi\sigma^2) - \frac{(x-\mu)^2}{2\sigma^2}", "-1/2*log(2*pi*sigma**2) - (x - mu)**2/(2*sigma**2)",
     lambda x, mu, sigma, **_: -0.5 * math.log(2 * math.pi * sigma**2) - (x - mu) ** 2 / (2 * sigma**2)),
    (r"\tanh(w x + b)", "tanh(w*x + b)", lambda x, w, b, **_: math.tanh(w * x + b)),
    (r"w_y\left(1-\tanh^2 x\right)", "w_y*(1 - tanh(x)**2)", lambda w_y, x, **_: w_y * (1 - math.tanh(x) ** 2)),
    (r"w_{hy}\, h_t + b", "w_hy*h_t + b", lambda w_hy, h_t, b, **_: w_hy * h_t + b),
    (r"-\left[y \ln \hat{y} + (1-y)\ln(1-\hat y)\right]", "-(y*log(y_hat) + (1 - y)*log(1 - y_hat))",
     lambda y, y_hat, **_: -(y * math.log(y_hat) + (1 - y) * math.log(1 - y_hat))),
    (r"\ln\left(1+e^{x}\right)", "log(1 + exp(x))", lambda x, **_: math.log1p(math.exp(x))),
    (r"\sigma(x)\bigl(1-\sigma(x)\bigr)", "sigmoid(x)*(1 - sigmoid(x))", lambda x, **_: logistic(x) * (1 - logistic(x))),
    (r"\sigma'(x)", "sigmoid'(x)", lambda x, **_: logistic(x) * (1 - logistic(x))),
    (r"\sigma^2 x", "sigma**2*x", lambda sigma, x, **_: sigma**2 * x),
    (r"x\,\sigma(\beta x)", "x*sigmoid(beta*x)", lambda x, beta, **_: x * logistic(beta * x)),
    (r"\tfrac12 x \left(1+\operatorname{erf}\tfrac{x}{\sqrt2}\right)", "1/2*x*(1 + erf(x/sqrt(2)))",
     lambda x, **_: x / 2 * (1 + math.erf(x / math.sqrt(2)))),
    (r"0.5x\left(1+\tanh\left[\sqrt{2/\pi}\left(x+0.044715x^3\right)\right]\right)",
     "0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
     lambda x, **_: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    (r"\max(0, z) + \alpha \min(0, z)", "max(0, z) + alpha*min(0, z)", lambda z, alpha, **_: max(0, z) + alpha * min(0, z)),
    (r"\begin{cases} z & \text{if } z > 0 \\ \alpha(e^{z}-1) & \text{otherwise} \end{cases}",
     "where(z > 0, z, alpha*(exp(z) - 1))", lambda z, alpha, **_: z if z > 0 else alpha * (math.exp(z) - 1)),
    (r"\mathbb{1}[x > 0]\, y - \mathbf{1}_{\{x \le 0\}}", "where(x > 0, 1, 0)*y - where(x <= 0, 1, 0)", lambda y, **_: y),
    (r"\frac{\hat y - y}{\hat y (1-\hat y)}", "(y_hat - y)/(y_hat*(1 - y_hat))",
     lambda y, y_hat, **_: (y_hat - y) / (y_hat * (1 - y_hat))),
    (r"\theta_t - \frac{\eta}{\sqrt{v_t}+\epsilon} m_t", "theta_t - eta/(sqrt(v_t) + epsilon)*m_t",
     lambda theta_t, eta, v_t, epsilon, m_t, **_: theta_t - eta / (math.sqrt(v_t) + epsilon) * m_t),
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
    (r"y' - \dfrac{x}{y'} \times 3 \times 10^{-2}", "y_prime - x/y_prime·3·10**(-2)",
     lambda y_prime, x, **_: y_prime - x / y_prime * 0.03),
    (r"\frac{\Gamma(\alpha+\beta)}{\Gamma(\alpha)\,\Gamma(\beta)} p^{\alpha-1}(1-p)^{\beta-1}", None,
     lambda alpha, beta, p, **_: math.gamma(alpha + beta) / math.gamma(alpha) / math.gamma(beta) * p ** (alpha - 1) * (1 - p) ** (beta - 1)),
    (r"\frac{\lambda^k e^{-\lambda}}{\Gamma(k+1)}", "lambda**k*exp(-lambda)/gamma(k + 1)",
     lambda k, **p: p["lambda"] ** k * math.exp(-p["lambda"]) / math.gamma(k + 1)),
    (r"a/b \cdot c", "a/b·c", lambda a, b, c, **_: a / b * c),
    (r"3! \, x", "gamma(3 + 1)*x", lambda x, **_: 6 * x),
    (r"$$ x \;%  a remark" + "\n" + r" + y $$", "x + y", lambda x, y, **_: x + y),
    # ------------------------------------------------------------------------ sums and indices
    (r"\frac{1}{n} \sum_{i=1}^{n} v_i^2", "1/n*sum(i=1..n, v[i]**2)", lambda v, **_: (v**2).mean()),
    (r"\frac1n \sum_{i=0}^{n-1} (v_i - \mu)^2", "1/n*sum(i=0..n - 1, (v[i] - mu)**2)", lambda v, mu, **_: ((v - mu) ** 2).mean()),
    (r"\sum_i u_i \log v_i^2", "sum(i, u[i]*log(v[i]**2))", lambda u, v, **_: (u * np.log(v**2)).sum()),
    (r"\sum_{i,j} M_{ij} v_i v_j", "sum(i, sum(j, M[i, j]*v[i]*v[j]))", lambda M, v, **_: v @ M @ v),
    (r"\sum_{k=1}^{m} \prod_{s=1}^{d} U_{k,s}", "sum(k=1..m, prod(s=1..d, U[k, s]))", lambda U, **_: U.prod(1).sum()),
    (r"v_0 + \sum_{k=1}^{n} v_k x^k", "v[0] + sum(k=1..n, v[k]*x**k)", lambda v, x, **_: sum(v[k] * x**k for k in range(4))),
    (r"\sum_{t=1}^{T} \gamma^{t-1} v_t", "sum(t=1..T, gamma**(t - 1)*v[t])",
     lambda v, gamma, **_: sum(gamma**t * v[t] for t in range(4))),
    (r"\sum_{t=1}^{T} (v_t - v_{t-1})^2", "sum(t=1..T, (v[t] - v[t - 1])**2)", lambda v, **_: (np.diff(v) ** 2).sum()),
    (r"s_i = \frac{e^{v_i}}{\sum_j e^{v_j}}", "s[i] = exp(v[i])/sum(j, exp(v[j]))", lambda v, **_: softmax(v)),
    (r"z_k = \sum_{s=1}^{d} U_{k,s} q_s", "z[k] = sum(s=1..d, U[k, s]*q[s])", lambda U, q, **_: U @ q),
    (r"J = \frac{1}{2}\sum_{i=1}^{m} \left(q^\top X^{(i)} - r^{(i)}\right)^2", "J = 1/2*sum(i=1..m, (q.T*X[i] - r[i])**2)",
     lambda X, q, **p: 0.5 * ((X @ q - p["r_5"]) ** 2).sum()),
    (r"D_{ij} = \delta_{ij} v_i", "D[i, j] = delta[i, j]*v[i]", lambda v, **_: np.diag(v)),
    # ------------------------------------------------------------------------ matrices
    (r"v^T M v", "v.T*M*v", lambda v, M, **_: v @ M @ v),
    (r"\mathbf{v}^{\mathsf T}\mathbf{u}", "v.T*u", lambda v, u, **_: v @ u),
    (r"\vec{v} \cdot \vec{u}", "v·u", lambda v, u, **_: v @ u),
    (r"\langle v, u \rangle", "dot(v, u)", lambda v, u, **_: v @ u),
    (r"\|U q - v\|^2 + \lambda \lVert q \rVert_2^2", "norm(U*q - v)**2 + lambda*norm(q)**2",
     lambda U, q, v, **p: ((U @ q - v) ** 2).sum() + p["lambda"] * (q**2).sum()),
    (r"\left\|U\right\|_F^2 + \|v\|_1", "norm_F(U)**2 + norm_1(v)", lambda U, v, **_: (U**2).sum() + np.abs(v).sum()),
    (r"\operatorname{tr}(M N^\top) + \det M", "tr(M*N.T) + det(M)", lambda M, N, **_: np.trace(M @ N.T) + np.linalg.det(M)),
    (r"\log\det(M^\top M) - \log |M|", "log(det(M.T*M)) - log(abs(M))",
     lambda M, **_: np.log(np.linalg.det(M.T @ M)) - np.log(np.linalg.det(M))),
    (r"(U^\top U + \lambda \mathbf{I})^{-1} U^\top v", "(U.T*U + lambda*identity)**(-1)*U.T*v",
     lambda U, v, **p: np.linalg.solve(U.T @ U + p["lambda"] * np.eye(3), U.T @ v)),
    (r"M^{-\top} v", "(M**(-1)).T*v", lambda M, v, **_: np.linalg.solve(M.T, v)),
    (r"\operatorname{softmax}(U q)", "softmax(U*q)", lambda U, q, **_: softmax(U @ q)),
    (r"(\operatorname{diag}(v) - v v^\top) u", "(diag(v) - v*v.T)*u", lambda v, u, **_: (np.diag(v) - np.outer(v, v)) @ u),
    (r"U^\top v \odot \sigma'(q)", "U.T*v ⊙ sigmoid'(q)",
     lambda U, v, q, **_: U.T @ v * logistic(q) * (1 - logistic(q))),
    (r"v \odot (1 - \tanh^2(u))", "v ⊙ (1 - tanh(u)**2)", lambda v, u, **_: v * (1 - np.tanh(u) ** 2)),
    (r"\mathbf{1}^\top v", "ones.T*v", lambda v, **_: v.sum()),
    (r"\max(0, U q)", "max(0, U*q)", lambda U, q, **_: np.maximum(0, U @ q)),
    (r"M^2 v", "M**2*v", lambda M, v, **_: M @ M @ v),
    (r"\begin{aligned} h &= \tanh(U q + v) \\ L &= \tfrac{1}{2}\, h^\top M h \\ &\quad - \log \textstyle\sum_i e^{h_i} \end{aligned}",
     None, lambda U, q, v, M, **_: 0.5 * np.tanh(U @ q + v) @ M @ np.tanh(U @ q + v) - np.log(np.exp(np.tanh(U @ q + v)).sum())),
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
