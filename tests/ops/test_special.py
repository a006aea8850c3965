"""The special functions of the table, row by row: balls and slopes against mpmath, kernels against the balls.

mpmath's reading is its own, written down here row by row, so that a wrong argument order or convention is seen.
"""

from __future__ import annotations

import mpmath
import pytest
import sympy as sp
import torch
from flint import acb, arb
from support.adjoints import adjoint

from symgrad import verify
from symgrad.errors import UnknownOperation
from symgrad.evaluation.balls import Balls, ball_of
from symgrad.ops.row import ARGUMENTS, precision
from symgrad.ops.scalars import OPS
from symgrad.ops.special import SPECIAL
from symgrad.program.builder import Builder
from symgrad.program.derivative import local_derivative
from symgrad.program.program import interpret

TRUTH = {
    "erfi": mpmath.erfi,
    "Si": mpmath.si,
    "Ci": mpmath.ci,
    "Shi": mpmath.shi,
    "Chi": mpmath.chi,
    "Ei": mpmath.ei,
    "li": mpmath.li,
    "fresnels": mpmath.fresnels,
    "fresnelc": mpmath.fresnelc,
    "expint": mpmath.expint,
    "uppergamma": mpmath.gammainc,
    "lowergamma": lambda s, x: mpmath.gammainc(s, 0, x),
    "igamma": lambda s, x: mpmath.gammainc(s, 0, x, regularized=True),
    "igammac": lambda s, x: mpmath.gammainc(s, x, regularized=True),
    "general_polygamma": mpmath.psi,
    "zeta": mpmath.zeta,
    "hurwitz_zeta": mpmath.zeta,
    "polylog": mpmath.polylog,
    "besselj": mpmath.besselj,
    "bessely": mpmath.bessely,
    "besseli": mpmath.besseli,
    "besselk": mpmath.besselk,
    "airyai": mpmath.airyai,
    "airybi": mpmath.airybi,
    "airyaiprime": lambda x: mpmath.airyai(x, derivative=1),
    "airybiprime": lambda x: mpmath.airybi(x, derivative=1),
    "elliptic_k": mpmath.ellipk,
    "elliptic_ec": mpmath.ellipe,
    "elliptic_f": mpmath.ellipf,
    "elliptic_e": mpmath.ellipe,
    "elliptic_pic": mpmath.ellippi,
    "elliptic_pi": mpmath.ellippi,
    "LambertW": mpmath.lambertw,
    "lambertw_lower": lambda x: mpmath.lambertw(x, -1),
    "hyp0f1": mpmath.hyp0f1,
    "hyp1f1": mpmath.hyp1f1,
    "hyp2f1": mpmath.hyp2f1,
}
ORDERS = {"general_polygamma": [(1,), (2,)], "polylog": [(2,), (3,), (0.5,)]}
ARGUMENT = [0.1875, 0.625, -0.4375, 2.25, -0.25]
EARLIER = [(0.5, 0.375, 1.75), (2.0, 0.25, 0.625)]
every_row = pytest.mark.parametrize("op", SPECIAL, ids=lambda op: op.name)


def points(op):
    """A few points of the row's domain: earlier arguments (orders), then the last one."""
    found = []
    for x in ARGUMENT:
        for before in ORDERS.get(op.name, [e[: op.arity - 1] for e in EARLIER]):
            at = (*map(float, before), x)
            values = dict(zip(ARGUMENTS, map(sp.Rational, at), strict=False))
            if op.domain is sp.true or op.domain.subs(values) == sp.true:
                found.append(at)
    assert len(found) >= 2 or op.name == "lambertw_lower"
    return list(dict.fromkeys(found))


def middle(ball):
    man, exp = ball.mid().man_exp()
    return mpmath.ldexp(mpmath.mpf(int(man)), int(exp))


def test_every_row_has_a_truth_of_its_own():
    assert {op.name for op in SPECIAL} == set(TRUTH)


@every_row
def test_balls_hold_mpmaths_value(op):
    with mpmath.workdps(50), precision(220):
        for at in points(op):
            ball, value = op.ball(*map(ball_of, at)), TRUTH[op.name](*map(mpmath.mpf, at))
            assert isinstance(ball, arb)
            assert float(ball.rad()) < 1e-40
            assert abs(middle(ball) - value) < mpmath.mpf(10) ** -40 * (1 + abs(value)), (op.name, at)


@every_row
def test_complex_balls_hold_mpmaths_value(op):
    with mpmath.workdps(40), precision(200):
        for at in points(op)[:2]:
            z = [*map(mpmath.mpf, at[:-1]), mpmath.mpc(at[-1], 0.375)]
            if op.name == "elliptic_f":
                continue  # mpmath's is right only for small imaginary parts of m
            value = mpmath.mpc(TRUTH[op.name](*z))
            ball = op.ball(*map(acb, at[:-1]), acb(at[-1], 0.375))
            near = mpmath.mpc(middle(ball.real), middle(ball.imag))
            assert abs(near - value) < mpmath.mpf(10) ** -25 * (1 + abs(value)), (op.name, at)


@every_row
def test_outside_the_domain_there_is_no_real_value(op):
    if op.domain is sp.true:
        return
    out = {"elliptic_pic": (2.0, 0.5), "zeta": (1.0,), "lambertw_lower": (0.5,), "LambertW": (-0.5,)}
    out |= {"hurwitz_zeta": (1.0, 0.5), "Ei": (0.0,), "li": (-1.0,), "elliptic_pi": (2.5, 1.5, 0.5)}
    out |= dict.fromkeys(("expint", "uppergamma", "lowergamma", "igamma", "igammac"), (0.5, -1.5))
    out |= dict.fromkeys(("besselj", "bessely", "besseli", "besselk"), (0.5, -1.5))
    out |= {"general_polygamma": (1.0, -1.5), "polylog": (2.0, 1.5), "hyp2f1": (0.5, 0.25, 1.75, 1.5)}
    out |= {"Ci": (-1.0,), "Chi": (-1.0,), "elliptic_f": (1.5, 2.0), "elliptic_e": (1.5, 2.0)}
    ball = op.ball(*map(ball_of, out.get(op.name, (1.5,))))
    assert not ball.is_finite()


@every_row
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.slow
def test_slopes_in_the_last_argument(op, order):
    """Against mpmath's difference quotients; the second derivative is steps of the table too."""
    if op.name == "zeta":
        return  # no derivative is known
    for at in points(op)[:2]:
        b = Builder()
        steps = [b.number(sp.Rational(v)) for v in at[:-1]]
        x = b.input("x", ())
        program = b.build({"value": b.apply(op.name, *steps, x)})
        for _ in range(order):
            whole = adjoint(program, program.output, wrt=[x])
            program = whole.program.with_outputs({"value": whole.of[x]})
        with mpmath.workdps(60), precision(260):
            found = middle(interpret(program, Balls(), {"x": ball_of(at[-1])})[program.output])
            slope = mpmath.diff(
                lambda t, at=at: TRUTH[op.name](*map(mpmath.mpf, at[:-1]), t), mpmath.mpf(at[-1]), order
            )
            assert abs(found - slope) < mpmath.mpf(10) ** -15 * (1 + abs(slope)), (op.name, at, found, slope)


@pytest.mark.parametrize(
    ("name", "argument"),
    [("elliptic_f", 1), ("elliptic_e", 1), ("elliptic_pic", 0), ("elliptic_pi", 0), ("elliptic_pi", 2)],
)
def test_slopes_of_elliptic_integrals_in_their_parameters(name, argument):
    at = (0.3125, 0.75, 0.4375)[: OPS[name].arity]
    slope = sp.lambdify(ARGUMENTS[: len(at)], local_derivative(name, argument), "mpmath")
    with mpmath.workdps(40):
        found = slope(*map(mpmath.mpf, at))
        wanted = mpmath.diff(TRUTH[name], tuple(map(mpmath.mpf, at)), tuple(int(k == argument) for k in range(len(at))))
        assert abs(found - wanted) < mpmath.mpf(10) ** -15


@every_row
def test_float_kernels_round_the_ball_once(op):
    for dtype in (torch.float64, torch.float32):
        at = [torch.tensor(column, dtype=dtype) for column in zip(*points(op), strict=True)]
        got = op.torch(*at)
        assert got.dtype == dtype
        with precision(220):
            for k, value in enumerate(got.tolist()):
                ball = op.ball(*(ball_of(column[k].item()) for column in at))
                off = abs(ball_of(value) - ball)
                assert off <= abs(ball) * torch.finfo(dtype).eps


def test_an_order_is_not_differentiated():
    with pytest.raises(UnknownOperation, match="the derivative of besselj with respect to its argument 1 of 2"):
        verify("besselj(n, x)", "0", wrt="n", at={"n": 1.5, "x": 2.0})


# ------------------------------------------------------------------------------------------------ relations


@pytest.mark.parametrize(
    ("formula", "hand"),
    [
        ("gamma(x + 2)", "x*(x + 1)*gamma(x)*(digamma(x) + 1/x + 1/(x + 1))"),
        ("digamma(x + 1)", "polygamma(1, x) - 1/x**2"),
        ("polygamma(2, x + 1)", "polygamma(3, x) - 6/x**4"),
        ("besselj(2, x)", "besselj(1, x) - 2*besselj(2, x)/x"),
        ("besselj(3, x)", "besselj(0, x)*(12/x**2 - 1) + besselj(1, x)*(5/x - 24/x**3)"),
        ("bessely(n, x)", "n/x*bessely(n, x) - bessely(n + 1, x)"),
        ("besseli(n, x)", "n/x*besseli(n, x) + besseli(n + 1, x)"),
        ("besselk(n, x)", "n/x*besselk(n, x) - besselk(n + 1, x)"),
        ("besselj(-1, x)", "besselj(1, x)/x - besselj(0, x)"),
        ("i1(x)", "i0(x) - i1(x)/x"),
        ("expint(3, x)", "(x*expint(1, x) - exp(-x))"),
        ("LambertW(x)", "exp(-LambertW(x))/(1 + LambertW(x))"),
        ("polylog(2, x)", "-log(1 - x)/x"),
        ("polylog(3, x)", "polylog(2, x)/x"),
        ("x*LambertW(x) - x + exp(LambertW(x))", "LambertW(x)"),
        ("elliptic_f(asin(x), m)", "1/(sqrt(1 - x**2)*sqrt(1 - m*x**2))"),
    ],
)
def test_relations_are_used_by_proofs(formula, hand):
    names = {"n": 0.75, "m": 0.5}
    at = {k: v for k, v in names.items() if f"({k}" in formula or f" {k}" in formula}
    assert verify(formula, hand, wrt="x", at=at or None).verdict == "proved"
    assert verify(formula, f"({hand})*(1 + x/10**6)", wrt="x", at=at or None).verdict == "refuted"
