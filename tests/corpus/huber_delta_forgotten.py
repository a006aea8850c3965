"""Huber loss with np.where: the linear branch forgets delta."""

import numpy as np
import torch

wrt = ("w",)
at = {
    "w": [0.5, -0.3],
    "X": [[1.76, 0.4], [0.98, 2.24], [1.87, -0.98], [0.95, -0.15], [-0.1, 0.41], [0.14, 1.45]],
    "y": [3.0, 0.2, -1.0, 0.4, -4.0, 0.1],
    "delta": 0.8,
}
wrong = {"w"}
faulty = ("dr",)


def model(w, X, y, delta):
    return torch.nn.functional.huber_loss(X @ w, y, delta=0.8, reduction="sum")


def hand(w, X, y, delta):
    r = X @ w - y
    dr = np.where(np.abs(r) <= delta, r, np.sign(r))
    dw = X.T @ dr
    return {"w": dw}


def fixed(w, X, y, delta):
    r = X @ w - y
    dr = np.where(np.abs(r) <= delta, r, delta * np.sign(r))
    dw = X.T @ dr
    return {"w": dw}
