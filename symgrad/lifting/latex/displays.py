r"""The displayed formulas of a text: of an article, of notes in Markdown, of a post; and the questions that they ask.

A display is what stands between ``$$`` and ``$$``, ``\[`` and ``\]``, or in an environment such as ``align``.  What a
line of prose has between single dollars is no display: it names things, and seldom defines them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from symgrad.errors import SymgradError
from symgrad.lifting.latex.equations import equations

_ENVIRONMENTS = "equation|align|alignat|gather|multline|eqnarray|displaymath|flalign"
_DISPLAY = re.compile(
    r"(?<!\\)\$\$(?P<dollars>.+?)(?<!\\)\$\$|\\\[(?P<brackets>.+?)\\\]"
    rf"|\\begin\{{(?P<kind>{_ENVIRONMENTS})\*?\}}(?P<rows>.+?)\\end\{{(?P=kind)\*?\}}",
    re.S,
)
_INLINE = re.compile(rf"{_DISPLAY.pattern}|(?<!\\)\$(?P<inline>[^$]+?)(?<!\\)\$|\\\((?P<round>.+?)\\\)", re.S)
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

    @property
    def claims(self) -> bool:
        """Whether it may say what a derivative is, by what it is written with."""
        return "=" in self.text and _CLAIM.search(self.text) is not None


def displays_in(text: str) -> tuple[Display, ...]:
    r"""The displays of a text, in order.

    >>> displays_in("Let\n$$f(x) = x^2.$$\nThen \\[ f'(x) = 2x \\]")
    (Display(text='f(x) = x^2', line=2), Display(text="f'(x) = 2x", line=3))
    """
    found = []
    for m in _DISPLAY.finditer(text):
        kind = next(k for k in ("dollars", "brackets", "rows") if m[k] is not None)
        body = _LEFT_OUT.sub("", m[kind])
        start = m.start(kind) + len(m[kind]) - len(m[kind].lstrip())
        if body.strip():
            found.append(Display(body.strip().rstrip(".,;").strip(), text.count("\n", 0, start) + 1))
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
    inside = [next(x for x in m.group("dollars", "brackets", "rows", "inline", "round") if x) for m in found]
    rows = [x.strip().rstrip(".,;:").rstrip() for x in inside if "=" in x]
    return " \\\\\n".join(rows) or text


@dataclass(frozen=True)
class FormulaQuestion:
    """Rows that define a function and then claim derivatives of it, the line of the text that the claims are in, and
    those that the rows are in."""

    text: str
    line: int
    lines: tuple[int, ...] = ()


def questions_of(displays: Sequence[Display], unread: dict[int, str] | None = None) -> Iterator[FormulaQuestion]:
    r"""The questions that displays ask, one after another: claims of one function, below all that defines it.

    A claim that cannot be read is left out, and so is one of a function that no row defines; ``unread`` is then told
    why, by line.

    >>> [q.text for q in questions_of(displays_in("$$f = x^2$$ $$f' = 2x$$ $$g = x^3$$ $$\\frac{dg}{dx} = 3x^2$$"))]
    ["f = x^2 \\\\\nf' = 2x", 'f = x^2 \\\\\ng = x^3 \\\\\n\\frac{dg}{dx} = 3x^2']
    """
    defined: dict[str, _Row] = {}  # each function's own row, the last that was written
    waiting: list[_Row] = []
    of, line = "", 0
    unread = {} if unread is None else unread
    for display in displays:
        try:
            rows = [(e.left, _row(display, e.span)) for e in equations(display.text)]
        except SymgradError as error:
            if display.claims:
                unread[display.line] = error.what
            continue
        for left, row in rows:
            name, claims = _name(left), left is not None and left.head == "derivative"
            if waiting and (name != of or not claims):
                yield _joined(defined, of, waiting, line)
                waiting = []
            if not claims:
                defined.pop(name, None)
                defined |= {name: row} if name else {}
            elif name not in defined and name != _A_FORMULA:
                unread[row.line] = f"no row says what {name} is."
            else:
                of, line = name, line if waiting else row.line
                waiting.append(row)
    if waiting:
        yield _joined(defined, of, waiting, line)


@dataclass(frozen=True)
class _Row:
    """An equation, which may go on for more rows, and the line of the text that it begins in."""

    text: str
    line: int

    def lines(self) -> Iterator[int]:
        for found in re.finditer(r"(?:^|\\\\)\s*", self.text):
            yield self.line + self.text.count("\n", 0, found.end())


def _row(display: Display, span: tuple[int, int]) -> _Row:
    return _Row(display.text[slice(*span)], display.line + display.text.count("\n", 0, span[0]))


def _name(left: object) -> str:
    """What an equation is about: the name that it defines, or what it differentiates; "?" for a formula."""
    node = getattr(left, "args", (left,))[0] if getattr(left, "head", "") == "derivative" else left
    return getattr(getattr(node, "value", None), "base", "")


def _joined(defined: Mapping[str, _Row], of: str, claims: list[_Row], line: int) -> FormulaQuestion:
    """The definitions, that of the function which is differentiated last, and the claims below them."""
    above = [row for name, row in defined.items() if name != of] if of in defined else []
    rows = [*above, *([defined[of]] if of in defined else []), *claims]
    return FormulaQuestion(
        " \\\\\n".join(row.text for row in rows), line, tuple(n for row in rows for n in row.lines())
    )
