"""A hunt for broken rounding bounds: random Programs and torch functions, at the points where floats do their worst.

    python tests/support/bounds_fuzz.py [rounds] [seed]

Every round draws, in each dtype: each row of the operation table, at ordinary, huge, tiny, subnormal and special
points, on exact arguments and on arguments that carry an error; random Programs of arithmetic, rows, layouts, sums,
products, softmax and casts; and each of `MODELS` forward and backward.  The truth is the exact run in balls.  Printed
are the bounds that broke, the median of bound over error, and the share of bounds that are infinite.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from support.adjoints import adjoint
from torch import Tensor

from symgrad import lift
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, binary
from symgrad.evaluation.floats import to_numpy
from symgrad.ops.row import precision
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.program import Program, interpret
from symgrad.program.selection import select
from symgrad.rounding.attribution import size_of
from symgrad.rounding.autograd_bounds import autograd_bounds
from symgrad.rounding.kernel_bounds import FORMATS, Bound
from symgrad.rounding.running_bounds import distance, error_bounds, ulps

DTYPES = ("float16", "bfloat16", "float32", "float64")
KINDS = ("ordinary", "huge", "tiny", "subnormal", "special", "cancelling")
BITS = 500
SLOW = ("i0", "i1", "erfcx", "log_ndtr")  # few entries: their balls take long
SLOWEST = ("general_polygamma", "hurwitz_zeta", "polylog", "besseli", "zeta", "expint", "uppergamma")  # longer yet


@dataclass
class Tally:
    """What a hunt has seen: broken bounds in words, ratios bound / error by dtype, and how many bounds said nothing."""

    broken: list[str] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    entries: int = 0
    infinite: dict[str, list[int]] = field(default_factory=dict)

    def judge(self, what: str, dtype: str, bound: Bound, truth: Any) -> None:
        """Count every entry of one bound; the nearest float to the truth is never wrong."""
        with precision(BITS):
            low, high = distance(bound.value, truth)
            size = torch.tensor([size_of(x) for x in np.asarray(truth, dtype=object).reshape(-1)]).reshape(low.shape)
        low = torch.where(ulps(low, size.double(), bound.value.dtype) > 0.5, low, 0.0)
        value = bound.value.detach()
        size = value.to(torch.complex128).abs() if value.is_complex() else value.double().abs()
        normal = (size >= FORMATS[value.dtype].normal) & torch.isfinite(size)
        self.entries += int(normal.numel())
        if (low > bound.error).any():
            k = int((low - bound.error).nan_to_num(posinf=1e300).reshape(-1).argmax())
            got, off, allowed = (x.reshape(-1)[k].item() for x in (value, low, bound.error))
            self.broken.append(f"{what}: {got!r} is off by {off:.3g}, its bound is {allowed:.3g}")
        unknown = self.infinite.setdefault(what, [0, 0])
        unknown[0] += int((~torch.isfinite(bound.error) & normal).sum())
        unknown[1] += int(normal.sum())
        seen = normal & (high > 0) & torch.isfinite(bound.error) & torch.isfinite(high)
        self.ratios.setdefault(dtype, []).extend((bound.error / high)[seen].tolist())


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, kind: str) -> Tensor:
    """Numbers of one kind, exact in the dtype."""
    info, n = torch.finfo(getattr(torch, dtype)), int(np.prod(shape, dtype=int))
    sign = rng.choice([-1.0, 1.0], n)
    top, bottom = np.log10(info.max), np.log10(info.tiny)
    match kind:
        case "huge":
            x = sign * 10 ** rng.uniform(top / 4, top, n)
        case "tiny":
            x = sign * 10 ** rng.uniform(bottom, bottom / 4, n)
        case "subnormal":
            x = sign * info.tiny * rng.uniform(0, 1, n)
        case "special":
            x = sign * rng.choice([0.0, 0.5, 1.0, 2.0, 3.0, np.pi / 2, np.pi, 10.0, 88.0], n)
            x = x * (1 + rng.choice([0, 1, -1, 5], n) * info.eps)
        case "cancelling":
            x = sign * (1 + rng.uniform(-1, 1, n) * 10 ** rng.uniform(np.log10(info.eps), -1, n))
        case _:
            x = rng.standard_normal(n) * np.exp(rng.standard_normal(n))
    return torch.tensor(x, dtype=torch.float64).to(getattr(torch, dtype)).reshape(shape)


def truth_of(program: Program, at: dict[str, Tensor], step: int) -> Any:
    with precision(BITS):
        return interpret(program, Balls(), {n: binary(to_numpy(at[n])) for n in program.inputs}, [step])[step]


# ------------------------------------------------------------------------------------------------ rows


def rows(rng: np.random.Generator, tally: Tally, names: Iterator[str] | list[str]) -> None:
    """Every row alone, on exact arguments and on ones that carry the error of a product."""
    for name in names:
        op, n = OPS[name], 1 if name in SLOWEST else 4 if name in SLOW else 12
        for dtype in DTYPES:
            for kind in KINDS:
                if name in SLOWEST and kind == "huge":
                    continue
                b = Builder()
                letters = "xyzw"[: op.arity]
                at = {k: draw(rng, (n,), dtype, kind) for k in letters}
                steps = [b.input(k, (n,), dtype) for k in letters]
                rounded = bool(rng.integers(2))
                if rounded:
                    steps = [b.mul(s, b.number(3, dtype)) for s in steps]
                try:
                    values = [(3 * at[k] if rounded else at[k]).double().numpy() for k in letters]
                    out = select(b, name, steps, values) if op.branches else b.apply(name, *steps)
                    program = b.build({"out": out})
                    bound = error_bounds(program, at, [out])[out]
                except (RuntimeError, NotImplementedError):
                    continue  # torch has no such kernel
                tally.judge(
                    f"{name}{' of a product' * rounded} {dtype} {kind}", dtype, bound, truth_of(program, at, out)
                )


# ------------------------------------------------------------------------------------------------ random Programs

_UNARY = ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "softplus", "erf", "expm1", "log1p", "rsqrt", "silu",
          "gelu", "reciprocal", "square", "abs", "atan", "asinh", "sinh", "cosh", "logsigmoid")  # fmt: skip


def random_program(rng: np.random.Generator, dtype: str, length: int = 9) -> Program:
    """Square matrices through ``length`` random steps."""
    b, n = Builder(), 3
    pool = [b.input(k, (n, n), dtype) for k in "xy"]
    for _ in range(length):
        a, c = (pool[int(k)] for k in rng.integers(max(0, len(pool) - 4), len(pool), 2))
        match int(rng.integers(14)):
            case 0 | 1:
                new = b.add(a, c)
            case 2:
                new = b.sub(a, c)
            case 3 | 4:
                new = b.mul(a, c)
            case 5:
                new = b.div(a, c)
            case 6 | 7 | 8:
                new = b.apply(str(rng.choice(_UNARY)), a)
            case 9:
                new = b.matmul(a, c)
            case 10:
                new = b.emit(str(rng.choice(["softmax", "log_softmax"])), (a,), int(rng.integers(2)), (n, n))
            case 11:
                new = b.integer_power(a, int(rng.choice([-3, -2, -1, 2, 3, 5])))
            case 12:
                new = b.add(b.broadcast(b.reshape(b.sum(a, 0), (1, n)), (n, n)), b.transpose(c))
            case _:
                new = b.cast(b.cast(a, str(rng.choice(DTYPES))), dtype)
        pool.append(new)
    return b.build({"out": pool[-1]})


def programs(rng: np.random.Generator, tally: Tally, count: int) -> None:
    for k in range(count):
        for dtype in DTYPES:
            program = random_program(rng, dtype)
            kind = str(rng.choice(KINDS))
            at = {n: draw(rng, (3, 3), dtype, kind) for n in program.inputs}
            bound = error_bounds(program, at, [program.output])[program.output]
            ops = " ".join(program.steps[i].op for i in program.needed([program.output]))
            tally.judge(f"program {k} {dtype} {kind} [{ops}]", dtype, bound, truth_of(program, at, program.output))


# ------------------------------------------------------------------------------------------------ torch functions

PLACES = torch.tensor([0, 2, 1, 1])
MODELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "linear": lambda x, w: F.linear(x, w).square().sum(),
    "mse": lambda x, w: F.mse_loss(x @ w.T, torch.ones(4, 3, dtype=x.dtype)),
    "cross_entropy": lambda x, w: F.cross_entropy(x @ w.T, PLACES),
    "nll": lambda x, w: F.nll_loss(F.log_softmax(x, 1), PLACES),
    "bce_with_logits": lambda x, w: F.binary_cross_entropy_with_logits(x, torch.full_like(x, 0.25)),
    "bce": lambda x, w: F.binary_cross_entropy(x.sigmoid(), torch.full_like(x, 0.25)),
    "layer_norm": lambda x, w: (F.layer_norm(x, (5,)) * w[0]).pow(3).sum(),
    "group_norm": lambda x, w: (F.group_norm(x[None, :, :], 2) * w[0]).pow(3).sum(),
    "instance_norm": lambda x, w: (F.instance_norm(x[None]) * w[0]).square().sum(),
    "batch_norm": lambda x, w: (F.batch_norm(x, None, None, training=True) * w[0]).pow(3).sum(),
    "rms_norm": lambda x, w: (F.rms_norm(x, (5,)) * w[0]).sum(),
    "normalize": lambda x, w: (F.normalize(x, dim=1) @ w.T).sum(),
    "cosine_similarity": lambda x, w: F.cosine_similarity(x[:3], w, dim=1).sum(),
    "gelu": lambda x, w: F.gelu(x).sum(),
    "gelu_tanh": lambda x, w: F.gelu(x, approximate="tanh").sum(),
    "silu": lambda x, w: F.silu(x).sum(),
    "softplus": lambda x, w: F.softplus(x).sum(),
    "mish": lambda x, w: F.mish(x).sum(),
    "elu": lambda x, w: (F.elu(x) * x).sum(),
    "selu": lambda x, w: (F.selu(x) * x).sum(),
    "glu": lambda x, w: F.glu(x[:, :4]).sum(),
    "hardswish": lambda x, w: (F.hardswish(x) * x).sum(),
    "hardsigmoid": lambda x, w: (F.hardsigmoid(x) * x).sum(),
    "logsigmoid": lambda x, w: F.logsigmoid(x).sum(),
    "softsign": lambda x, w: F.softsign(x).sum(),
    "tanhshrink": lambda x, w: F.tanhshrink(x).sum(),
    "relus": lambda x, w: (F.relu(x) + F.leaky_relu(x) + x.clamp(-0.5, 0.5) * x).sum(),
    "softmax": lambda x, w: F.softmax(x, 1).square().sum(),
    "log_softmax": lambda x, w: F.log_softmax(x, 0).square().sum(),
    "logsumexp": lambda x, w: x.logsumexp(1).sum(),
    "logcumsumexp": lambda x, w: x.logcumsumexp(1).sum(),
    "var": lambda x, w: x.var(0).sum(),
    "std": lambda x, w: x.std(1).sum(),
    "norm": lambda x, w: x.norm(),
    "norm1": lambda x, w: x.norm(p=1),
    "norm3": lambda x, w: x.norm(p=3, dim=1).sum(),
    "vector_norm": lambda x, w: torch.linalg.vector_norm(w, dim=1).sum() * x.sum(),
    "cdist": lambda x, w: torch.cdist(x, w).sum(),
    "elementary": lambda x, w: (x.sin() * x.cos() + x.erf() + x.exp() * x.tanh() + x.abs().log()).sum(),
    "tan": lambda x, w: x.tan().sum(),
    "asinh": lambda x, w: (x.asinh() + x.atan() + x.sinh() * x.cosh()).sum(),
    "acos": lambda x, w: ((x.tanh() / 2).acos() + (x.tanh() / 2).asin() + (x.tanh() / 2).atanh()).sum(),
    "acosh": lambda x, w: (1 + x * x).acosh().sum(),
    "logs": lambda x, w: (x.abs().log2() + x.abs().log10() + x.abs().log1p() + x.exp2() + x.expm1()).sum(),
    "special": lambda x, w: (x.erfc() + torch.special.log_ndtr(x) + torch.special.ndtr(x)).sum(),
    "gammas": lambda x, w: (x.abs().lgamma() + x.abs().digamma()).sum(),
    "sinc": lambda x, w: torch.sinc(x).sum(),
    "sqrt": lambda x, w: (x.abs().sqrt() + x.abs().rsqrt() + x.reciprocal()).sum(),
    "powers": lambda x, w: (x**3 + x.abs() ** 0.3 + x.abs() ** -1.5 + x / (1 + x * x)).sum(),
    "base": lambda x, w: (2**x + torch.pow(x.abs(), w[0])).sum(),
    "max": lambda x, w: x.max(1).values.sum() + (x.amax() * x).sum(),
    "median": lambda x, w: (x.median(1).values * x[:, 0]).sum(),
    "sort": lambda x, w: (x.sort(1).values * w[0]).sum() + x.topk(2, 1).values.exp().sum(),
    "maximum": lambda x, w: torch.maximum(x, x.flip(0)).exp().sum(),
    "indexing": lambda x, w: x[PLACES].exp().sum() + x.gather(1, PLACES[:, None]).square().sum(),
    "scatter_add": lambda x, w: x.new_zeros(3, 5).index_add(0, PLACES, x).square().sum(),
    "layouts": lambda x, w: torch.cat([x, w]).exp().mean() + torch.stack([x, x * x]).mean(0).sum() + x.T.tril().sum(),
    "roll": lambda x, w: (x.roll(1, 0) * x + x.flip(1) * x + x.repeat(1, 1) * x.diag().sum()).sum(),
    "in place": lambda x, w: (x * 2).mul_(x).add_(0.3).relu_().sum(),
    "where": lambda x, w: torch.where(x > 0, x * x, x.exp()).sum(),
    "conv1d": lambda x, w: F.conv1d(x[None], w[None, :, :2].expand(1, 3, 2)[:, :1].repeat(1, 4, 1)).square().sum(),
    "conv2d": lambda x, w: F.conv2d(x[None, None], w[None, None, :2, :2], x[0, :1], padding=1).square().sum(),
    "conv_transpose": lambda x, w: F.conv_transpose2d(x[None, None], w[None, None, :2, :2]).square().sum(),
    "pooling": lambda x, w: F.max_pool2d((x * x)[None], 2).sum() + F.avg_pool2d(x.exp()[None], 2).sum(),
    "adaptive": lambda x, w: F.adaptive_avg_pool2d(x[None], 2).square().sum(),
    "interpolate": lambda x, w: F.interpolate(x[None, None], scale_factor=2, mode="bilinear").square().sum(),
    "attention": lambda x, w: F.scaled_dot_product_attention(x[None], x[None] @ w.T @ w, x[None]).square().sum(),
    "embedding": lambda x, w: F.embedding(PLACES, w).square().sum() * x.sum(),
    "einsum": lambda x, w: torch.einsum("ij,kj->ik", x, w).tanh().sum(),
    "outer": lambda x, w: (torch.outer(x[0], w[0]) @ x[1]).sum() + x[0].dot(w[0]) + torch.trace(x @ w.T @ x @ x.T),
    "prod": lambda x, w: x.prod(),
    "prod1": lambda x, w: x.prod(1).sum(),
    "cumsum": lambda x, w: x.cumsum(0).square().sum(),
    "cumprod": lambda x, w: x.cumprod(1).sum(),
    "huber": lambda x, w: F.huber_loss(x, x.flip(0).detach()) + F.smooth_l1_loss(x * 3, x.flip(1).detach()),
    "l1": lambda x, w: F.l1_loss(x, 2 * x.flip(0)),
    "kl": lambda x, w: F.kl_div(F.log_softmax(x, 1), F.softmax(x.flip(0), 1), reduction="batchmean"),
    "lerp": lambda x, w: (x.addcmul(x, x, value=0.3) + torch.lerp(x, x * x, 0.3) + torch.addcdiv(x, x, x.exp())).sum(),
    "inverse": lambda x, w: torch.linalg.inv(x[:3, :3] + 3 * torch.eye(3, dtype=x.dtype)).square().sum(),
    "solve": lambda x, w: torch.linalg.solve(x[:3, :3] + 3 * torch.eye(3, dtype=x.dtype), x[:3, 3:]).square().sum(),
    "det": lambda x, w: torch.linalg.det(x[:3, :3]) + torch.logdet(x @ x.T + torch.eye(4, dtype=x.dtype)),
    "cholesky": lambda x, w: torch.linalg.cholesky(x @ x.T + torch.eye(4, dtype=x.dtype)).sum(),
    "hypot": lambda x, w: (torch.hypot(x, x.flip(0)) + torch.atan2(x, x.flip(0))).sum(),
    "logaddexp": lambda x, w: torch.logaddexp(x, x.flip(0)).sum(),
    "xlogy": lambda x, w: torch.xlogy(x, x.abs()).sum(),
    "variance by squares": lambda x, w: (x * x).mean() - x.mean() ** 2,
    "gaussian": lambda x, w: (-((x - w[0]) ** 2) / (2 * w[1].exp() ** 2) - w[1]).sum(),
    "attention by hand": lambda x, w: (torch.softmax((x @ w.T) / 5**0.5, -1) @ w).square().sum(),
    "fft": lambda x, w: torch.fft.rfft(x[0]).abs().sum(),
}  # fmt: skip


# Where autograd's own formula is not the derivative, so that its distance from the truth is no rounding.
NOT_ROUNDING = {
    "hardsigmoid float64": "torch multiplies by float32's 1/6",
    "bce": "torch divides by p (1 - p) or 1e-12, whichever is larger",
    "cosine_similarity": "torch differentiates the norms that it has clamped from below",
    "max ": "at ties the slope is shared out",
}


def models(rng: np.random.Generator, tally: Tally, names: list[str]) -> None:
    """Autograd's gradients, forward and backward, against the exact derivative of the code as it was lifted."""
    for name in names:
        for dtype in DTYPES:
            kind = str(rng.choice(("ordinary", "ordinary", *KINDS)))
            at = {"x": draw(rng, (4, 5), dtype, kind), "w": draw(rng, (3, 5), dtype, kind)}
            what = f"{name} {dtype} {kind}"
            try:
                program = lift(MODELS[name], at=at)
                found = adjoint(program, program.output)
                bounds = autograd_bounds(MODELS[name], at, ["x", "w"])
            except (SymgradError, RuntimeError, NotImplementedError):
                continue  # torch has no such kernel, or the point lies outside
            for k in bounds.unknown:
                tally.broken.append(f"{what}: {k} has no rule")
            for key, bound in bounds.gradients.items():
                step = found.of.get(program.inputs.get(key, -1))
                if bound is not None and step is not None and not any(map(what.startswith, NOT_ROUNDING)):
                    tally.judge(f"{what} d{key}", dtype, bound, truth_of(found.program, at, step))


def hunt(rounds: int, seed: int = 0, part: str = "all", share: float = 1.0) -> Tally:
    """So many rounds over everything, or over a random share of it."""
    tally = Tally()
    for k in range(rounds):
        rng = np.random.default_rng((seed, k))
        chosen = {n for n in (*OPS, *MODELS) if rng.random() < share}
        if part in ("all", "rows"):
            rows(rng, tally, [n for n in OPS if n in chosen])
        if part in ("all", "programs"):
            programs(rng, tally, round(40 * share))
        if part in ("all", "models"):
            models(rng, tally, [n for n in MODELS if n in chosen])
    return tally


def main(rounds: int, seed: int, part: str = "all") -> None:
    tally = hunt(rounds, seed, part)
    print(f"{tally.entries} entries, {len(tally.broken)} broken bounds")
    print("\n".join(sorted(tally.broken)))
    for dtype, ratios in tally.ratios.items():
        print(
            f"{dtype}: {len(ratios)} ratios, median {np.median(ratios):.3g}, 90% below {np.quantile(ratios, 0.9):.3g}"
        )
    none = {k: v for k, v in tally.infinite.items() if v[0] and "huge" not in k and "program" not in k}
    for k, (n, of) in sorted(none.items()):
        print(f"no bound: {k}: {n} of {of}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, int(sys.argv[2]) if len(sys.argv) > 2 else 0, *sys.argv[3:4])
