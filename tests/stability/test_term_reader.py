"""Steps read as terms of what they mean, and terms written as steps again."""

from __future__ import annotations

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import lift
from symgrad.evaluation.balls import Balls, ball_of
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.program import interpret
from symgrad.stability.pattern_matching import applied, pattern
from symgrad.stability.rules import RULES
from symgrad.stability.term_algebra import algebra, everywhere
from symgrad.stability.term_reader import Reader, written

FORMULAS = st.recursive(
    st.sampled_from(["x", "y", "2", "0.5", "3"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda a: f"exp({a}/8)"),
        inner.map(lambda a: f"sigmoid({a})"),
        inner.map(lambda a: f"log(1 + ({a})**2)"),
        inner.map(lambda a: f"(1/(2 + ({a})**2))"),
    ),
    max_leaves=6,
)


def exactly(program, step, point):
    with precision(300):
        return interpret(program, Balls(), {n: ball_of(point[n]) for n in program.inputs}, [step])[step]


@settings(max_examples=60, deadline=None)
@given(FORMULAS, st.floats(-3, 3), st.floats(-3, 3))
def test_a_term_means_what_its_step_does_and_so_does_what_the_rules_make_of_it(text, x, y):
    program = lift(f"({text}) + 0*x*y", at={"x": x, "y": y})
    own = program.outputs["value"]
    term = Reader(program).read(own)
    wanted = exactly(program, own, {"x": x, "y": y})
    made = [term, *algebra(term)]
    for rule in RULES:
        if not rule.where and "sum" not in rule.before:
            made += list(everywhere(partial(applied, pattern(rule.before), pattern(rule.after)), term))[:2]
    for other in made[:12]:
        b = Builder.on(program)
        step = written(b, other, "float64")
        got = exactly(b.build({}), step, {"x": x, "y": y})
        if got.is_finite() and wanted.is_finite():
            assert (got - wanted).contains(0), f"{text} became {other}"
