"""Entrywise operations that instrumented code asks for by name, recorded past torch's modes.

A mode sees every operation twice, as a function of torch's and as one of aten's, and has to find out each time what it
is.  Instrumented code has said so already: ``a * b`` is `Tracer.binary`, ``torch.tanh(x)`` is `Tracer.call`.  Where all
operands are followed real tensors of one dtype, or plain numbers, the kernel is run at once and its step written as the
rule of `symgrad.lifting.tracing.aten` writes it.  Whatever is not as simple as that goes the other way.
"""

from __future__ import annotations

import types
from typing import Any

import torch

from symgrad.lifting.tracing.aten import has_rule
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.torch_modes import Dispatch, quiet
from symgrad.lifting.tracing.traced_values import PLAIN
from symgrad.ops.scalars import OPS, find
from symgrad.program.program import Shape

_NUMBERS = (int, float)
_REAL = frozenset(("float16", "bfloat16", "float32", "float64"))
_ARITHMETIC = frozenset(("add", "sub", "mul", "div", "pow"))
_TURNED = frozenset(("div", "pow"))  # of a number by a tensor torch takes the reciprocal
_SIGNED = ("abs", "sign")  # these look at the sign of what they are given


def _rows() -> dict[Any, str]:
    """The functions of torch that are one kernel and one step, with their rows."""
    found: dict[Any, str] = {}
    for name in dir(torch):
        function, row = getattr(torch, name), find(name)
        if row is None or has_rule(name) or row in _SIGNED or OPS[row].arity != 1 or OPS[row].branches:
            continue
        kernel = getattr(torch.ops.aten, name, None)
        is_one = kernel is not None and "default" in kernel.overloads()
        composite = f"aten::{name}", "CompositeImplicitAutograd"
        if is_one and not torch._C._dispatch_has_kernel_for_dispatch_key(*composite):
            found[function] = row
    return found


ROWS = _rows()
_METHODS = {function.__name__: function for function in ROWS}


class DirectOperations:
    """What one tracer records directly."""

    def __init__(self, tracer: Recorder) -> None:
        self.tracer = tracer

    def arithmetic(self, name: str, a: Any, b: Any) -> Any:
        """``a + b`` and its kin, or NotImplemented; a number may stand on either side."""
        if name not in _ARITHMETIC or not self._may():
            return NotImplemented
        t = self.tracer
        tensors, builder = t.tensors, t.builder
        x = tensors.known_step(a) if type(a) is torch.Tensor else None
        y = tensors.known_step(b) if type(b) is torch.Tensor else None
        if x is None and (y is None or type(a) not in _NUMBERS or name in _TURNED):
            return NotImplemented
        if y is None and type(b) not in _NUMBERS:
            return NotImplemented
        dtype = builder.steps[x if x is not None else y].dtype  # type: ignore[index]
        if dtype not in _REAL or (x is not None and y is not None and builder.steps[y].dtype != dtype):
            return NotImplemented
        with quiet():
            if (x is not None and a.is_neg()) or (y is not None and b.is_neg()):
                return NotImplemented
            out = PLAIN[name](a, b)
            t.at_line()
            if x is None:
                x = t.step_of(a, dtype)
                x, y = (x, y) if name == "sub" else (y, x)  # torch puts the tensor first
            elif y is None:
                y = t.step_of(b, dtype)
            shape = tuple(out.shape)
            made = self._written(name, x, y, shape, dtype)  # type: ignore[arg-type]
            tensors.made_anew(out, made, shape)
        return out

    def _written(self, name: str, x: int, y: int, shape: Shape, dtype: str) -> int:
        b = self.tracer.builder
        if name == "pow":
            return b.power(x, y, dtype)
        x = x if b.steps[x].shape == shape else b.broadcast(x, shape)
        y = y if b.steps[y].shape == shape else b.broadcast(y, shape)
        return b.emit(name, (x, y), None, shape, dtype)

    def call(self, function: Any, *args: Any) -> Any:
        """``torch.tanh(x)`` or ``x.tanh()``, or NotImplemented."""
        if type(function) is not types.BuiltinFunctionType:
            return NotImplemented
        x = args[0] if args else function.__self__
        function = function if args else _METHODS.get(function.__name__)
        if type(x) is not torch.Tensor or (row := ROWS.get(function)) is None or not self._may():
            return NotImplemented
        tensors, b = self.tracer.tensors, self.tracer.builder
        found = tensors.known_step(x)
        if found is None or b.dtype(found) not in _REAL:
            return NotImplemented
        with quiet():
            if x.is_neg():
                return NotImplemented
            out = function(x)
            self.tracer.at_line()
            shape = b.shape(found)
            tensors.made_anew(out, b.emit(row, (found,), None, shape, b.dtype(found)), shape)
        return out

    def _may(self) -> bool:
        """Whether torch's modes would do nothing else: no cut, no derivative that is recorded, no mode but ours."""
        t = self.tracer
        return not (
            t.differentiates
            or type(t.tensors.dispatch) is not Dispatch
            or t.tensors.cut
            or torch._C._len_torch_function_stack() != 1
            or torch._C._len_torch_dispatch_stack() != 1
            or torch.is_inference_mode_enabled()
            or torch.is_autocast_enabled("cpu")
        )
