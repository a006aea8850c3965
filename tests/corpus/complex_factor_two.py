"""Received power |h . w|^2 of a beamformer: factor two of the convention."""

import torch

wrt = ("w",)
at = {"w": [(0.3 + 0.4j), (-0.5 + 0.1j)], "h": [(1 + 0.5j), (0.2 - 0.7j)]}
wrong = {"w"}
faulty = ("g_w",)


def model(w, h):
    return (h * w).sum().abs() ** 2


def hand(w, h):
    y = (h * w).sum()
    g_w = torch.conj(h) * y
    return {"w": g_w}


def fixed(w, h):
    y = (h * w).sum()
    g_w = 2 * torch.conj(h) * y
    return {"w": g_w}
