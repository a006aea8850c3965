"""Blocks -> HTML: laid out by the template beside this file, light and dark, nothing fetched, mathematics as MathML.

The same blocks as the text.  The derivation is a table, source beside mathematics; what the short report leaves out
folds open under "All the evidence".  A whole page has the source with its wrong lines, pictures and copy buttons too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symgrad.checking.results import Claim, Results
from symgrad.report.composition import blocks
from symgrad.report.exact_formulas import formula_of
from symgrad.report.marked_source import files_of, source_of
from symgrad.report.mathml import of_claim, of_code, of_derivative, of_expression
from symgrad.report.page import Answer, Block, Code, Derivation, Folded, Paragraph, Section
from symgrad.report.plots import pictures_of
from symgrad.report.wording import aligned, held_together, visible
from symgrad.report.wrong_lines import REPAIRED

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup


def render_html(report: Results, *, page: bool = False, heading: str = "", repaired: str = REPAIRED) -> str:
    """The report as a piece of HTML, or as a page: the short report, the lines, and all the evidence folded under it.

    ``heading`` is what a page is called; by default it has the names of the files that were judged;
    ``repaired`` says where the repaired code is.

    >>> from symgrad import verify
    >>> piece = render_html(verify("x**3", "3*x", wrt="x"))
    >>> '<p class="answer refuted">Wrong: your gradient for x is not the derivative.</p>' in piece
    True
    """
    short, full = (blocks(report, full=full, repaired=repaired) for full in (False, True))
    lines = [b for b in full if _has_lines(b)]
    rest = [b for b in full if b not in short and b not in lines]
    *above, last = short
    shown = [
        *above,
        *lines,
        *(map(Picture, pictures_of(report)) if page else ()),
        *_folded("The source", source_of(report) if page else ()),
        *_folded("The repaired code", [Code(report.repaired_source)] if report.repaired_source and page else ()),
        *_folded("The formulas", _formulas(report)),
        *_folded("All the evidence", rest),
        last,
    ]
    answer = short[0].text if isinstance(short[0], Answer) else ""
    if not page:
        return render_piece(shown)
    return render_page(shown, heading or ", ".join(files_of(report)), answer)


def render_piece(page: Iterable[Any]) -> str:
    """Blocks as a piece of HTML."""
    return _template().render(blocks=list(page), page=False)


def render_page(page: Iterable[Any], heading: str, answer: str) -> str:
    """Blocks as a whole page, whose title is the heading and the answer."""
    title = ": ".join(filter(None, (heading, answer)))
    return _template().render(blocks=list(page), page=True, heading=heading, title=title)


_LINE = 48  # characters of a formula that a narrow page holds in one line
_COMMAND = re.compile(r"\\[a-zA-Z]{2,}[{^_ \\]")  # of LaTeX


@dataclass(frozen=True)
class Formula:
    """A typeset equation; ``kind`` is "refuted" for yours where it is wrong."""

    lead: str
    math: str
    kind: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawing."""

    svg: str


@dataclass(frozen=True)
class Verbatim:
    """Text in its own lines that is no code."""

    text: str


@dataclass(frozen=True)
class Links:
    """Pages under each other: the kind of each answer, its verdict, what the page is called, where it is, its answer
    and how long it took."""

    rows: tuple[tuple[str, str, str, str, str, str], ...]


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("symgrad.report", ""), autoescape=True, trim_blocks=True, finalize=_finalized
    )
    environment.filters |= {
        "kind": lambda block: type(block).__name__,
        "code": _highlighted,
        "prose": _prose,
        "aligned": aligned,
        "marked": _marked,
        "number_of": lambda place: (place or "").removeprefix("line ").rpartition(":")[2],
        "as_mathematics": lambda text: Markup(of_code(text) or ""),
        "as_fraction": lambda text: "" if text is None else Markup(found) if (found := of_claim(text)) else text,
    }
    return environment.get_template("report.html.jinja")


def _finalized(value: Any) -> Any:
    return visible(value) if type(value) is str else value


def _marked(code: Code) -> Markup:
    """A line of code, the part that is meant in a mark."""
    from markupsafe import Markup

    start, stop = code.span or (len(code.text), len(code.text))
    before, meant, after = code.text[:start], code.text[start:stop], code.text[stop:]
    mark = Markup("<mark>{}</mark>").format(_highlighted(meant)) if meant else Markup("")
    return _highlighted(before) + mark + _highlighted(after)


_SIGNS = r"\w_\w|[a-zA-Z]\w*\.[a-zA-Z]|\w[(\[]|\*\*|\xa0[-+*/@=]\xa0"  # what no word of a sentence has
_CODE = re.compile(rf"`([^`]+)`|(?<![^ ])(?:[^ ]*(?:{_SIGNS})[^ ]*|\w+(?= =\xa0))")


def _prose(text: str) -> Markup:
    """Sentences, their code set as code, and no short formula broken."""
    from markupsafe import Markup

    text, shown, last = held_together(visible(text), _LINE), Markup(""), 0
    for found in _CODE.finditer(text):
        code = found[1] or _bare(found[0])
        start, stop = found.span() if found[1] else (found.start() + found[0].index(code), 0)
        shown += text[last:start] + Markup("<code>{}</code>").format(code)
        last = stop or start + len(code)
    return shown + text[last:]


def _bare(word: str) -> str:
    """A word of code without the sentence's marks: ``(dh_dw),`` is ``dh_dw``, and ``tanh(z).`` is ``tanh(z)``."""
    word = word.rstrip(".,;:")
    if re.fullmatch(r"\([^()]*\)", word):
        return word[1:-1]
    open_ = word.count("(") - word.count(")")
    return word[open_ > 0 and word[0] == "(" : len(word) + min(0, open_)]


def _highlighted(text: str) -> Markup:
    """Python code or LaTeX, its words in spans of Pygments' classes."""
    from markupsafe import Markup
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer, TexLexer

    lexer = (TexLexer if _COMMAND.search(text) else PythonLexer)(stripnl=False, ensurenl=False)
    shown = (highlight(visible(line), lexer, HtmlFormatter(nowrap=True)) for line in text.split("\n"))
    return Markup("\n").join(Markup(line.removesuffix("\n")) for line in shown)


def _folded(title: str, inner: Iterable[Any]) -> Iterator[Folded]:
    inner = tuple(inner)
    if inner:
        yield Folded(title, inner)


def _has_lines(block: Block) -> bool:
    return isinstance(block, Section) and any(isinstance(b, Derivation) for b in block.blocks)


def _formulas(report: Results) -> Iterator[Paragraph | Formula]:
    """The exact derivatives typeset, and yours beside those that differ."""
    if report.counts.get("branches", 1) > 1:
        yield Paragraph("On the branch of the code that your own point takes:")
    for claim in report.claims.values():
        yield Formula(of_derivative(claim.name, report.order), _typeset(formula_of(claim.exact)))
        if claim.kind == "refuted" and claim.hand.outputs:
            yield Formula("yours: ", _typeset(_hand_formula(claim)), "refuted")


def _hand_formula(claim: Claim) -> Any:
    program = claim.hand
    return formula_of(program) if len(program.outputs) == 1 else "of another shape"


def _typeset(formula: Any) -> str:
    from markupsafe import escape

    return str(escape(formula)) if isinstance(formula, str) else of_expression(formula)
