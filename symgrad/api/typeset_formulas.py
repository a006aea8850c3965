"""The formulas that a post typesets, beside its code: is f what the code computes, and are its derivatives right?

The letters of the formulas are found among the script's inputs and data by shape, and by value: f must give what the
code gives, at the script's own point and at another.  Whether it is the code's formula, and whether what is typeset as
its derivatives is right, is then asked as any question is.  Nothing of it changes the verdict of the code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.checking.judge import judge
from symgrad.checking.verdicts import Refuted, Verdict
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Formula, evaluated
from symgrad.lifting.latex.displays import FormulaQuestion, displays_in, questions_of
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.scripts.cues import core
from symgrad.lifting.scripts.extraction import Pasted
from symgrad.lifting.tracing.functions import Run, nearly_equal
from symgrad.lifting.whole_questions import sides_of
from symgrad.problem.question import Asked, Problem, pose
from symgrad.problem.sampling import neighbours
from symgrad.program.builder import Builder
from symgrad.program.program import Program
from symgrad.report.wording import listed

_MOST = 200  # ways to give the letters their tensors, of those that are tried
_NEAR = 1e-4  # how near f comes to what the code gives, relative to it, before the two are compared in balls
_WORD = {"proved": "proved", "agrees": "equal at every point that was looked at", "undecided": "undecided"}


def typeset_formulas(pasted: Pasted, problem: Problem, asked: Asked) -> tuple[str, ...]:
    """Sentences about the displayed formulas of a post; ``problem`` is the question about its code."""
    text = _prose(pasted)
    if not any(d.claims for d in displays_in(text)):
        return ()
    unread: dict[int, str] = {}
    told: list[str] = []
    for question in questions_of(displays_in(text), unread):
        try:
            told += _judged(question, problem, asked)
        except SymgradError as error:
            told.append(f"The formulas in line {question.line} were not compared with the code: {error.what}")
    told += [f"The formula in line {line} was not compared with the code: {why}" for line, why in unread.items()]
    return tuple(told)


def _prose(pasted: Pasted) -> str:
    """What is no code, each line where it stood."""
    lines = dict(pasted.left_out)
    return "\n".join(lines.get(k, "") for k in range(1, max(lines, default=0) + 1))


def _judged(question: FormulaQuestion, problem: Problem, asked: Asked) -> Iterator[str]:
    f, claims = sides_of(Latex(question.text))
    name = str(f.document.output)
    found = _letters(f, problem)
    if found is None:
        yield (
            f"The formula of {name} above line {question.line} was not compared with the code: with none of the "
            "script's inputs and data for its letters does it give what the code gives."
        )
        return
    said = listed([f"{inner} = {outer}" for inner, outer in found.items()])
    own = {inner: _squeezed(problem.inputs.point[outer]) for inner, outer in found.items()}
    asks = pose(f, claims, Asked(at=own, points=asked.points, effort=asked.effort, seed=asked.seed))
    shapes = {outer: np.shape(problem.inputs.point[outer]) for outer in found.values()}
    model = _InCode(asks.model, found, shapes)
    equal = judge(_beside(problem, model, ("value",), order=0)).verdicts["value"]
    yield f"The post's formula of {name} {_is(equal, 'what the code computes', 'the code gives')}, with {said}."
    hand = _InCode(asks.hand, found, shapes, shaped=True)
    outer = tuple(found[n] for n in asks.wrt if found[n] in problem.inputs.free)
    if not outer:
        return
    verdicts = judge(_beside(problem, hand, outer, order=asks.order)).verdicts
    back = {o: i for i, o in found.items()}
    for kind in dict.fromkeys(v.kind for v in verdicts.values()):
        mine = {back[n]: v for n, v in verdicts.items() if v.kind == kind}
        if kind == "refuted":
            for n, v in mine.items():
                yield f"The post's formula of ∂{name}/∂{n} {_is(v, 'the derivative', 'the derivative is')}."
        else:
            several = len(mine) > 1
            whose = listed([f"∂{name}/∂{n}" for n in mine])
            what = "are the derivatives" if several else "is the derivative"
            yield f"The post's formula{'s' * several} of {whose} {what} of what the code computes ({_WORD[kind]})."


def _is(verdict: Verdict, what: str, other: str) -> str:
    """Whether a formula is something, by its verdict."""
    if not isinstance(verdict, Refuted):
        return f"is {what} ({_WORD[verdict.kind]})"
    w = verdict.witness
    where = ", ".join(f"{n} = {v}" for n, v in w.point.items() if np.size(v) == 1)
    at = f" at {where}" if where else ""
    entry = f" in entry {list(w.entry)}" if w.entry else ""
    return f"is not {what}:{at}{entry} it gives {w.hand}, and {other} {w.exact}"


def _beside(problem: Problem, hand: Formula, wrt: tuple[str, ...], *, order: int) -> Problem:
    """The question about the code's own model, with a formula of the post beside it."""
    point = problem.inputs.point
    first = problem.model.run(point, problem.dtypes), hand.run(point, problem.dtypes)
    return replace(
        problem, hand=hand, wrt=wrt, order=order, first=first, pasted=False, meanings=None, labels={}, notes=()
    )


# ------------------------------------------------------------------------------------------------ letters


def _letters(f: Latex, problem: Problem) -> dict[str, str] | None:
    """Which input or datum of the script each letter of f is: that under which f gives what the code gives."""
    own = problem.inputs.point
    moved = next(neighbours(problem.inputs, 1, problem.seed), own)
    points = [own, moved]
    values = [next(iter(problem.model.run(p, problem.dtypes).values.values())) for p in points]
    for found in itertools.islice(_ways(f, own), _MOST):
        if all(_gives(f, found, p, v) for p, v in zip(points, values, strict=True)):
            return found
    return None


def _ways(f: Latex, point: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The ways to give each letter a tensor of its rank, letters that are called alike first."""
    axes = f.axes
    fits = []
    for letter in f.names:
        rank = len(axes[letter]) if letter in axes else None
        mine = [n for n, v in point.items() if rank is None or _squeezed(v).ndim == rank]
        fits.append(sorted(mine, key=lambda n: not _is_alike(letter, n)))
    for chosen in itertools.product(*fits):
        if len(set(chosen)) == len(chosen) and _sizes_agree(f, dict(zip(f.names, chosen, strict=True)), point):
            yield dict(zip(f.names, chosen, strict=True))


def _is_alike(letter: str, name: str) -> bool:
    return core(letter) == core(name)


def _sizes_agree(f: Latex, found: Mapping[str, str], point: Mapping[str, Any]) -> bool:
    """Whether each letter for a size stands for one length."""
    said: dict[str | int, int] = {}
    for letter, axes in f.axes.items():
        for size, length in zip(axes, _squeezed(point[found[letter]]).shape, strict=True):
            if said.setdefault(size, length) != length or (isinstance(size, int) and size != length):
                return False
    return True


def _gives(f: Latex, found: Mapping[str, str], point: Mapping[str, Any], value: np.ndarray) -> bool:
    """Whether f comes near a value at a point."""
    try:
        run = f.run({letter: _squeezed(point[name]) for letter, name in found.items()})
    except SymgradError:
        return False
    (mine,) = run.values.values()
    return nearly_equal(np.squeeze(mine), np.squeeze(np.asarray(value, np.float64)), _NEAR)


def _squeezed(value: Any) -> np.ndarray:
    """A tensor without its axes of one entry, as a formula speaks of it."""
    return np.squeeze(np.asarray(value, np.float64))


# ------------------------------------------------------------------------------------------------ a formula in the code


@dataclass(frozen=True, eq=False)
class _InCode:
    """A formula in the code's names and shapes; ``shaped`` says that its results are laid out as the code's inputs."""

    formula: Formula
    found: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    shaped: bool = False
    library: str = "math"
    is_formula = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.found.values())

    @property
    def required(self) -> tuple[str, ...]:
        return self.names

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """The formula at a point of the code."""
        inner = self.formula.run({i: _squeezed(point[o]) for i, o in self.found.items()}).program
        kinds = dict.fromkeys(self.names, dtypes) if isinstance(dtypes, str) else dtypes
        program = self._renamed(inner, kinds)
        return replace(evaluated(program, point), symbolic=True)

    def _renamed(self, inner: Program, dtypes: Mapping[str, str]) -> Program:
        b = Builder()
        place: list[int] = []
        for step in inner.steps:
            if step.op == "input":
                name = self.found[step.params]
                i = b.input(name, self.shapes[name], dtypes.get(name, "float64"))
                place.append(b.cast(b.reshape(i, step.shape), step.dtype))
            else:
                b.steps.append(replace(step, args=tuple(place[a] for a in step.args)))
                place.append(len(b.steps) - 1)
        outputs = {}
        for name, i in inner.outputs.items():
            outer = self.found.get(name, name) if self.shaped else name
            outputs[outer] = b.reshape(place[i], self._shape(outer, inner.steps[i].shape))
        return b.build(outputs)

    def _shape(self, name: str, shape: Sequence[int]) -> tuple[int, ...]:
        mine = self.shapes.get(name, tuple(shape)) if self.shaped else tuple(shape)
        return mine if np.prod(mine) == np.prod(shape) else tuple(shape)
