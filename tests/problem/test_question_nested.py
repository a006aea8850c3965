"""Parameters in a mapping, a list or a named tuple: each array in it is an input, under the name that code has for it.

The truth is torch's own float64 gradient of the same model at the same point.
"""

from collections import namedtuple

import numpy as np
import pytest
import torch

from symgrad import compare, find_instabilities, gradient, lift, verify
from symgrad.errors import BadInput, UnknownName

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 3))
PARAMS = {"W": RNG.standard_normal((3, 2)), "b": RNG.standard_normal(2)}
LAYERS = [{"W": RNG.standard_normal((3, 4))}, {"W": RNG.standard_normal((4, 2))}]
Dense = namedtuple("Dense", "W b")  # as parameters are often written


def model(params, x):
    return (np.tanh(x @ params["W"] + params["b"]) ** 2).sum()


def right(params, x):
    y = np.tanh(x @ params["W"] + params["b"])
    d = 2 * y * (1 - y**2)
    return {"params": {"W": x.T @ d, "b": d.sum(0)}}


def wrong(params, x):
    y = np.tanh(x @ params["W"] + params["b"])
    d = 2 * y * (1 - y)
    return {"params": {"W": x.T @ d, "b": d.sum(0)}}


def verdicts(report):
    return {name: str(claim.verdict).partition(":")[0] for name, claim in report.claims.items()}


def autograd(layers):
    """torch's gradients for the two layers of `deep`."""
    first, second = (torch.tensor(layer["W"], requires_grad=True) for layer in layers)
    (torch.tanh(torch.as_tensor(X) @ first) @ second).sum().backward()
    return [{"W": first.grad.numpy()}, {"W": second.grad.numpy()}]


def deep(layers, x):
    return (torch.tanh(x @ layers[0]["W"]) @ layers[1]["W"]).sum()


@pytest.mark.parametrize("made", [lambda g: g, lambda g: g["params"], lambda g: {"params": {"b": g["params"]["b"]}}])
def test_gradients_are_built_as_the_parameters_are(made):
    report = verify(model, lambda params, x: made(right(params, x)), at={"params": PARAMS, "x": X})
    assert report.verdict == "proved"
    assert set(report.claims) <= {"params['W']", "params['b']"}


def test_a_wrong_line_is_found_and_both_gradients_are_told():
    report = verify(model, wrong, at={"params": PARAMS, "x": X})
    assert verdicts(report) == {"params['W']": "refuted", "params['b']": "refuted"}
    assert report.wrong_steps == ("d",)
    assert [r.after for r in report.repairs] == ["2 * y * (1 - y**2)"]


def test_a_slip_in_the_returned_mapping_is_shown_there():
    def hand(params, x):
        y = np.tanh(x @ params["W"] + params["b"])
        d = 2 * y * (1 - y**2)
        return {"params": {"W": x.T @ d, "b": d.mean(0)}}

    report = verify(model, hand, at={"params": PARAMS, "x": X})
    assert verdicts(report) == {"params['W']": "proved", "params['b']": "refuted"}
    assert [r.after for r in report.repairs] == ['{"W": x.T @ d, "b": d.sum(0)}']


def test_lists_of_layers_and_numbers_computed_elsewhere():
    at = {"layers": LAYERS, "x": X}
    assert verify(deep, {"layers": autograd(LAYERS)}, at=at, wrt="layers").verdict == "agrees"

    def hand(layers, x):
        h = torch.tanh(x @ layers[0]["W"])
        dy = torch.ones(len(x), 2, dtype=x.dtype)
        dh = dy @ layers[1]["W"].T * (1 - h**2)
        return [{"W": x.T @ dh}, {"W": h.T @ dy}], dh @ layers[0]["W"].T

    assert verify(deep, lambda layers, x: hand(layers, x)[0], at=at).verdict == "proved"
    report = verify(deep, hand, at=at)
    assert verdicts(report) == {"layers[0]['W']": "proved", "layers[1]['W']": "proved", "x": "proved"}


def test_named_tuples_shapes_and_names_of_sizes():
    def affine(p, x):
        return (torch.sigmoid(p.W @ x + p.b)).sum()

    def by_hand(p, x):
        s = torch.sigmoid(p.W @ x + p.b)
        return Dense(torch.outer(s * (1 - s), x), s * (1 - s))

    assert verify(affine, by_hand, at={"p": Dense(torch.ones(2, 3), torch.zeros(2)), "x": (3,)}).verdict == "proved"
    report = verify(
        lambda p, x: (p["W"] @ x).sum(),
        lambda p, x: {"p": {"W": x.expand(p["W"].shape)}},
        at={"p": {"W": ("m", "n")}, "x": ("n",)},
    )
    assert str(report.claims["p['W']"].verdict) == "proved for all m and n"


def test_one_of_them_is_asked_for_by_its_name_and_bounded_by_it():
    roots = {"at": {"p": {"a": 0.5, "c": [2.0, 3.0]}}, "domain": {"p": (0, None)}}
    for name in ("p['a']", 'p["a"]'):
        report = verify(
            lambda p: torch.sqrt(p["a"]) * p["c"].sum(), lambda p: p["c"].sum() / 2 / p["a"].sqrt(), wrt=name, **roots
        )
        assert (report.verdict, list(report.claims)) == ("proved", ["p['a']"])


def test_the_other_verbs_take_them_too():
    at = {"params": PARAMS, "x": X}
    assert list(gradient(model, wrt="params", at=at)) == ["params['W']", "params['b']"]
    assert list(lift(model, at=at).inputs) == ["params['W']", "params['b']", "x"]
    assert compare(model, lambda params, x: np.square(np.tanh(x @ params["W"] + params["b"])).sum(), at=at)
    assert find_instabilities(lambda p: torch.log(1 + torch.exp(p["z"])), at={"p": {"z": 90.0}})


def test_a_module_takes_a_batch():
    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor([0.5, -1.5]))

        def forward(self, batch):
            return ((batch["x"] @ self.w - batch["y"]) ** 2).sum()

    module = Loss()
    at = {"batch": {"x": torch.ones(3, 2), "y": torch.tensor([1.0, 2.0, 4.0])}}
    hand = lambda batch: {"w": 2 * batch["x"].T @ (batch["x"] @ module.w - batch["y"])}  # noqa: E731
    assert verify(module, hand, at=at).verdict == "proved"


def test_two_arguments_that_are_built_alike_are_a_question():
    at = {"p": PARAMS, "q": PARAMS}
    with pytest.raises(BadInput) as caught:
        verify(lambda p, q: (p["W"] * q["W"]).sum(), lambda p, q: {"W": q["W"], "b": 0 * q["b"]}, at=at)
    assert str(caught.value) == (
        "the hand formula gives one set of gradients, and p and q are both built like it.\n"
        "Say which is meant: return {'p': ...}."
    )


def test_formulas_without_such_arguments_say_what_they_have():
    with pytest.raises(UnknownName, match=r"^at has \"p\['a'\]\", but the model has only a\."):
        verify("a**2", "2*a", at={"p": {"a": 0.5}})
