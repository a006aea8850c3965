"""Checks a certificate: plain data that says how a hand formula was proved to be a derivative, link by link.

A certificate has steps (operations on whole arrays, each on earlier ones), and links, in order, of which each joins two
steps:

* *congruence*: the same operation on arguments that were joined before;
* *fractions*: entry by entry the two are the same fraction in kernels, read back through the steps that the link opens;
  every other step is an unknown, one for each class of joined steps.

A value that is detached is *held* at first: an unknown of which only equal arguments are used.  While that is so the
model is joined with its simplest operations, so that both have one derivative; from then on it is its argument.  What
a proof uses of signs is *stated*: it is what the question asks for, or follows from where the model has a value and
from what the code's own comparisons said.  At the end the hand formula is to be joined with the derivative of the
model, which the checker writes itself; and of the branches of a claim, it is checked whether they are all there are.

Trusted are these files (`checker`, `checker_rules`: what each operation is of numbers, `checker_arithmetic`: fractions
in kernels, `checker_adjoint`: the derivative of each operation), Python, and the polynomials of FLINT.  Nothing is
shared with the search that found the proof, and nothing that it claims is believed.  Not looked at is whether the steps
and comparisons are those of the user's code: that is what the replay of a record is for.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from symgrad.proving.checker_adjoint import REAL, CheckedStep, derivative
from symgrad.proving.checker_arithmetic import Arithmetic, NotCovered, Value
from symgrad.proving.checker_rules import COMPLEX, INNER, Classes, Formula, holds, of_values, vanishes

FORMAT, VERSION = "symgrad certificate", 3
_ENTRIES = 1 << 14  # of a step that is read entry by entry
_SOURCES = 256  # entries that a sign may follow from
_ROWS = 400  # inequalities of one elimination
_STEPS = "that the steps are those of the code"
_POSITIVE = "that what roots are taken of is positive, where it must not be negative"
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
        return _check_cases(name, claim["cases"], str(claim["why_not"]))
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


def _check_cases(name: str, cases: Mapping[str, Any] | None, why_not: str) -> Checked:
    """What holds of a proof for all sizes: that two formulas are equal in each case, and that the cases are all."""
    if cases is None:
        return Checked(name, False, unchecked=(why_not,))
    cells, uncovered = cases["cells"], Counter[str]()
    try:
        steps = _steps_of(cases["steps"])
        if any(step.shape for step in steps):
            raise Malformed("the cases are not of single numbers")
        classes, all_of_them = of_values(steps), frozenset(range(len(steps)))
        formula = Formula(classes, all_of_them)
        if not _are_all(formula, [[formula.entry(i, 0) for i in cell] for cell in cells]):
            raise Malformed("the cells do not cover all cases of what is compared")
        for k, cell in enumerate(cells):
            formula = Formula(classes, all_of_them)
            for i in cell:
                formula.emit("positive", formula.entry(i, 0))
            goal = formula.emit("sub", *(formula.entry(cases[side], 0) for side in ("left", "right")))
            if vanishes(formula.nodes, goal) is False:
                raise Malformed(f"in cell {k} the two are not shown to be equal")
    except NotCovered as what:
        uncovered[str(what)] += 1
    except (Malformed, *_WRONG) as error:
        return Checked(name, False, len(cells), rejected=_said(error))
    return Checked(name, False, len(cells), len(cells), uncovered=dict(uncovered), unchecked=(why_not,))


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
    """The steps in the classes that the links join, and what was found on the way."""

    def __init__(self, steps: Sequence[CheckedStep], stated: Sequence[int] = ()) -> None:
        super().__init__(steps, any(s.op == "stop" for s in steps))
        self.stated = stated
        self.uncovered: Counter[str] = Counter()
        self.unchecked: list[str] = []
        self.assumed: list[str] = []
        self.known: dict[Any, bool | None] = {}

    @classmethod
    def of(cls, branch: Mapping[str, Any]) -> Replay:
        steps = _steps_of(branch["steps"])
        for name in ("model", "hand", "exact", "of"):
            if not isinstance(branch[name], int) or not 0 <= branch[name] < len(steps):
                raise Malformed(f"there is no step that is called {name}")
        return cls(steps, [s["step"] for s in branch["stated"] if not steps[s["step"]].complex])

    def run(self, branch: Mapping[str, Any]) -> None:
        """Check every link; raises `Malformed` at the first that does not hold."""
        own, simplest = self._derivative(branch), "the model with its simplest operations"
        self._check_signs(branch)
        for k, link in enumerate(branch["links"]):
            if self.holding and k == branch["held"]:
                if branch["derivative"] is not None:
                    self._join_ends(branch["of"], branch["model"], f"{simplest}, while what it detaches is held")
                self.release(branch["of"])
            i, j = link["left"], link["right"]
            if not all(isinstance(x, int) and 0 <= x < len(self.steps) for x in (i, j)):
                raise Malformed(f"link {k} joins steps that there are not")
            said = f"link {k}, that step {i} is step {j} by {link['rule']}, does not hold"
            self._covered(lambda link=link: self.holds(link), said)
            self.join(i, j)
        self._join_ends(branch["of"], branch["model"], simplest)
        self._join_ends(branch["exact"], branch["hand"], "the hand formula with the exact derivative")
        if own is not None:
            self._join_ends(branch["exact"], own, "the exact derivative with what is written from the model")
        self.assumed += [f"that {fact}" for fact in branch["facts"]]

    def _covered(self, shown: Any, otherwise: str) -> None:
        """Count what there is no rule for; raises `Malformed` for what does not hold."""
        try:
            if not shown():
                raise Malformed(otherwise)
        except NotCovered as what:
            self.uncovered[str(what)] += 1

    def _join_ends(self, i: int, j: int, what: str) -> None:
        if self.find(i) != self.find(j):
            raise Malformed(f"the links do not join {what}")

    def release(self, model: int) -> None:
        """From here on what is detached is its argument."""
        if any(self.steps[i].op == "stop" for i in self._cone(model)):
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
        inputs: dict[Any, Any] = {
            i: self.steps[i].params for i in range(len(self.steps)) if self.steps[i].op == "input"
        }
        if by is None and kind != "value":
            if kind != "gradient" or branch["wrt"] in (inputs.get(i) for i in self._cone(branch["model"])):
                raise Malformed(f"no step is said to be {branch['wrt']}, which the model has")
        elif kind != "value" and by not in range(len(self.steps)):
            raise Malformed(f"there is no step {by}")
        elif kind != "value" and inputs.get(by, branch["wrt"]) != branch["wrt"]:
            raise Malformed(f"step {by} is not the input {branch['wrt']}")
        elif kind != "value" and by not in inputs:
            self.unchecked.append(f"that the step that is differentiated by is {branch['wrt']}")
        try:
            new, own = derivative(self.steps, branch["of"], by, kind, self.steps[branch["exact"]].shape)
        except NotCovered as what:
            self.unchecked.append(f"that the exact formula is the derivative: {what}")
            return None
        self.steps += new
        self.parent += range(len(self.parent), len(self.steps))
        return own

    def _cone(self, i: int) -> set[int]:
        found, stack = set[int](), [i]
        while stack:
            i = stack.pop()
            if i not in found:
                found.add(i)
                stack += self.steps[i].args
        return found

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
        n = self.steps[i].size
        if n > _ENTRIES:
            raise NotCovered("an array with too many entries")
        opened = frozenset(map(self.find, (*link["opened"], i, j)))
        return all(self._is_entry_equal(link, opened, i, j, k) for k in range(n))

    def _is_entry_equal(self, link: Mapping[str, Any], opened: frozenset[int], i: int, j: int, k: int) -> bool:
        formula = Formula(self, opened, bool(link.get("written_out", False)))
        left, right = formula.entry(i, k), formula.entry(j, k)
        if left == right:
            return True
        for s in self.stated:
            if self.steps[s].size == 1 or self.steps[s].shape == self.steps[i].shape:
                formula.emit("stated", formula.entry(s, k if self.steps[s].size > 1 else 0))
        is_complex = formula.nodes[left].complex or formula.nodes[right].complex
        goal = formula.emit("sub", left, right, complex=is_complex)
        key = tuple(formula.nodes), bool(link.get("expanded", False))
        if key not in self.known:
            self.known[key] = vanishes(formula.nodes, goal, expanded=key[1])
        return self._noted(self.known[key])

    def _noted(self, found: bool | None) -> bool:
        self.assumed += [_POSITIVE] if found is None else []
        return found is not False

    # ------------------------------------------------------------------------------------------------ signs
    def _check_signs(self, branch: Mapping[str, Any]) -> None:
        """What is stated not to be negative is asked for, or follows from the model's domain and the comparisons."""
        stated = {said["step"]: said["asked"] for said in branch["stated"]}
        if any(stated.values()):
            self.assumed.append("what the question states not to be negative is not negative")
        if not all(stated.values()):
            known, sources = of_values(self.steps), [*self._domain(branch["of"]), *compared(branch)]
            for s in (s for s, asked in stated.items() if not asked and not self.steps[s].complex):
                said = f"it does not follow that step {s} is not negative"
                self._covered(lambda s=s: self._follows(s, known, sources), said)

    def _domain(self, model: int) -> Iterator[Sign]:
        """What a model's steps need in order to have values."""
        for i in sorted(self._cone(model)):
            step = self.steps[i]
            if step.op in ("log", "pow", "sqrt", "lgamma", "gamma", "digamma") and not step.complex:
                if step.op.endswith("gamma"):
                    self.assumed.append("that gamma functions are taken of positive numbers")
                for k in range(step.size):
                    yield step.args[0], None, k, 1, step.op != "sqrt"

    def _follows(self, s: int, known: Classes, sources: Sequence[Sign]) -> bool:
        """Whether no entry of step ``s`` is negative where those of the sources are not."""
        step = self.steps[s]
        for k in range(step.size):
            formula = Formula(known, frozenset(range(len(self.steps))))
            goal = formula.entry(s, k)
            near = [x for x in sources if x[2] == k or self.steps[x[0]].shape != step.shape]
            if len(near) > _SOURCES:
                raise NotCovered("signs that may follow from too many others")
            for source in near:
                formula.emit("positive" if source[-1] else "stated", gap(formula, source))
            if not self._noted(holds(formula.nodes, [goal], Arithmetic.is_not_negative)):
                return False
        return True


# ------------------------------------------------------------------------------------------------------- the branches

Sign = tuple[int, int | None, int, int, bool]
"""A step, another one or zero, an entry, on which side (1 or -1) the first lies there, and whether the two differ."""
Row = dict[Any, Any]  # a combination of monomials that is positive


def compared(branch: Mapping[str, Any], start: int = 0) -> Iterator[Sign]:
    """What the comparisons of a branch say; its steps are counted from ``start``."""
    for choice in branch["choices"]:
        i, j, signs = choice["left"], choice["right"], choice["signs"]
        size = math.prod(branch["steps"][i]["shape"])
        for k, way in enumerate(signs if len(signs) != 1 else signs * size):
            if way:
                yield i + start, None if j is None else j + start, k, 1 if way > 0 else -1, False


def gap(formula: Formula, sign: Sign) -> int:
    """The node of what a comparison says is not negative."""
    i, j, k, way, _ = sign
    above, below = formula.entry(i, k), formula.emit("number", param=(0,)) if j is None else formula.entry(j, k)
    return formula.emit("sub", *(above, below)[::way])


def are_all(branches: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each value of the inputs, off the edges, lies on one of the branches, by what was compared on each.

    Raises `NotCovered` where that is more than inequalities that are linear in their monomials.
    """
    if any(branch["others"] for branch in branches):
        raise NotCovered("choices that are no comparisons")
    steps, cells = list[CheckedStep](), list[list[Sign]]()
    for branch in branches:
        start = len(steps)
        cells.append(list(compared(branch, start)))
        steps += [replace(s, args=tuple(a + start for a in s.args)) for s in _steps_of(branch["steps"])]
    formula = Formula(of_values(steps), frozenset(range(len(steps))))
    if sum(map(len, cells)) > _SOURCES:
        raise NotCovered("too many comparisons")
    return _are_all(formula, [[gap(formula, sign) for sign in cell] for cell in cells])


def _are_all(formula: Formula, cells: Sequence[Sequence[int]]) -> bool:
    """Whether there is a cell for all values, of which each says of some nodes that they are positive in it."""

    def test(f: Arithmetic, *values: Value) -> bool:
        if f.notes.signs:  # learned on one branch, and it need not hold on others
            raise NotCovered("comparisons of what has no value everywhere")
        rows = iter([_row(f, v) for v in values])
        found = [[next(rows) for _ in cell] for cell in cells]
        monomials = {m: f.context.from_dict({m: 1}) for cell in found for row in cell for m in row}
        return _cover(found, [{m: Fraction(1)} for m, p in monomials.items() if f.sign_of(p) > 0])

    return bool(holds(formula.nodes, [i for cell in cells for i in cell], test))


def _row(f: Arithmetic, v: Value) -> Row:
    """A fraction in kernels, times a square, as a combination of their monomials."""
    v = f.lowest(v)
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
