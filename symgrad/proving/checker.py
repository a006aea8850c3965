"""Checks a certificate: plain data that says how a hand formula was proved to be a derivative, link by link.

A certificate has steps (operations on whole arrays, each on earlier ones), and links, in order, of which each joins two
steps:

* *congruence*: the same operation on arguments that were joined before;
* *fractions*: entry by entry the two are the same fraction in kernels, read back through the steps that the link opens;
  every other step is an unknown, one for each class of joined steps.

A value that is detached is *held* at first: an unknown of which only equal arguments are used.  While that is so the
model is joined with its simplest operations, so that both have one derivative; from then on it is its argument.  Signs
are known from what the question *asked* for, from where the model has a value, and from what the code's own comparisons
said.  At the end the hand formula is to be joined with the derivative of the model, which the checker writes itself;
and of the branches of a claim, it is checked whether they are all there are.

Trusted are four files, to be read in this order: `checker`, `checker_adjoint` (the derivative of each operation),
`checker_rules` (what each operation is of numbers), `checker_arithmetic` (fractions in kernels); Python, and the
polynomials of FLINT.  Nothing is shared with the search that found the proof, and nothing that it claims is believed.
Not looked at is whether the steps and comparisons are those of the user's code: that is what the replay of a record is
for.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from symgrad.proving.checker_adjoint import REAL, CheckedStep, derivative
from symgrad.proving.checker_arithmetic import Arithmetic, NotCovered, Value, settled
from symgrad.proving.checker_rules import COMPLEX, INNER, Classes, Reader, of_values

FORMAT, VERSION = "symgrad certificate", 4
_ENTRIES = 1 << 14  # of a step that is read entry by entry
_SIGNS = 256  # that the branches of a claim have
_ROWS = 400  # inequalities of one elimination
_STEPS = "that the steps are those of the code"
_ASKED = "what the question states not to be negative is not negative"
_WRONG = (LookupError, TypeError, ValueError, AttributeError, ZeroDivisionError)  # where data are not laid out so


class Malformed(Exception):
    """What is no certificate; the text says where."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of one claim after its certificate was checked.

    ``accepted`` says that the hand formula is the derivative, on each of the ``branches``, wherever all steps have
    values and what is ``assumed`` holds.  ``rejected`` names the first link that does not hold, ``uncovered`` counts
    the links that the checker has no rule for, by what it lacks, and ``unchecked`` says what else it did not look at.
    """

    name: str
    accepted: bool
    branches: int = 0
    links: int = 0
    rejected: str | None = None
    uncovered: Mapping[str, int] = field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.rejected is not None:
            return f"{self.name}: rejected: {self.rejected}."
        text = f"{self.name}: {'holds' if self.accepted else 'not whole'}, {self.links} links"
        text += f" on {self.branches} branches" if self.branches > 1 else ""
        lines = [f"{text}."]
        lines += [f"  uncovered: {what} ({n} of the links)" for what, n in self.uncovered.items()]
        lines += [f"  not checked: {what}" for what in self.unchecked]
        lines += [f"  assumed: {what}" for what in self.assumed]
        return "\n".join(lines)


def check_certificate(certificate: Mapping[str, Any] | str) -> tuple[Checked, ...]:
    """Check every claim of a certificate (a mapping, or its JSON).

    >>> from symgrad import verify
    >>> data = verify("tanh(x)", "1 - tanh(x)**2", wrt="x").certificate()
    >>> print(*check_certificate(data))
    x: holds, 16 links.
      not checked: that the steps are those of the code
    >>> branch = data["claims"][0]["branches"][0]
    >>> branch["hand"] = branch["model"]
    >>> print(*check_certificate(data))
    x: rejected: the links do not join the hand formula with the exact derivative.

    Raises nothing for what is no certificate: it is rejected.  Guarantee: an accepted claim is a theorem about the
    steps that the certificate lists, by the rules of `symgrad.proving.checker_rules` and
    `symgrad.proving.checker_adjoint` alone.
    """
    try:
        data = json.loads(certificate) if isinstance(certificate, str) else certificate
        if data["format"] != FORMAT or data["version"] != VERSION:
            raise Malformed(f"this is no {FORMAT} of version {VERSION}")
        return tuple(_check_claim(claim) for claim in data["claims"])
    except (Malformed, *_WRONG) as error:
        return (Checked("certificate", False, rejected=_said(error)),)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, Malformed) else f"it is not laid out as a certificate ({error!r})"


def _check_claim(claim: Mapping[str, Any]) -> Checked:
    name, branches = str(claim["name"]), claim["branches"]
    if not branches:
        return Checked(name, False, unchecked=(str(claim["why_not"]),))
    links, uncovered, unchecked, assumed = 0, Counter[str](), list[str](), list[str]()
    try:
        for branch in branches:
            replay = Replay.of(branch)
            replay.run(branch)
            links += len(branch["links"])
            uncovered += replay.uncovered
            unchecked += replay.unchecked
            assumed += replay.assumed
        if claim["whole"] and not are_all(branches):
            raise Malformed("the branches do not cover all cases of what the code compares")
    except (Malformed, NotCovered, *_WRONG) as error:
        return Checked(name, False, len(branches), links, _said(error))
    whole = not uncovered and not any(u.startswith("that the exact") for u in unchecked)
    unchecked += [] if claim["whole"] else ["that no other branch of the code was reached"]
    told = tuple(dict.fromkeys((*unchecked, _STEPS)))
    return Checked(name, whole, len(branches), links, None, dict(uncovered), told, tuple(dict.fromkeys(assumed)))


# ------------------------------------------------------------------------------------------------------- the steps


def _steps_of(data: Sequence[Mapping[str, Any]]) -> list[CheckedStep]:
    steps: list[CheckedStep] = []
    for i, s in enumerate(data):
        args, shape = tuple(s["args"]), tuple(s["shape"])
        if not all(isinstance(a, int) and 0 <= a < i for a in args):
            raise Malformed(f"step {i} uses a step that does not come before it")
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise Malformed(f"step {i} has no shape")
        step = CheckedStep(str(s["op"]), args, s.get("params"), shape, bool(s.get("complex", False)))
        if not _fits(step, [steps[a] for a in args]):
            raise Malformed(f"step {i}, {step.op}, does not fit its arguments")
        steps.append(step)
    return steps


# What the shape of each operation is, of its own and those of its arguments; all others are read entry by entry.
_SHAPES: dict[str, Callable[..., bool]] = {
    "matmul": lambda out, a, b: out == (a[0], a[1], b[2]) and b == (a[0], a[2], b[2]),
    "inverse": lambda out, a: out == a == (a[0], a[1], a[1]),
    "cholesky": lambda out, a: out == a == (a[0], a[1], a[1]),
    "det": lambda out, a: out == a[:1] and a == (a[0], a[1], a[1]),
    "logabsdet": lambda out, a: out == a[:1] and a == (a[0], a[1], a[1]),
    "solve": lambda out, a, b: out == b and a == (*out[:2], out[1]),
    "logsumexp": lambda out, a, axis: out == (*a[: axis % len(a)], 1, *a[axis % len(a) + 1 :]),
    "softmax": lambda out, a, axis: out == a and -len(a) <= axis < len(a),
    "log_softmax": lambda out, a, axis: out == a and -len(a) <= axis < len(a),
    "powi": lambda out, a, n: out == a and isinstance(n, int) and n >= 0,
    **dict.fromkeys(("add", "sub", "mul", "div", "pow"), lambda out, a, b: out == a == b),
    **dict.fromkeys(("neg", "exp"), lambda out, a: out == a),
}


def _fits(step: CheckedStep, args: Sequence[CheckedStep]) -> bool:
    """Whether the shapes are those of the operation."""
    shapes = [a.shape for a in args]
    if step.op in INNER or (any(a.complex for a in args) and not step.complex and step.op not in REAL):
        return False
    if step.op in ("input", "constant"):
        return not args
    if step.op in ("pick", "scatter"):
        (shape, top) = (step.shape, sum(a.size for a in args)) if step.op == "pick" else (*shapes, step.size)
        return bool(args) and _are_positions(step.params, shape, top)
    if step.op in _SHAPES:
        return _SHAPES[step.op](step.shape, *shapes, *(() if step.params is None else (step.params,)))
    return bool(args) and all(shape == step.shape for shape in shapes)


def _are_positions(index: Any, shape: tuple[int, ...], top: int) -> bool:
    """Whether an index tells a place below ``top`` for each entry of an array of this shape."""
    if isinstance(index, Mapping):
        if len(index["strides"]) != len(shape) or 0 in shape:
            return 0 in shape
        ends = [stride * (n - 1) for stride, n in zip(index["strides"], shape, strict=True)]
        low, high = (index["offset"] + sum(side(0, e) for e in ends) for side in (min, max))
        return 0 <= low <= high < top
    return len(index) == math.prod(shape) and all(isinstance(p, int) and 0 <= p <= top for p in index)


# ------------------------------------------------------------------------------------------------------- the links

_REAL_TOO = COMPLEX | {"constant", "powi", "pick", "scatter", "name", "cast", "stop"}
"""Of a real number these give what they give of it as a complex one, wherever both have a value."""


class Replay(Classes):
    """The steps in the classes that the links join, what is known of signs, and what was found on the way."""

    def __init__(self, steps: Sequence[CheckedStep], signs: Iterable[Sign] = ()) -> None:
        super().__init__(steps, any(s.op == "stop" for s in steps))
        self.signs = tuple(signs)
        self.uncovered: Counter[str] = Counter()
        self.unchecked: list[str] = []
        self.assumed: list[str] = []

    @classmethod
    def of(cls, branch: Mapping[str, Any]) -> Replay:
        steps = _steps_of(branch["steps"])
        for name in ("model", "hand", "exact", "of"):
            if not isinstance(branch[name], int) or not 0 <= branch[name] < len(steps):
                raise Malformed(f"there is no step that is called {name}")
        return cls(steps, known_signs(steps, branch["of"], branch["asked"], branch["choices"]))

    def run(self, branch: Mapping[str, Any]) -> None:
        """Check every link; raises `Malformed` at the first that does not hold."""
        own, simplest = self._derivative(branch), "the model with its simplest operations"
        self.assumed += [_ASKED] if branch["asked"] else []
        for k, link in enumerate(branch["links"]):
            if self.holding and k == branch["held"]:
                if branch["derivative"] is not None:
                    self._join_ends(branch["of"], branch["model"], f"{simplest}, while what it detaches is held")
                self.release(branch["of"])
            i, j = link["left"], link["right"]
            if not all(isinstance(x, int) and 0 <= x < len(self.steps) for x in (i, j)):
                raise Malformed(f"link {k} joins steps that there are not")
            try:
                if not self.holds(link):
                    raise Malformed(f"link {k}, that step {i} is step {j} by {link['rule']}, does not hold")
            except NotCovered as what:
                self.uncovered[str(what)] += 1
            self.join(i, j)
        self._join_ends(branch["of"], branch["model"], simplest)
        self._join_ends(branch["exact"], branch["hand"], "the hand formula with the exact derivative")
        if own is not None:
            self._join_ends(branch["exact"], own, "the exact derivative with what is written from the model")
        self.assumed += [f"that {fact}" for fact in branch["facts"]]

    def _join_ends(self, i: int, j: int, what: str) -> None:
        if self.find(i) != self.find(j):
            raise Malformed(f"the links do not join {what}")

    def release(self, model: int) -> None:
        """From here on what is detached is its argument."""
        if any(self.steps[i].op == "stop" for i in cone(self.steps, model)):
            self.assumed.append("that what the model detaches does not change")
        self.holding = False
        for i, step in enumerate(self.steps):
            if step.op == "stop":
                self.join(i, step.args[0])

    def _derivative(self, branch: Mapping[str, Any]) -> int | None:
        """The derivative of the model, written by the checker's own rules after the last step."""
        kind, by = branch["derivative"], branch["by"]
        if kind is None:
            self.unchecked.append(f"that the exact formula is the derivative: {branch['why_not']}")
            return None
        if kind != "value":
            wrt, inputs = branch["wrt"], {i: s.params for i, s in enumerate(self.steps) if s.op == "input"}
            if by is None:
                fits = kind == "gradient" and wrt not in map(inputs.get, cone(self.steps, branch["model"]))
            else:
                fits = by in range(len(self.steps)) and inputs.get(by, wrt) == wrt
            if not fits:
                raise Malformed(f"step {by} is not the input {wrt}")
            if by is not None and by not in inputs:
                self.unchecked.append(f"that the step that is differentiated by is {wrt}")
        try:
            new, own = derivative(self.steps, branch["of"], by, kind, self.steps[branch["exact"]].shape)
        except NotCovered as what:
            self.unchecked.append(f"that the exact formula is the derivative: {what}")
            return None
        self.steps += new
        self.parent += range(len(self.parent), len(self.steps))
        return own

    def holds(self, link: Mapping[str, Any]) -> bool:
        """Whether a link holds, the classes being what they are.  Raises `NotCovered` where there is no rule for it."""
        i, j = link["left"], link["right"]
        if self.steps[i].shape != self.steps[j].shape:
            return False
        match link["rule"]:
            case "congruence":
                return self._are_congruent(self.steps[i], self.steps[j])
            case "fractions":
                return self._are_fractions(link, i, j)
        raise Malformed(f"there is no rule called {link['rule']!r}")

    def _are_congruent(self, left: CheckedStep, right: CheckedStep) -> bool:
        if left.op != right.op or type(left.params) is not type(right.params) or left.params != right.params:
            return False
        if left.op == "input" and left.complex != right.complex:
            return False
        if left.complex != right.complex and left.op not in _REAL_TOO:
            raise NotCovered(f"{left.op} of a real number that may be complex")
        a, b = ([self.find(x) for x in s.args] for s in (left, right))
        return a == b or (left.op in ("add", "mul") and a == b[::-1])

    def _are_fractions(self, link: Mapping[str, Any], i: int, j: int) -> bool:
        if self.steps[i].size > _ENTRIES:
            raise NotCovered("an array with too many entries")
        opened, expanded = frozenset(map(self.find, (*link["opened"], i, j))), bool(link.get("expanded", False))

        def are_equal(f: Arithmetic, k: int) -> bool:
            reader = Reader(f, self, opened)
            gap = reader.entry(i, k) - reader.entry(j, k)
            for sign in () if gap.is_zero() else self.signs:
                size, shape = self.steps[sign.above].size, self.steps[sign.above].shape
                if size == 1 or shape == self.steps[i].shape:
                    with suppress(NotCovered):
                        sign.teach(reader, k if size > 1 else 0)
            return gap.is_zero()

        return all(settled(lambda f, k=k: are_equal(f, k), expanded) for k in range(self.steps[i].size))


# ------------------------------------------------------------------------------------------------------- the signs


@dataclass(frozen=True, slots=True)
class Sign:
    """That an entry of step ``above`` is not less than the same entry of step ``below``, or than zero, where its way is
    1; and not more where it is -1.  With ``strict`` they are not equal either.  One way is that of all entries."""

    above: int
    below: int | None = None
    ways: tuple[int, ...] = (1,)
    strict: bool = False

    def gap(self, reader: Reader, k: int) -> Value:
        """What is not negative, at an entry."""
        v = reader.entry(self.above, k)
        return self.ways[k if len(self.ways) > 1 else 0] * (
            v if self.below is None else v - reader.entry(self.below, k)
        )

    def teach(self, reader: Reader, k: int) -> None:
        gap = self.gap(reader, k)
        reader.f.principal = False
        reader.f.learn(gap, strict=self.strict)


def known_signs(
    steps: Sequence[CheckedStep], model: int, asked: Iterable[int], choices: Iterable[Mapping[str, Any]]
) -> Iterator[Sign]:
    """What the question says not to be negative, what the model's steps need in order to have values, and what was
    compared."""
    yield from (Sign(s) for s in asked if not steps[s].complex)
    for i in sorted(cone(steps, model)):
        if steps[i].op in ("log", "pow", "sqrt") and not steps[i].complex:
            yield Sign(steps[i].args[0], strict=steps[i].op != "sqrt")
    yield from compared(steps, choices)


def compared(steps: Sequence[CheckedStep], choices: Iterable[Mapping[str, Any]]) -> Iterator[Sign]:
    """What the comparisons of a branch say."""
    for choice in choices:
        i, j, ways = choice["left"], choice["right"], tuple(choice["signs"])
        sizes = 1, steps[i].size
        if len(ways) not in sizes or (j is not None and steps[j].size not in sizes):
            raise Malformed("a comparison does not fit what it compares")
        yield Sign(i, j, ways)


def cone(steps: Sequence[CheckedStep], i: int) -> set[int]:
    """A step and all that it is made of."""
    found, stack = set[int](), [i]
    while stack:
        i = stack.pop()
        if i not in found:
            found.add(i)
            stack += steps[i].args
    return found


# ------------------------------------------------------------------------------------------------------- the branches

Row = dict[Any, Any]  # a combination of monomials that is positive


def are_all(branches: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each value of the inputs, off the edges, lies on one of the branches, by what was compared on each.

    Raises `NotCovered` where that is more than inequalities that are linear in their monomials.
    """
    if any(branch["others"] for branch in branches):
        raise NotCovered("choices that are no comparisons")
    steps, cells = list[CheckedStep](), list[list[tuple[Sign, int]]]()
    for branch in branches:
        start, mine = len(steps), _steps_of(branch["steps"])
        signs = [
            replace(s, above=s.above + start, below=None if s.below is None else s.below + start)
            for s in compared(mine, branch["choices"])
        ]
        steps += [replace(s, args=tuple(a + start for a in s.args)) for s in mine]
        entries = [(s, k) for s in signs for k in range(steps[s.above].size)]
        cells.append([(s, k) for s, k in entries if s.ways[k if len(s.ways) > 1 else 0]])
    if sum(map(len, cells)) > _SIGNS:
        raise NotCovered("too many comparisons")
    classes, everything = of_values(steps), frozenset(range(len(steps)))

    def cover(f: Arithmetic) -> bool:
        reader = Reader(f, classes, everything)
        rows = [[_row(sign.gap(reader, k)) for sign, k in cell] for cell in cells]
        if f.notes.signs:  # learned on one branch, and it need not hold on others
            raise NotCovered("comparisons of what has no value everywhere")
        monomials = {m: f.context.from_dict({m: 1}) for cell in rows for row in cell for m in row}
        return _cover(rows, [{m: Fraction(1)} for m, p in monomials.items() if f.sign_of(p) > 0])

    return settled(cover)


def _row(v: Value) -> Row:
    """A fraction in kernels, times a square, as a combination of their monomials."""
    v = v.plain()
    return {m: Fraction(int(c.p), int(c.q)) for m, c in (v.n * v.d).to_dict().items()}


def _cover(cells: Sequence[Sequence[Row]], held: Sequence[Row]) -> bool:
    """Whether all values of the monomials for which the rows ``held`` are positive lie in one of the cells."""
    if _contradict(held):
        return True
    if not cells:
        return False
    first, rest = cells[0], cells[1:]
    outside = ([*held, *first[:k], {m: -c for m, c in row.items()}] for k, row in enumerate(first))
    return all(_cover(rest, rows) for rows in outside)


def _contradict(rows: Sequence[Row]) -> bool:
    """Whether no values of the monomials make all rows positive: by elimination (Fourier and Motzkin)."""
    rows = list(rows)
    while unknown := {m for row in rows for m in row if any(m)}:
        sides = {m: [[r for r in rows if sign * r.get(m, 0) > 0] for sign in (1, -1)] for m in unknown}
        m = min(sorted(unknown), key=lambda m: len(sides[m][0]) * len(sides[m][1]))
        up, down = sides[m]
        if len(up) * len(down) + len(rows) > _ROWS:
            raise NotCovered("comparisons with too many monomials")
        rows = [r for r in rows if m not in r] + [_without(m, p, q) for p in up for q in down]
    return any(sum(row.values()) <= 0 for row in rows)


def _without(m: Any, p: Row, q: Row) -> Row:
    """The sum of two rows, each scaled, from which ``m`` drops out."""
    both = {k: p.get(k, Fraction(0)) / p[m] - q.get(k, Fraction(0)) / q[m] for k in p.keys() | q.keys()}
    return {k: c for k, c in both.items() if c}
