"""The full numbers: ``python -m derivations FIRST LAST`` in this folder's parent, over the seeds FIRST <= s < LAST."""

from __future__ import annotations

import sys

from derivations.diagnosing import measure


def main() -> None:
    first, last = (int(a) for a in sys.argv[1:3])
    for slips in (0, 1, 2):
        count, missed = measure(range(first, last), slips)
        kinds = sum(1 for name in count if name.startswith("kind "))
        print(f"{slips} slips: {count['made']} derivations, {kinds} kinds, {count['refuted']} refuted,", end=" ")
        print(f"{count['accused']} accused, {count['exact']} located exactly")
        print(*missed, sep="\n")


if __name__ == "__main__":
    main()
