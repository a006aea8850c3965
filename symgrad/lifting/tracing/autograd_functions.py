"""``torch.autograd.Function``s and custom operators -> Programs: forward is the model, backward the hand formula.

Both run in one trace, with a context like torch's, so that what forward saves connects the two.  The cotangents are
inputs like any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput, SymgradError, UserCodeFailed, WrongShape
from symgrad.lifting.tracing.aten import dtype_of, is_float
from symgrad.lifting.tracing.functions import failing_line, plain
from symgrad.lifting.tracing.tracer import Tracer
from symgrad.program.program import Program

# -------------------------------------------------------------------------------------------------- autograd functions

_BASE = torch.autograd.Function


class Context:
    """What forward and backward are given as ``ctx``."""

    def __init__(self, needs: Sequence[bool]) -> None:
        self.needs_input_grad = tuple(needs)
        self.saved: tuple[Any, ...] = ()
        self.constant: tuple[Any, ...] = ()
        self.materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved = tensors

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        return self.saved

    def mark_non_differentiable(self, *outputs: Any) -> None:
        self.constant = outputs

    def mark_dirty(self, *inputs: Any) -> None:
        pass

    def set_materialize_grads(self, value: bool) -> None:
        self.materialize = value


@dataclass(frozen=True, eq=False)
class FunctionRun:
    """One run: the whole trace, and the steps of the outputs, the gradients and the outputs' tangents by name.

    ``missing`` are the tensor arguments for which backward returned None, ``summed`` those whose gradient has a larger
    shape, with that shape; ``forward`` is the number of steps that forward made, and ``materialize`` says that
    backward is given zeros for outputs that are not used.
    """

    program: Program
    outputs: Mapping[str, int]
    gradients: Mapping[str, int]
    tangents: Mapping[str, int]
    values: Mapping[str, np.ndarray]
    missing: tuple[str, ...]
    summed: Mapping[str, tuple[int, ...]]
    forward: int
    materialize: bool


@dataclass(frozen=True, eq=False)
class Custom:
    """A function with a derivative of its own: ``forward(ctx, *arguments)``, ``backward(ctx, *cotangents)`` and, where
    there is one, ``jvp(ctx, *tangents)``.

    ``names`` are forward's arguments without ctx, ``keywords`` those of them that are passed by name alone; ``setup``
    is ``setup_context``, where forward has no ctx.
    """

    thing: Any
    name: str
    names: tuple[str, ...]
    keywords: tuple[str, ...]
    defaults: Mapping[str, Any]
    forward: Callable[..., Any]
    setup: Callable[..., Any] | None
    backward: Callable[..., Any] | None
    jvp: Callable[..., Any] | None
    apply: Callable[..., Any]

    @classmethod
    def of(cls, thing: Any) -> Custom:
        """Raises `BadInput` for anything else than an autograd.Function or a custom operator with a backward."""
        if isinstance(thing, type) and issubclass(thing, _BASE):
            separate = thing.setup_context is not _BASE.setup_context
            backward = next((getattr(thing, n) for n in ("backward", "vjp") if _is_own(thing, n)), None)
            jvp = thing.jvp if _is_own(thing, "jvp") else None
            setup = thing.setup_context if separate else None
            made = cls(thing, thing.__name__, (), (), {}, thing.forward, setup, backward, jvp, thing.apply)
            return made._signed(skip=0 if separate else 1)
        if _is_op(thing):
            made = cls(
                thing, thing._name, (), (), {}, thing._init_fn, thing._setup_context_fn or _no_context,
                thing._backward_fn, None, thing,
            )  # fmt: skip
            return made._signed(skip=0)
        if isinstance(thing, _BASE) or (inspect.ismethod(thing) and issubclass(getattr(thing, "__self__", int), _BASE)):
            raise BadInput(f"{thing!r} is not the Function itself.", instead="Pass the class, not its apply.")
        raise BadInput(
            f"verify_function takes a torch.autograd.Function, not a {type(thing).__name__}.",
            instead="Pass the class itself. For a model and its gradient as functions, use verify(model, hand).",
        )

    def _signed(self, skip: int) -> Custom:
        if self.backward is None and self.jvp is None:
            raise BadInput(f"{self.name} has no backward and no jvp.", instead="There is nothing to compare.")
        found = list(inspect.signature(self.forward).parameters.values())[skip:]
        for p in found:
            if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                raise BadInput(
                    f"{self.name}.forward takes *{p.name}, so that its arguments have no names.",
                    instead="Give forward's arguments names.",
                )
        defaults = {p.name: p.default for p in found if p.default is not p.empty}
        keywords = tuple(p.name for p in found if p.kind is p.KEYWORD_ONLY)
        return replace(self, names=tuple(p.name for p in found), keywords=keywords, defaults=defaults)

    def cotangent_names(self, count: int) -> list[str]:
        """What backward calls its cotangents."""
        if self.backward is None:
            return [f"cotangent {k + 1}" for k in range(count)]
        return _parameters(self.backward, count, "grad_output")

    # ------------------------------------------------------------------------------------ running
    def run(
        self,
        arguments: Mapping[str, Any],
        cotangents: Mapping[str, np.ndarray] | None,
        dtypes: Mapping[str, str],
        needs: Sequence[str] | None = None,
        tangents: Mapping[str, np.ndarray] | None = None,
        stops: bool = False,
    ) -> FunctionRun:
        """Run forward and backward in one trace.

        ``arguments`` has all of forward's; float arrays become tensors of their ``dtypes``.  ``cotangents`` are named
        as in `cotangent_names`; None runs forward alone.  An output without a cotangent is not used.  ``needs`` are
        the arguments whose gradients are asked for; ``stops`` says that ``detach`` cuts in backward.
        """
        trace = Tracer("torch", stops=False, differentiates=True)
        given = {n: self._give(trace, n, arguments[n], dtypes) for n in self.names if n in arguments}
        tensors = [n for n in given if isinstance(given[n], torch.Tensor) and is_float(given[n])]
        asked = tensors if needs is None else list(needs)
        ctx = Context([n in asked for n in self.positional])
        gradients: dict[str, int] = {}
        along: dict[str, int] = {}
        values: dict[str, np.ndarray] = {}
        missing: list[str] = []
        summed: dict[str, tuple[int, ...]] = {}
        with trace.running():
            result = self._forward(trace, ctx, given)
            several = isinstance(result, (tuple, list))
            outs = list(result) if several else [result]
            kept = [x for x in outs if isinstance(x, torch.Tensor) and is_float(x)]
            constant = {id(x) for x in ctx.constant}
            outputs = {}
            for k, x in enumerate(outs):
                if isinstance(x, torch.Tensor) and is_float(x) and id(x) not in constant:
                    name = f"output[{k}]" if several else "output"
                    outputs[name] = trace.step_of(x)
                    values[name] = np.asarray(trace.value_of(x))
            if not kept:
                raise WrongShape(f"{self.name}.forward returns no tensor of floats.")
            made, trace.stops = len(trace.builder.steps), stops
            if cotangents is not None and self.backward is not None:
                names = self.cotangent_names(len(outs))
                seeds = [
                    self._seed(trace, n, cotangents.get(n), x, ctx.materialize)
                    for n, x in zip(names, outs, strict=True)
                ]
                found = _called(trace.ready(self.backward), ctx, *seeds, what=f"{self.name}.backward")
                found = list(found) if isinstance(found, (tuple, list)) else [found]
                found = self._reduced(found, tensors, given, summed)
                missing = self._gradients(trace, found, tensors, given, gradients, values)
            if tangents is not None and self.jvp is not None:
                moved = [
                    self._seed(trace, f"tangent of {n}", tangents[n], given[n]) if n in tensors else None
                    for n in self.names
                ]
                found = _called(trace.ready(self.jvp), ctx, *moved, what=f"{self.name}.jvp")
                for name, t in zip(outputs, found if isinstance(found, (tuple, list)) else [found], strict=False):
                    if t is not None:
                        along[name] = trace.step_of(t)
                        values[f"jvp {name}"] = np.asarray(trace.value_of(t))
        trace.builder.course = trace.course.guards()
        program = trace.builder.build({})
        return FunctionRun(
            program, outputs, gradients, along, values, tuple(missing), summed, made, ctx.materialize
        )  # fmt: skip

    @property
    def positional(self) -> tuple[str, ...]:
        """Forward's arguments that backward returns a gradient for, in their order."""
        return tuple(n for n in self.names if n not in self.keywords)

    def _reduced(
        self, found: list[Any], tensors: list[str], given: Mapping[str, Any], summed: dict[str, tuple[int, ...]]
    ) -> list[Any]:
        """The gradients as autograd takes them: one that has the shape of a broadcast argument is summed to its own."""
        out = list(found)
        for k, (name, g) in enumerate(zip(self.positional, found, strict=False)):
            if name not in tensors or not isinstance(g, torch.Tensor):
                continue
            own, shape = tuple(given[name].shape), tuple(g.shape)
            if shape != own and _expands(own, shape):
                summed[name] = shape
                out[k] = g.sum_to_size(own)
            elif shape != own and [n for n in shape if n != 1] == [n for n in own if n != 1]:
                raise WrongShape(
                    f"{self.name}.backward gives a gradient of the shape {list(shape)} for {name}, whose shape is "
                    f"{list(own)}; autograd refuses it.",
                    instead=f"Return it in the shape of {name}.",
                )
        return out

    def _gradients(
        self,
        trace: Tracer,
        found: list[Any],
        tensors: list[str],
        given: Mapping[str, Any],
        gradients: dict[str, int],
        values: dict[str, np.ndarray],
    ) -> list[str]:
        n = len(self.positional)
        if len(found) < n or any(g is not None for g in found[n:]):
            raise WrongShape(
                f"{self.name}.backward returns {len(found)} gradients, and forward takes {n} arguments: "
                f"{', '.join(self.positional)}.",
                instead="Return one for each argument, in their order, and None for those that are no tensors.",
            )
        missing = []
        for name, g in zip(self.positional, found, strict=False):
            if name not in tensors:
                continue
            if g is None:
                missing.append(name)
                shape = tuple(given[name].shape)
                gradients[name] = trace.builder.zeros(shape, dtype_of(given[name]))
                values[name] = np.zeros(shape)
            else:
                gradients[name] = trace.step_of(g)
                values[name] = np.asarray(trace.value_of(g))
        return missing

    def _forward(self, trace: Tracer, ctx: Context, given: Mapping[str, Any]) -> Any:
        forward = trace.ready(self.forward)
        arguments, named = self._passed(given)
        if self.setup is None:
            return _called(forward, ctx, *arguments, what=f"{self.name}.forward", **named)
        out = _called(forward, *arguments, what=f"{self.name}.forward", **named)
        told = {"keyword_only_inputs": named} if named else {}
        _called(trace.ready(self.setup), ctx, inputs=arguments, output=out, what=f"{self.name}.setup_context", **told)
        return out

    def _passed(self, given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What forward is called with: in order, and by name."""
        whole = {n: given[n] if n in given else self.defaults[n] for n in self.names}
        return tuple(whole[n] for n in self.positional), {n: whole[n] for n in self.keywords}

    def _give(self, trace: Tracer, name: str, value: Any, dtypes: Mapping[str, str]) -> Any:
        if name not in dtypes:
            return value
        made = torch.tensor(np.asarray(value), dtype=getattr(torch, dtypes[name]))
        trace.tensors.put(made, trace.builder.input(name, tuple(made.shape), dtypes[name]))
        return made

    def _seed(self, trace: Tracer, name: str, value: Any, like: Any, materialize: bool = True) -> Any:
        """A cotangent (or a tangent) of the form of ``like``; where none is given zeros, or None."""
        if value is None or not isinstance(like, torch.Tensor) or not is_float(like):
            return torch.zeros_like(like) if materialize and isinstance(like, torch.Tensor) else None
        dtype = dtype_of(like)
        made = torch.tensor(np.asarray(value), dtype=like.dtype)
        trace.tensors.put(made, trace.builder.input(name, tuple(made.shape), dtype))
        return made

    def by_torch(
        self, arguments: Mapping[str, Any], cotangents: Mapping[str, np.ndarray], dtypes: Mapping[str, str]
    ) -> dict[str, np.ndarray | None]:
        """What autograd gives when it calls the function itself: the gradients, and the outputs under their names."""
        called = self._applied(arguments, cotangents, dtypes)
        found = called.gradients(create_graph=False)
        values = {n: plain(x) for n, x in called.outputs.items()}
        return values | {n: None if g is None else plain(g) for n, g in found.items()}

    def by_torch_twice(
        self,
        arguments: Mapping[str, Any],
        cotangents: Mapping[str, np.ndarray],
        seeds: Mapping[str, np.ndarray],
        dtypes: Mapping[str, str],
    ) -> dict[str, np.ndarray]:
        """What autograd gives when it differentiates backward: for the arguments and the cotangents.

        ``seeds`` are the cotangents of the gradients, by argument.  Raises what autograd raises.
        """
        called = self._applied(arguments, cotangents, dtypes)
        found = {n: g for n, g in called.gradients(create_graph=True).items() if g is not None and g.requires_grad}
        along = [torch.tensor(np.asarray(seeds[n]), dtype=g.dtype) for n, g in found.items()]
        if found:  # the whole graph: `grad` would pass by the node with which once_differentiable refuses
            torch.autograd.backward(list(found.values()), along)
        leaves = {**called.arguments, **called.cotangents}
        return {n: plain(torch.zeros_like(x) if x.grad is None else x.grad) for n, x in leaves.items()}

    def _applied(
        self, arguments: Mapping[str, Any], cotangents: Mapping[str, np.ndarray], dtypes: Mapping[str, str]
    ) -> _Applied:
        leaves = {
            n: torch.tensor(np.asarray(v), dtype=getattr(torch, dtypes[n])).requires_grad_()
            for n, v in arguments.items()
            if n in dtypes
        }
        # clones, for a function may write into what it is given, which a leaf refuses
        passed, named = self._passed({**arguments, **{n: x.clone() for n, x in leaves.items()}})
        out = self.apply(*passed, **named)
        outs = list(out) if isinstance(out, (tuple, list)) else [out]
        names = [f"output[{k}]" if isinstance(out, (tuple, list)) else "output" for k in range(len(outs))]
        seeds = {
            n: (x, torch.tensor(np.asarray(cotangents[n]), dtype=x.dtype).requires_grad_())
            for n, x in zip(self.cotangent_names(len(outs)), outs, strict=True)
            if isinstance(x, torch.Tensor) and x.requires_grad and n in cotangents
        }
        kept = {n: x for n, x in zip(names, outs, strict=True) if isinstance(x, torch.Tensor)}
        return _Applied(leaves, kept, {n: v for n, (_, v) in seeds.items()}, [x for x, _ in seeds.values()])


@dataclass(frozen=True, eq=False)
class _Applied:
    """A function called by autograd: its arguments and cotangents as leaves, its outputs, and those that have a
    cotangent."""

    arguments: Mapping[str, torch.Tensor]
    outputs: Mapping[str, torch.Tensor]
    cotangents: Mapping[str, torch.Tensor]
    seeded: Sequence[torch.Tensor]

    def gradients(self, create_graph: bool) -> dict[str, torch.Tensor | None]:
        found = torch.autograd.grad(
            list(self.seeded), list(self.arguments.values()), list(self.cotangents.values()),
            create_graph=create_graph, allow_unused=True,
        )  # fmt: skip
        return dict(zip(self.arguments, found, strict=True))


def _expands(own: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a tensor of the shape ``own`` can be broadcast to ``shape``: what autograd sums a gradient back by."""
    return len(own) <= len(shape) and all(n in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False))


def _is_own(kind: type, name: str) -> bool:
    return getattr(kind, name, None) is not getattr(_BASE, name, None)


def _is_op(thing: Any) -> bool:
    return all(hasattr(thing, n) for n in ("_init_fn", "_backward_fn", "_setup_context_fn", "_name"))


def _no_context(ctx: Any, inputs: Any, output: Any) -> None:
    pass


def _parameters(function: Callable[..., Any], count: int, stem: str) -> list[str]:
    found = list(inspect.signature(function).parameters.values())[1:]
    names = [p.name for p in found if p.kind is not p.VAR_POSITIONAL]
    rest = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), stem)
    return (names + [f"{rest}[{k}]" for k in range(count - len(names))])[:count]


def _called(function: Callable[..., Any], *arguments: Any, what: str, **named: Any) -> Any:
    try:
        with np.errstate(all="ignore"):
            return function(*arguments, **named)
    except SymgradError:
        raise
    except Exception as error:
        raise UserCodeFailed(f"{what} raised {type(error).__name__}: {error}", where=failing_line(error)) from error
