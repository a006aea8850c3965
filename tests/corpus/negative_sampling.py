"""Skip-gram with negative samples, derived well: there is nothing to find."""

import numpy as np
import torch

wrt = ("centre", "context", "noise")
at = {"centre": [0.5, -1.0], "context": [1.0, 0.25], "noise": [[-0.5, 2.0], [0.75, 1.0]]}
wrong = set()


def model(centre, context, noise):
    positive = torch.log(torch.sigmoid(centre @ context))
    return -positive - torch.log(torch.sigmoid(-(noise @ centre))).sum()


def hand(centre, context, noise):
    sigmoid = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    pull = sigmoid(centre @ context) - 1
    push = sigmoid(noise @ centre)
    dcentre = pull * context + noise.T @ push
    dcontext = pull * centre
    dnoise = np.outer(push, centre)
    return {"centre": dcentre, "context": dcontext, "noise": dnoise}


fixed = hand
