"""What a script without a call of autograd is taken to say: its runs, with the parts that the evidence supports."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from symgrad.errors import BadInput, SymgradError
from symgrad.lifting.scripts.cues import Cues, read_cues
from symgrad.lifting.scripts.execution import Script, ScriptRun
from symgrad.lifting.scripts.further_outputs import further_outputs
from symgrad.lifting.scripts.hypotheses import Hypothesis
from symgrad.lifting.scripts.objectives import weigh
from symgrad.lifting.scripts.pairs import Told
from symgrad.lifting.scripts.proposals import Unclear, said
from symgrad.lifting.scripts.sides import Execution

_TRIED = 3  # proposals that are tried before one is printed


def understood(script: Script, told: Told) -> list[Execution]:
    """The runs of a script that does not call autograd, with the parts that the evidence supports, for each output.

    Raises `BadInput` where it does not decide, with what was found and what to say: keywords that were tried, with
    which the script is answered.
    """
    try:
        return _weighed(script, told)
    except Unclear as asked:
        raise BadInput(asked.what, where=asked.where, instead=_advice(script, asked)) from None


def _advice(script: Script, asked: Unclear) -> str | None:
    for told in asked.proposals[:_TRIED]:
        with contextlib.suppress(SymgradError):
            for execution in _weighed(script, told):
                execution.first()
            return said(told)
    return asked.instead


def _weighed(script: Script, told: Told) -> list[Execution]:
    cues = read_cues(script.pasted.tree, told.names)
    script = replace(script, followed=cues.followed)
    whole = run = script.run()
    found = _hypotheses(run, cues, told)
    if isinstance(found, SymgradError) or not found[0].is_sure:  # its output may be computed at another point
        more = replace(script, more=further_outputs(script.pasted.tree))
        with contextlib.suppress(SymgradError):  # what it computes besides may fail there
            again = more.run() if more.more else run
            other = _hypotheses(again, cues, told) if more.more else found
            if not isinstance(other, SymgradError):
                script, run, found = more, again, other
    if isinstance(found, SymgradError):
        raise found
    return [_execution(script, run, whole, hypothesis) for hypothesis in found]


def _execution(script: Script, first: ScriptRun, whole: ScriptRun, hypothesis: Hypothesis) -> Execution:
    script = replace(script, until=hypothesis.until)
    run = script.run(given=hypothesis.given)
    roles, values = hypothesis.roles(run), first.trace.bound_values
    return Execution(script, hypothesis.given, hypothesis.roles, values, run, roles, to_the_end=whole)


def _hypotheses(run: ScriptRun, cues: Cues, told: Told) -> tuple[Hypothesis, ...] | SymgradError:
    try:
        return weigh(run, cues, told)
    except SymgradError as asked:
        return asked
