"""Steps -> terms, and terms -> steps."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.evaluation.floats import Floats
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.program import Program, Source, Strided, dense, interpret, positions, size
from symgrad.program.selection import select
from symgrad.stability.term_algebra import ONE, Add, Call, Leaf, Mul, Term, call, number_of, parts, plus, size_of, times

_LARGEST = 60  # nodes of a term; what is larger is not looked into
_PRIMES = (2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0, 31.0, 37.0)
_COMPOSITES = frozenset(("softmax", "log_softmax", "logsumexp"))


@dataclass(eq=False)
class Reader:
    """Reads steps as terms; ``steps`` remembers which steps a term is the meaning of."""

    program: Program
    known: dict[int, Term] = field(default_factory=dict)
    steps: dict[Term, list[int]] = field(default_factory=dict)

    def read(self, i: int) -> Term:
        for j in self.program.needed([i]):
            if j not in self.known:
                term = self._read(j)
                if size_of(term) > _LARGEST:
                    term = Leaf(j)
                self.known[j] = term
                self.steps.setdefault(term, []).append(j)
        return self.known[i]

    def _read(self, i: int) -> Term:
        step = self.program.steps[i]
        args = [self.known[a] for a in step.args]
        if step.is_complex:
            return Leaf(i)
        match step.op:
            case "name" | "cast":
                return args[0]
            case "constant":
                return self._constant(i)
            case "add":
                return plus([(1, args[0]), (1, args[1])])
            case "sub":
                return plus([(1, args[0]), (-1, args[1])])
            case "neg":
                return plus([(-1, args[0])])
            case "mul" if (found := self._product(i)) is not None:
                return found
            case "mul":
                return times([(args[0], 1), (args[1], 1)])
            case "div":
                return times([(args[0], 1), (args[1], -1)])
            case "powi":
                return times([(args[0], step.params)])
            case "pow":
                return call("pow", *args)
            case "pick":
                return self._pick(i)
            case "scatter":
                return self._sum(i)
            case "softmax" | "log_softmax" | "logsumexp":
                n = len(self.program.shape(step.args[0]))
                return Call(step.op, (args[0],), (((step.params % max(n, 1),), n), True))
            case op if op in OPS:
                return call(op, *args, params=step.params)
        return Leaf(i)

    def _constant(self, i: int) -> Term:
        c = self.program.steps[i].params
        if c.exact is not None and isinstance(c.exact, sp.Basic) and np.ndim(c.value) == 0:
            if isinstance(c.exact, sp.Rational):
                return plus([(Fraction(int(c.exact.p), int(c.exact.q)), ONE)])
            return _surd(c.exact) or Call("number", (), str(c.exact))
        if np.ndim(c.value) == 0 and math.isfinite(float(np.real(c.value))) and c.exact is None:
            return plus([(Fraction(float(np.real(c.value))), ONE)])
        return Leaf(i)

    def _pick(self, i: int) -> Term:
        """A layout that only repeats entries, or only drops axes that were summed, is looked through."""
        step = self.program.steps[i]
        if len(step.args) != 1:
            return Leaf(i)
        (a,) = step.args
        inner, term = self.program.shape(a), self.known[a]
        if (suffix := _subscript(step.source)) is not None and isinstance(term, Call):
            where = tuple(np.asarray(positions(step.params, step.shape)).reshape(-1).tolist())
            return _entry(term, (suffix, where, step.shape))
        if not isinstance(step.params, Strided):
            return Leaf(i)
        if isinstance(term, Call) and term.head in ("sum", "logsumexp", "prod") and isinstance(term.params, tuple):
            (axes, n), kept = term.params
            if kept and _repeats(step.params, inner, step.shape):
                return term
            rest = tuple(n for k, n in enumerate(inner) if k not in axes)
            if kept and _repeats(step.params, rest, step.shape):
                return Call(term.head, term.args, ((axes, n), False))
            return Leaf(i)
        return term if _repeats(step.params, inner, step.shape) else Leaf(i)

    def _sum(self, i: int) -> Term:
        step = self.program.steps[i]
        (a,) = step.args
        inner = self.program.shape(a)
        if not isinstance(step.params, Strided) or len(inner) != len(step.shape):
            return Leaf(i)
        axes = tuple(k for k, (n, m) in enumerate(zip(inner, step.shape, strict=True)) if n != 1 and m == 1)
        kept = tuple(1 if k in axes else n for k, n in enumerate(inner))
        strides = tuple(0 if k in axes else s for k, s in enumerate(dense(kept)))
        fits = kept == step.shape and step.params.offset == 0 and axes
        same = all(s == t or n == 1 for s, t, n in zip(step.params.strides, strides, inner, strict=True))
        return Call("sum", (self.known[a],), ((axes, len(inner)), True)) if fits and same else Leaf(i)

    def _product(self, i: int) -> Term | None:
        """The product of all entries of a step, which is computed pair by pair in one call."""
        step = self.program.steps[i]
        if step.source is None or size(step.shape) != 1:
            return None
        group, base = [i], set()
        for j in group:
            for a in self.program.steps[j].args:
                same = self.program.steps[a].source == step.source and self.program.steps[a].op in ("mul", "pick")
                (group.append(a) if a not in group else None) if same else base.add(a)
        if len(base) != 1 or len(group) < 3:
            return None
        (a,) = base
        shape = self.program.shape(a)
        n = size(shape)
        if not 2 <= n <= len(_PRIMES):
            return None
        primes = torch.tensor(_PRIMES[:n], dtype=torch.float64).reshape(shape)
        found = interpret(self.program, Floats("float64"), {}, [i], replaced={a: primes})[i]
        if float(found) != math.prod(_PRIMES[:n]):
            return None
        return Call("prod", (self.known[a],), ((tuple(range(len(shape))), len(shape)), bool(step.shape)))

    def lengths(self, term: Term) -> set[int]:
        """How many entries are added up in the sums of a term."""
        found = set()
        for t in [term, *_inside(term)]:
            if isinstance(t, Call) and t.head == "sum":
                for j in self.steps.get(Call("sum", t.args, (t.params[0], True)), ()):
                    if self.program.steps[j].op == "scatter":
                        found.add(
                            size(self.program.shape(self.program.steps[j].args[0])) // size(self.program.shape(j))
                        )
        return found


def _inside(term: Term) -> list[Term]:
    found = []
    for part in parts(term):
        found += [part, *_inside(part)]
    return found


def _subscript(source: Source | None) -> str | None:
    """What stands in brackets after a value: ``[0]``."""
    if source is None or source.span is None or source.line is None:
        return None
    text = source.text[slice(*source.span)]
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
        return None
    return text.strip()[len(node.value.id) :]


def _entry(term: Term, where: Any) -> Term:
    """Some entries of a term; of a function that goes entry by entry, the function of those entries."""
    if isinstance(term, Call) and term.head in OPS and len(term.args) == 1:
        return call(term.head, Call("entry", term.args, where))
    return Call("entry", (term,), where)


def _surd(x: Any) -> Term | None:
    """A square root of a rational number as a power."""
    square = sp.nsimplify(x**2) if x.is_number else None
    if isinstance(square, sp.Rational) and square > 0:
        root = times([(plus([(Fraction(int(square.p), int(square.q)), ONE)]), Fraction(1, 2))])
        return root if x > 0 else plus([(-1, root)])
    return None


def _repeats(index: Strided, inner: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a layout is NumPy's broadcasting of ``inner`` to ``shape``, up to axes of length one in front."""
    lead = len(shape) - len(inner)
    if lead < 0:
        if inner[: -len(shape) or len(inner)] != (1,) * -lead:
            return False
        inner, lead = inner[-lead:], 0
    try:
        wanted = np.broadcast_to(np.arange(1, size(inner) + 1).reshape(inner), shape)
    except ValueError:
        return False
    return np.array_equal(np.asarray(positions(index, shape)).reshape(-1), wanted.reshape(-1))


# ------------------------------------------------------------------------------------------------ terms -> steps


def written(b: Builder, term: Term, dtype: str, values: Callable[[int], np.ndarray] | None = None) -> int:
    """The step that computes a term; ``values`` gives steps' values, by which a choice between branches is made."""
    return _Writer(b, dtype, values).write(term)


class _Writer:
    def __init__(self, b: Builder, dtype: str, values: Callable[[int], np.ndarray] | None) -> None:
        self.b, self.dtype, self.values = b, dtype, values
        self.done: dict[Term, int] = {}

    def write(self, term: Term) -> int:
        if term not in self.done:
            self.done[term] = self._write(term)
        return self.done[term]

    def _write(self, term: Term) -> int:
        b = self.b
        number = number_of(term)
        if number is not None:
            return b.number(number, self.dtype)
        match term:
            case Leaf(step=i):
                return i
            case Add(terms=terms):
                return self._add(terms)
            case Mul(factors=factors):
                above = [self._power(t, e) for t, e in factors if e > 0]
                below = [self._power(t, -e) for t, e in factors if e < 0]
                return self._quotient(above, below)
            case Call(head="number", params=text):
                return b.number(sp.sympify(text), self.dtype)
            case Call(head="sum", args=(x,), params=((axes, _), kept)):
                return b.sum(self.write(x), axes, kept)
            case Call(head="prod", args=(x,), params=((axes, n), kept)) if len(axes) == n:
                inner = self.write(x)
                count = size(b.shape(inner))
                out = self._quotient([b.pick([inner], np.array([k + 1]), ()) for k in range(count)], [])
                return b.reshape(out, (1,) * n) if kept else out
            case Call(head="entry", args=(x,), params=(_, where, shape)):
                return b.pick([self.write(x)], np.array(where), shape)
            case Call(head=head, args=(x,), params=((axes, _), kept)) if head in _COMPOSITES:
                inner = self.write(x)
                shape = b.shape(inner)
                short = tuple(1 if k in axes else n for k, n in enumerate(shape))
                out = b.emit(head, (inner,), axes[0], short if head == "logsumexp" else shape)
                if head == "logsumexp" and not kept:
                    out = b.reshape(out, tuple(n for k, n in enumerate(shape) if k not in axes))
                return out
            case Call(head="pow", args=(x, e)):
                return b.power(self.write(x), self.write(e))
            case Call(head=head, args=args):
                inner = [self.write(a) for a in args]
                if OPS[head].branches and self.values is not None:
                    return select(b, head, inner, [self.values(a) for a in inner])
                return b.apply(head, *inner)
        raise NotImplementedError(str(term))

    def _add(self, terms: Any) -> int:
        b = self.b
        first = next((k for k, (c, t) in enumerate(terms) if c > 0 and t != ONE), None)
        first = next((k for k, (c, _) in enumerate(terms) if c > 0), 0) if first is None else first
        order = [terms[first], *terms[:first], *terms[first + 1 :]]
        total = self._scaled(*order[0])
        for c, t in order[1:]:
            total = b.add(total, self._scaled(c, t)) if c > 0 else b.sub(total, self._scaled(-c, t))
        return total

    def _scaled(self, c: Fraction, t: Term) -> int:
        b = self.b
        if t == ONE:
            return b.number(c, self.dtype)
        if c < 0:
            return b.neg(self._scaled(-c, t))
        above = [] if c.numerator == 1 else [b.number(c.numerator, self.dtype)]
        below = [] if c.denominator == 1 else [b.number(c.denominator, self.dtype)]
        return self._quotient([*above, self.write(t)], below)

    def _quotient(self, above: list[int], below: list[int]) -> int:
        b = self.b
        out = above[0] if above else b.number(1, self.dtype)
        for a in above[1:]:
            out = b.mul(out, a)
        for a in below:
            out = b.div(out, a)
        return out

    def _power(self, t: Term, e: Fraction) -> int:
        b, base = self.b, self.write(t)
        if e == 1:
            return base
        return b.power(base, b.number(e, self.dtype))
