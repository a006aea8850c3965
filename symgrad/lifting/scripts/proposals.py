"""What is asked of a user where the evidence does not tell the parts of a script: what was found, and what may be said.

A proposal is not printed before it was tried, see `symgrad.lifting.scripts.understanding`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import FunctionType

import numpy as np

from symgrad.errors import BadInput
from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.pairs import UNNAMED, UPDATED, Told, is_called
from symgrad.lifting.scripts.weighing import Row, Weighing
from symgrad.program.program import size

_STARTS = frozenset("start initial init guess begin x0 p0".split())  # words of what a solver begins with


class Unclear(BadInput):
    """The evidence does not tell the parts of a script: what was found, what may be said of them, the likeliest first,
    and what else may be written."""

    def __init__(self, what: str, where: str | None, proposals: Sequence[Told], otherwise: str) -> None:
        super().__init__(what, where=where, instead=otherwise)
        self.proposals = tuple(proposals)


def asked_for(w: Weighing, told: Told) -> BadInput:
    """What was understood of a script whose parts the evidence does not tell, and the lines that may say them."""
    losses = list(dict.fromkeys(o.name for o in sorted(w.candidates(told.output), key=lambda o: -o.cue)))
    first: dict[str, str] = {}
    for p in sorted(w.pairs, key=lambda p: -p.weight):
        if not p.label.startswith(UNNAMED) and "," not in p.label:
            first.setdefault(p.name or cues.tail(p.input.path), p.label.lstrip("-"))
    found = list(dict.fromkeys(e.path for e in w.events if "()" not in e.path and e.step not in w.numeric))
    where = []
    if losses:
        where.append(f"    numbers that it computes: {', '.join(losses[:6])}")
    if first:
        where.append(f"    gradients, as it seems: {', '.join(f'{g} for {x}' for x, g in list(first.items())[:6])}")
    steps = {p.input.path: p.values[0].key[1] for p in w.pairs if p.why == UPDATED and p.label.startswith(UNNAMED)}
    if steps and not first:
        where.append(f"    updates: {', '.join(f'of {x} in line {line}' for x, line in list(steps.items())[:6])}")
    elif found and not first:
        where.append(f"    variables that hold numbers: {', '.join(found[:8])}")
    if not losses and not first and (line := _uncalled(w)) is not None:
        return BadInput(
            "the script calls no function whose gradient it defines.",
            where="\n".join(where) or None,
            instead=f"Add a line that calls both where the gradient is to be judged: {line}",
        )
    if first and not losses and told.output is None:
        return BadInput(
            "the script computes no number that what looks like a gradient may be the gradient of.",
            where="\n".join(where),
            instead=f"Add a line that computes it, before its gradients are: loss = {_objective(w)}",
        )
    if w.trails.averages and not first and not steps and told.output is None:
        (path, line), goal = next(iter(w.trails.averages.items()))
        name = f" {w.trails.name_of(goal)}" if w.trails.name_of(goal) else " another value"
        return BadInput(
            f"line {line} moves {path} some of the way to{name}, as an average or an estimate is moved: there is no "
            "derivative in that, so nothing to judge.",
            where="\n".join(where) or None,
            instead="If it is meant as a descent, add the loss that it descends, and its gradient as a variable.",
        )
    lacking = "what is differentiated" if first or steps else "what is meant as a gradient"
    outputs = [told.output] if told.output else losses
    several = [Told(o, told.wrt, pairs) for o in outputs[:2] for pairs in (first or _guess(w, o),) if pairs]
    several += [Told(o, told.wrt, {x: g}) for o in outputs[:1] for x, g in first.items() if len(first) > 1]
    return Unclear(
        f"the script does not call autograd, and nothing in it says {lacking}.",
        "\n".join(where) or None,
        several,
        "Add the line that computes the loss which the updates descend."
        if first or steps
        else "Add the backward pass, or a loss and an update, to the script.",
    )


def drawn_states(w: Weighing, top: Row) -> BadInput | None:
    """What is said where states are drawn by probabilities that the inputs are in, as a Boltzmann machine's are: an
    update by what was drawn is no derivative of what one run computes.  None where nothing is drawn so."""
    source = next(
        (
            g.source
            for g in w.run.trace.builder.guards
            if g.source is not None and g.source.line in w.text.drawing and w.behind & {*g.args}
        ),
        None,
    )
    updates = [s.pair for s in top.sights if s.pair.why == UPDATED]
    if source is None or not updates:
        return None
    p = updates[0]
    return BadInput(
        f"line {source.line} draws states by probabilities that `{p.input.path}` is in, and line {p.values[0].key[1]} "
        "moves it by what was drawn, as contrastive divergence does: that is the derivative of nothing that one run "
        "computes, so there is nothing to judge.",
        where=f"    numbers that it computes: {top.output.name}",
        instead=f"If it is meant to descend {top.output.name}, say so: output={top.output.name!r} "
        f"(--output {top.output.name}).",
    )


def _objective(w: Weighing) -> str:
    """A call of the script's function that gives one number, with variables that the script has; else dots."""
    inputs = w.trails.after({p.input.step for p in w.pairs}) - w.numeric
    events = [e for e in w.events if e.path.endswith("()") and size(w.steps[e.step].shape) == 1 and e.step in inputs]
    names = dict.fromkeys(e.path.removesuffix("()") for e in events)
    for f in [w.run.namespace.get(n) for n in sorted(names, key=cues.is_loss, reverse=True)]:
        arguments = f.__code__.co_varnames[: f.__code__.co_argcount] if isinstance(f, FunctionType) else ()
        if isinstance(f, FunctionType) and all(a in w.run.namespace for a in arguments):
            return f"{f.__name__}({', '.join(arguments)})"
    return "..."


def _uncalled(w: Weighing) -> str | None:
    """A call of ``check_grad`` for an objective and its gradient that a script only defines."""
    space = w.run.namespace
    code = {n: f.__code__ for n, f in space.items() if isinstance(f, FunctionType) and f.__module__ == "__main__"}
    arguments = {n: c.co_varnames[: c.co_argcount] for n, c in code.items() if c.co_argcount}
    called = {e.path.partition("(")[0] for e in w.events if "()" in e.path}
    for f, g in itertools.permutations(set(arguments) - called, 2):
        is_pair = cues.is_derivative(g, f"{f}()") or (cues.is_gradient(g) and cues.is_loss(f))
        if not is_pair or arguments[f] != arguments[g]:
            continue
        name, *others = arguments[f]
        arrays = {n: cues.words(n) for n, x in space.items() if isinstance(x, (np.ndarray, list))}
        begins = [n for wanted in ({name, f"{name}0"}, _STARTS) for n, said in arrays.items() if wanted & {*said}]
        given = [*begins[:1], *([] if begins else [f"{name}0"]), *others]
        return f"from scipy.optimize import check_grad; print(check_grad({', '.join([f, g, *given])}))"
    return None


def _guess(w: Weighing, output: str) -> dict[str, str]:
    """An input and a variable of its shape that may be its gradient, to show how one says it: the output is computed
    from the one, and has nothing to do with the other, which is no other value of the input."""
    events = [e for e in w.events if "()" not in e.path and w.trails.event_of.get(e.step) is e and e.path != output]
    step = next((e.step for e in w.events if is_called(e.path, output)), None)
    before = w.trails.before(step) if step is not None else set[int]()
    after = w.trails.after({step}) if step is not None else set[int]()
    moving = {u.target for found in w.text.updates.values() for u in found}
    for e in reversed([e for e in events if e.step not in before | after | w.numeric and e.path not in moving]):
        own = {w.trails.event_of[i].path for i, _ in w.trails.origins(e.step, 0)}
        for other in events:
            fits = w.steps[e.step].shape == w.steps[other.step].shape and other.step in w.trails.before(e.step)
            if fits and other.step in before and other.path not in own:
                return {cues.tail(other.path): cues.tail(e.path)}
    return {}


def tie(w: Weighing, rows: Sequence[Row]) -> BadInput:
    """What is asked where several outputs fit alike."""
    names = list(dict.fromkeys(r.output.name for r in rows))
    where = []
    for r in rows:
        said = ", ".join(f"{s.pair.label} for {s.pair.name or cues.tail(s.pair.input.path)}" for s in r.sights)
        where.append(f"    {r.output.name}    {said}")
    proposals = []
    for r in rows:
        first = {s.pair.name or cues.tail(s.pair.input.path): s.pair.label.lstrip("-") for s in r.sights}
        named = {x: g for x, g in first.items() if not g.startswith(UNNAMED) and "," not in g}
        proposals.append(Told(r.output.name, None, named or None))
    return Unclear(
        f"the script computes {' and '.join(names)}, and nothing tells which one the gradients are of.",
        "\n".join(dict.fromkeys(where)),
        proposals,
        "Leave the lines out that compute the others.",
    )


def said(told: Told) -> str:
    """The keywords, and the options, that say which is which."""
    some = dict(list((told.gradients or {}).items())[:3])
    options = " ".join(f"--gradient {x}={g}" for x, g in some.items())
    keyword = f", gradients={some!r}" if some else ""
    text = f"Say which is which: output={told.output!r}{keyword}; or, on the command line: --output {told.output}"
    return f"{text} {options}".rstrip() + "."
