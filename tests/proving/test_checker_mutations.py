"""Certificates with any of their fields changed: what is still accepted is true, as torch computes it in floats."""

from __future__ import annotations

import copy
import functools
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.proved_questions import questions
from support.steps_in_torch import in_torch

from symgrad import verify
from symgrad.proving.checker import check_certificate
from symgrad.proving.checker_adjoint import CheckedStep

F64 = torch.float64
ASKED = {q.name: q for q in questions()}
NAMES = ("tanh(w*x) -> w*(1 - tanh(w*x)**2)", "x*log(x) - x -> log(x)", "recurrence", "net", "detached", "by cases")
OPS = (
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "abs",
    "sign",
    "stop",
    "name",
)
POINTS = 24


def by_cases(x):
    return (x**2) ** 0.5 if x > 0 else (torch.sin(x) if x < -1 else 2 * x)


def by_cases_by_hand(x):
    return 1.0 + 0 * x if x > 0 else (torch.cos(x) if x < -1 else 2.0 + 0 * x)


@functools.cache
def certificate(name: str) -> str:
    report = verify(by_cases, by_cases_by_hand, wrt="x", at={"x": 0.3}) if name == "by cases" else ASKED[name].ask()
    return json.dumps(report.certificate())


# ------------------------------------------------------------------------------------------------ changing one


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each field, and to each list and mapping."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(value: Any, draw: random.Random) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return draw.choice((value + 1, value - 1, draw.randrange(60), -value))
        case None:
            return draw.choice((0, 1, True, []))
        case str():
            return draw.choice((*OPS, "x", "w", "0", "2", "-1", "gradient", "value", "congruence", "fractions"))
        case list() if value:
            k, other = draw.randrange(len(value)), draw.randrange(len(value))
            less, twice, turned = value[:k] + value[k + 1 :], [*value[: k + 1], value[k], *value[k + 1 :]], list(value)
            turned[k], turned[other] = turned[other], turned[k]
            return draw.choice((less, twice, turned))
        case list():
            return [0]
        case dict() if value:
            gone = draw.choice(sorted(value))
            return {k: v for k, v in value.items() if k != gone}
    return 0


def mutated(claim: Mapping[str, Any], draw: random.Random) -> Any:
    """The claim with one field changed, half of the time two."""
    made = copy.deepcopy(claim)
    for _ in range(draw.choice((1, 2))):
        *way, last = draw.choice([p for p in places(made) if p[0] in ("branches", "whole")])
        holder = functools.reduce(lambda data, key: data[key], way, made)
        holder[last] = changed(holder[last], draw)
    return made


# ------------------------------------------------------------------------------------------------ outside truth


def gaps(branch: Mapping[str, Any], draw: torch.Generator) -> float | None:
    """How far the hand formula is from autograd's derivative at a point; None where the branch says nothing of it."""
    listed = branch["steps"]
    steps = [
        CheckedStep(s["op"], tuple(s["args"]), s.get("params"), tuple(s["shape"]), s.get("complex", False))
        for s in listed
    ]
    drawn = {s.params: 2 * torch.randn(s.shape, dtype=F64, generator=draw) for s in steps if s.op == "input"}

    def values(inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        return in_torch(steps, inputs)

    found = values(drawn)
    for choice in branch["choices"]:
        left, right = found[choice["left"]], 0.0 if choice["right"] is None else found[choice["right"]]
        if not bool(((left - right) * torch.tensor(choice["signs"], dtype=F64) > 0).all()):
            return None
    if any(bool((found[i] < 0).any()) for i in branch["asked"]):
        return None
    model, hand, wrt = branch["model"], found[branch["hand"]], branch["wrt"]
    if branch["derivative"] == "value":
        truth = found[model]
    elif wrt not in drawn:
        truth = torch.zeros_like(hand)
    else:
        truth = torch.autograd.functional.jacobian(lambda x: values({**drawn, wrt: x})[model].sum(), drawn[wrt])
    whole = [x for x in (truth, hand, *found) if not bool(torch.isfinite(x).all())]
    return None if whole else float((truth - hand).abs().max() / (1 + hand.abs().max()))


def test_an_honest_certificate_is_true_in_floats():
    for name in NAMES:
        for claim in json.loads(certificate(name))["claims"]:
            told = [gaps(b, torch.Generator().manual_seed(k)) for b in claim["branches"] for k in range(POINTS)]
            assert sum(gap is not None for gap in told) > 0
            assert all(gap is None or gap < 1e-9 for gap in told), name


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**40))
def test_what_is_accepted_of_a_changed_certificate_is_true(name, seed):
    data, draw = json.loads(certificate(name)), random.Random(seed)
    claim = mutated(draw.choice(data["claims"]), draw)
    (found,) = check_certificate({**data, "claims": [claim]})
    if found.accepted:
        told = [gaps(b, torch.Generator().manual_seed(k)) for b in claim["branches"] for k in range(POINTS)]
        assert all(gap is None or gap < 1e-9 for gap in told), str(found)
