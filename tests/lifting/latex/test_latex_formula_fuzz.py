"""LaTeX that nobody wrote by hand: what SymPy prints is read back with the same value or refused, and no damage to a
formula makes anything but a refusal.
"""

import random
import re
import time

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symgrad import Latex
from symgrad.errors import SymgradError

POINT = {"x": 0.7, "y": 1.3, "alpha": 0.45, "w_y": 1.9, "x_1": 0.33, "beta_h": 2.2, "z": 0.81}
SYMBOLS = [sp.Symbol(name) for name in POINT]
K = sp.Symbol("k", integer=True)
FUNCTIONS = [
    sp.sin,
    sp.cos,
    sp.tan,
    sp.exp,
    sp.log,
    sp.tanh,
    sp.sqrt,
    sp.sinh,
    sp.cosh,
    sp.atan,
    sp.Abs,
    sp.erf,
    sp.sech,
]
FUNCTIONS += [sp.cbrt, sp.gamma, sp.factorial, sp.asinh, lambda a: sp.Max(a, 1), lambda a: sp.Min(a, 2, SYMBOLS[0])]
FUNCTIONS += [lambda a: sp.root(a, 5), lambda a: sp.Piecewise((a, a > 1), (a**2, True))]
STYLES = [{}, {"fold_short_frac": True}, {"mul_symbol": "dot"}, {"mul_symbol": "times"}, {"ln_notation": True}]
STYLES += [{"inv_trig_style": "full"}, {"root_notation": False}, {"fold_frac_powers": True}]

numbers = st.builds(sp.Rational, st.integers(-5, 9), st.integers(1, 4))
powers = st.sampled_from([2, 3, -1, -2, sp.Rational(1, 2), sp.Rational(-1, 2), sp.Rational(2, 3), *SYMBOLS[:2]])


def larger(inner):
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a / b if b != 0 else a, inner, inner),
        st.builds(lambda a, n: a**n if a != 0 else a, inner, powers),
        st.builds(lambda a: sp.Sum(a * K**2, (K, 1, 3)), inner),
        st.builds(lambda f, a: f(a), st.sampled_from(FUNCTIONS), inner),
    )


formulas = st.recursive(st.sampled_from(SYMBOLS) | numbers, larger, max_leaves=8)


@pytest.mark.slow
@settings(max_examples=250, derandomize=True)
@given(formulas, st.sampled_from(STYLES))
def test_what_sympy_prints_has_the_same_value_or_is_refused(formula, style):
    assume(not formula.has(sp.zoo, sp.nan, sp.oo, sp.I))
    try:
        exact = complex(formula.subs({s: sp.Rational(str(POINT[s.name])) for s in SYMBOLS}).doit().evalf(30))
    except TypeError:  # a choice that SymPy could not make
        assume(False)
        return
    assume(abs(exact.imag) < 1e-12 and abs(exact.real) < 1e60)
    try:
        read = Latex(sp.latex(formula, **style))
        (value,) = read.run({n: POINT[n] for n in read.names}).values.values()
    except SymgradError:
        return
    assume(np.isfinite(value))  # a part of it has no real value, or does not fit a float
    assert abs(value - exact.real) <= 1e-8 * max(1, abs(exact.real)), read.plain


def test_most_of_what_sympy_prints_is_read():
    x, y, w = SYMBOLS[0], SYMBOLS[1], SYMBOLS[3]
    shown = [f(x * y + w) for f in FUNCTIONS if f is not sp.factorial] + [
        x**y / w,
        -x / 2,
        (x + y) ** -2,
        sp.pi * x,
        sp.E**x,
    ]
    assert all(Latex(sp.latex(e)).names for e in shown)


# ------------------------------------------------------------------------------------------------ damage

WHOLE = [
    r"f(\vec{W},{U}) = \frac{1}{\sqrt{m}} \sum \limits _{k=1} ^{m} \frac{w_k}{(1+exp(-\sum _{s=1} ^{d} u_{k,s} x_s))}",
    r"\frac{\partial f}{\partial u_{k,N}} = \frac{x_N \cdot w_k}{(1+exp(-\sum_{s=1} ^{d} u_{k,s} \cdot x_s))^2}",
    r"\|Ax-b\|^2 + x^T A^{-1} x + \log\det(A^\top A)",
    r"y_i = \operatorname{softmax}(Ax)_i \cdot b_i",
    r"\begin{cases} x & \text{if } x>0 \\ 0 & \text{otherwise} \end{cases} + \mathbb{1}[x>0] w_y(1-\tanh x)",
    r"W^T \delta \odot \sigma'(z) + \max(0, x)",
    r"e^{-\frac{(x-\mu)^2}{2\sigma^2}} \sqrt[3]{\left|x\right|}",
    r"\begin{aligned} z &= W x + b \\ f &= \left\lVert \tanh(z) \right\rVert_2^2 \\ &\quad + 1\end{aligned}",
    r"f'(x) = \left(1 - \tanh^2(w x^{(1)})\right) \hat{w}_1",
    r"\frac{\partial f}{\partial x_i} = \frac{d y}{d x} \sum_j \delta_{ij} |x_j|",
]
PIECE = re.compile(r"\\[A-Za-z]+|\\.|\d+|\s+|.", re.S)
EXTRA = (
    r"\frac { } ( ) _ ^ | \| = + - \cdot x e T \sum \sin ' & \\ \begin{cases} \end{cases} 1 \left \right \partial d ! "
    r"/ \nabla \mathbb{1} [ ] , . \text{if} \sigma ^T _k \mathbf \sqrt \hat \operatorname{tr} \det \int \foo # "
    r"\begin{x}"
)
EXTRA = [*EXTRA.split(), "^{(1)}", "\\", "%", "\n", "é"]


@pytest.mark.parametrize("seed", range(4))
def test_damaged_formulas_are_refused_and_nothing_else(seed):
    rng = random.Random(seed)
    values = [np.array(0.7), np.arange(1.0, 4) / 5, np.arange(1.0, 10).reshape(3, 3) / 7 + np.eye(3)]
    refused, slowest = 0, 0.0
    for _ in range(500):
        pieces = PIECE.findall(rng.choice(WHOLE))
        for _ in range(rng.randint(1, 3)):
            k = rng.randrange(len(pieces))
            pieces[k : k + rng.randint(0, 1)] = rng.choice([[], [rng.choice(EXTRA)]])
        begun = time.process_time()
        try:
            formula = Latex("".join(pieces))
            assert formula.plain
            formula.run({n: rng.choice(values) for n in formula.names})
        except SymgradError:
            refused += 1
        slowest = max(slowest, time.process_time() - begun)
    assert 200 < refused < 500
    assert slowest < 5


@pytest.mark.parametrize(
    "deep", ["(" * 500 + "x" + ")" * 500, "{" * 500, r"\sqrt{" * 300, "x" + "^{x" * 300, "-" * 900]
)
def test_depth_is_refused(deep):
    with pytest.raises(SymgradError):
        _ = Latex(deep).names


def test_long_formulas_take_linear_time():
    begun = time.process_time()
    formula = Latex(" + ".join(f"x_{{{k}}} \\tanh(y_{{{k}}})" for k in range(1000)))
    assert len(formula.names) == 2000
    assert time.process_time() - begun < 20


# ------------------------------------------------------------------------------------------------ linear algebra

SIZES = {"n": 4, "m": 3}
TENSORS = {
    "u": np.array([0.5, -1.5, 2.0, 0.25]),
    "v": np.array([1.25, 0.75, -0.5, 2.5]),
    "q": np.array([-0.3, 1.7, 0.6]),
    "M": np.linspace(-1, 1, 16).reshape(4, 4) ** 3 + 2 * np.eye(4),
    "U": np.cos(np.arange(12.0)).reshape(4, 3),
    "c": np.array(0.8),
}


def grow(rng, form, depth):
    """A formula of a form ("", "n", "m", "nn", "nm"), in LaTeX with its parentheses, and its value by NumPy."""
    leaves = {"": ["c"], "n": ["u", "v"], "m": ["q"], "nn": ["M"], "nm": ["U"]}

    def of(other):
        return grow(rng, other, depth - 1)

    if depth == 0:
        name = rng.choice(leaves[form])
        return name, TENSORS[name]
    (a, x), (b, y) = of(form), of(form)
    choices = [
        lambda: (f"({a} + {b})", x + y),
        lambda: (f"({a} - {b})", x - y),
        lambda: (f"\\tfrac{{1}}{{2}} {a}", x / 2),
        lambda: (f"({of_scalar[0]} {a})", of_scalar[1] * x),
        lambda: (f"\\left( {a} \\odot {b} \\right)", x * y),
        lambda: (f"\\tanh\\left({a}\\right)", np.tanh(x)),
        lambda: (f"\\frac{{{a}}}{{1 + ({of_scalar[0]})^2}}", x / (1 + of_scalar[1] ** 2)),
    ]
    of_scalar = of("")
    if form == "":
        (p, s), (r, t), (k, z) = of("n"), of("n"), of("nn")
        choices += [
            lambda: (f"{p}^\\top {r}", s @ t),
            lambda: (f"\\|{p}\\|^2", s @ s),
            lambda: (f"({p}^T {k} {r})", s @ z @ t),
            lambda: (f"\\operatorname{{tr}}({k})", np.trace(z)),
            lambda: (f"\\|{k}\\|_F^2", (z**2).sum()),
            lambda: (f"\\mathbf{{1}}^\\top {p}", s.sum()),
            lambda: (f"\\langle {p}, {r} \\rangle", s @ t),
        ]
    elif form == "n":
        (k, z), (r, t), (g, w), (h, o) = of("nn"), of("n"), of("nm"), of("m")
        choices += [
            lambda: (f"({k} {r})", z @ t),
            lambda: (f"({k}^\\top {r})", z.T @ t),
            lambda: (f"({g} {h})", w @ o),
            lambda: (f"\\operatorname{{diag}}({k})", np.diag(z)),
            lambda: (f"\\sigma({r})", 1 / (1 + np.exp(-t))),
        ]
    elif form == "m":
        (g, w), (r, t) = of("nm"), of("n")
        choices += [lambda: (f"({g}^\\top {r})", w.T @ t), lambda: (f"({r}^\\top {g})^\\top", t @ w)]
    elif form == "nn":
        (p, s), (r, t), (k, z), (g, w) = of("n"), of("n"), of("nn"), of("nm")
        choices += [
            lambda: (f"({p} {r}^\\top)", np.outer(s, t)),
            lambda: (f"({k} {a})", z @ x),
            lambda: (f"({g} {g}^\\top)", w @ w.T),
            lambda: (f"\\operatorname{{diag}}({p})", np.diag(s)),
            lambda: (f"({k} + {of_scalar[0]} \\mathbf{{I}})", z + of_scalar[1] * np.eye(4)),
        ]
    else:
        (k, z), (p, s), (h, o) = of("nn"), of("n"), of("m")
        choices += [lambda: (f"({k} {a})", z @ x), lambda: (f"({p} {h}^\\top)", np.outer(s, o))]
    return rng.choice(choices)()


@pytest.mark.parametrize("seed", range(3))
def test_linear_algebra_has_numpys_value_or_is_refused(seed):
    rng, refused = random.Random(seed), 0
    for _ in range(60):
        text, exact = grow(rng, rng.choice(["", "n", "m", "nn", "nm"]), rng.randint(1, 2))
        try:
            formula = Latex(text)
            (value,) = formula.run({n: TENSORS[n] for n in formula.names}).values.values()
        except SymgradError:
            refused += 1
            continue
        np.testing.assert_allclose(value, exact, rtol=1e-10, atol=1e-10, err_msg=text)
    assert refused < 20
