"""The course of a run: how often each loop ran, and what was compared with what where no value was looked at.

A loop that ends where an error is small enough, and a counter that is kept in it, are plain numbers to Python; but at
another point the loop runs more often, and the code may go another way where the counter is 7.  Nothing of that stands
in the record of one run.  It shows where the courses of several runs are held against each other: what was not the
same in all of them hangs on the values.

Instrumented code tells its course as it goes; at the end it is a list of guards that have no arguments:

* ``turns``: for a loop, the different numbers of turns that it made, of which ``params`` says whether a value was
  looked at to end it, and how many there may be (None where nothing says it);
* ``calls``: the same for a function that calls itself;
* ``plain``: for a comparison of plain numbers, each pair that was compared, as a row of (left, right, outcome), and
  ``params`` the word for it;
* ``entry``: for a subscript of a list of plain numbers, the places that were read; ``params`` says how many it has, and
  stands for its numbers.
"""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch

from symgrad.lifting.tracing.looked_values import LookedArray, Looks, Whole, Written, joined, looks_in, plainly
from symgrad.lifting.tracing.sources import Places
from symgrad.lifting.tracing.traced_values import TracedArray
from symgrad.program.builder import Builder
from symgrad.program.program import Guard, Source

COMPARED = {word: getattr(operator, word) for word in ("eq", "ne", "lt", "le", "gt", "ge")}
_PLAIN = frozenset((int, float, bool))
OTHER = "another"  # a place that a list or a table has not
_TABLES = (list, tuple, dict)
_KEPT = 256  # pairs and places that are kept of one place in the code
_WIDEST = 4096  # entries of a list whose places are told
_ALONG = ("index_select", "gather")  # read along an axis
_READS = ("index", "take", "embedding", *_ALONG)  # operations on tensors that read at places
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_EXACT = 2**53  # whole numbers that are floats
_UP = 12  # frames in which a function that calls itself is looked for

Key = tuple[int, Any]


class _Looks(Protocol):
    """What the course needs to know of the tracer: where code stands, and how many values were looked at."""

    places: Places
    builder: Builder
    trying: int

    @property
    def tensors(self) -> Any: ...

    def step_of(self, x: Any, dtype: str | None = None) -> int: ...

    def depends(self, step: int) -> bool: ...

    def is_traced(self, x: Any) -> bool: ...

    def call(self, function: Any, /, *args: Any, **options: Any) -> Any: ...

    def decide(
        self, word: str, looks: Looks, outcome: Any, other: Any, ways: Any = None, table: Any = None, made: Any = None
    ) -> Any: ...


@dataclass(eq=False)
class _Loop:
    source: Source
    by_value: bool = False
    most: int | None = None
    counts: set[int] = field(default_factory=set)

    def ran(self, turns: int, most: int | None) -> None:
        self.most = most if not self.counts or most == self.most else None
        self.counts.add(turns)


class Course:
    """Writes the course of one run; ``tracer`` says where in the user's code it stands."""

    def __init__(self, tracer: _Looks) -> None:
        self._tracer = tracer
        self.rounds = 0  # of all loops without a known end
        self._loops: dict[Key, _Loop] = {}
        self._open: dict[Key, list[Any]] = {}  # loops that are running, with their turns
        self._calls: dict[Key, tuple[_Loop, int]] = {}
        self._compared: dict[Key, tuple[Source, str, set[tuple[float, float, bool]]]] = {}
        self._entries: dict[Key, tuple[Source, tuple[int, int | None] | None, set[int]]] = {}

    # ------------------------------------------------------------------------------------ what instrumented code calls
    def each(self, items: Iterable[Any]) -> Iterator[Any]:
        """What a ``for`` goes through, with its turns counted."""
        frame = sys._getframe(1)
        loop = self._loops.setdefault((id(frame.f_code), frame.f_lasti), _Loop(self._tracer.places.at(frame)))
        return _counted(loop, items)

    def endless(self) -> Iterator[None]:
        """The turns of a loop without a condition."""
        frame = sys._getframe(1)
        loop = self._loops.setdefault((id(frame.f_code), frame.f_lasti), _Loop(self._tracer.places.at(frame)))
        return _counted(loop, (self._round() for _ in itertools.repeat(None)))

    def begin(self, place: int) -> None:
        """A ``while`` begins: one that stood there before in this frame has ended."""
        frame = sys._getframe(1)
        self._end((id(frame), place))

    def mark(self) -> int:
        """How many values were looked at before a condition."""
        return len(self._tracer.builder.guards)

    def again(self, place: int, before: int, condition: Any) -> bool:
        """The condition of a ``while``: whether there is one more turn."""
        frame = sys._getframe(1)
        goes_on = bool(condition)
        key = id(frame), place
        running = self._open.get(key)
        if running is None:
            made = _Loop(self._tracer.places.at(frame))
            running = self._open[key] = [self._loops.setdefault((id(frame.f_code), place), made), 0]
        if goes_on:
            running[1] += 1
            self._round()
        if len(self._tracer.builder.guards) > before:
            running[0].by_value = True
        if not goes_on:
            self._end(key)
        return goes_on

    def _round(self) -> None:
        self.rounds += 1
        self._tracer.builder.bound(self.rounds)

    def enter(self) -> None:
        """A function that may call itself begins."""
        frame = sys._getframe(1)
        code, above = frame.f_code, frame.f_back
        key = id(code), None
        loop, calls = self._calls.get(key) or (_Loop(self._tracer.places.at(frame)), -1)
        for _ in range(_UP):
            if above is None or above.f_code is code:
                break
            above = above.f_back
        if above is not None and above.f_code is code:
            self._calls[key] = loop, calls + 1
        else:
            loop.counts |= {calls} if calls >= 0 else set()
            self._calls[key] = loop, 0

    def compared(self, word: str, left: Any, right: Any) -> Any:
        """A comparison, which is told where both of its sides are plain numbers."""
        if type(left) in (list, tuple) and type(right) in (list, tuple):
            looks = joined(looks_in(x) for x in (*left, *right))
            sides = plainly(left), plainly(right)
            out = COMPARED[word](*(sides if looks else (left, right)))
            fixed = [side for side, own in zip(sides, (left, right), strict=True) if not any(map(looks_in, own))]
            return self._tracer.decide(word, looks, out, tuple(fixed[0]) if fixed else None)
        out = COMPARED[word](left, right)
        if type(left) in _PLAIN and type(right) in _PLAIN and abs(left) < _EXACT and abs(right) < _EXACT:
            self._told(sys._getframe(1), word, left, right, out)
        return out

    def extreme(self, function: Any, args: tuple[Any, ...]) -> None:
        """``max(a, b)`` or ``min(a, b)`` of plain numbers, which is a comparison of the two."""
        frame: Any = sys._getframe(2)
        plain = len(args) == 2 and all(type(a) in _PLAIN and abs(a) < _EXACT for a in args)
        if plain and function in (max, min) and args[0] != args[1] and frame.f_code in self._tracer.places:
            self._told(frame, "gt", args[0], args[1], args[0] > args[1])

    def index(self, key: Any) -> Any:
        """A bound of a slice, or a number of times."""
        if type(key) not in (Whole, Written) or not key.looks:
            return key
        self._tracer.decide("index", key.looks, plainly(key), None, made=getattr(key, "made", None))
        return plainly(key)

    def joined(self, box: Any, *parts: Any) -> Any:
        """``np.r_[a, b]`` or ``np.c_[a, b]``: a call of the function that does the same."""
        if box not in (np.r_, np.c_) or not any(map(self._tracer.is_traced, parts)):
            return box[parts[0] if len(parts) == 1 else parts]
        call = self._tracer.call
        arrays = [np.r_[p] if isinstance(p, slice) else p for p in parts]
        if box is np.c_:
            return call(np.column_stack, [x if np.ndim(x) else call(np.reshape, x, (1,)) for x in arrays])
        return call(np.concatenate, [x if np.ndim(x) else call(np.reshape, x, (1,)) for x in arrays])

    def entry(self, box: Any, place: Any) -> Any:
        """``box[place]``, which is told where a plain number is read from a list of such, and is a choice where the
        place was made of looks at values."""
        if type(place) is LookedArray and place.dtype.kind in "iu":
            if not place.ndim and type(box) in (list, tuple, TracedArray):
                place = place.item()
            elif isinstance(numbers := self._numbers(box), np.ndarray) and numbers.ndim:
                self._places(numbers, len(numbers), place, place.looks or ())
        if type(place) in (Whole, Written) and place.looks:
            self._decided(box, place, bool(self._tracer.trying))
            return box[plainly(place)]
        if isinstance(place, torch.Tensor) and not place.dim():  # which torch takes for a plain number
            self.read("index", (box, [place]))
        out = box[place]
        if type(place) is int and type(box) in (list, tuple) and type(out) in _PLAIN and len(box) <= _WIDEST:
            frame = sys._getframe(1)
            key = id(frame.f_code), frame.f_lasti
            if key not in self._entries:
                self._entries[key] = self._tracer.places.at(frame), (len(box), _table(box)), set()
            source, table, seen = self._entries[key]
            self._entries[key] = source, table if table == (len(box), _table(box)) else None, seen
            seen.add(place % len(box))
        return out

    def read(self, name: str, args: Sequence[Any]) -> None:
        """Entries of a tensor are read at places that a tensor holds."""
        if name not in _READS or not isinstance(args[0], torch.Tensor):
            return
        table, first, *rest = args
        held = {"index": first, "take": [first], "embedding": [first]}.get(name, rest)
        (axis, places), *others = [(k, x) for k, x in enumerate(held) if isinstance(x, torch.Tensor)] or [(0, None)]
        tensors = self._tracer.tensors
        looks = () if others or places is None or places.dtype not in _WHOLE else tensors.looks_of(places)
        if looks and table.dim() and not (tensors.is_known(table) and self._tracer.depends(tensors.step(table))):
            size = table.numel() if name == "take" else table.shape[first if name in _ALONG else axis]
            self._places(tensors.value(table), size, tensors.value(places), looks)

    def _places(self, table: np.ndarray, size: int, places: Any, looks: Looks) -> None:
        """Places of data that were made of looks: each is a way to go on."""
        if size <= _WIDEST and np.size(places):
            self._tracer.decide("index", looks, plainly(places) % size, None, tuple(range(size)), _table(table))

    def found(self, box: dict[Any, Any], key: Any, *default: Any) -> Any:
        """``box.get(key, default)``."""
        if type(key) in (Whole, Written) and key.looks:
            self._decided(box, key, True)
        return box.get(plainly(key), *default)

    def _decided(self, box: Any, place: Any, may_miss: bool) -> None:
        """The code reads at a place that was made of looks: each place of a list or a table is a way to go on."""
        ways, outcome, box = None, plainly(place), self._numbers(box)
        made = getattr(place, "made", None)
        if (type(box) in (list, tuple) or (isinstance(box, np.ndarray) and box.ndim == 1)) and len(box) <= _WIDEST:
            ways = tuple(range(len(box)))
            made = made and ("mod", made, len(box))
            outcome = outcome % len(box) if -len(box) <= outcome < len(box) else OTHER
        elif type(box) is dict and len(box) <= _WIDEST and all(type(k) in (int, str) for k in box):
            ways = tuple(box)
            outcome = outcome if outcome in box else OTHER
        if ways is not None and may_miss:
            ways = (*ways, OTHER)
        self._tracer.decide("index", place.looks, outcome, None, ways, _table(box), made)

    def _numbers(self, box: Any) -> Any:
        """What is read in; an array or a tensor of data as its numbers, and None where it is no data."""
        if type(box) is TracedArray:
            return None if self._tracer.depends(self._tracer.step_of(box)) else box.value
        if isinstance(box, torch.Tensor):
            return None if self._tracer.is_traced(box) else box.detach().numpy()
        return box

    # ------------------------------------------------------------------------------------ the end
    def guards(self) -> tuple[Guard, ...]:
        """The course as guards, when the run has ended."""
        for key in list(self._open):
            self._end(key)
        for loop, calls in self._calls.values():
            loop.counts.add(calls)
        out = [_as_guard("turns", loop) for loop in self._loops.values() if loop.counts]
        out += [_as_guard("calls", loop) for loop, _ in self._calls.values()]
        for source, word, pairs in self._compared.values():
            out.append(Guard("plain", (), word, np.array(sorted(pairs), dtype=float), source))
        for source, table, seen in self._entries.values():
            if table is not None:
                out.append(Guard("entry", (), table, np.array(sorted(seen)), source))
        return tuple(out)

    def _end(self, key: Key) -> None:
        if key in self._open:
            loop, turns = self._open.pop(key)
            loop.ran(turns, None)

    def _told(self, frame: FrameType, word: str, left: Any, right: Any, out: bool) -> None:
        key = id(frame.f_code), frame.f_lasti
        if key not in self._compared:
            self._compared[key] = self._tracer.places.at(frame), word, set()
        pairs = self._compared[key][2]
        if len(pairs) < _KEPT:
            pairs.add((float(left), float(right), out))


def _table(box: Any) -> int | None:
    """The numbers of a list or an array as one number; None where others than plain ones are in it."""
    if isinstance(box, np.ndarray):
        return hash((box.tobytes(), str(box.dtype)))
    parts = tuple(box.items() if isinstance(box, dict) else enumerate(box)) if isinstance(box, _TABLES) else ()
    return hash(parts) if parts and all(type(x) in _PLAIN for _, x in parts) else None


def _counted(loop: _Loop, items: Iterable[Any]) -> Iterator[Any]:
    turns = 0
    try:
        for item in items:
            turns += 1
            yield item
    finally:
        loop.ran(turns, len(items) if isinstance(items, Sized) else None)


def _as_guard(op: str, loop: _Loop) -> Guard:
    return Guard(op, (), (loop.by_value, loop.most), np.array(sorted(loop.counts)), loop.source)
