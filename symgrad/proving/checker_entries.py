"""Entries of steps as scalar formulas, for the checker: what an operation on arrays is of single numbers.

A formula is read back through the steps that a link opens; an entry of any other step is an unknown, one for each
class of joined steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

from symgrad.proving.checker_adjoint import CheckedStep, position
from symgrad.proving.checker_arithmetic import NotCovered
from symgrad.proving.checker_rules import Node

_NODES = 1 << 17  # of one formula
_SPACE = ("name", "cast", "stop")  # operations that are the identity
_ALONG = ("softmax", "log_softmax", "logsumexp")  # an axis
_MATRIX = ("inverse", "solve", "det", "logabsdet", "cholesky")


class Classes(Protocol):
    """The steps, and what stands for each of them."""

    steps: list[CheckedStep]

    def find(self, i: int) -> int: ...
    def is_held(self, i: int) -> bool: ...
    def landing_of(self, i: int) -> dict[int, list[int]]: ...


class Formula:
    """Entries of steps as one scalar formula, read back to the steps that are not opened."""

    def __init__(self, classes: Classes, opened: frozenset[int], written_out: bool) -> None:
        self.classes = classes
        self.opened = opened
        self.written_out = written_out
        self.nodes: list[Node] = []
        self.made: dict[tuple[Any, ...], int] = {}
        self.places: dict[tuple[int, int], int] = {}

    def emit(self, op: str, *args: int, param: Any = None, mark: Any = None, complex: bool = False) -> int:
        key = (op, args, param, mark, complex)
        if key not in self.made:
            if len(self.nodes) >= _NODES:
                raise NotCovered("a formula with too many operations")
            self.made[key] = len(self.nodes)
            self.nodes.append(Node(op, args, param, complex))
        return self.made[key]

    def number(self, x: Any) -> int:
        return self.emit("number", param=Fraction(x))

    def entry(self, i: int, k: int) -> int:
        """The node of entry ``k`` of step ``i``."""
        start = (i, k)
        stack = [start]
        while stack:
            here = stack[-1]
            if here in self.places:
                stack.pop()
                continue
            parts = self._parts(*here)
            waiting = [p for p in parts if p not in self.places]
            if waiting:
                stack += reversed(waiting)
                continue
            stack.pop()
            self.places[here] = self._value(*here, [self.places[p] for p in parts])
        return self.places[start]

    def _kind(self, i: int) -> str:
        """How a step is read: as its class is, as an unknown, or by its operation."""
        step = self.classes.steps[i]
        if self.classes.find(i) != i:
            return "class"
        if step.op in _SPACE:
            return "unknown" if self.classes.is_held(i) else "class"
        if step.op in ("constant", "pick", "neg"):
            return step.op
        return step.op if i in self.opened and step.op != "input" else "unknown"

    def _parts(self, i: int, k: int) -> list[tuple[int, int]]:
        """The entries that an entry is made of."""
        step, steps = self.classes.steps[i], self.classes.steps
        match self._kind(i):
            case "class":
                rank = self.classes.find(i)
                return [(rank if rank != i else step.args[0], k)]
            case "unknown" | "constant":
                return []
            case "pick":
                p = position(step.params, step.shape, k) - 1
                if p < 0:
                    return []
                for a in step.args:
                    if p < steps[a].size:
                        return [(a, p)]
                    p -= steps[a].size
            case "scatter":
                return [(step.args[0], p) for p in self.classes.landing_of(i).get(k, ())]
            case "matmul":
                _, n, m = step.shape
                inner = steps[step.args[0]].shape[2]
                batch, row, column = k // (n * m), k // m % n, k % m
                left = [(step.args[0], (batch * n + row) * inner + t) for t in range(inner)]
                return left + [(step.args[1], (batch * inner + t) * m + column) for t in range(inner)]
            case op if op in _ALONG:
                return [(step.args[0], p) for p in self._beside(step, k)]
            case op if op in _MATRIX:
                n = steps[step.args[0]].shape[1]
                batch = k // max(1, math.prod(step.shape[1:]))
                parts = [(step.args[0], batch * n * n + t) for t in range(n * n)]
                m = step.shape[2] if op == "solve" else 0
                return parts + [(step.args[1], (batch * n + t) * m + k % m) for t in range(n if m else 0)]
        return [(a, k) for a in step.args]

    def _beside(self, step: CheckedStep, k: int) -> list[int]:
        """The entries of the argument along the axis of a softmax: first the entry's own, if it has one."""
        source = self.classes.steps[step.args[0]].shape
        axis = step.params % len(source)
        inner = math.prod(source[axis + 1 :])
        outer = k // inner if step.op == "logsumexp" else k // (inner * source[axis])
        along = [(outer * source[axis] + t) * inner + k % inner for t in range(source[axis])]
        return along if step.op == "logsumexp" else [k, *along]

    def _value(self, i: int, k: int, a: list[int]) -> int:
        """The node of an entry, of those that it is made of."""
        step = self.classes.steps[i]
        match self._kind(i):
            case "class":
                return a[0] if step.complex or not self.nodes[a[0]].complex else self.emit("real", a[0])
            case "unknown":
                return self.emit("unknown", mark=(i, k), complex=step.complex)
            case "constant":
                return self._constant(step, i, k)
            case "pick":
                return a[0] if a else self.number(0)
            case "scatter":
                return self.emit("sum", *a, complex=step.complex)
            case "matmul":
                half = len(a) // 2
                products = (self.times(x, y, step.complex) for x, y in zip(a[:half], a[half:], strict=True))
                return self.emit("sum", *products, complex=step.complex)
            case op if (op in _MATRIX or op in _ALONG) and step.complex:
                raise NotCovered(f"{op} of complex numbers")
            case op if op in _ALONG:
                return self._softmax(op, a)
            case op if op in _MATRIX:
                return self._matrix(step, k, a)
            case op:
                return self.emit(op, *a, param=step.params, complex=step.complex)

    def _constant(self, step: CheckedStep, i: int, k: int) -> int:
        if "name" in step.params:
            name = str(step.params["name"])
            return self.emit("constant", param=name, complex=name == "I")
        entries = step.params["entries"]
        entry = entries[k] if len(entries) > 1 else entries[0]
        if entry == "nan":  # memory that was never filled: nothing is known of it
            return self.emit("unknown", mark=(i, k))
        if "inf" in entry or "-inf" in entry:
            raise NotCovered("a constant that is no number")
        if isinstance(entry, str):
            return self.number(entry)
        return self.emit("number", param=tuple(map(Fraction, entry)), complex=True)

    def times(self, a: int, b: int, complex: bool = False) -> int:
        return self.emit("mul", a, b, complex=complex)

    def _softmax(self, op: str, a: list[int]) -> int:
        along = a if op == "logsumexp" else a[1:]
        total = self.emit("sum", *(self.emit("exp", x) for x in along))
        if op == "logsumexp":
            return self.emit("log", total)
        if op == "softmax":
            return self.emit("div", self.emit("exp", a[0]), total)
        return self.emit("sub", a[0], self.emit("log", total))

    # ------------------------------------------------------------------------------------------------ matrices
    def _matrix(self, step: CheckedStep, k: int, a: list[int]) -> int:
        """An entry of a function of a matrix: of the inverse, in the same form as of the transpose's; with
        ``written_out`` by cofactors."""
        n = self.classes.steps[step.args[0]].shape[1]
        rows = [a[r * n : (r + 1) * n] for r in range(n)]
        turned = [x for column in zip(*rows, strict=True) for x in column]
        i, j = divmod(k % (n * n), n)
        match step.op:
            case "inverse" if self.written_out and n <= 3:
                return self._inverse(rows, i, j)
            case "det" if self.written_out and n <= 3:
                return self._determinant(rows)
            case "inverse" if turned < a:
                return self.emit("entry", *turned, param=("inverse", n, j, i))
            case "solve":
                matrix, is_turned = (turned, True) if turned < a[: n * n] else (a[: n * n], False)
                row = k // step.shape[2] % n
                terms = []
                for t, b in enumerate(a[n * n :]):
                    place = (t, row) if is_turned else (row, t)
                    terms.append(self.times(self.emit("entry", *matrix, param=("inverse", n, *place)), b))
                return self.emit("sum", *terms)
            case "logabsdet":
                return self.emit("log", self.emit("abs", self.emit("entry", *a, param=("det", n, 0, 0))))
            case "det":
                return self.emit("entry", *a, param=("det", n, 0, 0))
        return self.emit("entry", *a, param=(step.op, n, i, j))

    def _determinant(self, rows: Sequence[Sequence[int]]) -> int:
        """By Leibniz: the sum of signed products over all permutations."""
        terms = []
        for order in itertools.permutations(range(len(rows))):
            product = self.number(1)
            for row, c in zip(rows, order, strict=True):
                product = self.times(product, row[c])
            odd = sum(x > y for x, y in itertools.combinations(order, 2)) % 2
            terms.append(self.emit("neg", product) if odd else product)
        return self.emit("sum", *terms)

    def _inverse(self, rows: Sequence[Sequence[int]], i: int, j: int) -> int:
        """By Cramer: the cofactor of entry (j, i) over the determinant."""
        minor = [[x for c, x in enumerate(row) if c != i] for r, row in enumerate(rows) if r != j]
        cofactor = self._determinant(minor)
        cofactor = self.emit("neg", cofactor) if (i + j) % 2 else cofactor
        return self.emit("div", cofactor, self._determinant(rows))
