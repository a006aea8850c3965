"""PyTorch's own table of derivatives, read from the installed wheel: is each formula the derivative of its operation?

``torchgen/packaged/autograd/derivatives.yaml`` states the backward formula of every operation in C++.  Those that are
expressions (no call of a function that is written elsewhere) are turned into Python by `translated`, which only spells
tokens another way, and verified against ``torch.ops.aten`` itself.  Run as a script it prints the table.

    python tests/trust/derivatives_table.py
"""

from __future__ import annotations

import ast
import linecache
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torchgen

from symgrad import SymgradError, verify
from symgrad.errors import NoPoint

TABLE = Path(torchgen.__file__).parent / "packaged" / "autograd" / "derivatives.yaml"


@dataclass(frozen=True)
class Entry:
    """``operation`` (an aten overload), the input that the formula is for, and the formula as it stands."""

    operation: str
    signature: str
    wrt: str
    formula: str


def entries() -> Iterator[Entry]:
    """Every formula of the table; the file is YAML of one simple shape, read line by line."""
    name, key, found = "", "", {}
    for line in [*TABLE.read_text().splitlines(), "- name: end()"]:
        if line.startswith("- name:"):
            for wrt, formula in found.items():
                yield Entry(name.split("(")[0], name, wrt, formula.strip("'\""))
            name, key, found = line.removeprefix("- name:").strip(), "", {}
        elif m := re.match(r"  (\w+): (.*)", line):
            key = m[1]
            found[key] = m[2].strip()
        elif line.startswith("    ") and key and not line.strip().startswith("#"):
            found[key] += " " + line.strip()
        else:
            key = ""


# ------------------------------------------------------------------------------------------------ C++ -> Python

_SPELLING = [
    (r"/\*.*?\*/", ""),
    (r"^self\.is_complex\(\) \? .* : (.*)$", r"\1"),  # real inputs
    (r"\.conj(_physical)?\(\)", ""),  # real inputs
    (r"\.toDouble\(\)", ""),
    (r"\bat::special_", "torch.special."),
    (r"\bspecial_", "torch.special."),
    (r"\bat::scalar_tensor\((\S+), grad\.options\(\)\)", r"\1"),
    (r"\bhandle_r_to_c\(\w+\.scalar_type\(\), (.*)\)$", r"(\1)"),
    (r"\b(?:std::)?sqrt\((\d* ?\*? ?M_PI)\)", r"math.sqrt(\1)"),
    (r"\bM_PI\b", "math.pi"),
    (r"\bM_LN2\b", "math.log(2)"),
    (r"\bat::zeros\(\{\}, \w+\.options\(\)\)", "0.0"),
    (r"\bat::", "torch."),
    (r"(?<![\w.])(exp|log|pow|where|lgamma|digamma|polygamma|zeros_like)\(", r"torch.\1("),
    (r"\bmaybe_multiply\(([^,()]+), ([^,()]+)\)", r"(\1)*(\2)"),
    (r', "(trunc|floor)"', r', rounding_mode="\1"'),
]
_MODULES = {"torch", "math"}


def translated(formula: str, names: set[str]) -> str | None:
    """The formula in Python; None where it calls a function that is defined elsewhere, or is not an expression."""
    text = formula
    for pattern, spelt in _SPELLING:
        text = re.sub(pattern, spelt, text)
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return None
    known = names | {"grad", "result"} | _MODULES
    if any(isinstance(node, ast.Name) and node.id not in known for node in ast.walk(tree)):
        return None
    uses = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return text if "grad" in uses or "grad_output" in uses else None


def signature(text: str) -> list[tuple[str, str, str | None]]:
    """(type, name, default) of each argument."""
    inside = text[text.index("(") + 1 : text.rindex(") ->")]
    found = []
    for part in inside.split(", "):
        if m := re.fullmatch(r"(\S+) (\w+)(?:=(.*))?", part):
            found.append((m[1], m[2], m[3]))
    return found


# ------------------------------------------------------------------------------------------------ the question

_POINTS = ((0.375, 0.75), (1.5, 2.25), (0.625, -1.25), (-0.375, 0.5), (3.5, 2.5))


def question(entry: Entry) -> tuple[Callable, Callable, list[str], dict] | None:
    """The operation and the formula as functions of the same tensors, their names, and the other arguments."""
    if not re.fullmatch(r"[a-z]\w*(\.\w+)?", entry.operation) or entry.operation.endswith("_"):
        return None
    arguments = signature(entry.signature)
    tensors = [name for kind, name, _ in arguments if kind.startswith("Tensor") and "[" not in kind and "?" not in kind]
    others = [n for _, n, _ in arguments if n not in tensors]
    if entry.wrt not in tensors or not {k for k, n, _ in arguments if n in others} <= {"Scalar", "float"}:
        return None
    body = translated(entry.formula, {n for _, n, _ in arguments})
    if body is None:
        return None
    base, _, overload = entry.operation.partition(".")
    operation = getattr(getattr(torch.ops.aten, base, None), overload or "default", None)
    if operation is None:
        return None
    given = dict.fromkeys(others, 1.5)
    if not _is_elementwise(operation, arguments, tensors, given):
        return None
    upstream = "grad" not in tensors and re.search(r"\bgrad\b", body)
    names = [*tensors, "grad"] if upstream else tensors
    values = ", ".join(f"{n}={n}" for n in arguments_of(arguments))
    made = _written(
        [
            f"def model({', '.join(names)}):",
            f"    out = operation({values})",
            f"    return ({'grad * ' if upstream else ''}out).sum()",
            "",
            f"def hand({', '.join(names)}):",
            *([f"    result = operation({values})"] if re.search(r"\bresult\b", body) else []),
            f"    return {body}",
        ],
        {"torch": torch, "math": math, "operation": operation, **given},
        entry.operation,
    )
    return made["model"], made["hand"], names, given


def _is_elementwise(operation: Callable, arguments: list, tensors: list[str], given: dict) -> bool:
    try:
        out = operation(**{n: torch.full((2, 3), 0.5) if n in tensors else given[n] for _, n, _ in arguments})
    except (RuntimeError, IndexError):
        return False
    return isinstance(out, torch.Tensor) and out.shape == (2, 3) and out.dtype == torch.float32


def arguments_of(arguments: list[tuple[str, str, str | None]]) -> list[str]:
    return [name for _, name, _ in arguments]


def _written(lines: list[str], scope: dict, name: str) -> dict:
    """The functions of this source text, which `inspect` finds as it does that of a file."""
    file = f"<derivatives.yaml: {name} {len(linecache.cache)}>"
    text = "\n".join(lines) + "\n"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), scope)
    return scope


@dataclass(frozen=True)
class Row:
    """What became of one formula."""

    entry: Entry
    said: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.entry.operation:26} {self.entry.wrt:12} {self.said:10} {self.entry.formula}  {self.detail}"


def judged(entry: Entry) -> Row | None:
    """The verdict on one formula; None where it is not an expression."""
    asked = question(entry)
    if asked is None:
        return None
    model, hand, names, _ = asked
    for first in range(len(_POINTS)):
        at = {n: torch.tensor(_POINTS[(first + k) % len(_POINTS)], dtype=torch.float64) for k, n in enumerate(names)}
        try:
            report = verify(model, hand, wrt=entry.wrt, at=at)
        except NoPoint:
            continue
        except SymgradError as error:
            return Row(entry, "not read", error.what)
        claim = report.claims[entry.wrt]
        return Row(entry, report.verdict, str(claim.witness or ""))
    return Row(entry, "not read", "no point")


def table() -> list[Row]:
    return [row for entry in entries() if (row := judged(entry)) is not None]


def main() -> None:
    rows = table()
    for row in rows:
        print(row)
    print(f"\n{sum(1 for _ in entries())} formulas, {len(rows)} of them expressions:", file=sys.stdout)
    print(dict(Counter(row.said for row in rows)))


if __name__ == "__main__":
    main()
