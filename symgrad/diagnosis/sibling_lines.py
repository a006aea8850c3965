"""A line as another line of the same function is written: ``ga_neg`` beside ``ga_pos``, ``d2`` beside ``d1``.

People write such lines by copying one and changing the names; where one of the two is wrong, the other tells how it
was meant.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

_LONGEST = 400  # letters of a line that another may be written like


def written_alike(function: ast.AST, own: str, line: ast.expr, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Other lines of the function with names changed as their targets' are, each with the name of its line.

    ``own`` is what the line computes, ``known`` the names that it may use.

    >>> code = ast.parse("g_pos = b / n_b - s_b * a\\ng_neg = c / n_c")
    >>> line = code.body[1].value
    >>> list(written_alike(code, "g_neg", line, {"a", "b", "c", "n_b", "n_c", "s_b", "s_c"}))
    [('c / n_c - s_c * a', 'g_pos')]
    """
    here, mine = ast.unparse(line), _names(line)
    seen = {here}
    for s in ast.walk(function):
        match s:
            case ast.Assign(targets=[ast.Name(id=other)], value=value) if other != own:
                text = ast.unparse(value)
            case _:
                continue
        theirs = _names(value)
        if len(text) > _LONGEST or not theirs:
            continue
        by_target = [_renamed(theirs, known, *change) for change in _differences([other], [own])]
        by_names = [_renamed(theirs, known, *change) for change in _differences(theirs - mine, mine - theirs)]
        for renamed in [*by_target, max(by_names, key=len, default={})]:
            made = re.sub(r"[A-Za-z_]\w*", lambda m, r=renamed: r.get(m[0], m[0]), text)
            if renamed and made not in seen:
                seen.add(made)
                yield made.replace(" ** ", "**"), other


def _names(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def _differences(some: Collection[str], others: Collection[str]) -> Iterator[tuple[str, str]]:
    """The parts in which two names differ, of each pair: ``pos`` and ``neg`` of ``g_pos`` and ``g_neg``."""
    for a in sorted(some):
        for b in sorted(others):
            start = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            end = 0
            while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
                end += 1
            old, new = a[start : len(a) - end], b[start : len(b) - end]
            if old and new:
                yield old, new


def _renamed(names: Collection[str], known: Collection[str], old: str, new: str) -> dict[str, str]:
    return {n: m for n in names if (m := _replaced(n, old, new)) != n and m in known}


def _replaced(name: str, old: str, new: str) -> str:
    """A name with one part of it changed: the whole, its beginning or its end."""
    if name == old:
        return new
    if name.endswith(old):
        return name[: -len(old)] + new
    return new + name[len(old) :] if name.startswith(old) else name
