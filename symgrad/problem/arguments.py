"""The arguments of `verify` made definite: which inputs there are, their values, dtypes and bounds, and which of them
are differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np
import sympy as sp
import torch
from torch.masked import is_masked_tensor

from symgrad.errors import AmbiguousBranch, BadInput, NoPoint, SymgradError, UnknownName, UserCodeFailed, close_names
from symgrad.lifting.formulas import Formula, Symbolic
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.stated_conditions import stated_conditions
from symgrad.lifting.text.step_list import are_steps
from symgrad.lifting.tracing.functions import Module, Run
from symgrad.lifting.tracing.nests import is_nest
from symgrad.problem.constraints import settle_data
from symgrad.problem.definedness import Undefined, Where, declared, read_domain
from symgrad.problem.point_search import narrow_point, toward_domain, undefined_at
from symgrad.problem.sampling import Inputs, draw
from symgrad.program.expressions import Expression
from symgrad.program.program import Program
from symgrad.typing import Bounds

# ----------------------------------------------------------------------------------------------------- plain arguments
# Arguments as people write them, made plain: names for symbols, dense tensors on the CPU, shapes that can be drawn.
#
# Whatever is none of these is refused here, before anything is run, with the argument's name and what to write instead.

_LARGEST = 2**21  # entries that are drawn for one input: each is judged by itself, in some ten microseconds
_NAMED = (sp.Symbol, sp.MatrixSymbol, sp.IndexedBase)


def are_numbers(hand: Any) -> bool:
    """Whether the hand side is values computed elsewhere, of which only one point is known."""
    if are_steps(hand):
        return False
    parts = hand.values() if isinstance(hand, Mapping) else hand if isinstance(hand, tuple) else [hand]
    kinds = (int, float, complex, np.ndarray, np.generic, torch.Tensor, list)
    return any(isinstance(part, kinds) and not _holds_formulas(part) for part in parts)


def _holds_formulas(part: Any) -> bool:
    """Whether a list is one of formulas, and not of numbers."""
    kinds = (str, sp.Basic, sp.MatrixBase)
    return isinstance(part, list) and any(getattr(type(x), "is_formula", False) or isinstance(x, kinds) for x in part)


def plain_names(wrt: Any) -> Any:
    """``wrt`` with names for symbols: None, one name, or a list of them; entries ``U[k, N]`` stay.

    >>> plain_names(sp.Symbol("x")), plain_names(("x", sp.Symbol("y")))
    ('x', ['x', 'y'])
    """
    if wrt is None or isinstance(wrt, (str, sp.Indexed)):
        return wrt
    if isinstance(wrt, _NAMED):
        return _name(wrt, "wrt")
    if isinstance(wrt, (list, tuple, set, frozenset)):
        several = wrt if isinstance(wrt, (list, tuple)) else sorted(wrt, key=str)
        return [x if isinstance(x, sp.Indexed) else _name(x, "wrt") for x in several]
    raise BadInput(f"wrt is {_shown(wrt)}.", instead="Pass the name of an input, or a list of names: wrt='x'.")


def plain_keys(given: Any, what: str) -> Any:
    """A mapping with names for symbols; anything else as it is.

    >>> plain_keys({sp.Symbol("x"): (0, 1)}, "domain")
    {'x': (0, 1)}
    """
    return {_name(k, what): v for k, v in given.items()} if isinstance(given, Mapping) else given


def plain_point(at: Any) -> dict[str, Any] | None:
    """``at`` with names for symbols, and tensors and shapes that can be read.

    Raises `BadInput` for what is no mapping, and for values of which no numbers can be had.
    """
    if at is None:
        return None
    if not isinstance(at, Mapping):
        raise BadInput(f"at is {_shown(at)}.", instead="Pass a mapping from inputs to values or shapes: at={'x': 0.5}.")
    named = plain_keys(at, "at")
    return {name: _value(name, value) for name, value in named.items()}


def _name(thing: Any, what: str) -> str:
    if isinstance(thing, str):
        return thing
    if isinstance(thing, _NAMED):
        return str(getattr(thing, "label", None) or getattr(thing, "name", thing))
    raise BadInput(f"{what} has {_shown(thing)} for a name.", instead="Write the input's name: 'x'.")


def _value(name: str, value: Any) -> Any:
    where = f"at[{name!r}]"
    if isinstance(value, sp.Expr) and value.is_number:
        value = float(value) if value.is_real else complex(value)
    if isinstance(value, torch.Tensor):
        kinds = {
            "nested": value.is_nested,
            "on meta": value.device.type == "meta",
            "masked": is_masked_tensor(value),
            "quantized": value.is_quantized,
            "sparse": value.layout is not torch.strided,
        }
        for kind in (k for k, is_so in kinds.items() if is_so):
            raise BadInput(
                f"{where} is a tensor that is {kind}.", instead="Pass a dense tensor that holds its numbers."
            )
        return value.resolve_conj().resolve_neg() if value.is_conj() or value.is_neg() else value
    if np.ma.is_masked(value):
        raise BadInput(f"{where} is an array that is masked.", instead="Pass an array that holds all of its numbers.")
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype.itemsize > 8:
        return value.astype(np.float64)
    if isinstance(value, tuple):
        lengths = [n for n in value if isinstance(n, (int, np.integer)) and not isinstance(n, bool)]
        if any(n < 0 for n in lengths):
            raise BadInput(
                f"{where} is {value!r}, which is no shape that can be drawn.", instead="Pass a shape: (3, 4)."
            )
        if math.prod(map(int, lengths)) > _LARGEST:
            names = tuple(f"n{k}" for k in range(len(value))) if len(value) > 1 else ("n",)
            raise BadInput(
                f"{where} is {value!r}: so many entries take minutes, each by itself.",
                instead=f"Pass a smaller shape, or names for its lengths, {names}, which asks about all of them.",
            )
    if isinstance(value, (list, int, float, complex)) and not isinstance(value, bool) and not is_nest(value):
        try:
            np.asarray(value, dtype=np.complex128)
        except (TypeError, ValueError, OverflowError):
            raise BadInput(
                f"{where} is {_shown(value)}, which is no array of numbers.",
                instead="Pass a number, an array, a tensor, or a shape such as (3, 4).",
            ) from None
    return value


def _shown(thing: Any) -> str:
    text = repr(thing) if isinstance(thing, (int, float, complex, str, bytes, list, tuple, dict, sp.Basic)) else ""
    kind = type(thing).__name__
    return text if 0 < len(text) <= 40 else f"{'an' if kind[:1].lower() in 'aeio' else 'a'} {kind}"


# ----------------------------------------------------------------------------------------------------------- arguments

_TRIES = 200


def check_budgets(points: int, effort: float, seed: int) -> None:
    """Raise `BadInput` for a number of points, an effort or a seed that can be none."""
    is_whole = lambda n: isinstance(n, (int, np.integer)) and not isinstance(n, bool)  # noqa: E731
    if not (is_whole(points) and points > 0):
        raise BadInput(f"points is {points!r}.", instead="Pass a positive whole number: 64 is the default.")
    if not (isinstance(effort, (int, float)) and not isinstance(effort, bool) and 0 < effort < 1e6):
        raise BadInput(
            f"effort is {effort!r}.", instead="Pass a positive number: 1 is the default, 10 searches longer."
        )
    if not (is_whole(seed) and 0 <= seed < 2**63):
        raise BadInput(f"seed is {seed!r}.", instead="Pass a whole number that is not negative: 0 is the default.")


def full_name(name: str, known: Sequence[str]) -> str:
    """The input that ``name`` stands for: ``linear1_weight`` may be written for ``linear1.weight``.

    >>> full_name("linear1_weight", ["linear1.weight", "x"])
    'linear1.weight'

    An input that a formula in LaTeX writes with signs below it goes by that too: ``h_{t-1}`` for ``h_tm1``.
    """
    plain = name.translate({ord(c): c_ for c, c_ in zip("{}\\+-", ["", "", "", "p", "m"], strict=True)})
    same = (name, plain, name.replace('"', "'"))
    return name if name in known else next((k for k in known if k in same or k.replace(".", "_") in same), name)


def _array(name: str, value: Any) -> Any:
    """A float value as an array of its exact binary values; other values as they are."""
    if isinstance(value, torch.Tensor):
        if not (value.is_floating_point() or value.is_complex()):
            return value
        value = value.detach().cpu()
        return value.to(torch.complex128 if value.is_complex() else torch.float64).numpy()
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, float, complex)):
        return np.asarray(value, dtype=np.complex128 if isinstance(value, complex) else np.float64)
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "fc":
            return value
        return np.asarray(value).astype(np.complex128 if value.dtype.kind == "c" else np.float64)
    if isinstance(value, (list,)):
        array = np.asarray(value)
        if array.dtype.kind in "if":
            return array.astype(np.float64)
        if array.dtype.kind == "c":
            return array
    raise _no_numbers(name, value)


def _no_numbers(name: str, value: Any) -> BadInput:
    return BadInput(
        f"at[{name!r}] is {value!r}, which is neither numbers nor a shape.",
        instead="Pass a number, an array, a tensor, or a shape such as (3, 4).",
    )


def _bounds(name: str, given: Any) -> Bounds:
    try:
        low, high = (None if x is None else float(x) for x in given)
    except (TypeError, ValueError):
        low, high = np.inf, -np.inf
    if low is not None and high is not None and not low < high:
        raise BadInput(f"domain[{name!r}] is {given!r}.", instead="Pass (low, high), either of them None for no bound.")
    return low, high


def is_shape(value: Any, *, names: bool = False) -> TypeGuard[tuple[int, ...]]:
    """Whether a value in ``at`` asks for one of this shape to be drawn; ``names`` says that sizes may have names."""
    kinds = (int, np.integer, str) if names else (int, np.integer)
    return isinstance(value, tuple) and all(isinstance(n, kinds) and not isinstance(n, bool) for n in value)


def resolve(
    model: Formula,
    at: Mapping[str, Any] | None,
    wrt: Sequence[str],
    domain: Any,
    seed: int,
    own: Mapping[str, Any],
    declared_too: Mapping[str, Bounds] | None = None,
) -> Inputs:
    """The point that the user gave, completed: shapes are drawn, a module's parameters are its own.

    ``declared_too`` are bounds that were declared otherwise; ``domain`` goes before them.

    Raises `UnknownName` for a name in ``at`` or ``domain`` that the model does not have.
    """
    known = model.names
    _refuse_unknown("at", at or {}, known, "the model has only")
    stated, conditions = domain_of(domain, known, "the model has only")
    assumed, whole = declared(_assumptions(model))
    bounds = assumed | dict(declared_too or {}) | stated
    rng = np.random.default_rng((seed, 3))
    point: dict[str, Any] = {}
    given: set[str] = set()
    for name in known:
        value = (at or {}).get(name, own.get(name))
        if value is None and name not in (at or {}):
            if name in model.required or name in wrt:
                point[name] = draw((), rng, bounds.get(name, (None, None)))
            continue
        if is_shape(value):
            point[name] = draw(value, rng, bounds.get(name, (None, None)))
            continue
        if (value is None or isinstance(value, (str, bool))) and isinstance(model, Symbolic):
            raise _no_numbers(name, value)
        point[name] = _array(name, value)
        given.add(name)
    free = tuple(n for n in point if _is_float(point[n]) and (n in wrt or n not in given))
    return Inputs(point, free, frozenset(given), bounds, whole=whole & set(free), conditions=conditions)


def domain_of(domain: Any, known: Collection[str], there_are: str) -> tuple[dict[str, Bounds], tuple[Where, ...]]:
    """The bounds and the other conditions that a domain states, of names that are ``known``; `UnknownName` for others.

    ``there_are`` are the words before the list of names in the message.
    """
    stated, conditions = read_domain(domain)
    _refuse_unknown("domain", [*stated, *(n for c in conditions for n in c.names)], known, there_are)
    return {name: _bounds(name, given) for name, given in stated.items()}, conditions


def _refuse_unknown(what: str, names: Iterable[str], known: Collection[str], there_are: str) -> None:
    for name in names:
        if name not in known:
            near = close_names(name, known)
            raise UnknownName(f"{what} has {name!r}, but {there_are} {', '.join(known)}.", instead=near or None)


def _assumptions(model: Formula) -> Mapping[str, Mapping[str, bool]]:
    if isinstance(model, Latex):
        return stated_conditions(model.text)[1]
    source = model.source if isinstance(model, Symbolic) else None
    return source.assumptions if isinstance(source, Expression) else {}


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def dtype_name(dtype: Any) -> str:
    """The name of a dtype that is asked for.  Raises `BadInput` where it is none of floats.

    >>> dtype_name(torch.float32), dtype_name(np.float64), dtype_name("bfloat16")
    ('float32', 'float64', 'bfloat16')
    """
    name = str(dtype).removeprefix("torch.").removeprefix("<class 'numpy.").rstrip("'>")
    if name not in ("float16", "bfloat16", "float32", "float64", "complex64", "complex128"):
        raise BadInput(
            f"dtype is {dtype!r}.", instead="Pass 'float64', 'float32', 'float16', 'bfloat16', or the torch dtype."
        )
    return name


def dtypes_of(model: Formula, at: Mapping[str, Any] | None, point: Mapping[str, Any], dtype: Any) -> dict[str, str]:
    """The dtype of each float input: the one asked for, else its own, else that of the model's parameters."""
    asked = None if dtype is None else dtype_name(dtype)
    own = model.dtypes if isinstance(model, Module) else {}
    found: dict[str, str] = {}
    for name, value in point.items():
        if not _is_float(value):
            continue
        given = (at or {}).get(name)
        kind = own.get(name)
        if isinstance(given, torch.Tensor):
            kind = str(given.dtype).removeprefix("torch.")
        elif isinstance(given, (np.ndarray, np.generic)):
            kind = str(given.dtype)
        found[name] = kind or ""
    default = next((k for k in own.values()), None) or next((k for k in found.values() if k), None) or "float64"
    for name, kind in found.items():
        kind = asked or kind or default
        if point[name].dtype.kind == "c" and not kind.startswith("complex"):
            kind = "complex64" if kind == "float32" else "complex128"
        found[name] = kind
    return found


def rounded_to(point: Mapping[str, Any], dtypes: Mapping[str, str]) -> dict[str, Any]:
    """The point with every float rounded to its dtype: the values that the code is really given."""
    out = dict(point)
    for name, kind in dtypes.items():
        tensor = torch.tensor(point[name]).to(getattr(torch, kind))
        out[name] = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64).numpy()
    return out


def refuse_copies(hand: Program, inputs: Inputs) -> None:
    """Raise `BadInput` if the hand formula uses a copy of an input that was made outside of it.

    Such a formula can be right at the user's own point and at no other; it would be called wrong.  A constant counts
    as a copy if it holds just an input's values, several of them, and at least one that nobody types.
    """
    used = {hand.steps[i].params for i in hand.needed(hand.outputs.values()) if hand.steps[i].op == "input"}
    for i, step in enumerate(hand.steps):
        if step.op != "constant" or step.params.value.size < 2 or step.params.exact is not None:
            continue
        values = np.sort_complex(step.params.value.reshape(-1))
        for name, value in inputs.point.items():
            if not _is_float(value) or value.size != values.size or name in used:
                continue
            there = np.sort_complex(value.reshape(-1))
            if np.array_equal(values, there) and any(v != float(f"{v:.6g}") for v in np.abs(there).tolist()):
                where = step.source or next((s.source for s in hand.steps if i in s.args and s.source), None)
                raise BadInput(
                    f"the hand formula uses a copy of {name} that was made outside of it.",
                    where=f"    {where.file}:{where.line}    {where.text}" if where and where.line else None,
                    instead="Take it inside the function, from the module or as an argument, so that it can be "
                    "judged at other points too.",
                )


def differentiated(model: Formula, hand_keys: Sequence[str], wrt: Any, floats: Sequence[str]) -> tuple[str, ...]:
    """The inputs to differentiate with respect to: those asked for, else those that the hand formulas are for.

    Raises `UnknownName` for a name that the model does not have, `BadInput` where nothing tells which one is meant.
    """
    names = [wrt] if isinstance(wrt, str) else list(wrt) if wrt is not None else None
    if names is None:
        if list(hand_keys) == ["output"] or list(hand_keys) == ["value"]:
            if len(floats) == 1:
                return (floats[0],)
            has = f"the inputs {', '.join(floats)}" if floats else "no inputs"
            raise BadInput(
                f"the hand formula gives one value, and the model has {has}.",
                instead=f"Say which one it is for: wrt={floats[0]!r}, or pass a mapping such as {{{floats[0]!r}: ...}}."
                if floats
                else "Write a model with an input that is no whole number, such as x**2.",
            )
        if all(k.isdigit() for k in hand_keys):
            if len(hand_keys) != len(floats):
                raise BadInput(
                    f"the hand formula gives {len(hand_keys)} values, and the model has {len(floats)} inputs: "
                    f"{', '.join(floats)}.",
                    instead="Pass wrt=(...) in the same order, or return a mapping from input to gradient.",
                )
            return tuple(floats)
        names = list(hand_keys)
    out = []
    for name in names:
        real = full_name(name, model.names)
        if real not in model.names:
            near = close_names(name, model.names)
            what = "wrt names" if wrt is not None else "the hand formulas have"
            if "," in name:
                near = (
                    "Second derivatives by several inputs stand in one matrix: pass the Hessian, and wrt in its order."
                )
            raise UnknownName(
                f"{what} {name!r}, but the model has only {', '.join(model.names)}.", instead=near or None
            )
        out.append(real)
    return tuple(out)


def find_point(model: Formula, inputs: Inputs, dtypes: Mapping[str, str], seed: int) -> tuple[Inputs, Run]:
    """The inputs with those that were not given moved to where the model is defined, and its run there.

    Raises `NoPoint` if no draw is inside the domain, `UserCodeFailed` if the code fails everywhere, `AmbiguousBranch`
    if it compares what has no order wherever it was run.
    """
    last: Undefined | None = None
    failure: SymgradError | None = None
    unordered: SymgradError | None = None
    step_inside: dict[str, Any] | None = None
    drawn = [n for n in inputs.point if n not in inputs.given and _is_float(inputs.point[n])]
    for k in range(_TRIES if drawn else 1):
        rng = np.random.default_rng((seed, 4, k))
        point = dict(inputs.point)
        for name in drawn if k else ():
            scale = (1.0, 0.25, 4.0, 1.0, 16.0, 64.0)[k % 6]
            bounds = inputs.bounds.get(name, (None, None))
            value = draw(np.shape(point[name]), rng, bounds)
            point[name] = value if bounds != (None, None) else value * scale
            if k % 3 == 2 and bounds == (None, None):
                point[name] = np.abs(point[name])
        if k % 16 and step_inside is not None:
            point = step_inside
        settled = inputs.settled(settle_data(rounded_to(point, dtypes), inputs.given, inputs.facts))
        if settled is None:
            continue
        point = settled
        try:
            run = model.run(point, dtypes)
        except UserCodeFailed as error:
            failure = error
            if k > 4:
                break
            continue
        except AmbiguousBranch as error:  # a choice by numbers that have no order there: outside of the domain
            unordered = error
            continue
        undefined, defined = undefined_at(run.program, point)
        if defined:
            return replace(inputs, point=point), run
        last = undefined or last
        step_inside = None if last is None else toward_domain(run.program, last, point, drawn, inputs.bounds, rng)
        if not drawn:
            if any(_has_value(run.values[k]) for k in run.program.outputs):
                return replace(inputs, point=point), run
            raise _no_value(inputs, last)
    if unordered is not None and last is None:
        raise unordered
    if failure is not None and last is None:
        raise _missing(model, [n for n in drawn if not np.ndim(inputs.point[n])], failure)
    found = narrow_point(model, inputs, dtypes, drawn, seed) if last is not None else None
    if found is not None:
        return replace(inputs, point=found[0]), found[1]
    error = _no_point(inputs, last)
    error.program = None if last is None else run.program
    raise error


def _missing(model: Formula, drawn: Sequence[str], failure: SymgradError) -> SymgradError:
    if not drawn or isinstance(model, Symbolic):
        return failure
    example = ", ".join(f'"{n}": (3,)' for n in drawn[:2])
    error = BadInput(
        f"at has no value for {', '.join(drawn)}, and with single numbers the function fails: {failure.what}",
        where=failure.where,
        instead=f"Pass values or shapes: at={{{example}}}.",
    )
    error.__cause__ = failure
    return error


def _has_value(output: np.ndarray) -> bool:
    return not output.size or bool(np.isfinite(output).any())


def _no_value(inputs: Inputs, last: Undefined | None) -> SymgradError:
    """The user's own point is outside the domain, or holds a NaN."""
    odd = [n for n in inputs.given if _is_float(inputs.point[n]) and not np.isfinite(inputs.point[n]).all()]
    if odd:
        held = ", ".join(f"at[{n!r}] holds {_first_odd(inputs.point[n])}" for n in sorted(odd))
        return BadInput(f"{held}: the model has no value there.", instead="Pass ordinary numbers.")
    return _no_point(inputs, last, "your point is outside the domain")


def _first_odd(value: np.ndarray) -> str:
    return str(value[~np.isfinite(value)].reshape(-1)[0])


_NEEDS = {"log": "> 0", "sqrt": ">= 0", "rsqrt": "> 0", "div": "!= 0 below the line", "log1p": "> -1"}
_NEEDS |= {"asin": "in (-1, 1)", "acos": "in (-1, 1)", "atanh": "in (-1, 1)", "acosh": "> 1", "lgamma": "> 0"}


def _no_point(inputs: Inputs, last: Undefined | None, told: str = "no point to test at") -> NoPoint:
    domain = ", ".join(
        f"{'' if low is None else f'{low:g} < '}{name}{'' if high is None else f' < {high:g}'}"
        for name, (low, high) in inputs.bounds.items()
    )
    bounds = f", and the domain says {domain}" if domain else ""
    if last is None:
        return NoPoint(f"{told}: the formula has no value at any of {_TRIES} points tried{bounds}.")
    need = _NEEDS.get(last.op)
    text = last.source.text if last.source is not None else ""
    what = f"{last.op} needs its argument {need}" if need else f"{last.op} has no value"
    return NoPoint(
        f"{told}: {what}{bounds}.",
        where=f"    {text}" if text else None,
        instead="Pass at={...} with a point inside the domain, or domain={name: (low, high)}.",
    )
