"""What a file asks is told by its syntax: nothing of it is run."""

import json

import pytest

from symgrad.files.question_kinds import Held, Names, questions_in

SIDES = "def model(w): return w**2\n\ndef hand(w): return 2 * w\n"
CUBE = """
import torch

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x**3
    @staticmethod
    def backward(ctx, g): return 3 * g

"""
SCRIPT = "import torch\nw = torch.tensor(2.0, requires_grad=True)\n(w**2).backward()\ndw = 4.0\n"
NOTEBOOK = json.dumps({"cells": [{"cell_type": "code", "source": [line]} for line in SCRIPT.splitlines(keepends=True)]})
NOTES = "# Tanh\n\n$$f(x) = \\tanh(x)$$\n\nso that\n\n$$f'(x) = 1 - \\tanh(x)^2$$\n"


@pytest.mark.parametrize(
    ("text", "suffix", "held"),
    [
        (SIDES, ".py", [Held("definitions", "hand")]),
        ("from models import model\nfrom mine import hand\n", ".py", [Held("definitions", "hand")]),
        ("if True:\n    model, hand = 'x**2', '2*x'\n", ".py", [Held("definitions", "hand")]),
        (CUBE + "at = {'x': (3,)}\n", ".py", [Held("function", "Cube")]),
        (CUBE.replace("    @staticmethod\n    def forward", "    at = {'x': (3,)}\n    @staticmethod\n    def forward"),
         ".py", [Held("function", "Cube")]),
        (CUBE + SIDES + "at = {'x': (3,)}\n", ".py", [Held("definitions", "hand"), Held("function", "Cube")]),
        (CUBE + "class Twice(Cube): pass\nat = {}\n", ".py", [Held("function", "Cube"), Held("function", "Twice")]),
        (SCRIPT, ".py", [Held("script")]),
        (SCRIPT, ".txt", [Held("script")]),
        (f"Why?\n\n```python\n{SCRIPT}```\n", ".md", [Held("script")]),
        (NOTEBOOK, ".ipynb", [Held("script")]),
        ("W = 1.0\nfor k in range(3):\n    dW = 2 * W\n    W -= 0.1 * dW\n", ".py", [Held("script")]),
        (NOTES, ".md", [Held("formulas")]),
        (NOTES, ".tex", [Held("formulas")]),
        ("y = tanh(x)\ndy/dx = 1 - y**2\n", ".txt", [Held("formulas")]),
    ],
)  # fmt: skip
def test_a_question_is_seen(text, suffix, held):
    assert list(questions_in(text, suffix)) == held


def test_the_names_of_the_two_sides_may_be_others():
    assert questions_in(SIDES.replace("hand", "slope"), ".py", Names(hand="slope")) == (Held("definitions", "slope"),)


@pytest.mark.parametrize(
    ("text", "suffix", "why"),
    [
        ("import os\nprint(os.getcwd())\n", ".py", "nothing in it is meant as a gradient"),
        ("", ".py", "nothing in it is meant as a gradient"),
        ("def f(:\n", ".py", "it is no Python"),
        (SIDES + "from symgrad import verify\nverify(model, hand)\n", ".py", "it asks symgrad itself"),
        (CUBE, ".py", "Cube: there is no at that says for which arguments"),
        # What a test module or a library would compute when its functions are called is not what running it computes.
        ("def test_it():\n    loss().backward()\n    assert dw == 2\n", ".py", "nothing in it is meant as a gradient"),
        ("from sympy import *\nx = symbols('x')\n", ".py", "nothing in it is meant as a gradient"),
        ("The derivative of $x^2$ is $2x$, as $f'(x) = 2x$ says.\n", ".md", "nothing in it is meant as a gradient"),
        ("| a | b |\n|---|---|\n| x' = 1 | d = 2 |\n", ".md", "nothing in it is meant as a gradient"),
    ],
)
def test_a_file_without_one_says_why(text, suffix, why):
    assert questions_in(text, suffix) == why


def test_a_call_of_what_the_file_defines_counts_as_run():
    text = "def main():\n    dw = loss().backward()\n\nif __name__ == '__main__':\n    main()\n"
    assert questions_in(text, ".py") == (Held("script"),)
