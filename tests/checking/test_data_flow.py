"""Lines whose value had no say in any gradient: the choices that give them one are met together, or cost the word."""

from __future__ import annotations

import pytest
import torch

from symgrad import verify

AT = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", -0.59), ("y", 0.44))}


@pytest.mark.slow
def test_a_wrong_line_whose_value_is_used_beyond_another_choice_is_met_there():
    """Both sides of both conditions come up without it: the slope is wrong where x > 0, and used where y > 0.8 too."""

    def model(x, y):
        t = torch.exp(-x * x)
        n = 0
        while n < x and n < 4:
            t = t * y
            n += 1
        if n > 0:
            t = t * t
        return y * torch.sin(t if (torch.stack([y, y * t, x]) > 0.5).sum() == 2 else x)

    def hand(x, y, slope):
        t, t_x, t_y = torch.exp(-x * x), -2 * x * torch.exp(-x * x), torch.zeros_like(x)
        n = 0
        while n < x and n < 4:
            t_x, t_y = t_x * y, t_y * y + t
            t = t * y
            n += 1
        if n > 0:
            t_x = slope * t * t_x
            t_y = 2 * t * t_y
            t = t * t
        if (torch.stack([y, y * t, x]) > 0.5).sum() == 2:
            s, s_x, s_y = torch.sin(t), torch.cos(t) * t_x, torch.cos(t) * t_y
        else:
            s, s_x, s_y = torch.sin(x), torch.cos(x), torch.zeros_like(x)
        return {"x": y * s_x, "y": s + y * s_y}

    right = verify(model, lambda x, y: hand(x, y, 2), at=AT, points=16)
    wrong = verify(model, lambda x, y: hand(x, y, 3), at=AT, points=16)
    assert (right.verdict, wrong.claims["x"].verdict.kind) == ("agrees", "refuted")
    point = wrong.claims["x"].witness.point
    assert point["x"] > 0
    assert point["y"] > 0.5


def test_a_line_whose_use_is_not_found_costs_the_word():
    """The value of ``s`` above is never used below, for the two conditions exclude each other, which is not seen."""

    def model(x, y):
        return x**2 * y if x * x > y * y else x * y

    def hand(x, y):
        t = 2 * x
        if abs(x) > abs(y):
            s = t * 7
        else:
            s = y * 1
        return {"x": s if x * x <= y * y else t * y, "y": x if x * x <= y * y else x**2}

    report = verify(model, hand, at=AT)
    (choice,) = (c for c in report.coverage if c.what == "what becomes of s")
    assert report.verdict == "undecided"
    assert [(o.value, o.state) for o in choice.outcomes] == [("unused", "reached"), ("used", "not reached")]
    assert choice.text == "s = t * 7"


def test_what_no_run_can_read_again_costs_nothing():
    """Values of the same name in the other arm, before a return, in another function, or overwritten anyway."""

    def helper(x):
        s = x * x
        return s * x

    def model(x, y):
        return helper(x) * y if x > y else x * y**2

    def hand(x, y):
        g = torch.zeros_like(x)
        if x > y:
            s = x * x
            g = 3 * x**2 * y
            return {"x": g, "y": helper(x)}
        s = y * y
        if s > 3:
            s = y * helper(y) / y**2
        g = s * 1
        return {"x": g, "y": 2 * x * y}

    report = verify(model, hand, at=AT)
    assert report.verdict == "proved"
    assert not [c for c in report.coverage if c.what.startswith("what becomes of")]
