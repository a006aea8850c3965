"""Complex numbers for the checker: a pair of fractions in kernels, and the functions of them in real ones.

A complex function is read by the same rule as the real one (`symgrad.proving.checker_rules`), in another arithmetic:
exp(x + iy) = exp(x) (cos(y) + i sin(y)), log(z) = log|z|**2 / 2 + i atan2(y, x), the principal value, and what is
written in those two.  Of every other function only that equal arguments give equal values is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symgrad.proving.checker_arithmetic import Arithmetic, Value


@dataclass(frozen=True, slots=True, eq=False)
class Complex:
    """x + iy."""

    x: Value
    y: Value

    def _of(self, other: Complex | Value | int) -> Complex:
        return other if isinstance(other, Complex) else Complex(self.x.of.value(other), self.x.of.value(0))

    def __add__(self, other: Complex | Value | int) -> Complex:
        b = self._of(other)
        return Complex(self.x + b.x, self.y + b.y)

    def __neg__(self) -> Complex:
        return Complex(-self.x, -self.y)

    def __sub__(self, other: Complex | Value | int) -> Complex:
        return self + -self._of(other)

    def __rsub__(self, other: Value | int) -> Complex:
        return -self + other

    def __mul__(self, other: Complex | Value | int) -> Complex:
        b = self._of(other)
        return Complex(self.x * b.x - self.y * b.y, self.x * b.y + self.y * b.x)

    def __truediv__(self, other: Complex | Value | int) -> Complex:
        b = self._of(other)
        above, below = self * b.conjugate(), b.square_of_modulus()
        return Complex(above.x / below, above.y / below)

    def __rtruediv__(self, other: Value | int) -> Complex:
        return self._of(other) / self

    def __pow__(self, n: int) -> Complex:
        out = self._of(1)
        for bit in f"{n:b}":
            out = out * out * self if bit == "1" else out * out
        return out

    __radd__, __rmul__ = __add__, __mul__

    def conjugate(self) -> Complex:
        return Complex(self.x, -self.y)

    def square_of_modulus(self) -> Value:
        return self.x * self.x + self.y * self.y

    def is_zero(self) -> bool:
        return self.x.is_zero() and self.y.is_zero()


class ComplexArithmetic:
    """What the rules ask of an arithmetic, for complex numbers; principal values."""

    def __init__(self, real: Arithmetic) -> None:
        self.real = real

    def value(self, x: Any) -> Complex:
        return x if isinstance(x, Complex) else Complex(self.real.value(x), self.real.value(0))

    def learn(self, z: Complex, **_: bool) -> None:
        """A logarithm says nothing of a complex argument but that it is not zero."""

    def exp(self, z: Complex) -> Complex:
        size, (c, s) = self.real.exp(z.x), self.real.turn(z.y)
        return Complex(size * c, size * s)

    def log(self, z: Complex) -> Complex:
        return Complex(self.real.log(z.square_of_modulus()) / 2, self.real.angle(z.y, z.x))

    def sqrt(self, z: Complex) -> Complex:
        return self.exp(self.log(z) / 2)

    def turn(self, z: Complex) -> tuple[Complex, Complex]:
        """cos and sin."""
        e = self.exp(Complex(-z.y, z.x))
        s = (e - 1 / e) / 2
        return (e + 1 / e) / 2, Complex(s.y, -s.x)

    def tanh(self, z: Complex) -> Complex:
        e = self.exp(z + z)
        return (e - 1) / (e + 1)

    def sigmoid(self, z: Complex) -> Complex:
        e = self.exp(z)
        return e / (e + 1)

    def modulus(self, z: Complex) -> Value:
        return self.real.sqrt(z.square_of_modulus())

    def sign(self, z: Complex) -> Complex:
        return z / self.modulus(z)

    def plain(self, name: str, param: Any, *arguments: Complex) -> Complex:
        """A function of which equal arguments give equal values, and nothing else is used."""
        keys = [self.real.key(v) for z in arguments for v in (z.x, z.y)]
        x, y = (self.real.kernel(((f"complex {name}", part), param, *keys)) for part in ("x", "y"))
        return Complex(x, y)


# The operations whose rule for real numbers is that for complex ones, too.
ALIKE = frozenset(
    "add sub mul div neg exp log sqrt pow sin cos tanh sigmoid sign rsqrt reciprocal square exp2 expm1 log1p log2 "
    "log10 tan sinh cosh atanh silu".split()
)
# Those that a real number has, too, with another rule.
PARTS = {
    "conj": lambda f, z: z.conjugate(),
    "real": lambda f, z: z.x,
    "imag": lambda f, z: z.y,
    "abs": lambda f, z: f.modulus(z),
}
