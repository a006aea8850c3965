"""Tensor operations said in steps, against torch and NumPy in float64: the values, and the adjoints against autograd.

Inputs are small integers, so that everything built from sums and products alone is exact in float64 and is compared
with ``==``; the rest is compared to a few units in the last place of the largest entry.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb, fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symgrad.evaluation.balls import Balls, binary, precision
from symgrad.evaluation.floats import Floats
from symgrad.program import layouts
from symgrad.program.builder import Builder
from symgrad.program.composites import COMPOSITES, Composite
from symgrad.program.derivative import adjoint
from symgrad.program.program import interpret
from symgrad.program.selection import select

few = settings(max_examples=40, derandomize=True)


def integers(shape, seed=0, low=-4, high=5):
    return torch.tensor(np.random.default_rng(seed).integers(low, high, shape), dtype=torch.float64)


def draw(shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def written(say, arrays):
    """The Program of ``say`` on inputs of these shapes."""
    b = Builder()
    steps = [b.input(f"x{k}", tuple(a.shape), str(a.dtype).removeprefix("torch.")) for k, a in enumerate(arrays)]
    return b.build({"y": say(b, *steps)})


def both(say, arrays, seed=1):
    """The value of a Program and its adjoints along a random cotangent, in float64; and the cotangent."""
    program = written(say, arrays)
    out = program.steps[program.output]
    b = Builder.on(program)
    weights = integers(out.shape, seed)
    cotangent = b.constant(weights.numpy(), out.dtype)
    whole = adjoint(b.build(program.outputs), program.output, seed=cotangent)
    inputs = {f"x{k}": a for k, a in enumerate(arrays)}
    wanted = [whole.of.get(program.inputs[name]) for name in inputs]
    values = interpret(whole.program, Floats(), inputs, [program.output, *(w for w in wanted if w is not None)])
    grads = [torch.zeros_like(a) if w is None else values[w] for w, a in zip(wanted, arrays, strict=True)]
    return values[program.output], grads, weights


def same(ours, theirs, exact):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert ours.dtype == theirs.dtype
    if exact:
        assert torch.equal(ours, theirs), (ours, theirs)
    else:
        scale = max(1.0, float(theirs.abs().max()) if theirs.numel() else 0.0)
        assert not theirs.numel() or float((ours - theirs).abs().max()) <= 1e-13 * scale * 8


def check(say, truth, *arrays, exact=False):
    value, grads, weights = both(say, arrays)
    leaves = [a.clone().requires_grad_() for a in arrays]
    wanted = truth(*leaves)
    same(value, wanted.detach(), exact)
    theirs = torch.autograd.grad(wanted, leaves, weights.to(wanted.dtype), allow_unused=True)
    for ours, grad, leaf in zip(grads, theirs, leaves, strict=True):
        same(ours, torch.zeros_like(leaf) if grad is None else grad, exact)


# ------------------------------------------------------------------------------------------------ reductions

shapes = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)


@st.composite
def reductions(draw_):
    """A shape, some of its axes (None is all, possibly negative), keepdims."""
    shape = draw_(shapes)
    n = len(shape)
    axes = draw_(st.none() | st.lists(st.integers(0, n - 1), unique=True, min_size=1)) if n else None
    if axes is not None:
        axes = tuple(k - n * draw_(st.booleans()) for k in axes)
    return shape, axes, draw_(st.booleans())


def axes_for_torch(shape, axes):
    return tuple(range(len(shape))) if axes is None else axes


@few
@given(reductions())
def test_mean_var_std(case):
    shape, axes, keep = case
    x = draw(shape)
    every = axes_for_torch(shape, axes)
    n = int(np.prod([shape[k] for k in every]))
    check(lambda b, i: layouts.mean(b, i, axes, keep), lambda t: t.mean(every, keep) if shape else t.clone(), x)
    if n > 1:
        check(lambda b, i: layouts.var(b, i, axes, keep), lambda t: t.var(every, keepdim=keep), x)
        check(
            lambda b, i: layouts.std(b, i, axes, keep, correction=0),
            lambda t: t.std(every, correction=0, keepdim=keep),
            x,
        )


def test_var_mean_of_complex_numbers():
    x = draw((3, 4), dtype=torch.complex128)
    check(lambda b, i: layouts.var(b, i, 1), lambda t: t.var(1), x)
    check(lambda b, i: layouts.var_mean(b, i, 1, True)[1], lambda t: t.mean(1, keepdim=True), x)
    check(lambda b, i: layouts.norm(b, i), lambda t: torch.linalg.vector_norm(t), x)
    check(lambda b, i: layouts.norm(b, i, 1, -1), lambda t: torch.linalg.vector_norm(t, 1, -1), x)


@few
@given(reductions())
def test_prod(case):
    shape, axes, keep = case
    x = integers(shape, low=1)

    def truth(t):
        for k in sorted((k % len(shape) for k in axes_for_torch(shape, axes)), reverse=True):
            t = t.prod(k, keepdim=keep)
        return t.clone()

    check(lambda b, i: layouts.prod(b, i, axes, keep), truth, x)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
def test_prod_with_zeros_has_exact_derivatives(n):
    x = integers((n,))
    x[0] = 0
    program_value, (grad,), weights = both(lambda b, i: layouts.prod(b, i), [x])
    assert program_value == torch.prod(x)
    others = [torch.prod(torch.cat([x[:k], x[k + 1 :]])) for k in range(n)]
    assert torch.equal(grad, weights * torch.stack(others))


@few
@given(shapes.filter(len), st.data())
def test_cumsum_and_cumprod(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(lambda b, i: layouts.cumsum(b, i, axis), lambda t: t.cumsum(axis), integers(shape), exact=True)
    check(lambda b, i: layouts.cumprod(b, i, axis), lambda t: t.cumprod(axis), integers(shape, low=1))


@few
@given(reductions(), st.sampled_from([1, 2, 3, 4, 2.5, 0.5, -1, float("inf"), -float("inf")]))
def test_norm(case, p):
    shape, axes, keep = case
    assume(shape)
    x = draw(shape)
    every = axes_for_torch(shape, axes)
    check(
        lambda b, i: layouts.norm(b, i, p, axes, keep, values=x.numpy()),
        lambda t: torch.linalg.vector_norm(t, p, every, keep),
        x,
    )


def test_norm_says_what_it_lacks():
    with pytest.raises(ValueError, match="wants the values"):
        written(lambda b, i: layouts.norm(b, i, float("inf")), [draw((3,))])
    with pytest.raises(ValueError, match="counts entries"):
        written(lambda b, i: layouts.norm(b, i, 0), [draw((3,))])


@few
@given(shapes, st.data())
def test_softmax_and_log_softmax(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1)) if shape else 0
    x = draw(shape)
    check(lambda b, i: layouts.softmax(b, i, axis), lambda t: t.softmax(axis), x)
    check(lambda b, i: layouts.log_softmax(b, i, axis), lambda t: t.log_softmax(axis), x)


@few
@given(reductions())
def test_logsumexp(case):
    shape, axes, keep = case
    assume(shape)
    every = axes_for_torch(shape, axes)
    check(lambda b, i: layouts.logsumexp(b, i, axes, keep), lambda t: t.logsumexp(every, keep), draw(shape))


@pytest.mark.parametrize("offset", [-2, 0, 1])
def test_trace_and_diagonal(offset):
    x = integers((2, 4, 3))
    check(lambda b, i: layouts.diagonal(b, i, offset, 2, 1), lambda t: t.diagonal(offset, 2, 1).clone(), x, exact=True)
    check(lambda b, i: layouts.trace(b, i, offset, 1, -1), lambda t: t.diagonal(offset, 1, -1).sum(-1), x, exact=True)


# ------------------------------------------------------------------------------------------------ products


@st.composite
def contractions(draw_):
    """A random einsum: letters with lengths (an axis may have length one), repeated letters, dots, any output."""
    lengths = {c: draw_(st.integers(1, 3)) for c in "abcd"}
    terms, arrays = [], []
    dotted = draw_(st.booleans())
    for k in range(draw_(st.integers(1, 3))):
        letters = draw_(st.lists(st.sampled_from("abcd"), min_size=0, max_size=3))
        shape = [lengths[c] for c in letters]
        term = "".join(letters)
        if dotted and draw_(st.booleans()):
            batch = draw_(st.sampled_from([(), (2,), (1,), (3, 2)]))
            at = draw_(st.integers(0, len(letters)))
            term = term[:at] + "..." + term[at:]
            shape[at:at] = batch
        terms.append(term)
        arrays.append(integers(shape, seed=k))
    used = sorted(set("".join(terms)) - {"."})
    spec = ",".join(terms)
    if draw_(st.booleans()):
        out = "".join(draw_(st.permutations(used))[: draw_(st.integers(0, len(used)))])
        spec += "->" + ("..." if "..." in spec else "") + out
    return spec, arrays


@settings(max_examples=150, derandomize=True)
@given(contractions())
def test_einsum(case):
    spec, arrays = case
    check(lambda b, *xs: layouts.einsum(b, spec, *xs), lambda *ts: torch.einsum(spec, *ts).clone(), *arrays, exact=True)


def test_einsum_repeats_axes_of_length_one_and_takes_diagonals_of_three():
    x, y = integers((1, 3)), integers((2, 3))
    assert both(lambda b, i, j: layouts.einsum(b, "ij,ij->i", i, j), [x, y])[0].tolist() == (x * y).sum(1).tolist()
    cube = integers((3, 3, 3))
    check(lambda b, i: layouts.einsum(b, "iii->i", i), lambda t: torch.einsum("iii->i", t), cube, exact=True)


@pytest.mark.parametrize(
    ("spec", "shapes_", "message"),
    [
        ("ij,jk->ik", [(2, 3)], "names 2 operands and is given 1"),
        ("ij,jk->ik", [(2, 3), (2, 2)], "has length 3 and 2"),
        ("ij->iz", [(2, 3)], "names one that no operand has"),
        ("ij->ii", [(2, 2)], "repeats an index"),
    ],
)
def test_einsum_errors(spec, shapes_, message):
    with pytest.raises(ValueError, match=message):
        written(lambda b, *xs: layouts.einsum(b, spec, *xs), [integers(s) for s in shapes_])


@pytest.mark.parametrize("axes", [0, 1, 2, ([1], [0]), ([0, 1], [1, 0]), ([-1], [-2])])
def test_tensordot(axes):
    x, y = integers((3, 3)), integers((3, 3), 1)
    check(lambda b, i, j: layouts.tensordot(b, i, j, axes), lambda s, t: torch.tensordot(s, t, axes), x, y, exact=True)
    x, y = integers((2, 3, 4)), integers((3, 4, 5), 1)
    check(lambda b, i, j: layouts.tensordot(b, i, j), lambda s, t: torch.tensordot(s, t, 2), x, y, exact=True)


def test_outer_and_cross():
    x, y = integers((2, 3)), integers((2, 3), 1)
    check(layouts.outer, lambda s, t: torch.outer(s.ravel(), t.ravel()), x, y, exact=True)
    check(layouts.cross, lambda s, t: torch.linalg.cross(s, t), x, y, exact=True)
    x, y = integers((3, 2)), integers((3, 1), 1)
    check(lambda b, i, j: layouts.cross(b, i, j, 0), lambda s, t: torch.linalg.cross(s, t, dim=0), x, y, exact=True)


# ------------------------------------------------------------------------------------------------ windows


@st.composite
def convolutions(draw_):
    n = draw_(st.integers(1, 3))
    each = lambda low, high: tuple(draw_(st.integers(low, high)) for _ in range(n))  # noqa: E731
    kernel, stride, dilation = each(1, 3), each(1, 3), each(1, 2)
    groups = draw_(st.sampled_from([1, 2]))
    inner, outer = groups * draw_(st.integers(1, 2)), groups * draw_(st.integers(1, 2))
    padding = each(0, 2)
    space = tuple(draw_(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 6)) for k, d, p in zip(kernel, dilation, padding))
    batch = draw_(st.sampled_from([(), (2,)]))
    return n, batch, inner, outer, groups, space, kernel, stride, padding, dilation


@few
@given(convolutions())
def test_convolution(case):
    n, batch, inner, outer, groups, space, kernel, stride, padding, dilation = case
    x, w, bias = (
        integers((*batch, inner, *space)),
        integers((outer, inner // groups, *kernel), 1),
        integers((outer,), 2),
    )
    torch_conv = [torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d][n - 1]
    check(
        lambda b, i, j, k: layouts.conv(b, i, j, k, stride, padding, dilation, groups=groups),
        lambda s, t, u: torch_conv(s, t, u, stride, padding, dilation, groups),
        x,
        w,
        bias,
        exact=True,
    )


@few
@given(convolutions(), st.data())
def test_transposed_convolution(case, data):
    n, batch, inner, outer, groups, space, kernel, stride, padding, dilation = case
    extra = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation))
    reach = zip(space, stride, padding, dilation, kernel, extra)
    assume(all((m - 1) * s - 2 * p + d * (k - 1) + e + 1 > 0 for m, s, p, d, k, e in reach))
    x, w = integers((*batch, inner, *space)), integers((inner, outer // groups, *kernel), 1)
    name = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"][n - 1]
    check(
        lambda b, i, j: layouts.conv(b, i, j, None, stride, padding, dilation, True, extra, groups),
        lambda s, t: getattr(torch.nn.functional, name)(s, t, None, stride, padding, extra, groups, dilation),
        x,
        w,
        exact=True,
    )


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_convolution_with_named_padding(padding):
    x, w = integers((1, 2, 7)), integers((3, 2, 4), 1)
    check(
        lambda b, i, j: layouts.conv(b, i, j, padding=padding, dilation=2 if padding == "valid" else 1),
        lambda s, t: torch.nn.functional.conv1d(s, t, padding=padding, dilation=2 if padding == "valid" else 1),
        x,
        w,
        exact=True,
    )


@few
@given(st.data())
def test_average_pooling(data):
    n = data.draw(st.integers(1, 3))
    kernel = tuple(data.draw(st.integers(1, 4)) for _ in range(n))
    stride = data.draw(st.none() | st.tuples(*[st.integers(1, 3)] * n))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    space = tuple(data.draw(st.integers(max(1, k - 2 * p) if n < 3 else k, 6)) for k, p in zip(kernel, padding))
    include, ceil = data.draw(st.booleans()), data.draw(st.booleans())
    divisor = data.draw(st.sampled_from([None, 3])) if n > 1 else None
    rest = (divisor,) if n > 1 else ()
    name = f"avg_pool{n}d"
    check(
        lambda b, i: layouts.avg_pool(b, i, kernel, stride, padding, include, ceil, divisor),
        lambda t: getattr(torch.nn.functional, name)(t, kernel, stride, padding, ceil, include, *rest),
        draw((2, 2, *space)),
    )


@few
@given(st.data())
def test_max_pooling_remembers_every_comparison(data):
    n = data.draw(st.integers(1, 3))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(n))
    stride = data.draw(st.none() | st.tuples(*[st.integers(1, 3)] * n))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    dilation = tuple(data.draw(st.integers(1, 2)) for _ in range(n))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    space = tuple(data.draw(st.integers(max(1, r - 2 * p), 6)) for r, p in zip(reach, padding))
    ceil = data.draw(st.booleans())
    x = draw((2, 2, *space))
    pool = getattr(torch.nn.functional, f"max_pool{n}d")
    best, indices = pool(x, kernel, stride, padding, dilation, ceil, return_indices=True)
    assume(bool(torch.isfinite(best).all()))  # else a window holds nothing but padding
    say = lambda b, i: layouts.max_pool_from_indices(  # noqa: E731
        b, i, indices.numpy(), n, kernel, stride, padding, dilation, ceil
    )
    check(say, lambda t: pool(t, kernel, stride, padding, dilation, ceil), x, exact=True)
    program = written(say, [x])
    for guard in program.guards:
        values = interpret(program, Floats(), {"x0": x}, guard.args)
        assert guard.op == "ge"
        assert bool((values[guard.args[0]] > values[guard.args[1]]).all())  # no ties among random numbers
    # a different choice of entries does break a comparison
    if program.guards:
        wrong = -x
        values = interpret(program, Floats(), {"x0": wrong}, program.guards[0].args)
        assert not bool((values[program.guards[0].args[0]] >= values[program.guards[0].args[1]]).all())


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(5, 3), (5, 2), (3, 5), (2, 5), (4, 4), (1, 3), (6, 4), (4, 6)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_convolve_and_correlate_as_numpy_does(n, m, mode, dtype):
    x, y = integers((n,), 3).to(dtype), integers((m,), 4).to(dtype)
    if dtype.is_complex:
        x, y = x + 1j * integers((n,), 5), y + 1j * integers((m,), 6)
    for name in ("convolve", "correlate"):
        numpy = getattr(np, name)
        value, (gx, gy), weights = both(lambda b, i, j: getattr(layouts, name)(b, i, j, mode), [x, y])  # noqa: B023
        assert value.tolist() == numpy(x.numpy(), y.numpy(), mode).tolist()
        # linear in x, and in y or conj(y): the adjoint is known from NumPy's values at unit vectors
        w = weights.numpy()
        eye = lambda k: np.eye(k)  # noqa: E731
        columns = np.array([numpy(e, y.numpy(), mode) for e in eye(n)])
        assert gx.tolist() == (columns.conj() @ w).tolist()
        columns = np.array([numpy(x.numpy(), e, mode) for e in eye(m)])
        expected = columns.conj() @ w if name == "convolve" else columns @ w
        assert gy.tolist() == expected.tolist()


# ------------------------------------------------------------------------------------------------ entries


@few
@given(reductions(), st.booleans())
def test_extreme(case, largest):
    shape, axes, keep = case
    x = draw(shape)
    every = axes_for_torch(shape, axes)
    truth = (torch.amax if largest else torch.amin) if shape else lambda t, *_: t.clone()
    say = lambda b, i: layouts.extreme(b, i, x.numpy(), axes, keep, largest=largest)  # noqa: E731
    check(say, lambda t: truth(t, every, keep), x, exact=True)
    program = written(say, [x])
    (guard,) = program.guards
    entries = interpret(program, Floats(), {"x0": x}, guard.args)[guard.args[0]]
    assert guard.op == ("argmax" if largest else "argmin")
    assert np.array_equal(guard.outcome, getattr(torch, guard.op)(entries, guard.params).numpy())


def test_extreme_prefers_the_first_of_equals_and_a_nan():
    x = torch.tensor([1.0, 3.0, 3.0])
    value, (grad,), weights = both(lambda b, i: layouts.extreme(b, i, x.numpy()), [x.double()])
    assert (value.item(), grad.tolist()) == (3.0, [0.0, float(weights), 0.0])
    x = torch.tensor([1.0, float("nan"), 3.0], dtype=torch.float64)
    assert both(lambda b, i: layouts.extreme(b, i, x.numpy(), largest=False), [x])[0].isnan()


@few
@given(shapes, st.data())
def test_sort_and_gather(shape, data):
    x = draw(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1)) if shape else -1
    _, order = torch.sort(x, axis)
    check(lambda b, i: layouts.sort_by(b, i, order.numpy(), axis), lambda t: torch.sort(t, axis)[0], x, exact=True)
    if shape:
        longer = list(shape)
        longer[axis] = data.draw(st.integers(1, 5))
        index = torch.tensor(np.random.default_rng(0).integers(0, shape[axis], longer))
        check(
            lambda b, i: layouts.pick_along(b, i, index.numpy(), axis), lambda t: t.gather(axis, index), x, exact=True
        )
        which = index.select(0, 0) if len(shape) == 1 else index.flatten()[:3]
        check(
            lambda b, i: layouts.take(b, i, which.numpy().ravel(), axis),
            lambda t: t.index_select(axis, which.ravel()),
            x,
            exact=True,
        )


def test_where_broadcasts():
    mask = np.array([[True], [False], [True]])
    x, y = integers((4,)), integers((3, 4), 1)
    check(
        lambda b, i, j: layouts.where(b, mask, i, j),
        lambda s, t: torch.where(torch.tensor(mask), s, t),
        x,
        y,
        exact=True,
    )


@pytest.mark.parametrize(("lo", "hi"), [(-1.0, 2.0), (None, 2.0), (-1.0, None), (3.0, -3.0)])
def test_clamp(lo, hi):
    x = torch.tensor([-4.0, -1.0, 0.5, 2.0, 3.0, float("nan")], dtype=torch.float64)

    def say(b, i):
        bounds = [None if v is None else b.number(int(v)) for v in (lo, hi)]
        return layouts.clamp(b, i, *bounds, values=[x.numpy(), lo, hi])

    value, (grad,), weights = both(say, [x])
    leaf = x.clone().requires_grad_()
    wanted = leaf.clamp(lo, hi)
    assert np.array_equal(value.numpy(), wanted.detach().numpy(), equal_nan=True)
    if lo is None or hi is None or lo <= hi:  # torch says nothing sensible about an empty interval
        (theirs,) = torch.autograd.grad(wanted, leaf, weights)
        assert torch.equal(grad[:-1], theirs[:-1])


# ------------------------------------------------------------------------------------------------ adding up


@few
@given(st.data())
def test_scatter_add(data):
    n = data.draw(st.integers(1, 3))
    base_shape = tuple(data.draw(st.integers(1, 4)) for _ in range(n))
    axis = data.draw(st.integers(-n, n - 1))
    index_shape = tuple(data.draw(st.integers(1, 5 if k == axis % n else m)) for k, m in enumerate(base_shape))
    src_shape = tuple(m + data.draw(st.integers(0, 1)) for m in index_shape)
    index = torch.tensor(np.random.default_rng(0).integers(0, base_shape[axis], index_shape))
    check(
        lambda b, i, j: layouts.scatter_add(b, i, axis, index.numpy(), j),
        lambda s, t: s.scatter_add(axis, index, t[tuple(map(slice, index_shape))]),  # torch 2.13 fails to derive t
        integers(base_shape),
        integers(src_shape, 1),
        exact=True,
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_index_add(axis):
    base, index = integers((4, 3, 4)), torch.tensor([2, 0, 2])
    shape = list(base.shape)
    shape[axis] = 3
    check(
        lambda b, i, j: layouts.index_add(b, i, axis, index.numpy(), j, alpha=2),
        lambda s, t: s.index_add(axis, index, t, alpha=2),
        base,
        integers(shape, 1),
        exact=True,
    )


def test_index_put_adds_repeated_entries():
    rows, columns = torch.tensor([0, 2, 0]), torch.tensor([1, 1, 1])
    check(
        lambda b, i, j: layouts.index_put_accumulate(b, i, [rows.numpy(), columns.numpy()], j),
        lambda s, t: s.index_put((rows, columns), t, accumulate=True),
        integers((3, 2)),
        integers((3,), 1),
        exact=True,
    )
    check(
        lambda b, i, j: layouts.index_put_accumulate(b, i, [None, rows.numpy()], j),
        lambda s, t: s.index_put((torch.arange(2)[:, None], rows), t, accumulate=True),
        integers((2, 3)),
        integers((1,), 1),
        exact=True,
    )


# ------------------------------------------------------------------------------------------------ normalisation


def test_normalisations():
    functional = torch.nn.functional
    x, w, c = draw((3, 4, 5)), draw((4, 5), 1), draw((4, 5), 2)
    check(
        lambda b, i, j, k: layouts.layer_norm(b, i, 2, j, k),
        lambda s, t, u: functional.layer_norm(s, (4, 5), t, u),
        x,
        w,
        c,
    )
    check(
        lambda b, i, j: layouts.rms_norm(b, i, 1, j, eps=1e-3),
        lambda s, t: functional.rms_norm(s, (5,), t, 1e-3),
        x,
        draw((5,), 1),
    )
    w, c = draw((4,), 1), draw((4,), 2)
    check(
        lambda b, i, j, k: layouts.group_norm(b, i, 2, j, k), lambda s, t, u: functional.group_norm(s, 2, t, u), x, w, c
    )
    check(
        lambda b, i, j, k: layouts.batch_norm(b, i, j, k),
        lambda s, t, u: functional.batch_norm(s, None, None, t, u, training=True),
        x,
        w,
        c,
    )
    check(
        lambda b, i: layouts.batch_norm(b, i, eps=1e-3, running=(b.constant(w.numpy()), b.constant(c.abs().numpy()))),
        lambda t: functional.batch_norm(t, w, c.abs(), eps=1e-3),
        x[:, :, 0],
    )


def test_a_typed_number_is_the_decimal_that_was_typed():
    program = written(lambda b, i: layouts.rms_norm(b, i, 1, eps=1e-5), [draw((3,))])
    exact = [s.params.exact for s in program if s.op == "constant"]
    assert sp.Rational(1, 100_000) in exact


# ------------------------------------------------------------------------------------------------ choices

POINTS = torch.tensor([-900.0, -6.0, -3.0, -1.5, -1e-9, 0.0, 1e-9, 0.5, 1.0, 3.0, 6.0, 900.0], dtype=torch.float64)
F = torch.nn.functional
CHOICES = {
    "relu": F.relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "elu": lambda x: F.elu(x, 0.75),
    "celu": lambda x: F.celu(x, 0.75),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.75),
    "softshrink": lambda x: F.softshrink(x, 0.75),
    "hardshrink": lambda x: F.hardshrink(x, 0.75),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choices_take_torchs_branches(name):
    second = torch.tensor(0.75, dtype=torch.float64)
    binary_ = name in ("elu", "celu", "leaky_relu", "softshrink", "hardshrink")

    def say(b, i):
        steps = [i, b.constant(0.75)] if binary_ else [i]
        return select(b, name, steps, [POINTS.numpy(), second.numpy()][: len(steps)])

    value, (grad,), weights = both(say, [POINTS])
    leaf = POINTS.clone().requires_grad_()
    wanted = CHOICES[name](leaf)
    (theirs,) = torch.autograd.grad(wanted, leaf, weights)
    assert torch.isfinite(grad).all()  # exp(900) is not computed where it is not taken
    error = (value - wanted.detach()).abs() / wanted.detach().abs().clamp(min=1e-300)
    assert float(error.max()) <= 1e-15 * 4
    off = torch.tensor([x not in (0.0, 3.0, -3.0, 6.0, -6.0, 1.0, -1.0) for x in POINTS.tolist()])
    error = ((grad - theirs).abs() / theirs.abs().clamp(min=1e-300))[off].max()
    if name == "hardsigmoid":  # torch 2.13 holds its slope 1/6 in float32, so that autograd errs by 3e-8
        assert torch.equal(grad[off & (POINTS.abs() < 3)], (weights / 6)[off & (POINTS.abs() < 3)])
        assert 2e-8 < float(error) < 4e-8
    else:
        assert float(error) <= 4e-15


@pytest.mark.parametrize(
    ("name", "truth"), [("maximum", torch.maximum), ("minimum", torch.minimum), ("heaviside", torch.heaviside)]
)
def test_choices_of_two_arguments_broadcast(name, truth):
    x, y = draw((3, 1)), draw((4,), 1)
    program = written(lambda b, i, j: select(b, name, [i, j], [x.numpy(), y.numpy()]), [x, y])
    value = interpret(program, Floats(), {"x0": x, "x1": y})[program.output]
    assert torch.equal(value, truth(*torch.broadcast_tensors(x, y)))
    assert all(g.outcome.shape == (3, 4) and program.shape(g.args[0]) == (3, 4) for g in program.guards)


def test_a_choice_without_alternatives_is_no_pick_and_a_nan_takes_the_last_branch():
    b = Builder()
    x = b.input("x", (2,))
    assert select(b, "relu", [x], [[1.0, 2.0]]) == x
    y = select(b, "relu", [x], [[1.0, np.nan]])
    assert b.steps[y].params.tolist() == [1, 0]
    assert b.guards[-1].outcome.tolist() == [True, False]
    with pytest.raises(ValueError, match="not a choice"):
        select(b, "exp", [x], [[1.0, 2.0]])
    with pytest.raises(KeyError):
        select(b, "no such row", [x], [[1.0, 2.0]])


# ------------------------------------------------------------------------------------------------ composites


def pulled_and_derived(composite, shape, axis, x, seed):
    """The composite's own pull, and the adjoint of what it means, both in balls."""
    b = Builder()
    i = b.input("x", shape)
    kept = tuple(1 if k == axis and composite.name == "logsumexp" else n for k, n in enumerate(shape))
    step = b.emit(composite.name, (i,), axis, kept)
    g = b.constant(seed.numpy()[tuple(slice(n) for n in kept)])
    (pulled,) = composite.pull(b, step, g)
    meaning = composite.write(b, i, axis)
    derived = adjoint(b.build({"y": meaning}), meaning, seed=g)
    values = interpret(derived.program, Balls(), {"x": binary(x.numpy())}, [pulled, derived.of[i], step, meaning])
    return values[pulled], values[derived.of[i]], values[step], values[meaning]


@pytest.mark.parametrize("name", COMPOSITES)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_composites_pull_is_the_derivative_of_its_meaning(name, axis):
    shape = (3, 4)
    with precision(200):
        x, seed = draw(shape), integers(shape, 2)
        pulled, derived, value, meaning = pulled_and_derived(COMPOSITES[name], shape, axis, x, seed)
        for ours, theirs in zip(pulled.ravel(), derived.ravel(), strict=True):
            assert (ours - theirs).contains(0)
            assert (ours - theirs).rad() < arb(2) ** -180
        for ours, theirs in zip(np.ravel(value), np.ravel(meaning), strict=True):
            assert (ours - theirs).contains(0)


def test_a_wrong_pull_would_be_seen():
    right = COMPOSITES["softmax"]
    forgets_the_sum = Composite("softmax", right.write, lambda b, i, g: [b.mul(i, g)])
    with precision(200):
        pulled, derived, *_ = pulled_and_derived(forgets_the_sum, (3,), 0, draw((3,)), integers((3,), 2))
        assert any(not (a - c).contains(0) for a, c in zip(pulled, derived, strict=True))


# ------------------------------------------------------------------------------------------------ linear algebra


def linear(op, shape=None):
    return lambda b, *xs: b.emit(op, xs, None, b.shape(xs[-1]) if shape is None else shape)


def hermitian(t):
    return (t @ t.mH) + 2 * torch.eye(t.shape[-1], dtype=t.dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(("batch", "n"), [(1, 1), (1, 3), (2, 4)])
def test_linear_algebra_against_torch(batch, n, dtype):
    a = draw((batch, n, n), dtype=dtype) + 3 * torch.eye(n, dtype=dtype)
    y = draw((batch, n, 2), 1, dtype)
    check(linear("inverse"), torch.linalg.inv, a)
    check(linear("solve"), torch.linalg.solve, a, y)
    check(linear("det", (batch,)), torch.linalg.det, a)
    real = lambda b, i: b.emit("logabsdet", (i,), None, (batch,), "float64")  # noqa: E731
    check(real, lambda t: torch.linalg.slogdet(t).logabsdet, a)
    # the argument of a Cholesky factor is read as Hermitian, and its gradient is Hermitian
    check(linear("cholesky"), lambda t: torch.linalg.cholesky((t + t.mH) / 2), hermitian(a))


def fractions_of(t):
    return sp.Matrix([[sp.Rational(Fraction(x)) for x in row] for row in t.tolist()])


def contains(ball, exact):
    with precision(4000):
        return ball.contains(arb(fmpq(int(exact.p), int(exact.q))))


@pytest.mark.parametrize("n", [1, 2, 4])
def test_balls_of_linear_algebra_contain_the_exact_answer(n):
    """Exact answers from SymPy's rational matrices; at 53 bits, so that the radii matter, and at 200."""
    a, y = integers((2, n, n), 7) + 9 * torch.eye(n, dtype=torch.float64), integers((2, n, 2), 8)
    for bits in (53, 200):
        with precision(bits):
            read = lambda op, *xs: interpret(  # noqa: E731
                p := written(linear(op, (2,) if "det" in op else None), xs),
                Balls(),
                {f"x{k}": binary(x.numpy()) for k, x in enumerate(xs)},
            )[p.output]
            inverse, solved, det, logdet = read("inverse", a), read("solve", a, y), read("det", a), read("logabsdet", a)
            square = hermitian(a)
            factor = read("cholesky", square)
            for k in range(2):
                exact = fractions_of(a[k])
                pairs = itertools.chain(
                    zip(inverse[k].ravel(), exact.inv(), strict=True),
                    zip(solved[k].ravel(), exact.LUsolve(fractions_of(y[k])), strict=True),
                    [(det[k], exact.det()), (logdet[k].exp(), abs(exact.det()))],
                    zip((factor[k] @ factor[k].T).ravel(), fractions_of(square[k]), strict=True),
                )
                for ball, number in pairs:
                    assert contains(ball, number)
                    assert ball.rad() < arb(2) ** (20 - bits)
                assert all(x == 0 for x in factor[k][np.triu_indices(n, 1)])
                assert all(x > 0 for x in np.diag(factor[k]))


@pytest.mark.parametrize("op", ["inverse", "solve", "det", "logabsdet", "cholesky"])
def test_balls_of_linear_algebra_adjoints_contain_a_difference_quotients_limit(op):
    """<g, f(a + h e) - f(a - h e)> / 2h at 600 bits, h = 2**-150: an outside derivative, right to 2**-250."""
    n = 3
    a = hermitian(draw((1, n, n)))
    y = draw((1, n, 2), 1)
    arrays = [a, y] if op == "solve" else [a]
    program = written(linear(op, (1,) if "det" in op else None), arrays)
    out = program.output
    whole = adjoint(program, out)
    with precision(600):
        inputs = {f"x{k}": binary(v.numpy()) for k, v in enumerate(arrays)}
        h = arb(2) ** -150

        def total(name, place, step):
            moved = {k: v.copy() for k, v in inputs.items()}
            moved[name][place] = moved[name][place] + step
            return sum(np.ravel(interpret(program, Balls(), moved)[out]), arb(0))

        for name, value in inputs.items():
            adjoints = interpret(whole.program, Balls(), inputs, [whole.of[program.inputs[name]]])
            found = adjoints[whole.of[program.inputs[name]]]
            for place in np.ndindex(value.shape):
                quotient = (total(name, place, h) - total(name, place, -h)) / (2 * h)
                assert abs(found[place] - quotient) < arb(2) ** -250
