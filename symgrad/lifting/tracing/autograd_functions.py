"""``torch.autograd.Function``s and custom operators -> Programs: forward is the model, backward the hand formula.

Both run in one trace, with a context like torch's, so that what forward saves connects the two.  The cotangents are
inputs like any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput, SymgradError, UserCodeFailed, WrongShape
from symgrad.lifting.tracing.aten import dtype_of, is_float
from symgrad.lifting.tracing.functions import failing_line, plain
from symgrad.lifting.tracing.leaves import Signature, results, seeds, single
from symgrad.lifting.tracing.torch_modes import quiet
from symgrad.lifting.tracing.tracer import Tracer
from symgrad.program.program import Program, expands

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

    ``cotangents`` are the names of the outputs' cotangents.  ``missing`` are the tensor arguments for which backward
    returned None, ``summed`` those whose gradient has a larger shape, with that shape; ``forward`` is the number of
    steps that forward made, and ``materialize`` says that backward is given zeros for outputs that are not used;
    ``numbers`` are the whole numbers that the code writes.
    """

    program: Program
    outputs: Mapping[str, int]
    cotangents: Mapping[str, str]
    gradients: Mapping[str, int]
    tangents: Mapping[str, int]
    values: Mapping[str, np.ndarray]
    missing: tuple[str, ...]
    summed: Mapping[str, tuple[int, ...]]
    forward: int
    materialize: bool
    numbers: frozenset[int]


@dataclass(frozen=True, eq=False)
class Custom:
    """A function with a derivative of its own: ``forward(ctx, *arguments)``, ``backward(ctx, *cotangents)`` and, where
    there is one, ``jvp(ctx, *tangents)``.

    ``signature`` has forward's arguments without ctx; ``setup`` is ``setup_context``, where forward has no ctx;
    ``is_op`` says that it is an operator, which takes and returns lists of tensors too.
    """

    thing: Any
    name: str
    is_op: bool
    signature: Signature
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
            signature = Signature.of(thing.forward, 0 if separate else 1, thing.__name__)
            made = cls(thing, thing.__name__, False, signature, thing.forward, setup, backward, jvp, thing.apply)
        elif _is_op(thing):
            setup = thing._setup_context_fn or _no_context
            signature = Signature.of(thing._init_fn, 0, thing._name)
            made = cls(
                thing, thing._name, True, signature, thing._init_fn, setup, thing._backward_fn, None, thing
            )  # fmt: skip
        else:
            raise _no_function(thing)
        if made.backward is None and made.jvp is None:
            raise BadInput(f"{made.name} has no backward and no jvp.", instead="There is nothing to compare.")
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """Forward's arguments, each a single value."""
        return self.signature.names

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """The user's functions that it is made of."""
        return [f for f in (self.forward, self.setup, self.backward, self.jvp) if f is not None]

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

        ``arguments`` has all of forward's; float arrays become tensors of their ``dtypes``.  ``cotangents`` go by
        their names; None runs forward alone.  An output without a cotangent is not used.  ``needs`` are
        the arguments whose gradients are asked for; ``stops`` says that ``detach`` cuts in backward.
        """
        trace = Tracer("torch", stops=False, differentiates=True)
        given = {n: self._give(trace, n, arguments[n], dtypes) for n in self.names if n in arguments}
        tensors = [n for n in given if isinstance(given[n], torch.Tensor) and is_float(given[n])]
        asked = tensors if needs is None else list(needs)
        ctx = Context(self.signature.packed(lambda n: n in asked))
        outputs: dict[str, int] = {}
        along: dict[str, str] = {}
        gradients: dict[str, int] = {}
        moved: dict[str, int] = {}
        values: dict[str, np.ndarray] = {}
        missing: list[str] = []
        summed: dict[str, tuple[int, ...]] = {}
        with trace.running():
            result = self._forward(trace, ctx, given)
            parts = results(result, self.backward, self.is_op)
            outs = single(parts)
            constant = {id(x) for x in ctx.constant}
            kept = [r for r in outs if isinstance(r.value, torch.Tensor) and is_float(r.value)]
            for r in kept:
                if id(r.value) not in constant:
                    outputs[r.name], along[r.name] = trace.step_of(r.value), r.cotangent
                    values[r.name] = np.asarray(trace.value_of(r.value))
            if not kept:
                raise WrongShape(f"{self.name}.forward returns no tensor of floats.")
            made, trace.stops = len(trace.builder.steps), stops
            if cotangents is not None and self.backward is not None:
                seeded = seeds(
                    parts,
                    lambda r: self._seed(trace, r.cotangent, cotangents.get(r.cotangent), r.value, ctx.materialize),
                )
                found = _called(trace.ready(self.backward), ctx, *seeded, what=f"{self.name}.backward")
                found = self._reduced(self.signature.gradients(found, self.name), tensors, given, summed)
                missing = self._gradients(trace, found, tensors, given, gradients, values)
            if tangents is not None and self.jvp is not None:
                tangent = lambda n: f"tangent of {n}"  # noqa: E731
                moves = self.signature.packed(
                    lambda n: self._seed(trace, tangent(n), tangents[n], given[n]) if n in tensors else None
                )
                found = _called(trace.ready(self.jvp), ctx, *moves, what=f"{self.name}.jvp")
                for r, t in zip(outs, found if isinstance(found, (tuple, list)) else [found], strict=False):
                    if t is not None and r.name in outputs:
                        moved[r.name] = trace.step_of(t)
                        values[f"jvp {r.name}"] = np.asarray(trace.value_of(t))
        trace.builder.course = trace.course.guards()
        program = trace.builder.build({})
        return FunctionRun(
            program, outputs, along, gradients, moved, values, tuple(missing), summed, made, ctx.materialize,
            frozenset(trace.numbers),
        )  # fmt: skip

    def _reduced(
        self, found: dict[str, Any], tensors: list[str], given: Mapping[str, Any], summed: dict[str, tuple[int, ...]]
    ) -> dict[str, Any]:
        """The gradients as autograd takes them: one that has the shape of a broadcast argument is summed to its own."""
        out = dict(found)
        for name, g in found.items():
            if name not in tensors or not isinstance(g, torch.Tensor):
                continue
            own, shape = tuple(given[name].shape), tuple(g.shape)
            if shape != own and expands(own, shape):
                summed[name] = shape
                out[name] = g.sum_to_size(own)
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
        found: Mapping[str, Any],
        tensors: list[str],
        given: Mapping[str, Any],
        gradients: dict[str, int],
        values: dict[str, np.ndarray],
    ) -> list[str]:
        missing = []
        for name, g in found.items():
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
        ready = lambda f, what: partial(_called, trace.ready(f), what=f"{self.name}.{what}")  # noqa: E731
        setup = None if self.setup is None else ready(self.setup, "setup_context")
        return called_forward(self, ready(self.forward, "forward"), setup, ctx, given)

    def _give(self, trace: Tracer, name: str, value: Any, dtypes: Mapping[str, str]) -> Any:
        if name not in dtypes:
            return value
        return _input(trace, name, value, getattr(torch, dtypes[name]))

    def _seed(self, trace: Tracer, name: str, value: Any, like: Any, materialize: bool = True) -> Any:
        """A cotangent (or a tangent) of the form of ``like``; where none is given zeros, or None."""
        if value is None or not isinstance(like, torch.Tensor) or not is_float(like):
            return torch.zeros_like(like) if materialize and isinstance(like, torch.Tensor) else None
        return _input(trace, name, value, like.dtype)

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
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        """What autograd gives when it differentiates backward: for the arguments and the cotangents; and the names of
        the other Functions that backward calls.

        ``seeds`` are the cotangents of the gradients, by argument.  Raises what autograd raises.
        """
        called = self._applied(arguments, cotangents, dtypes)
        found = {n: g for n, g in called.gradients(create_graph=True).items() if g is not None and g.requires_grad}
        along = [torch.tensor(np.asarray(seeds[n]), dtype=g.dtype) for n, g in found.items()]
        if found:  # the whole graph: `grad` would pass by the node with which once_differentiable refuses
            torch.autograd.backward(list(found.values()), along)
        leaves = {**called.arguments, **called.cotangents}
        given = {n: plain(torch.zeros_like(x) if x.grad is None else x.grad) for n, x in leaves.items()}
        return given, sorted(_functions_behind(found.values()) - {self.name})

    def _applied(
        self, arguments: Mapping[str, Any], cotangents: Mapping[str, np.ndarray], dtypes: Mapping[str, str]
    ) -> _Applied:
        leaves = {
            n: torch.tensor(np.asarray(v), dtype=getattr(torch, dtypes[n])).requires_grad_()
            for n, v in arguments.items()
            if n in dtypes
        }
        # clones, for a function may write into what it is given, which a leaf refuses
        passed, named = self.signature.passed({**arguments, **{n: x.clone() for n, x in leaves.items()}})
        out = self.apply(*passed, **named)
        outs = [r for r in single(results(out, self.backward, self.is_op)) if isinstance(r.value, torch.Tensor)]
        seeded = {
            r.cotangent: (r.value, torch.tensor(np.asarray(v), dtype=r.value.dtype).requires_grad_())
            for r in outs
            if r.value.requires_grad and (v := cotangents.get(r.cotangent)) is not None
        }
        kept = {r.name: r.value for r in outs}
        return _Applied(leaves, kept, {n: v for n, (_, v) in seeded.items()}, [x for x, _ in seeded.values()])


@dataclass(frozen=True, eq=False)
class _Applied:
    """A function called by autograd: arguments and cotangents as leaves, outputs, and which have a cotangent."""

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


def _input(trace: Tracer, name: str, value: Any, dtype: torch.dtype) -> torch.Tensor:
    """A tensor that is an input of the trace; made where nothing is followed, or its memory would be a constant's."""
    with quiet():
        made = torch.tensor(np.asarray(value), dtype=dtype)
        trace.tensors.enter(made, trace.builder.input(name, tuple(made.shape), dtype_of(made)))
    return made


def called_forward(
    custom: Custom,
    forward: Callable[..., Any],
    setup: Callable[..., Any] | None,
    ctx: Context,
    given: Mapping[str, Any],
) -> Any:
    """What forward returns, called as torch calls it, and its context told."""
    arguments, named = custom.signature.passed(given)
    if setup is None:
        return forward(ctx, *arguments, **named)
    out = forward(*arguments, **named)
    if custom.is_op:  # by name, and a Function's in order
        told = {"keyword_only_inputs": named} if named else {}
        setup(ctx=ctx, inputs=tuple(arguments), output=out, **told)
    else:
        setup(ctx, tuple(arguments), out)
    return out


def _no_function(thing: Any) -> BadInput:
    if isinstance(thing, _BASE) or (inspect.ismethod(thing) and issubclass(getattr(thing, "__self__", int), _BASE)):
        return BadInput(f"{thing!r} is not the Function itself.", instead="Pass the class, not its apply.")
    what = f"a {type(thing).__name__}" if not isinstance(thing, type) else f"the class {thing.__name__}, which is none"
    return BadInput(
        f"verify_function takes a torch.autograd.Function, not {what}.",
        instead="Pass a class whose backward is to be judged. For a model and its gradient as functions, use "
        "verify(model, hand).",
    )


def _functions_behind(tensors: Iterable[torch.Tensor]) -> set[str]:
    """The names of the Functions that autograd goes through."""
    names, seen, nodes = set(), set(), [x.grad_fn for x in tensors]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [following for following, _ in node.next_functions]
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                names.add(type(node).__name__.removesuffix("Backward"))
    return names


def _is_own(kind: type, name: str) -> bool:
    return getattr(kind, name, None) is not getattr(_BASE, name, None)


def _is_op(thing: Any) -> bool:
    return all(hasattr(thing, n) for n in ("_init_fn", "_backward_fn", "_setup_context_fn", "_name"))


def _no_context(ctx: Any, inputs: Any, output: Any) -> None:
    pass


def _called(function: Callable[..., Any], *arguments: Any, what: str, **named: Any) -> Any:
    try:
        with np.errstate(all="ignore"):
            return function(*arguments, **named)
    except SymgradError:
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeFailed(f"{what} raised {type(error).__name__}: {error}", where=failing_line(error)) from error
