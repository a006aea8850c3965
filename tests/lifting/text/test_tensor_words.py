"""Formulas in text about whole arrays: each word's value is NumPy's, and each derivative autograd's or refuted."""

import numpy as np
import pytest
import torch

from symgrad import gradient, verify
from symgrad.errors import BadFormula, BadInput, SymgradError, WrongShape
from symgrad.evaluation.floats import Floats
from symgrad.lifting.text.tensor_words import WORDS
from symgrad.lifting.text.text_formula import Text
from symgrad.program.program import interpret

A, X = (
    np.array([[2.0, 0.5, 1.0], [0.25, 3.0, -1.0], [0.0, 1.5, 4.0]]),
    np.array([[1.5, -0.5], [0.25, 2.0], [1.0, 0.75]]),
)
POINT = {"A": A, "X": X, "x": np.array([0.5, -1.25, 2.0]), "y": np.array([1.5, 0.25, -0.75]), "s": np.array(1.5)}
INDEX = "sum(sum(A[i, j]*x[j], j)*y[i], i)"

MEANT = {  # the text, and the same in torch
    "sum(x**2)": lambda A, X, x, y, s: (x**2).sum(),
    "sum(X, 0) @ X[0]": lambda A, X, x, y, s: X.sum(0) @ X[0],
    "sum(X, axis=-1) @ x": lambda A, X, x, y, s: X.sum(-1) @ x,
    "mean(x)*s": lambda A, X, x, y, s: x.mean() * s,
    "prod(x)": lambda A, X, x, y, s: x.prod(),
    "max(x*y)": lambda A, X, x, y, s: (x * y).max(),
    "X.min(1) @ x": lambda A, X, x, y, s: X.min(1).values @ x,
    "logsumexp(x)": lambda A, X, x, y, s: x.logsumexp(0),
    "softmax(x) @ y": lambda A, X, x, y, s: x.softmax(0) @ y,
    "sum(log_softmax(X, 1)[:, 0])": lambda A, X, x, y, s: X.log_softmax(1)[:, 0].sum(),
    "norm(x - y)": lambda A, X, x, y, s: (x - y).norm(),
    "norm(x, 3)": lambda A, X, x, y, s: x.norm(3),
    "trace(A @ A)": lambda A, X, x, y, s: (A @ A).trace(),
    "log(det(A))": lambda A, X, x, y, s: A.logdet(),
    "logdet(A.T)": lambda A, X, x, y, s: A.logdet(),
    "x @ inv(A) @ y": lambda A, X, x, y, s: x @ A.inverse() @ y,
    "y @ A.I @ x": lambda A, X, x, y, s: y @ A.inverse() @ x,
    "solve(A, x) @ y": lambda A, X, x, y, s: torch.linalg.solve(A, x) @ y,
    "trace(solve(A, X) @ X.T)": lambda A, X, x, y, s: (torch.linalg.solve(A, X) @ X.T).trace(),
    "sum(A @ diag(x) @ A)": lambda A, X, x, y, s: (A @ x.diag() @ A).sum(),
    "diag(A) @ x": lambda A, X, x, y, s: A.diag() @ x,
    "x.T @ A @ y": lambda A, X, x, y, s: x @ A @ y,
    "transpose(X)[1] @ x": lambda A, X, x, y, s: X[:, 1] @ x,
    "(x + y).dot(x)": lambda A, X, x, y, s: (x + y) @ x,
    "sum(outer(x, y)*A)": lambda A, X, x, y, s: (torch.outer(x, y) * A).sum(),
    "exp(-x.T @ x / 2)": lambda A, X, x, y, s: torch.exp(-x @ x / 2),
    "x[0]*y[-1] + s": lambda A, X, x, y, s: x[0] * y[-1] + s,
    "sum(X[1:, 0]**2)": lambda A, X, x, y, s: (X[1:, 0] ** 2).sum(),
    "np.sum(torch.exp(x))": lambda A, X, x, y, s: x.exp().sum(),
    INDEX: lambda A, X, x, y, s: y @ A @ x,
    "sum(A[i, i]*x[i], i)": lambda A, X, x, y, s: A.diag() @ x,
    "mean(x[i], i) + prod(y[i], i)": lambda A, X, x, y, s: x.mean() + y.prod(),
    "diag(where(x[0] > x, 2, s)) @ x": lambda A, X, x, y, s: torch.where(x[0] > x, 2.0, s) * x,
    "(prod(x[i], i)*y)[1:]": lambda A, X, x, y, s: (x.prod() * y)[1:],
    "[x @ y, 2*s] @ [s, 1]": lambda A, X, x, y, s: torch.stack([x @ y, 2 * s]) @ torch.stack([s, torch.ones_like(s)]),
    "logsumexp(A[i, j] + x[j], i, j)": lambda A, X, x, y, s: (A + x).flatten().logsumexp(0),
}


@pytest.mark.parametrize("text", MEANT)
def test_each_word_is_what_torch_computes(text):
    program = Text(text).run(POINT)
    inputs = {n: torch.as_tensor(POINT[n]) for n in program.inputs}
    mine = interpret(program, Floats(), inputs)[program.output]
    theirs = MEANT[text](**{n: torch.as_tensor(v) for n, v in POINT.items()})
    assert mine.shape == theirs.shape
    assert torch.allclose(mine, theirs, rtol=1e-13, atol=0)


def test_the_table_of_meanings_has_every_word():
    used = {n.value[0] for text in MEANT for n in Text(text).tree.nodes if n.head == "tensor"}
    assert used == set(WORDS)


@pytest.mark.parametrize("text", ["trace(solve(A, X) @ X.T)", "max(x*y)", "norm(x, 3)", INDEX])
def test_the_exact_derivative_is_autograds(text):
    leaves = {n: torch.as_tensor(v).requires_grad_() for n, v in POINT.items()}
    MEANT[text](**leaves).backward()
    at = {n: POINT[n] for n in Text(text).names}
    for name, program in gradient(text, at=at).items():
        mine = interpret(program, Floats(), {n: torch.as_tensor(v) for n, v in at.items() if n in program.inputs})
        assert torch.allclose(mine[program.output], leaves[name].grad, rtol=1e-12, atol=1e-14)


def test_a_free_index_is_an_axis():
    program = Text("2*A[i, j]*x[j]", entry=("A", ("i", "j"))).run(POINT)
    inputs = {n: torch.as_tensor(POINT[n]) for n in program.inputs}
    assert np.allclose(interpret(program, Floats(), inputs)[program.output], 2 * A * POINT["x"])
    turned = Text("A[i, j]", entry=("A", ("j", "i"))).run(POINT)
    assert np.allclose(interpret(turned, Floats(), {"A": torch.as_tensor(A)})[turned.output], A.T)
    constant = Text("3", entry=("x", ("k",))).run(POINT)
    assert np.array_equal(interpret(constant, Floats(), {})[constant.output], [3, 3, 3])


# ------------------------------------------------------------------------------------------------------------- verdicts

RIGHT = [  # without a shape: for all sizes
    ("sum(x**2)", {"x": "2*x"}),
    ("x.T @ A @ x", {"x": "(A + A.T) @ x", "A": "outer(x, x)"}),
    ("norm(x)", {"x": "x/norm(x)"}),
    ("mean(x)*b", {"b": "mean(x)"}),
    ("trace(A @ X)", {"X": "A.T"}),
    ("log(det(X))", {"X": "inv(X).T"}),
    ("dot(a, b)", {"a": "b", "b": "a"}),
    ("exp(-x.T @ x / 2)", {"x": "-x*exp(-x.T @ x / 2)"}),
    ("softmax(z)", {"z": "diag(softmax(z)) - outer(softmax(z), softmax(z))"}),
    ("sum(a[i]*x[i]**2, i)", {"x[k]": "2*a[k]*x[k]"}),
    (INDEX, {"A[i, j]": "y[i]*x[j]", "x[k]": "sum(A[i, k]*y[i], i)"}),
]
WRONG = [
    ("sum(x**2)", {"x": "x"}),
    ("x.T @ A @ x", {"x": "2*A @ x"}),
    ("trace(A @ X)", {"X": "A"}),
    ("log(det(X))", {"X": "inv(X)"}),
    ("softmax(z)", {"z": "diag(softmax(z))"}),
    (INDEX, {"A[i, j]": "y[j]*x[i]"}),
]


@pytest.mark.parametrize(("formula", "hand"), RIGHT)
def test_what_has_no_shape_is_proved_for_all_sizes(formula, hand):
    report = verify(formula, hand)
    assert all("proved for all" in str(claim.verdict) for claim in report.claims.values())


@pytest.mark.parametrize(("formula", "hand"), WRONG)
def test_what_is_wrong_of_arrays_is_refuted(formula, hand):
    assert verify(formula, hand).verdict == "refuted"


def test_one_text_may_say_the_whole_question():
    assert verify("d/dx sum(x**2, axis=0) = 2*x").verdict == "proved"
    steps = "z = A @ x\ny = sum(z**2)\ndy/dz = 2*z\ndy/dx = A.T @ dy/dz"
    assert verify(steps, at={"A": (3, 2), "x": (2,)}).verdict == "proved"
    assert verify(steps.replace("A.T", "A"), at={"A": (2, 2), "x": (2,)}).verdict == "refuted"


def test_an_entry_names_whose_gradient_it_is():
    assert verify("sum(a[i]*x[i]**2, i)", "2*a[k]*x[k]", wrt="x[k]").verdict == "proved"


# ------------------------------------------------------------------------------------------------------------- refusals

MU = {"formula": "sum((x - mu)**2)", "hand": {"mu": "-2*sum(x - mu)"}}
REFUSED = [  # the question, its error, what it says, and what is asked instead
    (MU, BadInput, 'at={"mu": ("n",), "x": ("n",)}', {**MU, "at": {"mu": 1.0, "x": ("n",)}}),
    (
        {"formula": "norm(A @ x - b)**2", "hand": "2*A.T @ (A @ x - b)", "wrt": "x"},
        BadInput,
        'at={"A": ("n", "m"), "b": ("n",), "x": ("m",)}',
        {
            "formula": "norm(A @ x - b)**2",
            "hand": "2*A.T @ (A @ x - b)",
            "wrt": "x",
            "at": {"A": ("n", "m"), "b": ("n",), "x": ("m",)},
        },
    ),
    (
        {"formula": "sum(x**2)", "hand": "2*x", "at": {"x": 2.0}},
        WrongShape,
        'at={"x": ("n",)}',
        {"formula": "sum(x**2)", "hand": "2*x", "at": {"x": ("n",)}},
    ),
    ({"formula": "x @ x.T", "hand": "2*x"}, BadFormula, "dot(x, y)", {"formula": "dot(x, x)", "hand": "2*x"}),
    (
        {"formula": "norm(X)", "hand": "X/norm(X)"},
        BadFormula,
        "sqrt(sum(A**2))",
        {"formula": "sqrt(sum(X**2))", "hand": "X/sqrt(sum(X**2))"},
    ),
    (
        {"formula": "trace(A**-1)", "hand": "-inv(A @ A).T"},
        BadFormula,
        "inv(A)",
        {"formula": "trace(inv(A))", "hand": "-inv(A @ A).T"},
    ),
    (
        {"formula": "sum(x[i]**2)", "hand": "2*x"},
        WrongShape,
        "sum(..., i)",
        {"formula": "sum(x[i]**2, i)", "hand": "2*x"},
    ),
    (
        {"formula": "sum(x[i]**2 for i in range(n))", "hand": "2*x"},
        BadFormula,
        "sum(x[i]*y[i], i)",
        {"formula": "sum(x[i]**2, i)", "hand": "2*x"},
    ),
    ({"formula": "sum(x[i]*x, i)", "hand": "2*x"}, WrongShape, "x[i]", {"formula": "sum(x[i]*x[i], i)", "hand": "2*x"}),
]


@pytest.mark.parametrize(("asked", "error", "says", "instead"), REFUSED)
def test_what_a_refusal_says_to_write_is_answered(asked, error, says, instead):
    with pytest.raises(error) as caught:
        verify(**asked)
    assert says in str(caught.value)
    assert verify(**instead).verdict == "proved"


@pytest.mark.parametrize(
    "text",
    ["sum(2)", "sum()", "sum(x", "x.foo", "x[", "x[1", "x[]", "x[1,", "x[i+1]", "x[i:j]", "x[0][0]", "dot(x)", "x @",
     "sum(x, 1, 2)", "sum(x, y)", "det(x)", "x.T @ x.T", "x[i, j]*x[i]", "i*x[i]", "sum(x[i], j)", "dot(x, x, x)"],
)  # fmt: skip
def test_what_is_no_formula_of_arrays_is_an_error_in_words(text):
    with pytest.raises(SymgradError):
        verify(text, {"x": "x"}, at={"x": (3,)})


@pytest.mark.parametrize("text", ["sum(x)", "mean(x)", "max(x)", "norm(x)", "trace(x)", "det(x)", "softmax(x)", "x.T"])
def test_what_is_said_of_arrays_is_never_proved_of_a_number(text):
    with pytest.raises(SymgradError, match="this is a number"):
        verify(text, {"x": "1"}, at={"x": 0.5})


def test_a_matrix_that_is_never_invertible_is_an_error_in_words():
    with pytest.raises(SymgradError, match=r"no inverse|inverse has no value"):
        verify("trace(inv(outer(x, x)))", {"x": "x"}, at={"x": (3,)})


def test_a_row_with_a_name_says_what_arrays_come_to():
    at = {"X": (5, 3), "w": (3,), "y": (5,)}
    right = "-2*X.T @ (y - X @ w)/5"
    assert verify("loss = mean((y - X @ w)**2)", right, wrt="w", at=at).verdict == "proved"
    assert verify("loss = mean((y - X @ w)**2)", right.replace("2", "1"), wrt="w", at=at).verdict == "refuted"


def test_a_comparison_in_a_product_is_one_where_it_holds():
    at = {"X": (5, 3), "w": (3,), "y": (5,)}
    hinge, slope = "sum(maximum(0, 1 - y * (X @ w)))", "X.T @ (y * (1 - y * (X @ w) > 0))"
    assert verify(hinge, f"-{slope}", wrt="w", at=at).verdict == "proved"
    assert verify(hinge, slope, wrt="w", at=at).verdict == "refuted"
