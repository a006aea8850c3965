"""Overlapping max-pooling: a position that wins two windows gets the second gradient in place of the sum."""

import torch

wrt = ("x",)
at = {"x": [0.5, 3.0, 1.0, 2.0, -1.0], "upstream": [1.0, 2.0, -0.5]}
wrong = {"x"}
faulty = ("dx",)


def model(x, upstream):
    pooled = torch.nn.functional.max_pool1d(x[None, None], 3, stride=1)[0, 0]
    return (pooled * upstream).sum()


def hand(x, upstream):
    dx = torch.zeros_like(x)
    for k in range(3):
        winner = k + int(torch.argmax(x[k : k + 3]))
        dx[winner] = upstream[k]
    return {"x": dx}


def fixed(x, upstream):
    dx = torch.zeros_like(x)
    for k in range(3):
        winner = k + int(torch.argmax(x[k : k + 3]))
        dx[winner] += upstream[k]
    return {"x": dx}
