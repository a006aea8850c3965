"""Registration by a 2-d rotation: derivative of the rotation matrix."""

import numpy as np
import torch

wrt = ("theta", "t")
at = {
    "theta": 0.6,
    "t": [0.3, -0.2],
    "P": [[1.76, 0.4], [0.98, 2.24], [1.87, -0.98], [0.95, -0.15]],
    "Q": [[-0.1, 0.41], [0.14, 1.45], [0.76, 0.12], [0.44, 0.33]],
}
wrong = {"theta"}
faulty = ("dR",)


def model(theta, t, P, Q):
    c, s = torch.cos(theta), torch.sin(theta)
    R = torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
    return ((P @ R.T + t - Q) ** 2).sum()


def hand(theta, t, P, Q):
    c, s = np.cos(theta), np.sin(theta)
    R = np.array([[c, -s], [s, c]])
    dR = np.array([[-s, -c], [c, s]])
    e = P @ R.T + t - Q
    d_theta = 2 * (e * (P @ dR.T)).sum()
    d_t = 2 * e.sum(0)
    return {"theta": d_theta, "t": d_t}


def fixed(theta, t, P, Q):
    c, s = np.cos(theta), np.sin(theta)
    R = np.array([[c, -s], [s, c]])
    dR = np.array([[-s, -c], [c, -s]])
    e = P @ R.T + t - Q
    d_theta = 2 * (e * (P @ dR.T)).sum()
    d_t = 2 * e.sum(0)
    return {"theta": d_theta, "t": d_t}
