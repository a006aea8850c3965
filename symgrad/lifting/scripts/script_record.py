"""What a run of a script leaves behind beside its steps: the values that got a name, leaves, and autograd's calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

Key = tuple[str, int, int]  # a variable, the line that bound it, and how often it had before; -1 for the last time


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

    @property
    def path(self) -> str:
        return self.key[0]


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
    """What autograd gave for the tensor whose value is step ``node``; ``step`` is the opaque input for it."""

    call: int
    tensor: torch.Tensor
    node: int
    step: int
    value: np.ndarray
