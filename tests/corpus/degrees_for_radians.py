"""The height of a projectile at an angle in degrees; the derivative forgets pi / 180."""

import numpy as np
import torch

wrt = ("angle",)
at = {"angle": 35.0, "v": 12.0}
wrong = {"angle"}
faulty = ("dangle",)


def model(angle, v):
    return (v * torch.sin(torch.deg2rad(angle))) ** 2 / 19.62


def hand(angle, v):
    a = np.deg2rad(angle)
    dangle = 2 * v**2 * np.sin(a) * np.cos(a) / 19.62
    return {"angle": dangle}


def fixed(angle, v):
    a = np.deg2rad(angle)
    dangle = 2 * v**2 * np.sin(a) * np.cos(a) / 19.62 * np.pi / 180
    return {"angle": dangle}
