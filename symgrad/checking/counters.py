"""What a counter can be, read from the code that counts: ``if n == 0`` after ``for n in range(1, 4)`` is never true.

A comparison of plain numbers that came out one way alone is a branch that was not reached, unless no run can reach it.
That is shown on the syntax tree, by ranges of whole numbers: each variable has the range of what it is assigned,
conditions narrow it, a loop is gone through until its ranges hold for any number of turns (what still grows then is
without a bound), and what is not understood may be anything.
"""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from symgrad.program.program import Source

_INF = float("inf")
_TURNS = 4  # of a loop before what still grows has no bound
_COMPARED: dict[type, Callable[[Any, Any], bool]] = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Eq: operator.eq}
_COMPARED |= {ast.Gt: operator.gt, ast.GtE: operator.ge, ast.NotEq: operator.ne}
_OTHERWISE = {ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_SCOPES += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BUILTIN = frozenset(("range", "int", "len", "min", "max", "abs", "clamp", "clip"))  # unless they are bound anew


class Span(NamedTuple):
    """The whole numbers from one to another."""

    low: float
    high: float


Spans = dict[str, Span]  # of the variables that are whole numbers; others may be anything
Reached = Spans | None  # None where no run comes by


def never(source: Source, way: bool) -> bool:
    """Whether the comparison at a place in the code comes out this way in no run.

    False says only that this was not shown.
    """
    text = "".join(linecache.getlines(source.file)) if source.file else ""
    begin, end = source.span or (0, 0)
    found = [(f, c) for f, c in _comparisons(text) if c.lineno == source.line]
    found = [(f, c) for f, c in found if ast.get_source_segment(text, c) == source.text[begin:end]]
    return bool(found) and all(way not in _Walk(c).outcomes(f) for f, c in found)


@functools.lru_cache(maxsize=16)
def _comparisons(text: str) -> tuple[tuple[Any, ast.Compare], ...]:
    """The comparisons of two numbers in a text, each with the function that it stands in."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ()
    if _BUILTIN & (_stored(tree) | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}):
        return ()
    found: list[tuple[Any, ast.Compare]] = []
    stack: list[tuple[Any, Any]] = [(tree, tree)]
    while stack:
        function, node = stack.pop()
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            found.append((function, node))
        inner = node if isinstance(node, _SCOPES) else function
        stack += [(inner, child) for child in ast.iter_child_nodes(node)]
    return tuple(found)


class _Walk:
    """One way through a function, on which the outcomes of one comparison are noted."""

    def __init__(self, asked: ast.Compare) -> None:
        self.asked = asked
        self.seen: set[bool] = set()
        self.noting = True
        self.broken: list[list[Reached]] = []
        self.again: list[list[Reached]] = []

    def outcomes(self, function: Any) -> set[bool]:
        if not isinstance(function, (ast.FunctionDef, ast.Module)):
            return {True, False}
        moved = [n for n in ast.walk(function) if isinstance(n, (ast.Global, ast.Nonlocal, ast.NamedExpr))]
        if moved:
            return {True, False}
        self.block(function.body, {})
        return self.seen

    def block(self, body: Sequence[ast.stmt], state: Reached) -> Reached:
        for s in body:
            if state is None:
                break
            state = self.statement(s, state)
        return state

    def statement(self, s: ast.stmt, state: Spans) -> Reached:
        match s:
            case ast.If(test, body, orelse):
                self.look(test, state)
                sides = ((body, True), (orelse, False))
                return _joined([self.block(part, _where(test, state, truth)) for part, truth in sides])
            case ast.While(test, body, []):
                self.look(test, state)
                return self.loop(body, state, lambda h: _where(test, h, True), lambda h: _where(test, h, False), test)
            case ast.For(target, iterated, body, []):
                self.look(iterated, state)
                items, ran = _items(iterated, state)
                turn = lambda h: _put(h, target, items)  # noqa: E731
                return self.loop(body, state, turn, lambda h: h, None, ran)
            case ast.Break() | ast.Continue():
                (self.broken if isinstance(s, ast.Break) else self.again)[-1].append(state)
                return None
        if hasattr(s, "body") and any(n is self.asked or isinstance(n, (ast.Break, ast.Continue)) for n in ast.walk(s)):
            self.seen = {True, False}  # in a statement that is not followed
        self.look(s, state)
        match s:
            case ast.Return() | ast.Raise():
                return None
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)) if len(targets) == len(values):
                found = [_span(v, state) for v in values]
                return functools.reduce(lambda h, x: _put(h, *x), zip(targets, found, strict=True), state)
            case ast.Assign([target], value):
                return _put(state, target, _span(value, state))
            case ast.AugAssign(ast.Name(name), op, value):
                return _put(state, s.target, _span(ast.BinOp(ast.Name(name), op, value), state))
        return {n: x for n, x in state.items() if n not in _stored(s)}

    def loop(
        self,
        body: Sequence[ast.stmt],
        state: Spans,
        turn: Callable[[Spans], Reached],
        end: Callable[[Spans], Reached],
        test: ast.expr | None,
        ran: bool = False,
    ) -> Reached:
        """A loop of which ``turn`` and ``end`` say what holds in a turn and after the last; ``ran`` says that there is
        one turn at least."""
        noting, self.noting = self.noting, False
        head: Spans = state
        for k in range(_TURNS):
            grown = _joined([head, self.turned(body, turn(head))[0]]) or {}
            if grown == head:
                break
            head = {n: x if not k else _widened(head.get(n), x) for n, x in grown.items()}
        else:
            head = {n: x for n, x in head.items() if not any(n in _stored(s) for s in body)}
        head = _joined([state, self.turned(body, turn(head))[0]]) or {}
        self.noting = noting
        if test is not None:
            self.look(test, head)
        after, broken = self.turned(body, turn(head))
        last = after if ran else head
        return _joined([None if last is None else end(last), *broken])

    def turned(self, body: Sequence[ast.stmt], state: Reached) -> tuple[Reached, list[Reached]]:
        """What holds after one turn, and where it was left."""
        self.broken.append([])
        self.again.append([])
        after = self.block(body, state)
        return _joined([after, *self.again.pop()]), self.broken.pop()

    def look(self, part: ast.AST, state: Spans) -> None:
        """Note how the comparison comes out, if it stands here."""
        if self.noting and any(n is self.asked for n in ast.walk(part)):
            sides = [_span(x, state) for x in (self.asked.left, *self.asked.comparators)]
            self.seen |= _ways(self.asked.ops[0], sides)


def _ways(op: ast.cmpop, sides: Sequence[Span | None]) -> set[bool]:
    """How a comparison of numbers in these ranges can come out."""
    a, b = sides
    if a is None or b is None or type(op) not in _COMPARED:
        return {True, False}
    if isinstance(op, (ast.Eq, ast.NotEq)):
        met, apart = max(a.low, b.low) <= min(a.high, b.high), not a.low == a.high == b.low == b.high
        return {way == isinstance(op, ast.Eq) for way, can in ((True, met), (False, apart)) if can}
    return {_COMPARED[type(op)](x, y) for x, y in itertools.product(a, b)}


def _where(test: ast.expr, state: Spans, truth: bool) -> Reached:
    """The part of a state in which a condition has this truth."""
    match test:
        case ast.UnaryOp(ast.Not(), operand):
            return _where(operand, state, not truth)
        case ast.BoolOp(op, values):
            parts, here = [], state
            for value in values:
                parts.append(None if here is None else _where(value, here, isinstance(op, ast.Or)))
                here = None if here is None else _where(value, here, isinstance(op, ast.And))
            return here if truth == isinstance(op, ast.And) else _joined(parts)
        case ast.Compare(left, [op], [right]):
            a, b = _span(left, state), _span(right, state)
            if truth not in _ways(op, (a, b)):
                return None
            if a is None or b is None:
                return state
            for side, span in zip((left, right), _narrowed(type(op), truth, a, b), strict=True):
                state = _put(state, side, span) if isinstance(side, ast.Name) else state
    return state


def _narrowed(op: type, truth: bool, a: Span, b: Span) -> tuple[Span, Span]:
    """Two ranges where a comparison of their numbers has this truth."""
    if not truth:
        op = _OTHERWISE[op]
    if op in (ast.Gt, ast.GtE):
        b, a = _narrowed(ast.Lt if op is ast.Gt else ast.LtE, True, b, a)
        return a, b
    if op is ast.Eq:
        both = Span(max(a.low, b.low), min(a.high, b.high))
        return both, both
    if op is ast.NotEq:
        return a, b
    gap = int(op is ast.Lt)
    return Span(a.low, min(a.high, b.high - gap)), Span(max(b.low, a.low + gap), b.high)


def _span(value: ast.expr, state: Spans) -> Span | None:
    """The range of an expression; None for what may be no whole number."""
    match value:
        case ast.Constant(v) if type(v) is int:
            return Span(v, v)
        case ast.Name(name):
            return state.get(name)
        case ast.UnaryOp(ast.USub(), operand):
            x = _span(operand, state)
            return None if x is None else Span(-x.high, -x.low)
        case ast.BinOp(left, op, right) if isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.Mod)):
            a, b = _span(left, state), _span(right, state)
            if a is None or b is None:
                return None
            if isinstance(op, ast.Mod):
                return Span(0, b.high - 1) if b.low > 0 else None
            if isinstance(op, ast.Mult):
                ends = [0 if 0 in (x, y) else x * y for x in a for y in b]
                return Span(min(ends), max(ends))
            b = Span(-b.high, -b.low) if isinstance(op, ast.Sub) else b
            return Span(a.low + b.low, a.high + b.high)
        case ast.Call(ast.Name("int"), [number], []):
            return _whole(number)
        case ast.Call(ast.Name("len"), [_], []):
            return Span(0, _INF)
        case ast.Call(ast.Name("min" | "max" as name), args, []) if len(args) > 1:
            spans = [_span(a, state) for a in args]
            choose = min if name == "min" else max
            lows, highs = zip(*(s for s in spans if s), strict=True) if None not in spans else ((), ())
            return Span(choose(lows), choose(highs)) if lows else None
    return None


def _whole(number: ast.expr) -> Span:
    """The range of a number that is made whole: between the ends that it was clamped to."""
    match number:
        case ast.Call(ast.Attribute(_, "clamp" | "clip"), _, named):
            ends: dict[Any, Any] = {k.arg: k.value.value for k in named if isinstance(k.value, ast.Constant)}
            low, high = (ends[n] if type(ends.get(n)) in (int, float) else None for n in ("min", "max"))
            return Span(-_INF if low is None else int(low), _INF if high is None else int(high))
        case ast.Call(ast.Attribute(_, "abs"), [], []) | ast.Call(ast.Name("abs"), [_], []):
            return Span(0, _INF)
    return Span(-_INF, _INF)


def _items(iterated: ast.expr, state: Spans) -> tuple[Span | None, bool]:
    """The range of what a ``for`` goes through, and whether there is one at least."""
    match iterated:
        case ast.Call(ast.Name("range"), [_] | [_, _] as args, []):
            *start, stop = (_span(a, state) for a in args)
            first = start[0] if start else Span(0, 0)
            if first is not None and stop is not None:
                return Span(first.low, stop.high - 1), first.high < stop.low
    return None, False


def _put(state: Spans, target: ast.expr, span: Span | None) -> Spans:
    rest = {n: x for n, x in state.items() if n not in _stored(target) and n != getattr(target, "id", None)}
    return rest | {target.id: span} if isinstance(target, ast.Name) and span is not None else rest


def _joined(states: Sequence[Reached]) -> Reached:
    met = [s for s in states if s is not None]
    if not met:
        return None
    spans = ((n, [s[n] for s in met]) for n in sorted(set(met[0]).intersection(*met)))
    return {n: Span(min(x.low for x in all_), max(x.high for x in all_)) for n, all_ in spans}


def _widened(before: Span | None, after: Span) -> Span:
    low, high = before or after
    return Span(-_INF if after.low < low else low, _INF if after.high > high else high)


def _stored(part: ast.AST) -> set[str]:
    """The names that a part of the code binds."""
    return set(_bound(part))


def _bound(part: ast.AST) -> Iterator[str]:
    for node in ast.walk(part):
        match node:
            case ast.Name(name, ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name) | ast.ClassDef(name) | ast.AsyncFunctionDef(name):
                yield name
            case ast.alias("*"):
                yield from _BUILTIN
            case ast.alias(name, asname):
                yield asname or name.split(".")[0]
