"""Gradients for all sizes beside autograd's, in time and memory: ``python tests/benchmarks/gradients.py``.

Both compute every gradient of a model from its inputs, in turns and in one process; the least of several CPU times is
shown.  Memory is the growth of the peak of a process of its own that does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import symgrad

MODELS: dict[str, tuple[Callable[..., torch.Tensor], dict[str, tuple[str, ...]]]] = {
    "sigmoid net": (
        lambda U, w, x: (w * torch.sigmoid(U @ x)).sum() / len(w) ** 0.5,
        {"U": ("m", "d"), "w": ("m",), "x": ("d",)},
    ),
    "y'Ax + |Bx|^2": (
        lambda A, x, B, y: y @ A @ x + ((B @ x) ** 2).sum(),
        {"A": ("m", "d"), "x": ("d",), "B": ("m", "d"), "y": ("m",)},
    ),
    "|Ax - b|^2": (lambda A, x, b: ((A @ x - b) ** 2).sum(), {"A": ("m", "d"), "x": ("d",), "b": ("m",)}),
    "layer norm": (
        lambda X, g, b, G: (torch.nn.functional.layer_norm(X, X.shape[1:], g, b) * G).sum(),
        {"X": ("m", "d"), "g": ("d",), "b": ("d",), "G": ("m", "d")},
    ),
    "cross-entropy": (
        lambda X, W, Y: -(Y * torch.log_softmax(X @ W, 1)).sum() / len(X),
        {"X": ("m", "d"), "W": ("d", "c"), "Y": ("m", "c")},
    ),
    "MLP": (
        lambda X, W, b, V, Y: ((torch.tanh(X @ W + b) @ V - Y) ** 2).mean(),
        {"X": ("m", "d"), "W": ("d", "h"), "b": ("h",), "V": ("h", "c"), "Y": ("m", "c")},
    ),
    "attention": (
        lambda Q, K, V, G: (torch.softmax(Q @ K.T / Q.shape[1] ** 0.5, 1) @ V * G).sum(),
        {"Q": ("m", "k"), "K": ("m", "k"), "V": ("m", "k"), "G": ("m", "k")},
    ),
}  # fmt: skip
SIZES = ({"m": 1000, "d": 784, "h": 256, "c": 10, "k": 64}, {"m": 4096, "d": 4096, "h": 256, "c": 10, "k": 64})


def inputs(model: str, sizes: dict[str, int], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    shapes = MODELS[model][1]
    return {n: torch.randn(*(sizes[k] for k in s), generator=g, dtype=dtype) / 8 for n, s in shapes.items()}


def ways(model: str, values: dict[str, torch.Tensor]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Ours and autograd's way to every gradient."""
    f, shapes = MODELS[model]
    g = symgrad.gradient(f, at=shapes)
    small = {n: v[tuple(slice(0, 3) for _ in v.shape)] for n, v in values.items()}
    g(**small)  # read, and compiled
    leaves = {n: v.clone().requires_grad_() for n, v in small.items()}
    torch.autograd.grad(f(**leaves), list(leaves.values()))
    leaves = {n: v.clone().requires_grad_() for n, v in values.items()}
    return lambda: g(**values), lambda: torch.autograd.grad(f(**leaves), list(leaves.values()))


def times(model: str, sizes: dict[str, int], dtype: torch.dtype, rounds: int) -> tuple[float, float]:
    both = ways(model, inputs(model, sizes, dtype))
    best = [float("inf")] * 2
    for _ in range(rounds):
        for k, way in enumerate(both):
            gc.collect()
            start = time.process_time()
            way()
            best[k] = min(best[k], time.process_time() - start)
    return best[0], best[1]


def growth(model: str, sizes: dict[str, int], dtype: torch.dtype, who: int) -> float:
    """By how many MiB a first call raises this process's peak."""
    way = ways(model, inputs(model, sizes, dtype))[who]
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew, from what is held now
    before = held("VmRSS")
    kept = way()
    del kept
    return (held("VmHWM") - before) / 1024


def held(what: str) -> int:
    """The memory of this process now (VmRSS), or the most that it has had (VmHWM), in KiB.

    `resource` would count the peak of the parent too, and the peak from making the inputs.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0])


def memory(model: str, k: int, dtype: str) -> list[float]:
    run = lambda who: subprocess.run(  # noqa: E731
        [sys.executable, __file__, "--growth", model, str(k), dtype, str(who)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(run(who).stdout) for who in (0, 1)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--growth", nargs=4, help=argparse.SUPPRESS)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", default="", help="the models whose names hold this")
    options.add_argument("--no-memory", action="store_true")
    asked = options.parse_args()
    torch.set_num_threads(1)
    if asked.growth:
        model, k, dtype, who = asked.growth
        print(growth(model, SIZES[int(k)], getattr(torch, dtype), int(who)))
        return
    print("| gradients | sizes | dtype | symgrad | autograd | ratio | memory | autograd | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in (name for name in MODELS if asked.only in name):
        for k, sizes in enumerate(SIZES):
            for dtype in ("float32", "float64"):
                ours, theirs = times(model, sizes, getattr(torch, dtype), asked.rounds)
                row = f"| {model} | {sizes['m']} x {sizes['d']} | {dtype}"
                row += f" | {ours * 1e3:.3g} ms | {theirs * 1e3:.3g} ms | {ours / theirs:.2g}"
                if not asked.no_memory:
                    a, b = memory(model, k, dtype)
                    row += f" | {a:.0f} MiB | {b:.0f} MiB | {a / max(b, 1):.2g}"
                print(row + " |", flush=True)


if __name__ == "__main__":
    main()
