"""An order of the free indices of a body that does not depend on their names.

Bodies that differ only in the names of free indices are the same tensor; to see it, their indices are counted in the
order in which they are met on a walk that looks at everything but names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from typing import Any

import sympy as sp

from symgrad.indices.terms import Binder

__all__ = ["Order"]


class Order:
    """Walks through bodies; what was met is remembered."""

    def __init__(self, sizes: Container[Any]) -> None:
        self.sizes = sizes
        self._shapes: dict[Any, bytes] = {}
        self._orders: dict[Any, tuple[Any, ...]] = {}

    def of(self, e: Any) -> tuple[Any, ...]:
        """The free indices of ``e``.  Where two ways to count are alike, it is one of them."""
        if e not in self._orders:
            self._orders[e] = self._order(e)
        return self._orders[e]

    def is_index(self, e: Any) -> bool:
        return bool(e.is_integer) and e not in self.sizes

    def _order(self, e: Any) -> tuple[Any, ...]:
        match e:
            case sp.Symbol():
                return (e,) if self.is_index(e) else ()
            case sp.IndexedBase():
                return ()
            case sp.Indexed():
                parts = e.indices
            case Binder():
                inner = [i for i in self.of(e.body) if i not in e.bound]
                return tuple(dict.fromkeys([*inner, *(i for a in e.outside for i in self.of(a))]))
            case sp.Add() | sp.Mul():
                parts = sorted(e.args, key=lambda a: self.shape(a))
            case _:
                parts = e.args
        return tuple(dict.fromkeys(i for a in parts for i in self.of(a)))

    def shape(self, e: Any) -> bytes:
        """A digest of what the body is, but for the names of indices."""
        if e not in self._shapes:
            self._shapes[e] = self._shape(e)
        return self._shapes[e]

    def _shape(self, e: Any) -> bytes:
        match e:
            case sp.Symbol() if self.is_index(e):
                words = [b"index"]
            case sp.Indexed():
                base: Any = e.base
                words = [str(base.label).encode(), *(self.shape(i) for i in e.indices)]
            case Binder():
                words = [type(e).__name__.encode(), *(self.shape(a) for a in (e.body, *e.outside))]
            case sp.Add() | sp.Mul():
                words = [type(e).__name__.encode(), *sorted(self.shape(a) for a in e.args)]
            case _ if e.args:
                words = [type(e).__name__.encode(), *(self.shape(a) for a in e.args)]
            case _:
                words = [str(e).encode()]
        return hashlib.blake2b(b"\0".join(words), digest_size=12).digest()
