"""What ``.grad`` of a tensor holds: the gradient of all that was differentiated since it was last cleared.

``backward()`` adds to it, for the tensors that it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from symgrad.lifting.scripts.script_record import AutogradCall
from symgrad.program.builder import Builder


def inputs_of(args: Sequence[Any], kwargs: dict[str, Any], place: int) -> set[int] | None:
    """The tensors that a call of ``backward`` is for, by id; None where it is for all."""
    given = args[place] if len(args) > place else kwargs.get("inputs")
    return None if given is None else {id(x) for x in ([given] if isinstance(given, torch.Tensor) else given)}


class Accumulated:
    """Of each tensor, the calls that its ``.grad`` is the sum of, while nobody else writes to it."""

    def __init__(self) -> None:
        self._held: dict[int, torch.Tensor] = {}
        self._terms: dict[int, tuple[int, ...]] = {}
        self._sums: dict[tuple[int, ...], int] = {}

    def forget(self, tensors: Iterable[torch.Tensor]) -> None:
        """Forget, before a call, what was cleared, or is otherwise than the last call has left it."""
        for x in tensors:
            if (held := self._held.get(id(x))) is not None and (x.grad is None or not torch.equal(held, x.grad)):
                del self._held[id(x)]
                self._terms.pop(id(x), None)

    def note(self, b: Builder, calls: list[AutogradCall], tensors: Sequence[torch.Tensor]) -> None:
        """Note what the last call has left, and add to ``calls`` the ones that would give what several gave together:
        of the sums of different outputs at the same inputs."""
        for x in tensors:
            before = self._held.get(id(x))
            if x.grad is not None and (before is None or not torch.equal(before, x.grad)):
                self._terms[id(x)] = (*self._terms.get(id(x), ()), len(calls) - 1)
                self._held[id(x)] = x.grad.clone()
        for terms in dict.fromkeys(self._terms[id(x)] for x in tensors if len(self._terms.get(id(x), ())) > 1):
            parts = [calls[k] for k in terms]
            nodes = {i: n for i, n in parts[-1].nodes.items() if all(p.nodes.get(i) == n for p in parts)}
            mine = {id(x) for x in tensors if self._terms.get(id(x)) == terms}
            if terms in self._sums or not mine <= {*nodes} or len({float(p.value) for p in parts}) < len(parts):
                continue
            output = functools.reduce(b.add, (p.output for p in parts))
            names = list(dict.fromkeys(p.name or f"the output of line {p.line}" for p in parts))
            name = " + ".join(names) if len(names) == len(parts) else f"the sum of {' and '.join(names)}"
            value, given = sum(p.value for p in parts), any(p.upstream for p in parts)
            self._sums[terms] = len(calls)
            calls.append(replace(parts[-1], output=output, name=name, nodes=nodes, value=value, upstream=given))

    def call_of(self, x: torch.Tensor) -> int:
        """The call that gives what ``.grad`` holds: the last one for it, or that of a sum."""
        terms = self._terms.get(id(x), (-1,))
        return self._sums.get(terms, terms[-1])
