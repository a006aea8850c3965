"""Sixty right gradients at points where checks by finite differences struggle, and sixty wrong ones at the same points.

Run as a script it prints one table: what symgrad says of each, beside `torch.autograd.gradcheck`, a check along one
random direction (as jax.test_util.check_grads does), and `torch.allclose` against autograd.

    python tests/trust/hard_gradients.py

With ``--write`` the summary also goes into the README.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from symgrad import verify

T = torch
README = Path(__file__).resolve().parents[2] / "README.md"
MARK = "<!-- table: python tests/trust/hard_gradients.py --write -->"


@dataclass(frozen=True)
class Case:
    """A function of one tensor x, its gradient, the same with a slip, and a point."""

    kind: str
    name: str
    f: Callable
    right: Callable
    wrong: Callable
    x: object
    dtype: str = "float64"

    def __str__(self) -> str:
        return f"{self.kind}: {self.name} at {self.x}"


def _cases():
    for x in (1e-9, -1e-9):
        yield (
            "kink",
            "relu(x)^2 + relu(-x)",
            lambda x: T.relu(x) ** 2 + T.relu(-x),
            lambda x: T.where(x > 0, 2 * x, -T.ones_like(x)),
            lambda x: T.where(x > 0, 2 * x, T.ones_like(x)),
            x,
        )
        yield "kink", "|x|", lambda x: x.abs(), lambda x: T.sign(x), lambda x: -T.sign(x), x
        yield (
            "kink",
            "leaky relu",
            lambda x: T.nn.functional.leaky_relu(x, 0.1),
            lambda x: T.where(x > 0, T.ones_like(x), 0.1 * T.ones_like(x)),
            lambda x: T.where(x > 0, T.ones_like(x), T.zeros_like(x)),
            x,
        )
        yield (
            "kink",
            "max(x, x^2 + x)",
            lambda x: T.maximum(x, x + x * x * x),
            lambda x: T.where(x * x * x > 0, 1 + 3 * x * x, T.ones_like(x)),
            lambda x: T.where(x * x * x > 0, 1 + x * x, T.ones_like(x)),
            x,
        )
    for x in ([1.0, 1.0 + 1e-10], [2.0 - 1e-12, 2.0]):
        yield (
            "kink",
            "max of two",
            lambda x: x.max(),
            lambda x: (x == x.max()).to(x.dtype),
            lambda x: (x == x.min()).to(x.dtype),
            x,
        )
        yield (
            "kink",
            "|x0 - x1|",
            lambda x: (x[0] - x[1]).abs(),
            lambda x: T.sign(x[0] - x[1]) * T.tensor([1.0, -1.0], dtype=x.dtype),
            lambda x: T.sign(x[0] - x[1]) * T.tensor([1.0, 1.0], dtype=x.dtype),
            x,
        )
    for x in (1 - 1e-11, 1 + 1e-11):
        yield (
            "kink",
            "clamp(x, 0, 1)",
            lambda x: x.clamp(0, 1),
            lambda x: ((x > 0) & (x < 1)).to(x.dtype),
            lambda x: (x > 0).to(x.dtype),
            x,
        )
        yield (
            "kink",
            "huber",
            lambda x: T.where(x.abs() <= 1, x * x / 2, x.abs() - 0.5),
            lambda x: x.clamp(-1, 1),
            lambda x: T.where(x.abs() <= 1, x, T.zeros_like(x)),
            x,
        )
    for x in (1e-12, 1e-300):
        yield "edge", "log x", lambda x: x.log(), lambda x: 1 / x, lambda x: 1 / (x + 1e-6), x
        yield "edge", "x log x", lambda x: x * x.log(), lambda x: 1 + x.log(), lambda x: x.log(), x
        yield "edge", "sqrt x", lambda x: x.sqrt(), lambda x: 0.5 / x.sqrt(), lambda x: 1 / x.sqrt(), x
    for x in (1 - 1e-12, -1 + 1e-9):
        yield "edge", "acos x", lambda x: x.acos(), lambda x: -1 / T.sqrt(1 - x * x), lambda x: 1 / T.sqrt(1 - x * x), x
        yield "edge", "atanh x", lambda x: x.atanh(), lambda x: 1 / (1 - x * x), lambda x: 1 / (1 + x * x), x
    for x in (1 + 1e-10, 1 + 1e-14):
        yield (
            "edge",
            "acosh x",
            lambda x: x.acosh(),
            lambda x: 1 / T.sqrt(x * x - 1),
            lambda x: 1 / T.sqrt(x * x + 1),
            x,
        )
    yield "edge", "tan x", lambda x: x.tan(), lambda x: 1 + x.tan() ** 2, lambda x: 1 / x.cos(), 1.5707963
    yield "edge", "log1p x", lambda x: x.log1p(), lambda x: 1 / (1 + x), lambda x: 1 / x, -1 + 1e-9
    yield "edge", "logit x", lambda x: T.logit(x), lambda x: 1 / (x * (1 - x)), lambda x: 1 / (x * (1 + x)), 1e-9
    yield "edge", "1/x", lambda x: 1 / x, lambda x: -1 / x**2, lambda x: -1 / x, -1e-8
    for x in (1e9, 1e-8):
        yield "scale", "x^2", lambda x: x**2, lambda x: 2 * x, lambda x: 2 * x * (1 + 1e-7), x
        yield (
            "scale",
            "x^3 sin x",
            lambda x: x**3 * x.sin(),
            lambda x: 3 * x**2 * x.sin() + x**3 * x.cos(),
            lambda x: 3 * x**2 * x.sin() - x**3 * x.cos(),
            x,
        )
        yield (
            "scale",
            "sqrt(1 + x^2)",
            lambda x: T.sqrt(1 + x * x),
            lambda x: x / T.sqrt(1 + x * x),
            lambda x: x / (1 + x * x),
            x,
        )
        yield (
            "scale",
            "log(1 + x^2)",
            lambda x: T.log1p(x * x),
            lambda x: 2 * x / (1 + x * x),
            lambda x: x / (1 + x * x),
            x,
        )
    yield "scale", "1e-9 x^2", lambda x: 1e-9 * x**2, lambda x: 2e-9 * x, lambda x: 3e-9 * x, 0.75
    yield "scale", "1e9 sin x", lambda x: 1e9 * x.sin(), lambda x: 1e9 * x.cos(), lambda x: 1e9 * x.cos() + 1, 0.75
    yield (
        "scale",
        "mixed",
        lambda x: 1e9 * x[0] + 1e-8 * x[1] ** 2,
        lambda x: T.stack([1e9 * T.ones_like(x[0]), 2e-8 * x[1]]),
        lambda x: T.stack([1e9 * T.ones_like(x[0]), 1e-8 * x[1]]),
        [1.0, 3.0],
    )
    yield "scale", "exp(-x)", lambda x: T.exp(-x), lambda x: -T.exp(-x), lambda x: T.exp(-x), 30.0
    for x in (0.3, 1e-4):
        yield (
            "curvature",
            "sin(1e5 x)",
            lambda x: T.sin(1e5 * x),
            lambda x: 1e5 * T.cos(1e5 * x),
            lambda x: 1e5 * T.cos(1e5 * x) + 1,
            x,
        )
        yield (
            "curvature",
            "tanh(1e4 x)",
            lambda x: T.tanh(1e4 * x),
            lambda x: 1e4 * (1 - T.tanh(1e4 * x) ** 2),
            lambda x: 1e4 * (1 - T.tanh(1e4 * x)),
            x,
        )
    yield (
        "curvature",
        "exp(-1e6 x^2)",
        lambda x: T.exp(-1e6 * x**2),
        lambda x: -2e6 * x * T.exp(-1e6 * x**2),
        lambda x: -1e6 * x * T.exp(-1e6 * x**2),
        1e-3,
    )
    yield "curvature", "x^60", lambda x: x**60, lambda x: 60 * x**59, lambda x: 59 * x**59, 1.25
    yield (
        "curvature",
        "1/(1 + 1e8 x^2)",
        lambda x: 1 / (1 + 1e8 * x**2),
        lambda x: -2e8 * x / (1 + 1e8 * x**2) ** 2,
        lambda x: -2e8 * x / (1 + 1e8 * x**2),
        1e-4,
    )
    yield (
        "cancellation",
        "(1 - cos x)/x^2",
        lambda x: (1 - x.cos()) / x**2,
        lambda x: x.sin() / x**2 - 2 * (1 - x.cos()) / x**3,
        lambda x: x.sin() / x**2 - (1 - x.cos()) / x**3,
        1e-6,
    )
    yield "cancellation", "x - sin x", lambda x: x - x.sin(), lambda x: 1 - x.cos(), lambda x: 0 * x, 1e-6
    yield (
        "cancellation",
        "(exp(x) - 1)/x",
        lambda x: (x.exp() - 1) / x,
        lambda x: (x * x.exp() - x.exp() + 1) / x**2,
        lambda x: (x * x.exp() - x.exp()) / x**2,
        1e-7,
    )
    yield (
        "cancellation",
        "sqrt(x + 1) - sqrt(x)",
        lambda x: T.sqrt(x + 1) - T.sqrt(x),
        lambda x: 0.5 / T.sqrt(x + 1) - 0.5 / T.sqrt(x),
        lambda x: 0.5 / T.sqrt(x + 1) + 0.5 / T.sqrt(x),
        1e12,
    )
    yield (
        "cancellation",
        "variance of shifted data",
        lambda x: (x * x).mean() - x.mean() ** 2,
        lambda x: 2 * (x - x.mean()) / 3,
        lambda x: 2 * x / 3,
        [1e6, 1e6 + 1, 1e6 + 3],
    )
    yield (
        "cancellation",
        "logsumexp of far scores",
        lambda x: T.logsumexp(x, 0),
        lambda x: T.softmax(x, 0),
        lambda x: T.softmax(x, 0) - 1e-9,
        [1000.0, 0.0, 999.0],
    )
    single = [
        ("softmax", lambda x: T.log_softmax(x, 0)[0], lambda x: T.tensor([1.0, 0, 0], dtype=x.dtype) - T.softmax(x, 0)),
        ("norm", lambda x: x.norm(), lambda x: x / x.norm()),
        ("sigmoid", lambda x: T.sigmoid(x).sum(), lambda x: T.sigmoid(x) * T.sigmoid(-x)),
        ("product", lambda x: x.prod(), lambda x: x.prod() / x),
        ("cubes", lambda x: (x**3).mean(), lambda x: x**2),
        ("gelu", lambda x: T.nn.functional.gelu(x).sum(), _gelu_slope),
        ("silu", lambda x: T.nn.functional.silu(x).sum(), lambda x: T.sigmoid(x) * (1 + x * T.sigmoid(-x))),
        ("tanh", lambda x: T.tanh(x).sum(), lambda x: 1 - T.tanh(x) ** 2),
    ]
    for name, f, right in single:
        slip = lambda x, right=right: right(x) * (1 + 2.0**-16)  # noqa: E731
        yield "float32", name, f, right, slip, [0.5, -1.25, 3.0], "float32"


def _gelu_slope(x):
    return T.special.ndtr(x) + x * T.exp(-(x**2) / 2) / (2 * T.pi) ** 0.5


CASES = [Case(*fields) for fields in _cases()]

# ------------------------------------------------------------------------------------------------ the judges


def point_of(case: Case) -> torch.Tensor:
    return torch.tensor(case.x, dtype=getattr(torch, case.dtype))


def by_symgrad(case: Case, hand: Callable) -> str:
    return verify(case.f, hand, wrt="x", at={"x": point_of(case)}).verdict


def by_gradcheck(case: Case, hand: Callable) -> str:
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return case.f(x)

        @staticmethod
        def backward(ctx, upstream):
            (x,) = ctx.saved_tensors
            return upstream * hand(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _said(torch.autograd.gradcheck(Function.apply, point_of(case).requires_grad_(), raise_exception=False))


def by_direction(case: Case, hand: Callable, eps: float = 1e-6, tolerance: float = 1e-4) -> str:
    x = point_of(case).double()
    g = torch.Generator().manual_seed(0)
    along = torch.randn(x.shape, generator=g, dtype=x.dtype)
    along = along / along.norm()
    measured = (case.f(x + eps * along) - case.f(x - eps * along)) / (2 * eps)
    said = (hand(x) * along).sum()
    return _said(bool(torch.isclose(said, measured, rtol=tolerance, atol=tolerance)))


def by_allclose(case: Case, hand: Callable) -> str:
    x = point_of(case).requires_grad_()
    case.f(x).backward()
    assert x.grad is not None
    return _said(torch.allclose(hand(x.detach()).to(x.dtype), x.grad))


def _said(passed: bool) -> str:
    return "accepted" if passed else "rejected"


JUDGES: Mapping[str, Callable[[Case, Callable], str]] = {
    "symgrad": by_symgrad,
    "gradcheck": by_gradcheck,
    "one direction": by_direction,
    "allclose to autograd": by_allclose,
}


def rows(judged: Counter[tuple[str, str]]) -> Iterator[str]:
    """The README's table: how many each judge got wrong."""
    yield f"| of {len(CASES)} each | symgrad | gradcheck | one random direction | allclose to autograd |"
    yield "|---|---|---|---|---|"
    for kind, word in (("right", "rejected"), ("wrong", "accepted")):
        yield f"| {kind} gradients {word} | " + " | ".join(str(judged[name, kind]) for name in JUDGES) + " |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="put the summary into the README")
    write = options.parse_args().write
    wrongs: Counter[tuple[str, str]] = Counter()
    print(f"{'':44}" + "".join(f"{name:>22}" for name in JUDGES))
    for right in (True, False):
        for case in CASES:
            said = {name: judge(case, case.right if right else case.wrong) for name, judge in JUDGES.items()}
            for name, word in said.items():
                wrongs[name, "right" if right else "wrong"] += (word in ("refuted", "rejected")) == right
            print(f"{'right' if right else 'wrong'} {str(case)[:38]:38}" + "".join(f"{w:>22}" for w in said.values()))
    table = "\n".join(rows(wrongs))
    print(f"\n{table}")
    if write:
        text = README.read_text(encoding="utf-8")
        old = rf"{re.escape(MARK)}\n(\n(\|[^\n]*\n)+)?"
        README.write_text(re.sub(old, f"{MARK}\n\n{table}\n", text), encoding="utf-8")


if __name__ == "__main__":
    main()
