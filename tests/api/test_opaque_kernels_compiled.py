"""Black boxes in C++, called by address or built by torch's own loader: each right, wrong at the edges of blocks, and
blind to strides.  Their source tells what each slip is.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from symgrad import verify_function

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("g++") is None, reason="these kernels are compiled")]
SOURCE = Path(__file__).parents[1] / "support" / "kernels.cpp"
TILE = 8
ROWS = {"online", "squared"}  # these give a number for each row
REFERENCES = {
    "causal": lambda x: torch.softmax(x.masked_fill(torch.ones(x.shape).triu(1).bool(), -torch.inf), -1),
    "running": lambda x: x.cumsum(-1),
    "online": lambda x: torch.logsumexp(x, -1),
    "bits": lambda x: torch.relu(x),
    "unit": lambda x: x / x.norm(dim=-1, keepdim=True),
    "steps": lambda x: torch.cat([x[:, :1], x[:, 1:] - x[:, :-1]], -1),
    "squared": lambda x: x.sum(-1) ** 2,
}
SLIPS = {  # what is wrong with the slip, and where the report says that it shows
    "causal": ("output", "no multiple"),
    "running": ("output", "wrong where n is 17 or more, and nowhere else"),
    "online": ("output", "wrong"),  # it depends on where the largest entry is
    "bits": ("x", "wrong"),  # and here on how many entries there are altogether
    "unit": ("x", "wrong where n is more than 8 and no multiple of it, and nowhere else"),
    "steps": ("x", "wrong where n is 9 or more, and nowhere else"),
    "squared": ("output", "wrong"),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    built = tmp_path_factory.mktemp("kernels") / "kernels.so"
    subprocess.run(["g++", "-O1", "-std=c++17", "-shared", "-fPIC", SOURCE, "-o", built], check=True)
    return ctypes.CDLL(str(built))


def kernel(library, name, *, fault=0, strided=True):
    """The kernel by address; ``strided`` says that it is given what its strides mean, not the memory as it lies."""

    def call(function, dtype, m, n, out, *given):
        given = [x.contiguous() if strided else x for x in given]
        addresses = [ctypes.c_void_p(x.data_ptr()) for x in (*given, out)]
        sizes = [ctypes.c_int64(k) for k in (fault, m, n)]
        getattr(library, f"{function}_{str(dtype).removeprefix('torch.')}")(*sizes, *addresses)
        return out

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            m, n = x.shape
            return call(name, x.dtype, m, n, x.new_empty((m,) if name in ROWS else (m, n)), x)

        @staticmethod
        def backward(ctx, v):
            (x,) = ctx.saved_tensors
            return call(f"{name}_backward", x.dtype, *x.shape, x.new_empty(x.shape), v, x)

    return Kernel


def asked(kernel, name, **options):
    return verify_function(kernel, reference=REFERENCES[name], at={"x": ("m", "n")}, tile=TILE, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_right_kernel_agrees(library, name, dtype):
    assert asked(kernel(library, name), name, dtype=dtype).verdict == "agrees"


@pytest.mark.parametrize("name", REFERENCES)
def test_a_slip_that_shows_at_the_edge_of_a_block(library, name):
    claim, where = SLIPS[name]
    report = asked(kernel(library, name, fault=1), name)
    assert report.claims[claim].kind == "refuted"
    assert any(note.startswith(f"{claim}: ") and where in note for note in report.notes), report
    assert {c.kind for n, c in report.claims.items() if n != claim} == {"agrees"}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_kernel_that_reads_memory_as_it_lies(library, name):
    """At a transposed layout it reads another matrix; elsewhere it is right."""
    report = asked(kernel(library, name, strided=False), name)
    assert report.verdict == "refuted"
    assert any("transposed strides" in note or "spread by expand()" in note for note in report.notes), report


def test_an_extension_that_torch_builds(tmp_path):
    pytest.importorskip("setuptools")
    if shutil.which("ninja") is None:
        pytest.skip("torch builds extensions with ninja")
    from torch.utils.cpp_extension import load_inline

    wrapper = """
    torch::Tensor rows(torch::Tensor x, int64_t fault) {
        auto given = x.contiguous();
        auto out = torch::empty({x.size(0)}, x.options());
        squared<double>(fault, x.size(0), x.size(1), given.data_ptr<double>(), out.data_ptr<double>());
        return out;
    }
    """
    built = load_inline(
        "rows", SOURCE.read_text() + wrapper, functions="rows", build_directory=str(tmp_path), extra_cflags=["-O0"]
    )
    for fault, kind in ((0, "agrees"), (1, "refuted")):
        report = verify_function(
            lambda x, fault=fault: built.rows(x.detach(), fault),
            reference=REFERENCES["squared"],
            at={"x": ("m", "n")},
            tile=TILE,
            dtype=torch.float64,
        )
        assert report.claims["output"].kind == kind
