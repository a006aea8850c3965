"""Scripts without a call of autograd: which value is the output, which are its inputs, and what is meant as a gradient.

Events and weak cues propose pairs of an input and a gradient, and values that may be the output.  Each output is
differentiated exactly, on the record of the run, and each pair is looked at by value: at the script's own numbers and
with the inputs moved.  The hypothesis under which most comes out right, weighted by its cues, is the one that is asked.

None of this is a verdict: that is the pipeline's, on the script run again with inputs in the places that were found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import torch

from symgrad.errors import BadInput
from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.cues import Cues
from symgrad.lifting.scripts.execution import ScriptRun
from symgrad.lifting.scripts.hypotheses import Assumed, Claim, Entries, Hypothesis, Paired, Place
from symgrad.lifting.scripts.losses import LOSSES, Error, errors, parts
from symgrad.lifting.scripts.roles import AS_TOLD, NAMED
from symgrad.lifting.scripts.script_tracer import Event, Key
from symgrad.lifting.scripts.trails import Move, Term, Trails
from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.program import Program, Step, interpret, size

UPDATED, COMPARED = "with which the script updates it", "which the script compares with a difference quotient"
CHECKED, OF_ENGINE = "which check_grad compares with differences", "which the script's own backward pass gives"
PRIMARY = (UPDATED, COMPARED, CHECKED, OF_ENGINE)
_POINTS = 3  # the script's own numbers, and so many less one beside them
_CLOSE = 1e-7
_TURNS = 4  # updates of one variable that are looked at
_OUTPUTS = 24  # values that are tried as the output
_ERRORS = 12  # differences that are tried as where a loss begins
_WORTH = {"right": 10.0, "factor": 5.0, "partly": 3.5, "wrong": 0.0, "unknown": -1.0}
_NICE = 10_000  # the largest denominator of a loss's factor


@dataclass(frozen=True)
class Told:
    """What the user says of the parts: the output, the inputs, the gradients by input."""

    output: str | None = None
    wrt: tuple[str, ...] | None = None
    gradients: Mapping[str, str | Sequence[str]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All that is spoken of."""
        found = [*(self.wrt or ()), *(self.gradients or {}), *([self.output] if self.output else [])]
        for g in (self.gradients or {}).values():
            found += [g] if isinstance(g, str) else g
        return tuple(found)


_NOTHING = Told()

# ------------------------------------------------------------------------------------------------ pairs


@dataclass(frozen=True)
class Pair:
    """A value that may be meant as the gradient for an input: both as events and steps, and what speaks for it."""

    input: Event
    value: Place | Entries
    steps: tuple[tuple[int, int], ...]  # (entry of the input, step of its claim), or one (-1, step)
    signs: tuple[int, ...]
    label: str
    why: str
    weight: float
    at: int  # the step after which it is known
    changed: tuple[int, ...] = ()  # the values that the input has after an update
    name: str | None = None  # of the input, where it is not that of its event


@dataclass(frozen=True)
class Sight:
    """How a pair stands to the derivative of an output, by value: a word, and its factor."""

    pair: Pair
    word: str
    factor: float | None
    score: float


@dataclass(frozen=True)
class Row:
    """An output, how the pairs stand under it, and what speaks for it."""

    output: Place | Assumed | Paired
    name: str
    sights: tuple[Sight, ...]
    cue: float
    score: float
    assumed: str | None = None

    @property
    def rights(self) -> int:
        return sum(s.word == "right" for s in self.sights)


class Weighing:
    """The pairs and outputs of one run, weighed."""

    def __init__(self, run: ScriptRun, told: Cues) -> None:
        self.run, self.told = run, told
        self.trails = Trails(run.trace)
        self.steps = self.trails.steps
        self.events = self.trails.events
        self.quotients = self.trails.quotients()
        self.numeric = self._after({q.step for q in self.quotients})
        self.moves = self._moves()
        self.pairs = self._pairs()

    # ------------------------------------------------------------------------------------ steps
    def _after(self, start: set[int]) -> set[int]:
        """The steps that depend on any of these, themselves included."""
        found = set(start)
        for i, s in enumerate(self.steps):
            if any(a in found for a in s.args):
                found.add(i)
        return found

    def _before(self, i: int, steps: Sequence[Step] | None = None) -> set[int]:
        """The steps that a step depends on, itself included."""
        found, waiting = set(), [i]
        while waiting:
            k = waiting.pop()
            if k not in found:
                found.add(k)
                waiting += (steps or self.steps)[k].args
        return found

    # ------------------------------------------------------------------------------------ what may be a pair
    def _moves(self) -> list[Move]:
        """The first updates of each variable, or of each of its entries, in each line."""
        found: list[Move] = []
        count: Counter[tuple[int | None, str, tuple[int, ...] | None]] = Counter()
        for event in self.events:
            if event.line not in self.told.updates:
                continue
            move = self.trails.move(event)
            if move is None or move.event.step in self.numeric:
                continue
            key = event.line, self.trails.event_of[move.bases[-1]].path, move.entries
            count[key] += 1
            if count[key] <= _TURNS:
                found.append(move)
        return found

    def _pairs(self) -> list[Pair]:
        found = [*self._updated(), *self._compared(), *self._checked(), *self._of_engine(), *self._named()]
        best: dict[tuple[int, tuple[tuple[int, int], ...]], Pair] = {}
        for p in found:
            key = p.input.step, p.steps
            if key not in best or best[key].weight < p.weight:
                best[key] = p
        return list(best.values())

    def _updated(self) -> Iterator[Pair]:
        groups: list[dict[int, tuple[Move, int, Term]]] = []
        common: list[set[int]] = []
        for move in self.moves:
            base = self.trails.event_of[move.bases[-1]]
            shape = self.steps[base.step].shape
            if cues.is_loss(base.path) and size(shape) == 1:
                continue
            if move.entries is None:
                for k, term in enumerate(move.terms):
                    if size(self.steps[term.step].shape) == size(shape):
                        label, weight = self._described(term, base)
                        place = Place(move.event.key, k, -term.sign)
                        steps = ((-1, term.step),)
                        yield Pair(
                            base,
                            place,
                            steps,
                            (-term.sign,),
                            label,
                            UPDATED,
                            weight,
                            move.event.step,
                            (move.event.step,),
                        )
            elif len(move.entries) == 1:  # of one pass over the entries of an array
                (entry,) = move.entries
                named = [(k, t) for k, t in enumerate(move.terms) if t.named and size(self.steps[t.step].shape) == 1]
                k, term = (named or list(enumerate(move.terms)))[0]
                mine = next(
                    (g for g, c in zip(groups, common, strict=True) if entry not in g and c & {*move.bases}), None
                )
                if mine is None:
                    mine = {}
                    groups.append(mine)
                    common.append(set(move.bases))
                mine[entry] = move, k, term
                common[groups.index(mine)] &= set(move.bases)
        for group, bases in zip(groups, common, strict=True):
            base = self.trails.event_of[min(bases)]
            found = sorted(group.items())
            parts = tuple((entry, Place(m.event.key, k, -t.sign)) for entry, (m, k, t) in found)
            labels = dict.fromkeys(self._described(t, base)[0] for _, (_, _, t) in found)
            steps = tuple((entry, t.step) for entry, (_, _, t) in found)
            signs = tuple(-t.sign for _, (_, _, t) in found)
            changed = tuple(m.event.step for m, _, _ in group.values())
            yield Pair(base, Entries(parts), steps, signs, ", ".join(labels), UPDATED, 7.0, max(changed), changed)

    def _described(self, term: Term, base: Event) -> tuple[str, float]:
        """What a term of an update is called, and how much speaks for its being the gradient."""
        if not term.named:
            source = self.steps[term.step].source
            return f"the step of line {source.line if source else '?'}", 4.0
        path = self.trails.event_of[term.step].path
        if cues.names_gradient(path, base.path):
            return path, 9.0
        return path, 7.0 if cues.is_gradient(path) else 5.0

    def _compared(self) -> Iterator[Pair]:
        """What stands beside a difference quotient: printed with it, subtracted from it, compared."""
        trace = self.run.trace
        beside: set[int] = set()
        lines: dict[int | None, list[int]] = {}
        for line, step in trace.shows:
            lines.setdefault(line, []).append(step)
        groups = [*lines.values(), *([*s.args] for s in self.steps if s.op == "sub")]
        groups += [list(g.args) for g in trace.builder.guards if len(g.args) == 2]
        groups += [list(p) for p in trace.compared]
        for group in groups:
            if any(i in self.numeric for i in group):
                beside |= {i for i in group if i not in self.numeric}
        claims: dict[int, Event] = {}
        for i in sorted(beside):
            event = self.trails.variable(i)
            if event is not None:
                claims.setdefault(event.step, event)
        for q in self.quotients:
            claims = {s: e for s, e in claims.items() if s not in (q.high, q.low)}
        for event in claims.values():
            for other in self._inputs(event):
                named = cues.names_gradient(event.path, other.path)
                weight = 6.0 + 3.0 * named + 1.0 * (self.steps[other.step].shape == self.steps[event.step].shape)
                yield self._pair(other, event, COMPARED, weight)

    def _checked(self) -> Iterator[Pair]:
        """Functions that scipy's check_grad is given."""
        for k, (x, _, _) in enumerate(self.run.trace.checked):
            base, event = self.trails.variable(x), self.run.trace.event_at["check_grad's gradient", k]
            if base is not None:
                yield replace(self._pair(base, event, CHECKED, 9.0), label="the second function")

    def _of_engine(self) -> Iterator[Pair]:
        """Numbers that know their gradient: those that have a name, and the gradient that each has in the end."""
        if self.told.engine is None:
            return
        grad, value = (cues.tail(path) for path in self.told.engine)
        own: dict[int, dict[str, list[Event]]] = {}
        for event in self.events:
            if event.owner in self.run.trace.objects and cues.tail(event.path) in (grad, value):
                own.setdefault(event.owner, {}).setdefault(cues.tail(event.path), []).append(event)
        for owner, found in own.items():
            if grad in found and value in found and len(found[grad]) > 1:
                name = self.run.trace.objects[owner]
                pair = self._pair(found[value][0], found[grad][-1], OF_ENGINE, 9.0)
                yield replace(pair, label=f"{name}.{grad}", name=name)

    def _named(self) -> Iterator[Pair]:
        """Variables that are called as the gradient for another one is."""
        seen: set[tuple[str, int | None]] = set()
        for event in self.events:
            if (event.path, event.line) in seen or event.step in self.numeric or not cues.is_gradient(event.path):
                continue
            seen.add((event.path, event.line))
            for other in self._inputs(event):
                if cues.names_gradient(event.path, other.path):
                    yield self._pair(other, event, NAMED, 4.0)

    def _pair(self, base: Event, event: Event, why: str, weight: float) -> Pair:
        return Pair(base, Place(event.key), ((-1, event.step),), (1,), event.path, why, weight, event.step)

    def _inputs(self, claim: Event) -> list[Event]:
        """The variables that a claim may be the gradient for: of its size, and computed before it."""
        found: dict[int, Event] = {}
        n = size(self.steps[claim.step].shape)
        for event in self.events:
            if event.step >= claim.step:
                break
            if size(self.steps[event.step].shape) == n and event.step not in self.numeric:
                base = self.trails.origin(event.step)
                if base is None or base == self.trails.origin(claim.step):
                    continue
                first = self.trails.event_of[base]
                is_other = cues.is_gradient(first.path) or (n == 1 and cues.is_loss(first.path))
                if not is_other and self.steps[base].shape == self.steps[event.step].shape:
                    found[base] = first
        return list(found.values())

    # ------------------------------------------------------------------------------------ outputs
    def outputs(self) -> list[tuple[Place | Paired, str, int, float]]:
        """What may be the output: (where, its name, its step, what speaks for it)."""
        starts = {p.input.step for p in self.pairs}
        after = self._after(starts)
        claims = {self.trails.event_of[s].path for p in self.pairs for _, s in p.steps if s in self.trails.event_of}
        shown = {self.trails.stripped(i) for _, i in self.run.trace.shows}
        quoted = {self.steps[k].source.line for q in self.quotients for k in (q.high, q.low) if self.steps[k].source}
        roots = self._roots()
        found: dict[tuple[str, int], tuple[Place | Paired, str, int, float]] = {}
        count: dict[tuple[str, int | None], int] = {}
        for event in self.events:
            s = self.steps[event.step]
            if size(s.shape) != 1 or event.step not in after or event.step in self.numeric or event.path in claims:
                continue
            core = self.trails.stripped(event.step)
            is_entry = self.steps[core].op == "pick" and self.trails.origin(core) is not None
            if (
                core in starts
                or is_entry
                or self.steps[core].op in ("constant", "input")
                or self._is_running_sum(event)
            ):
                continue
            if self.told.engine is not None and event.owner not in roots:
                continue
            n = count[event.path, event.line] = count.get((event.path, event.line), -1) + 1
            if n > 3:
                continue
            weight = 4.0 * cues.is_loss(event.path) + 1.0 * (core in shown) + 6.0 * (event.owner in roots)
            weight += 0.5 * (cues.tail(event.path).lower() in ("loss", "cost", "j"))
            weight += 3.0 * (self.steps[core].source is not None and self.steps[core].source.line in quoted)
            weight += 1.0 * (event.path.endswith(("()", "[0]")) and "(" in event.path) - 3.0 * cues.is_gradient(
                event.path
            )
            old = found.get(("", core))
            if old is None or old[3] < weight:
                name = self.run.trace.objects.get(event.owner, cues.tail(event.path))
                found["", core] = Place(event.key), name, event.step, weight - 0.01 * n
        return sorted(found.values(), key=lambda o: -o[3])[:_OUTPUTS]

    def _roots(self) -> set[int]:
        """The objects whose gradient a script's own backward pass begins with: it is set to one."""
        if self.told.engine is None:
            return set()
        grad = cues.tail(self.told.engine[0])
        return {
            e.owner
            for e in self.events
            if e.owner and cues.tail(e.path) == grad and self.trails.number(self.trails.stripped(e.step)) == 1.0
        }

    def _is_running_sum(self, event: Event) -> bool:
        """Whether a value is the same variable's of before, with something added."""
        if event.line not in self.told.updates:
            return False
        move = self.trails.move(event)
        return move is not None and any(self.trails.event_of[k].path == event.path for k in move.bases)

    # ------------------------------------------------------------------------------------ by value
    def row(
        self,
        output: Place | Assumed | Paired,
        name: str,
        step: int,
        cue: float,
        program: Builder,
        pairs: Sequence[Pair],
    ) -> Row:
        """How the pairs stand under an output, whose step is on a builder."""
        b = Builder(list(program.steps), dict(program.inputs))
        inputs = sorted({p.input.step for p in pairs})
        of, _ = reverse(b, {step: b.ones(b.shape(step), b.dtype(step))}, set(inputs))
        built = b.build({})
        leaves = self._leaves(inputs)
        before = self._before(step, b.steps)
        pairs = [p for p in pairs if p.why != UPDATED or not before & set(p.changed)]
        wanted = sorted({s for p in pairs for _, s in p.steps} | {of[i] for i in inputs if i in of})
        values = [interpret(built, Floats(), {}, wanted, replaced=self._moved(leaves, k)) for k in range(_POINTS)]
        sights = [self._sight(p, of[p.input.step], values) for p in pairs if p.input.step in of]
        chosen: list[Sight] = []
        taken: set[object] = set()
        for s in sorted(sights, key=lambda s: -(s.score + s.pair.weight)):
            keys = {self._variable_of(s.pair.input), *(step for _, step in s.pair.steps)}
            if not keys & taken:
                taken |= keys
                chosen.append(s)
        return Row(output, name, tuple(chosen), cue, cue + sum(s.score + s.pair.weight for s in chosen))

    def _variable_of(self, event: Event) -> tuple[str, int]:
        return event.path, event.owner if self.told.engine is not None else 0

    def _leaves(self, inputs: Sequence[int]) -> list[int]:
        """The inputs that depend on no other."""
        return [i for i in inputs if not any(k != i and k in self._before(i) for k in inputs)]

    def _moved(self, inputs: Sequence[int], k: int) -> Mapping[int, torch.Tensor]:
        """Values of the inputs at the ``k``-th point; the first is the script's own."""
        out = {}
        own = interpret(Program({}, tuple(self.steps), {}), Floats(), {}, inputs)
        for i in inputs:
            random = np.random.default_rng([k, i])
            value = own[i].detach().clone()
            if k:
                moves = torch.as_tensor(random.uniform(-1, 1, tuple(value.shape)))
                value = value * (1 + 0.3 * moves) + 0.2 * torch.as_tensor(random.uniform(-1, 1, tuple(value.shape)))
            out[i] = value.to(own[i].dtype)
        return out

    def _sight(self, p: Pair, adjoint: int, values: Sequence[Mapping[int, torch.Tensor]]) -> Sight:
        mine, truth = [], []
        for at in values:
            d = at[adjoint].detach().numpy().reshape(-1)
            if p.steps[0][0] >= 0:
                g = np.array([sign * float(at[s]) for (_, s), sign in zip(p.steps, p.signs, strict=True)])
                d = d[[entry for entry, _ in p.steps]]
            else:
                g = p.signs[0] * at[p.steps[0][1]].detach().numpy().reshape(-1)
            if np.isfinite(d).all() and np.isfinite(g).all() and d.size == g.size:
                mine.append(g)
                truth.append(d)
        word, factor, near = compared(mine, truth)
        seen = np.count_nonzero(truth[0]) / truth[0].size if truth else 0.0  # a derivative of zero tells little
        return Sight(p, word, factor, _WORTH[word] + near + seen)


def compared(mine: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> tuple[str, float | None, float]:
    """How values at several points stand to the true ones: a word, the factor between them, and how near they are.

    >>> compared([np.array([2.0, 4.0]), np.array([6.0, 2.0])], [np.array([1.0, 2.0]), np.array([3.0, 1.0])])[:2]
    ('factor', 2.0)
    """
    if not truth or not any(np.any(d) for d in truth):
        return "unknown", None, 0.0
    g, d = np.concatenate(mine), np.concatenate(truth)
    scale = max(np.abs(d).max(), 1e-300)
    off = np.abs(g - d) > _CLOSE * scale
    if not off.any():
        return "right", 1.0, 0.0
    ratio = float(g @ d / (d @ d))
    if ratio and np.all(np.abs(g - ratio * d) <= _CLOSE * scale * abs(ratio)) and d.size > 1:
        return "factor", ratio, 0.0
    k = len(mine)
    if d.size > k and not off.reshape(k, -1).any(0).all():
        return "partly", None, 0.0
    length = float(np.linalg.norm(g) * np.linalg.norm(d))
    return "wrong", None, 3 * max(0.0, float(g @ d) / length) if length else 0.0


# ------------------------------------------------------------------------------------------------ the hypothesis


def weigh(run: ScriptRun, cues_of_text: Cues, told: Told = _NOTHING) -> Hypothesis:
    """The hypothesis that the evidence of a run supports best.

    Raises `BadInput` where nothing does, or where two outputs fit alike, with what was found and what to say.
    """
    w = Weighing(run, cues_of_text)
    if not w.pairs:
        raise BadInput("NO PAIRS")
    b = run.trace.builder
    rows = [w.row(output, name, step, cue, b, w.pairs) for output, name, step, cue in w.outputs()]
    rows.sort(key=lambda r: -r.score)
    top = rows[0] if rows else None
    stated = top is not None and top.cue >= 3 and any(s.word in ("right", "factor", "partly") for s in top.sights)
    if top is None or not (top.rights or stated):
        assumed = _assumed(w, b)
        if assumed is not None and (top is None or assumed.rights > top.rights):
            top = assumed
    if top is None:
        raise BadInput("NO OUTPUT")
    return _hypothesis(w, top)


def _assumed(w: Weighing, b: Builder) -> Row | None:
    """The loss of the catalogue under which most updates are right."""
    pairs = [p for p in w.pairs if p.why == UPDATED]
    if not pairs:
        return None
    last = max(p.at for p in pairs)
    moved = w._after({p.input.step for p in pairs})
    best: Row | None = None
    for error, step in list(errors(w.trails, moved, last))[:_ERRORS]:
        for name, loss in LOSSES.items():
            trial = Builder(list(b.steps), dict(b.inputs))
            a, t = parts(trial, step, moved)
            row = w.row(Assumed(name, error, Fraction(1)), "the loss", loss.write(trial, a, t), 0.0, trial, pairs)
            factors = [s.factor for s in row.sights if s.word in ("right", "factor") and s.factor]
            if not factors:
                continue
            ratio = max(factors, key=lambda f: sum(abs(f / g - 1) < 1e-6 for g in factors))
            factor = Fraction(ratio).limit_denominator(_NICE)
            if factor <= 0 or abs(float(factor) / ratio - 1) > 1e-9:
                continue
            if factor != 1:
                made = trial.mul(trial.number(factor), loss.write(trial, a, t))
                row = w.row(Assumed(name, error, factor), "the loss", made, 0.0, trial, pairs)
            text = loss.text.format(a=_called(w, a), t=_called(w, t))
            if best is None or row.score > best.score:
                best = replace(row, assumed=text if factor == 1 else f"{factor} times {text}")
    return best


def _called(w: Weighing, i: int) -> str:
    event = w.trails.variable(i) if i < len(w.steps) else None
    return event.path if event is not None else "the targets"


def _hypothesis(w: Weighing, row: Row) -> Hypothesis:
    sights = [s for s in row.sights if s.pair.why in PRIMARY or s.word == "right" or s.pair.weight >= 4]
    before = {s.pair.input.step: w._before(s.pair.input.step) for s in sights}
    steps = list(before)
    sights = [s for s in sights if not any(k != s.pair.input.step and k in before[s.pair.input.step] for k in steps)]
    tails = [s.pair.name or cues.tail(s.pair.input.path) for s in sights]
    names = {}
    for s, tail in zip(sights, tails, strict=True):
        names[s.pair.input.key] = tail if tails.count(tail) == 1 else s.pair.input.path
    claims = tuple(Claim(s.pair.input.key, s.pair.value, s.pair.label, s.pair.why) for s in sights)
    return Hypothesis(row.output, row.name, claims, names, dict(names), row.assumed)
