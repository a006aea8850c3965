"""Where a question is asked: bounds, whole numbers and relations between inputs.

A domain is a mapping from input to (low, high), or a condition: text such as ``"0 < x < s"``, or a SymPy relation.
What SymPy's symbols are declared to be counts too: ``positive=True``, ``integer=True``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import AmbiguousBranch, BadInput
from symgrad.lifting.text.text_formula import Text
from symgrad.problem.sampling import Bounds, Inputs
from symgrad.program.lowering import holds

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
