"""Models whose gradients people derive by hand, each with its right gradient and three wrong ones.

`CASES` maps a name to (model, hand, at, keywords of verify, wrong hand formulas).  A size that has a letter may be
anything.
"""

from __future__ import annotations

import numpy as np
import torch

softmax, sigmoid, tanh = torch.softmax, torch.sigmoid, torch.tanh
CASES = {}


def case(at, *, model, hand, wrong, **keywords):
    def enter(name):
        assert len(wrong) == 3
        CASES[name] = (model, hand, at, keywords, wrong)

    return enter


# ------------------------------------------------------------------------------------------------ linear algebra

case(
    {"A": ("n", "n"), "x": ("n",)},
    model=lambda A, x: x @ A @ x,
    hand=lambda A, x: {"x": (A + A.T) @ x, "A": torch.outer(x, x)},
    wrong=[
        lambda A, x: {"x": 2 * A @ x, "A": torch.outer(x, x)},
        lambda A, x: {"x": (A + A.T) @ x, "A": torch.outer(x, x) + torch.diag(x)},
        lambda A, x: {"x": A.T @ x, "A": torch.outer(x, x)},
    ],
)("x'Ax")
case(
    {"A": ("m", "n"), "x": ("n",), "b": ("m",)},
    model=lambda A, x, b: ((A @ x - b) ** 2).sum(),
    hand=lambda A, x, b: {"x": 2 * A.T @ (A @ x - b), "A": 2 * torch.outer(A @ x - b, x), "b": 2 * (b - A @ x)},
    wrong=[
        lambda A, x, b: {"x": A.T @ (A @ x - b)},
        lambda A, x, b: {"A": 2 * torch.outer(A @ x + b, x)},
        lambda A, x, b: {"b": 2 * (A @ x - b)},
    ],
)("|Ax - b|^2")
case(
    {"X": ("n", "d"), "w": ("d",), "y": ("n",), "c": ()},
    model=lambda X, w, y, c: ((X @ w - y) ** 2).mean() + c * (w**2).sum(),
    hand=lambda X, w, y, c: {"w": 2 / len(y) * X.T @ (X @ w - y) + 2 * c * w},
    wrong=[
        lambda X, w, y, c: {"w": 2 / len(w) * X.T @ (X @ w - y) + 2 * c * w},
        lambda X, w, y, c: {"w": 2 / len(y) * X.T @ (X @ w - y) + c * w},
        lambda X, w, y, c: {"w": 2 * X.T @ (X @ w - y) + 2 * c * w},
    ],
)("ridge")
case(
    {"A": ("m", "n"), "X": ("n", "k"), "B": ("k", "m")},
    model=lambda A, X, B: torch.trace(A @ X @ B),
    hand=lambda A, X, B: {"X": A.T @ B.T},
    wrong=[
        lambda A, X, B: {"X": (A.T @ B.T) * 2},
        lambda A, X, B: {"X": A.T @ B.T - X},
        lambda A, X, B: {"X": (B @ A).T * X},
    ],
)("tr(AXB)")
case(
    {"X": ("n", "n")},
    model=lambda X: torch.linalg.slogdet(X)[1],
    hand=lambda X: torch.linalg.inv(X).T,
    wrong=[lambda X: torch.linalg.inv(X), lambda X: -torch.linalg.inv(X).T, lambda X: torch.linalg.inv(X).T / 2],
)("logdet X")
case(
    {"X": ("n", "n")},
    model=lambda X: torch.linalg.inv(X),
    hand=lambda X: -torch.einsum("ij,kl->iljk", torch.linalg.inv(X), torch.linalg.inv(X)),
    wrong=[
        lambda X: torch.einsum("ij,kl->iljk", torch.linalg.inv(X), torch.linalg.inv(X)),
        lambda X: -torch.einsum("ij,kl->ilkj", torch.linalg.inv(X), torch.linalg.inv(X)),
        lambda X: -torch.einsum("ij,kl->lijk", torch.linalg.inv(X), torch.linalg.inv(X)),
    ],
)("X^-1")
case(
    {"X": ("n", "n"), "A": ("n", "n")},
    model=lambda X, A: torch.trace(torch.linalg.inv(X) @ A),
    hand=lambda X, A: {"X": -(torch.linalg.inv(X) @ A @ torch.linalg.inv(X)).T},
    wrong=[
        lambda X, A: {"X": -(torch.linalg.inv(X) @ A @ torch.linalg.inv(X))},
        lambda X, A: {"X": (torch.linalg.inv(X) @ A @ torch.linalg.inv(X)).T},
        lambda X, A: {"X": -(torch.linalg.inv(X) @ A.T @ torch.linalg.inv(X)).T},
    ],
)("tr(X^-1 A)")

# ------------------------------------------------------------------------------------------------ softmax

case(
    {"z": ("n",)},
    model=lambda z: softmax(z, 0),
    hand=lambda z: torch.diag(softmax(z, 0)) - torch.outer(softmax(z, 0), softmax(z, 0)),
    wrong=[
        lambda z: torch.diag(softmax(z, 0)),
        lambda z: torch.diag(softmax(z, 0)) + torch.outer(softmax(z, 0), softmax(z, 0)),
        lambda z: torch.eye(len(z)) - torch.outer(softmax(z, 0), softmax(z, 0)),
    ],
)("softmax")
case(
    {"z": ("n",), "y": ("n",)},
    model=lambda z, y: -(y * torch.log_softmax(z, 0)).sum(),
    hand=lambda z, y: softmax(z, 0) - y,
    wrong=[lambda z, y: y - softmax(z, 0), lambda z, y: softmax(z, 0) * (1 - y), lambda z, y: torch.exp(z) - y],
    wrt="z",
    assuming="sum(y) = 1",
)("cross-entropy")
case(
    {"z": ("n",), "y": ("n",)},
    model=lambda z, y: -(y * torch.log_softmax(z, 0)).sum(),
    hand=lambda z, y: torch.diag(softmax(z, 0)) - torch.outer(softmax(z, 0), softmax(z, 0)),
    wrong=[
        lambda z, y: torch.diag(softmax(z, 0)),
        lambda z, y: torch.diag(y) - torch.outer(softmax(z, 0), softmax(z, 0)),
        lambda z, y: torch.diag(softmax(z, 0)) - torch.outer(softmax(z, 0), y),
    ],
    wrt="z",
    order=2,
    assuming="sum(y) = 1",
)("cross-entropy, Hessian")

# ------------------------------------------------------------------------------------------------ networks


def mlp(X, W1, b1, W2, b2):
    H = tanh(X @ W1 + b1)
    return H, H @ W2 + b2


def backward(X, W1, b1, W2, b2, dO):
    H, _ = mlp(X, W1, b1, W2, b2)
    dZ = (dO @ W2.T) * (1 - H**2)
    return {"W1": X.T @ dZ, "b1": dZ.sum(0), "W2": H.T @ dO, "b2": dO.sum(0), "X": dZ @ W1.T}


MLP = {"X": ("n", "d"), "W1": ("d", "h"), "b1": ("h",), "W2": ("h", "c"), "b2": ("c",), "Y": ("n", "c")}


def mse(X, W1, b1, W2, b2, Y):
    return ((mlp(X, W1, b1, W2, b2)[1] - Y) ** 2).mean()


def mse_by(change, scale=lambda Y: 2 / Y.numel()):
    def hand(X, W1, b1, W2, b2, Y):
        dO = scale(Y) * (mlp(X, W1, b1, W2, b2)[1] - Y)
        return change(backward(X, W1, b1, W2, b2, dO))

    return hand


case(
    MLP,
    model=mse,
    hand=mse_by(lambda g: g),
    wrong=[
        mse_by(lambda g: g, lambda Y: 2 / len(Y)),
        mse_by(lambda g: {**g, "b1": g["b1"] * 2}),
        mse_by(lambda g: {"W2": -g["W2"]}),
    ],
)("MLP, MSE")


def cross_entropy(X, W1, b1, W2, b2, Y):
    return -(Y * torch.log_softmax(mlp(X, W1, b1, W2, b2)[1], 1)).sum() / len(X)


def cross_entropy_by(slope):
    def hand(X, W1, b1, W2, b2, Y):
        return backward(X, W1, b1, W2, b2, slope(mlp(X, W1, b1, W2, b2)[1], Y))

    return hand


case(
    MLP,
    model=cross_entropy,
    hand=cross_entropy_by(lambda Z, Y: (softmax(Z, 1) - Y) / len(Y)),
    wrong=[
        cross_entropy_by(lambda Z, Y: softmax(Z, 1) - Y),
        cross_entropy_by(lambda Z, Y: (softmax(Z, 0) - Y) / len(Y)),
        cross_entropy_by(lambda Z, Y: (Y - softmax(Z, 1)) / len(Y)),
    ],
    assuming="sum(Y, 1) = 1",
)("MLP, cross-entropy")


def relu_mlp(X, W1, b1, W2, b2, Y):
    return ((torch.relu(X @ W1 + b1) @ W2 + b2 - Y) ** 2).mean()


def relu_by(slope):
    def hand(X, W1, b1, W2, b2, Y):
        Z = X @ W1 + b1
        H = torch.relu(Z)
        dO = 2 * (H @ W2 + b2 - Y) / Y.numel()
        dZ = (dO @ W2.T) * slope(Z, H)
        return {"W1": X.T @ dZ, "b1": dZ.sum(0), "W2": H.T @ dO, "b2": dO.sum(0)}

    return hand


case(
    MLP,
    model=relu_mlp,
    hand=relu_by(lambda Z, H: H > 0),
    wrong=[relu_by(lambda Z, H: Z < 0), relu_by(lambda Z, H: H), relu_by(lambda Z, H: torch.ones_like(Z))],
)("MLP, relu")


def normalised(X, eps):
    c = X - X.mean(1, keepdim=True)
    s = torch.sqrt((c**2).mean(1, keepdim=True) + eps)
    return c / s, s


def layer_norm(X, g, b, G, eps):
    return (G * (g * normalised(X, eps)[0] + b)).sum()


def layer_norm_by(change):
    def hand(X, g, b, G, eps):
        N, s = normalised(X, eps)
        return change(G * g, N, s) | {"g": (G * N).sum(0), "b": G.sum(0)}

    return hand


def each(D):
    return D.mean(1, keepdim=True)


NORM = {"X": ("n", "d"), "g": ("d",), "b": ("d",), "G": ("n", "d"), "eps": ()}
case(
    NORM,
    model=layer_norm,
    hand=layer_norm_by(lambda D, N, s: {"X": (D - each(D) - N * each(D * N)) / s}),
    wrong=[
        layer_norm_by(lambda D, N, s: {"X": (D - each(D)) / s}),
        layer_norm_by(lambda D, N, s: {"X": (D - each(D) - N * each(D * N)) / s**2}),
        layer_norm_by(lambda D, N, s: {"X": (D - each(D) - each(D * N)) / s}),
    ],
    domain={"eps": (0, None)},
)("layer norm")


def rms(X, eps):
    return torch.sqrt((X**2).mean(1, keepdim=True) + eps)


case(
    {n: s for n, s in NORM.items() if n != "b"},
    model=lambda X, g, G, eps: (G * g * X / rms(X, eps)).sum(),
    hand=lambda X, g, G, eps: {
        "X": G * g / rms(X, eps) - X * each(G * g * X) / rms(X, eps) ** 3,
        "g": (G * X / rms(X, eps)).sum(0),
    },
    wrong=[
        lambda X, g, G, eps: {"X": G * g / rms(X, eps) - X * each(G * g * X) / rms(X, eps)},
        lambda X, g, G, eps: {"X": G * g / rms(X, eps)},
        lambda X, g, G, eps: {"g": (G * X / rms(X, eps)).sum(1)},
    ],
    domain={"eps": (0, None)},
)("RMS norm")


def batch_normalised(X, eps):
    c = X - X.mean(0)
    s = torch.sqrt((c**2).mean(0) + eps)
    return c / s, s


def batch_norm_by(change):
    def hand(X, g, b, G, eps):
        N, s = batch_normalised(X, eps)
        return change(G, N, s, g) | {"g": (G * N).sum(0), "b": G.sum(0)}

    return hand


case(
    NORM,
    model=lambda X, g, b, G, eps: (G * (g * batch_normalised(X, eps)[0] + b)).sum(),
    hand=batch_norm_by(lambda G, N, s, g: {"X": g / s * (G - G.mean(0) - N * (G * N).mean(0))}),
    wrong=[
        batch_norm_by(lambda G, N, s, g: {"X": g / s * (G - G.mean(0) - N * (G * N).sum(0))}),
        batch_norm_by(lambda G, N, s, g: {"X": g / s * (G - N * (G * N).mean(0))}),
        batch_norm_by(lambda G, N, s, g: {"X": (G - G.mean(0) - N * (G * N).mean(0)) / s}),
    ],
    domain={"eps": (0, None)},
)("batch norm")


def attention(Q, K, V, G):
    return (G * (softmax(Q @ K.T / np.sqrt(Q.shape[1]), 1) @ V)).sum()


def attention_by(change):
    def hand(Q, K, V, G):
        r = np.sqrt(Q.shape[1])
        P = softmax(Q @ K.T / r, 1)
        dP = G @ V.T
        dS = change(P, dP) / r
        return {"Q": dS @ K, "K": dS.T @ Q, "V": P.T @ G}

    return hand


case(
    {"Q": ("n", "d"), "K": ("t", "d"), "V": ("t", "v"), "G": ("n", "v")},
    model=attention,
    hand=attention_by(lambda P, dP: P * (dP - (P * dP).sum(1, keepdim=True))),
    wrong=[
        attention_by(lambda P, dP: P * dP),
        attention_by(lambda P, dP: P * (dP - dP.sum(1, keepdim=True))),
        attention_by(lambda P, dP: P * (dP - (P * dP).sum(0))),
    ],
)("attention")

# ------------------------------------------------------------------------------------------------ statistics


def gaussian(x, mu, S):
    r = x - mu
    return -(r @ torch.linalg.inv(S) @ r) / 2 - torch.linalg.slogdet(S)[1] / 2


def gaussian_by(change):
    def hand(x, mu, S):
        P = torch.linalg.inv(S)
        return change(P, P @ (x - mu))

    return hand


case(
    {"x": ("n",), "mu": ("n",), "S": ("n", "n")},
    model=gaussian,
    hand=gaussian_by(lambda P, v: {"mu": v, "S": (torch.outer(v, v) - P) / 2}),
    wrong=[
        gaussian_by(lambda P, v: {"mu": -v}),
        gaussian_by(lambda P, v: {"S": (torch.outer(v, v) + P) / 2}),
        gaussian_by(lambda P, v: {"S": torch.outer(v, v) - P}),
    ],
    assuming="S = S.T",
)("Gaussian")


def logistic(X, w, y):
    z = X @ w
    return -(y * torch.nn.functional.logsigmoid(z) + (1 - y) * torch.nn.functional.logsigmoid(-z)).sum()


case(
    {"X": ("n", "d"), "w": ("d",), "y": ("n",)},
    model=logistic,
    hand=lambda X, w, y: {"w": X.T @ (sigmoid(X @ w) - y)},
    wrong=[
        lambda X, w, y: {"w": X.T @ (y - sigmoid(X @ w))},
        lambda X, w, y: {"w": X.T @ (sigmoid(X @ w) - y) / len(y)},
        lambda X, w, y: {"w": X.T @ (sigmoid(X @ w) * (1 - sigmoid(X @ w)) - y)},
    ],
)("logistic regression")
case(
    {"X": ("n", "d"), "w": ("d",), "y": ("n",)},
    model=logistic,
    hand=lambda X, w, y: {"w": (X.T * (sigmoid(X @ w) * (1 - sigmoid(X @ w)))) @ X},
    wrong=[
        lambda X, w, y: {"w": X.T @ X},
        lambda X, w, y: {"w": (X.T * sigmoid(X @ w)) @ X},
        lambda X, w, y: {"w": -(X.T * (sigmoid(X @ w) * (1 - sigmoid(X @ w)))) @ X},
    ],
    order=2,
)("logistic regression, Hessian")

# ------------------------------------------------------------------------------------------------ recurrence


def rnn(X, W, R, h0, v):
    h = h0
    for t in range(3):
        h = tanh(W @ X[t] + R @ h)
    return v @ h


def rnn_by(slope, last=0):
    def hand(X, W, R, h0, v):
        states = [h0]
        for t in range(3):
            states.append(tanh(W @ X[t] + R @ states[-1]))
        dh, dW, dR = v, torch.zeros_like(W), torch.zeros_like(R)
        for t in reversed(range(last, 3)):
            dz = dh * slope(states[t + 1])
            dW = dW + torch.outer(dz, X[t])
            dR = dR + torch.outer(dz, states[t])
            dh = R.T @ dz
        return {"W": dW, "R": dR, "h0": dh}

    return hand


case(
    {"X": (3, "d"), "W": ("h", "d"), "R": ("h", "h"), "h0": ("h",), "v": ("h",)},
    model=rnn,
    hand=rnn_by(lambda h: 1 - h**2),
    wrong=[rnn_by(lambda h: 1 - h), rnn_by(lambda h: 1 - tanh(h) ** 2), rnn_by(lambda h: 1 - h**2, 1)],
)("RNN, T = 3")
