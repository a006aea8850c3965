"""Linear-chain CRF: expected transition counts from forward-backward with an index off by one."""

import torch

wrt = ("trans", "emit")
at = {
    "trans": [[1.76, 0.4, 0.98], [2.24, 1.87, -0.98], [0.95, -0.15, -0.1]],
    "emit": [[0.41, 0.14, 1.45], [0.76, 0.12, 0.44], [0.33, 1.49, -0.21], [0.31, -0.85, -2.55]],
}
wrong = {"trans"}
faulty = ("log_xi",)


def model(trans, emit):
    a = emit[0]
    for t in range(1, 4):
        a = torch.logsumexp(a[:, None] + trans, 0) + emit[t]
    return torch.logsumexp(a, 0)


def hand(trans, emit):
    T = emit.shape[0]
    alpha = [emit[0]]
    for t in range(1, T):
        alpha.append(torch.logsumexp(alpha[-1][:, None] + trans, 0) + emit[t])
    beta = [torch.zeros_like(emit[0])]
    for t in range(T - 2, -1, -1):
        beta.insert(0, torch.logsumexp(trans + emit[t + 1] + beta[0], 1))
    logZ = torch.logsumexp(alpha[-1], 0)
    d_trans = torch.zeros_like(trans)
    for t in range(T - 1):
        log_xi = alpha[t][:, None] + trans + emit[t + 1] + beta[t] - logZ
        d_trans = d_trans + torch.exp(log_xi)
    d_emit = torch.exp(torch.stack(alpha) + torch.stack(beta) - logZ)
    return {"trans": d_trans, "emit": d_emit}


def fixed(trans, emit):
    T = emit.shape[0]
    alpha = [emit[0]]
    for t in range(1, T):
        alpha.append(torch.logsumexp(alpha[-1][:, None] + trans, 0) + emit[t])
    beta = [torch.zeros_like(emit[0])]
    for t in range(T - 2, -1, -1):
        beta.insert(0, torch.logsumexp(trans + emit[t + 1] + beta[0], 1))
    logZ = torch.logsumexp(alpha[-1], 0)
    d_trans = torch.zeros_like(trans)
    for t in range(T - 1):
        log_xi = alpha[t][:, None] + trans + emit[t + 1] + beta[t + 1] - logZ
        d_trans = d_trans + torch.exp(log_xi)
    d_emit = torch.exp(torch.stack(alpha) + torch.stack(beta) - logZ)
    return {"trans": d_trans, "emit": d_emit}
