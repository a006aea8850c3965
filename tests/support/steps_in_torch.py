"""The steps of a certificate in floats: what torch computes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import torch

from symgrad.ops.scalars import OPS
from symgrad.proving.checker_adjoint import CheckedStep, positions

F64 = torch.float64


def in_torch(steps: Sequence[CheckedStep], inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The values of steps, computed by torch."""
    values: list[torch.Tensor] = []
    for s in steps:
        a = [values[k] for k in s.args]
        match s.op:
            case "input":
                values.append(inputs[s.params])
            case "constant" if s.complex:
                values.append(torch.tensor(1j, dtype=torch.complex128))
            case "constant" if "name" in s.params:
                values.append(torch.tensor(np.pi, dtype=F64))
            case "constant":
                entries = torch.tensor([float(Fraction(x)) for x in s.params["entries"]], dtype=F64)
                values.append(entries.reshape(s.shape) if len(entries) > 1 else entries[0].expand(s.shape))
            case "name" | "cast":
                values.append(a[0])
            case "softmax":
                values.append(torch.softmax(a[0], s.params))
            case "pick":
                flat = torch.cat([torch.zeros(1, dtype=a[0].dtype), *(x.reshape(-1) for x in a)])
                values.append(flat[torch.tensor(positions(s.params, s.shape))].reshape(s.shape))
            case "scatter":
                out = torch.zeros(s.size + 1, dtype=F64)
                values.append(
                    out.index_add(0, torch.tensor(positions(s.params, a[0].shape)), a[0].reshape(-1))[1:].reshape(
                        s.shape
                    )
                )
            case "powi":
                values.append(a[0] ** s.params)
            case "polygamma":
                values.append(torch.polygamma(s.params, a[0]))
            case "inverse":
                values.append(torch.linalg.inv(a[0]))
            case "det":
                values.append(torch.linalg.det(a[0]))
            case "neg":
                values.append(-a[0])
            case "sign":
                values.append(torch.sgn(a[0]))
            case "stop":
                values.append(a[0].detach())
            case "matmul":
                values.append(torch.matmul(*(x.to(torch.promote_types(a[0].dtype, a[1].dtype)) for x in a)))
            case "add" | "sub" | "mul" | "div" | "pow" | "conj" | "real" | "imag" | "abs":
                values.append(getattr(torch, s.op)(*a))
            case op:
                values.append(OPS[op].torch(*a))
    return values
