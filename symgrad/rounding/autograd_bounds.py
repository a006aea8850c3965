"""Torch's autograd as one more float computation: its gradient, and a rigorous bound on that gradient's rounding.

Autograd is never the judge.  `autograd_bounds` watches every ATen operation of the forward and the backward pass and
carries with each tensor a bound on how far it is from what exact arithmetic would have made of the same operations;
where autograd's gradient is further from the exact derivative than that, it is autograd's formula that differs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from symgrad.errors import BadInput
from symgrad.rounding.aten_bounds import Call, is_float, operand, rule_of
from symgrad.rounding.kernel_bounds import Bound, outward

# ------------------------------------------------------------------------------------------------- aten decompositions
# ATen operations written out in simpler ones, for those that have no rule: torch's own decompositions, and a few more.
#
# Torch's are not what its kernels do everywhere: some of them compute in float32 what the kernel computes in a dtype of
# few digits.  Those are written out here as the kernel has them.


def _var(x: Tensor, dims: Any = None, correction: float = 1, **_: Any) -> Tensor:
    dims = list(range(x.dim())) if dims is None or dims == [] else dims
    n = math.prod(x.shape[d] for d in dims) if x.dim() else 1
    away = x - x.mean(dims, keepdim=True)
    return (away * away).sum(dims) / max(n - (1 if correction is None else correction), 0)


def _distances(x: Tensor, y: Tensor, p: float, *_: Any) -> Tensor:
    """cdist: the p-norms of all differences of rows."""
    away = (x.unsqueeze(-2) - y.unsqueeze(-3)).abs()
    match p:
        case 1.0:
            return away.sum(-1)
        case math.inf:
            return away.amax(-1)
        case 2.0:
            return (away * away).sum(-1).sqrt()
    return (away**p).sum(-1) ** (1 / p)


def _distances_backward(g: Tensor, x: Tensor, y: Tensor, p: float, norms: Tensor) -> Tensor:
    away, g, norms = x.unsqueeze(-2) - y.unsqueeze(-3), g.unsqueeze(-1), norms.unsqueeze(-1)
    match p:
        case 1.0:
            slope = away.sign()
        case 2.0:
            slope = away / norms
        case math.inf:
            slope = away.sign() * (away.abs() == norms)
        case _:
            slope = away.sign() * away.abs() ** (p - 1) / norms ** (p - 1)
    return (g * torch.where(norms == 0, 0.0, slope)).sum(-2)


def _gated_backward(g: Tensor, x: Tensor, axis: int) -> Tensor:
    a, b = x.chunk(2, axis)
    s = b.sigmoid()
    return torch.cat([s * g, (1 - s) * s * (g * a)], axis)


def _batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The kernel rounds the mean to the dtype of ``x`` before it is subtracted, and with it the deviation.

    ``rest`` are the running statistics, where there are any, whether the batch's own are taken, momentum and eps.
    """
    *stats, training, _, eps = rest
    shape = [1, -1] + [1] * (x.dim() - 2)
    if training or not stats:
        dims = [d for d in range(x.dim()) if d != 1]
        mean = x.mean(dims)
        var = (x - mean.reshape(shape)).square().mean(dims)
    else:
        mean, var = stats
    scale = (var + eps).rsqrt()
    out = (x - mean.reshape(shape)) * scale.reshape(shape)
    out = out if weight is None else out * weight.reshape(shape)
    out = out if bias is None else out + bias.reshape(shape)
    return (out, mean, scale) if training else (out, x.new_empty(0), x.new_empty(0))


_OWN: dict[str, Callable[..., Any]] = {
    "aten::_native_batch_norm_legit": _batch_norm,
    "aten::glu_backward": _gated_backward,
    "prims::var": _var,
    "aten::_cdist_forward": _distances,
    "aten::_cdist_backward": _distances_backward,
}


def written_out(func: Any) -> Callable[..., Any] | None:
    """The operation in simpler ones: torch's own decomposition, or None."""
    from torch._decomp import decomposition_table

    return _OWN.get(func._schema.name) or decomposition_table.get(func)


# ----------------------------------------------------------------------------------------------------- autograd bounds


def autograd_gradient(
    function: Callable[..., Tensor], inputs: Mapping[str, Any], wrt: Sequence[str], cotangent: Tensor | None = None
) -> dict[str, Tensor | None]:
    """Torch's gradient of ``sum(conj(cotangent) * function(**inputs))`` with respect to each of ``wrt``.

    ``function`` is called with the inputs by name; for an ``nn.Module``, those that are its parameters and buffers
    take their places and the others are its arguments.  The gradient has the input's shape and dtype; it is None
    where the output does not depend on the input, as torch sees it.  ``cotangent`` is all ones by default.

    >>> at = {"x": torch.tensor([1.0, 2.0]), "y": torch.tensor(3.0)}
    >>> autograd_gradient(lambda x, y: y * (x**2).sum(), at, ["x"])
    {'x': tensor([ 6., 12.])}

    Raises `BadInput` if the function does not return one floating tensor, or a name in ``wrt`` is not an input.
    """
    return _gradient(function, inputs, wrt, cotangent)[1]


def _gradient(
    function: Callable[..., Tensor], inputs: Mapping[str, Any], wrt: Sequence[str], cotangent: Tensor | None
) -> tuple[Tensor, dict[str, Tensor | None]]:
    for name in wrt:
        if name not in inputs:
            raise BadInput(f"{name!r} is not among the inputs {', '.join(inputs)}.")
    leaves = {
        name: value.detach().requires_grad_(name in wrt) if isinstance(value, Tensor) else value
        for name, value in inputs.items()
    }
    with torch.enable_grad():
        output = _call(function, leaves)
        if not is_float(output):
            raise BadInput(f"the function returned {type(output).__name__}, not one floating tensor.")
        if not output.requires_grad:
            return output, dict.fromkeys(wrt)
        seed = torch.ones_like(output) if cotangent is None else cotangent
        found = torch.autograd.grad(output, [leaves[name] for name in wrt], seed, allow_unused=True)
    return output.detach(), dict(zip(wrt, found, strict=True))


def _call(function: Callable[..., Any], leaves: Mapping[str, Any]) -> Any:
    if not isinstance(function, torch.nn.Module):
        return function(**leaves)
    own = {name for name, _ in (*function.named_parameters(), *function.named_buffers())}
    held = {name: value for name, value in leaves.items() if name in own}
    return torch.func.functional_call(function, held, (), {n: v for n, v in leaves.items() if n not in own})


@dataclass(frozen=True, eq=False)
class AutogradBounds:
    """The function's value and its gradients, each with its bound (None: no dependence).

    ``unknown`` names the operations that no bound is known for, in order; what they touch has an infinite bound.
    """

    output: Bound
    gradients: Mapping[str, Bound | None]
    unknown: tuple[str, ...]


def autograd_bounds(
    function: Callable[..., Tensor], inputs: Mapping[str, Any], wrt: Sequence[str], cotangent: Tensor | None = None
) -> AutogradBounds:
    """Run torch's autograd as `autograd_gradient` does, with a bound on the rounding of every entry.

    Each bound is ``>= |value - the same operations in exact arithmetic|``, with the inputs and the cotangent exact as
    they are, Python numbers within half a unit of float64 of what was meant, and every comparison and maximum choosing
    as it did; but where a number may have underflowed to what it is compared with by ``==``, both choices count.
    Kernels that fuse a whole LSTM or attention are switched off meanwhile.

    >>> bounds = autograd_bounds(lambda z: torch.sigmoid(z), {"z": torch.tensor(17.0)}, ["z"])
    >>> slope = bounds.gradients["z"]
    >>> slope.value.item(), bool(slope.error >= 4.1e-8), bounds.unknown  # the exact slope is 4.1e-8
    (0.0, True, ())

    Guarantee: rigorous for kernels that keep to what `symgrad.rounding.kernel_bounds` believes; a fused kernel
    that has no rule of its own is believed to err at most three times as much as a running bound of torch's own
    decomposition of it in the same dtype.  An operation with neither has an infinite bound and is listed.  What
    leaves torch by ``.item()`` with an error makes every bound infinite; what leaves by ``.numpy()`` is not seen.
    """
    tracker = _Tracker()
    with _without_onednn(), sdpa_kernel(SDPBackend.MATH), tracker:
        output, found = _gradient(function, inputs, wrt, cotangent)
    with torch.no_grad():
        bounds = {n: g if g is None else Bound(g.detach(), tracker.error_of(g)) for n, g in found.items()}
        return AutogradBounds(Bound(output, tracker.error_of(output)), bounds, tuple(dict.fromkeys(tracker.unknown)))


@contextlib.contextmanager
def _without_onednn() -> Iterator[None]:
    before = torch.backends.mkldnn.set_flags(_enabled=False)[0]
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before)


@dataclass
class _Memory:
    """One storage (kept alive, so that its address stays its own) and an error for each of its elements."""

    storage: torch.UntypedStorage
    itemsize: int
    errors: Tensor


@dataclass
class _Run:
    """What a run has found so far."""

    memories: dict[int, _Memory] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    escaped: bool = False


class _Tracker(TorchDispatchMode):
    """Carries a bound for every element of every storage that an operation has written.

    Errors belong to memory, not to tensor objects: views, in-place writes and the tensors that autograd saves and
    unpacks as new objects then need nothing of their own.  A storage that no operation has written is an input.
    """

    def __init__(self, memories: Mapping[int, _Memory] | None = None) -> None:
        super().__init__()
        self.run = _Run(dict(memories or {}))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and torch's wrapper would import its compiler: 0.8 s

    @property
    def unknown(self) -> list[str]:
        return self.run.unknown

    def error_of(self, t: Tensor) -> Tensor:
        if self.run.escaped:
            return torch.full(t.shape, math.inf, dtype=torch.float64)
        memory = self.run.memories.get(t.untyped_storage()._cdata)
        if memory is None:
            return torch.zeros(t.shape, dtype=torch.float64)
        if memory.itemsize != t.element_size():
            return torch.full(t.shape, math.inf if bool(memory.errors.any()) else 0.0, dtype=torch.float64)
        return memory.errors.as_strided(t.shape, t.stride(), t.storage_offset()).clone()

    def write(self, t: Tensor, error: Tensor) -> None:
        storage = t.untyped_storage()
        memory = self.run.memories.get(storage._cdata)
        if memory is None or memory.itemsize != t.element_size():
            start = torch.zeros(storage.nbytes() // t.element_size(), dtype=torch.float64)
            memory = _Memory(storage, t.element_size(), start)
            self.run.memories[storage._cdata] = memory
        memory.errors.as_strided(t.shape, t.stride(), t.storage_offset()).copy_(error)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        if torch.Tag.inplace_view in func.tags:  # another shape of the same memory
            return func(*args, **kwargs)
        if rule_of(func) is None and func.has_kernel_for_dispatch_key(torch.DispatchKey.CompositeImplicitAutograd):
            with self:
                return func.decompose(*args, **kwargs)
        tensors = [t for t in tree_flatten((args, kwargs))[0] if is_float(t)]
        written = _written(func, args, kwargs)
        kept = {id(t): t.clone() for t in tensors} if written else {}
        bound = lambda t: Bound(kept.get(id(t), t).detach(), self.error_of(t)) if is_float(t) else t  # noqa: E731
        lazily = tree_map(bound, (args, kwargs)) if written else None
        out = func(*args, **kwargs)
        if name in ("_local_scalar_dense", "item"):
            if any(bool(self.error_of(t).any()) for t in tensors):
                self.unknown.append("item()")
                self.run.escaped = True
            return out
        self.doubt(name, args, out)
        held = {t.untyped_storage()._cdata for t in tensors}
        results = tree_flatten(out)[0]
        fresh = [is_float(t) and t.untyped_storage()._cdata not in held for t in results]
        if not any(fresh) and not written:
            return out
        bounded, options = lazily if lazily is not None else tree_map(bound, (args, kwargs))
        errors = self.errors(func, Call(func, bounded, options, out), bool(written))
        for t, error, new in zip(results, errors, fresh, strict=True):
            if is_float(t) and (new or any(t is w for w in written)):
                self.write(t, error)
        returned = {id(t) for t in results}
        for t in written:
            if id(t) not in returned:
                self.write(t, torch.full(t.shape, math.inf, dtype=torch.float64))
        return out

    def doubt(self, name: str, args: tuple, out: Any) -> None:
        """Remember of a mask made by comparing with equality where exact arithmetic might have made it otherwise.

        Torch's own derivatives ask whether a norm is zero; it may have underflowed.  Other comparisons are the code's
        own choices, and are taken as they were made.
        """
        if name in ("eq", "ne"):
            plain = [x.int() if isinstance(x, Tensor) and x.dtype is torch.bool else x for x in args[:2]]
            a, b = ((x.detach(), self.error_of(x)) if isinstance(x, Tensor) else (x, 0.0) for x in plain)
            spread = a[1] + b[1]
            near = (spread > 0) & ~((a[0] - b[0]).abs().double() > spread)
        elif name.startswith(("logical_", "bitwise_")) and isinstance(out, Tensor) and out.dtype is torch.bool:
            near = sum(self.error_of(x) for x in args if isinstance(x, Tensor)) > 0
        else:
            return
        if bool(torch.as_tensor(near).any()):
            self.write(out, torch.where(torch.as_tensor(near).expand(out.shape), math.inf, 0.0))

    def doubted(self, func: Any, call: Call, error: Tensor) -> Tensor:
        """The bound of a choice by a mask that is in doubt: as far as the one is from the other."""
        name = func._schema.name.split("::")[1].rstrip("_")
        if name not in ("where", "masked_fill") or len(call.args) != 3:
            return error
        one, mask, other = call.args if name == "masked_fill" else (call.args[1], call.args[0], call.args[2])
        unsure = self.error_of(mask) > 0
        if not bool(unsure.any()):
            return error
        a, b = operand(one, call.out), operand(other, call.out)
        apart = outward((a.value.double() - b.value.double()).abs() + a.error + b.error)
        return torch.where(unsure.expand(error.shape), apart, error)

    def errors(self, func: Any, call: Call, in_place: bool) -> list[Any]:
        """A bound for each result, infinite where no rule gives one."""
        results = tree_flatten(call.out)[0]
        rule = rule_of(func)
        if rule is not None:
            if in_place:
                call = Call(_functional(func), call.args, call.kwargs, call.out)
            found = rule(call)
            parts = list(found) if isinstance(found, (list, tuple)) else [self.doubted(func, call, found)]
        else:
            parts = self.by_decomposition(_functional(func) if in_place else func, call)
        parts += [None] * (len(results) - len(parts))
        whole = [e if _fits(e, t) else None for t, e in zip(results, parts, strict=True)]
        if any(e is None for t, e in zip(results, whole, strict=True) if is_float(t)):
            self.unknown.append(func._schema.name.split("::")[1])
        return [
            torch.full(t.shape, math.inf, dtype=torch.float64) if e is None and isinstance(t, Tensor) else e
            for t, e in zip(results, whole, strict=True)
        ]

    def copies(self, call: Call, *, fed: bool) -> tuple[tuple, dict]:
        """The call's arguments as fresh tensors, with their errors or exact."""

        def copy(b: Any) -> Any:
            if not isinstance(b, Bound):
                return b.clone() if isinstance(b, Tensor) else b
            t = b.value.clone()
            if fed:
                self.write(t, b.error)
            return t

        return tree_map(copy, (call.args, dict(call.kwargs)), is_leaf=lambda x: isinstance(x, Bound))

    def by_decomposition(self, func: Any, call: Call) -> list[Tensor | None]:
        """What the arguments' errors do to the operation written out, and four times what its own rounding does.

        With r the running bound of the written-out run on exact arguments, a kernel within 3 r of the exact function
        is within 3 r + r of the written-out run, whose own bound is the rest.
        """
        simpler = written_out(func)
        if simpler is None:
            return []
        fed, alone = _Tracker(), _Tracker()
        faithful = func._schema.name.split("::")[1] in _FAITHFUL
        found = []
        for tracker in (fed,) if faithful else (fed, alone):
            copies = tracker.copies(call, fed=tracker is fed)
            try:
                with tracker:
                    out = simpler(*copies[0], **copies[1])
            except (NotImplementedError, RuntimeError, TypeError):
                return []
            found.append([tracker.error_of(t) if is_float(t) else None for t in tree_flatten(out)[0]])
        self.unknown.extend(fed.unknown)
        if faithful:
            return found[0]
        return [None if e is None or r is None else e + 4 * r for e, r in zip(*found, strict=True)]


def _fits(error: Tensor | None, t: Any) -> bool:
    return error is not None and isinstance(t, Tensor) and error.shape == t.shape


# Kernels that do, entry by entry, exactly the operations of their decomposition.
_FAITHFUL = frozenset(("tanh_backward", "sigmoid_backward"))


def _written(func: Any, args: tuple, kwargs: dict) -> list[Tensor]:
    """The floating tensors that a call writes to, by its schema."""
    found = []
    for k, a in enumerate(func._schema.arguments):
        if a.alias_info is not None and a.alias_info.is_write:
            value = kwargs.get(a.name) if a.kwarg_only or k >= len(args) else args[k]
            found += [t for t in tree_flatten(value)[0] if is_float(t)]
    return found


def _functional(func: Any) -> Any:
    """The operation that does the same without writing in place, where there is one."""
    namespace, name = func._schema.name.split("::")
    packet = getattr(getattr(torch.ops, namespace), name.rstrip("_"), None)
    return getattr(packet, func._overloadname, func) if packet is not None else func
