"""The exact derivative of a Program, as more steps of the same Program.

One reverse pass gives the adjoint of every step it reaches; SymPy differentiates each scalar function, once, from its
exact column; everything else is its own transpose or that of its partner.  The cost is linear in the number of steps,
and the result is a Program like any other, so that Hessians, tangents and Jacobians need no rules of their own.

For complex values the adjoint is torch's: the conjugate Wirtinger gradient, the direction of steepest ascent of the
real part of ``sum(conj(seed) * output)``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import UnknownOperation
from symgrad.ops.matrices import direction
from symgrad.ops.row import ARGUMENTS, X
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import Program, Shape, Step, Strided, dense, dependencies, positions, real_dtype, size


def local_derivative(name: str, argument: int = 0, numbers: tuple[sp.Expr | None, ...] = ()) -> sp.Expr:
    """SymPy's derivative of a row's exact column with respect to one of its arguments, off its kinks.

    ``numbers`` are the arguments that are rational numbers, such as the order of a Bessel function, None for others.
    """
    exact = OPS[name].exact
    known = {ARGUMENTS[k]: n for k, n in enumerate(numbers) if n is not None and k != argument}
    return _slope(exact.subs(known) if known else exact, argument)


@functools.cache  # by meaning, not by name: `define` may give a name a new meaning
def _slope(exact: sp.Expr, argument: int) -> sp.Expr:
    if exact == sp.sign(X):
        return sp.Integer(0)
    if exact == sp.Abs(X):
        return sp.sign(X)
    if exact == OPS["cbrt"].exact:
        return sp.Rational(1, 3) * sp.Abs(X) ** sp.Rational(-2, 3)
    slope: Any = sp.diff(exact, ARGUMENTS[argument])
    return slope.replace(sp.Derivative, _settle).replace(sp.DiracDelta, lambda *a: 0)


def _settle(e: sp.Expr, *variables: object) -> sp.Expr:
    """SymPy leaves d sign(u)/dx unevaluated; off the kink it is zero."""
    return sp.Integer(0) if isinstance(e, sp.sign) else sp.Derivative(e, *variables)


def reverse(b: Builder, seeds: Mapping[int, int], wrt: set[int]) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    """The reverse pass, written on ``b``: {step: adjoint} and the edges."""
    order = sorted(dependencies(b.steps, seeds))
    active: set[int] = set()
    for i in order:
        if i in wrt or (b.steps[i].op != "stop" and any(a in active for a in b.steps[i].args)):
            active.add(i)
    adjoints: dict[int, int] = dict(seeds)
    edges: list[tuple[int, int, int]] = []
    for i in reversed(order):
        if i not in adjoints or i not in active:
            continue
        b.source = b.steps[i].source
        for a, contribution in pull(b, i, adjoints[i], active):
            if b.steps[contribution].is_complex and not b.steps[a].is_complex:
                contribution = b.cast(contribution, b.dtype(a))
            edges.append((a, i, contribution))
            adjoints[a] = b.add(adjoints[a], contribution) if a in adjoints else contribution
    b.source = None
    return adjoints, edges


def tangent(program: Program, output: int, wrt: int, direction: int | None = None) -> tuple[Program, int]:
    """The derivative of ``output`` along ``direction`` (a step of the input's shape; ones by default).

    The adjoint is linear in its seed; transposing it once more is the tangent, so there are no forward rules.
    """
    b = Builder.on(program)
    shape, dtype = program.shape(output), program.steps[output].dtype
    seed = b.emit("input", (), f"seed of %{output}", shape, dtype)
    of, _ = reverse(b, {output: seed}, {wrt})
    if wrt in of:
        if direction is None:
            direction = b.ones(program.shape(wrt), program.steps[wrt].dtype)
        back, _ = reverse(b, {of[wrt]: direction}, {seed})
        result = back[seed] if seed in back else b.zeros(shape, dtype)
    else:
        result = b.zeros(shape, dtype)
    return b.build(program.outputs), result


def pull(b: Builder, i: int, g: int, active: set[int]) -> list[tuple[int, int]]:
    """The contributions of step ``i``, whose adjoint is ``g``, to its arguments' adjoints."""
    step = b.steps[i]
    args = step.args
    on = [a in active for a in args]
    match step.op:
        case "add":
            found = [(args[0], g), (args[1], g)]
        case "sub":
            found = [(args[0], g)] + ([(args[1], b.neg(g))] if on[1] else [])
        case "neg":
            found = [(args[0], b.neg(g))]
        case "mul":
            found = [(args[k], b.mul(g, b.conj(args[1 - k]))) for k in (0, 1) if on[k]]
        case "div":
            below = b.conj(args[1])
            found = [(args[0], b.div(g, below))] if on[0] else []
            if on[1]:
                found.append((args[1], b.neg(b.div(b.mul(g, b.conj(i)), below))))
        case "powi":
            n = step.params
            factor = b.mul(b.number(n, step.dtype), b.conj(b.integer_power(args[0], n - 1)))
            found = [(args[0], b.mul(g, factor))]
        case "pow":
            found = []
            if on[0]:
                less = b.emit("pow", (args[0], b.sub(args[1], b.number(1, b.dtype(args[1])))), None, step.shape)
                found.append((args[0], b.mul(g, b.conj(b.mul(args[1], less)))))
            if on[1]:
                found.append((args[1], b.mul(g, b.conj(b.mul(i, b.apply("log", args[0]))))))
        case "name" | "cast":
            found = [(args[0], b.cast(g, b.dtype(args[0])) if step.op == "cast" else g)]
        case "conj":
            found = [(args[0], b.conj(g))]
        case "real":
            found = [(args[0], b.cast(g, b.dtype(args[0])))]
        case "imag":
            found = [(args[0], b.mul(g, b.constant(1j, b.dtype(args[0]), exact=sp.I)))]
        case "pick":
            found = _pull_pick(b, i, g, on)
        case "scatter":
            found = [(args[0], b.pick([g], step.params, b.shape(args[0])))]
        case "matmul":
            found = []
            if on[0]:
                found.append((args[0], b.emit("matmul", (g, b.conj(b.transpose(args[1]))), None, b.shape(args[0]))))
            if on[1]:
                found.append((args[1], b.emit("matmul", (b.conj(b.transpose(args[0])), g), None, b.shape(args[1]))))
        case "inverse" | "solve" | "det" | "logabsdet" | "cholesky":
            found = _pull_linear_algebra(b, i, g, on)
        case "matrix_exp":
            found = [(args[0], _pull_exponential(b, i, g))]
        case "eigenpairs" | "general_eigenpairs":
            found = [(args[0], _pull_eigenpairs(b, i, g))]
        case "constant" | "input" | "stop":
            found = []
        case "polygamma":
            found = [(args[0], b.mul(g, b.apply("polygamma", args[0], params=step.params + 1)))]
        case name if name in COMPOSITES:
            found = [(args[0], contribution) for contribution in COMPOSITES[name].pull(b, i, g)]
        case _:
            found = _pull_scalar(b, i, g, on)
    return [(a, c) for a, c in found if a in active]


def _pull_scalar(b: Builder, i: int, g: int, on: list[bool]) -> list[tuple[int, int]]:
    step = b.steps[i]
    args = step.args
    if step.op == "abs" and b.steps[args[0]].is_complex:
        return [(args[0], b.mul(g, b.div(args[0], i)))]
    if step.op == "sign" and step.is_complex:  # what g has along the direction itself does not turn it
        along = b.cast(b.mul(g, b.conj(i)), real_dtype(step.dtype))
        size = b.apply("abs", args[0], dtype=real_dtype(step.dtype))
        return [(args[0], b.div(b.sub(g, b.mul(along, i)), size))]
    exact = OPS[step.op].exact
    if len(args) == 1 and (template := _slope_steps(step.op, exact, step.dtype, b.dtype(args[0]), step.shape)):
        return [(args[0], b.mul(g, b.conj(_written_again(b, template, (args[0], i)))))]
    env: dict[sp.Basic, int] = {exact: i}
    env.update(zip(ARGUMENTS, step.args, strict=False))
    numbers = tuple(_number(b, a) for a in args) if len(args) > 1 else ()
    found = []
    for k, a in enumerate(step.args):
        if on[k]:
            try:
                slope = lower(b, local_derivative(step.op, k, numbers), env, dtype=step.dtype)
            except UnknownOperation:
                raise UnknownOperation(
                    f"the derivative of {step.op} with respect to its argument {k + 1} of {len(args)} is not known.",
                    instead="Differentiate with respect to inputs of its last argument only.",
                ) from None
            found.append((a, b.mul(g, b.conj(slope))))
    return found


@functools.lru_cache(maxsize=4096)
def _slope_steps(op: str, exact: sp.Expr, dtype: str, given: str, shape: Shape) -> tuple[Step, ...]:
    """A row's derivative as steps, without its argument and value; none where it is unknown, trivial or a choice."""
    b = Builder()
    x = b.input("x", shape, given)
    value = b.emit(op, (x,), None, shape, dtype)
    try:
        last = lower(b, local_derivative(op), {exact: value, X: x}, dtype=dtype)
    except UnknownOperation:
        return ()
    return tuple(b.steps) if not b.guards and last == len(b.steps) - 1 > value else ()


def _written_again(b: Builder, template: Sequence[Step], first: tuple[int, ...]) -> int:
    """The last of some steps, whose first ones are there already."""
    place = list(first)
    for step in template[len(first) :]:
        place.append(b.emit(step.op, [place[a] for a in step.args], step.params, step.shape, step.dtype))
    return place[-1]


def _number(b: Builder, i: int) -> sp.Expr | None:
    """The rational number that a step is, or None."""
    step = b.steps[i]
    exact = step.params.exact if step.op == "constant" else None
    return exact if isinstance(exact, sp.Rational) else None


def _pull_pick(b: Builder, i: int, g: int, on: list[bool]) -> list[tuple[int, int]]:
    step = b.steps[i]
    if isinstance(step.params, Strided):
        (a,) = step.args
        return [(a, unpick(b, g, step.params, step.shape, b.shape(a)))]
    found, start = [], 0
    for a, wanted in zip(step.args, on, strict=True):
        n = size(b.shape(a))
        if wanted:
            here = step.params - start
            here = np.where((here >= 1) & (here <= n), here, 0)
            hit = here[here > 0]
            if hit.size == np.unique(hit).size:  # no entry is used twice: the transpose is again a pick
                back = np.zeros(n, dtype=np.int64)
                back[hit - 1] = np.nonzero(here)[0] + 1
                found.append((a, b.pick([g], back, b.shape(a))))
            else:
                found.append((a, b.scatter(g, here, b.shape(a))))
        start += n
    return found


def unpick(b: Builder, g: int, index: Strided, shape: tuple[int, ...], target: tuple[int, ...]) -> int:
    """The transpose of an affine pick: repeated entries are added up, the others go back to their places."""
    repeated = [k for k, s in enumerate(index.strides) if s == 0 and shape[k] > 1]
    if repeated:
        g = b.sum(g, repeated, keepdims=True)
        shape = b.shape(g)
    kept = [k for k, n in enumerate(shape) if n > 1]
    order = sorted(kept, key=lambda k: -abs(index.strides[k]))
    sorted_shape = tuple(shape[k] for k in order)
    sorted_strides = tuple(index.strides[k] for k in order)
    if index.offset == 0 and size(shape) == size(target) and sorted_strides == dense(sorted_shape):
        ones = [k for k in range(len(shape)) if k not in kept]
        return b.reshape(b.permute(g, [*ones, *order]), target)
    flat = positions(index, shape)
    if np.unique(flat).size == flat.size:
        back = np.zeros(size(target), dtype=np.int64)
        back[flat - 1] = np.arange(1, flat.size + 1)
        return b.pick([g], back, target)
    return b.scatter(g, index if shape == b.shape(g) else flat, target)


def _pull_linear_algebra(b: Builder, i: int, g: int, on: list[bool]) -> list[tuple[int, int]]:
    """Matrix rules (Giles 2008), on batches of shape (batch, n, n)."""
    step = b.steps[i]
    a = step.args[0]
    h = lambda m: b.conj(b.transpose(m))  # noqa: E731
    mm = lambda x, y: b.emit("matmul", (x, y), None, (b.shape(x)[0], b.shape(x)[1], b.shape(y)[2]))  # noqa: E731
    match step.op:
        case "inverse":
            return [(a, b.neg(mm(mm(h(i), g), h(i))))]
        case "solve":
            right = b.emit("solve", (h(a), g), None, b.shape(g))
            found = [(step.args[1], right)]
            if on[0]:
                found.append((a, b.neg(mm(right, h(i)))))
            return found
        case "det" | "logabsdet":
            inverse = b.emit("inverse", (a,), None, b.shape(a))
            scale = b.mul(g, b.conj(i)) if step.op == "det" else g
            return [(a, b.mul(b.reshape(scale, (*b.shape(i), 1, 1)), h(inverse)))]
        case _:  # cholesky: A = L L^H, the gradient symmetrised
            batch, n, _n = step.shape
            middle = mm(h(i), g)
            where = np.arange(1, batch * n * n + 1).reshape(batch, n, n)
            lower, diagonal = (
                b.pick([middle], where * keep, step.shape) for keep in (np.tri(n, dtype=int), np.eye(n, dtype=int))
            )
            middle = b.sub(lower, b.div(diagonal, b.number(2, step.dtype)))
            left = b.emit("solve", (h(i), middle), None, step.shape)
            both = h(b.emit("solve", (h(i), h(left)), None, step.shape))
            return [(a, b.div(b.add(both, h(both)), b.number(2, step.dtype)))]


def _blocks(b: Builder, rows: list[list[int | None]]) -> int:
    """Matrices made of blocks, each (batch, n, m) or None for zeros."""
    tall = [next(b.shape(x)[1] for x in row if x is not None) for row in rows]
    wide = [next(b.shape(x)[2] for row in rows if (x := row[k]) is not None) for k in range(len(rows[0]))]
    batch = next(b.shape(x)[0] for x in rows[0] if x is not None)
    where = np.zeros((batch, sum(tall), sum(wide)), dtype=np.int64)
    parts, start = [], 0
    for r, row in enumerate(rows):
        for k, x in enumerate(row):
            if x is not None:
                n = size(b.shape(x))
                top, left = sum(tall[:r]), sum(wide[:k])
                where[:, top : top + tall[r], left : left + wide[k]] = np.arange(start + 1, start + n + 1).reshape(
                    b.shape(x)
                )
                parts.append(x)
                start += n
    return b.pick(parts, where, where.shape)


def _pull_exponential(b: Builder, i: int, g: int) -> int:
    """exp of [[A, E], [0, A]] has the derivative of exp at A along E in its corner; its adjoint is that at A^H."""
    (a,) = b.steps[i].args
    batch, n, _n = b.shape(a)
    turned = b.conj(b.transpose(a))
    whole = _blocks(b, [[turned, g], [None, turned]])
    both = b.emit("matrix_exp", (whole,), None, (batch, 2 * n, 2 * n))
    where = np.arange(1, batch * 4 * n * n + 1).reshape(batch, 2 * n, 2 * n)[:, :n, n:]
    return b.pick([both], where, (batch, n, n))


def _pull_eigenpairs(b: Builder, i: int, g: int) -> int:
    """A v = t v and c^H v = 1, differentiated: [[A - t, -v], [c^H, 0]] (dv, dt) = (-dA v, 0).

    Of a Hermitian matrix c is v, elsewhere the constant that general eigenvectors are measured by.
    """
    (a,) = b.steps[i].args
    is_general = b.steps[i].op == "general_eigenpairs"
    batch, count, m = b.shape(i)
    n, dtype = m - 1, b.dtype(i)
    if (
        b.steps[i].is_complex
        and not is_general
        and not _vanishes(b, g, np.arange(1, batch * count * m + 1).reshape(-1, m)[:, :n])
    ):
        raise UnknownOperation(
            "the eigenvectors (or singular vectors) of a complex matrix are known up to a phase each, which nothing "
            "fixes: they have no derivative.",
            instead="Write the function in the eigenvalues, or in projectors that solve() gives.",
        )
    pair = b.reshape(i, (batch * count, m, 1))
    where = np.arange(1, batch * count * m + 1).reshape(batch * count, m, 1)
    v, t = b.pick([pair], where[:, :n], (batch * count, n, 1)), b.pick([pair], where[:, n:], (batch * count, 1, 1))
    each = b.broadcast(b.reshape(b.cast(a, dtype), (batch, 1, n, n)), (batch, count, n, n))
    shift = b.mul(
        b.broadcast(t, (batch * count, n, n)), b.broadcast(b.constant(np.eye(n), dtype), (batch * count, n, n))
    )
    above = b.sub(b.reshape(each, (batch * count, n, n)), shift)
    measure = b.conj(b.transpose(v))
    if is_general:
        measure = b.broadcast(b.constant(direction(n), dtype), (batch * count, 1, n))
    matrix = _blocks(b, [[above, b.neg(v)], [measure, None]])
    seed = b.reshape(g, (batch * count, m, 1))
    solved = b.emit("solve", (b.conj(b.transpose(matrix)), seed), None, (batch * count, m, 1))
    w = b.reshape(b.pick([solved], where[:, :n], (batch * count, n, 1)), (batch, count, n))
    found = b.emit("matmul", (b.transpose(w), b.conj(b.reshape(v, (batch, count, n)))), None, (batch, n, n))
    if is_general:
        return b.neg(found)
    both = b.add(found, b.conj(b.transpose(found)))  # the argument is read as Hermitian
    return b.neg(b.div(both, b.number(2, b.dtype(found))))


def _vanishes(b: Builder, i: int, at: np.ndarray) -> bool:
    """Whether the entries ``at`` of a step are zero by how it was laid out."""
    step = b.steps[i]
    if step.op in ("add", "sub", "neg", "conj", "cast", "real"):
        return all(_vanishes(b, a, at) for a in step.args)
    if step.op != "pick":
        return step.op == "constant" and not np.any(np.broadcast_to(step.params.value, step.shape).reshape(-1)[at - 1])
    where, start = np.asarray(positions(step.params, step.shape)).reshape(-1)[at - 1], 0
    for a in step.args:
        n = size(b.shape(a))
        here = where[(where > start) & (where <= start + n)] - start
        if here.size and not _vanishes(b, a, here):
            return False
        start += n
    return True


def derivatives(b: Builder, output: int, wrt: Mapping[str, int], order: int = 1) -> dict[str, int]:
    """The steps of the derivative of ``output`` with respect to each input, written on ``b``.

    ``order=1``: for a scalar (or complex) output the gradient, of the input's shape, with upstream ones; otherwise the
    Jacobian, of shape output.shape + input.shape.  ``order=2``: for a scalar output the Hessian of each input by
    itself, of shape input.shape + input.shape.
    """
    shape = b.shape(output)
    if order == 1 and (not shape or b.steps[output].is_complex):
        return gradients(b, output, wrt)
    if order == 1:
        return _jacobians(b, output, wrt)
    first = gradients(b, output, wrt)
    return {name: _jacobians(b, first[name], {name: i})[name] for name, i in wrt.items()}


def gradients(b: Builder, output: int, wrt: Mapping[str, int]) -> dict[str, int]:
    """The gradients of the sum of the output's entries: its adjoints for upstream ones."""
    seed = b.ones(b.shape(output), b.dtype(output))
    of, _ = reverse(b, {output: seed}, set(wrt.values()))
    return {name: of[i] if i in of else b.zeros(b.shape(i), b.dtype(i)) for name, i in wrt.items()}


def _jacobians(b: Builder, output: int, wrt: Mapping[str, int]) -> dict[str, int]:
    shape, dtype = b.shape(output), b.dtype(output)
    n = size(shape)
    rows: dict[str, list[int]] = {name: [] for name in wrt}
    for k in range(n):
        unit = np.zeros(n, dtype=np.int64)
        unit[k] = 1
        seed = b.pick([b.number(1, dtype)], unit, shape)
        of, _ = reverse(b, {output: seed}, set(wrt.values()))
        for name, i in wrt.items():
            rows[name].append(of[i] if i in of else b.zeros(b.shape(i), b.dtype(i)))
    return {
        name: b.reshape(b.stack(rows[name]), (*shape, *b.shape(i))) if n else b.zeros((*shape, *b.shape(i)))
        for name, i in wrt.items()
    }
