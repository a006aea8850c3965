"""A hinge exactly at its corner: one convention says 0, the other 1, and both are slopes of one side."""

import torch

wrt = ("score",)
at = {"score": [1.0, 0.5, -2.0], "label": [1.0, 1.0, -1.0]}
wrong = set()
kink = True


def model(score, label):
    return torch.relu(1 - label * score).sum()


def hand(score, label):
    inside = (1 - label * score >= 0).to(score.dtype)
    dscore = -label * inside
    return {"score": dscore}


fixed = hand
