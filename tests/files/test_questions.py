"""Questions in files, asked: each kind at its door, each in a process of its own where there are several."""

import json
import re

import pytest

from symgrad.files.answers import Answer, Skipped, Wanted
from symgrad.files.questions import Options, Question, answer_all, find, report_on
from symgrad.files.targets import targets_of

KERNELS = """
import torch

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g

class Forgets(Cube):
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2

at = {"x": (2,)}
"""
NOTES = r"""# Two functions

$$f(x) = x^2 e^{-x}$$

The slope is

$$f'(x) = (2x - x^2) e^{-x}$$

and for \[ g(x) = \tanh(x), \] it is

\begin{align}
  g'(x) &= 1 - x^2 \label{slope}
\end{align}
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str):
        (tmp_path / name).write_text(text)
        return name

    return write


def found_in(*words: str, options: Options = Options()):  # noqa: B008
    return [one for target in targets_of(words) for one in find(target, options)]


def verdicts(found, options: Options = Options()):  # noqa: B008
    return [(q.label, report_on(q, options).verdict) for q in found]


def test_each_function_of_a_module_is_a_question(file):
    found = found_in(file("kernels.py", KERNELS))
    assert verdicts(found) == [("Cube", "proved"), ("Forgets", "refuted")]
    assert verdicts(found_in("kernels.py::Forgets")) == [("Forgets", "refuted")]


def test_a_hand_formula_is_called_by_its_name(file):
    name = file("net.py", "model = 'x**2'\nhand = '2*x'\nslip = '3*x'\n")
    assert verdicts(found_in(f"{name}::slip")) == [("slip", "refuted")]


def test_each_formula_of_a_text_is_a_question_at_its_line(file):
    found = found_in(file("notes.md", NOTES))
    assert [(q.label, q.line) for q in found] == [("line 7", 7), ("line 12", 12)]
    assert [v for _, v in verdicts(found)] == ["proved", "refuted"]


def test_a_wrong_line_of_formulas_is_told_by_its_line_of_the_file(file):
    rows = NOTES.replace(r"g'(x) &= 1 - x^2 \label{slope}", "g'(x) &= 1 - x^2 \\\\\n  g''(x) &= -2x")
    for name, text, places in (
        ("notes.md", rows, ["notes.md:12", "notes.md:13"]),
        ("slope.txt", "\n\ny = tanh(w*x)\ndy/dw = x*(1 - y)\n", ["slope.txt:4"]),
    ):
        report = report_on(found_in(file(name, text))[-1], Options())
        told = re.findall(r"^    (\S+\.\w+:\d+):", str(report), re.M)
        assert told == places


def test_an_article_is_read_between_its_ends(file):
    name = file("paper.tex", "\\documentclass{article}\n\\newcommand{\\R}{x}\n\\begin{document}\n" + NOTES)
    assert [q.line for q in found_in(name)] == [10, 15]


def test_formulas_as_plain_text(file):
    assert verdicts(found_in(file("slope.txt", "y = tanh(w*x)\n\ndy/dw = x*(1 - y**2)\n"))) == [(None, "proved")]


def test_a_claim_that_cannot_be_read_is_told(file):
    name = file("notes.md", NOTES.replace("1 - x^2", "1/2x") + "\n$$h'(x) = 1$$\n")
    asked, *others = found_in(name)
    assert isinstance(asked, Question)
    assert [(a.verdict, a.line) for a in others if isinstance(a, Answer)] == [("failed", 12), ("failed", 15)]
    assert "no row says what h is" in str(others[1].error)
    in_folder = found_in(".")
    assert [s.file for s in in_folder if isinstance(s, Skipped)] == ["notes.md:12", "notes.md:15"]


def test_a_notebook_is_its_cells_in_order(file):
    sources = [
        "import math\nmodel = lambda w, x: math.sin(w * x)\n",
        "def hand(w, x):\n    dw = x\n    return dw\n",
        "wrt = 'w'",
    ]
    cells = [{"cell_type": "code", "source": s.splitlines(keepends=True)} for s in sources]
    found = found_in(file("net.ipynb", json.dumps({"cells": [{"cell_type": "markdown", "source": "# Net"}, *cells]})))
    (told,) = answer_all(found, Options(), Wanted(), None).answers
    assert told.verdict == "refuted"
    (line,) = told.wrong_lines
    assert (line.name, line.cell, line.line) == ("dw", 2, 2)
    assert "\n    net.ipynb, cell 2, line 2:\n    - dw = x\n" in told.text


def test_a_file_that_was_named_is_told_what_it_lacks(file):
    name = file("empty.py", "x = 1\n")
    (told,) = answer_all(found_in(name), Options(), Wanted(), None).answers
    assert told.headline == "empty.py has no 'model'."
    assert found_in(".") == [Skipped("empty.py", "nothing in it is meant as a gradient")]


def test_a_file_that_was_named_and_prints_is_a_script(file):
    """Nothing in it is called as a gradient is called: what it prints beside its difference quotient is one."""
    asked = "def f(a):\n    return a**3\n\nb = 1.5\ns = 3 * b**2\nprint(s, (f(b + 1e-6) - f(b)) / 1e-6)\n"
    (told,) = answer_all(found_in(file("cube.py", asked)), Options(), Wanted(), None).answers
    assert (told.verdict, [c.name for c in told.claims]) == ("proved", ["b"])


def test_a_point_may_hold_tensors(file):
    """As labels are, which are given and not differentiated."""
    asked = """
import torch
def model(w, y):
    return (w * y).sum()
def hand(w, y):
    return {"w": y.sum()}
at = {"w": 2.0, "y": torch.tensor([1, 0, 3])}
"""
    (told,) = answer_all(found_in(file("labels.py", asked)), Options(), Wanted(), None).answers
    assert told.verdict == "proved"


def test_a_pasted_session_is_a_script_whatever_it_calls_its_parts(file):
    pasted = ">>> import numpy as np\n>>> def slope(x):\n...     return 2*x\n...\n>>> slope(3.0)\n6.0\n"
    (question,) = found_in(file("post.txt", pasted))
    assert question.kind == "script"


def test_the_projects_settings_are_behind_the_files_and_the_callers_before(file):
    name = file("net.py", "model = 'x**2'\nhand = '2*x'\nseed = 5\n")
    for told, seed in (({}, 5), ({"seed": 9}, 9)):
        report = report_on(found_in(name)[0], Options(told=told, defaults={"seed": 3, "dtype": "float32"}))
        assert (report.seed, report.claims["x"].rounding.dtype) == (seed, "float32")


@pytest.mark.slow
def test_no_file_sees_what_another_does_to_its_process(file):
    first = "import os, sys, torch\ntorch.set_default_dtype(torch.float64)\n"
    first += "sys.modules['helper'] = None\nos.environ['SEEN'] = '1'\n"
    sides = "model = 'x**2'\nhand = '2*x'\n"
    file("helper.py", "")
    names = [
        file("a.py", first + sides),
        file(
            "b.py",
            "import helper, os, torch\nassert 'SEEN' not in os.environ and torch.tensor(1.0).dtype == torch.float32\n"
            + sides,
        ),
        file("c.py", "import os\nos._exit(5)\n" + sides),
        file("d.py", "print('noise')\n" + sides),
        file("e.py", "import sys\nsys.exit(0)\n" + sides),
    ]
    found = answer_all(found_in(*names), Options(), Wanted(), 2).answers
    assert [a.verdict for a in found] == ["proved", "proved", "failed", "proved", "failed"]
    assert "ended its process with exit code 5" in str(found[2].error)
    assert "e.py exited before anything could be checked" in str(found[4].error)


def test_an_error_names_the_file_as_it_was_asked_about(file):
    """Of several, each was run in a folder of its own, which is gone by then."""
    sides = "def model(x):\n    return x[0]\n\n\ndef hand(x):\n    return 1\n"
    found = answer_all(found_in(file("a.py", sides), file("b.py", sides)), Options(), Wanted(), 2).answers
    assert [a.error.where for a in found] == ["    a.py:2    return x[0]", "    b.py:2    return x[0]"]


INLINE = r"""Let $L(w) = \|Xw - y\|^2 + \lambda g(w)$ with $g(w) = w^\top w$ and $n = 3$. At $w = 0$ is $L = 1$.

$$\nabla L = 2X^\top(Xw - y) + {}\lambda w$$
"""


@pytest.mark.parametrize(("factor", "verdict"), [("2", "proved"), ("", "refuted")])
def test_a_function_that_no_display_defines_is_what_the_prose_says(file, factor, verdict):
    (question,) = found_in(file("ridge.md", INLINE.replace("{}", factor)))
    assert question.line == 3
    assert report_on(question, Options()).verdict == verdict


def test_prose_defines_nothing_that_a_display_defines_and_claims_nothing(file):
    text = "Not $f(x) = x^3$ and its $f'(x) = 0$:\n$$f(x) = x^2$$\nSo at $f(x) = x_0$\n$$f'(x) = 2x$$"
    (question,) = found_in(file("square.tex", text))
    assert report_on(question, Options()).verdict == "proved"
