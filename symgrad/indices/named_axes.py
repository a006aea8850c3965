"""Lines of torch over named axes: what tensors and indices are there, and how they are laid beside each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.pycode import pycode

from symgrad.errors import UnknownOperation
from symgrad.indices.printing import text
from symgrad.indices.sizes import Numbers, Unread
from symgrad.indices.stable_forms import in_plain_functions
from symgrad.indices.terms import STEP, Binder, IndexSum, Within
from symgrad.program.program import Index, Shape, Strided, positions

# ---------------------------------------------------------------------------------------------------------- index maps
# Index maps decoded: from positions, met in runs at several sizes, to affine indices and conditions on them.
#
# A pick or scatter says where each entry comes from or lands.  Here the two sides are boxes of *factors* (an axis that
# was made by merging others has a factor for each), and what is found is, for each factor of the one side, its index as
# an affine function of the factors of the other, and the conditions under which there is an entry at all.  Whatever is
# found was checked at every entry of every run.

_MOST = 1 << 24  # entries of one map that are looked at


@dataclass(frozen=True, slots=True)
class Affine:
    """``offset + sum(slopes[k] * index_k)``, with a number for each run in place of every number."""

    offset: Numbers
    slopes: tuple[Numbers, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """``low <= index_a - index_b <= high`` (without ``b``: of ``index_a`` alone).

    ``least`` and ``most`` are the ends that every index meets: a bound at one of them is no condition.
    """

    a: int
    b: int | None
    low: Numbers
    high: Numbers
    least: Numbers
    most: Numbers


@dataclass(frozen=True, slots=True)
class Region:
    """The indices that meet all ``conditions``; with ``outside``, all others."""

    conditions: tuple[Condition, ...] = ()
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """A map: the factors of the box that it starts from, where each factor of the other side is, and where it holds.

    ``factors`` holds, for each axis, the lengths of its factors, the slowest first.
    """

    factors: tuple[tuple[Numbers, ...], ...]
    coordinates: tuple[Affine, ...]
    region: Region


def flat_positions(index: Index, shape: Shape) -> np.ndarray:
    """The index as positions counted from 1 (0: none), refused where there are too many to look at."""
    if int(np.prod(shape, dtype=np.int64)) > _MOST:
        raise Unread(f"a tensor of shape {list(shape)} is too large to be read.")
    where = positions(index, shape) if isinstance(index, Strided) else np.asarray(index)
    return where.reshape(shape)


def decode(where: Sequence[np.ndarray], sizes: Sequence[Numbers], *, regions: bool = True) -> Decoded:
    """Decode the maps of the runs: ``where`` holds the positions (from 1; 0 for none) of each run, in the box's shape;
    ``sizes`` the lengths of the other side's factors, the slowest first.  Without ``regions``, where it holds is not
    asked.

    >>> transposed = [np.arange(1, n * m + 1).reshape(n, m).T for n, m in ((3, 5), (5, 7))]
    >>> decode(transposed, [(3, 5), (5, 7)]).coordinates
    (Affine(offset=(0, 0), slopes=((0, 0), (1, 1))), Affine(offset=(0, 0), slopes=((1, 1), (0, 0))))

    Raises `Unread` where a coordinate is not affine, or the entries that are there form no simple region.
    """
    runs = range(len(where))
    masks = [w > 0 for w in where]
    full = all(m.all() for m in masks)
    factors = [_factors(where, sizes, axis) if full else (_lengths(where, axis),) for axis in range(where[0].ndim)]
    boxes = [tuple(f[r] for fs in factors for f in fs) for r in runs]
    split = [w.reshape(box) for w, box in zip(where, boxes, strict=True)]
    masks = [m.reshape(box) for m, box in zip(masks, boxes, strict=True)]
    places = [_unravelled(np.maximum(w, 1) - 1, tuple(s[r] for s in sizes)) for r, w in enumerate(split)]
    coordinates = tuple(affine([p[k] for p in places], masks) for k in range(len(sizes)))
    return Decoded(tuple(factors), coordinates, region_of(masks) if regions else Region())


def _unravelled(flat: np.ndarray, shape: Shape) -> tuple[np.ndarray, ...]:
    return tuple(np.unravel_index(flat, shape)) if shape else ()


def _lengths(where: Sequence[np.ndarray], axis: int) -> Numbers:
    return tuple(w.shape[axis] for w in where)


def _factors(where: Sequence[np.ndarray], sizes: Sequence[Numbers], axis: int) -> tuple[Numbers, ...]:
    """The factors of an axis: several where it runs through one factor of the other side after another."""
    lengths = _lengths(where, axis)
    if set(lengths) == {1}:
        return ()
    first = where[0]
    if not first.size:
        return (lengths,)
    line = np.moveaxis(first, axis, 0).reshape(first.shape[axis], -1)[:, 0] - 1
    places = np.array(_unravelled(line, tuple(s[0] for s in sizes))).reshape(len(sizes), len(line))
    found: list[int] = []
    reached = 1
    while reached < len(line):
        step = places[:, reached] - places[:, 0]
        (moved,) = np.nonzero(step)
        if len(moved) != 1 or step[moved[0]] != 1 or moved[0] in found:
            return (lengths,)
        found.append(int(moved[0]))
        reached *= sizes[found[-1]][0]
    total = tuple(int(np.prod([sizes[k][r] for k in found])) for r in range(len(where)))
    return tuple(sizes[k] for k in reversed(found)) if len(found) > 1 and total == lengths else (lengths,)


# ------------------------------------------------------------------------------------------------ affine indices


def affine(values: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Affine:
    """The affine function of the indices that gives these integers wherever the masks hold, in every run."""
    for fit in (_simple, _by_differences):
        found = [fit(v, m) for v, m in zip(values, masks, strict=True)]
        for choice in zip(*found, strict=False):
            offsets, slopes = zip(*choice, strict=True)
            result = Affine(tuple(offsets), tuple(zip(*slopes, strict=True)))
            if all(_holds(result, r, v, m) for r, (v, m) in enumerate(zip(values, masks, strict=True))):
                return result
    raise Unread("the entries of a layout are taken in an order that no affine index gives.")


Fit = tuple[int, tuple[int, ...]]


def _simple(values: np.ndarray, mask: np.ndarray) -> list[Fit]:
    """Constant, or one index plus or minus a number: each kind once, in the same order for every run."""
    n = values.ndim
    at = tuple(map(int, np.unravel_index(np.argmax(mask), mask.shape))) if n and mask.size else (0,) * n  # the first
    origin = int(values[at])
    out: list[Fit] = [(origin, (0,) * n)]
    for axis in range(n):
        for slope in (1, -1):
            out.append((origin - slope * at[axis], tuple(slope if k == axis else 0 for k in range(n))))
    return out


def _by_differences(values: np.ndarray, mask: np.ndarray) -> list[Fit]:
    if not mask.all() or not values.size:
        return []
    origin = int(values[(0,) * values.ndim])
    slopes = []
    for axis, n in enumerate(values.shape):
        second = tuple(1 if k == axis else 0 for k in range(values.ndim))
        slopes.append(int(values[second]) - origin if n > 1 else 0)
    return [(origin, tuple(slopes))]


def _holds(found: Affine, run: int, values: np.ndarray, mask: np.ndarray) -> bool:
    guess: Any = found.offset[run]
    for axis in range(values.ndim):
        if found.slopes[axis][run]:
            guess = guess + _index(values.shape, axis) * found.slopes[axis][run]
    return bool(((guess == values) | ~mask).all())


# ------------------------------------------------------------------------------------------------ regions


def region_of(masks: Sequence[np.ndarray]) -> Region:
    """Where the masks hold, or where they do not, by as few bounds on indices and on their differences as say it.

    >>> region_of([1 - np.eye(n) > 0 for n in (3, 5)]).outside
    True
    """
    if all(m.all() for m in masks):
        return Region()
    try:
        return Region(_conditions(masks))
    except Unread:
        if not all((~m).any() for m in masks):
            raise
        return Region(_conditions([~m for m in masks]), outside=True)


def _conditions(masks: Sequence[np.ndarray]) -> tuple[Condition, ...]:
    if not all(m.any() for m in masks):
        raise Unread("a layout keeps no entry in one run and some in another.")
    n = masks[0].ndim
    pairs: list[tuple[int, int | None]] = [(a, None) for a in range(n)]
    pairs += list(itertools.combinations(range(n), 2))
    kept = [_bounds(masks, a, b) for a, b in pairs]
    kept = [c for c in kept if (c.low, c.high) != (c.least, c.most)]
    if not _say(kept, masks):
        raise Unread("the entries that a layout keeps form no region that bounds on indices give.")
    for c in list(reversed(kept)):
        rest = [k for k in kept if k is not c]
        if _say(rest, masks):
            kept = rest
    return tuple(kept)


def _index(shape: Shape, axis: int) -> np.ndarray:
    return np.arange(shape[axis]).reshape((-1,) + (1,) * (len(shape) - axis - 1))


def _measure(shape: Shape, a: int, b: int | None) -> np.ndarray:
    value = _index(shape, a) if b is None else _index(shape, a) - _index(shape, b)
    return np.broadcast_to(value, shape)


def _bounds(masks: Sequence[np.ndarray], a: int, b: int | None) -> Condition:
    measures = [_measure(m.shape, a, b) for m in masks]
    inside = [v[m] for v, m in zip(measures, masks, strict=True)]
    ends = [(int(v.min()), int(v.max()), int(w.min()), int(w.max())) for v, w in zip(inside, measures, strict=True)]
    low, high, least, most = zip(*ends, strict=True)
    return Condition(a, b, low, high, least, most)


def _say(conditions: Sequence[Condition], masks: Sequence[np.ndarray]) -> bool:
    for r, mask in enumerate(masks):
        region = np.ones(mask.shape, dtype=bool)
        for c in conditions:
            value = _measure(mask.shape, c.a, c.b)
            region = region & (value >= c.low[r]) & (value <= c.high[r])
        if not np.array_equal(region, mask):
            return False
    return True


# ------------------------------------------------------------------------------------------------ arrays of numbers


def decode_values(arrays: Sequence[np.ndarray]) -> Affine | tuple[float, Region]:
    """An array of numbers that every run has: affine in its indices, or one number on a region and zero elsewhere.

    >>> decode_values([np.arange(n) + 1.0 for n in (3, 5)])
    Affine(offset=(1, 1), slopes=((1, 1),))
    >>> decode_values([np.eye(n) * 0.5 for n in (3, 5)])[0]
    0.5
    """
    nonzero = sorted({float(v) for a in arrays for v in np.unique(a) if v != 0})
    if len(nonzero) == 1:
        try:
            return nonzero[0], region_of([a != 0 for a in arrays])
        except Unread:
            pass
    if all(np.array_equal(a, np.round(a)) for a in arrays):
        return affine([a.astype(np.int64) for a in arrays], [np.ones(a.shape, dtype=bool) for a in arrays])
    raise Unread("an array of constants follows no rule that was recognised.")


# ---------------------------------------------------------------------------------------------------------- named axes

# ------------------------------------------------------------------------------------------------------------- factors
# Products in parts: what is pulled out of them, and how they are split, before they are computed.

MARKS = (sp.KroneckerDelta, Within, STEP)  # factors that are 1 in some places, and 0 in all others


def common(number: Any, factors: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Factors without the whole numbers that all terms of one have in common, and the product of those."""
    rest = []
    for f in factors:
        shared, left = f.primitive() if isinstance(f, sp.Add) else (sp.S.One, f)
        whole = shared.is_Integer
        number = number * shared if whole else number
        rest.append(left if whole else f)
    return number, rest


def halves(factors: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Factors in two products, if there is a square, or are two of them and no marks."""
    if any(isinstance(f, MARKS) for f in factors):
        return list(factors), []
    square = next((f for f in factors if f.is_Pow and f.exp == 2 and len(factors) == 1), None)
    if square is not None:
        return [square.base], [square.base]
    above = [f for f in factors if not (f.is_Pow and f.exp.is_negative)]
    if len(above) < 2:
        return list(factors), []
    return [f for f in factors if f is not above[-1]], [above[-1]]


def summed(body: Any, bound: Mapping[Any, Any]) -> Any:
    for index, size in bound.items():
        body = IndexSum(body, index, size)
    return body


# ---------------------------------------------------------------------------------------------------------- named axes

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Line:
    """``name = template``, where ``{0}``, ``{1}``, ... are the earlier lines ``args``."""

    name: str
    template: str
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor and the indices that its axes are."""

    name: str
    axes: tuple[Any, ...]


@dataclass
class Lines:
    """Lines of torch, the names of the inputs, and for each result its name."""

    inputs: tuple[str, ...]
    sizes: tuple[str, ...]
    lines: list[Line] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)


class Layouts:
    """The lines that are written, over indices whose ranges are known."""

    def __init__(self, inputs: Mapping[str, Sequence[Any]], sizes: Iterable[Any]) -> None:
        self.shapes = {n: tuple(map(sp.sympify, shape)) for n, shape in inputs.items()}
        self.sizes = {s: sp.Symbol(f"size_{s.name}", integer=True, positive=True) for s in sizes}
        self.place = {n: f"x{k}" for k, n in enumerate(inputs)}
        self.out = Lines(tuple(self.place.values()), tuple(s.name for s in self.sizes))
        self.size_of: dict[Any, Any] = {}
        self.masked = False

    def line(self, template: str, *args: str) -> str:
        name = f"v{len(self.out.lines)}"
        self.out.lines.append(Line(name, template, args))
        return name

    def free(self, e: Any) -> list[Any]:
        """The free indices, in an order that does not depend on how dummies are numbered."""
        return sorted((s for s in e.free_symbols if s in self.size_of), key=lambda s: (s.name, s.sort_key()))

    # -------------------------------------------------------------------------------- numbers and indices
    def is_scalar(self, e: Any) -> bool:
        """Whether a body is made of numbers and sizes alone."""
        return not e.has(sp.Indexed, Binder) and all(s in self.sizes for s in e.free_symbols)

    def scalar(self, e: Any) -> str:
        """A number, or an expression in the sizes, as Python text."""
        e = sp.sympify(e)
        if e.is_Integer:
            return f"({e})" if e < 0 else str(e)
        e = in_plain_functions(e)
        if e.is_number:
            value = sp.N(e, 40)
            if not value.is_Float and not value.is_Rational:
                raise unspelled(e)
            return f"({float(value)!r})"
        plain = e.xreplace(self.sizes)
        if plain.has(STEP, sp.KroneckerDelta, Within, sp.Piecewise, sp.Heaviside):
            raise unspelled(e)
        try:
            return f"({pycode(plain, fully_qualified_modules=True, strict=True)})"
        except PrintMethodNotImplementedError:
            raise unspelled(e) from None

    def index(self, e: Any) -> Part:
        """An index expression as a tensor of whole numbers."""
        if e in self.size_of:
            return Part(self.line(f"torch.arange({self.scalar(self.size_of[e])}, device=like.device)"), (e,))
        if not self.free(e):
            if e.free_symbols - set(self.sizes):
                raise unspelled(e)
            return Part(self.line(f"torch.tensor({self.scalar(e)}, device=like.device)"), ())
        parts = []
        for term in sp.Add.make_args(sp.expand(e)):
            c, rest = term.as_independent(*self.free(term), as_Add=False)
            if rest == 1:
                parts.append(self.index(c))
            elif rest in self.size_of:
                at = self.index(rest)
                parts.append(at if c == 1 else Part(self.line(f"{{0}}*{self.scalar(c)}", at.name), at.axes))
            else:
                raise unspelled(e)
        return self.joined(parts, "{0} + {1}")

    def taken(self, whole: Part, shape: Sequence[Any], places: Sequence[Any]) -> Part:
        """The entry of a tensor at these places: its axes are ``whole.axes``, then those of ``shape``."""
        lead = len(whole.axes)
        straight = [p in self.size_of and self.size_of[p] == n for p, n in zip(places, shape, strict=True)]
        if all(straight) and not set(places) & set(whole.axes):
            letters = {p: LETTERS[k] for k, p in enumerate(dict.fromkeys([*whole.axes, *places]))}
            if len(set(places)) == len(places):
                return Part(whole.name, (*whole.axes, *places))
            old = "".join(letters[p] for p in (*whole.axes, *places))
            return Part(
                self.line(f"torch.einsum('{old}->{''.join(letters.values())}', {{0}})", whole.name), tuple(letters)
            )
        if not lead and not self.masked and len(set(places)) == len(places):
            found = self.narrowed(whole.name, shape, places)
            if found is not None:
                return found
        parts = [Part(self.line(f"torch.arange({self.scalar(self.size_of[a])}, device=like.device)"), (a,))
                 for a in whole.axes]  # fmt: skip
        helper = "clamped" if self.masked else "inside"
        for k, (p, n) in enumerate(zip(places, shape, strict=True)):
            at = self.index(p)
            if not straight[k]:
                at = Part(self.line(f"{helper}({{0}}, {self.scalar(n)})", at.name), at.axes)
            parts.append(at)
        axes = union(parts)
        names = [self.aligned(p, axes) for p in parts]
        slots = ", ".join(f"{{{k + 1}}}" for k in range(len(names)))
        return Part(self.line(f"{{0}}[{slots}]", whole.name, *names), axes)

    def narrowed(self, name: str, shape: Sequence[Any], places: Sequence[Any]) -> Part | None:
        """Entries along parts of axes, and at fixed places, as a view."""
        axes, cuts = [], []
        for p, n in zip(places, shape, strict=True):
            free = self.free(p)
            if not free:
                cuts.append(("row", p, n))
            elif len(free) == 1 and not (p - free[0]).has(free[0]) and free[0] not in axes:
                axes.append(free[0])
                cuts.append(("run", p - free[0], self.size_of[free[0]]))
            else:
                return None
        dim = 0
        for (kind, start, length), n in zip(cuts, shape, strict=True):
            if kind == "row":
                name = self.line(f"row({{0}}, {dim}, {self.scalar(start)})", name)
                continue
            if start != 0 or length != n:
                name = self.line(f"run({{0}}, {dim}, {self.scalar(start)}, {self.scalar(length)})", name)
            dim += 1
        return Part(name, tuple(axes))

    def aligned(self, part: Part, axes: Sequence[Any]) -> str:
        """A part with these axes in this order, of length one where it has none."""
        order = [a for a in axes if a in part.axes]
        name = part.name
        if order != list(part.axes):
            name = self.line(f"{{0}}.permute({tuple(part.axes.index(a) for a in order)})", name)
        first = next((k for k, a in enumerate(axes) if a in part.axes), len(axes))
        if len(order) + first != len(axes):
            slots = ", ".join(":" if a in part.axes else "None" for a in axes[first:])
            name = self.line(f"{{0}}[{slots}]", name)
        return name

    def joined(self, parts: Sequence[Part], template: str) -> Part:
        """Parts combined two at a time, the smallest first."""
        first, *rest = sorted(parts, key=lambda p: len(p.axes))
        for p in rest:
            axes = union([first, p])
            first = Part(self.line(template, self.aligned(first, axes), self.aligned(p, axes)), axes)
        return first


def union(parts: Sequence[Part]) -> tuple[Any, ...]:
    """The axes of several parts, in the order of the largest of them."""
    axes: dict[Any, None] = {}
    for p in sorted(parts, key=lambda p: -len(p.axes)):
        axes |= dict.fromkeys(p.axes)
    return tuple(axes)


def unspelled(e: Any) -> UnknownOperation:
    return UnknownOperation(f"{text(e)} ({type(e).__name__}) has no torch spelling for all sizes.")
