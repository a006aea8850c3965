"""Logistic regression by F.binary_cross_entropy(sigmoid), textbook gradient; max diff 1e-17."""

import numpy as np
import torch

wrt = ("W", "b")
at = {
    "W": [0.4, -0.7, 0.2],
    "b": 0.1,
    "X": [
        [1.76, 0.4, 0.98],
        [2.24, 1.87, -0.98],
        [0.95, -0.15, -0.1],
        [0.41, 0.14, 1.45],
        [0.76, 0.12, 0.44],
        [0.33, 1.49, -0.21],
        [0.31, -0.85, -2.55],
        [0.65, 0.86, -0.74],
    ],
    "y": [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0],
}
wrong: set[str] = set()
faulty = ()


def model(W, b, X, y):
    return torch.nn.functional.binary_cross_entropy(torch.sigmoid(X @ W + b), y)


def hand(W, b, X, y):
    p = 1 / (1 + np.exp(-(X @ W + b)))
    dz = (p - y) / len(y)
    dW = X.T @ dz
    db = dz.sum()
    return {"W": dW, "b": db}


def fixed(W, b, X, y):
    p = 1 / (1 + np.exp(-(X @ W + b)))
    dz = (p - y) / len(y)
    dW = X.T @ dz
    db = dz.sum()
    return {"W": dW, "b": db}
