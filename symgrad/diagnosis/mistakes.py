"""Common slips: one row each, how to recognise it, and the sentence that explains it in the user's own names.

A row is a function from a `Slip` to a sentence, or None where the slip is another one; the first row that speaks is
believed.  The rows stand from the particular to the general, so that the last ones always have something to say.
To add a slip, write a row and put it in `ROWS` before the ones that are more general.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.claims import is_derivative_like
from symgrad.diagnosis.expression_text import divisors_of
from symgrad.diagnosis.mistaken_factors import (
    REAL,
    batch_mean,
    constant_factor,
    degrees,
    extra_factor,
    extra_term,
    factor_two,
    hidden_factor,
    imaginary_term,
    log_parameter,
    missing_factor,
    missing_path,
    never_used,
    not_carried,
    off_by_one,
    two_cells,
    upstream,
    wirtinger_two,
)
from symgrad.diagnosis.scope import scope_of
from symgrad.diagnosis.slip import Slip, canonical, is_difference, numbers, short

# ------------------------------------------------------------------------------------------------------------ mistakes

_SLOPES = {
    "tanh": ("1 - tanh(z)**2", "1 - {h}**2"),
    "sigmoid": ("sigmoid(z)*(1 - sigmoid(z))", "{h}*(1 - {h})"),
    "exp": ("exp(z)", "{h}"),
    "log": ("1/z", "1/{z}"),
    "sin": ("cos(z)", "cos({z})"),
    "cos": ("-sin(z)", "-sin({z})"),
    "sqrt": ("1/(2*sqrt(z))", "1/(2*{h})"),
    "softmax": ("s*(g - sum(g*s))", "{h}*(g - sum(g*{h}))"),
    "relu": ("1 for z > 0, else 0", "({z} > 0)"),
}
_OF_THEMSELVES = ("tanh", "sigmoid", "exp", "softmax")  # whose slopes are written in their own values


@dataclass(frozen=True)
class Row:
    """A slip: its name, and the function that recognises and explains it."""

    name: str
    says: Callable[[Slip], str | None]


def explain(slip: Slip) -> str:
    """The sentence of the first row that knows the slip."""
    return next(text for row in ROWS if (text := row.says(slip)) is not None)


# ------------------------------------------------------------------------------------------------ names


def _before_activation(s: Slip) -> str | None:
    f = s.function_of(s.new, s.old) or _applied(s)
    if f is None:
        return None
    around = _around(s)
    if f not in _OF_THEMSELVES and not around:
        return f"{s.old} is the value before {f}; here it is {s.new}."
    rule, here = _SLOPES.get(f, (f"{f}'(z)", ""))
    so = around or here.format(h=s.new, z=s.old)
    tail = f", so here {so}" if so and so != s.new else f", so here it is {s.new}"
    return f"{s.old} is the value before {f}; {f}'(z) = {rule}{tail}."


def _applied(s: Slip) -> str | None:
    """f, where the edit puts f(z) in the place of z."""
    node = ast.parse(f"({s.new}\n)", mode="eval").body
    if not isinstance(node, ast.Call) or len(node.args) != 1 or ast.unparse(node.args[0]) != canonical(s.old):
        return None
    f = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return f if f in _SLOPES else None


def _after_activation(s: Slip) -> str | None:
    f = s.function_of(s.old, s.new)
    if f is None:
        return None
    return f"{s.old} is already {f}({s.new}); what is wanted here is {s.new}, the value before {f}."


def _around(s: Slip) -> str:
    """The slope that the new name stands in, such as ``1 - h1**2``."""
    try:
        tree = ast.parse(f"({s.edit.text}\n)", mode="eval").body
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and isinstance(node.left, ast.Constant):
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if names == {s.new} or (s.new != s.old and canonical(s.new) in ast.unparse(node)):
                return ast.unparse(node).replace(" ** ", "**")
    return ""


def _other_index(s: Slip) -> str | None:
    strip = lambda t: re.sub(r"\d+", "#", t)  # noqa: E731
    if not (s.old.isidentifier() and s.new.isidentifier()) or strip(s.old) != strip(s.new):
        return None
    return f"{s.old} stands where {s.new} belongs; the number in the name is another one{s.defined}."


def _primal_for_derivative(s: Slip) -> str | None:
    old, new = s.old, s.new
    if not (s.kind == "name" and new.lower().startswith(("d", "grad")) and new[1:].lstrip("_").endswith(old)):
        return None
    return f"{old} is the value itself; the chain rule wants its gradient {new} here."


def _derivative_for_primal(s: Slip) -> str | None:
    old, new = s.old, s.new
    if not (s.kind == "name" and old.lower().startswith(("d", "grad")) and old[1:].lstrip("_").endswith(new)):
        return None
    return f"{old} is a gradient; the local derivative here is taken at the value {new}."


def _other_name(s: Slip) -> str | None:
    if s.kind != "name":
        return None
    return f"{s.old} stands where {s.new} belongs{s.defined}."


# ------------------------------------------------------------------------------------------------ signs, brackets


def _sign_of_difference(s: Slip) -> str | None:
    if s.kind != "operand order" or not is_difference(s.new):
        return None
    return f"the sign is wrong: {s.old} becomes {s.new}."


def _whole_sign(s: Slip) -> str | None:
    if s.kind != "sign" or s.scene is None:
        return None
    line = s.scene.site.expression.text
    if s.scene.site.expression.op is not None:
        return None  # a part of it alone
    if s.edit.text not in (f"-{line}", f"-({line})") and line not in (f"-{s.edit.text}", f"-({s.edit.text})"):
        return None
    return f"yours is exactly minus the truth: {s.subject} should be {short(s.edit.text)}."


def _tanh_squared(s: Slip) -> str | None:
    """The value of tanh in its slope, not squared."""
    value = s.old if s.new.replace(" ", "") == f"{s.old}**2" else ""
    of = re.match(r"(?:\w+\.)*tanh\(", s.definitions.get(value, ""))
    if not of or f"1 - {value} ** 2" not in canonical(s.edit.text):
        return None
    return f"tanh'(z) = 1 - tanh(z)**2, and {value} is the value of tanh: so here 1 - {value}**2."


def _exponent(s: Slip) -> str | None:
    powered = "**" in s.old or "**" in s.new or re.search(rf"\*\*\s*\(?{re.escape(s.new)}(?![\w.])", s.edit.text)
    if s.kind == "square" and canonical(s.new) == canonical(f"{s.old}**2"):
        return f"a factor {s.old} is missing: {s.old} becomes {s.new}."
    if s.kind == "exponent" or s.kind == "square" or s.kind == "root" or (s.kind == "constant" and powered):
        return f"the exponent is off: {s.old} becomes {s.new}."
    return None


def _quotient(s: Slip) -> str | None:
    """A denominator that was not squared, or that a quotient in the line was not divided by a second time."""
    divisors = [canonical(d) for d in divisors_of(s.edit.text)]
    squared = any(d.endswith(" ** 2") and d in canonical(s.new) and d not in canonical(s.old) for d in divisors)
    twice = s.kind == "divide" and divisors.count(canonical(s.brought)) > 1
    if not (twice or squared):
        return None
    return f"the quotient rule divides by the square of the denominator: {s.old} becomes {s.new}."


def _quotient_sign(s: Slip) -> str | None:
    node = ast.parse(f"({s.new}\n)", mode="eval").body
    if s.kind != "sign" or not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)):
        return None
    if "**" not in " ".join(divisors_of(ast.unparse(node.right))):
        return None
    return f"the quotient rule subtracts: (u/v)' = (u'*v - u*v')/v**2, so {s.old} becomes {s.new}."


def _brackets(s: Slip) -> str | None:
    if s.kind != "brackets":
        return None
    read = _read(s.old)
    where = f"{s.old} is read as {read}; " if read != s.old else ""
    return f"the brackets group the wrong things: {where}it is {s.new}."


def _repeated_index(s: Slip) -> str | None:
    if s.kind != "repeated index" or s.scene is None:
        return None
    statement = s.scene.site.expression.statement
    target: Any = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
    at = ast.unparse(target.slice)
    try:
        found = [np.asarray(numbers(eval(at, scope_of(s.scene, k)))).tolist() for k in range(s.scene.plain)]
    except Exception:  # an index of several parts is no array
        found = []
    if not any(isinstance(rows, list) and len(rows) > len(set(map(str, rows))) for rows in found):
        return f"each part is added to what is there already: {s.new}."
    return f"{at} names a row more than once, and {s.old} keeps only one of the parts for it; {s.new} adds each."


def _overwritten(s: Slip) -> str | None:
    if s.kind != "overwritten":
        return None
    every = "every use adds its own part to a gradient" if is_derivative_like(s.name) else "this part is to be added"
    return f"this line writes over what {s.name} held; {every}: {s.new}."


def _read(text: str) -> str:
    """The text with the brackets that Python puts in."""
    node = ast.parse(f"({text}\n)", mode="eval").body
    if isinstance(node, ast.IfExp):
        body, otherwise = ast.unparse(node.body), ast.unparse(node.orelse)
        return f"({body}) if {ast.unparse(node.test)} else ({otherwise})"
    if not isinstance(node, ast.BinOp):
        return text
    part = lambda n: f"({ast.unparse(n)})" if isinstance(n, ast.BinOp) else ast.unparse(n)  # noqa: E731
    sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.MatMult: "@"}[type(node.op)]
    return f"{part(node.left)} {sign} {part(node.right)}"


# ------------------------------------------------------------------------------------------------ functions


def _softmax(s: Slip) -> str | None:
    if s.kind != "softmax" and not (".sum(" in s.new and " - (" in s.new and ".sum(" not in s.old and _has_shares(s)):
        return None
    return (
        f"softmax is no function entry by entry: every output depends on every input, so the gradient is {s.new}; the "
        "terms off the diagonal are missing."
    )


def _has_shares(s: Slip) -> bool:
    """Whether one of the names that were put in holds shares of one along an axis, as softmax gives them."""
    env = s.scene.envs[0] if s.scene is not None and s.scene.envs else {}
    for name in set(re.findall(r"[A-Za-z_]\w*", s.new)):
        value = env.get(name)
        v = numbers(value) if isinstance(value, (np.ndarray, torch.Tensor)) else np.zeros(0)
        if (v >= 0).all() and any(np.allclose(v.sum(k), 1, rtol=1e-9) for k in range(v.ndim) if v.size):
            return True
    return False


def _scatter_add(s: Slip) -> str | None:
    if s.kind != "function" or "scatter_add" not in s.new:
        return None
    return "an input that is used twice receives both gradients: they are added up, not assigned."


def _mean_for_sum(s: Slip) -> str | None:
    if (s.old, s.new) in (("mean", "sum"), ("sum", "mean")):
        return f"a {s.new} belongs here, and no {s.old}: {s.edit.before} becomes {s.edit.after}."
    if not ({".mean(" in s.old, ".sum(" in s.new} == {True} or {".sum(" in s.old, ".mean(" in s.new} == {True}):
        return None
    return f"a {'sum' if '.sum(' in s.new else 'mean'} belongs here: {s.old} becomes {s.new}."


def _matrix_order(s: Slip) -> str | None:
    if s.kind == "operand order" and ("@" in s.new or "dot(" in s.new or "outer(" in s.new or "matmul(" in s.new):
        return f"the factors of a matrix product do not commute: {s.new}, not {s.old}."
    return None


def _elementwise(s: Slip) -> str | None:
    if s.kind == "operator" and ("@" in s.new) != ("@" in s.old):
        word = "a matrix product" if "@" in s.new else "a product entry by entry"
        return f"this is {word}: {s.new}, not {s.old}."
    return None


def _not_reduced(s: Slip) -> str | None:
    if s.kind != "reduction" or not re.search(r"\.(sum|mean)\(", s.new) or re.search(r"\.(sum|mean)\([^()]*\)$", s.old):
        return None
    if ".sum(" in s.new and is_derivative_like(s.name) and canonical(s.new) == canonical(s.edit.text):
        return f"{s.name} was repeated by broadcasting, and each copy receives a gradient: they are added up, {s.new}."
    return f"a {'sum' if '.sum(' in s.new else 'mean'} is missing: {s.old} becomes {s.new}."


def _transposed(s: Slip) -> str | None:
    if s.kind != "transpose":
        return None
    if not re.search(r"@|\b(dot|matmul|mm|bmm|einsum)\(", s.edit.text):
        return f"rows and columns stand in each other's place: {s.old} becomes {s.new}."
    names = set(re.findall(r"[A-Za-z_]\w*", f"{s.old} {s.new}")) - {"T", "t", "transpose", "swapaxes"}
    if not is_derivative_like(s.name) or any(map(is_derivative_like, names)):
        wanted = "the transpose" if len(s.new) > len(s.old) else "the matrix itself, and not its transpose,"
        return f"{wanted} belongs here: {s.new}, not {s.old}."
    return f"the gradient goes back through a product by the transpose: {s.new}, not {s.old}."


def _axis(s: Slip) -> str | None:
    if s.kind != "axis":
        return None
    called = re.findall(r"\b(sum|mean|log_softmax|softmax|cumsum|max|amax)\(", s.new if "(" in s.new else s.edit.text)
    what = f"the {called[0].replace('amax', 'max')}" if len(set(called)) == 1 else "it"
    all_axes = "sum(" in s.old and not re.search(r"axis|dim|[(,] ?-?\d", s.old)
    return f"{what} runs over {'all axes' if all_axes else 'the wrong axis'}: {s.old} becomes {s.new}."


def _condition(s: Slip) -> str | None:
    if s.kind not in ("comparison", "branches swapped"):
        return None
    if re.search(r"\b(and|or)\b", s.old):
        return f"the condition is another one: {s.old} becomes {s.new}."
    if s.old.replace("=", "") == s.new.replace("=", "") and s.old.count("=") != s.new.count("="):
        return f"the edge itself belongs to the other side: {s.old} becomes {s.new}."
    return f"the condition is the wrong way round: {s.old} becomes {s.new}."


def _like_another(s: Slip) -> str | None:
    if not s.kind.startswith("like "):
        return None
    return f"as {s.kind[5:]} is computed, {s.subject} is {short(s.edit.text)}."


def _as_elsewhere(s: Slip) -> str | None:
    if s.kind != "as elsewhere":
        return None
    return f"where {s.name} is computed elsewhere in your code, it has {short(s.new)}, and here {short(s.old)}."


def _swapped(s: Slip) -> str | None:
    if s.kind != "names swapped":
        return None
    return f"two {'entries' if '[' in s.new else 'names'} stand in each other's place: {s.old} becomes {s.new}."


def _counterpart(s: Slip) -> str | None:
    if s.kind != "counterpart":
        return None
    other = ("+=" in s.new) != ("+=" in s.edit.text.split("\n")[0])
    return f"what one place of {s.name} receives another {'loses' if other else 'receives too'}: {s.new}."


def _inverse(s: Slip) -> str | None:
    if s.kind != "inverse":
        return None
    wanted = "the inverse of the matrix" if "solve(" in s.new else "the matrix itself, and not its inverse,"
    return f"{wanted} belongs here: {s.old} becomes {s.new}."


def _sign(s: Slip) -> str | None:
    if s.kind != "sign":
        return None
    if canonical(s.new) == canonical(f"-{s.old}") or canonical(s.new) == canonical(f"-({s.old})"):
        return f"a minus is missing: {s.old} becomes {s.new}."
    if canonical(s.old) == canonical(f"-{s.new}") or canonical(s.old) == canonical(f"-({s.new})"):
        return f"there is a minus too much: {s.old} becomes {s.new}."
    return f"the sign is wrong: {s.old} becomes {s.new}."


def _index(s: Slip) -> str | None:
    """The index alone, where one is another wherever it stands."""
    if s.kind != "index":
        return None
    old, new = (_indices(text) for text in (s.edit.before, s.edit.after))
    gone, come = set(old) - set(new), set(new) - set(old)
    if len(gone) == len(come) == 1:
        return f"the index is off: [{come.pop()}], not [{gone.pop()}]."
    return f"the index is off: {s.new}, not {s.old}."


def _indices(text: str) -> list[str]:
    try:
        tree = ast.parse(f"({text}\n)")
    except SyntaxError:
        return []
    return [ast.unparse(n.slice) for n in ast.walk(tree) if isinstance(n, ast.Subscript)]


def _anything(s: Slip) -> str | None:
    return f"{s.old} should be {s.new}."


def _row(name: str, kinds: tuple[str, ...], text: str) -> Row:
    """A row that knows its slip by the kind of the edit alone."""
    return Row(name, lambda s: text.format(old=s.old, new=s.new, name=s.name) if s.kind in kinds else None)


ROWS: tuple[Row, ...] = (
    Row("an index that repeats", _repeated_index),
    Row("no gradient", lambda s: f"None says that there is no gradient; it is {s.new}." if s.old == "None" else None),
    Row("overwritten", _overwritten),
    _row("the bounds of a loop", ("bounds",), "the loop goes through other turns: {old} becomes {new}."),
    _row("not a sum", ("summed up",), "{name} is not a sum over the rounds; each time it is a new value: {new}."),
    _row("what is left alone", ("left alone",), "an entry of {name} takes no part, as an intercept's penalty: {new}."),
    Row("a counterpart", _counterpart),
    _row("the sign of what is added", ("statement sign",), "the sign is wrong: {old} becomes {new}."),
    _row("results swapped", ("results swapped",), "what is returned stands in the wrong order: it is {new}."),
    Row("names swapped", _swapped),
    _row("two slips", ("two edits",), "there are two slips in this line: {old} becomes {new}."),
    _row(
        "the mean of a block", ("block mean",), "each entry is a block's mean, so each gets the mean gradient: {new}."
    ),
    Row("as elsewhere", _as_elsewhere),
    Row("as a line beside", _like_another),
    _row("an order", ("order",), "these lines are right in another order: {old} belongs after {new}."),
    _row("half of a pair", ("symmetric part",), "a matrix and its transpose each give half: {old} becomes {new}."),
    _row("a factor elsewhere", ("factor moved",), "a factor stands at the wrong term: {old} becomes {new}."),
    _row("another part", ("another part",), "this is another part of the array than is meant: it is {new}."),
    Row("off by one", off_by_one),
    _row("a flag", ("flag",), "the flag is {new}, not {old}."),
    Row("the value before the activation", _before_activation),
    Row("the value after the activation", _after_activation),
    Row("the value for its gradient", _primal_for_derivative),
    Row("the gradient for its value", _derivative_for_primal),
    Row("another index", _other_index),
    Row("another name", _other_name),
    Row("a gradient not carried on", not_carried),
    Row("degrees for radians", degrees),
    Row("the logarithm as parameter", log_parameter),
    Row("the 1/n of a mean", batch_mean),
    Row("the upstream gradient", upstream),
    Row("one parameter in two cells", two_cells),
    Row("the 2 of a complex input", wirtinger_two),
    Row("the 2 of a square", factor_two),
    Row("computed and never used", never_used),
    Row("a constant factor", constant_factor),
    Row("a missing factor", missing_factor),
    Row("the sign of a difference", _sign_of_difference),
    Row("the sign of the quotient rule", _quotient_sign),
    Row("the sign of the whole", _whole_sign),
    Row("an inverse", _inverse),
    _row("a normaliser", ("normaliser",), "the weights are to sum to one: {old} is not yet divided by its sum, {new}."),
    Row("a sign", _sign),
    Row("the denominator of the quotient rule", lambda s: _quotient(s) if s.kind != "divide" or "/" in s.old else None),
    Row("an extra factor", extra_factor),
    Row("a factor missing in a name", hidden_factor),
    Row("a missing path", missing_path),
    Row("an imaginary part", imaginary_term),
    Row("an extra term", extra_term),
    Row("the square in tanh's slope", _tanh_squared),
    Row("an exponent", _exponent),
    Row("brackets", _brackets),
    _row("the function for its derivative", ("slope",), "{old} is the function's own value; its derivative is {new}."),
    _row("the complement", ("complement",), "what is left of one is meant here: {old} becomes {new}."),
    Row("the softmax Jacobian's diagonal only", _softmax),
    Row("assigned, not added up", _scatter_add),
    Row("a mean for a sum", _mean_for_sum),
    _row(
        "a clipped value",
        ("mask",),
        "the code clips first, and where it clips the derivative is zero: {new} keeps only what was not cut.",
    ),
    Row("a condition", _condition),
    _row("a real part", ("real part",), REAL + ": {new}."),
    _row(
        "a conjugate", ("conjugate",), "torch's gradient of a complex input is the conjugate of the derivative: {new}."
    ),
    Row("a transpose", _transposed),
    Row("the order of a matrix product", _matrix_order),
    _row("the order of operands", ("operand order",), "the operands are the wrong way round: {old} becomes {new}."),
    Row("a matrix product for entries", _elementwise),
    _row("an operator", ("operator",), "another operation belongs here: {old} becomes {new}."),
    Row("not reduced", _not_reduced),
    _row("the order of entries", ("flip",), "the entries stand in the reverse order: {old} becomes {new}."),
    _row("a length", ("length",), "how many there are is meant, not their sum: {old} becomes {new}."),
    _row("reduced", ("reduction",), "nothing is to be added up here: {old} becomes {new}."),
    Row("an axis", _axis),
    _row(
        "an axis not kept",
        ("keepdims",),
        "without the summed axis kept, broadcasting pairs the wrong entries: {old} becomes {new}.",
    ),
    _row("broadcasting", ("broadcast", "outer", "diagonal"), "broadcasting pairs the wrong axes: {old} becomes {new}."),
    Row("an index", _index),
    _row("another function", ("function",), "another function belongs here: {new} instead of {old}."),
    _row("a function too much", ("drop function",), "no function is applied here: {old} becomes {new}."),
    _row("a constant", ("constant",), "the constant is {new}, not {old}."),
    _row("zero", ("zero",), "this derivative is zero."),
    _row("the whole formula", ("formula",), "no small edit puts this line right; by the chain rule it is {new}."),
    Row("anything else", _anything),
)
