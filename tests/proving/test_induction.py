"""Loops of any number of turns: what is proved of them, each kind of turn once, and what is not claimed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from symgrad.program.builder import Builder
from symgrad.program.program import Strided
from symgrad.proving.induction import Induction, Theorems, prove_for_all, walk
from symgrad.proving.periods import family_of
from symgrad.proving.scalar_records import NoScalars, ScalarRecord, scalar_records


def entry(b: Builder, x: int, t: int) -> int:
    return b.pick([x], Strided(t, ()), ())


def tanh_loop(n: int, square: Callable[[Builder, int, int, int, int], int]) -> ScalarRecord:
    """h = tanh(w h + x[t]) for n turns: d/dw going back, beside one that writes 1 - h**2 as ``square`` does."""
    b = Builder()
    w, x = b.input("w", ()), b.input("x", (n,))
    one, h = b.number(1), [b.input("h", ())]
    for t in range(n):
        h.append(b.apply("tanh", b.add(b.mul(w, h[-1]), entry(b, x, t))))
    totals = []
    for way in (lambda t: b.sub(one, b.mul(h[t + 1], h[t + 1])), lambda t: square(b, one, h[t + 1], t, n)):
        total, g = b.number(0), one
        for t in reversed(range(n)):
            before = b.mul(g, way(t))
            total = b.add(total, b.mul(before, h[t]))
            g = b.mul(before, w)
        totals.append(total)
    return scalar_records(b.build({}), {"w": (totals[1], totals[0])})["w"]


def factors(b: Builder, one: int, h: int, t: int, n: int) -> int:
    return b.mul(b.sub(one, h), b.add(one, h))


def prove(record_at: Callable[[int], ScalarRecord], **more: int) -> Induction | None:
    return prove_for_all("n", record_at, Theorems(), **more)


@pytest.mark.slow
def test_an_equality_of_one_turn_is_proved_once_and_holds_in_every_turn():
    found = prove(lambda n: tanh_loop(n, factors))
    assert found is not None
    assert found.least == 1
    assert found.rules == ("induction over n",)
    theorems = Theorems()
    walks = {n: walk(tanh_loop(n, factors), theorems) for n in (20, 40)}
    known = dict(theorems.known)
    walk(tanh_loop(150, factors), theorems)
    assert theorems.known == known
    turn = len(walks[20]) - len(walk(tanh_loop(19, factors), theorems))
    assert len(walks[40]) - len(walks[20]) == 20 * turn


@pytest.mark.parametrize(
    "slip",
    [
        lambda b, one, h, t, n: b.sub(one, h),  # in each turn
        lambda b, one, h, t, n: b.sub(one, h) if t == 0 else factors(b, one, h, t, n),  # in the first
        lambda b, one, h, t, n: b.sub(one, h) if t == n - 1 else factors(b, one, h, t, n),  # in the last
        lambda b, one, h, t, n: b.sub(one, h) if t == 6 else factors(b, one, h, t, n),  # in one in the middle
        lambda b, one, h, t, n: b.sub(one, h) if n > 20 else factors(b, one, h, t, n),  # of many turns
        lambda b, one, h, t, n: b.sub(one, h) if n == 5 else factors(b, one, h, t, n),  # at one size
        lambda b, one, h, t, n: b.sub(one, h) if t % 2 else factors(b, one, h, t, n),  # in every other turn
    ],
)
def test_a_slip_in_any_turn_at_any_size_is_no_theorem(slip):
    assert prove(lambda n: tanh_loop(n, slip)) is None


def test_what_holds_in_every_turn_but_the_last_sizes_is_told_from_there_on():
    slip = lambda b, one, h, t, n: b.sub(one, h) if n == 1 else factors(b, one, h, t, n)  # noqa: E731
    found = prove(lambda n: tanh_loop(n, slip), own=2)
    assert found is not None
    assert found.least == 2
    assert prove(lambda n: tanh_loop(n, slip), own=1) is None


def test_a_size_that_the_code_writes_is_looked_at():
    slip = lambda b, one, h, t, n: b.sub(one, h) if n == 64 else factors(b, one, h, t, n)  # noqa: E731
    assert prove(lambda n: tanh_loop(n, slip)) is not None
    assert prove_for_all("n", lambda n: tanh_loop(n, slip), Theorems(), beside=[64]) is None


def total_of(n: int, terms: Callable[[Builder, int, int], list[int]], factor: Fraction = Fraction(1)) -> ScalarRecord:
    """The sum of x[t]**2 over the turns, beside one of ``terms`` times a factor."""
    b = Builder()
    x = b.input("x", (n,))
    sums = []
    for entries in ([b.mul(entry(b, x, t), entry(b, x, t)) for t in range(n)], terms(b, x, n)):
        total = entries[0]
        for e in entries[1:]:
            total = b.add(total, e)
        sums.append(total)
    scaled = b.mul(b.number(factor), sums[1])
    return scalar_records(b.build({}), {"x": (scaled, sums[0])})["x"]


def test_a_sum_is_one_in_any_order_and_with_factors_anywhere():
    def backwards(b: Builder, x: int, n: int) -> list[int]:
        twice = [b.mul(b.number(2), entry(b, x, t)) for t in reversed(range(n))]
        return [b.mul(b.neg(e), b.neg(e)) for e in twice]

    assert prove(lambda n: total_of(n, backwards, Fraction(1, 4))) is not None
    assert prove(lambda n: total_of(n, backwards, Fraction(1, 2))) is None
    short = lambda b, x, n: backwards(b, x, n)[: max(1, n - 1)]  # noqa: E731
    assert prove(lambda n: total_of(n, short, Fraction(1, 4))) is None


def test_turns_within_turns_are_no_sequence_of_turns():
    squares = lambda b, x, n: [b.mul(entry(b, x, t), entry(b, x, t)) for t in range(n)]  # noqa: E731
    assert prove(lambda n: total_of(n * n, squares)) is None
    assert family_of(3, [[(("a",), (n * n,))] for n in (3, 4, 5)]) is None


def test_a_loop_over_blocks_gains_a_blocks_turns_at_each_size():
    met = [[(("turn",), (t, 2 * t)) for t in range(4 * n)] for n in (8, 9, 10)]
    family = family_of(8, met)
    assert family is not None
    assert family.loops == 1
    assert family.at(33) == [(("turn",), (t, 2 * t)) for t in range(132)]
    assert family_of(8, [met[0], met[1], met[2][:-1]]) is None


def test_what_only_one_side_needs_is_asked_of_no_equality():
    """x/x is 1 wherever it has a value; sqrt(x)**2 is x only where x is not negative, which x does not say."""

    def record(n: int) -> ScalarRecord:
        b = Builder()
        x = b.input("x", (n,))
        left = right = b.number(0)
        for t in range(n):
            e = entry(b, x, t)
            left = b.add(left, b.mul(e, b.integer_power(b.apply("sqrt", e), 2)))
            right = b.add(right, b.mul(e, e))
        return scalar_records(b.build({}), {"x": (left, right)})["x"]

    found = prove(record)
    assert found is not None  # wherever both have a value, which is where no entry is negative


def test_a_matrix_function_is_of_no_few_numbers():
    b = Builder()
    x = b.input("x", (1, 2, 2))
    inverse = b.emit("inverse", (x,), None, (1, 2, 2))
    with pytest.raises(NoScalars):
        scalar_records(b.build({}), {"x": (inverse, x)})
