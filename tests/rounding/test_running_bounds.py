"""The running bounds of float runs against exact arithmetic in balls."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb
from support.adjoints import adjoint
from support.exact_runs import BITS, DTYPES, check, draw, exact

from symgrad.evaluation.balls import ball_of
from symgrad.ops.row import precision
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.program import Program
from symgrad.rounding.accuracy import distance, rounding
from symgrad.rounding.running_bounds import enclosed, error_bounds

# ------------------------------------------------------------------------------------------------ bounds hold


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_arithmetic(op, dtype):
    b = Builder()
    x, y = b.input("x", (300,), dtype), b.input("y", (300,), dtype)
    z = b.binary(op, b.mul(x, y), b.add(y, b.mul(x, x)))  # the arguments already carry errors
    at = {"x": draw((300,), dtype, 1, 2), "y": draw((300,), dtype, 2, 2)}
    ratio = check(b.build({"z": z}), at, z)
    assert ratio.numel() > 100
    assert ratio.median() < 20


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if not op.branches])
@pytest.mark.slow
def test_scalar_rows(name):
    """Each row on arguments that carry an error, in every dtype that has a kernel."""
    medians = []
    n = 10 if name in ("i0", "i1") else 60  # the balls of Bessel functions are slow
    for dtype in DTYPES:
        b = Builder()
        arity = OPS[name].arity
        names = ("x", "y", "z", "u")[:arity]
        args = [
            b.mul(b.mul(i, i), b.number(3, dtype)) if name in _POSITIVE else b.mul(i, b.number(3, dtype))
            for i in (b.input(k, (n,), dtype) for k in names)
        ]
        if name in _UNIT:
            args = [b.apply("sigmoid", args[0])]
        out = b.apply(name, *args)
        at = {y: draw((n,), dtype, k + 7, 1.2) for k, y in enumerate(names)}
        try:
            ratio = check(b.build({"out": out}), at, out)
        except (RuntimeError, NotImplementedError):
            assert dtype in ("float16", "bfloat16")  # torch has no kernel
            continue
        if ratio.numel():
            medians.append(float(ratio.median()))
    if name != "sign":  # exact
        assert medians
        assert max(medians) < 1e4


_POSITIVE = (
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "lgamma",
    "gamma",
    "digamma",
    "acosh",
    "xlogy",
    "xlog1py",
)
_UNIT = ("asin", "acos", "atanh", "erfinv", "logit")


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers(dtype):
    b = Builder()
    x, y = b.input("x", (200,), dtype), b.input("y", (200,), dtype)
    for step in (
        b.integer_power(b.mul(x, x), 3),
        b.integer_power(b.mul(x, x), -2),
        b.power(b.apply("exp", x), b.mul(y, y)),
    ):
        at = {"x": draw((200,), dtype, 3, 0.3), "y": draw((200,), dtype, 4, 0.3)}
        assert check(b.build({"out": step}), at, step).median() < 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_subnormal_numbers(dtype):
    """Products and quotients that underflow: the bound needs its subnormal term."""
    tiny = torch.finfo(getattr(torch, dtype)).tiny
    b = Builder()
    x, y = b.input("x", (500,), dtype), b.input("y", (500,), dtype)
    z = b.mul(b.mul(x, y), b.number(3, dtype))
    g = torch.Generator().manual_seed(5)
    at = {
        n: torch.rand(500, generator=g, dtype=torch.float64).to(getattr(torch, dtype)) * math.sqrt(tiny) / 200
        for n in "xy"
    }
    bound = error_bounds(b.build({"z": z}), at, [z])[z]
    assert (bound.value < tiny).all()
    check(b.build({"z": z}), at, z, 3000)
    e = b.apply("exp", b.mul(b.number(-1, dtype), x))
    low = {
        "x": torch.linspace(85, 105, 500, dtype=torch.float64).to(getattr(torch, dtype))
        * (8.5 if dtype == "float64" else 1),
        "y": at["y"],
    }
    check(b.build({"e": e}), low, e, 3000)
    s = b.apply("sigmoid", b.neg(x))
    check(b.build({"s": s}), low, s, 3000)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cancellation_is_covered(dtype):
    """(x + y) - x loses y's digits; the bound says by how much."""
    b = Builder()
    x, y = b.input("x", (400,), dtype), b.input("y", (400,), dtype)
    z = b.sub(b.add(x, y), x)
    at = {"x": draw((400,), dtype, 8, 2), "y": draw((400,), dtype, 9, 2) / 64}
    assert check(b.build({"z": z}), at, z).median() < 10


@pytest.mark.parametrize("dtype", DTYPES)
def test_matrix_products(dtype):
    b = Builder()
    x, y = b.input("x", (9, 33), dtype), b.input("y", (33, 7), dtype)
    z = b.matmul(b.mul(x, x), y)
    at = {"x": draw((9, 33), dtype, 10), "y": draw((33, 7), dtype, 11)}
    assert check(b.build({"z": z}), at, z).median() < 1000


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_order_of_summation(dtype):
    """A hundred orders of one sum and one dot product: each result is within the bound of the sum replayed once."""
    n = 50
    b = Builder()
    x, y = b.input("x", (n,), dtype), b.input("y", (n,), dtype)
    summed, dot = b.sum(x), b.matmul(x, y)
    at = {"x": draw((n,), dtype, 12), "y": draw((n,), dtype, 13)}
    program = b.build({"s": summed, "d": dot})
    bounds = error_bounds(program, at, [summed, dot])
    truths = {step: exact(program, at, step) for step in (summed, dot)}
    g = torch.Generator().manual_seed(14)
    for _ in range(100):
        order = torch.randperm(n, generator=g)
        total, product = (torch.zeros((), dtype=at["x"].dtype) for _ in range(2))
        for k in order:
            total = total + at["x"][k]
            product = product + at["x"][k] * at["y"][k]
        for step, value in ((summed, total), (dot, product)):
            with precision(BITS):
                low, _ = distance(value, truths[step])
            assert low <= bounds[step].error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax(name, dtype):
    for scale in (Fraction(1, 10), 3, 40):
        b = Builder()
        x = b.input("x", (20, 6), dtype)
        inner = b.mul(x, b.number(scale, dtype))
        out = b.emit(name, (inner,), 1, (20, 1) if name == "logsumexp" else (20, 6))
        ratio = check(b.build({"out": out}), {"x": draw((20, 6), dtype, 15, 0.3)}, out, 1000)
        if scale < 1:  # beyond, results saturate at 0 and 1, where the error is far below an ulp
            assert ratio.median() < 100


def test_masked_softmax_has_a_finite_bound():
    """Attention's -inf: an exact zero weight, not an unknown one."""
    b = Builder()
    x = b.input("x", (3,), "float32")
    mask = b.constant(np.array([0.0, -np.inf, 0.0]), "float32")
    out = b.emit("softmax", (b.add(x, mask),), 0, (3,))
    bound = error_bounds(b.build({"out": out}), {"x": torch.tensor([1.0, 2.0, 3.0])}, [out])[out]
    assert bound.error[1] == 0
    assert (bound.error < 1e-5).all()


def test_logsumexp_that_keeps_its_axis_has_a_bound_of_its_own_shape():
    b = Builder()
    x = b.input("x", (2, 3), "float32")
    out = b.name(b.emit("logsumexp", (x,), 1, (2, 1)), "lse")
    at = {"x": torch.tensor([[1.0, -math.inf, 3.0], [-math.inf, -math.inf, -math.inf]])}
    bound = error_bounds(b.build({"out": out}), at, [out])[out]
    assert bound.error.shape == (2, 1)
    assert abs(bound.value[0].item() - math.log(math.e + math.e**3)) <= bound.error[0] < 1e-5
    assert bound.error[1] == 0  # no number among the three, and that is exact


def test_layouts_move_the_bound_with_the_value():
    b = Builder()
    x = b.input("x", (2, 3), "float32")
    squares = b.mul(x, x)
    turned = b.transpose(squares)
    padded = b.pick([squares], np.array([0, 6, 1]), (3,))
    at = {"x": draw((2, 3), "float32", 16)}
    bounds = error_bounds(b.build({"t": turned, "p": padded}), at, [squares, turned, padded])
    flat = bounds[squares].error.reshape(-1)
    assert torch.equal(bounds[turned].error, bounds[squares].error.T)
    assert bounds[padded].error.tolist() == [0.0, flat[5], flat[0]]


def test_casts_and_mixed_dtypes():
    b = Builder()
    x, y = b.input("x", (300,), "float64"), b.input("y", (300,), "float32")
    low = b.cast(b.mul(x, x), "bfloat16")
    out = b.add(b.cast(low, "float32"), b.mul(y, y))
    at = {"x": draw((300,), "float64", 17), "y": draw((300,), "float32", 18)}
    assert check(b.build({"out": out}), at, out).median() < 10


def test_constants_carry_the_rounding_of_what_they_stand_for():
    b = Builder()
    third, data = b.number(sp.Rational(1, 3), "float32"), b.constant([0.1, 0.5], "float32")
    bounds = error_bounds(b.build({"t": third, "d": data}), {}, [third, data])
    assert bounds[third].error.item() == pytest.approx(abs(float(torch.tensor(1 / 3)) - 1 / 3), rel=1e-6)
    assert bounds[data].error[0] == abs(float(torch.tensor(0.1)) - 0.1)  # data are the binary numbers given
    assert bounds[data].error[1] == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", ["inverse", "solve", "det", "logabsdet", "cholesky"])
def test_linear_algebra(op, dtype):
    b = Builder()
    x, y = b.input("x", (4, 5, 5), dtype), b.input("y", (4, 5, 2), dtype)
    gram = b.add(b.matmul(x, b.transpose(x)), b.constant(np.broadcast_to(np.eye(5), (4, 5, 5)), dtype))
    shape = {"solve": (4, 5, 2), "det": (4,), "logabsdet": (4,)}.get(op, (4, 5, 5))
    out = b.emit(op, (gram, y) if op == "solve" else (gram,), None, shape)
    at = {"x": draw((4, 5, 5), dtype, 19, 0.3), "y": draw((4, 5, 2), dtype, 20)}
    ratio = check(b.build({"out": out}), at, out)
    assert ratio.numel()
    assert ratio.median() < 1e4


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype):
    b = Builder()
    z, w = b.input("z", (40,), dtype), b.input("w", (40,), dtype)
    half = "float32" if dtype == "complex64" else "float64"
    g = torch.Generator().manual_seed(21)
    at = {n: torch.randn(40, generator=g, dtype=torch.complex128).to(getattr(torch, dtype)) for n in "zw"}
    product = b.mul(z, w)
    for step in (
        b.div(product, w),
        b.apply("exp", product),
        b.apply("tanh", product),
        b.emit("abs", (product,), None, (40,), half),
        b.integer_power(product, 3),
    ):
        assert check(b.build({"out": step}), at, step).median() < 1e3


def test_overflow_and_division_by_what_may_be_zero_are_infinite():
    b = Builder()
    x = b.input("x", (), "float16")
    steps = [b.mul(x, x), b.div(b.number(1, "float16"), b.sub(b.sub(b.mul(x, b.number(0, "float16")), x), b.neg(x)))]
    at = {"x": torch.tensor(300.0, dtype=torch.float16)}
    for bound in error_bounds(b.build({"a": steps[0], "b": steps[1]}), at, steps).values():
        assert bound.error == math.inf


# ------------------------------------------------------------------------------------------------ whole programs


def sigmoid_net(dtype: str, m: int = 10, d: int = 3) -> tuple[Program, Program]:
    """w . s(U x) / sqrt(m): by hand, df/dU and df/dw in the post's own formulas; and the model's adjoint, exactly."""
    b = Builder()
    u, w, x = b.input("U", (m, d), dtype), b.input("w", (1, m), dtype), b.input("x", (d, 1), dtype)
    scale = b.div(b.number(1, dtype), b.power(b.number(m, dtype), b.number(sp.Rational(1, 2), dtype)))
    e = b.apply("exp", b.neg(b.reshape(b.matmul(u, x), (m,))))
    below = b.add(b.number(1, dtype), e)
    dw = b.div(scale, below)
    inner = b.div(b.mul(b.mul(b.reshape(w, (m,)), scale), e), b.mul(below, below))
    du = b.transpose(b.matmul(x, b.reshape(inner, (1, m))))
    hand = b.build({"U": du, "w": dw})
    b = Builder()
    u, w, x = b.input("U", (m, d), dtype), b.input("w", (1, m), dtype), b.input("x", (d, 1), dtype)
    h = b.apply("sigmoid", b.matmul(u, x))
    root = b.power(b.number(m, dtype), b.number(sp.Rational(1, 2), dtype))
    f = b.div(b.reshape(b.matmul(w, h), ()), root)
    found = adjoint(b.build({"f": f}), f)
    return hand, found.program.with_outputs({"U": found.of[u], "w": found.of[w]})


def tanh_rnn(dtype: str, steps: int = 2) -> tuple[Program, int]:
    b = Builder()
    h, w, y = b.input("h", (), dtype), b.input("w_h", (), dtype), b.input("w_y", (), dtype)
    for _ in range(steps):
        h = b.apply("tanh", b.mul(w, h))
    program = b.build({"y": b.mul(y, h)})
    found = adjoint(program, program.output)
    return found.program, found.of[w]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sigmoid_net_by_hand_at_many_points(dtype):
    hand, true = sigmoid_net(dtype)
    ratios = []
    for seed in range(40):
        at = {
            "U": draw((10, 3), dtype, seed, 0.5),
            "w": draw((1, 10), dtype, seed + 100),
            "x": draw((3, 1), dtype, seed + 200),
        }
        bounds = error_bounds(hand, at, hand.outputs.values())
        for name in ("U", "w"):
            truth = exact(true, at, true.outputs[name])
            bound = bounds[hand.outputs[name]]
            with precision(BITS):
                low, high = distance(bound.value.reshape(-1), np.asarray(truth).reshape(-1))
            error = bound.error.reshape(-1)
            assert (low <= error).all()
            ratios.append((error / high)[(high > 0) & torch.isfinite(error)])
    assert torch.cat(ratios).median() < 200


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tanh_rnn_adjoint_at_many_points(dtype):
    program, dw = tanh_rnn(dtype)
    ratios = []
    for seed in range(200):
        h, w, y = draw((3,), dtype, seed, 1)
        ratios.append(check(program, {"h": h, "w_h": w, "w_y": y}, dw))
    assert torch.cat(ratios).median() < 200


def test_a_relative_error_of_1e_6_in_float32_is_not_rounding():
    """Planted: the right value times 1 + 1e-6 lies outside the bound, the computed value never does."""
    program, dw = tanh_rnn("float32")
    caught = 0
    for seed in range(200):
        at: dict[str, torch.Tensor] = dict(zip(("h", "w_h", "w_y"), draw((3,), "float32", seed, 0.2)))
        bound = error_bounds(program, at, [dw])[dw]
        truth = exact(program, at, dw)
        with precision(BITS):
            wrong = torch.tensor(float(truth * (1 + ball_of(1e-6))), dtype=torch.float64)
            assert rounding(bound.value, truth, hand_bound=bound.error).hand.within
            caught += not rounding(wrong, truth, hand_bound=bound.error, dtype="float32").hand.within
    assert caught > 60


# ------------------------------------------------------------------------------------------------ distances


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_distance_of_floats_from_balls_is_enclosed_and_hardly_wider_than_it_is(dtype):
    rng = np.random.default_rng(4)
    with precision(300):
        balls = [
            arb(x).sqrt() * arb(2) ** int(k) for x, k in zip(rng.random(400), rng.integers(-300, 300, 400), strict=True)
        ]
        balls += [arb(3) / 7 + arb(0, r) for r in (0.0, 1e-30, 1e-17, 1e-3, 1.0)] + [arb(0), arb(0.5), arb("nan")]
        values = [
            float(b.mid()) * (1 + 2.0 ** -int(k)) for b, k in zip(balls, rng.integers(1, 60, len(balls)), strict=True)
        ]
        floats = torch.tensor(values, dtype=torch.float64).to(dtype)
        low, high = distance(floats, np.array(balls, dtype=object))
        for b, v, below, above in zip(balls, floats.double().tolist(), low.tolist(), high.tolist(), strict=True):
            if not b.is_finite() or not math.isfinite(v):
                assert (below, above) == (0.0, math.inf)
                continue
            far = abs(arb(v) - b)
            assert not arb(below) > far.abs_lower()
            assert not far.abs_upper() > arb(above)
            slack = b.rad() * arb(2) ** -28 + arb(2) ** -1074  # a radius has 30 bits
            assert arb(above) <= far.abs_upper() * (1 + arb(2) ** -50) + slack
            assert arb(below) >= far.abs_lower() * (1 - arb(2) ** -50) - slack


def test_the_least_size_of_a_ball_is_rounded_down():
    with precision(300):
        balls = [
            arb(2).sqrt(),
            -arb(3) / 7,
            arb(1) - arb(2) ** -80,
            arb(1) + arb(2) ** -80,
            arb(1),
            arb(1, 0.25),
            arb(0, 1),
        ]
        sizes = enclosed(np.array(balls, dtype=object)).sizes().tolist()
        for ball, size in zip(balls, sizes, strict=True):
            assert not arb(size) > abs(ball).abs_lower()
            assert arb(size) >= abs(ball).abs_lower() * (1 - arb(2) ** -51)
        assert sizes[2] < 1
        assert sizes[3] == sizes[4] == 1


def test_the_bound_of_a_logsumexp_has_its_shape():
    """A name is given to it, and reads the bound in the result's shape."""
    b = Builder()
    x = b.input("x", (3, 1), "float32")
    named = b.name(b.emit("logsumexp", (x,), 0, (1, 1)), "lse")
    bound = error_bounds(b.build({"y": named}), {"x": torch.tensor([[0.1], [0.2], [0.3]])}, [named])[named]
    assert bound.error.shape == (1, 1)
    assert 0 < bound.error.item() < 1e-5
