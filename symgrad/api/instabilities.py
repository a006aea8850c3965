"""A question about floats alone: where does a right formula lose its digits, and what is written instead?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.checking.results import Instability, Rewrite
from symgrad.checking.verdicts import as_entry
from symgrad.errors import BadInput
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Module
from symgrad.problem.canary import undisturbed
from symgrad.problem.question import Asked, alone
from symgrad.program.program import Source
from symgrad.progress import shown
from symgrad.report.report import PrintedInstabilities, PrintedInstability
from symgrad.stability.detection import coarsest
from symgrad.stability.rewriting import best_rewrite
from symgrad.stability.samples import sample_around
from symgrad.stability.search import Breaking, breakings
from symgrad.stability.term_printer import source_at, why
from symgrad.typing import DomainLike, DtypeLike, FormulaLike, PointLike


@shown("looking for points where floats break")
@undisturbed
def find_instabilities(
    formula: FormulaLike,
    *,
    at: PointLike | None = None,
    domain: DomainLike | None = None,
    assuming: str | Sequence[str] | None = None,
    dtype: DtypeLike | None = None,
    effort: float = 1.0,
    seed: int = 0,
) -> tuple[Instability, ...]:
    """The points at which a formula breaks in floats, the simplest for each way in which it does, and what to write.

    ``formula``, ``at``, ``domain``, ``assuming``, ``dtype`` and ``seed`` are as for `verify`; ``effort`` multiplies how
    many points are looked at.  Inputs that are given by value are data and stay, unless all are.  A point is found if,
    of an entry t whose exact value is well inside the range of the dtype, the float run's error is more than 2**10
    times u * (|t| + sum_i |x_i dt/dx_i|), with u the unit roundoff, and leaves fewer than half of the digits.  So inf,
    NaN and a flush to zero are found, and what the inputs' own rounding explains (``x - y`` of near numbers,
    ``log(x)`` near one) is not.  Not told are what one kernel of a library loses by itself, its arguments being right,
    and a sum of an array's entries that happens to cancel, unless another way to write it keeps the digits.

    ``rewrite`` of a finding is what to write instead of the expression that loses the digits, in the user's own names
    and library: the code with it was run, keeps the digits at the point, loses at none of some forty others what the
    code as it is keeps, and is proved equal to it on the branches that these points reach.

    >>> found = find_instabilities("log(1 + exp(x))")
    >>> print(found[1])
    At x = 1000, in float64, it gives inf; exact is 1000.
        log(1 + exp(x))
        ^^^^^^^^^^^^^^^
        exp(x) overflows.
        Write instead:  softplus(x)
        It is proved equal, and at this point gives 1000.
    >>> find_instabilities("log(x)"), find_instabilities("x - y")
    ((), ())

    Raises what `verify` raises.  Guarantee: each finding is an error of the user's own code beyond this bound, shown
    by a ball around the truth; a rewrite that is offered is a theorem.  That nothing was found is no proof of
    stability.
    """
    asked = Asked(at=at, domain=domain, assuming=assuming, dtype=dtype, effort=effort, seed=seed)
    here = alone(formula, asked)
    model, inputs, dtypes, run = here.model, here.inputs, here.dtypes, here.run
    real = tuple(n for n in dtypes if not dtypes[n].startswith("complex") and np.size(inputs.point[n]))
    free = tuple(n for n in real if n in inputs.free) or real
    inputs = replace(inputs, free=free)
    if not free:
        raise BadInput(
            "the formula has no real float input that could be moved.",
            instead="Ask about a formula of real numbers, and pass values or shapes for them: at={'x': (3,)}.",
        )
    found = list(breakings(model, run, inputs, free, dtypes, seed, effort))
    told: list[Instability] = []
    for name in dict.fromkeys(b.output for b in found):
        points = [b.losing.point for b in found if b.output == name]
        sample = sample_around(model, name, inputs, free, dtypes, points, seed)
        for b in (b for b in found if b.output == name):
            one = _told(model, b, best_rewrite(model, b.run, b.losing, sample))
            if _is_told(b, one) and not any(_is_said(one, other) for other in told):
                told.append(one)
    return PrintedInstabilities(told)


def _told(formula: Formula, b: Breaking, rewrite: Rewrite | None) -> Instability:
    lost, program = b.losing, b.run.program
    i = program.outputs[b.output]
    dtype = str(coarsest(program, i)).removeprefix("torch.")
    source = source_at(formula, program, lost.step, rewrite)
    return PrintedInstability(
        b.output,
        "formula",
        dtype,
        {n: lost.point[n] for n in program.inputs if not isinstance(formula, Module) or n not in formula.parameters},
        as_entry(lost.entry, program.shape(i)),
        lost.computed,
        lost.exact,
        source,
        f"it gives {lost.computed:.6g}, the truth is {lost.exact:.6g}",
        kind=lost.kind,
        why=why(program, lost.step, lost.kind, b.raises),
        rewrite=rewrite,
    )


def _is_told(b: Breaking, one: Instability) -> bool:
    """Whether a finding says more than that some entries of an array happen to cancel where they are added up."""
    step = None if b.losing.step is None else b.run.program.steps[b.losing.step]
    summed = step is not None and step.op in ("scatter", "matmul") and one.kind == "cancellation"
    return one.rewrite is not None or not summed


def _is_said(one: Instability, other: Instability) -> bool:
    """Whether a finding says what another one has said: it breaks in the same way, and the same is written instead."""
    if one.claim != other.claim or one.kind != other.kind or one.rewrite is None or other.rewrite is None:
        return False
    return (one.rewrite.before, one.rewrite.after, _at(one.source)) == (
        other.rewrite.before,
        other.rewrite.after,
        _at(other.source),
    )


def _at(source: Source | None) -> Any:
    return None if source is None else (source.file, source.line, source.span)
