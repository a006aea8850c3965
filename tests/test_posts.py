"""The two questions that symgrad was written for, answered end to end, from the files in `notebooks/posts`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from support.golden import without_floats

from symgrad import verify, verify_script

POSTS = Path(__file__).resolve().parent.parent / "notebooks" / "posts"
PASTED = Path(__file__).resolve().parent / "posts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, POSTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rnn, net = load("tanh_rnn"), load("sigmoid_net")

WRONG = """
Wrong: your gradient for w_h is not the derivative (w_y is right).

The wrong lines
{lines}
    With these changes it is proved; report.repaired_source holds it.

w_h: wrong
    At your own point (w_h = 2, w_y = 40, h0 = 0.5):
        yours     -40.2153
        exact       8.18881
        autograd    8.18881
    At w_h = 1, w_y = 2, h0 = 0.5:
        yours  1.3167
        exact  1.39171

w_y: right, proved
"""
FORWARD = """
    notebooks/posts/tanh_rnn.py:28:
    - dh1_dwh = (1 - h1_raw**2) * dh1raw_dwh
                     ^^^^^^
    + dh1_dwh = (1 - h1**2) * dh1raw_dwh
    notebooks/posts/tanh_rnn.py:30:
    - dh2_dwh = (1 - h2_raw**2) * dh2raw_dwh
    + dh2_dwh = (1 - h2**2) * dh2raw_dwh
    The same slip in lines 28 and 30: h1_raw is the value before tanh;
    tanh'(z) = 1 - tanh(z)**2, so here 1 - h1**2.
"""
BACKWARD = """
    notebooks/posts/tanh_rnn.py:47:
    - dh2_raw = (1 - h2_raw**2) * dh2
                     ^^^^^^
    + dh2_raw = (1 - h2**2) * dh2
    notebooks/posts/tanh_rnn.py:49:
    - dh1_raw = (1 - h1_raw**2) * dh1
    + dh1_raw = (1 - h1**2) * dh1
    The same slip in lines 47 and 49: h2_raw is the value before tanh;
    tanh'(z) = 1 - tanh(z)**2, so here 1 - h2**2.
"""


@pytest.mark.parametrize(
    ("hand", "lines"),
    [(rnn.hand_forward, FORWARD), (rnn.hand_backward, BACKWARD)],
    ids=["forward chain", "backward pass"],
)
def test_both_derivations_of_the_tanh_network_are_refuted(hand, lines, monkeypatch):
    monkeypatch.chdir(POSTS.parents[1])
    report = verify(rnn.model, hand, at=rnn.at, dtype=rnn.dtype)
    assert report.verdict == "refuted"
    assert report.claims["w_h"].kind == "refuted"
    assert report.claims["w_y"].kind == "proved"
    assert " ".join(without_floats(report).split()).startswith(" ".join(WRONG.format(lines=lines).split()))


@pytest.mark.parametrize(
    ("hand", "wrong"),
    [(rnn.hand_forward, ("dh1_dwh", "dh2_dwh")), (rnn.hand_backward, ("dh2_raw", "dh1_raw"))],
    ids=["forward chain", "backward pass"],
)
def test_the_four_slips_are_named_and_the_repaired_code_gives_autograds_number(hand, wrong):
    report = verify(rnn.model, hand, at=rnn.at)
    assert report.wrong_steps == wrong
    assert [r.step for r in report.repairs if r.proved] == list(wrong)
    space = dict(vars(rnn))
    assert report.repaired_source is not None
    exec(report.repaired_source, space)
    w_h, w_y = (torch.tensor(rnn.at[n], dtype=torch.float64, requires_grad=True) for n in ("w_h", "w_y"))
    rnn.model(w_h, w_y, rnn.at["h0"]).backward()
    mine = space[hand.__name__](**rnn.at)
    assert mine["w_h"] == pytest.approx(w_h.grad.item(), rel=1e-13)
    assert mine["w_y"] == pytest.approx(w_y.grad.item(), rel=1e-13)


def test_the_post_as_it_was_pasted_names_the_same_four_lines():
    report = verify_script(PASTED / "tanh_rnn.txt")
    assert report.verdict == "refuted"
    assert set(report.wrong_steps) == {"dh1_dwh", "dh2_dwh", "dh2_raw", "dh1_raw"}
    assert verify_script(PASTED / "sigmoid_net.txt").verdict == "proved"


def test_the_witness_of_the_tanh_network_can_be_checked_with_outside_arithmetic():
    import mpmath

    witness = verify(rnn.model, rnn.hand_forward, at=rnn.at).claims["w_h"].witness
    assert witness is not None
    w, y, h0 = (mpmath.mpf(float(witness.point[name])) for name in ("w_h", "w_y", "h0"))
    exact = mpmath.diff(lambda w: y * mpmath.tanh(w * mpmath.tanh(w * h0)), w)
    assert abs(exact - mpmath.mpf(witness.exact)) < 1e-5
    assert abs(exact - mpmath.mpf(witness.hand)) > 1e-2


def test_the_repaired_tanh_network_is_proved():
    report = verify(rnn.model, rnn.hand_right, at=rnn.at)
    assert {name: claim.kind for name, claim in report.claims.items()} == {"w_h": "proved", "w_y": "proved"}


def test_the_sigmoid_network_is_right_and_its_differences_are_rounding():
    report = verify(net.model, net.hand, at=net.at)
    assert report.verdict == "proved"
    for claim in report.claims.values():
        rounding = claim.rounding
        assert rounding is not None
        assert rounding.autograd is not None
        assert rounding.dtype == "float32"
        assert rounding.hand.within
        assert rounding.autograd.within


@pytest.mark.hunt
def test_200_sigmoid_networks_raise_no_false_alarm():
    alarms = []
    for seed in range(200):
        torch.manual_seed(seed)
        model = net.SingleLayerNet(10)
        x = np.random.default_rng(seed).normal(size=(1, 3)).astype(np.float32)
        report = verify(model, net.hand, at={"x": x}, seed=seed)
        beyond = [c.name for c in report.claims.values() if c.rounding is None or c.rounding.hand.within is False]
        if not report.ok or beyond:
            alarms.append((seed, report.verdict, beyond))
    assert alarms == []


@pytest.mark.parametrize("name", ["linear1.weight", "linear2.weight"])
def test_a_slip_of_one_part_in_a_million_is_no_rounding(name):
    hand = net.hand

    def slightly_wrong(linear1_weight, linear2_weight, x):
        right = hand(linear1_weight, linear2_weight, x)
        return {**right, name: right[name] * (1 + 2.0**-20)}

    report = verify(net.model, slightly_wrong, at=net.at)
    assert [c.name for c in report.claims.values() if c.kind == "refuted"] == [name]
