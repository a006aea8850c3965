"""A focal weight (1 - p)^2 depends on p too; the derivative treats it as a constant."""

from math import exp, log

import torch

wrt = ("x",)
at = {"x": 0.5}
wrong = {"x"}
faulty = ("dx",)


def model(x):
    p = torch.sigmoid(x)
    return -((1 - p) ** 2) * torch.log(p)


def hand(x):
    p = 1 / (1 + exp(-x))
    weight = (1 - p) ** 2
    dlog = 1 - p
    dx = -weight * dlog
    return {"x": dx}


def fixed(x):
    p = 1 / (1 + exp(-x))
    weight = (1 - p) ** 2
    dlog = 1 - p
    dx = -weight * dlog + 2 * (1 - p) * p * (1 - p) * log(p)
    return {"x": dx}
