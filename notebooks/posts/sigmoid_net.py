"""A network with one hidden layer of sigmoids, and its gradients from formulas in NumPy.

The two differ from autograd's in the ninth decimal, and the question is where the error is.
"""

import numpy as np
import torch
import torch.nn as nn


class SingleLayerNet(nn.Module):
    def __init__(self, m=10, d=3):
        """m: number of hidden nodes; d: number of dimensions of x."""
        super().__init__()
        self.m = m
        self.linear1 = nn.Linear(d, m, bias=False)
        nn.init.normal_(self.linear1.weight)
        self.linear2 = nn.Linear(m, 1, bias=False)
        nn.init.normal_(self.linear2.weight)

    def forward(self, x):
        x = self.linear1(x)
        x = torch.sigmoid(x)
        output = self.linear2(x).squeeze() / np.sqrt(self.m)
        return output


def hand(linear1_weight, linear2_weight, x):
    weights1, weights2, inp = linear1_weight, linear2_weight, x.transpose()

    tmp0 = np.matmul(weights1, inp).squeeze()
    tmp = np.exp(-1 * tmp0)
    dw_calc = (1 / np.sqrt(10)) / (1 + tmp)

    tmp2 = (1 + tmp) * (1 + tmp)
    dtmp2 = weights2 * (1 / np.sqrt(10)) * tmp / tmp2
    du_calc = np.transpose(np.matmul(inp, dtmp2))
    return {"linear1.weight": du_calc, "linear2.weight": dw_calc}


torch.manual_seed(0)
model = SingleLayerNet(10)
at = {"x": np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)}
