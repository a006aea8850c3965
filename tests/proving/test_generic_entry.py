"""Every rule of the field that proofs are made in: what a step is read as has its value, and has one wherever it does.

A step is read as a fraction in kernels; here the fraction is evaluated again, each kernel by what it stands for, in
balls at random points, and held against the step's own ball.  The rows are the tables of the rules themselves
(functions that are read, relations of special functions, odd functions), so that a new rule is tested by being a row;
a new kind of kernel fails until `MEANINGS` says what it stands for.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
from flint import acb, arb, fmpq

from symgrad.evaluation.balls import Balls, array_of, ball_of, integer_power
from symgrad.ops.row import precision
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.primitives import FUNCTIONS, primitive
from symgrad.program.program import Step, interpret
from symgrad.proving.field import Element, Field, Full, OutOfWork, Rescale
from symgrad.proving.generic_entry import ODD, Reader
from symgrad.proving.kernels import sqrt
from symgrad.proving.sign_facts import factors
from symgrad.proving.special_relations import RELATIONS
from symgrad.proving.views import Views

BITS = (200, 1200)  # the second where values cancel or saturate
POINTS = 4

# ------------------------------------------------------------------------------------------------ kernels, in balls


def _real(x: Any) -> Any:
    return x.real if isinstance(x, acb) else x


def _op(name: Any, parts: list[Any]) -> Any:
    """A function of which the field knows only its name and parameters."""
    name, params = name if isinstance(name, tuple) and len(name) == 2 else (name, None)
    name = name.removeprefix("complex ") if isinstance(name, str) else name
    if name == "pi":
        return arb.pi()
    if name == "complex":
        return _op(parts[0], parts[1:])
    if name == "log":
        return acb(parts[0]).log()
    if name == "polygamma":
        return _item(Balls().read(Step("polygamma", (), params, (), "float64"), [array_of(parts, ())]))
    return OPS[name].ball(*parts)


MEANINGS: dict[str, Callable[[Any, Field, list[Any]], Any]] = {
    "exp": lambda key, f, p: (p[0] * _number(f.scales[key])).exp(),
    "cos": lambda key, f, p: (p[0] * _number(f.scales[key[1]])).cos(),
    "sin": lambda key, f, p: (p[0] * _number(f.scales[key[1]])).sin(),
    "sqrt": lambda key, f, p: p[0].sqrt(),
    "root": lambda key, f, p: p[0].root(key[1]),
    "complex root": lambda key, f, p: acb(p[0]) ** (acb(1) / key[1]),
    "log": lambda key, f, p: p[0].log(),
    "sign": lambda key, f, p: p[0].sgn(),
    "modulus": lambda key, f, p: abs(p[0]),
    "conj": lambda key, f, p: acb(p[0].real, -p[0].imag),
}


def _number(q: fmpq) -> Any:
    return arb(q)


class Evaluated:
    """A field's elements in balls, at a point given for its leaves."""

    def __init__(self, field: Field, leaves: dict[int, Any]) -> None:
        self.field, self.leaves = field, leaves
        self.keys = {k: key for key, k in field.index.items()}
        self.known: dict[int, Any] = {}

    def element(self, a: Element) -> Any:
        return self.polynomial(a.n) / self.polynomial(a.d)

    def polynomial(self, p: Any) -> Any:
        total: Any = arb(0)
        for exponents, c in p.to_dict().items():
            term: Any = _number(c)
            for k, e in enumerate(exponents):
                if e:
                    term = term * integer_power(self.kernel(k), e)
            total = total + term
        return total

    def kernel(self, k: int) -> Any:
        if k not in self.known:
            self.known[k] = self._kernel(k)
        return self.known[k]

    def _kernel(self, k: int) -> Any:
        key, kernel = self.keys[k], self.field.kernels[k]
        if kernel.leaf is not None:
            (base, _) = kernel.leaf
            turned = isinstance(base, tuple) and base[0] == "conj"
            value = self.leaves[base[1] if turned else base]
            return acb(value.real, -value.imag) if turned else value
        if key == "i":
            return acb(0, 1)
        parts = [self.element(p) for p in kernel.parts]
        parts = parts if kernel.is_complex else [_real(p) if _is_real(p) else p for p in parts]
        if key[0] in MEANINGS:
            return MEANINGS[key[0]](key, self.field, parts)
        if isinstance(key[0], tuple) and key[0][-1] == "complex":  # a function of complex values
            return _op(key[0][:2], [acb(p) for p in parts])
        return _op(key[0], parts)


def _is_real(x: Any) -> bool:
    return isinstance(x, arb) or x.imag == 0


# ------------------------------------------------------------------------------------------------ reading


def read(steps: list[Step], i: int) -> tuple[Field, Element] | None:
    """The step as an element of a field; None where the work does not suffice."""
    scales: dict[Any, Any] = {}
    facts: dict[str, int] = {}
    for n in (24, 96, 200):
        for _ in range(16):
            field = Field(n, scales, facts, terms=600)
            try:
                found = Reader(steps, field, Views(), lambda i: i, lambda i: False).entry(i)
            except Rescale:
                continue
            except Full:
                break
            except (OutOfWork, ArithmeticError):
                if not field.learned:
                    return None
                continue
            if not field.learned:
                return field, found
    return None


def check(build: Callable[[Builder, list[int]], int], ranges: list[tuple[float, float]], seed: int, dtype: str) -> int:
    """Hold the reading of what ``build`` writes against its own balls; at how many points it could be."""
    b = Builder()
    inputs = [b.input(n, (), dtype) for n in ("x", "y")]
    out = build(b, inputs)
    program = b.build({})
    steps, place = primitive(program, [*inputs, out])
    made = read(steps, place[out])
    if made is None:
        return 0
    field, element = made
    draw, seen = random.Random(seed), 0
    for low, high in itertools.islice(itertools.cycle(ranges), POINTS):
        with precision(BITS[-1]):
            point = [_drawn(draw, low, high, dtype) for _ in inputs]
        seen += any(_agree(field, element, program, [place[i] for i in inputs], out, point, bits) for bits in BITS)
    return seen


def _agree(
    field: Field, element: Element, program: Any, leaves: list[int], out: int, point: list[Any], bits: int
) -> bool:
    """Whether the two agree to half of the bits; where they cannot be told so well, or the step has no value, False."""
    with precision(bits):
        given = {n: array_of([v], ()) for n, v in zip(program.inputs, point, strict=True)}
        values = interpret(program, Balls(), given, range(len(program)))
        truth, thin = _item(values[out]), arb(2) ** (-bits // 2)
        if not all(_item(v).is_finite() for v in values.values()) or not _radius(truth) < thin * (1 + abs(truth)):
            return False
        here = Evaluated(field, dict(zip(leaves, point, strict=True))).element(element)
        if not here.is_finite():
            assert bits < BITS[-1], f"the reading has no value at {point}, where the step is {truth}"
            return False
        assert (here - truth).contains(0), f"{here} for {truth} at {point}"
        return bool(_radius(here) < thin * (1 + abs(truth)))


def _radius(x: Any) -> Any:
    return x.rad() if isinstance(x, arb) else x.real.rad() + x.imag.rad()


def _item(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _drawn(draw: random.Random, low: float, high: float, dtype: str) -> Any:
    number = lambda: arb(round(draw.uniform(low, high) * 2**20)) / 2**20  # noqa: E731
    return acb(number(), number()) if dtype.startswith("complex") else number()


# ------------------------------------------------------------------------------------------------ the rows

ONE = [(0.05, 0.95), (-0.95, -0.05), (1.05, 4.0), (-4.0, -1.05)]


def _number_step(b: Builder, p: int, q: int = 1) -> int:
    return b.number(sp.Rational(p, q))


ARGUMENTS: dict[str, Callable[[Builder, list[int]], int]] = {
    "x": lambda b, i: i[0],
    "-x": lambda b, i: b.neg(i[0]),
    "x + 3": lambda b, i: b.add(i[0], _number_step(b, 3)),
    "x - 2": lambda b, i: b.sub(i[0], _number_step(b, 2)),
    "1/2 - x": lambda b, i: b.sub(_number_step(b, 1, 2), i[0]),
    "2x/3": lambda b, i: b.mul(_number_step(b, 2, 3), i[0]),
    "xy": lambda b, i: b.mul(*i),
    "x/y": lambda b, i: b.div(*i),
    "x**2 y": lambda b, i: b.mul(b.integer_power(i[0], 2), i[1]),
    "x**3 y**2": lambda b, i: b.mul(b.integer_power(i[0], 3), b.integer_power(i[1], 2)),
    "1 - x**2": lambda b, i: b.sub(_number_step(b, 1), b.integer_power(i[0], 2)),
    "x + y": lambda b, i: b.add(*i),
    "4/9": lambda b, i: b.add(b.mul(b.number(0), i[0]), _number_step(b, 4, 9)),
    "|x|": lambda b, i: b.apply("abs", i[0]),
    "sqrt x": lambda b, i: b.apply("sqrt", i[0]),
    "exp(x + y/2)": lambda b, i: b.apply("exp", b.add(i[0], b.div(i[1], _number_step(b, 2)))),
    "log x": lambda b, i: b.apply("log", i[0]),
    "asin(x)/2": lambda b, i: b.div(b.apply("asin", i[0]), _number_step(b, 2)),
    "3 atan x": lambda b, i: b.mul(_number_step(b, 3), b.apply("atan", i[0])),
    "pi/3": lambda b, i: b.add(b.mul(b.number(0), i[0]), b.div(b.number(sp.pi), _number_step(b, 3))),
    "x - pi/2": lambda b, i: b.sub(i[0], b.div(b.number(sp.pi), _number_step(b, 2))),
}
OUTSIDE: dict[str, Callable[[Builder, int], int]] = {
    "": lambda b, i: i,
    "square of": lambda b, i: b.integer_power(i, 2),
    "sqrt of": lambda b, i: b.apply("sqrt", i),
    "log of": lambda b, i: b.apply("log", i),
    "exp of half": lambda b, i: b.apply("exp", b.div(i, b.number(2))),
    "2/3 power of": lambda b, i: b.power(i, b.number(sp.Rational(2, 3))),
    "-5/4 power of": lambda b, i: b.power(i, b.number(sp.Rational(-5, 4))),
    "sine of half": lambda b, i: b.apply("sin", b.div(i, b.number(2))),
}
TWO = {"atan2", "expint", "uppergamma", "polylog", "besselj", "bessely", "besseli", "besselk"}
SINGLE = sorted((FUNCTIONS | set(RELATIONS) | set(ODD) | {"powi", "pow"}) - TWO)
ORDERS = [(1, 2), (3, 1), (-2, 1), (5, 2), (0, 1), (1, 1)]


def _applied(name: str, b: Builder, i: int, j: int) -> int:
    if name == "powi":
        return b.integer_power(i, -3)
    if name == "pow":
        return b.emit("pow", (i, j), None, ())
    return b.apply(name, i)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.slow
def test_a_function_is_read_as_what_it_is(name):
    """The function of every argument, and functions of it: no value changes, and no point is lost."""
    seen = 0
    for k, (inner, outer) in enumerate(itertools.product(ARGUMENTS.values(), OUTSIDE.values())):
        seen += check(lambda b, i, f=inner, g=outer: g(b, _applied(name, b, f(b, i), i[1])), ONE, k, "float64")
    assert seen >= 40, seen


@pytest.mark.parametrize("name", sorted(TWO & (FUNCTIONS | set(RELATIONS))))
@pytest.mark.slow
def test_a_function_of_an_order_is_read_as_what_it_is(name):
    seen = 0
    for order, (text, inner) in itertools.product(ORDERS, ARGUMENTS.items()):
        if text in ("4/9", "pi/3"):
            continue
        for shift in (0, 1, -2):

            def build(b, i, order=order, inner=inner, shift=shift):
                return b.apply(name, b.number(sp.Rational(*order) + shift), inner(b, i))

            seen += check(build, [(0.05, 0.95), (1.05, 4.0), (-0.9, -0.1)], shift, "float64")
    assert seen >= 40, seen


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("shift", [-2, 0, 1, 5])
def test_polygamma_is_read_as_what_it_is(order, shift):
    def build(b, i):
        return b.emit("polygamma", (b.add(i[0], b.number(shift)),), order, ())

    assert check(build, [(0.1, 3.0), (2.1, 5.0)], shift, "float64")


COMPLEX = ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "pow"]


@pytest.mark.parametrize("name", COMPLEX)
def test_a_function_of_complex_values_is_read_as_what_it_is(name):
    def half(b, i):
        return b.div(i[0], b.number(2))

    arguments: list[Callable[[Builder, list[int]], int]] = [
        lambda b, i: i[0],
        lambda b, i: b.neg(i[0]),
        lambda b, i: b.mul(*i),
        lambda b, i: b.conj(i[0]),
        lambda b, i: b.mul(b.constant(1j, "complex128", exact=sp.I), i[0]),
        lambda b, i: b.integer_power(i[0], 2),
        half,
    ]
    outside = [lambda b, i: i, lambda b, i: b.conj(i), lambda b, i: b.integer_power(i, 2)]
    seen = 0
    for k, (inner, outer) in enumerate(itertools.product(arguments, outside)):

        def build(b, i, inner=inner, outer=outer):
            u = inner(b, i)
            made = b.emit("pow", (u, i[1]), None, (), "complex128") if name == "pow" else None
            return outer(b, b.apply(name, u, dtype="complex128") if made is None else made)

        seen += check(build, [(0.1, 2.0), (-2.0, -0.1)], k, "complex128")
    assert seen >= 40, seen


@pytest.mark.parametrize("part", ["real", "imag", "abs"])
def test_parts_of_complex_values_are_read_as_what_they_are(part):
    for power in (1, 2, 3):

        def build(b, i, power=power):
            u = b.mul(b.integer_power(i[0], power), i[1])
            return b.apply("abs", u, dtype="float64") if part == "abs" else b.emit(part, (u,), None, (), "float64")

        assert check(build, [(0.1, 2.0), (-2.0, -0.1)], power, "complex128")


def test_a_wrong_rule_is_found(monkeypatch):
    """A planted fault: the square root of a square is taken to be the number itself."""
    assert ball_of(2) == arb(2)

    def wrong(f: Field, u: Element) -> Element:
        content, parts = factors(f, u)
        if content == 1 and [e for _, e, _ in parts] == [2]:
            return Element(parts[0][0], f.one)
        return sqrt(f, u)

    monkeypatch.setattr("symgrad.proving.generic_entry.sqrt", wrong)
    b = Builder()
    x = b.input("x", ())
    out = b.apply("sqrt", b.integer_power(x, 2))
    steps, place = primitive(b.build({}), [x, out])
    field = Field(24)
    element = Reader(steps, field, Views(), lambda i: i, lambda i: False).entry(place[out])
    with precision(BITS[0]):
        assert Evaluated(field, {place[x]: arb(-3)}).element(element) == -3  # and not 3
