"""Repairs: what is offered for a faulty line, judged by running the repaired code against autograd in float64.

Where the faults are is given here (localisation has tests of its own): the truth of a line is what the same line of the
right derivation computes.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.planted import ARRAYS, Derivation, arrays, chain, function, slips
from support.repairs import POST, Diagnosis, Fault, beside, problem_of, repaired

from symgrad import verify
from symgrad.checking.judge import judge
from symgrad.checking.results import Repair
from symgrad.diagnosis.differences import changed
from symgrad.diagnosis.repair import propose, repair
from symgrad.diagnosis.source_code import edited, expression_of, function_unit, rebuild, statement_at
from symgrad.lifting.formulas import open_formula


def autograd_says(d: Derivation, source: str) -> None:
    """The repaired code runs, and gives torch's own gradient of the model in float64 to rounding."""
    scope: dict[str, Any] = {}
    header = d.hand[: d.hand.index("def hand")]
    exec(compile(header + source, "<repaired>", "exec"), scope)
    got = scope["hand"](**{n: _given(d, v) for n, v in d.at.items()})
    reference = d.model.replace("import numpy as np", "import torch").replace("from math import", "from torch import")
    reference = reference.replace("np.zeros(3)", "torch.zeros(3, dtype=torch.float64)").replace("np.", "torch.")
    reference = reference.replace("axis=", "dim=").replace("keepdims", "keepdim")
    inputs = {n: torch.tensor(v, dtype=torch.float64, requires_grad=n in d.wrt) for n, v in d.at.items()}
    exec(compile(reference, "<reference>", "exec"), scope)
    scope["model"](**inputs).backward()
    for name in d.wrt:
        torch.testing.assert_close(torch.as_tensor(got[name], dtype=torch.float64), inputs[name].grad)


def _given(d: Derivation, value: Any) -> Any:
    return torch.tensor(value, dtype=torch.float64) if "import torch" in d.hand else value


# ------------------------------------------------------------------------------------------------ the tanh RNN post

BACKWARD = replace(
    POST,
    hand="""from math import tanh

def hand(w_h, w_y, h0):
    h1_raw = w_h * h0
    h1 = tanh(h1_raw)
    h2_raw = w_h * h1
    h2 = tanh(h2_raw)
    dy2 = 1
    dw_y = h2 * dy2
    dh2 = w_y * dy2
    dh2_raw = (1 - h2**2) * dh2
    dh1 = w_h * dh2_raw
    dh1_raw = (1 - h1**2) * dh1
    dw_h = h1 * dh2_raw + h0 * dh1_raw
    return {'w_h': dw_h, 'w_y': dw_y}
""",
)


@pytest.mark.parametrize("post", [POST, BACKWARD], ids=["forward", "backward"])
def test_the_value_before_tanh_is_replaced_by_the_value_after_it(post: Derivation):
    wrong = post.hand.replace("1 - h1**2", "1 - h1_raw**2").replace("1 - h2**2", "1 - h2_raw**2")
    found, source = repaired(post, wrong)
    assert {r.edit for r in found} == {("h1_raw", "h1"), ("h2_raw", "h2")}
    assert all(r.proved and r.kind == "name" for r in found)
    first = next(r for r in found if r.edit[1] == "h1")
    assert first.why == "h1_raw is the value before tanh; tanh'(z) = 1 - tanh(z)**2, so here 1 - h1**2."
    assert source is not None
    assert post.hand.endswith(source)  # comments, spaces and all other lines are as they were
    autograd_says(post, source)


def test_an_edit_may_fit_and_still_be_refused_when_the_derivation_stays_wrong():
    """With the truth of one line only, the other line is still wrong: nothing is offered as a repair of the whole."""
    wrong = POST.hand.replace("1 - h1**2", "1 - h1_raw**2").replace("1 - h2**2", "1 - h2_raw**2")
    half = POST.hand.replace("1 - h1**2", "1 - h1_raw**2")  # taken for right, though its first line is wrong
    assert repaired(POST, wrong, half) == ((), None)


# ------------------------------------------------------------------------------------------------ slips by kind

MLP = arrays("mlp")
KINDS = [
    ("mlp", "db1 = dZ.sum(axis=0)", "db1 = dZ", "reduction"),
    ("mlp", "db1 = dZ.sum(axis=0)", "db1 = dZ.sum(axis=1)", "axis"),
    ("mlp", "dA = dP @ W2.T", "dA = dP @ W2[:, [0, 1]].T * 2", None),
    ("mlp", "dP = 2 * (P - Y) / n", "dP = 2 * (P - Y)", "divide"),
    ("mlp", "dP = 2 * (P - Y) / n", "dP = (P - Y) / n", "factor"),
    ("mlp", "dP = 2 * (P - Y) / n", "dP = 2 * (Y - P) / n", "operand order"),
    ("mlp", "dW1 = X.T @ dZ", "dW1 = dZ.T @ X", None),
    ("cross-entropy", "- Y) / n", "- Y)", "divide"),
    ("rnn", "dh = Wh.T @ dz", "dh = Wh @ dz", "transpose"),
    ("rnn", "dWx += np.outer(dz, x[t])", "dWx += np.outer(x[t], dz).T * 2", "drop factor"),
    ("rnn", "dWh += np.outer(dz, hs[t])", "dWh += np.outer(dz, hs[t + 1])", "index"),
    ("attention", "dS = P * (dP - (dP * P).sum(1, keepdim=True))", "dS = dP * P * (1 - P)", None),
    ("layer norm", "dxc = dxhat * inv + 2 * xc * dvar / n", "dxc = dxhat * inv", "term"),
]


@pytest.mark.parametrize(("name", "right", "wrong", "kind"), KINDS)
def test_array_slips(name: str, right: str, wrong: str, kind: str | None):
    d = arrays(name)
    assert right in d.hand
    found, source = repaired(d, d.hand.replace(right, wrong))
    assert [r.proved for r in found] == [True]
    assert kind is None or found[0].kind == kind
    assert source is not None
    autograd_says(d, source)


def test_two_slips_in_one_derivation_are_repaired_together():
    d = arrays("mlp")
    wrong = d.hand.replace("dA = dP @ W2.T", "dA = dP @ W2.T * n").replace("db2 = dP.sum(axis=0)", "db2 = dP")
    found, source = repaired(d, wrong)
    assert {r.step for r in found} == {"dA", "db2"}
    assert all(r.proved for r in found)
    assert source is not None
    autograd_says(d, source)


def test_where_no_edit_is_small_the_formula_is_written_in_the_users_names():
    wrong = BACKWARD.hand.replace("dh1_raw = (1 - h1**2) * dh1", "dh1_raw = h0 + w_y / 7")
    found, source = repaired(BACKWARD, wrong)
    assert [r.proved for r in found] == [True]
    names = {n.id for n in ast.walk(ast.parse(found[0].after)) if isinstance(n, ast.Name)}
    assert names <= {"h1", "h1_raw", "dh1", "dh2_raw", "w_h", "tanh"}
    assert source is not None
    autograd_says(BACKWARD, source)


def test_a_line_in_a_helper_is_repaired_there():
    text = POST.hand.replace("dh1_dwh = (1 - h1**2) * dh1raw_dwh", "dh1_dwh = slope(h1) * dh1raw_dwh")
    text = text.replace("def hand", "def slope(h):\n    ds = 1 - h**2\n    return ds\n\ndef hand")
    d = replace(POST, hand=text)
    found, source = repaired(d, text.replace("ds = 1 - h**2", "ds = 1 - h"))
    assert [(r.step, r.after, r.proved) for r in found] == [("ds", "1 - h**2", True)]
    assert source is not None
    assert "ds = 1 - h**2" in source


@pytest.mark.slow
def test_planted_slips_are_repaired_and_proved():
    """Scalar chains in both styles and array code, with one slip each: nearly every top repair is proved."""
    rng = np.random.default_rng(20261)
    proved, seen = 0, 0
    while seen < 40:
        d = (
            chain(rng, int(rng.integers(2, 4)), bool(rng.integers(2)))
            if rng.random() < 0.6
            else arrays(list(ARRAYS)[int(rng.integers(5))])
        )
        _, wrong, _ = list(slips(d))[int(rng.integers(len(list(slips(d)))))]
        try:
            verdicts = judge(problem_of(function(d.model, "model"), function(wrong), wrt=d.wrt, at=d.at)).verdicts
        except Exception:  # the planted slip does not run: shapes that do not fit
            continue
        if all(v.kind in ("proved", "agrees") for v in verdicts.values()):
            continue  # the slip changes nothing
        seen += 1
        found, source = repaired(d, wrong)
        if found and all(r.proved for r in found):
            assert source is not None
            autograd_says(d, source)
            proved += 1
    assert proved >= 38


# ------------------------------------------------------------------------------------------------ whole formulas


def whole(model: str, hand: str, wrt: str, right: str) -> tuple[tuple[Repair, ...], str | None]:
    problem = problem_of(model, hand, wrt=wrt, at=None)
    findings = judge(problem)
    truth = open_formula(right).run(problem.inputs.point, problem.dtypes).program
    program, place = beside(findings.own.program, truth)
    pair = next(p for p in findings.own.pairs if p.name == wrt)
    fault = Fault(wrt, (), None, {pair.hand: place[truth.output]})
    proposals = propose(problem, findings, Diagnosis(program, (fault,)))
    return repair(problem, [p.all_edits for p in proposals])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("x*(1 - (w*x)**2)", "x*(1 - tanh(w*x)**2)"),
        ("1 - tanh(w*x)**2", "x*(1 - tanh(w*x)**2)"),
        ("x*(1 + tanh(w*x)**2)", "x*(1 - tanh(w*x)**2)"),
        ("w*(1 - tanh(w*x)**2)", "x*(1 - tanh(w*x)**2)"),
        ("x - tanh(w*x)**2", "x*(1 - tanh(w*x)**2)"),
    ],
)
def test_text_is_repaired_without_being_run(wrong: str, right: str):
    found, source = whole("tanh(w*x)", wrong, "w", right)
    assert [r.proved for r in found] == [True]
    assert source == found[0].after
    for w, x in ((0.5, 1.25), (-0.75, 0.5)):
        t = torch.tensor(w, dtype=torch.float64, requires_grad=True)
        torch.tanh(t * x).backward()
        assert eval(source, {"tanh": np.tanh, "w": w, "x": x}) == pytest.approx(t.grad.item(), rel=1e-12)


# ------------------------------------------------------------------------------------------------ the user's own text


def test_only_the_span_of_an_edit_changes():
    text = "def hand(a, b):\n    c = a * b  # why not\n    return {'a': c}\n"
    unit = function_unit(function(text))
    assert unit is not None
    expression = expression_of(unit, statement_at(unit, 2, "c"), "c")
    assert expression is not None
    assert expression.text == "a * b"
    after = edited(unit.text, [(expression.start, expression.end, "a + b")])
    assert after == text.replace("a * b", "a + b")


def test_a_rebuilt_function_keeps_its_closure_and_defaults():
    text = "def make(k):\n    def hand(x, n=3):\n        return k * x**n\n    return hand\n"
    inner = function(text, "make")(5.0)
    unit = function_unit(inner)
    assert unit is not None
    made = rebuild(inner, unit.text.replace("k * x", "k + x"))
    assert made is not None
    assert made(2.0) == 13.0


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ("a * b", "a * c", ("b", "c")),
        ("f(a, b) + 1", "f(a, b) + 2", ("1", "2")),
        ("a @ b.T", "a @ b", ("b.T", "b")),
        ("x.sum(axis=0)", "x.sum(axis=1)", ("0", "1")),
        ("a + b", "a - b", ("a + b", "a - b")),
    ],
)
def test_the_smallest_part_that_changed(before: str, after: str, part: tuple[str, str]):
    assert changed(before, after) == part
    assert ast.parse(after)


# ------------------------------------------------------------------------------------------------ sizes by chance


def test_labels_that_are_given_are_no_others_at_other_lengths():
    """The gradient by heart is that of the sum: it lacks the length, and drawn labels would be none."""

    def loss(W, X, Y):
        Z = X @ W
        return -(Y * (Z - np.log(np.exp(Z).sum(axis=1, keepdims=True)))).sum() / X.shape[0]

    def by_heart(W, X, Y):
        Z = X @ W
        P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
        dZ = P - Y
        dW = X.T @ dZ
        return {"W": dW}

    report = verify(loss, by_heart, at={"W": (3, 4), "X": (5, 3), "Y": np.eye(4)[[0, 1, 2, 3, 0]]})
    assert report.wrong_steps == ("dZ",)
    assert report.repairs[0].after == "(P - Y) / X.shape[0]"


def gelu_inner(x):
    return torch.tanh(x + 0.25 * x**3).sum()


def of_gelu_inner(x):
    t = np.tanh(x + 0.25 * x**3)
    return (1 - t**2) * (1 + 0.25 * x**2)


def test_a_factor_that_is_a_length_by_chance_is_the_number():
    report = verify(gelu_inner, of_gelu_inner, at={"x": (5, 3)})
    (one,) = report.repairs
    assert one.proved
    assert "shape" not in one.after
    x = np.linspace(-1, 1, 8).reshape(2, 4)  # of another shape it is the derivative all the same
    mended = eval(one.after, {"np": np, "x": x, "t": np.tanh(x + 0.25 * x**3)})
    t = torch.tensor(x, requires_grad=True)
    gelu_inner(t).backward()
    assert t.grad is not None
    np.testing.assert_allclose(mended, t.grad.numpy(), rtol=1e-12)


def test_a_length_is_a_length_where_it_is_meant():
    def hand(x):
        return 2 * x

    report = verify(lambda x: (x**2).mean(), hand, at={"x": (3,)})
    (one,) = report.repairs
    assert re.search(r"len\(x\)|x\.shape\[0\]|x\.size|\.mean", one.after)
