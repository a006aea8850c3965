"""Index notation as torch functions for all sizes, compiled by SymPy's `lambdify`.

>>> import sympy as sp
>>> from symgrad.indices.terms import IndexSum, tensor
>>> m, d = sp.symbols("m d", integer=True, positive=True)
>>> i, s = sp.symbols("i s", integer=True)
>>> U, x = tensor("U", m, d), tensor("x", d)
>>> y = Array(sp.tanh(IndexSum(U[i, s] * x[s], s, d)), (i,), (m,))
>>> f = tensor_function({"y": y}, {"U": (m, d), "x": (d,)})
>>> f(U=torch.eye(2), x=torch.tensor([0.0, 1.0]))
{'y': tensor([0.0000, 0.7616])}
>>> print(f.code)
v0 = torch.einsum('b,ab->a', x, U)
v1 = torch.tanh(v0)
return {'y': v1}
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
import torch
from sympy.printing.pytorch import TorchPrinter

from symgrad.errors import WrongShape
from symgrad.evaluation.torch_code import LOW, as_tensors, bind
from symgrad.indices import runtime as contractions
from symgrad.indices.named_axes import Lines
from symgrad.indices.terms import Array
from symgrad.indices.torch_lowering import lower_arrays

_HELPERS = {name: getattr(contractions, name) for name in contractions.__all__}


@dataclass(frozen=True, eq=False)
class TensorFunction:
    """Tensors in index notation as one torch function, for any sizes.

    Call it with its inputs by name or in their order: tensors, arrays or numbers of the declared shapes, whose sizes
    may be anything.  The results have the inputs' common dtype and their device; float16 and bfloat16 are computed in
    float32 and rounded once at the end.

    Raises `UnknownName`, `BadInput` for inputs that are missing, unknown or on different devices, `WrongShape` where
    the shapes are not of the declared kind, or one size would be two numbers.
    """

    lines: Lines
    shapes: Mapping[str, tuple[Any, ...]]
    _code: Callable[..., list[torch.Tensor]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_code", _compiled(self.lines))

    def __call__(self, *positional: Any, **named: Any) -> dict[str, torch.Tensor]:
        values = bind(tuple(self.shapes), positional, named)
        tensors, like, dtype = as_tensors(values)
        sizes = sizes_of(self.shapes, dict(zip(values, tensors, strict=True)))
        found = self._code(like, *(sizes[n] for n in self.lines.sizes), *tensors)
        found = [value.to(dtype) if dtype in LOW else value for value in found]
        return dict(zip(self.lines.results, found, strict=True))

    @property
    def code(self) -> str:
        """The lines, with the inputs and sizes under their own names; contractions as the `torch.einsum` they are."""
        names = dict(zip(self.lines.inputs, self.shapes, strict=True))
        shown = [
            f"{line.name} = {_spelled(line.template, [names.get(a, a) for a in line.args])}"
            for line in self.lines.lines
        ]
        results = ", ".join(f"{k!r}: {names.get(v, v)}" for k, v in self.lines.results.items())
        text = "\n".join([*shown, f"return {{{results}}}"]).replace("size_", "")
        return re.sub(r"\bcontract\(", "torch.einsum(", text)


def tensor_function(arrays: Mapping[str, Array], shapes: Mapping[str, Sequence[Any]]) -> TensorFunction:
    """The arrays as one torch function of inputs of these shapes, in numbers and size symbols.

    What the arrays have in common is computed once.  Raises `UnknownOperation` for a term that has no torch spelling
    for all sizes.
    """
    inputs = {n: tuple(sp.sympify(s) for s in shape) for n, shape in shapes.items()}
    sizes = dict.fromkeys(s for shape in inputs.values() for n in shape for s in n.free_symbols)
    return TensorFunction(lower_arrays(arrays, inputs, sizes), inputs)


def sizes_of(shapes: Mapping[str, Sequence[Any]], tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """What each size is in these tensors.  Raises `WrongShape` where they do not fit the shapes."""
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        actual = tuple(tensors[name].shape)
        written = ", ".join(map(str, shape))
        if len(actual) != len(shape):
            raise WrongShape(f"{name!r} has the shape {list(actual)}, which is not ({written}).")
        for n, length in zip(shape, actual, strict=True):
            known = sizes.setdefault(str(n), length) if n.is_Symbol else int(n)
            if known != length:
                raise WrongShape(f"{name!r} has the shape {list(actual)}, which is not ({written}): {n} is {known}.")
    return sizes


class _Spelled(sp.Function):
    """The line whose position is the first argument, of the symbols of the others."""

    nargs = None


class _Printer(TorchPrinter):
    """Prints the lines of a lowering."""

    def __init__(self, lines: Lines) -> None:
        super().__init__({"fully_qualified_modules": False, "inline": True})
        self.lines = lines

    def _print__Spelled(self, e: Any) -> str:
        line = self.lines.lines[int(e.args[0])]
        return _spelled(line.template, [self._print(a) for a in e.args[1:]])


def _spelled(template: str, args: Sequence[str]) -> str:
    return template.format(*args)


def _compiled(lines: Lines) -> Callable[..., list[torch.Tensor]]:
    """One line for each part; what is not needed any more is let go, as autograd does."""
    results = [sp.Symbol(n) for n in lines.results.values()]
    last = {a: k for k, line in enumerate(lines.lines) for a in (line.name, *line.args)}
    kept = {*lines.results.values(), *lines.inputs}
    steps: list[tuple[Any, Any]] = []
    for k, line in enumerate(lines.lines):
        steps.append((sp.Symbol(line.name), _Spelled(k, *map(sp.Symbol, line.args))))
        steps += [(sp.Symbol(a), None) for a in dict.fromkeys(line.args) if last[a] == k and a not in kept]
    names = ["like", *(f"size_{n}" for n in lines.sizes), *lines.inputs]
    return sp.lambdify(
        [sp.Symbol(n) for n in names],
        results,
        modules=[{"torch": torch, "math": math, **_HELPERS}],
        printer=_Printer(lines),
        cse=lambda _: (steps, results),  # type: ignore[arg-type]  # a callable is documented
    )
