"""Residues of Programs, judged by fractions; certificates, judged by mpmath."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adjoints import adjoint

from symgrad.evaluation.modular import WIDE, tower
from symgrad.evaluation.residues import Plan, Residues, certificate
from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.program import Program, interpret

x, y = sp.symbols("x y", real=True)


def pair(left: sp.Expr, right: sp.Expr) -> tuple[Program, list[tuple[int, int]]]:
    """A Program that computes both expressions."""
    b = Builder()
    inputs = {s: b.input(str(s), ()) for s in (x, y)}
    steps = lower(b, left, dict(inputs)), lower(b, right, dict(inputs))
    return b.build({}), [steps]


def recurrence(steps: int, *, slip: bool = False) -> tuple[Program, list[tuple[int, int]]]:
    """A tanh recurrence, its hand-written backward pass and the exact adjoint; the slip is 1 - raw**2."""
    b = Builder()
    w, u, v, inp = (b.input(n, ()) for n in ("w", "u", "v", "inp"))
    hs, raws = [b.number(0)], []
    for _ in range(steps):
        raws.append(b.add(b.mul(u, inp), b.mul(w, hs[-1])))
        hs.append(b.name(b.apply("tanh", raws[-1]), "h"))
    out = b.mul(v, hs[-1])
    g, total = v, None
    for t in reversed(range(steps)):
        g = b.mul(g, b.sub(b.number(1), b.integer_power(raws[t] if slip else hs[t + 1], 2)))
        part = b.mul(g, hs[t])
        total = part if total is None else b.add(total, part)
        g = b.mul(g, w)
    exact = adjoint(b.build({}), out)
    assert total is not None
    return exact.program, [(total, exact.of[w])]


# ------------------------------------------------------------------------------------------------ fields


@given(st.fractions(max_denominator=1000), st.fractions(max_denominator=1000))
def test_rational_programs_read_as_their_value(p, q):
    b = Builder()
    s, t = b.input("s", ()), b.input("t", ())
    top = b.sub(b.mul(s, s), b.div(t, b.number(Fraction(3, 7))))
    value = b.div(b.add(top, b.constant(0.375)), b.add(b.integer_power(t, 2), b.number(1)))
    truth = (p * p - q / Fraction(3, 7) + Fraction(3, 8)) / (q**2 + 1)
    f = tower(WIDE[2])[1]
    system = Residues(f)
    read = interpret(b.build({}), system, {"s": system.exact(p), "t": system.exact(q)}, [value])[value]
    assert read == truth.numerator * pow(truth.denominator, -1, f.p) % f.p


# ------------------------------------------------------------------------------------------------ certificates

IDENTITIES = [
    (sp.exp(x + y), sp.Mul(sp.exp(x), sp.exp(y), evaluate=False)),
    (sp.exp(sp.exp(x + y)), sp.exp(sp.Mul(sp.exp(x), sp.exp(y), evaluate=False))),
    (sp.log(1 + sp.exp(x)), x + sp.log(1 + sp.exp(-x))),
    (sp.exp(sp.log(1 + x**2) / 2), sp.sqrt(1 + x**2)),
    (sp.log(sp.Mul(x, y, evaluate=False)), sp.log(x) + sp.log(y)),
    (sp.tanh(x + y), (sp.tanh(x) + sp.tanh(y)) / (1 + sp.tanh(x) * sp.tanh(y))),
    (sp.sin(x + y), sp.sin(x) * sp.cos(y) + sp.cos(x) * sp.sin(y)),
    (sp.cosh(x) ** 2 - sp.sinh(x) ** 2, sp.Integer(1)),
    (sp.sqrt(x) * sp.sqrt(y), sp.sqrt(x * y)),
    (sp.sqrt(sp.Pow(x, 2, evaluate=False), evaluate=False), sp.Abs(x)),
    (sp.Abs(x) ** y * sp.Abs(x), sp.Pow(sp.Abs(x), y + 1)),
    (sp.exp(sp.I * x), sp.cos(x) + sp.I * sp.sin(x)),
    (sp.erf(x - y), -sp.erf(y - x)),
]


@pytest.mark.parametrize(("left", "right"), IDENTITIES, ids=str)
def test_identities_are_shown(left, right):
    found = certificate(*pair(left, right))
    assert found
    assert found.error_bound < 1e-6


WRONG = [
    (sp.sqrt(sp.Pow(x, 2, evaluate=False), evaluate=False), x),
    (sp.sqrt(x**2 - 2 * x + 1), 1 - x),
    (sp.Abs(x), x),
    (sp.asin(sp.sin(x)), x),
    (sp.sin(x), sp.cos(x)),
    (sp.exp(x + y), sp.exp(x) + sp.exp(y)),
    (sp.tanh(x), sp.tanh(x) + sp.Rational(1, 10**9)),
    (sp.sqrt(x * x + 1), -sp.sqrt(x * x + 1)),
    (y * sp.sign(x), y),
    (sp.erf(x), sp.erf(-x)),
]


@pytest.mark.parametrize(("left", "right"), WRONG, ids=str)
def test_planted_errors_are_not_shown(left, right):
    points = [{x: sp.Rational(n, 10), y: sp.Rational(-7, 5)} for n in (-23, 23)]
    with mpmath.workdps(30):  # they do differ
        assert any(abs(mpmath.mpf(sp.N((left - right).subs(p), 30))) > mpmath.mpf(10) ** -12 for p in points)
    assert not certificate(*pair(left, right))


def test_logarithms_of_opposite_numbers_are_never_both_defined():
    found = certificate(*pair(sp.log(x), sp.log(-x)))
    assert found.equal is None
    assert "power of g" in found.note


@pytest.mark.parametrize("steps", [1, 2, 50, 1000])
def test_a_long_recurrence_costs_its_length(steps):
    program, pairs = recurrence(steps)
    found = certificate(program, pairs)
    assert found
    assert found.error_bound < 1e-8
    work = Plan(program.steps, list(pairs[0]), "wide", 1, 0).work
    assert work <= 3 * len(program)


@pytest.mark.parametrize("steps", [2, 50])
def test_the_tanh_slip_is_not_shown(steps):
    assert certificate(*recurrence(steps, slip=True)).equal is False


def test_wide_roots_have_residues():
    """Layer normalisation over 16 rows: 16 independent roots, which no prime field has at once."""
    b = Builder()
    a, g = b.input("a", (16, 5)), b.input("g", (16, 5))

    def mean(i):
        return b.div(b.sum(i, 1, True), b.number(5))

    centred = b.sub(a, mean(a))
    deviation = b.apply("sqrt", b.add(mean(b.integer_power(centred, 2)), b.number(Fraction(1, 10**5))))
    normal = b.div(centred, deviation)
    hand = b.div(b.sub(b.sub(g, mean(g)), b.mul(normal, mean(b.mul(g, normal)))), deviation)
    slip = b.div(b.sub(g, mean(g)), deviation)
    out = b.sum(b.mul(g, normal))
    exact = adjoint(b.build({}), out)
    assert certificate(exact.program, [(hand, exact.of[a])])
    assert certificate(exact.program, [(slip, exact.of[a])]).equal is False


@pytest.mark.parametrize("shape", [(4, 3), (60, 40)])
def test_softmax_cross_entropy(shape):
    b = Builder()
    z, t = b.input("z", shape), b.input("t", shape)
    loss = b.neg(b.sum(b.mul(t, b.emit("log_softmax", (z,), 1, shape))))
    p = b.emit("softmax", (z,), 1, shape)
    hand, slip = b.sub(b.mul(p, b.sum(t, 1, True)), t), b.sub(p, t)
    exact = adjoint(b.build({}), loss)
    assert certificate(exact.program, [(hand, exact.of[z])])
    assert not certificate(exact.program, [(slip, exact.of[z])])  # right only where each row of t sums to one


def test_matrices():
    b = Builder()
    m, g = b.input("m", (2, 3, 3)), b.input("g", (2, 3, 3))
    inverse = b.emit("inverse", (m,), None, (2, 3, 3))
    unit = b.broadcast(b.constant(np.eye(3)), (2, 3, 3))
    det = b.emit("det", (m,), None, (2,))
    det_of_inverse = b.emit("det", (inverse,), None, (2,))
    solved = b.emit("solve", (m, g), None, (2, 3, 3))
    square = b.matmul(m, b.transpose(m))
    low = b.emit("cholesky", (square,), None, (2, 3, 3))
    pairs = [(b.matmul(inverse, m), unit), (b.mul(det, det_of_inverse), b.ones((2,))), (b.matmul(m, solved), g)]
    turned, again = b.transpose(inverse), b.matmul(low, b.transpose(low))
    program = b.build({})
    for each in pairs:
        assert certificate(program, [each])
    assert not certificate(program, [(inverse, turned)])
    assert certificate(program, [(again, square)])


def test_complex_values_and_conjugates():
    b = Builder()
    z = b.input("z", (3,), "complex128")
    modulus = b.emit("real", (b.mul(z, b.conj(z)),), None, (3,), "float64")
    re, im = (b.emit(op, (z,), None, (3,), "float64") for op in ("real", "imag"))
    parts = b.add(b.mul(re, re), b.mul(im, im))
    holomorphic = b.emit("real", (b.mul(z, z),), None, (3,), "float64")
    inner, outer = b.apply("exp", b.conj(z)), b.conj(b.apply("exp", z))
    program = b.build({})
    assert certificate(program, [(modulus, parts), (inner, outer)])
    assert not certificate(program, [(modulus, holomorphic)])


def test_data_is_read_as_its_binary_value():
    b = Builder()
    s = b.input("s", (3,))
    total = b.sum(s)
    program = b.build({"total": total, "c": b.constant(0.1 + 0.2 + 0.5)})
    values = np.array([0.1, 0.2, 0.5])
    exact = sum(map(Fraction, values.tolist()))
    c = b.number(exact)
    assert certificate(b.build({}), [(total, c)], at={"s": values})
    assert not certificate(program, [(total, program.outputs["c"])], at={"s": values})  # 0.1 + 0.2 is rounded
    assert not certificate(b.build({}), [(total, c)], at={"s": values}, free=["s"])


def test_the_draws_are_seeded_and_the_work_is_bounded():
    program, pairs = recurrence(5)
    assert certificate(program, pairs, seed=3) == certificate(program, pairs, seed=3)
    assert certificate(program, pairs, seed=3).primes != certificate(program, pairs, seed=4).primes
    stopped = certificate(program, pairs, effort=10)
    assert stopped.equal is None
    assert "budget" in stopped.note


def test_what_was_only_compared_is_named():
    assert certificate(*pair(sp.erf(x) * 2, sp.erf(x) + sp.erf(x + 0 * y, evaluate=False))).oracles in ((), ("erf",))
    assert certificate(*pair(sp.erf(x - y), -sp.erf(y - x))).oracles == ("erf",)


ATOMS = st.sampled_from([x, y, sp.Integer(2), sp.Rational(1, 3)])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda e: st.one_of(
        st.tuples(e, e).map(lambda p: p[0] + p[1]),
        st.tuples(e, e).map(lambda p: p[0] * p[1]),
        st.tuples(e, st.sampled_from([sp.exp, sp.tanh, sp.sin, lambda u: 1 / (1 + u**2)])).map(lambda p: p[1](p[0])),
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(EXPRESSIONS)
def test_rewriting_is_shown_and_adding_is_not(e):
    assert certificate(*pair(e, sp.expand(e)))
    assert certificate(*pair(e, sp.together(e)))
    assert not certificate(*pair(e, sp.expand(e) + sp.Rational(1, 10**6)))
