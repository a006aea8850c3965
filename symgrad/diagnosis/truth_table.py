"""The table of true quantities: everything a line of a derivation may claim to be, as steps of one Program.

For every step of the model: its value, its adjoint, the adjoint's parts by consumer and their partial sums; the
tangents along the scalar inputs; derivatives between named quantities; and the derivatives that were asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.checking.comparison import Branch
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.derivative import pull, reverse
from symgrad.program.program import Program, Strided, positions, size

# ------------------------------------------------------------------------------------------------------------ summands
# The terms of a sum: what each sample of a batch adds to a gradient that is written as one product or one sum.

_MOST = 32


def terms_of(b: Builder, i: int) -> list[int]:
    """Steps that add up to step ``i``, one for each index that is summed over; none where it is no sum.

    >>> b = Builder()
    >>> x, y = b.input("x", (4, 2)), b.input("y", (4, 3))
    >>> len(terms_of(b, b.matmul(b.transpose(x), y)))
    4
    """
    step = b.steps[i]
    match step.op:
        case "name" | "cast" | "neg":
            return [b.emit(step.op, (t,), step.params, step.shape, step.dtype) for t in terms_of(b, step.args[0])]
        case "pick" if len(step.args) == 1 and size(step.shape) == size(b.shape(step.args[0])):
            return [b.pick([t], step.params, step.shape) for t in terms_of(b, step.args[0])]
        case "mul":
            x, y = step.args[0], step.args[-1]
            return [b.mul(t, y) for t in terms_of(b, x)] or [b.mul(x, t) for t in terms_of(b, y)]
        case "div":
            return [b.div(t, step.args[-1]) for t in terms_of(b, step.args[0])]
        case "matmul":
            return _products(b, *step.args)
        case "scatter":
            return _summands(b, i)
    return []


def _products(b: Builder, a: int, c: int) -> list[int]:
    batch, n, k = b.shape(a)
    m = b.shape(c)[-1]
    if not 2 <= k <= _MOST:
        return []
    found = []
    left = np.arange(1, batch * n * k + 1).reshape(batch, n, k)
    right = np.arange(1, batch * k * m + 1).reshape(batch, k, m)
    for j in range(k):
        column = b.pick([a], left[:, :, j : j + 1].reshape(-1), (batch, n, 1))
        row = b.pick([c], right[:, j : j + 1].reshape(-1), (batch, 1, m))
        found.append(b.emit("matmul", (column, row), None, (batch, n, m)))
    return found


def _summands(b: Builder, i: int) -> list[int]:
    step = b.steps[i]
    (a,) = step.args
    n, total = size(step.shape), size(b.shape(a))
    if not n or total % n or not 2 <= total // n <= _MOST:
        return []
    strided = isinstance(step.params, Strided)
    where = np.asarray(positions(step.params, b.shape(a)) if strided else step.params).reshape(-1)
    order = np.argsort(where, kind="stable")
    if not np.array_equal(where[order], np.repeat(np.arange(1, n + 1), total // n)):
        return []
    places = (order + 1).reshape(n, total // n)
    return [b.pick([a], places[:, j], step.shape) for j in range(total // n)]


# --------------------------------------------------------------------------------------------------------- truth table

_SUBSETS = 4  # up to so many parts every partial sum is written; of more, the sums from either end
_PAIRS = 24  # named quantities between which all derivatives are written
_STEPS = 6000  # steps that these may add
_ENTRYWISE = frozenset("name cast neg add sub mul div ipow pow".split())  # and the scalar functions
_ENTRIES = 256  # entries of a Jacobian between two named quantities


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """A true quantity: ``kind`` of (``of``, ``wrt``), held by ``step``.

    Kinds: "final" (what was asked for), "adjoint", "part" (of an adjoint, by some consumers), "term" (of
    a result, by one sample), "tangent", "local" (the
    derivative of the sum of ``of``), "jacobian", "row", "value" (of the model) and "step" (of the truth's own
    computation).  ``rank`` is how much it says to equal one, 0 most.
    """

    kind: str
    of: int | None
    wrt: int | None
    step: int
    rank: int
    note: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """The Program with the true quantities written at its end, and what each of them is."""

    program: Program
    entries: tuple[Entry, ...]
    model: tuple[int, ...]  # the steps of the model, in order
    adjoints: Mapping[int, int]

    def about(self, kinds: Iterable[str], of: int | None, wrt: int | None) -> list[Entry]:
        kinds = set(kinds)
        return [e for e in self.entries if e.kind in kinds and e.of == of and e.wrt == wrt]


def tabulate(branch: Branch, named: Sequence[int], tangents: Sequence[str]) -> Table:
    """Write the table of a branch; ``named`` are the model's steps that have names, ``tangents`` scalar inputs."""
    program = branch.program
    b = Builder.on(program)
    b.source = None
    model = program.needed([branch.model])
    entries = [Entry("final", branch.model, program.inputs.get(p.name), p.exact, 0) for p in branch.pairs]
    of, edges = reverse(b, {branch.model: b.ones(b.shape(branch.model), b.dtype(branch.model))}, set(model))
    of = {i: g for i, g in of.items() if i in set(model)}
    entries += [Entry("adjoint", branch.model, i, g, 0) for i, g in of.items()]
    entries += _parts(b, branch.model, of, edges)
    entries += _through(b, branch, set(model), of, named)
    own = range(_end_of_hand(branch), len(b.steps))  # the truth's own computation
    entries += _terms(b, branch, entries)
    along = {name: tangents_of(b, model, program.inputs[name]) for name in tangents}
    for name, found in along.items():
        direction = program.inputs[name]
        entries += [Entry("tangent", i, direction, t, 0) for i, t in found.items() if i != direction]
    entries += _stacked(b, branch, named, along)
    entries += _between(b, model, named)
    entries += _rows(b, branch)
    known = {e.step for e in entries}
    entries += [Entry("step", None, None, i, 3) for i in own if i not in known and b.steps[i].op != "constant"]
    constant = ("constant",)
    entries += [Entry("value", i, None, i, 4) for i in model if b.steps[i].op not in constant]
    return Table(b.build(program.outputs), tuple(sorted(entries, key=lambda e: e.rank)), tuple(model), of)


def _end_of_hand(branch: Branch) -> int:
    """The first step after the hand code's: the exact derivatives begin there."""
    return len(branch.model_run.program) + len(branch.hand_run.program) - _shared(branch)


def _shared(branch: Branch) -> int:
    model, hand = branch.model_run.program, branch.hand_run.program
    return len(set(model.inputs) & set(hand.inputs))


def _parts(b: Builder, output: int, of: Mapping[int, int], edges: Sequence[tuple[int, int, int]]) -> list[Entry]:
    """The parts of an adjoint, consumer by consumer, and their partial sums."""
    uses: dict[int, list[int]] = {}
    for a, _, contribution in edges:
        uses.setdefault(a, []).append(contribution)
    found = []
    for i, parts in uses.items():
        if len(parts) < 2 or i not in of:
            continue
        found += [Entry("part", output, i, g, 1, "one") for g in parts]
        if len(parts) <= _SUBSETS:
            chosen = [c for r in range(2, len(parts)) for c in itertools.combinations(parts, r)]
            found += [Entry("part", output, i, _sum(b, c), 1, "some") for c in chosen]
        else:
            for order in (parts, parts[::-1]):
                total = order[0]
                for g in order[1:-1]:
                    total = b.add(total, g)
                    found.append(Entry("part", output, i, total, 1, "some"))
    return found


def _through(b: Builder, branch: Branch, model: set[int], of: Mapping[int, int], named: Sequence[int]) -> list[Entry]:
    """The derivatives by what stands for an input entry by entry, as sigma = exp(log_sigma) does, of a model that uses
    the input elsewhere too: everything as a function of sigma.
    """
    wanted = {branch.program.inputs.get(p.name): p.exact for p in branch.pairs if p.name in branch.program.inputs}
    uses: dict[int, int] = {}
    for a in (a for i in model for a in set(b.steps[i].args)):
        uses[a] = uses.get(a, 0) + 1
    found = []
    for i in dict.fromkeys(named):
        start = argument_of(b, i)
        if start == i or start not in wanted or uses.get(start, 0) < 2 or i not in of or b.shape(i) != b.shape(start):
            continue
        slope, _ = reverse(b, {i: b.ones(b.shape(i), b.dtype(i))}, {start})
        if start in slope:
            found.append(Entry("adjoint", branch.model, i, b.div(wanted[start], slope[start]), 1, "through"))
    return found


def argument_of(b: Builder | Program, i: int) -> int:
    """The step that a value is a function of entry by entry, with nothing but constants beside it: itself, if none."""
    shape = b.shape(i)
    while b.steps[i].op in _ENTRYWISE or b.steps[i].op in OPS:
        moving = [a for a in set(b.steps[i].args) if not _is_constant(b, a)]
        if len(moving) != 1 or b.shape(moving[0]) != shape:
            break
        i = moving[0]
    return i


def _is_constant(b: Builder | Program, i: int) -> bool:
    while b.steps[i].op in ("pick", "name", "cast") and len(b.steps[i].args) == 1:
        i = b.steps[i].args[0]
    return b.steps[i].op == "constant"


def _terms(b: Builder, branch: Branch, known: Sequence[Entry]) -> list[Entry]:
    """What single samples add to the results, or to a part of one."""
    wanted = {branch.program.inputs.get(p.name) for p in branch.pairs} - {None}
    found = []
    for e in known:
        whole = e.kind in ("final", "part") and e.note != "some" and e.wrt in wanted
        if whole and size(b.shape(e.step)) <= _ENTRIES:
            found += [Entry("term", e.of, e.wrt, t, 2) for t in terms_of(b, e.step)]
    return found


def _sum(b: Builder, parts: Sequence[int]) -> int:
    total = parts[0]
    for g in parts[1:]:
        total = b.add(total, g)
    return total


_LINEAR = frozenset("neg pick scatter name cast conj real imag".split())


def tangents_of(b: Builder, model: Sequence[int], direction: int) -> dict[int, int]:
    """The tangent of every step of the model along a scalar input, in one pass forward."""
    found = {direction: b.ones(b.shape(direction), b.dtype(direction))}
    for i in model:
        step = b.steps[i]
        on = [a for a in step.args if a in found]
        if not on or i in found or step.op == "stop":
            continue
        if step.op in _LINEAR and (step.op != "pick" or len(step.args) == 1):
            found[i] = b.emit(step.op, (found[step.args[0]],), step.params, step.shape, step.dtype)
        elif step.op == "pick":
            given = [found[a] if a in found else b.zeros(b.shape(a), b.dtype(a)) for a in step.args]
            found[i] = b.emit("pick", given, step.params, step.shape, step.dtype)
        else:
            found[i] = _forward(b, i, found)
    return found


def _stacked(
    b: Builder, branch: Branch, named: Sequence[int], along: Mapping[str, Mapping[int, int]]
) -> Iterator[Entry]:
    """The tangents of named numbers along all scalar inputs as one array, where the hand code has arrays of that
    length."""
    bindings = branch.program.bindings[len(branch.model_run.program.bindings) :]
    if len(along) < 2 or not any(b.shape(i.step) == (len(along),) for i in bindings):
        return
    for i in dict.fromkeys(named):
        moving = [found for found in along.values() if i in found]
        if moving and b.shape(i) == () and b.steps[i].op != "input":
            none = b.zeros((), b.dtype(i))
            together = b.stack([found.get(i, none) for found in along.values()])
            yield Entry("tangent", i, None, together, 0, f"({', '.join(along)})")


def _forward(b: Builder, i: int, tangents: Mapping[int, int]) -> int:
    """One step's tangent: its pull is linear in the cotangent, and the tangent is that map's transpose."""
    step = b.steps[i]
    seed = b.emit("input", (), f"seed of %{i}", step.shape, step.dtype)
    back: dict[int, int] = {}
    total: int | None = None
    for a, contribution in pull(b, i, seed, set(tangents)):
        of, _ = reverse(b, {contribution: tangents[a]}, {seed})
        back = {seed: of[seed]} if seed in of else {}
        if back:
            total = back[seed] if total is None else b.add(total, back[seed])
    return b.zeros(step.shape, step.dtype) if total is None else total


def _between(b: Builder, model: Sequence[int], named: Sequence[int]) -> list[Entry]:
    """The derivatives between named quantities, where they have the shape of one of the two."""
    found: list[Entry] = []
    chosen = [i for i in dict.fromkeys(named) if b.steps[i].op not in ("input", "constant")]
    if len(chosen) > _PAIRS or len(chosen) * len(model) > _STEPS:
        return found
    for o in chosen:
        of, _ = reverse(b, {o: b.ones(b.shape(o), b.dtype(o))}, set(model))
        for i, g in of.items():
            like_one = size(b.shape(o)) == 1 or b.shape(i) == b.shape(o)
            if i != o and i in of and like_one and b.steps[g].op != "constant":
                found.append(Entry("local", o, i, g, 1))
    return found


def _rows(b: Builder, branch: Branch) -> list[Entry]:
    """The rows, columns and entries of small Jacobians and Hessians."""
    found = []
    for p in branch.pairs:
        wrt = branch.program.inputs.get(p.name)
        if wrt is None:  # a value, and no derivative
            continue
        inner = b.shape(wrt)
        if len(p.shape) == 0 or size(p.shape) > 64 or p.shape == inner:
            continue
        for k in range(size(p.shape)):
            entry = b.pick([p.exact], _positions([k]), ())
            found.append(Entry("row", branch.model, wrt, entry, 1, f"entry {k}"))
        if len(p.shape) == 2:
            n, m = p.shape
            for k in range(n):
                row = b.pick([p.exact], _positions(range(k * m, k * m + m)), (m,))
                found.append(Entry("row", branch.model, wrt, row, 1, f"row {k}"))
            for k in range(m):
                column = b.pick([p.exact], _positions(range(k, n * m, m)), (n,))
                found.append(Entry("row", branch.model, wrt, column, 1, f"column {k}"))
    return found


def _positions(places: Iterable[int]):
    import numpy as np

    return np.array([k + 1 for k in places], dtype=np.int64)


def ask(table: Table, output: int, pairs: Sequence[tuple[int, int]]) -> Table:
    """The table with the derivatives of the given pairs (of, wrt), in the shapes that people hold them in."""
    b = Builder.on(table.program)
    b.source = None
    have = {(e.kind, e.of, e.wrt) for e in table.entries}
    found: list[Entry] = []
    spent = 0
    wanted: dict[int, list[int]] = {}
    for o, w in pairs:
        if o != w and not have & {("local", o, w), ("tangent", o, w)} and b.steps[o].op != "input":
            wanted.setdefault(o, []).append(w)
    for o, ws in wanted.items():
        if spent > 40 * _STEPS:
            break
        before = len(b.steps)
        n = size(b.shape(o))
        of, _ = reverse(b, {o: b.ones(b.shape(o), b.dtype(o))}, set(ws))
        for w in ws:
            if w in of and o != output:
                found.append(Entry("local", o, w, of[w], 1))
        for w in ws:
            if w in of and n > 1 and n * size(b.shape(w)) <= _ENTRIES:
                rows = []
                for k in range(n):
                    unit = [0] * n
                    unit[k] = 1
                    seed = b.pick([b.number(1, b.dtype(o))], _unit(unit), b.shape(o))
                    got, _ = reverse(b, {o: seed}, {w})
                    rows.append(got.get(w, b.zeros(b.shape(w), b.dtype(w))))
                jacobian = b.reshape(b.stack(rows), (*b.shape(o), *b.shape(w)))
                found.append(Entry("jacobian", o, w, jacobian, 1))
        spent += len(b.steps) - before + o // 8
    entries = tuple(sorted([*table.entries, *found], key=lambda e: e.rank))
    return Table(b.build(table.program.outputs), entries, table.model, table.adjoints)


def _unit(unit: Sequence[int]):
    import numpy as np

    return np.array(unit, dtype=np.int64)
