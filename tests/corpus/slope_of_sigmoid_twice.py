"""A two-layer net with cross-entropy: the sigmoid's slope has cancelled, and is multiplied in all the same."""

import torch

wrt = ("W1", "W2")
at = {"W1": [[0.3, -0.2], [0.5, 0.8], [-0.6, 0.1]], "W2": [[0.7, -0.4, 0.2]], "x": [1.5, -0.5], "y": [1.0]}
wrong = {"W1", "W2"}
faulty = ("dz",)


def model(W1, W2, x, y):
    p = torch.sigmoid(W2 @ torch.relu(W1 @ x))
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).sum()


def hand(W1, W2, x, y):
    z1 = W1 @ x
    a = torch.relu(z1)
    p = torch.sigmoid(W2 @ a)
    dz = (p - y) * p * (1 - p)
    dW2 = torch.outer(dz, a)
    dz1 = (W2.T @ dz) * (z1 > 0)
    dW1 = torch.outer(dz1, x)
    return {"W1": dW1, "W2": dW2}


def fixed(W1, W2, x, y):
    z1 = W1 @ x
    a = torch.relu(z1)
    p = torch.sigmoid(W2 @ a)
    dz = p - y
    dW2 = torch.outer(dz, a)
    dz1 = (W2.T @ dz) * (z1 > 0)
    dW1 = torch.outer(dz1, x)
    return {"W1": dW1, "W2": dW2}
