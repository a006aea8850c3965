"""What the parts of a script without a call of autograd are taken to be, so that they are found in every run of it.

A value is named by the event that gave it: a variable, by its path and how often it had been bound before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from symgrad.errors import NotReproducible
from symgrad.lifting.scripts.centres import between, choose_between, whole_values
from symgrad.lifting.scripts.execution import ScriptRun
from symgrad.lifting.scripts.losses import LOSSES, Error, parts_of
from symgrad.lifting.scripts.roles import Derivation, Roles
from symgrad.lifting.scripts.script_record import Given, Key
from symgrad.lifting.scripts.trails import Trails, is_whole
from symgrad.program.builder import Builder
from symgrad.program.program import Step, dependents, size

CLOSE = 1e-7

# ------------------------------------------------------------------------------------------------ addresses
# Where a value is found in any run of the script.


@dataclass(frozen=True)
class Place:
    """The value that an event gave, or the ``term``-th of what an update adds to its variable; times ``factor``.

    With a ``path`` it is meant as what had that name before: the same value, in the line that computed it.  ``rates``
    are numbers that the script names, and the powers of them that it is divided by; ``entries`` are those that the
    update changes, where it changes some; ``freed`` of zeros that are written into it to hold entries in their places.
    """

    key: Key
    term: int | None = None
    factor: Fraction = Fraction(1)
    path: str | None = None
    rates: tuple[tuple[str, int], ...] = ()
    entries: tuple[int, ...] | None = None
    freed: bool = False

    def step(self, run: ScriptRun, trails: Trails) -> int:
        """Its step in a run; raises `NotReproducible` where the run did not come there."""
        event = run.trace.event_at.get(self.key)
        if event is None:
            raise NotReproducible(f"with other values in its inputs, the script computes no {self.key[0]}.")
        step = event.step if self.path is None else trails.called(event.step, self.path)
        if self.term is not None:
            move = trails.move(event)
            if move is None or self.term >= len(move.terms) or (self.entries and self.entries != move.entries):
                raise NotReproducible(f"with other values in its inputs, the script changes {self.key[0]} otherwise.")
            step = move.terms[self.term].step
        if self.freed:
            step, _ = trails.unclamped(step)
        b, factor = run.trace.builder, self.factor
        for name, power in self.rates:
            factor /= _number(run, name) ** power
        return step if factor == 1 else b.neg(step) if factor == -1 else b.mul(b.number(factor), step)


def _number(run: ScriptRun, name: str) -> Fraction:
    """The number that a script has under a name, as it is typed."""
    found = [x for (path, *_), x in run.trace.bound_values.items() if path == name]
    return Fraction(repr(float(found[-1])))


@dataclass(frozen=True)
class Claim:
    """A value that is meant as the gradient for an input, or for a part of it that has a ``shape`` of its own; of a
    matrix, whether it stands ``across``, with the entries of the input one below the other."""

    input: Key
    value: Place
    label: str
    why: str
    shape: tuple[int, ...] | None = None
    across: bool = False


@dataclass(frozen=True)
class Assumed:
    """A loss that the script does not write down: a multiple of one of the catalogue, of a difference in the script;
    with a penalty of half of ``decay`` times the squares of some entries of variables, where there are any, and times
    the number that the script calls ``by``."""

    loss: str
    error: Error
    factor: Fraction
    decay: Fraction = Fraction(0)
    decaying: tuple[tuple[Key, tuple[int, ...]], ...] = ()
    by: str | None = None

    def step(self, run: ScriptRun, trails: Trails) -> int:
        b = run.trace.builder
        b.source = None  # no line of the script says it
        shrunk = [(run.trace.event_at[key].step, entries) for key, entries in self.decaying]
        decay = self.decay if self.by is None else self.decay * _number(run, self.by)
        made = replace(self, decay=decay).write(b, dependents(b.steps, b.inputs.values()), shrunk)
        if made is None:
            raise NotReproducible(
                f"with other values in its inputs, the script goes another way in line {self.error.line}."
            )
        return made

    def write(self, b: Builder, moved: set[int], shrunk: Sequence[tuple[int, tuple[int, ...]]] = ()) -> int | None:
        """The loss as a step, of an error that depends on what is ``moved``; None where there is none such.  With a
        penalty on the entries of steps that are ``shrunk``."""
        of = parts_of(b, self.error, moved)
        if of is None:
            return None
        made = LOSSES[self.loss].write(b, of.activation, of.targets, of.weights)
        made = penalised(b, made, self.decay, shrunk)
        return made if self.factor == 1 else b.mul(b.number(self.factor), made)


def penalised(b: Builder, loss: int, decay: Fraction, shrunk: Sequence[tuple[int, tuple[int, ...]]]) -> int:
    """A loss and half of ``decay`` times the squares of some entries of steps, of all of them where none is said."""
    for step, entries in shrunk:
        x = b.pick([step], np.array(entries) + 1, (len(entries),)) if entries else step
        loss = b.add(loss, b.mul(b.number(decay / 2), b.sum(b.mul(x, x))))
    return loss


@dataclass(frozen=True)
class Centre:
    """The function of a difference quotient, the ``nth`` of a line, at the point about which its argument is moved."""

    line: int | None
    nth: int

    def step(self, run: ScriptRun, trails: Trails) -> int:
        b = run.trace.builder
        of = [*trails.quotients(), *trails.second_quotients()]
        quotients = [q for q in of if (q.line, q.nth) == (self.line, self.nth)]
        if quotients:
            choose_between(b, quotients[0].high, quotients[0].low)
        found = between(b, *whole_values(b, quotients[0])) if quotients else None
        if found is None:
            raise NotReproducible(f"with other values in its inputs, line {self.line} computes no difference quotient.")
        return found


@dataclass(frozen=True)
class Scaled:
    """A multiple of what the script computes."""

    value: Place | Centre | Paired
    factor: Fraction

    def step(self, run: ScriptRun, trails: Trails) -> int:
        b = run.trace.builder
        found = self.value.step(run, trails)
        return b.mul(b.number(self.factor), b.sum(found))


@dataclass(frozen=True)
class Held:
    """What the script computes, with the values of some of its variables held constant."""

    value: Place | Centre | Paired | Scaled
    held: tuple[Key, ...]

    def step(self, run: ScriptRun, trails: Trails) -> int:
        for key in self.held:
            hold(run.trace.builder.steps, Place(key).step(run, trails))
        return self.value.step(run, trails)


def hold(steps: list[Step], i: int) -> None:
    """Let nothing be differentiated through a step that names a value; where entries were written into an array, not
    through these."""
    if steps[i].op != "name" or not _hold_written(steps, i):
        steps[i] = replace(steps[i], op="stop", params=None)


def _hold_written(steps: list[Step], i: int) -> bool:
    """Let nothing be differentiated through the entries that have been written into an array; whether there are such,
    and a step to hold them in."""
    at, above = steps[i].args[0], i
    while len(steps[at].args) == 1 and is_whole(steps, at):
        at, above = steps[at].args[0], at
    if not _is_write(steps, at):
        return False
    write = steps[at]
    base, part = write.args
    if steps[part].args == (base,) and _is_write(steps, base):  # W[i] += ... writes what was written once more
        first = steps[base]
        own = steps[first.args[1]]
        if steps[part].op != "pick" or not np.array_equal(first.params, write.params) or own.shape != steps[part].shape:
            return False
        steps[part] = replace(own, op="stop", args=first.args[1:], params=None)
        steps[at] = replace(write, args=(first.args[0], part))
        return True
    if above == i or any(at in s.args for k, s in enumerate(steps) if k != above):
        return False
    steps[at] = replace(steps[part], op="stop", args=(part,), params=None)
    steps[above] = replace(write, args=(base, at), shape=steps[above].shape)
    return True


def _is_write(steps: Sequence[Step], i: int) -> bool:
    s = steps[i]
    return s.op == "pick" and len(s.args) == 2 and size(steps[s.args[0]].shape) == size(s.shape)


@dataclass(frozen=True)
class Paired:
    """The sum of a value's entries, weighted by a cotangent of the script's own."""

    value: Key
    cotangent: Key

    def step(self, run: ScriptRun, trails: Trails) -> int:
        b = run.trace.builder
        return b.sum(b.mul(*(Place(k).step(run, trails) for k in (self.value, self.cotangent))))


@dataclass(frozen=True)
class Hypothesis:
    """What the parts of a script are, said so that they are found in every run of it."""

    output: Place | Centre | Assumed | Paired | Scaled | Held
    output_name: str
    claims: tuple[Claim, ...]
    names: tuple[str, ...]  # of the inputs, one for each claim
    given: Mapping[Key, Given]  # the variables that hold inputs
    assumed: str | None = None  # what is told of an output that the script does not compute
    is_sure: bool = True  # whether the script itself says what is differentiated, and by value it is so
    notes: tuple[str, ...] = ()  # what is told of the parts that are not in it
    unjudged: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # variables with steps of nothing known
    order: int | None = None  # of a matrix of derivatives: 1 where its rows are those of several values

    @property
    def until(self) -> frozenset[Key]:
        """The events after which nothing more is needed; none where that is the end."""
        held = self.output.held if isinstance(self.output, Held) else ()
        output = self.output.value if isinstance(self.output, Held) else self.output
        output = output.value if isinstance(output, Scaled) else output
        if isinstance(output, Centre):
            return frozenset()
        found = {*held, *(key for c in self.claims for key in (c.input, c.value.key))}
        match output:
            case Place(key=key):
                found.add(key)
            case Paired(value=a, cotangent=t):
                found |= {a, t}
            case _:
                pass
        return frozenset(found if all(times >= 0 for _, _, times in found) else ())

    def roles(self, run: ScriptRun) -> Roles:
        """The parts in one run."""
        trails, b = Trails(run.trace), run.trace.builder
        output = self.output.step(run, trails)
        if b.shape(output):  # of a matrix of derivatives it stays what it is, in no more brackets than it needs
            many = tuple(n for n in b.shape(output) if n > 1)
            output = b.sum(output) if self.order is None else b.reshape(output, many)
        inputs, derivations = {}, []
        for c, name in zip(self.claims, self.names, strict=True):
            node = Place(c.input).step(run, trails) if c.shape is None else b.inputs[name]
            step = c.value.step(run, trails)
            step = b.reshape(step, c.shape) if c.shape is not None else run.trace.made(step)
            if self.order is not None:
                step = _laid(b, step, b.shape(output if self.order == 1 else node), b.shape(node), c)
            if c.value.term is not None and size(b.shape(step)) == size(b.shape(node)):
                step = b.reshape(step, b.shape(node))
            if c.value.term is not None and b.steps[step].op != "name":  # so that it is a line of the derivation
                b.source = b.steps[run.trace.event_at[c.value.key].step].source
                step = b.name(step, c.label)
            inputs[name] = node
            derivations.append(Derivation(name, c.label, node, step, c.why, None))
        return Roles(
            output, self.output_name, None, inputs, tuple(derivations), (), self.assumed, self.notes, self.unjudged,
            self.order or 1,
        )  # fmt: skip


def _laid(b: Builder, matrix: int, rows: tuple[int, ...], columns: tuple[int, ...], c: Claim) -> int:
    """A matrix of derivatives, laid out as a Jacobian is, under the name that it has."""
    if b.shape(matrix) == rows + columns and not c.across:
        return matrix
    order = np.arange(1, size(rows) * size(columns) + 1)
    order = order.reshape(size(columns), size(rows)).T if c.across else order
    b.source = b.steps[matrix].source
    return b.name(b.pick([matrix], order.reshape(-1), rows + columns), c.label)


def compared(mine: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> tuple[str, float | None, float]:
    """How values at several points stand to the true ones: a word, the factor between them, and how near they are.

    >>> compared([np.array([2.0, 4.0]), np.array([6.0, 2.0])], [np.array([1.0, 2.0]), np.array([3.0, 1.0])])[:2]
    ('factor', 2.0)
    """
    if not truth or not any(np.any(d) for d in truth):
        return "unknown", None, float(not any(np.any(g) for g in mine))
    g, d = np.concatenate(mine), np.concatenate(truth)
    scale = max(np.abs(d).max(), 1e-300)
    off = np.abs(g - d) > CLOSE * scale
    if not off.any():
        return "right", 1.0, 0.0
    ratio = float((g / scale) @ (d / scale) / ((d / scale) @ (d / scale)))
    if ratio and np.all(np.abs(g - ratio * d) <= CLOSE * scale * abs(ratio)) and d.size > 1:
        return "factor", ratio, 0.0
    k = len(mine)
    is_off = off.reshape(k, -1).any(0)
    if d.size > k and not is_off.all():
        tells = ((g != 0) | (d != 0)).reshape(k, -1).any(0)  # that both are zero in an entry tells less
        return "zeros" if is_off[tells].all() else "partly", None, 0.0
    length = float(np.linalg.norm(g) * np.linalg.norm(d))
    return "wrong", None, 3 * max(0.0, float(g @ d) / length) if length else 0.0
