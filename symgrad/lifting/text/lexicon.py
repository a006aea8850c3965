"""The words of formulas in text: tokens, the functions that can be called, and what to write instead of other signs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from symgrad.errors import BadFormula, caret
from symgrad.lifting.text.tensor_words import SAME_WORD, WORDS
from symgrad.ops.row import ARGUMENTS
from symgrad.ops.scalars import OPS, find

EVALUATED = "Text is parsed, never evaluated: a formula has numbers, names, + - * / **, parentheses and functions."

# ------------------------------------------------------------------------------------------------ functions

_SAME = {
    "ln": "log",
    "Abs": "abs",
    "loggamma": "lgamma",
    "Heaviside": "heaviside",
    "logistic": "sigmoid",
    "step": "heaviside",
}
_MANY = {"max": "maximum", "Max": "maximum", "amax": "maximum", "min": "minimum", "Min": "minimum", "amin": "minimum"}
_WRITTEN = {f.__name__: f for f in (sp.sec, sp.csc, sp.cot, sp.sech, sp.csch, sp.coth, sp.acot, sp.asec, sp.acsc)}
_WRITTEN |= {f.__name__: f for f in (sp.acoth, sp.asech, sp.acsch)}
DEFAULT = {
    "heaviside": Fraction(1, 2),
    "leaky_relu": Fraction(1, 100),
    "prelu": Fraction(1, 4),
    "elu": Fraction(1),
    "celu": Fraction(1),
    "softshrink": Fraction(1, 2),
    "hardshrink": Fraction(1, 2),
}
_SPECIAL = {"where": (3, 3), "pow": (2, 2), "power": (2, 2), "clip": (3, 3), "clamp": (3, 3), "polygamma": (2, 2)}
_SPECIAL["beta"] = (2, 2)


def functions() -> list[str]:
    """The names that can be called in text."""
    return sorted(
        {*OPS, *_SAME, *_MANY, *_WRITTEN, *_SPECIAL, *(w for w in WORDS if w.isidentifier()), *SAME_WORD, "polygamma"}
    )


def resolve(name: str) -> tuple[str, Any, int, int | None] | None:
    """(head, value, least, most arguments) of a function, or None."""
    if name in _SPECIAL:
        return (name, None, *_SPECIAL[name])
    if name in _MANY:
        return _MANY[name], None, 1, None
    if name in _WRITTEN:
        return "lower", _WRITTEN[name], 1, 1
    row = find(_SAME.get(name, name))
    if row is None:
        return None
    if row == "log":
        return row, None, 1, 2
    if row in ("maximum", "minimum"):
        return row, None, 1, None
    arity = OPS[row].arity
    return row, None, arity - (row in DEFAULT), arity


def applied(head: str, value: Any, args: Sequence[Any]) -> Any:
    """What a function means, as `resolve` names it, in SymPy."""
    match head:
        case "maximum" | "minimum":
            return {"maximum": sp.Max, "minimum": sp.Min}[head](*args)
        case "polygamma":
            return sp.polygamma(*args)
        case "beta":  # Euler's
            return sp.gamma(args[0]) * sp.gamma(args[1]) / sp.gamma(args[0] + args[1])
        case "pow" | "power":
            return args[0] ** args[1]
        case "clip" | "clamp":
            return sp.Min(sp.Max(args[0], args[1]), args[2])
        case "lower":
            return value(*args)
        case row:
            return OPS[row].exact.subs(dict(zip(ARGUMENTS, args, strict=False)), simultaneous=True)


# ------------------------------------------------------------------------------------------------ tokens

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d⁰¹²³⁴⁵⁶⁷⁸⁹][^\W⁰¹²³⁴⁵⁶⁷⁸⁹]*)"
    r"|(?P<power>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
    r"|(?P<op>\*\*|//|<=|>=|==|!=|:=|->|[-+*/()<>,.=^%@!&|~:;\[\]{}'\"`?$#\\×·⋅−≤≥≠√∞∑∫∂])"
)
_FRIENDLY = {"×": "*", "·": "*", "⋅": "*", "−": "-", "≤": "<=", "≥": ">=", "≠": "!="}
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    start: int
    stop: int

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.stop


_MOST = 6_000  # signs: a proof about so many terms takes a minute


def refuse_long(count: int, of: str = "signs", most: int = _MOST) -> None:
    """Raise `BadFormula` for a formula so long that no answer would come."""
    if count > most:
        raise BadFormula(
            f"the formula has more than {most} {of}.",
            instead="Write its terms as arrays in a Python function: lambda x, a: (a * torch.sin(k * x)).sum().",
        )


def tokens(text: str) -> list[Token]:
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadFormula(f"{text[at]!r} is not part of a formula.", where=caret(text, (at, at + 1)))
        kind = match.lastgroup or ""
        found.append(Token(kind, _FRIENDLY.get(match.group(), match.group()), at, match.end()))
        at = match.end()
        refuse_long(len(found))
    found.append(Token("end", "", len(text.rstrip()), len(text.rstrip()) + 1))
    return found


INSTEAD: dict[str, tuple[str, str | None]] = {
    "=": (
        "= assigns, and a formula is one value.",
        "Write the right-hand side alone; to compare, use == inside where.",
    ),
    ":=": ("= assigns, and a formula is one value.", "Write the right-hand side alone."),
    "//": ("// rounds down, which has no derivative.", "Write a division as a/b."),
    "%": ("% has no derivative at its jumps and is not in the table.", "Write x - n*y, of the piece that is meant."),
    "!": ("! is not part of a formula.", "Write n! as gamma(n + 1)."),
    "&": ("& is not part of a formula.", "Write `and` between conditions, inside where."),
    "|": ("| is not part of a formula.", "Write abs(x) for |x|, and `or` between conditions."),
    "~": ("~ is not part of a formula.", "Write `not` before a condition, inside where."),
    "[": ("a subscript stands on a name or a parenthesis.", "Write x[0], or (x + y)[i]."),
    "{": ("{ } is not part of a formula.", "Group with parentheses; for LaTeX, pass Latex(r'...')."),
    "\\": ("this looks like LaTeX.", "Pass it as Latex(r'...')."),
    "'": ("a quote is not part of a formula.", EVALUATED),
    '"': ("a quote is not part of a formula.", EVALUATED),
    ":": (": is not part of a formula.", EVALUATED),
    ";": ("; is not part of a formula.", EVALUATED),
    "√": ("√ is not read.", "Write sqrt(x)."),
    "∞": ("∞ is not a number to compute with.", None),
}
