"""Fourier transforms in steps: in balls against sums in mpmath, gradients against autograd, and verdicts of hand
formulas that every user of a spectrum writes."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

import symgrad
from symgrad.evaluation.balls import Balls, binary
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.fourier import transform
from symgrad.program.program import interpret

torch.manual_seed(0)
X = torch.randn(2, 3, 7, dtype=torch.float64)
Z = torch.randn(3, 5, dtype=torch.complex128)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12, 15])
@pytest.mark.parametrize("sign", [-1, 1])
def test_balls_of_a_transform_contain_the_sum(n, sign):
    """mpmath sums the same exponentials at 400 bits."""
    values = np.random.default_rng(n).standard_normal(n)
    b = Builder()
    x = b.input("x", (n,))
    program = b.build({"y": transform(b, b.cast(x, "complex128"), [0], sign)})
    with precision(200), mpmath.workprec(400):
        found = interpret(program, Balls(), {"x": binary(values)})[program.output]
        for k, ball in enumerate(found.tolist()):
            turn = mpmath.mpf(sign * 2 * k) / n
            exact = mpmath.fsum(v * mpmath.expjpi(turn * m) for m, v in enumerate(values.tolist()))
            for part, truth in ((ball.real, exact.real), (getattr(ball, "imag", None), exact.imag)):
                if part is not None:
                    assert abs(mpmath.mpf(str(part.mid().str(80, radius=False))) - truth) < mpmath.mpf(2) ** -180


SPECTRA = {
    "fft": (lambda x: torch.fft.fft(x, n=10, dim=1, norm="ortho"), X),
    "ifft": (lambda z: torch.fft.ifft(z), Z),
    "fftn": (lambda z: torch.fft.fftn(z, dim=(1, 0), norm="forward"), Z),
    "fftshift": (lambda z: torch.fft.fftshift(torch.fft.fft2(z)), Z),
    "rfft": (lambda x: torch.fft.rfft(x), X),
    "rfft2": (lambda x: torch.fft.rfft2(x, s=(4, 5), norm="ortho"), X),
    "irfft": (lambda x: torch.fft.irfft(x), X),
    "irfftn": (lambda z: torch.fft.irfftn(z, s=(3, 7), norm="ortho"), Z),
    "hfft": (lambda z: torch.fft.hfft(z), Z),
    "ihfft": (lambda x: torch.fft.ihfft(x), X),
    "stft": (lambda x: torch.stft(x[0], 4, 2, window=torch.hann_window(4).double(), return_complex=True), X),
}


def weighed(y):
    w = torch.arange(1.0, y.numel() + 1, dtype=torch.float64).reshape(y.shape)
    return (w * y.real).sum() + (w.sqrt() * y.imag).sum() if y.is_complex() else (w * y**2).sum()


@pytest.mark.parametrize("name", SPECTRA)
def test_the_gradient_of_a_transform_is_autograds(name):
    function, x = SPECTRA[name]
    leaf = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(weighed(function(leaf)), leaf)
    found = symgrad.gradient(lambda x: weighed(function(x)), at={"x": x})["x"](x)
    torch.testing.assert_close(found, truth.resolve_conj(), rtol=1e-12, atol=1e-12)


def energy(x):
    spectrum = torch.fft.fft(x)
    return (spectrum.real**2 + spectrum.imag**2).sum()


@pytest.mark.parametrize(
    ("hand", "verdict"),
    [
        (lambda x: 2 * 6 * x, "proved"),
        (lambda x: 2 * 6 * torch.fft.ifft(torch.fft.fft(x)).real, "proved"),
        (lambda x: 2 * torch.fft.ifft(torch.fft.fft(x)).real, "refuted"),
    ],
)
def test_the_energy_of_a_spectrum(hand, verdict):
    """Parseval: the sum of |X|**2 is n times that of x**2, which the hand formulas know or forget."""
    assert symgrad.verify(energy, hand, at={"x": (6,)}).verdict == verdict
