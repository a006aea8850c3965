"""What torch's derivatives are asked: functions of its operator tests, as text, and points at which rules break.

A case is text that anybody can run, and what is audited is that text: ``f = lambda x: ...`` of a tuple of real tensors.
An operator on complex numbers gets two of them for each of its tensors, and both parts of its value are looked at.
Operators and arguments come from torch's own operator tests (OpInfo), which say what each can be called with; the
points are ties, edges, zeros, equal rows and far scales.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from symgrad.errors import BadInput

_SAMPLES, _ENTRIES = 3, 60  # of an operator, and of all differentiable tensors of a sample
_LARGEST = 500  # entries of the only sample of an operator that has no smaller one
_NUMBERS = (0.5, 0.0, 1.0, -1.0, 3.0, -3.0, 1e-4, -30.0, 89.0, -89.0, 1e5, -1e8)
_COMPLEX = (
    (0.5, 0.25),
    (0.0, 0.0),
    (1.0, 0.0),
    (-2.0, 0.5),
    (0.0, 1.0),
    (1e-4, -1e-4),
    (-30.0, 30.0),
    (1.0, 89.0),
    (1e5, -1e5),
)
_PAIRS = ((0.5, 2.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 2.0), (1e-4, 1e-4), (1e5, 1.0), (3.0, 1e5))
_DOCUMENTED = (  # what torch's documentation says of their derivatives
    "nn.functional.gaussian_nll_loss",  # they ignore a clamp
    "linalg.eig",  # of eigenvectors only what has the same value for each choice of their phases has one
)
# what torch's tests leave out: name, the call, points
_FURTHER = (
    ("special.gammainc", "torch.special.gammainc(torch.ones_like(x[0]), x[0])", [[[v]] for v in _NUMBERS]),
    ("nn.functional.celu", "torch.nn.functional.celu(x[0], 0.1)", [[[v]] for v in _NUMBERS]),
    (
        "nn.functional.layer_norm",
        "torch.nn.functional.layer_norm(x[0], (1,), x[1], x[2])",
        [[[[3.0]], [1.0], [0.5]], [[[1e6]], [1.0], [0.5]]],
    ),
    ("bmm", "torch.bmm(x[0], x[1])", [[[[[1.0, 2.0], [0.0, -1.0]]], [[[3.0], [0.5]]]]]),
    ("nn.functional.rrelu", "torch.nn.functional.rrelu(x[0])", [[[v]] for v in _NUMBERS]),
    (
        "nn.functional.ctc_loss",
        "torch.nn.functional.ctc_loss(x[0].log_softmax(2), torch.tensor([[1, 2]]), [3], [2])",
        [[[[[0.5, -1.0, 2.0]], [[1.0, 0.0, 0.25]], [[-0.5, 0.75, 1.0]]]]],
    ),
    (
        "nn.functional.ctc_loss",  # the loss is a function of any numbers
        "torch.nn.functional.ctc_loss(x[0], torch.tensor([[1, 2]]), [3], [2])",
        [[[[[0.5, -1.0, 2.0]], [[1.0, 0.0, 0.25]], [[-0.5, 0.75, 1.0]]]]],
    ),
    (
        "cholesky_solve",  # one right-hand side for several matrices
        "torch.cholesky_solve(x[0], x[1].tril())",
        [[[[1.0, 2.0], [-1.0, 3.0]], [[[2.0, 0.0], [0.5, 3.0]], [[3.0, 0.0], [2.0, 2.0]]]]],
    ),
)


@dataclass(frozen=True, eq=False)
class Case:
    """An operator's function of a tuple of tensors, as text, at one point."""

    name: str
    text: str
    point: tuple[Tensor, ...]
    where: str
    is_complex: bool = False  # what the operator is called with; the point's tensors are real

    @property
    def dtype(self) -> str:
        """What the operator is called with, as torch names it."""
        dtype = self.point[0].dtype
        return str(dtype.to_complex() if self.is_complex else dtype).removeprefix("torch.")

    def function(self) -> Callable[[Sequence[Tensor]], Tensor]:
        return eval(self.text, {"torch": torch})

    def size(self, x: Sequence[Tensor]) -> Tensor:
        """The sum of what is added up in it, in absolute value."""
        return eval(self.text.removesuffix(".sum()") + ".abs().sum()", {"torch": torch})(x)

    def cast(self, dtype: torch.dtype) -> Case:
        return replace(self, point=tuple(x.to(dtype) for x in self.point))


def cases(only: Sequence[str] = ()) -> Iterator[Case]:
    """All cases, or those of some operators.  Raises `BadInput` for one that is not there, or without torch's tests."""
    try:
        from torch.testing._internal.common_methods_invocations import op_db
        from torch.testing._internal.opinfo.core import BinaryUfuncInfo, UnaryUfuncInfo
    except ImportError as error:
        raise BadInput(
            f"torch's own operator tests cannot be imported: {error}.", instead="pip install expecttest"
        ) from error
    unknown = set(only) - {op.name for op in op_db} - {name for name, *_ in _FURTHER}
    if unknown:
        raise BadInput(f"torch's operator tests have no {', '.join(sorted(unknown))}.")
    for op in op_db:
        if (only and op.name not in only) or op.name in _DOCUMENTED or not op.supports_autograd:
            continue
        alone = isinstance(op, (UnaryUfuncInfo, BinaryUfuncInfo))  # entry by entry, so that any points will do
        for dtype, numbers in ((torch.float64, (_NUMBERS, _PAIRS)), (torch.complex128, (_COMPLEX, _twos(_COMPLEX)))):
            for call, leaves in _calls(op, dtype, 1000 if alone else _ENTRIES) if dtype in op.dtypes else ():
                arguments = len(leaves) // (2 if dtype.is_complex else 1)
                if alone and arguments == (1 if isinstance(op, UnaryUfuncInfo) else 2):
                    entries = [list(np.atleast_1d(n)) for n in numbers[arguments - 1]]
                    points = [("", [torch.tensor([v]) for v in entry]) for entry in entries]
                else:
                    points = _points(leaves)
                yield from _written(op.name, call, points, dtype.is_complex)
    for name, call, entries in _FURTHER:
        if not only or name in only:
            yield from _written(name, call, [("", [*map(torch.tensor, point)]) for point in entries])


def _twos(entries: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Each beside the next, and beside itself."""
    return [a + b for a, b in zip(entries, [*entries[1:], entries[0]], strict=True)] + [a + a for a in entries[:3]]


def _written(
    name: str, call: str, points: Sequence[tuple[str, list[Tensor]]], is_complex: bool = False
) -> Iterator[Case]:
    """The call as real functions of one number, one for each of its outputs."""
    function = eval(f"lambda x: {call}", {"torch": torch})
    for where, point in points:
        doubles = tuple(x.double() for x in point)
        try:
            out = function([x.clone().requires_grad_() for x in doubles])
        except (RuntimeError, ValueError, IndexError):
            continue  # no point of its domain
        for k, y in enumerate(out if isinstance(out, (tuple, list)) else [out]):
            if not (isinstance(y, Tensor) and y.requires_grad and y.numel()):
                continue
            value, shape = call if y is out else f"{call}[{k}]", tuple(y.shape)
            if y.is_complex():
                value, shape = f"torch.view_as_real({value}.resolve_conj())", (*shape, 2)
            count = math.prod(shape)
            weights = f"torch.linspace(1, 2, {count}, dtype=x[0].dtype).reshape({shape})"
            text = f"lambda x: {value}.sum()" if count == 1 else f"lambda x: ({value} * {weights}).sum()"
            yield Case(name, text, doubles, where, is_complex)


# -------------------------------------------------------------------------------------------------------------- points


def _points(leaves: list[Tensor]) -> list[tuple[str, list[Tensor]]]:
    """The sample's own point and others of the same shapes: ties, edges, equal rows, far scales."""

    def equal_rows(x: Tensor) -> Tensor:
        return torch.cat([x[..., :-1, :], x[..., :1, :]], -2) if x.dim() > 1 and x.shape[-2] > 1 else x

    def a_zero(x: Tensor) -> Tensor:
        return torch.where(torch.arange(x.numel()).reshape(x.shape) == x.numel() // 2, 0, x)

    def unit(x: Tensor) -> Tensor:
        return torch.eye(*x.shape[-2:], dtype=x.dtype).expand(x.shape).clone() if x.dim() > 1 else torch.ones_like(x)

    seeded = torch.Generator().manual_seed(0)

    def drawn(x: Tensor) -> Tensor:  # samples may be special, such as diagonal; of a square a matrix to solve with
        found = torch.randint(-16, 17, x.shape, generator=seeded).to(x.dtype) / 8
        square = x.dim() > 1 and x.shape[-1] == x.shape[-2]
        return found + 8 * torch.eye(x.shape[-1], dtype=x.dtype) if square else found

    moves: dict[str, Callable[[Tensor], Tensor]] = {
        "": lambda x: x,
        "drawn entries": drawn,
        "zeros": torch.zeros_like,
        "a zero": a_zero,
        "equal entries": torch.ones_like,
        "whole numbers": lambda x: x.round(),
        "equal rows": equal_rows,
        "the identity": unit,
        "times 2**20": lambda x: x * 2**20,
        "times 2**-20": lambda x: x * 2**-20,
    }
    found: list[tuple[str, list[Tensor]]] = []
    for where, move in moves.items():
        point = [move(x) for x in leaves]
        if not any(all(map(torch.equal, point, other)) for _, other in found):
            found.append((where, point))
    return found


# --------------------------------------------------------------------------------------------------------------- calls


def _calls(op: Any, dtype: torch.dtype, most: int) -> Iterator[tuple[str, list[Tensor]]]:
    """Samples, the smallest and a large one first, as text over ``x[0], x[1], ...``, with the (real) tensors."""
    torch.manual_seed(0)
    try:
        samples = list(itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=True), 40))
    except Exception:  # a test of torch's that this machine cannot run
        return
    sized = []
    for k, s in enumerate(samples):
        leaves = [t for t in tree_leaves((s.input, s.args, s.kwargs)) if isinstance(t, Tensor) and t.requires_grad]
        count = sum(t.numel() for t in leaves)
        fits = {t.is_complex() for t in leaves} <= {False, dtype.is_complex}
        if 0 < count <= max(most, _LARGEST) and fits and all(t.layout is torch.strided for t in leaves):
            sized.append((count, k, s))
    told: set[str] = set()
    ordered = sorted(sized, key=lambda one: one[:2])
    for count, _, s in [*ordered[:1], *ordered[-1:], *ordered[1:-1]]:
        for swapped in (False, True):
            leaves = []
            try:
                call = _call(op, s, leaves, swapped)
                wrapped = op.gradcheck_wrapper(op.get_op(), s.input, *s.args, **s.kwargs)
                right = [t for t in tree_leaves(wrapped) if isinstance(t, Tensor)]
                again = eval(call, {"torch": torch, "x": leaves})
                same = all(map(torch.equal, right, (t for t in tree_leaves(again) if isinstance(t, Tensor))))
            except Exception:  # not to be written as one call, or random
                continue
            if same and call not in told and len(told) < (_SAMPLES if count <= most else 1):
                told.add(call)
                yield call, [(x.detach() * 64).round() / 64 for x in leaves]  # short to write
                break


def _call(op: Any, sample: Any, leaves: list[Tensor], swapped: bool = False) -> str:
    """The call as text; what is differentiable in it is added to ``leaves``.  Raises ValueError where it has none.

    torch's tests have the differentiable tensor first, which with some operators is the second argument (``swapped``).
    """
    own = {torch.float64: "x[0].dtype", torch.complex128: "x[0].dtype.to_complex()"}

    def told(x: Any) -> str:
        if isinstance(x, Tensor) and x.requires_grad:
            leaves.extend([x.real, x.imag] if x.is_complex() else [x])
            last = len(leaves) - 1
            return f"torch.complex(x[{last - 1}], x[{last}])" if x.is_complex() else f"x[{last}]"
        if isinstance(x, Tensor) and x.layout is torch.strided and x.numel() <= _LARGEST:
            return f"torch.tensor({x.tolist()}, dtype={own.get(x.dtype, x.dtype)})"
        if isinstance(x, (tuple, list)):
            inside = ", ".join(map(told, x))
            return f"[{inside}]" if isinstance(x, list) else f"({inside}{',' * (len(x) == 1)})"
        if x is None or isinstance(x, (bool, int, float, complex, str, slice, torch.dtype, type(Ellipsis))):
            return "..." if x is Ellipsis else repr(x)
        raise ValueError

    tensors = [sample.input, *sample.args]
    parts, options = [*map(told, tensors)], dict(sample.kwargs)
    wrapper = op.gradcheck_wrapper
    name = wrapper.__name__
    if name == "<lambda>":
        name = next((n for n in wrapper.__code__.co_names if n.startswith("gradcheck")), name)
    match name:  # what torch's own tests make of a matrix of which a half is looked at
        case "<lambda>":
            pass
        case "gradcheck_wrapper_masked_operation" | "gradcheck_wrapper_masked_pointwise_operation":
            if options.get("mask") is not None or options.get("input_mask") is not None:
                raise ValueError
        case "gradcheck_wrapper_hermitian_input":
            parts[0] = f"({parts[0]} + {parts[0]}.mH)"
        case "gradcheck_wrapper_triangular_input" | "gradcheck_wrapper_triangular_input_real_positive_diagonal":
            upper = bool(options.setdefault("upper", False))
            k = 1 if wrapper.__name__ == "<lambda>" else 0
            if name == "gradcheck_wrapper_triangular_input":
                parts[k] = f"{parts[k]}.tri{'u' if upper else 'l'}()"
            else:
                half = f"{parts[k]}.triu(1)" if upper else f"{parts[k]}.tril(-1)"
                parts[k] = f"({half} + torch.eye({tensors[k].shape[-1]}, dtype={own[tensors[k].dtype]}))"
        case _:
            raise ValueError
    if swapped:
        parts[:2] = parts[1::-1]
    first, *rest = [*parts, *(f"{n}={told(v)}" for n, v in options.items())]
    place: Any = torch
    for part in op.name.split("."):
        place = getattr(place, part, None)
    if callable(place):
        return f"torch.{op.name}({', '.join([first, *rest])})"
    if callable(getattr(Tensor, op.name, None)):
        return f"{first}.{op.name}({', '.join(rest)})"
    if hasattr(Tensor, op.name):
        return f"{first}.{op.name}"
    raise ValueError
