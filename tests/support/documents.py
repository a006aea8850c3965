"""A document's Python run in one process, and what it prints beside what the document shows.

``python -m support.documents ../README.md ../notebooks/gallery.md``, in ``tests``, puts what is printed into them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
BLOCKS = re.compile(r"^```(python|text)\n(.*?)^```$", re.M | re.S)
OPEN = "from support.golden import keep_places_open; keep_places_open()"  # what floats did is left out


def run(command: list[str]) -> str:
    """What a command prints, with this checkout's symgrad."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": path, "TQDM_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown_and_printed(path: Path, first: str = "pass") -> Iterator[tuple[str, str]]:
    """Each text of a document, and what the Python before it prints after the statement ``first``."""
    blocks = BLOCKS.findall(path.read_text(encoding="utf-8"))
    script = "\nprint(chr(30), end='')\n".join(text for language, text in blocks if language == "python")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.stem.lower()}.py"
        file.write_text(script, encoding="utf-8")
        begin = f"{first}; import runpy; runpy.run_path({str(file)!r}, run_name='__main__')"
        printed = iter(run([sys.executable, "-W", "error", "-c", begin]).split(chr(30)))
    was = ""
    for language, text in blocks:
        if language == "python":
            was = next(printed)
        else:
            yield text, was


def write(path: Path) -> None:
    """Put what is printed into a document."""
    answers = (printed for _, printed in shown_and_printed(path))
    text = path.read_text(encoding="utf-8")
    text = BLOCKS.sub(lambda m: m[0] if m[1] == "python" else f"```text\n{next(answers).rstrip()}\n```", text)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(Path(name))
