"""The notebook's door, as IPython opens it: the magic, its options, and what a mistake shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from symgrad import SymgradError
from symgrad.notebook import judge_cell

POSTS = Path(__file__).resolve().parent / "posts"
CELL = """
y = torch.tanh(3 * w)
y.backward()
dw = 3 * (1 - (3 * w.item())**2)
print(w.grad, dw)
"""


@pytest.fixture(scope="module")
def shell():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "symgrad")
    yield shell
    InteractiveShell.clear_instance()


def test_a_post_is_judged_as_it_was_pasted_into_a_cell(shell):
    post = (POSTS / "tanh_rnn.txt").read_text(encoding="utf-8")
    report = shell.run_cell_magic("symgrad", "", post)
    assert str(report).startswith("Wrong: your gradients for W_h (dy2_dwh and dw_h) are not the derivative")


def test_a_cell_sees_the_cells_before_it_and_does_not_change_them(shell):
    shell.run_cell("import torch\nw = torch.tensor(2.0, requires_grad=True)")
    report = shell.run_cell_magic("symgrad", "wrt=w seed=3", CELL)
    assert report.verdict == "refuted"
    assert report.seed == 3
    assert shell.user_ns["w"].grad is None
    assert "dw" not in shell.user_ns


def test_a_constraint_is_an_option_too():
    cell = """
import torch
z, y = torch.tensor([0.3, -1.0], requires_grad=True), torch.tensor([0.25, 0.75], requires_grad=True)
loss = -(y * torch.log_softmax(z, 0)).sum()
loss.backward()
dz = torch.softmax(z, 0) - y.detach()
print(z.grad, dz)
"""
    assert judge_cell('wrt=z assuming="sum(y) = 1"', cell, {}).ok
    with pytest.raises(SymgradError, match="is not closed"):
        judge_cell('assuming="sum(y) = 1', cell, {})


@pytest.mark.parametrize("line", ["--seed 3", "seed=three", "seed=", "outptu=y", "points"])
def test_an_option_that_there_is_not_says_how_they_are_written(line):
    with pytest.raises(SymgradError) as caught:
        judge_cell(line, CELL, {})
    assert f"has no option {line.split()[0]!r}" in str(caught.value)
    assert "%%symgrad output=loss wrt=W,b seed=1 points=64" in str(caught.value)


def test_a_mistake_shows_the_line_of_the_cell_and_none_of_ours(shell, capsys):
    shell.run_cell('from symgrad import verify\nverify("x**2", "2*y")')
    shown = capsys.readouterr().out
    assert shown.rstrip().endswith(
        "UnknownName: the hand formula uses 'y', but the model has only x.\n"
        "Rename it, or make 'y' an input of the model."
    )
    assert "symgrad/" not in shown


def test_a_report_is_shown_as_a_page(shell):
    data, _ = shell.display_formatter.format(shell.run_cell('verify("x**2", "2*x")').result)
    assert data["text/html"].startswith('<div class="symgrad">')
    assert data["text/plain"].startswith("Right, and proved")
