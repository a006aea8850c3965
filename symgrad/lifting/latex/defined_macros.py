r"""Macros that a text in LaTeX defines, ``\newcommand{\vx}{\mathbf{x}}``, written out where the text uses them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from symgrad.errors import BadFormula, caret

_MOST = 20_000  # letters of a text with its macros written out
_DEFINES = re.compile(
    r"\\(?P<kind>(?:re)?newcommand|providecommand|DeclareRobustCommand|DeclareMathOperator|DeclarePairedDelimiter"
    r"|g?def|let)(?![A-Za-z])\*?"
)
_NAME = re.compile(r"\s*(?:\{\s*(\\[A-Za-z]+)\s*\}|(\\[A-Za-z]+))")
_TAKES = re.compile(r"\s*\[(\d)\]")
_OVER_SIGNS = re.compile(r"\\(?:overset|stackrel)\s*\{[^{}]*\}\s*\{\s*(=|\\equiv)\s*\}")
_MACRO = re.compile(r"\\[A-Za-z]+")
_PARAMETER = re.compile(r"#([1-9])")


@dataclass(frozen=True, slots=True)
class _Macro:
    """What a macro stands for, with ``#1`` for its first argument; ``first`` is what that is where it is left out, and
    ``sized`` says that a star or a size may stand after the macro."""

    body: str
    takes: int = 0
    first: str | None = None
    sized: bool = False


def with_macros_written_out(text: str) -> str:
    r"""The text without its definitions of macros, and with what they stand for in their places; each line stays one.

    >>> with_macros_written_out(r"\newcommand{\norm}[1]{\lVert #1 \rVert} \def\vx{\mathbf{x}} f = \norm{\vx}^2")
    '  f = \\lVert \\mathbf{x} \\rVert^2'

    Raises `BadFormula` for a definition that does not end, and for macros that stand for each other without end.
    """
    text = _OVER_SIGNS.sub(r"\1", text)  # \overset{!}{=}
    if "\\" not in text or _DEFINES.search(text) is None:
        return text
    macros: dict[str, _Macro] = {}
    kept, at = "", 0
    while (found := _DEFINES.search(text, at)) is not None:
        kept += text[at : found.start()]
        at = _defined(text, found, macros)
        kept += "\n" * text.count("\n", found.start(), at)
    return _written_out(kept + text[at:], macros)


def _defined(text: str, found: re.Match[str], macros: dict[str, _Macro]) -> int:
    """Add what a definition defines; where it ends."""

    def refuse() -> NoReturn:
        instead = r"Write \newcommand{\name}{...}, with \name and what it stands for in braces."
        raise BadFormula("this definition of a macro is not read.", where=caret(text, found.span()), instead=instead)

    name = _NAME.match(text, found.end())
    if name is None:
        refuse()
    key, at, kind = name[1] or name[2], name.end(), found["kind"]
    takes, first = 0, None
    if kind in ("def", "gdef"):
        parameters = re.compile(r"(?:#\d)*\s*").match(text, at)
        assert parameters is not None
        takes, at = parameters[0].count("#"), parameters.end()
    elif kind == "let":
        other = re.compile(r"\s*=?\s*(\\[A-Za-z]+|\S)").match(text, at)
        if other is None:
            refuse()
        macros[key] = macros.get(other[1], _Macro(other[1]))
        return other.end()
    elif (number := _TAKES.match(text, at)) is not None:
        takes, at = int(number[1]), number.end()
        if (default := _group(text, at, "[")) is not None:
            first, at = default
    parts: list[str] = []
    for _ in range(1 + (kind == "DeclarePairedDelimiter")):
        group = _group(text, at)
        if group is None:
            refuse()
        parts.append(" ".join(group[0].split("\n")))
        at = group[1]
    if kind == "DeclareMathOperator":
        macros[key] = _Macro(rf"\operatorname{{{parts[0].replace(chr(92) + ',', '')}}}")
    elif kind == "DeclarePairedDelimiter":
        macros[key] = _Macro(rf"\left{parts[0]} #1 \right{parts[1]}", 1, sized=True)
    else:
        macros[key] = _Macro(parts[0], takes, first)
    return at


def _written_out(text: str, macros: Mapping[str, _Macro]) -> str:
    at, steps = 0, 0
    while (found := _MACRO.search(text, at)) is not None:
        macro = macros.get(found[0])
        if macro is None:
            at = found.end()
            continue
        steps += 1
        if steps > _MOST or len(text) > _MOST:
            raise BadFormula(
                f"{found[0]} stands for itself, or for a text without end.",
                where=caret(text, found.span()),
                instead="Define each macro by others that are defined before it.",
            )
        stop, given = _arguments(text, found, macro)
        body = _PARAMETER.sub(lambda m, given=given: _apart(given, m), macro.body)
        text = text[: found.start()] + _beside(body, text[stop : stop + 1]) + text[stop:]
        at = found.start()
    return text


def _arguments(text: str, found: re.Match[str], macro: _Macro) -> tuple[int, list[str]]:
    """Where the arguments of a macro end, and what they are."""
    at, given = found.end(), []
    if macro.sized:
        at += text.startswith("*", at)
        if (size := _group(text, at, "[")) is not None:
            at = size[1]
    if macro.first is not None:
        optional = _group(text, at, "[")
        given, at = ([macro.first], at) if optional is None else ([optional[0]], optional[1])
    while len(given) < macro.takes:
        group = _group(text, at)
        if group is None:
            one = re.compile(r"\s*(\\[A-Za-z]+|\\.|[^\s{}])").match(text, at)
            if one is None:
                raise BadFormula(
                    f"{found[0]} takes {macro.takes} argument{'s' * (macro.takes > 1)}, and fewer follow it.",
                    where=caret(text, found.span()),
                    instead=f"Write {found[0]}{'{...}' * macro.takes}.",
                )
            group = one[1], one.end()
        given.append(group[0])
        at = group[1]
    return at, given


def _apart(given: list[str], place: re.Match[str]) -> str:
    """An argument in its place, apart from a macro that ends before it."""
    k = int(place[1]) - 1
    inside = given[k] if k < len(given) else ""
    before = place.string[: place.start()]
    return _space(before, inside) + _beside(inside, place.string[place.end() : place.end() + 1])


def _beside(body: str, after: str) -> str:
    return body + _space(body, after)


def _space(before: str, after: str) -> str:
    return " " if after[:1].isalpha() and re.search(r"\\[A-Za-z]+$", before) else ""


def _group(text: str, at: int, opening: str = "{") -> tuple[str, int] | None:
    """What stands in braces at a place, or in brackets, and where that ends; None where none open there."""
    start = at + len(text[at:]) - len(text[at:].lstrip())
    if not text.startswith(opening, start):
        return None
    closing = {"{": "}", "[": "]"}[opening]
    depth = 0
    for k in range(start, len(text)):
        if text[k - 1 : k] == "\\":
            continue
        depth += (text[k] == opening) - (text[k] == closing)
        if depth == 0:
            return text[start + 1 : k], k + 1
    return None
