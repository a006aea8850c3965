"""Right formulas that break in floats: the points that are found, and what is said to write instead.

Judged against outside truth: every finding by mpmath, every rewrite by running it and by mpmath.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import mpmath
import pytest
import torch
from trust import unstable_formulas as family

from symgrad import find_instabilities, verify
from symgrad.errors import BadInput, UnknownName


def in_mpmath(text):
    names = {"sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)), "erfcx": lambda z: mpmath.exp(z * z) * mpmath.erfc(z)}
    names |= {f: getattr(mpmath, f) for f in "exp log sqrt tanh cosh sin cos erf erfc atan expm1 log1p".split()}
    names |= {"asinh": mpmath.asinh, "softplus": lambda z: mpmath.log1p(mpmath.exp(z)), "sinh": mpmath.sinh}
    names |= {"logsigmoid": lambda z: -mpmath.log1p(mpmath.exp(-z)), "abs": abs}
    return lambda point: eval(text, {**names, **{n: mpmath.mpf(float(x)) for n, x in point.items()}})


TEXTS = [c for c in (*family.UNSTABLE_FIRST, *family.UNSTABLE_SECOND) if isinstance(c.formula, str)]


@pytest.mark.parametrize("case", TEXTS, ids=str)
@pytest.mark.slow
def test_what_is_told_of_a_text_is_so_in_mpmath(case):
    found = family.asked(case)
    assert found.instabilities
    for i in found.instabilities:
        with mpmath.workdps(400):
            assert abs(in_mpmath(case.formula)(i.point) / mpmath.mpf(i.exact) - 1) < 1e-14
            if i.rewrite is not None:
                assert abs(in_mpmath(i.rewrite.text)(i.point) / mpmath.mpf(i.exact) - 1) < 1e-14
                unit = 1e-7 if i.dtype == "float32" else 1e-15
                assert abs(i.rewrite.given - i.exact) < 2000 * unit * abs(i.exact)
        assert not abs(i.computed - i.exact) < 1e-9 * abs(i.exact)


SOME = [c for c in (*family.UNSTABLE_FIRST, *family.UNSTABLE_SECOND) if not isinstance(c.formula, str)][::5]


@pytest.mark.slow
def test_unstable_code_is_found_and_rewritten():
    judged = [family.asked(c) for c in SOME]
    assert [str(f.case) for f in judged if not f.instabilities] == []
    assert [str(f.case) for f in judged if not f.is_rewritten] == []


@pytest.mark.slow
def test_stable_and_ill_conditioned_formulas_are_not_accused():
    judged = [family.asked(c) for c in (*family.STABLE_FIRST, *family.STABLE_SECOND)]
    assert [str(i) for f in judged for i in f.instabilities] == []


def slope(z):
    s = torch.sigmoid(z)
    return s * (1 - s)


def test_a_rewrite_reaches_over_lines_and_is_code_that_runs():
    (found,) = find_instabilities(slope, at={"z": (3,)}, dtype="float32")
    assert found.rewrite.after == "s * torch.sigmoid(-z)"
    assert found.rewrite.before == "s * (1 - s)"
    names = {"torch": torch}
    exec(found.rewrite.text, names)
    z = torch.tensor([17.0, -3.0, 80.0])
    right = torch.sigmoid(z.double()) * torch.sigmoid(-z.double())
    torch.testing.assert_close(names["slope"](z).double(), right, rtol=1e-6, atol=0)


def test_the_sentences(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)

    def softplus(x):
        return math.log(1 + math.exp(x))

    found = {i.kind: str(i) for i in find_instabilities(softplus)}
    line = softplus.__code__.co_firstlineno + 1
    assert found["overflow"] == "\n".join(
        [
            "At x = 1000, in float64, it gives inf; exact is 1000.",
            f"    test_instabilities.py:{line}:  return math.log(1 + math.exp(x))",
            f"    {' ' * len(f'test_instabilities.py:{line}:  ')}       ^^^^^^^^^^^^^^^^^^^^^^^^^",
            "    math.exp(x) overflows, and Python raises OverflowError.",
            "    Write instead:  max(x, 0) + math.log1p(math.exp(-abs(x)))",
            "    It is proved equal, and at this point gives 1000.",
        ]
    )
    (nothing,) = find_instabilities("1/tanh(x) - 1/x")
    assert "No other way to write it was found that is proved equal" in str(nothing).replace("\n    ", " ")


@pytest.mark.slow
def test_a_rewrite_that_is_good_on_one_side_says_on_which():
    def root(a, b, c):
        d = math.sqrt(b * b - 4 * a * c)
        return (-b + d) / (2 * a)

    found = find_instabilities(root, at={"a": 1.0, "b": 5.0, "c": 1.0})
    (cancels,) = [i for i in found if i.kind == "cancellation"]
    assert cancels.rewrite.after == "-2 * c / (b + d)"
    assert cancels.rewrite.where == "b > 0"


def test_a_domain_is_kept_and_the_seed_decides():
    assert find_instabilities("log(1 + exp(x))", domain={"x": (-5, 300)}) == ()
    (only,) = find_instabilities("log(1 + exp(x))", domain="x > 0")
    assert only.kind == "overflow"
    again = [find_instabilities("sin(x + y) - sin(x)", seed=3) for _ in range(2)]
    assert [str(i) for i in again[0]] == [str(i) for i in again[1]]


def test_each_branch_is_searched():
    def f(x):
        if x > 3:
            return x + math.log1p(math.exp(-x))
        return math.log(1 + math.exp(x))

    found = find_instabilities(f)
    assert [(i.kind, i.rewrite is not None) for i in found] == [("absorption", True)]


def test_data_stay_as_they_are():
    found = find_instabilities(lambda w, x: torch.log(1 + torch.exp(w * x)), at={"w": 2.0, "x": ()})
    assert found
    assert all(float(i.point["w"]) == 2.0 for i in found)


class Softplus(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(2, 1, bias=False)

    def forward(self, x):
        u = self.inner(x)
        return torch.log(1 + torch.exp(u))


def test_a_module_is_rewritten_in_its_own_forward_and_stays_as_it_is():
    module = Softplus()
    with torch.no_grad():
        module.inner.weight.copy_(torch.tensor([[1.0, -1.0]]))
    found = {i.kind: i for i in find_instabilities(module, at={"x": (2,)})}
    assert {i.rewrite.after for i in found.values()} == {"torch.nn.functional.softplus(u)"}
    assert list(found["overflow"].point) == ["x"]
    assert "forward" not in vars(module)
    assert torch.isinf(module(torch.tensor([100.0, 0.0]))).all()


def test_entries_that_happen_to_cancel_in_a_sum_are_not_told():
    assert find_instabilities(lambda x: torch.tanh(x).sum(), at={"x": (6,)}) == ()


def test_half_precision():
    found = find_instabilities(lambda x: torch.log(1 + torch.exp(x)), dtype="float16")
    assert {i.dtype for i in found} == {"float16"}
    assert any(i.kind == "overflow" and float(i.point["x"]) < 100 for i in found)


def test_what_cannot_be_asked():
    with pytest.raises(BadInput, match="no real float input"):
        find_instabilities(lambda z: (z * z).real, at={"z": torch.tensor(1 + 1j)})
    with pytest.raises(BadInput, match="effort"):
        find_instabilities("log(x)", effort=0)
    with pytest.raises(UnknownName, match="has 'y'"):
        find_instabilities("log(x)", at={"y": 1.0})


def test_a_report_says_what_to_write_at_the_users_own_point():
    def model(z):
        return torch.sigmoid(z).sum()

    def hand(z):
        s = torch.sigmoid(z)
        return {"z": s * (1 - s)}

    report = verify(model, hand, at={"z": torch.tensor([17.0, 0.5])})
    assert report.verdict == "proved"
    mine = next(i for i in report.instabilities if i.side == "hand")
    assert mine.rewrite.after == "s * torch.sigmoid(-z)"
    assert mine.kind == "cancellation"
    assert "Write instead:  s * torch.sigmoid(-z)" in str(report)
    assert "torch.sigmoid(-z)" in re.sub("</?span.*?>", "", report.to_html())
    told = json.loads(report.to_json())["instabilities"][0]["rewrite"]
    assert told["after"] == "s * torch.sigmoid(-z)"
    assert told["proved"] is True


def test_where_autograd_alone_loses_digits_the_hand_formula_is_said_to_keep_them():
    report = verify(torch.tanh, lambda x: 1 / torch.cosh(x) ** 2, at={"x": torch.tensor(20.0)})
    (i,) = report.instabilities
    assert i.side == "autograd"
    assert "Your formula keeps them." in " ".join(str(report).split())
