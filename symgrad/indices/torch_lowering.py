"""Bodies as straight lines of torch over named axes: broadcasting for what is elementwise, contractions for sums.

Each part of a body is a tensor whose axes are its free indices, made once for all parts that differ only in the names
of their indices.  A product is multiplied from its smallest factors up; a sum of a product is one contraction, whose
order is chosen where the sizes are known; deltas and indicators are masks, or diagonals where a leaf has one index
twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sympy as sp

from symgrad.evaluation.torch_printer import torch_name
from symgrad.indices.named_axes import LETTERS, MARKS, Layouts, Lines, Part, common, halves, summed, union, unspelled
from symgrad.indices.signatures import Order
from symgrad.indices.stable_forms import LogSumExp, Sigmoid, Softmax, Softplus, stable
from symgrad.indices.terms import (
    EXP,
    RELU,
    STEP,
    Array,
    Cholesky,
    Det,
    IndexSum,
    Inverse,
    LogDet,
    MatrixEntry,
    MatrixExponential,
    Within,
    fresh,
    rename,
)
from symgrad.ops.scalars import OPS, by_head

_KERNELS: dict[Any, str] = {
    EXP: "torch.exp({0})",
    RELU: "torch.relu({0})",
    Sigmoid: "torch.sigmoid({0})",
    Softplus: "torch.logaddexp({0}, {like})",
    sp.Abs: "torch.abs({0})",
    sp.sign: "torch.sgn({0})",
}
_MATRICES: dict[Any, str] = {
    Inverse: "torch.linalg.inv({0})",
    Cholesky: "torch.linalg.cholesky({0})",
    MatrixExponential: "torch.linalg.matrix_exp({0})",
    Det: "torch.linalg.det({0})",
    LogDet: "torch.linalg.slogdet({0}).logabsdet",
}


def lower_arrays(arrays: Mapping[str, Array], inputs: Mapping[str, Sequence[Any]], sizes: Iterable[Any]) -> Lines:
    """The lines that compute the arrays from inputs of these shapes (in numbers and size symbols).

    In the lines, ``size_m`` stands for the size m as a whole number, and ``like`` for a zero of the dtype and device.
    Raises `UnknownOperation` for a term that has no torch spelling.
    """
    work = _Lowering(inputs, sizes)
    for name, array in arrays.items():
        wanted = tuple(fresh(a) for a in array.axes)  # two arrays may have one name for indices of different ranges
        work.size_of |= dict(zip(wanted, array.shape, strict=True))
        part = work.part(stable(array.at(wanted)))
        shape = ", ".join(work.scalar(s) for s in array.shape)
        spelled = work.aligned(part, wanted)
        whole = set(part.axes) == set(wanted)
        work.out.results[name] = spelled if whole else work.line(f"{{0}}.expand(({shape},))", spelled)
    return work.out


@cache
def _free_index(k: int, size: Any) -> Any:
    return sp.Dummy(f"free_{k}", integer=True, nonnegative=True)


class _Lowering(Layouts):
    def __init__(self, inputs: Mapping[str, Sequence[Any]], sizes: Iterable[Any]) -> None:
        super().__init__(inputs, sizes)
        self.order = Order(self.sizes)
        self.made: dict[Any, tuple[str, tuple[Any, ...]]] = {}
        self.last: Any = None  # the index that a contraction's last axis had better be

    def part(self, e: Any) -> Part:
        """The tensor of a body; made once for all that differ in the names of free indices."""
        stand, key = self.standing(e), self.key(e)
        if key not in self.made:
            part = self.make(e)
            self.made[key] = part.name, tuple(stand[a] for a in part.axes)
        name, axes = self.made[key]
        back = {v: k for k, v in stand.items()}
        return Part(name, tuple(back[a] for a in axes))

    def standing(self, e: Any) -> dict[Any, Any]:
        """What stands for each free index, so that bodies that differ in their names alone are one."""
        free = self.order.of(e)
        if not all(a in self.size_of for a in free):
            raise unspelled(e)
        return {a: _free_index(k, self.size_of[a]) for k, a in enumerate(free)}

    def key(self, e: Any) -> Any:
        return rename(e, self.standing(e)), self.masked

    def make(self, e: Any) -> Part:
        if self.is_scalar(e):
            return Part(self.line(f"like.new_full((), {self.scalar(e)})"), ())
        match e:
            case sp.Symbol() if e in self.size_of:
                return Part(self.line("{0}.to(like)", self.index(e).name), (e,))
            case sp.Symbol():
                return Part(self.place[e.name], ())
            case sp.Indexed():
                base: Any = e.base
                name = str(base.label)
                return self.taken(Part(self.place[name], ()), self.shapes[name], e.indices)
            case sp.Add():
                return self.sum(e)
            case sp.Mul() | sp.KroneckerDelta() | Within() | STEP():
                return self.product(e)
            case sp.Pow():
                return self.power(e)
            case IndexSum():
                return self.index_sum(e)
            case LogSumExp() | Softmax():
                return self.exponentials(e)
            case _ if type(e) in _MATRICES:
                return self.matrix(e)
            case sp.Max() | sp.Min():
                kernel = "torch.maximum" if isinstance(e, sp.Max) else "torch.minimum"
                return self.joined([self.part(a) for a in e.args], f"{kernel}({{0}}, {{1}})")
            case sp.Function() if len(e.args) == 1:
                z = self.part(e.args[0])
                return Part(self.line(self.kernel(e), z.name), z.axes)
        raise unspelled(e)

    def kernel(self, e: Any) -> str:
        if e.func in _KERNELS:
            return _KERNELS[e.func].replace("{like}", "like")
        row = by_head(e.func)
        name = torch_name(row) if row is not None and not OPS[row].branches else None
        if name is None:
            raise unspelled(e)
        return f"{name}({{0}})"

    # -------------------------------------------------------------------------------- elementwise
    def sum(self, e: Any) -> Part:
        number, (rest,) = common(sp.S.One, [e])
        if number != 1:
            p = self.part(rest)
            return Part(self.line(f"{{0}}*{self.scalar(number)}", p.name), p.axes)
        numbers = [t for t in e.args if self.is_scalar(t)]
        total: Part | None = None
        for term in sorted((t for t in e.args if not self.is_scalar(t)), key=lambda t: len(self.order.of(t))):
            c, rest = self.coefficient(term)
            pair = self.pair(rest) if total is not None else None
            if total is None or pair is None:
                total = self.plus(total, self.part(rest), c)
            else:
                total = self.plus_product(total, pair, c)
        assert total is not None
        if numbers:
            total = Part(self.line(f"{{0}} + {self.scalar(sp.Add(*numbers))}", total.name), total.axes)
        return total

    def coefficient(self, term: Any) -> tuple[Any, Any]:
        """A term's factor of numbers and sizes, and the rest."""
        factors = sp.Mul.make_args(term)
        if any(isinstance(f, MARKS) for f in factors):
            return sp.S.One, term
        number = sp.Mul(*(f for f in factors if self.is_scalar(f)))
        number, rest = common(number, [f for f in factors if not self.is_scalar(f)])
        return number, sp.Mul(*rest)

    def plus(self, total: Part | None, p: Part, c: Any) -> Part:
        if total is None:
            if c == 1:
                return p
            return Part(self.line("-{0}" if c == -1 else f"{{0}}*{self.scalar(c)}", p.name), p.axes)
        axes = union([total, p])
        names = self.aligned(total, axes), self.aligned(p, axes)
        if c in (1, -1):
            return Part(self.line("{0} + {1}" if c == 1 else "{0} - {1}", *names), axes)
        return Part(self.line(f"torch.add({{0}}, {{1}}, alpha={self.scalar(c)})", *names), axes)

    def pair(self, e: Any) -> tuple[Part, Part] | None:
        """A product's factors that lack some of its axes, and those that have all of them."""
        factors = sp.Mul.make_args(e)
        if any(isinstance(f, MARKS) for f in factors) or self.key(e) in self.made:
            return None
        most = set(self.order.of(e))
        wide = [f for f in factors if set(self.order.of(f)) == most]
        rest = [f for f in factors if f not in wide]
        if not wide or not rest or set(self.order.of(sp.Mul(*rest))) == most:
            return None  # an outer product of the rest would be as large as the whole
        return self.part(sp.Mul(*rest)), self.part(sp.Mul(*wide))

    def plus_product(self, total: Part, pair: tuple[Part, Part], c: Any) -> Part:
        axes = union([pair[1], total, pair[0]])
        names = (self.aligned(p, axes) for p in (total, *pair))
        value = "" if c == 1 else f", value={self.scalar(c)}"
        return Part(self.line(f"torch.addcmul({{0}}, {{1}}, {{2}}{value})", *names), axes)

    def product(self, e: Any) -> Part:
        factors = sp.Mul.make_args(e)
        marks = [f for f in factors if isinstance(f, MARKS)]
        number = sp.Mul(*(f for f in factors if f not in marks and self.is_scalar(f)))
        rest = [f for f in factors if f not in marks and not self.is_scalar(f)]
        number, rest = common(number, rest)
        masks = [m for m in map(self.mark, marks) if m is not None]
        outside, self.masked = self.masked, self.masked or any(map(self.strays, marks))
        value = self.multiplied(rest, number) if rest else None
        self.masked = outside
        if not masks:
            return value if value is not None else self.make(number)
        mask = self.joined(masks, "{0} & {1}")
        if value is None:
            return Part(self.line(f"{{0}}.to(like)*{self.scalar(number)}", mask.name), mask.axes)
        axes = union([value, mask])
        names = self.aligned(mask, axes), self.aligned(value, axes)
        return Part(self.line("torch.where({0}, {1}, 0)", *names), axes)

    def mark(self, e: Any) -> Part | None:
        """Where a delta, an indicator or a step is one; None where it is one everywhere."""
        if isinstance(e, STEP):
            z = self.part(e.args[0])
            return Part(self.line("{0} > 0", z.name), z.axes)
        a, b = e.args[:2]
        if self.is_one(e):
            return None
        if isinstance(e, Within):
            at, end = self.index(a), self.index(b)
            low = Part(self.line("{0} >= 0", at.name), at.axes)
            return self.joined([low, self.ordered(at, end, "<")], "{0} & {1}")
        return self.ordered(self.index(a), self.index(b), "==")

    def is_one(self, e: Any) -> bool:
        """Whether an indicator is one because its index runs through that range."""
        return isinstance(e, Within) and e.args[0] in self.size_of and self.size_of[e.args[0]] == e.args[1]

    def strays(self, e: Any) -> bool:
        """Whether entries that a mark switches off may stand outside their axes."""
        return not isinstance(e, STEP) and not self.is_one(e) and any(a not in self.size_of for a in e.args[:2])

    def ordered(self, a: Part, b: Part, sign: str) -> Part:
        axes = union([a, b])
        return Part(self.line(f"{{0}} {sign} {{1}}", self.aligned(a, axes), self.aligned(b, axes)), axes)

    def multiplied(self, factors: Sequence[Any], number: Any) -> Part:
        """A product of factors and a number: those over the same axes first, then the smallest first."""
        above: dict[frozenset[Any], Part] = {}
        below: dict[frozenset[Any], Part] = {}
        for f in factors:
            base, power = f.as_base_exp()
            under = not isinstance(f, EXP) and power.is_Rational and power < 0
            p = self.part(base**-power if under else f)
            here, key = (below if under else above), frozenset(p.axes)
            here[key] = self.joined([here[key], p], "{0}*{1}") if key in here else p
        for key in [k for k in below if k in above]:
            axes = above[key].axes
            names = above[key].name, self.aligned(below.pop(key), axes)
            above[key] = Part(self.line("{0}/{1}", *names), axes)
        order = sorted(above.values(), key=lambda p: len(p.axes))
        if not order:
            first, *rest = sorted(below.values(), key=lambda p: len(p.axes))
            total, below = (
                Part(self.line(f"{self.scalar(number)}/{{0}}", first.name), first.axes),
                {frozenset(p.axes): p for p in rest},
            )
        else:
            total, *order = order
            if number != 1:
                total = Part(
                    self.line("-{0}" if number == -1 else f"{{0}}*{self.scalar(number)}", total.name), total.axes
                )
        for p in sorted(below.values(), key=lambda p: len(p.axes)):
            if order and not set(p.axes) <= set(total.axes):
                near = next((q for q in order if set(p.axes) <= set(q.axes)), None)
                if near is not None:
                    order[order.index(near)] = self.quotient(near, p)
                    continue
            total = self.quotient(total, p)
        return self.joined([total, *order], "{0}*{1}") if order else total

    def quotient(self, a: Part, b: Part) -> Part:
        axes = union([a, b])
        return Part(self.line("{0}/{1}", self.aligned(a, axes), self.aligned(b, axes)), axes)

    def power(self, e: Any) -> Part:
        base, exponent = e.base, e.exp
        if base is sp.E:
            return self.part(EXP(exponent))
        if exponent.is_Rational and exponent < 0:
            return self.multiplied([e], sp.S.One)
        z = self.part(base)
        if exponent == 2:
            return Part(self.line("{0}*{0}", z.name), z.axes)
        if exponent == sp.Rational(1, 2):
            return Part(self.line("torch.sqrt({0})", z.name), z.axes)
        if exponent == sp.Rational(3, 2):
            return Part(self.line("{0}*torch.sqrt({0})", z.name), z.axes)
        if self.is_scalar(exponent):
            return Part(self.line(f"{{0}}**{self.scalar(exponent)}", z.name), z.axes)
        p = self.part(exponent)
        axes = union([z, p])
        return Part(self.line("torch.pow({0}, {1})", self.aligned(z, axes), self.aligned(p, axes)), axes)

    # -------------------------------------------------------------------------------- sums
    def index_sum(self, e: Any) -> Part:
        bound: dict[Any, Any] = {}
        body = e
        while isinstance(body, IndexSum):
            inner = body if body.index not in bound else body.renamed_apart()
            bound[inner.index], body = inner.size, inner.body
        self.size_of |= bound
        idle = [i for i in bound if i not in body.free_symbols]
        number = sp.Mul(*(bound.pop(i) for i in idle))
        if not bound:
            return self.part(number * body)
        if isinstance(body, sp.Add) and self.is_outer(body):
            return self.part(sp.Add(*(number * summed(t, bound) for t in body.args)))
        number, factors = common(number, sp.Mul.make_args(body))
        for f in factors:
            if isinstance(f, sp.Add) and self.is_outer(f):
                rest = sp.Mul(*(g for g in factors if g is not f))
                return self.part(sp.Add(*(number * summed(rest * t, bound) for t in f.args)))
        outside = [f for f in factors if not f.free_symbols & set(bound)]
        if outside or number != 1:
            inside = sp.Mul(*(f for f in factors if f not in outside))
            return self.part(sp.Mul(number, *outside, summed(inside, bound)))
        return self.contraction(factors, bound)

    def is_outer(self, e: Any) -> bool:
        """Whether a sum of terms has more axes than any of its terms."""
        return len(self.free(e)) > max(len(self.free(t)) for t in e.args)

    def contraction(self, factors: Sequence[Any], bound: Mapping[Any, Any]) -> Part:
        """The sum of a product over bound indices; factors over the same axes are multiplied first."""
        marks = [f for f in factors if isinstance(f, MARKS) and not self.is_one(f)]
        groups: dict[frozenset[Any], list[Any]] = {}
        for f in factors:
            if not isinstance(f, MARKS):
                groups.setdefault(frozenset(self.free(f)), []).append(f)
        for m in marks:  # a mask goes to what has all its axes
            key = frozenset(self.free(m))
            wide = [k for k in groups if key <= k]
            if self.strays(m) and len(groups) > 1:  # what stands outside its axis may be in any of them
                whole = frozenset().union(*groups, key)
                groups = {whole: [f for fs in groups.values() for f in fs]}
                wide = [whole]
            groups.setdefault(min(wide, key=len) if wide else key, []).append(m)
        if len(groups) == 1:  # two halves, so that their product need not be stored
            (fs,) = groups.values()
            parts = [self.part(sp.Mul(*half)) for half in halves(fs) if half]
        else:
            parts = [self.part(sp.Mul(*fs)) for fs in groups.values()]
        axes = union(parts)
        kept = self.arranged([a for a in axes if a not in bound], parts)
        if len(parts) == 1:
            dims = tuple(k for k, a in enumerate(parts[0].axes) if a in bound)
            left = tuple(a for a in parts[0].axes if a not in bound)
            return Part(self.line(f"{{0}}.sum({dims})", parts[0].name), left)
        letters = {a: LETTERS[k] for k, a in enumerate(axes)}
        words = ["".join(letters[a] for a in p.axes) for p in parts]
        rule = f"{','.join(words)}->{''.join(letters[a] for a in kept)}"
        slots = ", ".join(f"{{{k}}}" for k in range(len(parts)))
        return Part(self.line(f"contract('{rule}', {slots})", *(p.name for p in parts)), kept)

    def arranged(self, kept: Sequence[Any], parts: Sequence[Part]) -> tuple[Any, ...]:
        """Axes in the order in which they stand in the parts, so that X[i, s] W[s, j] has the axes i and j."""
        place = {a: min(p.axes.index(a) / len(p.axes) for p in parts if a in p.axes) for a in kept}
        return tuple(sorted(kept, key=lambda a: (a == self.last, place[a])))

    def exponentials(self, e: Any) -> Part:
        """A log-sum-exp, or an entry of a softmax."""
        index, size = e.bound[0], e.outside[0]
        self.size_of[index] = size
        if index not in e.body.free_symbols:
            value = sp.log(size) + e.body if isinstance(e, LogSumExp) else 1 / size
            return self.part(value)
        outer, self.last = self.last, index
        inner = self.part(e.body)
        self.last = outer
        dim = inner.axes.index(index)
        left = tuple(a for a in inner.axes if a != index)
        if isinstance(e, LogSumExp):
            return Part(self.line(f"torch.logsumexp({{0}}, {dim})", inner.name), left)
        place = e.outside[1]
        name = self.line(f"torch.softmax({{0}}, {dim})", inner.name)
        if place in self.size_of and self.size_of[place] == size and place not in left:
            return Part(name, (*inner.axes[:dim], place, *inner.axes[dim + 1 :]))
        turned = self.aligned(Part(name, inner.axes), (*left, index))
        return self.taken(Part(turned, left), (size,), (place,))

    def matrix(self, e: Any) -> Part:
        self.size_of |= dict.fromkeys(e.bound, e.size)
        inner = self.part(e.body)
        left = tuple(a for a in inner.axes if a not in e.bound)
        whole = self.aligned(inner, (*left, *e.bound))
        if not set(e.bound) <= set(inner.axes):
            shape = ", ".join(self.scalar(self.size_of[a]) for a in (*left, *e.bound))
            whole = self.line(f"{{0}}.expand(({shape},))", whole)
        name = self.line(_MATRICES[type(e)], whole)
        return self.taken(Part(name, left), (e.size,) * 2, e.entry) if isinstance(e, MatrixEntry) else Part(name, left)
