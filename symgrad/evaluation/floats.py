"""A Program in torch floats: the same kernels in the same order, each step in the dtype it was computed in."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from symgrad.ops.matrices import MATRICES
from symgrad.ops.scalars import OPS
from symgrad.ops.special import through_balls
from symgrad.program.primitives import composed
from symgrad.program.program import Constant, Program, Step, Strided, dense, interpret, positions, size

# -------------------------------------------------------------------------------------------------------------- floats

_DTYPES = {str(d).removeprefix("torch."): d for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}
_DTYPES |= {"complex64": torch.complex64, "complex128": torch.complex128}


def tensors_of(point: Mapping[str, Any], dtypes: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """The values of a point that have ``dtypes``, each as a tensor of its own."""
    return {name: torch.tensor(np.asarray(point[name])).to(getattr(torch, kind)) for name, kind in dtypes.items()}


def wide_tensor(x: Any) -> torch.Tensor:
    """A value as a tensor of float64 or complex128."""
    array = np.asarray(x)
    return torch.tensor(array, dtype=torch.complex128 if array.dtype.kind == "c" else torch.float64)


@contextlib.contextmanager
def wide_by_default() -> Iterator[None]:
    """A block in which torch makes float64 of what has no dtype of its own: ``torch.arange(3) / 2`` too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def plain_array(x: torch.Tensor) -> np.ndarray:
    """The tensor as an array; NumPy has no bfloat16, and float32 holds its values."""
    return (x.float() if x.dtype is torch.bfloat16 else x).detach().cpu().resolve_conj().numpy()


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """The tensor as an array of float64 or complex128."""
    x = x.detach().cpu().resolve_conj()
    return x.to(torch.complex128 if x.is_complex() else torch.float64).numpy()


def _logsumexp(x: torch.Tensor, dim: int) -> torch.Tensor:
    return torch.logsumexp(x, dim, keepdim=True)


def complex_logsumexp(x: torch.Tensor, dim: int) -> torch.Tensor:
    """log(sum(exp(x))) along an axis that is kept: torch has kernels for complex numbers of none of its kin."""
    largest = x.real.amax(dim, keepdim=True)
    return largest + torch.log(torch.exp(x - largest).sum(dim, keepdim=True))


def complex_log_softmax(x: torch.Tensor, dim: int) -> torch.Tensor:
    return x - complex_logsumexp(x, dim)


def complex_softmax(x: torch.Tensor, dim: int) -> torch.Tensor:
    return torch.exp(complex_log_softmax(x, dim))


def _prod(x: torch.Tensor, dim: int) -> torch.Tensor:
    return torch.prod(x, dim, keepdim=True)


def _others(x: torch.Tensor, dim: int) -> torch.Tensor:
    """The product of the others along an axis, for each entry."""
    one = torch.ones_like(x.narrow(dim, 0, 1))
    n = x.shape[dim] - 1
    before = torch.cat([one, x.narrow(dim, 0, n)], dim).cumprod(dim)
    return before * torch.cat([x.narrow(dim, 1, n), one], dim).flip(dim).cumprod(dim).flip(dim)


_KERNELS = {"softmax": torch.softmax, "log_softmax": torch.log_softmax, "logsumexp": _logsumexp}
_KERNELS |= {"prod": _prod, "prod_others": _others}
_COMPLEX = {"softmax": complex_softmax, "log_softmax": complex_log_softmax, "logsumexp": complex_logsumexp}


def _composite(step: Step, x: torch.Tensor, dim: int) -> torch.Tensor:
    return (_COMPLEX if x.is_complex() else _KERNELS)[step.op](x, dim)


class Floats:
    """The system of torch floats on ``device``; ``dtype`` overrides every step's own (complex stays complex)."""

    def __init__(self, dtype: str | torch.dtype | None = None, device: str | torch.device = "cpu") -> None:
        self.dtype = str(dtype).removeprefix("torch.") if dtype is not None else None
        self.device = device
        self._dtypes: dict[str, torch.dtype] = {}  # by the steps' own

    def torch_dtype(self, step: Step) -> torch.dtype:
        known = self._dtypes.get(step.dtype)
        if known is None:
            if step.is_complex and self.dtype is not None and not self.dtype.startswith("complex"):
                known = torch.complex64 if self.dtype == "float32" else torch.complex128
            else:
                known = _DTYPES[self.dtype or step.dtype]
            self._dtypes[step.dtype] = known
        return known

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
                return _defined(*torch.linalg.inv_ex(args[0]))
            case "solve":
                return _defined(*torch.linalg.solve_ex(args[0], args[1]))
            case "det":
                return torch.linalg.det(args[0])
            case "logabsdet":
                return torch.linalg.slogdet(args[0]).logabsdet
            case "cholesky":
                return _defined(*torch.linalg.cholesky_ex((args[0] + args[0].mH) / 2))
            case op if op in _KERNELS:
                return _composite(step, args[0], step.params)
        if step.op in MATRICES:
            return MATRICES[step.op].torch(args[0], step.params)
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


def _defined(matrices: torch.Tensor, failed: torch.Tensor) -> torch.Tensor:
    """NaN for the matrices that have no inverse or factor, which is no error: such a point is outside of the domain."""
    return matrices.masked_fill((failed != 0)[..., None, None], torch.nan) if bool(failed.any()) else matrices


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


# ------------------------------------------------------------------------------------------------------ single numbers
# A Program of single numbers in float64 is read in Python's own floats.  Arithmetic is IEEE's there as it is in torch,
# bit for bit, and costs a twentieth of it; every other operation is torch's kernel.


class _Doubles:
    alike: Mapping[str, Callable[..., float]] = {
        **{op: getattr(operator, op) for op in ("add", "sub", "mul", "neg")},
        "div": operator.truediv,
        **dict.fromkeys(("name", "cast", "stop"), lambda x: x),
    }

    def __init__(self) -> None:
        self.torch = Floats()

    def read(self, step: Step, args: list[float]) -> float:
        if step.op == "constant":
            return float(step.params.value)
        if step.op == "powi" and step.params == 2:
            return args[0] * args[0]
        return self.torch.read(step, [torch.tensor(x, dtype=torch.float64) for x in args]).item()


def computed(program: Program, inputs: Mapping[str, torch.Tensor], wanted: Iterable[int]) -> dict[int, np.ndarray]:
    """What `Floats` gives for the ``wanted`` steps, as arrays of float64 or complex128.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> y = b.div(b.apply("exp", x), x)
    >>> computed(b.build({}), {"x": torch.tensor(1.0, dtype=torch.float64)}, [y])
    {2: array(2.71828183)}
    """
    wanted = tuple(wanted)
    if program.is_of_doubles:
        numbers = {name: inputs[name].item() for name in program.inputs}
        with contextlib.suppress(ZeroDivisionError):  # which Python raises, and torch does not
            values: dict[int, Any] = interpret(program, _Doubles(), numbers, wanted)
            return {i: np.asarray(values[i]) for i in wanted}
    values = interpret(program, Floats(), inputs, wanted)
    return {i: to_numpy(values[i]) for i in wanted}


# ------------------------------------------------------------------------------------------------------ batched floats
# A Program in torch floats at many points at once: every value has one axis more in front, the points'.
#
# With ``jitter`` every result is moved by a random relative amount of that size, as rounding would (Monte Carlo
# arithmetic: Parker, 1997), so that the spread of two runs tells how much a formula magnifies roundings.

_EXACT = frozenset(("pick", "name", "cast", "stop", "neg", "conj", "real", "imag", "abs", "sign"))


class BatchedFloats(Floats):
    """The system of torch floats at ``count`` points.

    >>> from symgrad.program.builder import Builder
    >>> from symgrad.program.program import interpret
    >>> b = Builder()
    >>> x = b.input("x", (2,))
    >>> program = b.build({"y": b.sum(b.mul(x, x))})
    >>> points = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    >>> interpret(program, BatchedFloats(2), {"x": points})[program.output]
    tensor([ 5., 25.], dtype=torch.float64)
    """

    def __init__(self, count: int, dtype: str | None = None, *, jitter: float = 0.0, seed: int = 0) -> None:
        super().__init__(dtype)
        self.count, self.jitter = count, jitter
        self.random = torch.Generator().manual_seed(seed)

    def read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        out = super().read(step, args)
        if step.op == "constant":
            return out.expand(self.count, *step.shape)
        if not self.jitter or step.op in _EXACT or not out.is_floating_point():
            return out
        return out * (1 + self.jitter * (2 * torch.rand(out.shape, generator=self.random, dtype=torch.float64) - 1))

    def _read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        n: Any = step.params
        match step.op:
            case "pick":
                rows = torch.cat([a.reshape(self.count, -1) for a in args], 1)
                where = _index(step.params, step.shape)
                if not bool((where > 0).all()):
                    rows, where = torch.cat([rows.new_zeros(self.count, 1), rows], 1), where + 1
                return rows[:, where - 1].reshape(self.count, *step.shape)
            case "scatter":
                (a,) = args
                out = a.new_zeros(self.count, size(step.shape) + 1)
                out.index_add_(1, _index(step.params, tuple(a.shape[1:])), a.reshape(self.count, -1))
                return out[:, 1:].reshape(self.count, *step.shape)
            case "matmul":
                return torch.matmul(args[0], args[1])
            case op if op in MATRICES:
                return torch.stack([MATRICES[op].torch(a, step.params) for a in args[0]])
            case op if op in _KERNELS:
                return _composite(step, args[0], n + 1 if n >= 0 else n)
        return super()._read(step, args)


def _index(index: Any, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.as_tensor(np.array(positions(index, shape)).reshape(-1))


# -------------------------------------------------------------------------------------------------------- numpy floats
# A Program in NumPy's floats: as `Floats`, with its own kernels (its exp and its sums are not torch's).


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
