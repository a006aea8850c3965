"""What is recorded past torch's modes is the record that they would have written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from symgrad import verify_script
from symgrad.lifting.tracing import direct_operations
from symgrad.lifting.tracing.direct_operations import ROWS, DirectOperations
from symgrad.lifting.tracing.functions import Function, Run

POINT = {"x": np.array([0.3, -0.7]), "y": np.array([[0.2, 0.9], [0.4, 0.6]]), "s": np.array(0.625)}


def records(monkeypatch, function, point=POINT, dtypes="float64", **options) -> tuple[Run, Run]:
    """One function followed directly, and through torch's modes alone."""
    formula = Function.of(function, **options)
    given = {n: point[n] for n in formula.names}
    direct = formula.run(given, dtypes)
    with monkeypatch.context() as patch:
        patch.setattr(DirectOperations, "_may", lambda self: False)
        return direct, formula.run(given, dtypes)


def told(run: Run) -> list[tuple]:
    return [(s.op, s.args, str(_plain(s.params)), s.shape, s.dtype, s.source) for s in run.program.steps]


def _plain(params):
    return (params.value.tolist(), params.exact, params.radius) if hasattr(params, "radius") else params


def check(direct: Run, through: Run) -> None:
    assert told(direct) == told(through)
    assert direct.program.bindings == through.program.bindings
    assert direct.program.outputs == through.program.outputs
    for name, value in through.values.items():
        assert np.array_equal(direct.values[name], value, equal_nan=True)


# ------------------------------------------------------------------------------------------------ the same record


def arithmetic(x, y, s):
    a = x * y + s
    b = 1 - a / 3
    return ((b - 0.5 * x) ** 2 + s**-1 + (2 + s) ** 0.5).sum()


def reciprocals(x, s):
    return (1 / x + 2**s + x**s + s / x).sum()


def two_sizes(x, y):
    return (y - x) / (x * 2) + 0 * y + -x


def bound_again(x):
    h = torch.tanh(x)
    g = h
    h = h * g
    return {"x": h, "y": g}


def written_into(x):
    out = x * 1
    out[0] = out[1] * 2
    part = out[0]
    out *= 3
    return (out * part).sum()


def cut(x):
    with torch.no_grad():
        a = x * 2
    return (a * x + (x * x).detach()).sum()


def methods(x, s):
    return (x.tanh() * s.sigmoid() + torch.exp(x).log1p()).sum()


def data_alone(x):
    c = torch.ones_like(x) / 3
    return (c * x + torch.tensor([0.1, 0.2], dtype=x.dtype)).sum()


def whole_numbers(x):
    n = torch.tensor([1, 2])
    return (x * n + True * x).sum()


def chosen(x):
    return (torch.where(x > 0, x * 2, x**2) + torch.abs(x) * torch.sign(x)).sum()


def views(x, y):
    row = y[0] * x
    turned = y.T * 2
    return (turned + row).reshape(-1) * 0.1


FUNCTIONS = [arithmetic, reciprocals, two_sizes, bound_again, written_into, cut, methods, data_alone]
FUNCTIONS += [whole_numbers, chosen, views]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_the_record_is_the_same(monkeypatch, function, dtype):
    check(*records(monkeypatch, function, dtypes=dtype))


@pytest.mark.parametrize("stops", [False, True])
def test_what_no_grad_cuts_is_cut(monkeypatch, stops):
    check(*records(monkeypatch, cut, stops=stops))


@pytest.mark.parametrize("kinds", [{"x": "float32", "y": "float64", "s": "float32"}, {"x": "complex64"}])
def test_dtypes_that_meet_are_promoted_as_torch_does(monkeypatch, kinds):
    check(*records(monkeypatch, two_sizes, dtypes={"x": "float64", "y": "float64", **kinds}))


@pytest.mark.parametrize("function", ROWS, ids=lambda f: f.__name__)
def test_each_function_of_torch_is_one_step(monkeypatch, function):
    point = {"x": np.array([0.3, 0.7]) + (1.0 if function.__name__ == "acosh" else 0.0)}
    direct, through = records(monkeypatch, lambda x: function(x) * 1.5, point)
    check(direct, through)


def test_complex_values_go_through_the_modes(monkeypatch):
    point = {"z": np.array([1.0 + 2.0j, 0.5 - 1.0j])}
    check(*records(monkeypatch, lambda z: (z * z.conj() + 2 * z).imag * 3, point, "complex128"))


def test_most_of_a_loop_is_recorded_directly(monkeypatch):
    entered = []
    before = direct_operations.DirectOperations.arithmetic

    def see(self, *args):
        out = before(self, *args)
        entered.append(out is not NotImplemented)
        return out

    monkeypatch.setattr(DirectOperations, "arithmetic", see)

    def loop(x, s):
        h = x
        for _ in range(5):
            h = torch.tanh(s * h) + (1 - h**2)
        return h.sum()

    Function.of(loop).run({"x": POINT["x"], "s": POINT["s"]})
    assert entered == [True] * 20


# ------------------------------------------------------------------------------------------------ other modes


class Doubling(TorchFunctionMode):
    """What someone's own mode may do to a product."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return out + out if func is torch.Tensor.mul else out


def test_a_mode_of_the_code_itself_is_obeyed(monkeypatch):
    def model(x):
        with Doubling():
            return (x * x).sum()

    check(*records(monkeypatch, model))


def test_autocast_in_the_code_is_obeyed(monkeypatch):
    def model(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return torch.tanh(x @ x * 2)

    check(*records(monkeypatch, model, dtypes="float32"))


def test_what_has_no_hash_is_called(monkeypatch):
    class Twice:
        __hash__ = None

        def __call__(self, x):
            return x + x

    twice = Twice()
    check(*records(monkeypatch, lambda x: twice(x).sum() * 2))


def test_a_script_declares_what_requires_a_gradient_where_it_is_used_first():
    report = verify_script(
        "import torch\nw = torch.tensor(2.0, requires_grad=True)\ny = torch.tanh(3 * w)\ny.backward()\n"
        "dw = 3 * (1 - torch.tanh(3 * w)**2)\nprint(w.grad, dw)\n"
    )
    assert report.verdict == "proved"
