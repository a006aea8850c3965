"""Questions that gradcheck is not asked, or could not answer in any time: what each costs, and what is said.

Each runs in a process of its own, with one question of the same kind before it where it is about a warm process; its
CPU time is that of the answer alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
POSTS = HERE.parent / "posts"

ASKED = """
import sys, time
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(1)
import cases
from symgrad import verify, verify_function
def ask(case):
    return verify(case.model, case.hand, wrt=case.wrt, at=case.at)
{before}
start = time.process_time()
report = {question}
taken = time.process_time() - start
found = "" if not {slip!r} else ", its line" if report.wrong_steps == ({slip!r},) else ", another line"
print(report.verdict + found, taken, sep="\\t")
"""


@dataclass(frozen=True)
class Question:
    """``question`` is an expression, and ``before`` what is run first; both know the cases.  ``slip`` is the line that
    is to be found wrong."""

    name: str
    question: str
    before: str = "ask(cases.sigmoid_net(4, 3))"
    slip: str = ""
    seconds: float = 120.0

    def asked(self) -> tuple[str, float | None]:
        """What is said, and the CPU time of it; no time where there is no answer within ``seconds``."""
        code = ASKED.format(here=str(HERE), before=self.before, question=self.question, slip=self.slip)
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=self.seconds
            )
        except subprocess.TimeoutExpired:
            return "no answer", None
        said, taken = done.stdout.strip().splitlines()[-1].split("\t")
        return said, float(taken)


WARM = "ask(cases.rnn(3))"
QUESTIONS = [
    Question("sigmoid net, 1024 x 256", "ask(cases.sigmoid_net(1024, 256))"),
    Question("RMS norm as a function, 128 x 256", "verify_function(cases.RMSNorm, at=cases.rms_point(128, 256))"),
    Question("RMS norm as a function, 4096 x 4096", "verify_function(cases.RMSNorm, at=cases.rms_point(4096, 4096))"),
    Question("attention, 128 x 64", "ask(cases.attention(128, 64))"),
    Question("relu net, 784-128-10, batch 32", "ask(cases.relu_net(784, 128, 10, 32))"),
    Question("a slip in a tanh RNN, T = 50", "ask(cases.rnn(50, slip=True))", WARM, "dh_raw"),
    Question("a slip in 300 lines of a tanh RNN", "ask(cases.unrolled(150, slip=75))", WARM, "d75"),
    Question("a slip in an RMS norm, 64 x 512", "ask(cases.rms_norm(64, 512, slip=True))", slip="return"),
    Question("the first question in a process, after its imports", "ask(cases.sigmoid_net(10, 3))", "pass"),
]


def posts() -> Iterator[tuple[str, str, float]]:
    """The posts by the command line, each in a process of its own: what is said, and its CPU time beyond that of
    importing SymPy and torch."""
    bare = _cpu([sys.executable, "-c", "import sympy, torch"])[1]
    for path in sorted(POSTS.glob("*.txt")):
        text, taken = _cpu([sys.executable, "-m", "symgrad", "check", str(path)])
        yield f"{path.name} by the command line", _first_line(text), taken - bare


def _cpu(command: list[str]) -> tuple[str, float]:
    """What a process prints, and its CPU time and its children's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return text, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _first_line(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "nothing")
    return textwrap.shorten(line.partition(":")[0].lower(), 40)
