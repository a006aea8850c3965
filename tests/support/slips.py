"""Slips that are planted in right code, and the judgement of what is written instead of them: by the right code, run in
float64 at points that no search saw.
"""

from __future__ import annotations

import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

Function = Callable[..., Any]


def slip(right: Function, *changes: str) -> Function:
    """The right code with pieces of it changed (old, new, old, new ...), as a function whose text can be found."""
    text = textwrap.dedent(inspect.getsource(right))
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file = f"<slip {len(linecache.cache)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope = dict(right.__globals__)
    exec(compile(text, file, "exec"), scope)
    return scope[right.__name__]


def made_of(source: str, beside: Function, name: str | None = None) -> Function:
    """The function of a repaired source, among the globals of another."""
    scope = dict(beside.__globals__)
    exec(source, scope)
    return scope[name or beside.__name__]


def moved(at: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A point near another: all floats of it are moved."""
    rng = np.random.default_rng((11, seed))
    out = {}
    for n, v in at.items():
        a = np.asarray(v)
        noise = 1 + 0.2 * rng.uniform(size=a.shape)
        whole = a.dtype.kind not in "fc"
        out[n] = v if whole else v * torch.as_tensor(noise) if isinstance(v, torch.Tensor) else v * noise
    return out


def agree(one: Function, other: Function, at: Mapping[str, Any]) -> bool:
    """Whether two functions return the same at several points."""
    for seed in range(3):
        point = moved(at, seed)
        a, b = (list(_arrays(f(**point))) for f in (one, other))
        if len(a) != len(b) or not all(np.allclose(x, y, rtol=1e-9, atol=1e-12) for x, y in zip(a, b, strict=True)):
            return False
    return True


def _arrays(found: Any) -> Iterator[np.ndarray]:
    parts = [found[k] for k in sorted(found)] if isinstance(found, dict) else found
    for part in parts if isinstance(parts, (list, tuple)) else [parts]:
        yield np.asarray(part.detach() if isinstance(part, torch.Tensor) else part)
