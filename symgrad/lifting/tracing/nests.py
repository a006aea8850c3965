"""Arguments that hold several arrays (mappings, lists, named tuples of parameters), as single inputs under the names
that the code has for them: opened, and put together again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from symgrad.errors import BadInput

Nest: TypeAlias = str | Mapping[Any, Any] | Sequence[Any]
"""The shape of such an argument: its own mappings and lists, with the names of inputs in the place of values."""


def open_nests(at: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Nest]]:
    """Values by the names of single inputs, and a nest for each argument that holds several.

    >>> open_nests({"p": {"W": (3, 2), "b": [0.5, 1.5]}, "x": 0.5})
    ({"p['W']": (3, 2), "p['b']": [0.5, 1.5], 'x': 0.5}, {'p': {'W': "p['W']", 'b': "p['b']"}})
    """
    flat: dict[str, Any] = {}

    def named(value: Any, name: str) -> Nest:
        if not is_nest(value):
            flat[name] = value
            return name
        return _rebuilt(value, [named(part, name + key) for key, part in _children(value)])

    made = {name: named(value, name) for name, value in at.items()}
    return flat, {name: nest for name, nest in made.items() if nest != name}


def leaves(nest: Nest) -> Iterator[str]:
    """The names of the inputs in a nest, in their order."""
    if isinstance(nest, str):
        yield nest
        return
    for _, part in _children(nest):
        yield from leaves(part)


def spread(names: Sequence[str], nests: Mapping[str, Nest]) -> list[str]:
    """Names with those of its inputs for each argument that holds several."""
    return [leaf for name in names for leaf in (leaves(nests[name]) if name in nests else [name])]


def assembled(values: Mapping[str, Any], nests: Mapping[str, Nest]) -> dict[str, Any]:
    """Arguments by name, made of the values of single inputs."""

    def made(nest: Nest) -> Any:
        return values[nest] if isinstance(nest, str) else _rebuilt(nest, [made(part) for _, part in _children(nest)])

    held = {n: nest for n, nest in nests.items() if all(leaf in values for leaf in leaves(nest))}
    inside = {leaf for nest in held.values() for leaf in leaves(nest)}
    return {**{n: v for n, v in values.items() if n not in inside}, **{n: made(nest) for n, nest in held.items()}}


def gradients_by_input(found: Any, nests: Mapping[str, Nest]) -> Any:
    """What a hand formula gives, by the names of single inputs where it is built as the arguments are.

    A mapping from arguments, what is built as one of them is (``{"W": ..., "b": ...}``), or a tuple of such; anything
    else stays.  Raises `BadInput` where two arguments are built in the same way.

    >>> nests = open_nests({"p": {"W": (3, 2), "b": (2,)}, "x": (3,)})[1]
    >>> gradients_by_input({"b": 1, "W": 2}, nests), gradients_by_input(({"b": 1, "W": 2}, 3), nests)
    ({"p['W']": 2, "p['b']": 1}, (2, 1, 3))
    """
    if not nests or isinstance(found, str):
        return found
    if isinstance(found, Mapping) and any(k in nests for k in found):
        out: dict[Any, Any] = {}
        for k, v in found.items():
            out |= _fitted(v, nests[k], whole=False) or {k: v} if k in nests else {k: v}
        return out
    own = _only_fit(found, nests, whole=False)
    if own is not None:
        return own
    if isinstance(found, tuple):
        several = [_only_fit(part, nests, whole=True) or {"": part} for part in found]
        return tuple(v for part in several for v in part.values())
    return found


def _only_fit(found: Any, nests: Mapping[str, Nest], whole: bool) -> dict[str, Any] | None:
    fits = {n: fitted for n, nest in nests.items() if (fitted := _fitted(found, nest, whole))}
    if len(fits) > 1:
        raise BadInput(
            f"the hand formula gives one set of gradients, and {' and '.join(fits)} are both built like it.",
            instead=f"Say which is meant: return {{{next(iter(fits))!r}: ...}}.",
        )
    return next(iter(fits.values()), None)


def _fitted(found: Any, nest: Nest, whole: bool) -> dict[str, Any] | None:
    """The parts of a value by the names in a nest; None where it is built otherwise, or lacks some of a ``whole``."""
    if isinstance(nest, str):
        return None if isinstance(found, Mapping) else {nest: found}
    mine, theirs = dict(_children(nest)), dict(_children(found))
    if not theirs or not theirs.keys() <= mine.keys() or (len(theirs) < len(mine) and (whole or "[0]" in mine)):
        return None
    out: dict[str, Any] = {}
    for key in (k for k in mine if k in theirs):
        part = _fitted(theirs[key], mine[key], whole)
        if part is None:
            return None
        out |= part
    return out


# ------------------------------------------------------------------------------------------------ what holds several


def is_nest(value: Any) -> bool:
    """Whether a value holds several arrays: a mapping, or a list with an array or such a value in it."""
    if isinstance(value, (list, tuple)):
        return any(isinstance(x, (torch.Tensor, np.ndarray)) or is_nest(x) for x in value)
    return isinstance(value, Mapping)


def _children(value: Any) -> list[tuple[str, Any]]:
    """The parts of a container, each with what leads to it in code."""
    match value:
        case Mapping():
            return [(f"[{k!r}]", v) for k, v in value.items()]
        case tuple() if hasattr(value, "_fields"):
            return [(f".{field}", v) for field, v in zip(getattr(value, "_fields"), value, strict=True)]  # noqa: B009
        case list() | tuple():
            return [(f"[{k}]", v) for k, v in enumerate(value)]
    return []


def _rebuilt(like: Any, parts: Sequence[Any]) -> Any:
    """The same container with other parts; a mapping's own class is kept where it is a dict's."""
    if isinstance(like, Mapping):
        made = copy.copy(like) if isinstance(like, dict) else {}
        made.update(zip(like, parts, strict=True))
        return made
    make: Callable[..., Any] = type(like)
    return make(*parts) if hasattr(like, "_fields") else make(parts)
