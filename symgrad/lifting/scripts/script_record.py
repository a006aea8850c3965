"""What a run of a script leaves behind beside its steps: the values that got a name, leaves, and autograd's calls."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

_DEEP = 5  # attributes and entries behind a variable through which objects are looked for
_WIDE = 256  # entries of one container

Key = tuple[str, int, int]  # a variable, the line that bound it, and how often it had before; -1 for the last time


@dataclass(frozen=True)
class Limits:
    """How much one run of a script may do: what is passed to `verify_script` as ``limits``.

    ``turns`` of loops and calls of functions, ``steps`` recorded (operations on the inputs' values), ``printed``
    characters, ``seconds`` of the clock, ``memory`` in bytes beside what Python and torch have taken before.  What is
    beyond is `BadInput` with the line; what is printed beyond is dropped, and told.  All of an answer may take as much
    memory, and ten times as long: beyond, the report is what is known by then.

    >>> from symgrad import Limits, verify_script
    >>> verify_script("while True: pass", limits=Limits(turns=1000))
    Traceback (most recent call last):
        ...
    symgrad.errors.BadInput: the script takes more than 1,000 turns of loops and calls.
        <pasted>:1    while True: pass
    Make it smaller: fewer iterations, or only the part with the model and the derivation.
    """

    turns: int = 1_000_000
    steps: int = 100_000
    printed: int = 200_000
    seconds: float = 60.0
    memory: int = 4 << 30


@dataclass(frozen=True)
class Cell:
    """An entry (from 0) of an input of some shape and dtype."""

    input: str
    shape: tuple[int, ...] = ()
    entry: int = 0
    dtype: str = "float64"


Given = str | tuple[Cell | None, ...]  # the input that a variable holds; or that each of its entries is one of


class Reached(BaseException):
    """All that was waited for has been computed; the rest of the script is not run."""


@dataclass(frozen=True, eq=False)
class Event:
    """A value that got a name (``W``, ``self.W``, ``grads['W']``), or that the function ``loss()`` returned."""

    key: Key
    step: int
    line: int | None
    owner: int = 0  # the object whose attribute it is, by id
    site: tuple[int, ...] = ()  # the lines of the calls through which its line was come to, the innermost first

    @property
    def path(self) -> str:
        return self.key[0]


def full_paths(events: Sequence[Event], space: Mapping[str, Any]) -> dict[Event, str]:
    """What each value is called from outside, all different: ``layers[0].W``, where two objects have a ``self.W``.

    ``space`` has the script's variables, through which the objects are reached.
    """
    owners = {e.owner for e in events} - {0}
    roots = [(name, value) for name, value in space.items() if not name.startswith("_")] if owners else []
    behind = [_reached(name, value, owners) for name, value in roots]
    ways: dict[int, str] = {}
    for reached in sorted(behind, key=lambda r: (-len(r), sum(map(len, r.values())))):  # a loop's variable has one
        ways = reached | ways
    found: dict[Event, str] = {}
    for e in events:
        name = e.path
        if e.owner in ways:
            end = max(e.path.rfind("."), e.path.rfind("["))
            name = f"{ways[e.owner]}{e.path[end:]}" if end > 0 else e.path
        again = sum(name in (p, p.rpartition(" (")[0]) for p in found.values())
        found[e] = f"{name} ({again + 1})" if again else name
    return found


def _reached(name: str, value: Any, wanted: Collection[int]) -> dict[int, str]:
    """The shortest paths from a variable to the objects of ``wanted``, by id."""
    found: dict[int, str] = {}
    level, seen = [(name, value)], set[int]()
    for _ in range(_DEEP):
        level = [(path, x) for path, x in level if id(x) not in seen]
        seen |= {id(x) for _, x in level}
        for path, x in level:
            if id(x) in wanted:
                found.setdefault(id(x), path)
        level = [part for path, x in level for part in _parts(path, x)]
    return found


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            yield from ((f"{path}[{k!r}]", part) for k, part in itertools.islice(value.items(), _WIDE))
        case list() | tuple():
            yield from ((f"{path}[{k}]", part) for k, part in enumerate(value[:_WIDE]))
        case object(__dict__=own) if type(value).__module__ == "__main__":
            yield from ((f"{path}.{k}", part) for k, part in own.items())
        case _:
            pass


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check or a solver of a library was given: the step of its point, the derivative there, and what that is
    called.  That of a function with several values is a combination of them, whose ``weights`` are a variable."""

    solver: str
    point: int
    gradient: Event
    label: str
    weights: Key | None


@dataclass(frozen=True, eq=False)
class Drawn:
    """Where one of several things was drawn: the step of their probabilities, and which one it was."""

    line: int
    probabilities: int
    outcome: int


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor that requires a gradient, with the step of its value; ``fresh`` if that step is an input."""

    tensor: torch.Tensor
    step: int
    fresh: bool
    value: np.ndarray
    origins: frozenset[Key] = frozenset()
    parts: Mapping[Key, tuple[int, ...]] = field(default_factory=dict)  # variables, and its entries' places in them


@dataclass(frozen=True, eq=False)
class AutogradCall:
    """One call of ``backward()`` or ``grad``: the scalar that was differentiated, and where.

    ``name`` is the variable that it was called on; ``upstream`` says that a cotangent was given; ``nodes`` are the
    steps of the leaves at that time, and ``leaves`` how many there were.
    """

    kind: str
    output: int
    name: str | None
    line: int | None
    upstream: bool
    nodes: Mapping[int, int]
    value: np.ndarray
    leaves: int
    order: int = 1
    question: Any = None  # equal where a function is differentiated at the same arguments again

    def is_of(self, other: AutogradCall | None) -> bool:
        """Whether this is a call for the same output as another one, or as any."""
        return other is None or self is other or (self.question is not None and self.question == other.question)


@dataclass(frozen=True, eq=False)
class AutogradResult:
    """What autograd gave for the tensor whose value is step ``node``; ``step`` is the opaque input for it;
    ``is_function`` where autograd can differentiate it further."""

    call: int
    tensor: torch.Tensor
    node: int
    step: int
    value: np.ndarray
    is_function: bool = False
