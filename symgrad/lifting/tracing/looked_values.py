"""What code makes of looks at values: whole numbers, texts and truths, which remember what was looked at.

``int(x)`` is a plain number to every library, and no derivative goes through it; but where the code then decides by it
(``if n == 17``, ``table[n]``, ``range(n)``), that is a choice by the value of x.  A `Whole` is an int, a `Written` a
str, a `LookedArray` an array of numbers or truths; each carries its looks through arithmetic, and tells the tracer
where it is decided by.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.traced_values import TracedArray, TracedFloat
from symgrad.program.primitives import number_of
from symgrad.program.program import UNKNOWN, Decided, Guard, Step


class Look(NamedTuple):
    """One look at a value: the operation, its steps and its parameters, as a guard has them."""

    op: str
    args: tuple[int, ...]
    params: Any = None


Looks = tuple[Look, ...]


def joined(looks: Iterable[Looks]) -> Looks:
    """All the looks, each once."""
    return tuple({(look.op, look.args, repr(look.params)): look for part in looks for look in part}.values())


def looks_in(x: Any) -> Looks:
    """What a value remembers."""
    if type(x) in (Whole, Written):
        return x.looks
    return x.looks or () if isinstance(x, LookedArray) else ()


def decision(
    word: str, looks: Looks, other: Any, ways: tuple[Any, ...] | None = None, table: int | None = None, made: Any = None
) -> tuple[tuple[int, ...], Decided]:
    """The arguments and parameters of a guard for a decision by looks."""
    bases = tuple((look.op, len(look.args), look.params) for look in looks)
    return tuple(a for look in looks for a in look.args), Decided(word, bases, other, ways, table, made)


def told_of_looks(guard: Guard, steps: Sequence[Step], looks_of: Callable[[int], Looks]) -> Guard | None:
    """The decision that a guard is whose sides are no values but were made of looks at some; None without a look."""
    looks = joined(map(looks_of, guard.args))
    if not looks:
        return None
    others = [n for a in guard.args if not looks_of(a) and (n := number_of(steps, a)) is not None]
    made = compared(guard.op, steps, guard.args)
    args, decided = decision(guard.op, looks, float(others[0]) if others else None, made=made)
    return replace(guard, op="decided", args=args, params=decided)


def compared(op: str, steps: Sequence[Step], args: Sequence[int]) -> Any:
    """A comparison of two steps as a constant has it, where they are numbers made whole, and plain ones."""
    sides = [_made(steps, a) for a in args[:2]]
    return None if None in sides or UNKNOWN in sides or len(sides) < 2 else (op, *sides)


def _made(steps: Sequence[Step], i: int) -> Any:
    """What a number is made of that was made whole; or the plain number that it is."""
    step = steps[i]
    while step.op in ("pick", "cast", "name", "stop") and len(step.args) == 1:
        step = steps[step.args[0]]
    if step.op != "constant" or step.params.made is not None:
        return None if step.op != "constant" else step.params.made
    return float(step.params.value.item()) if step.params.value.size == 1 and not step.is_complex else None


def is_found_by_hash(equal: Guard, before: Guard) -> bool:
    """Whether it was decided that something is equal to what it was found by, in a table, just before."""
    hashed = replace(equal.params, word="hash", other=None, made=getattr(before.params, "made", None))
    same = (before.args, before.source, before.params) == (equal.args, equal.source, hashed)
    return equal.params.word == "eq" and bool(equal.outcome.all()) and same


def looks_of_length(x: Any) -> Looks:
    """The looks that the length of an array was made of: of one that has an entry for each truth of a mask."""
    if type(x) is TracedArray:
        return x.length
    return looks_in(x) if isinstance(x, LookedArray) and x.counts else ()


def plainly(x: Any) -> Any:
    """The value without its memory."""
    match x:
        case Whole():
            return int(x)
        case Written():
            return "".join(x)
        case LookedArray():
            return np.asarray(x).view(np.ndarray)
        case list() | tuple():
            return type(x)(plainly(i) for i in x) if type(x) in (list, tuple) else x
    return x


# ------------------------------------------------------------------------------------------------ whole numbers


class _Looked:
    """A value with the looks at others that it was made of."""

    looks: Looks
    tracer: Recorder

    def __new__(cls, value: Any, tracer: Recorder, looks: Looks) -> Any:
        made = super().__new__(cls, value)  # type: ignore[call-arg]
        made.tracer, made.looks = tracer, looks
        return made


class Whole(_Looked, int):
    """A whole number that was made of values; ``made`` says how, as a constant of a Program has it."""

    made: Any

    def __new__(cls, value: int, tracer: Recorder, looks: Looks, made: Any = None) -> Whole:
        out = super().__new__(cls, value, tracer, looks)
        out.made = made
        return out

    def __reduce__(self) -> Any:
        return int, (int(self),)

    def __float__(self) -> float:
        return float(int(self))

    def __bool__(self) -> bool:
        return self.tracer.decide("ne", self.looks, int(self) != 0, 0, made=_operation("ne", self, 0))

    def __hash__(self) -> int:
        self.tracer.decide("hash", self.looks, int(self), None, made=self.made)
        return hash(int(self))

    def __format__(self, spec: str) -> str:
        return self.tracer.written(self, format(int(self), spec))

    def __str__(self) -> str:
        return self.tracer.written(self, int.__repr__(self))

    __repr__ = __str__

    def real_number(self) -> TracedFloat:
        """The same number as a float that is followed."""
        return TracedFloat(float(int(self)), self.tracer.step_of(self), self.tracer)


def _operation(name: str, *sides: Any) -> Any:
    """What an operation makes of whole numbers, as a constant has it; None where that is not known of a side."""
    told = [side.made if type(side) is Whole else int(side) for side in sides]
    return None if None in told else (name, *told)


def _whole_comparison(name: str) -> Callable[[Whole, Any], Any]:
    compare = getattr(operator, name)

    def method(self: Whole, other: Any) -> Any:
        if type(other) is TracedFloat or not isinstance(other, (int, float)):
            return NotImplemented
        looks = joined([self.looks, looks_in(other)])
        made = _operation(name, self, other) if isinstance(other, int) else None
        return self.tracer.decide(name, looks, compare(int(self), plainly(other)), plainly(other), made=made)

    return method


def _whole_arithmetic(name: str, swapped: bool) -> Callable[..., Any]:
    plain = getattr(operator, {"divmod": "floordiv"}.get(name, name))

    def method(self: Whole, other: Any, *modulus: Any) -> Any:
        if type(other) is TracedFloat or not isinstance(other, (int, float)):
            return NotImplemented
        if isinstance(other, float) or name == "truediv":
            sides = [self.real_number(), other.real_number() if type(other) is Whole else float(other)]
            return plain(*(reversed(sides) if swapped else sides))
        sides = [other, self] if swapped else [self, other]
        value = plain(*map(int, sides))
        looks = joined([self.looks, looks_in(other)])
        return Whole(value, self.tracer, looks, _operation(name, *sides)) if type(value) is int else value

    return method


def _whole_unary(name: str) -> Callable[[Whole], Any]:
    plain = getattr(operator, name)
    return lambda self: Whole(plain(int(self)), self.tracer, self.looks, _operation(name, self))


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Whole, f"__{_name}__", _whole_comparison(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_", "xor"):
    _word = _name.rstrip("_")
    setattr(Whole, f"__{_word}__", _whole_arithmetic(_name, False))
    setattr(Whole, f"__r{_word}__", _whole_arithmetic(_name, True))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Whole, f"__{_name}__", _whole_unary(_name))
Whole.__divmod__ = lambda self, other: (self // other, self % other)  # type: ignore[method-assign, assignment]
Whole.__rdivmod__ = lambda self, other: (other // self, other % self)  # type: ignore[method-assign, assignment]


def remembering(value: Any, tracer: Recorder, looks: Looks) -> Any:
    """What was made of looks in a way that is not followed: whole numbers, texts and tuples of these remember them."""
    match value:
        case bool():
            return tracer.decide("bool", looks, value, None)
        case int():
            return Whole(value, tracer, looks)
        case float():
            return TracedFloat(value, tracer.constant_of(value, looks), tracer)
        case str():
            return Written(value, tracer, looks)
        case tuple():
            return tuple(remembering(part, tracer, looks) for part in value)
    return value


def _whole_method(name: str) -> Callable[..., Any]:
    plain = getattr(int, name)
    return lambda self, *args: remembering(plain(int(self), *map(plainly, args)), self.tracer, self.looks)


for _name in "bit_length bit_count as_integer_ratio __round__".split():
    if hasattr(int, _name):
        setattr(Whole, _name, _whole_method(_name))
for _name in "conjugate __floor__ __ceil__ __trunc__".split():
    setattr(Whole, _name, lambda self: self)
for _name in ("real", "numerator"):
    setattr(Whole, _name, property(lambda self: self))


# ------------------------------------------------------------------------------------------------ texts


class Written(_Looked, str):
    """A text in which a value is written."""

    def __reduce__(self) -> Any:
        return str, (plainly(self),)

    def __hash__(self) -> int:
        self.tracer.decide("hash", self.looks, plainly(self), None)
        return str.__hash__(self)

    def __iter__(self) -> Iterator[str]:
        return (Written(c, self.tracer, self.looks) for c in str.__iter__(self))


def _text_method(name: str) -> Callable[..., Any]:
    plain = getattr(str, name)

    @functools.wraps(plain)
    def method(self: Written, *args: Any, **options: Any) -> Any:
        out = plain(self, *args, **options)
        return _made_of_text(self, name, args, out)

    return method


def _made_of_text(text: Written, name: str, args: tuple[Any, ...], out: Any) -> Any:
    match out:
        case bool():
            return text.tracer.decide(name, text.looks, out, args[0] if args and isinstance(args[0], str) else None)
        case int():
            return Whole(out, text.tracer, text.looks)
        case str():
            return Written(out, text.tracer, text.looks)
        case list() | tuple():
            return type(out)(_made_of_text(text, name, (), part) for part in out)
    return out


for _name in (
    "__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __contains__ startswith endswith isdigit isnumeric isalpha isdecimal "
    "__add__ __mod__ __mul__ __getitem__ upper lower strip lstrip rstrip replace split rsplit partition rpartition "
    "zfill ljust rjust center removeprefix removesuffix join find rfind index rindex count title casefold"
).split():
    setattr(Written, _name, _text_method(_name))


# ------------------------------------------------------------------------------------------------ arrays


_COMPARISONS = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)


_PLACES = (np.nonzero, np.flatnonzero, np.argwhere)  # their length is the number of a mask's truths


class LookedArray(np.ndarray):
    """A NumPy array of whole numbers or truths (or of floats made of these) that was made of values."""

    looks: Looks | None
    tracer: Recorder | None
    counts: bool = False  # whether it is as long as a mask has truths

    def __array_finalize__(self, other: Any) -> None:
        self.looks, self.tracer = getattr(other, "looks", None), getattr(other, "tracer", None)

    @classmethod
    def made(cls, value: Any, tracer: Recorder, looks: Looks) -> Any:
        """An array, or a NumPy number as an array without axes, with its looks."""
        if not looks or not isinstance(value, (np.ndarray, np.generic)) or np.asarray(value).dtype.kind not in "iubf":
            return value
        out = np.asarray(value).view(cls)
        out.looks, out.tracer = looks, tracer
        return out

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(type(x) in (TracedArray, TracedFloat) for x in inputs):
            return NotImplemented
        options = {k: plainly(v) for k, v in options.items()}
        out = getattr(ufunc, method)(*map(plainly, inputs), **options)
        if ufunc in _COMPARISONS and self.tracer is not None:
            looks = joined(map(looks_in, inputs))
            other = next((x for x in inputs if type(x) in (int, float)), None)
            self.tracer.decide(ufunc.__name__, looks, out, other)
            if not np.ndim(out):
                return out
        return self._of(out, inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if any(issubclass(kind, (TracedArray, TracedFloat)) for kind in types):
            return NotImplemented
        out = function(*map(plainly, args), **{k: plainly(v) for k, v in options.items()})
        places = function in _PLACES or (function is np.where and len(args) == 1)
        return self._counted(self._of(out, args)) if places else self._of(out, args)

    def _counted(self, out: Any) -> Any:
        """What is as long as a mask has truths, which it remembers."""
        first = out[0] if isinstance(out, tuple) else out
        if self.tracer is not None and isinstance(first, LookedArray) and first.ndim:
            for part in out if isinstance(out, tuple) else (out,):
                part.counts = True
        return out

    def _of(self, out: Any, inputs: Iterable[Any]) -> Any:
        looks = joined([self.looks or (), *map(looks_in, inputs)])
        if isinstance(out, tuple):
            return tuple(self._of(part, inputs) for part in out)
        if self.tracer is None:
            return out
        if isinstance(out, (bool, np.bool_)):
            return LookedArray.made(np.bool_(out), self.tracer, looks)
        return LookedArray.made(out, self.tracer, looks)

    def __getitem__(self, key: Any) -> Any:
        out = self._of(plainly(self)[plainly(key)], [key])
        return self._counted(out) if isinstance(key, LookedArray) and key.dtype.kind == "b" and key.ndim else out

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return self._decided("bool", bool(plainly(self)))

    def __int__(self) -> int:
        return self._decided("int", int(plainly(self)))

    def __float__(self) -> float:
        return self._decided("float", float(plainly(self)))

    def __index__(self) -> int:
        return self._decided("index", operator.index(plainly(self)[()]))

    def _decided(self, word: str, value: Any) -> Any:
        return value if self.tracer is None else self.tracer.decide(word, self.looks or (), value, None)

    def item(self, *where: Any) -> Any:
        return self[where].item() if where else self._plain_item()

    def _plain_item(self) -> Any:
        value = plainly(self).item()
        if self.tracer is None or not self.looks:
            return value
        if self.dtype.kind == "b":
            return self._decided("bool", value)
        if self.dtype.kind == "f":
            return TracedFloat(value, self.tracer.step_of(self), self.tracer)
        return Whole(value, self.tracer, self.looks)

    def tolist(self) -> Any:
        return [x.tolist() for x in self] if self.ndim else self._plain_item()


def _array_method(name: str) -> Callable[..., Any]:
    plain = getattr(np.ndarray, name)

    @functools.wraps(plain)
    def method(self: LookedArray, *args: Any, **options: Any) -> Any:
        out = plain(plainly(self), *map(plainly, args), **{k: plainly(v) for k, v in options.items()})
        return self._counted(self._of(out, args)) if name == "nonzero" else self._of(out, args)

    return method


for _name in "sum all any max min mean prod argmax argmin argsort cumsum astype nonzero take ravel reshape".split():
    setattr(LookedArray, _name, _array_method(_name))
