"""A derivation on paper, as a list of steps: each line defines a name, or claims a derivative.

``h1 = tanh(w*h0)`` defines; ``dh1/dw = (1 - h1**2)*h0`` claims.  A claim may use the derivatives that other lines
claim, in any order; several sides (``a = b = c``) are claims of the same, and so are several lines about one name: it
is what the first of them says.  What is differentiated is the name that no line defines, or the last one defined.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.errors import BadFormula, BadInput, SymgradError, UnknownName
from symgrad.evaluation.floats import Floats
from symgrad.lifting.text.lexicon import resolve
from symgrad.lifting.text.text_formula import Text
from symgrad.lifting.tracing.functions import Run
from symgrad.program.builder import Builder
from symgrad.program.program import Program, Source, interpret, promote

_NAME = r"[^\W\d]\w*"
_ATOM = re.compile(rf"(?<![\w.])[d∂]\s*({_NAME})\s*/\s*[d∂]\s*({_NAME})")
_NUMBER = re.compile(r"^\s*(?:\(\w{1,2}\)|\d{1,2}[.)])\s+")
_EQUALS = re.compile(r"(?<![<>=!:])=(?!=)|:=")
_LEADING = re.compile(
    r"(?:(?:let|then|so|thus|hence|therefore|where|with|and|now|since|also|we have|we get)[,:]?\s+)+(?=[^\W\d][^=]*=)",
    re.I,
)
_RULE = re.compile(
    r"\s+(?:\([^()=]*\b(?:rule|since|because|by|using|from|identity|derivative|theorem)\b[^()=]*\)"
    r"|(?:because|since|by the|where|using)\b.*)\s*$"
)
_REMARK = re.compile(r"\s+\([^()]*[A-Za-z]{2,}\s[^()]*\)\s*$|\s+(?:because|since|by the|where)\b.*$")


@dataclass(frozen=True)
class Line:
    """One side of an equation, as it was ``said``: ``name`` defined, or d ``name`` / d ``of`` claimed, as ``text``; the
    derivatives in it are written as names (``uses`` maps these to (name, of)).
    """

    name: str
    of: str | None
    text: str
    number: int
    whole: str
    uses: Mapping[str, tuple[str, str]]
    said: str = ""
    means: str = ""  # what the name is by it: of ``ln y = u`` it is exp(u)
    side: int = 0  # which of the equation's sides it is
    row: int | None = None  # where it stands as it is typeset, if it is

    @property
    def place(self) -> int:
        return self.number if self.row is None else self.row

    @property
    def label(self) -> str:
        return self.name if self.of is None else f"d{self.name}/d{self.of}"


def place_of_side(row: str, side: int) -> tuple[int, int]:
    """Where one of an equation's right sides stands in its row.

    >>> place_of_side("y = 2*x = x + x", 1)
    (9, 15)
    """
    signs = equal_signs(row)
    return signs[side][1], signs[side + 1][0] if side + 1 < len(signs) else len(row)


def equal_signs(row: str) -> list[tuple[int, int]]:
    """Where the equal signs of an equation stand; what stands in parentheses, as in ``sum(x, axis=0)``, is none.

    >>> equal_signs("y = sum(x, axis=0) = z"), equal_signs("where(x == 0, 1, 2)")
    ([(2, 3), (19, 20)], [])
    """
    depth, k, found = 0, 0, []
    for sign in _EQUALS.finditer(row):
        depth += sum((c in "([{") - (c in ")]}") for c in row[k : sign.start()])
        k = sign.start()
        if depth <= 0:
            found.append(sign.span())
    return found


def sides_of_equation(row: str) -> list[str]:
    """The left side of an equation, and each of its right sides."""
    signs = equal_signs(row)
    starts, ends = [0, *(stop for _, stop in signs)], [*(start for start, _ in signs), len(row)]
    return [row[a:b].strip() for a, b in zip(starts, ends, strict=True)]


def are_steps(thing: Any) -> bool:
    """Whether a hand formula is a list of steps: text with equations, or a list of equations.

    >>> are_steps("h = tanh(w)\\ndh/dw = 1 - h**2"), are_steps("1 - tanh(w)**2"), are_steps([1.0, 2.0])
    (True, False, False)
    """
    if isinstance(thing, str):
        return any(map(equal_signs, thing.splitlines()))
    return (
        isinstance(thing, (list, tuple))
        and bool(thing)
        and all(isinstance(x, sp.Eq) or (isinstance(x, str) and equal_signs(x)) for x in thing)
    )


@dataclass(frozen=True, eq=False)
class Steps:
    """A list of steps as a formula: its results are the derivatives of the output, by input.

    >>> steps = Steps("h = tanh(w*x)\\ndy/dh = v\\ndh/dw = (1 - h**2)*x\\ndy/dw = dy/dh * dh/dw")
    >>> steps.names, list(steps.results)
    (('v', 'w', 'x'), ['w'])
    """

    source: str | Sequence[Any]
    library: str = "math"
    shown: Sequence[tuple[str, int | None]] = ()  # the rows as they were typeset, where that is another way, and where

    def __post_init__(self) -> None:
        _ = self.results  # so that errors are raised when it is made

    # ------------------------------------------------------------------------------------ reading
    @functools.cached_property
    def lines(self) -> tuple[Line, ...]:
        found = _read(self.source)
        if not self.shown:
            return tuple(found)
        typeset = ((x, *self.shown[x.number - 1]) for x in found)
        return tuple(replace(x, whole=whole, row=row) for x, whole, row in typeset)

    @functools.cached_property
    def definitions(self) -> dict[str, Line]:
        """What each name is: what the first line about it says; others say what is equal to that."""
        found: dict[str, Line] = {}
        for line in self.lines:
            if line.of is None:
                found.setdefault(line.name, line)
        return found

    def by(self, other: Line) -> Steps:
        """The same steps, where a name is what another line says of it than the first."""
        kept = [x for x in self.lines if x is other or x.label != other.name]
        return Steps("\n".join(f"{x.label} = {x.means}" for x in kept))

    @functools.cached_property
    def claims(self) -> dict[tuple[str, str], Line]:
        """The last side of the claims of each derivative: what later lines mean by it."""
        return {(line.name, line.of): line for line in self.lines if line.of is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs: the names that are used and that no line defines."""
        used = {n for line in self.lines for n in text_of(line).names if n not in line.uses}
        used |= {line.of for line in self.lines if line.of is not None}
        return tuple(sorted(used - set(self.definitions) - ({self.output} - set(self.definitions))))

    @property
    def required(self) -> tuple[str, ...]:
        return self.names

    @functools.cached_property
    def output(self) -> str:
        """What is differentiated."""
        tops = [line.name for line in self.lines if line.of is not None and line.name not in self.definitions]
        used = {n for line in self.lines for n in text_of(line).names if n not in line.uses}
        tops = [t for t in tops if t not in used]
        if tops:
            if len(set(tops)) > 1:
                raise BadInput(
                    f"the steps differentiate {' and '.join(dict.fromkeys(tops))}, which no line defines.",
                    instead="Define all but the output, or give each its own call.",
                )
            return tops[-1]
        if not self.definitions:
            raise BadInput(
                "the steps claim no derivative.", instead="Write lines such as dy/dw = ..., one to an equation."
            )
        return list(self.definitions)[-1]

    @functools.cached_property
    def results(self) -> dict[str, Line]:
        """The claims about the output's derivatives for the inputs."""
        names = set(self.names)
        found = {of: line for (name, of), line in self.claims.items() if name == self.output and of in names}
        if not found:
            known = ", ".join(line.label for line in self.claims.values()) or "none"
            raise BadInput(
                f"no line says what d{self.output}/d(input) is; the derivatives that are claimed are: {known}.",
                instead=f"End with a line such as d{self.output}/d{next(iter(sorted(names)), 'w')} = ...",
            )
        for line in self.lines:
            for pair in line.uses.values():
                if pair not in self.claims and not self._is_constant(pair):
                    raise BadInput(
                        f"d{pair[0]}/d{pair[1]} is used, but no line says what it is.",
                        where=f"    line {line.number}    {line.whole}",
                        instead=f"Add a line d{pair[0]}/d{pair[1]} = ...",
                    )
        return found

    def _is_constant(self, pair: tuple[str, str]) -> bool:
        """dw/dw, and d(one input)/d(another)."""
        return pair[0] == pair[1] or (pair[0] in self.names and pair[1] in self.names)

    # ------------------------------------------------------------------------------------ running
    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """The Program of the whole derivation: each line a binding."""
        writer = _Writer(self, point, dtypes)
        outputs = {name: writer.claim(line.name, name) for name, line in self.results.items()}
        for line in self.lines:
            if line.of is not None:
                writer.claim(line.name, line.of)
        program = writer.builder.build(outputs)
        values = interpret(program, Floats(), writer.inputs)
        return Run(program, {n: values[i].detach().numpy() for n, i in outputs.items()})

    def defined(
        self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64"
    ) -> tuple[Builder, dict[str, int]]:
        """The definitions alone: a builder, and the steps of the defined names and the inputs."""
        writer = _Writer(self, point, dtypes)
        steps = {n: writer.name(n) for n in (*self.names, *self.definitions)}
        return writer.builder, steps

    def one(
        self, line: Line, point: Mapping[str, Any], truths: Mapping[tuple[str, str], Program], dtypes: Any = "float64"
    ) -> Run:
        """One line by itself: the derivatives that it uses are replaced by ``truths``."""
        writer = _Writer(self, point, dtypes, truths)
        step = writer.line(line)
        program = writer.builder.build({"claim": step})
        value = interpret(program, Floats(), writer.inputs)[step]
        return Run(program, {"claim": value.detach().numpy()})


class _Writer:
    """Writes the steps of lines in the order in which they need each other."""

    def __init__(
        self,
        steps: Steps,
        point: Mapping[str, Any],
        dtypes: Mapping[str, str] | str,
        truths: Mapping[tuple[str, str], Program] | None = None,
    ) -> None:
        self.steps, self.point, self.truths = steps, point, truths
        self.builder = Builder()
        kinds = [dtypes] if isinstance(dtypes, str) else [dtypes.get(n, "float64") for n in steps.names]
        self.dtype = promote(*kinds) if kinds else "float64"
        self.inputs: dict[str, torch.Tensor] = {}
        self._known: dict[Any, int] = {}
        self._open: list[Any] = []

    def name(self, name: str) -> int:
        if name in self._known:
            return self._known[name]
        line = self.steps.definitions.get(name)
        if line is None:
            if name not in self.point:
                raise UnknownName(f"the steps use {name!r}, which has no value.")
            value = np.asarray(self.point[name])
            self.builder.source = None
            step = self.builder.input(name, value.shape, self.dtype)
            self.inputs[name] = torch.as_tensor(value).to(getattr(torch, self.dtype))
        else:
            step = self._once(name, line)
        self._known[name] = step
        return step

    def claim(self, name: str, of: str) -> int:
        key = name, of
        if key not in self._known:
            if key in self.truths if self.truths is not None else False:
                assert self.truths is not None
                self._known[key] = self._inlined(self.truths[key])
            elif key in self.steps.claims:
                self._known[key] = self._once(key, self.steps.claims[key])
            else:
                self._known[key] = self.builder.number(int(name == of), self.dtype)
        return self._known[key]

    def _once(self, key: Any, line: Line) -> int:
        if key in self._open:
            raise BadInput(
                f"{line.label} is said by means of itself.",
                where=f"    line {line.number}    {line.whole}",
                instead="Each line may use the names and derivatives of other lines, in no circle.",
            )
        self._open.append(key)
        step = self.line(line)
        self._open.pop()
        return step

    def line(self, line: Line) -> int:
        text = text_of(line)
        of = {n: self.claim(*line.uses[n]) if n in line.uses else self.name(n) for n in text.names}
        values = interpret(self.builder.build({}), Floats(), self.inputs, of.values()) if of else {}
        program = text.run({n: values[i].numpy() for n, i in of.items()}, self.dtype)
        source = Source(line.whole, None, line.place)
        step = self._inlined(program, of, source)
        self.builder.source = source
        return self.builder.name(step, line.label)

    def _inlined(self, program: Program, of: Mapping[str, int] | None = None, source: Source | None = None) -> int:
        place: list[int] = []
        for step in program.steps:
            if step.op == "input":
                place.append(of[step.params] if of is not None and step.params in of else self.name(step.params))
                continue
            self.builder.steps.append(
                replace(step, args=tuple(place[a] for a in step.args), source=source or step.source)
            )
            place.append(len(self.builder.steps) - 1)
        for g in program.guards:
            self.builder.guards.append(replace(g, args=tuple(place[a] for a in g.args), source=source or g.source))
        return place[program.output]


# ------------------------------------------------------------------------------------------------ reading


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> Text:
    return Text(text)


def text_of(line: Line) -> Text:
    """The formula of a line, without a remark that follows it."""
    try:
        return _parsed(line.text)
    except SymgradError as error:
        shorter = _REMARK.sub("", line.text)
        if shorter != line.text:
            return _parsed(shorter)
        error.args = (f"line {line.number}: {error}",)
        raise


def rows_of(source: str | Sequence[Any]) -> list[tuple[int, str]]:
    """The equations of a list of steps, each with the number of its line; several stand in one line with ``;`` or a
    comma between them.

    >>> rows_of("1. y = x**2\\n# squares\\ndy/dx = 2*x; dy/dz = 0.")
    [(1, 'y = x**2'), (3, 'dy/dx = 2*x'), (3, 'dy/dz = 0')]
    """
    texts = source.splitlines() if isinstance(source, str) else list(source)
    rows = [(k, f"{x.lhs} = {x.rhs}" if isinstance(x, sp.Eq) else str(x)) for k, x in enumerate(texts, 1)]
    rows = [(k, _NUMBER.sub("", row.split("#")[0])) for k, line in rows for row in _several(line)]
    rows = [(k, _LEADING.sub("", row.strip()).rstrip(".;,")) for k, row in rows]
    return [(k, row) for k, row in rows if row and not re.fullmatch(r"[-=*_]{3,}", row)]


def _several(line: str) -> Iterator[str]:
    """The equations of a line."""
    start = depth = 0
    for k, c in enumerate(line):
        depth += (c in "([{") - (c in ")]}")
        rest = line[k + 1 :]
        if not depth and (c == ";" or c == ",") and equal_signs(line[start:k]) and equal_signs(rest):
            yield line[start:k]
            start = k + 1
    yield line[start:]


def without_remark(row: str) -> str:
    """An equation without the words behind it: ``y' = 2x (by the chain rule)``."""
    return _RULE.sub("", row)


def is_remark(row: str) -> bool:
    """Whether a line has words alone: ``Using the chain rule:``."""
    words = re.findall(r"[A-Za-z]+", row)
    alone = re.fullmatch(r"[A-Za-z][A-Za-z' ,-]*[:.,]?", row) is not None
    return alone and len(words) > 1 and any(len(w) > 3 and resolve(w) is None for w in words)


def _read(source: str | Sequence[Any]) -> Iterator[Line]:
    rows = rows_of(source)
    plain = {m[1] for _, row in rows for m in [re.match(rf"({_NAME})\s*(?::?=)", row)] if m}
    words = {n for _, row in rows for n in re.findall(_NAME, row)}
    for number, row in rows:
        left, *sides = sides_of_equation(row)
        if not sides or not all(sides):
            raise BadFormula(
                "this line is no equation.",
                where=f"    line {number}    {row}",
                instead="Write name = formula, or dA/dB = formula.",
            )
        left, factor = _unfolded(left, sides)
        name, of = _left(left, number, row, plain, words)
        for k, side in enumerate(sides):
            uses: dict[str, tuple[str, str]] = {}

            def atom(m: re.Match[str], uses: dict[str, tuple[str, str]] = uses) -> str:
                made = f"d{m[1]}_d{m[2]}"
                uses[made] = m[1], m[2]
                return f"({made})"

            text = _ATOM.sub(atom, factor.format(side))
            for n in re.findall(_NAME, text):
                written = _written(n, plain, words)
                if written is not None and n not in uses:
                    uses[n] = written
            line = Line(name, of, text, number, row, uses, side, factor.format(side), k)
            text_of(line)
            yield line


_LOGARITHM = re.compile(rf"(?:ln|log)(?:\s+({_NAME})|\s*\(\s*({_NAME})\s*\))")
_SHARE = re.compile(rf"\(?\s*1\s*/\s*({_NAME})\s*\)?\s*\*?\s*(?=[d∂(])\(?({_ATOM.pattern})\)?")


def _unfolded(left: str, sides: Sequence[str]) -> tuple[str, str]:
    """What a left side is about, and what its right sides make of it: ``ln y = u`` says that y is exp(u), and
    ``1/y * dy/dx = u`` that dy/dx is y*u."""
    if (log := _LOGARITHM.fullmatch(left)) is not None:
        return log[1] or log[2], "exp({})"
    if (share := _SHARE.fullmatch(left)) is not None:
        return share[2], f"{share[1]}*({{}})"
    return left, "{}"


def _left(left: str, number: int, row: str, plain: set[str], words: set[str]) -> tuple[str, str | None]:
    found = _ATOM.fullmatch(left)
    if found is not None:
        return found[1], found[2]
    if re.fullmatch(_NAME, left):
        return _written(left, plain, words) or (left, None)
    raise BadFormula(
        f"the left side of this line, {left!r}, is neither a name nor a derivative.",
        where=f"    line {number}    {row}",
        instead="Write name = formula, or dA/dB = formula.",
    )


def _written(name: str, plain: set[str], words: set[str]) -> tuple[str, str] | None:
    """``dh1_dw`` for dh1/dw: where both parts are names of the derivation."""
    found = re.fullmatch(r"d(\w+)_d(\w+)", name)
    if found is None or name not in words:
        return None
    rest = words - {name}
    return (found[1], found[2]) if found[2] in rest and (found[1] in rest or name in plain) else None
