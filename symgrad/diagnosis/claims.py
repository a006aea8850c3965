"""What each line of a derivation claims to be: the user's word decides, then the name narrows, then the value decides.

A `Meaning` lists the true quantities that a line may mean by its name, the likeliest first.  Several remain where a
name is bound many times (a loop), or where it may mean a whole adjoint or a part of it: then the value decides, and
where no value fits, the quantity next to those that the line uses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from symgrad.diagnosis.truth_table import Entry, Table
from symgrad.errors import BadInput
from symgrad.program.program import Binding, Program, expands, size

# ------------------------------------------------------------------------------------------------------ gradient names
# What a variable's name says: `dh1_dwh` is the derivative of h1 with respect to wh, `grad_W` that of the output.
#
# People write the same thing in many ways.  Here a name is only taken apart; which quantity of the model each part
# means is for `symgrad.diagnosis.claims` to find.


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

    >>> bare("dW_manual"), bare("dh_next"), bare("rad")
    ('dW', 'dh', 'rad')
    """
    before = None
    while before != name:
        before = name
        shorter = _TOGETHER.sub("", name)
        name = shorter if len(shorter) > 1 or (shorter and name[1:2] == "_") else name
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


def sensitivities(name: str, names: Names) -> tuple[Reading, ...]:
    """The ways to read a name as that of a tangent, by an input that is one number: ``dx_r`` is d x/d r in a recursion
    that goes forward, and so is ``xr``."""
    found = {}
    for wrt in names.inputs:
        if name.endswith(wrt) and len(name) > len(wrt) and name not in names.steps:
            of = name[: -len(wrt)].rstrip("_")
            bases = [of[1:].lstrip("_"), of] if of[:1] in "dD" else [of]
            found |= dict.fromkeys(Reading(b, wrt) for b in bases if b in names.steps and b != wrt)
    return tuple(found)


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


# -------------------------------------------------------------------------------------------------------------- claims

_VERSIONS = 36  # pairs of versions that are all written out; of more, each with its neighbour


@dataclass(frozen=True, slots=True)
class Line:
    """One binding of the hand code; ``key`` is the same for all that one line of code binds to one name."""

    binding: Binding
    accumulates: bool = False
    last: bool = True

    @property
    def step(self) -> int:
        return self.binding.step

    @property
    def name(self) -> str:
        return self.binding.name

    @property
    def key(self) -> tuple[str, int | None]:
        source = self.binding.source
        return (self.binding.name, None if source is None else source.line)


@dataclass(frozen=True, eq=False)
class Meaning:
    """The true quantities that a line means: ``whole`` ones and ``parts``; ``how`` is "word", "name" or "final"."""

    whole: tuple[Entry, ...] = ()
    parts: tuple[Entry, ...] = ()
    sure: float = 0.0
    how: str = "name"

    @functools.cached_property
    def members(self) -> frozenset[Entry]:
        return frozenset(self.whole)

    @property
    def all(self) -> tuple[Entry, ...]:
        return self.whole + self.parts


@dataclass(frozen=True, eq=False)
class Names:
    """What the model's steps are called: by the model, and by the hand code where it computes them again."""

    steps: Mapping[str, Sequence[int]]
    output: int
    inputs: Mapping[str, int]
    own: frozenset[str]  # the names that the model itself binds
    arguments: Mapping[int, int] = field(default_factory=dict)  # of each activation, what it is a function of


def asked_for(name: str, names: Names, word: str | None = None) -> tuple[list[tuple[int, int]], float]:
    """The derivatives (of, wrt) that a name may mean, and how sure that is.

    Raises `BadInput` if the user's word on the variable cannot be read.
    """
    if word is not None:
        return _by_word(name, word, names)
    found: dict[tuple[int, int], None] = {}
    sure = 0.0
    for reading in (*read_name(name), *sensitivities(name, names)):
        wrt, sure_wrt = lookup(reading.wrt, names.steps)
        if not wrt:
            continue
        of, sure_of = _of(reading.of, names)
        if not of:
            continue
        pairs = _pairs(of, wrt, names)
        sure = max(sure, min(sure_of, sure_wrt) if pairs else 0.0)
        found |= dict.fromkeys(pairs)
        if pairs and re.fullmatch(r"delta_?\d+", name):
            break  # by convention that of what goes into the activation, where that has a name
    if not name.startswith(("d", "grad", "D")):
        sure *= 0.6
    return list(found), sure


def _of(name: str | None, names: Names) -> tuple[list[int], float]:
    if name is None:
        return [names.output], 1.0
    found, sure = lookup(name, names.steps)
    if found:
        return found, sure
    if means_output(name) or means_output(re.sub(r"\d+$", "", name)) or means_output(bare(name)):
        return [names.output], 0.95
    return [], 0.0


def _pairs(of: Sequence[int], wrt: Sequence[int], names: Names) -> list[tuple[int, int]]:
    wrt = list(dict.fromkeys(wrt))
    of = list(dict.fromkeys(of))
    if len(of) * len(wrt) <= _VERSIONS or of == [names.output]:
        return [(o, w) for o in of for w in wrt if o != w or o == names.output]
    found = []
    for o in of:
        before = [w for w in wrt if w < o]
        found += [(o, w) for w in before[-2:]]
    return found


def _by_word(name: str, word: str, names: Names) -> tuple[list[tuple[int, int]], float]:
    reading = read_words(word)
    of, wrt = ([], []) if reading is None else (_of(reading.of, names)[0], lookup(reading.wrt, names.steps)[0])
    if reading is None or not of or not wrt:
        known = ", ".join(list(names.steps)[:12])
        raise BadInput(
            f"claims says that {name} is {word!r}, which could not be read.",
            instead=f'Write "d out / d h1" or "adjoint of h1", with names of the model: {known}.',
        )
    return _pairs(of, wrt, names), 1.0


def meaning_of(
    line: Line, pairs: Sequence[tuple[int, int]], sure: float, table: Kinds, names: Names, word: bool
) -> Meaning:
    """The entries of the table that a line may mean."""
    whole: list[Entry] = []
    parts: list[Entry] = []
    for o, w in pairs:
        whole += table.get("final", o, w) + table.get("adjoint", o, w)
        parts += table.get("part", o, w)
        if o == names.output and w in names.arguments:  # a gate's gradient is often that of what its sigmoid is of
            parts += table.get("adjoint", o, names.arguments[w])
        whole += table.get("tangent", o, w) + table.get("local", o, w) + table.get("jacobian", o, w)
        if o == names.output:  # `df` in a pass forward is df by the input
            for i in (*names.inputs.values(), None):
                whole += table.get("tangent", w, i)
            for i in table.program.inputs.values() if is_short(line.name) else ():  # and of a number its gradient
                whole += table.get("local", w, i)
    if not whole and not is_derivative_like(line.name) and line.name in names.own:
        versions = list(names.steps.get(line.name, ()))  # a name that the model's value does not need has none
        k = line.binding.version
        whole = [e for i in versions[k : k + 1] + versions[:k] + versions[k + 1 :] for e in table.get("value", i, None)]
        sure = 0.7
    n = size(table.program.shape(line.step))
    shape = table.program.shape(line.step)
    if sure > 0.9 and whole and not any(size(table.program.shape(e.step)) == n for e in whole):
        other = [(e, table.program.shape(e.step)) for e in whole]
        as_an_input = any(size(table.program.shape(i)) == n for i in table.program.inputs.values())
        if not word and is_short(line.name) and as_an_input and all(size(its) == 1 for _, its in other):
            return Meaning()  # of a number it is rather the gradient, by that input
        spread = [e for e, its in other if expands(its, shape) or expands(shape, its)]
        return Meaning(tuple(dict.fromkeys(spread)), (), sure, "word" if word else "name")
    fits = lambda es: tuple(dict.fromkeys(e for e in es if size(table.program.shape(e.step)) == n))  # noqa: E731
    return Meaning(fits(whole), fits(parts), 1.0 if word else sure, "word" if word else "name")


class Kinds:
    """The table's entries by kind and by what they are derivatives of."""

    def __init__(self, table: Table) -> None:
        self.program: Program = table.program
        self._found: dict[tuple[str, int | None, int | None], list[Entry]] = {}
        for e in table.entries:
            self._found.setdefault((e.kind, e.of, e.wrt), []).append(e)

    def get(self, kind: str, of: int | None, wrt: int | None) -> list[Entry]:
        return self._found.get((kind, of, wrt), [])


def phrase(entry: Entry, called: Mapping[int, str], output: int) -> str:
    """An entry in words, such as "d h1 / d w_h" or "the adjoint of h2_raw"."""
    of = called.get(entry.of, "an intermediate value") if entry.of is not None else ""
    wrt = called.get(entry.wrt, "an intermediate value") if entry.wrt is not None else ""
    top = "out" if entry.of == output else of
    match entry.kind:
        case "final":
            return f"d {top} / d {wrt}"
        case "adjoint":
            return f"d {top} / d {wrt}" if entry.wrt in called else "a step of the derivative"
        case "part":
            return f"a part of d {top} / d {wrt}"
        case "term":
            return f"one sample's part of d {top} / d {wrt}"
        case "tangent" | "local" | "jacobian":
            return f"d {of} / d {entry.note or wrt}"
        case "row":
            return f"{entry.note} of d {top} / d {wrt}"
        case "value":
            return f"the value of {of}"
    return "a step of the derivative"


def called_by(names: Names, program: Program) -> dict[int, str]:
    """What to call each step of the model: its name in the user's code, with a number where it is bound several
    times."""
    found: dict[int, str] = {}
    written = {*program.inputs, *(b.name for b in program.bindings)}
    for name, steps in names.steps.items():
        for k, i in enumerate(steps if name in written else ()):
            found.setdefault(i, name if len(steps) == 1 else f"{name}[{k}]")
    for i, name in list(found.items()):
        if program.steps[i].op == "name":  # its value has the name, whichever step holds it
            found.setdefault(program.steps[i].args[0], name)
    return found
