"""The derivative of a list of steps, written by the checker's own rules: one reverse pass over plain data.

A step's adjoint is the derivative of the sum of the output's entries by each of its entries; of a complex step it is
the conjugate Wirtinger gradient, as torch has it.  What an operation passes on to its arguments is more steps; nothing
is passed on through what is detached.  Operations that are written in others, such as softplus, do not occur here: the
checker takes the model in its simplest operations, and checks that they are it.
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
    return [position(index, shape, k) for k in range(math.prod(shape))]


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """Step ``i`` of a list that grows: what is computed with it is more steps."""

    steps: list[CheckedStep]
    i: int

    @property
    def shape(self) -> Shape:
        return self.steps[self.i].shape

    def of(self, op: str, *others: Written, shape: Shape | None = None, params: Any = None) -> Written:
        """An operation on this step and others."""
        args = (self.i, *(x.i for x in others))
        is_complex = op not in REAL and any(self.steps[a].complex for a in args)
        self.steps.append(CheckedStep(op, args, params, self.shape if shape is None else shape, is_complex))
        return Written(self.steps, len(self.steps) - 1)

    def number(self, x: Any) -> Written:
        """A number, or one called "pi" or "I", in the shape of this step."""
        return _number(self.steps, x, self.shape)

    def __add__(self, x: Written | int) -> Written:
        return self.of("add", self._with(x))

    def __sub__(self, x: Written | int) -> Written:
        return self.of("sub", self._with(x))

    def __rsub__(self, x: int) -> Written:
        return self._with(x) - self

    def __mul__(self, x: Written | int) -> Written:
        return self.of("mul", self._with(x))

    def __truediv__(self, x: Written | int) -> Written:
        return self.of("div", self._with(x))

    def __rtruediv__(self, x: int) -> Written:
        return self._with(x) / self

    def __matmul__(self, x: Written) -> Written:
        return self.of("matmul", x, shape=(*self.shape[:2], x.shape[2]))

    def __neg__(self) -> Written:
        return self.of("neg")

    __rmul__, __radd__ = __mul__, __add__

    def _with(self, x: Written | int) -> Written:
        return x if isinstance(x, Written) else self.number(x)

    def conj(self) -> Written:
        return self.of("conj") if self.steps[self.i].complex else self

    def transposed(self) -> Written:
        """The transposed matrices, conjugated."""
        b, n, m = self.shape
        return self.conj().of("pick", shape=(b, m, n), params={"offset": 0, "strides": [n * m, 1, m]})


def _number(steps: list[CheckedStep], x: Any, shape: Shape) -> Written:
    params = {"name": x} if x in ("pi", "I") else {"entries": [str(x)]}
    steps.append(CheckedStep("constant", (), params, (), x == "I"))
    one = Written(steps, len(steps) - 1)
    return one.of("pick", shape=shape, params={"offset": 0, "strides": [0] * len(shape)}) if shape else one


def derivative(
    steps: Sequence[CheckedStep], output: int, wrt: int | None, kind: str, shape: Shape = ()
) -> tuple[list[CheckedStep], int]:
    """Steps to be put after ``steps``, and which of them is the derivative of step ``output`` by step ``wrt``: zeros of
    a ``shape`` where that is None.

    ``kind`` is "gradient" (of the sum of the output's entries), "jacobian", of shape output.shape + input.shape,
    "hessian", "slope", f' of a complex f of a real step, or "value", for the output itself.  Raises `NotCovered` where
    there is no rule for an operation.

    >>> x, y = CheckedStep("input", (), "x", ()), CheckedStep("exp", (0,), None, ())
    >>> new, last = derivative([x, y], 1, 0, "gradient")
    >>> [(s.op, s.args) for s in new], last
    ([('constant', ()), ('mul', (2, 1))], 3)
    """
    made = list(steps)
    y = Written(made, output)
    if kind == "value":
        found = y
    elif wrt is None:
        found = _number(made, 0, shape)
    elif kind == "jacobian":
        found = _jacobian(y, wrt)
    elif kind in ("gradient", "hessian", "slope"):
        one = y.number(1)
        found = _adjoint(y, one, wrt)
        if kind == "hessian":
            found = _jacobian(found, wrt)
        if kind == "slope":  # the adjoint of a real step is Re(conj(seed) f'): for the seeds 1 and i, its two parts
            across = _adjoint(y, one.number("I") * one, wrt)
            found = found + across.number("I") * across
    else:
        raise NotCovered(f"a derivative called {kind!r}")
    return made[len(steps) :], found.i


def _adjoint(y: Written, seed: Written, wrt: int) -> Written:
    """The reverse pass from a step whose adjoint is ``seed``."""
    steps, active = y.steps, {wrt}
    for i in range(wrt + 1, y.i + 1):
        if steps[i].op != "stop" and not active.isdisjoint(steps[i].args):
            active.add(i)
    of = {y.i: seed}
    for i in range(y.i, wrt, -1):
        for a, passed in _passed(Written(steps, i), of[i]) if i in of and i in active else ():
            if a in active:
                if steps[passed.i].complex and not steps[a].complex:
                    passed = passed.of("real")
                of[a] = of[a] + passed if a in of else passed
    return of[wrt] if wrt in of else Written(steps, wrt).number(0)


def _jacobian(y: Written, wrt: int) -> Written:
    """The gradients of the output's entries, one after the other."""
    size, inner = math.prod(y.shape), y.steps[wrt].shape
    if not 0 < size <= _ROWS:
        raise NotCovered("a Jacobian with too many rows")
    one = _number(y.steps, 1, ())
    seeds = [one.of("pick", shape=y.shape, params=[int(k == e) for k in range(size)]) for e in range(size)]
    first, *rest = (_adjoint(y, seed, wrt) for seed in seeds)
    order = list(range(1, size * math.prod(inner) + 1))
    return first.of("pick", *rest, shape=(*y.shape, *inner), params=order)


def _passed(y: Written, g: Written) -> Iterator[tuple[int, Written]]:
    """What a step passes on to each argument, given its adjoint ``g``."""
    step = y.steps[y.i]
    x, *others = args = [Written(y.steps, a) for a in step.args]
    match step.op:
        case "conj":
            yield x.i, g.conj()
        case "real":
            yield x.i, g
        case "imag":
            yield x.i, g.number("I") * g
        case "abs" if y.steps[x.i].complex:
            yield x.i, g * (x / y)
        case "sign" if step.complex:  # what g has along the direction itself does not turn it
            yield x.i, (g - (g * y.conj()).of("real") * y) / x.of("abs")
        case "pick":
            yield from _unpicked(step, args, g)
        case "scatter":
            yield x.i, g.of("pick", shape=x.shape, params=step.params)
        case "matmul":
            yield x.i, g @ others[0].transposed()
            yield others[0].i, x.transposed() @ g
        case "inverse":
            yield x.i, -(y.transposed() @ g @ y.transposed())
        case "det":
            scale = (g * y.conj()).of("pick", shape=x.shape, params={"offset": 0, "strides": [1, 0, 0]})
            yield x.i, scale * x.of("inverse").transposed() if x.shape[1] else scale
        case "powi":
            n = step.params
            yield x.i, g * (n * (x if n == 2 else x.of("powi", params=n - 1))).conj() if n > 1 else g
        case "div":  # as most derivatives of quotients are written, so that equal ones are congruent
            below = others[0].conj()
            yield x.i, g / below
            yield others[0].i, -(g * y.conj() / below)
        case op if op in SLOPES:
            slopes = SLOPES[op](*args, y)
            for a, slope in zip(args, slopes if isinstance(slopes, tuple) else (slopes,), strict=True):
                yield a.i, -g if slope == -1 else g if slope == 1 else g * slope.conj()
        case "sign":
            return
        case op:
            raise NotCovered(f"the derivative of {op}")


def _unpicked(step: CheckedStep, args: Sequence[Written], g: Written) -> Iterator[tuple[int, Written]]:
    """What is picked goes back to its place, and adds up where it was picked more than once."""
    where, start = positions(step.params, step.shape), 0
    for a in args:
        n = math.prod(a.shape)
        here = [p - start if start < p <= start + n else 0 for p in where]
        back = {p: k + 1 for k, p in enumerate(here) if p}
        start += n
        if len(back) == sum(p > 0 for p in here):
            yield a.i, g.of("pick", shape=a.shape, params=[back.get(p + 1, 0) for p in range(n)])
        else:
            yield a.i, g.of("scatter", shape=a.shape, params=here)


def _arc(x: Written) -> Written:
    """pi x**2 / 2, of Fresnel's integrals."""
    return x.number("pi") * (x * x) * x.number("1/2")


def _root_of_pi(x: Written) -> Written:
    return x.number("pi").of("sqrt")


def _delta(a: Written, m: Written) -> Written:
    """The root in the elliptic integrals."""
    return (1 - m * (a.of("sin") * a.of("sin"))).of("sqrt")


# The derivative of each function by its arguments: of these, and of its value y.
SLOPES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b, y: (1, 1),
    "sub": lambda a, b, y: (1, -1),
    "mul": lambda a, b, y: (b, a),
    "pow": lambda a, b, y: (b * a.of("pow", b - 1), y * a.of("log")),
    "atan2": lambda a, b, y: (b / (a * a + b * b), -(a / (a * a + b * b))),
    "polylog": lambda s, x, y: (s.of("slope of polylog by its order", x), (s - 1).of("polylog", x) / x),
    "uppergamma": lambda s, x, y: (s.of("slope of uppergamma by its order", x), -(x.of("pow", s - 1) * (-x).of("exp"))),
    "elliptic_f": lambda a, m, y: (1 / _delta(a, m), a.of("slope of elliptic_f by its modulus", m)),
    "elliptic_e": lambda a, m, y: (_delta(a, m), a.of("slope of elliptic_e by its modulus", m)),
    "elliptic_pi": lambda n, a, m, y: (
        n.of("slope of elliptic_pi by its characteristic", a, m),
        1 / ((1 - n * (a.of("sin") * a.of("sin"))) * _delta(a, m)),
        n.of("slope of elliptic_pi by its modulus", a, m),
    ),
    "neg": lambda x, y: -1,
    "exp": lambda x, y: y,
    "log": lambda x, y: 1 / x,
    "sqrt": lambda x, y: 1 / (2 * y),
    "sin": lambda x, y: x.of("cos"),
    "cos": lambda x, y: -x.of("sin"),
    "tanh": lambda x, y: 1 - y * y,
    "sigmoid": lambda x, y: y * (1 - y),
    "abs": lambda x, y: x.of("sign"),
    "atan": lambda x, y: 1 / (1 + x * x),
    "asin": lambda x, y: 1 / (1 - x * x).of("sqrt"),
    "erf": lambda x, y: 2 * (-(x * x)).of("exp") / _root_of_pi(x),
    "erfi": lambda x, y: 2 * (x * x).of("exp") / _root_of_pi(x),
    "erfinv": lambda x, y: (y * y).of("exp") * _root_of_pi(x) / 2,
    "lgamma": lambda x, y: x.of("digamma"),
    "gamma": lambda x, y: y * x.of("digamma"),
    "digamma": lambda x, y: x.of("polygamma", params=1),
    "i0": lambda x, y: x.of("i1"),
    "i1": lambda x, y: x.of("i0") - y / x,
    "Si": lambda x, y: x.of("sin") / x,
    "Ci": lambda x, y: x.of("cos") / x,
    "Shi": lambda x, y: (x.of("exp") - (-x).of("exp")) / (2 * x),
    "Chi": lambda x, y: (x.of("exp") + (-x).of("exp")) / (2 * x),
    "fresnels": lambda x, y: _arc(x).of("sin"),
    "fresnelc": lambda x, y: _arc(x).of("cos"),
    "airyai": lambda x, y: x.of("airyaiprime"),
    "airybi": lambda x, y: x.of("airybiprime"),
    "airyaiprime": lambda x, y: x * x.of("airyai"),
    "airybiprime": lambda x, y: x * x.of("airybi"),
    "Ei": lambda x, y: x.of("exp") / x,
    "li": lambda x, y: 1 / x.of("log"),
    "LambertW": lambda x, y: y / (x * (1 + y)),
}
