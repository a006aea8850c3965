"""What a project says of all its questions: ``[tool.symgrad]`` in its ``pyproject.toml``.

    [tool.symgrad]
    paths = ["derivations", "docs/*.md"]
    seed = 7
    effort = 2.0
    dtype = "float32"

What a file says comes before it, and the options of the command line before both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symgrad.errors import BadInput, UnknownName, close_names

FILE = "pyproject.toml"


@dataclass(frozen=True)
class Settings:
    """A project's settings: the paths that are looked at where none is told, and what every question is asked with."""

    paths: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    jobs: int | None = None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "paths": (_are_texts, 'a list of paths: ["derivations"]'),
    "seed": (_is_whole, "a whole number: 7"),
    "effort": (_is_number, "a number: 2.0"),
    "dtype": (_is_text, 'the name of a dtype: "float32"'),
    "points": (_is_whole, "a whole number: 64"),
    "unreached": (lambda v: v in ("refuse", "accept"), '"refuse" or "accept"'),
    "jobs": (_is_whole, "a whole number: 4"),
}


def read_settings(folder: Path) -> Settings:
    """The settings of the nearest ``pyproject.toml`` in a folder or above it that has any; paths are from its folder.

    Raises `UnknownName` for a setting that there is not, `BadInput` for a value that it cannot have or a file that is
    no TOML.
    """
    for at in (folder, *folder.parents):
        if (at / FILE).is_file():
            said = _table(at / FILE)
            if said is not None:
                return _checked(said, at, folder)
    return Settings()


def _table(path: Path) -> Mapping[str, Any] | None:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} could not be read: {error}.") from error
    return said.get("tool", {}).get("symgrad")


def _checked(said: Mapping[str, Any], at: Path, folder: Path) -> Settings:
    for key, value in said.items():
        if key not in _KEYS:
            near = close_names(key, _KEYS)
            known = f"There are {', '.join(_KEYS)}."
            raise UnknownName(f"[tool.symgrad] in {at / FILE} has no setting {key!r}.", instead=near or known)
        fits, like = _KEYS[key]
        if not fits(value):
            raise BadInput(f"{key} of [tool.symgrad] in {at / FILE} is {value!r}.", instead=f"Make it {like}.")
    paths = tuple(p if at == folder else str(at / p) for p in said.get("paths", ()))
    defaults = {k: v for k, v in said.items() if k not in ("paths", "jobs")}
    return Settings(paths, defaults, said.get("jobs"))
