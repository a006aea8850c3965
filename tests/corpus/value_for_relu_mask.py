"""The value before relu stands where its mask belongs."""

import torch

wrt = ("w",)
at = {"w": [[0.5, -0.3], [0.2, 0.9], [-0.4, 0.6]], "x": [[1.0, 0.5, -0.5], [0.3, -1.2, 0.8]]}
wrong = {"w"}
faulty = ("dz",)


def model(w, x):
    return (torch.relu(x @ w) ** 2).mean()


def hand(w, x):
    z = x @ w
    a = torch.relu(z)
    da = 2 * a / a.numel()
    dz = da * z
    return {"w": x.T @ dz}


def fixed(w, x):
    z = x @ w
    a = torch.relu(z)
    da = 2 * a / a.numel()
    dz = da * (z > 0)
    return {"w": x.T @ dz}
