"""A linear layer on a batch: the bias is shared by the rows, and its gradient is not summed over them."""

import numpy as np
import torch

wrt = ("W", "b")
at = {"W": [[1.0, -0.5], [0.25, 2.0], [0.5, 0.5]], "b": [0.1, 0.2], "X": [[1.0, 2.0, -1.0], [0.5, 0.0, 1.5]]}
wrong = {"b"}
faulty = ("db",)


def model(W, b, X):
    return torch.tanh(X @ W + b).sum()


def hand(W, b, X):
    out = np.tanh(X @ W + b)
    delta = 1 - out**2
    dW = X.T @ delta
    db = delta
    return {"W": dW, "b": db}


def fixed(W, b, X):
    out = np.tanh(X @ W + b)
    delta = 1 - out**2
    dW = X.T @ delta
    db = delta.sum(axis=0)
    return {"W": dW, "b": db}
