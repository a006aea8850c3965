"""Where proofs hold, in the user's names: their conditions on steps as conditions on inputs, variables and formulas."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.problem.definedness import depends_on
from symgrad.program.primitives import number_of
from symgrad.program.program import Program
from symgrad.proving.conditions import shows_all, strongest
from symgrad.proving.proof import Proof, needs

_LOOKS = ("pick", "cast", "name")  # what is said of such a step is said of its argument
_OTHER_WAY = {"gt": "le", "le": "gt", "ge": "lt", "lt": "ge", "eq": "ne", "ne": "eq"}
_TURNED = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge", "eq": "eq", "ne": "ne"}
_NEGATIVE, _POSITIVE = "is negative", ("is positive", "is not negative", "is not zero")


def domain_of_proofs(branches: Sequence[tuple[Program, Proof]]) -> tuple[str, ...]:
    """Where an equality is proved, each condition once, given the proof on each branch of the code.

    What a branch's own comparisons say already is left out, and so is what is about constants: a constant met its
    condition at every point, having met it at one.  Steps that have no name in the user's code are told together.
    """
    named: Counter[str] = Counter()
    unnamed = False
    for program, proof in branches:
        known = _known(program)
        moving = depends_on(program, program.inputs) if proof.conditions else set[int]()
        unnamed = unnamed or any(c.step is None for c in proof.conditions)
        asked = [(c.what, _base(program, c.step)) for c in proof.conditions if c.step in moving]
        mine = list(proof.facts)
        for what, step in strongest(dict.fromkeys(asked)):
            if not _is_said(known, program, what, step):
                name = name_of(program, step)
                unnamed = unnamed or name is None
                mine += [] if name is None else [f"{name} {what}"]
        named.update(dict.fromkeys(mine, 1))
    told = [text if n == len(branches) else f"{text} (on {_some(n)})" for text, n in named.items()]
    if unnamed:
        told.append("every other step is defined" if told else "every step is defined")
    return tuple(told)


def _some(n: int) -> str:
    return "one branch" if n == 1 else f"{n} branches"


def domain_of_steps(program: Program, steps: Sequence[int]) -> set[str | None]:
    """The conditions under which steps have values, each in the user's names; None for one without."""
    found = [c for i in steps for c in needs(program, i)]
    named = [(c, None if c.step is None else name_of(program, c.step)) for c in found]
    texts = {None if name is None else "".join(f"{name}{c.what}".split()) for c, name in named}
    positive = {text.removesuffix("ispositive") for text in texts if text is not None and text.endswith("ispositive")}
    return texts | {f"{name}{what}" for name in positive for what in ("isnotzero", "isnotnegative")}


def _known(program: Program) -> set[tuple[str, int]]:
    """What the comparisons with a number say of steps on the branch that was taken."""
    found: set[tuple[str, int]] = set()
    for guard in program.guards:
        if guard.op in _OTHER_WAY and len(guard.args) == 2 and len(np.unique(guard.outcome)) == 1:
            (left, right), op = guard.args, guard.op
            number = number_of(program.steps, right)
            if number is None:
                left, op, number = right, _TURNED[op], number_of(program.steps, left)
            if number is not None:
                op = op if guard.outcome.flat[0] else _OTHER_WAY[op]
                side = _base(program, left, whole=True)
                found |= {(what, side) for what in _said(op, number)}
    return found


def _said(op: str, number: Any) -> Sequence[str]:
    """What a number that compares so is known to be."""
    if (op == "gt" and number >= 0) or (op == "ge" and number > 0):
        return "is positive", "is not negative", "is not zero"
    if (op == "lt" and number <= 0) or (op == "le" and number < 0):
        return _NEGATIVE, "is not zero"
    if (op == "ge" and number == 0) or (op == "ne" and number == 0):
        return ("is not negative",) if op == "ge" else ("is not zero",)
    return ()


def _is_said(known: set[tuple[str, int]], program: Program, what: str, step: int) -> bool:
    """Whether a condition is known, or says that minus a number that is known to be negative is positive."""
    if (what, step) in known:
        return True
    s = program.steps[step]
    return s.op == "neg" and what in _POSITIVE and (_NEGATIVE, _base(program, s.args[0])) in known


def _base(program: Program, step: int, *, whole: bool = False) -> int:
    """The step that this one is a layout of, most of all a broadcast one; with ``whole``, only of all its entries."""
    while program.steps[step].op in _LOOKS and len(program.steps[step].args) == 1:
        of = program.steps[step].args[0]
        if whole and program.steps[step].op == "pick" and not shows_all(program.steps[step], program.steps[of]):
            break
        step = of
    return step


def name_of(program: Program, step: int) -> str | None:
    """What the user calls a step: an input, a variable (``h[3]`` the fourth time), or the text that computes it."""
    step = _base(program, step)
    for name, i in program.inputs.items():
        if i == step:
            return name
    for b in program.bindings:
        if _base(program, b.step, whole=True) == step:
            again = any(c.name == b.name and c.version for c in program.bindings)
            return f"{b.name}[{b.version}]" if again else b.name
    source = program.steps[step].source
    if source is None or source.span is None:
        return None
    start, end = source.span
    is_piece = end - start == len(source.text)  # of a text: the span says where it stands in the whole
    return _bare(source.text if is_piece else source.text[start:end]) or None


def _bare(text: str) -> str:
    """A formula without parentheses around all of it.

    >>> _bare("(x - 1)"), _bare("(x - 1)*(x + 1)")
    ('x - 1', '(x - 1)*(x + 1)')
    """
    text = text.strip()
    while text.startswith("(") and text.endswith(")"):
        depths = list(itertools.accumulate({"(": 1, ")": -1}.get(c, 0) for c in text))
        if 0 in depths[:-1]:
            break
        text = text[1:-1].strip()
    return text
