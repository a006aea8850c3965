"""Law 9 of reading: a gradient that is right for the given data alone says so."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from support.slips import agree, made_of, slip

from symgrad import verify, verify_script

W = np.array([0.5, 0.75])


@pytest.mark.parametrize(
    ("model", "hand", "data"),
    [
        (lambda w, x: (w * x * x).sum(), lambda w, x: 3 * x - 2, {"x": np.array([1.0, 2.0])}),
        (lambda w, p: (w * p**2).sum(), lambda w, p: 3 * p + 0 * w, {"p": 3.0}),
        (lambda w, c: (w * c**3).sum(), lambda w, c: 64.0 + 0 * w, {"c": 4.0}),
    ],
)
def test_a_coincidence_of_the_data_is_no_derivative(model, hand, data):
    (name,) = data
    report = verify(model, hand, wrt="w", at={"w": W, **data})
    assert not report.ok
    assert str(report).startswith(f"Right for your {name} only: your gradient for w is the derivative at these values")
    assert f"w: right for your {name} only; where {name} is another, the two differ." in report.notes
    moved = report.claims["w"].witness.point
    assert not np.array_equal(moved[name], data[name])
    exact, mine = (np.asarray(model(np.eye(2)[0], moved[name])), np.asarray(hand(W, moved[name])))
    assert exact != mine[0] or model(np.eye(2)[1], moved[name]) != mine[1]  # NumPy says so too


def test_what_is_right_for_all_data_is_told_and_no_line_is_called_wrong():
    def right(w, x):
        return x**2 + 0 * w

    hand = slip(right, "x**2", "3 * x - 2")
    report = verify(lambda w, x: (w * x * x).sum(), hand, wrt="w", at={"w": W, "x": np.array([1.0, 2.0])})
    assert report.wrong_steps == ()
    assert "What is right without that" in str(report)
    assert agree(made_of(report.repaired_source, right), right, {"w": W, "x": np.array([1.0, 2.0])})


def test_what_is_right_for_all_matrices_is_told_where_a_symmetric_one_may_be_meant():
    def right(x, A):
        return 0.5 * (A + A.T) @ x

    report = verify(lambda x, A: x @ A @ x / 2, slip(right, "0.5 * (A + A.T)", "A"), wrt="x", at={"x": W, "A": (2, 2)})
    assert str(report).startswith("Wrong unless A is symmetric")
    assert report.wrong_steps == ()
    assert agree(made_of(report.repaired_source, right), right, {"x": W, "A": np.array([[1.0, 2.0], [0.5, 3.0]])})


PROBABILITIES = np.array([0.25, 0.75])
SQUARE = np.array([[2.0, 0.5], [0.5, 3.0]])


@pytest.mark.parametrize(
    ("model", "hand", "data"),
    [
        # properties of data that a formula may use: a sum of one, flags, symmetry, a length
        (
            lambda w, y: -(y * (w - np.log(np.exp(w).sum()))).sum(),
            lambda w, y: np.exp(w) / np.exp(w).sum() - y,
            {"y": PROBABILITIES},
        ),
        (lambda w, m: (w * m**2).sum(), lambda w, m: m, {"m": np.array([1.0, 0.0])}),
        (lambda w, A: w @ A @ w / 2, lambda w, A: A @ w, {"A": SQUARE}),
        (lambda w, n: (w**2).sum() / n, lambda w, n: 2 * w / len(w), {"n": 2.0}),
        # and none is needed for what is right for all data
        (lambda w, x: (w * x).sum() ** 2, lambda w, x: 2 * (w * x).sum() * x, {"x": np.array([1.0, 2.0])}),
    ],
)
def test_properties_that_data_are_meant_to_have_may_be_used(model, hand, data):
    assert verify(model, hand, wrt="w", at={"w": W, **data}).ok


def test_a_number_in_a_script_that_stands_for_data_is_noted():
    report = verify_script("""
import torch
x = torch.tensor([1.0, 2.0])
w = torch.tensor([0.5, 0.75], requires_grad=True)
loss = (w * x * x).sum()
loss.backward()
dw = 3 * x - 2
print(w.grad, dw)
""")
    told = [*report.notes, str(report)]
    assert not report.ok or any("right for your x only" in t for t in told)


def test_a_number_that_may_be_a_length_is_told_to_matter():
    """Two is the length of x less one, and the exponent: a gradient that is right for k = 2 alone is told to be."""
    report = verify(
        lambda x, k: (x**2).sum(), lambda x, k: {"x": k * x}, at={"x": [0.5, -3.0, 4.0], "k": 2.0}, wrt=["x"]
    )
    assert any(n.startswith("x: right for your k only; where k is another, the two differ.") for n in report.notes)


def test_a_number_that_no_length_in_the_model_explains_is_refuted():
    report = verify(
        lambda x, k: x.sin().sum(),
        lambda x, k: {"x": (k - 1) * x.cos()},
        at={"x": [0.5, -3.0, 4.0], "k": 2.0},
        wrt=["x"],
    )
    assert report.verdict == "refuted"
    assert str(report).startswith("Right for your k only")


ROWS = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25], [-1.0, 1.5], [0.75, 0.125]])
EVENTS, KEPT = np.array([1.0, 0.0, 1.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0, 0.0])
CLASSES = np.eye(3)[[0, 2, 1, 1, 0]]


def mean_of_the_events(w, y):
    return np.sum(y * (ROWS @ w)) / np.sum(y)


def cross_entropy(V, Y):
    Z = ROWS @ V
    return -np.sum(Y * (Z - np.log(np.exp(Z).sum(1, keepdims=True))))


def shares(V):
    return np.exp(ROWS @ V) / np.exp(ROWS @ V).sum(1, keepdims=True)


LABELS = {
    "flags, by their number": (mean_of_the_events, lambda w, y: ROWS.T @ y / np.sum(y), EVENTS, True),
    "flags, by another number": (mean_of_the_events, lambda w, y: ROWS.T @ y / (len(y) - 2), EVENTS, False),
    "a mask of what is padded": (mean_of_the_events, lambda w, y: ROWS.T @ y / (len(y) - 2), KEPT, False),
    "flags, compared": (mean_of_the_events, lambda w, y: ROWS[y == 1].sum(0) / len(ROWS[y == 1]), EVENTS, True),
    "classes": (cross_entropy, lambda V, Y: ROWS.T @ (shares(V) - Y), CLASSES, True),
    "classes, by their places": (
        cross_entropy, lambda V, Y: ROWS.T @ (shares(V) - np.eye(3)[Y.argmax(1)]), CLASSES, True,
    ),
    "classes, written down": (
        cross_entropy, lambda V, Y: ROWS.T @ (shares(V) - np.eye(3)[[0, 2, 1, 1, 0]]), CLASSES, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LABELS.values(), ids=LABELS)
def test_labels_may_be_others_of_their_kind(case):
    model, hand, labels, right = case
    at = {"V": np.array([[0.1, 0.2, 0.3], [-0.2, 0.4, 0.1]]), "Y": labels} if labels.ndim > 1 else {"w": W, "y": labels}
    report = verify(model, hand, wrt=next(iter(at)), at=at)
    assert report.ok is right, str(report)
    assert right or str(report).startswith("Right for your ")


def test_classes_that_are_given_twice_are_not_moved_alone():
    """The model reads them as rows, the hand formula as numbers."""
    at = {"V": np.array([[0.1, 0.2, 0.3], [-0.2, 0.4, 0.1]]), "Y": CLASSES, "k": CLASSES.argmax(1)}
    report = verify(
        lambda V, Y, k: cross_entropy(V, Y), lambda V, k: ROWS.T @ (shares(V) - np.eye(3)[k]), wrt="V", at=at
    )
    assert report.ok, str(report)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1)])
def test_the_class_of_one_example_stays_one_class(shape):
    """``p - y`` is the gradient of the cross-entropy for each y that adds up to one, and for no other."""

    def loss(z, y):
        return -(y * (z - z.exp().sum().log())).sum()

    report = verify(
        loss,
        lambda z, y: np.exp(z) / np.exp(z).sum() - y,
        at={"z": np.array([0.5, -3.0, 4.0]).reshape(shape), "y": np.array([0.0, 1.0, 0.0]).reshape(shape)},
        wrt=["z"],
    )
    assert report.ok
    assert not any("right for your" in n for n in report.notes)


SHARES = np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.15, 0.25, 0.6], [0.7, 0.1, 0.2]])


def of_shares(W, Y):
    return -(Y * torch.log_softmax(torch.as_tensor(ROWS) @ W, 1)).sum()


def grad_of_shares(W, Y):
    return {"W": ROWS.T @ (shares(W) - Y)}


def test_shares_that_sum_to_one_but_for_rounding_are_shares():
    """Tenths are no binary numbers: the sums of these rows in exact arithmetic are not one."""
    assert any(sum(map(Fraction, row)) != 1 for row in SHARES.tolist())
    report = verify(of_shares, grad_of_shares, at={"W": ROWS[:2, [0, 1, 1]] / 3, "Y": SHARES}, wrt=["W"])
    assert report.verdict == "proved"
    assert "as given, the rows of Y sum to one but for rounding; that was taken to be exact" in report.notes


@pytest.mark.slow
def test_shares_that_do_not_sum_to_one_are_none():
    report = verify(of_shares, grad_of_shares, at={"W": ROWS[:2, [0, 1, 1]] / 3, "Y": 1.001 * SHARES}, wrt=["W"])
    assert report.verdict == "refuted"
