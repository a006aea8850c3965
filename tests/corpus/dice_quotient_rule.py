"""Soft dice loss on a probability map: quotient rule slip."""

import numpy as np
import torch

wrt = ("logits",)
at = {
    "logits": [[1.76, 0.4, 0.98], [2.24, 1.87, -0.98], [0.95, -0.15, -0.1]],
    "mask": [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
}
wrong = {"logits"}
faulty = ("ddice_dp",)


def model(logits, mask):
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1)


def hand(logits, mask):
    p = 1 / (1 + np.exp(-logits))
    inter = 2 * np.sum(p * mask) + 1
    union = np.sum(p) + np.sum(mask) + 1
    ddice_dp = 2 * mask / union - inter / union
    dloss_dp = -ddice_dp
    dlogits = dloss_dp * p * (1 - p)
    return {"logits": dlogits}


def fixed(logits, mask):
    p = 1 / (1 + np.exp(-logits))
    inter = 2 * np.sum(p * mask) + 1
    union = np.sum(p) + np.sum(mask) + 1
    ddice_dp = 2 * mask / union - inter / union**2
    dloss_dp = -ddice_dp
    dlogits = dloss_dp * p * (1 - p)
    return {"logits": dlogits}
