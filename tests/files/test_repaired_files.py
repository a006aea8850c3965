"""Repairs in many files at once: a patch and one copy for each that can be put right."""

import shutil
import subprocess
import sys

from symgrad.files.answers import Wanted
from symgrad.files.questions import Options, answer_all, find
from symgrad.files.repaired_files import repair
from symgrad.files.targets import targets_of

TWICE = """
import torch

class {name}(torch.autograd.Function):
    at = {{"x": (2,)}}

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        dx = 2 * x**2 * g
        return dx
"""


def test_all_repairs_of_a_file_are_one_patch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = TWICE.format(name="A") + TWICE.format(name="B")
    (tmp_path / "kernels.py").write_text(text)
    (tmp_path / "right.py").write_text("model = 'x**2'\nhand = '2*x'\n")
    found = [q for t in targets_of(["kernels.py", "right.py"]) for q in find(t, Options())]
    answers = answer_all(found, Options(), Wanted(), None)
    patch, wrote, nothing = repair(answers, found, Options(), None)
    assert wrote.text == "symgrad: wrote kernels_repaired.py, which was checked too: proved."
    assert nothing.text == "symgrad: there is nothing to repair in right.py."
    assert patch.is_patch
    mended = (tmp_path / "kernels_repaired.py").read_text()
    assert mended == text.replace("2 * x**2 * g", "3 * x**2 * g")
    if shutil.which("patch"):
        subprocess.run(["patch", "kernels.py"], input=f"{patch.text}\n", text=True, check=True, capture_output=True)
        assert (tmp_path / "kernels.py").read_text() == mended


def test_where_there_is_no_repair_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # as Python comes
    (tmp_path / "net.py").write_text("model = 'x**3'\nhand = 5.0\nat = {'x': 2.0}\n")
    found = [q for t in targets_of(["net.py"]) for q in find(t, Options())]
    (told,) = repair(answer_all(found, Options(), Wanted(), None), found, Options(), None)
    assert told.text == "symgrad: no repair was found that could be written; no file was written."
    assert [p.name for p in tmp_path.iterdir()] == ["net.py"]
    assert not sys.dont_write_bytecode
