"""Log-likelihood of a mixture of Gaussians: responsibilities without the mixing weights."""

import math

import numpy as np
import torch

wrt = ("mu", "log_pi")
at = {"mu": [-1.0, 0.5, 2.0], "log_pi": [-1.2, -0.9, -1.3], "x": [0.3, -0.8, 1.9, 2.4], "s": [0.8, 1.1, 0.6]}
wrong = {"log_pi", "mu"}
faulty = ("resp",)
also = (("N",),)  # with the weights in it, N makes the lines after it right as they stand


def model(mu, log_pi, x, s):
    logN = -0.5 * ((x[:, None] - mu) / s) ** 2 - torch.log(s) - 0.5 * math.log(2 * math.pi)
    return torch.logsumexp(log_pi + logN, dim=1).sum()


def hand(mu, log_pi, x, s):
    pi = np.exp(log_pi)
    N = np.exp(-0.5 * ((x[:, None] - mu) / s) ** 2) / (s * np.sqrt(2 * np.pi))
    pi * N
    resp = N / N.sum(axis=1, keepdims=True)
    grad_mu = (resp * (x[:, None] - mu) / s**2).sum(axis=0)
    grad_log_pi = resp.sum(axis=0)
    return {"mu": grad_mu, "log_pi": grad_log_pi}


def fixed(mu, log_pi, x, s):
    pi = np.exp(log_pi)
    N = np.exp(-0.5 * ((x[:, None] - mu) / s) ** 2) / (s * np.sqrt(2 * np.pi))
    weighted = pi * N
    resp = weighted / weighted.sum(axis=1, keepdims=True)
    grad_mu = (resp * (x[:, None] - mu) / s**2).sum(axis=0)
    grad_log_pi = resp.sum(axis=0)
    return {"mu": grad_mu, "log_pi": grad_log_pi}
