"""The shape of each part of a formula in text; and the shapes of inputs that nobody gave, as its own words tell them.

``sum(x**2)`` is about a vector, ``trace(A @ X)`` about matrices.  By the way people write, a capital letter is a
matrix and a small one a vector, or either is a number; where that leaves two readings, the question is asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.errors import BadFormula, BadInput, WrongShape, caret
from symgrad.lifting.text.parser import Node, Tree
from symgrad.lifting.text.tensor_words import FOLDS, WORDS, Length, Misfit, Shape, kind, settled, unify


@dataclass(frozen=True)
class Part:
    """A part's axes: ``letters`` are those of its free indices, ``shape`` those without one."""

    shape: Shape = ()
    letters: Mapping[str, Any] = field(default_factory=dict)


def shapes_of(text: str, tree: Tree, shapes: Mapping[str, Shape]) -> list[Part]:
    """The axes of every node, for inputs of these shapes.

    Raises `WrongShape` where a word is not said of what it is given, or lengths differ, `BadFormula` for what NumPy
    takes for one thing and a reader for another.
    """
    broadcast = all(isinstance(n, int) for shape in shapes.values() for n in shape)
    found: list[Part] = []
    for node in tree.nodes:
        try:
            args = [found[a] for a in node.args]
            _refuse_two_readings(tree, node, args)
            found.append(_part(node, args, shapes, broadcast))
        except Misfit as misfit:
            number = any(not found[a].shape for a in node.args) and node.head in ("tensor", "entry")
            instead = misfit.instead or (_with_a_shape(tree, node) if number else None)
            kind_of = BadFormula if misfit.two_readings else WrongShape
            raise kind_of(misfit.what, where=caret(text, node.span), instead=instead) from None
    return found


def _refuse_two_readings(tree: Tree, node: Node, args: Sequence[Part]) -> None:
    ranks = [len(arg.shape) for arg in args]
    if node.head == "pow" and ranks[0] == 2 and tree.closed(node.args[1]) == -1:
        what = "**-1 of a matrix is 1/A entry by entry in NumPy, and the inverse on paper."
        raise Misfit(what, "Write inv(A).", two_readings=True)
    if node.sign == "^" and ranks[0] > 1:
        what = "a power of a matrix is a product of matrices to some, and entry by entry to others."
        raise Misfit(what, "Write A @ A, or A**2 for the square of each entry.", two_readings=True)
    if node.sign == "|...|" and ranks[0]:
        whole, word = ("the norm", "norm") if ranks[0] == 1 else ("the determinant", "det")
        what = f"|...| of {kind(args[0].shape)} is {whole} to some, and entry by entry to others."
        raise Misfit(what, f"Write {word}(x), or abs(x).", two_readings=True)
    if node.head == "tensor" and node.value[0] == "matmul" and ranks == [1, 1]:
        right = tree.nodes[node.args[1]]
        if right.head == "tensor" and right.value[0] == "transpose":
            what = "x @ y.T of two vectors is a number in NumPy, and a matrix on paper."
            raise Misfit(what, "Write dot(x, y) or outer(x, y).", two_readings=True)


def _with_a_shape(tree: Tree, node: Node) -> str | None:
    """What to write where a word is said of numbers."""
    below, stack = [], list(node.args)
    while stack:
        inner = tree.nodes[stack.pop()]
        stack.extend(inner.args)
        if inner.head == "name" and not inner.constant:
            below.append(inner.value)
    return f'Give it a shape: at={{"{min(below)}": ("n",)}}.' if below else "Leave it out."


def _part(node: Node, args: Sequence[Part], shapes: Mapping[str, Shape], broadcast: bool) -> Part:
    match node.head:
        case "name":
            return Part() if node.constant else Part(shapes.get(node.value, ()))
        case "entry":
            return _entry(node.value, args[0])
        case "tensor":
            return _word(node, args)
        case _:
            return _entrywise(args, broadcast)


def _word(node: Node, args: Sequence[Part]) -> Part:
    name, option = node.value
    if isinstance(option, tuple):  # sum(a[i]*b[i], i)
        (arg,) = args
        if name not in FOLDS:
            raise Misfit(f"{name} over an index is not read.", f"Write {name}(x), of the whole array.")
        for letter in option:
            if letter not in arg.letters:
                raise Misfit(f"nothing in this {name} has the index {letter}.", f"Write an entry with it: x[{letter}].")
        return Part(arg.shape, {k: n for k, n in arg.letters.items() if k not in option})
    free = [letter for arg in args for letter in arg.letters]
    if free:
        if name not in FOLDS:
            raise Misfit(f"{name} is said of whole arrays, and this is an entry of one.", "Leave the indices out.")
        raise Misfit(f"over which index this {name} runs is not said.", f"Write {name}(..., {free[0]}).")
    return Part(WORDS[name].shape(name, [arg.shape for arg in args], option))


def _entrywise(args: Sequence[Part], broadcast: bool) -> Part:
    letters: dict[str, Any] = {}
    for arg in args:
        for letter, n in arg.letters.items():
            letters[letter] = unify(letters.get(letter, n), n, f"the index {letter}")
    arrays = [arg.shape for arg in args if arg.shape]
    if letters and arrays:
        raise Misfit(
            f"an entry stands beside {kind(arrays[0])}.", "Write the entry of both, x[i], or leave indices out."
        )
    if not arrays:
        return Part((), letters)
    if broadcast:
        try:
            return Part(np.broadcast_shapes(*arrays), letters)
        except ValueError:
            shown = " and ".join(str(list(s)) for s in dict.fromkeys(arrays))
            raise Misfit(f"arrays of the shapes {shown} do not fit entry by entry.") from None
    if len({len(s) for s in arrays}) > 1:
        raise Misfit(f"{kind(arrays[0])} stands beside {kind(next(s for s in arrays if len(s) != len(arrays[0])))}.")
    shape = arrays[0]
    for other in arrays[1:]:
        shape = tuple(unify(a, b, "an operation entry by entry") for a, b in zip(shape, other, strict=True))
    return Part(shape, letters)


def _entry(places: Sequence[Any], arg: Part) -> Part:
    if arg.letters:
        raise Misfit("this is an entry already.")
    if len(places) > len(arg.shape):
        what = f"{len(places)} ind{'ex stands' if len(places) == 1 else 'ices stand'} on {kind(arg.shape)}."
        raise Misfit(what)
    letters: dict[str, Any] = {}
    shape: list[Any] = []
    for place, n in itertools.zip_longest(places, arg.shape):
        n = settled(n)
        match place:
            case str():
                letters[place] = unify(letters.get(place, n), n, f"the index {place}")
            case int():
                if isinstance(n, int) and not -n <= place < n:
                    raise Misfit(f"the entry {place} is outside of {n} entries.", "The first entry is 0, the last -1.")
            case slice() if isinstance(n, int):
                shape.append(len(range(n)[place]))
            case slice() if place != slice(None):
                shape.append(Length())
            case _:
                shape.append(n)
    if letters and shape:
        raise Misfit("some axes have an index here and others have none.", "Write an index for each axis: A[i, j].")
    return Part(tuple(shape), letters)


# ------------------------------------------------------------------------------------------------------ unstated shapes


def unstated(text: str, tree: Tree, given: Mapping[str, Shape]) -> dict[str, tuple[int | str, ...]]:
    """Shapes for the inputs that nobody gave and that the formula's words say are arrays; none where no word does.

    Raises `BadInput` where the words leave two readings, with one of them to write.
    """
    missing = [n for n in tree.names if n not in given]
    inside = _inside(tree)
    if not missing or not inside:
        return {}
    asked = [n for n in missing if n in inside]
    choices = [(0, 2) if n[0].isupper() else (0, 1) for n in asked]
    fits: dict[tuple[int, ...], dict[str, Any]] = {}
    fits |= {ranks: made for ranks in itertools.product(*choices) if (made := _fitted(text, tree, given, asked, ranks))}
    if not fits:
        wider = itertools.product((1, 0, 2), repeat=len(asked)) if len(asked) <= 6 else ()
        fits |= {ranks: made for ranks in wider if (made := _fitted(text, tree, given, asked, ranks))}
        if not fits:
            arrays = {n: tuple(Length() for _ in range(r[-1])) for n, r in zip(asked, choices, strict=True)}
            shapes_of(text, tree, {**given, **arrays})  # says what does not fit, and where
            return {}
    if len(fits) == 1:
        return next(iter(fits.values()))
    likely = max(fits, key=sum)
    unclear = [n for k, n in enumerate(asked) if len({ranks[k] for ranks in fits}) > 1] or asked
    raise BadInput(
        f"which shapes {', '.join(unclear)} have is not said, and the formula can be read in {len(fits)} ways.",
        where=f"    {text.strip()}",
        instead=f"Write them, with a name for each length and 1.0 for a number: at={{{written(fits[likely], asked)}}}.",
    )


def written(shapes: Mapping[str, Shape], names: Sequence[str]) -> str:
    """What stands between the braces of ``at``, with a name for each length and 1.0 for a number."""
    inner = {n: ", ".join(f'"{k}"' if isinstance(k, str) else str(k) for k in shapes.get(n, ())) for n in names}
    return ", ".join(f'"{n}": ' + (f"({x}{',' * (len(shapes[n]) == 1)})" if x else "1.0") for n, x in inner.items())


def _inside(tree: Tree) -> set[str]:
    """The names in what a word for arrays is said of."""
    found: set[str] = set()
    within: set[int] = set()
    for k in range(len(tree.nodes) - 1, -1, -1):
        node = tree.nodes[k]
        if node.head in ("tensor", "entry") or k in within:
            within |= set(node.args)
        if node.head == "name" and not node.constant and k in within:
            found.add(node.value)
    return found


def _fitted(
    text: str, tree: Tree, given: Mapping[str, Shape], asked: Sequence[str], ranks: Sequence[int]
) -> dict[str, tuple[int | str, ...]]:
    """Shapes of these ranks under which all words fit, those of numbers left out; none where some do not."""
    shapes: dict[str, Shape] = {n: tuple(Length() for _ in range(r)) for n, r in zip(asked, ranks, strict=True)}
    try:
        shapes_of(text, tree, {**given, **shapes})
    except WrongShape:
        return {}
    taken = {*tree.names, *(n for shape in given.values() for n in shape if isinstance(n, str))}
    return with_lengths_named(shapes, taken)


def with_lengths_named(shapes: Mapping[str, Shape], taken: Set[str]) -> dict[str, tuple[int | str, ...]]:
    """The shapes of what is no number, with a letter that is not ``taken`` for each length that is not known."""
    letters = itertools.chain((c for c in "nmkpqrsuv" if c not in taken), (f"n_{k}" for k in itertools.count()))
    names: dict[Any, Any] = {}
    for n in (settled(n) for shape in shapes.values() for n in shape):
        if isinstance(n, Length) and n not in names:
            names[n] = next(letters)
    return {x: tuple(names.get(n, n) for n in map(settled, shape)) for x, shape in shapes.items() if shape}
