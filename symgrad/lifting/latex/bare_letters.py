r"""A letter that stands with an index and without: ``\sum_i P_i \le P`` has powers and their total.

In vectors x is all of x_i.  Where nothing is said in vectors, and what is differentiated for one x_i is a number, x
alone would make an array of it: then it is a number of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from symgrad.lifting.latex.equations import Claim, Document, Equation
from symgrad.lifting.latex.letter_shapes import says_arrays
from symgrad.lifting.latex.token_reader import Name, Node, TwoReadings, parts, place

_WHOLE, _ALONE = " whole", " alone"  # readings of a letter without an index: all of its entries, and a number
_ENTRYWISE = frozenset("add neg mul frac pow".split())


def refuse_bare(model: Document, claim: Claim, readings: Mapping[str, bool]) -> None:
    """Raise `TwoReadings` for letters that stand alone in a number beside entries of arrays of their name."""
    last = model.definitions[-1] if model.definitions else None
    if last is None or last.indices or claim.above or says_arrays(model):
        return
    entries = {str(p.args[0].value) for p in parts(last.body) if p.head == "entry"}
    for node in _terms(last.body):
        name = str(node.value)
        if node.head != "name" or name not in entries or readings.keys() & {f"{name}{_WHOLE}", f"{name}{_ALONE}"}:
            continue
        shown, is_sure = model.text[slice(*node.span)], any(claim.below)
        whole = f"{shown} without an index was read as all of its entries."
        number = f"{shown} without an index was read as a number of its own, {_named(name)}."
        raise TwoReadings(
            f"{shown} stands alone and with an index: all of its entries, or a number of its own.",
            of=f"{name}{_ALONE if is_sure else _WHOLE}",
            mark=shown if is_sure else "",
            said=number if is_sure else whole,
            other=None if is_sure else number,
            where=place(model.text, node.span),
            instead="Write another letter for the number, or an index.",
        )


def with_bare_letters_named(found: tuple[Equation, ...], readings: Mapping[str, bool]) -> tuple[Equation, ...]:
    """The equations with names of their own for letters that were read so."""
    bare = {of.removesuffix(_WHOLE) for of, is_so in readings.items() if of.endswith(_WHOLE) and not is_so}
    bare |= {of.removesuffix(_ALONE) for of in readings if of.endswith(_ALONE)}
    if not bare:
        return found
    return tuple(
        replace(
            e,
            left=None if e.left is None else _renamed(e.left, bare),
            sides=tuple(_renamed(x, bare) for x in e.sides),
            formula=None if e.formula is None else _renamed(e.formula, bare),
        )
        for e in found
    )


def _named(name: str) -> str:
    return f"{name}_alone"


def _terms(node: Node) -> Iterator[Node]:
    """What is added and multiplied in a value."""
    if node.head in _ENTRYWISE:
        for x in node.args:
            yield from _terms(x)
    else:
        yield node


def _renamed(node: Node, bare: Set[str]) -> Node:
    if node.head == "symbol" and not node.args and not node.value.label and node.value.base in bare:
        return replace(node, value=Name(_named(node.value.base), node.value.style, node.value.shown))
    return replace(node, args=tuple(_renamed(x, bare) for x in node.args)) if node.args else node
