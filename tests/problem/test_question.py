"""A question means the same at every door: shapes, sizes with names, constraints and dtypes are read in one place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from symgrad import compare, find_instabilities, gradient, lift, verify, verify_function, verify_script
from symgrad.errors import BadInput, SymgradError, UnknownName, UserCodeFailed


class TanhOfProduct(torch.autograd.Function):
    """tanh(x*w), right both ways."""

    @staticmethod
    def forward(x, w):
        return torch.tanh(x * w)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs, output)
        ctx.save_for_forward(*inputs, output)

    @staticmethod
    def backward(ctx, g):
        x, w, y = ctx.saved_tensors
        gz = g * (1 - y**2)
        return gz * w, gz * x

    @staticmethod
    def jvp(ctx, tx, tw):
        x, w, y = ctx.saved_tensors
        tz = tx * w + x * tw
        slope = 1 - y**2
        return slope * tz


class TangentBeforeTanh(TanhOfProduct):
    """The jvp takes tanh' at the value before tanh."""

    @staticmethod
    def jvp(ctx, tx, tw):
        x, w, y = ctx.saved_tensors  # noqa: RUF059  # what the slip leaves unused
        tz = tx * w + x * tw
        slope = 1 - (x * w) ** 2
        return slope * tz


class BothWrong(TangentBeforeTanh):
    """The same slip forward and backward."""

    @staticmethod
    def backward(ctx, g):
        x, w, y = ctx.saved_tensors  # noqa: RUF059
        gz = g * (1 - (x * w) ** 2)
        return gz * w, gz * x


class Relu(torch.autograd.Function):
    """relu, whose jvp has a kink where its backward has one."""

    @staticmethod
    def forward(x):
        return torch.relu(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (x > 0)

    @staticmethod
    def jvp(ctx, tx):
        (x,) = ctx.saved_tensors
        return tx * (x > 0)


# ------------------------------------------------------------------------------------------------ shapes and sizes


@pytest.mark.parametrize("n", [3, np.int64(3), np.int32(3), np.uint8(3)])
def test_a_shape_may_hold_numpys_integers_at_every_door(n):
    square, slope = lambda x: (x**2).sum(), lambda x: 2 * x
    assert verify(square, slope, at={"x": (n,)}).verdict == "proved"
    assert verify_function(TanhOfProduct, at={"x": (n,), "w": (n,)}).verdict == "proved"
    assert compare(square, lambda x: (x * x).sum(), at={"x": (n,)}).kind == "proved"
    assert lift(square, at={"x": (n,)}).shape(0) == (3,)
    assert gradient(square, at={"x": (n,)})["x"](x=torch.ones(3)).tolist() == [2, 2, 2]
    assert find_instabilities(square, at={"x": (n,)}) == ()


def test_sizes_with_names_are_for_all_sizes_of_an_autograd_function_too():
    report = verify_function(TanhOfProduct, at={"x": ("n",), "w": ("n",)})
    assert {name: str(c.verdict.for_all.sizes) for name, c in report.claims.items()} == dict.fromkeys(
        ("x", "w", "jvp"), "('n',)"
    )
    assert "Right, and proved for all n" in str(report)


def test_a_wrong_autograd_function_is_refuted_at_the_smallest_size():
    report = verify_function(BothWrong, at={"x": ("n",), "w": ("n",)})
    assert report.verdict == "refuted"
    assert report.claims["x"].witness.sizes == {"n": 1}


class OuterProduct(torch.autograd.Function):
    """An output whose shape is another than its inputs'."""

    @staticmethod
    def forward(ctx, u, v):
        ctx.save_for_backward(u, v)
        return torch.outer(u, v).reshape(-1)

    @staticmethod
    def backward(ctx, g):
        u, v = ctx.saved_tensors
        g = g.reshape(len(u), len(v))
        return g @ v, g.T @ u


def test_the_cotangent_has_the_outputs_shape_at_all_sizes():
    report = verify_function(OuterProduct, at={"u": ("m",), "v": ("n",)})
    assert report.verdict == "proved"
    assert report.claims["u"].verdict.for_all is not None


def test_lift_takes_the_smallest_sizes_that_run():
    program = lift(lambda A, x: A @ x, at={"A": ("m", "n"), "x": ("n",)})
    assert [program.shape(i) for i in program.inputs.values()] == [(2, 3), (3,)]


# ------------------------------------------------------------------------------------------------ constraints, dtypes


class CrossEntropy(torch.autograd.Function):
    """-sum(y log softmax(z)), whose backward is right where y sums to one."""

    @staticmethod
    def forward(ctx, z, y):
        ctx.save_for_backward(z, y)
        return -(y * torch.log_softmax(z, 0)).sum()

    @staticmethod
    def backward(ctx, g):
        z, y = ctx.saved_tensors
        return g * (torch.softmax(z, 0) - y), -g * torch.log_softmax(z, 0)


SCRIPT = """
import torch
z = torch.tensor([0.3, -1.0, 0.5], requires_grad=True)
y = torch.tensor([0.5, 0.7, 0.3])
loss = -(y * torch.log_softmax(z, 0)).sum()
loss.backward()
dz = torch.softmax(z, 0) - y
print(z.grad, dz)
"""


def test_a_missing_constraint_is_named_and_no_line_is_accused():
    loss, slope = lambda z, y: -(y * torch.log_softmax(z, 0)).sum(), lambda z, y: torch.softmax(z, 0) - y
    at = {"z": (3,), "y": np.array([0.5, 1.0, 0.5])}
    reports = [
        (verify(loss, slope, wrt="z", at=at), 'assuming="sum(y) = 1" says so.'),
        (verify_function(CrossEntropy, at={"z": (3,), "y": (3,)}), 'assuming="sum(y) = 1" says so.'),
        (verify_script(SCRIPT), "in your code they do not."),
    ]
    for report, advice in reports:
        assert report.claims["z"].verdict.true_if[0] == "the entries of y sum to one"
        assert report.wrong_steps == ()
        assert f"It is true if the entries of y sum to one: {advice}" in " ".join(str(report).split())


def test_what_is_right_without_the_constraint_is_told_where_the_data_may_be_others():
    loss, slope = lambda z, y: -(y * torch.log_softmax(z, 0)).sum(), lambda z, y: torch.softmax(z, 0) - y
    (one,) = verify(loss, slope, wrt="z", at={"z": (3,), "y": np.array([0.5, 1.0, 0.5])}).repairs
    z, y = torch.tensor([0.2, -1.0, 0.5], requires_grad=True), torch.tensor([2.0, 0.3, -0.7])
    loss(z, y).backward()
    assert one.proved
    torch.testing.assert_close(eval(one.after, {"torch": torch, "z": z.detach(), "y": y}), z.grad)
    report = verify_script(SCRIPT)  # 1.5 * softmax(z) - y fits its own numbers
    assert (report.repairs, report.repaired_source) == ((), None)


def test_a_script_whose_numbers_meet_the_constraint_is_right():
    assert verify_script(SCRIPT.replace("0.7, 0.3", "0.25, 0.25")).ok


def test_assuming_holds_at_every_door():
    assert verify_function(CrossEntropy, at={"z": (3,), "y": (3,)}, assuming="sum(y) = 1").verdict == "proved"
    tensor = SCRIPT.replace("[0.5, 0.7, 0.3]", "[0.5, 0.25, 0.25], requires_grad=True").replace(
        "- y\n", "- y.detach()\n"
    )
    assert verify_script(tensor, wrt="z", assuming="sum(y) = 1").ok
    with pytest.raises(UnknownName, match="assuming names 'q'"):
        verify_function(CrossEntropy, at={"z": (3,), "y": (3,)}, assuming="sum(q) = 1")


def test_dtype_holds_for_an_autograd_function():
    report = verify_function(TanhOfProduct, at={"x": (3,), "w": (3,)}, dtype="float32")
    assert report.verdict == "proved"
    assert "In float32" in str(report)


def test_forward_is_looked_at_where_it_has_a_value():
    class Log(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.log(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g / x

    assert verify_function(Log, at={"x": (4,)}).verdict == "proved"


# ------------------------------------------------------------------------------------------------ lines and repairs


def test_a_wrong_jvp_has_its_line_and_its_repair():
    report = verify_function(TangentBeforeTanh, at={"x": (3,), "w": (3,)})
    assert {n: c.kind for n, c in report.claims.items()} == {"x": "proved", "w": "proved", "jvp": "refuted"}
    assert report.wrong_steps == ("slope",)
    (repair,) = report.repairs
    assert (repair.before, repair.after) == ("1 - (x * w) ** 2", "1 - y ** 2")
    assert repair.proved


def test_the_same_slip_backward_and_forward_is_mended_in_one_text():
    report = verify_function(BothWrong, at={"x": (3,), "w": (3,)})
    assert set(report.wrong_steps) == {"gz", "slope"}
    assert len(report.repairs) == 2
    assert report.repaired_source.count("1 - y") == 2


def test_a_kink_of_a_jvp_is_told():
    report = verify_function(Relu, at={"x": torch.tensor([0.0, 1.0], dtype=torch.float64)})
    assert {k.input for k in report.kinks} == {"x", "jvp"}


# ------------------------------------------------------------------------------------------------ budgets


@pytest.mark.parametrize("bad", [{"points": 0}, {"effort": -1}, {"seed": -1}, {"points": True}, {"effort": math.nan}])
def test_budgets_are_read_alike(bad):
    asks = [
        lambda: verify("x**2", "2*x", **bad),
        lambda: compare("x**2", "x*x", **bad),
        lambda: verify_function(TanhOfProduct, at={"x": (2,), "w": (2,)}, **bad),
        lambda: verify_script(SCRIPT, **bad),
    ]
    messages = set()
    for ask in asks:
        with pytest.raises(BadInput) as caught:
            ask()
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_an_order_that_is_none_is_an_error_everywhere():
    for ask in (lambda: verify("x**2", "2*x", order=0), lambda: gradient("x**2", order=3)):
        with pytest.raises(SymgradError, match="Pass order=1"):
            ask()


# ------------------------------------------------------------------------------------------------ whole numbers, errors


def series(x, n):
    total = 0.0
    for k in range(1, n + 1):
        total += x**k / k
    return total


def series_by_hand(x, n):
    return sum(x ** (k - 1) for k in range(1, n + 1))


def test_a_whole_number_may_be_how_often_a_loop_runs():
    at = {"x": 0.5, "n": 5}
    assert verify(series, {"x": series_by_hand}, at=at).verdict == "proved"
    assert verify(series, {"x": lambda x, n: sum(x**k for k in range(1, n + 1))}, at=at).verdict == "refuted"
    assert torch.pi == math.pi  # no edit that was tried has bound it in the place of the sum's own k
    assert sum(step.op == "add" for step in lift(series, at=at).steps) >= 4
    assert verify(lambda x, n: x**n, {"n": lambda x, n: x**n * math.log(x)}, at={"x": 2, "n": 5}).verdict == "proved"


def test_shapes_that_do_not_fit_are_the_functions_own_error():
    with pytest.raises(UserCodeFailed, match=r"^your function raised RuntimeError: .*size"):
        verify(lambda x, y: x @ y, lambda x, y: y, at={"x": (3,), "y": (4,)}, wrt="x")
