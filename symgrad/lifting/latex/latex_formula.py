"""`Latex`: a formula in LaTeX as one that can be run at a point."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import sympy as sp

from symgrad.errors import BadInput, SymgradError, UnknownName, WrongShape
from symgrad.evaluation.floats import Floats, tensors_of
from symgrad.lifting.latex.bare_letters import refuse_bare, with_bare_letters_named
from symgrad.lifting.latex.defined_macros import with_macros_written_out
from symgrad.lifting.latex.displays import without_prose
from symgrad.lifting.latex.equations import Claim, Definition, Document, Equation, equations, words_of
from symgrad.lifting.latex.index_ranges import count_from, find_sizes, letters_of_axes
from symgrad.lifting.latex.letter_shapes import says_arrays, unstated
from symgrad.lifting.latex.plain_form import plain_text
from symgrad.lifting.latex.resolution import resolve
from symgrad.lifting.latex.semantics import Meaning, Reading
from symgrad.lifting.latex.single_entries import class_numbers
from symgrad.lifting.latex.tensor_values import Value
from symgrad.lifting.latex.token_reader import Node, TwoReadings, Undecided, parts, place
from symgrad.lifting.latex.tokens import refuse_escapes
from symgrad.lifting.tracing.functions import Run
from symgrad.program.builder import Builder
from symgrad.program.constants import typed_decimal
from symgrad.program.expressions import Expression
from symgrad.program.piecewise import given as given_value
from symgrad.program.program import Program, Source, interpret, promote

# ------------------------------------------------------------------------------------------------------- latex formula


_INNER_ROWS = re.compile(r"\\begin\{(\w*matrix|array|d?cases)\}.*?(?:\\end\{\1\}|$)", re.S)


class Named(Protocol):
    """What a formula is read beside: it has inputs."""

    @property
    def names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class Latex:
    r"""A formula in LaTeX, to be passed wherever a formula can be.

    >>> from symgrad import verify
    >>> f = Latex(r"f(W,U) = \frac{1}{\sqrt{m}} \sum_{k=1}^{m} \frac{w_k}{1+\exp(-\sum_{s=1}^{d} u_{k,s} x_s)}")
    >>> f.names
    ('u', 'w', 'x')
    >>> print(f.plain)
    f = 1/sqrt(m)*sum(k=1..m, w[k]/(1 + exp(-sum(s=1..d, u[k, s]*x[s]))))
    >>> hand = Latex(r"\frac{\partial f}{\partial w_k} = \frac{1}{\sqrt{m}} \sigma(\sum_{s=1}^{d} u_{k,s} x_s)")
    >>> verify(f, hand, at={"w": (4,), "u": (4, 3), "x": (3,)}).verdict
    'proved'

    The left side says what the formula is: a function (``f(x) = ...``, ``y_k = ...``) or a derivative
    (``\frac{\partial f}{\partial u_{k,s}} = ...``, ``\nabla_w f = ...``, ``f'(x) = ...``), whose free indices are the
    axes of the result in order; instead of a name it may have the model's formula, ``\frac{d}{dx}(x^2 e^{-x}) = ...``.
    It may be left out.  Several equations, one to a row, define names for those that follow.  Letters in the limits of
    sums are sizes, found from the shapes of the tensors in ``at``, or from ``shapes``: ``shapes={"u": ("m", "d")}``
    says that u is m x d.  ``rename`` maps names of the formula to the model's: ``{"u": "linear1.weight"}``.

    Tensors without indices follow linear algebra: vectors are columns, ``A x``, ``x^\top A x``, ``\|x\|^2``,
    ``A^{-1}``, ``\det A`` (``|A|`` too), ``\odot`` entry by entry and after products; functions of a vector are taken
    entry by entry.  ``\log`` is the natural logarithm, ``\sigma(x)`` the logistic function (and ``\sigma`` alone a
    name), ``e^{x}`` and ``exp(x)`` the exponential, ``\tanh(x)^2`` the square of tanh.  A sum's body goes to the next
    plus or minus.  A name before a parenthesis is a factor, unless a row defines it as a function: after ``f(x) = x^n``
    is ``f(x)`` what the row says, ``f(2x)`` the same at 2x, and ``f'(x) = n f(x)/x`` right.

    Macros that the text defines are what they stand for; of ``|Z| = ...`` the magnitude is a name, and ``\dot V`` is
    the rate of V along the time.  LaTeX is parsed, never evaluated.

    Raises `BadFormula` for what is no formula or has two common readings, `UnknownOperation` for unknown functions and
    macros, `UnknownName` for names that the model does not have, and `WrongShape` where tensors do not fit; each points
    at the place and says what to write instead.
    """

    text: str
    shapes: Mapping[str, Sequence[int | str]] = field(default_factory=dict, kw_only=True)
    rename: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    model: Named | None = field(default=None, kw_only=True, repr=False)
    only: str | None = field(default=None, kw_only=True, repr=False)
    row: tuple[int, int] | None = field(default=None, kw_only=True, repr=False)  # which line is meant, and which side
    keyed: bool = field(default=False, kw_only=True, repr=False)
    values: bool = field(default=False, kw_only=True, repr=False)  # whether no row defines a function of the table
    moving: tuple[str, ...] = field(default=(), kw_only=True, repr=False)  # differentials, which are inputs too
    beside_arrays: bool = field(default=False, kw_only=True, repr=False)  # whether the hand formula says arrays
    above: int = field(default=0, kw_only=True, repr=False)  # the rows that stood above it, in the text that it is of
    readings: Mapping[str, bool] = field(default_factory=dict, kw_only=True, repr=False)  # see `Reader`
    made: dict[tuple[tuple[str, tuple[int, ...]], ...], _Elaborated] = field(
        default_factory=dict, init=False, repr=False
    )

    is_formula = True
    library = "math"

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise BadInput(f"a formula in LaTeX must be a str, not {type(self.text).__name__}.")
        refuse_escapes(self.text)
        object.__setattr__(self, "text", without_prose(with_macros_written_out(self.text)))
        for name, shape in self.shapes.items():
            if isinstance(shape, str) or not all(isinstance(n, (str, int)) for n in shape):
                raise BadInput(
                    f"shapes[{name!r}] is {shape!r}.", instead="Give a size or a letter for each axis: ('m', 'd')."
                )
        with contextlib.suppress(Undecided, TwoReadings):  # the model may decide, or both are asked about
            _ = self.equations

    def __str__(self) -> str:
        return self.text

    # -------------------------------------------------------------------------------- what it says
    @functools.cached_property
    def equations(self) -> tuple[Equation, ...]:
        """The equations as they stand."""
        known = self.known
        functions: dict[str, tuple[str, ...]] = {}
        words: frozenset[str] = frozenset()
        beside = ""
        outputs: dict[str, tuple[str, ...]] = {}
        if known is not None and isinstance(self.model, Latex):
            known |= self.model.defined
            defined = self.model.document.functions
            functions = {n: d.arguments for d in defined for n in (str(d.name), f"{d.name}_" if d.indices else "") if n}
            words, beside = words_of(self.model.equations), self.model.text
            last = self.model.document.definitions[-1:]
            outputs = {str(d.name): self.model.document.names for d in last if not (d.indices or d.arguments)}
        found = equations(self.text, known, functions, words, beside, outputs, self.values, self.readings)
        return with_bare_letters_named(found, self.readings)

    @functools.cached_property
    def document(self) -> Document:
        """The equations with every symbol resolved."""
        beside = self.model.document if isinstance(self.model, Latex) else None
        return resolve(self.text, self.equations, self.known, self.shapes, beside, self.readings)

    @property
    def known(self) -> frozenset[str] | None:
        """The names that the model has, as this formula calls them; None where there is no model."""
        if self.model is None:
            return None
        back = {outside: own for own, outside in self.rename.items()}
        names = {back.get(n, n) for n in self.model.names} | set(self.moving)
        return frozenset(names | {n.replace(".", "_") for n in names})

    @property
    def axes(self) -> dict[str, tuple[str | int, ...]]:
        """The shapes that the formula itself says, by input: from ``shapes``, and from the limits of sums."""
        told = {**letters_of_axes(self.document), **{n: tuple(s) for n, s in self.shapes.items()}}
        return {self.rename.get(n, n): shape for n, shape in told.items()}

    def unstated(self, given: Mapping[str, Sequence[int | str]]) -> dict[str, tuple[str | int, ...]]:
        r"""Shapes for the inputs that are not ``given`` and that are arrays by how they are written.

        >>> Latex(r"f(w) = \|X w - y\|^2 + \lambda \|w\|^2").unstated({})
        {'X': ('n', 'k'), 'w': ('k',), 'y': ('n',)}

        Raises `BadInput` where two readings are left, or none.
        """
        own = {outer: inner for inner, outer in self.rename.items()}
        told = {**{n: tuple(s) for n, s in self.shapes.items()}, **{own.get(n, n): tuple(s) for n, s in given.items()}}
        last = self.equations[-1]
        bold = last.left is not None and last.left.head == "symbol" and last.left.value.style == "bold"
        found = unstated(self.document, told, bold=bold, called=bool(last.arguments), beside=self.beside_arrays)
        return {self.rename.get(n, n): s for n, s in found.items()}

    def told_by(self, hand: Latex) -> Latex:
        """This formula with what the hand formula says of its letters: that there are matrices."""
        with contextlib.suppress(SymgradError):  # what cannot be read is told where it is posed
            return replace(self, beside_arrays=says_arrays(replace(hand, model=self).document))
        return self

    @property
    def plain(self) -> str:
        """What was read, in plain form."""
        return plain_text(self.document)

    @property
    def shown(self) -> str:
        """What was read of this formula alone: its own line, and the definitions that it may use."""
        lines = tuple(x for x in self.document.lines if isinstance(x, Definition) or x is self.line)
        return plain_text(replace(self.document, lines=lines))

    @property
    def line(self) -> Definition | Claim:
        """The equation that is the formula; of several sides of a claim, the last."""
        if self.row is not None:
            return self.document.lines[self.row[0]]
        claims = [c for c in self.document.claims if self.only in (None, c.key)]
        about = self.about if self.model is None else None
        line = about or (claims[-1] if claims else self.document.lines[-1])
        if line.others and isinstance(line, Definition) and line.name is None:
            raise BadInput(
                "this says that values are equal, and a formula is one value.",
                where="    " + plain_text(replace_lines(self.document, line)),
                instead="Begin with a name, f(x) = ...; or pass the equation alone, to have each side judged.",
            )
        if line.others and self.model is None and isinstance(line, Claim):
            raise BadInput(
                "this equation has several right sides.",
                where="    " + plain_text(replace_lines(self.document, line)),
                instead="Pass the one that is meant; of numbers, all are judged as a list of steps.",
            )
        return line

    @property
    def about(self) -> Definition | None:
        """What a text by itself defines in its last row; None where it is about a derivative.

        Raises `BadInput` where it says what a name is and what its derivative is: either may be meant.
        """
        last = self.document.lines[-1]
        if isinstance(last, Definition):
            return last
        if last.of in self.defined:
            raise BadInput(
                f"this text says what {last.of} is, and what its derivative is.",
                where=place(self.text, last.span),
                instead="Pass two: the formula, and its derivative.",
            )
        return None

    @property
    def final(self) -> dict[str, Claim]:
        """The derivatives of what is differentiated last, by the input that each is for."""
        claims = self.document.claims
        inner = self.defined | (self.model.defined if isinstance(self.model, Latex) else frozenset())
        return {
            self.rename.get(c.wrt[-1], c.wrt[-1]): c
            for c in claims
            if c.of == claims[-1].of and c.wrt and not inner.intersection(c.wrt) and c.order == claims[-1].order
        }

    @property
    def key(self) -> str:
        """The name of the result: what a derivative is taken with respect to."""
        line = self.line
        if self.keyed and isinstance(line, Claim) and line.wrt:
            return self.rename.get(line.wrt[-1], line.wrt[-1])
        return "value"

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs, sorted."""
        for slope in self.document.open:
            raise BadInput(
                f"the formula uses {slope.value}, and no row says what it is.",
                where=place(self.text, slope.span),
                instead="Add a row with its value before this one, or write it out.",
            )
        return tuple(sorted(self.rename.get(n, n) for n in self.document.names))

    @property
    def labels(self) -> frozenset[str]:
        r"""The inputs that are numbers of classes: an indicator compares them with an index.

        >>> sorted(Latex(r"L = -\sum_{k=1}^K \mathbb{1}[k=y] z_k").labels)
        ['y']
        """
        found = class_numbers(side for line in self.document.lines for side in line.sides)
        return frozenset(self.rename.get(n, n) for n in found & set(self.document.names))

    @property
    def required(self) -> tuple[str, ...]:
        return self.names

    @property
    def differentiated(self) -> tuple[int, tuple[str, ...]]:
        """The order of the derivative that its left side claims, and for which inputs; 1 and none where it has none."""
        line = self.line
        if not isinstance(line, Claim):
            return 1, ()
        return line.order, tuple(self.rename.get(w, w) for w in line.wrt)

    def beside(self, model: Named, *, order: int | None = 1, key: str | None = None) -> Latex:
        """This formula as a derivative of ``model``, whose names, sizes and definitions it may use.

        Raises `UnknownName` for a name that the model does not have, `BadInput` where the left side is about
        something else: another function, another ``order`` (None for the order that it says), another input than
        ``key``.
        """
        made = replace(self, model=model, keyed=True)
        line = made.line
        if not isinstance(line, Claim):
            return made
        where = place(self.text, line.span)
        output = model.document.output if isinstance(model, Latex) else None
        if isinstance(model, Latex):
            refuse_bare(model.document, line, self.readings)
        if output is not None and line.of != output:
            raise BadInput(
                f"the left side is a derivative of {line.of}, and the model is {output}.",
                where=where,
                instead=f"Write \\partial {output}, or rename the model.",
            )
        if order not in (None, line.order):
            raise BadInput(
                f"the left side is a derivative of order {line.order}, and order is {order}.",
                where=where,
                instead=f"Pass order={line.order}.",
            )
        if key is not None and made.key not in ("value", key):
            raise BadInput(
                f"the formula for {key!r} has a left side about {made.key!r}.",
                where=where,
                instead=f"Pass it as {{{made.key!r}: ...}}, or mend the left side.",
            )
        return made

    @property
    def defined(self) -> frozenset[str]:
        """The names that rows define."""
        return frozenset(d.name for d in self.document.definitions if d.name is not None)

    def row_of(self, place: int) -> int:
        """The row of the text, from 1, with those that stood above it."""
        return self.above + _INNER_ROWS.sub("", self.text[:place]).count("\\\\") + 1

    def closed(self) -> sp.Expr:
        """A formula of numbers in SymPy; its integrals and sums without end are written down, and not carried out."""
        own = {inner: self.rename.get(inner, inner) for inner in self.document.names}
        reading, decimals, _, _ = _Writer(self, dict.fromkeys(own, 0.5), own, "float64", {}).meaning()
        return reading.body.xreplace({symbol: sp.Float(text) for text, symbol in decimals.items()})

    # -------------------------------------------------------------------------------- running it
    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """The Program of the formula at ``point``, and its values there."""
        own = {inner: self.rename.get(inner, inner) for inner in self.document.names}
        kinds = dtypes if isinstance(dtypes, str) else {n: dtypes.get(n, "float64") for n in self.names}
        dtype = kinds if isinstance(kinds, str) else (promote(*kinds.values()) if kinds else "float64")
        for inner, outer in own.items():
            if outer not in point:
                raise UnknownName(
                    f"{outer!r} has no value at the point.",
                    where=place(self.text, self.document.spans[inner]),
                    instead=f"Pass at={{{outer!r}: ...}}.",
                )
        program = _Writer(self, {inner: point[outer] for inner, outer in own.items()}, own, dtype, point).program()
        values = interpret(program, Floats(), tensors_of(point, program.dtypes))
        return Run(program, {k: values[i].detach().resolve_conj().numpy() for k, i in program.outputs.items()})


def _exact(line: Definition | Claim) -> Node:
    """The derivative that a row claims, as the node of its exact value."""
    assert isinstance(line, Claim)
    span = line.span

    def name(n: str, indices: Sequence[str]) -> Node:
        base = Node("name", (), span, n)
        return Node("entry", (base, *(Node("index", (), span, i) for i in indices)), span) if indices else base

    return Node("partial", (name(line.of, line.above), *map(name, line.wrt, line.below)), span)


def replace_lines(document: Document, line: Definition | Claim) -> Document:
    return replace(document, lines=(line,))


@dataclass(frozen=True)
class _Elaborated:
    """A formula for some shapes: its expression, its axes, the sizes, and the decimals that were typed."""

    expression: Expression
    reading: Reading
    sizes: Mapping[str, int]
    constants: Mapping[str, str]


class _Writer:
    """The meaning of a formula at a point, as steps."""

    def __init__(
        self, latex: Latex, point: Mapping[str, Any], own: Mapping[str, str], dtype: str, outside: Mapping[str, Any]
    ) -> None:
        self.latex, self.dtype, self.own = latex, dtype, own
        self.values = {n: given_value(v, dtype) for n, v in point.items()}
        self.documents = [latex.document]
        self.model_shapes: dict[str, tuple[int, ...]] = {n: v[0].shape for n, v in self.values.items()}
        if isinstance(latex.model, Latex):
            self.documents.append(latex.model.document)
        if latex.model is not None:
            back = {o: n for n, o in latex.rename.items()}
            self.model_shapes |= {
                back.get(n, n): np.shape(v) for n, v in outside.items() if back.get(n, n) not in self.values
            }
        bodies = [b for d in self.documents for line in (*d.lines, *d.functions) for b in line.sides]
        self.said = {p.value for body in bodies for p in parts(body) if p.head == "name"}
        self.outside = outside

    def program(self) -> Program:
        key = tuple(sorted(self.model_shapes.items()))
        if key not in self.latex.made:  # a formula is run at many points of the same shapes
            self.latex.made[key] = self.elaborated()
        return self.steps(self.latex.made[key])

    def meaning(self) -> tuple[Reading, Mapping[str, Any], Mapping[str, int], int]:
        """The meaning for these shapes, the decimals that were typed, the sizes, and what indices count from."""
        latex, document = self.latex, self.latex.document
        counting = count_from(self.documents)
        declared = dict(latex.model.shapes) | dict(latex.shapes) if isinstance(latex.model, Latex) else latex.shapes
        sizes = find_sizes(self.documents, self.model_shapes, declared, counting)
        meaning = Meaning(document.text, self.model_shapes, counting.axes, counting.first)
        if isinstance(latex.model, Latex):
            model = replace(meaning, text=latex.model.text)  # with the same dict of values
            for line in latex.model.document.definitions:
                if line.name is not None and self.is_used(line):
                    model.values[line.name] = model.define(line)
                    meaning.rows.append((line, model))
        for line in document.lines:
            if line is latex.line:
                break
            name = line.name if isinstance(line, Definition) else line.key
            if name is not None and self.is_used(line):
                meaning.values[name] = self.defined(meaning, line)
                if isinstance(line, Definition):
                    meaning.rows.append((line, meaning))
        line = latex.line
        if latex.row is not None:
            body = line.sides[latex.row[1]] if latex.row[1] < len(line.sides) else _exact(line)
            line = replace(line, body=body, others=())
        return meaning.read(line), meaning.decimals, sizes, counting.first

    def elaborated(self) -> _Elaborated:
        reading, decimals, sizes, first = self.meaning()
        if reading.body.has(sp.Integral) or any(x.is_infinite for s in reading.body.atoms(sp.Sum) for x in s.limits[0]):
            raise BadInput(
                "integrals and sums without end are read where all is LaTeX, and each letter a number.",
                where=place(self.latex.text, self.latex.line.body.span),
                instead="Write its value; or pass the formula and its derivative both in LaTeX.",
            )
        self.require_sizes(sizes)
        typed = {text: sp.Symbol(f"typed {text}") for text in decimals}
        body = reading.body.xreplace({symbol: typed[text] for text, symbol in decimals.items()})
        used = [a for a in reading.axes if body.has(a)]
        extents = tuple(n for a, n in zip(reading.axes, reading.extents, strict=True) if a in used)
        expression = Expression(body, tuple(used), first, extents)
        return _Elaborated(expression, reading, sizes, {str(symbol): text for text, symbol in typed.items()})

    def is_used(self, line: Definition | Claim) -> bool:
        """Whether a row has a value by itself: a function that is only called has none."""
        return isinstance(line, Claim) or not line.arguments or line.name in self.said

    def defined(self, meaning: Meaning, line: Definition | Claim) -> Value:
        if isinstance(line, Claim):
            return meaning.define(Definition(line.key, line.indices, line.body))
        return meaning.define(line)

    def require_sizes(self, sizes: Mapping[str, int]) -> None:
        for node in (p for line in self.latex.document.lines for p in parts(line.body)):
            if node.head == "size" and node.value not in sizes:
                raise WrongShape(
                    f"how large {node.value} is, is not known: no sum runs to it along an axis.",
                    where=place(self.latex.text, node.span),
                    instead=f'Say which axis it is, Latex(r"...", shapes={{"u": ("{node.value}", "d")}}), '
                    "or write the number.",
                )

    def steps(self, made: _Elaborated) -> Program:
        """The expression's steps over inputs that have the shapes that they are given in."""
        expression, reading, sizes, constants = made.expression, made.reading, made.sizes, made.constants
        source = Source(self.latex.shown)
        b = Builder(source=source)
        place_of: dict[str, int] = {}
        for inner, outer in self.own.items():
            value, kind = self.values[inner]
            place_of[inner] = b.input(outer, value.shape, kind)
        point = {n: v[0] for n, v in self.values.items()} | {n: float(text) for n, text in constants.items()}
        point |= {n: sizes[n] for n in (*expression.sizes, *expression.names) if n in sizes}
        try:
            inner = expression.run(point, self.dtype)
        except SymgradError as error:
            if error.where is not None and not isinstance(error, UnknownName):
                raise
            where = place(self.latex.text, self.latex.line.body.span)
            raise type(error)(error.what, where=where, instead=error.instead) from None
        place_at: list[int] = []
        for step in inner.steps:
            if step.op == "input" and step.params in place_of:
                place_at.append(place_of[step.params])
            elif step.op == "input" and step.params in constants:
                text = constants[step.params]
                value, radius = typed_decimal(text)
                exact = sp.Rational(value.numerator, value.denominator)
                place_at.append(b.constant(float(text), self.dtype, exact=exact, radius=radius))
            elif step.op == "input":
                place_at.append(b.number(sizes[step.params], self.dtype))
            else:
                b.steps.append(replace(step, args=tuple(place_at[a] for a in step.args), source=source))
                place_at.append(len(b.steps) - 1)
        for g in inner.guards:
            b.guards.append(replace(g, args=tuple(place_at[a] for a in g.args), source=source))
        out = place_at[inner.output]
        kept = [n for a, n in zip(reading.axes, reading.extents, strict=True) if a in expression.axes]
        lined = tuple(n if a in expression.axes else 1 for a, n in zip(reading.axes, reading.extents, strict=True))
        if b.shape(out) != tuple(kept):
            out = b.broadcast(out, tuple(kept))
        if reading.axes:
            out = b.broadcast(b.reshape(out, lined), tuple(reading.extents))
        return b.build({self.latex.key: self.shaped(b, out)})

    def shaped(self, b: Builder, out: int) -> int:
        """A gradient in the layout of its input: ``w_k`` may be the entries of a 1 x m matrix."""
        line = self.latex.line
        if isinstance(line, Claim) and line.order == 1 and line.wrt:
            wanted = self.model_shapes.get(line.wrt[0])
            here = b.shape(out)
            if wanted is not None and here != wanted and [n for n in here if n != 1] == [n for n in wanted if n != 1]:
                return b.reshape(out, wanted)
        return out
