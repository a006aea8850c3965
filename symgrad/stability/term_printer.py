"""Terms as the user would type them: in torch, NumPy, math or plain text, in the names that are in scope."""

from __future__ import annotations

import ast
import math
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.candidates import loose
from symgrad.lifting.formulas import Formula, Symbolic
from symgrad.lifting.text.text_formula import Text
from symgrad.ops.scalars import OPS
from symgrad.program.program import Program, Source
from symgrad.stability.term_algebra import ONE, Add, Call, Mul, Term, number_of, plus

# -------------------------------------------------------------------------------------------------------- term printer

_ADD, _MUL, _NEG, _POW, _ATOM = 1, 2, 3, 4, 5

# How a row is written where a library has no function of its name, or none that is good everywhere; "m" is the library,
# "0" and "1" are the arguments; the first that proves right and stable is taken.
_WRITTEN: dict[str, dict[str, tuple[str, ...]]] = {
    "torch": {
        "softplus": ("{f}.softplus({0})", "{m}.logaddexp({0}, {m}.zeros_like({0}))"),
        "logsigmoid": ("{f}.logsigmoid({0})",),
        "erfcx": ("{m}.special.erfcx({0})",),
        "ndtr": ("{m}.special.ndtr({0})", "0.5*{m}.erfc(-({0})/{m}.tensor(2.0).sqrt())"),
        "log_ndtr": ("{m}.special.log_ndtr({0})",),
        "lgamma": ("{m}.lgamma({0})",),
    },
    "numpy": {
        "sigmoid": ("1/(1 + {m}.exp({-0}))", "{m}.exp(-{m}.logaddexp(0, {-0}))"),
        "softplus": ("{m}.logaddexp(0, {0})",),
        "logsigmoid": ("-{m}.logaddexp(0, {-0})",),
        "asinh": ("{m}.arcsinh({0})",),
        "acosh": ("{m}.arccosh({0})",),
        "atanh": ("{m}.arctanh({0})",),
        "atan2": ("{m}.arctan2({0}, {1})",),
        "atan": ("{m}.arctan({0})",),
    },
    "math": {
        "sigmoid": ("1/(1 + {m}.exp({-0}))", "{m}.exp(min({0}, 0))/(1 + {m}.exp(-abs({0})))"),
        "softplus": ("max({0}, 0) + {m}.log1p({m}.exp(-abs({0})))",),
        "logsigmoid": ("min({0}, 0) - {m}.log1p({m}.exp(-abs({0})))",),
        "logaddexp": ("max({0}, {1}) + {m}.log1p({m}.exp(-abs({0} - {1:*})))",),
        "abs": ("abs({0})",),
    },
}
_KEEP = {"torch": "keepdim", "numpy": "keepdims"}


@dataclass(frozen=True)
class Tongue:
    """A library and what it is called in the user's code; ``direct`` are functions that were imported by name."""

    library: str
    alias: str
    direct: Mapping[str, str]
    functional: str | None = None
    numbers: str | None = None  # math, or NumPy, beside torch

    @classmethod
    def of(cls, library: str, scope: Mapping[str, Any]) -> Tongue:
        if library == "text":
            return cls("text", "", {})
        modules = {m.__name__: name for name, m in reversed(list(scope.items())) if isinstance(m, types.ModuleType)}
        direct = {}
        for name, f in scope.items():
            if (
                isinstance(f, np.ufunc)
                or getattr(f, "__module__", "") == "math"
                or type(f).__name__ == "builtin_method"
            ):
                direct.setdefault(getattr(f, "__name__", name), name)
        return cls(
            library,
            modules.get(library, library),
            direct,
            modules.get("torch.nn.functional"),
            modules.get("math") or modules.get("numpy"),
        )

    def calls(self, row: str) -> tuple[str, ...]:
        """The ways to write a row."""
        if self.library == "text":
            count = OPS[row].arity if row in OPS else 1
            return (f"{row}({', '.join(f'{{{k}}}' for k in range(count))})",)
        if row in _WRITTEN[self.library]:
            return _WRITTEN[self.library][row]
        if row in self.direct:
            return (f"{self.direct[row]}({{0}}, {{1}})" if OPS[row].arity == 2 else f"{self.direct[row]}({{0}})",)
        module: Any = {"torch": torch, "numpy": np, "math": math}[self.library]
        if row in OPS and hasattr(module, row):
            return ("{m}." + row + ("({0}, {1})" if OPS[row].arity == 2 else "({0})"),)
        return ()


class _Unspeakable(Exception):
    """There is no way to write it."""


Known = Callable[[Term], str | None]


def spellings(
    term: Term, tongue: Tongue, known: Known, lengths: Collection[int] = (), wide: bool = False
) -> Iterator[str]:
    """The ways to write a term, the plainest first; ``known`` gives the user's own words for a term, if there are.

    A sum over one of the ``lengths``, divided by it, is a mean; ``wide`` puts spaces around all operators.
    """
    seen = set()
    for way in range(3):
        try:
            text = _Speller(tongue, known, way, lengths, wide).write(term)[0]
        except _Unspeakable:
            continue
        if text not in seen:
            seen.add(text)
            yield text


class _Speller:
    def __init__(self, tongue: Tongue, known: Known, way: int, lengths: Collection[int], wide: bool) -> None:
        self.tongue, self.known, self.way, self.lengths = tongue, known, way, lengths
        self.by, self.over = (" * ", " / ") if wide else ("*", "/")
        self.counted: dict[int, str] = {}  # how the number of entries that were added up is written

    def write(self, term: Term) -> tuple[str, int]:
        """The text of a term, and how tightly it holds together."""
        own = self.known(term)
        if own is not None:
            own = unwrapped(own)
            return own, _ADD if loose(own) else _ATOM
        number = number_of(term)
        if number is not None:
            return (self.counted[int(number)], _ATOM) if number in self.counted else _number(number)
        match term:
            case Add(terms=terms):
                return self._sum(terms)
            case Mul(factors=factors):
                return self._product(Fraction(1), factors)
            case Call(head="number", params=text):
                return self._constant(text)
            case Call(head="sum" | "prod", args=(x,), params=(axes, kept)):
                return f"{self._tight(x, _ATOM)}.{term.head}({self._axes(axes, kept)})", _ATOM
            case Call(head="entry", args=(x,), params=(suffix, *_)):
                return f"{self._tight(x, _ATOM)}{suffix}", _ATOM
            case Call(head="softmax" | "log_softmax" | "logsumexp", args=(x,), params=(axes, kept)):
                return self._composite(term.head, x, axes, kept)
            case Call(head=head, args=args) if self.tongue.library == "torch" and any(map(number_of, args)):
                return self._of_numbers(head, args)
            case Call(head=head, args=args):
                return self._call(head, [self.write(a)[0] for a in args], [self._minus(a) for a in args], term)
        raise _Unspeakable(str(term))

    def _tight(self, term: Term, least: int) -> str:
        text, hold = self.write(term)
        return text if hold >= least else f"({text})"

    def _minus(self, term: Term) -> str:
        return self.write(plus([(-1, term)]))[0]

    def _call(self, head: str, args: list[str], negated: list[str], term: Call) -> tuple[str, int]:
        ways = self.tongue.calls(head)
        if not ways:
            raise _Unspeakable(head)
        way = ways[min(self.way, len(ways) - 1)]
        f = self.tongue.functional or f"{self.tongue.alias}.nn.functional"
        text = way.replace("{m}", self.tongue.alias).replace("{f}", f)
        for k, (a, n) in enumerate(zip(args, negated, strict=True)):
            tight = f"({a})" if loose(a) else a
            text = text.replace(f"{{-{k}}}", n).replace(f"{{{k}:*}}", tight).replace(f"{{{k}}}", a)
        return text, _ADD if loose(text) else _ATOM

    def _of_numbers(self, head: str, args: tuple[Term, ...]) -> tuple[str, int]:
        """A function of numbers in torch, which takes tensors only."""
        m, other = self.tongue.alias, self.tongue.numbers
        if len(args) == 1:
            (text,) = (self.write(a)[0] for a in args)
            if other is not None:
                return f"{other}.{head}({text})", _ATOM
            return f"{m}.{head}({m}.tensor({float(number_of(args[0]) or 0)}, dtype={m}.float64))", _ATOM
        a, b = args
        x, n = (a, b) if number_of(a) is None else (b, a)
        text = self.write(x)[0]
        ones = (
            f"{m}.ones_like({text})"
            if number_of(n) == 1
            else f"{_number(number_of(n) or Fraction(0))[0]}*{m}.ones_like({text})"
        )
        return (f"{m}.{head}({text}, {ones})" if x is a else f"{m}.{head}({ones}, {text})"), _ATOM

    def _sum(self, terms: Any) -> tuple[str, int]:
        first = next((k for k, (c, t) in enumerate(terms) if c > 0), 0)
        c, t = terms[first]
        text = self._scaled(c, t, _ADD)
        for c, t in (*terms[:first], *terms[first + 1 :]):
            more = self._scaled(abs(c), t, _MUL if c < 0 else _ADD)
            text += f" - {more}" if (c < 0) != more.startswith("-") else f" + {more.removeprefix('-')}"
        return text, _ADD

    def _scaled(self, c: Fraction, t: Term, least: int) -> str:
        if t == ONE:
            return _number(c)[0]
        if c == 1:
            return self._tight(t, least)
        if c == -1:
            return f"-{self._tight(t, _MUL)}"
        own = self.known(plus([(c, t)]))
        if own is not None:
            return own if not loose(own) or least == _ADD else f"({own})"
        own = self.known(plus([(-c, t)]))
        if own is not None:
            return f"-({own})" if loose(own) else f"-{own}"
        if isinstance(t, Call) and t.head == "sum" and c.denominator in self.lengths and c.denominator > 1:
            mean = f"{self._tight(t.args[0], _ATOM)}.mean({self._axes(*t.params)})"
            return mean if c.numerator == 1 else f"{_number(Fraction(c.numerator))[0]}{self.by}{mean}"
        factors = t.factors if isinstance(t, Mul) else ((t, Fraction(1)),)
        return self._product(c, factors)[0]

    def _product(self, c: Fraction, factors: Any) -> tuple[str, int]:
        above = [self._power(t, e) for t, e in factors if e > 0]
        below = [self._power(t, -e) for t, e in factors if e < 0]
        sign = "-" if c < 0 else ""
        c = abs(c)
        if c.numerator != 1 or not above:
            above.insert(0, str(c.numerator))
        if c.denominator != 1:
            below.insert(0, str(c.denominator))
        text = self.by.join(above)
        if below:
            text += f"{self.over}{below[0]}" if len(below) == 1 else f"{self.over}({self.by.join(below)})"
        return sign + text, _NEG if sign else _MUL if len(above) > 1 or below else _POW if "**" in text else _ATOM

    def _power(self, t: Term, e: Fraction) -> str:
        if e == 1:
            return self._tight(t, _NEG + 1)
        if e.denominator == 2 and self.tongue.calls("sqrt"):
            root = self._call("sqrt", [self.write(t)[0]], [""], Call("sqrt", (t,)))[0]
            return root if e.numerator == 1 else f"{root}**{e.numerator}"
        exponent = str(e.numerator) if e.denominator == 1 else f"({e})"
        return f"{self._tight(t, _ATOM)}**{exponent}"

    def _constant(self, text: str) -> tuple[str, int]:
        if text != "pi":
            raise _Unspeakable(text)
        return ("pi" if self.tongue.library == "text" else f"{self.tongue.alias}.pi"), _ATOM

    # ------------------------------------------------------------------------------------ reductions
    def _axes(self, axes: Any, kept: bool) -> str:
        which, n = axes
        if len(which) == n:
            return ""
        if self.tongue.library not in _KEEP:
            raise _Unspeakable("a reduction")
        at = str(which[0]) if len(which) == 1 else str(which)
        return f"{at}, {_KEEP[self.tongue.library]}=True" if kept else at

    def _composite(self, head: str, x: Term, axes: Any, kept: bool) -> tuple[str, int]:
        text, m = self.write(x)[0], self.tongue.alias
        which, n = axes
        if len(self.lengths) == 1 and not loose(text) and len(which) in (1, n):
            count = ".size" if self.tongue.library == "numpy" else ".numel()"
            count = count if len(which) == n else f".shape[{which[0]}]"
            self.counted[min(self.lengths)] = f"{text}{count}"
        if self.tongue.library == "torch" and len(which) == 1:
            if head != "logsumexp":
                return f"{m}.{head}({text}, {which[0]})", _ATOM
            keep = ", keepdim=True" if kept and n > 1 else ""
            return f"{m}.logsumexp({text}, {which[0]}{keep})", _ATOM
        if self.tongue.library != "numpy":
            raise _Unspeakable(head)
        inside = self._axes(axes, True)
        whole = f"({text})" if loose(text) else text
        e = f"{m}.exp({text} - {whole}.max({inside}))"
        match head:
            case "softmax":
                return f"{e}/{e}.sum({inside})", _MUL
            case "log_softmax":
                return f"{text} - {whole}.max({inside}) - {m}.log({e}.sum({inside}))", _ADD
        outside = self._axes(axes, kept)
        return f"{whole}.max({outside}) + {m}.log({e}.sum({outside}))", _ADD


def unwrapped(text: str) -> str:
    """The text without brackets around all of it."""
    while text.startswith("(") and text.endswith(")"):
        try:
            if ast.dump(ast.parse(text[1:-1].strip(), mode="eval")) != ast.dump(ast.parse(text, mode="eval")):
                return text
        except SyntaxError:
            return text
        text = text[1:-1].strip()
    return text


def _number(x: Fraction) -> tuple[str, int]:
    text = str(x)
    if x.denominator > 1 and float(x) == x and len(repr(float(x))) < 8:
        text = repr(float(x))
    return text, _NEG if x < 0 else _MUL if "/" in text else _ATOM


# ------------------------------------------------------------------------------------------------------------- wording
# What is said of a step that loses digits: its place, and why it does.

_WHY = {
    "overflow": "{piece} overflows",
    "underflow": "{piece} underflows",
    "cancellation": "{piece} cancels: what is left of its terms is mostly their rounding errors",
    "absorption": "the digits that {piece} needs were rounded away before it",
}


def why(program: Program, step: int | None, kind: str, raises: str | None = None) -> str:
    """Why digits are lost, of the piece of the user's text that loses them; nothing where there is none."""
    if step is None:
        return ""
    piece = _piece(program.steps[step].source)
    if not piece:
        return ""
    said = _WHY[kind].format(piece=piece)
    return f"{said}, and Python raises {raises}" if raises is not None else said


def _piece(source: Source | None) -> str:
    if source is None:
        return ""
    text = source.text if source.line is None or source.span is None else source.text[slice(*source.span)]
    text = unwrapped(text.strip())
    return text if len(text) <= 60 else f"{text[:57]}..."


def source_at(formula: Formula, program: Program, step: int | None, rewrite: Any) -> Source | None:
    """The line that loses the digits, with the part marked that is rewritten, or that loses them."""
    source = None if step is None else program.steps[step].source
    if rewrite is not None and rewrite.source is not None:
        return rewrite.source
    typed = isinstance(formula, Symbolic) and isinstance(formula.source, Text)
    if source is not None and typed and source.span is not None:
        return replace(source, text=formula.source.text)  # type: ignore[union-attr]
    return source
