"""Numbers made whole that go through calls which nothing follows: what is made of them is seen all the same."""

import math
import struct

import pytest
import torch

from symgrad import verify

OF_A_NUMBER = {
    "math's functions of integers": (lambda x: x * x * math.isqrt(int(x) + 100), lambda x: 20 * x),
    "several of these": (lambda x: x * x * math.lcm(int(x) + 1, 12), lambda x: 24 * x),
    "its bits": (lambda x: x * x if int(x).bit_length() < 4 else x**3, lambda x: 2 * x),
    "a number in tens": (lambda x: x * x * (1 + round(int(x), -1)), lambda x: 2 * x),
    "its binary digits": (lambda x: x * x if len(bin(int(x))) < 5 else x**3, lambda x: 2 * x),
    "the larger of two": (lambda x: x * x * max(int(x), 5), lambda x: 10 * x),
    "a text that is read": (lambda x: x * x * int(f"{x:.0f}"), lambda x: 0 * x),
    "a text with decimals": (lambda x: x * x * float(f"{x + 0.01:.1f}"), lambda x: 0.8 * x),
    "bytes": (lambda x: x * x if struct.unpack("i", struct.pack("i", int(x)))[0] < 4 else x**3, lambda x: 2 * x),
    "a power of two": (lambda x: x * math.ldexp(1.0, int(x)), lambda x: 1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [float, lambda v: torch.tensor(v, dtype=torch.float64)], ids=["float", "tensor"])
@pytest.mark.parametrize(("model", "hand"), OF_A_NUMBER.values(), ids=OF_A_NUMBER)
def test_what_holds_for_one_number_alone_is_refuted(model, hand, kind):
    report = verify(model, hand, at={"x": kind(0.4)})
    assert report.verdict == "refuted", str(report)


def test_what_holds_for_a_few_bits_alone_is_refuted():
    assert verify(*OF_A_NUMBER["its bits"], at={"x": 0.4}).verdict == "refuted"


RIGHT = {
    "math's functions of integers": (
        lambda x: x * math.comb(int(x) ** 2 + 4, 2),
        lambda x: math.comb(int(x) ** 2 + 4, 2),
    ),
    "its bits": (
        lambda x: x * x if int(x).bit_length() < 4 else x**3,
        lambda x: 2 * x if int(x).bit_length() < 4 else 3 * x**2,
    ),
    "a number that is not used": (lambda x: [x * x, int(x)][0], lambda x: 2 * x),
}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "hand"), RIGHT.values(), ids=RIGHT)
def test_what_holds_for_each_number_is_right(model, hand):
    assert verify(model, hand, at={"x": 0.4}).ok


def test_what_the_code_looks_up_at_a_point_is_no_constant_of_another():
    """Each point is a run, also of code that decides nothing."""
    model = lambda x: x * x * float(repr(x.item())[:3])  # noqa: E731
    at = {"x": torch.tensor(3.44, dtype=torch.float64)}
    assert verify(model, lambda x: 2 * x * 3.4, at=at).verdict == "refuted"
