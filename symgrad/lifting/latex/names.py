"""Names in formulas in LaTeX, with their fonts and accents; words without a backslash; what may be a function."""

from __future__ import annotations

import re
from dataclasses import replace

from symgrad.errors import BadFormula, SymgradError
from symgrad.lifting.latex.calls import call
from symgrad.lifting.latex.grammar import fenced, plain_name, subscript, subscripted
from symgrad.lifting.latex.indicators import indicator
from symgrad.lifting.latex.token_reader import (
    Name,
    Node,
    Reader,
    TwoReadings,
    Undecided,
    called_names,
    group_length,
    parts,
    place,
    spelled,
    starts_name,
)
from symgrad.lifting.latex.tokens import ACCENTS, FONTS, GREEK, LIKE_FUNCTIONS, WORDS, Token, function
from symgrad.ops.scalars import unknown

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
        if word[-1] in r.functions:  # Z W g(\theta)
            return named(r)
        what = f"{word}(...) is a product of {len(word)} letters in LaTeX, and looks like a function."
        instead = f"Write \\operatorname{{{word}}}(...), or the factors with spaces: {' '.join(word)} (...)."
        if not (len(word) == 3 and _VOWELS.isdisjoint(word) and function(word) is None and _holds_a_sum(r, 3)):
            r.fail(what, span, instead, BadFormula if r.beside_model else Undecided)  # the model may have the last
        if r.readings.get(f"{word}("):
            return named(r)
        said = f"{word}(...) was read as the product {' '.join(word)} (...)."
        raise TwoReadings(what, of=f"{word}(", mark=word, said=said, where=place(r.text, span), instead=instead)
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


def _holds_a_sum(r: Reader, k: int) -> bool:
    """Whether the parenthesis that opens at the ``k``-th token from here holds a sum: ``mgl(1 - \\cos x)``."""
    depth = 0
    while (token := r.peek(k)).kind != "end":
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if not depth:
            return False
        if depth == 1 and token.text in ("+", "-") and r.peek(k - 1).text not in ("(", "["):
            return True
        k += 1
    return False


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


def _listed_with_dots(r: Reader) -> int | None:
    """Where a parenthesis ends that lists names and leaves some out; None for another."""
    dots, k = False, 1
    while (token := r.peek(k)).text not in (")", "]", "(", "["):
        if token.kind == "end" or token.text in ("+", "-", "*", "/", "=", "^"):
            return None
        dots = dots or token.text in ("\\ldots", "\\dots", "\\cdots")
        k += 1
    return r.at + k + 1 if dots and token.text in (")", "]") else None


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


HELD = "values at names"
_AT_NAMES = re.compile(
    r"(\\?[A-Za-z]+)(?:\}|'|\^\{?\d\}?)*\s*(?:\\left)?\(((?:\\(?!left|right)[A-Za-z]+|[A-Za-z\s{},;|'_])+)(?:\\right)?\)"
)


def _held_value(r: Reader, node: Node) -> Node | None:
    r"""``\\phi(s)``, ``Q(s_t, a_t)`` as a name, where it stands before nothing but names that stand nowhere else.

    As no derivative can be for s then, it is some value, of a function or a product.  None for others.
    """
    mark = r.at
    try:
        inner = fenced(r, commas=True)
    except SymgradError:
        return None
    finally:
        span, r.at = r.since(node.span[0]), mark
    given = inner.args if inner.head == "several" else (inner,)
    stem = node.value.base.split("_")[0]
    if node.args or node.value.label or stem in _ANY or any(g.head != "symbol" or spelled(g) is None for g in given):
        return None
    if len(given) > 1 and not {p.value.base for g in given for p in parts(g) if p.head == "symbol"}.isdisjoint(r.bound):
        return None
    outside = _AT_NAMES.sub(lambda m: m[1] + " ", r.context)
    alone = {t.removeprefix("\\") for t in re.findall(r"\\[A-Za-z]+|[A-Za-z]", outside)}
    before = [m[1].removeprefix("\\") for m in _AT_NAMES.finditer(r.context)]
    letters = re.findall(rf"(?<![A-Za-z]){re.escape(stem)}(?![A-Za-z])", r.context)
    if any(g.value.base.split("_")[0] in alone for g in given) or len(letters) > before.count(stem):
        return None
    last = given[-1] if len(given) == 1 else Node("symbol", (), span, Name("", "", ""))
    inside = "_".join([g.value.base if g is last else spelled(g) or "" for g in given])
    name = replace(node.value, base=f"{node.value.base}_of_{inside}", shown=r.written(span), label=last.value.label)
    return Node("symbol", last.args, span, name)


def _ask_if_held(r: Reader, held: Node | None, what: str, instead: str, span: tuple[int, int]) -> None:
    """Ask whether a call is one value, where it may be."""
    if held is not None:
        shown = r.written(held.span)
        said = f"{shown} was read as one value, which does not depend on what is differentiated for."
        raise TwoReadings(what, of=HELD, mark=shown, said=said, where=place(r.text, span), instead=instead)


def _before_parenthesis(r: Reader, node: Node) -> Node:
    base, style = node.value.base, node.value.style
    if (stop := _listed_with_dots(r)) is not None:  # S(x_1, \ldots, x_n), as its row has it
        if r.functions.isdisjoint(called_names(node)) and not r.knows(spelled(node), base):
            shown, here = node.value.shown or base, (node.span[0], r.tokens[stop - 1].stop)
            instead = f"Add a row that says what it is, {shown}(x_1, \\ldots, x_n) = ..."
            r.fail(f"{shown}(...) is a call, and {shown} is not a known function.", here, instead, Undecided)
        r.at = stop
        return node
    if (called := _call_of_row(r, node)) is not None:
        return called
    if r.knows(spelled(node), base):
        return node
    if (called := _by_letter(r, node)) is not None:
        return called
    letter = node.value.shown or base
    here = node.span[0], r.token.stop
    after = r.peek(1 + group_length(r, r.at + 1)).text  # of one name in parentheses
    bessel = base == "I" and not style and [x.value for x in node.args if x.head == "number"] in ([0], [1])
    if bessel and after == ")":
        order = int(node.args[0].value)
        if r.readings.get(f"I_{order}()"):
            return call(r, f"i{order}", 0, node.span[0])
        what = f"I_{order}(...) is the modified Bessel function to some, and a product to others."
        instead = f"Write \\operatorname{{i{order}}}(...), or I_{order} \\cdot (...)."
        said = f"I_{order}(...) was read as the modified Bessel function."
        raise TwoReadings(what, of=f"I_{order}()", said=said, where=place(r.text, here), instead=instead)
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
    held = _held_value(r, node)
    if held is not None and r.readings.get(HELD):
        fenced(r, commas=True)
        return held
    said = f"{stem} was read as any function; for a product write {letter} \\cdot (...)."
    if base in LIKE_FUNCTIONS or base.endswith("_prime"):
        what = f"{letter}(...) reads as a function, and which one is not known."
        instead = f"Write out what it is; {product}{_by_name(base)}."
        if primes and r.knows(stem):
            r.fail(what, here, instead, TwoReadings)
        _ask_if_held(r, held, what, instead, here)
        if r.beside_model or stem not in _ANY or node.args or style:
            r.fail(what, here, instead, Undecided)
        raise TwoReadings(what, of=f"{stem}()", mark=f"{stem}'", said=said, where=place(r.text, here), instead=instead)
    mark, inner = r.at, fenced(r, commas=True)
    whole, inside = (node.span[0], inner.span[1]), r.text[r.tokens[mark].stop : r.before.start].strip()
    if inner.head == "several":
        what = f"{letter}(...) with a comma is a call, and {letter} is not a known function."
        row = f"Add a row that says what it is, {letter}(x, y) = ..."
        instead = f"{row}; Euler's function is \\operatorname{{beta}}(a, b)."
        _ask_if_held(r, held, what, instead, whole)
        r.fail(what, whole, instead, Undecided)
    if inner.head in ("symbol", "number"):
        product = f"For the product write {letter} \\cdot {inside}{_by_name(base)}."
        what = f"{letter}(...) around one name reads as a call."
        if not (node.args or style or primes) and _is_called(r, letter):
            marked = r.written((node.span[0], r.tokens[mark].stop))
            raise TwoReadings(what, of=f"{stem}()", mark=marked, said=said, where=place(r.text, whole), instead=product)
        _ask_if_held(r, held, what, product, whole)
        r.fail(what, whole, product, Undecided)
    r.at = mark
    return node
