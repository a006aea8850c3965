"""Lennard-Jones forces: pair force times r_vec, not times the unit vector."""

import numpy as np
import torch

wrt = ("pos",)
at = {"pos": [[0.0, 0.0, 0.0], [1.1, 0.1, -0.1], [0.2, 1.2, 0.4]], "epsilon": 0.7, "sigma": 1.0}
wrong = {"pos"}
faulty = ("fij",)


def model(pos, epsilon, sigma):
    U = 0.0
    for i in range(3):
        for j in range(i + 1, 3):
            r = torch.sqrt(((pos[i] - pos[j]) ** 2).sum())
            U = U + 4 * epsilon * ((sigma / r) ** 12 - (sigma / r) ** 6)
    return U


def hand(pos, epsilon, sigma):
    n = len(pos)
    grad = np.zeros_like(pos)
    for i in range(n):
        for j in range(i + 1, n):
            rij = pos[i] - pos[j]
            r = np.sqrt((rij**2).sum())
            sr6 = (sigma / r) ** 6
            dUdr = 24 * epsilon * (sr6 - 2 * sr6**2) / r
            fij = dUdr * rij
            grad[i] += fij
            grad[j] -= fij
    return {"pos": grad}


def fixed(pos, epsilon, sigma):
    n = len(pos)
    grad = np.zeros_like(pos)
    for i in range(n):
        for j in range(i + 1, n):
            rij = pos[i] - pos[j]
            r = np.sqrt((rij**2).sum())
            sr6 = (sigma / r) ** 6
            dUdr = 24 * epsilon * (sr6 - 2 * sr6**2) / r
            fij = dUdr * rij / r
            grad[i] += fij
            grad[j] -= fij
    return {"pos": grad}
