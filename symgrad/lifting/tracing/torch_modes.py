"""torch's two modes under a tracer: the dispatch mode sees every aten operation; the function mode sees the calls that
never reach aten, ``.numpy()``, ``.item()``, ``.data``, and tensors made of traced numbers.

Composites that aten can decompose are decomposed; what remains has a rule in `symgrad.lifting.tracing.aten`.  The
tracer's own reads run with the modes off.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch._library.custom_ops import OPDEFS
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from symgrad.errors import BadInput, UnknownOperation
from symgrad.lifting.tracing import aten, aten_linalg, aten_rules, aten_transforms  # noqa: F401  # rules enter
from symgrad.lifting.tracing.aten_decompositions import DECOMPOSITIONS
from symgrad.lifting.tracing.looked_values import LookedArray, Whole, joined
from symgrad.lifting.tracing.looked_values import compared as compared_steps
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.traced_values import TracedArray, TracedFloat
from symgrad.program.written_choices import JOINED, is_written

# these change which entries of its memory a tensor shows, not the entries
_RESHAPING = frozenset("transpose_ t_ squeeze_ unsqueeze_ swapaxes_ swapdims_ as_strided_ detach_ set_ resize_".split())
# these look at values and return integers or truths
_LOOKS = frozenset(
    "equal allclose is_nonzero isnan isfinite isinf any all argmax argmin argsort logical_and logical_or logical_not "
    "logical_xor nonzero gt ge lt le eq ne isclose signbit searchsorted bucketize isposinf isneginf "
    "count_nonzero histc".split()
)
# how the whole numbers were found that stand beside an operation's floats
_PLACES = {"_to_copy": "trunc", "max": "argmax", "amax": "argmax", "min": "argmin", "amin": "argmin"}
_COMPARED = frozenset(("gt", "ge", "lt", "le", "eq", "ne"))
_RANDOM = frozenset("normal uniform bernoulli random exponential geometric cauchy log_normal".split())
_OF_TRUTHS = frozenset(("bitwise_and", "bitwise_or", "bitwise_not"))
_TEXTS = ("__format__", "__repr__")
_MAKERS = ("tensor", "as_tensor", "asarray", "scalar_tensor")
_FILLERS = ("full", "full_like", "new_full")


@functools.cache
def _decompositions() -> dict[Any, Any]:
    import torch._decomp
    import torch._refs

    return {**torch._decomp.decomposition_table, **torch._decomp.core_aten_decompositions(), **DECOMPOSITIONS}


class quiet:  # a context manager, used as a verb; a class, for it is entered for every operation
    """A block in which the tracer's own torch operations are not seen."""

    __slots__ = ("_dispatch", "_function")

    def __enter__(self) -> None:
        self._function = torch._C.DisableTorchFunction()
        self._function.__enter__()
        self._dispatch = torch._C._DisableTorchDispatch()
        self._dispatch.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._dispatch.__exit__(*error)
        self._function.__exit__(*error)


def floats(items: Any) -> Iterator[torch.Tensor]:
    """The float tensors among nested arguments."""
    for x in items:
        if isinstance(x, torch.Tensor):
            if x.is_floating_point() or x.is_complex():
                yield x
        elif isinstance(x, (list, tuple)):
            yield from floats(x)


# ------------------------------------------------------------------------------------------------ functions


class Functions(TorchFunctionMode):
    """The bridges that never reach aten."""

    def __init__(self, tracer: Recorder) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        bridge = _BRIDGES.get(name)
        if bridge is not None:
            out = bridge(self.tracer, func, args, kwargs)
            if out is not NotImplemented:
                return out
        tensors = self.tracer.tensors
        if any(type(a) is Whole for a in args):
            args = tuple(_operand(self.tracer, name.strip("_").lstrip("r"), a, args) for a in args)
        for a in (*args, *kwargs.values()):
            kind = type(a)
            if kind in _TRACED or (kind in (list, tuple) and tensors.holds_numbers(a)):
                like = next(floats((*args, *kwargs.values())), None)
                args = tuple(tensors.tensor(a, like) for a in args)
                kwargs = {k: tensors.tensor(v, like) for k, v in kwargs.items()}
                break
        before, tensors.calling = tensors.calling, func
        try:
            return func(*args, **kwargs)
        finally:
            tensors.calling = before


def _operand(t: Recorder, name: str, a: Any, args: Any) -> Any:
    """A whole number made of values, beside a tensor: as a number it is followed, by a power it is decided."""
    if type(a) is not Whole or next(floats(args), None) is None:
        return a
    if name == "pow":
        t.decide("power", a.looks, int(a), None, made=a.made)
    return a.real_number() if name in _WITH_NUMBERS else a


_TRACED = (TracedFloat, TracedArray)
_WITH_NUMBERS = frozenset("add sub mul div truediv true_divide subtract multiply divide".split())
_BRIDGES: dict[str, Any] = {}


def _bridge(*names: str) -> Any:
    def enter(function: Any) -> Any:
        _BRIDGES.update(dict.fromkeys(names, function))
        return function

    return enter


def _followed(t: Recorder, args: Any) -> bool:
    x = args[0] if args else None
    return isinstance(x, torch.Tensor) and (x.is_floating_point() or x.is_complex()) and t.tensors.is_known(x)


@_bridge("__get__")
def _data(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    attribute = getattr(func, "__self__", None)
    if attribute is torch.Tensor.shape and (looks := t.tensors.length_of(args[0])):
        with quiet():
            first, *rest = args[0].shape
        return torch.Size((Whole(first, t, looks), *rest))
    return args[0].detach() if attribute is torch.Tensor.data else NotImplemented


@_bridge("size", "numel", "__len__")
def _length(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    """The length of what is as long as a mask has truths is a number that was made of looks."""
    looks = t.tensors.length_of(args[0]) if args else ()
    if not looks:
        return NotImplemented
    with quiet():
        out = func(*args, **kwargs)
    if isinstance(out, tuple):
        return torch.Size((Whole(out[0], t, looks), *out[1:]))
    along = next(iter((*args[1:], *kwargs.values())), 0)  # of size: which axis
    return Whole(out, t, looks) if along in (0, -args[0].dim()) else out


@_bridge("__set__")
def _set_data(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    if getattr(func, "__self__", None) is torch.Tensor.data:
        t.tensors.forget(args[0])
    return NotImplemented


@_bridge("_set_grad_enabled")
def _cut(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    if torch.is_grad_enabled() or t.tensors.cut:  # else autograd does not look: inside of a custom function's forward
        t.tensors.cut = not args[0]
    return NotImplemented


@_bridge("numpy", "__array__")
def _numpy(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    if _followed(t, args):
        return t.tensors.from_torch(args[0])
    looks = t.tensors.looks_of(args[0])
    with quiet():
        return LookedArray.made(args[0].numpy(), t, looks) if looks else NotImplemented


@_bridge("item", "tolist", "__float__", "__complex__", "__int__", "__index__", "__bool__", "__format__", "__repr__")
def _leaving(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    name, tensors = func.__name__, t.tensors
    if not _followed(t, args):
        x = args[0] if args else None
        if not isinstance(x, torch.Tensor) or name in _TEXTS or not (looks := tensors.looks_of(x)):
            return NotImplemented
        return _decided(t, x, looks, name)
    x = args[0]
    with quiet():
        if name in _TEXTS:
            return t.written(x, func(*args))
        if name in ("__int__", "__index__"):
            return int(t.whole("trunc", x, int(x)))
        if name == "__bool__":
            t.guard("ne", [x, 0.0], None, bool(x))
            return bool(x)
    if name == "tolist":
        return tensors.tolist(x.detach())
    if name == "item" and not x.is_complex():
        return tensors.item(x)
    if t.depends(tensors.step(x)):
        raise t.lost(f"{name.strip('_')}()", "Use x.item(), or keep the tensor.")
    return NotImplemented


_COUNTED = 12  # truths in a list whose number is a choice


def _decided(t: Recorder, x: torch.Tensor, looks: Any, name: str) -> Any:
    """What was made of looks at values leaves torch: a truth, or a whole number that remembers them."""
    with quiet():
        if name == "tolist" and x.dim():
            parts = list(x.unbind())
            if x.dtype is torch.bool and x.numel() <= _COUNTED:  # whoever lists truths may count them
                t.decide("count", looks, int(x.sum()), None, tuple(range(x.numel() + 1)))
            for part in parts:
                t.tensors.remember(part, looks)
            return [_decided(t, part, looks, name) for part in parts]
        value = x.item()
    if isinstance(value, bool):
        return value if t.tensors.is_told(x) else t.decide("bool", looks, value, None)
    if name in ("item", "tolist"):
        is_float = isinstance(value, float)
        return TracedFloat(value, t.constant_of(value, looks), t) if is_float else Whole(value, t, looks)
    t.decide(name.strip("_"), looks, value, None)
    return float(value) if name == "__float__" else bool(value) if name == "__bool__" else int(value)


@_bridge("backward", "grad", "requires_grad_")
def _autograd(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    if func.__name__ == "requires_grad_" or (func.__name__ == "grad" and func is not torch.autograd.grad):
        return NotImplemented
    if t.differentiates:
        return NotImplemented
    raise BadInput(
        "the function calls autograd itself.",
        where=t.where(),
        instead="Pass the function whose gradient is wanted, without the call of backward() or grad().",
    )


@_bridge(*_MAKERS)
def _maker(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    return t.tensors.made(args[0], kwargs.get("dtype")) if args and t.is_traced(args[0]) else NotImplemented


@_bridge("empty", "empty_like", "new_empty")
def _empty(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    """Memory that is not filled holds nothing: not what happens to lie there."""
    with quiet():
        out = func(*args, **kwargs)
        return out.fill_(float("nan")) if out.is_floating_point() or out.is_complex() else out


@_bridge("gaussian_nll_loss")
def _gaussian(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    """log(var)/2 + (x - y)**2/(2 var): torch raises variances to ``eps``, a guard left out where none is so small."""
    named = inspect.signature(func).bind(*args, **kwargs)
    named.apply_defaults()
    x, y, var, full, eps, reduction = named.arguments.values()
    if not isinstance(var, torch.Tensor) or var.shape != x.shape or bool((t.tensors.value(var) < eps).any()):
        return NotImplemented
    loss = 0.5 * (torch.log(var) + (x - y) ** 2 / var)
    loss = loss + 0.5 * math.log(2 * math.pi) if full else loss
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


@_bridge(*_FILLERS)
def _filler(t: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    kwargs = dict(kwargs)
    value = kwargs.pop("fill_value") if "fill_value" in kwargs else args[-1]
    if not t.is_traced(value):
        return NotImplemented
    first = args[:-1] if len(args) > 1 else args
    if func.__name__ == "full" and "dtype" not in kwargs and isinstance(value, torch.Tensor):
        kwargs["dtype"] = value.dtype
    ones = {"full": torch.ones, "full_like": torch.ones_like, "new_full": torch.Tensor.new_ones}[func.__name__]
    out = ones(*first, **kwargs)
    return out * t.tensors.tensor(value, out).to(out.dtype)


# ------------------------------------------------------------------------------------------------ aten


_CHOOSING = frozenset(("nonzero", "masked_select", "index"))  # their length is the number of a mask's truths
_CONSTANTS = 4096  # entries up to which numbers that depend on no input are followed
_FILLED = frozenset(("full", "full_like", "new_full", "ones", "ones_like", "new_ones", "scalar_tensor"))


def _minding_conjugates() -> Any:
    """Below a mode torch takes conjugation for done: what a kernel itself conjugates lazily would be read as it was."""
    off = torch._C._dispatch_tls_local_exclude_set()
    for key in (torch._C.DispatchKey.Conjugate, torch._C.DispatchKey.Negative):
        off = off.remove(key)
    return torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), off)


class Dispatch(TorchDispatchMode):
    """Sees every aten operation; writes its step by rule, or runs its decomposition under the same eyes."""

    def __init__(self, tracer: Recorder) -> None:
        super().__init__()
        self.tracer = tracer
        self.inside = 0  # decompositions, whose own numbers are torch's

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and torch's wrapper would cost as much as an operation

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = self._followed(func, args, kwargs)
        self._remember(out, args, kwargs, func)
        return out

    def _remember(self, out: Any, args: Any, kwargs: Any, func: Any) -> None:
        """Whole numbers and truths that are made of looks at values remember these."""
        t, tensors = self.tracer, self.tracer.tensors
        results = out if isinstance(out, (list, tuple)) else (out,)
        self._remember_length(results, args, aten.named(func)[0])
        if not self.inside:
            t.course.read(aten.named(func)[0], args)
        made = [x for x in results if isinstance(x, torch.Tensor) and not (aten.is_float(x) and tensors.is_known(x))]
        truth = isinstance(out, bool)
        if not made and not truth:
            return
        given = [x for a in (*args, *kwargs.values()) for x in (a if isinstance(a, (list, tuple)) else (a,))]
        given = [x for x in given if isinstance(x, torch.Tensor)]
        looks = joined(tensors.looks_of(x) for x in given)
        seen = tuple(tensors.step(x) for x in given if aten.is_float(x) and tensors.is_known(x))
        name = aten.named(func)[0]
        if seen and name not in _LOOKS:
            op = next((op for word, op in _PLACES.items() if name.startswith(word)), "argsort")
            looks = joined([looks, t.looks_at(op, seen)])
        compared = name in _COMPARED and not seen and bool(looks)
        for x in made:
            if compared:  # a mask, or a truth, of what was made of looks
                other = next((a for a in args if type(a) in (int, float, bool)), None)
                t.decide(name, looks, tensors.value(x), other)
            tensors.remember(x, looks, told=compared and x.numel() == 1)
        if truth and looks:
            t.decide(
                name, looks, out, None, made=compared_steps(name, t.builder.steps, [tensors.step(x) for x in given])
            )

    def _remember_length(self, results: Any, args: Any, name: str) -> None:
        """A tensor that is as long as a mask has truths: of their places, of the entries in them, or made of one."""
        tensors = self.tracer.tensors
        if name not in _CHOOSING and not tensors.has_lengths:
            return
        given = [x for a in args for x in (a if isinstance(a, (list, tuple)) else (a,)) if isinstance(x, torch.Tensor)]
        if name in _CHOOSING:
            masks = [x for x in given if x.dtype is torch.bool or (len(given) == 1 and not aten.is_float(x))]
            looks = joined(tensors.looks_of(x) for x in masks)
        else:
            looks = ()
        for out in results:
            if isinstance(out, torch.Tensor) and out.dim():
                kept = (tensors.length_of(x) for x in given if x.dim() and x.shape[0] == out.shape[0])
                tensors.lengthened(out, looks or joined(kept))

    def _followed(self, func: Any, args: Any, kwargs: Any) -> Any:
        if any(x.is_complex() for x in floats((*args, *kwargs.values()))):
            with _minding_conjugates():
                return self._seen(func, args, kwargs)
        return self._seen(func, args, kwargs)

    def _seen(self, func: Any, args: Any, kwargs: Any) -> Any:
        tensors = self.tracer.tensors
        name, target = aten.named(func)
        known = tensors.any_known(args) or (bool(kwargs) and tensors.any_known(kwargs.values()))
        if target is not None:
            x = kwargs.get(target[1]) if target[0] is None else args[target[0]] if target[0] < len(args) else None
            if x is None or isinstance(x, (list, tuple)):
                if known:
                    raise self._unknown(name)
                return func(*args, **kwargs)
            if name in _RESHAPING:
                out = func(*args, **kwargs)
                tensors.forget(out)
                return out
            if not known and not tensors.is_known(x):
                return func(*args, **kwargs)
            beside = not name.endswith("_") and target[0] is not None  # the running means of a batch norm, or noise
            if not (beside and aten.has_rule(name)):
                decomposition = _decompositions().get(func) if beside else None
                if decomposition is not None:
                    return self._run(decomposition, name, args, kwargs)
                return self._in_place(func, name, x, args, kwargs)
        if not known or name in _FILLED:
            return self._constant(func, name, args, kwargs)
        self.tracer.at_line()
        if name in _LOOKS or (name in _OF_TRUTHS and is_written("gt")):
            return self._look(func, name.replace("bitwise_", "logical_"), args, kwargs)
        if name == "_local_scalar_dense":
            if self.tracer.depends(tensors.step(args[0])):
                raise self.tracer.lost("float()", "Use x.item(), or keep the tensor.")
            return func(*args, **kwargs)
        if name in _RANDOM:
            what = ", which draws random numbers whose law depends on the inputs"
            raise self._unknown(
                name, what, instead="Draw numbers of a fixed law, and compute with them: mean + std*noise."
            )
        out = func(*args, **kwargs)
        self._record(out, self._steps(func, name, args, kwargs, out), name)
        return out

    def _unknown(self, name: str, more: str = "", *, entrywise: bool = False, instead: str | None = None) -> Any:
        """The error for an operation without a rule, under the name of the function that the user called."""
        called = self.tracer.tensors.calling
        known = resolve_name(called) if called is not None else None
        if known is None or "__" in known or not known.startswith("torch."):
            known = f"torch.{name.strip('_')}"
        known = known.replace("torch.functional.", "torch.") + more
        return self.tracer.unknown(known, entrywise=entrywise, instead=instead)

    def _constant(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """An operation on no input: ``full_like(x, pi)`` and ``ones_like(x) / 3`` mean pi and 1/3, not their floats."""
        out = func(*args, **kwargs)
        if self.inside or not isinstance(out, torch.Tensor) or not aten.is_float(out):
            return out
        if not 0 < out.numel() <= _CONSTANTS:
            return out
        t = self.tracer
        if name in _FILLED:
            fill = kwargs.get("fill_value", next((a for a in reversed(args) if type(a) in (int, float)), None))
            if "ones" in name:
                fill = 1.0
            if type(fill) in (int, float):
                dtype = aten.dtype_of(out)
                number = t.builder.cast(t.step_of(float(fill), dtype), dtype)
                t.tensors.put(out, t.builder.broadcast(number, tuple(out.shape)))
        elif name not in _RANDOM and (given := [a for a in args if isinstance(a, torch.Tensor)]):
            storage = out.untyped_storage()._cdata
            views = [a for a in given if a.untyped_storage()._cdata == storage]  # of what is not known, no part is
            if not all(map(aten.is_float, given)) or not all(map(t.tensors.is_known, views)):
                return out
            with contextlib.suppress(UnknownOperation):
                self._record(out, self._steps(func, name, args, kwargs, out), name)
        return out

    def _look(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        t = self.tracer
        out = func(*args, **kwargs)
        dtype = next((aten.dtype_of(x) for x in floats(args)), None)
        if is_written(name):
            return t.tensors.truth(out, name, args[:2], dtype)
        if (word := name.removeprefix("logical_")) in JOINED and all(map(t.tensors.is_known, args)):
            return t.tensors.truth(out, word, args, dtype)
        seen = [
            t.step_of(a, dtype)
            for a in args
            if (isinstance(a, torch.Tensor) and a.dtype != torch.bool) or type(a) in (int, float)
        ]
        if name in ("argmax", "argmin", "argsort", "any", "all", "searchsorted"):  # numbers here are options
            seen = [t.step_of(a) for a in args if isinstance(a, torch.Tensor) and a.dtype != torch.bool]
        rest = tuple(a for a in args[1:] if not isinstance(a, torch.Tensor)) + tuple(kwargs.values())
        first = out[0] if isinstance(out, (list, tuple)) else out
        value = t.tensors.value(first) if isinstance(first, torch.Tensor) else np.asarray(first)
        t.builder.guard(name, seen, rest or None, value)
        if isinstance(first, torch.Tensor):
            told = first.numel() == 1 and first.dtype is torch.bool
            for x in out if isinstance(out, (list, tuple)) else (out,):
                t.tensors.remember(x, t.looks_at(name, tuple(seen), rest or None), told=told)
        return out

    def _steps(self, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> Any:
        t = self.tracer
        steps = aten.steps(t, func, name, args, kwargs, out)
        if steps is NotImplemented:
            decomposition = _decompositions().get(func) or (func._can_decompose() and func.decompose)
            if decomposition:
                return self._steps_of(self._run(decomposition, name, args, kwargs))
            if func.namespace in aten.OWN:
                is_entrywise = func.namespace == "prims" or torch.Tag.pointwise in func.tags
                raise self._unknown(name, entrywise=is_entrywise)
            steps = self._of_kernel(func, name, args, kwargs)
        if t.stops and name != "detach" and (t.tensors.cut or torch.is_inference_mode_enabled()):
            return self._stopped(steps)
        return steps

    def _run(self, decomposition: Any, name: str, args: Any, kwargs: Any) -> Any:
        self.inside += 1
        try:
            with self:
                again = decomposition(*args, **kwargs)
        finally:
            self.inside -= 1
        if again is NotImplemented:
            raise self._unknown(name)
        return again

    def _stopped(self, steps: Any) -> Any:
        """What autograd sees as a constant."""
        if isinstance(steps, (list, tuple)):
            return [self._stopped(s) for s in steps]
        return self.tracer.builder.stop(steps) if isinstance(steps, int) else steps

    def _of_kernel(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """The steps of another library's operator: its kernel may be written in operations that are followed."""
        t = self.tracer
        made = OPDEFS.get(func._schema.name)
        if made is not None:  # the Python that it was defined with
            kernel = t.ready(made._backend_fns.get("cpu", made._init_fn))
        else:
            kernel = functools.partial(func.redispatch, torch._C.DispatchKeySet(torch._C.DispatchKey.CPU))
        with self._below_autograd(), t.tensors.modes():
            try:
                again = kernel(*args, **kwargs)
            except TypeError:  # what it calls takes no value that is followed
                again = NotImplemented
        if again is NotImplemented or not all(t.tensors.is_known(p) for p in floats([again]) if p.numel()):
            raise t.unknown(f"torch.ops.{name.replace('::', '.')}")
        return self._steps_of(again)

    @staticmethod
    @contextlib.contextmanager
    def _below_autograd() -> Iterator[None]:
        """A kernel runs where autograd records nothing, and so cuts nothing."""
        with quiet():
            before = torch.is_grad_enabled()
            torch._C._set_grad_enabled(False)
        try:
            yield
        finally:
            with quiet():
                torch._C._set_grad_enabled(before)

    def _steps_of(self, x: Any) -> Any:
        """The steps of tensors, nested as they are."""
        if isinstance(x, (list, tuple)):
            return [self._steps_of(i) for i in x]
        is_value = isinstance(x, torch.Tensor) and x.numel() and aten.is_float(x)
        return self.tracer.tensors.step(x) if is_value else aten.PLAIN

    def _record(self, out: Any, steps: Any, name: str) -> None:
        """Every float result carries its step: one that does not would pass for a constant."""
        if isinstance(out, (list, tuple)):
            for x, step in zip(out, steps, strict=True):
                self._record(x, step, name)
        elif steps is not aten.PLAIN and isinstance(out, torch.Tensor) and out.numel():
            if is_written("gt") and not aten.is_float(out):
                raise self._unknown(name)  # whole numbers made of truths that are written as numbers
            if not isinstance(steps, int) or self.tracer.builder.shape(steps) != tuple(out.shape):
                raise self._unknown(name)
            self.tracer.tensors.put(out, steps)

    def _in_place(self, func: Any, name: str, x: torch.Tensor, args: Any, kwargs: Any) -> Any:
        """The operation is run on a copy, out of place, and its result written over ``x``."""
        t, tensors = self.tracer, self.tracer.tensors
        b = t.at_line()
        word, dtype = name.removesuffix("_"), aten.dtype_of(x)
        if not aten.is_float(x):  # integers made of inputs' values
            out = func(*args, **kwargs)
            for value in floats((*args, *kwargs.values())):
                t.guard("trunc", [value], None, tensors.value(x))
            return out
        step, before = tensors.step(x), tensors.storage(x)
        if word == "copy":
            new = t.step_of(args[1], dtype)
        elif word in ("fill", "zero"):
            new = t.step_of(args[1] if len(args) > 1 else 0.0, dtype)
        elif word in _RANDOM:
            func(*args, **kwargs)
            tensors.write(x, t.data(tensors.value(x), dtype), before)
            return x
        else:
            functional, position = aten.functional(func)
            if functional is None:
                raise self._unknown(name)
            rest = {k: v for k, v in kwargs.items() if k != "out"}
            if position is None:
                given = args
            else:
                copy = x.detach().clone(memory_format=torch.contiguous_format)
                tensors.put(copy, step)
                given = (*args[:position], copy, *args[position + 1 :])
            with self:
                result = functional(*given, **rest)
            new = tensors.step(result)
        if t.stops and (tensors.cut or torch.is_inference_mode_enabled()):
            new = b.stop(new)
        new = b.broadcast(b.cast(new, dtype), tuple(x.shape))
        out = func(*args, **kwargs)
        tensors.write(x, new, before)
        return out
