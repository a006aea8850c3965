"""How large the letters in limits are, and what the indices of each axis count from, as the formulas themselves say.

``\\sum_{k=1}^{m} w_k`` says that w has m entries, counted from 1; ``\\sum_{i=0}^{n-1} x_i`` that x has n, from 0.
A limit such as m - 1 in a sum from 1 tells nothing: it may be meant to leave an entry out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.errors import WrongShape
from symgrad.lifting.latex.equations import Document
from symgrad.lifting.latex.token_reader import Node, parts, place


@dataclass(frozen=True)
class Counting:
    """``first`` is what indices count from, ``axes`` the exceptions: (tensor, axis) -> 0 or 1."""

    first: int
    axes: Mapping[tuple[str, int], int]

    def of(self, name: str, axis: int) -> int:
        return self.axes.get((name, axis), self.first)


def count_from(documents: Sequence[Document]) -> Counting:
    """What the indices count from: 0 for an axis that an index takes to 0, else 1."""
    least: dict[tuple[str, int], int] = {}
    for document in documents:
        for node, lows in _entries(document):
            for axis, item in enumerate(node.args[1:]):
                lowest = _least(item, lows)
                if lowest is not None:
                    key = str(node.args[0].value), axis
                    least[key] = min(least.get(key, lowest), lowest)
    axes = {key: int(n > 0) for key, n in least.items()}
    first = 0 if axes and not any(axes.values()) else 1
    return Counting(first, {key: n for key, n in axes.items() if n != first})


def find_sizes(
    documents: Sequence[Document],
    shapes: Mapping[str, tuple[int, ...]],
    declared: Mapping[str, Sequence[Any]],
    counting: Counting,
) -> dict[str, int]:
    """The numbers that letters stand for.

    Raises `WrongShape` where two uses of a letter differ.
    """
    found: dict[str, int] = {}
    said = [letters_of_axes(document) for document in documents]
    for name, letters in declared.items():
        shape = shapes.get(name)
        if shape is None or (len(shape) > len(letters) and any(x.get(name) == tuple(letters) for x in said)):
            continue  # the entries with fewer indices are rows
        if len(shape) != len(letters) or any(
            isinstance(s, int) and s != n for s, n in zip(letters, shape, strict=True)
        ):
            raise WrongShape(f"{name} was declared with the shape {tuple(letters)} and is given {list(shape)}.")
        for letter, n in zip(letters, shape, strict=True):
            if isinstance(letter, str) and found.setdefault(letter, n) != n:
                raise WrongShape(f"the size {letter} is both {found[letter]} and {n}.")
    for document in documents:
        for line in document.lines:
            for node in parts(line.body):
                if node.head not in ("sum", "prod") or len(node.args) < 3:
                    continue
                for letter, n in _told(node, shapes, counting):
                    if found.setdefault(letter, n) != n:
                        raise WrongShape(
                            f"the size {letter} is {found[letter]} elsewhere, and {n} here.",
                            where=place(document.text, node.span),
                        )
    return found


def letters_of_axes(document: Document) -> dict[str, tuple[str | int, ...]]:
    """The shapes of tensors as the limits of sums say them, where they say all of it: u is m x d."""
    counting = count_from([document])
    found: dict[str, dict[int, str | int]] = {}
    ranks: dict[str, int] = {}
    for node, highs in _entries(document, limit=2):
        name = str(node.args[0].value)
        if name not in document.names:  # a row defines it
            continue
        ranks[name] = max(ranks.get(name, 0), len(node.args) - 1)
        for axis, item in enumerate(node.args[1:]):
            high = highs.get(item.value) if item.head == "index" else None
            if high is None:
                continue
            letter, less = letter_of_limit(high)
            if letter is not None and less + counting.of(name, axis) == 1:
                found.setdefault(name, {})[axis] = letter
    whole = {name: axes for name, axes in found.items() if len(axes) == ranks[name]}
    return {name: tuple(axes[k] for k in range(ranks[name])) for name, axes in whole.items()}


def _told(node: Node, shapes: Mapping[str, tuple[int, ...]], counting: Counting) -> Iterator[tuple[str, int]]:
    """What a sum along a whole axis says."""
    body, low, high = node.args
    if low.head != "number":
        return
    letter, less = letter_of_limit(high)
    if letter is None:
        return
    for entry in parts(body):
        if entry.head != "entry" or entry.args[0].head != "name":
            continue
        name = str(entry.args[0].value)
        shape = shapes.get(name, ())
        if len(shape) > len(entry.args) - 1:
            shape = tuple(n for n in shape if n != 1)
        for axis, item in enumerate(entry.args[1:]):
            if item.head == "index" and item.value == node.value and axis < len(shape):
                origin = counting.of(name, axis)
                if not less and low.value in (0, 1):
                    yield letter, shape[axis] + origin - 1
                elif less and origin == 0 and low.value == 0:
                    yield letter, shape[axis]


def letter_of_limit(high: Node) -> tuple[str | None, int]:
    """The letter of a limit m or m - 1."""
    if high.head == "size":
        return high.value, 0
    if high.head == "add" and len(high.args) == 2 and high.args[0].head == "size" and high.args[1].head == "neg":
        one = high.args[1].args[0]
        if one.head == "number" and one.value == 1:
            return high.args[0].value, 1
    return None, 0


def _entries(document: Document, limit: int = 1) -> Iterator[tuple[Node, Mapping[str, Node | None]]]:
    """Each entry of a name, with the lower (or upper) limits of the indices around it."""
    stack: list[tuple[Node, dict[str, Node | None]]] = [(line.body, {}) for line in document.lines]
    while stack:
        node, limits = stack.pop()
        if node.head in ("sum", "prod"):
            limits = {**limits, node.value: node.args[limit] if len(node.args) > limit else None}
        if node.head == "entry" and node.args[0].head == "name":
            yield node, limits
        stack.extend((a, limits) for a in node.args)


def _least(item: Node, lows: Mapping[str, Node | None]) -> int | None:
    """The smallest value of an index expression, if it is known."""
    match item.head:
        case "number":
            return int(item.value)
        case "index":
            low = lows.get(item.value)
            return int(low.value) if low is not None and low.head == "number" else None
        case "neg" if item.args[0].head == "number":
            return -int(item.args[0].value)
        case "add" | "mul":
            values = [_least(x, lows) for x in item.args]
            known = [v for v in values if v is not None]
            if len(known) < len(values):
                return None
            total = known[0]
            for v in known[1:]:
                total = total + v if item.head == "add" else total * v
            return total
    return None
