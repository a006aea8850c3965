"""Blocks -> HTML: its own style, light and dark, nothing fetched from anywhere, mathematics as MathML.

The same blocks as the text.  The derivation is a table, source beside mathematics; what the short report leaves out
folds open under "All the evidence".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from symgrad.checking.results import Claim, Results
from symgrad.report.composition import blocks
from symgrad.report.exact_formulas import formula_of
from symgrad.report.mathml import of_claim, of_code, of_derivative, of_expression
from symgrad.report.page import (
    Answer,
    Block,
    Code,
    Derivation,
    Floats,
    Footer,
    Items,
    Line,
    Paragraph,
    Section,
    Table,
    Values,
)

_LIGHT = """--ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --code: #f6f8fa; --right: #1a7f37; --wrong: #c4302b;
  --open: #9a6700; --bad: #fff1f0;"""
_DARK = """--ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --code: #1b2028; --right: #3fb950; --wrong: #ff7b72;
  --open: #d29922; --bad: #3a1d1f;"""
_STYLE = """
.symgrad { %LIGHT color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 56em; }
@media (prefers-color-scheme: dark) { .symgrad { %DARK } }
[data-jp-theme-light="true"] .symgrad, body[data-vscode-theme-kind="vscode-light"] .symgrad { %LIGHT }
[data-jp-theme-light="false"] .symgrad, body[data-vscode-theme-kind="vscode-dark"] .symgrad { %DARK }
@ .answer { font-size: 1.1em; font-weight: 600; margin: 0 0 .6em; }
@ section { border-left: 3px solid var(--line); margin: .8em 0; padding: 0 0 0 .9em; }
@ h4 { font-size: 1em; font-weight: 600; margin: 0 0 .3em; }
@ p { margin: .3em 0; }
@ ul { margin: .3em 0; padding-left: 1.3em; }
@ pre, @ td.value, @ code { color: inherit; font: 13px/1.45 ui-monospace, monospace; }
@ pre { background: var(--code); margin: .4em 0; overflow-x: auto; padding: .5em .7em; }
@ code { background: none; padding: 0; white-space: pre-wrap; }
@ mark { background: none; color: inherit; text-decoration: wavy underline var(--wrong); }
@ table { border-collapse: collapse; color: inherit; font: inherit; margin: .4em 0; }
@ th, @ td { border: none; padding: .1em 1.2em .1em 0; text-align: left; background: none; }
@ th { border-bottom: 1px solid var(--line); font-weight: 600; white-space: nowrap; }
@ tr { background: none; }
@ td.value { text-align: right; }
@ table.derivation td { border-bottom: 1px solid var(--line); padding: .3em .9em .3em .3em; }
@ table.derivation td { vertical-align: middle; }
@ table.derivation tr.wrong td { background: var(--bad); }
@ .place, @ footer, @ summary, @ .soft { color: var(--soft); font-size: .9em; }
@ summary { cursor: pointer; }
@ details { margin: .8em 0; }
@ math { font-size: 1.1em; }
@ .formula { margin: .5em 0; overflow-x: auto; }
@ .refuted, @ td.wrong { color: var(--wrong); }
@ .proved, @ .agrees, @ td.right { color: var(--right); }
@ .undecided { color: var(--open); }
@ section.refuted { border-color: var(--wrong); color: inherit; }
@ section.proved, @ section.agrees { border-color: var(--right); color: inherit; }
@ section.undecided { border-color: var(--open); color: inherit; }
"""
_STYLE = _STYLE.replace("%LIGHT", _LIGHT).replace("%DARK", _DARK)
# The class stands twice, so that a notebook's own rules for tables and code do not win.
_STYLE = _STYLE.replace("@ ", "div.symgrad.symgrad ")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
</head>
<body>
{piece}
</body>
</html>
"""


def render_html(report: Results, *, page: bool = False) -> str:
    """The report as a piece of HTML, or as a page: the short report, the lines, and all the evidence folded under it.

    >>> from symgrad import verify
    >>> piece = render_html(verify("x**3", "3*x", wrt="x"))
    >>> '<p class="answer refuted">Wrong: your gradient for x is not the derivative.</p>' in piece
    True
    """
    short, full = blocks(report), blocks(report, full=True)
    lines = [b for b in full if _has_lines(b)]
    rest = [b for b in full if b not in short and b not in lines]
    *above, last = short
    piece = _styled(
        *map(_block, above),
        *map(_block, lines),
        _folded("The formulas", "".join(_formulas(report))),
        _folded("All the evidence", "".join(map(_block, rest))),
        _block(last),
    )
    answer = short[0]
    return _PAGE.format(title=escape(answer.text), piece=piece) if page and isinstance(answer, Answer) else piece


def render_piece(page: Iterable[Block]) -> str:
    """Blocks as a piece of HTML."""
    return _styled(*map(_block, page))


def _styled(*parts: str) -> str:
    return f'<div class="symgrad"><style>{_STYLE}</style>{"".join(parts)}</div>'


def _folded(title: str, inner: str) -> str:
    return f"<details><summary>{title}</summary>{inner}</details>" if inner else ""


def _has_lines(block: Block) -> bool:
    return isinstance(block, Section) and any(isinstance(b, Derivation) for b in block.blocks)


def _block(block: Block) -> str:
    match block:
        case Answer(text=text, kind=kind):
            return f'<p class="answer {kind}">{escape(text)}</p>'
        case Paragraph(text=text):
            return f"<p>{escape(text)}</p>"
        case Footer(text=text):
            return f"<footer>{escape(text)}</footer>"
        case Section(title=title, blocks=inner, kind=kind):
            return f'<section class="{kind}"><h4>{escape(title)}</h4>{"".join(map(_block, inner))}</section>'
        case Values(lead=lead, rows=rows):
            cells = ((f"<td>{escape(label)}</td>", f'<td class="value">{escape(value)}</td>') for label, value in rows)
            return f"<p>{escape(lead)}</p><table>{_rows(cells)}</table>"
        case Items(items=items):
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
        case Code(text=text, place=place, span=span):
            return f"{_place(place)}<pre>{_marked(text, span)}</pre>"
        case Table(header=header, rows=rows, shades=shades):
            shades = shades or [(0.0,) * len(header)] * len(rows)
            body = _rows(map(_cell, row, heat) for row, heat in zip(rows, shades, strict=True))
            return f"<table>{_head(header)}{body}</table>"
        case Floats(blocks=inner):
            return "".join(map(_block, inner))
        case Derivation(lines=lines):
            head = _head(("line", "as written", "as mathematics", "meant as", "it is"))
            return f'<table class="derivation">{head}{"".join(map(_line, lines))}</table>'


def _cell(text: str, shade: float) -> str:
    heat = f' style="background: color-mix(in srgb, var(--open) {60 * shade:.0f}%, transparent)"' if shade else ""
    return f"<td{heat}>{escape(text)}</td>"


def _line(line: Line) -> str:
    """A row: the source beside its mathematics, what it is meant as, and its verdict."""
    code = f"<code>{_marked(line.code.text, line.code.span)}</code>"
    number = escape((line.code.place or "").removeprefix("line "))
    meant = "" if line.meant is None else of_claim(line.meant) or escape(line.meant)
    error = f' <span class="soft">{escape(line.error)}</span>' if line.error else ""
    kind = line.verdict if line.verdict in ("wrong", "right") else ""
    row = "wrong" if line.verdict == "wrong" else ""
    cells = f'<td class="soft">{number}</td><td>{code}</td><td>{of_code(line.code.text) or ""}</td><td>{meant}</td>'
    return f'<tr class="{row}">{cells}<td class="{kind}">{escape(line.words)}{error}</td></tr>'


def _formulas(report: Results) -> Iterator[str]:
    """The exact derivatives typeset, and yours beside those that differ."""
    if report.counts.get("branches", 1) > 1:
        yield '<p class="soft">On the branch of the code that your own point takes:</p>'
    for claim in report.claims.values():
        name = of_derivative(claim.name, report.order)
        yield f'<div class="formula">{name} {_typeset(formula_of(claim.exact))}</div>'
        if claim.kind == "refuted" and claim.hand.outputs:
            yield f'<div class="formula refuted">yours: {_typeset(_hand_formula(claim))}</div>'


def _hand_formula(claim: Claim) -> Any:
    program = claim.hand
    return formula_of(program) if len(program.outputs) == 1 else "of another shape"


def _typeset(formula: Any) -> str:
    return escape(formula) if isinstance(formula, str) else of_expression(formula)


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)


def _head(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in cells)}</tr>"


def _place(place: str | None) -> str:
    return f'<div class="place">{escape(place)}</div>' if place else ""


def _marked(text: str, span: tuple[int, int] | None) -> str:
    if span is None:
        return escape(text)
    start, stop = span
    return f"{escape(text[:start])}<mark>{escape(text[start:stop])}</mark>{escape(text[stop:])}"
