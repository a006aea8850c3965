"""Arguments as people write them, made plain: names for symbols, dense tensors on the CPU, shapes that can be drawn.

Whatever is none of these is refused here, before anything is run, with the argument's name and what to write instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.errors import BadInput

_LARGEST = 2**28  # entries that are drawn
_NAMED = (sp.Symbol, sp.MatrixSymbol, sp.IndexedBase)


def plain_names(wrt: Any) -> Any:
    """``wrt`` with names for symbols: None, one name, or a list of them; entries ``U[k, N]`` stay.

    >>> plain_names(sp.Symbol("x")), plain_names(("x", sp.Symbol("y")))
    ('x', ['x', 'y'])
    """
    if wrt is None or isinstance(wrt, (str, sp.Indexed)):
        return wrt
    if isinstance(wrt, _NAMED):
        return _name(wrt, "wrt")
    if isinstance(wrt, (list, tuple, set, frozenset)):
        several = wrt if isinstance(wrt, (list, tuple)) else sorted(wrt, key=str)
        return [x if isinstance(x, sp.Indexed) else _name(x, "wrt") for x in several]
    raise BadInput(f"wrt is {_shown(wrt)}.", instead="Pass the name of an input, or a list of names: wrt='x'.")


def plain_keys(given: Any, what: str) -> Any:
    """A mapping with names for symbols; anything else as it is.

    >>> plain_keys({sp.Symbol("x"): (0, 1)}, "domain")
    {'x': (0, 1)}
    """
    return {_name(k, what): v for k, v in given.items()} if isinstance(given, Mapping) else given


def plain_point(at: Any) -> dict[str, Any] | None:
    """``at`` with names for symbols, and tensors and shapes that can be read.

    Raises `BadInput` for what is no mapping, and for values of which no numbers can be had.
    """
    if at is None:
        return None
    if not isinstance(at, Mapping):
        raise BadInput(f"at is {_shown(at)}.", instead="Pass a mapping from inputs to values or shapes: at={'x': 0.5}.")
    named = plain_keys(at, "at")
    return {name: _value(name, value) for name, value in named.items()}


def _name(thing: Any, what: str) -> str:
    if isinstance(thing, str):
        return thing
    if isinstance(thing, _NAMED):
        return str(getattr(thing, "label", None) or getattr(thing, "name", thing))
    raise BadInput(f"{what} has {_shown(thing)} for a name.", instead="Write the input's name: 'x'.")


def _value(name: str, value: Any) -> Any:
    where = f"at[{name!r}]"
    if isinstance(value, torch.Tensor):
        if value.is_nested or value.layout is not torch.strided or value.device.type == "meta":
            kind = "nested" if value.is_nested else "on meta" if value.device.type == "meta" else "sparse"
            raise BadInput(
                f"{where} is a tensor that is {kind}.", instead="Pass a dense tensor that holds its numbers."
            )
        return value.resolve_conj().resolve_neg() if value.is_conj() or value.is_neg() else value
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype.itemsize > 8:
        return value.astype(np.float64)
    if isinstance(value, tuple):
        lengths = [n for n in value if isinstance(n, (int, np.integer)) and not isinstance(n, bool)]
        if any(n < 0 for n in lengths) or math.prod(map(int, lengths)) > _LARGEST:
            raise BadInput(
                f"{where} is {value!r}, which is no shape that can be drawn.", instead="Pass a shape: (3, 4)."
            )
    if isinstance(value, (list, int, float, complex)) and not isinstance(value, bool):
        try:
            np.asarray(value, dtype=np.complex128)
        except (TypeError, ValueError, OverflowError):
            raise BadInput(
                f"{where} is {_shown(value)}, which is no array of numbers.",
                instead="Pass a number, an array, a tensor, or a shape such as (3, 4).",
            ) from None
    return value


def _shown(thing: Any) -> str:
    text = repr(thing) if isinstance(thing, (int, float, complex, str, bytes, list, tuple, dict, sp.Basic)) else ""
    kind = type(thing).__name__
    return text if 0 < len(text) <= 40 else f"{'an' if kind[:1].lower() in 'aeio' else 'a'} {kind}"
