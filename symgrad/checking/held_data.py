"""Claims that are right at the given data, and at no other: ``3*x - 2`` for ``x**2`` where x is [1, 2].

Inputs that are given and not differentiated stay as given, so that their values may be used: labels that sum to one,
masks, a matrix that is symmetric.  But a formula that is right for their values alone is a coincidence.  Where no proof
holds for all values of the data, each of them is moved by itself, in what it seems to be: whole numbers stay whole,
zeros and signs stay, and so do sums of one or zero, symmetry and order.  Labels stay labels: of flags others are set,
of classes others are chosen, and what is sorted stays so.  What follows from other data is not moved; of a number that
may be a length, where the model computes with one, it is only told.

So are numbers that the code reads by a name (``alpha = 0.5`` in a script, a global, a default): the code is run with
other numbers there, proved or not, for a run takes a number as a constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from symgrad.checking.comparison import BITS
from symgrad.checking.exploration import Findings, comparison_at, inside
from symgrad.checking.refutations import witness_of
from symgrad.checking.verdicts import Agrees, Proved, Refuted, Witness
from symgrad.errors import SymgradError
from symgrad.indices.terms import Fact, SumsTo, Symmetric
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.constraints import misses, settle
from symgrad.problem.held_numbers import numbers_of, with_numbers
from symgrad.problem.question import Problem
from symgrad.problem.replay import with_given_numbers
from symgrad.problem.sampling import rounded
from symgrad.program.program import Program, Step, same_structure, size, sliced
from symgrad.typing import Bounds

_WORK = 200_000  # entries of all steps, in a Program whose data are moved
_MOVES = 3
_NAMES = 12  # numbers with a name that are moved, one by one
_TRIED = 2  # other values of each
_DRAWN = 12  # other labels, of which some are the same ones again
_SLACK = 1e-6  # within which data are taken to follow from others


def refute_coincidences(problem: Problem, found: Findings) -> None:
    """Refute, or in scripts note, the claims that are right for the values of some data only."""
    if problem.values_only or sum(size(s.shape) for s in found.own.program.steps) > _WORK:
        return
    _by_data(problem, found)
    _by_names(problem, found)


def _by_data(problem: Problem, found: Findings) -> None:
    suspects = {n for n, v in found.verdicts.items() if isinstance(v, Agrees) or n in found.for_given_data}
    for name in _held(problem, found) if suspects else ():
        is_length = _may_be_length(problem, found, np.asarray(problem.inputs.point[name]))
        for claim, witness in _differences(problem, found, name, suspects):
            suspects.discard(claim)
            said = f"{claim}: right for your {name} only; where {name} is another, the two differ."
            if problem.pasted:
                found.notes.append(f"{said} If a number in the script stands for {name}, write {name}.")
                found.verdicts[claim] = _right_for(found, claim, name)
            elif is_length:
                found.notes.append(f"{said} Nothing is wrong with that if {name} follows from a shape, as it may.")
            else:
                found.verdicts[claim] = Refuted(witness, only=name)
                found.notes.append(said)


def _by_names(problem: Problem, found: Findings) -> None:
    """Refute the claims that are right for the value of a number alone which the hand formula, as the model, reads by
    its name; where it does not, or writes the number too, tell that they are right for this one only.  What the model
    does not read, such as the 1 that a backward pass begins with, is the hand formula's own."""
    numbers = {n: v for n, v in numbers_of(problem).items() if n not in problem.inputs.point}
    others = {n: [float(x) for x in _moves(np.asarray(v), n, problem.seed)][:_TRIED] for n, v in numbers.items()}
    others = dict(itertools.islice(((n, tried) for n, tried in others.items() if tried), _NAMES))
    if not others or not _where_numbers_are(problem, found, {n: tried[0] for n, tried in others.items()}):
        return
    for name, tried in others.items():
        value, beside = np.asarray(numbers[name]), [np.asarray(v) for n, v in numbers.items() if n != name]
        for other in tried:
            differ = _where_numbers_are(problem, found, {name: other})
            in_model, in_hand = _read(problem, found, {name: other}) if differ else (False, False)
            if not in_model:
                continue
            typed = abs(numbers[name]) in _written(with_numbers(problem, {name: other}).runs(problem.inputs.point)[1])
            counts = float(value) in _lengths(problem)
            alone = in_hand and not typed and not counts and not any(_are_related(value, v) for v in beside)
            for claim, witness in differ.items():
                right = _right_for(found, claim, name)
                found.verdicts[claim] = Refuted(witness, only=name) if alone else right
            found.notes.append(
                f"{', '.join(differ)}: right for your {name} only; where {name} is {other:g}, the two differ."
            )
            break


def _where_numbers_are(problem: Problem, found: Findings, numbers: Mapping[str, float]) -> dict[str, Witness]:
    """The claims, among those that are right, that differ where named numbers are others, each with such a point."""
    right = {n for n, v in found.verdicts.items() if v.kind in ("proved", "agrees")}
    try:
        branch, there = comparison_at(with_numbers(problem, numbers), problem.inputs.point)
    except SymgradError:
        return {}
    if there.ties:
        return {}
    witnesses = {p.name: witness_of(there, p, states=("differs",)) for p in branch.pairs if p.name in right}
    point = {n: np.asarray(v) for n, v in numbers.items()}
    return {n: replace(w, point={**w.point, **point}) for n, w in witnesses.items() if w is not None}


def _read(problem: Problem, found: Findings, numbers: Mapping[str, float]) -> tuple[bool, bool]:
    """Whether the model, and whether the hand formula, is made of named numbers: of other ones it is made otherwise."""
    before = (found.own.model_run, found.own.hand_run)
    after = with_numbers(problem, numbers).runs(problem.inputs.point)
    in_model, in_hand = (
        not same_structure(_made_of_results(a), _made_of_results(b)) for a, b in zip(before, after, strict=True)
    )
    return in_model, in_hand


def _made_of_results(run: Run) -> Program:
    """The record of what a run gives, and of nothing else."""
    return sliced(run.program, run.program.outputs)


def _written(run: Run) -> set[float]:
    """The numbers that what a run gives is made of, and whole powers."""
    steps = _made_of_results(run).steps
    numbers = {abs(float(s.params.value)) for s in steps if _is_number(s)}
    return numbers | {float(abs(s.params)) for s in steps if s.op == "powi"}


def _right_for(found: Findings, claim: str, name: str) -> Agrees:
    """A verdict that is right, for the given value of something alone."""
    verdict = found.verdicts[claim]
    agrees = verdict if isinstance(verdict, Agrees) else Agrees(sum(inside(s) for _, s in found.looks) + 1, BITS)
    return replace(agrees, only=name, proved=verdict if isinstance(verdict, Proved) else agrees.proved)


def _held(problem: Problem, found: Findings) -> list[str]:
    """The data that may be others: none that the code also writes as a number."""
    inputs, own = problem.inputs, found.own
    names = [n for n in own.program.inputs if n not in inputs.free and n in problem.dtypes]
    for run in (own.model_run, own.hand_run):
        names = [n for n in names if not with_given_numbers(run.program, inputs.point, [n], problem.dtypes)[1]]
    values = {n: np.asarray(inputs.point[n]) for n in names}
    beside = {m: np.asarray(v) for m, v in inputs.point.items() if m not in inputs.free}
    return [
        n
        for n, v in values.items()
        if v.dtype.kind == "f"
        and np.isfinite(v).all()
        and not any(_are_related(v, other) for m, other in beside.items() if m != n and other.dtype.kind in "biuf")
    ]


def _may_be_length(problem: Problem, found: Findings, value: np.ndarray) -> bool:
    """Whether data are a length of an array, or made of one as means are, and the model has such a number too."""
    if value.ndim:
        return False
    lengths = _lengths(problem)
    written = [float(s.params.value) for s in found.own.model_run.program.steps if _is_number(s)]
    return any(
        abs(float(value) - made) <= _SLACK and any(abs(x - other) <= _SLACK for x in written for other in _made_of(k))
        for k in lengths
        for made in _made_of(k)
    )


def _lengths(problem: Problem) -> set[int]:
    """How long the inputs are, all of each and along its axes."""
    return {k for v in problem.inputs.point.values() for k in (np.size(v), *np.shape(v)) if k > 1}


def _made_of(k: int) -> tuple[float, ...]:
    return k, k - 1, 1 / k, 1 / (k - 1), k**0.5, k**-0.5


def _is_number(step: Step) -> bool:
    return step.op == "constant" and not step.is_complex and not step.shape


def _are_related(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one of two arrays seems to be computed of the other."""
    if a.shape != b.shape:
        return _says(a, b) or _says(b, a)
    with np.errstate(all="ignore"):
        pairs = (
            (a, b),
            (a, -b),
            (a, 1 - b),
            (a * b, np.ones(a.shape)),
            (a, b * b),
            (a * a, b),
            (a, np.exp(b)),
            (b, np.exp(a)),
        )
        return any(np.allclose(x, y, rtol=_SLACK, atol=0) for x, y in pairs)


def _says(rows: np.ndarray, numbers: np.ndarray) -> bool:
    """Whether rows of flags say the same as numbers do: the class of each, or how many are set."""
    if rows.ndim != 2 or numbers.size != len(rows) or not np.isin(rows, (0, 1)).all():
        return False
    places = rows.argmax(1)
    return any(np.array_equal(numbers.reshape(-1), said) for said in (places, places + 1, rows.sum(1)))


def _differences(problem: Problem, found: Findings, name: str, suspects: set[str]) -> Iterator[tuple[str, Witness]]:
    """The claims among ``suspects`` that differ where one of the data is another, each with such a point."""
    seen: set[str] = set()
    inputs = replace(problem.inputs, free=(*problem.inputs.free, name))
    beside = next((s.point for _, s in found.looks if inside(s)), inputs.point)
    for k, value in enumerate(_moves(np.asarray(inputs.point[name]), name, problem.seed)):
        point = {**(beside if k % 2 else inputs.point), name: value}
        if not (_within(value, inputs.bounds.get(name)) and all(condition(point) for condition in inputs.conditions)):
            continue
        try:
            branch, there = comparison_at(replace(problem, inputs=inputs), point, found.branches)
        except SymgradError:
            continue
        for pair in () if there.ties else branch.pairs:
            witness = witness_of(there, pair, states=("differs",)) if pair.name in suspects - seen else None
            if witness is not None:
                seen.add(pair.name)
                yield pair.name, witness


def _within(value: np.ndarray, bounds: Bounds | None) -> bool:
    low, high = bounds or (None, None)
    return (low is None or bool((value > low).all())) and (high is None or bool((value < high).all()))


def _moves(value: np.ndarray, name: str, seed: int) -> Iterator[np.ndarray]:
    """Other values of the same kind.

    >>> [x.tolist() for x in _moves(np.array(2.0), "p", 0)]
    [3.0, 4.0, 5.0]
    """
    if value.ndim and np.isin(value, (-1.0, 0.0, 1.0)).all():
        yield from itertools.islice(other_labels(value, np.random.default_rng((seed, 9))), _MOVES)
        return
    facts = [f for f in _facts(name, value.shape) if not misses(name, value, f)]
    if len(facts) > 1 or _is_normed(value):
        return
    whole = bool((value == np.round(value)).all())
    for k in range(_MOVES):
        rng = np.random.default_rng((seed, 9, k))
        if whole:
            by = np.where(value == 0, 0, np.sign(value) * rng.integers(1, 4, value.shape))
            moved = value + by if value.ndim else value + (k + 1) * (1 if value >= 0 else -1)
        else:
            moved = rounded(value * rng.uniform(0.55, 1.8, value.shape), 12)
        if value.ndim == 1 and value.size > 2 and (np.diff(value) > 0).all():
            moved = np.sort(moved)
        moved = settle({name: moved}, facts)[name]
        if not np.array_equal(moved, value):
            yield np.asarray(moved, dtype=value.dtype)


def other_labels(value: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Other labels of the same kind: flags of which some are set, signs, and rows of which each has one of its entries
    set.  Masks of other shapes may mean anything, and have no others.

    >>> [x.tolist() for x in itertools.islice(other_labels(np.array([1.0, 1.0, 0.0]), np.random.default_rng(0)), 1)]
    [[1.0, 0.0, 0.0]]
    >>> [x.tolist() for x in itertools.islice(other_labels(np.array([0.0, 1.0, 0.0]), np.random.default_rng(0)), 1)]
    [[0.0, 0.0, 1.0]]
    >>> list(other_labels(np.tri(3), np.random.default_rng(0)))
    []
    """
    kinds = np.unique(value)
    for _ in range(_DRAWN if len(kinds) == 2 else 0):
        if value.size == max(value.shape) and set(kinds) == {0.0, 1.0} and value.sum() == 1:  # the class of one example
            other = np.eye(value.size)[rng.integers(0, value.size)].reshape(value.shape)
        elif value.size == max(value.shape):
            order = np.diff(value.reshape(-1))
            chosen = kinds[rng.integers(0, 2, value.size)]
            chosen = np.sort(chosen) if (order >= 0).all() else np.sort(chosen)[::-1] if (order <= 0).all() else chosen
            other = chosen.reshape(value.shape)
        elif value.ndim == 2 and set(kinds) == {0.0, 1.0} and (value.sum(1) == 1).all():
            other = np.eye(value.shape[1])[rng.integers(0, value.shape[1], len(value))]
        else:
            return
        if len(np.unique(other)) == 2 and not np.array_equal(other, value):
            yield other.astype(value.dtype)


def _facts(name: str, shape: tuple[int, ...]) -> list[Fact]:
    found: list[Fact] = [SumsTo(name, k, total, len(shape)) for k in range(min(len(shape), 2)) for total in (0, 1)]
    return [*found, Symmetric(name)] if len(shape) == 2 and shape[0] == shape[1] else found


def _is_normed(value: np.ndarray) -> bool:
    """Whether the vectors along an axis have length one."""
    return any(value.shape[k] > 1 and bool((np.abs((value**2).sum(k) - 1) <= _SLACK).all()) for k in range(value.ndim))
