"""Equations in LaTeX: rows, sides, and what the left side says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symgrad.errors import BadFormula
from symgrad.lifting.latex.constructs import open_reader
from symgrad.lifting.latex.derivatives import derivative, named_arguments, quantity
from symgrad.lifting.latex.grammar import CLOSING, expression, subscript
from symgrad.lifting.latex.token_reader import (
    Name,
    Node,
    Reader,
    called_names,
    letters_in,
    parts,
    place,
    spelled,
    unexpected,
)
from symgrad.lifting.latex.tokens import Token, tokens

# ------------------------------------------------------------------------------------------------------------ document
# The equations of a text in LaTeX, once every symbol in them is resolved.


@dataclass(frozen=True, slots=True)
class Definition:
    """``name_{indices}(arguments) = body``; the name of a formula without a left side is None."""

    name: str | None
    indices: tuple[str, ...]
    body: Node
    others: tuple[Node, ...] = ()
    arguments: tuple[str, ...] = ()
    before: frozenset[str] = frozenset()  # the names that were defined before it


@dataclass(frozen=True, slots=True)
class Claim:
    """d ``of`` / d ``wrt`` is ``body``; the indices are the axes in order."""

    of: str
    wrt: tuple[str, ...]
    indices: tuple[str, ...]
    body: Node
    order: int
    span: tuple[int, int]
    others: tuple[Node, ...] = ()
    below: tuple[tuple[str, ...], ...] = ()  # the indices of each name in wrt

    @property
    def key(self) -> str:
        return f"d{self.of}/d{'/d'.join(self.wrt)}"


@dataclass(frozen=True)
class Document:
    """The equations of one text with every symbol resolved.

    ``functions`` are the definitions with arguments; ``lines`` leave out those of them that are only called and whose
    arguments are no inputs.
    """

    text: str
    lines: tuple[Definition | Claim, ...]
    names: tuple[str, ...]
    sizes: frozenset[str]
    tensors: frozenset[str]
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    functions: tuple[Definition, ...] = ()
    open: tuple[Node, ...] = ()  # derivatives that are used and that no row says

    @property
    def definitions(self) -> tuple[Definition, ...]:
        return tuple(line for line in self.lines if isinstance(line, Definition))

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(line for line in self.lines if isinstance(line, Claim))

    @property
    def output(self) -> str | None:
        """The name of what is defined last."""
        return self.definitions[-1].name if self.definitions else None


def indices_of(node: Node) -> tuple[str, ...]:
    """The letters below a name on the left side, if it has only letters there."""
    found: list[str] = []
    for item in node.args:
        if item.head == "mul" and not any(item.value) and all(x.head == "symbol" and not x.args for x in item.args):
            found += [x.value.base for x in item.args]
        elif item.head == "symbol" and not item.args:
            found.append(item.value.base)
        else:
            return ()
    return tuple(found)


def names_in_limits(side: Node) -> Iterator[str]:
    """The names in the limits of sums that are no indices."""
    stack: list[tuple[Node, frozenset[str]]] = [(side, frozenset())]
    while stack:
        node, bound = stack.pop()
        if node.head in ("sum", "prod"):
            for limit in node.args[1:]:
                for p in parts(limit):
                    if p.head == "symbol" and not (not p.args and p.value.base in bound):
                        yield spelled(p) or p.value.base
            stack.append((node.args[0], bound | {node.value[0]}))
            stack.extend((a, bound) for a in node.args[1:])
        else:
            stack.extend((a, bound) for a in node.args)


def names_bare(side: Node) -> Iterator[str]:
    """Names that are not called."""
    stack = [side]
    while stack:
        node = stack.pop()
        if node.head == "symbol":
            yield spelled(node) or node.value.base
        stack.extend(node.args[node.head == "apply" :])


def names_unbound(side: Node, left: Node | None) -> Iterator[str]:
    """Names with letters below that nothing in their row binds: ``w_h`` in a definition is a name."""
    wrt = left.args if left is not None and left.head == "derivative" else ()
    bound = [x for a in wrt for x in indices_of(a)]
    stack: list[tuple[Node, frozenset[str]]] = [(side, frozenset(bound))]
    while stack:
        node, scope = stack.pop()
        if node.head in ("sum", "prod"):
            scope = scope | {node.value[0]}
        if (
            node.head == "symbol"
            and (node.args or node.value.label)
            and not {x for i in (*node.value.label, *node.args) for x in letters_in(i)} & scope
        ):
            yield spelled(node) or node.value.base
        stack.extend((a, scope) for a in node.args)


# ----------------------------------------------------------------------------------------------------------- equations

_EQUALS = frozenset(("=", "\\equiv", "\\triangleq", "\\coloneqq", "\\doteq"))


@dataclass(frozen=True, slots=True)
class Equation:
    """``left`` is a symbol or a derivative or None, ``arguments`` the names in parentheses after it; each of ``sides``
    is what it equals.  ``formula`` is what the derivative is of where that is no name.
    """

    left: Node | None
    arguments: tuple[Node, ...]
    sides: tuple[Node, ...]
    span: tuple[int, int]
    formula: Node | None = None

    @property
    def bodies(self) -> tuple[Node, ...]:
        return self.sides if self.formula is None else (*self.sides, self.formula)


def equations(
    text: str,
    known: frozenset[str] | None = None,
    functions: frozenset[str] = frozenset(),
    words: frozenset[str] = frozenset(),
) -> tuple[Equation, ...]:
    """The equations of ``text``.

    ``known`` are names that are inputs, if they are known, ``functions`` names that are called with arguments, and
    ``words`` names of several letters; those that the text itself defines are added.
    Raises `BadFormula` where the text is no formula, with the place.
    """
    pieces = _pieces(text, tokens(text))
    if not pieces:
        raise BadFormula("the formula is empty.", instead="Write an expression, for example w \\tanh(x).")
    numbers = _numbers(pieces)

    def reader(piece: list[Token], names: frozenset[str] | None) -> Reader:
        end = min(piece[-1].stop if piece else 0, len(text))
        return open_reader(text, [*piece, Token("end", "", end, end + 1)], names, numbers, functions, words)

    lefts: list[Equation] = []
    names = known
    for sides in pieces:
        made = Equation(None, (), (), (0, 0))
        if len(sides) > 1 and sides[0]:
            made = _left(reader(sides[0], names))
        lefts.append(made)
        words |= words_of(lefts[-1:])
        names = known if not (logs := logarithms_of(lefts)) else (known or frozenset()) | logs.keys()
    named = {n for e in lefts for a in e.arguments for n in (spelled(a), a.value.base) if n}
    for e in lefts:
        if e.left is not None and e.left.head == "symbol" and (e.arguments or len(pieces) > 1):
            named.discard(e.left.value.base)
    whole = known if not named else (known or frozenset()) | named
    for e in lefts:
        if e.left is not None and e.left.head == "symbol" and e.arguments:
            functions |= called_names(e.left)
    found: list[Equation] = []
    for e, sides in zip(lefts, pieces, strict=True):
        bound = tuple(x for part in ((e.left, *e.left.args) if e.left is not None else ()) for x in indices_of(part))
        read = tuple(_side(reader(side, whole), bound) for side in (sides[1:] if e.left is not None else sides))
        span = (sides[0][0].start if sides[0] else read[0].span[0], sides[-1][-1].stop)
        found += _claimed(replace(e, sides=read, span=span))
    return tuple(found)


def words_of(found: Sequence[Equation]) -> frozenset[str]:
    """The names of several letters that rows define."""
    names = {e.left.value for e in found if e.left is not None and e.left.head == "symbol"}
    return frozenset(n.base for n in names if len(n.base) > 1 and n.shown == n.base)


def logarithms_of(found: Sequence[Equation]) -> dict[str, str]:
    """What the rows about a logarithm define, ``log_L``, and of what it is the logarithm."""
    lefts = [e.left for e in found if e.left is not None and e.left.head == "symbol"]
    names = [spelled(x) or "" for x in lefts if x.value.shown.startswith(("\\ln", "\\log"))]
    return {name: name.removeprefix("log_") for name in names}


def _claimed(e: Equation) -> list[Equation]:
    """``F = -\\frac{dU}{dx} = ...`` says what the derivative is, and then what F is."""
    slope = e.sides[0].args[0] if e.sides[0].head == "neg" else e.sides[0]
    if e.left is None or e.left.head != "symbol" or slope.head != "derivative" or len(e.sides) < 2:
        return [e]
    sides = e.sides[1:] if slope is e.sides[0] else tuple(Node("neg", (x,), x.span) for x in e.sides[1:])
    return [Equation(slope, (), sides, e.span), replace(e, sides=e.sides[-1:])]


def have_left_sides(text: str) -> bool:
    """Whether each equation of ``text`` has a left side."""
    return all(len(sides) > 1 and sides[0] for sides in _pieces(text, tokens(text)))


def _side(r: Reader, bound: tuple[str, ...]) -> Node:
    r.bound = bound
    node = expression(r)
    if r.token.kind != "end":
        unexpected(r)
    return node


def _left(r: Reader) -> Equation:
    """What an equation is about, without its sides."""
    arguments: tuple[Node, ...] = ()
    fence = r.token.text if r.is_sign("(", "[") else ""
    r.at += bool(fence)
    r.on_left = True
    node = derivative(r)
    if fence and (node is None or not r.accept(CLOSING[fence])):
        node = None
    elif fence and r.accept("_"):
        subscript(r)  # what is held fixed, which all other inputs are
    elif node is None and (node := quantity(r)) is not None and r.token.text in ("(", "["):
        arguments = named_arguments(r)
    if node is None or node.head not in ("symbol", "derivative") or r.token.kind != "end":
        r.fail(
            "the left side is neither a name nor a derivative of one.",
            (r.tokens[0].start, r.tokens[-2].stop),
            "Write f(x) = ..., or \\frac{\\partial f}{\\partial x} = ...",
        )
    formula = None
    if node.head == "derivative" and node.args[0].head != "symbol":
        formula = node.args[0]
        node = replace(node, args=(Node("symbol", (), formula.span, Name("?")), *node.args[1:]))
    elif node.head == "symbol" and node.value.base.endswith("_prime"):
        order, base = node.value.base.count("_prime"), node.value.base.replace("_prime", "")
        if order > 2:
            r.fail("a derivative is read to the second order.", node.span)
        of = replace(node, value=replace(node.value, base=base))
        wrt = arguments[:1] * order if len(arguments) == 1 else ()
        node = Node("derivative", (of, *wrt), node.span, order)
    return Equation(node, arguments, (), node.span, formula)


def _numbers(pieces: list[list[list[Token]]]) -> frozenset[str]:
    """The letters that can be functions, where they stand without a parenthesis somewhere."""
    found = set()
    for sides in pieces:
        for side in sides:
            for here, following in zip(side, [*side[1:], None], strict=False):
                text = following.text if following is not None else ""
                if here.text in ("\\sigma", "\\Gamma") and text not in ("(", "[", "\\{", "_", "'"):
                    found.add(here.text[1:])
    return frozenset(found)


# ------------------------------------------------------------------------------------------------ rows and sides


def _pieces(text: str, found: list[Token]) -> list[list[list[Token]]]:
    """The sides of each equation, as tokens."""
    pieces: list[list[list[Token]]] = []
    for row in _rows(found):
        for part in _parts(row):
            sides = _sides(part)
            if pieces and (len(sides) == 1 or not sides[0]):
                if len(sides) == 1:  # the row goes on where the last one ended
                    pieces[-1][-1] += sides[0]
                else:
                    pieces[-1] += sides[1:]
            elif any(sides):
                pieces.append(sides)
    for sides in pieces:
        for k, side in enumerate(sides):
            while side and ((side[-1].kind == "sign" and side[-1].text in (",", ".", ";")) or _is_remark(side)):
                side.pop()
            if not side and (k or len(sides) == 1):
                where = next((t for s in sides[::-1] for t in s[::-1]), found[-1])
                raise BadFormula("a side of this equation is missing.", where=place(text, where.span))
    return pieces


def _is_remark(side: list[Token]) -> bool:
    """Whether a text that can be no name ends this side."""
    return len(side) > 1 and side[-1].kind == "text" and not side[-1].text.strip(" ,.:").isalnum()


def _rows(found: list[Token]) -> list[list[Token]]:
    rows: list[list[Token]] = [[]]
    depth = 0
    for k, token in enumerate(found[:-1]):
        depth += token.text.startswith("\\begin{")
        depth -= token.text.startswith("\\end{")
        if token.kind == "row" and depth <= 0:
            rows.append([])
        elif depth > 0 or token.text != "&" or not (_aligns(found[k + 1]) or not rows[-1] or _aligns(rows[-1][-1])):
            rows[-1].append(token)
    return [row for row in rows if row]


def _aligns(token: Token) -> bool:
    """Whether a row is aligned at this token: ``&`` may stand beside it."""
    return token.text in _EQUALS or token.text in ("+", "-", ":", "&") or token.kind in ("row", "end", "text")


def _split(row: list[Token], at: frozenset[str]) -> list[list[Token]]:
    """The row cut at signs outside of all parentheses."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in row:
        depth += token.kind == "open" or token.text in ("(", "[", "\\{") or token.text.startswith("\\begin{")
        depth -= token.kind == "close" or token.text in (")", "]", "\\}") or token.text.startswith("\\end{")
        if depth <= 0 and token.text in at and token.kind in ("sign", "macro"):
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def _parts(row: list[Token]) -> list[list[Token]]:
    """The equations of one row, between commas or semicolons."""
    parts = [p for p in _split(row, frozenset((",", ";"))) if p]
    if len(parts) > 1 and all(len(_sides(p)) > 1 for p in parts):
        return parts
    return [row]


def _sides(part: list[Token]) -> list[list[Token]]:
    sides = _split(part, _EQUALS)
    for side in sides[:-1]:
        if side and side[-1].text == ":" and side[-1].kind == "sign":
            side.pop()
    return sides
