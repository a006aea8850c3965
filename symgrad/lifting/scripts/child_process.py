"""A question about a script, answered in a process of its own: what the script does stays there, the answer comes back.

The process is a fork of this one where that is safe, and a new interpreter elsewhere.  It works in a folder of its own,
in which all that lies in the current one can be read; its output goes nowhere, and it has no input.  It writes what it
found into a file, pickled: the answer, or the error.  One that ends without having written anything was ended, by its
own code or by a limit, and faulthandler has written down at which line.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import io
import json
import linecache
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from symgrad.errors import BadInput, SymgradError, UserCodeFailed
from symgrad.lifting.tracing.sources import is_users_file
from symgrad.progress import Interrupted, interrupt

T = TypeVar("T")

_START = (  # until it can answer, an interrupt ends it without a word
    "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "from symgrad.lifting.scripts.child_process import serve_alone; serve_alone()"
)
_FRAME = re.compile(r'File "(.*)", line (\d+) in ')
_DEEP = 100_000  # how deep an answer may be
_ENDED = "The process that it ran in has ended with it; nothing else was touched."


@dataclass(frozen=True)
class Room:
    """The files of one process: its question, its answer, what faulthandler says, what runs, and its own folder."""

    folder: Path

    question = property(lambda self: self.folder / "question")
    answer = property(lambda self: self.folder / "answer")
    faults = property(lambda self: self.folder / "faults")
    running = property(lambda self: self.folder / "running")
    own = property(lambda self: self.folder / "own")  # made anew for each run


@dataclass(frozen=True)
class _Answer:
    """What comes back: the value, or the error and what it came from."""

    value: Any
    error: BaseException | None = None
    cause: BaseException | None = None


# ------------------------------------------------------------------------------------------------ this process


def can_fork() -> bool:
    """Whether a copy of this process can go on: on macOS its libraries may not, and CUDA cannot be used in one."""
    return hasattr(os, "fork") and sys.platform != "darwin" and not torch.cuda.is_initialized()


def answer_apart(question: Callable[[], T]) -> T:
    """What ``question()`` returns, asked in a process of its own; what it raises is raised here.

    Nothing that the question does to the interpreter, the environment or the current folder is seen here:

    >>> import os
    >>> def ask():
    ...     os.environ["SEEN"] = "1"
    ...     return os.environ["SEEN"]
    >>> answer_apart(ask), "SEEN" in os.environ
    ('1', False)

    Raises `BadInput` where a `limited` block in it takes too long, `UserCodeFailed` where the process is ended by what
    it runs: by ``os._exit``, or by a crash of the interpreter.  A Ctrl-C here is passed on to the process, which has
    some seconds to end with the answer that it knows by then; where it has none, and at a second one, that is a
    `KeyboardInterrupt`.  The answer has to be plain data that can be pickled, and so has the question where there is
    no fork.  Where this process is already one of its own, it answers itself.
    """
    if _ROOM is not None:
        return question()
    with tempfile.TemporaryDirectory(prefix="symgrad-", ignore_cleanup_errors=True) as folder:
        room = Room(Path(folder).resolve())
        ended = _forked(question, room) if can_fork() else _spawned(question, room)
        if not room.answer.exists():
            raise _told_end(room, ended)
        answer: _Answer = pickle.loads(room.answer.read_bytes())
    if isinstance(answer.error, Interrupted):
        raise KeyboardInterrupt
    if answer.error is not None:
        raise answer.error from answer.cause
    return answer.value


def _forked(question: Callable[[], Any], room: Room) -> int:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    asking = os.getpid()
    here, there = os.pipe()  # closed when this process ends, however it does
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads are not in the copy, and are not missed there
        pid = os.fork()
    if pid == 0:
        try:
            os.setsid()  # what it starts ends with it; an interrupt at the terminal is passed on to it
            os.close(there)
            if not _killed_with(asking):
                _end_with(here)
            _serve(question, room)
        finally:
            os._exit(0)
    os.close(here)
    try:
        return _waited(lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), pid)
    finally:
        os.close(there)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _spawned(question: Callable[[], Any], room: Room) -> int:
    try:
        room.question.write_bytes(_sent(question))
    except Exception as error:
        raise _not_sent("sent to", error) from error
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", _START, str(room.folder)]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
    try:
        return _waited(process.wait, process.pid)
    finally:
        process.kill()
        if process.stdin is not None:
            process.stdin.close()


_RUNNING: dict[int, bool] = {}  # the processes that are waited for, and whether they were asked to end
_GRACE = 5.0  # seconds that they have for it


def _waited(wait: Callable[[], int], pid: int) -> int:
    """The exit code that ``wait`` returns; the first Ctrl-C meanwhile is passed on."""
    try:
        try:
            _RUNNING[pid] = False
            ended = wait()
        except KeyboardInterrupt:
            _RUNNING[pid] = False
            end_all()
            ended = wait()
        if ended < 0 and _RUNNING[pid]:
            raise KeyboardInterrupt
        return ended
    finally:
        _RUNNING.pop(pid, None)


def end_all(grace: float = _GRACE) -> None:
    """Ask all processes that are waited for to end with what they know, and end them where they have not after the
    grace: the user's own code may not be at its end."""
    asked = tuple(_RUNNING)
    _RUNNING.update(dict.fromkeys(asked, True))
    _send(asked, signal.SIGINT)
    last = threading.Timer(grace, _send, [asked, getattr(signal, "SIGKILL", signal.SIGTERM)])
    last.daemon = True
    last.start()


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        if pid in _RUNNING:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _sent(thing: Any) -> bytes:
    """The bytes of what a new process is asked: with cloudpickle, functions of the user's own script too."""
    if importlib.util.find_spec("cloudpickle") is None:
        return pickle.dumps(thing)
    import cloudpickle

    return cloudpickle.dumps(thing)


def _not_sent(way: str, error: Exception) -> BadInput:
    return BadInput(
        f"what was passed cannot be {way} a new process: {error}",
        instead="Pass plain values (numbers, text, arrays, tensors), and functions that a module defines at its top "
        "level; or install cloudpickle, which sends others too.",
    )


def sendable(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that a process of its own can be given: all of them, where that is a copy of this one."""
    if can_fork():
        return dict(namespace)
    found = {}
    for name, value in namespace.items():
        with contextlib.suppress(Exception):
            _sent(value)
            found[name] = value
    return found


def known_path(path: str) -> str:
    """A path as whoever asked knows it: without the folder that this process works in."""
    return path if _ROOM is None else path.removeprefix(f"{_ROOM.own}{os.sep}")


def _told_end(room: Room, ended: int) -> SymgradError:
    """The error for a process that ended without an answer."""
    faults = room.faults.read_text(errors="replace") if room.faults.exists() else ""
    running = json.loads(room.running.read_text(encoding="utf-8")) if room.running.exists() else {}
    where = _place(faults, running)
    if "Timeout (" in faults:
        return BadInput(
            f"the script was still running after {running['seconds']:g} seconds.",
            where=where,
            instead="Make it smaller: fewer iterations, or only the part with the model and the derivation. "
            "symgrad.Limits(seconds=...) gives it more time.",
        )
    if ended < 0 or "Fatal Python error" in faults:
        name = signal.Signals(-ended).name if ended < 0 else "a fatal error"
        return UserCodeFailed(f"the script made the interpreter crash ({name}).", where=where, instead=_ENDED)
    return UserCodeFailed(
        f"the script ended its process with exit code {ended}, as os._exit() does.",
        where=where,
        instead="Leave it out; sys.exit() or an exception is an end that can be followed.",
    )


def _place(faults: str, running: dict[str, Any]) -> str | None:
    """The innermost line of the script in what faulthandler wrote about the main thread."""
    for file, line in _FRAME.findall(faults[faults.rfind("most recent call first") :]):
        if file == running.get("file"):
            text = running["lines"][int(line) - 1 : int(line)]
            return f"    {file}:{line}    {''.join(text).strip()}"
    return None


# ------------------------------------------------------------------------------------------------ the other process

_ROOM: Room | None = None  # where this process works, if it is one of these
_HOME = Path()  # and where it was asked
_FAULTS: list[Any] = []  # its file for faulthandler, which stays open
_GUARDED = False  # whether changes of files are looked at


def serve_alone() -> None:
    """What a new interpreter does."""
    room = Room(Path(sys.argv[1]))
    _end_with(os.dup(0))
    try:
        question = pickle.loads(room.question.read_bytes())
    except Exception as error:  # it goes by names that this process does not have
        question = partial(_raise, _not_sent("read in", error))
    sys.argv = [""]
    _serve(question, room)
    os._exit(0)


_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def _killed_with(asking: int) -> bool:
    """Whether the system kills this process when the one that asked has ended; Linux does."""
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        if ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0) != 0:
            return False
    except (OSError, AttributeError):
        return False
    if os.getppid() != asking:  # it has ended already
        os._exit(1)
    return True


def _end_with(pipe: int) -> None:
    """End this process, and what it started, when the other end of a pipe is closed: whoever asked is gone."""

    def watch() -> None:
        os.read(pipe, 1)
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _raise(error: Exception) -> None:
    raise error


def _serve(question: Callable[[], Any], room: Room) -> None:
    """Ask, and write the answer down."""
    try:
        _settle(room)
        answer = _Answer(question())
    except BaseException as raised:  # whatever it is, it is raised again by the one who asked
        answer = _Answer(None, _sendable(raised), _sendable(raised.__cause__))
    try:
        data = _pickled(answer)
    except Exception as error:
        data = _pickled(_Answer(None, TypeError(f"the answer is no plain data: {error}")))
    whole = room.folder / "whole"
    whole.write_bytes(data)
    whole.rename(room.answer)  # there is an answer, or there is none


def _pickled(answer: _Answer) -> bytes:
    """The answer's bytes, however deep it is, and however deep the stack was where the script gave up."""
    sys.setrecursionlimit(_DEEP)  # the process has nothing else to do any more
    before = threading.stack_size(_DEEP * 1024)
    try:
        with ThreadPoolExecutor(1) as thread:  # with a stack of its own
            return thread.submit(pickle.dumps, answer).result()
    finally:
        threading.stack_size(before)


def _sendable(error: BaseException | None) -> BaseException | None:
    """An exception as it can be pickled, with its traceback as a note, where it is not one of ours."""
    if error is None or isinstance(error, SymgradError):
        return error
    text = "".join(traceback.format_exception(error)).rstrip()
    try:
        sent = pickle.loads(pickle.dumps(error))
        if type(sent) is not type(error):
            raise TypeError
    except Exception:
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note(f"In the process that ran the script:\n{text}")
    return sent


class _NoInput(io.TextIOBase):
    """An input that nobody types into."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        raise BadInput("the script asks for input().", instead="Write the value into the script.")

    def read(self, size: int | None = -1, /) -> str:
        return self.readline()


def _settle(room: Room) -> None:
    """Make this process one whose doings stay in it."""
    global _ROOM, _HOME
    _ROOM, _HOME = room, Path.cwd()
    signal.signal(signal.SIGINT, interrupt)
    torch.set_num_threads(1)  # a fork has none of the threads that its parent's libraries count on
    sys.stdin = _NoInput()
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # it ends with the process
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    sys.dont_write_bytecode = True
    tempfile.tempdir = None
    os.environ.update(
        dict.fromkeys(("TMPDIR", "TEMP", "TMP", "TORCHINDUCTOR_CACHE_DIR"), str(room.folder)),
        MPLBACKEND="Agg",
        PYTHONBREAKPOINT="0",
        TORCHDYNAMO_DISABLE="1",  # what torch.compile makes could not be followed: functions stay as they are written
    )
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use("Agg")
    _FAULTS.append(room.faults.open("w"))
    faulthandler.enable(_FAULTS[0])
    _begin_folder()
    sys.addaudithook(_keep_to_own_folder)


# ------------------------------------------------------------------------------------------------ its limits


@contextlib.contextmanager
def limited(file: str, seconds: float, memory: int) -> Iterator[None]:
    """A block in which code of the user's runs, which ends the process where it takes longer than ``seconds``.

    It begins in a fresh folder of its own and with the same environment each time, so that all runs see the same.
    ``memory`` is how many bytes it may take beside those that are taken already; beyond, Python raises a
    `MemoryError`, where the system lets a process limit itself.  Outside of `answer_apart` nothing is limited.
    """
    if _ROOM is None:
        yield
        return
    lines = linecache.getlines(file)
    told = json.dumps({"file": file, "lines": lines, "seconds": seconds})
    _ROOM.running.write_text(told, encoding="utf-8")
    environment = dict(os.environ)
    _begin_folder()
    with _less_memory(memory):
        faulthandler.dump_traceback_later(seconds, exit=True, file=_FAULTS[0])
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            if dict(os.environ) != environment:
                os.environ.clear()
                os.environ.update(environment)


@contextlib.contextmanager
def _less_memory(memory: int) -> Iterator[None]:
    try:
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = taken + memory if before[1] == resource.RLIM_INFINITY else min(taken + memory, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


# ------------------------------------------------------------------------------------------------ its folder

_CHANGES = {  # what changes files: which of the arguments are paths
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime"), (0,)),
    "os.rename": (0, 1),
    **dict.fromkeys(("os.link", "os.symlink"), (1,)),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _begin_folder() -> None:
    """Go to a fresh folder of its own, in which all that lies at home can be read."""
    global _GUARDED
    assert _ROOM is not None
    _GUARDED = False
    os.chdir(_HOME)
    shutil.rmtree(_ROOM.own, ignore_errors=True)
    _ROOM.own.mkdir()
    _link(_HOME, _ROOM.own)
    os.chdir(_ROOM.own)
    _GUARDED = True


def _link(there: Path, here: Path) -> None:
    """All that lies ``there`` can be read ``here``."""
    with contextlib.suppress(OSError):
        for entry in there.iterdir():
            with contextlib.suppress(OSError):
                (here / entry.name).symlink_to(entry)


def _keep_to_own_folder(event: str, arguments: tuple[Any, ...]) -> None:
    """Called by the interpreter before anything is done to a file: in the own folder it is done to a copy."""
    global _GUARDED
    if not _GUARDED or (event != "open" and event not in _CHANGES):
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or not (flags or 0) & _WRITING:
            return
        paths = [path]
    else:
        paths = [arguments[k] for k in _CHANGES[event]]
        if arguments[-1] != -1 and event in ("os.remove", "os.rmdir", "os.mkdir"):
            return  # by a descriptor of its folder, which was opened before
    _GUARDED = False  # what is done here is not the script's doing
    try:
        for path in paths:
            if isinstance(path, (str, bytes, os.PathLike)):
                _copy_into_own_folder(Path(os.path.abspath(os.fsdecode(path))))
    finally:
        _GUARDED = True


def _copy_into_own_folder(path: Path) -> None:
    assert _ROOM is not None
    if not path.is_relative_to(_ROOM.folder):
        if _is_a_librarys(path):
            return
        raise BadInput(
            f"the script changes {path}, which is outside of its folder.",
            instead="Use a path beside the script, such as 'result.txt': it is written into a folder of its own, which "
            "is removed at the end. Or leave the line out.",
        )
    at = _ROOM.own
    for part in path.relative_to(at).parts if path.is_relative_to(at) else ():
        at = at / part
        if not at.is_symlink():
            continue
        real = at.resolve()
        at.unlink()
        if real.is_dir():
            at.mkdir()
            _link(real, at)
        elif real.exists():
            shutil.copy2(real, at)


def _is_a_librarys(path: Path) -> bool:
    """Whether this is a place where libraries keep what they have computed, and no file of the user's."""
    home = Path.home()
    if path.is_relative_to(home):
        return path.relative_to(home).parts[:1] != () and path.relative_to(home).parts[0].startswith(".")
    return path.is_relative_to("/dev") or not is_users_file(str(path))
