"""``nn.Module`` -> Programs: the parameters are inputs under their own names, and so are forward's arguments."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.errors import NotReproducible
from symgrad.lifting.tracing import sources
from symgrad.lifting.tracing.functions import Run, called, is_float_data, named, plain, same_again
from symgrad.lifting.tracing.surroundings import neutral, uncovered
from symgrad.lifting.tracing.tracer import Tracer


@dataclass(frozen=True, eq=False)
class Module:
    """A module whose float parameters and forward's arguments are the inputs.

    Shared parameters are one input, under their first name.  Buffers are data.  A run leaves the module exactly as it
    was: its parameters, buffers, attributes, training flags and hooks.
    """

    module: torch.nn.Module
    names: tuple[str, ...]
    stops: bool = True
    library: str = "torch"

    @classmethod
    def of(cls, module: torch.nn.Module) -> Module:
        module = getattr(module, "_orig_mod", module)  # of a compiled one
        parameters = tuple(name for name, _ in module.named_parameters())
        return cls(module, parameters + cls._arguments(module))

    @staticmethod
    def _arguments(module: torch.nn.Module) -> tuple[str, ...]:
        found = inspect.signature(module.forward).parameters.values()
        return tuple(p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))

    @property
    def required(self) -> tuple[str, ...]:
        """Forward's arguments that have no default."""
        found = inspect.signature(self.module.forward).parameters
        return tuple(n for n in self._arguments(self.module) if found[n].default is inspect.Parameter.empty)

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters' present values."""
        return {name: plain(p) for name, p in self.module.named_parameters()}

    @property
    def dtypes(self) -> dict[str, str]:
        return {n: str(p.dtype).removeprefix("torch.") for n, p in self.module.named_parameters()}

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """Run the module at a point under a tracer, and once more without; see `Function.run`."""
        trace = Tracer("torch", stops=self.stops)
        given = self._given(point, dtypes)
        for name, x in given.items():
            if isinstance(x, torch.Tensor) and x.is_floating_point():
                trace.tensors.put(x, trace.builder.input(name, tuple(x.shape), str(x.dtype).removeprefix("torch.")))
        with self._untouched(), trace.running(), self._instrumented(trace):
            result = named(self._forward(given, dtypes))
            program = trace.program(result)
            values = {name: np.asarray(trace.value_of(x)) for name, x in result.items()}
        try:
            same_again(values, lambda: self.plain(point, dtypes), trace)
        except NotReproducible as error:
            raise self._random(error) from None
        return Run(program, values)

    def plain(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Mapping[str, np.ndarray]:
        """What the module gives at a point, without a tracer."""
        with neutral(), self._untouched():
            result = self._forward(self._given(point, dtypes), dtypes)
            return {name: plain(x) for name, x in named(result).items()}

    def differentiable(self, dtypes: Mapping[str, str] | str) -> Callable[..., Any]:
        """The module as a function of tensors by name, for torch to differentiate: each call leaves it as it was."""

        def function(**given: Any) -> Any:
            with self._untouched():
                return self._forward(given, dtypes)

        return function

    def _given(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str) -> dict[str, Any]:
        """Parameters and arguments as tensors; what is no float is passed on, arrays as tensors."""
        given: dict[str, Any] = {}
        for name in self.names:
            if name not in point:
                continue
            value = point[name]
            if is_float_data(value):
                dtype = dtypes if isinstance(dtypes, str) else dtypes.get(name, _main(dtypes))
                given[name] = torch.tensor(np.asarray(value), dtype=getattr(torch, dtype))
            else:
                given[name] = torch.as_tensor(value) if isinstance(value, np.ndarray) else value
        return given

    def _forward(self, given: Mapping[str, Any], dtypes: Mapping[str, str] | str) -> Any:
        own = {name for name, _ in self.module.named_parameters()}
        tensors = {name: x for name, x in given.items() if name in own}
        arguments = {name: x for name, x in given.items() if name not in own}
        wanted = getattr(torch, _main(dtypes))
        for name, buffer in self.module.named_buffers():
            tensors[name] = buffer.detach().clone().to(wanted if buffer.is_floating_point() else buffer.dtype)

        def forward(**arguments: Any) -> Any:
            return torch.func.functional_call(self.module, tensors, (), arguments)

        return called(forward, arguments, self.module.forward)

    # ------------------------------------------------------------------------------------ leaving it as it was
    @contextlib.contextmanager
    def _untouched(self) -> Iterator[None]:
        """A block after which every attribute of the module and its parts is what it was before."""
        before = []
        for part in self.module.modules():
            kept = {k: type(v)(v) if type(v) in (dict, list, set) else v for k, v in vars(part).items()}
            before.append((part, dict(vars(part)), kept))
        try:
            yield
        finally:
            for part, attributes, kept in before:
                vars(part).clear()
                vars(part).update(attributes)
                for name, held in kept.items():
                    if type(held) in (dict, set):
                        attributes[name].clear()
                        attributes[name].update(held)
                    elif type(held) is list:
                        attributes[name][:] = held

    @contextlib.contextmanager
    def _instrumented(self, trace: Tracer) -> Iterator[None]:
        """The forward methods that the user wrote, instrumented for the length of one run."""
        for part in self.module.modules():
            forward = uncovered(type(part).forward) if part is self.module else type(part).forward
            users = isinstance(forward, types.FunctionType) and sources.is_users(forward.__code__)
            if "forward" not in vars(part) and users:
                object.__setattr__(part, "forward", trace.ready(types.MethodType(forward, part)))
        yield

    def _random(self, error: NotReproducible) -> NotReproducible:
        layers = [
            name or type(part).__name__
            for name, part in self.module.named_modules()
            if part.training and (getattr(part, "p", 0) or getattr(part, "dropout", 0))
        ]
        if not layers:
            return error
        return NotReproducible(
            f"{error.what}\nThe module is in training mode and has random layers: {', '.join(layers)}.",
            instead="Call module.eval() first, or set the dropout probability to 0.",
        )


def _main(dtypes: Mapping[str, str] | str) -> str:
    """The dtype of what no dtype is said for."""
    return dtypes if isinstance(dtypes, str) else next(iter(dtypes.values()), "float32")
