"""Names in formulas in LaTeX, with their fonts and accents; words without a backslash; what may be a function."""

from __future__ import annotations

import re
from dataclasses import replace

from symgrad.errors import BadFormula, UnknownOperation
from symgrad.lifting.latex.grammar import (
    argument,
    braced,
    factor,
    fenced,
    plain_name,
    starts_factor,
    subscript,
    subscripted,
)
from symgrad.lifting.latex.indicators import indicator
from symgrad.lifting.latex.script_tokens import tokens_of_script
from symgrad.lifting.latex.token_reader import (
    Name,
    Node,
    Reader,
    TwoReadings,
    Undecided,
    called_names,
    differential,
    group_length,
    is_slope,
    place,
    spelled,
    starts_name,
)
from symgrad.lifting.latex.tokens import (
    ACCENTS,
    FONTS,
    GREEK,
    LIKE_FUNCTIONS,
    RELATIONS,
    TENSOR_FUNCTIONS,
    WORDS,
    Token,
    function,
)
from symgrad.lifting.text.lexicon import resolve
from symgrad.ops.scalars import unknown

# --------------------------------------------------------------------------------------------------------------- calls
# Functions in formulas in LaTeX: their names, their scripts, and where their arguments end.

_HAVE_INVERSES = frozenset("sin cos tan sec csc cot sinh cosh tanh".split())
_OPEN, _CLOSE = ("(", "[", "\\{"), (")", "]", "\\}")
_ENDS = frozenset("+ - ) ] } , = < > & : ; . * \\} \\rangle \\cdot \\times \\odot \\oslash \\div \\circ".split())
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
    _refuse_more(r, shown, start, inner)
    return (inner,)


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


def _refuse_more(r: Reader, shown: str, start: int, inner: Node) -> None:
    """Refuse what may belong to an argument without parentheses, or not."""
    token = r.token
    if _ends(token) or _function_word(r) or token.text == "\\begin{cases}" or is_slope(r, r.at):
        return
    if token.text != "/" and (not starts_factor(r, token) or _SPACE.search(r.text[inner.span[1] : token.start])):
        return
    written = r.written(inner.span)
    r.fail(
        f"it is not clear where the argument of {shown} ends.",
        (start, token.stop),
        f"Write {shown}({written}) {token.text}... or {shown}({written} {token.text}...).",
    )


# --------------------------------------------------------------------------------------------------------------- names

_OF_ONE_LETTER = frozenset("bold sans blackboard fraktur".split())
_REMARKS = frozenset("if where for and or otherwise else".split())


# ---------------------------------------------------------------------------------------------------- fonts and accents
def bare_name(r: Reader) -> Node:
    """A name without scripts: a letter, a Greek letter, an accented or styled name, a word."""
    token = r.token
    word = token.text[1:]
    if token.kind == "letter" or word in GREEK:
        return plain_name(r)
    if token.kind == "text":
        return _word(r, r.take().text, token.span, "")
    return _accented(r, word) if word in ACCENTS else _styled(r, word)


def sure_name(r: Reader) -> Node:
    """A name, where a number in a font would be none."""
    node = bare_name(r)
    if node.head != "symbol":
        r.fail("this is no name.", node.span)
    return node


def _scripted_name(r: Reader) -> Node:
    """A name with its subscript."""
    name = sure_name(r)
    return Node("symbol", subscript(r), r.since(name.span[0]), name.value) if r.accept("_") else name


def _inner_name(r: Reader, opening: Token | None, refusal: str) -> Node:
    """The one name that an accent or a font has: in braces with its subscript, bare without."""
    r.deeper()
    inner = sure_name(r) if opening is None else _scripted_name(r)
    r.depth -= 1
    if opening is not None:
        if r.token.kind != "close":
            r.fail(refusal, (opening.start, r.token.stop))
        r.at += 1
    return inner


def _accented(r: Reader, word: str) -> Node:
    start = r.take()
    opening = r.take() if r.token.kind == "open" else None
    if not starts_name(r.token):
        r.fail(f"\\{word} stands over a name.", r.token.span)
    inner = _inner_name(r, opening, f"\\{word} stands over one name.")
    name, span = inner.value, r.since(start.start)
    style = "bold" if not ACCENTS[word] else name.style
    return Node("symbol", inner.args, span, Name(name.base + ACCENTS[word], style, r.written(span)))


def _styled(r: Reader, word: str) -> Node:
    """``\\mathbf{x}``, ``\\mathrm{loss}``, ``\\operatorname{softmax}``."""
    _write_letters_apart(r, FONTS.get(word, ""))
    start, style = r.take(), FONTS.get(word, "")
    if word == "operatorname":
        r.accept("*")
    opening = r.take() if r.token.kind == "open" else None
    if r.token.kind == "number" and (opening is None or r.peek().kind == "close"):
        return _styled_number(r, start, style, braces=opening is not None)
    if opening is None:
        if not starts_name(r.token):
            r.fail(f"\\{word} needs a name.", r.token.span, f"Write \\{word}{{x}}.")
        inner = _inner_name(r, None, "")
        name = inner.value
        return Node("symbol", (), (start.start, inner.span[1]), Name(name.base, style or name.style, name.base))
    if starts_name(r.token) and r.token.kind == "macro":
        inner = _inner_name(r, opening, f"\\{word} holds one name.")
        name, span = inner.value, r.since(start.start)
        return Node("symbol", inner.args, span, Name(name.base, style or name.style, r.written(span)))
    inside = ""
    while r.token.kind in ("letter", "number") or r.token.text in ("-", "\\_"):
        inside += r.take().text.removeprefix("\\")
    if r.token.kind == "end":
        r.fail("this brace is never closed.", opening.span)
    if r.token.kind != "close" or not inside:
        r.fail(f"\\{word} holds one name.", (opening.start, r.token.stop))
    r.at += 1
    return _styled_word(r, word, inside, r.since(start.start), style)


def _write_letters_apart(r: Reader, style: str) -> None:
    """``\\mathbf{AXB}`` as ``\\mathbf{A}\\mathbf{X}\\mathbf{B}``, where that is meant: scripts stand on the last."""
    count = 1 + group_length(r, r.at + 1) if r.peek().kind == "open" else 0
    inside = r.tokens[r.at + 2 : r.at + count - 1]
    if style not in _OF_ONE_LETTER or len(inside) < 2 or any(t.kind != "letter" for t in inside):
        return
    font, word, span = r.token, "".join(t.text for t in inside), (r.token.start, r.tokens[r.at + count - 1].stop)
    written = r.written(span)
    if r.knows(word) or word in r.functions or word in r.words or r.on_left:
        return
    if not (r.readings.get(written) or (r.known is not None and r.known.issuperset(t.text for t in inside))):
        raise TwoReadings(
            f"{font.text} of {len(inside)} letters is their product to some and one name to others.",
            of=written,
            said=f"{written} was read as the product of its letters; \\mathrm{{{word}}} is one name.",
            where=place(r.text, span),
            instead=f"Write \\mathrm{{{word}}} for one name, or {font.text} for each letter.",
        )
    braces = r.tokens[r.at + 1], r.tokens[r.at + count - 1]
    r.tokens[r.at : r.at + count] = [t for x in inside for t in (font, braces[0], x, braces[1])]


def _styled_word(r: Reader, font: str, letters: str, span: tuple[int, int], style: str) -> Node:
    if len(letters) > 1 and style in _OF_ONE_LETTER:
        r.fail(
            f"\\{font} of {len(letters)} letters is their product to some and one name to others.",
            span,
            f"Write \\mathrm{{{letters}}} for one name, or \\{font} for each letter.",
        )
    if letters == "d" and font == "mathrm" and starts_name(r.token):
        r.fail("\\mathrm{d} stands for a differential.", span, "For the product write d \\cdot x.", Undecided)
    applied = starts_name(r.token) or r.token.text in ("(", "[", "\\{", "{")
    said = r.on_left or letters in r.functions or letters in (r.known or ())  # a row says what it is
    if font == "operatorname" and applied and not said:
        raise _unknown(r, letters, span)
    return _word(r, letters, span, style)


def _unknown(r: Reader, word: str, span: tuple[int, int]) -> Undecided:
    """A word that is called, and that a row of the model may define."""
    error = unknown(word, place(r.text, span))
    instead = f"Add a row that says what it is, \\operatorname{{{word}}}(x) = ..., or symgrad.define({word!r}, ...)."
    return Undecided(error.what, where=error.where, instead=instead)


def _styled_number(r: Reader, start: Token, style: str, *, braces: bool) -> Node:
    """``\\mathbf{1}`` is a vector of ones, or an indicator where a condition follows."""
    token = r.take()
    if token.text not in ("0", "1") or style not in ("bold", "blackboard"):
        span = (start.start, token.stop)
        r.fail(f"{r.written(span)} is not read.", span, "Write the number alone.")
    r.at += braces
    return Node("ones" if token.text == "1" else "zeros", (), r.since(start.start))


def _word(r: Reader, letters: str, span: tuple[int, int], style: str) -> Node:
    letters = letters.replace("\\_", "_")
    clean = "".join(c if c.isalnum() or c in "_'" else "_" for c in letters).strip("_")
    if not clean:
        r.fail("text is not part of a formula.", span, "Leave it out.")
    if clean in ("e", "pi") and not style and r.text[span[0] :].startswith("\\mathrm"):
        return Node("e" if clean == "e" else "symbol", (), span, Name("pi", "", "\\pi"))
    if " " in letters.strip() or letters.strip().lower() in _REMARKS:
        r.fail("text is not part of a formula.", span, "Leave it out; conditions stand in \\begin{cases}.")
    return Node("symbol", (), span, Name(clean, style, letters))


# ----------------------------------------------------------------------------------------------- names that are factors
def letters(r: Reader) -> Node:
    """A letter; or, where letters stand together, a function's name that lacks its backslash."""
    run = [r.token]
    while (after := r.peek(len(run))).kind == "letter" and after.start == run[-1].stop:
        run.append(after)
    inside = r.at > 0 and r.before.kind == "letter" and r.before.stop == run[0].start
    word, span = "".join(t.text for t in run), (run[0].start, run[-1].stop)
    if len(run) == 1 or inside:
        return named(r)
    if word in r.words:
        r.at += len(run)
        return _scripted(r, Node("symbol", (), span, Name(word, "", word)))
    opens = after.text in ("(", "[", "\\{") or (after.kind == "open" and r.peek(len(run) + 1).text == "(")
    if opens and (word in WORDS or (len(word) > 3 and function(word) is not None)):
        if word in ("asin", "acos", "atan"):
            r.fail(f"{word} is a function to some and a\\{word[1:]} to others.", span, f"Write \\arc{word[1:]}.")
        if word == "sqrt":
            r.at += len(run)
            inner = fenced(r)
            return Node("root", (inner,), (span[0], inner.span[1]), 2)
        return call(r, str(function(word)), len(run))
    if word in WORDS:
        r.fail(f"{word} without a backslash is the product of its letters.", span, f"Write \\{word}.")
    ending = next((w for w in sorted(WORDS, key=len, reverse=True) if word.endswith(w)), None)
    if opens and ending is not None:
        instead = f"Write {word.removesuffix(ending)} \\{ending}(...)."
        r.fail(f"{word}(...) holds the function {ending}, or is a product.", span, instead)
    if opens and (len(word) > 2 or function(word) is not None):
        r.fail(
            f"{word}(...) is a product of {len(word)} letters in LaTeX, and looks like a function.",
            span,
            f"Write \\operatorname{{{word}}}(...), or the factors with spaces: {' '.join(word)} (...).",
        )
    if r.knows(word) or (len(word) > 3 and not _are_factors(r, word)):
        r.fail(
            f"{word} is a product of {len(word)} letters in LaTeX, and looks like one name.",
            span,
            f"Write \\mathrm{{{word}}} for the name, or the factors with spaces: {' '.join(word)}.",
            Undecided if _VOWELS.isdisjoint(word) else BadFormula,  # the model may have the letters
        )
    if len(word) == 2 and word[0] == "d" and not r.knows("d"):
        r.fail(f"{word} looks like a differential.", span, f"For the product write d \\cdot {word[1]}.", Undecided)
    return named(r)


_VOWELS = frozenset("aeiouyAEIOUY")


def _are_factors(r: Reader, word: str) -> bool:
    """Whether a word that nobody can speak, ``GMmr``, has letters that all stand elsewhere."""
    runs = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{1,3}(?![A-Za-z])", r.context)
    return _VOWELS.isdisjoint(word) and set(word) <= set("".join(runs))


def named(r: Reader) -> Node:
    """A name with its scripts, and a call where a parenthesis follows one that is a function."""
    node = bare_name(r)
    if node.head != "symbol":
        return indicator(r, node) if node.head == "ones" else node
    if node.value.base == "I" and node.value.style == "blackboard" and r.token.text in ("(", "[", "_"):
        return indicator(r, node)
    return _scripted(r, node)


def _scripted(r: Reader, node: Node) -> Node:
    node = subscripted(r, node)
    return _before_parenthesis(r, node) if r.is_sign("(", "[", "\\{") else node


def _call_of_row(r: Reader, node: Node) -> Node | None:
    """A call of a function that a row defines, or of its derivative; None for another name."""
    base = node.value.base.replace("_prime", "")
    name = replace(node, value=replace(node.value, base=base))
    if r.functions.isdisjoint(called_names(name)):
        return None
    inner = fenced(r, commas=True)
    given = inner.args if inner.head == "several" else (inner,)
    return Node("apply", (name, *given), r.since(node.span[0]), node.value.base.count("_prime"))


def _by_name(letter: str) -> str:
    """What to write for a function that has a letter in books."""
    known = {"psi": "digamma function", "Phi": "normal distribution function", "N": "normal distribution function"}
    name = "digamma" if letter == "psi" else "ndtr"
    return f"; the {known[letter]} is \\operatorname{{{name}}}" if letter in known else ""


_ANY = frozenset("f g F G".split())  # what an unknown function is called; psi may be the digamma function
_CONTEXT = {  # a letter that is a function beside what is written so
    "phi": ("\\Phi", "N("),
    "varphi": ("\\Phi", "N("),
    "psi": ("\\Gamma", "\\psi_1", "digamma", "B(\\alpha"),
}


def _by_letter(r: Reader, node: Node) -> Node | None:
    """A call of the function that a letter is in books: ``\\Phi(x)``, ``N(d_1)``, ``J_0(x)``; None for others."""
    primes, base = node.value.base.count("_prime"), node.value.base.replace("_prime", "")
    order = [x.value for x in node.args if x.head == "number" and x.value.denominator == 1]
    if node.value.style or node.value.label or len(order) < len(node.args) or len(order) > 1:
        return None
    if base == "B" and not (primes or order):
        return _beta(r, node)
    if any(mark not in ("psi", "J") for mark in (base,) if order) or (base == "J" and not order):
        return None
    inside = "".join(t.text for t in r.tokens[r.at + 1 : r.at + 3]).removeprefix("-")
    if base == "N" and not inside.startswith("d"):
        return None
    if base not in ("Phi", "N", "J") and not any(x in r.context for x in _CONTEXT.get(base, ())):
        return None
    mark, inner = r.at, fenced(r)
    if order and (primes or inner.head == "add"):
        r.at = mark
        return None
    span = r.since(node.span[0])
    if order:
        n = Node("number", (), node.args[0].span, order[0])
        return Node("call", (n, inner), span, ("besselj" if base == "J" else "polygamma", 0))
    name = "digamma" if base == "psi" else "ndtr"
    return Node("call", (inner,), span, (name, primes + (base in ("phi", "varphi"))))


def _beta(r: Reader, node: Node) -> Node | None:
    """``B(\\alpha, \\beta)``, Euler's function, beside what has to do with it; None for another B."""
    mark, inner = r.at, fenced(r, commas=True)
    beside = any(x in r.context for x in ("\\Gamma", "\\psi", "digamma")) or "\\alpha" in r.written(inner.span)
    if inner.head != "several" or len(inner.args) != 2 or not beside:
        r.at = mark
        return None
    return Node("call", inner.args, r.since(node.span[0]), ("beta", 0))


def _is_called(r: Reader, letter: str) -> bool:
    """Whether a letter stands before different names in parentheses, or before what an integral runs over."""
    around = set(re.findall(rf"{re.escape(letter)}\s*\(\s*(\\?\w+'?)\s*\)", r.context))
    along = rf"\\int.*(?:d|\\mathrm\{{d\}})\s*(?:{'|'.join(map(re.escape, around)) or '$^'})"
    return len(around) > 1 or re.search(along, r.context) is not None


def _before_parenthesis(r: Reader, node: Node) -> Node:
    base, style = node.value.base, node.value.style
    if (called := _call_of_row(r, node)) is not None:
        return called
    if r.knows(spelled(node), base):
        return node
    if (called := _by_letter(r, node)) is not None:
        return called
    letter = node.value.shown or base
    here = node.span[0], r.token.stop
    if base == "J" and node.args and node.args[0].head == "number":
        order = node.args[0].value
        what = f"J_{order}(...) is Bessel's function to some, and a product to others."
        instead = f"Write \\operatorname{{besselj}}({order}, ...), or J_{order} \\cdot (...)."
        r.fail(what, here, instead, Undecided)
    if letter == base and len(base) > 1:
        raise _unknown(r, base, node.span)
    if style == "blackboard" or (base in ("E", "P") and r.token.text == "["):
        r.fail(f"{letter} with brackets is an expectation or a probability.", node.span, "Write out its value.")
    product, stem = f"for a product write {letter} \\cdot (...)", base.replace("_prime", "")
    primes = base.count("_prime")
    named_function = {"sigma": "sigmoid", "Gamma": "gamma"}.get(stem)
    if named_function and not node.args and (not style or (stem == "sigma" and primes)):
        if base in r.numbers:
            what = "logistic function" if base == "sigma" else "function"
            r.fail(
                f"{letter} is a function here, and a number elsewhere in the formula.",
                here,
                f"{product[0].upper()}{product[1:]}; the {what} is \\operatorname{{{named_function}}}.",
                Undecided,
            )
        return call(r, named_function + "'" * primes, 0, node.span[0])
    if r.readings.get(f"{stem}()") and not node.args and not style:
        inner = fenced(r, commas=True)
        given = inner.args if inner.head == "several" else (inner,)
        return Node("unknown", given, r.since(node.span[0]), (stem, primes))
    said = f"{stem} was read as any function; for a product write {letter} \\cdot (...)."
    if base in LIKE_FUNCTIONS or base.endswith("_prime"):
        what = f"{letter}(...) reads as a function, and which one is not known."
        instead = f"Write out what it is; {product}{_by_name(base)}."
        if primes and r.knows(stem):
            r.fail(what, here, instead, TwoReadings)
        if r.beside_model or stem not in _ANY or node.args or style:
            r.fail(what, here, instead, Undecided)
        raise TwoReadings(what, of=f"{stem}()", mark=f"{stem}'", said=said, where=place(r.text, here), instead=instead)
    mark, inner = r.at, fenced(r, commas=True)
    whole, inside = (node.span[0], inner.span[1]), r.text[r.tokens[mark].stop : r.before.start].strip()
    if inner.head == "several":
        r.fail(
            f"{letter}(...) with a comma is a call, and {letter} is not a known function.",
            whole,
            f"Add a row that says what it is, {letter}(x, y) = ...; Euler's function is \\operatorname{{beta}}(a, b).",
            Undecided,
        )
    if inner.head in ("symbol", "number"):
        product = f"For the product write {letter} \\cdot {inside}{_by_name(base)}."
        what = f"{letter}(...) around one name reads as a call."
        if not (node.args or style or primes) and _is_called(r, letter):
            marked = r.written((node.span[0], r.tokens[mark].stop))
            raise TwoReadings(what, of=f"{stem}()", mark=marked, said=said, where=place(r.text, whole), instead=product)
        r.fail(what, whole, product, Undecided)
    r.at = mark
    return node
