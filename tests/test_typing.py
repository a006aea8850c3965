"""The public signatures say what may be passed: no parameter, result or field is left open without need."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

import symgrad
from symgrad.typing import FunctionOptions, Options

PUBLIC = {name: getattr(symgrad, name) for name in symgrad.__all__ if name != "__version__"}
OPEN = {  # what is Any, and why it is
    "Latex.run point": "values of the user's, of any kind",
    "Report.point": "values of the user's, of any kind",
    "Report.certificate return": "plain data of JSON's kinds, at any depth",
    "Report.to_dict return": "plain data of JSON's kinds, at any depth",
    "points_in return": "arrays, numbers, and what was passed on as it is",
}


def annotations(name: str, thing: object) -> Iterator[tuple[str, str]]:
    """Where a public thing has types, and the text of each."""
    if inspect.isclass(thing):
        own = (
            {field.name: str(field.type) for field in dataclasses.fields(thing)}
            if hasattr(thing, "__match_args__")
            else {}
        )
        yield from ((f"{name}.{field}", text) for field, text in own.items() if not field.startswith("_"))
        for member, value in inspect.getmembers(thing):
            value = value.fget if isinstance(value, property) else value
            if not member.startswith("_") and (inspect.isfunction(value) or inspect.ismethod(value)):
                yield from annotations(f"{name}.{member}", value)
    elif isinstance(thing, Callable):
        signature = inspect.signature(thing)
        for parameter in signature.parameters.values():
            if parameter.name not in ("self", "cls"):
                yield f"{name} {parameter.name}", text_of(parameter.annotation)
        yield f"{name} return", text_of(signature.return_annotation)


def text_of(annotation: object) -> str:
    return "Any" if annotation is inspect.Signature.empty else str(annotation)


def test_no_public_signature_is_left_open():
    found = [
        where
        for name, thing in PUBLIC.items()
        for where, text in annotations(name, thing)
        if re.search(r"\bAny\b", text)
    ]
    assert sorted(found) == sorted(OPEN)


def test_a_planted_any_is_seen():
    def f(x, y: int) -> None: ...

    assert [where for where, text in annotations("f", f) if "Any" in text] == ["f x"]


def options_of(function: Callable) -> dict[str, str]:
    parameters = inspect.signature(function).parameters.values()
    return {
        p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "claims"
    }  # a name of before


def test_options_are_those_of_the_functions_that_take_them():
    told = {name: text.__forward_arg__ for name, text in Options.__annotations__.items()}
    assert told == options_of(symgrad.verify)
    assert set(FunctionOptions.__annotations__) == {*options_of(symgrad.verify), *options_of(symgrad.verify_function)}


CALLS = """
import numpy as np
import sympy as sp
import torch
from concurrent.futures import ProcessPoolExecutor
from symgrad import (
    Latex, assert_gradient, compare, define, find_instabilities, gradient, lift, surrogate, verify, verify_function,
    verify_many, vjp,
)
x, y = sp.symbols("x y")
A = torch.ones(2, 3)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x**3


verify("x**2", "2*x", wrt="x", at={"x": 0.5}, domain="x > 0", dtype=torch.float32)
verify(x**2, 2 * x, wrt=x, at={x: 2}, domain={x: (0, None)}, dtype=np.float32)
verify(sp.Matrix([x, y]), sp.eye(2), wrt=[x, y], domain=x > 0)
verify(lambda x: x**2, {"x": lambda x: 2 * x}, at={"x": A, "n": 3, "mode": None})
verify(torch.nn.Linear(2, 3), {"weight": A, "bias": [1.0, 2.0]}, at={"input": (3, "n")})
verify(Latex(r"x^2"), (Latex("2x"), "3"), wrt=("x", "y"), domain={"x": (0.0, None)})
verify(vjp("x**2", "v"), "2*x*v")
verify("d/dx (x**2) = 2*x")
verify_function(Cube, at=[A], wrt="x")
verify_function(Cube, at={"x": ("n", 3)})
with ProcessPoolExecutor() as pool:
    verify_many([("x**2", "2*x"), (x**2, 2 * x, {"seed": 3})], executor=pool, points=8)
assert_gradient(surrogate(Cube, reason="meant"), at={"x": (3,)}, seed=1)
compare("x", x, at={"x": 1.0})
define("cube", lambda x: x**3, lambda x: x**3)
find_instabilities("log(x)", dtype="float32")
gradient(lambda x: x**2, at={"x": (3,)})
lift(x**2)
"""
MISTAKES = """
from symgrad import assert_gradient, verify, verify_many
verify(3.5, "2*x")
verify("x**2", "2*x", unreached="ignore")
verify("x**2", "2*x", at="x")
verify("x**2", "2*x", domain=3)
verify_many(["x**2"])
verify_many([("x**2", "2*x")], wrong=1)
assert_gradient("x**2", "2*x", points="many")
"""


@pytest.mark.slow
def test_a_type_checker_takes_what_may_be_passed_and_nothing_else(tmp_path):
    paths = [tmp_path / "calls.py", tmp_path / "mistakes.py"]
    for path, code in zip(paths, (CALLS, MISTAKES)):
        path.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *map(str, paths)]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    errors = re.findall(r"(\w+)\.py:(\d+):\d+ - error", told)
    assert sorted({(name, int(line)) for name, line in errors}) == [("mistakes", n) for n in range(3, 10)], told
