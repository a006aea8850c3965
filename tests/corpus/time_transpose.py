"""Backpropagation through time: the state's gradient is carried back by W where it wants W transposed."""

import numpy as np
import torch

wrt = ("W",)
at = {"W": [[0.5, -1.0], [0.25, 0.75]], "x": [[1.0, 0.5], [-0.5, 1.5], [0.25, -1.0]]}
wrong = {"W"}
faulty = ("dh",)


def model(W, x):
    h = torch.zeros(2, dtype=x.dtype)
    for t in range(3):
        h = torch.tanh(W @ h + x[t])
    return h.sum()


def hand(W, x):
    h = [np.zeros(2)]
    for t in range(3):
        h.append(np.tanh(W @ h[t] + x[t]))
    dW = np.zeros((2, 2))
    dh = np.ones(2)
    for t in (2, 1, 0):
        dz = dh * (1 - h[t + 1] ** 2)
        dW = dW + np.outer(dz, h[t])
        dh = W @ dz
    return {"W": dW}


def fixed(W, x):
    h = [np.zeros(2)]
    for t in range(3):
        h.append(np.tanh(W @ h[t] + x[t]))
    dW = np.zeros((2, 2))
    dh = np.ones(2)
    for t in (2, 1, 0):
        dz = dh * (1 - h[t + 1] ** 2)
        dW = dW + np.outer(dz, h[t])
        dh = W.T @ dz
    return {"W": dW}
