"""``nn.Module`` -> Programs: the parameters are inputs under their own names, and so are forward's arguments."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.errors import NotReproducible
from symgrad.lifting import instrument
from symgrad.lifting.functions import Run, _call, _is_float_data, _named, _plain, _same_twice
from symgrad.lifting.tracing import Tracer

__all__ = ["Module"]


@dataclass(frozen=True, eq=False)
class Module:
    """A module whose float parameters and forward's arguments are the inputs.

    Shared parameters are one input, under their first name.  Buffers are data.
    """

    module: torch.nn.Module
    names: tuple[str, ...]
    stops: bool = True
    library: str = "torch"

    @classmethod
    def of(cls, module: torch.nn.Module) -> Module:
        parameters = tuple(name for name, _ in module.named_parameters())
        return cls(module, parameters + cls._arguments(module))

    @staticmethod
    def _arguments(module: torch.nn.Module) -> tuple[str, ...]:
        found = inspect.signature(module.forward).parameters.values()
        return tuple(p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))

    @property
    def required(self) -> tuple[str, ...]:
        found = inspect.signature(self.module.forward).parameters
        return tuple(n for n in self._arguments(self.module) if found[n].default is inspect.Parameter.empty)

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters' present values."""
        return {name: _plain(p) for name, p in self.module.named_parameters()}

    @property
    def dtypes(self) -> dict[str, str]:
        return {n: str(p.dtype).removeprefix("torch.") for n, p in self.module.named_parameters()}

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """Run the module at a point under a tracer, and once more without; see `Function.run`."""
        trace = Tracer("torch", stops=self.stops)
        own = {name for name, _ in self.module.named_parameters()}
        given: dict[str, Any] = {}
        clean: dict[str, Any] = {}
        for name in self.names:
            if name not in point:
                continue
            value = point[name]
            if not _is_float_data(value):
                given[name] = clean[name] = torch.as_tensor(value) if isinstance(value, np.ndarray) else value
                continue
            dtype = dtypes if isinstance(dtypes, str) else dtypes.get(name, "float32")
            tensor = torch.tensor(np.asarray(value), dtype=getattr(torch, dtype))
            trace.tensors.put(tensor, trace.builder.input(name, tuple(tensor.shape), dtype))
            given[name] = tensor
            clean[name] = tensor.clone()
        main = next((d for d in ([dtypes] if isinstance(dtypes, str) else dtypes.values())), "float32")
        with trace.running(), self._instrumented(trace):
            result = self._forward(given, own, main)
            outputs = {name: trace.step_of(x) for name, x in _named(result).items()}
            values = {name: np.asarray(trace.value_of(x)) for name, x in _named(result).items()}
        again = {name: _plain(x) for name, x in _named(self._forward(clean, own, main)).items()}
        try:
            _same_twice(values, again)
        except NotReproducible as error:
            raise self._random(error) from None
        return Run(trace.builder.build(outputs), values)

    def plain(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Mapping[str, np.ndarray]:
        own = {name for name, _ in self.module.named_parameters()}
        given = {}
        for name, value in point.items():
            dtype = dtypes if isinstance(dtypes, str) else dtypes.get(name, "float32")
            floats = _is_float_data(value)
            given[name] = torch.tensor(np.asarray(value), dtype=getattr(torch, dtype)) if floats else value
        main = next((d for d in ([dtypes] if isinstance(dtypes, str) else dtypes.values())), "float32")
        return {name: _plain(x) for name, x in _named(self._forward(given, own, main)).items()}

    def _forward(self, given: Mapping[str, Any], own: set[str], dtype: str) -> Any:
        tensors = {name: x for name, x in given.items() if name in own}
        arguments = {name: x for name, x in given.items() if name not in own}
        wanted = getattr(torch, dtype)
        for name, buffer in self.module.named_buffers():
            tensors[name] = buffer.detach().clone().to(wanted if buffer.is_floating_point() else buffer.dtype)

        def forward(**arguments: Any) -> Any:
            return torch.func.functional_call(self.module, tensors, (), arguments)

        forward.__signature__ = inspect.signature(self.module.forward)  # type: ignore[attr-defined]
        return _call(forward, arguments)

    @contextlib.contextmanager
    def _instrumented(self, trace: Tracer) -> Iterator[None]:
        """The forward methods that the user wrote, instrumented for the length of one run."""
        changed = []
        for part in self.module.modules():
            forward = type(part).forward
            if "forward" not in vars(part) and isinstance(forward, types.FunctionType) and instrument.is_users(forward):
                made = trace.instrumented(types.MethodType(forward, part))
                object.__setattr__(part, "forward", made)
                changed.append(part)
        try:
            yield
        finally:
            for part in changed:
                object.__delattr__(part, "forward")

    def _random(self, error: NotReproducible) -> NotReproducible:
        layers = [
            name or type(part).__name__
            for name, part in self.module.named_modules()
            if part.training and type(part).__name__.lower().find("dropout") >= 0
        ]
        if not layers:
            return error
        return NotReproducible(
            f"{error.what}\nThe module is in training mode and has random layers: {', '.join(layers)}.",
            instead="Call module.eval() first, or set the dropout probability to 0.",
        )
