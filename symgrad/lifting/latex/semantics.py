"""What a formula in LaTeX means, once the shapes of its tensors are known: a SymPy scalar for each entry."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NoReturn

import sympy as sp

from symgrad.errors import BadFormula, SymgradError, WrongShape
from symgrad.evaluation.exact import is_huge_power
from symgrad.lifting.latex.equations import Claim, Definition
from symgrad.lifting.latex.tensor_values import (
    Algebra,
    Trouble,
    Value,
    at_entry,
    call,
    entries_of,
    moment,
    of_numbers,
    random_names,
    real_root,
    refuse_whole,
    too_many_indices,
)
from symgrad.lifting.latex.token_reader import PRIME, Node, parts, place

_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm|bold|vec|overrightarrow|pmb)\b")
_OF_POWERS = frozenset(("add", "neg", "number", "pow", "name"))
Origins = Mapping[tuple[str, int], int]
Scope = Mapping[str, Any]  # what an index stands for


@dataclass(frozen=True)
class Reading:
    """The meaning of one line: ``body`` in SymPy, with ``axes`` free and their ``extents``."""

    body: Any
    axes: tuple[Any, ...]
    extents: tuple[int, ...]


@dataclass
class Meaning:
    """Reads the nodes of documents.

    ``shapes`` are those of the inputs; ``origins`` say what the index of an axis counts from where that is not
    ``first``; ``sizes`` are the numbers that letters in limits stand for; ``values`` are the names already defined.
    """

    text: str
    shapes: Mapping[str, tuple[int, ...]]
    origins: Origins
    first: int
    values: dict[str, Value] = field(default_factory=dict)
    decimals: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[Definition, Meaning]] = field(default_factory=list)  # what was defined, in order
    by_entries: bool = False  # whether a power of a vector is one of its entries
    fresh: bool = False  # whether indices must be unlike those of any other formula

    def __post_init__(self) -> None:
        self.algebra = Algebra(self.first)

    def fail(
        self, what: str, node: Node, instead: str | None = None, kind: type[SymgradError] = BadFormula
    ) -> NoReturn:
        raise kind(what, where=place(self.text, node.span), instead=instead)

    # -------------------------------------------------------------------------------- lines
    def define(self, line: Definition) -> Value:
        """The value of a definition, whose indices become its first axes; its own indices are like no others."""
        outside, self.fresh = self.fresh, True
        scope, symbols = self.free(line.indices, line.body)
        made = self.value(line.body, scope)
        self.fresh = outside
        if not line.indices:
            return made
        sizes = [self.extent(i, line.body, None) for i in line.indices]

        def at(*given: Any) -> Any:
            return made.at(*given[len(symbols) :]).xreplace(dict(zip(symbols, given, strict=False)))

        return Value((*sizes, *made.shape), at)

    def read(self, line: Definition | Claim) -> Reading:
        """The meaning of the line that is asked for."""
        known: dict[str, int] = {}
        if isinstance(line, Claim):
            outer = line.above
            if line.of in self.values and len(self.values[line.of].shape) == len(outer):
                known |= {i: n for i, n in zip(outer, self.values[line.of].shape, strict=True) if n is not None}
            for name, below in zip(line.wrt, line.below, strict=False):
                shape = self.squeezed(self.shapes.get(name, ()), len(below))
                if len(shape) == len(below):
                    known |= dict(zip(below, shape, strict=True))
        scope, axes = self.free(line.indices, line.body)
        value = self.algebra.number(self.value(line.body, scope))
        extents = [self.extent(i, line.body, known.get(i)) for i in line.indices]
        more = [sp.Dummy("ij"[k] if len(value.shape) < 3 else f"i{k}", integer=True) for k in range(len(value.shape))]
        sizes: list[int] = []
        for n in value.shape:
            if n is None:
                self.fail("how large the result is, is not known.", line.body, "Write it with indices.", WrongShape)
            sizes.append(n)
        return Reading(value.at(*more), (*axes, *more), (*extents, *sizes))

    def free(self, indices: Sequence[str], body: Node) -> tuple[dict[str, Any], list[Any]]:
        """The free indices in scope, and their symbols, which count from ``first``."""
        scope, symbols = {}, []
        for i in indices:
            symbol = self.symbol(i)
            origins = {o for _, o, _ in self.uses(i, body)}
            if len(origins) > 1:
                self.fail(f"the index {i} counts from 0 along one axis and from 1 along another.", body)
            scope[i] = symbol + (origins.pop() if origins else self.first) - self.first
            symbols.append(symbol)
        return scope, symbols

    def symbol(self, index: str) -> sp.Symbol:
        return sp.Dummy(index, integer=True) if self.fresh else sp.Symbol(index, integer=True)

    def uses(self, index: str, body: Node) -> Iterator[tuple[int, int, Node]]:
        """(entries, what it counts from, where) of each axis that an index runs along, alone."""
        for node in parts(body):
            if node.head != "entry":
                continue
            for axis, item in enumerate(node.args[1:]):
                if item.head != "index" or item.value != index:
                    continue
                base = node.args[0]
                if base.head == "name" and base.value in self.shapes:
                    shape = self.squeezed(self.shapes[base.value], len(node.args) - 1)
                    if axis < len(shape):
                        yield shape[axis], self.origins.get((base.value, axis), self.first), node
                elif base.head == "name" and base.value in self.values:
                    shape = self.values[base.value].shape
                    if axis < len(shape) and shape[axis] is not None:
                        yield shape[axis] or 0, self.first, node
                elif base.head == "call":  # softmax(z)_i
                    with contextlib.suppress(SymgradError, KeyError):
                        if (n := self.value(base, {}).shape[axis]) is not None:
                            yield n, self.first, node

    def squeezed(self, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
        """A shape without axes of one entry, where an entry has fewer indices."""
        if count < len(shape):
            kept = tuple(n for n in shape if n != 1)
            if len(kept) == count:
                return kept
        return shape

    def extent(self, index: str, body: Node, known: int | None) -> int:
        """How many values a free index takes."""
        found = {n: node for n, _, node in self.uses(index, body)}
        if known is not None:
            found.setdefault(known, body)
        if len(found) > 1:
            self.fail(
                f"the index {index} runs along axes of {' and '.join(map(str, found))} entries.",
                list(found.values())[-1],
                kind=WrongShape,
            )
        if not found:  # delta_{ij} ties one index to another
            for node in parts(body):
                ends = [x.value for x in node.args if x.head == "index"] if node.head == "delta" else []
                if len(ends) == 2 and index in ends:
                    other = ends[ends[0] == index]
                    found |= {n: node for n, _, _ in self.uses(other, body)}
        if not found:
            for node in parts(body):
                has = node.head == "entry" and any(x.head == "index" and x.value == index for x in node.args[1:])
                if has and node.args[0].head == "name" and node.args[0].value not in self.values:
                    self.too_many(node, str(node.args[0].value))
            self.fail(
                f"the range of the index {index} is not known: it is the index of no tensor here.",
                body,
                f"Give the limits, \\sum_{{{index}=1}}^{{n}}, or a shape to the tensor that has it, at={{...}}.",
                WrongShape,
            )
        return next(iter(found))

    # -------------------------------------------------------------------------------- nodes
    def value(self, node: Node, scope: Scope) -> Value:
        try:
            return self.plainly(node, scope)
        except Trouble as trouble:
            self.fail(trouble.what, node, trouble.instead, trouble.kind)

    def plainly(self, node: Node, scope: Scope) -> Value:
        a, args = self.algebra, node.args
        match node.head:
            case "number":
                return a.scalar(sp.Rational(node.value.numerator, node.value.denominator))
            case "decimal":
                return a.scalar(self.decimals.setdefault(node.value, sp.Dummy(node.value, positive=True)))
            case "constant" | "e" | "infinity":
                return a.scalar({"e": sp.E, "infinity": sp.oo}.get(node.head, sp.pi))
            case "name" | "slope":
                return self.name(node)
            case "index":
                return a.scalar(scope[node.value])
            case "size":
                return a.scalar(size_symbol(node.value))
            case "ones" | "zeros":
                return a.ones(int(node.head == "ones"))
            case "identity":
                return a.identity()
            case "delta":
                return a.scalar(sp.KroneckerDelta(*(self.position(x, scope) for x in args)))
            case "entry":
                return self.entry(node, scope)
            case "add":
                return a.add([self.value(x, scope) for x in args])
            case "neg":
                return a.negative(self.value(args[0], scope))
            case "mul":
                return self.product(node, scope)
            case "frac":
                return a.over(*(self.value(x, scope) for x in args))
            case "pow":
                return self.power(node, scope)
            case "hadamard_power":
                return a.map(lambda x, n: x**n, [self.value(x, scope) for x in args], "a power")
            case "root":
                return self.root(node, scope)
            case "transpose":
                return a.transposed(self.value(args[0], scope), sure=node.value not in ("T", PRIME))
            case "abs":
                return self.absolute(node, scope)
            case "norm":
                return a.norm(self.value(args[0], scope), node.value)
            case "inner":
                return a.inner_product(*(self.value(x, scope) for x in args))
            case "factorial":
                return a.map(sp.factorial, [self.value(args[0], scope)], "a factorial")
            case "log_to":
                return a.map(lambda x, b: sp.log(x) / sp.log(b), [self.value(x, scope) for x in args], "a logarithm")
            case "call":
                return call(a, node.value[0], node.value[1], [self.value(x, scope) for x in args])
            case "applied":
                return self.applied(node, scope)
            case "partial":
                return self.partial(node, scope)
            case "along" | "at" | "unknown":
                return a.scalar(of_numbers(node.head, node.value, [self.number(x, scope) for x in args]))
            case "sum" | "prod":
                return self.folded(node, scope)
            case "integral" | "between":
                x = sp.Symbol(node.value)
                body, low, high = (self.number(a, {**scope, node.value: x}) for a in args)
                if node.head == "between":
                    return a.scalar(sp.limit(body, x, high, "-") - sp.limit(body, x, low))
                return a.scalar(sp.Integral(body, (x, low, high)))
            case "moment":
                random = [x for part in args for x in random_names(part)]
                return a.scalar(moment(node.value, [self.number(x, scope) for x in args], random))
            case "matrix":
                return self.literal(node, scope)
            case "jacobian":
                return self.jacobian(node, scope)
            case "indicator" | "cases":
                return self.chosen(node, scope)
        self.fail("this has no place here.", node)

    def number(self, node: Node, scope: Scope) -> Any:
        """The value of a part that is a number."""
        value = self.algebra.number(self.value(node, scope))
        if value.shape:
            self.fail(f"an integral of {value.kind} is not read.", node, "Write it by entries.", WrongShape)
        return value.at()

    def literal(self, node: Node, scope: Scope) -> Value:
        """A matrix of entries, each a number."""
        entries = [self.algebra.number(self.value(x, scope)) for x in node.args]
        for x, entry in zip(node.args, entries, strict=True):
            if entry.shape:
                self.fail(f"this entry of a matrix is {entry.kind}.", x, "Write the matrix by numbers.", WrongShape)
        return self.algebra.literal(sp.ImmutableMatrix(*node.value, [x.at() for x in entries]))

    def name(self, node: Node) -> Value:
        name = node.value
        if name in self.values:
            return self.values[name]
        shape = self.shapes.get(name, ())
        if not shape:
            return self.algebra.scalar(sp.Symbol(name))
        base: Any = sp.IndexedBase(name)
        matrix = sp.MatrixSymbol(name, *shape) if len(shape) == 2 else None
        return Value(shape, lambda *i: base[i], matrix=matrix)

    def entry(self, node: Node, scope: Scope) -> Value:
        """``u_{k,s}``; with fewer indices than axes, what is left: a row of a matrix is a vector."""
        base, *items = node.args
        value = self.value(base, scope)
        name = str(base.value) if base.head == "name" else None
        if name is not None and name not in self.values and len(items) > len(value.shape):
            self.too_many(node, name)
        if len(items) < len(value.shape) and name in self.shapes:
            kept = self.squeezed(self.shapes[str(name)], len(items))
            if len(kept) == len(items):
                places = [k for k, n in enumerate(value.shape) if n != 1]
                whole, origin = value, sp.Integer(self.first)

                def without_ones(*i: Any) -> Any:
                    full: list[Any] = [origin] * len(whole.shape)
                    for k, x in zip(places, i, strict=True):
                        full[k] = x
                    return whole.at(*full)

                value = Value(kept, without_ones)
        if len(items) > len(value.shape):
            self.fail(f"{len(items)} indices stand on {value.kind}.", node, kind=WrongShape)
        fixed: list[Any] = []
        for axis, item in enumerate(items):
            if item.head == "slice":
                fixed.append(None)
                continue
            shift = self.first - self.origins.get((str(name), axis), self.first)
            where = self.position(item, scope) + shift
            n = value.shape[axis]
            if isinstance(where, sp.Integer) and n is not None and not self.first <= where < self.first + n:
                self.fail(f"this entry is outside of {value.kind}.", node, kind=WrongShape)
            fixed.append(where)
        fixed += [None] * (len(value.shape) - len(items))
        rest = tuple(n for n, f in zip(value.shape, fixed, strict=True) if f is None)
        source = value

        def at(*given: Any) -> Any:
            left = iter(given)
            return source.at(*(next(left) if f is None else f for f in fixed))

        return Value(rest, at, entrywise=False)

    def too_many(self, node: Node, name: str) -> NoReturn:
        """An entry with more indices than its tensor has axes."""
        what, instead = too_many_indices(name, len(node.args) - 1, self.shapes.get(name, ()))
        self.fail(what, node, instead, WrongShape)

    def position(self, item: Node, scope: Scope) -> Any:
        """An index expression."""
        match item.head:
            case "number":
                return sp.Integer(int(item.value))
            case "index":
                return scope[item.value]
            case "size":
                return size_symbol(item.value)
            case "add":
                return sp.Add(*(self.position(x, scope) for x in item.args))
            case "mul":
                return sp.Mul(*(self.position(x, scope) for x in item.args))
            case "neg":
                return -self.position(item.args[0], scope)
        self.fail("this is no index.", item)

    # -------------------------------------------------------------------------------- products and powers
    def product(self, node: Node, scope: Scope) -> Value:
        """Factors without a sign belong together, then come ``\\cdot`` and ``/``, and ``\\odot`` last."""
        a = self.algebra
        outside, inside = self.by_entries, not {"odot", "oslash"}.isdisjoint(node.value)

        def of(factor: Node) -> Value:  # beside \\odot the square of a vector alone is that of its entries
            self.by_entries = inside and all(p.head in _OF_POWERS for p in parts(factor))
            made = self.value(factor, scope)
            self.by_entries = outside
            return made

        groups: list[Value] = [of(node.args[0])]
        signs: list[str] = []
        for sign, factor in zip(node.value, node.args[1:], strict=True):
            if sign:
                signs.append(sign)
                groups.append(of(factor))
            else:
                groups[-1] = a.times(groups[-1], of(factor), "")
        outer: list[Value] = [groups[0]]
        last: list[str] = []
        for sign, group in zip(signs, groups[1:], strict=True):
            if sign in ("odot", "oslash"):
                last.append(sign)
                outer.append(group)
            else:
                outer[-1] = a.over(outer[-1], group) if sign == "/" else a.times(outer[-1], group, sign)
        total = outer[0]
        for sign, value in zip(last, outer[1:], strict=True):
            if sign == "odot":
                total = a.map(lambda x, y: x * y, [total, value], "an entrywise product")
            else:
                total = a.map(lambda x, y: x / y, [total, value], "an entrywise quotient")
        return total

    def power(self, node: Node, scope: Scope) -> Value:
        a = self.algebra
        base, exponent = (self.value(x, scope) for x in node.args)
        exponent = a.number(exponent)
        if exponent.shape:
            self.fail(f"a power with {exponent.kind} as exponent is not read.", node, "Write \\exp(...).", WrongShape)
        if base.entrywise or (self.by_entries and len(base.shape) == 1):
            return a.map(lambda x, n: x**n, [base, exponent], "a power")
        base = a.number(base)
        if not base.shape:
            if is_huge_power(base.at(), exponent.at()):
                self.fail("this number has too many digits to be written out.", node, "Give it a name.")
            return a.scalar(base.at() ** exponent.at())
        if len(base.shape) == 1:
            self.fail(
                "a power of a vector is not clear.",
                node,
                "Write \\|x\\|^2 for the norm, x \\odot x or x^{\\odot 2} for the entries.",
                WrongShape,
            )
        n = exponent.at()
        if not (n.is_Integer and n != 0 and abs(n) <= 16):
            self.fail("of a matrix only whole powers are read.", node, "Write A^{-1}, A^2 or A^{\\odot 2}.", WrongShape)
        return a.power(base, int(n))

    def root(self, node: Node, scope: Scope) -> Value:
        value, order = self.value(node.args[0], scope), node.value
        refuse_whole(value, "the root")
        if order == 2:
            return self.algebra.map(sp.sqrt, [value], "a root")
        if order % 2 == 0:
            return self.algebra.map(lambda x: x ** sp.Rational(1, order), [value], "a root")
        return self.algebra.map(lambda x: real_root(x, order), [value], "a root")

    def absolute(self, node: Node, scope: Scope) -> Value:
        value = self.algebra.number(self.value(node.args[0], scope))
        if len(value.shape) == 2:
            return self.algebra.determinant(value)
        if len(value.shape) == 1 and _BOLD.search(self.text[slice(*node.span)]):  # of a bold letter it is the length
            return self.algebra.norm(value, "")
        if value.shape:
            self.fail(f"|x| of {value.kind} is not clear.", node, "Write \\|x\\| for the norm.", WrongShape)
        return self.algebra.scalar(sp.Abs(value.at()))

    # -------------------------------------------------------------------------------- derivatives
    def partial(self, node: Node, scope: Scope) -> Value:
        """The exact derivative of an entry, along all paths through what it is taken with respect to."""
        of, *wrt = node.args
        free = {w.args[0].value if w.head == "entry" else w.value for w in wrt}
        cut = {n: self.values[n] for n in free if n in self.values}
        bases = {n: sp.IndexedBase(sp.Dummy(n)) if v.shape else sp.Dummy(n, real=True) for n, v in cut.items()}
        inside = replace(self, values={n: v for n, v in self.values.items() if n not in cut}, fresh=True)
        for name, value in cut.items():
            base: Any = bases[name]
            inside.values[name] = self.algebra.scalar(base) if not value.shape else Value(value.shape, entries_of(base))
        for line, meaning in self.rows if cut else ():
            if line.name is not None and line.name not in cut:
                inside.values[line.name] = replace(meaning, values=inside.values).define(line)
        made = self.algebra.number(inside.value(of, scope))
        targets = [self.algebra.number(inside.value(w, scope)) for w in wrt]
        if made.shape or any(t.shape for t in targets):
            self.fail(
                "a derivative of tensors is read by entries.",
                node,
                "Write indices, \\frac{\\partial p_i}{\\partial z_k}.",
            )
        body = made.at()
        for target in targets:
            symbol = target.at()
            if not isinstance(symbol, (sp.Symbol, sp.Indexed)):
                self.fail("a derivative is taken with respect to a name.", node)
            body = sp.diff(body, symbol)
        if body.has(sp.Derivative, sp.Subs, sp.DiracDelta, sp.Heaviside, sp.sign):
            self.fail("this derivative has no value in closed form here.", node, "Write it out.")
        for name, value in cut.items():
            base = bases[name]
            if not value.shape:
                body = body.xreplace({base: value.at()})
            else:
                body = body.replace(lambda e, b=base: isinstance(e, sp.Indexed) and e.base == b, at_entry(value))
        return self.algebra.scalar(body)

    def jacobian(self, node: Node, scope: Scope) -> Value:
        """The matrix of derivatives of names, or of the entries of one, a row for each."""
        of, wrt = node.args[: node.value], node.args[node.value :]
        rows: list[Node] = []
        for x in of:
            count = next(iter(self.value(x, scope).shape), None)
            places = () if count is None else range(self.first, self.first + count)
            numbers = [Node("number", (), x.span, Fraction(k)) for k in places]
            rows += [Node("entry", (x, k), x.span) for k in numbers] if count is not None else [x]
        found = [self.partial(Node("partial", (x, w), node.span), scope).at() for x in rows for w in wrt]
        return self.algebra.literal(sp.ImmutableMatrix(len(rows), len(wrt), found))

    # -------------------------------------------------------------------------------- functions of rows
    def applied(self, node: Node, scope: Scope) -> Value:
        """A function that a row defines, at other arguments; of tensors entry by entry where it is one of numbers."""
        f, primes = node.value
        count = len(f.indices)
        indices = {i: self.position(x, scope) for i, x in zip(f.indices, node.args[:count], strict=True)}
        given = [self.value(x, scope) for x in node.args[count:]]
        try:
            if not primes:
                try:
                    return self.body_at(f, given, indices)
                except SymgradError:
                    if not any(v.shape for v in given):
                        raise
            names = [sp.Dummy(a, real=True) for a in f.arguments]
            made = self.algebra.number(self.body_at(f, [self.algebra.scalar(x) for x in names], indices))
        except SymgradError as error:
            raise type(error)(error.what, where=place(self.text, node.span), instead=error.instead) from None
        if made.shape:
            self.fail(f"{f.name} of a number is {made.kind}.", node, "Write out its value here.", WrongShape)
        body = made.at()
        if primes:
            body = sp.diff(body, names[0], primes)
            if body.has(sp.Derivative, sp.DiracDelta, sp.Heaviside, sp.sign):
                self.fail(f"the derivative of {f.name} has a jump.", node, "Write it out, with \\begin{cases}.")
        return self.algebra.map(lambda *x: body.xreplace(dict(zip(names, x, strict=True))), given, str(f.name))

    def body_at(self, f: Definition, given: Sequence[Value], indices: Scope) -> Value:
        """What the row of a function says of these arguments; its indices are like no others."""
        inside = replace(
            self,
            values={**self.values, **dict(zip(f.arguments, given, strict=True))},
            shapes={n: s for n, s in self.shapes.items() if n not in f.arguments},
            fresh=True,
        )
        return inside.value(f.body, indices)

    # -------------------------------------------------------------------------------- sums and choices
    def folded(self, node: Node, scope: Scope) -> Value:
        """A sum or product over an index."""
        index, fold = node.value, sp.Sum if node.head == "sum" else sp.Product
        symbol = self.symbol(index)
        body, *ends = node.args
        if ends:
            limits = [self.algebra.number(self.value(x, scope)) for x in ends]
            for limit, where in zip(limits, ends, strict=True):
                if limit.shape or not (limit.at().is_integer or limit.at().is_infinite):
                    self.fail("a limit must be a whole number or a size.", where)
            low, high = (x.at() for x in limits)
        else:
            n = self.extent(index, body, None)
            origins = {o for _, o, _ in self.uses(index, body)}
            if len(origins) > 1:
                self.fail(f"the index {index} counts from 0 along one axis and from 1 along another.", node)
            low = sp.Integer(origins.pop())
            high = low + n - 1
        value = self.value(body, {**scope, index: symbol})

        def at(*i: Any) -> Any:
            inside = value.at(*i)
            made = fold(inside, (symbol, low, high))
            if not made.free_symbols <= inside.free_symbols | low.free_symbols | high.free_symbols:
                # SymPy draws choices out of sums, also those whose condition is about the index of the sum
                self.fail(
                    "a choice by the index of a sum inside of this one is not read beside a factor.",
                    node,
                    "Write the factor inside of the inner sum.",
                )
            return made

        return Value(value.shape, at, value.row)

    def chosen(self, node: Node, scope: Scope) -> Value:
        """Cases, entry by entry; an indicator is 1 or 0."""
        if node.head == "indicator":
            values = [self.algebra.scalar(sp.Integer(1)), self.algebra.scalar(sp.Integer(0))]
            conditions = node.args
        else:
            count = len(node.args) // 2
            values = [self.value(x, scope) for x in (*node.args[0 : 2 * count : 2], *node.args[2 * count :])]
            conditions = node.args[1 : 2 * count : 2]
        sides: list[Value] = []
        made = [self.condition(c, scope, sides) for c in conditions]
        count = len(values)

        def pick(*x: Any) -> Any:
            pairs = [(v, f(x[count:])) for v, f in zip(x[:count], made, strict=False)]
            if count > len(made):
                pairs.append((x[count - 1], True))
            return sp.Piecewise(*pairs)

        return self.algebra.map(pick, [*values, *sides], "a choice")

    def condition(self, node: Node, scope: Scope, sides: list[Value]) -> Callable[[Any], Any]:
        """A condition as a function of the values of all comparisons' ``sides``, to which it adds its own."""
        if node.head == "compare":
            k = len(sides)
            sides += [self.value(x, scope) for x in node.args]
            return lambda x: sp.Rel(x[k], x[k + 1], node.value)
        left, right = (self.condition(x, scope, sides) for x in node.args)
        joined = sp.And if node.head == "and" else sp.Or
        return lambda x: joined(left(x), right(x))


def size_symbol(name: str) -> sp.Symbol:
    """The symbol of a size, as it stands in limits."""
    return sp.Symbol(name, integer=True, positive=True)
