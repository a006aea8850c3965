"""The rules of stable forms, in balls: both sides have one value, and the right one wherever the left one has."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb

from symgrad.evaluation.balls import Balls, array_of, ball_of, flat
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.program import interpret
from symgrad.stability.pattern_matching import pattern, substituted
from symgrad.stability.rules import RULES, Rule
from symgrad.stability.term_algebra import Call, Leaf, Term, Var, parts
from symgrad.stability.term_reader import written

one = lambda x: np.asarray(float(x))  # noqa: E731


# ------------------------------------------------------------------------------------------------ the rules


def variables(term: Term) -> set[str]:
    return {term.name} if isinstance(term, Var) else {n for p in parts(term) for n in variables(p)}


def reduces(term: Term) -> bool:
    heads = ("sum", "prod", "softmax", "log_softmax", "logsumexp")
    return (isinstance(term, Call) and term.head in heads) or any(map(reduces, parts(term)))


def in_balls(rule: Rule, values: dict[str, np.ndarray]) -> tuple[list, list]:
    """Both sides of a rule at a point, in balls, entry by entry."""
    n = max(np.size(v) for v in values.values())
    b = Builder()
    bound: dict = {name: Leaf(b.input(name, v.shape)) for name, v in values.items()}
    shape = next(iter(values.values())).shape
    bound["axes"] = ((tuple(range(len(shape))), len(shape)), True)
    sides = [written(b, substituted(pattern(side, n), bound), "float64") for side in (rule.before, rule.after)]
    with precision(400):
        exact = {name: array_of([ball_of(x) for x in v.reshape(-1).tolist()], v.shape) for name, v in values.items()}
        found = interpret(b.build({}), Balls(), exact, sides)
    return list(flat(found[sides[0]])), list(flat(found[sides[1]]))


def points_for(rule: Rule, count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    before = pattern(rule.before, 4)
    shape = (4,) if reduces(before) else ()
    bounds = {}
    for name in {w[0] for w in rule.where}:
        known = [w for w in rule.where if w[0] == name]
        bounds[name] = (
            max((w[1] for w in known if w[1] is not None), default=None),
            min((w[2] for w in known if w[2] is not None), default=None),
        )
    out = []
    for _ in range(count):
        values = {}
        for name in sorted(variables(before)):
            low, high = bounds.get(name, (None, None))
            size = 10.0 ** rng.uniform(-4, 1.2, shape)
            x = size * rng.choice([-1.0, 1.0], shape)
            if low is not None and high is not None:
                x = low + (high - low) * rng.uniform(0.001, 0.999, shape)
            elif low is not None:
                x = low + size
            elif high is not None:
                x = high - size
            values[name] = np.asarray(x)
        out.append(values)
    return out


def faults_of(rule: Rule) -> list[str]:
    """What is wrong with a rule: points where the sides differ, or where only the left has a value."""
    found, judged = [], 0
    for values in points_for(rule, 40):
        left, right = in_balls(rule, values)
        if not all(x.is_finite() for x in left):
            continue
        judged += 1
        if not all(x.is_finite() for x in right):
            found.append(f"no value at {values}")
        elif not all(
            (x - y).contains(0) and (x - y).rad() < arb(10) ** -40 * (1 + abs(x)) for x, y in zip(left, right)
        ):
            found.append(f"differs at {values}: {left}, {right}")
    return found if judged >= 10 else [*found, f"only {judged} points have a value"]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_each_rule_holds_and_adds_no_undefined_point(rule):
    assert faults_of(rule) == []


@pytest.mark.parametrize(
    "rule",
    [
        Rule("1 - sigmoid(z)", "sigmoid(z)"),
        Rule("sqrt(a) - sqrt(b)", "(a + b)/(sqrt(a) + sqrt(b))", (("a", 0, None), ("b", 0, None))),
        Rule("log(a*b)", "log(a) + log(b)"),  # no value where both are negative
        Rule("sum(x**2)/N - sum(x)**2/N**2", "sum((x - sum(x)/N)**2)"),
    ],
    ids=str,
)
def test_a_wrong_rule_is_noticed(rule):
    assert faults_of(rule) != []


def test_no_rule_stands_twice():
    assert len({str(r) for r in RULES}) == len(RULES)
