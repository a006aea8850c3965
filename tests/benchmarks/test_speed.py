"""How fast verify answers, beside gradcheck: ``pytest -n 0 tests/benchmarks --benchmark-enable``.

Without that option each case runs once, and what is tested is that verify and gradcheck both find it right.
"""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.cases import CASES, Case

import symgrad
from symgrad import verify

SLOW = {"tanh RNN, T = 1000"}
pytestmark = pytest.mark.slow


def cases(request: pytest.FixtureRequest) -> Case:
    case = request.param
    if case.name in SLOW and request.config.getoption("benchmark_disable"):
        pytest.skip("only timed, with --benchmark-enable")
    return case


case = pytest.fixture(params=CASES, ids=lambda c: c.name)(cases)


def test_verify(case, benchmark):
    report = benchmark(verify, case.model, case.hand, wrt=case.wrt, at=case.at)
    assert report.ok


def test_gradcheck(case, benchmark):
    assert benchmark(case.gradcheck)


SHARE = """
import time
start = time.process_time()
import sympy, torch
sympy.Symbol("x") - 1  # at its first sum SymPy imports its tensors and groups
theirs = time.process_time()
import symgrad.verifier
print(symgrad.__file__, (time.process_time() - theirs) / (theirs - start))
"""


def test_import_adds_less_than_a_third_to_what_sympy_and_torch_take(tmp_path):
    # A compiled copy, as an installation has it: a checkout may be told to write no bytecode.
    shutil.copytree(Path(symgrad.__file__).parent, tmp_path / "symgrad")
    compileall.compile_dir(tmp_path, quiet=1)
    shares = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", SHARE], capture_output=True, text=True, check=True, cwd=tmp_path)
        where, share = done.stdout.split()
        assert Path(where).is_relative_to(tmp_path)
        shares.append(float(share))
    assert min(shares) < 1 / 3


FIRST = """
import sys
import torch
from symgrad import verify

point = {"w": 1.25, "x": 0.5}
report = verify(lambda w, x: torch.tanh(w * x), lambda w, x: {"w": x / torch.cosh(w * x) ** 2}, at=point)
print(report.verdict, "torch._dynamo" in sys.modules)
"""


def test_a_question_leaves_torchs_compiler_unloaded(tmp_path):
    (tmp_path / "first.py").write_text(FIRST, encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "first.py"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["proved", "False"]
