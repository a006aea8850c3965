"""Is the answer always the same?  The same questions with the same seed, in fresh processes, beside a busy core.

Every process has its own hash seed, so that the order of sets differs; every second run has a busy loop beside it, and
half of them have two threads.
Prints how many different texts were seen for each question; one is right.

    python tests/trust/steadiness.py [runs]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

QUESTIONS = Path(__file__).with_name("steady_questions.py")


def texts(hash_seed: int, *, loaded: bool = False, threads: int = 1) -> list[str]:
    """The reports' texts from a fresh process, with another that keeps a core busy if asked."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": str(threads)}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if loaded else None
    try:
        out = subprocess.run(
            [sys.executable, QUESTIONS], env=environment, check=True, capture_output=True, text=True, timeout=600
        )
    finally:
        if busy is not None:
            busy.kill()
            busy.wait()
    return json.loads(out.stdout)


def different(runs: Sequence[Sequence[str]]) -> list[int]:
    """How many different texts each question got."""
    return [len(set(answers)) for answers in zip(*runs, strict=True)]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(
        different([texts(k, loaded=bool(k % 2), threads=1 + k // 2 % 2) for k in range(count)]),
        f"different texts in {count} runs",
    )
