"""Python functions and modules -> Programs, by running them under a tracer.

A `Function` knows its inputs and what kind of values its own code works with (tensors, arrays or floats, found from
the names it refers to); `Function.run` runs it at a point and returns the Program of that run.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.errors import NotReproducible, SymgradError, UserCodeFailed, WrongShape
from symgrad.lifting import instrument
from symgrad.lifting.tracing import Tracer
from symgrad.program import Program

__all__ = ["Function", "Run", "library_of"]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of the user's code: its Program, and the plain values that the code itself returned."""

    program: Program
    values: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Function:
    """A Python callable whose arguments are its inputs.

    ``names`` are the arguments, in order; ``stops`` says that ``detach`` cuts (in a model).  ``constants`` are
    arguments that are not floats (class labels, flags) and are passed on as they are.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    library: str
    stops: bool = True

    @classmethod
    def of(cls, function: Callable[..., Any], *, stops: bool = True, like: str | None = None) -> Function:
        """``like`` is the kind of values to give a function whose code does not tell."""
        parameters = inspect.signature(function).parameters.values()
        names = tuple(
            p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        )
        return cls(function, names, library_of(function) or like or "torch", stops)

    @property
    def required(self) -> tuple[str, ...]:
        """The arguments that have no default."""
        parameters = inspect.signature(self.function).parameters
        return tuple(n for n in self.names if parameters[n].default is inspect.Parameter.empty)

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """Run the code at a point, under a tracer, and once more without; both must give the same values.

        ``point`` maps names to arrays (or values that are not floats, passed as they are); ``dtypes`` says in which
        dtype each float input is given.  Raises `UserCodeFailed` if the code itself raises, `NotReproducible` if the
        two runs differ, `LostValue` or `UnknownOperation` where the code cannot be followed.
        """
        trace = Tracer(self.library, stops=self.stops)
        traced: dict[str, Any] = {}
        plain: dict[str, Any] = {}
        for name in self.names:
            if name not in point:
                continue
            value = point[name]
            if _is_float_data(value):
                dtype = dtypes if isinstance(dtypes, str) else dtypes.get(name, "float64")
                array = np.asarray(value)
                if array.dtype.kind == "c" and not dtype.startswith("complex"):
                    dtype = {"float32": "complex64"}.get(dtype, "complex128")
                step = trace.builder.input(name, array.shape, dtype)
                traced[name] = _give(trace, array, dtype, step, self.library)
                plain[name] = _give(None, array, dtype, step, self.library)
            else:
                traced[name] = plain[name] = value
        with trace.running():
            result = _call(trace.instrumented(self.function), traced)
            outputs = {name: trace.step_of(x) for name, x in _named(result).items()}
            values = {name: np.asarray(trace.value_of(x)) for name, x in _named(result).items()}
        again = {name: _plain(x) for name, x in _named(_call(self.function, plain)).items()}
        _same_twice(values, again)
        return Run(trace.builder.build(outputs), values)

    def plain(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Mapping[str, np.ndarray]:
        """What the code gives at a point, without a tracer."""
        given = {}
        for name in self.names:
            if name in point:
                value = point[name]
                dtype = dtypes if isinstance(dtypes, str) else dtypes.get(name, "float64")
                given[name] = _give(None, np.asarray(value), dtype, 0, self.library) if _is_float_data(value) else value
        return {name: _plain(x) for name, x in _named(_call(self.function, given)).items()}


def _call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        parameters = inspect.signature(function).parameters
        first = [arguments[n] for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY and n in arguments]
        rest = {n: v for n, v in arguments.items() if parameters[n].kind is not inspect.Parameter.POSITIONAL_ONLY}
        with np.errstate(all="ignore"):
            return function(*first, **rest)
    except SymgradError:
        raise
    except Exception as error:
        raise UserCodeFailed(
            f"your function raised {type(error).__name__}: {error}", where=_place(error, function)
        ) from error


def _place(error: Exception, function: Any) -> str | None:
    """The deepest line of the user's own code in a traceback."""
    found = None
    frames = error.__traceback__
    while frames is not None:
        code = frames.tb_frame.f_code
        if instrument.is_users(types.FunctionType(code, {}, closure=tuple(types.CellType() for _ in code.co_freevars))):
            found = f"    {code.co_filename}:{frames.tb_lineno}    " + instrument.line_of(
                code.co_filename, frames.tb_lineno
            )
        frames = frames.tb_next
    return found


def _is_float_data(value: Any) -> bool:
    if isinstance(value, (bool, int, str)) or value is None:
        return False
    if isinstance(value, (float, complex)):
        return True
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fc"


def _give(trace: Tracer | None, array: np.ndarray, dtype: str, step: int, library: str) -> Any:
    """An input in the form that the code works with, traced or plain."""
    from symgrad.lifting.tracing import TracedFloat

    if library == "torch":
        tensor = torch.tensor(array, dtype=getattr(torch, dtype))
        if trace is not None:
            trace.tensors.put(tensor, step)
        return tensor
    if dtype in ("bfloat16", "float16") and library == "numpy":
        dtype = "float16"
    rounded = torch.tensor(array, dtype=getattr(torch, dtype))
    value = rounded.numpy() if dtype != "bfloat16" else rounded.double().numpy()
    if library == "numpy":
        value = value.copy() if value.ndim else value[()]
        return value if trace is None else trace.arrays.new(value, step)
    if value.dtype.kind == "c":
        return complex(value) if not value.ndim else value.tolist()
    if trace is None:
        return value.tolist()
    step = trace.builder.cast(step, "float64")
    if not value.ndim:
        return TracedFloat(float(value), step, trace)
    return trace.arrays.new(value.astype(np.float64), step).tolist()


def _named(result: Any) -> dict[str, Any]:
    """The results by name: a mapping's keys, a tuple's places, ``output`` for a single value."""
    if isinstance(result, Mapping):
        return {str(k): v for k, v in result.items()}
    if isinstance(result, tuple) and not hasattr(result, "_fields"):
        return {str(k): v for k, v in enumerate(result)}
    if isinstance(result, tuple):
        return dict(zip(result._fields, result, strict=True))
    if result is None:
        raise WrongShape(
            "your function returned None.", instead="Return the value, or a mapping from input to gradient."
        )
    return {"output": result}


def _plain(x: Any) -> np.ndarray:
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().resolve_conj().resolve_neg()
        return (x.float() if x.dtype is torch.bfloat16 else x).numpy()
    if isinstance(x, (list, tuple)):
        return np.asarray([_plain(i) for i in x])
    return np.asarray(x)


def _same_twice(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
    if first.keys() != second.keys():
        raise NotReproducible(f"one run returned {sorted(first)}, the next {sorted(second)}.")
    for name in first:
        a, b = first[name], second[name]
        if a.shape != b.shape or not _close(a, b):
            raise NotReproducible(
                f"two runs of the function at the same point gave different values of {name}: "
                f"{_short(a)}, then {_short(b)}.",
                instead="Fix the randomness: put the module in eval mode, pass the random numbers as inputs, or set "
                "the seed inside the function.",
            )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to the order in which a kernel adds: the tracer turns fused kernels off, which may change last bits."""
    with np.errstate(all="ignore"):
        if np.array_equal(a, b, equal_nan=True):
            return True
        eps = {"float32": 1e-3, "complex64": 1e-3, "float16": 0.1}.get(str(a.dtype), 1e-9)
        scale = np.nanmax(np.abs(np.where(np.isfinite(a), a, 0)), initial=0)
        return bool(np.all((np.abs(a - b) <= eps * scale) | (a == b) | (np.isnan(a) & np.isnan(b))))


def _short(a: np.ndarray) -> str:
    return str(a) if a.size == 1 else f"{a.reshape(-1)[:3]}..."


# ------------------------------------------------------------------------------------------------ which library


def library_of(function: Any) -> str | None:
    """The kind of values a function's code works with, found from the names it refers to; None if it does not tell."""
    found = {library for library in _libraries(function, set())}
    for library in ("torch", "numpy", "math"):
        if library in found:
            return library
    return None


def _libraries(function: Any, seen: set[Any]) -> Iterator[str]:
    target = inspect.unwrap(getattr(function, "__func__", function))
    while hasattr(target, "func"):  # functools.partial
        target = target.func
    target = getattr(target, "__func__", target)
    if not isinstance(target, types.FunctionType):
        call = getattr(type(target), "__call__", None)
        if isinstance(target, torch.nn.Module):
            yield "torch"
        elif isinstance(call, types.FunctionType):
            yield from _libraries(call, seen)
        return
    if target in seen:
        return
    seen.add(target)
    cells = {}
    for name, cell in zip(target.__code__.co_freevars, target.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            continue
    for code in instrument.code_objects(target.__code__):
        names = set(code.co_names) | set(code.co_freevars)
        for name in names:
            value = cells.get(name, target.__globals__.get(name))
            yield from _library_of_value(name, value, seen)


def _library_of_value(name: str, value: Any, seen: set[Any]) -> Iterator[str]:
    if value is None and name in ("torch", "numpy", "math"):
        yield name  # imported inside the function
        return
    module = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    if isinstance(value, torch.Tensor) or isinstance(value, torch.nn.Module):
        yield "torch"
    elif isinstance(value, (np.ndarray, np.ufunc)):
        yield "numpy"
    elif isinstance(module, str) and (value is not None) and not isinstance(value, (int, float, str)):
        root = module.split(".")[0]
        if root in ("torch", "numpy", "math", "scipy"):
            yield {"scipy": "numpy"}.get(root, root)
        elif isinstance(value, types.FunctionType) and instrument.is_users(value):
            yield from _libraries(value, seen)
