"""The normal density with 1/sqrt(2 pi) typed as 0.398942: right to the digits that were typed."""

from math import exp, pi, sqrt

import torch

wrt = ("x",)
at = {"x": 0.7}
wrong = set()
typed = True


def model(x):
    return torch.special.ndtr(x)


def hand(x):
    dx = 0.398942 * exp(-(x**2) / 2)
    return {"x": dx}


def fixed(x):
    dx = exp(-(x**2) / 2) / sqrt(2 * pi)
    return {"x": dx}
