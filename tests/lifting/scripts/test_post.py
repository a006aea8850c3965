"""Posts as they are pasted: what is around the code goes, the code stays on its lines, what was changed is told."""

import textwrap

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput, UserCodeFailed
from symgrad.lifting.scripts.extraction import read_pasted

CODE = """\
import numpy as np
import torch

def slope(w):
    s = np.tanh(2*w)
    return 2*(1 - s**2)

w0 = np.array([0.5, -1.0])
w = torch.tensor(w0, requires_grad=True)
loss = torch.tanh(2*w).sum()
loss.backward()
for k in range(2):
    if k > 0:
        print('row', k)
dw = slope(w0)
print(w.grad, dw)
"""
LINES = CODE.splitlines()


def code_of(text):
    return [line.rstrip() for line in read_pasted(text).lines if line.strip()]


WHOLE = [line for line in LINES if line]


def in_session(lines):
    """As an interactive session shows it: a block ends with an empty line that has dots."""
    out = []
    for line in lines:
        starts = bool(line) and not line[0].isspace()
        if starts and out and not out[-1].startswith(">>>") and out[-1] != "...":
            out.append("...")
        out.append((">>> " if starts else "... ") + line if line else "...")
    return out


POSTS = {
    "prose": ["Hello,", "my gradient is off, why?", "", *LINES, "", "Thanks for any help!", "-- Bob"],
    "prose and output": [
        *LINES,
        "",
        "tensor([0.8400, 0.1413], dtype=torch.float64) [0.83994868 0.14130165]",
        "",
        "So?",
    ],
    "a fence": ["Why?", "```python", *LINES, "```", "It prints `[0.84 0.14]`, x = 3."],
    "a fence without a language, and one with output": ["~~~", *LINES, "~~~", "gives", "```text", "w = 3", "```"],
    "quote marks": ["> " + line if line else ">" for line in ["You wrote:", "", *LINES]] + ["", "Looks fine to me."],
    "a block set off by four spaces": ["My code is:", "", *("    " + line for line in LINES), "", "What is wrong?"],
    "a session": ["This is what I did:", "", *in_session(LINES), "tensor([0.84, 0.14]) [0.84 0.14]", "", "Why?"],
    "one cell": ["In [54]:", *LINES, "", "Out[54]: tensor([0.84, 0.14])"],
    "cells of a terminal": ["In [1]: import numpy as np", "In [2]: import torch", ""]
    + ["In [3]: def slope(w):", "   ...:     s = np.tanh(2*w)", "   ...:     return 2*(1 - s**2)", "   ...:", ""]
    + ["In [4]: w0 = np.array([0.5, -1.0])", "   ...: w = torch.tensor(w0, requires_grad=True)"]
    + ["   ...: " + line for line in LINES[9:]]
    + ["", "In [5]: w.grad", "Out[5]: ", "tensor([0.8400,", "        0.1413])"],
    "line numbers": [f"{k:3d}  {line}" for k, line in enumerate(LINES, 1)],
    "line numbers with colons": ["From my editor:", *(f"{k}: {line}" for k, line in enumerate(LINES, 11))],
    "a traceback": [*LINES, "", "Traceback (most recent call last):", '  File "net.py", line 3, in <module>']
    + [
        "    dw = slope(w0)",
        "         ^^^^^^^^^",
        "ValueError: operands could not be broadcast (2,) (3,)",
        "",
        "Help!",
    ],
    "a traceback of a notebook": [*LINES, "", "-" * 75, "NameError                   Traceback (most recent call last)"]
    + ["<ipython-input-3-1a2b> in <module>", "      1 x = 3", "----> 2 dw = slop(w0)", ""]
    + ["NameError: name 'slop' is not defined"],
    "magics": ["%matplotlib inline", "!pip install torch", *LINES, "%timeit slope(w0)", "?slope"],
    "formulas": [
        "The loss is $L = \\sum_k \\tanh(2 w_k)$ and",
        "$$",
        "\\frac{dL}{dw} = 2 (1 - \\tanh^2(2w))",
        "$$",
        *LINES,
    ],
    "a table of output": [*LINES, "", "epoch 1 loss 0.25", "epoch 2 loss 0.13", "[1.0, 2.0]", "0.5"],
    "a patch": ["--- a/net.py", "+++ b/net.py", "@@ -1,16 +1,16 @@", *(" " + line for line in LINES[:-2])]
    + ["-dw = slop(w0)", "+" + LINES[-2], " " + LINES[-1]],
    "a list": ["What I tried:", "1. more epochs", "2. a smaller rate", "* a larger net", "", *LINES],
}


@pytest.mark.parametrize("name", POSTS)
def test_the_code_of_a_post_and_nothing_else(name):
    text = "\n".join(POSTS[name]) + "\n"
    pasted = read_pasted(text)
    shown = [line for line in code_of(text) if line not in ("w.grad", "%timeit slope(w0)")]
    assert shown == WHOLE
    assert pasted.told == ()
    for number, line in enumerate(pasted.lines, 1):  # each line stands where it stood
        assert not line.strip() or line.strip() in text.splitlines()[number - 1]


@pytest.mark.parametrize("name", ["a session", "a block set off by four spaces", "quote marks", "a traceback"])
@pytest.mark.slow
def test_a_post_is_judged_and_its_wrong_line_is_the_line_of_the_paste(name):
    lines = POSTS[name]
    text = "\n".join(lines) + "\n"
    assert verify_script(text).verdict == "proved"
    wrong = text.replace("dw = slope(w0)", "dw = slope(w0)**2")
    report = verify_script(wrong)
    assert report.verdict == "refuted"
    number = next(k for k, line in enumerate(wrong.splitlines(), 1) if "slope(w0)**2" in line)
    assert [step.source.line for step in report.steps if step.verdict == "wrong"] == [number]


# ------------------------------------------------------------------------------------------------ changed, and told


def test_missing_imports_are_added_and_told():
    post = (
        "half of my notebook:\n\nw = torch.tensor([0.5, 1.0], requires_grad=True)\ny = F.relu(w).sum()\ny.backward()\n"
    )
    post += "dw = np.array([1.0, 1.0])\nprint(w.grad, dw, math.pi)\n"
    pasted = read_pasted(post)
    added = "import numpy as np; import torch; import torch.nn.functional as F; import math"
    assert pasted.lines[1] == added
    assert pasted.told == (f"I added what is missing: {added}.",)
    assert pasted.lines[2] == post.splitlines()[2]
    report = verify_script(post)
    assert report.ok
    assert pasted.told[0] in report.notes
    assert read_pasted("w = torch.ones(2)\n").lines == ["import torch; w = torch.ones(2)"]
    assert read_pasted("def f(w):\n    return np.sum(w)\nf(3.0)\n").lines[2] == "import numpy as np; f(3.0)"
    for text in ("def f(np): return np.x\n", "from math import *\nx = math\n", "for np in range(3): print(np)\n"):
        assert read_pasted(text).told == ()
    assert read_pasted("x = np.pi\n", ["np"]).told == ()


def test_python_2_is_read_as_python_3_and_told():
    post = textwrap.dedent("""\
        print the loss every ten steps:
        import torch
        w = torch.tensor(1.5, requires_grad=True)
        for t in xrange(3):
            y = w**3
            if t % 10 == 0: print t, y.item()   # progress
        try:
            y.backward()
        except RuntimeError, e:
            print e
        dw = 3*w.item()**2
        print "by hand %.3f and %.3f" % (dw,
            w.grad.item())
        print 'gradient:', w.grad, dw
        """)
    pasted = read_pasted(post)
    assert pasted.lines[0] == "import torch; xrange = range".replace("import torch; ", "")
    assert pasted.lines[5] == "    if t % 10 == 0: print(t, y.item())   # progress"
    assert pasted.lines[8:10] == ["except RuntimeError as e:", "    print(e)"]
    assert pasted.lines[11:14] == [
        'print("by hand %.3f and %.3f" % (dw,',
        "    w.grad.item()))",
        "print('gradient:', w.grad, dw)",
    ]
    assert pasted.told[0] == "Python 2 was read as Python 3, in which 1/2 is 0.5: line 6, 9-10, 12-14."
    assert verify_script(post).verdict == "proved"
    assert verify_script(post.replace("3*w.item()**2", "3*w.item()")).verdict == "refuted"


def test_curly_quotes_and_other_signs_are_read_as_plain_ones_and_told():
    post = "It’s wrong:\nimport torch\nw = torch.tensor(1.5,\u00a0requires_grad=True)\ny = w**2 − w\ny.backward()\n"
    post += "dw = 2*w.item() − 1  # the slope – by hand\nprint(“grad”, w.grad, dw)\nif dw &gt; 0: print(‘up’)\n"
    pasted = read_pasted(post)
    assert pasted.lines[6:] == ['print("grad", w.grad, dw)', "if dw > 0: print('up')"]
    assert pasted.told == ("Signs that no keyboard has, such as curly quotes, were read as plain ones: line 3-4, 6-8.",)
    assert pasted.left_out == ((1, "It’s wrong:"),)
    assert verify_script(post).verdict == "proved"
    valid = "x = 1.5\nprint('a – “b”')\n"
    assert read_pasted(valid).lines == valid.splitlines()  # a text that is Python is left as it is


def test_indentation_that_was_lost_is_restored_and_told():
    post = "\n".join(line.strip() for line in LINES).replace("dw = slope", "\ndw = slope") + "\n"
    pasted = read_pasted(post)
    assert [line for line in pasted.lines if line] == WHOLE
    assert pasted.told == (
        "The indentation of the text is lost. I took blocks to go on to a blank line or a return, and read as "
        "indented: line 5-6, 13-14.",
    )
    assert verify_script(post).verdict == "proved"
    methods = textwrap.dedent("""\
        class Net:
            def __init__(self, w):
                self.w = w

            def loss(self, x):
                if x > 0:
                    return self.w * x
                else:
                    total = 0
                    for k in range(3):
                        total += k
                return total

            @staticmethod
            def rate():
                return 0.5

        net = Net(2)
        """)
    restored = read_pasted("\n".join(line.strip() for line in methods.splitlines()))
    assert restored.lines == methods.splitlines()


def test_what_is_no_code_is_told_by_its_lines():
    assert "4 lines that are no code were left out: 1-2, 21-22." in verify_script("\n".join(POSTS["prose"])).notes
    with pytest.raises(BadInput, match="there is no Python code in this text"):
        read_pasted("Why does my network not learn?\nprint the loss, they said.\n")
    with pytest.raises(UserCodeFailed, match="name 'X_train' is not defined"):
        verify_script("import torch\nw = torch.ones(2, requires_grad=True)\ny = (w * X_train).sum()\n")
