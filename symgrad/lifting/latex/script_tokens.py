"""The tokens of what stands above and below a factor, before they are read: is it a transpose, a name, a place?"""

from __future__ import annotations

from dataclasses import replace

from symgrad.lifting.latex.token_reader import Name, Node, Reader, parts
from symgrad.lifting.latex.tokens import Token, function

MARKS = frozenset("* \\ast \\star \\dagger \\dag + H \\mathsf \\mathrm { }".split())


def tokens_of_script(r: Reader) -> list[Token]:
    """The tokens of a script, which is not read yet, without its braces."""
    if r.token.kind != "open":
        if r.token.text in ("\\mathsf", "\\mathrm") and r.peek().text in ("T", "{"):
            return r.tokens[r.at : r.at + (4 if r.peek().text == "{" else 2)]
        return [r.token]
    depth, k = 0, r.at
    while True:
        depth += {"open": 1, "close": -1}.get(r.tokens[k].kind, 0)
        if r.tokens[k].kind == "end":
            r.fail("this brace is never closed.", r.token.span)
        if depth == 0:
            return r.tokens[r.at + 1 : k]
        k += 1


def is_transpose(tokens: list[Token]) -> bool:
    """Whether these tokens, as an exponent, mean a transpose."""
    words = [t.text for t in tokens]
    if words in (["T"], ["\\top"], ["\\intercal"], ["\\mathsf", "T"], ["\\mathrm", "T"]):
        return True
    return words[1:] == ["{", "T", "}"] and words[0] in ("\\mathsf", "\\mathrm", "\\text", "\\mathtt")


def letters_alone(r: Reader) -> Node | None:
    """``_{hy}``, ``_{max}``, ``_{\\max}``: letters alone, which are no function there."""
    k, found = r.at + 1, []
    while r.tokens[k].kind in ("letter", "number"):
        found.append(r.tokens[k])
        k += 1
    macro = not found and r.tokens[k].kind == "macro" and function(r.tokens[k].text[1:], macro=True) is not None
    if macro:
        found.append(r.tokens[k])
        k += 1
    if r.tokens[k].kind != "close" or not found or found[0].kind == "number" or (len(found) == 1 and not macro):
        return None
    r.at = k + 1
    span = found[0].start, found[-1].stop
    if macro or any(t.kind == "number" for t in found):
        return Node("word", (), span, "".join(t.text for t in found).removeprefix("\\"))
    items = tuple(Node("symbol", (), t.span, Name(t.text, "", t.text)) for t in found)
    return Node("mul", items, span, ("",) * (len(items) - 1))


_COUNTING = frozenset("i j k l m n p q s t".split())


def is_signal(r: Reader, name: Node) -> bool:
    """Whether brackets after a name hold its indices, as of signals: ``x[n-k]`` in a sum, ``y[n] = ...``."""
    if r.token.text != "[" or name.args or name.value.label or name.value.base in r.functions:
        return False
    k, letters = 1, set[str]()
    while (token := r.peek(k)).text != "]":
        if token.kind not in ("letter", "number") and token.text not in ("+", "-", ","):
            return False
        letters |= {token.text} if token.kind == "letter" else set()
        k += 1
    bound = set(r.bound) | (_COUNTING if r.on_left else set())
    return bool(letters & bound) and letters <= bound | _COUNTING


def is_bar(r: Reader) -> bool:
    """Whether a bar stands here with a place below it: ``|_{x=2}``."""
    if r.token.text != "|" or r.peek().text != "_" or r.peek(2).kind != "open":
        return False
    after = [r.peek(k).text for k in range(3, 8)]
    return "=" in after


def separate_at_bar(r: Reader) -> None:
    """Make a comma of the one bar in a parenthesis, ``p(x | \\theta)``: two would stand around an absolute value."""
    depth, bars, k = 0, [], r.at
    while r.tokens[k].kind != "end" and depth >= 0:
        token = r.tokens[k]
        depth += token.kind == "open" or token.text in ("(", "[", "\\{")
        depth -= token.kind == "close" or token.text in (")", "]", "\\}")
        bars += [k] if token.text == "|" else []
        k += 1
    if len(bars) == 1 and not r.tokens[bars[0]].side:
        r.tokens[bars[0]] = replace(r.tokens[bars[0]], kind="sign", text=",")


def is_matrix(node: Node) -> bool:
    """Whether it is written as matrices are, by capital letters: of ``x^*`` the optimum is meant."""
    names = [p for p in parts(node) if p.head == "symbol"]
    return bool(names) and all(p.value.base[0].isupper() for p in names)
