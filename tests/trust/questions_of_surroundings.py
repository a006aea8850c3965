"""Law 1: no mode, default, thread count, hook or wrapper around a question changes its answer."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import flint
import mpmath
import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from trust.questions import Question, holds, pair

from symgrad import verify, verify_function, verify_script

__all__ = ["questions"]

XN = np.array([0.75, -1.25])
X = torch.tensor(XN)


# ------------------------------------------------------------------------------------------------ what is asked


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


class Zero(Square):
    @staticmethod
    def backward(ctx, g):
        return 0 * g * ctx.saved_tensors[0]


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([0.5, -1.5], dtype=torch.float64))

    def forward(self, x):
        return (self.w * x).square().sum()


LAYER = Layer()
SCRIPT = """
import torch
x = torch.tensor([0.75, -1.25], dtype=torch.float64, requires_grad=True)
y = (x**2).sum()
y.backward()
dx = {} * x.detach()
print(x.grad, dx)
"""


def square(x):
    return (x * x).sum()


def twice(x):
    return 2 * x


def nothing(x):
    return 0 * x


ASKED: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "torch": (lambda: verify(square, twice, at={"x": XN}), lambda: verify(square, nothing, at={"x": XN})),
    "backward": (lambda: verify_function(Square, at={"x": XN}), lambda: verify_function(Zero, at={"x": XN})),
}
MORE: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "text": (lambda: verify("x**2", "2*x"), lambda: verify("x**2", "0*x")),
    "numpy": (
        lambda: verify(lambda x: np.sum(x**2), lambda x: 2 * x, at={"x": np.array([0.75, 2.0])}),
        lambda: verify(lambda x: np.sum(x**2), lambda x: 0 * x, at={"x": np.array([0.75, 2.0])}),
    ),
    "module": (
        lambda: verify(LAYER, {"w": lambda w, x: 2 * w * x**2}, at={"x": X}),
        lambda: verify(LAYER, {"w": lambda w, x: 0 * w * x}, at={"x": X}),
    ),
    "script": (lambda: verify_script(SCRIPT.format(2)), lambda: verify_script(SCRIPT.format(0))),
    "gradient": (
        lambda: holds(square, {"x": np.array([0.75, -1.25])}, np.array([1.5, -2.5])),
        lambda: not holds(square, {"x": np.array([0.75, -1.25])}, np.array([0.0, 0.0])),
    ),
}


# ------------------------------------------------------------------------------------------------ where it is asked


@contextlib.contextmanager
def changed(get: Callable[[], Any], put: Callable[[Any], Any], value: Any) -> Iterator[None]:
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before)


class Doubling(TorchFunctionMode):
    """A mode of the user's that has sums doubled."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return out * 2 if getattr(func, "__name__", "") == "sum" else out


class Rounding(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return torch.zeros_like(out) if func is torch.ops.aten.mul.Tensor else out


def _dtype(dtype: torch.dtype) -> Any:
    return changed(torch.get_default_dtype, torch.set_default_dtype, dtype)


def _deterministic() -> Any:
    return changed(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True)


SURROUNDINGS: dict[str, Callable[[], Any]] = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "set_grad_enabled(False)": lambda: torch.set_grad_enabled(False),
    "default float16": lambda: _dtype(torch.float16),
    "default bfloat16": lambda: _dtype(torch.bfloat16),
    "default float64": lambda: _dtype(torch.float64),
    "deterministic": _deterministic,
    "anomaly": lambda: torch.autograd.detect_anomaly(check_nan=False),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "saved tensors hooks": lambda: torch.autograd.graph.saved_tensors_hooks(lambda x: x * 0, lambda x: x),
    "two threads": lambda: changed(torch.get_num_threads, torch.set_num_threads, 2),
    "meta device": lambda: torch.device("meta"),
    "a function mode": Doubling,
    "a dispatch mode": Rounding,
    "dual level": torch.autograd.forward_ad.dual_level,
    "errors of NumPy raised": lambda: np.errstate(all="raise"),
    "precision of Arb": lambda: changed(lambda: flint.ctx.prec, lambda n: setattr(flint.ctx, "prec", n), 12),
    "precision of mpmath": lambda: mpmath.workdps(3),
    "denormals flushed": lambda: changed(lambda: False, torch.set_flush_denormal, True),
}
FEW = ("inference_mode", "no_grad", "default float16", "autocast", "meta device", "a function mode")


def within(surroundings: Callable[[], Any], ask: Callable[[], Any]) -> Any:
    with surroundings():
        return ask()


def in_a_thread(ask: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(ask())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def in_a_transform(transform: Callable[..., Any], ask: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def work(x):
        found.append(ask())
        return (x * x).sum()

    transform(work)(torch.ones(2))
    return found[0]


def _surrounded() -> Iterator[Question]:
    for name, surroundings in SURROUNDINGS.items():
        for door, two in {**ASKED, **(MORE if name in FEW else {})}.items():
            for ask, truth in zip(two, (True, False), strict=True):
                yield Question(f"in {name}", 1, door, functools.partial(within, surroundings, ask), truth)
    for door, two in ASKED.items():
        for ask, truth in zip(two, (True, False), strict=True):
            yield Question("in a thread", 1, door, functools.partial(in_a_thread, ask), truth)
            for name in ("vmap", "grad"):
                transform = getattr(torch.func, name)
                yield Question(f"in {name}", 1, door, functools.partial(in_a_transform, transform, ask), truth)


# ------------------------------------------------------------------------------------------------ wrappers


def _wrapped() -> Iterator[Question]:
    def kept(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner

    class Called:
        def __call__(self, x):
            return (x * x).sum()

    wrappers = {
        "inference_mode": torch.inference_mode()(square),
        "no_grad": torch.no_grad()(square),
        "enable_grad": torch.enable_grad()(square),
        "cache": functools.lru_cache(square),
        "wraps": kept(square),
        "partial": functools.partial(square),
        "compiler.disable": torch.compiler.disable(square),
        "compile": torch.compile(square, backend="eager"),
        "an object": Called(),
    }
    for name, f in wrappers.items():
        yield from pair(1, f"a model wrapped by {name}", f, twice, nothing, at={"x": X})
    hands = {"inference_mode": torch.inference_mode(), "no_grad": torch.no_grad(), "cache": functools.lru_cache}
    for name, wrap in hands.items():
        yield from pair(1, f"a hand formula wrapped by {name}", square, wrap(twice), wrap(nothing), at={"x": X})


LEFT_ON = {
    "inference_mode": "mode = torch.inference_mode(); mode.__enter__()",
    "no_grad": "mode = torch.no_grad(); mode.__enter__()",
    "grad disabled": "torch.set_grad_enabled(False)",
    "default dtype": "torch.set_default_dtype(torch.float16)",
    "autocast": "mode = torch.autocast('cpu', torch.bfloat16); mode.__enter__()",
    "device": "torch.set_default_device('meta')",
    "deterministic": "torch.use_deterministic_algorithms(True)",
    "threads": "torch.set_num_threads(2)",
    "errors": "import numpy as np; np.seterr(all='raise')",
}


def _left_on() -> Iterator[Question]:
    """A script that enters a mode at its end and leaves it on: asked about itself, and what is asked after it."""
    for name, line in LEFT_ON.items():
        for factor, truth in ((2, True), (0, False)):
            text = SCRIPT.format(factor) + line + "\n"
            yield Question(f"a script that leaves {name} on", 1, "script", lambda t=text: verify_script(t), truth)

            def after(text: str = text, truth: bool = truth) -> Any:
                before = _modes()
                verify_script(text)
                if _modes() != before:
                    return False
                return verify(square, twice if truth else nothing, at={"x": X})

            yield Question(f"after a script that left {name} on", 1, "verify", after, truth)


def _modes() -> tuple[Any, ...]:
    return (
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        tuple(np.geterr().items()),
    )


def questions() -> Iterator[Question]:
    yield from _surrounded()
    yield from _wrapped()
    yield from _left_on()
