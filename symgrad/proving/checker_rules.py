"""Whether a scalar formula vanishes wherever all of it is defined: what each operation is, for the checker.

A formula is a list of operations on numbers; read one after the other it is a fraction in kernels
(`symgrad.proving.checker_arithmetic`), and it vanishes where that fraction is zero.  A long sum is read term by term,
for its terms may have no common denominator to be had.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from symgrad.proving.checker_arithmetic import Again, Arithmetic, NotCovered, Notes, Value
from symgrad.proving.checker_complex import ALIKE, PARTS, Complex, ComplexArithmetic

_SIZES = (12, 48, 192, 768, 3072)  # of the sets of kernels that are tried
_AGAIN = 24  # readings of one formula: each learned a sign, or a finer exponential
_ADDENDS = 512  # products that a sum is written out in


@dataclass(frozen=True, slots=True)
class Node:
    """An operation of a scalar formula on earlier nodes, which go by their positions."""

    op: str
    args: tuple[int, ...] = ()
    param: Any = None
    complex: bool = False


# ------------------------------------------------------------------------------------------------------- the functions


def _log(f: Arithmetic, u: Value) -> Value:
    f.learn(u, strict=True)
    return f.log(u)


def _sqrt(f: Arithmetic, u: Value) -> Value:
    f.learn(u)
    return f.sqrt(u)


def _asin(f: Arithmetic, u: Value) -> Value:
    f.learn(1 - u)
    f.learn(1 + u)
    return f.odd("asin", u)


def _polylog(f: Arithmetic, order: Value, z: Value) -> Value:
    """Li_1(z) = -log(1 - z), and Li_0(z) = z / (1 - z)."""
    if order.is_zero():
        return z / (1 - z)
    return -_log(f, 1 - z) if f.number(order) == 1 else f.function("polylog", order, z)


def _pi(f: Arithmetic) -> Value:
    return f.kernel(("pi",), sign=2)


def _erf(f: Arithmetic, u: Value) -> Value:
    return f.odd("erf", u)


ODD = ("erf", "atan", "erfinv", "erfi", "Si", "Shi", "fresnels", "fresnelc")
# What each operation is, in the functions above; operations on arrays have become these of their entries.
RULES: dict[str, Callable[..., Value]] = {
    "add": lambda f, a, b: a + b,
    "sub": lambda f, a, b: a - b,
    "mul": lambda f, a, b: a * b,
    "div": lambda f, a, b: a / b,
    "neg": lambda f, a: -a,
    "exp": lambda f, u: f.exp(u),
    "log": _log,
    "sqrt": _sqrt,
    "pow": lambda f, a, b: f.exp(b * _log(f, a)),
    "sin": lambda f, u: f.turn(u)[1],
    "cos": lambda f, u: f.turn(u)[0],
    "tanh": lambda f, u: f.tanh(u),
    "sigmoid": lambda f, u: f.sigmoid(u),
    "sign": lambda f, u: f.sign(u),
    "abs": lambda f, u: f.sign(u) * u,
    "asin": _asin,
    "atan2": Arithmetic.angle,
    "polylog": _polylog,
    **{name: functools.partial(lambda name, f, u: f.odd(name, u), name) for name in ODD},
    # written in those
    "rsqrt": lambda f, u: 1 / _sqrt(f, u),
    "cbrt": lambda f, u: f.sign(u) * f.exp(_log(f, f.sign(u) * u) / 3),
    "reciprocal": lambda f, u: 1 / u,
    "square": lambda f, u: u * u,
    "exp2": lambda f, u: f.exp(u * f.log(f.value(2))),
    "expm1": lambda f, u: f.exp(u) - 1,
    "log1p": lambda f, u: _log(f, 1 + u),
    "log2": lambda f, u: _log(f, u) / f.log(f.value(2)),
    "log10": lambda f, u: _log(f, u) / f.log(f.value(10)),
    "tan": lambda f, u: f.turn(u)[1] / f.turn(u)[0],
    "acos": lambda f, u: _pi(f) / 2 - _asin(f, u),
    "sinh": lambda f, u: (f.exp(u) - f.exp(-u)) / 2,
    "cosh": lambda f, u: (f.exp(u) + f.exp(-u)) / 2,
    "asinh": lambda f, u: _log(f, u + f.sqrt(u * u + 1)),
    "acosh": lambda f, u: _log(f, u + _sqrt(f, u - 1) * _sqrt(f, u + 1)),
    "atanh": lambda f, u: (_log(f, 1 + u) - _log(f, 1 - u)) / 2,
    "erfc": lambda f, u: 1 - _erf(f, u),
    "erfcx": lambda f, u: f.exp(u * u) * (1 - _erf(f, u)),
    "logsigmoid": lambda f, u: -f.log(1 + f.exp(-u)),
    "softplus": lambda f, u: f.log(1 + f.exp(u)),
    "logit": lambda f, u: _log(f, u / (1 - u)),
    "silu": lambda f, u: u / (1 + f.exp(-u)),
    "mish": lambda f, u: u * f.tanh(f.log(1 + f.exp(u))),
    "gelu": lambda f, u: u * (1 + _erf(f, u / f.sqrt(f.value(2)))) / 2,
    "gelu_tanh": lambda f, u: u * (1 + f.tanh(f.sqrt(2 / _pi(f)) * (u + f.value(Fraction(44715, 10**6)) * u**3))) / 2,
    "softsign": lambda f, u: u / (1 + f.sign(u) * u),
    "tanhshrink": lambda f, u: u - f.tanh(u),
    "ndtr": lambda f, u: (1 + _erf(f, u / f.sqrt(f.value(2)))) / 2,
    "log_ndtr": lambda f, u: _log(f, (1 + _erf(f, u / f.sqrt(f.value(2)))) / 2),
    "deg2rad": lambda f, u: u * _pi(f) / 180,
    "rad2deg": lambda f, u: u * 180 / _pi(f),
    "hypot": lambda f, u, v: _sqrt(f, u * u + v * v),
    "logaddexp": lambda f, u, v: f.log(f.exp(u) + f.exp(v)),
    "logaddexp2": lambda f, u, v: (
        f.log(f.exp(u * f.log(f.value(2))) + f.exp(v * f.log(f.value(2)))) / f.log(f.value(2))
    ),
    "xlogy": lambda f, u, v: u * _log(f, v),
    "xlog1py": lambda f, u, v: u * _log(f, 1 + v),
}
# Functions of which equal arguments give equal values, and nothing else is used.
PLAIN = frozenset(
    "lgamma gamma digamma polygamma i0 i1 erfinv Ci Chi Ei li expint uppergamma besselj bessely besseli besselk "
    "airyai airybi airyaiprime airybiprime LambertW zeta hurwitz_zeta".split()
)


def vanishes(formula: Sequence[Node], goal: int, *, expanded: bool = False) -> bool | None:
    """Whether node ``goal`` is zero wherever every node has a value; None where that is shown only where what roots
    are taken of is positive.

    >>> half = [Node("unknown"), Node("exp", (0,)), Node("mul", (1, 1)), Node("number", (), 2), Node("mul", (3, 0))]
    >>> vanishes([*half, Node("exp", (4,)), Node("sub", (2, 5))], 6)
    True
    >>> vanishes([*half, Node("exp", (0,)), Node("sub", (2, 5))], 6)
    False

    Raises `NotCovered` where there is no rule for an operation, or too much of it.  Guarantee: True is a theorem, by
    the rules at the top of this module; False says only that they do not show it.
    """
    notes = Notes()
    products = addends(formula, goal)
    for size in _SIZES:
        for _ in range(_AGAIN):
            notes.learned = False
            f = Arithmetic(size, notes, expanded)
            try:
                if _is_zero(f, formula, products):
                    return None if notes.loose else True
            except Again:
                if len(notes.numbers) > size:
                    break
                continue
            except NotCovered:
                if not notes.learned:
                    raise
            if not notes.learned:
                for head in (kernel.head for kernel in f.kernels.values()):
                    if isinstance(head, tuple) or head == "angle":
                        raise NotCovered(f"relations between values of {head[0] if head != 'angle' else 'atan2'}")
                return False
    raise NotCovered("a formula with too many kernels")


Product = tuple[int, tuple[int, ...], tuple[int, ...]]  # a sign, and nodes above and below


def addends(formula: Sequence[Node], goal: int) -> list[Product]:
    """A node as a sum of products, where that are few: long sums of fractions have no common denominator to be had.

    >>> formula = [Node("unknown"), Node("unknown"), Node("sum", (0, 1)), Node("mul", (2, 0)), Node("sub", (3, 1))]
    >>> addends(formula, 4)
    [(1, (0, 0), ()), (1, (1, 0), ()), (-1, (1,), ())]
    """
    found: dict[int, list[Product]] = {}
    below = _reached(formula, [goal])
    for i in below:
        node = formula[i]
        a = [found[k] for k in node.args]
        out: list[Product] = [(1, (i,), ())]
        if node.op in ("add", "sum") or (node.op == "sub" and len(a[0]) + len(a[1]) > 1):
            signs = [1] * len(a) if node.op != "sub" else [1, -1]
            out = [(s * sign, n, d) for s, terms in zip(signs, a, strict=True) for sign, n, d in terms]
        elif node.op == "neg":
            out = [(-sign, n, d) for sign, n, d in a[0]]
        elif node.op == "mul" and 1 < len(a[0]) * len(a[1]) <= _ADDENDS:
            out = [(s * t, n + m, d + e) for s, n, d in a[0] for t, m, e in a[1]]
        elif node.op == "div" and len(a[0]) > 1:
            out = [(sign, n, (*d, node.args[1])) for sign, n, d in a[0]]
        found[i] = out if len(out) <= _ADDENDS else [(1, (i,), ())]
    return found[goal]


def _reached(formula: Sequence[Node], wanted: Iterable[int]) -> list[int]:
    """The nodes that some are made of, in order; what is stated is wanted always."""
    found: set[int] = set()
    stack = [*wanted, *(i for i, node in enumerate(formula) if node.op == "stated")]
    while stack:
        i = stack.pop()
        if i not in found:
            found.add(i)
            stack += formula[i].args
    return sorted(found)


def _is_zero(f: Arithmetic, formula: Sequence[Node], products: Sequence[Product]) -> bool:
    """Whether a sum of products vanishes: first what has a denominator in common is added up, and then all."""
    values = _read(f, formula, {i for _, above, below in products for i in (*above, *below)})
    if any(isinstance(v, Complex) for v in values.values()):
        g = ComplexArithmetic(f)
        values = {i: g.value(v) for i, v in values.items()}
        terms = [_product(g.value(sign), values, above, below) for sign, above, below in products]
        return functools.reduce(lambda a, b: a + b, terms, g.value(0)).is_zero()
    waiting = []
    for sign, above, below in products:
        waiting.append(_product(f.value(sign), values, above, below))
    apart: list[Value] = []  # no two have a factor below in common
    while waiting:
        term = f.lowest(waiting.pop(), roots=True)
        if term.is_zero():
            continue
        beside = next((v for v in apart if v.d == term.d or not v.d.gcd(term.d).is_constant()), None)
        if beside is None:
            apart.append(term)
        else:
            apart.remove(beside)
            waiting.append(beside + term)
    return not apart or _sum(f, apart).is_zero()


def _product(sign: Any, values: Mapping[int, Any], above: Iterable[int], below: Iterable[int]) -> Any:
    term = functools.reduce(lambda a, b: a * b, (values[i] for i in above), sign)
    return functools.reduce(lambda a, b: a / b, (values[i] for i in below), term)


def _read(f: Arithmetic, formula: Sequence[Node], wanted: Iterable[int]) -> dict[int, Any]:
    """The values of the nodes that are wanted, and of all that these are made of."""
    values: dict[int, Any] = {}
    for i in _reached(formula, wanted):
        node = formula[i]
        a = [values[k] for k in node.args]
        if node.complex or any(isinstance(v, Complex) for v in a):
            values[i] = _read_complex(ComplexArithmetic(f), node, i, a)
            continue
        match node.op:
            case "unknown":
                values[i] = f.kernel(("unknown", i))
            case "number":
                values[i] = f.value(node.param)
            case "constant":
                values[i] = f.kernel((node.param,), sign=2)
            case "powi":
                values[i] = a[0] ** node.param
            case "sum":
                values[i] = _sum(f, a)
            case "stated":
                f.learn(a[0], stated=True)
                values[i] = a[0]
            case "entry":  # of a matrix that is a function of the entries of another
                values[i] = f.kernel(("entry", node.param, *(f.key(v) for v in a)))
            case op if op in RULES:
                values[i] = RULES[op](f, *a)
            case op if op in PLAIN:
                values[i] = f.function((op, node.param), *a)  # type: ignore[arg-type]
            case op:
                raise NotCovered(f"the operation {op}")
    return values


def _read_complex(f: ComplexArithmetic, node: Node, i: int, a: Sequence[Any]) -> Any:
    z = [f.value(v) for v in a]
    match node.op:
        case "unknown":
            return Complex(f.real.kernel(("unknown", i)), f.real.kernel(("unknown", i, "imaginary")))
        case "constant":  # the imaginary unit
            return Complex(f.real.value(0), f.real.value(1))
        case "number":
            return Complex(*map(f.real.value, node.param))
        case "powi":
            return z[0] ** node.param
        case "sum":
            return functools.reduce(lambda x, y: x + y, z, f.value(0))
        case op if op in PARTS:
            return PARTS[op](f, *z)
        case op if op in ALIKE:
            return RULES[op](f, *z)
        case op if op in RULES or op in PLAIN:
            return f.plain(op, node.param, *z)
    raise NotCovered(f"the operation {node.op} of complex numbers")


def _sum(f: Arithmetic, terms: Sequence[Value]) -> Value:
    """The sum, halves first: long sums would else be copied once for each term."""
    if len(terms) < 3:
        return functools.reduce(lambda a, b: a + b, terms, f.value(0))
    return _sum(f, terms[: len(terms) // 2]) + _sum(f, terms[len(terms) // 2 :])
