"""The table of scalar functions, row by row: every column against mpmath and torch.

Truth is mpmath's reading of the row's exact column at 400 digits.  The balls of a row must contain it; the float
kernels must err by no more than the row says; derivatives are compared with mpmath's difference quotients, kinks
with one-sided slopes.  The checks are functions of a row, so that a row with a planted error can be shown to fail.
"""

from __future__ import annotations

import dataclasses
import functools

import mpmath
import numpy as np
import pytest
import sympy as sp
import torch
from flint import acb, arb
from support.adjoints import adjoint
from support.measure_ulps import DTYPES, errors, exact, inside, one_step, sample

from symgrad.errors import BadInput
from symgrad.evaluation.balls import Balls, ball_of, binary
from symgrad.evaluation.floats import Floats
from symgrad.ops import scalars
from symgrad.ops.row import Op, X, Y, precision
from symgrad.ops.scalars import OPS, define, find
from symgrad.ops.special import SPECIAL
from symgrad.program.builder import Builder
from symgrad.program.derivative import local_derivative
from symgrad.program.program import interpret
from symgrad.program.selection import select

DIGITS = 400
TINY = mpmath.mpf(10) ** -300
ROWS = tuple(op for op in OPS.values() if op not in SPECIAL)  # those have tests of their own
BRANCHING = tuple(op for op in ROWS if op.branches)
every_row = pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)

# Rows whose domain is smaller than where the formula is real, and why.
NARROWER = {
    "gamma": "the poles at 0, -1, -2, ... are kept out with everything left of zero",
    "digamma": "likewise",
    "lgamma": "log|gamma| left of zero is torch's reading, not SymPy's",
    "celu": "torch's alpha; exp(x/alpha) grows when it is negative",
    "softshrink": "torch refuses a negative threshold",
    "hardshrink": "likewise",
}


@functools.cache
def meaning(expression):
    """SymPy's expression as an mpmath function of x and y."""
    return sp.lambdify((X, Y), expression, "mpmath")


def truth(op, point):
    return meaning(op.exact)(mpmath.mpf(point[0]), mpmath.mpf(point[-1]))


def as_mpf(ball):
    man, exp = ball.mid().man_exp()
    return mpmath.ldexp(mpmath.mpf(int(man)), int(exp))


def radius(ball):
    return as_mpf(ball.rad())


def encloses(ball, value):
    """Whether the ball contains the value; mpmath's own last digits, 10**-300, are forgiven."""
    return ball.is_finite() and abs(value - as_mpf(ball)) <= radius(ball) + TINY * (1 + abs(value))


def points(op, n=20, seed=1):
    return list(zip(*(column.tolist() for column in sample(op, n, seed=seed)), strict=True))


def columns(pairs):
    return [np.array(column) for column in zip(*pairs, strict=True)]


def ball_at(op, pairs):
    """The row's ball: its own column where it has one, otherwise composed."""
    if op.ball is not None:
        return [op.ball(*(ball_of(x) for x in point)) for point in pairs]
    return list(exact(op, columns(pairs)))


# ------------------------------------------------------------------------------------------------ values


def check_values(op: Op) -> None:
    """Balls enclose mpmath's value tightly; torch's float64 kernel errs by no more than the row says."""
    pairs = points(op)
    with mpmath.workdps(DIGITS), precision(200):
        for point, ball in zip(pairs, ball_at(op, pairs), strict=True):
            value = truth(op, point)
            assert encloses(ball, value), (op.name, point, ball, value)
            assert radius(ball) <= mpmath.ldexp(max(1, abs(value)), -150), (op.name, point, ball)
    assert errors(op, op.torch, torch.float64, columns(pairs)).max() <= op.ulps


@every_row
def test_values(op):
    check_values(op)


@every_row
def test_kernels_err_by_no_more_than_the_row_says(op):
    for dtype in DTYPES:
        n = 2000 if dtype in (torch.float32, torch.float64) else 300
        try:
            found = errors(op, op.torch, dtype, sample(op, n, dtype, seed=2))
        except NotImplementedError:  # torch has no such kernel
            assert dtype in (torch.float16, torch.bfloat16)
            continue
        assert found.max() <= op.ulps


@every_row
def test_written_out_means_the_same(op):
    """The simpler rows that ``written`` gives are the function that ``exact`` gives."""
    if op.written is not None:
        with mpmath.workdps(DIGITS):
            for point in points(op, seed=3):
                x, y = mpmath.mpf(point[0]), mpmath.mpf(point[-1])
                assert abs(meaning(op.written)(x, y) - truth(op, point)) <= TINY * (1 + abs(truth(op, point)))


# ------------------------------------------------------------------------------------------------ derivatives


def derivative_programs(op, pairs, order):
    """For each argument, the Program of d^order op / d argument at many points, and its output."""
    cols = columns(pairs)
    shape = cols[0].shape
    for k in range(op.arity):
        b = Builder()
        steps = [b.input(name, shape) for name in ("X", "Y")[: op.arity]]
        out = select(b, op.name, steps, cols) if op.branches else b.apply(op.name, *steps)
        program = b.build({"value": out})
        for _ in range(order):
            whole = adjoint(program, program.output, wrt=[steps[k]])
            if steps[k] not in whole.of:
                program = None
                break
            program = whole.program.with_outputs({"value": whole.of[steps[k]]})
        yield k, program


def check_derivatives(op: Op, order: int = 1, n: int = 12) -> None:
    pairs = points(op, n, seed=4)
    with mpmath.workdps(150):
        for k, program in derivative_programs(op, pairs, order):
            if program is None:  # the branches taken do not use this argument
                balls = [arb(0)] * n
            else:
                inputs = dict(zip(("X", "Y"), map(binary, columns(pairs))))
                with precision(800):
                    balls = list(interpret(program, Balls(), inputs)[program.output])
            for point, ball in zip(pairs, balls, strict=True):
                at = [mpmath.mpf(x) for x in (point[0], point[-1])]

                def moved(t, k=k, at=at):
                    return meaning(op.exact)(*(t if i == k else v for i, v in enumerate(at)))

                slope = mpmath.diff(moved, at[k], order)
                assert ball.is_finite(), (op.name, point)
                assert abs(as_mpf(ball) - slope) <= mpmath.mpf(10) ** -50 * (1 + abs(slope)), (op.name, point)
                assert radius(ball) <= mpmath.mpf(10) ** -50 * (1 + abs(slope))


@every_row
def test_first_derivatives_against_mpmath(op):
    check_derivatives(op)


@every_row
def test_the_table_is_closed_under_differentiation(op):
    """The second derivative is steps of the table too, and right."""
    check_derivatives(op, order=2, n=5)


@every_row
def test_first_derivatives_in_float64_against_autograd(op):
    pairs = [p for p in points(op, 60, seed=5) if all(1e-3 < abs(x) < 8 for x in p)]
    leaves = [torch.tensor(c, requires_grad=True) for c in columns(pairs)]
    if op.name == "heaviside":
        with pytest.raises(RuntimeError, match="not implemented"):  # torch has no derivative for it
            op.torch(*leaves).sum().backward()
        return
    grads = torch.autograd.grad(op.torch(*leaves).sum(), leaves, allow_unused=True, materialize_grads=True)
    for k, program in derivative_programs(op, pairs, 1):
        inputs = {name: leaf.detach() for name, leaf in zip(("X", "Y"), leaves)}
        ours = torch.zeros(len(pairs)) if program is None else interpret(program, Floats(), inputs)[program.output]
        # two float computations that both cancel; the tight comparison is with mpmath, above
        scale = 1 + ours.abs().double()
        assert float(((ours - grads[k]).abs() / scale).max()) <= (4e-8 if op.name == "hardsigmoid" else 1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_polygamma(order):
    b = Builder()
    x = b.input("X", (4,))
    program = b.build({"value": b.apply("polygamma", x, params=order)})
    whole = adjoint(program, program.output)
    at = np.array([0.25, 1.0, 3.5, 20.0])
    with mpmath.workdps(60), precision(250):
        found = interpret(whole.program, Balls(), {"X": binary(at)}, [program.output, whole.of[x]])
        for k, point in enumerate(at.tolist()):
            for step, n in ((program.output, order), (whole.of[x], order + 1)):
                assert abs(as_mpf(found[step][k]) - mpmath.polygamma(n, point)) < mpmath.mpf(10) ** -45
    floats = interpret(program, Floats(), {"X": torch.tensor(at)})[program.output]
    assert torch.allclose(floats, torch.polygamma(order, torch.tensor(at)), rtol=0, atol=0)


# ------------------------------------------------------------------------------------------------ kinks and domains

SECOND = (0.75, -2.0)  # values of the second argument
CANDIDATES = (-6, -3, -2, -1, -0.75, 0, 0.75, 1, 2, 3, 6)


def vanishes(op, point):
    return any(k.subs(dict(zip((X, Y), map(sp.Rational, point)))) == 0 for k in op.kinks)


def bends(op, point):
    """Whether the one-sided slopes in the first argument differ, or are infinite, or are not real."""
    x, y = mpmath.mpf(point[0]), mpmath.mpf(point[-1])
    f = lambda t: meaning(op.exact)(t, y)  # noqa: E731
    h = mpmath.mpf(10) ** -100
    left, right, nearer = ((f(x + s) - f(x)) / s for s in (-h, h, h * h))
    small = mpmath.mpf(10) ** -30 * (1 + abs(right))
    return any(abs(v) > small for v in (mpmath.im(left), mpmath.im(right), left - right, nearer - right))


def check_kinks(op: Op) -> None:
    with mpmath.workdps(DIGITS):
        seen = False
        for y in SECOND if op.arity == 2 else SECOND[:1]:
            for x in CANDIDATES:
                point = (float(x), y)[: op.arity]
                if not inside(op, [np.array(v) for v in point]):
                    continue
                kink = vanishes(op, point)
                assert bends(op, point) == kink, (op.name, point, "kink" if kink else "no kink")
                seen = seen or kink
        assert seen == bool(op.kinks), op.name
        for point in points(op, seed=6):
            assert vanishes(op, point) == bends(op, point) == False, (op.name, point)  # noqa: E712


@every_row
@pytest.mark.slow
def test_kinks_are_where_the_slopes_differ(op):
    check_kinks(op)


@every_row
def test_domains(op):
    rng = np.random.default_rng(7)
    drawn = [np.where(rng.random(200) < 0.5, rng.uniform(-9, 9, 200), rng.uniform(-1.5, 1.5, 200)) for _ in "xy"]
    drawn = drawn[: op.arity]
    keep = inside(op, drawn)
    with mpmath.workdps(60):
        for point, within in zip(zip(*drawn, strict=True), keep.tolist(), strict=True):
            try:
                value = truth(op, point)
            except (ValueError, ZeroDivisionError):
                value = mpmath.nan
            real = mpmath.im(value) == 0 and mpmath.isfinite(value)
            if op.name not in NARROWER or within:
                assert real == within, (op.name, point, value)
    if op.name in ("sqrt", "log", "asin", "acosh", "logit", "xlogy"):
        assert not keep.all()  # something was outside


# ------------------------------------------------------------------------------------------------ the checks check


def planted(name, **changes):
    return dataclasses.replace(OPS[name], **changes)


@pytest.mark.parametrize(
    ("check", "op"),
    [
        (check_values, planted("tanh", torch=torch.sigmoid)),
        (check_values, planted("tanh", torch=lambda x: torch.tanh(x) * (1 + 2.0**-48))),
        (check_values, planted("exp", ball=lambda x: x.exp() * (1 + arb(2) ** -140))),
        (check_values, planted("exp", ball=lambda x: arb(x.exp(), 1))),
        (check_values, planted("sin", exact=sp.cos(X))),
        (check_derivatives, planted("sin", exact=sp.sin(X) + X / 10**40)),
        (check_kinks, planted("relu", kinks=())),
        (check_kinks, planted("hardtanh", kinks=(X + 1,))),
        (check_kinks, planted("exp", kinks=(X,))),
        (test_domains, planted("log", domain=sp.true)),
        (test_domains, planted("sqrt", domain=X > 1)),
    ],
)
def test_a_wrong_row_fails(check, op):
    with pytest.raises(AssertionError):
        check(op)


# ------------------------------------------------------------------------------------------------ complex numbers

HOLOMORPHIC = ("exp", "log", "sqrt", "rsqrt", "reciprocal", "square", "sin", "cos", "tan", "sinh", "cosh", "tanh",
               "asinh", "atan", "log1p", "expm1", "sigmoid")  # fmt: skip
COMPLEX_POINTS = torch.tensor([0.3 + 0.4j, -1.2 + 0.7j, 2.0 - 0.5j, -0.4 - 1.1j], dtype=torch.complex128)


def complex_adjoint(name, dtype=None):
    b = Builder()
    x = b.input("X", (4,), "complex128")
    program = b.build({"value": b.apply(name, x, dtype=dtype)})
    seed = torch.tensor([1 + 2j, 0.5 - 1j, -1 + 0j, 2j], dtype=torch.complex128)
    b = Builder.on(program)
    values = seed.numpy() if dtype is None else seed.real.numpy()
    cotangent = b.constant(values)
    whole = adjoint(b.build(program.outputs), program.output, seed=cotangent)
    leaf = COMPLEX_POINTS.clone().requires_grad_()
    kernel = torch.sgn if name == "sign" else OPS[name].torch
    (wanted,) = torch.autograd.grad(kernel(leaf), leaf, torch.tensor(values))
    return program, whole, whole.of[x], wanted


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_complex_values_and_torchs_conjugate_gradient(name):
    program, whole, grad, wanted = complex_adjoint(name)
    found = interpret(whole.program, Floats(), {"X": COMPLEX_POINTS}, [program.output, grad])
    assert float((found[grad] - wanted).abs().max()) < 1e-13
    with precision(200):
        balls = interpret(whole.program, Balls(), {"X": binary(COMPLEX_POINTS.numpy())}, [program.output, grad])
        for ball, value in zip((*balls[program.output], *balls[grad]), (*found[program.output], *found[grad])):
            assert float(abs(acb(ball) - acb(value.real.item(), value.imag.item())).upper()) < 1e-13


@pytest.mark.parametrize(("name", "dtype"), [("abs", "float64"), ("sign", None)])
def test_complex_size_and_direction(name, dtype):
    program, whole, grad, wanted = complex_adjoint(name, dtype)
    found = interpret(whole.program, Floats(), {"X": COMPLEX_POINTS}, [program.output, grad])
    assert float((found[grad] - wanted).abs().max()) < 1e-13


# ------------------------------------------------------------------------------------------------ define


@pytest.fixture
def table():
    """The table, put back afterwards."""
    saved = [dict(t) for t in (scalars.OPS, scalars.BY_NAME, scalars.BY_HEAD)]
    yield
    for live, before in zip((scalars.OPS, scalars.BY_NAME, scalars.BY_HEAD), saved, strict=True):
        live.clear()
        live.update(before)


@pytest.mark.usefixtures("table")
def test_a_defined_row_passes_the_checks_of_every_row():
    op = define(
        "squareplus",
        lambda x, c: (x + sp.sqrt(x**2 + c)) / 2,
        lambda x, c: (x + torch.sqrt(x * x + c)) / 2,
        domain=lambda x, c: c > 0,
        ulps=2.0**54,  # x + |x| loses everything left of zero
    )
    assert OPS["squareplus"] is op
    assert find("squareplus") == "squareplus"
    assert op.arity == 2
    for check in (check_values, check_derivatives, check_kinks):
        check(op)


@pytest.mark.usefixtures("table")
def test_a_ball_given_to_define_is_used():
    define("airy", lambda x: sp.airyai(x), lambda x: torch.special.airy_ai(x), ball=lambda x: x.airy_ai())
    program = one_step(OPS["airy"])
    with precision(100):
        assert interpret(program, Balls(), {"X": arb(1)})[program.output].overlaps(arb(1).airy_ai())


@pytest.mark.usefixtures("table")
def test_a_function_written_in_no_other_rows_says_so():
    define("eta", lambda x: sp.dirichlet_eta(x), lambda x: x)
    program = one_step(OPS["eta"])
    with pytest.raises(NotImplementedError, match="eta is written in no other rows"):
        interpret(program, Balls(), {"X": arb(1)})


@pytest.mark.usefixtures("table")
def test_a_name_defined_anew_has_its_new_meaning():
    for power in (2, 3):
        define("again", lambda x: x**power, lambda x: x**power)  # noqa: B023
        assert local_derivative("again") == power * X ** (power - 1)
        program = one_step(OPS["again"])
        assert interpret(program, Balls(), {"X": arb(2)})[program.output] == 2**power


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("name", "formula", "message"),
    [
        ("tanh", lambda x: x, "already has an operation called 'tanh'"),
        ("shifted", lambda x: x + sp.Symbol("a"), "not an expression in its symbols"),
        ("vector", lambda x: sp.Matrix([x]), "not an expression in its symbols"),
        ("three", lambda x, y, z: x, "exact takes 3 arguments"),
        ("none", lambda: sp.Integer(1), "exact takes 0 arguments"),
    ],
)
def test_define_refuses(name, formula, message):
    with pytest.raises(BadInput, match=message):
        define(name, formula, torch.tanh)


@every_row
def test_every_name_finds_its_row(op):
    assert all(find(name) == op.name for name in (op.name, *op.also))


@pytest.mark.parametrize(("middle", "radius"), [(1.5, 2.0**-10), (30.0, 0.25), (7e7, 2.0**-40)])
def test_the_ball_of_erfc_holds_its_values_and_not_zero(middle, radius):
    ball = OPS["erfc"].ball(arb(middle, radius))
    with precision(400):
        assert all(ball.contains((arb(middle) + arb(radius) * k / 4).erfc()) for k in range(-4, 5))
    assert not ball.contains(0) or radius > 2.0**-20
