"""Pasted text -> the code in it: forum posts, notebooks, sessions, fenced blocks.

What is code is what parses, once what stands around it is taken away (`symgrad.lifting.scripts.post`).  Lines keep
their numbers, so that every message speaks of the text as it was pasted; what is not code is left out, and kept to be
told.  Statements are found one by one; a run of statements that are plain
formulas over names that nothing defines is mathematics or printed output, and is left out too.
"""

from __future__ import annotations

import ast
import builtins
import codeop
import difflib
import re
import textwrap
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from symgrad.errors import BadInput
from symgrad.lifting.scripts.clipping import told_of_clips
from symgrad.lifting.scripts.post import (
    bared,
    cells_of,
    indented,
    missing_imports,
    modern,
    outdented,
    parses,
    typed,
    with_statements,
)

_CONTINUES = ("else", "elif", "except", "finally", ")", "]", "}")
_MOST_LINES = 20_000


@dataclass(frozen=True)
class Pasted:
    """The code in a pasted text, on the lines where it stood, the lines that were left out (from 1), and sentences
    about what was changed in it."""

    code: str
    left_out: tuple[tuple[int, str], ...]
    told: tuple[str, ...] = ()
    written: str | None = None  # the code before it was edited

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.code)

    @property
    def lines_of_functions(self) -> frozenset[int]:
        """The lines, by their `numbers`, on which names are those of a function alone."""
        numbers, kinds = self.numbers, (ast.FunctionDef, ast.AsyncFunctionDef)
        found = [n for n in ast.walk(self.tree) if isinstance(n, kinds)]
        return frozenset(numbers[k] for n in found for k in range(n.lineno, n.end_lineno or n.lineno))

    @property
    def lines(self) -> list[str]:
        return self.code.splitlines()

    def edited(self, code: str) -> Pasted:
        """The same with another code in place of this."""
        return replace(self, code=code, written=self.written or self.code)

    @property
    def numbers(self) -> list[int]:
        """The number that each line had before the code was edited; lines that are new come after all."""
        mine, old = self.lines, (self.written or self.code).splitlines()
        if len(mine) == len(old):
            return list(range(1, len(mine) + 1))
        numbers = [len(old) + 1 + k for k in range(len(mine))]
        for _, i, end, j, stop in difflib.SequenceMatcher(None, old, mine, autojunk=False).get_opcodes():
            numbers[j : min(stop, j + end - i)] = range(i + 1, min(end, i + stop - j) + 1)
        return numbers


def read_pasted(text: str, known: Collection[str] = ()) -> Pasted:
    """Find the code in a pasted text; ``known`` are names that it finds when it runs.

    >>> pasted = read_pasted("Why is this wrong?\\nIn [3]:\\nx = 2.0\\nprint(x)\\n2.0 <> 4.0\\n")
    >>> pasted.lines
    ['', '', 'x = 2.0', 'print(x)']
    >>> pasted.left_out
    ((1, 'Why is this wrong?'), (2, 'In [3]:'), (5, '2.0 <> 4.0'))

    Raises `BadInput` where there is no code, with the error of the text as a whole.
    """
    pasted = textwrap.dedent(cells_of(text)).expandtabs(4).splitlines()
    if len(pasted) > _MOST_LINES:
        raise BadInput(f"the text has {len(pasted)} lines.", instead=f"Paste at most {_MOST_LINES}.")
    if parses("\n".join(pasted)):
        code, told = pasted, []
    else:
        code, told = _best_reading(pasted)
    left = tuple((k, line) for k, (line, mine) in enumerate(zip(pasted, code), 1) if line.strip() and not mine.strip())
    while code and not code[-1].strip():
        code.pop()
    if not any(line.strip() and not line.lstrip().startswith("#") for line in code):  # no more than comments
        raise _no_code("\n".join(pasted))
    missing = missing_imports(ast.parse("\n".join(code)), known)
    if missing:
        code = with_statements(code, missing)
        told.append(f"I added what is missing: {'; '.join(missing)}.")
    told += told_of_clips(ast.parse("\n".join(code)))
    return Pasted("\n".join(code) + "\n", left, tuple(told))


def _best_reading(pasted: list[str]) -> tuple[list[str], list[str]]:
    """The code of a text that is not code as a whole, and what was changed in it: the reading that has most of it."""
    bare = bared(typed(pasted))
    plain = modern(bare)
    blocks = indented(plain)
    readings = [plain, outdented(plain), *([blocks] if blocks is not None else [])]
    codes = [_kept(lines, pasted) for lines in readings]
    code = max(codes, key=lambda lines: sum(bool(line.strip()) for line in lines))  # the first of equals
    told = []
    here = [k for k, line in enumerate(code) if line.strip()]

    def changed(before: list[str], after: list[str]) -> str:
        return ", ".join(ranges([k + 1 for k in here if before[k].split("#")[0] != after[k].split("#")[0]]))

    if lines := changed(bare, plain):
        told.append(f"Python 2 was read as Python 3, in which 1/2 is 0.5: line {lines}.")
    if lines := changed(bared(pasted), bare):
        told.append(f"Signs that no keyboard has, such as curly quotes, were read as plain ones: line {lines}.")
    if blocks is not None and code is codes[-1]:
        told.append(
            f"The indentation of the text is lost. I took blocks to go on to a blank line or a return, and read as "
            f"indented: line {changed(plain, blocks)}."
        )
    return code, told


def _kept(lines: list[str], pasted: list[str]) -> list[str]:
    """The lines that are code; empty ones for the others."""
    marks = {k for k, line in enumerate(lines) if pasted[k].strip() and not line.strip()}
    kept = set(_statements(lines, marks))
    return [line if k in kept else "" for k, line in enumerate(lines)]


def ranges(numbers: Collection[int]) -> list[str]:
    """Line numbers in ranges.

    >>> ranges([1, 2, 3, 7, 9, 10])
    ['1-3', '7', '9-10']
    """
    out: list[list[int]] = []
    for k in numbers:
        if out and out[-1][1] == k - 1:
            out[-1][1] = k
        else:
            out.append([k, k])
    return [f"{a}-{b}" if a != b else f"{a}" for a, b in out]


def _no_code(text: str) -> BadInput:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        shown = text.splitlines()[line - 1] if line <= len(text.splitlines()) else ""
        return BadInput(
            f"there is no Python code in this text: {getattr(error, 'msg', error)}.",
            where=f"    line {line}    {shown.strip()}",
            instead="Pass a script as text, or the path of one.",
        )
    return BadInput("there is no Python code in this text.", instead="Pass a script as text, or the path of one.")


# ------------------------------------------------------------------------------------------------ statements


def _statements(lines: list[str], marks: Collection[int]) -> Iterator[int]:
    """The numbers of the lines that are code, from 0; ``marks`` are lines that held prompts and the like."""
    known = set(dir(builtins)) | {"__name__", "__file__"}
    run: list[tuple[range, list[ast.stmt]]] = []
    for piece in [*_pieces(lines), None]:
        if piece is not None:
            where, body = piece
            between = range(run[-1][0].stop, where.start) if run else ()
            if any(lines[k].strip() or k in marks for k in between):
                yield from _code(run, known)
                run = []
            run.append((where, body))
            continue
        yield from _code(run, known)


def _pieces(lines: list[str]) -> Iterator[tuple[range, list[ast.stmt]]]:
    """Each statement that parses by itself, with its lines."""
    k = 0
    while k < len(lines):
        line = lines[k]
        if not line.strip():
            k += 1
            continue
        if line.lstrip().startswith("#"):
            if not re.match(r"\s*##+ \w", line):  # that is a heading
                yield range(k, k + 1), []
            k += 1
            continue
        stop = None if line[0].isspace() else _end(lines, k)
        if stop is None:
            k += 1
            continue
        body = ast.parse("\n".join(lines[k:stop])).body
        yield range(k, stop), body
        k = stop


def _end(lines: list[str], start: int) -> int | None:
    """The line after the statement that begins at ``start``; None if none does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for stop in range(start + 1, len(lines) + 1):
            text = "\n".join(lines[start:stop])
            if parses(text):
                break
            try:
                if codeop.compile_command(text + "\n", symbol="exec") is not None:
                    return None
            except (SyntaxError, ValueError, OverflowError):
                return None
        else:
            return None
    body = ast.parse(text).body
    if not (body and hasattr(body[-1], "body")):
        return stop
    best, here = stop, stop  # the rest of a block: lines that are indented, and else, except and the like
    while here < len(lines):
        line = lines[here]
        if line.strip() and not line[0].isspace() and not line.startswith(_CONTINUES):
            break
        here += 1
        if line.strip() and parses("\n".join(lines[start:here])):
            best = here
    return best


def _code(run: list[tuple[range, list[ast.stmt]]], known: set[str]) -> Iterator[int]:
    """The lines of a run of statements, unless it is formulas or output that only look like code."""
    mine = set(known)
    strange = False  # an equation over names that nothing defines
    for _, body in run:
        for statement in body:
            strange |= isinstance(statement, ast.Assign) and bool(_loaded(statement) - mine)
            mine |= _bound(statement)
    if strange and all(_is_formula(s) for _, body in run for s in body):
        return
    for where, body in run:
        if any(_is_output(s, mine) for s in body):
            continue
        known |= {n for s in body for n in _bound(s)}
        yield from where


def _is_output(statement: ast.stmt, known: set[str]) -> bool:
    """A value that stands alone: ``array([1., 2.])``, a word, a number, ``x1 -1.5``."""
    if not isinstance(statement, ast.Expr) or not _is_formula(statement):
        return False
    if _is_label(statement.value):
        return True
    if any(isinstance(n, (ast.Name, ast.JoinedStr)) for n in ast.walk(statement)):
        return bool(_loaded(statement) - known)
    return not (isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str))


def _is_label(e: ast.expr) -> bool:
    """A word and a number that a minus joins: ``x1 -1.5``, which is printed."""
    match e:
        case ast.BinOp(left=ast.Name(), op=ast.Sub() | ast.Add(), right=ast.Constant()):
            return True
    return False


def _is_formula(statement: ast.stmt) -> bool:
    """``h1 = tanh(h1_raw)``, ``array([1., 2.])``, a word: what stands in prose and in printed output too."""
    value = statement.value if isinstance(statement, (ast.Assign, ast.Expr, ast.AnnAssign)) else None
    if value is None or (isinstance(statement, ast.Expr) and isinstance(value, ast.Constant)):
        return value is not None
    if isinstance(statement, ast.Assign) and not all(
        isinstance(t, (ast.Name, ast.Subscript)) for t in statement.targets
    ):
        return False
    return not any(isinstance(n, (ast.Attribute, ast.Await, ast.Lambda)) for n in ast.walk(value)) and not any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "print" for n in ast.walk(value)
    )


def _loaded(statement: ast.stmt) -> set[str]:
    """The names that running a statement looks up at once (not those inside a function that it defines)."""
    found: set[str] = set()
    inner: set[str] = set()
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack += [*getattr(node, "decorator_list", []), *getattr(node, "bases", [])]
            continue
        if isinstance(node, ast.comprehension):
            inner |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        stack += ast.iter_child_nodes(node)
    return (
        found - inner - _bound(statement) if not isinstance(statement, (ast.Assign, ast.AugAssign)) else found - inner
    )


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement defines."""
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found
