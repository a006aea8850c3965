"""What to write instead: rewrites of the step that loses the digits, or of one above it; kept when they are proved.

The rules suggest; floats at the point choose; then the user's own code with the change made is run, at the point and at
a sample of others, where it must lose nothing that it did not lose before, and is proved equal to what it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.checking.comparison import same_structure
from symgrad.checking.results import Rewrite
from symgrad.errors import SymgradError, UserCodeFailed
from symgrad.evaluation.floats import Floats, tensors_of, to_numpy
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Run
from symgrad.program.builder import Builder, join
from symgrad.program.program import Program, dependencies, dependents, interpret
from symgrad.proving.proof import prove
from symgrad.rounding.accuracy import INSTABILITY
from symgrad.stability.detection import Losing, coarsest, entries_of, losing
from symgrad.stability.editing import Edited, place_of
from symgrad.stability.pattern_matching import applied, pattern
from symgrad.stability.rules import RULES
from symgrad.stability.samples import Sample
from symgrad.stability.term_algebra import Leaf, Term, algebra, everywhere, plus, size_of
from symgrad.stability.term_reader import Reader, written

_DEEP = 3  # rules in a row
_TERMS = 240  # terms that are tried for one step
_ROOTS = 8  # steps that are tried, from the one that loses the digits on
_WORSE = 64.0  # how much more of what is lost already may be lost
_CASES = 2  # absolute values that a proof splits into cases
_JUDGED = 6  # edited codes that are judged
_ENOUGH = 3  # points of a side on which a rewrite has to be good
_PROVED = 6  # branches on which an edit is proved


def best_rewrite(formula: Formula, run: Run, lost: Losing, sample: Sample) -> Rewrite | None:
    """The best rewrite that is right and loses nothing: one that is good on all sides, mends most of what else is lost
    at the sample, and leaves the shortest code; None where none was found.
    """
    found: list[tuple[int, int, Edited]] = []
    for k, (root, reader, terms) in enumerate(_healed_roots(run.program, lost, sample.output)):
        place = place_of(formula, run.program, root)
        for term in terms if place is not None else ():
            found += [(len(e.text.replace(" ", "")), k, e) for e in place.edits(term, reader)]  # type: ignore[union-attr]
    best: tuple[Any, Rewrite] | None = None
    for _, _, edit in sorted(found, key=lambda f: f[:2])[:_JUDGED]:
        judged = _judged(edit, lost, sample)
        if judged is None:
            continue
        left, rewrite = judged
        if best is None or (rewrite.where is not None, left) < best[0]:
            best = (rewrite.where is not None, left), rewrite
        if best[0] == (False, 0):
            break
    return None if best is None else best[1]


def _healed_roots(program: Program, lost: Losing, name: str) -> Iterator[tuple[int, Reader, list[Term]]]:
    output = program.outputs[name]
    reader = Reader(program)
    for root in _roots(program, lost, output):
        terms = _healing(program, root, output, lost, reader)
        if terms:
            yield root, reader, terms


def _roots(program: Program, lost: Losing, output: int) -> list[int]:
    """The steps from the one that loses the digits to the output, each the last of its piece of the text."""
    start = output if lost.step is None else lost.step
    between = dependents(program.steps, [start]) & dependencies(program.steps, [output])
    way = [i for i in sorted(between) if program.steps[i].op != "name"]
    last: dict[Any, int] = {}
    for i in way:
        source = program.steps[i].source
        last[(i,) if source is None else (source.file, source.line, source.span)] = i
    return sorted(last.values())[:_ROOTS]


# ------------------------------------------------------------------------------------------------ by value


def _healing(program: Program, root: int, output: int, lost: Losing, reader: Reader) -> list[Term]:
    """The terms in the place of ``root`` with which the Program keeps its digits at the point, the shortest first."""
    own = reader.read(root)
    if isinstance(own, Leaf):
        return []
    inputs = tensors_of(lost.point, program.dtypes)
    allowed = INSTABILITY * torch.finfo(coarsest(program, output)).eps / 2 * lost.attainable
    found = []
    for term in _reachable(own, reader):
        try:
            value = _with(program, root, term, output, inputs)[lost.entry]
        except (RuntimeError, ValueError, NotImplementedError, ArithmeticError, KeyError, SymgradError):
            continue
        if abs(value - lost.exact) <= allowed:
            found.append(term)
    return sorted(found, key=lambda t: (size_of(t), len(str(t)), str(t)))[:4]


def _reachable(own: Term, reader: Reader) -> Iterator[Term]:
    """The term itself in its normal order, and what the rules make of it."""
    lengths = reader.lengths(own) or {None}
    seen, layer = {own}, [own]
    most = _TERMS // (1 + size_of(own) // 16)
    yield own
    for _ in range(_DEEP):
        after: list[Term] = []
        for term in layer:
            for new in _one_step(term, lengths):
                if new not in seen and size_of(new) <= 2 * size_of(own) + 16:
                    seen.add(new)
                    after.append(new)
                    yield new
                if len(seen) >= most:
                    return
        layer = after


def _one_step(term: Term, lengths: Any) -> Iterator[Term]:
    for rule in RULES:
        for n in lengths if "N" in rule.before else (None,):
            yield from everywhere(partial(applied, pattern(rule.before, n), pattern(rule.after, n)), term)
    yield from algebra(term)


def _with(program: Program, root: int, term: Term, output: int, inputs: Mapping[str, torch.Tensor]) -> np.ndarray:
    """The output's entries with a step computed as a term."""
    b = Builder.on(program)

    def values(i: int) -> np.ndarray:
        return to_numpy(interpret(b.build({}), Floats(), inputs, [i])[i])

    step = written(b, term, program.steps[root].dtype, values)
    shape = program.shape(root)
    step = b.broadcast(step, shape) if b.shape(step) != shape and len(b.shape(step)) <= len(shape) else step
    with torch.no_grad():
        new = interpret(b.build({}), Floats(), inputs, [step])[step].reshape(shape)
        out = interpret(program, Floats(), inputs, [output], replaced={root: new})[output]
    return to_numpy(out).reshape(-1)


# ------------------------------------------------------------------------------------------------ by running


def _judged(edit: Edited, lost: Losing, sample: Sample) -> tuple[int, Rewrite] | None:
    """The rewrite, where it keeps the digits, loses nothing new and is proved; and at how many points some are lost."""
    try:
        run = edit.formula.run(lost.point, sample.dtypes)
    except SymgradError:
        return None
    i = run.program.outputs.get(sample.output)
    if i is None:
        return None
    given = float(np.asarray(run.values[sample.output]).reshape(-1)[lost.entry])
    unit = torch.finfo(coarsest(run.program, i)).eps / 2
    if not abs(given - lost.exact) <= INSTABILITY * unit * lost.attainable:
        return None
    left = 0
    pairs: list[tuple[Run, Run]] = []
    worse: list[Mapping[str, Any]] = []
    better: list[Mapping[str, Any]] = [lost.point]
    for k, point in enumerate(sample.points):
        before = sample.original(k)
        try:
            after = edit.formula.run(point, sample.dtypes)
        except UserCodeFailed:
            left += 1
            if before is not None:
                worse.append(point)
            continue
        except SymgradError:
            return None
        if before is None:
            continue
        kept, loses = _no_worse(before, after, point, sample.output)
        left += loses
        if not kept:
            worse.append(point)
            continue
        better.append(point)
        if not any(_same_way(a, before[0]) and _same_way(b, after) for a, b in pairs):
            pairs.append((before[0], after))
    side = _side(worse, better, lost.point, sample) if worse else None
    if worse and side is None:
        return None
    if not pairs or len(pairs) > _PROVED or not all(_is_proved(a, b, sample) for a, b in pairs):
        return None
    line = None if edit.source is None else edit.source.line
    return left, Rewrite(edit.before, edit.after, line, edit.source, given, edit.text, side)


def _same_way(a: Run, b: Run) -> bool:
    return same_structure(a.program, b.program)


def _side(
    worse: Sequence[Mapping[str, Any]], better: Sequence[Mapping[str, Any]], here: Mapping[str, Any], sample: Sample
) -> str | None:
    """The sign of an input that separates the points where a rewrite is good from those where it is not."""
    for name, value in here.items():
        if name not in sample.dtypes or np.ndim(value) or not float(value):
            continue
        sign = np.sign(float(value))
        bad = [float(p[name]) * sign > 0 for p in worse]
        good = [p for p in better if float(p[name]) * sign > 0]
        if not any(bad) and len(good) >= _ENOUGH:
            return f"{name} {'>' if sign > 0 else '<'} 0"
    return None


def _no_worse(before: tuple[Run, Losing | None], after: Run, point: Mapping[str, Any], name: str) -> tuple[bool, bool]:
    """Whether the new code has a value where the old one has and loses nothing more; and whether it loses anything."""
    run, old = before
    i, j = run.program.outputs[name], after.program.outputs[name]
    if np.shape(run.values[name]) != np.shape(after.values[name]):
        return False, True
    if not agree(run.program, i, after.program, j, point):
        return False, True
    new = losing(after.program, point, j, after.values[name])
    return new is None or (old is not None and new.error <= _WORSE * old.error), new is not None


def agree(a: Program, i: int, b: Program, j: int, point: Mapping[str, Any]) -> bool:
    """Whether the new code has the old one's exact value, wherever that has one.

    A proof may hold on a part of the domain alone, such as that of sqrt(x**2) = x; here the rest is looked at.
    """
    for bits in (128, 1200):
        old, new = entries_of(a, point, i, bits), entries_of(b, point, j, bits)
        if old is None or not all(x.is_finite() for x in old):
            continue
        if new is None or not all(y.is_finite() for y in new):
            continue
        return all((x - y).contains(0) for x, y in zip(old, new, strict=True))
    return old is None or not all(x.is_finite() for x in old)


def _is_proved(a: Run, b: Run, sample: Sample) -> bool:
    """Whether the two are proved equal, for each sign of what absolute values are taken of."""
    both = join(a=a.program, b=b.program)
    builder = Builder.on(both)
    stated = []
    for name, (low, high) in sample.bounds.items():
        x = both.inputs.get(name)
        if x is None:
            continue
        for bound, above in ((low, True), (high, False)):
            if bound is not None and np.isfinite(bound):
                edge = builder.number(sp.Rational(*float(bound).as_integer_ratio()), builder.dtype(x))
                stated.append(builder.sub(x, edge) if above else builder.sub(edge, x))
    left, right = (both.outputs[f"{side}.{sample.output}"] for side in "ab")
    whole = builder.build(both.outputs)
    if prove(whole, left, right, stated=stated) is not None:
        return True
    cases = _cases(whole, [left, right])
    return bool(cases) and all(prove(case, left, right, stated=stated) is not None for case in cases)


def _cases(program: Program, wanted: Sequence[int]) -> list[Program]:
    """The Program with |u| as u and as -u, for each u: one of them is what it computes, whatever the inputs are."""
    reader = Reader(program)
    found: dict[Term, list[int]] = {}
    for i in program.needed(wanted):
        if program.steps[i].op == "abs" and not program.steps[i].is_complex:
            found.setdefault(reader.read(program.steps[i].args[0]), []).append(i)
    if not 0 < len(found) <= _CASES:
        return []
    known = _signs(program, reader)
    choices = [
        ("name",) if known.get(u, 0) > 0 else ("neg",) if known.get(u, 0) < 0 else ("name", "neg") for u in found
    ]
    out = []
    for signs in itertools.product(*choices):
        steps = list(program.steps)
        for op, places in zip(signs, found.values(), strict=True):
            for i in places:
                steps[i] = replace(steps[i], op=op)
        out.append(replace(program, steps=tuple(steps)))
    return out


def _signs(program: Program, reader: Reader) -> dict[Term, int]:
    """The signs of terms that the branch's own comparisons tell: ``x > 0`` was true, so x is positive on it."""
    found: dict[Term, int] = {}
    for g in program.guards:
        if g.op in ("gt", "ge", "lt", "le") and len(g.args) == 2 and np.size(g.outcome) == 1:
            gap = plus([(1, reader.read(g.args[0])), (-1, reader.read(g.args[1]))])
            above = bool(np.asarray(g.outcome).reshape(-1)[0]) == (g.op in ("gt", "ge"))
            found[gap], found[plus([(-1, gap)])] = (1, -1) if above else (-1, 1)
    return found
