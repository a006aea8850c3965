"""A kernel whose parameter is the logarithm of its length; the derivative is for the length itself."""

from math import exp

import torch

wrt = ("log_length",)
at = {"log_length": 0.5, "distance": 1.25}
wrong = {"log_length"}
faulty = ("slope",)


def model(log_length, distance):
    return torch.exp(-((distance / torch.exp(log_length)) ** 2) / 2)


def hand(log_length, distance):
    length = exp(log_length)
    k = exp(-((distance / length) ** 2) / 2)
    slope = k * distance**2 / length**3
    return {"log_length": slope}


def fixed(log_length, distance):
    length = exp(log_length)
    k = exp(-((distance / length) ** 2) / 2)
    slope = k * distance**2 / length**2
    return {"log_length": slope}
