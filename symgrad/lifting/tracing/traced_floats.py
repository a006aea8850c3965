"""A Python number that carries its step.

It passes for a ``float`` in ``isinstance`` and is none: C code that reads a float's bits (the math module, called where
the tracer does not see it) would lose the value in silence, and so gets `LostValue` from ``__float__`` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symgrad.lifting.tracing.tracer import Tracer

__all__ = ["PLAIN", "TracedFloat"]

PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "mod": lambda a, b: a % b,
    "floordiv": lambda a, b: a // b,
}


class TracedFloat:
    """A Python float that carries its step.

    Arithmetic with plain numbers, and with other traced floats, is recorded; with arrays and tensors it is theirs.
    """

    __slots__ = ("step", "tracer", "value")
    __array_priority__ = 2000

    def __init__(self, value: float, step: int, tracer: Tracer) -> None:
        self.value = value
        self.step = step
        self.tracer = tracer

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return float

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("a traced float stays one")

    # ------------------------------------------------------------------------------------ arrays and tensors
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self.tracer.arrays.ufunc(ufunc, method, *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return self.tracer.arrays.function(function, args, options)

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise self.tracer.lost("an array made of numbers inside a library", "Use np.stack, or write the formula out.")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        trace = next(a.tracer for a in (*args, *(kwargs or {}).values()) if type(a) is TracedFloat)
        return trace.tensors.function(func, args, kwargs or {})

    # ------------------------------------------------------------------------------------ arithmetic
    def __neg__(self) -> TracedFloat:
        return TracedFloat(-self.value, self.tracer.at_line().neg(self.step), self.tracer)

    def __pos__(self) -> TracedFloat:
        return self

    def __abs__(self) -> TracedFloat:
        return self.tracer.scalar_function("abs", self, abs(self.value))

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    # ------------------------------------------------------------------------------------ looking at the value
    def __bool__(self) -> bool:
        return self.tracer.compare("ne", self, 0.0)

    def __int__(self) -> int:
        return self.tracer.whole("trunc", self, int(self.value))

    __trunc__ = __int__

    def __floor__(self) -> int:
        return self.tracer.whole("floor", self, self.value.__floor__())

    def __ceil__(self) -> int:
        return self.tracer.whole("ceil", self, self.value.__ceil__())

    def __round__(self, digits: Any = None) -> Any:
        if digits is None:
            return self.tracer.whole("round", self, round(self.value))
        raise self.tracer.lost("round()", "Round after the gradient is computed, not inside the formula.")

    def is_integer(self) -> bool:
        return self.tracer.compare("eq", self, float(round(self.value)))

    def __eq__(self, other: object) -> Any:
        return self.tracer.compare("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return self.tracer.compare("ne", self, other)

    def __lt__(self, other: Any) -> Any:
        return self.tracer.compare("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self.tracer.compare("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.tracer.compare("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return self.tracer.compare("ge", self, other)

    def __hash__(self) -> int:
        self.tracer.guard("hash", [self], None, self.value)  # a set or a dictionary finds it by its value
        return hash(self.value)

    # ------------------------------------------------------------------------------------ leaving
    def __float__(self) -> float:
        raise self.tracer.lost(
            "float(), called by a library or in code whose source is not at hand,",
            "Pass the function with its source, or write the formula with the operators and math's functions.",
        )

    def __complex__(self) -> complex:
        raise self.tracer.lost("complex()", "Use torch for complex values.")

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __repr__(self) -> str:
        return repr(self.value)

    def __copy__(self) -> TracedFloat:
        return self

    def __deepcopy__(self, memo: Any) -> TracedFloat:
        return self

    @property
    def real(self) -> TracedFloat:
        return self

    @property
    def imag(self) -> float:
        return 0.0

    def conjugate(self) -> TracedFloat:
        return self


def _arithmetic(name: str, operation: Callable[[Any, Any], Any]) -> None:
    def forward(self: TracedFloat, other: Any) -> Any:
        return self.tracer.scalar_arithmetic(name, operation, self, other)

    def backward(self: TracedFloat, other: Any) -> Any:
        return self.tracer.scalar_arithmetic(name, operation, other, self)

    word = {"div": "truediv"}.get(name, name)
    setattr(TracedFloat, f"__{word}__", forward)
    setattr(TracedFloat, f"__r{word}__", backward)


for _name, _operation in PLAIN.items():
    _arithmetic(_name, _operation)
