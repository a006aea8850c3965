"""Every claim for all sizes: the code read as index notation, proved, and the reading held against the code.

The ordinary pipeline has judged the claims at one assignment of the sizes.  Here the same code is run at several
others, read as one formula in the sizes (`symgrad.indices.reading`), and hand formula and exact derivative are proved
equal for all sizes.  A reading counts only if it gives what the code computes at sizes that it was not read at.  Where
no reading or no proof is found, the claims are looked at in a fixed list of sizes instead, and the report says so.  A
counterexample is shown at the smallest sizes that have one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from symgrad.arguments import find_point
from symgrad.building import Builder, join
from symgrad.comparison import Pair, branch_of, look
from symgrad.derivative import gradients, reverse
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, binary, precision
from symgrad.evaluation.entries import flat
from symgrad.indices.equality import IndexProof, prove_equal
from symgrad.indices.reading import Factor, Value, aligned, merged, read
from symgrad.indices.sizes import Sizes, Unread
from symgrad.indices.terms import fresh
from symgrad.indices.values import evaluate
from symgrad.looking import Findings, Problem, more_looks
from symgrad.program import Program, interpret
from symgrad.refuting import simplest, witness_of
from symgrad.sampling import draw
from symgrad.shapes import Shapes
from symgrad.verdict import Agrees, AllSizes, ForAll, Proved, Refuted

__all__ = ["Reading", "judge_all_sizes", "read_problem", "resized"]

_MOST = 16  # assignments of sizes that are looked at for evidence, or for a smaller counterexample
_BITS = 256
_SEED = "the upstream derivative"


@dataclass(frozen=True, eq=False)
class Reading:
    """A claim in index notation: both sides over common indices."""

    hand: Any
    exact: Any
    factors: tuple[Factor, ...]


def judge_all_sizes(problem: Problem, found: Findings, shapes: Shapes, facts: Sequence[Any] = ()) -> AllSizes:
    """Extend every verdict to all sizes where that can be proved, and say what is known where it cannot.

    ``found`` holds the verdicts at the problem's own sizes; they are replaced by what is known of all sizes.
    """
    _shrink(problem, found, shapes)
    alive = [p for p in found.own.pairs if isinstance(found.verdicts[p.name], (Proved, Agrees))]
    why = ""
    proved: dict[str, ForAll] = {}
    if alive:
        try:
            proved, why = _prove(problem, shapes, alive, facts)
        except Unread as error:
            why = error.what
    rest = [p for p in alive if p.name not in proved]
    tried = _evidence(problem, found, shapes, rest) if rest and shapes.free else ()
    for pair in alive:
        verdict = found.verdicts[pair.name]
        if pair.name in proved:
            proofs, domain = (verdict.proofs, verdict.domain) if isinstance(verdict, Proved) else ((), ())
            found.verdicts[pair.name] = Proved(proofs, domain, proved[pair.name])
    return AllSizes(shapes.names, shapes.own(), dict(shapes.fixed), tuple(tried), why)


# ------------------------------------------------------------------------------------------------ at other sizes


def resized(problem: Problem, shapes: Shapes, sizes: Mapping[str, int]) -> Problem:
    """The problem at other sizes, at a point drawn there.  Raises what the code raises where it does not fit them."""
    point = dict(problem.inputs.point)
    for k, (name, shape) in enumerate(shapes.at(sizes).items()):
        if np.shape(point[name]) != shape:
            rng = np.random.default_rng((problem.seed, 5, k, *shape))
            point[name] = draw(shape, rng, problem.inputs.bounds.get(name, (None, None)))
    inputs, model = find_point(problem.model, replace(problem.inputs, point=point), problem.dtypes, problem.seed)
    return replace(problem, inputs=inputs, first=(model, problem.hand.run(inputs.point, problem.dtypes)))


def _shrink(problem: Problem, found: Findings, shapes: Shapes) -> None:
    """Show each refutation at the smallest sizes that have one."""
    wrong = [p.name for p in found.own.pairs if isinstance(found.verdicts[p.name], Refuted) and p.hand is not None]
    for sizes in _smaller(shapes):
        if not wrong:
            return
        for name, verdict in _looked(problem, shapes, sizes, wrong).items():
            before = found.verdicts[name]
            assert isinstance(before, Refuted)
            found.verdicts[name] = replace(verdict, others=(before.witness, *before.others))
            wrong.remove(name)


def _smaller(shapes: Shapes) -> list[dict[str, int]]:
    """The assignments below the problem's own, the smallest first."""
    own = shapes.own()
    boxes = itertools.product(*(range(1, own[n] + 1) for n in shapes.free))
    found = [{**dict(zip(shapes.free, box, strict=True)), **shapes.fixed} for box in boxes]
    return sorted((s for s in found if s != own), key=lambda s: (sum(s.values()), tuple(s.values())))[:_MOST]


def _evidence(problem: Problem, found: Findings, shapes: Shapes, pairs: Sequence[Pair]) -> tuple[dict[str, int], ...]:
    """Look at the claims in a fixed list of other sizes; what differs there is refuted.  The sizes looked at."""
    own, looked = shapes.own(), []
    names = [p.name for p in pairs]
    shifts = [{n: 1 for n in shapes.free}, *({n: own[n] + (n == m) * 2 for n in shapes.free} for m in shapes.free)]
    shifts += [{n: 3 for n in shapes.free}, {n: 9 - own[n] if own[n] < 8 else 2 for n in shapes.free}]
    for free in shifts[:_MOST]:
        sizes = {**free, **shapes.fixed}
        refuted = _looked(problem, shapes, sizes, names)
        for name, verdict in (refuted or {}).items():
            found.verdicts[name] = verdict
            names.remove(name)
        looked.append(sizes)
    return tuple(looked)


def _looked(problem: Problem, shapes: Shapes, sizes: Mapping[str, int], names: Sequence[str]) -> dict[str, Refuted]:
    """The claims that are refuted at these sizes."""
    try:
        there = resized(problem, shapes, sizes)
        assert there.first is not None
        own = branch_of(*there.first, there.wrt, there.order)
        seen = Findings(own, look(own, there.inputs.point, there.inputs.free), [own])
        next(more_looks(there, seen), None)
    except SymgradError:
        return {}
    out = {}
    for pair in own.pairs:
        if pair.name not in names or pair.hand is None:
            continue
        looks = [s for _, s in [(own, seen.own_look), *seen.looks] if not s.ties]
        witness = next((w for s in looks if (w := witness_of(s, pair)) is not None and w.reason == "differs"), None)
        if witness is not None:
            simple = simplest(there, seen, pair)
            out[pair.name] = Refuted(replace(simple or witness, sizes=dict(sizes)))
    return out


# ------------------------------------------------------------------------------------------------ proving


def _prove(
    problem: Problem, shapes: Shapes, pairs: Sequence[Pair], facts: Sequence[Any]
) -> tuple[dict[str, ForAll], str]:
    """A proof for all sizes of each claim that has one, and why there is none for the others.

    Where a size is fixed by the user's objects, its number is first read as the size wherever it stands, then not.
    """
    proved: dict[str, ForAll] = {}
    why = ""
    for literals in (True, False) if shapes.fixed else (False,):
        sizes = Sizes.of(shapes.names, shapes.fixed, literals=literals)
        try:
            readings = read_problem(problem, shapes, sizes, [p for p in pairs if p.name not in proved])
        except Unread as error:
            why = error.what
            continue
        for name, reading in readings.items():
            ranges = {f.index: f.size for f in reading.factors}
            proof = prove_equal(reading.hand, reading.exact, sizes=ranges, facts=tuple(facts))
            if proof is None:
                why = "no chain of rules was found for all sizes."
                continue
            least = _least(problem, shapes, name, reading)
            if least is not None:
                proved[name] = _for_all(shapes, sizes, reading, proof, least)
            else:
                why = "the reading of the code in index notation does not give what the code computes."
        if len(proved) == len(pairs):
            break
    return proved, why


def _for_all(shapes: Shapes, sizes: Sizes, reading: Reading, proof: IndexProof, least: int) -> ForAll:
    literals = {n: v for n, v in shapes.fixed.items() if sizes.literals}
    return ForAll(shapes.names, least, literals, str(sizes), proof, tuple(map(str, proof.facts)))


def read_problem(problem: Problem, shapes: Shapes, sizes: Sizes, pairs: Sequence[Pair]) -> dict[str, Reading]:
    """The claims in index notation.  Raises `Unread` where the code, at these sizes, is not one formula in them."""
    names = [p.name for p in pairs]
    summed = all(p.note is not None and "upstream ones" in p.note for p in pairs)
    programs = []
    for run in sizes.runs:
        try:
            there = resized(problem, shapes, run)
        except SymgradError as error:
            raise Unread(f"at other sizes ({', '.join(f'{n} = {v}' for n, v in run.items())}) {error.what}") from None
        assert there.first is not None
        programs.append(_joined(*(r.program for r in there.first), names, problem.order, summed))
    program = merged(programs)
    point = problem.inputs.point
    of = {n: shapes.of.get(n, np.shape(point[n])) for n in program.inputs if not n.startswith(_SEED)}
    outputs = program.outputs
    given: dict[str, Value] = {}
    free: dict[str, tuple[Factor, ...]] = {}
    for key, seeded in _seeds(program).items():
        value = read(program, sizes, of, [outputs[seeded]])[outputs[seeded]]
        given[key], free[key] = _unit(value)
    wanted = [outputs[f"{side}.{n}"] for n in names for side in ("hand", "exact")]
    values = read(program, sizes, of, wanted, given=given)
    found = {}
    for n in names:
        hand, exact = values[outputs[f"hand.{n}"]], values[outputs[f"exact.{n}"]]
        upstream = free.get(f"{_SEED} {n}", free.get(_SEED, ()))
        axes = ((f,) for f in upstream)
        found[n] = _paired(hand, Value(exact.body, (*axes, *exact.axes)))
    return found


def _paired(hand: Value, exact: Value) -> Reading:
    """Both sides over common indices; axes of length one count for nothing."""
    sides = [replace(v, axes=tuple(axis for axis in v.axes if axis)) for v in (hand, exact)]
    sides = [replace(v, axes=tuple((f,) for f in v.factors)) for v in sides]
    lengths = [[f.numbers for f in v.factors] for v in sides]
    if lengths[0] != lengths[1]:
        raise Unread("hand formula and derivative have axes that were split in different ways.")
    (left, right), axes = aligned(sides)
    return Reading(left, right, tuple(f for axis in axes for f in axis))


def _joined(model: Program, hand: Program, names: Sequence[str], order: int, summed: bool) -> Program:
    """Model, hand formulas and exact derivatives in one Program.

    A Jacobian is the derivative for an upstream that is an input here: read as a one in one place, it is every row.
    """
    both = join(model=model, hand=hand)
    b = Builder.on(both)
    (output,) = (i for key, i in both.outputs.items() if key.startswith("model.") and "at:" not in key)
    wrt = {n: both.outputs.get(f"model.at:{n}", both.inputs.get(n)) for n in names}
    outputs = {f"hand.{n}": both.outputs[f"hand.{n}"] for n in names}
    if order == 0:
        outputs[f"exact.{names[0]}"] = output
        return b.build(outputs)
    if any(i is None for i in wrt.values()):
        raise Unread("a derivative is asked for by a value that is no input at other sizes.")
    if order == 1 and (not b.shape(output) or summed):
        outputs |= {f"exact.{n}": i for n, i in gradients(b, output, wrt).items()}
    elif order == 1:
        outputs["seeded"] = output
        outputs |= {f"exact.{n}": i for n, i in _rows(b, output, wrt, _SEED).items()}
    else:
        first = gradients(b, output, wrt)
        for n, i in wrt.items():
            outputs[f"seeded.{n}"] = first[n]
            outputs[f"exact.{n}"] = _rows(b, first[n], {n: i}, f"{_SEED} {n}")[n]
    return b.build(outputs)


def _rows(b: Builder, output: int, wrt: Mapping[str, Any], name: str) -> dict[str, int]:
    seed = b.input(name, b.shape(output), b.dtype(output))
    of, _ = reverse(b, {output: seed}, set(wrt.values()))
    return {n: of[i] if i in of else b.zeros(b.shape(i), b.dtype(i)) for n, i in wrt.items()}


def _seeds(program: Program) -> dict[str, str]:
    """The upstream inputs, and the outputs whose entries they stand for."""
    found = {}
    for key in program.inputs:
        if key.startswith(_SEED):
            n = key.removeprefix(_SEED).strip()
            found[key] = f"seeded.{n}" if n else "seeded"
    return found


def _unit(value: Value) -> tuple[Value, tuple[Factor, ...]]:
    """A tensor of the value's shape that is one at a free place and zero elsewhere, and the indices of that place."""
    axes = tuple(tuple(replace(f, index=fresh(f.index), loose=False) for f in axis) for axis in value.axes)
    mine = [f for axis in axes for f in axis]
    free = tuple(replace(f, index=fresh(f.index)) for f in mine)
    body = sp.Mul(*(sp.KroneckerDelta(f.index, g.index) for f, g in zip(mine, free, strict=True)))
    return Value(body, axes), free


# ------------------------------------------------------------------------------------------------ held to the code


def _least(problem: Problem, shapes: Shapes, name: str, reading: Reading) -> int | None:
    """The least size at which the reading gives what the code computes: 1, or 2 where one is not like the others.

    None where the reading fails at the problem's own sizes, which it was not read at (unless they are all fixed).
    """
    own = shapes.own()
    if not all(_gives(problem, shapes, name, reading, s) for s in (own, *_equal(shapes))):
        return None
    ones = [{**own, n: 1} for n in shapes.free]
    if len(ones) > 1:
        ones.append({**own, **dict.fromkeys(shapes.free, 1)})
    return 1 if all(_gives(problem, shapes, name, reading, s) for s in ones) else 2


def _equal(shapes: Shapes) -> list[dict[str, int]]:
    """Sizes that are the same number, where code may take one for the other."""
    return [{**shapes.own(), **dict.fromkeys(shapes.free, 2)}] if len(shapes.free) > 1 else []


def _gives(problem: Problem, shapes: Shapes, name: str, reading: Reading, sizes: Mapping[str, int]) -> bool:
    """Whether both sides of a reading, at these sizes, are what a fresh run computes, in balls."""
    try:
        there = problem if sizes == shapes.own() else resized(problem, shapes, sizes)
        runs = there.first if there.first is not None else there.runs(there.inputs.point)
        branch = branch_of(*runs, there.wrt, there.order)
    except SymgradError:
        return False
    pair = next(p for p in branch.pairs if p.name == name)
    if pair.hand is None:
        return False
    point = there.inputs.point
    with precision(_BITS):
        inputs = {n: binary(point[n]) for n in branch.program.inputs}
        values = interpret(branch.program, Balls(), inputs, [pair.hand, pair.exact])
        for step, body in ((pair.hand, reading.hand), (pair.exact, reading.exact)):
            if not _same(flat(values[step]), _entries(body, reading.factors, inputs, sizes)):
                return False
    return True


def _entries(body: Any, factors: Sequence[Factor], inputs: Mapping[str, Any], sizes: Mapping[str, int]) -> list[Any]:
    lengths = {sp.Symbol(n, integer=True, positive=True): v for n, v in sizes.items()}
    box = [range(int(f.size.subs(lengths))) for f in factors]
    return [
        evaluate(body, inputs, {**lengths, **dict(zip((f.index for f in factors), at, strict=True))})
        for at in itertools.product(*box)
    ]


def _same(code: Sequence[Any], formula: Sequence[Any]) -> bool:
    """Whether the balls overlap, entry by entry, and are thin."""
    if len(code) != len(formula):
        return False
    for c, f in zip(code, formula, strict=True):
        if not (c.is_finite() and f.is_finite()):
            if c.is_finite() != f.is_finite():
                return False
        elif not (c - f).contains(0):
            return False
    return True
