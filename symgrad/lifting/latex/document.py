"""The equations of a text in LaTeX, once every symbol in them is resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from symgrad.lifting.latex.nodes import Node, spelled

__all__ = [
    "Claim",
    "Definition",
    "Document",
    "indices_of",
    "letters_below",
    "letters_in",
    "names_in_limits",
    "names_unbound",
    "parts",
]


@dataclass(frozen=True, slots=True)
class Definition:
    """``name_{indices} = body``; the name of a formula without a left side is None."""

    name: str | None
    indices: tuple[str, ...]
    body: Node
    others: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """d ``of`` / d ``wrt`` is ``body``; the indices are the axes in order."""

    of: str
    wrt: tuple[str, ...]
    indices: tuple[str, ...]
    body: Node
    order: int
    span: tuple[int, int]
    others: tuple[Node, ...] = ()
    below: tuple[tuple[str, ...], ...] = ()  # the indices of each name in wrt

    @property
    def key(self) -> str:
        return f"d{self.of}/d{'/d'.join(self.wrt)}"


@dataclass(frozen=True)
class Document:
    """The equations of one text with every symbol resolved."""

    text: str
    lines: tuple[Definition | Claim, ...]
    names: tuple[str, ...]
    sizes: frozenset[str]
    tensors: frozenset[str]
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    open: tuple[Node, ...] = ()  # derivatives that are used and that no row says

    @property
    def definitions(self) -> tuple[Definition, ...]:
        return tuple(line for line in self.lines if isinstance(line, Definition))

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(line for line in self.lines if isinstance(line, Claim))

    @property
    def output(self) -> str | None:
        """The name of what is defined last."""
        return self.definitions[-1].name if self.definitions else None


def parts(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    stack = [node]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(reversed(here.args))


def letters_in(item: Node) -> Iterable[str]:
    return (p.value.base for p in parts(item) if p.head == "symbol" and not p.args)


def letters_below(side: Node) -> Iterator[str]:
    for p in parts(side):
        if p.head in ("symbol", "entry"):
            label = p.value.label if p.head == "symbol" else ()
            for item in (*label, *p.args[p.head == "entry" :]):
                yield from letters_in(item)


def indices_of(node: Node) -> tuple[str, ...]:
    """The letters below a name on the left side, if it has only letters there."""
    found: list[str] = []
    for item in node.args:
        if item.head == "mul" and not any(item.value) and all(x.head == "symbol" and not x.args for x in item.args):
            found += [x.value.base for x in item.args]
        elif item.head == "symbol" and not item.args:
            found.append(item.value.base)
        else:
            return ()
    return tuple(found)


def names_in_limits(side: Node) -> Iterator[str]:
    """The names in the limits of sums that are no indices."""
    stack: list[tuple[Node, frozenset[str]]] = [(side, frozenset())]
    while stack:
        node, bound = stack.pop()
        if node.head in ("sum", "prod"):
            for limit in node.args[1:]:
                for p in parts(limit):
                    if p.head == "symbol" and not (not p.args and p.value.base in bound):
                        yield spelled(p) or p.value.base
            stack.append((node.args[0], bound | {node.value[0]}))
            stack.extend((a, bound) for a in node.args[1:])
        else:
            stack.extend((a, bound) for a in node.args)


def names_unbound(side: Node, left: Node | None) -> Iterator[str]:
    """Names with letters below that nothing in their row binds: ``w_h`` in a definition is a name."""
    wrt = left.args if left is not None and left.head == "derivative" else ()
    bound = [x for a in wrt for x in indices_of(a)]
    stack: list[tuple[Node, frozenset[str]]] = [(side, frozenset(bound))]
    while stack:
        node, scope = stack.pop()
        if node.head in ("sum", "prod"):
            scope = scope | {node.value[0]}
        if (
            node.head == "symbol"
            and (node.args or node.value.label)
            and not {x for i in (*node.value.label, *node.args) for x in letters_in(i)} & scope
        ):
            yield spelled(node) or node.value.base
        stack.extend((a, scope) for a in node.args)
