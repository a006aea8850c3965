"""Run the user's code for real, while every value carries the step that made it.

A `Tracer` writes one Program while the user's function runs once.  Values are real floats (in a `TracedFloat`), NumPy
arrays (in a `TracedArray`) and torch tensors; `step_of` finds the step of any of them.  A value that reaches code which
symgrad cannot follow raises `LostValue`; it never becomes a constant.  Where the code looks at a value (a comparison,
an argmax, a rounding), the look is recorded as a guard.
"""

from __future__ import annotations

import contextlib
import functools
import math
import operator
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from symgrad.errors import BadInput, LostValue, SymgradError, UnknownOperation
from symgrad.lifting.tracing import scalar_calls
from symgrad.lifting.tracing.course import Course
from symgrad.lifting.tracing.direct_operations import DirectOperations
from symgrad.lifting.tracing.looked_values import (
    Look,
    LookedArray,
    Looks,
    Whole,
    Written,
    decision,
    is_found_by_hash,
    joined,
    looks_in,
    looks_of_length,
    plainly,
    told_of_looks,
)
from symgrad.lifting.tracing.numpy_arrays import Arrays
from symgrad.lifting.tracing.sources import Places, instrument, is_users, place, unwrapped, whole_numbers
from symgrad.lifting.tracing.surroundings import neutral
from symgrad.lifting.tracing.torch_tensors import Tensors
from symgrad.lifting.tracing.traced_values import PLAIN, TracedArray, TracedFloat
from symgrad.lifting.tracing.written_branches import Branches
from symgrad.ops.scalars import unknown
from symgrad.program import constants as numbers
from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.program import UNKNOWN, WHOLE, Guard, Program, whole_number
from symgrad.program.written_choices import holds, is_written

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {n: getattr(operator, n) for n in "eq ne lt le gt ge".split()}
# builtins that call what they are given
_CALLERS = (map, filter, functools.reduce, max, min, sorted)
_NAMES = "grad grad_and_value jacrev jacfwd hessian vjp jvp linearize".split()
_DIFFERENTIATORS = [torch.autograd.grad, *(getattr(torch.func, n) for n in _NAMES)]
_DIFFERENTIATORS += [getattr(torch.autograd.functional, n) for n in "jacobian hessian vjp jvp hvp vhp".split()]
# packages that only show or keep what they are given: nothing comes back from them that a formula goes on with
_SHOWING = frozenset("matplotlib seaborn plotly bokeh PIL IPython logging csv tensorboard tensorboardX wandb".split())
_PLAIN = (int, *(_FLOATS := (float, np.float64)))
_ARITHMETIC = frozenset((*_PLAIN, bool, np.ndarray, torch.Tensor, TracedFloat, TracedArray))
_PARTS = 64  # arrays of at most so many entries are looked through for computed constants


def _is_plain(x: Any) -> bool:
    return type(x) in (int, float, bool, Whole) or (isinstance(x, (np.number, np.bool_)) and type(x) is not TracedArray)


class Tracer:
    """Writes one Program while the user's code runs.

    ``library`` is the kind of values the code works with: "torch", "numpy" or "math".  ``stops`` says whether
    ``detach`` and ``no_grad`` cut (they do in a model; in a hand derivation they are only bookkeeping).
    ``differentiates`` says that the code may let autograd differentiate, whose operations are recorded as they run.
    """

    def __init__(self, library: str, *, stops: bool = True, differentiates: bool = False) -> None:
        self.builder = Builder()
        self.library = library
        self.stops = stops
        self.differentiates = differentiates
        self.arrays = Arrays(self)
        self.tensors = Tensors(self)
        self.direct = DirectOperations(self)
        self.places = Places()
        self.course = Course(self)
        self.branches = Branches(self)
        self._ready: dict[Any, Any] = {}
        self._constants: dict[tuple[str, str], int] = {}
        self._computed: dict[float, int] = {}  # plain floats that the code computed -> the step that says how
        self._narrowed: dict[float, float] = {}  # what these are in float32 -> the floats
        self._literals: set[float] = set()  # floats that the user's functions write down
        self.numbers: set[int] = set()  # and whole numbers that they write down, or find beside them
        self._depends: list[bool] = []
        self._looks: dict[int, Looks] = {}  # constants that were made of looks at values
        self._looked: list[Looks] = []  # what each step was made of
        self._shown: Looks = ()  # what was looked at to write a text that is being put together
        self.read_back: dict[str, float] = {}  # values that were written, by the whole text of each
        self.trying = 0  # blocks around, which catch what is raised
        self._raised: SymgradError | None = None
        self._ordered: list[type] = []  # classes of the user's whose objects are hashed in the order of their use
        self._named: set[tuple[str, int]] = set()  # the names that values were bound to, of those read so far
        self._read = 0
        self._numbered: dict[int, tuple[int, Any]] = {}  # those objects, kept, so that their ids stay theirs

    # ------------------------------------------------------------------------------------ where we are
    def at_line(self) -> Builder:
        """The builder, with its source set to the user's expression that is running."""
        places = self.places
        frame = sys._getframe(1)
        while frame is not None:
            source = places.known.get((id(frame.f_code), frame.f_lasti))
            if source is None and frame.f_code in places:
                source = places.at(frame)
            if source is not None:
                self.builder.source = source
                break
            frame = frame.f_back  # type: ignore[assignment]
        return self.builder

    def where(self) -> str | None:
        return place(self.at_line().source)

    def _raising(self, error: SymgradError) -> Any:
        """Remember an error, in case the user's code catches it."""
        self._raised = self._raised or error
        return error

    def lost(self, what: str, instead: str | None = None) -> LostValue:
        """The error for a value that would leave the recorded computation."""
        message = "would turn a value that depends on the inputs into a plain number, and its derivative would be lost."
        return self._raising(LostValue(f"{what} {message}", where=self.where(), instead=instead))

    def inside(self, function: Any) -> SymgradError:
        """The error for a derivative that code takes of a part of itself."""
        told = f"the function calls torch.{function.__name__}, a derivative inside of the formula."
        instead = "Pass the function whose gradient is wanted; order=2 asks for second derivatives."
        return self._raising(BadInput(told, where=self.where(), instead=instead))

    def kept(self) -> LostValue:
        return self._raising(
            LostValue(
                "a value from an earlier run of the function came back: something outside of it, such as a cache or a "
                "global list, has kept it.",
                where=self.where(),
                instead="Keep nothing from one call to the next, or pass it as an argument.",
            )
        )

    def unknown(self, name: str, *, entrywise: bool = False, instead: str | None = None) -> UnknownOperation:
        """The error for an operation that has no rule; an entrywise function is one more row of the table."""
        if entrywise:
            return self._raising(unknown(name.rpartition(".")[2], self.where()))
        if "sparse" in name:
            instead = "Keep tensors dense: those that leave out zeros are not followed."
        return self._raising(
            UnknownOperation(
                f"symgrad cannot follow {name}.",
                where=self.where(),
                instead=instead
                or "Write it out in operations that it follows (entrywise functions, sums, products, indexing, "
                "matmul, solve, inv, det, cholesky), or pass its result as an input.",
            )
        )

    # ------------------------------------------------------------------------------------ values and steps
    def step_of(self, x: Any, dtype: str | None = None) -> int:
        """The step that holds a value; constants get one on the way.  ``dtype`` is for plain numbers."""
        kind = type(x)
        if kind is TracedFloat:
            if x.tracer is not self:
                raise self.kept()
            return x.step
        if kind is TracedArray:
            return self.arrays.step(x)
        if isinstance(x, torch.Tensor):
            return self.tensors.step(x)
        if isinstance(x, (list, tuple)):
            return self.builder.stack([self.step_of(i, dtype) for i in x])
        if isinstance(x, LookedArray) or kind is Whole:
            value = np.asarray(plainly(x))
            value = value.astype(np.float64) if value.dtype.kind in "iub" else value
            step = self.builder.constant(value, dtype, made=x.made if kind is Whole else None)
            self.remember(step, looks_in(x))
            return step
        if isinstance(x, (bool, np.bool_)):
            return self.number(float(x), dtype or "float64")
        if isinstance(x, (int, float, complex, np.number)):
            return self.number(x, dtype or (str(x.dtype) if isinstance(x, np.inexact) else "float64"))
        array = np.asarray(x)
        if array.dtype.kind not in "fciub":
            raise self.lost(f"a value of type {kind.__name__}")
        return self.data(array)

    def number(self, x: Any, dtype: str) -> int:
        """The step of a plain number, with what it stands for; the same number is the same step."""
        if isinstance(x, (complex, np.complexfloating)):
            return self.builder.constant(x, dtype if dtype.startswith("complex") else "complex128")
        value = float(x)
        if value in self._computed:
            return self.builder.cast(self._computed[value], dtype)
        key = (value.hex(), dtype)
        if key not in self._constants:
            typed = value in self._literals
            exact, radius = numbers.meaning_of(float(str(x)) if type(x) is np.float32 else value, typed)
            if not exact.is_Rational and not exact.is_NumberSymbol and exact.is_finite:
                self._constants[key] = lower(self.builder, exact, {}, dtype=dtype)
            else:
                exact = exact if exact.is_finite else None
                self._constants[key] = self.builder.constant(value, dtype, exact=exact, radius=radius)
        return self._constants[key]

    def data(self, array: np.ndarray, dtype: str | None = None) -> int:
        """The step of an array that does not depend on the inputs."""
        if array.dtype.kind in "iub":
            array = array.astype(np.float64)
        dtype = dtype or str(array.dtype)
        if self._computed and array.dtype.kind == "f" and 0 < array.size <= _PARTS:
            entries = array.ravel().tolist()
            if array.dtype == np.float32:
                entries = [self._narrowed.get(x, x) for x in entries]
            if any(x in self._computed for x in entries):
                b = self.builder
                return b.reshape(b.stack([self.number(x, dtype) for x in entries]), array.shape)
        return self.builder.constant(array, dtype, exact=numbers.array_meaning(array))

    def exactly(self, value: Any, step: Callable[[], int]) -> None:
        """The code computed ``value`` from plain numbers: wherever that float turns up, it means ``step``."""
        x = float(value)
        if math.isfinite(x) and not (x * 4096).is_integer() and x not in self._computed:
            self.at_line()
            self._computed[x] = step()
            self._narrowed[float(np.float32(x))] = x

    def value_of(self, x: Any) -> Any:
        """The plain value: floats, NumPy arrays."""
        if type(x) is TracedFloat or type(x) is TracedArray:
            return x.value
        if isinstance(x, torch.Tensor):
            return self.tensors.value(x)
        if isinstance(x, (list, tuple)):
            parts = [self.value_of(i) for i in x]
            return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
        return plainly(x)

    def is_traced(self, x: Any) -> bool:
        if isinstance(x, (list, tuple)):
            return any(self.is_traced(i) for i in x)
        if isinstance(x, torch.Tensor):
            return self.tensors.is_known(x)
        return type(x) is TracedFloat or type(x) is TracedArray

    def depends(self, step: int) -> bool:
        """Whether a step's value depends on the inputs."""
        known, steps = self._depends, self.builder.steps
        for k in range(len(known), len(steps)):
            known.append(steps[k].op == "input" or any(known[a] for a in steps[k].args))
        return known[step]

    def program(self, outputs: Mapping[str, Any]) -> Program:
        """The Program written, with its outputs' values by name; looks at data alone are no guards."""
        steps = {name: self.step_of(x) for name, x in outputs.items()}
        self.builder.course = self.course.guards()
        built = self.builder.build(steps)
        told = (
            g if any(map(self.depends, g.args)) else told_of_looks(g, built.steps, self.looks_of) for g in built.guards
        )
        return replace(built, guards=tuple(g for g in told if g is not None))

    def looks_of(self, step: int) -> Looks:
        """The looks at values that a step's value was made of, where it is none itself."""
        known, steps = self._looked, self.builder.steps
        for k in range(len(known), step + 1):
            parts = [known[a] for a in steps[k].args if known[a]]
            known.append(self._looks.get(k) or (joined(parts) if parts else ()))
        return known[step]

    # ------------------------------------------------------------------------------------ looks at values
    def guard(self, op: str, args: list[Any], params: Any, outcome: Any) -> None:
        """Remember that the code looked at a value."""
        b = self.at_line()
        b.guard(op, [self.step_of(a) for a in args], params, outcome)

    def decide(
        self, word: str, looks: Looks, outcome: Any, other: Any, ways: Any = None, table: Any = None, made: Any = None
    ) -> Any:
        """Remember that the code decided by something that was made of looks; the outcome."""
        if looks:
            b, (args, decided) = self.at_line(), decision(word, looks, other, ways, table, made)
            told = Guard("decided", args, decided, np.array(outcome), b.source, at=len(b.steps))
            if not (b.guards and is_found_by_hash(told, b.guards[-1])):
                b.guards.append(told)
        return outcome

    def looked(self, op: str, args: list[Any], params: Any, value: Any) -> Any:
        """An array that a look at values gave, which remembers it; a single truth is told at once."""
        self.guard(op, args, params, value)
        if np.size(value) == 1 and np.asarray(value).dtype == bool:
            return value
        return LookedArray.made(value, self, self.looks_at(op, self.builder.guards[-1].args, params))

    def looks_at(self, op: str, steps: tuple[int, ...], params: Any = None) -> Looks:
        """The look at some steps; those that these were made of, if none of them is a value."""
        return (Look(op, steps, params),) if any(map(self.depends, steps)) else joined(map(self.looks_of, steps))

    def constant_of(self, value: float, looks: Looks) -> int:
        """The step of a number that was made of looks."""
        step = self.builder.constant(value, "float64")
        self.remember(step, looks)
        return step

    def remember(self, step: int, looks: Looks) -> None:
        """A constant was made of looks."""
        if looks:
            self._looks[step] = joined([self._looks.get(step, ()), looks])
            del self._looked[step:]
            b, at = self.builder, self.builder.steps[step]
            if at.op == "constant" and at.params.made is None and any(look.op in (*WHOLE, "text") for look in looks):
                b.steps[step] = replace(at, params=replace(at.params, made=UNKNOWN))

    def look(self, op: str, x: Any) -> Looks:
        """The look that makes something else of ``x``; those that it was made of itself, if it is no value."""
        return self.looks_at(op, (self.step_of(x),))

    def whole(self, op: str, x: Any, outcome: int) -> int:
        """``x`` made an integer."""
        self.guard(op, [x], None, outcome)
        looks, made = self.look(op, x), whole_number(self.builder.steps, op, [self.step_of(x)])
        return Whole(outcome, self, looks, made) if looks else outcome

    def written(self, x: Any, text: str) -> str:
        """``x`` as a text."""
        looks = looks_in(x) or self.look("text", x)
        self._shown = joined([self._shown, looks])
        if looks and np.size(value := self.value_of(x)) == 1:
            self.read_back[text] = float(np.reshape(value, ()))
        return Written(text, self, looks) if looks else text

    def fresh(self) -> Looks:
        """Begin to put a text together; what was looked at for the one around it."""
        before, self._shown = self._shown, ()
        return before

    def text(self, before: Looks, made: str) -> str:
        """A text that instrumented code has put together."""
        looks, self._shown = self._shown, joined([before, self._shown]) if before else ()
        return Written(plainly(made), self, looks) if looks else made

    def may_raise(self, op: str, sides: list[Any], outcome: bool, *, raises: bool) -> None:
        """Remember which side of the edge of a function's domain a value is on, where the code would notice."""
        if raises or self.trying:
            self.guard(op, sides, None, outcome)

    def attempt(self, change: int) -> None:
        """The code enters, or leaves, a block around which exceptions are caught."""
        self.trying += change

    def piecewise(self, op: str, steps: list[int], value: Any, dtype: str, params: Any = None) -> int:
        """The step of a piecewise constant function of ``steps``: its value, and a guard for the piece."""
        made = self.builder.whole(op, steps, np.asarray(value), dtype, params)
        self.remember(made, self.looks_at(op, tuple(steps), params))
        return made

    def compare(self, op: str, a: Any, b: Any) -> Any:
        y = None if isinstance(b, (torch.Tensor, np.ndarray)) or type(b) is TracedArray else self.value_of(b)
        if not isinstance(y, (int, float, np.number)):
            return NotImplemented
        outcome, steps = bool(_COMPARE[op](a.value, y)), (self.step_of(a), self.step_of(b))
        if is_written(op):
            return TracedFloat(float(outcome), holds(self.at_line(), *steps, op=op, values=(a.value, y)), self)
        self.guard(op, [a, b], None, outcome)
        return outcome

    # ------------------------------------------------------------------------------------ scalars
    def scalar_arithmetic(self, name: str, operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
        for side in (a, b):
            if type(side) is not TracedFloat and not _is_plain(side):
                if isinstance(side, complex):
                    raise self.lost("Arithmetic of floats with a complex number", "Use torch for complex values.")
                return NotImplemented
        if isinstance(a, np.generic) or isinstance(b, np.generic):
            return self.arrays.ufunc(getattr(np, scalar_calls.UFUNC[name]), "__call__", a, b)
        if name in ("div", "mod", "floordiv"):
            self.may_raise("eq", [b, 0.0], not self.value_of(b), raises=not self.value_of(b))
        value = operation(self.value_of(a), self.value_of(b))
        if isinstance(value, complex):
            power = f"{self.value_of(a)!r} ** {self.value_of(b)!r}"
            what = f"{power} is complex, and floats are followed only while they are real."
            raise self._raising(LostValue(what, where=self.where(), instead="Use torch for complex values."))
        builder = self.at_line()
        steps = self.step_of(a), self.step_of(b)
        if name in ("mod", "floordiv"):  # a - b k, where k is a / b rounded down
            k = self.piecewise(
                "floor", [builder.binary("div", *steps)], self.value_of(a) // self.value_of(b), "float64"
            )
            made = k if name == "floordiv" else builder.sub(steps[0], builder.mul(steps[1], k))
        else:
            made = builder.power(*steps) if name == "pow" else builder.emit(name, steps, None, (), "float64")
        return TracedFloat(float(value), made, self)

    def scalar_function(self, row: str, x: Any, value: float) -> TracedFloat:
        b = self.at_line()
        step = self.step_of(x)
        if row in ("abs", "sign"):
            b.looks_at_sign([step], math.copysign(1.0, self.value_of(x)) if self.value_of(x) else 0.0)
        return TracedFloat(value, b.emit(row, (step,), None, (), "float64"), self)

    # ------------------------------------------------------------------------------------ what instrumented code calls
    def outer(self, value: Any) -> Any:
        """What instrumented code found around it: an array of data, whose own arithmetic is followed from here on."""
        return self.arrays.found(value) if type(value) is np.ndarray and value.dtype.kind in "fc" else value

    def binary(self, name: str, a: Any, b: Any) -> Any:
        """Arithmetic in instrumented code; between plain numbers, an inexact result keeps its exact meaning."""
        if name == "mod" and isinstance(a, (str, bytes)):
            before = self.fresh()
            return self.text(before, a % self._filled(b))
        if torch.Tensor in (type(a), type(b)) and (out := self.direct.arithmetic(name, a, b)) is not NotImplemented:
            return out
        if type(a) not in _ARITHMETIC or type(b) not in _ARITHMETIC:
            a, b = self._column(a, b), self._column(b, a)
        if type(a) is np.ndarray or type(b) is np.ndarray:
            value = self.arrays.computed(PLAIN[name], (a, b), {})
        else:
            value = PLAIN[name](a, b)
        if type(value) in _FLOATS and type(a) in _PLAIN and type(b) in _PLAIN and name != "mod":
            self.exactly(value, lambda: self._of_plain(name, a, b))
        return value

    def extent(self, x: Any, name: str) -> Any:
        """``x.shape`` or ``x.size`` in instrumented code; a length that looks at values gave remembers them."""
        looks, value = looks_of_length(x), getattr(x, name)
        if not looks:
            return self.outer(value)
        return Whole(value, self, looks) if name == "size" else (Whole(value[0], self, looks), *value[1:])

    def negative(self, x: Any) -> Any:
        """``-x`` in instrumented code."""
        return self.arrays.computed(np.negative, (x,), {}) if type(x) is np.ndarray else -x

    def try_to_follow(self, compute: Callable[[], Any]) -> Any:
        """What ``compute`` gives, or NotImplemented where symgrad cannot follow it, as if it had not been tried."""
        before = self._raised
        try:
            return compute()
        except SymgradError:
            self._raised = before
            return NotImplemented

    def _column(self, x: Any, other: Any) -> Any:
        """A column of a table that meets a traced value: the array of its numbers, since a table cannot hold such."""
        is_column = self.is_traced(other) and type(x).__module__.partition(".")[0] == "pandas"
        return self.outer(np.asarray(x)) if is_column else x

    def _of_plain(self, name: str, a: Any, b: Any) -> int:
        steps = self.step_of(a), self.step_of(b)
        return self.builder.power(*steps) if name == "pow" else self.builder.binary(name, *steps)

    def _filled(self, x: Any) -> Any:
        """Values that are printed with ``%``."""
        if isinstance(x, tuple):
            return tuple(self._filled(i) for i in x)
        if type(x) not in (TracedFloat, TracedArray):
            return x
        self.written(x, "")
        return x.value

    def call(self, function: Any, /, *args: Any, **options: Any) -> Any:
        """A call in instrumented code."""
        if not options and len(args) < 2 and (out := self.direct.call(function, *args)) is not NotImplemented:
            return out
        try:
            special = scalar_calls.CALLS.get(function)
        except TypeError:  # not hashable
            special = None
        if special is not None:
            out = special(self, function, *args, **options)
            if out is not NotImplemented:
                return out
        out = self.arrays.call(function, args, options)
        if out is not NotImplemented:
            return out
        before = self.fresh()
        if type(getattr(function, "__self__", None)) is dict and function.__name__ == "get":
            return self.course.found(function.__self__, *args, **options)
        if function in _CALLERS:
            self.course.extreme(function, args)
            args = tuple(scalar_calls.hook(self, self.ready(f)) if callable(f) else f for f in args)
            options = {k: scalar_calls.hook(self, self.ready(f)) if k == "key" else f for k, f in options.items()}
        elif function in _DIFFERENTIATORS and not (self.differentiates and function is torch.autograd.grad):
            raise self.inside(function)
        elif str(getattr(function, "__module__", None)).partition(".")[0] in _SHOWING:
            args, options = self.value_of(args), {k: self.value_of(v) for k, v in options.items()}
        out = self.arrays.adopt(self.arrays.computed(self.ready(function), args, options))
        return self.text(before, out) if type(out) is str else out

    def bind(self, name: str, value: Any) -> Any:
        """``name = value`` in instrumented code: a step of its own, so that every later use goes through it."""
        kind = type(value)
        if kind is TracedFloat:
            return TracedFloat(value.value, self.at_line().name(self.step_of(value), name), self)
        if kind is TracedArray:
            return self.arrays.bound(value, name)
        if isinstance(value, torch.Tensor):
            return self.tensors.bound(value, name)
        if kind is np.ndarray and value.dtype.kind in "fc":
            return self.arrays.bound(self.arrays.adopt(value), name)
        if self.library == "math" and not self.stops and (kind is float or (kind is int and name.startswith("d"))):
            # a plain number in a derivation, such as dy2 = 1, is one of its steps
            return TracedFloat(float(value), self.at_line().name(self.step_of(value), name), self)
        return value

    def rebound(self, name: str, value: Any) -> Any:
        """``value`` after a statement that may have written into it: then it is bound to its name once more."""
        if type(value) is not TracedArray and not (isinstance(value, torch.Tensor) and self.tensors.is_known(value)):
            return value
        bindings = self.builder.bindings
        self._named.update((b.name, b.step) for b in bindings[self._read :])
        self._read = len(bindings)
        return value if (name, self.step_of(value)) in self._named else self.bind(name, value)

    # ------------------------------------------------------------------------------------ the user's functions
    def ready(self, function: Any) -> Any:
        """The user's function as it runs under this tracer; any other callable as it is."""
        try:
            if function in self._ready:
                return self._ready[function]
        except TypeError:
            return function
        made = self._made(function)
        if isinstance(function, (types.FunctionType, type)):  # a method would keep its object, such as an open file
            self._ready[function] = made
        return made

    def _made(self, function: Any) -> Any:
        if hasattr(function, "cache_info") and hasattr(function, "__wrapped__"):  # a cache would keep traced values
            return self.ready(function.__wrapped__)
        if isinstance(function, functools.partial):
            inner = scalar_calls.hook(self, self.ready(function.func))
            return functools.partial(inner, *function.args, **function.keywords)
        if isinstance(function, type):
            return self._constructor(function)
        target = unwrapped(function)
        if target is None:
            inner = unwrapped(getattr(type(function), "__call__", None))  # noqa: B004  # its class's own
            if inner is not None and is_users(inner.__code__):
                return self.ready(inner).__get__(function)
            return function
        if target.__code__ in self.places or not is_users(target.__code__):
            return function
        if target is not function:
            return self.ready(target).__get__(function.__self__)
        found = instrument(target, self, self.branches.rewriter)
        made, tree = found if found is not None else (scalar_calls.hooked(self, target), None)
        self.places.add(made.__code__, tree)
        self._literals |= tree.floats if tree is not None else set()
        self.numbers |= whole_numbers(target)
        return made

    def _constructor(self, kind: type) -> Any:
        """A class of the user's with an ordinary ``__init__``: so that what is computed in it is followed too."""
        start: Any = unwrapped(kind.__init__)
        plain = type(kind) is type and kind.__new__ is object.__new__ and not issubclass(kind, torch.nn.Module)
        if not plain or start is None or not is_users(start.__code__):
            return kind

        if kind.__hash__ is object.__hash__:  # by the address: a set of them would be in another order in each run
            self._ordered.append(kind)
            kind.__hash__ = lambda x: self._numbered.setdefault(id(x), (len(self._numbered), x))[0]  # type: ignore

        def construct(*args: Any, **options: Any) -> Any:
            out = object.__new__(kind)
            self.ready(start)(out, *args, **options)
            return out

        return construct

    # ------------------------------------------------------------------------------------ running
    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The block in which the user's code runs: torch's modes on, its fused kernels off."""
        mkldnn = torch.backends.mkldnn.enabled  # type: ignore[attr-defined]
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mkldnn.set_flags(False)  # type: ignore[attr-defined]
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with neutral(), np.errstate(all="ignore"), sdpa_kernel(SDPBackend.MATH), self.tensors.modes():
                yield
        finally:
            for kind in self._ordered:
                del kind.__hash__
            self._ordered.clear()
            torch.backends.mkldnn.set_flags(mkldnn)  # type: ignore[attr-defined]
            torch.backends.mha.set_fastpath_enabled(fast)
        if self._raised is not None:  # the user's code caught it, and went on with something else
            raise self._raised
