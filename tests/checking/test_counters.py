"""What a counter can be: each claim is held against the code itself, run with many numbers."""

from __future__ import annotations

import linecache

import pytest

from symgrad.checking.counters import never
from symgrad.program.program import Source

CODE = {
    "a loop that is left": """
        n = 0
        for n in range(1, 4):
            if v < n:
                break
        {ask}
    """,
    "a loop with an end": """
        n = 0
        while v > n and n < 6:
            n = n + 1
        {ask}
    """,
    "clamped": """
        n = 0
        for n in range(int(V(v).clamp(max=3.0))):
            pass
        {ask}
    """,
    "two counters": """
        n, k = 0, 10
        while n < 3:
            n, k = n + 1, k - 1
        if v > 2:
            k -= 20
        n = k - n
        {ask}
    """,
    "what is not followed": """
        n = 0
        try:
            n = 7 // int(v)
        except ZeroDivisionError:
            pass
        {ask}
    """,
    "inside of a block": """
        n = 0
        with nothing():
            n = int(v)
            {ask}
    """,
    "a name of its own": """
        n = 0
        out = [n == 2 for n in range(int(v))]
        {ask}
    """,
    "the remainder": """
        n = int(v) % 3
        {ask}
    """,
    "turns that go on": """
        n = 0
        for k in range(5):
            if v > k:
                continue
            n += 2
        {ask}
    """,
}
ASKED = ["n == 0", "n > 2", "n <= 3", "n == 3", "n > 3", "n != 1", "n < 0", "n >= 6"]


class V(float):
    def clamp(self, max):
        return V(min(self, max))


class nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


def outcomes(name: str, asked: str) -> tuple[set[bool], Source]:
    """How the comparison comes out when the code runs, and where it stands."""
    lines = [line[8:] for line in CODE[name].strip("\n").splitlines()]
    lines = ["def f(v, told):", *(f"    {line}" for line in lines)]
    lines = [line.replace("{ask}", f"told.add(True) if {asked} else told.add(False)") for line in lines]
    text, file = "\n".join(lines) + "\n", f"<counter {name} {asked}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    scope = {"V": V, "nothing": nothing}
    exec(compile(text, file, "exec"), scope)
    told: set[bool] = set()
    for v in range(-1, 40):
        scope["f"](v / 4, told)
    k = next(k for k, line in enumerate(lines) if asked in line and "told" in line)
    line = lines[k].strip()
    return told, Source(line, file, k + 1, (line.index(asked), line.index(asked) + len(asked)))


@pytest.mark.parametrize("name", CODE)
def test_what_comes_out_is_never_excluded(name):
    for asked in ASKED:
        told, source = outcomes(name, asked)
        assert not any(never(source, way) for way in told), asked


@pytest.mark.parametrize(
    ("name", "asked", "way"),
    [
        ("a loop that is left", "n == 0", True),
        ("a loop that is left", "n <= 3", False),
        ("a loop with an end", "n >= 6", None),
        ("a loop with an end", "n < 0", True),
        ("clamped", "n > 2", True),
        ("clamped", "n == 3", True),
        ("two counters", "n <= 3", None),
        ("two counters", "n == 3", None),
        ("the remainder", "n > 2", True),
        ("the remainder", "n == 3", True),
    ],
)
def test_what_cannot_come_out_is_shown(name, asked, way):
    told, source = outcomes(name, asked)
    assert [w for w in (True, False) if never(source, w)] == ([] if way is None else [way])
    assert way not in told


def test_a_name_that_is_bound_anew_is_not_understood():
    file, text = (
        "<shadow>",
        "def range(*_):\n    return [7]\ndef f():\n    for n in range(1, 4):\n        pass\n    n == 7\n",
    )
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    assert not never(Source("n == 7", file, 6, (0, 6)), True)
