"""Patterns are found by meaning."""

from __future__ import annotations

from functools import partial

from symgrad.stability.pattern_matching import applied, pattern
from symgrad.stability.term_algebra import everywhere


def test_a_pattern_is_found_in_any_order_and_under_a_factor():
    def became(before, after, term):
        return [str(t) for t in everywhere(partial(applied, pattern(before), pattern(after)), pattern(term))]

    assert became("1 - sigmoid(z)", "sigmoid(-z)", "a - sigmoid(b)*a") == ["a*sigmoid(-1*b)"]
    assert became("log(1 + u)", "log1p(u)", "log(x + 1 - y)") == ["log1p(x + -1*y)"]
    assert became("exp(u)/(1 + exp(u))", "sigmoid(u)", "exp(-z)/(1 + exp(-z))**2") == [
        "(1 + exp(-1*z))**(-1)*sigmoid(-1*z)"
    ]
    assert became("1 - sigmoid(z)", "sigmoid(-z)", "1 - sigmoid(a)*sigmoid(b)") == []
