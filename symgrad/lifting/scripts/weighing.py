"""Scripts without a call of autograd: which value is the output, which are its inputs, and what is meant as a gradient.

Events and weak cues propose pairs of an input and a gradient, and values that may be the output.  Each output is
differentiated exactly, on the record of the run, and each pair is looked at by value: at the script's own numbers and
with the inputs moved.  The hypothesis under which most comes out right, weighted by its cues, is the one that is asked.

None of this is a verdict: that is the pipeline's, on the script run again with inputs in the places that were found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.centres import between, is_by_entry
from symgrad.lifting.scripts.hypotheses import CLOSE, Assumed, Centre, Held, Paired, Place, Scaled, compared, hold
from symgrad.lifting.scripts.pairs import COMPARED, UNNAMED, UPDATED, Pair, Pairs, is_called
from symgrad.lifting.scripts.script_record import Event
from symgrad.lifting.scripts.trails import Quotient, input_values
from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.program import Program, Step, dependencies, interpret, size

_POINTS = 3  # the script's own numbers, and so many less one beside them
_QUOTIENTS = 64  # difference quotients whose middle is looked for
_CENTRES = 4  # difference quotients, and cotangents, that are looked at
_TURNS = 4  # values of one variable that are tried
_OUTPUTS = 24  # values that are tried as the output
_WORTH = {"right": 10.0, "factor": 5.0, "partly": 3.5, "zeros": 3.5, "wrong": 0.0, "unknown": -1.0}
NICE = 10_000  # the largest denominator of a loss's factor


_ERRORS = frozenset("error errors err e".split())  # what a difference is called that is no objective yet
NAMED_SO = 8.0  # of the function whose derivative's name says so, or that a library is asked about
_MIXED = 1.5  # what an output loses that is no function of one point
STATED = 3.0  # a cue that is strong enough for an output under which nothing is right
Output = Place | Centre | Assumed | Paired | Scaled | Held


@dataclass(frozen=True)
class Sight:
    """How a pair stands to the derivative of an output, by value: a word, and its factor."""

    pair: Pair
    word: str
    factor: float | None
    score: float
    rate: Fraction = Fraction(1)  # of a step without a name: the constant in it that is no part of a gradient
    late: tuple[int, ...] = ()  # updated values that it is computed with, and the output is not
    renewed: tuple[tuple[int, int], ...] = ()  # those that stand for values of before, see `Weighing.row`
    decay: float | None = None  # the multiple of the input that a wrong gradient has beside one of the derivative


@dataclass(frozen=True)
class Candidate:
    """What may be the output: where it is, its name, its step, what speaks for it; what a user may call it."""

    place: Any  # one of the kinds of places: see `symgrad.lifting.scripts.hypotheses`
    name: str
    step: int
    cue: float
    said: str | None = None


@dataclass(frozen=True)
class Row:
    """An output, how the pairs stand under it, and what speaks for it."""

    output: Candidate
    sights: tuple[Sight, ...]
    score: float
    assumed: str | None = None
    held: str | None = None  # a variable through which nothing is differentiated

    @property
    def cue(self) -> float:
        return self.output.cue

    @property
    def is_stated(self) -> bool:
        """Whether the script itself says that this is what its gradients are of, and not all of them deny it, or by
        more than a name."""
        return self.cue >= NAMED_SO or (
            self.cue >= STATED and any(s.word in ("right", "factor", "partly") for s in self.sights)
        )

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(sorted(s.word for s in self.sights))

    @property
    def rights(self) -> int:
        return sum(s.word == "right" for s in self.sights)


class Weighing:
    """The outputs that one run may have, and how its pairs stand under each."""

    def __init__(self, pairs: Pairs) -> None:
        self.all, self.run, self.text = pairs, pairs.run, pairs.text
        self.trails, self.steps, self.events = pairs.trails, pairs.steps, pairs.events
        self.pairs, self.quotients, self.numeric = pairs.found, pairs.quotients, pairs.numeric
        self.length = len(self.steps)  # of the record alone
        self._inputs = input_values(self.run.trace)
        self.changed = {step for p in self.pairs for step in p.changed} | pairs.moved
        self.behind = self.trails.after({p.input.step for p in self.pairs})
        self._uses: dict[int, set[int]] = {}
        self.asked = {self.trails.stripped(i) for i in self.run.trace.functions}
        claims = {self.trails.stripped(i) for p in self.pairs for _, i in p.steps}
        self.derivatives = {
            e.path.partition("(")[0] for e in self.events if "(" in e.path and self.trails.stripped(e.step) in claims
        }
        self._sums = self._turns_of_sums()
        self.centred = self._centred()
        self.displaced = self._displaced()

    # ------------------------------------------------------------------------------------ outputs
    def outputs(self, wanted: str | None = None) -> list[Candidate]:
        """What may be the output, the likeliest first: the numbers that depend on an input and are no claim."""
        return sorted(self.candidates(wanted), key=lambda o: -o.cue)[:_OUTPUTS]

    def candidates(self, wanted: str | None = None) -> list[Candidate]:
        """The numbers that the script computes, each under its likeliest name; or those that the user names."""
        starts = {p.input.step for p in self.pairs}
        after = self.behind
        claims = {self.trails.event_of[s].path for p in self.pairs for _, s in p.steps if s in self.trails.event_of}
        shown = {self.trails.stripped(i) for _, i in self.run.trace.shows}
        roots = self._roots()
        found: dict[int, Candidate] = {}
        count: Counter[tuple[str, int | None]] = Counter()
        for event in self.events:
            core, said = self.trails.stripped(event.step), self.run.trace.objects.get(event.owner, event.path)
            if event.step in self.numeric or core in self.displaced or (self.pairs and event.step not in after):
                continue
            full = f"{said}.{cues.tail(event.path)}" if event.owner in self.run.trace.objects else None
            if wanted is not None and not (is_called(event.path, wanted) or wanted in (said, full)):
                continue
            if wanted is None and (event.path in claims or core in starts or not self._is_computed(event, core)):
                continue
            if self.text.engine is not None and event.owner not in roots:
                continue
            count[event.path, event.line] += 1
            n = count[event.path, event.line]
            if n <= _TURNS:
                cue = self._cue(event, core) + 1.0 * (core in shown) + 6.0 * (event.owner in roots) - 0.01 * n
                if core not in found or found[core].cue < cue:
                    name = cues.tail(event.path) if full is None else said if self.text.engine is not None else full
                    found[core] = Candidate(Place(event.key), name, event.step, cue, wanted or said)
        return list(found.values())

    def _is_computed(self, event: Event, core: int) -> bool:
        """Whether a value is one number that is computed: no entry of a variable, no constant, no running sum."""
        s = self.steps[core]
        if size(self.steps[event.step].shape) != 1 or s.op in ("constant", "input") or self._is_ahead(event.step):
            return False
        return s.op != "pick" or self.trails.origin(core) is None

    def _cue(self, event: Event, core: int) -> float:
        """What speaks for a value's being the output, by its name and by where it is computed."""
        source, quoted = self.steps[core].source, self._quoted()
        args = self.steps[core].args if self.steps[core].op == "sub" else ()
        is_error = bool(_ERRORS & {*cues.words(cues.tail(event.path))}) and sum(a in self.behind for a in args) == 1
        cue = (not is_error) * (
            3.3 * cues.is_loss(event.path)
            + 0.7 * cues.is_plain_loss(event.path)
            + 0.5 * (cues.tail(event.path).lower() in ("loss", "cost", "j"))
        )
        cue += 3.0 * (source is not None and source.line in quoted)
        cue += 1.0 * (event.path.endswith(("()", "[0]")) and "(" in event.path)
        cue += 5.0 * (core in self.asked) + 5.0 * any(cues.is_derivative(g, event.path) for g in self.derivatives)
        return cue - 3.0 * cues.is_gradient(event.path)

    def _is_quoted(self, output: Candidate) -> bool:
        """Whether an output is what difference quotients are taken of, as far as that is known."""
        if output.step >= self.length or not self.centred:
            return True
        core = self.trails.stripped(output.step)
        if core in self.centred:
            return True
        source, quoted = self.steps[core].source, self._quoted()
        return not quoted or (source is not None and source.line in quoted)

    def _quoted(self) -> set[int | None]:
        """The lines that compute what difference quotients are taken of; none where a library calls the function."""
        sources = [self.steps[self.trails.stripped(k)].source for q in self.quotients for k in (q.high, q.low)]
        return {s.line for s in sources if s is not None} - {q.line for q in self.quotients}

    def _centred(self) -> dict[int, Quotient]:
        """The functions of difference quotients at the points about which they are taken; written on the record."""
        found: dict[int, Quotient] = {}
        b = self.run.trace.builder
        for q in self.quotients[:_QUOTIENTS]:
            moved: dict[int, float] = {}
            made = between(b, q.high, q.low, moved)
            if made is not None and size(b.shape(made)) > 1:  # of a function entry by entry: its sum has these slopes
                made = b.sum(made) if is_by_entry(b, made, moved, q.by) else None
            if made is not None:
                found.setdefault(made, q)
        return found

    def _displaced(self) -> set[int]:
        """The values of functions at points that a difference quotient has moved them to."""
        shared = Counter(q.low for q in self.quotients)
        found = {q.high for q in self.quotients} | {low for low, n in shared.items() if n == 1}
        return found - set(self.centred)

    def centres(self) -> Iterator[Candidate]:
        """The functions of difference quotients, where the script computes them at no other than the moved points."""
        for made, q in list(self.centred.items())[:_CENTRES]:
            if made >= self.length:
                event = next((e for e in self.events if self.trails.stripped(e.step) == q.high), None)
                name = cues.tail(event.path) if event is not None else "the function"
                value: Centre | Scaled = Centre(q.line, q.nth)
                if size(self.steps[q.high].shape) > 1:
                    value, name = Scaled(value, Fraction(1)), f"the sum of {name}"
                yield Candidate(value, name, made, 4.5, event.path if event is not None else None)

    def weighted(self, b: Builder) -> Iterator[Candidate]:
        """Values of a layer, weighted by a cotangent of the script's own that has their shape."""
        starts = self.trails.after({p.input.step for p in self.pairs})
        inputs = {cues.tail(p.input.path) for p in self.pairs}  # moved or not, these are no layers
        many = [e for e in self.events if size(self.steps[e.step].shape) > 1 and e.step not in self.numeric]
        seen: set[tuple[int | None, int]] = set()
        quoted = self._quoted()
        for d in [e for e in many if cues.is_cotangent(e.path)][:_CENTRES]:
            cotangent = self.trails.stripped(d.step)
            for n, e in enumerate(sorted(many, key=lambda e: "()" in e.path)):
                value = self.trails.stripped(e.step)
                if value in self.displaced or cues.tail(e.path) in inputs:
                    continue
                fits = self.steps[e.step].shape == self.steps[d.step].shape and e.step in starts
                source = self.steps[value].source
                place = source.line if source is not None else None, cotangent
                if fits and value != cotangent and place not in seen and not cues.is_gradient(e.path):
                    seen.add(place)
                    weight = (
                        4.0 * (source is not None and source.line in quoted)
                        + 1.0 * (cues.tail(e.path) in ("out", "y", "z", "output"))
                        + 1.0 * e.path.endswith("()")
                    )
                    name = f"the sum of {cues.tail(e.path)} * {cues.tail(d.path)}"
                    made = b.sum(b.mul(e.step, d.step))
                    yield Candidate(Paired(e.key, d.key), name, made, weight - 1e-3 * n, e.path)
            if len(seen) > _OUTPUTS:
                return

    def _roots(self) -> set[int]:
        """The objects whose gradient a script's own backward pass begins with: one, of nothing that was computed."""
        if self.text.engine is None:
            return set()
        grad = cues.tail(self.text.engine[0])
        own = [(e, self.trails.stripped(e.step)) for e in self.events if e.owner and cues.tail(e.path) == grad]
        found = {e.owner for e, i in own if self.trails.number(i) == 1.0}
        first = next(((e, x) for e, i in own if (x := self.trails.number(i, of_variables=True)) != 0), None)
        return found or ({first[0].owner} if first is not None and first[1] == 1.0 else set())

    def _turns_of_sums(self) -> dict[int, tuple[int, int]]:
        """The values of variables to which numbers are added under the same name, each with the steps between which
        its own turn lies: where the sum was still another, and where it is the next one."""
        found: dict[int, tuple[int, int]] = {}
        for event in self.events:
            s = self.steps[self.trails.stripped(event.step)]
            if s.op not in ("add", "sub") or size(s.shape) != 1 or event.step in found:
                continue
            own = [k for i in s.args for k, _ in self.trails.origins(i, 0) if size(self.steps[k].shape) == 1]
            mine = [k for k in own if self.trails.event_of[k].path == event.path]
            for k in mine:
                found[k] = found[k][0] if k in found else k, event.step
            if mine:
                found[event.step] = max(mine), self.length
        return found

    def _is_ahead(self, i: int) -> bool:
        """Whether a value is one of a sum that goes on without an update of any input: no objective, but a part of it.
        Where the samples of a stochastic descent are added up, each has its updates."""
        start, end = self._sums.get(i, (0, self.length))
        return end < self.length and not any(start < c < end for c in self.changed)

    def has_turns(self, i: int) -> bool:
        """Whether a value is one of a sum that goes on, while inputs are updated."""
        return i in self._sums and self._sums[i][1] < self.length

    def _is_of_its_turn(self, i: int, p: Pair) -> bool:
        """Whether an update belongs to what has been added to a sum last; ``i`` may be no sum."""
        start, end = self._sums.get(i, (0, self.length))
        return p.why != UPDATED or any(start < c < end for c in p.changed)

    def steady(self, place: Any) -> Any:
        """A place as it is found where conditions come out otherwise: by a name that it gets below none, or as the last
        value of its line."""
        if not isinstance(place, Place) or place.term is not None or place.key[1] not in self.text.conditional:
            return place
        step = self.run.trace.event_at[place.key].step
        same = [e for e in self.events if e.step >= step and self.trails.stripped(e.step) == self.trails.stripped(step)]
        found = next((e for e in same if e.line not in self.text.conditional), None)
        if found is not None:
            return replace(place, key=found.key, path=place.key[0])
        last = (*place.key[:2], -1)
        return replace(place, key=last) if self.run.trace.event_at[last].step == step else place

    # ------------------------------------------------------------------------------------ by value
    def row(self, output: Candidate, program: Builder, pairs: Sequence[Pair]) -> Row:
        """How the pairs stand under an output, whose step is on a builder."""
        step = output.step
        b = Builder(list(program.steps), dict(program.inputs))
        inputs = sorted({p.input.step for p in pairs})
        for c in self.changed & self.trails.before(step, b.steps):  # an update is no part of what is differentiated
            hold(b.steps, c)
        of, _ = reverse(b, {step: b.ones(b.shape(step), b.dtype(step))}, set(inputs))
        built = b.build({})
        before = self.trails.before(step, b.steps)
        leaves = self._leaves([i for i in inputs if i in before])  # what another function begins with stays as it is
        pairs = [p for p in pairs if p.why != UPDATED or not before & set(p.changed)]
        pairs = [p for p in pairs if self._is_of_its_turn(step, p)]
        if not self._is_quoted(output):  # what stands beside a difference quotient is of the function in it
            pairs = [p for p in pairs if p.why != COMPARED]
        early = {self.all.variable_of(p.input) for p in pairs if self.uses(p) <= before}
        pairs = [p for p in pairs if self.uses(p) <= before or self.all.variable_of(p.input) not in early]
        wanted = sorted({s for p in pairs for _, s in p.steps} | {of[i] for i in inputs if i in of} | {*inputs})
        points = [self._moved(leaves, k) for k in range(_POINTS)]
        values = [interpret(built, Floats(), self._inputs, wanted, replaced=at) for at in points]
        sights: list[Sight] = []
        for p in [p for p in pairs if p.input.step in of]:
            renewed = self._renewed(p, before, leaves)
            moved = [interpret(built, Floats(), self._inputs, wanted, replaced={**at, **{c: at[i] for c, i in renewed}})
                     for at in points] if renewed else values  # fmt: skip
            late = tuple(sorted(self.uses(p) - before))
            if not any(at[of[p.input.step]].reshape(-1)[[*p.others]].any() for at in moved):
                sights.append(replace(self._sight(p, of[p.input.step], moved), late=late, renewed=renewed))
        chosen: list[Sight] = []
        taken: set[object] = set()  # entries of inputs
        claimed: dict[int, tuple[str, int]] = {}  # by claim: the variable that it is for, or several parts of it
        whole, some = set[tuple[str, int]](), set[tuple[str, int]]()  # the variables of which all is taken, or a part
        for s in sorted(sights, key=lambda s: -(s.score + s.pair.weight)):
            if s.word == "unknown" and not self.uses(s.pair) <= before:
                continue  # of another turn, in which the input matters
            variable = self.all.variable_of(s.pair.input)
            parts = {(*variable, e) for e in s.pair.entries}
            steps = {step for _, step in s.pair.steps}
            is_again = any(step in claimed and not (parts and claimed[step] == variable) for step in steps)
            if variable not in (whole if parts else whole | some) and not (parts & taken or is_again):
                taken |= parts
                claimed |= dict.fromkeys(steps, variable)
                (some if parts else whole).add(variable)
                chosen.append(s)
        renewed = {c for s in chosen for c, _ in s.renewed}
        mine = {
            self.all.variable_of(s.pair.input)
            for s in chosen
            if not s.renewed and (s.pair.values[0].term is None or s.pair.steps[0][1] in self.trails.event_of)
        }
        chosen = [
            s
            for s in chosen
            if all(self.all.variable_of(self.trails.event_of[i]) in mine for _, i in s.renewed)
            and (s.renewed or not self.uses(s.pair) & renewed)
        ]
        cue = output.cue - _MIXED * self._is_mixed(step, b.steps)
        return Row(output, tuple(chosen), cue + sum(s.score + s.pair.weight for s in chosen))

    def _is_mixed(self, i: int, steps: Sequence[Step]) -> bool:
        """Whether a value is computed from a variable as it was before and after an update, as a sum over turns is."""
        mine = dependencies(steps, [i], self.changed)
        used = {a for k in mine for a in steps[k].args if a in self.changed}
        used |= {p.input.step for p in self.pairs} & mine
        variables = [self.all.variable_of(self.trails.event_of[k]) for k in used if k in self.trails.event_of]
        return len(variables) > len(set(variables))

    def _renewed(self, p: Pair, before: set[int], leaves: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """The updated values of other variables that a gradient is computed with, each with the value of before that
        the output has, where the gradient is computed with none of those: then it is that at the updated values, as in
        an alternation of steps for one variable and for another.
        """
        late = self.uses(p) - before
        found: list[tuple[int, int]] = []
        for c in late:
            variable = self.all.variable_of(self.trails.event_of[c])
            own = [i for i in leaves if self.all.variable_of(self.trails.event_of[i]) == variable]
            found += [(c, own[0])] if len(own) == 1 and variable != self.all.variable_of(p.input) else []
        behind = dependencies(self.steps, [s for _, s in p.steps], late)
        is_at_one_point = len(found) == len(late) and behind.isdisjoint(i for _, i in found)
        return tuple(sorted(found)) if is_at_one_point else ()

    def has_complement(self, i: int, errors: frozenset[int], pairs: Sequence[Pair]) -> bool:
        """Whether gradients are computed from one less a value, beside its ``errors``: then they have the slope of its
        sigmoid in them."""
        b, core = self.run.trace.builder, self.trails.stripped(i)
        behind = {k for p in pairs for _, s in p.steps for k in self.trails.before(s) if b.steps[k].op == "sub"}
        return any(
            b.number_of(b.steps[k].args[0]) == 1 and self.trails.stripped(b.steps[k].args[1]) == core
            for k in behind - errors
        )

    def uses(self, p: Pair) -> set[int]:
        """The updated values, of any variable, that a pair's gradient is computed from."""
        place = p.steps[0][1]
        if place not in self._uses:
            self._uses[place] = self.trails.before(place) & self.changed
        return self._uses[place]

    def _leaves(self, inputs: Sequence[int]) -> list[int]:
        """The inputs that depend on no other."""
        return [i for i in inputs if not any(k != i and k in self.trails.before(i) for k in inputs)]

    def _moved(self, inputs: Sequence[int], k: int) -> Mapping[int, torch.Tensor]:
        """Values of the inputs at the ``k``-th point; the first is the script's own."""
        out = {}
        own = interpret(Program({}, tuple(self.steps), {}), Floats(), self._inputs, inputs)
        for i in inputs:
            random = np.random.default_rng([k, i])
            value = own[i].detach().clone()
            if k:
                moves = torch.as_tensor(random.uniform(-1, 1, tuple(value.shape)))
                value = value * (1 + 0.3 * moves) + 0.2 * torch.as_tensor(random.uniform(-1, 1, tuple(value.shape)))
            out[i] = value.to(own[i].dtype)
        return out

    def is_any(self, i: int, others: Sequence[int]) -> bool:
        """Whether a number is, at all points that are looked at, another one of the record."""
        program = Program({}, tuple(self.run.trace.builder.steps), {})
        inputs = sorted({p.input.step for p in self.pairs})
        before = self.trails.before(i, program.steps)
        leaves = self._leaves([k for k in inputs if k in before])
        same = set(others)
        for k in range(_POINTS if same else 0):
            at = interpret(program, Floats(), self._inputs, [i, *same], replaced=self._moved(leaves, k))
            mine = at[i].reshape(())
            same = {j for j in same if bool((at[j].reshape(()) - mine).abs() <= CLOSE * mine.abs())}
        return bool(same)

    def _sight(self, p: Pair, adjoint: int, values: Sequence[Mapping[int, torch.Tensor]]) -> Sight:
        mine, truth, own = [], [], []
        for at in values:
            d = at[adjoint].detach().numpy().reshape(-1)
            x = at[p.input.step].detach().numpy().reshape(-1)
            if p.steps[0][0] >= 0:
                g = np.array([sign * float(at[s]) for (_, s), sign in zip(p.steps, p.signs, strict=True)])
            else:
                g = p.signs[0] * at[p.steps[0][1]].detach().numpy().reshape(-1)
            if part := p.part:
                d, x = d[[*part]], x[[*part]]
            if np.isfinite(d).all() and np.isfinite(g).all() and d.size == g.size:
                mine.append(g)
                truth.append(d)
                own.append(x)
        word, factor, near = compared(mine, truth)
        rate = Fraction(factor).limit_denominator(NICE) if word == "factor" and factor is not None else Fraction(1)
        if word == "factor" and self.has_rate(p, rate):
            word, factor = "right", 1.0
        else:
            rate = Fraction(1)
        seen = np.count_nonzero(truth[0]) / truth[0].size if truth else 0.0  # a derivative of zero tells little
        decay = None
        if word == "wrong" and p.why == UPDATED and p.label.startswith(UNNAMED):
            decay = _decay(mine, truth, own, self._constants(p))
        return Sight(p, word, factor, _WORTH[word] + near + seen, rate, decay=decay)

    def _constants(self, p: Pair) -> list[float]:
        """The numbers that the line of an update has, and those that its names are."""
        bound = self.run.trace.bound_values
        known = {path: v.item() for (path, *_), v in bound.items() if v.size == 1 and v.dtype.kind in "fiu"}
        said = self.text.constants.get(p.values[0].key[1], ())
        return [c if isinstance(c, float) else float(known[c]) for c in said if isinstance(c, float) or c in known]

    def without_rate(self, s: Sight) -> Pair:
        """The pair of a sight with the rate taken out of its step: by the name of the number, where it has one."""
        p = s.pair
        said = [n for n in self.text.constants.get(p.values[0].key[1], ()) if n in self.text.numbers]
        powers = [((n, k), s.rate / Fraction(repr(self.text.numbers[str(n)])) ** k) for n in said for k in (1, -1)]
        own = [(named, rest) for named, rest in powers if abs(rest) == 1]
        own += [((n, k), rest) for (n, k), rest in powers if k == 1 and cues.is_rate(str(n))]
        ((name, power), rest), *_ = own or [(("", 0), s.rate)]
        rates = ((str(name), power),) if power and s.rate != 1 else ()
        rest = rest if rates else s.rate
        return replace(p, values=tuple(replace(v, factor=v.factor / rest, rates=rates) for v in p.values))

    def says_rate(self, p: Pair, rate: float) -> bool:
        """Whether the line of a step writes its rate: a number or a name of one, or two of them multiplied or
        divided."""
        said = [1.0, *(x for x in self._constants(p) if x)]
        products = (z for k, x in enumerate(said) for y in said[: k + 1] for z in (x * y, x / y, y / x))
        return any(abs(rate / z - 1) < CLOSE for z in products)

    def has_rate(self, p: Pair, rate: Fraction) -> bool:
        """Whether a step without a name has this factor in it, which may then be the rate of the update."""
        if p.why != UPDATED or not p.label.startswith(UNNAMED) or rate <= 0:
            return False
        found = self.trails.factors(p.steps[0][1])
        for x in self._constants(p):
            found |= {x * f for f in found} | {f / x for f in found if x}
        return any(abs(rate / f - 1) < CLOSE for f in found if f)


def _decay(
    mine: Sequence[np.ndarray], truth: Sequence[np.ndarray], own: Sequence[np.ndarray], said: Sequence[float]
) -> float | None:
    """The multiple of the input that gradients have beside the derivative, all times one factor, as those of a loss
    with a penalty on squares have; None where they have more, or where it is no product of numbers that are ``said``:
    what is linear in its input is so much of it beside anything."""
    g, d, x = (np.concatenate([*several, np.zeros(0)]) for several in (mine, truth, own))
    of = np.stack([d, x], axis=1)
    if g.size < 3 or np.linalg.matrix_rank(of) < 2:
        return None
    factor, decay = np.linalg.lstsq(of, g, rcond=None)[0]
    is_all = np.abs(of @ [factor, decay] - g).max() <= CLOSE * np.abs(g).max()
    products = [x * y for k, x in enumerate(said) for y in (1.0, *said[:k])]
    is_said = any(x and abs(abs(decay) / x - 1) < CLOSE for x in products)
    return float(decay / factor) if is_all and is_said and factor > 0 else None
