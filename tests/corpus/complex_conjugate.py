"""A holomorphic function: torch's gradient is the conjugate of the derivative that one writes by hand."""

import torch

wrt = ("z",)
at = {"z": [0.5 + 1.0j, -1.5 + 0.25j]}
wrong = {"z"}
faulty = ("dz",)


def model(z):
    return torch.exp(z) * z


def hand(z):
    dz = torch.exp(z) * (1 + z)
    return {"z": dz}


def fixed(z):
    dz = torch.conj(torch.exp(z) * (1 + z))
    return {"z": dz}
