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
from symgrad.errors import UserCodeFailed


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
        np.zeros(1, [("a", float)]),
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


HERE = torch.tensor([0.5, -1.25], dtype=torch.float64)


def asserted(x):
    assert x.detach()[0] == 0.5
    return (x * x).sum()


def asserted_at_all(x):
    assert (x.detach() == HERE).all()
    return (x * x).sum()


def asserted_within(x):
    assert abs(float(x.detach()[0]) - 0.5) < 1e-12
    return (x * x).sum()


def raised(x):
    if x.tolist() != [0.5, -1.25]:
        raise ValueError("only at its own point")
    return (x * x).sum()


@pytest.mark.slow
@pytest.mark.parametrize("square", [asserted, asserted_at_all, asserted_within, raised], ids=lambda f: f.__name__)
def test_code_that_asserts_its_own_point_is_judged_there(square):
    """At every other point it raises; what was read at its own is the same formula."""
    at = {"x": HERE}
    assert symgrad.verify(square, lambda x: 2 * x, at=at).ok
    wrong = symgrad.verify(square, lambda x: 2 * x + torch.tensor([1.0, 0.0]), at=at)
    assert wrong.verdict == "refuted"
    assert wrong.claims["x"].witness.at_own_point
    also_right_here = symgrad.verify(square, lambda x: 2 * x + (x[0] - 0.5), at=at)
    assert also_right_here.verdict != "refuted"


@pytest.mark.slow
def test_a_value_on_an_edge_is_no_slope_where_the_model_goes_on_beside_it():
    """sin has the slope 1 at 0, whatever its code does there; a hand formula that raises elsewhere does not change it.
    A kink has all slopes between those on its sides."""

    def by_cases(x):
        return 0 * x if x == 0 else torch.sin(x)

    def hand(x):
        assert x == 0
        return torch.ones_like(x)

    def kink(x):
        assert x == 0
        return x.abs()

    at = {"x": torch.tensor(0.0, dtype=torch.float64)}
    assert symgrad.verify(by_cases, hand, at=at).verdict != "refuted"
    assert symgrad.verify(kink, lambda x: torch.ones_like(x), at=at).verdict != "refuted"


NO_NUMBERS = {
    "a masked tensor": lambda: torch.masked.masked_tensor(torch.ones(2), torch.tensor([True, False])),
    "a masked array": lambda: np.ma.array([1.0, 2.0], mask=[False, True]),
    "records": lambda: np.array([(1.0, 2.0)], dtype=[("a", "f8"), ("b", "f8")]),
    "a quantized tensor": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
}


@pytest.mark.parametrize("values", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_holds_no_plain_numbers_is_refused(values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, that masked tensors are new
        with pytest.raises(symgrad.SymgradError):
            symgrad.verify(lambda x: (x * x).sum(), lambda x: 2 * x, at={"x": values()})


def test_a_function_that_leaves_does_not_end_the_caller():
    def leaves(x):
        raise SystemExit(3)

    with pytest.raises(UserCodeFailed, match="your function raised SystemExit: 3"):
        symgrad.verify(leaves, lambda x: 1.0, at={"x": 0.5})
