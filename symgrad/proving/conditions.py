"""Where every step of a proof is defined, in the fewest words.

What holds everywhere is not said (1 + exp(x) is never zero), and what is left is said of the simplest step that it can
be said of: x**2 is positive exactly where x is not zero.  Each reduction is an equivalence wherever all is defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import sympy as sp

from symgrad.program.primitives import number_of, primitive
from symgrad.program.program import Program, Step, positions, size
from symgrad.proving.field import Field, Full, OutOfWork, Rescale
from symgrad.proving.generic_entry import Reader
from symgrad.proving.intervals import ONE, Range, Ranges
from symgrad.proving.sign_facts import Empty
from symgrad.proving.views import Views

# ----------------------------------------------------------------------------------------------------------- emptiness
# Whether a formula is defined nowhere: what its roots and logarithms need contradicts itself.

_RESTARTS = 16


def is_nowhere_defined(program: Program, step: int) -> bool:
    """Whether it is proved that the step has a real value on no open set of inputs.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> never = b.apply("sqrt", b.sub(b.number(-1), b.integer_power(x, 2)))
    >>> sometimes = b.apply("sqrt", b.sub(b.number(1), b.integer_power(x, 2)))
    >>> [is_nowhere_defined(b.build({}), i) for i in (never, sometimes)]
    [True, False]

    Raises nothing.  Guarantee: True is a theorem (the needed signs contradict each other by exact arithmetic); False
    says only that no contradiction was found.
    """
    steps, place = primitive(program, [step])
    scales: dict[Any, Any] = {}
    facts: dict[str, int] = {}
    for n in (16, 64, 200):
        for _ in range(_RESTARTS):
            field = Field(n, scales, facts, terms=600)
            try:
                Reader(steps, field, Views(), lambda i: i, lambda i: False, entries=True).entry(place[step])
            except Empty:
                return True
            except Rescale:
                continue
            except Full:
                break
            except (OutOfWork, ArithmeticError, RecursionError):
                pass
            if not field.learned:
                return False
    return False


# ---------------------------------------------------------------------------------------------------------- conditions

_NONZERO, _POSITIVE, _NOT_NEGATIVE = "is not zero", "is positive", "is not negative"
_INSIDE, _WELL_INSIDE = "is between -1 and 1", "is strictly between -1 and 1"
_STRICTLY = {_NOT_NEGATIVE: _POSITIVE, _INSIDE: _WELL_INSIDE}

_DOMAIN = {
    "div": (1, _NONZERO),
    "log": (0, _POSITIVE),
    "sqrt": (0, _NOT_NEGATIVE),
    "pow": (0, _POSITIVE),
    "abs": (0, _NONZERO),
    "sign": (0, _NONZERO),
    "asin": (0, _INSIDE),
    "erfinv": (0, _INSIDE),
    "lgamma": (0, _POSITIVE),
    "digamma": (0, _POSITIVE),
    "gamma": (0, _POSITIVE),
    "inverse": (0, "is invertible"),
    "solve": (0, "is invertible"),
    "cholesky": (0, "is positive definite"),
    "eigenpairs": (0, "has no repeated eigenvalue"),
    "general_eigenpairs": (0, "has no repeated eigenvalue"),
}
_ALWAYS: dict[str, Callable[[Range], bool]] = {
    _NONZERO: lambda r: r.is_nonzero,
    _POSITIVE: lambda r: r.is_positive,
    _NOT_NEGATIVE: lambda r: r.is_not_negative,
    _INSIDE: lambda r: r.low >= -1 and r.high <= 1,
    _WELL_INSIDE: lambda r: (ONE + r).is_positive and (ONE + -r).is_positive,
}
_KEEP_SIGNS = frozenset(("tanh", "erf", "asin", "atan", "erfinv", "sign"))
_MOST = 1 << 16  # entries of a layout that are looked through

# what has a value wherever its arguments have one, and is written in nothing else
TOTAL = frozenset("input pick scatter matmul add sub mul neg powi stop name cast exp tanh sigmoid sin cos erf".split())

Need = tuple[str, int]


def is_defined_everywhere(steps: Sequence[Step], needed: Iterable[int]) -> bool:
    """Whether each of the ``needed`` steps plainly has a value at every real point, so that there is nothing to say."""
    return all(steps[i].op in TOTAL or (steps[i].op == "constant" and _is_ratio(steps[i])) for i in needed)


def _is_ratio(step: Step) -> bool:
    exact = step.params.exact
    return exact is None or isinstance(exact, sp.Rational) or not isinstance(exact, sp.Basic)


def conditions_of(
    steps: Sequence[Step],
    needed: Iterable[int],
    find: Callable[[int], int],
    named: Callable[[int], bool],
    *,
    strict: bool = False,
) -> Iterator[Need]:
    """What must be so for all of the ``needed`` steps to be defined: conditions, each with the step that it is about.

    ``find`` maps a step to the one that stands for all that are known to equal it, and ``named`` says whether a step
    is one that a reader can be told of: conditions are not carried over to others.  With ``strict``, what must not be
    negative is to be positive.
    """
    ranges = Ranges(steps, find)
    found: dict[Need, None] = {}
    for i in needed:
        if steps[i].op in _DOMAIN:
            k, what = _DOMAIN[steps[i].op]
            what = _STRICTLY.get(what, what) if strict else what
            found |= dict.fromkeys(_simplest((what, find(steps[i].args[k])), steps, ranges, find, named))
    yield from strongest(found)


def strongest(needs: Iterable[Need]) -> Iterator[Need]:
    """Conditions without those that others say too: what is positive is neither negative nor zero.

    >>> list(strongest([("is not zero", 1), ("is not negative", 1), ("is not zero", 2)]))
    [('is positive', 1), ('is not zero', 2)]
    """
    found = list(needs)
    found = [(what, a) for what, a in found if what != _INSIDE or (_WELL_INSIDE, a) not in found]
    positive = {a for what, a in found if what == _POSITIVE}
    both = {a for what, a in found if what == _NOT_NEGATIVE and (_NONZERO, a) in found} - positive
    for what, a in found:
        if a in both and what in (_NONZERO, _NOT_NEGATIVE):
            if what == _NOT_NEGATIVE:
                yield _POSITIVE, a
        elif a not in positive or what not in (_NONZERO, _NOT_NEGATIVE):
            yield what, a


def _simplest(
    need: Need, steps: Sequence[Step], ranges: Ranges, find: Callable[[int], int], named: Callable[[int], bool]
) -> list[Need]:
    """The condition in conditions on earlier steps, as far back as it goes."""
    what, i = need
    if not steps[i].is_complex and what in _ALWAYS and _ALWAYS[what](ranges[i]):
        return []
    parts = _parts(what, i, steps, ranges, find)
    if parts is None:
        return [need]
    told = [t for part in parts for t in _simplest(part, steps, ranges, find, named)]
    return told if all(named(a) for _, a in told) or not named(i) else [need]


def _parts(what: str, i: int, steps: Sequence[Step], ranges: Ranges, find: Callable[[int], int]) -> list[Need] | None:
    """Conditions on the arguments of step ``i`` that together say the same of it; None where there are none."""
    step, args = steps[i], [find(a) for a in steps[i].args]
    if what not in (_NONZERO, _POSITIVE, _NOT_NEGATIVE) or step.is_complex or number_of(steps, i) is not None:
        return None
    match step.op:
        case "pick" if len(args) == 1 and shows_all(step, steps[args[0]]):
            return [(what, args[0])]
        case "neg" if what == _NONZERO:
            return [(what, args[0])]
        case "abs" if what != _NOT_NEGATIVE:
            return [(_NONZERO, args[0])]
        case "sqrt" if what != _NOT_NEGATIVE:
            return [(_POSITIVE, args[0])]
        case "powi" if what == _NONZERO or step.params % 2:
            return [(what, args[0])]
        case "powi" if what == _POSITIVE:
            return [(_NONZERO, args[0])]
        case "mul" if what == _NONZERO:
            return [(what, a) for a in args]
        case "mul" if what == _POSITIVE and args[0] == args[1]:
            return [(_NONZERO, args[0])]
        case "mul":
            return _beside(what, args, [ranges[a].is_positive for a in args])
        case "div" if what == _NONZERO:
            return [(what, args[0])]
        case "div" if ranges[args[1]].is_not_negative:
            return [(what, args[0])]
        case "div" if ranges[args[0]].is_positive:
            return [(_POSITIVE, args[1])]
        case op if op in _KEEP_SIGNS:
            return [(what, args[0])]
    return None


def _beside(what: str, args: Sequence[int], positive: Sequence[bool]) -> list[Need] | None:
    """The sign of a product of which one factor is positive is that of the other."""
    others = [a for a, sure in zip(args, positive, strict=True) if not sure]
    return [(what, a) for a in others] if len(others) < len(args) else None


def shows_all(step: Step, of: Step) -> bool:
    """Whether a layout has every entry of its argument, and no zeros."""
    if max(size(step.shape), size(of.shape)) > _MOST:
        return False
    seen = np.unique(positions(step.params, step.shape))
    return len(seen) == size(of.shape) and bool(seen.size) and bool(seen[0] > 0)
