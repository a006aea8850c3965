"""The cost is the mean over the classes, the derivative is that of the sum."""

import numpy as np
import torch

wrt = ("scores",)
at = {"scores": [0.25, -1.0, 1.5], "target": [0.0, 1.0, 0.0]}
wrong = {"scores"}
faulty = ("dscores",)


def model(scores, target):
    logp = scores - torch.logsumexp(scores, 0)
    return -(target * logp).mean()


def hand(scores, target):
    p = np.exp(scores) / np.exp(scores).sum()
    dscores = p - target
    return {"scores": dscores}


def fixed(scores, target):
    p = np.exp(scores) / np.exp(scores).sum()
    dscores = (p - target) / scores.size
    return {"scores": dscores}
