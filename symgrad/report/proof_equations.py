"""A proof as equations that a person follows: each in the user's own names, with what it uses of a function.

The lines of the derivation come in their order, each as the exact derivative has it, in terms of the other lines and of
the model's values; what the proof joins on the way stands behind the lines that it speaks of.  Last comes the claim.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp

from symgrad.ops.row import ARGUMENTS
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.derivative import local_derivative
from symgrad.program.expressions import lower
from symgrad.program.primitives import number_of
from symgrad.program.program import EXTREME, Binding, Program, derivation_lines
from symgrad.proving.proof import Proof, classes_of
from symgrad.report.step_text import Speller
from symgrad.report.wording import row_of_hessian

_STEPS = 3000  # of a Program that is still read for its equations
_FEW = 6  # outcomes of a comparison that are told
_COMPARED = {"gt": (">", "<="), "ge": (">=", "<"), "lt": ("<", ">="), "le": ("<=", ">"), "sign": (">", "<")}
_ASSIGNED = re.compile(r"\s*(\w+)\s*=(?!=)\s*([^=\n]+)")  # a name and what it is
_NAME = re.compile(r"\w+(?:\[\d+\])?")
_COMPARED |= {"eq": ("==", "!="), "ne": ("!=", "==")}


@dataclass(frozen=True)
class Equation:
    """``left`` = ``right``, which uses ``since``; ``rule`` is how the two were joined: "congruence" for no link, and
    "written" for a line as its author wrote it, which is no step of the exact derivative."""

    left: str
    right: str
    since: tuple[str, ...] = ()
    rule: str = "congruence"

    @property
    def sides(self) -> tuple[str, ...]:
        return (self.left, *self.right.split(" = "))

    def __str__(self) -> str:
        since = f", since {' and '.join(self.since)}" if self.since else ""
        return f"{self.left} = {self.right}{since}"


@functools.lru_cache(maxsize=32)  # the same report is read as text, as HTML and in full
def equations_of(proof: Proof, name: str, order: int = 1) -> tuple[Equation, ...]:
    """The equations of a proof that the hand formula is the derivative by ``name``, of an order; the last one says so.

    >>> from symgrad import verify
    >>> (proof,) = verify("tanh(w*x)", "w*(1 - tanh(w*x)**2)", wrt="x").claims["x"].verdict.proofs
    >>> print(*equations_of(proof, "x"))
    w*(1 - tanh(w*x)**2) = ∂f/∂x = (1 - tanh(w*x)**2)*w, since tanh'(u) = 1 - tanh(u)**2
    """
    reader = _reader(proof, name)
    return () if reader is None else tuple(reader.equations(order))


def titles(proof: Proof, name: str) -> frozenset[str]:
    """What the variables of a proof are called that are given a value several times: ``h[0]``, ``h[1]``."""
    reader = _reader(proof, name)
    return frozenset() if reader is None else frozenset(t for b, t in reader.titles.items() if t != b.name)


@functools.lru_cache(maxsize=32)
def branch_of(proof: Proof, name: str, signs: bool) -> tuple[str, ...]:
    """What the code found on the branch that a proof is about, each comparison in the user's own names; with ``signs``
    also on which side of a kink it was.
    """
    reader = _reader(proof, name)
    return () if reader is None else tuple(dict.fromkeys(reader.compared(signs)))


@functools.lru_cache(maxsize=32)
def _reader(proof: Proof, name: str) -> _Reader | None:
    program = proof.program
    if program is None or "model" not in program.outputs or len(program) > _STEPS:
        return None
    return _Reader(program, proof, name.partition(" (")[0])  # a script's claim is called by its variable too


class _Reader:
    """The steps of a proof's Program in classes of equal ones, and what each class is called."""

    def __init__(self, program: Program, proof: Proof, name: str) -> None:
        self.program, self.proof, self.wrt = program, proof, name
        model = program.outputs["model"]
        self.classes = classes_of(program, proof, [b.step for b in derivation_lines(program, model)])
        self.of = self.classes.of
        self.model = set(program.needed([model]))
        self.moving = {program.outputs.get("by", -1)}  # what of the model depends on the input
        for i in sorted(self.model):
            if any(a in self.moving for a in program.steps[i].args):
                self.moving.add(i)
        self.exact = [i for i in program.needed([proof.right]) if i not in self.model]
        hand = set(program.needed([proof.left]))
        found = [b for b in derivation_lines(program, model) if b.step in hand and b.step in self.of]
        others = [
            b for b in program.bindings if b.name != "return" and b.step in hand - self.model and b.step in self.of
        ]
        again = {b.name for b in program.bindings if b.version}
        bindings = [b for b in program.bindings if b.name != "return"]  # of a helper, whose value has its own name
        self.titles = {b: f"{b.name}[{b.version}]" if b.name in again else b.name for b in bindings}
        lines = Counter((b.name, b.source and b.source.line) for b in bindings)
        turns = {name for (name, _), n in lines.items() if n > 1}  # of a loop, whose versions are counted
        self.rebound = {self.titles[b] for b in bindings if b.name in again - turns}
        mine = [b for b in found if b in self.titles and self.of[b.step] not in self._of_model()]
        self.lines = list({self.of[b.step]: b for b in mine}.values())
        self.names: dict[int, str] = {}  # of classes
        for b in self.lines:
            self.names.setdefault(self.of[b.step], self.titles[b])
        self.values = {b.step: self.titles[b] for b in bindings if b.step in self.model}
        self.values |= {i: text for text, i in program.inputs.items()}
        self.numbers = {k for i, k in self.of.items() if number_of(program.steps, i) is not None}  # told as they are
        self.named = {self.of[i]: text for i, text in reversed(self.values.items()) if i in self.of}
        for b in others:  # what the derivation calls a value that has no name in the model
            self.named.setdefault(self.of[b.step], self.titles[b])
        self.results = {self.of[b.step]: self.titles[b] for b in others}

    def _of_model(self) -> set[int]:
        return {self.of[i] for i in self.model if i in self.of}

    def equations(self, order: int) -> Iterator[Equation]:
        lines, told = list[tuple[int, Equation]](), set[int]()
        for b in sorted(self.lines, key=lambda b: b.step):
            kind = self.of[b.step]
            step = next((i for i in self.exact if self.of.get(i) == kind), None)
            right = None if step is None else self._formula(step, kind)
            if right is not None and right[0] != self.titles[b]:
                told.add(kind)
                lines.append((b.step, Equation(self.titles[b], *right, self._rule(kind))))
            elif (own := self._written(b, kind)) is not None:
                lines.append((b.step, Equation(self.titles[b], own, (), "written")))
        claim = self._claim(told, order)
        told.add(self.of[self.proof.left])
        said = {frozenset(pair) for e in (claim, *(e for _, e in lines)) for pair in itertools.combinations(e.sides, 2)}
        lines += self._joined(told, said)
        yield from dict.fromkeys(e for _, e in sorted(lines, key=lambda line: line[0]))
        yield claim

    def _written(self, b: Binding, kind: int) -> str | None:
        """What a line says, as its author wrote it; of one that ran several times what it computed."""
        if number_of(self.program.steps, b.step) is not None:
            return None
        line = _ASSIGNED.fullmatch(b.source.text) if b.source is not None else None
        if line is not None and line[1] == self.titles[b]:
            return line[2]
        own = self._formula(b.step, kind, tidy=False)
        return None if own is None or own[0] in (self.titles[b], "0") else own[0]

    def _joined(self, told: set[int], said: set[frozenset[str]]) -> Iterator[tuple[int, Equation]]:
        """What else the proof joins, which the lines and the claim do not say, each with the last line that it speaks
        of."""
        steps = {self.titles[b]: b.step for b in self.lines}
        mine = {self.of[i] for i in self.program.needed([self.proof.left, self.proof.right]) if i in self.of}
        for link, kind in self.classes.joined:
            sides = [self._side(i, kind) for i in (link.right, link.left)] if kind in mine - told else [None]
            if None not in sides and sides[0] != sides[1]:
                told.add(kind)
                name = self.names.get(kind) or self.named.get(kind)
                left, right = (name, min(map(str, sides), key=len)) if name is not None else map(str, sides)
                copies = {left, right} <= {*self.values.values(), *self.titles.values()}  # which tells nothing
                if frozenset((left, right)) not in said and not copies:
                    said.add(frozenset((left, right)))
                    told_of = _NAME.findall(f"{left} {right}")
                    yield max((steps.get(n, -1) for n in told_of), default=-1), Equation(left, right, (), link.rule)

    def compared(self, signs: bool) -> Iterator[str]:
        """What the code found where it compared values; of what has a kink too, with ``signs``."""
        bound = {b.step: title for b, title in self.titles.items()}
        speller = Speller(self.program.steps, lambda i: bound.get(i) or self._name(i, ()))
        for guard in self.program.guards:
            if (
                (guard.op == "sign" and not signs)
                or guard.op not in _COMPARED
                or len(guard.args) not in (1, 2)
                or guard.params == EXTREME
            ):
                continue
            sides = [speller.called(a) for a in guard.args]
            inputs = (i for i in self.program.needed(guard.args) if self.program.steps[i].op == "input")
            if None in sides or next(inputs, None) is None:
                continue
            left, right = (*sides, "0")[:2]
            yes, no = _COMPARED[guard.op]
            ways = np.asarray(guard.outcome).reshape(-1).tolist()
            if guard.op == "sign":
                ways = [w > 0 for w in ways] if all(ways) else []
            if len(set(ways)) == 1:
                yield f"{left} {yes if ways[0] else no} {right}"
            elif 0 < len(ways) <= _FEW:
                yield f"{left} {yes} {right} is {ways}"

    def _claim(self, told: set[int], order: int) -> Equation:
        """That the hand formula is the derivative: by its name, or as it is written."""
        left, right = self.proof.left, self.proof.right
        kind = self.of[left]
        values = right == self.program.outputs["model"] and self.wrt not in self.program.inputs
        by = row_of_hessian(self.wrt)
        slope = f"∂²f/∂{self.wrt}²" if order == 2 else f"∂f/∂{self.wrt}" if by is None else f"∂∇f/∂{by}"
        slope = "the first side" if values else slope
        written = self._formula(left, kind, tidy=False, inner=True)
        mine = (
            self.names.get(kind) or self.results.get(kind) or (self.named.get(kind) if written is None else written[0])
        )
        exact = self._formula(right, kind)
        if exact is None and right in self.model:
            exact = (self.named.get(kind), ()) if kind in self.named else None
        since = () if kind in told else tuple(self._slopes(set(self.exact))) if exact is None else exact[1]
        known = (mine, (self._formula(left, kind) or (None,))[0])
        if exact is not None and kind not in told and exact[0] not in known:
            slope = f"{slope} = {exact[0]}"
        rule = "congruence" if kind in told else self._rule(kind)
        return Equation(mine or f"your derivative for {self.wrt}", slope, since, rule)

    def _rule(self, kind: int) -> str:
        """The rule of the last link that joined steps of a class."""
        return next((x.rule for x, k in reversed(self.classes.joined) if k == kind), "congruence")

    def _side(self, primitive: int, kind: int) -> str | None:
        """A step of a link, which is one of the Program's."""
        step = next((i for i, k in self.classes.place.items() if k == primitive), None)
        return None if step is None else (self._formula(step, kind) or (None,))[0]

    def _name(self, i: int, apart: Collection[int], all_names: bool = True) -> str | None:
        """What a step is called: no number, none of the steps ``apart``, which are written out, and but for
        ``all_names`` not by a name that was given again, which says not which is meant.
        """
        called = self.values.get(i)
        if called is None and i not in apart and (k := self.of.get(i)) is not None and k not in self.numbers:
            called = self.names.get(k) or self.named.get(k)
        return called if all_names or called not in self.rebound else None

    def _formula(
        self, step: int, kind: int, *, tidy: bool = True, inner: bool = False
    ) -> tuple[str, tuple[str, ...]] | None:
        """A step written out, down to what has a name, and what it uses of functions; with ``inner``, a part that is
        equal to the whole is called by its name too."""
        apart = self._behind(step) if inner else [i for i, k in self.of.items() if k == kind]
        for all_names in (False, True):
            name = functools.partial(self._name, apart=apart, all_names=all_names)
            speller = Speller(self.program.steps, name, tidy)
            text = speller.formula(step)
            if text is not None:
                return text, tuple(self._slopes(speller.seen))
        return None

    def _behind(self, step: int) -> list[int]:
        """A step and what it is another name for."""
        chain, steps = [step], self.program.steps
        while steps[chain[-1]].op in ("name", "cast", "stop"):
            chain.append(steps[chain[-1]].args[0])
        return chain

    def _slopes(self, steps: Sequence[int] | set[int]) -> Iterator[str]:
        """The derivatives of functions that steps of the exact derivative were written from."""
        sources = {id(self.program.steps[i].source) for i in steps}
        used = {
            (step.op, k)
            for i in self.moving
            if id((step := self.program.steps[i]).source) in sources
            and (step.op in _SLOPES or (step.op in OPS and OPS[step.op].arity < 3 and not OPS[step.op].branches))
            for k, a in enumerate(step.args)
            if a in self.moving
        }
        for op, k in sorted(used):
            of = _WRITTEN.get(op, f"{op}(u, v)")
            if op in _SLOPES:
                yield f"∂({of})/∂{'uv'[k]} = {_SLOPES[op][k]}"
            elif OPS[op].arity > 1:
                yield f"∂{of}/∂{'uv'[k]} = {_slope(op, k)}"
            else:
                yield f"{_WRITTEN.get(op, op)}'{'' if op in _WRITTEN else '(u)'} = {_slope(op, 0)}"


_SLOPES = {"pow": ("v*u**(v - 1)", "u**v*log(u)")}
_WRITTEN = {"reciprocal": "(1/u)", "rsqrt": "(1/sqrt(u))", "square": "(u**2)", "pow": "u**v"}


@functools.cache
def _slope(op: str, argument: int) -> str:
    """The derivative of a function at u (and v), as the exact derivative has it; as SymPy has it, where that is too
    long.
    """
    b = Builder()
    given = [b.input(name, ()) for name in "uv"[: OPS[op].arity]]
    value = b.apply(op, *given)
    slope = local_derivative(op, argument)
    names = {**dict(zip(given, "uv", strict=False)), value: _WRITTEN.get(op, f"{op}({', '.join('uv'[: len(given)])})")}
    known = {OPS[op].exact: value, **dict(zip(ARGUMENTS, given, strict=False))}
    text = Speller(b.steps, names.get, tidy=True).formula(lower(b, slope, known))
    return str(slope.subs(dict(zip(ARGUMENTS, sp.symbols("u v"), strict=False)))) if text is None else text
