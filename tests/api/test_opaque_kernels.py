"""Black boxes: kernels that work on memory, judged beside a reference at the sizes and layouts where kernels break.

The kernels are NumPy on raw memory, in blocks of `TILE`, as a kernel in C would be written; each comes with faults that
show only at the edge of a block, on other strides, or where values are large.
"""

import ctypes

import numpy as np
import pytest
import torch

from symgrad import compare, verify_function
from symgrad.checking.regions import described
from symgrad.errors import BadInput, UnknownName, UserCodeFailed

TILE = 8


def memory(t, strides=True):
    """What lies in memory: by the tensor's strides, or as if it were contiguous (zeros behind the end of it)."""
    t = t.detach()
    if strides:
        return t.contiguous().numpy().copy()
    n = min(t.numel(), t.untyped_storage().nbytes() // t.element_size() - t.storage_offset())
    kind = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}[t.dtype]
    found = np.ctypeslib.as_array((kind * n).from_address(t.data_ptr()))
    return np.concatenate([found, np.zeros(t.numel() - n, found.dtype)]).reshape(t.shape).copy()


def blocks(n, fault=None):
    """The blocks of a length; "tail" forgets the last one where it is not whole."""
    return [slice(k, k + TILE) for k in range(0, n, TILE) if fault != "tail" or k + TILE <= n or n < TILE]


def kernel(forward, backward, faults=()):
    """An autograd.Function of two functions on arrays: forward(*inputs), backward(cotangent, *inputs)."""

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            return torch.from_numpy(np.asarray(forward(*(memory(t, "strides" not in faults) for t in inputs))))

        @staticmethod
        def backward(ctx, v):
            inputs = [memory(t, "strides" not in faults) for t in ctx.saved_tensors]
            found = backward(memory(v, "cotangent" not in faults), *inputs)
            found = found if isinstance(found, tuple) else (found,)
            return tuple(torch.from_numpy(np.asarray(g, dtype=x.dtype)) for g, x in zip(found, inputs, strict=True))

    return Kernel


def softmax(fault):
    def forward(x):
        top = 0 if fault == "overflow" else x.max(-1, keepdims=True)
        with np.errstate(all="ignore"):
            e = np.exp(x - top)
            return e / sum(e[..., b].sum(-1, keepdims=True) for b in blocks(x.shape[-1]))

    def backward(v, x):
        p = forward(x)
        dot = sum((p[..., b] * v[..., b]).sum(-1, keepdims=True) for b in blocks(x.shape[-1], fault))
        return p * (v - dot)

    return kernel(forward, backward, {fault})


def rms(fault):
    def factor(x):
        squares = sum((x[..., b] ** 2).sum(-1, keepdims=True) for b in blocks(x.shape[-1]))
        return 1 / np.sqrt(squares / x.shape[-1] + (0 if fault == "no eps" else np.float32(1e-5)))

    def backward(v, x):
        r, n = factor(x), x.shape[-1]
        n = -(-n // TILE) * TILE if fault == "padded" else n  # the length of the padded row
        dot = sum((v[..., b] * x[..., b]).sum(-1, keepdims=True) for b in blocks(x.shape[-1], fault))
        return r * v - x * r**3 * dot / n

    return kernel(lambda x: x * factor(x), backward, {fault})


def squares(fault):
    def forward(x):
        if fault == "tail":
            return np.asarray(sum((x[b] ** 2).sum() for b in blocks(len(x), fault)), x.dtype)
        return np.asarray(sum((x[b] ** 2).sum() for b in reversed(blocks(len(x)))), x.dtype)

    def backward(v, x):
        last = x.copy()
        if fault == "last":
            last[len(x) // TILE * TILE :] = 0
        return 2 * v * last

    return kernel(forward, backward, {fault})


def matmul(fault):
    def product(a, b):
        out = np.zeros((a.shape[0], b.shape[1]), a.dtype)
        for k in blocks(a.shape[1], fault):
            out += a[:, k] @ b[k]
        return out

    def backward(v, a, b):
        return v @ b.T, (a.T @ v if fault != "rows" else a.T[:, :TILE] @ v[:TILE])

    return kernel(product, backward, {fault})


def variance(fault):
    def forward(x):
        mean = x.mean(-1, keepdims=True)
        return ((x - mean) ** 2).mean(-1)

    def backward(v, x):
        n = x.shape[-1] - (fault == "unbiased")
        return 2 * v[..., None] * (x - x.mean(-1, keepdims=True)) / n

    return kernel(forward, backward, {fault})


MATRIX, VECTOR = {"x": ("m", "n")}, {"x": ("n",)}
EPS = np.float32(1e-5)
KERNELS = {
    "softmax": (softmax, lambda x: torch.softmax(x, -1), MATRIX),
    "rms": (rms, lambda x: x / torch.sqrt((x**2).mean(-1, keepdim=True) + EPS), MATRIX),
    "squares": (squares, lambda x: (x**2).sum(), VECTOR),
    "matmul": (matmul, lambda a, b: a @ b, {"a": ("m", "k"), "b": ("k", "n")}),
    "variance": (variance, lambda x: x.var(-1, unbiased=False), MATRIX),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_right_kernel_agrees_in_every_run(name, dtype):
    make, reference, at = KERNELS[name]
    report = verify_function(make(None), reference=reference, at=at, tile=TILE, dtype=dtype)
    assert report.verdict == "agrees", report
    assert {c.verdict.runs for c in report.claims.values()} != {1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault", "claim", "told"),
    [
        ("softmax", "tail", "x", "x: wrong where n is more than 8 and no multiple of it, and nowhere else"),
        ("softmax", "overflow", "output", "output: wrong with values 64 times as large"),
        ("softmax", "strides", "output", "with transposed strides"),
        ("softmax", "cotangent", "x", "x: wrong with cotangents of ones, spread by expand()"),
        ("rms", "padded", "x", "x: wrong where n is no multiple of 8, and nowhere else"),
        ("rms", "tail", "x", "x: wrong where n is more than 8 and no multiple of it, and nowhere else"),
        ("rms", "no eps", "output", "output: wrong "),
        ("rms", "strides", "output", "with transposed strides"),
        ("squares", "tail", "output", "output: wrong where n is more than 8 and no multiple of it"),
        ("squares", "last", "x", "x: wrong where n is no multiple of 8"),
        ("squares", "strides", "output", "output: wrong with every other entry of a longer array"),
        ("matmul", "tail", "output", "output: wrong where k is more than 8 and no multiple of it"),
        ("matmul", "rows", "b", "b: wrong where m is 9 or more, and nowhere else"),
        ("variance", "unbiased", "x", "x: "),
        ("variance", "strides", "output", "with transposed strides"),
    ],
)
def test_a_fault_is_told_by_where_it_shows(name, fault, claim, told):
    make, reference, at = KERNELS[name]
    report = verify_function(make(fault), reference=reference, at=at, tile=TILE)
    assert report.claims[claim].kind == "refuted"
    assert any(told in note for note in report.notes), report


def test_a_block_that_is_forgotten():
    """The quickest of them all: one length, in blocks of 8, of which the last is forgotten where it is not whole."""
    make, reference, at = KERNELS["squares"]
    assert verify_function(make(None), reference=reference, at=at, tile=TILE).verdict == "agrees"
    report = verify_function(make("tail"), reference=reference, at=at, tile=TILE)
    assert (report.claims["output"].kind, report.claims["x"].kind) == ("refuted", "agrees")
    assert (
        "output: wrong where n is more than 8 and no multiple of it, and nowhere else (2 of 10 runs)." in report.notes
    )


def test_digits_that_are_lost_are_no_wrong_formula():
    """log(1 + x) of small x: right in float64, and in float32 off by a thousandth."""
    x = torch.linspace(1e-5, 2e-5, 7)
    lossy = kernel(lambda x: np.log(1 + x), lambda v, x: v / (1 + x))
    report = verify_function(lossy, reference=lambda x: torch.log1p(x), at={"x": x})
    assert report.claims["output"].kind == "undecided"
    assert "in float64 the same run agrees: the kernel loses its digits" in " ".join(str(report).split())


@pytest.mark.slow
def test_what_is_off_is_told_by_rows_and_columns():
    def forward(x):
        out = x.copy()
        out[:, len(x[0]) // TILE * TILE :] = 0
        return out

    report = verify_function(
        kernel(forward, lambda v, x: v), reference=lambda x: x * 1, at={"x": ("m", "n")}, tile={"n": TILE}
    )
    assert "output: what is off is the last column." in report.notes or any("every entry" in n for n in report.notes)
    assert report.claims["x"].kind == "agrees"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.eye(3, dtype=bool), "3 of 9 entries, the first of them [0, 0]"),
        (np.arange(12) % 4 == 3, "entries 3, 7, ..., 11"),
        (np.arange(12) >= 8, "the last 4 entries"),
        (np.arange(12) == 5, "entry 5"),
        (np.arange(12) < 2, "the first 2 entries"),
        (np.isin(np.arange(12), [1, 2, 3]), "entries 1 to 3"),
    ],
)
def test_regions(wrong, words):
    assert described(wrong) == words


def test_a_kernel_that_refuses_a_layout_is_judged_on_the_others():
    def strict(x):
        if not x.is_contiguous():
            raise RuntimeError("x has to be contiguous")
        return (x**2).sum()

    report = verify_function(strict, reference=lambda x: (x**2).sum(), at={"x": ("n",)}, tile=TILE)
    assert report.verdict == "agrees"
    assert any(
        "the kernel raised RuntimeError: x has to be contiguous: that run was not judged" in n for n in report.notes
    )


def test_a_reference_that_has_no_value_at_zeros_is_asked_elsewhere():
    length = lambda x: np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731

    def backward(v, x):
        with np.errstate(all="ignore"):
            y = x / length(x)
            return (v - y * (y * v).sum(-1, keepdims=True)) / length(x)

    unit = kernel(lambda x: x / np.maximum(length(x), 1e-30), backward)
    report = verify_function(unit, reference=lambda x: x / x.norm(dim=-1, keepdim=True), at={"x": (3, 4)})
    assert report.verdict == "agrees"
    assert any("With the first row of x being zero the reference has no value" in n for n in report.notes)


def test_other_arguments_and_several_outputs():
    def both(x, scale, causal=False):
        out = torch.from_numpy(np.sin(memory(x)) * scale)
        return out, torch.from_numpy(np.asarray(memory(x).sum()))

    def reference(x, scale, causal=False):
        return torch.sin(x) * scale, x.sum()

    report = verify_function(both, reference=reference, at={"x": ("n",), "scale": 3.0}, tile=4)
    assert dict.fromkeys(report.claims, "agrees") == {n: c.kind for n, c in report.claims.items()}
    assert list(report.claims) == ["output[0]", "output[1]"]
    assert str(report).startswith("Right: your values for output[0] and output[1] agree with the exact ones in ")
    assert "What it returns has no gradient by autograd: only its values were judged." in report.notes
    wrong = verify_function(lambda x, scale: both(x, 2.0), reference=reference, at={"x": ("n",), "scale": 3.0}, tile=4)
    assert (wrong.claims["output[0]"].kind, wrong.claims["output[1]"].kind) == ("refuted", "agrees")


def test_what_cannot_be_asked():
    square = lambda x: x**2  # noqa: E731
    with pytest.raises(UnknownName, match="at has 'y', but the reference's arguments are x"):
        verify_function(square, reference=square, at={"y": (3,)})
    with pytest.raises(BadInput, match="at has no value for x"):
        verify_function(square, reference=square, at={})
    with pytest.raises(BadInput, match="the reference is log1p, a function whose arguments have no names"):
        verify_function(square, reference=torch.log1p, at={"x": (3,)})
    with pytest.raises(UnknownName, match="tile has 'k', and the sizes are n"):
        verify_function(square, reference=square, at={"x": ("n",)}, tile={"k": 8})
    with pytest.raises(BadInput, match="tile is 0"):
        verify_function(square, reference=square, at={"x": ("n",)}, tile=0)
    with pytest.raises(UserCodeFailed, match="the kernel changes x in place"):
        verify_function(lambda x: x.detach().mul_(2), reference=lambda x: 2 * x, at={"x": (3,)})


@pytest.mark.parametrize(("fault", "kind"), [(None, "agrees"), ("tail", "refuted"), ("strides", "refuted")])
def test_the_values_of_a_kernel_are_compared_with_a_references(fault, kind):
    found = compare(squares(fault).apply, lambda x: (x**2).sum(), at={"x": ("n",)}, opaque=True, tile=TILE)
    assert found.kind == kind


def test_what_lies_between_the_entries_is_not_left_to_chance(monkeypatch):
    """Fresh memory may hold the very numbers that a kernel which is blind to strides should not find there."""
    seen, empty = [], torch.empty

    def poisoned(*shape, **options):
        return empty(*shape, **options).fill_(torch.nan)

    def gaps(x):
        if x.dim() and x.stride(0) == 2:
            seen.append(x.detach().as_strided((len(x) - 1,), (2,), x.storage_offset() + 1).clone())
        return x.detach() * 1

    monkeypatch.setattr(torch, "empty", poisoned)
    assert compare(gaps, lambda x: x * 1, at={"x": ("n",)}, opaque=True, tile=TILE).kind == "agrees"
    assert seen
    assert all(bool((gap == 7.0).all()) for gap in seen)


def test_numbers_are_compared_at_their_own_point():
    x = torch.linspace(-1, 1, 5)
    assert compare(lambda x: torch.tanh(x), torch.tanh(x), at={"x": x}).kind == "agrees"
    assert compare(lambda x: torch.tanh(x), torch.tanh(x) * 1.01, at={"x": x}).kind == "refuted"
    assert compare("sin(x)**2 + cos(x)**2", 1).kind == "proved"
