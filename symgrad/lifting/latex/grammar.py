r"""The grammar of formulas in LaTeX: sums, products, what stands above and below a factor, braces and parentheses.

Where two readings are common, there is an error and not a guess: after a slash (``1/2x``), after a function's argument
without parentheses (``\sin x y``), after a name that may be a function (``f(x + 1)``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from symgrad.lifting.latex.script_tokens import (
    MARKS,
    is_bar,
    is_matrix,
    is_signal,
    is_transpose,
    letters_alone,
    separate_at_bar,
    tokens_of_script,
)
from symgrad.lifting.latex.token_reader import (
    PRIME,
    STAR,
    Name,
    Node,
    Reader,
    TwoReadings,
    Undecided,
    called_names,
    missing,
    parts,
    place,
    spelled,
    starts_name,
    unexpected,
)
from symgrad.lifting.latex.tokens import INSTEAD, LIKE_FUNCTIONS, OPERATORS, RELATIONS, Token, function

CLOSING = {"(": ")", "[": "]", "\\{": "\\}", "\\langle": "\\rangle"}
_ROUNDED = 6  # a decimal of so many digits is taken to be rounded in its last one
_GROUPS = ("add", "neg", "mul", "call", "sum", "prod")
_CONNECTING = frozenset("if for when otherwise else and or".split())
_STOPS = frozenset("\\rangle \\\\ \\land \\lor".split()) | {t for t in RELATIONS if len(t) > 1}
_SIDES = {"+": "plus", "-": "minus", "*": "star", "\\ast": "star", "\\star": "star"}  # k_+, \\theta_-, x_*
_SAME = {"varepsilon": "epsilon", "imath": "i", "jmath": "j"}


# ---------------------------------------------------------------------------------------------------- sums and products
def expression(r: Reader) -> Node:
    """Terms, and the signs between them."""
    r.deeper()
    terms = [term(r)]
    while r.is_sign("+", "-"):
        terms.append(term(r))
    r.depth -= 1
    if len(terms) == 1:
        return terms[0]
    return Node("add", tuple(terms), (terms[0].span[0], terms[-1].span[1]))


def term(r: Reader) -> Node:
    token = r.token
    if not r.accept("+", "-"):
        return product(r)
    if r.token.text in ("+", "-"):
        r.fail("two signs stand in a row.", (token.start, r.token.stop), "Write a - (-b).")
    inner = visible(r, product(r))
    return Node("neg", (inner,), (token.start, inner.span[1])) if token.text == "-" else inner


def product(r: Reader) -> Node:
    """Factors, with signs between them or none."""
    factors, operators = [factor(r)], []
    while True:
        token = r.token
        if token.text in OPERATORS and token.kind in ("sign", "macro"):
            r.at += 1
            operators.append(OPERATORS[token.text])
            sign = r.token
            negative = r.accept("+", "-") and sign.text == "-"
            inner = factor(r)
            factors.append(Node("neg", (inner,), (sign.start, inner.span[1])) if negative else inner)
        elif starts_factor(r, token):
            if operators and operators[-1] == "/":
                if (whole := _denominator(r, factors[-1])) is not None:
                    factors[-1] = whole
                    continue
                span = (factors[0].span[0], factors[-1].span[1])
                factors, operators = [Node("mul", tuple(factors), span, tuple(operators))], []
            juxtapose(r, token, factors, operators)
            operators.append("")
            factors.append(factor(r))
        else:
            break
    if len(factors) == 1:
        return factors[0]
    for each in factors:
        visible(r, each)
    return Node("mul", tuple(factors), (factors[0].span[0], factors[-1].span[1]), tuple(operators))


def _denominator(r: Reader, first: Node) -> Node | None:
    """All factors after a slash as its denominator; None where the first alone is it.

    Parentheses around a product, ``a/(b c) d``, say where it ends.  Raises `TwoReadings` where nobody has said which.
    """
    if first.head == "mul" and first.span == r.fence:
        return None
    mark, below, signs = r.at, [first], []
    while starts_factor(r, r.token):
        juxtapose(r, r.token, below, signs)
        signs.append("")
        below.append(factor(r))
    span = (first.span[0], below[-1].span[1])
    written = " ".join(r.written(span).split())
    if written not in r.readings:
        raise TwoReadings(
            "after a slash it is not clear what the denominator is.",
            of=written,
            said=None,
            where=place(r.text, span),
            instead="Write \\frac{a}{b c}, a/(b c) or \\frac{a}{b} c.",
        )
    if not r.readings[written]:
        r.at = mark
        return None
    for each in below:
        visible(r, each)
    return Node("mul", tuple(below), span, tuple(signs))


def juxtapose(r: Reader, token: Token, factors: list[Node], operators: list[str]) -> None:
    """Refuse a factor without a sign before it where that has two readings."""
    last = factors[-1]
    here, between = (last.span[0], token.stop), r.text[last.span[1] : token.start]
    if "\\quad" in between or "\\qquad" in between:
        instead = "Leave out an equation's number and remarks; for a product write \\cdot."
        r.fail("\\quad separates what stands beside it.", here, instead)
    if token.kind == "number" and last.span != r.fence:
        instead = "Write it first, 2x, or with a sign, x \\cdot 2; a subscript is x_2 and a power x^2."
        r.fail("a number follows a factor.", here, instead)
    if token.text in ("(", "[") and last.head == "pow" and last.args[0].head == "symbol":
        _refuse_raised_call(r, last)
    pipes = [f for f in factors if f.head == "abs" and f.value != "sided"]
    if token.text == "|" and not token.side and pipes and last.head != "abs":
        where = pipes[0].span[0], token.stop
        r.fail("it is not clear which | opens and which closes.", where, "Write \\left| ... \\right|.")


def _refuse_raised_call(r: Reader, last: Node) -> None:
    """Refuse ``f^2(x)``, which may be a square of a function's value."""
    name = last.args[0]
    base = name.value.base
    called = _is_called(r, name)
    if not called and r.knows(spelled(name), base):
        return
    mark, inner = r.at, fenced(r, commas=True)
    if called or base in LIKE_FUNCTIONS or base == "Gamma" or inner.head in ("symbol", "several"):
        shown, whole = r.written(last.span), (last.span[0], inner.span[1])
        what = f"{shown}(...) reads as the power of a function."
        instead = f"For the product write {shown} \\cdot (...), for the power ({name.value.shown}(...))^n."
        if called and last.args[1].head == "number" and last.args[1].value > 0:
            said = f"{shown}(...) was read as the power of {name.value.shown}(...)."
            raise TwoReadings(what, of=shown, mark=shown, said=said, where=place(r.text, whole), instead=instead)
        r.fail(what, whole, instead, Undecided)
    r.at = mark


def starts_factor(r: Reader, token: Token) -> bool:
    match token.kind:
        case "letter" | "number" | "open":
            return True
        case "text":
            return token.text.strip(" ,.:").lower() not in _CONNECTING
        case "sign" | "macro" if token.text in ("|", "\\|"):
            return not closes(r, token)
        case "sign":
            return token.text in r.rows
        case "macro":  # one that nobody knows is refused where it is read
            return token.text in r.rows or not (
                token.text in INSTEAD
                or token.text in OPERATORS
                or token.text in _STOPS
                or token.text.startswith("\\end{")
            )
    return False


def factor(r: Reader) -> Node:
    r.deeper()
    node = raised(r, primary(r))
    r.depth -= 1
    return node


def primary(r: Reader) -> Node:
    """What the first row says that knows it."""
    if r.token.kind == "number":
        return _number(r)
    if r.token.kind == "open":
        return braced(r)
    for row in r.rows.get(r.token.key, ()):
        if (node := row.read(r)) is not None:
            return node
    missing(r)


def _number(r: Reader) -> Node:
    token = r.take()
    if len(token.text) > 300:
        r.fail("a number of more than 300 digits is not read.", token.span)
    if r.token.text == "," and r.peek().kind == "number" and len(r.peek().text) == 3 and not r.commas:
        r.fail("a comma inside a number is not read.", (token.start, r.peek().stop), "Write 1000.")
    value = Fraction(token.text)
    binary = value.denominator & (value.denominator - 1) == 0
    if "." in token.text and len(token.text.replace(".", "").lstrip("0")) >= _ROUNDED and not binary:
        return Node("decimal", (), token.span, token.text)
    return Node("number", (), token.span, value)


# --------------------------------------------------------------------------------------------------- braces and fences
def within(r: Reader, mark: str, *, commas: bool = False) -> Node:
    """A formula inside of a fence."""
    outside, r.commas = r.commas, commas
    r.fences.append(mark)
    node = expression(r)
    r.fences.pop()
    r.commas = outside
    return node


def argument(r: Reader, after: str) -> Node:
    """The formula in braces after ``after``, or the one token that TeX takes without them."""
    token = r.token
    if token.kind == "open":
        return braced(r)
    if token.kind != "number":
        return read_alone(r, after)
    if len(token.text) > 1:
        r.fail(
            f"TeX takes only {token.text[0]!r} of {token.text} after {after}.",
            token.span,
            f"Write {after}{{{token.text}}}.",
        )
    r.at += 1
    return Node("number", (), token.span, Fraction(token.text))


def read_alone(r: Reader, after: str) -> Node:
    for row in r.rows.get(r.token.key, ()):
        if row.alone is not None and (node := row.alone(r)) is not None:
            return node
    r.fail(f"{after} needs braces here.", r.token.span, f"Write {after}{{...}}.")


def plain_name(r: Reader) -> Node:
    """A letter, Greek or not, as TeX takes it: alone."""
    token = r.take()
    base = token.text.removeprefix("\\")
    style = "variant" if base == "varepsilon" else ""
    return Node("symbol", (), token.span, Name(_SAME.get(base, base), style, token.text))


def braced(r: Reader) -> Node:
    """``{ formula }``."""
    opening = r.take()
    if r.token.kind == "close":
        r.fail("there is nothing between these braces.", (opening.start, r.token.stop))
    inner = within(r, "{")
    _close_brace(r, opening)
    if inner.head in ("symbol", "number"):
        return inner
    span = r.since(opening.start)
    if inner.span != r.fence and inner.head in _GROUPS:
        r.invisible.add(span)
    return replace(inner, span=span)


def _close_brace(r: Reader, opening: Token) -> None:
    if r.token.kind == "end":
        r.fail("this brace is never closed.", opening.span)
    if r.token.kind != "close":
        unexpected(r)
    r.at += 1


def visible(r: Reader, node: Node, heads: tuple[str, ...] = ("add", "neg")) -> Node:
    """Refuse braces that would have to be parentheses: TeX does not print them."""
    if node.span in r.invisible and node.head in heads:
        inside = r.written(node.span)[1:-1].strip()
        r.fail("braces are not printed, and here they would group.", node.span, f"Write ({inside}).")
    return node


def fenced(r: Reader, *, commas: bool = False) -> Node:
    """``( formula )``, and with ``commas`` several of them; between angles there are two."""
    opening, angles = r.take(), r.before.text == "\\langle"
    if commas:
        separate_at_bar(r)
    if r.token.text == CLOSING[opening.text]:
        r.fail("there is nothing between these parentheses.", (opening.start, r.token.stop))
    items = [within(r, opening.text, commas=commas)]
    while (commas and _next_argument(r)) or (angles and r.accept(",")):
        items.append(within(r, opening.text, commas=commas))
    closing = r.token
    if closing.kind in ("end", "row", "close") or closing.text == "&":
        r.fail("this parenthesis is never closed.", opening.span)
    if closing.text != CLOSING[opening.text]:
        if closing.text in CLOSING.values():
            r.fail(f"{opening.text} is closed by {closing.text}.", (opening.start, closing.stop))
        unexpected(r)
    r.at += 1
    span = r.fence = (opening.start, closing.stop)
    if angles and len(items) != 2:
        r.fail("an inner product has two sides.", span, "Write \\langle x, y \\rangle.")
    if len(items) > 1:
        return Node("inner" if angles else "several", tuple(items), span)
    return replace(items[0], span=span)


def _next_argument(r: Reader) -> bool:
    """Whether another argument follows: ``f(x, y)``, ``f(x; \\theta)``, ``p(x \\mid \\theta)``."""
    found = r.token.text in (",", ";", "\\mid")
    r.at += found
    return found


def fenced_items(r: Reader) -> tuple[Node, ...]:
    """What stands in brackets as indices: ``x[n-k]``."""
    inner = fenced(r, commas=True)
    return inner.args if inner.head == "several" else (inner,)


def closes(r: Reader, token: Token) -> bool:
    """Whether a bar closes what is open here."""
    if token.side:
        return token.side == "r"
    if r.fences and r.fences[-1] == "||":
        return token.text == "|" and r.peek().text == "|" and r.peek().start == token.stop
    return bool(r.fences) and r.fences[-1] == token.text


# ------------------------------------------------------------------------------------------------- below and above
def subscript(r: Reader) -> tuple[Node, ...]:
    """What stands below a name, after the sign ``_``: items that commas separate."""
    token = r.token
    if token.kind != "open":
        return (_item(r) or argument(r, "_"),)
    if (letters := letters_alone(r)) is not None:
        return (letters,)
    r.at += 1
    items: list[Node] = []
    while not items or r.accept(","):
        if r.token.text in (":", "\\cdot", "*") and r.peek().text in (",", "}"):
            items.append(Node("slice", (), r.take().span))
        else:
            items.append(_item(r, inside=True) or expression(r))
    _close_brace(r, token)
    return tuple(items)


def _item(r: Reader, *, inside: bool = False) -> Node | None:
    """A word below a name, which is no function there; None for a formula."""
    token = r.token
    if token.kind == "text":
        return Node("word", (), r.take().span, token.text)
    if token.text in _SIDES and (not inside or r.peek().kind == "close"):
        return Node("word", (), r.take().span, _SIDES[token.text])
    if token.text in ("\\mathrm", "\\operatorname", "\\mathit", "\\mathsf"):
        inner = read_alone(r, "_")
        return Node("word", (), inner.span, inner.value.base) if inner.head == "symbol" and not inner.args else inner
    if token.kind == "macro" and not inside and function(token.text[1:], macro=True) is not None:
        return Node("word", (), r.take().span, token.text[1:])
    return None


def subscripted(r: Reader, node: Node) -> Node:
    """A name with its primes and its subscript."""
    while node.head == "symbol":
        if r.is_sign("_"):
            if node.args:
                r.fail("two subscripts stand on one name.", (node.span[0], r.token.stop), "Write x_{i,j}.")
            r.at += 1
            node = Node("symbol", subscript(r), r.since(node.span[0]), node.value)
        elif is_signal(r, node):
            node = Node("symbol", fenced_items(r), r.since(node.span[0]), node.value)
        elif r.is_sign(PRIME) and not (r.readings.get(PRIME) and not r.on_left and not _is_called(r, node)):
            r.at += 1
            node = primed(r, node)
        else:
            break
    return node


def _is_called(r: Reader, name: Node) -> bool:
    return not r.functions.isdisjoint(called_names(name))


def primed(r: Reader, node: Node) -> Node:
    name = Name(f"{node.value.base}_prime", node.value.style, f"{node.value.shown}'")
    return Node("symbol", node.args, r.since(node.span[0]), name)


def raised(r: Reader, node: Node) -> Node:
    """What stands after a factor: powers, transposes, labels, factorials, indices on a parenthesis."""
    powers = 0
    while r.is_sign("^", "_", "!", "'") or is_bar(r):
        token = r.token
        if token.text == "|":
            node = _at_a_place(r, node)
            continue
        visible(r, node, _GROUPS)
        if token.text == "'":
            if powers and node.head == "pow" and node.args[0].head == "symbol":
                r.fail("a prime after a power.", token.span, "Write the prime first: x'^2.")
            node = _primed_group(r, node)
            continue
        r.at += 1
        if token.text == "!":
            node = Node("factorial", (node,), (node.span[0], token.stop))
        elif token.text == "_":
            node = _entry(r, node)
        else:
            before, node = node, superscript(r, node)
            powers += not (before.head == node.head == "symbol")
            if powers > 1:
                instead = "Write {x^a}^b as x^{ab} or (x^a)^b."
                r.fail("two exponents stand on one factor.", r.since(node.span[0]), instead)
    return node


def _at_a_place(r: Reader, node: Node) -> Node:
    """``\\left.\\frac{df}{dx}\\right|_{x=2}``: what it is where names have these values."""
    opening = r.at + 2
    r.at += 3
    names: list[Node] = []
    values: list[Node] = []
    while not names or r.accept(","):
        name = read_alone(r, "|_") if starts_name(r.token) else missing(r)
        names.append(subscripted(r, name))
        if not r.accept("="):
            unexpected(r)
        values.append(expression(r))
    _close_brace(r, r.tokens[opening])
    return Node("at", (node, *names, *values), r.since(node.span[0]))


def _primed_group(r: Reader, node: Node) -> Node:
    """``(x^2)'``, which is its derivative by what the row is for; refused where it may be a transpose."""
    start, order = r.token.start, 0
    while r.accept(PRIME):
        order += 1
    names = [p for p in parts(node) if p.head == "symbol" and not p.args]
    inside = r.written(node.span)
    capital = any(p.value.base[0].isupper() or p.value.style for p in names)
    again = node.span == r.fence and r.text[r.token.start :].lstrip().startswith(inside)
    if node.span != r.fence or len(r.by) != 1 or capital or again:
        if r.readings.get(PRIME) and order == 1:
            return Node("transpose", (node,), r.since(node.span[0]), PRIME)
        instead = "Write ^\\top, or \\frac{d}{dx}(...)."
        what = "a prime is a derivative to some and a transpose to others."
        where, mark = place(r.text, (start, r.before.stop)), inside if again else ""
        raise TwoReadings(what, mark=mark, where=where, instead=instead)
    return Node("derivative", (node, *r.by * order), r.since(node.span[0]), order)


def _between(r: Reader, node: Node) -> Node | None:
    """``[F(x)]_0^1``, F(1) - F(0), where one of its names is what an integral of the text is over; else None."""
    names = {p.value.base for p in parts(node) if p.head == "symbol" and not p.args}
    over = (n.removeprefix("\\") for n in _OVER.findall(r.context))
    found = [n for n in dict.fromkeys(over) if n in names]
    mark = r.at
    r.at -= 1
    ends = []
    while r.is_sign("_", "^") and len(ends) < 2:
        sign = r.take().text
        if sign == "_" and r.token.kind == "open" and starts_name(r.peek()) and r.peek(2).text == "=":
            found, r.at = [r.peek().text.removeprefix("\\")], r.at + 3
            ends.append((sign, expression(r)))
            _close_brace(r, r.before)
        else:
            ends.append((sign, argument(r, sign)))
    limits = dict(ends)
    if len(limits) < 2 or not found:
        r.at = mark
        return None
    if len(found) > 1:
        what = f"which of {' and '.join(found)} runs between these limits is not said."
        r.fail(what, r.since(node.span[0]), f"Write it below: _{{{found[0]}=...}}.")
    return Node("between", (node, limits["_"], limits["^"]), r.since(node.span[0]), found[0])


_OVER = re.compile(r"\\int(?![A-Za-z]).*?(?<![A-Za-z\\])(?:d|\\mathrm\s*\{?d\}?)\s*(\\?[A-Za-z]+)", re.S)


def _entry(r: Reader, node: Node) -> Node:
    """``(A x)_i``, and ``x^2_i``, where the index belongs to the name below the power."""
    if node.span == r.fence and r.written(node.span).startswith(("[", "\\left[", "\\Big[", "\\bigg[", "\\big[")):
        made = _between(r, node)
        if made is not None:
            return made
    items = subscript(r)
    span = r.since(node.span[0])
    if node.head == "derivative" and node.span == r.fence:
        return node  # what is held fixed, which all other inputs are
    base = node.args[0] if node.head in ("pow", "transpose") else node
    if node.head == "pow" and base.head == "norm" and base.value == "2":  # \\|A\\|^2_F
        kind = str(items[0].value.base if items[0].head == "symbol" else items[0].value)
        if kind in ("1", "2", "F") and len(items) == 1:
            return replace(node, args=(replace(base, value=kind), node.args[1]), span=span)
    if node is not base and base.head == "symbol" and r.text[node.span[0]] not in "({[":
        if base.args:
            r.fail("two subscripts stand on one name.", span, "Write x_{i,j}.")
        return replace(node, args=(replace(base, args=items), *node.args[1:]), span=span)
    return Node("entry", (node, *items), span)


def superscript(r: Reader, node: Node) -> Node:
    """What stands above a factor, after the sign ``^``."""
    inside, braces = tokens_of_script(r), r.token.kind == "open"
    texts = [t.text for t in inside]
    span = (node.span[0], inside[-1].stop + braces if inside else r.token.stop)
    end = r.at + len(inside) + 2 * braces
    closing = {"(": ")", "[": "]"}.get(texts[0] if texts else "")
    if node.head == "symbol" and closing in texts[2:] and not node.value.label:
        rest = inside[texts.index(closing) + 1 :]
        if not rest or is_transpose(rest):
            return _labelled(r, node, span, end, bool(rest))
    if is_transpose(inside):
        r.at = end
        return Node("transpose", (node,), span, "T" if texts == ["T"] else "top")
    if texts[:1] == ["-"] and is_transpose(inside[1:]):
        r.at = end
        minus = Node("number", (), inside[0].span, Fraction(-1))
        return Node("transpose", (Node("pow", (node, minus), span),), span, "top")
    if texts and all(t in ("\\prime", "'") for t in texts) and node.head == "symbol":
        r.at = end
        return primed(r, node)
    if texts == ["\\circ"] and node.head == "symbol" and node.value.base[0].isupper():  # a standard state
        r.at = end
        name = replace(node.value, base=f"{node.value.base}_circ", shown=r.written(span))
        return subscripted(r, replace(node, span=span, value=name))
    if texts[:1] in (["\\odot"], ["\\circ"]) and len(texts) > 1:
        r.at += 2
        power = expression(r)
        if r.token.kind != "close":
            missing(r)
        r.at += 1
        return Node("hadamard_power", (node, power), span)
    if node.head == "symbol" and (sided := _before_or_after(r, node, texts)) is not None:
        r.at = end
        return subscripted(r, replace(node, span=span, value=sided))
    if texts in (["*"], ["\\ast"]) and r.readings.get(STAR) and is_matrix(node):
        r.at = end
        return Node("transpose", (node,), span, "T")
    if texts in (["*"], ["\\ast"], ["\\star"]) and node.head == "symbol" and not is_matrix(node):  # an optimum
        r.at = end
        name = replace(node.value, base=f"{node.value.base}_star", shown=r.written(span))
        return subscripted(r, replace(node, span=span, value=name))
    if texts and texts != ["H"] and set(texts) <= MARKS:
        if texts in (["*"], ["\\ast"]) and is_matrix(node):
            raise TwoReadings(
                f"the exponent {texts[0]} has many meanings.",
                of=STAR,
                said="A star was read as a transpose, for which ^\\top leaves no doubt.",
                where=place(r.text, span),
                instead="For a transpose write ^\\top, for a name \\mathrm{x\\_star}, for an inverse ^{-1}.",
            )
        instead = "For a transpose write ^\\top, for a name \\mathrm{x\\_star}, for an inverse ^{-1}."
        r.fail(f"the exponent {' '.join(texts)} has many meanings.", span, instead)
    power = argument(r, "^")
    if node.head == "symbol" and r.is_sign("(") and r.readings.get(r.written(r.since(node.span[0]))):
        inner = fenced(r, commas=True)  # e^2(n), as \sin^2 x
        node = Node("apply", (node, *(inner.args if inner.head == "several" else (inner,))), r.since(node.span[0]), 0)
    return Node("pow", (node, power), r.since(node.span[0]))


def _before_or_after(r: Reader, node: Node, texts: list[str]) -> Name | None:
    """The name ``P^+`` or ``\\hat x^-``, which a row says; None where none does: there it may be a part of P."""
    word = {"+": "plus", "-": "minus"}.get(texts[0]) if len(texts) == 1 else None
    base = f"{node.value.base}_{word}"
    return Name(base, node.value.style, base) if word and (r.on_left or base in r.words) else None


def _labelled(r: Reader, node: Node, span: tuple[int, int], end: int, transposed: bool) -> Node:
    """``W^{(1)}``, ``x^{(i)}``, ``W^{[l]\\top}``."""
    r.at += 1
    inner = fenced(r, commas=True)
    r.at = end
    named = Node(
        "symbol", node.args, span, replace(node.value, label=inner.args if inner.head == "several" else (inner,))
    )
    if not node.args and r.is_sign("_"):
        named = subscripted(r, named)
    return Node("transpose", (named,), span, "top") if transposed else named
