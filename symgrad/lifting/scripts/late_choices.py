"""Which choices of a script matter for a value: all that were made before it, and what could have changed it after.

``dx = 2 * x``, and then ``if x > 3: dx = dx + 1``: where the branch is not taken, nothing of it is in what the value is
made of, and what is told of it must hold on both.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence

from symgrad.lifting.scripts.cues import root_of
from symgrad.lifting.scripts.script_tracer import ScriptTracer
from symgrad.program.program import Guard, Step

_Asks = ast.If | ast.While | ast.IfExp


def choices_for(trace: ScriptTracer, tree: ast.Module, values: Collection[int]) -> tuple[Guard, ...]:
    """The choices that matter for some values, which are steps of the record."""
    b = trace.builder
    last = max(values, default=0)
    late = [g for g in b.guards if g.at > last]
    if not late:
        return tuple(b.guards)
    own = {_base(b.steps, i) for i in values}
    names = {root_of(x.name) for x in b.bindings if _base(b.steps, x.step) in own}
    returning = {e.path.partition("()")[0] for e in trace.events if "()" in e.path and _base(b.steps, e.step) in own}
    bound = {root_of(x.name): x.step for x in b.bindings}  # where each got its last value
    after = _After(tree, {n: bound[n] for n in names}, returning)
    passed = {id(g) for g in late if not after.may_change(g)}
    return tuple(g for g in b.guards if id(g) not in passed)


def _base(steps: Sequence[Step], i: int) -> int:
    while steps[i].op in ("name", "cast", "stop"):
        i = steps[i].args[0]
    return i


class _After:
    """The text of a script, as it may go on after variables got their values, or ``functions`` returned them.

    ``bound`` are these variables, each with the step of the last value that the run gave it.
    """

    def __init__(self, tree: ast.Module, bound: Mapping[str, int], functions: Collection[str]) -> None:
        self.nodes = list(ast.walk(tree))
        self.bound, self.functions = bound, functions
        self._asked: dict[int, list[_Asks]] = {}

    def may_change(self, guard: Guard) -> bool:
        """Whether another outcome of the choice could have given another value."""
        line = None if guard.source is None else guard.source.line
        if line is None:
            return True
        if line not in self._asked:
            self._asked[line] = list(self._asked_in(line))
        return any(self._changes(asks, guard.at) for asks in self._asked[line])

    def _asked_in(self, line: int) -> Iterator[_Asks]:
        """The conditions that a comparison in a line is a part of: directly, by a variable, or by a function."""
        conditions = [n for n in self.nodes if isinstance(n, _Asks)]
        direct = [n for n in conditions if _is_at(n.test, line)]
        if direct:
            yield min(direct, key=lambda n: (n.test.end_lineno or 0) - n.test.lineno)
            return
        told = {v for n in self.nodes if isinstance(n, ast.Assign) and _is_at(n, line) for v in _stored([n])}
        told |= {n.name for n in self.nodes if isinstance(n, ast.FunctionDef) and _is_at(n, line)}
        yield from (n for n in conditions if any(ast.unparse(x) in told for x in ast.walk(n.test) if _is_path(x)))

    def _changes(self, asks: _Asks, at: int) -> bool:
        if isinstance(asks, ast.IfExp):
            return True
        arms = [*asks.body, *asks.orelse]
        inside = [x for s in arms for x in ast.walk(s)]
        if own := _stored(arms) & self.bound.keys():
            return isinstance(asks, ast.If) or self._are_last(own, at)
        if any(isinstance(x, ast.Return) for x in inside) and self._is_in_one(asks):
            return True
        if any(isinstance(x, (ast.Break, ast.Continue)) for x in inside):
            loops = [n for n in self.nodes if isinstance(n, (ast.For, ast.While)) and _is_at(n, asks.lineno)]
            own = _stored(max(loops, key=lambda n: n.lineno).body) & self.bound.keys() if loops else set()
            return bool(own) and self._are_last(own, at)
        return False

    def _are_last(self, names: Collection[str], at: int) -> bool:
        """Whether the run gave variables no other values afterwards: where it did, these are not those asked for."""
        return all(self.bound[n] <= at for n in names)

    def _is_in_one(self, asks: _Asks) -> bool:
        """Whether a condition stands in one of the functions."""
        around = [n for n in self.nodes if isinstance(n, ast.FunctionDef) and _is_at(n, asks.lineno)]
        return bool(around) and max(around, key=lambda n: n.lineno).name in self.functions


def _is_at(node: ast.AST, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)  # type: ignore[attr-defined]


def _is_path(node: ast.AST) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute))


def _stored(statements: Sequence[ast.stmt]) -> set[str]:
    """The variables that statements give values to, or call a method of."""
    found: set[str] = set()
    for n in (x for s in statements for x in ast.walk(s)):
        if isinstance(n, (ast.Name, ast.Attribute, ast.Subscript)) and isinstance(n.ctx, ast.Store):
            found.add(root_of(ast.unparse(n)))
        elif isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute):
            found.add(root_of(ast.unparse(n.func.value)))
    return found
