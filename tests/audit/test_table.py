"""The audit's table, and the same as data."""

import json
import math

import torch

from symgrad.audit.findings import AGAINST, Found
from symgrad.audit.table import kind_of, render_json, render_table

FOUND = [
    Found("nn.functional.hardsigmoid", "reverse", "float64", "", 0.16666667, 1 / 6, "import torch\nprint(1)", 5),
    Found("linalg.det", "forward", "float64", "0", 0.0, 1.0, "import torch\nprint(2)"),
    Found("linalg.det", "forward", "float32", "0", 0.0, 1.0, "import torch\nprint(3)"),
    Found("fmax", AGAINST, "float64", "", 2.0, 1.0, "print(4)"),
    Found("special.gammainc", "reverse", "float64", "", math.nan, 1.0, "print(5)"),
]


def test_the_table_has_a_row_for_each_operator_and_mode_and_the_worst_come_first():
    assert (
        render_table(FOUND, ["eig: it cannot be followed.", "eig: it cannot be followed."])
        == f"""\
torch {torch.__version__}: 4 derivatives of 4 operators are not what they should be.
Each is what differences of torch's own forward pass say too.
Issues of pytorch/pytorch tell of 1 of these operators: their numbers are beside them.

[ 1] linalg.det             forward                 wrong       float64, float32 torch 0, exact 1 at 0 #192540 #196696
[ 2] special.gammainc       reverse                 no number   float64          torch nan, exact 1
[ 3] fmax                   forward against reverse two answers float64          forward 2, reverse 1
[ 4] hardsigmoid            reverse                 few digits  float64          torch 0.16666667, exact 0.1666666667

[1] linalg.det, forward: torch 0, exact 1
    import torch
    print(2)

[2] special.gammainc, reverse: torch nan, exact 1
    print(5)

[3] fmax, forward against reverse: forward 2, reverse 1
    print(4)

[4] nn.functional.hardsigmoid, reverse: torch 0.16666667, exact 0.1666666667
    import torch
    print(1)

Not judged:
    eig: it cannot be followed."""
    )


def test_the_data_have_each_finding_with_its_kind():
    told = json.loads(render_json(FOUND, ["eig: why"]))
    assert [row["kind"] for row in told["found"]] == [kind_of(one) for one in FOUND]
    assert told["found"][0]["times"] == 5
    assert [row["upstream"] for row in told["found"][:2]] == [[], [192540, 196696]]
    assert told["not_judged"] == ["eig: why"]
