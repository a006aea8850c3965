r"""Derivatives that are written as one matrix: ``J = \begin{pmatrix} ... \end{pmatrix}``, ``\nabla f = (a, b)``.

What its columns are for is what the text says: a list below the line, the arguments of J or of the function, the
entries of a vector, or the coordinates of which people write no list.  Where it says nothing, the caller is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from symgrad.errors import BadFormula
from symgrad.lifting.latex.equations import Equation
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.names_in_rows import names_of
from symgrad.lifting.latex.rows_of_tokens import pieces_of
from symgrad.lifting.latex.token_reader import FRACTIONS, Node, parts
from symgrad.lifting.latex.tokens import Token, tokens
from symgrad.lifting.latex.typeset_matrices import grid

_COORDINATES = tuple(map(str.split, ("x y z", "x y", "u v w", "u v", "r theta phi", "r theta", "rho phi z", "s t")))
_FONT = re.compile(r"\\(?:mathbf|boldsymbol|bm|mathrm|mathcal|mathsf)(?![A-Za-z])|[{}\s]")
Vectors = Mapping[tuple[str, str], tuple[str, ...]]  # what rows list the entries of, by base and font


def by_lists(formula: Latex, hand: Latex) -> tuple[Latex, Latex]:
    r"""The question with ``\frac{\partial(x, y)}{\partial(r, \theta)}`` for the left side of a matrix of derivatives;
    the same two where the hand formula is none.

    >>> polar = Latex(r"x = r\cos\theta, \quad y = r\sin\theta")
    >>> _, hand = by_lists(polar, Latex(r"J = \begin{pmatrix} \cos\theta & 0 \\ \sin\theta & r \end{pmatrix}"))
    >>> print(hand)
    \frac{\partial(x, y)}{\partial(r, \theta)} = \begin{pmatrix} \cos\theta & 0 \\ \sin\theta & r \end{pmatrix}

    Raises `BadFormula` where it is not said which inputs the columns are for.
    """
    pieces = pieces_of(hand.text, tokens(hand.text))
    if len(pieces) != 1 or not formula.equations:
        return formula, hand
    claim, model = _Claim.of_piece(hand.text, pieces[0]), _Model.of_rows(formula)
    text = model.determinant(claim) if claim.entries is None else model.matrix(claim)
    return (formula, hand) if text is None else (model.formula, replace(hand, text=text))


def claims_matrix(text: str, piece: Sequence[list[Token]]) -> bool:
    r"""Whether an equation says by its left side what a matrix of derivatives is: ``J = ...``, ``\nabla^2 f = ...``."""
    claim = _Claim.of_piece(text, piece)
    return bool(claim.left) and (claim.is_jacobian or claim.is_hessian or max(len(claim.of), len(claim.wrt)) > 1)


# ------------------------------------------------------------------------------------------------------ what is claimed


@dataclass(frozen=True)
class _Claim:
    """An equation by its text: its left side with what that differentiates and for what, and its sides.

    ``letters`` are those of the left side's name; ``entries`` are the texts of the last side's, where it is a matrix.
    """

    left: str
    letters: str
    is_ratio: bool
    of: tuple[str, ...]
    wrt: tuple[str, ...]
    sides: tuple[str, ...]
    entries: tuple[tuple[str, ...], ...] | None

    @staticmethod
    def of_piece(text: str, piece: Sequence[list[Token]]) -> _Claim:
        left, sides = (piece[0], piece[1:]) if len(piece) > 1 else ([], piece)
        shown = tuple(_typed(text, side) for side in sides)
        found = grid(sides[-1])
        entries = None if found is None else tuple(tuple(_typed(text, x) for x in row) for row in found)
        groups = _groups(left[1:]) if left and left[0].text in FRACTIONS else []
        if len(groups) == 2 and all(g[:1] and g[0].text in ("\\partial", "d") for g in groups):
            of, wrt = (_names(text, g[1:]) for g in groups)
            return _Claim(_typed(text, left), "", True, of, wrt, shown, entries)
        cut = next((k for k, t in enumerate(left) if t.text == "(" and k and left[-1].text == ")"), len(left))
        letters = _FONT.sub("", _typed(text, left[:cut]))
        return _Claim(_typed(text, left), letters, False, (), _names(text, left[cut:]), shown, entries)

    @property
    def is_jacobian(self) -> bool:
        return re.fullmatch(r"J(_.*)?|D[A-Za-z]", self.letters) is not None

    @property
    def is_hessian(self) -> bool:
        return re.fullmatch(r"H(_.*)?|\\nabla\^2.*", self.letters) is not None

    @property
    def is_gradient(self) -> bool:
        return self.letters.startswith("\\nabla") and not self.is_hessian

    @property
    def shape(self) -> tuple[int, int]:
        return (0, 0) if self.entries is None else (len(self.entries), len(self.entries[0]))

    def as_row(self) -> str:
        r"""The last side as one row."""
        return f"\\begin{{pmatrix}} {' & '.join(x for row in self.entries or () for x in row)} \\end{{pmatrix}}"


def _typed(text: str, side: Sequence[Token]) -> str:
    return text[side[0].start : side[-1].stop] if side else ""


def _groups(found: Sequence[Token]) -> list[list[Token]]:
    """What stands in the braces that follow each other here."""
    groups: list[list[Token]] = []
    depth = 0
    for token in found:
        depth -= token.kind == "close"
        if not depth and token.kind == "open":
            groups.append([])
        elif depth:
            groups[-1].append(token)
        elif token.kind != "close":
            return []
        depth += token.kind == "open"
    return groups


def _names(text: str, found: Sequence[Token]) -> tuple[str, ...]:
    """The names of a list in parentheses, or the one name that stands there."""
    if found and found[0].text == "(" and found[-1].text == ")":
        inside = [[]]
        for token in found[1:-1]:
            inside = [*inside, []] if token.text in (",", ";") else [*inside[:-1], [*inside[-1], token]]
        return tuple(_typed(text, x) for x in inside)
    return (_typed(text, found),) if found else ()


# ------------------------------------------------------------------------------------------------------ of what it is


@dataclass(frozen=True)
class _Model:
    """The formula without the rows that only list the entries of a vector, and these lists."""

    formula: Latex
    vectors: Vectors

    @staticmethod
    def of_rows(formula: Latex) -> _Model:
        """Leave out rows such as ``\\mathbf{x} = (x, y)^\\top``, where x alone is an argument."""
        text, found = formula.text, formula.equations
        lists = {_font(e.left): entries for e in found[:-1] if (entries := _listed(text, e))}
        bodies = [p for e in found for side in e.bodies for p in parts(side) if p.head == "symbol"]
        lists = {k: v for k, v in lists.items() if k not in {_font(p) for p in bodies}}
        if not lists:
            return _Model(formula, lists)
        rows = []
        for e in found:
            if _font(e.left) in lists:
                continue
            row, start = text[slice(*e.span)], e.span[0]
            for a in reversed(e.arguments):
                if _font(a) in lists:
                    row = row[: a.span[0] - start] + ", ".join(lists[_font(a)]) + row[a.span[1] - start :]
            rows.append(row)
        return _Model(replace(formula, text=" \\\\\n".join(rows)), lists)

    def matrix(self, claim: _Claim) -> str | None:
        """What the claim says with lists of what is differentiated, and for what; None where it says that, or else."""
        rows, columns = claim.shape
        of = claim.of if len(claim.of) > 1 else self.outputs(rows)
        if len(of) == 1 and self.height == 1:
            square = rows == columns > 1
            if claim.is_hessian or (square and not claim.is_ratio):
                wrt = self.columns(claim, columns) if square else None
                return None if wrt is None else f"{_second(of[0], wrt)} = {claim.sides[-1]}"
            count = rows * columns
            if 1 not in (rows, columns) or (count == 1 and len(claim.wrt) < 2):
                return None
            if claim.is_gradient and len(self.arguments) == count:
                return None
            wrt = self.columns(claim, count)
            return None if wrt is None else f"{_ratio(of, wrt)} = {claim.as_row()}"
        if columns == 1 and not (claim.is_jacobian or len(claim.wrt) > 1):
            return None
        wrt = self.columns(claim, columns)
        return None if wrt is None else " = ".join((_ratio(of, wrt), *claim.sides))

    def determinant(self, claim: _Claim) -> str | None:
        """The same of a number, which says what the determinant is."""
        if claim.is_ratio and len(claim.of) == len(claim.wrt) > 1:
            return f"\\det{' = '.join((claim.left, *claim.sides))}"
        if not claim.is_jacobian:
            return None
        of = self.outputs(0)
        height = len(of) if len(of) > 1 else self.height
        wrt = self.columns(claim, height) if height > 1 else None
        return None if wrt is None else " = ".join((f"\\det{_ratio(of, wrt)}", *claim.sides))

    @property
    def height(self) -> int:
        """How many entries the last row has."""
        last = self.formula.equations[-1].sides[-1]
        return last.value[0] * last.value[1] if last.head == "matrix" and 1 in last.value else 1

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of what is defined last."""
        text = self.formula.text
        return tuple(text[slice(*a.span)] for a in self.formula.equations[-1].arguments)

    def outputs(self, count: int) -> tuple[str, ...]:
        """What is differentiated: what is defined last, or of several rows those that no other needs."""
        text, found = self.formula.text, self.formula.equations
        lefts = [e.left for e in found if e.left is not None and e.left.head == "symbol"]
        used = {names_of(p) for e in found for side in e.bodies for p in parts(side) if p.head == "symbol"}
        free = [text[slice(*x.span)] for x in lefts if names_of(x) not in used]
        if self.height == 1 and len(free) > 1 and count in (0, len(free)):
            return tuple(free)
        return (text[slice(*found[-1].left.span)],) if found[-1].left is not None else ("f",)

    def columns(self, claim: _Claim, count: int) -> tuple[str, ...] | None:
        """The inputs that so many columns are for; None where the left side is about one array."""
        inputs = {n: self.formula.text[slice(*self.formula.document.spans[n])] for n in self.formula.document.names}
        for listed in (claim.wrt, self.arguments if not claim.is_ratio else ()):
            each = [self.entries(x, inputs) for x in listed]
            found = tuple(y for x in each for y in x)
            if len(found) == count:
                return found
            if listed is self.arguments and each and len(each[0]) == count > 1 and count not in map(len, each[1:]):
                return each[0]
        is_array = len(self.arguments) == 1 < count and self.arguments[0] in inputs.values()
        if claim.is_ratio or is_array:
            return None
        lefts = [e.left for e in self.formula.equations if e.left is not None and e.left.head == "symbol"]
        moving = [names_of(x).removesuffix("_dot") for x in lefts if names_of(x).endswith("_dot")]
        if len(moving) == count and inputs.keys() >= set(moving):  # of \dot x = ..., \dot y = ...
            return tuple(inputs[n] for n in moving)
        names = set(inputs)
        for order in (*_COORDINATES, *(_numbered(n, count) for n in ("x", "theta", "q", "w"))):
            coordinates = names & {"x", "y", "z"} if claim.is_gradient else names
            if len(order) == count and coordinates == set(order):
                return tuple(inputs[n] for n in order)
        if count == 1 == len(names):
            return tuple(inputs.values())
        self.ask(claim, count, list(inputs.values()))

    def entries(self, name: str, inputs: Mapping[str, str]) -> tuple[str, ...]:
        """The entries of an argument that a row lists, or that is no input itself where x_1 and x_2 are."""
        (node,) = (e.left for e in Latex(f"{name} = 0").equations)
        key = _font(node)
        if key in self.vectors:
            return self.vectors[key]
        base = "" if node is None else names_of(node)
        numbered = [n for n in inputs if re.fullmatch(rf"{re.escape(base)}_\d+", n)]
        if base not in inputs and numbered:
            return tuple(inputs[n] for n in sorted(numbered, key=lambda n: int(n.rpartition("_")[2])))
        return (name,)

    def ask(self, claim: _Claim, count: int, inputs: Sequence[str]) -> NoReturn:
        rows = claim.shape[0] or count
        of = self.outputs(rows)
        raise BadFormula(
            f"which inputs the {count} columns of this matrix are for is not said: the formula has "
            f"{', '.join(inputs) or 'none'}.",
            where=f"    {claim.left or claim.sides[-1]}",
            instead=f"Write its left side as {_ratio(of, [*inputs, *'abcdefgh'][:count])}, with the inputs in the "
            "order of the columns.",
        )


def _font(node: Node | None) -> tuple[str, str]:
    """A name and its font; of what is no name, none that a row lists."""
    return ("", "") if node is None or node.head != "symbol" else (names_of(node), node.value.style)


def _listed(text: str, e: Equation) -> tuple[str, ...]:
    """The entries of a vector that a row lists: names alone."""
    side = e.sides[-1]
    if e.left is None or side.head != "matrix" or 1 not in side.value or any(x.head != "symbol" for x in side.args):
        return ()
    return tuple(text[slice(*x.span)] for x in side.args)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{k}" for k in range(1, count + 1)]


def _ratio(of: Sequence[str], wrt: Sequence[str]) -> str:
    above = f" {of[0]}" if len(of) == 1 else f"({', '.join(of)})"
    return f"\\frac{{\\partial{above}}}{{\\partial({', '.join(wrt)})}}"


def _second(of: str, wrt: Sequence[str]) -> str:
    """The matrix of second derivatives."""
    entry = f"\\frac{{\\partial^2 {of}}}{{\\partial %s \\partial %s}}"
    rows = " \\\\ ".join(" & ".join(entry % (a, b) for b in wrt) for a in wrt)
    return f"\\begin{{pmatrix}} {rows} \\end{{pmatrix}}"
