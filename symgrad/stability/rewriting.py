"""What to write instead: rewrites of the step that loses the digits, or of one above it; kept when they are proved.

The rules suggest; floats at the point choose; then the user's own code with the change made is run, at the point and at
a sample of others, where it must lose nothing that it did not lose before, and is proved equal to what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.building import Builder, join
from symgrad.comparison import same_structure
from symgrad.errors import SymgradError, UserCodeFailed
from symgrad.evaluation.balls import Balls, binary, precision
from symgrad.evaluation.entries import flat
from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.lifting.formulas import Formula
from symgrad.lifting.functions import Run
from symgrad.program import Program, interpret
from symgrad.proof import prove
from symgrad.rounding import INSTABILITY
from symgrad.sampling import Bounds
from symgrad.stability.algebra import algebra
from symgrad.stability.editing import Edited, place_of
from symgrad.stability.losses import Losing, coarsest, losing, tensors_at
from symgrad.stability.matching import everywhere, pattern
from symgrad.stability.reading import Reader, written
from symgrad.stability.rules import RULES
from symgrad.stability.terms import Leaf, Term, size_of

__all__ = ["Rewrite", "Sample", "rewrites"]

_DEEP = 3  # rules in a row
_TERMS = 240  # terms that are tried for one step
_ROOTS = 8  # steps that are tried, from the one that loses the digits on
_JUDGED = 6  # edited codes that are judged
_PROVED = 6  # branches on which an edit is proved


@dataclass(frozen=True)
class Rewrite:
    """One expression of the user's written another way.

    ``before`` and ``after`` are the expression, ``line`` where it stands, ``given`` what the code then gives at the
    point, ``text`` the whole code with the change made; ``proved`` says that it is proved equal, on each branch that
    a sample of points reached.
    """

    before: str
    after: str
    line: int | None
    span: tuple[int, int] | None
    given: float
    text: str
    proved: bool = True


@dataclass(eq=False)
class Sample:
    """Points at which a rewrite must be no worse than what it replaces; what was found of them is kept."""

    formula: Formula
    output: str
    points: Sequence[Mapping[str, Any]]
    dtypes: Mapping[str, str]
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    _runs: dict[int, tuple[Run, Losing | None] | None] = field(default_factory=dict)

    def original(self, k: int) -> tuple[Run, Losing | None] | None:
        """The user's run at a point and what it loses there; None where it fails."""
        if k not in self._runs:
            try:
                run = self.formula.run(self.points[k], self.dtypes)
                i = run.program.outputs[self.output]
                self._runs[k] = run, losing(run.program, self.points[k], i, run.values[self.output])
            except SymgradError:
                self._runs[k] = None
        return self._runs[k]


def rewrites(formula: Formula, run: Run, lost: Losing, sample: Sample) -> Iterator[Rewrite]:
    """The rewrites that are right and lose nothing, the smallest change first."""
    program, output = run.program, run.program.outputs[sample.output]
    judged = 0
    for root in _roots(program, lost, output):
        place = place_of(formula, program, root)
        if place is None:
            continue
        reader = Reader(program)
        for term in _healing(program, root, output, lost, reader):
            for edit in place.edits(term, reader):
                judged += 1
                found = _judged(edit, lost, sample)
                if found is not None:
                    yield found
                    return
                if judged >= _JUDGED:
                    return


def _roots(program: Program, lost: Losing, output: int) -> list[int]:
    """The steps from the one that loses the digits to the output, each the last of its piece of the text."""
    start = output if lost.step is None else lost.step
    reached = {start}
    for i in range(start + 1, output + 1):
        if any(a in reached for a in program.steps[i].args):
            reached.add(i)
    needed = set(program.needed([output]))
    way = [i for i in sorted(reached & needed) if program.steps[i].op != "name"]
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
    inputs = tensors_at(program, lost.point)
    allowed = INSTABILITY * torch.finfo(coarsest(program, output)).eps / 2 * lost.attainable
    found = []
    for term in _reachable(own, reader):
        try:
            value = _with(program, root, term, output, inputs)[lost.entry]
        except (RuntimeError, ValueError, NotImplementedError, ArithmeticError, KeyError, SymgradError):
            continue
        if abs(value - lost.exact) <= allowed:
            found.append(term)
    return sorted(found, key=lambda t: (size_of(t), str(t)))[:4]


def _reachable(own: Term, reader: Reader) -> Iterator[Term]:
    """The term itself in its normal order, and what the rules make of it."""
    lengths = reader.lengths(own) or {None}
    seen, layer = {own}, [own]
    yield own
    for _ in range(_DEEP):
        after: list[Term] = []
        for term in layer:
            for new in _one_step(term, lengths):
                if new not in seen and size_of(new) <= 2 * size_of(own) + 16:
                    seen.add(new)
                    after.append(new)
                    yield new
                if len(seen) >= _TERMS:
                    return
        layer = after


def _one_step(term: Term, lengths: Any) -> Iterator[Term]:
    for rule in RULES:
        for n in lengths if "N" in rule.before else (None,):
            yield from everywhere(pattern(rule.before, n), pattern(rule.after, n), term)
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


def _judged(edit: Edited, lost: Losing, sample: Sample) -> Rewrite | None:
    """The rewrite, if the code with it loses nothing at the point, nothing new at the sample, and is proved equal."""
    try:
        run = edit.formula.run(lost.point, sample.dtypes)
    except SymgradError:
        return None
    i = run.program.outputs.get(sample.output)
    if i is None or losing(run.program, lost.point, i, run.values[sample.output]) is not None:
        return None
    given = float(np.asarray(run.values[sample.output]).reshape(-1)[lost.entry])
    if not abs(given - lost.exact) <= max(abs(lost.exact) * 1e-2, 0):
        return None
    pairs: list[tuple[Run, Run]] = []
    for k, point in enumerate(sample.points):
        before = sample.original(k)
        try:
            after = edit.formula.run(point, sample.dtypes)
        except UserCodeFailed:
            if before is not None:
                return None
            continue
        except SymgradError:
            return None
        if before is None:
            continue
        if not _no_worse(before, after, point, sample.output):
            return None
        if not any(same_structure(a.program, before[0].program) and same_structure(b.program, after.program) for a, b in pairs):
            pairs.append((before[0], after))
    if not pairs or len(pairs) > _PROVED or not all(_is_proved(a, b, sample) for a, b in pairs):
        return None
    line = None if edit.source is None else edit.source.line
    where = None if edit.source is None else edit.source.span
    return Rewrite(edit.before, edit.after, line, where, given, edit.text)


def _no_worse(before: tuple[Run, Losing | None], after: Run, point: Mapping[str, Any], name: str) -> bool:
    """Whether the new code has a value where the old one has, and loses nothing that the old one does not lose."""
    run, old = before
    i, j = run.program.outputs[name], after.program.outputs[name]
    if np.shape(run.values[name]) != np.shape(after.values[name]):
        return False
    if _defined(run.program, point, i) and not _defined(after.program, point, j):
        return False
    new = losing(after.program, point, j, after.values[name])
    return new is None or (old is not None and new.error <= 4 * old.error)


def _defined(program: Program, point: Mapping[str, Any], output: int) -> bool:
    for bits in (128, 1200):
        with precision(bits):
            inputs = {n: binary(np.asarray(point[n])) for n in program.inputs}
            try:
                entries = flat(interpret(program, Balls(), inputs, [output])[output])
            except (ValueError, ZeroDivisionError, OverflowError):
                return False
            if all(x.is_finite() for x in entries):
                return True
    return False


def _is_proved(a: Run, b: Run, sample: Sample) -> bool:
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
    return prove(builder.build(both.outputs), left, right, stated=stated) is not None
