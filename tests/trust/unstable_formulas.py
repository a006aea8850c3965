"""Formulas that are right and break in floats, and others that are stable or merely ill-conditioned, as people write
them: in torch, NumPy, math and text, for numbers and arrays, in float64 and float32.

Run as a script it prints, for each, the simplest point that `find_instabilities` shows and what it says to write
instead; and in the end how many unstable formulas were found, for how many of them a proved and stable rewrite was
given, and how many of the others were accused.

    python tests/trust/unstable_formulas.py

The first family was written down before there was any rewrite; the second after they were done, to see how far they
reach: 20 of its 20 were found and 15 rewritten, before what it taught was added (an entry of a function, a term taken
out of a denominator, powers of products); one of its stable formulas was accused, rightly, and was given a domain.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from symgrad import find_instabilities


@dataclass(frozen=True)
class Case:
    """A formula, the shapes of its inputs, the dtype that it is run in, and where it is asked about."""

    name: str
    formula: str | Callable[..., Any]
    at: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    domain: Any = None

    def __str__(self) -> str:
        return f"{self.name} ({self.dtype})"


# ------------------------------------------------------------------------------------------------ as people write them


def numpy_sigmoid(z):
    return 1 / (1 + np.exp(-z))


def slope_of_sigmoid(z):
    s = torch.sigmoid(z)
    return s * (1 - s)


def slope_by_helper(w, x):
    s = numpy_sigmoid(w * x)
    return s * (1 - s) * x


def slope_of_tanh(x):
    h = torch.tanh(x)
    return 1 - h**2


def cross_entropy(z, y):
    p = torch.sigmoid(z)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))


def softmax_by_hand(x):
    e = np.exp(x)
    return e / e.sum()


def softmax_rows(x):
    e = torch.exp(x)
    return e / e.sum(1, keepdim=True)


def log_of_softmax(x):
    p = torch.softmax(x, 0)
    return torch.log(p)


def log_of_own_softmax(x):
    p = np.exp(x) / np.sum(np.exp(x))
    return np.log(p)


def log_sum_exp(x):
    return torch.log(torch.exp(x).sum())


def log_mean_exp(x):
    return np.log(np.mean(np.exp(x)))


def variance(x):
    m = x.mean()
    return (x**2).mean() - m**2


def variance_numpy(x):
    return np.mean(x**2) - np.mean(x) ** 2


def quadratic_root(a, b, c):
    d = math.sqrt(b * b - 4 * a * c)
    return (-b + d) / (2 * a)


def likelihood(p):
    total = torch.prod(p)
    return torch.log(total)


def softplus_math(x):
    return math.log(1 + math.exp(x))


def compound_interest(r, n):
    return (1 + r / n) ** n


def hyperbolic(x):
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


def entropy(z):
    p = torch.softmax(z, 0)
    return -(p * torch.log(p)).sum()


def distance(x, y):
    r = torch.sqrt(x * x + y * y)
    return x / r


# ------------------------------------------------------------------------------------------------ unstable

SHORT = {"x": (3,)}

UNSTABLE_FIRST = (
    Case("softplus, text", "log(1 + exp(x))"),
    Case("softplus, torch", lambda x: torch.log(1 + torch.exp(x)), SHORT, "float32"),
    Case("softplus, math", softplus_math),
    Case("log(1 + u)", lambda x: np.log(1 + x)),
    Case("log(1 - p)", lambda p: torch.log(1 - p), {}, "float32", {"p": (0, 1)}),
    Case("expm1", "(exp(x) - 1)/x"),
    Case("expm1, NumPy", lambda x: np.exp(x) - 1, SHORT),
    Case("slope of sigmoid", slope_of_sigmoid, {"z": (3,)}, "float32"),
    Case("slope of sigmoid by a helper", slope_by_helper),
    Case("slope of sigmoid, written out", "exp(-z)/(1 + exp(-z))**2"),
    Case("slope of tanh", slope_of_tanh, SHORT),
    Case("slope of tanh, text", "1 - tanh(x)**2", {}, "float32"),
    Case("1 - sigmoid", lambda x: 1 - torch.sigmoid(x)),
    Case("sigmoid as a quotient", lambda x: np.exp(x) / (1 + np.exp(x)), SHORT),
    Case("two-class softmax", "exp(x)/(exp(x) + exp(y))"),
    Case("log of two exponentials", lambda x, y: torch.log(torch.exp(x) + torch.exp(y)), {}, "float32"),
    Case("log of sigmoid", lambda x: torch.log(torch.sigmoid(x)), SHORT),
    Case("cross entropy", cross_entropy, {"z": (3,), "y": torch.tensor([0.0, 1.0, 1.0])}, "float32"),
    Case("softmax, NumPy", softmax_by_hand, SHORT),
    Case("softmax of rows", softmax_rows, {"x": (2, 3)}, "float32"),
    Case("log of softmax", log_of_softmax, SHORT),
    Case("log of an own softmax", log_of_own_softmax, SHORT),
    Case("log of a sum of exponentials", log_sum_exp, SHORT, "float32"),
    Case("log of a mean of exponentials", log_mean_exp, {"x": (4,)}),
    Case("difference of roots", "sqrt(x + 1) - sqrt(x)"),
    Case("root less one", lambda x: torch.sqrt(1 + x) - 1),
    Case("difference of reciprocals", "1/x - 1/(x + 1)"),
    Case("quadratic formula", quadratic_root, {"a": 1.0, "b": 5.0, "c": 1.0}),
    Case("versine", "(1 - cos(x))/x**2"),
    Case("versine, torch", lambda x: 1 - torch.cos(x), SHORT, "float32"),
    Case("sine from cosine", lambda x: np.sqrt(1 - np.cos(x) ** 2)),
    Case("difference of sines", "sin(x + y) - sin(x)"),
    Case("hypotenuse", lambda x, y: np.sqrt(x**2 + y**2)),
    Case("unit vector", distance, {}, "float32"),
    Case("hyperbolic tangent by hand", hyperbolic, SHORT),
    Case("hyperbolic sine by hand", "(exp(x) - exp(-x))/2"),
    Case("log of cosh", lambda x: torch.log(torch.cosh(x)), {}, "float32"),
    Case("inverse hyperbolic sine", "log(x + sqrt(x**2 + 1))"),
    Case("inverse hyperbolic tangent", lambda x: 0.5 * np.log((1 + x) / (1 - x))),
    Case("1 - erf", "1 - erf(x)"),
    Case("log of a normal tail", lambda x: torch.log(torch.special.ndtr(x))),
    Case("scaled erfc", "exp(x**2)*erfc(x)"),
    Case("variance, torch", variance, {"x": (4,)}, "float32"),
    Case("variance, NumPy", variance_numpy, {"x": (5,)}),
    Case("log of a product", likelihood, {"p": (4,)}, "float32", {"p": (0, None)}),
    Case("entropy", entropy, {"z": (3,)}, "float32"),
    Case("compound interest", compound_interest, {}, "float64", {"r": (0, 1), "n": (1, None)}),
    Case("log of a quotient", "log(x/y)", {}, "float64", {"x": (0, None), "y": (0, None)}),
    Case("log of an exponential less one", "log(exp(x) - 1)"),
    Case("square of a difference", "x**2 - 2*x*y + y**2"),
)


# ------------------------------------------------------------------------------------------------ not unstable


def stable_softplus(x):
    return torch.clamp(x, min=0) + torch.log1p(torch.exp(-torch.abs(x)))


def stable_softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def stable_sigmoid(z):
    return torch.where(z > 0, 1 / (1 + torch.exp(-z)), torch.exp(z) / (1 + torch.exp(z)))


def branching(x):
    if x > 0:
        return x + math.log1p(math.exp(-x))
    return math.log1p(math.exp(x))


def centred_variance(x):
    m = x.mean()
    return ((x - m) ** 2).mean()


def layer(w, x):
    return torch.tanh(w @ x)


def kahan_slope(x):
    h = torch.tanh(x)
    return h * h


STABLE_FIRST = (
    # no more is lost than the inputs' own rounding makes: as ill-conditioned as it is computed
    Case("difference of squares", lambda x, y: x**2 - y**2, {}, "float32"),
    Case("difference of squares, text", "x*x - y*y"),
    Case("logarithm", "log(x)"),
    Case("logarithm, torch", lambda x: torch.log(x), SHORT, "float32", {"x": (0, None)}),
    Case("difference of inputs", "x - y"),
    Case("difference of inputs, float32", lambda x, y: x - y, {}, "float32"),
    Case("sum of inputs", lambda x: x.sum(), {"x": (6,)}, "float32"),
    Case("sine", "sin(x)"),
    Case("sine, torch", lambda x: torch.sin(x), SHORT, "float32"),
    Case("cosine", "cos(x)"),
    Case("tangent", lambda x: np.tan(x)),
    Case("arc cosine", "acos(x)"),
    Case("log of a product, two", "log(x) + log(y)"),
    Case("sigmoid by exp(-z)", "1/(1 + exp(-z))"),
    Case("sigmoid, torch", lambda z: torch.sigmoid(z), {"z": (3,)}, "float32"),
    Case("sigmoid slope, stable", lambda z: torch.sigmoid(z) * torch.sigmoid(-z), {"z": (3,)}, "float32"),
    Case("softplus, stable", stable_softplus, SHORT),
    Case("softplus, branching", branching),
    Case("softplus by logaddexp", lambda x: np.logaddexp(0, x)),
    Case("softmax, stable", stable_softmax, SHORT),
    Case("softmax, torch", lambda x: torch.softmax(x, 1), {"x": (2, 3)}, "float32"),
    Case("log_softmax", lambda x: torch.log_softmax(x, 0), SHORT, "float32"),
    Case("sigmoid, where", stable_sigmoid, {}, "float64", {"z": (-80, 80)}),
    Case("expm1", "expm1(x)/x"),
    Case("log1p", lambda x: np.log1p(x)),
    Case("hypot", lambda x, y: torch.hypot(x, y), {}, "float32"),
    Case("variance, centred", centred_variance, {"x": (4,)}, "float32"),
    Case("a layer", layer, {"w": (2, 3), "x": (3,)}, "float32"),
    Case("square of tanh", kahan_slope, SHORT),
    Case("polynomial", "x**3 + x"),
    Case("quotient", "x/y"),
    Case("Gaussian", "exp(-x**2/2)"),
    Case("Gaussian, torch", lambda x, s: torch.exp(-(x**2) / (2 * s**2)) / s, {}, "float32", {"s": (0.1, 10)}),
    Case("a difference of products", "(x - y)*(x + y)"),
    Case("square root", "sqrt(x)"),
    Case("power", "x**y", {}, "float64", {"x": (0, None), "y": (-5, 5)}),
    Case("exponential of a difference", "exp(x - y)"),
    Case("dot product", lambda x, y: x @ y, {"x": (5,), "y": (5,)}, "float32"),
    Case("mean squared error", lambda x, y: ((x - y) ** 2).mean(), {"x": (4,), "y": (4,)}, "float32"),
    Case("relu net", lambda w, x: torch.relu(w * x) ** 2, {"w": (3,), "x": (3,)}, "float32"),
    Case("arc tangent", lambda y, x: np.arctan2(y, x)),
    Case("erfc", "erfc(x)"),
    Case("logsumexp", lambda x: torch.logsumexp(x, 0), {"x": (4,)}, "float32"),
    Case("hyperbolic sine", "sinh(x)"),
    Case("slope of tanh by cosh", "1/cosh(x)**2"),
    Case(
        "binary cross entropy", lambda z, y: F.binary_cross_entropy_with_logits(z, y), {"z": (3,), "y": (3,)}, "float32"
    ),
)


# ------------------------------------------------------------------------------------------------ the second family


def log_odds(x):
    p = torch.sigmoid(x)
    return torch.log(p) - torch.log(1 - p)


def focal_loss(z):
    p = torch.sigmoid(z)
    return -((1 - p) ** 2) * torch.log(p)


def hill(x):
    return x**8 / (1 + x**8)


def decay(a, b, t):
    return (math.exp(-a * t) - math.exp(-b * t)) / (b - a)


def logistic_loss(w, x):
    margin = w @ x
    return np.log(1 + np.exp(-margin))


def nll(x):
    e = torch.exp(x)
    return -torch.log(e[0] / e.sum())


def mixture(x):
    return np.log(0.5 * np.exp(-((x - 1) ** 2) / 2) + 0.5 * np.exp(-((x + 1) ** 2) / 2))


def deviation(x):
    return np.sqrt(np.mean(x**2) - np.mean(x) ** 2)


def covariance(x, y):
    return (x * y).mean() - x.mean() * y.mean()


def geometric_mean(x):
    return np.prod(x) ** (1 / 4)


UNSTABLE_SECOND = (
    Case("log-odds", log_odds, SHORT, "float32"),
    Case("Gumbel tail", "1 - exp(-exp(-x))"),
    Case("Hill function", hill, {}, "float32"),
    Case("focal loss", focal_loss, {"z": (3,)}, "float32"),
    Case("log of a share", lambda x, y: np.log(x / (x + y)), {}, "float64", {"x": (0, None), "y": (0, None)}),
    Case("decay chain", decay, {}, "float64", {"a": (0, 5), "b": (5, 10), "t": (0, None)}),
    Case("Planck", "x**3/(exp(x) - 1)", {}, "float64", {"x": (0, None)}),
    Case("Einstein", lambda x: x**2 * np.exp(x) / (np.exp(x) - 1) ** 2, {}, "float64", {"x": (0, None)}),
    Case("kinetic energy", "1/sqrt(1 - b**2) - 1", {}, "float64", {"b": (-1, 1)}),
    Case("Langevin", "1/tanh(x) - 1/x"),
    Case("logistic loss", logistic_loss, {"w": (3,), "x": (3,)}),
    Case("pseudo-Huber", lambda x: torch.sqrt(x * x + 1) - 1, SHORT, "float32"),
    Case("negative log-likelihood", nll, {"x": (3,)}, "float32"),
    Case("mixture of Gaussians", mixture),
    Case("difference of arc tangents", "atan(x + 1) - atan(x)"),
    Case("standard deviation", deviation, {"x": (4,)}),
    Case("log-sigmoid by subtraction", "x - log(1 + exp(x))"),
    Case("geometric mean", geometric_mean, {"x": (4,)}, "float64", {"x": (0, None)}),
    Case("elu by hand", lambda x: torch.where(x > 0, x, torch.exp(x) - 1), {}, "float32"),
    Case("covariance", covariance, {"x": (4,), "y": (4,)}, "float32"),
)


def norm_layer(x):
    m = x.mean()
    v = ((x - m) ** 2).mean()
    return (x - m) / torch.sqrt(v + 1e-5)


def attention(q, k):
    return torch.softmax(q @ k.T, 1)


STABLE_SECOND = (
    Case("log-softmax, one entry", lambda x: -torch.log_softmax(x, 0)[1], SHORT, "float32"),
    Case("error function", "erf(x)"),
    Case("soft sign", lambda x: x / (1 + np.abs(x)), SHORT),
    Case("difference of log-sum-exps", lambda x, y: np.logaddexp(x, 0) + np.logaddexp(y, 0)),
    Case(
        "layer norm", norm_layer, {"x": (4,)}, "float32", {"x": (-1e6, 1e6)}
    ),  # at 1e30 x**2 overflows, and it is told
    Case("attention", attention, {"q": (2, 3), "k": (2, 3)}, "float32"),
    Case("elu", lambda x: torch.where(x > 0, x, torch.expm1(x)), SHORT, "float32"),
    Case("reciprocal", "1/x"),
    Case("angle", "atan2(y, x)"),
    Case("running sum", lambda x: torch.cumsum(x, 0), {"x": (4,)}, "float32"),
    Case("weighted mean", lambda w, x: (w * x).sum() / w.sum(), {"w": (3,), "x": (3,)}, "float64", {"w": (0, None)}),
    Case("exponential times power", "x*exp(-x)"),
)


# ------------------------------------------------------------------------------------------------ what is found


@dataclass(frozen=True)
class Found:
    """What was said of one case."""

    case: Case
    instabilities: tuple[Any, ...]

    @property
    def is_rewritten(self) -> bool:
        return any(i.rewrite is not None for i in self.instabilities)

    @property
    def is_mended(self) -> bool:
        """Whether there is something to write for every way in which it breaks."""
        return bool(self.instabilities) and all(i.rewrite is not None for i in self.instabilities)


def asked(case: Case) -> Found:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows are what is looked for
        return Found(case, find_instabilities(case.formula, at=case.at, dtype=case.dtype, domain=case.domain))


def summary(unstable: Iterable[Found], others: Iterable[Found]) -> str:
    unstable, others = list(unstable), list(others)
    found = sum(bool(f.instabilities) for f in unstable)
    some, all_ = sum(f.is_rewritten for f in unstable), sum(f.is_mended for f in unstable)
    accused = sum(bool(f.instabilities) for f in others)
    return (
        f"unstable {len(unstable)}: found {found}, rewritten {some}, every finding rewritten {all_}; "
        f"stable or ill-conditioned {len(others)}: accused {accused}"
    )


def main() -> None:
    for title, unstable, others in (
        ("FIRST", UNSTABLE_FIRST, STABLE_FIRST),
        ("SECOND", UNSTABLE_SECOND, STABLE_SECOND),
    ):
        judged = [asked(case) for case in unstable]
        for f in judged:
            print(f"{f.case}")
            for i in f.instabilities:
                where = ", ".join(f"{n} = {np.asarray(x).tolist()}" for n, x in i.point.items())
                print(f"    {i.kind:<13}{where}: {i.computed:.6g}, exact {i.exact:.6g}")
                side = "" if i.rewrite is None or i.rewrite.where is None else f"   where {i.rewrite.where}"
                print(f"        {'-' if i.rewrite is None else i.rewrite.after + side}")
        silent = [asked(case) for case in others]
        for f in silent:
            for i in f.instabilities:
                print(f"ACCUSED {f.case}\n{i}")
        print(f"{title}: {summary(judged, silent)}\n")


if __name__ == "__main__":
    main()
