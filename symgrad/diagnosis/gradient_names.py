"""What a variable's name says: `dh1_dwh` is the derivative of h1 with respect to wh, `grad_W` that of the output.

People write the same thing in many ways.  Here a name is only taken apart; which quantity of the model each part
means is for `symgrad.diagnosis.claims` to find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "Reading",
    "bare",
    "is_derivative_like",
    "is_short",
    "lookup",
    "means_output",
    "read_name",
    "read_words",
    "squashed",
]


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a name: the derivative of ``of`` (None: of the output) with respect to ``wrt``."""

    of: str | None
    wrt: str


_BETWEEN = re.compile(r"_?(?:by|over|wrt)?_?d_?|_wrt_|_over_|_by_")
_TOGETHER = re.compile(
    r"_?(?:calc|hand|manual|mine|my|num|analytic|analytical|true|sym|ad|exact|val|value|total)$", re.I
)
_BESIDE = re.compile(r"_?(?:next|prev|acc|sum|new|cur|t|i|k|local|part|out|in|back|fwd|bwd)$", re.I)
_PREFIX = re.compile(r"(?:delta|del|d|gradient|grad|g|nabla|bar|adjoint|adj|partial|bp|D)_?(.+)")
_SUFFIX = re.compile(r"(.+?)_?(?:grad|gradient|bar|delta|adj|adjoint|cotangent|g)")
_JACOBIAN = re.compile(r"(?:J|H|jac|hess|jacobian|hessian|grad)(?:_(.+))?")
_OUTPUTS = frozenset(
    "l loss out output f j e c cost err error y k fl ll nll obj objective total energy u v z s r".split()
)
_SAME = (
    frozenset("sigma2 var variance s2 sigmasq v".split()),
    frozenset("mu mean avg m".split()),
    frozenset("p prob probs probas yhat ypred pred prediction q a3 softmax sm s".split()),
    frozenset("std sigma sd stddev s".split()),
    frozenset("logits logit scores score z o y".split()),
    frozenset("ivar invvar rstd invstd istd inv".split()),
    frozenset("xhat xnorm xn xmu norm normed".split()),
)


def squashed(name: str) -> str:
    """The name without underscores and capitals: what two spellings of it share.

    >>> squashed("h1_raw") == squashed("h1Raw")
    True
    """
    return name.replace("_", "").lower()


def bare(name: str) -> str:
    """The name without what only says how or when it was computed.

    >>> bare("dW_manual"), bare("dh_next")
    ('dW', 'dh')
    """
    before = None
    while before != name:
        before = name
        name = _TOGETHER.sub("", name) or name
        name = _BESIDE.sub("", name) if len(_BESIDE.sub("", name)) > 1 else name
    return name


def read_name(name: str) -> tuple[Reading, ...]:
    """The ways to read a variable's name as a derivative, the likeliest first; none if it does not look like one.

    >>> read_name("dh1_dwh")[0]
    Reading(of='h1', wrt='wh')
    >>> read_name("W1_grad")
    (Reading(of=None, wrt='W1'),)
    """
    found: dict[Reading, None] = {}
    for spelled in dict.fromkeys((name, bare(name))):
        found |= dict.fromkeys(_readings(spelled))
    return tuple(found)


def _readings(name: str) -> Iterator[Reading]:
    if name[:1] in "dD" or name.startswith(("partial", "del")):
        rest = re.sub(r"^(?:partial|del|d|D)_?", "", name)
        for m in _BETWEEN.finditer(rest):
            of, wrt = rest[: m.start()].strip("_"), rest[m.end() :].strip("_")
            if of and wrt:
                yield Reading(of, wrt)
        if name.startswith(("partial_", "del_")) and "_" in rest:
            of, _, wrt = rest.partition("_")
            yield Reading(of, wrt)
    if m := _PREFIX.fullmatch(name):
        yield Reading(None, m.group(1).strip("_"))
        if (layer := re.fullmatch(r"delta_?(\d+)", name)) is not None:
            yield from (Reading(None, letter + layer.group(1)) for letter in ("z", "a", "s", "net"))
    if m := _SUFFIX.fullmatch(name):
        yield Reading(None, m.group(1).strip("_"))
    if (m := _JACOBIAN.fullmatch(name)) and m.group(1):
        yield Reading(None, m.group(1))


def read_words(words: str) -> Reading | None:
    """The user's own word on a variable, such as "d out / d h1" or "dL/dW"; None if it is no derivative.

    >>> read_words("d out / d h1"), read_words("dL/dW1")
    (Reading(of='out', wrt='h1'), Reading(of='L', wrt='W1'))
    """
    text = words.replace("∂", "d").strip()
    if m := re.fullmatch(r"d\s*\(?\s*([\w.]+)\s*\)?\s*/\s*d\s*\(?\s*([\w.]+)\s*\)?", text):
        return Reading(m.group(1), m.group(2))
    if m := re.fullmatch(r"(?:the\s+)?(?:adjoint|gradient)\s+(?:of|for|wrt)\s+([\w.]+)", text):
        return Reading(None, m.group(1))
    return None


def is_derivative_like(name: str) -> bool:
    """Whether a name looks as if it held a derivative."""
    if re.match(r"(?:d(?=[A-Z_0-9])|d[a-z]|grad|delta|nabla|g_|D[a-z_]|J$|J_|H$|H_)", name):
        return not re.match(
            r"(?:data|device|dtype|dim|dist|diff|denom|den$|det|diag|dot|d_model|delta_t|default|dt$|div)", name
        )
    return bool(re.search(r"(?:_?(?:grad|gradient|bar|delta|adj)|_d)$", name))


def is_short(name: str) -> bool:
    """Whether a name says of one quantity that it is differentiated, and not by what: ``ds`` may be d out/d s, or the
    slope of s.

    >>> is_short("ds"), is_short("dL_ds"), is_short("grad_s")
    (True, False, False)
    """
    return re.fullmatch(r"d_?[^\W_]\w*", name) is not None and all(r.of is None for r in read_name(name))


def means_output(name: str) -> bool:
    """Whether people call the output so when the model has no name for it."""
    return squashed(name) in _OUTPUTS


def lookup(name: str, names: Mapping[str, Sequence[int]]) -> tuple[list[int], float]:
    """The steps that go by a name, in order, and how sure that is, from 1 (its very spelling) down to 0 (none)."""
    if name in names:
        return list(names[name]), 1.0
    plain = squashed(name)
    found = [i for other, steps in names.items() if squashed(other) == plain for i in steps]
    if found:
        return sorted(set(found)), 0.95
    shorter = bare(name)
    if shorter != name and shorter:
        found, sure = lookup(shorter, names)
        if found:
            return found, 0.9 * sure
    for family in _SAME:
        if plain in family:
            found = [i for other, steps in names.items() if squashed(other) in family for i in steps]
            if found:
                return sorted(set(found)), 0.5
    return [], 0.0
