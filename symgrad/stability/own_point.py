"""What floats did at the user's own point: the hand formula's values and autograd's, each beside the truth.

Autograd is one more float computation.  Where it differs from the exact derivative by more than its own rounding
bound, it is autograd, or the code around it, that differs, and the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from flint import arb

from symgrad.checking.comparison import Pair
from symgrad.checking.exploration import Findings
from symgrad.checking.results import Instability, OnDemand
from symgrad.checking.three_ways import find_wrong_autograd, torch_call
from symgrad.checking.verdicts import Agrees, Kink, Proved, Refuted, as_entry
from symgrad.diagnosis.hand_parts import Leaf, leaves
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import array_of, flat
from symgrad.evaluation.floats import Floats, plain_array, tensors_of
from symgrad.ops.row import precision
from symgrad.problem.question import Problem
from symgrad.problem.sampling import Inputs
from symgrad.program.program import interpret
from symgrad.progress import doing
from symgrad.rounding.accuracy import Rounding, condition, condition_floor, distance, is_unstable, rounding, sensitivity
from symgrad.rounding.attribution import LostDigits, find_lost_digits, line_errors
from symgrad.rounding.autograd_bounds import autograd_bounds, autograd_gradient
from symgrad.rounding.kernel_bounds import FORMATS
from symgrad.rounding.running_bounds import Enclosed, enclosed, error_bounds
from symgrad.stability.detection import losing
from symgrad.stability.rewriting import best_rewrite
from symgrad.stability.samples import sample_around
from symgrad.stability.term_printer import why

# --------------------------------------------------------------------------------------------------- gradient rewrites
# What to write instead of a hand formula's line that loses its digits at the user's own point.

_LARGEST = 20_000  # entries of the hand formula's steps up to which a rewrite is looked for


def with_rewrites(problem: Problem, found: Sequence[Instability]) -> tuple[Instability, ...]:
    """The instabilities of the hand side, each with why it is one and what to write instead, where that was found."""
    mine = [i for i in found if i.side == "hand"]
    if not mine:
        return tuple(found)
    doing("looking for what to write instead")
    told = {id(i): _told(problem, i) for i in mine}
    return tuple(told.get(id(i), i) for i in found)


def _told(problem: Problem, found: Instability) -> Instability:
    for leaf, key in _of_claim(problem, found.claim):
        inputs, dtypes = _inputs(problem, leaf)
        try:
            run = leaf.formula.run(inputs.point, dtypes)
            i = run.program.outputs[key]
            if run.program.entries() > _LARGEST:
                continue
            lost = losing(run.program, inputs.point, i, run.values[key])
            if lost is None:
                continue
            sample = sample_around(leaf.formula, key, inputs, inputs.free, dtypes, [lost.point], problem.seed)
            rewrite = best_rewrite(leaf.formula, run, lost, sample)
        except (SymgradError, KeyError):
            continue
        if rewrite is not None and _shown(lost.exact) != _shown(found.exact):
            continue  # another entry is what is lost most
        return replace(found, kind=lost.kind, why=why(run.program, lost.step, lost.kind), rewrite=rewrite)
    return found


def _shown(x: float) -> str:
    return f"{x:.12g}"


def _of_claim(problem: Problem, claim: str) -> Iterator[tuple[Leaf, str]]:
    """The formulas of the hand side that give a claim's derivative, with what each calls it."""
    called: Mapping[str, str] = getattr(problem.hand, "keys", {})
    for leaf in leaves(problem.hand):
        if leaf.key == claim:
            yield leaf, "value" if not hasattr(leaf.formula, "function") else "output"
        elif leaf.key is None:
            yield from ((leaf, own) for own, name in called.items() if name == claim)


def _inputs(problem: Problem, leaf: Leaf) -> tuple[Inputs, dict[str, str]]:
    """The question's inputs under the names that the formula has for them."""
    outside = {own: leaf.of.get(own, own) for own in leaf.formula.names}
    point = {own: problem.inputs.point[name] for own, name in outside.items() if name in problem.inputs.point}
    dtypes = {own: problem.dtypes[name] for own, name in outside.items() if name in problem.dtypes}
    real = tuple(own for own in dtypes if not dtypes[own].startswith("complex") and np.size(point[own]))
    free = tuple(own for own in real if outside[own] in problem.inputs.free) or real
    bounds = {own: problem.inputs.bounds[name] for own, name in outside.items() if name in problem.inputs.bounds}
    given = frozenset(own for own, name in outside.items() if name in problem.inputs.given)
    return Inputs(point, free, given, bounds), dtypes


# ----------------------------------------------------------------------------------------------------------- own point

_MOST = 200_000  # entries of all steps for which running bounds are computed
_AUTOGRAD = 128  # steps of a model up to which autograd's own bound is always computed
_SUSPICIOUS = 16.0  # ulps of autograd's error from which it is computed for any model
_CHEAP = 5_000  # entries of all steps up to which every error is taken apart, line by line
_TOLD = 2.0  # ulps from which an error is taken apart in larger Programs too, and its lines are told
_FAR = 16.0  # ulps from which it is asked what accuracy the inputs allow
_CHECKED = 8  # entries of a gradient, the worst ones, whose attainable accuracy is computed


@dataclass(eq=False)
class FloatFindings:
    """The findings about floats; what is told of rounding is measured when it is asked for."""

    roundings: dict[str, OnDemand[Rounding | None]] = field(default_factory=dict)
    autograd: dict[str, np.ndarray | None] = field(default_factory=dict)
    kinks: list[Kink] = field(default_factory=list)
    instabilities: list[Instability] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Bounded = tuple[torch.Tensor, torch.Tensor | None]  # a value of autograd's, and its running error bound


@dataclass(frozen=True, eq=False)
class _Own:
    """What is measured at the user's own point: the question, what was found of it, and its inputs as tensors."""

    problem: Problem
    findings: Findings
    tensors: Mapping[str, torch.Tensor]
    out: FloatFindings


def measure_at_user_point(problem: Problem, findings: Findings) -> FloatFindings:
    """Put the user's values and autograd's beside the truth at the user's own point.

    Where either loses its digits is found at once, by the values alone.  Ulps, bounds and the lines that errors come
    from wait until they are asked for.
    """
    out = FloatFindings(kinks=list(findings.kinks))
    tensors = tensors_of(problem.inputs.point, problem.dtypes)
    own = _Own(problem, findings, tensors, out)
    automatic = _autograd(own)
    bounds = OnDemand(lambda: _hand_bounds(own))
    bounded = OnDemand(lambda: _with_bounds(problem, findings, automatic))
    for pair in findings.own.pairs:
        auto = automatic.get(pair.name)
        out.autograd[pair.name] = None if auto is None else plain_array(auto)
        if pair.hand is None or not isinstance(findings.verdicts[pair.name], (Proved, Agrees)):
            continue
        if pair.shape and not np.prod(pair.shape):
            continue
        _one(own, pair, auto, bounded, bounds)
    out.kinks = [_with_autograd(k, out.autograd) for k in out.kinks]
    broken = {i.claim for i in out.instabilities if i.side == "autograd"}
    wrong = find_wrong_autograd(problem, findings, [n for n in out.roundings if n not in broken])
    for name, sentence in wrong.items():
        r = out.roundings[name]()
        if r is not None and r.autograd is not None and r.autograd.within is not False:
            out.notes.append(sentence)
    return out


def _hand_bounds(own: _Own) -> dict[str, torch.Tensor]:
    """The running error bounds of the hand formulas that are right, all from one run; none for a large Program."""
    program = own.findings.own.hand_run.program
    right = [n for n, v in own.findings.verdicts.items() if isinstance(v, (Proved, Agrees))]
    if own.problem.values_only or program.entries() > _MOST or not right:
        return {}
    with torch.no_grad():
        given = {n: own.tensors[n] for n in program.inputs}
        found = error_bounds(program, given, [program.outputs[n] for n in right])
    return {n: found[program.outputs[n]].error for n in right}


def _autograd(own: _Own) -> dict[str, torch.Tensor]:
    """Autograd's gradients; nothing for a model that torch cannot differentiate."""
    problem, findings, out = own.problem, own.findings, own.out
    shape = findings.own.program.shape(findings.own.model)
    summed = all(p.summed for p in findings.own.pairs)
    known = getattr(problem.model, "autograd", None)
    if known is not None:  # a script ran it itself
        return {n: torch.as_tensor(v) for n, v in known.items()}
    if getattr(problem.model, "library", "") != "torch" or problem.order != 1 or (shape and not summed):
        return {}
    call = torch_call(problem, problem.inputs.point)
    if call is None:
        return {}
    try:
        plain = autograd_gradient(*call, list(problem.wrt))
        result = {n: g.detach() for n, g in plain.items() if g is not None}
    except (SymgradError, RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        out.notes.append(f"autograd itself could not be run here: {str(error).splitlines()[0]}")
        return {}
    for name in problem.wrt:
        cut = "the graph is cut before it, by detach, no_grad or item()"
        if name not in result and any(_nonzero(findings, name)):
            out.notes.append(f"autograd gives no gradient for {name}: {cut}.")
        elif name not in result and _is_cut_off(findings, name):
            out.notes.append(f"autograd gives no gradient for {name}, and there is none: {cut}.")
    return result


def _is_cut_off(findings: Findings, name: str) -> bool:
    """Whether the model uses an input that is judged wrong, but only behind a ``detach``."""
    program, model = findings.own.program, findings.own.model
    needed = program.needed([model])
    stops = [i for i in needed if program.steps[i].op == "stop"]
    used = program.inputs.get(name) in program.needed(stops) if stops else False
    return used and isinstance(findings.verdicts.get(name), Refuted)


def _with_bounds(problem: Problem, findings: Findings, values: Mapping[str, torch.Tensor]) -> dict[str, Bounded]:
    """Autograd's values with their running bounds, from a second run of the model that gives the same values."""
    plain: dict[str, Bounded] = {n: (g, None) for n, g in values.items()}
    call = None if getattr(problem.model, "autograd", None) is not None else torch_call(problem, problem.inputs.point)
    if call is None or not values:
        return plain
    if len(findings.own.model_run.program) > _AUTOGRAD and not _suspicious(problem, findings, values):
        return plain
    try:
        found = autograd_bounds(*call, list(problem.wrt)).gradients
    except (SymgradError, RuntimeError, TypeError, ValueError, NotImplementedError):
        return plain
    bounded = {n: (b.value.detach(), b.error) for n, b in found.items() if b is not None and n in values}
    return {**plain, **{n: b for n, b in bounded.items() if _is_same(values[n], *b)}}


def _is_same(value: torch.Tensor, again: torch.Tensor, error: torch.Tensor) -> bool:
    if value.shape != again.shape:
        return False
    near = (value - again).abs() <= 2 * error
    return bool((near | (value == again) | ~torch.isfinite(error) | (torch.isnan(value) & torch.isnan(again))).all())


def _suspicious(problem: Problem, findings: Findings, gradients: Mapping[str, torch.Tensor]) -> bool:
    """Whether autograd is so far from the truth anywhere that its own rounding bound is worth its price."""
    for pair in findings.own.pairs:
        view = findings.at_user_point.views.get(pair.name)
        if (
            view is None
            or view.at is not None
            or pair.name not in gradients
            or any(not x.is_finite() for x in view.exact)
        ):
            continue
        value = gradients[pair.name].reshape(pair.shape)
        if not value.is_floating_point():
            continue
        exact = torch.tensor([float(x.mid()) for x in view.exact], dtype=torch.float64).reshape(pair.shape)
        size = _SUSPICIOUS * torch.finfo(_asked(problem, value.dtype)).eps * exact.abs()
        if not bool(((value.double() - exact).abs() <= size).all()):
            return True
    return False


def _nonzero(findings: Findings, name: str) -> list[bool]:
    view = findings.at_user_point.views.get(name)
    return [] if view is None else [bool(x.is_finite()) and not x.contains(0) for x in view.exact]


def _one(
    own: _Own,
    pair: Pair,
    auto: torch.Tensor | None,
    bounded: OnDemand[dict[str, Bounded]],
    bounds: OnDemand[dict[str, torch.Tensor]],
) -> None:
    problem, findings = own.problem, own.findings
    view = findings.at_user_point.views[pair.name]
    if view.at is not None:  # of so many entries nothing is told
        return
    if any(not x.is_finite() for x in view.exact) or (view.state == "differs" and not problem.values_only):
        return
    value = torch.as_tensor(np.array(findings.own.hand_run.values[pair.name])).reshape(pair.shape)
    if not value.is_floating_point():
        return
    kind = value.dtype
    if any(k.input == pair.name for k in findings.kinks):
        auto = None  # between the slopes on its sides, what autograd takes is a convention; the kink tells it
    if auto is not None and auto.is_floating_point():
        kind = max(kind, auto.dtype, key=lambda d: torch.finfo(d).eps)

    def enclose() -> Enclosed:
        with precision(view.bits):
            return enclosed(array_of(list(view.exact), pair.shape))

    truth = OnDemand(enclose)

    def measure() -> Rounding:
        bound = bounds().get(pair.name)
        other, error = (None, None) if auto is None else bounded()[pair.name]
        with precision(view.bits), torch.no_grad():
            r = rounding(
                value,
                truth(),
                autograd=None if other is None else other.reshape(pair.shape),
                hand_bound=None if bound is None else bound.reshape(pair.shape),
                autograd_bound=None if error is None else error.reshape(pair.shape),
                dtype=_asked(problem, kind),
            )
            return r if view.state == "typed" else _explained(own, pair, r, value)

    own.out.roundings[pair.name] = OnDemand(measure)
    floors: dict[int, float] = {}
    if not all(isinstance(x, arb) for x in view.exact):
        return
    middles = torch.tensor([_middle(x) for x in view.exact], dtype=torch.float64)
    with precision(view.bits), torch.no_grad():
        for side, values in (("hand", value), ("autograd", auto)):
            if values is None or problem.values_only or (side == "hand" and view.state == "typed"):
                continue
            if not _is_near(problem, values.reshape(-1), middles):
                _instability(own, pair, side, values.reshape(pair.shape), truth(), floors)


def _middle(x: arb) -> float:
    """The middle of a ball; zero where nothing tells it from zero."""
    return 0.0 if x.contains(0) else float(x.mid())


def _is_near(problem: Problem, values: torch.Tensor, middles: torch.Tensor) -> bool:
    """Whether all values are right to a rounding of float64, or of their dtype: then no digits were lost."""
    kind = _asked(problem, values.dtype)
    rough = (values.double() - middles).abs()
    return bool((rough <= 2 * torch.finfo(kind).eps * middles.abs() + FORMATS[kind].eta).all())


def _explained(own: _Own, pair: Pair, r: Rounding, value: torch.Tensor) -> Rounding:
    """The error of the worst entry taken apart by the lines of the hand formula, and beside what the inputs allow."""
    if not math.isfinite(r.hand.largest) or not r.hand.largest or r.hand.at_zero is not None:
        return r
    program, entry = own.findings.own.hand_run.program, 0
    if pair.shape:
        entry = int(np.ravel_multi_index(r.hand.worst, pair.shape))
    output = program.outputs[pair.name]
    work = program.entries(program.needed([output]))
    if not own.problem.values_only and work <= (_MOST if r.hand.largest >= _TOLD else _CHEAP):
        given = {n: own.tensors[n] for n in program.inputs}
        found = line_errors(program, given, output, entry, value=float(value.reshape(-1)[entry]), dtype=r.dtype)
        r = replace(r, lines=None if found is None else replace(found, entry=as_entry(entry, pair.shape)))
    if r.hand.largest >= _FAR:
        r = replace(r, sensitivity=sensitivity(own.findings.own.program, _given(own), pair.exact, entry, r.dtype))
    return r


def _given(own: _Own) -> dict[str, torch.Tensor]:
    """The inputs of the exact derivative's Program, those that the hand formula does not use included."""
    point = own.problem.inputs.point
    return {n: own.tensors[n] if n in own.tensors else torch.tensor(point[n]) for n in own.findings.own.program.inputs}


def _asked(problem: Problem, kind: torch.dtype) -> torch.dtype:
    """The dtype that the ulps are of: the coarser of the inputs' and the result's."""
    kinds = [getattr(torch, k) for k in problem.dtypes.values() if not k.startswith("complex")]
    return max([kind, *kinds], key=lambda d: torch.finfo(d).eps)


def _instability(
    own: _Own, pair: Pair, side: str, values: torch.Tensor, truth: Enclosed, floors: dict[int, float]
) -> None:
    """An entry whose error is far beyond what its inputs' rounding could make: the digits were lost on the way."""
    kind = _asked(own.problem, values.dtype)
    limits, form = torch.finfo(kind), FORMATS[kind]
    flatly = values.reshape(-1)
    scale = torch.from_numpy(truth.high.reshape(-1)).abs()
    low, error = (x.reshape(-1) for x in distance(values, truth))
    error = torch.where((low == 0) & (truth.sizes() == 0), 0.0, error)  # nothing tells either from zero
    finite = torch.isfinite(flatly)
    broken = ~finite | ((flatly == 0) & (scale >= form.normal))
    beyond = ~finite & (scale > limits.max)  # no float could hold the truth
    possible = (
        is_unstable(error, 0.99 * scale, kind, broken) & ~beyond
    )  # what can be attained is no less than the truth
    suspicious = torch.nan_to_num(error / (scale + 1e-300), nan=np.inf)
    order = torch.argsort(suspicious, descending=True)
    worst = order[possible[order]].tolist()
    told = [
        i.entry for i in own.out.instabilities if i.claim == pair.name
    ]  # the same entry for both sides, if it may be
    first = [k for k in worst if as_entry(k, pair.shape) in told] if told else []
    order = [*first, *(k for k in worst if k not in first)][:_CHECKED]
    if not order:
        return
    exact, names = own.findings.own.program, _given(own)
    new = [k for k in order if k not in floors]
    if new:  # the other side may have asked already
        floors |= dict(zip(new, condition_floor(exact, names, pair.exact, new).tolist(), strict=True))
    order = [k for k in order if is_unstable(error[k], torch.tensor(floors[k], dtype=torch.float64), kind, broken[k])]
    for k in order:
        if not bool(is_unstable(error[k], condition(exact, names, pair.exact, entries=[k])[0], kind, broken[k])):
            continue
        loss = _loss(own, pair, side, flatly[k], k)
        meant: Any = flat(truth.balls)[k]
        computed, right = float(flatly[k]), _middle(meant)
        name = str(kind).removeprefix("torch.")
        source = None if loss is None else loss.source
        who = "your formula is right, and" if side == "hand" else "autograd"
        line = f", in line {source.line}: {source.text}" if source is not None and source.line else ""
        gives = "not a number" if computed != computed else f"{computed:.6g}"
        lost = "is not safe" if broken[k] else "loses its digits"
        what = f"{lost} in {name} at your point: it gives {gives}, the truth is {right:.6g}"
        entry = as_entry(k, pair.shape)
        said = f"{who} {what}{line}."
        point = own.problem.inputs.point
        own.out.instabilities.append(
            Instability(pair.name, side, name, point, entry, computed, right, source, said, loss)
        )
        return


def _loss(own: _Own, pair: Pair, side: str, value: torch.Tensor, k: int) -> LostDigits | None:
    """Where the digits went.  Autograd's own steps are not seen; those of the exact derivative of the model are told
    where, run in floats, they give the very value that autograd gives.
    """
    branch = own.findings.own
    program = branch.hand_run.program if side == "hand" else branch.program
    if any(n not in own.tensors for n in program.inputs):
        return None
    given = {n: own.tensors[n] for n in program.inputs}
    if side == "hand":
        return find_lost_digits(program, given, program.outputs[pair.name], entry=k)
    try:
        again = interpret(program, Floats(), given, [pair.exact])[pair.exact]
    except (RuntimeError, NotImplementedError):
        return None
    same = again.reshape(-1)[k]
    if not (same.double() == value.double() or (torch.isnan(same) and torch.isnan(value))):
        return None
    return find_lost_digits(program, given, pair.exact, entry=k)


def _with_autograd(kink: Kink, values: Mapping[str, np.ndarray | None]) -> Kink:
    value = values.get(kink.input)
    if value is None:
        return kink
    return replace(kink, autograd=float(np.real(value[kink.entry] if kink.entry is not None else value)))
