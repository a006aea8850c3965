"""Programs read in SymPy: the meanings agree with high precision, and what would blow up is refused."""

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb
from support.adjoints import adjoint

from symgrad.evaluation.balls import Balls
from symgrad.evaluation.exact import TooLarge, letter, meaning
from symgrad.lifting.text.text_formula import Text
from symgrad.ops.row import precision
from symgrad.ops.scalars import OPS
from symgrad.ops.special import SPECIAL
from symgrad.program.builder import Builder
from symgrad.program.expressions import Expression
from symgrad.program.program import interpret

x, w = sp.symbols("x w", real=True)


def agrees(program, position, point):
    """The SymPy reading, evaluated to 40 digits, lies in the ball."""
    with precision(200):
        balls = {
            n: arb(v) if np.ndim(v) == 0 else np.vectorize(arb, otypes=[object])(np.asarray(v))
            for n, v in point.items()
        }
        ball = interpret(program, Balls(), {n: balls[n] for n in program.inputs}, [position])[position]
    symbols = {}
    for name, value in point.items():
        for s, v in zip(np.ravel(letter(name, np.shape(value))), np.ravel(value), strict=True):
            symbols[s] = sp.Rational(float(v))
    found = meaning(program, position)
    for e, b in zip(np.ravel(np.asarray(found, dtype=object)), np.ravel(np.asarray(ball, dtype=object)), strict=True):
        exact = sp.N(e.xreplace(symbols), 50)
        assert abs(exact - sp.Float(b.mid().str(50, radius=False), 50)) <= sp.Float(10) ** -40 * (1 + abs(exact)), e
    return True


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if not op.branches and op not in SPECIAL])
def test_every_row(name):
    op = OPS[name]
    b = Builder()
    args = [b.input(n, ()) for n in ("x", "y")[: op.arity]]
    at = {"x": 1.75, "y": 2.5} if name == "acosh" else {"x": 0.375, "y": 2.5}
    program = b.build({"value": b.apply(name, *args)})
    assert agrees(program, program.output, dict(list(at.items())[: op.arity]))


@pytest.mark.parametrize(
    "text",
    [
        "w*tanh(x)**2/3 + 0.1",
        "sigmoid(w*x)*relu(x) + max(x, w)",
        "log(1 + exp(-w*x))",
        "where(x > 1, x, w**x)",
        "gelu(x)*mish(w)",
    ],
)
def test_formulas_and_their_gradients(text):
    point = {"w": 0.75, "x": 0.625}
    program = Text(text).run(point)
    assert agrees(program, program.output, point)
    both = adjoint(program, program.output)
    for i in program.inputs.values():
        assert agrees(both.program, both.of[i], point)


def test_the_meaning_is_not_the_computation():
    assert meaning(Text("(x + w) - w").run({"x": 1.0, "w": 1e17})) == x


def test_the_gradient_is_the_one_on_paper():
    program = Text("tanh(w*x)").run({"w": 1.0, "x": 1.0})
    both = adjoint(program, program.output)
    assert meaning(both.program, both.of[program.inputs["w"]]) == x * (1 - sp.tanh(w * x) ** 2)


def test_tensors_have_indexed_entries():
    A, v = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("v", 2, 1)
    point = {"A": np.array([[2.0, 0.5], [0.25, 1.0]]), "v": np.array([1.0, 3.0])}
    for formula in (v.T * A * v, sp.log(sp.Determinant(A)) + sp.Trace(A.I), A.applyfunc(sp.exp) * A.T * A**-1):
        names = {n: point[n] for n in Expression(formula).names}
        program = Expression(formula).run(names)
        assert agrees(program, program.output, names)
    program = Expression(v.T * A * v).run(point)
    both = adjoint(program, program.output)
    found = meaning(both.program, both.of[program.inputs["A"]])
    entries = letter("v", (2,))
    assert (found == np.outer(entries, entries)).all()


def test_structural_steps():
    b = Builder()
    a = b.input("a", (2, 2))
    shifted = b.add(b.matmul(a, b.transpose(a)), b.constant(np.eye(2)))
    batch = b.reshape(shifted, (1, 2, 2))
    root = b.emit("cholesky", (batch,), None, (1, 2, 2))
    solved = b.emit("solve", (batch, b.reshape(a, (1, 2, 2))), None, (1, 2, 2))
    soft = b.emit("softmax", (a,), 1, (2, 2))
    log_det = b.emit("logabsdet", (batch,), None, (1,))
    point = {"a": np.array([[0.5, -1.0], [0.25, 2.0]])}
    for i in (root, solved, soft, log_det):
        assert agrees(b.build({"value": i}), i, point)
    assert torch.allclose(
        torch.linalg.cholesky(torch.as_tensor(point["a"] @ point["a"].T + np.eye(2))),
        torch.as_tensor(
            np.array(
                [
                    float(e.subs(dict(zip(letter("a", (2, 2)).ravel(), point["a"].ravel()))))
                    for e in meaning(b.build({"value": root})).ravel()
                ]
            ).reshape(2, 2)
        ),
    )


def test_floats_are_the_binary_numbers_they_are():
    b = Builder()
    program = b.build({"value": b.mul(b.input("x", ()), b.constant(0.1))})
    assert meaning(program).coeff(x) == sp.Rational(*(0.1).as_integer_ratio())
    assert meaning(Text("0.1*x").run({"x": 1.0})).coeff(x) == sp.Rational(1, 10)


def recurrence(steps):
    b = Builder()
    i, w = b.input("x", ()), b.input("w", ())
    h = i
    for _ in range(steps):
        h = b.apply("tanh", b.add(b.mul(w, h), i))
    return b.build({"value": h})


def test_deep_formulas_are_read_without_sympys_blow_up():
    """sympy.tanh(w*sympy.tanh(...) + x), built the ordinary way, takes minutes at this depth."""
    e = meaning(recurrence(30))
    assert e.count_ops() == 90


@pytest.mark.parametrize(("steps", "says"), [(1000, "nests 121 deep"), (50, "operations as a SymPy expression")])
def test_what_would_be_too_large_is_refused(steps, says):
    program = recurrence(steps)
    if steps == 50:
        both = adjoint(program, program.output)
        with pytest.raises(TooLarge, match=says):
            meaning(both.program, both.of[program.inputs["w"]], depth=10_000)
        return
    with pytest.raises(TooLarge, match=says):
        meaning(program)


def test_a_logsumexp_that_keeps_its_axis_is_read():
    b = Builder()
    x = b.input("x", (2, 3))
    value = b.emit("logsumexp", (x,), 1, (2, 1))
    entries = letter("x", (2, 3))
    assert meaning(b.build({"value": value}))[0, 0] == sp.log(sum(sp.exp(entries[0, k]) for k in range(3)))


def test_many_entries_are_refused():
    b = Builder()
    a = b.input("a", (100, 100))
    program = b.build({"value": b.matmul(a, a)})
    with pytest.raises(TooLarge, match="entries together"):
        meaning(program)
    assert meaning(b.build({"value": b.sum(b.pick([a], np.array([1, 2]), (2,)))})) == sum(
        letter("a", (100, 100))[0, :2]
    )
