"""What of a pasted text is code: prose, output, fences, prompts and the cells of notebooks."""

import textwrap
from pathlib import Path

from symgrad.api.script_verifier import verify_script
from symgrad.lifting.scripts.extraction import read_pasted


def script(text):
    return textwrap.dedent(text)


POSTS = Path(__file__).parents[1] / "posts"


def test_prose_output_and_equations_are_left_out():
    pasted = read_pasted(
        script("""
        Equations:
        h = tanh(x)
        In [3]:
        %matplotlib inline
        import torch
        x = torch.tensor([1.0,
                          2.0])
        for i in range(2):
            x = x + i

            x = x * 2
        print(x)
        Out[3]: tensor([6., 10.])
        array([[6.],
               [10.]])
        Thanks
        """)
    )
    code = [line.strip() for line in pasted.lines if line.strip()]
    assert code == [
        "import torch",
        "x = torch.tensor([1.0,",
        "2.0])",
        "for i in range(2):",
        "x = x + i",
        "x = x * 2",
        "print(x)",
    ]
    assert pasted.lines[5] == "import torch"  # on the line where it stood


def test_fences_and_prompts():
    fenced = read_pasted("My code\n```python\nx = 1\n```\nwhich prints\n```text\ny = 2\n```\n")
    assert [line for line in fenced.lines if line] == ["x = 1"]
    prompts = read_pasted("Look:\n>>> x = 1\n>>> for i in range(2):\n...     x += i\n>>> x\n2\n")
    assert [line for line in prompts.lines if line] == ["x = 1", "for i in range(2):", "    x += i", "x"]


def test_a_clean_script_is_code_as_a_whole():
    text = "x = undefined_name\ny = x\n"
    assert read_pasted(text).left_out == ()


def test_notebook_files(tmp_path):
    import json

    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["import torch\n", "w = torch.tensor(1.5, requires_grad=True)\n"]},
        {"cell_type": "code", "source": ["y = w**3\n", "y.backward()\n", "dw = 3*w.item()**2\n", "print(dw, w.grad)"]},
    ]
    path = tmp_path / "post.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    assert verify_script(path).verdict == "proved"
