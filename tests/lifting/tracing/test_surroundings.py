"""Law 1 of reading: nothing around a question changes its answer, and a question leaves nothing on behind it."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import torch

from symgrad import verify, verify_script
from symgrad.errors import NotReproducible
from symgrad.lifting.tracing.surroundings import neutral, uncovered
from symgrad.problem import canary

X = torch.tensor([0.75, -1.25], dtype=torch.float64)


def square(x):
    return (x * x).sum()


def verdicts():
    return [verify(square, hand, at={"x": X}).verdict for hand in (lambda x: 2 * x, lambda x: 0 * x)]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, lambda: torch.device("meta")])
def test_a_mode_around_the_question_changes_no_verdict(mode):
    with mode():
        assert verdicts() == ["proved", "refuted"]


def test_a_transform_around_the_question_changes_no_verdict():
    found = []
    torch.func.grad(lambda t: (found.extend(verdicts()), t)[1])(torch.tensor(1.0))
    assert found == ["proved", "refuted"]


@pytest.mark.parametrize("wrap", [torch.inference_mode(), torch.no_grad(), torch.no_grad, torch.enable_grad()])
def test_a_mode_that_holds_for_the_whole_formula_is_no_part_of_it(wrap):
    assert uncovered(wrap(square)) is square
    assert verify(wrap(square), lambda x: 2 * x, at={"x": X}).verdict == "proved"


def test_a_mode_inside_of_the_formula_cuts():
    def half_cut(x):
        with torch.no_grad():
            scale = x * 1.0
        return (x * scale).sum()

    assert verify(half_cut, lambda x: x, at={"x": X}).verdict == "proved"


@pytest.mark.slow
def test_what_torch_compiled_is_followed_as_it_is_written():
    slope = torch.compile(lambda x: 2 * x, backend="eager")
    assert verify(square, lambda x: slope(x) * 1, at={"x": X}).verdict == "proved"
    assert verify(square, lambda x: slope(x) + x, at={"x": X}).verdict == "refuted"
    text = """
import torch
x = torch.tensor([0.75, -1.25], dtype=torch.float64, requires_grad=True)
@torch.compile
def f(x):
    return (x**3).sum()
f(x).backward()
dx = 2 * x.detach() ** 2
print(x.grad, dx)
"""
    assert verify_script(text).verdict == "refuted"


@pytest.mark.slow
def test_a_script_that_leaves_a_mode_on_leaves_none_on():
    text = """
import torch
x = torch.tensor([0.75, -1.25], dtype=torch.float64, requires_grad=True)
y = (x**2).sum()
y.backward()
dx = 2 * x.detach()
print(x.grad, dx)
mode = torch.inference_mode()
mode.__enter__()
torch.set_default_device("meta")
torch.set_default_dtype(torch.float16)
"""
    report = verify_script(text)
    assert report.verdict == "proved"
    del report
    gc.collect()  # a guard that ends late changes nothing either
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32
    assert torch.ones(1).device.type == "cpu"


def test_what_was_on_around_the_block_is_on_after_it():
    with torch.device("meta"), torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        with neutral():
            assert torch.ones(1).device.type == "cpu"
            assert torch.is_grad_enabled()
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
        assert torch.ones(1).device.type == "meta"
        assert not torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("slope", [0.0, -3.0, float("nan"), None])
def test_no_verdict_is_given_where_the_known_derivative_does_not_come_out(slope, monkeypatch):
    def broken(function):
        if slope is None:
            raise RuntimeError("nothing works here")
        return slope

    monkeypatch.setattr(canary, "known_slope", broken)
    for ask in (lambda: verify("x**2", "2*x"), lambda: verify_script("x = 1\n")):
        with pytest.raises(NotReproducible, match=r"the derivative of x\*\*2 at 1.5 comes out as"):
            ask()


def test_a_replaced_function_of_torch_is_noticed(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "sum", lambda self: torch.zeros((), dtype=self.dtype))
    with pytest.raises(NotReproducible, match="nothing can be judged"):
        verify(lambda x: x * x, lambda x: 2 * x, at={"x": np.array(0.5)})


SCRIPT = """
import torch
x = torch.tensor([1.0, 2.0])
w = torch.tensor([0.3, -0.1], requires_grad=True)
loss = torch.tanh(x @ w)
loss.backward()
dw = (1 - (x @ w)**2) * x
print(w.grad, dw)
"""


@pytest.mark.slow
def test_four_threads_at_once(capsys):
    """Right verdicts, no crash of the interpreter, and what the threads print meanwhile is not taken for a script's."""
    found = {}

    def ask(k):
        def cube(x):
            return (x ** (k + 2)).sum()

        right = verify(cube, lambda x: (k + 2) * x ** (k + 1), at={"x": X}).verdict
        wrong = verify(cube, lambda x: (k + 1) * x ** (k + 1), at={"x": X}).verdict
        found[k] = right, wrong, verify_script(SCRIPT).verdict
        print(f"thread {k}")

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for k in range(50):
        print(f"main {k}")
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), ("proved", "refuted", "refuted"))
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted([*(f"thread {k}" for k in range(4)), *(f"main {k}" for k in range(50))])
