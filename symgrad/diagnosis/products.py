"""Products of two arrays in scope, matrix products and known Jacobians among them: what a line lacks, or should be."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symgrad.diagnosis.bench import Bench, Edit, as_array, same, uses_tensors
from symgrad.diagnosis.candidates import Atom, wrapped
from symgrad.diagnosis.expression_text import after_sign, factor

__all__ = ["array_pairs"]

_PRODUCTS: tuple[tuple[str, float, Callable[[np.ndarray, np.ndarray], Any]], ...] = (
    ("{a} * {b}", 0.0, lambda a, b: a * b),
    ("{a} @ {b}", 0.1, lambda a, b: a @ b),
    ("{a}.T @ {b}", 0.2, lambda a, b: a.T @ b),
    ("{a} @ {b}.T", 0.2, lambda a, b: a @ b.T),
    ("{b} @ {a}", 0.1, lambda a, b: b @ a),
    ("{b}.T @ {a}", 0.2, lambda a, b: b.T @ a),
    ("{b} @ {a}.T", 0.2, lambda a, b: b @ a.T),
    ("({a} * {b}).sum({0})", 0.4, lambda a, b: (a * b).sum(0)),
    ("({a} * {b}).sum({1})", 0.4, lambda a, b: (a * b).sum(1)),
    ("({a} * {b}).sum()", 0.4, lambda a, b: (a * b).sum()),
    ("{a} * ({b} - ({b} * {a}).sum())", 0.6, lambda a, b: a * (b - (b * a).sum())),
    ("{b} * ({a} - ({a} * {b}).sum())", 0.6, lambda a, b: b * (a - (a * b).sum())),
    ("{a} * ({b} - ({b} * {a}).sum({k1}))", 0.7, lambda a, b: a * (b - (b * a).sum(-1, keepdims=True))),
    ("{b} * ({a} - ({a} * {b}).sum({k1}))", 0.7, lambda a, b: b * (a - (a * b).sum(-1, keepdims=True))),
)


def array_pairs(bench: Bench, line: str, size: int, h: Any, names: Sequence[Atom]) -> Iterator[Edit]:
    """A product of two names that is missing from the line, or that the line should be; a mask of a clipped value."""
    tensors = uses_tensors(bench)
    axes = {"0": "0", "1": "1", "k1": "-1, keepdim=True"} if tensors else {}
    axes = axes or {"0": "axis=0", "1": "axis=1", "k1": "axis=-1, keepdims=True"}
    goal = bench.wanted[0]
    here = as_array(h[0])
    with np.errstate(all="ignore"):
        rests: list[tuple[str, str, Any]] = [("replace", "", goal)]
        if here.shape == goal.shape or not here.ndim:
            rests += [("term", "+", goal - here), ("term", "-", here - goal)]
            ratio = goal / here
            if np.isfinite(ratio).all():
                rests.append(("factor", "*", ratio))
        for a, b in itertools.combinations_with_replacement(names, 2):
            x, y = as_array(a.value[0]), as_array(b.value[0])
            for form, extra, f in _PRODUCTS:
                bench.count += 1
                try:
                    value = np.asarray(f(x, y))
                except Exception:
                    continue
                for kind, sign, rest in rests:
                    if value.shape != rest.shape or not same(value, rest):
                        continue
                    pair = form.format(*(axes["0"], axes["1"]), a=wrapped(a.text), b=wrapped(b.text), k1=axes["k1"])
                    if kind == "replace":
                        new = pair
                    elif kind == "term":
                        new = f"{line} {sign} {after_sign(pair, sign)}"
                    else:
                        new = f"{factor(line)} * {wrapped(pair)}"
                    if bench.fits(new):
                        extra_cost = {"replace": 0.12 * size, "term": 0.8, "factor": 0.6}[kind]
                        known = "softmax" if ".sum(" in form and "-" in form and kind == "replace" else kind
                        yield Edit(new, line, new, known, a.cost + b.cost + extra + extra_cost, "product")
