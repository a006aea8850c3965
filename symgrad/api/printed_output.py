"""What a post shows as printed, beside what its code prints when it is run.

A line of output is found again by what stands between its numbers.  A number agrees with another where the two differ
by at most one in the last digit that was printed, or by the last bits of a float: libraries and machines round
differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import numpy as np

from symgrad.lifting.scripts.extraction import Pasted
from symgrad.report.wording import counted

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?<!\w)[-+]?(?:nan|inf)(?!\w)")
_ULPS = 4  # by which two machines may differ
_SHOWN = 3  # lines that differ, of those that are told


def other_outputs(pasted: Pasted, printed: str, random: bool) -> tuple[str, ...]:
    """Sentences about the lines that a post shows as printed: whether the run prints them too.

    ``random`` says that the script draws numbers: without a seed of its own, what it prints is another draw.
    """
    pairs = list(_pairs(pasted, printed))
    if not pairs:
        return ()
    lines = counted(len(pairs), "line")
    other = [(k, shown, now) for k, shown, now in pairs if not _agree(shown, now)]
    if not other:
        of = (
            "line of output that the post shows is" if len(pairs) == 1 else f"{lines} of output that the post shows are"
        )
        return (f"The {of} what the run prints.",)
    if random and "seed(" not in pasted.code:
        return ("What the post shows as printed comes of random numbers, which are others in this run.",)
    told = [
        f"Line {k} of the post shows {shown.strip()!r}, and the run prints {now.strip()!r}." for k, shown, now in other
    ]
    more = len(told) - _SHOWN
    tail = (f"So do {counted(more, 'line')} more.",) if more > 0 else ()
    return (*told[:_SHOWN], *tail)


def _pairs(pasted: Pasted, printed: str) -> Iterator[tuple[int, str, str]]:
    """The lines of a post that a line of the run's output stands for: number, text, and the run's line.

    Output is printed in its order; of a line that is printed again and again, the post may show any.
    """
    now = [line for line in printed.splitlines() if _NUMBER.search(line)]
    forms = [_form(line) for line in now]
    free = list(range(len(now)))
    for number, line in pasted.left_out:
        alike = [k for k in free if forms[k] == _form(line)] if _NUMBER.search(line) else []
        if alike:
            k = next((k for k in alike if _agree(line, now[k])), alike[0])
            free.remove(k)
            yield number, line, now[k]


def _form(line: str) -> str:
    """What stands between the numbers of a line, without spaces."""
    return re.sub(r"\s+", "", _NUMBER.sub("#", line))


def _agree(shown: str, now: str) -> bool:
    one, other = _NUMBER.findall(shown), _NUMBER.findall(now)
    return len(one) == len(other) and all(map(_equal, one, other))


def _equal(one: str, other: str) -> bool:
    """Whether two numbers are one to the digits that both were printed with, or to the last bits of their floats.

    >>> _equal("8.1888", "8.18881"), _equal("8.1888", "8.21"), _equal("-40.2", "40.2"), _equal("1e-9", "2.2e-9")
    (True, False, False, False)
    """
    if one == other:
        return True
    try:
        a, b = Decimal(one), Decimal(other)
    except InvalidOperation:
        return False
    if not (a.is_finite() and b.is_finite()):
        return str(a) == str(b)
    kind = np.float32 if all(float(np.float32(x)) == float(x) for x in (one, other)) else np.float64
    last_bits = _ULPS * Decimal(float(np.spacing(kind(max(abs(a), abs(b))))))
    return abs(a - b) <= max(_digit(a), _digit(b), last_bits)


def _digit(number: Decimal) -> Decimal:
    """One in the last place that was printed."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(exponent)
