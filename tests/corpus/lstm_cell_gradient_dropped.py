"""An LSTM of one unit: the cell's gradient of the later step is not carried back through the forget gate."""

import torch

wrt = ("wf", "wi")
at = {"wf": 0.5, "wi": -0.75, "x": [1.0, -2.0, 0.5]}
wrong = {"wf", "wi"}
faulty = ("dc",)


def model(wf, wi, x):
    c = torch.zeros_like(wf)
    for t in range(3):
        c = torch.sigmoid(wf * x[t]) * c + torch.tanh(wi * x[t])
    return torch.tanh(c)


def hand(wf, wi, x):
    c = [torch.zeros_like(wf)]
    for t in range(3):
        c.append(torch.sigmoid(wf * x[t]) * c[t] + torch.tanh(wi * x[t]))
    dc = 1 - torch.tanh(c[3]) ** 2
    dwf = torch.zeros_like(wf)
    dwi = torch.zeros_like(wi)
    for t in (2, 1, 0):
        f = torch.sigmoid(wf * x[t])
        g = torch.tanh(wi * x[t])
        dwf = dwf + dc * c[t] * f * (1 - f) * x[t]
        dwi = dwi + dc * (1 - g**2) * x[t]
        dc = dc
    return {"wf": dwf, "wi": dwi}


def fixed(wf, wi, x):
    c = [torch.zeros_like(wf)]
    for t in range(3):
        c.append(torch.sigmoid(wf * x[t]) * c[t] + torch.tanh(wi * x[t]))
    dc = 1 - torch.tanh(c[3]) ** 2
    dwf = torch.zeros_like(wf)
    dwi = torch.zeros_like(wi)
    for t in (2, 1, 0):
        f = torch.sigmoid(wf * x[t])
        g = torch.tanh(wi * x[t])
        dwf = dwf + dc * c[t] * f * (1 - f) * x[t]
        dwi = dwi + dc * (1 - g**2) * x[t]
        dc = dc * f
    return {"wf": dwf, "wi": dwi}
