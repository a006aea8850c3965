"""What a function with a backward of its own takes and returns, as single values: lists of tensors and ``*xs`` are
opened, and put together again as torch does it.

Autograd gives a gradient for each argument of ``apply``.  A custom operator's list of tensors is one argument with
a gradient for each of its tensors; in an ``autograd.Function`` only ``*xs`` has that, and a list is no more than data.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput, WrongShape


@dataclass(frozen=True)
class Signature:
    """Forward's parameters without ctx.

    ``keywords`` are those that are passed by name alone, ``spread`` is that of ``*xs``; ``lists`` has the names of
    the values in each that holds several: ``xs[0]``, ``xs[1]``.
    """

    parameters: tuple[str, ...]
    keywords: tuple[str, ...]
    defaults: Mapping[str, Any]
    spread: str | None = None
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, function: Callable[..., Any], skip: int, name: str) -> Signature:
        """Raises `BadInput` for ``**options``, which have no names."""
        found = list(inspect.signature(function).parameters.values())[skip:]
        for p in found:
            if p.kind is p.VAR_KEYWORD:
                raise BadInput(
                    f"{name}.forward takes **{p.name}, so that its arguments have no names.",
                    instead="Give forward's arguments names.",
                )
        defaults = {p.name: p.default for p in found if p.default is not p.empty}
        keywords = tuple(p.name for p in found if p.kind is p.KEYWORD_ONLY)
        spread = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), None)
        return cls(tuple(p.name for p in found), keywords, defaults, spread)

    @property
    def names(self) -> tuple[str, ...]:
        """The single values, in their order."""
        return tuple(n for p in self.parameters for n in self.leaves(p))

    def leaves(self, parameter: str) -> tuple[str, ...]:
        """The single values that a parameter holds."""
        return self.lists.get(parameter, (parameter,))

    def by_name(self, values: Sequence[Any]) -> dict[str, Any]:
        """Values in the order of the parameters, by parameter; those left over are in ``*xs``.

        Raises `BadInput` where there are too many.
        """
        single = [p for p in self.parameters if p not in (self.spread, *self.keywords)]
        if self.spread is None and len(values) > len(single):
            raise BadInput(f"at has {len(values)} values, and forward takes {len(single)}: {', '.join(single)}.")
        rest = {self.spread: list(values[len(single) :])} if self.spread is not None else {}
        return {**dict(zip(single, values, strict=False)), **rest}

    def opened(self, at: Mapping[str, Any], lists_too: bool) -> tuple[Signature, dict[str, Any]]:
        """This signature for the values of ``at``, and these as single ones; ``lists_too`` says that lists of tensors
        are opened and not only ``*xs``."""
        several = {
            p: v for p, v in at.items() if p == self.spread or (lists_too and p in self.parameters and _holds(v))
        }  # fmt: skip
        for p, v in several.items():
            if not isinstance(v, (list, tuple)):
                raise BadInput(
                    f"at[{p!r}] is a {type(v).__name__}.",
                    instead=f"Pass a list, for *{p} holds several: at={{{p!r}: [(3,), (4,)]}}.",
                )
        lists = {p: tuple(f"{p}[{k}]" for k in range(len(v))) for p, v in several.items()}
        if self.spread is not None:
            lists.setdefault(self.spread, ())
        flat: dict[str, Any] = {}
        for p, v in at.items():
            flat |= dict(zip(lists[p], v, strict=True)) if p in several else {p: v}
        return replace(self, lists=lists), flat

    def packed(self, value: Callable[[str], Any]) -> list[Any]:
        """What is passed in order, where ``value`` gives each single one."""
        out = []
        for p in self.parameters:
            if p == self.spread:
                out += [value(n) for n in self.leaves(p)]
            elif p not in self.keywords:
                out.append([value(n) for n in self.lists[p]] if p in self.lists else value(p))
        return out

    def passed(self, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What forward is called with: in order, and by name."""
        whole = lambda n: given[n] if n in given else self.defaults[n]  # noqa: E731
        return self.packed(whole), {p: whole(p) for p in self.keywords}

    def gradients(self, found: Any, name: str) -> dict[str, Any]:
        """What backward returned, by single value.

        Raises `WrongShape` where it is not one for each argument.
        """
        found = (
            list(found)
            if isinstance(found, tuple) or (isinstance(found, list) and set(self.lists) <= {self.spread})
            else [found]
        )
        slots = self.packed(lambda n: n)
        if len(found) < len(slots) or any(g is not None for g in found[len(slots) :]):
            raise WrongShape(
                f"{name}.backward returns {len(found)} gradients, and forward takes {len(slots)} arguments: "
                f"{', '.join(n for n in self.parameters if n not in self.keywords)}.",
                instead="Return one for each argument, in their order, and None for those that are no tensors.",
            )
        out: dict[str, Any] = {}
        for slot, g in zip(slots, found, strict=False):
            parts = [None] * len(slot) if g is None else g
            if not isinstance(slot, list):
                out[slot] = g
            elif isinstance(parts, (list, tuple)) and len(parts) == len(slot):
                out |= dict(zip(slot, parts, strict=True))
            else:
                what = f"{len(parts)}" if isinstance(parts, (list, tuple)) else f"a {type(parts).__name__}"
                raise WrongShape(
                    f"{name}.backward returns {what} for a list of {len(slot)} tensors: {', '.join(slot)}.",
                    instead="Return a list with a gradient, or None, for each of them.",
                )
        return out


def _holds(value: Any) -> bool:
    """Whether a value in ``at`` is a list of tensors, or of shapes that are to be drawn."""
    kinds = (torch.Tensor, np.ndarray, tuple)
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(x, kinds) for x in value)


@dataclass(frozen=True)
class Result:
    """A single value that forward returned: its own name, its cotangent's, and the value."""

    name: str
    cotangent: str
    value: Any


def results(found: Any, backward: Callable[..., Any] | None, lists: bool) -> list[Result | list[Result]]:
    """What forward returned, part by part as backward takes their cotangents; with ``lists``, a list of tensors is
    one part."""
    several = isinstance(found, tuple) or (isinstance(found, list) and not lists)
    parts = list(found) if several else [found]
    names = _parameters(backward, len(parts))
    out: list[Result | list[Result]] = []
    for k, (part, along) in enumerate(zip(parts, names, strict=True)):
        name = f"output[{k}]" if several else "output"
        if lists and isinstance(part, list) and all(isinstance(x, torch.Tensor) for x in part):
            out.append([Result(f"{name}[{j}]", f"{along}[{j}]", x) for j, x in enumerate(part)])
        else:
            out.append(Result(name, along, part))
    return out


def single(parts: Sequence[Result | list[Result]]) -> list[Result]:
    """The single values of all parts."""
    return [x for part in parts for x in (part if isinstance(part, list) else [part])]


def seeds(parts: Sequence[Result | list[Result]], seed: Callable[[Result], Any]) -> list[Any]:
    """What backward is called with, where ``seed`` gives the cotangent of each single value."""
    return [[seed(x) for x in part] if isinstance(part, list) else seed(part) for part in parts]


def _parameters(backward: Callable[..., Any] | None, count: int) -> list[str]:
    """What backward calls its cotangents."""
    if backward is None:
        return [f"cotangent {k + 1}" for k in range(count)]
    found = list(inspect.signature(backward).parameters.values())[1:]
    names = [p.name for p in found if p.kind is not p.VAR_POSITIONAL]
    rest = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), "grad_output")
    return (names + [f"{rest}[{k}]" for k in range(count - len(names))])[:count]
