"""The surroundings in which code runs: modes, hooks and defaults of torch, made neutral and afterwards put back.

A verdict is about the code, and not about a mode that happens to be on where it is asked for.  Inside of `neutral` no
mode of torch is on (inference, no_grad, autocast, a default device, modes for functions and for dispatch, transforms of
functorch), autograd keeps what it saves, and NumPy warns as it does by default.  What the code inside leaves on ends
with the block.  The default dtype is the caller's: the code is written for it.

Some of this belongs to the process, and so do the precision of balls and what is instrumented; so one thread at a time
is inside, and the others wait.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import numpy as np
import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._python_dispatch import _disable_current_modes

_MADE = 1_000_000  # objects that are made between two looks for cycles
_ONE = threading.RLock()
if hasattr(os, "register_at_fork"):  # a copy of the process must not wait for a thread that it does not have
    os.register_at_fork(before=_ONE.acquire, after_in_parent=_ONE.release, after_in_child=_ONE.release)
_LEFT_ON: list[Any] = []  # guards whose end would change the mode of whoever runs then


@contextlib.contextmanager
def neutral() -> Iterator[None]:
    """A block in which no mode is on, and after which everything is as it was before.

    >>> with torch.inference_mode(), neutral():
    ...     torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    (False, True)
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ONE)
        stack.enter_context(_rare_collections())
        stack.enter_context(_defaults())
        if torch._C._functorch.peek_interpreter_stack() is not None:  # type: ignore[attr-defined]
            stack.enter_context(temporarily_clear_interpreter_stack())
        stack.enter_context(_no_dispatch_modes())
        stack.enter_context(_no_function_modes())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.is_autocast_enabled("cpu"):
            stack.enter_context(torch.autocast("cpu", enabled=False))
        if "torch._dynamo" in sys.modules:  # what it compiled is run as it is written, where it can be followed
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if torch._C._autograd._top_saved_tensors_default_hooks(False) is not None:  # type: ignore[attr-defined]
            stack.enter_context(torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x))
        try:
            yield
        finally:
            if torch.is_inference_mode_enabled():
                _LEFT_ON.extend(x for x in gc.get_objects() if type(x) is torch.inference_mode)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """A block in which Python looks for cycles less often: a record is a hundred thousand objects that all stay, and
    looking through them again and again is a quarter of what a long loop costs."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _MADE) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Printed:
    """Standard output of which one thread's part goes elsewhere."""

    def __init__(self, mine: TextIO, others: TextIO) -> None:
        self.mine, self.others, self.thread = mine, others, threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.mine if threading.get_ident() == self.thread else self.others, name)


@contextlib.contextmanager
def printed_into(out: TextIO) -> Iterator[None]:
    """A block whose prints go into ``out``; what other threads print meanwhile goes where it went before.

    >>> import io
    >>> out = io.StringIO()
    >>> with printed_into(out):
    ...     print("a line")
    >>> out.getvalue()
    'a line\\n'
    """
    with contextlib.redirect_stdout(_Printed(out, sys.stdout)):  # type: ignore[type-var]
        yield


def uncovered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without what wraps it from outside: a mode of autograd, or torch's compiler.

    A mode that holds for the whole of a formula is no part of it, where one inside of it cuts.

    >>> @torch.no_grad()
    ... def square(x):
    ...     return x * x
    >>> uncovered(square) is square.__wrapped__
    True
    """
    while True:
        inner = getattr(function, "_torchdynamo_orig_callable", None)
        if inner is None and _is_mode(function):
            inner = getattr(function, "__wrapped__", None)
        if inner is None:
            return function
        function = inner


def _is_mode(function: Any) -> bool:
    """Whether a function is what a mode of autograd makes of another, as a decorator."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells or getattr(function, "__wrapped__", None) is None:
        return False
    if function.__globals__.get("__name__") != "torch.utils._contextlib":
        return False
    held = dict(zip(code.co_freevars, cells, strict=True)).get("ctx_factory")
    mode = getattr(held.cell_contents if held is not None else None, "__self__", None)
    return isinstance(mode, (torch.no_grad, torch.enable_grad, torch.inference_mode, torch.set_grad_enabled))


@contextlib.contextmanager
def _defaults() -> Iterator[None]:
    """A block after which the defaults of torch and NumPy are what they were."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    casts = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    with np.errstate():
        try:
            yield
        finally:
            if torch.get_default_dtype() != dtype:
                torch.set_default_dtype(dtype)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            now = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
            if now != (strict, warns):
                torch.use_deterministic_algorithms(strict, warn_only=warns)
            torch.set_autocast_enabled("cpu", casts[0])
            torch.set_autocast_dtype("cpu", casts[1])


@contextlib.contextmanager
def _no_function_modes() -> Iterator[None]:
    """The default device is such a mode too, which torch keeps below the others."""
    kept = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    if kept is not None:
        torch.set_default_device(None)
    modes = [torch._C._pop_torch_function_stack() for _ in range(torch._C._len_torch_function_stack())]
    try:
        yield
    finally:
        if getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None) is not None:
            torch.set_default_device(None)
        while torch._C._len_torch_function_stack():
            torch._C._pop_torch_function_stack()
        for mode in reversed(modes):
            torch._C._push_on_torch_function_stack(mode)
        if kept is not None:
            torch.set_default_device(kept.device)


@contextlib.contextmanager
def _no_dispatch_modes() -> Iterator[None]:
    with _disable_current_modes() if torch._C._len_torch_dispatch_stack() else contextlib.nullcontext():
        try:
            yield
        finally:
            while torch._C._len_torch_dispatch_stack():
                torch._C._pop_torch_dispatch_stack()
