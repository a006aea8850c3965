"""Operators of other libraries and custom functions inside of a formula: what their kernels compute is followed, and
nothing in a kernel cuts, for autograd does not look there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import symgrad

LIBRARY = torch.library.Library("symgrad_kernels", "FRAGMENT")


def by_numpy(x):
    return torch.tensor(x.detach().numpy() ** 3)


@torch.library.custom_op("symgrad_kernels::cube", mutates_args=())
def cube(x: torch.Tensor) -> torch.Tensor:
    return by_numpy(x)


@torch.library.custom_op("symgrad_kernels::parts", mutates_args=())
def parts(x: torch.Tensor) -> tuple[list[torch.Tensor], int]:
    return [part.clone() for part in torch.split(x**3, 1)], 1


for name, key in (("on_cpu", "CPU"), ("anywhere", "CompositeExplicitAutograd")):
    LIBRARY.define(f"{name}(Tensor x) -> Tensor")
    torch.library.impl(LIBRARY, name, key)(by_numpy)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        with torch.no_grad():
            return x.detach() ** 3

    @staticmethod
    def backward(ctx, grad):
        return grad.neg()  # the exact derivative is forward's


MODELS = {
    "custom_op": lambda x: cube(x).sum(),
    "several results": lambda x: torch.cat(parts(x)[0]).sum(),
    "a kernel for one device": lambda x: torch.ops.symgrad_kernels.on_cpu(x).sum(),
    "a kernel for all": lambda x: torch.ops.symgrad_kernels.anywhere(x).sum(),
    "autograd.Function": lambda x: Cube.apply(x).sum(),
}


@pytest.mark.filterwarnings("ignore:.*autograd kernel was not registered")
@pytest.mark.parametrize("name", MODELS)
def test_a_kernel_is_followed(name):
    x = np.array([1.0, -2.0, 0.5])
    exact = symgrad.gradient(MODELS[name], at={"x": x})["x"]
    assert np.allclose(exact(x), 3 * x**2)
    assert symgrad.verify(MODELS[name], lambda x: 3 * x**2, at={"x": x}).verdict == "proved"


def test_a_detach_outside_of_a_kernel_cuts():
    def model(x):
        with torch.no_grad():
            held = cube(x)
        return (held * x).sum() + (x.detach() * x).sum()

    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    assert symgrad.verify(model, lambda x: x**3 + x, at={"x": x}).verdict == "proved"
    assert symgrad.verify(model, lambda x: 4 * x**3 + 2 * x, at={"x": x}).verdict == "refuted"
