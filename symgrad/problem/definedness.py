"""Where a Program is defined, and where it kinks: its guards and its undefined steps, read at a point in balls.

A guard remembers a choice that the code made by looking at a value.  A *tie* is a guard that stands exactly on the
edge between two choices: there the derivative may jump.  A step is undefined where its value is no finite ball
although its arguments' are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import AmbiguousBranch, BadInput
from symgrad.evaluation.balls import flat
from symgrad.lifting.text.text_formula import Text
from symgrad.problem.sampling import Inputs
from symgrad.program.lowering import holds
from symgrad.program.program import Guard, Program, Source, Strided, dependents, positions, size
from symgrad.typing import Bounds

# -------------------------------------------------------------------------------------------------------------- domain
# Where a question is asked: bounds, whole numbers and relations between inputs.
#
# A domain is a mapping from input to (low, high), or a condition: text such as ``"0 < x < s"``, or a SymPy relation.
# What SymPy's symbols are declared to be counts too: ``positive=True``, ``integer=True``.

_SIGNS = {"<": sp.Lt, "<=": sp.Le, ">": sp.Gt, ">=": sp.Ge}
_DECLARED: dict[str, Bounds] = {
    "positive": (0.0, None),
    "nonnegative": (0.0, None),
    "negative": (None, 0.0),
    "nonpositive": (None, 0.0),
}


@dataclass(frozen=True, eq=False)
class Where:
    """A relation between inputs that are single numbers."""

    relation: Any

    def __str__(self) -> str:
        return str(self.relation)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(s.name for s in self.relation.free_symbols))

    def __call__(self, point: Mapping[str, Any]) -> bool:
        """Whether it holds at the exact binary values of the point; where a side has no real value, it does not."""
        values = {}
        for symbol in self.relation.free_symbols:
            value = np.asarray(point[symbol.name])
            if value.ndim or value.dtype.kind == "c" or not np.isfinite(value):
                return False
            values[symbol] = sp.Rational(*float(value).as_integer_ratio())
        try:
            return holds(self.relation, values)
        except AmbiguousBranch:
            return False


def read_domain(domain: Any) -> tuple[dict[str, Any], tuple[Where, ...]]:
    """The bounds by name and the other relations that a domain states.

    >>> bounds, relations = read_domain("0 < x < s")
    >>> bounds, [str(r) for r in relations]
    ({'x': (0.0, None)}, ['x < s'])

    Raises `BadInput` for what is neither a mapping nor a relation.
    """
    if domain is None:
        return {}, ()
    if isinstance(domain, Mapping):
        return dict(domain), ()
    bounds: dict[str, Any] = {}
    others = []
    for relation in _relations(_condition(domain) if isinstance(domain, str) else domain):
        found = _bound(relation)
        if found is None:
            others.append(Where(relation))
            continue
        name, (low, high) = found
        before = bounds.get(name, (None, None))
        lows, highs = ([x for x in pair if x is not None] for pair in ((low, before[0]), (high, before[1])))
        bounds[name] = max(lows, default=None), min(highs, default=None)
    return bounds, tuple(others)


def both(domain: Any, condition: Any) -> Any:
    """A domain, and a condition beside it.

    >>> x = sp.Symbol("x")
    >>> both({"x": (0, None)}, x < 1)
    (x > 0) & (x < 1)
    """
    if domain is None or condition is sp.true:
        return condition if domain is None and condition is not sp.true else domain
    bounds, others = read_domain(domain)
    ends = [(sp.Symbol(n), *pair) for n, pair in bounds.items()]
    sides = [s > low for s, low, _ in ends if low is not None] + [s < high for s, _, high in ends if high is not None]
    return sp.And(*sides, *(w.relation for w in others), condition)


def declared(assumptions: Mapping[str, Mapping[str, bool]]) -> tuple[dict[str, Bounds], frozenset[str]]:
    """The bounds and the whole numbers that SymPy's symbols are declared to be."""
    bounds = {}
    for name, kinds in assumptions.items():
        found = next((b for kind, b in _DECLARED.items() if kinds.get(kind)), None)
        if found is not None:
            bounds[name] = found
    return bounds, frozenset(name for name, kinds in assumptions.items() if kinds.get("integer"))


def stated_domain(inputs: Inputs) -> tuple[str, ...]:
    """The domain that the question states, in words."""
    told = []
    for name, (low, high) in inputs.bounds.items():
        left = "" if low is None else f"{low:g} < "
        right = "" if high is None else f" < {high:g}"
        told.append(f"{left}{name}{right}")
    return (*told, *map(str, inputs.conditions), *(f"{n} is a whole number" for n in sorted(inputs.whole)))


def _condition(text: str) -> Any:
    parts = []
    for clause in re.split(r"\band\b|&|,", text):
        pieces = re.split(r"(<=|>=|<|>)", clause)
        if len(pieces) < 3:
            raise _unread(text)
        if not all(side.strip() for side in pieces[::2]):
            raise _unread(text)
        sides = [Text(side.strip()).expression for side in pieces[::2]]
        parts += [_SIGNS[sign](a, b) for a, sign, b in zip(sides, pieces[1::2], sides[1:], strict=False)]
    return sp.And(*parts)


def _relations(condition: Any) -> list[Any]:
    if condition is sp.true:
        return []
    if isinstance(condition, sp.And):
        return [r for part in condition.args for r in _relations(part)]
    if isinstance(condition, (sp.core.relational.Relational, sp.Or, sp.Not)):
        return [condition]
    raise _unread(condition)


def _unread(domain: Any) -> BadInput:
    return BadInput(
        f"domain is {domain!r}.", instead='Pass a mapping such as {"x": (0, None)}, or a condition such as "0 < x < s".'
    )


def _bound(relation: Any) -> tuple[str, Bounds] | None:
    """``x > 2`` as a bound of x."""
    if not isinstance(relation, (sp.Lt, sp.Le, sp.Gt, sp.Ge)):
        return None
    small: Any = relation.lts
    large: Any = relation.gts
    if small.is_Symbol and large.is_number:
        return small.name, (None, float(sp.N(large)))
    if large.is_Symbol and small.is_number:
        return large.name, (float(sp.N(small)), None)
    return None


# --------------------------------------------------------------------------------------------------------- definedness

_COMPARISONS = frozenset(("gt", "ge", "lt", "le", "eq", "ne"))
_WHOLE = {
    "floor": 0.0,
    "ceil": 0.0,
    "trunc": 0.0,
    "round": 0.5,
}  # where each jumps, as the part of a number after its point


@dataclass(frozen=True, eq=False)
class Undefined:
    """The first step that has no finite value: its operation, its arguments' values there, and its place."""

    op: str
    arguments: tuple[Any, ...]
    source: Source | None
    position: int


def depends_on(program: Program, names: Collection[str]) -> set[int]:
    """The steps that depend on any of these inputs."""
    return dependents(program.steps, (i for name, i in program.inputs.items() if name in names))


def branches_on(program: Program, free: Collection[str]) -> tuple[Guard, ...]:
    """The guards whose outcome may change when the ``free`` inputs move."""
    of_values = [g for g in program.guards if g.args]
    if not of_values:
        return ()
    moving = depends_on(program, free)
    return tuple(g for g in of_values if any(a in moving for a in g.args))


def ties(program: Program, values: Mapping[int, Any], free: Collection[str]) -> tuple[Guard, ...]:
    """The guards on ``free`` inputs that stand on an edge at the point whose ball ``values`` are given."""
    asked = (g for g in branches_on(program, free) if all(a in values for a in g.args))
    return tuple(g for g in asked if _on_edge(program, g, values))


def _on_edge(program: Program, guard: Guard, values: Mapping[int, Any]) -> bool:
    """Whether the choice may be another one beside this point, or was made by a rounding error."""
    sides = [values[a] for a in guard.args]
    if guard.op in _COMPARISONS and len(sides) == 2:
        gaps = _gaps(guard, values)
        if any(_rounded(guard.op, gap, said) for gap, said in gaps):
            return True
        tied = np.array([_may_vanish(gap) for gap, _ in gaps], dtype=bool)
        return bool(tied.any()) and not _same_entries(program, guard)[tied].all()
    if guard.op in ("sign", "ne", "eq"):
        return any(_may_vanish(x) for x in flat(sides[0]))
    if guard.op in ("argmax", "argmin") and guard.params != ("pool",):
        return _several_extremes(program, guard, sides[0])
    if guard.op in _WHOLE:
        return any(_may_be_whole(x, _WHOLE[guard.op]) for x in flat(sides[0]))
    if guard.op == "argsort":
        copied = list(zip(*origins(program, guard.args[0]), flat(sides[0]).tolist(), strict=True))
        entries = sorted(copied, key=lambda e: float(e[-1].mid()))
        return any(a[:2] != b[:2] and _may_vanish(a[-1] - b[-1]) for a, b in itertools.pairwise(entries))
    return False


def is_decided(guard: Guard, values: Mapping[int, Any]) -> bool:
    """Whether the entries of which a guard asks if they are equal are so as the code found, or surely are not."""
    left, right, said = np.broadcast_arrays(*(np.asarray(values[a], dtype=object) for a in guard.args), guard.outcome)
    entries = zip(left.reshape(-1), right.reshape(-1), said.reshape(-1).tolist(), strict=True)
    return all((a == b) if bool(same) == (guard.op == "eq") else (a != b) for a, b, same in entries)


def misjudged(program: Program, values: Mapping[int, Any], free: Collection[str]) -> bool:
    """Whether a rounding error decided a comparison: exactly, it comes out the other way."""
    guards = [g for g in branches_on(program, free) if g.op in _COMPARISONS and len(g.args) == 2]
    return any(
        _rounded(g.op, gap, said) for g in guards if all(a in values for a in g.args) for gap, said in _gaps(g, values)
    )


def _gaps(guard: Guard, values: Mapping[int, Any]) -> list[tuple[Any, bool]]:
    """For each entry of a comparison the exact difference of its sides, and what the code found."""
    left, right, said = np.broadcast_arrays(
        *(np.asarray(values[a], dtype=object) for a in guard.args), np.asarray(guard.outcome, dtype=object)
    )
    entries = zip(left.reshape(-1), right.reshape(-1), said.reshape(-1).tolist(), strict=True)
    return [(a - b, bool(outcome)) for a, b, outcome in entries]


def _rounded(op: str, gap: Any, said: bool) -> bool:
    return not _may_vanish(gap) and said != _decided(op, gap)


def _decided(op: str, gap: Any) -> bool:
    """The outcome of a comparison whose sides differ by ``gap``, which is not zero."""
    if op in ("eq", "ne"):
        return op == "ne"
    return bool(gap.real > 0) == (op in ("gt", "ge"))


def _same_entries(program: Program, guard: Guard) -> np.ndarray:
    """Where the two sides read the same entry of the same step, or are zeros that are written, or what a branch such
    as relu's leaves: equal at every point of the branch, and so no edge."""
    sides = [[x.reshape(program.shape(a)) for x in origins(program, a)] for a in guard.args]
    step, place, other, beside, _ = np.broadcast_arrays(*sides[0], *sides[1], np.asarray(guard.outcome))
    zeros = [i for i, s in enumerate(program.steps) if s.op == "constant" and not np.any(s.params.value)]
    nothing = [(place_ == 0) | np.isin(of, zeros) for of, place_ in ((step, place), (other, beside))]
    return (((step == other) & (place == beside) & (place > 0)) | (nothing[0] & nothing[1])).reshape(-1)


def origins(program: Program, i: int) -> tuple[np.ndarray, np.ndarray]:
    """For each entry of a step, the step and the position (from 1; 0 for a zero) that it is a copy of."""
    copies, ahead = {i}, [i]
    while ahead:  # what is written into one memory again and again is reached by many ways
        step = program.steps[ahead.pop()]
        new = {*step.args} - copies if step.op in ("name", "pick") else set()
        copies |= new
        ahead += new
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for k in sorted(copies):
        step = program.steps[k]
        n = size(step.shape)
        if step.op == "name":
            found[k] = found[step.args[0]]
        elif step.op != "pick":
            found[k] = np.full(n, k), np.arange(1, n + 1)
        else:
            where = positions(step.params, step.shape) if isinstance(step.params, Strided) else step.params
            at = np.asarray(where).reshape(-1)
            steps = np.concatenate([[-1], *(found[a][0] for a in step.args)])
            places = np.concatenate([[0], *(found[a][1] for a in step.args)])
            found[k] = steps[at], places[at]
    return found[i]


def _several_extremes(program: Program, guard: Guard, value: Any) -> bool:
    """Whether the entry that was chosen has an equal in its own row that is no copy of it."""
    axis = guard.params if isinstance(guard.params, int) else None
    if isinstance(guard.params, tuple) and guard.params and isinstance(guard.params[0], int):
        axis = guard.params[0]
    shape = np.shape(value)
    rows, steps, places = (
        x.reshape(1, -1) if axis is None else np.moveaxis(x.reshape(shape), axis, -1).reshape(-1, shape[axis])
        for x in (np.asarray(value, dtype=object), *origins(program, guard.args[0]))
    )
    chosen = np.asarray(guard.outcome).reshape(-1)
    if chosen.size != rows.shape[0]:
        return False
    for row, of, place, k in zip(rows, steps, places, map(int, chosen), strict=True):
        others = (of != of[k]) | (place != place[k])
        if any(_may_vanish(x - row[k]) for x in row[others]):
            return True
    return False


def _may_vanish(x: Any) -> bool:
    """Whether a difference may be zero: one from infinity is not, and what has no value may be anything."""
    return bool(x.contains(0))


def _may_be_whole(x: Any, shift: float) -> bool:
    if not x.is_finite():
        return True
    y = x.real + shift
    return _may_vanish(y - (y + 0.5).floor().mid())


def first_undefined(program: Program, values: Mapping[int, Any]) -> Undefined | None:
    """The first step, in order, whose value is not finite although its arguments' values are."""
    for i in sorted(values):
        step = program.steps[i]
        if all(x.is_finite() for x in flat(values[i])):
            continue
        arguments = [values.get(a) for a in step.args]
        if all(v is not None and all(x.is_finite() for x in flat(v)) for v in arguments):
            return Undefined(step.op, tuple(arguments), step.source, i)
    return None
