"""Derivations made by the hundred, right ones and ones with slips planted, each with the names of the wrong lines.

A derivation is a model and a hand-written gradient, as source text: scalar chains in forward and in backward style,
and array code.  Its derivative variables are named in one of the styles that people use.
"""

from __future__ import annotations

import ast
import copy
import linecache
import random
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.slips import KINDS, assignments, planted, target

STYLES: Sequence[Callable[[str], str]] = (
    lambda x: f"d{x}",
    lambda x: f"d_{x}",
    lambda x: f"grad_{x}",
    lambda x: f"{x}_grad",
    lambda x: f"dL_d{x}",
    lambda x: f"dloss_d{x}",
)


@dataclass(frozen=True)
class Derivation:
    """A model, a hand derivation of its gradient, where, and the names of the lines that are wrong."""

    family: str
    model: Callable[..., Any]
    hand: Callable[..., Any]
    at: Mapping[str, np.ndarray]
    wrt: tuple[str, ...]
    faulty: tuple[str, ...]
    kinds: tuple[str, ...]
    source: str


_UNARY = {  # the function, its derivative by its argument u and its value v
    "tanh": "1 - {v}**2",
    "sin": "np.cos({u})",
    "cos": "-np.sin({u})",
    "exp": "{v}",
    "sqrt": "1 / (2 * {v})",
    "log": "1 / {u}",
}


def _chain(
    rng: random.Random, style: Callable[[str], str], forward: bool
) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """A chain of scalar steps in which parameters are used several times."""
    parameters = ["w", "v", "c"][: rng.randint(2, 3)]
    n = rng.randint(2, 4)
    lines, rules = ["h0 = x"], []
    for k in range(1, n + 1):
        p, f = rng.choice(parameters), rng.choice(sorted(_UNARY))
        q = rng.choice(parameters)
        shift = {"sqrt": " + 3", "log": " + 3", "exp": ""}.get(f, f" + {q}")
        lines.append(f"z{k} = {p} * h{k - 1}{shift}")
        lines.append(f"h{k} = np.{f}(z{k})")
        rules.append((p, q if shift == f" + {q}" else None, f))
    last = rng.choice(parameters)
    result = f"{last} * h{n}"
    slope = lambda k: "(" + _UNARY[rules[k - 1][2]].format(u=f"z{k}", v=f"h{k}") + ")"  # noqa: E731
    body = list(lines)
    used = [p for p in parameters if p == last or any(p in (r[0], r[1]) for r in rules)]
    returned = []
    if forward:
        for p in used:
            before = None
            for k in range(1, n + 1):
                terms = ([f"h{k - 1}"] if rules[k - 1][0] == p else []) + (
                    ["np.ones_like(x)"] if rules[k - 1][1] == p else []
                )
                if before is not None:
                    terms.append(f"{rules[k - 1][0]} * {before}")
                if not terms:
                    continue
                body.append(f"dz{k}_d{p} = " + " + ".join(terms))
                body.append(f"dh{k}_d{p} = {slope(k)} * dz{k}_d{p}")
                before = f"dh{k}_d{p}"
            terms = ([f"h{n}"] if p == last else []) + ([f"{last} * {before}"] if before else [])
            body.append(f"dL_d{p} = " + " + ".join(terms))
            returned.append(f"{p!r}: dL_d{p}")
    else:
        body.append(f"{style(f'h{n}')} = {last}")
        for k in range(n, 0, -1):
            body.append(f"{style(f'z{k}')} = {slope(k)} * {style(f'h{k}')}")
            if k > 1:
                body.append(f"{style(f'h{k - 1}')} = {rules[k - 1][0]} * {style(f'z{k}')}")
        for p in used:
            terms = [f"h{n}"] if p == last else []
            terms += [f"h{k - 1} * {style(f'z{k}')}" for k in range(1, n + 1) if rules[k - 1][0] == p]
            terms += [style(f"z{k}") for k in range(1, n + 1) if rules[k - 1][1] == p]
            body.append(f"{style(p)} = " + " + ".join(terms))
            returned.append(f"{p!r}: {style(p)}")
    arguments = ", ".join(["x", *parameters])
    text = _function("model", arguments, [*lines, f"return {result}"])
    text += _function("hand", arguments, [*body, "return {" + ", ".join(returned) + "}"])
    values = np.random.default_rng(rng.getrandbits(32))
    at = {name: np.asarray(values.uniform(0.4, 1.1)) for name in ["x", *parameters]}
    return text, at, tuple(used)


def _function(name: str, arguments: str, lines: Sequence[str]) -> str:
    return f"def {name}({arguments}):\n" + textwrap.indent("\n".join(lines), "    ") + "\n\n"


_ARRAYS = {
    "mlp": (
        "X, W1, b1, W2, Y",
        {"X": (4, 3), "W1": (3, 2), "b1": (2,), "W2": (2, 2), "Y": (4, 2)},
        "W1 b1 W2",
        """
        z1 = X @ W1 + b1
        a1 = np.tanh(z1)
        z2 = a1 @ W2
        r = z2 - Y
        """,
        "return (r**2).sum() / X.shape[0]",
        """
        n = X.shape[0]
        D(z2) = 2 * r / n
        D(W2) = a1.T @ D(z2)
        D(a1) = D(z2) @ W2.T
        D(z1) = D(a1) * (1 - a1**2)
        D(W1) = X.T @ D(z1)
        D(b1) = D(z1).sum(axis=0)
        """,
    ),
    "softmax cross-entropy": (
        "X, W, b, Y",
        {"X": (5, 3), "W": (3, 4), "b": (4,), "Y": "one-hot (5, 4)"},
        "W b",
        """
        z = X @ W + b
        e = np.exp(z)
        p = e / e.sum(axis=1, keepdims=True)
        """,
        "return -(Y * np.log(p)).sum() / X.shape[0]",
        """
        n = X.shape[0]
        D(z) = (p - Y) / n
        D(W) = X.T @ D(z)
        D(b) = D(z).sum(axis=0)
        """,
    ),
    "rnn": (
        "x, Wx, Wh, v",
        {"x": (3, 2), "Wx": (3, 2), "Wh": (3, 3), "v": (3,)},
        "Wx Wh v",
        """
        h = np.zeros(3)
        hs = [h]
        for t in range(3):
            a = Wx @ x[t] + Wh @ h
            h = np.tanh(a)
            hs.append(h)
        """,
        "return (v * h).sum()",
        """
        D(v) = h
        D(Wx) = np.zeros((3, 2))
        D(Wh) = np.zeros((3, 3))
        D(h) = v.copy()
        for t in (2, 1, 0):
            D(a) = (1 - hs[t + 1]**2) * D(h)
            D(Wx) += np.outer(D(a), x[t])
            D(Wh) += np.outer(D(a), hs[t])
            D(h) = Wh.T @ D(a)
        """,
    ),
    "layer norm": (
        "x, g, b, u",
        {"x": (3, 4), "g": (4,), "b": (4,), "u": (3, 4)},
        "x g b",
        """
        mu = x.mean(axis=1, keepdims=True)
        xc = x - mu
        var = (xc**2).mean(axis=1, keepdims=True)
        std = np.sqrt(var + 1e-5)
        xhat = xc / std
        y = g * xhat + b
        """,
        "return (u * y).sum()",
        """
        n = x.shape[1]
        D(g) = (u * xhat).sum(axis=0)
        D(b) = u.sum(axis=0)
        D(xhat) = u * g
        D(std) = -(D(xhat) * xc).sum(axis=1, keepdims=True) / std**2
        D(var) = D(std) / (2 * std)
        D(xc) = D(xhat) / std + D(var) * 2 * xc / n
        D(x) = D(xc) - D(xc).sum(axis=1, keepdims=True) / n
        """,
    ),
    "attention": (
        "Q, K, V, u",
        {"Q": (3, 2), "K": (4, 2), "V": (4, 2), "u": (3, 2)},
        "Q K V",
        """
        S = Q @ K.T / np.sqrt(2.0)
        E = np.exp(S)
        P = E / E.sum(axis=1, keepdims=True)
        O = P @ V
        """,
        "return (u * O).sum()",
        """
        D(O) = u.copy()
        D(V) = P.T @ D(O)
        D(P) = D(O) @ V.T
        D(S) = P * (D(P) - (D(P) * P).sum(axis=1, keepdims=True))
        D(Q) = D(S) @ K / np.sqrt(2.0)
        D(K) = D(S).T @ Q / np.sqrt(2.0)
        """,
    ),
}

FAMILIES = ("chain forward", "chain backward", *_ARRAYS)


def _array(rng: random.Random, family: str, style: Callable[[str], str]) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    arguments, shapes, wrt, forward, result, backward = _ARRAYS[family]
    lines = textwrap.dedent(forward).strip().splitlines()
    back = textwrap.dedent(backward).strip()
    while "D(" in back:
        start = back.index("D(")
        end = back.index(")", start)
        back = back[:start] + style(back[start + 2 : end]) + back[end + 1 :]
    returned = "return {" + ", ".join(f"{w!r}: {style(w)}" for w in wrt.split()) + "}"
    text = _function("model", arguments, [*lines, result])
    text += _function("hand", arguments, [*lines, *back.splitlines(), returned])
    values = np.random.default_rng(rng.getrandbits(32))
    at: dict[str, Any] = {}
    for name, shape in shapes.items():
        if isinstance(shape, str):
            at[name] = np.eye(4)[values.integers(0, 4, 5)]
        else:
            at[name] = np.round(values.standard_normal(shape), 3)
    return text, at, tuple(wrt.split())


def derivation(seed: int, family: str, slips: int = 0, kinds: Sequence[str] = KINDS) -> Derivation | None:
    """The derivation of this seed, with so many slips planted in its derivative lines.

    None where a slip changed no result by itself, or made the code fail: nothing was planted then.
    """
    rng = random.Random(f"{seed} {family} {slips}")
    style = rng.choice(STYLES)
    made = _chain(rng, style, family.endswith("forward")) if family.startswith("chain") else _array(rng, family, style)
    text, at, wrt = made
    tree = ast.parse(text)
    right = _run(_compiled(ast.unparse(tree), f"<right {seed} {family}>")["hand"], at)
    hand = tree.body[1]
    assert isinstance(hand, ast.FunctionDef)
    arguments = {a.arg for a in hand.args.args}
    model_names = {target(a) for a in assignments(tree.body[0])}  # type: ignore[arg-type]
    lines = [k for k, a in enumerate(assignments(hand)) if target(a) not in model_names | {"n", "hs"}]
    chosen = rng.sample(lines, slips) if slips <= len(lines) else []
    original = copy.deepcopy(tree)
    planted_kinds, faulty = [], []
    for k in sorted(chosen):
        before = {target(a) for a in assignments(hand)[:k]}
        scope = sorted(n for n in before | arguments if n is not None and n not in ("t", "n", "hs"))
        got = planted(assignments(hand)[k].value, rng, scope, kinds)
        if got is None:
            return None
        alone = copy.deepcopy(original)
        assignments(alone.body[1])[k].value = got[1]  # type: ignore[arg-type]
        if not _changes(_compiled(ast.unparse(alone), f"<alone {seed} {family}>")["hand"], at, right):
            return None
        assignments(hand)[k].value = got[1]
        planted_kinds.append(got[0])
        faulty.append(str(target(assignments(hand)[k])))
    source = ast.unparse(ast.fix_missing_locations(tree))
    space = _compiled(source, f"<derivation {seed} {family} {slips}>")
    if slips and not _changes(space["hand"], at, right):
        return None
    if len(set(faulty)) < slips or (slips > 1 and not _each_needed(tree, original, sorted(chosen), at)):
        return None
    return Derivation(family, space["model"], space["hand"], at, wrt, tuple(faulty), tuple(planted_kinds), source)


def _each_needed(tree: ast.Module, original: ast.Module, chosen: Sequence[int], at: Mapping[str, Any]) -> bool:
    """Whether taking back any one slip changes the results, and no result that one changes comes right by the others.

    Slips that undo each other, such as a factor 2 and then 1/2, leave a derivation that may have been meant so.
    """
    both = _run(_compiled(ast.unparse(tree), "<both>")["hand"], at)
    right = _run(_compiled(ast.unparse(original), "<right>")["hand"], at)
    for k in chosen:
        alone = copy.deepcopy(original)
        assignments(alone.body[1])[k].value = copy.deepcopy(assignments(tree.body[1])[k].value)  # type: ignore[arg-type]
        changed = _run(_compiled(ast.unparse(alone), "<alone>")["hand"], at)
        assert both is not None
        assert right is not None
        assert changed is not None
        if any(_differ(changed[w], right[w]) and not _differ(both[w], right[w]) for w in right):
            return False

        less = copy.deepcopy(tree)
        assignments(less.body[1])[k].value = copy.deepcopy(assignments(original.body[1])[k].value)  # type: ignore[arg-type]
        if not _changes(_compiled(ast.unparse(less), "<less>")["hand"], at, both):
            return False
    return True


def _compiled(source: str, name: str) -> dict[str, Any]:
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    space: dict[str, Any] = {"np": np, "__name__": "derivations.made"}
    exec(compile(source, name, "exec"), space)
    return space


def _run(function: Callable[..., Any], at: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    try:
        with np.errstate(all="ignore"):
            return {k: np.asarray(v) for k, v in function(**at).items()}
    except (ValueError, TypeError, AttributeError):
        return None


def _differ(a: np.ndarray, b: np.ndarray) -> bool:
    return float(np.abs(a - b).max()) > 1e-9 * float(np.abs(b).max())


def _changes(function: Callable[..., Any], at: Mapping[str, Any], right: Mapping[str, np.ndarray] | None) -> bool:
    """Whether the planted code still runs, gives the same shapes, and other numbers."""
    got = _run(function, at)
    if got is None or right is None or any(got[k].shape != right[k].shape for k in right):
        return False
    if not all(np.isfinite(v).all() for v in got.values()):
        return False
    scale = max(float(np.abs(v).max()) for v in right.values())
    return any(float(np.abs(got[k] - right[k]).max()) > 1e-6 * scale for k in right)
