"""Outputs that are computed from autograd's own gradients: ``ux = grad(u, x, create_graph=True)`` and then a derivative
of something with ``ux`` in it, as for second derivatives, differential equations and penalties on gradients.

What autograd gave is opaque in the record.  Where it is differentiated once more, the exact derivative stands in its
place, so that the output is a function of its inputs like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.lifting.scripts.script_record import AutogradCall, AutogradResult
from symgrad.program.builder import Builder
from symgrad.program.derivative import gradients
from symgrad.program.program import dependencies, dependents


def written_out(b: Builder, output: int, results: Sequence[AutogradResult], calls: Sequence[AutogradCall]) -> int:
    """An output with the exact derivatives in the place of the gradients that autograd can differentiate further."""
    known = {r.step: r for r in results if r.is_function}
    while inside := dependencies(b.steps, [output]) & known.keys():
        r = known[min(inside)]
        exact = gradients(b, calls[r.call].output, {"x": r.node})["x"]
        output = _with(b, output, r.step, b.reshape(exact, b.shape(r.step)))
    return output


def _with(b: Builder, output: int, old: int, new: int) -> int:
    """The steps from one step to an output, once more, from another one."""
    again = {old: new}
    for i in sorted(dependents(b.steps, [old]) & dependencies(b.steps, [output]) - {old}):
        s = b.steps[i]
        b.source = s.source
        again[i] = b.emit(s.op, tuple(again.get(a, a) for a in s.args), s.params, s.shape, s.dtype)
    return again[output]
