"""Matrix factorisation with missing ratings: the mask is forgotten in the error, the regulariser lacks its 2."""

import numpy as np

wrt = ("U", "V", "bu")
at = {
    "U": [[1.76, 0.4], [0.98, 2.24], [1.87, -0.98]],
    "V": [[0.95, -0.15], [-0.1, 0.41], [0.14, 1.45], [0.76, 0.12]],
    "bu": [0.1, -0.3, 0.2],
    "R": [[0.44, 0.33, 1.49, -0.21], [0.31, -0.85, -2.55, 0.65], [0.86, -0.74, 2.27, -1.45]],
    "M": [[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]],
    "lam": 0.1,
}
wrong = {"bu", "V", "U"}
faulty = ("err", "dU")


def model(U, V, bu, R, M, lam):
    pred = U @ V.T + bu[:, None]
    return (M * (R - pred) ** 2).sum() + lam * ((U**2).sum() + (V**2).sum())


def hand(U, V, bu, R, M, lam):
    pred = np.dot(U, V.T) + bu.reshape(-1, 1)
    err = R - pred
    dU = -2 * np.dot(err, V) + lam * U
    dV = -2 * np.dot(err.T, U) + 2 * lam * V
    dbu = -2 * err.sum(axis=1)
    return {"U": dU, "V": dV, "bu": dbu}


def fixed(U, V, bu, R, M, lam):
    pred = np.dot(U, V.T) + bu.reshape(-1, 1)
    err = M * (R - pred)
    dU = -2 * np.dot(err, V) + 2 * lam * U
    dV = -2 * np.dot(err.T, U) + 2 * lam * V
    dbu = -2 * err.sum(axis=1)
    return {"U": dU, "V": dV, "bu": dbu}
