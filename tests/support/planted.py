"""Derivations by hand, right ones, and slips planted in them: what the tests of the diagnosis are fed.

Each derivation is text, as a person would write it; `function` makes it code that has a source, and `plant` changes one
of its lines by a slip of a given kind.
"""

from __future__ import annotations

import ast
import copy
import itertools
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_COUNT = itertools.count()


@dataclass(frozen=True)
class Derivation:
    """A model, the right hand derivation of its gradient, and where to look at it."""

    name: str
    model: str
    hand: str
    at: dict[str, Any]
    wrt: tuple[str, ...]


def function(text: str, name: str = "hand") -> Callable[..., Any]:
    """The function that ``text`` defines, with a source that can be found."""
    file = f"<derivation {next(_COUNT)}>"
    text = f"{text}# {file}\n"  # no two files are the same
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {}
    exec(compile(text, file, "exec"), scope)
    return scope[name]


# ------------------------------------------------------------------------------------------------ scalar chains

_F = {
    "tanh": ("tanh({z})", "1 - {h}**2"),
    "sigmoid": ("1 / (1 + exp(-{z}))", "{h} * (1 - {h})"),
    "sin": ("sin({z})", "cos({z})"),
    "exp": ("exp({z})", "{h}"),
    "square": ("{z}**2", "2 * {z}"),
    "log": ("log(1 + {z}**2)", "2 * {z} / (1 + {z}**2)"),
    "sqrt": ("sqrt(1 + {z}**2)", "{z} / {h}"),
}


def chain(rng: np.random.Generator, depth: int, forward: bool) -> Derivation:
    """``z = w*h + b; h = f(z)`` some times over, then a squared error; derived forwards or backwards."""
    kinds = [str(k) for k in rng.choice([k for k in _F if k != "exp"] if depth > 2 else list(_F), depth)]
    primal, names = [], ["w", "x", "b"]
    h = "x"
    shared = rng.random() < 0.5
    for k, f in enumerate(kinds, 1):
        w = "w" if shared or k == 1 else f"v{k}"
        if w not in names:
            names.append(w)
        primal.append(f"z{k} = {w} * {h} + b")
        primal.append(f"h{k} = {_F[f][0].format(z=f'z{k}')}")
        h = f"h{k}"
    names.append("y")
    primal += [f"e = {h} - y", "loss = 0.5 * e**2"]
    weights = ["w" if shared or k == 1 else f"v{k}" for k in range(1, depth + 1)]
    lines = list(primal[:-1])
    if forward:
        before = None
        for k, f in enumerate(kinds, 1):
            own, at = weights[k - 1] == "w", "x" if k == 1 else f"h{k - 1}"
            through = f"{weights[k - 1]} * {before}" if before else ""
            lines.append(f"dz{k}_dw = " + " + ".join(p for p in (at if own else "", through) if p))
            lines.append(f"dh{k}_dw = ({_F[f][1].format(z=f'z{k}', h=f'h{k}')}) * dz{k}_dw")
            before = f"dh{k}_dw"
        lines += [f"dloss_dw = e * {before}", "return {'w': dloss_dw}"]
        wrt: tuple[str, ...] = ("w",)
    else:
        lines.append(f"d{h} = e")
        parts: dict[str, list[str]] = {}
        for k in range(depth, 0, -1):
            slope = _F[kinds[k - 1]][1].format(z=f"z{k}", h=f"h{k}")
            lines.append(f"dz{k} = dh{k} * ({slope})")
            parts.setdefault(weights[k - 1], []).append(f"dz{k} * {'x' if k == 1 else f'h{k - 1}'}")
            parts.setdefault("b", []).append(f"dz{k}")
            if k > 1:
                lines.append(f"dh{k - 1} = dz{k} * {weights[k - 1]}")
        for name, terms in parts.items():
            lines.append(f"d{name} = {' + '.join(terms)}")
        lines.append("return {" + ", ".join(f"'{n}': d{n}" for n in parts) + "}")
        wrt = tuple(parts)
    head = f"from math import cos, exp, log, sin, sqrt, tanh\n\ndef {{}}({', '.join(names)}):\n"
    model = head.format("model") + "".join(f"    {s}\n" for s in [*primal, "return loss"])
    hand = head.format("hand") + "".join(f"    {s}\n" for s in lines)
    at = {n: float(v) for n, v in zip(names, np.round(rng.uniform(0.3, 1.3, len(names)), 2), strict=True)}
    return Derivation("forward chain" if forward else "backward chain", model, hand, at, wrt)


# ------------------------------------------------------------------------------------------------ arrays

_MLP = (
    """import numpy as np

def model(W1, b1, W2, b2, X, Y):
    A = np.tanh(X @ W1 + b1)
    return ((A @ W2 + b2 - Y)**2).sum() / X.shape[0]
""",
    """import numpy as np

def hand(W1, b1, W2, b2, X, Y):
    n = X.shape[0]
    Z = X @ W1 + b1
    A = np.tanh(Z)
    P = A @ W2 + b2
    dP = 2 * (P - Y) / n
    dW2 = A.T @ dP
    db2 = dP.sum(axis=0)
    dA = dP @ W2.T
    dZ = dA * (1 - A**2)
    dW1 = X.T @ dZ
    db1 = dZ.sum(axis=0)
    return {'W1': dW1, 'b1': db1, 'W2': dW2, 'b2': db2}
""",
    {"W1": (3, 4), "b1": (4,), "W2": (4, 2), "b2": (2,), "X": (5, 3), "Y": (5, 2)},
    ("W1", "b1", "W2", "b2"),
)
_CROSS_ENTROPY = (
    """import numpy as np

def model(W, b, X, Y):
    S = X @ W + b
    E = np.exp(S)
    return -(Y * np.log(E / E.sum(axis=1, keepdims=True))).sum() / X.shape[0]
""",
    """import numpy as np

def hand(W, b, X, Y):
    n = X.shape[0]
    S = X @ W + b
    E = np.exp(S)
    P = E / E.sum(axis=1, keepdims=True)
    dS = (P * Y.sum(axis=1, keepdims=True) - Y) / n
    dW = X.T @ dS
    db = dS.sum(axis=0)
    return {'W': dW, 'b': db}
""",
    {"W": (3, 4), "b": (4,), "X": (5, 3), "Y": (5, 4)},
    ("W", "b"),
)
_RNN = (
    """import numpy as np

def model(Wx, Wh, b, x, g):
    h = np.zeros(3)
    for t in range(3):
        h = np.tanh(Wx @ x[t] + Wh @ h + b)
    return (g * h).sum()
""",
    """import numpy as np

def hand(Wx, Wh, b, x, g):
    hs = [np.zeros(3)]
    for t in range(3):
        hs.append(np.tanh(Wx @ x[t] + Wh @ hs[-1] + b))
    dWx = np.zeros_like(Wx)
    dWh = np.zeros_like(Wh)
    db = np.zeros_like(b)
    dh = g
    for t in (2, 1, 0):
        dz = dh * (1 - hs[t + 1]**2)
        dWx += np.outer(dz, x[t])
        dWh += np.outer(dz, hs[t])
        db += dz
        dh = Wh.T @ dz
    return {'Wx': dWx, 'Wh': dWh, 'b': db}
""",
    {"Wx": (3, 2), "Wh": (3, 3), "b": (3,), "x": (3, 2), "g": (3,)},
    ("Wx", "Wh", "b"),
)
_LAYER_NORM = (
    """import torch

def model(x, gamma, beta, g):
    mu = x.mean(1, keepdim=True)
    var = ((x - mu)**2).mean(1, keepdim=True)
    return (g * (gamma * (x - mu) / torch.sqrt(var + 0.125) + beta)).sum()
""",
    """import torch

def hand(x, gamma, beta, g):
    n = x.shape[1]
    mu = x.mean(1, keepdim=True)
    xc = x - mu
    var = (xc**2).mean(1, keepdim=True)
    inv = 1 / torch.sqrt(var + 0.125)
    xhat = xc * inv
    dgamma = (g * xhat).sum(0)
    dbeta = g.sum(0)
    dxhat = g * gamma
    dinv = (dxhat * xc).sum(1, keepdim=True)
    dvar = -0.5 * dinv * inv**3
    dxc = dxhat * inv + 2 * xc * dvar / n
    dx = dxc - dxc.sum(1, keepdim=True) / n
    return {'x': dx, 'gamma': dgamma, 'beta': dbeta}
""",
    {"x": (3, 4), "gamma": (4,), "beta": (4,), "g": (3, 4)},
    ("x", "gamma", "beta"),
)
_ATTENTION = (
    """import torch

def model(Q, K, V, g):
    return (g * (torch.softmax(Q @ K.T / 2, dim=1) @ V)).sum()
""",
    """import torch

def hand(Q, K, V, g):
    S = Q @ K.T / 2
    P = torch.softmax(S, dim=1)
    dV = P.T @ g
    dP = g @ V.T
    dS = P * (dP - (dP * P).sum(1, keepdim=True))
    dQ = dS @ K / 2
    dK = dS.T @ Q / 2
    return {'Q': dQ, 'K': dK, 'V': dV}
""",
    {"Q": (3, 4), "K": (5, 4), "V": (5, 2), "g": (3, 2)},
    ("Q", "K", "V"),
)
ARRAYS = {"mlp": _MLP, "cross-entropy": _CROSS_ENTROPY, "rnn": _RNN, "layer norm": _LAYER_NORM, "attention": _ATTENTION}


def arrays(name: str, seed: int = 0) -> Derivation:
    model, hand, shapes, wrt = ARRAYS[name]
    rng = np.random.default_rng(seed)
    at = {k: np.round(rng.standard_normal(s), 2) for k, s in shapes.items()}
    return Derivation(name, model, hand, at, wrt)


# ------------------------------------------------------------------------------------------------ slips


def slips(derivation: Derivation) -> Iterator[tuple[str, str, int]]:
    """Every single slip on a derivative line of a derivation: (kind, the text with it, its line from 1)."""
    tree = ast.parse(derivation.hand)
    function_node = next(n for n in tree.body if isinstance(n, ast.FunctionDef))
    known = [a.arg for a in function_node.args.args]
    for statement in ast.walk(function_node):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            known.append(statement.targets[0].id)
    seen = {derivation.hand}
    for statement in list(ast.walk(function_node)):
        if not isinstance(statement, (ast.Assign, ast.AugAssign)):
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        if not (isinstance(target, ast.Name) and target.id.startswith("d")):
            continue
        if "zeros" in ast.unparse(statement.value):
            continue
        for node in list(ast.walk(statement.value)):
            for kind, wrong in _wrongs(node, known):
                text = _replaced(derivation.hand, statement, node, wrong)
                if text is not None and text not in seen:
                    seen.add(text)
                    yield kind, text, statement.lineno


def _wrongs(node: ast.AST, known: list[str]) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            yield "sign", ast.BinOp(a, ast.Sub(), b)
            yield "dropped term", a
            yield "dropped term", b
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            yield "sign", ast.BinOp(a, ast.Add(), b)
            yield "operand order", ast.BinOp(b, ast.Sub(), a)
            if not isinstance(a, ast.Constant):
                yield "dropped term", a
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            yield "dropped factor", a
            yield "dropped factor", b
            if isinstance(b, ast.BinOp) and isinstance(b.op, ast.Sub):
                yield "brackets", ast.BinOp(ast.BinOp(a, ast.Mult(), b.left), ast.Sub(), b.right)
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            yield "missing division", a
            yield "divided twice", ast.BinOp(node, ast.Div(), b)
        case ast.BinOp(left=a, op=ast.Pow(), right=ast.Constant(value=n)):
            yield "exponent", a if n == 2 else ast.BinOp(a, ast.Pow(), ast.Constant(n - 1))
            yield "exponent", ast.BinOp(a, ast.Pow(), ast.Constant(n + 1))
        case ast.BinOp(left=a, op=ast.MatMult(), right=b):
            yield "matrix order", ast.BinOp(b, ast.MatMult(), a)
        case ast.UnaryOp(op=ast.USub(), operand=a):
            yield "sign", a
        case ast.Constant(value=int() | float() as v) if v in (2, 0.5):
            yield "constant", ast.Constant(1)
        case ast.Attribute(value=v, attr="T"):
            yield "transpose", v
        case ast.Call(func=ast.Attribute(value=v, attr="sum"), args=args, keywords=words):
            flipped: Any = copy.deepcopy(node)
            for axis in [*flipped.args, *(k.value for k in flipped.keywords if k.arg == "axis")]:
                axis.value = 1 - axis.value
            yield "axis", flipped
            mean: Any = copy.deepcopy(node)
            mean.func.attr = "mean"
            yield "mean for sum", mean
            yield "not reduced", v
            if len(words) + len(args) > 1:
                yield "axis not kept", ast.Call(node.func, args[:1], [k for k in words if k.arg == "axis"])
        case ast.Call(func=ast.Name(id="cos"), args=args):
            yield "function for its derivative", ast.Call(ast.Name("sin"), args, [])
        case ast.Call(func=ast.Attribute(attr="outer"), args=[a, b]):
            yield "operand order", ast.Call(node.func, [b, a], [])
        case ast.Subscript(value=v, slice=ast.Name(id="t")):
            yield "index", ast.Subscript(v, ast.BinOp(ast.Name("t"), ast.Sub(), ast.Constant(1)))
        case ast.Name(id=name):
            for other in known:
                if other != name and _twins(name, other):
                    yield "name", ast.Name(other)


def _twins(a: str, b: str) -> bool:
    """Names that are taken for one another: z1 and h1, h1 and h2, dz1 and dh1, A and Z, x and its centred self."""
    bare = [s.rstrip("0123456789") for s in (a, b)]
    if a[-1].isdigit() and b[-1].isdigit():
        return (bare[0] == bare[1]) or (a[-1] == b[-1] and {*bare} in ({"z", "h"}, {"dz", "dh"}))
    return {a, b} in ({"A", "Z"}, {"dP", "P"}, {"xc", "xhat"}, {"inv", "var"}, {"dxhat", "g"}, {"P", "S"}, {"dP", "g"})


def _replaced(text: str, statement: ast.stmt, node: ast.AST, wrong: ast.expr) -> str | None:
    """The text with one node of a statement replaced; the rest of the statement is written as it was."""
    lines = text.splitlines(keepends=True)
    n: Any = node
    if n.lineno != n.end_lineno:
        return None
    line = lines[n.lineno - 1]
    new = ast.unparse(ast.fix_missing_locations(ast.copy_location(wrong, n)))
    for form in (new, f"({new})"):
        changed = line[: n.col_offset] + form + line[n.end_col_offset :]
        wanted = _with(statement, node, wrong)
        try:
            if ast.dump(ast.parse(changed.strip()).body[0]) == ast.dump(ast.parse(ast.unparse(wanted)).body[0]):
                return "".join([*lines[: n.lineno - 1], changed, *lines[n.lineno :]])
        except SyntaxError:
            continue
    return None


def _with(statement: ast.stmt, node: ast.AST, wrong: ast.expr) -> ast.stmt:
    class Put(ast.NodeTransformer):
        def visit(self, at: ast.AST) -> ast.AST:
            return wrong if at is node else super().visit(at)

    # the statement's own nodes are compared by identity, so that the copy is made afterwards
    put: Any = Put()
    kept = copy.copy(statement)
    for name, value in ast.iter_fields(statement):
        if value is node:
            setattr(kept, name, wrong)
    if any(value is node for _, value in ast.iter_fields(statement)):
        return kept
    twin = ast.parse(ast.unparse(statement)).body[0]
    path = _path(statement, node)
    if path is None:
        return kept
    at: Any = twin
    for step in path[:-1]:
        at = _step(at, step)
    name, index = path[-1]
    if index is None:
        setattr(at, name, wrong)
    else:
        getattr(at, name)[index] = wrong
    del put
    return twin


def _step(at: Any, step: tuple[str, int | None]) -> Any:
    value = getattr(at, step[0])
    return value if step[1] is None else value[step[1]]


def _path(root: ast.AST, node: ast.AST) -> list[tuple[str, int | None]] | None:
    if root is node:
        return []
    for name, value in ast.iter_fields(root):
        for k, part in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(part, ast.AST):
                found = _path(part, node)
                if found is not None:
                    return [(name, k), *found]
    return None
