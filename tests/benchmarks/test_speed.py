"""How fast verify answers, beside gradcheck: ``pytest tests/benchmarks --benchmark-enable``.

Without that option each case runs once, and what is tested is that verify and gradcheck both find it right.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import symgrad
from symgrad import verify

from .cases import CASES, Case

SLOW = {"tanh RNN, T = 1000"}


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


SECONDS = """
import sympy, torch, time
start = time.perf_counter()
import symgrad.verifier
print(time.perf_counter() - start)
"""


def test_import_adds_less_than_half_a_second_to_sympy_and_torch(tmp_path):
    # A compiled copy, as an installation has it: a checkout may be told to write no bytecode.
    shutil.copytree(Path(symgrad.__file__).parent, tmp_path / "symgrad")
    compileall.compile_dir(tmp_path, quiet=1)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", SECONDS]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True, env=environment) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.5
