"""gradient: the exact derivative, to print, to read as SymPy, and to call on tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.api.sized_gradients import SizedDerivative, sized_gradient
from symgrad.errors import AmbiguousBranch, UnknownName, close_names
from symgrad.evaluation.exact import meaning
from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.evaluation.torch_code import call, source
from symgrad.lifting.formulas import open_formula
from symgrad.lifting.tracing.modules import Module
from symgrad.problem.arguments import dtypes_of, find_point, full_name, resolve
from symgrad.problem.definedness import branches_on
from symgrad.problem.shapes import declared_shapes, named_in, named_shapes, posed, with_shapes
from symgrad.program.builder import Builder
from symgrad.program.derivative import derivatives
from symgrad.program.program import Guard, Program, interpret

__all__ = ["Derivative", "gradient"]

_LOOK = {"gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal, "eq": np.equal}
_LOOK |= {"ne": np.not_equal}


@dataclass(frozen=True, eq=False, repr=False)
class Derivative(Program):
    """An exact derivative: a Program that can be called, printed, and read as SymPy.

    ``wrt`` is the input it is for.  It is the derivative on the branch that the formula takes at ``point``; a call
    with inputs that would take another branch raises `AmbiguousBranch` rather than answer for the wrong one.
    """

    wrt: str = ""
    point: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """The derivative's value: tensors in, a tensor out, of any float dtype, on the inputs' device.

        Inputs go by name (dots as underscores) or in order.  Scalars broadcast; tensors have the Program's shapes,
        with leading batch dimensions in front if wanted.
        """
        named = {full_name(name, list(self.inputs)): value for name, value in named.items()}
        values = {**dict(zip(self.inputs, positional, strict=False)), **named}
        guards = branches_on(self, list(self.inputs))
        if guards and len(values) == len(self.inputs):
            self._check(guards, values)
        return call(self, *positional, **named)

    def _check(self, guards: Sequence[Guard], values: Mapping[str, Any]) -> None:
        inputs = {n: torch.as_tensor(v).to(torch.float64) for n, v in values.items()}
        for name, i in self.inputs.items():
            if tuple(inputs[name].shape) != self.shape(i):
                raise AmbiguousBranch(
                    "the formula chooses between branches, and a batch may need several of them.",
                    instead="Call it for one point at a time.",
                )
        sides = interpret(self, Floats("float64"), inputs, [a for g in guards for a in g.args])
        for guard in guards:
            look = _LOOK.get(guard.op)
            arrays = [to_numpy(sides[a]) for a in guard.args]
            same = (
                np.array_equal(np.broadcast_to(look(*arrays), guard.outcome.shape), guard.outcome)
                if look is not None and len(arrays) == 2
                else all(np.array_equal(to_numpy(inputs[n]), self.point[n]) for n in inputs)
            )
            if not same:
                where = guard.source.text if guard.source is not None else guard.op
                raise AmbiguousBranch(
                    f"these inputs take another branch than the point at which the gradient was taken ({where}).",
                    instead="Call symgrad.gradient again with at= this point.",
                )

    @property
    def sympy(self) -> Any:
        """The derivative as a SymPy expression; for a tensor, an object array of them."""
        return meaning(self, self.output)

    @property
    def code(self) -> str:
        """The derivative as torch code, to read or to paste."""
        return source(self)

    def __str__(self) -> str:
        return str(sp.simplify(self.sympy)) if not self.shape(self.output) and len(self) < 40 else self.code

    __repr__ = __str__


def gradient(
    formula: Any,
    *,
    wrt: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    order: int = 1,
    seed: int = 0,
) -> Mapping[str, Derivative | SizedDerivative]:
    """The exact derivative of ``formula`` with respect to each input in ``wrt`` (by default each float input).

    For a scalar formula f the gradient df/dx, of x's shape; for a tensor the Jacobian, of shape f.shape + x.shape;
    with ``order=2`` the Hessian.  ``formula`` and ``at`` are as for `verify`.

    >>> g = gradient("w*tanh(w*x)")
    >>> g["x"].sympy
    w**2*(1 - tanh(w*x)**2)
    >>> g["x"](w=torch.tensor([1.0, 2.0]), x=torch.tensor(0.0))
    tensor([1., 4.])

    With names in the shapes, ``at={"U": ("m", "d"), "w": ("m",), "x": ("d",)}``, the derivatives hold for all sizes:
    each can be called on tensors of any, and the whole result too, which gives all of them from one torch function.

    >>> g = gradient(lambda A, x: x @ A @ x, at={"A": ("n", "n"), "x": ("n",)})
    >>> g["x"]
    (sum_s A[i,s]*x[s]) + sum_s A[s,i]*x[s]
    >>> g["x"](A=torch.eye(3), x=torch.tensor([1.0, 2.0, 3.0]))
    tensor([2., 4., 6.])
    >>> sorted(g(A=torch.eye(2), x=torch.ones(2)))
    ['A', 'x']

    Raises `UnknownName` for a name that the formula does not have, and what `verify` raises for the formula.

    Guarantee: SymPy's derivative of each operation's exact meaning, put together by the chain rule; the torch
    function's only errors are rounding.
    """
    model = open_formula(formula)
    told = {**declared_shapes(model), **named_in(at)}
    model = with_shapes(model, told)
    at = None if at is None else {full_name(n, model.names): v for n, v in at.items()}
    asked = [wrt] if isinstance(wrt, str) else list(wrt or ())
    for name in asked:
        if full_name(name, model.names) not in model.names:
            raise UnknownName(
                f"wrt names {name!r}, but the formula has only {', '.join(model.names)}.",
                instead=close_names(name, model.names) or None,
            )
    own = model.parameters if isinstance(model, Module) else {}
    shapes, at = named_shapes(at, own, declared_shapes(model))
    names = [full_name(n, model.names) for n in asked]
    if shapes is not None:
        pose = lambda at: _pointed(model, at, names, seed, own)  # noqa: E731
        shapes, (dtypes, _, _) = posed(shapes, at, own, pose)
        assert shapes is not None
        return sized_gradient(model, shapes, at or {}, own, names or list(dtypes), order, seed, gradient)
    dtypes, inputs, run = _pointed(model, at, names, seed, own)
    names = names or list(dtypes)
    b = Builder.on(run.program)
    found = derivatives(b, run.program.output, {n: run.program.inputs[n] for n in names}, order)
    whole = b.build(run.program.outputs)
    return {name: _derivative(whole, name, i, inputs.point) for name, i in found.items()}


def _pointed(model: Any, at: Any, names: Sequence[str], seed: int, own: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The dtypes of the float inputs, the point, and the run there."""
    inputs = resolve(model, at, names, None, seed, own)
    dtypes = dtypes_of(model, at, inputs.point, None)
    return dtypes, *find_point(model, inputs, dtypes, seed)


def _derivative(program: Program, name: str, step: int, point: Mapping[str, Any]) -> Derivative:
    return Derivative(program.inputs, program.steps, {name: step}, program.bindings, program.guards, name, dict(point))
