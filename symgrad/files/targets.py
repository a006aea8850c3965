"""What the command line was told to look at, as files: files, folders, globs, ``-``, and ``file.py::Name``."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from symgrad.errors import BadInput
from symgrad.files.question_kinds import SUFFIXES

STDIN = "<stdin>"


@dataclass(frozen=True)
class Target:
    """A file as it was called; ``named`` where it was told by itself, and not found in a folder or by a glob.

    ``name`` is the function or hand formula in it that is meant; ``content`` what was read already.
    """

    file: str
    path: Path
    name: str | None = None
    named: bool = True
    content: str | None = None

    @property
    def suffix(self) -> str:
        return ".txt" if self.file == STDIN else self.path.suffix

    @property
    def is_there(self) -> bool:
        return self.content is not None or self.path.is_file()

    def read(self) -> str:
        """The text of the file.  Raises `BadInput` where it cannot be read, or is of no kind that can be asked."""
        if self.content is not None:
            return self.content
        if not self.is_there:
            raise BadInput(f"there is no file {self.file}.")
        if self.suffix not in SUFFIXES:
            raise BadInput(
                f"{self.file} is neither a Python file nor a post, a notebook or one with formulas.",
                instead=f"Its name should end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.",
            )
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{self.file} could not be read: {error}.") from error


def targets_of(words: Sequence[str]) -> list[Target]:
    """The files that the words of a command line mean, each once, in order; those of a folder sorted.

    >>> [t.name for t in targets_of(["model.py::Cube", "model.py::Cube"])]
    ['Cube']

    Raises `BadInput` where a pattern matches nothing, or the input is not text.
    """
    found: dict[tuple[str, str | None], Target] = {}
    for word in words:
        for target in _meant(word):
            key = str(target.path if target.content is not None else Path(os.path.abspath(target.path))), target.name
            found.setdefault(key, target)
    return list(found.values())


def _meant(word: str) -> Iterator[Target]:
    if word == "-":
        yield Target(STDIN, Path(STDIN), content=_typed())
        return
    file, colons, name = word.rpartition("::")
    if colons and not Path(word).exists():
        yield Target(file, _near(file), name)
        return
    if Path(word).is_dir():
        yield from _inside(Path(word))
        return
    if glob.has_magic(word) and not Path(word).exists():
        matched = sorted(glob.glob(word, recursive=True))
        if not matched:
            raise BadInput(f"no file matches {word}.")
        for path in map(Path, matched):
            yield from _inside(path) if path.is_dir() else [Target(str(path), _near(str(path)), named=False)]
        return
    yield Target(word, _near(word))


def _inside(folder: Path) -> Iterator[Target]:
    """The files in a folder that may hold a question; environments, caches and hidden folders are not looked into."""
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__")) and not _is_environment(Path(at, f)))
        for file in sorted(files):
            if Path(file).suffix in SUFFIXES and not file.startswith("."):
                path = str(Path(at, file))
                yield Target(path, _near(path), named=False)


def _is_environment(folder: Path) -> bool:
    return folder.name == "node_modules" or (folder / "pyvenv.cfg").exists()


def _near(file: str) -> Path:
    """A path that still leads there from a folder which holds links to all that lies in this one."""
    path = Path(file)
    return path if not path.is_absolute() and ".." not in path.parts else Path(os.path.abspath(path))


def _typed() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise BadInput(f"what comes in is no text: {error}.") from error
