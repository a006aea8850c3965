"""PyTorch's own operator tests (OpInfo) as questions that nobody here wrote: exact gradients against autograd's.

Of each operator its smallest sample.  The gradient is right, or an error says what cannot be followed: never a wrong
number, never another error.  A few are asked always, all of them in a hunt.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

import symgrad
from symgrad.evaluation.balls import Balls, binary
from symgrad.ops.row import precision
from symgrad.program.program import interpret

pytest.importorskip("expecttest", reason="torch's operator tests need it")
op_db = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db

# where autograd's number is not the derivative: a transposed layout, 1/6 in float32
NOT_THE_DERIVATIVE = {"as_strided_scatter", "nn.functional.hardsigmoid"}
SAMPLE = 40


def full_name(op):
    return op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")


def operators():
    found = [
        pytest.param(op, dtype, id=f"{full_name(op)}-{str(dtype)[6:]}")
        for dtype in (torch.float64, torch.complex128)
        for op in op_db
        if op.supports_autograd and dtype in op.dtypes and full_name(op) not in NOT_THE_DERIVATIVE
    ]
    random.Random(0).shuffle(found)
    rest = [pytest.param(*p.values, id=p.id, marks=pytest.mark.hunt) for p in found[SAMPLE:]]
    return found[:SAMPLE] + rest


def smallest(op, dtype):
    """The function of the differentiable tensors of the smallest sample that has any, and their values."""
    torch.manual_seed(0)
    samples = list(itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=True), 60))
    samples.sort(key=lambda s: sum(t.numel() for t in tree_leaves((s.input, s.args, s.kwargs)) if torch.is_tensor(t)))
    for s in samples:
        flat, spec = tree_flatten((s.input, tuple(s.args), dict(s.kwargs)))
        moved = [k for k, t in enumerate(flat) if torch.is_tensor(t) and t.requires_grad and t.numel()]
        if moved and all(t.layout is torch.strided for t in flat if torch.is_tensor(t)):
            break
    else:
        pytest.skip("no sample of strided tensors")
    plain = [t.detach() if torch.is_tensor(t) else t for t in flat]

    def outputs(tensors):
        whole = list(plain)
        for k, x in zip(moved, tensors, strict=True):
            whole[k] = x
        first, args, kwargs = tree_unflatten(whole, spec)
        out = op.gradcheck_wrapper(op.get_op(), first, *args, **kwargs)
        return tree_leaves(s.output_process_fn_grad(out) if s.output_process_fn_grad is not None else out)

    leaves = [plain[k].clone().requires_grad_() for k in moved]
    weights: dict[int, torch.Tensor] = {}

    def total(**tensors):
        found = outputs(list(tensors.values()))
        parts = [(found[k] * w).sum() for k, w in weights.items()]
        return sum(p.real if p.is_complex() else p for p in parts)

    try:
        for k, o in enumerate(outputs(leaves)):
            if torch.is_tensor(o) and o.requires_grad:
                weights[k] = torch.randn(o.shape, dtype=o.dtype)
        total(**{f"x{k}": x for k, x in zip(moved, leaves, strict=True)})
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"torch itself: {error}")
    return total, {f"x{k}": plain[k] for k in moved} if weights else pytest.skip("nothing to differentiate")


def in_balls(program, point):
    with precision(240):
        found = interpret(program, Balls(), {n: binary(x.numpy()) for n, x in point.items()}, [program.output])
        entries = [complex(float(x.real.mid()), float(x.imag.mid())) for x in np.ravel(found[program.output])]
    return torch.tensor(entries).reshape(program.shape(program.output))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("op", "dtype"), operators())
def test_the_gradient_of_an_operator_is_autograds_or_is_refused(op, dtype):
    total, point = smallest(op, dtype)
    names = list(point)
    space = {"total": total, "torch": torch}
    exec(f"def model({', '.join(names)}):\n    return total({', '.join(f'{n}={n}' for n in names)})", space)
    leaves = {n: x.clone().requires_grad_() for n, x in point.items()}
    truth = torch.autograd.grad(total(**leaves), list(leaves.values()), allow_unused=True)
    try:
        exact = symgrad.gradient(space["model"], wrt=names, at=point)
    except symgrad.SymgradError:
        return
    for (n, x), g in zip(point.items(), truth, strict=True):
        g = torch.zeros_like(x) if g is None else g.resolve_conj()
        if not torch.isfinite(g).all():
            continue
        scale = max(float(g.abs().max()), 1e-4)
        found = exact[n](**point)
        if not float((found - g).abs().max()) <= 1e-9 * scale:  # floats may have lost digits
            found = in_balls(exact[n], point)
        assert float((found - g).abs().max()) <= 1e-9 * scale, (n, found, g)
