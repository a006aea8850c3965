"""verify: the whole pipeline on one page.

what the user has -> Program -> exact derivative -> comparison -> verdict -> rounding -> Report
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from symgrad.checking.all_sizes import holds_elsewhere, judge_all_sizes
from symgrad.checking.judge import Findings, Problem, judge
from symgrad.checking.refutations import suppose
from symgrad.checking.verdicts import Proved
from symgrad.diagnosis.answer import answer
from symgrad.diagnosis.step_lists import judge_lines, repair_lines, steps_of
from symgrad.errors import BadInput, NoPoint, SymgradError, UnknownOperation
from symgrad.lifting.formulas import Formula, Several, open_formula, readings, rename
from symgrad.lifting.text.step_list import are_steps
from symgrad.lifting.tracing.functions import Function, Run
from symgrad.lifting.tracing.modules import Module
from symgrad.problem.arguments import (
    check_budgets,
    differentiated,
    dtypes_of,
    find_point,
    full_name,
    refuse_copies,
    resolve,
)
from symgrad.problem.constraints import Assumed, joined, parse_assuming
from symgrad.problem.domain import stated_domain
from symgrad.problem.replay import replay
from symgrad.problem.sampling import Bounds
from symgrad.problem.shapes import (
    declared_shapes,
    entries_named,
    letters_of,
    named_in,
    named_shapes,
    posed,
    ranks,
    with_shapes,
)
from symgrad.progress import shown
from symgrad.proving.conditions import is_nowhere_defined
from symgrad.report.report import Claim, Report, StepFinding
from symgrad.stability.own_point import rounding_of, with_rewrites

__all__ = ["verify"]


@shown("reading the code")
def verify(
    formula: Any,
    hand: Any,
    *,
    wrt: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    order: int = 1,
    domain: Mapping[str, Bounds] | str | Any = None,
    assuming: str | Sequence[str] | None = None,
    claims: Mapping[str, str] | None = None,
    dtype: Any = None,
    points: int = 64,
    effort: float = 1.0,
    seed: int = 0,
) -> Report:
    """Say whether ``hand`` is the derivative of ``formula``, with a proof or a counterexample.

    ``formula`` f and ``hand`` may each be text, a SymPy expression, `Latex`, a Python function written with torch,
    NumPy or math, an ``nn.Module`` (its parameters are inputs under their own names) or a `Program`.  ``hand`` may
    also be a mapping from input to any of these, a function that returns one value, a tuple in the order of ``wrt``,
    or a mapping; equations in LaTeX, whose left sides say what is for which input; or numbers computed elsewhere.
    For a scalar f it is the gradient df/dx, of x's shape; for a tensor f the Jacobian, of shape f.shape + x.shape (or,
    where it has x's shape, the gradient of the sum of f's entries); with ``order=2`` the Hessian, of shape x.shape +
    x.shape.  For complex x it is torch's conjugate Wirtinger gradient, with upstream ones.

    ``at`` maps inputs to numbers, arrays, tensors, or a shape ("draw me one of this shape"); inputs in ``wrt`` are
    judged there and at ``points`` resampled ones, others given by value are data and stay as given.  ``domain`` maps
    an input to (low, high), either of them None, or is a condition: ``"0 < x < s"``, or a SymPy relation; what SymPy's
    symbols are declared to be (positive, integer) counts too.  ``assuming`` holds constraints that every point meets
    and a proof may use: ``"sum(y) = 1"``, ``"sum(Y, 0) = 1"``, ``"A = A.T"``, ``"s > 0"``.  ``dtype`` is the dtype that
    the code is given, by default that of the values in ``at``, or float64.  ``seed`` makes every random choice.
    Budgets count work and never seconds, so that a verdict is the same on every machine; ``effort`` multiplies those of
    the search for a proof, of residues and of resampling.

    A shape may hold names: ``at={"U": ("m", "d"), "x": ("d",)}``.  Then the claim is about all m and d: it is looked at
    in small ones, proved for all where the code reads as one formula in them, and refuted at the smallest that show a
    difference.  ``"m=10"`` names a size that the code fixes, and reads the number 10 in the code as m.  In SymPy, sums
    and declared shapes tell the names; ``{U[k, N]: ...}`` is a hand formula for one entry, with free indices k and N.

    Where a claim is refuted, ``report.steps`` says of each line of the hand code what it claims to be, and
    ``report.wrong_steps`` names those that are wrong by themselves.  What a line claims is read from its name and its
    value; ``claims`` decides instead: ``{"t1": "d out / d h1"}``.

    >>> report = verify("tanh(w*x)", "x*(1 - tanh(w*x)**2)", wrt="w")
    >>> report.verdict
    'proved'
    >>> verify("tanh(w*x)", "x*(1 - (w*x)**2)", wrt="w").claims["w"].witness.point["w"]
    array(1.)
    >>> squares = verify(lambda x: (x**2).sum(), lambda x: 2*x, at={"x": ("n",)})
    >>> print(squares.claims["x"].verdict)
    proved for all n

    Raises `SymgradError` (its subclasses say which) where the question itself is not clear: unknown names, wrong
    shapes, text that is no formula, code that fails, is random, or cannot be followed.

    Guarantee: *refuted* rests on a ball, computed by Arb, that excludes zero at the witness, for the formulas as they
    were read; *proved* on the rules that the proof names, on its domain (for all sizes: of the formula that the code
    reads as at a few, and checked at others); *agrees* is no proof, and carries the bound on its chance of error.
    Reading Python code rests on running it: see "what can go wrong" in the README.
    """
    if order not in (1, 2):
        raise BadInput(
            f"order is {order!r}.", instead="Pass order=1 for gradients and Jacobians, order=2 for Hessians."
        )
    check_budgets(points, effort, seed)
    model = open_formula(formula)
    scalars = not isinstance(model, Module) and all(np.ndim(v) == 0 for v in (at or {}).values())
    hand, wrt = entries_named(hand, wrt)
    told = {**declared_shapes(model), **named_in(at)}
    model = with_shapes(model, told)
    opened = _open_hand(hand, model, told, order=order, scalars=scalars)
    mine = rename(opened, model.names, "the hand formula")
    own = model.parameters if isinstance(model, Module) else {}
    at = None if at is None else {full_name(n, model.names): v for n, v in at.items()}
    shapes, at = named_shapes(at, own, declared_shapes(model, mine))
    assumed = parse_assuming(assuming, model.names, ranks({**own, **(at or {})}))
    pose = lambda at: _problem(model, mine, hand, wrt, at, order, domain, dtype, points, effort, seed, assumed)  # noqa: E731
    shapes, problem = posed(shapes, at, own, pose)
    if shapes is not None:
        problem = replace(problem, elsewhere=partial(holds_elsewhere, problem, shapes))
    findings = judge(problem)
    suppose(problem, findings)
    sizes = None if shapes is None else judge_all_sizes(problem, findings, shapes, letters_of(hand))
    report = replace(_report(problem, findings, formula, claims), sizes=sizes)
    notes = (*readings(model, "The formula"), *readings(mine, "The hand formula"))
    report = replace(report, notes=(*notes, *report.notes))
    if steps_of(mine) is not None:
        steps, wrong, told = judge_lines(problem)
        repairs, repaired = repair_lines(problem, steps) if wrong else ((), None)
        report = replace(report, steps=steps, wrong_steps=wrong, repairs=repairs, repaired_source=repaired)
        report = replace(report, notes=(*told, *report.notes))
    return report


def _open_hand(
    hand: Any, model: Formula, told: Mapping[str, Any] | None = None, *, order: int = 1, scalars: bool = False
) -> Formula:
    like = getattr(model, "library", None)
    opened = open_formula(hand, stops=False, like=like, known=None, beside=model, order=order, scalars=scalars)
    opened = with_shapes(opened, told or {}, model.names)
    if isinstance(opened, Several):
        parts = {k: rename(f, model.names, f"the hand formula for {k}") for k, f in opened.parts.items()}
        return Several(parts)
    if isinstance(opened, Function) and isinstance(model, Module):
        return replace(opened, beside=model.module)
    return opened


def _problem(
    model: Formula,
    mine: Formula,
    hand: Any,
    wrt: Any,
    at: Mapping[str, Any] | None,
    order: int,
    domain: Any,
    dtype: Any,
    points: int,
    effort: float,
    seed: int,
    assumed: Assumed | None = None,
) -> Problem:
    """Everything that the arguments leave open made definite, by running both sides once."""
    assumed = assumed or Assumed()
    own = model.parameters if isinstance(model, Module) else {}
    asked = [wrt] if isinstance(wrt, str) else list(wrt or ())
    inputs = resolve(model, at, asked, domain, seed, own, assumed.bounds)
    inputs = replace(inputs, facts=joined(assumed.facts, inputs.bounds))
    dtypes = dtypes_of(model, at, inputs.point, dtype)
    try:
        inputs, model_run = find_point(model, inputs, dtypes, seed)
    except NoPoint as error:
        if error.program is None or not is_nowhere_defined(error.program, error.program.output):
            raise
        raise NoPoint(
            "the formula has a real value nowhere: what its roots, logarithms and inverse functions need contradicts "
            f"itself, by exact arithmetic ({error.what.partition(': ')[2].rstrip('.')}).",
            where=error.where,
            instead="Look for a sign under a root; symgrad judges formulas where they are real.",
        ) from None
    hand_run = mine.run(inputs.point, dtypes)
    refuse_copies(hand_run.program, inputs)
    replay(model_run, inputs.point, "the formula")
    replay(hand_run, inputs.point, "the hand formula")
    keys = list(hand_run.program.outputs)
    names = differentiated(model, keys, wrt, list(dtypes))
    keyed = _Keyed(mine, _by_name(keys, names, model))
    inputs = replace(inputs, free=tuple(n for n in dtypes if n in names or n not in inputs.given))
    first = model_run, keyed.named(hand_run)
    return Problem(model, keyed, inputs, dtypes, names, order, points, seed, _are_numbers(hand), first, effort=effort)


def _by_name(keys: Sequence[str], names: Sequence[str], model: Formula) -> dict[str, str]:
    """Which of the hand formula's results is for which input."""
    unnamed = list(keys) in (["output"], ["value"]) or all(k.isdigit() for k in keys)
    if unnamed and len(keys) == len(names):
        return dict(zip(keys, names, strict=True))
    found = {k: full_name(k, model.names) for k in keys}
    missing = [n for n in names if n not in found.values()]
    if missing:
        raise BadInput(
            f"the hand formula gives {', '.join(keys)}, and wrt asks for {', '.join(missing)} too.",
            instead="Return a mapping from input to gradient, with these names.",
        )
    return {k: n for k, n in found.items() if n in names}


def _are_numbers(hand: Any) -> bool:
    """Whether the hand side is values computed elsewhere, of which only one point is known."""
    if are_steps(hand):
        return False
    parts = hand.values() if isinstance(hand, Mapping) else hand if isinstance(hand, tuple) else [hand]
    kinds = (int, float, complex, np.ndarray, np.generic, torch.Tensor, list)
    return any(isinstance(part, kinds) and not _holds_formulas(part) for part in parts)


def _holds_formulas(part: Any) -> bool:
    """Whether a list is one of formulas, and not of numbers."""
    return isinstance(part, list) and any(getattr(type(x), "is_formula", False) or isinstance(x, str) for x in part)


class _Keyed:
    """A hand formula whose outputs go by the names of the inputs they are for."""

    def __init__(self, formula: Formula, keys: Mapping[str, str]) -> None:
        self.formula, self.keys = formula, keys

    @property
    def names(self) -> tuple[str, ...]:
        return self.formula.names

    @property
    def required(self) -> tuple[str, ...]:
        return self.formula.required

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.named(self.formula.run(point, dtypes))

    def named(self, run: Run) -> Run:
        """The run with its results under the inputs' names."""
        outputs = {self.keys[k]: i for k, i in run.program.outputs.items() if k in self.keys}
        values = {self.keys[k]: v for k, v in run.values.items() if k in self.keys}
        return replace(run, program=run.program.with_outputs(outputs), values=values)


def _report(problem: Problem, findings: Findings, formula: Any, words: Mapping[str, str] | None) -> Report:
    branch = findings.own
    floats = rounding_of(problem, findings, formula)
    claims = {}
    for pair in branch.pairs:
        view = findings.own_look.views.get(pair.name)
        exact = None if view is None else np.array([_number(x) for x in view.exact]).reshape(pair.shape)
        claims[pair.name] = Claim(
            pair.name,
            findings.verdicts[pair.name],
            branch.program.with_outputs({"exact": pair.exact}),
            branch.program.with_outputs({"hand": pair.hand}) if pair.hand is not None else branch.hand_run.program,
            pair.note,
            floats.roundings.get(pair.name),
            branch.hand_run.values[pair.name],
            exact,
            floats.autograd.get(pair.name),
            None
            if view is None
            else np.array([s in ("differs", "undefined") for s in view.states]).reshape(pair.shape),
        )
    steps = tuple(StepFinding(b.name, b.version, b.source) for b in branch.hand_run.program.bindings)
    wrong, repairs, repaired, trouble = (), (), None, []
    about_inputs = problem.order > 0 and all(n in branch.program.inputs for n in problem.wrt)
    if any(v.kind == "refuted" for v in findings.verdicts.values()) and not problem.only_here and about_inputs:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of edits that were tried, which are not the user's
                found = answer(problem, findings, words)
                steps, wrong = found.steps, found.wrong_steps
                repairs, repaired = found.repairs, found.repaired_source
        except UnknownOperation as error:  # of an input that the question is not about
            trouble.append(f"the wrong line could not be looked for: {error.what}")
        except SymgradError:
            raise
        except Exception as error:  # the verdict rests on none of this, and must not be lost with it
            trouble.append(f"the wrong line could not be looked for, by a fault of symgrad: {error!r}")
    inside = sum(1 for _, s in findings.looks if any(v.state != "outside" for v in s.views.values()))
    return Report(
        claims,
        problem.seed,
        _environment(),
        problem.inputs.point,
        problem.order,
        steps,
        wrong,
        repairs,
        repaired,
        kinks=tuple(floats.kinks),
        instabilities=with_rewrites(problem, floats.instabilities),
        assumptions=(*stated_domain(problem.inputs), *_assumptions(findings)),
        notes=tuple(dict.fromkeys([*findings.notes, *floats.notes, *trouble])),
        counts={"points": inside, "outside": len(findings.looks) - inside, "branches": len(findings.branches)},
        given=tuple(sorted(problem.inputs.given)),
        formula=branch.program.with_outputs({"f": branch.model}),
    )


def _number(x: Any) -> float | complex:
    if not x.is_finite():
        return float("nan")
    return complex(x.mid()) if type(x).__name__ == "acb" else float(x.mid())


def _assumptions(findings: Findings) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for verdict in findings.verdicts.values():
        if isinstance(verdict, Proved):
            found |= dict.fromkeys(verdict.domain)
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
