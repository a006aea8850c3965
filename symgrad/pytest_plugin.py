"""For test suites: the ``symgrad`` fixture, which is `symgrad.assert_gradient`, and ``--symgrad-seed``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from symgrad.report.report import Report


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("symgrad")
    group.addoption("--symgrad-seed", type=int, default=0, help="the seed of every gradient check (default: 0)")


@pytest.fixture
def symgrad(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`symgrad.assert_gradient` with the seed of the command line."""
    from symgrad.api.testing import assert_gradient

    seed = request.config.getoption("--symgrad-seed")

    def check(formula: Any, hand: Any = None, **options: Any) -> Report:
        __tracebackhide__ = True
        return assert_gradient(formula, hand, **{"seed": seed, **options})

    return check
