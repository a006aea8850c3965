"""SciPy's functions that are no ufuncs, one each: the steps that say what they compute.

SciPy is not needed by symgrad: its functions are known by their module and name.  Its ufuncs (``scipy.special.expit``)
are rows of the table, and need nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.lifting.tracing.recorder import ArrayRecorder
from symgrad.program import layouts
from symgrad.program.builder import Builder

FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {}


def call(a: ArrayRecorder, function: Any, args: Any, options: Any) -> Any:
    """What a function of SciPy gives for traced arguments; NotImplemented for one that has no rule."""
    owner: Any = getattr(function, "__self__", None)
    if type(owner).__name__ == "norm_gen":
        return _normal(a, function.__name__, *args, **options)
    if type(getattr(owner, "dist", None)).__name__ == "norm_gen":  # norm(loc, scale)
        frozen = {**dict(zip(("loc", "scale"), owner.args)), **owner.kwds}
        return _normal(a, function.__name__, *args, **frozen, **options)
    package = ".".join(str(getattr(function, "__module__", "")).split(".")[:2])
    rule = FUNCTIONS.get((package, getattr(function, "__name__", "")))
    return NotImplemented if rule is None else rule(a, *args, **options)


def _entry(package: str, *names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(rule: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update({(package, name): rule for name in names})
        return rule

    return enter


# ------------------------------------------------------------------------------------------------ special


def _along(value: Callable[..., Any], step: Callable[[Builder, int, int], int]) -> Callable[..., Any]:
    """A function along one axis, or of all entries."""

    def run(a: ArrayRecorder, x: Any, axis: Any = None) -> Any:
        x = a.wrap(x)
        flat = x if axis is not None else x.reshape(-1)
        b = a.tracer.builder
        made = step(b, a.step(flat), -1 if axis is None else axis % x.ndim)
        return a.new(value(x.value, axis), b.reshape(made, x.shape))

    return run


def _log_softmax(x: np.ndarray, axis: Any) -> np.ndarray:
    moved = x - np.max(x, axis=axis, keepdims=True)
    return moved - np.log(np.sum(np.exp(moved), axis=axis, keepdims=True))


_entry("scipy.special", "softmax")(_along(lambda x, axis: np.exp(_log_softmax(x, axis)), layouts.softmax))
_entry("scipy.special", "log_softmax")(_along(_log_softmax, layouts.log_softmax))


@_entry("scipy.special", "logsumexp")
def _logsumexp(a: ArrayRecorder, x: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    if b is not None:
        return np.log(np.sum(np.multiply(b, np.exp(a.wrap(x))), axis=axis, keepdims=keepdims))
    x = a.wrap(x)
    axes = None if axis is None else tuple(np.atleast_1d(axis).tolist())
    most = np.max(x.value, axis=axes, keepdims=True)
    value = np.log(np.sum(np.exp(x.value - most), axis=axes, keepdims=True)) + most
    value = value if keepdims else np.squeeze(value, axis=axes)
    return a.new(np.asarray(value)[()], layouts.logsumexp(a.tracer.builder, a.step(x), axes, keepdims))


# ------------------------------------------------------------------------------------------------ linear algebra


_entry("scipy.linalg", "inv")(lambda a, x: np.linalg.inv(a.wrap(x)))
_entry("scipy.linalg", "det")(lambda a, x: np.linalg.det(a.wrap(x).astype(np.float64)))  # as SciPy does
_entry("scipy.linalg", "solve")(lambda a, x, y: np.linalg.solve(a.wrap(x), a.wrap(y)))


@_entry("scipy.linalg", "norm")
def _norm(a: ArrayRecorder, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    made = np.linalg.norm(a.wrap(x), ord, axis, keepdims)
    return made if np.ndim(made) else made.astype(np.float64)


@_entry("scipy.linalg", "cholesky")
def _cholesky(a: ArrayRecorder, x: Any, lower: bool = False) -> Any:
    made = np.linalg.cholesky(a.wrap(x))
    return made if lower else made.T


# ------------------------------------------------------------------------------------------------ distributions


def _normal(a: ArrayRecorder, name: str, x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """``scipy.stats.norm``: its density and its distribution, by the table's functions."""
    if name not in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf"):
        return NotImplemented
    scale = a.wrap(scale)
    z = np.divide(np.subtract(a.wrap(x), loc), scale)
    match name:
        case "pdf":
            return np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * scale)
        case "logpdf":
            return -(z**2) / 2 - np.log(np.sqrt(2 * np.pi)) - np.log(scale)
        case "cdf" | "logcdf":
            return _row("ndtr" if name == "cdf" else "log_ndtr", z)
    return _row("ndtr" if name == "sf" else "log_ndtr", -z)


def _row(row: str, x: Any) -> Any:
    import scipy.special

    return getattr(scipy.special, row)(x)
