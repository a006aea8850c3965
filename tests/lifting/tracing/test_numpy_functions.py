"""NumPy code, recorded by running it: each line is replayed at a second point, in float64 and in float32."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from support.lifting_replay import replay

from symgrad import verify
from symgrad.lifting.tracing.functions import Function

EXPRESSIONS = {
    # functions of one entry
    "exp": lambda x: np.exp(x) + np.expm1(x) + np.exp2(x),
    "log": lambda p: np.log(p) + np.log1p(p) + np.log2(p) + np.log10(p),
    "roots": lambda p: np.sqrt(p) + np.cbrt(p) + np.square(p) + np.reciprocal(p),
    "trigonometry": lambda x: np.sin(x) + np.cos(x) * np.tan(x / 4),
    "inverse trigonometry": lambda x: np.arctan(x) + np.arcsin(x / 5) + np.arccos(x / 5) + np.arctan2(x, 2.0),
    "hyperbolic": lambda x: np.sinh(x) + np.cosh(x) * np.tanh(x),
    "inverse hyperbolic": lambda p: np.arcsinh(p) + np.arccosh(p + 1) + np.arctanh(p / 9),
    "degrees": lambda x: np.deg2rad(x) + np.rad2deg(x) + np.radians(x) + np.degrees(x),
    "two arguments": lambda p, q: np.hypot(p, q) + np.logaddexp(p, q) + np.logaddexp2(p, q) + np.arctan2(p, q),
    "softplus": lambda x: np.logaddexp(0, x) + np.exp(-np.logaddexp(0, -x)),
    "power": lambda p, y: np.power(p, y) + p**y + p**2 + p**-1 + p**0.5 + 2**y + np.float_power(p, 2),
    "arithmetic": lambda x, p: np.add(x, p) - np.subtract(x, p) * np.multiply(x, p) / np.divide(x, p) - (-x) + (+p),
    "sign and size": lambda x: np.abs(x) + np.sign(x) * x + np.absolute(x) + np.fabs(x) + np.negative(x) + abs(x),
    "maximum": lambda x, y: np.maximum(x, y) + np.minimum(x, 0.3) + np.fmax(x, y) + np.fmin(x, y),
    "heaviside": lambda x: x * np.heaviside(x, 0.5),
    "rounding": lambda x: x - np.floor(x) + np.ceil(x) * x + np.rint(x) * x + np.trunc(x) * x + np.round(x) * x,
    "modulo": lambda x: (x % 1.0) + np.mod(x, 0.7) + np.fmod(x, 0.7) + np.remainder(x, -0.7) + x // 1,
    "modf": lambda x: np.modf(x)[0] * 2,
    "divmod": lambda x: divmod(x, 0.7)[1],
    "sinc": lambda x: np.sinc(x),
    "copysign": lambda x, y: np.copysign(x, y),
    "constants": lambda x: x / np.sqrt(2 * np.pi) + np.e * x + np.log(10) * x + np.sqrt(10) * x,
    # layouts
    "slices": lambda x: x[1:] * x[:-1] + x[::-1][:3] + x[-1] * x[0],
    "newaxis": lambda x, y: x[:, None] * y[None] + x[np.newaxis, :, np.newaxis][0],
    "ellipsis": lambda X: X[..., 0] * X[:, :, -1] + X[..., 1:3].sum(-1),
    "fancy": lambda x: x[[0, 2, 2]] + x[np.array([1, 1, 3])] * x[-1],
    "fancy pairs": lambda A: A[np.arange(4), [3, 2, 1, 0]] + A[:, [0, 1]].sum(1),
    "mask": lambda x: x[np.array([True, False, True, True])] * 2,
    "mask of values": lambda x: np.sum(x[x > 0] ** 2),
    "T": lambda C: C.T @ C + C.transpose() @ C.transpose(1, 0).T,
    "reshape": lambda X: X.reshape(2, -1) + X.reshape((2, 12)) + np.reshape(X, (2, 12)) + X.reshape(-1, 12),
    "flat": lambda A: A.flatten() + A.ravel() + np.ravel(A),
    "squeeze": lambda x: np.squeeze(x[None]) + x[None].squeeze(0) + np.expand_dims(x, 1).squeeze(),
    "axes": lambda X: np.moveaxis(X, 0, -1) + X.swapaxes(0, 1).swapaxes(1, 2) + np.transpose(X, (1, 2, 0)),
    "concatenate": lambda x, y: np.concatenate([x, y]) * np.hstack([y, x]) + np.append(x, y),
    "concatenate rows": lambda A, C: np.concatenate((A, C), axis=0)[2:5] + np.vstack([A, C])[:3],
    "stack": lambda x, y: np.stack([x, y], axis=1) + np.column_stack((x, y)) + np.vstack([x, y]).T,
    "pad": lambda x: np.pad(x, (1, 2)) + np.pad(x, (2, 1), constant_values=3.0),
    "pad edge": lambda x: np.pad(x, 1, mode="edge") + np.pad(x, 1, mode="wrap") + np.pad(x, 1, mode="reflect"),
    "roll": lambda x, A: np.roll(x, 1) + np.roll(A, (1, 2), (0, 1))[0],
    "tile": lambda x: np.tile(x, 2) + np.repeat(x, 2) + np.tile(x, (2, 2))[0],
    "flip": lambda A: np.flip(A, 0) + np.fliplr(A) + np.flipud(A) + np.rot90(A),
    "triangles": lambda A: np.tril(A) + np.triu(A, 1) * 2 + np.diag(np.diag(A)),
    "diagonal": lambda A: np.diagonal(A) + A.diagonal() + np.trace(A) + A.trace(),
    "where": lambda x, y: np.where(x > y, x * y, x - y) + np.where(x > 0, x, 0) + np.where(x > 0, 1.0, y),
    "select": lambda x, y: np.select([x > 1, x > 0], [x * y, y], default=0.5),
    "split": lambda x: np.split(x, 2)[0] * np.array_split(x, 2)[1],
    "take": lambda x: np.take(x, [1, 0]) + x.take([2, 2]) + np.take_along_axis(x, np.array([0, 3]), 0),
    "meshgrid": lambda x, y: np.multiply(*np.meshgrid(x, y)),
    "broadcast": lambda x: np.broadcast_to(x, (3, 4)) * np.atleast_2d(x) + np.broadcast_arrays(x, np.ones((3, 1)))[0],
    "windows": lambda x: sliding_window_view(x, 2).sum(-1),
    "block": lambda A, B: np.block([[A, B], [B, A]]),
    "kron": lambda C, B: np.kron(C, B),
    "iteration": lambda A: sum(row[0] * row[1] for row in A),
    "enumerate": lambda x: sum(i * v for i, v in enumerate(x)),
    "zip": lambda x, y: sum(a * b for a, b in zip(x, y)),
    "tolist": lambda x: np.array([v * v for v in x.tolist()]),
    "item": lambda x: x[0].item() * x.item(1) + x[2:3].item(),
    # reductions
    "sum": lambda A: A.sum(0) + np.sum(A, axis=1) + A.sum() + np.sum(A, axis=(0, 1)) + A.sum(-1, keepdims=True)[:, 0],
    "mean": lambda A: A.mean(0) + np.mean(A, axis=-1) + A.mean() + np.average(A, axis=0),
    "average": lambda A, p: np.average(A, axis=1, weights=p) + np.average(p, weights=p),
    "var": lambda A: A.var(0) + np.var(A, axis=1, ddof=1) + A.std() + np.std(A, axis=0, ddof=1) + A.std(axis=1),
    "prod": lambda A: A.prod(0) + np.prod(A, axis=1) + np.prod(A),
    "max": lambda A: A.max(0) + np.max(A, axis=1) + A.min() + np.amin(A, axis=0) + np.ptp(A),
    "argmax": lambda A: A[A.argmax(0), np.arange(4)] + A[np.argmin(A[:, 0])] * A.argmax(),
    "cumulative": lambda A: np.cumsum(A, axis=0) + A.cumsum(1) + np.cumprod(A, 1),
    "cumulative flat": lambda A: np.cumsum(A) + np.cumprod(A.ravel()),
    "norm": lambda A, x: np.linalg.norm(x) + np.linalg.norm(A) + np.linalg.norm(A, axis=1) + np.linalg.norm(x, 1),
    "norms": lambda A, x: np.linalg.norm(x, 3) + np.linalg.norm(x, np.inf) + np.linalg.norm(A, "fro", keepdims=True)[0],
    "clip": lambda x: np.clip(x, -0.5, 0.5) + x.clip(0, None) + x.clip(min=-1, max=1) + np.clip(x, a_min=0, a_max=2),
    "sort": lambda x: np.sort(x) * np.arange(4) + x[np.argsort(x)] + np.sort(x)[::-1],
    "sort rows": lambda A: np.sort(A, axis=0) + np.take_along_axis(A, np.argsort(A, 1), 1),
    "median": lambda x, A: np.median(x) + np.median(A, axis=0),
    "diff": lambda x, A: np.diff(x)[:2] + np.diff(x, n=2) + np.diff(A, axis=0)[0, :2],
    "gradient": lambda x: np.gradient(x, 0.1),
    "trapezoid": lambda x: np.trapezoid(x, dx=0.1) + np.trapezoid(x, np.array([0.0, 1.0, 3.0, 4.0])),
    "reversed cumsum": lambda x: np.cumsum(x[::-1])[::-1],
    "logsumexp": lambda A: np.log(np.sum(np.exp(A - A.max(1, keepdims=True)), axis=1)) + A.max(axis=1),
    "ufunc methods": lambda A, x: np.add.reduce(A, axis=0) + np.multiply.reduce(A) + np.maximum.reduce(A) + x,
    "ufunc outer": lambda x, y: np.multiply.outer(x, y) + np.add.outer(x, y) + np.subtract.outer(x, y),
    "ufunc accumulate": lambda x: np.add.accumulate(x) + np.multiply.accumulate(x),
    "count": lambda x: x * np.sum(x > 0) + x * np.mean(x > 0) + x * np.count_nonzero(x),
    # products
    "dot": lambda A, x, y: A.dot(x) + np.dot(A, x) + np.dot(x, y) + x.dot(A) + A @ x + x @ A + x @ y,
    "dot of three axes": lambda X, A: (
        np.dot(X, A) + X @ A + np.matmul(X, A) + np.dot(X, 2.0) + np.dot(X, A[0])[..., None]
    ),
    "dot of five axes": lambda X, A: np.dot(X, np.stack([A, A])),
    "batched": lambda X: X @ X.swapaxes(-1, -2) + np.matmul(X, np.transpose(X, (0, 2, 1))),
    "inner": lambda A, x: np.inner(A, x) + np.inner(x, x) + np.inner(A, A)[0] + np.vdot(A, A),
    "outer": lambda x, y: np.outer(x, y) + x[:, None] * y,
    "einsum": lambda A, X: (
        np.einsum("ij,bkj->bki", A, X) + np.einsum("bkj,ji->bki", X, A) * np.einsum("bkj,kbj", X, X.swapaxes(0, 1))
    ),
    "einsum traces": lambda A, x: np.einsum("ii->i", A) + np.einsum("ii", A) + np.einsum("i,i->", x, x),
    "tensordot": lambda X, A: np.tensordot(X, A, axes=([2], [0])) + np.tensordot(X, A, 1),
    "convolve": lambda x, y: np.convolve(x, y) + np.convolve(x, y, "same").sum() + np.correlate(x, y, "full"),
    "cross": lambda C: np.cross(C[:, 0], C[:, 1]) + np.cross(C.T[0], C.T[2]),
    "linalg": lambda P, x: np.linalg.inv(P) @ x + np.linalg.solve(P, x) + np.linalg.det(P) + np.linalg.slogdet(P)[1],
    "linalg matrices": lambda P, A: np.linalg.solve(P, A) + np.linalg.cholesky(P) + np.linalg.matrix_power(P, 3),
    "multi_dot": lambda A, B, x: np.linalg.multi_dot([A, B, x]),
    "polyval": lambda x: np.polyval([1.0, 2.0, 3.0], x),
    # making arrays
    "zeros": lambda x: np.zeros(4) + x + np.ones_like(x) * x + np.zeros_like(x) + np.full(4, 2.0) * x,
    "full_like": lambda x, s: np.full_like(x, s) * x + np.full_like(x, 3.0) + np.full(4, s),
    "eye": lambda A: np.eye(4) * 2 - A + np.identity(4),
    "linspace": lambda x: x * np.linspace(0, 1, 4) + np.arange(4.0) * x + np.arange(4) * x,
    "linspace of inputs": lambda s, t: np.linspace(s, t, 5),
    "array of traced": lambda s, t, r: np.array([[s, t], [r, 1]]) @ np.array([s, 2.0]),
    "array of arrays": lambda x, y: np.array([x, y, x * y]) + np.asarray([y, y, y]),
    "copy": lambda x: np.copy(x) + x.copy() + np.array(x) + np.asarray(x) + np.ascontiguousarray(x),
    "0-d": lambda s, x: s * x + np.exp(s) + np.float64(2) * s + s.sum() + np.square(s),
    "scalar array": lambda s: np.array(s) * 2 + np.asarray(s) ** 2,
    "bools as numbers": lambda x: x * (x > 0) + (x > 0).astype(float) * x + (x < 0) * 0.1,
    "lists": lambda x: x + [1, 2, 3, 4] + np.array([0.1, 0.2, 0.3, 0.4]),
    "apply": lambda A: np.apply_along_axis(lambda row: row * row[0], 1, A),
    "any and all": lambda x: x if np.all(np.isfinite(x)) and not np.any(np.isnan(x)) else -x,
    "nan_to_num": lambda x: np.nan_to_num(x) * 2,
    "vectorize": lambda x: np.vectorize(lambda v: v * v + 1)(x),
    "frompyfunc": lambda x: np.frompyfunc(lambda v: v * v + 1, 1, 1)(x).astype(float),
    "fromiter": lambda x: np.fromiter((v * v for v in x), float),
    "real and imag": lambda x: np.real(np.exp(1j * x)) + x * np.imag(np.exp(1j * x)),
    "angle": lambda x: np.angle(np.exp(1j * x) + 2),
    "fft": lambda x: np.abs(np.fft.fft(x)) ** 2,
    "rfft and ifft": lambda x: np.real(np.fft.ifft(np.fft.fft(x) * 2)) + np.fft.rfft(x, axis=0).real.sum(),
    "functions of lists": lambda s, t: np.sum([s, t * t]) + np.dot([s, t], [t, 1.0]) + np.linalg.norm([s, t]),
    "entrywise on lists": lambda s, t: np.exp([s, t]) + np.maximum([s, t], [t, 0.1]) * np.array([1.0, 2.0]),
    "functions of data": lambda x: x * np.linalg.svd(np.eye(4) * 2)[1] + np.percentile(np.arange(4.0), 30),
    "piecewise where": lambda x: np.where(x > 0, x, 0.01 * x) - np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x)),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_expression(name: str, dtype: str) -> None:
    replay(EXPRESSIONS[name], like="numpy", dtype=dtype)


# ------------------------------------------------------------------------------------------------ statements


def accumulate(x, y):
    total = np.zeros(4)
    total += x
    total -= 2 * y
    total *= x
    total /= 3
    total **= 2
    return total


def read_after_write(x):
    y = np.zeros((2, 4))
    first = y[0]
    y[0] = x
    early = first * 2
    y[0, 1:3] = x[:2] ** 2
    return early + first


def write_by_mask(x, y):
    z = x.copy()
    z[x > 0] = y[x > 0]
    z[z < -1] = -1
    z[[0, 2]] += 1
    return z


def add_at(A, x):
    out = np.zeros(4)
    np.add.at(out, [0, 1, 1, 3], x)
    table = np.zeros((4, 4))
    np.add.at(table, np.array([2, 2, 0]), A[:3])
    np.subtract.at(out, [2], x[0])
    return out + table.sum(0)


def most_at(A, x):
    out = np.full((3, 4), -1.0)
    np.maximum.at(out, np.array([2, 0, 2, 2]), A)
    least = 1.0 * x
    np.minimum.at(least, ([0, 3, 0],), x[1:])
    np.multiply.at(least, np.array([1, 1]), x[:2])
    np.negative.at(out, 0)
    return out.sum(0) * least


def out_argument(x, y):
    z = np.empty(4)
    np.multiply(x, y, out=z)
    np.exp(z, out=z)
    np.add(z, 1, z)
    return z


def fill_and_put(x):
    z = np.empty_like(x)
    z.fill(2.0)
    z[0] = x[1]
    np.fill_diagonal(square := np.outer(x, z), 0.0)
    return square + z


def copy_to(x, y):
    z = np.zeros(4)
    np.copyto(z, x)
    z[2:] = np.flip(y)[:2]
    return z


def swap(x):
    z = x.copy()
    z[0], z[1] = z[1], z[0]
    z[[2, 3]] = z[[3, 2]]
    return z


def overlapping(x):
    z = x.copy()
    z[1:] += z[:-1]
    z[:-1] = z[1:]
    return z


def loop_with_lists(A, x):
    hs = [np.zeros(4)]
    for k in range(3):
        hs.append(np.tanh(A @ hs[-1] + x * k))
    return np.array(hs)


def loop_with_array(A, x):
    hs = np.zeros((4, 4))
    hs[0] = x
    for k in range(1, 4):
        hs[k] = np.tanh(A @ hs[k - 1])
    return hs[-1] + hs.sum(axis=0)


def dicts(x, y):
    cache = {"a": x * y}
    cache["b"] = cache["a"] + x
    cache["a"] += 1
    return {"x": cache["b"] * 2, "y": cache["a"]}


def in_place_on_scalar(x):
    total = 0
    for k in range(4):
        total += x[k] ** 2
    half = total
    half /= 2
    return total + half


def inplace_keeps_an_alias(x):
    z = x * 1
    w = z
    z += 1
    return w * z


def replaced_is_not_an_alias(x):
    z = x * 1
    w = z
    z = z + 1
    return w * z


def relu_layer(A, x):
    z = A @ x
    a = np.maximum(0, z)
    d = np.ones(4)
    d[z <= 0] = 0
    return A.T @ d * a


def by_flat_places(A):
    z, turned = A.copy(), A.T
    z.flat[3] = z.flat[1] * 2
    turned = np.zeros((4, 3)).T
    turned.flat[[0, 5]] = A[0, :2]
    for v in z.flat:
        turned[0, 0] += v
    return z.sum() * turned


def by_nditer(A):
    z, total = A.copy(), 0.0
    it = np.nditer(z, flags=["multi_index"], op_flags=["readwrite"])
    while not it.finished:
        place = it.multi_index
        total += it[0] * place[1]
        z[place] = z[place] ** 2
        it.iternext()
    with np.nditer(z.T, op_flags=["readwrite"]) as entries:
        for v in entries:
            v[...] = v * 2
    for (i, j), v in np.ndenumerate(z):
        total = total * 0.5 + v * (i - j)
    return z * total


STATEMENTS = [
    *(
        accumulate,
        read_after_write,
        write_by_mask,
        add_at,
        most_at,
        out_argument,
        fill_and_put,
        copy_to,
        swap,
        overlapping,
    ),
    *(loop_with_lists, loop_with_array, dicts, in_place_on_scalar, inplace_keeps_an_alias, replaced_is_not_an_alias),
    *(relu_layer, by_flat_places, by_nditer),
]


@pytest.mark.parametrize("function", STATEMENTS, ids=lambda f: f.__name__)
def test_statements(function) -> None:
    replay(function, like="numpy")


def test_writes_through_views_are_seen_by_every_view() -> None:
    def code(A, x):
        B = A.copy()
        row, column = B[1], B[:, 2]
        row[:] = x
        column *= 2
        B.T[0] += x
        B[2:, 2:][0, 0] = 7.0
        B.reshape(16)[5] = x[0]
        B.ravel()[6] = x[1]
        return B, row, column

    replay(code, like="numpy")


def test_the_users_arrays_are_not_changed() -> None:
    def code(x):
        x += 1
        return x * 2

    point = {"x": np.arange(4.0)}
    Function.of(code, like="numpy").run(point)
    assert point["x"].tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------------------ data

X = np.array([[0.1, 0.7, -0.3], [1.3, -0.2, 0.9]])
Y = np.array([0.3, -1.1])


@pytest.mark.parametrize(
    ("model", "hand"),
    [
        (lambda w: np.sum((X @ w - Y) ** 2) / 2, lambda w: X.T @ X @ w - X.T @ Y),
        (lambda w: (X @ w).mean(), lambda w: X.mean(axis=0)),
        (lambda w: np.sum(np.log(1 + np.exp(X @ w))), lambda w: X.T @ (1 / (1 + np.exp(-X @ w)))),
        (lambda w: np.sum(X.dot(w) * np.exp(Y)), lambda w: np.dot(X.T, np.exp(Y))),
        (lambda w: np.sum((X - X.mean(0)) @ w) + np.sum(X @ w), lambda w: (X - X.mean(0)).sum(0) + X.sum(0)),
    ],
)
def test_what_is_computed_of_data_is_followed_and_not_its_floats(model, hand):
    """The products and means are rounded: taken as data they would make a right gradient wrong in the last digit."""
    w = np.array([0.5, -0.25, 0.75])
    assert verify(model, hand, at={"w": w}).verdict == "proved"
    assert verify(model, lambda w: hand(w) * (1 + 1e-13), at={"w": w}).verdict == "refuted"


def test_what_cannot_be_followed_of_data_is_data():
    w = np.array([0.5, -0.25])
    basis = np.linalg.svd(X @ X.T)[0]
    report = verify(lambda w: np.sum(basis @ w), lambda w: np.linalg.svd(X @ X.T)[0].sum(0), at={"w": w})
    assert report.ok


def test_what_outside_data_is_taken_to_be_is_assumed():
    gram, right = X.T @ X, X.T @ Y
    report = verify(lambda w: np.sum((X @ w - Y) ** 2) / 2, lambda w: gram @ w - right, at={"w": np.ones(3)})
    assert report.verdict == "agrees"
    assert any("computed outside of the formulas are what was meant within 64 units" in a for a in report.assumptions)
