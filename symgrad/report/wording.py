"""Words: lists of names, counts with their nouns, sentences."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["counted", "listed", "plural", "sentence", "unbroken"]


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def counted(n: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "point"), counted(3, "branch")
    ('1 point', '3 branches')
    """
    return f"{n} {noun if n == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """More than one.

    >>> plural("gradient"), plural("branch"), plural("entry")
    ('gradients', 'branches', 'entries')
    """
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("ch", "s", "x")) else f"{noun}s"


def unbroken(text: str) -> str:
    """Words that stay on one line.

    >>> " " in unbroken("d h / d w")
    False
    """
    return text.replace(" ", "\xa0")


def sentence(text: str) -> str:
    """Text that begins and ends as a sentence does; a name or a formula at its beginning is left as it is.

    >>> sentence("no chain of rules was found"), sentence("w_h is cut off.")
    ('No chain of rules was found.', 'w_h is cut off.')
    """
    first = text.split(" ", 1)[0]
    text = text[0].upper() + text[1:] if first.isalpha() and first.islower() and len(first) > 1 else text
    return text if text.endswith((".", "!", "?")) else f"{text}."
