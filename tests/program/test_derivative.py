"""The exact derivative of Programs, against torch: random Programs of every structural step, real and complex.

`Floats` runs a Program with torch's own kernels, so autograd can differentiate the run: that is the outside truth
for `adjoint`, torch.func.jvp for `tangent`, torch's Hessian for the adjoint of an adjoint.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adjoints import adjoint

from symgrad.evaluation.balls import Balls, binary
from symgrad.evaluation.floats import Floats
from symgrad.program import layouts
from symgrad.program.builder import Builder
from symgrad.program.derivative import pull, tangent
from symgrad.program.program import Program, Strided, dense, interpret, size

few = settings(max_examples=60, derandomize=True)
INPUTS = {"a": ((2, 3), "float64"), "v": ((3,), "float64"), "s": ((), "float64"), "z": ((2, 3), "complex128")}

# ------------------------------------------------------------------------------------------------ random Programs


class Writer:
    """Writes random steps; every value is kept of moderate size, so that float64 keeps thirteen digits."""

    def __init__(self, seed: int, *, complex_: bool = True, stops: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = Builder()
        self.pool = [self.b.input(k, *v) for k, v in INPUTS.items() if complex_ or v[1] == "float64"]
        self.stops = stops
        self.used: set[str] = set()

    def any(self, keep=lambda step: True):
        found = [i for i in self.pool if keep(self.b.steps[i])]
        return found[int(self.rng.integers(max(0, len(found) - 6), len(found)))] if found else self.pool[0]

    def real(self):
        return self.any(lambda s: not s.is_complex)

    def tame(self, x):
        """x / (1 + |x|**2): at most one half."""
        b = self.b
        if not b.steps[x].is_complex:
            return b.apply("tanh", x)
        return b.div(x, b.add(b.number(1), b.add(b.integer_power(self.part("real", x), 2),
                                                 b.integer_power(self.part("imag", x), 2))))  # fmt: skip

    def part(self, which, x):
        return self.b.emit(which, (x,), None, self.b.shape(x), "float64")

    def broadcastable(self, x):
        def fits(step):
            try:
                return len(np.broadcast_shapes(step.shape, self.b.shape(x))) <= 3
            except ValueError:
                return False

        return self.any(fits)

    def matrices(self, n=3):
        """A batch of well-conditioned matrices made of any value."""
        x = self.tame(self.any())
        entries = self.rng.integers(1, size(self.b.shape(x)) + 1, (2, n, n))
        return self.b.add(self.b.pick([x], entries, (2, n, n)), self.b.constant(3 * np.eye(n)))

    def write(self):
        b, rng = self.b, self.rng
        kinds = ["add", "sub", "mul", "div", "neg", "powi", "pow", "view", "pick", "cat", "scatter", "sum", "matmul",
                 "name", "cast", "conj", "real", "imag", "tanh", "exp", "sin", "abs", "linear", "softmax"]  # fmt: skip
        kind = str(rng.choice(kinds + ["stop"] * self.stops))
        self.used.add(kind)
        x = self.any()
        shape = b.shape(x)
        match kind:
            case "add" | "sub" | "mul":
                out = b.binary(kind, x, self.broadcastable(x))
            case "div":
                out = b.div(x, b.add(b.number(2), self.tame(self.broadcastable(x))))
            case "powi":
                out = b.integer_power(self.tame(x), int(rng.integers(2, 5)))
            case "pow":
                base = b.apply("exp", self.tame(self.real()))
                out = b.emit("pow", (base, b.apply("tanh", base)), None, b.shape(base))
            case "view":
                axes = rng.permutation(len(shape)).tolist()
                out = b.broadcast(b.permute(x, axes), (2, *(shape[k] for k in axes))[-3:]) if shape else x
            case "pick":
                out = b.pick([x], rng.integers(0, size(shape) + 1, 6), (2, 3))
            case "cat":
                y = self.any(lambda s: s.is_complex == b.steps[x].is_complex)
                out = b.pick([x, y], rng.integers(0, size(shape) + size(b.shape(y)) + 1, 6), (3, 2))
            case "scatter":
                out = b.scatter(x, rng.integers(0, 4, size(shape)), (3,))
            case "sum":
                out = b.sum(x, int(rng.integers(len(shape))), bool(rng.integers(2))) if shape else x
            case "matmul":
                left, right = self.matrices(), self.matrices()
                out = b.emit("matmul", (left, right), None, (2, 3, 3))
            case "linear":
                m = self.matrices()
                op = str(rng.choice(["inverse", "solve", "det", "logabsdet"]))
                args = (m, self.matrices()) if op == "solve" else (m,)
                out = b.emit(
                    op, args, None, (2,) if "det" in op else (2, 3, 3), "float64" if op == "logabsdet" else None
                )
            case "softmax":
                y = self.real()
                out = layouts.softmax(b, y, 0)
            case "name":
                out = b.name(x, "h")
            case "cast":
                out = b.cast(x, "complex128")
            case "conj" | "neg" | "stop":
                out = getattr(b, kind)(x)
            case "real" | "imag":
                x = self.any(lambda s: s.is_complex)
                out = self.part(kind, x) if b.steps[x].is_complex else x
            case "abs":
                out = b.apply("abs", b.add(self.tame(x), b.number(2)), dtype="float64")  # away from its kink
            case _:
                out = b.apply(kind, self.tame(x))
        if size(b.shape(out)) > 64:
            return
        self.pool.append(self.tame(out) if rng.random() < 0.5 else out)

    def program(self, n=30) -> Program:
        for _ in range(n):
            self.write()
        b, total = self.b, self.b.number(0)
        for i in self.pool[-6:]:
            x = self.tame(i)
            parts = [self.part("real", x), self.part("imag", x)] if b.steps[x].is_complex else [x]
            for part in parts:
                weights = b.constant(self.rng.integers(-3, 4, b.shape(part)))
                total = b.add(total, b.sum(b.mul(part, weights)))
        return b.build({"value": total})


def values(program, seed=0, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(program.shape(i), generator=generator, dtype=getattr(torch, program.steps[i].dtype))
        .requires_grad_(requires_grad)
        for name, i in program.inputs.items()
    }  # fmt: skip


def near(ours, theirs):
    scale = 1 + float(theirs.abs().max()) if theirs.numel() else 1.0
    return ours.shape == theirs.shape and float((ours - theirs).abs().max()) <= 1e-9 * scale


# ------------------------------------------------------------------------------------------------ against torch


def adjoint_agrees(program, seed) -> bool:
    leaves = values(program, seed, requires_grad=True)
    out = interpret(program, Floats(), leaves)[program.output]
    if not out.requires_grad:  # everything happened to be cut off
        return not set(program.inputs.values()) & set(adjoint(program, program.output).of)
    theirs = torch.autograd.grad(out, list(leaves.values()), allow_unused=True, materialize_grads=True)
    whole = adjoint(program, program.output)
    plain = {name: leaf.detach() for name, leaf in leaves.items()}
    wanted = [whole.of[i] for i in program.inputs.values() if i in whole.of]
    found = interpret(whole.program, Floats(), plain, wanted)
    return all(
        near(found[whole.of[i]] if i in whole.of else torch.zeros_like(grad), grad)
        for i, grad in zip(program.inputs.values(), theirs, strict=True)
    )


@settings(max_examples=200, derandomize=True)
@given(st.integers(0, 10**6))
@pytest.mark.slow
def test_adjoint_is_autograds(seed):
    assert adjoint_agrees(Writer(seed).program(), seed)


def test_the_random_programs_have_every_step():
    used: set[str] = set()
    for seed in range(60):
        used |= {step.op for step in Writer(seed).program()}
    from symgrad.ops.matrices import MATRICES
    from symgrad.program.program import STRUCTURE

    assert STRUCTURE - used == {"cholesky", "polygamma", *MATRICES}  # tested in tests/ops


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "neg", "powi", "pick", "scatter", "matmul", "conj", "imag"])
def test_a_wrong_rule_would_be_seen(op, monkeypatch):
    import symgrad.program.derivative as derivative

    def wrong(b, i, g, active):
        found = pull(b, i, g, active)
        return [(a, b.neg(c)) for a, c in found] if b.steps[i].op == op else found

    monkeypatch.setattr(derivative, "pull", wrong)
    assert not all(adjoint_agrees(Writer(seed).program(), seed) for seed in range(30))


@few
@given(st.integers(0, 10**6))
@pytest.mark.slow
def test_tangent_is_torchs_jvp(seed):
    program = Writer(seed).program()
    plain, directions = values(program, seed), values(program, seed + 1)

    def run(*arrays):
        return interpret(program, Floats(), dict(zip(program.inputs, arrays, strict=True)))[program.output]

    for name, i in program.inputs.items():
        b = Builder.on(program)
        along = b.input("direction", program.shape(i), program.steps[i].dtype)
        forward, result = tangent(b.build(program.outputs), program.output, i, along)
        inputs = {**plain, "direction": directions[name], f"seed of %{program.output}": torch.zeros(())}
        ours = interpret(forward, Floats(), inputs, [result])[result]
        moved = tuple(directions[k] if k == name else torch.zeros_like(plain[k]) for k in plain)
        _, theirs = torch.autograd.functional.jvp(run, tuple(plain.values()), moved)
        assert near(ours, theirs)


@pytest.mark.slow
@few
@given(st.integers(0, 10**6))
def test_the_adjoint_of_an_adjoint_is_torchs_hessian(seed):
    program = Writer(seed, complex_=False).program(20)
    plain = values(program, seed)

    def run(*arrays):
        return interpret(program, Floats(), dict(zip(program.inputs, arrays, strict=True)))[program.output].real

    theirs = torch.autograd.functional.hessian(run, tuple(plain.values()))
    first = adjoint(program, program.output)
    for row, i in zip(theirs, program.inputs.values(), strict=True):
        if i not in first.of:
            continue
        n = size(program.shape(i))
        for k in range(n):
            b = Builder.on(first.program)
            entry = b.pick([first.of[i]], [k + 1], ())
            second = adjoint(b.build({"entry": entry}), entry)
            wanted = [second.of[j] for j in program.inputs.values() if j in second.of]
            found = interpret(second.program, Floats(), plain, wanted)
            for block, j in zip(row, program.inputs.values(), strict=True):
                expected = block.reshape(n, *program.shape(j))[k]
                ours = found[second.of[j]] if j in second.of else torch.zeros_like(expected)
                assert near(ours, expected)


# ------------------------------------------------------------------------------------------------ stop


def test_stop_blocks_the_adjoint_and_the_tangent():
    b = Builder()
    x = b.input("x", ())
    program = b.build({"y": b.mul(x, b.stop(x))})  # x * detach(x): the derivative is x, not 2x
    whole = adjoint(program, program.output)
    at = {"x": torch.tensor(3.0, dtype=torch.float64)}
    assert interpret(whole.program, Floats(), at, [whole.of[x]])[whole.of[x]] == 3
    forward, result = tangent(program, program.output, x)
    at[f"seed of %{program.output}"] = torch.tensor(0.0)
    assert interpret(forward, Floats(), at, [result])[result] == 3


def test_where_everything_is_stopped_the_derivative_is_zero():
    b = Builder()
    x = b.input("x", (2,))
    program = b.build({"y": b.apply("exp", b.stop(x))})
    assert x not in adjoint(program, program.output).of
    forward, result = tangent(program, program.output, x)
    assert interpret(forward, Floats(), {"x": torch.ones(2)}, [result])[result].tolist() == [0, 0]


def test_every_use_is_an_edge_and_the_edges_add_up():
    b = Builder()
    x = b.input("x", ())
    square, cube = b.mul(x, x), b.integer_power(x, 3)
    program = b.build({"y": b.add(square, cube)})
    whole = adjoint(program, program.output)
    uses = [(consumer, c) for a, consumer, c in whole.edges if a == x]
    assert [consumer for consumer, _ in uses] == [cube, square, square]
    found = interpret(whole.program, Balls(), {"x": arb(2)}, [whole.of[x], *(c for _, c in uses)])
    assert [found[c] for _, c in uses] == [12, 2, 2]
    assert found[whole.of[x]] == 16


def test_inputs_that_are_not_asked_for_get_no_steps():
    b = Builder()
    x, y = b.input("x", ()), b.input("y", ())
    program = b.build({"z": b.mul(b.apply("sin", x), b.apply("exp", y))})
    whole = adjoint(program, program.output, wrt=[x])
    assert y not in whole.of
    assert whole.of.keys() == {x, 2, program.output}


# ------------------------------------------------------------------------------------------------ cost


def chain(length):
    """h = tanh(w h + x): the recurrence whose derivative as one SymPy tree grows quadratically or worse."""
    b = Builder()
    w, x, h = b.input("w", ()), b.input("x", ()), b.input("h", ())
    for _ in range(length):
        h = b.apply("tanh", b.add(b.mul(w, h), x))
    return b.build({"h": h})


def test_the_cost_of_an_adjoint_is_linear():
    ratios = []
    for length in (10, 100, 1000):
        program = chain(length)
        ratios.append(len(adjoint(program, program.output).program) / len(program))
    assert max(ratios) < 6
    assert max(ratios) / min(ratios) < 1.2


def test_the_adjoint_of_a_long_chain_is_autograds():
    program = chain(1000)
    assert adjoint_agrees(program, 0)


# ------------------------------------------------------------------------------------------------ transposes


@st.composite
def indices(draw_):
    """A pick or a scatter: (source shape, index, result shape), strided or by positions."""
    n = draw_(st.integers(1, 12))
    shape = tuple(draw_(st.lists(st.integers(1, 3), max_size=3)))
    if draw_(st.booleans()):
        flat = draw_(st.lists(st.integers(0, n), min_size=size(shape), max_size=size(shape)))
        return (n,), np.array(flat, dtype=np.int64), shape
    strides = tuple(draw_(st.integers(-4, 4)) for _ in shape)
    reach = [s * (m - 1) for s, m in zip(strides, shape, strict=True)]
    low, high = sum(min(0, r) for r in reach), sum(max(0, r) for r in reach)
    return (high - low + draw_(st.integers(1, 3)),), Strided(-low, strides), shape


def inner(x, y):
    return sum((p * q for p, q in zip(np.ravel(x), np.ravel(y), strict=True)), arb(0))


def exactly_transposed(program, x_shape, y_shape, seed=0):
    """<A x, y> == <x, A^T y> in integers, for the linear map that the Program is."""
    b = Builder.on(program)
    y = b.input("y", y_shape)
    whole = adjoint(b.build(program.outputs), program.output, seed=y, wrt=[program.inputs["x"]])
    rng = np.random.default_rng(seed)
    inputs = {"x": binary(rng.integers(-9, 10, x_shape)), "y": binary(rng.integers(-9, 10, y_shape))}
    back = whole.of[program.inputs["x"]]
    found = interpret(whole.program, Balls(), inputs, [program.output, back])
    left, right = inner(found[program.output], inputs["y"]), inner(inputs["x"], found[back])
    return left.is_exact() and right.is_exact() and left == right, found, inputs, whole, back


@pytest.mark.slow
@settings(max_examples=300, derandomize=True)
@given(indices(), st.booleans())
def test_picks_and_scatters_are_transposes(case, scattered):
    source, index, shape = case
    b = Builder()
    if scattered:
        x = b.input("x", shape)
        program = b.build({"out": b.scatter(x, index, source)})
        here, there = shape, source
    else:
        x = b.input("x", source)
        program = b.build({"out": b.pick([x], index, shape)})
        here, there = source, shape
    if x not in program.needed([program.output]):
        return  # zeros
    same, found, inputs, whole, back = exactly_transposed(program, here, there)
    assert same
    # floats move the same entries to the same places
    floats = {k: torch.tensor(np.vectorize(float, otypes=[float])(v)) for k, v in inputs.items()}
    moved = interpret(whole.program, Floats(), floats, [program.output, back])
    for i in (program.output, back):
        assert moved[i].tolist() == np.vectorize(float, otypes=[float])(found[i]).tolist()


def test_pick_of_several_arguments_splits_its_transpose():
    b = Builder()
    x, y = b.input("x", (3,)), b.input("y", (2,))
    program = b.build({"out": b.pick([x, y], [5, 1, 0, 1, 4, 3], (6,))})
    seed = torch.arange(1.0, 7.0, dtype=torch.float64)
    b = Builder.on(program)
    cotangent = b.constant(seed.numpy())
    whole = adjoint(b.build(program.outputs), program.output, seed=cotangent)
    found = interpret(whole.program, Floats(), {"x": torch.zeros(3), "y": torch.zeros(2)}, [whole.of[x], whole.of[y]])
    assert found[whole.of[x]].tolist() == [6, 0, 6]
    assert found[whole.of[y]].tolist() == [5, 1]


def test_a_strided_pick_of_a_view_starts_where_the_view_starts():
    """torch keeps a view's offset into its memory, and as_strided counts from the memory's beginning."""
    b = Builder()
    x = b.input("x", (2,))
    total = b.scatter(x, [1, 1], (1,))
    program = b.build({"out": b.emit("pick", (total,), Strided(0, (0,)), (3,))})
    assert interpret(program, Floats(), {"x": torch.tensor([2.0, 3.0])})[program.output].tolist() == [5, 5, 5]
    view = torch.arange(6.0)[2:5]
    b = Builder()
    x = b.input("x", (3,))
    program = b.build({"out": b.emit("pick", (x,), Strided(1, dense((2,))), (2,))})
    assert interpret(program, Floats(), {"x": view})[program.output].tolist() == [3, 4]
