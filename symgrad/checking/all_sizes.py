"""Every claim for all sizes: proved from its reading in index notation, by induction over the turns of a loop, or
looked at in a fixed list of sizes.

The ordinary pipeline has judged the claims at one assignment of the sizes.  Here the same code, run at others, is read
as one formula in the sizes (`symgrad.checking.index_claims`), and hand formula and exact derivative are proved equal
for all of them.  A reading counts only if it gives what the code computes at sizes that it was not read at.  Where no
reading or no proof is found, the claims are looked at in a fixed list of sizes, and the report says so.  A
counterexample is shown at the smallest sizes that have one.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from symgrad.checking.comparison import Branch, Pair, PointComparison, branch_of, compare_at
from symgrad.checking.exploration import Findings, clear, explore_points
from symgrad.checking.index_claims import Reading, agrees, gives, read_problem, resized
from symgrad.checking.recurrences import prove_by_turns
from symgrad.checking.refutations import simplest, witness_of
from symgrad.checking.size_theorems import named_lengths
from symgrad.checking.verdicts import Agrees, AllSizes, ForAll, IndexForm, Proved, Refuted, Witness
from symgrad.errors import SymgradError
from symgrad.indices.equality import IndexProof, prove_equal
from symgrad.indices.sizes import Sizes, Unread, size_symbol
from symgrad.indices.terms import STEP, rename
from symgrad.lifting.formulas import Formula
from symgrad.problem.definedness import branches_on
from symgrad.problem.question import Problem
from symgrad.problem.shapes import Shapes
from symgrad.program.written_choices import recorded_for_all_sizes

_BRANCHES = 8  # of the code, on each of which a reading is held against what was computed
_BLOCK, _BLOCKS = 64, 4  # the longest block whose multiples are asked about, and how many lengths of blocks are tried
_WINDOW = 9  # what a code that runs from some size on runs at
_BESIDE = 24  # assignments of sizes beside the numbers in the code at which a reading is held against it
_LARGEST = 1 << 13  # entries of an input there
_MOST = 16  # assignments of sizes that are looked at for evidence, or for a smaller counterexample


def judge_all_sizes(problem: Problem, found: Findings) -> AllSizes | None:
    """Extend every verdict to all sizes where that can be proved, and say what is known where it cannot.

    ``found`` holds the verdicts at the problem's own sizes; they are replaced by what is known of all sizes.  None
    where no shape has a name.
    """
    shapes = problem.shapes
    if shapes is None:
        return None
    if problem.values_only:  # numbers tell of no other sizes
        return AllSizes(shapes.names, shapes.own(), dict(shapes.fixed))
    _shrink(problem, found, shapes)
    right = [n for n, v in found.verdicts.items() if isinstance(v, (Proved, Agrees))]
    try:
        proved, forms, why, unread = _prove(problem, found, shapes, problem.letters)
        proved |= _in_blocks(problem, found, shapes, [n for n in right if n in unread and not _is_whole(proved.get(n))])
    except Exception as error:  # what was judged at the own sizes rests on none of this, and must not be lost with it
        if isinstance(error, SymgradError):
            raise
        proved, forms, why = {}, {}, dict.fromkeys(found.verdicts, f"by a fault of symgrad: {error!r}")
    for name, for_all in proved.items():
        verdict = found.verdicts[name]
        proofs, domain = (verdict.proofs, verdict.domain) if isinstance(verdict, Proved) else ((), ())
        found.verdicts[name] = Proved(proofs, domain, for_all)
    rest = [n for n in right if not _is_whole(proved.get(n))]
    looked = _evidence(problem, found, shapes, rest) if rest else ()
    return AllSizes(shapes.names, shapes.own(), dict(shapes.fixed), looked, {n: why[n] for n in rest}, forms)


def _is_whole(for_all: ForAll | None) -> bool:
    return for_all is not None and for_all.is_whole


def holds_at_other_sizes(problem: Problem, hand: Formula, branch: Branch | None = None) -> bool:
    """Whether another hand formula is refuted at none of a few other sizes, where sizes have names; with its
    ``branch``, at no other lengths of the axes, where these have none; data that look made for their shape stay."""
    shapes = problem.shapes
    there = replace(problem, hand=hand, first=None)
    inputs = problem.inputs
    keeps = any(_is_made(inputs.point[n]) for n in inputs.given if n not in problem.wrt)  # labels drawn are none
    if shapes is None and branch is not None and not keeps and not problem.pasted:  # a script makes its own data
        try:
            shapes, _, own = named_lengths(problem, branch)
        except Unread:
            return True
    elif shapes is not None:
        own = shapes.own()
    else:
        return True
    others = [
        {**own, **{n: own[n] + 2 + k for k, n in enumerate(shapes.growing)}},
        {**own, **dict.fromkeys(shapes.free, 3)},
    ]
    found = [_looked(there, shapes, sizes, problem.wrt) for sizes in others if sizes != own]
    if any(found) or branch is None or any(f is not None for f in found):
        return not any(found)
    arrays = {n: np.shape(inputs.point[n]) for n in branch.program.inputs if np.ndim(inputs.point[n])}
    return not any(_looked(there, s, {_LONGER: n + 1}, problem.wrt) for s, n in _with_longer_axes(arrays))


_LONGER = "m"
_TOGETHER = 3  # axes of one length that are made longer together
_AXES = 7  # of so many are the sets looked at


def _with_longer_axes(arrays: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[Shapes, int]]:
    """The shapes with some axes of one length longer, which may be one size of the code's where others are numbers in
    it, and that length."""
    for length in sorted({n for shape in arrays.values() for n in shape if n > 1}):
        axes = [(name, k) for name, shape in arrays.items() for k, n in enumerate(shape) if n == length]
        for r in range(1, _TOGETHER + 1 if len(axes) <= _AXES else 1):
            for chosen in itertools.combinations(axes, r):
                of = {n: tuple(_LONGER if (n, k) in chosen else x for k, x in enumerate(s)) for n, s in arrays.items()}
                yield Shapes(of, (_LONGER,), {}), length


def _is_made(value: object) -> bool:
    """Whether an array is not just any numbers: labels, counts, shares, a symmetric matrix, what is never negative."""
    v = np.asarray(value)
    if not v.ndim:
        return False
    whole = v.dtype.kind != "f" or np.array_equal(v, np.round(v))
    return whole or bool((v >= 0).all()) or (v.ndim == 2 and v.shape[0] == v.shape[1] and np.array_equal(v, v.T))


# ------------------------------------------------------------------------------------------------ proving


def _prove(
    problem: Problem, found: Findings, shapes: Shapes, letters: Mapping[str, Sequence[str]]
) -> tuple[dict[str, ForAll], dict[str, IndexForm], dict[str, str], set[str]]:
    """A proof for all sizes of each claim that has one, every exact derivative that could be read, why there is no
    proof for the others, and which of them could not be read.

    Where a size is fixed by the user's objects, its number is first read as the size wherever it stands, then not.
    What cannot be read at small sizes, where an axis of n - 2 is no axis, is read at larger ones; and what cannot be
    read as it ran, with its choices by a number written as arithmetic.
    """
    proved: dict[str, ForAll] = {}
    forms: dict[str, IndexForm] = {}
    right = {n for n, v in found.verdicts.items() if isinstance(v, (Proved, Agrees))}
    why: dict[str, str] = {}
    unread: set[str] = set()
    rank = _rank(found)
    chooses = bool(branches_on(found.own.program, problem.inputs.free))
    ways = itertools.product((False, True), (True, False) if shapes.fixed else (False,), (3, 5))
    for written, literals, least in ways:
        left = right - set(proved)
        if (forms or written) and not {n for n in left if (least == 3 and not written) or n in unread}:
            continue
        least = max(least, shapes.least)
        pairs = [p for p in found.own.pairs if p.name not in proved]
        for order in dict.fromkeys((shapes.order, shapes.free if len(shapes.free) > 1 else ())):
            sizes = Sizes.of(shapes.names, shapes.fixed, literals=literals, least=least, rank=rank, order=order)
            try:
                with recorded_for_all_sizes() if written else contextlib.nullcontext():
                    found_here = read_problem(problem, shapes, sizes, pairs)
                break
            except Unread as error:
                found_here = {p.name: error for p in pairs}
            if not _runs_in_one_order(problem, shapes):
                break
        unread = {n for n, r in found_here.items() if isinstance(r, Unread) or r.hand is None}
        why |= {n: r.what for n, r in found_here.items() if isinstance(r, Unread) and n in right}
        readings = {n: r for n, r in found_here.items() if isinstance(r, Reading)}
        shown = {n: _form(r, letters.get(n, ())) for n, r in readings.items()}
        forms = {**shown, **forms}
        mine = {n: r for n, r in readings.items() if n in right - set(proved)}
        results = _proved(problem, found, replace(shapes, order=order), sizes, mine)
        for name, result in results.items():
            if isinstance(result, ForAll):
                proved[name] = replace(result, ties=result.ties or (written and chooses))
                forms[name] = replace(shown[name], bodies=(readings[name].hand, readings[name].exact))
            else:
                why[name] = result
    open_ = [n for n in right if n not in proved]
    if open_:
        proved |= prove_by_turns(problem, found, shapes, open_, _beside(found, shapes))
    return proved, forms, why, unread


def _runs_in_one_order(problem: Problem, shapes: Shapes) -> bool:
    """Whether the code fails with the smallest sizes in any other order: ``X @ X.T`` has an inverse in one alone."""
    own, lengths = shapes.own(), [shapes.own()[n] for n in shapes.free]
    if shapes.order or not 1 < len(lengths) <= 3:
        return False
    others = (p for p in set(itertools.permutations(lengths)) if [*p] != lengths)
    return all(_looked(problem, shapes, {**own, **dict(zip(shapes.free, p))}, []) is None for p in others)


def _in_blocks(problem: Problem, found: Findings, shapes: Shapes, names: Sequence[str]) -> dict[str, ForAll]:
    """The claims, of these ``names``, that hold for all multiples of a number that the code writes."""
    proved: dict[str, ForAll] = {}
    if branches_on(found.own.program, problem.inputs.free):  # the other branches were not read at these sizes
        return proved
    lengths = [n for n in _numbers(found) if n <= _BLOCK][:_BLOCKS]
    for size, block in itertools.product(shapes.free, lengths):
        open_ = [n for n in names if n not in proved]
        if not open_:
            break
        blocks = size_symbol(f"{size}/{block}")
        given = {size: block * blocks, size_symbol(size): block * blocks}
        of = {n: tuple(given.get(e, e) if isinstance(e, str) else sp.sympify(e).xreplace(given) for e in shape)
              for n, shape in shapes.of.items()}  # fmt: skip
        named, order = (tuple(blocks.name if n == size else n for n in ns) for ns in (shapes.names, shapes.order))
        there = Shapes(of, named, shapes.fixed, order=order)
        try:
            asked = replace(resized(problem, there, there.own()), shapes=there)
            assert asked.first is not None
            own = branch_of(*asked.first, asked.wrt, asked.order)
            seen = Findings(own, compare_at(own, asked.inputs.point, asked.inputs.free), [own])
            seen.verdicts |= {n: found.verdicts[n] for n in open_}
            for_blocks, *_ = _prove(asked, seen, there, {})
        except SymgradError:  # it does not run at whole blocks either
            continue
        for name, for_all in for_blocks.items():
            if not for_all.at:
                sizes = tuple(size if n == blocks.name else n for n in for_all.sizes)
                least = 1 if for_all.least == 1 else block * for_all.least
                proved[name] = replace(for_all, sizes=sizes, least=least, blocks={size: block})
    return proved


def _rank(found: Findings) -> int:
    """The most axes that a tensor on the way has."""
    return max(sum(n > 1 for n in step.shape) for step in found.own.program.steps)


def _form(reading: Reading, letters: Sequence[str]) -> IndexForm:
    return IndexForm((reading.exact,), reading.factors, reading.upstream, tuple(letters))


def _proved(
    problem: Problem, found: Findings, shapes: Shapes, sizes: Sizes, readings: Mapping[str, Reading]
) -> dict[str, ForAll | str]:
    """The proof of each claim for all sizes, or why there is none."""
    out: dict[str, ForAll | str] = {}
    proofs = {}
    from_two: set[str] = set()
    for name, reading in readings.items():
        if reading.hand is None:
            out[name] = "" if reading.why is None else reading.why.what
            continue
        proof = _proof(problem, reading, {})
        if proof is None and shapes.free:  # a formula with two ends is another one where these meet
            proof = _proof(problem, reading, {size_symbol(n): size_symbol(n) + 1 for n in shapes.free})
            from_two |= set() if proof is None else {name}
        if proof is None:
            out[name] = "no chain of rules was found that holds for all sizes."
        elif not _on_every_branch(found, shapes, name, reading):
            out[name] = "the code computes another formula on another branch."
        else:
            proofs[name] = proof
    beside = _beside(found, shapes, sizes)
    read_at = "; ".join([str(sizes), *(["and held against the code at " + _sizes_told(beside)] if beside else [])])
    for name, least in _least(problem, shapes, {n: readings[n] for n in proofs}, beside).items():
        if least is None:
            out[name] = "the formula that was read does not give what the code computes at other sizes."
            continue
        least = max(least, shapes.least) if name in from_two else least
        facts, ties = tuple(map(str, proofs[name].facts)), readings[name].exact.has(STEP)
        out[name] = ForAll(shapes.names, least, readings[name].literals, read_at, proofs[name], facts, ties)
    return out


def _proof(problem: Problem, reading: Reading, larger: Mapping[Any, Any]) -> IndexProof | None:
    """A proof that both sides of a reading are equal, for sizes that are ``larger`` by one where it says so: in it, a
    size is then called by one less."""
    bodies = (rename(body, larger) for body in (reading.hand, reading.exact))
    ranges = {f.index: rename(f.size, larger) for f in reading.factors}
    return prove_equal(*bodies, sizes=ranges, facts=problem.inputs.facts)


def _on_every_branch(found: Findings, shapes: Shapes, name: str, reading: Reading) -> bool:
    """Whether the reading gives what was computed on each branch of the code that was reached, at the own sizes."""
    looks: dict[int, PointComparison] = {}
    for branch, seen in [(found.own, found.at_user_point), *clear(found)]:
        if name in seen.views and seen.views[name].state != "outside" and not seen.ties:
            looks.setdefault(id(branch), seen)
    return all(agrees(reading, seen.views[name], seen.point, shapes.own()) for seen in [*looks.values()][:_BRANCHES])


def _beside(found: Findings, shapes: Shapes, sizes: Sizes | None = None) -> list[dict[str, int]]:
    """Sizes beside the whole numbers that the code writes, their doubles, halves and roots: where they are compared
    with a size, the code goes another way there.  Those in ``sizes`` were read already."""
    near = [m for n in _numbers(found) for m in (n, n + 1, n - 1, 2 * n, n // 2, math.isqrt(n))]
    own, out = shapes.own(), []
    known = [own, *(sizes.runs if sizes is not None else ())]
    for m in dict.fromkeys(m for m in near if m >= shapes.least):
        for change in ({n: m} for n in shapes.free):
            there = {**own, **change}
            lengths = [there[n] for n in shapes.order]
            if there in known or lengths != sorted(lengths):
                continue
            entries = max(int(np.prod(shape, dtype=np.float64)) for shape in shapes.at(there).values())
            if entries <= _LARGEST:
                out.append(there)
                known.append(there)
    return out[:_BESIDE]


def _numbers(found: Findings) -> list[int]:
    """The whole numbers that the code writes, without 0 and 1."""
    return sorted({abs(n) for run in (found.own.model_run, found.own.hand_run) for n in run.numbers} - {0, 1})


def _sizes_told(assignments: Sequence[Mapping[str, int]]) -> str:
    """Assignments of sizes, of which only one differs from the own: in order, each name once."""
    own = {n: min(a[n] for a in assignments) for n in assignments[0]}
    varied = {n: sorted({a[n] for a in assignments if a[n] != own[n]} | {own[n]}) for n in own}
    return "; ".join(f"{n} = {', '.join(map(str, values))}" for n, values in varied.items())


def _least(
    problem: Problem, shapes: Shapes, readings: Mapping[str, Reading], beside: Sequence[dict[str, int]]
) -> dict[str, int | None]:
    """The least size from which each reading gives what the code computes: 1, or the least of the own sizes where a
    size of one is not like the others.

    None where a reading fails at the problem's own sizes, which it was not read at (unless they are all fixed), or
    where two sizes are the same number.
    """
    own = shapes.own()
    ordinary = [own, *beside] + ([{**own, **dict.fromkeys(shapes.free, shapes.least)}] if len(shapes.free) > 1 else [])
    ones = [{**own, n: 1} for n in (shapes.order[:1] or shapes.free)]
    if len(shapes.free) > 1:
        ones.append({**own, **dict.fromkeys(shapes.free, 1)})
    alive, small = set(readings), set(readings)
    for k, sizes in enumerate([*ordinary, *ones]):
        good = gives(problem, shapes, {n: readings[n] for n in alive}, sizes) if alive else frozenset()
        if k < len(ordinary):
            alive &= good
        small &= good
    return {n: (1 if n in small else shapes.least) if n in alive else None for n in readings}


# ------------------------------------------------------------------------------------------------ looking


def _shrink(problem: Problem, found: Findings, shapes: Shapes) -> None:
    """Show each refutation at the smallest sizes that have one."""
    own = shapes.own()
    wrong = []
    for pair in found.own.pairs:
        verdict = found.verdicts[pair.name]
        if isinstance(verdict, Refuted) and pair.hand is not None:
            found.verdicts[pair.name] = replace(verdict, witness=replace(verdict.witness, sizes=own))
            wrong.append(pair.name)
    for sizes in _smaller(shapes):
        if not wrong:
            return
        for name, smaller in (_looked(problem, shapes, sizes, wrong) or {}).items():
            before = found.verdicts[name]
            assert isinstance(before, Refuted)
            others = (before.witness, *before.others)
            found.verdicts[name] = replace(before, witness=smaller.witness, others=others)
            wrong.remove(name)


def _smaller(shapes: Shapes) -> list[dict[str, int]]:
    """The assignments below the problem's own, the smallest first."""
    own = shapes.own()
    boxes = itertools.product(*(range(1, own[n] + 1) for n in shapes.free))
    found = [{**own, **dict(zip(shapes.free, box, strict=True))} for box in boxes]
    return sorted((s for s in found if s != own), key=lambda s: (sum(s.values()), tuple(s.values())))[:_MOST]


def _evidence(problem: Problem, found: Findings, shapes: Shapes, names: list[str]) -> tuple[dict[str, int], ...]:
    """Look at the claims in a fixed list of other sizes; what differs there is refuted.  The sizes looked at."""
    own, free = shapes.own(), shapes.free
    changed = [dict.fromkeys(free, 1), *({m: own[m] + 2} for m in free), dict.fromkeys(free, 3)]
    if shapes.least > _WINDOW:  # code that does not run at few may want a multiple of a block
        changed = [{m: 2 * own[m]} for m in free] + changed
    looked = []
    large = Sizes.of(shapes.names, shapes.fixed, rank=_rank(found)).runs[3:]
    for change in (*changed[:_MOST], *large, *_beside(found, shapes)) if free else ():
        sizes = {**own, **change}
        if sizes in (own, *looked):
            continue
        there = _looked(problem, shapes, sizes, names)
        for name, verdict in (there or {}).items():
            found.verdicts[name] = verdict
            names.remove(name)
        if there is not None:
            looked.append(sizes)
    return tuple(looked)


def _looked(
    problem: Problem, shapes: Shapes, sizes: Mapping[str, int], names: Sequence[str]
) -> dict[str, Refuted] | None:
    """The claims that are refuted at these sizes; None where the code does not run at them."""
    try:
        there = resized(problem, shapes, sizes)
        assert there.first is not None
        own = branch_of(*there.first, there.wrt, there.order)
        seen = Findings(own, compare_at(own, there.inputs.point, there.inputs.free), [own])
        next(explore_points(there, seen), None)
    except SymgradError:
        return None
    out = {}
    for pair in own.pairs:
        if pair.name in names and pair.hand is not None:
            witness = _witness(there, seen, pair)
            if witness is not None:
                out[pair.name] = Refuted(replace(witness, sizes=dict(sizes)))
    return out


def _witness(problem: Problem, seen: Findings, pair: Pair) -> Witness | None:
    looks = [s for s in (seen.at_user_point, *(s for _, s in seen.looks)) if not s.ties]
    found = next((w for s in looks if (w := witness_of(s, pair)) is not None and w.reason == "differs"), None)
    return None if found is None else simplest(problem, seen, pair) or found
