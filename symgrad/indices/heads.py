"""Elementwise functions that SymPy must not rewrite as it builds: opaque heads, with their derivatives.

SymPy merges ``exp(z)**-1`` into ``exp(-z)`` and ``exp(z)*exp(2*z)`` into ``exp(3*z)``; `Max` factors its arguments each
time it is built.  A normal form needs one generator for each exponential, and it does its own merging.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

__all__ = ["EXP", "RELU", "STEP", "opaque", "sigmoid"]


class EXP(sp.Function):
    """exp, never merged."""

    nargs = 1
    is_real = True
    is_positive = True

    def fdiff(self, argindex: int = 1) -> Any:
        return self

    def _eval_rewrite_as_exp(self, z: Any, **_: Any) -> Any:
        return sp.exp(z)


class STEP(sp.Function):
    """1 where its argument is positive, else 0."""

    nargs = 1
    is_integer = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Any:
        return sp.S.Zero


class RELU(sp.Function):
    """max(z, 0); its derivative is taken to be `STEP` (0 at the kink)."""

    nargs = 1
    is_real = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Any:
        return STEP(self.args[0])


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(-z)), over the opaque exponential."""
    exponential: Any = EXP(-sp.sympify(z))
    return 1 / (1 + exponential)


def opaque(e: Any) -> Any:
    """``e`` with SymPy's exp, Max, Min and Heaviside written by opaque heads."""
    e = sp.sympify(e)
    if not e.args or isinstance(e, (sp.Indexed, sp.IndexedBase)):
        return EXP(sp.S.One) if e is sp.E else e
    args = [opaque(a) for a in e.args]
    match e:
        case sp.exp():
            return EXP(opaque(e.args[0]))
        case sp.Max():
            return _greatest(args)
        case sp.Min():
            return -_greatest([-a for a in args])
        case sp.Heaviside():
            return STEP(args[0])
        case _:
            return e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)


def _greatest(args: list[Any]) -> Any:
    first, *rest = sorted(args, key=sp.default_sort_key)
    for a in rest:
        first = first + RELU(a - first)
    return first
