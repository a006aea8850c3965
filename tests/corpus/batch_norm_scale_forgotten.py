"""Batch norm of one feature: gamma is left out on the way back to x; with gamma = 1 nobody would see it."""

import numpy as np
import torch

wrt = ("x", "gamma")
at = {"x": [0.5, -1.0, 2.0, 1.0], "gamma": 1.5, "dy": [1.0, -0.5, 0.25, 2.0]}
wrong = {"x"}
faulty = ("dhat",)


def model(x, gamma, dy):
    hat = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-3)
    return (dy * gamma * hat).sum()


def hand(x, gamma, dy):
    n = x.size
    scale = 1 / np.sqrt(x.var() + 1e-3)
    hat = (x - x.mean()) * scale
    dgamma = (dy * hat).sum()
    dhat = dy
    dx = scale / n * (n * dhat - dhat.sum() - hat * (dhat * hat).sum())
    return {"x": dx, "gamma": dgamma}


def fixed(x, gamma, dy):
    n = x.size
    scale = 1 / np.sqrt(x.var() + 1e-3)
    hat = (x - x.mean()) * scale
    dgamma = (dy * hat).sum()
    dhat = dy * gamma
    dx = scale / n * (n * dhat - dhat.sum() - hat * (dhat * hat).sum())
    return {"x": dx, "gamma": dgamma}
