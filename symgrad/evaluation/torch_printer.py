"""How each step of a Program is spelled in torch: SymPy's torch printer, taught the steps.

Each line is one step, and an expression in the symbols of earlier lines.  Layouts are spelled with reshape, permute,
expand and sum where they are that, and with index tensors where they are not; nothing looks at a value, so that
every line also works under ``torch.vmap``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
import torch
from sympy.printing.pytorch import TorchPrinter

from symgrad.errors import UnknownOperation
from symgrad.evaluation.floats import complex_log_softmax, complex_logsumexp, complex_softmax
from symgrad.ops.matrices import MATRICES
from symgrad.ops.scalars import OPS
from symgrad.program.indexed import affine
from symgrad.program.program import Program, Shape, Step, Strided, dense, positions, size

_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_UNARY = {
    "neg": "-{}",
    "name": "{}",
    "cast": "{}",
    "stop": "{}.detach()",
    "conj": "torch.conj({})",
    "real": "torch.real({})",
    "inverse": "torch.linalg.inv({})",
    "det": "torch.linalg.det({})",
    "logabsdet": "torch.linalg.slogdet({}).logabsdet",
    "cholesky": "torch.linalg.cholesky(({0} + {0}.mH)/2)",
    "sign": "torch.sgn({})",
    "softplus": "torch.logaddexp({0}, torch.zeros_like({0}))",
}
_WITH_PARAMS = {
    "powi": "{0}**{params}",
    "softmax": "torch.softmax({0}, {params})",
    "log_softmax": "torch.log_softmax({0}, {params})",
    "logsumexp": "torch.logsumexp({0}, {params}, keepdim=True)",
}
_BINARY = {"matmul": "{} @ {}", "solve": "torch.linalg.solve({}, {})"}


def gamma(x: torch.Tensor) -> torch.Tensor:
    """The gamma function, with a derivative for autograd on both sides of zero: no branch meets a pole of its own."""
    right = x > 0
    value = torch.where(right, x, 1 - x).lgamma().exp()
    return torch.where(right, value, math.pi / (torch.sin(math.pi * torch.where(right, 0.5, x)) * value))


def log_ndtr(x: torch.Tensor) -> torch.Tensor:
    """log of the normal distribution function, which `torch.special.log_ndtr` cannot map over a batch."""
    left = x < -1
    t = x * math.sqrt(0.5)
    tail = torch.log(torch.special.erfcx(-torch.where(left, t, -1.0)) / 2) - t * t
    return torch.where(left, tail, torch.log1p(-torch.erfc(torch.where(left, 0.0, t)) / 2))


def _of_one_dtype(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch multiplies no real matrix by a complex one."""

    def made(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        dtype = torch.promote_types(a.dtype, b.dtype)
        return function(a.to(dtype), b.to(dtype))

    return made


complex_matmul, complex_solve = _of_one_dtype(torch.matmul), _of_one_dtype(torch.linalg.solve)
OWN: dict[str, Callable[..., torch.Tensor]] = {
    "gamma": gamma,
    "log_ndtr": log_ndtr,
    "complex_logsumexp": complex_logsumexp,
    "complex_log_softmax": complex_log_softmax,
    "complex_softmax": complex_softmax,
    "complex_matmul": complex_matmul,
    "complex_solve": complex_solve,
}


class Line(sp.Function):
    """The step whose position is the first argument, of the symbols of the others."""

    nargs = None


def torch_name(row: str) -> str | None:
    """The name under which torch itself has a row's kernel, or None if the kernel is the table's own."""
    kernel = OPS[row].torch
    for module, prefix in (
        (torch, "torch"),
        (torch.special, "torch.special"),
        (torch.nn.functional, "torch.nn.functional"),
    ):
        name = getattr(kernel, "__name__", "").removeprefix("special_")
        if getattr(module, name, None) is kernel:
            return f"{prefix}.{name}"
    return None


class StepPrinter(TorchPrinter):
    """Prints `Line`s.  Afterwards ``captured`` holds the index tensors, constants and kernels that they use.

    ``numbers`` are the folded steps (see `symgrad.evaluation.torch_code`); ``prefix`` begins every name that is not
    torch's or an argument's.
    """

    def __init__(self, program: Program, numbers: Mapping[int, np.ndarray], prefix: str = "") -> None:
        super().__init__({"fully_qualified_modules": False, "inline": True})
        self.program, self.numbers, self.prefix = program, numbers, prefix
        self.captured: dict[str, Any] = {}
        self.mixed = any(s.is_complex for s in program.steps)

    def like(self, i: int) -> str:
        """A tensor of the dtype and device of a step of no call's own: of a real step beside complex ones, its part."""
        real = self.mixed and not self.program.steps[i].is_complex
        return f"{self.prefix}like.real" if real else f"{self.prefix}like"

    def _print_Line(self, e: Any) -> str:
        i = int(e.args[0])  # type: ignore[arg-type]
        if i in self.numbers:
            return self.tensor(i)
        symbols = [self._print(s) for s in e.args[1:]]
        step = self.program.steps[i]
        if step.op in _ARITHMETIC:
            left, right = (self.operand(a, s) for a, s in zip(step.args, symbols, strict=True))
            return f"{left} {_ARITHMETIC[step.op]} {right}"
        args = [self.tensor(a) if a in self.numbers else s for a, s in zip(step.args, symbols, strict=True)]
        if step.op in _UNARY:
            return _UNARY[step.op].format(*args)
        of_complex = f"complex_{step.op}"
        if self.mixed and of_complex in OWN:
            params = [] if step.params is None else [str(step.params)]
            return f"{self.capture(of_complex, OWN[of_complex])}({', '.join([*args, *params])})"
        if step.op in _WITH_PARAMS:
            return _WITH_PARAMS[step.op].format(*args, params=step.params)
        if step.op in _BINARY:
            return _BINARY[step.op].format(*args)
        match step.op:
            case "pow":
                return f"torch.pow({args[0]}, {self.operand(step.args[1], symbols[1])})"
            case "polygamma":  # torch.polygamma(1, x) has only ten digits; the Hurwitz zeta function has all
                n = step.params
                return f"{(-1) ** (n + 1) * math.factorial(n)}*torch.special.zeta({n + 1}, {args[0]})"
            case op if op in MATRICES:
                kernel = self.capture(f"matrices_{op}", MATRICES[op].torch)
                return f"{kernel}({args[0]}, {step.params})"
            case "gamma" | "log_ndtr":
                return f"{self.capture(step.op, OWN[step.op])}({args[0]})"
            case "imag":
                return f"torch.imag({args[0]} + 0j)"
            case "constant":
                return self.capture(f"constant_{i}", torch.as_tensor(step.params.value)) + f".to({self.like(i)})"
            case "pick":
                return self.pick(i, step, args)
            case "scatter":
                return self.scatter(i, step, args[0])
        if step.op not in OPS:
            raise UnknownOperation(f"the step {step.op} has no torch spelling.")
        name = torch_name(step.op) or self.capture(f"kernel_{step.op}", OPS[step.op].torch)
        return f"{name}({', '.join(args)})"

    # -------------------------------------------------------------------------------- leaves
    def capture(self, name: str, value: Any) -> str:
        self.captured[self.prefix + name] = value
        return self.prefix + name

    def operand(self, i: int, symbol: str) -> str:
        """An operand of arithmetic: a folded number is written as itself."""
        if i not in self.numbers:
            return symbol
        value = self.numbers[i]
        return _literal(value.flat[0].item()) if _uniform(value) else self.tensor(i)

    def tensor(self, i: int) -> str:
        """A folded step as a tensor of the call's dtype and device."""
        value, like = self.numbers[i], self.like(i)
        if _uniform(value):
            number = value.flat[0].item()
            if isinstance(number, complex):
                return f"({like}.new_full({value.shape}, 1)*{_literal(number)})"
            return f"{like}.new_full({value.shape}, {_literal(number)})"
        to = f"{like}.device" if value.dtype.kind == "c" else like
        return self.capture(f"constant_{i}", torch.as_tensor(value)) + f".to({to})"

    def index(self, i: int, where: np.ndarray) -> str:
        return self.capture(f"index_{i}", torch.as_tensor(np.array(where, dtype=np.int64)))

    # -------------------------------------------------------------------------------- layouts
    def pick(self, i: int, step: Step, args: Sequence[str]) -> str:
        shapes = [self.program.shape(a) for a in step.args]
        if isinstance(step.params, Strided):
            spelled = _view(args[0], shapes[0], step.params, step.shape)
            if spelled is not None:
                return spelled
        where = positions(step.params, step.shape)
        if len(args) == 1 and where.size and where.min() > 0:
            index = affine(where.reshape(step.shape) - 1)
            spelled = _view(args[0], shapes[0], index, step.shape) if isinstance(index, Strided) else None
            if spelled is not None:
                return spelled
        parts = [a if len(s) == 1 else f"{a}.reshape(-1)" for a, s in zip(args, shapes, strict=True)]
        if not (where == 0).any():
            where = where - 1
        else:
            parts = [f"{self.prefix}like.new_zeros(1)", *parts]
        whole = parts[0] if len(parts) == 1 else f"torch.cat([{', '.join(parts)}])"
        total = sum(size(s) for s in shapes) + (len(parts) > len(args))
        if not np.array_equal(where, np.arange(total)):
            whole = f"{whole}[{self.index(i, where)}]"
        return whole if len(step.shape) == 1 else f"{whole}.reshape({step.shape})"

    def scatter(self, i: int, step: Step, arg: str) -> str:
        shape = self.program.shape(step.args[0])
        index = step.params
        if isinstance(index, Strided):
            summed = tuple(k for k, s in enumerate(index.strides) if s == 0 and shape[k] != 1)
            kept = tuple(1 if k in summed else n for k, n in enumerate(shape))
            alive = [k for k, n in enumerate(kept) if n > 1]
            packed = tuple(index.strides[k] for k in alive) == dense(tuple(kept[k] for k in alive))
            if index.offset == 0 and packed and size(kept) == size(step.shape):
                total = f"{arg}.sum({summed})" if summed else arg
                left = tuple(n for k, n in enumerate(shape) if k not in summed)
                return total if left == step.shape else f"{total}.reshape({step.shape})"
        where = positions(index, shape)
        flat = f"{arg}.reshape(-1)"
        if (where == 0).any():
            flat = f"{flat}[{self.index(-i, np.nonzero(where)[0])}]".replace("index_-", "kept_")
            self.captured[f"{self.prefix}kept_{i}"] = self.captured.pop(f"{self.prefix}index_{-i}")
            where = where[where > 0]
        out = f"{arg}.new_zeros({size(step.shape)}).index_add(0, {self.index(i, where - 1)}.to({arg}.device), {flat})"
        return out if len(step.shape) == 1 else f"{out}.reshape({step.shape})"


def _uniform(value: np.ndarray) -> bool:
    return value.size > 0 and bool((value == value.flat[0]).all())


def _literal(x: float | complex) -> str:
    if isinstance(x, float) and x == int(x) and abs(x) < 2**53:
        x = int(x)
    text = repr(x)
    return f"({text})" if text.startswith("-") else text


def _view(a: str, shape: Shape, index: Strided, out: Shape) -> str | None:
    """An affine pick as reshape, permute and expand, if it is that."""
    repeated = [k for k, (s, n) in enumerate(zip(index.strides, out, strict=True)) if s == 0 and n > 1]
    alive = [k for k, n in enumerate(out) if n > 1 and k not in repeated]
    order = sorted(alive, key=lambda k: -index.strides[k])
    base = tuple(out[k] for k in order)
    if index.offset or size(base) != size(shape) or tuple(index.strides[k] for k in order) != dense(base):
        return None
    if order != alive:
        a = a if base == shape else f"{a}.reshape({base})"
        a = f"{a}.permute({tuple(order.index(k) for k in alive)})"
        shape = tuple(out[k] for k in alive)
    narrow = tuple(1 if k in repeated else n for k, n in enumerate(out))
    if narrow != shape and not (repeated and narrow[len(narrow) - len(shape) :] == shape):
        a = f"{a}.reshape({narrow})"
    return f"{a}.expand({out})" if repeated else a
