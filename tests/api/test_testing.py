"""assert_gradient: the message of a failing test, and the code in it that shows the failure again."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch

from symgrad import SymgradError, assert_gradient, surrogate, verify


def model(W, x):
    return torch.tanh(W @ x).sum()


def hand(W, x):
    z = W @ x
    return {"W": torch.outer(1 - z**2, x)}


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x**2 * g


class Square(Cube):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


def message(*question, **options) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_gradient(*question, **options)
    return str(caught.value)


def test_a_right_gradient_passes_and_gives_its_report():
    assert assert_gradient("exp(x)", "exp(x)").verdict == "proved"
    assert assert_gradient(Square, at={"x": (2,)}).verdict == "proved"


def test_the_message_of_a_number():
    assert (
        message("x**3", "2*x**2", seed=5)
        == """\
Wrong: your gradient for x is not the derivative.

Expected 3 but got 2.
Absolute difference: 1
Relative difference: 0.333333
The failure occurred at x = 1

The wrong line
    - 2*x**2
      ^
    + 3*x**2
    The constant is 3, not 2.
    With this change the derivation is proved; report.repaired_source holds it.

x: wrong
    At x = 1:
        yours  2
        exact  3

Looked at 3 points; seed 5.

You can see it again with:

    from symgrad import verify

    report = verify(
        'x**3', '2*x**2',
        at={'x': 1.0},
        seed=5,
    )
    print(report)"""
    )


def test_the_message_of_an_array_counts_entries_as_assert_close_does():
    """The numbers are those of torch's own message for the same two arrays, where no tolerance hides an entry."""
    W = torch.tensor([[0.5, 0.5], [0.5, 0.25], [0.25, 1.0]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([1.0, -0.5], dtype=torch.float64)
    ours = message(model, hand, at={"W": W.detach(), "x": x}).splitlines()[2:5]
    model(W, x).backward()
    with pytest.raises(AssertionError) as caught:
        torch.testing.assert_close(hand(W.detach(), x)["W"], W.grad, atol=0.0, rtol=0.0)
    theirs = str(caught.value).splitlines()[2:5]
    assert ours[0] == theirs[0].replace("elements", "entries")
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert mine.split(": ")[0] == other.split(": ")[0]
        assert float(mine.split(": ")[1].split(" at")[0]) == pytest.approx(
            float(other.split(": ")[1].split(" at")[0]), rel=1e-5
        )
        assert mine.split(" at ")[1] == other.split(" at ")[1].split(" (up")[0]


def test_entries_that_are_right_are_not_counted():
    """In one row z is zero, and there 1 - z**2 is the slope of tanh."""
    W, x = np.array([[0.5, 0.5], [0.5, 0.25]]), np.array([1.0, -2.0])
    told = message(model, hand, at={"W": W, "x": x})
    z = W @ x
    gap = np.abs(np.outer(np.tanh(z) ** 2 - z**2, x))
    wrong = np.count_nonzero(gap)
    assert f"Mismatched entries: {wrong} / 4 ({wrong / 4:.1%})" in told
    assert f"Greatest absolute difference: {gap.max():.6g} at index (0, 1)" in told
    assert wrong == 2


def test_a_wrong_shape_says_which():
    told = message(model, lambda W, x: {"W": torch.tanh(W @ x)}, at={"W": (3, 2), "x": (2,)})
    assert (
        told.splitlines()[2] == "The values for attribute 'shape' do not match: yours has shape [3], not shape [3, 2]."
    )


def test_undecided_is_no_pass():
    options = {"at": {"x": 9.5}, "domain": {"x": (9, 10)}, "points": 4}
    told = message("sin(exp(exp(x)))", "2*cos(exp(exp(x)))*exp(exp(x))*exp(x)", **options)
    assert told.startswith("Undecided: your gradient for x could be neither proved nor refuted.\n")


symbol = sp.Symbol("x")
QUESTIONS = {
    "text": ("x**3", "2*x**2", {"seed": 5}),
    "SymPy": (symbol**3, 2 * symbol**2, {}),
    "mapping": ("a*b**2", {"a": "b**2", "b": "2*a"}, {"domain": {"a": (0, None)}}),
    "functions": (model, hand, {"at": {"W": (3, 2), "x": torch.tensor([0.5, 1.0])}}),
    "lambdas": (lambda x: x**3, lambda x: 3 * x, {"at": {"x": 0.1}, "dtype": "float32"}),
    "autograd.Function": (Cube, None, {"at": {"x": (4,)}}),
    "large": (model, hand, {"at": {"W": (30, 20), "x": (20,)}, "seed": 2}),
}


@pytest.mark.parametrize("kind", QUESTIONS)
@pytest.mark.slow
def test_what_is_to_be_pasted_shows_the_failure_again(kind):
    formula, by_hand, options = QUESTIONS[kind]
    pasted = message(formula, by_hand, **options).split("You can see it again with:\n")[1]
    code = textwrap.dedent(pasted.split("\n\nIf it is meant")[0])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"model": model, "hand": hand, "Cube": Cube, "torch": torch})
    assert printed.getvalue().startswith("Wrong: your gradient for ")
    if kind not in ("large", "autograd.Function"):
        assert "At your own point" in printed.getvalue()


def test_shapes_and_a_seed_are_pasted_where_they_were_passed():
    told = message(model, hand, at={"W": (5, 3), "x": (3,)}, seed=7)
    assert "        at={'W': (5, 3), 'x': (3,)},\n        seed=7,\n" in told


def test_a_failure_tells_the_file_and_how_to_declare_what_is_meant():
    told = message(Cube, at={"x": (2,)})
    path = Path(__file__)
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name
    assert re.search(rf"^    {re.escape(str(near))}:\d+:\n    - ", told, re.M)
    assert told.endswith('declare it:\n\n    surrogate(Cube, reason="...")')
    assert "surrogate" not in message("x**3", "2*x")


def test_what_is_too_long_to_print_is_pasted_by_its_name():
    told = message(model, hand, at={"W": torch.ones(30, 20, dtype=torch.float64), "x": (20,)})
    assert "        at={'W': W, 'x': (20,)},\n" in told
    assert "# W: as passed, for it is too long to print\n" in told


class Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, factor, *xs):
        ctx.save_for_backward(*xs)
        return factor * sum(x.sum() for x in xs)

    @staticmethod
    def backward(ctx, grad_output):
        return None, *(grad_output * torch.ones_like(x) for x in ctx.saved_tensors)


@pytest.mark.parametrize("at", [[3.0, np.ones(2), np.ones(1)], {"factor": 3.0, "xs": [(2,), (1,)]}])
def test_several_arguments_at_once_are_pasted_as_they_were_passed(at):
    told = message(Sum, at=at)
    assert "Mismatched entries: 2 / 2 (100.0%)" in told
    shown = "[3.0, np.array([1.0, 1.0]), np.array([1.0])]" if isinstance(at, list) else str(at)
    assert f"        at={shown},\n" in told


def test_the_verdict_is_said_once():
    told = message("a*b**2", {"a": "b**2", "b": "2*a"})
    assert told.startswith("Wrong: your gradient for b is not the derivative (a is right).\n\nb: Expected ")
    assert told.count("not the derivative") == 1


# ------------------------------------------------------------------------------------------------ surrogates


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return -g


def test_a_surrogate_that_is_meant_passes_and_stays_refuted():
    report = assert_gradient(surrogate(Reversed, reason="gradient reversal."), at={"x": (3,)})
    assert report.verdict == "refuted"
    assert report.notes[0] == "It is meant to be no derivative: gradient reversal."
    assert not assert_gradient("relu(x)", surrogate("1/(1 + exp(-x))", reason="smooth"), at={"x": 0.5})


class Rounded(torch.autograd.Function):
    """A straight-through estimator: the function is flat but for its jumps."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, g):
        return g


def test_a_slope_of_steps_is_zero_and_a_surrogate_is_pointed_at():
    told = message(Rounded, at={"x": (3,)})
    assert "    + return torch.zeros_like(g)\n    This derivative is zero.\n" in told
    assert told.endswith('declare it:\n\n    surrogate(Rounded, reason="...")')
    assert f"from {__name__} import Rounded\n\n    report = verify_function(\n        Rounded,\n" in told
    assert_gradient(surrogate(Rounded, reason="the slope of the identity is of more use"), at={"x": (3,)})


def test_a_surrogate_that_is_none_is_said_so():
    told = message(surrogate(Square, reason="estimator"), at={"x": (3,)})
    assert told.startswith(
        "It was declared to be no derivative (estimator), and is the derivative. Leave surrogate() out."
    )
    assert message(Reversed, at={"x": (3,)}).startswith("Wrong: ")


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_a_surrogate_has_a_reason(reason):
    with pytest.raises(SymgradError, match="Say why it is meant"):
        surrogate(Reversed, reason=reason)


def _of_prefixes(x):
    return x.cumprod(0).sum()


def _of_prefixes_by_division(x):
    return _suffix_sums(x.cumprod(0)) / x


def _suffix_sums(x):
    return x.flip(0).cumsum(0).flip(0)


@pytest.mark.parametrize(
    ("model", "hand", "where"),
    [(_of_prefixes, _of_prefixes_by_division, "x[1]"), (lambda x: (x**2).sum(), lambda x: 2 * x * x / x, "x[1]")],
)
def test_a_right_formula_that_is_no_number_at_the_point_fails_every_guard_and_the_answer_says_so(model, hand, where):
    """0/0 at the zero: what torch gives there is NaN, and the derivative is a number."""
    at = {"x": torch.tensor([0.5, 0.0, 2.0, 3.0], dtype=torch.float64)}
    report = verify(model, hand, at=at)
    assert report.verdict == "proved"
    answer = " ".join(str(report).split())
    assert f"; at your own point it gives NaN for {where}, where the derivative is a number." in answer
    assert "Nothing is wrong" not in answer
    with pytest.raises(AssertionError, match="at your own point"):
        report.assert_ok()
    with pytest.raises(AssertionError, match="is nan at your own point"):
        assert_gradient(model, hand, at=at)


def test_a_value_too_large_for_its_dtype_is_no_fault_of_the_gradient():
    at = {"x": torch.tensor([1.0, 800.0], dtype=torch.float64)}
    assert_gradient(lambda x: torch.exp(x).sum(), torch.exp, at=at).assert_ok()
