"""Gradients of models in index notation, as textbooks have them, each with three slips that people make.

A row is: a name, the exact derivative (ours), the formula by hand, three wrong formulas, and the facts it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp
from support.index_calculus import differentiate as d
from support.index_calculus import inverse, matmul, sigmoid, trace

from symgrad.indices.terms import (
    EXP,
    RELU,
    STEP,
    Array,
    Fact,
    IndexSum,
    Inverse,
    LogDet,
    SumsTo,
    Symmetric,
    fresh,
    tensor,
)

m, n, q, h, c, dim = sp.symbols("m n q h c d", integer=True, positive=True)
i, j, k, l, p, r, s, t, K, N = sp.symbols("i j k l p r s t K N", integer=True)  # noqa: E741
lam, eps = sp.symbols("lambda epsilon", positive=True)
delta = sp.KroneckerDelta
ROWS_OF_Y = SumsTo("Y", 1, 1, 2)


@dataclass(frozen=True)
class Case:
    name: str
    exact: Any
    hand: Any
    wrong: tuple[Any, Any, Any]
    facts: tuple[Fact, ...] = ()

    def __str__(self) -> str:
        return self.name


def S(body: Any, *ranges: tuple[Any, Any]) -> Any:
    """The sum of a body over (index, size) pairs."""
    for index, size in ranges:
        body = IndexSum(body, index, size)
    return body


def quadratic_forms() -> Iterator[Case]:
    A, x = tensor("A", n, n), tensor("x", n)
    f = S(x[i] * A[i, j] * x[j], (i, n), (j, n))
    Ax, Atx = S(A[K, j] * x[j], (j, n)), S(A[j, K] * x[j], (j, n))
    yield Case("x'Ax in x", d(f, x[K]), Ax + Atx, (2 * Ax, 2 * Atx, Ax - Atx))
    yield Case("x'Ax in x, A symmetric", d(f, x[K]), 2 * Ax, (Ax, Ax + x[K], 2 * Ax * x[K]), (Symmetric("A"),))
    yield Case("x'Ax in A", d(f, A[K, N]), x[K] * x[N], (x[K] ** 2, 2 * x[K] * x[N], x[K] + x[N]))
    yield Case("x'Ax, twice", d(d(f, x[K]), x[N]), A[K, N] + A[N, K], (2 * A[K, N], A[K, N], A[K, N] - A[N, K]))


def least_squares() -> Iterator[Case]:
    A, x, b = tensor("A", m, n), tensor("x", n), tensor("b", m)
    res = lambda a: S(A[a, j] * x[j], (j, n)) - b[a]  # noqa: E731
    square = S(res(i) ** 2, (i, m))
    AtR = S(A[i, K] * res(i), (i, m))
    yield Case("|Ax-b|^2", d(square, x[K]), 2 * AtR, (AtR, -2 * AtR, 2 * S(A[i, K] * (res(i) + 2 * b[i]), (i, m))))
    ridge = square + lam * S(x[j] ** 2, (j, n))
    hand = 2 * AtR + 2 * lam * x[K]
    yield Case("ridge", d(ridge, x[K]), hand, (2 * AtR + lam * x[K], AtR + lam * x[K], 2 * AtR - 2 * lam * x[K]))
    norm = sp.sqrt(square)
    yield Case("|Ax-b|", d(norm, x[K]), AtR / norm, (2 * AtR / norm, AtR / norm**2, AtR * norm))
    yield Case("|Ax-b|^2 in A", d(square, A[K, N]), 2 * res(K) * x[N], (res(K) * x[N], 2 * res(K), 2 * b[K] * x[N]))


def matrices() -> Iterator[Case]:
    A, B, X = tensor("A", m, n), tensor("B", m, m), tensor("X", n, m)
    f = S(A[i, j] * X[j, k] * B[k, i], (i, m), (j, n), (k, m))
    hand = S(B[N, i] * A[i, K], (i, m))
    yield Case("tr(AXB)", d(f, X[K, N]), hand, (S(B[i, N] * A[i, K], (i, m)), hand * X[K, N], 2 * hand))
    X, A = tensor("X", n, n), tensor("A", n, n)
    inv = lambda a, b: Inverse(X[i, j], i, j, n, a, b)  # noqa: E731
    logdet = LogDet(X[i, j], i, j, n)
    yield Case("logdet X", d(logdet, X[K, N]), inv(N, K), (inv(K, N), -inv(N, K), inv(N, K) * logdet))
    wrong = (inv(s, K) * inv(N, t), -inv(s, N) * inv(K, t), -inv(s, K) * inv(t, N))
    yield Case("X^-1", d(inv(s, t), X[K, N]), -inv(s, K) * inv(N, t), wrong)
    f = trace(matmul(inverse(Array(X[i, j], (i, j), (n, n))), Array(A[i, j], (i, j), (n, n))))
    hand = -S(inv(N, i) * A[i, j] * inv(j, K), (i, n), (j, n))
    turned = -S(inv(K, i) * A[i, j] * inv(j, N), (i, n), (j, n))
    yield Case("tr(X^-1 A)", d(f, X[K, N]), hand, (turned, -hand, -S(inv(N, i) * A[i, K], (i, n))))


def softmaxes() -> Iterator[Case]:
    x, y = tensor("x", n), tensor("y", n)
    sm = lambda a: EXP(x[a]) / S(EXP(x[j]), (j, n))  # noqa: E731
    hand = sm(i) * (delta(i, K) - sm(K))
    yield Case("softmax", d(sm(i), x[K]), hand, (sm(i) * (1 - sm(K)), sm(i) * delta(i, K), -hand))
    loss = -S(y[i] * sp.log(sm(i)), (i, n))
    ones = (SumsTo("y"),)
    yield Case("cross-entropy", d(loss, x[K]), sm(K) - y[K], (y[K] - sm(K), sm(K), (sm(K) - y[K]) * sm(K)), ones)
    whole = sm(K) * S(y[i], (i, n)) - y[K]
    yield Case("cross-entropy, any y", d(loss, x[K]), whole, (sm(K) - y[K], n * sm(K) - y[K], -whole))
    hand = sm(K) * (delta(N, K) - sm(N))
    wrong = (sm(K) * (1 - sm(N)), sm(K) * delta(N, K), hand - y[K] * delta(N, K))
    yield Case("cross-entropy, Hessian", d(d(loss, x[K]), x[N]), hand, wrong, ones)


def linear_classifier() -> Iterator[Case]:
    X, W, g, Y = tensor("X", q, dim), tensor("W", dim, c), tensor("g", c), tensor("Y", q, c)
    z = lambda a, b: S(X[a, s] * W[s, b], (s, dim)) + g[b]  # noqa: E731
    sm = lambda a, b: EXP(z(a, b)) / S(EXP(z(a, p)), (p, c))  # noqa: E731
    loss = -S(Y[i, j] * sp.log(sm(i, j)), (j, c), (i, q)) / q
    err = lambda a, b: sm(a, b) - Y[a, b]  # noqa: E731
    facts = (ROWS_OF_Y,)
    hand = S(X[i, K] * err(i, N), (i, q)) / q
    yield Case("classifier in W", d(loss, W[K, N]), hand, (hand * q, -hand, S(X[i, K] * sm(i, N), (i, q)) / q), facts)
    hand = S(err(i, N), (i, q)) / q
    yield Case("classifier in g", d(loss, g[N]), hand, (q * hand, S(err(i, N), (i, q)), err(0, N)), facts)
    hand = S(W[K, j] * err(i, j), (j, c)) / q
    wrong = (hand * q, S(W[K, j] * err(i, j) * sm(i, j), (j, c)) / q, -hand)
    yield Case("classifier in X", d(loss, X[i, K]), hand, wrong, facts)


def networks() -> Iterator[Case]:
    """A layer of tanh or relu with biases, under the mean square error and under cross-entropy."""
    X, Y = tensor("X", q, dim), tensor("Y", q, c)
    W, a, V, b = tensor("W", dim, h), tensor("a", h), tensor("V", h, c), tensor("b", c)
    z = lambda u, v: S(X[u, s] * W[s, v], (s, dim)) + a[v]  # noqa: E731
    out = lambda f, u, v: S(f(z(u, t)) * V[t, v], (t, h)) + b[v]  # noqa: E731
    soft = lambda u, v: EXP(out(sp.tanh, u, v)) / S(EXP(out(sp.tanh, u, p)), (p, c))  # noqa: E731
    slope_of = {sp.tanh: lambda u, v: 1 - sp.tanh(z(u, v)) ** 2, RELU: lambda u, v: STEP(z(u, v))}
    mse = lambda f: S((out(f, i, j) - Y[i, j]) ** 2, (j, c), (i, q)) / (q * c)  # noqa: E731
    losses = {
        "mse": (sp.tanh, mse(sp.tanh), lambda u, v: 2 * (out(sp.tanh, u, v) - Y[u, v]) / (q * c), ()),
        "relu": (RELU, mse(RELU), lambda u, v: 2 * (out(RELU, u, v) - Y[u, v]) / (q * c), ()),
        "ce": (sp.tanh, -S(Y[i, j] * sp.log(soft(i, j)), (j, c), (i, q)) / q,
               lambda u, v: (soft(u, v) - Y[u, v]) / q, (ROWS_OF_Y,)),
    }  # fmt: skip
    for name, (f, loss, e, facts) in losses.items():
        slope = slope_of[f]
        back = lambda u, v, e=e: S(e(u, l) * V[v, l], (l, c))  # noqa: E731
        dz = lambda u, v, back=back, slope=slope: back(u, v) * slope(u, v)  # noqa: E731
        act = lambda u, v, f=f: f(z(u, v))  # noqa: E731
        hand = S(act(i, K) * e(i, N), (i, q))
        wrong = (S(z(i, K) * e(i, N), (i, q)), 2 * hand, S(act(i, K), (i, q)) * S(e(i, N), (i, q)))
        yield Case(f"{name} network in V", d(loss, V[K, N]), hand, wrong, facts)
        hand = S(e(i, N), (i, q))
        yield Case(f"{name} network in b", d(loss, b[N]), hand, (q * hand, hand / 2, hand * b[N]), facts)
        hand = S(X[i, K] * dz(i, N), (i, q))
        wrong = (S(X[i, K] * back(i, N), (i, q)), -hand, S(X[i, K] * back(i, N) * act(i, N), (i, q)))
        yield Case(f"{name} network in W", d(loss, W[K, N]), hand, wrong, facts)
        hand = S(dz(i, N), (i, q))
        yield Case(f"{name} network in a", d(loss, a[N]), hand, (S(back(i, N), (i, q)), q * hand, hand / h), facts)
        hand = S(dz(K, t) * W[N, t], (t, h))
        wrong = (S(back(K, t) * W[N, t], (t, h)), hand / q, S(dz(K, t), (t, h)))
        yield Case(f"{name} network in X", d(loss, X[K, N]), hand, wrong, facts)


def normalisations() -> Iterator[Case]:
    X, G, gamma, beta = tensor("X", q, h), tensor("G", q, h), tensor("gamma", h), tensor("beta", h)

    def layer(center: bool) -> Iterator[Case]:
        mu = (lambda a: S(X[a, s], (s, h)) / h) if center else (lambda a: sp.S.Zero)
        sd = lambda a: sp.sqrt(S((X[a, t] - mu(a)) ** 2, (t, h)) / h + eps)  # noqa: E731
        hat = lambda a, b: (X[a, b] - mu(a)) / sd(a)  # noqa: E731
        up = lambda a, b: G[a, b] * gamma[b]  # noqa: E731
        loss = S(G[i, j] * (gamma[j] * hat(i, j) + beta[j]), (j, h), (i, q))
        name = "layer norm" if center else "RMS norm"
        mean = lambda e: S(e, (j, h)) / h  # noqa: E731
        hand = up(K, N) - hat(K, N) * mean(up(K, j) * hat(K, j))
        if center:
            hand = hand - mean(up(K, j))
        no_mean = up(K, N) - hat(K, N) * mean(up(K, j) * hat(K, j)) * (1 if center else 2)
        wrong = (up(K, N) / sd(K), no_mean / sd(K), hand * sd(K))
        yield Case(f"{name} in X", d(loss, X[K, N]), hand / sd(K), wrong)
        hand = S(G[i, N] * hat(i, N), (i, q))
        yield Case(f"{name} in gamma", d(loss, gamma[N]), hand, (S(G[i, N] * X[i, N], (i, q)), hand / q, -hand))
        hand = S(G[i, N], (i, q))
        yield Case(f"{name} in beta", d(loss, beta[N]), hand, (hand / q, hand * gamma[N], S(G[0, j], (j, h))))

    yield from layer(True)
    yield from layer(False)
    mu = lambda b: S(X[s, b], (s, q)) / q  # noqa: E731
    sd = lambda b: sp.sqrt(S((X[t, b] - mu(b)) ** 2, (t, q)) / q + eps)  # noqa: E731
    hat = lambda a, b: (X[a, b] - mu(b)) / sd(b)  # noqa: E731
    loss = S(G[i, j] * (gamma[j] * hat(i, j) + beta[j]), (j, h), (i, q))
    total, along = S(G[i, N], (i, q)), S(G[i, N] * hat(i, N), (i, q))
    hand = gamma[N] / (q * sd(N)) * (q * G[K, N] - total - hat(K, N) * along)
    wrong = (gamma[N] / sd(N) * G[K, N], gamma[N] / (q * sd(N)) * (q * G[K, N] - hat(K, N) * along), hand / gamma[N])
    yield Case("batch norm in X", d(loss, X[K, N]), hand, wrong)
    yield Case("batch norm in gamma", d(loss, gamma[N]), along, (S(G[i, N] * X[i, N], (i, q)), along / q, total))
    yield Case("batch norm in beta", d(loss, beta[N]), total, (total / q, along, total * beta[N]))


def attention() -> Iterator[Case]:
    Q, K_, V, G = tensor("Q", n, dim), tensor("K", n, dim), tensor("V", n, dim), tensor("G", n, dim)
    score = lambda a, b: S(Q[a, s] * K_[b, s], (s, dim)) / sp.sqrt(dim)  # noqa: E731
    att = lambda a, b: EXP(score(a, b)) / S(EXP(score(a, p)), (p, n))  # noqa: E731
    loss = S(G[i, k] * S(att(i, j) * V[j, k], (j, n)), (k, dim), (i, n))
    dA = lambda a, b: S(G[a, l] * V[b, l], (l, dim))  # noqa: E731
    dS = lambda a, b: att(a, b) * (dA(a, b) - S(att(a, t) * dA(a, t), (t, n)))  # noqa: E731
    hand = S(att(i, K) * G[i, N], (i, n))
    yield Case("attention in V", d(loss, V[K, N]), hand, (S(att(K, i) * G[i, N], (i, n)), 2 * hand, -hand))
    hand = S(dS(K, j) * K_[j, N], (j, n)) / sp.sqrt(dim)
    wrong = (hand * sp.sqrt(dim), S(att(K, j) * dA(K, j) * K_[j, N], (j, n)) / sp.sqrt(dim), hand / sp.sqrt(dim))
    yield Case("attention in Q", d(loss, Q[K, N]), hand, wrong)
    hand = S(dS(i, K) * Q[i, N], (i, n)) / sp.sqrt(dim)
    wrong = (hand * sp.sqrt(dim), S(dS(K, i) * Q[i, N], (i, n)) / sp.sqrt(dim), -hand)
    yield Case("attention in K", d(loss, K_[K, N]), hand, wrong)


def likelihoods() -> Iterator[Case]:
    M, mu, Z = tensor("M", n, n), tensor("mu", n), tensor("Z", q, n)
    inv = lambda a, b: Inverse(M[i, j], i, j, n, a, b)  # noqa: E731
    off = lambda a, b: Z[a, b] - mu[b]  # noqa: E731
    square = S(off(k, s) * inv(s, t) * off(k, t), (s, n), (t, n), (k, q))
    loglik = -q * LogDet(M[i, j], i, j, n) / 2 - square / 2 - q * n * sp.log(2 * sp.pi) / 2
    facts = (Symmetric("M"),)
    hand = S(inv(K, s) * off(k, s), (s, n), (k, q))
    yield Case("Gaussian in the mean", d(loglik, mu[K]), hand, (-hand, 2 * hand, S(off(k, K), (k, q))), facts)
    outer = S(inv(K, s) * off(k, s) * off(k, t) * inv(t, N), (s, n), (t, n), (k, q))
    hand = -q * inv(K, N) / 2 + outer / 2
    wrong = (-inv(K, N) / 2 + outer / 2, q * inv(K, N) / 2 - outer / 2, -q * inv(K, N) + outer)
    yield Case("Gaussian in the covariance", d(loglik, M[K, N]), hand, wrong, facts)
    X, w, y = tensor("X", q, dim), tensor("w", dim), tensor("y", q)
    sig = lambda a: sigmoid(S(X[a, s] * w[s], (s, dim)))  # noqa: E731
    loss = -S(y[i] * sp.log(sig(i)) + (1 - y[i]) * sp.log(1 - sig(i)), (i, q))
    hand = S((sig(i) - y[i]) * X[i, K], (i, q))
    wrong = (-hand, S((sig(i) - y[i]) * sig(i) * (1 - sig(i)) * X[i, K], (i, q)), hand / q)
    yield Case("logistic regression", d(loss, w[K]), hand, wrong)
    hand = S(sig(i) * (1 - sig(i)) * X[i, K] * X[i, N], (i, q))
    wrong = (-hand, S(sig(i) * X[i, K] * X[i, N], (i, q)), S(sig(i) ** 2 * X[i, K] * X[i, N], (i, q)))
    yield Case("logistic regression, Hessian", d(d(loss, w[K]), w[N]), hand, wrong)


def recurrence() -> Iterator[Case]:
    """Three steps of a tanh recurrence over any width, and the pass backwards by hand."""
    W, R, v, x = tensor("W", h, dim), tensor("R", h, h), tensor("v", h), tensor("x", 3, dim)

    def state(time: int, a: Any, f: Any = sp.tanh) -> Any:
        e, u = fresh("e"), fresh("r")
        before = S(R[a, u] * state(time - 1, u), (u, h)) if time else 0
        return f(S(W[a, e] * x[time, e], (e, dim)) + before)

    def back(time: int, a: Any, slope: Any = lambda time, a: 1 - state(time, a) ** 2) -> Any:
        u = fresh("r")
        above = v[a] if time == 2 else S(R[u, a] * back(time + 1, u, slope), (u, h))
        return above * slope(time, a)

    raw = lambda time, a: 1 - state(time, a, lambda z: z) ** 2  # noqa: E731
    loss = S(v[k] * state(2, k), (k, h))
    yield Case("RNN in v", d(loss, v[K]), state(2, K), (state(1, K), -state(2, K), state(2, K, lambda z: z)))
    hand = sum(back(time, K) * x[time, N] for time in range(3))
    one = back(2, K) * x[2, N]
    wrong = (one, one + back(1, K) * x[1, N], sum(back(time, K, raw) * x[time, N] for time in range(3)))
    yield Case("RNN in W", d(loss, W[K, N]), hand, wrong)
    hand = back(2, K) * state(1, N) + back(1, K) * state(0, N)
    wrong = (back(2, K) * state(1, N), back(2, K) * state(2, N) + back(1, K) * state(1, N), 2 * hand)
    yield Case("RNN in R", d(loss, R[K, N]), hand, wrong)


def long_short_term_memory() -> Iterator[Case]:
    """The last step's forget bias of an LSTM after two steps: gates inside gates."""
    x, v = tensor("x", 2, dim), tensor("v", h)
    weights = {g: (tensor(f"W{g}", h, dim), tensor(f"R{g}", h, h), tensor(f"b{g}", h)) for g in "ifgo"}

    def gate(g: str, time: int, a: Any) -> Any:
        W, R, b = weights[g]
        e, u = fresh("e"), fresh("r")
        before = S(R[a, u] * state(time - 1, u), (u, h)) if time else 0
        return (sp.tanh if g == "g" else sigmoid)(S(W[a, e] * x[time, e], (e, dim)) + before + b[a])

    def cell(time: int, a: Any) -> Any:
        kept = gate("f", time, a) * cell(time - 1, a) if time else 0
        return kept + gate("i", time, a) * gate("g", time, a)

    def state(time: int, a: Any) -> Any:
        return gate("o", time, a) * sp.tanh(cell(time, a))

    forget = gate("f", 1, K)
    up = v[K] * gate("o", 1, K) * (1 - sp.tanh(cell(1, K)) ** 2) * cell(0, K)
    loss = S(v[k] * state(1, k), (k, h))
    wrong = (up * forget, up * (1 - forget), v[K] * gate("o", 1, K) * cell(0, K) * forget * (1 - forget))
    yield Case("LSTM in the forget bias", d(loss, weights["f"][2][K]), up * forget * (1 - forget), wrong)


def sigmoid_net() -> Iterator[Case]:
    U, w, x = tensor("U", m, dim), tensor("w", m), tensor("x", dim)
    z = lambda a: S(U[a, s] * x[s], (s, dim))  # noqa: E731
    f = S(w[k] * sigmoid(z(k)), (k, m)) / sp.sqrt(m)
    E = EXP(-z(K))
    hand = x[N] * w[K] * E / (1 + E) ** 2 / sp.sqrt(m)
    yield Case("sigmoid net in U", d(f, U[K, N]), hand, (hand * (1 + E), hand * sp.sqrt(m), hand / w[K]))
    hand = 1 / (1 + E) / sp.sqrt(m)
    yield Case("sigmoid net in w", d(f, w[K]), hand, (hand * w[K], hand * sp.sqrt(m), E * hand))


CASES = tuple(
    case
    for group in (
        sigmoid_net, quadratic_forms, least_squares, matrices, softmaxes, linear_classifier, networks, normalisations,
        attention, likelihoods, recurrence, long_short_term_memory,
    )
    for case in group()
)  # fmt: skip
