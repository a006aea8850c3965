"""Bodies written for floats: the same values, by functions that neither overflow nor cancel.

``1/(1 + exp(-z))`` is a sigmoid, ``exp(a)/sum_j exp(b)`` an entry of a softmax, ``log sum_j exp(b)`` a log-sum-exp,
whatever they were written as.  Each rule is an identity of real numbers.

>>> import sympy as sp
>>> from symgrad.indices.terms import EXP, RELU, STEP
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n = sp.Symbol("n", integer=True, positive=True)
>>> i, j = sp.symbols("i j", integer=True)
>>> x = tensor("x", n)
>>> stable(EXP(-x[i]) / (1 + EXP(-x[i])) ** 2)
Sigmoid(-x[i])*Sigmoid(x[i])
>>> stable(EXP(x[i]) / IndexSum(EXP(x[j]), j, n))
Softmax(x[_i_0], _i_0, n, i)
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy as sp

from symgrad.indices.terms import EXP, RELU, STEP, Binder, IndexSum, Within, fresh, rename


class Sigmoid(sp.Function):
    """1 / (1 + exp(-z))."""

    nargs = 1
    is_real = True
    is_positive = True


class Softplus(sp.Function):
    """log(1 + exp(z))."""

    nargs = 1
    is_real = True


class LogSumExp(Binder):
    """log of the sum of exp(body) for index = 0, ..., size - 1."""

    BINDS = (1,)


class Softmax(Binder):
    """exp(body at index = place) over the sum of exp(body) for index = 0, ..., size - 1."""

    BINDS = (1,)


# ------------------------------------------------------------------------------------------------ names


@cache
def _bound_index(height: int, size: Any) -> Any:
    return sp.Dummy(f"i_{height}", integer=True, nonnegative=True)


def canonical(e: Any) -> Any:
    """The body with bound indices named by how deep they stand and how far they run.

    Bodies that differ only in the names of bound indices become equal; no binder rebinds an index that is open there.
    """
    return _canonical(sp.sympify(e), {})[0]


def _canonical(e: Any, seen: dict[Any, tuple[Any, int]]) -> tuple[Any, int]:
    if e in seen:
        return seen[e]
    if not e.args or isinstance(e, (sp.Indexed, sp.IndexedBase)):
        found = e, 0
    elif isinstance(e, Binder):
        body, height = _canonical(e.body, seen)
        outside = [_canonical(a, seen) for a in e.outside]
        size = e.outside[0]
        own = {i: _bound_index(height + k, size) for k, i in enumerate(e.bound)}
        new = e._rebuilt(rename(body, own), tuple(own.values()), [a for a, _ in outside])
        found = new, max([height + len(own), *(h for _, h in outside)])
    else:
        args = [_canonical(a, seen) for a in e.args]
        new = e if all(a is b for (a, _), b in zip(args, e.args, strict=True)) else e.func(*(a for a, _ in args))
        found = new, max(h for _, h in args)
    seen[e] = found
    return found


def in_plain_functions(e: Any) -> Any:
    """A body of numbers and sizes with SymPy's own functions in the place of ours."""
    for head, plain in _PLAIN.items():
        e = e.replace(head, plain)
    return e


_PLAIN: dict[Any, Any] = {
    Sigmoid: lambda z: 1 / (1 + sp.exp(-z)),
    Softplus: lambda z: sp.log(1 + sp.exp(z)),
    EXP: sp.exp,
    RELU: lambda z: sp.Max(z, 0),
    STEP: lambda z: sp.S.One if z.is_positive else sp.S.Zero if z.is_nonpositive else STEP(z),
}


# ------------------------------------------------------------------------------------------------ rules


def stable(e: Any) -> Any:
    """The body by stable functions, with `canonical` names."""
    return canonical(_stable(canonical(e), {}))


def _stable(e: Any, seen: dict[Any, Any]) -> Any:
    if not e.args or isinstance(e, (sp.Indexed, sp.IndexedBase, sp.KroneckerDelta, Within)):
        return e
    if e not in seen:
        seen[e] = _rewritten(e, seen)
    return seen[e]


def _rewritten(e: Any, seen: dict[Any, Any]) -> Any:
    if isinstance(e, Binder):
        body = _stable(e.body, seen)
        return _contracted(e._rebuilt(body, e.bound, e.outside))
    args = [_stable(a, seen) for a in e.args]
    new = e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)
    match new:
        case sp.exp() | EXP():
            return _exponential(new.args[0])
        case sp.log():
            return _logarithm(new.args[0])
        case sp.Mul() | sp.Pow():
            return _product(new, seen)
        case sp.Add():
            return _sum(new)
    return new


def _contracted(e: Any) -> Any:
    """A sum over an index that a delta fixes, without the sum."""
    if not isinstance(e, IndexSum):
        return e
    for factor in sp.Mul.make_args(e.body):
        if isinstance(factor, sp.KroneckerDelta):
            a, b = factor.args[:2]
            for index, other in ((a, b), (b, a)):
                if index == e.index and not other.has(e.index):
                    rest = rename(e.body / factor, {e.index: other})
                    return rest * Within(other, e.size)
    return e


def _exponential(z: Any) -> Any:
    """exp(z); where z is an entry less a log-sum-exp of such entries, a softmax."""
    for term in sp.Add.make_args(z):
        if isinstance(-term, LogSumExp):
            found = _softmax(z - term, -term)
            if found is not None:
                return found
    return EXP(z)


def _softmax(a: Any, total: Any) -> Any:
    """exp(a - total), for a log-sum-exp ``total``, if ``a`` is one of the entries that it sums."""
    index = total.index if isinstance(total, IndexSum) else total.bound[0]
    for place in a.free_symbols - total.free_symbols:
        if place.is_integer and not place.is_positive and rename(total.body, {index: place}) == a:
            return Softmax(total.body, index, total.outside[0], place)
    return None


def _logarithm(of: Any) -> Any:
    base: Any
    outer, rest = [], []
    if isinstance(of, sp.Add) and (u := _one_plus_exp(of)) is not None:
        return Softplus(u)
    if isinstance(of, IndexSum) and isinstance(of.body, EXP):
        return LogSumExp(of.body.args[0], of.index, of.size)
    for factor in sp.Mul.make_args(of):
        base, power = factor.as_base_exp()
        z: Any = base.args[0] if base.args else None
        match base:
            case EXP():
                outer.append(power * base.args[0])
            case Sigmoid():
                outer.append(-power * Softplus(-z))
            case Softmax():
                body, index, size, place = base.args
                outer.append(power * (rename(body, {index: place}) - LogSumExp(body, index, size)))
            case IndexSum() if isinstance(base.body, EXP):
                outer.append(power * LogSumExp(base.body.args[0], base.index, base.size))
            case _:
                rest.append(factor)
    left = sp.Mul(*rest)
    return sp.Add(*outer) + (sp.log(left) if left != 1 else 0)


def _one_plus_exp(e: Any) -> Any:
    """u, where e is 1 + exp(u)."""
    if isinstance(e, sp.Add) and len(e.args) == 2 and e.args[0] == 1 and isinstance(e.args[1], EXP):
        return e.args[1].args[0]
    return None


def _sum(e: Any) -> Any:
    """c - c sigmoid(u) is c sigmoid(-u), and c - c tanh(u)**2 is c / cosh(u)**2."""
    base: Any
    c, rest = e.as_coeff_Add()
    if c == 0:
        return e
    for term in sp.Add.make_args(rest):
        base, power = (-term / c).as_base_exp()
        z: Any = base.args[0] if base.args else None
        if isinstance(base, Sigmoid) and power == 1:
            return c * Sigmoid(-z) + (rest - term)
        if isinstance(base, sp.tanh) and power == 2:
            return c / sp.cosh(base.args[0]) ** 2 + (rest - term)
    return e


def _product(e: Any, seen: dict[Any, Any]) -> Any:
    """Exponentials under their sums as softmaxes, and with 1 + exp(u) as sigmoids."""
    powers: list[Any] = []  # arguments of exponentials, each once for every power
    sigmoids: list[Any] = []
    totals: list[Any] = []  # sums of exponentials that stand below the line
    rest: list[Any] = []
    base: Any
    for factor in sp.Mul.make_args(e):
        base, power = factor.as_base_exp()
        count = abs(int(power)) if power.is_Integer else 0
        z: Any = base.args[0] if base.args else None
        if isinstance(base, EXP) and power.is_Integer:
            powers += [z if power > 0 else -z] * count
        elif isinstance(base, Sigmoid) and count and power > 0:
            sigmoids += [base.args[0]] * count
        elif count and power < 0 and (u := _one_plus_exp(base)) is not None:
            sigmoids += [-u] * count
        elif count and power < 0 and isinstance(base, IndexSum) and isinstance(base.body, EXP):
            totals += [base] * count
        else:
            rest.append(factor)
    if not (sigmoids or totals):
        return e
    out: list[Any] = []
    for k, u in enumerate(sigmoids):
        if -u in powers:
            powers.remove(-u)
            sigmoids[k] = -u
    alone = []
    for total in totals:
        sized = IndexSum(total.body.args[0], total.index, total.size)
        for a in powers:
            found = _softmax(a, sized)
            if found is not None:
                powers.remove(a)
                out.append(found)
                break
        else:
            alone.append(total)
    for total in alone:
        inner = next((k for k, f in enumerate(rest) if _carries_exponentials(f)), None)
        if powers:  # the one that has most indices in common
            near = max(powers, key=lambda a, total=total: len(a.free_symbols & total.free_symbols))
            powers.remove(near)
            out.append(EXP(near - LogSumExp(total.body.args[0], total.index, total.size)))
        elif inner is not None:  # the sum's own exponentials are divided, entry by entry
            f = rest[inner]
            index = fresh(f.index)
            body = rename(f.body, {f.index: index}) / total
            rest[inner] = IndexSum(_stable(canonical(body), seen), index, f.size)
        else:
            out.append(1 / total)
    left: list[Any] = [*(Sigmoid(u) for u in sigmoids), *(EXP(a) for a in powers)]
    return sp.Mul(*rest, *out, *left)


def _carries_exponentials(e: Any) -> bool:
    return isinstance(e, IndexSum) and any(isinstance(f.as_base_exp()[0], EXP) for f in sp.Mul.make_args(e.body))
