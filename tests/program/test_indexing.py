"""Windows and indices, said in steps: convolutions, pooling, sums into places; against torch and NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from support.torch_truth import both, check, draw, few, integers, written

from symgrad.evaluation.floats import Floats
from symgrad.program import indexing
from symgrad.program.program import interpret


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
        lambda b, i, j, k: indexing.conv(b, i, j, k, stride, padding, dilation, groups=groups),
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
        lambda b, i, j: indexing.conv(b, i, j, None, stride, padding, dilation, True, extra, groups),
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
        lambda b, i, j: indexing.conv(b, i, j, padding=padding, dilation=2 if padding == "valid" else 1),
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
        lambda b, i: indexing.avg_pool(b, i, kernel, stride, padding, include, ceil, divisor),
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
    say = lambda b, i: indexing.max_pool_from_indices(  # noqa: E731
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
        value, (gx, gy), weights = both(lambda b, i, j: getattr(indexing, name)(b, i, j, mode), [x, y])  # noqa: B023
        assert value.tolist() == numpy(x.numpy(), y.numpy(), mode).tolist()
        # linear in x, and in y or conj(y): the adjoint is known from NumPy's values at unit vectors
        w = weights.numpy()
        eye = lambda k: np.eye(k)  # noqa: E731
        columns = np.array([numpy(e, y.numpy(), mode) for e in eye(n)])
        assert gx.tolist() == (columns.conj() @ w).tolist()
        columns = np.array([numpy(x.numpy(), e, mode) for e in eye(m)])
        expected = columns.conj() @ w if name == "convolve" else columns @ w
        assert gy.tolist() == expected.tolist()


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
        lambda b, i, j: indexing.scatter_add(b, i, axis, index.numpy(), j),
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
        lambda b, i, j: indexing.index_add(b, i, axis, index.numpy(), j, alpha=2),
        lambda s, t: s.index_add(axis, index, t, alpha=2),
        base,
        integers(shape, 1),
        exact=True,
    )


def test_index_put_adds_repeated_entries():
    rows, columns = torch.tensor([0, 2, 0]), torch.tensor([1, 1, 1])
    check(
        lambda b, i, j: indexing.index_put_accumulate(b, i, [rows.numpy(), columns.numpy()], j),
        lambda s, t: s.index_put((rows, columns), t, accumulate=True),
        integers((3, 2)),
        integers((3,), 1),
        exact=True,
    )
    check(
        lambda b, i, j: indexing.index_put_accumulate(b, i, [None, rows.numpy()], j),
        lambda s, t: s.index_put((torch.arange(2)[:, None], rows), t, accumulate=True),
        integers((2, 3)),
        integers((1,), 1),
        exact=True,
    )
