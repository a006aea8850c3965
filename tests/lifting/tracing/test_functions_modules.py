"""Modules: twenty families of models, each with the adjoint of its recorded Program equal to torch's autograd.

The largest relative difference in float64 over all parameters and inputs is at most 1e-12, and the Program recorded at
one point gives what the module gives at another.  A run leaves the module exactly as it was.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.lifting_replay import assert_equal, floats, gradients
from torch import nn

from symgrad.errors import NotReproducible
from symgrad.evaluation.floats import to_numpy
from symgrad.lifting.tracing.functions import Module


class TanhRNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 4, bias=False)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 4)
        for row in x.unbind(1):
            h = torch.tanh(self.inner(row) + self.outer(h))
        return h


class LSTMByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(3 + 4, 16)

    def forward(self, x):
        h, c = x.new_zeros(x.shape[0], 4), x.new_zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            i, f, g, o = self.gates(torch.cat([x[:, t], h], dim=1)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * c.tanh()
        return h


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.lstm, self.gru = nn.RNNCell(3, 4), nn.LSTMCell(4, 4), nn.GRUCell(4, 4)

    def forward(self, x):
        h = self.rnn(x[:, 0])
        h, c = self.lstm(h, (h, h * 2))
        return self.gru(c, h)


class First(nn.Module):
    """The first output of a recurrent module or of attention."""

    def __init__(self, inner: nn.Module, repeat: int = 1) -> None:
        super().__init__()
        self.inner, self.repeat = inner, repeat

    def forward(self, x):
        return self.inner(*[x] * self.repeat)[0]


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(width, width), nn.Linear(width, width), nn.LayerNorm(width)

    def forward(self, x):
        return x + self.second(nn.functional.gelu(self.first(self.norm(x))))


class Tied(nn.Module):
    """An embedding whose matrix is also the output layer's, and a part that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.twice = nn.Linear(3, 3)

    def forward(self, x, words):
        h = torch.tanh(self.twice(self.embed(words))) + x
        return self.head(torch.tanh(self.twice(h)))


class Lists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(3, 3)) for _ in range(3)])
        self.scales = nn.ParameterDict({"a": nn.Parameter(torch.tensor(1.5)), "b": nn.Parameter(torch.randn(3))})
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]))

    def forward(self, x):
        x = (x - self.mean) * self.scales["a"]
        for weight, layer in zip(self.weights, self.layers):
            x = torch.sin(layer(x @ weight))
        return x * self.scales["b"]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(3, 4) for _ in range(3))

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(-2, -1) / 4**0.5
        mask = torch.tril(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool))
        return torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1) @ self.v(x)


class Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(3, 4), nn.ModuleList([nn.Linear(3, 3) for _ in range(4)])

    def forward(self, x):
        weight, chosen = torch.softmax(self.gate(x), -1).topk(2, dim=-1)
        out = torch.stack([expert(x) for expert in self.experts], dim=-2)
        picked = out.gather(-2, chosen[..., None].expand(*chosen.shape, 3))
        return (picked * weight[..., None]).sum(-2)


class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 4), nn.Linear(2, 3)

    def forward(self, x, noise):
        mean, log_var = self.encode(x).chunk(2, dim=-1)
        back = self.decode(mean + torch.exp(log_var / 2) * noise)
        divergence = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()
        return nn.functional.mse_loss(back, x, reduction="sum") + divergence


def encoder(training: bool, norm_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, norm_first=norm_first)
    return layer.train(training)


def sequential(*layers: nn.Module, training: bool = True) -> nn.Module:
    return nn.Sequential(*layers).train(training)


ROWS, SEQUENCE, WIDE, IMAGE = (5, 3), (2, 3, 3), (2, 3, 4), (2, 2, 6, 6)
FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2), nn.LogSoftmax(-1)), ROWS),
    "deep relu": (
        lambda: sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.LeakyReLU(), nn.Linear(8, 1)),
        ROWS,
    ),
    "tanh rnn by hand": (TanhRNN, SEQUENCE),
    "lstm by hand": (LSTMByHand, SEQUENCE),
    "nn.RNN": (lambda: First(nn.RNN(3, 4, 2, batch_first=True)), SEQUENCE),
    "nn.LSTM": (lambda: First(nn.LSTM(3, 4, 2, bidirectional=True)), SEQUENCE),
    "nn.GRU": (lambda: First(nn.GRU(3, 4, batch_first=True)), SEQUENCE),
    "cells": (Cells, SEQUENCE),
    "residual": (lambda: sequential(Residual(3), Residual(3)), ROWS),
    "attention by hand": (Attention, SEQUENCE),
    "nn.MultiheadAttention": (lambda: First(nn.MultiheadAttention(4, 2, batch_first=True), 3), WIDE),
    "transformer, train": (lambda: encoder(True, False), WIDE),
    "transformer, eval": (lambda: encoder(False, True), WIDE),
    "convolutions": (
        lambda: sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 2, stride=2)),
        IMAGE,
    ),
    "transposed": (
        lambda: sequential(nn.ConvTranspose2d(2, 3, 3, stride=2, groups=1), nn.AvgPool2d(2), nn.ELU()),
        IMAGE,
    ),
    "depthwise": (lambda: sequential(nn.Conv2d(2, 4, 3, groups=2, dilation=2, padding="same"), nn.SiLU()), IMAGE),
    "batch norm, train": (lambda: sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Sigmoid()), IMAGE),
    "batch norm, eval": (lambda: sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Softplus(), training=False), ROWS),
    "other norms": (lambda: sequential(nn.GroupNorm(1, 2), nn.InstanceNorm2d(2, affine=True), nn.RMSNorm(6)), IMAGE),
    "tied embedding": (Tied, ROWS),
    "parameter lists": (Lists, ROWS),
    "mixture of experts": (Mixture, SEQUENCE),
    "variational": (Variational, ROWS),
    "upsampling": (lambda: sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2, 1, 3), nn.Flatten(), nn.GELU()), IMAGE),
    "bilinear": (lambda: First(nn.Bilinear(3, 3, 2), 2), ROWS),
}
EXTRA = {"words": np.array([0, 4, 2, 2, 1]), "noise": np.random.default_rng(5).standard_normal((5, 2))}


def build(name: str) -> tuple[nn.Module, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A module in float64, a point, and a second point close to it."""
    torch.manual_seed(0)
    make, shape = FAMILIES[name]
    module = make().double()
    random = np.random.default_rng(0)
    first = {**Module.of(module).parameters}
    for argument in Module.of(module).required:
        first[argument] = EXTRA.get(argument)
        if first[argument] is None:
            first[argument] = random.standard_normal(shape)
    second = {n: v + 1e-4 * random.standard_normal(v.shape) if v.dtype.kind == "f" else v for n, v in first.items()}
    return module, first, second


def autograd(module: nn.Module, point: dict[str, np.ndarray], seeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    own = {n for n, _ in module.named_parameters()}
    leaves = {n: torch.tensor(v, requires_grad=v.dtype.kind == "f") for n, v in point.items()}
    buffers = {n: b.clone() for n, b in module.named_buffers()}
    arguments = {n: x for n, x in leaves.items() if n not in own}
    y = torch.func.functional_call(module, {**buffers, **{n: leaves[n] for n in own}}, (), arguments)
    total = (y * torch.tensor(seeds["output"])).sum()
    wrt = [n for n, x in leaves.items() if x.requires_grad]
    found = torch.autograd.grad(total, [leaves[n] for n in wrt], allow_unused=True)
    return {n: np.zeros(point[n].shape) if g is None else g.numpy() for n, g in zip(wrt, found, strict=True)}


def state(module: nn.Module) -> list[object]:
    out: list[object] = []
    for part in module.modules():
        out.append((part.training, sorted(vars(part)), len(part._forward_hooks), "forward" in vars(part)))
        out += [
            (n, id(v), v._version, v.tolist())
            for n, v in [*part._parameters.items(), *part._buffers.items()]
            if v is not None
        ]
    return out


@pytest.mark.parametrize("name", FAMILIES)
def test_family(name: str) -> None:
    module, first, second = build(name)
    before = state(module)
    lifted = Module.of(module)
    run = lifted.run(first)
    assert set(run.program.inputs) == {n for n, v in first.items() if v.dtype.kind == "f"}
    for point in (first, second):
        values = floats(run.program, point)
        for output, want in lifted.plain(point).items():
            assert_equal(to_numpy(values[run.program.outputs[output]]), want, 1e-12)
    seeds = {"output": np.random.default_rng(1).standard_normal(run.values["output"].shape)}
    wrt = [n for n, v in first.items() if v.dtype.kind == "f"]
    found, truth = gradients(run, first, wrt, seeds), autograd(module, first, seeds)
    scale = max(np.max(np.abs(g)) for g in truth.values())
    for parameter in wrt:
        assert np.max(np.abs(found[parameter] - truth[parameter]), initial=0) <= 1e-12 * scale, parameter
    assert state(module) == before


def test_float32_and_mixed_dtypes() -> None:
    module, first, _ = build("mlp")
    run = Module.of(module.float()).run({n: v.astype(np.float32) for n, v in first.items()}, "float32")
    assert {step.dtype for step in run.program.steps if step.op in ("matmul", "tanh", "add")} == {"float32"}
    assert run.program.steps[run.program.output].dtype == "float32"

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow, self.wide = nn.Linear(3, 4), nn.Linear(4, 2).double()

        def forward(self, x):
            return self.wide(torch.tanh(self.narrow(x)).double())

    mixed = Module.of(Mixed())
    run = mixed.run({**mixed.parameters, "x": np.ones((2, 3), np.float32)}, {**mixed.dtypes, "x": "float32"})
    assert [(s.op, s.dtype) for s in run.program.steps if s.op in ("matmul", "tanh", "cast")] == [
        ("matmul", "float32"),
        ("tanh", "float32"),
        ("cast", "float64"),
        ("matmul", "float64"),
    ]


def test_a_buffer_that_forward_writes_is_put_back() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.weight = nn.Parameter(torch.ones(3))
            self.seen: list[object] = []
            self.last = None

        def forward(self, x):
            self.calls += 1
            self.calls = self.calls * 2
            self.seen.append(x)
            self.last = x * self.weight
            return self.last

    module = Counting()
    Module.of(module).run({"weight": np.ones(3), "x": np.ones(3)}, "float32")
    assert module.calls.item() == 0
    assert module.seen == []
    assert module.last is None
    assert "forward" not in vars(module)


def test_hooks_run_and_stay() -> None:
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda m, given, out: out * 2)
    point = {**Module.of(module).parameters, "input": np.ones((1, 2), dtype=np.float32)}
    run = Module.of(module).run(point, "float32")
    assert_equal(run.values["output"], module(torch.ones(1, 2)).detach().numpy(), 0)
    assert len(module._forward_hooks) == 1


def test_dropout_in_training_names_the_layers() -> None:
    module = nn.Sequential(nn.Linear(3, 50), nn.Dropout(0.5))
    with pytest.raises(NotReproducible, match="training mode and has random layers: 1") as caught:
        Module.of(module).run({**Module.of(module).parameters, "input": np.ones((2, 3))}, "float32")
    assert caught.value.instead == "Call module.eval() first, or set the dropout probability to 0."


def test_the_names_inside_forward_are_bindings() -> None:
    module, first, _ = build("tanh rnn by hand")
    run = Module.of(module).run(first)
    assert [b.name for b in run.program.bindings] == ["h"] * 4
    assert run.program.bindings[1].source is not None
    assert run.program.bindings[1].source.text == "h = torch.tanh(self.inner(row) + self.outer(h))"
