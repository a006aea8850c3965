"""A Program in torch floats: the same kernels in the same order, each step in the dtype it was computed in."""

from __future__ import annotations

import numpy as np
import torch

from symgrad.ops.scalars import OPS
from symgrad.ops.special import through_balls
from symgrad.program.composites import composed
from symgrad.program.program import Constant, Step, Strided, dense, positions, size

__all__ = ["Floats", "to_numpy"]

_DTYPES = {str(d).removeprefix("torch."): d for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}
_DTYPES |= {"complex64": torch.complex64, "complex128": torch.complex128}
_SINGLE = {"complex64": "float32", "complex128": "float64"}


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """The tensor as an array of float64 or complex128."""
    x = x.detach().cpu().resolve_conj()
    return x.to(torch.complex128 if x.is_complex() else torch.float64).numpy()


class Floats:
    """The system of torch floats on ``device``; ``dtype`` overrides every step's own (complex stays complex)."""

    def __init__(self, dtype: str | torch.dtype | None = None, device: str | torch.device = "cpu") -> None:
        self.dtype = str(dtype).removeprefix("torch.") if dtype is not None else None
        self.device = device

    def torch_dtype(self, step: Step) -> torch.dtype:
        if self.dtype is None:
            return _DTYPES[step.dtype]
        if step.is_complex and not self.dtype.startswith("complex"):
            return torch.complex64 if self.dtype == "float32" else torch.complex128
        return _DTYPES[self.dtype]

    def read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        dtype = self.torch_dtype(step)
        if step.op == "constant":
            c: Constant = step.params
            return torch.as_tensor(c.value, dtype=dtype, device=self.device)
        args = [a if a.dtype == dtype or step.op in _KEEPS else a.to(dtype) for a in args]
        out = self._read(step, args)
        return out if out.dtype == dtype else out.to(dtype)

    def _read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        match step.op:
            case "add":
                return args[0] + args[1]
            case "sub":
                return args[0] - args[1]
            case "mul":
                return args[0] * args[1]
            case "div":
                return args[0] / args[1]
            case "neg":
                return -args[0]
            case "powi":
                return args[0] ** step.params
            case "pow":
                return torch.pow(args[0], args[1])
            case "pick":
                return _pick(step, args)
            case "scatter":
                return _scatter(step, args[0])
            case "matmul":
                return torch.bmm(args[0], args[1])
            case "name" | "cast":
                return args[0]
            case "stop":
                return args[0].detach()
            case "conj":
                return args[0].conj().resolve_conj()
            case "real":
                return args[0].real
            case "imag":
                return args[0].imag
            case "polygamma":
                return torch.polygamma(step.params, args[0])
            case "inverse":
                return torch.linalg.inv(args[0])
            case "solve":
                return torch.linalg.solve(args[0], args[1])
            case "det":
                return torch.linalg.det(args[0])
            case "logabsdet":
                return torch.linalg.slogdet(args[0]).logabsdet
            case "cholesky":
                return torch.linalg.cholesky((args[0] + args[0].mH) / 2)
            case "softmax":
                return torch.softmax(args[0], step.params)
            case "log_softmax":
                return torch.log_softmax(args[0], step.params)
            case "logsumexp":
                return torch.logsumexp(args[0], step.params, keepdim=True)
        op = OPS[step.op]
        if step.is_complex and step.op in ("sigmoid", "sign", "abs"):
            return {"sigmoid": torch.sigmoid, "sign": torch.sgn, "abs": torch.abs}[step.op](args[0])
        try:
            return op.torch(*args)
        except (RuntimeError, NotImplementedError):
            if not step.is_complex:
                raise
            return self._complex(step, args)

    def _complex(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        """What torch does for real numbers only: in other rows, or by the row's balls."""
        ball = OPS[step.op].ball
        try:
            return composed(self, step, args)
        except NotImplementedError:
            if ball is None:
                raise
            return through_balls(ball)(*args)


_KEEPS = frozenset(("real", "imag", "abs", "logabsdet", "cast"))


def _pick(step: Step, args: list[torch.Tensor]) -> torch.Tensor:
    if isinstance(step.params, Strided):
        (a,) = args
        if min(step.params.strides, default=0) >= 0:
            a = a.contiguous()  # may be a view that does not begin where its memory does
            return a.as_strided(step.shape, step.params.strides, a.storage_offset() + step.params.offset)
        flat = torch.as_tensor(positions(step.params, step.shape).copy(), device=a.device)
        return a.reshape(-1)[flat - 1].reshape(step.shape)
    zero = args[0].new_zeros(1)
    entries = torch.cat([zero, *(a.reshape(-1) for a in args)])
    return entries[torch.as_tensor(np.array(step.params), device=zero.device)].reshape(step.shape)


def _scatter(step: Step, value: torch.Tensor) -> torch.Tensor:
    index = step.params
    if isinstance(index, Strided):
        summed = [k for k, s in enumerate(index.strides) if s == 0 and value.shape[k] != 1]
        if summed:
            value = value.sum(summed, keepdim=True)
        if index.offset == 0 and value.numel() == size(step.shape):
            kept = tuple(s for s, n in zip(index.strides, value.shape, strict=True) if n > 1)
            if kept == tuple(s for s, n in zip(dense(tuple(value.shape)), value.shape, strict=True) if n > 1):
                return value.reshape(step.shape)
        index = positions(index, tuple(value.shape))
    out = value.new_zeros(size(step.shape) + 1)
    out.index_add_(0, torch.as_tensor(np.array(index), device=value.device), value.reshape(-1))
    return out[1:].reshape(step.shape)
