"""``if`` and its kin where choices are written as arithmetic: both sides run, and every name holds what each side gave
it, times one or zero.

A statement is rewritten so where its sides do nothing but give values to names: what was there before is put back
between the two.  Every other ``if`` stays a branch of the run.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.sources import Rewriter, assigned_names
from symgrad.lifting.tracing.torch_modes import quiet
from symgrad.lifting.tracing.traced_values import TracedArray, TracedFloat
from symgrad.program.builder import FOR_ALL_SIZES
from symgrad.program.written_choices import between

_NUMBERS = (int, float, bool, TracedFloat)


class BranchWriter(Rewriter):
    """A `Rewriter` that writes branches out."""

    def __init__(self) -> None:
        super().__init__()
        self._count = itertools.count()

    def visit_If(self, node: ast.If) -> Any:
        if not _only_assigns([*node.body, *node.orelse]):
            return super().visit_If(node)
        names = sorted({n for s in (*node.body, *node.orelse) for n in _names(s)})
        if self._own and not set(names) <= self._own[-1]:
            return super().visit_If(node)
        k = next(self._count)
        truth, before, yes = (f"__symgrad_{word}{k}__" for word in ("truth", "before", "yes"))
        plain = ast.If(
            ast.Name(truth, ast.Load()), *(self._visited(copy.deepcopy(p)) for p in (node.body, node.orelse))
        )
        body, orelse = (self._visited([_out_of_place(s) for s in part]) for part in (node.body, node.orelse))
        kept = lambda: self.tell("branches.kept", [_call("locals"), _words(names)], node)  # noqa: E731
        merged = self.tell("branches.merged", [ast.Name(truth, ast.Load()), ast.Name(yes, ast.Load()), kept()], node)
        written = [
            _assign(before, kept()),
            *body,
            _assign(yes, kept()),
            _unpacked(names, ast.Name(before, ast.Load())),
            *orelse,
            _unpacked(names, merged),
        ]
        test = self.tell("branches.written", [ast.Name(truth, ast.Load())], node.test)
        plain_too = ast.If(test, written, [plain])
        return [ast.copy_location(s, node) for s in (_assign(truth, self.visit(node.test)), plain_too)]

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        none = ast.arguments([], [], None, [], [], None, [])
        sides: list[ast.expr] = [ast.copy_location(ast.Lambda(none, side), side) for side in (node.body, node.orelse)]
        return self.tell("branches.either", [node.test, *sides], node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.body = _returning_at_once(node.body)
        return super().visit_FunctionDef(node)

    def _visited(self, part: list[ast.stmt]) -> list[ast.stmt]:
        found = [self.visit(s) for s in part]
        return [s for out in found for s in (out if isinstance(out, list) else [out])]


def _only_assigns(part: Sequence[ast.stmt]) -> bool:
    """Whether statements only give values to names."""
    for s in part:
        match s:
            case ast.Assign(targets=targets):
                if not all(map(_is_of_names, targets)):
                    return False
            case ast.AugAssign(target=ast.Name()) | ast.Pass():
                pass
            case ast.If():
                if not _only_assigns([*s.body, *s.orelse]):
                    return False
            case _:
                return False
    return True


def _is_of_names(target: ast.expr) -> bool:
    if isinstance(target, (ast.Tuple, ast.List)):
        return all(map(_is_of_names, target.elts))
    return isinstance(target, ast.Name)


def _names(s: ast.stmt) -> list[str]:
    match s:
        case ast.Assign(targets=targets):
            return [n for t in targets for n in assigned_names(t)]
        case ast.AugAssign(target=target):
            return assigned_names(target)
        case ast.If():
            return [n for part in (*s.body, *s.orelse) for n in _names(part)]
    return []


def _out_of_place(s: ast.stmt) -> ast.stmt:
    """``x += y`` as ``x = x + y``: what it writes into is kept for the other side."""
    match s:
        case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
            made = ast.Assign([ast.Name(name, ast.Store())], ast.BinOp(ast.Name(name, ast.Load()), op, value))
            for part in (made, made.targets[0], made.value, made.value.left):  # type: ignore[attr-defined]
                ast.copy_location(part, s)
            return made
        case ast.If():
            parts = ([_out_of_place(x) for x in part] for part in (s.body, s.orelse))
            return ast.copy_location(ast.If(s.test, *parts), s)
    return s


def _returning_at_once(body: list[ast.stmt]) -> list[ast.stmt]:
    """``if c: return a`` before ``return b`` as ``return a if c else b``."""
    match body:
        case [*before, ast.If(body=[ast.Return(value=yes)], orelse=[]) as s, ast.Return(value=no)]:
            pass
        case [*before, ast.If(body=[ast.Return(value=yes)], orelse=[ast.Return(value=no)]) as s]:
            pass
        case _:
            return body
    if yes is None or no is None:
        return body
    return _returning_at_once(
        [*before, ast.copy_location(ast.Return(ast.copy_location(ast.IfExp(s.test, yes, no), s)), s)]
    )


def _call(name: str) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), [], [])


def _words(names: Sequence[str]) -> ast.expr:
    return ast.Tuple([ast.Constant(n) for n in names], ast.Load())


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _unpacked(names: Sequence[str], value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Tuple([ast.Name(n, ast.Store()) for n in names], ast.Store())], value)


# ------------------------------------------------------------------------------------------------ what the code calls


class Unset:
    """What a name holds that nothing was given to on one side."""


_UNSET: Any = Unset()


class Branches:
    """What rewritten code asks of one tracer."""

    def __init__(self, tracer: Recorder) -> None:
        self._tracer = tracer
        self.rewriter: type[Rewriter] = BranchWriter if FOR_ALL_SIZES.get() else Rewriter

    def written(self, truth: Any) -> bool:
        """Whether a condition is a comparison of values, written as a step that is one or zero."""
        if type(truth) in (TracedFloat, TracedArray):
            return not getattr(truth, "shape", ())
        return isinstance(truth, torch.Tensor) and truth.numel() == 1 and self._tracer.tensors.is_known(truth)

    def kept(self, found: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
        """What the names hold."""
        return tuple(found.get(n, _UNSET) for n in names)

    def merged(self, truth: Any, yes: Sequence[Any], no: Sequence[Any]) -> tuple[Any, ...]:
        """What the names hold after both sides."""
        return tuple(self._between(truth, a, b) for a, b in zip(yes, no, strict=True))

    def either(self, truth: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """``yes if truth else no``."""
        return self._between(truth, yes(), no()) if self.written(truth) else yes() if truth else no()

    def extreme(self, function: Any, a: Any, b: Any) -> Any:
        """``max(a, b)`` or ``min(a, b)``: the first, if the second is not beyond it."""
        truth = b > a if function is max else b < a
        return self._between(truth, b, a) if self.written(truth) else b if truth else a

    def _between(self, truth: Any, yes: Any, no: Any) -> Any:
        t = self._tracer
        if yes is no or yes is _UNSET or no is _UNSET:
            return yes if yes is no else _UNSET
        if type(yes) is type(no) is dict and yes.keys() == no.keys():
            return {k: self._between(truth, v, no[k]) for k, v in yes.items()}
        if type(yes) is type(no) and type(yes) in (tuple, list) and len(yes) == len(no):
            made = self.merged(truth, yes, no)
            return made if type(yes) is tuple else list(made)
        sides, b = (yes, no), t.at_line()
        if not all(isinstance(x, (torch.Tensor, TracedArray)) or type(x) in _NUMBERS for x in sides):
            raise t.lost("a name that is no number on one side of a branch")
        tensor = next((x for x in sides if isinstance(x, torch.Tensor)), None)
        taken = t.value_of(yes) if t.value_of(truth) else t.value_of(no)
        dtype = "float64" if tensor is None else str(tensor.dtype).removeprefix("torch.")
        step = b.cast(b.reshape(t.step_of(truth), ()), dtype)
        made = between(b, step, *(t.step_of(x, dtype) for x in sides))
        shape = b.shape(made)
        if tensor is not None:
            with quiet():
                out = torch.as_tensor(taken, dtype=tensor.dtype).broadcast_to(shape).clone()
            t.tensors.put(out, made)
            return out
        if all(type(x) in _NUMBERS for x in sides):
            return TracedFloat(float(taken), made, t)
        return t.arrays.new(np.broadcast_to(np.asarray(taken, dtype=np.float64), shape).copy(), made)
