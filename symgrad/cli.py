"""The command line: ``symgrad check FILE``, and ``symgrad check-certificate FILE``.

Arguments are parsed, and the file is looked for, before torch and SymPy are imported: that takes seconds, and a
mistyped option should not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import importlib.util
import itertools
import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from symgrad import __version__
from symgrad.errors import BadInput, SymgradError, UnknownName, UserCodeFailed, close_names

# ----------------------------------------------------------------------------------------------------------- cli files
# The files that the command line writes: a report as a page, and code with its repairs made.


def write_page(report: Any, path: Path, source: Path) -> None:
    """Write a report as a whole HTML page.

    Raises `BadInput` where the page would replace the file that was checked, or cannot be written.
    """
    if path.exists() and path.resolve() == source.resolve():
        raise BadInput(f"--html {path} is the file that is checked.", instead="Name another file for the page.")
    try:
        path.write_text(report.to_html(page=True), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"the page could not be written: {error}.") from error


def write_new(text: str, path: Path) -> None:
    """Write a file that is not there yet.  Raises `BadInput` where it is, or cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BadInput(f"{path} is there already.", instead="Name a new file.") from None
    except OSError as error:
        raise BadInput(f"{path} could not be written: {error}.") from error


def write_beside(text: str, source: Path) -> Path:
    """Write text under a new name beside ``source``, over no file that is there already; the name.

    Raises `BadInput` where it cannot be written.
    """
    for k in itertools.count(1):
        path = source.with_name(f"{source.stem}_repaired{'' if k == 1 else f'_{k}'}{source.suffix}")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        except OSError as error:
            raise BadInput(f"the repaired file could not be written: {error}.") from error
        return path
    raise AssertionError("unreachable")


def repaired_text(text: str, repairs: Iterable[Any]) -> str | None:
    """A file's text with each repair's ``before`` replaced, on its line, by its ``after``; None where one is not found.

    A repair without a line must stand in the text exactly once.

    >>> from types import SimpleNamespace as Repair
    >>> repaired_text("h = tanh(z)\\ndh = 1 - z**2\\n", [Repair(line=2, before="1 - z**2", after="1 - h**2")])
    'h = tanh(z)\\ndh = 1 - h**2\\n'
    """
    starts = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    edits: dict[int, tuple[int, str]] = {}
    for r in repairs:
        if r.line is None:
            place = text.find(r.before) if text.count(r.before) == 1 else -1
        else:
            place = text.find(r.before, starts[r.line - 1]) if r.line <= len(starts) - 1 else -1
            place = place if r.line <= len(starts) - 1 and place < starts[r.line] else -1
        if place < 0 or edits.get(place, (0, r.after))[1] != r.after:
            return None
        edits[place] = place + len(r.before), r.after
    for place in sorted(edits, reverse=True):
        end, after = edits[place]
        text = text[:place] + after + text[end:]
    return text


# ----------------------------------------------------------------------------------------------------------------- cli

RIGHT, WRONG, UNDECIDED, COULD_NOT_RUN = 0, 1, 2, 3
_CODES = {"proved": RIGHT, "agrees": RIGHT, "refuted": WRONG, "undecided": UNDECIDED}
_SETTINGS = ("wrt", "order", "domain", "assuming", "dtype", "seed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit code.

    0: right (proved, or agrees everywhere it was looked at); 1: wrong; 2: undecided; 3: could not run.
    """
    options = _parser().parse_args(arguments)
    if options.command == "check-certificate":
        return _check_certificate(Path(options.file))
    try:
        with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):  # the file may print too
            report = _check(options)
            page = None if options.html is None else Path(options.html)
            if page is not None:
                write_page(report, page, Path(options.file))
            told = [] if page is None else [f"symgrad: wrote {page}."]
            if options.certificate is not None:
                write_new(json.dumps(report.certificate()), Path(options.certificate))
                told.append(f"symgrad: wrote {options.certificate}.")
            told += _repair(report, options) if options.repair else []
            table = report.table() if options.table else None
    except SymgradError as error:
        _show_cause(error, Path(options.file))
        print(f"symgrad: {error}", file=sys.stderr)
        return COULD_NOT_RUN
    except Exception:  # Python's own exit code for it is 1, which would say "wrong"
        traceback.print_exc()
        print("symgrad: this is a fault in symgrad, not in your file. Please report it.", file=sys.stderr)
        return COULD_NOT_RUN
    if options.json:
        print(report.to_json())
    else:
        from symgrad.report.text import print_report

        print_report(report, options.full)
    if table is not None:
        print(f"\n{table}")
    for line in told:
        print(line, file=sys.stderr)
    return _CODES[report.verdict]


def _check_certificate(path: Path) -> int:
    """Check the proofs in a certificate again: 0 if all hold, 1 if one does not, 2 if some are not whole."""
    from symgrad.proving.checker import check_certificate

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"symgrad: {path} could not be read: {error}.", file=sys.stderr)
        return COULD_NOT_RUN
    found = check_certificate(text)
    print(*found, sep="\n")
    if any(claim.rejected is not None for claim in found):
        return WRONG
    return RIGHT if all(claim.accepted for claim in found) else UNDECIDED


class _Parser(argparse.ArgumentParser):
    """A parser whose errors exit with 3: argparse's own 2 would say "undecided"."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(COULD_NOT_RUN, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="symgrad", description="Is the gradient that you derived by hand right?")
    parser.add_argument("--version", action="version", version=f"symgrad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="check the gradient in a Python file",
        description="Check the gradient in a Python file that defines a model, a hand formula and a point. "
        "The file is run. It may also set wrt, order, domain, assuming, dtype and seed; options go before them. A "
        "script that has none of these, as it is or as pasted from a post or a notebook, is taken as a whole; one in "
        "LaTeX has rows that say what f is, and then what its derivative is.",
        epilog="exit codes: 0 right, 1 wrong, 2 undecided, 3 could not run",
    )
    check.add_argument("file", metavar="FILE", help="the Python file, or one in LaTeX")
    check.add_argument("--model", default="model", metavar="NAME", help="the formula's name in it (model)")
    check.add_argument("--hand", default="hand", metavar="NAME", help="the hand formula's name in it (hand)")
    check.add_argument("--at", default=None, metavar="NAME", help="the point's name in it (at; may be missing)")
    check.add_argument("--output", metavar="NAME", help="in a whole script: the variable that is differentiated")
    check.add_argument(
        "--gradient",
        action="append",
        type=_pair,
        metavar="W=dW",
        help="in a whole script: an input, and the variable that is meant as its gradient",
    )
    check.add_argument("--wrt", type=_names, metavar="A,B", help="the inputs to differentiate with respect to")
    check.add_argument("--domain", metavar="TEXT", help='conditions on the inputs: "0 < x < s"')
    check.add_argument("--assuming", action="append", metavar="TEXT", help='a constraint on the inputs: "sum(y) = 1"')
    check.add_argument("--dtype", help="the dtype that the code is given, such as float32")
    check.add_argument("--order", type=int, choices=(1, 2), help="1 for gradients and Jacobians, 2 for Hessians")
    check.add_argument("--points", type=int, metavar="N", help="the most points to compare at (64)")
    check.add_argument("--effort", type=float, metavar="X", help="how many times as long a proof is looked for (1)")
    check.add_argument(
        "--unreached",
        choices=("refuse", "accept"),
        help="what becomes of a claim where a branch was not reached (refuse)",
    )
    check.add_argument("--seed", type=int, metavar="N", help="the seed of every random choice (0)")
    check.add_argument("--html", metavar="PAGE", help="write the report as a page of HTML too")
    check.add_argument("--certificate", metavar="FILE", help="write the proofs as data too, for check-certificate")
    check.add_argument(
        "--repair", action="store_true", help="write the file with its repairs made beside it, under a new name"
    )
    how = check.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print the report as JSON")
    how.add_argument("--full", action="store_true", help="print all that was found")
    how.add_argument(
        "--table", action="store_true", help="print the derivatives at every point too: exact, autograd's and yours"
    )
    again = commands.add_parser(
        "check-certificate",
        help="check proofs again, without the search that found them",
        description="Check the proofs that check --certificate wrote, by rules that share nothing with the search.",
        epilog="exit codes: 0 all hold, 1 one does not, 2 some are not covered whole, 3 could not run",
    )
    again.add_argument("file", metavar="FILE", help="the certificate")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("no names")
    return names


def _pair(text: str) -> tuple[str, str]:
    name, equals, variable = (part.strip() for part in text.partition("="))
    if not (name and equals and variable):
        raise argparse.ArgumentTypeError(f"{text!r} is no pair such as W=dW")
    return name, variable


def _check(options: argparse.Namespace) -> Any:
    path = Path(options.file)
    if not path.is_file():
        raise BadInput(f"there is no file {options.file}.")
    _import_pipeline()
    if _is_script(path, options):
        return _check_script(path, options)
    if path.suffix == ".tex":
        return _check_text(path, options)
    if path.suffix != ".py":
        raise BadInput(
            f"{options.file} is neither a Python file nor one in LaTeX.", instead="Its name should end in .py or .tex."
        )
    module = _loaded(path)
    model, hand = _wanted(module, options.model, "--model"), _wanted(module, options.hand, "--hand")
    at = getattr(module, "at", None) if options.at is None else _wanted(module, options.at, "--at")
    if at is not None and not isinstance(at, Mapping):
        raise BadInput(
            f"{options.at or 'at'} in {options.file} is a {type(at).__name__}.",
            instead="Make it a mapping from input to number, array, tensor or shape.",
        )
    settings = {name: getattr(module, name) for name in _SETTINGS if hasattr(module, name)}
    settings |= _given(options, *_SETTINGS, "points", "effort", "unreached")

    from symgrad.verifier import verify

    return verify(model, hand, at=at, **settings)


def _check_text(path: Path, options: argparse.Namespace) -> Any:
    """A file in LaTeX, whose rows say what is differentiated and what its derivative is."""
    from symgrad.lifting.latex.latex_formula import Latex
    from symgrad.verifier import verify

    text = path.read_text(encoding="utf-8")
    _, begins, body = text.partition("\\begin{document}")
    text = body.partition("\\end{document}")[0] if begins else text
    return verify(Latex(text), **_given(options, *_SETTINGS, "points", "effort"))


def _import_pipeline() -> None:
    """Import what any question needs, and keep the garbage collector away from it.

    SymPy and torch make half a million objects that stay until the end; each full collection would look through them
    all, which is most of what a short question costs.
    """
    if "symgrad.verifier" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        import symgrad.api.script_verifier
        import symgrad.verifier  # noqa: F401
    finally:
        if collects:
            gc.enable()
    gc.freeze()


def _is_script(path: Path, options: argparse.Namespace) -> bool:
    """Whether a file is a whole script or post: it defines no hand formula, and no model that one could be for."""
    from symgrad.lifting.scripts.cues import speaks_of_gradients
    from symgrad.lifting.scripts.extraction import read_pasted

    if options.output is not None or options.gradient is not None:
        return True
    text = path.read_text(encoding="utf-8", errors="replace")
    calls = "backward(" in text or "autograd.grad(" in text
    try:
        tree = ast.parse(text) if calls else read_pasted(text).tree
    except (SyntaxError, SymgradError):
        return calls
    bound = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    bound |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    if options.hand in bound:
        return False
    return calls or (options.model not in bound and speaks_of_gradients(tree))


def _check_script(path: Path, options: argparse.Namespace) -> Any:
    from symgrad.api.script_verifier import verify_script

    for name in ("order", "dtype"):
        if getattr(options, name) is not None:
            raise BadInput(
                f"--{name} was given, and {path.name} is a whole script, which has its own.",
                instead=f"Leave --{name} out; or write a model and a hand formula into the file.",
            )
    told: dict[str, list[str]] = {}
    for name, variable in options.gradient or ():
        told.setdefault(name, []).append(variable)
    said = ("wrt", "output", "domain", "assuming", "points", "effort", "unreached", "seed")
    return verify_script(path, gradients=told or None, **_given(options, *said))


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _repair(report: Any, options: argparse.Namespace) -> list[str]:
    """Write the file with its repairs made, if what it then says is right; what is told of it."""
    path = Path(options.file)
    if report.ok:
        return ["symgrad: there is nothing to repair."]
    text = repaired_text(path.read_text(encoding="utf-8"), report.repairs) if report.repairs else None
    if text is None:
        return ["symgrad: no repair was found that could be written; no file was written."]
    made = write_beside(text, path)
    try:
        again = _check(argparse.Namespace(**{**vars(options), "file": str(made)}))
    except Exception:
        made.unlink()
        raise
    if not again.ok:
        made.unlink()
        return [f"symgrad: with the repairs made the file is still {again.verdict}; no file was written."]
    return [f"symgrad: wrote {made}, which was checked too: {'proved' if again.verdict == 'proved' else 'right'}."]


# ------------------------------------------------------------------------------------------------ the user's file


def _loaded(path: Path) -> ModuleType:
    """The file as a module, with the files beside it importable, as when Python runs it.

    Where the file itself fails, its own traceback is printed and the exit code is 3.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    kept = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except SymgradError:
        raise
    except (Exception, SystemExit) as error:
        sys.stderr.write(_own_traceback(error, path))
        what = "exited" if isinstance(error, SystemExit) else "failed"
        raise BadInput(f"{path} {what} before anything could be checked.") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
        if kept is not None:
            sys.modules[path.stem] = kept
    return module


def _wanted(module: ModuleType, name: str, option: str) -> Any:
    if hasattr(module, name):
        return getattr(module, name)
    known = [n for n in vars(module) if not n.startswith("_") and not isinstance(vars(module)[n], ModuleType)]
    near = close_names(name, known)
    raise UnknownName(
        f"{module.__file__} has no {name!r}.", instead=f"{near + ' ' if near else ''}Name another one with {option}."
    )


def _show_cause(error: SymgradError, path: Path) -> None:
    """Print the traceback through the user's own lines where it was their code that failed."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, UserCodeFailed):
        found = found.__cause__
    if found is not None and found.__cause__ is not None:
        sys.stderr.write(_own_traceback(found.__cause__, path))


def _own_traceback(error: BaseException, path: Path) -> str:
    """A traceback that begins where the user's file does."""
    frames = next((t for t in _frames(error.__traceback__) if _is_in(t, path)), None)
    return "".join(traceback.format_exception(type(error), error, frames))


def _frames(frame: TracebackType | None) -> Iterator[TracebackType]:
    while frame is not None:
        yield frame
        frame = frame.tb_next


def _is_in(frame: TracebackType, path: Path) -> bool:
    return Path(frame.tb_frame.f_code.co_filename).resolve() == path.resolve()
