"""A step of a Program as a formula that a person reads, in the names of the values that it is made of."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

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


class Text(NamedTuple):
    """A formula, how tightly its last operation binds, and of a product its factors."""

    text: str
    binds: float
    product: Product | None = None


@dataclass(frozen=True)
class Product:
    """A number times factors over factors, each a formula and its exponent."""

    number: Fraction
    over: Mapping[Text, int] = field(default_factory=dict)
    under: Mapping[Text, int] = field(default_factory=dict)


@dataclass(eq=False)
class Speller:
    """Writes steps as text; ``name`` gives what a step is called, or None, and ``seen`` are the steps written out.

    ``tidy`` puts products in order: the number first, equal factors as a power, one fraction.  Nothing is cancelled, so
    that the formula has a value where the step has one.
    """

    steps: Sequence[Step]
    name: Callable[[int], str | None]
    tidy: bool = False
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
        return None if found is None or len(found.text) > LONGEST else found.text

    def called(self, i: int) -> str | None:
        """The name of a step, or its formula where it has none."""
        return self.name(i) or self.formula(i)

    def _text(self, i: int, deep: int) -> Text | None:
        name = self.name(i)
        if name is not None:
            return Text(name, _TIGHT)
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
                return Text("1j" if exact is sp.I else str(exact), _TIGHT if exact.is_Atom else 1)
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
            if not isinstance(self.steps[i].params, Strided | None) and np.min(self.steps[i].params, initial=1) < 1:
                return False  # with zeros between
            i = self.steps[i].args[0]
        return number_of(self.steps, i) == 1

    def _operation(self, step: Step, a: list[Text]) -> Text | None:
        match step.op:
            case op if op in _SAME:
                return a[0]
            case "matmul":
                return self._product(step, *a)
            case "add" | "sub" | "mul" | "div":
                return self._infix(step.op, *a)
            case "neg":
                return self._infix("mul", Text("-1", 2, Product(Fraction(-1))), a[0])
            case "powi":
                return self._power(a[0], step.params)
            case "reciprocal":
                return self._infix("div", _ONE, a[0])
            case "rsqrt":
                return self._infix("div", _ONE, Text(f"sqrt({a[0].text})", _TIGHT))
            case "square":
                return self._power(a[0], 2)
            case "pow":
                return Text(f"{_held(a[0], _TIGHT)}**{_held(a[1], _TIGHT)}", 3)
            case "pick" if len(a) == 1:
                return self._picked(step, a[0])
            case "pick":
                return self._put(step, *a) or self._joined(step, [x.text for x in a])
            case "scatter":
                return self._summed(step, a[0])
            case "inverse":
                return Text(f"inv({a[0].text})", _TIGHT)
        return Text(f"{step.op}({', '.join(x.text for x in a)})", _TIGHT)

    def _product(self, step: Step, a: Text, b: Text) -> Text:
        """A product of matrices; one row and one column make an outer product, and what is all ones is called so."""
        ones = [x for x in step.args if self._is_ones(x)]
        if any(size(self.steps[x].shape) == 1 for x in ones):
            return b if step.args[0] in ones else a
        for one, other in ((a, b), (b, a)):
            if _EYE.fullmatch(one.text):
                return other
        a, b = (Text("ones", _TIGHT) if x in ones else t for x, t in zip(step.args, (a, b), strict=True))
        if any(size(self.steps[x].shape) == 1 for x in step.args):
            return self._infix("mul", a, b)
        if self.steps[step.args[0]].shape[2] == 1 < size(step.shape):
            return Text(f"outer({a.text}, {b.text})", _TIGHT)
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
            return Text(f"eye({size(inner)})" if a.text == "1" else f"diag({a.text})", _TIGHT)
        if not where.size or where.min() == 0:
            sides = [n for n in step.shape if n > 1]
            if size(inner) == 1 and len(set(sides)) == 1 and len(sides) == 2 and _is_eye(where.reshape(sides) > 0):
                eye = Text(f"eye({sides[0]})", _TIGHT)
                return eye if a.text == "1" else _infix("mul", a, eye)
            if 0 < where.size <= _FEW and len(sides) <= 1:
                return Text(f"[{', '.join(_entry(a, int(p) - 1, inner) for p in where)}]", _TIGHT)
            return Text(f"{_held(a, _TIGHT)}[...]", _TIGHT)
        if long and (where == where[0]).all():
            return Text(_entry(a, int(where[0]) - 1, inner), _TIGHT)
        if (row := _row_of(where, inner)) is not None:
            return Text(f"{_held(a, _TIGHT)}[{row}]", _TIGHT)
        if (
            len(long) == 2
            and where.size == size(inner)
            and np.array_equal(where - 1, np.arange(where.size).reshape(long).T.reshape(-1))
        ):
            return Text(f"{_held(a, _TIGHT)}.T", _TIGHT)
        if (
            len(inner) < len(step.shape)
            and len(long) == 1 < len([n for n in step.shape if n > 1])
            and np.array_equal(where, np.repeat(_counted(inner), where.size // long[0]))
        ):
            return Text(f"{_held(a, _TIGHT)}[:, None]", _TIGHT)
        return a if _is_spread(where.reshape(step.shape), inner) else Text(f"{_held(a, _TIGHT)}[...]", _TIGHT)

    def _joined(self, step: Step, a: list[str]) -> Text:
        """Several arrays in one: side by side, or some entries of each."""
        shapes = [self.steps[x].shape for x in step.args]
        total = sum(map(size, shapes))
        whole = size(step.shape) == total <= _LARGE and _is_spread(positions(step.params, step.shape), (total,))
        if whole and all(size(shape) == 1 for shape in shapes):
            return Text(f"[{', '.join(a)}]", _TIGHT)
        word = "entries" if not whole else "stack" if {*shapes} == {step.shape[1:]} else "cat"
        return Text(f"{word}({', '.join(a)})", _TIGHT)

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
        return Text(f"put({a[0].text}, [{place}], {value})", _TIGHT)

    def _infix(self, op: str, a: Text, b: Text) -> Text:
        """Two formulas beside a sign; a product is put in order, where that was asked for."""
        x, y = _factors(a), _factors(b)
        if not self.tidy or op not in ("mul", "div") or (op == "div" and not y.number):
            return _negated(b) if op == "mul" and a.text == "-1" else _infix(op, a, b)
        if op == "div":
            y = Product(1 / y.number, y.under, y.over)
        over, under = (_together(*both) for both in ((x.over, y.over), (x.under, y.under)))
        return _spelled(Product(x.number * y.number, over, under))

    def _power(self, a: Text, n: int) -> Text:
        if not self.tidy or a.product is not None or not n:
            return Text(f"{_held(a, _TIGHT)}**{n}", 3)
        return _spelled(Product(Fraction(1), {a: n} if n > 0 else {}, {a: -n} if n < 0 else {}))

    def _summed(self, step: Step, a: Text) -> Text | None:
        inner = self.steps[step.args[0]].shape
        if size(step.shape) == 1:
            return Text(f"sum({a[0]})", _TIGHT)
        if not isinstance(step.params, Strided):
            where = np.asarray(step.params)
            if where.size > _FEW:
                return Text(f"index_add({a[0]})", _TIGHT)
            return Text(f"index_add([{', '.join(str(int(p) - 1) for p in where)}], {a[0]})", _TIGHT)
        axes = [k for k, (s, n) in enumerate(zip(step.params.strides, inner, strict=True)) if s == 0 and n > 1]
        return Text(f"sum({a[0]}, {axes[0] if len(axes) == 1 else tuple(axes)})", _TIGHT)


def _is_spread(where: np.ndarray, inner: tuple[int, ...]) -> bool:
    """Whether positions are those of an array in another shape, repeated along axes: nothing is moved or left out."""
    for axis in range(where.ndim):
        first = where.take([0], axis)
        where = first if (where == first).all() else where
    return np.array_equal(where.reshape(-1), _counted(inner))


_EYE = re.compile(r"eye\(\d+\)")
_ONE = Text("1", _TIGHT, Product(Fraction(1)))


def _is_eye(array: np.ndarray) -> bool:
    return np.array_equal(array, np.eye(len(array)))


def _factors(a: Text) -> Product:
    return Product(Fraction(1), {a: 1}) if a.product is None else a.product


def _together(a: Mapping[Text, int], b: Mapping[Text, int]) -> dict[Text, int]:
    return {x: a.get(x, 0) + b.get(x, 0) for x in {**a, **b}}


def _spelled(p: Product) -> Text:
    """A product as a fraction, its number in front."""
    if not p.number:
        return Text("0", _TIGHT, p)
    (top, low), sign = abs(p.number).as_integer_ratio(), "-" if p.number < 0 else ""
    over = [*([str(top)] if top != 1 or not p.over else []), *_powers(p.over, 2)]
    alone = len(p.under) + (low != 1) == 1
    under = "*".join([*([str(low)] if low != 1 else []), *_powers(p.under, 3 if alone else 2)])
    text = f"{sign}{'*'.join(over)}" + (f"/{under if alone else f'({under})'}" if under else "")
    if not sign and not under and len(over) == 1:
        (power,) = p.over.values() if p.over else (0,)
        (binds,) = (x.binds for x in p.over) if p.over else (_TIGHT,)
        return Text(text, binds if power == 1 else _TIGHT if not power else 3, p)
    return Text(text, 2, p)


def _powers(factors: Mapping[Text, int], least: float) -> list[str]:
    return [_held(x, least) if n == 1 else f"{_held(x, _TIGHT)}**{n}" for x, n in factors.items()]


def _numbers(array: np.ndarray) -> Text | None:
    """Few numbers, or those of an identity matrix; None for others."""
    if array.dtype.kind == "c" and array.size == 1:
        text = str(array.item()).strip("()")
        return Text(text, 1 if "+" in text or "-" in text else _TIGHT)
    sides = [n for n in array.shape if n > 1]
    if len(sides) == 2 and sides[0] == sides[1] and _is_eye(array.reshape(sides)):
        return Text(f"eye({sides[0]})", _TIGHT)
    return Text(str(array.tolist()), _TIGHT) if array.size <= _FEW else None


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
    if n.q > 1000 and not (n.q & (n.q - 1) and 10**40 % n.q):  # typed in decimals
        text = repr(float(n))
    number = Product(Fraction(int(n.p), int(n.q))) if n.q <= 1000 else None
    return Text(text, _TIGHT if n >= 0 and "/" not in text else 2, number)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _held(a: Text, least: float) -> str:
    """The text in brackets, unless it binds at least so tightly."""
    return a[0] if a[1] >= least else f"({a[0]})"


def _negated(a: Text) -> Text:
    return Text(a.text[1:] if a.text.startswith("-") and a.binds == 2 else f"-{_held(a, 2)}", 2)


def _infix(op: str, a: Text, b: Text) -> Text:
    """Two formulas beside a sign; what adds nothing and multiplies by one is not written."""
    match op, a.text, b.text:
        case ("mul", "1", _) | ("add", "0", _):
            return b
        case ("mul" | "div", _, "1") | ("add" | "sub", _, "0"):
            return a
        case ("mul" | "matmul", "0", _) | ("mul" | "div" | "matmul", _, "0") | ("div", "0", _):
            return Text("0", _TIGHT)
        case ("mul", "-1", _):
            return _negated(b)
        case ("mul", _, "-1"):
            return _negated(a)
        case ("sub", "0", _):
            return _negated(b)
    if op in ("add", "sub") and b[0].startswith("-") and b[1] == 2:
        op, b = "sub" if op == "add" else "add", Text(b.text[1:], 2)
    if op == "mul" and _is_number(b[0]) and not _is_number(a[0]):
        a, b = b, a
    if op == "mul" and a[0].startswith("1/") and a[1] == _LOOSE["div"]:
        a, b = b, a
    if op == "mul" and b[0].startswith("1/") and b[1] == _LOOSE["div"]:
        op, b = "div", Text(b.text[2:], _TIGHT)
    level = _LOOSE[op]
    if op == "matmul":
        return Text(f"{_held(a, 3)} @ {_held(b, 3)}", level)
    return Text(f"{_held(a, level)}{_SIGNS[op]}{_held(b, level + (op in ('sub', 'div')))}", level)
