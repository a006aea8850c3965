"""Slips in the factors and terms of a gradient: how each is recognised, and the sentence that explains it."""

from __future__ import annotations

import ast
import re

import numpy as np

from symgrad.diagnosis.claims import is_derivative_like
from symgrad.diagnosis.expression_text import divisors_of
from symgrad.diagnosis.slip import Slip, canonical, short


def not_carried(s: Slip) -> str | None:
    if not (re.search(r"zeros(_like)?\(", s.old) or s.old in ("0", "0.0")) or s.kind == "constant":
        return None
    if not s.new.isidentifier() or s.is_an_index:
        return None
    return f"{s.name} is set to zero, so nothing flows back along this path; the gradient computed as {s.new} goes on."


def upstream(s: Slip) -> str | None:
    if s.kind != "factor" or not re.fullmatch(
        r"(d_?out|grad_?out(put)?|upstream|dy|dL_?d\w+|delta\w*|dout)", s.brought
    ):
        return None
    if s.brought.startswith("delta") and s.brought not in s.definitions:  # an input, such as the one of Huber's loss
        return None
    return f"the chain rule multiplies the local derivative by the gradient that comes from above, {s.brought}."


def batch_mean(s: Slip) -> str | None:
    if s.kind not in ("divide", "factor", "replace", "constant") or not s.brought:
        return None
    extent = re.search(r"len\(|\.shape\[|\.size\b|\.numel\(", s.brought)
    is_size = s.edit.of == "size" or extent or re.fullmatch(r"[nNmMB]|batch(_size)?|count", s.brought)
    if not is_size or "/" not in canonical(s.new):
        return None
    size = s.value_of(s.brought)
    if size is None and not extent and s.scene is not None:  # an array of that name
        return None
    told = f", here {size:g}," if size is not None else ""
    n = s.brought
    if s.scene is not None and not is_derivative_like(s.name):  # a value, which is no part of a mean's gradient
        return None
    if s.scene is not None and canonical(s.old) != canonical(s.scene.site.expression.text):  # then it is no loss's
        return f"{short(s.old)} is {n} times too large{told.rstrip(',')}: a mean passes on 1/{n} of a gradient."
    return f"the loss is a mean over {n}{told} and its gradient carries 1/{n}: {short(s.old)} is {n} times too large."


def degrees(s: Slip) -> str | None:
    if s.edit.of != "degrees" and "180" not in s.new and "deg2rad" not in s.new:
        return None
    return "the input is in degrees: d/d(degrees) = (pi/180) * d/d(radians), and that factor is missing."


def log_parameter(s: Slip) -> str | None:
    name = s.brought if s.brought in s.definitions else None
    if name is None:
        base = re.search(r"(\w+)\s*\*\*", s.edit.text)
        name = base.group(1) if s.kind in ("constant", "exponent") and base else None
    if name is None or s.kind not in ("factor", "constant", "exponent", "divide", "replace"):
        return None
    inner = re.fullmatch(r"(?:\w+\.)?exp\((\w+)\)", s.definitions.get(name, ""))
    if not inner:
        return None
    p = inner.group(1)
    if s.name in s.definitions and not is_derivative_like(s.name):
        return None  # the line computes a value, and no slope of it is taken there
    return f"the input is {p} = log {name}, not {name}: d{name}/d{p} = {name}, so one more factor {name} belongs here."


def two_cells(s: Slip) -> str | None:
    cell = re.fullmatch(r"(.+)\[(\d+), (\d+)\]", s.old)
    if cell is None or cell[2] == cell[3] or not (s.brought == "2" or f"[{cell[3]}, {cell[2]}]" in s.new):
        return None
    i, j = cell[2], cell[3]
    return f"one parameter stands in two cells, ({i}, {j}) and ({j}, {i}); each adds its own term, so {s.new}."


def wirtinger_two(s: Slip) -> str | None:
    if s.brought not in ("2", "2.0") or s.kind not in ("factor", "constant factor") or s.scene is None:
        return None
    if not any(np.iscomplexobj(w) for w in s.scene.wanted):
        return None
    return (
        "for z = x + iy, torch's gradient of a real L is dL/dx + i*dL/dy, which is 2*dL/dconj(z): twice the derivative "
        f"of Wirtinger's calculus, so {s.old} becomes {s.new}."
    )


def factor_two(s: Slip) -> str | None:
    number = s.brought.removeprefix("1 / ")
    if number not in ("2", "2.0", "0.5") or s.kind not in ("factor", "divide", "drop factor", "constant factor"):
        return None
    inverse = (number == "0.5") != (s.kind == "divide" or s.brought != number)  # what comes or goes is a half
    if s.kind == "drop factor":
        return f"there is a factor {'1/2' if inverse else '2'} too much: {s.old} becomes {s.new}."
    if inverse:
        return f"there is a factor 2 too much: {s.old} becomes {s.new}."
    below = {canonical(d.strip("()")) for d in divisors_of(s.edit.text)}
    product = ast.parse(f"({s.new}\n)", mode="eval").body
    both = [product.left, product.right] if isinstance(product, ast.BinOp) and isinstance(product.op, ast.Mult) else []
    if canonical(s.new) in below or (both and all(ast.unparse(x) in below for x in both)):  # below the line
        return f"a factor 1/2 is missing: {s.old} becomes {s.new}."
    return f"a factor 2 is missing: {s.old} becomes {s.new}."


def constant_factor(s: Slip) -> str | None:
    if re.fullmatch(r"-?\d+(\.\d+)?", s.brought) and s.kind in ("factor", "divide", "drop factor", "constant factor"):
        return f"the constant factor is off: {s.old} becomes {s.new}."
    return None


def missing_factor(s: Slip) -> str | None:
    if s.kind != "factor" or not s.brought:
        return None
    what = s.definitions.get(s.brought)
    of = " of the chain rule" if is_derivative_like(s.name) and s.edit.of != "size" and _is_link(s) else ""
    return f"a factor{of} is missing: {s.brought}{f' = {what}' if what else ''}."


_SLOPE = re.compile(r"1(\.0*)? - [^-+]+ ?\*\* ?2|(\w+) \* \(1(\.0*)? - \2\)")  # of tanh and of the sigmoid


def _is_link(s: Slip) -> bool:
    """Whether what was put in is multiplied with a gradient, or with the slope of a function, or is one."""
    rest = canonical(s.edit.before)
    return bool(_SLOPE.search(rest)) or any(map(is_derivative_like, [s.brought, *re.findall(r"[A-Za-z_]\w*", rest)]))


def hidden_factor(s: Slip) -> str | None:
    """What was put in is what was there, times something that has a name."""
    name = s.named_ratio() if s.kind == "replace" else None
    if name is None:
        return None
    return f"{s.old} lacks the factor {name}: {s.new} is {name} times as much."


def extra_factor(s: Slip) -> str | None:
    if s.kind not in ("drop factor", "divide"):
        return None
    if s.kind == "divide":
        return f"a division by {s.brought} is missing: {s.old} becomes {s.new}."
    taken = s.brought or s.old
    if taken.startswith("1 / "):
        return f"the division by {taken[4:]} is one too many: {s.old} becomes {s.new}."
    return f"{taken} is multiplied in once too often: {s.old} becomes {s.new}."


def never_used(s: Slip) -> str | None:
    """A name that the code computes and uses nowhere is what was meant to stand here."""
    if s.scene is None or not s.brought.isidentifier() or s.brought not in s.definitions:
        return None
    loaded = {n.id for n in ast.walk(s.scene.site.unit.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return (
        None
        if s.brought in loaded
        else f"this line lacks {s.brought}, which is computed and then used nowhere: {s.old} becomes {s.new}."
    )


def off_by_one(s: Slip) -> str | None:
    whole = s.kind == "count" or (s.brought in ("1", "-1") and s.kind == "term" and s.is_of_a_whole_number)
    return f"the number is off by one: {s.new}, not {s.old}." if whole else None


def missing_path(s: Slip) -> str | None:
    if s.kind != "term" or not s.brought:
        return None
    what = s.definitions.get(s.brought)
    return f"a term is missing: {s.brought}{f' = {what}' if what else ''}."


REAL = "the input is real, and so is its gradient: autograd differentiates the real part of the output"


def imaginary_term(s: Slip) -> str | None:
    if s.kind != "drop term" or not re.fullmatch(r"[\d.]+j", s.brought):
        return None
    return f"{REAL}, so {s.old} becomes {s.new}."


def extra_term(s: Slip) -> str | None:
    if s.kind != "drop term":
        return None
    return f"there is a term too much{f', {s.brought}' if s.brought else ''}: {s.old} becomes {s.new}."
