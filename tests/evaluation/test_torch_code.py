"""Torch functions made of formulas and Programs, against mpmath at 40 digits and against torch's own derivatives."""

import math
import re

import mpmath
import numpy as np
import pytest
import sympy as sp
import torch
from support.adjoints import adjoint

from symgrad.errors import BadInput, SymgradError, UnknownName, UnknownOperation, WrongShape
from symgrad.evaluation.torch_code import TorchFunction, call, folded, source
from symgrad.lifting.text.text_formula import Text
from symgrad.ops.row import X, Y
from symgrad.ops.scalars import OPS
from symgrad.ops.special import SPECIAL
from symgrad.program.builder import Builder
from symgrad.program.derivative import local_derivative
from symgrad.program.expressions import Expression

x, y = sp.symbols("x y", real=True)
F64 = torch.float64


def tensor(*values, dtype=F64):
    return torch.tensor(values, dtype=dtype)


def truth(formula, **at):
    """The value at exact binary points, in 40 digits; None where it is not a real number."""
    symbols = sorted(formula.free_symbols, key=str)
    with mpmath.workdps(40):
        try:
            value = sp.lambdify(symbols, formula, "mpmath")(*(mpmath.mpf(at[s.name]) for s in symbols))
        except (ZeroDivisionError, ValueError):
            return None
    return None if isinstance(value, mpmath.mpc) and value.imag else mpmath.re(value)


def function_of(formula, **at):
    """The torch function of a formula, on the branch that it takes at a point."""
    return TorchFunction(Expression(formula).run(at))


def assert_right(found, expected, scale, u=2.0**-53, label=""):
    """Within 4096 units of the value's own conditioning: a wrong formula is off by some 10**12 of these."""
    assert abs(mpmath.mpf(float(found)) - expected) <= 4096 * u * scale, (label, float(found), expected)


def scale_of(formula, value, at):
    """|f| + sum |x df/dx|: what one rounding of an input or of the result does."""
    total = abs(value)
    for s in formula.free_symbols:
        with mpmath.workdps(40):
            h = mpmath.mpf(2) ** -60
            beside = truth(formula, **{**at, s.name: mpmath.mpf(at[s.name]) + h})
        if beside is not None:
            total += abs((beside - value) / h * at[s.name])
    return total + mpmath.mpf(2) ** -60


# ------------------------------------------------------------------------------------------------ a hundred formulas

ROWS = [name for name, op in OPS.items() if not op.branches and op not in SPECIAL and name != "erfinv"]
POINTS = [(0.3, 0.7), (-0.6, 0.45), (1.75, 2.5), (0.9375, 3.0)]


@pytest.mark.parametrize("name", ROWS)
def test_every_rows_exact_column_and_its_slopes(name):
    op = OPS[name]
    args = [X, Y][: op.arity]
    for formula in (op.exact, *(local_derivative(name, k) for k in range(op.arity))):
        f = function_of(formula, **{a.name: 0.3 for a in args})
        checked = 0
        for px, py in POINTS:
            at = dict(zip(("X", "Y"), (px, py)))
            if op.domain is not sp.true and op.domain.subs({X: sp.Rational(px), Y: sp.Rational(py)}) != sp.true:
                continue
            value = truth(formula, **at)
            if value is None:
                continue
            found = f(**{n: at[n] for n in f.names})
            assert_right(found, value, scale_of(formula, value, at), label=formula)
            checked += 1
        assert checked >= 1


NESTED = [
    sp.sqrt(2) * x,
    sp.sin(1) * x + 2 ** sp.Rational(1, 3) * y,
    x * sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi),
    x / 3 + y / 7,
    sp.log(1 + sp.exp(x)) - y,
    1 / (1 + sp.exp(-x * y)) ** 3,
    sp.exp(-2 * x) / (1 + sp.exp(-x)) ** 2,
    sp.tanh(x * sp.tanh(y * sp.tanh(x + y))),
    sp.diff(sp.tanh(x * sp.tanh(y * sp.tanh(x + y))), x, y),
    sp.diff(sp.log(1 + sp.exp(x * y)), x, 2),
    sp.sec(x) + sp.cot(y) + sp.csch(x) + sp.sech(y) + sp.coth(x) + sp.csc(y),
    sp.acot(x) + sp.asec(y + 2) + sp.acsch(x) + sp.asech(y / 4),
    sp.erfc(x) / sp.erf(y) + sp.gamma(x + 1) * sp.loggamma(y),
    sp.polygamma(1, x) + sp.polygamma(3, y) + sp.digamma(x + y),
    sp.besseli(0, x) + sp.besseli(1, y) + sp.sinc(x),
    sp.besseli(2, y) * x,
    sp.beta(x, y) + sp.factorial(x) + sp.erfinv(x / 4),
    x**y + y**x + x**-2 + x ** sp.Rational(-3, 2) + sp.cbrt(y),
    sp.Max(x, y, sp.Rational(1, 2)) * sp.Min(x, 1) + sp.Abs(x - y),
    sp.Piecewise((sp.Rational(1, 3), x > 1), (sp.Rational(2, 3), True)) * y,
    sp.Piecewise((x**2, sp.And(x > 0, y < 1)), (sp.sin(x), sp.Or(x < -1, sp.Not(y > 2))), (y, True)),
    sp.Heaviside(x - 1) * x + sp.sign(y) * sp.log(x),
    sp.log(x, 10) + sp.atan2(y, x) + sp.expand_log(sp.log(x * y), force=True),
    (x + y) / (x - 5 * y) - 1 / (1 + x**2),
    sp.exp(x) / (sp.exp(x) + sp.exp(y)),
    sp.pi * x + sp.E * y + sp.EulerGamma + sp.GoldenRatio + sp.Catalan,
]


@pytest.mark.parametrize("formula", NESTED, ids=str)
def test_nested_formulas_and_their_derivatives(formula):
    slopes = [sp.diff(formula, v).replace(sp.DiracDelta, lambda *a: sp.Integer(0)) for v in (x, y)]
    for px, py in [(0.3, 0.7), (1.75, 2.5), (0.9375, 0.4375)]:
        at = {"x": px, "y": py}
        for wanted in (formula, *slopes):
            value, f = truth(wanted, **at), function_of(wanted, **at)
            assert value is not None
            assert_right(f(**{n: at[n] for n in f.names}), value, scale_of(wanted, value, at), label=wanted)


# torch's own derivative of digamma, polygamma(1, x), errs in the tenth digit, so it cannot judge formulas with one
# and values that are rounded from balls have none in torch
@pytest.mark.parametrize("formula", [f for f in NESTED if not f.has(sp.polygamma, sp.besseli(2, y))], ids=str)
def test_torch_differentiates_the_function_to_sympys_derivative(formula):
    at = {"x": 1.75, "y": 2.5}
    f = function_of(formula, **at)
    leaves = {n: tensor(*[at[n]]).requires_grad_() for n in f.names}
    f(**leaves).sum().backward()
    for name, leaf in leaves.items():
        slope = sp.diff(formula, sp.Symbol(name, real=True)).replace(sp.DiracDelta, lambda *a: 0)
        mine = float(truth(slope, **at))
        assert (0.0 if leaf.grad is None else leaf.grad.item()) == pytest.approx(mine, rel=1e-11, abs=1e-13)


def test_what_is_rounded_from_balls_is_not_differentiated_in_silence():
    value = function_of(sp.besseli(2, y), y=2.5)(y=tensor(2.5).requires_grad_())
    with pytest.raises(UnknownOperation, match=r"torch has no derivative of a special function.*"):
        value.sum().backward()


def test_a_wrong_formula_is_seen():
    """The comparison above can fail: one part in 10**9 is enough."""
    formula = sp.tanh(x) * (1 + sp.Rational(1, 10**9))
    value = truth(sp.tanh(x), x=0.3)
    with pytest.raises(AssertionError):
        assert_right(function_of(formula, x=0.3)(0.3), value, scale_of(sp.tanh(x), value, {"x": 0.3}))


# --------------------------------------------------------------------------------------------- what lambdify gets wrong


def test_constants_are_one_correctly_rounded_double():
    for number, expected in [
        (sp.sqrt(2), math.sqrt(2)),
        (sp.sin(1), math.sin(1)),
        (1 / sp.sqrt(10), float(sp.N(1 / sp.sqrt(10), 40))),
        (sp.sqrt(2 * sp.pi) * sp.exp(-1) / 3, float(sp.N(sp.sqrt(2 * sp.pi) * sp.exp(-1) / 3, 40))),
    ]:
        program = Expression(number).run({})
        assert float(folded(program, list(range(len(program))))[program.output]) == expected
        assert function_of(number * x, x=1.0)(1.0).item() == expected


def test_a_third_is_a_division():
    values = torch.arange(1, 1000, dtype=torch.float32)
    assert torch.equal(function_of(x / 3, x=1.0)(values), values / 3)
    assert not torch.equal(values * (1 / 3), values / 3)


def test_constants_follow_the_batch():
    b = Builder()
    i = b.input("x", ())
    program = b.build({"one": b.number(1), "square": b.mul(i, i)})
    found = call(program, torch.zeros(3, 2, dtype=torch.float32))
    assert found["one"].shape == found["square"].shape == (3, 2)
    assert found["one"].dtype == torch.float32


@pytest.mark.parametrize(
    "name", ["exp", "torch", "lambda", "import os", "_symgrad_like", "None", "x0", "v1", "like", "λ", "a.b"]
)
def test_no_name_shadows_anything(name):
    s = sp.Symbol(name)
    f = function_of(s * sp.exp(s) + sp.tanh(s), **{name: 0.5})
    assert f(0.5).item() == pytest.approx(0.5 * math.exp(0.5) + math.tanh(0.5), rel=1e-15)
    assert f(**{name: 0.5}).item() == f(0.5).item()
    assert all(re.fullmatch(r"[xv]\d+|_symgrad_like", n) for n in f.compiled.__code__.co_varnames)
    space: dict = {}
    exec(source(f.program), space)
    assert space["function"](tensor(0.5)).item() == f(0.5).item()


@pytest.mark.parametrize(
    "formula",
    [
        sp.Derivative(sp.floor(x), x),
        sp.Subs(sp.Derivative(sp.Function("f")(x), x), x, 1),
        sp.Integral(sp.exp(-(x**2)), (x, 0, y)),
        sp.DiracDelta(x),
        sp.dirichlet_eta(x),
        sp.Function("f")(x),
    ],
    ids=str,
)
def test_what_has_no_torch_form_is_refused(formula):
    with pytest.raises(UnknownOperation):
        function_of(formula, x=0.3, y=0.7)


def test_arguments():
    f = function_of(x * y, x=1.0, y=1.0)
    with pytest.raises(UnknownName, match="no value is given for 'y'"):
        f(1.0)
    with pytest.raises(UnknownName, match="'z' is not an input"):
        f(1.0, z=2)
    with pytest.raises(BadInput, match="given twice"):
        f(1.0, 2.0, x=1.0)
    with pytest.raises(BadInput, match="is a str"):
        f(1.0, "2")


# ---------------------------------------------------------------------------------------------- shapes, dtypes, devices


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_result_has_the_inputs_dtype(dtype):
    f = function_of(sp.gamma(x) * sp.erfc(x) / 3 + sp.polygamma(1, x), x=1.5)
    exact = f(tensor(1.5, 2.5))
    found = f(tensor(1.5, 2.5, dtype=dtype))
    assert found.dtype == dtype
    assert ((found.double() - exact).abs() <= 8 * torch.finfo(dtype).eps * exact.abs()).all()


def test_dtypes_are_promoted_once():
    f = function_of(x * y / 3, x=1.0, y=1.0)
    assert f(tensor(1.0, dtype=torch.float32), torch.tensor(2.0, dtype=F64)).dtype == F64
    assert f(tensor(1.0, dtype=torch.float32), 2).dtype == torch.float32
    assert f(1, 2).dtype == F64
    assert f(torch.tensor([1, 2]), 1).dtype == torch.get_default_dtype()
    assert f(tensor(1.0, dtype=torch.complex64), 2.0).dtype == torch.complex64
    assert f(np.ones(2, dtype=np.float32), 2.0).dtype == torch.float32


def test_complex_inputs():
    z = torch.tensor([0.3 + 0.4j], dtype=torch.complex128)
    found = function_of(sp.exp(x) * sp.tanh(x) / (1 + x**2) + sp.I * x, x=0.3)(z)
    torch.testing.assert_close(found, z.exp() * z.tanh() / (1 + z**2) + 1j * z, rtol=1e-14, atol=0)


def test_inputs_on_two_devices_are_refused():
    f = function_of(x * y + sp.pi, x=1.0, y=1.0)
    assert f(torch.ones(2, device="meta"), 3.0).device.type == "meta"
    with pytest.raises(BadInput, match="x on cpu, y on meta"):
        f(torch.ones(2), torch.ones(2, device="meta"))


def test_scalars_broadcast():
    f = function_of(sp.atan2(y, x) + x, x=0.5, y=0.5)
    a, b = torch.rand(4, 1, 3, dtype=F64), torch.rand(5, 1, dtype=F64)
    torch.testing.assert_close(f(a, b), torch.atan2(b, a) + a, rtol=1e-14, atol=0)
    assert f(torch.rand(0, 3), 1.0).shape == (0, 3)
    with pytest.raises(WrongShape, match="cannot be broadcast"):
        f(torch.rand(2), torch.rand(3))


A, V = sp.MatrixSymbol("A", 3, 3), sp.MatrixSymbol("v", 3, 1)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (A.T * A + sp.sqrt(2) * sp.Identity(3), lambda A, v: A.mT @ A + 2**0.5 * torch.eye(3, dtype=F64)),
        (A.I * V, lambda A, v: torch.linalg.solve(A, v)),
        (
            sp.log(sp.Determinant(A) ** 2) + sp.Trace(A),
            lambda A, v: 2 * torch.logdet(A.mT @ A) / 2 + A.diagonal(0, -2, -1).sum(-1),
        ),
        (A.applyfunc(sp.tanh) * V, lambda A, v: A.tanh() @ v),
        (sp.Matrix([[A[0, 1], 1], [sp.pi, A[2, 2] * V[1, 0]]]), None),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_tensors_and_batches_of_them(formula, expected):
    compiled = function_of(formula, A=np.eye(3), v=np.ones((3, 1)))

    def f(A, v):
        return compiled(**{n: x for n, x in (("A", A), ("v", v)) if n in compiled.names})

    a = torch.eye(3, dtype=F64) + torch.rand(2, 5, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(0)) / 3
    v = torch.rand(5, 3, 1, dtype=F64)
    batched = f(a, v)
    for i in range(2):
        for j in range(5):
            torch.testing.assert_close(batched[i, j], f(a[i, j], v[j]), rtol=1e-12, atol=1e-14)
    if expected is not None:
        torch.testing.assert_close(batched, expected(a, v.expand(2, 5, 3, 1)), rtol=1e-12, atol=1e-13)
    shared = f(a, v[0])
    torch.testing.assert_close(shared[1, 4], f(a[1, 4], v[0]), rtol=1e-12, atol=1e-14)
    with pytest.raises(WrongShape, match=r"'A' has the shape \[3, 2\]"):
        f(torch.rand(3, 2), v)
    space: dict = {}
    exec(source(compiled.program), space)
    torch.testing.assert_close(
        space["function"](*({"A": a[0, 0], "v": v[0]}[n] for n in compiled.names)), f(a[0, 0], v[0]), rtol=0, atol=0
    )


def test_scalars_in_a_matrix_batch_too():
    f = function_of(sp.Matrix([[sp.cos(x), -sp.sin(x)], [sp.sin(x), sp.cos(x)]]), x=0.5)
    assert f(torch.zeros(7, 3)).shape == (7, 3, 2, 2)
    assert f(torch.zeros(0)).shape == (0, 2, 2)


# ------------------------------------------------------------------------------------------------ Programs


def chain(depth):
    b = Builder()
    i, w = b.input("x", ()), b.input("w", ())
    h = i
    for _ in range(depth):
        h = b.apply("tanh", b.add(b.mul(w, h), i))
    return b.build({"value": h})


@pytest.mark.slow
def test_a_chain_a_thousand_deep():
    program = chain(1000)
    h = at = tensor(0.5, -0.1).requires_grad_()
    for _ in range(1000):
        h = torch.tanh(0.3 * h + at)
    assert torch.equal(call(program, x=at.detach(), w=0.3), h.detach())
    h.sum().backward()
    both = adjoint(program, program.output)
    slope = both.program.with_outputs({"slope": both.of[program.inputs["x"]]})
    torch.testing.assert_close(call(slope, x=at.detach(), w=0.3), at.grad, rtol=1e-14, atol=0)


def test_gradients_of_tensor_programs_map_over_batches():
    """Every structural step, through the adjoint of attention-like code."""
    b = Builder()
    q, k = b.input("q", (4, 3)), b.input("k", (5, 3))
    scores = b.div(b.matmul(q, b.transpose(k)), b.apply("sqrt", b.number(3)))
    weights = b.emit("softmax", (scores,), 1, (4, 5))
    picked = b.pick([weights, k], np.array([1, 0, 7, 7, 20, 21, 35]), (7,))
    total = b.add(b.sum(b.mul(picked, picked)), b.sum(b.emit("logsumexp", (scores,), 0, (1, 5))))
    program = b.build({"value": b.mul(total, b.number(sp.sqrt(2)))})
    both = adjoint(program, program.output)
    slopes = both.program.with_outputs({n: both.of[i] for n, i in program.inputs.items()})
    rng = torch.Generator().manual_seed(1)
    batch = [torch.rand(6, *s, dtype=F64, generator=rng).requires_grad_() for s in ((4, 3), (5, 3))]

    def model(q, k):
        scores = q @ k.T / 3**0.5
        weights = torch.softmax(scores, 1)
        flat = torch.cat([torch.zeros(1, dtype=F64), weights.reshape(-1), k.reshape(-1)])
        picked = flat[[1, 0, 7, 7, 20, 21, 35]]
        return ((picked**2).sum() + torch.logsumexp(scores, 0).sum()) * 2**0.5

    expected = torch.stack([model(a, c) for a, c in zip(*batch)])
    torch.testing.assert_close(call(program, *batch), expected, rtol=1e-13, atol=0)
    expected.sum().backward()
    found = call(slopes, *(t.detach() for t in batch))
    for name, leaf in zip(("q", "k"), batch):
        torch.testing.assert_close(found[name], leaf.grad, rtol=1e-12, atol=1e-14)
    space: dict = {}
    exec(source(slopes), space)
    for mine, leaf in zip(space["function"](*(t.detach()[2] for t in batch)), batch):
        torch.testing.assert_close(mine, leaf.grad[2], rtol=1e-12, atol=1e-14)


def test_functions_work_under_vmap_and_grad():
    f = function_of(sp.tanh(x) * x, x=0.5)
    points = tensor(-1.0, 0.5, 2.0)
    expected = points.tanh() + points / points.cosh() ** 2
    torch.testing.assert_close(torch.vmap(torch.func.grad(f))(points), expected, rtol=1e-14, atol=0)


def test_the_source_is_readable():
    program = Text("w*tanh(x)**2/3 + 1").run({"w": 1.0, "x": 1.0})
    assert source(program) == (
        "import torch\n"
        "\n"
        "def function(w, x):\n"
        "    v1 = torch.tanh(x)\n"
        "    v2 = v1**2\n"
        "    v3 = w * v2\n"
        "    v4 = v3 / 3\n"
        "    v5 = v4 + 1\n"
        "    return v5"
    )


def test_an_unknown_step_is_an_error():
    b = Builder()
    i = b.input("x", ())
    with pytest.raises(SymgradError, match="has no torch spelling"):
        TorchFunction(b.build({"value": b.emit("mystery", (i,), None, ())}))


def test_gamma_has_a_derivative_everywhere():
    at = tensor(-1.5, -0.25, 0.3, 1.0, 2.0, 5.5).requires_grad_()
    function_of(sp.gamma(x), x=0.3)(at).sum().backward()
    for found, point in zip(at.grad, at, strict=True):
        assert float(found) == pytest.approx(float(truth(sp.gamma(x) * sp.digamma(x), x=point.item())), rel=1e-12)


def test_polygamma_has_all_its_digits():
    """torch.polygamma(1, x) errs by 1e-10; printed as a zeta function it does not."""
    for n in (1, 2, 5):
        for at in (0.3, 1.75, 40.0):
            expected = float(mpmath.psi(n, mpmath.mpf(at)))
            assert function_of(sp.polygamma(n, x), x=at)(at).item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if op not in SPECIAL and n != "prelu"])
def test_every_row_maps_over_batches(name):
    """torch.vmap warns (and the warning is an error here) where it has no rule for a kernel."""
    b = Builder()
    args = [b.input(n, (2,)) for n in ("x", "y")[: OPS[name].arity]]
    program = b.build({"value": b.apply(name, *args)})
    values = [torch.tensor([[1.25, 1.5], [1.75, 2.0], [2.25, 2.5]], dtype=F64) / (4 if OPS[name].arity == 2 else 2)]
    values += [torch.full((2,), 0.75, dtype=F64)] * (OPS[name].arity - 1)
    batched = call(program, *values)
    for k in range(3):
        torch.testing.assert_close(batched[k], call(program, values[0][k], *values[1:]), equal_nan=True)


@pytest.mark.parametrize("at", [-30.0, -1.5, -1.0, -0.5, 0.0, 2.0, 9.0])
def test_log_ndtr_has_its_digits_on_both_sides(at):
    f = function_of(OPS["log_ndtr"].exact, X=at)
    b = Builder()
    program = b.build({"value": b.apply("log_ndtr", b.input("x", ()))})
    with mpmath.workdps(60):
        expected = float(mpmath.log(mpmath.erfc(-mpmath.mpf(at) / mpmath.sqrt(2)) / 2))
        slope = float(mpmath.npdf(at) / mpmath.ncdf(at))
    assert call(program, at).item() == pytest.approx(expected, rel=1e-13)
    assert at < -5 or f(at).item() == pytest.approx(expected, rel=1e-13, abs=1e-16)
    leaf = tensor(at).requires_grad_()
    call(program, leaf).sum().backward()
    assert leaf.grad.item() == pytest.approx(slope, rel=1e-11)
