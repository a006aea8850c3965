"""A correlation stands in two cells of the covariance; the gradient takes the cell above the diagonal only."""

import torch

wrt = ("a", "c")
at = {"a": 2.0, "c": 0.5, "x": [1.0, -0.75]}
wrong = {"c"}
faulty = ("dc",)


def model(a, c, x):
    one = torch.ones_like(a)
    covariance = torch.stack([torch.stack([a, c]), torch.stack([c, one])])
    return x @ torch.linalg.solve(covariance, x) + torch.logdet(covariance)


def hand(a, c, x):
    one = torch.ones_like(a)
    covariance = torch.stack([torch.stack([a, c]), torch.stack([c, one])])
    precision = torch.linalg.inv(covariance)
    v = precision @ x
    inner = precision - torch.outer(v, v)
    da = inner[0, 0]
    dc = inner[0, 1]
    return {"a": da, "c": dc}


def fixed(a, c, x):
    one = torch.ones_like(a)
    covariance = torch.stack([torch.stack([a, c]), torch.stack([c, one])])
    precision = torch.linalg.inv(covariance)
    v = precision @ x
    inner = precision - torch.outer(v, v)
    da = inner[0, 0]
    dc = inner[0, 1] + inner[1, 0]
    return {"a": da, "c": dc}
