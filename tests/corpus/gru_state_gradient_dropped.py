"""A gated recurrence: the state's gradient goes back through the gate's 1 - z and forgets the candidate's own path."""

import numpy as np
import torch

wrt = ("u",)
at = {"u": 1.25, "z": 0.25, "x": [0.5, -1.0, 2.0]}
wrong = {"u"}
faulty = ("dh",)


def model(u, z, x):
    h = torch.zeros_like(u)
    for t in range(3):
        h = (1 - z) * h + z * torch.tanh(u * h + x[t])
    return h


def hand(u, z, x):
    h = [0.0]
    for t in range(3):
        h.append((1 - z) * h[t] + z * np.tanh(u * h[t] + x[t]))
    dh, du = 1.0, 0.0
    for t in (2, 1, 0):
        da = dh * z * (1 - np.tanh(u * h[t] + x[t]) ** 2)
        du = du + da * h[t]
        dh = dh * (1 - z)
    return {"u": du}


def fixed(u, z, x):
    h = [0.0]
    for t in range(3):
        h.append((1 - z) * h[t] + z * np.tanh(u * h[t] + x[t]))
    dh, du = 1.0, 0.0
    for t in (2, 1, 0):
        da = dh * z * (1 - np.tanh(u * h[t] + x[t]) ** 2)
        du = du + da * h[t]
        dh = dh * (1 - z) + da * u
    return {"u": du}
