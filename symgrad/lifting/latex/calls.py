"""Functions in formulas in LaTeX: their names, their scripts, and where their arguments end."""

from __future__ import annotations

from symgrad.errors import UnknownOperation
from symgrad.lifting.latex.grammar import argument, braced, factor, fenced, script_tokens, starts_factor
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.token_reader import Reader, starts_name
from symgrad.lifting.latex.tokens import RELATIONS, TENSOR_FUNCTIONS, Token, function
from symgrad.lifting.text.parser import resolve

_OPEN, _CLOSE = ("(", "[", "\\{"), (")", "]", "\\}")
_ENDS = frozenset("+ - ) ] } , = < > & : ; . * \\} \\rangle \\cdot \\times \\odot \\oslash \\div \\circ".split())
_ENDS |= frozenset(RELATIONS) | {"\\end{cases}", "\\land", "\\lor"}


def function_call(r: Reader) -> Node | None:
    """``\\sin x``, ``\\operatorname{tr}(A)``, ``\\text{softmax}(z)``; None for what is no function."""
    found = _function_word(r)
    return None if found is None else call(r, *found)


def _function_word(r: Reader) -> tuple[str, int] | None:
    """The function that the next tokens name, and how many tokens that takes."""
    token = r.token
    if token.kind == "text":
        name = function(token.text)
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
        name = function(letters) if len(letters) > 1 and r.peek(k).kind == "close" else None
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
            texts = script_tokens(r)
            if texts and texts[0].text == "-":
                r.fail(
                    f"{shown}^{{-1}} is the inverse function to some and the reciprocal to others.",
                    (start, texts[-1].stop),
                    f"Write \\frac{{1}}{{{shown} x}}, or the inverse by its name, such as \\arcsin.",
                )
            power = argument(r, "^")
        else:
            r.fail(f"two scripts stand on {shown}.", (start, sign.stop))
    args = _arguments(r, name, shown, start)
    whole = r.since(start)
    most = _arity(r, name, shown, len(args), whole)
    if primes and most != 1:
        r.fail(f"{shown} has no derivative to read here.", whole, "Write it out.")
    node = Node("call", args, whole, (name, primes)) if base is None else Node("log_to", (*args, base), whole)
    return node if power is None else Node("pow", (node, power), whole)


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
        inner = factor(r)
        if inner.head == "number" and (starts_name(r.token) or r.token.text == "\\frac"):
            right = factor(r)
            inner = Node("mul", (inner, right), (inner.span[0], right.span[1]), ("",))
    _refuse_more(r, shown, start, inner)
    return (inner,)


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
    return token.kind in ("end", "row", "close") or token.text in _ENDS


def _refuse_more(r: Reader, shown: str, start: int, inner: Node) -> None:
    """Refuse what may belong to an argument without parentheses, or not."""
    token = r.token
    if _ends(token) or _function_word(r) or token.text == "\\begin{cases}":
        return
    if token.text != "/" and not starts_factor(r, token):
        return
    written = r.written(inner.span)
    r.fail(
        f"it is not clear where the argument of {shown} ends.",
        (start, token.stop),
        f"Write {shown}({written}) {token.text}... or {shown}({written} {token.text}...).",
    )
