"""The table of a report as text, HTML, CSV and rows."""

import csv
import io
import json

import numpy as np
import torch

from symgrad import verify
from symgrad.checking.three_ways import ThreeWays
from symgrad.report.value_table import ValueTable


def made(number: int, point, values, exact, ulps, **rest) -> ThreeWays:
    arrays = [
        {way: np.array(x, np.float32) for way, x in values.items()},
        {way: np.array(x) for way, x in ulps.items()},
    ]
    rest = {"is_own": number == 1, "branch": 1, **rest}
    return ThreeWays(
        "W", number, point, dtype="float32", truth=np.array(exact), values=arrays[0], ulps=arrays[1], **rest
    )


NUMBERS = ValueTable(
    (
        made(
            1,
            {"W": np.array(2.0), "h": np.array(0.1)},
            {"symbolic": 8.1888065, "autograd": 8.188806, "hand": -40.2153},
            8.18880817,
            {"symbolic": 1.75, "autograd": 2.5, "hand": 5.1e7},
        ),
        made(
            2,
            {"W": np.array(0.5), "h": np.array(0.1)},
            {"symbolic": 1.5, "hand": 1.5},
            1.5,
            {"symbolic": 0.0, "hand": 0.0},
            branch=2,
        ),
    ),
    True,
)
ARRAY = ValueTable(
    (
        made(
            1,
            {"W": np.arange(8.0).reshape(2, 4)},
            {"autograd": [[1.0, 0.5]], "hand": [[1.0, 0.5 + 2**-23]]},
            [[1.0, 0.5]],
            {"autograd": [[0.0, 0.0]], "hand": [[0.0, 2.0]]},
        ),
    ),
    False,
)


def test_what_is_beside_zero_is_told_as_it_is():
    table = ValueTable(
        (
            made(
                1,
                {"W": np.array([1.0])},
                {"autograd": [6.5e-17], "hand": [0.0]},
                [0.0],
                {"autograd": [1e28], "hand": [0.0]},
            ),
        ),
        True,
    )
    text = str(table)
    assert "  6.5e-17 absolute\n" in text
    assert "yours     0  0\n" in text
    assert "most in [0], by\n    6.5e-17, where the truth is zero." in text
    assert "e28" not in text


def test_numbers_in_words():
    assert (
        str(NUMBERS)
        == """\
Symbolic is the exact derivative, run as torch code. How far a value is from the
exact one is said in ulps of float32: one ulp is the gap between two neighbours
among these numbers.

W
    At your own point:
        symbolic    8.18880653  1.8 ulp
        autograd    8.18880558  2.5 ulp
        yours     -40.2153015  5.1e7 ulp
        exact       8.18880817
    At all points; the last columns say how far off each is:

    point  branch  exact    your value  symbolic  autograd  yours
    -----  ------  -------  ----------  --------  --------  -----
    1      1       8.18881  -40.2153    1.8       2.5       5.1e7
    2      2       1.5      1.5         0                   0

The points
    - 1 (your own): W = 2, h = 0.1
    - 2: W = 0.5, h = 0.1"""
    )


def test_an_array_in_words_has_its_worst_entry_and_the_differences():
    assert (
        str(ARRAY)
        == """\
Symbolic is the exact derivative, run as torch code. How far a value is from the
exact one is said in ulps of float32: one ulp is the gap between two neighbours
among these numbers.

W
    At point 1, in the entry [0, 1]:
        autograd  0.5  0 ulp
        yours     0.500000119  2 ulp
        exact     0.5
    Yours and autograd differ in 1 of 2 entries at point 1, most in [0, 1], by 2
    ulp.
    Yours - autograd at point 1, in ulps of float32:

         [:, 0]  [:, 1]
    ---  ------  ------
    [0]  0       +2

The points
    - 1: W of shape [2, 4]"""
    )


def test_a_page_colours_what_differs():
    page = ARRAY._repr_html_()
    assert page.count("color-mix") == 1
    assert '<td style="background: color-mix(in srgb, var(--open) 60%, transparent)">+2</td>' in page


def test_rows_are_what_csv_and_json_hold():
    model = lambda W, x: torch.tanh(W @ x).sum()  # noqa: E731
    hand = lambda W, x: (1 - torch.tanh(W @ x) ** 2)[:, None] * x[None, :]  # noqa: E731
    table = verify(model, hand, wrt="W", at={"W": (2, 2), "x": (2,)}).table()
    assert len(table.rows) == sum(w.truth.size for w in table.ways)
    read = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [float(r["truth"]) for r in read] == [r["truth"] for r in table.rows]
    assert [r["entry"] for r in read[:3]] == ["[0, 0]", "[0, 1]", "[1, 0]"]
    assert json.loads(json.dumps(table.to_dict(), allow_nan=False))["rows"][0]["claim"] == "W"
