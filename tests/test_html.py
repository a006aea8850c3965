"""The page: well-formed, nothing fetched, everything escaped, the derivation beside its mathematics.

Where there is a browser: no error in it, and the colours that the reader asked for.
"""

from __future__ import annotations

import cmath
import html
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from symgrad import verify
from symgrad.report.mathml import of_claim, of_code

_EMPTY = {"meta", "br", "hr", "mspace"}


def model(w_h, w_y, h0):
    h1_raw = w_h * h0
    h1 = torch.tanh(h1_raw)
    return w_y * torch.tanh(w_h * h1)


def forward(w_h, w_y, h0):
    h1_raw = w_h * h0
    h1 = torch.tanh(h1_raw)
    h2 = torch.tanh(w_h * h1)
    dh1_dwh = (1 - h1_raw**2) * h0
    dh2_dwh = (1 - h2**2) * (h1 + w_h * dh1_dwh)
    return {"w_h": w_y * dh2_dwh, "w_y": h2}


@pytest.fixture(scope="module")
def report():
    return verify(model, forward, at={"w_h": 2.0, "w_y": 40.0, "h0": 0.5})


class Page(HTMLParser):
    """Reads a page strictly: every tag closed in its order, attributes and text collected."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "tr":
            self.cells.append([])
        if tag == "td":
            self.cells[-1].append("")
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
            if "td" in self.open:
                self.cells[-1][-1] += data


def test_a_page_is_well_formed_and_fetches_nothing(report):
    for page in (report.to_html(), report.to_html(page=True)):
        read = Page(page)
        ids = [value for _, name, value in read.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        assert {name for _, name, _ in read.attributes} <= {
            "class",
            "displaystyle",
            "width",
            "lang",
            "charset",
            "name",
        } | {
            "content",
            "mathvariant",
        }
        assert not re.search(r"https?:|src=|href=|@import|url\(|<script|<link|<iframe", page)


def test_the_derivation_is_a_table_with_the_wrong_line_marked(report):
    page = report.to_html()
    table = page.split('<table class="derivation">')[1].split("</table>")[0]
    wrong = re.findall(r'<tr class="wrong">(.*?)</tr>', table)
    assert len(wrong) == 1
    assert "dh1_dwh = (1 - <mark>h1_raw</mark>**2) * h0" in wrong[0]
    rows = {row[1].split(" = ")[0]: row for row in Page(table).cells if len(row) == 5}
    assert rows["dh1_dwh"][3] == "∂h1∂wh", "what it is meant as, as a fraction"
    assert rows["dh1_dwh"][4].startswith("wrong off by ")
    assert rows["dh2_dwh"][4].startswith("right, but given wrong values")
    assert rows["h1"][4] == "a value of the model"
    assert all("<math" in row for row in re.findall(r"<tr class=.*?</tr>", table)), "mathematics beside every line"


def test_what_a_page_says_is_what_the_text_says(report):
    words = "".join("".join(Page(report.to_html()).words).split())
    for line in str(report).splitlines():
        for word in line.replace("^", "").split():
            assert word.strip(":") in words


def test_evidence_is_folded(report):
    page = report.to_html()
    assert page.count("<details>") == page.count("</details>") == 2
    assert "<details open" not in page


def test_the_users_text_is_escaped():
    told = verify("where(x < 1, x, x**2)", "2*x", at={"x": 3.0})
    assert "<1" not in told.to_html().split("</style>")[1]
    Page(told.to_html())


# ------------------------------------------------------------------------------------------------ mathematics


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
    assert "".join(Page(of_claim("d out / d w_h")).words) == "∂out∂wh"
    assert "".join(Page(of_claim("d out / d h_raw[2]")).words) == "∂out∂hraw2"
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


# ------------------------------------------------------------------------------------------------ a browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="needs a browser")
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_browser_shows_the_page_without_an_error(report, scheme, tmp_path):
    page = tmp_path / "report.html"
    probe = "<script>onerror = e => { document.documentElement.dataset.fault = e }; onload = () => { "
    probe += "document.body.dataset.ink = getComputedStyle(document.querySelector('.symgrad')).color; "
    probe += "document.body.dataset.wide = "
    probe += "document.documentElement.scrollWidth > innerWidth }</script></head>"
    page.write_text(report.to_html(page=True).replace("</head>", probe), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=900,1200", "--enable-logging=stderr"]
    flags += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", "--dump-dom"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(BROWSER), *flags, page.as_uri()], capture_output=True, text=True, env=environment, timeout=60
    )
    assert "Wrong: your gradient" in done.stdout
    assert "data-fault=" not in done.stdout
    assert "CONSOLE" not in done.stderr
    assert f'data-ink="{"rgb(230, 237, 243)" if scheme == "dark" else "rgb(31, 35, 40)"}"' in done.stdout
    assert 'data-wide="false"' in done.stdout
