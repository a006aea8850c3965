"""Where digits go: an error taken apart line by line, and the step at which an overflow or a cancellation starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact_runs import BITS, check, exact

from symgrad import lift, verify
from symgrad.evaluation.balls import binary
from symgrad.evaluation.floats import Floats
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.program import Program, Source, interpret
from symgrad.rounding.accuracy import condition, distance, is_unstable, rounding, sensitivity
from symgrad.rounding.attribution import find_lost_digits, line_errors


def two_layers(x, w):
    z = w * x
    h = torch.tanh(z)
    k = torch.sin(h * 3) + x
    return k * h


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
def test_the_shares_add_up_to_the_error_against_float64(x, w, dtype):
    """The total is the distance to the float64 run, and to first order it is the sum of the lines."""
    at = {"x": torch.tensor(x).to(dtype), "w": torch.tensor(w).to(dtype)}
    found = line_errors(lift(two_layers, at=at), at, lift(two_layers, at=at).output, 0)
    assert found is not None
    value, wide = two_layers(**at).double(), two_layers(**{n: t.double() for n, t in at.items()})
    ulp = 2.0 ** (math.frexp(max(abs(wide.item()), torch.finfo(dtype).tiny))[1]) * torch.finfo(dtype).eps / 2
    assert found.total == pytest.approx((value - wide).item() / ulp, rel=1e-3, abs=1e-3)
    assert abs(sum(line.share for line in found.lines) + found.rest - found.total) < 1e-9 * (1 + abs(found.total))
    if abs(wide) > 0.1:
        assert abs(found.rest) < 0.2 + 0.1 * abs(found.total)


def test_the_line_that_rounds_coarsely_has_the_share():
    """Planted: one line rounds to float16; nearly the whole error is its own."""

    def coarse(x):
        a = x * 3
        b = a.half().float()
        return b * b

    at = {"x": torch.tensor(0.7)}
    program = lift(coarse, at=at)
    found = line_errors(program, at, program.output, 0)
    assert found is not None
    first = found.largest[0]
    assert first.source.text == "b = a.half().float()"
    assert first.share == pytest.approx(found.total, rel=0.01)
    assert abs(found.rest) < 1e-3 * abs(found.total)


def test_what_detach_hides_rounds_all_the_same():
    at = {"x": torch.tensor(0.3)}
    plain, cut = (lift(f, at=at) for f in (lambda x: torch.exp(x) * x, lambda x: torch.exp(x).detach() * x))
    one, two = (line_errors(p, at, p.output, 0) for p in (plain, cut))
    assert one is not None
    assert two is not None
    assert [line.share for line in one.lines] == [line.share for line in two.lines]


def test_numpy_has_kernels_of_its_own():
    """NumPy's float32 exp is not torch's: its own is run again, so that nothing is left over."""
    x = np.linspace(-3, 3, 50, dtype=np.float32)
    values = np.exp(x) * x
    at = {"x": torch.tensor(x)}
    program = lift(lambda x: np.exp(x) * x, at={"x": x})
    for k in range(0, 50, 7):
        found = line_errors(program, at, program.output, k, value=float(values[k]))
        assert found is not None
        assert abs(found.rest) < 1e-3


def test_one_line_of_code_is_told_operation_by_operation():
    program = lift("x*(1 - tanh(w*x)**2)", at={"x": 1.0, "w": 3.0})
    at = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", 1.0), ("w", 3.0))}
    found = line_errors(program, at, program.output, 0)
    assert found is not None
    assert "tanh(w*x)" in [line.source.text for line in found.lines]


def test_no_first_order_where_a_value_is_not_finite():
    at = {"x": torch.tensor(100.0)}
    program = lift(lambda x: 1 / torch.exp(x), at=at)
    assert line_errors(program, at, program.output, 0) is None


# ------------------------------------------------------------------------------------------------ where digits end


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_where_overflow_starts_and_where_it_becomes_not_a_number(dtype):
    def share(x):
        e = torch.exp(x)
        return e / (1 + e)

    at = {"x": torch.tensor(800.0, dtype=dtype)}
    program = lift(share, at={"x": torch.tensor(1.0, dtype=dtype)})
    loss = find_lost_digits(program, at, program.output)
    assert loss is not None
    assert (loss.how, loss.value) == ("overflow", math.inf)
    assert loss.source is not None
    assert loss.source.text == "e = torch.exp(x)"
    assert loss.turned_source is not None
    assert loss.turned_source.text == "return e / (1 + e)"


def test_where_underflow_starts():
    def scaled(x):
        small = x * x
        return small * 1e30

    at = {"x": torch.tensor(1e-25)}
    program = lift(scaled, at=at)
    loss = find_lost_digits(program, at, program.output)
    assert loss is not None
    assert (loss.how, loss.value) == ("underflow", 0.0)
    assert loss.exact == pytest.approx(1e-50, rel=1e-6)
    assert loss.source is not None
    assert loss.source.text == "small = x * x"
    assert loss.turned is None  # it is zero from there on


# ------------------------------------------------------------------------------------------------ what can be attained


def test_what_inputs_allow():
    """d(x^2) moves by 2 x half an ulp of x: for x = 1.5 in float32, 3 * 2^-24 where 2.25 has gaps of 2^-22."""
    b = Builder()
    x = b.input("x", (2,), "float32")
    program = b.build({"y": b.mul(x, x)})
    at = {"x": torch.tensor([1.5, 1.0])}
    assert sensitivity(program, at, program.output, 0, "float32") == 0.75
    assert sensitivity(program, at, program.output, 1, "float32") == 1.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_normal_number_flushed_to_zero_is_unstable_and_a_subnormal_one_is_not(dtype):
    kind = getattr(torch, dtype)
    tiny, least = torch.finfo(kind).tiny, torch.finfo(kind).smallest_normal * torch.finfo(kind).eps
    truth = torch.tensor([4 * tiny, 1.2 * least], dtype=torch.float64)
    assert is_unstable(truth, truth, dtype, truth >= tiny).tolist() == [True, False]
    with precision(200):
        side = rounding(torch.zeros(2, dtype=kind), binary(truth.numpy())).hand
    assert side.broken == (((0,), "zero"),)
    assert side.lost == ()


def test_infinity_for_a_truth_that_no_float_holds_is_no_fault():
    with precision(200):
        r = rounding(torch.tensor([math.inf, 1.0]), binary(np.array([1e50, 1.0])))
    assert (r.hand.beyond, r.hand.broken, r.hand.largest) == (((0,),), (), 0.0)


@pytest.mark.parametrize(
    ("hand", "autograd", "sentence"),
    [
        ([math.nan, 1.0], None, "yours is not a number in entry [0], where the truth is an ordinary number; elsewhere "
         "yours is exact"),
        ([math.nan, 1.0], [math.nan, 1.0], "yours and autograd are both not a number in entry [0], where the truth "
         "is an ordinary number; elsewhere yours is exact"),
        ([math.inf, 0.0], [3.0, 1.0], "yours is infinite in entry [0] and zero in entry [1], where the truth is an "
         "ordinary number; autograd keeps its digits"),
        ([3.0, 1.0], [0.0, 0.0], "autograd is zero in all 2 entries, where the truth is an ordinary number; yours "
         "keeps its digits"),
    ],
)  # fmt: skip
def test_values_that_are_no_ordinary_numbers_are_called_what_they_are(hand, autograd, sentence):
    with precision(200):
        other = None if autograd is None else torch.tensor(autograd)
        assert rounding(torch.tensor(hand), binary(np.array([3.0, 1.0])), autograd=other).sentence == sentence


# ------------------------------------------------------------------------------------------------ what is said


def told(*args, **more) -> str:
    return " ".join(str(verify(*args, **more)).split())


def test_a_subnormal_truth_is_no_instability():
    report = verify(
        lambda x: torch.exp(-x * x).sum(), lambda x: -2 * x * torch.exp(-x * x), at={"x": torch.tensor([10.3])}
    )
    assert report.ok
    assert report.instabilities == ()


def test_an_overflow_is_told_with_its_lines_and_autograd_once():
    def slope(x):
        e = torch.exp(x)
        return e / e.sum()

    text = told(lambda x: torch.log(torch.exp(x).sum()), slope, at={"x": torch.tensor([100.0, 1.0])})
    assert "yours and autograd are both not a number in entry [0], where the truth is an ordinary number" in text
    assert "it and autograd both give not a number in float32, exact is 1." in text
    assert "Here it overflows: exactly this is 2.68812e43, and the largest float32 is 3.40282e38." in text
    assert "And here it becomes not a number:" in text
    assert text.count("overflows") == 1
    assert "infinitely" not in text


def test_what_the_inputs_do_not_determine_is_told():
    def variance(x):
        return (x * x).mean() - x.mean() * x.mean()

    at = {"x": torch.tensor([10000.1, 10000.2, 10000.3])}
    report = verify(variance, lambda x: 2 * (x - x.mean()) / x.numel(), at=at)
    rounded = report.claims["x"].rounding
    assert rounded is not None
    assert rounded.sensitivity is not None
    moved = 10000.1 * 2**-24 * 2 / 3  # half a gap of one input moves its own entry by about this
    assert rounded.sensitivity * 2**-23 * abs(report.claims["x"].exact_value[1]) > moved / 4
    assert "The inputs do not determine it better" in str(report).replace("\n    ", " ")
    assert report.instabilities == ()


def test_the_opening_says_that_it_is_rounding_and_whose_is_closer():
    text = told(
        lambda w, x: torch.sigmoid(w @ x).sum(),
        lambda w, x: torch.outer(torch.exp(-(w @ x)) / (1 + torch.exp(-(w @ x))) ** 2, x),
        wrt="w",
        at={"w": torch.linspace(-2, 2, 30).reshape(10, 3), "x": torch.tensor([0.3, -1.1, 0.7])},
    )
    assert "is the derivative. Nothing is wrong: where yours and autograd differ, it is float32 rounding." in text
    assert "closer to the truth (at most" in text


def test_the_lines_are_data_and_a_table():
    def slope(x):
        s = torch.sigmoid(x)
        r = 1 - s
        return s * r

    report = verify(lambda x: torch.sigmoid(x).sum(), slope, at={"x": torch.tensor([7.3, 0.1])})
    lines = report.to_dict()["claims"]["x"]["rounding"]["lines"]
    assert lines["entry"] == [0]
    assert [line["source"]["text"] for line in lines["lines"]] == ["s = torch.sigmoid(x)", "r = 1 - s", "return s * r"]
    assert sum(line["share"] for line in lines["lines"]) + lines["rest"] == pytest.approx(lines["total"])
    text = " ".join(str(report).split())
    assert "of your rounding (" in text
    assert "s = torch.sigmoid(x)" in text
    assert "own error" in report.explain()


def saturated(dtype: str, stable: bool) -> tuple[Program, int]:
    """s(z) (1 - s(z)), and s(z) s(-z)."""
    b = Builder()
    z = b.input("z", (2,), dtype)
    s = b.apply("sigmoid", z)
    rest = b.apply("sigmoid", b.neg(z)) if stable else b.sub(b.ones((2,), dtype), s)
    return b.build({"slope": b.mul(s, rest)}), rest


@pytest.mark.parametrize(("stable", "loses"), [(False, True), (True, False)])
def test_a_saturated_sigmoid_loses_its_digits_in_the_subtraction(stable, loses):
    program, rest = saturated("float32", stable)
    at = {"z": torch.tensor([0.5, 17.0])}
    assert check(program, at, program.output).numel()  # covered by its bound all the same
    loss = find_lost_digits(program, at, program.output)
    value = interpret(program, Floats(), at)[program.output]
    with precision(BITS):
        _, error = distance(value, exact(program, at, program.output))
    attainable = condition(program, at, program.output)
    assert is_unstable(error, attainable, "float32").tolist() == [False, loses]
    if loses:
        assert loss is not None
        assert (loss.step, loss.entry) == (rest, 1)
        assert loss.before < 1e-7 < 0.9 < loss.after
    else:
        assert loss is None


def test_the_guilty_step_is_found_behind_layouts_and_sums():
    """The loss happens in one entry of a subtraction, and is carried on through a transpose, a sum and a product."""
    b = Builder()
    x, y = b.input("x", (2, 2), "float32"), b.input("y", (2, 2), "float32")
    lost = b.sub(b.mul(x, x), b.mul(y, y))
    out = b.matmul(b.reshape(b.sum(b.transpose(lost), 0), (1, 2)), b.ones((2, 1), "float32"))
    at = {"x": torch.tensor([[1.1, 1e-3], [1e-3, 2e-3]]), "y": torch.tensor([[1.1000001, 0.0], [0.0, 0.0]])}
    program = b.build({"out": out})
    loss = find_lost_digits(program, at, out)
    assert loss is not None
    assert (loss.step, loss.entry) == (lost, 0)


def test_a_line_may_end_with_an_input():
    """As ``W = start * 0.25`` does, where the product is exact and its value is what is differentiated."""
    b = Builder()
    b.source = Source("W = start * 0.25", "net.py", 1)
    start = b.input("start", ())
    product = b.mul(start, b.number(sp.Rational(1, 4)))
    w = b.input("W", ())
    b.source = Source("y = exp(W) * product", "net.py", 2)
    y = b.mul(b.apply("exp", w), product)
    program = b.build({"y": y})
    at = {"start": torch.tensor(0.7, dtype=torch.float64), "W": torch.tensor(0.175, dtype=torch.float64)}
    found = line_errors(program, at, program.output, 0)
    assert found is not None
    assert {line.source.line for line in found.lines} == {1, 2}
