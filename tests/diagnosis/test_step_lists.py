"""Repairs of lists of steps, in their own spelling."""

from __future__ import annotations

import pytest
import torch

from symgrad import verify


@pytest.mark.parametrize(
    ("model", "steps", "wrong", "after"),
    [
        (
            "exp(-x**2/2)",
            ["u = x**2", "y = exp(-u/2)", "dy/du = -y", "du/dx = 2*x", "dy/dx = dy/du * du/dx"],
            ("dy/du",),
            "-y / 2",
        ),
        (
            "tanh(w*tanh(w*x))",
            "h1 = tanh(w*x)\nz = w*h1\nh = tanh(z)\ndh1/dw = (1 - (w*x)**2)*x\ndz/dw = h1 + w*dh1/dw\n"
            "dh/dw = (1 - h**2)*dz/dw",
            ("dh1/dw",),
            "(1 - h1**2)*x",
        ),
        ("(2*a + b)*a", ["s = 2*a + b", "f = s*a", "ds/da = 2", "df/da = ds/da*a"], ("df/da",), "ds/da*a + s"),
    ],
)
def test_a_list_of_steps_is_repaired_in_its_own_spelling(model, steps, wrong, after):
    report = verify(model, steps)
    assert report.wrong_steps == wrong
    (repair,) = report.repairs
    assert (repair.after, repair.proved) == (after, True)
    assert verify(model, report.repaired_source, wrt=list(report.claims)).verdict == "proved"


def test_what_is_returned_for_each_input_is_a_line_of_its_own():
    def hand(a, b):
        return {"a": b * torch.exp(a * b) + a, "b": a * torch.exp(a)}

    report = verify(lambda a, b: torch.exp(a * b) + a**2, hand, at={"a": 1.2, "b": 0.4})
    assert [(r.step, r.after) for r in report.repairs] == [
        ("a", "b * torch.exp(a * b) + 2 * a"),
        ("b", "a * torch.exp(a * b)"),
    ]


def test_a_quantity_that_the_model_does_not_know_accuses_no_line():
    lines = ["z = w*x", "dL/dz = 2*z", "dL/dw = dL/dz*x"]
    report = verify("(w*x)**2", "\n".join(lines))
    assert (report.verdict, report.wrong_steps) == ("proved", ())
    wrong = verify("(w*x)**2", "\n".join([lines[0], "dL/dz = 3*z", lines[2]]))
    assert (wrong.verdict, wrong.wrong_steps) == ("refuted", ())
    told = verify("(w*x)**2", "\n".join([lines[0], "L = z**2", "dL/dz = 3*z", lines[2]]))
    assert told.wrong_steps == ("dL/dz",)
