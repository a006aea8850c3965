"""Memory: random views and writes of NumPy arrays, followed exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.lifting.tracing.functions import Function
from symgrad.lifting.tracing.traced_values import Memory
from symgrad.program.builder import Builder
from symgrad.program.program import Strided, interpret

VIEWS = (
    "row",
    "column",
    "transpose",
    "reverse",
    "every other",
    "reshape",
    "flat",
    "diagonal",
    "inner",
    "copy",
    "fancy",
)


def view(x: Any, kind: str) -> Any:
    if not x.shape:
        return x
    match kind:
        case "row":
            return x[0] if x.ndim > 1 else x
        case "column":
            return x[..., -1] if x.ndim > 1 else x
        case "transpose":
            return x.T
        case "reverse":
            return x[::-1]
        case "every other":
            return x[..., ::2]
        case "reshape":
            return x.reshape(x.shape[::-1])
        case "flat":
            return x.reshape(-1)
        case "diagonal":
            return x[: min(x.shape)].T[: min(x.shape)] if x.ndim == 2 else x
        case "inner":
            return x[1:] if x.shape[0] > 1 else x
        case "copy":
            return x.copy()
    return x[[0, -1, 0]]


ACTIONS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(VIEWS), st.sampled_from(("keep", "set", "add", "scale", "from"))),
    min_size=1,
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=60)
@given(ACTIONS)
def test_views_and_writes(actions: list[tuple[int, str, str]]) -> None:
    def code(x, y):
        arrays = [x * 1.0, y * 1.0]
        for which, kind, act in actions:
            target = view(arrays[which % len(arrays)], kind)
            arrays.append(target)
            if act == "set":
                target[...] = 7.0
            elif act == "add":
                target += 1.5
            elif act == "scale":
                target *= y[0, 0]
            elif act == "from":
                target[...] = target[..., ::-1] * 2
        return {str(k): a for k, a in enumerate(arrays)}

    first = {"x": np.arange(12.0).reshape(3, 4), "y": np.arange(1.0, 10.0).reshape(3, 3)}
    run = Function.of(code, like="numpy").run(first)
    for point in (first, {"x": np.cos(first["x"]), "y": np.sin(first["y"])}):
        values = interpret(run.program, Floats(), {n: torch.tensor(v) for n, v in point.items()})
        for name, want in Function.of(code, like="numpy").plain(point).items():
            assert np.array_equal(to_numpy(values[run.program.outputs[name]]), want), name


def test_a_write_is_seen_through_every_view() -> None:
    b = Builder()
    memory = Memory.holding(b, b.input("x", (2, 2)))
    column = Strided(1, (2,))
    before = memory.read(b, column, (2,))
    memory.write(b, Strided(0, (1,)), (2,), b.input("y", (2,)))
    after = memory.read(b, column, (2,))
    values = interpret(
        b.build({"before": before, "after": after}),
        Floats(),
        {"x": torch.arange(4.0), "y": torch.tensor([9.0, 8.0])} | {"x": torch.arange(4.0).reshape(2, 2)},
    )
    assert values[before].tolist() == [1, 3]
    assert values[after].tolist() == [8, 3]
    assert memory.version == 1


def test_a_write_of_the_whole_forgets_what_was_there() -> None:
    b = Builder()
    memory = Memory.holding(b, b.input("x", (2, 2)))
    y = b.input("y", (2, 2))
    memory.write(b, Strided(0, (2, 1)), (2, 2), y)
    assert memory.read(b, Strided(0, (2, 1)), (2, 2)) == y
