"""Small edits of one expression, tried by value, the most plausible first.

There are two sources: structure (`symgrad.diagnosis.structural_edits`), computed one by one, and holes
(`symgrad.diagnosis.edits`), filled many at a time.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import functools
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.bench import HOLE, Bench, Edit, as_array, uses_tensors
from symgrad.diagnosis.candidates import Atom, functions_of, loose, wrapped
from symgrad.diagnosis.claims import is_derivative_like
from symgrad.diagnosis.expression_text import (
    Hole,
    Text,
    after_sign,
    array_pairs,
    factor,
    factor_after,
    holes_of,
    in_order,
    is_sum,
    numbered,
    places_in,
)
from symgrad.diagnosis.needs import missing_products
from symgrad.diagnosis.scope import same
from symgrad.diagnosis.source_code import edited
from symgrad.diagnosis.structural_edits import structure

# --------------------------------------------------------------------------------------------------------------- edits

# --------------------------------------------------------------------------------------------------------------- holes
# Edits that fill a hole: a sub-expression is taken out, and every atom is put in its place or combined with it.
#
# Where samples lie side by side, all atoms, all products of two and all products of three are tried as array programs;
# other code is tried atom by atom, within a budget.

_WITHIN = 16  # names that are multiplied for a part of a line
_INNER = 6  # parts of a line in which a term may be missing
_MOST_PAIRS = 60  # atoms that are multiplied with one another
_IDLE = re.compile(
    r"-\(-|--|(?<![\w.])1(\.0*)? ?\*(?!\*)|(?<!\*)[*/] ?1(\.0*)?(?![\w.])|\* ?(?P<n>\w+) ?/ ?(?P=n)(?![\w.(\[])"
    r"|(?:transpose|swapaxes)\((?:\w+, ?)?(?P<axis>-?\d+), ?(?P=axis)\)"
)  # says nothing
_ATTRIBUTE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_DECIMAL = re.compile(r"(?<![\w.])\d*\.\d*[1-9]\d*(?!\w)")
_QUOTIENT = re.compile(r"(?<![\w.])\d+ / \d{2,}(?![\w.])")  # 1 / 40 is rather eps / k
_STRANGE = 0.6  # what it costs to write such, or a decimal that is written nowhere
PLAIN = 1.4  # what an edit costs at most beside which nothing larger is looked for
_NEXT = 0.75  # what a number for the next one costs
_KEPT = 24  # edits of a line that are tried where data were moved
_FAR = 1e-7  # a filter, not a verdict
_MOST_ENDS = 1500  # edits that are followed to the end of the derivation


_COMBINE: tuple[tuple[str, str, float, Callable[[Any, Any], Any]], ...] = (
    ("replace", "{a}", 0.0, lambda h, a: a),
    ("factor", "{h} * {a}", 0.35, operator.mul),
    ("divide", "{h} / {a}", 0.45, operator.truediv),
    ("term", "{h} + {a}", 0.5, operator.add),
    ("term", "{h} - {a}", 0.5, operator.sub),
)
_APPLY: tuple[tuple[str, str, float, Callable[[Any], Any]], ...] = (
    ("sign", "-{h}", 0.9, operator.neg),
    ("square", "{h}**2", 1.1, lambda h: h * h),
    ("complement", "1 - {H}", 1.2, lambda h: 1 - h),
    ("slope", "1 - {h}**2", 1.3, lambda h: 1 - h * h),
    ("slope", "{h} * (1 - {H})", 1.4, lambda h: h * (1 - h)),
    ("reciprocal", "1 / {h}", 1.1, lambda h: 1 / h),
    ("constant factor", "2 * {h}", 1.05, lambda h: 2 * h),
    ("root", "{h}**0.5", 1.4, lambda h: h**0.5),
    ("term", "{T} - 1", 1.3, lambda h: h - 1),
    ("term", "{T} + 1", 1.35, lambda h: h + 1),
)


Ready = Sequence[tuple[Hole, Any, Any]]  # a hole, the compiled expression around it, and its values


def ready_holes(t: Text, bench: Bench) -> Ready:
    ready = []
    for hole in holes_of(t):
        try:
            value = bench.values(hole.text)
            template = t.text[: hole.start] + f"({hole.left}({HOLE}){hole.right})" + t.text[hole.end :]
            ready.append((hole, bench.compiled(template), value))
        except Exception:  # the name of a function or of a module is no value
            continue
    return ready if bench.batch else [r for r in ready if as_array(r[2][0]).dtype.kind in "fciub"]


def small(t: Text, bench: Bench, holes: Ready, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """One change of the structure, another name, or one atom put in."""
    yield from masks(t.text, bench, atoms)
    yield from (e for e in renamed(t, atoms) if bench.fits(e.text))
    for cost, kind, start, end, new in structure(t, bench):
        full = t.fill(start, end, new)
        if bench.fits(full):
            yield Edit(full, t.text[start:end], new, kind, cost)
    if bench.batch:
        for hole, code, value in holes:
            yield from _many(t, bench, hole, code, np.asarray(value), atoms)
        return
    if t.text.strip() == "None":
        yield from (Edit(a.text, t.text, a.text, "nothing", a.cost, a.kind) for a in atoms if bench.fits(a.text))
    for hole, code, value in holes:
        yield from _applied_alone(t, bench, hole, code, value)
    yield from _ones(t, bench, holes, atoms, ("replace", "factor divide", "term"))


def large(
    t: Text, bench: Bench, holes: Ready, atoms: Sequence[Atom], pieces: Sequence[Atom], functions: Sequence[Atom]
) -> Iterator[Edit]:
    """Functions of names and pieces of the derivative put in, and products of several atoms."""
    if bench.batch:
        with np.errstate(all="ignore"):
            for hole, code, value in holes:
                yield from _many(t, bench, hole, code, np.asarray(value), [*pieces, *functions])
                yield from _pairs(t, bench, hole, code, np.asarray(value), [*atoms, *pieces, *functions])
        return
    if t.text.strip() == "None":
        yield from array_pairs(bench, t.text, 1, [np.zeros(w.shape) for w in bench.wanted], atoms)
    yield from _ones(t, bench, holes, pieces, ("replace", "factor divide", "term"))
    yield from _ones(t, bench, holes, functions, ("replace factor",))
    names = [a for a in (*atoms, *pieces) if a.kind in ("name", "derivative")][: 0 if bench.accepts else 24]
    for hole, code, value in holes:
        yield from _two_by_two(t, bench, hole, code, value, names)
    if not bench.accepts:
        every = [*atoms, *pieces, *functions]
        size = sum(1 for _ in ast.walk(t.tree) if isinstance(_, ast.expr))
        yield from missing_products(bench, t.text, size, every)
        for hole, code, value in [r for r in holes if r[0].depth and _may_lack_a_term(r[0])][:_INNER]:
            goals = [_goal_of(bench, code, value, k) for k in range(len(bench.wanted))]
            if all(g is not None for g in goals):
                write = functools.partial(_write, t, hole)
                yield from missing_products(bench, hole.text, hole.size, atoms, goals, write)  # type: ignore[arg-type]


def _may_lack_a_term(hole: Hole) -> bool:
    """Whether a part of a line is an array that stands in a product: a sum in brackets, or what may become one."""
    return is_sum(hole.node) or isinstance(hole.node, ast.Name)


def _ones(t: Text, bench: Bench, holes: Ready, atoms: Sequence[Atom], kinds: Sequence[str]) -> Iterator[Edit]:
    for some in kinds if atoms else ():
        for hole, code, value in holes:
            if bench.count < (_MOST_ENDS if bench.accepts else bench.most):
                yield from _one_by_one(t, bench, hole, code, value, atoms, some.split())


def _write(t: Text, hole: Hole, new: str) -> str:
    if hole.left:
        bit = new if not loose(new) else f"({new})"
        return t.fill(hole.start, hole.end, f"{hole.left}{bit}{hole.right}")
    return t.fill(hole.start, hole.end, new)


def _combined(form: str, hole: Hole, atom: str) -> str:
    h = hole.text
    if form == "{a}":
        typed_float = isinstance(hole.node, ast.Constant) and isinstance(hole.node.value, float)
        return f"{atom}.0" if typed_float and atom.lstrip("-").isdigit() else atom
    if form.startswith("{h} +") or form.startswith("{h} -"):
        return form.format(h=h, a=after_sign(atom, form[4]))
    return form.format(h=factor(h), a=factor_after(atom))


def _applied(form: str, hole: Hole) -> str:
    if form == "-{h}" and isinstance(hole.node, ast.BinOp) and isinstance(hole.node.op, (ast.Mult, ast.Div)):
        return f"-{hole.text}" if not hole.text.startswith("-") else f"-({hole.text})"
    if form.startswith("2 *"):
        return numbered(hole.text, Fraction(2))
    first = hole.text if isinstance(hole.node, ast.BinOp) else wrapped(hole.text)
    return form.format(h=wrapped(hole.text), H=after_sign(hole.text, "-"), T=first)


def _cost_of(hole: Hole, atom: Atom, kind: str, extra: float) -> float:
    node = hole.node
    plain = isinstance(node, (ast.Name, ast.Constant))
    place = 0.0 if hole.depth == 0 else 0.1
    if kind == "replace" and _is_next(hole.text, atom.text):
        return _NEXT
    if kind == "replace":
        like = difflib.SequenceMatcher(None, hole.text, atom.text).ratio() if plain and atom.kind == "name" else 0.0
        strange = 0.6 if atom.kind == "number" and not isinstance(node, ast.Constant) else 0.0
        strange += 0.4 if atom.text == "1" else 0.0  # rather take the factor away
        strange += (0.9 if hole.depth == 0 else 0.2) if atom.kind == "derivative" else 0.0
        if plain and isinstance(node, ast.Name) and atom.kind == "name":  # a value for a value, a gradient for one
            strange += 0.2 * (is_derivative_like(hole.text) is not is_derivative_like(atom.text))
        strange += 0.5 if isinstance(node, ast.Constant) and atom.kind not in ("number", "size") else 0.0
        return atom.cost + (0.0 if plain else 0.12 * hole.size) - 0.3 * like + strange
    if atom.kind == "number" and atom.text not in ("2", "0.5"):
        extra += 0.4
    return atom.cost + extra + place + (0.15 if isinstance(node, ast.Constant) else 0.0) + 0.3 * bool(hole.left)


def _is_next(old: str, new: str) -> bool:
    """Whether a whole number is one more or less than another, and says something: N - 0 and x**1 say nothing."""
    return old.isdigit() and new.isdigit() and abs(int(old) - int(new)) == 1 < int(new)


def _kind_of(kind: str, hole: Hole, atom: Atom) -> str:
    if kind == "replace" and isinstance(hole.node, ast.Name) and atom.kind == "name":
        return "name"
    if kind == "replace" and isinstance(hole.node, ast.Constant):
        return "constant"
    return kind


# ------------------------------------------------------------------------------------------------ many at once


def _many(t: Text, bench: Bench, hole: Hole, code: Any, h: np.ndarray, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """All combinations with one atom, as array programs."""
    values = np.array([a.value for a in atoms], dtype=float).reshape(len(atoms), -1 if atoms else 0)
    with np.errstate(all="ignore"):
        for kind, form, extra, op in _COMBINE if atoms else ():
            for i in _hits(bench, code, op(h, values)):
                atom = atoms[i]
                new = _combined(form, hole, atom.text)
                cost = _cost_of(hole, atom, kind, extra)
                yield Edit(_write(t, hole, new), hole.text, new, _kind_of(kind, hole, atom), cost, atom.kind)
        singles = np.array([f(h) for *_, f in _APPLY])
        for i in _hits(bench, code, singles):
            kind, form, cost, _ = _APPLY[i]
            new = _applied(form, hole)
            yield Edit(_write(t, hole, new), hole.text, new, kind, cost + (0.2 if hole.depth else 0.0))


def _hits(bench: Bench, code: Any, many: np.ndarray) -> Iterable[int]:
    bench.count += len(many)
    filling: Any = torch.from_numpy(np.ascontiguousarray(many)) if uses_tensors(bench) and not bench.typed else many
    try:
        out = as_array(bench.run(code, 0, filling))
        out = np.broadcast_to(np.asarray(out, float), many.shape)
    except Exception:
        return ()
    return np.flatnonzero(bench.rows(out)).tolist()


def _pairs(t: Text, bench: Bench, hole: Hole, code: Any, h: np.ndarray, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """All combinations with two atoms, and with three, as array programs; floating errors are the caller's to hide."""
    best = sorted((k for k, a in enumerate(atoms) if a.kind != "number"), key=lambda k: atoms[k].cost)[:_MOST_PAIRS]
    if not best:
        return
    values = np.array([a.value for a in atoms], dtype=float).reshape(len(atoms), -1)
    left, right = (np.array(best)[x] for x in np.triu_indices(len(best)))
    products = values[left] * values[right]
    tables = [("{} * {}", products, 0.0)]
    if hole.depth == 0:
        ordered = [(i, j) for i in best for j in best if i != j]
        tables.append(("{} / {}", np.array([values[i] / values[j] for i, j in ordered]), 0.2))
    for form, table, more in tables:
        ij = list(zip(left.tolist(), right.tolist())) if form == "{} * {}" else ordered
        for kind, shape, extra, op in _COMBINE:
            if kind == "divide" or (kind == "factor" and hole.depth > 1) or (kind == "term" and hole.depth > 1):
                continue
            for k in itertools.islice(_hits(bench, code, op(h, table)), 12):
                a, b = (atoms[x] for x in ij[k])
                pair = form.format(factor(a.text), factor_after(b.text))
                new = pair if kind == "replace" else _combined(shape, hole, pair) if kind == "term" else ""
                if kind == "factor":
                    new = f"{factor(hole.text)} * {pair}"
                cost = a.cost + b.cost + extra + more + (0.12 * hole.size if kind == "replace" else 0.0)
                yield Edit(_write(t, hole, new), hole.text, new, kind, cost, "product")
    if hole.depth == 0:
        yield from _triples(t, bench, hole, h, atoms, values, best, products, left, right)


def _triples(
    t: Text,
    bench: Bench,
    hole: Hole,
    h: np.ndarray,
    atoms: Sequence[Atom],
    values: np.ndarray,
    best: Sequence[int],
    products: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> Iterator[Edit]:
    """A missing or extra product of three, met in the middle."""
    order = np.argsort(products[:, 0])
    keys = products[order, 0]
    goal = bench.goal
    n = bench.plain
    for kind, sign, rest in (("term", "+", goal - h), ("term", "-", h - goal), ("factor", "*", goal / h)):
        if not np.isfinite(rest).all() or not rest.any():
            continue
        wanted = rest[None, :] / values[best]
        low = np.searchsorted(keys, wanted[:, 0] - 1e-9 * np.abs(wanted[:, 0]))
        high = np.searchsorted(keys, wanted[:, 0] + 1e-9 * np.abs(wanted[:, 0]))
        for row, (lo, hi) in enumerate(zip(low, high)):
            for q in order[int(lo) : min(int(hi), int(lo) + 6)]:
                w = wanted[row, :n]
                if np.all(np.abs(products[q, :n] - w) <= 1e-8 * np.abs(w)):
                    three = sorted((atoms[best[row]], atoms[int(left[q])], atoms[int(right[q])]), key=lambda a: a.text)
                    product = f"{factor(three[0].text)} * {factor_after(three[1].text)} * {factor_after(three[2].text)}"
                    new = f"{hole.text if kind == 'term' else factor(hole.text)} {sign} {product}"
                    cost = sum(a.cost for a in three) + 0.9
                    yield Edit(_write(t, hole, new), hole.text, new, kind, cost, "product")


# ------------------------------------------------------------------------------------------------ one by one


def _fits(bench: Bench, code: Any, fill: Callable[[int], Any]) -> bool:
    bench.count += 1
    try:
        with np.errstate(all="ignore"):  # a candidate may divide by zero, and then does not fit
            return all(bench.right(bench.run(code, k, fill(k)), k) for k in range(bench.plain))
    except Exception:  # of other shapes, undefined, no number
        return False


def _one_by_one(
    t: Text, bench: Bench, hole: Hole, code: Any, h: Any, atoms: Sequence[Atom], kinds: Sequence[str]
) -> Iterator[Edit]:
    """Array code: each candidate at the first sample, and at the others if it fits there."""
    big = np.ndim(as_array(h[0])) > 0
    likely = _likely(bench, code, h, atoms)
    for i, atom in enumerate(atoms):
        small = atom.kind in ("number", "size", "degrees")
        for kind, form, extra, op in _COMBINE:
            if kind not in kinds or (kind == "term" and (hole.depth > 2 or (small and big))):
                continue
            if kind == "replace" and ((small and big) or atom.text == hole.text):
                continue
            if likely is not None and i not in likely[form]:
                continue
            if _fits(bench, code, lambda k, op=op, atom=atom: op(h[k], atom.value[k])):
                new = _combined(form, hole, atom.text)
                cost = _cost_of(hole, atom, kind, extra)
                yield Edit(_write(t, hole, new), hole.text, new, _kind_of(kind, hole, atom), cost, atom.kind)


def _likely(bench: Bench, code: Any, h: Any, atoms: Sequence[Atom]) -> dict[str, set[int]] | None:
    """Which atoms may do in which combination, at a few entries; None where what the hole has to be is not known."""
    goal = _goal_of(bench, code, h)
    if goal is None or not goal.size:
        return None
    flat = goal.ravel()
    places = places_in(flat)
    here = np.broadcast_to(as_array(h[0]), goal.shape).ravel()[places]
    table = np.full((len(atoms), len(places)), np.nan)
    for i, atom in enumerate(atoms):
        with contextlib.suppress(ValueError, TypeError):  # of a shape that does not spread so, or no number
            table[i] = np.broadcast_to(as_array(atom.value[0]), goal.shape).ravel()[places]
    with np.errstate(all="ignore"):
        near = lambda many: np.abs(many - flat[places]) <= _FAR * np.abs(flat[places[0]])  # noqa: E731
        return {form: set(np.flatnonzero(near(op(here, table)).all(axis=1)).tolist()) for _, form, _, op in _COMBINE}


def _applied_alone(t: Text, bench: Bench, hole: Hole, code: Any, h: Any) -> Iterator[Edit]:
    for kind, form, cost, f in _APPLY:
        if _fits(bench, code, lambda k, f=f: f(h[k])):
            new = _applied(form, hole)
            yield Edit(_write(t, hole, new), hole.text, new, kind, cost + (0.2 if hole.depth else 0.0))


def _two_by_two(t: Text, bench: Bench, hole: Hole, code: Any, h: Any, names: Sequence[Atom]) -> Iterator[Edit]:
    if hole.depth == 0:
        yield from array_pairs(bench, hole.text, hole.size, h, names)
        return
    if (goal := _goal_of(bench, code, h)) is not None and goal.shape == as_array(h[0]).shape != ():
        write = lambda new: _write(t, hole, new)  # noqa: E731
        yield from array_pairs(bench, hole.text, hole.size, h, names[:_WITHIN], goal, write)
    if isinstance(hole.node, ast.Name):
        for a, b in itertools.combinations_with_replacement(names[:14], 2):
            if _fits(bench, code, lambda k, a=a, b=b: a.value[k] * b.value[k]):
                new = f"{factor(a.text)} * {factor_after(b.text)}"
                yield Edit(_write(t, hole, new), hole.text, new, "replace", a.cost + b.cost + 0.1, "product")


def _goal_of(bench: Bench, code: Any, h: Any, k: int = 0) -> np.ndarray | None:
    """What a part of the line has to be, where the line is entry by entry a multiple of it and something more."""
    here, wanted = as_array(h[k]), bench.wanted[k] if bench.wanted else None
    if wanted is None or here.dtype.kind != "f" or bench.accepts:
        return None
    try:
        with np.errstate(all="ignore"):
            some = np.random.default_rng(0).uniform(1, 2, here.shape)
            at = torch.as_tensor(some) if isinstance(h[k], torch.Tensor) else some
            none, once, other = (as_array(bench.run(code, k, by * h[k])) for by in (0, 1, at))
            goal = here + (wanted - once) / ((once - none) / here)
            linear = once.shape == wanted.shape == goal.shape and same(other - none, some * (once - none))
    except Exception:  # of other shapes, undefined, no number
        return None
    return goal if linear and np.isfinite(goal).all() and not same(goal, np.broadcast_to(here, goal.shape)) else None


# --------------------------------------------------------------------------------------------------------------- edits


Spelled = Callable[[], tuple[str | None, list[Atom]]]  # the exact derivative in the user's names, and its parts


def search(
    text: str, bench: Bench, atoms: Sequence[Atom], spelled: Spelled | None = None, most: float = math.inf
) -> list[Edit]:
    """The edits of an expression that give what is wanted at every sample, the most plausible first.

    What takes more than one small change, with ``spelled`` among it, is looked for where no small one is right, and
    where more than ``most`` is not too much.
    """
    t = Text(text)
    found = bench.edits.setdefault(text, {})
    written = {n for own in (text, *(a.text for a in atoms)) for n in _DECIMAL.findall(own)}  # 0.15 may be 0.5 * reg

    quotients = _QUOTIENT.findall(_canonical(text))

    def keep(edit: Edit) -> None:
        try:
            clean = _canonical(edit.text)
        except SyntaxError:
            return
        if clean == _canonical(text):
            return
        strange = not set(_DECIMAL.findall(clean)) <= written or len(_QUOTIENT.findall(clean)) > len(quotients)
        if strange or is_idle(clean, text) or _counts_one(bench, edit.text, text):
            edit = replace(edit, cost=edit.cost + _STRANGE)
        old = found.get(clean)
        if old is None or edit.cost < old.cost:
            found[clean] = edit

    def best() -> list[Edit]:
        edits = sorted((_spaced(e, text) for e in found.values()), key=lambda e: (e.cost, len(e.text), e.text))
        return [e for e in edits[:_KEPT] if bench.everywhere(e.text)]  # what holds for the given data alone is chance

    holes = ready_holes(t, bench)
    for edit in () if found else small(t, bench, holes, atoms):
        keep(edit)
    kept = best()
    if most <= PLAIN or (kept and kept[0].cost <= PLAIN):
        return kept
    whole, pieces = None, []
    if spelled is not None:
        with contextlib.suppress(RuntimeError, ValueError):
            whole, pieces = spelled()
    for edit in large(t, bench, holes, atoms, pieces, list(functions_of(bench, list(atoms)))):
        keep(edit)
    if whole is not None and bench.fits(whole):
        keep(Edit(whole, text, whole, "formula", 4.5))
    return best()


def is_idle(new: str, old: str) -> bool:
    """Whether a text says what says nothing, such as a product by one, where the old one did not.

    >>> is_idle("a * 1.0 - b", "a * (1.0 - b)"), is_idle("a - 1 * b", "1 * b"), is_idle("a**1.5", "a")
    (True, False, False)
    >>> is_idle("a * n / n", "a * n"), is_idle("a * n / n2", "a * n")
    (True, False)
    """
    return len(_IDLE.findall(new)) > len(_IDLE.findall(old))


_LENGTH = re.compile(r"len\(\w+\)|\b\w+\.shape\[-?\d+\]")


def _counts_one(bench: Bench, new: str, old: str) -> bool:
    """Whether a text brings in a length that is 1, by which nothing is multiplied or divided."""
    for length in set(_LENGTH.findall(new)) - set(_LENGTH.findall(old)):
        try:
            if bench.run(bench.compiled(length), 0) == 1:
                return True
        except Exception:  # of what has none
            continue
    return False


@dataclass(frozen=True, slots=True)
class Draft:
    """An edit that is written out when it is asked for: most never are."""

    cost: float
    make: Callable[[], Edit]


def every(text: str, bench: Bench, atoms: Sequence[Atom]) -> list[Draft]:
    """The edits of an expression, whatever they give, the cheapest first: structure, another name everywhere, and every
    atom in the place of each part or beside it.
    """
    t = Text(text)
    found = [Draft(e.cost, lambda e=e: e) for e in renamed(t, atoms)]
    for cost, kind, start, end, new in structure(t, bench):
        found.append(Draft(cost, functools.partial(_restructured, t, cost, kind, start, end, new)))
    for hole in holes_of(t):
        for kind, form, cost, _ in _APPLY:
            dear = cost + (0.2 if hole.depth else 0.0)
            found.append(Draft(dear, functools.partial(_applied_draft, t, hole, kind, form, dear)))
        for atom in atoms:
            for kind, form, extra, _ in _COMBINE:
                if (kind != "term" or hole.depth <= 1) and (kind != "replace" or atom.text != hole.text):
                    cost = _cost_of(hole, atom, kind, extra)
                    found.append(Draft(cost, functools.partial(_combined_draft, t, hole, atom, kind, form, cost)))
    return sorted(found, key=lambda d: d.cost)


def _restructured(t: Text, cost: float, kind: str, start: int, end: int, new: str) -> Edit:
    return _spaced(Edit(t.fill(start, end, new), t.text[start:end], new, kind, cost), t.text)


def _applied_draft(t: Text, hole: Hole, kind: str, form: str, cost: float) -> Edit:
    new = _applied(form, hole)
    return _spaced(Edit(_write(t, hole, new), hole.text, new, kind, cost), t.text)


def _combined_draft(t: Text, hole: Hole, atom: Atom, kind: str, form: str, cost: float) -> Edit:
    new = _combined(form, hole, atom.text)
    return _spaced(Edit(_write(t, hole, new), hole.text, new, _kind_of(kind, hole, atom), cost, atom.kind), t.text)


def _spaced(edit: Edit, text: str) -> Edit:
    """The edit with operators written as tightly as the user writes them, and with no brackets around all of it."""
    written = in_order(edit.text)
    edit = replace(edit, text=written)
    if _is_bracketed(written) and not _is_bracketed(text):
        edit = replace(edit, text=written[1:-1])
    for sign in "*/+-@":
        if f" {sign} " not in text and re.search(rf"[\w)\]][{sign}][\w(\[]", text):
            parts = (part.replace(f" {sign} ", sign) for part in (edit.text, edit.before, edit.after))
            edit = replace(edit, **dict(zip(("text", "before", "after"), parts, strict=True)))
    return edit


def _is_bracketed(text: str) -> bool:
    """Whether brackets that nothing needs stand around all of a text.

    >>> _is_bracketed("(p - y)"), _is_bracketed("(p - y) * (1 - p)"), _is_bracketed("(p, y)")
    (True, False, True)
    """
    if not (text.startswith("(") and text.endswith(")")):
        return False
    try:
        return ast.dump(ast.parse(text[1:-1].strip())) == ast.dump(ast.parse(text))
    except SyntaxError:
        return False


def _canonical(text: str) -> str:
    return ast.unparse(ast.parse(f"({text}\n)", mode="eval").body)


def renamed(t: Text, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """Another name in all the places of a name or a number that stands several times."""
    spans: dict[str, list[tuple[int, int]]] = {}
    called = {id(n.func) for n in ast.walk(t.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
    own = {n.id for n in ast.walk(t.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # it binds these
    for node in [n for n in ast.walk(t.tree) if id(n) not in called and getattr(n, "id", None) not in own]:
        is_number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        if is_number or isinstance(node, (ast.Name, ast.Attribute)):
            spans.setdefault(t.of(node), []).append(t.span(node))
    for name, places in spans.items():
        number = name[0].isdigit()
        for atom in atoms if len(places) > 1 else ():
            is_name = atom.kind in ("name", "size", "derivative") or _ATTRIBUTE.fullmatch(atom.text)
            if is_name and atom.text != name:
                new = edited(t.text, [(*at, wrapped(atom.text)) for at in places])
                like = 0 if number else difflib.SequenceMatcher(None, name, atom.text).ratio()
                yield Edit(new, name, atom.text, "name", atom.cost + 0.25 - 0.3 * like, atom.kind)


def masks(text: str, bench: Bench, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """The gradient of something clipped: kept where clipping changed nothing, or where its value stands by mistake."""
    t = Text(text)
    clipped = [a for a in atoms if a.kind == "name" and a.text in bench.clipped]
    for a in atoms:
        for b in clipped:
            if a.kind == "name" and a is not b and a.text in bench.clipped[b.text]:
                for cost, mask in ((0.95, f"({a.text} > 0)"), (1.0, f"({a.text} == {b.text})")):
                    own = [n for n in ast.walk(t.tree) if isinstance(n, ast.Name) and n.id in (a.text, b.text)]
                    instead = [(t.of(n), mask, t.fill(*t.span(n), mask)) for n in own]
                    beside = f"{factor(text)} * {mask}"
                    fitting = [new for new in (*instead, (text, beside, beside)) if bench.fits(new[2])]
                    yield from (Edit(whole, old, new, "mask", cost, "mask") for old, new, whole in fitting[:1])
                    if fitting:
                        break
