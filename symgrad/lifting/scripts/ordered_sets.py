"""Sets that go through their elements in the order in which these came.

A set of a script's own objects goes through them by their addresses, and one of texts by a seed of the interpreter: in
each run otherwise.  A backward pass that goes through the parents of its nodes so would be another record every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["OrderedSet"]


class _AnySet(type):
    """A script that asks whether something is a set means the interpreter's as well."""

    def __instancecheck__(cls, x: object) -> bool:
        return type.__instancecheck__(set, x)


class OrderedSet(set, metaclass=_AnySet):
    """What a script gets where it calls ``set``.

    >>> list(OrderedSet("banana")), OrderedSet("ab") | {"c"} == {"a", "b", "c"}, isinstance({1}, OrderedSet)
    (['b', 'a', 'n'], True, True)
    """

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        self._order: dict[Any, None] = {}
        self.update(items)

    def __iter__(self) -> Iterator[Any]:
        return iter([x for x in self._order if x in self])

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}" if self else "set()"

    def __reduce__(self) -> Any:
        return OrderedSet, ([*self],)

    def add(self, x: Any) -> None:
        super().add(x)
        self._order.setdefault(x)

    def update(self, *others: Iterable[Any]) -> None:
        for x in (x for other in others for x in other):
            self.add(x)

    def pop(self) -> Any:
        for x in self:
            self.remove(x)
            return x
        return super().pop()

    def copy(self) -> OrderedSet:
        return OrderedSet(self)

    def union(self, *others: Iterable[Any]) -> OrderedSet:
        return OrderedSet(x for part in (self, *others) for x in part)

    def intersection(self, *others: Iterable[Any]) -> OrderedSet:
        kept = set(self).intersection(*others)
        return OrderedSet(x for x in self if x in kept)

    def difference(self, *others: Iterable[Any]) -> OrderedSet:
        kept = set(self).difference(*others)
        return OrderedSet(x for x in self if x in kept)

    def __or__(self, other: Any) -> Any:
        return self.union(other) if isinstance(other, (set, frozenset)) else NotImplemented

    def __and__(self, other: Any) -> Any:
        return self.intersection(other) if isinstance(other, (set, frozenset)) else NotImplemented

    def __sub__(self, other: Any) -> Any:
        return self.difference(other) if isinstance(other, (set, frozenset)) else NotImplemented

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self
