"""Entries by their number, ``p_c`` and ``\\delta_{kc}``, where c is no index but the number of a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from symgrad.lifting.latex.token_reader import Name, Node, TwoReadings, letters_below, parts


def entry_by_number(node: Node, letters: Set[str], taken: Set[str]) -> Node:
    """``p_c``, where c is a number, as the entry that it is: the sum over k of ``\\mathbb{1}[k = c] p_k``, of a k that
    is not ``taken``."""
    span, factors, folds = node.span, list[Node](), list[str]()
    items = [x for item in node.args for x in (item.args if item.head == "mul" else (item,))]
    for k, item in enumerate(items):
        letter = item.value.base if item.head == "symbol" else ""
        if letter in letters:
            fresh = next(x for x in "kjlqrstuvabdegh" if x not in {*letters, *folds, *letters_below(node), *taken})
            items[k] = replace(item, value=Name(fresh, "", fresh))
            factors.append(Node("indicator", (Node("compare", (items[k], item), span, "=="),), span))
            folds.append(fresh)
    made = Node("mul", (*factors, replace(node, args=tuple(items))), span, ("",) * len(factors))
    for fresh in folds:
        made = Node("sum", (made,), span, (fresh, span))
    return made


def delta_of(node: Node) -> Node:
    """``\\delta_{kc}``, where c is a number, as the indicator that it is."""
    items = [x for item in node.args for x in (item.args if item.head == "mul" else (item,))]
    return Node("indicator", (Node("compare", tuple(items), node.span, "=="),), node.span)


def of_one_entry(node: Node, letter: str) -> tuple[str, tuple[int, int], str]:
    """What is open where ``\\partial L/\\partial z_y`` is claimed of the entry of number y, and of no other."""
    k, shown = "k" if letter != "k" else "j", node.value.shown
    what = f"{letter} is a number in the model, so that this is about one entry alone."
    instead = f"Write {shown}_{k} for all entries, with \\mathbb{{1}}[{k}={letter}] where that one is meant."
    return what, node.span, instead


def class_numbers(sides: Iterable[Node]) -> set[str]:
    """The names that an index is compared with."""
    found = set[str]()
    for node in (p for side in sides for p in parts(side)):
        if node.head == "compare" and node.value == "==" and any(x.head == "index" for x in node.args):
            bases = (x.args[0] if x.head == "entry" else x for x in node.args)
            found |= {str(x.value) for x in bases if x.head == "name"}
    return found


def is_entry(node: Node, shown: str, letters: Set[str], readings: Mapping[str, bool], where: str) -> bool:
    """Whether ``z_y``, beside a sum over z_k, is read as the entry of number y.  Raises `TwoReadings` where no reading
    is chosen."""
    if shown in readings:
        return readings[shown]
    letter, base = min(letters), node.value.shown
    k = "k" if letter != "k" else "j"
    raise TwoReadings(
        f"{shown} is the entry of number {letter} to some, and a name of its own to others.",
        of=shown,
        mark=shown,
        said=f"{shown} was read as the entry of number {letter} of {base}.",
        other=f"{shown} was read as a name of its own.",
        where=where,
        instead=f"Write \\sum_{k} \\mathbb{{1}}[{k}={letter}] {base}_{k} for the entry, and another letter for a name.",
    )
