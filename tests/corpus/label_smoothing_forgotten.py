"""Label smoothing: smoothed targets in the loss, hard ones in the gradient; batch mean forgotten for the bias."""

import torch

wrt = ("W", "b")
at = {
    "W": [[1.76, 0.4, 0.98, 2.24], [1.87, -0.98, 0.95, -0.15], [-0.1, 0.41, 0.14, 1.45]],
    "b": [0.1, -0.1, 0.0, 0.2],
    "X": [[0.76, 0.12, 0.44], [0.33, 1.49, -0.21], [0.31, -0.85, -2.55]],
    "Y": [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]],
    "eps": 0.1,
}
wrong = {"W", "b"}
faulty = ("delta",)


def model(W, b, X, Y, eps):
    Ys = Y * (1 - eps) + eps / 4
    return -(Ys * torch.log_softmax(X @ W + b, 1)).sum(1).mean()


def hand(W, b, X, Y, eps):
    N, C = Y.shape
    P = torch.softmax(X @ W + b, 1)
    Y * (1 - eps) + eps / C
    delta = (P - Y) / N
    dW = X.T @ delta
    db = delta.sum(0)
    return {"W": dW, "b": db}


def fixed(W, b, X, Y, eps):
    N, C = Y.shape
    P = torch.softmax(X @ W + b, 1)
    Ys = Y * (1 - eps) + eps / C
    delta = (P - Ys) / N
    dW = X.T @ delta
    db = delta.sum(0)
    return {"W": dW, "b": db}
