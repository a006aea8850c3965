"""What lifting says when it cannot follow code: what happened, the line with carets, and what to write instead.

``@`` stands for the place: this file and the line of the function.
"""

from __future__ import annotations

import math
import random
import statistics

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch
import torch.nn.functional as F
from support.lifting_replay import gradient_agrees, points, replay

from symgrad.errors import BadInput, LostValue, NotReproducible, SymgradError, UnknownOperation, UserCodeFailed
from symgrad.lifting.tracing.functions import Function

TABLE = np.zeros(3)
KEPT: list[object] = []
LOST = "would turn a value that depends on the inputs into a plain number, and its derivative would be lost."
OUT = (
    "Write it out in operations that it follows (entrywise functions, sums, products, indexing, matmul, solve, inv, "
    "det, cholesky), or pass its result as an input."
)


def message(function, library: str) -> str:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    with pytest.raises(SymgradError) as caught:
        Function.of(function, like=library).run(points(names)[0])
    place = f"{__file__}:{function.__code__.co_firstlineno}"
    lines = str(caught.value).replace(place, "@").splitlines()
    return "\n".join(line[len(place) - 1 :] if not line.strip(" ^") else line for line in lines)


GOLDEN = [
    (
        lambda P: torch.geqrf(P)[0],
        "torch",
        "symgrad cannot follow torch.geqrf.\n"
        "    @    lambda P: torch.geqrf(P)[0]\n"
        "                   ^^^^^^^^^^^^^^\n" + OUT,
    ),
    (
        lambda x: torch.normal(x, 1.0),
        "torch",
        "symgrad cannot follow torch.normal, which draws random numbers whose law depends on the inputs.\n"
        "    @    lambda x: torch.normal(x, 1.0)\n"
        "                   ^^^^^^^^^^^^^^^^^^^^\n"
        "Draw numbers of a fixed law, and compute with them: mean + std*noise.",
    ),
    (
        lambda x: np.fft.fftn(x).real,
        "numpy",
        "symgrad cannot follow numpy.fft.fftn.\n"
        "    @    lambda x: np.fft.fftn(x).real\n"
        "                   ^^^^^^^^^^^^^^\n" + OUT,
    ),
    (
        lambda x: 2 * torch.special.bessel_j0(x),
        "torch",
        "no operation is called 'bessel_j0'. Close names: besselj, bessely, besselk.\n"
        "    @    lambda x: 2 * torch.special.bessel_j0(x)\n"
        "                       ^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        'To add it: symgrad.define("bessel_j0", exact, torch), where exact maps a SymPy symbol to an expression.',
    ),
    (
        lambda s: s + statistics.NormalDist().cdf(s),
        "math",
        f"float(), called by a library or in code whose source is not at hand, {LOST}\n"
        "    @    lambda s: s + statistics.NormalDist().cdf(s)\n"
        "                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "Pass the function with its source, or write the formula with the operators and math's functions.",
    ),
    (
        lambda P: scipy.linalg.sqrtm(P),
        "numpy",
        f"np.asarray of an array, called inside a library, {LOST}\n"
        "    @    lambda P: scipy.linalg.sqrtm(P)\n"
        "                   ^^^^^^^^^^^^^^^^^^^^^\n"
        "Write that function's formula with NumPy, or pass the code with its source.",
    ),
    (
        lambda x: np.add(TABLE, x[:3], out=TABLE),
        "numpy",
        f"this line writes into an array made outside of the function, which {LOST}\n"
        "    @    lambda x: np.add(TABLE, x[:3], out=TABLE)\n"
        "                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "Make the array inside the function.",
    ),
    (
        lambda s: (s - 9) ** 0.5,
        "math",
        "-8.874269778906607 ** 0.5 is complex, and floats are followed only while they are real.\n"
        "    @    lambda s: (s - 9) ** 0.5\n"
        "                   ^^^^^^^^^^^^^^\n"
        "Use torch for complex values.",
    ),
    (
        lambda x: torch.func.grad(lambda y: (y**2).sum())(x),
        "torch",
        "the function calls torch.grad, a derivative inside of the formula.\n"
        "    @    lambda x: torch.func.grad(lambda y: (y**2).sum())(x)\n"
        "                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "Pass the function whose gradient is wanted; order=2 asks for second derivatives.",
    ),
    (
        lambda x: (x**2).sum().backward(),
        "torch",
        "the function calls autograd itself.\n"
        "    @    lambda x: (x**2).sum().backward()\n"
        "                   ^^^^^^^^^^^^^^^^^^^^^^^\n"
        "Pass the function whose gradient is wanted, without the call of backward() or grad().",
    ),
    (
        lambda s: math.log(s - 9),
        "math",
        "your function raised ValueError: math domain error\n"
        "    @    lambda s: math.log(s - 9),",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "library", "text"), GOLDEN)
def test_messages(function, library: str, text: str) -> None:
    assert message(function, library) == text


def many_lines(x):
    y = x * 2
    return np.linalg.eigh(
        np.outer(y, y)  # not followed
    )[0]


def test_a_statement_of_several_lines_is_shown_on_one() -> None:
    with pytest.raises(UnknownOperation) as caught:
        Function.of(many_lines).run(points("x")[0])
    assert caught.value.where is not None
    place = f"    {__file__}:{many_lines.__code__.co_firstlineno + 2}    "
    text = "return np.linalg.eigh(np.outer(y, y))[0]"
    assert caught.value.where == place + text + "\n" + " " * (len(place) + 7) + "^" * len(
        "np.linalg.eigh(np.outer(y, y))"
    )


def failing(s):
    y = s * 2
    return undefined_name + y  # noqa: F821


def test_the_users_own_error_names_the_line_and_is_chained() -> None:
    with pytest.raises(UserCodeFailed) as caught:
        Function.of(failing, like="math").run({"s": 0.5})
    line = failing.__code__.co_firstlineno + 2
    assert str(caught.value) == (
        "your function raised NameError: name 'undefined_name' is not defined\n"
        f"    {__file__}:{line}    return undefined_name + y  # noqa: F821"
    )
    assert isinstance(caught.value.__cause__, NameError)


@pytest.mark.parametrize(
    ("function", "library"),
    [
        (lambda s: s * random.random(), "math"),
        (lambda x: x + np.random.randn(), "numpy"),
        (lambda x: F.dropout(x, 0.5), "torch"),
        (lambda x: x + torch.randn(4), "torch"),
        (lambda x: F.gumbel_softmax(x, dim=0), "torch"),
    ],
)
def test_random_code_is_refused(function, library) -> None:
    with pytest.raises(NotReproducible, match="two runs of the function at the same point gave different values"):
        Function.of(function, like=library).run(points(function.__code__.co_varnames[:1])[0])


def test_randomness_that_is_seeded_inside_is_followed() -> None:
    def code(x):
        torch.manual_seed(0)
        return F.dropout(x, 0.5) * torch.randn(4, dtype=x.dtype)

    gradient_agrees(code)


@pytest.mark.parametrize(
    ("function", "library"),
    [
        (lambda x: torch.bernoulli(x.sigmoid()), "torch"),
        (lambda x: torch.normal(x, 1.0), "torch"),
        (lambda P: torch.linalg.svd(P[:2])[2], "torch"),
        (lambda P: torch.linalg.qr(P[:, :2], mode="complete")[0], "torch"),
        (lambda x: torch.linalg.pinv(torch.outer(x, x)), "torch"),
        (lambda A: torch.geqrf(A)[0], "torch"),
        (lambda x: torch.bincount(torch.tensor([0, 1, 1, 0]), weights=x), "torch"),
        (lambda x: torch.histogram(x, 3).hist, "torch"),
        (lambda x: x.to_sparse().to_dense(), "torch"),
        (lambda x: np.add.reduceat(x, [0, 2]), "numpy"),
        (lambda x: np.percentile(x, 30), "numpy"),
        (lambda x: np.pad(x, 1, mode="mean"), "numpy"),
        (lambda x: np.sum(x, initial=3.0), "numpy"),
        (lambda A: np.linalg.norm(A, 2), "numpy"),
        (lambda x: x.tobytes(), "numpy"),
        (lambda x: x.view(np.int64), "numpy"),
    ],
)
def test_what_has_no_rule_is_refused_and_never_a_constant(function, library) -> None:
    with pytest.raises(UnknownOperation):
        Function.of(function, like=library).run(points(function.__code__.co_varnames[:1])[0])


@pytest.mark.parametrize(
    ("function", "library"),
    [
        (lambda s: complex(s), "math"),
        (lambda s: statistics.fmean([s, s]), "math"),
        (lambda s: TABLE.__setitem__(0, s), "math"),
        (lambda x: TABLE.__setitem__(0, x[0]), "numpy"),
        (lambda x: np.asarray(memoryview(x)), "numpy"),
        (lambda P: scipy.linalg.sqrtm(P), "numpy"),
        (lambda x: [1, 2, 3][x[0]], "numpy"),
        (lambda x: x.astype(object), "numpy"),
    ],
)
def test_what_reads_the_bare_number_is_refused(function, library) -> None:
    with pytest.raises((LostValue, UserCodeFailed)):
        Function.of(function, like=library).run(points(function.__code__.co_varnames[:1])[0])


def test_an_error_that_the_code_catches_is_raised_all_the_same() -> None:
    def code(s):
        try:
            return statistics.NormalDist().cdf(s)
        except Exception:
            return s * 0

    with pytest.raises(LostValue):
        Function.of(code, like="math").run({"s": 0.5})


def test_a_value_kept_from_an_earlier_run_is_refused() -> None:
    def code(s):
        KEPT.append(s)
        return KEPT[0] * 2

    with pytest.raises(LostValue, match="a value from an earlier run of the function came back"):
        Function.of(code, like="math").run({"s": 0.5})


@pytest.mark.parametrize(
    "function",
    [
        lambda x: scipy.special.expit(x) * scipy.special.erf(x),
        lambda p: scipy.special.gammaln(p) + scipy.special.psi(p),
    ],
)
def test_scipy_functions_of_the_table_are_followed(function) -> None:
    replay(function)


def test_vmap_is_followed() -> None:
    gradient_agrees(lambda A: torch.vmap(lambda row: row.sin().sum() * row)(A))


def test_autograd_in_the_formula_is_refused() -> None:
    with pytest.raises(BadInput, match=r"the function calls torch\.grad"):
        Function.of(lambda x: torch.autograd.grad((x**2).sum(), x)[0]).run(points("x")[0])
