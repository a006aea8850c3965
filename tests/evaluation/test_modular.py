"""Arithmetic modulo primes, judged by python-flint."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpz, nmod
from hypothesis import given
from hypothesis import strategies as st

from symgrad.evaluation.modular import LOW_TURNING, NARROW, TURNING, WIDE, Retry, extended, tower


@pytest.mark.parametrize("first", WIDE + NARROW + TURNING + LOW_TURNING)
def test_towers_are_primes_each_on_the_one_before(first):
    below = None
    for f in tower(first):
        assert fmpz(f.p).is_prime()
        assert f.p < 2**32
        if below is not None:
            assert (f.p - 1) % below == 0
            assert f.g != 1
            assert pow(f.g, below, f.p) == 1
        assert f.p % 8 == 5 if f.i else f.p % 4 == 3
        assert not f.i or f.i**2 % f.p == f.p - 1
        below = f.p


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=40))
def test_arithmetic_is_flints(numbers):
    f = tower(WIDE[0])[3]
    a = np.array([n % (f.p - 1) + 1 for n in numbers], dtype=np.uint64)
    flint = [nmod(int(k), f.p) for k in a]
    assert f.inverse(a).tolist() == [int(1 / k) for k in flint]
    assert f.power(a, 12345).tolist() == [int(k**12345) for k in flint]
    assert f.mul(a, a[::-1]).tolist() == [int(k * m) for k, m in zip(flint, flint[::-1], strict=True)]


def test_matrix_products_are_exact():
    f = tower(WIDE[-1])[3]
    draw = np.random.default_rng(0)
    a, b = (draw.integers(0, f.p, s, dtype=np.uint64) for s in ((2, 5, 300), (2, 300, 3)))
    exact = (a.astype(object) @ b.astype(object)) % f.p
    assert (f.matmul(a, b) == exact).all()


@pytest.mark.parametrize("first", [NARROW[0], TURNING[0], LOW_TURNING[0]])
def test_the_exponential_is_one(first):
    f = tower(first)[1]
    draw = np.random.default_rng(1)
    a, b = (draw.integers(0, f.below, 20, dtype=np.uint64) for _ in range(2))
    assert (f.exp((a + b) % f.below) == f.exp(a) * f.exp(b) % f.p).all()
    assert (f.log(f.exp(a)) == a).all()
    assert f.log(f.exp(7)) == 7
    with pytest.raises(Retry):
        f.log(0)


def test_every_number_has_a_root_in_the_extension():
    f = extended(NARROW[0])[2]
    a = np.random.default_rng(2).integers(1, f.p, 100, dtype=np.uint64)
    root = f.sqrt(a)
    assert (f.mul(root, root) == a).all()
    with pytest.raises(Retry):  # half of them have none below
        tower(NARROW[0])[2].sqrt(a)
    z = int(f.mul(root, root[::-1])[0]) | 5 << 32
    square = f.mul(z, z)
    assert f.mul(f.sqrt(square), f.sqrt(square)) == square
    assert f.mul(f.inverse(z), z) == 1
