"""Lines of code typeset as mathematics: what is shown is what the code says."""

from __future__ import annotations

import cmath
import html
import re
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from support.html_page import Page

from symgrad.report.mathml import of_claim, of_code


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("dh = (1 - h1_raw**2) * x", "dh=(1−h1,raw2)⋅x"),
        ("g = a - (b - c)", "g=a−(b−c)"),
        ("g = -(a + b)", "g=−(a+b)"),
        ("y = (-x)**2", "y=(−x)2"),
        ("q = a / (b * c)", "q=ab⋅c"),
        ("dW = X.T @ np.tanh(Z)", "dW=XTtanh(Z)"),
        ("s = torch.sigmoid(x).sum()", "s=∑σ(x)"),
        ("h[t] = h[t - 1]", "ht=ht−1"),
        ("dW += dz", "dW=dW+dz"),
        ("return 2 * alpha", "2⋅α"),
    ],
)
def test_a_line_of_code_is_typeset_as_it_is_written(code, words):
    assert "".join(Page(of_code(code)).words) == words


@pytest.mark.parametrize(
    "code", ["y = x[1:]", "y = f(x, axis=1)", "a < b", "y = x if x else z", "x =", "y = [1, 2]", ""]
)
def test_what_has_no_notation_is_left_as_code(code):
    assert of_code(code) is None


def test_claims_are_fractions_and_other_words_are_left():
    assert "".join(Page(of_claim("d out / d w_h")).words) == "∂f∂wh"
    assert "".join(Page(of_claim("d out / d h_raw[2]")).words) == "∂f∂hraw2"
    assert of_claim("a part of d out / d w") is None


leaves = st.sampled_from(["x", "h_1", "W", "3", "2.5"])


expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "@", "**"]), inner).map(
            lambda t: f"({t[0]}) {t[1]} ({t[2]})"
        ),
        inner.map(lambda e: f"-({e})"),
        inner.map(lambda e: f"np.exp({e})"),
        inner.map(lambda e: f"({e}).T"),
    ),
    max_leaves=8,
)


def read_back(node: ElementTree.Element) -> str:
    """Mathematics as a reader takes it: the usual precedence, and no grouping but what is seen."""
    parts = [read_back(child) for child in node]
    match node.tag:
        case "mfrac":
            return f"(({parts[0]})/({parts[1]}))"
        case "msup" if node[1].text == "T":
            return parts[0]
        case "msup":
            return f"{parts[0]}**({parts[1]})"
        case "msub":
            return f"{parts[0]}_{parts[1]}"
        case "msubsup":
            return f"{parts[0]}_{parts[1]}**({parts[2]})"
        case "mspace":
            return "*"
    return "".join(parts) or {"−": "-", "⋅": "*"}.get(node.text or "", node.text or "")


def number_of(text: str, names: dict[str, object]) -> complex:
    """The value of an expression in complex floats, which overflow where Python's integers would grow without end."""
    return eval(re.sub(r"(?<![\w.])\d+(\.\d+)?", r"complex(\g<0>)", text), dict(names))


@pytest.mark.slow
@settings(max_examples=3000)
@given(expressions)
def test_mathematics_says_what_the_code_says(text):
    """Read back, it has the value of the code at a point (where transposes are nothing, and products are products)."""
    made = of_code(text)
    assert made is not None
    again = read_back(ElementTree.fromstring(html.unescape(made)))
    names = {"x": complex(0.7), "h_1": complex(-1.3), "W": complex(0.4), "exp": cmath.exp}
    try:
        value = number_of(text.replace("np.", "").replace(").T", ")").replace("@", "*"), names)
        found = number_of(again, names)
        assume(cmath.isfinite(value))
        assert cmath.isclose(found, value, rel_tol=1e-9, abs_tol=1e-300)
    except (OverflowError, ZeroDivisionError, ValueError):
        reject()
