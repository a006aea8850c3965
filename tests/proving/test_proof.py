"""Proofs: identities that must be proved, and planted errors that must never be, judged by mpmath and by torch."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adjoints import adjoint
from support.certificates import checked

from symgrad.evaluation.floats import Floats
from symgrad.ops.scalars import OPS, X, Y
from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.program import Program, interpret, size
from symgrad.proving.proof import Link, prove, prove_all

x, y = sp.symbols("x y", real=True)
Goal = tuple[Program, int, int]


def raw(head, *arguments):
    """A SymPy expression that is left as it is written."""
    return head(*arguments, evaluate=False)


def goal(left: sp.Expr, right: sp.Expr) -> Goal:
    b = Builder()
    inputs = {s: b.input(str(s), ()) for s in (x, y)}
    i, j = lower(b, sp.sympify(left), dict(inputs)), lower(b, sp.sympify(right), dict(inputs))
    return b.build({}), i, j


def proved(program: Program, i: int, j: int) -> bool:
    """Whether there is a proof; each proof found is also checked, by rules that share nothing with the search."""
    proof = prove(program, i, j)
    assert proof is None or (found := checked(proof)).accepted or found.uncovered, found
    return proof is not None


# ------------------------------------------------------------------------------------------------ scalar formulas

IDENTITIES = [
    (sp.exp(x + y), raw(sp.Mul, sp.exp(x), sp.exp(y))),
    (sp.exp(x / 2) ** 2, sp.exp(x / 3) ** 3),
    (sp.cosh(x) ** 2 - sp.sinh(x) ** 2, 1),
    (sp.tanh(x + y), (sp.tanh(x) + sp.tanh(y)) / (1 + sp.tanh(x) * sp.tanh(y))),
    (1 / (1 + sp.exp(-x)), (1 + sp.tanh(x / 2)) / 2),
    (sp.sin(x + y), sp.sin(x) * sp.cos(y) + sp.cos(x) * sp.sin(y)),
    (sp.cos(3 * x), 4 * sp.cos(x) ** 3 - 3 * sp.cos(x)),
    (sp.exp(sp.I * x), sp.cos(x) + sp.I * sp.sin(x)),
    (sp.log(1 + sp.exp(x)), x + sp.log(1 + sp.exp(-x))),
    (sp.log(raw(sp.Mul, 12, sp.exp(x))), x + 2 * sp.log(2) + sp.log(3)),
    (sp.log((1 + y**2) * (1 + sp.exp(x))), sp.log(1 + y**2) + sp.log(1 + sp.exp(x))),
    (sp.exp(sp.log(1 + x**2) / 2), sp.sqrt(1 + x**2)),
    (raw(sp.sqrt, x**2), sp.Abs(x)),
    (sp.sqrt(8 * sp.exp(x)), 2 * sp.sqrt(2) * sp.exp(x / 2)),
    (1 / (sp.sqrt(x) + 1), (sp.sqrt(x) - 1) / (x - 1)),
    (sp.sqrt(x * y) ** 2, x * y),
    (sp.Abs(x * y), sp.Abs(x) * sp.Abs(y)),
    (raw(sp.Abs, sp.sqrt(x)), sp.sqrt(x)),
    (x**y * x, raw(sp.Pow, x, y + 1)),
    (raw(sp.Pow, x, sp.Rational(5, 3)), x * x ** sp.Rational(2, 3)),
    (sp.erf(x - y), -sp.erf(y - x)),
    (sp.diff(sp.log(sp.log(x)), x), 1 / (x * sp.log(x))),
]


@pytest.mark.parametrize(("left", "right"), IDENTITIES, ids=str)
def test_identities(left, right):
    assert proved(*goal(left, right))


# Each differs at a real point where both sides are defined.
WRONG = [
    (raw(sp.sqrt, x**2), x),
    (sp.sqrt(x**2 - 2 * x + 1), 1 - x),
    ((x**4) ** sp.Rational(1, 4), x),
    (sp.log(sp.Abs(x)), sp.log(sp.Abs(y))),
    (sp.log(raw(sp.Mul, x, y) ** 2), 2 * sp.log(sp.Abs(x)) + sp.log(sp.Abs(y))),
    (sp.asin(sp.sin(x)), x),
    (sp.atan(sp.tan(x)), x),
    (sp.Abs(x), x),
    (y * sp.sign(x), y),
    (sp.sin(x), sp.cos(x)),
    (sp.sin(2 * x), 2 * sp.sin(x)),
    (sp.exp(x + y), sp.exp(x) + sp.exp(y)),
    (sp.exp(x * y), sp.exp(x) * sp.exp(y)),
    (sp.tanh(x), x),
    (sp.tanh(x), sp.tanh(x) + sp.Rational(1, 10**20)),
    (sp.erf(x), sp.erf(-x)),
    (sp.sqrt(x * x + 1), -sp.sqrt(x * x + 1)),
    (sp.sqrt(x * x + y * y), x + y),
    (1 - sp.tanh(x) ** 2, 1 - x**2),
    (sp.log(1 + sp.exp(x)), x),
    (sp.pi, sp.Rational(355, 113)),
]


@pytest.mark.parametrize(("left", "right"), WRONG, ids=str)
def test_planted_errors_are_not_proved(left, right):
    points = [{x: sp.Rational(a, 7), y: sp.Rational(b, 5)} for a in (-23, 23) for b in (-4, 9)]
    with mpmath.workdps(40):
        gaps = [mpmath.mpmathify(sp.N(sp.sympify(left - right).subs(p), 40)) for p in points]
    assert any(mpmath.im(g) == 0 and abs(g) > mpmath.mpf(10) ** -25 for g in gaps)
    assert not proved(*goal(left, right))


# True where both sides are defined, which is less than where the left side is: the proof says so.
NARROWER = [
    (raw(sp.log, x**2), 2 * sp.log(x), ["is positive"]),
    (raw(sp.log, x * y), sp.log(x) + sp.log(y), ["is positive"]),
    (sp.log(sp.Abs(x)), sp.log(x), ["is positive"]),
    (sp.sqrt(1 - x**2), sp.sqrt(1 - x) * sp.sqrt(1 + x), ["is not negative"]),
]


# At x = 0 the root is defined whatever the sign of y, and there the two differ.
VANISHING = [
    (sp.Abs(y) + sp.sqrt(x**2 * y), y + sp.sqrt(x**2 * y), "is positive"),
    (sp.sign(y) + sp.sqrt((x - 1) ** 2 * y), 1 + sp.sqrt((x - 1) ** 2 * y), "is positive"),
    (sp.Abs(y) + sp.asin(x**2 * y - 1), y + sp.asin(x**2 * y - 1), "is strictly between -1 and 1"),
]


@pytest.mark.parametrize(("left", "right", "what"), VANISHING, ids=str)
def test_a_sign_that_a_vanishing_factor_hides_is_not_learned_there(left, right, what):
    gap = (left - right).subs({x: 0 if "x - 1" not in str(left) else 1, y: -1})
    assert gap != 0  # both sides are defined there, and differ
    program, i, j = goal(left, right)
    proof = prove(program, i, j)
    assert proof is not None
    assert what in {c.what for c in proof.conditions}
    assert "is not negative" not in {c.what for c in proof.conditions}


@pytest.mark.parametrize(("left", "right", "what"), NARROWER, ids=str)
def test_a_proof_on_a_narrower_domain_says_so(left, right, what):
    program, i, j = goal(left, right)
    proof = prove(program, i, j)
    assert proof is not None
    assert {c.what for c in proof.conditions} >= set(what)


# Defined together nowhere: nothing is claimed.
NOWHERE = [(sp.log(x), sp.log(-x)), (sp.sqrt(x) * sp.sqrt(-1 - x), sp.S.Zero), (sp.sqrt(-1 - x**2), sp.S.One)]


@pytest.mark.parametrize(("left", "right"), NOWHERE, ids=str)
def test_nothing_is_proved_where_nothing_is_defined(left, right):
    assert not proved(*goal(left, right))


def test_conditions_say_where_it_holds():
    b = Builder()
    s = b.input("s", ())
    product = b.mul(b.number(0), b.apply("log", s))
    quotient = b.div(b.mul(s, s), s)
    zero = b.number(0)
    program = b.build({})
    nothing, cancelled = prove(program, product, zero), prove(program, quotient, s)
    assert nothing is not None
    assert cancelled is not None
    assert [str(c) for c in nothing.conditions] == [f"%{s} is positive"]
    assert [str(c) for c in cancelled.conditions] == [f"%{s} is not zero"]
    assert str(cancelled).splitlines()[0] == f"%{quotient} = %{s}"


@pytest.mark.parametrize(
    "name", ["gelu_tanh", "gelu", "silu", "mish", "softplus", "logsigmoid", "erfcx", "logit", "tan"]
)
@pytest.mark.slow
def test_rows_against_simplified_derivatives(name):
    b = Builder()
    s = b.input("s", ())
    out = b.apply(name, s)
    hand = lower(b, sp.simplify(sp.diff(OPS[name].exact, X)), {X: s})
    wrong = lower(b, sp.simplify(sp.diff(OPS[name].exact, X)) + X / 10**6, {X: s})
    exact = adjoint(b.build({}), out)
    assert proved(exact.program, hand, exact.of[s])
    assert not proved(exact.program, wrong, exact.of[s])


def test_two_arguments():
    b = Builder()
    s, t = b.input("s", ()), b.input("t", ())
    out = b.apply("logaddexp", s, t)
    hand = lower(b, 1 / (1 + sp.exp(Y - X)), {X: s, Y: t})
    exact = adjoint(b.build({}), out)
    assert proved(exact.program, hand, exact.of[s])
    assert not proved(exact.program, hand, exact.of[t])


# ------------------------------------------------------------------------------------------------ recurrences


def recurrence(steps: int, hand: str) -> Goal:
    """dL/dw of h = tanh(u x + w h_before) by hand: backward, forward, backward added up in the other order, or with
    the slip 1 - raw**2."""
    b = Builder()
    w, u, v, inp = (b.input(n, ()) for n in ("w", "u", "v", "inp"))
    hs, raws = [b.number(0)], []
    for _ in range(steps):
        raws.append(b.add(b.mul(u, inp), b.mul(w, hs[-1])))
        hs.append(b.name(b.apply("tanh", raws[-1]), "h"))
    out = b.mul(v, hs[-1])
    if hand == "forward":
        slope = b.number(0)
        for t in range(steps):
            before = b.add(hs[t], b.mul(w, slope))
            slope = b.name(b.mul(b.sub(b.number(1), b.mul(hs[t + 1], hs[t + 1])), before), "dh")
        total = b.mul(v, slope)
    else:
        g, parts = v, []
        for t in reversed(range(steps)):
            inner = raws[t] if hand == "slip" else hs[t + 1]
            g = b.name(b.mul(b.sub(b.number(1), b.integer_power(inner, 2)), g), "dh")
            parts.append(b.mul(g, hs[t]))
            g = b.mul(g, w)
        total = b.number(0)
        for part in parts if hand == "backward" else reversed(parts):
            total = b.add(total, part)
    exact = adjoint(b.build({}), out)
    return exact.program, total, exact.of[w]


@pytest.mark.parametrize("hand", ["backward", "forward", "other order"])
@pytest.mark.parametrize("steps", [2, 5, 50])
def test_recurrences(steps, hand):
    assert proved(*recurrence(steps, hand))


@pytest.mark.parametrize("steps", [2, 50])
def test_the_tanh_slip_is_not_proved(steps):
    assert not proved(*recurrence(steps, "slip"))


def test_the_work_of_a_long_recurrence_is_linear():
    from symgrad.proving.congruence import Equalities

    spent = []
    for steps in (100, 300):
        program, i, j = recurrence(steps, "other order")
        known = Equalities(program, (i, j), 10**9)
        known.close({})
        if not known.settle(i, j):
            known.sweep()
            assert known.settle(i, j, last=True)
        spent.append(10**9 - known.effort)
    assert spent[1] < 4 * spent[0]


@pytest.mark.slow
def test_a_recurrence_of_matrices():
    n, d, m = 4, 3, 2
    b = Builder()
    w, u = b.input("W", (d, d)), b.input("U", (m, d))
    xs = [b.input(f"x{t}", (n, m)) for t in range(6)]
    hs = [b.zeros((n, d))]
    for step in xs:
        hs.append(b.apply("tanh", b.add(b.matmul(step, u), b.matmul(hs[-1], w))))
    loss = b.sum(b.mul(hs[-1], hs[-1]))
    g, dw, du, slip = b.mul(b.number(2), hs[-1]), b.zeros((d, d)), b.zeros((m, d)), b.zeros((d, d))
    for t in reversed(range(6)):
        delta = b.mul(g, b.sub(b.number(1), b.integer_power(hs[t + 1], 2)))
        dw = b.add(dw, b.matmul(b.transpose(hs[t]), delta))
        slip = b.add(slip, b.matmul(b.transpose(delta), hs[t]))
        du = b.add(du, b.transpose(b.matmul(b.transpose(delta), xs[t])))
        g = b.transpose(b.matmul(w, b.transpose(delta)))
    exact = adjoint(b.build({}), loss)
    assert all(prove_all(exact.program, [(dw, exact.of[w]), (du, exact.of[u])]))
    assert not proved(exact.program, slip, exact.of[w])


# ------------------------------------------------------------------------------------------------ whole tensors


@pytest.mark.parametrize("shape", [(10, 3), (256, 64)])
def test_the_sigmoid_net(shape):
    """f = sum_k w_k sigmoid((U x)_k) / sqrt(10); by hand x_N w_k e^-z / (1 + e^-z)^2 / sqrt(10)."""
    m, d = shape
    b = Builder()
    u, w, inp = b.input("U", shape), b.input("w", (m,)), b.input("x", (d,))
    z = b.matmul(u, inp)
    root = b.constant(np.sqrt(10.0), exact=sp.sqrt(10))
    out = b.div(b.sum(b.mul(w, b.apply("sigmoid", z))), root)

    def by_hand(power):
        e = b.apply("exp", b.neg(z))
        slope = b.div(e, b.integer_power(b.add(b.number(1), e), power))
        outer = b.mul(b.broadcast(b.reshape(inp, (1, d)), shape), b.reshape(b.mul(w, slope), (m, 1)))
        return b.div(outer, root)

    hand, slip = by_hand(2), by_hand(3)
    exact = adjoint(b.build({}), out)
    assert proved(exact.program, hand, exact.of[u])
    assert not proved(exact.program, slip, exact.of[u])


@pytest.mark.parametrize("shape", [(3, 4), pytest.param((64, 20), marks=pytest.mark.slow)])
@pytest.mark.parametrize("log_first", [True, False])
def test_softmax_cross_entropy(shape, log_first):
    n, _ = shape
    b = Builder()
    z, t = b.input("z", shape), b.input("t", shape)
    p = b.emit("softmax", (z,), 1, shape)
    log_p = b.emit("log_softmax", (z,), 1, shape) if log_first else b.apply("log", p)
    loss = b.neg(b.div(b.sum(b.mul(t, log_p)), b.number(n)))
    hand = b.div(b.sub(b.mul(p, b.sum(t, 1, True)), t), b.number(n))
    slip = b.div(b.sub(p, t), b.number(n))
    exact = adjoint(b.build({}), loss)
    assert proved(exact.program, hand, exact.of[z])
    assert not proved(exact.program, slip, exact.of[z])


@pytest.mark.parametrize("shape", [(3, 4), (64, 32)])
def test_layer_normalisation(shape):
    _, d = shape
    b = Builder()
    a, g = b.input("a", shape), b.input("g", shape)

    def mean(i):
        return b.div(b.sum(i, 1, True), b.number(d))

    centred = b.sub(a, mean(a))
    deviation = b.apply("sqrt", b.add(mean(b.integer_power(centred, 2)), b.number(Fraction(1, 10**5))))
    normal = b.div(centred, deviation)
    loss = b.sum(b.mul(g, normal))
    hand = b.div(b.sub(b.sub(g, mean(g)), b.mul(normal, mean(b.mul(g, normal)))), deviation)
    slip = b.div(b.sub(g, b.mul(normal, mean(b.mul(g, normal)))), deviation)
    exact = adjoint(b.build({}), loss)
    assert proved(exact.program, hand, exact.of[a])
    assert not proved(exact.program, slip, exact.of[a])


def test_attention():
    n, d = 5, 3
    b = Builder()
    q, k, v, g = (b.input(name, (n, d)) for name in "QKVG")
    scale = b.number(sp.sqrt(d))
    a = b.emit("softmax", (b.div(b.matmul(q, b.transpose(k)), scale),), 1, (n, n))
    loss = b.sum(b.mul(b.matmul(a, v), g))
    da = b.matmul(g, b.transpose(v))
    ds = b.mul(a, b.sub(da, b.sum(b.mul(da, a), 1, True)))
    dq, dk = b.div(b.matmul(ds, k), scale), b.div(b.matmul(b.transpose(ds), q), scale)
    dv, slip = b.matmul(b.transpose(a), g), b.div(b.matmul(ds, q), scale)
    exact = adjoint(b.build({}), loss)
    assert all(prove_all(exact.program, [(dq, exact.of[q]), (dk, exact.of[k]), (dv, exact.of[v])]))
    assert not proved(exact.program, slip, exact.of[k])


@pytest.mark.parametrize("n", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_products_of_matrices(n):
    """Small ones are proved by their terms, large ones as a whole."""
    b = Builder()
    s, t = b.input("S", (n, n)), b.input("T", (n, n))
    turned = b.transpose(b.matmul(s, t))
    same, other = b.matmul(b.transpose(t), b.transpose(s)), b.matmul(b.transpose(s), b.transpose(t))
    twice = b.matmul(b.mul(b.number(2), s), t)
    doubled = b.mul(b.number(2), b.matmul(s, t))
    program = b.build({})
    assert proved(program, turned, same)
    assert proved(program, twice, doubled)
    assert not proved(program, turned, other)


def test_complex_gradients():
    b = Builder()
    z = b.input("z", (3,), "complex128")
    modulus = b.apply("abs", z, dtype="float64")
    loss = b.sum(modulus)
    hand, slip = b.div(z, b.cast(modulus, "complex128")), b.div(b.conj(z), b.cast(modulus, "complex128"))
    exact = adjoint(b.build({}), loss)
    assert proved(exact.program, hand, exact.of[z])
    assert not proved(exact.program, slip, exact.of[z])


# ------------------------------------------------------------------------------------------------ proofs as data


def test_a_changed_proof_is_rejected():
    program, i, j = recurrence(5, "other order")
    proof = prove(program, i, j)
    assert proof is not None
    assert checked(proof).accepted
    assert hash(proof) == hash(replace(proof))
    assert checked(replace(proof, links=())).rejected is not None
    false = Link("field", 0, max(link.right for link in proof.links))
    assert checked(replace(proof, links=(*proof.links, false))).rejected is not None
    wrong, k, m = recurrence(5, "slip")
    assert checked(replace(proof, program=wrong, left=k, right=m, roots=(k, m))).rejected is not None


def test_little_work_proves_little():
    program, i, j = recurrence(50, "other order")
    assert prove(program, i, j, effort=5) is None
    assert prove(program, i, i, effort=5) is not None


def test_different_shapes_are_different():
    b = Builder()
    s = b.input("s", (2, 3))
    turned = b.transpose(s)
    assert prove(b.build({}), s, turned) is None


@pytest.mark.slow
def test_deep_programs_do_not_recurse():
    b = Builder()
    s = i = b.input("s", ())
    for _ in range(5000):
        i = b.apply("tanh", i)
    j = b.apply("tanh", b.mul(b.number(2), i))
    k = b.apply("tanh", b.add(i, i))
    program = b.build({})
    assert proved(program, j, k)
    assert not proved(program, j, s)


# ------------------------------------------------------------------------------------------------ at random


def _draw(r: random.Random, depth: int) -> sp.Expr:
    if not depth:
        return r.choice([x, y, sp.Integer(r.randint(-3, 3)), sp.Rational(r.randint(1, 5), r.randint(1, 4))])
    a = _draw(r, depth - 1)
    match r.randrange(14):
        case 0 | 1 | 2:
            return a + _draw(r, depth - 1)
        case 3 | 4 | 5:
            return a * _draw(r, depth - 1)
        case 6:
            return a ** r.choice([2, 3, -1, -2])
    functions = [sp.exp, sp.tanh, sp.sqrt, sp.log, sp.Abs, sp.sin, sp.cos, sp.sign, sp.erf, lambda u: u**y]
    return r.choice(functions)(a)


def _as_if_positive(rewrite):
    p, q = sp.symbols("p q", positive=True)
    return lambda e: rewrite(e.subs({x: p, y: q})).subs({p: x, q: y})


REWRITES = [
    sp.expand,
    sp.together,
    sp.factor,
    lambda e: e.subs(x, -x),
    lambda e: e.subs(sp.Abs(x), x),
    lambda e: sp.powdenest(e, force=True),
    _as_if_positive(sp.powsimp),
    _as_if_positive(lambda e: sp.expand_log(e, force=True)),
    _as_if_positive(lambda e: sp.logcombine(e, force=True)),
]


def _real(e: sp.Expr, point: dict) -> mpmath.mpf | None:
    """The value at a point where every sub-expression is real and finite, else None."""
    for part in sp.postorder_traversal(e):
        try:
            value = mpmath.mpmathify(sp.lambdify([x, y], part, "mpmath")(point[x], point[y]))
        except (ValueError, ZeroDivisionError, OverflowError):
            return None
        if mpmath.im(value) != 0 or not mpmath.isfinite(value):
            return None
    return mpmath.re(value)


@settings(max_examples=120, derandomize=True)
@given(st.integers(0, 10**9))
@pytest.mark.slow
def test_what_is_proved_is_true(seed):
    """SymPy's rewriting, half of it right for positive numbers only: no proof may contradict mpmath."""
    r = random.Random(seed)
    left = _draw(r, r.randint(1, 3))
    right = r.choice(REWRITES)(left)
    if any(e.has(sp.zoo, sp.nan, sp.oo, sp.I) for e in (left, right)) or not proved(*goal(left, right)):
        return
    with mpmath.workdps(40):
        for _ in range(4):
            point = {x: mpmath.mpf(r.randint(-300, 300)) / 97, y: mpmath.mpf(r.randint(-300, 300)) / 89}
            a, b = _real(left, point), _real(right, point)
            assert a is None or b is None or abs(a - b) <= mpmath.mpf(10) ** -25 * (1 + abs(a))


def _drawn_step(b: Builder, r: random.Random, pool: dict) -> int:
    square = (2, 2)
    shape = r.choice([square, square, (2,), ()])
    n, one, two = size(shape), r.choice(pool[shape]), r.choice(pool[shape])
    m, k = r.choice(pool[square]), r.choice(pool[2,])
    choices = [
        lambda: b.add(one, two),
        lambda: b.mul(one, two),
        lambda: b.mul(one, r.choice(pool[()])),
        lambda: b.neg(one),
        lambda: b.matmul(m, r.choice([k, r.choice(pool[square])])),
        lambda: b.transpose(m),
        lambda: b.sum(m, r.choice([0, 1, None])),
        lambda: b.broadcast(k, square),
        lambda: b.broadcast(b.reshape(k, (2, 1)), square),
        lambda: b.pick([one], np.array([r.randint(0, n) for _ in range(n)]), shape),
        lambda: b.pick([one, two], np.array([r.randint(1, 2 * n) for _ in range(n)]), shape),
        lambda: b.scatter(one, np.array([r.randint(0, n) for _ in range(n)]), shape),
        lambda: b.apply(r.choice(["tanh", "exp", "sigmoid", "sin", "abs", "square"]), one),
    ]
    return r.choice(choices)()


def _tensors(r: random.Random) -> Program:
    """A random Program on 2 x 2 matrices: layouts, sums, products, arithmetic, functions."""
    b = Builder()
    square, row = (2, 2), (2,)
    pool = {square: [b.input("A", square), b.input("B", square)], row: [b.input("u", row)], (): [b.input("s", ())]}
    pool[row].append(b.constant(np.array([1.0, 2.0])))
    for _ in range(r.randint(8, 36)):
        made = _drawn_step(b, r, pool)
        pool.setdefault(b.shape(made), []).append(made)
    program = b.build({})
    outs = [i for i in range(len(program)) if not program.shape(i)]
    return adjoint(program, r.choice(outs)).program if r.random() < 0.5 else program


@settings(max_examples=60, derandomize=True)
@given(st.integers(0, 10**9))
@pytest.mark.slow
def test_steps_that_differ_in_floats_are_not_proved_equal(seed):
    r = random.Random(seed)
    program = _tensors(r)
    draw = torch.Generator().manual_seed(seed)
    runs = []
    for shift in (0.0, 1.0):
        point = {
            name: 2 * torch.rand(program.shape(i), dtype=torch.float64, generator=draw) - shift
            for name, i in program.inputs.items()
        }
        runs.append(interpret(program, Floats(), point, range(len(program))))

    def differ(i, j):
        return any(not torch.allclose(v[i], v[j], rtol=1e-9, atol=1e-9) for v in runs)

    def known(i):
        return all(torch.isfinite(v[i]).all() for v in runs)

    pairs = [(i, j) for i, j in itertools.combinations(range(len(program)), 2) if program.shape(i) == program.shape(j)]
    wrong = [(i, j) for i, j in pairs if known(i) and known(j) and differ(i, j)]
    for i, j in r.sample(wrong, min(6, len(wrong))):
        assert prove(program, i, j) is None
