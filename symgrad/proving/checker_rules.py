"""What each operation is of numbers, and the entries of steps as fractions in kernels: the table of the checker.

An entry is read back through the steps that a link opens, one operation after the other; an entry of any other step is
an unknown, one for each class of joined steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from symgrad.proving.checker_adjoint import CheckedStep, position, positions
from symgrad.proving.checker_arithmetic import Arithmetic, NotCovered, Value, settled

_ENTRIES = 1 << 17  # that one formula is made of
_SHIFTS = 24  # of the argument of a gamma function

# ------------------------------------------------------------------------------------------------------- the operations


def _polylog(f: Arithmetic, order: Value, z: Value) -> Value:
    """Li_1(z) = -log(1 - z), and Li_0(z) = z / (1 - z)."""
    if order.is_zero():
        return z / (1 - z)
    return -f.log(1 - z) if order.number() == 1 else f.function("polylog", order, z)


def _asin(f: Arithmetic, u: Value) -> Value:
    f.learn(1 - u)
    f.learn(1 + u)
    return f.odd("asin", u)


def _softplus(f: Arithmetic, u: Value) -> Value:
    return f.log(1 + f.exp(u))


def _ndtr(f: Arithmetic, u: Value) -> Value:
    return (1 + f.odd("erf", u / f.sqrt(f.value(2)))) / 2


def _shifted(f: Arithmetic, u: Value) -> tuple[Value, list[Value], int]:
    """An argument with its constant term above 0 and at most 1, and the numbers between; 1 if it was above, or -1."""
    u = u.plain()
    constants = [Fraction(int(c.p), int(c.q)) for e, c in u.n.to_dict().items() if u.d.is_one() and not any(e)]
    k = math.ceil(sum(constants, Fraction(0))) - 1
    k = k if abs(k) <= _SHIFTS else 0
    return u - k, [u - j for j in range(1, k + 1)] or [u + j for j in range(-k)], 1 if k > 0 else -1


def _gamma(f: Arithmetic, u: Value) -> Value:
    """Gamma(u + 1) = u Gamma(u)."""
    low, between, side = _shifted(f, u)
    return f.function(("gamma", None), low) * math.prod(between, start=f.value(1)) ** side


def _digamma(f: Arithmetic, u: Value) -> Value:
    """psi(u + 1) = psi(u) + 1/u."""
    low, between, side = _shifted(f, u)
    return f.function(("digamma", None), low) + side * f.total(1 / x for x in between)


# What each operation is of its arguments; operations on arrays are these of their entries.
RULES: dict[str, Callable[..., Value]] = {
    "add": lambda f, a, b: a + b,
    "sub": lambda f, a, b: a - b,
    "mul": lambda f, a, b: a * b,
    "div": lambda f, a, b: a / b,
    "neg": lambda f, a: -a,
    "exp": Arithmetic.exp,
    "log": Arithmetic.log,
    "sqrt": Arithmetic.sqrt,
    "pow": lambda f, a, b: f.exp(b * f.log(a)),
    "sin": lambda f, u: f.turn(u)[1],
    "cos": lambda f, u: f.turn(u)[0],
    "tanh": Arithmetic.tanh,
    "sigmoid": lambda f, u: (1 + f.tanh(u / 2)) / 2,
    "sign": Arithmetic.sign,
    "abs": Arithmetic.modulus,
    "asin": _asin,
    "polylog": _polylog,
    "gamma": _gamma,
    "digamma": _digamma,
    "conj": lambda f, z: f.complex_parts(z)[0] - f.complex_parts(z)[1] * f.unit(),
    "real": lambda f, z: f.complex_parts(z)[0],
    "imag": lambda f, z: f.complex_parts(z)[1],
    "rsqrt": lambda f, u: 1 / f.sqrt(u),
    "cbrt": lambda f, u: f.sign(u) * f.exp(f.log(f.modulus(u)) / 3),
    "reciprocal": lambda f, u: 1 / u,
    "square": lambda f, u: u * u,
    "exp2": lambda f, u: f.exp(u * f.log(f.value(2))),
    "expm1": lambda f, u: f.exp(u) - 1,
    "log1p": lambda f, u: f.log(1 + u),
    "log2": lambda f, u: f.log(u) / f.log(f.value(2)),
    "log10": lambda f, u: f.log(u) / f.log(f.value(10)),
    "tan": lambda f, u: f.turn(u)[1] / f.turn(u)[0],
    "acos": lambda f, u: f.pi() / 2 - _asin(f, u),
    "sinh": lambda f, u: (f.exp(u) - f.exp(-u)) / 2,
    "cosh": lambda f, u: (f.exp(u) + f.exp(-u)) / 2,
    "asinh": lambda f, u: f.log(u + f.sqrt(u * u + 1)),
    "acosh": lambda f, u: f.log(u + f.sqrt(u - 1) * f.sqrt(u + 1)),
    "atanh": lambda f, u: (f.log(1 + u) - f.log(1 - u)) / 2,
    "erfc": lambda f, u: 1 - f.odd("erf", u),
    "erfcx": lambda f, u: f.exp(u * u) * (1 - f.odd("erf", u)),
    "logsigmoid": lambda f, u: -_softplus(f, -u),
    "softplus": _softplus,
    "logit": lambda f, u: f.log(u / (1 - u)),
    "silu": lambda f, u: u / (1 + f.exp(-u)),
    "mish": lambda f, u: u * f.tanh(_softplus(f, u)),
    "gelu": lambda f, u: u * _ndtr(f, u),
    "gelu_tanh": lambda f, u: u * (1 + f.tanh(f.sqrt(2 / f.pi()) * (u + f.value(Fraction(44715, 10**6)) * u**3))) / 2,
    "softsign": lambda f, u: u / (1 + f.modulus(u)),
    "tanhshrink": lambda f, u: u - f.tanh(u),
    "ndtr": _ndtr,
    "log_ndtr": lambda f, u: f.log(_ndtr(f, u)),
    "deg2rad": lambda f, u: u * f.pi() / 180,
    "rad2deg": lambda f, u: u * 180 / f.pi(),
    "hypot": lambda f, u, v: f.sqrt(u * u + v * v),
    "logaddexp": lambda f, u, v: f.log(f.exp(u) + f.exp(v)),
    "logaddexp2": lambda f, u, v: (
        f.log(f.exp(u * f.log(f.value(2))) + f.exp(v * f.log(f.value(2)))) / f.log(f.value(2))
    ),
    "xlogy": lambda f, u, v: u * f.log(v),
    "xlog1py": lambda f, u, v: u * f.log(1 + v),
    # of all entries that it is made of
    "sum": lambda f, *all_: f.total(all_),
    "matmul": lambda f, *both: f.total(map(Value.__mul__, both[: len(both) // 2], both[len(both) // 2 :])),
    "softmax": lambda f, u, *along: f.exp(u) / f.total(map(f.exp, along)),
    "log_softmax": lambda f, u, *along: u - f.log(f.total(map(f.exp, along))),
    "logsumexp": lambda f, *along: f.log(f.total(map(f.exp, along))),
}
ODD = frozenset("erf atan erfinv erfi Si Shi fresnels fresnelc".split())
# Functions of which equal arguments give equal values, and nothing else is used.
PLAIN = frozenset(
    "lgamma polygamma atan2 i0 i1 Ci Chi Ei li expint uppergamma besselj bessely besseli besselk airyai airybi "
    "airyaiprime airybiprime LambertW zeta hurwitz_zeta elliptic_f elliptic_e elliptic_pi".split()
)
# The operations whose rule for real numbers is that for complex ones, too.
COMPLEX = frozenset(
    "add sub mul div neg sum matmul exp log sqrt pow sin cos tanh sigmoid sign rsqrt reciprocal square exp2 expm1 "
    "log1p log2 log10 tan sinh cosh atanh silu conj real imag abs".split()
)
INNER = ("same", "unknown", "number")  # of entries alone: no step is called so
_MATRIX = frozenset(("inverse", "solve", "det", "logabsdet", "cholesky"))  # of all entries, nothing else is used


# ------------------------------------------------------------------------------------------------------- the entries


class Classes:
    """Steps, and which of them were joined; with ``holding``, what is detached is an unknown."""

    def __init__(self, steps: Sequence[CheckedStep], holding: bool = False) -> None:
        self.steps = list(steps)
        self.parent = list(range(len(steps)))
        self.holding = holding
        self._landing: dict[int, dict[int, list[int]]] = {}

    def find(self, i: int) -> int:
        """The step that stands for all that were joined with step ``i``."""
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        i, j = self.find(i), self.find(j)
        self.parent[max(i, j)] = min(i, j)

    def landing_of(self, i: int) -> dict[int, list[int]]:
        """For a scatter: the entries of its argument that land in each of its own."""
        if i not in self._landing:
            found = self._landing[i] = {}
            for source, p in enumerate(positions(self.steps[i].params, self.steps[self.steps[i].args[0]].shape)):
                found.setdefault(p - 1, []).append(source)
        return self._landing[i]


def of_values(steps: Sequence[CheckedStep]) -> Classes:
    """Steps of which inputs of one name are joined."""
    found, named = Classes(steps), dict[Any, int]()
    for i, s in enumerate(steps):
        if s.op == "input":
            found.join(i, named.setdefault((s.params, s.shape, s.complex), i))
    return found


class Reader:
    """Entries of steps as fractions in kernels, read back to the steps that are not ``opened``."""

    def __init__(self, f: Arithmetic, classes: Classes, opened: frozenset[int]) -> None:
        self.f = f
        self.classes = classes
        self.opened = opened
        self.known: dict[tuple[int, int], Value] = {}

    def entry(self, i: int, k: int) -> Value:
        """Entry ``k`` of step ``i``."""
        stack = [(i, k)]
        while stack:
            here = stack[-1]
            if here not in self.known:
                op, parts, param = self._meaning(*here)
                waiting = [p for p in parts if p not in self.known]
                if waiting:
                    stack += reversed(waiting)
                    continue
                if len(self.known) > _ENTRIES:
                    raise NotCovered("a formula with too many operations")
                self.known[here] = self._value(here, op, parts, param)
            stack.pop()
        return self.known[i, k]

    def _meaning(self, i: int, k: int) -> tuple[str, list[tuple[int, int]], Any]:
        """An entry as an operation on the entries that it is made of."""
        step, steps = self.classes.steps[i], self.classes.steps
        if self.classes.find(i) != i:
            return "same", [(self.classes.find(i), k)], None
        if step.op in ("name", "cast") or (step.op == "stop" and not self.classes.holding):
            return "same", [(step.args[0], k)], None
        if step.op not in ("constant", "pick", "neg") and (i not in self.opened or step.op in ("input", "stop")):
            return "unknown", [], None
        shape = (steps[step.args[0]] if step.args else step).shape  # of what it is made of
        match step.op:
            case "constant":
                return _constant(step, k)
            case "pick":
                p = position(step.params, step.shape, k) - 1
                for a in step.args if p >= 0 else ():
                    if p < steps[a].size:
                        return "same", [(a, p)], None
                    p -= steps[a].size
                return "number", [], (0,)
            case "scatter":
                return "sum", [(step.args[0], p) for p in self.classes.landing_of(i).get(k, ())], None
            case "matmul":
                (_, n, m), inner = step.shape, shape[2]
                row, column = k // m * inner, k // (n * m) * inner * m + k % m
                left = [(step.args[0], row + t) for t in range(inner)]
                return "matmul", left + [(step.args[1], column + t * m) for t in range(inner)], None
            case "softmax" | "log_softmax" | "logsumexp":
                length, inner = shape[step.params], math.prod(shape[step.params % len(shape) + 1 :])
                start = (k // inner if step.op == "logsumexp" else k // (inner * length)) * length * inner + k % inner
                along = [(step.args[0], start + t * inner) for t in range(length)]
                return step.op, along if step.op == "logsumexp" else [(step.args[0], k), *along], None
            case op if op in _MATRIX:
                batch, place = divmod(k, math.prod(step.shape[1:]))
                sizes = [(a, math.prod(steps[a].shape[1:])) for a in step.args]
                return op, [(a, batch * n + t) for a, n in sizes for t in range(n)], place
        return step.op, [(a, k) for a in step.args], step.params

    def _value(self, here: tuple[int, int], op: str, parts: Sequence[tuple[int, int]], param: Any) -> Value:
        f, steps, a = self.f, self.classes.steps, [self.known[p] for p in parts]
        is_complex = steps[here[0]].complex
        f.principal = is_complex or any(steps[i].complex for i, _ in parts)
        match op:
            case "same":
                return a[0] if is_complex or not f.principal else f.complex_parts(a[0])[0]
            case "unknown":
                x = f.kernel(("unknown", *here))
                return x + f.kernel(("unknown", *here, "imaginary")) * f.unit() if is_complex else x
            case "number":
                x, *y = map(f.value, param)
                return x + y[0] * f.unit() if y else x
            case "constant":
                known = {"I": f.unit, "pi": f.pi}.get(param)
                sign = 2 if param in ("EulerGamma", "Catalan") else 0
                return f.kernel(("constant", param), sign=sign) if known is None else known()
            case "powi":
                return a[0] ** param
            case op if op in RULES and (op in COMPLEX or not f.principal):
                return RULES[op](f, *a)
            case op if op in ODD and not f.principal:
                return f.odd(op, a[0])
            case op if op in PLAIN or op in ODD or op in RULES or (op in _MATRIX and not f.principal):
                return f.function((op, param), *a)
        raise NotCovered(f"the operation {op}{' of complex numbers' if f.principal else ''}")


def _constant(step: CheckedStep, k: int) -> tuple[str, list[tuple[int, int]], Any]:
    name, entries = step.params.get("name"), step.params.get("entries")
    entry = name if entries is None else entries[k] if len(entries) > 1 else entries[0]
    parts = [entry] if isinstance(entry, str) else entry
    if not step.complex and (name == "I" or len(parts) > 1):
        raise NotCovered("a complex constant that is said to be real")
    if entries is None:
        return "constant", [], str(name)
    if "nan" in parts:  # memory that was never filled: nothing is known of it
        return "unknown", [], None
    if any("inf" in part for part in parts):
        raise NotCovered("a constant that is no number")
    return "number", [], tuple(map(Fraction, parts))


def vanishes(steps: Sequence[CheckedStep], goal: int, *, expanded: bool = False) -> bool:
    """Whether a step that is a number is zero wherever every step has a value.

    >>> numbers = [("input", ()), ("exp", (0,)), ("mul", (1, 1)), ("add", (0, 0)), ("exp", (3,)), ("sub", (2, 4))]
    >>> steps = [CheckedStep(op, args, None, ()) for op, args in numbers]
    >>> vanishes(steps, 5), vanishes(steps, 2)
    (True, False)

    Raises `NotCovered` where there is no rule for an operation, or too much of it.  Guarantee: True is a theorem, by
    the rules at the top of this module; False says only that they do not show it.
    """
    classes = of_values(steps)
    return settled(lambda f: Reader(f, classes, frozenset(range(len(steps)))).entry(goal, 0).is_zero(), expanded)
