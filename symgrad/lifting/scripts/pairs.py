"""What may be an input and its gradient in a script without a call of autograd: pairs, by events and weak cues.

An update, a difference quotient beside it, check_grad, a class of numbers that know their gradient, a name: each
proposes, with a weight, and none decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from symgrad.errors import BadInput, UnknownName, close_names
from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.centres import between
from symgrad.lifting.scripts.cues import Cues
from symgrad.lifting.scripts.execution import ScriptRun
from symgrad.lifting.scripts.hypotheses import Place
from symgrad.lifting.scripts.roles import AS_TOLD, NAMED
from symgrad.lifting.scripts.script_record import Event, Key
from symgrad.lifting.scripts.solvers import NAMES
from symgrad.lifting.scripts.trails import SMALL, Move, Term, Trails
from symgrad.program.builder import Builder
from symgrad.program.program import size

UPDATED, COMPARED = "with which the script updates it", "which the script compares with a difference quotient"
CHECKED, OF_ENGINE = "which {} is given as the derivative", "which the script's own backward pass gives"
MOVING = "by which the script moves what changes it"
PRIMARY = (UPDATED, COMPARED, MOVING, *(CHECKED.format(n) for n in NAMES), OF_ENGINE, AS_TOLD)
UNNAMED = "the step"
_FORCES = frozenset("force forces f fx fy fnet torque torques".split())  # minus the slope of an energy
_NAMESAKES = 8  # values of a claim's name that are looked at
_TURNS = 4  # updates of one variable that are looked at
_PARTS = 4  # parts of one variable that are
_QUOTIENTS = 16  # difference quotients that are looked at for what they move


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


NOTHING = Told()
Update = tuple[str, int, tuple[int, ...]]  # see `Pairs.update_of`

# ------------------------------------------------------------------------------------------------ pairs


@dataclass(frozen=True)
class Pair:
    """A value that may be meant as the gradient for an input: both as events and steps, and what speaks for it."""

    input: Event
    values: tuple[Place, ...]  # one, or one for each entry
    steps: tuple[tuple[int, int], ...]  # (entry of the input, step of its claim), or one (-1, step)
    signs: tuple[int, ...]
    label: str
    why: str
    weight: float
    at: int  # the step after which it is known
    changed: tuple[int, ...] = ()  # the values that the input has after an update
    name: str | None = None  # of the input, where it is not that of its event
    weights: Key | None = None  # the variable that combines the values of a function with several
    entries: tuple[int, ...] = ()  # those of the input that its one step is for; none where it is for all
    others: tuple[
        int, ...
    ] = ()  # entries that are changed too, each by a step of its own where the output has not both
    scale: float = 1.0  # the constant factors that an update has beside its step

    @property
    def part(self) -> tuple[int, ...]:
        """The entries of the input that it is about; none where that is all of it."""
        return self.entries or tuple(e for e, _ in self.steps if e >= 0)


class Pairs:
    """The pairs of one run; ``numeric`` are the steps that depend on a difference quotient."""

    def __init__(self, run: ScriptRun, text: Cues, told: Told = NOTHING) -> None:
        self.run, self.text, self.told = run, text, told
        self.trails = Trails(run.trace)
        self.steps = self.trails.steps
        self.events = self.trails.events
        self.quotients = self.trails.quotients()
        self.moved: set[int] = set()  # the values of what moves, after a step in time
        self.beside: dict[int, int] = {}  # what the script compares with difference quotients, each with one
        self._falls: list[bool] = []  # whether each is minus the slope
        differences = [*self.quotients, *self.trails.second_quotients()]
        self.numeric = self.trails.after({*(q.step for q in differences), *run.trace.opaque})
        self.found = self._asked(self._best())

    def variable_of(self, event: Event) -> tuple[str, int]:
        """What is one variable, whatever values it has: its path, and the object that it belongs to."""
        return event.path, event.owner

    def update_of(self, pair: Pair) -> Update:
        """What is one update in all turns of a loop: its variable, and the calls that lead to it, which may be those of
        several objectives, one after the other; of some entries of a variable the line too."""
        event = self.run.trace.event_at[pair.values[0].key] if pair.why == UPDATED else None
        site = () if event is None else event.site
        return *self.variable_of(pair.input), (pair.values[0].key[1], *site) if pair.entries else site

    # ------------------------------------------------------------------------------------ what may be a pair
    def _moves(self) -> list[Move]:
        """The first updates of each variable, or of each of its entries, in each line."""
        found: list[Move] = []
        count: Counter[tuple[int | None, tuple[str, int], tuple[int, ...] | None]] = Counter()
        parts: defaultdict[tuple[int | None, tuple[str, int]], set[tuple[int, ...]]] = defaultdict(set)
        for event in self.events:
            if event.line not in self.text.updates:
                continue
            move = self.trails.move(event)
            if move is None or move.event.step in self.numeric:
                continue
            variable = event.line, self.variable_of(self.trails.event_of[move.bases[-1]])
            if move.entries is not None and len(move.entries) > 1:
                parts[variable].add(move.entries)
                if len(parts[variable]) > _PARTS:
                    continue
            key = *variable, move.entries
            count[key] += 1
            if count[key] <= _TURNS:
                found.append(move)
        return found

    def _best(self) -> list[Pair]:
        found = [*self._updated(), *self._compared(), *self._checked()]
        value = cues.tail(self.text.engine[1]) if self.text.engine is not None else None
        is_trained = any(p.why == UPDATED and cues.tail(p.input.path) == value for p in found)
        found += self._of_engine() if not is_trained else []  # else it is asked of what is trained
        evident: defaultdict[int, set[tuple[str, int]]] = defaultdict(set)
        for p in found:
            for _, step in p.steps:
                evident[step].add(self.variable_of(p.input))
        named = [(p, evident.get(p.steps[0][1])) for p in self._named()]
        found += [
            p for p, of in named if of is None or self.variable_of(p.input) in of
        ]  # no claim for another variable
        best: dict[tuple[object, ...], Pair] = {}
        for p in found:
            key = p.input.step, p.steps, p.signs, p.entries
            if key not in best or best[key].weight < p.weight:
                best[key] = p
        return list(best.values())

    def _updated(self) -> Iterator[Pair]:
        groups: list[dict[int, tuple[Move, tuple[tuple[int, Term], ...]]]] = []
        common: list[set[int]] = []
        moves = [(move, self.trails.event_of[move.bases[-1]]) for move in self._moves()]
        paths = {base.path for _, base in moves}
        first: dict[tuple[str, int], bool] = {}  # whether what is first added to a variable is computed from it
        for move, base in moves:
            first.setdefault(self.variable_of(base), any(base.step in self.trails.before(t.step) for t in move.terms))
        summed = {
            self.variable_of(self.trails.event_of[v])
            for move, base in moves
            for t in move.terms
            if t.named
            for v, _ in self.trails.origins(t.step, 0)
            if self.variable_of(self.trails.event_of[v]) != self.variable_of(base)
        }  # what another variable is updated with: a sum of parts of a gradient, perhaps
        motions = self._motions(moves)
        for move, base in moves:
            shape = self.steps[base.step].shape
            if self.variable_of(base) in (*motions, *motions.values()):
                self.moved.add(move.event.step)
                yield from self._forces(move, motions.get(self.variable_of(base)))
                continue
            is_one = cues.is_gradient(base.path) or any(cues.names_gradient(base.path, p) for p in paths)
            is_one &= not first[self.variable_of(base)]  # as that is to no gradient: d may be for discriminator
            is_one |= self.variable_of(base) in summed and not self.text.has_rate(move.event.line or 0)
            if (cues.is_loss(base.path) and size(shape) == 1) or is_one:
                continue
            if move.entries is None or len(move.entries) > 1:
                yield from self._of_move(move, base)
            else:  # of one pass over the entries of an array
                entry = next(iter(move.entries))
                terms = [(k, t) for k, t in enumerate(move.terms) if not self._is_a_part(t, base)]
                named = [(k, t) for k, t in terms if t.named and size(self.steps[t.step].shape) == 1]
                called = [(k, t) for k, t in named if cues.is_gradient(self._path(t))]
                mine = next(
                    (g for g, c in zip(groups, common, strict=True) if entry not in g and c & {*move.bases}), None
                )
                if mine is None:
                    mine = {}
                    groups.append(mine)
                    common.append(set(move.bases))
                mine[entry] = move, (*called, *named, *terms, *enumerate(move.terms))
                common[groups.index(mine)] &= set(move.bases)
        for group, bases in zip(groups, common, strict=True):
            base = self.trails.event_of[min(bases)]
            every = all(terms[0][1].named for _, terms in group.values())  # else what is added, with its factors
            of = {e: (m, *next((x for x in ts if every or not x[1].named), ts[0])) for e, (m, ts) in group.items()}
            found = sorted(of.items())
            places = tuple(Place(m.event.key, k, Fraction(-t.sign), entries=m.entries) for _, (m, k, t) in found)
            labels = [self._described(t, base)[0] for _, (_, _, t) in found]
            steps = tuple((entry, t.step) for entry, (_, _, t) in found)
            signs = tuple(-t.sign for _, (_, _, t) in found)
            changed = tuple(m.event.step for m, _ in group.values())
            yield Pair(base, places, steps, signs, ", ".join(labels), UPDATED, 7.0, max(changed), changed)
            for k, after in enumerate(changed[:_PARTS] if len(changed) > 1 else ()):  # each may be a step of its own
                part = (places[k],), (steps[k],), (signs[k],), labels[k]
                others = tuple(e for e, _ in steps if e != steps[k][0])
                yield Pair(base, *part, UPDATED, 6.9, after, (after,), others=others)

    def _motions(self, moves: Sequence[tuple[Move, Event]]) -> dict[tuple[str, int], tuple[str, int]]:
        """The variables that others are moved by, each with that: ``v += dt*F; x += dt*v`` is no descent.  A number of
        the script's is in both, as the step in time; a gradient that is summed up has its rate alone."""
        lines: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        for move, base in moves:
            lines[self.variable_of(base)].add(move.event.line or 0)
        numbers = {path for (path, *_), x in self.run.trace.bound_values.items() if np.size(x) == 1}

        def said(at: set[int]) -> set[object]:
            return {c for line in at for c in self.text.constants.get(line, ()) if c in numbers}

        found: dict[tuple[str, int], tuple[str, int]] = {}
        for move, base in moves:
            own = self.variable_of(base)
            for t in [t for t in move.terms if t.named][:1]:
                by = [self.trails.event_of[i] for i, _ in self.trails.origins(t.step, 0)]
                for other in {
                    self.variable_of(e) for e in by if self.steps[e.step].shape == self.steps[base.step].shape
                }:
                    if other != own and other in lines and said({move.event.line or 0}) & said(lines[other]):
                        found[other] = own
        return found

    def _forces(self, move: Move, moved: tuple[str, int] | None) -> Iterator[Pair]:
        """What changes a velocity, where it is called a force, or a slope: for what moves at that velocity."""
        for k, t in enumerate(move.terms):
            path = self._path(t)
            if not t.named or not (_FORCES & {*cues.words(cues.tail(path))} or cues.is_gradient(path)):
                continue
            before = self.trails.before(t.step)
            own = [e for e in self.events if self.variable_of(e) == moved and e.step in before]
            if own and size(self.steps[own[-1].step].shape) == size(self.steps[t.step].shape):
                whole, held = self.trails.unclamped(t.step)
                place = Place(move.event.key, k, Fraction(-t.sign), entries=move.entries, freed=bool(held))
                label, steps, after = path if t.sign < 0 else f"-{path}", ((-1, whole),), move.event.step
                yield Pair(own[-1], (place,), steps, (-t.sign,), label, MOVING, 7.0, after, entries=move.entries or ())

    def _of_move(self, move: Move, base: Event) -> Iterator[Pair]:
        """What an update adds to its variable, or to some entries of it."""
        n = size(self.steps[base.step].shape) if move.entries is None else len(move.entries)
        named = {t.step: self._path(t) for t in move.terms if t.named}
        called = any(t.named and not t.is_part and cues.is_gradient(named[t.step]) for t in move.terms)
        after, entries = move.event.step, move.entries or ()
        for k, term in enumerate(move.terms):
            if self._is_a_part(term, base):
                continue
            if called and not term.named:  # what is called a gradient is meant, and no multiple of it
                continue
            if size(self.steps[term.step].shape) != n:
                continue
            label, weight = self._described(term, base)
            weight += 0.1 * k * (not term.named)  # rather without the rate than with it
            whole, held = self.trails.unclamped(term.step)
            steps = ((-1, whole),)
            if term.sign > 0 and term.named:  # it may go uphill, or be called a gradient and be none
                place = Place(move.event.key, k, entries=move.entries, freed=bool(held))
                yield Pair(
                    base,
                    (place,),
                    steps,
                    (1,),
                    label,
                    UPDATED,
                    weight - 0.2,
                    after,
                    (after,),
                    entries=entries,
                    scale=term.scale,
                )
            place = Place(move.event.key, k, Fraction(-term.sign), entries=move.entries, freed=bool(held))
            label = label if term.sign < 0 or not term.named else f"-{label}"
            signs = (-term.sign,)
            yield Pair(
                base, (place,), steps, signs, label, UPDATED, weight, after, (after,), entries=entries, scale=term.scale
            )

    def _is_a_part(self, term: Term, base: Event) -> bool:
        """Whether a term is one of a sum, and no gradient for the variable by its name."""
        return term.is_part and not (term.named and cues.names_gradient(self._path(term), base.path))

    def _described(self, term: Term, base: Event) -> tuple[str, float]:
        """What a term of an update is called, and how much speaks for its being the gradient."""
        if not term.named:
            source = self.steps[term.step].source
            return f"{UNNAMED} of line {source.line if source else '?'}", 4.0
        path = self._path(term)
        if cues.names_gradient(path, base.path):
            return path, 9.0
        return path, 7.0 if cues.is_gradient(path) else 5.0

    def _path(self, term: Term) -> str:
        return self.trails.name_of(term.step) or UNNAMED

    def _compared(self) -> Iterator[Pair]:
        """What stands beside a difference quotient: printed with it, subtracted from it, compared."""
        trace = self.run.trace
        beside: set[int] = set()
        lines: dict[int | None, list[int]] = {}
        for line, step in trace.shows:
            lines.setdefault(line, []).append(step)
        near = [lines[n] + lines[n + 1] for n in lines if n is not None and n + 1 in lines]  # one line below the other
        groups = [*lines.values(), *near, *([*s.args] for s in self.steps if s.op == "sub")]
        groups += [list(g.args) for g in trace.builder.guards if len(g.args) == 2]
        groups += [list(p) for p in trace.compared]
        for group in groups:
            of = [i for i in group if i in self.numeric]
            beside |= {i for i in group if of and i not in self.numeric}
            self.beside |= {i: of[0] for i in group if of and i not in self.numeric}
        claims: dict[int, Event] = {}
        for i in sorted(beside):
            event = self.trails.variable(i) or self.trails.returned(i)
            if event is not None:
                claims.setdefault(event.step, event)
        moved = self._displaced()
        for q in self.quotients:
            claims = {s: e for s, e in claims.items() if s not in (q.high, q.low)}
        for event in claims.values():
            inputs = self._inputs(event)
            inputs = [e for e in inputs if self.trails.origin(e.step) in moved] or inputs
            for other in inputs:
                named = cues.names_gradient(event.path, other.path)
                weight = 6.0 + 3.0 * named + 1.0 * (self.steps[other.step].shape == self.steps[event.step].shape)
                pair = self._pair(other, event, COMPARED, weight)
                if self._falls and all(self._falls):  # a force is minus the derivative of the energy
                    less = tuple(replace(v, factor=-v.factor) for v in pair.values)
                    pair = replace(pair, values=less, signs=(-1,), label=f"-{pair.label}")
                yield pair

    def _displaced(self) -> set[int | None]:
        """The variables that difference quotients are taken for, by their origin: a small number is added to them."""
        behind = set().union(*(self.trails.before(q.high) for q in self.quotients[:_QUOTIENTS]))
        found = {self.trails.origin(i) for i in self.run.trace.displaced}
        b = Builder(list(self.steps), {})
        for q in self.quotients[:_QUOTIENTS]:
            moved: dict[int, float] = {}
            between(b, q.high, q.low, moved)
            self._falls.append(bool(moved) and all(q.sign * far < 0 for far in moved.values()))
            found |= {self.trails.origin(i) for i in moved if i < len(self.steps)}
        for i in behind:
            s = self.steps[i]
            if s.op in ("add", "sub") and size(s.shape) and (h := self.trails.constant(s.args[1])) is not None:
                found |= {self.trails.origin(s.args[0])} if 0 < abs(h) <= SMALL else set()
        return found - {None}

    def _checked(self) -> Iterator[Pair]:
        """Derivatives that scipy's checks and solvers are given."""
        for told in self.run.trace.checked:
            base = self.trails.variable(told.point)
            if base is not None:
                pair = self._pair(base, told.gradient, CHECKED.format(told.solver), 9.0)
                yield replace(pair, label=told.label, weights=told.weights)

    def _of_engine(self) -> Iterator[Pair]:
        """Numbers that know their gradient: those that have a name, and the gradient that each has in the end."""
        if self.text.engine is None:
            return
        grad, value = (cues.tail(path) for path in self.text.engine)
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
        seen: set[tuple[tuple[str, int], int | None]] = set()
        paired: set[tuple[str, int | None, tuple[str, int]]] = set()  # in another turn the claim may be a new object's
        for event in self.events:
            key = self.variable_of(event), event.line
            if key in seen or event.step in self.numeric or not cues.is_gradient(event.path):
                continue
            seen.add(key)
            named = [other for other in self._inputs(event) if cues.names_gradient(event.path, other.path)]
            named = [other for other in named if not self._is_for_namesake(event, other)]
            own = [other for other in named if other.owner == event.owner]
            last = self.trails.last_sum(event)
            for other in own or named:
                pair = event.path, event.line, self.variable_of(other)
                if pair not in paired:
                    paired.add(pair)
                    yield self._pair(other, event, NAMED, 4.0)
                    if last is not event:  # what a loop adds up is the gradient at its end
                        yield self._pair(other, last, NAMED, 4.2)

    def _is_for_namesake(self, claim: Event, other: Event) -> bool:
        """Whether a claim is spelled as that of another variable, of the same letters: dX is for X, and not for x."""
        said, mine = cues.tail(claim.path), cues.tail(other.path)
        names = {cues.tail(e.path) for e in self.events if e.path != claim.path}
        return mine not in said and any(n in said and cues.core(n) == cues.core(mine) for n in names)

    def _pair(self, base: Event, event: Event, why: str, weight: float) -> Pair:
        return Pair(base, (Place(event.key),), ((-1, event.step),), (1,), event.path, why, weight, event.step)

    def _inputs(self, claim: Event) -> list[Event]:
        """The variables that a claim may be the gradient for: of its size, and computed before it."""
        found: dict[tuple[str, int], Event] = {}  # the last value of each before the claim
        n = size(self.steps[claim.step].shape)
        for event in self.events:
            if event.step >= claim.step:
                break
            if size(self.steps[event.step].shape) == n and event.step not in self.numeric:
                base = self.trails.same_as(event.step)
                if base is None or base == self.trails.same_as(claim.step):
                    continue
                first = self.trails.event_of[base]
                is_other = cues.is_gradient(first.path) or (n == 1 and cues.is_loss(first.path))
                if not is_other and self.steps[base].shape == self.steps[event.step].shape:
                    found[self.variable_of(event)] = first
        return list({e.step: e for e in found.values()}.values())

    def refuse_namesakes(self, chosen: Sequence[Pair]) -> None:
        """Raise `BadInput` where a script that trains computes, beside a claim known by its name alone, another value
        of that name in that line, and neither has to do with the other: as closures of one function, each with a W.
        """
        by_name = bool(self.text.updates) and all(p.why == NAMED for p in chosen)
        for p in chosen if by_name else ():
            mine, here = p.steps[0][1], self.run.trace.event_at[p.values[0].key]
            if p.label != cues.tail(p.label) or self._is_constant(mine):
                continue  # what belongs to an object is told by it
            same = [e for e in self.events if e.path == p.label and e.line == here.line and e.step != mine]
            for e in same[:_NAMESAKES]:
                apart = mine not in self.trails.before(e.step) and e.step not in self.trails.before(mine)
                if apart and not self._is_constant(e.step):
                    name = cues.tail(p.input.path)
                    several = f"line {e.line} computes {p.label} for several variables that are all called {name}."
                    own = f"{name}[0] of a list or self.{name} of an object"
                    raise BadInput(several, instead=f"Keep each of them under a name of its own, as {own}.")

    def _is_constant(self, i: int) -> bool:
        """Whether nothing is computed for a value, as for the zeros that a sum begins with."""
        return all(not self.steps[k].args or self.trails.stripped(k) != k for k in self.trails.before(i))

    # ------------------------------------------------------------------------------------ what the user says
    def _asked(self, found: list[Pair]) -> list[Pair]:
        """The pairs that the user asks about; those that are named, whether anything else speaks for them or not."""
        if self.told.gradients is None:
            if self.told.wrt is None:
                return found
            for name in self.told.wrt:
                self._events_named(name, "wrt")
            return [p for p in found if any(is_called(p.input.path, n) or p.name == n for n in self.told.wrt)]
        out = []
        for name, told in self.told.gradients.items():
            variables = [told] if isinstance(told, str) else list(told)
            inputs = {e.step for e in self._events_named(name, "gradients")}
            claims = [self._finished(self._events_named(v, "gradients")) for v in variables]
            out += [
                replace(p, why=AS_TOLD, weight=12.0)
                for p in found
                if (is_called(p.input.path, name) or p.name == name)
                and (len(p.steps) > 1 or p.why != NAMED or p.values[0].key in {e.key for c in claims for e in c})
                and any(is_called(part, v) for part in p.label.lstrip("-").split(", ") for v in variables)
            ]
            for event in [e for events in claims for e in events]:
                bases = [b for b in self._inputs(event) if is_called(b.path, name) or b.step in inputs]
                out += [self._pair(b, event, AS_TOLD, 11.0) for b in bases]
        return out

    def _finished(self, events: Sequence[Event]) -> list[Event]:
        """The events without those whose value gets other entries afterwards, under the same name."""
        written = {(e.path, i) for e in events for i in self.trails.written_over(e.step)}
        return [e for e in events if (e.path, self.trails.stripped(e.step)) not in written]

    def _events_named(self, name: str, keyword: str) -> list[Event]:
        found = [e for e in self.events if is_called(e.path, name)]
        if not found and name not in self.run.trace.objects.values() and "." not in name:
            known = list(dict.fromkeys(e.path for e in self.events))
            near = close_names(name, known)
            raise UnknownName(f"{keyword} names {name!r}, but the script computes no {name!r}.", instead=near or None)
        return found


def is_called(path: str, name: str) -> bool:
    """Whether a user who says ``name`` may mean the value at ``path``: the whole path, or the name at its end.

    >>> is_called("self.W1", "W1"), is_called("grads['W1']", "grads['W1']"), is_called("dW1", "W1")
    (True, True, False)
    """
    return name in (path, path.removesuffix("()")) or cues.tail(path) == name or path.replace("self.", "") == name
