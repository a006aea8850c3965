"""The surroundings of a script that is run: fixed seeds, captured output, no windows; afterwards all is as it was."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput

__all__ = ["Limited", "World", "namespace", "surroundings"]


class Limited(io.StringIO):
    """What is printed, up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.cut = 0

    def write(self, text: str) -> int:
        room = max(0, self.limit - self.tell())
        self.cut += max(0, len(text) - room)
        return super().write(text[:room])


class World:
    random = False


@contextlib.contextmanager
def surroundings(seed: int, out: io.StringIO, file: str) -> Iterator[World]:
    """Fixed seeds, captured output, no windows; afterwards everything global is as it was."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    dtype, grad, argv = torch.get_default_dtype(), torch.is_grad_enabled(), sys.argv
    backend = os.environ.get("MPLBACKEND")
    world = World()
    os.environ["MPLBACKEND"] = "Agg"
    sys.argv = [file]
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    before = _states()
    try:
        with contextlib.redirect_stdout(out):
            yield world
    finally:
        world.random = _states() != before
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        sys.argv = argv
        if backend is None:
            os.environ.pop("MPLBACKEND", None)
        else:
            os.environ["MPLBACKEND"] = backend


def _states() -> tuple[Any, ...]:
    numpy: Any = np.random.get_state()
    return random.getstate(), numpy[1].tobytes(), numpy[2], torch.get_rng_state().numpy().tobytes()


def namespace(file: str) -> dict[str, Any]:
    def no_input(prompt: Any = "") -> str:
        raise BadInput("the script asks for input().", instead="Write the value into the script.")

    return {"__name__": "__main__", "__file__": file, "__doc__": None, "__annotations__": {}, "input": no_input}
