r"""What each symbol of a question in LaTeX or in text was taken for, so that a misreading is seen at a glance.

>>> from symgrad.lifting.formulas import open_formula
>>> from symgrad.lifting.latex.latex_formula import Latex
>>> for symbol in symbols_of([open_formula(Latex(r"f = \sum_{k=1}^m w_k \sigma(x_k)"))], {"w": ("m",), "x": ("m",)}):
...     print(f"{symbol.shown}: {symbol.what}")
w: an input, a vector of m entries
x: an input, a vector of m entries
f: what its row says
k: an index
m: a size
\sigma: the logistic function
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.lifting.formulas import Formula, Several, Symbolic
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.token_reader import Node, parts
from symgrad.lifting.text.parser import SIGNS
from symgrad.lifting.text.step_list import Steps, text_of
from symgrad.lifting.text.text_formula import Text
from symgrad.lifting.whole_questions import Defined


@dataclass(frozen=True)
class Symbol:
    """A symbol as it is ``shown`` in the question, its ``kind`` (input, defined, index, size, function, number or
    sign), and ``what`` it was taken for, in words.
    """

    shown: str
    kind: str
    what: str


_ORDER = ("input", "defined", "index", "size", "number", "function", "sign")
_TYPED = re.compile(r"\\(?:operatorname|mathrm|text)\s*\{[^}]*\}|\\[A-Za-z]+|[^\W\d]\w*")
_FUNCTIONS = {"log": "the natural logarithm", "sigmoid": "the logistic function", "abs": "the absolute value"}
_FUNCTIONS |= {"exp": "the exponential", "det": "the determinant", "tr": "the trace", "total": "the sum of all entries"}
_SIGNS = {"transpose": "the transpose", "norm": "the norm", "delta": "one where the indices are equal, else zero"}
_SIGNS |= {"identity": "the identity matrix", "ones": "a vector of ones", "indicator": "one where it holds, else zero"}


def symbols_of(formulas: Sequence[Any], shapes: Mapping[str, Sequence[Any]]) -> tuple[Symbol, ...]:
    """The symbols of formulas in LaTeX and in text, each once, inputs first; ``shapes`` are those of the inputs.

    Formulas of other kinds have none: what a name in code is, the code says.
    """
    found = dict.fromkeys(s for formula in formulas for s in _symbols(formula, shapes))
    first: dict[tuple[str, str], Symbol] = {}
    for symbol in found:
        first.setdefault((symbol.shown, symbol.kind), symbol)
    return tuple(sorted(first.values(), key=lambda s: _ORDER.index(s.kind)))


def _symbols(formula: Formula, shapes: Mapping[str, Sequence[Any]]) -> Iterator[Symbol]:
    match formula:
        case Latex():
            yield from _of_latex(formula, shapes)
        case Symbolic(source=Text() as text):
            yield from _of_text(text, shapes)
        case Steps():
            yield from _of_steps(formula, shapes)
        case Defined():
            yield from _of_steps(formula.steps, shapes)
        case Several():
            for part in formula.parts.values():
                yield from _symbols(part, shapes)
        case _ if getattr(formula, "formula", None) is not None:
            yield from _symbols(formula.formula, shapes)  # type: ignore[attr-defined]


def _input(shown: str, name: str, shapes: Mapping[str, Sequence[Any]]) -> Symbol:
    shape = [str(n) for n in shapes.get(name, ())]
    match shape:
        case []:
            what = "a number"
        case [n]:
            what = f"a vector of {n} {'entry' if n == '1' else 'entries'}"
        case [n, m]:
            what = f"a matrix, {n} by {m}"
        case _:
            what = f"an array of the shape ({', '.join(shape)})"
    return Symbol(shown, "input", f"an input, {what}")


def _function(shown: str, name: str) -> Symbol:
    return Symbol(shown, "function", _FUNCTIONS.get(name, f"the function {name}"))


# --------------------------------------------------------------------------------------------------------------- LaTeX


def _of_latex(formula: Latex, shapes: Mapping[str, Sequence[Any]]) -> Iterator[Symbol]:
    document, text = formula.document, formula.text

    def typed(node: Node) -> str | None:
        match = _TYPED.match(text[slice(*node.span)])
        return match[0] if match else None

    for name in document.names:
        yield _input(name, formula.rename.get(name, name), shapes)
    bodies = [b for line in (*document.lines, *document.functions) for b in line.sides]
    for line in document.functions:
        yield Symbol(str(line.name), "function", "a function that a row defines")
    for line in document.definitions:
        if line.name is not None and not line.arguments:
            yield Symbol(line.name, "defined", "what its row says")
    for size in sorted(document.sizes):
        yield Symbol(size, "size", "a size")
    for node in (p for body in bodies for p in parts(body)):
        match node.head:
            case "index" | "sum" | "prod" if isinstance(node.value, str):
                yield Symbol(node.value, "index", "an index")
            case "call":
                yield _function(typed(node) or node.value[0], node.value[0])
            case "constant":
                yield Symbol(typed(node) or "\\pi", "number", "the number 3.14159...")
            case "e":
                yield Symbol("e", "number", "the number 2.71828...")
            case "delta":
                yield Symbol("\\delta", "function", _SIGNS["delta"])
            case head if head in _SIGNS:
                sign = {"transpose": "^T", "norm": "\\|...\\|"}.get(head, typed(node) or head)
                yield Symbol(sign, "sign", _SIGNS[head])


# ---------------------------------------------------------------------------------------------------------------- text

_PLAIN = frozenset("number name add sub mul div pow neg compare and or not where entry tensor".split())


def _of_text(
    text: Text, shapes: Mapping[str, Sequence[Any]], defined: Mapping[str, str] | None = None
) -> Iterator[Symbol]:
    """The symbols of one text; ``defined`` are names that other lines define or claim, and how they are shown."""
    told = defined or {}
    for node in text.tree.nodes:
        typed = _TYPED.match(text.text[slice(*node.span)])
        if node.sign is not None:
            yield Symbol(node.sign, "sign", SIGNS[node.sign])
            continue
        match node.head:
            case "name" if node.constant:
                yield Symbol(node.value, "number", "the number 3.14159...")
            case "name" if node.value in told:
                yield Symbol(told[node.value], "defined", "what its line says")
            case "name":
                yield _input(node.value, node.value, shapes)
            case "entry":
                for letter in (x for x in node.value if isinstance(x, str)):
                    yield Symbol(letter, "index", "an index")
            case "tensor" if node.value[0] in ("transpose", "matmul"):
                sign, what = {"transpose": (".T", "the transpose"), "matmul": ("@", "the product of matrices")}[
                    node.value[0]
                ]
                yield Symbol(sign, "sign", what)
            case "tensor":
                yield Symbol(node.value[0], "function", f"{node.value[0]}, of a whole array")
            case "lower":
                yield _function(node.value.__name__, node.value.__name__)
            case head if head not in _PLAIN and typed is not None:
                yield _function(typed[0] if typed[0] not in text.names else head, head)


def _of_steps(steps: Steps, shapes: Mapping[str, Sequence[Any]]) -> Iterator[Symbol]:
    names = {n: n for n in steps.definitions}
    for line in steps.lines:
        told = {made: f"d{of[0]}/d{of[1]}" for made, of in line.uses.items()}
        yield from _of_text(text_of(line), shapes, {**names, **told})
