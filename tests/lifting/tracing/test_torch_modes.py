"""torch code, recorded by running it: replayed at a second point, and its adjoint equals autograd's in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.lifting_replay import floats, gradient_agrees, gradients, points, replay

from symgrad.lifting.tracing.functions import Function

LABELS = torch.tensor([2, 0, 3])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 1.5], dtype=torch.float64)

EXPRESSIONS = {
    # functions of one entry
    "exp": lambda x: torch.exp(x) + torch.expm1(x) + torch.exp2(x) + x.exp(),
    "log": lambda p: torch.log(p) + torch.log1p(p) + torch.log2(p) + p.log10() + torch.special.xlogy(p, p),
    "roots": lambda p: p.sqrt() + p.rsqrt() + p.square() + p.reciprocal() + p**1.5 + p**-2 + 2**p + p**p,
    "trigonometry": lambda x: x.sin() + x.cos() * torch.tan(x / 4) + torch.atan2(x, x + 9) + torch.sinc(x),
    "inverse trigonometry": lambda x: torch.asin(x / 9) + torch.acos(x / 9) + torch.atan(x) + torch.arcsin(x / 9),
    "hyperbolic": lambda p: p.sinh() + p.cosh() * p.tanh() + p.asinh() + (1 + p).acosh() + (p / 9).atanh(),
    "special": lambda p: torch.lgamma(p) + torch.digamma(p) + torch.erf(p) + torch.erfc(p) + torch.erfinv(p / 9),
    "polygamma": lambda p: (
        torch.polygamma(1, p) + torch.special.ndtr(p) + torch.special.log_ndtr(p) + torch.logit(p / 9)
    ),
    "bessel": lambda x: torch.special.i0(x) + torch.special.i1(x),
    "two arguments": lambda p, q: torch.hypot(p, q) + torch.logaddexp(p, q) + torch.xlogy(p, q) + torch.lerp(p, q, 0.3),
    "sign": lambda x, y: x.abs() + x.sign() * x + torch.maximum(x, y) + torch.fmin(x, y) + torch.copysign(x, y),
    "rounding": lambda x: (
        x - x.floor() + x.ceil() * x + x.round() * x + x.trunc() * x + x.frac() + torch.round(x, decimals=1)
    ),
    "modulo": lambda x: (
        x % 0.7 + torch.fmod(x, 0.7) + torch.remainder(x, -0.7) + torch.div(x, 0.7, rounding_mode="floor")
    ),
    "addcmul": lambda x, y, p: (
        torch.addcmul(x, y, p, value=0.5) + torch.addcdiv(x, y, p, value=2.0) + torch.sub(x, y, alpha=3)
    ),
    "rsub": lambda x: 1 - x + torch.rsub(x, 2, alpha=3) + x.neg() + 2 / (x * x + 1),
    "constants": lambda x: x / 3 + x * (1 / 3) + x * math.sqrt(2 / math.pi) + x * torch.pi + x / math.log(10),
    "tensor constants": lambda x: x * torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=x.dtype) + torch.tensor(2.0),
    # choices
    "where": lambda x, y: torch.where(x > y, x * y, x - y) + torch.where(x > 0, x, 0.0) + torch.where(x > 0, 1.0, y),
    "where of positions": lambda x: x[torch.where(x > 0)] ** 2,
    "clamp": lambda x, y: x.clamp(-0.5, 0.5) + torch.clamp(x, min=y) + x.clamp_max(0.3) + torch.clip(x, y - 1, y + 1),
    "masks": lambda x: x[x > 0].sum() + x.masked_fill(x < 0, 0.5) + torch.masked_select(x, x > 0).prod(),
    "extremes": lambda A: (
        A.max() + A.min(0).values + A.max(dim=1)[0] + A.amax(0) + A.amin((0, 1)) + torch.aminmax(A)[0]
    ),
    "order": lambda A: (
        A.sort(dim=1).values + A.topk(4, dim=0).values + A.median(0).values + A.kthvalue(2, 1)[0] + A.median()
    ),
    "running extremes": lambda A: A.cummax(0)[0] + A.cummin(1).values,
    "argmax": lambda A: (
        A[A.argmax(0), torch.arange(4)] + A.gather(1, A.argmin(1, keepdim=True))[:, 0] + A[A.argsort(0)[0], 0]
    ),
    # layouts
    "slices": lambda X: X[..., 1:] * X[:, :, :-1] + X[:, 1:2, ::2].sum() + X[0, 0, 0] + X[None].squeeze(0)[..., :3],
    "fancy": lambda A: A[[0, 2, 2]][:, torch.tensor([1, 0])].sum() + A[torch.arange(4), [3, 2, 1, 0]] + A[-1],
    "T": lambda C: C.T @ C + C.mT @ C + C.t().t().transpose(0, 1) @ C + C.permute(1, 0) @ C.swapaxes(0, 1).H,
    "reshape": lambda X: X.view(6, 4) + X.reshape(-1, 4) + X.flatten(0, 1) + X.unflatten(0, (1, 2)).reshape(6, 4),
    "expand": lambda x: (
        x.expand(3, 4) + x.repeat(3, 1) + x.unsqueeze(0).tile(3, 1) + x.view_as(x) + x.broadcast_to(3, 4)
    ),
    "cat": lambda x, y: torch.cat([x, y]) * torch.hstack([y, x]) + torch.stack([x, y]).flatten() + torch.concat((x, y)),
    "split": lambda X: X.split(2, dim=-1)[0] * X.chunk(2, -1)[1] + X.unbind(0)[0][:, :2] + X.tensor_split(2, 2)[1],
    "pad": lambda X: F.pad(X, (1, 2)) + F.pad(X, (2, 1), value=3.0) + F.pad(X, (1, 2), mode="reflect"),
    "pad edge": lambda X: F.pad(X, (1, 2), mode="replicate") + F.pad(X, (1, 2), mode="circular"),
    "roll": lambda A: (
        A.roll(1, 0) + A.flip(0) + torch.rot90(A) + A.tril() + torch.triu(A, 1) + torch.diag(A.diagonal())
    ),
    "gather": lambda A: (
        A.gather(1, torch.tensor([[0, 2], [1, 1], [3, 0], [2, 2]])) + A.index_select(1, torch.tensor([1, 1]))
    ),
    "scatter": lambda A: (
        torch.zeros(4, 4, dtype=A.dtype).scatter(1, torch.tensor([[0], [2], [1], [3]]), A[:, :1])
        + A.take(torch.tensor(3))
    ),
    "scatter_add": lambda A: torch.zeros(3, 4, dtype=A.dtype).scatter_add(0, torch.tensor([[0, 2, 2, 1]]), A[:1]),
    "index_add": lambda A, C: (
        A.index_add(0, torch.tensor([0, 1, 0]), C) + A.index_add(0, torch.tensor([3, 3, 3]), C, alpha=2)
    ),
    "unfold": lambda x: x.unfold(0, 2, 1).sum(-1),
    "meshgrid": lambda x, y: (
        torch.mul(*torch.meshgrid(x, y, indexing="ij")) + torch.outer(x, y) + torch.kron(x, y).view(4, 4)
    ),
    "diag_embed": lambda x: (
        torch.diag_embed(x) + torch.diag(x, 1)[:4, :4] + torch.block_diag(x[None], x[None], x[None, :])[:, :4].sum()
    ),
    "tril_indices": lambda A: A[torch.tril_indices(4, 4)[0], torch.tril_indices(4, 4)[1]],
    "as_strided": lambda x: x.as_strided((3, 2), (1, 1)) + (2 * x.view(2, 2).t()).as_strided((3, 2), (1, 1)),
    "complete": lambda A: torch.einsum("ii->i", A) + torch.trace(A) + A.diagonal(1).sum(),
    # reductions
    "sum": lambda X: (
        X.sum() + X.sum(0) + X.sum((0, 2), keepdim=True).sum(0) + X.mean(-1, keepdim=True).sum(0) + X.mean()
    ),
    "var": lambda A: A.var(0) + A.std(1) + A.var(unbiased=False) + torch.var_mean(A, 0, correction=0)[1] + A.std(),
    "prod": lambda A: A.prod(0) + A.prod() + A.cumprod(1) + A.cumsum(0) + A.logcumsumexp(0) + A.diff(dim=0).sum(),
    "norm": lambda A, x: (
        A.norm() + x.norm(1) + x.norm(3) + torch.linalg.norm(A) + torch.linalg.vector_norm(A, dim=1) + x.norm(math.inf)
    ),
    "matrix_norm": lambda A: (
        torch.linalg.matrix_norm(A) + torch.linalg.matrix_norm(A, 1) + torch.linalg.matrix_norm(A, math.inf)
    ),
    "normalize": lambda A: F.normalize(A, dim=1) + F.normalize(A, p=1, dim=0),
    "softmax": lambda A: (
        A.softmax(0) + F.log_softmax(A, 1) + A.logsumexp(0) + torch.logsumexp(A, (0, 1)) + F.softmin(A, -1)
    ),
    "cdist": lambda A, C: torch.cdist(A, C) + F.pairwise_distance(A, A + 1)[:, None],
    "all and any": lambda x: x * 2 if bool((x < 9).all()) and not torch.isnan(x).any() else x,
    "trapezoid": lambda x: torch.trapezoid(x, dx=0.5) + torch.cumulative_trapezoid(x).sum() + torch.dist(x, x + 1, 2),
    # products
    "matmul": lambda A, C, x: (
        A @ x + C.T @ C @ x + x @ A + x @ x + torch.mv(A, x) + torch.dot(x, x) + torch.addmv(x, A, x)
    ),
    "batched": lambda X, A: (
        X @ A + torch.bmm(X, X.mT @ X) + torch.baddbmm(X, X, X.mT @ X, beta=0.5, alpha=2.0) + X.matmul(A)
    ),
    "addmm": lambda A, B: torch.addmm(A, A, B, beta=0.5, alpha=2.0) + torch.addmm(B[0], A, B),
    "einsum": lambda X, A: (
        torch.einsum("bij,jk->bik", X, A) + torch.einsum("bij,jk->bki", X, A).mT + torch.tensordot(X, A, 1)
    ),
    "linear": lambda C, A: F.linear(C, A, A[0]) + F.linear(C, A) + F.bilinear(C, C, torch.stack([A] * 4), A[1]),
    "cross": lambda C: torch.linalg.cross(C[:, 0], C[:, 1]) + torch.cross(C.T[0], C.T[2], dim=0),
    # linear algebra
    "linalg": lambda P, x: (
        torch.linalg.inv(P) @ x + torch.linalg.solve(P, x) + P.det() + P.logdet() + torch.linalg.slogdet(P)[1]
    ),
    "solve matrices": lambda P, A: torch.linalg.solve(P, A) + torch.linalg.solve(P, A, left=False) + torch.inverse(P),
    "cholesky": lambda P, x: (
        torch.linalg.cholesky(P) @ x + torch.cholesky_solve(x[:, None], torch.linalg.cholesky(P))[:, 0]
    ),
    "triangular": lambda P, A: (
        torch.linalg.solve_triangular(P, A, upper=True) + torch.linalg.solve_triangular(P, A, upper=False, left=False)
    ),
    "matrix_power": lambda A: (
        torch.linalg.matrix_power(A, 3) + torch.matrix_power(A, 2) + torch.linalg.multi_dot([A, A, A])
    ),
    # activations
    "relu": lambda x: (
        F.relu(x) + F.relu6(x) + F.leaky_relu(x, 0.2) + F.prelu(x, torch.tensor([0.3], dtype=x.dtype)) + x.relu()
    ),
    "elu": lambda x: F.elu(x) + F.elu(x, 0.7) + F.celu(x, 0.5) + F.selu(x) + F.softplus(x, 2.0) + F.softplus(x),
    "sigmoid": lambda x: (
        torch.sigmoid(x) + F.logsigmoid(x) + F.silu(x) + F.mish(x) + F.gelu(x) + F.gelu(x, approximate="tanh")
    ),
    "hard": lambda x: F.hardtanh(x) + F.hardswish(x) + F.softshrink(x, 0.2) + F.hardshrink(x) + F.tanhshrink(x),
    "glu": lambda X: F.glu(X) + F.softsign(X)[..., :2] + F.threshold(X, 0.1, 20.0)[..., :2],
    # losses
    "mse": lambda x, y: (
        F.mse_loss(x, y) + F.l1_loss(x, y) + F.smooth_l1_loss(x, y, beta=0.7) + F.huber_loss(x, y, delta=0.7)
    ),
    "mse sum": lambda x, y: (
        F.mse_loss(x, y, reduction="sum") + F.mse_loss(x, y, reduction="none") + F.l1_loss(x, y, reduction="sum")
    ),
    "bce": lambda x, y: (
        F.binary_cross_entropy(x.sigmoid(), y.sigmoid()) + F.binary_cross_entropy_with_logits(x, y.sigmoid())
    ),
    "bce weights": lambda x, y, p: F.binary_cross_entropy_with_logits(
        x, y.sigmoid(), weight=p.detach(), pos_weight=p.detach() + 1
    ),
    "cross entropy": lambda C: (
        F.cross_entropy(C, LABELS)
        + F.cross_entropy(C, LABELS, reduction="sum")
        + F.nll_loss(F.log_softmax(C, 1), LABELS)
    ),
    "cross entropy options": lambda C: (
        F.cross_entropy(C, LABELS, weight=WEIGHT, label_smoothing=0.1) + F.cross_entropy(C, LABELS, ignore_index=0)
    ),
    "cross entropy none": lambda C: (
        F.cross_entropy(C, LABELS, WEIGHT, reduction="none") + F.cross_entropy(C, C.softmax(1), label_smoothing=0.2)
    ),
    "cross entropy of images": lambda X: F.cross_entropy(X, torch.tensor([[0, 1, 2, 0], [2, 2, 1, 1]])),
    "kl": lambda x, y: (
        F.kl_div(x.log_softmax(0), y.softmax(0), reduction="sum")
        + F.kl_div(x, y, log_target=True, reduction="batchmean")
    ),
    "gaussian nll": lambda x, y, p: (
        F.gaussian_nll_loss(x, y, p) + F.gaussian_nll_loss(x, y, p, full=True) + F.poisson_nll_loss(x, p)
    ),
    "poisson": lambda x, p: F.poisson_nll_loss(x.exp(), p, log_input=False) + F.poisson_nll_loss(x, p + 1, full=True),
    "cosine": lambda A, B: (
        F.cosine_similarity(A, B) + F.cosine_embedding_loss(A, B, torch.tensor([1, -1, 1, -1]), margin=0.1)
    ),
    "hinge": lambda x, y: (
        F.hinge_embedding_loss(x, torch.tensor([1, -1, 1, -1])) + F.margin_ranking_loss(x, y, torch.ones(4), 0.1)
    ),
    "margins": lambda C: F.multi_margin_loss(C, LABELS) + F.soft_margin_loss(C, torch.ones(3, 4, dtype=C.dtype)),
    "triplet": lambda A, B, P: F.triplet_margin_loss(A, B, P) + F.multilabel_soft_margin_loss(A, (B > 0).to(A.dtype)),
    # networks
    "layer_norm": lambda X, x, y: F.layer_norm(X, (4,), x, y) + F.layer_norm(X, (3, 4)) + F.rms_norm(X, (4,), x),
    "group_norm": lambda X: (
        F.group_norm(X.mT, 2) + F.instance_norm(X.mT) + F.batch_norm(X.mT, None, None, training=True)
    ),
    "conv1d": lambda X, C: (
        F.conv1d(X, C[None], C[0, :1], stride=1, padding=2) + F.conv1d(X, C[None, :, ::2], dilation=2).sum()
    ),
    "conv groups": lambda X, C: (
        F.conv1d(X, C[:, None, :3], groups=3, padding="same")
        + F.conv_transpose1d(X, C[:, None], groups=3, stride=2).sum()
    ),
    "conv2d": lambda X: F.conv2d(
        X[None], X[:, :, :2].repeat(1, 1, 1)[:, None, :2].expand(2, 2, 2, 2), stride=(1, 2), padding=(0, 1)
    ),
    "conv3d": lambda X: (
        F.conv3d(X[None, None], X[None, None, :, :2, :2]) + F.conv_transpose2d(X[None], X[:, None, :2, :2]).sum()
    ),
    "max_pool": lambda X: (
        F.max_pool1d(X, 2) + F.max_pool1d(X, 3, 2, 1) + F.max_pool2d(X, (1, 2)) + F.adaptive_max_pool1d(X, 2)
    ),
    "avg_pool": lambda X: (
        F.avg_pool1d(X, 2)
        + F.avg_pool2d(X, (1, 2))
        + F.adaptive_avg_pool1d(X, 2)
        + F.adaptive_avg_pool2d(X, (3, 2))
        + F.lp_pool1d(X.abs(), 2, 2)
    ),
    "interpolate": lambda X: F.interpolate(X, scale_factor=2) + F.interpolate(X, size=8, mode="linear"),
    "pixel_shuffle": lambda X: (
        F.pixel_shuffle(X.reshape(1, 4, 3, 2), 2) + F.fold(F.unfold(X[None], 2), (3, 4), 2).sum()
    ),
    "attention": lambda X: (
        F.scaled_dot_product_attention(X, X * 2, X + 1)
        + F.scaled_dot_product_attention(X[None], X[None], X[None], is_causal=True)[0]
    ),
    "embedding": lambda A: (
        F.embedding(LABELS, A) + F.embedding_bag(LABELS[None], A, mode="mean") + F.one_hot(LABELS, 4).to(A.dtype) @ A
    ),
    "dropout off": lambda x: (
        F.dropout(x, 0.5, training=False) + F.dropout(x, 0.0) + F.alpha_dropout(x, 0.3, training=False)
    ),
    # complex values
    "complex": lambda x, y: (
        (torch.complex(x, y) ** 2).real + torch.complex(x, y).abs() + (torch.complex(x, y) * 1j).imag
    ),
    "complex exp": lambda x, y: (
        torch.exp(torch.complex(x, y)).real + torch.polar(x.exp(), y).imag + torch.complex(x, y).conj().imag
    ),
    "view_as": lambda A: (
        torch.view_as_complex(A.view(4, 2, 2)).angle() + torch.view_as_real(torch.complex(A[:, :2], A[:, 2:])).sum(-1)
    ),
    # bridges
    "item": lambda x, s: x * s.item() + s * 2,
    "detach": lambda x: x * x.detach() + x.data * 3 + x.detach().exp(),
    "numpy and back": lambda x: x + torch.from_numpy(x.detach().numpy() * 2),
    "stack of items": lambda s, x: torch.stack([x[0] * s, x[1], s]),
    "full": lambda s, x: (
        torch.full((4,), s.item(), dtype=x.dtype) * x + torch.full_like(x, 2.0) + torch.ones_like(x) * s
    ),
    "casts": lambda x: x.to(torch.float64).type(torch.float64).double() + (x > 0).double() * x + (x > 0) * x,
    "integers": lambda x: x * (x > 0).sum() + x * x.long() + x[x.argmax().item()],
    "functional": lambda x: (
        torch.add(x, x, alpha=2).mul(2).div(3).sub(1) + torch.true_divide(x, 2) + torch.float_power(x.abs(), 2)
    ),
    "nan_to_num": lambda x: torch.nan_to_num(x) * 2,
    "lists": lambda A: sum(row @ row for row in A) + torch.stack([row.sum() for row in A]).prod(),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expression(name: str) -> None:
    gradient_agrees(EXPRESSIONS[name])


# ------------------------------------------------------------------------------------------------ statements


def in_place(x, y):
    z = x.clone()
    z += y
    z.mul_(2).sub_(y).div_(3).add_(y, alpha=3).clamp_(max=50.0).neg_().pow_(2).mul_(0.1)
    torch.sigmoid_(z)
    return z


def write_through_views(A, x):
    B = A.clone()
    row, column = B[1], B[:, 2]
    row.copy_(x)
    column *= 2
    B.T[0] += x
    B[2:, 2:][0, 0] = 7.0
    B.view(16)[5] = x[0]
    B.diagonal().add_(x)
    return B, row * 1, column * 1


def write_by_mask(x, y):
    z = x.clone()
    z[x > 0] = y[x > 0]
    z[z < -1] = -1.0
    z[[0, 2]] += 1
    z.masked_fill_(z > 1, 0.5)
    z.index_fill_(0, torch.tensor([3]), 2.0)
    return z


def index_writes(A, C):
    B = torch.zeros(4, 4, dtype=A.dtype)
    B.index_add_(0, torch.tensor([0, 1, 0]), C)
    B.scatter_(1, torch.tensor([[0], [1], [2], [3]]), A[:, :1])
    B.scatter_add_(0, torch.tensor([[1, 1, 0, 2]]), A[:1])
    B.index_put_((torch.tensor([0, 0]), torch.tensor([1, 1])), A[0, :2], accumulate=True)
    B.index_copy_(0, torch.tensor([3]), C[:1])
    return B


def reshaped_in_place(A, x):
    B = A.clone()
    B.transpose_(0, 1)
    B[0] = x
    B.unsqueeze_(0).squeeze_(0)
    B.t_()
    return B


def filled(x):
    z = torch.empty_like(x)
    z.fill_(2.0)
    z[0] = x[1]
    z[1:3].zero_()
    w = torch.zeros(4, dtype=x.dtype)
    w[2:] = x[:2] ** 2
    return z + w


def out_argument(x, y):
    z = torch.empty(4, dtype=x.dtype)
    torch.mul(x, y, out=z)
    torch.exp(z, out=z)
    return z


def rnn(A, B, C, x):
    h = torch.zeros(4, dtype=x.dtype)
    out = []
    for row in C:
        h = torch.tanh(A @ row + B @ h + x)
        out.append(h)
    return torch.stack(out)


def no_grad_block(x, y):
    with torch.no_grad():
        scale = x.norm()
    z = x / scale

    @torch.no_grad()
    def target(v):
        return v * 2

    with torch.inference_mode():
        w = y * 3
    return z * target(y) + w.clone()


def detached_loop(A, x):
    h = x
    for _ in range(3):
        h = torch.tanh(A @ h.detach()) + h
    return h


def dictionaries(x, y):
    cache = {"z": x * y}
    cache["z"] = cache["z"] + x
    parameters = [x, y]
    loss = sum((p**2).sum() for p in parameters)
    return loss, cache["z"]


def branch(x, s):
    if s > 10:
        return x * 0
    while x.norm() < 10:
        x = x * 2
    return x if x[0] > 0 else x**2


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


def own_function(x):
    return Square.apply(x) * x


def functional_call(x, A, y):
    layer = torch.nn.Linear(4, 4)
    return torch.func.functional_call(layer, {"weight": A, "bias": y}, (x,))


def tensor_of_tensors(s, t, x):
    return x * torch.tensor([[s, t], [1.0, t]], dtype=torch.float64).sum() + s


def attribute_data(x):
    z = x * 2
    z.data = z.data * 1
    w = torch.zeros(4, dtype=x.dtype)
    w.data.copy_(x)
    return z + w


STATEMENTS = [in_place, write_through_views, write_by_mask, index_writes, reshaped_in_place, filled, rnn, no_grad_block]
STATEMENTS += [detached_loop, dictionaries, branch, own_function, functional_call]


@pytest.mark.parametrize("function", STATEMENTS, ids=lambda f: f.__name__)
def test_statements(function) -> None:
    gradient_agrees(function)


@pytest.mark.parametrize("function", [out_argument, attribute_data, tensor_of_tensors], ids=lambda f: f.__name__)
def test_statements_that_autograd_does_not_follow(function) -> None:
    replay(function)


@pytest.mark.parametrize(
    "name", ["sigmoid", "softmax", "cross entropy", "layer_norm", "matmul", "constants", "var", "rounding"]
)
def test_float32_replays_in_float32(name: str) -> None:
    replay(EXPRESSIONS[name], dtype="float32")


def test_hardsigmoid_whose_slope_torch_rounds_to_float32() -> None:
    run = replay(lambda x: F.hardsigmoid(x).sum())
    point = points("x")[0]
    (found,) = gradients(run, point, ["x"], {"output": np.array(1.0)}).values()
    assert found.tolist() == [1 / 6] * 4
    x = torch.tensor(point["x"], requires_grad=True)
    assert torch.autograd.grad(F.hardsigmoid(x).sum(), x)[0][0].item() == float(np.float32(1 / 6))


def test_vander_whose_gradient_torch_refuses() -> None:
    replay(lambda x: torch.linalg.vander(x) + torch.vander(x))


def test_a_hand_derivation_ignores_detach() -> None:
    function = Function.of(lambda x: x.detach() * 2, stops=False)
    run = function.run(points("x")[0])
    assert "stop" not in {step.op for step in run.program.steps}


def with_autograd(W, x):
    h = torch.tanh(x @ W).detach().requires_grad_()
    (dh,) = torch.autograd.grad(torch.sin(h).sum(), h)
    return x.T @ (dh * (1 - h.detach() ** 2))


def test_a_hand_derivation_may_let_autograd_differentiate_a_part() -> None:
    W, x = torch.randn(2, 3, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    program = Function.of(with_autograd, stops=False).run({"W": W.numpy(), "x": x.numpy()}).program
    there = {"W": (W + 0.3).requires_grad_(), "x": x}
    torch.sin(torch.tanh(x @ there["W"])).sum().backward()
    moved = {n: v.detach() for n, v in there.items()}
    torch.testing.assert_close(floats(program, moved)[program.output], there["W"].grad)


def test_half_precision() -> None:
    run = Function.of(lambda x: (x.exp() + 1).sum()).run({"x": np.ones(4)}, "bfloat16")
    assert run.program.steps[run.program.output].dtype == "bfloat16"
