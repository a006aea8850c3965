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


# ------------------------------------------------------------------------------------------------ other ways to choose


def turned_at(rule: Callable) -> tuple[Callable, Callable, Callable]:
    """x² where the rule holds, and x³ elsewhere, of one number."""
    return (lambda x: x * x if rule(x) else x**3, lambda x: 2 * x if rule(x) else 3 * x**2, lambda x: 3 * x**2)


def by_table(x):
    return {0: x, 1: x * x, 2: x**3}.get(math.floor(x), x**4)


def slope_by_table(x):
    return {0: 1.0, 1: 2 * x, 2: 3 * x**2}.get(math.floor(x), 4 * x**3)


def by_division(x):
    try:
        return x / (math.ceil(x) - 29)
    except ZeroDivisionError:
        return x * x


def by_missing_key(x):
    try:
        return {4: 2.0, 5: 3.0}[int(x)] * x
    except KeyError:
        return x * x


def first_above(x):
    for k, edge in enumerate((-30.0, 20.0, 35.0)):
        if x < edge:
            return (k + 1) * x
    return x * x


def slope_first_above(x):
    return 1.0 if x < -30 else 2.0 if x < 20 else 3.0 if x < 35 else 2 * x


def halved(x):
    while abs(x) > 1:
        x = x / 2
    return x


def slope_of_halved(x):
    k = 0
    while abs(x) > 1:
        x, k = x / 2, k + 1
    return 0.5**k


def far(x):
    return x - 62 > 0


def helped(x):
    return x * x if far(x) else x**3


ONE_NUMBER: dict[str, Callable] = {
    "n % 7 == 3": lambda x: math.floor(x) % 7 == 3,
    "n // 10 == 4": lambda x: math.floor(x) // 10 == 4,
    "n + 5 > 60": lambda x: int(x) + 5 > 60,
    "ceil == 31": lambda x: math.ceil(x) == 31,
    "ends with": lambda x: f"{x:.0f}" == "23",
    "len(str(int(x))) > 2": lambda x: len(str(int(abs(x)))) > 2,
    "in a set of numbers": lambda x: math.floor(x) in {19, 21},
    "close to 27": lambda x: math.isclose(x, 27.0, abs_tol=0.125),
    "any of a list": lambda x: any(x > edge for edge in (44.0, 55.0)),
    "a sum of truths": lambda x: int(x > 10) + int(x > 20) + int(x > 30) == 2,
    "not and or": lambda x: not (x < 41 or x > 42),
    "divmod": lambda x: divmod(math.floor(x), 6)[1] == 5,
    "the largest by key": lambda x: max((1.0, 2.0, 3.0), key=lambda c: -abs(x - 24 * c)) == 3.0,
}  # fmt: skip
OTHER_NUMBERS = (
    *((name, *turned_at(rule)) for name, rule in ONE_NUMBER.items()),
    ("a table", by_table, slope_by_table, lambda x: 4 * x**3),
    (
        "division by zero", by_division,
        lambda x: 2 * x if math.ceil(x) == 29 else 1 / (math.ceil(x) - 29), lambda x: 1 / (math.ceil(x) - 29 + 1e-9),
    ),
    (
        "a missing key", by_missing_key,
        lambda x: {4: 2.0, 5: 3.0}.get(int(x), 2 * x), lambda x: {4: 2.0, 5: 2.0}.get(int(x), 2 * x),
    ),
    ("the first edge", first_above, slope_first_above, lambda x: 1.0 if x < -30 else 2.0 if x < 20 else 3.0),
    ("halved until small", halved, slope_of_halved, lambda x: slope_of_halved(x) if abs(x) < 64 else 1.0),
    ("a helper's choice", helped, lambda x: 2 * x if x > 62 else 3 * x**2, lambda x: 3 * x**2),
)  # fmt: skip
OTHER_RULES: dict[str, Callable] = {
    "torch.equal of masks": lambda x: torch.equal(x > 20, torch.tensor([True, False, True])),
    "sort": lambda x: torch.sort(x).indices[0] == 2,
    "median": lambda x: x.median() > 33,
    "a list of bools": lambda x: sum((x > 25).tolist()) == 2,
    "count as a float": lambda x: (x > 15).double().mean() > 0.5,
    "argmin by item": lambda x: x.argmin().item() in (0, 2),
    "floor of entries": lambda x: (torch.floor(x) == 13).any(),
    "long": lambda x: x.long()[1] == 18,
    "bucketize": lambda x: torch.bucketize(x, torch.tensor([21.0, 29.0], dtype=x.dtype))[0] == 1,
    "allclose": lambda x: torch.allclose(x, torch.full_like(x, 26.0), atol=0.5),
    "the last sign": lambda x: torch.sign(x - 31)[2] > 0 and torch.sign(x + 31)[1] < 0,
    "detached dot": lambda x: torch.dot(x.detach(), x.detach()) > 9000,
    "a number of numpy": lambda x: float(x.numpy(force=True).max()) > 64,
}  # fmt: skip
ARRAY_RULES: dict[str, Callable] = {
    "np.all": lambda x: np.all(x > 14),
    "np.any": lambda x: np.any(x < -52),
    "mask.sum() == 2": lambda x: (x > 12).sum() == 2,
    "np.count_nonzero": lambda x: np.count_nonzero(x > 22) == 1,
    "np.argmax": lambda x: np.argmax(x) == 0,
    "an entry of a mask": lambda x: (x > 32)[1],
    "np.floor": lambda x: np.floor(x[0]) == 16,
    "astype(int)": lambda x: x.astype(int)[2] == -21,
    "np.argsort": lambda x: np.argsort(x)[-1] == 1,
    "np.allclose": lambda x: np.allclose(x, 11.0, atol=0.25),
}


def _other_rules() -> Iterator[tuple]:
    for name, rule in OTHER_RULES.items():
        yield (name, *either(rule), {"x": T})
    for name, rule in ARRAY_RULES.items():
        yield (name, *either(rule), {"x": A})


# ------------------------------------------------------------------------------------------------ ordinary right code


def unit(x):
    n = x.norm()
    return (x / n).sum() if n > 0 else x.sum()


def slope_of_unit(x):
    n = x.norm()
    return 1 / n - x * x.sum() / n**3 if n > 0 else torch.ones_like(x)


def checked(x):
    assert x.shape[0] == 3
    assert torch.isfinite(x).all()
    if torch.isnan(x).any():
        return x.sum() * 0
    return (x * x).sum()


def converged(x):
    y = torch.ones_like(x)
    for _ in range(60):
        new = (y + x * x / y) / 2
        if (new - y).abs().max() < 1e-13:
            break
        y = new
    return (y * 0 + x**2).sum()


def printed(x):
    loss = (x * x).sum()
    text = f"loss {loss.item():.3f} of {x.shape[0]}"
    return loss if isinstance(text, str) else -loss


def never(x):
    s = (x * x).sum()
    return s if s >= 0 and torch.exp(s) > 0 and torch.sigmoid(s) < 2 else -s


def stable(x):
    top = x.max()
    return torch.log(torch.exp(x - top).sum()) + top


def saved(x):
    return (x / torch.clamp(x.norm(), min=1e-8)).sum()


def nested(x):
    s = x.sum()
    if s > 10:
        return s * s if s > 5 else -s
    return s


ORDINARY = (
    ("a unit vector", unit, slope_of_unit),
    ("asserts", checked, lambda x: 2 * x),
    ("until converged", converged, lambda x: 2 * x),
    ("only printed", printed, lambda x: 2 * x),
    ("what never happens", never, lambda x: 2 * x),
    ("a stable logarithm", stable, lambda x: torch.softmax(x, 0)),
    ("a norm kept from zero", saved, None),
    ("guards that contradict", nested, lambda x: torch.ones_like(x) * (2 * x.sum() if x.sum() > 10 else 1.0)),
    ("relu", lambda x: torch.relu(x).sum(), lambda x: (x > 0).to(x)),
    ("hardtanh", lambda x: torch.nn.functional.hardtanh(x).sum(), lambda x: (x.abs() < 1).to(x)),
)  # fmt: skip


def slope_of_saved(x):
    n = x.norm()
    return 1 / n - x * x.sum() / n**3 if n > 1e-8 else torch.full_like(x, 1e8)


def _ordinary() -> Iterator[Question]:
    for name, f, slope_ in ORDINARY:
        hand = slope_ or slope_of_saved
        yield Question(name, 3, "verify", lambda f=f, h=hand: verify(f, h, at={"x": T}), True)


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
    yield from pairs(3, OTHER_NUMBERS)
    yield from pairs(3, _other_rules())
    yield from _ordinary()
