r"""Shapes for the letters of a formula in LaTeX that nobody gave one, by the way people write.

A bold small letter is a vector, a bold capital a matrix; a capital beside what only arrays have (``\top``, ``\|x\|``,
``\operatorname{tr}``) is a matrix, and a small letter a vector or a number, whichever fits; with an index it has an
axis for it.  What fits is told by the axes of every part.  Where one reading is left it is asked for all sizes, and
where two are, the caller is asked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from symgrad.errors import BadInput
from symgrad.lifting.latex.equations import Claim, Definition, Document
from symgrad.lifting.latex.index_ranges import Counting, count_from, letter_of_limit
from symgrad.lifting.latex.token_reader import Node, parts
from symgrad.lifting.text.tensor_shapes import with_lengths_named, written
from symgrad.lifting.text.tensor_words import Length, Misfit, unify

Shape = tuple[Any, ...]
_MOST = 4096  # ways to give the letters axes, of those that are tried


@dataclass(frozen=True, slots=True)
class Form:
    """The axes of a part; whether it is a row, functions of entries made it, and names stand in it."""

    shape: Shape = ()
    row: bool = False
    entrywise: bool = False
    named: bool = True


_NUMBER = Form(named=False)


# ------------------------------------------------------------------------------------------------- the axes of a part
@dataclass
class _Forms:
    """The axes of each node; ``names`` are those of the names, ``sizes`` the lengths of indices by their letter."""

    text: str
    counting: Counting
    names: dict[str, Form]
    plain: set[tuple[str, int]] = field(default_factory=set)  # the axes along which an index runs alone

    def of(self, node: Node, scope: Mapping[str, Any]) -> Form:
        """The axes of a node; raises `Misfit` where linear algebra has no such thing."""
        args = node.args
        match node.head:
            case "number" | "decimal" | "constant" | "e" | "index" | "size" | "delta":
                return _NUMBER
            case "name" | "slope":
                return self.names.get(node.value, Form())
            case "ones" | "zeros":
                return Form((Length(),), named=False)
            case "identity":
                n = Length()
                return Form((n, n), named=False)
            case "entry":
                return self.entry(node, scope)
            case "sum" | "prod":
                inside = {**scope, node.value: (Length(), next(iter(args[2:]), None))}
                return self.of(args[0], inside)
            case "add":
                return _same([self.of(x, scope) for x in args], "the sum", named=True)
            case "mul":
                return self.product(node, scope)
            case "partial" | "at" | "along" | "unknown":
                return Form()
            case "jacobian":
                return Form((node.value, len(args) - node.value), named=False)
            case "matrix":
                if any(self.of(x, scope).shape for x in args):
                    raise Misfit("an entry of a matrix is a number.")
                return Form(tuple(n for n in node.value if n > 1), row=node.value[0] == 1, named=False)
            case "applied":
                return self.applied(node, scope)
        found = [self.of(x, scope) for x in args]
        first = found[0]
        match node.head:
            case "neg":
                return first
            case "frac":
                return _over(*found)
            case "pow":
                return _power(*found)
            case "transpose":
                names = [self.names.get(p.value, _NUMBER) for p in parts(args[0]) if p.head == "name"]
                composed = args[0].head not in ("name", "entry") and any(x.shape for x in names)
                return _transposed(first, sure=composed or not first.named)
            case "norm":
                if not first.shape or (len(first.shape) > 1) != (node.value == "F" and len(first.shape) > 1):
                    raise Misfit("a norm of a vector, or the Frobenius norm of a matrix.")
                return Form()
            case "abs":
                if len(first.shape) == 1 and not _is_bold(self.text[slice(*node.span)]):
                    raise Misfit("|x| of a vector.")
                return _square(first) if len(first.shape) == 2 else Form()
            case "inner":
                _same([replace(x, row=False) for x in found], "an inner product")
                if not first.shape:
                    raise Misfit("an inner product of numbers.")
                return Form()
            case "call" if node.value[0] in _CALLS:
                return _CALLS[node.value[0]](first)
            case "cases":
                return _same([x for k, x in enumerate(found) if k % 2 == 0 or k == len(found) - 1], "a choice")
        return replace(_same(found, node.head), entrywise=True)

    def entry(self, node: Node, scope: Mapping[str, Any]) -> Form:
        base, *items = node.args
        whole = self.of(base, scope)
        if len(items) > len(whole.shape):
            raise Misfit("an entry with more indices than axes.")
        kept = list(whole.shape[len(items) :])
        for axis, (item, n) in enumerate(zip(items, whole.shape, strict=False)):
            if item.head == "slice":
                kept.insert(0, n)
            elif item.head == "index":
                length, high = scope[item.value]
                n = unify(n, length, "an index")
                letter, less = letter_of_limit(high) if high is not None else (None, 0)
                if letter is not None and less + self.counting.of(str(base.value), axis) == 1:
                    unify(n, letter, "an index")
                self.plain.add((str(base.value), axis))
        return Form(tuple(kept))

    def product(self, node: Node, scope: Mapping[str, Any]) -> Form:
        """Factors without a sign belong together, then come ``\\cdot`` and ``/``, and ``\\odot`` last."""
        groups, signs = [self.of(node.args[0], scope)], []
        for sign, factor in zip(node.value, node.args[1:], strict=True):
            right = self.of(factor, scope)
            if sign:
                signs.append(sign)
                groups.append(right)
            else:
                groups[-1] = _times(groups[-1], right, "")
        last = [groups[0]]
        for sign, right in zip(signs, groups[1:], strict=True):
            if sign in ("odot", "oslash"):
                last.append(right)
            else:
                last[-1] = _over(last[-1], right) if sign == "/" else _times(last[-1], right, sign)
        if len(last) == 1:
            return last[0]
        if not all(x.shape or not x.named for x in last):
            raise Misfit("a product entry by entry of a number.")
        return replace(_same(last, "a product entry by entry"), entrywise=True)

    def applied(self, node: Node, scope: Mapping[str, Any]) -> Form:
        f, primes = node.value
        given = [self.of(x, scope) for x in node.args[len(f.indices) :]]
        inside = {i: (Length(), None) for i in f.indices}
        if primes or f.indices:
            return _same(given, "a function")

        def at(forms: Sequence[Form]) -> Form:
            names = {**self.names, **dict(zip(f.arguments, forms, strict=True))}
            return _Forms(self.text, self.counting, names, self.plain).of(f.body, inside)

        try:
            return at(given)
        except Misfit:
            if not any(x.shape for x in given) or at([Form()] * len(given)).shape:
                raise
            return _same(given, "a function")

    def line(self, line: Definition | Claim) -> Form:
        """The axes of what a row says: those of its indices, and those of its body."""
        scope = {i: (Length(), None) for i in line.indices}
        body = self.of(line.body, scope)
        return Form((*(n for n, _ in scope.values()), *body.shape), body.row and not line.indices)


def _same(found: Sequence[Form], what: str, *, named: bool = False) -> Form:
    """One form of parts that are taken entry by entry; a number goes with a tensor unless it has a name."""
    tensors = [x for x in found if x.shape]
    if not tensors:
        return Form(named=any(x.named for x in found))
    first = tensors[0]
    numbers = [x for x in found if not x.shape]
    entrywise = all(x.entrywise for x in tensors)
    if (named and any(x.named for x in numbers)) or (named and numbers and len(first.shape) > 1 and not entrywise):
        raise Misfit(f"{what} of a number and a tensor.")
    shape = first.shape
    for other in tensors[1:]:
        if len(other.shape) != len(shape) or (len(shape) == 1 and other.row != first.row):
            raise Misfit(f"{what} of tensors that differ.")
        shape = tuple(unify(a, b, what) for a, b in zip(shape, other.shape, strict=True))
    return Form(shape, first.row, entrywise)


def _times(a: Form, b: Form, sign: str) -> Form:
    if not a.shape or not b.shape:
        return b if not a.shape else a
    if sign == "times" or max(len(a.shape), len(b.shape)) > 2:
        raise Misfit("a product of tensors.")
    match (len(a.shape), a.row), (len(b.shape), b.row):
        case ((1, False), (1, False)) if sign in ("cdot", "*"):
            unify(a.shape[0], b.shape[0], "a product")
            return Form()
        case ((1, True), (1, False)):
            unify(a.shape[0], b.shape[0], "a product")
            return Form()
        case ((1, False), (1, True)):
            return Form((*a.shape, *b.shape))
        case ((2, _), (1, False)):
            unify(a.shape[1], b.shape[0], "a product")
            return Form(a.shape[:1])
        case ((1, True), (2, _)):
            unify(a.shape[0], b.shape[0], "a product")
            return Form(b.shape[1:], row=True)
        case ((2, _), (2, _)):
            unify(a.shape[1], b.shape[0], "a product")
            return Form((a.shape[0], b.shape[1]))
    raise Misfit("a product of tensors that do not fit.")


def _over(a: Form, b: Form) -> Form:
    if b.shape:
        raise Misfit("a division by a tensor.")
    return a


def _power(base: Form, exponent: Form) -> Form:
    if exponent.shape or (len(base.shape) == 1 and not base.entrywise):
        raise Misfit("a power of a vector.")
    if len(base.shape) == 2 and not base.entrywise:
        _square(base)
    return base


def _transposed(a: Form, *, sure: bool) -> Form:
    if not a.shape and not sure:
        raise Misfit("a transposed number.")
    return replace(a, row=not a.row) if len(a.shape) == 1 else replace(a, shape=a.shape[::-1])


def _square(a: Form) -> Form:
    if len(a.shape) != 2:
        raise Misfit("this is said of a square matrix.")
    unify(*a.shape, "a square matrix")
    return Form()


def _vector(a: Form) -> Form:
    if len(a.shape) != 1:
        raise Misfit("this is said of a vector.")
    return a


def _tensor(a: Form) -> Form:
    if not a.shape:
        raise Misfit("this is said of an array.")
    return Form()


def _diagonal(a: Form) -> Form:
    return Form(a.shape * 2) if len(a.shape) == 1 else replace(_square(a), shape=a.shape[:1])


_CALLS = {"det": _square, "tr": _square, "logdet": _square, "diag": _diagonal, "logsumexp": _tensor, "total": _tensor}
_CALLS["softmax"] = lambda a: replace(_vector(a), entrywise=True)
_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm|bold|vec|overrightarrow|pmb)\b")


def _is_bold(typed: str) -> bool:
    return _BOLD.search(typed) is not None


# --------------------------------------------------------------------------------------------------- which they must be
_WORDS = frozenset("transpose norm identity ones inner".split())


def unstated(
    document: Document, given: Mapping[str, Shape], *, bold: bool, called: bool, beside: bool = False
) -> dict[str, Shape]:
    """Shapes for the inputs that are not ``given`` and that the formula says are arrays; none where nothing says so.

    ``bold`` tells how the left side is typeset, and ``called`` whether it lists arguments: what a small letter or a
    call stands for is a number before it is anything else.  ``beside`` says that the hand formula is about arrays:
    capitals are matrices then.  Raises `BadInput` where two readings are left, or none.
    """
    question = _Question(document, given)
    if beside and question.word is None and any(n[0].isupper() and n not in question.indexed for n in question.missing):
        question.word, question.beside = "capitals beside a hand formula", True
    if not question.missing or (question.word is None and not question.indexed):
        return {}
    if question.word is None:  # letters without indices are numbers then
        (fit,) = question.fits({n: (k,) for n, k in question.indexed.items()}, range(9)) or [{}]
        return fit if question.plain.issuperset((n, k) for n in fit for k in range(len(fit[n]))) else {}
    last = next((d for d in document.definitions[::-1] if d.name is not None), None)
    left, free = ("f", 0) if last is None else (str(last.name), len(last.indices))
    wanted = (free + 1 + left[0].isupper(),) if bold else (free,)
    others = () if bold else (free + 1,) if called or not left[0].isupper() else (free + 1, free + 2)
    for tried in (((False, wanted),), ((False, others), (True, wanted)), ((True, others),)):
        fits = [fit for wide, ranks in tried for fit in question.fits(question.ways(wide=wide), ranks)]
        if len(fits) == 1:
            return fits[0]
        if fits:
            question.ask(fits)
    if not given and not question.beside:
        question.refuse()
    return {}


def says_arrays(document: Document) -> bool:
    """Whether something in a text is said of vectors and matrices alone."""
    return _Question(document, {}).word is not None


class _Question:
    """Which axes the letters of a document have that are not ``given`` any."""

    def __init__(self, document: Document, given: Mapping[str, Shape]) -> None:
        self.document, self.given = document, given
        self.missing = [n for n in document.names if n not in given]
        nodes = [p for line in document.lines for p in parts(line.body)]
        entries = [p for p in nodes if p.head == "entry" and p.args[0].head == "name"]
        self.indexed = {str(p.args[0].value): len(p.args) - 1 for p in entries if p.args[0].value in self.missing}
        said = [document.text[slice(*p.span)] for p in nodes if _is_of_arrays(p)]
        said += [f"{n} in bold" for n in self.missing if n in document.bold]
        self.word = said[0] if said else None
        self.beside = False  # whether the hand formula alone says that there are arrays
        self.counting = count_from([document])
        self.plain: set[tuple[str, int]] = set()

    def ways(self, *, wide: bool) -> dict[str, tuple[int, ...]]:
        """How many axes each letter may have; ``wide`` also admits what people seldom write."""
        found = {}
        for n in self.missing:
            most, below = 1 + n[0].isupper(), self.indexed.get(n, 0)
            own = self.document.bold.get(n)
            is_array = own is not None and (own or not below)
            is_array = is_array or (self.beside and most == 2 and not below)
            choices = (most,) if is_array else (0, most) if not below else (0, 1)
            found[n] = tuple(k + below for k in ((0, 1, 2)[: most + 1] if wide and not self.beside else choices))
        return found

    def fits(self, ways: Mapping[str, tuple[int, ...]], outputs: Sequence[int]) -> list[dict[str, Shape]]:
        """The shapes under which all parts fit and the result has one of these numbers of axes.

        Of two that differ in it, a capital is a matrix and an entry is a number.
        """
        found: dict[tuple[int, ...], dict[str, Shape]] = {}
        for ranks in itertools.islice(itertools.product(*ways.values()), _MOST):
            made = self.fitted(dict(zip(ways, ranks, strict=True)), outputs)
            if made is not None:
                found[ranks] = made
        signs = [-1 if n in self.indexed else int(n[0].isupper()) for n in ways]
        keys = {r: tuple(s * k for s, k in zip(signs, r, strict=True)) for r in found}
        return [
            made
            for r, made in found.items()
            if not any(q != keys[r] and all(a >= b for a, b in zip(q, keys[r], strict=True)) for q in keys.values())
        ]

    def forms(self, shapes: Mapping[str, Shape]) -> Form:
        """The axes of what is defined last; raises `Misfit` where some part does not fit."""
        names = {n: Form(s) for n, s in (*self.given.items(), *shapes.items())}
        forms, made = _Forms(self.document.text, self.counting, names, self.plain), Form()
        said = {p.value for line in self.document.lines for p in parts(line.body) if p.head == "name"}
        last = self.document.definitions[-1] if self.document.definitions else None
        for line in self.document.definitions:
            if line is not last and line.arguments and line.name not in said:
                continue  # a function that is only called has no value by itself
            made = forms.line(line)
            if line.name is not None:
                names[line.name] = made
        return made

    def fitted(self, ranks: Mapping[str, int], outputs: Sequence[int]) -> dict[str, Shape] | None:
        """Shapes with these numbers of axes, those of numbers left out; None where some part does not fit."""
        shapes: dict[str, Shape] = {n: tuple(Length() for _ in range(k)) for n, k in ranks.items()}
        try:
            made = self.forms(shapes)
        except Misfit:
            return None
        if len(made.shape) not in outputs:
            return None
        taken = {*self.document.text, *self.document.names, *self.document.sizes}
        return with_lengths_named(shapes, taken | {n for s in self.given.values() for n in s if isinstance(n, str)})

    def ask(self, fits: Sequence[dict[str, Shape]]) -> NoReturn:
        unclear = [n for n in self.missing if len({len(fit.get(n, ())) for fit in fits}) > 1] or self.missing
        raise BadInput(
            f"which shapes {', '.join(unclear)} {'has' if len(unclear) == 1 else 'have'} is not said, and the formula "
            f"can be read in {len(fits)} ways.",
            where=f"    {self.document.text.strip()}",
            instead=f"Say which shapes they have: at={{{written(max(fits, key=len), self.missing)}}}.",
        )

    def refuse(self) -> NoReturn:
        guess: dict[str, Shape] = {n: ("n", "n") if n[0].isupper() else ("n",) for n in self.missing}
        why = ""
        try:
            self.forms(guess)
        except Misfit as misfit:
            why = f": {misfit.what[0].lower()}{misfit.what[1:]}".rstrip(".")
        raise BadInput(
            f"the formula has {self.word}, which is said of vectors and matrices; no shape is given for "
            f"{', '.join(self.missing)}, and those that people would take do not fit{why}.",
            where=f"    {self.document.text.strip()}",
            instead=f"Say which shapes they have: at={{{written(guess, self.missing)}}}; or mend the formula.",
        )


def _is_of_arrays(node: Node) -> bool:
    entrywise = node.head == "mul" and not {"odot", "oslash"}.isdisjoint(node.value)
    is_listed = node.head == "call" and node.args[0].head in ("matrix", "jacobian")  # of entries that are numbers
    return node.head in _WORDS or entrywise or (node.head == "call" and node.value[0] in _CALLS and not is_listed)
