"""Discrete adjoint of an Euler scheme: state index off by one in both vjp lines."""

import numpy as np
import torch

wrt = ("theta", "x0")
at = {"theta": [[1.76, 0.4], [0.98, 2.24]], "x0": [0.5, -0.8], "target": [1.0, 0.2], "dt": 0.3}
wrong = {"x0", "theta"}
faulty = ("s", "g_theta")


def model(theta, x0, target, dt):
    x = x0
    for _ in range(3):
        x = x + dt * torch.tanh(theta @ x)
    return 0.5 * ((x - target) ** 2).sum()


def hand(theta, x0, target, dt):
    xs = [x0]
    for n in range(3):
        xs.append(xs[n] + dt * np.tanh(theta @ xs[n]))
    lam = xs[3] - target
    g_theta = np.zeros((2, 2))
    for n in range(2, -1, -1):
        s = dt * (1 - np.tanh(theta @ xs[n + 1]) ** 2) * lam
        g_theta += np.outer(s, xs[n + 1])
        lam = lam + theta.T @ s
    return {"theta": g_theta, "x0": lam}


def fixed(theta, x0, target, dt):
    xs = [x0]
    for n in range(3):
        xs.append(xs[n] + dt * np.tanh(theta @ xs[n]))
    lam = xs[3] - target
    g_theta = np.zeros((2, 2))
    for n in range(2, -1, -1):
        s = dt * (1 - np.tanh(theta @ xs[n]) ** 2) * lam
        g_theta += np.outer(s, xs[n])
        lam = lam + theta.T @ s
    return {"theta": g_theta, "x0": lam}
