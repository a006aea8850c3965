"""A Program as scalars: what each entry is computed from, with everything that only moves entries gone.

Slices, stacks and writes into arrays leave no node, equal operations on equal nodes are one, and what is added up along
the way is one sum, whatever the order: of a loop this leaves its turns, as plain as they are on paper.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import SymgradError
from symgrad.program.primitives import primitive
from symgrad.program.program import Constant, Program, Step, positions, size
from symgrad.proving.congruence import residues_of

LARGEST = 1 << 15  # nodes
_LONG = 12  # nodes of a sum in an exponent that are looked through for logarithms
_POWER = 16  # of a number, which is written out
_SIGNED = (
    24  # points at which nodes are told apart where there are signs, of which a point gives each one of two values
)


class NoScalars(SymgradError):
    """A Program with operations on whole matrices, complex numbers, or too many entries."""


@dataclass(frozen=True, slots=True)
class Node:
    """``op`` of earlier nodes; a ``sum`` is of its args, each times its coefficient in ``params``.

    An ``input`` is an entry of one: ``params`` are its name and the entry's place.
    """

    op: str
    args: tuple[int, ...] = ()
    params: Any = None


@dataclass(frozen=True, eq=False)
class ScalarRecord:
    """Nodes by number, those that the ``pairs`` need in the order of computation, and what residues say of each.

    A pair is two nodes that are said to be equal.  Each residue comes with its modulus, a prime.
    """

    nodes: Mapping[int, Node]
    pairs: tuple[tuple[int, int], ...]
    prints: Mapping[int, tuple[tuple[int, int], ...]]


def scalar_records(
    program: Program, claims: Mapping[str, tuple[int, int]], *, multiplied: bool = False
) -> dict[str, ScalarRecord]:
    """The record of each claim: the entries of two steps, in pairs; with ``multiplied``, an exponential of logarithms
    is a product.  Raises `NoScalars`.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", (3,))
    >>> squares, plain = b.sum(b.mul(x, x), 0), b.sum(x, 0)
    >>> record = scalar_records(b.build({}), {"s": (squares, plain)})["s"]
    >>> [n.op for n in record.nodes.values()]
    ['input', 'input', 'input', 'mul', 'mul', 'mul', 'sum', 'sum']
    """
    steps, place = primitive(program, [i for pair in claims.values() for i in pair])
    scalars = _Scalars(multiplied)
    entries: list[np.ndarray] = []
    for step in steps:
        if step.is_complex or len(scalars.nodes) > LARGEST:
            raise NoScalars("it is not of few real numbers.")
        read = scalars.read(step, [entries[a] for a in step.args])
        entries.append(np.asarray(read, dtype=np.int64).reshape(step.shape))
    pairs = {n: zip(entries[place[a]].flat, entries[place[b]].flat, strict=True) for n, (a, b) in claims.items()}
    return {n: scalars.record(tuple((int(a), int(b)) for a, b in each)) for n, each in pairs.items()}


@dataclass
class _Scalars:
    multiplied: bool = False
    nodes: list[Node] = field(default_factory=list)
    known: dict[Node, int] = field(default_factory=dict)

    def put(self, op: str, args: tuple[int, ...] = (), params: Any = None) -> int:
        node = Node(op, tuple(sorted(args)) if op in ("add", "mul") else args, params)
        if node not in self.known:
            self.known[node] = len(self.nodes)
            self.nodes.append(node)
        return self.known[node]

    def number(self, value: Any) -> int:
        return self.put("constant", (), value)

    def value(self, i: int) -> Fraction | None:
        """The rational number that a node is."""
        node = self.nodes[i]
        return node.params if node.op == "constant" and isinstance(node.params, Fraction) else None

    def apply(self, op: str, args: tuple[int, ...], params: Any = None) -> int:
        """The node of an operation on nodes; a product is a rational number times one without: -x y is -1 (x y)."""
        match op, args:
            case "sub", (a, b):
                return self.apply("add", (a, self.apply("neg", (b,))))
            case "add", _:
                return self._added(*args)
            case "exp", (a,) if self.multiplied and (logs := self._logarithms(a)):
                return self._out_of_exponent(a, logs)
            case "log", (a,) if self.multiplied and self.nodes[a].op == "exp":
                return self.nodes[a].args[0]
            case "pow", (a, b) if (n := self.value(b)) is not None and n.denominator == 1:  # 65 - 1 is a number too
                return self._power(a, int(n))
        parts = [self._split(a) for a in args]
        factors = [c for c, _ in parts]
        inner = [i for _, i in parts]
        match op:
            case "neg":
                return self._times(-factors[0], inner[0])
            case "mul":
                others = [i for i in inner if i is not None]
                core = others[0] if len(others) == 1 else self.put("mul", tuple(others)) if others else None
                return self._times(factors[0] * factors[1], core)
            case "div" if factors[1]:
                core = inner[0] if inner[1] is None else self.put("div", (self._times(Fraction(1), inner[0]), inner[1]))
                return self._times(factors[0] / factors[1], core if factors[0] else None)
            case "powi" if inner[0] is None or params <= _POWER:
                return self._times(
                    factors[0] ** params, None if inner[0] is None else self.put(op, (inner[0],), params)
                )
        return self.put(op, args, params)

    def _terms(self, i: int) -> dict[int | None, Fraction]:
        """What is added up in a node, if that is not much: each with its factor."""
        terms: dict[int | None, Fraction] = {}
        stack = [(i, Fraction(1))]
        for _ in range(_LONG):
            if not stack:
                break
            j, c = stack.pop()
            n, core = self._split(j)
            if core is not None and self.nodes[core].op == "add":
                stack += [(a, c * n) for a in reversed(self.nodes[core].args)]
            else:
                terms[core] = terms.get(core, Fraction(0)) + c * n
        return {} if stack else terms

    def _logarithms(self, i: int) -> dict[int, int]:
        """The logarithms among what is added up, and how often each is."""
        found = self._terms(i).items()
        return {k: int(c) for k, c in found if k is not None and self.nodes[k].op == "log" and c.denominator == 1 and c}

    def _out_of_exponent(self, i: int, logs: Mapping[int, int]) -> int:
        """exp(x + 2 log(y)) is exp(x) y**2."""
        rest = [self._times(c, k) for k, c in self._terms(i).items() if k not in logs]
        powers = [self._power(self.nodes[k].args[0], n) for k, n in logs.items()]
        made = functools.reduce(lambda a, b: self.apply("mul", (a, b)), powers)
        return self.apply("mul", (self.apply("exp", (self.total(rest),)), made)) if rest else made

    def _power(self, a: int, n: int) -> int:
        if n < 0:
            return self.apply("div", (self.number(Fraction(1)), self._power(a, -n)))
        return a if n == 1 else self.apply("powi", (a,), n) if n else self.number(Fraction(1))

    def _added(self, a: int, b: int) -> int:
        if 0 in (self.value(a), self.value(b)):
            return b if self.value(a) == 0 else a
        (c, x), (d, y) = self._split(a), self._split(b)
        return self._times(c + d, x) if x == y else self.put("add", (a, b))

    def _split(self, i: int) -> tuple[Fraction, int | None]:
        """A node as a rational number times another; None is the number one."""
        node = self.nodes[i]
        if (number := self.value(i)) is not None:
            return number, None
        n = self.value(node.args[0]) if node.op == "mul" else None
        return (Fraction(1), i) if n is None else (n, node.args[1])

    def _times(self, c: Fraction, i: int | None) -> int:
        if i is None or not c:
            return self.number(c)
        return i if c == 1 else self._put_product(c, i)

    def _put_product(self, c: Fraction, i: int) -> int:
        """A number times a node, the number first."""
        node = Node("mul", (self.number(c), i))
        if node not in self.known:
            self.known[node] = len(self.nodes)
            self.nodes.append(node)
        return self.known[node]

    def total(self, terms: Iterable[int]) -> int:
        out = self.number(Fraction(0))
        for t in terms:
            out = self.apply("add", (out, t))
        return out

    def read(self, step: Step, args: list[np.ndarray]) -> Any:
        """The nodes of a step's entries."""
        match step.op:
            case "input":
                return [self.put("input", (), (step.params, i)) for i in np.ndindex(step.shape)]
            case "constant":
                return _each(self, step.params)
            case "pick":
                zero = [self.number(Fraction(0))]
                return np.concatenate([zero, *(a.reshape(-1) for a in args)])[positions(step.params, step.shape)]
            case "scatter":
                terms: list[list[int]] = [[] for _ in range(size(step.shape) + 1)]
                for where, node in zip(positions(step.params, args[0].shape), args[0].flat, strict=True):
                    terms[where].append(int(node))
                return [self.total(t) for t in terms[1:]]
            case "matmul":
                a, b = args
                rows = ((k, i, j) for k in range(len(a)) for i in range(a.shape[1]) for j in range(b.shape[2]))
                pairs = (zip(a[k, i], b[k, :, j], strict=True) for k, i, j in rows)
                return [self.total(self.apply("mul", (int(x), int(y))) for x, y in row) for row in pairs]
            case (
                "inverse"
                | "det"
                | "solve"
                | "logabsdet"
                | "cholesky"
                | "matrix_exp"
                | "eigenpairs"
                | "general_eigenpairs"
            ):
                raise NoScalars(f"{step.op} is no function of few entries.")
        return [
            self.apply(step.op, tuple(map(int, each)), step.params)
            for each in zip(*(a.flat for a in args), strict=True)
        ]

    def record(self, pairs: tuple[tuple[int, int], ...]) -> ScalarRecord:
        """The nodes that the pairs need, sums of sums made one where no one else uses the inner one."""
        needed: set[int] = set()
        uses: dict[int, list[int]] = {}
        stack = [i for pair in pairs for i in pair]
        ends = set(stack)
        while stack:
            i = stack.pop()
            if i not in needed:
                needed.add(i)
                for a in self.nodes[i].args:
                    uses.setdefault(a, []).append(i)
                    stack.append(a)
        if any(self.nodes[i].op == "unknown" for i in needed):
            raise NoScalars("it holds a number that was typed or computed with few digits.")
        order = sorted(needed)
        inner = {
            i
            for i in order
            if i not in ends and self._is_linear(i) and len(uses[i]) == 1 and self._is_linear(uses[i][0])
        }
        nodes = {i: self._sum(i, inner) if self._is_linear(i) else self.nodes[i] for i in order if i not in inner}
        signed = any(self.nodes[i].op in ("sign", "abs") for i in order)
        looks = residues_of(self._steps(order), range(len(order)), _SIGNED if signed else 1)
        prints: dict[int, list[tuple[int, int]]] = {}
        for keys, modulus in looks:
            for k, key in keys.items():
                prints.setdefault(order[k], []).extend((r, modulus) for r in np.frombuffer(key, np.uint64).tolist())
        return ScalarRecord(nodes, pairs, {i: tuple(found) for i, found in prints.items()})

    def _is_linear(self, i: int) -> bool:
        return self.nodes[i].op == "add" or self._split(i)[1] not in (i, None)

    def _sum(self, top: int, inner: set[int]) -> Node:
        terms: dict[int, Fraction] = {}
        stack = [(top, Fraction(1))]
        while stack:
            i, c = stack.pop()
            n, core = self._split(i)
            if i != top and i not in inner:
                terms[i] = terms.get(i, Fraction(0)) + c
            elif core != i and core is not None:
                stack.append((core, c * n))
            else:
                stack += [(a, c) for a in reversed(self.nodes[i].args)]
        terms = {i: c for i, c in terms.items() if c}
        return Node("sum", tuple(terms), tuple(terms.values()))

    def _steps(self, order: Sequence[int]) -> list[Step]:
        place = {i: k for k, i in enumerate(order)}
        return [as_step(self.nodes[i], tuple(place[a] for a in self.nodes[i].args)) for i in order]


def as_step(node: Node, args: tuple[int, ...]) -> Step:
    """A node as a step of a Program."""
    params = node.params
    if node.op == "input":
        params = f"{params[0]}{list(params[1])}"
    elif node.op == "constant":
        exact = sp.Rational(params.numerator, params.denominator) if isinstance(params, Fraction) else params
        params = Constant(np.array(float(exact)), exact)
    return Step(node.op, args, params, (), "float64")


def _each(scalars: _Scalars, c: Constant) -> list[int]:
    """The nodes of a constant's entries; of what has none an unknown one, which is no fault where nothing needs it."""
    if c.radius is not None or not np.isfinite(c.value).all():
        return [scalars.put("unknown")] * c.value.size
    exact: Any = c.value if c.exact is None else c.exact
    entries = [exact] * c.value.size if isinstance(exact, sp.Basic) else np.asarray(exact, dtype=object).reshape(-1)
    plain = [Fraction(int(x.p), int(x.q)) if isinstance(x, sp.Rational) else x for x in entries]
    return [scalars.number(x if isinstance(x, sp.Basic) else Fraction(x)) for x in plain]
