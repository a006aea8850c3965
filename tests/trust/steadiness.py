"""Is the answer always the same?  The same questions with the same seed, in fresh processes, beside a busy core.

Every process has its own hash seed, so that the order of sets differs; every second run has a busy loop beside it.
Prints how many different texts were seen for each question; one is right.

    python tests/trust/steadiness.py [runs]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

QUESTIONS = """
import json, sys
import sympy as sp
from symgrad import verify
x, a, b = sp.symbols("x a b", real=True)
asked = [
    (sp.sqrt(x)*sp.sqrt(a + x) - a*sp.log(sp.sqrt(x) + sp.sqrt(a + x)), sp.sqrt(x)/sp.sqrt(a + x), "x"),
    (sp.tanh(a*x)*sp.polylog(2, -sp.exp(x)), sp.Integer(1), "x"),
    (sp.Max(x, a)**2*sp.Abs(b), 2*x*sp.Abs(b), "x"),
    ("tanh(w*tanh(w*x))", "(1 - tanh(w*tanh(w*x))**2)*(tanh(w*x) + w*x*(1 - tanh(w*x)**2))", "w"),
    ("log(x**2 + 1)*erf(y)", "2*x*erf(y)/(x**2 + 1) + 1/10**12", "x"),
]
print(json.dumps([str(verify(f, h, wrt=w, seed=7)) for f, h, w in asked]))
"""


def texts(hash_seed: int, *, loaded: bool = False) -> list[str]:
    """The reports' texts from a fresh process, with another that keeps a core busy if asked."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1"}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if loaded else None
    try:
        out = subprocess.run(
            [sys.executable, "-c", QUESTIONS], env=environment, check=True, capture_output=True, text=True, timeout=300
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
    print(different([texts(k, loaded=bool(k % 2)) for k in range(count)]), f"different texts in {count} runs")
