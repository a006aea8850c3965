"""The Hessian of a logistic fit: in the quotient rule the squared term of the numerator is kept, though it cancels."""

import torch

wrt = ("beta",)
order = 2
at = {"beta": [0.5, -0.25], "X": [[1.0, 2.0], [1.0, -1.0], [1.0, 0.5]]}
wrong = {"beta"}
faulty = ("curvature",)


def model(beta, X):
    return torch.log(1 + torch.exp(X @ beta)).sum()


def hand(beta, X):
    e = torch.exp(X @ beta)
    curvature = (e * (1 + e) + e * e) / (1 + e) ** 2
    H = X.T @ torch.diag(curvature) @ X
    return {"beta": H}


def fixed(beta, X):
    e = torch.exp(X @ beta)
    curvature = (e * (1 + e) - e * e) / (1 + e) ** 2
    H = X.T @ torch.diag(curvature) @ X
    return {"beta": H}
