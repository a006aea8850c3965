"""SciPy's functions, recorded by running them: each line is replayed at a second point, in float64 and in float32."""

import numpy as np
import pytest
from support.lifting_replay import replay

from symgrad import verify
from symgrad.errors import LostValue

special = pytest.importorskip("scipy.special")
linalg = pytest.importorskip("scipy.linalg")
stats = pytest.importorskip("scipy.stats")

EXPRESSIONS = {
    "ufuncs": lambda x, p: (
        special.expit(x) * special.erf(x) + special.gammaln(p) + special.xlogy(p, p) + special.ndtr(x)
    ),
    "softmax": lambda x, A: special.softmax(x) + special.softmax(A, axis=0)[1] + special.softmax(A, axis=-1)[:, 0],
    "log_softmax": lambda x, A: special.log_softmax(x) * special.log_softmax(A, axis=1),
    "logsumexp": lambda x, A: special.logsumexp(x) + special.logsumexp(A, axis=0) + special.logsumexp(x - 1, b=2.0),
    "logsumexp that keeps axes": lambda A: A - special.logsumexp(A, axis=1, keepdims=True),
    "linear algebra": lambda P, x: linalg.inv(P) @ x + linalg.solve(P, x) + linalg.det(P) + linalg.norm(x),
    "cholesky": lambda P: linalg.cholesky(P) + linalg.cholesky(P, lower=True) * 2,
    "normal": lambda x, p: stats.norm.pdf(x) + stats.norm.cdf(x, 0.1, p) + stats.norm.logpdf(x, scale=p),
    "normal tails": lambda x: stats.norm.sf(x) + stats.norm.logsf(x, 0.1) + stats.norm.logcdf(x) * x,
    "normal, frozen": lambda x, p: stats.norm(0.1, scale=2.0).pdf(x) + stats.norm(loc=0.3).cdf(x),
    "functions of data": lambda x: x * stats.norm.ppf(0.3) * special.comb(5, 2) + linalg.expm(np.eye(4))[0] * x,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_expression(name, dtype):
    replay(EXPRESSIONS[name], like="numpy", dtype=dtype)


def test_a_vega_with_the_distribution_for_the_density():
    def price(s):
        d = (np.log(100 / 105.0) + 0.05 + 0.5 * s**2) / s
        return 100 * stats.norm.cdf(d, 0.0, 1.0) - 105 * np.exp(-0.05) * stats.norm.cdf(d - s, 0.0, 1.0)

    def vega(s):
        return 100 * stats.norm.pdf((np.log(100 / 105.0) + 0.05 + 0.5 * s**2) / s)

    def wrong(s):
        return 100 * stats.norm.cdf((np.log(100 / 105.0) + 0.05 + 0.5 * s**2) / s)

    assert verify(price, vega, at={"s": 0.2}).ok
    assert verify(price, wrong, at={"s": 0.2}).verdict == "refuted"


def test_what_has_no_rule_is_named_with_its_line():
    with pytest.raises(LostValue) as caught:
        verify(lambda x: stats.norm.ppf(x), lambda x: 1 / stats.norm.pdf(x), at={"x": 0.3})
    assert "stats.norm.ppf(x)" in caught.value.where
