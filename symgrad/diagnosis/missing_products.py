"""What a line lacks, or should be: a product of up to three values in scope, found by its value at all samples at once.

What is needed minus what is there is a term, what is needed over what is there a factor.  Values are laid out in the
shape of the line, so that ``x[:, None]`` and ``x`` are two candidates; the first product of two is kept as a table, and
a third factor is looked up by what is left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from symgrad.diagnosis.bench import Bench, Edit, as_array, uses_tensors
from symgrad.diagnosis.candidates import Atom, wrapped
from symgrad.diagnosis.expression_text import after_sign, factor, factor_after

_NEAR = 1e-7  # a filter, not a verdict
_ATOMS = 48  # values that are multiplied with one another
_SUMMED = 14  # values of which products are summed
_LARGE = 4096  # entries of such a value
_LOOKED_AT = 4  # entries by which products are told apart at first
_TRIPLES = 28  # and those of which three are
_NUMBERS = tuple(Fraction(n) for n in ("1", "-1", "2", "-2", "1/2", "-1/2", "3", "-3", "4", "-4", "1/4", "-1/4"))


@dataclass(frozen=True, eq=False)
class _Factor:
    text: str
    value: np.ndarray  # at all samples, end to end
    cost: float


@dataclass(frozen=True, eq=False)
class _Product:
    number: Fraction
    parts: tuple[_Factor, ...]

    @property
    def cost(self) -> float:
        return sum(p.cost for p in self.parts) + 0.15 * (abs(self.number) != 1)

    @property
    def text(self) -> str:
        body = " * ".join(factor_after(p.text) for p in self.parts)
        n = abs(self.number)
        return body if n == 1 else f"{float(n):g} * {body}"


def missing_products(bench: Bench, line: str, size: int, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """Terms and factors that the line lacks, and products that it should be.

    Nothing is told that holds at the samples by its value and not by ``bench``.
    """
    try:
        have = [np.asarray(as_array(v)) for v in bench.values(line)]
    except Exception:
        return
    nothing = line.strip() == "None"
    if not bench.wanted or any(w.dtype.kind not in "fiu" or not w.size for w in bench.wanted):
        return
    want = np.concatenate([w.ravel() for w in bench.wanted]).astype(float)
    laid = [_laid(h, w.shape) for h, w in zip(have, bench.wanted, strict=True)]
    rests: list[tuple[str, str, np.ndarray, float]] = [("replace", "", want, 0.12 * size)]
    if all(x is not None for x in laid) and not nothing:
        mine = np.concatenate([x.ravel() for x in laid if x is not None]).astype(float)
        with np.errstate(all="ignore"):
            rests += [("term", "+", want - mine, 0.7), ("factor", "*", want / mine, 0.55)]
    factors = _factors(bench, atoms)
    for kind, sign, goal, extra in rests:
        if not np.isfinite(goal).all() or not np.abs(goal).max() > 1e-300:
            continue
        for product in itertools.islice(_products(goal, factors), 8):
            new = _combined(line, kind, sign, product)
            if bench.fits(new):
                yield Edit(new, line, new, kind, product.cost + extra, "product")
        if kind != "factor":
            for product in itertools.islice(_summed(bench, goal, atoms), 4):
                new = _combined(line, kind, sign, product)
                if bench.fits(new):
                    yield Edit(new, line, new, kind, product.cost + extra, "product")


def _summed(bench: Bench, goal: np.ndarray, atoms: Sequence[Atom]) -> Iterator[_Product]:
    """Sums over an axis, or over all, of products of up to three values, that are the goal times a simple number."""
    most = int(np.argmax(np.abs(goal)))
    tensors = uses_tensors(bench)
    names = [a for a in sorted(atoms, key=lambda a: a.cost) if a.kind != "number" and np.ndim(as_array(a.value[0]))]
    for axis, word in ((0, "0"), (-1, "-1"), (None, "")):
        text = word if tensors or not word else f"axis={word}"
        chosen, laid = [], []
        for atom in names[:_SUMMED]:
            parts = [
                _over(np.asarray(as_array(v)), w.shape, axis) for v, w in zip(atom.value, bench.wanted, strict=True)
            ]
            if all(p is not None and p.size <= _LARGE for p in parts):
                chosen.append(atom)
                laid.append(parts)
        for n in (2, 3):
            for places in itertools.combinations_with_replacement(range(len(chosen)), n):
                try:
                    sums = [
                        math.prod(laid[i][k] for i in places[1:]) * laid[places[0]][k] for k in range(len(bench.wanted))
                    ]
                    value = np.concatenate([np.asarray(s.sum(axis)).ravel() for s in sums]).astype(float)
                except ValueError:  # of shapes that do not go together
                    continue
                if len(value) != len(goal):
                    continue
                body = " * ".join(factor_after(chosen[i].text) for i in places)
                cost = sum(chosen[i].cost for i in places) + 0.4
                made = _checked(goal, (_Factor(f"({body}).sum({text})", value, cost),), most)
                if made is not None:
                    yield made


def _over(value: np.ndarray, shape: tuple[int, ...], axis: int | None) -> np.ndarray | None:
    """A value whose sum over an axis has a shape, or over all axes none."""
    if value.dtype.kind not in "fiu":
        return None
    if axis is None:
        return value if not shape else None
    rest = value.shape[1:] if axis == 0 else value.shape[:-1]
    return value if rest == shape else None


def _combined(line: str, kind: str, sign: str, product: _Product) -> str:
    minus = product.number < 0
    if kind == "term":
        return f"{line} {'-' if minus else '+'} {after_sign(product.text, '-' if minus else '+')}"
    if kind == "factor":
        return f"{'-' if minus else ''}{factor(line)} * {product.text}"
    return f"{'-' if minus else ''}{product.text}"


def _laid(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        return None


def _factors(bench: Bench, atoms: Sequence[Atom]) -> list[_Factor]:
    """The atoms in every layout that spreads over the line's shape, each value once, the cheapest first."""
    shapes = [w.shape for w in bench.wanted]
    rank = max(map(len, shapes))
    forms = [("{}", 0.0), ("{}**2", 0.35)]
    if rank > 1:
        forms += [("{}[:, None]", 0.1), ("{}[None, :]", 0.1), ("{}.T", 0.15), ("{}**2[:, None]", 0.4)]
    if rank:
        axis = "-1, keepdim=True" if uses_tensors(bench) else "axis=-1, keepdims=True"
        forms += [("{}.sum()", 0.3), ("{}.sum(" + axis + ")", 0.35)]
    found: dict[bytes, _Factor] = {}
    for atom in sorted(atoms, key=lambda a: a.cost):
        if atom.kind in ("number", "degrees"):
            continue
        for form, more in forms:
            base = wrapped(atom.text)
            text = atom.text if form == "{}" else form.replace("{}**2[", f"({base}**2)[").replace("{}", base)
            try:
                values = atom.value if form == "{}" else bench.values(text)
                parts = [_laid(np.asarray(as_array(v)), s) for v, s in zip(values, shapes, strict=True)]
            except Exception:
                continue
            if any(p is None or p.dtype.kind not in "fiu" for p in parts):
                continue
            flat = np.concatenate([p.ravel() for p in parts if p is not None]).astype(float)
            if np.isfinite(flat).all() and np.abs(flat).max() > 0:
                found.setdefault(np.round(flat, 10).tobytes(), _Factor(text, flat, atom.cost + more))
    return sorted(found.values(), key=lambda f: f.cost)[: 2 * _ATOMS]


def _products(goal: np.ndarray, factors: Sequence[_Factor]) -> Iterator[_Product]:
    """The products that are the goal times a simple number: of one factor, of two, and if there are none, of three."""
    few = factors[:_ATOMS]
    most = int(np.argmax(np.abs(goal)))
    some = np.random.default_rng(0).choice(len(goal), min(len(goal), _LOOKED_AT), replace=False)
    places = np.array([most, *some])
    goal_there = goal[places]
    table = np.array([f.value[places] for f in few])
    found = False
    for f in factors:
        if (made := _checked(goal, (f,), most)) is not None:
            found = True
            yield made
    for i, f in enumerate(few):
        for j in _hits(goal_there, f.value[places] * table[i:]):
            if (made := _checked(goal, (f, few[i + j]), most)) is not None:
                found = True
                yield made
    triples = range(0 if found else min(_TRIPLES, len(few)))
    for i, j in itertools.combinations_with_replacement(triples, 2):
        for k in _hits(goal_there, table[i] * table[j] * table[j : len(triples)]):
            if (made := _checked(goal, (few[i], few[j], few[j + k]), most)) is not None:
                yield made


def _hits(goal: np.ndarray, many: np.ndarray) -> list[int]:
    """Which rows are the goal but for a number; the first entry is the goal's largest."""
    with np.errstate(all="ignore"):
        c = goal[0] / many[:, 0]
        near = np.isfinite(c) & (np.abs(many * c[:, None] - goal) <= _NEAR * np.abs(goal[0])).all(axis=1)
    return np.flatnonzero(near).tolist()


def _checked(goal: np.ndarray, parts: tuple[_Factor, ...], most: int) -> _Product | None:
    """The product with the simple number c for which goal = c product, everywhere."""
    value = parts[0].value
    for part in parts[1:]:
        value = value * part.value
    if not value[most]:
        return None
    c = goal[most] / value[most]
    number = next((q for q in _NUMBERS if abs(c - float(q)) <= _NEAR * abs(c)), None)
    if number is None or not np.all(np.abs(float(number) * value - goal) <= _NEAR * np.abs(goal[most])):
        return None
    return _Product(number, parts)
