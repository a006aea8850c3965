"""What a line needs to be, so that everything that is returned comes right.

Every line of the hand code is a step, or several where it runs several times, of one Program.  Freed, it holds its
value plus an unknown; what is returned is then a function of the unknown, and its Jacobian is exact (reverse mode on
the Program's own steps).  Gauss and Newton solve it.  Where the solution is the only one, it is what the line needs,
and an edit of the line can be looked for by its value alone.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.bench import Bench, Edit, as_array, uses_tensors
from symgrad.diagnosis.candidates import Atom, wrapped
from symgrad.diagnosis.expression_text import after_sign, factor, factor_after, multiples, numbered, places_in
from symgrad.evaluation.floats import Floats
from symgrad.program.program import Program, Step, interpret

# ---------------------------------------------------------------------------------------------------- missing products
# What a line lacks, or should be: a product of up to three values in scope, found by its value at all samples at once.
#
# What is needed minus what is there is a term, what is needed over what is there a factor.  Values are laid out in the
# shape of the line, so that ``x[:, None]`` and ``x`` are two candidates; the first product of two is kept as a table,
# and a third factor is looked up by what is left.

_ATOMS = 192  # values that are multiplied with one another
_SUMMED = 14  # values of which products are summed
_LARGE = 4096  # entries of such a value
_TRIPLES = 28  # and those of which three are
_AVERAGED = 10  # arrays of which products are averaged over an axis
_BESIDE_A_MEAN = 16  # factors of which two stand beside such a mean


@dataclass(frozen=True, eq=False)
class _Factor:
    text: str
    value: np.ndarray  # at all samples, end to end
    cost: float


@dataclass(frozen=True, eq=False)
class _Product:
    number: Fraction
    parts: tuple[_Factor, ...]

    @property
    def cost(self) -> float:
        return sum(p.cost for p in self.parts) + 0.15 * (abs(self.number) != 1)

    @property
    def text(self) -> str:
        body = " * ".join(factor_after(p.text) for p in self.parts)
        n = abs(self.number)
        return numbered(body, n)


def missing_products(
    bench: Bench,
    line: str,
    size: int,
    atoms: Sequence[Atom],
    wanted: Sequence[np.ndarray] | None = None,
    write: Callable[[str], str] = str,
) -> Iterator[Edit]:
    """Terms and factors that the line lacks, and products that it should be.

    ``wanted`` is what a part of a line has to be at each sample, where ``line`` is that part, and ``write`` puts
    another text in its place.  Nothing is told that holds at the samples by its value and not by ``bench``.
    """
    try:
        have = [np.asarray(as_array(v)) for v in bench.values(line)]
    except Exception:
        return
    nothing = line.strip() == "None"
    wanted = bench.wanted if wanted is None else wanted
    if not wanted or any(w.dtype.kind not in "fiu" or not w.size for w in wanted):
        return
    want = np.concatenate([w.ravel() for w in wanted]).astype(float)
    laid = [_laid(h, w.shape) for h, w in zip(have, wanted, strict=True)]
    rests = [("replace", want, 0.12 * size)]
    are_numbers = all(h.dtype.kind in "fiub" for h in have)  # a mapping that is returned is none
    if all(x is not None for x in laid) and are_numbers and not nothing:
        mine = np.concatenate([x.ravel() for x in laid if x is not None]).astype(float)
        with np.errstate(all="ignore"):
            rests += [("term", want - mine, 0.7), ("factor", want / mine, 0.55)]
    shapes = [w.shape for w in wanted]
    factors, means = _factors(bench, atoms, shapes), _means(bench, atoms, shapes)
    for kind, goal, extra in rests:
        if not np.isfinite(goal).all() or not np.abs(goal).max() > 1e-300:
            continue
        sums = () if kind == "factor" else _summed(bench, goal, atoms, shapes)
        found = [*itertools.islice(_products(goal, factors, means), 8), *itertools.islice(sums, 4)]
        several = [(p,) for p in found]
        if kind == "term" and not found:
            several = list(itertools.islice(_two_terms(goal, factors, means), 8))
        for products in several:
            new = functools.reduce(lambda text, p, kind=kind: _combined(text, kind, p), products, line)
            if bench.fits(write(new)):
                cost = sum(p.cost + bench.chance(abs(p.number)) for p in products) + extra
                yield Edit(write(new), line, new, kind, cost, "product")


def _summed(
    bench: Bench, goal: np.ndarray, atoms: Sequence[Atom], shapes: Sequence[tuple[int, ...]]
) -> Iterator[_Product]:
    """Sums over an axis, or over all, of products of up to three values, that are the goal times a simple number."""
    tensors = uses_tensors(bench)
    names = [a for a in sorted(atoms, key=lambda a: a.cost) if a.kind != "number" and np.ndim(as_array(a.value[0]))]
    for axis, word in ((0, "0"), (-1, "-1"), (None, "")):
        text = word if tensors or not word else f"axis={word}"
        chosen, laid = [], []
        for atom in names[:_SUMMED]:
            parts = [_over(np.asarray(as_array(v)), shape, axis) for v, shape in zip(atom.value, shapes, strict=True)]
            if all(p is not None and p.size <= _LARGE for p in parts):
                chosen.append(atom)
                laid.append(parts)
        for n in (2, 3):
            for places in itertools.combinations_with_replacement(range(len(chosen)), n):
                try:
                    sums = [math.prod(laid[i][k] for i in places[1:]) * laid[places[0]][k] for k in range(len(shapes))]
                    value = np.concatenate([np.asarray(s.sum(axis)).ravel() for s in sums]).astype(float)
                except ValueError:  # of shapes that do not go together
                    continue
                if len(value) != len(goal):
                    continue
                body = " * ".join(factor_after(chosen[i].text) for i in places)
                cost = sum(chosen[i].cost for i in places) + 0.4
                yield from _checked(goal, [(_Factor(f"({body}).sum({text})", value, cost),)])


def _over(value: np.ndarray, shape: tuple[int, ...], axis: int | None) -> np.ndarray | None:
    """A value whose sum over an axis has a shape, or over all axes none."""
    if value.dtype.kind not in "fiu":
        return None
    if axis is None:
        return value if not shape else None
    rest = value.shape[1:] if axis == 0 else value.shape[:-1]
    return value if rest == shape else None


def _combined(line: str, kind: str, product: _Product) -> str:
    sign, minus = ("-", "-") if product.number < 0 else ("+", "")
    match kind:
        case "term":
            return f"{line} {sign} {after_sign(product.text, sign)}"
        case "factor":
            return f"{minus}{factor(line)} * {product.text}"
    return f"{minus}{product.text}"


def _laid(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        return None


_Form = tuple[str, float, Callable[[np.ndarray], np.ndarray]]


def _forms(rank: int, tensors: bool) -> Iterator[_Form]:
    """The ways in which a value is laid out over a line of so many axes: ``{}`` is its text, in brackets if need be."""
    yield "{}", 0.0, lambda v: v
    yield "{}**2", 0.35, lambda v: v**2
    yield "(1 / {})", 0.4, lambda v: 1 / v if not v.ndim else v[:0]
    yield "1 - {}", 0.5, lambda v: 1 - v
    yield "1 - {}**2", 0.5, lambda v: 1 - v**2
    if rank > 1:
        yield "{}[:, None]", 0.1, lambda v: v[:, None]
        yield "{}[None, :]", 0.1, lambda v: v[None, :]
        yield "{}.T", 0.15, lambda v: v.T
        yield "({}**2)[:, None]", 0.4, lambda v: v[:, None] ** 2
    if rank:
        axis, keep = ("", "keepdim") if tensors else ("axis=", "keepdims")
        yield "{}.sum()", 0.3, lambda v: v.sum()
        yield f"{{}}.sum({axis}-1, {keep}=True)", 0.35, lambda v: v.sum(-1, keepdims=True)
        yield f"{{}}.mean({axis}-1, {keep}=True)", 0.35, lambda v: v.mean(-1, keepdims=True)
        for k, word in itertools.product((0, 1), ("sum", "mean")):
            yield f"{{}}.{word}({axis}{k})", 0.3, lambda v, k=k, word=word: getattr(v, word)(k) if v.ndim > 1 else v[:0]


def _factors(bench: Bench, atoms: Sequence[Atom], shapes: Sequence[tuple[int, ...]]) -> list[_Factor]:
    """The atoms in every layout that spreads over the line's shape, each value once, the cheapest first."""
    forms = list(_forms(max(map(len, shapes)), uses_tensors(bench)))
    found: dict[bytes, _Factor] = {}
    for atom in sorted(atoms, key=lambda a: a.cost):
        values = [np.asarray(as_array(v)) for v in atom.value]
        if atom.kind in ("number", "degrees") or any(v.dtype.kind not in "fiu" for v in values):
            continue
        for form, more, laid_out in forms:
            try:
                with np.errstate(all="ignore"):
                    parts = [np.broadcast_to(laid_out(v), s).ravel() for v, s in zip(values, shapes, strict=True)]
            except (ValueError, IndexError):  # of a shape that does not spread so
                continue
            flat = np.concatenate(parts).astype(float)
            if np.isfinite(flat).all() and flat.any():
                text = form.format(atom.text if form == "{}" else wrapped(atom.text))
                found.setdefault(np.round(flat, 10).tobytes(), _Factor(text, flat, atom.cost + more))
    return sorted(found.values(), key=lambda f: f.cost)[:_ATOMS]


def _means(bench: Bench, atoms: Sequence[Atom], shapes: Sequence[tuple[int, ...]]) -> list[_Factor]:
    """Means and sums of products of two arrays, over each row, each column or all entries, spread over the line.

    They are what a norm, a softmax or a projection takes off: ``n * (g * n).mean(-1)``, ``p * (g * p).sum(-1)``.
    """
    rank = max(map(len, shapes))
    arrays = [(a, [np.asarray(as_array(v)) for v in a.value]) for a in atoms if a.kind not in ("number", "size")]
    arrays = [(a, vs) for a, vs in arrays if all(v.ndim and v.dtype.kind == "f" and v.size <= _LARGE for v in vs)]
    axis, keep = ("", "keepdim") if uses_tensors(bench) else ("axis=", "keepdims")
    over: list[tuple[str, float, Any]] = [("", 0.5, None)]
    if rank > 1:
        over = [(f"{axis}-1, {keep}=True", 0.4, -1), (f"{axis}0", 0.4, 0), ("", 0.6, None)]
    found: dict[bytes, _Factor] = {}
    chosen = sorted(arrays, key=lambda pair: pair[0].cost)[:_AVERAGED] if rank else []
    for (a, xs), (b, ys) in itertools.combinations_with_replacement(chosen, 2):
        if any(x.shape != y.shape for x, y in zip(xs, ys, strict=True)):
            continue
        body = f"({wrapped(a.text)}**2)" if a is b else f"({factor(a.text)} * {factor_after(b.text)})"
        for (text, more, k), word in itertools.product(over, ("mean", "sum")):
            try:
                with np.errstate(all="ignore"):
                    parts = [getattr(x * y, word)(axis=k, keepdims=k == -1) for x, y in zip(xs, ys, strict=True)]
                    flat = np.concatenate([np.broadcast_to(p, s).ravel() for p, s in zip(parts, shapes, strict=True)])
            except ValueError:  # of a shape that does not spread so
                continue
            if np.isfinite(flat).all() and flat.any():
                cost = a.cost + b.cost + more
                found.setdefault(np.round(flat, 10).tobytes(), _Factor(f"{body}.{word}({text})", flat, cost))
    return sorted(found.values(), key=lambda f: f.cost)


def _products(goal: np.ndarray, factors: Sequence[_Factor], means: Sequence[_Factor]) -> Iterator[_Product]:
    """The products that are the goal times a simple number: of one factor, of two, and if there are none, of three; or
    of a mean and up to two factors.
    """
    places = places_in(goal)
    there, table = goal[places], np.array([f.value[places] for f in factors]).reshape(len(factors), -1)
    found = list(_checked(goal, [(factors[i],) for i, _ in multiples(there, table)]))
    pairs = [(i, i + j) for i in range(len(factors)) for j, _ in multiples(there, table[i] * table[i:])]
    found += _checked(goal, [(factors[i], factors[j]) for i, j in pairs])
    yield from found
    triples = range(0 if found else min(_TRIPLES, len(factors)))
    for i, j in itertools.combinations_with_replacement(triples, 2):
        hits = multiples(there, table[i] * table[j] * table[j : len(triples)])
        yield from _checked(goal, [(factors[i], factors[j], factors[j + k]) for k, _ in hits])
    chosen = list(_up_to_two(len(factors), _BESIDE_A_MEAN))
    beside = np.array([math.prod((table[i] for i in those), start=np.ones(len(places))) for those in chosen])
    for mean in () if found else means:
        hits = multiples(there, mean.value[places] * beside)
        yield from _checked(goal, [(*(factors[i] for i in chosen[k]), mean) for k, _ in hits])


def _up_to_two(one: int, two: int) -> Iterator[tuple[int, ...]]:
    """Nothing, each of so many, and the pairs of the first of them."""
    yield ()
    yield from ((i,) for i in range(one))
    yield from itertools.combinations_with_replacement(range(min(one, two)), 2)


def _two_terms(
    goal: np.ndarray, factors: Sequence[_Factor], means: Sequence[_Factor]
) -> Iterator[tuple[_Product, _Product]]:
    """Two products whose sum or difference, with either sign, is the goal: met in the middle."""
    few = factors[:_BESIDE_A_MEAN]
    single = [(f,) for f in factors] + [(m,) for m in means]
    single += [(f, m) for f in few for m in means] + list(itertools.combinations_with_replacement(few, 2))
    if not single:
        return
    places = places_in(goal)
    there = goal[places]
    table = np.array(
        [math.prod((p.value[places] for p in parts[1:]), start=parts[0].value[places]) for parts in single]
    )
    order = np.argsort(table[:, 0])
    keys, far = table[order, 0], _CLOSE * np.abs(there[0])
    met = []
    for a, b in itertools.product((1, -1), repeat=2):
        rest = b * (there - a * table)
        low, high = np.searchsorted(keys, rest[:, 0] - far), np.searchsorted(keys, rest[:, 0] + far)
        for i in np.flatnonzero(high > low).tolist():
            for j in order[low[i] : high[i]].tolist():
                if i < j and (np.abs(rest[i] - table[j]) <= far).all():
                    met.append((_Product(Fraction(a), single[i]), _Product(Fraction(b), single[j])))
    for one, other in sorted(met, key=lambda pair: pair[0].cost + pair[1].cost):
        total = sum(float(p.number) * math.prod(f.value for f in p.parts) for p in (one, other))
        if (np.abs(total - goal) <= far).all():
            yield one, other


def _checked(goal: np.ndarray, many: Sequence[tuple[_Factor, ...]]) -> Iterator[_Product]:
    """The products with the simple number c for which goal = c product, everywhere."""
    most = int(np.argmax(np.abs(goal)))
    order = [most, *(k for k in range(len(goal)) if k != most)]
    for parts in many:
        value = math.prod((p.value for p in parts[1:]), start=parts[0].value)
        for _, number in multiples(goal[order], value[order][None]):
            yield _Product(number, parts)


# --------------------------------------------------------------------------------------------------------------- needs

_ROWS = 160  # entries of what is returned that are looked at
_UNKNOWNS = 120  # entries of a line that are solved for
_NEWTON = 6
_NEWTONS = 40  # lines of so many entries are solved for where more than one step is needed
_CLOSE = 1e-7
_SMALLEST = 0.1  # part of a Newton step
_LINEAR = 1e-6  # of what a step leaves, that something else than a linear function may leave


@dataclass(frozen=True, slots=True)
class Output:
    """One thing that is returned: its name, the hand code's step, the truth's, and whether it is wrong."""

    name: str
    hand: int
    exact: int
    wrong: bool


@dataclass(frozen=True, eq=False)
class Need:
    """What a line needs: for each of its steps the value, None where nothing depends on it; ``outputs`` are the wrong
    ones that are then right, none where no value puts any of them right alone.  ``values`` is None where more than one
    value serves.
    """

    outputs: tuple[str, ...]
    values: tuple[np.ndarray | None, ...] | None


class _Freed(Floats):
    """Floats with something added to some steps, and with nothing held constant."""

    def __init__(self, more: Mapping[int, torch.Tensor]) -> None:
        super().__init__("float64")
        self.more = more

    def read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        out = args[0] if step.op == "stop" else super().read(step, args)
        added = self.more.get(id(step))
        return out if added is None else out + added


Rows = Sequence[Mapping[int, np.ndarray]]  # for each output, d (mixtures of) its entries / d a freed step's


@dataclass(frozen=True, eq=False)
class _Question:
    """The Program at a point; its steps are told apart by identity."""

    program: Program
    outputs: Sequence[Output]
    inputs: Mapping[str, torch.Tensor]
    truths: Sequence[np.ndarray]

    def read(self, free: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
        """All values, with ``free`` added to the steps that it names."""
        more = {id(self.program.steps[i]): z for i, z in free.items()}
        return interpret(self.program, _Freed(more), self.inputs, [o.hand for o in self.outputs])

    def off(self, values: Mapping[int, torch.Tensor], asked: Sequence[int]) -> list[np.ndarray]:
        """What is missing from each of the outputs ``asked``."""
        return [self.truths[k] - values[self.outputs[k].hand].detach().reshape(-1).numpy() for k in asked]


def needs_of(
    program: Program, outputs: Sequence[Output], lines: Mapping[Any, Sequence[int]], point: Mapping[str, Any]
) -> dict[Any, Need]:
    """What each of the lines, freed by itself, needs at a point; those of which nothing is found are missing.

    ``lines`` maps a line to its steps.  A line that puts all wrong outputs right is told with all of them, another
    with the first that it puts right alone.
    """
    program = replace(program, steps=tuple(replace(s) for s in program.steps))
    if any(n not in point for n in program.inputs) or any(s.is_complex for s in program.steps):
        return {}
    inputs = {n: torch.as_tensor(np.asarray(point[n])).double() for n in program.inputs}
    plain = interpret(program, Floats("float64"), inputs, [o.exact for o in outputs])
    truths = [plain[o.exact].detach().reshape(-1).numpy() for o in outputs]
    question = _Question(program, outputs, inputs, truths)
    if any(math.prod(program.shape(o.hand)) != len(t) for o, t in zip(outputs, truths, strict=True)):
        return {}
    free = {i: _zeros(program, i) for steps in lines.values() for i in steps}
    values = question.read(free)
    rows = _jacobian(question, values, free)
    found = {}
    for key, steps in lines.items():
        if sum(free[i].numel() for i in steps) <= _UNKNOWNS:
            need = _need(question, values, rows, steps)
            found |= {} if need is None else {key: need}
    return found


def _zeros(program: Program, i: int) -> torch.Tensor:
    return torch.zeros(program.shape(i), dtype=torch.float64, requires_grad=True)


def _jacobian(question: _Question, values: Mapping[int, torch.Tensor], free: Mapping[int, torch.Tensor]) -> Rows:
    found = []
    for o in question.outputs:
        y = values[o.hand].reshape(-1)
        per: dict[int, list[np.ndarray]] = {i: [] for i in free}
        leaves = list(free.values())
        for row in _mixture(y.numel()):
            grads: Sequence[torch.Tensor | None] = [None] * len(leaves)  # it may depend on none of them
            if y.requires_grad:
                grads = torch.autograd.grad(y, leaves, torch.as_tensor(row), retain_graph=True, allow_unused=True)
            for i, g in zip(free, grads, strict=True):
                per[i].append(np.zeros(free[i].numel()) if g is None else g.reshape(-1).numpy())
        found.append({i: np.array(r) for i, r in per.items() if r})
    return found


def _mixture(m: int) -> np.ndarray:
    """The rows by which the entries of an output are looked at: each, or so many random sums of all of them."""
    return np.eye(m) if m <= _ROWS else np.random.default_rng(m).standard_normal((_ROWS, m)) / np.sqrt(m)


def _need(question: _Question, values: Mapping[int, torch.Tensor], rows: Rows, steps: Sequence[int]) -> Need | None:
    """What one line needs: for all wrong outputs together, else for the first that it can put right."""
    outputs = question.outputs
    wrong = [o for o in outputs if o.wrong]
    hopeless = True
    for chosen in [wrong] + ([[o] for o in wrong] if len(wrong) > 1 else []):
        asked = [k for k, o in enumerate(outputs) if o in chosen or (not o.wrong and rows[k])]
        solved = _newton(question, values, rows, steps, asked) if all(rows[k] for k in asked) else None
        if solved:
            return Need(tuple(o.name for o in chosen), solved[0] if solved[1] else None)
        hopeless = hopeless and solved is not None
    return Need((), None) if hopeless else None


def _newton(
    question: _Question, values: Mapping[int, torch.Tensor], rows: Rows, steps: Sequence[int], asked: Sequence[int]
) -> tuple[tuple[np.ndarray | None, ...], bool] | tuple[()] | None:
    """The values of the steps with which what is asked comes right, and whether there are no others; nothing where
    there are none, and None where none were found.
    """
    sizes = [math.prod(question.program.shape(i)) for i in steps]
    z = np.zeros(sum(sizes))
    scale = max([float(np.abs(question.truths[k]).max(initial=0)) for k in asked])
    first = _beside(rows, steps, asked)
    live = np.abs(first).max(axis=0, initial=0) > 0
    if not live.any() or not np.isfinite(first).all():
        return None
    unique, now, slopes, free = True, values, first, {}
    for turn in range(_NEWTON):
        off = question.off(now, asked)
        far = max(float(np.abs(r).max(initial=0)) for r in off)
        if not np.isfinite(far):
            return None
        if far <= _CLOSE * max(scale, 1e-12):
            break
        if turn:
            if sum(sizes) > _NEWTONS:
                return None
            slopes = _beside(_jacobian(question, now, free), steps, asked)
            if not np.isfinite(slopes).all() or slopes.shape != first.shape:
                return None
        right = np.concatenate([_mixture(len(r)) @ r for r in off])
        move, _, rank, _ = np.linalg.lstsq(slopes[:, live], right, rcond=1e-10)
        left = right - slopes[:, live] @ move
        if not turn:
            unique = bool(rank == live.sum())
            if np.abs(left).max() > 0.9 * np.abs(right).max():
                return None
        step = np.zeros(len(z))
        step[live] = move
        moved = _moved(question, steps, z, step, asked, far, left)
        if moved is None:
            return None if turn else ()
        z, now, free = moved
    else:
        return None
    cuts = np.cumsum([0, *sizes])
    out: list[np.ndarray | None] = []
    for i, a, b in zip(steps, cuts, cuts[1:], strict=False):
        if not live[a:b].any():  # nothing that is asked depends on it; it may not even have been computed
            out.append(None)
            continue
        unique = unique and bool(live[a:b].all())  # entries that a mask drops may be anything
        out.append(now[i].detach().numpy())  # of a recurrence not what it was, with the unknown added
    return tuple(out), unique


def _beside(rows: Rows, steps: Sequence[int], asked: Sequence[int]) -> np.ndarray:
    """The Jacobian of what is asked by the unknowns of a line."""
    return np.concatenate([np.concatenate([rows[k][i] for i in steps], axis=1) for k in asked if rows[k]])


def _moved(
    question: _Question,
    steps: Sequence[int],
    z: np.ndarray,
    step: np.ndarray,
    asked: Sequence[int],
    far: float,
    left: np.ndarray,
) -> tuple[np.ndarray, dict[int, torch.Tensor], dict[int, torch.Tensor]] | None:
    """A Newton step, halved while it leads further away; None where what is asked is linear in the line, so that what
    is ``left`` by the whole step stays.
    """
    share = 1.0
    while True:
        tried = z + share * step
        free, at = {}, 0
        for i in steps:
            shape = question.program.shape(i)
            n = math.prod(shape)
            free[i] = torch.tensor(tried[at : at + n].reshape(shape), requires_grad=True)
            at += n
        now = question.read(free)
        off = question.off(now, asked)
        gap = max(float(np.abs(r).max(initial=0)) for r in off)
        if share == 1 and gap > _CLOSE * far:
            there = np.concatenate([_mixture(len(r)) @ r for r in off])
            if np.abs(there - left).max() <= _LINEAR * np.abs(left).max():
                return None
        if gap < far or share < _SMALLEST:
            return tried, now, free
        share /= 2
