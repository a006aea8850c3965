r"""Values that a text says are equal, ``\cos 2x = \cos^2 x - \sin^2 x = 1 - 2\sin^2 x``: no derivative of a model is
claimed, and each side is compared with the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from symgrad.errors import BadInput
from symgrad.lifting.latex.equations import Claim, Definition
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.plain_form import plain, plain_line
from symgrad.lifting.latex.tensor_values import moment_name, random_names
from symgrad.lifting.latex.token_reader import Node, parts, place
from symgrad.program.program import Source


@dataclass(frozen=True, eq=False)
class Chain:
    """Sides that are said to be equal: the first, and each other by the name that it goes by in the report."""

    first: Any
    others: Mapping[str, Any]
    sources: Mapping[str, Source]
    notes: tuple[str, ...] = ()


def chain_of(whole: Latex) -> Chain | None:
    r"""The sides of the last row that has several; None of a text in which none has.

    >>> chain = chain_of(Latex(r"\cos 2x = \cos^2 x - \sin^2 x = 1 - 2\sin^2 x"))
    >>> list(chain.others), chain.sources["side 3"].text
    (['side 2', 'side 3'], '= 1 - 2\\sin^2 x')
    """
    lines = whole.document.lines
    found = [k for k, line in enumerate(lines) if line.others]
    if not found:
        return None
    k = found[-1]
    line = lines[k]
    nodes = line.sides
    _refuse_substitutions(whole, lines[:k], nodes)
    formulas = [replace(whole, row=(k, j)) for j in range(len(nodes))]
    means, told = _moments(whole)
    sides: list[Any] = [f.closed().xreplace(means) for f in formulas] if needs_values(whole) else list(formulas)
    rows = [whole.row_of(node.span[0]) for node in nodes]
    names = side_names(rows)
    sources = [Source(f"= {whole.text[slice(*node.span)]}", None, row) for node, row in zip(nodes, rows, strict=True)]
    notes = [f"{_left(line)}The sides were read as {' = '.join(map(plain, nodes))}."]
    notes += [f"It was read with {plain_line(x)}." for x in lines[:k] if isinstance(x, Definition) and x.name]
    notes += told
    return Chain(
        sides[0],
        dict(zip(names[1:], sides[1:], strict=True)),
        dict(zip(names[1:], sources[1:], strict=True)),
        tuple(notes),
    )


def entries_claimed(formula: Latex, hand: Latex) -> Chain | None:
    r"""What is claimed of some entries, ``\frac{\partial a_i}{\partial z_i} = 1 - a_i^2``, as sides that are equal to
    the exact derivative; None of claims of all entries.
    """
    beside = replace(hand, model=formula)
    claims = [(k, line) for k, line in enumerate(beside.document.lines) if isinstance(line, Claim)]
    if not claims or not claims[-1][1].is_of_some:
        return None
    k, line = claims[-1]
    exact, *others = (replace(beside, row=(k, j)) for j in (len(line.sides), *range(len(line.sides))))
    text = hand.text
    sources = [Source(f"= {text[slice(*x.span)]}", None, hand.row_of(x.span[0])) for x in line.sides]
    names = side_names([sources[0].line or 1, *(s.line or 1 for s in sources)])[1:]
    left = text[slice(*line.span)]
    note = f"The first side is {left}: of these entries alone it is told, and the others may be anything."
    return Chain(exact, dict(zip(names, others, strict=True)), dict(zip(names, sources, strict=True)), (note,))


def values_claimed(formula: Latex, hand: Latex) -> Chain | None:
    r"""Values in which derivatives of the model stand, ``J = \det\frac{\partial(x, y)}{\partial(r, \theta)} = r``, as
    sides that are equal; None of a hand formula that is a derivative itself.
    """
    beside = replace(hand, model=formula)
    line = beside.document.lines[-1]
    k, nodes = len(beside.document.lines) - 1, list(line.sides)
    if beside.document.claims or not any(_is_derivative(p) for x in nodes for p in parts(x)):
        return None
    told = ""
    if any(p.head == "along" for p in parts(nodes[0])) and nodes[-1].head == "number" and nodes[-1].value == 0:
        nodes, told = nodes[:-1], '"= 0" was read as the equation of motion, and not judged. '
    if len(nodes) < 2:
        if told:
            raise BadInput(
                "an equation of motion says nothing that can be judged.",
                where=place(hand.text, nodes[0].span),
                instead="Write what it comes to: ... = m \\ddot x + k x = 0.",
            )
        return None
    first, *others = (replace(beside, row=(k, j)) for j in range(len(nodes)))
    text = hand.text
    sources = [Source(f"= {text[slice(*x.span)]}", None, hand.row_of(x.span[0])) for x in nodes]
    names = side_names([s.line or 1 for s in sources])
    note = f"{told}The sides were read as {' = '.join(map(plain, nodes))}; it was read with {formula.shown}."
    mine = dict(zip(names[1:], others, strict=True)), dict(zip(names[1:], sources[1:], strict=True))
    return Chain(first, *mine, (note.replace("\n", "; "),))


def _is_derivative(node: Node) -> bool:
    """Whether a derivative of the model stands here, which may be at another place: ``f'(2)``."""
    return node.head in ("partial", "jacobian") or (node.head == "applied" and node.value[1] > 0)


def side_names(rows: list[int]) -> list[str]:
    """What each side goes by: its row, where it is alone there, or its place among all sides."""
    if len(set(rows)) == 1:
        return [f"side {j}" for j in range(1, len(rows) + 1)]
    count, before = Counter(rows), Counter[int]()
    names = []
    for row in rows:
        before[row] += 1
        alone = count[row] == 1 or (row == rows[0] and count[row] == 2)
        names.append(f"row {row}" if alone else f"row {row}, side {before[row]}")
    return names


def _left(line: Definition | Claim) -> str:
    """What is said of a left side that no row defines."""
    if isinstance(line, Claim):
        return f"No row says what {line.of} is, so that the sides are compared with each other alone. "
    return f"{line.name} is what the first side says. " if line.name is not None else ""


def needs_values(formula: Latex) -> bool:
    """Whether sums without end, sums that no tensor counts, integrals or moments stand in it: SymPy finds their values,
    or those of the arithmetic of means."""
    nodes = _nodes(formula)
    counts = any(p.head == "size" for p in nodes) and not any(p.head == "entry" for p in nodes)
    return counts or _is_written_down(formula)


def _is_written_down(formula: Latex) -> bool:
    heads = {p.head for e in formula.equations for x in e.bodies for p in parts(x)}
    return not heads.isdisjoint(("integral", "between", "infinity", "moment", "unknown"))


def valued(formula: Any, hand: Any) -> tuple[Any, Any]:
    r"""A formula in LaTeX and its derivatives in SymPy, where their sums or integrals ask for it.

    >>> valued(Latex(r"F(x) = \int_0^x e^{-t^2} \, dt"), Latex(r"F'(x) = e^{-x^2}"))
    (Integral(exp(-t**2), (t, 0, x)), {'x': exp(-x**2)})
    """
    if not isinstance(formula, Latex):
        return formula, hand
    beside = replace(hand, model=formula) if isinstance(hand, Latex) else None
    if not needs_values(formula) and (beside is None or not _is_written_down(beside)):
        return formula, hand
    if beside is None:
        return formula.closed(), hand
    final = beside.final if beside.document.claims else {}
    claims = {name: replace(beside, only=c.key).closed() for name, c in final.items()}
    lower = [c.wrt[:-1] for c in final.values() if c.order > 1]
    if len(lower) > 1 or (lower and len(claims) > 1):
        raise BadInput(
            "of several mixed or higher derivatives one is judged at a time.", instead="Pass each by itself."
        )
    made, named = formula.closed(), {str(x): x for x in formula.closed().free_symbols}
    for name in lower[0] if lower else ():  # a higher derivative is the first of the one below it
        made = sp.diff(made, named.get(name, sp.Symbol(name)))
    return made, claims or beside.closed()


def _nodes(formula: Latex) -> list[Node]:
    return [p for line in formula.document.lines for side in line.sides for p in parts(side)]


def _moments(whole: Latex) -> tuple[dict[Any, Any], list[str]]:
    """What mu and sigma are where moments of one random variable stand beside them, and no row says it."""
    random = sorted({x for p in _nodes(whole) if p.head == "moment" for x in random_names(p)})
    free = [n for n in ("mu", "sigma") if n in whole.document.names]
    if len(random) != 1 or not free:
        return {}, []
    first, second = (sp.Symbol(moment_name(sp.Symbol(random[0]) ** k)) for k in (1, 2))
    made = {sp.Symbol("mu"): first, sp.Symbol("sigma"): sp.sqrt(second - first**2)}
    words = {"mu": f"mu is E[{random[0]}]", "sigma": f"sigma**2 is Var({random[0]})"}
    return made, [f"As no row says it, {' and '.join(words[n] for n in free)}."]


def _refuse_substitutions(whole: Latex, rows: Sequence[Definition | Claim], nodes: Sequence[Node]) -> None:
    """Refuse a side in which letters stand for others, and no row says which: ``m v^2 = m (a t)^2``."""
    said = {x.name: x.body for x in rows if isinstance(x, Definition)}

    def letters(node: Node) -> set[str]:
        found = {str(p.value) for p in parts(node) if p.head in ("name", "size")}
        return {y for x in found for y in (letters(said[x]) if x in said else {x})}

    first = letters(nodes[0])
    for node in nodes[1:]:
        new, gone = sorted(letters(node) - first), sorted(first - letters(node))
        if new and gone:
            old, by = " and ".join(gone), " and ".join(new)
            raise BadInput(
                f"here {by} stand in the place of {old}, and no row says what {gone[0]} is.",
                where=place(whole.text, node.span),
                instead=f"Add a row before this one, {gone[0]} = ..., and so for each of {old} that it replaces.",
            )
