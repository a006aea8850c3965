"""The command line: ``symgrad check FILES``, ``check-certificate FILE``, ``explain WORDS`` and ``audit torch``.

Arguments are parsed, and the files are looked for, before torch and SymPy are imported: that takes seconds, and a
mistyped option should not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from symgrad import __version__
from symgrad.errors import BadInput, SymgradError
from symgrad.files.question_kinds import Names
from symgrad.files.questions import Options, Question, answer_all, find, import_pipeline
from symgrad.files.settings import Settings, read_settings
from symgrad.files.targets import targets_of
from symgrad.files.written_files import Told

if TYPE_CHECKING:
    from symgrad.files.answers import Answer, Answers, Wanted

RIGHT, WRONG, UNDECIDED, COULD_NOT_RUN = 0, 1, 2, 3
ENDED = 130  # as shells say it of Ctrl-C
_VERIFIES = ("wrt", "order", "domain", "assuming", "dtype", "points", "effort", "unreached", "seed", "timeout")
_NEEDED = frozenset("torch numpy sympy flint rich jinja2 pygments cloudpickle".split())
_FORMATS: Mapping[str, str] = {  # how all answers are written: a row each, imported when it is asked for
    "text": "summary.render_summary",
    "json": "json_document.render_json",
    "sarif": "sarif_log.render_sarif",
    "junit": "junit_results.render_junit",
    "github": "github_annotations.render_github",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit code.

    0: right (proved, or agrees everywhere it was looked at); 1: wrong; 2: undecided; 3: could not run.  Of several, 1
    where one is wrong, otherwise 3 where one could not run, otherwise 2 where one is undecided.  130: ended by Ctrl-C
    before anything was known.
    """
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        named = options.command == "audit" and not any(word.startswith("-") for word in unknown)
        write = f"--only {','.join(unknown)}" if named else "--help, which lists what there is"
        parser.error(f"symgrad {options.command} knows no {' '.join(unknown)}. Write {write}.")
    try:
        code = _run(options)
        sys.stdout.flush()
        return code
    except SymgradError as error:
        print(f"symgrad: {error}", file=sys.stderr)
    except BrokenPipeError:  # whoever reads, such as head, has seen enough: what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("symgrad: ended by Ctrl-C before anything was known.", file=sys.stderr)
        return ENDED
    except Exception as error:  # Python's own exit code for it is 1, which would say "wrong"
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _NEEDED:
            print(f"symgrad: {error.name} is not installed in {sys.executable}: pip install symgrad", file=sys.stderr)
            return COULD_NOT_RUN
        traceback.print_exc()
        print("symgrad: this is a fault in symgrad, not in your file. Please report it.", file=sys.stderr)
    return COULD_NOT_RUN


def _run(options: argparse.Namespace) -> int:
    if options.command == "check-certificate":
        return _check_certificate(Path(options.file))
    if options.command == "explain":
        from symgrad.report.glossary import explain

        print(explain(" ".join(options.words)))
        return RIGHT
    return _audit(options) if options.command == "audit" else _check(options)


def _check_certificate(path: Path) -> int:
    """Check the proofs in a certificate again: 0 if all hold, 1 if one does not, 2 if some are not whole."""
    from symgrad.proving.checker import check_certificate

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} could not be read: {error}.") from error
    found = check_certificate(text)
    print(*found, sep="\n")
    if any(claim.rejected is not None for claim in found):
        return WRONG
    return RIGHT if all(claim.accepted for claim in found) else UNDECIDED


def _audit(options: argparse.Namespace) -> int:
    """Print what is wrong with torch's own derivatives: 1 if anything is."""
    from symgrad.audit.cases import cases
    from symgrad.audit.findings import audit
    from symgrad.audit.table import render_json, render_table

    missed: list[str] = []
    found = audit(cases(options.only or ()), missed.append)
    print((render_json if options.format == "json" else render_table)(found, missed))
    return WRONG if found else RIGHT


# ------------------------------------------------------------------------------------------------ check


def _check(options: argparse.Namespace) -> int:
    settings = read_settings(Path.cwd())
    words = options.files or list(settings.paths)
    if not words:
        raise BadInput(
            "no file was named.", instead='Name files or folders, or write paths = ["..."] into [tool.symgrad].'
        )
    targets = targets_of(words)
    if options.skip_others:
        targets = [replace(t, named=t.name is not None) for t in targets]
    if len(targets) == 1 and not targets[0].is_there and options.format == "text":
        raise BadInput(f"there is no file {targets[0].file}.")
    import_pipeline()
    asked = _options(options, settings)
    found = [one for target in targets for one in find(target, asked)]
    questions = [one for one in found if isinstance(one, Question)]
    if options.certificate is not None and len(questions) != 1:
        raise BadInput(
            f"--certificate writes the proofs of one question, and here are {len(questions)}.",
            instead="Name one file, or one function in it: file.py::Name.",
        )
    alone = len(found) == len(targets) == 1 and targets[0].named
    jobs = None if alone else options.jobs or settings.jobs or _cores()
    shown = sys.stdout if options.format == "text" else sys.stderr  # the files may print too
    with contextlib.redirect_stdout(shown):
        answers = answer_all(found, asked, _wanted(options), jobs)
        told = list(_beside(answers, questions, asked, options, jobs))
    if alone and options.format == "text":
        _show(answers.answers[0])
    else:
        print(_rendered(answers, options))
    for one in told:
        print(one.text, file=shown if one.is_patch else sys.stderr)
    if any(one.failed for one in told):
        return COULD_NOT_RUN
    return RIGHT if options.skip_others and not answers.answers else answers.exit_code


def _wanted(options: argparse.Namespace) -> Wanted:
    from symgrad.files.answers import Wanted

    colour = options.format == "text" and _has_colours()
    return Wanted(options.full, colour, options.table, options.html is not None, options.certificate is not None)


def _options(options: argparse.Namespace, settings: Settings) -> Options:
    """What the command line says of every file, and the project's settings behind it."""
    told = {name: value for name in _VERIFIES if (value := getattr(options, name)) is not None}
    gradients: dict[str, list[str]] = {}
    for name, variable in options.gradient or ():
        gradients.setdefault(name, []).append(variable)
    names = Names(options.model, options.hand, options.at or "at")
    return Options(names, told, settings.defaults, options.output, gradients or None)


def _cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ------------------------------------------------------------------------------------------------ what is told


def _rendered(answers: Answers, options: argparse.Namespace) -> str:
    module, _, function = _FORMATS[options.format].partition(".")
    render = getattr(import_module(f"symgrad.files.{module}"), function)
    return render(answers, full=options.full) if options.format == "text" else render(answers)


def _show(answer: Answer) -> None:
    """One answer alone: its report, or on the other stream why there is none."""
    from symgrad.files.summary import failure_text

    if answer.error is not None:
        print(failure_text(answer), file=sys.stderr)
        return
    print(answer.text)
    if answer.table is not None:
        print(f"\n{answer.table}")


def _has_colours() -> bool:
    """Whether colours are wanted: on a terminal that has them, unless NO_COLOR is set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _beside(
    answers: Answers, questions: Sequence[Question], asked: Options, options: argparse.Namespace, jobs: int | None
) -> Iterator[Told]:
    """Write what was asked for beside the answers; what is told of it.  No answer is lost where that fails."""
    from symgrad.files.repaired_files import repair
    from symgrad.files.written_files import write_new, write_pages

    try:
        if options.html is not None:
            pages = write_pages(answers.answers, Path(options.html))
            more = f" and the {len(pages) - 1} pages that it lists" if len(pages) > 1 else ""
            yield Told(f"symgrad: wrote {pages[0]}{more}.")
        if options.certificate is not None and answers.answers[0].certificate is not None:
            path = write_new(json.dumps(answers.answers[0].certificate), Path(options.certificate))
            yield Told(f"symgrad: wrote {path}.")
    except BadInput as error:
        yield Told(f"symgrad: {error}", failed=True)
    if options.repair:
        yield from repair(answers, questions, asked, jobs)


# ------------------------------------------------------------------------------------------------ arguments


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
        help="check the gradients in files",
        description="Check the gradients in files: Python that defines a model, a hand formula and a point; functions "
        "with a backward of their own, and at beside them; whole scripts, posts and notebooks; texts and articles with "
        "formulas in LaTeX. Files are run, each in a process of its own where there are several; that keeps them "
        "apart, and is no sandbox. A file may also set wrt, order, domain, assuming, dtype and seed; options go before "
        "them, and [tool.symgrad] in pyproject.toml after them. In a folder only files that hold a question by their "
        "syntax are run; the others are listed.",
        epilog="exit codes: 0 right, 1 wrong, 2 undecided, 3 could not run; of several, 1 where one is wrong, else 3, "
        "else 2; 130 ended by Ctrl-C before anything was known (after one Ctrl-C, what is known is told)",
    )
    check.add_argument(
        "files", nargs="*", metavar="FILE", help="a file, a folder, a pattern, - for the input, or file.py::Name"
    )
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
    check.add_argument("--timeout", type=float, metavar="S", help="seconds after which a file is told as far as known")
    check.add_argument("-j", "--jobs", type=_count, metavar="N", help="how many files at a time (as many as cores)")
    check.add_argument(
        "--skip-others", action="store_true", help="skip files that hold no question, though they were named"
    )
    check.add_argument(
        "--html",
        metavar="PAGE",
        help="write the report as a page of HTML too; of several files, a page that lists them",
    )
    check.add_argument("--certificate", metavar="FILE", help="write the proofs as data too, for check-certificate")
    check.add_argument(
        "--repair", action="store_true", help="show what to change, and write the repaired file beside it, checked"
    )
    check.add_argument("--format", choices=tuple(_FORMATS), default="text", help="how the answers are written (text)")
    how = check.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
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
    audited = commands.add_parser(
        "audit",
        help="hold torch's own derivatives against the exact ones",
        description="Hold torch's own derivatives against the exact ones: the operators of torch's tests, on real and "
        "complex numbers, forward and reverse mode and second derivatives, at ties, edges, zeros and far scales. What "
        "is told is confirmed by differences of torch's forward pass alone. All of it takes an hour or two.",
        epilog="exit codes: 0 nothing is wrong, 1 something is, 3 could not run",
    )
    audited.add_argument("library", choices=("torch",), help="whose derivatives")
    audited.add_argument("--only", type=_names, metavar="A,B", help="operators, as torch's tests name them")
    audited.add_argument("--format", choices=("text", "json"), default="text", help="how it is written (text)")
    words = commands.add_parser("explain", help="say what a word of a report, or an error, means")
    words.add_argument("words", nargs="*", metavar="WORD", help="as the report has it; none lists all")
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


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes")
    return int(text)
