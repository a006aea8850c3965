"""The page: well-formed, nothing fetched, everything escaped, the derivation beside its mathematics.

Where there is a browser: no error in it, and the colours that the reader asked for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape

import pytest
import torch
from support.found_answers import FAILED, answer
from support.html_page import Page

from symgrad import Latex, verify
from symgrad.files.answers import Failure
from symgrad.files.written_files import write_pages
from symgrad.report.html import render_piece
from symgrad.report.page import Code, Paragraph, Table
from symgrad.report.text import plain_text


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


def test_a_page_is_well_formed_and_fetches_nothing(report):
    for page in (report.to_html(), report.to_html(page=True)):
        read = Page(page)
        ids = [value for _, name, value in read.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        links = [value for _, name, value in read.attributes if name in ("href", "src", "srcset", "data", "action")]
        assert {value[1:] for value in links if value.startswith("#")} <= set(ids)
        assert all(value.startswith("#") for value in links)
        assert not re.search(r"https?:|@import|url\((?!#)|<link|<iframe|<object|<img", page)
    assert "<script" not in report.to_html(), "a notebook runs no script of ours"


def test_a_whole_page_has_a_title_pictures_the_source_and_buttons(report):
    page = report.to_html(page=True)
    assert "<title>test_html.py: Wrong: your gradient for w_h is not the derivative (w_y is right).</title>" in page
    read = Page(page)
    buttons = [value for tag, name, value in read.attributes if tag == "button" and name == "aria-label"]
    assert len(buttons) == page.count("<button ") >= 2
    assert set(buttons) == {"Copy this code"}
    assert page.count("<svg ") == page.count('role="img"') == 1
    source = page.split("<summary>The source</summary>")[1].split("</details>")[0]
    shown = re.findall(r'<pre class="(\w*)">(.*?)</pre>', source, re.S)
    told = [(kind, "".join(Page(line).words)) for kind, line in shown if kind]
    assert [kind for kind, _ in told] == ["removed", "added"]
    assert told[0][1].endswith("    dh1_dwh = (1 - h1_raw**2) * h0")
    assert told[1][1].endswith("    dh1_dwh = (1 - h1**2) * h0")


def test_the_page_of_a_right_derivation_shows_its_source():
    page = verify(lambda x: x**3, by_hand, at={"x": 2.0}).to_html(page=True)
    source = page.split("<summary>The source</summary>")[1].split("</details>")[0]
    shown = ["".join(Page(line).words) for line in re.findall(r"<pre.*?>.*?</pre>", source, re.S)]
    assert any(line.endswith("    slope = 3 * x**2") for line in shown)
    assert all(line.strip("0123456789 ") for line in (shown[0], shown[-1]))


def by_hand(x):
    slope = 3 * x**2
    return {"x": slope}


def test_the_derivation_is_a_table_with_the_wrong_line_marked(report):
    page = report.to_html()
    table = page.split('<table class="derivation">')[1].split("</table>")[0]
    wrong = re.findall(r'<tr class="wrong">(.*?)</tr>', table, re.S)
    assert len(wrong) == 1
    assert "dh1_dwh = (1 - <mark>h1_raw</mark>**2) * h0" in re.sub("</?span.*?>", "", wrong[0])
    rows = {row[1].split(" = ")[0]: row for row in Page(table).cells if len(row) == 5}
    assert rows["dh1_dwh"][3] == "∂h1∂wh", "what it is meant as, as a fraction"
    assert rows["dh1_dwh"][4].startswith("wrong off by ")
    assert rows["dh2_dwh"][4].startswith("right, but given wrong values")
    assert rows["h1"][4] == "a value of the model"
    assert all("<math" in row for row in re.findall(r"<tr class=.*?</tr>", table, re.S)), (
        "mathematics beside every line"
    )


def test_what_a_page_says_is_what_the_text_says(report):
    words = "".join("".join(Page(report.to_html()).words).split())
    for line in str(report).splitlines():
        for word in line.replace("^", "").split():
            assert word.strip(":") in words


def test_evidence_is_folded(report):
    page = report.to_html()
    titles = re.findall("<details><summary>(.*?)</summary>", page)
    assert titles == ["How it was proved", "The formulas", "All the evidence", "How it was proved"]
    assert "<details open" not in page


def test_the_users_text_is_escaped():
    told = verify("where(x < 1, x, x**2)", "2*x", at={"x": 3.0})
    assert "<1" not in told.to_html().split("</style>")[1]
    Page(told.to_html())


def test_what_a_screen_would_obey_is_written_out():
    blocks = (Paragraph("clear \x1b[2J"), Code("y = '\x07\u202e'", "line 1"), Table(("\x9b1m",), (("\x00",),)))
    for shown in (plain_text(blocks), render_piece(blocks)):
        assert not re.search("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e]", shown)
        for written in (r"\x1b[2J", r"\x07\u202e", r"\x9b1m", r"\x00"):
            assert written in re.sub("</?span.*?>", "", shown)


# ------------------------------------------------------------------------------------------------ a browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (500, 900, 1400)
PROBE = """
<script>
const faults = [];
onload = () => {
  const told = [...document.querySelectorAll("iframe")].map(frame => {
    const seen = frame.contentDocument, at = seen.defaultView;
    const wide = [...seen.querySelectorAll("body *")].filter(e =>
      e.getBoundingClientRect().right > frame.clientWidth + 1 && !e.closest("pre, table, math, .formula, svg"));
    const table = seen.querySelector("table.derivation tr:last-child");
    return {
      width: frame.clientWidth, wide: seen.documentElement.scrollWidth > frame.clientWidth,
      beyond: wide.map(e => e.outerHTML.slice(0, 80)), words: seen.querySelector(".answer, .links").innerText,
      ink: at.getComputedStyle(seen.querySelector(".symgrad")).color,
      picture: [...seen.querySelectorAll("svg text")].map(e => at.getComputedStyle(e).fill)[0] || null,
      first: table && [...table.children].sort((a, b) =>
        a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0].className,
    };
  });
  document.body.dataset.told = JSON.stringify(told);
};
</script>
"""


def shown_by_a_browser(pages, scheme, folder):
    """What a browser makes of pages, each at each width, in one window."""
    frames = [f'<iframe width="{w}" height="900" srcdoc="{escape(page)}"></iframe>' for page in pages for w in WIDTHS]
    whole = folder / "pages.html"
    text = f'<!DOCTYPE html><html><head><meta name="color-scheme" content="light dark">{PROBE}</head><body>'
    whole.write_text(f"{text}{''.join(frames)}</body></html>", encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1500,1200", "--enable-logging=stderr"]
    flags += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", "--dump-dom"]
    done = subprocess.run(
        [str(BROWSER), *flags, whole.as_uri()],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(folder)},
        timeout=60,
    )
    assert "CONSOLE" not in done.stderr, "no error in any page"
    return json.loads(unescape(re.search('data-told="(.*?)"', done.stdout)[1]))


@pytest.fixture(scope="module")
def pages(report, tmp_path_factory):
    """A page of each kind: a wrong derivation, a right answer with long names, LaTeX, an error, a list of answers."""
    long = verify(
        "+".join(f"tanh(a_long_name_{k}*b_{k})" for k in range(9)), "1 - tanh(a_long_name_0*b_0)**2", wrt="b_0"
    )
    latex = verify(Latex(r"f(x) = \log(1 + e^{a x})"), Latex(r"f''(x) = \frac{a^2 e^{a x}}{1 + e^{a x}}"))
    shapes = {"z": ("n",), "y": ("n",)}
    sized = verify(lambda z, y: (y * z.exp()).sum(), lambda z, y: {"z": y * z.exp(), "y": z.exp()}, at=shapes)
    asked = [
        answer("a_folder/of_some/length/" * 3 + "right.py", "proved", html="a page"),
        replace(FAILED, error=Failure("BadInput", "no file " + "with_a_long_name" * 20)),
    ]
    listed = [p.read_text() for p in write_pages(asked, tmp_path_factory.mktemp("pages") / "all.html")]
    return [*(r.to_html(page=True, heading="x.py") for r in (report, long, latex, sized)), listed[0], listed[2]]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs a browser")
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_browser_shows_each_page_without_an_error_and_nothing_beyond_its_edge(pages, scheme, tmp_path):
    told = shown_by_a_browser(pages, scheme, tmp_path)
    assert [frame["width"] for frame in told] == [*WIDTHS] * len(pages)
    assert [frame for frame in told if frame["wide"] or frame["beyond"]] == []
    ink = "rgb(230, 237, 243)" if scheme == "dark" else "rgb(31, 35, 40)"
    assert {frame["ink"] for frame in told} == {ink}
    assert {frame["picture"] for frame in told} == {ink, None}, "pictures are written in the page's ink"
    narrow, *wider = told[: len(WIDTHS)]
    assert narrow["words"].startswith("Wrong: your gradient for w_h")
    assert narrow["first"].startswith("verdict"), "on a narrow page the verdict stands above its line"
    assert {frame["first"] for frame in wider} == {"number"}
