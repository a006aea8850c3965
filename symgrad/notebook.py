"""The notebook's door: the cell magic ``%%symgrad``.

``%load_ext symgrad``, and then ``%%symgrad`` at the top of a cell that calls autograd and has a derivation by hand: the
cell is judged as a script, with the variables of the cells before it.  Words after ``%%symgrad`` are options, as in
``%%symgrad output=loss wrt=W,b seed=1 assuming="sum(y) = 1"``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from symgrad.errors import BadInput, close_names

_OPTIONS: dict[str, Callable[[str], Any]] = {
    "output": str,
    "domain": str,
    "assuming": str,
    "wrt": lambda value: value.split(","),
    "seed": int,
    "points": int,
    "effort": float,
    "unreached": str,
}


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext symgrad`` calls."""

    def magic(line: str, cell: str) -> Any:
        return judge_cell(line, cell, shell.user_ns)

    shell.register_magic_function(magic, "cell", "symgrad")


def judge_cell(line: str, cell: str, namespace: dict[str, Any]) -> Any:
    """The report on a cell.

    Raises `BadInput` for an option that there is not, and what `verify_script` raises.
    """
    from symgrad.api.script_verifier import verify_script
    from symgrad.lifting.scripts.child_process import sendable

    options: dict[str, Any] = {}
    try:
        words = shlex.split(line)
    except ValueError:
        raise BadInput(f"a quotation mark in {line!r} is not closed.", instead="Close it.") from None
    for word in words:
        name, equals, value = word.partition("=")
        try:
            options[name] = _OPTIONS[name](value)
        except (KeyError, ValueError):
            equals = ""
        if not equals or not value:
            near = close_names(name.strip("-"), _OPTIONS)
            raise BadInput(
                f"%%symgrad has no option {word!r}.",
                instead=f"{near + ' ' if near else ''}Write them as in %%symgrad output=loss wrt=W,b seed=1 points=64.",
            )
    return verify_script(cell, namespace=sendable(namespace), **options)
