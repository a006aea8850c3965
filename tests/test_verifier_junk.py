"""Every door is a door: junk in place of any argument of a public function is answered, or refused in our own words."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symgrad


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return 2 * g * ctx.saved_tensors[0]


DOORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "verify": (symgrad.verify, {"formula": "x**2", "hand": "2*x", "wrt": "x", "at": {"x": 1.5}, "domain": None,
               "assuming": None, "meanings": None, "dtype": None, "points": 4, "effort": 0.1, "seed": 0, "order": 1}),
    "verify_function": (symgrad.verify_function, {"function": Square, "at": {"x": (2,)}, "wrt": "x", "order": 1,
                        "domain": None, "assuming": None, "dtype": None, "points": 4, "effort": 0.1, "seed": 0}),
    "gradient": (symgrad.gradient, {"formula": "x**2", "wrt": "x", "at": {"x": 1.5}}),
    "compare": (symgrad.compare, {"a": "x**2", "b": "x*x", "at": {"x": 1.5}, "domain": None}),
    "lift": (symgrad.lift, {"thing": "x**2", "at": {"x": 1.5}}),
    "verify_script": (symgrad.verify_script, {"source": "x = 1"}),
}  # fmt: skip
ARGUMENTS = [(door, name) for door, (_, options) in DOORS.items() for name in options]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(), st.complex_numbers(), st.text(max_size=8),
    st.binary(max_size=4),
    st.sampled_from([
        object(), sp.Symbol("x"), sp.oo, np.float16(1), np.array("junk"), np.zeros((0, 3)), np.array([None]),
        torch.tensor([1.5], dtype=torch.bfloat16), torch.zeros(0), torch.eye(2).to_sparse(), len, int, ..., range(3),
        torch.tensor([True]), np.array([1 + 2j]), torch.nn.Linear(2, 2), Square, float("nan"),
    ]),
)  # fmt: skip
JUNK = st.one_of(
    LEAVES, st.lists(LEAVES, max_size=3), st.dictionaries(st.text(max_size=3), LEAVES, max_size=2),
    st.fixed_dictionaries({"x": LEAVES}), st.tuples(LEAVES, LEAVES),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("door", "name"), ARGUMENTS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(junk=JUNK)
def test_junk_is_refused_in_our_own_words(door, name, junk):
    function, options = DOORS[door]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(symgrad.SymgradError):  # any other exception is raw
            function(**{**options, name: junk})
