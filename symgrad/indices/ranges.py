"""Where free indices run, as the axes that they stand in tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sympy as sp

from symgrad.indices.matrices import Inverse
from symgrad.indices.terms import Binder, Within

__all__ = ["free_ranges"]


def free_ranges(bodies: Iterable[Any]) -> dict[Any, set[Any]]:
    """For each free index that stands alone in an axis of a leaf or of an inverse: the sizes of these axes.

    What an indicator or a condition may switch off says nothing about a range, and is left out.
    """
    found: dict[Any, set[Any]] = {}
    for body in bodies:
        for index, size, bound in _places(sp.sympify(body)):
            if isinstance(index, sp.Symbol) and index.is_integer and not index.is_positive and index not in bound:
                found.setdefault(index, set()).add(size)
    return found


def _places(e: Any) -> Iterator[tuple[Any, Any, frozenset[Any]]]:
    """Index values, the sizes of their axes, and the indices that are bound around them."""
    seen: set[Any] = set()
    waiting: list[tuple[Any, frozenset[Any]]] = [(e, frozenset())]
    while waiting:
        part, bound = waiting.pop()
        if (part, bound) in seen:
            continue
        seen.add((part, bound))
        match part:
            case sp.Indexed():
                base: Any = part.base
                yield from ((i, s, bound) for i, s in zip(part.indices, base.shape or (), strict=False))
                waiting += [(i, bound) for i in part.indices]
            case Binder():
                if isinstance(part, Inverse):
                    yield from ((i, part.size, bound) for i in part.entry)
                waiting.append((part.body, bound | set(part.bound)))
                waiting += [(a, bound) for a in part.outside]
            case sp.IndexedBase() | sp.Piecewise():
                pass
            case _ if not any(isinstance(a, Within) for a in part.args):
                waiting += [(a, bound) for a in part.args if isinstance(a, sp.Basic)]
