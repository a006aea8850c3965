"""A hand formula may reach into the module for its parameters; a copy of them made outside is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from symgrad import SymgradError, verify

X = np.array([0.3, 0.2, 0.7], dtype=np.float32)


@pytest.fixture
def net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def gradient(W, b, V, x, square=True):
    h = np.tanh(W @ x + b)
    dz = V[0] * (1 - (h**2 if square else h))
    return {"0.weight": np.outer(dz, x), "0.bias": dz}


def hand_of(net, square=True):
    def hand(input):
        W, b = net[0].weight.detach().numpy(), net[0].bias.detach().numpy()
        return gradient(W, b, net[2].weight.detach().numpy(), input, square)

    return hand


@pytest.mark.slow
def test_parameters_that_the_hand_formula_takes_from_the_module_are_its_inputs(net):
    report = verify(net, hand_of(net), at={"input": X})
    assert report.verdict == "proved"
    assert verify(net, hand_of(net, square=False), at={"input": X}).verdict == "refuted"


def test_the_module_is_left_as_it_was(net):
    before = [p.detach().clone() for p in net.parameters()]
    verify(net, hand_of(net), at={"input": X})
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_the_statistics_of_a_module_in_training_are_left_as_they_were():
    """Autograd is run on the module too, and a run in training would move them."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    def hand(input):
        return {"1.bias": np.full(2, len(input), np.float32)}

    before = {name: x.clone() for name, x in net.state_dict().items()}
    rows = np.array([[0.3, 0.2], [0.7, -1.0], [0.5, 2.0]], dtype=np.float32)
    report = verify(net, hand, wrt="1.bias", at={"input": rows})
    assert report.verdict == "proved"
    assert report.claims["1.bias"].autograd_value.tolist() == [3, 3]
    assert report.table().ways[1].values["autograd"].tolist() == [3, 3]
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())


def test_a_copy_made_outside_is_refused_and_the_line_is_shown(net):
    W = net[0].weight.detach().numpy().copy()

    def hand(input):
        return gradient(W, net[0].bias.detach().numpy(), net[2].weight.detach().numpy(), input)

    with pytest.raises(SymgradError, match=r"uses a copy of 0\.weight that was made outside of it") as caught:
        verify(net, hand, at={"input": X})
    assert "np.tanh(W @ x + b)" in str(caught.value)
