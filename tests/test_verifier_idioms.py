"""Right gradients as people write them: none may be called wrong for the way in which it is written."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.errors import LostValue, NotReproducible

F = torch.nn.functional


@pytest.mark.parametrize("k", [2, 3, 6, 7, 12, 18, 32, 48, 128])
def test_a_constant_that_took_two_roundings(k):
    """1 / np.sqrt(2) is not the double next to 2**-0.5: each of the two operations rounds."""
    s = 1 / np.sqrt(k)
    inside = verify(lambda x: (x**2).sum() / math.sqrt(k), lambda x: 2 * x * (1 / np.sqrt(k)), at={"x": (2,)})
    outside = verify(lambda x: (x**2).sum() / math.sqrt(k), lambda x: 2 * x * s, at={"x": (2,)})
    assert inside.verdict == "proved"
    assert outside.ok


@pytest.mark.slow
def test_a_literal_and_an_input_of_the_same_float():
    def model(w, delta):
        return F.huber_loss(w, torch.zeros_like(w), delta=0.8, reduction="sum")

    def hand(w, delta):
        return {"w": np.where(np.abs(w) <= delta, w, delta * np.sign(w))}

    for dtype in (torch.float64, torch.float32):
        at = {"w": torch.tensor([0.5, -2.0], dtype=dtype), "delta": torch.tensor(0.8, dtype=dtype)}
        report = verify(model, hand, wrt="w", at=at)
        assert report.ok
        assert any("one float" in note for note in report.notes)
    assert verify(model, lambda w, delta: w * delta, wrt="w", at=at).verdict == "refuted"


def test_memory_that_is_filled_later_and_memory_that_never_is():
    def model(k, x):
        return (0.5 * k * (x[1:] - x[:-1]) ** 2).sum()

    def hand(k, x):
        g = np.empty(3)
        for i in range(3):
            g[i] = 0.5 * (x[i + 1] - x[i]) ** 2
        return {"k": g}

    def short(k, x):
        g = np.empty(3)
        g[0] = 0.5 * (x[1] - x[0]) ** 2
        return {"k": g}

    at = {"k": (3,), "x": (4,)}
    assert verify(model, hand, wrt="k", at=at).ok
    with pytest.raises(NotReproducible, match=r"entry \[1\] of k is memory that the function never filled"):
        verify(model, short, wrt="k", at=at)


@pytest.mark.parametrize("seed", range(4))
def test_the_textbook_gradient_of_cross_entropy_of_a_sigmoid(seed):
    """torch takes no log for less than -100; far from there that guard is no part of the formula."""
    rng = np.random.default_rng(seed)
    y = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    at = {"z": torch.tensor(rng.standard_normal(4)), "y": y}
    report = verify(
        lambda z, y: F.binary_cross_entropy(torch.sigmoid(z), y),
        lambda z, y: (torch.sigmoid(z) - y) / 4,
        wrt="z",
        at=at,
    )
    assert report.ok


def test_a_hand_formula_whose_text_names_no_library():
    def hand(Z):
        g = Z.copy()
        return {"Z": 2 * g}

    assert verify(lambda Z: (Z**2).sum(), hand, at={"Z": (2, 3)}).verdict == "proved"


def test_a_reversed_view_is_a_gradient_like_any_other():
    def hand(x, g):
        return {"x": np.cumsum(g[::-1])[::-1]}

    assert verify(lambda x, g: (torch.cumsum(x, 0) * g).sum(), hand, wrt="x", at={"x": (4,), "g": (4,)}).ok


def test_a_tie_is_a_kink_even_where_the_hand_formula_takes_the_models_side():
    def hand(x):
        g = np.zeros_like(x)
        g[np.argmax(x)] = 2 * x[np.argmax(x)]
        return {"x": g}

    report = verify(lambda x: torch.amax(x) ** 2, hand, at={"x": np.array([1.0, 3.0, 3.0, 0.0])})
    assert report.ok
    assert {k.entry for k in report.kinks} == {(1,), (2,)}
    assert not report.instabilities


# ------------------------------------------------------------------------------------------------ data beside the code

X, Y = np.random.RandomState(0).randn(5, 3), np.random.RandomState(1).randn(5)
V = np.array([[0.3, -0.2], [0.1, 0.9]])
TABLES = {"V": V, "list": [V, V.T]}


class Layer:
    def __init__(self):
        self.V, self.b = V, np.array([0.1, 0.2])


LAYER = Layer()
BESIDE = {
    "the normal equations": (
        lambda w: 0.5 * np.sum((X @ w - Y) ** 2),
        lambda w: X.T @ X @ w - X.T @ Y,
        lambda w: X.T @ X @ w + X.T @ Y,
    ),
    "a mean of rows": (lambda w: (X @ w).mean(), lambda w: X.mean(axis=0), lambda w: X.sum(axis=0)),
    "logistic regression": (
        lambda w: np.sum(np.log(1 + np.exp(X @ w)) - Y * (X @ w)),
        lambda w: X.T @ (1 / (1 + np.exp(-X @ w))) - X.T @ Y,
        lambda w: X.T @ (1 / (1 + np.exp(X @ w))) - X.T @ Y,
    ),
    "a mask times weights": (
        lambda w: np.maximum(w[:2] @ V, 0).sum(),
        lambda w: np.append(((w[:2] @ V > 0) * 1.0) @ V.T, 0.0),
        lambda w: np.append(((w[:2] @ V > 0) * 1.0) @ V, 0.0),
    ),
    "arrays in attributes": (
        lambda w: ((w[:2] @ LAYER.V) * LAYER.b).sum(),
        lambda w: np.append(LAYER.V @ LAYER.b, 0.0),
        lambda w: np.append(LAYER.V.T @ LAYER.b, 0.0),
    ),
    "arrays in containers": (
        lambda w: (w[:2] @ TABLES["V"] @ TABLES["list"][1]).sum(),
        lambda w: np.append(TABLES["V"] @ TABLES["V"].T @ np.ones(2), 0.0),
        lambda w: np.append(TABLES["V"] @ TABLES["V"] @ np.ones(2), 0.0),
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_computed_from_data_beside_the_function_is_followed(name):
    """``X.T @ X`` is a product of the code's, rounding and all, and no number from elsewhere: so there is a proof."""
    model, right, wrong = BESIDE[name]
    at = {"w": np.array([0.5, 0.2, -0.1])}
    assert verify(model, right, at=at).verdict == "proved"
    assert verify(model, wrong, at=at).verdict == "refuted"


def test_a_name_of_a_comprehension_is_not_the_functions(capsys):
    """``X`` is the module's where it is printed, and the comprehension's own in the brackets."""

    def hand(w):
        print(X)
        np.copyto(np.zeros((5, 3)), X)
        TABLES["V"][0] += 0.0
        np.sum(X)
        return np.array([sum(X) for X in [w, w]])[0] * np.ones(3)

    assert verify(lambda w: 0.5 * w.sum() ** 2, hand, at={"w": np.array([0.5, 0.2, -0.1])}).verdict == "proved"
    capsys.readouterr()


def test_an_array_beside_the_function_stays_as_it_is():
    table = np.zeros(3)

    def hand(w):
        table[0] = 1.0
        table[0] += w[0]
        return w

    with pytest.raises(LostValue, match="writes into an array made outside of the function"):
        verify(lambda w: 0.5 * (w**2).sum(), hand, at={"w": np.ones(3)})


class Node:
    """A value of an engine: its parents are a set, as in the lecture that made these known."""

    def __init__(self, v, parents=()):
        self.v, self.g, self.parents, self.push = v, 0.0, set(parents), lambda: None

    def __add__(self, o):
        out = Node(self.v + o.v, (self, o))

        def push():
            self.g += out.g
            o.g += out.g

        out.push = push
        return out

    def __mul__(self, o):
        out = Node(self.v * o.v, (self, o))

        def push():
            self.g += o.v * out.g
            o.g += self.v * out.g

        out.push = push
        return out

    def backward(self):
        order, seen = [], set()

        def visit(n):
            if n not in seen:
                seen.add(n)
                for p in n.parents:
                    visit(p)
                order.append(n)

        visit(self)
        self.g = 1.0
        for n in reversed(order):
            n.push()


def engine(a, b, c, once=False):
    A, B, C = Node(a), Node(b), Node(c)
    ((A * B + C * A) * (B + C) + A * C).backward()
    return {"a": A.g, "b": B.g, "c": C.g - a if once else C.g}


def test_an_engine_whose_order_may_differ_from_run_to_run():
    """Its objects are hashed by their addresses: their gradients are added up in another order."""

    def model(a, b, c):
        return (a * b + c * a) * (b + c) + a * c

    at = {"a": 1.5, "b": -0.7, "c": 2.0}
    for _ in range(2):
        assert verify(model, lambda a, b, c: engine(a, b, c), at=at).verdict == "proved"
    assert verify(model, lambda a, b, c: engine(a, b, c, once=True), at=at).verdict == "refuted"
    assert "__hash__" not in vars(Node)


def test_a_rounded_value_that_is_only_shown_is_no_part_of_the_formula(capsys):
    def hand(w):
        print(round(w[0].item(), 2), np.round(w, 2), f"{w[0]:.2f}")
        return 3 * w**2

    assert verify(lambda w: (w**3).sum(), hand, at={"w": np.array([0.123, 0.5])}).verdict == "proved"
    capsys.readouterr()
