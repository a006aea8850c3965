"""Equalities along a loop, proved once for each kind of turn, and so for any number of turns.

The record of a loop at a size n is read as scalars, and walked in the order of computation.  Where residues say that a
node equals an earlier one, this is proved from a few operations back, over nodes that were proved equal before: a
*theorem*, in which all that matters is the shape of the two formulas.  Turns that are alike use the same theorems, so
that there are as many at n = 20 as at n = 1000.  This walk is an induction: what a turn rests on are the turns before
it (the hypothesis), and the first turns are proved as they stand (the base).

For which n it goes through is read off as well.  What was walked, with the theorem that each node used and the nodes
that it was used of, is a sequence of turns (`symgrad.proving.periods`), the same at each size but for their number: so
the walk is known at every size, and each step of it is a theorem that is proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from symgrad.evaluation.exact import meaning
from symgrad.program.builder import Builder
from symgrad.program.program import Program
from symgrad.proving.periods import Element, family_of
from symgrad.proving.proof import needs, prove
from symgrad.proving.scalar_records import Node, ScalarRecord, as_step

START = 16  # the least size at which turns are looked for
_FAR = (33, 101)  # sizes at which what was read is held against the code
_BACK = (1, 2, 3, 4, 5, 6)  # operations back that a theorem reads
_NODES = 120  # of a theorem
_WORK = 20_000  # of its proof
_LONG = 8  # terms from which a sum is no part of a theorem
_FACTORS = 400  # of a product that is multiplied out
_BESIDE = 3  # earlier nodes that a node is held against

_ONE = Fraction(1)

Shape = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Theorem:
    """Two steps of a ``program`` that are equal wherever both have a value."""

    program: Program
    left: int
    right: int

    def __str__(self) -> str:
        return f"{meaning(self.program, self.left)} = {meaning(self.program, self.right)}"


@dataclass(frozen=True, eq=False)
class Induction:
    """That a claim about loops holds for every ``size`` of at least ``least``.

    ``theorems`` are what the turns, and what is around them, rest on; ``loops`` is how many loops the record has,
    ``read_at`` and ``held_at`` are the sizes that it was read at, and at which it was then seen to be what was read.
    """

    size: str
    least: int
    theorems: tuple[Theorem, ...]
    loops: int
    read_at: tuple[int, ...]
    held_at: tuple[int, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        return (f"induction over {self.size}",)


@dataclass
class Theorems:
    """The theorems so far, by their shape: each is tried once, whatever the size and the turn that it is met at."""

    known: dict[Shape, tuple[int, Theorem | None]] = field(default_factory=dict)

    def number(self, shape: Shape) -> int | None:
        """The number of a theorem; None if it is none."""
        if shape not in self.known:
            self.known[shape] = len(self.known), _proved(shape)
        number, found = self.known[shape]
        return None if found is None else number


def prove_for_all(
    size: str, record_at: Callable[[int], ScalarRecord], theorems: Theorems, *, own: int = 1, beside: Sequence[int] = ()
) -> Induction | None:
    """The proof that a claim holds for every size from one on that is at most ``own``.

    ``record_at`` gives the record of the code at a size.  ``beside`` are sizes at which the code may go another way:
    there too the record, and the walk through it, have to be what was read.  Raises what ``record_at`` does.
    """
    read_at = tuple(range(START, START + 3))
    walks = [walk(record_at(n), theorems) for n in read_at]
    family = family_of(START, walks)
    if family is None or not family.loops or not all(map(_claimed, walks)):
        return None
    held_at = tuple(sorted({*_FAR, *(n for n in beside if n > read_at[-1])}))
    if any(walk(record_at(n), theorems) != family.at(n) for n in held_at):
        return None
    used = {number for w in walks for number in _numbers(w)}
    least = START
    while least > 1 and _claimed(first := walk(record_at(least - 1), theorems)):
        used |= set(_numbers(first))
        least -= 1
    if least > own:
        return None
    told = tuple(t for number, t in theorems.known.values() if t is not None and number in used)
    return Induction(size, least, told, family.loops, read_at, held_at)


# ---------------------------------------------------------------------------------------------------------- one record


def walk(record: ScalarRecord, theorems: Theorems) -> list[Element]:
    """The record and what was proved on the way: an element for each node, term of a sum, and pair of the claim.

    A token is the operation, its parameters, how the node was proved a multiple of an earlier one ("alike", or the
    number of a theorem), and what kinds of things it refers to; the integers are exponents, factors, coefficients and
    numbers, and where these things are.
    """
    found = _Walk(record, theorems)
    for i, node in record.nodes.items():
        if node.op not in ("input", "constant"):
            found.enter(i, node)
    for a, b in record.pairs:
        found.add("pair", None, "alike" if found.find(a) == found.find(b) else None, (a, b))
    return found.sequence


def _numbers(walked: Sequence[Element]) -> Iterator[int]:
    """The theorems that a walk used."""
    return (how for (_, _, how, *_), _ in walked if isinstance(how, int))


def _claimed(walked: Sequence[Element]) -> bool:
    return all(how is not None for (op, _, how, *_), _ in walked if op == "pair")


class _Walk:
    """A record on the way: nodes in classes, each a rational multiple of the first, and the sequence so far."""

    def __init__(self, record: ScalarRecord, theorems: Theorems) -> None:
        self.record, self.nodes, self.theorems = record, record.nodes, theorems
        self.first: dict[int, tuple[int, Fraction]] = {}
        self.place: dict[int, int] = {}
        self.alike: dict[Shape, tuple[int, Fraction]] = {}
        self.products: dict[int, tuple[dict[int, int], Fraction]] = {}
        self.looking: dict[tuple[int, ...], list[tuple[int, Fraction]]] = {}
        self.sequence: list[Element] = []

    def find(self, i: int) -> tuple[int, Fraction]:
        return self.first.get(i, (i, _ONE))

    def add(self, op: str, params: Any, how: Any, refers: Sequence[int], numbers: Sequence[int] = ()) -> None:
        where = [self._address(i) for i in refers]
        token = (op, params, how, len(numbers), *(kind for kind, _ in where))
        self.sequence.append((token, (*numbers, *(n for _, ns in where for n in ns))))

    def _address(self, i: int) -> tuple[Any, tuple[int, ...]]:
        node = self.nodes[i]
        if node.op == "input":
            name, place = node.params
            return ("input", name), place
        if node.op != "constant":
            return "node", (self.place[i],)
        value = node.params
        return ("number", value.as_integer_ratio()) if isinstance(value, Fraction) else (("constant", value), ())

    def enter(self, i: int, node: Node) -> None:
        """Prove a node equal to a multiple of an earlier one, if it is, and write it down."""
        how, leaves = self._known(i, node)
        self.place[i] = len(self.sequence)
        terms = node.args if node.op == "sum" else ()
        j, factor = self.find(i)
        refers = (*(() if terms else node.args), *(() if how is None else (j,)), *leaves)
        power = (node.params,) if node.op == "powi" else ()
        numbers = (*power, *(() if how is None else factor.as_integer_ratio()))
        self.add(node.op, None if terms or power else node.params, how, refers, numbers)
        for a, c in zip(terms, node.params if terms else (), strict=True):
            self.add("term", None, None, (a,), c.as_integer_ratio())

    def _known(self, i: int, node: Node) -> tuple[Any, Sequence[int]]:
        signature, factor = self._signature(node)
        if signature[0] == "same":
            self.first[i] = signature[1], factor
            return "alike", ()
        for said, c in ((signature, factor), *self._as_product(i, node)):
            if said[0] == "product" and len(said[1]) == 1 and said[1][0][1] == 1:  # a factor that is left alone
                self.first[i] = self._multiple(said[1][0][0], c)
                return "alike", ()
            j, other = self.alike.setdefault(said, (i, c))
            if j != i:
                self.first[i] = self._multiple(j, c / other)
                return "alike", ()
        prints = self.record.prints.get(i)
        if prints and len(prints) > 1 and not any(r for r, _ in prints):
            return None, ()  # of many signs one is nearly always such that their product is zero
        if prints is None or any(factor.numerator % p == 0 or factor.denominator % p == 0 for _, p in prints):
            return None, ()
        scale = {p: pow(factor.numerator, -1, p) * factor.denominator for _, p in prints}
        group = self.looking.setdefault(tuple(r * scale[p] % p for r, p in prints), [])
        for j, other in group[:_BESIDE]:
            for back in _BACK:
                shape, leaves = self._shape(j, i, factor / other, back)
                number = self.theorems.number(shape) if len(shape[0]) <= _NODES else None
                if number is not None:
                    self.first[i] = j, factor / other
                    return number, leaves
        group.append((i, factor))
        return None, ()

    def _multiple(self, i: int, c: Fraction) -> tuple[int, Fraction]:
        j, factor = self.find(i)
        return j, c * factor

    def _signature(self, node: Node) -> tuple[Shape, Fraction]:
        """What makes two nodes multiples of each other, and the factor of this one."""
        parts = [self.find(a) for a in node.args]
        factors = [c for _, c in parts]
        match node.op:
            case "sum":
                terms: dict[int, Fraction] = {}
                for (a, f), c in zip(parts, node.params, strict=True):
                    terms[a] = terms.get(a, Fraction(0)) + c * f
                kept = sorted((a, c) for a, c in terms.items() if c)
                if not kept:
                    return ("zero",), _ONE
                lead = kept[0][1]
                return ("same", kept[0][0]) if len(kept) == 1 else ("sum", tuple((a, c / lead) for a, c in kept)), lead
            case "mul":
                return ("mul", tuple(sorted(a for a, _ in parts))), factors[0] * factors[1]
            case "div":
                return ("div", parts[0][0], parts[1][0]), factors[0] / factors[1]
            case "powi":
                return ("powi", parts[0][0], node.params), factors[0] ** node.params
            case "sign" if factors[0]:
                return ("sign", parts[0][0]), Fraction(1 if factors[0] > 0 else -1)
            case "abs":
                return ("abs", parts[0][0]), abs(factors[0])
        return (node.op, tuple(parts), node.params), _ONE

    def _as_product(self, i: int, node: Node) -> Iterator[tuple[Shape, Fraction]]:
        """A product as powers of what is none, in any order and however it was multiplied up; if it has few factors."""
        if node.op not in ("mul", "div", "powi"):
            return
        signs = {"mul": (1, 1), "div": (1, -1), "powi": (node.params,)}[node.op]
        powers: dict[int, int] = {}
        factor = _ONE
        for a, sign in zip(node.args, signs, strict=True):
            j, c = self.find(a)
            inner, more = self.products.get(j, ({j: 1}, _ONE))
            factor *= (c * more) ** sign
            for k, power in inner.items():
                powers[k] = powers.get(k, 0) + power * sign
        powers = {k: power for k, power in powers.items() if power}
        one = next((k for k in powers if self.nodes[k].op == "constant"), None)
        if one is not None and self.nodes[one].params == 1:
            del powers[one]
        if len(powers) <= _FACTORS:
            self.products[i] = powers, factor
            yield ("product", tuple(sorted(powers.items()))), factor

    def _shape(self, j: int, i: int, c: Fraction, back: int) -> tuple[Shape, list[int]]:
        """That node ``i`` is ``c`` times node ``j``, written in nodes up to ``back`` operations before."""
        near: dict[int, int] = {}
        level = [self.find(a)[0] for k in (j, i) for a in self.nodes[k].args]
        for depth in range(1, back + 1):
            level = [a for a in dict.fromkeys(level) if a not in near]
            near |= dict.fromkeys(level, depth)
            level = [self.find(b)[0] for a in level if self._opens(a) for b in self.nodes[a].args]
        out: list[Node | None] = []
        seen: dict[int, int] = {}
        leaves: list[int] = []

        def scaled(k: int) -> tuple[int, Fraction]:
            k, factor = self.find(k)
            if k not in seen:
                node = self.nodes[k]
                if node.op == "constant":
                    made: Node | None = node
                elif near[k] < back and self._opens(k):
                    made = inner(node)
                else:
                    made = None
                    leaves.append(k)
                seen[k] = len(out)
                out.append(made)
            return seen[k], factor

        def inner(node: Node) -> Any:
            return replace(node, args=tuple(map(scaled, node.args)))

        sides = [inner(self.nodes[k]) for k in (j, i)]
        return (tuple(out), *sides, c), leaves

    def _opens(self, k: int) -> bool:
        node = self.nodes[k]
        return node.op not in ("input", "constant") and len(node.args) <= _LONG


# ---------------------------------------------------------------------------------------------------------- a theorem


def _proved(shape: Shape) -> Theorem | None:
    """The theorem that both formulas of a shape are equal wherever both have a value, if that can be proved."""
    inner, left, right, factor = shape
    b = Builder()
    letters = _letters()
    place: list[int] = []
    for node in inner:
        place.append(b.input(next(letters), ()) if node is None else _written(b, node, place))
    sides = [_times(b, factor, _written(b, left, place)), _written(b, right, place)]
    program = b.build({})
    proof = prove(program, *sides, effort=_WORK)
    if proof is None:
        return None
    given = {c for i in sides for c in needs(program, i)}
    fits = all(c in given or c.what == "is not zero" for c in proof.conditions)  # no stronger than both sides ask for
    return Theorem(program, *sides) if fits else None


def _written(b: Builder, node: Any, place: Sequence[int]) -> int:
    args = tuple(_times(b, c, place[a]) for a, c in node.args)
    if node.op != "sum":
        step = as_step(node, args)
        return b.emit(step.op, step.args, step.params, ())
    parts = [_times(b, c, a) for a, c in zip(args, node.params, strict=True)]
    total = parts[0] if parts else b.number(0)
    for part in parts[1:]:
        total = b.add(total, part)
    return total


def _times(b: Builder, c: Fraction, i: int) -> int:
    return i if c == 1 else b.mul(b.number(c), i)


def _letters() -> Iterator[str]:
    yield from "abcdefghklmnpqrsuvwxyz"
    yield from (f"a{k}" for k in range(1, _NODES + 1))
