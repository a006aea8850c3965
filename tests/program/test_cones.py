"""The cone of a few entries against the whole Program, read in balls; and what it costs."""

from __future__ import annotations

import pytest
import torch

from symgrad import lift
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.cones import cone_of
from symgrad.program.derivative import gradients
from symgrad.program.program import interpret, size

F = torch.nn.functional
CODE = {
    "a product of matrices": (lambda a, b: torch.tanh(a @ b), {"a": (5, 4), "b": (4, 6)}),
    "a batch of products": (lambda a, b: (a @ b).exp(), {"a": (3, 5, 4), "b": (3, 4, 2)}),
    "a norm of rows": (
        lambda a, g: a * torch.rsqrt((a * a).mean(-1, keepdim=True) + 1e-3) * g,
        {"a": (6, 7), "g": (7,)},
    ),
    "layer norm": (lambda a, g: F.layer_norm(a, (7,), g), {"a": (6, 7), "g": (7,)}),
    "softmax of columns": (lambda a: torch.softmax(a, 0), {"a": (6, 7)}),
    "softmax in the middle": (lambda a: torch.log_softmax(a, 1), {"a": (3, 4, 5)}),
    "logsumexp": (lambda a: torch.logsumexp(a, 1), {"a": (6, 7)}),
    "attention": (
        lambda q, k, v: torch.softmax(q @ k.T / q.shape[1] ** 0.5, 1) @ v,
        {"q": (6, 3), "k": (6, 3), "v": (6, 3)},
    ),
    "a convolution": (lambda x, w: F.conv2d(x, w, padding=1), {"x": (1, 2, 5, 5), "w": (3, 2, 3, 3)}),
    "overlapping windows": (lambda x: F.avg_pool1d(x, 3, 1), {"x": (1, 2, 9)}),
    "pieces": (
        lambda a, b: torch.cat([a[1:], b * 2, torch.zeros(1, 4, dtype=a.dtype)]).flip(0).cumsum(1),
        {"a": (3, 4), "b": (2, 4)},
    ),
    "solve": (
        lambda a, b: torch.linalg.solve(a + 9 * torch.eye(3, dtype=a.dtype), b),
        {"a": (4, 3, 3), "b": (4, 3, 2)},
    ),
    "exponentials of matrices": (lambda a: torch.linalg.matrix_exp(a), {"a": (3, 3, 3)}),
    "eigenvalues": (lambda a: torch.linalg.eigvalsh(a + a.mT), {"a": (4, 3, 3)}),
    "determinants": (lambda a: torch.linalg.det(a), {"a": (5, 3, 3)}),
    "data and powers": (lambda a: (a**3 / 3 + torch.arange(8.0, dtype=a.dtype) / 7) ** 2, {"a": (5, 8)}),
    "a tenth": (lambda a: (a * 0.1).sum(0), {"a": (5, 8)}),
}


@pytest.mark.parametrize("name", CODE)
def test_each_step_of_a_cone_has_the_values_of_the_whole(name):
    code, shapes = CODE[name]
    g = torch.Generator().manual_seed(3)
    at = {n: torch.randn(*s, dtype=torch.float64, generator=g) for n, s in shapes.items()}
    program = lift(code, at=at)
    b, out = Builder.on(program), program.output
    slopes = gradients(b, b.sum(b.mul(out, out)), b.inputs)
    whole = b.build(slopes)
    point = {n: v.numpy() for n, v in at.items()}
    with precision(200):
        truth = interpret(whole, Balls(), {n: binary(v) for n, v in point.items()}, [out, *slopes.values()])
        for step in (out, *slopes.values()):
            n = size(whole.shape(step))
            for some in ([0], [n - 1, n // 2]):
                cone = cone_of(whole, {step: some})
                start = {k: binary(v) for k, v in cone.of_inputs(whole, point).items()}
                found = interpret(cone.program, Balls(), start, cone.place.values())
                assert set(some) <= set(cone.entries[step])
                for i, entries in cone.entries.items():
                    mine, theirs = flat(found[cone.place[i]]), flat(truth[i])[entries]
                    assert mine.size == theirs.size
                    args = [a for a in whole.steps[i].args if a in cone.place]
                    given = {cone.place[a]: found[cone.place[a]] for a in args}
                    interpret(cone.program, Balls(), {}, [cone.place[i]] * bool(whole.steps[i].args), replaced=given)
                    for x, y in zip(mine, theirs, strict=True):
                        assert abs(x - y) < 1e-40 * (1 + abs(y)), (name, whole.steps[i].op)


def test_one_entry_of_a_norm_costs_a_row():
    def norm(x, g):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * g

    at = {"x": torch.ones(300, 40, dtype=torch.float64), "g": torch.ones(40, dtype=torch.float64)}
    program = lift(norm, at=at)
    b = Builder.on(program)
    slopes = gradients(b, program.output, b.inputs)
    whole = b.build(slopes)
    assert cone_of(whole, {slopes["x"]: [1234]}).size < 40 * len(whole.steps)
    assert cone_of(whole, {slopes["g"]: [7]}, most=300 * 40) is None  # all rows are in it


def test_a_small_program_is_its_own_cone():
    program = lift(lambda w, x: torch.tanh(w * x), at={"w": 1.0, "x": 2.0})
    assert cone_of(program, {program.output: [0]}).program.steps is program.steps
