"""The pytest plugin, run in a pytest of its own."""

import pytest

from symgrad.pytest_plugin import assert_gradient

pytest_plugins = ["pytester"]

GUARD = """
import torch


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return {factor} * x**2 * g


def test_cube(symgrad):
    symgrad(lambda x: x**3, lambda x: {factor} * x**2, at={{"x": torch.tensor(2.0)}})
"""


def test_a_right_gradient_passes_and_gives_its_report():
    assert assert_gradient("exp(x)", "exp(x)").verdict == "proved"


def test_a_wrong_gradient_fails_with_the_report_and_a_call_to_paste():
    with pytest.raises(AssertionError) as caught:
        assert_gradient("x**3", "2*x**2", seed=5)
    text = str(caught.value)
    assert text.startswith("Gradient is refuted!")
    assert "To see it again: verify(..., at={'x': 1.0}, seed=5)" in text


def test_the_fixture_guards_a_gradient(pytester):
    pytester.makepyfile(GUARD.format(factor=3))
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_fixture_fails_a_wrong_gradient_and_takes_its_seed_from_the_command_line(pytester):
    pytester.makepyfile(GUARD.format(factor=2))
    result = pytester.runpytest("-p", "no:cacheprovider", "--symgrad-seed", "7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Gradient is refuted!*", "*seed=7*"])
