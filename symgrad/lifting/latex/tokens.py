"""LaTeX as tokens with their places: letters, numbers, macros, braces and signs; what only sets type is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from symgrad.errors import BadFormula, caret

__all__ = ["GREEK", "Token", "tokens"]

_SPACING = frozenset(
    ", ; : ! > quad qquad thinspace medspace thickspace enspace space negthinspace limits nolimits displaystyle "
    "textstyle scriptstyle nonumber notag hfill cr allowbreak null smallskip noindent centering".split()
) | {" ", "\n", "/"}
_SIZES = {f"{size}{side}": side for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")}
_SIDES = {"left": "l", "right": "r", "middle": "m"} | _SIZES
_DELIMITERS = frozenset("()[]|./") | {"{", "}", "|", "lbrace", "rbrace", "lvert", "rvert", "lVert", "rVert", "vert"}
_DELIMITERS |= {"Vert", "langle", "rangle", "lbrack", "rbrack"}
_OTHER_NAME = {
    "lbrace": "{",
    "rbrace": "}",
    "lbrack": "[",
    "rbrack": "]",
    "vert": "|",
    "lvert": "|",
    "rvert": "|",
    "Vert": "\\|",
    "lVert": "\\|",
    "rVert": "\\|",
    "|": "\\|",
    "{": "\\{",
    "}": "\\}",
}
_FIXED_SIDE = {"lvert": "l", "rvert": "r", "lVert": "l", "rVert": "r"}
_WITH_ARGUMENT = frozenset("label tag hspace vspace phantom hphantom vphantom color".split())
_AROUND = frozenset(
    "aligned align align* equation equation* gather gather* gathered split eqnarray eqnarray* multline multline* "
    "displaymath math alignat alignat*".split()
)
_TEXT = frozenset("text textrm textit textbf textsf texttt mbox hbox textnormal".split())

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega varepsilon vartheta varrho varsigma varphi varkappa varpi digamma "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar imath jmath".split()
)
_UNICODE_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξορστυφχψωΓΔΘΛΞΠΣΥΦΨΩϵϕ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron rho sigma tau upsilon phi "
        "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega epsilon phi".split(),
        strict=True,
    )
) | {"π": "pi", "ℓ": "ell"}
_UNICODE = {
    "·": "\\cdot",
    "⋅": "\\cdot",
    "×": "\\times",
    "−": "-",
    "–": "-",
    "∂": "\\partial",
    "∑": "\\sum",
    "∏": "\\prod",
    "√": "\\sqrt",
    "≤": "\\leq",
    "≥": "\\geq",
    "≠": "\\neq",
    "⊙": "\\odot",
    "∇": "\\nabla",
    "∞": "\\infty",
    "⊤": "\\top",
    "′": "'",
    "‖": "\\|",
    "∈": "\\in",
    "…": "\\dots",
}
_SIGNS = frozenset("+-*/^_=<>()[]|,.;:'!&")


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is letter, number, macro, text, sign, open, close, row or end; ``side`` is l or r of a delimiter that
    says so.
    """

    kind: str
    text: str
    start: int
    stop: int
    side: str = ""

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.stop


_PIECE = re.compile(
    r"(?P<space>\s+|~|%[^\n]*|\$+)"
    r"|(?P<row>\\\\(?:\s*\[[^\]]*\])?|\\newline\b)"
    r"|(?P<macro>\\(?:[A-Za-z]+|.))"
    r"|(?P<number>\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<letter>[A-Za-z])"
    r"|(?P<open>\{)|(?P<close>\})"
    r"|(?P<other>.)",
    re.S,
)


def tokens(text: str) -> list[Token]:
    """The tokens of ``text``; raises `BadFormula` for a character that no formula has."""
    found: list[Token] = []
    at, side, since = 0, "", 0
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:  # a lone backslash
            raise BadFormula("a backslash ends the formula.", where=caret(text, (at, at + 1)))
        kind, piece, start, at = match.lastgroup or "", match.group(), at, match.end()
        if kind == "space":
            continue
        if kind == "macro":
            name = piece[1:]
            if name in _SPACING or name in "()[]":  # \( \) and \[ \] stand around formulas
                continue
            if name in _SIDES:
                side, since = _SIDES[name] or "", start
                if name in ("left", "right", "middle") and not _delimiter(text, at):
                    raise BadFormula(
                        f"{piece} must be followed by a delimiter.",
                        where=caret(text, (start, at)),
                        instead="Write, for example, \\left( ... \\right).",
                    )
                if name in ("left", "right") and text[at:].lstrip().startswith("."):
                    at += len(text[at:]) - len(text[at:].lstrip()) + 1  # an empty delimiter
                    side = ""
                continue
            if name in _WITH_ARGUMENT:
                at += text.startswith("*", at)
                at = _argument(text, at)[1]
                continue
            if name in _TEXT:
                inside, at = _argument(text, at)
                found.append(Token("text", inside.strip(), start, at))
                continue
            if name in ("begin", "end"):
                inside, at = _argument(text, at)
                if inside in _AROUND:
                    continue
                piece = f"{piece}{{{'cases' if inside == 'dcases' else inside}}}"
            side = _FIXED_SIDE.get(name, side)
            kind, piece = ("sign", _OTHER_NAME[name]) if name in _OTHER_NAME else ("macro", piece)
        if kind == "other":
            if piece in _UNICODE_GREEK:
                kind, piece = "macro", "\\" + _UNICODE_GREEK[piece]
            elif piece in _UNICODE:
                piece = _UNICODE[piece]
                kind = "macro" if len(piece) > 2 else "sign"
            elif piece in _SIGNS:
                kind = "sign"
            else:
                raise BadFormula(f"{piece!r} is not part of a formula.", where=caret(text, (start, at)))
        found.append(Token(kind, piece, since if side else start, at, side))
        side = ""
    end = len(text.rstrip())
    found.append(Token("end", "", end, end + 1))
    return found


def _delimiter(text: str, at: int) -> bool:
    rest = text[at:].lstrip()
    if rest.startswith("\\"):
        match = re.match(r"\\([A-Za-z]+|.)", rest)
        return match is not None and match[1] in _DELIMITERS
    return rest[:1] in _DELIMITERS and bool(rest)


def _argument(text: str, at: int) -> tuple[str, int]:
    """The text in braces from ``at``, and where it ends."""
    start = at + len(text[at:]) - len(text[at:].lstrip())
    if not text.startswith("{", start):
        return text[start : start + 1], start + 1
    depth = 0
    for k in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[k], 0)
        if depth == 0:
            return text[start + 1 : k], k + 1
    raise BadFormula("this brace is never closed.", where=caret(text, (start, start + 1)))
