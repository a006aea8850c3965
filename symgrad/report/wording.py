"""Words: lists of names, counts with their nouns, sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.checking.results import Results
from symgrad.lifting.sympy_forms import ROW_OF_HESSIAN

# ------------------------------------------------------------------------------------------------------------- numbers
# Numbers, entries and points as a report prints them.

_SHORT = 6  # entries of an array that is printed in full
_DIGITS = 6
_SHAPE = re.compile(r"\[\d[\d, ]{0,20}\]")
_EXPONENT = re.compile(r"e(-?)\+?0*(\d+)")


def row_of_hessian(name: str) -> str | None:
    """The input by which a claim is a row of a Hessian; None where it is none.

    >>> row_of_hessian("row x of the Hessian"), row_of_hessian("x")
    ('x', None)
    """
    before, _, after = ROW_OF_HESSIAN.partition("{}")
    return name[len(before) : -len(after)] if name.startswith(before) and name.endswith(after) else None


def number(x: Any, digits: int = _DIGITS, zeros: str = "") -> str:
    """A number to so many significant digits; with ``zeros="#"`` the zeros at its end are kept.

    >>> number(-40.21530288726289), number(8.0), number(1 - 2j), number(2.5e-07), number(1e30)
    ('-40.2153', '8', '1 - 2i', '2.5e-7', '1e30')
    """
    if isinstance(x, (complex, np.complexfloating)):
        sign = "-" if math.copysign(1, x.imag) < 0 else "+"
        return f"{number(x.real, digits, zeros)} {sign} {number(abs(x.imag), digits, zeros)}i"
    return "not a number" if x != x else _EXPONENT.sub(r"e\1\2", f"{float(x):{zeros}.{digits}g}")


def together(*values: Any) -> tuple[str, ...]:
    """Numbers to one count of digits: six, or as many as tell the first two apart and one more.

    >>> together(8.18881, -40.2153)
    ('8.18881', '-40.2153')
    >>> together(0.1234567, 0.1234568, 0.1234568)
    ('0.12345670', '0.12345680', '0.12345680')
    """
    first, second = values[:2]
    digits = next((d for d in range(_DIGITS, 18) if number(first, d) != number(second, d)), _DIGITS)
    if digits == _DIGITS:
        return tuple(map(number, values))
    return tuple(number(x, min(digits + 1, 17), "#") for x in values)


def aligned(values: Sequence[str]) -> list[str]:
    """Numbers as they stand under each other, by their decimal points.

    >>> aligned(["-40.2153", "8.18881", "2e-7  (off)"])
    ['-40.2153', '  8.18881', '  2e-7  (off)']
    """
    whole = [_before_the_point(value) for value in values]
    return [" " * (max(whole) - n) + value for n, value in zip(whole, values, strict=True)]


def _before_the_point(value: str) -> int:
    value = value.partition("  ")[0]  # what else is said of the number stands apart from it
    ends = [k for k, c in enumerate(value) if c in ".e" and value[:k].lstrip("-").isdigit()]
    return ends[0] if ends else len(value) if value.lstrip("-").isdigit() else 0


def exactly(x: Any) -> str:
    """A number in the fewest digits that give the same binary value back.

    >>> exactly(2.0), exactly(0.30078125), exactly(True)
    ('2', '0.30078125', 'True')
    """
    if isinstance(x, (bool, np.bool_)):
        return str(bool(x))
    if isinstance(x, (complex, np.complexfloating)):
        sign = "-" if math.copysign(1, x.imag) < 0 else "+"
        return f"{exactly(x.real)} {sign} {exactly(abs(x.imag))}i"
    if isinstance(x, (int, np.integer)):
        return str(int(x))
    return _EXPONENT.sub(r"e\1\2", repr(float(x)).removesuffix(".0"))


def place_of(entry: tuple[int, ...]) -> str:
    """An entry as it is indexed: ``[2, 0]``."""
    return f"[{', '.join(map(str, entry))}]"


def at_entry(values: Any, entry: tuple[int, ...] | None) -> Any:
    """One entry of a gradient; the only one, for a scalar."""
    return np.asarray(values).reshape(-1)[0] if entry is None else np.asarray(values)[entry]


def witness_text(
    point: Mapping[str, Any], own: Mapping[str, Any], name: str = "", entry: tuple[int, ...] | None = None
) -> str:
    """A point exactly: short arrays in full, long ones by their shape, and what was not moved as "as given".

    Where ``entry`` of a long input ``name`` exists, it is printed with the input.

    >>> witness_text({"w": np.array(0.5), "x": np.zeros((9, 9))}, {}, "x", (2, 1))
    'w = 0.5, x of shape [9, 9] with x[2, 1] = 0'
    >>> same = np.array([0.1234567891234567] * 9)
    >>> witness_text({"w": np.array([1.0, 2.0]), "x": same}, {"x": same})
    'w = [1, 2], x as given'
    """
    told, kept = [], []
    for n, value in point.items():
        if _is_plain(value):
            told.append(f"{n} = {_array(value)}")
        elif unmoved(value, own.get(n)):
            kept.append(n)
        else:
            told.append(f"{n} of shape {place_of(np.shape(value))}{_one_entry(n, value, entry if n == name else None)}")
    return ", ".join(told + [f"{n} as given" for n in kept])


def own_text(point: Mapping[str, Any], width: int = 60, of: Any = number) -> str:
    """The user's own point to six digits (or as ``of`` writes numbers), as a reminder; nothing where it would be long.

    >>> own_text({"w_h": np.array(2.0), "h0": np.array(0.10000000149011612)})
    'w_h = 2, h0 = 0.1'
    >>> own_text({"x": np.zeros(100)})
    ''
    """
    if not all(entries_of(value) <= _SHORT for value in point.values()):
        return ""
    text = ", ".join(f"{n} = {_array(value, of)}" for n, value in point.items())
    return text if len(text) <= width else ""


def entries_of(value: Any) -> int:
    """How many there are; NumPy's ``size`` takes a tensor's method for a number."""
    return math.prod(np.shape(value))


def _is_plain(value: Any) -> bool:
    """Whether a value prints in full: few entries, and each of few digits or alone."""
    return entries_of(value) == 1 or (entries_of(value) <= _SHORT and len(_array(value)) <= 40)


def unmoved(value: Any, own: Any) -> bool:
    """Whether a value of a point is the user's own."""
    return own is not None and np.shape(value) == np.shape(own) and np.array_equal(value, own)


def _one_entry(name: str, value: Any, entry: tuple[int, ...] | None) -> str:
    shape = np.shape(value)
    if entry is None or len(entry) < len(shape):
        return ""
    own = entry[len(entry) - len(shape) :]
    if not all(k < n for k, n in zip(own, shape, strict=True)):
        return ""
    return f" with {name}{place_of(own)} = {exactly(np.asarray(value)[own])}"


def _array(value: Any, of: Any = None) -> str:
    """A value with few entries, in brackets as deep as its shape."""
    of = of or exactly
    if isinstance(value, str) or value is None:
        return repr(value)
    rows = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(rows, (list, tuple)):
        return f"[{', '.join(_array(r, of) for r in rows)}]"
    return of(rows) if isinstance(rows, (bool, int, float, complex)) else repr(rows)


# ------------------------------------------------------------------------------------------------------------- wording


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def counted(n: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "point"), counted(3, "branch")
    ('1 point', '3 branches')
    """
    return f"{n} {noun if n == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """More than one.

    >>> plural("gradient"), plural("branch"), plural("entry")
    ('gradients', 'branches', 'entries')
    """
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("ch", "s", "x")) else f"{noun}s"


def unbroken(text: str) -> str:
    """Words that stay on one line.

    >>> " " in unbroken("d h / d w")
    False
    """
    return text.replace(" ", "\xa0")


_SIGN = r" (?:[-+*/@=<>]|\*\*|[<>=!]=) "
_HELD = re.compile(rf"[\w)\]}}'.](?:{_SIGN})(?=[-\w(\[{{∂.])")
_OPENED = re.compile(r"(?<=[\w'*/+\-=(\xa0])[(\[]")


def held_together(text: str, room: int) -> str:
    """Text in which a line is broken in no formula, or, in one longer than ``room``, before a sign alone.

    >>> [held_together("so here 1 - h**2, by f(x, y)", room).split(" ") for room in (80, 4)]
    [['so', 'here', '1\xa0-\xa0h**2,', 'by', 'f(x,\xa0y)'], ['so', 'here', '1', '-\xa0h**2,', 'by', 'f(x,\xa0y)']]
    """
    text = _SHAPE.sub(lambda found: unbroken(found[0]), text)
    text = _HELD.sub(lambda found: unbroken(found[0]), text)
    text = _HELD.sub(lambda found: unbroken(found[0]), text)  # what stands between two signs was taken by the first
    for found in reversed([*_OPENED.finditer(text)]):
        stop = _closed(text, found.start())
        text = text[: found.start()] + unbroken(text[found.start() : stop]) + text[stop:]
    return " ".join(_released(word, room) for word in text.split(" "))


def _closed(text: str, start: int) -> int:
    """Behind the bracket that closes the one at ``start``; where none does, ``start``."""
    deep = 0
    for k in range(start, len(text)):
        deep += (text[k] in "([{") - (text[k] in ")]}")
        if not deep:
            return k + 1
    return start


def _released(formula: str, room: int) -> str:
    """A formula that may be broken before the signs outside of its brackets that bind least, if it is too long."""
    for signs in ("=", "+-", "*/@"):
        parts, deep, last = [], 0, 0
        for k, c in enumerate(formula):
            deep += (c in "([{") - (c in ")]}")
            if c == "\xa0" and not deep and formula[k + 1 : k + 2] in tuple(signs) and formula[k + 2 : k + 3] == "\xa0":
                parts, last = [*parts, formula[last:k]], k + 1
        if len(formula) > room and parts:
            return " ".join(_released(part, room) for part in [*parts, formula[last:]])
    return formula


_CONTROLS = {k: f"\\x{k:02x}" for k in (*range(32), *range(127, 160))} | {9: "    ", 10: "\n"}
_CONTROLS |= {k: f"\\u{k:04x}" for k in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))}


def visible(text: str) -> str:
    """Text with the characters that a screen obeys and does not show written as Python writes them.

    >>> visible("y = 1 \x1b[31m")
    'y = 1 \\\\x1b[31m'
    """
    return text.translate(_CONTROLS)


def sentence(text: str, names: Collection[str] = ()) -> str:
    """Text that begins and ends as a sentence does; one of ``names`` or a formula at its beginning is left as it is.

    >>> sentence("no chain of rules was found"), sentence("w_h is cut off."), sentence("half is the value", ["half"])
    ('No chain of rules was found.', 'w_h is cut off.', 'half is the value.')
    >>> sentence("a factor is missing"), sentence("a is the value before tanh")
    ('A factor is missing.', 'a is the value before tanh.')
    """
    first = text.split(" ", 1)[0]
    word = first.isalpha() and first.islower() and len(first) > 1 and first not in names
    text = text[0].upper() + text[1:] if word or _ARTICLE.match(text) else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


_OF_VARIABLE = re.compile(r"(.+) \((\S+)\)")


def merged(names: Collection[str]) -> list[str]:
    """Names of claims; those of one input that a script's variables are meant for become one.

    >>> merged(["w (dw)", "b", "w (dw_again)"])
    ['w (dw and dw_again)', 'b']
    """
    by: dict[str, list[str]] = {}
    for name in names:
        found = _OF_VARIABLE.fullmatch(name)
        by.setdefault(found[1] if found else name, []).extend([found[2]] if found else ())
    return [f"{name} ({listed(of)})" if of else name for name, of in by.items()]


def in_words(claims: str) -> str:
    """What a line claims, as one would say it.

    >>> in_words("d out / d w_h"), in_words("a part of d out / d h[2]")
    ('the derivative of the output by w_h', 'a part of the derivative of the output by h[2]')
    >>> in_words("d an intermediate value / d x")
    'the derivative of an intermediate value by x'
    """
    return re.sub(
        r"\bd (an? [a-z ]+|\S+) / d (\S+)",
        lambda m: f"the derivative of {'the output' if m[1] == 'out' else m[1]} by {m[2]}",
        claims,
    )


# the letter is a variable's name where a verb follows it
_ARTICLE = re.compile(r"an? (?!(?:is|was|has|are|and|or|should|becomes|belongs|lacks|stands|names|holds|says)\b)[a-z]")


def names_in(report: Results) -> frozenset[str]:
    """What the user's own code calls its values."""
    return frozenset((*report.point, *report.claims, *(s.name for s in report.steps)))
