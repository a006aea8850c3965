"""A layer's backward that returns its own slope and forgets the gradient that comes from above."""

import numpy as np
import torch

wrt = ("x",)
at = {"x": [0.5, -1.5, 2.0], "grad_out": [2.0, 1.0, -3.0]}
wrong = {"x"}
faulty = ("grad_in",)


def model(x, grad_out):
    return (grad_out * torch.nn.functional.softplus(x)).sum()


def hand(x, grad_out):
    slope = 1 / (1 + np.exp(-x))
    grad_in = slope
    return {"x": grad_in}


def fixed(x, grad_out):
    slope = 1 / (1 + np.exp(-x))
    grad_in = slope * grad_out
    return {"x": grad_in}
