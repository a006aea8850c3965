"""Programs -> torch functions, through SymPy's `lambdify` with our printer.

A Program becomes one line for each step, so that a thousand steps deep compiles without recursion.  No name of the
user's reaches the code that is executed.  What no input changes is folded to the nearest double.
"""

from __future__ import annotations

import keyword
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
import torch
from flint import acb, arb

from symgrad.errors import BadInput, UnknownName, WrongShape, close_names
from symgrad.evaluation.balls import Balls
from symgrad.evaluation.torch_printer import OWN, Line, StepPrinter
from symgrad.ops.matrices import MATRICES
from symgrad.ops.row import precision
from symgrad.program.program import Program, Shape, dependencies, interpret, size

# ------------------------------------------------------------------------------------------------------------- folding
# What in a Program depends on no input, as the doubles nearest to the exact values.

_BITS = 300
_LARGEST = 4096  # entries of a constant tensor that is folded


def nearest(ball: Any) -> float | complex | None:
    """The double nearest to a narrow ball (ties and the ball's own width aside), or None if it is not finite.

    >>> with precision(200):
    ...     nearest(arb(2).sqrt())
    1.4142135623730951
    """
    if isinstance(ball, acb):
        real, imag = nearest(ball.real), nearest(ball.imag)
        return None if real is None or imag is None else complex(real, imag)
    if not isinstance(ball, arb) or not ball.is_finite():
        return None
    mantissa, exponent = ball.mid().man_exp()
    m, e = int(mantissa), int(exponent)
    if not m:
        return 0.0
    try:
        return float(Fraction(m) * Fraction(2) ** e) if abs(e) < 10_000 else None
    except OverflowError:
        return None


def folded(program: Program, wanted: list[int]) -> dict[int, np.ndarray]:
    """The values of the steps among ``wanted`` that no input changes, rounded once; {step: array of its shape}.

    A step is left out where its exact value is not finite, or has more than 4096 entries.
    """
    open_steps: set[int] = set()
    for i in wanted:
        step = program.steps[i]
        if step.op == "input" or size(step.shape) > _LARGEST or any(a in open_steps for a in step.args):
            open_steps.add(i)
    closed = [i for i in wanted if i not in open_steps]
    found: dict[int, np.ndarray] = {}
    values: dict[int, Any] = {}
    system = Balls()
    with precision(_BITS):
        for i in closed:
            if any(a not in values for a in program.steps[i].args):
                continue
            try:
                values |= interpret(program, system, {}, [i], replaced={a: values[a] for a in program.steps[i].args})
            except (ValueError, ZeroDivisionError, NotImplementedError, TypeError, KeyError):
                continue
            entries = [nearest(x) for x in np.asarray(values[i], dtype=object).reshape(-1).tolist()]
            if all(x is not None for x in entries):
                found[i] = np.array(entries).reshape(program.steps[i].shape)
    return found


# ---------------------------------------------------------------------------------------------------------- torch code

_PREFIX = "_symgrad_"
LOW = (torch.float16, torch.bfloat16)
_MOVES = frozenset("pick scatter matmul inverse solve det logabsdet cholesky softmax log_softmax logsumexp".split())
_MOVES |= MATRICES.keys()


@dataclass(frozen=True, eq=False)
class TorchFunction:
    """A Program as a torch function; call it with its inputs by name, or in their order.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> f = TorchFunction(b.build({"value": b.apply("sigmoid", b.input("x", ()))}))
    >>> f(torch.tensor([0.0, -500.0], dtype=torch.float64))
    tensor([ 5.0000e-01, 7.1246e-218], dtype=torch.float64)

    Inputs are tensors, arrays or numbers.  The result has the inputs' common dtype (numbers do not count; float64 if
    there are only numbers) and their device; float16 and bfloat16 are computed in float32 and rounded once at the
    end.  Leading axes of an input, beyond the shape it has in the Program, are a batch: they are broadcast over all
    inputs, and the result has them too.  Everything is differentiable by torch, and works under ``torch.vmap``.
    ``compiled`` is the code itself, of a tensor whose dtype and device its constants take, and of the inputs.  One
    output is returned bare, several as a dict.  Where the Program took a branch at its point, so does the function.

    Raises `UnknownOperation` for a step that torch cannot be told, `UnknownName` for an input that is missing or not
    the Program's, `WrongShape` for shapes that do not fit, `BadInput` for inputs on different devices.
    """

    program: Program
    compiled: Callable[..., list[torch.Tensor]] = field(init=False, repr=False)
    _pointwise: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        code, pointwise = _compiled(self.program)
        object.__setattr__(self, "compiled", code)
        object.__setattr__(self, "_pointwise", pointwise)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.program.inputs)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        values = bind(self.names, positional, named)
        tensors, like, dtype = as_tensors(values)
        shapes = [self.program.shape(i) for i in self.program.inputs.values()]
        for k, (value, i) in enumerate(zip(values.values(), self.program.inputs.values(), strict=True)):
            given = value.is_complex() if isinstance(value, torch.Tensor) else np.iscomplexobj(value)
            if not self.program.steps[i].is_complex and not given:
                tensors[k] = tensors[k].real  # beside complex ones
        batch = _batch(self.names, tensors, shapes)
        if self._pointwise or not batch:
            found = self.compiled(like, *tensors)
        elif not size(batch):
            found = [like.new_empty(()) for _ in self.program.outputs]
        else:
            found = self._mapped(like, tensors, shapes, batch)
        out = []
        for value, i in zip(found, self.program.outputs.values(), strict=True):
            value = value.expand(batch + self.program.shape(i))
            out.append(value.to(dtype) if dtype in LOW else value)
        return out[0] if len(out) == 1 else dict(zip(self.program.outputs, out, strict=True))

    def _mapped(
        self, like: torch.Tensor, tensors: Sequence[torch.Tensor], shapes: Sequence[Shape], batch: Shape
    ) -> list[torch.Tensor]:
        """The function mapped over the batch, which is flattened for it."""
        flat, axes = [], []
        for tensor, shape in zip(tensors, shapes, strict=True):
            mapped = tensor.dim() > len(shape)
            flat.append(tensor.expand(batch + shape).reshape(size(batch), *shape) if mapped else tensor)
            axes.append(0 if mapped else None)
        found = torch.vmap(lambda *args: tuple(self.compiled(like, *args)), tuple(axes))(*flat)
        return [value.reshape(batch + value.shape[1:]) for value in found]


_KEPT: weakref.WeakKeyDictionary[Program, TorchFunction] = weakref.WeakKeyDictionary()


def call(program: Program, *positional: Any, **named: Any) -> Any:
    """Evaluate the Program on tensors: ``TorchFunction(program)(...)``, compiled once for each Program."""
    if program not in _KEPT:
        _KEPT[program] = TorchFunction(program)
    return _KEPT[program](*positional, **named)


def source(program: Program) -> str:
    """Return the torch code of a Program as Python text, under the inputs' own names where Python allows them.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> print(source(b.build({"value": b.div(b.apply("tanh", b.input("x", ())), b.number(3))})))
    import torch
    <BLANKLINE>
    def function(x):
        v1 = torch.tanh(x)
        v2 = v1 / 3
        return v2
    """
    taken = {"torch", "like", "function", "OPS", *OWN}
    names: dict[int, str] = {}
    for name, i in program.inputs.items():
        clean = "".join(c if c.isidentifier() or c.isdigit() else "_" for c in name)
        if not clean.isidentifier() or keyword.iskeyword(clean) or _reserved(clean):
            clean = f"x_{clean}"
        while clean in taken:
            clean += "_"
        names[i] = clean
        taken.add(clean)
    printer, lines, results = _lines(program, "", names)
    body = [f"    {symbol} = {printer.doprint(line)}" for symbol, line in lines]
    body.append(f"    return {', '.join(str(printer.doprint(r)) for r in results)}")
    if any("like" in line for line in body):
        first = names[next(iter(program.inputs.values()))] if program.inputs else "torch.zeros(())"
        body.insert(0, f"    like = {first}")
    head = ["import torch"]
    for name, value in printer.captured.items():
        if name in OWN:
            head.append(f"from {OWN[name].__module__} import {name}")
        elif name.startswith("matrices_"):
            head.append("from symgrad.ops.matrices import MATRICES")
            head.append(f'{name} = MATRICES["{name.removeprefix("matrices_")}"].torch')
        elif name.startswith("kernel_"):
            head.append("from symgrad.ops.scalars import OPS")
            head.append(f'{name} = OPS["{name.removeprefix("kernel_")}"].torch')
        else:
            kind = ", dtype=torch.float64" if value.dtype == torch.float64 else ""
            head.append(f"{name} = torch.tensor({value.tolist()}{kind})")
    return "\n".join([*head, "", f"def function({', '.join(names.values())}):", *body])


# ------------------------------------------------------------------------------------------------ compiling


def _reserved(name: str) -> bool:
    return (name[0] == "v" and name[1:].isdigit()) or name.partition("_")[0] in ("index", "constant", "kernel", "kept")


def _lines(
    program: Program, prefix: str, names: Mapping[int, str]
) -> tuple[StepPrinter, list[tuple[sp.Symbol, Any]], list[Any]]:
    """The printer, one (symbol, step) for each step that is needed, and the results."""
    wanted = program.needed(program.outputs.values())
    numbers = folded(program, wanted)
    alive = sorted(dependencies(program.steps, program.outputs.values(), numbers))  # what is folded needs nothing
    own = (i for i in alive if i not in names)
    symbols = {i: sp.Symbol(f"v{k}") for k, i in enumerate(own, start=1)} | {i: sp.Symbol(n) for i, n in names.items()}
    printer = StepPrinter(program, numbers, prefix)
    nothing = sp.Symbol("None")

    def line(i: int) -> Any:
        return Line(i, *(nothing if a in numbers else symbols[a] for a in program.steps[i].args))

    lines = [(symbols[i], line(i)) for i in alive if program.steps[i].op != "input"]
    results = [Line(i) if i in numbers else symbols[i] for i in program.outputs.values()]
    return printer, lines, results


def _compiled(program: Program) -> tuple[Callable[..., list[torch.Tensor]], bool]:
    names = {i: f"x{k}" for k, i in enumerate(program.inputs.values())}
    printer, lines, results = _lines(program, _PREFIX, names)
    for _, line in lines:  # so that `captured` is full before lambdify makes the namespace
        printer.doprint(line)
    for result in results:
        printer.doprint(result)
    arguments = [sp.Symbol(_PREFIX + "like"), *(sp.Symbol(n) for n in names.values())]
    code = sp.lambdify(
        arguments,
        results,
        modules=[{"torch": torch, **printer.captured}],
        printer=printer,
        cse=lambda _: (lines, results),  # type: ignore[arg-type]  # a callable is documented
    )
    steps = [program.steps[int(line.args[0])] for _, line in lines]  # type: ignore[arg-type]
    outputs = [program.steps[i] for i in program.outputs.values()]
    pointwise = not any(s.shape or s.op in _MOVES for s in (*steps, *outputs))
    return code, pointwise and not any(program.shape(i) for i in program.inputs.values())


# ------------------------------------------------------------------------------------------------ calling


def bind(names: Sequence[str], positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name, in the order of ``names``."""
    if len(positional) > len(names):
        raise BadInput(f"{len(positional)} inputs are given, and there are {len(names)}: {', '.join(names)}.")
    values = dict(zip(names, positional, strict=False))
    for name, value in named.items():
        if name not in names:
            near = close_names(name, names) or f"The inputs are {', '.join(names)}."
            raise UnknownName(f"{name!r} is not an input. {near}")
        if name in values:
            raise BadInput(f"{name!r} is given twice.")
        values[name] = value
    missing = [n for n in names if n not in values]
    if missing:
        raise UnknownName(f"no value is given for {', '.join(map(repr, missing))}.")
    return {n: values[n] for n in names}


def as_tensors(values: Mapping[str, Any]) -> tuple[list[torch.Tensor], torch.Tensor, torch.dtype]:
    """The values as tensors of one dtype on one device, a tensor like them, and the dtype of the result."""
    given = {n: torch.as_tensor(v) if isinstance(v, (np.ndarray, list, tuple)) else v for n, v in values.items()}
    tensors = {n: v for n, v in given.items() if isinstance(v, torch.Tensor)}
    for name, value in given.items():
        if name not in tensors and not isinstance(value, (int, float, complex, np.number)):
            raise BadInput(f"{name!r} is a {type(value).__name__}, not a tensor or a number.")
    devices = {v.device for v in tensors.values()}
    if len(devices) > 1:
        placed = ", ".join(f"{n} on {v.device}" for n, v in tensors.items())
        raise BadInput(f"the inputs are on different devices: {placed}.", instead="Move them with .to(device).")
    dtype = None
    for v in tensors.values():
        dtype = v.dtype if dtype is None else torch.promote_types(dtype, v.dtype)
    if dtype is None:
        dtype = torch.float64
    elif not dtype.is_floating_point and not dtype.is_complex:
        dtype = torch.get_default_dtype()
    if any(isinstance(v, (complex, np.complexfloating)) for v in given.values()):
        dtype = torch.promote_types(dtype, torch.complex64)
    working = torch.float32 if dtype in LOW else dtype
    device = next(iter(devices), torch.device("cpu"))
    found = [
        v.to(working) if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=working, device=device)
        for v in given.values()
    ]
    return found, torch.zeros((), dtype=working, device=device), dtype


def _batch(names: Sequence[str], tensors: Sequence[torch.Tensor], shapes: Sequence[Shape]) -> Shape:
    """The common leading shape of the inputs."""
    leads = []
    for name, tensor, shape in zip(names, tensors, shapes, strict=True):
        lead = tuple(tensor.shape[: max(0, tensor.dim() - len(shape))])
        if tuple(tensor.shape[len(lead) :]) != shape:
            raise WrongShape(f"{name!r} has the shape {list(tensor.shape)}, which does not end in {list(shape)}.")
        leads.append(lead)
    try:
        return tuple(torch.broadcast_shapes(*leads))
    except RuntimeError:
        shown = ", ".join(f"{n} {list(lead)}" for n, lead in zip(names, leads, strict=True))
        raise WrongShape(f"the inputs' leading axes cannot be broadcast: {shown}.") from None
