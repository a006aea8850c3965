"""Forward sensitivities of a discrete logistic growth, one product-rule term lost."""

wrt = ("r", "K")
at = {"r": 0.6, "K": 5.0, "N0": 1.0, "obs": [1.4, 2.1, 2.9]}
wrong = {"r"}
faulty = ("dN_dr",)


def model(r, K, N0, obs):
    N, J = N0, 0.0
    for t in range(3):
        N = N + r * N * (1 - N / K)
        J = J + (N - obs[t]) ** 2
    return J


def hand(r, K, N0, obs):
    N, dN_dr, dN_dK = N0, 0.0, 0.0
    J_r, J_K = 0.0, 0.0
    for z in obs:
        dN_dr = dN_dr + N * (1 - N / K) + r * dN_dr - r * N * dN_dr / K
        dN_dK = dN_dK + r * dN_dK - 2 * r * N * dN_dK / K + r * N**2 / K**2
        N = N + r * N * (1 - N / K)
        J_r += 2 * (N - z) * dN_dr
        J_K += 2 * (N - z) * dN_dK
    return {"r": J_r, "K": J_K}


def fixed(r, K, N0, obs):
    N, dN_dr, dN_dK = N0, 0.0, 0.0
    J_r, J_K = 0.0, 0.0
    for z in obs:
        dN_dr = dN_dr + N * (1 - N / K) + r * dN_dr - 2 * r * N * dN_dr / K
        dN_dK = dN_dK + r * dN_dK - 2 * r * N * dN_dK / K + r * N**2 / K**2
        N = N + r * N * (1 - N / K)
        J_r += 2 * (N - z) * dN_dr
        J_K += 2 * (N - z) * dN_dK
    return {"r": J_r, "K": J_K}
