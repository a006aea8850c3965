"""What the text of a script tells of the parts that its variables play, before anything is run.

A cue decides nothing.  An update ``W -= lr * dW`` says that W may be an input and dW its gradient, a small number added
to x that x may be one, a name such as ``loss`` or ``dL_dW`` what its variable may be; `symgrad.lifting.scripts.roles`
and `symgrad.lifting.scripts.hypotheses` weigh them, by value.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from symgrad.lifting.scripts.script_numbers import script_numbers
from symgrad.lifting.scripts.solvers import NAMES

SUFFIXES = "hand manual manually calc np numpy mine my analytic analytical explicit own byhand man th symbolic".split()
LOSSES = frozenset("l loss j e f c cost y out output o z obj objective total".split())
_FORMS = ("torch", "t", "tensor", "var", "pt")  # what a variable's name may end in, beside the suffixes
_LOSS = re.compile(
    r"loss(es)?|costs?|j|l|e|err|errors?|mse|sse|rss|nll|nlml|bce|ce|xent|cross_?entropy|objective|obj|energy|criterion|"
    r"(total|data|reg|train|log|neg)_?(loss|cost|error|likelihood)|(log_?)?lik(elihood)?|loglik|ll|logp(rob)?|price|"
    r"value|f|fun|func|fx|total|penalty",
    re.IGNORECASE,
)
_LOSS_WORDS = frozenset(
    "loss losses cost costs objective obj mse sse rss nll nlml bce energy likelihood loglik potential hamiltonian "
    "action lagrangian chi2 chisq deviance misfit utility elbo sharpe surrogate criterion entropy".split()
)
_OF_FUNCTIONS = frozenset("fn fnc func function functions compute calc calculate get eval evaluate my the val".split())
_MARKS = "grad grads gradient gradients g d der deriv derivative derivatives prime jac jacobian dx dw".split()
_MARKS += [m + "of" for m in _MARKS]
_GRADIENT = re.compile(
    r"(^|_)(d_|d(?-i:(?=[A-Z0-9]))|grad|g_|nabla|delta|deriv|jac)|grad|^d[a-z]|_d[a-z]{1,2}\d*$", re.IGNORECASE
)
_ORDINARY = "data dataset dates? days? debug decay decoder default degrees? delay demand den denom denominator dense"
_ORDINARY += " density depth desired dev device dict diffs? difference digits? dims? direction discount discounted"
_ORDINARY += " discriminator disp dist distances? domain done dot double draws? drop dropout dtype dummy duration"
_ORDINARY_WORD = re.compile(rf"(?<![a-z])({'|'.join(_ORDINARY.split())})(?![a-z])", re.IGNORECASE)  # no d of something
_OF_TWO = re.compile(r"[dg]_(loss|cost)(_(real|fake|total))?", re.IGNORECASE)
_SMALL = re.compile(r"h|hh|eps|epsilon|delta|dx|dw|step|step_size|bump|tiny|small|perturbation|h_?step", re.IGNORECASE)
_COTANGENT = re.compile(
    r"d_?out(put)?s?|grad_?out(put)?s?|out_?grad|g_?out|upstream\w*|d[yz]|d_[yz]|d_?l_?d_?(out|y|z)|cotangent|gy|df",
    re.IGNORECASE,
)
_RATE = re.compile(r"(.*\.)?(lr|alpha|eta|gamma|a|l|.*rate.*|step(_?size)?|learning.*)", re.IGNORECASE)
_OF_TIME = re.compile(r"d_?(t|tau)|delta_?t", re.IGNORECASE)  # a number that is called so is a step, and no gradient
_UPDATING = frozenset("update updated step sgd descent descend optimize optimise adam momentum apply".split())
_BESIDE = re.compile(r"(^|\.)(print|zip|\w*close|assert\w*)$")  # what shows two values together
_DRAW = re.compile(r"(^|[._])(random|rand|uniform|random_sample|rand_like)$")
_STEP = 2e-2  # a number at most so large may be the h of a difference quotient


# ------------------------------------------------------------------------------------------------ names


@functools.lru_cache(maxsize=4096)  # the names of each run are looked at again
def core(name: str) -> str:
    """A variable's name without what tells one form of it from another: ``W_h``, ``w_h_np`` and ``wh`` are one."""
    words = [w for w in re.split(r"[_.\W]+", name.lower()) if w]
    while len(words) > 1 and (words[-1] in SUFFIXES or words[-1] in _FORMS):
        words.pop()
    return "".join(words)


def tail(path: str) -> str:
    """The name at the end of a path.

    >>> tail("self.W1"), tail("grads['dW1']"), tail("loss()[0]")
    ('W1', 'dW1', 'loss')
    """
    if path.endswith("']"):
        return path[:-2].rpartition("'")[2]
    plain = re.sub(r"\[[^\]]*\]|\(\)", "", path)
    return plain.rpartition(".")[2]


def is_loss(path: str) -> bool:
    """Whether a value is called as what is differentiated is called."""
    return is_plain_loss(path) or (not is_gradient(path) and not _LOSS_WORDS.isdisjoint(words(tail(path))))


def is_plain_loss(path: str) -> bool:
    """Whether a value is called so, and nothing more."""
    return bool(_LOSS.fullmatch(re.sub(r"\d+$", "", tail(path)).strip("_")))


def words(name: str) -> list[str]:
    """The words of a name, in small letters.

    >>> words("compute_negLogLik2"), words("dJ")
    (['compute', 'neg', 'log', 'lik2'], ['d', 'j'])
    """
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_\W]+", name)]


def is_derivative(function: str, path: str) -> bool:
    """Whether a function is called as the derivative of the function at ``path`` is.

    >>> [is_derivative(g, "cost_function()") for g in ("cost_derivative", "grad_cost", "dcost", "cost", "gradient")]
    [True, True, True, False, False]
    """
    if not path.endswith(("()", "()[0]")):
        return False
    of = "".join(w for w in words(path.partition("(")[0].rpartition(".")[2]) if w not in _OF_FUNCTIONS)
    mine = "".join(w for w in words(tail(function)) if w not in _OF_FUNCTIONS)
    return bool(of) and mine in {x for m in _MARKS for x in (m + of, of + m)}


def is_gradient(path: str) -> bool:
    """Whether a value is called as a gradient is called, of whatever it may be; ``d_loss`` is a discriminator's loss.

    >>> is_gradient("d_loss_w"), is_gradient("d_loss"), is_gradient("g_loss"), is_gradient("X_data")
    (True, False, False, False)
    """
    name = tail(path)
    if _OF_TWO.fullmatch(name):
        return False
    return bool(_GRADIENT.search(_ORDINARY_WORD.sub("", name))) or "grad" in path.lower()


def is_cotangent(path: str) -> bool:
    """Whether a value is called as what is passed back into a layer is called: dout, grad_output, upstream."""
    return bool(_COTANGENT.fullmatch(tail(path)))


def names_gradient(variable: str, name: str, outputs: frozenset[str] = LOSSES) -> bool:
    """Whether a variable is called as the gradient for ``name`` is: dW, dL_dW, grad_W, W_grad, grads['W'].

    >>> [names_gradient(v, "self.W1") for v in ("dW1", "grads['W1']", "self.dW1", "loss_grad_W1", "W1", "dW2")]
    [True, True, True, True, False, False]
    """
    v, x = core(tail(variable)), core(tail(name))
    if not x:
        return False
    if v == x:
        return variable != name and is_gradient(variable)
    marks = ("d", "grad", "g", "gradient", "deriv", "delta", "nabla", "jac", "gradof", "gradientof", "dloss", "derror")
    if v in {m + x for m in marks} or v in {x + m for m in ("grad", "grads", "gradient", "g", "delta", "deriv", "d")}:
        return True
    if v.startswith("d") and v.endswith(f"d{x}") and v[1 : -len(x) - 1] in {*LOSSES, *outputs}:
        return True
    return any(v in (f"grad{out}{x}", f"{out}grad{x}", f"d{out}{x}") for out in outputs if len(out) > 1 or out == x)


def is_rate(path: str) -> bool:
    """Whether a number is called as the rate of a descent is."""
    return bool(_RATE.fullmatch(path))


# ------------------------------------------------------------------------------------------------ statements


@dataclass(frozen=True)
class Update:
    """``target = target + ...``, in one of its spellings, in a line; ``adds`` where it is not a subtraction."""

    target: str
    line: int
    adds: bool


@dataclass(frozen=True)
class Cues:
    """What a script's text tells: its updates by line, and the variables whose plain numbers may be inputs, or, of
    functions, gradients."""

    updates: dict[int, list[Update]]
    followed: frozenset[str]
    engine: tuple[str, str] | None = None  # the attributes of a class of numbers that know their gradient, and value
    conditional: frozenset[int] = frozenset()  # the lines that stand below a condition
    constants: Mapping[int, tuple[float | str, ...]] = field(default_factory=dict)  # numbers and names in updates
    numbers: Mapping[str, float] = field(default_factory=dict)  # that the script names, see `script_numbers`
    drawing: frozenset[int] = frozenset()  # the lines that compare something with random numbers

    def has_rate(self, line: int) -> bool:
        """Whether the update in a line is at a rate: a number below one, or what is called so."""
        said = self.constants.get(line, ())
        names = [c for c in said if isinstance(c, str)]
        return any(map(is_rate, names)) or any(0 < c < 1 for c in said if isinstance(c, float))


def read_cues(tree: ast.Module, named: Iterable[str] = ()) -> Cues:
    """The cues of a script; ``named`` are variables that the user speaks of.

    >>> cues = read_cues(ast.parse("w = 0.5\\nfor i in range(9):\\n    dw = 2 * w\\n    w = w - 0.1 * dw\\n    i += 1"))
    >>> cues.updates, sorted(cues.followed)
    ({4: [Update(target='w', line=4, adds=False)]}, ['dw', 'w'])
    """
    updates: dict[int, list[Update]] = {}
    constants: dict[int, tuple[float | str, ...]] = {}
    sums, others = set(_running_sums(tree)), _other_names(tree)
    updaters = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for statement in ast.walk(tree):
        for target, change, adds in (*changes(statement, others), *_changes_by_call(statement, updaters)):
            if not is_counter(change) and not _is_small(change) and statement not in sums:
                found = Update(ast.unparse(target), statement.lineno, adds)  # type: ignore[attr-defined]
                updates.setdefault(found.line, []).append(found)
                constants[found.line] = (*constants.get(found.line, ()), *_constants(change))
    names = set(_bound(tree))
    followed = {root_of(u.target) for found in updates.values() for u in found}
    for n in ast.walk(tree):  # what a list is changed by, entry by entry
        if isinstance(n, ast.comprehension) and isinstance(n.iter, ast.Call) and ast.unparse(n.iter.func) == "zip":
            parts = {root_of(ast.unparse(a)) for a in n.iter.args}
            followed |= parts if parts & followed and n.iter.lineno in updates else set()
    moved = {root_of(m) for m in _moved(tree)}
    followed |= {*moved, *map(root_of, named), *(names.intersection(_shown(tree)) if moved else ())}
    for name in names:
        for other in names:
            if name != other and names_gradient(other, name):
                followed |= {root_of(name), root_of(other)}
    followed |= {root_of(n) for n in names if is_gradient(n) and not n.endswith(("_fn", "_func"))}
    engine = next(_engine_fields(tree), None)
    followed |= set(engine or ())
    below = [n for n in ast.walk(tree) if isinstance(n, (ast.If, ast.While, ast.Try, ast.Match))]
    conditional = frozenset(k for n in below for k in range(n.lineno, (n.end_lineno or n.lineno) + 1))
    numbers = script_numbers(tree)
    followed = _passed(tree, followed) - _counted(tree) - _steps(tree) - {*filter(_OF_TIME.fullmatch, numbers)}
    compared = [n for n in ast.walk(tree) if isinstance(n, ast.Compare)]
    drawing = frozenset(n.lineno for n in compared if any(map(_is_draw, ast.walk(n))))
    followed = frozenset(followed) | shown_calls(tree)
    return Cues(updates, followed, engine, conditional, constants, numbers, drawing)


def _is_draw(node: ast.AST) -> bool:
    """Whether random numbers are asked for."""
    return isinstance(node, ast.Call) and bool(_DRAW.search(ast.unparse(node.func)))


def _running_sums(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements in which a function adds to a variable of its own, at no rate: a sum, a state, no parameter."""
    for f in ast.walk(tree):
        if not isinstance(f, ast.FunctionDef):
            continue
        own = [n.targets[0] for n in ast.walk(f) if isinstance(n, ast.Assign)]
        names = {t.id for whole in own for t in ast.walk(whole) if isinstance(t, ast.Name)}
        zeros = {ast.unparse(n.targets[0]) for n in ast.walk(f) if isinstance(n, ast.Assign) and _is_zeros(n.value)}
        for statement in ast.walk(f):
            for target, change, adds in changes(statement):
                parts = [*ast.walk(change)]
                has_rate = any(
                    isinstance(n, (ast.Name, ast.Attribute)) and _RATE.fullmatch(ast.unparse(n)) for n in parts
                )
                has_rate |= any(isinstance(n, ast.Constant) and type(n.value) is float and n.value < 1 for n in parts)
                name = ast.unparse(target)
                if (
                    (adds or root_of(name) in zeros)
                    and root_of(name) in names
                    and (not has_rate or is_gradient(name) or is_loss(name) or root_of(name) == "g")
                ):
                    yield statement  # type: ignore[misc]


def _is_zeros(value: ast.expr) -> bool:
    """Whether a sum begins with a value."""
    match value:
        case ast.Call(func=ast.Attribute(attr="zeros" | "zeros_like")) | ast.Constant(value=0 | 0.0):
            return True
    return False


def speaks_of_gradients(tree: ast.Module) -> bool:
    """Whether anything in a script's text may be meant as a gradient: an update, a name, scipy's check.

    >>> speaks_of_gradients(ast.parse("w = w - 0.1*g")), speaks_of_gradients(ast.parse("import sys; sys.exit(1)"))
    (True, False)
    """
    called = {ast.unparse(n.func).rpartition(".")[2] for n in ast.walk(tree) if isinstance(n, ast.Call)}
    return bool(read_cues(tree).updates) or bool(called & NAMES) or any(map(is_gradient, _bound(tree)))


def root_of(path: str) -> str:
    return path.partition("[")[0]


def _other_names(tree: ast.Module) -> Mapping[str, set[str]]:
    """By variable, what else its value is called: ``u = W[i]``, ``new = w - g; w = new``."""
    found: dict[str, set[str]] = {}
    for statement in ast.walk(tree):
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = [*zip(targets, values, strict=False)]
            case ast.Assign(targets=[target], value=value):
                pairs = [(target, value)]
            case _:
                continue
        for target, value in pairs:
            match value:
                case ast.Call(func=ast.Attribute(value=ast.Name("np"), attr="copy" | "array"), args=[own]):
                    of = own
                case ast.Call(func=ast.Attribute(value=own, attr="copy" | "clone"), args=[]):
                    of = own
                case _:
                    of = value
            if isinstance(of, (ast.Name, ast.Attribute, ast.Subscript)):
                found.setdefault(ast.unparse(target), set()).add(ast.unparse(of))
    return found


def _changes_by_call(
    statement: ast.AST, functions: Mapping[str, ast.FunctionDef]
) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    """``w = step(w, dw)``, where a function of the script is called as what updates is, or is given a gradient."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Call(func=function, args=args) as call):
            pass
        case ast.Assign(targets=[target], value=ast.Call(func=function, args=args) as call):
            targets = [target]
        case _:
            return
    f = functions.get(tail(ast.unparse(function)))
    given = [ast.unparse(a) for a in args]
    if f is not None and (_UPDATING & {*words(f.name)} or any(map(is_gradient, given))):
        whole = ast.Tuple([call, *(n.value for n in ast.walk(f) if isinstance(n, ast.Return) and n.value)])
        yield from ((t, whole, False) for t in targets if ast.unparse(t) in given)


def changes(
    statement: ast.AST, others: Mapping[str, set[str]] = MappingProxyType({})
) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    """(target, what is added to it, whether it is not subtracted) of the updates in one statement; ``others`` are
    other names of variables."""
    match statement:
        case ast.AugAssign(target=target, op=ast.Add() | ast.Sub() as op, value=value):
            yield target, value, isinstance(op, ast.Add)
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if len(targets) == len(values):
            for t, v in zip(targets, values, strict=True):
                yield from _changed(t, v, others)
        case ast.Assign(targets=[target], value=ast.DictComp(value=value) | ast.ListComp(elt=value)):
            yield from _changed_in_each(target, value, statement.value)  # type: ignore[attr-defined]
        case ast.Assign(targets=[target], value=value):
            yield from _changed(target, value, others)
        case ast.Expr(value=ast.Call(func=ast.Name(id="setattr"), args=[owner, name, value])):
            yield from _changed(ast.Call(ast.Name("getattr"), [owner, name], []), value, others)


def _changed(
    target: ast.expr, value: ast.expr, others: Mapping[str, set[str]]
) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    name, here = ast.unparse(target), value
    while isinstance(here, ast.BinOp) and isinstance(here.op, (ast.Add, ast.Sub)):
        left = ast.unparse(here.left)
        if left == name or name in others.get(left, ()):
            yield target, here.right if here is value else value, isinstance(here.op, ast.Add)
            return
        if isinstance(here.op, ast.Add) and ast.unparse(here.right) == name:
            yield target, here.left, True
            return
        here = here.left


def _changed_in_each(target: ast.expr, value: ast.expr, whole: Any) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    """``ws = [w - rate * d for w, d in zip(ws, ds)]``, ``ps = {k: ps[k] - rate * d[k] for k in ps}``."""
    name = ast.unparse(target)
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Add, ast.Sub)):
        among = (
            ast.unparse(value.left) if isinstance(value.left, ast.Subscript) else ast.unparse(whole.generators[0].iter)
        )
        if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", among):
            yield target, value.right, isinstance(value.op, ast.Add)


def _constants(change: ast.expr) -> Iterator[float | str]:
    """The numbers that an expression has, and the names of its variables."""
    for node in ast.walk(change):
        match node:
            case ast.Constant(value=int() | float() as value):
                yield float(value)
            case ast.Name() | ast.Attribute():
                yield ast.unparse(node)


def is_counter(change: ast.expr) -> bool:
    """Whether whole numbers are added: one, or one or the other as a condition says."""
    match change:
        case ast.IfExp(body=body, orelse=other):
            return is_counter(body) and is_counter(other)
        case ast.UnaryOp(operand=operand):
            return is_counter(operand)
    return isinstance(change, ast.Constant) and type(change.value) is int


def _is_small(change: ast.expr) -> bool:
    """Whether what is added is the step of a difference quotient, or twice it."""
    match change:
        case ast.Constant(value=float(h)):
            return 0 < abs(h) <= _STEP
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(_SMALL.fullmatch(name))
        case ast.BinOp(op=ast.Mult(), left=ast.Constant(value=2 | -1), right=right):
            return _is_small(right)
        case ast.IfExp(body=body):
            return _is_small(body)
        case ast.UnaryOp(operand=operand):
            return _is_small(operand)
    return False


def _moved(tree: ast.Module) -> Iterator[str]:
    """What a small number is added to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)) and _is_small(node.right):
            yield ast.unparse(node.left)
        if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub)) and _is_small(node.value):
            yield ast.unparse(node.target)


def _shown(tree: ast.Module) -> Iterator[str]:
    """What may stand beside a difference quotient, however it is called: printed, zipped, compared by a function, or
    shown by a notebook."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Tuple):
            yield from (v.id for v in node.value.elts if isinstance(v, ast.Name))
        if isinstance(node, ast.Call) and _BESIDE.search(ast.unparse(node.func)):
            for shown in node.args:
                values = (
                    [v.value for v in shown.values if isinstance(v, ast.FormattedValue)]
                    if isinstance(shown, ast.JoinedStr)
                    else [shown]
                )
                yield from (v.id for v in values if isinstance(v, ast.Name))


def shown_calls(tree: ast.AST) -> frozenset[str]:
    """The functions of which a result is printed or compared as it is, each with its brackets: a plain number that one
    of them gives may be a slope.

    >>> sorted(shown_calls(ast.parse("print(numeric, slope(x))\\nprint(f'{abs(g(x) - h(x))}')\\nk = f(x)")))
    ['g()', 'h()', 'slope()']
    """
    found: set[str] = set()
    stack: list[ast.AST] = [
        a for n in ast.walk(tree) if isinstance(n, ast.Call) and _BESIDE.search(ast.unparse(n.func)) for a in n.args
    ]
    stack += [n.test for n in ast.walk(tree) if isinstance(n, ast.Assert)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            inside = called.rpartition(".")[2] in ("abs", "fabs", "float", "round", "max")
            stack += node.args if inside else ()
            found |= set() if inside else {f"{called}()"}
        elif isinstance(node, (ast.BinOp, ast.Compare, ast.JoinedStr, ast.FormattedValue, ast.Tuple, ast.UnaryOp)):
            stack += ast.iter_child_nodes(node)
    return frozenset(found)


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield ast.unparse(node)
        elif isinstance(node, ast.arg):
            yield node.arg


def _counted(tree: ast.Module) -> set[str]:
    """Variables that count: targets of range(), those that are an index, and those that whole numbers are added to."""
    found: set[str] = set()
    for node in ast.walk(tree):
        found |= {ast.unparse(target) for target, change, _ in changes(node) if is_counter(change)}
        if isinstance(node, (ast.For, ast.comprehension)) and ast.unparse(node.iter).startswith(("range", "enumerate")):
            found |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        if isinstance(node, ast.Subscript):
            found |= {n.id for n in ast.walk(node.slice) if isinstance(n, ast.Name)}
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
            "range",
            "zeros",
            "ones",
            "randn",
            "rand",
            "reshape",
        ):
            found |= {n.id for a in node.args for n in ast.walk(a) if isinstance(n, ast.Name)}
    return found


def _steps(tree: ast.Module) -> set[str]:
    """Variables that hold the step of a difference quotient."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=ast.Constant(value=float(h))) if 0 < h <= _STEP:
                found |= {ast.unparse(t) for t in targets}
    return found


def _passed(tree: ast.Module, followed: set[str]) -> set[str]:
    """``followed``, and what is passed for an argument among them, or looped over for a variable among them."""
    functions = {n.name: [a.arg for a in n.args.args] for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    found, before = set(followed), -1
    while len(found) != before:
        before = len(found)
        for node in ast.walk(tree):
            if isinstance(node, (ast.For, ast.comprehension)):
                loop = ast.unparse(node.target)
                if any(n.id in found for n in ast.walk(node.target) if isinstance(n, ast.Name)) and "zip" not in loop:
                    source = _looped(node.iter)
                    found |= {ast.unparse(source)} if isinstance(source, (ast.Name, ast.Attribute)) else set()
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                parameters = [a for a in functions.get(name, []) if a != "self"]
                for parameter, given in zip(parameters, node.args, strict=False):
                    if parameter in found and isinstance(given, (ast.Name, ast.Attribute)):
                        found.add(ast.unparse(given))
    return found


def _assigned(statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The attributes that a statement assigns to, each with its value."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            found = list(zip(targets, values, strict=False))
        case ast.Assign(targets=targets, value=value):
            found = [(t, value) for t in targets]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            found = [(target, value)]
        case _:
            found = []
    return ((t, v) for t, v in found if isinstance(t, ast.Attribute))


def _looped(iterable: ast.expr) -> ast.expr:
    """What a loop takes its values from: ``v`` of ``enumerate(v)``."""
    match iterable:
        case ast.Call(func=ast.Name(id="enumerate"), args=[source, *_]):
            return source
    return iterable


def _engine_fields(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The attributes of a class of numbers that know their gradient: ``self.grad``, ``self.data``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        start = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        if start is None:
            continue
        zero, given = [], []
        arguments = {a.arg for a in start.args.args[1:]}
        for target, value in (pair for s in start.body for pair in _assigned(s)):
            match value:
                case ast.Constant(value=0 | 0.0):
                    zero.append(ast.unparse(target))
                case ast.Name(id=name) if name in arguments:
                    given.append(ast.unparse(target))
                case ast.Call(func=ast.Name(id="float"), args=[ast.Name(id=name)]) if name in arguments:
                    given.append(ast.unparse(target))
        grads = [z for z in zero if re.fullmatch(r"_?(g|grad|gradient|adj|adjoint|bar|deriv|dx|d)", tail(z))]
        if grads and given:
            yield grads[0], given[0]
