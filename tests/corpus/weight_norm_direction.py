"""Weight normalisation w = g v/|v|: dv without the projection, in one line."""

import numpy as np
import torch

wrt = ("v", "g")
at = {
    "v": [0.6, -1.1, 0.4],
    "g": 1.5,
    "X": [[1.76, 0.4, 0.98], [2.24, 1.87, -0.98], [0.95, -0.15, -0.1], [0.41, 0.14, 1.45]],
    "up": [1.0, -0.5, 0.2, 0.8],
}
wrong = {"v"}
faulty = ("dv",)


def model(v, g, X, up):
    w = g * v / torch.linalg.norm(v)
    return (up * torch.tanh(X @ w)).sum()


def hand(v, g, X, up):
    norm_v = np.linalg.norm(v)
    w = g * v / norm_v
    dw = X.T @ (up * (1 - np.tanh(X @ w) ** 2))
    dg = dw @ v / norm_v
    dv = g / norm_v * dw
    return {"v": dv, "g": dg}


def fixed(v, g, X, up):
    norm_v = np.linalg.norm(v)
    w = g * v / norm_v
    dw = X.T @ (up * (1 - np.tanh(X @ w) ** 2))
    dg = dw @ v / norm_v
    dv = g / norm_v * (dw - dg * v / norm_v)
    return {"v": dv, "g": dg}
