"""Steps in classes known to be equal, and the ways to join two classes: the engine of `symgrad.proving.proof`.

Residues only choose what to try; every link is checked over the rationals, with no tolerance.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.evaluation.residues import NoResidue, Retry, plans
from symgrad.program.primitives import number_of, primitive
from symgrad.program.program import Program, Step, size
from symgrad.progress import doing, look_at_the_clock
from symgrad.proving.field import Field, Full, OutOfWork, Rescale
from symgrad.proving.generic_entry import LARGEST, Reader
from symgrad.proving.sign_facts import assume
from symgrad.proving.views import Views

_SMALL = 80  # steps of a formula that is read whole at once
_RESTARTS = 16  # of a field: a finer exponential, or signs that were learned
_DEPTHS = (3, 6, 12, 24)
_KERNELS = (12, 48, 160, 400)
_PRINTS = 1 << 26  # entries read for fingerprints


@dataclass(frozen=True, slots=True)
class Link:
    """One equality: the steps (of the Program in primitive steps), the rule, and what it read.

    ``depth`` is how many steps back were read before a step became a kernel (None: all); the rule "shared" reads back
    to the steps that both sides use.  ``expanded`` says that tanh and sigmoid were written in exp; ``entries`` that
    each entry was proved by itself, ``opened`` that inverses and determinants of small matrices were written out.
    ``stage`` is 1 for what a sweep found, 0 for what came before it and 2 after.
    """

    rule: str
    left: int
    right: int
    depth: int | None = None
    expanded: bool = False
    entries: bool = False
    stage: int = 0
    opened: bool = False

    def __str__(self) -> str:
        how = [] if self.depth is None else [f"{self.depth} steps back"]
        how += ["tanh and sigmoid as exp"] * self.expanded + ["entry by entry"] * self.entries
        how += ["small inverses written out"] * self.opened
        return f"%{self.left} = %{self.right} by {self.rule}" + (f" ({', '.join(how)})" if how else "")


class Equalities:
    """Steps in classes known to be equal, and the ways to join two of them.

    The program is read in primitive steps, unless it ``is_primitive`` already; ``noted``, if it is set, is told of
    every two steps that are joined, before they are: by which link, or that they are congruent.
    """

    def __init__(
        self,
        program: Program,
        roots: Sequence[int],
        effort: int,
        stated: Sequence[int] = (),
        *,
        is_primitive: bool = False,
    ) -> None:
        self.program = program
        self.roots = tuple(roots)
        self.stated = tuple(stated)
        if is_primitive:
            self.steps, self.place = list(program.steps), {i: i for i in range(len(program))}
        else:
            self.steps, self.place = primitive(program, (*roots, *stated))
        self.noted: Callable[[int, int, Link | None], None] | None = None
        self.parent = list(range(len(self.steps)))
        self.links: list[Link] = []
        self.stage = 0
        self.views = Views()
        self.effort = effort
        self.strict = False  # whether a link holds only where what must not be negative is positive
        self.content = [_content(s) for s in self.steps]

    def find(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int, link: Link | None = None) -> None:
        if self.noted is not None and self.find(i) != self.find(j):
            self.noted(i, j, link)
        i, j = self.find(i), self.find(j)
        self.parent[max(i, j)] = min(i, j)

    # ---------------------------------------------------------------------------------------- congruence
    def signature(self, i: int) -> tuple[Any, ...]:
        step = self.steps[i]
        args = [self.find(a) for a in step.args]
        if step.op in ("add", "mul"):
            args.sort()
        return step.op, tuple(args), self.content[i], step.shape

    def close(
        self,
        links: Mapping[int, Sequence[Link]],
        propose: Callable[[int], None] | None = None,
        take: Callable[[Link], bool] | None = None,
    ) -> bool:
        """Join congruent steps in the order of computation, and ``take`` each given link where it joins."""
        table: dict[tuple[Any, ...], int] = {}
        for i in range(len(self.steps)):
            j = table.setdefault(self.signature(i), i)
            if j != i:
                self.join(i, j)
            elif propose is not None:
                propose(i)
            for link in links.get(i, ()):
                if take is not None and not take(link):
                    return False
        return True

    # ---------------------------------------------------------------------------------------- one link
    def check(self, link: Link) -> bool:
        """Whether the link's rule proves it, from the classes as they are."""
        i, j = self.find(link.left), self.find(link.right)
        if self.steps[i].shape != self.steps[j].shape:
            return False
        if i == j:
            return True
        terms = {i: Fraction(1), j: Fraction(-1)}
        if link.rule == "linear":
            terms = self.combination(terms, limit=None)
            if not terms:
                return True
            if len(terms) > 40:
                return False
        n = size(self.steps[i].shape)
        views = [self.views.enter(np.array([k])) for k in range(n)] if link.entries else [None]
        inside = self._inside(link, i, j, terms)
        return all(self._vanishes(terms, view, inside, link) for view in views)

    def _inside(self, link: Link, i: int, j: int, terms: Iterable[int]) -> set[int] | None:
        """The classes that a link reads through, given what its combination came to; None for all."""
        if link.rule == "shared":
            return self._cone([i]) ^ self._cone([j])
        return None if link.depth is None else self._near(terms, link.depth)

    def opened(self, link: Link) -> set[int]:
        """The classes that a link reads through, as the classes are now."""
        i, j = self.find(link.left), self.find(link.right)
        terms, sums = [i, j], set[int]()
        if link.rule == "linear":
            terms = list(self.combination({i: Fraction(1), j: Fraction(-1)}, limit=None))
            stack = [i, j]
            while stack:
                k = stack.pop()
                if k not in sums and (parts := self._addends(self.steps[k], Fraction(1))) is not None:
                    sums.add(k)
                    stack += [self.find(a) for a, _ in parts]
        cone = self._cone((i, j, *(self.place[s] for s in self.stated)))
        inside = self._inside(link, i, j, terms)
        return sums | (cone if inside is None else inside & cone)

    def combination(self, terms: dict[int, Fraction], limit: int | None) -> dict[int, Fraction]:
        """The same sum with additions, subtractions and rational factors carried out, zero terms dropped."""
        out: dict[int, Fraction] = {}
        pending = dict(terms)
        heap = [-i for i in pending]  # later steps first: each is opened once, with its whole coefficient
        heapq.heapify(heap)
        opened = 0
        while heap:
            i = -heapq.heappop(heap)
            c = pending.pop(i, None)
            if not c:
                continue
            opened += 1
            self.effort -= 1
            step = self.steps[i]
            parts: list[tuple[int, Fraction]] | None = None
            if limit is None or opened <= limit:
                parts = self._addends(step, c)
            if parts is None:
                out[i] = out.get(i, Fraction(0)) + c
                continue
            for a, k in parts:
                a = self.find(a)
                if a not in pending:
                    heapq.heappush(heap, -a)
                pending[a] = pending.get(a, Fraction(0)) + k
        return {i: c for i, c in out.items() if c}

    def _addends(self, step: Step, c: Fraction) -> list[tuple[int, Fraction]] | None:
        match step.op:
            case "add":
                return [(step.args[0], c), (step.args[1], c)]
            case "sub":
                return [(step.args[0], c), (step.args[1], -c)]
            case "neg":
                return [(step.args[0], -c)]
            case "mul":
                for k in (0, 1):
                    n = number_of(self.steps, step.args[k])
                    if n is not None:
                        return [(step.args[1 - k], c * Fraction(int(n.p), int(n.q)))]
            case "div":
                n = number_of(self.steps, step.args[1])
                if n is not None and n != 0:
                    return [(step.args[0], c / Fraction(int(n.p), int(n.q)))]
        return None

    def _vanishes(self, terms: dict[int, Fraction], view: int | None, inside: set[int] | None, link: Link) -> bool:
        """Whether the combination of steps is zero as an element of the field; steps not ``inside`` are kernels."""
        look_at_the_clock()
        cut = (lambda i: False) if inside is None else (lambda i: i not in inside)
        scales: dict[Any, Any] = {}
        facts: dict[str, int] = {}
        terms_allowed = 3000 if inside is None else 600
        for n in _KERNELS:
            for _ in range(_RESTARTS):
                if self.effort <= 0:
                    return False
                field = Field(n, scales, facts, expand=link.expanded, terms=terms_allowed)
                modes = {"entries": view is not None, "opened": link.opened}
                reader = Reader(self.steps, field, self.views, self.find, cut, **modes)
                try:
                    for i in self.stated:
                        assume(field, reader.entry(self.find(self.place[i])), stated=True)
                    total = field.zero
                    for i, c in terms.items():
                        total = field.add(total, field.mul(field.number(c), reader.entry(i, view)))
                    if field.is_zero(total):
                        self.strict = self.strict or any(abs(sign) == 1 for sign in facts.values())
                        return True
                    if not field.learned:
                        return False
                except Rescale:
                    continue
                except (OutOfWork, ArithmeticError, RecursionError):
                    if not field.learned:
                        return False
                except Full:
                    break
                finally:
                    self.effort -= field.work + len(reader.values)
        return False

    def _near(self, terms: Iterable[int], depth: int) -> set[int]:
        """The classes at most ``depth`` operations back (layouts are free)."""
        near = dict.fromkeys(terms, 0)
        level = list(terms)
        while level:
            following = []
            for i in level:
                d = near[i] + (self.steps[i].op != "pick")
                for a in self.steps[i].args:
                    a = self.find(a)
                    if d <= depth and near.get(a, depth + 1) > d:
                        near[a] = d
                        following.append(a)
            level = following
        return set(near)

    # ---------------------------------------------------------------------------------------- the ladder
    def settle(self, a: int, b: int, *, last: bool = False) -> bool:
        """Try to join two steps of the Program."""
        i, j = self.find(self.place[a]), self.find(self.place[b])
        if i == j:
            return True
        if self.steps[i].shape != self.steps[j].shape:
            return False
        return any(self.take(link) for link in self._rungs(i, j, last))

    def adds_up(self, a: int, b: int) -> bool:
        """Whether two steps are one, or the same sum of the same steps: known sooner than residues are."""
        i, j = sorted((self.find(self.place[a]), self.find(self.place[b])))
        sums = {self.steps[i].op, self.steps[j].op} & {"add", "sub"}
        return i == j or bool(
            sums and self.steps[i].shape == self.steps[j].shape and self.take(Link("linear", i, j, 6))
        )

    def _rungs(self, i: int, j: int, last: bool) -> Iterator[Link]:
        i, j = min(i, j), max(i, j)
        cone = self._cone((i, j))
        expansions = (False, True) if {self.steps[k].op for k in cone} & {"tanh", "sigmoid"} else (False,)
        if {self.steps[k].op for k in (i, j)} & {"add", "sub"}:
            yield Link("linear", i, j, 6)
        small = len(cone) <= _SMALL
        if last or len(self._cone([i]) ^ self._cone([j])) <= _SMALL:
            yield Link("shared", i, j)
        near = [self._near((i, j), depth) for depth in _DEPTHS]
        depths: list[int | None] = (
            [] if small else [d for d, inside in zip(_DEPTHS, near, strict=True) if inside != cone]
        )
        if small or (last and len(cone) <= 12 * _SMALL):
            depths.append(None)
        if last or (small and not any(self.steps[k].op in ("matmul", "scatter") for k in cone)):
            for depth in depths:
                for expanded in expansions:
                    yield Link("field", i, j, depth, expanded)
        n = size(self.steps[i].shape)
        if last and n <= 512 and sum(size(self.steps[k].shape) for k in cone) <= 20000:
            yield Link("shared", i, j, None, False, True)
            for depth in depths:
                for expanded in expansions:
                    yield Link("field", i, j, depth, expanded, True)
            if any(self._is_small_matrix(k) for k in cone):
                for depth, expanded in itertools.product(depths, expansions):
                    yield Link("field", i, j, depth, expanded, True, opened=True)

    def _is_small_matrix(self, i: int) -> bool:
        step = self.steps[i]
        return step.op in ("inverse", "det") and self.steps[step.args[0]].shape[-1] <= LARGEST

    def take(self, link: Link) -> bool:
        """Join the two steps of a link, if its rule proves it."""
        doing("looking for a proof")
        if not self.check(link):
            return False
        self.put(replace(link, stage=self.stage))
        return True

    def put(self, link: Link) -> bool:
        """Join the two steps of a link that was proved before."""
        self.join(link.left, link.right, link)
        self.links.append(link)
        return True

    def follow(self, links: Sequence[Link], take: Callable[[Link], bool]) -> bool:
        """Go the way of a proof's links, which ``take`` joins one by one, until it does not."""
        swept: dict[int, list[Link]] = {}
        for link in links:
            if link.stage == 1:
                swept.setdefault(max(link.left, link.right), []).append(link)
        first, last = ([link for link in links if link.stage == k] for k in (0, 2))
        self.close({})
        return all(map(take, first)) and self.close(swept, take=take) and all(map(take, last))

    def _cone(self, roots: Sequence[int]) -> set[int]:
        found: set[int] = set()
        stack = [self.find(i) for i in roots]
        while stack:
            i = stack.pop()
            if i not in found:
                found.add(i)
                stack.extend(self.find(a) for a in self.steps[i].args)
        return found

    # ---------------------------------------------------------------------------------------- sweeping
    def looks_equal(self, a: int, b: int) -> bool:
        """Whether two steps of the Program are known to be equal, or have one fingerprint."""
        i, j = self.find(self.place[a]), self.find(self.place[b])
        return i == j or (i in self.fingerprints and self.fingerprints[i] == self.fingerprints.get(j))

    def sweep(self) -> None:
        """Join steps that look equal modulo a prime, where a small proof shows that they are."""
        prints = self.fingerprints
        groups: dict[Any, list[int]] = {}
        failures = 0

        def propose(i: int) -> None:
            nonlocal failures
            if i not in prints or failures > 200 or self.effort <= 0:
                return
            group = groups.setdefault((self.steps[i].shape, prints[i]), [])
            for j in group[:2]:
                functions = self.steps[i].op in ("tanh", "sigmoid") or self.steps[j].op in ("tanh", "sigmoid")
                rungs = [Link("field", j, i, d) for d in (2, 4, 8)] + [Link("linear", j, i, 4)]
                rungs += [Link("field", j, i, 8, True)] if functions or failures < 40 else []
                if any(self.take(link) for link in rungs):
                    return
                failures += 1
            group.append(i)

        self.stage = 1
        self.close({}, propose)
        self.stage = 2

    @functools.cached_property
    def fingerprints(self) -> dict[int, bytes]:
        """The residues at one random point of what the roots are made of, by the classes at the time of asking."""
        wanted = sorted(
            {self.find(i) for i in range(len(self.steps))} & self._cone([self.place[r] for r in self.roots])
        )
        found = residues_of(self.steps, wanted)
        return found[0][0] if found else {}

    def behind(self, roots: Sequence[int]) -> tuple[list[Link], list[int]]:
        """The links on classes behind the roots, and all the steps that these rest on."""
        needed: set[int] = set()
        classes: set[int] = set()
        used: set[int] = set()
        stack = list(roots)
        while stack:
            while stack:
                i = stack.pop()
                if i not in needed:
                    needed.add(i)
                    classes.add(self.find(i))
                    stack.extend(self.steps[i].args)
            for k, link in enumerate(self.links):
                if k not in used and self.find(link.left) in classes:
                    used.add(k)
                    stack += [link.left, link.right]
        return [self.links[k] for k in sorted(used)], sorted(needed)


def residues_of(steps: Sequence[Step], wanted: Sequence[int], points: int = 1) -> list[tuple[dict[int, bytes], int]]:
    """The residues of steps at random points, at each as keys (of 64-bit numbers), and their modulus: none where they
    have none, or where it is too much work."""
    for plan in plans(steps, wanted):
        if plan.work * points > _PRINTS:
            break
        found = []
        for seed in range(12 * points):
            try:
                values = plan.run(seed, strict=False)
            except Retry:
                continue
            except NoResidue:
                break
            keys = {i: np.asarray(v, dtype=np.uint64).tobytes() for i, v in values.items()}
            found.append((keys, plan.fields(seed)[plan.home].p))
            if len(found) == points:
                return found
    return []


def _content(step: Step) -> Any:
    """The parameters of a step, as something that can be compared."""
    p = step.params
    if step.op == "constant":
        if p.exact is None:
            return p.value.tobytes(), p.value.dtype.str
        if isinstance(p.exact, sp.Basic):
            return p.exact
        return tuple(np.asarray(p.exact, dtype=object).reshape(-1).tolist())
    return p.tobytes() if isinstance(p, np.ndarray) else p
