"""The scalar functions: one row each.

A row is an operation; a column is a way to read it.  ``exact`` is its meaning, a SymPy expression in `X` (and `Y`,
for a second argument); its derivative is SymPy's, of that column.  ``torch`` is the kernel that floats use; ``ball``
reads it in rigorous balls.  What a row does not say is composed from ``written`` (the same function in simpler rows)
or from ``exact``.  A row whose exact column is a `Piecewise` is a choice between branches: it is lowered to the
branch taken, with a guard that remembers the choice.

To add an operation, add a row; `tests/ops/test_scalars.py` then checks every column against mpmath and torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import sympy as sp
import torch
from flint import arb

from symgrad.errors import UnknownOperation, close_names
from symgrad.ops.row import ARGUMENTS, Op, X, Y
from symgrad.ops.special import SPECIAL

_F = torch.nn.functional


def _method(name: str) -> Callable[[Any], Any]:
    return lambda x: getattr(x, name)()


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + (-x).exp())


def _sign(x: Any) -> Any:
    return x.sgn() if isinstance(x, arb) else x / abs(x)


def _lgamma(x: Any) -> Any:
    """log|gamma(x)|, torch's and math's reading; SymPy's loggamma is complex left of zero."""
    return abs(x.gamma()).log() if isinstance(x, arb) and not x > 0 else x.lgamma()


def _erfinv(x: Any) -> Any:
    return x.erfinv()


def _atan2(y: Any, x: Any) -> Any:
    return arb.atan2(y, x)


def _erfc(x: Any) -> Any:
    """By the mean value theorem: far right of zero Arb's own ball of an inexact number holds zero."""
    if not isinstance(x, arb) or not x > 1:
        return x.erfc()
    slope = (-x * x).exp() * 2 / arb.pi().sqrt()
    return x.mid().erfc() - (x - x.mid()) * slope


def _log_ndtr(x: Any) -> Any:
    half = arb(1) / 2
    return (half * _erfc(-x / arb(2).sqrt())).log()


_exp, _log, _abs = sp.exp, sp.log, sp.Abs
_pos, _nonneg, _unit = X > 0, X >= 0, sp.And(X > -1, X < 1)  # type: ignore[operator]
_soft = _log(1 + _exp(X))
_tail = sp.erfc(-X / sp.sqrt(2), evaluate=False)  # SymPy would write 2 - erfc(x), which cancels left of zero


def _choice(*pairs: tuple[Any, Any]) -> Any:
    return sp.Piecewise(*pairs, evaluate=False)


_TABLE = (
    # name        exact                          torch                ball
    Op("exp", _exp(X), torch.exp, _method("exp"), ulps=6),
    Op("log", _log(X), torch.log, _method("log"), domain=_pos, ulps=6),
    Op("sqrt", sp.sqrt(X), torch.sqrt, _method("sqrt"), domain=_nonneg, kinks=(X,), ulps=2),
    Op("rsqrt", 1 / sp.sqrt(X), torch.rsqrt, _method("rsqrt"), domain=_pos, ulps=3),
    Op(
        "cbrt",
        sp.sign(X) * _abs(X) ** sp.Rational(1, 3),
        lambda x: torch.sign(x) * x.abs() ** (1 / 3),
        kinks=(X,),
        ulps=8,
    ),
    Op("reciprocal", 1 / X, torch.reciprocal, lambda x: 1 / x, domain=sp.Ne(X, 0), ulps=1),
    Op("square", X**2, torch.square, lambda x: x * x, ulps=1),
    Op("exp2", _exp(X * _log(2)), torch.exp2, also=("special_exp2",)),
    Op("expm1", _exp(X) - 1, torch.expm1, _method("expm1"), also=("special_expm1",)),
    Op("log1p", _log(1 + X), torch.log1p, _method("log1p"), domain=X > -1, also=("special_log1p",)),
    Op("log2", _log(X) / _log(2), torch.log2, domain=_pos),
    Op("log10", _log(X) / _log(10), torch.log10, domain=_pos, ulps=6),
    Op("sin", sp.sin(X), torch.sin, _method("sin"), ulps=3),
    Op("cos", sp.cos(X), torch.cos, _method("cos"), ulps=2),
    Op("tan", sp.tan(X), torch.tan, _method("tan"), sp.sin(X) / sp.cos(X), domain=sp.Ne(sp.cos(X), 0), ulps=6),
    Op("asin", sp.asin(X), torch.asin, _method("asin"), domain=_unit, also=("arcsin",), ulps=6),
    Op("acos", sp.acos(X), torch.acos, _method("acos"), sp.pi / 2 - sp.asin(X), domain=_unit, also=("arccos",)),
    Op("atan", sp.atan(X), torch.atan, _method("atan"), also=("arctan",)),
    Op("sinh", sp.sinh(X), torch.sinh, _method("sinh"), (_exp(X) - _exp(-X)) / 2),
    Op("cosh", sp.cosh(X), torch.cosh, _method("cosh"), (_exp(X) + _exp(-X)) / 2),
    Op("tanh", sp.tanh(X), torch.tanh, _method("tanh"), ulps=3),
    Op("asinh", sp.asinh(X), torch.asinh, _method("asinh"), _log(X + sp.sqrt(X**2 + 1)), also=("arcsinh",)),
    Op(
        "acosh",
        sp.acosh(X),
        torch.acosh,
        _method("acosh"),
        _log(X + sp.sqrt(X - 1) * sp.sqrt(X + 1)),
        domain=X > 1,
        also=("arccosh",),
    ),
    Op(
        "atanh",
        sp.atanh(X),
        torch.atanh,
        _method("atanh"),
        (_log(1 + X) - _log(1 - X)) / 2,
        domain=_unit,
        also=("arctanh",),
    ),
    Op("erf", sp.erf(X), torch.erf, _method("erf"), also=("special_erf",)),
    Op("erfc", sp.erfc(X), torch.erfc, _erfc, 1 - sp.erf(X), also=("special_erfc",)),
    Op("erfinv", sp.erfinv(X), torch.erfinv, _erfinv, domain=_unit, ulps=16, also=("special_erfinv",)),
    Op("erfcx", _exp(X**2) * sp.erfc(X), torch.special.erfcx, ulps=512, also=("special_erfcx",)),
    Op("lgamma", sp.loggamma(X), torch.lgamma, _lgamma, domain=_pos, ulps=16, also=("gammaln", "special_gammaln")),
    Op(
        "gamma",
        sp.gamma(X),
        lambda x: torch.where(
            x > 0, torch.lgamma(x).exp(), math.pi / (torch.sin(math.pi * x) * torch.lgamma(1 - x).exp())
        ),
        _method("gamma"),
        domain=_pos,
        ulps=256,
    ),
    Op(
        "digamma",
        sp.digamma(X),
        torch.digamma,
        _method("digamma"),
        domain=_pos,
        ulps=64,
        also=("psi", "special_psi"),
        of=sp.S.One,
    ),
    Op("abs", _abs(X), torch.abs, abs, kinks=(X,), ulps=0, also=("absolute", "fabs")),
    Op("sign", sp.sign(X), torch.sign, _sign, kinks=(X,), ulps=0, also=("sgn",)),
    Op("sigmoid", 1 / (1 + _exp(-X)), torch.sigmoid, _sigmoid, also=("expit", "special_expit")),
    Op("logsigmoid", -_log(1 + _exp(-X)), _F.logsigmoid, also=("log_sigmoid", "log_expit")),
    Op("softplus", _soft, lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    Op(
        "logit",
        _log(X / (1 - X)),
        torch.logit,
        domain=sp.And(X > 0, X < 1),
        ulps=64,
        also=("special_logit",),
        of=sp.S.One,
    ),
    Op("silu", X / (1 + _exp(-X)), _F.silu, ulps=6, also=("swish",)),
    Op("mish", X * sp.tanh(_soft), _F.mish, ulps=8),
    Op("gelu", X * (1 + sp.erf(X / sp.sqrt(2))) / 2, _F.gelu, ulps=64, of=X),
    Op(
        "gelu_tanh",
        X * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (X + sp.Rational(44715, 10**6) * X**3))) / 2,
        lambda x: _F.gelu(x, approximate="tanh"),
        ulps=64,
        of=X,
    ),
    Op("softsign", X / (1 + _abs(X)), _F.softsign),
    Op("tanhshrink", X - sp.tanh(X), _F.tanhshrink, of=X),
    Op("ndtr", _tail / 2, torch.special.ndtr, ulps=16, also=("special_ndtr",), of=sp.S.One),
    Op("log_ndtr", _log(_tail / 2), torch.special.log_ndtr, _log_ndtr, ulps=2048, also=("special_log_ndtr",)),
    Op("deg2rad", X * sp.pi / 180, torch.deg2rad, ulps=2, also=("radians",)),
    Op("rad2deg", X * 180 / sp.pi, torch.rad2deg, ulps=4, also=("degrees",)),
    Op("i0", sp.besseli(0, X), torch.special.i0, lambda x: x.bessel_i(arb(0)), ulps=16, also=("special_i0",)),
    Op("i1", sp.besseli(1, X), torch.special.i1, lambda x: x.bessel_i(arb(1)), ulps=24, also=("special_i1",)),
    Op(
        "i0e",
        _exp(-_abs(X)) * sp.besseli(0, X),
        torch.special.i0e,
        lambda x: (-abs(x)).exp() * x.bessel_i(arb(0)),
        kinks=(X,),
        ulps=16,
        also=("special_i0e",),
    ),
    Op(
        "i1e",
        _exp(-_abs(X)) * sp.besseli(1, X),
        torch.special.i1e,
        lambda x: (-abs(x)).exp() * x.bessel_i(arb(1)),
        ulps=24,
        also=("special_i1e",),
    ),
    Op(
        "ndtri",
        sp.sqrt(2) * sp.erfinv(2 * X - 1),
        torch.special.ndtri,
        domain=sp.And(X > 0, X < 1),
        ulps=64,
        also=("special_ndtri",),
        of=sp.S.One,
    ),
    # two arguments
    Op(
        "atan2",
        sp.atan2(X, Y),
        torch.atan2,
        _atan2,
        domain=sp.Ne(X**2 + Y**2, 0),
        also=("arctan2",),
        ulps=6,
        kinks=(sp.sqrt(X**2 + Y**2) + Y,),
    ),
    Op("hypot", sp.sqrt(X**2 + Y**2), torch.hypot, domain=sp.Ne(X**2 + Y**2, 0)),
    Op("logaddexp", _log(_exp(X) + _exp(Y)), torch.logaddexp, of=sp.S.One),
    Op("logaddexp2", _log(_exp(X * _log(2)) + _exp(Y * _log(2))) / _log(2), torch.logaddexp2, of=sp.S.One),
    Op("xlogy", X * _log(Y), torch.xlogy, domain=Y > 0, also=("special_xlogy",)),
    Op("xlog1py", X * _log(1 + Y), torch.special.xlog1py, domain=Y > -1, also=("special_xlog1py",)),
    # choices between branches
    Op("relu", _choice((X, X > 0), (0, True)), torch.relu, kinks=(X,), ulps=0),
    Op("relu6", _choice((0, X <= 0), (6, X >= 6), (X, True)), _F.relu6, kinks=(X, X - 6), ulps=0),
    Op("leaky_relu", _choice((X, X > 0), (Y * X, True)), lambda x, a: torch.where(x > 0, x, a * x), kinks=(X,), ulps=1),
    Op("prelu", _choice((X, X > 0), (Y * X, True)), lambda x, a: torch.where(x > 0, x, a * x), kinks=(X,), ulps=1),
    Op(
        "elu",
        _choice((X, X > 0), (Y * (_exp(X) - 1), True)),
        lambda x, a: torch.where(x > 0, x, a * torch.expm1(x)),
        kinks=(X,),
    ),
    Op(
        "celu",
        _choice((X, X > 0), (Y * (_exp(X / Y) - 1), True)),
        lambda x, a: torch.where(x > 0, x, a * torch.expm1(x / a)),
        domain=Y > 0,
    ),
    Op(
        "selu",
        _choice(
            (sp.Rational("1.0507009873554804934193349852946") * X, X > 0),
            (
                sp.Rational("1.0507009873554804934193349852946")
                * sp.Rational("1.6732632423543772848170429916717")
                * (_exp(X) - 1),
                True,
            ),
        ),
        torch.selu,
        kinks=(X,),
        ulps=6,
    ),
    Op(
        "hardtanh",
        _choice((-1, X <= -1), (1, X >= 1), (X, True)),
        lambda x: x.clamp(-1, 1),
        kinks=(X + 1, X - 1),
        ulps=0,
    ),
    Op(
        "hardsigmoid",
        _choice((0, X <= -3), (1, X >= 3), (X / 6 + sp.Rational(1, 2), True)),
        _F.hardsigmoid,
        kinks=(X + 3, X - 3),
    ),
    Op("hardswish", _choice((0, X <= -3), (X, X >= 3), (X * (X + 3) / 6, True)), _F.hardswish, kinks=(X + 3, X - 3)),
    Op(
        "softshrink",
        _choice((X - Y, X > Y), (X + Y, X < -Y), (0, True)),
        lambda x, a: torch.where(x > a, x - a, torch.where(x < -a, x + a, torch.zeros_like(x))),
        kinks=(X - Y, X + Y),
        ulps=1,
        domain=Y >= 0,
    ),
    Op(
        "hardshrink",
        _choice((X, X > Y), (X, X < -Y), (0, True)),
        lambda x, a: torch.where(x.abs() > a, x, torch.zeros_like(x)),
        kinks=(X - Y, X + Y),
        ulps=0,
        domain=Y >= 0,
    ),
    Op("heaviside", _choice((0, X < 0), (1, X > 0), (Y, True)), torch.heaviside, kinks=(X,), ulps=0),
    Op("maximum", _choice((X, X >= Y), (Y, True)), torch.maximum, kinks=(X - Y,), ulps=0, also=("fmax",)),
    Op("minimum", _choice((X, X <= Y), (Y, True)), torch.minimum, kinks=(X - Y,), ulps=0, also=("fmin",)),
)

OPS: dict[str, Op] = {}
BY_NAME: dict[str, str] = {}
BY_HEAD: dict[tuple[type, int], str] = {}


def _enter(op: Op) -> Op:
    OPS[op.name] = op
    for name in (op.name, *op.also):
        BY_NAME[name] = op.name
    if op.exact.args == ARGUMENTS[: op.arity] and (op.arity == 1 or isinstance(op.exact, sp.Function)):
        BY_HEAD.setdefault((type(op.exact), op.arity), op.name)
    return op


for _op in _TABLE + SPECIAL:
    _enter(_op)


def find(name: str) -> str | None:
    """Return the row that torch, NumPy or math calls ``name``, or None."""
    return BY_NAME.get(name)


def by_head(head: type, arity: int = 1) -> str | None:
    """Return the row whose exact column is the SymPy function ``head`` of its arguments, or None."""
    return BY_HEAD.get((head, arity))


def unknown(name: str, where: str | None = None) -> UnknownOperation:
    """The error for an operation that no row has: its name, the close names, how to add it."""
    near = close_names(name, BY_NAME)
    return UnknownOperation(
        f"no operation is called {name!r}." + (f" {near}" if near else ""),
        where=where,
        instead=f'To add it: symgrad.define("{name}", exact, torch), where exact maps a SymPy symbol to an expression.',
    )


def define(
    name: str,
    exact: Callable[..., sp.Expr],
    torch: Callable[..., torch.Tensor],
    *,
    ball: Callable[..., arb] | None = None,
    domain: Callable[..., sp.Basic] | None = None,
    kinks: Callable[..., tuple[sp.Expr, ...]] | None = None,
    ulps: float = 64.0,
) -> Op:
    """Add the scalar function ``name`` to the table and return its row.

    ``exact`` maps one or two real SymPy symbols to the function's value, in functions that the table already has
    (its derivative, its balls and its residues follow from it); ``torch`` maps as many tensors of one dtype to a
    tensor of that dtype, elementwise; ``ball``, if given, maps as many python-flint ``arb`` to an ``arb`` that
    encloses the value.  ``domain`` and ``kinks`` map the symbols to where the function is defined and to the
    expressions that vanish where it has no derivative.  ``ulps`` bounds the error of the torch function in units in
    the last place, and is believed.

    >>> import sympy as sp, torch
    >>> op = define("cube", lambda x: x**3, lambda x: x**3)
    >>> op.exact
    X**3

    Raises `BadInput` if ``name`` is taken by another row, or ``exact`` does not return a SymPy expression in its
    symbols alone.  Guarantee: none beyond the columns given; the verdict rests on ``exact`` (and ``ball``) alone.
    """
    import inspect

    from symgrad.errors import BadInput

    if name in BY_NAME and name in {op.name for op in _TABLE + SPECIAL}:
        raise BadInput(f"the table already has an operation called {name!r}.", instead="Choose another name.")
    wanted = len(inspect.signature(exact).parameters)
    if wanted not in (1, 2):
        raise BadInput(
            f"exact takes {wanted} arguments; a row of the table is a function of one or two numbers.",
            instead="Compose the function of rows with one or two arguments.",
        )
    symbols = (X, Y)[:wanted]
    value = sp.sympify(exact(*symbols))
    if not isinstance(value, sp.Expr) or value.is_Matrix or not value.free_symbols <= set(symbols):
        raise BadInput(
            f"exact({', '.join(map(str, symbols))}) gave {value!r}, which is not an expression in its symbols.",
            instead="Return a SymPy expression, for example: lambda x: sympy.exp(-x**2).",
        )
    return _enter(
        Op(
            name,
            value,
            torch,
            ball,
            domain=sp.true if domain is None else domain(*symbols),
            kinks=() if kinks is None else tuple(kinks(*symbols)),
            ulps=ulps,
        )
    )
