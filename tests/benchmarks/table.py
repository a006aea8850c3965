"""The README's table of speeds: CPU time of verify beside gradcheck's, both warm, in turns and in one run.

``python tests/benchmarks/table.py`` prints it; with ``--write`` it also goes into the README.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from cases import CASES, Case
from questions import QUESTIONS, posts

from symgrad import verify

README = Path(__file__).resolve().parents[2] / "README.md"
MARK = "<!-- table: python tests/benchmarks/table.py --write -->"


def medians(*works: Callable[[], object], seconds: float = 4.0) -> list[float]:
    """The median CPU time of each, after a first call of each: in turns, so that a busy machine slows them alike."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    while len(times[0]) < 3 or (sum(map(sum, times)) < seconds and len(times[0]) < 50):
        for work, taken in zip(works, times, strict=True):
            start = time.process_time()
            work()
            taken.append(time.process_time() - start)
    return list(map(statistics.median, times))


def rows() -> Iterator[str]:
    yield "| gradient | symgrad says | symgrad | gradcheck | ratio |"
    yield "|---|---|---|---|---|"
    for case in CASES:
        ours, theirs = medians(lambda c=case: _verify(c), case.gradcheck)
        yield f"| {case.name} | {_verify(case).verdict} | {_time(ours)} | {_time(theirs)} | {ours / theirs:.2g} |"
    asked = ((q.name, *q.asked()) for q in QUESTIONS)
    for name, said, taken in itertools.chain(asked, posts()):
        yield f"| {name} | {said} | {'-' if taken is None else _time(taken)} | - | - |"


def _verify(case: Case):
    return verify(case.model, case.hand, wrt=case.wrt, at=case.at)


def _time(seconds: float) -> str:
    """Two digits: 1.2 s, 257 ms, 7.7 ms.

    >>> _time(1.234), _time(0.2571), _time(0.00771)
    ('1.2 s', '257 ms', '7.7 ms')
    """
    if seconds >= 0.995:
        return f"{seconds:.2g} s"
    return f"{seconds * 1e3:.0f} ms" if seconds > 0.0095 else f"{seconds * 1e3:.2g} ms"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="put the table into the README")
    write = options.parse_args().write
    torch.set_num_threads(1)
    lines = []
    for row in rows():
        print(row, flush=True)
        lines.append(row)
    if write:
        text = README.read_text(encoding="utf-8")
        table = "\n".join(lines)
        old = rf"{re.escape(MARK)}\n(\n(\|[^\n]*\n)+)?"
        README.write_text(re.sub(old, f"{MARK}\n\n{table}\n", text), encoding="utf-8")


if __name__ == "__main__":
    main()
