"""Scalar Kalman filter log-likelihood for log q: sensitivity recursion with a constant gain."""

import torch

wrt = ("q",)
at = {"q": 0.3, "r": 0.5, "a": 0.9, "obs": [0.4, 1.1, -0.2, 0.7]}
wrong = {"q"}
faulty = ("dm",)


def model(q, r, a, obs):
    m, P, ll = 0.0, 1.0, 0.0
    for t in range(4):
        mp = a * m
        Pp = a * a * P + q
        S = Pp + r
        v = obs[t] - mp
        ll = ll - 0.5 * (torch.log(S) + v * v / S)
        K = Pp / S
        m = mp + K * v
        P = (1 - K) * Pp
    return ll


def hand(q, r, a, obs):
    m, P = 0.0, 1.0
    dm, dP = 0.0, 0.0
    dll = 0.0
    for y in obs:
        mp = a * m
        Pp = a * a * P + q
        dmp = a * dm
        dPp = a * a * dP + 1
        S = Pp + r
        dS = dPp
        v = y - mp
        dv = -dmp
        dll += -0.5 * (dS / S + 2 * v * dv / S - v * v * dS / S**2)
        K = Pp / S
        dK = (dPp * S - Pp * dS) / S**2
        m = mp + K * v
        dm = dmp + K * dv
        P = (1 - K) * Pp
        dP = -dK * Pp + (1 - K) * dPp
    return {"q": dll}


def fixed(q, r, a, obs):
    m, P = 0.0, 1.0
    dm, dP = 0.0, 0.0
    dll = 0.0
    for y in obs:
        mp = a * m
        Pp = a * a * P + q
        dmp = a * dm
        dPp = a * a * dP + 1
        S = Pp + r
        dS = dPp
        v = y - mp
        dv = -dmp
        dll += -0.5 * (dS / S + 2 * v * dv / S - v * v * dS / S**2)
        K = Pp / S
        dK = (dPp * S - Pp * dS) / S**2
        m = mp + K * v
        dm = dmp + dK * v + K * dv
        P = (1 - K) * Pp
        dP = -dK * Pp + (1 - K) * dPp
    return {"q": dll}
