"""A proof as a certificate: plain data with all that is needed to check it again, by `symgrad.proving.checker`.

It is made of what a `Proof` holds, when it is asked for.  Three lists of links go one after the other: that each
operation of the model and of the hand formula is what it was written out as (of the model first, while what it
detaches is held); the links of the proof, with each congruence told; and that the exact derivative is the one that the
checker writes from the model.  Only the last are looked for here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.program.primitives import primitive
from symgrad.program.program import EXTREME, Constant, Guard, Program, Shape, Step, Strided
from symgrad.proving.checker import Replay, known_signs
from symgrad.proving.checker_adjoint import CheckedStep, derivative
from symgrad.proving.checker_arithmetic import NotCovered
from symgrad.proving.congruence import Equalities, Link
from symgrad.proving.proof import EFFORT, Proof

_CONSTANTS = {sp.pi: "pi", sp.EulerGamma: "EulerGamma", sp.Catalan: "Catalan"}
_DEPTHS = (1, 3, 8, 10**9)  # operations that a definition is read back through


def certify(proof: Proof, wrt: str, order: int) -> dict[str, Any]:
    """One branch of a claim: the steps, and all links between them, in an order in which each can be checked.

    The proof's Program says by its outputs which steps are the ``model`` and what it is differentiated ``by``; ``wrt``
    is what a person calls the latter.

    >>> from symgrad.program.builder import Builder
    >>> from symgrad.proving.proof import prove
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> model, hand, exact = b.apply("square", x), b.add(x, x), b.mul(b.number(2), x)
    >>> proof = prove(b.build({"model": model, "by": x}), hand, exact)
    >>> data = certify(proof, "x", 1)
    >>> [(link["rule"], link["left"], link["right"]) for link in data["links"]]  # doctest: +ELLIPSIS
    [...('fractions', ...)...]
    """
    program = proof.program
    assert program is not None
    model = program.outputs["model"]
    source = program.outputs.get("by")
    why = _why_not(source, order)
    kind = None if why else _kind(program, proof, source, order)
    writer = _Writer(program, proof, model)
    by = writer.position(source)
    writer.follow(proof, by, kind)
    data = {
        "model": writer.place[model],
        "hand": writer.place[proof.left],
        "exact": writer.written[proof.right],
        "of": writer.model,
        "by": by,
        "wrt": program.steps[source].params if source is not None and program.steps[source].op == "input" else wrt,
        "derivative": None if writer.why_not else kind,
        "why_not": why or writer.why_not,
        "held": writer.held,
        "asked": writer.asked,
        "choices": writer.choices,
        "others": writer.others,
        "facts": list(proof.facts),
    }
    return _pruned(
        {**data, "steps": [_step(s) for s in writer.steps], "links": writer.links}, 0 if writer.why_not else writer.own
    )


def _why_not(source: int | None, order: int) -> str | None:
    """Why the derivative can not be written from the model again."""
    if order == 0:
        return None
    return "it is not said what the model is differentiated by" if source is None else None


def _kind(program: Program, proof: Proof, source: int | None, order: int) -> str:
    if order != 1 or source is None:
        return "hessian" if order else "value"
    model, exact, by = (program.steps[i] for i in (program.outputs["model"], proof.right, source))
    if model.is_complex and exact.is_complex and not by.is_complex:
        return "slope"
    return "gradient" if program.shape(proof.right) == program.shape(source) else "jacobian"


class _Writer:
    """Writes the steps and links of one branch.

    The steps are, in this order: both formulas and the exact derivative in primitive steps, as the proof is about
    them; the model in primitive steps; the user's own operations; and its derivative, which only the checker writes.
    """

    def __init__(self, program: Program, proof: Proof, model: int) -> None:
        guards = [g for g in program.guards if g.params != EXTREME and _moves(program, g)]
        told = [(g, signs) for g in guards if (signs := _signs(g)) is not None]
        self.others = len(guards) - len(told)  # choices that are no comparisons
        self.primitive, self.written = primitive(program, (*proof.roots, *proof.stated))
        place = self._beside(program, [model], stops=True)
        compared = self._beside(program, [a for g, _ in told for a in g.args])
        sides = [[*(compared[a] for a in g.args), None][:2] for g, _ in told]
        self.choices = [{"left": a, "right": b, "signs": signs} for (a, b), (_, signs) in zip(sides, told, strict=True)]
        real = [i for i in proof.stated if not program.steps[i].is_complex]
        said = {i for name, i in program.outputs.items() if name.startswith("asked ")}
        self.asked = [self.written[i] for i in real if i in said]
        self.model = place[model]
        self.of_model = place
        self.steps = [_checked(s) for s in self.primitive]
        self.links: list[dict[str, Any]] = []
        self.place: dict[int, int] = {}
        self.why_not: str | None = None
        self.held = 0  # links after which nothing is held any more
        self.targets: dict[int, int] = {}
        for i in program.needed([model, proof.left]):
            target = self.of_model[i] if i in self.of_model else self.written[i]
            self.place[i] = self._own_operation(program.steps[i], target)
            self.targets[self.place[i]] = target

    def _beside(self, program: Program, roots: Sequence[int], *, stops: bool = False) -> dict[int, int]:
        """Write further steps as primitive ones after those that there are."""
        n = len(self.primitive)
        steps, place = primitive(program, roots, stops=stops)
        self.primitive += [replace(s, args=tuple(a + n for a in s.args)) for s in steps]
        return {i: k + n for i, k in place.items()}

    def position(self, i: int | None) -> int | None:
        """The primitive step of the model that a step of the Program is; None where the model has it not."""
        return None if i is None else self.of_model.get(i)

    def _own_operation(self, step: Step, target: int) -> int:
        """The user's operation after the primitive steps; a constant that is a formula is what it was written as."""
        if step.op == "constant" and _entries(step.params) is None:
            return target
        self.steps.append(_checked(replace(step, args=tuple(self.place[a] for a in step.args))))
        return len(self.steps) - 1

    # ------------------------------------------------------------------------------------------------ links
    def follow(self, proof: Proof, by: int | None, kind: str | None) -> None:
        """All links: of what the operations are, of the proof, of the derivative."""
        own, last = self._derivative(by, kind, self.primitive[self.written[proof.right]].shape)
        self.own = len(own)
        shift = len(self.steps) - len(
            self.primitive
        )  # where the derivative stands, the search has no operations before
        steps = [*self.primitive, *(_search_step(s, len(self.primitive), shift) for s in own)]
        goal = None if last is None else last - shift if last >= len(self.steps) else last
        exact = self.written[proof.right]
        known = Equalities(
            Program({}, tuple(steps), {}), [exact, *([] if goal is None else [goal])], EFFORT, is_primitive=True
        )
        known.stated = tuple(self.written[s] for s in proof.stated)
        all_steps = [*self.steps, *own]
        self.replay = Replay(all_steps, known_signs(all_steps, self.model, self.asked, self.choices))

        def noted(i: int, j: int, link: Link | None) -> None:
            i, j = (k if k < len(self.primitive) else k + shift for k in (i, j))
            made: dict[str, Any] = {"rule": "congruence", "left": i, "right": j}
            if link is not None:
                opened = sorted(k if k < len(self.primitive) else k + shift for k in known.opened(link))
                made |= {"rule": "fractions", "opened": opened}
                made |= {"expanded": True} if link.expanded else {}
            self._put(made)

        of_model = {self.place[i] for i in self.of_model}
        self._define(i for i in self.targets if i in of_model)
        self.held = len(self.links)
        self.replay.release(self.model)
        for i, step in enumerate(steps):
            if step.op == "stop":
                known.join(i, step.args[0])
        known.noted = noted
        known.close({})
        self._define(i for i in self.targets if i not in of_model)
        known.follow(proof.links, known.put)
        if goal is not None and not known.settle(exact, goal):
            known.sweep()
            if not known.settle(exact, goal, last=True):
                self.why_not = "the derivative that the checker writes was not shown to be the exact one"

    def _define(self, operations: Iterable[int]) -> None:
        for i in operations:
            if i != self.targets[i]:
                self._put(self._definition(i, self.targets[i]))

    def _put(self, link: dict[str, Any]) -> None:
        self.links.append(link)
        self.replay.join(link["left"], link["right"])

    def _derivative(self, by: int | None, kind: str | None, shape: Shape) -> tuple[list[CheckedStep], int | None]:
        if kind is None:
            return [], None
        try:
            return derivative(self.steps, self.model, by, kind, shape)
        except NotCovered as what:
            self.why_not = str(what)
            return [], None

    def _definition(self, i: int, target: int) -> dict[str, Any]:
        """That the user's operation is what it was written as, read back to its arguments or through some of these."""
        link: dict[str, Any] = {"rule": "congruence", "left": target, "right": i}
        if self.replay.holds(link):
            return link
        ends = {self.replay.find(a) for a in self.steps[i].args}
        for depth in _DEPTHS:
            opened = self._back(target, ends, depth)
            for expanded in (False, True):
                link = {"rule": "fractions", "left": target, "right": i, "opened": opened}
                link |= {"expanded": True} if expanded else {}
                try:
                    if self.replay.holds(link):
                        return link
                except NotCovered:
                    return link
        return link

    def _back(self, target: int, ends: set[int], depth: int) -> list[int]:
        """The steps between ``target`` and ``ends``, and ``depth - 1`` operations from these on."""
        found, level = set[int](), {self.replay.find(target)} - ends
        while level:
            found |= level
            level = self._arguments(level) - found - ends
        level = ends
        while level and depth > 1:
            found |= level
            level, depth = self._arguments(level) - found, depth - 1
        return sorted(found)

    def _arguments(self, level: Iterable[int]) -> set[int]:
        return {self.replay.find(a) for i in level for a in self.steps[i].args}


# ------------------------------------------------------------------------------------------------------- plain data

_WAYS = {"gt": 1, "ge": 1, "lt": -1, "le": -1}


def _moves(program: Program, guard: Guard) -> bool:
    """Whether a choice depends on an input."""
    return any(program.steps[i].op == "input" for i in program.needed(guard.args))


def _signs(guard: Guard) -> list[int] | None:
    """On which side each entry came out, or all; None for what is no comparison."""
    if guard.op in _WAYS and len(guard.args) == 2:
        ways = np.where(guard.outcome, _WAYS[guard.op], -_WAYS[guard.op])
    elif guard.op == "sign" and len(guard.args) == 1:
        ways = np.asarray(guard.outcome)
    else:
        return None
    found = [int(x) for x in ways.reshape(-1)]
    return found[:1] if len(set(found)) == 1 else found


def _entries(c: Constant) -> list[Any] | None:
    """The numbers of a constant as fractions, of a complex one both parts; None for one that is a formula."""
    if isinstance(c.exact, sp.Basic) and not c.exact.is_Rational:
        return None
    if c.exact is not None:
        exact = [c.exact] if isinstance(c.exact, sp.Basic) else np.asarray(c.exact, dtype=object).reshape(-1).tolist()
        return [[_said(x.real), _said(x.imag)] if isinstance(x, complex) else str(x) for x in exact]
    return [
        [_said(x.real), _said(x.imag)] if isinstance(x, complex) else _said(x) for x in c.value.reshape(-1).tolist()
    ]


def _said(x: float) -> str:
    return str(Fraction(x)) if np.isfinite(x) else str(x)


def _checked(step: Step) -> CheckedStep:
    """A step in plain data."""
    params = step.params
    match params:
        case Constant():
            entries = _entries(params)
            params = (
                {"name": _CONSTANTS.get(params.exact, str(params.exact))} if entries is None else {"entries": entries}
            )
        case Strided(offset=offset, strides=strides):
            params = {"offset": int(offset), "strides": [int(x) for x in strides]}
        case np.ndarray():
            params = [int(x) for x in params.reshape(-1).tolist()]
        case int() | str() | None:
            pass
        case _:
            params = str(params)
    return CheckedStep(step.op, step.args, params, tuple(int(n) for n in step.shape), step.is_complex)


def _search_step(step: CheckedStep, start: int, shift: int) -> Step:
    """A step of plain data as the search reads it; positions from ``start`` on move back by ``shift``."""
    params = step.params
    if step.op == "constant":
        exact = {"pi": sp.pi, "I": sp.I}[params["name"]] if "name" in params else sp.Rational(params["entries"][0])
        params = Constant(np.asarray(complex(exact) if step.complex else float(exact)), exact)
    elif isinstance(params, Mapping):
        params = Strided(params["offset"], tuple(params["strides"]))
    elif isinstance(params, Sequence):
        params = np.asarray(params, dtype=np.int64)
    args = tuple(a if a < start else a - shift for a in step.args)
    return Step(step.op, args, params, step.shape, "complex128" if step.complex else "float64")


def _step(step: CheckedStep) -> dict[str, Any]:
    data = {"op": step.op, "args": list(step.args), "params": step.params, "shape": list(step.shape)}
    return {**data, "complex": True} if step.complex else data


def _pruned(data: dict[str, Any], own: int) -> dict[str, Any]:
    """The branch without the steps and links that nothing rests on; ``own`` steps come after those that are listed.

    The derivative that the checker writes is the same from fewer steps: it depends on those of the model alone.
    """
    steps = data["steps"]
    links = [x for x in data["links"] if max(x["left"], x["right"]) < len(steps) + own]
    ends = [data[k] for k in ("model", "hand", "exact", "of", "by") if data[k] is not None]
    ends += data["asked"]
    ends += [x[side] for x in data["choices"] for side in ("left", "right") if x[side] is not None]
    parent = list(range(len(steps) + own))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for link in links:
        parent[find(link["left"])] = find(link["right"])
    beside: dict[int, list[int]] = {}
    for link in links:
        beside.setdefault(find(link["left"]), []).extend((link["left"], link["right"]))
    needed, stack = set[int](), [*ends, *range(len(steps), len(steps) + own)]
    while stack:
        i = stack.pop()
        if i not in needed:
            needed.add(i)
            stack += steps[i]["args"] if i < len(steps) else ()
            stack += [k for k in beside.pop(find(i), ()) if k not in needed]
    place = {i: k for k, i in enumerate(sorted(needed))}
    moved = [{**steps[i], "args": [place[a] for a in steps[i]["args"]]} for i in sorted(needed) if i < len(steps)]
    kept = []
    for link in links:
        if link["left"] in place and link["right"] in place:
            new = {**link, "left": place[link["left"]], "right": place[link["right"]]}
            kept.append(
                new | ({"opened": [place[k] for k in link["opened"] if k in place]} if "opened" in link else {})
            )
    named: dict[str, Any] = {k: place[data[k]] for k in ("model", "hand", "exact", "of")}
    held = sum(x["left"] in place and x["right"] in place for x in data["links"][: data["held"]])
    named |= {"held": held, "by": place.get(data["by"])}
    named["asked"] = [place[i] for i in data["asked"]]
    named["choices"] = [{**x, "left": place[x["left"]], "right": place.get(x["right"])} for x in data["choices"]]
    return {**data, **named, "steps": moved, "links": kept}
