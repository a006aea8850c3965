"""A matrix beside differences of a gradient, or beside second differences: it is meant as a Jacobian, or as a Hessian.

The function whose differences are taken is differentiated itself, once where it has several values and twice where it
has one.  Which way the matrix stands tells what it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.centres import between, whole_values
from symgrad.lifting.scripts.hypotheses import Centre, Claim, Hypothesis, Place
from symgrad.lifting.scripts.pairs import COMPARED
from symgrad.lifting.scripts.script_record import Event
from symgrad.lifting.scripts.trails import Quotient, input_values
from symgrad.lifting.scripts.weighing import Weighing
from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.program import Program, interpret, size

__all__ = ["compared_matrix"]

_ROWS = 64  # values of a function whose Jacobian is written to see which way a matrix stands
_NEAR = 1e-2  # how near differences come to a derivative, at least


def compared_matrix(w: Weighing) -> Hypothesis | None:
    """What a script says that compares a matrix with differences; None where it compares none."""
    for order, q, made, x in _functions(w):
        many = size(w.run.trace.builder.shape(made)) if order == 1 else size(w.steps[x.step].shape)
        for i, numeric in w.all.beside.items():
            event = w.trails.variable(i) or w.trails.returned(i)
            if event is None or size(w.steps[event.step].shape) != many * size(w.steps[x.step].shape):
                continue
            across = order == 1 and _is_across(w, made, x.step, numeric)
            if across is None:
                continue
            claim = Claim(x.key, Place(event.key), event.path, COMPARED, across=across)
            source = w.steps[made].source if made < w.length else w.steps[q.high].source
            names = [e.path for e in w.events if w.trails.stripped(e.step) == w.trails.stripped(q.high)]
            name = cues.tail(names[-1]) if names else f"the function of line {source.line if source else '?'}"
            tail = cues.tail(x.path)
            return Hypothesis(Centre(q.line, q.nth), name, (claim,), (tail,), {x.key: tail}, order=order)
    return None


def _functions(w: Weighing) -> Iterator[tuple[int, Quotient, int, Event]]:
    """The functions of differences: how often each is to be differentiated, a quotient, its value at the point in the
    middle, and the variable that is moved."""
    b = w.run.trace.builder
    first = [(1, q) for q in w.quotients if size(b.shape(whole_values(b, q)[0])) > 1]
    for order, q in (*first[:_ROWS], *((2, q) for q in w.trails.second_quotients()[:_ROWS])):
        moved: dict[int, float] = {}
        made = between(b, *whole_values(b, q), moved)
        origins = {w.trails.origin(i) for i in moved} - {None}
        if made is not None and len(origins) == 1:
            (origin,) = origins
            yield order, q, made, w.trails.event_of[origin]  # type: ignore[index]


def _is_across(w: Weighing, made: int, x: int, numeric: int) -> bool | None:
    """Whether differences stand with the entries of the input one below the other; None where they are no derivative of
    this function."""
    b = Builder(list(w.run.trace.builder.steps), dict(w.run.trace.builder.inputs))
    n, rows = size(b.shape(made)), []
    for k in range(n if n <= _ROWS else 0):
        seed = b.constant(np.eye(n)[k].reshape(b.shape(made)), b.dtype(made))
        rows.append(reverse(b, {made: seed}, {x})[0].get(x))
    if not rows or None in rows:
        return None
    wanted = [*(r for r in rows if r is not None), numeric]
    at = interpret(Program({}, tuple(b.steps), {}), Floats(), input_values(w.run.trace), wanted)
    jacobian = torch.stack([at[r].reshape(-1) for r in wanted[:-1]]).detach().numpy()
    found = at[numeric].detach().numpy().reshape(-1)
    if found.size != jacobian.size:
        return None
    off = [float(np.abs(found - j.reshape(-1)).max()) for j in (jacobian, jacobian.T)]
    return None if min(off) > _NEAR * max(1.0, float(np.abs(jacobian).max())) else off[1] < off[0]
