"""Functions, sums, products and choices in formulas in LaTeX, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Protocol

import sympy as sp

from symgrad.errors import SymgradError, UnknownOperation
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.tensor_values import Algebra, Value
from symgrad.lifting.text.lexer import applied, resolve

__all__ = ["called", "chosen", "folded"]

Scope = Mapping[str, Any]  # what an index stands for
_WHOLE = frozenset("exp log sqrt cos sin cosh sinh log2 log10".split())  # of a matrix these have a second meaning


class Reader(Protocol):
    """What reads the parts of a node: `symgrad.lifting.latex.semantics.Meaning`."""

    algebra: Algebra

    def value(self, node: Node, scope: Scope) -> Value: ...

    def fail(self, what: str, node: Node, instead: str | None = None, kind: type[SymgradError] = ...) -> NoReturn: ...

    def refuse_whole(self, value: Value, node: Node, what: str) -> None: ...

    def symbol(self, index: str) -> sp.Symbol: ...

    def extent(self, index: str, body: Node, known: int | None) -> int: ...

    def uses(self, index: str, body: Node) -> Iterator[tuple[int, int, Node]]: ...


def called(reader: Reader, node: Node, scope: Scope) -> Value:
    name, primes = node.value
    values = [reader.value(x, scope) for x in node.args]
    a = reader.algebra
    tensors: dict[str, Callable[[Value], Value]] = {
        "det": a.determinant,
        "tr": a.trace,
        "diag": a.diagonal,
        "softmax": a.softmax,
        "logsumexp": a.logsumexp,
        "logdet": lambda v: a.scalar(sp.log(a.determinant(v).at())),
        "total": lambda v: a.scalar(a.over_all(v, lambda x: x)),
    }
    if name in tensors:
        if primes:
            reader.fail(f"the derivative of {name} is not read.", node, "Write it out.")
        return tensors[name](values[0])
    found = resolve(name)
    assert found is not None
    head, extra, _, most = found
    if name in _WHOLE:
        reader.refuse_whole(values[0], node, name)
    if head == "polygamma" or (
        head not in ("maximum", "minimum") and most is not None and len(values) < most and name != "log"
    ):
        reader.fail(f"{name} is not read in LaTeX.", node, "Write it out.", UnknownOperation)
    if not primes:
        return a.map(lambda *x: applied(head, extra, x), values, f"{name}")
    x = sp.Dummy("x", real=True)
    slope = applied(head, extra, (x,))
    for _ in range(primes):
        slope = sp.diff(slope, x)
    if slope.has(sp.Derivative, sp.DiracDelta, sp.Heaviside, sp.sign):
        reader.fail(f"the derivative of {name} has a jump.", node, "Write it out, with \\begin{cases}.")
    return a.map(lambda z: slope.subs(x, z), values, name)


def folded(reader: Reader, node: Node, scope: Scope) -> Value:
    """A sum or product over an index."""
    index, fold = node.value, sp.Sum if node.head == "sum" else sp.Product
    symbol = reader.symbol(index)
    inside = {**scope, index: symbol}
    body, *ends = node.args
    if ends:
        limits = [reader.algebra.number(reader.value(x, scope)) for x in ends]
        for limit, where in zip(limits, ends, strict=True):
            if limit.shape or not _is_whole(limit.at()):
                reader.fail("a limit must be a whole number or a size.", where)
        low, high = (x.at() for x in limits)
    else:
        n = reader.extent(index, body, None)
        origins = {o for _, o, _ in reader.uses(index, body)}
        if len(origins) > 1:
            reader.fail(f"the index {index} counts from 0 along one axis and from 1 along another.", node)
        low = sp.Integer(origins.pop())
        high = low + n - 1
    value = reader.value(body, inside)
    return Value(value.shape, lambda *i: fold(value.at(*i), (symbol, low, high)), value.row)


def chosen(reader: Reader, node: Node, scope: Scope) -> Value:
    """Cases, entry by entry; an indicator is 1 or 0."""
    if node.head == "indicator":
        values = [reader.algebra.scalar(sp.Integer(1)), reader.algebra.scalar(sp.Integer(0))]
        conditions = [node.args[0]]
    else:
        count = len(node.args) // 2
        values = [reader.value(x, scope) for x in (*node.args[0 : 2 * count : 2], *node.args[2 * count :])]
        conditions = list(node.args[1 : 2 * count : 2])
    sides: list[Value] = []
    made = [_condition(reader, c, scope, sides) for c in conditions]
    count = len(values)

    def pick(*x: Any) -> Any:
        pairs = [(v, f(x[count:])) for v, f in zip(x[:count], made, strict=False)]
        if count > len(made):
            pairs.append((x[count - 1], True))
        return sp.Piecewise(*pairs)

    return reader.algebra.map(pick, [*values, *sides], "a choice")


def _condition(reader: Reader, node: Node, scope: Scope, sides: list[Value]) -> Callable[[Any], Any]:
    if node.head == "compare":
        k = len(sides)
        sides += [reader.value(x, scope) for x in node.args]
        return lambda x: sp.Rel(x[k], x[k + 1], node.value)
    left, right = (_condition(reader, x, scope, sides) for x in node.args)
    joined = sp.And if node.head == "and" else sp.Or
    return lambda x: joined(left(x), right(x))


def _is_whole(e: Any) -> bool:
    return bool(e.is_integer)
