"""Certificates: those of right gradients hold, whole; every error that is planted in one is seen."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.custom import Tanh
from support.proved_questions import questions

from symgrad import verify, verify_function
from symgrad.proving.certificates import certify
from symgrad.proving.checker import check_certificate
from symgrad.proving.congruence import Link
from symgrad.proving.proof import Proof

ASKED = {q.name: q for q in questions()}
Branch = dict[str, Any]


@functools.cache
def certified(name: str) -> str:
    """The certificate of a question, as JSON."""
    return json.dumps(ASKED[name].ask().certificate())


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.slow
def test_the_certificate_of_a_right_gradient_holds(name):
    found = check_certificate(certified(name))
    assert all(c.accepted for c in found), "\n".join(map(str, found))


class Sine(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return torch.sin(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return g * torch.cos(ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx, t):
        return t * torch.cos(ctx.saved_tensors[0])


def test_the_tangents_of_a_function_are_certified_too():
    """There two values are compared, and nothing is differentiated by an input."""
    found = check_certificate(verify_function(Sine, at={"x": (2,)}).certificate())
    assert [c.name for c in found] == ["x", "jvp"]
    assert all(c.accepted for c in found), "\n".join(map(str, found))


def test_what_is_not_proved_has_no_certificate():
    data = verify("x**3", "3*x", wrt="x").certificate()
    (found,) = check_certificate(data)
    assert not found.accepted
    assert found.unchecked == ("it is not proved, but refuted",)


# ------------------------------------------------------------------------------------------------------ planted errors

PLANTED = ["tanh(w*x) -> w*(1 - tanh(w*x)**2)", "x*log(x) - x -> log(x)", "recurrence", "net", "quadratic form"]
PLANTED += ["Hessian", "sin(x)**2 -> sin(2*x)", "detached", "modulus", "turning"]


def replaced(branch: Branch, i: int, **new: Any) -> Branch:
    branch = copy.deepcopy(branch)
    branch["steps"][i].update(new)
    return branch


def changed_coefficients(branch: Branch) -> Iterator[Branch]:
    for i, s in enumerate(branch["steps"]):
        if s["op"] == "constant" and "entries" in s["params"]:
            yield (
                replaced(
                    branch, i, params={"entries": [f"{x}/3" if "/" not in x else "7" for x in s["params"]["entries"]]}
                )
                if any(x != "0" for x in s["params"]["entries"])
                else replaced(branch, i, params={"entries": ["2"]})
            )


def swapped_operands(branch: Branch) -> Iterator[Branch]:
    for i, s in enumerate(branch["steps"]):
        if s["op"] in ("sub", "div", "pow") and s["args"][0] != s["args"][1]:
            yield replaced(branch, i, args=s["args"][::-1])


def dropped_terms(branch: Branch) -> Iterator[Branch]:
    for i, s in enumerate(branch["steps"]):
        if s["op"] in ("add", "sub"):
            yield replaced(branch, i, op="name", args=s["args"][:1], params=None)


def changed_exponents(branch: Branch) -> Iterator[Branch]:
    for i, s in enumerate(branch["steps"]):
        if s["op"] == "powi":
            yield replaced(branch, i, params=s["params"] + 1)


def wrong_functions(branch: Branch) -> Iterator[Branch]:
    other = {
        "tanh": "sigmoid",
        "sigmoid": "tanh",
        "log": "exp",
        "exp": "sqrt",
        "sin": "cos",
        "cos": "sin",
        "mul": "add",
        "conj": "neg",
        "real": "imag",
        "imag": "real",
    }
    for i, s in enumerate(branch["steps"]):
        if s["op"] in other:
            yield replaced(branch, i, op=other[s["op"]])


def cyclic_steps(branch: Branch) -> Iterator[Branch]:
    for i, s in enumerate(branch["steps"]):
        if s["args"]:
            yield replaced(branch, i, args=[i, *s["args"][1:]])


def links_before_they_are_proved(branch: Branch) -> Iterator[Branch]:
    """A congruence goes first, before the links that join its arguments."""
    steps = branch["steps"]
    for k, link in enumerate(branch["links"]):
        n = len(steps)
        if link["rule"] != "congruence" or max(link["left"], link["right"]) >= n:
            continue
        left, right = (steps[link[side]] for side in ("left", "right"))
        if left["args"] and set(left["args"]).isdisjoint(right["args"]):
            branch_ = copy.deepcopy(branch)
            branch_["links"].insert(0, branch_["links"].pop(k))
            yield branch_


def links_that_lean_on_themselves(branch: Branch) -> Iterator[Branch]:
    """All that is to be shown is taken for granted: one link joins the ends, and opens nothing."""
    ends = [("hand", "exact"), ("exact", "hand")]
    for left, right in ends:
        link = {"rule": "fractions", "left": branch[left], "right": branch[right], "opened": []}
        if branch["steps"][link["left"]]["op"] not in ("constant", "pick", "neg"):
            yield {**copy.deepcopy(branch), "links": [link]}
            yield {**copy.deepcopy(branch), "links": [link, link, *branch["links"][:3]]}


def wrong_rules(branch: Branch) -> Iterator[Branch]:
    for k, link in enumerate(branch["links"]):
        for rule in ("identity", "fractions" if link["rule"] == "congruence" else "congruence"):
            made = copy.deepcopy(branch)
            made["links"][k] = {**link, "rule": rule, "opened": []}
            n = len(branch["steps"])
            if rule == "identity" or (link["left"] < n and branch["steps"][link["left"]]["op"] == "input"):
                yield made


def missing_links(branch: Branch) -> Iterator[Branch]:
    """Nothing joins the hand formula to the rest."""
    made = copy.deepcopy(branch)
    made["links"] = [x for x in made["links"] if made["hand"] not in (x["left"], x["right"])]
    yield made


def attached_values(branch: Branch) -> Iterator[Branch]:
    """What is detached is not, in the model or in what is differentiated; or nothing is held."""
    stops = [i for i, s in enumerate(branch["steps"]) if s["op"] == "stop"]
    for i in stops:
        yield replaced(branch, i, op="name")
    if stops:
        yield replaced(replaced(branch, stops[0], op="name"), stops[-1], op="name")
        yield {**branch, "held": 0}


def real_numbers(branch: Branch) -> Iterator[Branch]:
    """A complex number is said to be real."""
    for i, s in enumerate(branch["steps"]):
        if s.get("complex") and s["op"] != "constant":
            yield replaced(branch, i, complex=False)


def other_questions(branch: Branch) -> Iterator[Branch]:
    """The certificate of something else: another model, another input, another kind of derivative."""
    yield {**branch, "model": branch["by"]}
    yield {**branch, "hand": branch["model"]}
    yield {**branch, "wrt": "somebody else"}
    yield {**branch, "by": branch["of"]}
    yield {**branch, "exact": branch["of"]}
    yield {**branch, "derivative": "value"}


ERRORS: tuple[Callable[[Branch], Iterator[Branch]], ...] = (
    changed_coefficients,
    swapped_operands,
    dropped_terms,
    changed_exponents,
    wrong_functions,
    cyclic_steps,
    links_before_they_are_proved,
    links_that_lean_on_themselves,
    wrong_rules,
    missing_links,
    attached_values,
    real_numbers,
    other_questions,
)


@pytest.mark.parametrize("names", [PLANTED[:1] + PLANTED[-3:], pytest.param(PLANTED, marks=pytest.mark.slow)], ids=len)
@pytest.mark.parametrize("plant", ERRORS, ids=lambda p: p.__name__)
def test_every_planted_error_is_rejected(plant, names):
    planted = 0
    for name in names:
        data = json.loads(certified(name))
        for claim in data["claims"]:
            for branch in claim["branches"]:
                for made in plant(branch):
                    planted += 1
                    (found,) = check_certificate({**data, "claims": [{**claim, "branches": [made]}]})
                    assert not found.accepted, (name, claim["name"])
                    assert found.rejected is not None
    assert planted >= len(names) // 2


# --------------------------------------------------------------------------------------------------- signs and branches


def by_cases(x):
    return (x**2) ** 0.5 if x > 0 else (torch.sin(x) if x < -1 else 2 * x)


def by_cases_by_hand(x):
    return 1.0 + 0 * x if x > 0 else (torch.cos(x) if x < -1 else 2.0 + 0 * x)


@functools.cache
def of_branches() -> str:
    return json.dumps(verify(by_cases, by_cases_by_hand, wrt="x", at={"x": 0.3}).certificate())


def changed(change: Callable[[dict[str, Any]], None]) -> Any:
    """What is found of the claim with three branches, after it was changed."""
    data = json.loads(of_branches())
    (claim,) = data["claims"]
    change(claim)
    (found,) = check_certificate(data)
    return found


def signed(claim: dict[str, Any]) -> Branch:
    """The branch on which sqrt(x**2) is x, as x > 0 is all that was compared."""
    return min(claim["branches"], key=lambda b: len(b["choices"]))


def test_signs_follow_from_comparisons_and_branches_are_all():
    found = changed(lambda claim: None)
    assert (found.accepted, found.branches) == (True, 3)
    assert found.unchecked == ("that the steps are those of the code",)
    assert found.assumed == ()


@pytest.mark.parametrize("k", range(3))
def test_a_missing_branch_is_seen(k):
    found = changed(lambda claim: claim["branches"].pop(k))
    assert found.rejected == "the branches do not cover all cases of what the code compares"
    less = lambda claim: (claim["branches"].pop(k), claim.update(whole=False))  # noqa: E731
    assert "that no other branch of the code was reached" in changed(less).unchecked


@pytest.mark.parametrize("k", range(3))
def test_a_turned_comparison_is_seen(k):
    def turn(claim):
        for choice in claim["branches"][k]["choices"]:
            choice["signs"] = [-way for way in choice["signs"]]

    found = changed(turn)
    assert not found.accepted
    assert "cover" in found.rejected or "does not hold" in found.rejected


def test_a_comparison_that_was_moved_is_seen():
    """With x > 1 for x > 0 on one branch, what lies between is on none."""

    def move(claim):
        branch = signed(claim)
        number = next(i for i, s in enumerate(branch["steps"]) if s["params"] == {"entries": ["0"]})
        branch["steps"][number]["params"] = {"entries": ["1"]}

    assert changed(move).rejected is not None


@pytest.mark.parametrize("how", ["without the comparisons", "of another step"])
def test_a_sign_that_does_not_follow_is_seen(how):
    def forge(claim):
        branch = signed(claim)
        if how == "of another step":
            for choice in branch["choices"]:
                choice["left"] = choice["right"]
        else:
            branch["choices"] = []
        claim["whole"] = False

    found = changed(forge)
    assert found.rejected is not None
    assert "does not hold" in found.rejected


@pytest.mark.parametrize(
    ("formula", "hand"),
    [
        ("log(tanh(x/2))", "1/sinh(x)"),
        ("log(tan(x/2))", "1/sin(x)"),
        ("sqrt(x**3)", "3*sqrt(x)/2"),
        ("log(3*x*exp(x)) + abs(x)", "1/x + 2"),
    ],
)
def test_signs_follow_from_where_the_model_has_a_value(formula, hand):
    (found,) = check_certificate(verify(formula, hand, wrt="x").certificate())
    assert found.accepted, str(found)


@pytest.mark.parametrize("op", ["same", "unknown", "number"])
def test_no_step_is_called_as_what_the_checker_has_for_itself(op):
    """A step of this name in the hand formula would be whatever its parameters say."""
    data = verify("x**3/3", "x**2", wrt="x").certificate()
    (branch,) = data["claims"][0]["branches"]
    steps = branch["steps"]
    x = next(i for i, s in enumerate(steps) if s["op"] == "input")
    forged = {"op": op, "args": [x], "params": None, "shape": []}
    for i in range(x + 1, len(steps)):
        made = copy.deepcopy(branch)
        made["steps"][i] = forged
        (found,) = check_certificate({**data, "claims": [{**data["claims"][0], "branches": [made]}]})
        assert f"{op}, does not fit" in str(found.rejected)


def test_what_only_the_question_says_is_told_as_assumed():
    def ask(claim):
        branch = signed(claim)
        branch["asked"] = [branch["choices"][0]["left"]]
        branch["choices"], claim["whole"] = [], False

    assert changed(ask).assumed == ("what the question states not to be negative is not negative",)


def test_a_comparison_where_a_root_has_no_value_covers_nothing():
    """On x > 0 it says that x > 1 or not; below there is no branch."""

    def model(x):
        return x**2 if torch.sqrt(x) > 1 else x**3

    data = verify(model, lambda x: 2 * x if torch.sqrt(x) > 1 else 3 * x**2, wrt="x", at={"x": 2.0}).certificate()
    assert not data["claims"][0]["whole"]
    data["claims"][0]["whole"] = True
    (found,) = check_certificate(data)
    assert not found.accepted


def test_the_second_order_of_a_function_holds():
    found = check_certificate(verify_function(Tanh, at={"x": (2,)}, order=2).certificate())
    assert all(c.accepted for c in found), "\n".join(map(str, found))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format": "symgrad certificate", "version": 3, "claims": []}']
)
def test_what_is_no_certificate_is_rejected(text):
    (found,) = check_certificate(text)
    assert not found.accepted
    assert found.rejected


# Each hand formula is wrong, and its proof is forged: one link over all of it, of each rule that there is.
WRONG = [
    ("x**3", "3*x", {}),
    ("tanh(w*x)", "w*(1 - (w*x)**2)", {}),
    ("sin(x)**2", "sin(x)*cos(x)", {}),
    ("sqrt(x**2)", "1", {}),
    ("log(x)*y", "1/x", {}),
    ("exp(-x**2)", "-2*x*exp(x**2)", {}),
    ("x/(1 + x)", "1/(1 + x)", {}),
]


@pytest.mark.parametrize(("formula", "hand", "said"), WRONG)
@pytest.mark.parametrize("rule", ["field", "linear", "shared"])
@pytest.mark.parametrize("expanded", [False, True])
def test_a_forged_proof_is_rejected(formula, hand, said, rule, expanded):
    report = verify(formula, hand, wrt="x", **said)
    claim = report.claims["x"]
    assert claim.kind == "refuted"
    assert report.formula is not None
    outputs = {"model": report.formula.output, "by": report.formula.inputs["x"]}
    left, right = claim.hand.output, claim.exact.output
    blank = Proof(left, right, (), (), (left, right), program=report.formula.with_outputs(outputs))
    place = certify(blank, "x", 1)
    link = Link(rule, place["exact"], place["exact"], None, expanded)
    forged = certify(replace(blank, links=(link,)), "x", 1)
    whole_ = list(range(len(forged["steps"])))
    lie = {
        "rule": "fractions",
        "left": forged["hand"],
        "right": forged["exact"],
        "opened": whole_,
        "expanded": expanded,
    }
    forged["links"].append(lie)
    data = json.loads(certified("x**3*y -> 3*x**2*y"))
    (found,) = check_certificate({**data, "claims": [{"name": "x", "branches": [forged], "why_not": None}]})
    assert not found.accepted
    assert found.rejected is not None
