"""Bodies of index notation at given sizes and values, as the floats that are nearest to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symgrad.indices import evaluators
from symgrad.indices.terms import Array
from symgrad.ops.row import precision


def evaluate(body: Any, values: Mapping[str, Any], at: Mapping[Any, int]) -> float:
    with precision(200):
        return float(evaluators.evaluate(body, values, at))


def evaluate_all(array: Array, values: Mapping[str, Any], at: Mapping[Any, int]) -> Any:
    def floats(x: Any) -> Any:
        return [floats(part) for part in x] if isinstance(x, list) else float(x)

    with precision(200):
        return floats(evaluators.evaluate_all(array, values, at))
