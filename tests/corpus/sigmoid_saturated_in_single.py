"""A detector far in saturation: s (1 - s) is right, and is zero in single precision, where the truth is 3e-9."""

import torch

wrt = ("gain",)
at = {"gain": 1.75, "signal": 11.0}
dtype = "float32"
wrong = set()
unstable = True
faulty = ("slope",)


def model(gain, signal):
    return torch.sigmoid(gain * signal)


def hand(gain, signal):
    s = torch.sigmoid(gain * signal)
    slope = s * (1 - s)
    dgain = slope * signal
    return {"gain": dgain}


def fixed(gain, signal):
    z = gain * signal
    slope = torch.sigmoid(z) * torch.sigmoid(-z)
    dgain = slope * signal
    return {"gain": dgain}
