"""Answers as the command line finds them, one of each kind, with letters in them that formats have to escape."""

from symgrad.files.answers import Answer, Answers, ClaimAnswer, Failure, Skipped, WrongLine

STRANGE = "50% of it:\na, b <c> & \x00\x1b[31md"


def answer(file: str, verdict: str, **known) -> Answer:
    known = {"claims": (ClaimAnswer("w", verdict),), **known}
    return Answer(
        file, known.pop("name", None), known.pop("line", None), verdict, f"{verdict}: {STRANGE}", 1.25, **known
    )


RIGHT = answer("right.py", "proved")
WRONG = answer(
    "folder/wrong one.py",
    "refuted",
    claims=(
        ClaimAnswer("w", "refuted", {"w": 1.0, "x": [0.5, "nan"]}, (0, 1), "0.5", "0.25"),
        ClaimAnswer("b", "agrees"),
    ),
    wrong_lines=(WrongLine("dw", 7, "dw = a", STRANGE, "a", "b", True), WrongLine("db", None, "db = c")),
    repaired_source="dw = b\n",
    seed=3,
    text="Wrong, in full.",
)
NAMED = answer("kernels.py", "refuted", name="Cube", line=12)
IN_A_CELL = answer("net.ipynb", "refuted", wrong_lines=(WrongLine("dw", 3, "dw = a", cell=2),))
UNDECIDED = answer("open.py", "undecided", line=4)
FAILED = answer("gone.py", "failed", claims=(), error=Failure("BadInput", STRANGE, "    here", "Do otherwise."))
EVERYTHING = Answers((RIGHT, WRONG, NAMED, IN_A_CELL, UNDECIDED, FAILED), (Skipped("notes.md", f"none: {STRANGE}"),))
