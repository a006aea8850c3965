"""What a script's text tells before it is run."""

import ast
import textwrap

import pytest

from symgrad.lifting.scripts.cues import is_cotangent, is_gradient, is_loss, names_gradient, read_cues


def cues_of(text):
    return read_cues(ast.parse(textwrap.dedent(text)))


@pytest.mark.parametrize("name", ["loss", "J", "self.cost", "total_loss", "mse", "losses", "log_likelihood", "E"])
def test_names_of_what_is_differentiated(name):
    assert is_loss(name)


@pytest.mark.parametrize("name", ["W", "hidden", "grads['W']", "epoch", "lossless", "predicted"])
def test_names_that_are_no_losss(name):
    assert not is_loss(name)


@pytest.mark.parametrize(
    "name", ["dW", "grad_b", "W_grad", "grads['W1']", "self.dW1", "delta2", "nabla_w", "dl_dw", "dscores"]
)
def test_names_of_gradients(name):
    assert is_gradient(name)


@pytest.mark.parametrize("name", ["X_data", "y_dev", "n_dim", "diff", "train_dataset", "done", "hidden", "x_decoded"])
def test_names_that_only_have_a_d_in_them(name):
    assert not is_gradient(name)


@pytest.mark.parametrize(
    ("gradient", "of", "says"),
    [
        ("dW1", "W1", True),
        ("self.dW1", "self.W1", True),
        ("grads['W1']", "params['W1']", True),
        ("D_m", "m", True),
        ("dL_dw", "w", True),
        ("W2grad", "W2", True),
        ("dW1", "W2", False),
        ("W1", "W1", False),
        ("hidden", "W1", False),
    ],
)
def test_whose_gradient_a_name_says(gradient, of, says):
    assert names_gradient(gradient, of) == says


def test_cotangents_have_names_too():
    assert is_cotangent("dout")
    assert is_cotangent("grad_output")
    assert not is_cotangent("dW")


@pytest.mark.parametrize(
    "statement",
    ["w -= lr*g", "w = w - lr*g", "w += -lr*g", "p['w'] -= lr*g['w']", "self.w = self.w - lr*g", "w[0] = w[0] - lr*g"],
)
def test_spellings_of_an_update(statement):
    assert len(cues_of(statement).updates) == 1


@pytest.mark.parametrize("statement", ["i += 1", "x[k] += h", "x[k] += 1e-5", "w = v - lr*g", "w = lr*g"])
def test_what_is_no_update(statement):
    assert cues_of(statement).updates == {}


def test_plain_numbers_that_may_be_inputs_are_followed():
    found = cues_of("""
        m = 0.5
        h = 1e-6
        for i in range(9):
            dm = 2*m
            m = m - 0.1*dm
        print((f(m + h) - f(m))/h)
    """).followed
    assert {"m", "dm"} <= found
    assert not {"h", "i"} & found


def test_what_is_passed_for_a_followed_argument_is_followed():
    found = cues_of("""
        def quotient(f, v, i, h):
            w = [x + (h if j == i else 0) for j, x in enumerate(v)]
            return (f(w) - f(v))/h
        theta = [0.1, 0.2]
        quotient(total, theta, 0, 1e-6)
    """).followed
    assert {"v", "theta"} <= found


def test_a_class_of_numbers_that_know_their_gradient():
    cues = cues_of("""
        class Value:
            def __init__(self, data):
                self.data = data
                self.grad = 0.0
    """)
    assert cues.engine == ("self.grad", "self.data")
