"""A file that defines what is asked: it is run as Python would run it, and its names are taken from it.

A model and a hand formula, or functions with a backward of their own, and the point at which they are asked.  Settings
(wrt, order, domain, assuming, dtype, seed) count only where the file itself binds them: a name that came with ``from
sympy import *`` is none.
"""

from __future__ import annotations

import importlib.util
import inspect
import linecache
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from symgrad.errors import BadInput, SymgradError, UnknownName, UserCodeFailed, close_names
from symgrad.files.question_kinds import Names
from symgrad.lifting.scripts.child_process import limited
from symgrad.lifting.scripts.script_record import Limits

_OURS = str(Path(__file__).resolve().parent.parent)  # where symgrad's own code is

SETTINGS = ("wrt", "order", "domain", "assuming", "dtype", "seed")


def load(path: Path, code: str | None = None) -> ModuleType:
    """The file as a module, with the files beside it importable, as when Python runs it; nothing is written there, no
    bytecode either, which would stand for a file that was changed within the second.

    ``code`` is what is run where the file holds more than code: the cells of a notebook, the blocks of a post.

    Raises `UserCodeFailed` where the file itself fails, from what it raised.
    """
    name = path.stem if path.stem.isidentifier() else "_symgrad_file"
    module = _from_code(path, name, code) if code is not None else None
    spec = importlib.util.spec_from_file_location(name, path) if module is None else None
    if spec is not None:
        module = importlib.util.module_from_spec(spec)
    assert module is not None
    limits = Limits()
    sys.path.insert(0, str(path.resolve().parent))
    kept = sys.modules.get(name)
    sys.modules[name] = module
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with limited(str(path), limits.seconds, limits.memory):
            if code is not None:
                exec(compile(code, str(module.__file__), "exec"), module.__dict__)
            elif spec is not None and spec.loader is not None:
                spec.loader.exec_module(module)
    except SymgradError:
        raise
    except (Exception, SystemExit) as error:
        what = "exited" if isinstance(error, SystemExit) else "failed"
        why = "" if isinstance(error, SystemExit) else f"    {type(error).__name__}: {error}"
        raise UserCodeFailed(f"{path} {what} before anything could be checked.", where=why or None) from error
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(path.resolve().parent))
        if kept is not None:
            sys.modules[name] = kept
    return module


def _from_code(path: Path, name: str, code: str) -> ModuleType:
    """An empty module, whose lines are those of ``code`` wherever they are looked up."""
    module = ModuleType(name)
    module.__file__ = f"<code of {path.name}>"
    linecache.cache[module.__file__] = (len(code), None, code.splitlines(keepends=True), module.__file__)
    return module


def sides(module: ModuleType, names: Names) -> tuple[Any, Any, Any]:
    """The model, the hand formula and the point of a module."""
    model, hand = wanted(module, names.model, "--model"), wanted(module, names.hand, "--hand")
    return model, hand, point(module, names)


def point(module: ModuleType, names: Names) -> Any:
    """The point of a module; None where it has none."""
    at = getattr(module, "at", None) if names.at == "at" else wanted(module, names.at, "--at")
    if at is not None and not isinstance(at, Mapping):
        raise BadInput(
            f"{names.at} in {_called(module)} is a {type(at).__name__}.",
            instead="Make it a mapping from input to number, array, tensor or shape.",
        )
    return at


def settings(module: ModuleType, bound: Collection[str]) -> dict[str, Any]:
    """What a file says beside the two sides, in the names that it binds by itself."""
    return {name: getattr(module, name) for name in SETTINGS if name in bound and hasattr(module, name)}


def point_of(function: type, module: ModuleType, names: Names) -> Any:
    """The arguments at which a function with a backward of its own is asked.

    They are the class's own ``at``, or the module's: a mapping from the classes' names to their arguments, or from the
    names of arguments to values, which may be of several functions, each of which has its own.
    """
    own = vars(function).get("at")
    if own is not None:
        return own
    at = point(module, names)
    if at is None:
        raise BadInput(
            f"there is no at for {function.__name__} in {_called(module)}.",
            instead="Write at = {...} into the class or the module: a mapping from forward's arguments to values or "
            "shapes.",
        )
    if isinstance(at.get(function.__name__), Mapping):
        return at[function.__name__]
    forward = getattr(function, "forward", None)
    taken = list(inspect.signature(forward).parameters) if forward is not None else []
    return {n: v for n, v in at.items() if n in taken} or at


def wanted(module: ModuleType, name: str, option: str) -> Any:
    """What a module calls so.  Raises `UnknownName` where it has no such name."""
    if hasattr(module, name):
        return getattr(module, name)
    known = [n for n in vars(module) if not n.startswith("_") and not isinstance(vars(module)[n], ModuleType)]
    near = close_names(name, known)
    raise UnknownName(
        f"{_called(module)} has no {name!r}.", instead=f"{near + ' ' if near else ''}Name another one with {option}."
    )


def _called(module: ModuleType) -> str:
    return Path(str(module.__file__)).name


# ------------------------------------------------------------------------------------------------ its own failures


def own_traceback(error: BaseException, path: Path) -> str:
    """A traceback that begins where the user's file does, and has no frames of symgrad's own in it."""
    found = next((t for t in _frames(error.__traceback__) if _is_in(t, path)), None)
    told = traceback.TracebackException(type(error), error, found)
    told.stack = traceback.StackSummary.from_list([f for f in told.stack if not f.filename.startswith(_OURS)])
    return "".join(told.format())


def _frames(frame: TracebackType | None) -> Iterator[TracebackType]:
    while frame is not None:
        yield frame
        frame = frame.tb_next


def _is_in(frame: TracebackType, path: Path) -> bool:
    name = frame.tb_frame.f_code.co_filename
    return name == f"<code of {path.name}>" or Path(name).resolve() == path.resolve()
