"""A script run without a tracer: values are put in where inputs and data get theirs, and read where they are bound.

Such a run takes a small part of a traced one's time.  Its events are counted as the tracer counts them, so that a place
that was found in a record is found here too, at other values and in edited text.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from symgrad.lifting.scripts.script_record import Cell, Given, Key, Reached
from symgrad.lifting.scripts.solvers import NAMES, solve
from symgrad.lifting.tracing.sources import TRACE
from symgrad.lifting.tracing.traced_values import TracedFloat

_PARTS_RETURNED = 64


class TooLong(Exception):
    """A run goes on for much longer than the script as it was written does."""


# ------------------------------------------------------------------------------------------------ events


def is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) or (isinstance(x, np.floating) and x.shape == ())


def is_counted(value: Any) -> bool:
    """Whether an argument, or what a call may have written into, counts as bound: numbers and arrays."""
    return isinstance(value, (int, float, np.number, np.ndarray)) and not isinstance(value, bool)


def may_be_bound(value: Any) -> bool:
    """Whether a value in an attribute or a container is bound as a variable's is: numbers, arrays and tensors."""
    kinds = (float, int, np.floating, np.ndarray, torch.Tensor, list)
    return isinstance(value, kinds) and not isinstance(value, (bool, torch.nn.Parameter))


def holds_values(value: Any) -> bool:
    """Whether the entries of a container are values of their own: of a dictionary, of a list that has arrays in it."""
    return type(value) is dict or (
        type(value) is list and any(isinstance(x, (np.ndarray, torch.Tensor)) and np.ndim(x) for x in value)
    )


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of numbers, arrays and tensors, and of lists of such whose parts have one shape; None of all others.

    >>> shape_of([(1.0, 2.0), (3.0, 4.0)]), shape_of([(np.ones(2), 1), (np.ones(2), 0)])
    ((2, 2), None)
    """
    if isinstance(value, (list, tuple)):
        shapes = {shape_of(part) for part in value}
        inner = shapes.pop() if len(shapes) == 1 else None
        return None if inner is None else (len(value), *inner)
    is_one = hasattr(value, "shape") or isinstance(value, (float, int, complex, TracedFloat))
    return tuple(getattr(value, "shape", ())) if is_one else None


def returned_parts(path: str, value: Any, depth: int = 2) -> Iterator[tuple[str, Any]]:
    """What a function returned, by path: the parts of dictionaries and lists, and values."""
    if isinstance(value, dict) or (isinstance(value, (list, tuple)) and depth):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for k, part in itertools.islice(parts, _PARTS_RETURNED if depth else 0):
            yield from returned_parts(f"{path}[{k!r}]", part, depth - 1)
        if not isinstance(value, list) or not all(map(is_number, value)):
            return
    yield path, value


def entry_path(box: str, key: Any) -> str:
    """What an entry of a dictionary or a list is called: the variable's own name where they are a scope's, or an
    object's.

    >>> entry_path("params", "W"), entry_path("globals()", "W"), entry_path("vars(self)", "W")
    ("params['W']", 'W', 'self.W')
    """
    if box in ("globals()", "locals()", "vars()"):
        return str(key)
    owner = re.fullmatch(r"vars\((.+)\)|(.+)\.__dict__", box)
    return f"{box}[{key!r}]" if owner is None else f"{owner[1] or owner[2]}.{key}"


class Bound:
    """How often each variable was bound in each line of the code that reports to ``trace``.

    A line says more than a count of all: on another branch, what is bound above is bound more often or less.
    """

    def __init__(self, trace: Any) -> None:
        self._trace = trace
        self._times: Counter[tuple[str, int]] = Counter()

    def key(self, path: str) -> Key:
        """The key of one more value."""
        frame: Any = sys._getframe(2)
        while frame.f_globals.get(TRACE) is not self._trace:
            frame = frame.f_back
        line = frame.f_code.co_firstlineno if "()" in path else frame.f_lineno  # whichever line of a function gave it
        times = self._times[path, line]
        self._times[path, line] = times + 1
        return path, line, times

    @property
    def total(self) -> int:
        return self._times.total()

    @property
    def paths(self) -> Iterator[str]:
        return (path for path, _ in self._times)


# ------------------------------------------------------------------------------------------------ watching


class Watcher:
    """What instrumented code reports to in a run without a tracer.

    ``given`` says which variables hold inputs or data, ``values`` what these are, and ``leaves`` is the same for
    tensors that require a gradient, by the name that they get first.  What the variables of ``wanted`` had is in
    ``found``, and the run ends with the last of them.
    """

    def __init__(
        self,
        given: Mapping[Key, Given],
        values: Mapping[str, np.ndarray],
        leaves: Mapping[str, np.ndarray],
        wanted: Collection[Key],
        turns: int,
    ) -> None:
        self.given, self.values, self.wanted = given, values, set(wanted)
        self.found: dict[Key, np.ndarray] = {}
        self.turns = turns
        self.is_on = True
        self._leaves = dict(leaves)
        self._bound = Bound(self)

    @property
    def is_complete(self) -> bool:
        """Whether all inputs were put in, and all that is wanted was read."""
        return self.wanted <= self.found.keys() and not self._leaves

    def tick(self, loop: int = 0) -> None:
        self.turns -= 1
        if self.turns < 0 and self.is_on:
            raise TooLong

    def bind(self, name: str, value: Any) -> Any:
        if not self.is_on:
            return value
        key = self._bound.key(name)
        if holds_values(value):
            for k in value if type(value) is dict else range(len(value)):
                self.item(name, value, k)
        if isinstance(value, torch.Tensor) and value.is_leaf and value.requires_grad:
            self._put(name, value)
            return value
        if isinstance(value, torch.nn.Module):
            for inner, p in value.named_parameters():
                self._put(f"{name}.{inner}", p)
            return value
        if key in self.given:
            value = self._input(self.given[key], value)
        self._read(key, value)
        return value

    def _put(self, name: str, leaf: torch.Tensor) -> None:
        new = self._leaves.pop(name, None)
        if new is not None:
            with torch.no_grad():
                leaf.copy_(torch.as_tensor(new).reshape(leaf.shape))

    def _input(self, given: Given, value: Any) -> Any:
        """A value as an input has it, in the form of the one that stood there."""
        if isinstance(given, tuple):
            new = np.array(value, dtype=float)
            for k, cell in enumerate(given):
                if isinstance(cell, Cell) and cell.input in self.values:
                    new.reshape(-1)[k] = np.asarray(self.values[cell.input]).reshape(-1)[cell.entry]
        elif given in self.values:
            new = np.asarray(self.values[given])
        else:
            return value
        if isinstance(value, torch.Tensor):
            return torch.tensor(new).to(value.dtype).reshape(value.shape)
        if isinstance(value, (float, int)):
            return float(new)
        shape = np.shape(value)
        made = np.array(new, dtype=new.dtype if new.dtype.kind == "c" else float).reshape(shape)
        return made.tolist() if type(value) is list else made if isinstance(value, np.ndarray) else made[()]

    def _read(self, key: Key, value: Any) -> None:
        wanted = self.wanted & {key, (*key[:2], -1)}
        if wanted:
            now = value.detach().resolve_conj().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
            self.found |= {k: np.array(now) for k in wanted}
            self.wanted -= {key}
        if not self.wanted:
            raise Reached

    def entered(self, name: str, value: Any) -> Any:
        return self.bind(name, value) if is_counted(value) else value

    def rebound(self, name: str, value: Any) -> Any:
        return self.bind(name, value) if is_counted(value) or isinstance(value, torch.Tensor) else value

    def attribute(self, path: str, owner: Any, name: str) -> None:
        value = getattr(owner, name, None)
        is_array = hasattr(type(owner), "__array__")
        made = self.bind(path, value) if may_be_bound(value) and not is_array else value
        if made is not value:
            setattr(owner, name, made)

    def rewritten(self, path: str, owner: Any, name: str) -> None:
        if isinstance(getattr(owner, name, None), np.ndarray):
            self.attribute(path, owner, name)

    def item(self, path: str, box: Any, key: Any) -> None:
        if type(box) not in (dict, list) or isinstance(key, slice):
            return
        value = box[key]
        made = self.bind(entry_path(path, key), value) if may_be_bound(value) else value
        if made is not value:
            box[key] = made

    def returned(self, function: str, value: Any) -> Any:
        for path, part in returned_parts(f"{function}()", value) if self.is_on else ():
            self._read(self._bound.key(path), part)
        return value

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        """A checking function: it is not run, and what it would call is called once."""
        if function in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            return True
        name = getattr(function, "__name__", "")
        if name in NAMES and "scipy" in str(function.__module__):
            found = solve(self, name, args, options)
            return function(*args, **options) if found is NotImplemented else found
        return function(*args, **options)

    def checks(self, solver: str, x: Any, gradient: Any, weights: Any, label: str) -> None:
        """What is compared was read where it was computed."""

    def computed(self, path: str, value: Any, *, is_function: bool = False) -> None:
        self._read(self._bound.key(path), value)
