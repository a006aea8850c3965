"""Equations in LaTeX: rows, sides, and what the left side says."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

from symgrad.errors import BadFormula, SymgradError
from symgrad.lifting.latex.constructs import open_reader
from symgrad.lifting.latex.derivatives import derivative, named_arguments, quantity
from symgrad.lifting.latex.grammar import CLOSING, argument, expression, fenced, subscript, term
from symgrad.lifting.latex.magnitudes import magnitudes_said, with_magnitudes_named
from symgrad.lifting.latex.rows_of_tokens import pieces_of
from symgrad.lifting.latex.token_reader import (
    Name,
    Node,
    Reader,
    TwoReadings,
    Undecided,
    called_names,
    moment_word,
    parts,
    place,
    power_name,
    spelled,
    unexpected,
)
from symgrad.lifting.latex.tokens import Token, function, tokens
from symgrad.lifting.latex.typeset_matrices import grid, listed

# ------------------------------------------------------------------------------------------------------------ document
# The equations of a text in LaTeX, once every symbol in them is resolved.


@dataclass(frozen=True, slots=True)
class Definition:
    """``name_{indices}(arguments) = body``; the name of a formula without a left side is None.

    It is what its first side says; ``others`` are said to be equal to that.
    """

    name: str | None
    indices: tuple[str, ...]
    body: Node
    others: tuple[Node, ...] = ()
    arguments: tuple[str, ...] = ()
    before: frozenset[str] = frozenset()  # the names that were defined before it

    @property
    def sides(self) -> tuple[Node, ...]:
        """All right sides, as they stand."""
        return self.body, *self.others


@dataclass(frozen=True, slots=True)
class Claim:
    """d ``of`` / d ``wrt`` is ``body``; the indices are the axes in order, each once.

    Of ``\\partial a_i / \\partial z_i`` only the entries with one i are claimed.
    """

    of: str
    wrt: tuple[str, ...]
    indices: tuple[str, ...]
    body: Node
    order: int
    span: tuple[int, int]
    others: tuple[Node, ...] = ()
    below: tuple[tuple[str, ...], ...] = ()  # the indices of each name in wrt
    above: tuple[str, ...] = ()  # the indices of what is differentiated

    @property
    def sides(self) -> tuple[Node, ...]:
        """All right sides, as they stand; what later rows mean by it is the last."""
        return *self.others, self.body

    @property
    def is_of_some(self) -> bool:
        """Whether an index stands above and below: no other entries are claimed."""
        return not set(self.above).isdisjoint(x for letters in self.below for x in letters)

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
    bold: Mapping[str, bool] = field(default_factory=dict)  # names in bold, and whether with an index

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


# ----------------------------------------------------------------------------------------------------------- equations


@dataclass(frozen=True, slots=True)
class Equation:
    """``left`` is a symbol or a derivative or None, ``arguments`` the names in parentheses after it; each of ``sides``
    is what it equals.  ``formula`` is what the derivative is of where that is no name; ``factor`` is what stands before
    it, so that each side is that times the derivative.
    """

    left: Node | None
    arguments: tuple[Node, ...]
    sides: tuple[Node, ...]
    span: tuple[int, int]
    formula: Node | None = None
    factor: Node | None = None

    @property
    def bodies(self) -> tuple[Node, ...]:
        return self.sides if self.formula is None else (*self.sides, self.formula)


def equations(
    text: str,
    known: frozenset[str] | None = None,
    functions: Mapping[str, tuple[str, ...]] | None = None,
    words: frozenset[str] = frozenset(),
    beside: str = "",
    outputs: Mapping[str, tuple[str, ...]] | None = None,
    values: bool = False,
    readings: Mapping[str, bool] | None = None,
) -> tuple[Equation, ...]:
    """The equations of ``text``.

    ``known`` are names that are inputs, if they are known, ``functions`` names that are called with arguments, with
    these arguments, and ``words`` names of several letters; those that the text itself defines are added.
    With ``values`` no row defines a function of the table, ``\\operatorname{tr}(A) = ...``: two values are equal.
    ``beside`` is the text of the model, and ``outputs`` what it defines, with its inputs: ``u_{xx}`` is a derivative.
    ``readings`` says of factors after a slash whether all of them are the denominator.
    Raises `BadFormula` where the text is no formula, with the place.
    """
    said = magnitudes_said(beside) | magnitudes_said(text)
    pieces = pieces_of(text, with_magnitudes_named(tokens(text), said))
    if not pieces:
        raise BadFormula("the formula is empty.", instead="Write an expression, for example w \\tanh(x).")
    numbers = _numbers(pieces)
    takes = dict(functions or {})
    context = f"{beside} {text}"

    def reader(piece: list[Token], names: frozenset[str] | None) -> Reader:
        end = min(piece[-1].stop if piece else 0, len(text))
        tail = Token("end", "", end, end + 1)
        made = open_reader(text, [*piece, tail], names, numbers, frozenset(takes), words, context, readings)
        made.beside_model = known is not None
        return made

    lefts: list[Equation] = []
    names = known
    for sides in pieces:
        made = Equation(None, (), (), (0, 0))
        if len(sides) > 1 and sides[0]:
            made = _left_or_value(reader(sides[0], names), {**(outputs or {}), **takes}, values)
            if made.arguments and made.left is not None and made.left.head == "symbol":
                listed = tuple(spelled(a) or a.value.base for a in made.arguments)
                takes |= dict.fromkeys(called_names(made.left), listed)
        lefts.append(made)
        words |= words_of(lefts[-1:])
        names = known if not (logs := logarithms_of(lefts)) else (known or frozenset()) | logs.keys()
    named = {n for e in lefts for a in e.arguments for n in (spelled(a), a.value.base) if n}
    for e in lefts:
        if e.left is not None and e.left.head == "symbol" and (e.arguments or len(pieces) > 1):
            named.discard(e.left.value.base)
    whole = known if not named else (known or frozenset()) | named
    powers = frozenset(e.left.value.base for e in lefts if e.left is not None and e.left.head == "symbol")
    found: list[Equation] = []
    for e, sides in zip(lefts, pieces, strict=True):
        bound = tuple(x for part in ((e.left, *e.left.args) if e.left is not None else ()) for x in indices_of(part))
        for each, mine in _each(e, sides, takes, text):
            slope = each.left is not None and each.left.head == "derivative"
            by = {spelled(w): w for w in each.left.args[1:] if w.head == "symbol"} if slope and each.left else {}
            own = mine[1:] if e.left is not None else mine
            read = tuple(_side(reader(side, whole), bound, tuple(by.values())) for side in own)
            span = (sides[0][0].start if sides[0] else read[0].span[0], sides[-1][-1].stop)
            made = _multiplied(
                replace(each, sides=read, span=span), text, takes, (known or frozenset()) | powers, known is not None
            )
            found += _claimed(_of_values(made, known))
    return tuple(x for e in found for x in _claimed_of_new(e, found, known))


def _claimed_of_new(e: Equation, found: Sequence[Equation], known: frozenset[str] | None) -> list[Equation]:
    """``\\frac{1}{T} = \\frac{dS}{dU} = ...``: what the derivative is, where nothing else says what T is."""
    if e.left is not None or e.formula is not None or len(e.sides) < 3:
        return [e]
    inside = {spelled(p) or p.value.base for p in parts(e.sides[0]) if p.head == "symbol"} - {"e", "pi"}
    others = {
        spelled(p)
        for x in found
        for side in (x.left, *x.bodies)
        if side is not None
        for p in parts(side)
        if p.head == "symbol" and not (x is e and any(p is q for q in parts(e.sides[0])))
    }
    if not inside or inside & (others | (known or frozenset())):
        return [e]
    named = Node("symbol", (), e.sides[0].span, Name("?", "", "?"))
    return _claimed(replace(e, left=named, sides=e.sides[1:]))[:1]


def _of_values(e: Equation, known: frozenset[str] | None) -> Equation:
    """A derivative of integrals as a value like the others, which only SymPy tells; and one of a derivative along the
    time, ``\\frac{d}{dt}\\frac{\\partial L}{\\partial\\dot x}``."""
    if e.formula is None or e.left is None:
        return e
    inside = {p.head for p in parts(e.formula)}
    along = known is not None and "derivative" in inside and not any(spelled(w) in known for w in e.left.args[1:])
    if "integral" not in inside and not along:
        return e
    slope = replace(e.left, args=(e.formula, *e.left.args[1:]))
    return replace(e, left=None, formula=None, sides=(slope, *e.sides))


def _each(
    e: Equation, sides: list[list[Token]], takes: Mapping[str, tuple[str, ...]], text: str
) -> Iterator[tuple[Equation, list[list[Token]]]]:
    """``\\nabla f = (a, b)`` as an equation for each argument of f."""
    if e.left is None or e.left.head != "derivative" or len(e.left.args) != 1 or e.formula:
        yield e, sides
        return
    if e.left.value != 1:  # \nabla^2 f of a function with one argument
        one = takes.get(spelled(e.left.args[0]) or "", ())
        wrt = [_symbol(one[0], e.left)] * e.left.value if len(one) == 1 else []
        yield replace(e, left=replace(e.left, args=(*e.left.args, *wrt))), sides
        return
    entries = [[x for row in grid(side) or [[side]] for x in row] for side in sides[1:]]
    listed = takes.get(spelled(e.left.args[0]) or "", ())
    if all(len(found) == 1 for found in entries):
        one = (_symbol(listed[0], e.left),) if len(listed) == 1 else ()
        yield replace(e, left=replace(e.left, args=(*e.left.args, *one))), sides
        return
    if not all(len(found) == len(listed) for found in entries):
        yield e, sides
        return
    for k, name in enumerate(listed):
        left = replace(e.left, args=(e.left.args[0], _symbol(name, e.left)))
        yield replace(e, left=left), [sides[0], *(found[k] for found in entries)]


def _multiplied(
    e: Equation, text: str, takes: Mapping[str, tuple[str, ...]], known: frozenset[str], is_sure: bool
) -> Equation:
    """``-\\frac{dV}{dr} = F`` says that the derivative is -F, and of a power that df/dx is df/dx^2 by 2 x; ``-L = x``
    that L is -x."""
    if e.left is None or e.left.head != "derivative":
        return e if e.left is None or e.factor is None else replace(e, sides=tuple(map(_negative, e.sides)))
    factors = [e.factor] if e.factor is not None else []
    listed = takes.get(spelled(e.left.args[0]) or "", ())
    wrt: list[Node] = []
    for w in e.left.args[1:]:
        if w.head != "pow":
            wrt.append(w)
            continue
        base, power = w.args
        name = power_name(spelled(base) or "", int(power.value))
        if name in known:
            wrt.append(_symbol(name, w))
        elif name in listed or spelled(base) == "sigma":
            less = Node("number", (), w.span, power.value - 1)
            factors += [power, Node("pow", (base, less), w.span)]
            wrt.append(base)
        else:
            shown = base.value.shown
            kind = BadFormula if is_sure or spelled(e.left.args[0]) in takes else Undecided  # the model may list it
            raise kind(
                f"this is a derivative for {shown}^{power.value}, or one of order {power.value}.",
                where=place(text, e.left.span),
                instead=f"Write \\frac{{\\partial^{power.value} f}}{{\\partial {shown}^{power.value}}}, or list the "
                f"power among the function's arguments: f({shown}^{power.value}) = ...",
            )
    if not factors:
        return replace(e, left=replace(e.left, args=(e.left.args[0], *wrt)))
    sides = tuple(Node("mul", (*factors, x), x.span, ("cdot",) * len(factors)) for x in e.sides)
    return replace(e, left=replace(e.left, args=(e.left.args[0], *wrt)), sides=sides)


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
    sides = e.sides[1:] if slope is e.sides[0] else tuple(map(_negative, e.sides[1:]))
    of, *wrt = slope.args
    if of.head == "symbol":
        return [Equation(slope, (), sides, e.span), replace(e, sides=e.sides[-1:])]
    named = Node("symbol", (), of.span, Name("?"))
    return [Equation(replace(slope, args=(named, *wrt)), (), sides, e.span, of)]


def _negative(node: Node) -> Node:
    return replace(node.args[0], span=node.span) if node.head == "neg" else Node("neg", (node,), node.span)


def have_left_sides(text: str) -> bool:
    """Whether each equation of ``text`` has a left side."""
    return all(len(sides) > 1 and sides[0] for sides in pieces_of(text, tokens(text)))


def _side(r: Reader, bound: tuple[str, ...], by: tuple[Node, ...]) -> Node:
    r.bound, r.by = bound, by
    node = listed(r) or expression(r)
    if r.token.kind != "end":
        unexpected(r)
    return node


def _left(r: Reader, takes: Mapping[str, tuple[str, ...]]) -> Equation:
    """What an equation is about, without its sides; ``takes`` are the arguments of functions."""
    arguments: tuple[Node, ...] = ()
    if (multiple := _multiple(r, takes)) is not None:
        return multiple
    minus = Node("number", (), r.token.span, Fraction(-1)) if r.accept("-") else None
    fence, mark = (r.token.text if r.is_sign("(", "[") else ""), r.at
    r.at += bool(fence)
    r.on_left = True
    node = derivative(r)
    if fence and (node is None or not r.accept(CLOSING[fence])):
        r.at, r.on_left = mark, False
        node = _primed_formula(r)
    elif fence and r.accept("_"):
        below = subscript(r)  # what is held fixed, which all other inputs are; or an entry of a gradient
        assert node is not None
        if r.tokens[mark + 1].text == "\\nabla" and node.value == 1:
            listed = takes.get(spelled(node.args[0]) or "", ())
            by = node.args[1:] or tuple(_symbol(x, node) for x in listed if len(listed) == 1)
            node = replace(node, args=(node.args[0], *(replace(w, args=below) for w in by)))
    elif node is None and (node := _operator(r) or quantity(r)) is not None:
        if node.head == "symbol" and r.is_sign("^"):
            node = _power(r, node)
        if r.token.text in ("(", "[") and not _skip_distributions(r):
            arguments = named_arguments(r)
    if node is None or r.token.kind != "end" or node.head not in ("symbol", "derivative"):
        r.fail(
            "the left side is neither a name nor a derivative of one.",
            (r.tokens[0].start, r.tokens[-2].stop),
            "Write f(x) = ..., or \\frac{\\partial f}{\\partial x} = ...",
        )
    formula = None
    node = _by_marks(node, arguments, takes)
    if node.head == "derivative" and node.args[0].head == "neg" and node.args[0].args[0].head == "symbol":
        one = Node("number", (), node.span, Fraction(-1))  # of -L, as likelihoods have it
        minus = one if minus is None else None
        node = replace(node, args=(node.args[0].args[0], *node.args[1:]))
    if node.head == "derivative" and node.args[0].head != "symbol":
        formula = node.args[0]
        node = replace(node, args=(Node("symbol", (), formula.span, Name("?")), *node.args[1:]))
    return Equation(node, arguments, (), node.span, formula, minus)


def _skip_distributions(r: Reader) -> bool:
    """Whether ``(N(\\mu, \\sigma^2) \\| N(0, 1))``, of what a divergence is, stands here and was left out; names alone
    are arguments."""
    mark, depth, names = r.at, 0, True
    between = 0
    while r.token.kind != "end":
        opens, closes = r.token.text in ("(", "["), r.token.text in (")", "]")
        depth += opens - closes
        between += depth == 1 and r.token.text in ("\\|", "\\parallel", "|", "\\mid")
        names = names and not (opens and depth > 1)
        r.at += 1
        if not depth:
            break
    if depth or not between or names:
        r.at = mark
    return r.at != mark


def _left_or_value(r: Reader, takes: Mapping[str, tuple[str, ...]], values: bool) -> Equation:
    """What an equation is about; of one whose left side is a value itself, ``\\cos 2x = 2\\cos^2 x - 1``, nothing."""
    try:
        if moment_word(r) is not None:
            r.fail("a moment is a value.", r.token.span)
        made = _left(r, takes)
        if values and made.arguments and made.left is not None and function(made.left.value.base) is not None:
            r.fail("a function of the table is known.", made.span)
        return made
    except (Undecided, TwoReadings):
        raise
    except SymgradError as error:
        r.at, r.depth, r.fences, r.on_left = 0, 0, [], False
        try:
            node = expression(r)
        except SymgradError as other:
            if isinstance(other, (Undecided, TwoReadings)):  # the model may have the function: f'(2) is a value then
                raise Undecided(error.what, where=error.where, instead=error.instead) from None
            raise (other if r.tokens[0].text == "\\int" else error) from None
        if r.token.kind == "end" and node.head != "symbol":
            return Equation(None, (), (), node.span)
        raise error from None


def _multiple(r: Reader, takes: Mapping[str, tuple[str, ...]]) -> Equation | None:
    """``\\frac{1}{y}\\frac{dy}{dx} = ...`` and ``\\frac{y'}{y} = ...``, which tell dy/dx by its share of y; or None."""
    mark = r.at
    with contextlib.suppress(SymgradError):
        node = term(r)
        if node.head == "mul" and node.value == ("/",):  # y'/y
            node = replace(node, head="frac", value=None)
        if node.head == "frac" and node.args[0].head == "symbol":
            one = Node("number", (), node.span, Fraction(1))
            node = Node("mul", (replace(node, args=(one, node.args[1])), node.args[0]), node.span, ("",))
        slope = _by_marks(node.args[-1], (), takes) if node.head == "mul" else node
        is_slope = slope.head == "derivative" and slope.args[0].head == "symbol"
        if node.head == "mul" and is_slope and r.token.kind == "end":
            one = Node("number", (), node.span, Fraction(1))
            first, *rest = node.args[:-1]
            before = replace(node, args=(first, *rest), value=node.value[:-1]) if rest else first
            if not any(p.head == "derivative" for p in parts(before)) and "/" not in node.value:
                factor = Node("frac", (one, before), node.span)
                return Equation(replace(slope, span=node.span), (), (), node.span, factor=factor)
    r.at, r.depth, r.fences = mark, 0, []
    return None


def _operator(r: Reader) -> Node | None:
    """``D_x f`` and ``D_x[x^2]``; None for a name D, or D_x."""
    start = r.token
    if start.text != "D" or r.peek().text != "_" or r.knows("D"):
        return None
    mark, r.at = r.at, r.at + 2
    wrt = subscript(r)
    if r.token.kind == "end" or any(w.head != "symbol" for w in wrt):
        r.at = mark
        return None
    return Node("derivative", (term(r), *wrt), r.since(start.start), len(wrt))


def _primed_formula(r: Reader) -> Node | None:
    """``(x^2 \\ln x)'``, of a formula in which one name stands; None for what has no prime."""
    inner, order = fenced(r), 0
    while r.accept("'"):
        order += 1
    if not order:
        return None
    names = {spelled(p): p for p in parts(inner) if p.head == "symbol" and spelled(p) not in ("e", "pi", None)}
    if len(names) != 1:
        r.fail(
            f"of {len(names)} names in it, a prime does not say which it differentiates for.",
            r.since(inner.span[0]),
            "Write \\frac{\\partial}{\\partial x}(...) = ...",
        )
    return Node("derivative", (inner, *list(names.values()) * order), r.since(inner.span[0]), order)


def _power(r: Reader, node: Node) -> Node:
    """``\\sigma^2`` as a name, which its row says."""
    r.at += 1
    power = argument(r, "^")
    full = spelled(node)
    if full is None or power.head != "number" or power.value.denominator != 1 or power.value < 2:
        r.fail("a power on the left side is a whole number.", r.since(node.span[0]))
    span = r.since(node.span[0])
    return Node("symbol", (), span, Name(power_name(full, int(power.value)), node.value.style, r.written(span)))


def _by_marks(node: Node, arguments: tuple[Node, ...], takes: Mapping[str, tuple[str, ...]]) -> Node:
    """The derivative that a name with marks is: ``f'``, ``f^{(3)}``, ``\\dot s``, ``f_{xy}``, of functions of rows."""
    if node.head != "symbol":
        return node
    base = node.value.base
    order = base.count("_prime") if base.endswith("_prime") else 0
    of = replace(node, value=replace(node.value, base=base.replace("_prime", "")))
    for ending, times in (("_ddot", 2), ("_dot", 1)):
        if not order and base.endswith(ending) and base.removesuffix(ending) in takes:
            of, order = replace(of, value=replace(of.value, base=base.removesuffix(ending))), times
    label = node.value.label
    if base in takes and len(label) == 1 and label[0].head == "number" and not node.args:
        of, order = replace(of, value=replace(of.value, label=())), int(label[0].value)
    listed = takes.get(spelled(of) or "", ())
    if order:
        one = arguments[:1] if len(arguments) == 1 else tuple(_symbol(a, node) for a in listed if len(listed) == 1)
        return Node("derivative", (of, *one * order), node.span, order)
    below, listed = indices_of(node), takes.get(base, ())
    if below and spelled(node) not in takes and set(below) <= set(listed):
        of = replace(node, args=())
        return Node("derivative", (of, *(_symbol(a, node) for a in below)), node.span, len(below))
    return node


def _symbol(name: str, where: Node) -> Node:
    return Node("symbol", (), where.span, Name(name, "", name))


_MEAN = re.compile(r"(\\(?:mathbb|mathrm|mathsf|operatorname)) (?:\{ E \}|E)(?= )")
_CALLED = frozenset("\\sigma \\Gamma E \\mathbb{E}".split())
_OPENS = frozenset("( [ \\{ _ '".split())


def _numbers(pieces: list[list[list[Token]]]) -> frozenset[str]:
    """The letters that can be functions or means, where they stand without a parenthesis somewhere."""
    found = set()
    for sides in pieces:
        for side in sides:
            texts = _MEAN.sub(r"\1{E}", " ".join([*(t.text for t in side), ";"])).split()
            found |= {x for x, after in pairwise(texts) if x in _CALLED and after not in _OPENS}
    return frozenset(x.removeprefix("\\") for x in found)
