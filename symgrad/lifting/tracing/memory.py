"""Memory, as torch and NumPy have it: a buffer is one flat step and a version; a value is (buffer, index).

Views, in-place writes and ``transpose_`` then need nothing else: a view is another index into the same buffer, a
write replaces the buffer's step, and every view sees it because the version has moved on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symgrad.program.builder import Builder
from symgrad.program.program import Index, Shape, Strided, dense, positions, size

__all__ = ["Memory"]


@dataclass(eq=False, slots=True)
class Memory:
    """A buffer of ``total`` entries, filled by the step ``root`` whose entries lie at ``index``."""

    total: int
    root: int
    index: Index
    version: int = 0
    _flat: int | None = None

    @classmethod
    def holding(cls, builder: Builder, step: int) -> Memory:
        """A fresh buffer that holds one step's value, row by row."""
        shape = builder.shape(step)
        return cls(size(shape), step, Strided(0, dense(shape)))

    def read(self, b: Builder, index: Index, shape: Shape) -> int:
        """The step for the entries at ``index``."""
        if self._flat is None and shape == b.shape(self.root) and _same(index, self.index):
            return self.root
        if self._flat is None and self._whole(b):
            return b.pick([self.root], index, shape)
        return b.pick([self._flatten(b)], index, shape)

    def call(self, b: Builder, index: Index, shape: Shape, named: int) -> None:
        """The value that fills the buffer got a name: every view is one of what was named last."""
        if size(shape) == self.total and index == Strided(0, dense(shape)):
            self.root, self.index, self._flat = named, index, None

    def write(self, b: Builder, index: Index, shape: Shape, step: int) -> None:
        """Put a value's entries at ``index``."""
        where = positions(index, shape)
        if where.size == self.total and isinstance(index, Strided) and index == Strided(0, dense(shape)):
            self.root, self.index, self._flat = step, index, None
        else:
            source = np.arange(1, self.total + 1)
            source[where - 1] = np.arange(self.total + 1, self.total + 1 + where.size)
            self._flat = b.pick([self._flatten(b), step], source, (self.total,))
        self.version += 1

    def _whole(self, b: Builder) -> bool:
        shape = b.shape(self.root)
        return size(shape) == self.total and self.index == Strided(0, dense(shape))

    def _flatten(self, b: Builder) -> int:
        if self._flat is None:
            if self._whole(b):
                self._flat = b.reshape(self.root, (self.total,))
            else:
                back = np.zeros(self.total, dtype=np.int64)
                where = positions(self.index, b.shape(self.root))
                back[where - 1] = np.arange(1, where.size + 1)
                self._flat = b.pick([self.root], back, (self.total,))
        return self._flat


def _same(a: Index, b: Index) -> bool:
    return a == b if isinstance(a, Strided) and isinstance(b, Strided) else a is b
