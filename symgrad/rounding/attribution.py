"""Where digits go: which lines of a float computation its error comes from, and at which step its digits are lost.

`line_errors` takes the error of one entry apart.  Step i, given the values that it was given, rounds by r_i; the result
moves by d out / d i for each unit of that; so to first order the whole error is the sum of (d out / d i) r_i, over all
steps.  One adjoint pass gives all these slopes, and the balls of each step alone its r_i (Higham 2002, sections 3.1
and 26.3; the linearised error of automatic differentiation).

`find_lost_digits` follows lost digits back, from an entry that has none to the step whose arguments still had them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from flint import acb, arb
from torch import Tensor

from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, ball_of, binary, flat
from symgrad.evaluation.floats import Floats, NumpyFloats, to_numpy
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.cones import Cone, cone_of
from symgrad.program.derivative import reverse
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import Program, Source, interpret, positions
from symgrad.rounding.kernel_bounds import FORMATS
from symgrad.rounding.running_bounds import LINEAR_ALGEBRA, distance, dtype_of, enclosed, size_of, ulps

# ------------------------------------------------------------------------------------------------ line by line


@dataclass(frozen=True, eq=False)
class LineError:
    """One line of the user's code (one operation, where all the code is one line).

    ``error`` is how far its value is from the exact run of the same code, in ulps of itself, at the worst of the
    entries that the result is made of; ``rounds`` how far the operation at ``source``, the one of the line that counts
    most, is from exact arithmetic on what it was given; ``share`` the part of the result's error that arises in this
    line, with its sign, in ulps of the result.
    """

    source: Source
    error: float
    rounds: float
    share: float


@dataclass(frozen=True, eq=False)
class LineErrors:
    """The error of one entry of a result (None for a scalar), taken apart.

    ``total`` is value - truth in ulps; ``lines`` stand in their order in the code; ``rest`` is what their shares leave
    of the total: products of errors, and rounding that belongs to no line.
    """

    entry: tuple[int, ...] | None
    dtype: str
    total: float
    lines: tuple[LineError, ...]
    rest: float

    @property
    def largest(self) -> tuple[LineError, ...]:
        """The lines, from the largest share down."""
        return tuple(sorted(self.lines, key=lambda line: -abs(line.share)))


def line_errors(
    program: Program,
    inputs: Mapping[str, Tensor],
    output: int,
    entry: int,
    *,
    value: float | None = None,
    dtype: str | torch.dtype | None = None,
    bits: int = 300,
) -> LineErrors | None:
    """Take the error of flat entry ``entry`` of step ``output`` apart, line by line of the code.

    ``inputs`` are exact as they are; each step runs in its own dtype, with torch's kernels or, where only theirs give
    ``value`` (what the code itself gave), NumPy's; ulps are of ``dtype``, by default the result's.  None where there is
    no first order: a value on the way that is not finite, or a step without a derivative.

    >>> from symgrad import lift
    >>> def slope(z):
    ...     s = torch.sigmoid(z)
    ...     return s * (1 - s)
    >>> at = {"z": torch.tensor(9.0)}
    >>> program = lift(slope, at=at)
    >>> found = line_errors(program, at, program.output, 0)
    >>> found.largest[0].source.text
    's = torch.sigmoid(z)'
    >>> abs(sum(line.share for line in found.lines) + found.rest - found.total) < 1e-9
    True

    Guarantee: ``total`` and the shares are right to the precision of the balls; that the shares add up to the total
    holds to first order, for the kernels that were run again, and ``rest`` says how far it does not.
    """
    kind = dtype_of(program.steps[output].dtype if dtype is None else dtype)
    floats = _run_again(program, inputs, program.needed([output]), output, entry, value)
    own = _entry(floats[output], entry) if value is None else value
    # what a `stop` hides rounds all the same
    open_ = replace(program, steps=tuple(replace(s, op="name") if s.op == "stop" else s for s in program.steps))
    run = _Run.of(open_, floats, output, [entry])
    if not all(bool(torch.isfinite(x).all()) for x in run.floats.values()):
        return None
    try:
        with precision(bits):
            start = {n: binary(x) for n, x in run.cone.of_inputs(program, _arrays(inputs)).items()}
            exact = interpret(run.cone.program, Balls(), start, run.cone.place.values())
            slopes = _slopes(run.cone, exact, output, entry)
            parts = {i: _share(run, i, slopes[p]) for i, p in run.cone.place.items() if p in slopes}
            truth: Any = flat(exact[run.cone.place[output]])[int(run.cone.where(output, [entry])[0])]
            if not all(x.is_finite() for x in (*parts.values(), truth)):
                return None
            size = torch.tensor(size_of(truth), dtype=torch.float64)
            unit = 1 / ulps(torch.ones((), dtype=torch.float64), size, kind).item()
            off = ball_of(own) - truth
            total = float(off.real.mid() if isinstance(off, acb) else off.mid()) / unit
            shares = {i: float(x.mid()) / unit for i, x in parts.items()}
            lines = tuple(_lines(run, exact, shares, kind))
    except (SymgradError, NotImplementedError, ZeroDivisionError, ValueError):
        return None
    shape = program.shape(output)
    place = tuple(int(k) for k in np.unravel_index(entry, shape)) if shape else None
    name = str(kind).removeprefix("torch.")
    return LineErrors(place, name, total, lines, total - sum(line.share for line in lines))


def _run_again(
    program: Program, inputs: Mapping[str, Tensor], steps: list[int], output: int, entry: int, value: float | None
) -> dict[int, Tensor]:
    """All steps in floats, by torch's kernels; by NumPy's where theirs come nearer to the value that the code gave."""
    plain = interpret(program, Floats(), inputs, steps)
    if value is None or _entry(plain[output], entry) == value:
        return plain
    other = interpret(program, NumpyFloats(), inputs, steps)
    away = [abs(_entry(run[output], entry) - value) for run in (plain, other)]
    return other if away[1] < away[0] else plain


def _entry(x: Tensor, k: int) -> Any:
    return to_numpy(x).reshape(-1)[k].item()


def _arrays(inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {n: to_numpy(x) for n, x in inputs.items()}


@dataclass(frozen=True, eq=False)
class _Run:
    """What some entries of a float run are made of: their cone, and the floats that its steps had there."""

    program: Program
    cone: Cone
    floats: dict[int, Tensor]

    @classmethod
    def of(cls, program: Program, floats: Mapping[int, Tensor], output: int, entries: Sequence[int]) -> _Run:
        cone = cone_of(program, {output: entries})
        shape = {i: cone.program.shape(p) for i, p in cone.place.items()}
        places = {i: torch.from_numpy(k) for i, k in cone.entries.items()}
        return cls(program, cone, {i: floats[i].reshape(-1)[k].reshape(shape[i]) for i, k in places.items()})

    def alone(self, i: int) -> Any:
        """Step ``i`` in exact arithmetic, on the floats that it was given; an input is what it is."""
        if self.program.steps[i].op == "input":
            return binary(to_numpy(self.floats[i]))
        place = self.cone.place
        given = {place[a]: binary(to_numpy(self.floats[a])) for a in self.program.steps[i].args if a in place}
        step = self.cone.program.steps[place[i]]
        if place[i] not in given and all(a in given for a in step.args):
            return Balls().read(step, [given[a] for a in step.args])
        return interpret(self.cone.program, Balls(), {}, [place[i]], replaced=given)[place[i]]


def _slopes(cone: Cone, exact: Mapping[int, Any], output: int, entry: int) -> dict[int, Any]:
    """d output[entry] / d step, for every step of the entry's cone."""
    b, top = Builder.on(cone.program), cone.place[output]
    one = np.zeros(math.prod(b.shape(top)))
    one[cone.where(output, [entry])] = 1.0
    seed = b.constant(one.reshape(b.shape(top)), b.dtype(top))
    leaves = {i for i, step in enumerate(cone.program.steps) if not step.args}
    of, _ = reverse(b, {top: seed}, leaves)
    values = interpret(b.build({}), Balls(), {}, of.values(), replaced=dict(exact))
    return {i: values[a] for i, a in of.items() if i in exact}


_EXACT = frozenset(("input", "pick", "name", "stop", "neg", "conj", "real", "imag"))


def _share(run: _Run, i: int, slopes: Any) -> arb:
    """The part of the result's error that arises in step ``i``: its slopes times its own rounding."""
    step = run.program.steps[i]
    if step.op in _EXACT and all(run.program.steps[a].dtype == step.dtype for a in step.args):
        return arb(0)
    total = arb(0)
    for value, meant, slope in zip(
        flat(binary(to_numpy(run.floats[i]))), flat(run.alone(i)), flat(slopes), strict=True
    ):
        off = value - meant
        if off != 0 and slope != 0:
            product = off * _conjugate(slope)
            total = total + (product.real if isinstance(product, acb) else product)
    return total


def _conjugate(x: Any) -> Any:
    return acb(x.real, -x.imag) if isinstance(x, acb) else x


def _lines(run: _Run, exact: Mapping[int, Any], shares: Mapping[int, float], kind: torch.dtype) -> Iterator[LineError]:
    """The steps that round, line by line; operation by operation where they all stand in one line."""
    program, floats = run.program, run.floats
    sourced = {i: s for i, s in ((i, program.steps[i].source) for i in shares) if s is not None}
    rounding = [i for i in sourced if shares[i] or program.steps[i].op not in _EXACT | {"constant"}]
    several = len({_line(sourced[i]) for i in rounding}) > 1
    groups: dict[tuple, list[int]] = {}
    for i in sourced:
        key = _line(sourced[i]) if several else (*_line(sourced[i]), sourced[i].span)
        groups.setdefault(key, []).append(i)
    for group in groups.values():
        if not any(i in rounding for i in group):
            continue
        most = max(group, key=lambda i: abs(shares[i]))
        last = max(group)
        most = most if shares[most] else last
        yield LineError(
            sourced[most],
            _worst_ulps(floats[last], exact[run.cone.place[last]], kind),
            _worst_ulps(floats[most], run.alone(most), kind),
            math.fsum(shares[i] for i in group),
        )


def _line(source: Source) -> tuple:
    return (source.file, source.line, source.text)


def _worst_ulps(value: Tensor, exact: Any, kind: torch.dtype) -> float:
    """The largest error in ulps of the value's dtype, or of a coarser one that is asked for."""
    kind = max(kind, value.dtype, key=lambda d: FORMATS[d].unit)
    truth = enclosed(exact)
    _, far = distance(value, truth)
    size = truth.sizes().reshape(far.shape)
    return float(ulps(far, size, kind).max()) if far.numel() else 0.0


# ------------------------------------------------------------------------------------------------ where digits end

How = Literal["overflow", "underflow", "cancellation", "undefined", "digits"]


@dataclass(frozen=True, slots=True)
class LostDigits:
    """The step that lost the digits of an entry, and how.

    ``before`` and ``after`` are relative errors of what went in and of what came out; ``value`` and ``exact`` the
    step's own there.  ``how`` is "overflow" (the exact value is beyond the largest float), "underflow" (below the
    smallest normal one), "cancellation" (a difference of nearly equal numbers), "undefined" (no number came out of
    good arguments) or "digits".  ``turned`` is the later step, and ``turned_source`` its line, where what it gave
    became the infinity, zero or not-a-number of the entry; None where it gave that itself.
    """

    step: int
    entry: int
    before: float
    after: float
    how: How
    value: float
    exact: float
    source: Source | None = None
    turned: int | None = None
    turned_source: Source | None = None


def find_lost_digits(
    program: Program, inputs: Mapping[str, Tensor], output: int, *, entry: int | None = None, bits: int = 300
) -> LostDigits | None:
    """The step at which the relative error jumps, followed back from an entry of ``output``, by default the worst.

    Every step's float value is compared with its exact run.  From the entry the way leads back to the arguments that
    are nearly as wrong; the step none of whose arguments are is the one.  None if the entry is exact or, where none was
    asked for, the worst keeps half of its digits.

    >>> b = Builder()
    >>> z = b.input("z", (), "float32")
    >>> s = b.apply("sigmoid", z)
    >>> rest = b.sub(b.number(1, "float32"), s)
    >>> program = b.build({"slope": b.mul(s, rest)})
    >>> loss = find_lost_digits(program, {"z": torch.tensor(17.0)}, program.output)
    >>> loss.step == rest, loss.how, loss.before < 1e-7, loss.after > 0.99
    (True, 'cancellation', True, True)
    """
    floats = interpret(program, Floats(), inputs, program.needed([output]))
    n = math.prod(program.shape(output))
    if not n:
        return None
    run = _Run.of(program, floats, output, range(n) if entry is None else [entry])
    cone = run.cone
    with precision(bits):
        start = {name: binary(x) for name, x in cone.of_inputs(program, _arrays(inputs)).items()}
        exact = interpret(cone.program, Balls(), start, cone.place.values())
        errors = {i: _errors(x, exact[cone.place[i]]) for i, x in run.floats.items()}
    relative, absolute = ({i: e[k].reshape(-1) for i, e in errors.items()} for k in (0, 1))
    enough = math.sqrt(FORMATS[floats[output].dtype].unit) if entry is None else 0.0
    here, entry = output, int(relative[output].argmax()) if entry is None else entry
    at = lambda i, k: int(cone.where(i, [k])[0])  # noqa: E731
    within = {i: set(entries.tolist()) for i, entries in cone.entries.items()}
    if relative[output][at(output, entry)] <= enough:
        return None
    way = [(here, entry)]
    while True:
        step, k = program.steps[here], at(here, entry)
        after = float(relative[here][k])
        used = [(a, [j for j in js if j in within[a]]) for a, js in _entries_used(program, here, entry) if a in within]
        sizes = [(float(relative[a][at(a, j)]), float(absolute[a][at(a, j)]), a, j) for a, js in used for j in js]
        before = max((r for r, *_ in sizes), default=0.0)
        share = float(absolute[here][k]) / (8 * len(sizes)) if step.op in ("add", "sub", "scatter") else 0.0
        guilty = [s for s in sizes if s[0] >= min(after, 1.0) / 8 and s[1] >= share]
        if not guilty:
            truth = flat(exact[cone.place[here]])[k]
            return _loss(program, floats, truth, way, before, after)
        _, _, here, entry = max(guilty, key=lambda s: (s[0], s[1]))
        way.append((here, entry))


def _loss(
    program: Program, floats: Mapping[int, Tensor], truth: Any, way: list[tuple[int, int]], before: float, after: float
) -> LostDigits:
    """What happened at the end of the way back, and where on the way it became what the first entry is."""
    values = [complex(floats[i].reshape(-1)[k].item()) for i, k in way]
    here, entry = way[-1]
    step, value = program.steps[here], values[-1]
    meant = (
        float("nan") if not truth.is_finite() else float(abs(truth).mid() if isinstance(truth, acb) else truth.mid())
    )
    turned = None
    if _what(values[0]) not in ("number", _what(value)):
        turned = next(i for (i, _), v in reversed(list(zip(way, values, strict=True))) if _what(v) == _what(values[0]))
    source = None if turned is None else program.steps[turned].source
    how = _how(step.op, value, truth, floats[here].dtype)
    return LostDigits(here, entry, before, after, how, value.real, meant, step.source, turned, source)


def _what(x: complex) -> str:
    """What sort of float it is."""
    if math.isnan(x.real) or math.isnan(x.imag):
        return "nan"
    if math.isinf(x.real) or math.isinf(x.imag):
        return "infinite"
    return "number" if x else "zero"


def _how(op: str, value: complex, truth: Any, dtype: torch.dtype) -> How:
    limits = torch.finfo(dtype)
    if truth.is_finite() and abs(truth) > arb(limits.max):
        return "overflow"
    if truth.is_finite() and truth != 0 and abs(truth) < arb(limits.tiny):
        return "underflow"
    if _what(value) in ("nan", "infinite"):
        return "undefined"
    return "cancellation" if op in ("add", "sub", "scatter", "matmul") else "digits"


def _errors(value: Tensor, exact: Any) -> tuple[Tensor, Tensor]:
    """Relative and absolute errors; a relative error is at least zero over zero, that is zero."""
    truth = enclosed(exact)
    _, far = distance(value, truth)
    size = truth.sizes().reshape(far.shape)
    return torch.where(far == 0, 0.0, far / size), far


def _entries_used(program: Program, i: int, entry: int) -> list[tuple[int, list[int]]]:
    """The entries of the arguments of step ``i`` that one entry of its result is made of: (argument, positions)."""
    step = program.steps[i]
    shapes = [program.shape(a) for a in step.args]
    match step.op:
        case "pick":
            where, start = int(positions(step.params, step.shape)[entry]), 1
            for a, shape in zip(step.args, shapes, strict=True):
                n = math.prod(shape)
                if start <= where < start + n:
                    return [(a, [where - start])]
                start += n
            return []
        case "scatter":
            landed = positions(step.params, shapes[0])
            return [(step.args[0], np.nonzero(landed == entry + 1)[0].tolist())]
        case "matmul":
            batch, row, column = np.unravel_index(entry, step.shape)
            k, m = shapes[0][2], step.shape[2]
            left = [int((batch * step.shape[1] + row) * k + j) for j in range(k)]
            right = [int((batch * k + j) * m + column) for j in range(k)]
            return [(step.args[0], left), (step.args[1], right)]
    if all(shape == step.shape for shape in shapes) and step.op not in COMPOSITES and step.op not in LINEAR_ALGEBRA:
        return [(a, [entry]) for a in step.args]
    return [(a, list(range(math.prod(shape)))) for a, shape in zip(step.args, shapes, strict=True)]
