"""REINFORCE with a linear softmax policy: grad log pi keeps only the taken action."""

import numpy as np
import torch

wrt = ("theta",)
at = {
    "theta": [[1.76, 0.4], [0.98, 2.24], [1.87, -0.98]],
    "S": [[0.95, -0.15, -0.1], [0.41, 0.14, 1.45], [0.76, 0.12, 0.44], [0.33, 1.49, -0.21]],
    "A": [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]],
    "G": [1.0, -0.5, 2.0, 0.3],
}
wrong = {"theta"}
faulty = ("dlogpi",)


def model(theta, S, A, G):
    logp = torch.log_softmax(S @ theta, dim=1)
    return -(G * (logp * A).sum(1)).sum()


def hand(theta, S, A, G):
    grad = np.zeros_like(theta)
    for s, a, ret in zip(S, A, G):
        prefs = s @ theta
        pi = np.exp(prefs) / np.sum(np.exp(prefs))  # noqa: F841
        dlogpi = np.outer(s, a)
        grad -= ret * dlogpi
    return {"theta": grad}


def fixed(theta, S, A, G):
    grad = np.zeros_like(theta)
    for s, a, ret in zip(S, A, G):
        prefs = s @ theta
        pi = np.exp(prefs) / np.sum(np.exp(prefs))
        dlogpi = np.outer(s, a - pi)
        grad -= ret * dlogpi
    return {"theta": grad}
