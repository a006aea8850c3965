"""What test suites call: one question that a test asks, and a backward that is meant to be no derivative."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import sympy as sp
import torch

from symgrad.api.custom_functions import verify_function
from symgrad.checking.results import Claim
from symgrad.diagnosis.source_code import function_unit
from symgrad.errors import BadInput, SymgradError
from symgrad.problem.arguments import is_shape
from symgrad.report.report import Report
from symgrad.report.wording import entries_of, listed, number, witness_text
from symgrad.typing import FormulaLike, FunctionLike, FunctionOptions, HandLike
from symgrad.verifier import verify

# ---------------------------------------------------------------------------------------------------------- assertions
# A question that a test asks: `assert_gradient`.
#
# Its message is laid out as that of `torch.testing.assert_close`, and ends in code to paste that shows the failure
# again.

_LONGEST = 400  # numbers that are printed in code to paste


def assert_gradient(
    formula: FormulaLike | FunctionLike | Surrogate,
    hand: HandLike | Surrogate | None = None,
    **options: Unpack[FunctionOptions],
) -> Report:
    """Assert that ``hand`` is the derivative of ``formula``; the other arguments are those of `symgrad.verify`.

    Without ``hand``, ``formula`` is a ``torch.autograd.Function`` or a custom operator, whose own backward is judged;
    the other arguments are then those of `symgrad.verify_function`.

    Returns the report, so that a test can ask for more (``report.verdict == "proved"``).  Raises `AssertionError` if
    the gradient is refuted or undecided, or, whatever the formula says elsewhere, is NaN or infinite at the user's own
    point where the derivative is a number.  The message counts the entries that differ, as `torch.testing.assert_close`
    does (here by rigorous bounds, and so without a tolerance), and has the report, and code to paste that shows the
    failure again.

    >>> assert_gradient("x**2", "2*x").verdict
    'proved'
    >>> assert_gradient("x**3", "2*x**2", seed=5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    AssertionError: Wrong: your gradient for x is not the derivative.
    <BLANKLINE>
    Expected 3 but got 2.
    Absolute difference: 1
    Relative difference: 0.333333
    The failure occurred at x = 1
    ...

    What `surrogate` declares passes while it is refuted, and fails once it is right, for then it is none.

    Guarantee: that of `verify`.
    """
    __tracebackhide__ = True
    meant = next((x for x in (formula, hand) if isinstance(x, Surrogate)), None)
    asked: Any = formula.function if isinstance(formula, Surrogate) else formula
    claimed: Any = hand.function if isinstance(hand, Surrogate) else hand
    passed: dict[str, Any] = {**options}
    if claimed is None and "at" not in options:
        raise BadInput(
            "assert_gradient has no hand formula, and no at for a function that has a backward of its own.",
            instead="Pass the hand formula: assert_gradient(formula, hand); or the arguments: at={'x': (3,)}.",
        )
    try:
        report = verify_function(asked, **passed) if claimed is None else verify(asked, claimed, **passed)
    except SymgradError as error:  # its message has the place in the user's code; symgrad's own lines help nobody
        raise error.with_traceback(None) from None
    if meant is not None:
        return _as_meant(report, meant)
    if not report.ok:
        raise AssertionError("\n".join(_message(report, asked, claimed, options)))
    for name, index in report.no_numbers.items():
        raise AssertionError(
            f"Gradient for {name} is {np.asarray(report.claims[name].hand_value)[index]} at your own point, index "
            f"{index}, where the derivative is a number!\n\n{report}"
        )
    return report


@dataclass(frozen=True)
class Surrogate:
    """A function whose backward, or a hand formula that, is meant to be no derivative; and why."""

    function: Any
    reason: str


def surrogate(function: FunctionLike | HandLike, *, reason: str) -> Surrogate:
    """Declare that a backward, or a hand formula, is meant to be another function than the derivative.

    That of a straight-through estimator or of a gradient reversal is, and no check of gradients can accept it as
    right.  `assert_gradient` (and the fixture ``symgrad``) takes what this returns in the function's place, and says so
    if it is a derivative after all; ``reason`` is told in the report's notes.  No verdict changes: what is refuted
    stays refuted.

    >>> import torch
    >>> class Reversed(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x.clone()
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         return -grad_output
    >>> report = assert_gradient(surrogate(Reversed, reason="gradient reversal"), at={"x": (3,)})
    >>> report.verdict, report.notes[0]
    ('refuted', 'It is meant to be no derivative: gradient reversal.')

    Raises `BadInput` where no reason is given.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise BadInput(
            f"the reason is {reason!r}.", instead='Say why it is meant: reason="straight-through estimator".'
        )
    return Surrogate(function, reason.strip().rstrip("."))


def _as_meant(report: Report, meant: Surrogate) -> Report:
    """The report on a surrogate.  Raises `AssertionError` where it is none, or where nothing was decided."""
    __tracebackhide__ = True
    if report.verdict != "refuted":
        said = "is the derivative" if report.ok else "may be the derivative"
        raise AssertionError(
            f"It was declared to be no derivative ({meant.reason}), and {said}. Leave surrogate() out.\n\n{report}"
        )
    return replace(report, notes=(f"It is meant to be no derivative: {meant.reason}.", *report.notes))


def _message(report: Report, formula: Any, hand: Any, options: Mapping[str, Any]) -> Iterator[str]:
    """The verdict, once; what `torch.testing.assert_close` would count; the rest of the report; code to paste."""
    bad = next(c for kind in ("refuted", "undecided") for c in report.claims.values() if c.kind == kind)
    verdict, *rest = str(report).splitlines()
    yield from (verdict, "", *_differences(report, bad), *rest, "", "You can see it again with:", "")
    for line in pasteable(formula, hand, options, report, bad).splitlines():
        yield f"    {line}".rstrip()
    if hand is None and bad.kind == "refuted":
        what = _formula(formula)
        yield from ("", "If it is meant to be no derivative, as in a straight-through estimator, declare it:", "")
        yield f'    surrogate({what}, reason="...")'


def _differences(report: Report, claim: Claim) -> Iterator[str]:
    """The lines that `torch.testing.assert_close` would write about the values."""
    witness, wrong = claim.witness, claim.differs
    if witness is None:
        return
    several = f"{claim.name}: " if len(report.claims) > 1 else ""
    if witness.reason == "shape":
        yield f"{several}The values for attribute 'shape' do not match: yours has {witness.hand}, not {witness.exact}."
        return
    if wrong is None or not wrong.any() or wrong.size == 1:
        where = witness_text(witness.point, report.point, claim.name, witness.entry)
        yield f"{several}Expected {witness.exact} but got {witness.hand}."
        yield from _sizes(abs(witness.hand_value - witness.exact_value), abs(witness.exact_value))
        index = "" if witness.entry is None else f", index {witness.entry}"
        yield f"The failure occurred at {where}{index}"
        return
    hand = np.reshape(np.asarray(claim.hand_value), wrong.shape)
    with np.errstate(all="ignore"):
        far = np.where(wrong, np.abs(hand - np.asarray(claim.exact_value)), 0.0)
        relative = far / np.abs(np.asarray(claim.exact_value))
    yield f"{several}Mismatched entries: {wrong.sum()} / {wrong.size} ({wrong.mean():.1%})"
    for what, values in (("absolute", far), ("relative", np.where(wrong, relative, 0.0))):
        finite = np.nan_to_num(values, nan=np.inf)
        k = np.unravel_index(int(finite.argmax()), finite.shape)
        yield f"Greatest {what} difference: {number(values[k])} at index {tuple(map(int, k))}"


def _sizes(far: float, size: float) -> Iterator[str]:
    if np.isfinite(far):
        yield f"Absolute difference: {number(far)}"
        if size:
            yield f"Relative difference: {number(far / size)}"


# ------------------------------------------------------------------------------------------------ code to paste


def pasteable(formula: Any, hand: Any, options: Mapping[str, Any], report: Report, claim: Claim) -> str:
    """Python code that asks the same question at the witness."""
    ask = "verify" if hand is not None else "verify_function"
    given = {n: _literal(v) for n, v in options.items() if n not in ("at", "seed")}
    at = _point(options.get("at"), claim, custom=hand is None)
    long = [n for n, v in _parts(at) if entries_of(v) > _LONGEST]
    if at is not None:
        given["at"] = _literal(at)
    given["seed"] = str(report.seed)
    what = ", ".join(_formula(f) for f in (formula, hand) if f is not None)
    settings = (f"    {n}={text}," for n, text in given.items())
    lines = [f"report = {ask}(", f"    {what},", *settings, ")", "print(report)"]
    text = "\n".join(lines)
    used = ["import numpy as np"] * ("np." in text) + ["import torch"] * ("torch." in text)
    note = [f"# {listed(long)}: as passed, for {'it is' if len(long) == 1 else 'they are'} too long to print"] * bool(
        long
    )
    from_modules = [line for f in (formula, hand) if (line := _import_of(f)) is not None]
    return "\n".join([*used, f"from symgrad import {ask}", *dict.fromkeys(from_modules), *note, "", text])


def _import_of(formula: Any) -> str | None:
    """The line that imports a function or a class by its name, where it has one in a module."""
    module, name = getattr(formula, "__module__", None), getattr(formula, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str)) or module in ("__main__", "builtins"):
        return None
    return f"from {module} import {name}" if getattr(sys.modules.get(module), name, None) is formula else None


def _point(at: Any, claim: Claim, custom: bool) -> Any:
    """The witness as ``at``; or, where there is none to print, what was passed.

    Shapes are left as they are: the seed draws from them what it drew.
    """
    witness = {} if claim.witness is None else claim.witness.point
    if not isinstance(at, Mapping):
        return witness or None if not custom else at
    if not witness or any(is_shape(v, names=True) for _, v in _parts(at)):
        return at
    if not custom:
        return witness
    own = lambda n, v: witness.get(n, v)  # noqa: E731  # the cotangents are drawn, and no arguments of forward
    return {
        n: [own(f"{n}[{k}]", x) for k, x in enumerate(v)] if isinstance(v, (list, tuple)) else own(n, v)
        for n, v in at.items()
    }


def _parts(at: Any) -> Iterator[tuple[str, Any]]:
    """The single values of a point, and what each may be called."""
    for n, v in at.items() if isinstance(at, Mapping) else (("at", at),):
        several = isinstance(v, (list, tuple)) and any(isinstance(x, (torch.Tensor, np.ndarray, tuple)) for x in v)
        yield from ((f"{n}[{k}]", x) for k, x in enumerate(v)) if several else ((str(n), v),)


def _formula(formula: Any) -> str:
    """A formula as code: a name, a lambda's or a text's own words."""
    if isinstance(formula, sp.Basic):
        return repr(str(formula))
    if isinstance(formula, Mapping):
        return f"{{{', '.join(f'{n!r}: {_formula(f)}' for n, f in formula.items())}}}"
    if isinstance(formula, (tuple, list)):
        inner = ", ".join(map(_formula, formula))
        return f"[{inner}]" if isinstance(formula, list) else f"({inner}{',' * (len(formula) == 1)})"
    if callable(formula) and not isinstance(formula, torch.nn.Module):
        name = str(getattr(formula, "__name__", "formula"))
        unit = function_unit(formula) if name == "<lambda>" else None
        return unit.text.strip() if unit is not None else name.replace("<lambda>", "formula")
    return "model" if isinstance(formula, torch.nn.Module) else _literal(formula)


def _literal(value: Any, name: str = "") -> str:
    """The value as Python code that makes it again; or its name, where it has one and is too long."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{n!r}: {_literal(v, str(n))}' for n, v in value.items())}}}"
    if isinstance(value, (list, tuple)) and not all(isinstance(x, (int, float, str)) for x in value):
        inner = ", ".join(_literal(x, f"{name or 'at'}[{k}]") for k, x in enumerate(value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    if isinstance(value, (torch.Tensor, np.ndarray)) and name and entries_of(value) > _LONGEST:
        return name
    if isinstance(value, torch.Tensor):
        return f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
    if isinstance(value, np.ndarray) and value.shape:
        kind = "" if value.dtype in (np.float64, np.int64, np.bool_, np.complex128) else f", dtype=np.{value.dtype}"
        return f"np.array({value.tolist()!r}{kind})"
    if isinstance(value, (np.ndarray, np.generic)):
        return repr(value.item())
    return repr(value)
