"""Repairs of pasted scripts, judged by running them: what they give is compared with autograd's gradient."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from symgrad import verify_script

POSTS = Path(__file__).parents[1] / "posts"


def test_the_repaired_tanh_post_prints_the_same_gradient_three_times():
    report = verify_script(POSTS / "tanh_rnn.txt")
    assert report.wrong_steps == ("dh1_dwh", "dh2_dwh", "dh2_raw", "dh1_raw")
    assert [r.edit for r in report.repairs] == [("h1_raw", "h1"), ("h2_raw", "h2"), ("h2_raw", "h2"), ("h1_raw", "h1")]
    assert all(r.proved for r in report.repairs)
    assert "h1_raw is the value before tanh" in report.repairs[0].why
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(report.repaired_source, {})
    automatic, *mine = (part.strip() for part in out.getvalue().splitlines()[0].split("<>"))
    assert automatic == "tensor(8.1888)"
    assert [round(float(x), 4) for x in mine] == [8.1888, 8.1888]


LOOP = """
import torch, numpy as np
torch.manual_seed(1)
x = torch.randn(4)
w = torch.tensor(0.7, requires_grad=True)
h = torch.zeros(())
for t in range(4):
    h = torch.tanh(w * h + x[t])
h.backward()
def slope(a):
    return 1 - a**2
hs = [0.0]
for t in range(4):
    hs.append(np.tanh(w.item() * hs[-1] + x[t].item()))
dw, dh = 0.0, 1.0
for t in (3, 2, 1, 0):
    dz = dh * slope(hs[t + 1])
    dw = dw + dz * hs[t + 1]
    dh = dz * w.item()
print(w.grad, dw)
"""


def test_a_loop_in_a_script_that_calls_a_helper_of_its_own():
    report = verify_script(LOOP)
    assert report.wrong_steps == ("dw",)
    (repair,) = report.repairs
    assert repair.after == "dw + dz * hs[t]"
    scope: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(report.repaired_source, scope)
    assert float(scope["dw"]) == pytest.approx(float(scope["w"].grad), rel=1e-6)
