"""A recurrent network of two steps that share one weight, and two derivations of its gradient.

The first goes forward by the chain rule, the second backward through the graph.  They agree with each other, and
autograd disagrees with both.  The names are those of the question.
"""

from math import tanh

import torch


def model(w_h, w_y, h0):
    h1_raw = w_h * h0
    h1 = torch.tanh(h1_raw)
    h2_raw = w_h * h1
    h2 = torch.tanh(h2_raw)
    return w_y * h2


def hand_forward(w_h, w_y, h0):
    h1_raw = w_h * h0
    h1 = tanh(h1_raw)
    h2_raw = w_h * h1
    h2 = tanh(h2_raw)

    dh0_dwh = 0  # h0 does not depend on w_h
    dh1raw_dwh = h0 + w_h * dh0_dwh
    dh1_dwh = (1 - h1_raw**2) * dh1raw_dwh
    dh2raw_dwh = h1 + w_h * dh1_dwh
    dh2_dwh = (1 - h2_raw**2) * dh2raw_dwh
    dwy_dwh = 0
    dy2_dwh = h2 * dwy_dwh + w_y * dh2_dwh
    dh2_dwy = 0
    dy2_dwy = h2 + w_y * dh2_dwy
    return {"w_h": dy2_dwh, "w_y": dy2_dwy}


def hand_backward(w_h, w_y, h0):
    h1_raw = w_h * h0
    h1 = tanh(h1_raw)
    h2_raw = w_h * h1
    h2 = tanh(h2_raw)

    dy2 = 1
    dw_y = h2 * dy2
    dh2 = w_y * dy2
    dh2_raw = (1 - h2_raw**2) * dh2
    dh1 = w_h * dh2_raw
    dh1_raw = (1 - h1_raw**2) * dh1
    dw_h = h1 * dh2_raw + h0 * dh1_raw
    return {"w_h": dw_h, "w_y": dw_y}


def hand_right(w_h, w_y, h0):
    """The forward derivation with tanh'(z) = 1 - tanh(z)**2: the square of h1, not of h1_raw."""
    h1 = tanh(w_h * h0)
    h2 = tanh(w_h * h1)

    dh1raw_dwh = h0
    dh1_dwh = (1 - h1**2) * dh1raw_dwh
    dh2raw_dwh = h1 + w_h * dh1_dwh
    dh2_dwh = (1 - h2**2) * dh2raw_dwh
    dy2_dwh = w_y * dh2_dwh
    dy2_dwy = h2
    return {"w_h": dy2_dwh, "w_y": dy2_dwy}


hand = hand_forward
at = {"w_h": 2.0, "w_y": 40.0, "h0": 0.5}
dtype = "float32"
