"""scipy's checks and solvers: what they are given as a function, as its derivative, and where they begin.

None of them is run.  The function and its derivative are called once each, at the point where the solver begins, which
is also what it gives back: whether the derivative is right does not depend on where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

_FUNCTIONS, _DERIVATIVES, _POINTS = ("fun", "func", "f"), ("jac", "fprime", "Dfun", "grad"), ("x0", "p0")
_SIGNATURES = {
    "check_grad": "func grad x0",
    "minimize": "fun x0 args method jac",
    "root": "fun x0 args method jac",
    "least_squares": "fun x0 jac",
    "curve_fit": "f xdata ydata p0 sigma absolute_sigma check_finite bounds method jac",
    "leastsq": "func x0 args Dfun",
    "fsolve": "func x0 args fprime",
    "newton": "func x0 fprime args",
    "fmin_bfgs": "f x0 fprime args",
    "fmin_cg": "f x0 fprime args",
    "fmin_ncg": "f x0 fprime fhess_p fhess args",
    "fmin_l_bfgs_b": "func x0 fprime args",
    "fmin_tnc": "func x0 fprime args",
}
NAMES = frozenset(_SIGNATURES)


class Calling(Protocol):
    """What runs a script: a tracer, or what watches a run without one."""

    def bind(self, name: str, value: Any) -> Any: ...

    def call(self, function: Any, *args: Any, **options: Any) -> Any: ...

    def computed(self, path: str, value: Any, *, is_function: bool = False) -> Any: ...

    def checks(self, solver: str, x: Any, gradient: Any, weights: Any, label: str) -> None: ...


@dataclass(frozen=True)
class _Given:
    """What a solver is given, and the parameter's name of its derivative."""

    function: Callable[..., Any]
    derivative: Any
    point: Any
    more: tuple[Any, ...]
    before: tuple[Any, ...]  # what the functions get before the point
    parameter: str

    @property
    def label(self) -> str:
        name = getattr(self.derivative, "__name__", "<lambda>")
        return self.parameter if name == "<lambda>" else name


def _read(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> _Given:
    words = _SIGNATURES[name].split()
    by = {**dict(zip(words, args, strict=False)), **options}
    parameter = next(w for w in words if w in _DERIVATIVES)
    function = next(by[w] for w in _FUNCTIONS if w in by)
    point = next((by[w] for w in _POINTS if by.get(w) is not None), None)
    more = args[3:] if name == "check_grad" else by.get("args", ())
    more = tuple(more) if isinstance(more, (tuple, list)) else (more,)
    derivative = by.get(parameter)
    if name in ("fmin_l_bfgs_b", "fmin_tnc") and derivative is None and not by.get("approx_grad"):
        derivative = True  # the function gives both
    return _Given(function, derivative, point, more, (by["xdata"],) if "xdata" in by else (), parameter)


def solve(t: Calling, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """What the solver ``name`` gives, without a step taken; NotImplemented where it is not told where it begins."""
    q = _read(name, args, options)
    if q.point is None:
        return NotImplemented
    point: Any = q.point if getattr(q.point, "dtype", None) is not None else np.array(q.point, dtype=float)
    x = t.bind("x0", point if name == "newton" or np.ndim(point) else np.reshape(point, 1))
    given = (*q.before, *x, *q.more) if q.before else (x, *q.more)
    slope = t.call(q.derivative, *given) if callable(q.derivative) else None
    value = t.call(q.function, *given)
    if q.derivative is True:
        value, slope = value
    weights, said = None, f"{name}'s function"
    if (
        slope is not None and np.ndim(value) == 1 and np.ndim(slope) == 2
    ):  # a Jacobian is right if all its combinations of rows are
        weights = t.bind("weights", np.cos(np.arange(1.0, 1 + len(value))))
        total, said = value @ weights, f"weights @ {getattr(q.function, '__name__', 'function')}"
        combined = slope @ weights if options.get("col_deriv") else weights @ slope
    else:
        total, combined = value, slope
    t.computed(said, total, is_function=True)
    if slope is not None:
        t.checks(name, x, t.computed(f"{name}'s derivative", combined), weights, q.label)
    return _given_back(name, x, value, slope, bool(options.get("full_output")))


def _given_back(name: str, x: Any, value: Any, slope: Any, is_full: bool) -> Any:
    from scipy.optimize import OptimizeResult

    covariance = np.eye(np.size(x))
    match name:
        case "check_grad":
            return 0.0
        case "minimize" | "root" | "least_squares":
            told = {"success": True, "status": 0, "message": "", "nit": 0, "nfev": 1, "njev": 1, "cost": value}
            return OptimizeResult(x=x, fun=value, jac=slope, hess_inv=covariance, **told)
        case "curve_fit":
            return (x, covariance, {}, "", 1) if is_full else (x, covariance)
        case "leastsq":
            return (x, covariance, {}, "", 1) if is_full else (x, 1)
        case "fmin_l_bfgs_b":
            return x, value, {"grad": slope, "task": "", "funcalls": 1, "nit": 0, "warnflag": 0}
        case "fmin_tnc":
            return x, 1, 0
    return (x, value, slope, covariance, 1, 1, 0) if is_full else x
