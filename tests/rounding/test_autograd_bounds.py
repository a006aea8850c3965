"""Autograd as one more float computation: its gradient, and the bound on that gradient's rounding."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from support.adjoints import adjoint
from torch import Tensor, nn

from symgrad.errors import BadInput
from symgrad.evaluation.balls import Balls, ball_of, binary
from symgrad.evaluation.floats import to_numpy
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.program import interpret
from symgrad.rounding.accuracy import distance, rounding
from symgrad.rounding.autograd_bounds import autograd_bounds, autograd_gradient

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WIDE = (torch.float32, torch.float64)
TARGET = torch.tensor([0, 2, 1, 1])


def draw(shape: tuple[int, ...], dtype: torch.dtype, seed: int, spread: float = 0.5) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=g, dtype=torch.float64)
    return (x * torch.exp(spread * torch.randn(shape, generator=g, dtype=torch.float64))).to(dtype)


# ------------------------------------------------------------------------------------------------ the gradient


def test_gradients_by_name():
    """d/dx of v . (x W) is W v; what the output does not depend on is None; integers are data."""
    w = draw((3, 2), torch.float64, 1)
    v = draw((2,), torch.float64, 2)
    found = autograd_gradient(
        lambda x, y, k: x @ w * k, {"x": draw((3,), torch.float64, 3), "y": v, "k": torch.tensor(2)}, ["x", "y"], v
    )
    assert torch.allclose(found["x"], 2 * w @ v, rtol=1e-15)
    assert found["y"] is None


def test_a_module_takes_its_parameters_from_the_inputs():
    net = nn.Linear(3, 1)
    at = {"weight": draw((1, 3), torch.float32, 4), "bias": torch.zeros(1), "input": draw((3,), torch.float32, 5)}
    found = autograd_gradient(net, at, ["weight", "bias", "input"])
    assert torch.equal(found["weight"], at["input"][None])
    assert torch.equal(found["input"], at["weight"][0])
    assert found["bias"].item() == 1
    assert net.weight.grad is None


def test_what_cannot_be_differentiated():
    x = {"x": torch.tensor(1.0)}
    with pytest.raises(BadInput, match="'y' is not among the inputs"):
        autograd_gradient(lambda x: x, x, ["y"])
    with pytest.raises(BadInput, match="returned tuple"):
        autograd_gradient(lambda x: (x, x), x, ["x"])
    assert autograd_gradient(lambda x: x.detach(), x, ["x"]) == {"x": None}


# ------------------------------------------------------------------------------------------------ bounds hold: balls


def rnn_truth(at: dict[str, Tensor], steps: int):
    b = Builder()
    h, w, y = (b.input(n, ()) for n in ("h", "w", "y"))
    for _ in range(steps):
        h = b.apply("tanh", b.mul(w, h))
    program = b.build({"y": b.mul(y, h)})
    found = adjoint(program, program.output)
    with precision(300):
        return interpret(found.program, Balls(), {n: binary(to_numpy(x)) for n, x in at.items()}, [found.of[w]])[
            found.of[w]
        ]


def rnn(steps: int):
    def run(h: Tensor, w: Tensor, y: Tensor) -> Tensor:
        for _ in range(steps):
            h = torch.tanh(w * h)
        return y * h

    return run


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tanh_rnn_against_balls(dtype):
    ratios = []
    for seed in range(150):
        at = dict(zip(("h", "w", "y"), draw((3,), dtype, seed, 1)))
        steps = 2 + seed % 3
        found = autograd_bounds(rnn(steps), at, ["w"])
        bound = found.gradients["w"]
        with precision(300):
            low, high = distance(bound.value, rnn_truth(at, steps))
        assert low <= bound.error
        assert found.unknown == ()
        if high > 0 and bound.value.abs() > torch.finfo(dtype).tiny:
            ratios.append(float(bound.error / high))
    assert len(ratios) > 50
    assert sorted(ratios)[len(ratios) // 2] < 100


class SigmoidNet(nn.Module):
    def __init__(self, m: int, d: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(d, m, bias=False), nn.Linear(m, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(torch.sigmoid(self.inner(x))).squeeze() / math.sqrt(self.outer.in_features)


def sigmoid_net_truth(at: dict[str, Tensor]):
    m, d = at["inner.weight"].shape
    b = Builder()
    u, w, x = b.input("inner.weight", (m, d)), b.input("outer.weight", (1, m)), b.input("x", (1, d))
    f = b.matmul(w, b.apply("sigmoid", b.matmul(u, b.transpose(x))))
    root = b.power(b.number(m), b.number(Fraction(1, 2)))
    f = b.div(b.reshape(f, ()), root)
    found = adjoint(b.build({"f": f}), f)
    with precision(300):
        start = {n: binary(to_numpy(t)) for n, t in at.items()}
        wanted = {"inner.weight": found.of[u], "outer.weight": found.of[w]}
        values = interpret(found.program, Balls(), start, wanted.values())
        return {n: values[i] for n, i in wanted.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 12])
def test_the_sigmoid_net_against_balls(dtype, scale):
    """Also where sigmoids saturate and autograd's s(1 - s) has no digit left."""
    ratios = []
    for seed in range(15):
        at = {
            "inner.weight": draw((10, 3), dtype, seed) * scale,
            "outer.weight": draw((1, 10), dtype, seed + 100),
            "x": draw((1, 3), dtype, seed + 200),
        }
        truths = sigmoid_net_truth(at)
        found = autograd_bounds(SigmoidNet(10, 3).to(dtype), at, list(truths))
        assert found.unknown == ()
        for name, truth in truths.items():
            bound = found.gradients[name]
            with precision(300):
                low, high = distance(bound.value, truth)
            assert (low <= bound.error).all()
            ratios.append((bound.error / high)[(high > 0) & (bound.value.abs() > torch.finfo(dtype).tiny)])
    assert torch.cat(ratios).median() < 300


def test_a_saturated_sigmoid_is_covered_and_hand_is_closer():
    z = {"z": torch.tensor(17.0)}
    bound = autograd_bounds(lambda z: torch.sigmoid(z), z, ["z"]).gradients["z"]
    hand = torch.sigmoid(z["z"]) * torch.sigmoid(-z["z"])
    with precision(300):
        s = 1 / (1 + (-ball_of(17.0)).exp())
        r = rounding(hand, s * (1 - s), autograd=bound.value, autograd_bound=bound.error)
    assert bound.value == 0
    assert r.autograd is not None
    assert r.autograd.within
    assert r.who_is_closer == "yours"
    assert r.sentence.startswith("autograd is zero, where the truth is an ordinary number; yours keeps its digits")


# ------------------------------------------------------------------------------------------------ bounds hold: float64

MODELS = {
    "linear": lambda x, w: F.linear(x, w).square().sum(),
    "mean squared error": lambda x, w: F.mse_loss(x @ w.T, torch.ones(4, 3, dtype=x.dtype)),
    "cross-entropy": lambda x, w: F.cross_entropy(x @ w.T, TARGET),
    "cross-entropy of probabilities": lambda x, w: F.binary_cross_entropy(x.sigmoid(), x.detach().flip(0).sigmoid()),
    "cross-entropy of logits": lambda x, w: F.binary_cross_entropy_with_logits(x, torch.full_like(x, 0.25)),
    "layer norm": lambda x, w: (F.layer_norm(x, (5,)) * w[0]).pow(3).sum(),
    "batch norm": lambda x, w: (F.batch_norm(x, None, None, training=True) * w[0]).pow(3).sum(),
    "gelu": lambda x, w: F.gelu(x).sum() + F.gelu(x, approximate="tanh").sum(),
    "silu, softplus": lambda x, w: (F.silu(x) * F.softplus(x)).sum(),
    "elu, mish": lambda x, w: (F.elu(x) + F.mish(x) + F.selu(x) + F.hardswish(x)).sum(),
    "relu": lambda x, w: (F.relu(x) + F.leaky_relu(x) + x.clamp(-0.5, 0.5) * x).sum(),
    "softmax": lambda x, w: F.softmax(x, 1).square().sum() + F.log_softmax(x, 0).square().sum() + x.logsumexp(1).sum(),
    "variance": lambda x, w: x.var(0).sum() + x.std(1).sum(),
    "norms": lambda x, w: x.norm() + torch.linalg.vector_norm(w, dim=1).sum(),
    "elementary": lambda x, w: (x.sin() * x.cos() + x.erf() + x.exp() * x.tanh() + x.abs().log()).sum(),
    "powers": lambda x, w: (x**3 + 2**x + x.abs() ** 0.3 + x.abs() ** -1.5 + x / (1 + x * x)).sum(),
    "selections": lambda x, w: x.max(1).values.sum() + (x.amax() * x).sum() + torch.maximum(x, x.flip(0)).exp().sum(),
    "indexing": lambda x, w: x[TARGET].exp().sum() + x.gather(1, TARGET[:, None]).square().sum() + x.repeat(2, 1).sum(),
    "layouts": lambda x, w: torch.cat([x, w]).exp().mean() + torch.stack([x, x * x]).mean(0).sum() + x.T.tril().sum(),
    "in place": lambda x, w: (x * 2).mul_(x).add_(0.3).relu_().sum(),
    "convolution": lambda x, w: F.conv2d(x[None, None], w[None, None, :2, :2], x[0, :1], padding=1).square().sum(),
    "pooling": lambda x, w: F.max_pool2d((x * x)[None], 2).sum() + F.avg_pool2d(x.exp()[None], 2).sum(),
    "attention": lambda x, w: F.scaled_dot_product_attention(x[None], x[None] @ w.T @ w, x[None]).square().sum(),
    "einsum": lambda x, w: torch.einsum("ij,kj->ik", x, w).tanh().sum(),
    "products": lambda x, w: x.prod() + x.cumsum(0).prod(1).sum(),
    "huber": lambda x, w: F.huber_loss(x, x.flip(0).detach()) + F.smooth_l1_loss(x * 3, x.flip(1).detach()),
    "lerp": lambda x, w: (x.addcmul(x, x, value=0.3) + torch.lerp(x, x * x, 0.3) + torch.addcdiv(x, x, x.exp())).sum(),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.slow
def test_forward_and_backward_operations(name):
    """Each model in float32 differs from its float64 run, on the same inputs, by no more than both bounds allow."""
    model, ratios = MODELS[name], []
    for seed in range(8):
        at = {"x": draw((4, 5), torch.float32, seed), "w": draw((3, 5), torch.float32, seed + 50)}
        low = autograd_bounds(model, at, ["x", "w"])
        high = autograd_bounds(model, {n: t.double() for n, t in at.items()}, ["x", "w"])
        assert low.unknown == ()
        pairs = [(low.output, high.output)]
        pairs += [(low.gradients[n], high.gradients[n]) for n in at if low.gradients[n] is not None]
        for a, b in pairs:
            error = (a.value.double() - b.value).abs()
            assert torch.isfinite(a.error).all()
            assert (error <= a.error + b.error).all()
            assert (b.error <= 1e-6 * a.error + 1e-300).all()  # the bound shrinks with the unit
            seen = error > 1e-3 * 2**-24 * a.value.abs()
            ratios.append((a.error / error)[seen])
    assert torch.cat(ratios).median() < 2e4


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_modules(kind):
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = kind(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)[0].square().sum()

    torch.manual_seed(0)
    net = Last()
    at = {n: p.detach() for n, p in net.named_parameters()} | {"x": draw((5, 2, 3), torch.float32, 7)}
    names = list(at)
    low = autograd_bounds(net, at, names)
    high = autograd_bounds(net.double(), {n: t.double() for n, t in at.items()}, names)
    assert low.unknown == ()
    for n in names:
        error = (low.gradients[n].value.double() - high.gradients[n].value).abs()
        assert (error <= low.gradients[n].error + high.gradients[n].error).all()
        assert (low.gradients[n].error < 1e-2 * (1 + low.gradients[n].value.abs())).all()


def test_running_statistics_are_updated_once():
    """The operations written out run on copies: the module's buffers see one forward pass, not three."""
    plain, watched = nn.BatchNorm1d(5), nn.BatchNorm1d(5)
    x = draw((4, 5), torch.float32, 8)
    plain(x)
    assert autograd_bounds(watched, {"input": x}, ["input"]).unknown == ()
    assert torch.equal(plain.running_mean, watched.running_mean)


# ------------------------------------------------------------------------------------------------ what differs is seen


class Slanted(torch.autograd.Function):
    """exp with a gradient that is wrong by one part in a million."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.exp() * (1 + 2**-20)


def test_a_gradient_wrong_by_1e_6_is_outside_its_bound():
    """The bound is one of rounding only: what the backward formula gets wrong by itself is not in it."""
    outside = 0
    for seed in range(50):
        at = {"x": draw((), torch.float32, seed)}
        right = autograd_bounds(lambda x: x.exp(), at, ["x"]).gradients["x"]
        wrong = autograd_bounds(lambda x: Slanted.apply(x), at, ["x"]).gradients["x"]
        with precision(300):
            truth = ball_of(at["x"].item()).exp()
            assert rounding(right.value, truth, hand_bound=right.error).hand.within
            r = rounding(right.value, truth, autograd=wrong.value, autograd_bound=wrong.error)
        outside += r.autograd is not None and not r.autograd.within
    assert outside == 50


def test_torch_rounds_the_alpha_of_celu_to_float32():
    """A fault of torch: the float64 gradient of celu at -1, alpha 0.1 is 4.539993585e-05, exactly 4.539992976e-05."""
    at = {"x": torch.tensor(-1.0, dtype=torch.float64)}
    bound = autograd_bounds(lambda x: F.celu(x, 0.1), at, ["x"]).gradients["x"]
    with precision(300):
        truth = (-ball_of(10)).exp()
        r = rounding(
            torch.tensor(float(truth), dtype=torch.float64), truth, autograd=bound.value, autograd_bound=bound.error
        )
    assert r.sentence.startswith("autograd is what differs")


# ------------------------------------------------------------------------------------------------ nothing is silent


def test_an_unknown_operation_is_infinite_and_listed():
    found = autograd_bounds(lambda x: torch.special.bessel_j0(x.detach()) * x, {"x": torch.tensor(2.0)}, ["x"])
    assert found.unknown == ("bessel_j0",)
    assert found.gradients["x"].error == math.inf
    assert found.output.error == math.inf


def test_what_leaves_torch_by_item_is_infinite_and_listed():
    found = autograd_bounds(lambda x: x * (x * x).item(), {"x": torch.tensor(2.5)}, ["x"])
    assert found.unknown == ("item()",)
    assert found.gradients["x"].error == math.inf


def test_overflow_is_infinite():
    x = torch.tensor(300.0, dtype=torch.float16)
    assert autograd_bounds(lambda x: x * x * x, {"x": x}, ["x"]).gradients["x"].error == math.inf


def test_views_and_writes_share_one_memory():
    """Errors follow the memory: through a view written in place, then read through another."""

    def model(x: Tensor) -> Tensor:
        square = x * x
        square.view(-1)[1:3].mul_(3.0)
        return square.t().sum(0)

    at = {"x": draw((2, 3), torch.float32, 9)}
    found = autograd_bounds(model, at, ["x"])
    exact = autograd_gradient(model, {"x": at["x"].double()}, ["x"])["x"]
    error = (found.gradients["x"].value.double() - exact).abs()
    assert (error <= found.gradients["x"].error).all()
    assert (found.gradients["x"].error > 0).all()
    assert (found.gradients["x"].error < 1e-5).all()


@pytest.mark.parametrize("dtype", WIDE)
def test_python_numbers_are_what_was_meant(dtype):
    """0.1 written in code stands for one tenth: half a unit of float64 beside its binary value."""
    at = {"x": torch.tensor(3.0, dtype=dtype)}
    bound = autograd_bounds(lambda x: x * 0.1, at, ["x"]).gradients["x"]
    with precision(300):
        low, _ = distance(bound.value, ball_of(1) / 10)
    assert 0 < low <= bound.error
