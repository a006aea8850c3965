"""Functions in formulas in LaTeX: their names, their scripts, and where their arguments end."""

from __future__ import annotations

import re

from symgrad.errors import UnknownOperation
from symgrad.lifting.latex.grammar import argument, braced, factor, fenced, plain_name, starts_factor, subscripted
from symgrad.lifting.latex.script_tokens import tokens_of_script
from symgrad.lifting.latex.token_reader import (
    Name,
    Node,
    Reader,
    TwoReadings,
    differential,
    group_length,
    is_slope,
    place,
    spelled,
    starts_name,
)
from symgrad.lifting.latex.tokens import GREEK, RELATIONS, TENSOR_FUNCTIONS, Token, function
from symgrad.lifting.text.lexicon import resolve

_HAVE_INVERSES = frozenset("sin cos tan sec csc cot sinh cosh tanh".split())
_OPEN, _CLOSE = ("(", "[", "\\{"), (")", "]", "\\}")
_ENDS = frozenset("+ - ) ] } , = < > & : ; . * \\} \\rangle \\cdot \\times \\odot \\oslash \\div \\circ".split())
_AFTER = ("\\begin{cases}", "\\sum", "\\prod", "\\int")  # \ln p \sum_i x_i
_ENDS |= frozenset(RELATIONS) | {"\\land", "\\lor"}


def function_call(r: Reader) -> Node | None:
    """``\\sin x``, ``\\operatorname{tr}(A)``, ``\\text{softmax}(z)``; None for what is no function."""
    found = _function_word(r)
    return None if found is None else call(r, *found)


def _function_word(r: Reader) -> tuple[str, int] | None:
    """The function that the next tokens name, and how many tokens that takes; None for one that a row defines."""
    token = r.token
    if token.kind == "text":
        name = function(token.text) if token.text not in r.functions else None
        return None if name is None or len(token.text) < 2 else (name, 1)
    if token.kind != "macro":
        return None
    if (name := function(token.text[1:], macro=True)) is not None:
        return name, 1
    k = 2 if r.peek().text == "*" else 1
    if token.text in ("\\operatorname", "\\mathrm", "\\mathsf", "\\mathit", "\\mathbf") and r.peek(k).kind == "open":
        letters = ""
        while r.peek(k := k + 1).kind in ("letter", "number"):
            letters += r.peek(k).text
        is_word = len(letters) > 1 and r.peek(k).kind == "close" and letters not in r.functions
        name = function(letters) if is_word else None
        return None if name is None else (name, k + 1)
    return None


def call(r: Reader, name: str, count: int, start: int | None = None) -> Node:
    """A function with its scripts and arguments; the next ``count`` tokens, or those from ``start`` on, name it."""
    start = r.token.start if start is None else start
    r.at += count
    shown = r.written(r.since(start))
    power = base = None
    primes = name.count("'")
    name = name.rstrip("'")
    while r.is_sign("^", "_", "'"):
        sign = r.take()
        if sign.text == "'":
            primes += 1
        elif sign.text == "_" and base is None:
            if name != "log":
                r.fail(f"a subscript on {shown} is not read.", (start, r.token.stop))
            base = argument(r, "_")
        elif sign.text == "^" and power is None:
            texts = tokens_of_script(r)
            if name in _HAVE_INVERSES and [t.text for t in texts] == ["-", "1"] and not primes:
                argument(r, "^")
                name = str(function(f"arc{name}"))
            elif texts and texts[0].text == "-":
                r.fail(
                    f"{shown}^{{-1}} is the inverse function to some and the reciprocal to others.",
                    (start, texts[-1].stop),
                    f"Write \\frac{{1}}{{{shown} x}}, or the inverse by its name, such as \\exp.",
                )
            else:
                power = argument(r, "^")
        else:
            r.fail(f"two scripts stand on {shown}.", (start, sign.stop))
    if (row := _with_a_row(r, name, start)) is not None:
        return row if power is None else Node("pow", (row, power), r.since(start))
    args = _arguments(r, name, shown, start)
    whole = r.since(start)
    most = _arity(r, name, shown, len(args), whole)
    if primes and most != 1:
        r.fail(f"{shown} has no derivative to read here.", whole, "Write it out.")
    node = Node("call", args, whole, (name, primes)) if base is None else Node("log_to", (*args, base), whole)
    return node if power is None else Node("pow", (node, power), whole)


def _with_a_row(r: Reader, name: str, start: int) -> Node | None:
    """``\\log f(x; \\lambda)`` as the name that a row says; None of other arguments."""
    mark = r.at
    if name == "log" and (r.token.kind == "letter" or r.token.text[1:] in GREEK):
        node = subscripted(r, plain_name(r))
        if node.head == "symbol" and r.knows(f"log_{spelled(node)}") and r.token.text in ("(", "["):
            fenced(r, commas=True)
            span = r.since(start)
            return Node("symbol", (), span, Name(f"log_{spelled(node)}", "", r.written(span)))
    r.at = mark
    return None


def _arity(r: Reader, name: str, shown: str, given: int, span: tuple[int, int]) -> int | None:
    """The most arguments that the function takes, None for any number."""
    least, most = 1, 1
    if name not in TENSOR_FUNCTIONS.values():
        found = resolve(name)
        if found is None:
            r.fail(f"{shown} is not a function of the table.", span, kind=UnknownOperation)
        _, _, least, most = found
    if name == "log":
        most = 1
    if name in ("max", "min", "maximum", "minimum"):
        least = 2
    if given < least or (most is not None and given > most):
        wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} or {most}"
        r.fail(f"{shown} takes {wanted} argument{'' if wanted == '1' else 's'}, and {given} are given.", span)
    return most


def _arguments(r: Reader, name: str, shown: str, start: int) -> tuple[Node, ...]:
    """The arguments in parentheses, or the one without them."""
    token = r.token
    if token.text in _OPEN:
        inner = fenced(r, commas=True)
        return inner.args if inner.head == "several" else (inner,)
    if token.kind == "open" and r.peek().text in _OPEN and _is_wrapped(r):
        r.at += 1
        found = _arguments(r, name, shown, start)
        r.at += 1
        return found
    if name in ("maximum", "minimum", "max", "min"):
        r.fail(f"{shown} needs parentheses.", (start, token.stop), f"Write {shown}(0, x).")
    if _ends(token):
        if token.text == "-":
            r.fail(f"{shown} is followed by a sign.", (start, token.stop), f"Write {shown}(-x).")
        r.fail(f"{shown} has no argument.", (start, max(token.start, start + 1)), f"Write {shown}(x).")
    if token.kind == "open":
        inner = braced(r)
        if inner.head in ("add", "neg"):
            r.fail(
                "braces are invisible, so it is not clear where the argument ends.",
                (start, inner.span[1]),
                f"Write {shown}\\left({r.written(inner.span)[1:-1].strip()}\\right).",
            )
    else:
        first = token
        inner = factor(r)
        while _goes_on(r, first, inner):
            right = factor(r)
            items = (*inner.args, right) if inner.head == "mul" else (inner, right)
            inner = Node("mul", items, (inner.span[0], right.span[1]), ("",) * (len(items) - 1))
    return (_all_of_it(r, shown, start, inner),)


def _goes_on(r: Reader, first: Token, inner: Node) -> bool:
    """Whether an argument without parentheses goes on: ``\\sin 2\\pi f t``, ``\\cos\\omega t``, ``\\sin kx``.

    One that begins with a number, with pi or with omega takes names; of letters only those that stand together, as
    ``\\ln x y`` may be read in two ways.
    """
    token, before = r.token, r.before
    names = [p for p in (inner.args if inner.head == "mul" else (inner,)) if p.head != "number"]
    if not starts_name(token) or token.kind == "text" or any(p.head != "symbol" for p in names):
        return token.text == "\\frac" and inner.head == "number"
    if differential(r, r.at) or _function_word(r) or is_slope(r, r.at):
        return False
    follows = r.peek(1 + group_length(r, r.at + 2)) if r.peek().text == "_" else r.peek()
    if follows.text in ("(", "[") or (follows.text == "^" and first.kind != "number"):
        return False
    together = before.kind == "letter" and before.stop == token.start
    return together or first.kind == "number" or first.text in ("\\pi", "\\omega")


_SPACE = re.compile(r"\\[,;: ]|\\q?quad|~")


def _is_wrapped(r: Reader) -> bool:
    """Whether braces hold parentheses alone, as SymPy writes it: ``\\sin{\\left(x \\right)}``."""
    depth, k = 0, r.at + 1
    while r.tokens[k].kind != "end":
        depth += (r.tokens[k].text in _OPEN) - (r.tokens[k].text in _CLOSE)
        k += 1
        if depth == 0:
            break
    return r.tokens[k].kind == "close"


def _ends(token: Token) -> bool:
    return token.kind in ("end", "row", "close") or token.text in _ENDS or token.text.startswith("\\end{")


def _goes_no_further(r: Reader) -> bool:
    """Whether what follows an argument without parentheses is surely no part of it."""
    token = r.token
    if _ends(token) or _function_word(r) or token.text in _AFTER or is_slope(r, r.at):
        return True
    return token.text != "/" and (
        not starts_factor(r, token) or bool(_SPACE.search(r.text[r.before.stop : token.start]))
    )


def _all_of_it(r: Reader, shown: str, start: int, inner: Node) -> Node:
    """An argument without parentheses, as far as it goes: ``\\cos x (1 + y)`` has two readings."""
    if _goes_no_further(r):
        return inner
    token, written = r.token, r.written(inner.span)
    called = f"{shown} {written}"
    if called not in r.readings:
        raise TwoReadings(
            f"it is not clear where the argument of {shown} ends.",
            of=called,
            said=f"The argument of {shown} was read as {written} alone, and what follows it as a factor.",
            other=f"The argument of {shown} was read as {written} and all that follows it.",
            where=place(r.text, (start, token.stop)),
            instead=f"Write {shown}({written}) {token.text}... or {shown}({written} {token.text}...).",
        )
    if r.readings[called]:
        return inner
    factors, signs = [inner], []
    while not _goes_no_further(r):
        signs.append("/" if r.accept("/") else "")
        factors.append(factor(r))
    return Node("mul", tuple(factors), (inner.span[0], factors[-1].span[1]), tuple(signs))
