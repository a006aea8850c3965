"""What is declared about the inputs: ``assuming=("sum(y) = 1", "A = A.T", "sigma > 0")``.

A constraint restricts the points that are looked at, is used by proofs, and is told with the verdict.  The text is
parsed, never evaluated.  Derivatives are those of the formula with all entries independent, taken at points that meet
the constraints.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.errors import BadFormula, BadInput, UnknownName, WrongShape, caret, close_names
from symgrad.indices.terms import Fact, Positive, SumsTo, Symmetric
from symgrad.program.builder import Builder
from symgrad.program.program import Program
from symgrad.typing import Bounds

_NAME = r"([^\W\d][\w.]*?)"
_NUMBER = r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[+-]?\d+/\d+)"
_SUM = re.compile(rf"\s*sum\(\s*{_NAME}\s*(?:,\s*(?:axis\s*=\s*|dim\s*=\s*)?(-?\d+)\s*)?\)\s*==?\s*{_NUMBER}\s*")
_SYMMETRIC = re.compile(rf"\s*{_NAME}(\.T)?\s*==?\s*{_NAME}(\.T)?\s*")
_BOUND = re.compile(rf"\s*{_NAME}\s*(<|>)\s*{_NUMBER}\s*")
_BITS = 24  # of the numbers that constrained inputs are made of: exact in float32 and float64
_SLACK = 2.0**-16  # how far given data may miss a sum, relative to its entries: rounding, and no more


@dataclass(frozen=True)
class Assumed:
    """The constraints of a question: facts about tensors, and bounds on entries."""

    facts: tuple[Fact, ...] = ()
    bounds: Mapping[str, Bounds] | None = None


_AND = re.compile(r",\s*(?![^()]*\))")  # a comma outside of parentheses


def parse_assuming(texts: Any, names: Sequence[str], ranks: Mapping[str, int]) -> Assumed:
    """The constraints that ``texts`` state about inputs of these names and ranks.

    >>> parse_assuming(("sum(y) = 1", "A = A.T", "s > 0"), ("y", "A", "s"), {"y": 1, "A": 2, "s": 0}).facts
    (SumsTo(name='y', axis=0, value=1, rank=1), Symmetric(name='A'), Positive(name='s'))

    One text may state several, ``"L > 0, g > 0"``.
    Raises `BadFormula` for text that states no constraint that is known, `UnknownName` for an unknown input,
    `WrongShape` where the input is of another rank.
    """
    if texts is None:
        return Assumed()
    if not isinstance(texts, (str, Sequence)):
        raise BadInput(
            f"assuming is a {type(texts).__name__}.", instead='Write each constraint as text: assuming="sum(y) = 1".'
        )
    facts: list[Fact] = []
    bounds: dict[str, Bounds] = {}
    parts: list[str] = []
    for text in [texts] if isinstance(texts, str) else texts:
        if not isinstance(text, str):
            raise BadInput(f"assuming holds {text!r}.", instead='Write each constraint as text: "sum(y) = 1".')
        parts += _AND.split(text)
    for text in parts:
        found = _parsed(text, names, ranks)
        if isinstance(found, tuple):
            name, (low, high) = found
            before = bounds.get(name, (None, None))
            bounds[name] = (before[0] if low is None else low, before[1] if high is None else high)
            if low is not None and low >= 0:
                facts.append(Positive(name))
        else:
            facts.append(found)
    return Assumed(tuple(facts), bounds)


def _parsed(text: str, names: Sequence[str], ranks: Mapping[str, int]) -> Fact | tuple[str, Bounds]:
    if match := _SUM.fullmatch(text):
        name = _known(match, 1, text, names)
        rank = ranks.get(name, 0)
        if rank == 0:
            raise WrongShape(
                f"{name} is a single number, and a sum of it is not taken.", where=caret(text, match.span(1))
            )
        if rank > 1 and match[2] is None:
            raise WrongShape(
                f"{name} has {rank} axes, and the constraint does not say which one is summed.",
                where=caret(text, match.span(1)),
                instead=f'Write "sum({name}, 0) = {match[3]}" for columns, "sum({name}, 1) = {match[3]}" for rows.',
            )
        axis = int(match[2] or 0)
        if not -rank <= axis < rank:
            raise WrongShape(f"{name} has no axis {axis}.", where=caret(text, match.span(2)))
        value = Fraction(match[3])
        if value.denominator & (value.denominator - 1):
            raise BadFormula(
                f"no point meets the sum {match[3]} exactly in binary numbers.",
                where=caret(text, match.span(3)),
                instead="Declare a sum that is an integer or a binary fraction, such as 1 or 0.5.",
            )
        return SumsTo(name, axis % rank, int(value) if value.denominator == 1 else value, rank)
    if match := _BOUND.fullmatch(text):
        name = _known(match, 1, text, names)
        value = float(Fraction(match[3]))
        return name, ((value, None) if match[2] == ">" else (None, value))
    if (match := _SYMMETRIC.fullmatch(text)) and match[1] == match[3] and bool(match[2]) != bool(match[4]):
        name = _known(match, 1, text, names)
        if ranks.get(name) != 2:
            raise WrongShape(f"{name} is no matrix.", where=caret(text, match.span(1)))
        return Symmetric(name)
    raise BadFormula(
        "this is no constraint that is known.",
        where=caret(text, None),
        instead='Write a sum "sum(y) = 1" or "sum(Y, 0) = 1", a symmetric matrix "A = A.T", or a bound "sigma > 0".',
    )


def _known(match: re.Match[str], group: int, text: str, names: Sequence[str]) -> str:
    name = next((n for n in names if n == match[group] or n.replace(".", "_") == match[group]), None)
    if name is None:
        near = close_names(match[group], names)
        raise UnknownName(
            f"assuming names {match[group]!r}, but the model has only {', '.join(names)}.",
            where=caret(text, match.span(group)),
            instead=near or None,
        )
    return name


def joined(facts: Sequence[Fact], bounds: Mapping[str, Bounds]) -> tuple[Fact, ...]:
    """The facts with those that bounds state.  Raises `BadInput` for constraints that are not met together."""
    found = list(facts)
    for fact in facts:
        same = [f for f in facts if f.name == fact.name and not isinstance(f, Positive)]
        low, high = bounds.get(fact.name, (None, None))
        if len(same) > 1 or (isinstance(fact, SumsTo) and (high is not None or low not in (None, 0.0))):
            raise BadInput(
                f"points that meet all that is declared of {fact.name} are not drawn.",
                instead="Declare a sum alone, or together with a lower bound of zero, or that a matrix is symmetric.",
            )
        if isinstance(fact, SumsTo) and low == 0.0 and Positive(fact.name) not in found:
            found.append(Positive(fact.name))
    return tuple(found)


def written(fact: Fact) -> str:
    """The text that declares a fact."""
    match fact:
        case SumsTo(name=name, axis=axis, value=value, rank=rank):
            return f"sum({name}{'' if rank == 1 else f', {axis}'}) = {value}"
        case Symmetric(name=name):
            return f"{name} = {name}.T"
        case Positive(name=name):
            return f"{name} > 0"


def standard_facts(shapes: Mapping[str, tuple[int, ...]]) -> list[Fact]:
    """The constraints that formulas often need: probabilities that sum to one, symmetric matrices."""
    found: list[Fact] = []
    for name, shape in shapes.items():
        axes = [k for k, n in enumerate(shape) if len(shape) <= 2 and n > 1]  # one entry alone is no share
        found += [SumsTo(name, k, 1, len(shape)) for k in axes]
        if len(shape) == 2 and shape[0] == shape[1]:
            found.append(Symmetric(name))
    return found


# ------------------------------------------------------------------------------------------------ points


def settle(point: Mapping[str, Any], facts: Sequence[Fact]) -> dict[str, Any]:
    """The point moved onto the constraints, exactly.

    >>> settle({"y": np.array([0.25, 0.5, 3.0])}, [SumsTo("y")])["y"]
    array([0.25, 0.5 , 0.25])
    >>> settle({"y": np.array([1.0, 2.0, 5.0])}, [SumsTo("y"), Positive("y")])["y"]
    array([0.125, 0.25 , 0.625])
    """
    out = dict(point)
    positive = {fact.name for fact in facts if isinstance(fact, Positive)}
    for fact in facts:
        if fact.name in out:
            value = np.asarray(out[fact.name], dtype=np.float64)
            out[fact.name] = _settled(value, fact, fact.name in positive)
    return out


def _settled(value: np.ndarray, fact: Fact, positive: bool) -> np.ndarray:
    if not np.isfinite(value).all():  # a mask of infinities is not moved
        return value
    match fact:
        case Symmetric() if value.ndim == 2 and value.shape[0] == value.shape[1]:
            return np.asarray(np.tril(value) + np.tril(value, -1).T)
        case SumsTo(axis=axis, value=total) if positive:
            weights = np.moveaxis(np.maximum(np.abs(value), 2.0**-8), axis, 0)
            shares = weights / weights.sum(0) * (2.0**_BITS / 4)
            rest = np.maximum(np.floor(shares[:-1]), 1.0) / (2.0**_BITS / 4) * float(total)
            last = float(total) - rest.sum(0)
            return np.ascontiguousarray(np.moveaxis(np.concatenate([rest, last[None]]), 0, axis))
        case SumsTo(axis=axis, value=total):
            rest = np.moveaxis(value, axis, 0)[:-1]
            size = float(np.abs(rest).sum(0).max(initial=0.0)) + abs(float(total)) + 1.0
            unit = 2.0 ** (math.ceil(math.log2(size)) - _BITS + 1)
            rest = np.round(rest / unit) * unit  # sums of these are exact
            last = float(total) - rest.sum(0)
            return np.ascontiguousarray(np.moveaxis(np.concatenate([rest, last[None]]), 0, axis))
        case _:
            return value


def misses(name: str, value: np.ndarray, fact: Fact) -> bool:
    """Whether given data misses a constraint by more than rounding."""
    if not np.isfinite(value).all():
        return True
    match fact:
        case Symmetric():
            gap = value - value.T
        case SumsTo(axis=axis, value=total):
            gap = value.sum(axis) - float(total)
        case _:
            return bool((value <= 0).any())
    return bool(np.abs(gap).max(initial=0.0) > _SLACK * (1.0 + np.abs(value).max(initial=0.0)))


def settle_data(point: Mapping[str, Any], given: frozenset[str], facts: Sequence[Fact]) -> dict[str, Any]:
    """`settle`, for a user's own point.  Raises `BadInput` where what was given does not meet a constraint."""
    for fact in facts:
        if np.iscomplexobj(point[fact.name]):
            raise BadInput(f"{fact.name} is complex, and the constraint that {fact} is read of real numbers only.")
        if fact.name in given and misses(fact.name, np.asarray(point[fact.name]), fact):
            raise BadInput(
                f"at[{fact.name!r}] does not meet the constraint that {fact}.",
                instead="Pass values that do, or a shape, to have them drawn.",
            )
    return settle(point, facts)


# ------------------------------------------------------------------------------------------------ Programs


def impose(program: Program, facts: Sequence[Fact]) -> tuple[Program, list[int]]:
    """The Program as a function of inputs that are free, of which the constrained ones are made; and where each step
    of the Program went.

    >>> b = Builder()
    >>> program = b.build({"y": b.sum(b.input("y", (3,)))})
    >>> print(impose(program, [SumsTo("y")])[0].listing().splitlines()[-1])
    %8 = pick(%7) float64[]
    """
    if not facts:
        return program, list(range(len(program)))
    b = Builder()
    place: list[int] = []
    for step in program.steps:
        if step.op == "input":
            i = b.input(step.params, step.shape, step.dtype)
            for fact in facts:
                if fact.name == step.params:
                    i = _made(b, i, fact)
            place.append(i)
            continue
        b.steps.append(replace(step, args=tuple(place[a] for a in step.args)))
        place.append(len(b.steps) - 1)
    guards = [replace(g, args=tuple(place[a] for a in g.args)) for g in program.guards]
    made = b.build({name: place[i] for name, i in program.outputs.items()})
    return replace(made, guards=tuple(guards)), place


def beside_transposed(program: Program, output: int, name: str) -> tuple[Program, tuple[int, int]]:
    """A step of a Program, and below it the same step of the matrix ``name`` transposed; where both are.

    >>> import torch
    >>> from symgrad.evaluation.floats import Floats
    >>> from symgrad.program.program import interpret
    >>> b = Builder()
    >>> program = b.build({"f": b.sum(b.input("A", (2, 2)), 0)})
    >>> both, places = beside_transposed(program, program.output, "A")
    >>> values = interpret(both, Floats(), {"A": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}, places)
    >>> [values[i].tolist() for i in places]
    [[4.0, 6.0], [3.0, 7.0]]
    """
    b = Builder()
    b.steps += program.steps
    place: list[int] = []
    for i, step in enumerate(program.steps[: output + 1]):
        if step.op == "input":
            rows, columns = step.shape if step.params == name else (1, 1)
            turned = np.arange(1, rows * columns + 1).reshape(rows, columns).T
            place.append(b.pick([i], turned, turned.shape) if step.params == name else i)
        else:
            b.steps.append(replace(step, args=tuple(place[a] for a in step.args)))
            place.append(len(b.steps) - 1)
    return replace(program, steps=tuple(b.steps), guards=()), (output, place[output])


def _made(b: Builder, i: int, fact: Fact) -> int:
    """The constrained tensor, made of a free one."""
    shape = b.shape(i)
    where = np.arange(1, int(np.prod(shape, dtype=np.int64)) + 1).reshape(shape)
    match fact:
        case Symmetric():
            return b.pick([i], np.tril(where) + np.tril(where, -1).T, shape)
        case SumsTo(axis=axis, value=total):
            moved = np.moveaxis(where, axis, 0)
            rest = b.pick([i], moved[:-1], moved[:-1].shape)
            last = b.sub(b.number(Fraction(total), b.dtype(i)), b.sum(rest, 0))
            ends = moved.copy()
            ends[-1] = where.size + np.arange(1, moved[-1].size + 1).reshape(moved[-1].shape)
            return b.pick([i, last], np.moveaxis(ends, 0, axis), shape)
        case _:
            return i
