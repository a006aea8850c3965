"""Elman network, list of states with the initial state first: the wrong neighbour twice."""

import numpy as np
import torch

wrt = ("Wx", "Wh", "b", "v")
at = {
    "Wx": [[1.76, 0.4], [0.98, 2.24], [1.87, -0.98]],
    "Wh": [[0.95, -0.15, -0.1], [0.41, 0.14, 1.45], [0.76, 0.12, 0.44]],
    "b": [0.1, 0.0, -0.2],
    "v": [0.6, -0.9, 0.4],
    "xs": [[0.5, 1.0], [-0.3, 0.8], [1.1, -0.6]],
    "y": 0.4,
}
wrong = {"Wh", "b", "Wx"}
faulty = ("da", "dWh")


def model(Wx, Wh, b, v, xs, y):
    s = torch.zeros(3, dtype=xs.dtype)
    for t in range(3):
        s = torch.tanh(Wx @ xs[t] + Wh @ s + b)
    return (v @ s - y) ** 2


def hand(Wx, Wh, b, v, xs, y):
    states = [np.zeros(3)]
    for xt in xs:
        states.append(np.tanh(Wx @ xt + Wh @ states[-1] + b))
    err = 2 * (v @ states[-1] - y)
    dv = err * states[-1]
    ds = err * v
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    for t in range(2, -1, -1):
        da = ds * (1 - states[t] ** 2)
        dWx += np.outer(da, xs[t])
        dWh += np.outer(da, states[t + 1])
        db += da
        ds = Wh.T @ da
    return {"Wx": dWx, "Wh": dWh, "b": db, "v": dv}


def fixed(Wx, Wh, b, v, xs, y):
    states = [np.zeros(3)]
    for xt in xs:
        states.append(np.tanh(Wx @ xt + Wh @ states[-1] + b))
    err = 2 * (v @ states[-1] - y)
    dv = err * states[-1]
    ds = err * v
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    for t in range(2, -1, -1):
        da = ds * (1 - states[t + 1] ** 2)
        dWx += np.outer(da, xs[t])
        dWh += np.outer(da, states[t])
        db += da
        ds = Wh.T @ da
    return {"Wx": dWx, "Wh": dWh, "b": db, "v": dv}
