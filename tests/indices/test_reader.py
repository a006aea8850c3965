"""Code read as index notation: the formula, at sizes that it was not read at, is what torch computes there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.index_floats import evaluate_all

from symgrad.indices.reader import read
from symgrad.indices.run_merging import merged
from symgrad.indices.sizes import Sizes, Unread, size_symbol
from symgrad.lifting.tracing.functions import Function

softmax = torch.softmax


def drawn(shapes, sizes, seed=0):
    rng = np.random.default_rng(seed)
    return {n: rng.standard_normal([sizes.get(a, a) for a in shape]) for n, shape in shapes.items()}


def formula(code, shapes):
    """The value of the code for all sizes."""
    letters = dict.fromkeys(a for shape in shapes.values() for a in shape if isinstance(a, str))
    sizes = Sizes.of(tuple(letters))
    for seed in range(8):
        programs = [Function.of(code).run(drawn(shapes, run, seed)).program for run in sizes.runs]
        choices = [g.outcome for p in programs for g in p.guards if g.op in ("gt", "ge", "lt", "le")]
        if any(c.all() or not c.any() for c in choices):
            continue  # a choice that came out one way in a whole tensor does not show that it is one
        program = merged(programs)
        return read(program, sizes, shapes, [program.output])[program.output]
    return pytest.skip("a choice came out one way at every point")


def checked(code, shapes):
    """The formula of the code, held against torch at three assignments of sizes."""
    value = formula(code, shapes)
    letters = list(dict.fromkeys(a for shape in shapes.values() for a in shape if isinstance(a, str)))
    for shift in (4, 2, 1):
        sizes = {a: shift + (j if shift > 1 else 0) for j, a in enumerate(letters)}
        inputs = drawn(shapes, sizes, seed=1)
        with torch.no_grad():
            truth = np.asarray(code(**{n: torch.tensor(v) for n, v in inputs.items()}))
        entries = evaluate_all(value.array(), inputs, {size_symbol(a): v for a, v in sizes.items()})
        assert np.allclose(np.asarray(entries, dtype=float).reshape(truth.shape), truth, rtol=1e-10, atol=1e-12)
    return value


# ------------------------------------------------------------------------------------------------ layouts

MATRIX = {"A": ("m", "n")}
SQUARE = {"A": ("n", "n")}
PAIR = {"A": ("m", "n"), "x": ("n",)}
LAYOUTS = {
    "transpose": (lambda A: A.T, MATRIX),
    "broadcast": (lambda A, x: A + x, PAIR),
    "column": (lambda A: A[:, 0], MATRIX),
    "last row": (lambda A: A[-1], MATRIX),
    "flip": (lambda A: A.flip(0), MATRIX),
    "flatten": (lambda A: A.reshape(-1), MATRIX),
    "flattened and back": (lambda A: torch.tanh(A.reshape(-1)).reshape(A.shape), MATRIX),
    "flattened transposed": (lambda A: A.T.reshape(-1) * 2, MATRIX),
    "merged axes": (lambda T: T.permute(2, 0, 1).reshape(T.shape[2], -1), {"T": ("m", "n", "k")}),
    "heads": (lambda T: T.transpose(0, 1).reshape(T.shape[1], -1).exp(), {"T": (2, "n", "k")}),
    "split axes": (
        lambda T: torch.einsum("aik,ajk->aij", T.reshape(-1, *T.shape[2:]), T.reshape(-1, *T.shape[2:])),
        {"T": ("a", "b", "n", "k")},
    ),
    "diagonal": (lambda A: torch.diagonal(A), SQUARE),
    "diagonal matrix": (lambda x: torch.diag(x), {"x": ("n",)}),
    "trace": (lambda A: torch.trace(A @ A), SQUARE),
    "identity": (lambda A: A - torch.eye(A.shape[0], dtype=A.dtype), SQUARE),
    "lower triangle": (lambda A: torch.tril(A), SQUARE),
    "upper triangle": (lambda A: torch.triu(A, 1), SQUARE),
    "cut": (lambda x: x[1:] - x[:-1], {"x": ("n",)}),
    "shifted": (lambda x: torch.cat([x[1:], x[:1] * 0]) + torch.cat([x[:1].sum()[None], x[:-1]]), {"x": ("n",)}),
    "joined": (lambda A, x: torch.cat([A, x[None]]), PAIR),
    "stacked": (lambda A: torch.stack([A, A * 2, A.exp()]), MATRIX),
    "padded": (lambda x: torch.nn.functional.pad(x, (1, 0)), {"x": ("n",)}),
    "outer": (lambda x, y: torch.outer(x, y) / torch.outer(1 + y**2, 1 + x**2).T, {"x": ("m",), "y": ("n",)}),
    "every entry a size": (lambda A: A * A.shape[0] + A.shape[1] ** 0.5 / (A.shape[0] - 1 + A.shape[1]), MATRIX),
}
VALUES = {
    "mean and variance": (
        lambda A: (A - A.mean(1, keepdim=True)) / (1 + A.var(1, unbiased=False, keepdim=True)),
        MATRIX,
    ),
    "softmax": (lambda A: softmax(A, 1) + torch.log_softmax(A, 0) + torch.logsumexp(A, 1, keepdim=True), MATRIX),
    "norms": (lambda A: A / (1 + torch.linalg.norm(A, dim=1, keepdim=True)) + A.norm(), MATRIX),
    "running sums": (lambda x: torch.cumsum(x, 0), {"x": ("n",)}),
    "einsum": (lambda T, A: torch.einsum("abc,cb,dd->a", T, A, A @ A.T), {"T": ("a", "m", "n"), "A": ("n", "m")}),
    "batched": (lambda T: T @ T.transpose(1, 2), {"T": ("b", "m", "n")}),
    "batch by one": (lambda T, A: T @ A, {"T": ("b", "c", "m", "n"), "A": ("n", "k")}),
    "inverse": (lambda A: torch.linalg.inv(A @ A.T + torch.eye(A.shape[0], dtype=A.dtype)), SQUARE),
    "solve": (
        lambda A, x: torch.linalg.solve(A @ A.T + torch.eye(A.shape[0], dtype=A.dtype), x),
        {**SQUARE, "x": ("n",)},
    ),
    "determinant": (lambda A: torch.linalg.det(A) + torch.linalg.slogdet(A)[1], SQUARE),
    "causal attention": (
        lambda Q, K: softmax(torch.where(torch.tril(torch.ones(len(Q), len(K))) > 0, Q @ K.T, -1e4), 1),
        {"Q": ("n", "d"), "K": ("n", "d")},
    ),
    "choices": (
        lambda A, x: torch.relu(A) @ x + torch.where(x < A, A, x).sum(1) * torch.maximum(A, x * 0).sum(1),
        PAIR,
    ),
    "distances": (lambda X: ((X[:, None] - X[None]) ** 2).sum(-1), {"X": ("n", "d")}),
}


@pytest.mark.parametrize("name", [*LAYOUTS, *VALUES])
def test_code_for_all_sizes(name):
    checked(*{**LAYOUTS, **VALUES}[name])


@pytest.mark.parametrize(
    ("code", "shapes"),
    [
        (lambda x: sum(v**2 for v in x), {"x": ("n",)}),
        (lambda x: torch.sort(x).values, {"x": ("n",)}),
        (lambda x: x * torch.arange(len(x)) ** 2, {"x": ("n",)}),
        (lambda x: torch.roll(x, 1), {"x": ("n",)}),
        (lambda A: torch.cumprod(A, 1), MATRIX),
    ],
    ids=["loop", "sort", "squares", "roll", "products"],
)
def test_what_is_not_one_formula_is_not_read(code, shapes):
    with pytest.raises(Unread):
        formula(code, shapes)


# ------------------------------------------------------------------------------------------------ random code

UNARY = [
    lambda t: t.tanh(),
    lambda t: t.exp() / (1 + t.exp()),
    lambda t: t * t - t,
    lambda t: t.relu(),
    lambda t: t.abs() ** 1.5,
    lambda t: t / t.shape[0],
    lambda t: t - t.mean(-1, keepdim=True),
    lambda t: softmax(t, 0),
    lambda t: t.flip(-1),
    lambda t: t.reshape(-1).reshape(t.shape),
    lambda t: t.cumsum(0),
    lambda t: t.sum(0, keepdim=True) + t,
    lambda t: torch.where(t > 0, t, -t * t),
    lambda t: t + t.sum(),
    lambda t: torch.cat([t, t * 2])[: t.shape[0]],
    lambda t: torch.stack([t, t.sin()]).sum(0),
    lambda t: t[None].expand(t.shape[0], *t.shape).sum(0),
]
JOINT = [
    lambda A, x, y: (A @ x + y, x, y),
    lambda A, x, y: (A * x, A.T @ y, y),
    lambda A, x, y: (A * y[:, None], A.T @ y + x, A @ x),
    lambda A, x, y: (torch.outer(y, x) - A, x, y),
    lambda A, x, y: (A - (A @ x)[:, None] * x, x, y - A.mean(1)),
    lambda A, x, y: (torch.einsum("ij,ik->jk", A, A) @ x, x, y),
    lambda A, x, y: (softmax(A, 1) @ torch.diag(x), x, torch.einsum("ij,j,i->i", A, x, y)),
]


def random_code(seed):
    """Some of the functions above, one after the other, and a sum at the end."""
    rng = np.random.default_rng(seed)
    unary = [UNARY[k] for k in rng.integers(len(UNARY), size=4)]
    joint = [JOINT[k] for k in rng.integers(len(JOINT), size=2)]

    def code(A, x, y):
        A, x = unary[0](A), unary[1](x)
        for join, f in zip(joint, unary[2:], strict=True):
            made, x, y = join(A, x, y)
            made = f(made)
            A = A + made.sum() if made.ndim == 1 else made
        return A * 0.5 + y.sum()

    return code


@pytest.mark.parametrize("seed", range(25))
def test_random_code_for_all_sizes(seed):
    checked(random_code(seed), {"A": ("m", "n"), "x": ("n",), "y": ("m",)})
