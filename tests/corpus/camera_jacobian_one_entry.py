"""Pinhole reprojection error: Jacobian rows of the projection."""

import numpy as np
import torch

wrt = ("P",)
at = {"P": [0.4, -0.3, 2.5], "fx": 1.2, "fy": 1.1, "cx": 0.5, "cy": 0.4}
wrong = {"P"}
faulty = ("J",)


def model(P, fx, fy, cx, cy):
    X, Y, Z = P[0], P[1], P[2]
    return torch.stack([fx * X / Z + cx, fy * Y / Z + cy])


def hand(P, fx, fy, cx, cy):
    X, Y, Z = P
    J = np.zeros((2, 3))
    J[0, 0] = fx / Z
    J[0, 2] = fx * X / Z**2
    J[1, 1] = fy / Z
    J[1, 2] = -fy * Y / Z**2
    return {"P": J}


def fixed(P, fx, fy, cx, cy):
    X, Y, Z = P
    J = np.zeros((2, 3))
    J[0, 0] = fx / Z
    J[0, 2] = -fx * X / Z**2
    J[1, 1] = fy / Z
    J[1, 2] = -fy * Y / Z**2
    return {"P": J}
