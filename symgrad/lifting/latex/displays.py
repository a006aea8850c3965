r"""The displayed formulas of a text: of an article, of notes in Markdown, of a post; and the questions that they ask.

A display is what stands between ``$$`` and ``$$``, ``\[`` and ``\]``, or in an environment such as ``align``.  What a
line of prose has between single dollars is no display: it names things, ``$n = 3$``, and claims nothing that is asked
about.  But a function that no display defines is what the prose says of it, ``$f(x) = x^2$``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from symgrad.errors import SymgradError
from symgrad.lifting.latex.defined_macros import with_macros_written_out
from symgrad.lifting.latex.equations import Equation, equations
from symgrad.lifting.latex.token_reader import called_names, parts

_ENVIRONMENTS = "equation|align|alignat|gather|multline|eqnarray|displaymath|flalign"
_DISPLAY = re.compile(
    r"(?<!\\)\$\$(?P<dollars>.+?)(?<!\\)\$\$|\\\[(?P<brackets>.+?)\\\]"
    rf"|\\begin\{{(?P<kind>{_ENVIRONMENTS})\*?\}}(?P<rows>.+?)\\end\{{(?P=kind)\*?\}}",
    re.S,
)
_INLINE = re.compile(rf"{_DISPLAY.pattern}|(?<!\\)\$(?P<inline>[^$]+?)(?<!\\)\$|\\\((?P<round>.+?)\\\)", re.S)
_GROUPS = ("dollars", "brackets", "rows", "inline", "round")
_CLAIM = re.compile(
    r"\\[dt]?frac\s*\{\s*(?:d|\\partial|\\mathrm\s*\{d\}|\\text\s*\{d\})|\\nabla|[A-Za-z]'|\\p?dv\b|^\s*[d∂]\w*\s*/\s*[d∂]",
    re.M,
)
_MACRO = re.compile(r"\\[A-Za-z]+")
_A_FORMULA = "?"  # what is differentiated where the left side has no name for it
_LEFT_OUT = re.compile(r"\\(?:label|tag)\s*\{[^{}]*\}|\\(?:nonumber|notag)\b|(?<!\\)%.*")


@dataclass(frozen=True)
class Display:
    """One displayed formula, or rows of them, and the line of the text that it begins in (from 1)."""

    text: str
    line: int
    inline: bool = field(default=False, repr=False)  # whether it stands in a line of prose

    @property
    def claims(self) -> bool:
        """Whether it may say what a derivative is, by what it is written with."""
        return not self.inline and "=" in self.text and _CLAIM.search(self.text) is not None


def displays_in(text: str) -> tuple[Display, ...]:
    r"""The displays of a text, in order, and the equations that stand in its prose.

    >>> displays_in("Let\n$$f(x) = x^2.$$\nThen \\[ f'(x) = 2x \\]")
    (Display(text='f(x) = x^2', line=2), Display(text="f'(x) = 2x", line=3))
    """
    found = []
    for m in _INLINE.finditer(text := with_macros_written_out(text)):
        kind = next(k for k in _GROUPS if m[k] is not None)
        inline = kind in ("inline", "round")
        body = _LEFT_OUT.sub("", m[kind])
        start = m.start(kind) + len(m[kind]) - len(m[kind].lstrip())
        if body.strip() and (not inline or "=" in body):
            found.append(Display(body.strip().rstrip(".,;").strip(), text.count("\n", 0, start) + 1, inline))
    return tuple(found)


def without_prose(text: str) -> str:
    r"""The equations of a text in which prose stands between formulas, a row for each; a text without prose as it is.

    >>> print(without_prose(r"Let $y = x^2$, a function of $x$. By the power rule, $$\frac{dy}{dx} = 2x.$$"))
    y = x^2 \\
    \frac{dy}{dx} = 2x
    """
    found = list(_INLINE.finditer(text))
    ends = [0, *(k for m in found for k in m.span()), len(text)]
    outside = [text[a:b] for a, b in zip(ends[::2], ends[1::2], strict=True)]
    if not found or not any(re.search(r"[A-Za-z]{2}", _MACRO.sub("", part)) for part in outside):
        return text
    if all(m["kind"] for m in found) and any("=" in part or "\\" in part for part in outside):
        return text  # formulas stand around the environment, too
    inside = [next(x for x in m.group(*_GROUPS) if x) for m in found]
    rows = [x.strip().rstrip(".,;:").rstrip() for x in inside if "=" in x]
    return " \\\\\n".join(rows) or text


@dataclass(frozen=True)
class FormulaQuestion:
    """Rows that define a function and then claim derivatives of it, the line of the text that the claims are in, and
    those that the rows are in."""

    text: str
    line: int
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Said:
    """An equation, which may go on for more rows, and the line of the text that it begins in; the names in it and its
    arguments, and whether a line of prose has it."""

    text: str
    line: int
    names: frozenset[str]
    arguments: tuple[str, ...]
    inline: bool

    def lines(self) -> Iterator[int]:
        for found in re.finditer(r"(?:^|\\\\)\s*", self.text):
            yield self.line + self.text.count("\n", 0, found.end())


def questions_of(displays: Sequence[Display], unread: dict[int, str] | None = None) -> Iterator[FormulaQuestion]:
    r"""The questions that displays ask, one after another: claims of one function, below all that defines it.

    A claim that cannot be read is left out, and so is one of a function that no row defines; ``unread`` is then told
    why, by line.

    >>> [q.text for q in questions_of(displays_in("$$f = x^2$$ $$f' = 2x$$ $$g = x^3$$ $$\\frac{dg}{dx} = 3x^2$$"))]
    ["f = x^2 \\\\\nf' = 2x", 'f = x^2 \\\\\ng = x^3 \\\\\n\\frac{dg}{dx} = 3x^2']
    >>> [q.text for q in questions_of(displays_in("Let $f(x) = x^2$ and $n = 3$. Then $$f'(x) = 2x.$$"))]
    ["f(x) = x^2 \\\\\nf'(x) = 2x"]
    """
    defined: dict[str, _Said] = {}  # each function's own row, the last that was written
    waiting: list[_Said] = []
    of, line = "", 0
    unread = {} if unread is None else unread
    functions = _functions(displays)
    for display in displays:
        try:
            rows = equations(display.text, functions=functions)
        except SymgradError as error:
            if display.claims:
                unread[display.line] = error.what
            continue
        for e in rows:
            name, claims = _name(e.left), e.left is not None and e.left.head == "derivative"
            said = _said(e, display)
            if display.inline and (claims or not _explains(said, name, defined.get(name))):
                continue
            if waiting and (name != of or not claims) and (not display.inline or name == of):
                yield _joined(defined, of, waiting, line)
                waiting = []
            if not claims:
                defined.pop(name, None)
                defined |= {name: said} if name else {}
            elif name not in defined and name != _A_FORMULA:
                unread[said.line] = f"no row says what {name} is."
            else:
                of, line = name, line if waiting else said.line
                waiting.append(said)
    if waiting:
        yield _joined(defined, of, waiting, line)


def _functions(displays: Sequence[Display]) -> dict[str, tuple[str, ...]]:
    """The functions that rows define, with their arguments: any row may call them."""
    found: dict[str, tuple[str, ...]] = {}
    for _ in range(2):  # of which some call others
        for display in displays:
            with contextlib.suppress(SymgradError):
                rows = equations(display.text, functions=found)
                for e in rows:
                    names = called_names(e.left) if e.left is not None and e.left.head == "symbol" else ()
                    found |= dict.fromkeys(names if e.arguments else (), tuple(a.value.base for a in e.arguments))
    return found


def _explains(said: _Said, name: str, before: _Said | None) -> bool:
    """Whether a row in prose says what a function is: ``y = 1`` is its value somewhere."""
    is_new = before is None or (before.inline and bool(said.arguments))
    return is_new and bool(said.names - {name})


def _said(e: Equation, display: Display) -> _Said:
    nodes = (p for x in (*e.bodies, *([e.left] if e.left is not None else [])) for p in parts(x))
    names = frozenset(p.value.base for p in nodes if p.head == "symbol")
    line = display.line + display.text.count("\n", 0, e.span[0])
    return _Said(display.text[slice(*e.span)], line, names, tuple(a.value.base for a in e.arguments), display.inline)


def _name(left: object) -> str:
    """What an equation is about: the name that it defines, or what it differentiates; "?" for a formula."""
    node = getattr(left, "args", (left,))[0] if getattr(left, "head", "") == "derivative" else left
    return getattr(getattr(node, "value", None), "base", "")


def _joined(defined: Mapping[str, _Said], of: str, claims: Sequence[_Said], line: int) -> FormulaQuestion:
    """The definitions, that of the function which is differentiated last, and the claims below them.

    Of those that stand in prose, that of the function itself, and of functions that the others call.
    """
    shown = {n: row for n, row in defined.items() if not row.inline or n == of}
    while more := {
        n: row
        for n, row in defined.items()
        if n not in shown and row.arguments and any(n in x.names for x in (*shown.values(), *claims))
    }:
        shown |= more
    above = [defined[n] for n in defined if n in shown and n != of]
    rows = [*above, *([defined[of]] if of in defined else []), *claims]
    return FormulaQuestion(
        " \\\\\n".join(row.text for row in rows), line, tuple(n for row in rows for n in row.lines())
    )
