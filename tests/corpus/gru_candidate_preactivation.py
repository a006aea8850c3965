"""A GRU-like cell of one unit: the slope of tanh is taken at the input of tanh, not at its output."""

from math import exp, tanh

import torch

wrt = ("u", "w")
at = {"u": 0.75, "w": -1.5, "h": 0.5, "x": 2.0}
wrong = {"u"}
faulty = ("dc_du",)


def model(u, w, h, x):
    c_in = u * h + x
    c = torch.tanh(c_in)
    z = torch.sigmoid(w * x)
    return z * c + (1 - z) * h


def hand(u, w, h, x):
    c_in = u * h + x
    c = tanh(c_in)
    z = 1 / (1 + exp(-w * x))
    dc_du = (1 - c_in**2) * h
    dout_du = z * dc_du
    dz_dw = z * (1 - z) * x
    dout_dw = (c - h) * dz_dw
    return {"u": dout_du, "w": dout_dw}


def fixed(u, w, h, x):
    c_in = u * h + x
    c = tanh(c_in)
    z = 1 / (1 + exp(-w * x))
    dc_du = (1 - c**2) * h
    dout_du = z * dc_du
    dz_dw = z * (1 - z) * x
    dout_dw = (c - h) * dz_dw
    return {"u": dout_du, "w": dout_dw}
