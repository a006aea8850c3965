"""Python functions and modules -> Programs, by running them under a tracer.

A `Function` knows its inputs and what kind of values its own code works with (tensors, arrays or floats, found from
the names it refers to); `Function.run` runs it at a point and returns the Program of that run.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import inspect
import itertools
import linecache
import random
import traceback
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from symgrad.errors import NotReproducible, SymgradError, UserCodeFailed, WrongShape
from symgrad.lifting.scripts.child_process import known_path
from symgrad.lifting.tracing import sources
from symgrad.lifting.tracing.nests import Nest, assembled, gradients_by_input, spread
from symgrad.lifting.tracing.surroundings import neutral, uncovered
from symgrad.lifting.tracing.tracer import TracedArray, TracedFloat, Tracer
from symgrad.program.program import Program

# ----------------------------------------------------------------------------------------------------------- functions

_MOST = 1_000_000  # steps of a first run
_LONGER, _FEWEST = 20, 1000  # how many times as many as before another run may take, and what it may take at least
_CHANCES = 8  # runs by which a coin's two sides show
_FEW = 8  # entries of a container that are looked at
_FIRST = inspect.Parameter.POSITIONAL_ONLY


@dataclass(frozen=True, eq=False)
class Run:
    """One run of the user's code: its Program, and the plain values that the code itself returned.

    ``symbolic`` says that it is no code but a formula: where it has no real value, a complex one may be meant.
    ``numbers`` are the whole numbers that the code writes: it may go another way where a size is one of them.
    ``derived`` are outputs that were written on the record, and that no code has computed.
    ``together`` says that the other side comes from the same run, whose choices are those of both.
    """

    program: Program
    values: Mapping[str, np.ndarray]
    symbolic: bool = False
    numbers: frozenset[int] = frozenset()
    derived: frozenset[str] = frozenset()
    together: bool = False


@dataclass(frozen=True, eq=False)
class Function:
    """A Python callable whose arguments are its inputs.

    ``names`` are the arguments, in order; ``stops`` says that ``detach`` cuts (in a model).  Values that are
    not floats (class labels, flags) are passed on as they are.  ``beside`` is a module whose parameters the code may
    reach without being given them; they are inputs too, under their own names.  ``nests`` are the arguments that hold
    several inputs, and ``returns`` those that gradients may be built like.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    library: str
    stops: bool = True
    beside: torch.nn.Module | None = None
    converts: bool = False  # whether data that are no floats are passed as the kind of values that the code works with
    differentiates: bool = False  # whether it is a hand formula that lets autograd differentiate a part
    longest: int = 0  # steps, or rounds of loops, of the longest run so far
    nests: Mapping[str, Nest] = field(default_factory=dict)
    returns: Mapping[str, Nest] = field(default_factory=dict)

    @classmethod
    def of(cls, function: Callable[..., Any], *, stops: bool = True, like: str | None = None) -> Function:
        """``like`` is the kind of values to give a function whose code does not tell."""
        function = uncovered(function)
        parameters = inspect.signature(function).parameters.values()
        names = tuple(
            p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        )
        library = library_of(function) or like or "torch"
        if stops and library != "torch" and "tensors" in set(_libraries(function, set())):
            library = "torch"  # a model that calls a module, whatever else it uses
        differentiates = not stops and library == "torch" and "autograd" in set(_libraries(function, set()))
        return cls(function, names, library, stops, differentiates=differentiates)

    @functools.cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @property
    def required(self) -> tuple[str, ...]:
        """The arguments that have no default."""
        optional = {n for n, p in self.parameters.items() if p.default is not p.empty}
        return tuple(n for n in self.names if n not in spread(sorted(optional), self.nests))

    @property
    def is_open(self) -> bool:
        """Whether the function takes arguments of any name."""
        return any(p.kind is p.VAR_KEYWORD for p in self.parameters.values())

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """Run the code at a point, under a tracer, and once more without; both must give the same values.

        ``point`` maps names to arrays (or values that are not floats, passed as they are); ``dtypes`` says in which
        dtype each float input is given.  Raises `UserCodeFailed` if the code itself raises, `NotReproducible` if the
        two runs differ, `LostValue` or `UnknownOperation` where the code cannot be followed.

        Which kind of values the code works with is a guess where its text does not tell; where the code fails with
        one kind and runs with another, that is the one.  Labels and the like are passed as they were given, or else as
        that kind.  `EndlessRun` is raised where a run takes many times as long as any before.
        """
        try:
            return self._run(point, dtypes)
        except UserCodeFailed as error:
            if not isinstance(error.__cause__, (AttributeError, TypeError, ValueError)):
                raise
            kinds = dict.fromkeys((self.library, "torch", "numpy", "math"))
            for library, converts in itertools.product(kinds, (True, False)):
                with contextlib.suppress(SymgradError):
                    run = replace(self, library=library, converts=converts)._run(point, dtypes)
                    object.__setattr__(self, "library", library)
                    object.__setattr__(self, "converts", converts)
                    return run
            raise

    def _run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str) -> Run:
        trace = Tracer(self.library, stops=self.stops, differentiates=self.differentiates)
        trace.builder.most = max(_FEWEST, _LONGER * self.longest) if self.longest else _MOST
        given = self._given(point, dtypes, trace)
        with holding(self.beside, point) as parameters:
            for name, tensor in parameters.items():
                dtype = str(tensor.dtype).removeprefix("torch.")
                trace.tensors.put(tensor, trace.builder.input(name, tuple(tensor.shape), dtype))
            with trace.running():
                result = self._named(called(trace.ready(self.function), given, self.function))
                program = trace.program(result)
                values = {name: np.asarray(trace.value_of(x)) for name, x in result.items()}
            same_again(values, lambda: self.plain(point, dtypes), trace)
        object.__setattr__(self, "longest", max(self.longest, len(program), trace.course.rounds))
        return Run(program, values, numbers=frozenset(trace.numbers))

    def plain(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Mapping[str, np.ndarray]:
        """What the code gives at a point, without a tracer."""
        with neutral():
            result = called(self.function, self._given(point, dtypes, None))
            return {name: plain(x) for name, x in self._named(result).items()}

    def by_name(self, **given: Any) -> Any:
        """The code itself, called with its single inputs."""
        return self.function(**assembled(given, self.nests))

    def _named(self, result: Any) -> dict[str, Any]:
        return named(gradients_by_input(result, self.returns))

    def passed(self, value: Any) -> Any:
        """Labels, masks and the like as the code gets them: as they are, or as tensors or arrays, if they can be."""
        if self.converts and self.library == "torch" and isinstance(value, (np.ndarray, np.generic)):
            return torch.as_tensor(value) if value.dtype.kind in "biufc" else value
        is_tensor = self.converts and self.library != "torch" and isinstance(value, torch.Tensor)
        return value.numpy() if is_tensor else value

    def _given(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str, trace: Tracer | None) -> dict[str, Any]:
        """The arguments in the form that the code works with; inputs of the trace, if there is one."""
        given: dict[str, Any] = {}
        for name in (*self.names, *(n for n in point if self.is_open and n not in self.names)):
            if name not in point:
                continue
            value = point[name]
            if not is_float_data(value):
                given[name] = self.passed(value)
                continue
            dtype = dtypes if isinstance(dtypes, str) else dtypes.get(name, "float64")
            array = np.asarray(value)
            if array.dtype.kind == "c" and not dtype.startswith("complex"):
                dtype = {"float32": "complex64"}.get(dtype, "complex128")
            step = 0 if trace is None else trace.builder.input(name, array.shape, dtype)
            given[name] = _give(trace, array, dtype, step, self.library)
        return assembled(given, self.nests)


@contextlib.contextmanager
def holding(module: torch.nn.Module | None, point: Mapping[str, Any]) -> Iterator[dict[str, torch.Tensor]]:
    """A block in which a module's parameters hold their values at a point; afterwards they are as they were.

    Memory is written in place, so that arrays which share it (``weight.detach().numpy()``) hold the same values.
    """
    parameters = {} if module is None else {n: p for n, p in module.named_parameters() if n in point}
    before = {n: p.detach().clone() for n, p in parameters.items()}
    try:
        with torch.no_grad():
            for n, p in parameters.items():
                p.copy_(torch.as_tensor(point[n]))
        yield dict(parameters)
    finally:
        with torch.no_grad():
            for n, p in parameters.items():
                p.copy_(before[n])


def called(function: Callable[..., Any], arguments: Mapping[str, Any], signed: Callable[..., Any] | None = None) -> Any:
    """Call ``function`` with arguments by name; ``signed`` is the function whose signature it has, itself if None."""
    try:
        by_place = _by_place(signed or function)
        first = [arguments[n] for n in by_place if n in arguments]
        rest = {n: v for n, v in arguments.items() if n not in by_place}
        with np.errstate(all="ignore"):
            return function(*first, **rest)
    except SymgradError:
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeFailed(
            f"your function raised {type(error).__name__}: {error}", where=failing_line(error)
        ) from error


def _by_place(function: Callable[..., Any]) -> Sequence[str]:
    """The names of the parameters that can be given by their place only."""
    if type(function) is types.FunctionType and not vars(function):  # that has no other signature than its code's
        return function.__code__.co_varnames[: function.__code__.co_posonlyargcount]
    return [n for n, p in inspect.signature(function).parameters.items() if p.kind is _FIRST]


def failing_line(error: BaseException) -> str | None:
    """The deepest line of the user's own code in a traceback."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if sources.is_users(code):
            text = linecache.getline(code.co_filename, line).strip()
            found = f"    {known_path(code.co_filename)}:{line}    {text}"
    return found


def is_float_data(value: Any) -> bool:
    if isinstance(value, (bool, int, str)) or value is None:
        return False
    if isinstance(value, (float, complex)):
        return True
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fc"


def _give(trace: Tracer | None, array: np.ndarray, dtype: str, step: int, library: str) -> Any:
    """An input in the form that the code works with, traced or plain."""
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


def named(result: Any) -> dict[str, Any]:
    """The results by name: a mapping's keys, a tuple's places, ``output`` for a single value."""
    if result is None or (isinstance(result, (Mapping, tuple)) and not result):
        raise WrongShape(
            f"your function returned {result!r}.", instead="Return the value, or a mapping from input to gradient."
        )
    if isinstance(result, Mapping):
        return {str(k): v for k, v in result.items()}
    if isinstance(result, tuple):
        names = getattr(result, "_fields", range(len(result)))
        return {str(k): v for k, v in zip(names, result, strict=True)}
    return {"output": result}


def plain(x: Any) -> np.ndarray:
    """A value of the user's code, run without a tracer, as an array."""
    if type(x) in (TracedFloat, TracedArray):
        raise x.tracer.kept()
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().resolve_conj().resolve_neg()
        return (x.float() if x.dtype is torch.bfloat16 else x).numpy()
    if isinstance(x, (list, tuple)):
        return np.asarray([plain(i) for i in x])
    return np.asarray(x)


def same_again(first: Mapping[str, np.ndarray], run: Callable[[], Mapping[str, np.ndarray]], trace: Tracer) -> None:
    """Raise where the code without a tracer gives another thing; random numbers get more chances to differ.

    Runs without a tracer use the same kernels, so among these the smallest difference counts.
    """
    before = _generators()
    again = run()
    _same(first, again, trace)
    if _generators() != before:
        for _ in range(_CHANCES):
            _same(again, run(), trace, exactly=True)
    trace.tensors.release()


def _generators() -> tuple[Any, ...]:
    """The states of the random generators that everyone shares."""
    shared: Any = np.random.get_bit_generator()  # type: ignore[attr-defined]
    is_usual = type(shared) is np.random.MT19937  # its 624 words, and the place among them, are read where they lie
    numpy = ctypes.string_at(shared.ctypes.state_address, 4 * 625) if is_usual else repr(shared.state)
    return torch.get_rng_state().numpy().tobytes(), numpy, random.getstate()


def _same(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], trace: Tracer, *, exactly: bool = False
) -> None:
    if first.keys() != second.keys():
        raise NotReproducible(f"one run returned {sorted(first)}, the next {sorted(second)}.")
    for name in first:
        a, b = first[name], second[name]
        if a.shape == b.shape and a.dtype == b.dtype and a.size <= _FEW and a.tobytes() == b.tobytes():
            continue
        empty = np.isnan(a) & ~np.isnan(b) if a.shape == b.shape and not exactly else np.zeros(())
        if empty.any():  # the tracer fills such memory with nan
            entry = f"[{', '.join(map(str, np.argwhere(empty)[0]))}]" if a.ndim else "itself"
            raise NotReproducible(
                f"entry {entry} of {name} is memory that the function never filled: it holds whatever lay there.",
                instead="Fill every entry of what np.empty or torch.empty makes, or begin with zeros.",
            )
        if a.shape != b.shape or not nearly_equal(a, b, 0.0 if exactly else _slack(trace)):
            raise NotReproducible(
                f"two runs of the function at the same point gave different values of {name}: "
                f"{_short(a)}, then {_short(b)}.",
                instead="Fix the randomness: put the module in eval mode, pass the random numbers as inputs, or set "
                "the seed inside the function.",
            )


def _slack(trace: Tracer) -> float:
    """By how much of its size a value of a run may differ from that of another, by the coarsest dtype in it."""
    narrow = {step.dtype for step in trace.builder.steps} & {"float32", "complex64", "float16", "bfloat16"}
    return 0.1 if narrow & {"float16", "bfloat16"} else 1e-3 if narrow else 1e-9


def nearly_equal(a: np.ndarray, b: np.ndarray, eps: float) -> bool:
    """Equal up to the order in which a kernel adds: the tracer turns fused kernels off, which may change last bits."""
    with np.errstate(all="ignore"):
        if np.array_equal(a, b, equal_nan=True):
            return True
        scale = np.nanmax(np.abs(np.where(np.isfinite(a), a, 0)), initial=0)
        return bool(np.all((np.abs(a - b) <= eps * scale) | (a == b) | (np.isnan(a) & np.isnan(b))))


def _short(a: np.ndarray) -> str:
    return str(a) if a.size == 1 else f"{a.reshape(-1)[:3]}..."


def with_nests(formula: Any, nests: Mapping[str, Nest], *, of_gradients: bool = False) -> Any:
    """Code whose arguments in ``nests`` hold several inputs; ``of_gradients`` says that its results are built so."""
    if not nests or not isinstance(formula, (Function, Module)) or formula.nests:
        return formula  # text, SymPy and numbers have single inputs
    is_open = isinstance(formula, Function) and formula.is_open
    own = {n: nest for n, nest in nests.items() if n in formula.names or is_open}
    made = replace(formula, names=tuple(spread(formula.names, own)), nests=own)
    return replace(made, returns=nests) if of_gradients and isinstance(made, Function) else made


# ------------------------------------------------------------------------------------------------ which library


def library_of(function: Any) -> str | None:
    """The kind of values a function's code works with, found from the names it refers to; None if it does not tell."""
    found = set(_libraries(function, set()))
    for library in ("torch", "numpy", "math"):
        if library in found:
            return library
    return "torch" if "tensors" in found else None


def _libraries(function: Any, seen: set[Any], owner: type | None = None) -> Iterator[str]:
    """The libraries that a function refers to; ``owner`` is the class whose method it is."""
    while isinstance(function, functools.partial):
        function = function.func
    owner = owner or type(getattr(function, "__self__", function))
    target = sources.unwrapped(inspect.unwrap(function))
    if target is None:
        if isinstance(function, torch.nn.Module):
            yield "tensors"
            return
        target = sources.unwrapped(owner.__call__) if hasattr(owner, "__call__") else None  # noqa: B004
    if target is None or target in seen:
        return
    seen.add(target)
    cells = {}
    for name, cell in zip(target.__code__.co_freevars, target.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            cells[name] = cell.cell_contents
    for code in sources.code_objects(target.__code__):
        for name in {*code.co_names, *code.co_freevars}:
            if name in ("autograd", "backward"):
                yield "autograd"
            value = cells.get(name, target.__globals__.get(name))
            if isinstance(value, types.ModuleType):  # module.helper(...): what the helper works with
                for attribute in code.co_names:
                    helper = sources.unwrapped(getattr(value, attribute, None))
                    if helper is not None and sources.is_users(helper.__code__):
                        yield from _libraries(helper, seen)
            method = sources.unwrapped(getattr(owner, name, None))
            if method is not None and sources.is_users(method.__code__):
                yield from _libraries(method, seen, owner)
            yield from _library_of_value(name, value, seen)
            for held in _held(value, code.co_names):
                yield from _library_of_value("", held, seen)


def _held(value: Any, names: Collection[str]) -> Iterator[Any]:
    """What the entries of a container are, and the attributes of these names: ``layer.W``, ``params["W"]``."""
    if isinstance(value, (list, tuple, dict)):
        yield from itertools.islice(value.values() if isinstance(value, dict) else value, _FEW)
    elif not isinstance(value, (type, types.ModuleType)) and hasattr(value, "__dict__"):
        yield from (v for n, v in vars(value).items() if n in names and isinstance(v, (np.ndarray, torch.Tensor)))


def _library_of_value(name: str, value: Any, seen: set[Any]) -> Iterator[str]:
    if value is None and name in ("torch", "numpy", "math"):
        yield name  # imported inside the function
    elif isinstance(value, (torch.Tensor, torch.nn.Module)):
        yield "tensors"  # torch, unless a hand formula says that it works with arrays
    elif isinstance(value, (np.ndarray, np.ufunc)):
        yield "numpy"
    elif isinstance(value, types.FunctionType) and sources.is_users(value.__code__):
        yield from _libraries(value, seen)
    elif value is not None and not isinstance(value, (int, float, str)):
        module = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        root = str(module).split(".")[0]
        if root in ("torch", "numpy", "math", "scipy"):
            yield {"scipy": "numpy"}.get(root, root)


# ------------------------------------------------------------------------------------------------------------- modules
# ``nn.Module`` -> Programs: the parameters are inputs under their own names, and so are forward's arguments.


@dataclass(frozen=True, eq=False)
class Module:
    """A module whose float parameters and forward's arguments are the inputs.

    Shared parameters are one input, under their first name.  Buffers are data.  A run leaves the module exactly as it
    was: its parameters, buffers, attributes, training flags and hooks.  ``nests`` are as in a `Function`.
    """

    module: torch.nn.Module
    names: tuple[str, ...]
    stops: bool = True
    library: str = "torch"
    nests: Mapping[str, Nest] = field(default_factory=dict)

    @classmethod
    def of(cls, module: torch.nn.Module) -> Module:
        module = getattr(module, "_orig_mod", module)  # of a compiled one
        parameters = tuple(name for name, _ in module.named_parameters())
        return cls(module, parameters + cls._arguments(module))

    @staticmethod
    def _arguments(module: torch.nn.Module) -> tuple[str, ...]:
        found = inspect.signature(module.forward).parameters.values()
        return tuple(p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))

    @property
    def required(self) -> tuple[str, ...]:
        """Forward's arguments that have no default."""
        found = inspect.signature(self.module.forward).parameters
        names = [n for n in self._arguments(self.module) if found[n].default is inspect.Parameter.empty]
        return tuple(spread(names, self.nests))

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters' present values."""
        return {name: plain(p) for name, p in self.module.named_parameters()}

    @property
    def dtypes(self) -> dict[str, str]:
        return {n: str(p.dtype).removeprefix("torch.") for n, p in self.module.named_parameters()}

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """Run the module at a point under a tracer, and once more without; see `Function.run`."""
        trace = Tracer("torch", stops=self.stops)
        given = self._given(point, dtypes)
        for name, x in given.items():
            if isinstance(x, torch.Tensor) and x.is_floating_point():
                trace.tensors.put(x, trace.builder.input(name, tuple(x.shape), str(x.dtype).removeprefix("torch.")))
        with self._untouched(), trace.running(), self._instrumented(trace):
            result = named(self._forward(given, dtypes))
            program = trace.program(result)
            values = {name: np.asarray(trace.value_of(x)) for name, x in result.items()}
        try:
            same_again(values, lambda: self.plain(point, dtypes), trace)
        except NotReproducible as error:
            raise self._random(error) from None
        return Run(program, values)

    def plain(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Mapping[str, np.ndarray]:
        """What the module gives at a point, without a tracer."""
        with neutral(), self._untouched():
            result = self._forward(self._given(point, dtypes), dtypes)
            return {name: plain(x) for name, x in named(result).items()}

    def differentiable(self, dtypes: Mapping[str, str] | str) -> Callable[..., Any]:
        """The module as a function of tensors by name, for torch to differentiate: each call leaves it as it was."""

        def function(**given: Any) -> Any:
            with self._untouched():
                return self._forward(given, dtypes)

        return function

    def _given(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str) -> dict[str, Any]:
        """Parameters and arguments as tensors; what is no float is passed on, arrays as tensors."""
        given: dict[str, Any] = {}
        for name in self.names:
            if name not in point:
                continue
            value = point[name]
            if is_float_data(value):
                dtype = dtypes if isinstance(dtypes, str) else dtypes.get(name, _main(dtypes))
                given[name] = torch.tensor(np.asarray(value), dtype=getattr(torch, dtype))
            else:
                given[name] = torch.as_tensor(value) if isinstance(value, np.ndarray) else value
        return given

    def _forward(self, given: Mapping[str, Any], dtypes: Mapping[str, str] | str) -> Any:
        own = {name for name, _ in self.module.named_parameters()}
        tensors = {name: x for name, x in given.items() if name in own}
        arguments = assembled({name: x for name, x in given.items() if name not in own}, self.nests)
        wanted = getattr(torch, _main(dtypes))
        for name, buffer in self.module.named_buffers():
            tensors[name] = buffer.detach().clone().to(wanted if buffer.is_floating_point() else buffer.dtype)

        def forward(**arguments: Any) -> Any:
            return torch.func.functional_call(self.module, tensors, (), arguments)

        return called(forward, arguments, self.module.forward)

    # ------------------------------------------------------------------------------------ leaving it as it was
    @contextlib.contextmanager
    def _untouched(self) -> Iterator[None]:
        """A block after which every attribute of the module and its parts is what it was before."""
        before = []
        for part in self.module.modules():
            kept = {k: type(v)(v) if type(v) in (dict, list, set) else v for k, v in vars(part).items()}
            before.append((part, dict(vars(part)), kept))
        try:
            yield
        finally:
            for part, attributes, kept in before:
                vars(part).clear()
                vars(part).update(attributes)
                for name, held in kept.items():
                    if type(held) in (dict, set):
                        attributes[name].clear()
                        attributes[name].update(held)
                    elif type(held) is list:
                        attributes[name][:] = held

    @contextlib.contextmanager
    def _instrumented(self, trace: Tracer) -> Iterator[None]:
        """The forward methods that the user wrote, instrumented for the length of one run."""
        for part in self.module.modules():
            forward = uncovered(type(part).forward) if part is self.module else type(part).forward
            users = isinstance(forward, types.FunctionType) and sources.is_users(forward.__code__)
            if "forward" not in vars(part) and users:
                object.__setattr__(part, "forward", trace.ready(types.MethodType(forward, part)))
        yield

    def _random(self, error: NotReproducible) -> NotReproducible:
        layers = [
            name or type(part).__name__
            for name, part in self.module.named_modules()
            if part.training and (getattr(part, "p", 0) or getattr(part, "dropout", 0))
        ]
        if not layers:
            return error
        return NotReproducible(
            f"{error.what}\nThe module is in training mode and has random layers: {', '.join(layers)}.",
            instead="Call module.eval() first, or set the dropout probability to 0.",
        )


def _main(dtypes: Mapping[str, str] | str) -> str:
    """The dtype of what no dtype is said for."""
    return dtypes if isinstance(dtypes, str) else next(iter(dtypes.values()), "float32")
