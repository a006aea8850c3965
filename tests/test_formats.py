"""The other faces of a report: HTML, LaTeX, pictures, what a notebook shows."""

import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
import torch

from symgrad import SymgradError, verify

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def wrong():
    return verify("w*tanh(w*x)", {"w": "tanh(w*x) + w*x*(1 - (w*x)**2)"}, at={"w": 2.0, "x": 0.5})


@pytest.fixture(scope="module")
def matrix():
    return verify(
        lambda W, x: torch.tanh(W @ x).sum(),
        lambda W, x: torch.outer(1 - torch.tanh(W @ x), x),
        wrt="W",
        at={"W": (3, 2), "x": (2,)},
    )


class Balanced(HTMLParser):
    """Fails on a tag that is closed out of order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_well_formed_escaped_and_fetches_nothing(wrong):
    page = wrong.to_html()
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "Wrong: your gradient for w is not the derivative." in page
    assert not re.search(r"https?:|src=|@import|url\(", page)
    assert "<1" not in verify("where(x < 1, x, x**2)", "2*x").to_html().split("</style>")[1]


def test_a_notebook_is_given_html_and_the_plain_text(wrong):
    bundle = wrong._repr_mimebundle_()
    assert bundle["text/plain"] == str(wrong)
    assert bundle["text/html"] == wrong.to_html()


def test_latex_shows_the_exact_derivative_and_a_wrong_one_beside_it(wrong):
    text = wrong.to_latex()
    assert text.startswith("\\begin{aligned}\n\\frac{\\partial f}{\\partial w} &=")
    assert "yours" in text
    assert "yours" not in verify("x**3", "3*x**2").to_latex()


def test_latex_of_a_matrix_is_a_matrix_and_of_a_long_formula_its_length(matrix):
    assert "matrix" in matrix.to_latex()
    long = verify("*".join(f"tanh(x + {k})" for k in range(40)), "x")
    assert "steps" in long.to_latex()


def test_a_scalar_claim_is_drawn_as_two_curves_that_meet_the_truth(wrong):
    axes = wrong.plot()
    exact, yours = axes.get_lines()[:2]
    x = exact.get_xdata()
    z = x * 0.5
    np.testing.assert_allclose(exact.get_ydata(), np.tanh(z) + z * (1 - np.tanh(z) ** 2), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(yours.get_ydata(), np.tanh(z) + z * (1 - z**2), rtol=1e-12, atol=1e-12)


def test_a_tensor_claim_is_drawn_as_an_image_of_the_difference(matrix):
    (image,) = matrix.plot().get_images()
    claim = matrix.claims["W"]
    gap = np.abs(claim.hand_value - claim.exact_value) / np.abs(claim.exact_value).max()
    np.testing.assert_allclose(image.get_array(), gap)


def test_asking_for_a_claim_that_is_not_there_says_which_are(wrong):
    with pytest.raises(SymgradError, match="no claim 'q'"):
        wrong.plot("q")
