"""A loop that trains does the same in each of its turns: when a run has seen enough of it, and what it did not see.

A script is judged by a run of it, at many points.  What hundreds of turns ask, a few ask too: the run ends as soon as a
loop has shown what it does.  What stands behind the loop, or below a condition that did not hold, is then not known; so
it is looked at as text, and where it may be about a gradient, the script is run to its end.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
import traceback
from collections import Counter
from collections.abc import Collection, Iterator, Sequence, Set
from typing import Any

from symgrad.lifting.tracing.sources import TRACE

_REPEATED = 8  # turns of a loop after which it has shown what it does
_DIFFERENTIATED = 3  # and those of one that asks for a derivative in each
_CUES = re.compile(r"grad|backward|close|jac|deriv|assert_", re.IGNORECASE)


class TrainingLoops:
    """The loops of one run: whether one has shown what it does, and where the run was then.

    ``enough`` is how many steps are to be recorded before that; with None a run is never ended, and with 0 as soon as
    a loop has asked for a derivative in each of its last turns.
    """

    def __init__(self, trace: Any) -> None:
        self._trace = trace
        self.enough: int | None = None
        self.by_name: frozenset[int] = frozenset()  # lines in loops that ask another question in each turn
        self.left_at: tuple[int, ...] = ()  # the line of the loop, and those that called the function that it is in
        self._asked: dict[int, list[int]] = {}  # by loop: how many derivatives had been asked for, turn by turn

    def has_shown(self, loop: int, turns: int) -> bool:
        """Whether the run may end at the beginning of a turn of the loop in this line; ``turns`` are those of all."""
        if self.enough is None:
            return False
        if self.enough == 0:
            asked = self._asked.setdefault(loop, [])
            asked.append(len(self._trace.calls))
            last = asked[-_DIFFERENTIATED - 1 :] if loop else []
            shown = len(last) > _DIFFERENTIATED and all(a < b for a, b in itertools.pairwise(last))
        else:
            shown = not turns % 64 and len(self._trace.builder.steps) > self.enough and self._repeats()
        if shown:
            frames = (f for f, _ in traceback.walk_stack(sys._getframe(1)) if f.f_globals.get(TRACE) is self._trace)
            lines = tuple(f.f_lineno for f in frames)
            shown = self.by_name.isdisjoint(lines)
            self.left_at = lines if shown else ()
        return shown

    def _repeats(self) -> bool:
        times = Counter((b.name, b.source.line) for b in self._trace.builder.bindings if b.source is not None)
        return max(times.values(), default=0) >= _REPEATED

    def seen(self) -> set[int]:
        """The lines in which something was computed, named, printed or differentiated."""
        t = self._trace
        sources = (thing.source for thing in (*t.builder.steps, *t.builder.bindings, *t.builder.guards))
        lines = {s.line for s in sources if s is not None}
        return lines | {line for line, _ in t.shows} | {c.line for c in t.calls}


def lines_by_name(tree: ast.Module) -> frozenset[int]:
    """The lines in loops over names, of each of which something is looked up: turns that do not train.

    >>> text = "for name in p:\\n    check(p[name], g[name])\\nfor k in range(9):\\n    w -= g[k]"
    >>> sorted(lines_by_name(ast.parse(text)))
    [1, 2]
    """
    found: set[int] = set()
    for loop in (n for n in ast.walk(tree) if isinstance(n, ast.For)):
        names = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
        counts = isinstance(loop.iter, ast.Call) and ast.unparse(loop.iter.func) in ("range", "enumerate", "tqdm")
        inside = [x for s in loop.body for x in ast.walk(s)]
        keys = [x.slice for x in inside if isinstance(x, ast.Subscript)]
        keys += [a for x in inside if isinstance(x, ast.Call) and ast.unparse(x.func) == "getattr" for a in x.args[1:2]]
        if not counts and any(isinstance(k, ast.Name) and k.id in names for k in keys):
            found |= set(range(loop.lineno, (loop.end_lineno or loop.lineno) + 1))
    return frozenset(found)


def is_all_seen(tree: ast.Module, left_at: Sequence[int], seen: Set[int], names: Collection[str]) -> bool:
    """Whether nothing that a run did not come to may be about a gradient; ``names`` are those of the gradients.

    >>> tree = ast.parse("for k in range(9):\\n    g = 2*w\\nprint(w)\\ncheck(g, auto)")
    >>> is_all_seen(tree, (1,), {2}, {"g"}), is_all_seen(tree, (1,), {2}, {"h"})
    (False, True)
    """
    named = re.compile("|".join(rf"\b{re.escape(n)}\b" for n in names) or "(?!)")
    unseen = itertools.chain(
        (s for line in left_at for s in _behind(tree.body, line, left_at[0])), _skipped(tree, seen)
    )
    texts = map(ast.unparse, unseen)
    return not any(_CUES.search(text) or named.search(text) for text in texts)


def _behind(body: Sequence[ast.stmt], line: int, loop: int) -> Iterator[ast.stmt]:
    """What follows a line in its function, or in the script, where the line is in no function."""
    for k, s in enumerate(body):
        if not s.lineno <= line <= (s.end_lineno or s.lineno):
            continue
        is_definition = isinstance(s, (ast.FunctionDef, ast.ClassDef))
        if not is_definition:
            yield from body[k + 1 :]
        if is_definition or not (isinstance(s, (ast.For, ast.While)) and s.lineno == loop):
            for block in _blocks(s):
                yield from _behind(block, line, loop)


def _skipped(tree: ast.AST, seen: Set[int]) -> Iterator[ast.stmt]:
    """What stands below a condition, where nothing in the block was seen."""
    for node in ast.walk(tree):
        for block in _blocks(node) if isinstance(node, (ast.If, ast.Try, ast.Match)) else ():
            if block and not seen & set(range(block[0].lineno, (block[-1].end_lineno or block[-1].lineno) + 1)):
                yield from block


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield part.body
