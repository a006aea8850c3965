"""A Program: how a value is computed, one operation at a time, whole tensors, in the user's order and under the
user's names; and `interpret`, which reads one in any number system.  `symgrad.program.builder` writes one.

Eight kinds of steps are not scalar functions (see `STRUCTURE`).  The two that carry all layouts:

* ``pick``: every entry of the result is an entry of the arguments, or zero.  Views, slices, broadcasting,
  concatenation, ``where``, padding, in-place writes.
* ``scatter``: entries of the argument are added up where they land.  Sums; and pick's transpose.

Both take an *index*: a `Strided` map where the layout is affine, else an array of positions counted from one, in the
arguments' entries laid end to end; zero stands for a literal zero (in ``scatter``: dropped).
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from symgrad.progress import look_at_the_clock

# ------------------------------------------------------------------------------------------------------------- program

Shape = tuple[int, ...]

# ------------------------------------------------------------------------------------------------ kinds of steps
# The few steps that are not scalar functions, and what they mean.
#
# | step              | value                                                                        |
# |-------------------|------------------------------------------------------------------------------|
# | input, constant   | a named input; numbers that do not depend on the inputs                      |
# | pick, scatter     | entries moved, repeated, dropped, zeroed; entries added up (see above)                |
# | matmul            | (batch, n, k) @ (batch, k, m)                                                |
# | add sub mul div   | arithmetic, entry by entry, on equal shapes (broadcasting is a pick)         |
# | neg powi pow      | -a; a ** n for a positive integer n (its params); a ** b                     |
# | stop              | the value, cut off from differentiation: detach                              |
# | name, cast        | the identity: the user's binding of a name; rounding to another dtype        |
# | conj real imag    | of a complex value                                                           |
# | inverse solve det logabsdet cholesky | linear algebra on (batch, n, n); rows of their own        |
# | matrix_exp (general_)eigenpairs | functions of (batch, n, n): see `symgrad.ops.matrices`   |
# | softmax log_softmax logsumexp | composites: one kernel in floats, written out in every other system |

STRUCTURE = frozenset(
    "input constant pick scatter matmul add sub mul div neg powi pow stop name cast conj real imag "
    "inverse solve det logabsdet cholesky matrix_exp eigenpairs general_eigenpairs polygamma".split()
)

# ------------------------------------------------------------------------------------------------ the data


@dataclass(frozen=True, slots=True)
class Source:
    """Where something stands in the user's code: its text, file, line (from 1) and columns."""

    text: str
    file: str | None = None
    line: int | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Strided:
    """The affine index map ``i -> offset + sum(i_k * strides_k)`` into one argument's entries, counted from 0."""

    offset: int
    strides: tuple[int, ...]


Index = Strided | np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """Numbers that do not depend on the inputs.

    ``value`` is an array of floats (complex, booleans as 0 and 1).  ``exact`` is what they stand for: None for the
    binary values themselves, a SymPy number for a scalar, or an object array of `Fraction`.  ``radius``, if not
    None, is how far a typed decimal may be from the number that was meant (an array of `Fraction`).  ``made`` says of
    a number that the code made whole of which it was made, as `whole_number` does; of what it made of such, the name in
    `operator` and the sides; or `UNKNOWN`.
    """

    value: np.ndarray
    exact: Any = None
    radius: Any = None
    made: Any = None


WHOLE = frozenset(("floor", "ceil", "trunc", "round", "rint"))
"""The operations that make a number whole."""
UNKNOWN = ("unknown",)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation.  Its value's name is its position in ``Program.steps``; ``args`` are earlier positions."""

    op: str
    args: tuple[int, ...]
    params: Any
    shape: Shape
    dtype: str
    source: Source | None = None

    @property
    def is_complex(self) -> bool:
        return self.dtype.startswith("complex")

    def on(self, args: tuple[int, ...]) -> Step:
        """The same operation on other steps."""
        return Step(self.op, args, self.params, self.shape, self.dtype, self.source)


@dataclass(frozen=True, slots=True)
class Binding:
    """The user's variable: ``h`` version 3 is the fourth value that was bound to ``h``."""

    name: str
    version: int
    step: int
    source: Source | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """A choice that the code made by looking at a value: ``op`` (such as ``gt`` or ``argmax``) of the ``args``.

    One that is ``beside`` the question was made for a difference quotient alone, at an argument that is moved a little.
    ``at`` is how many steps there were when it was made.
    """

    op: str
    args: tuple[int, ...]
    params: Any
    outcome: np.ndarray
    source: Source | None = None
    beside: bool = False
    at: int = 0


EXTREME = ("extreme",)
"""The ``params`` of a comparison that always holds: of what was chosen with all that it was chosen from."""


@dataclass(frozen=True)
class Decided:
    """The ``params`` of a guard ``decided``: what the code decided by what it had made of looks at values.

    ``bases`` are these looks, each as its operation, the number of the guard's arguments that are its own, and its
    parameters; ``other`` is what the code held the result against (a number, a text or numbers), ``ways`` all that may
    come out, where there is a list of it.  ``table`` stands for the numbers of a table in which a place is read: the
    same for the same numbers.  ``made`` is what was decided, of numbers that were made whole, as a constant has it.
    """

    word: str
    bases: tuple[tuple[str, int, Any], ...]
    other: Any = None
    ways: tuple[Any, ...] | None = None
    table: int | None = None
    made: Any = None


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in the order of computation, the inputs and outputs among them by name, and what the user called them.

    ``guards`` are the choices that the code made by looking at values; ``course`` says how often its loops ran and what
    its counters were compared with, as guards without arguments (`symgrad.lifting.tracing.course`).
    """

    inputs: Mapping[str, int]
    steps: tuple[Step, ...]
    outputs: Mapping[str, int]
    bindings: tuple[Binding, ...] = ()
    guards: tuple[Guard, ...] = ()
    course: tuple[Guard, ...] = ()

    @property
    def output(self) -> int:
        """The position of the only output."""
        (position,) = self.outputs.values()
        return position

    @property
    def dtypes(self) -> dict[str, str]:
        """The inputs' dtypes."""
        return {name: self.steps[i].dtype for name, i in self.inputs.items()}

    def shape(self, position: int) -> Shape:
        return self.steps[position].shape

    def entries(self, of: Iterable[int] | None = None) -> int:
        """How many numbers the steps hold, all of them or those ``of`` these positions: the work of reading them."""
        return sum(math.prod(s.shape) for s in (self.steps if of is None else map(self.steps.__getitem__, of)))

    def needed(self, wanted: Iterable[int]) -> list[int]:
        """The positions that ``wanted`` depend on, themselves included, in order."""
        return sorted(dependencies(self.steps, wanted))

    def order(self, wanted: tuple[int, ...]) -> list[int]:
        """`needed`, remembered: a Program is read at many points."""
        known = self._orders.get(wanted)
        if known is None:
            known = self._orders[wanted] = self.needed(wanted)
        return known

    @functools.cached_property
    def _orders(self) -> dict[tuple[int, ...], list[int]]:
        return {}

    @functools.cached_property
    def is_of_doubles(self) -> bool:
        """Whether every step is one number in float64."""
        return all(not s.shape and s.dtype == "float64" for s in self.steps)

    def with_outputs(self, outputs: Mapping[str, int]) -> Program:
        return self._same_steps(replace(self, outputs=dict(outputs)))

    def with_guards(self, guards: Sequence[Guard]) -> Program:
        return self._same_steps(replace(self, guards=tuple(guards)))

    def _same_steps(self, other: Program) -> Program:
        """The other Program, which has the same steps and shares what is remembered of them."""
        vars(other)["_orders"] = self._orders
        return other

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Program({', '.join(self.inputs)} -> {', '.join(self.outputs)}; {len(self.steps)} steps)"

    def listing(self) -> str:
        """The steps as text, one to a line."""
        names = {b.step: f"{b.name}[{b.version}]" if b.version else b.name for b in self.bindings}
        lines = []
        for i, s in enumerate(self.steps):
            arguments = ", ".join(f"%{a}" for a in s.args)
            lines.append(f"%{i}{' ' + names[i] if i in names else ''} = {s.op}({arguments}) {s.dtype}{list(s.shape)}")
        return "\n".join(lines)


def dependencies(steps: Sequence[Step], wanted: Iterable[int], given: Collection[int] = ()) -> set[int]:
    """The positions that ``wanted`` depend on, themselves included, as far as none is ``given``."""
    found = set(given)
    stack = list(wanted)
    while stack:
        i = stack.pop()
        if i not in found:
            found.add(i)
            stack += steps[i].args
    return found.difference(given) if given else found


def dependents(steps: Sequence[Step], start: Iterable[int]) -> set[int]:
    """The positions that depend on any of ``start``, themselves included."""
    found = set(start)
    for i, step in enumerate(steps):
        if not found.isdisjoint(step.args):
            found.add(i)
    return found


def written(steps: Sequence[Step], wanted: Sequence[int]) -> list[str]:
    """A text for what each of the ``wanted`` steps computes: the same for the same formula, in all Programs."""
    known: dict[int, str] = {}
    for i in sorted(dependencies(steps, wanted)):
        step, what = steps[i], steps[i].params
        if step.op in ("name", "stop"):
            known[i] = known[step.args[0]]
            continue
        if step.op == "constant":
            what = what.made or what.value
        what = (what.shape, what.tobytes()) if isinstance(what, np.ndarray) else what
        told = repr((step.op, what, step.shape, [known[a] for a in step.args]))
        known[i] = hashlib.blake2b(told.encode(), digest_size=12).hexdigest()
    return [known[i] for i in wanted]


def whole_number(steps: Sequence[Step], op: str, args: Sequence[int], params: Any = None) -> tuple[str, str]:
    """What a number is made of that the code makes whole: the same for the same number."""
    return "whole", f"{op} {params} {' '.join(written(steps, args))}"


# ------------------------------------------------------------------------------------------------ shapes and indices


def size(shape: Shape) -> int:
    return math.prod(shape)


def expands(own: Shape, shape: Shape) -> bool:
    """Whether a tensor of the shape ``own`` can be broadcast to ``shape``."""
    return len(own) <= len(shape) and all(n in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False))


@functools.lru_cache(maxsize=4096)
def dense(shape: Shape) -> tuple[int, ...]:
    """The strides of a tensor of this shape laid out row by row."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


@functools.lru_cache(maxsize=512)
def _materialise(index: Strided, shape: Shape) -> np.ndarray:
    flat = np.full(shape, index.offset + 1, dtype=np.int64)
    for axis, (n, stride) in enumerate(zip(shape, index.strides, strict=True)):
        flat += (np.arange(n) * stride).reshape((n,) + (1,) * (len(shape) - axis - 1))
    flat = flat.ravel()
    flat.flags.writeable = False
    return flat


def positions(index: Index, shape: Shape) -> np.ndarray:
    """The index as a flat array of positions counted from one."""
    return _materialise(index, shape) if isinstance(index, Strided) else index


_ORDER = ("float16", "bfloat16", "float32", "float64")
_REAL = {"complex64": "float32", "complex128": "float64"}


def real_dtype(dtype: str) -> str:
    """The dtype of a value's real part."""
    return _REAL.get(dtype, dtype)


def promote(*dtypes: str) -> str:
    """The dtype that holds all of these, as torch and NumPy promote floats.

    >>> promote("float32", "float64"), promote("float32", "complex64")
    ('float64', 'complex64')
    """
    if len(set(dtypes)) == 1:
        return dtypes[0]
    if any(d.startswith("complex") for d in dtypes):
        return "complex128" if {"complex128", "float64"} & set(dtypes) else "complex64"
    if {"float16", "bfloat16"} <= set(dtypes):
        return promote("float32", *(d for d in dtypes if d not in ("float16", "bfloat16")))
    return max(dtypes, key=_ORDER.index)


# ------------------------------------------------------------------------------------------------ reading a Program


class System(Protocol):
    """A number system: what a step's value is, given its arguments' values.

    It may have a mapping ``alike`` from operations to functions of the arguments' values alone, which are then not
    asked for step by step.
    """

    def read(self, step: Step, args: list[Any]) -> Any: ...


def interpret(
    program: Program,
    system: System,
    inputs: Mapping[str, Any],
    wanted: Iterable[int] | None = None,
    *,
    replaced: Mapping[int, Any] | None = None,
) -> dict[int, Any]:
    """The values, in a number system, of the ``wanted`` steps and of everything they need.

    ``inputs`` maps input names to values of the system; ``replaced`` puts values in the place of steps, which are
    then not computed.
    """
    look_at_the_clock()
    values: dict[int, Any] = dict(replaced or {})
    wanted = tuple(program.outputs.values()) if wanted is None else tuple(wanted)
    steps = program.steps
    alike: Mapping[str, Any] = getattr(system, "alike", {})
    for i in sorted(dependencies(steps, wanted, values)) if values else program.order(wanted):
        step = steps[i]
        function = alike.get(step.op)
        if function is not None:
            args = step.args
            values[i] = function(values[args[0]], values[args[1]]) if len(args) == 2 else function(values[args[0]])
        elif step.op == "input":
            values[i] = inputs[step.params]
        else:
            values[i] = system.read(step, [values[a] for a in step.args])
    return values


# ------------------------------------------------------------------------------------------------------------- slicing
# The part of a trace that some values are made of, as a Program of its own.


def sliced(
    program: Program,
    outputs: Mapping[str, int],
    *,
    inputs: Mapping[int, str] | None = None,
    opaque: Collection[int] = (),
    stops: bool = True,
    late: bool = False,
) -> Program:
    """The steps that ``outputs`` need, and the choices that were made before the last of them; with ``late``, all.

    ``inputs`` are steps that become inputs, with their names; ``opaque`` are steps that nothing looked at matters of;
    without ``stops``, ``detach`` is the identity.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> y, z = b.stop(b.mul(x, x)), b.apply("exp", x)
    >>> print(sliced(b.build({}), {"y": y}, stops=False).listing())
    %0 = input() float64[]
    %1 = mul(%0, %0) float64[]
    """
    renamed = dict(inputs or {})
    guards = _choices(program, outputs, opaque, late)
    needed = kept(program, outputs, inputs=renamed, opaque=opaque, late=late)
    place: dict[int, int] = {}
    steps: list[Step] = []
    leaves: dict[str, int] = {}
    for i in sorted(needed):
        step = program.steps[i]
        if step.op == "stop" and not stops and i not in renamed:
            place[i] = place[step.args[0]]
            continue
        name = renamed.get(i, step.params if step.op == "input" else None)
        if name is not None:
            if name in leaves:
                place[i] = leaves[name]
                continue
            step = replace(step, op="input", args=(), params=name)
            leaves[name] = len(steps)
        else:
            step = step.on(tuple([place[a] for a in step.args]))
        place[i] = len(steps)
        steps.append(step)
    return Program(
        leaves,
        tuple(steps),
        {name: place[i] for name, i in outputs.items()},
        tuple(replace(b, step=place[b.step]) for b in program.bindings if b.step in needed),
        tuple(replace(g, args=tuple(place[a] for a in g.args)) for g in guards),
        program.course,
    )


def kept(
    program: Program,
    outputs: Mapping[str, int],
    *,
    inputs: Mapping[int, str] | None = None,
    opaque: Collection[int] = (),
    late: bool = False,
) -> set[int]:
    """The steps of the program that `sliced` keeps."""
    needed: set[int] = set()
    stack = [*outputs.values(), *(a for g in _choices(program, outputs, opaque, late) for a in g.args)]
    while stack:
        i = stack.pop()
        if i not in needed:
            needed.add(i)
            stack += () if i in (inputs or {}) else program.steps[i].args
    return needed


def _choices(program: Program, outputs: Mapping[str, int], opaque: Collection[int], late: bool) -> list[Guard]:
    last = len(program.steps) if late else max(outputs.values(), default=0)
    return [g for g in program.guards if max(g.args, default=0) <= last and not any(a in opaque for a in g.args)]


def derivation_lines(program: Program, output: int) -> tuple[Binding, ...]:
    """The bindings of the derivation: those that are neither a part of the model nor another name for one."""
    model = set(program.needed([output]))

    def is_models(i: int) -> bool:
        while (
            i not in model
            and program.steps[i].op in ("name", "cast", "stop", "pick")
            and len(program.steps[i].args) == 1
        ):
            i = program.steps[i].args[0]
        return i in model

    return tuple(b for b in program.bindings if not is_models(b.step))


# --------------------------------------------------------------------------------------------------------- equivalence
# Whether two Programs are the same, step by step: the code went the same way.


def same_structure(a: Program, b: Program) -> bool:
    """Whether two runs went the same way: the same operations on the same constants."""
    return len(a) == len(b) and a.outputs == b.outputs and all(map(_same_step, a.steps, b.steps))


def same_looks(a: Program, b: Program) -> bool:
    """Whether two runs of the same steps looked at the same values, whatever they saw."""
    return [(g.op, g.args) for g in a.guards] == [(g.op, g.args) for g in b.guards]


def _same_step(a: Any, b: Any) -> bool:
    return a.op == b.op and a.args == b.args and a.shape == b.shape and a.dtype == b.dtype and _same(a.params, b.params)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b))
    if isinstance(a, Constant) and isinstance(b, Constant):
        return a.made == b.made and np.array_equal(a.value, b.value, equal_nan=True)
    if isinstance(a, Strided) or isinstance(b, Strided):
        return type(a) is type(b) and a == b
    return a == b


def only_constants_differ(a: Program, b: Program) -> int | None:
    """The first step at which two runs of the same shape have different constants, if that is all that differs."""
    if len(a) != len(b):
        return None
    found = None
    for i, (s, t) in enumerate(zip(a.steps, b.steps, strict=True)):
        if s.op != t.op or s.args != t.args or s.shape != t.shape:
            return None
        if not _same(s.params, t.params):
            if s.op != "constant":
                return None
            found = i if found is None else found
    return found
