"""A proof as equations that a person follows: each in the user's own names, with what it uses of a function.

The lines of the derivation come first, each as the exact derivative has it, in terms of the other lines and of the
model's values; then the claim itself; last what else the proof joins.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy as sp

from symgrad.ops.row import X
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.derivative import local_derivative
from symgrad.program.expressions import lower
from symgrad.program.primitives import number_of
from symgrad.program.program import Program, derivation_lines
from symgrad.proving.proof import Proof, classes_of
from symgrad.report.step_text import Speller

_STEPS = 3000  # of a Program that is still read for its equations


@dataclass(frozen=True)
class Equation:
    """``left`` = ``right``, which uses ``since``; ``rule`` is how the two were joined, "congruence" for no link."""

    left: str
    right: str
    since: tuple[str, ...] = ()
    rule: str = "congruence"

    def __str__(self) -> str:
        since = f", since {' and '.join(self.since)}" if self.since else ""
        return f"{self.left} = {self.right}{since}"


@functools.lru_cache(maxsize=32)  # the same report is read as text, as HTML and in full
def equations_of(proof: Proof, name: str) -> tuple[Equation, ...]:
    """The equations of a proof that the hand formula is the derivative by ``name``, those that matter most first.

    >>> from symgrad import verify
    >>> (proof,) = verify("tanh(w*x)", "w*(1 - tanh(w*x)**2)", wrt="x").claims["x"].verdict.proofs
    >>> print(*equations_of(proof, "x"))
    w*(1 - tanh(w*x)**2) = ∂f/∂x = (1 - tanh(w*x)**2)*w, since tanh'(u) = 1 - tanh(u)**2
    """
    program = proof.program
    if program is None or "model" not in program.outputs or len(program) > _STEPS:
        return ()
    wrt = name.partition(" (")[0]  # a script's claim is called by its variable too
    return tuple(_Reader(program, proof, wrt).equations())


class _Reader:
    """The steps of a proof's Program in classes of equal ones, and what each class is called."""

    def __init__(self, program: Program, proof: Proof, name: str) -> None:
        self.program, self.proof, self.wrt = program, proof, name
        self.classes = classes_of(program, proof)
        self.of = self.classes.of
        model = program.outputs["model"]
        self.model = set(program.needed([model]))
        self.moving = {program.outputs.get("by", -1)}  # what of the model depends on the input
        for i in sorted(self.model):
            if any(a in self.moving for a in program.steps[i].args):
                self.moving.add(i)
        self.exact = [i for i in program.needed([proof.right]) if i not in self.model]
        hand = set(program.needed([proof.left]))
        found = [b for b in derivation_lines(program, model) if b.step in hand and b.step in self.of]
        again = {b.name for b in program.bindings if b.version}
        self.titles = {b: f"{b.name}[{b.version}]" if b.name in again else b.name for b in program.bindings}
        lines = Counter((b.name, b.source and b.source.line) for b in program.bindings)
        turns = {name for (name, _), n in lines.items() if n > 1}  # of a loop, whose versions are counted
        self.rebound = {self.titles[b] for b in program.bindings if b.name in again - turns}
        self.lines = list({self.of[b.step]: b for b in found if self.of[b.step] not in self._of_model()}.values())
        self.names: dict[int, str] = {}  # of classes
        for b in self.lines:
            self.names.setdefault(self.of[b.step], self.titles[b])
        self.values = {b.step: self.titles[b] for b in program.bindings if b.step in self.model}
        self.values |= {i: text for text, i in program.inputs.items()}
        self.numbers = {k for i, k in self.of.items() if number_of(program.steps, i) is not None}  # told as they are
        self.named = {self.of[i]: text for i, text in reversed(self.values.items()) if i in self.of}

    def _of_model(self) -> set[int]:
        return {self.of[i] for i in self.model if i in self.of}

    def equations(self) -> Iterator[Equation]:
        told: set[int] = set()
        for b in sorted(self.lines, key=lambda b: b.step):
            kind = self.of[b.step]
            step = next((i for i in self.exact if self.of.get(i) == kind), None)
            right = None if step is None else self._formula(step, kind)
            if right is not None and right[0] != self.titles[b]:
                told.add(kind)
                yield Equation(self.titles[b], *right, self._rule(kind))
        yield from self._claim(told)
        told.add(self.of[self.proof.left])
        mine = {self.of[i] for i in self.program.needed([self.proof.left, self.proof.right]) if i in self.of}
        for link, kind in self.classes.joined:
            sides = [self._side(i, kind) for i in (link.right, link.left)] if kind in mine - told else [None]
            if None not in sides and sides[0] != sides[1]:
                told.add(kind)
                name = self.names.get(kind)
                left, right = (name, min(map(str, sides), key=len)) if name is not None else map(str, sides)
                yield Equation(left, right, (), link.rule)

    def _claim(self, told: set[int]) -> Iterator[Equation]:
        """That the hand formula is the derivative: as it is written, or by its name."""
        left, right = self.proof.left, self.proof.right
        kind = self.of[left]
        values = right == self.program.outputs["model"] and self.wrt not in self.program.inputs
        slope = "the first side" if values else f"∂f/∂{self.wrt}"
        mine = self.names.get(kind) or (self._formula(left, kind, inner=True) or (None,))[0]
        exact = self._formula(right, kind)
        if kind in told and mine is not None:
            yield Equation(mine, slope)
        elif exact is not None and mine is not None and exact[0] != mine:
            yield Equation(mine, f"{slope} = {exact[0]}", exact[1], self._rule(kind))
        elif mine is not None:
            since = exact[1] if exact is not None else self._slopes(set(self.exact))
            yield Equation(mine, slope, tuple(since), self._rule(kind))
        else:
            since = self._slopes(set(self.exact))
            yield Equation(f"your derivative for {self.wrt}", slope, tuple(since), self._rule(kind))

    def _rule(self, kind: int) -> str:
        """The rule of the last link that joined steps of a class."""
        return next((x.rule for x, k in reversed(self.classes.joined) if k == kind), "congruence")

    def _side(self, primitive: int, kind: int) -> str | None:
        """A step of a link, which is one of the Program's."""
        step = next((i for i, k in self.classes.place.items() if k == primitive), None)
        return None if step is None else (self._formula(step, kind) or (None,))[0]

    def _formula(self, step: int, kind: int, inner: bool = False) -> tuple[str, tuple[str, ...]] | None:
        """A step written out, down to what has a name, and what it uses of functions; with ``inner``, a part that is
        equal to the whole is called by its name too."""
        chain = self._behind(step)

        def name(i: int, all_names: bool) -> str | None:
            if i in self.values:
                return self.values[i] if all_names or self.values[i] not in self.rebound else None
            k = self.of.get(i)
            if k is None or k in self.numbers or (k == kind and (not inner or i in chain)):
                return None
            called = self.names.get(k) or self.named.get(k)
            return called if all_names or called not in self.rebound else None

        for all_names in (False, True):  # a name that was given again is avoided: it says not which is meant
            speller = Speller(self.program.steps, functools.partial(name, all_names=all_names))
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
        sources = {id(self.program.steps[i].source) for i in steps if self.program.steps[i].source is not None}
        used = {self.program.steps[i].op for i in self.moving if id(self.program.steps[i].source) in sources}
        for op in sorted(used):
            if op in OPS and OPS[op].arity == 1 and not OPS[op].branches:
                yield f"{op}'(u) = {_slope(op)}"


@functools.cache
def _slope(op: str) -> str:
    """The derivative of a function at u, as the exact derivative has it; as SymPy has it, where that is too long."""
    b = Builder()
    u = b.input("u", ())
    value = b.apply(op, u)
    slope = local_derivative(op)
    names = {u: "u", value: f"{op}(u)"}
    text = Speller(b.steps, names.get).formula(lower(b, slope, {OPS[op].exact: value, X: u}))
    return str(slope.subs(X, sp.Symbol("u"))) if text is None else text
