"""A pasted text line by line, made ready to be read as code: what a forum, a notebook or an old Python put around it.

Every function here gives back as many lines as it was given, so that the line of a message is the line of the paste.
What is changed inside of a line of code, beyond taking away what stands around it, is told.
"""

from __future__ import annotations

import ast
import builtins
import io
import itertools
import json
import re
import tokenize
import warnings
from collections.abc import Collection, Sequence

from symgrad.lifting.tracing.sources import uncommented

_CELL = re.compile(r"^\s*In\s*\[[\d ]*\]\s*:\s?")
_MORE = re.compile(r"^\s*\.\.\.+:( |$)")
_OUT = re.compile(r"^\s*Out\s*\[[\d ]*\]\s*:")
_FENCE = re.compile(r"\s*(```|~~~)\s*([\w+-]*)")
_LANGUAGES = ("", "python", "py", "python2", "python3", "ipython", "ipython3", "pycon")
_PROMPT = re.compile(r"^\s*(>>>|\.\.\.)( |$)")
_MAGIC = re.compile(r"\s*(%|!|\?)")
_QUOTED = re.compile(r"^\s*>(?!>>)(?: |$)")
_NUMBERED = re.compile(r"^\s*(\d+)(?:[:.|)]|\s|$)\s?")
_RAISED = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt|Warning|Exit)\b\s*(:|$)")
_TRACEBACK = "Traceback (most recent call last)"
_CHARACTERS = {
    **dict.fromkeys("“”„‟″", '"'),
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **dict.fromkeys("−–", "-"),
    "×": "*",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
}
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": " ", "&amp;": "&"}


def parses(text: str) -> bool:
    """Whether a text is Python as it stands."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def cells_of(text: str) -> str:
    """The code cells of a notebook file one after another; any other text as it is."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        cells = json.loads(text)["cells"]
        return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    except (ValueError, KeyError, TypeError):
        return text


def cell_at(text: str, line: int) -> tuple[int, int] | None:
    """Where a line of `cells_of` stands in a notebook: which of its code cells, and which line there, from 1.

    >>> sources = ["w = 2.0" + chr(10), "x = w"], ["y = x"]
    >>> cell_at(json.dumps({"cells": [{"cell_type": "code", "source": s} for s in sources]}), 4)
    (2, 1)
    """
    if not text.lstrip().startswith("{"):
        return None
    cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    for number, cell in enumerate(cells, 1):
        height = "".join(cell["source"]).count("\n") + 2  # a blank line comes after each
        if line < height:
            return number, line
        line -= height
    return None


# ------------------------------------------------------------------------------------------------ what stands around


def bared(lines: Sequence[str]) -> list[str]:
    """The lines without quote marks, line numbers, cell numbers, fences, prompts, tracebacks and magics.

    >>> bared(["> In [3]: x = 1", ">    ...: y = 2", "> Out[3]: 5"])
    ['x = 1', 'y = 2', '']
    """
    for step in (_unquoted, _undiffed, _unnumbered, _uncelled, _unfenced, _untraced, _unprompted):
        lines = step(list(lines))
    return ["" if _MAGIC.match(line) else line for line in lines]


def _unquoted(lines: list[str]) -> list[str]:
    return [_QUOTED.sub("", line, count=1) for line in lines]


def _undiffed(lines: list[str]) -> list[str]:
    """What a patch makes of the text: its new lines, and those that stay."""
    first = next((k for k, line in enumerate(lines) if re.match(r"@@ .*@@", line)), None)
    if first is None:
        return lines
    out = ["" if line.startswith(("--- ", "+++ ", "diff ", "index ")) else line for line in lines[:first]]
    return [*out, *("" if line[:1] in "-@\\" else line[1:] for line in lines[first:])]


def _unnumbered(lines: list[str]) -> list[str]:
    """Runs of lines that are numbered one after another, as a listing is."""
    out, k = list(lines), 0
    while k < len(lines):
        stop = k
        first = _NUMBERED.match(lines[k])
        while first and stop < len(lines) and (m := _NUMBERED.match(lines[stop])):
            if int(m[1]) != int(first[1]) + stop - k:
                break
            stop += 1
        if stop - k >= 3:
            out[k:stop] = [_NUMBERED.sub("", line, count=1) for line in lines[k:stop]]
        k = max(stop, k + 1)
    return out


def _uncelled(lines: list[str]) -> list[str]:
    """Without ``In [3]:`` and the dots below it; what follows ``Out[3]:`` up to a blank line is output."""
    out: list[str] = []
    shown = False
    for line in lines:
        shown = bool(line.strip()) and not _CELL.match(line) and (shown or bool(_OUT.match(line)))
        out.append("" if shown else _MORE.sub("", _CELL.sub("", line, count=1), count=1))
    return out


def _unfenced(lines: list[str]) -> list[str]:
    """Where there are fences, what is outside of them is no code."""
    if not any(_FENCE.match(line) for line in lines):
        return lines
    out: list[str] = []
    inside = python = False
    for line in lines:
        fence = _FENCE.match(line)
        if fence:
            inside, python = not inside, fence[2].lower() in _LANGUAGES
        out.append(line if inside and python and not fence else "")
    return out


def _untraced(lines: list[str]) -> list[str]:
    """Without tracebacks: from their first line to the exception, or to a blank line after which none comes."""
    out, k = list(lines), 0
    while k < len(lines):
        if _TRACEBACK in lines[k]:
            raised = next((n for n in range(k + 1, len(lines)) if _RAISED.match(lines[n])), None)
            blank = next((n for n in range(k + 1, len(lines)) if not lines[n].strip()), len(lines))
            start = k - 1 if k and re.fullmatch(r"\s*-{10,}\s*", lines[k - 1]) else k
            stop = raised + 1 if raised is not None else blank
            out[start:stop] = [""] * (stop - start)
            k = stop
        k += 1
    return out


def _unprompted(lines: list[str]) -> list[str]:
    """Without ``>>>`` and ``...``; what follows a prompt up to a blank line, and has none, is output."""
    out: list[str] = []
    session = False
    for line in lines:
        prompt = _PROMPT.match(line)
        starts = prompt is not None and (session or prompt[1] == ">>>")
        session = starts or (session and bool(line.strip()))
        out.append(_PROMPT.sub("", line, count=1) if starts else "" if session else line)
    return out


def outdented(lines: Sequence[str]) -> list[str]:
    """The indented blocks alone, moved to the margin: what forums take for code."""
    depths = [len(line) - len(line.lstrip()) for line in lines if line.strip() and line[0].isspace()]
    least = min(depths, default=0)
    return [line[least:] if line[:least].isspace() else "" for line in lines]


# ------------------------------------------------------------------------------------------------ other characters


def typed(lines: Sequence[str]) -> list[str]:
    """The lines with the characters that a keyboard has: straight quotes, plain spaces and signs.

    >>> typed(["print(“a − b”)"])
    ['print("a - b")']
    """
    table = str.maketrans(_CHARACTERS)
    out = [line.translate(table) for line in lines]
    return [re.sub("|".join(_ENTITIES), lambda m: _ENTITIES[m[0]], line) for line in out]


# ------------------------------------------------------------------------------------------------ Python 2

_PRINT = re.compile(r"(?P<before>^\s*|.*[:;]\s*)print(?P<space>[ \t]+|(?=[\"'])|\s*$)(?P<rest>.*)$")
_CAUGHT = re.compile(r"^(\s*except\s+[\w.]+|\s*except\s*\([^)]*\))\s*,\s*(\w+)\s*:")


def modern(lines: Sequence[str]) -> list[str]:
    """Statements of Python 2 as Python 3 has them: ``print``, and ``except Error, e``.

    >>> modern(["t, loss = 3, 0.5", "print 'loss', loss", "if t > 2: print t,", "print(t)", "print screen"])[1:]
    ["print('loss', loss)", "if t > 2: print(t, end=' ')", 'print(t)', 'print screen']
    """
    out = list(lines)
    known = set(re.findall(r"\b([A-Za-z_]\w*)\b\s*(?:[=,:).(\[]|in\b)", "\n".join(lines))) | set(dir(builtins))
    for k, line in enumerate(lines):
        caught = _CAUGHT.match(line)
        if caught:
            out[k] = _CAUGHT.sub(r"\1 as \2:", line)
        found = _PRINT.match(uncommented(line))
        if found is None or _stands(line):
            continue
        last = next((n for n in range(k, min(k + 20, len(lines))) if _balanced(lines[k : n + 1])), None)
        if last is None:
            continue
        body = [found["rest"], *lines[k + 1 : last + 1]]
        made = _printed(body, known)
        if made is not None:
            comment = line[len(uncommented(line).rstrip()) :] if last == k else ""
            out[k : last + 1] = [f"{found['before']}print({made[0]}", *made[1:]]
            out[last] += ")" + comment
    return out


def _printed(body: list[str], known: Collection[str]) -> list[str] | None:
    """The arguments of a print statement, over the same lines; None for a sentence that begins with the word."""
    body = [*body[:-1], uncommented(body[-1]).rstrip()]
    into = re.match(r">>\s*([\w.]+)\s*,?", body[0])
    if into:
        body[0] = body[0][into.end() :].lstrip()
    more = body[-1].endswith(",")
    if more:
        body[-1] = body[-1][:-1]
    whole = "\n".join(body)
    if not parses(f"print({whole})") or re.match(r"=(?!=)|[-+*/%]=|\.|\[", whole):
        return None
    if any(isinstance(n, ast.Name) and n.id not in known for n in ast.walk(ast.parse(f"print({whole})"))):
        return None
    body[-1] += ", end=' '" * more + (f", file={into[1]}" if into else "")
    return [body[0].lstrip(), *body[1:]]


def _stands(line: str) -> bool:
    """Whether a line is Python 3, alone or with a block below it."""
    text = line.strip()
    return parses(text) or parses(f"{text}\n  pass") or parses(f"if 1: pass\n{text}\n  pass")


def _balanced(lines: Sequence[str]) -> bool:
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(lines).strip()).readline):
            depth += (token.string in "([{") - (token.string in ")]}") if token.type == tokenize.OP else 0
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return False
    return depth == 0


# ------------------------------------------------------------------------------------------------ lost indentation

_HEADER = re.compile(r"(def|class|for|while|if|elif|else|with|try|except|finally|async def)\b.*:\s*(#.*)?$")
_OUTER = re.compile(r"(class|import|from)\b|if __name__")
_AGAIN = re.compile(r"(elif|else|except|finally)\b")
_LEAVES = re.compile(r"(return|break|continue|raise|pass)\b")


def indented(lines: Sequence[str]) -> list[str] | None:
    """The lines with the indentation that a forum ate; None where it is there, or where none is missing.

    A block goes on to a blank line, to a ``return`` or its like, or to what cannot stand in it; a ``return`` is the
    function's own unless it stands alone below an ``if``.

    >>> print("\\n".join(indented(["def f(x):", "s = 0", "for v in x:", "s += v", "return s", "", "y = f([1])"])))
    def f(x):
        s = 0
        for v in x:
            s += v
        return s
    <BLANKLINE>
    y = f([1])
    """
    if any(line[:1].isspace() for line in lines if line.strip()) or not _headless(lines):
        return None
    out: list[str] = []
    blocks: list[str] = []  # the words that opened the blocks around
    before = ""
    for text in (line.strip() for line in lines):
        follows = _HEADER.match(before) or before.startswith("@")  # then there is no choice
        if text and not follows:
            blocks = _around(text, blocks, after_blank=not before)
        elif not text and not follows:
            blocks = blocks[: blocks[:1] == ["class"]]
        out.append("    " * len(blocks) + text if text else "")
        header = _HEADER.match(text)
        if header:
            blocks = [*blocks, header[1]]
        elif _LEAVES.match(text) and blocks:
            blocks = blocks[:-1]
        before = text if text or not follows else before
    return out


def _around(text: str, blocks: list[str], *, after_blank: bool) -> list[str]:
    """The blocks that a line stands in, of those that are open before it."""
    inside = ["class"] if blocks[:1] == ["class"] else []
    if text.startswith(("def ", "async def ")):
        return inside if re.match(r"(async )?def \w+\(\s*(self|cls)\b", text) else []
    if text.startswith("@"):
        return inside
    if _OUTER.match(text) or (after_blank and blocks == ["class"]):
        return []
    again = _AGAIN.match(text)
    if again:
        for k in range(len(blocks) - 1, -1, -1):
            if blocks[k] in ("if", "elif", "for", "while", "try", "except"):
                return blocks[:k]
    if text.startswith("return"):
        for k in range(len(blocks) - 1, -1, -1):
            if blocks[k] == "def":
                return blocks[: k + 1]
    return blocks


def _headless(lines: Sequence[str]) -> bool:
    """Whether a block has no body."""
    full = [line for line in lines if line.strip()]
    return any(_HEADER.match(a) and not b[:1].isspace() for a, b in itertools.pairwise(full))


# ------------------------------------------------------------------------------------------------ missing names

_IMPORTS = {
    "np": "import numpy as np",
    "torch": "import torch",
    "nn": "from torch import nn",
    "F": "import torch.nn.functional as F",
    "optim": "from torch import optim",
    "plt": "import matplotlib.pyplot as plt",
    "pd": "import pandas as pd",
    "xrange": "xrange = range",
    "raw_input": "raw_input = input",
    **{name: f"import {name}" for name in "numpy math random scipy time os sys copy itertools functools".split()},
}


def missing_imports(tree: ast.Module, known: Collection[str] = ()) -> list[str]:
    """The statements that give a meaning to names which the code uses, nobody defines, and everybody knows.

    >>> missing_imports(ast.parse("w = torch.tensor(np.pi)"))
    ['import numpy as np', 'import torch']
    """
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    used = {n.id for n in names if isinstance(n.ctx, ast.Load)}
    bound = {n.id for n in names if not isinstance(n.ctx, ast.Load)} | set(dir(builtins)) | set(known)
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.Import() | ast.ImportFrom():
                if any(a.name == "*" for a in node.names):
                    return []
                bound |= {(a.asname or a.name).split(".")[0] for a in node.names}
    return [line for name, line in _IMPORTS.items() if name in used - bound]


def with_statements(code: Sequence[str], statements: Sequence[str]) -> list[str]:
    """The code with these statements before it: on a line that was left empty, or before the first simple statement."""
    out, text = list(code), "; ".join(statements)
    first = next((k for k, line in enumerate(out) if line.strip()), 0)
    if first:
        out[first - 1] = text
        return out
    for node in ast.parse("\n".join(out)).body:
        if not hasattr(node, "body") and not _is_future(node):
            k = node.lineno - 1
            out[k] = f"{text}; {out[k]}"
            break
    return out


def _is_future(node: ast.stmt) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
