"""The checker's own arithmetic: each operation against mpmath and torch, identities that hold, and planted ones."""

from __future__ import annotations

import ast
import functools
from dataclasses import replace
from pathlib import Path

import mpmath
import pytest
import sympy as sp
import torch

from symgrad.ops.scalars import OPS
from symgrad.proving import checker_rules
from symgrad.proving.checker_adjoint import CheckedStep
from symgrad.proving.checker_arithmetic import Arithmetic, NotCovered, Notes, Value
from symgrad.proving.checker_rules import COMPLEX, ODD, RULES, vanishes

# --------------------------------------------------------------------------------------------- operations, in numbers

_POINTS = {
    (): (-1.7, -0.4, 0.3, 2.2),
    "positive": (0.2, 1.0, 3.5),
    "inside": (-0.7, 0.1, 0.6),
    "between": (0.1, 0.5, 0.9),
    "above": (1.1, 2.5),
}
_WHERE = {
    **dict.fromkeys("log sqrt rsqrt log2 log10 log1p pow xlogy xlog1py".split(), "positive"),
    **dict.fromkeys("asin acos atanh erfinv polylog".split(), "inside"),
    "logit": "between",
    "acosh": "above",
}
_OF_KERNELS = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "cos": mpmath.cos,
    "sin": mpmath.sin,
    "sign": mpmath.sign,
    "asin": mpmath.asin,
    "atan": mpmath.atan,
    "erf": mpmath.erf,
    "erfi": mpmath.erfi,
    "erfinv": mpmath.erfinv,
    "tanh": mpmath.tanh,
    "sigmoid": lambda u: 1 / (1 + mpmath.exp(-u)),
    "Si": mpmath.si,
    "Shi": mpmath.shi,
    ("gamma", None): mpmath.gamma,
    ("digamma", None): mpmath.digamma,
    "fresnels": mpmath.fresnels,
    "fresnelc": mpmath.fresnelc,
}


def in_numbers(value: Value, at: list[float]) -> mpmath.mpf:
    """A fraction in kernels at numbers, each kernel by mpmath."""
    f = value.of
    keys = {k: key for key, k in f.notes.numbers.items()}

    def polynomial(p) -> mpmath.mpf:
        total = mpmath.mpf(0)
        for exponents, c in p.to_dict().items():
            powers = [kernel(k) ** int(e) for k, e in enumerate(exponents) if e]
            total += mpmath.fprod([mpmath.mpf(int(c.p)) / int(c.q), *powers])
        return total

    def kernel(k: int) -> mpmath.mpf:
        head, *rest = keys[k]
        match head:
            case "unknown":
                return mpmath.mpf(at[rest[0]])
            case "pi":
                return +mpmath.pi
            case "i":
                return mpmath.mpc(0, 1)
            case "root":
                return mpmath.root(in_numbers(f.kernels[k].argument, at), rest[0])
            case "polylog":
                return mpmath.polylog(2, in_numbers(f.kernels[k].argument, at))
        return _OF_KERNELS[head](in_numbers(f.kernels[k].argument, at))

    return mpmath.fsum(polynomial(n) / polynomial(d) for n, d in value.parts)


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize("name", sorted((set(RULES) | ODD) & set(OPS)))
def test_each_operation_is_what_torch_computes(name, expanded):
    arity = OPS[name].arity
    for x in _POINTS[_WHERE.get(name, ())]:
        numbers = [x, 0.8][:arity] if name != "polylog" else [2.0, x]
        f = Arithmetic(48, Notes(), expanded)
        arguments = [f.kernel(("unknown", k)) for k in range(arity)]
        if name == "polylog":
            arguments[0] = f.value(2)
        with mpmath.workdps(40):
            found = in_numbers(RULES[name](f, *arguments) if name in RULES else f.odd(name, *arguments), numbers)
        truth = OPS[name].torch(*(torch.tensor(v, dtype=torch.float64) for v in numbers))
        assert float(found) == pytest.approx(float(truth), rel=1e-9)


_OPAQUE = frozenset("log sqrt pow rsqrt exp2 log1p log2 log10 atanh".split())  # of complex numbers, as written in them
_COMPLEX_IN_TORCH = {
    **{name: getattr(torch, name) for name in COMPLEX - {"sum", "matmul"} - _OPAQUE if hasattr(torch, name)},
    "sign": torch.sgn,
    "silu": lambda z: z * torch.sigmoid(z),
}


@pytest.mark.parametrize("name", sorted(_COMPLEX_IN_TORCH))
def test_each_operation_on_complex_numbers_is_what_torch_computes(name):
    """In all quadrants."""
    arity = {"add": 2, "sub": 2, "mul": 2, "div": 2}.get(name, 1)
    for z in (0.3 + 1.2j, -0.7 + 0.4j, -1.5 - 0.2j, 0.6 - 2.1j):
        numbers = [z, -0.4 + 0.8j][:arity]
        f = Arithmetic(48, Notes(), False)
        f.principal = True
        parts = [f.kernel(("unknown", k)) for k in range(2 * arity)]
        found = RULES[name](f, *(x + y * f.unit() for x, y in zip(parts[::2], parts[1::2], strict=True)))
        with mpmath.workdps(40):
            value = complex(in_numbers(found, [x for w in numbers for x in (w.real, w.imag)]))
        truth = _COMPLEX_IN_TORCH[name](*(torch.tensor(w, dtype=torch.complex128) for w in numbers))
        assert value == pytest.approx(complex(truth), rel=1e-9)


# --------------------------------------------------------------------------------------------------------- identities

x, y = sp.symbols("x y", real=True)
_HEADS = {sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tanh: "tanh", sp.Abs: "abs", sp.erf: "erf"}
_HEADS |= {sp.asin: "asin", sp.sign: "sign", sp.atan: "atan"}


def z(op: str, *args: int, params=None) -> CheckedStep:
    """A complex number."""
    return CheckedStep(op, args, params, (), True)


def real(op: str, *args: int, params=None) -> CheckedStep:
    return CheckedStep(op, args, params, ())


def number(x) -> CheckedStep:
    return real("constant", params={"entries": [str(x)]})


def written(e: sp.Basic, nodes: list[CheckedStep]) -> int:
    """A SymPy expression as steps, in its own order."""

    def emit(op: str, *args: int, params=None) -> int:
        node = real(op, *args, params=params)
        if node not in nodes:
            nodes.append(node)
        return nodes.index(node)

    match e:
        case sp.Symbol():
            return (x, y).index(e)
        case sp.Rational():
            return emit("constant", params={"entries": [str(e)]})
        case sp.Add():
            return functools.reduce(lambda a, b: emit("add", a, b), [written(a, nodes) for a in e.args])
        case sp.Mul():
            return functools.reduce(lambda a, b: emit("mul", a, b), [written(a, nodes) for a in e.args])
        case sp.Pow() if e.exp == sp.Rational(1, 2):
            return emit("sqrt", written(e.base, nodes))
        case sp.Pow() if e.exp.is_Integer and e.exp > 0:
            return emit("powi", written(e.base, nodes), params=int(e.exp))
        case sp.Pow() if e.exp.is_negative and e.exp.is_number:
            return emit("div", written(sp.S.One, nodes), written(e.base**-e.exp, nodes))
        case sp.Pow():
            return emit("pow", written(e.base, nodes), written(e.exp, nodes))
    return emit(_HEADS[type(e)], *(written(a, nodes) for a in e.args))


def shown(left: sp.Expr, right: sp.Expr) -> bool:
    """Whether the checker shows two formulas to be equal, with tanh in exp or without."""
    nodes = [real("input", params="x"), real("input", params="y")]
    i, j = (written(sp.sympify(e), nodes) for e in (left, right))
    nodes.append(real("sub", i, j))
    return any(vanishes(nodes, len(nodes) - 1, expanded=expanded) for expanded in (False, True))


def raw(head, *arguments):
    """A SymPy expression that is left as it is written."""
    return head(*arguments, evaluate=False)


HOLD = [
    ((x + y) ** 3, x**3 + 3 * x**2 * y + 3 * x * y**2 + y**3),
    (1 / x - 1 / y, (y - x) / (x * y)),
    (sp.exp(x + y), raw(sp.Mul, sp.exp(x), sp.exp(y))),
    (raw(sp.Pow, sp.exp(x / 2), 2), raw(sp.Pow, sp.exp(x / 3), 3)),
    (sp.tanh(x + y), (sp.tanh(x) + sp.tanh(y)) / (1 + sp.tanh(x) * sp.tanh(y))),
    (sp.tanh(-x), raw(sp.Mul, -1, sp.tanh(x))),
    (sp.sin(x + y), sp.sin(x) * sp.cos(y) + sp.cos(x) * sp.sin(y)),
    (sp.cos(3 * x), 4 * sp.cos(x) ** 3 - 3 * sp.cos(x)),
    (sp.log(1 + sp.exp(x)), x + sp.log(1 + sp.exp(-x))),
    (sp.log(raw(sp.Mul, 12, sp.exp(x))), x + 2 * sp.log(2) + sp.log(3)),
    (sp.log((1 + y**2) * (1 + sp.exp(x))), sp.log(1 + y**2) + sp.log(1 + sp.exp(x))),
    (sp.exp(raw(sp.Mul, sp.log(1 + x**2), sp.Rational(1, 2))), sp.sqrt(1 + x**2)),
    (raw(sp.Pow, x**2, sp.Rational(1, 2)), sp.Abs(x)),
    (1 / (sp.sqrt(x) + 1), (sp.sqrt(x) - 1) / (x - 1)),
    (sp.Abs(x * y), sp.Abs(x) * sp.Abs(y)),
    (raw(sp.Mul, x, x**y), raw(sp.Pow, x, y + 1)),
    (sp.erf(x - y), raw(sp.Mul, -1, sp.erf(y - x))),
    (sp.cos(sp.asin(x), evaluate=False), sp.sqrt(1 - x**2)),
    (sp.sin(raw(sp.atan, x), evaluate=False), x / sp.sqrt(1 + x**2)),
    (sp.log(x) + sp.sqrt(x**2), sp.log(x) + x),  # the logarithm says that x is positive
]


@pytest.mark.parametrize(("left", "right"), HOLD, ids=str)
def test_identities(left, right):
    assert shown(left, right) is True
    assert not shown(left, right + sp.Rational(1, 10**9) * x)


# Each differs at a real point where both sides are defined.
WRONG = [
    (raw(sp.Pow, x**2, sp.Rational(1, 2)), x),
    (sp.sqrt(x**2 - 2 * x + 1), 1 - x),
    (sp.log(sp.Abs(x)), sp.log(sp.Abs(y))),
    (sp.Abs(x), x),
    (y * sp.sign(x), y),
    (sp.sin(x), sp.cos(x)),
    (sp.sin(2 * x), 2 * sp.sin(x)),
    (sp.exp(x + y), sp.exp(x) + sp.exp(y)),
    (sp.exp(x * y), sp.exp(x) * sp.exp(y)),
    (sp.tanh(x), x),
    (sp.tanh(x), sp.tanh(x) + sp.Rational(1, 10**20)),
    (sp.erf(x), sp.erf(raw(sp.Mul, -1, x))),
    (sp.sqrt(x * x + y * y), x + y),
    (1 - sp.tanh(x) ** 2, 1 - x**2),
    (sp.log(1 + sp.exp(x)), x),
    (sp.log(x**2 * y**2), 2 * sp.log(sp.Abs(x)) + sp.log(sp.Abs(y))),
    (sp.asin(sp.sin(x), evaluate=False), x),
    (sp.atan(sp.sin(x) / sp.cos(x), evaluate=False), x),
    (1 / x + 1 / y, 2 / (x + y)),
]


@pytest.mark.parametrize(("left", "right"), WRONG, ids=str)
def test_planted_identities_are_not_shown(left, right):
    points = [{x: sp.Rational(a, 7), y: sp.Rational(b, 5)} for a in (-23, 23) for b in (-4, 9)]
    with mpmath.workdps(40):
        gaps = [mpmath.mpmathify(sp.N(sp.sympify(left - right).subs(p), 40)) for p in points]
    assert any(mpmath.im(g) == 0 and abs(g) > mpmath.mpf(10) ** -25 for g in gaps)
    assert shown(left, right) is False


def test_a_sign_that_a_vanishing_factor_hides_is_not_used():
    """At x = 0 the root is defined whatever the sign of y, and there the two differ."""
    root = raw(sp.Pow, x**2 * y, sp.Rational(1, 2))
    assert shown(sp.Abs(y) + root, y + root) is False


@pytest.mark.parametrize(("name", "shows"), [("pi", True), ("-sqrt(2)", False)])
def test_a_constant_is_positive_only_if_its_name_is_known(name, shows):
    nodes = [real("constant", params={"name": name}), real("abs", 0), real("sub", 1, 0)]
    assert vanishes(nodes, 2) is shows


def complex_shown(left: list[CheckedStep], right: list[CheckedStep]) -> bool:
    """Whether two formulas of the complex numbers 0 and 1 are shown to be equal."""
    nodes = [z("input", params="z"), z("input", params="w"), *left]
    end, shift = len(nodes) - 1, len(left)
    nodes += [replace(n, args=tuple(a if a < 2 else a + shift for a in n.args)) for n in right]
    nodes.append(z("sub", end, len(nodes) - 1))
    return vanishes(nodes, len(nodes) - 1)


@pytest.mark.parametrize(
    ("left", "right", "holds"),
    [
        ([z("mul", 0, 1), z("exp", 2)], [z("mul", 1, 0), z("exp", 2)], True),
        ([z("add", 0, 1), z("exp", 2)], [z("exp", 0), z("exp", 1), z("mul", 2, 3)], True),
        ([z("exp", 0), z("conj", 2)], [z("conj", 0), z("exp", 2)], True),
        ([real("abs", 0), z("mul", 2, 2)], [z("conj", 0), z("mul", 2, 0)], True),
        ([z("exp", 0)], [z("conj", 0), z("exp", 2)], False),
        ([real("real", 0)], [z("conj", 0)], False),
        ([z("mul", 0, 1)], [z("conj", 1), z("mul", 0, 2)], False),
    ],
)
def test_identities_of_complex_numbers(left, right, holds):
    assert complex_shown(left, right) is holds


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([z("mul", 0, 0), z("sqrt", 2)], [z("neg", 0), z("neg", 2)]),  # it is -z on the other half of the plane
        ([z("mul", 0, 1), z("sqrt", 2)], [z("sqrt", 0), z("sqrt", 1), z("mul", 2, 3)]),
        ([z("mul", 0, 1), z("log", 2)], [z("log", 0), z("log", 1), z("add", 2, 3)]),
    ],
)
def test_what_holds_on_one_sheet_is_not_shown(left, right):
    with pytest.raises(NotCovered, match="values of complex"):
        complex_shown(left, right)


@pytest.mark.parametrize(("op", "shift"), [("gamma", 3), ("gamma", -2), ("digamma", 2), ("digamma", -3)])
def test_gamma_functions_of_shifted_arguments(op, shift):
    """Of x and x + n, each against mpmath; and what is between is what relates the two."""
    for number in (0.3, 1.7, -0.4):
        f = Arithmetic(48, Notes(), False)
        u = f.kernel(("unknown", 0))
        values = [RULES[op](f, v) for v in (u, u + shift)]
        with mpmath.workdps(40):
            for value, at in zip(values, (number, number + shift), strict=True):
                truth = getattr(mpmath, op)(mpmath.mpf(number) + (shift if at != number else 0))
                assert mpmath.almosteq(in_numbers(value, [number]), truth, 1e-30)
        assert len([k for k in f.kernels.values() if k.head == (op, None)]) == 1


def test_what_has_no_rule_is_said_by_name():
    with pytest.raises(NotCovered, match="elliptic_k"):
        vanishes([real("input", params="x"), real("elliptic_k", 0)], 1)


def test_a_long_sum_of_fractions_has_no_common_denominator():
    """Forty terms 1 / (1 + u): added up in two orders, which one fraction of 2**40 terms would not show."""
    nodes = [real("input", params=f"x{k}") for k in range(40)]
    nodes += [number(1), *(real("add", 40, k) for k in range(40)), *(real("div", 40, 41 + k) for k in range(40))]

    def total(order) -> int:
        last = 81 + order[0]
        for k in order[1:]:
            nodes.append(real("add", last, 81 + k))
            last = len(nodes) - 1
        return last

    up, down, less = (total(order) for order in (range(40), range(39, -1, -1), range(1, 40)))
    nodes += [real("sub", up, down), real("sub", up, less)]
    assert vanishes(nodes, len(nodes) - 2) is True
    assert vanishes(nodes, len(nodes) - 1) is False


# ---------------------------------------------------------------------------------------------------- what it rests on

_FREE = {
    "fractions",
    "collections",
    "contextlib",
    "dataclasses",
    "functools",
    "itertools",
    "json",
    "math",
    "typing",
    "flint",
}


def test_the_checker_shares_nothing_with_the_search():
    """It imports the standard library, python-flint and itself."""
    folder = Path(checker_rules.__file__).parent
    for path in sorted(folder.glob("checker*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                own = name.startswith("symgrad.proving.checker") or name == "__future__"
                assert own or name.split(".")[0] in _FREE, f"{path.name} imports {name}"
