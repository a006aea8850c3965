r"""How the same formulas are read by parsers that make SymPy of LaTeX: rightly, as another formula in silence, or not.

``python tests/benchmarks/peers.py`` prints the table, ``--all`` what each made of each formula that it did not read
rightly.  Each formula stands beside its value as Python has it; a parser reads it rightly if what it makes has that
value at one point.  The others are asked if they are installed: SymPy's two parsers need antlr4-python3-runtime 4.11
and lark, the third is latex2sympy2_extended.
"""

from __future__ import annotations

import argparse
import cmath
import importlib.util
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import mpmath
import sympy as sp

from symgrad import Latex, SymgradError
from symgrad.lifting.latex.value_chains import needs_values

POINT = {
    "x": 0.7, "y": 0.4, "z": 0.3, "t": 0.9, "a": 1.3, "b": 0.6, "c": 1.9, "k": 1.7, "m": 2.0, "n": 3.0, "p": 0.35,
    "q": 0.2, "r": 1.1, "u": 0.25, "v": 0.45, "w": 0.8, "A": 1.2, "K": 2.3, "L": 1.4, "N": 0.65, "R": 1.6, "T": 2.1,
    "V": 3.2, "S": 1.5, "alpha": 0.55, "beta": 1.25, "gamma": 0.75, "lambda": 0.85, "mu": 0.15, "sigma": 1.05,
    "omega": 1.35, "theta": 0.95, "epsilon": 0.05, "x_1": 0.31, "x_2": 0.47, "w_y": 0.62, "w_{hx}": 0.83, "E_a": 1.15,
    "N_0": 0.52, "sigma_1": 1.12, "h_{t-1}": 0.29, "K_m": 0.91, "V_{max}": 1.44, "y_hat": 0.66, "d_1": 0.37,
}  # fmt: skip
_SIGMOID = lambda u: 1 / (1 + math.exp(-u))  # noqa: E731
_N = lambda u: float(mpmath.ncdf(u))  # noqa: E731

FORMULAS: Mapping[str, Callable[[Mapping[str, float]], float]] = {
    r"\frac{x^2}{1+x^2}": lambda v: v["x"] ** 2 / (1 + v["x"] ** 2),
    r"\frac12 m v^2": lambda v: 0.5 * v["m"] * v["v"] ** 2,
    r"w_y(1-\tanh^2 x)": lambda v: v["w_y"] * (1 - math.tanh(v["x"]) ** 2),
    r"x(1-x)": lambda v: v["x"] * (1 - v["x"]),
    r"a(b+c)": lambda v: v["a"] * (v["b"] + v["c"]),
    r"\sin^2 x + \cos^2 x": lambda v: 1.0,
    r"\sin kx": lambda v: math.sin(v["k"] * v["x"]),
    r"\sin(kx - \omega t)": lambda v: math.sin(v["k"] * v["x"] - v["omega"] * v["t"]),
    r"\sin^{-1} x": lambda v: math.asin(v["x"]),
    r"\sin x \cos x": lambda v: math.sin(v["x"]) * math.cos(v["x"]),
    r"e^{-x^2/2}": lambda v: math.exp(-(v["x"] ** 2) / 2),
    r"\exp(-\beta x)": lambda v: math.exp(-v["beta"] * v["x"]),
    r"\mathrm{e}^{-\lambda t}": lambda v: math.exp(-v["lambda"] * v["t"]),
    r"exp(-x)": lambda v: math.exp(-v["x"]),
    r"\ln x^2": lambda v: math.log(v["x"] ** 2),
    r"\ln\frac{a}{b}": lambda v: math.log(v["a"] / v["b"]),
    r"\log_2 x": lambda v: math.log2(v["x"]),
    r"\log x": lambda v: math.log(v["x"]),
    r"-p\log p - (1-p)\log(1-p)": lambda v: -v["p"] * math.log(v["p"]) - (1 - v["p"]) * math.log(1 - v["p"]),
    r"\sqrt[3]{x}": lambda v: v["x"] ** (1 / 3),
    r"\sqrt{x^2+y^2}": lambda v: math.hypot(v["x"], v["y"]),
    r"\frac{1}{\sqrt{2\pi\sigma^2}} e^{-\frac{(x-\mu)^2}{2\sigma^2}}": lambda v: (
        math.exp(-((v["x"] - v["mu"]) ** 2) / (2 * v["sigma"] ** 2)) / math.sqrt(2 * math.pi * v["sigma"] ** 2)
    ),
    r"A e^{-E_a/(RT)}": lambda v: v["A"] * math.exp(-v["E_a"] / (v["R"] * v["T"])),
    r"A K^{\alpha} L^{1-\alpha}": lambda v: v["A"] * v["K"] ** v["alpha"] * v["L"] ** (1 - v["alpha"]),
    r"\frac{V_{\max} S}{K_m + S}": lambda v: v["V_{max}"] * v["S"] / (v["K_m"] + v["S"]),
    r"|x - y|": lambda v: abs(v["x"] - v["y"]),
    r"\left|\frac{x-a}{b}\right|": lambda v: abs((v["x"] - v["a"]) / v["b"]),
    r"\max(0, 1 - yx)": lambda v: max(0.0, 1 - v["y"] * v["x"]),
    r"\sigma(x)(1-\sigma(x))": lambda v: _SIGMOID(v["x"]) * (1 - _SIGMOID(v["x"])),
    r"\operatorname{erf}(x)": lambda v: math.erf(v["x"]),
    r"\Gamma(x)": lambda v: math.gamma(v["x"]),
    r"\ln\Gamma(x)": lambda v: math.lgamma(v["x"]),
    r"S N(d_1)": lambda v: v["S"] * _N(v["d_1"]),
    r"\binom{n}{2}": lambda v: 3.0,
    r"n!": lambda v: 6.0,
    r"\sum_{k=1}^{3} k x^k": lambda v: sum(k * v["x"] ** k for k in (1, 2, 3)),
    r"\sum_{k=0}^{2} \frac{x^k}{k!}": lambda v: sum(v["x"] ** k / math.factorial(k) for k in range(3)),
    r"\prod_{k=1}^{3} (1 - k x)": lambda v: math.prod(1 - k * v["x"] for k in (1, 2, 3)),
    r"\int_0^1 x t^2 \, dt": lambda v: v["x"] / 3,
    r"\tanh(w_{hx} x + h_{t-1})": lambda v: math.tanh(v["w_{hx}"] * v["x"] + v["h_{t-1}"]),
    r"1 - \tanh(x)^2": lambda v: 1 - math.tanh(v["x"]) ** 2,
    r"\frac{x_1 - x_2}{2}": lambda v: (v["x_1"] - v["x_2"]) / 2,
    r"(y - \hat y)^2": lambda v: (v["y"] - v["y_hat"]) ** 2,
    r"-y\log\hat{y} - (1-y)\log(1-\hat{y})": lambda v: (
        -v["y"] * math.log(v["y_hat"]) - (1 - v["y"]) * math.log(1 - v["y_hat"])
    ),
    r"x^{-1}": lambda v: 1 / v["x"],
    r"2^{-x}": lambda v: 2 ** -v["x"],
    r"\dfrac{a}{b}c": lambda v: v["a"] / v["b"] * v["c"],
    r"\frac{K}{1 + \left(\frac{K-N_0}{N_0}\right)e^{-rt}}": lambda v: (
        v["K"] / (1 + (v["K"] - v["N_0"]) / v["N_0"] * math.exp(-v["r"] * v["t"]))
    ),
    r"4\epsilon\left[\left(\frac{\sigma_1}{r}\right)^{12} - \left(\frac{\sigma_1}{r}\right)^6\right]": lambda v: (
        4 * v["epsilon"] * ((v["sigma_1"] / v["r"]) ** 12 - (v["sigma_1"] / v["r"]) ** 6)
    ),
    r"\begin{cases} x^2 & x > 0 \\ 0 & \text{otherwise} \end{cases}": lambda v: v["x"] ** 2,
    r"\mathbb{1}[x > 0]\, x": lambda v: v["x"],
    r"\cos\theta\cdot\sin\theta": lambda v: math.cos(v["theta"]) * math.sin(v["theta"]),
    r"\log(1+e^{x})": lambda v: math.log1p(math.exp(v["x"])),
    r"\arctan\frac{y}{x}": lambda v: math.atan(v["y"] / v["x"]),
    r"e^{x}\left(\sin x + \cos x\right)": lambda v: math.exp(v["x"]) * (math.sin(v["x"]) + math.cos(v["x"])),
    r"\frac{d}{dx} x^3": lambda v: 3 * v["x"] ** 2,
}

Reading = Callable[[str], Any]
OTHERS = {"SymPy, antlr": "antlr4", "SymPy, lark": "lark", "latex2sympy2_extended": "latex2sympy2_extended"}


def missing() -> list[str]:
    """The others whose modules are not installed."""
    return [name for name, needs in OTHERS.items() if importlib.util.find_spec(needs) is None]


def readers() -> Iterator[tuple[str, Reading]]:
    """Each parser that is there, as a function from a formula to its value at the point."""
    yield "symgrad", _ours
    latex = importlib.import_module("sympy.parsing.latex")
    for backend in ("antlr", "lark"):
        if f"SymPy, {backend}" not in missing():
            yield f"SymPy, {backend}", lambda text, b=backend: _number(latex.parse_latex(text, backend=b))
    if "latex2sympy2_extended" not in missing():
        other = importlib.import_module("latex2sympy2_extended")
        yield "latex2sympy2_extended", lambda text: _number(other.latex2sympy(text))


def _ours(text: str) -> Any:
    formula = Latex(text)
    if needs_values(formula):  # an integral, which SymPy carries out
        return _number(formula.closed())
    return next(iter(formula.run({n: _VALUES[_bare(n)] for n in formula.names}).values.values()))


def reading(read: Reading, text: str) -> tuple[str, str]:
    """``rightly``, ``wrongly`` or ``refused``, and what was made of it."""
    try:
        value = read(text)
    except (SymgradError, Exception) as error:  # what a parser raises is its own
        return "refused", type(error).__name__
    try:
        right = cmath.isclose(complex(value), FORMULAS[text](POINT), rel_tol=1e-9)
    except (TypeError, ValueError):
        return "wrongly", f"{value}"
    return ("rightly" if right else "wrongly"), f"{value}"


def table() -> tuple[list[str], list[str]]:
    """The table's rows, and what was not read rightly."""
    rows = ["| parser | read rightly | read as another formula | refused |", "|---|---|---|---|"]
    faults = []
    for name, read in readers():
        count: Counter[str] = Counter()
        for text in FORMULAS:
            kind, made = reading(read, text)
            count[kind] += 1
            faults += [f"{name}: {kind}: {text}: {made}"] if kind != "rightly" else []
        rows.append(f"| {name} | {count['rightly']} | {count['wrongly']} | {count['refused']} |")
    rows += [f"| {name} | not asked: {OTHERS[name]} is not installed | | |" for name in missing()]
    return rows, faults


def _number(made: Any) -> Any:
    """The value at the point; what is no number, such as a call of a function that nobody defined, as it is."""
    e = sp.sympify(made)
    letters = {s: _VALUES[_bare(s.name)] for s in e.free_symbols if _bare(s.name) in _VALUES}
    letters |= {s: math.e if s.name == "e" else math.pi for s in e.free_symbols if s.name in ("e", "pi")}
    value = e.subs(letters).doit()
    return complex(value) if value.is_number else value


def _bare(name: str) -> str:
    """A name without what parsers write around it: ``w_{hx}``, ``\\hat{y}``."""
    plain = re.sub(r"[\\{}_\s-]|mathrm|operatorname|text", "", name)
    return "yhat" if plain in ("haty", "yhat") else plain.replace("htm1", "ht1")


_VALUES = {_bare(n): x for n, x in POINT.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="what each made of what it did not read rightly")
    rows, faults = table()
    print(*rows, *(["", *faults] if parser.parse_args().all else []), sep="\n")


if __name__ == "__main__":
    main()
