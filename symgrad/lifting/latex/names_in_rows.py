"""The names that rows in LaTeX use: which are bound, which are steps of a recurrence, which row needs which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from fractions import Fraction
from typing import Any

from symgrad.lifting.latex.equations import Definition, Equation, indices_of
from symgrad.lifting.latex.token_reader import (
    Name,
    Node,
    letters_below,
    letters_in,
    parts,
    power_name,
    settled,
    spelled,
)


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


def symbols_bare(side: Node) -> Iterator[Node]:
    """Symbols that are not called."""
    stack = [side]
    while stack:
        node = stack.pop()
        if node.head == "symbol":
            yield node
        stack.extend(node.args[node.head == "apply" :])


def names_bare(side: Node) -> Iterator[str]:
    """Names that are not called."""
    return (spelled(node) or node.value.base for node in symbols_bare(side))


def speeds(known: Set[str] | None, time: Node) -> dict[str, str]:
    """What moves along a time that is no input, ``\\frac{d}{dt}`` beside ``\\dot x``, and the names of its speeds."""
    inputs = known or frozenset()
    if spelled(time) in inputs:
        return {}
    moving = {n.removesuffix("_dot"): n for n in sorted(inputs) if n.endswith("_dot")}
    return moving | {n: f"{n.removesuffix('_dot')}_ddot" for n in moving.values()}


def subscripted_slope(node: Node, functions: Mapping[str, Definition]) -> Node | None:
    """``f_x`` of a function f(x, y) that a row defines, as the derivative that it is."""
    f, below = functions.get(node.value.base), indices_of(node)
    if f is None or not below or not set(below) <= set(f.arguments):
        return None
    wrt = (Node("symbol", (), node.span, Name(x, "", x)) for x in below)
    return Node("derivative", (replace(node, args=()), *wrt), node.span, len(below))


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


def with_another_letter(fold: Node, taken: Iterable[str]) -> Node:
    """A sum over a letter that nothing else has: of ``\\sum_k u_{ik} v_{jk}`` beside a k that is free."""
    index, span = fold.value
    used = {p.value.base for p in parts(fold) if p.head == "symbol"} | set(taken)
    fresh = next(x for x in "lqstuvwzabcd" if x not in used)

    def renamed(node: Node) -> Node:
        if node.head in ("sum", "prod") and node.value[0] == index:
            return node
        args = tuple(map(renamed, node.args))
        if node.head != "symbol":
            return replace(node, args=args)
        base = fresh if node.value.base == index and not node.args else node.value.base
        return replace(
            node, args=args, value=replace(node.value, base=base, label=tuple(map(renamed, node.value.label)))
        )

    body, *ends = fold.args
    return replace(fold, args=(renamed(body), *ends), value=(fresh, span))


def in_order(found: Sequence[Equation], taken: Set[str] | None) -> Sequence[Equation]:
    """The rows in the order in which they need each other: ``E = (y - t)^2, y = \\tanh(z)`` says y last.

    As they stand where they are in order, or need each other in a circle, or leave open which row is the last.  Beside
    claims, where it is known what names are ``taken`` by the model, rows that say what others are go before the claims
    that use these.
    """
    rows = [e for e in found if e.left is not None and e.left.head == "symbol"]
    beside_claims = len(rows) < len(found)
    if beside_claims and taken is None:
        return found
    said = {names_of(e.left): k for k, e in enumerate(found) if e.left is not None and e.left.head == "symbol"}
    needs = [
        {said[n] for side in e.sides for p in parts(side) if p.head == "symbol" for n in [names_of(p)] if n in said}
        - {said[n] for a in e.arguments for n in [names_of(a)] if n in said}
        for e in found
    ]
    if len(said) < len(rows) or all(k > n for k, names in enumerate(needs) for n in names):
        return found
    if beside_claims and taken is not None and not taken.isdisjoint(said):
        return found
    done: list[int] = []
    while len(done) < len(found):
        ready = [k for k in range(len(found)) if k not in done and needs[k] <= set(done)]
        if not ready:
            return found
        done += ready[:1]
    used = set[int]().union(*needs)
    last = [k for k in done if k not in used]
    return [found[k] for k in done] if beside_claims or len(last) == 1 else found


def names_of(symbol: Node) -> str:
    """What a name goes by, whatever its indices are."""
    letters = indices_of(symbol)
    return symbol.value.base if letters else spelled(symbol) or symbol.value.base


def letters_of_steps(found: Sequence[Equation]) -> frozenset[str]:
    """The letters of one step of a recurrence, ``h_t = \\tanh(w h_{t-1})``: they are part of names, and no indices."""
    steps: set[str] = set()
    for e in found:
        if e.left is None or e.left.head != "symbol" or e.left.value.label:
            continue
        own = indices_of(e.left)
        for p in (p for side in e.sides for p in parts(side)):
            if p.head == "symbol" and p.value.base == e.left.value.base and len(p.args) == len(e.left.args):
                shifted = {x for item in p.args if item.head == "add" for x in letters_in(item)}
                steps |= shifted.intersection(own)
    bound = {p.value[0] for e in found for side in e.bodies for p in parts(side) if p.head in ("sum", "prod")}
    return frozenset(steps - bound)


LETTERS_ALONE = {
    "e": (
        "e alone is a number to some and a name to others.",
        "Write \\mathrm{e} for the number 2.718..., \\exp(x) for a power; another letter for a name.",
    ),
    "i": (
        "i alone is an index that nothing binds, or the imaginary unit.",
        "Write the sum over i; formulas are read over the real numbers.",
    ),
}


def adds_the_identity(found: Sequence[Equation]) -> bool:
    """Whether I is the identity, as where it is added to products of matrices: ``X^\\top X - I``, ``I + A B``."""

    def capitals(term: Node) -> list[Node]:
        return [p for p in parts(term) if p.head == "symbol" and p.value.base[0].isupper()]

    def is_identity(term: Node) -> bool:
        return [(p.value.base, p.args) for p in capitals(term)] == [("I", ())] and term.head in ("symbol", "mul", "neg")

    def is_product(term: Node) -> bool:
        return len(capitals(term)) > 1 and all(p.value.base != "I" for p in capitals(term))

    sums = (p.args for e in found for side in e.bodies for p in parts(side) if p.head == "add")
    return any(any(map(is_identity, terms)) and any(map(is_product, terms)) for terms in sums)


def moving_e(found: Sequence[Equation]) -> Set[str]:
    """The letter e, where ``\\dot e`` says that it is a name; none where it is raised to what is no number."""
    nodes = [p for e in found for side in e.bodies for p in parts(side)]
    moves = any(p.head == "symbol" and p.value.base in ("e_dot", "e_ddot") for p in nodes)
    raised = (p for p in nodes if p.head == "pow" and p.args[0].head == "symbol" and p.args[0].value.base == "e")
    return {"e"} if moves and all(p.args[1].head == "number" for p in raised) else set()


def unindexed(node: Node, scope: frozenset[str], defined: Set[str]) -> str:
    """A name without the indices that are bound around it, unless it is ``defined`` with them."""
    node = settled(node, scope.__contains__)
    full = spelled(node)
    if full is None or (full not in defined and {x for item in node.args for x in letters_in(item)} & scope):
        return node.value.base
    return full


def said_power(node: Node, defined: Set[str]) -> tuple[str, Fraction] | None:
    """The name of ``\\sigma^2`` where a row says what it is, and to which power it stands."""
    base, exponent = node.args
    if base.head != "symbol" or exponent.head != "number" or exponent.value.denominator != 1:
        return None
    for k in range(int(exponent.value), 1, -1):
        name = power_name(spelled(base) or "", k)
        if exponent.value % k == 0 and name in defined:
            return name, exponent.value / k
    return None


def constant_factors(node: Node, index: str) -> Iterator[Node]:
    """The last factors after ``\\prod_i``, which do not hold its index: are they multiplied once?  One that stands
    before another that does is inside."""
    body = node.args[0]
    if node.head == "prod" and body.head == "mul" and body.span[0] >= body.args[0].span[0]:  # in no parentheses
        for factor in reversed(body.args):
            alone = {p.value.base for p in parts(factor) if p.head == "symbol" and not p.args}
            if index in alone | set(letters_below(factor)):
                return
            yield factor


def possible_transposes(node: Node, arguments: Set[str]) -> Iterator[Node]:
    """The factors with a mark before one of the same name, ``y'y``, or of an argument's name: ``f(x) = x'y``."""
    for k, factor in enumerate(node.args[:-1]):
        base, _, mark = factor.value.base.rpartition("_") if factor.head == "symbol" else ("", "", "")
        if mark in ("prime", "star") and not node.value[k]:
            after = {p.value.base for x in node.args[k + 1 :] for p in parts(x) if p.head == "symbol"}
            if base in after | arguments:
                yield factor


def hidden_arguments(f: Definition, shown: str, said: Mapping[str, Node], lets: Set[str]) -> tuple[str, str] | None:
    """Why a function's row does not tell what it is at other arguments, and what to write; ``said`` are the rows of
    names."""
    inside = {str(p.value) for p in parts(f.body) if p.head in ("name", "size", "slope")}
    sizes = {p.value for p in parts(f.body) if p.head == "size"}
    for a in f.arguments:
        if a in sizes or (a not in inside and not inside.isdisjoint((a.swapcase(), a.split("_")[0]))):
            return f"{a} is a size or another name in its row", "Write out its value here."
    name = _hiding_name(inside - set(f.arguments), said, lets, set(f.arguments))
    if name is None:
        return None
    return f"its row is written by means of {name}", f"Write {shown} without {name}, or write out its value here."


def _hiding_name(inside: Set[str], said: Mapping[str, Node], lets: Set[str], arguments: Set[str]) -> str | None:
    """A name in a function's row that is itself said by means of the arguments; ``said`` are the rows of names."""
    stack, seen = list(inside & lets), set[str]()
    while stack:
        name = stack.pop()
        seen.add(name)
        below = {str(p.value) for p in parts(said[name]) if p.head == "name"} if name in said else set(arguments)
        if below & arguments:
            return name
        stack += below & lets - seen
    return None


def held_or_moving(of: Node, wrt: Sequence[Node], scope: frozenset[str], defined: Set[str]) -> str | None:
    """A name that a row defines, in ``\\frac{\\partial}{\\partial x}(x y)``: y may be held, or move with x."""
    inside = {unindexed(p, scope, defined) for p in symbols_bare(of)}
    return min(inside & defined, default=None) if inside & {unindexed(w, scope, defined) for w in wrt} else None


def half_defined(
    logarithms: Iterable[str], names: Mapping[str, tuple[int, int]], defined: Set[str]
) -> Iterator[tuple[str, tuple[int, int], str]]:
    """What is used of which only the logarithm or a power is defined, where, and what to write instead."""
    for name in logarithms:
        if name in names and name not in defined:
            instead = f"Write \\exp(\\ln {name}), or a row that says what {name} is."
            yield f"{name} is used, and only its logarithm is defined.", names[name], instead
    for name in defined & {power_name(n, k) for n in names for k in range(2, 10)}:
        base, _, power = name.rpartition("_to_")
        if base not in defined:
            instead = f"Write its powers as powers of {base}^{power}, or a row that says what {base} is."
            yield f"{base} is used, and only its power {power} is defined.", names[base], instead


def in_two_fonts(styles: Mapping[str, Mapping[str, tuple[tuple[int, int], bool]]]) -> Iterator[tuple[Any, ...]]:
    """One letter in two fonts, unless one is a tensor and the other its entries: what is open, where, what to do."""
    for base, fonts in styles.items():
        entries = {entry for _, entry in fonts.values()}
        if len(fonts) > 1 and not (len(fonts) == 2 and entries == {True, False}):
            what = f"{base} stands in two fonts: one name or two is not clear."
            yield what, list(fonts.values())[-1][0], "Rename one of them."
