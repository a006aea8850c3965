"""A tensor Program read as index notation: one more number system for `interpret`, whose values hold for all sizes.

The same code, run at several sizes, gives the same steps with other numbers (`symgrad.indices.run_merging`); each
number is then an expression in the sizes, each layout an index map, and each step a body over indices.  An axis that
was made by merging others keeps a *factor* for each of them, so that no index is ever divided.

>>> from symgrad.program.builder import Builder
>>> from symgrad.indices.printing import text
>>> from symgrad.indices.run_merging import merged
>>> def energy(m, d):
...     b = Builder()
...     U, x = b.input("U", (m, d)), b.input("x", (d,))
...     return b.build({"y": b.sum(b.apply("tanh", b.matmul(U, x)))})
>>> sizes = Sizes.of(("m", "d"))
>>> program = merged([energy(**run) for run in sizes.runs])
>>> shapes = {"U": ("m", "d"), "x": ("d",)}
>>> text(read(program, sizes, shapes, [program.output])[program.output].body)
'sum_i tanh(sum_s U[i,s]*x[s])'
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from symgrad.indices.named_axes import Affine, Condition, Decoded, Region, decode, decode_values, flat_positions
from symgrad.indices.run_merging import Family
from symgrad.indices.sizes import Numbers, Sizes, Unread, size_symbol
from symgrad.indices.terms import (
    STEP,
    Array,
    Cholesky,
    Det,
    IndexProduct,
    IndexSum,
    Inverse,
    LogDet,
    MatrixExponential,
    Within,
    fresh,
    opaque,
    rename,
    tensor,
)
from symgrad.ops.scalars import OPS, X, Y
from symgrad.program.program import Program, Step, interpret
from symgrad.progress import look_at_the_clock

_LISTED = 24  # entries of a layout that are said one by one


@dataclass(frozen=True, slots=True)
class Factor:
    """A part of an axis: its index, its length as an expression in the sizes and in each run.

    ``loose`` says that nothing depends on the index: the axis was made by repeating.
    """

    index: Any
    size: Any
    numbers: Numbers
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: the body of its entry, and its axes, each a tuple of factors, the slowest first."""

    body: Any
    axes: tuple[tuple[Factor, ...], ...]

    @property
    def factors(self) -> tuple[Factor, ...]:
        return tuple(f for axis in self.axes for f in axis)

    def array(self) -> Array:
        """The tensor with an axis for each factor; axes of length one are dropped."""
        return Array(self.body, tuple(f.index for f in self.factors), tuple(f.size for f in self.factors))


def leaf(name: str, shape: Sequence[Any], sizes: Sizes) -> Value:
    """The input of that name; its shape holds numbers, names of sizes, and expressions in them."""
    if not shape:
        return Value(sp.Symbol(name, real=True), ())
    lengths = [size_symbol(n) if isinstance(n, str) else sp.sympify(n) for n in shape]
    axes = []
    for length, hint in zip(lengths, "ijkpqrst", strict=False):
        one = (Factor(fresh(hint), length, sizes.values(length)),)
        axes.append(() if length == 1 else one)
    body = tensor(name, *lengths)[tuple(axis[0].index if axis else sp.S.Zero for axis in axes)]
    return Value(body, tuple(axes))


def read(
    program: Program,
    sizes: Sizes,
    shapes: Mapping[str, Sequence[Any]],
    wanted: Iterable[int],
    *,
    given: Mapping[str, Value] | None = None,
) -> dict[int, Value]:
    """The ``wanted`` steps of a `merged` Program for all sizes.

    ``shapes`` maps the inputs to tuples of numbers and names of sizes; ``given`` puts values in the place of inputs.
    Raises `Unread` where a step has no index notation, with the line that it stands in.
    """
    wanted = list(wanted)
    values = read_each(program, sizes, shapes, wanted, given=given)
    for i in wanted:
        value = values[i]
        if isinstance(value, Unread):
            raise value
    return values  # type: ignore[return-value]


def read_each(
    program: Program,
    sizes: Sizes,
    shapes: Mapping[str, Sequence[Any]],
    wanted: Iterable[int],
    *,
    given: Mapping[str, Value] | None = None,
) -> dict[int, Value | Unread]:
    """`read`, with what kept a step from being read in the place of its value."""
    inputs = {n: leaf(n, shapes[n], sizes) for n in program.inputs if n in shapes}
    return interpret(program, _Reading(sizes), {**inputs, **(given or {})}, wanted)


_MOST_PARTS = 20_000  # of one formula, which is a tree: a recurrence that is used twice in a turn doubles with each


def _bounded(value: Value) -> Value:
    """The value.  Raises `Unread` where its formula is too long to be worked with."""
    for k, _ in enumerate(sp.preorder_traversal(value.body)):
        if k == _MOST_PARTS:
            raise Unread(f"a formula of more than {_MOST_PARTS} parts.")
    return value


class _Reading:
    """The system of index notation."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes

    def read(self, step: Step, args: list[Value | Unread]) -> Value | Unread:
        for a in args:
            if isinstance(a, Unread):
                return a
        try:
            look_at_the_clock()
            return _bounded(self._read(step, args))  # type: ignore[arg-type]
        except Unread as error:
            source = step.source
            if error.where is not None or source is None:
                return error
            where = f"    {source.text.strip()}" if source.line is None else f"    line {source.line}: {source.text}"
            return Unread(error.what, where=where)

    def _read(self, step: Step, args: list[Value]) -> Value:
        if step.is_complex:
            raise Unread("complex values are read at given sizes only.")
        family: Family = step.params
        match step.op:
            case "constant":
                return self.constant(family)
            case "name" | "cast" | "stop":
                return args[0]
            case "pick":
                return self.pick(family, args)
            case "kept":
                where = [flat_positions(p, s) for p, s in zip(family.params, family.shapes, strict=True)]
                return self.taken(where, args[0], chosen=True)
            case "choice":
                bodies, axes = aligned(args)
                return Value(_choice(family.params[0], *bodies), axes)
            case "scatter":
                return self.scatter(family, args[0])
            case "selector":
                return self.selector(step, family, args[0])
            case "matmul":
                return self.matmul(*args)
            case "add" | "sub" | "mul" | "div" | "neg" | "powi" | "pow":
                bodies, axes = aligned(args)
                return Value(_arithmetic(step.op, bodies, family.params[0]), axes)
            case "prod" | "prod_others":
                return self.product(step.op, args[0])
            case "inverse" | "solve" | "det" | "logabsdet" | "cholesky" | "matrix_exp":
                return self.linear_algebra(step.op, args)
        if step.op not in OPS or OPS[step.op].branches:
            raise Unread(f"{step.op} has no reading in index notation.")
        bodies, axes = aligned(args)
        return Value(opaque(OPS[step.op].exact).xreplace(dict(zip((X, Y), bodies, strict=False))), axes)

    def selector(self, step: Step, family: Family, rows: Value) -> Value:
        """A tensor of which nothing is known, with an entry for each of ``rows``."""
        axes = tuple(tuple(replace(f, index=fresh(f.index), loose=False) for f in axis) for axis in rows.axes)
        mine = [f for axis in axes for f in axis]
        name = f"{family.params[0]} {step.args[0]}"
        return Value(tensor(name, *(f.size for f in mine))[tuple(f.index for f in mine)], axes)

    # -------------------------------------------------------------------------------- constants
    def constant(self, family: Family) -> Value:
        constants = family.params
        arrays = [c.value for c in constants]
        if all(a.ndim == 0 or (a.size and (a == a.flat[0]).all()) for a in arrays):
            exact = [_exact(c) for c in constants]
            axes = tuple(self.axis(k, family.shapes, loose=True) for k in range(arrays[0].ndim))
            return Value(opaque(self.sizes.number(exact)), axes)
        if any(c.radius is not None for c in constants):
            raise Unread("an array of typed decimals is read at given sizes only.")
        axes = tuple(self.axis(k, family.shapes) for k in range(arrays[0].ndim))
        indices = [axis[0].index if axis else sp.S.Zero for axis in axes]
        try:
            found = decode_values(arrays)
        except Unread:
            if not all(np.array_equal(a, arrays[0]) for a in arrays):  # at other sizes it is another array
                raise
            name = f"constant {hashlib.sha256(arrays[0].tobytes()).hexdigest()[:12]}"
            lengths = [f.size for axis in axes for f in axis]
            return Value(tensor(name, *lengths)[tuple(f.index for axis in axes for f in axis)], axes)
        if isinstance(found, Affine):
            return Value(self.affine(found, indices), axes)
        value, region = found
        return Value(sp.Rational(*value.as_integer_ratio()) * self.region(region, indices), axes)

    def axis(self, k: int, shapes: Sequence[tuple[int, ...]], *, loose: bool = False) -> tuple[Factor, ...]:
        numbers = tuple(s[k] for s in shapes)
        return () if set(numbers) == {1} else (self.factor(numbers, "ijkpq"[k % 5], loose=loose),)

    def factor(self, numbers: Numbers, hint: str = "i", *, loose: bool = False) -> Factor:
        return Factor(fresh(hint), self.sizes.extent(numbers), numbers, loose)

    # -------------------------------------------------------------------------------- layouts
    def pick(self, family: Family, args: list[Value]) -> Value:
        """The sum, over the arguments, of what is taken from each."""
        where = [flat_positions(p, s) for p, s in zip(family.params, family.shapes, strict=True)]
        total: Value | None = None
        starts = [0] * len(where)
        for k, a in enumerate(args):
            lengths = [int(np.prod(shapes[k], dtype=np.int64)) for shapes in family.inputs]
            here = [np.where((w > s) & (w <= s + n), w - s, 0) for w, s, n in zip(where, starts, lengths, strict=True)]
            starts = [s + n for s, n in zip(starts, lengths, strict=True)]
            if any(h.any() for h in here):
                part = self.taken(here, a)
                total = part if total is None else _added(total, part)
        if total is None:
            raise Unread("a layout of zeros alone.")
        return total

    def taken(self, where: Sequence[np.ndarray], a: Value, *, chosen: bool = False) -> Value:
        """What is taken from a tensor; where entries are missing by a choice, another step says which."""
        found, one_by_one = _decoded(where, [f.numbers for f in a.factors], regions=not chosen)
        axes = tuple(tuple(self.factor(n, "ijkpq"[k % 5]) for n in axis) for k, axis in enumerate(found.factors))
        mine = [f for axis in axes for f in axis]
        used: dict[int, Any] = {}
        for c, source in zip(found.coordinates, a.factors, strict=True):
            for k, slopes in enumerate(c.slopes):
                if any(slopes):
                    whole = set(slopes) == {1} and not any(c.offset) and mine[k].numbers == source.numbers
                    used[k] = source if whole and (k not in used or used[k].loose) else used.get(k, source)
                    if not whole:
                        used[k] = replace(used[k], size=mine[k].size)
        for k, source in used.items():  # an index that runs through a whole axis has its length, not just its number
            mine[k] = replace(mine[k], size=source.size, loose=source.loose)
        mine = [replace(f, loose=f.loose or k not in used) for k, f in enumerate(mine)]
        indices = [f.index for f in mine]
        places = {f.index: self.affine(c, indices) for f, c in zip(a.factors, found.coordinates, strict=True)}
        body = rename(a.body, places) * self.region(found.region, indices) * _listed(one_by_one, indices)
        tight = body.free_symbols
        mine = [replace(f, loose=f.index not in tight) for f in mine]
        parts = iter(mine)
        return Value(body, tuple(tuple(next(parts) for _ in axis) for axis in axes))

    def affine(self, found: Affine, indices: Sequence[Any]) -> Any:
        terms = [self.sizes.expression(found.offset)]
        for index, slopes in zip(indices, found.slopes, strict=True):
            if any(slopes):
                terms.append(self.sizes.expression(slopes) * index)
        return sp.Add(*terms)

    def region(self, region: Region, indices: Sequence[Any]) -> Any:
        """1 in the region, else 0."""
        inside = sp.Mul(*(self.condition(c, indices) for c in region.conditions))
        return 1 - inside if region.outside else inside

    def condition(self, c: Condition, indices: Sequence[Any]) -> Any:
        low, high = self.sizes.expression(c.low), self.sizes.expression(c.high)
        other = sp.S.Zero if c.b is None else indices[c.b]
        if c.low == c.high:
            return sp.KroneckerDelta(indices[c.a], other + low)
        if c.low == c.least and c.b is not None:  # bounded above alone
            least = self.sizes.expression(c.least)
            return Within(high - indices[c.a] + other, high - least + 1)
        if c.high == c.most and c.b is not None:
            return Within(indices[c.a] - other - low, self.sizes.expression(c.most) - low + 1)
        return Within(indices[c.a] - other - low, high - low + 1)

    def scatter(self, family: Family, a: Value) -> Value:
        """The sum over the argument's indices of its entry, where it lands."""
        factors = a.factors
        boxes = [tuple(f.numbers[r] for f in factors) for r in range(len(family.shapes))]
        where = [
            flat_positions(p, shapes[0]).reshape(box)
            for p, shapes, box in zip(family.params, family.inputs, boxes, strict=True)
        ]
        lengths = [tuple(s[k] for s in family.shapes) for k in range(len(family.shapes[0]))]
        found, one_by_one = _decoded(where, lengths)
        if len(found.factors) != len(factors) or any(len(f) > 1 for f in found.factors):
            found = replace(found, factors=tuple((f.numbers,) for f in factors))
        indices = [f.index for f in factors]
        body = a.body * self.region(found.region, indices) * _listed(one_by_one, indices)
        left = dict(enumerate(factors))  # those that are summed over
        axes = []
        for c, numbers in zip(found.coordinates, lengths, strict=True):
            direct = _digits(c, factors, numbers)
            if direct is not None and all(k in left for k in direct):
                axes.append(tuple(left.pop(k) for k in direct))
            elif set(numbers) == {1}:
                axes.append(())
            else:
                new = self.factor(numbers)
                body = body * sp.KroneckerDelta(new.index, self.affine(c, indices))
                axes.append((new,))
        for f in left.values():
            body = summed(body, f)
        tight = body.free_symbols
        return Value(body, tuple(tuple(replace(f, loose=f.index not in tight) for f in axis) for axis in axes))

    # -------------------------------------------------------------------------------- products and matrices
    def matmul(self, a: Value, b: Value) -> Value:
        bodies, axes = aligned([Value(a.body, (a.axes[0], a.axes[2])), Value(b.body, (b.axes[0], b.axes[1]))])
        batch, inner = axes
        product = sp.Mul(*bodies)
        for f in reversed(inner):
            s = fresh("s")
            product = summed(rename(product, {f.index: s}), replace(f, index=s))
        rows, columns = (tuple(replace(f, index=fresh(f.index)) for f in axis) for axis in (a.axes[1], b.axes[2]))
        new = {f.index: g.index for f, g in zip((*a.axes[1], *b.axes[2]), (*rows, *columns), strict=True)}
        return Value(rename(product, new), (batch, rows, columns))

    def product(self, op: str, a: Value) -> Value:
        """The product along the last axis; for each entry, that of the others, wherever the entry is not zero."""
        *lead, last = a.axes
        body = a.body
        for f in reversed(last):
            i = fresh(f.index)
            inner = rename(body, {f.index: i})
            body = inner**f.size if i not in inner.free_symbols else IndexProduct(inner, i, f.size)
        return Value(body, (*lead, ())) if op == "prod" else Value(body / a.body, a.axes)

    def linear_algebra(self, op: str, args: list[Value]) -> Value:
        a = args[0]
        batch, rows, columns = a.axes
        if len(rows) != 1 or len(columns) != 1 or rows[0].size != columns[0].size:
            raise Unread(f"{op} of a matrix that is not n by n for a size n, or whose axes were merged.")
        (r,), (c,) = rows, columns
        if op in ("det", "logabsdet"):
            return Value((Det if op == "det" else LogDet)(a.body, r.index, c.index, r.size), (batch,))
        i, j = replace(r, index=fresh("i"), loose=False), replace(c, index=fresh("j"), loose=False)
        head, body = MatrixExponential if op == "matrix_exp" else Inverse, a.body
        if op == "cholesky":  # of the symmetric part
            head, body = Cholesky, (body + rename(body, {r.index: c.index, c.index: r.index})) / 2
        made = Value(head(body, r.index, c.index, r.size, i.index, j.index), (batch, (i,), (j,)))
        return self.matmul(made, args[1]) if op == "solve" else made


# ------------------------------------------------------------------------------------------------ parts


def _exact(constant: Any) -> Any:
    value = constant.value.flat[0]
    exact = constant.exact
    if isinstance(exact, sp.Basic):
        return exact
    if exact is not None:
        value = np.asarray(exact, dtype=object).flat[0]
        return sp.Rational(value.numerator, value.denominator)
    if not np.isfinite(value):
        raise Unread("a constant is not finite.")
    return sp.Rational(*float(value).as_integer_ratio())


def _decoded(
    where: Sequence[np.ndarray], sizes: Sequence[Numbers], *, regions: bool = True
) -> tuple[Decoded, np.ndarray | None]:
    """The map, and where it has entries, if no bounds on indices say that, and it has them there in all runs."""
    try:
        return decode(where, sizes, regions=regions), None
    except Unread:
        if not regions or not all(np.array_equal(w, where[0]) for w in where):
            raise
        return decode(where, sizes, regions=False), where[0] > 0


def _listed(mask: np.ndarray | None, indices: Sequence[Any]) -> Any:
    """1 where a mask holds and 0 elsewhere, entry by entry."""
    if mask is None:
        return sp.S.One
    few = min(mask, ~mask, key=np.count_nonzero)
    if np.count_nonzero(few) > _LISTED:
        raise Unread("the entries that a layout keeps form no region that was recognised.")
    held = [sp.Mul(*map(sp.KroneckerDelta, indices, map(int, place))) for place in np.argwhere(few)]
    return sp.Add(*held) if few is mask else 1 - sp.Add(*held)


def summed(body: Any, f: Factor) -> Any:
    return f.size * body if f.index not in body.free_symbols else IndexSum(body, f.index, f.size)


def aligned(values: Sequence[Value]) -> tuple[list[Any], tuple[tuple[Factor, ...], ...]]:
    """The bodies of tensors of one shape over common indices, and the axes that they have together."""
    axes = []
    renames: list[dict[Any, Any]] = [{} for _ in values]
    for k in range(len(values[0].axes)):
        tight = [v.axes[k] for v in values if not all(f.loose for f in v.axes[k])]
        chosen = max(tight or [v.axes[k] for v in values], key=len)
        for v, new in zip(values, renames, strict=True):
            own = v.axes[k]
            if own == chosen or all(f.loose for f in own):
                continue
            if [f.numbers for f in own] != [f.numbers for f in chosen]:
                raise Unread("two tensors are combined whose axes were split in different ways.")
            new |= {f.index: g.index for f, g in zip(own, chosen, strict=True)}
            chosen = tuple(_better(f, g) for f, g in zip(chosen, own, strict=True))
        axes.append(chosen)
    bodies = [rename(v.body, new) for v, new in zip(values, renames, strict=True)]
    found = set().union(*(b.free_symbols for b in bodies))
    return bodies, tuple(tuple(replace(f, loose=f.index not in found) for f in axis) for axis in axes)


def _better(f: Factor, g: Factor) -> Factor:
    """Of two names for a length, the one that holds a size."""
    return replace(f, size=g.size) if f.size.is_number and not g.size.is_number else f


def _added(a: Value, b: Value) -> Value:
    bodies, axes = aligned([a, b])
    return Value(sp.Add(*bodies), axes)


def _arithmetic(op: str, bodies: list[Any], params: Any) -> Any:
    match op:
        case "add":
            return bodies[0] + bodies[1]
        case "sub":
            return bodies[0] - bodies[1]
        case "mul":
            return bodies[0] * bodies[1]
        case "div":
            return bodies[0] / bodies[1]
        case "neg":
            return -bodies[0]
        case "powi":
            return bodies[0] ** params
        case _:
            return bodies[0] ** bodies[1]


def _choice(op: str, left: Any, right: Any) -> Any:
    """1 where the comparison holds, off its ties."""
    z = left - right if op in ("gt", "ge") else right - left
    for factor in sp.Mul.make_args(z):  # relu(z) is positive where z is
        if isinstance(factor, STEP) and z == factor * factor.args[0]:
            return factor
    return STEP(z)


def _digits(c: Affine, factors: Sequence[Factor], numbers: Numbers) -> tuple[int, ...] | None:
    """The factors, slowest first, of which the coordinate is the number that they write, if it is all of them."""
    if any(c.offset):
        return None
    used = [k for k, slopes in enumerate(c.slopes) if any(slopes)]
    order = sorted(used, key=lambda k: c.slopes[k][0], reverse=True)
    reached = (1,) * len(numbers)
    for k in reversed(order):
        if c.slopes[k] != reached:
            return None
        reached = tuple(n * m for n, m in zip(reached, factors[k].numbers, strict=True))
    return tuple(order) if reached == numbers else None
