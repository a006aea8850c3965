"""The types in symgrad's signatures: what a question may be made of, for annotations of code that passes it on.

>>> from symgrad import verify
>>> from symgrad.typing import FormulaLike, HandLike
>>> def is_gradient(formula: FormulaLike, hand: HandLike) -> bool:
...     return verify(formula, hand, points=16).ok
>>> is_gradient("x**2", "2*x")
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Literal, Protocol, TypeAlias, TypedDict, TypeVar

import numpy as np
import sympy as sp
import torch
from torch._library.custom_ops import CustomOpDef

from symgrad.lifting.formulas import Formula
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.program.program import Program

_T_co = TypeVar("_T_co", covariant=True)

Symbolic: TypeAlias = sp.Basic | sp.MatrixBase | sp.NDimArray
"""What SymPy holds: a scalar, a matrix, an array, an equation."""

FormulaLike: TypeAlias = str | Latex | Symbolic | Program | torch.nn.Module | Callable[..., object] | Formula
"""A formula: text, `Latex`, SymPy, a `Program`, a module, a Python function, or what `symgrad.vjp` and
`symgrad.jvp` return."""

Numbers: TypeAlias = float | complex | np.ndarray | np.generic | torch.Tensor | Sequence[object]
"""Values that were computed elsewhere."""

HandLike: TypeAlias = (
    FormulaLike
    | Numbers
    | Sequence[FormulaLike | Numbers]
    | Mapping[str, FormulaLike | Numbers]
    | Mapping[sp.Basic, FormulaLike | Numbers]
)
"""A hand formula: a formula or numbers; several in the order of ``wrt``, or by the inputs they are for."""

PointLike: TypeAlias = Mapping[str, object] | Mapping[sp.Basic, object]
"""A point by input: numbers, arrays, tensors, shapes such as ``("m", 3)``, or anything else that the code takes."""

NamesLike: TypeAlias = str | sp.Basic | Sequence[str | sp.Basic]
"""One input or several, by name or as SymPy's symbols."""

Bounds: TypeAlias = tuple[float | None, float | None]
"""Below and above; None for no bound."""

DomainLike: TypeAlias = str | sp.Basic | Mapping[str, Bounds] | Mapping[sp.Basic, Bounds]
"""Bounds by input, or a condition: text such as ``"0 < x < s"``, or a SymPy relation."""

DtypeLike: TypeAlias = str | torch.dtype | np.dtype | type[np.generic]
"""A dtype by its name, torch's or NumPy's."""

DeviceLike: TypeAlias = str | torch.device
"""Where tensors are: ``"cuda"``."""

FunctionLike: TypeAlias = type[torch.autograd.Function] | CustomOpDef | Callable[..., object]
"""A function with a backward of its own."""

Unreached: TypeAlias = Literal["refuse", "accept"]
"""What becomes of a claim where a branch was not reached."""


class Options(TypedDict, total=False):
    """The options of `symgrad.verify`, for what passes them on."""

    wrt: NamesLike | None
    at: PointLike | None
    order: int | None
    domain: DomainLike | None
    assuming: str | Sequence[str] | None
    meanings: Mapping[str, str] | None
    dtype: DtypeLike | None
    points: int
    effort: float
    unreached: Unreached
    seed: int
    timeout: float | None


class FunctionOptions(Options, total=False):
    """Those of `symgrad.verify_function` too."""

    reference: Callable[..., object] | None
    tile: int | Mapping[str, int] | None
    device: DeviceLike | None


Question: TypeAlias = tuple[FormulaLike, HandLike] | tuple[FormulaLike, HandLike, Options]
"""What `symgrad.verify_many` takes several of."""


class FutureLike(Protocol[_T_co]):
    """What an executor's ``submit`` returns."""

    def result(self) -> _T_co: ...


class Submits(Protocol):
    """An executor: `concurrent.futures.Executor`, Dask's client, MPI's."""

    def submit(self, fn: Callable[..., object], /, *args: object) -> FutureLike[object]: ...


ExecutorLike: TypeAlias = Executor | Submits
"""What questions can be sent to."""
