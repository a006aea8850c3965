"""The Jacobian of a softmax with its off-diagonal entries left out."""

import numpy as np
import torch

wrt = ("z",)
at = {"z": [1.0, 0.25, -0.5]}
wrong = {"z"}
faulty = ("J",)


def model(z):
    return torch.softmax(z, 0)


def hand(z):
    p = np.exp(z - z.max())
    p = p / p.sum()
    J = np.diag(p * (1 - p))
    return {"z": J}


def fixed(z):
    p = np.exp(z - z.max())
    p = p / p.sum()
    J = np.diag(p) - np.outer(p, p)
    return {"z": J}
