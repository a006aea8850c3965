"""The derivative of a list of steps, written by the checker's own rules: one reverse pass over plain data.

A step's adjoint is the derivative of the sum of the output's entries by each of its entries; of a complex step it is
the conjugate Wirtinger gradient, as torch has it.  Each operation says what it passes on to its arguments; what it
passes on is more steps.  Nothing is passed on through what is detached.  Operations that are written in others, such
as softplus, do not occur here: the checker takes the model in its simplest operations, and checks that they are it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.proving.checker_arithmetic import NotCovered

Shape = tuple[int, ...]
REAL = ("real", "imag", "abs")  # of complex numbers
_ROWS = 256  # of a Jacobian


@dataclass(frozen=True, slots=True)
class CheckedStep:
    """An operation of a certificate on earlier steps, which go by their positions.

    ``params`` are plain data: of a ``pick`` or ``scatter`` a list of positions counted from 1 (0 is for a zero), or an
    affine map, ``offset`` and ``strides``; of a constant its ``entries`` as fractions (two for a complex number), or
    its ``name``.
    """

    op: str
    args: tuple[int, ...]
    params: Any
    shape: Shape
    complex: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def position(index: Any, shape: Shape, k: int) -> int:
    """Where entry ``k`` of an array of this shape is, counted from 1; 0 for nowhere."""
    if not isinstance(index, Mapping):
        return index[k]
    p = index["offset"]
    for n, stride in zip(reversed(shape), reversed(index["strides"]), strict=True):
        k, here = divmod(k, n)
        p += here * stride
    return p + 1


def positions(index: Any, shape: Shape) -> list[int]:
    """Where each entry of an array of this shape is.

    >>> positions({"offset": 0, "strides": [1, 3]}, (2, 2)), positions([2, 0], (2,))
    ([1, 4, 2, 5], [2, 0])
    """
    return [position(index, shape, k) for k in range(math.prod(shape))] if isinstance(index, Mapping) else list(index)


def derivative(steps: Sequence[CheckedStep], output: int, wrt: int, kind: str) -> tuple[list[CheckedStep], int]:
    """Steps to be put after ``steps``, and which of them is the derivative of step ``output`` by step ``wrt``.

    ``kind`` is "gradient" (of the sum of the output's entries), "jacobian", of shape output.shape + input.shape,
    "hessian", "slope", f' of a complex f of a real step, or "value", for the output itself.  Raises `NotCovered` where
    there is no rule for an operation.

    >>> x, y = CheckedStep("input", (), "x", ()), CheckedStep("exp", (0,), None, ())
    >>> new, last = derivative([x, y], 1, 0, "gradient")
    >>> [(s.op, s.args) for s in new], last
    ([('constant', ()), ('mul', (2, 1))], 3)
    """
    writer = _Writer(list(steps))
    match kind:
        case "value":
            found = output
        case "gradient":
            found = writer.adjoint(output, writer.number(1, writer.steps[output].shape), wrt)
        case "jacobian":
            found = writer.jacobian(output, wrt)
        case "hessian":
            first = writer.adjoint(output, writer.number(1, writer.steps[output].shape), wrt)
            found = writer.jacobian(first, wrt)
        case "slope":  # the adjoint of a real step is Re(conj(seed) f'): for the seeds 1 and i, its two parts
            one = writer.number(1, writer.steps[output].shape)
            along, across = (writer.adjoint(output, seed, wrt) for seed in (one, writer.turning(one)))
            found = writer.emit("add", along, writer.turning(across))
        case _:
            raise NotCovered(f"a derivative called {kind!r}")
    return writer.steps[len(steps) :], found


def nothing(start: int, shape: Shape) -> tuple[list[CheckedStep], int]:
    """Steps for a derivative that is zero, to be put after ``start`` others."""
    zero = CheckedStep("constant", (), {"entries": ["0"]}, ())
    if not shape:
        return [zero], start
    wide = CheckedStep("pick", (start,), {"offset": 0, "strides": [0] * len(shape)}, shape)
    return [zero, wide], start + 1


class _Writer:
    """Writes steps after others."""

    def __init__(self, steps: list[CheckedStep]) -> None:
        self.steps = steps

    # ------------------------------------------------------------------------------------------------ steps
    def emit(self, op: str, *args: int, shape: Shape | None = None, params: Any = None) -> int:
        shape = self.steps[args[0]].shape if shape is None else shape
        is_complex = op not in REAL and (params == {"name": "I"} or any(self.steps[a].complex for a in args))
        self.steps.append(CheckedStep(op, args, params, shape, is_complex))
        return len(self.steps) - 1

    def conj(self, i: int) -> int:
        return self.emit("conj", i) if self.steps[i].complex else i

    def turning(self, i: int) -> int:
        """Times the imaginary unit."""
        unit, shape = self.emit("constant", shape=(), params={"name": "I"}), self.steps[i].shape
        return self.emit("mul", self.broadcast(unit, shape) if shape else unit, i)

    def number(self, entry: Any, shape: Shape) -> int:
        one = self.emit("constant", shape=(), params={"entries": [str(entry)]})
        return one if not shape else self.broadcast(one, shape)

    def broadcast(self, i: int, shape: Shape) -> int:
        return self.emit("pick", i, shape=shape, params={"offset": 0, "strides": [0] * len(shape)})

    def times(self, i: int, number: Any) -> int:
        return self.emit("mul", self.number(number, self.steps[i].shape), i)

    def over(self, i: int, j: int) -> int:
        return self.emit("div", i, j)

    def plus(self, i: int, number: Any) -> int:
        return self.emit("add", self.number(number, self.steps[i].shape), i)

    def arc(self, i: int) -> int:
        """pi u**2 / 2, of Fresnel's integrals."""
        pi, shape = self.emit("constant", shape=(), params={"name": "pi"}), self.steps[i].shape
        return self.emit("mul", self.times(self.emit("mul", i, i), "1/2"), self.broadcast(pi, shape) if shape else pi)

    def turned(self, i: int) -> int:
        """The transposed matrices, conjugated."""
        b, n, m = self.steps[i].shape
        return self.emit("pick", self.conj(i), shape=(b, m, n), params={"offset": 0, "strides": [n * m, 1, m]})

    def product(self, i: int, j: int) -> int:
        (b, n, _), (_, _, m) = self.steps[i].shape, self.steps[j].shape
        return self.emit("matmul", i, j, shape=(b, n, m))

    # ------------------------------------------------------------------------------------------------ adjoints
    def adjoint(self, output: int, seed: int, wrt: int) -> int:
        """The reverse pass from ``output``, whose adjoint is ``seed``."""
        active = {wrt}
        for i in range(wrt + 1, output + 1):
            if self.steps[i].op != "stop" and any(a in active for a in self.steps[i].args):
                active.add(i)
        of = {output: seed}
        for i in range(output, wrt, -1):
            if i in of and i in active:
                for a, passed in self._passed(i, of[i]):
                    if a in active:
                        if self.steps[passed].complex and not self.steps[a].complex:
                            passed = self.emit("real", passed)
                        of[a] = self.emit("add", of[a], passed) if a in of else passed
        return of[wrt] if wrt in of else self.number(0, self.steps[wrt].shape)

    def jacobian(self, output: int, wrt: int) -> int:
        """The gradients of the output's entries, one after the other."""
        shape, size = self.steps[output].shape, self.steps[output].size
        if not 0 < size <= _ROWS:
            raise NotCovered("a Jacobian with too many rows")
        one = self.number(1, ())
        seeds = [self.emit("pick", one, shape=shape, params=[int(k == e) for k in range(size)]) for e in range(size)]
        rows = [self.adjoint(output, seed, wrt) for seed in seeds]
        inner = self.steps[wrt].shape
        order = list(range(1, size * math.prod(inner) + 1))
        return self.emit("pick", *rows, shape=(*shape, *inner), params=order)

    def _passed(self, i: int, g: int) -> Iterator[tuple[int, int]]:
        """What step ``i`` passes on to each argument, given its adjoint ``g``."""
        step = self.steps[i]
        match step.op:
            case "add":
                yield step.args[0], g
                yield step.args[1], g
            case "sub":
                yield step.args[0], g
                yield step.args[1], self.emit("neg", g)
            case "mul":
                yield step.args[0], self.emit("mul", g, self.conj(step.args[1]))
                yield step.args[1], self.emit("mul", g, self.conj(step.args[0]))
            case "div":
                below = self.conj(step.args[1])
                yield step.args[0], self.over(g, below)
                yield step.args[1], self.emit("neg", self.over(self.emit("mul", g, self.conj(i)), below))
            case "powi":
                (x,), n = step.args, step.params
                less = x if n == 2 else self.emit("powi", x, params=n - 1)
                yield x, self.emit("mul", g, self.conj(self.times(less, n))) if n > 1 else g
            case "pow":
                x, y = step.args
                slope = self.emit("mul", y, self.emit("pow", x, self.plus(y, -1)))
                yield x, self.emit("mul", g, self.conj(slope))
                yield y, self.emit("mul", g, self.conj(self.emit("mul", i, self.emit("log", x))))
            case "conj":
                yield step.args[0], self.conj(g)
            case "real":
                yield step.args[0], g
            case "imag":
                yield step.args[0], self.turning(g)
            case "abs" if self.steps[step.args[0]].complex:
                yield step.args[0], self.emit("mul", g, self.over(step.args[0], i))
            case "sign" if step.complex:  # what g has along the direction itself does not turn it
                along = self.emit("mul", self.emit("real", self.emit("mul", g, self.conj(i))), i)
                yield step.args[0], self.over(self.emit("sub", g, along), self.emit("abs", step.args[0]))
            case "pick":
                yield from self._unpicked(step, g)
            case "scatter":
                (x,) = step.args
                shape = self.steps[x].shape
                yield x, self.emit("pick", g, shape=shape, params=step.params)
            case "matmul":
                a, b = step.args
                yield a, self.product(g, self.turned(b))
                yield b, self.product(self.turned(a), g)
            case "inverse":
                turned = self.turned(i)
                yield step.args[0], self.emit("neg", self.product(self.product(turned, g), turned))
            case "det":
                (x,) = step.args
                inverse = self.turned(self.emit("inverse", x))
                n = self.steps[x].shape[1]
                scale = self.emit("mul", g, self.conj(i))
                wide = self.emit("pick", scale, shape=self.steps[x].shape, params={"offset": 0, "strides": [1, 0, 0]})
                yield x, self.emit("mul", wide, inverse) if n else wide
            case "polylog" | "uppergamma":  # by its last argument
                order, x = step.args
                less = self.plus(order, -1)
                if step.op == "polylog":
                    yield x, self.emit("mul", g, self.over(self.emit("polylog", less, x), x))
                else:
                    power = self.emit("mul", self.emit("pow", x, less), self.emit("exp", self.emit("neg", x)))
                    yield x, self.emit("neg", self.emit("mul", g, power))
                yield order, self.emit(f"slope of {step.op} by its order", order, x)
            case "atan2":
                y, x = step.args
                size = self.emit("add", self.emit("mul", x, x), self.emit("mul", y, y))
                yield y, self.emit("mul", g, self.over(x, size))
                yield x, self.emit("neg", self.emit("mul", g, self.over(y, size)))
            case "sign" | "constant" | "input":
                return
            case op if op in SLOPES:
                yield step.args[0], self.emit("mul", g, self.conj(SLOPES[op](self, step.args[0], i)))
            case op:
                raise NotCovered(f"the derivative of {op}")

    def _unpicked(self, step: CheckedStep, g: int) -> Iterator[tuple[int, int]]:
        """What is picked goes back to its place, and adds up where it was picked more than once."""
        where, start = positions(step.params, step.shape), 0
        for a in step.args:
            n, shape = self.steps[a].size, self.steps[a].shape
            here = [p - start if start < p <= start + n else 0 for p in where]
            start += n
            hit = [p for p in here if p]
            if len(set(hit)) == len(hit):
                back = [0] * n
                for k, p in enumerate(here):
                    if p:
                        back[p - 1] = k + 1
                yield a, self.emit("pick", g, shape=shape, params=back)
            else:
                yield a, self.emit("scatter", g, shape=shape, params=here)


def _gauss(sign: int, factor: str) -> Callable[[_Writer, int, int], int]:
    """A factor, "2" over or "1/2" times the root of pi, times exp of the square of the argument or its value."""

    def slope(w: _Writer, x: int, y: int) -> int:
        at = x if factor == "2" else y
        square = w.emit("mul", at, at)
        e = w.emit("exp", w.emit("neg", square) if sign < 0 else square)
        root = w.emit("sqrt", w.emit("constant", shape=(), params={"name": "pi"}))
        root = w.broadcast(root, w.steps[x].shape) if w.steps[x].shape else root
        scaled = w.times(e, factor)
        return w.over(scaled, root) if factor == "2" else w.emit("mul", scaled, root)

    return slope


# The derivative of each function: of its argument x and its value y.
SLOPES: dict[str, Callable[[_Writer, int, int], int]] = {
    "neg": lambda w, x, y: w.number(-1, w.steps[x].shape),
    "exp": lambda w, x, y: y,
    "log": lambda w, x, y: w.over(w.number(1, w.steps[x].shape), x),
    "sqrt": lambda w, x, y: w.over(w.number(1, w.steps[x].shape), w.times(y, 2)),
    "sin": lambda w, x, y: w.emit("cos", x),
    "cos": lambda w, x, y: w.emit("neg", w.emit("sin", x)),
    "tanh": lambda w, x, y: w.plus(w.emit("neg", w.emit("mul", y, y)), 1),
    "sigmoid": lambda w, x, y: w.emit("mul", y, w.plus(w.emit("neg", y), 1)),
    "abs": lambda w, x, y: w.emit("sign", x),
    "atan": lambda w, x, y: w.over(w.number(1, w.steps[x].shape), w.plus(w.emit("mul", x, x), 1)),
    "asin": lambda w, x, y: w.over(
        w.number(1, w.steps[x].shape), w.emit("sqrt", w.plus(w.emit("neg", w.emit("mul", x, x)), 1))
    ),
    "erf": _gauss(-1, "2"),
    "erfi": _gauss(1, "2"),
    "erfinv": _gauss(1, "1/2"),
    "lgamma": lambda w, x, y: w.emit("digamma", x),
    "gamma": lambda w, x, y: w.emit("mul", y, w.emit("digamma", x)),
    "digamma": lambda w, x, y: w.emit("polygamma", x, params=1),
    "i0": lambda w, x, y: w.emit("i1", x),
    "i1": lambda w, x, y: w.emit("sub", w.emit("i0", x), w.over(y, x)),
    "Si": lambda w, x, y: w.over(w.emit("sin", x), x),
    "Ci": lambda w, x, y: w.over(w.emit("cos", x), x),
    "Shi": lambda w, x, y: w.over(w.times(w.emit("sub", w.emit("exp", x), w.emit("exp", w.emit("neg", x))), "1/2"), x),
    "Chi": lambda w, x, y: w.over(w.times(w.emit("add", w.emit("exp", x), w.emit("exp", w.emit("neg", x))), "1/2"), x),
    "fresnels": lambda w, x, y: w.emit("sin", w.arc(x)),
    "fresnelc": lambda w, x, y: w.emit("cos", w.arc(x)),
    "airyai": lambda w, x, y: w.emit("airyaiprime", x),
    "airybi": lambda w, x, y: w.emit("airybiprime", x),
    "airyaiprime": lambda w, x, y: w.emit("mul", x, w.emit("airyai", x)),
    "airybiprime": lambda w, x, y: w.emit("mul", x, w.emit("airybi", x)),
    "Ei": lambda w, x, y: w.over(w.emit("exp", x), x),
    "li": lambda w, x, y: w.over(w.number(1, w.steps[x].shape), w.emit("log", x)),
    "LambertW": lambda w, x, y: w.over(y, w.emit("mul", x, w.plus(y, 1))),
}
