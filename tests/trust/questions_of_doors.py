"""Law 11: no raw exception leaves a public function, and code that keeps its own books is read like any other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sympy as sp
import torch
from trust.questions import Question, pairs

from symgrad import (
    assert_gradient,
    compare,
    find_instabilities,
    gradient,
    lift,
    verify,
    verify_function,
    verify_script,
)  # fmt: skip

__all__ = ["DOORS", "JUNK", "questions"]

x, y = sp.symbols("x y", real=True)
M = sp.MatrixSymbol("M", 2, 2)
V = torch.tensor([0.5, -1.25], dtype=torch.float64)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


def squares(x):
    return (x * x).sum()


def twice(x):
    return 2 * x


JUNK: dict[str, Any] = {
    "None": None,
    "an object": object(),
    "a symbol": x,
    "a matrix symbol": M,
    "a key of SymPy": {x: 0.5},
    "a list of names": ["x"],
    "a set": {"x"},
    "3.0": 3.0,
    "nan": math.nan,
    "bytes": b"x**2",
    "empty text": "",
    "a name that is not": "nothing",
    "bfloat16": torch.ones(2, dtype=torch.bfloat16),
    "conjugated": torch.ones(2, dtype=torch.complex128).conj(),
    "sparse": torch.eye(2).to_sparse(),
    "meta": torch.ones(2, device="meta"),
    "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    "ragged": [[1.0, 2.0], [3.0]],
    "longdouble": np.ones(2, dtype=np.longdouble),
    "no entries": np.zeros((0, 2)),
    "objects": np.array([object(), 1.0], dtype=object),
    "text in an array": np.array(["a", "b"]),
    "a date": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "a shape": (2,),
    "a shape of -1": (-1,),
    "a huge shape": (10**6, 10**6),
    "a type": int,
    "a generator": (i for i in range(3)),
    "a lambda of nothing": lambda: 1.0,
    "a lambda of names": lambda *a, **k: a,
    "a dictionary of junk": {"x": object()},
    "a dictionary of shapes": {"x": (-1,)},
    "a huge number": 10**400,
    "an integer tensor": torch.arange(3),
    "booleans": np.array([True, False]),
    "a complex number": 1 + 2j,
    "deep": [[[[[[1.0]]]]]],
}

# each door, with an ordinary question and the arguments that junk is put in place of
DOORS: dict[str, tuple[Callable[..., Any], dict[str, Any], tuple[str, ...]]] = {
    "verify": (
        verify, {"formula": squares, "hand": twice, "at": {"x": V}},
        ("formula", "hand", "wrt", "at", "order", "domain", "assuming", "claims", "dtype", "points", "effort", "seed"),
    ),
    "verify_function": (
        verify_function, {"function": Square, "at": {"x": V}},
        ("function", "at", "wrt", "domain", "points", "effort", "seed"),
    ),
    "gradient": (gradient, {"formula": squares, "at": {"x": V}}, ("formula", "wrt", "at", "order", "seed")),
    "compare": (
        compare, {"a": squares, "b": lambda x: (x**2).sum(), "at": {"x": V}},
        ("a", "b", "at", "domain", "assuming", "dtype", "points", "effort", "seed"),
    ),
    "lift": (lift, {"thing": squares, "at": {"x": V}}, ("thing", "at", "seed")),
    "find_instabilities": (
        find_instabilities, {"formula": "log(1 + exp(x))"},
        ("formula", "at", "domain", "assuming", "dtype", "effort", "seed"),
    ),
    "verify_script": (
        verify_script, {"source": "import torch\n"},
        ("source", "wrt", "output", "gradients", "domain", "claims", "points", "effort", "seed", "limits", "namespace"),
    ),
    "assert_gradient": (assert_gradient, {"formula": "x**2", "hand": "2*x"}, ("formula", "hand", "at")),
}  # fmt: skip


def put(door: str, argument: str, thing: Any) -> Any:
    """Ask an ordinary question with one argument replaced."""
    ask, usual, _ = DOORS[door]
    try:
        return ask(**{**usual, argument: thing})
    except AssertionError:  # what `assert_gradient` is for
        return True


def _junk() -> Iterator[Question]:
    """A few of the combinations; the property test takes all."""
    chosen = {
        "verify": ("at", "wrt", "hand", "domain"),
        "verify_function": ("at", "wrt"),
        "gradient": ("at", "wrt"),
        "compare": ("b", "at"),
    }
    for door, arguments in chosen.items():
        for argument in arguments:
            for name, thing in JUNK.items():
                yield Question(
                    f"{argument} = {name}", 11, door, lambda d=door, a=argument, t=thing: _asked(d, a, t), None
                )


def _asked(door: str, argument: str, thing: Any) -> Any:
    found = put(door, argument, thing)
    return found if hasattr(found, "verdict") or hasattr(found, "kind") else True


# ------------------------------------------------------------------------------------------------ code with books


CACHE: dict[str, Any] = {}
CALLS = [0]
SEEN: list[float] = []
COUNT = 0


def writes_a_cache(x):
    CACHE["h"] = torch.tanh(x)
    return CACHE["h"].sum()


def counts_its_calls(x):
    CALLS[0] += 1
    return (x * x).sum()


def counts_globally(x):
    global COUNT
    COUNT += 1
    return (x * x).sum()


def keeps_a_log(x):
    SEEN.append(1.0)
    return (x * x).sum()


def asserts_its_point(x):
    assert x.shape[0] == 2
    assert torch.isfinite(x).all()
    return (x * x).sum()


def imports_inside(x):
    import torch as t

    return t.sum(x * x)


def yields(x):
    def parts():
        yield x[0] * x[0]
        yield x[1] * x[1]

    return sum(parts())


def matches(x):
    match x.dim():
        case 1:
            return (x * x).sum()
        case _:
            return x.sum()


def walrus(x):
    return ((h := x * x) + 0 * h).sum()


def by_star(x):
    first, *rest = x
    return first * first + sum(r * r for r in rest)


BOOKS = (
    ("a cache in the module", writes_a_cache, lambda x: 1 - torch.tanh(x) ** 2, lambda x: 1 - x**2, {"x": V}),
    *(
        (f.__name__, f, twice, lambda x: 3 * x, {"x": V})
        for f in (
            counts_its_calls, counts_globally, keeps_a_log, asserts_its_point, imports_inside, yields, matches, walrus,
            by_star,
        )
    ),
)  # fmt: skip


def _shapes() -> Iterator[Question]:
    """Arguments that are unusual, and mean what they say."""
    rows: tuple[tuple[str, Callable[[], Any], Any], ...] = (
        ("wrt is a symbol", lambda: verify(x**2, 2 * x, wrt=x), True),
        ("wrt is a symbol", lambda: verify(x**2, 3 * x, wrt=x), False),
        ("keys of at are symbols", lambda: verify(x**2 * y, 2 * x * y, wrt=x, at={x: 0.5, y: 2.0}), True),
        ("keys of at are symbols", lambda: verify(x**2 * y, 2 * x, wrt=x, at={x: 0.5, y: 2.0}), False),
        (
            "bfloat16 numbers",
            lambda: verify(squares, torch.tensor([1.0, -2.5], dtype=torch.bfloat16), at={"x": V}),
            True,
        ),
        ("a conjugated view", lambda: verify(squares, (2 * V).to(torch.complex128).conj().real, at={"x": V}), True),
        ("a list of numbers", lambda: verify(squares, [1.0, -2.5], at={"x": V}), True),
        ("a list of numbers", lambda: verify(squares, [1.0, 2.5], at={"x": V}), False),
        ("9**9**9*x", lambda: verify("9**9**9*x", "9**9**9"), None),
        ("ten thousand terms", lambda: verify("+".join(["x"] * 10_000), "10000"), None),
        ("a million characters", lambda: verify("x" * 1_000_000, "1"), None),
        ("deep brackets", lambda: verify("(" * 3000 + "x" + ")" * 3000, "1"), None),
        ("wrt is a matrix symbol", lambda: verify(sp.Trace(M), sp.eye(2), wrt=M), None),
    )
    for name, ask, truth in rows:
        yield Question(name, 11, "verify", ask, truth)


def questions() -> Iterator[Question]:
    yield from pairs(11, BOOKS)
    yield from _shapes()
    yield from _junk()
