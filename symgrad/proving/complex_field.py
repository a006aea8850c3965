"""Complex values in a field: principal values, and conjugates."""

from __future__ import annotations

from typing import Any

from flint import fmpq

from symgrad.program.program import Step
from symgrad.proving.field import Element, Kernel
from symgrad.proving.special_relations import RELATIONS
from symgrad.proving.views import Terms

__all__ = ["ODD", "Complexes"]

ODD = frozenset(("erf", "asin", "atan", "erfinv", "erfi", "Si", "Shi", "fresnels", "fresnelc"))


class Complexes(Terms):
    """How steps with complex values read."""

    def complex(self, step: Step, a: list[Element]) -> Element:
        """Over the complex numbers only what has no branches is used, and what principal values have in common."""
        f = self.field
        match step.op:
            case "exp":
                return f.exp(a[0])
            case "log":
                return f.complex_log(a[0])
            case "sqrt":
                return f.principal_power(a[0], fmpq(1, 2))
            case "pow":
                return (
                    f.principal_power(a[0], constant)
                    if (constant := f.constant(a[1])) is not None
                    else f.exp(f.mul(a[1], f.complex_log(a[0])))
                )
            case "sin":
                return f.turn(a[0])[1]
            case "cos":
                return f.turn(a[0])[0]
            case "tanh":
                return f.tanh(a[0])
            case "sigmoid":
                return f.sigmoid(a[0])
            case "abs":
                return self._modulus(a[0])
            case "erf" | "erfi" | "Si" | "Shi":
                return f.odd(step.op, a[0])
            case op if op in ODD:
                return f.odd(op if f.is_complex(a[0]) else f"complex {op}", a[0])
            case "LambertW" | "polylog":
                return RELATIONS[step.op](f, *a)
        return f.opaque((step.op, step.params, "complex"), *a, is_complex=step.is_complex)

    def conjugate(self, a: Element) -> Element:
        f = self.field
        if not any(f.kernels[k].is_complex for k in f.used(a)):
            return a

        def leaf(key: Any, is_complex: bool) -> Element:
            if not is_complex:
                return f.leaf(key)
            (base, view) = key
            bare = base[1] if isinstance(base, tuple) and base[0] == "conj" else ("conj", base)
            return f.leaf((bare, view), True)

        memo: dict[int, Element] = {}
        stack = list(f.used(a))
        while stack:
            k = stack.pop()
            kernel = f.kernels[k]
            if k in memo or kernel.make is None:
                continue
            if f.index.get("i") == k:
                memo[k] = f.neg(f.imaginary())
            elif not kernel.is_complex:
                memo[k] = Element(f.gens[k], f.one)
            elif k in f.exponentials:
                stack += [inner for part in kernel.parts for inner in f.used(part)]
            elif (other := f.conjugates.get(k)) is not None:
                memo[k] = other
            else:
                memo[k] = self._conjugate_kernel(k)
        return f.relabel(a, leaf, memo)

    def _conjugate_kernel(self, k: int) -> Element:
        """A kernel for the conjugate, with the conjugate relation where there is one."""
        f, inner = self.field, Element(self.field.gens[k], self.field.one)
        make = lambda z: self.conjugate(z)  # noqa: E731
        relation = next(((power, value) for j, power, value in f.relations if j == k), None)
        power, value = (relation[0], f.canonical(self.conjugate(relation[1]))) if relation else (0, None)
        what = lambda: Kernel(None, make, (inner,), 0, True)  # noqa: E731
        found = Element(f.kernel(("conj", f.key(inner)), what, power, value), f.one)
        f.conjugates[f.single(found.n)] = inner
        return found

    def _modulus(self, z: Element) -> Element:
        """|z|, the kernel r with r**2 = z conj(z)."""
        f = self.field
        other = self.conjugate(z)
        key = ("modulus", min(f.key(z), f.key(other)))
        root = f.kernel(key, lambda: Kernel(None, self._modulus, (z,), 1), 2, f.canonical(f.mul(z, other)))
        return Element(root, f.one)
