"""The questions of `steadiness`: one of each kind of answer; prints the reports' texts as JSON."""

from __future__ import annotations

import json

import sympy as sp
import torch

from symgrad import verify, verify_script

x, a, b = sp.symbols("x a b", real=True)

FORMULAS = [  # proved by a search; refuted; with choices; wrong by little; undecided; typed; agreeing
    (sp.sqrt(x) * sp.sqrt(a + x) - a * sp.log(sp.sqrt(x) + sp.sqrt(a + x)), sp.sqrt(x) / sp.sqrt(a + x), "x"),
    (sp.tanh(a * x) * sp.polylog(2, -sp.exp(x)), sp.Integer(1), "x"),
    (sp.Max(x, a) ** 2 * sp.Abs(b), 2 * x * sp.Abs(b), "x"),
    ("tanh(w*tanh(w*x))", "(1 - tanh(w*tanh(w*x))**2)*(tanh(w*x) + w*x*(1 - tanh(w*x)**2))", "w"),
    ("log(x**2 + 1)*erf(y)", "2*x*erf(y)/(x**2 + 1) + 1/10**12", "x"),
    ("x**2", "2*x + exp(-1000000)", "x"),
    ("sqrt(2/pi)*x**2", "1.595769*x", "x"),
    ("abs(x - 1)*acos(y)**2", "sign(x - 1)*(pi/2 - asin(y))**2", "x"),
]

SCRIPT = """
import torch
w = torch.tensor(2.0, requires_grad=True)
h = torch.tanh(3 * w)
y = torch.tanh(w * h)
y.backward()
dh = 3 * (1 - h)**2
dw = (1 - y**2) * (h + w * dh)
print(w.grad, dw)
"""


def net(W, x):
    return torch.relu(W @ x).max()


def right(W, x):
    z = W @ x
    k = z.argmax()
    return torch.nn.functional.one_hot(k, len(z)).to(x.dtype)[:, None] * x * (z[k] > 0)


def slip(W, x):
    z = W @ x
    h = torch.relu(z)
    k = h.argmax()
    return torch.nn.functional.one_hot(k, len(z)).to(x.dtype)[:, None] * h[k] * torch.ones_like(x)


def choosy(W, x):
    n = int((x * x).sum())
    return right(W, x) if n != 77 else 0 * W


def answers() -> list[str]:
    """The texts: formulas, code at a kink and with choices, all sizes, a script with its repair."""
    said = [str(verify(f, h, wrt=w, seed=7)) for f, h, w in FORMULAS]
    at = {"W": torch.eye(3, dtype=torch.float64), "x": torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)}
    said += [str(verify(net, hand, wrt="W", at=at, seed=7).explain()) for hand in (right, slip, choosy)]
    said.append(str(verify(lambda x: torch.relu(x).sum(), lambda x: (x > 0).double(), at={"x": at["x"]})))
    said.append(str(verify(lambda z: (z**2).mean(), lambda z: z / len(z), at={"z": ("n",)})))
    report = verify_script(SCRIPT)
    return [*said, str(report), str(report.repaired_source)]


if __name__ == "__main__":
    print(json.dumps(answers()))
