"""Tensor operations said in steps, against torch and NumPy in float64: the values, and the adjoints against autograd.

Inputs are small integers, so that everything built from sums and products alone is exact in float64 and is compared
with ``==``; the rest is compared to a few units in the last place of the largest entry.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flint import arb
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.adjoints import adjoint
from support.torch_truth import both, check, draw, few, integers, written

from symgrad.evaluation.balls import Balls, binary
from symgrad.evaluation.floats import Floats
from symgrad.ops.row import precision
from symgrad.program import indexing, layouts
from symgrad.program.builder import Builder
from symgrad.program.piecewise import COMPOSITES, Composite
from symgrad.program.program import interpret
from symgrad.program.selection import select

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
    check(lambda b, i: indexing.diagonal(b, i, offset, 2, 1), lambda t: t.diagonal(offset, 2, 1).clone(), x, exact=True)
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


# ------------------------------------------------------------------------------------------------ entries


@few
@given(reductions(), st.booleans())
def test_extreme(case, largest):
    shape, axes, keep = case
    x = draw(shape)
    every = axes_for_torch(shape, axes)
    truth = (torch.amax if largest else torch.amin) if shape else lambda t, *_: t.clone()
    say = lambda b, i: indexing.extreme(b, i, x.numpy(), axes, keep, largest=largest)  # noqa: E731
    check(say, lambda t: truth(t, every, keep), x, exact=True)
    program = written(say, [x])
    (guard,) = program.guards
    entries = interpret(program, Floats(), {"x0": x}, guard.args)[guard.args[0]]
    assert guard.op == ("argmax" if largest else "argmin")
    assert np.array_equal(guard.outcome, getattr(torch, guard.op)(entries, guard.params).numpy())


def test_extreme_prefers_the_first_of_equals_and_a_nan():
    x = torch.tensor([1.0, 3.0, 3.0])
    value, (grad,), weights = both(lambda b, i: indexing.extreme(b, i, x.numpy()), [x.double()])
    assert (value.item(), grad.tolist()) == (3.0, [0.0, float(weights), 0.0])
    x = torch.tensor([1.0, float("nan"), 3.0], dtype=torch.float64)
    assert both(lambda b, i: indexing.extreme(b, i, x.numpy(), largest=False), [x])[0].isnan()


@few
@given(shapes, st.data())
def test_sort_and_gather(shape, data):
    x = draw(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1)) if shape else -1
    order = torch.argsort(x, axis)
    if shape:
        check(
            lambda b, i: indexing.pick_along(b, i, order.numpy(), axis), lambda t: torch.sort(t, axis)[0], x, exact=True
        )
        longer = list(shape)
        longer[axis] = data.draw(st.integers(1, 5))
        index = torch.tensor(np.random.default_rng(0).integers(0, shape[axis], longer))
        check(
            lambda b, i: indexing.pick_along(b, i, index.numpy(), axis), lambda t: t.gather(axis, index), x, exact=True
        )
        which = index.select(0, 0) if len(shape) == 1 else index.flatten()[:3]
        check(
            lambda b, i: indexing.take(b, i, which.numpy().ravel(), axis),
            lambda t: t.index_select(axis, which.ravel()),
            x,
            exact=True,
        )


def test_where_broadcasts():
    mask = np.array([[True], [False], [True]])
    x, y = integers((4,)), integers((3, 4), 1)
    check(
        lambda b, i, j: indexing.where(b, mask, i, j),
        lambda s, t: torch.where(torch.tensor(mask), s, t),
        x,
        y,
        exact=True,
    )


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
    kept = tuple(1 if k == axis and composite.name in ("logsumexp", "prod") else n for k, n in enumerate(shape))
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
