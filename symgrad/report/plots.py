"""Pictures of a report, where a picture says it sooner; matplotlib is imported when one is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput
from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.program import interpret
from symgrad.report.report import Claim, Report

__all__ = ["plot"]

_POINTS = 201


def plot(report: Report, name: str | None = None, *, axes: Any = None) -> Any:
    """Draw one claim: for a scalar input the exact derivative and the hand formula along it, around the user's own
    point, with the witness marked; for a tensor the relative difference of the two, entry by entry.

    ``name`` is the input (by default the first wrong one, else the first); ``axes`` are matplotlib's, to draw into.
    Returns the axes.  The curves are those of the branch of the code that was taken at the user's own point.

    Raises `BadInput` if matplotlib is not installed, there is no such input, or there is nothing to draw.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise BadInput("plot() needs matplotlib.", instead='Install it: pip install "symgrad[plot]".') from None
    claim = _chosen(report, name)
    axes = plt.subplots(figsize=(6, 4))[1] if axes is None else axes
    if np.ndim(report.point[claim.name]) == 0 and "hand" in claim.hand.outputs:
        _curves(report, claim, axes)
    else:
        _differences(claim, axes)
    return axes


def _chosen(report: Report, name: str | None) -> Claim:
    if name is None:
        wrong = [c for c in report.claims.values() if c.kind == "refuted"]
        return (wrong or list(report.claims.values()))[0]
    if name not in report.claims:
        raise BadInput(f"the report has no claim {name!r}.", instead=f"It has {', '.join(report.claims)}.")
    return report.claims[name]


def _curves(report: Report, claim: Claim, axes: Any) -> None:
    """Both formulas along the input, the others held at the user's own point."""
    centre = float(np.real(report.point[claim.name]))
    reach = max(2 * abs(centre), 2.0)
    xs = np.linspace(centre - reach, centre + reach, _POINTS)
    for label, program, style in (("exact", claim.exact, "-"), ("yours", claim.hand, "--")):
        axes.plot(xs, [_value(program, report, claim.name, x) for x in xs], style, label=label)
    axes.axvline(centre, color="0.7", lw=1, zorder=0)
    witness = claim.witness
    if witness is not None and all(
        np.array_equal(witness.point[n], report.point[n]) for n in report.point if n != claim.name
    ):
        axes.plot([float(witness.point[claim.name])] * 2, [witness.hand_value, witness.exact_value], "o", color="C3")
    axes.set_xlabel(claim.name)
    axes.set_ylabel(f"derivative by {claim.name}")
    axes.legend()


def _value(program: Any, report: Report, name: str, x: float) -> float:
    point = {n: torch.as_tensor(np.asarray(report.point[n])) for n in program.inputs}
    point[name] = torch.tensor(x, dtype=torch.float64)
    (output,) = program.outputs.values()
    value = to_numpy(interpret(program, Floats("float64"), point, [output])[output])
    return float(np.real(value).reshape(-1)[0])


def _differences(claim: Claim, axes: Any) -> None:
    """|yours - exact| over the largest exact entry, as an image of the gradient."""
    if claim.hand_value is None or claim.exact_value is None or claim.hand_value.size != claim.exact_value.size:
        raise BadInput(f"the shapes of the two gradients for {claim.name} differ; there is nothing to draw.")
    exact = np.atleast_1d(claim.exact_value)
    gap = np.abs(claim.hand_value.reshape(exact.shape) - exact) / max(float(np.abs(exact).max()), 1e-300)
    image = axes.imshow(gap.reshape(exact.shape[0], -1) if exact.ndim > 1 else gap[None], aspect="auto")
    axes.figure.colorbar(image, ax=axes, label="difference / largest entry")
    axes.set_title(f"gradient for {claim.name}: yours - exact")
