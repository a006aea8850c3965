"""Formulas that are made of another's derivative: products with a cotangent or tangents, gradients, partial ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symgrad.errors import BadInput, UnknownName, WrongShape, close_names
from symgrad.lifting.formulas import Formula, open_formula
from symgrad.lifting.tracing.functions import Module, Run
from symgrad.program.builder import Builder
from symgrad.program.derivative import gradients, tangent
from symgrad.program.program import Program, sliced
from symgrad.typing import FormulaLike


def vjp(formula: FormulaLike, cotangent: str) -> PullbackFormula:
    """The scalar Re sum(conj(v) * f(x)), whose gradient for x is the vector-Jacobian product of f with v.

    ``cotangent`` is the name of v, an input like the others, of the shape of f's output.

    >>> from symgrad import verify
    >>> f = lambda x: x**2
    >>> verify(vjp(f, "v"), lambda x, v: {"x": 2 * x * v}, at={"x": (3,), "v": (3,)}).verdict
    'proved'
    >>> verify(vjp(f, "v"), lambda x, v: {"x": 2 * x}, at={"x": (3,), "v": (3,)}).verdict
    'refuted'

    Raises `BadInput` for a module or where f has an input of this name.
    """
    inner = _opened(formula)
    if cotangent in inner.names:
        raise BadInput(f"the formula has an input called {cotangent!r} itself.", instead="Give v another name.")
    return PullbackFormula(inner, cotangent, formula if callable(formula) else None)


def jvp(formula: FormulaLike, tangents: Mapping[str, str]) -> PushforwardFormula:
    """The Jacobian-vector product sum_i df/dx_i t_i as a formula, exactly; of the shape of f's output.

    ``tangents`` maps inputs of f to the names of their tangents, which are inputs of their shapes.

    >>> from symgrad import compare
    >>> compare(jvp("sin(x)*y", {"x": "dx", "y": "dy"}), "cos(x)*y*dx + sin(x)*dy").kind
    'proved'
    >>> compare(jvp("sin(x)*y", {"x": "dx"}), "cos(x)*dx").kind
    'refuted'

    Raises `UnknownName` for an input that f does not have, `BadInput` for a module.
    """
    inner = _opened(formula)
    for name in tangents:
        if name not in inner.names:
            near = close_names(name, inner.names)
            raise UnknownName(
                f"tangents has {name!r}, but the formula has only {', '.join(inner.names)}.", instead=near or None
            )
    return PushforwardFormula(inner, dict(tangents))


def _opened(formula: FormulaLike) -> Formula:
    inner = open_formula(formula)
    if isinstance(inner, Module):
        raise BadInput(
            "a product with a module's derivative needs names for its arguments.",
            instead="Pass a function of the parameters that calls the module, with torch.func.functional_call.",
        )
    return inner


def _only(program: Program) -> int:
    if len(program.outputs) != 1:
        raise WrongShape(f"the formula returns {len(program.outputs)} values.", instead="Return one.")
    return program.output


@dataclass(frozen=True, eq=False)
class PullbackFormula:
    """See `vjp`."""

    inner: Formula
    cotangent: str
    function: Callable[..., Any] | None
    is_formula: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.inner.names, self.cotangent)

    @property
    def required(self) -> tuple[str, ...]:
        return (*self.inner.required, self.cotangent)

    @property
    def library(self) -> str:
        return getattr(self.inner, "library", "math") if self.function is not None else "math"

    def __call__(self, **given: Any) -> Any:
        """The scalar itself, so that autograd can be asked too."""
        v = given.pop(self.cotangent)
        assert self.function is not None
        return (v.conj() * self.function(**given)).sum()

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        inner = self.inner.run(point, dtypes)
        b = Builder.on(inner.program)
        out = _only(inner.program)
        value = np.asarray(point[self.cotangent])
        if value.shape != b.shape(out):
            raise WrongShape(
                f"{self.cotangent} has the shape {list(value.shape)}, and the formula's output {list(b.shape(out))}.",
                instead=f"A cotangent has the output's shape: at={{{self.cotangent!r}: {b.shape(out)}}}.",
            )
        dtype = dtypes if isinstance(dtypes, str) else dtypes.get(self.cotangent, b.dtype(out))
        v = b.input(self.cotangent, value.shape, dtype)
        product = b.mul(b.conj(v), out)
        total = b.sum(product) if b.shape(product) else product
        (result,) = inner.values.values()
        return Run(b.build({"output": total}), {"output": np.asarray(np.sum(np.conj(value) * result))})


@dataclass(frozen=True, eq=False)
class PushforwardFormula:
    """See `jvp`."""

    inner: Formula
    tangents: Mapping[str, str]
    is_formula: ClassVar[bool] = True

    @property
    def library(self) -> str:
        return getattr(self.inner, "library", "math")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.inner.names, *self.tangents.values())))

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.inner.required, *self.tangents.values())))

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        program = self.inner.run(point, dtypes).program
        out, total = _only(program), None
        for name, moved in self.tangents.items():
            if name not in program.inputs:
                continue  # the output does not depend on it
            at = program.inputs[name]
            b = Builder.on(program)
            direction = b.inputs.get(moved)  # the speed of an input may be one itself
            if direction is None:
                direction = b.input(moved, np.shape(point[moved]), program.steps[at].dtype)
            if b.shape(direction) != b.shape(at):
                raise WrongShape(
                    f"{moved} has the shape {list(b.shape(direction))}, and {name} {list(b.shape(at))}.",
                    instead="A tangent has the shape of its input.",
                )
            program, step = tangent(b.build(program.outputs), out, at, direction)
            b = Builder.on(program)
            total = step if total is None else b.add(total, step)
            program = b.build(program.outputs)
        b = Builder.on(program)
        total = b.zeros(b.shape(out), b.dtype(out)) if total is None else total
        values = {"output": np.full(b.shape(total), np.nan)}
        return Run(sliced(b.build({}), {"output": total}), values, derived=frozenset(values))


@dataclass(frozen=True, eq=False)
class _Derived:
    """What is made of a ``formula`` by differentiating it for inputs of its own."""

    formula: Formula
    wrt: tuple[str, ...]
    is_formula: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        return self.formula.names

    @property
    def required(self) -> tuple[str, ...]:
        return self.formula.required


@dataclass(frozen=True, eq=False)
class GradientFormula(_Derived):
    """The exact gradient of a formula with one number, for inputs that are numbers, as one array: its derivative is
    the Hessian.
    """

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        program = self.formula.run(point, dtypes).program
        b = Builder.on(program)
        of = {name: program.inputs[name] for name in self.wrt if name in program.inputs}
        found = gradients(b, _only(program), of)
        zero = b.number(0, b.dtype(_only(program)))
        made = b.build({"output": b.stack([found.get(name, zero) for name in self.wrt])})
        return Run(made, {"output": np.full(len(self.wrt), np.nan)}, derived=frozenset({"output"}))


@dataclass(frozen=True, eq=False)
class PartialFormula(_Derived):
    """The exact derivative of a formula with one number for each of ``wrt`` in turn, as a formula: of d2f/dx dy it is
    df/dx, whose derivative for y is the whole.
    """

    @property
    def library(self) -> str:
        return getattr(self.formula, "library", "math")

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        program = self.formula.run(point, dtypes).program
        out = _only(program)
        for name in self.wrt:
            b = Builder.on(program)
            if b.shape(out):
                raise WrongShape(
                    f"a mixed or higher derivative is read of a number, and what is differentiated for {name} has the "
                    f"shape {list(b.shape(out))}.",
                    instead="Ask about one entry, or pass order=2 for a Hessian.",
                )
            of = {name: program.inputs[name]} if name in program.inputs else {}
            out = gradients(b, out, of)[name] if of else b.number(0, b.dtype(out))
            program = b.build({"output": out})
        return Run(program, {"output": np.full(program.shape(out), np.nan)}, derived=frozenset({"output"}))
