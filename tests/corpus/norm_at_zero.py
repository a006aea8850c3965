"""A bond length at zero: x / |x| is 0/0 at a point where the norm has a kink, and right everywhere else."""

import numpy as np
import torch

wrt = ("x",)
at = {"x": [0.0, 0.0]}
wrong = set()
kink = True


def model(x):
    return torch.sqrt((x * x).sum())


def hand(x):
    length = np.sqrt((x * x).sum())
    dx = x / length
    return {"x": dx}


fixed = hand
