"""verify: the whole pipeline on one page.

what the user has -> Problem -> Program -> exact derivative -> verdicts -> rounding -> lines and repairs -> Report
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from symgrad.errors import SymgradError, UnknownOperation
from symgrad.progress import ENDS, importing, shown, within

with importing():
    import numpy as np
    import torch

    from symgrad.checking.assumed_signs import with_signs_of_paper
    from symgrad.checking.exploration import Findings, as_far_as_known, how_ended
    from symgrad.checking.judge import as_data_mean, decide, judge
    from symgrad.checking.refutations import middle
    from symgrad.checking.results import Claim, Instability, StepFinding
    from symgrad.checking.shortcuts import reading_of
    from symgrad.checking.three_ways import tabulate
    from symgrad.checking.verdicts import COMPUTED, Agrees, AllSizes, Proved, Refuted
    from symgrad.diagnosis import edited_code  # noqa: F401  # kinds of code enter themselves
    from symgrad.diagnosis.blame import accuse
    from symgrad.diagnosis.repair import Mended, mend_together
    from symgrad.diagnosis.step_lists import judge_lines, repair_lines, steps_of
    from symgrad.diagnosis.typeset_edits import typed_and_wrong
    from symgrad.diagnosis.typeset_rows import by_last_sides, judge_model, judge_rows, judge_sides, rows_of
    from symgrad.evaluation.balls import DATA_UNITS
    from symgrad.lifting.latex.latex_formula import Latex
    from symgrad.lifting.latex.two_readings import in_both_readings
    from symgrad.lifting.symbol_table import symbols_of
    from symgrad.lifting.text.on_paper import advise_in_text, in_text
    from symgrad.lifting.whole_questions import (
        as_written,
        operator_and_value,
        sides_of,
        with_zeros_of_its_shape,
        zeros_claimed,
    )
    from symgrad.problem.canary import undisturbed
    from symgrad.problem.definedness import stated_domain
    from symgrad.problem.question import Asked, Problem, meanings_of, pose
    from symgrad.report.report import Report, merge
    from symgrad.stability.own_point import FloatFindings, measure_at_user_point, with_rewrites
    from symgrad.typing import DomainLike, DtypeLike, FormulaLike, HandLike, NamesLike, PointLike, Unreached


@shown("reading the code")
@undisturbed
def verify(
    formula: FormulaLike,
    hand: HandLike | None = None,
    *,
    wrt: NamesLike | None = None,
    at: PointLike | None = None,
    order: int | None = None,
    domain: DomainLike | None = None,
    assuming: str | Sequence[str] | None = None,
    meanings: Mapping[str, str] | None = None,
    dtype: DtypeLike | None = None,
    points: int = 64,
    effort: float = 1.0,
    unreached: Unreached = "refuse",
    seed: int = 0,
    timeout: float | None = None,
    claims: Mapping[str, str] | None = None,
) -> Report:
    """Say whether ``hand`` is the derivative of ``formula``, with a proof or a counterexample.

    ``formula`` f and ``hand`` may each be text, a SymPy expression, `Latex`, a Python function written with torch,
    NumPy or math, an ``nn.Module`` (its parameters are inputs under their own names) or a `Program`.  ``hand`` may
    also be a mapping from input to any of these, a function that returns one value, a tuple in the order of ``wrt``,
    or a mapping; equations in LaTeX, whose left sides say what is for which input; or numbers computed elsewhere.
    One text may say both, and is then the only argument: ``verify("d/dx (x**2) = 2*x")``.  In LaTeX it may also say
    that values are equal, ``Latex(r"\\cos 2x = \\cos^2 x - \\sin^2 x = 1 - 2\\sin^2 x")``: each side is a claim.
    For a scalar f it is the gradient df/dx, of x's shape; for a tensor f the Jacobian, of shape f.shape + x.shape (or,
    where it has x's shape, the gradient of the sum of f's entries); with ``order=2`` the Hessian, of shape x.shape +
    x.shape.  For complex x it is torch's conjugate Wirtinger gradient, with upstream ones.

    ``at`` maps inputs to numbers, arrays, tensors, or a shape ("draw me one of this shape"); inputs in ``wrt`` are
    judged there and at ``points`` resampled ones, others given by value are data and stay as given.  Parameters in a
    mapping, a list or a named tuple are inputs under the names that code has for them (``p['W']``, ``layers[0]``), and
    their gradients are built as they are: ``{"W": ..., "b": ...}``, or that under ``"p"``.  ``domain`` maps
    an input to (low, high), either of them None, or is a condition: ``"0 < x < s"``, or a SymPy relation; what SymPy's
    symbols are declared to be (positive, integer) counts too.  ``assuming`` holds constraints that every point meets
    and a proof may use: ``"sum(y) = 1"``, ``"sum(Y, 0) = 1"``, ``"A = A.T"``, ``"s > 0"``.  ``dtype`` is the dtype that
    the code is given, by default that of the values in ``at``, or float64.  ``seed`` makes every random choice.
    Budgets count work and never seconds, so that a verdict is the same on every machine; ``effort`` multiplies those of
    the search for a proof, of residues and of resampling.  After ``timeout`` seconds, and after Ctrl-C, the report is
    what is known by then: a claim that was refuted stays so, and all others are undecided.

    Both sides of what the code decides by a value of its inputs are sought out; ``report.coverage`` lists each such
    choice, and where its outcomes were reached.  Where a branch was not reached, a claim that is right on the others
    is *undecided*, and with ``unreached="accept"`` it *agrees*.

    A shape may hold names: ``at={"U": ("m", "d"), "x": ("d",)}``.  Then the claim is about all m and d: it is looked at
    in small ones, proved for all where the code reads as one formula in them, and refuted at the smallest that show a
    difference.  ``"m=10"`` names a size that the code fixes, and reads the number 10 in the code as m.  In SymPy, sums
    and declared shapes tell the names; ``{U[k, N]: ...}`` is a hand formula for one entry, with free indices k and N.

    Where a claim is refuted, ``report.steps`` says of each line of the hand code what it claims to be, and
    ``report.wrong_steps`` names those that are wrong by themselves.  What a line claims is read from its name and its
    value; ``meanings`` decides instead: ``{"t1": "d out / d h1"}``.

    >>> from symgrad import Latex
    >>> report = verify("tanh(w*x)", "x*(1 - tanh(w*x)**2)", wrt="w")
    >>> report.verdict
    'proved'
    >>> verify(Latex(r"\\frac{d}{dx}(x^2 e^{-x}) = (2x - x^2) e^{-x}")).verdict
    'proved'
    >>> verify("tanh(w*x)", "x*(1 - (w*x)**2)", wrt="w").claims["w"].witness.point["w"]
    array(1.)
    >>> squares = verify(lambda x: (x**2).sum(), lambda x: 2*x, at={"x": ("n",)})
    >>> print(squares.claims["x"].verdict)
    proved for all n

    Raises `SymgradError` (its subclasses say which) where the question itself is not clear: unknown names, wrong
    shapes, text that is no formula, code that fails, is random, or cannot be followed; `TimeIsOver` where the time was
    over before anything was known.

    Guarantee: *refuted* rests on a ball, computed by Arb, that excludes zero at the witness, for the formulas as they
    were read; *proved* on the rules that the proof names, on its domain (for all sizes: of the formula that the code
    reads as at a few, and checked at others); *agrees* is no proof, and carries the bound on its chance of error.
    Reading Python code rests on running it: see "what can go wrong" in the README.
    """
    meanings = meanings_of(meanings, claims)
    asked = Asked(wrt, at, order, domain, assuming, meanings, dtype, points, effort, seed, unreached=unreached)

    def ask(formula: Any, hand: Any) -> Report:
        if (whole := operator_and_value(formula, hand)) is not None:
            report = ask(whole, None)  # what the operator gives, or else its derivative
            return report if report.ok else next((r for r in [pose_and_answer(formula, hand)] if r.ok), report)
        return pose_and_answer(*(sides_of(formula) if hand is None else (formula, hand)))

    def pose_and_answer(formula: Any, hand: Any) -> Report:
        if (zeros := zeros_claimed(formula, hand)) is None:
            return answer(pose(formula, hand, asked))
        problem = pose(formula, zeros[0], asked)
        return _with_zeros(problem, answer(problem), *zeros[1:], asked)

    with within(timeout):
        written = as_written(formula, hand)
        on_paper = isinstance(formula, str) and isinstance(written[0], Latex)
        try:
            report = in_both_readings(ask, *written, shaped=bool(at))
        except SymgradError as error:
            if on_paper:
                advise_in_text(error)
            raise
        return _in_text(report) if on_paper else report


def _in_text(report: Report) -> Report:
    """The report on a text that was read as it would be typeset, with its lines as text."""
    steps = [
        s if s.source is None else replace(s, source=replace(s.source, text=in_text(s.source.text)))
        for s in report.steps
    ]
    repairs = [
        replace(r, before=in_text(r.before), after=in_text(r.after), edit=(in_text(r.edit[0]), in_text(r.edit[1])))
        for r in report.repairs
    ]
    source = None if report.repaired_source is None else in_text(report.repaired_source)
    return replace(report, steps=tuple(steps), repairs=tuple(repairs), repaired_source=source)


def _with_zeros(problem: Problem, report: Report, question: Latex | None, where: str, asked: Asked) -> Report:
    """The report on a derivative that is said to be zero somewhere: where it is right and that is not, on that."""
    unjudged = f'"{where}" was read as what is solved for, and not judged.'
    if not report.ok or question is None:
        return replace(report, notes=(unjudged, *report.notes))
    if any(np.ndim(problem.inputs.point.get(n, 0)) for n in problem.wrt):
        question = with_zeros_of_its_shape(question, where)
    try:
        first, others = sides_of(question)
        shapes = {} if problem.shapes is None else problem.shapes.of
        given = {n: v for n, v in {**(asked.at or {}), **shapes}.items() if n in question.names}
        zero = answer(pose(first, others, replace(asked, wrt=None, order=None, at=given)))
    except SymgradError as error:
        return replace(report, notes=(f"{unjudged} ({error.what})", *report.notes))
    if zero.ok:
        word = "proved" if zero.verdict == "proved" else "as far as it was looked at"
        return replace(report, notes=(f"It is zero at {where}: {word}.", *report.notes))
    right = f"The derivative is {'right, and proved' if report.verdict == 'proved' else 'right'}"
    return replace(zero, notes=(f"{right}; it is asked whether it is zero at {where}.", *zero.notes))


def answer(*problems: Problem, findings: Sequence[Findings] = ()) -> Report:
    """The report on a question, or on several about the same code: the pipeline of every front end.

    ``findings`` are the verdicts, where they were reached already.
    """
    judged: list[tuple[Problem, Findings]] = []
    for k, problem in enumerate(problems):
        found = findings[k] if findings else None
        try:
            mine = judge(problem) if found is None else found
            judged.append(with_signs_of_paper(*as_data_mean(problem, mine)))
        except ENDS as ended:
            known = [_ended(*one, ended, FloatFindings()) for one in judged]
            return merge([*known, report_by_then(problem, ended, found)], (), None)
    right = [
        problem for problem, found in judged if all(isinstance(v, (Proved, Agrees)) for v in found.verdicts.values())
    ]
    reports, mended = [], []
    for k, (problem, found) in enumerate(judged):
        problem, floats = replace(problem, beside=tuple(p for p in right if p is not problem)), FloatFindings()
        try:
            with reading_of(found):
                if not problem.rows:  # of values that are equal nobody asks what floats did
                    floats = measure_at_user_point(problem, found)  # what floats did at the user's own point
                unsafe = with_rewrites(
                    problem, floats.instabilities
                )  # where they lose digits, and what to write instead
                lines = _find_lines(problem, found)  # which lines are wrong, and what to write instead
        except ENDS as ended:  # only what is beside the verdicts is missing
            rest = [_ended(*one, ended, FloatFindings()) for one in judged[k + 1 :]]
            return merge([*reports, _ended(problem, found, ended, floats), *rest], (), None)
        reports.append(_report(problem, found, floats, unsafe, lines))
        mended.append(Mended(problem, lines.repairs, lines.source))
    return merge(reports, *mend_together(mended))


def report_by_then(problem: Problem, ended: BaseException, found: Findings | None = None) -> Report:
    """The report on a question that was ended before all of it was judged.  Raises what ended it where nothing is
    known."""
    found = as_far_as_known(problem, ended, found)
    if found is None:
        raise ended
    return _ended(problem, found, ended, FloatFindings())


def _ended(problem: Problem, found: Findings, ended: BaseException, floats: FloatFindings) -> Report:
    found.notes.append(f"it was ended {how_ended(ended)}: lines, repairs and rounding may not have been looked at")
    return _report(problem, found, floats, (), _lines_alone(found))


# ------------------------------------------------------------------------------------------------ lines


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of the hand code: what each is, which are wrong, what to write instead, and the code with it."""

    steps: tuple[StepFinding, ...]
    wrong: tuple[str, ...] = ()
    repairs: tuple[Any, ...] = ()
    source: str | None = None
    notes: tuple[str, ...] = ()
    belongs_to: tuple[str, ...] = ()


def _lines_alone(findings: Findings) -> _Lines:
    """The lines of the hand code, of which none was judged."""
    bindings = findings.own.hand_run.program.bindings
    return _Lines(tuple(StepFinding(b.name, b.version, b.source) for b in bindings))


def _find_lines(problem: Problem, findings: Findings) -> _Lines:
    """The lines of the model, where they say what is equal, and of the hand code: what follows from a wrong line of the
    model is no fault of its own."""
    found = _lines_of_hand(problem, findings)
    steps, wrong, notes = judge_model(problem)
    other = by_last_sides(problem) if wrong and found.wrong else None
    if other is not None:
        found = _where_they_do_not_follow(found, _lines_of_hand(other, judge(other)).steps)
    return replace(found, steps=(*steps, *found.steps), wrong=(*wrong, *found.wrong), notes=(*notes, *found.notes))


def _where_they_do_not_follow(found: _Lines, others: Sequence[StepFinding]) -> _Lines:
    """The lines, of which those that are right by another model follow from that."""
    follow = [s.verdict == "wrong" and o.verdict == "right" for s, o in zip(found.steps, others, strict=True)]
    fed = zip(found.steps, follow, strict=True)
    steps = tuple(replace(s, verdict="fed wrong values") if f else s for s, f in fed)
    faults = [s for s in steps if s.verdict == "wrong"]
    places = {(s.name, None if s.source is None else s.source.line) for s in faults}
    wrong, repairs = (
        tuple(dict.fromkeys(s.name for s in faults)),
        [r for r in found.repairs if (r.step, r.line) in places],
    )
    return replace(found, steps=steps, wrong=wrong, repairs=tuple(repairs), source=None)


def _lines_of_hand(problem: Problem, findings: Findings) -> _Lines:
    if problem.rows:
        steps, wrong, notes = judge_sides(problem, findings.verdicts)
        return _Lines(steps, wrong, notes=notes)
    if steps_of(problem.hand) is not None:
        steps, wrong, notes = judge_lines(problem)
        return _Lines(steps, wrong, *(repair_lines(problem, steps) if wrong else ((), None)), notes)
    if (rows := rows_of(problem.derivation or problem.hand)) is not None:
        steps, wrong, notes = judge_rows(problem, rows, findings.verdicts)
        return _Lines(steps, wrong, notes=notes)
    branch, steps = findings.own, _lines_alone(findings).steps
    wrong = [v for v in findings.verdicts.values() if isinstance(v, Refuted)]
    about_inputs = not problem.order or all(n in branch.program.inputs for n in problem.wrt)
    excused = all(v.is_excused for v in wrong)
    if not wrong or problem.values_only or not about_inputs:
        return _Lines(steps)
    if excused and (problem.pasted or any(v.limit for v in wrong)):
        return _Lines(
            steps
        )  # where a limit is meant, no line is wrong; what fits a script's own data may fit no others
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of edits that were tried, which are not the user's
            if excused:  # where a constraint is missing, or data are special, no line is wrong
                found = accuse(*_without_excuse(problem, findings, wrong), problem.meanings)
                return _Lines(steps, (), found.repairs, found.repaired_source)
            found = accuse(problem, findings, problem.meanings)
            whose = () if found.whose is None else (found.whose,)
            whole = () if found.repairs or found.whose else typed_and_wrong(problem, findings.verdicts)
            steps = (*found.steps, *whole)
            return _Lines(steps, found.wrong_steps, found.repairs, found.repaired_source, belongs_to=whose)
    except UnknownOperation as error:  # of an input that the question is not about
        return _Lines(steps, notes=(f"the wrong line could not be looked for: {error.what}",))
    except SymgradError:
        raise
    except Exception as error:  # the verdict rests on none of this, and must not be lost with it
        return _Lines(steps, notes=(f"the wrong line could not be looked for, by a fault of symgrad: {error!r}",))


def _without_excuse(problem: Problem, findings: Findings, wrong: Sequence[Refuted]) -> tuple[Problem, Findings]:
    """The question at a point where what is right for the given data only is wrong."""
    special = {v.only: v.witness.point[v.only] for v in wrong if v.only and v.only in problem.inputs.point}
    if not special:
        return problem, findings
    inputs = replace(problem.inputs, point={**problem.inputs.point, **special})
    moved = replace(problem, inputs=inputs, first=None)
    return moved, decide(moved)


# ------------------------------------------------------------------------------------------------ the report


def _report(
    problem: Problem, findings: Findings, floats: FloatFindings, unsafe: Sequence[Instability], lines: _Lines
) -> Report:
    branch = findings.own
    inside = sum(1 for _, s in findings.looks if any(v.state != "outside" for v in s.views.values()))
    label = lambda name: problem.labels.get(name, name)  # noqa: E731
    return Report(
        {label(name): claim for name, claim in _claims(problem, findings, floats).items()},
        problem.seed,
        _environment(),
        problem.inputs.point,
        problem.order,
        lines.steps,
        lines.wrong,
        lines.repairs,
        lines.source,
        lines.belongs_to,
        kinks=tuple(replace(k, input=label(k.input)) for k in floats.kinks),
        instabilities=tuple(replace(i, claim=label(i.claim)) for i in unsafe),
        assumptions=(*stated_domain(problem.inputs), *_assumptions(findings)),
        notes=tuple(dict.fromkeys([*problem.notes, *lines.notes, *findings.notes, *floats.notes])),
        unjudged=problem.unjudged,
        counts={"points": inside, "outside": len(findings.looks) - inside, "branches": len(findings.branches)},
        sizes=_with_labels(findings.sizes, problem.labels),
        given=tuple(sorted(problem.inputs.given)),
        formula=branch.program.with_outputs({"f": branch.model}),
        reading=symbols_of((problem.model, problem.hand), _shapes(problem)),
        coverage=findings.coverage,
        measure=partial(tabulate, problem, findings),
    )


def _shapes(problem: Problem) -> dict[str, Sequence[Any]]:
    """The shapes of the inputs, with names for lengths where they have some."""
    named = {} if problem.shapes is None else dict(problem.shapes.of)
    return {n: named.get(n, np.shape(v)) for n, v in problem.inputs.point.items()}


def _claims(problem: Problem, findings: Findings, floats: FloatFindings) -> dict[str, Claim]:
    branch, claims = findings.own, {}
    for pair in branch.pairs:
        view = findings.at_user_point.views.get(pair.name)
        hand = branch.hand_run.program if pair.hand is None else branch.program.with_outputs({"hand": pair.hand})
        exact = differs = None
        if view is not None and view.at is None:
            exact = np.array([middle(x) for x in view.exact]).reshape(pair.shape)
            differs = np.array([s in ("differs", "undefined") for s in view.states]).reshape(pair.shape)
        claims[pair.name] = Claim(
            problem.labels.get(pair.name, pair.name),
            findings.verdicts[pair.name],
            branch.program.with_outputs({"exact": pair.exact}),
            hand,
            pair.note,
            floats.roundings.get(pair.name),
            branch.hand_run.values[pair.name],
            exact,
            floats.autograd.get(pair.name),
            differs,
            problem.order,
        )
    return claims


def _with_labels(sizes: AllSizes | None, labels: Mapping[str, str]) -> AllSizes | None:
    if sizes is None or not labels:
        return sizes
    why, forms = ({labels.get(n, n): x for n, x in found.items()} for found in (sizes.why_not, sizes.forms))
    return replace(sizes, why_not=why, forms=forms)


def _assumptions(findings: Findings) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for verdict in findings.verdicts.values():
        if isinstance(verdict, Proved):
            found |= dict.fromkeys(verdict.domain)
        elif isinstance(verdict, Agrees) and verdict.typed == COMPUTED:
            found[
                f"numbers that were computed outside of the formulas are what was meant within {DATA_UNITS} units of "
                "rounding of the largest entry of their array"
            ] = None
    return tuple(found)


def _environment() -> dict[str, str]:
    import flint
    import sympy

    from symgrad import __version__

    return {
        "symgrad": __version__,
        "sympy": sympy.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python-flint": flint.__version__,
        "python": platform.python_version(),
    }
