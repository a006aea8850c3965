"""Lines of torch over named axes: what tensors and indices are there, and how they are laid beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.pycode import pycode

from symgrad.errors import UnknownOperation
from symgrad.indices.printing import text
from symgrad.indices.stable_forms import in_plain_functions
from symgrad.indices.terms import STEP, Binder, IndexSum, Within

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
