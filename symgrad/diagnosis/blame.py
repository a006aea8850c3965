"""Blame by repair: a line is to blame if an edit of it makes everything that is returned right.

Every place of the code is judged alike, whatever it is called.  Where freeing a line says what it needs, an edit is
looked for by that value; elsewhere each edit is tried by running the code.  Points have inputs and data moved, so that
nothing fits by chance.  Names and what is known of a line's value only order what costs the same.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symgrad.checking.exploration import Findings
from symgrad.checking.results import Repair, StepFinding
from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.derivation import Derivation
from symgrad.diagnosis.differences import lines_changed
from symgrad.diagnosis.edits import PLAIN
from symgrad.diagnosis.expression_text import Text
from symgrad.diagnosis.hand_parts import Leaf, Proposal, leaves
from symgrad.diagnosis.other_functions import Owner, whose_gradient, without_detach
from symgrad.diagnosis.remedies import Known, Remedy, Suspect, by_running, by_value, suspects_of, value_stamp
from symgrad.diagnosis.repair import judged_right, propose, repair, repairs_of, telling_points, widest
from symgrad.diagnosis.source_code import code_of, lines_before
from symgrad.diagnosis.steps import Diagnosis, diagnose, is_permuted
from symgrad.diagnosis.structural_edits import structure
from symgrad.diagnosis.trials import Place, Trials, names_of, outcome, trials_of
from symgrad.problem.question import Problem
from symgrad.program.program import Source
from symgrad.progress import doing

# --------------------------------------------------------------------------------------------------------------- blame

_CHEAP = 1.3  # edits that are tried everywhere before dearer ones are tried anywhere
_CROWD = 0.004  # what each edit before it costs one of the same place in that order
_KEENER = 1.5  # how much dearer they may be for what speaks for a place
_MARGIN = 0.35  # cures that cost so much more than the best are not offered
_OFFERED = 6
_ALIKE = 1.6  # what an edit costs at most that is made on several lines
_DRAFTS = 150  # edits of a line of which others are sought that are alike
_TOGETHER = 4  # lines that have the same slip
# Of the trials: small edits of one place, cheap ones that put some of it right, all edits of one, one slip on several.
_SHARES = (0.4, 0.55, 0.7, 0.85)
_FIRSTS = 40  # first edits of a line of which a second is looked for
_SECONDS = 60
_ENOUGH = 8  # of them that fit
_TWICE = 6  # lines in which two edits are looked for


@dataclass(frozen=True, eq=False)
class Cure:
    """Remedies that together put everything right."""

    remedies: tuple[Remedy, ...]

    @property
    def cost(self) -> float:
        return sum(r.cost for r in self.remedies)


class Cures:
    """The search for cures in one formula's code; ``known`` is what its lines are known to be."""

    def __init__(self, trials: Trials, diagnosis: Derivation, known: Known) -> None:
        self.search = _Search(trials)
        self.is_right = self.search.good == self.search.names
        self.suspects, self.statements = ([], []) if self.is_right else suspects_of(trials, diagnosis, known)
        self.likely = [s for s in self.suspects if s.rights == 1]
        self.valued = [s for s in self.suspects if s.rights and s.is_valued]
        self.running = _in_order([*(by_running(s, 0, _cheap(s)) for s in self.likely), self.statements])
        self.of_some = _in_order([by_running(s, 0, _CHEAP) for s in self.suspects if 0 < s.rights < 1])

    def _of_one(self, most: float) -> None:
        """The edits of one place of which the value is known, and the cheapest of the others."""
        self.search.take(_in_order([list(by_value(s, most)) for s in self.valued]))
        self.search.take(self.running, _SHARES[0])

    def small(self, most: float) -> list[Cure]:
        """Small edits of one place that cost no more, the most plausible first."""
        self._of_one(PLAIN)
        if self.search.price > PLAIN < most:
            self._of_one(most)
        if not self.search.found and most > _SMALL:
            self.search.take(_in_order([by_running(s, _cheap(s), _SMALL) for s in self.likely]), _SHARES[0])
        return [Cure((r,)) for r in self.search.best if r.cost <= most]

    def all(self) -> list[Cure]:
        """The cheapest cures that are found, the most plausible first."""
        search, suspects, together = self.search, self.suspects, None
        self._of_one(PLAIN if search.price <= PLAIN else math.inf)
        if not search.found:
            search.take(self.of_some, _SHARES[1])
        if not search.found and (together := _covering(search)) is None:
            search.take(_in_order([by_running(s, _cheap(s), 9) for s in self.likely]), _SHARES[2])
            if not search.found:
                together = _covering(search, suspects, self.statements) or _alike(search, suspects)
                together = together or _in_another_order(search, suspects, self.statements) or _twice(search, suspects)
        return [together] if together is not None else [Cure((r,)) for r in search.best]


def _cheap(s: Suspect) -> float:
    """What an edit costs at most that is tried before dearer ones of any place: of a likely one more are."""
    return _CHEAP - _KEENER * min(s.prior, 0)


def _in_order(streams: Sequence[Iterable[Remedy]]) -> Iterator[Remedy]:
    """The remedies of several places as one row, the cheapest first; a long line does not keep the others waiting."""
    ready = [sorted(x, key=lambda r: r.cost) if isinstance(x, list) else x for x in streams]
    ranked = (((r.cost + _CROWD * k, r) for k, r in enumerate(x)) for x in ready)
    return (r for _, r in heapq.merge(*ranked, key=lambda pair: pair[0]))


class _Search:
    """What was tried: remedies that put all right, and those that put some outputs right and spoil none."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.names = names_of(trials.truths[0])
        self.good = outcome(trials, ())
        self.found: list[Remedy] = []
        self.parts: list[Remedy] = []
        self.tried: set[tuple[int, str]] = set()

    def take(self, remedies: Iterable[Remedy], share: float = 1.0) -> None:
        """Try remedies, which come the cheapest first, until those left cost more than what was found, or a share of
        all trials was made.
        """
        for r in remedies:
            if self.trials.runs >= share * self.trials.most or r.cost > self.price + _MARGIN:
                return
            if (mark := (id(r.place), r.edit.text)) not in self.tried:
                self.tried.add(mark)
                self.keep(r)

    @property
    def price(self) -> float:
        return min((f.cost for f in self.found), default=math.inf)

    @property
    def best(self) -> list[Remedy]:
        """What puts all right, the most plausible first."""
        return sorted(self.found, key=lambda r: (round(r.cost, 3), r.place.line))[:_OFFERED]

    def keep(self, r: Remedy) -> None:
        right = outcome(self.trials, [(r.place, r.edit.text)], self.good)
        if right == self.names:
            self.found.append(replace(r, outputs=right))
        elif right > self.good:
            self.parts.append(replace(r, outputs=right))

    def together(self, remedies: Sequence[Remedy], right: frozenset[str]) -> frozenset[str]:
        return outcome(self.trials, [(r.place, r.edit.text) for r in remedies], right)


def _covering(search: _Search, suspects: Sequence[Suspect] = (), statements: Sequence[Remedy] = ()) -> Cure | None:
    """Remedies that each put some outputs right and together all; the rest is looked for with those found in place."""
    chosen: list[Remedy] = []
    right = search.good
    for r in sorted(search.parts, key=lambda r: (-len(r.outputs), r.cost)):
        if r.outputs <= right or any(_overlap(r.place, c.place) for c in chosen):
            continue
        now = search.together([*chosen, r], right)
        if now > right:
            chosen.append(r)
            right = now
        if right == search.names:
            return Cure(tuple(sorted(chosen, key=lambda c: c.place.line)))
    return _completed(search, suspects, statements, chosen, right) if chosen else None


def _completed(
    search: _Search,
    suspects: Sequence[Suspect],
    statements: Sequence[Remedy],
    chosen: Sequence[Remedy],
    right: frozenset[str],
) -> Cure | None:
    """Remedies with one more, at another place, that puts right what they leave."""
    others = [s for s in suspects if not any(_overlap(s.place, c.place) for c in chosen)]
    beside = [r for r in statements if not any(_overlap(r.place, c.place) for c in chosen)]
    tries = itertools.chain(
        _in_order([*(by_running(s, 0, _CHEAP) for s in others), beside]),
        _in_order([by_running(s, _CHEAP, 9) for s in others]),
    )
    for r in tries:
        if search.trials.runs >= _SHARES[3] * search.trials.most:
            return None
        if search.together([*chosen, r], right) == search.names:
            return Cure(tuple(sorted((*chosen, r), key=lambda c: c.place.line)))
    return None


def _in_another_order(search: _Search, suspects: Sequence[Suspect], statements: Sequence[Remedy]) -> Cure | None:
    """Statements in another order, and one cheap edit elsewhere."""
    orders = [r for r in statements if r.edit.kind == "order"]
    for r in _in_order([by_running(s, 0, _CHEAP) for s in suspects]) if orders else ():
        for order in orders:
            if search.trials.runs >= _SHARES[3] * search.trials.most:
                return None
            if not _overlap(r.place, order.place) and search.together([order, r], search.good) == search.names:
                return Cure(tuple(sorted((order, r), key=lambda c: c.place.line)))
    return None


def _overlap(a: Place, b: Place) -> bool:
    return a.unit is b.unit and a.expression.start < b.expression.end and b.expression.start < a.expression.end


def _alike(search: _Search, suspects: Sequence[Suspect]) -> Cure | None:
    """One slip that was made on several lines: the same change of the text in each, numbers in names aside."""
    groups: dict[tuple[str, ...], dict[int, Remedy]] = {}
    for k, s in enumerate(suspects):
        for edit in (draft.make() for draft in s.drafts[:_DRAFTS] if draft.cost < _ALIKE):
            if value_stamp(s.bench, edit.text) is not None:
                remedy = Remedy(s.place, edit, s.scene, edit.cost + s.prior, frozenset())
                groups.setdefault(change_of(s.place.expression.text, edit.text), {}).setdefault(k, remedy)
    several = [list(g.values()) for g in groups.values() if len(g) > 1]
    for group in sorted(several, key=lambda g: min(r.cost for r in g)):
        for n in range(min(len(group), _TOGETHER), 1, -1):
            for chosen in itertools.islice(itertools.combinations(group, n), 12):
                if search.trials.runs >= _SHARES[3] * search.trials.most:
                    return None
                if search.together(chosen, search.good) == search.names:
                    return Cure(chosen)
    return None


def change_of(old: str, new: str) -> tuple[str, ...]:
    """What changed between two texts, in words and signs, with numbers in names left out.

    >>> change_of("1 - z1", "1 - z1**2"), change_of("(1 - z22) * d", "(1 - z22**2) * d")
    (('', '**2'), ('', '**2'))
    """
    a, b = (re.findall(r"\w+|[^\w\s]", t) for t in (old, new))
    changes = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    plain = lambda words: "".join(re.sub(r"(?<=[A-Za-z_])\d+", "#", w) for w in words)  # noqa: E731
    return tuple(t for op, i, j, k, m in changes if op != "equal" for t in (plain(a[i:j]), plain(b[k:m])))


def _twice(search: _Search, suspects: Sequence[Suspect]) -> Cure | None:
    """Two edits on one line: a second one of each first that changes the value; the last lines first."""
    likely = sorted(suspects, key=lambda s: (not s.is_valued, s.prior, -s.place.line))
    for s in likely[:_TWICE]:
        for remedy in _second_edits(s):
            if search.trials.is_spent:
                return None
            search.keep(remedy)
            if search.found:
                return Cure((search.found[0],))
    return None


def _second_edits(s: Suspect) -> Iterator[Remedy]:
    """Pairs of changes of an expression's structure, each of which gives a value that none before gave."""
    text = s.place.expression.text
    values = {value_stamp(s.bench, text), None}
    found: list[Remedy] = []
    firsts = _restructured(text, s, values)[:_FIRSTS]
    for cost, first in firsts:
        for more, second in _restructured(first, s, None if s.is_valued else values)[:_SECONDS]:
            if not s.is_valued or s.bench.fits(second):
                both = Edit(second, text, second, "two edits", cost + more)
                found.append(Remedy(s.place, both, s.scene, both.cost + s.prior, frozenset()))
        if s.is_valued and len(found) > _ENOUGH:
            break
    yield from sorted(found, key=lambda r: r.cost)


def _restructured(text: str, s: Suspect, values: set[Any] | None) -> list[tuple[float, str]]:
    """An expression with its structure changed once, the cheapest first; ``values`` are those that are not new."""
    t = Text(text)
    made = {}
    for cost, kind, start, end, new in structure(t, s.bench):
        if not kind.startswith(("like ", "as elsewhere")):  # another line has no second slip
            made.setdefault(t.fill(start, end, new), cost)
    found = []
    for new, cost in sorted(made.items(), key=lambda item: item[1]):
        if values is not None:
            stamp = value_stamp(s.bench, new)
            if stamp in values:
                continue
            values.add(stamp)
        found.append((cost, new))
    return found


# ---------------------------------------------------------------------------------------------------------- accusation
# The accusation of a refuted derivation: which lines are wrong, why, and what to write instead.

_JUDGED = 6  # cures that are judged before giving up
_SMALL = 1.9  # what an edit costs at most that is plain
_AGAIN = 0.3  # what it costs more that the same slip stands on another line
_LESS = 0.3  # how much less another must cost to be preferred
_AS_GOOD = 0.15  # how much more another may cost that is told beside it


@dataclass(frozen=True, eq=False)
class Accusation:
    """Each line's finding, the names of the wrong ones in their order, their repairs, and the code with them made;
    ``whose`` says of which other function the derivation is the gradient, where it is one's.
    """

    steps: tuple[StepFinding, ...]
    wrong_steps: tuple[str, ...]
    repairs: tuple[Repair, ...]
    repaired_source: str | None
    whose: str | None = None
    price: float = math.inf  # of the repairs, with what speaks against their places


def accuse(problem: Problem, findings: Findings, words: Mapping[str, str] | None = None) -> Accusation:
    """Find the wrong lines of a refuted derivation, and repairs of them.

    Lines that miss what they claim are looked at first; where no repair of them is judged right, every place of the
    code is, and those that a repair is found for are to blame.

    Guarantee: that of `repair`.  Raises what `diagnose` raises.
    """
    found = _accusation(replace(problem, asked_first=telling_points(problem, findings)), findings, words)
    if found.repaired_source is None:
        found = _with_what_is_not_traced(_without_lines_of_right_ones(found, problem), problem)
    return _within_statements(found)


def _with_what_is_not_traced(mine: Accusation, problem: Problem) -> Accusation:
    """Where a wrong line uses what is no step of the derivation, such as a number or a list, that may be wrong too."""
    units = [u for leaf in leaves(problem.hand) if (code := code_of(leaf.formula)) is not None for u in code.units]
    traced = {_place_of(s.source) for s in mine.steps if s.source is not None and s.verdict != "unused"}

    def with_more(s: StepFinding) -> StepFinding:
        unit = next((u for u in units if s.source is not None and u.covers(s.source)), None)
        if s.verdict != "wrong" or unit is None or s.source is None:
            return s
        more = (Source(text, unit.file, line) for line, text in lines_before(unit, s.source.line, s.name))
        return replace(s, unsure=(*s.unsure, *(m for m in more if _place_of(m) not in traced)))

    return replace(mine, steps=tuple(map(with_more, mine.steps)))


def _without_lines_of_right_ones(mine: Accusation, problem: Problem) -> Accusation:
    """Where no repair says otherwise, a line that a right gradient beside comes from is not the wrong one."""
    right: set[tuple[str | None, int | None]] = set()
    for other in problem.beside:
        program = other.runs(other.inputs.point)[1].program
        sources = (program.steps[i].source for i in program.needed(program.outputs.values()))
        right |= {(s.file, s.line) for s in sources if s is not None}
    steps = tuple(
        replace(s, verdict="unknown") if s.verdict == "wrong" and s.source and _place_of(s.source) in right else s
        for s in mine.steps
    )
    wrong = {s.name for s in steps if s.verdict == "wrong"}
    return replace(mine, steps=steps, wrong_steps=tuple(n for n in mine.wrong_steps if n in wrong))


def _place_of(source: Source) -> tuple[str | None, int | None]:
    return source.file, source.line


def _accusation(problem: Problem, findings: Findings, words: Mapping[str, str] | None) -> Accusation:
    """Small edits first: of lines that miss what they claim, then of any place; larger ones where there are none."""
    diagnosis = diagnose(problem, findings, words)
    if (owner := without_detach(problem, findings)) is not None:
        return _belonging(Accusation(diagnosis.steps, (), (), None), owner)
    if is_permuted(diagnosis.derivation):
        found = _blamed(problem, diagnosis, _searches(problem, findings, diagnosis))
        if found is not None:
            return found
    proposals = propose(problem, findings, diagnosis)
    mine, spoils = Accusation(diagnosis.steps, diagnosis.wrong_steps, (), None), False
    if all(p.edits for p in proposals) and sum(p.edits[0].cost for p in proposals) <= PLAIN * len(proposals):
        mine = _repaired(mine, problem, proposals)
        spoils = _spoils_what_was_right(mine, diagnosis.derivation)
        if mine.repaired_source is not None and _price(mine.repairs) <= PLAIN and not spoils:
            return _with_the_term(mine, problem, findings)
    searches = _searches(problem, findings, diagnosis)
    if spoils and (one := _blamed(problem, diagnosis, searches)) is not None and len(one.repairs) == 1:
        return one
    small = _blamed(problem, diagnosis, searches, PLAIN)
    if small is not None and small.price <= PLAIN - _LESS:
        return small
    if mine.repaired_source is None:
        mine = _repaired(mine, problem, [p.all_edits for p in proposals])
    if mine.repaired_source is None:
        return small or _blamed(problem, diagnosis, searches) or _of_another(mine, problem, findings, diagnosis)
    price = _price(mine.repairs)
    if small is None and price > PLAIN:
        small = _blamed(problem, diagnosis, searches, price - _LESS)
    return small if small is not None and small.price <= price - _LESS else _with_the_term(mine, problem, findings)


def _spoils_what_was_right(mine: Accusation, d: Derivation) -> bool:
    """Whether several repairs change a line that a right result comes from, so that another has to be changed too."""
    right = d.program.needed([f.hand for f in d.finals if not f.wrong])
    lines = {s.line for i in right if (s := d.program.steps[i].source) is not None}
    return len(mine.repairs) > 1 and any(r.line in lines for r in mine.repairs)


def _repaired(mine: Accusation, problem: Problem, proposals: Sequence[Proposal]) -> Accusation:
    """With repairs, where some put all right; a line that then stays as it is has nothing wrong in it."""
    repairs, source = repair(problem, proposals)
    made = {(r.step, r.line) for r in repairs}
    kept = {(p.name, p.line) for p in proposals} - made if source is not None else frozenset()
    steps = tuple(
        replace(s, verdict="unknown")
        if s.verdict == "wrong" and (s.name, s.source.line if s.source else None) in kept
        else s
        for s in mine.steps
    )
    repaired = {r.step for r in repairs}
    wrong = tuple(n for n in mine.wrong_steps if n in repaired or all(n != name for name, _ in kept))
    return replace(mine, steps=steps, wrong_steps=wrong, repairs=repairs, repaired_source=source)


def _within_statements(mine: Accusation) -> Accusation:
    """Of statements over several lines the lines that a repair changes: these are the wrong ones."""
    steps, repairs = mine.steps, []
    for one in mine.repairs:
        changes = lines_changed(one.before, one.after) if one.span is not None and one.line is not None else None
        if changes is not None:
            inner = _of_lines(one, *changes)
            told = inner.before.strip()
            steps = tuple(
                replace(s, source=replace(s.source, line=inner.line, text=told, span=None))
                if s.verdict == "wrong" and s.name == one.step and s.source and s.source.line == one.line
                else s
                for s in steps
            )
            one = inner
        repairs.append(one)
    return replace(mine, steps=steps, repairs=tuple(repairs))


def _of_lines(one: Repair, first: int, end: int) -> Repair:
    """A repair of some lines of its text alone."""
    assert one.span is not None
    assert one.line is not None
    before, after = one.before.split("\n"), one.after.split("\n")
    start = one.span[0] + sum(len(x) + 1 for x in before[:first])
    old, new = "\n".join(before[first:end]), "\n".join(after[first:end])
    margin = len(old) - len(old.lstrip())
    if len(new) - len(new.lstrip()) != margin:
        margin = 0
    span = (start + margin, start + len(old))
    return replace(one, line=one.line + first, before=old[margin:], after=new[margin:], span=span)


def _of_another(mine: Accusation, problem: Problem, findings: Findings, diagnosis: Diagnosis) -> Accusation:
    """Where all lines belong to another function, none of them is wrong by itself."""
    owner = whose_gradient(problem, findings)
    if owner is not None:
        return _belonging(mine, owner)
    returned = (f for f in diagnosis.faults if not f.bindings and f.source and f.source.line is not None)
    return replace(mine, steps=(*mine.steps, *(StepFinding("return", 0, f.source, f.claim, "wrong") for f in returned)))


def _belonging(mine: Accusation, owner: Owner) -> Accusation:
    steps = tuple(replace(s, verdict="unknown") if s.verdict == "wrong" else s for s in mine.steps)
    return Accusation(steps, (), (), None, f"No line is wrong by itself: {owner.told}.")


def _with_the_term(mine: Accusation, problem: Problem, findings: Findings) -> Accusation:
    """The term of the model whose derivative is what one repair adds, told with it."""
    if len(mine.repairs) != 1 or mine.repairs[0].kind != "term":
        return mine
    owner = whose_gradient(problem, findings, frozenset(("drop term",)))
    if owner is None:
        return mine
    why = f"the derivative of a whole term is missing: {owner.told}."
    return replace(mine, repairs=(replace(mine.repairs[0], why=why),))


def _price(repairs: Sequence[Repair]) -> float:
    """What repairs cost together: one slip on several lines is one, that was made again."""
    changes = {change_of(r.before, r.after) for r in repairs}
    brought = {(r.kind, frozenset(_words(r.after)) - frozenset(_words(r.before))) for r in repairs}
    alike = len(changes) == 1 or (len(brought) == 1 and any(names for _, names in brought))
    if not alike:
        return sum(r.cost for r in repairs)
    odd = max(0.0, _SMALL - PLAIN) if any(r.kind == "complement" for r in repairs) else 0.0
    return max(r.cost for r in repairs) + _AGAIN * (len(repairs) - 1) + odd


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", text)


def _searches(problem: Problem, findings: Findings, diagnosis: Diagnosis) -> list[tuple[Leaf, Cures]]:
    """The search for cures in each formula of the hand side that can be edited and run."""
    parts, found = leaves(problem.hand), []
    verdicts = {(s.name, None if s.source is None else s.source.line): s.verdict or "" for s in diagnosis.steps}
    wrong = [(s, s.source) for s in diagnosis.steps if s.verdict == "wrong" and s.source is not None]
    for leaf in parts:
        code = code_of(leaf.formula)
        if code is None:
            continue
        before: set[int | None] = set()
        for s, source, unit in ((s, at, u) for s, at in wrong for u in code.units if u.covers(at)):
            before |= {*(u.line for u in s.unsure), *(n for n, _ in lines_before(unit, source.line, s.name))}
        doing("looking for a repair")
        trials = trials_of(problem, findings, leaf, code, diagnosis.derivation.point, alone=len(parts) == 1)
        if trials is not None:
            found.append((leaf, Cures(trials, diagnosis.derivation, Known(verdicts, before))))
    return found


def _blamed(
    problem: Problem, diagnosis: Diagnosis, searches: Sequence[tuple[Leaf, Cures]], most: float | None = None
) -> Accusation | None:
    """That of the first cure that is judged right; ``most`` asks for a small edit of one line, of that cost."""
    for leaf, cures in searches:
        if cures.is_right:
            continue
        found = (cures.all() if most is None else cures.small(most))[:_JUDGED]
        if (blamed := _of_leaf(problem, diagnosis, leaf, found)) is not None:
            return blamed
    return None


def _of_leaf(problem: Problem, diagnosis: Diagnosis, leaf: Leaf, found: Sequence[Cure]) -> Accusation | None:
    doing("looking for a repair")
    made = widest(
        found,
        lambda cure: [r.edit for r in cure.remedies],
        lambda cure, lengths: judged_right(problem, *_proposed(cure, leaf), lengths),
    )
    if made is None:
        return None
    cure, (source, kind) = made
    repairs = tuple(repairs_of(*_proposed(cure, leaf), kind))
    if (other := _as_good(cure, found)) is not None:
        line, text = _statement_line(other.place), other.edit.text
        told = f"{repairs[0].why} Line {line} may be meant instead: with {text} there, all is right too."
        repairs = (replace(repairs[0], why=told),)
    return Accusation(*_accused(diagnosis, cure), repairs, source, price=cure.cost)


def _as_good(cure: Cure, found: Sequence[Cure]) -> Remedy | None:
    """The remedy of another line that costs about as much and makes the same change."""
    mine = cure.remedies[0]
    for other in found:
        remedy = other.remedies[0]
        elsewhere = len(other.remedies) == 1 and _statement_line(remedy.place) != _statement_line(mine.place)
        if elsewhere and remedy.cost <= mine.cost + _AS_GOOD and _change(remedy) == _change(mine):
            return remedy
    return None


def _change(remedy: Remedy) -> tuple[str, ...]:
    return change_of(remedy.place.expression.text, remedy.edit.text)


def _proposed(cure: Cure, leaf: Leaf) -> tuple[list[Proposal], list[Edit]]:
    """A cure as proposals, and what is chosen of each."""
    proposals = [
        Proposal(
            r.place.name, _statement_line(r.place), (leaf, r.scene.site), r.place.expression.text, (r.edit,), r.scene
        )
        for r in cure.remedies
        if r.scene is not None
    ]
    return proposals, [r.edit for r in cure.remedies]


def _accused(diagnosis: Diagnosis, cure: Cure) -> tuple[tuple[StepFinding, ...], tuple[str, ...]]:
    """The lines' findings, with those blamed that the cure changes."""
    blamed = {(r.place.name, _statement_line(r.place)): r.place for r in cure.remedies}
    first = min(line for _, line in blamed)
    steps = []
    for s in diagnosis.steps:
        line = None if s.source is None else s.source.line
        if (s.name, line) in blamed and s.verdict != "unused":
            s = replace(s, verdict="wrong", claims=s.claims if s.verdict == "wrong" else None)
        elif s.verdict == "wrong":
            s = replace(s, verdict="fed wrong values" if line is None or line > first else "unknown")
        steps.append(s)
    told = {(s.name, None if s.source is None else s.source.line) for s in steps if s.verdict == "wrong"}
    names = []
    for key, place in blamed.items():
        if key not in told and place.role != "returned" and place.expression.statement is not None:
            steps.append(_unnamed(place, *key))
        names.append(place.name if place.role != "returned" else "return")
    in_order = sorted(steps, key=lambda s: 0 if s.source is None or s.source.line is None else s.source.line)
    return tuple(in_order if len(steps) > len(diagnosis.steps) else steps), tuple(dict.fromkeys(names))


def _unnamed(place: Place, name: str, line: int) -> StepFinding:
    """A line that holds no number, such as a condition."""
    text = place.unit.text.splitlines()[line - place.unit.first].strip()
    return StepFinding(name, 0, Source(text, place.unit.file, line), None, "wrong")


def _statement_line(place: Place) -> int:
    s = place.expression.statement
    return place.line if s is None else place.unit.first + s.lineno - 1
