"""A step of a Program as a formula that a person reads, in the names of the values that it is made of."""

from __future__ import annotations

import math
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
_SAME = ("name", "cast", "stop")
_FEW = 6  # entries that are written one by one

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
            if isinstance(exact, sp.Basic):
                return ("1j" if exact is sp.I else str(exact)), _TIGHT if exact.is_Atom else 1
            return _numbers(step.params.value)
        if (whole := self._behind(step)) is not None:
            return self._text(whole, deep - 1)
        parts = [self._text(a, deep - 1) for a in step.args]
        if step.op == "input" or any(p is None or len(p[0]) > LONGEST for p in parts):
            return None
        return self._operation(step, [p for p in parts if p is not None])

    def _behind(self, step: Step) -> int | None:
        """What a step is by going back and forth: the conjugate of a conjugate, a part of what was put together."""
        inner = self.steps[step.args[0]] if step.op in ("conj", "pick") and len(step.args) == 1 else None
        if inner is None or inner.op != step.op or self.name(step.args[0]) is not None:
            return None
        if step.op == "conj":
            return inner.args[0]
        if len(inner.args) == 1 or max(size(step.shape), size(inner.shape)) > _LARGE:
            return None
        where = np.append(0, positions(inner.params, inner.shape))[np.asarray(positions(step.params, step.shape))]
        start = 0
        for a in inner.args:
            if np.array_equal(where - start, _counted(self.steps[a].shape)):
                return a
            start += size(self.steps[a].shape)
        return None

    def _is_ones(self, i: int) -> bool:
        while self.steps[i].op in _SAME or (self.steps[i].op == "pick" and len(self.steps[i].args) == 1):
            if number_of(self.steps, i) is not None or self.name(i) is not None:
                break
            i = self.steps[i].args[0]
        return number_of(self.steps, i) == 1

    def _operation(self, step: Step, a: list[Text]) -> Text | None:
        match step.op:
            case op if op in _SAME:
                return a[0]
            case "matmul":
                return self._product(step, *a)
            case "add" | "sub" | "mul" | "div":
                return _infix(step.op, *a)
            case "neg":
                return _negated(a[0])
            case "powi":
                return f"{_held(a[0], _TIGHT)}**{step.params}", 3
            case "reciprocal":
                return _infix("div", ("1", _TIGHT), a[0])
            case "rsqrt":
                return _infix("div", ("1", _TIGHT), (f"sqrt({a[0][0]})", _TIGHT))
            case "square":
                return f"{_held(a[0], _TIGHT)}**2", 3
            case "pow":
                return f"{_held(a[0], _TIGHT)}**{_held(a[1], _TIGHT)}", 3
            case "pick" if len(a) == 1:
                return self._picked(step, a[0])
            case "pick":
                return self._put(step, *a) or (f"stack({', '.join(x for x, _ in a)})", _TIGHT)
            case "scatter":
                return self._summed(step, a[0])
            case "inverse":
                return f"inv({a[0][0]})", _TIGHT
        arguments = ", ".join(x for x, _ in a)
        return f"{step.op}({arguments})", _TIGHT

    def _product(self, step: Step, a: Text, b: Text) -> Text:
        """A product of matrices; one row and one column make an outer product, and what is all ones is called so."""
        ones = [x for x in step.args if self._is_ones(x)]
        if any(size(self.steps[x].shape) == 1 for x in ones):
            return b if step.args[0] in ones else a
        if any(size(self.steps[x].shape) == 1 for x in step.args):
            return _infix("mul", a, b)
        a, b = (("ones", _TIGHT) if x in ones else t for x, t in zip(step.args, (a, b), strict=True))
        if self.steps[step.args[0]].shape[2] == 1 < size(step.shape):
            return f"outer({a[0]}, {b[0]})", _TIGHT
        return _infix("matmul", a, b)

    def _picked(self, step: Step, a: Text) -> Text:
        """A layout: repeating and reshaping are not told, a transpose and one entry are, others as such."""
        inner = self.steps[step.args[0]].shape
        if max(size(step.shape), size(inner)) > _LARGE:
            return a
        where = positions(step.params, step.shape)
        long = [n for n in inner if n > 1]
        if (
            size(inner) > 1
            and where.size == size(inner) ** 2
            and np.array_equal(where.reshape(size(inner), -1), np.diag(_counted(inner)))
        ):
            return f"diag({a[0]})", _TIGHT
        if not where.size or where.min() == 0:
            if 0 < where.size <= _FEW and step.shape[-1:] == (where.size,):
                return f"[{', '.join(_entry(a, int(p) - 1, inner) for p in where)}]", _TIGHT
            return f"{_held(a, _TIGHT)}[...]", _TIGHT
        if long and (where == where[0]).all():
            return _entry(a, int(where[0]) - 1, inner), _TIGHT
        if (row := _row_of(where, inner)) is not None:
            return f"{_held(a, _TIGHT)}[{row}]", _TIGHT
        if (
            len(long) == 2
            and where.size == size(inner)
            and np.array_equal(where - 1, np.arange(where.size).reshape(long).T.reshape(-1))
        ):
            return f"{_held(a, _TIGHT)}.T", _TIGHT
        if (
            len(inner) < len(step.shape)
            and len(long) == 1 < len([n for n in step.shape if n > 1])
            and np.array_equal(where, np.repeat(_counted(inner), where.size // long[0]))
        ):
            return f"{_held(a, _TIGHT)}[:, None]", _TIGHT
        return a if np.unique(where).size == size(inner) else (f"{_held(a, _TIGHT)}[...]", _TIGHT)

    def _put(self, step: Step, *a: Text) -> Text | None:
        """An array of which one entry was written: another array's entry, or a number."""
        first = self.steps[step.args[0]].shape
        if len(a) != 2 or size(step.shape) != size(first) or size(first) > _LARGE:
            return None
        where = np.asarray(positions(step.params, step.shape))
        (other,) = np.nonzero(where != _counted(first)) if where.size else ((),)
        if len(other) != 1 or where[other[0]] <= size(first):
            return None
        place = ", ".join(str(int(k)) for k in np.unravel_index(int(other[0]), step.shape))
        value = _entry(a[1], int(where[other[0]]) - size(first) - 1, self.steps[step.args[1]].shape)
        return f"put({a[0][0]}, [{place}], {value})", _TIGHT

    def _summed(self, step: Step, a: Text) -> Text | None:
        inner = self.steps[step.args[0]].shape
        if size(step.shape) == 1:
            return f"sum({a[0]})", _TIGHT
        if not isinstance(step.params, Strided):
            where = np.asarray(step.params)
            if where.size > _FEW:
                return f"index_add({a[0]})", _TIGHT
            return f"index_add([{', '.join(str(int(p) - 1) for p in where)}], {a[0]})", _TIGHT
        axes = [k for k, (s, n) in enumerate(zip(step.params.strides, inner, strict=True)) if s == 0 and n > 1]
        return f"sum({a[0]}, {axes[0] if len(axes) == 1 else tuple(axes)})", _TIGHT


def _numbers(array: np.ndarray) -> Text | None:
    """Few numbers; None for more of them."""
    if array.dtype.kind == "c" and array.size == 1:
        text = str(array.item()).strip("()")
        return text, 1 if "+" in text or "-" in text else _TIGHT
    return (str(array.tolist()), _TIGHT) if array.size <= _FEW else None


def _counted(shape: tuple[int, ...]) -> np.ndarray:
    """The positions of an array's entries."""
    return np.arange(1, size(shape) + 1)


def _row_of(where: np.ndarray, inner: tuple[int, ...]) -> str | None:
    """The indices of the part of an array that is taken whole, such as a row of a matrix.

    >>> _row_of(np.array([5, 6]), (4, 2)), _row_of(np.array([2, 3]), (4, 2))
    ('2', None)
    """
    first, n = int(where.reshape(-1)[0]) - 1, where.size
    k = next((k for k in range(1, len(inner)) if math.prod(inner[k:]) == n < size(inner)), None)
    if k is None or n < 2 or first % n or not np.array_equal(where.reshape(-1), np.arange(first + 1, first + n + 1)):
        return None
    return ", ".join(str(int(p)) for p in np.unravel_index(first // n, inner[:k]))


def _entry(a: Text, k: int, inner: tuple[int, ...]) -> str:
    """Entry ``k`` of an array of the shape ``inner``, or of one number; nothing for a negative one."""
    if k < 0:
        return "0"
    if size(inner) == 1 or _is_number(a[0]):
        return a[0]
    return f"{_held(a, _TIGHT)}[{', '.join(str(int(p)) for p in np.unravel_index(k, inner))}]"


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
        case ("mul" | "matmul", "0", _) | ("mul" | "div" | "matmul", _, "0") | ("div", "0", _):
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
    if op == "mul" and a[0].startswith("1/") and a[1] == _LOOSE["div"]:
        a, b = b, a
    if op == "mul" and b[0].startswith("1/") and b[1] == _LOOSE["div"]:
        op, b = "div", (b[0][2:], _TIGHT)
    level = _LOOSE[op]
    if op == "matmul":
        return f"{_held(a, 3)} @ {_held(b, 3)}", level
    return f"{_held(a, level)}{_SIGNS[op]}{_held(b, level + (op in ('sub', 'div')))}", level
