"""Random index expressions, rewritten in random ways that keep their meaning, and their values in torch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp
import torch

from symgrad.indices.terms import EXP, RELU, STEP, IndexSum, Within, fresh, rename, tensor

m, n = sp.symbols("m n", integer=True, positive=True)
SHAPES = {"A": (m, n), "C": (n, m), "S": (n, n), "x": (m,), "y": (n,), "p": (n,)}
LEAVES = {name: tensor(name, *shape, **({"positive": True} if name == "p" else {})) for name, shape in SHAPES.items()}
Scope = list[tuple[Any, Any]]


def random_body(draw: random.Random, depth: int = 4, scope: Sequence[tuple[Any, Any]] = ()) -> Any:
    """A scalar body over the leaves, whose free indices are those of ``scope`` (pairs of index and size)."""
    scope = list(scope)
    if depth <= 0:
        return _random_leaf(draw, scope)
    inner = lambda less=1: random_body(draw, depth - less, scope)  # noqa: E731
    match draw.choices(range(12), [30, 18, 16, 8, 6, 5, 5, 3, 3, 3, 2, 4])[0]:
        case 0:
            index, size = fresh("s"), draw.choice((m, n))
            body = random_body(draw, depth - 1, [*scope, (index, size)])
            extra = _random_leaf(draw, [*scope, (index, size)]) if draw.random() < 0.5 else 1
            return IndexSum(body * extra, index, size)
        case 1:
            return inner() * inner()
        case 2:
            return inner() + draw.choice((-2, -1, 1, 2)) * inner()
        case 3:
            return EXP(inner(2) / 3)
        case 4:
            return 1 / (1 + EXP(-inner(2)))
        case 5:
            return sp.tanh(inner(2))
        case 6:
            return inner() ** 2
        case 7:
            return RELU(inner(2))
        case 8:
            return sp.sqrt(1 + inner(2) ** 2)
        case 9:
            return sp.log(1 + inner(2) ** 2)
        case 10:
            index, size = fresh("s"), draw.choice((m, n))
            return 1 / IndexSum(EXP(_random_leaf(draw, [*scope, (index, size)])), index, size)
        case _:
            return _random_indicator(draw, scope) * inner()


def _random_leaf(draw: random.Random, scope: Scope) -> Any:
    for _ in range(20):
        name = draw.choice(sorted(SHAPES))
        choices = [[i for i, s in scope if s == size] for size in SHAPES[name]]
        if all(choices):
            return LEAVES[name][tuple(draw.choice(c) for c in choices)]
    return sp.Integer(draw.randint(1, 3))


def _random_indicator(draw: random.Random, scope: Scope) -> Any:
    pairs = [(i, j) for i, s in scope for j, t in scope if s == t and i != j]
    if not pairs:
        return sp.S.One
    i, j = draw.choice(pairs)
    return draw.choice((sp.KroneckerDelta(i, j), Within(i, j + 1), sp.KroneckerDelta(i + 1, j)))


def rewritten(e: Any, draw: random.Random) -> Any:
    """The same meaning, written in another way."""
    if isinstance(e, sp.Indexed) or not e.args:
        return e
    dice = draw.random()
    if isinstance(e, IndexSum):
        body = rewritten(e.body, draw)
        if isinstance(body, sp.Add) and dice < 0.4:
            return sp.Add(*(IndexSum(t, e.index, e.size) for t in body.args))
        if isinstance(body, IndexSum) and dice < 0.7:
            return IndexSum(IndexSum(body.body, e.index, e.size), body.index, body.size)
        if dice < 0.85:
            other = fresh("r")
            return IndexSum(rename(body, {e.index: other}), other, e.size)
        return IndexSum(body, e.index, e.size)
    if isinstance(e, (sp.KroneckerDelta, Within)):
        return e
    args = [rewritten(a, draw) for a in e.args]
    match e:
        case sp.tanh():
            z = args[0]
            forms = (sp.tanh(z), 1 - 2 / (1 + EXP(2 * z)), (EXP(z) - EXP(-z)) / (EXP(z) + EXP(-z)))
            return draw.choice(forms)
        case EXP() if isinstance(args[0], sp.Add) and dice < 0.6:
            return sp.Mul(*(EXP(t) for t in args[0].args))
        case RELU() if dice < 0.5:
            return args[0] * STEP(args[0])
        case sp.Pow() if e.exp == 2 and isinstance(args[0], sp.Add) and dice < 0.5:
            return sp.Add(*(a * b for a in args[0].args for b in args[0].args))
        case sp.Mul() if dice < 0.6 and any(isinstance(a, sp.Add) for a in args):
            k = next(k for k, a in enumerate(args) if isinstance(a, sp.Add))
            rest = sp.Mul(*args[:k], *args[k + 1 :])
            return sp.Add(*(rest * t for t in args[k].args))
    return e.func(*args)


def size_of(e: Any) -> int:
    """How many nodes an expression has."""
    return sum(1 for _ in sp.preorder_traversal(e))


# values in torch: each bound index is an axis of its own, and a sum is a sum over that axis

_HEADS: dict[Any, Any] = {
    EXP: torch.exp,
    RELU: torch.relu,
    sp.tanh: torch.tanh,
    sp.log: torch.log,
    sp.Abs: torch.abs,
    STEP: lambda z: (z > 0).to(z.dtype),
}


def torch_value(e: Any, values: Mapping[str, torch.Tensor], sizes: Mapping[Any, int]) -> torch.Tensor:
    """The value of a body without free indices, by broadcasting: what autograd differentiates."""
    return _torch(e, values, sizes, {})


def _torch(e: Any, values: Mapping[str, torch.Tensor], sizes: Mapping[Any, int], axes: dict[Any, int]) -> torch.Tensor:
    here = lambda a: _torch(a, values, sizes, axes)  # noqa: E731
    match e:
        case sp.Rational():
            return torch.tensor(float(e), dtype=torch.float64)
        case sp.Symbol():
            return torch.tensor(float(sizes[e]), dtype=torch.float64)
        case sp.Indexed():
            return values[str(e.base.label)][tuple(_index(i, sizes, axes) for i in e.indices)]
        case IndexSum():
            axes = axes | {e.index: (len(axes), sizes[e.size])}
            value = _torch(e.body, values, sizes, axes)
            return _spread(value, axes).sum(-1)
        case sp.KroneckerDelta():
            i, j = (_index(a, sizes, axes) for a in e.args)
            return (i == j).to(torch.float64)
        case Within():
            i, size = (_index(a, sizes, axes) for a in e.args)
            return ((i >= 0) & (i < size)).to(torch.float64)
        case sp.Add():
            return sum(here(a) for a in e.args[1:]) + here(e.args[0])
        case sp.Mul():
            total = here(e.args[0])
            for a in e.args[1:]:
                total = total * here(a)
            return total
        case sp.Pow():
            return here(e.base) ** float(e.exp)
    return _HEADS[e.func](here(e.args[0]))


def _index(i: Any, sizes: Mapping[Any, int], axes: dict[Any, Any]) -> Any:
    total: Any = torch.tensor(0)
    for term in sp.Add.make_args(i):
        c, rest = term.as_coeff_Mul()
        if rest == 1:
            total = total + int(c)
        elif rest in sizes:
            total = total + int(c) * sizes[rest]
        else:
            place, size = axes[rest]
            shape = [1] * len(axes)
            shape[place] = size
            total = total + int(c) * torch.arange(size).reshape(shape)
    return total


def _spread(value: torch.Tensor, axes: dict[Any, Any]) -> torch.Tensor:
    """Every open index as an axis, in the order of opening."""
    value = value.reshape((1,) * len(axes)) if value.ndim == 0 else value
    return value.expand([size for _, size in axes.values()])


def mutated(e: Any, draw: random.Random) -> Any:
    """One leaf replaced by another leaf at indices that are open there, or a number or a function changed."""
    places = [p for p in _places(e, ()) if not isinstance(p[0], (sp.KroneckerDelta, Within))]
    part, path, scope = draw.choice(places)
    match part:
        case sp.Indexed():
            new = _random_leaf(draw, list(scope))
            new = new + part if draw.random() < 0.3 else new
        case sp.Integer():
            new = part + 1
        case sp.tanh() | EXP() | RELU():
            new = draw.choice([h for h in (sp.tanh, EXP, RELU) if h is not e.func])(part.args[0])
        case _:
            new = -part if draw.random() < 0.5 else 2 * part
    return _put(e, path, new)


def _places(e: Any, scope: tuple[Any, ...], path: tuple[int, ...] = ()) -> Any:
    yield e, path, scope
    if isinstance(e, (sp.Indexed, sp.KroneckerDelta, Within)):
        return
    if isinstance(e, IndexSum):
        yield from _places(e.body, (*scope, (e.index, e.size)), (*path, 0))
        return
    for k, a in enumerate(e.args):
        yield from _places(a, scope, (*path, k))


def _put(e: Any, path: tuple[int, ...], new: Any) -> Any:
    if not path:
        return new
    args = list(e.args)
    args[path[0]] = _put(args[path[0]], path[1:], new)
    return e.func(*args)
