"""Binary cross-entropy of a probability beyond its clip: the code is flat there, the textbook formula is not."""

import torch

wrt = ("p",)
at = {"p": 0.995, "label": 0.0, "eps": 0.01}
wrong = {"p"}
faulty = ("dp",)


def model(p, label, eps):
    q = torch.minimum(torch.maximum(p, eps), 1 - eps)
    return -label * torch.log(q) - (1 - label) * torch.log(1 - q)


def hand(p, label, eps):
    q = torch.minimum(torch.maximum(p, eps), 1 - eps)
    dq = (q - label) / (q * (1 - q))
    dp = dq
    return {"p": dp}


def fixed(p, label, eps):
    q = torch.minimum(torch.maximum(p, eps), 1 - eps)
    dq = (q - label) / (q * (1 - q))
    dp = dq * ((p > eps) & (p < 1 - eps))
    return {"p": dp}
