"""Anything -> a formula that can be run at a point: the one door through which inputs come in.

A formula has ``names`` (its inputs) and ``run(point, dtypes) -> Run`` (its Program and plain values there).
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import sympy as sp
import torch

from symgrad.errors import BadInput, UnknownName, UserCodeFailed, close_names
from symgrad.evaluation.floats import Floats, tensors_of
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.typeset_derivations import are_equations, derivation, joined
from symgrad.lifting.text.lexicon import refuse_long
from symgrad.lifting.text.step_list import Steps, are_steps
from symgrad.lifting.text.text_formula import Text
from symgrad.lifting.tracing.functions import Function, Module, Run, plain
from symgrad.program.builder import Builder, join
from symgrad.program.expressions import Expression
from symgrad.program.program import Program, interpret, promote

# ------------------------------------------------------------------------------------------------------------ formulas


class Formula(Protocol):
    """What every kind of input becomes."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def required(self) -> tuple[str, ...]: ...

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run: ...


def _dtype(names: Sequence[str], dtypes: Mapping[str, str] | str) -> str:
    if isinstance(dtypes, str):
        return dtypes
    return promote(*(dtypes.get(n, "float64") for n in names)) if names else "float64"


def evaluated(program: Program, point: Mapping[str, Any]) -> Run:
    try:
        values = interpret(program, Floats(), tensors_of(point, program.dtypes))
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise UserCodeFailed(
            f"the formula inverts a matrix that has no inverse: {str(error).splitlines()[0]}",
            instead="Pass at={...} with values at which it has one.",
        ) from None
    return Run(program, {k: values[i].detach().resolve_conj().numpy() for k, i in program.outputs.items()})


@dataclass(frozen=True, eq=False)
class Symbolic:
    """Text or a SymPy expression: scalars, and matrices of them."""

    source: Text | Expression

    @property
    def names(self) -> tuple[str, ...]:
        return self.source.names

    @property
    def required(self) -> tuple[str, ...]:
        return self.source.names

    @property
    def library(self) -> str:
        return "math"

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        run = evaluated(self.source.run(point, _dtype(self.names, dtypes)), point)
        return replace(run, symbolic=True)


@dataclass(frozen=True, eq=False)
class Given:
    """A Program, taken as it is."""

    program: Program
    library: str = "math"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.program.inputs)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.program.inputs)

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return evaluated(self.program, point)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Values computed elsewhere, for one point: nothing is known of how they were computed."""

    value: np.ndarray
    dtype: str | None = None  # where it is none of NumPy's
    names: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    library: str = "math"

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:

        b = Builder()
        step = b.constant(self.value, self.dtype or str(self.value.dtype))
        return Run(b.build({"output": step}), {"output": self.value})


@dataclass(frozen=True, eq=False)
class Several:
    """A formula for each of several names."""

    parts: Mapping[str, Formula]
    library: str = "math"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n for part in self.parts.values() for n in part.names))

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n for part in self.parts.values() for n in part.required))

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        runs = {name: part.run(point, dtypes) for name, part in self.parts.items()}
        program = join(**{name: run.program for name, run in runs.items()})
        outputs = {key.rsplit(".", 1)[0]: i for key, i in program.outputs.items()}
        values = {name: next(iter(run.values.values())) for name, run in runs.items()}
        numbers = frozenset[int]().union(*(run.numbers for run in runs.values()))
        return Run(program.with_outputs(outputs), values, all(run.symbolic for run in runs.values()), numbers)


@dataclass(frozen=True, eq=False)
class Renamed:
    """A formula whose inputs go by other names: ``linear1_weight`` for ``linear1.weight``."""

    formula: Formula
    of: Mapping[str, str]  # the formula's own name -> the name outside

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.of.get(n, n) for n in self.formula.names)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.of.get(n, n) for n in self.formula.required)

    @property
    def library(self) -> str:
        return getattr(self.formula, "library", "math")

    def inside(
        self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str
    ) -> tuple[dict[str, Any], Mapping[str, str] | str]:
        """A point and dtypes under the formula's own names."""
        back = {outside: own for own, outside in self.of.items()}
        inner = {back.get(n, n): v for n, v in point.items() if n in self.names}
        return inner, dtypes if isinstance(dtypes, str) else {back.get(n, n): d for n, d in dtypes.items()}

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        run = self.formula.run(*self.inside(point, dtypes))
        steps = list(run.program.steps)
        inputs = {}
        for name, i in run.program.inputs.items():
            outside = self.of.get(name, name)
            steps[i] = replace(steps[i], params=outside)
            inputs[outside] = i
        return replace(run, program=replace(run.program, inputs=inputs, steps=tuple(steps)))


def code_values(
    formula: Formula, point: Mapping[str, Any], dtypes: Mapping[str, str] | str
) -> Mapping[str, np.ndarray] | None:
    """What the code of a formula gives at a point when it is run by itself, under the names of `Run.values`; None where
    a formula is no code, or a run of it is more than a call.

    Raises what the code raises, as `Function.run` does.
    """
    match formula:
        case Module() | Function(beside=None):
            return formula.plain(point, dtypes)
        case Several(parts=parts):
            found = {name: code_values(part, point, dtypes) for name, part in parts.items()}
            values = {name: next(iter(v.values())) for name, v in found.items() if v}
            return values if len(values) == len(parts) else None
        case Renamed():
            return code_values(formula.formula, *formula.inside(point, dtypes))
    return None


def rename(formula: Formula, known: Sequence[str], what: str) -> Formula:
    """Match a formula's names with the model's: as they are, or with dots written as underscores.

    Raises `UnknownName` for a name that the model does not have.
    """
    plain = {name.replace(".", "_"): name for name in known}
    of = {n: plain[n] for n in formula.names if n not in known and n in plain}
    for n in formula.required:
        if n not in known and n not in of:
            near = close_names(n, [*known, *plain])
            has = f"only {', '.join(known)}" if known else "no inputs"
            raise UnknownName(
                f"{what} uses {n!r}, but the model has {has}.",
                instead=f"{near + ' ' if near else ''}Rename it, or make {n!r} an input of the model{_upstream(n)}.",
            )
    return Renamed(formula, of) if of else formula


def _upstream(name: str) -> str:
    """What to do with a name that hand code often has for the gradient that comes from above."""
    if not re.fullmatch(r"d_?out|d_?y|g|gy|delta|upstream|cotangent|grad(_?out(put)?)?", name):
        return ""
    return f"; if it is the gradient that comes from above, the model takes it too, and returns (output * {name}).sum()"


def open_formula(
    thing: Any,
    *,
    stops: bool = True,
    like: str | None = None,
    known: Sequence[str] | None = None,
    beside: Formula | None = None,
    order: int | None = 1,
    scalars: bool = True,
) -> Formula:
    """The formula that ``thing`` states.

    ``stops`` says whether ``detach`` cuts; ``like`` is the kind of values for a function whose code does not tell.
    ``beside`` is the model, where ``thing`` is its derivative of ``order`` (None where it says that itself): LaTeX is
    read by the names that it has, and where all of them are ``scalars``, a derivation in it is a list of steps.
    Raises `BadInput` for a thing that is no formula.
    """
    if isinstance(thing, (Function, Module, Symbolic, Given, Numbers, Several, Renamed, Steps)):
        return thing
    if isinstance(thing, Latex) or are_equations(thing):
        return _equations(thing if isinstance(thing, Latex) else joined(thing), beside, order, scalars)
    if getattr(type(thing), "is_formula", False):  # one that is made of another
        return thing
    if isinstance(thing, Program):
        return Given(thing)
    if are_steps(thing):
        return Steps(tuple(thing) if isinstance(thing, (list, tuple)) else thing)
    if isinstance(thing, str):
        return Symbolic(Text(thing, known))
    if isinstance(thing, (sp.Basic, sp.MatrixBase, sp.NDimArray)):
        nodes = itertools.islice(sp.preorder_traversal(thing), _MOST + 1)
        refuse_long(sum(1 for _ in nodes), "nodes", _MOST)
        return Symbolic(Expression(thing))
    if isinstance(thing, torch.nn.Module):
        return Module.of(thing)
    if isinstance(thing, Mapping):
        if not thing:
            raise BadInput("a mapping without a formula was passed.", instead="Pass a mapping from input to gradient.")
        return Several({str(k): _part(v, str(k), stops, like, known, beside, order) for k, v in thing.items()})
    if isinstance(thing, torch.Tensor):
        return _numbers(thing)
    if isinstance(thing, (np.ndarray, np.generic, float, int, complex)) and not isinstance(thing, bool):
        return _numbers(thing)
    if isinstance(thing, (list, tuple)) and thing:
        is_tuple = isinstance(thing, tuple) or any(isinstance(x, (str, sp.Expr, sp.MatrixBase)) for x in thing)
        if is_tuple and not all(isinstance(x, (int, float)) for x in thing):
            parts = enumerate(thing)
            return Several({str(k): _part(v, None, stops, like, known, beside, order) for k, v in parts})
        return _numbers(thing)
    if isinstance(thing, type) and issubclass(thing, torch.autograd.Function):
        raise BadInput(
            f"{thing.__name__} is an autograd.Function, whose backward is judged with its forward.",
            instead=f"Write verify_function({thing.__name__}, at=...).",
        )
    if callable(thing):
        return _function(thing, stops, like)
    raise BadInput(
        f"a formula cannot be a {type(thing).__name__}.",
        instead="Pass text, Latex, a SymPy expression, a Python function, an nn.Module, numbers, or a mapping of them.",
    )


_MOST = 20_000  # nodes of an expression in SymPy
_KINDS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


def _numbers(thing: Any) -> Numbers:
    """Values computed elsewhere in their own dtype, whole numbers as float64; `BadInput` for what holds no numbers."""
    kind = None
    try:
        if isinstance(thing, torch.Tensor):
            kind = str(thing.dtype).removeprefix("torch.")
            array = plain(thing)
        else:
            array = np.asarray(thing)
        if array.dtype.kind not in "fciub":
            raise TypeError(f"of dtype {array.dtype}")
        kind = kind or str(array.dtype)
        if kind not in _KINDS:
            kind, array = "float64", array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise BadInput(
            f"these are no numbers that can be read: {str(error).splitlines()[0]}.",
            instead="Pass a number, a list of numbers, or an array or a dense tensor of floats.",
        ) from None
    return Numbers(array, kind)


def _part(
    thing: Any,
    key: str | None,
    stops: bool,
    like: str | None,
    known: Sequence[str] | None,
    beside: Formula | None,
    order: int | None,
) -> Formula:
    """One of several formulas; ``key`` is the input that it is for."""
    if isinstance(thing, Latex) and beside is not None:
        return replace(thing.beside(beside, order=order, key=key), keyed=False)
    return open_formula(thing, stops=stops, like=like, known=known)


def _equations(thing: Latex, beside: Formula | None, order: int | None, scalars: bool) -> Formula:
    """A formula in LaTeX; of several derivatives, one for each input; a derivation, line by line."""
    if beside is not None:
        thing = replace(thing, model=beside)
    elif thing.about is not None:
        return thing
    steps = derivation(thing) if scalars else None
    if steps is not None:
        return steps
    final = thing.final
    if len(final) < 2:
        return thing if beside is None else thing.beside(beside, order=order)
    parts = {name: replace(thing, only=c.key) for name, c in final.items()}
    if beside is not None:
        parts = {name: replace(p.beside(beside, order=order), keyed=False) for name, p in parts.items()}
    return Several(parts)


def readings(formula: Formula, what: str) -> tuple[str, ...]:
    """How formulas in LaTeX were read, for the report."""
    if isinstance(formula, Latex):
        lines = formula.shown.splitlines()
        return (f"{what} was read as {'; '.join(lines)}.",)
    if isinstance(formula, Several):
        return tuple(r for part in formula.parts.values() for r in readings(part, what))
    inner = getattr(formula, "formula", None)
    return () if inner is None else readings(inner, what)


def _function(thing: Callable[..., Any], stops: bool, like: str | None) -> Function:
    try:
        inspect.signature(thing)
    except (TypeError, ValueError):
        return _builtin(thing, stops)
    return Function.of(thing, stops=stops, like=like)


def _builtin(thing: Any, stops: bool) -> Function:
    """A function written in C, such as ``torch.tanh`` or ``np.exp``, which does not tell its arguments."""
    count = getattr(thing, "nin", 1)
    wrapped = (lambda x: thing(x)) if count == 1 else (lambda x, y: thing(x, y))
    library = (
        "numpy" if isinstance(thing, np.ufunc) else "math" if getattr(thing, "__module__", "") == "math" else "torch"
    )
    return Function(wrapped, ("x", "y")[:count], library, stops)
