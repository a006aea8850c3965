"""Blocks -> one piece of HTML: its own style, light and dark, nothing fetched from anywhere.

The same blocks as the text; evidence that the short report leaves out folds open under "All the evidence".
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from symgrad.report.blocks import Answer, Block, Code, Footer, Items, Paragraph, Section, Table, Values, blocks
from symgrad.report.report import Report

__all__ = ["render"]

_STYLE = """
.symgrad { --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --code: #f6f8fa; --right: #1a7f37; --wrong: #c4302b;
  --open: #9a6700; color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 48em; }
@media (prefers-color-scheme: dark) { .symgrad { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --code: #161b22;
  --right: #3fb950; --wrong: #ff7b72; --open: #d29922; } }
[data-jp-theme-light="false"] .symgrad, body[data-vscode-theme-kind="vscode-dark"] .symgrad { --ink: #e6edf3;
  --soft: #9198a1; --line: #3d444d; --code: #161b22; --right: #3fb950; --wrong: #ff7b72; --open: #d29922; }
.symgrad .answer { font-size: 1.1em; font-weight: 600; margin: 0 0 .6em; }
.symgrad section { border-left: 3px solid var(--line); margin: .8em 0; padding: 0 0 0 .9em; }
.symgrad h4 { font-size: 1em; margin: 0 0 .3em; }
.symgrad p { margin: .3em 0; }
.symgrad ul { margin: .3em 0; padding-left: 1.3em; }
.symgrad pre, .symgrad td.value { font: 13px/1.45 ui-monospace, monospace; }
.symgrad pre { background: var(--code); margin: .4em 0; overflow-x: auto; padding: .5em .7em; }
.symgrad pre mark { background: none; color: inherit; text-decoration: wavy underline var(--wrong); }
.symgrad table { border-collapse: collapse; color: inherit; font: inherit; margin: .4em 0; }
.symgrad th, .symgrad td { border: none; padding: .1em 1.2em .1em 0; text-align: left; background: none; }
.symgrad th { border-bottom: 1px solid var(--line); }
.symgrad td.value { text-align: right; }
.symgrad .place, .symgrad footer, .symgrad summary { color: var(--soft); font-size: .9em; }
.symgrad .refuted { color: var(--wrong); } .symgrad section.refuted { border-color: var(--wrong); color: inherit; }
.symgrad .proved, .symgrad .agrees { color: var(--right); }
.symgrad section.proved, .symgrad section.agrees { border-color: var(--right); color: inherit; }
.symgrad .undecided { color: var(--open); } .symgrad section.undecided { border-color: var(--open); color: inherit; }
"""


def render(report: Report, *, page: bool = False) -> str:
    """The report as a piece of HTML, or as a page: the short report, and all the evidence folded under it.

    >>> from symgrad import verify
    >>> page = render(verify("x**3", "3*x", wrt="x"))
    >>> '<p class="answer refuted">Wrong: your gradient for x is not the derivative.</p>' in page
    True
    """
    short = "".join(map(_block, blocks(report)))
    full = "".join(_block(b) for b in blocks(report, full=True) if not isinstance(b, Answer))
    piece = (
        f'<div class="symgrad"><style>{_STYLE}</style>{short}'
        f"<details><summary>All the evidence</summary>{full}</details></div>"
    )
    return _PAGE.format(title=escape(blocks(report)[0].text), piece=piece) if page else piece  # type: ignore[union-attr]


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
        case Table(header=header, rows=rows):
            head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
            body = _rows((f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
            return f"<table><tr>{head}</tr>{body}</table>"


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)


def _place(place: str | None) -> str:
    return f'<div class="place">{escape(place)}</div>' if place else ""


def _marked(text: str, span: tuple[int, int] | None) -> str:
    if span is None:
        return escape(text)
    start, stop = span
    return f"{escape(text[:start])}<mark>{escape(text[start:stop])}</mark>{escape(text[stop:])}"
