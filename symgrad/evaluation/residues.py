"""A Program modulo a prime: an identity of real functions is an identity of residues, and a chance zero is rare.

Arithmetic is exact and each step costs the same however large its formula would be.  Transcendental functions keep
their algebra by a tower of primes p_0 < p_1 < ... (`symgrad.evaluation.modular`): a value is read at several levels,
``exp(u)`` at level k+1 is g to the power of u at level k, and ``log`` is its inverse, so that exp(a + b) =
exp(a) exp(b) and log(a b) = log(a) + log(b) hold by themselves; tanh and sigmoid are rational in exp; where -1 has a
square root i, sin and cos are rational in exp(i u).  At the ends of the tower, and for functions with no algebra, a
value is a random element for each argument (`symgrad.evaluation.residue_rows`).  A complex value is read twice, as z
and as its conjugate.

A residue that is not zero is no disproof: the sign of a root or of an absolute value is a convention modulo p.
References: Schwartz, JACM 27 (1980); Gonnet, "Determining equivalence of expressions in random polynomial time" (1984).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.evaluation.modular import LOW_TURNING, NARROW, TURNING, WIDE, Field, Retry, Value, extended, tower
from symgrad.evaluation.residue_rows import NoResidue, Residues
from symgrad.program.primitives import number_of, primitive
from symgrad.program.program import Program, Step, size

U = np.uint64
_TOP = 3  # the level of a tower's largest prime
_RISING = frozenset(("exp", "tanh", "sigmoid", "pow"))
_TURNS = frozenset(("sin", "cos"))
_ORACLES = frozenset("erf erfinv asin atan atan2 lgamma gamma digamma polygamma i0 i1".split())
EFFORT = 1 << 28  # entries read, over all trials
_SIGNS = 30  # trials where signs are chosen: each finds a wrong sign with a chance of one half
_RETRIES = 80  # points in a row without a residue
_STRICT = 4  # up to so many logarithms are taken of "positive" numbers only, the powers of g

Node = tuple[int, int, int]  # step, level, sheet: 0 for a value, 1 for the conjugate of a complex one


@dataclass(frozen=True, slots=True)
class Certificate:
    """What residues say about pairs of steps.

    ``equal`` is True if every pair agreed in each of ``trials`` trials (of ``attempts``; the others met a division by
    zero or a root that is not there), None if too few trials could be finished, and False if a pair did not agree: not
    shown equal, which is no disproof.  ``error_bound`` bounds the chance that pairs which differ pass, for a difference
    of at most ``degree`` in the inputs and the values of exponentials and oracles, each counted as an element drawn at
    random: (degree / p) ** trials, and where roots or absolute values choose a sign, 2 ** -trials more.  Equality is
    where both sides are defined: log(x**2) = 2 log(x).  ``oracles`` names the functions of which
    only their values' equality was used.
    """

    equal: bool | None
    trials: int
    attempts: int
    primes: tuple[int, ...]
    degree: float
    error_bound: float
    oracles: tuple[str, ...]
    note: str = ""

    def __bool__(self) -> bool:
        return self.equal is True


class Plan:
    """The order in which steps are read, each at the levels where it is wanted.

    ``down`` and ``up`` are how many levels exponentials may go below, and logarithms above, the wanted steps.
    """

    def __init__(self, steps: Sequence[Step], wanted: Iterable[int], kind: str, down: int, up: int) -> None:
        self.steps = steps
        self.kind = kind
        self.home = _TOP - up
        self.bottom = self.home - down
        self.wanted = sorted(set(wanted))
        self.oracles: set[str] = set()
        self.order: list[tuple[Node, tuple[int, ...]]] = []
        self.slot: dict[Node, int] = {}
        self.work = 0
        self.logarithms = any(s.op in ("log", "pow") for s in steps)
        self._arrange()

    def _arrange(self) -> None:
        stack = [(i, self.home, 0) for i in reversed(self.wanted)]
        parts: dict[Node, list[Node]] = {}
        while stack:
            node = stack[-1]
            if node in self.slot:
                stack.pop()
                continue
            if node not in parts:
                parts[node] = list(self._parts(node))
                stack.extend(part for part in parts[node] if part not in self.slot)
                continue
            stack.pop()
            self.slot[node] = len(self.order)
            self.order.append((node, tuple(self.slot[part] for part in parts.pop(node))))
            step = self.steps[node[0]]
            inner = self.steps[step.args[0]].shape[-1] if step.op in ("matmul", "inverse", "solve", "det") else 1
            self.work += max(1, size(step.shape)) * max(1, inner) * (40 if step.op in ("log", "pow", "sqrt") else 1)

    def _parts(self, node: Node) -> Iterator[Node]:
        """The nodes that a node is read from."""
        i, level, sheet = node
        step = self.steps[i]
        if step.op in _ORACLES:
            self.oracles.add(step.op)
        for k, a in enumerate(step.args):
            both = self.steps[a].is_complex
            if step.op == "conj":
                yield a, level, 1 - sheet if both else 0
            elif (both and step.op in ("real", "imag", "abs")) or (both and not step.is_complex):
                yield a, level, 0
                yield a, level, 1
            else:
                yield a, self._level(step.op, k, level), sheet if both else 0

    def _level(self, op: str, k: int, level: int) -> int:
        """Where argument ``k`` is read for a result at ``level``."""
        if op == "log":
            if level == _TOP:
                self.oracles.add("log")
            return min(level + 1, _TOP)
        if op in _RISING or (op in _TURNS and self.kind == "turning"):
            if level == self.bottom:
                self.oracles.add(op if op in ("pow", "sin", "cos") else "exp")
                return level
            return level if op == "pow" and k == 0 else level - 1
        if op in _TURNS:
            self.oracles.add(op)
        return level

    def run(self, seed: int, *, strict: bool = False, at: Mapping[str, Any] | None = None) -> dict[int, Value]:
        """The wanted steps' residues at one random point; ``at`` fixes inputs to the binary values given.

        Raises `Retry` where the point has none, and `NoResidue` where no point has.
        """
        fields = self.fields(seed)
        systems = [[Residues(f, seed, strict=strict, sheet=s) for s in (0, 1)] for f in fields]
        draw = np.random.Generator(np.random.PCG64(seed))
        values: list[Value] = []
        for (i, level, sheet), parts in self.order:
            step = self.steps[i]
            system = systems[level][sheet]
            if step.op == "input":
                if at is not None and step.params in at:
                    value = system.binary(np.asarray(at[step.params]))
                else:
                    value = draw.integers(1, system.field.p, step.shape or None, dtype=np.uint64)
                    value = value if step.shape else int(value)
                values.append(value)
                continue
            args = [values[k] for k in parts]
            op = step.op
            if op in _RISING or op in _TURNS or op == "log":
                values.append(self._across(step, level, args, system, fields))
            else:
                values.append(system.read(step, args))
        return {i: values[self.slot[i, self.home, 0]] for i in self.wanted}

    def fields(self, seed: int) -> Sequence[Field]:
        turning = LOW_TURNING if self.logarithms else TURNING
        firsts = {"wide": WIDE, "narrow": NARROW, "turning": turning, "extended": NARROW}[self.kind]
        first = firsts[seed % len(firsts)]
        return extended(first) if self.kind == "extended" else tower(first)

    def _across(self, step: Step, level: int, args: list[Value], system: Residues, fields: Sequence[Field]) -> Value:
        """exp, log, powers and turns, from values at the levels below and above."""
        f, op = fields[level], step.op
        if op == "log":
            if level == _TOP:
                return system.read(step, args)
            v, above = args[0], fields[level + 1]
            if system.strict:
                _check(above, v)
            return above.log(v)
        if level == self.bottom or (op in _TURNS and self.kind != "turning"):
            return system.read(step, args)
        if op == "pow":
            _check(f, args[0])
            return f.exp(fields[level - 1].mul(f.log(args[0]), args[1]))
        if op in _TURNS:
            return system.of_turn(op, f.exp(fields[level - 1].mul(args[0], fields[level - 1].i)))
        return system.of_exp(op, f.exp(args[0]))


def _check(f: Field, v: Value) -> None:
    """That ``v`` is a power of g, as the logarithm's argument in exp(log(v)) = v has to be."""
    if np.any(np.not_equal(f.power(v, f.below), 1)):
        raise Retry("a number that is no power of g")


def plans(steps: Sequence[Step], wanted: Iterable[int]) -> Iterator[Plan]:
    """Plans to try, the cheapest that may do first."""
    wanted = list(wanted)
    ops = {s.op for s in steps}
    turning = any(s.is_complex for s in steps)
    down, up = _reach(steps, wanted)
    logs = bool(ops & {"log", "pow"})
    kinds = ["turning"] if turning else ["narrow" if logs else "wide"]
    if ops & _TURNS and not turning:
        kinds = ["turning", *kinds] if not ops & {"sqrt", "cholesky"} else [*kinds, "turning"]
    first = (min(down, 1), min(up, 1))
    second = (min(down, _TOP - min(up, 2)), min(up, 2))
    for depth in dict.fromkeys((first, second)):
        for kind in kinds:
            yield Plan(steps, wanted, kind, *depth)
        if not turning and ops & {"sqrt", "cholesky"}:
            yield Plan(steps, wanted, "extended", *depth)


def _reach(steps: Sequence[Step], wanted: Iterable[int]) -> tuple[int, int]:
    """How many levels below and above their own the wanted steps reach, counted up to the height of a tower."""
    low: dict[int, int] = {}
    high: dict[int, int] = {}
    for i in wanted:
        low[i] = high[i] = 0
    lowest = highest = 0
    for i in range(len(steps) - 1, -1, -1):
        if i not in low:
            continue
        step = steps[i]
        shift = 1 if step.op == "log" else -1 if step.op in _RISING or step.op in _TURNS else 0
        for k, a in enumerate(step.args):
            d = 0 if step.op == "pow" and k == 0 else shift
            low[a] = max(-_TOP, min(low.get(a, low[i] + d), low[i] + d))
            high[a] = min(_TOP, max(high.get(a, high[i] + d), high[i] + d))
            lowest, highest = min(lowest, low[a]), max(highest, high[a])
    return -lowest, highest


def certificate(
    program: Program,
    pairs: Sequence[tuple[int, int]],
    *,
    trials: int = 2,
    seed: int = 0,
    at: Mapping[str, Any] | None = None,
    free: Iterable[str] | None = None,
    effort: int = EFFORT,
) -> Certificate:
    """Whether the two steps of each pair, of equal shapes, are the same function of the inputs, by residues.

    Inputs are drawn at random in each trial, all but those that ``at`` gives: these are data, read as the binary
    numbers they are (except for the names in ``free``, which vary all the same).  ``trials`` is the least number of
    trials; there are up to four more while the bound on the error is above 1e-9.  ``effort`` bounds the entries read.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x, y = b.input("x", ()), b.input("y", ())
    >>> whole = b.apply("exp", b.add(x, y))
    >>> parts = b.mul(b.apply("exp", x), b.apply("exp", y))
    >>> found = certificate(b.build({}), [(whole, parts)])
    >>> found.equal, found.error_bound < 1e-12
    (True, True)

    Raises nothing.  Guarantee: pairs that are equal by the algebra of fields, exponentials, logarithms and turns are
    shown equal (up to choices of sign); pairs that differ pass with a chance of at most
    ``error_bound`` over the draws, each value of an exponential or oracle counted as a draw of its own.
    """
    steps, place = primitive(program, [i for pair in pairs for i in pair])
    wanted = [(place[a], place[b]) for a, b in pairs]
    if all(a == b for a, b in wanted):
        return Certificate(True, 0, 0, (), 0.0, 0.0, (), "the same steps")
    if at is not None and free is not None:
        at = {name: value for name, value in at.items() if name not in set(free)}
    choices = any(
        s.op in ("abs", "sign", "cholesky") or (s.op == "sqrt" and number_of(steps, s.args[0]) is None) for s in steps
    )
    logarithms = sum(size(s.shape) for s in steps if s.op in ("log", "pow"))
    draws = random.Random(seed)
    differ: Certificate | None = None
    note, attempts, spent = "", 0, 0
    for plan in plans(steps, [i for pair in wanted for i in pair]):
        primes: list[int] = []
        oracles, degree, unfinished = tuple(sorted(plan.oracles)), _degree(plan, wanted), 0
        while not _enough(primes, degree, trials, choices) and unfinished < _RETRIES:
            if spent + plan.work > effort:
                note = "the budget of work was spent"
                break
            spent += plan.work
            attempts += 1
            draw = draws.getrandbits(48)
            try:
                values = plan.run(draw, strict=logarithms <= _STRICT, at=at)
            except Retry as why:
                unfinished, note = unfinished + 1, str(why)
                continue
            except NoResidue as why:
                note = str(why)
                break
            if not all(np.array_equal(values[a], values[b]) for a, b in wanted):
                differ = Certificate(False, len(primes) + 1, attempts, (), degree, 1.0, oracles, "residues differ")
                break
            primes.append(plan.fields(draw)[plan.home].p)
        else:
            if len(primes) >= trials:
                bound = _bound(primes, degree, choices)
                return Certificate(True, len(primes), attempts, tuple(primes), degree, bound, oracles)
    return differ if differ is not None else Certificate(None, 0, attempts, (), 0.0, 1.0, (), note)


def may_be_equal(program: Program, pairs: Sequence[tuple[int, int]], *, seed: int = 0, effort: int = EFFORT) -> bool:
    """Whether one random point does not tell the two steps of any pair apart: enough to choose what to try to prove.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> program = b.build({"twice": b.add(x, x), "square": b.mul(x, x), "other": b.mul(b.number(2), x)})
    >>> twice, square, other = program.outputs.values()
    >>> may_be_equal(program, [(twice, other)]), may_be_equal(program, [(twice, square)])
    (True, False)

    True also where no point has residues, or the work is spent.
    """
    steps, place = primitive(program, [i for pair in pairs for i in pair])
    wanted = [(place[a], place[b]) for a, b in pairs if place[a] != place[b]]
    logarithms = sum(size(s.shape) for s in steps if s.op in ("log", "pow"))
    draws = random.Random(seed)
    differ, spent = False, 0
    for plan in plans(steps, [i for pair in wanted for i in pair]) if wanted else ():
        for _ in range(_RETRIES):
            if (spent := spent + plan.work) > effort:
                return not differ
            try:
                values = plan.run(draws.getrandbits(48), strict=logarithms <= _STRICT)
            except Retry:
                continue
            except NoResidue:
                break
            if all(np.array_equal(values[a], values[b]) for a, b in wanted):
                return True
            differ = True
            break
    return not differ


def _bound(primes: Sequence[int], degree: float, choices: bool) -> float:
    """The chance that all trials are zeros of a polynomial of this degree, or fall on signs that hide a difference."""
    chance = math.prod(min(1.0, degree / p) for p in primes)
    return min(1.0, chance + 0.5 ** len(primes)) if choices else chance


def _enough(primes: Sequence[int], degree: float, trials: int, choices: bool) -> bool:
    least = max(trials, _SIGNS) if choices else trials
    return len(primes) >= least and (len(primes) >= least + 4 or _bound(primes, degree, False) < 1e-9)


def _degree(plan: Plan, pairs: Sequence[tuple[int, int]]) -> float:
    """A bound on the degree of any difference's numerator in the inputs and the values of functions."""
    steps = plan.steps
    over: dict[int, tuple[float, float]] = {}  # the degrees of numerator and denominator
    for i, step in enumerate(steps):
        a = [over[k] for k in step.args]
        match step.op:
            case "input":
                over[i] = (1.0, 0.0)
            case "constant":
                over[i] = (0.0, 0.0)
            case "add" | "sub":
                (n, d), (m, e) = a
                over[i] = (max(n, m), d) if d == e == 0 else (max(n + e, m + d), d + e)
            case "mul":
                over[i] = (a[0][0] + a[1][0], a[0][1] + a[1][1])
            case "div":
                over[i] = (a[0][0] + a[1][1], a[0][1] + a[1][0])
            case "powi":
                over[i] = (a[0][0] * step.params, a[0][1] * step.params)
            case "neg" | "conj" | "abs":
                over[i] = a[0]
            case "pick":
                over[i] = (max(n for n, _ in a), max(d for _, d in a))
            case "scatter":
                terms = size(steps[step.args[0]].shape)
                n, d = a[0]
                over[i] = (n + (terms - 1) * d, terms * d)
            case "matmul":
                terms = steps[step.args[0]].shape[2]
                n, d = a[0][0] + a[1][0], a[0][1] + a[1][1]
                over[i] = (n + (terms - 1) * d, terms * d)
            case "inverse" | "solve" | "det" | "cholesky":
                n, d = a[0]
                terms = steps[step.args[0]].shape[-1]
                more = a[1] if len(a) > 1 else (0.0, 0.0)
                over[i] = (terms * (n + terms * d) + more[0] + more[1], terms * (n + terms * d) + more[1])
            case "tanh":
                over[i] = (4.0, 4.0)
            case "sin" | "cos" | "sigmoid" | "exp":
                over[i] = (4.0, 4.0)
            case "real" | "imag":
                over[i] = (a[0][0] + a[0][1], 2 * a[0][1])
            case _:
                over[i] = (2.0, 0.0)
    return max(max(over[x][0] + over[y][1], over[y][0] + over[x][1]) for x, y in pairs)
