"""Which lines are wrong by themselves: every wrong one, in order, and none that is only fed wrong values.

The judge is the generator (tests/derivations): it plants the slips, so it knows the lines.  The seeds here are not
those that were tuned on; the full numbers are printed by ``python -m derivations 1000 1080`` in the folder tests.
"""

from __future__ import annotations

import runpy

import numpy as np
import pytest
from derivations.diagnosing import diagnosed, measure
from derivations.generator import FAMILIES, derivation

from symgrad import verify
from symgrad.evaluation.floats import Floats
from symgrad.program.program import interpret

SEEDS = range(5000, 5006)
MANY = range(6000, 6040)


@pytest.mark.slow
def test_one_slip_is_detected_and_located():
    count, missed = measure(SEEDS, 1)
    assert count["made"] >= 25
    assert count["refuted"] == count["made"]
    assert count["exact"] >= 0.95 * count["made"], missed


@pytest.mark.slow
def test_two_slips_are_both_located():
    count, missed = measure(SEEDS, 2)
    assert count["made"] >= 10
    assert count["refuted"] == count["made"]
    assert count["exact"] >= 0.85 * count["made"], missed


@pytest.mark.slow
def test_right_derivations_are_never_accused():
    count, _ = measure(SEEDS, 0)
    assert count["made"] == len(SEEDS) * len(FAMILIES)
    assert count["refuted"] == count["accused"] == 0


@pytest.mark.hunt
def test_many_derivations_with_a_slip_and_without():
    count, missed = measure(MANY, 1)
    assert count["refuted"] == count["made"]
    assert count["exact"] >= 0.95 * count["made"], missed
    count, _ = measure(MANY, 0)
    assert count["refuted"] == count["accused"] == 0


def test_the_truth_of_a_wrong_line_is_what_the_right_derivation_computes():
    """Put into the wrong line's place, the truth makes the result the true gradient, in floats."""
    import torch

    made = derivation(5001, "mlp", 1)
    assert made is not None
    _, found = diagnosed(made)
    (fault,) = found.faults
    (binding,) = fault.bindings
    values = {n: torch.as_tensor(np.asarray(v)) for n, v in made.at.items()}
    truth = fault.truths[binding.step]
    program = found.program
    read = interpret(program, Floats("float64"), values, [truth])
    outputs = {k.removeprefix("hand."): i for k, i in program.outputs.items() if k.startswith("hand.")}
    put = {binding.step: read[truth]}
    results = interpret(program, Floats("float64"), values, outputs.values(), replaced=put)
    tensors = {n: torch.tensor(v, requires_grad=n in made.wrt) for n, v in made.at.items()}
    z1 = tensors["X"] @ tensors["W1"] + tensors["b1"]
    loss = ((torch.tanh(z1) @ tensors["W2"] - tensors["Y"]) ** 2).sum() / tensors["X"].shape[0]
    loss.backward()
    for name, i in outputs.items():
        torch.testing.assert_close(results[i], tensors[name].grad)


# ------------------------------------------------------------------------------------------------ the traps


def rnn(w, v, h0):
    import math

    h = h0
    for _ in range(3):
        z = w * h
        h = math.tanh(z)
    return v * h


def truncated(w, v, h0):
    import math

    hs = [h0]
    for _ in range(3):
        z = w * hs[-1]
        h = math.tanh(z)
        hs.append(h)
    dv = hs[-1]
    dw = 0.0
    dh = v * 1.0
    for t in (2, 1, 0):
        dz = (1 - hs[t + 1] ** 2) * dh
        dw += dz * hs[t]
        dh = 0.5 * w * dz
    return {"w": dw, "v": dv}


POINT = {"w": 1.1, "v": 0.7, "h0": 0.4}


def test_a_loop_is_accused_once_with_all_its_rounds():
    report = verify(rnn, truncated, wrt=["w", "v"], at=POINT)
    assert report.wrong_steps == ("dh",)
    wrong = [(s.name, s.version) for s in report.steps if s.verdict == "wrong"]
    assert wrong == [("dh", 1), ("dh", 2)]  # the last round's is used by nothing


def long_rnn(w, v, h0):
    import math

    h = h0
    for _ in range(12):
        h = math.tanh(w * h)
    return v * h


def second_last(w, v, h0):
    import math

    hs = [h0]
    for _ in range(12):
        hs.append(math.tanh(w * hs[-1]))
    dv = hs[-2]
    dw = 0.0
    dh = v
    for t in reversed(range(12)):
        dz = (1 - hs[t + 1] ** 2) * dh
        dw = dw + dz * hs[t]
        dh = w * dz
    return {"w": dw, "v": dv}


def test_a_value_that_is_given_a_second_name_stays_what_it_is():
    """What dv should be is no reason to change hs[11], which dw rightly uses."""
    report = verify(long_rnn, second_last, wrt=["w", "v"], at=POINT)
    assert report.wrong_steps == ("dv",)
    assert [(r.before, r.after, r.proved) for r in report.repairs] == [("hs[-2]", "hs[-1]", True)]


def vanishing(w, v, h0):
    import math

    hs = [h0]
    for _ in range(3):
        z = w * hs[-1]
        h = math.tanh(z)
        hs.append(h)
    dv = hs[-1]
    dw = 0.0
    dh = v * 1.0
    for t in (2, 1, 0):
        dz = (1 - hs[t + 1] ** 2) * dh
        dw += dz * hs[t] * (1.0 if t else 3.0)
        dh = w * dz
    return {"w": dw, "v": dv}


def test_no_tolerance_hides_a_wrong_part_that_has_vanished():
    """The last round's part is some 1e-24 of the whole: floats cannot see that it is three times too large."""
    report = verify(rnn, vanishing, wrt=["w", "v"], at={"w": 1e-8, "v": 0.7, "h0": 1.0})
    assert report.wrong_steps == ("dw",)


def unrolled(folder, lines, slip):
    """A recurrence and its derivative forwards, a line for each; line d{slip} forgets a square."""
    slopes = [f"(1 - h{t}{'' if t == slip else '**2'}) * (h{t - 1} + w * d{t - 1})" for t in range(1, lines + 1)]
    text = ["import math", "def model(w, h0):"]
    text += [f"    h{t + 1} = math.tanh(w * h{t})" for t in range(lines)]
    text += [f"    return h{lines}", "def hand(w, h0):", "    d0 = 0"]
    text += [f"    h{t + 1} = math.tanh(w * h{t})" for t in range(lines)]
    text += [f"    d{t} = {slope}" for t, slope in enumerate(slopes, 1)]
    file = folder / f"unrolled_{lines}_{slip}.py"
    file.write_text("\n".join([*text, f"    return {{'w': d{lines}}}", ""]))
    return runpy.run_path(str(file))


@pytest.mark.parametrize("slip", [1, 2, 15, 29, 30])
def test_a_slip_is_found_however_many_lines_it_goes_through(tmp_path, slip):
    """Each line after the slip would make the result right if it were put right; the first of them is to blame."""
    made = unrolled(tmp_path, 30, slip)
    report = verify(made["model"], made["hand"], wrt="w", at={"w": 1.25, "h0": 0.5})
    assert report.wrong_steps == (f"d{slip}",)
    (repair,) = report.repairs
    assert repair.proved
    assert repair.after == f"(1 - h{slip}**2) * (h{slip - 1} + w * d{slip - 1})"
    assert "misnamed" not in {s.verdict for s in report.steps}  # that d7 is a derivative by w is all that it says


def layer(W, b, X, g):
    return (g * np.tanh(X @ W + b)).sum()


def unreduced(W, b, X, g):
    h = np.tanh(X @ W + b)
    d_a = g * (1 - h**2)
    d_W = X.T @ d_a
    d_b = d_a
    return {"W": d_W, "b": d_b}


def test_a_gradient_that_was_not_reduced():
    at = {"W": (3, 4), "b": (4,), "X": (4, 3), "g": (4, 4)}
    report = verify(layer, unreduced, wrt=["W", "b"], at=at)
    assert report.wrong_steps == ("d_b",)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_line_of_a_right_derivation_is_understood(family):
    made = derivation(5002, family, 0)
    assert made is not None
    _, found = diagnosed(made)
    assert {s.verdict for s in found.steps} <= {"right", "forward", "unused"}


def test_a_right_report_accuses_no_line():
    made = derivation(5003, "softmax cross-entropy", 0)
    assert made is not None
    report = verify(made.model, made.hand, wrt=list(made.wrt), at=made.at)
    assert report.ok
    assert report.wrong_steps == ()
