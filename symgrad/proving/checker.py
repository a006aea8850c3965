"""Checks a certificate: plain data that says how a hand formula was proved to be a derivative, link by link.

Nothing here is shared with the search that found the proof, and nothing that it claims is believed.  A certificate has
steps (operations on whole arrays, each on earlier ones), and links, in order, of which each joins two steps:

* *congruence*: the same operation on arguments that were joined before;
* *fractions*: entry by entry the two are the same fraction in kernels (`symgrad.proving.checker_rules`), read back
  through the steps that the link opens; every other step is an unknown, one for each class of joined steps.

A value that is detached is *held* at first: an unknown of which only equal arguments are used.  While that is so the
model is joined with its simplest operations, so that both have one derivative; from then on it is its argument.
At the end the hand formula is to be joined with the derivative of the model.  That derivative the checker writes
itself, by the rules of `symgrad.proving.checker_adjoint`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symgrad.proving.checker_adjoint import REAL, CheckedStep, derivative, nothing, positions
from symgrad.proving.checker_arithmetic import NotCovered
from symgrad.proving.checker_complex import ALIKE, PARTS
from symgrad.proving.checker_entries import Formula
from symgrad.proving.checker_rules import vanishes

FORMAT, VERSION = "symgrad certificate", 1
_ENTRIES = 1 << 14  # of a step that is read entry by entry


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
    x: holds, 17 links.
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
    except (Malformed, LookupError, TypeError, ValueError, AttributeError) as error:
        return (Checked("certificate", False, rejected=_said(error)),)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, Malformed) else f"it is not laid out as a certificate ({error!r})"


def _check_claim(claim: Mapping[str, Any]) -> Checked:
    name = str(claim["name"])
    if not claim["branches"]:
        return Checked(name, False, unchecked=(str(claim["why_not"]),))
    links, uncovered = 0, Counter[str]()
    unchecked: dict[str, None] = {}
    assumed: dict[str, None] = {}
    for branch in claim["branches"]:
        try:
            replay = Replay.of(branch)
            replay.run(branch)
        except (Malformed, LookupError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            return Checked(name, False, len(claim["branches"]), links, _said(error))
        links += len(branch["links"])
        uncovered += replay.uncovered
        unchecked |= dict.fromkeys(replay.unchecked)
        assumed |= dict.fromkeys(replay.assumed)
    if len(claim["branches"]) > 1:
        unchecked["that no other branch of the code was reached"] = None
    unchecked["that the steps are those of the code"] = None
    whole = not uncovered and not any(u.startswith("that the exact") for u in unchecked)
    return Checked(name, whole, len(claim["branches"]), links, None, dict(uncovered), tuple(unchecked), tuple(assumed))


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


def _fits(step: CheckedStep, args: Sequence[CheckedStep]) -> bool:
    """Whether the shapes are those of the operation."""
    if any(a.complex for a in args) and not step.complex and step.op not in REAL:
        return False
    shapes = [a.shape for a in args]
    match step.op:
        case "input" | "constant":
            return not args
        case "pick":
            top = sum(a.size for a in args)
            return bool(args) and _are_positions(step.params, step.shape, top)
        case "scatter":
            return len(args) == 1 and _are_positions(step.params, shapes[0], step.size)
        case "matmul":
            (b, n, k), (c, l, m) = shapes  # noqa: E741
            return b == c and k == l and step.shape == (b, n, m)
        case "inverse" | "cholesky":
            return (
                len(args) == 1 and shapes[0] == step.shape and len(step.shape) == 3 and step.shape[1] == step.shape[2]
            )
        case "det" | "logabsdet":
            return (
                len(args) == 1 and len(shapes[0]) == 3 and shapes[0][1] == shapes[0][2] and step.shape == shapes[0][:1]
            )
        case "solve":
            return len(args) == 2 and shapes[1] == step.shape and shapes[0] == (*step.shape[:2], step.shape[1])
        case "softmax" | "log_softmax" | "logsumexp":
            axis = step.params % len(step.shape)
            kept = tuple(1 if k == axis and step.op == "logsumexp" else n for k, n in enumerate(shapes[0]))
            return len(args) == 1 and step.shape == kept
        case "powi" if not isinstance(step.params, int) or step.params < 0:
            return False
    arity = {"add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2, "neg": 1, "powi": 1, "exp": 1}.get(step.op, len(args))
    return bool(args) and len(args) == arity and all(s == step.shape for s in shapes)


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


class Replay:
    """The classes of joined steps, and what was found on the way."""

    def __init__(self, steps: Sequence[CheckedStep], stated: Sequence[int]) -> None:
        self.steps = list(steps)
        self.parent = list(range(len(steps)))
        self.stated = stated
        self.uncovered: Counter[str] = Counter()
        self.unchecked: list[str] = []
        self.assumed: list[str] = []
        self.known: dict[Any, bool | None] = {}
        self.landing: dict[int, dict[int, list[int]]] = {}
        self.holding = any(s.op == "stop" for s in steps)

    @classmethod
    def of(cls, branch: Mapping[str, Any]) -> Replay:
        steps = _steps_of(branch["steps"])
        for name in ("model", "hand", "exact", "of"):
            if not isinstance(branch[name], int) or not 0 <= branch[name] < len(steps):
                raise Malformed(f"there is no step that is called {name}")
        return cls(steps, [s for s in branch["stated"] if not steps[s].complex])

    def run(self, branch: Mapping[str, Any]) -> None:
        """Check every link; raises `Malformed` at the first that does not hold."""
        own = self._derivative(branch)
        for k, link in enumerate(branch["links"]):
            if self.holding and k == branch["held"]:
                if branch["derivative"] is not None:
                    self._join_ends(
                        branch["of"],
                        branch["model"],
                        "the model with its simplest operations, while what it detaches is held",
                    )
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
        self._join_ends(branch["of"], branch["model"], "the model with its simplest operations")
        self._join_ends(branch["exact"], branch["hand"], "the hand formula with the exact derivative")
        if own is not None:
            self._join_ends(branch["exact"], own, "the exact derivative with what is written from the model")
        if self.stated:
            self.assumed.append("what the question states not to be negative is not negative")

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

    def is_held(self, i: int) -> bool:
        return self.holding and self.steps[i].op == "stop"

    def _derivative(self, branch: Mapping[str, Any]) -> int | None:
        """The derivative of the model, written by the checker's own rules after the last step."""
        kind, by = branch["derivative"], branch["by"]
        if kind is None:
            self.unchecked.append(f"that the exact formula is the derivative: {branch['why_not']}")
            return None
        try:
            new, own = self._written(branch, by, kind)
        except NotCovered as what:
            self.unchecked.append(f"that the exact formula is the derivative: {what}")
            return None
        self.steps += new
        self.parent += range(len(self.parent), len(self.steps))
        return own

    def _written(self, branch: Mapping[str, Any], by: int | None, kind: str) -> tuple[list[CheckedStep], int]:
        model = [self.steps[i] for i in self._cone(branch["model"])]
        if kind == "value":
            return derivative(self.steps, branch["of"], 0, kind)
        if by is None:
            if kind != "gradient" or any(s.op == "input" and s.params == branch["wrt"] for s in model):
                raise Malformed(f"no step is said to be {branch['wrt']}, which the model has")
            return nothing(len(self.steps), self.steps[branch["exact"]].shape)
        if not isinstance(by, int) or not 0 <= by < len(self.steps):
            raise Malformed(f"there is no step {by}")
        source = self.steps[by]
        if source.op != "input":
            self.unchecked.append(f"that the step that is differentiated by is {branch['wrt']}")
        elif source.params != branch["wrt"]:
            raise Malformed(f"step {by} is not the input {branch['wrt']}")
        return derivative(self.steps, branch["of"], by, kind)

    def _cone(self, i: int) -> set[int]:
        found, stack = set[int](), [i]
        while stack:
            i = stack.pop()
            if i not in found:
                found.add(i)
                stack += self.steps[i].args
        return found

    def find(self, i: int) -> int:
        """The step that stands for all that were joined with step ``i``."""
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        i, j = self.find(i), self.find(j)
        self.parent[max(i, j)] = min(i, j)

    def holds(self, link: Mapping[str, Any]) -> bool:
        """Whether a link holds, the classes being what they are.  Raises `NotCovered` where there is no rule for it."""
        i, j = link["left"], link["right"]
        left, right = self.steps[i], self.steps[j]
        if left.shape != right.shape:
            return False
        match link["rule"]:
            case "congruence":
                return self._are_congruent(left, right)
            case "fractions":
                return self._are_fractions(link, i, j)
        raise Malformed(f"there is no rule called {link['rule']!r}")

    def _are_congruent(self, left: CheckedStep, right: CheckedStep) -> bool:
        if left.op != right.op or not _same(left.params, right.params):
            return False
        if left.op == "input" and left.complex != right.complex:
            return False
        if left.complex != right.complex and left.op not in _ENTIRE:
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
        goal = formula.emit("sub", left, right)
        key = tuple(formula.nodes), bool(link.get("expanded", False))
        if key not in self.known:
            self.known[key] = vanishes(formula.nodes, goal, expanded=key[1])
        found = self.known[key]
        if found is None and _POSITIVE not in self.assumed:
            self.assumed.append(_POSITIVE)
        return found is not False

    def landing_of(self, i: int) -> dict[int, list[int]]:
        """For a scatter: the entries of its argument that land in each of its own."""
        if i not in self.landing:
            found = self.landing[i] = {}
            step = self.steps[i]
            for source, p in enumerate(positions(step.params, self.steps[step.args[0]].shape)):
                found.setdefault(p - 1, []).append(source)
        return self.landing[i]


# Of a real number these give what they give of it as a complex one, wherever both have a value.
_ENTIRE = frozenset((*ALIKE, *PARTS, "constant", "powi", "pick", "scatter", "matmul", "name", "cast", "stop"))
_POSITIVE = "that what roots are taken of is positive, where it must not be negative"


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
