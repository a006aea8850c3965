"""How fast verify answers, beside gradcheck: ``pytest tests/benchmarks --benchmark-enable``.

Without that option each case runs once, and what is tested is that verify and gradcheck both find it right.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

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


SECONDS = "import time; import {0}; start = time.perf_counter(); import {1}; print(time.perf_counter() - start)"


def importing(modules: str, after: str) -> float:
    """Seconds that an import takes in a fresh process in which others are already loaded."""
    code = SECONDS.format(after, modules)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_import_adds_less_than_half_a_second_to_sympy_and_torch():
    assert min(importing("symgrad.verifier", "sympy, torch") for _ in range(2)) < 0.5
