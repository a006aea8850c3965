"""Each symbol of a formula in LaTeX or text, and what it was taken for: in the data, in the full text, in HTML."""

import json

from symgrad import Latex, verify

RIDGE = Latex(r"L = \|A x - b\|^2 + \lambda \sum_i x_i^2 + \pi \sigma(c)")
GRADIENT = Latex(r"\nabla_x L = 2 A^\top (A x - b) + 2\lambda x")
SHAPES = {"A": ("m", "n"), "x": ("n",), "b": ("m",)}


def told(report):
    return {symbol.shown: symbol.what for symbol in report.reading}


def test_the_symbols_of_latex():
    report = verify(RIDGE, GRADIENT, at=SHAPES)
    assert report.verdict == "proved"
    assert told(report) == {
        "A": "an input, a matrix, m by n",
        "b": "an input, a vector of m entries",
        "c": "an input, a number",
        "lambda": "an input, a number",
        "x": "an input, a vector of n entries",
        "L": "what its row says",
        "i": "an index",
        "m": "a size",
        "n": "a size",
        r"\pi": "the number 3.14159...",
        r"\sigma": "the logistic function",
        r"\|...\|": "the norm",
        "^T": "the transpose",
    }


def test_the_symbols_of_text_and_of_steps():
    report = verify("sum(a[i]*x[i]**2, i) + log(c)*pi", {"x[k]": "2*a[k]*x[k]"}, at={"a": (3,), "x": (3,)})
    assert told(report) == {
        "a": "an input, a vector of 3 entries",
        "x": "an input, a vector of 3 entries",
        "c": "an input, a number",
        "i": "an index",
        "k": "an index",
        "pi": "the number 3.14159...",
        "sum": "sum, of a whole array",
        "log": "the natural logarithm",
    }
    steps = verify("h = tanh(w)\ny = h**2\ndy/dh = 2*h\ndy/dw = dy/dh*(1 - h**2)")
    assert told(steps) == {
        "w": "an input, a number",
        "h": "what its line says",
        "dy/dh": "what its line says",
        "tanh": "the function tanh",
    }


def test_what_text_has_from_paper_is_told():
    report = verify("(x > 0)*x^2 + |x| + y", "(x > 0)*2*x + sign(x)", wrt="x")
    assert {k: v for k, v in told(report).items() if k not in "xy"} == {
        "sign": "the function sign",
        "(... > ...)": "one where it holds, else zero",
        "^": "a power",
        "|...|": "the absolute value",
    }


def test_a_misreading_is_seen():
    """Where pi is an input, and e one too."""
    report = verify("pi*exp(e*x)", "pi*e*exp(e*x)", wrt="x", at={"e": 2.0})
    assert told(report)["e"] == "an input, a number"
    assert told(report)["pi"] == "the number 3.14159..."


def test_the_table_is_in_the_full_text_in_html_and_in_the_data():
    report = verify(RIDGE, GRADIENT, at=SHAPES)
    assert "What each symbol was taken for" in report.explain()
    assert "What each symbol was taken for" not in str(report)
    assert "<td>the logistic function</td>" in report.to_html()
    first = json.loads(report.to_json())["reading"][0]
    assert first == {"shown": "A", "kind": "input", "what": "an input, a matrix, m by n"}


def test_code_has_no_table():
    assert verify(lambda x: x**2, lambda x: 2 * x, at={"x": 1.0}).reading == ()
