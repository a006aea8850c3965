"""Trials of edits: an expression that is put in without compiling the code around it gives what Python gives for the
code as it would be written."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

from symgrad.diagnosis.source_code import Unit
from symgrad.diagnosis.trials import Place, Trials, outcome, places_of

CODE = """
w = 100.0
n = 3.0
def derivation(x, w, flip=True):
    k = 2.0
    def inner(v):
        return v * k
    y = inner(x) * w
    box = np.zeros(3)
    i = 1
    box[i - 1] = y
    for a in (1.0, 2.0):
        y = y + a
    if y > 5:
        y = y * 2
    return {"x": y + box[0], "w": x * k}
"""
WRITTEN = {
    "y": ["inner(x) * n", "x * w", "sum(w * a for a in (x, k))", "missing * 2", "(k := 5.0) * x", "x.shape", "x,"],
    "inner": ["v * w", "v * n", "v * x"],  # w is the function's around it, and no global
    "box": ["i", "0", "int(k)"],
    "a": ["(k, n)", "range(i + 1)", "[x * b for b in (1.0, w)]"],
    "if": ["y < 5", "True", "w > n"],
    "x": ["y", "y - box[0]", "y * w + box[0]  # and no more", "y + box[0] if n else x"],
}
POINTS = [{"x": 1.5, "w": 0.75}, {"x": -2.0, "w": 4.0}]


class Written:
    """The code as text, compiled anew for each text that is not the one before."""

    def __init__(self) -> None:
        self.compiled = 0
        self.units = (Unit(None, CODE, "<test>", 1, ast.parse(CODE)),)

    def plain(self, texts: Any, names: Any) -> Any:
        self.compiled += 1
        space = {"np": np, **names}
        exec(next(iter(texts.values()), CODE), space)
        return lambda point: space["derivation"](**point)


def _texts(place: Place) -> list[str]:
    function = "inner" if place.expression.text == "v * k" else place.name
    return WRITTEN.get(function, [])


def _as_written(place: Place, text: str) -> list[dict[str, Any]] | None:
    """What Python gives with the text in the place."""
    space = {"np": np}
    try:
        exec(place.with_text(text), space)
        return [space["derivation"](**point) for point in POINTS]  # type: ignore[operator]
    except Exception:
        return None


def test_what_is_put_in_gives_what_python_gives_for_the_whole_text():
    code = Written()
    asked = 0
    for place in places_of(code.units[0]):
        for text in _texts(place):
            there = _as_written(place, text)
            truths = there or [{"x": np.nan, "w": np.nan}] * 2
            wide = [{n: np.asarray(v, dtype=float) for n, v in truth.items()} for truth in truths]
            trials = Trials(code, None, POINTS, wide, POINTS, (), 100)  # type: ignore[arg-type]
            for _ in range(2):
                asked += 1
                assert outcome(trials, [(place, text)]) == (frozenset("xw") if there else frozenset()), (place, text)
            assert trials.runs == (4 if there else 2)
    assert asked > 40
    assert code.compiled < asked  # those that are put in twice are compiled once


@pytest.mark.parametrize(("text", "right"), [("x * 2", True), ("x * 3", False)])
def test_many_expressions_in_one_place_need_one_compilation(text, right):
    code = Written()
    (place,) = [p for p in places_of(code.units[0]) if p.name == "w" and p.role == "returned"]
    truths = [{"w": np.asarray(2.0 * p["x"])} for p in POINTS]
    trials = Trials(code, None, POINTS, truths, POINTS, (), 100)  # type: ignore[arg-type]
    for factor in range(4, 20):
        assert not outcome(trials, [(place, f"x * {factor}")])
    assert outcome(trials, [(place, text)]) == (frozenset("w") if right else frozenset())
    assert code.compiled == 1
