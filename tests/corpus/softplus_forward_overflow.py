"""log(1 + exp(x)) overflows in single precision at 95; the hand formula is right and stable, autograd gives NaN."""

import torch

wrt = ("x",)
at = {"x": [1.5, -3.0, 95.0]}
dtype = "float32"
wrong = set()
unstable = True


def model(x):
    return torch.log(1 + torch.exp(x)).sum()


def hand(x):
    dx = torch.sigmoid(x)
    return {"x": dx}


fixed = hand
