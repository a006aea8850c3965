"""Law 3: whatever the code decides by a value of an input is a choice, and each of its outcomes is judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from trust.questions import Question, pairs

from symgrad import verify

__all__ = ["questions"]

A = np.array([0.5, -1.25, 2.0])
T = torch.tensor(A)

# ------------------------------------------------------------------------------------------------ one number


def beyond_forty(x):
    return x * x if x > 40 else x**3


def by_item(x):
    return (x * x).sum() if x[0].item() > 30 else (x**3).sum()


def by_float(x):
    return (x * x).sum() if float(x.sum().item()) < -25 else (x**3).sum()


def by_floor(x):
    return x * x if math.floor(x) == 17 else x**3


def by_int(x):
    return x * x if int(x) == -23 else x**3


def by_round(x):
    return x * x if round(x) == 12 else x**3


def by_text(x):
    return x * x if str(x).startswith("7") else x**3


def by_format(x):
    return x * x if f"{x:.1f}" == "3.5" else x**3


def in_a_range(x):
    return x * x if 5.25 < x < 5.5 else x**3


def at_two_ends(x):
    if x < -33:
        return -x
    return x * x if x > 33 else x**3


def by_two(x, y):
    return x * y if x > 20 and y < -20 else x * x * y


def steps(x):
    total = x
    k = 0
    while k < x:
        total = total + x * x
        k += 10
    return total


def by_try(x):
    try:
        return math.sqrt(x - 30) * x
    except ValueError:
        return x * x


def by_index(x):
    table = [x, x * x, x**3, x**4]
    return table[min(max(int(x), 0), 3)]


def cubed(x):
    return 3 * x**2


NUMBERS = (
    ("if x > 40", beyond_forty, lambda x: 2 * x if x > 40 else 3 * x**2, lambda x: cubed(x)),
    ("math.floor(x) == 17", by_floor, lambda x: 2 * x if math.floor(x) == 17 else 3 * x**2, lambda x: cubed(x)),
    ("int(x) == -23", by_int, lambda x: 2 * x if int(x) == -23 else 3 * x**2, lambda x: cubed(x)),
    ("round(x) == 12", by_round, lambda x: 2 * x if round(x) == 12 else 3 * x**2, lambda x: cubed(x)),
    ("str(x)", by_text, lambda x: 2 * x if str(x).startswith("7") else 3 * x**2, lambda x: cubed(x)),
    ("f'{x:.1f}'", by_format, lambda x: 2 * x if f"{x:.1f}" == "3.5" else 3 * x**2, lambda x: cubed(x)),
    ("5.25 < x < 5.5", in_a_range, lambda x: 2 * x if 5.25 < x < 5.5 else 3 * x**2, lambda x: cubed(x)),
    (
        "two ends", at_two_ends,
        lambda x: -1.0 if x < -33 else 2 * x if x > 33 else 3 * x**2,
        lambda x: 1.0 if x < -33 else 2 * x if x > 33 else 3 * x**2,
    ),
    (
        "a loop by the value", steps,
        lambda x: 1 + 2 * x * max(0, math.ceil(x / 10)), lambda x: 1 + 2 * x if x > 0 else 1.0,
    ),
    (
        "try and except", by_try,
        lambda x: math.sqrt(x - 30) + x / (2 * math.sqrt(x - 30)) if x > 30 else 2 * x, lambda x: 2 * x,
    ),
    (
        "an index by the value", by_index,
        lambda x: [1.0, 2 * x, 3 * x**2, 4 * x**3][min(max(int(x), 0), 3)],
        lambda x: [1.0, 2 * x, 3 * x**2, 4 * x**3][min(max(int(x), 0), 2)],
    ),
)  # fmt: skip
TWO = (
    (
        "x > 20 and y < -20", by_two,
        lambda x, y: {"x": y if x > 20 and y < -20 else 2 * x * y, "y": x if x > 20 and y < -20 else x * x},
        lambda x, y: {"x": 2 * x * y, "y": x * x},
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ tensors


def either(rule: Callable) -> tuple[Callable, Callable, Callable]:
    """x² where the rule holds, and x³ elsewhere: the function, its gradient, and the gradient of x³ alone."""
    return (
        lambda x: (x * x).sum() if rule(x) else (x**3).sum(),
        lambda x: 2 * x if rule(x) else 3 * x**2,
        lambda x: 3 * x**2,
    )


RULES: dict[str, Callable] = {
    "x[0].item() > 30": lambda x: x[0].item() > 30,
    "x.sum().item() < -25": lambda x: x.sum().item() < -25,
    "all(x > 0)": lambda x: torch.all(x > 0),
    "any(x > 35)": lambda x: (x > 35).any(),
    "(x > 0).sum() == 3": lambda x: (x > 0).sum() == 3,
    "count_nonzero(x > 1) == 3": lambda x: torch.count_nonzero(x > 1) == 3,
    "argmax == 1": lambda x: x.argmax() == 1,
    "argsort begins with 2": lambda x: int(torch.argsort(x)[0]) == 2,
    "max().item() > 50": lambda x: x.max().item() > 50,
    "tolist": lambda x: x.tolist()[2] > 45,
    "x[1] > x[0] + 20": lambda x: bool(x[1] > x[0] + 20),
    "norm > 60": lambda x: x.norm().item() > 60,
    "floor of the sum is 9": lambda x: math.floor(x.sum().item()) == 9,
    "detach": lambda x: x.detach()[0] > 28,
    "numpy": lambda x: x.detach().numpy()[0] > 28,
    "mean between": lambda x: 3.0 < x.mean().item() < 3.25,
}


def _rules() -> Iterator[tuple]:
    for name, rule in RULES.items():
        yield (name, *either(rule), {"x": T})


# ------------------------------------------------------------------------------------------------ kinks far away

KINKS = (
    ("abs(x - 40)", "abs(x - 40)", "sign(x - 40)", "-1"),
    ("abs(x + 55)", "x*abs(x + 55)", "abs(x + 55) + x*sign(x + 55)", "2*x + 55"),
    ("Max(x, 30)", "Max(x, 30)", "Heaviside(x - 30)", "0"),
    ("Min(x, -30)", "Min(x, -30)", "Heaviside(-30 - x)", "0"),
    ("sqrt(u**2)", "sqrt((x - 40)**2)", "sign(x - 40)", "-1"),
    ("atan(1/u)", "atan(1/(x - 40))", "-1/(1 + (x - 40)**2)", "1/(1 + (x - 40)**2)"),
    ("sign(x - 40)*x", "sign(x - 40)*x", "sign(x - 40)", "-1"),
    (
        "sqrt((x - y)**2)", "sqrt((x - 3*y + 50)**2)*x",
        "sqrt((x - 3*y + 50)**2) + x*sign(x - 3*y + 50)", "2*x - 3*y + 50",
    ),
)  # fmt: skip
IN_CODE = (
    (
        "abs of code", lambda x: abs(x - 40) * x,
        lambda x: abs(x - 40) + x * math.copysign(1, x - 40), lambda x: 40 - 2 * x,
    ),
    ("hypot", lambda x: math.hypot(x - 40, 0.0), lambda x: math.copysign(1, x - 40), lambda x: -1.0),
    ("max", lambda x: max(x, 48.0) * x, lambda x: 2 * x if x > 48 else 48.0, lambda x: 48.0),
    (
        "torch relu", lambda x: torch.relu(x - 33).sum(), lambda x: (x > 33).to(x), lambda x: 0 * x, {"x": T},
    ),
    (
        "torch clamp", lambda x: (x.clamp(-44, 44) * x).sum(),
        lambda x: torch.where(x.abs() < 44, 2 * x, 44 * torch.sign(x)), lambda x: 2 * x, {"x": T},
    ),
    (
        "numpy where", lambda x: np.where(x > 37, x, x * x).sum(),
        lambda x: np.where(x > 37, 1.0, 2 * x), lambda x: 2 * x, {"x": A},
    ),
    (
        "norm of a difference", lambda x: torch.linalg.norm(x[:1] - 40.0) * x[1],
        lambda x: torch.stack([torch.sign(x[0] - 40) * x[1], torch.abs(x[0] - 40), 0 * x[2]]),
        lambda x: torch.stack([-x[1], 40 - x[0], 0 * x[2]]), {"x": T},
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ sizes


def _sizes() -> Iterator[Question]:
    rows = (
        ("n > 100", lambda x: x.sum() if len(x) > 100 else (x * x).sum(),
         lambda x: 0 * x + 1 if len(x) > 100 else 2 * x, lambda x: 2 * x),
        ("n == 17", lambda x: x.sum() if x.shape[0] == 17 else (x * x).sum(),
         lambda x: 0 * x + 1 if x.shape[0] == 17 else 2 * x, lambda x: 2 * x),
        ("int('150')", lambda x: x.sum() if x.shape[0] > int("150") else (x * x).sum(),
         lambda x: 0 * x + 1 if x.shape[0] > int("150") else 2 * x, lambda x: 2 * x),
    )  # fmt: skip
    for name, f, right, wrong in rows:
        for hand, truth in ((right, True), (wrong, False)):
            yield Question(name, 3, "verify", lambda f=f, h=hand: verify(f, h, at={"x": ("n",)}), truth)


def questions() -> Iterator[Question]:
    yield from pairs(3, NUMBERS)
    yield from pairs(3, TWO)
    yield from pairs(3, _rules())
    yield from (
        Question(name, 3, "verify", lambda f=f, h=h: verify(f, h, wrt="x"), truth)
        for name, f, right, wrong in KINKS
        for h, truth in ((right, True), (wrong, False))
    )
    yield from pairs(3, IN_CODE)
    yield from _sizes()
