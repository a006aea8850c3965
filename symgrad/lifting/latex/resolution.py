"""What the symbols of a formula in LaTeX are: inputs, entries of tensors, indices, sizes, constants.

A letter below a name is an index where a sum or the left side binds it, and part of the name otherwise: ``w_k`` under
a sum over k is an entry of w, and ``w_y`` is called w_y.  Names that the model has decide where both are possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NoReturn

from symgrad.errors import BadFormula, SymgradError, UnknownName, close_names
from symgrad.lifting.latex.equations import Claim, Definition, Document, Equation, indices_of, logarithms_of
from symgrad.lifting.latex.names_in_rows import (
    LETTERS_ALONE,
    adds_the_identity,
    constant_factors,
    half_defined,
    held_or_moving,
    hidden_arguments,
    in_order,
    in_two_fonts,
    letters_of_steps,
    moving_e,
    names_bare,
    names_in_limits,
    names_unbound,
    possible_transposes,
    said_power,
    speeds,
    subscripted_slope,
    unindexed,
    with_another_letter,
)
from symgrad.lifting.latex.plain_form import plain
from symgrad.lifting.latex.single_entries import class_numbers, delta_of, entry_by_number, is_entry, of_one_entry
from symgrad.lifting.latex.token_reader import (
    PRIME,
    Name,
    Node,
    TwoReadings,
    letters_below,
    letters_in,
    parts,
    place,
    settled,
    spelled,
)

_UNBOUND = "is no index here: no sum binds it, and the left side does not have it."
_FREE = "Write the sum, or name the free indices on the left side: \\frac{\\partial f}{\\partial u_{k,s}} = ..."


def resolve(
    text: str,
    found: Sequence[Equation],
    known: frozenset[str] | None,
    shapes: Mapping[str, Sequence[Any]],
    beside: Document | None,
    readings: Mapping[str, bool],
) -> Document:
    """The document of some equations.  ``known`` are the model's inputs, ``beside`` the model where it is LaTeX too;
    ``readings`` says of ``z_y`` whether it is the entry of number y."""
    return _Resolver(text, found, known, shapes, beside, readings).document()


class _Resolver:
    def __init__(
        self,
        text: str,
        found: Sequence[Equation],
        known: frozenset[str] | None,
        shapes: Mapping[str, Sequence[Any]],
        beside: Document | None,
        readings: Mapping[str, bool],
    ) -> None:
        self.readings = readings
        self.lets = {d.name for d in beside.definitions if d.name is not None} if beside is not None else set[str]()
        found = in_order(found, None if known is None else known | self.lets)
        self.text, self.found, self.known, self.beside, self.shapes = text, found, known, beside, shapes
        self.names: dict[str, tuple[int, int]] = {}
        self.styles: dict[str, dict[str, tuple[tuple[int, int], bool]]] = {}
        self.bold: dict[str, bool] = {}  # names in bold, and whether it is an entry that is
        self.arguments = {n for e in found for a in e.arguments for n in (spelled(a), a.value.base) if n}
        self.arguments |= moving_e(found)
        self.sizes = {s for shape in shapes.values() for s in shape if isinstance(s, str)}
        self.tensors = {n for n, shape in shapes.items() if len(shape)}
        if beside is not None:
            self.sizes |= beside.sizes
            self.tensors |= beside.tensors
        self.ways: dict[str, tuple[str, bool]] = {}
        self.slopes: set[str] = set()
        self.indexed = {d.name for d in (beside.definitions if beside is not None else ()) if d.indices}
        self.open: list[Node] = []
        self.binders = {p.value[0] for e in found for s in e.bodies for p in parts(s) if p.head in ("sum", "prod")}
        self.plain_names = {n for e in found for side in e.bodies for n in names_unbound(side, e.left)}
        self.borrowed = False  # whether a name of the model's own rows is used
        self.functions = {str(d.name): d for d in (beside.functions if beside is not None else ())}
        self.own: dict[str, Definition] = {}  # the functions of this text
        self.output: str | None = None  # what is defined last
        self.differentiated = beside.output if beside is not None else None
        self.bound: frozenset[str] = frozenset()  # the arguments of the function whose row is read
        self.formals: dict[str, tuple[int, int]] = {}  # the arguments of functions, which may be no inputs
        self.logarithms = logarithms_of(found)
        self.free: frozenset[str] = frozenset()  # the indices of the row's left side
        self.claiming = ""  # the derivative that the row claims
        self.claimed: tuple[str, ...] = ()  # for what
        self.steps = letters_of_steps(found)
        self.classes: set[str] = set()  # the model's inputs that are numbers of entries
        powers = (p.args[0] for e in found for s in e.bodies for p in parts(s) if p.head == "pow")
        self.has_exponentials = any(x.head == "symbol" and x.value == Name("e", "", "e") and not x.args for x in powers)
        self.bare = {n for e in found for side in e.sides for n in names_bare(side)}
        self.has_identity = known is not None or adds_the_identity(found)

    def fail(
        self, what: str, span: tuple[int, int], instead: str | None = None, kind: type[SymgradError] = BadFormula
    ) -> NoReturn:
        raise kind(what, where=place(self.text, span), instead=instead)

    # -------------------------------------------------------------------------------- the whole
    def document(self) -> Document:
        self.sizes |= {n for e in self.found for side in e.bodies for n in names_in_limits(side)}
        self.sizes -= self.known or frozenset()
        if self.beside is not None:
            self.classes = class_numbers(x for line in self.beside.lines for x in line.sides) & set(self.beside.names)
        lefts = [self.left(e) for e in self.found]
        self.indexed |= {str(name) for name, indices, slope in lefts if indices and slope is None}
        for equation, (_, indices, _) in zip(self.found, lefts, strict=True):
            for side in equation.bodies:
                self.collect(side, frozenset(indices))
        lines: list[Definition | Claim] = []
        self.output = next((name for name, _, slope in reversed(lefts) if slope is None), None)
        self.differentiated = self.differentiated or self.output
        for equation, (name, indices, slope) in zip(self.found, lefts, strict=True):
            if name is not None and slope is None and name in self.lets and self.beside is None:
                self.fail(f"{name} is defined twice.", equation.span)
            arguments = tuple(self.name_of(a) for a in equation.arguments) if slope is None else ()
            is_called = name != self.output or any(claim is not None for _, _, claim in lefts)
            self.bound = frozenset(arguments if is_called else ()) - self.lets - (self.known or frozenset())
            self.claimed = () if slope is None else tuple(dict.fromkeys(slope[1]))
            self.claiming = "" if slope is None else f"d{slope[0]}/d{'/d'.join(slope[1])}"
            self.free = frozenset(indices)
            bodies = [self.walk(side, frozenset(indices)) for side in equation.sides]
            if slope is None:
                made = Definition(name, indices, bodies[0], tuple(bodies[1:]), arguments, frozenset(self.lets))
                lines.append(made)
                if name is not None:
                    self.functions.pop(name, None)
                    if arguments:
                        self.functions[name] = self.own[name] = made
                    self.lets.add(name)
                    if (span := self.names.pop(name, None)) is not None and self.beside is None:
                        self.used_too_early(name, span)
            else:
                of, wrt, below, above = slope
                node = equation.left
                assert node is not None
                of = of if equation.formula is None else self.model_of(equation.formula)
                *others, body = bodies
                claim = Claim(of, wrt, indices, body, node.value, node.span, tuple(others), below, above)
                lines.append(claim)
                self.slopes.add(claim.key)
        for refused in in_two_fonts(self.styles):
            self.fail(*refused)
        lines = self.kept(lines)
        for refused in half_defined(self.logarithms.values(), self.names, self.lets):
            self.fail(*refused)
        inputs = {n for n in self.names if n not in self.lets}
        if self.borrowed and self.beside is not None:
            inputs |= set(self.beside.names)
            self.names |= {n: self.found[0].span for n in self.beside.names if n not in self.names}
        sets = frozenset(self.sizes), frozenset(self.tensors)
        more = self.names, tuple(self.own.values()), tuple(self.open), self.bold
        return Document(self.text, tuple(lines), tuple(sorted(inputs)), *sets, *more)

    def model_of(self, formula: Node) -> str:
        """The name of the model, where a left side differentiates its formula."""
        shown = plain(made := self.walk(formula, frozenset()))
        if self.beside is not None and made.head == "name" and made.value == self.beside.output:
            return made.value
        if self.known is None:
            return f"({shown})"
        model = self.beside.definitions[-1] if self.beside is not None and self.beside.definitions else None
        if model is None or plain(model.body) != shown:
            is_other = "is not in LaTeX" if model is None else f"is {plain(model.body)}"
            self.fail(
                f"the left side is a derivative of {shown}, and the model {is_other}.",
                formula.span,
                "Write \\frac{\\partial f}{\\partial x} = ..., where f is the model.",
            )
        return model.name or next(f for f in ("f", "y", "F", "model") if f not in self.known)

    def kept(self, lines: list[Definition | Claim]) -> list[Definition | Claim]:
        """The lines without functions that are only called, whose arguments are no inputs then."""
        said = {p.value for x in lines for side in x.sides for p in parts(side) if p.head == "name"}
        for name, f in self.own.items():
            for a in f.arguments if name in said else ():
                if a in self.formals:
                    self.names.setdefault(a, self.formals[a])
                if a in self.lets and a not in f.before:
                    self.used_too_early(a, self.formals.get(a, self.found[0].span))
        called = {n for n, f in self.own.items() if n not in said and n != self.output}
        inputs = self.names.keys() - self.lets
        called = {n for n in called if any(a in self.formals and a not in inputs for a in self.own[n].arguments)}
        return [x for x in lines if isinstance(x, Claim) or x.name not in called]

    def used_too_early(self, name: str, span: tuple[int, int]) -> NoReturn:
        what = f"{name} is said by means of itself, or used before it is defined."
        self.fail(what, span, "Write the rows in the order in which they need each other.")

    # -------------------------------------------------------------------------------- left sides
    def left(self, e: Equation) -> tuple[str | None, tuple[str, ...], Any]:
        if e.left is None:
            return None, (), None
        below = {x for side in e.sides for x in letters_below(side)} - self.steps
        known = self.known or frozenset()
        if e.left.head == "symbol":
            node = settled(e.left, below.__contains__)
            letters, full = indices_of(node), self.name_of(node)
            several = len(node.args) > 1 and not (e.arguments and below.isdisjoint(letters))  # f_{w,b}(x) is a name
            if letters and ((set(letters) <= below and full not in known) or several):
                self.once(letters, e.left)
                return node.value.base, letters, None
            return full, (), None
        of, *wrt = (settled(x, lambda i, x=x: spelled(x) not in known and i in below) for x in e.left.args)
        names: list[str] = []
        indices: list[str] = []
        each: list[tuple[str, ...]] = []
        under: list[str] = []
        for w in wrt:
            letters, full = indices_of(w), self.name_of(w)
            if self.classes.intersection(letters) and full not in known:
                self.fail(*of_one_entry(w, min(self.classes.intersection(letters))))
            if letters and self.is_indexed(w, full, letters):
                under += letters
                names.append(self.cased(w.value.base))
                each.append(letters)
                self.tensors.add(names[-1])
            else:
                names.append(self.cased(full))
                each.append(())
        letters, full = indices_of(of), self.name_of(of)
        defined = {d for d in (self.beside.definitions if self.beside else ()) if d.name == of.value.base}
        if (
            letters
            and full not in self.lets
            and (set(letters) <= below | set(under) or any(d.indices for d in defined))
        ):
            full = of.value.base
            indices += letters
        for one in (indices, *each):
            self.once(one, e.left)
        slope = full, tuple(names), tuple(each), tuple(indices)
        self.borrowed |= not set(indices).isdisjoint(under)
        return full, tuple(dict.fromkeys((*indices, *under))), slope

    def is_indexed(self, w: Node, full: str, letters: tuple[str, ...]) -> bool:
        names = self.known
        if names is not None and full in names:
            return False
        rows = self.beside.definitions if self.beside is not None else ()
        if any(d.name == w.value.base and len(d.indices) == len(letters) for d in rows):
            return True
        if len(w.args) > 1 or (names is not None and self.cased(w.value.base) in names):
            return True
        return names is None and full not in self.lets and full not in self.plain_names

    def cased(self, name: str) -> str:
        """``U`` on the left side for the input u, where there is no other."""
        if self.known is not None and name not in self.known and name.swapcase() in self.known:
            return name.swapcase()
        return name

    def once(self, letters: Sequence[str], node: Node) -> None:
        if len(set(letters)) < len(letters):
            self.fail("an index stands twice on the left side.", node.span, "Use a letter for each axis.")

    def name_of(self, node: Node) -> str:
        full = spelled(node)
        if full is None:
            self.fail("this subscript is neither a name nor an index.", node.span)
        return full

    # -------------------------------------------------------------------------------- sizes and tensors
    def collect(self, side: Node, free: frozenset[str]) -> None:
        """Find out which names are tensors, before numbers below names are read."""
        stack = [(side, free)]
        while stack:
            node, scope = stack.pop()
            if node.head in ("sum", "prod"):
                scope = scope | {node.value[0]}
            if node.head == "symbol":
                node = settled(node, scope.__contains__)
                letters = {x for item in node.args for x in letters_in(item)}
                if letters & scope and spelled(node) not in self.lets:
                    self.tensors.add(node.value.base)
                continue
            stack.extend((a, scope) for a in node.args)

    # -------------------------------------------------------------------------------- symbols
    def walk(self, node: Node, scope: frozenset[str]) -> Node:
        """The node with its symbols resolved; ``scope`` are the indices bound around it."""
        match node.head:
            case "symbol":
                return self.symbol(node, scope)
            case "entry":
                base = self.walk(node.args[0], scope)
                items = [x for item in node.args[1:] for x in self.items(item, scope, node)]
                return Node("entry", (base, *items), node.span)
            case "sum" | "prod":
                index, span = node.value
                if index in self.free & scope:  # inside of the sum it is the sum's, and outside the left side's
                    return self.walk(with_another_letter(node, scope), scope)
                if index in scope:
                    self.fail(f"the index {index} is bound already, by a sum around it.", span, "Use another letter.")
                for factor in constant_factors(node, index):
                    instead = f"Write \\prod_{index} (...) with parentheses, or the factor first."
                    self.fail("it is not clear whether this factor is inside the product.", factor.span, instead)
                body = self.walk(node.args[0], scope | {index})
                limits = [self.limit(x, scope) for x in node.args[1:]]
                return Node(node.head, (body, *limits), node.span, index)
            case "integral" | "between":
                body, *ends = node.args
                made = self.walk(body, scope | {node.value}), *(self.limit(x, scope) for x in ends)
                return Node(node.head, made, node.span, node.value)
            case "jacobian":
                self.borrowed = True
                return Node("jacobian", tuple(self.symbol(x, scope) for x in node.args), node.span, node.value)
            case "infinity":
                self.fail("\\infty is not a number to compute with.", node.span)
            case "pow" if (power := said_power(node, self.lets)) is not None:
                name, times = power
                made = self.named(name, replace(node.args[0], args=()), entry=False)
                return made if times == 1 else Node("pow", (made, replace(node.args[1], value=times)), node.span)
            case "pow" if node.args[0].head == "e" or self.is_e(node.args[0], scope):
                return Node("call", (self.walk(node.args[1], scope),), node.span, ("exp", 0))
            case "transpose" if node.value == "T" and self.is_taken("T", scope):
                self.fail(
                    "T is a size or a name here, and a transpose to others.",
                    node.span,
                    "Write ^\\top for a transpose; for a power give the exponent another letter.",
                )
            case "derivative":
                return self.slope(node, scope)
            case "apply":
                return self.call(node, scope)
            case "call" if node.value == ("log", 0) and (logarithm := self.logarithm(node.args[0])) is not None:
                return self.named(logarithm, replace(node.args[0], args=()), entry=False)
            case "mul":
                self.refuse_transposes(node)
            case "several":
                self.fail("a comma has no place here.", node.span)
            case "word" | "slice":
                self.fail("this has no place here.", node.span)
        return Node(node.head, tuple(self.walk(a, scope) for a in node.args), node.span, node.value)

    def limit(self, node: Node, scope: frozenset[str]) -> Node:
        """A limit of a sum or an integral, which may be infinite."""
        inner = node.args[0] if node.head == "neg" else node
        return node if inner.head == "infinity" else self.walk(node, scope)

    def refuse_transposes(self, node: Node) -> None:
        """Refuse ``y'y``, which is a sum of squares to most, unless y' is said to be a name."""
        for factor in possible_transposes(node, self.arguments):
            if not self.is_taken(self.name_of(factor), frozenset()):
                shown = (marked := factor.value.shown).partition("^")[0].removesuffix("'")
                what = f"{marked} is the transpose of {shown} to some, and another name to others."
                instead = f"Write {shown}^\\top for the transpose, or give the name another mark: \\tilde{{{shown}}}."
                self.fail(what, factor.span, instead, TwoReadings if marked[-1] == "'" else BadFormula)

    def logarithm(self, of: Node) -> str | None:
        """The name of ``\\ln L`` where a row says what it is."""
        name = f"log_{spelled(of)}" if of.head == "symbol" else ""
        return name if name in self.lets else None

    def is_e(self, node: Node, scope: frozenset[str]) -> bool:
        if node.head != "symbol" or node.value.base != "e" or node.args or node.value.style:
            return False
        return "e" not in scope and not self.is_taken("e", scope)

    def is_taken(self, name: str, scope: frozenset[str]) -> bool:
        return name in scope or name in self.sizes or name in self.lets or name in (self.known or self.arguments)

    def slope(self, node: Node, scope: frozenset[str]) -> Node:
        """A derivative that a row says; or, of a formula and of a name that the model defines, its exact value."""
        of, *wrt = node.args
        if len(wrt) == 1 and self.name_of(wrt[0]) not in self.lets and (moving := speeds(self.known, wrt[0])):
            return Node("along", (self.walk(of, scope),), node.span, moving)
        if of.head != "symbol":
            self.refuse_held(node, scope)
            return Node("partial", (self.walk(of, scope), *(self.symbol(w, scope) for w in wrt)), node.span)
        if wrt and all(spelled(w) == spelled(of) for w in wrt) and self.name_of(of) not in self.lets:
            return Node("number", (), node.span, Fraction(len(wrt) == 1))  # dx/dx
        if wrt and self.beside is not None and (made := self.partial(node, scope)) is not None:
            return made
        key = f"d{self.name_of(of)}/d{'/d'.join(self.name_of(w) for w in wrt)}" if wrt else f"∇{self.name_of(of)}"
        made = Node("slope", (), node.span, key)
        if key not in self.slopes:
            self.open.append(made)
        return made

    def refuse_held(self, node: Node, scope: frozenset[str]) -> None:
        """Refuse ``\\frac{\\partial}{\\partial x}(x y)`` where a row says what y is: y may be held, or move with x."""
        of, *wrt = node.args
        moving = held_or_moving(of, wrt, scope, self.lets)
        if moving is not None and "\\partial" in self.text[slice(*node.span)]:
            self.fail(
                f"whether {moving} is held fixed here is not clear: a row says what it is.",
                node.span,
                "Write \\frac{d}{dx}(...) for the whole derivative, or write out the derivative.",
            )

    def partial(self, node: Node, scope: frozenset[str]) -> Node | None:
        """The derivative of one of the model's names, where no row says it; None where one does, or claims it here."""
        said = [(unindexed(x, scope, self.lets), x) for x in node.args]
        (of, _), *wrt = said
        key = f"d{of}/d{'/d'.join(n for n, _ in wrt)}"
        indexed = any(full != spelled(x) for full, x in said)
        if of not in self.lets or (key in self.slopes and not indexed) or self.claiming in (key, f"d{of}/"):
            return None
        if any(n not in self.lets and n not in (self.known or ()) for n, _ in wrt):
            return None
        return Node("partial", tuple(self.symbol(x, scope) for _, x in said), node.span)

    def call(self, node: Node, scope: frozenset[str]) -> Node:
        """A function that a row defines: with its own arguments it is what the row says, and else a call."""
        symbol, *given = node.args
        name, primes = self.name_of(symbol), node.value
        f = self.functions.get(name) or self.functions.get(symbol.value.base)
        if f is None:
            self.used_too_early(name, symbol.span)
        name, wanted = str(f.name), len(f.arguments)
        shown = f"{name}({', '.join(f.arguments)})"
        if len(given) != wanted or (primes and wanted > 1):
            what = f"{name} takes {wanted} argument{'s' * (wanted > 1)}, and {len(given)} are given."
            what = what if len(given) != wanted else f"{name} with a prime has {wanted} arguments."
            self.fail(what, node.span, f"It is defined as {shown}.")
        own = name in self.lets and all(
            g.head == "symbol"
            and spelled(g) == a
            and a not in scope | self.bound
            and (a in self.lets) == (a in f.before)
            for g, a in zip(given, f.arguments, strict=True)
        )
        said = own and f"d{name}" + f"/d{f.arguments[0]}" * primes in self.slopes
        if primes and own and (said or name == self.differentiated):
            return self.slope(Node("derivative", (symbol, *given * primes), node.span, primes), scope)
        if own and not primes:
            return self.symbol(symbol, scope)
        if not primes and len(given) == 1 and name in names_bare(given[0]):
            return self.walk(Node("mul", (symbol, *given), node.span, ("",)), scope)  # N(1 - N/K), where N is N(t)
        if name in self.bare:
            self.fail(
                f"{name}(...) is a call of {shown} to some, and a product with {name} to others.",
                node.span,
                f"For the product write {name} \\cdot (...); for the call write {shown} where {name} stands alone.",
            )
        self.refuse_hidden(f, shown, node)
        items = [x for item in symbol.args for x in self.items(item, scope, symbol)] if f.indices else []
        if len(items) != len(f.indices):
            what = f"{shown} has {len(f.indices)} indices."
            self.fail(what, symbol.span, f"Write {name}_{{{','.join(f.indices)}}}(...).")
        self.borrowed |= name not in self.own
        return Node("applied", (*items, *(self.walk(g, scope) for g in given)), node.span, (f, primes))

    def primed(self, node: Node, scope: frozenset[str]) -> Node | None:
        """``f'`` of what a row says, by its one argument or by what this row's left side is for; None for a name."""
        order = node.value.base.count("_prime")
        of = replace(node, value=replace(node.value, base=node.value.base.replace("_prime", "")))
        f = self.functions.get(name := self.name_of(of))
        wrt = f.arguments if f is not None else self.claimed
        if name not in self.lets or len(wrt) != 1:
            return None
        by = Node("symbol", (), node.span, Name(wrt[0], "", wrt[0]))
        if f is not None:
            return self.call(Node("apply", (of, by), node.span, order), scope)
        return self.slope(Node("derivative", (of, *[by] * order), node.span, order), scope)

    def refuse_hidden(self, f: Definition, shown: str, node: Node) -> None:
        """Refuse a call of a function in whose body the arguments do not stand as they are called."""
        rows = {d.name: d for d in (*self.own.values(), *(self.beside.definitions if self.beside else ()))}
        hidden = hidden_arguments(f, shown, {str(n): d.body for n, d in rows.items()}, self.lets)
        if hidden is not None:
            self.fail(f"what {shown} is at other arguments is not clear: {hidden[0]}.", node.span, hidden[1])

    def symbol(self, node: Node, scope: frozenset[str]) -> Node:
        node = settled(node, scope.__contains__)
        base, items = node.value.base, node.args
        if items:
            return self.with_subscript(node, scope)
        if base in scope:
            return Node("index", (), node.span, base)
        if base == "pi" and base in self.tensors and self.text[: node.span[0]].rstrip()[-1:].isdigit():
            return Node("constant", (), node.span, "pi")  # 2\pi, where \pi_k are weights
        taken = base in self.lets or base in (self.known or ()) or base in self.arguments or base in self.shapes
        if base.endswith("_prime") and not taken and (slope := self.primed(node, scope)) is not None:
            return slope
        if not taken:
            if base == "pi":
                return Node("constant", (), node.span, "pi")
            if base == "e" and not node.value.style and self.has_exponentials:
                return Node("e", (), node.span)
            if base in LETTERS_ALONE and not node.value.style:
                self.fail(LETTERS_ALONE[base][0], node.span, LETTERS_ALONE[base][1])
            if base == "I" and (node.value.style in ("bold", "blackboard") or self.has_identity):
                return Node("identity", (), node.span)
        if base in self.sizes:
            return Node("size", (), node.span, base)
        return self.named(base, node, entry=False)

    def named(self, name: str, node: Node, *, entry: bool) -> Node:
        base = node.value.base
        way = base, "label" in node.value.style
        if self.ways.setdefault(name, way) != way:
            self.fail(f"two names that are written differently would both be {name}.", node.span, "Rename one of them.")
        self.styles.setdefault(base, {}).setdefault(node.value.style, (node.span, entry or base != name))
        cased = self.cased(name) if entry else name
        if "bold" in node.value.style:
            self.bold[cased] = entry and self.bold.get(cased, True)
        taken = cased in self.lets or cased in self.bound or cased.replace("_ddot", "_dot") in (self.known or ())
        if self.known is not None and cased not in self.known and not taken:
            listed = ", ".join(sorted(self.known)) or "no inputs"
            near = close_names(cased, self.known)
            plain = {n.replace(".", "_") for n in self.known}
            if cased not in plain:
                what = f"{cased!r} is not an input of the model, which has {listed}."
                advice = f'If it is a size, say of what: Latex(r"...", shapes={{"u": ("{cased}", "d")}}).'
                if cased.removesuffix("_prime") in self.known or f"{cased}_prime" in self.known:
                    advice = f"Write {node.value.shown.removesuffix(PRIME)}^\\top for a transpose."
                    what, where = what.replace("_prime", PRIME), place(self.text, node.span)
                    mark = PRIME if f"{cased}_prime" in self.known else ""  # x and x' in one formula
                    raise TwoReadings(what, mark=mark, where=where, instead=advice)
                self.fail(what, node.span, near or advice, UnknownName)
        self.borrowed |= cased in self.lets
        (self.formals if cased in self.bound else self.names).setdefault(cased, node.span)
        return Node("name", (), node.span, cased)

    def with_subscript(self, node: Node, scope: frozenset[str]) -> Node:
        base, full = node.value.base, spelled(node)
        known = self.known or frozenset()
        letters = {x for item in node.args for x in letters_in(item)}
        bound = letters & scope
        if full is not None and full in self.lets and not bound:
            return self.named(full, node, entry=False)
        if full is not None and not bound and (full in known or full in self.shapes):
            return self.named(full, node, entry=False)
        if not bound and (slope := subscripted_slope(node, self.functions)) is not None:
            return self.slope(slope, scope)
        if base == "I" and not bound and len(letters) == 1 and letters <= self.sizes and base not in self.tensors:
            return Node("identity", (), node.span)
        taken = {*scope, *known, *self.lets, *self.sizes}
        alone = letters - self.sizes - self.steps - bound - self.binders
        is_delta = base == "delta" and base not in known and base not in self.lets
        if bound and alone and (is_delta or base in self.indexed or alone <= self.classes):
            return self.walk(delta_of(node) if is_delta else entry_by_number(node, alone, taken), scope)
        if bound:
            items = tuple(x for item in node.args for x in self.items(item, scope, node))
            if is_delta and len(items) == 2:
                return Node("delta", items, node.span)
            return Node("entry", (self.named(base, node, entry=True), *items), node.span)
        numbers = all(item.head in ("number", "slice", "neg") for item in node.args)
        is_tensor = base in self.tensors or (base in known and full not in known)
        if is_tensor and (numbers or (letters and letters <= self.sizes)):
            items = tuple(x for item in node.args for x in self.items(item, scope, node))
            return Node("entry", (self.named(base, node, entry=True), *items), node.span)
        if not (self.known is None or alone <= known) or not (alone <= self.classes or alone.isdisjoint("ijkl")):
            alone = frozenset()
        shown = self.text[slice(*node.span)], alone, self.readings, place(self.text, node.span)
        is_row = base in self.indexed and not letters & (self.sizes | self.steps)
        if alone and (is_row or alone <= self.classes or (is_tensor and is_entry(node, *shown))):
            return self.walk(entry_by_number(node, alone, taken), scope)
        own = numbers or alone or all(item.head == "word" for item in node.args)  # x_0, x_{max}: names of their own
        if full is None or len(node.args) > 1 or ((is_tensor or (is_row and letters)) and not own):
            self.fail(f"{', '.join(sorted(letters - self.sizes)) or 'it'} {_UNBOUND}", node.span, _FREE)
        if (ended := letters & self.binders) and full not in known:
            what = f"the sum over {', '.join(sorted(ended))} has ended before this: it goes to the next plus or minus."
            self.fail(what, node.span, "Put what is summed in parentheses.")
        return self.named(full, node, entry=False)

    def items(self, item: Node, scope: frozenset[str], whole: Node) -> list[Node]:
        """The indices that one item below a name holds: ``ij`` is two, ``t-1`` one."""
        if item.head == "mul" and not any(item.value) and all(x.head == "symbol" and not x.args for x in item.args):
            return [self.index(x, scope, whole) for x in item.args]
        return [self.index(item, scope, whole)]

    def index(self, item: Node, scope: frozenset[str], whole: Node) -> Node:
        match item.head:
            case "number" if item.value.denominator == 1:
                return item
            case "slice":
                return item
            case "symbol" if not item.args and item.value.base in scope:
                return Node("index", (), item.span, item.value.base)
            case "symbol" if self.name_of(item) in self.sizes:
                return Node("size", (), item.span, self.name_of(item))
            case "add" | "neg" | "mul" if not any(item.value or ()):
                return Node(item.head, tuple(self.index(x, scope, whole) for x in item.args), item.span, item.value)
        self.fail(f"{self.text[slice(*item.span)]} {_UNBOUND}", whole.span, _FREE)
