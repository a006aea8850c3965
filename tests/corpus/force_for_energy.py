"""The screened Coulomb energy: what is called dE_dr is the force, which is minus the derivative."""

from math import exp

import torch

wrt = ("r",)
at = {"r": 1.5, "q": -0.5, "kappa": 0.75}
wrong = {"r"}
faulty = ("dE_dr",)


def model(r, q, kappa):
    return q * torch.exp(-kappa * r) / r


def hand(r, q, kappa):
    energy = q * exp(-kappa * r) / r
    dE_dr = energy * (1 / r + kappa)
    return {"r": dE_dr}


def fixed(r, q, kappa):
    energy = q * exp(-kappa * r) / r
    dE_dr = -energy * (1 / r + kappa)
    return {"r": dE_dr}
