"""Questions in files: which there are, and the report on one.

A question is plain data, so that it can be asked in a process of its own.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from symgrad.errors import BadInput
from symgrad.files.question_kinds import (
    Held,
    Kind,
    Names,
    are_rows,
    bound_names,
    calls_autograd,
    functions_in,
    questions_in,
    tree_of,
)
from symgrad.files.targets import STDIN, Target
from symgrad.progress import importing

if TYPE_CHECKING:
    from symgrad.files.answers import Answer, Answers, Skipped, Wanted
    from symgrad.report.report import Report

_OF_SCRIPTS = ("wrt", "domain", "assuming", "points", "effort", "unreached", "seed", "timeout")
_OF_FUNCTIONS = frozenset({"dtype", "seed"})  # of functions beside a model, whose the other settings are
_OF_FORMULAS = ("wrt", "order", "domain", "assuming", "dtype", "points", "effort", "unreached", "seed", "timeout")


@dataclass(frozen=True)
class Options:
    """What the caller says of every file: ``told`` comes before what a file says by itself, ``defaults`` after it."""

    names: Names = field(default_factory=Names)
    told: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    output: str | None = None
    gradients: Mapping[str, Sequence[str]] | None = None

    @property
    def of_a_script(self) -> bool:
        return self.output is not None or self.gradients is not None


@dataclass(frozen=True)
class Question:
    """One question of a file: ``text`` is the file's, or of formulas those that are asked about."""

    target: Target
    kind: Kind
    text: str
    name: str | None = None
    line: int | None = None
    label: str | None = None  # what it is called, where the file has several
    lines: tuple[int, ...] = ()  # of rows: those of the file that they are in


def find(target: Target, options: Options) -> Iterator[Question | Skipped | Answer]:
    """The questions of a file; in their place why there is none, where the file was not named by itself.

    A file that was named is asked whatever it holds, so that it is told what is missing.
    """
    from symgrad.files.answers import Skipped

    try:
        text = target.read()
    except BadInput as error:
        yield _failed(error, target.file)
        return
    if options.of_a_script:
        held: Sequence[Held] | str = (Held("script"),)
    elif target.name is not None:
        held = (_named(target, text),)
    else:
        held = questions_in(text, target.suffix, options.names)
    if isinstance(held, str):
        if not target.named:
            yield Skipped(target.file, held)
            return
        held = (_anyhow(target, text, options.names),)
    several = len(held) > 1
    for one in held:
        if one.kind == "formulas":
            yield from _formulas(target, text)
        else:
            label = one.name if several or target.name is not None else None
            yield Question(target, one.kind, text, one.name, label=label)


def _named(target: Target, text: str) -> Held:
    tree = tree_of(text, target.suffix)
    classes = {c.name for c in functions_in(tree)} if tree is not None else set()
    return Held("function" if target.name in classes else "definitions", target.name)


def _anyhow(target: Target, text: str, names: Names) -> Held:
    """As what a file is asked that was named, though it holds no question by its syntax."""
    if target.suffix == ".tex":
        return Held("formulas")
    tree = tree_of(text, target.suffix)
    if target.suffix != ".py" and tree is None:
        kind: Kind = "formulas" if target.suffix in (".md", ".txt") and "=" in text else "definitions"
        return Held(kind)
    defines = target.suffix == ".py" and tree is not None and {names.model, names.hand} & bound_names(tree)
    runs = tree is not None and not defines and any(map(_does_something, tree.body))
    return Held("script" if runs or calls_autograd(text) or target.suffix == ".ipynb" else "definitions")


def _does_something(statement: ast.stmt) -> bool:
    """Whether a statement is run for what it does, and not for what it defines: a loop, a call of `print`."""
    return isinstance(statement, ast.For) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call))


def _formulas(target: Target, text: str) -> Iterator[Question | Skipped | Answer]:
    """Each question of the displays of a text; or the text as a whole, where it has none."""
    from symgrad.files.answers import Skipped
    from symgrad.lifting.latex.displays import displays_in, questions_of

    body, first = _body(text)
    shown = displays_in(body)
    if not any(d.claims for d in shown):
        below = body[: len(body) - len(body.lstrip())].count("\n") + first
        lines = tuple(range(below + 1, below + len(body.strip().split("\n")) + 1)) if are_rows(body) else ()
        yield Question(target, "formulas", body, lines=lines)
        return
    unread: dict[int, str] = {}
    found = list(questions_of([replace(d, line=d.line + first) for d in shown], unread))
    several = len(found) > 1
    for one in found:
        label = f"line {one.line}" if several else None
        yield Question(target, "formulas", one.text, line=one.line, label=label, lines=one.lines)
    for line, why in unread.items():
        if target.named:
            yield replace(_failed(BadInput(why, where=f"    {target.file}:{line}"), target.file), line=line)
        else:
            yield Skipped(f"{target.file}:{line}", why.rstrip("."))


def _body(text: str) -> tuple[str, int]:
    """What an article in LaTeX has between its ends, and how many lines come before; any other text as it is."""
    before, begins, body = text.partition("\\begin{document}")
    if not begins:
        return text, 0
    return body.partition("\\end{document}")[0], before.count("\n")


def _failed(error: BaseException, file: str) -> Answer:
    from symgrad.files.answers import failed

    return failed(error, file)


# ------------------------------------------------------------------------------------------------ asking


def answer_all(
    found: Sequence[Question | Skipped | Answer], options: Options, wanted: Wanted, jobs: int | None
) -> Answers:
    """The answers to all questions, where these stood: here where ``jobs`` is None, otherwise each in a process of its
    own, ``jobs`` at a time."""
    from symgrad.api.batches import Processes, answer_many
    from symgrad.files.answers import Answer, Answers, Skipped, failed

    questions = [one for one in found if isinstance(one, Question)]
    asks = [partial(answer, question, options, wanted) for question in questions]
    with contextlib.nullcontext() if jobs is None else Processes(jobs) as pool:
        said = iter(list(answer_many(asks, pool)))
    answers: list[Answer] = []
    for one in found:
        if isinstance(one, Question):
            it = next(said)
            answers.append(failed(it, one.target.file, one.label, one.line) if isinstance(it, Exception) else it)
        elif isinstance(one, Answer):
            answers.append(one)
    return Answers(tuple(answers), tuple(one for one in found if isinstance(one, Skipped)))


def answer(question: Question, options: Options, wanted: Wanted) -> Answer:
    """The answer to a question, whatever comes of it."""
    from symgrad.files.answers import answer_of
    from symgrad.files.definitions import own_traceback

    ask = partial(report_on, question, options)
    own_trace = partial(own_traceback, path=question.target.path)
    found = answer_of(ask, question.target.file, question.label, question.line, wanted, own_trace)
    return found if question.target.suffix != ".ipynb" else _in_cells(found, question.text)


def _in_cells(answer: Answer, notebook: str) -> Answer:
    """The lines of an answer about a notebook, each in its cell."""
    from symgrad.lifting.scripts.post import cell_at

    places = ((w, cell_at(notebook, w.line) if w.line is not None else None) for w in answer.wrong_lines)
    lines = (replace(w, cell=at[0], line=at[1]) if at is not None else w for w, at in places)
    return replace(answer, wrong_lines=tuple(lines))


def report_on(question: Question, options: Options) -> Report:
    """The report on a question: each kind is asked at the door that it has.

    Raises what that door raises.
    """
    match question.kind:
        case "script":
            return _of_script(question, options)
        case "formulas":
            return _of_formulas(question, options)
        case "definitions" | "function":
            return _of_definitions(question, options)


def _of_script(question: Question, options: Options) -> Report:
    from symgrad.api.script_verifier import verify_script

    for name in ("order", "dtype"):
        if name in options.told:
            raise BadInput(
                f"--{name} was given, and {question.target.path.name} is a whole script, which has its own.",
                instead=f"Leave --{name} out; or write a model and a hand formula into the file.",
            )
    said = {**options.defaults, **options.told}
    source = question.text if question.target.file == STDIN else question.target.path
    return verify_script(
        source, output=options.output, gradients=options.gradients, **{n: said[n] for n in _OF_SCRIPTS if n in said}
    )


def _of_formulas(question: Question, options: Options) -> Report:
    from symgrad.lifting.latex.latex_formula import Latex
    from symgrad.verifier import verify

    said = {**options.defaults, **options.told}
    whole = question.text.strip() if are_rows(question.text) and "\\" not in question.text else Latex(question.text)
    report = verify(whole, **{n: said[n] for n in _OF_FORMULAS if n in said})
    return report if question.target.file == STDIN else _in_file(report, question)


def _in_file(report: Report, question: Question) -> Report:
    """The report on rows of a file, each told by its line of the file."""
    file, lines = str(question.target.path), dict(enumerate(question.lines, 1))
    steps = [
        replace(s, source=replace(s.source, file=file, line=lines[s.source.line]))
        if s.source is not None and s.source.line in lines
        else s
        for s in report.steps
    ]
    repairs = [replace(r, file=file, line=lines[r.line]) if r.line in lines else r for r in report.repairs]
    return replace(report, steps=tuple(steps), repairs=tuple(repairs))


def _of_definitions(question: Question, options: Options) -> Report:
    from symgrad.api.custom_functions import verify_function
    from symgrad.files.definitions import load, point_of, settings, sides, wanted
    from symgrad.lifting.scripts.extraction import read_pasted
    from symgrad.verifier import verify

    target, names = question.target, options.names
    code = None if target.suffix == ".py" else read_pasted(question.text).code
    module = load(target.path, code)
    bound = bound_names(ast.parse(question.text if code is None else code))
    if question.kind == "function":
        about = _OF_FUNCTIONS if names.hand in bound else bound
        function = wanted(module, str(question.name), "::")
        said = {**options.defaults, **settings(module, bound.intersection(about)), **options.told}
        return _in_its_file(verify_function(function, at=point_of(function, module, names), **said), target)
    names = names if question.name is None else replace(names, hand=question.name)
    model, hand, at = sides(module, names)
    report = verify(model, hand, at=at, **{**options.defaults, **settings(module, bound), **options.told})
    return _in_its_file(report, target)


def _in_its_file(report: Report, target: Target) -> Report:
    """The report on code that was read out of a notebook or a text, which its lines are those of."""
    of: dict[str | None, str] = {f"<code of {target.path.name}>": str(target.path)}

    def own(source: Any) -> Any:
        return source if source is None else replace(source, file=of.get(source.file, source.file))

    steps = tuple(replace(s, source=own(s.source)) for s in report.steps)
    return replace(report, steps=steps, repairs=tuple(replace(r, file=of.get(r.file, r.file)) for r in report.repairs))


def import_pipeline() -> None:
    """Import what any question needs, and keep the garbage collector away from it.

    SymPy and torch make half a million objects that stay until the end; each full collection would look through them
    all, which is most of what a short question costs.
    """
    if "symgrad.verifier" in sys.modules:
        return
    with importing():
        import symgrad.api.script_verifier
        import symgrad.verifier  # noqa: F401
    gc.freeze()
