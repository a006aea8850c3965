"""The special functions: integrals, Bessel, Airy, elliptic, polylogarithms, zeta, hypergeometric.

They are rows like any other.  torch has few of them, so that their float kernel is their ball at as many bits as it
takes, rounded once (`through_balls`): slow, and right to half an ulp.  ``domain`` is where the value is real at real
arguments; outside it the ball of real arguments is undefined, while complex arguments give SymPy's principal value.

Orders (of a Bessel function, a polylogarithm, ...) are arguments as others are; only the last argument can be
differentiated where SymPy knows no other derivative.  Elliptic integrals take the parameter m, as SymPy's do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
import torch
from flint import acb, arb

from symgrad.errors import UnknownOperation
from symgrad.ops.row import Op, W, X, Y, Z, precision

_BITS = (160, 480)  # tried one after the other, until the ball is narrower than a float64's last place
_NONE = arb.nan()


class _Rounded(torch.autograd.Function):
    """A value that is rounded from a ball, which torch cannot differentiate: without this it would say nothing."""

    @staticmethod
    def forward(ctx: Any, kernel: Callable[..., torch.Tensor], *args: torch.Tensor) -> torch.Tensor:
        return kernel(*args)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:
        raise UnknownOperation(
            "torch has no derivative of a special function that symgrad rounds from balls.",
            instead="Take the derivative's own function: gradient(...), or torch_function(sympy.diff(f, x)).",
        )


def through_balls(ball: Callable[..., Any]) -> Callable[..., torch.Tensor]:
    """A float kernel: each entry's ball, rounded to the dtype; not a number where no precision made it narrow.

    Its value alone: autograd's backward through it raises `UnknownOperation`.
    """

    def kernel(*args: torch.Tensor) -> torch.Tensor:
        args = tuple(torch.broadcast_tensors(*args))
        columns = [a.detach().cpu().resolve_conj().double().reshape(-1).tolist() for a in args if not a.is_complex()]
        if any(a.is_complex() for a in args):
            columns = [a.detach().cpu().resolve_conj().to(torch.complex128).reshape(-1).tolist() for a in args]
        found = [_value(ball, entries) for entries in zip(*columns, strict=True)]
        dtype = torch.complex128 if any(a.is_complex() for a in args) else torch.float64
        out = torch.tensor(found, dtype=dtype).reshape(args[0].shape)
        return out.to(args[0].dtype if dtype is torch.float64 else dtype).to(args[0].device)

    return lambda *args: _Rounded.apply(kernel, *args)


def _exactly(x: float | complex) -> Any:
    return acb(x.real, x.imag) if isinstance(x, complex) else arb(x)


def _value(ball: Callable[..., Any], entries: tuple[Any, ...]) -> float | complex:
    """One entry of a function of balls, from the first precision that tells it to the last place of float64."""
    for bits in _BITS:
        with precision(bits):
            found = ball(*map(_exactly, entries))
            if found.is_finite() and _is_narrow(found):
                return _nearest(found)
    return float("nan")


def _is_narrow(ball: Any) -> bool:
    if isinstance(ball, acb):
        return max(ball.real.rad(), ball.imag.rad(), key=float) <= abs(ball).mid() * arb(2) ** -60 + _SMALLEST
    return bool(ball.rad() <= abs(ball).mid() * arb(2) ** -60 + _SMALLEST)


_SMALLEST = arb(2) ** -1140  # far below the smallest float


def _nearest(ball: Any) -> float | complex:
    return complex(float(ball.real.mid()), float(ball.imag.mid())) if isinstance(ball, acb) else float(ball.mid())


def _where(real: Callable[..., bool], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of complex balls, read at real arguments where its value is known to be real."""

    def ball(*args: Any) -> Any:
        if any(isinstance(a, acb) for a in args):
            return function(*map(acb, args))
        return function(*map(acb, args)).real if real(*args) else _NONE

    return ball


def _method(name: str) -> Callable[..., Any]:
    """A method of the last argument, which takes the others; Arb's own, undefined where the value is not real."""

    def ball(*args: Any) -> Any:
        if any(isinstance(a, acb) for a in args):
            args = tuple(map(acb, args))
        return getattr(args[-1], name)(*args[:-1])

    return ball


def _reaches(m: Any, angle: Any) -> bool:
    """Whether 1 - m sin(t)**2 > 0 for all t from 0 to the angle."""
    return bool(m < 1) or bool(abs(angle) < arb.pi() / 2 and m * angle.sin() ** 2 < 1)


def _half_airy(name: str) -> Callable[[Any], Any]:
    return lambda x: getattr(x, name)(derivative=1)


def _row(
    name: str,
    exact: sp.Expr,
    ball: Callable[..., Any],
    domain: Any = sp.true,
    also: tuple[str, ...] = (),
    ulps: float = 1,  # more for what torch has a kernel of, too
) -> Op:
    return Op(name, exact, through_balls(ball), ball, domain=domain, ulps=ulps, also=also)


_not_one: Any = sp.Ne(X, 1)
_pos: Any = X > 0  # type: ignore[operator]
_unit: Any = X < 1  # type: ignore[operator]
_below: Any = -sp.exp(-1) < X  # type: ignore[operator]

SPECIAL = (
    # integrals of elementary functions
    _row("erfi", sp.erfi(X), _method("erfi")),
    _row("Si", sp.Si(X), _method("si")),
    _row("Ci", sp.Ci(X), _method("ci"), _pos),
    _row("Shi", sp.Shi(X), _method("shi")),
    _row("Chi", sp.Chi(X), _method("chi"), _pos),
    _row("Ei", sp.Ei(X), _method("ei"), sp.Ne(X, 0)),
    _row("li", sp.li(X), _method("li"), sp.And(_pos, _not_one)),
    _row("fresnels", sp.fresnels(X), _method("fresnel_s")),
    _row("fresnelc", sp.fresnelc(X), _method("fresnel_c")),
    _row("expint", sp.expint(X, Y), _method("expint"), Y > 0),
    # gamma and zeta
    _row("uppergamma", sp.uppergamma(X, Y), _method("gamma_upper"), Y > 0),
    _row(
        "lowergamma",
        sp.lowergamma(X, Y),
        _where(lambda s, x: bool(x > 0 and s > 0), lambda s, x: x.gamma_lower(s)),
        sp.And(X > 0, Y > 0),
    ),
    _row(
        "igamma",
        sp.lowergamma(X, Y) / sp.gamma(X),
        _where(lambda s, x: bool(x >= 0 and s > 0), lambda s, x: x.gamma_lower(s, regularized=1)),
        sp.And(X > 0, Y > 0),
        ("gammainc", "special_gammainc"),
        300,
    ),
    _row(
        "igammac",
        sp.uppergamma(X, Y) / sp.gamma(X),
        _where(lambda s, x: bool(x >= 0 and s > 0), lambda s, x: x.gamma_upper(s, regularized=1)),
        sp.And(X > 0, Y > 0),
        ("gammaincc", "special_gammaincc"),
        300,
    ),
    _row("general_polygamma", sp.polygamma(X, Y), _where(lambda n, x: bool(x > 0), lambda n, x: x.polygamma(n)), Y > 0),
    _row("zeta", sp.zeta(X), _where(lambda s: bool(s != 1), lambda s: s.zeta()), sp.Ne(X, 1)),
    _row(
        "hurwitz_zeta",
        sp.zeta(X, Y),
        _where(lambda s, a: bool(s != 1 and a > 0), lambda s, a: s.zeta(a)),
        sp.And(_not_one, Y > 0),
    ),
    _row(
        "polylog", sp.polylog(X, Y, evaluate=False), _where(lambda s, z: bool(z < 1), lambda s, z: z.polylog(s)), Y < 1
    ),
    # Bessel and Airy
    _row("besselj", sp.besselj(X, Y), _method("bessel_j"), Y > 0, ("jv",)),
    _row("bessely", sp.bessely(X, Y), _method("bessel_y"), Y > 0, ("yv",)),
    _row("besseli", sp.besseli(X, Y), _method("bessel_i"), Y > 0, ("iv",)),
    _row("besselk", sp.besselk(X, Y), _method("bessel_k"), Y > 0, ("kv",)),
    _row("airyai", sp.airyai(X), _method("airy_ai")),
    _row("airybi", sp.airybi(X), _method("airy_bi")),
    _row("airyaiprime", sp.airyaiprime(X), _half_airy("airy_ai")),
    _row("airybiprime", sp.airybiprime(X), _half_airy("airy_bi")),
    # elliptic integrals, of the parameter m
    _row("elliptic_k", sp.elliptic_k(X), _where(lambda m: bool(m < 1), lambda m: m.elliptic_k()), _unit),
    _row("elliptic_ec", sp.elliptic_e(X), _where(lambda m: bool(m < 1), lambda m: m.elliptic_e()), _unit),
    _row("elliptic_f", sp.elliptic_f(X, Y), _where(lambda a, m: _reaches(m, a), acb.elliptic_f), Y < 1),
    _row("elliptic_e", sp.elliptic_e(X, Y), _where(lambda a, m: _reaches(m, a), acb.elliptic_e_inc), Y < 1),
    _row(
        "elliptic_pic",
        sp.elliptic_pi(X, Y),
        _where(lambda n, m: bool(n < 1 and m < 1), acb.elliptic_pi),
        sp.And(X < 1, Y < 1),
    ),
    _row(
        "elliptic_pi",
        sp.elliptic_pi(X, Y, Z),
        _where(lambda n, a, m: _reaches(m, a) and _reaches(n, a), acb.elliptic_pi_inc),
        sp.And(X < 1, Z < 1),
    ),
    # inverse and hypergeometric functions
    _row("LambertW", sp.LambertW(X), _method("lambertw"), _below, ("lambertw",)),
    _row("lambertw_lower", sp.LambertW(X, -1), lambda x: x.lambertw(-1), sp.And(_below, X < 0)),
    _row("hyp0f1", sp.hyper((), (X,), Y), lambda b, z: z.hypgeom_0f1(b)),
    _row("hyp1f1", sp.hyper((X,), (Y,), Z), lambda a, b, z: z.hypgeom_1f1(a, b)),
    _row(
        "hyp2f1",
        sp.hyper((X, Y), (Z,), W),
        _where(lambda a, b, c, z: bool(z < 1), lambda a, b, c, z: z.hypgeom_2f1(a, b, c)),
        W < 1,
    ),
)
