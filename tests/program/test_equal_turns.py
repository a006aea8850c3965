"""Turns of a loop that do the same, as one step: the values stay what they were, and the steps no longer grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import lift
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.ops.row import precision
from symgrad.program.equal_turns import turns_together
from symgrad.program.program import interpret


def windows(x, w):
    return torch.stack([x[i : i + len(w)] @ w for i in range(len(x) - len(w) + 1)])


def double_loop(x, w):
    s = 0.5
    for i in range(len(x) - len(w) + 1):
        for j in range(len(w)):
            s = s - torch.sin(x[i + j]) * w[j]
    return s


def loop_in_a_loop(x, w):
    s = 0.0
    for i in range(len(x) - len(w) + 1):
        s = s + sum(w[j] * x[i + j] for j in range(len(w))) ** 2
    return s


def counted(x, w):
    return sum(i * x[i] for i in range(1, len(x))) + w.sum()


def rows(x, w):
    return torch.stack([torch.cat([x[i : i + 1] * w, w]).sum() / (1 + x[i] ** 2) for i in range(len(x))])


ALIKE = [windows, double_loop, loop_in_a_loop, counted, rows]


def values(program, point):
    with precision(128):
        found = interpret(program, Balls(), {n: binary(point[n]) for n in program.inputs}, [program.output])
    return [float(v) for v in flat(found[program.output])]


def both(code, n):
    rng = np.random.default_rng(n)
    point = {"x": rng.normal(size=n), "w": rng.normal(size=3)}
    program = lift(code, at=point)
    return point, program, turns_together(program)


@pytest.mark.parametrize("code", ALIKE)
def test_the_values_stay_and_the_steps_do_not_grow(code):
    lengths = set()
    for n in (5, 8):
        point, program, together = both(code, n)
        truth = code(**{k: torch.tensor(v) for k, v in point.items()})
        np.testing.assert_allclose(values(together, point), truth.reshape(-1), rtol=1e-12)
        np.testing.assert_allclose(values(together, point), values(program, point), rtol=1e-12)
        assert len(together.steps) < len(program.steps)
        lengths.add(len(together.steps))
    assert len(lengths) == 1


def test_what_depends_on_the_turn_before_is_left_as_it_is():
    def recurrence(x, w):
        h = x[0]
        for t in range(1, len(x)):
            h = torch.tanh(h * w[0] + x[t])
        return h

    found = [both(recurrence, n) for n in (5, 8)]
    for point, program, together in found:
        assert values(together, point) == values(program, point)
    assert len(found[0][2].steps) < len(found[1][2].steps)


def test_parts_that_are_made_in_different_ways_are_not_put_together():
    def mixed(x, w):
        return torch.stack([torch.sin(x[0]), torch.cos(x[1]), w[0]])

    point, program, together = both(mixed, 4)
    assert values(together, point) == values(program, point)
    assert [s.op for s in together.steps if s.op in ("sin", "cos")] == ["sin", "cos"]


def test_exponents_that_differ_are_no_one_power():
    def powers(x, w):
        return torch.stack([x[k] ** (k + 2) for k in range(3)]) * w

    point, program, together = both(powers, 4)
    np.testing.assert_allclose(values(together, point), values(program, point), rtol=1e-15)
