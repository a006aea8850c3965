"""Formulas in a script's comments, beside the lines that they are about.

``# dh2/dw_h = 1 - h2_raw**2 * dh2_raw/dw_h (chain rule)`` states another formula than the line
``dh2_dwh = (1 - h2_raw**2) * dh2raw_dwh``.  A comment is compared where it parses and its left side is a variable of
the script; whether two formulas differ is decided in balls.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from symgrad.checking.comparison import branch_of, compare_at
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Symbolic
from symgrad.lifting.scripts.extraction import Pasted
from symgrad.lifting.text.text_formula import Text
from symgrad.report.wording import listed

_DERIVATIVE = re.compile(r"\b[d∂]\s*([A-Za-z_]\w*)\s*/\s*[d∂]\s*([A-Za-z_]\w*)")
_REMARK = re.compile(r"\s*\([^()]*\)\s*$|\s*(?:,|;|--|because|since|where|by|as)\s.*$")
_COMMENT = re.compile(r"#+\s*(.*=.*)$")


def other_formulas(pasted: Pasted) -> tuple[str, ...]:
    """Sentences about the comments that state another formula than the code."""
    lines = dict(_assignments(pasted))
    names = {_plain(name): name for name in lines}
    told: dict[str, list[tuple[int, str]]] = {}  # line and what it says, by what is between the two
    for number, line in enumerate(pasted.lines, 1):
        found = _COMMENT.search(line)
        if found is None or "'" in line or '"' in line:
            continue
        left, *rest = re.split(r"(?<![<>=!])=(?!=)", found[1])
        target = _target(left, names)
        if target is None:
            continue
        where, value = lines[target]
        for side in rest:
            text = _formula(side, names)
            if text is None or where == number:
                continue
            if _differs(text, value, lines):
                only = ""
                if _bare(text) == _bare(value):
                    only = "lacks" if value.count("(") > text.count("(") else "has"
                stated = _REMARK.sub("", side).strip()
                says = f"{left.strip()} = {stated}, and line {where} computes {target} = {value}"
                told.setdefault(only, []).append((number, says))
                break
    return tuple(_sentence(only, group) for only, group in told.items())


def _sentence(only: str, told: Sequence[tuple[int, str]]) -> str:
    """What comments that differ from the code in one way say; the first of them in full."""
    (first, says), more = told[0], len(told) > 1
    where = (
        f"comments in lines {listed([str(n) for n, _ in told])} state" if more else f"comment in line {first} states"
    )
    fewer, other = ("comment", "code") if only == "lacks" else ("code", "comment")
    why = f": the {fewer} lacks the parentheses that the {other} has" if only else ""
    return f"The {where} another formula than the code{why}. {'The first' if more else 'It'} says {says}."


def _assignments(pasted: Pasted) -> Iterator[tuple[str, tuple[int, str]]]:
    """Variables that are assigned once, with the line and the text of what they are assigned."""
    found: dict[str, list[tuple[int, str]]] = {}
    for node in ast.walk(pasted.tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            written = ast.get_source_segment(pasted.code, node.value) or ""
            found.setdefault(node.targets[0].id, []).append((node.lineno, " ".join(written.split())))
    return ((name, places[0]) for name, places in found.items() if len(places) == 1)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _target(left: str, names: Mapping[str, str]) -> str | None:
    """The variable that a comment is about."""
    left = left.strip()
    found = _DERIVATIVE.fullmatch(left)
    if found is not None:
        return names.get(_plain(f"d{found[1]}d{found[2]}"))
    return names.get(_plain(left)) if re.fullmatch(r"[A-Za-z_]\w*", left) else None


def _formula(side: str, names: Mapping[str, str]) -> str | None:
    """A side of a comment's equation as text over the script's variables; None where it is not one."""

    def variable(m: re.Match[str]) -> str:
        if _plain(m[1]) == _plain(m[2]):
            return "1"
        return names.get(_plain(f"d{m[1]}d{m[2]}"), f"d{m[1]}_d{m[2]}")

    text = _DERIVATIVE.sub(variable, side.strip())
    for _ in range(3):
        try:
            Text(text)
        except SymgradError:
            shorter = _REMARK.sub("", text)
            if shorter == text:
                return None
            text = shorter
        else:
            return text if text.strip() else None
    return None


def _bare(text: str) -> str:
    return re.sub(r"[\s()]", "", text)


def _differs(stated: str, code: str, lines: Mapping[str, tuple[int, str]]) -> bool:
    """Whether two formulas have different values, shown by a ball at some point; constants are put in."""
    constants = {n: v for n, (_, v) in lines.items() if re.fullmatch(r"-?\d+(\.\d*)?", v)}
    try:
        sides = [Symbolic(Text(_with(constants, t))) for t in (stated, code)]
        known = sorted({*sides[0].names, *sides[1].names})
        if not set(sides[0].names) <= {*lines, *sides[1].names}:
            return False  # it uses names of the paper, which the code does not have
        rng = np.random.default_rng(0)
        for _ in range(3):
            point = {n: np.asarray(np.round(rng.uniform(0.25, 2.0) * 256) / 256) for n in known}
            branch = branch_of(sides[0].run(point), sides[1].run(point), ["value"], 0)
            if compare_at(branch, point, known).views["value"].state == "differs":
                return True
    except (SymgradError, ValueError):
        return False
    return False


def _with(constants: Mapping[str, str], text: str) -> str:
    return re.sub(r"[A-Za-z_]\w*", lambda m: f"({constants[m[0]]})" if m[0] in constants else m[0], text)
