"""Derivatives that a script takes of its own functions with a library: torch.func, torch.autograd.functional, scipy.

Each is what a call of autograd is: the function is run once more under the tracer, at the arguments that it is given,
and is the output; what the library gives for it is real, and opaque.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts.script_record import Drawn, Event
from symgrad.lifting.scripts.solvers import NAMES, Calling, solve
from symgrad.lifting.tracing.aten import is_float
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.torch_modes import quiet
from symgrad.program.program import Program, interpret

_ORDERS: dict[Any, int] = dict.fromkeys(
    (torch.func.grad, torch.func.grad_and_value, torch.func.jacrev, torch.func.jacfwd), 1
)
_ORDERS[torch.func.hessian] = 2
_APPLIED: dict[Any, int] = {torch.autograd.functional.jacobian: 1, torch.autograd.functional.hessian: 2}
_STEP = math.sqrt(np.finfo(float).eps)  # scipy's own


class Referring(Recorder, Calling, Protocol):
    """What is used of a script's tracer: see `symgrad.lifting.scripts.script_tracer`."""

    def call(self, function: Any, *args: Any, **options: Any) -> Any: ...

    def declare(self, x: torch.Tensor) -> None: ...

    def referred(
        self, out: torch.Tensor, of: Derivative, args: Sequence[Any], given: list[torch.Tensor], found: list[Any]
    ) -> None: ...

    put_in: dict[str, np.ndarray]
    displaced: list[int]
    compared: list[tuple[int, int]]

    def computed(self, path: str, value: Any, *, is_function: bool = False) -> Event: ...

    def approximated(self, value: np.ndarray) -> Any: ...

    def inside(self, function: Any) -> Exception: ...

    def line(self) -> int | None: ...


@dataclass(frozen=True, eq=False)
class Derivative:
    """What ``torch.func.grad(f)`` and its like give: the derivative of f for some of its arguments."""

    tracer: Referring
    kind: str
    function: Any
    order: int
    arguments: int | tuple[int, ...] = 0
    has_more: bool = False
    with_value: bool = False

    @property
    def name(self) -> str | None:
        name = getattr(self.function, "__name__", None)
        return name if name != "<lambda>" else None

    def __call__(self, *args: Any, **options: Any) -> Any:
        t, single = self.tracer, isinstance(self.arguments, int)
        places = (self.arguments,) if isinstance(self.arguments, int) else self.arguments
        given = {k % len(args): args[k] for k in places}
        if not all(isinstance(x, torch.Tensor) and is_float(x) for x in given.values()) or self.order * len(given) > 2:
            raise t.inside(self.function)
        for x in given.values():
            t.declare(x)
        with quiet(), torch.enable_grad():
            leaves = {k: x.detach().clone().requires_grad_(True) for k, x in given.items()}
            moved = {k: x.view_as(x) for k, x in leaves.items()}
        for k, x in given.items():
            t.tensors.put(moved[k], t.tensors.step(x))
        with torch.enable_grad():
            out = t.call(self.function, *(moved.get(k, a) for k, a in enumerate(args)), **options)
        out, *more = out if self.has_more else (out,)
        if not isinstance(out, torch.Tensor):
            raise t.inside(self.function)
        with quiet(), torch.enable_grad():
            found = [_taken(out, x, self.order).detach() for x in leaves.values()]
        t.referred(out, self, args, list(given.values()), found)
        said = found[0] if single else tuple(found)
        whole = (said, (out, *more) if more else out) if self.with_value else (said, *more)
        return whole if len(whole) > 1 else said


def _taken(out: torch.Tensor, x: torch.Tensor, order: int) -> torch.Tensor:
    """Autograd's derivative of ``out`` for ``x``, of shape out.shape + x.shape."""
    if not out.requires_grad:
        return torch.zeros((*out.shape, *x.shape), dtype=out.dtype)
    take = partial(torch.autograd.grad, inputs=x, retain_graph=True, create_graph=order > 1, materialize_grads=True)
    rows = [take(entry)[0] for entry in out.reshape(-1)]
    made = torch.stack(rows).reshape((*out.shape, *x.shape))
    return made if order == 1 else _taken(made, x, order - 1)


def reference(t: Referring, function: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """What a library's derivative of a function of the script's gives, or its test of two values; NotImplemented where
    ``function`` is neither."""
    if isinstance(function, Derivative):
        return function(*args, **options)
    try:
        order = _ORDERS.get(function) or _APPLIED.get(function)
    except TypeError:  # not hashable
        return NotImplemented
    if order is None:
        called = getattr(function, "__name__", "")
        if called in (*NAMES, "approx_fprime") and "scipy" in str(function.__module__):
            return _approximate(t, *args, **options) if called not in NAMES else solve(t, called, args, options)
        if str(getattr(function, "__module__", "")).startswith(("numpy.testing", "torch.testing")):
            return _tested(t, function, args, options)
        if any(isinstance(a, Derivative) for a in args):
            raise t.inside(next(a.function for a in args if isinstance(a, Derivative)))
        return NotImplemented
    of, *rest = args if args else (options["func"],)
    places = options.get("argnums", rest[0] if rest else 0) if function in _ORDERS else 0
    if function in _APPLIED and not isinstance(rest[0], torch.Tensor):
        places, rest = tuple(range(len(rest[0]))), list(rest[0])
    name = function.__name__
    made = Derivative(t, name, of, order, places, bool(options.get("has_aux")), name == "grad_and_value")
    if isinstance(of, Derivative):  # the derivative of a derivative
        if order + of.order > 2 or of.arguments != places or of.has_more or of.with_value:
            raise t.inside(function)
        made = replace(made, function=of.function, order=2)
    return made if function in _ORDERS else made(*rest)


def _approximate(t: Referring, x: Any, f: Callable[..., Any], epsilon: Any = _STEP, *args: Any) -> Any:
    """``scipy.optimize.approx_fprime``: forward differences of the function, which is recorded once."""
    given = t.call(f, x, *args)
    out, at = t.step_of(given), t.step_of(x)
    program, inputs = Program({}, tuple(t.builder.steps), {}), {n: torch.as_tensor(v) for n, v in t.put_in.items()}
    own = torch.as_tensor(np.array(t.value_of(x), dtype=float))

    def value(point: torch.Tensor) -> np.ndarray:
        return interpret(program, Floats(), inputs, [out], replaced={at: point})[out].detach().numpy()

    low, steps = value(own), np.broadcast_to(np.asarray(t.value_of(epsilon), dtype=float), own.shape)
    moved = [own + torch.as_tensor(steps * row).reshape(own.shape) for row in np.eye(own.numel())]
    t.displaced.append(at)
    t.computed("approx_fprime's function", given, is_function=True)
    return t.approximated(np.stack([(value(p) - low) / h for p, h in zip(moved, steps.reshape(-1), strict=True)]))


def custom(function: Any, given: Sequence[Any], order: int) -> list[tuple[str, list[Any], int]]:
    """The custom function whose ``apply`` this is, with what it is given; nothing where it is none."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, type) or not issubclass(owner, torch.autograd.Function):
        return []
    with quiet():
        return [(owner.__name__, [x.detach().clone() if isinstance(x, torch.Tensor) else x for x in given], order)]


def _tested(t: Referring, function: Any, args: Any, options: Any) -> Any:
    """A testing function: what it is given together is compared; it runs on plain values."""
    steps = [t.step_of(a) for a in args[:2] if not isinstance(a, (str, type)) and not callable(a)]
    if len(steps) == 2:
        t.compared.append((steps[0], steps[1]))
    plain = [torch.as_tensor(t.value_of(a)) if isinstance(a, torch.Tensor) else t.value_of(a) for a in args]
    with quiet():
        return function(*plain, **{k: t.value_of(v) for k, v in options.items()})


def drawn(t: Referring, function: Any, args: Sequence[Any], options: Mapping[str, Any], outcome: Any) -> list[Drawn]:
    """What ``rng.choice(n, p=...)`` has drawn, by probabilities that are followed."""
    owner, p = getattr(function, "__self__", None), options.get("p", args[3] if len(args) > 3 else None)
    is_draw = isinstance(owner, (np.random.RandomState, np.random.Generator)) and function.__name__ == "choice"
    if not is_draw or np.ndim(outcome) or not t.is_traced(p) or (line := t.line()) is None:
        return []
    among = np.arange(args[0]) if np.ndim(args[0]) == 0 else np.asarray(args[0])
    places = np.flatnonzero(among == outcome)
    return [Drawn(line, t.step_of(p), int(places[0]))] if places.size else []
