"""A step of a Program as a formula that a person reads, in the names of the values that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp

from symgrad.program.primitives import number_of
from symgrad.program.program import Step, Strided, positions, size

LONGEST = 90  # characters of a formula that is still read
_LARGE = 1 << 14  # entries of a layout that is looked at
_LOOSE = {"add": 1, "sub": 1, "neg": 2, "mul": 2, "div": 2, "matmul": 1.5, "powi": 3, "pow": 3}
_TIGHT = 4  # a name, a number, a function of something
_SIGNS = {"add": " + ", "sub": " - ", "mul": "*", "div": "/"}
_SAME = ("name", "cast", "stop", "real")

Text = tuple[str, float]  # a formula, and how tightly its last operation binds


@dataclass(eq=False)
class Speller:
    """Writes steps as text; ``name`` gives what a step is called, or None, and ``seen`` are the steps written out."""

    steps: Sequence[Step]
    name: Callable[[int], str | None]
    seen: set[int] = field(default_factory=set)
    _done: dict[int, Text | None] = field(default_factory=dict)

    def formula(self, i: int, deep: int = 24) -> str | None:
        """The formula of a step, written out once whatever it is called; None where it is too long to be read.

        >>> from symgrad.program.builder import Builder
        >>> b = Builder()
        >>> x, y = b.input("x", ()), b.input("y", ())
        >>> z = b.mul(b.sub(b.number(1), b.integer_power(b.apply("tanh", x), 2)), b.mul(y, b.number(1)))
        >>> Speller(b.steps, lambda i: {x: "x", y: "y"}.get(i)).formula(z)
        '(1 - tanh(x)**2)*y'
        """
        found = self._written(i, deep)
        return None if found is None or len(found[0]) > LONGEST else found[0]

    def _text(self, i: int, deep: int) -> Text | None:
        name = self.name(i)
        if name is not None:
            return name, _TIGHT
        if i not in self._done:
            self._done[i] = None if deep <= 0 else self._written(i, deep)
        return self._done[i]

    def _written(self, i: int, deep: int) -> Text | None:
        self.seen.add(i)
        step = self.steps[i]
        number = number_of(self.steps, i)
        if number is not None:
            return _number(number)
        if step.op == "constant":
            exact = step.params.exact
            return (str(exact), 1) if isinstance(exact, sp.Basic) else _numbers(step.params.value)
        parts = [self._text(a, deep - 1) for a in step.args]
        if step.op == "input" or any(p is None or len(p[0]) > LONGEST for p in parts):
            return None
        return self._operation(step, [p for p in parts if p is not None])

    def _operation(self, step: Step, a: list[Text]) -> Text | None:
        match step.op:
            case op if op in _SAME:
                return a[0]
            case "matmul" if self.steps[step.args[0]].shape[2] == 1 < size(step.shape):
                return f"outer({a[0][0]}, {a[1][0]})", _TIGHT
            case "add" | "sub" | "mul" | "div" | "matmul":
                return _infix(step.op, *a)
            case "neg":
                return _negated(a[0])
            case "powi":
                return f"{_held(a[0], _TIGHT)}**{step.params}", 3
            case "reciprocal":
                return _infix("div", ("1", _TIGHT), a[0])
            case "square":
                return f"{_held(a[0], _TIGHT)}**2", 3
            case "pow":
                return f"{_held(a[0], _TIGHT)}**{_held(a[1], _TIGHT)}", 3
            case "pick" if len(a) == 1:
                return self._picked(step, a[0])
            case "pick":
                return f"stack({', '.join(x for x, _ in a)})", _TIGHT
            case "scatter":
                return self._summed(step, a[0])
            case "inverse":
                return f"inv({a[0][0]})", _TIGHT
        arguments = ", ".join(x for x, _ in a)
        return f"{step.op}({arguments})", _TIGHT

    def _picked(self, step: Step, a: Text) -> Text:
        """A layout: repeating and reshaping are not told, a transpose and a single entry are, of others that there is
        one."""
        inner = self.steps[step.args[0]].shape
        if max(size(step.shape), size(inner)) > _LARGE:
            return a
        where = positions(step.params, step.shape)
        long = [n for n in inner if n > 1]
        if not where.size or where.min() == 0:
            return f"{_held(a, _TIGHT)}[...]", _TIGHT
        if long and (where == where[0]).all():
            place = ", ".join(str(int(k)) for k in np.unravel_index(int(where[0]) - 1, inner))
            return f"{_held(a, _TIGHT)}[{place}]", _TIGHT
        if (
            len(long) == 2
            and where.size == size(inner)
            and np.array_equal(where - 1, np.arange(where.size).reshape(long).T.reshape(-1))
        ):
            return f"{_held(a, _TIGHT)}.T", _TIGHT
        return a if np.unique(where).size == size(inner) else (f"{_held(a, _TIGHT)}[...]", _TIGHT)

    def _summed(self, step: Step, a: Text) -> Text | None:
        inner = self.steps[step.args[0]].shape
        if size(step.shape) == 1:
            return f"sum({a[0]})", _TIGHT
        if not isinstance(step.params, Strided):
            return f"scatter({a[0]})", _TIGHT
        axes = [k for k, (s, n) in enumerate(zip(step.params.strides, inner, strict=True)) if s == 0 and n > 1]
        return f"sum({a[0]}, {axes[0] if len(axes) == 1 else tuple(axes)})", _TIGHT


def _numbers(array: np.ndarray) -> Text | None:
    """Few numbers; None for more of them."""
    return (str(array.tolist()), _TIGHT) if array.size <= 6 else None


def _number(n: Any) -> Text:
    text = str(n)
    if n.q > 1000 and not (n.q & (n.q - 1)):  # a binary fraction that was typed in decimals
        text = repr(float(n))
    return text, _TIGHT if n >= 0 and "/" not in text else 2


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _held(a: Text, least: float) -> str:
    """The text in brackets, unless it binds at least so tightly."""
    return a[0] if a[1] >= least else f"({a[0]})"


def _negated(a: Text) -> Text:
    return (a[0][1:], 2) if a[0].startswith("-") and a[1] == 2 else (f"-{_held(a, 2)}", 2)


def _infix(op: str, a: Text, b: Text) -> Text:
    """Two formulas beside a sign; what adds nothing and multiplies by one is not written."""
    match op, a[0], b[0]:
        case ("mul", "1", _) | ("add", "0", _):
            return b
        case ("mul" | "div", _, "1") | ("add" | "sub", _, "0"):
            return a
        case ("mul", "0", _) | ("mul" | "div", _, "0") | ("div", "0", _):
            return "0", _TIGHT
        case ("mul", "-1", _):
            return _negated(b)
        case ("mul", _, "-1"):
            return _negated(a)
        case ("sub", "0", _):
            return _negated(b)
    if op in ("add", "sub") and b[0].startswith("-") and b[1] == 2:
        op, b = "sub" if op == "add" else "add", (b[0][1:], 2)
    if op == "mul" and _is_number(b[0]) and not _is_number(a[0]):
        a, b = b, a
    if op == "mul" and b[0].startswith("1/") and b[1] == _LOOSE["div"]:
        op, b = "div", (b[0][2:], _TIGHT)
    level = _LOOSE[op]
    if op == "matmul":
        return f"{_held(a, 3)} @ {_held(b, 3)}", level
    return f"{_held(a, level)}{_SIGNS[op]}{_held(b, level + (op in ('sub', 'div')))}", level
