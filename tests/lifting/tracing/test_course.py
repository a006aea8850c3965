"""The course of a run: what loops, counters and lists tell, and that the code runs as it did."""

import math

import numpy as np
import pytest

from symgrad.lifting.tracing.functions import Function


def run(function, x):
    return Function.of(function).run({"x": np.array(x)})


def course(function, x, op):
    return [g for g in run(function, x).program.course if g.op == op]


def halved(x):
    while x > 1:
        x = x / 2
    return x


def in_two_loops(x):
    total = x
    for row in range(3):
        for column in range(row):
            total = total + column * x
    return total


def until_small(x):
    for _ in range(50):
        if x < 1:
            break
        x = x / 3
    else:
        return x * 0
    return x


def powers(x):
    return sum(x**k for k in range(4))


def by_itself(x):
    return x if x < 1 else by_itself(x / 2)


def counted(x):
    k = 0
    while x > 1:
        x, k = x / 2, k + 1
    return x if k == 7 else 2 * x


COEFFICIENTS = [1.0, 0.5, 0.25]


def looked_up(x):
    return sum(COEFFICIENTS[k] * x**k for k in range(2))


def left_inside(x):
    while True:
        for k in range(10):
            if k > 4:
                return x * k
            x = x + 1


@pytest.mark.parametrize(
    ("function", "x", "op", "counts"),
    [
        (halved, 5.0, "turns", [[3]]),
        (halved, 0.5, "turns", [[0]]),
        (in_two_loops, 2.0, "turns", [[0, 1, 2], [3]]),
        (until_small, 20.0, "turns", [[4]]),
        (powers, 2.0, "turns", [[4]]),
        (by_itself, 9.0, "calls", [[4]]),
        (by_itself, 0.5, "calls", [[0]]),
        (left_inside, 0.5, "turns", [[1], [6]]),
    ],
)
def test_the_turns_of_loops_and_the_calls_of_a_function_by_itself(function, x, op, counts):
    assert sorted(g.outcome.tolist() for g in course(function, x, op)) == counts
    assert np.allclose(run(function, x).values["output"], function(x))


def test_whether_a_value_ends_a_loop_and_how_many_turns_there_may_be():
    (by_value,) = course(halved, 5.0, "turns")
    (by_number,) = course(until_small, 20.0, "turns")
    assert by_value.params == (True, None)
    assert by_number.params == (False, 50)


def test_a_counter_that_is_compared():
    (told,) = course(counted, 5.0, "plain")
    assert told.params == "eq"
    assert told.outcome.tolist() == [[3.0, 7.0, 0.0]]
    assert told.source.text.endswith("k == 7 else 2 * x")


def test_conditions_that_only_end_a_loop_are_told_by_its_turns():
    def capped(x):
        k = 0
        while x > 1 and k < 20:
            x, k = x / 2, k + 1
            if k > 30:
                break
        assert k < 40
        return x

    assert course(capped, 5.0, "plain") == []


def test_places_of_a_list_of_plain_numbers():
    (told,) = course(looked_up, 2.0, "entry")
    assert told.outcome.tolist() == [0, 1]
    assert told.params[0] == 3


def test_the_same_numbers_are_the_same_table():
    other = [1.0, 0.5, 0.25]
    wrong = [1.0, 0.5, 0.125]
    tables = [
        course(lambda x, box=box: box[int(math.sqrt(4))] * x, 2.0, "entry")[0].params
        for box in (COEFFICIENTS, other, wrong)
    ]
    assert tables[0] == tables[1] != tables[2]


def test_a_function_that_calls_itself_is_followed_by_name():
    """Its own name is no variable of the place that it is compiled in."""
    bindings = run(by_itself, 9.0).program.guards
    assert [g.source.line for g in bindings] == [by_itself.__code__.co_firstlineno + 1] * len(bindings)
