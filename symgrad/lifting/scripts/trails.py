"""Where a value in the record of a script comes from: which variable it is, what an update adds to it, and which values
are difference quotients.

Everything here reads steps, and nothing of the text; so it holds however the script spells it (`W -= lr * dW`,
``params[k] = params[k] - lr * grads[k]``, a loop over both, a class of optimizers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts.cues import is_derivative, is_gradient
from symgrad.lifting.scripts.script_record import Event
from symgrad.lifting.scripts.script_tracer import ScriptTracer
from symgrad.program.program import Program, Step, Strided, dense, dependencies, dependents, interpret, positions, size

SMALL = 2e-2  # what a difference is divided by, at most, where it is a quotient for a derivative
_FOLDED = 8  # steps of a constant's own arithmetic, such as 2 * h
_DEEP = 400
_PRODUCTS = 64  # of constant factors
_TERMS = 40  # steps that an update is looked into


@dataclass(frozen=True)
class Term:
    """A value that an update is made of: its step, the sign with which it is added; whether it is one of a sum; the
    size of the constant factors that it is multiplied with beside."""

    step: int
    sign: int
    named: bool
    is_part: bool = False
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class Move:
    """An update: the variables (steps) that may be what it changes, the first one last; the entries (from 0) of it
    that are changed, all where None; and what is added."""

    event: Event
    bases: tuple[int, ...]
    entries: tuple[int, ...] | None
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Quotient:
    """A difference of two values, divided ``by`` something small: the ``nth`` of its line; ``sign`` is -1 where a minus
    stands before it."""

    step: int
    high: int
    low: int
    line: int | None
    nth: int
    sign: int
    by: float


class Trails:
    """The record of one run, read backwards."""

    def __init__(self, trace: ScriptTracer) -> None:
        self.steps: Sequence[Step] = trace.builder.steps
        self.events = list(trace.events)
        self.event_of: dict[int, Event] = {}
        self._returned = trace.returns
        self._sources_of: dict[int, np.ndarray] = {}
        self.averages: dict[tuple[str, int], int] = {}  # by variable and line, what `move` found it to approach there
        for e in self.events:
            if self.steps[e.step].op == "name" and "()" not in e.path:
                self.event_of.setdefault(e.step, e)
        functions = {e.path for e in self.events if e.path.endswith("()")}
        self._values = {e.step for e in self.events}
        self._given: dict[int, Event] = {}  # what functions gave that are called as derivatives are
        for e in self.events:
            of = any(is_derivative(e.path.partition("(")[0], path) for path in functions)
            if "()" in e.path and (of or is_gradient(e.path)):
                self._given.setdefault(e.step, e)

    def name_of(self, i: int) -> str | None:
        """What a step's value is called: the variable that it is, or is an entry of; or the function that gave it, if
        it is called as a derivative is."""
        event = self.event_of.get(i) or self._given.get(i)
        if event is not None:
            return event.path
        s = self.steps[i]
        if s.op != "pick" or size(s.shape) != 1 or self._is_same(i):
            return None
        found = self.origins(i, 0)
        return f"{self.event_of[found[0][0]].path}[{found[0][1]}]" if found else None

    # ------------------------------------------------------------------------------------ before and after
    def after(self, start: set[int]) -> set[int]:
        """The steps that depend on any of these, themselves included."""
        return dependents(self.steps, start)

    def before(self, i: int, steps: Sequence[Step] | None = None) -> set[int]:
        """The steps that a step depends on, itself included; among other steps than the record's where given."""
        return dependencies(steps or self.steps, [i])

    # ------------------------------------------------------------------------------------ which variable
    def stripped(self, i: int) -> int:
        """The step that ``i`` only names, casts or lays out in another shape."""
        while self._is_same(i):
            i = self.steps[i].args[0]
        return i

    def _is_same(self, i: int) -> bool:
        return is_whole(self.steps, i)

    def origin(self, i: int) -> int | None:
        """The first variable of which ``i`` is another name, an entry or a part; None where it is computed.

        Entries are followed through writes into other entries of the same array.
        """
        found = self.origins(i, 0)
        return found[-1][0] if found else None

    def same_as(self, i: int) -> int | None:
        """The first variable of which ``i`` is another name, as a whole, or whose entries it has again."""
        found = None
        while True:
            found = i if i in self.event_of else found
            before = self.steps[i].args[0] if self._is_same(i) else self._restored(i)
            if before is None:
                return found
            i = before

    def _restored(self, i: int) -> int | None:
        """The first variable whose entries an array has again, after others were written into it and taken back."""
        if not self._is_write(i):
            return None
        mine, found = self._sources(i), None
        while self._is_write(i) or self._is_same(i):
            i = self.steps[i].args[0]
            found = i if i in self.event_of and np.array_equal(self._sources(i), mine) else found
        return found

    def _is_write(self, i: int) -> bool:
        s = self.steps[i]
        return s.op == "pick" and len(s.args) == 2 and size(self.steps[s.args[0]].shape) == size(s.shape)

    def _sources(self, i: int) -> np.ndarray:
        """The step that computed each entry, and its place there, with nothing but layouts and writes between."""
        waiting, behind = [i], set[int]()
        while waiting:
            k = waiting.pop()
            if k not in behind and k not in self._sources_of:
                behind.add(k)
                waiting += self.steps[k].args if self._is_same(k) or self.steps[k].op == "pick" else ()
        for k in sorted(behind):
            s = self.steps[k]
            if s.op == "pick":
                parts = np.concatenate([np.zeros((1, 2), int) - 1, *(self._sources_of[a] for a in s.args)])
                self._sources_of[k] = parts[positions(s.params, s.shape).reshape(-1)]
            elif self._is_same(k):
                self._sources_of[k] = self._sources_of[s.args[0]]
            else:
                self._sources_of[k] = np.stack([np.full(size(s.shape), k), np.arange(size(s.shape))], axis=1)
        return self._sources_of[i]

    def unclamped(self, i: int) -> tuple[int, tuple[int, ...]]:
        """What an array was before zeros were written over values that had been computed, as holds the ends of a chain
        in their places; and the lines that write them.  The array itself where there are none."""
        found, lines = i, set[int]()
        while True:
            i = self.stripped(i)
            s = self.steps[i]
            if s.op != "pick" or size(self.steps[s.args[0]].shape) != size(s.shape):
                return found, tuple(sorted(lines))
            before, after = self._sources(s.args[0]), self._sources(i)
            changed = np.flatnonzero((before != after).any(1))
            is_held = all(self._is_zero(*after[k]) for k in changed) and not all(
                self._is_zero(*before[k]) for k in changed
            )
            if not is_held or s.source is None or s.source.line is None:
                return found, tuple(sorted(lines))
            lines.add(s.source.line)
            found = i = s.args[0]

    def _is_zero(self, i: int, place: int) -> bool:
        """Whether an entry of a step is zero, and nothing is computed for it; -1 is what a pick has zeros from."""
        s = self.steps[i]
        return i < 0 or (s.op == "constant" and not np.broadcast_to(s.params.value, s.shape).reshape(-1)[place])

    def called(self, i: int, path: str) -> int:
        """The first step of the same value that has this name; ``i`` itself where none has."""
        found = i
        while True:
            found = i if i in self.event_of and self.event_of[i].path == path else found
            if not self._is_same(i):
                return found
            i = self.steps[i].args[0]

    def origins(self, i: int, flat: int) -> list[tuple[int, int]]:
        """The variables that an entry comes from unchanged, and the entry's place in each; the last ones first."""
        found: list[tuple[int, int]] = []
        for _ in range(_DEEP):
            s = self.steps[i]
            if i in self.event_of:
                found.append((i, flat))
            if s.op in ("name", "cast", "stop"):
                i = s.args[0]
            elif s.op == "pick":
                place = int(positions(s.params, s.shape)[flat]) - 1
                if place < 0:
                    return found
                for a in s.args:
                    if place < size(self.steps[a].shape):
                        break
                    place -= size(self.steps[a].shape)
                i, flat = a, place
            else:
                return found
        return found

    def variable(self, i: int) -> Event | None:
        """The variable that ``i`` is, or is an entry or a part of: the whole of it, of several names the first."""
        while self.steps[i].op in ("neg", "abs") or (self._is_same(i) and i not in self.event_of):
            i = self.steps[i].args[0]
        if size(self.steps[i].shape) == 0:
            return None
        found = self.origins(i, 0)
        most = max((size(self.steps[k].shape) for k, _ in found), default=0)
        whole = [k for k, _ in found if size(self.steps[k].shape) == most]
        if most == size(
            self.steps[i].shape
        ):  # not a part; the array before other entries were written is another value
            same = self.same_as(i)
            same = self.same_as(whole[0]) if same is None and whole else same
            return self.event_of[same] if same is not None else None
        return self.event_of[whole[0]] if whole else None

    def returned(self, i: int) -> Event | None:
        """What a function gave, where ``i`` is that and has no other name."""
        return next((e for e in self.events if "()" in e.path and self.stripped(e.step) == self.stripped(i)), None)

    def last_sum(self, event: Event) -> Event:
        """The last of the sums that a line makes of a variable's value, turn by turn; the event itself where it makes
        none."""
        for e in self.events:
            if (e.path, e.owner, e.line) == (event.path, event.owner, event.line) and e.step > event.step:
                s = self.steps[self._written(e.step)]
                mine = self.stripped(event.step)
                if s.op == "add" and any(self.stripped(a) == mine for a in s.args):
                    event = e
        return event

    # ------------------------------------------------------------------------------------ updates
    def move(self, event: Event) -> Move | None:
        """The update that gave ``event`` its value; None where it is none."""
        i, entries = self._written(event.step), None
        s = self.steps[i]
        if self._is_write(i):
            inside = positions(s.params, s.shape) - 1 - size(self.steps[s.args[0]].shape)
            entries = tuple(np.flatnonzero(inside >= 0).tolist())
            i = self.stripped(s.args[1])
            s = self.steps[i]
            if not entries or size(s.shape) != len(entries):
                return None
        if s.op == "pick" and len(s.args) == size(s.shape) > 1:
            stay = [
                k for k, a in enumerate(s.args) if any(p == k for b, p in self.origins(a, 0) if self._is_like(b, i))
            ]
            if len(stay) < len(s.args) - 1:
                return self._move_of_list(event, s)
            entries = tuple({*range(len(s.args))} - {*stay})
            if not entries:
                return None
            i = self.stripped(s.args[entries[0]])
            s = self.steps[i]
        if s.op not in ("add", "sub"):
            return None
        for own, other, sign in ((s.args[0], s.args[1], -1 if s.op == "sub" else 1), (s.args[1], s.args[0], 1)):
            if own == s.args[1] and s.op == "sub":
                continue
            bases = self._bases(own, entries, event.step)
            if bases:
                goal = self._goal(other, bases[-1])
                if goal is not None and (line := event.line) is not None:
                    self.averages.setdefault((event.path, line), goal)
                none = goal is not None or self._is_mean(other, own)
                terms = () if none else tuple(self._terms(other, sign, bases[-1]))
                return Move(event, bases, entries, terms) if terms else None
        return None

    def _written(self, i: int) -> int:
        """The step that gave an array its value, without those that write what is there already: ``W[i] += ...`` writes
        into a part of the array, and then that part into the array."""
        while True:
            i = self.stripped(i)
            s = self.steps[i]
            if s.op != "pick" or len(s.args) != 2 or size(self.steps[s.args[0]].shape) != size(s.shape):
                return i
            part = self.stripped(s.args[1])
            whole = size(s.shape)
            of = positions(s.params, s.shape).reshape(-1)
            inside = np.flatnonzero(of > whole)
            mine = self.steps[part]
            is_read = (
                mine.op == "pick"
                and mine.args == (s.args[0],)
                and size(mine.shape) == size(self.steps[s.args[1]].shape)
            )
            if not is_read or not np.array_equal(
                positions(mine.params, mine.shape).reshape(-1)[of[inside] - whole - 1], inside + 1
            ):
                return i
            i = s.args[0]

    def _is_like(self, a: int, b: int) -> bool:
        return self.steps[a].shape == self.steps[b].shape

    def _move_of_list(self, event: Event, s: Step) -> Move | None:
        """The update of a list, each of whose entries is one: by a multiple of a list's entries that has a name."""
        bases: list[set[int]] = []
        added: list[set[tuple[int, int]]] = []
        for k, i in enumerate(map(self.stripped, s.args)):
            here = self.steps[i]
            if here.op not in ("add", "sub"):
                return None
            bases.append({b for b, flat in self.origins(here.args[0], 0) if flat == k})
            terms = self._terms(here.args[1], -1 if here.op == "sub" else 1, -1)
            added.append({(v, t.sign) for t in terms for v, flat in self.origins(t.step, 0) if flat == k})
        shape = self.steps[event.step].shape
        mine = sorted((b for b in set.intersection(*bases) if self.steps[b].shape == shape), reverse=True)
        found = [Term(v, sign, True) for v, sign in set.intersection(*added) if self.steps[v].shape == shape]
        return Move(event, tuple(mine), None, tuple(found)) if mine and found else None

    def _bases(self, own: int, entries: tuple[int, ...] | None, whole: int) -> tuple[int, ...]:
        shape = self.steps[whole].shape
        if entries is None:
            return tuple(k for k, _ in self.origins(own, 0) if self.steps[k].shape == shape)
        places = list(range(len(entries)))
        found = [
            {k for k, flat in self.origins(own, p) if flat == entries[p] and self.steps[k].shape == shape}
            for p in places
        ]
        return tuple(sorted(set.intersection(*found), reverse=True))

    def _is_multiple(self, i: int, name: str) -> bool:
        """Whether a value is a multiple of one that a variable had before, other than that value itself."""
        if self.origin(i) is not None:
            return False
        while (s := self.steps[i]).op == "mul" and any(map(self._is_scalar, s.args)):
            i = s.args[self._is_scalar(s.args[0])]
        before = self.origin(i)
        return before is not None and self.event_of[before].path in (name, name.rpartition("[")[0])  # or its entry

    def _goal(self, i: int, base: int) -> int | None:
        """The other value, where what is added to a variable is some of the way from it to that, as for an average."""
        while True:
            s = self.steps[i]
            if s.op == "mul" and any(map(self._is_scalar, s.args)):
                i = s.args[self._is_scalar(s.args[0])]
            elif self._is_same(i) or (s.op == "div" and self._is_scalar(s.args[1])):
                i = s.args[0]
            else:
                return s.args[0] if s.op == "sub" and self.origin(s.args[1]) == base else None

    def _is_mean(self, i: int, of: int) -> bool:
        """Whether a value is the mean of another one, as where data are centred."""
        n = size(self.steps[of].shape)
        while self.steps[i].op in ("pick", "name", "cast") and len(self.steps[i].args) == 1:
            i = self.steps[i].args[0]
        s = self.steps[i]
        own, count = (s.args[0], self.constant(s.args[1])) if s.op in ("div", "mul") else (i, None)
        total = self.stripped(own)
        is_sum = self.steps[total].op == "scatter" and size(self.steps[total].shape) == 1
        return is_sum and self.stripped(self.steps[total].args[0]) == self.stripped(of) and count in (n, 1 / n)

    def _terms(self, i: int, sign: int, base: int) -> Iterator[Term]:
        """What is added, outermost first: named values, and those that have no name without their scalar factors.

        The parts of a sum that is called a gradient are no gradients by themselves: one of them may be a penalty's.
        """
        waiting: list[tuple[int, int, bool, bool, float, str, tuple[int, ...] | None]]
        waiting = [(i, sign, False, False, 1.0, "", None)]
        seen, has_name, name = set[tuple[int, tuple[int, ...] | None]](), False, ""
        adapted: set[int] = set()  # what a rate of its own is for each entry, as Adam's, or a matrix, as Newton's: what
        # is called a gradient there is one
        while waiting and len(seen) < _TERMS:
            i, sign, whole, part, scale, total, of = waiting.pop(0)  # ``of``: the entries that are added, where not all
            if (i, of) in seen or self.origin(i) == base:
                continue
            seen.add((i, of))
            s = self.steps[i]
            adapted |= {*s.args} if i in adapted else set()
            if (called := self.name_of(i)) is not None:
                if called == total:  # what a sum was before more was added is no gradient
                    continue
                has_name, name = True, called
                whole = whole or is_gradient(name)
                if of is None and (i not in adapted or whole):
                    yield Term(i, sign, True, part, scale)
            elif not (has_name or of or i in adapted or self._is_same(i) or self._conditioned(i) is not None):
                yield Term(i, sign, False, part, scale)
            match s.op:
                case "neg":
                    waiting.append((s.args[0], -sign, whole, part, scale, total, of))
                case "mul":
                    for a, other in (s.args, s.args[::-1]):
                        if self._is_scalar(a) and not (self._is_scalar(other) and other == s.args[0]):
                            size_of = scale * abs(self.constant(a) or 1)
                            waiting.append((other, sign * self._sign(a), whole, part, size_of, total, of))
                            break
                case "div" if self._is_scalar(s.args[1]):
                    below = abs(self.constant(s.args[1]) or 1)
                    waiting.append((s.args[0], sign * self._sign(s.args[1]), whole, part, scale / below, total, of))
                case "div" if not whole:
                    waiting.append((s.args[0], sign, whole, part, scale, total, of))
                    adapted.add(s.args[0])
                case "solve" | "matmul" if not whole and of is None and (own := self._conditioned(i)) is not None:
                    waiting.append((own, sign, whole, part, scale, total, of))
                    adapted.add(own)
                case "add" | "sub" if not whole:
                    part = part or not any(self._is_multiple(a, name) for a in s.args)  # momentum is no other term
                    signs = sign, -sign if s.op == "sub" else sign
                    waiting += [(a, sg, whole, part, scale, name, of) for a, sg in zip(s.args, signs, strict=True)]
                case _ if self._is_same(i):
                    waiting.append((s.args[0], sign, whole, part, scale, total, of))
                case "pick" if (found := self._taken(i, of)) is not None:
                    waiting.append((found[0], sign, whole, part, scale, total, found[1]))

    def _taken(self, i: int, entries: tuple[int, ...] | None) -> tuple[int, tuple[int, ...] | None] | None:
        """The step that a pick, or some entries of it, are taken from, and which of it, None for all; None where they
        are of several steps."""
        s = self.steps[i]
        places = positions(s.params, s.shape).reshape(-1)
        places = (places if entries is None else places[[*entries]]) - 1
        for a in s.args:
            n = size(self.steps[a].shape)
            if (places >= 0).all() and (places < n).all():
                own = tuple(places.tolist())
                return (a, None) if own == tuple(range(n)) else (a, own) if len({*own}) == len(own) else None
            places = places - n
        return None

    def _conditioned(self, i: int) -> int | None:
        """What the inverse of a matrix is multiplied by, as the gradient in a step of Newton's method."""
        s = self.steps[i]
        if s.op == "matmul" and self.steps[self.stripped(s.args[0])].op == "inverse":
            return s.args[1]
        return s.args[1] if s.op == "solve" else None

    def factors(self, i: int) -> set[float]:
        """The products that the constant factors of a product may have, of which one may be a rate."""
        found, waiting = {1.0}, [i]
        while waiting and len(found) < _PRODUCTS:
            i = self.stripped(waiting.pop())
            s = self.steps[i]
            value = self.number(i, of_variables=True) if size(s.shape) == 1 else None
            if value is not None:
                found |= {value * f for f in found}
            elif s.op in ("mul", "neg", "matmul"):
                waiting += s.args
            elif s.op == "div" and (below := self.number(self.stripped(s.args[1]), of_variables=True)):
                found |= {f / below for f in found}
                waiting.append(s.args[0])
            elif s.op == "pick" and len(s.args) == 1:
                waiting.append(s.args[0])
        return found

    def constant(self, i: int) -> float | None:
        """The number that all entries of ``i`` are, where it is no variable's that is followed."""
        while self.steps[i].op in ("pick", "cast") and len(self.steps[i].args) == 1:
            i = self.steps[i].args[0]
        return self.number(i) if size(self.steps[i].shape) == 1 else None

    def _is_scalar(self, i: int) -> bool:
        return self.constant(i) is not None

    def _sign(self, i: int) -> int:
        return -1 if (self.constant(i) or 0) < 0 else 1

    def number(self, i: int, *, of_variables: bool = False) -> float | None:
        """The number that a small computation of constants gives, and of variables where asked; else None."""
        needed, waiting = set(), [i]
        while waiting:
            k = waiting.pop()
            if k not in needed:
                needed.add(k)
                is_variable = (k in self.event_of and not of_variables) or self.steps[k].op == "input"
                if is_variable or len(needed) > _FOLDED or size(self.steps[k].shape) != 1:
                    return None
                waiting += self.steps[k].args
        program = Program({}, tuple(self.steps), {})
        value = interpret(program, Floats(), {}, [i])[i]
        return None if value.is_complex() else float(value)

    def written_over(self, i: int) -> set[int]:
        """The values that a step has entries of, with zeros or others in the place of some, or in another order."""
        found, waiting = set[int](), [self.stripped(i)]
        while waiting:
            s = self.steps[waiting.pop()]
            if s.op == "pick":
                whole = [a for a in map(self.stripped, s.args) if size(self.steps[a].shape) == size(s.shape)]
                waiting += [a for a in whole if a not in found]
                found |= {*whole}
        return found

    # ------------------------------------------------------------------------------------ quotients
    def quotients(self) -> list[Quotient]:
        """The difference quotients: two values of one line of code, subtracted and divided by something small."""
        found: list[Quotient] = []
        for i, s in enumerate(self.steps):
            if s.op != "div":
                continue
            top, below = self.stripped(s.args[0]), self.stripped(s.args[1])
            if self.steps[below].op == "pick":
                below = self.steps[below].args[0]
            h = self.number(below, of_variables=True) if size(self.steps[below].shape) == 1 else None
            if h is None or not 0 < abs(h) <= SMALL:
                continue
            sign = 1 if h > 0 else -1
            while self.steps[top].op == "neg" or (  # -(a - b)/h, (a - b)/2/h
                self.steps[top].op in ("div", "mul") and self._is_scalar(self.steps[top].args[1])
            ):
                sign = -sign if self.steps[top].op == "neg" else sign
                top = self.stripped(self.steps[top].args[0])
            if self.steps[top].op == "scatter":  # the sum of a difference, weighted by a cotangent
                top = self.stripped(self.steps[top].args[0])
                top = next((a for a in self.steps[top].args if self.steps[self.stripped(a)].op == "sub"), top)
                top = self.stripped(top)
            if self.steps[top].op == "sub":
                high, low = (self.stripped(a) for a in self.steps[top].args)
                if not self._are_twins(high, low) and self._returned.issuperset(self.steps[top].args):
                    high, low = self.steps[top].args  # functions may give what they were given
                if high != low and self._are_twins(high, low):
                    line = s.source.line if s.source is not None else None
                    found.append(Quotient(i, high, low, line, sum(q.line == line for q in found), sign, h))
        return found

    def second_quotients(self) -> list[Quotient]:
        """The second differences: four values of one line of code or three, some taken off the others, divided by
        something small; as quotients of two of them, whose function has no difference in what else it computes."""
        found: list[Quotient] = []
        for i, s in enumerate(self.steps):
            if s.op != "div" or s.source is None:
                continue
            below = self.stripped(s.args[1])
            h = self.number(below, of_variables=True) if size(self.steps[below].shape) == 1 else None
            values = list(self._summed(s.args[0])) if h is not None and 0 < abs(h) <= SMALL else []
            places = {(self.steps[k].op, x.line) for k in values if (x := self.steps[k].source) is not None}
            if h is not None and len({*values}) >= 3 and len(places) == 1:
                nth = sum(q.line == s.source.line for q in found)
                found.append(Quotient(i, values[0], values[-1], s.source.line, nth, 1, h))
        return found

    def _summed(self, i: int) -> Iterator[int]:
        """The values that a sum is made of, each as it was named or given by a function, without constant factors."""
        while self._is_same(i) and i not in self._values:
            i = self.steps[i].args[0]
        s = self.steps[i]
        if i in self._values:
            yield self.stripped(i)
        elif s.op in ("add", "sub"):
            for a in s.args:
                yield from self._summed(a)
        elif s.op == "neg" or (s.op == "mul" and any(map(self._is_scalar, s.args))):
            yield from self._summed(s.args[-1 if self._is_scalar(s.args[0]) else 0])
        else:
            yield i

    def _are_twins(self, a: int, b: int) -> bool:
        """Whether two values are of one operation on one line of code: a function's, called twice."""
        s, t = self.steps[a], self.steps[b]
        same = s.source is not None and t.source is not None and s.source.line == t.source.line
        return same and s.op == t.op and s.op not in ("constant", "input")


def is_whole(steps: Sequence[Step], i: int) -> bool:
    """Whether a step only names, casts or lays out in another shape all that another one is."""
    s = steps[i]
    if s.op in ("name", "cast", "stop"):
        return True
    if s.op != "pick" or len(s.args) != 1 or size(steps[s.args[0]].shape) != size(s.shape):
        return False
    is_one = size(s.shape) == 1 and bool(positions(s.params, s.shape).all())  # a number, whatever brackets it is in
    return is_one or (isinstance(s.params, Strided) and s.params == Strided(0, dense(s.shape)))


def input_values(trace: ScriptTracer) -> dict[str, torch.Tensor]:
    """What the inputs of a record were in its run: leaves, what autograd gave, and what was put in."""
    known = {f"leaf {k}": leaf.value for k, leaf in enumerate(trace.leaves)}
    known |= {str(trace.builder.steps[r.step].params): r.value for r in trace.results} | trace.put_in
    own = {s.params: s.dtype for s in trace.builder.steps if s.op == "input"}
    return {n: torch.as_tensor(known[n]).to(getattr(torch, dtype)) for n, dtype in own.items() if n in known}
