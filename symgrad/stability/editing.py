"""The user's own text with one expression written another way, and the formula that it then is."""

from __future__ import annotations

import ast
import copy
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from symgrad.diagnosis.candidates import loose
from symgrad.diagnosis.source_code import Code, Unit, code_of, edited, function_unit, rebuild, span
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Formula, Symbolic
from symgrad.lifting.text.text_formula import Text
from symgrad.lifting.tracing.functions import Module
from symgrad.lifting.tracing.sources import is_users
from symgrad.program.program import Program, Source
from symgrad.stability.term_algebra import Leaf, Term, number_of
from symgrad.stability.term_printer import Tongue, spellings
from symgrad.stability.term_reader import Reader


@dataclass(frozen=True, eq=False)
class Edited:
    """A formula with one expression rewritten: ``before`` and ``after`` are that expression, ``text`` all of it."""

    formula: Formula
    before: str
    after: str
    source: Source | None
    text: str


@dataclass(frozen=True, eq=False)
class Place:
    """Where a step stands in the user's code, and how things are said there."""

    formula: Formula
    program: Program
    step: int
    tongue: Tongue
    unit: Unit | None
    span: tuple[int, int] | None  # in the unit's text, or in the formula's
    source: Source | None
    bare: bool  # whether it is the whole of a statement's expression, or an argument of a call

    def edits(self, term: Term, reader: Reader) -> Iterator[Edited]:
        """The code with this step computed as ``term``, in each way to spell it."""
        typed = "" if self.source is None else self.source.text
        wide = " * " in typed or " / " in typed
        for new in spellings(term, self.tongue, lambda t: self._words(t, reader), self._lengths(reader), wide):
            made = self._made(new)
            if made is not None:
                yield made

    def _lengths(self, reader: Reader) -> set[int]:
        return reader.lengths(reader.read(self.step))

    # ------------------------------------------------------------------------------------ the user's words
    def _words(self, term: Term, reader: Reader) -> str | None:
        """The user's own name or text for a term, where its value is at hand."""
        if number_of(term) is not None:
            return None
        steps = [i for i in reader.steps.get(term, ()) if i < self.step]
        steps += [term.step] if isinstance(term, Leaf) and term.step not in steps else []
        for i in steps:
            if self.program.steps[i].op == "input":
                name = str(self.program.steps[i].params)
                own = isinstance(self.formula, Module) and name in self.formula.parameters
                return name.replace(".", "_") if self.unit is None else f"self.{name}" if own else name
        names = [b for b in self.program.bindings if b.step in steps and self._is_seen(b.source)]
        current = {b.name: b.step for b in self.program.bindings if b.step < self.step}
        for b in names:
            if current.get(b.name) == b.step:
                return b.name
        here = [i for i in steps if self._is_here(self.program.steps[i].source, i)]
        elsewhere = [i for i in steps if isinstance(term, Leaf) and self.program.steps[i].source is not None]
        for i in here or elsewhere:
            source = self.program.steps[i].source
            assert source is not None
            text = source.text if self.unit is None else source.text[slice(*(source.span or (0, 0)))]
            if text.strip():
                return text
        return None

    def _is_seen(self, source: Source | None) -> bool:
        return self.unit is not None and source is not None and self.unit.covers(source)

    def _is_here(self, source: Source | None, i: int) -> bool:
        """Whether a step is the value of a piece of the same statement, inside the one that is rewritten."""
        own = self.source
        if source is None or own is None or source.span is None or own.span is None:
            return False
        if (source.file, source.line, source.text) != (own.file, own.line, own.text) and self.unit is not None:
            return False
        inside = own.span[0] <= source.span[0] and source.span[1] <= own.span[1] and source.span != own.span
        last = max(j for j, s in enumerate(self.program.steps) if s.source == source)
        return inside and i == last

    # ------------------------------------------------------------------------------------ the new code
    def _made(self, new: str) -> Edited | None:
        if self.unit is None:
            return self._text(new)
        code = _code_of(self.formula)
        if code is None or self.span is None:
            return None
        start, end = self.span
        before = self.unit.text[start:end]
        put = new if self.bare or not loose(new) else f"({new})"
        found = code.edited({self.unit: edited(self.unit.text, [(start, end, put)])})
        return None if found is None else Edited(found[0], before, new, self.source, found[1])

    def _text(self, new: str) -> Edited | None:
        if isinstance(self.formula, Symbolic) and isinstance(self.formula.source, Text) and self.span is not None:
            text = self.formula.source.text
            start, end = self.span
            before = text[start:end]
            whole = (start, end) == (0, len(text))
            put = new if whole or self.bare or not loose(new) else f"({new})"
            made = edited(text, [(start, end, put)])
            source = Source(text, span=(start, end))
            return Edited(Symbolic(Text(made, self.formula.source.known)), before, new, source, made)
        if self.step not in _ends(self.program):
            return None
        shown = str(getattr(self.formula, "source", self.source.text if self.source is not None else "the formula"))
        try:
            made = Symbolic(Text(new, self.formula.names))
        except SymgradError:  # the user's words are no formula in text
            return None
        return Edited(made, shown, new, Source(shown), new)


def _ends(program: Program) -> set[int]:
    """The output, and the steps of which it is a name or a layout."""
    found = set(program.outputs.values())
    for i in sorted(found):
        while program.steps[i].op in ("name", "cast"):
            i = program.steps[i].args[0]
            found.add(i)
    return found


@dataclass(frozen=True, eq=False)
class _Forward:
    """The forward method of a module of the user's."""

    module: torch.nn.Module
    units: tuple[Unit, ...]

    def edited(self, texts: Mapping[Unit, str]) -> tuple[Module, str] | None:
        (text,) = texts.values()
        made = rebuild(self.units[0].function, text)
        if made is None:
            return None
        other = copy.copy(self.module)  # shares its parameters
        object.__setattr__(other, "forward", types.MethodType(made, other))
        return Module.of(other), text


def _code_of(formula: Formula) -> Code | _Forward | None:
    if not isinstance(formula, Module):
        return code_of(formula)
    forward = type(formula.module).forward
    unit = function_unit(forward) if isinstance(forward, types.FunctionType) and is_users(forward.__code__) else None
    return None if unit is None else _Forward(formula.module, (unit,))


def place_of(formula: Formula, program: Program, step: int) -> Place | None:
    """Where a step stands in the code; None where its text is not found."""
    source = program.steps[step].source
    code = _code_of(formula)
    if code is None:
        text = isinstance(formula, Symbolic) and isinstance(formula.source, Text)
        at = source.span if text and source is not None else None
        if text and at is None:
            return None
        bare = text and at is not None and _is_argument(formula.source.text, at)  # type: ignore[union-attr]
        return Place(formula, program, step, Tongue.of("text", {}), None, at, source, bare)
    unit = None if source is None else next((u for u in code.units if u.covers(source)), None)
    if unit is None or source is None or source.span is None:
        return None
    found = _node(unit, source)
    if found is None:
        return None
    node, bare = found
    library = getattr(formula, "library", "torch")
    shift = 1 if unit.is_lambda else 0
    return Place(
        formula, program, step, Tongue.of(library, unit.scope), unit, span(unit.text, node, shift=shift), source, bare
    )


def _is_argument(text: str, at: tuple[int, int]) -> bool:
    """Whether brackets stand around a part of a text already."""
    before, after = text[: at[0]].rstrip(), text[at[1] :].lstrip()
    return before[-1:] in ("(", ",") and after[:1] in (")", ",")


def _node(unit: Unit, source: Source) -> tuple[ast.expr, bool] | None:
    """The expression of a unit that a source's span is, and whether it may stay without brackets."""
    assert source.span is not None
    try:
        wanted = ast.dump(ast.parse(source.text[slice(*source.span)].strip(), mode="eval").body)
    except SyntaxError:
        return None
    line = (source.line or unit.first) - unit.first + 1
    inside: Mapping[int, bool] = _bare_parts(unit.node)
    best: tuple[int, ast.expr] | None = None
    for node in ast.walk(unit.node):
        if isinstance(node, ast.expr) and node.lineno >= line and ast.dump(node) == wanted:
            far = (node.lineno - line) * 1000 + abs(node.col_offset - source.span[0])
            if best is None or far < best[0]:
                best = far, node
    return None if best is None else (best[1], inside.get(id(best[1]), False))


def _bare_parts(tree: ast.AST) -> dict[int, bool]:
    found: dict[int, bool] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(value=v) | ast.AnnAssign(value=v) | ast.Return(value=v) if v is not None:
                found[id(v)] = True
            case ast.AugAssign(value=v):
                found[id(v)] = True
            case ast.Lambda(body=v):
                found[id(v)] = True
            case ast.Call(args=args, keywords=keywords):
                found |= {id(a): True for a in args} | {id(k.value): True for k in keywords}
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Dict(values=parts):
                found |= {id(p): True for p in parts}
    return found
