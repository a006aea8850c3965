"""Shapes with names in them: ``at={"U": ("m", "d"), "x": ("d",)}``, and what the names are in a run.

The code itself is run at numbers.  A name is given one: small and different for each name, or the length that an
object of the user's already has (a module's parameters), or the one that is written beside it: ``"m=10"``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.errors import BadInput, NoPoint, SymgradError, UserCodeFailed, WrongShape
from symgrad.evaluation.floats import Floats
from symgrad.indices.sizes import size_symbol
from symgrad.lifting.formulas import Formula, Several, Symbolic
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.text.text_formula import Text
from symgrad.lifting.tracing.functions import Function, Run
from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.expressions import Expression
from symgrad.program.program import Program, interpret

# ----------------------------------------------------------------------------------------------------- unstated shapes
# Shapes that nobody gave: what only means something for arrays is not asked of single numbers.
#
# The mean of one number is that number, and its derivative is one; a proof of that says nothing of means.  So a
# function that makes one number of a vector, or an entry of several, is asked about vectors of all lengths, and a
# formula that speaks of arrays about those that its letters stand for by the way people write.

_LENGTH = 3  # of the vectors that are tried
_LETTERS = "nmkpq"


def vectors(model: Formula, at: Mapping[str, Any] | None, run: Callable[[Mapping[str, Any]], Run]) -> dict[str, Any]:
    """The inputs that nobody gave and that must be vectors, with a name for their length; none where numbers do.

    Of LaTeX and of text what their words and their indices say.

    ``run`` runs the model at values and shapes.  A function may be asked about numbers if each entry of its result is
    made of one entry alone.
    """
    given = dict(at or {})
    told = {n: v if isinstance(v, tuple) else np.shape(v) for n, v in given.items()}
    if isinstance(model, Latex):
        found = model.unstated(told)
        return {} if found.keys() <= model.axes.keys() else found
    if isinstance(model, Symbolic) and isinstance(model.source, Text):
        return model.source.unstated(told)
    missing = [n for n in model.required if n not in given]
    if not missing or not isinstance(model, Function) or model.library not in ("torch", "numpy"):
        return {}
    try:
        run(given)  # what does not run with numbers says so by itself
        found = run({**given, **dict.fromkeys(missing, (_LENGTH,))}).program
    except SymgradError:
        return {}
    long = {n: i for n, i in found.inputs.items() if n in missing}
    if any(found.shape(i) != (_LENGTH,) for i in long.values()) or _is_entrywise(found, long):
        return {}
    size = next((s for s in _LETTERS if s not in model.names), "length")
    return {n: (size,) for n in missing if n in found.inputs}


_ORDERS = frozenset(("argsort", "argmax", "argmin"))  # looks at all entries at once


def _is_entrywise(program: Program, inputs: Mapping[str, int]) -> bool:
    """Whether entry k of the output moves with entry k of each of these inputs, and with no other."""
    if program.shape(program.output) != (_LENGTH,) or any(g.op in _ORDERS for g in program.guards):
        return False
    b = Builder.on(program)
    seed = b.emit("input", (), "seed", (_LENGTH,), program.steps[program.output].dtype)
    of, _ = reverse(b, {program.output: seed}, set(inputs.values()))
    steps = [of[i] for i in inputs.values() if i in of]
    made = b.build({})
    rng = np.random.default_rng(0)
    point = {i: torch.as_tensor(rng.uniform(0.5, 1.5, program.shape(i))) for i in program.inputs.values()}
    given = {n: point[i].to(getattr(torch, program.steps[i].dtype)) for n, i in program.inputs.items()}
    for k in range(_LENGTH):
        along = torch.zeros(_LENGTH, dtype=getattr(torch, program.steps[program.output].dtype))
        along[k] = 1.0
        values = interpret(made, Floats(), {**given, "seed": along}, steps)
        if any(torch.count_nonzero(torch.nan_to_num(values[i].real)[torch.arange(_LENGTH) != k]) for i in steps):
            return False
    return True


# -------------------------------------------------------------------------------------------------------------- shapes

Shape = tuple[Any, ...]  # numbers, names of sizes, and expressions in them
_LEAST = (2, 5, 9, 16)  # where the sizes begin: a window needs three, a loop over whole blocks a multiple
_ORDERED = 3  # sizes of which every order is tried
_ENTRY = re.compile(r"\s*(?:(\d+)\s*\*\s*)?([^\W\d]\w*)\s*(?:=\s*(\d+)\s*)?")
_TERM = re.compile(r"\s*([+-]?)\s*(?:(\d+)\s*\*\s*)?([^\W\d]\w*|\d+)\s*")


@dataclass(frozen=True, eq=False)
class Shapes:
    """The inputs' shapes, of numbers, names and sums of names; the names in the order in which they were met; those
    with one value.

    ``order`` names the sizes from the smallest on, where the code runs, or has a value, in one such order alone: a
    window is no longer than what it moves over.
    """

    of: Mapping[str, Shape]
    names: tuple[str, ...]
    fixed: Mapping[str, int]
    least: int = 2
    order: tuple[str, ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """The sizes that can be varied."""
        return tuple(n for n in self.names if n not in self.fixed)

    @property
    def growing(self) -> tuple[str, ...]:
        """The sizes that can be varied, in an order in which they may grow."""
        return tuple(n for n in self.order or self.names if n not in self.fixed)

    def own(self) -> dict[str, int]:
        """The sizes at which everything is looked at first: ``least`` and those that follow, and the fixed ones."""
        place = {n: k for k, n in enumerate(self.growing)}
        return {**{n: place[n] + self.least for n in self.free}, **self.fixed}

    def at(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shapes in numbers.

        >>> shapes, _ = named_shapes({"U": ("m", "d"), "x": ("d",)}, {})
        >>> shapes.own(), shapes.at(shapes.own())
        ({'m': 2, 'd': 3}, {'U': (2, 3), 'x': (3,)})

        Raises `BadInput` where a length would be negative.
        """
        lengths: dict[Any, Any] = {size_symbol(n): sp.Integer(v) for n, v in sizes.items()}

        def length(n: Any) -> int:
            found = sizes[n] if isinstance(n, str) else int(sp.sympify(n).xreplace(lengths))
            if found < 0:
                told = ", ".join(f"{name} = {value}" for name, value in sizes.items())
                raise BadInput(f"an axis of length {n} is none at {told}.")
            return found

        return {name: tuple(map(length, shape)) for name, shape in self.of.items()}


def ranks(at: Mapping[str, Any]) -> dict[str, int]:
    """How many axes each input has, by the shape or the value that is given for it."""
    return {n: len(v) if isinstance(v, tuple) else np.ndim(v) for n, v in at.items()}


def named_shapes(
    at: Mapping[str, Any] | None, own: Mapping[str, Any], found: Mapping[str, Shape] | None = None
) -> tuple[Shapes | None, dict[str, Any] | None]:
    """Read the shapes with names in ``at``: what they say, and ``at`` with those that formulas declare.

    ``own`` maps a module's parameters to their values, whose lengths fix the names; ``found`` holds shapes that the
    formulas themselves declare, for inputs that ``at`` says nothing of.  None where no shape has a name.

    Raises `BadInput` for an entry that is neither a number nor a name, `WrongShape` where a name would be two numbers.
    """
    asked = dict(at or {})
    for name, shape in _told(asked, found or {}).items():
        if name not in own or np.ndim(own[name]) == len(shape):  # the gradient of a weight [1, 10] may be called w[j]
            asked.setdefault(name, shape)
    of: dict[str, Shape] = {}
    values: dict[str, int] = {}
    names: dict[str, None] = {}
    for name, shape in asked.items():
        if not isinstance(shape, tuple) or not any(isinstance(n, str) for n in shape):
            continue
        entries = [_entry(name, shape, n) for n in shape]
        of[name] = tuple(n for n, _ in entries)
        names |= dict.fromkeys(size for n, _ in entries for size in _sizes_in(n))
        actual = np.shape(own[name]) if name in own else None
        if actual is not None and len(actual) != len(shape):
            raise WrongShape(f"at[{name!r}] is {shape!r}, and the module's {name} has the shape {list(actual)}.")
        for k, (n, value) in enumerate(entries):
            told = [v for v in (value, None if actual is None else actual[k]) if v is not None]
            for v in told:
                known = n if isinstance(n, int) else _length_told(n, v, values)
                if known != v:
                    raise WrongShape(f"the size {n} is both {known} and {v}, in at[{name!r}].")
    if not of:
        return None, None if at is None and not asked else asked
    clash = [n for n in names if n in asked]
    if clash:
        raise BadInput(
            f"{clash[0]!r} is the name of an input and of a size.", instead="Give the size another name in at={...}."
        )
    return Shapes(of, tuple(names), values), asked


def at_smallest_sizes(
    shapes: Shapes | None,
    at: Mapping[str, Any] | None,
    own: Mapping[str, Any],
    ask: Callable[[Mapping[str, Any] | None], Any],
    fits: Callable[[Any], bool] = lambda _: True,
) -> tuple[Shapes | None, Any]:
    """What ``ask`` makes of ``at`` with numbers for the named sizes: the smallest at which it has a value.

    Where it has none with the sizes in the order in which they were met, they are put in others: a window that is
    longer than what it moves over has no place, and ``X.T @ X`` no inverse where X has more columns than rows.  One
    at which the answer ``fits`` is taken before those at which it does not.
    Raises what the code raises where it runs at none of them.
    """
    if shapes is None:
        return None, ask(at)
    first: SymgradError | None = None
    unfit: tuple[Shapes, Any] | None = None
    free = shapes.free
    orders = [*itertools.permutations(free)] if len(free) <= _ORDERED else [free, free[::-1]]
    for least, order in itertools.product(_LEAST if free else _LEAST[:1], orders):
        here = replace(shapes, least=least, order=order if order != free else ())
        if unfit is not None and least > unfit[0].least:
            return unfit
        try:
            numbers = {n: own.get(n, shape) for n, shape in here.at(here.own()).items()}
            found = here, ask({**(at or {}), **numbers})
        except (UserCodeFailed, BadInput, NoPoint) as error:
            first = first or error
            continue
        if len(free) < 2 or fits(found[1]):
            return found
        unfit = unfit or found
    if unfit is not None:
        return unfit
    assert first is not None
    failure = first if isinstance(first, UserCodeFailed) else first.__cause__
    if not isinstance(failure, UserCodeFailed):
        raise first
    sizes = ", ".join(f"{n} = {v}" for n, v in shapes.own().items())
    raise UserCodeFailed(
        f"at {sizes} {failure.what}",
        where=failure.where,
        instead='Where the code itself fixes a size, write its value too: "d=3".',
    ) from failure.__cause__


def _told(at: Mapping[str, Any], found: Mapping[str, Shape]) -> dict[str, Shape]:
    """The declared shapes, with the numbers that the given values tell."""
    told: dict[str, int] = {}
    for name, shape in found.items():
        given = at.get(name)
        if given is None:
            continue
        actual = given if isinstance(given, tuple) else np.shape(given)
        if len(actual) == len(shape):
            told |= {n: k for n, k in zip(shape, actual, strict=True) if isinstance(n, str) and not isinstance(k, str)}
    return {name: tuple(told.get(n, n) if isinstance(n, str) else n for n in shape) for name, shape in found.items()}


def declared_shapes(*formulas: Formula) -> dict[str, Shape]:
    """The shapes that SymPy formulas declare, or tell by the limits of their sums."""
    found: dict[str, Shape] = {}
    for formula in formulas:
        match formula:
            case Several():
                parts = declared_shapes(*formula.parts.values())
            case Symbolic() if isinstance(formula.source, Expression):
                parts = formula.source.shapes
            case _:  # a formula of another kind may tell its shapes itself
                own = getattr(formula, "axes", None)
                parts = dict(own) if isinstance(own, Mapping) else {}
        found = {**parts, **found}
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))  # the names in the order of a matrix's axes


def named_in(at: Mapping[str, Any] | None) -> dict[str, Shape]:
    """The shapes with names that ``at`` holds."""
    return {
        name: tuple(_entry(name, shape, n)[0] for n in shape)
        for name, shape in (at or {}).items()
        if isinstance(shape, tuple) and any(isinstance(n, str) for n in shape)
    }


def subscripted_in(at: Mapping[str, Any] | None) -> dict[str, Shape]:
    """The shapes of what ``at`` calls by a name with a subscript: ``w_0`` is then no entry of w."""
    return {
        n: v if isinstance(v, tuple) else np.shape(v) for n, v in (at or {}).items() if "_" in n and n.isidentifier()
    }


def with_shapes(formula: Formula, shapes: Mapping[str, Shape], inputs: Sequence[str] = ()) -> Formula:
    """The formula with the names in these shapes read as sizes, unless an input is called so."""
    kept = tuple((name.replace(".", "_"), shape) for name, shape in shapes.items() if not set(shape) & set(inputs))
    match formula:
        case Several():
            return replace(formula, parts={k: with_shapes(f, shapes, inputs) for k, f in formula.parts.items()})
        case Symbolic() if isinstance(formula.source, Expression):
            named = tuple((n, shape) for n, shape in kept if any(isinstance(x, str) for x in shape))
            return replace(formula, source=replace(formula.source, declared=named))
        case Latex():
            return replace(formula, shapes={**dict(kept), **formula.shapes})
        case _:
            return formula


def entries_named(hand: Any, wrt: Any) -> tuple[Any, Any]:
    """Hand formulas for an entry, ``{U[k, N]: ...}`` or ``wrt=U[k, N]``, as formulas of the free indices k and N.

    >>> U, (k, N) = sp.IndexedBase("U"), sp.symbols("k N")
    >>> entries_named({U[k, N]: 2 * U[k, N]}, None)
    ({'U': Lambda((k, N), 2*U[k, N])}, None)
    """
    if (isinstance(wrt, sp.Indexed) and isinstance(hand, sp.Expr)) or (isinstance(hand, str) and _entry_in_text(wrt)):
        hand = {wrt: hand}
    if isinstance(hand, Mapping) and any(map(_entry_in_text, hand)):
        hand = dict(_text_of_entry(key, formula) for key, formula in hand.items())
        wrt = [_name_alone(x) for x in wrt] if isinstance(wrt, (list, tuple)) else _name_alone(wrt)
    if isinstance(wrt, (sp.Basic, list, tuple)):
        several = wrt if isinstance(wrt, (list, tuple)) else [wrt]
        names = [label(x) if isinstance(x, sp.Indexed) else x for x in several]
        wrt = names if isinstance(wrt, (list, tuple)) else names[0]
    if isinstance(hand, Mapping) and any(isinstance(key, sp.Indexed) for key in hand):
        hand = dict(_entry_named(key, formula) for key, formula in hand.items())
    return hand, wrt


_ENTRY_IN_TEXT = re.compile(r"\s*([^\W\d]\w*)\s*\[\s*([^\W\d]\w*(?:\s*,\s*[^\W\d]\w*)*)\s*\]\s*")


def _entry_in_text(key: Any) -> re.Match[str] | None:
    """``"U[k, N]"``, where a key is that."""
    return _ENTRY_IN_TEXT.fullmatch(key) if isinstance(key, str) else None


def _name_alone(name: Any) -> Any:
    found = _entry_in_text(name)
    return found[1] if found else name


def _text_of_entry(key: Any, formula: Any) -> tuple[Any, Any]:
    found = _entry_in_text(key)
    if found is None or not isinstance(formula, str):
        return _name_alone(key), formula
    letters = tuple(re.split(r"\s*,\s*", found[2]))
    if len(set(letters)) < len(letters):
        raise BadInput(f"a hand formula is for {key}, whose indices are the same.", instead="Write a letter for each.")
    return found[1], Symbolic(Text(formula, entry=(found[1], letters)))


def letters_of(hand: Any) -> dict[str, tuple[str, ...]]:
    """The names of the free indices of hand formulas that are given by entry."""
    parts = hand.items() if isinstance(hand, Mapping) else ()
    return {name: tuple(map(str, f.variables)) for name, f in parts if isinstance(f, sp.Lambda)}


def label(entry: Any) -> str:
    """The name of the tensor that an entry is of."""
    return str(entry.base.label)


def _entry_named(key: Any, formula: Any) -> tuple[Any, Any]:
    if not isinstance(key, sp.Indexed):
        return key, formula
    free = tuple(i for i in key.indices if not i.is_Integer)  # an axis of length one has its only index written out
    if not all(isinstance(i, (sp.Symbol, sp.Idx)) for i in free) or len(set(free)) < len(free):
        raise BadInput(
            f"a hand formula is for {key}, whose indices are not free.",
            instead="Name the entry by letters of its own: U[k, N].",
        )
    return label(key), sp.Lambda(free, formula) if free else formula


def _sizes_in(n: Any) -> list[str]:
    """The names of sizes in an entry of a shape."""
    return [n] if isinstance(n, str) else sorted(str(size) for size in sp.sympify(n).free_symbols)


def _length_told(n: Any, length: int, values: dict[str, int]) -> int:
    """What an entry with a name is where an axis has this length; the name's value is kept."""
    names = _sizes_in(n)
    total: Any = size_symbol(n) if isinstance(n, str) else n
    known = total.xreplace({size_symbol(k): sp.Integer(values[k]) for k in names if k in values})
    unknown = [size_symbol(k) for k in names if k not in values]
    if len(unknown) == 1:  # the one name that is left has what is left
        (name,) = unknown
        rest, block = int(known.xreplace({name: sp.S.Zero})), int(known.coeff(name))
        values[name.name] = (length - rest) // block
        return block * values[name.name] + rest
    return length if unknown else int(known)


def _entry(name: str, shape: Sequence[Any], n: Any) -> tuple[Any, int | None]:
    """A number, a name or ``block * name``, with the length that is written beside it."""
    if isinstance(n, (int, np.integer)) and not isinstance(n, bool):
        return int(n), None
    match = _ENTRY.fullmatch(n) if isinstance(n, str) else None
    if match is None and isinstance(n, str) and (total := _sum_of_sizes(n)) is not None:
        return total, None
    if match is None or match[1] == "0":
        raise BadInput(
            f"at[{name!r}] is {shape!r}, and {n!r} is neither a number nor the name of a size.",
            instead='Write a number, a name such as "m", a name with its value: "m=10", whole blocks: "16*m", or a sum '
            'of these: "n-k+1".',
        )
    block, size, value = match.groups()
    entry = size if block is None or int(block) == 1 else int(block) * size_symbol(size)
    return entry, None if value is None else int(value)


def _sum_of_sizes(text: str) -> Any:
    """``"n - k + 1"`` as an expression in sizes; None where the text is no such sum."""
    total, at = sp.Integer(0), 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None or (at and not term[1]):
            return None
        sign, factor, name = term.groups()
        value = sp.Integer(name) if name.isdigit() else size_symbol(name)
        total += (-1 if sign == "-" else 1) * int(factor or 1) * value
        at = term.end()
    return total if total.free_symbols else None
