"""Kernels that torch cannot decompose: values are the kernel's, gradients are autograd's; images resampled too."""

import itertools

import pytest
import torch
import torch.nn.functional as F

import symgrad

SIDES = list(itertools.product(("bilinear", "nearest"), ("zeros", "border", "reflection"), (True, False)))
SEEDED = torch.Generator().manual_seed(0)
VOLUME = torch.randn(2, 2, 3, 4, 2, dtype=torch.float64, generator=SEEDED)
GRID = torch.randn(2, 2, 3, 2, 3, dtype=torch.float64, generator=SEEDED)
IMAGE = torch.randn(2, 1, 7, 5, dtype=torch.float64, generator=SEEDED)
LOGITS = torch.randn(6, 3, 4, dtype=torch.float64, generator=SEEDED)
WORDS = torch.tensor([[1, 2, 2], [3, 1, 0], [1, 1, 1]])


def weighed(y):
    return (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)).sum()


def same_as_autograd(function, **at):
    leaves = {n: x.clone().requires_grad_() for n, x in at.items()}
    truth = torch.autograd.grad(function(**leaves), list(leaves.values()))
    found = symgrad.gradient(function, wrt=list(at), at=at)
    for name, g in zip(at, truth, strict=True):
        torch.testing.assert_close(found[name](**at), g, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("mode", "padding", "aligned"), SIDES)
def test_a_volume_at_the_points_of_a_grid(mode, padding, aligned):
    same_as_autograd(lambda a, grid: weighed(F.grid_sample(a, grid, mode, padding, aligned)), a=VOLUME, grid=GRID)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("size", [(3, 4), (9, 2), (1, 1)])
def test_an_image_resampled_with_antialiasing(mode, aligned, size):
    def model(a):
        return weighed(F.interpolate(a, size, mode=mode, align_corners=aligned, antialias=True) ** 2)

    same_as_autograd(model, a=IMAGE)


def test_an_image_resampled_by_a_factor():
    same_as_autograd(lambda a: weighed(F.interpolate(a, scale_factor=0.6, mode="bilinear", antialias=True)), a=IMAGE)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_labellings_of_a_sequence(reduction):
    def padded(x):
        loss = F.ctc_loss(x.log_softmax(-1), WORDS, (6, 5, 6), (3, 2, 3), reduction=reduction)
        return loss.sum()

    def joined(x):  # the last word is longer than its sequence
        words = torch.cat([WORDS[0], WORDS[1, :2], WORDS[2]])
        lengths = torch.tensor([6, 5, 4]), torch.tensor([3, 2, 3])
        return F.ctc_loss(x.log_softmax(-1), words, *lengths, reduction=reduction, zero_infinity=True).sum()

    same_as_autograd(padded, x=LOGITS)
    same_as_autograd(joined, x=LOGITS)


def test_a_labelling_of_no_label_and_one_that_cannot_be():
    same_as_autograd(lambda x: F.ctc_loss(x.log_softmax(-1), WORDS, (6, 6, 6), (0, 1, 2), reduction="sum"), x=LOGITS)
    with pytest.raises(symgrad.SymgradError, match="domain"):
        symgrad.gradient(lambda x: F.ctc_loss(x.log_softmax(-1), WORDS, (2, 2, 2), (3, 2, 3)), at={"x": LOGITS})


def test_what_torch_gives_for_log_probabilities_is_not_their_gradient():
    """torch's backward takes it that a log_softmax comes before, whose own backward makes it right again."""
    x = LOGITS[:2, :1].log_softmax(-1)
    loss = lambda x: F.ctc_loss(x, WORDS[:1, :1], (2,), (1,), reduction="sum")  # noqa: E731
    p = x[:, 0].exp()
    ways = torch.stack([p[0, 0] * p[1, 1], p[0, 1] * p[1, 0], p[0, 1] * p[1, 1]])
    by_hand = torch.zeros_like(p)
    by_hand[0, 0], by_hand[0, 1], by_hand[1, 0], by_hand[1, 1] = ways[0], ways[1:].sum(), ways[1], ways[0] + ways[2]
    by_hand = -by_hand[:, None] / ways.sum()
    torch.testing.assert_close(symgrad.gradient(loss, at={"x": x})["x"](x), by_hand, rtol=1e-12, atol=0)
    leaf = x.clone().requires_grad_()
    (said,) = torch.autograd.grad(loss(leaf), leaf)
    torch.testing.assert_close(said, by_hand + x.exp())


def test_the_next_float_moves_as_its_argument_does():
    y = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    same_as_autograd(lambda x: weighed(torch.nextafter(x, y) ** 2), x=torch.tensor([0.3, 0.7, 2.0], dtype=y.dtype))


def test_a_mask_of_whole_numbers_made_of_values():
    x = torch.tensor([0.3, 1.2, -2.5], dtype=torch.float64)
    same_as_autograd(lambda x: torch.where(x.floor().to(torch.int8) & 1 == 0, x * x, -x).sum(), x=x)


def test_what_is_refused_comes_with_what_to_write():
    with pytest.raises(symgrad.SymgradError, match="Keep tensors dense"):
        symgrad.gradient(lambda x: torch.sparse.sum(x.to_sparse()), at={"x": torch.eye(2)})
    with pytest.raises(symgrad.SymgradError, match="whose rank is not full"):
        symgrad.gradient(lambda x: torch.linalg.pinv(x).sum(), at={"x": torch.ones(3, 2)})
