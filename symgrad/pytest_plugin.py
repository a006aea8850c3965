"""For test suites: `assert_gradient`, the ``symgrad`` fixture and ``--symgrad-seed``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from symgrad.report.report import Report

__all__ = ["assert_gradient"]


def assert_gradient(formula: Any, hand: Any, **options: Any) -> Report:
    """Assert that ``hand`` is the derivative of ``formula``; the arguments are those of `symgrad.verify`.

    Returns the report, so that a test can ask for more (``report.verdict == "proved"``).  Raises `AssertionError` with
    the report, and the call that shows it again, if the gradient is refuted or undecided.

    >>> assert_gradient("x**2", "2*x").verdict
    'proved'
    """
    __tracebackhide__ = True
    from symgrad.verifier import verify

    report = verify(formula, hand, **options)
    if not report.ok:
        raise AssertionError(_message(report))
    return report


def _message(report: Report) -> str:
    lines = [f"Gradient is {report.verdict}!", "", str(report)]
    for claim in report.claims.values():
        if claim.witness is not None and claim.witness.reason != "shape":
            point = ", ".join(f"{name!r}: {_literal(value)}" for name, value in claim.witness.point.items())
            lines += ["", f"To see it again: verify(..., at={{{point}}}, seed={report.seed})"]
            break
    return "\n".join(lines)


def _literal(value: Any) -> str:
    """The value as Python code that makes it again."""
    if hasattr(value, "tolist"):
        plain = value.tolist()
        return repr(plain) if not isinstance(plain, list) else f"np.array({plain!r})"
    return repr(value)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("symgrad")
    group.addoption("--symgrad-seed", type=int, default=0, help="the seed of every gradient check (default: 0)")


@pytest.fixture
def symgrad(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`assert_gradient` with the seed of the command line."""
    seed = request.config.getoption("--symgrad-seed")

    def check(formula: Any, hand: Any, **options: Any) -> Report:
        __tracebackhide__ = True
        return assert_gradient(formula, hand, **{"seed": seed, **options})

    return check
