"""Operations said in steps, held against torch in float64: the value, and the adjoint against autograd."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import settings
from support.adjoints import adjoint

from symgrad.evaluation.floats import Floats
from symgrad.program.builder import Builder
from symgrad.program.program import interpret

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
