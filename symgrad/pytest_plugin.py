"""For test suites: the ``symgrad`` fixture, which is `symgrad.assert_gradient`, and ``--symgrad-seed``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Unpack

import pytest

if TYPE_CHECKING:
    from symgrad.api.testing import Surrogate
    from symgrad.report.report import Report
    from symgrad.typing import FormulaLike, FunctionLike, FunctionOptions, HandLike


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("symgrad")
    group.addoption("--symgrad-seed", type=int, default=0, help="the seed of every gradient check (default: 0)")


@pytest.fixture
def symgrad(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`symgrad.assert_gradient` with the seed of the command line."""
    from symgrad.api.testing import assert_gradient

    seed: Any = request.config.getoption("--symgrad-seed")

    def check(
        formula: FormulaLike | FunctionLike | Surrogate,
        hand: HandLike | Surrogate | None = None,
        **options: Unpack[FunctionOptions],
    ) -> Report:
        __tracebackhide__ = True
        options.setdefault("seed", seed)
        return assert_gradient(formula, hand, **options)

    return check
