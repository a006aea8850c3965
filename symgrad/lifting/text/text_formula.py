"""Formulas typed as text -> steps, in the user's order, or -> SymPy.

Text is parsed, never evaluated.  The grammar is Python's arithmetic: ``+ - * /``, ``**`` (right to left, and above
a minus on its left), parentheses, calls of the table's functions, and comparisons inside ``where``; and what is
written on paper, where it has one reading: ``x^2``, ``|x|``, ``||x||``, and ``(x > 0)*x``, which is x where it holds.
Names are the user's: ``beta``, ``gamma``, ``S``, ``E``, ``I`` and ``e`` are ordinary inputs (write ``exp(1)`` for the
number e); only ``pi`` is a constant, unless an input is called so.  Decimals are exact: ``0.1`` is one tenth.

Arrays are NumPy's: ``sum(x**2)``, ``x.T @ A @ x``, ``softmax(z)``, ``log(det(X))`` (the words are a table,
`symgrad.lifting.text.tensor_words`), and ``x[0]``; a letter in brackets is a free index, ``sum(a[i]*x[i], i)``.

`Text` keeps the order of operations, which rounding depends on; SymPy rewrites as it builds (``(x + y) - x`` is
``y`` to it), so `Text.expression` is what the text means and not how it computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import BadFormula, BadInput, UnknownName, WrongShape, caret, close_names
from symgrad.lifting.text.lexicon import applied
from symgrad.lifting.text.parser import CONSTANTS, Node, Tree, read
from symgrad.lifting.text.tensor_shapes import Part, shapes_of, unstated
from symgrad.lifting.text.tensor_words import FOLDS, LIST, WORDS, Shape
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.indexing import places as places_of
from symgrad.program.lowering import lower
from symgrad.program.piecewise import RELATIONS, ExactPoint, choose, compare, given
from symgrad.program.program import Program, Source
from symgrad.program.selection import select


@dataclass(frozen=True)
class Text:
    """A formula typed as text.

    >>> formula = Text("(x + y) - x")
    >>> formula.names
    ('x', 'y')
    >>> print(formula.run({"x": 1.0, "y": 2.0}).listing())
    %0 = input() float64[]
    %1 = input() float64[]
    %2 = add(%0, %1) float64[]
    %3 = sub(%2, %0) float64[]

    ``known`` are the names of the inputs, if they are known: any other name is then an error, and an input may be
    called ``pi``.  The text is read when the object is made.

    Raises then `BadFormula` where the text is not a formula, `UnknownOperation` for a function that is not in the
    table and `UnknownName` for a name that is not in ``known``; each points at the place.
    """

    text: str
    known: Iterable[str] | None = None
    entry: tuple[str, tuple[str, ...]] | None = None  # of which tensor this is an entry, and its free indices
    tree: Tree = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise BadInput(f"a formula in text must be a str, not {type(self.text).__name__}.")
        known = None if self.known is None else frozenset(self.known)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "tree", read(self.text, known))

    def __str__(self) -> str:
        return self.text

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs, sorted."""
        return self.tree.names

    @property
    def items(self) -> tuple[str, ...]:
        """What a list holds, as text.

        >>> Text("[2*x, x + y]").items
        ('2*x', 'x + y')
        """
        whole = self.tree.nodes[-1]
        is_list = whole.head == "tensor" and whole.value[0] == LIST
        return tuple(self.text[slice(*self.tree.nodes[a].span)] for a in whole.args) if is_list else ()

    @property
    def has_arrays(self) -> bool:
        """Whether the text has words that are about whole arrays, or entries of one."""
        return any(node.head in ("tensor", "entry") for node in self.tree.nodes)

    def unstated(self, given: Mapping[str, Shape]) -> dict[str, tuple[int | str, ...]]:
        """Shapes for the inputs that are not ``given`` and that are arrays by the formula's own words.

        >>> Text("b*log(det(X)) + x.T @ X @ x").unstated({})
        {'X': ('n', 'n'), 'x': ('n',)}

        Raises `BadInput` where the words leave two readings, `WrongShape` where they have none.
        """
        return unstated(self.text, self.tree, given)

    @property
    def expression(self) -> sp.Expr:
        """What the text means: a SymPy expression in real symbols.

        >>> Text("where(x > 0, w*tanh(x)**2 / 3, 0.1)").expression
        Piecewise((w*tanh(x)**2/3, x > 0), (1/10, True))
        """
        values: dict[int, Any] = {}
        for i, node in enumerate(self.tree.nodes):
            values[i] = _meaning(self, node, [values[a] for a in node.args])
        return values[len(values) - 1]

    def run(self, point: Mapping[str, Any], dtype: str = "float64") -> Program:
        """Return the Program that computes the formula at ``point``, operation by operation in the text's order.

        ``point`` maps each name to a number or an array (arrays are taken entry by entry, and broadcast); branches
        are chosen at the exact binary values there, and each choice is a guard of the Program.  Every step carries
        its place in the text.

        Raises `UnknownName` if a name has no value at the point.
        """
        writer = _Writer(self, point, dtype)
        return writer.builder.build({"value": writer.write()})


# ------------------------------------------------------------------------------------------------ meaning


def _meaning(text: Text, node: Node, args: list[Any]) -> Any:
    match node.head:
        case "number":
            return sp.Rational(node.value.numerator, node.value.denominator)
        case "name":
            return CONSTANTS[node.value] if node.constant else sp.Symbol(node.value, real=True)
        case "add":
            return args[0] + args[1]
        case "sub":
            return args[0] - args[1]
        case "mul":
            return args[0] * args[1]
        case "div":
            if args[1] == 0:
                raise BadFormula("this divides by zero.", where=caret(text.text, node.span))
            return args[0] / args[1]
        case "pow":
            return args[0] ** args[1]
        case "neg":
            return -args[0]
        case "compare":
            return sp.Rel(args[0], args[1], node.value)
        case "and" | "or":
            return {"and": sp.And, "or": sp.Or}[node.head](*args)
        case "not":
            return sp.Not(args[0])
        case "where":
            return sp.Piecewise((args[1], args[0]), (args[2], True))
        case "tensor" | "entry":
            raise BadFormula(
                "this is about whole arrays, and a number is needed here.", where=caret(text.text, node.span)
            )
        case head:
            return applied(head, node.value, args)


# ------------------------------------------------------------------------------------------------ steps


class _Writer:
    """Writes a tree on a Builder, without recursion; only the branch that is taken is written."""

    def __init__(self, text: Text, point: Mapping[str, Any], dtype: str) -> None:
        self.text, self.tree, self.dtype = text, text.tree, dtype
        self.builder = Builder()
        self.place: dict[int, int] = {}
        self.letters = [x for n in self.tree.nodes if n.head == "entry" for x in n.value if isinstance(x, str)]
        self.letters = list(dict.fromkeys([*(text.entry[1] if text.entry else ()), *self.letters]))
        values: dict[int, Any] = {}
        for name in text.names:
            if name not in point:
                raise UnknownName(
                    f"{name!r} has no value at the point. {close_names(name, point)}".rstrip(),
                    where=caret(text.text, next(n.span for n in self.tree.nodes if n.value == name)),
                    instead=f"Pass at={{{name!r}: ...}}.",
                )
            value, kind = given(point[name], dtype)
            values[self.builder.input(name, value.shape, kind)] = value
        self.point = ExactPoint(self.builder, values)
        shapes = {n: self.builder.shape(self.builder.inputs[n]) for n in text.names}
        on_paper = any(shapes.values()) and any(node.sign for node in self.tree.nodes)
        self.parts = shapes_of(text.text, self.tree, shapes) if text.has_arrays or on_paper else []
        self.extents = self.free_axes({**shapes, **{n: np.shape(v) for n, v in point.items()}})

    def free_axes(self, shapes: Mapping[str, Shape]) -> dict[str, int]:
        """How many values each free index of the whole takes."""
        whole = self.parts[-1] if self.parts else Part()
        if self.text.entry is None:
            return {x: whole.letters[x] for x in self.letters if x in whole.letters}
        name, letters = self.text.entry
        shape = shapes.get(name, ())
        odd = next((x for x in whole.letters if x not in letters), None)
        if odd is not None or whole.shape or len(shape) != len(letters):
            what = (
                f"the index {odd} is none of {name}[{', '.join(letters)}]"
                if odd is not None
                else (f"this is no entry of {name}, whose shape is {list(shape)}")
            )
            raise WrongShape(f"{what}.", where=caret(self.text.text, None), instead="Write one index for each axis.")
        return dict(zip(letters, shape, strict=True))

    def write(self) -> int:
        """The step of the whole formula, with an axis for each free index."""
        step = self._written()
        if not self.extents:
            return step
        lined = tuple(n if x in self.parts[-1].letters else 1 for x, n in self.extents.items()) if self.parts else ()
        made = self.builder.reshape(step, lined) if self.builder.shape(step) else step
        return self.builder.broadcast(made, tuple(self.extents.values()))

    def _written(self) -> int:
        pending: list[Iterator[int]] = [self._node(len(self.tree.nodes) - 1)]
        while pending:  # a generator asks for the nodes it wants, and gets them written first
            wanted = next(pending[-1], None)
            if wanted is None:
                pending.pop()
            elif wanted not in self.place:
                pending.append(self._node(wanted))
        return self.place[len(self.tree.nodes) - 1]

    def _node(self, i: int) -> Iterator[int]:
        """Write node ``i``; yields the nodes it needs."""
        node = self.tree.nodes[i]
        if node.head == "where":
            condition, *values = node.args
            outcome = yield from self._decide(condition)
            if outcome.any():
                yield values[0]
            if not outcome.all():
                yield values[1]
            self._at(node)
            self.place[i] = choose(
                self.builder, [(lambda: self.place[values[0]], lambda: outcome)], lambda: self.place[values[1]]
            )
            if self.parts and not self.parts[i].letters:  # of the shape of both sides and of the condition
                self.place[i] = self.builder.broadcast(self.place[i], self.parts[i].shape)
            return
        if node.head == "pow":
            exponent = self.tree.closed(node.args[1])
            if exponent is not None:  # x**(1/2) is a root, x**-2 a division
                yield node.args[0]
                self._at(node)
                self.place[i] = self.builder.power(self.place[node.args[0]], self._number(exponent))
                return
        if node.head == "polygamma":
            yield node.args[1]
        else:
            yield from node.args
        self._at(node)
        self.place[i] = self._step(node)

    def _decide(self, i: int) -> Iterator[Any]:
        """Write what a condition looks at; returns where it holds."""
        node = self.tree.nodes[i]
        match node.head:
            case "compare":
                yield from node.args
                self._at(node)
                left, right = (self.place[a] for a in node.args)
                return compare(self.builder, RELATIONS[node.value], left, right, self.point)
            case "not":
                return ~(yield from self._decide(node.args[0]))
            case _:
                first = yield from self._decide(node.args[0])
                if np.all(first == (node.head == "or")):
                    return first
                second = yield from self._decide(node.args[1])
                return first | second if node.head == "or" else first & second

    def _at(self, node: Node) -> None:
        start, stop = node.span
        self.builder.source = Source(self.text.text[start:stop], span=node.span)

    def _number(self, value: Fraction) -> int:
        return self.builder.number(value, self.dtype)

    def _step(self, node: Node) -> int:
        b = self.builder
        args = [self.place[a] for a in node.args if a in self.place]
        match node.head:
            case "number":
                if node.radius is None:
                    return self._number(node.value)
                exact = sp.Rational(node.value.numerator, node.value.denominator)
                return b.constant(float(node.value), self.dtype, exact=exact, radius=node.radius)
            case "name":
                return b.number(CONSTANTS[node.value], self.dtype) if node.constant else b.inputs[node.value]
            case "add" | "sub" | "mul" | "div":
                return b.binary(node.head, args[0], args[1])
            case "pow":
                return b.power(args[0], args[1])
            case "neg":
                return b.neg(args[0])
            case "maximum" | "minimum":
                best = args[0]
                for other in args[1:]:
                    best = self._row(node.head, [best, other])
                return best
            case "polygamma":
                order = self.tree.closed(node.args[0])
                if order is None or order.denominator != 1 or order < 0:
                    raise BadFormula(
                        "the order of a polygamma function must be a natural number.",
                        where=caret(self.text.text, self.tree.nodes[node.args[0]].span),
                    )
                n = int(order)
                return b.apply("polygamma", args[0], params=n) if n else b.apply("digamma", args[0])
            case "lower":  # a function that the table writes in others: sec, log to a base, ...
                symbols = sp.symbols(f"_0:{len(args)}", real=True)
                return lower(b, node.value(*symbols), dict(zip(symbols, args, strict=True)), dtype=self.dtype)
            case "entry":
                return self._entry(node.value, args[0])
            case "tensor":
                name, option = node.value
                if isinstance(option, tuple):  # over free indices, each of which has its axis
                    folded = FOLDS[name](b, args[0], [self.letters.index(x) for x in option])
                    return folded if max(b.shape(folded), default=1) > 1 else b.reshape(folded, ())
                word = WORDS[name]
                looked = [_reals(self.point[a]) for a in args] if word.looks else []
                return word.steps(b, args, option, looked)
            case row:
                return self._row(row, args)

    def _entry(self, places: tuple[Any, ...], a: int) -> int:
        """Entries by numbers and slices as NumPy has them; with free indices, each along its own axis."""
        b, shape = self.builder, self.builder.shape(a)
        if not any(isinstance(x, str) for x in places):
            index: Any = places
        else:
            count = len(self.letters)

            def along(letter: str, n: int) -> np.ndarray:
                k = self.letters.index(letter)
                return np.arange(n).reshape([n if j == k else 1 for j in range(count)])

            index = tuple(along(x, n) if isinstance(x, str) else x for x, n in zip(places, shape, strict=True))
        where = np.asarray(places_of(shape)[index])
        return b.pick([a], where, where.shape)

    def _row(self, row: str, args: list[int]) -> int:
        op = OPS[row]
        if not op.branches:
            return self.builder.apply(row, *args)
        return select(self.builder, row, args, [_reals(self.point[a]) for a in args])


def _reals(values: np.ndarray) -> np.ndarray:
    """Exact values as floats; what is not real there has none."""
    flat = [float(v.real) if getattr(v, "imag", 0) == 0 else np.nan for v in values.reshape(-1)]
    return np.array(flat, dtype=np.float64).reshape(values.shape)
