"""A Program in NumPy's floats: as `Floats`, with its own kernels (its exp and its sums are not torch's)."""

from __future__ import annotations

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.ops.scalars import OPS
from symgrad.program.program import Step, Strided

__all__ = ["NumpyFloats"]


class NumpyFloats(Floats):
    """The system of torch tensors that NumPy computes, for code that was written with NumPy; bfloat16 stays torch's."""

    def _read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        if any(a.dtype is torch.bfloat16 or a.is_conj() for a in args):
            return super()._read(step, args)
        arrays = [a.numpy() for a in args]
        with np.errstate(all="ignore"):
            match step.op:
                case "matmul":
                    out = np.matmul(*arrays)
                case "pow":
                    out = np.power(*arrays)
                case "powi":
                    out = arrays[0] ** step.params
                case "scatter" if isinstance(step.params, Strided):
                    out = _summed(arrays[0], step.params)
                case op if op in OPS and (kernel := _kernel(op)) is not None and not step.is_complex:
                    out = kernel(*arrays)
                case _:
                    out = None
        if out is None or np.size(out) != int(np.prod(step.shape, dtype=np.int64)):
            return super()._read(step, args)
        return torch.as_tensor(np.ascontiguousarray(out)).reshape(step.shape)


def _summed(a: np.ndarray, index: Strided) -> np.ndarray:
    """The entries added up along the axes that all land on one place."""
    axes = tuple(k for k, s in enumerate(index.strides) if s == 0 and a.shape[k] != 1)
    return np.sum(a, axes) if axes else a


def _kernel(op: str) -> np.ufunc | None:
    """NumPy's function of the row's name or one of its other names."""
    found = (getattr(np, name, None) for name in (op, *OPS[op].also))
    return next((f for f in found if isinstance(f, np.ufunc)), None)
