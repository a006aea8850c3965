"""gradient and lift: the exact derivative as text, as a Program and as a function."""

from __future__ import annotations

import pytest
import sympy as sp
import torch
from support.html_page import Page
from support.networks import POINT, net, rnn

from symgrad import compare, find_instabilities, gradient, lift
from symgrad.program.program import Program

W, X = sp.symbols("w x", real=True)


def test_gradient_is_printed_read_and_called():
    g = gradient("w*tanh(w*x)", wrt="x")["x"]
    assert sp.simplify(g.sympy - W**2 * sp.sech(W * X) ** 2).rewrite(sp.exp).simplify() == 0
    w, x = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor(0.25, dtype=torch.float64)
    assert g(w=w, x=x).numpy() == pytest.approx((w**2 / torch.cosh(w * x) ** 2).numpy(), rel=1e-14)
    assert "w**2" in str(g)
    assert "torch.tanh" in g.code


def test_gradient_of_a_module_equals_autograd():
    module, at = net(5)
    found = gradient(module, at=at)
    module(torch.tensor(at["x"])).backward()
    inputs = {name: p.detach() for name, p in module.named_parameters()}
    for name, p in module.named_parameters():
        value = found[name](**{n.replace(".", "_"): v for n, v in inputs.items()}, x=torch.tensor(at["x"]))
        assert value.numpy() == pytest.approx(p.grad.numpy(), rel=1e-5)


def test_lift_shows_what_was_computed():
    program = lift(rnn, at=POINT)
    assert isinstance(program, Program)
    assert [s.op for s in program.steps if s.op == "tanh"] == ["tanh", "tanh"]
    assert [b.name for b in program.bindings] == ["h1"]
    assert set(program.inputs) == {"w_h", "w_y", "h0"}


# ------------------------------------------------------------------------------------------------ in a notebook


def test_a_notebook_typesets_gradients_and_formulas_that_were_read():
    found = gradient("w*tanh(w*x)", wrt="x")
    assert found["x"]._repr_latex_().startswith(r"$\frac{\partial f}{\partial x} = ")
    assert found._repr_latex_() == found["x"]._repr_latex_()
    assert lift("x**2/y")._repr_latex_() == r"$\frac{x^{2}}{y}$"
    assert type(lift("x")).__mro__[1] is Program


def test_a_notebook_typesets_derivatives_for_all_sizes():
    found = gradient(lambda x, y: torch.tanh(x) @ y, at={"x": ("n",), "y": ("n",)})
    left, right = found["y"]._repr_latex_().strip("$").split(" = ")
    assert left == r"\frac{\partial f}{\partial y_{i}}"
    assert right == r"\tanh{\left(x_{i} \right)}"
    assert found._repr_latex_() == f"{found['x']._repr_latex_()}\n\n{found['y']._repr_latex_()}"


def test_a_notebook_typesets_a_comparison():
    assert compare("x**2", "x*x")._repr_markdown_() == "**proved**"
    assert compare("x**2", "x**3")._repr_markdown_() == "**refuted**: `at x = 2: 8, not 4`"


def test_a_notebook_typesets_instabilities():
    all_ = find_instabilities("log(1 + exp(x))")
    found = all_[0]
    assert all(one._repr_html_().split("</style>")[1].removesuffix("</div>") in all_._repr_html_() for one in all_)
    assert "No input was found" in find_instabilities("x - y")._repr_html_()
    words = "".join("".join(Page(found._repr_html_()).words).split())
    for word in str(found).replace("^", "").split():
        assert word.strip(":") in words
