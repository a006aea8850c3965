"""Pictures of a report, where a picture says it sooner; matplotlib is imported when one is asked for."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from symgrad.checking.results import Claim, Results
from symgrad.errors import BadInput, close_names
from symgrad.evaluation.balls import Balls, binary
from symgrad.evaluation.floats import Floats, tensors_of, to_numpy
from symgrad.ops.row import precision
from symgrad.program.program import Guard, Program, interpret
from symgrad.report.wording import witness_text
from symgrad.rounding.running_bounds import distance, ulps

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 241
_BITS = 300
_WORK = 16_000  # entries up to which an octave has several points
_SEEN = 0.02  # a difference that a picture shows, beside the larger of the two
_FAR = 6  # times what is compared, from where on yours is cut off
_PICTURED = 3  # pictures on a page
_METADATA = ("Date", "Creator", "Format", "Type")
_OCTAVES = 12  # how far up and down an input is scaled
_COLOURS = {"wrong": "C3", "fed wrong values": "C1", "misnamed": "C1"}
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}


def plot(report: Results, name: str | None = None, *, what: str | None = None, axes: Axes | None = None) -> Axes:
    """Draw one claim of a report into matplotlib's ``axes`` (new ones by default), and return them.

    ``name`` is the input: by default the first wrong one, else the first.  ``what`` is

    * ``"curves"``: f, its exact derivative and the hand formula along the input, around the user's own point where it
      shows that yours is wrong, else around the counterexample; the other inputs are held, as the title says.  Of a
      tensor, the entry of the counterexample is moved.
    * ``"entries"``: how far each entry of a gradient is from the exact one, in ulps, at the user's own point.
    * ``"lines"``: how far each line of the derivation is from what it is meant to be; of a right one, its rounding.
    * ``"magnitudes"``: the hand formula's error in ulps as its input is made smaller and larger.

    By default a number is drawn as curves, a tensor as entries, and a formula that loses its digits over magnitudes.

    Raises `BadInput` if matplotlib is not installed, there is no such claim or picture, or there is nothing to draw.
    Guarantee: every error is the distance of a float to a ball around the truth; a curve is drawn only where the code
    takes the branch that it was read on.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise BadInput("plot() needs matplotlib.", instead='Install it: pip install "symgrad[plot]".') from None
    claim = _chosen(report, name)
    draw = _PICTURES.get(what or _usual(report, claim))
    if draw is None:
        near = close_names(str(what), _PICTURES)
        raise BadInput(f"there is no picture {what!r}.", instead=near or f"There are {', '.join(_PICTURES)}.")
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")[1]
    draw(report, claim, axes)
    return axes


def pictures_of(report: Results) -> Iterator[str]:
    """SVG for what a page shows: wrong gradients, and formulas that lose their digits; none without matplotlib.

    Inks are the page's own, and no two pictures share an id.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    unsafe = {i.claim for i in report.instabilities if i.side == "hand"}
    found = [c for c in report.claims.values() if c.kind == "refuted" or c.name in unsafe]
    shown = {_input(c): c.name for c in reversed(found)}  # one for each input
    for k, name in enumerate([*reversed(shown.values())][:_PICTURED]):
        figure, out = Figure(figsize=(6.4, 3.6), layout="constrained"), io.StringIO()
        try:
            with rc_context({"svg.fonttype": "none", "legend.framealpha": 0.0, "svg.hashsalt": name}):
                plot(report, name, axes=figure.subplots())
                figure.savefig(out, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
        except BadInput:  # there is nothing to draw of this one
            continue
        svg = out.getvalue()[out.getvalue().index("<svg") :]
        svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.S)
        svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
        svg = re.sub(r'(\bid="|"#|url\(#)', rf"\g<1>picture{k}-", svg).replace("#000000", "currentColor")
        yield svg.replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1)


def _chosen(report: Results, name: str | None) -> Claim:
    """The claim of that name, or for the input of that name; of several the first wrong one, else the first."""
    found = [c for c in report.claims.values() if name in (None, c.name, _input(c))]
    if not found:
        raise BadInput(f"the report has no claim {name!r}.", instead=f"It has {', '.join(report.claims)}.")
    return next((c for c in found if c.kind == "refuted"), found[0])


def _held(report: Results, point: Mapping[str, Any], name: str) -> str:
    """The inputs that are held while one is moved, for a title."""
    kept = {n: x for n, x in point.items() if n != name}
    return f"\nheld: {witness_text(kept, report.point)}" if kept else ""


def _usual(report: Results, claim: Claim) -> str:
    if claim.kind != "refuted" and any(i.claim == claim.name and i.side == "hand" for i in report.instabilities):
        return "magnitudes"
    return "curves" if np.ndim(report.point.get(_input(claim), 0.0)) == 0 else "entries"


def _input(claim: Claim) -> str:
    """The input that a claim is for: scripts with several derivations call theirs ``w (dw)``."""
    return claim.name if claim.name in claim.exact.inputs else claim.name.split(" ")[0]


def _both(claim: Claim) -> dict[str, Program]:
    if "hand" not in claim.hand.outputs:
        raise BadInput(f"the shapes of the two gradients for {claim.name} differ; there is nothing to draw.")
    return {"exact": claim.exact, "yours": claim.hand}


# ------------------------------------------------------------------------------------------------ curves


def _curves(report: Results, claim: Claim, axes: Any) -> None:
    programs = _both(claim)
    own = _wrong_at_own_point(report, claim)
    moved_to = {} if own or claim.witness is None else claim.witness.point
    point = {n: moved_to.get(n, x) for n, x in report.point.items()}
    name = _input(claim)
    shape = np.shape(point[name])
    if np.iscomplexobj(point[name]):
        raise BadInput(f"{claim.name} is complex; curves are drawn along real inputs.")
    entry = None if claim.witness is None else claim.witness.entry
    if shape and claim.exact.shape(claim.exact.output) != shape:
        raise BadInput(f"the derivative for {claim.name} is no gradient; draw what='entries'.")
    entry = (entry or (0,) * len(shape)) if shape else None
    centre = float(np.asarray(point[name])[entry or ()])
    reach = max(2 * abs(centre), 2.0)
    xs = np.linspace(centre - reach, centre + reach, _POINTS)
    moved = [{**point, name: _with_entry(point[name], entry, x)} for x in xs]
    f: list[float] = []
    if report.formula is not None and not report.formula.shape(report.formula.output):
        f = [_value(report.formula, p, None) for p in moved]
        axes.plot(xs, f, color="0.6", lw=1, label="f")
    exact, mine = ([_value(programs[side], p, entry) for p in moved] for side in ("exact", "yours"))
    axes.plot(xs, exact, "-", label="derivative, exact")
    axes.plot(xs, mine, "--", label="derivative, yours")
    ends: list[float] = []
    if claim.witness is not None and claim.witness.reason == "differs":
        seen: Any = (claim.hand_value, claim.exact_value)
        if not own:
            seen = (claim.witness.hand_value, claim.witness.exact_value)
        ends += [float(np.real(np.asarray(x)[entry or ()] if np.ndim(x) else x)) for x in seen]
        axes.plot([centre] * 2, ends, "o-", color="C3", lw=1, label="your own point" if own else "counterexample")
    else:
        axes.axvline(centre, color="0.8", lw=1, zorder=0, label="your own point" if report.given else None)
    _keep_in_sight([*f, *exact, *ends], mine, axes)
    moved_one = name if entry is None else f"{name}{list(entry)}"
    axes.set_title(f"f and its derivative by {moved_one}{_held(report, point, name)}", fontsize="medium")
    axes.set_xlabel(moved_one)
    axes.legend()


def _keep_in_sight(seen: Sequence[float], mine: Sequence[float], axes: Any) -> None:
    """Cut off what is yours where it would press all that it is to be compared with into a line."""
    found, all_ = (np.asarray(y, dtype=float) for y in (seen, [*seen, *mine]))
    low, high = np.nanmin(found, initial=np.inf), np.nanmax(found, initial=-np.inf)
    if np.isfinite(high - low) and high > low and np.nanmax(all_) - np.nanmin(all_) > _FAR * (high - low):
        axes.set_ylim(low - (high - low) / 2, high + (high - low) / 2)


def _wrong_at_own_point(report: Results, claim: Claim) -> bool:
    """Whether yours is off at the user's own point so far that a picture shows it."""
    if not report.given or claim.hand_value is None or claim.exact_value is None or claim.witness is None:
        return False
    entry = () if claim.witness.entry is None else claim.witness.entry
    hand, exact = np.asarray(claim.hand_value), np.asarray(claim.exact_value)
    if hand.shape != exact.shape or hand.ndim != len(entry):
        return False
    mine, truth = hand[entry], exact[entry]
    return bool(np.isfinite(mine) and abs(mine - truth) > _SEEN * max(abs(mine), abs(truth)))


def _with_entry(value: Any, entry: tuple[int, ...] | None, x: float) -> Any:
    out = np.array(value, dtype=float)
    out[entry or ()] = x
    return out


def _value(program: Program, point: Mapping[str, Any], entry: tuple[int, ...] | None) -> float:
    """A Program's value in float64, or one entry of it; not a number off the branch that it was read on."""
    inputs = {n: torch.as_tensor(np.asarray(point[n])) for n in program.inputs}
    guards = [g for g in program.guards if g.op in _COMPARED and len(g.args) == 2]
    wanted = [program.output, *(a for g in guards for a in g.args)]
    values = interpret(program, Floats("float64"), inputs, wanted)
    if any(not _holds(g, values) for g in guards):
        return float("nan")
    return float(np.real(to_numpy(values[program.output])[entry or ()]))


def _holds(guard: Guard, values: Mapping[int, torch.Tensor]) -> bool:
    left, right = (to_numpy(values[a]) for a in guard.args)
    return bool(np.all(_COMPARED[guard.op](left, right) == guard.outcome))


# ------------------------------------------------------------------------------------------------ entries


def _entries(report: Results, claim: Claim, axes: Any) -> None:
    value = claim.hand_value
    if value is None or "hand" not in claim.hand.outputs:
        raise BadInput(f"the shapes of the two gradients for {claim.name} differ; there is nothing to draw.")
    shape = claim.exact.shape(claim.exact.output)
    dtype = claim.rounding.dtype if claim.rounding is not None else str(np.asarray(value).dtype)
    far = _ulps(claim.exact, report.point, torch.as_tensor(np.array(value)).reshape(shape), dtype)
    table = far.reshape(shape[0], -1) if len(shape) > 1 else far.reshape(1, -1)
    image = axes.imshow(table, aspect="auto", norm=_scale(table))
    axes.figure.colorbar(image, ax=axes, label=f"yours - exact, in ulps of {dtype}")
    where = "at your own point" if report.given else "at a point that was drawn"
    axes.set_title(f"the gradient for {claim.name}, entry by entry, {where}", fontsize="medium")
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    if len(shape) < 2:
        axes.set_yticks([])


def _scale(table: np.ndarray) -> Any:
    """Linear colours, or logarithmic ones where the errors span more than two decades."""
    from matplotlib.colors import LogNorm, Normalize

    seen = table[np.isfinite(table) & (table > 0)]
    if seen.size and seen.max() > 100 * seen.min():
        return LogNorm(max(seen.min(), seen.max() * 1e-12), seen.max())
    return Normalize(0.0, seen.max() if seen.size else 1.0)


def _ulps(exact: Program, point: Mapping[str, Any], value: torch.Tensor, dtype: str) -> np.ndarray:
    """How far values are from the truth, in ulps that ``dtype`` has there."""
    with precision(_BITS):
        inputs = {n: binary(point[n]) for n in exact.inputs}
        truth = interpret(exact, Balls(), inputs, [exact.output])[exact.output]
        _, far = distance(value, truth)
        size = torch.tensor([abs(_middle(x)) for x in np.asarray(truth, dtype=object).reshape(-1)])
    return ulps(far, size.reshape(far.shape), dtype).numpy()


def _middle(ball: Any) -> float:
    return float(abs(ball).mid()) if ball.is_finite() else float("nan")


# ------------------------------------------------------------------------------------------------ lines


def _lines(report: Results, claim: Claim, axes: Any) -> None:
    judged = [s for s in report.steps if s.error is not None]
    if judged:
        names = [s.name if not s.version else f"{s.name}[{s.version}]" for s in judged]
        errors = [s.error or 0.0 for s in judged]
        colours = [_COLOURS.get(s.verdict or "", "C2") for s in judged]
        axes.set_xlabel("distance from what the line is meant to be, relative to it")
    else:
        found = _rounding_by_line(report, claim)
        names, errors, colours = list(found), list(found.values()), ["C0"] * len(found)
        axes.set_xlabel("rounding error, in ulps")
    if not names:
        raise BadInput("the derivation has no lines that could be drawn.")
    axes.set_title(f"the derivation for {claim.name}, line by line", fontsize="medium")
    axes.barh(range(len(names)), errors, color=colours)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    if judged and max(errors) > 100 * min((e for e in errors if e), default=1.0):
        axes.set_xscale("symlog", linthresh=min(e for e in errors if e))


def _rounding_by_line(report: Results, claim: Claim) -> dict[str, float]:
    """The largest error of each line of a right derivation: its floats beside an exact run of the same code."""
    program = claim.hand
    needed = set(program.needed([program.output]))
    lines = [b for b in program.bindings if b.step in needed]
    inputs = tensors_of(report.point, program.dtypes)
    values = interpret(program, Floats(), inputs, [b.step for b in lines])
    found = {}
    for b in lines:
        one = program.with_outputs({"it": b.step})
        name = f"{b.name}[{b.version}]" if any(c.name == b.name and c.version for c in lines) else b.name
        far = _ulps(one, report.point, values[b.step], program.steps[b.step].dtype.replace("complex128", "float64"))
        found[name] = float(np.max(far, initial=0.0))
    return found


# ------------------------------------------------------------------------------------------------ magnitudes


def _magnitudes(report: Results, claim: Claim, axes: Any) -> None:
    programs = _both(claim)
    name = _input(claim)
    dtype = claim.rounding.dtype if claim.rounding is not None else "float64"
    value = np.asarray(report.point[name], dtype=float)
    size = float(np.max(np.abs(value), initial=0.0))
    if not size:
        raise BadInput(f"{claim.name} is zero at your point, and stays zero however it is scaled.")
    found = []
    entries = max(1, int(np.prod(programs["exact"].shape(programs["exact"].output))))
    for k in np.linspace(-_OCTAVES, _OCTAVES, 2 * _OCTAVES * max(1, min(4, _WORK // entries)) + 1):
        scaled = (value * 2.0**k).astype(_HOLDS.get(dtype, dtype)).astype(float)
        point = {**report.point, name: scaled}
        far = _error(programs, point, dtype)
        if far is not None and np.isfinite(far):
            found.append((float(np.max(np.abs(scaled))), far))
    if not found:
        raise BadInput(f"the formula for {claim.name} has no value beside your point.")
    axes.loglog(*zip(*found, strict=True), label="yours")
    axes.axvline(size, color="0.8", lw=1, zorder=0, label="your own point" if report.given else None)
    axes.set_title(f"the gradient for {claim.name} in floats{_held(report, report.point, name)}", fontsize="medium")
    axes.legend()
    axes.set_xlabel(f"|{name}|" if not value.shape else f"largest |{name}|")
    axes.set_ylabel(f"error in ulps of {dtype}")


_HOLDS = {"bfloat16": "float32"}  # what NumPy holds a dtype in


def _error(programs: Mapping[str, Program], point: Mapping[str, Any], dtype: str) -> float | None:
    """The largest error of the hand formula's floats at a point; None off the branch, or where there is no truth."""
    hand = programs["yours"]
    kinds = {n: hand.steps[i].dtype for n, i in hand.inputs.items()}
    inputs = {n: torch.as_tensor(np.asarray(point[n])).to(getattr(torch, kinds[n])) for n in hand.inputs}
    guards = [g for g in hand.guards if g.op in _COMPARED and len(g.args) == 2]
    values = interpret(hand, Floats(), inputs, [hand.output, *(a for g in guards for a in g.args)])
    if any(not _holds(g, values) for g in guards):
        return None
    far = _ulps(programs["exact"], point, values[hand.output], dtype)
    return None if not far.size or np.isnan(far).any() else max(float(far.max()), 2.0**-10)


_PICTURES: Mapping[str, Callable[[Results, Claim, Any], None]] = {
    "curves": _curves,
    "entries": _entries,
    "lines": _lines,
    "magnitudes": _magnitudes,
}
