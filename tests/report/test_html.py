"""The page: well-formed, nothing fetched, everything escaped, the derivation beside its mathematics.

Where there is a browser: no error in it, and the colours that the reader asked for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
import torch
from support.html_page import Page

from symgrad import verify
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
