"""What may be declared about the leaves of a formula: facts that a proof may use, and must then name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Fact", "Positive", "SumsTo", "Symmetric"]


@dataclass(frozen=True, slots=True)
class SumsTo:
    """The entries of ``name`` along ``axis`` sum to ``value`` (a number), wherever the other indices stand."""

    name: str
    axis: int = 0
    value: Any = 1
    rank: int = 1

    def __str__(self) -> str:
        what = {(1, 0): "entries", (2, 0): "columns", (2, 1): "rows"}.get((self.rank, self.axis))
        number = "one" if self.value == 1 else str(self.value)
        if what == "entries":
            return f"the entries of {self.name} sum to {number}"
        if what:
            return f"the {what} of {self.name} sum to {number}"
        return f"{self.name} sums to {number} along axis {self.axis}"


@dataclass(frozen=True, slots=True)
class Symmetric:
    """The matrix ``name`` equals its transpose."""

    name: str

    def __str__(self) -> str:
        return f"{self.name} is symmetric"


@dataclass(frozen=True, slots=True)
class Positive:
    """Every entry of ``name`` (or the scalar ``name``) is greater than zero."""

    name: str

    def __str__(self) -> str:
        return f"{self.name} is positive"


Fact = SumsTo | Symmetric | Positive
