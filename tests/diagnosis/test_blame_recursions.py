"""Recursions whose derivatives go forward beside the values: the wrong line is the one that the slip was made on.

A scalar Kalman filter's likelihood, and its derivatives by the two variances; the truth is the line that a slip is in.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from symgrad import Report, verify

MODEL = """
import numpy as np

def model(q, r, y):
    x, P, ll = 0.0, 1.0, 0.0
    for t in range(len(y)):
        P = P + q
        S = P + r
        v = y[t] - x
        ll = ll - 0.5 * (np.log(S) + v**2 / S)
        K = P / S
        x = x + K * v
        P = (1 - K) * P
    return ll

"""
NAMED = """
def hand(q, r, y):
    x, P = 0.0, 1.0
    dx_q, dP_q, dll_q = 0.0, 0.0, 0.0
    dx_r, dP_r, dll_r = 0.0, 0.0, 0.0
    for t in range(len(y)):
        P = P + q
        dP_q = dP_q + 1
        S = P + r
        dS_r = dP_r + 1
        v = y[t] - x
        dv_q, dv_r = -dx_q, -dx_r
        dll_q = dll_q - 0.5 * (dP_q / S + 2 * v * dv_q / S - v**2 * dP_q / S**2)
        dll_r = dll_r - 0.5 * (dS_r / S + 2 * v * dv_r / S - v**2 * dS_r / S**2)
        K = P / S
        dK_q = dP_q / S - P * dP_q / S**2
        dK_r = dP_r / S - P * dS_r / S**2
        x = x + K * v
        dx_q = dx_q + dK_q * v + K * dv_q
        dx_r = dx_r + dK_r * v + K * dv_r
        dP_q = (1 - K) * dP_q - dK_q * P
        dP_r = (1 - K) * dP_r - dK_r * P
        P = (1 - K) * P
    return dll_q, dll_r
"""
STACKED = """
def hand(q, r, y):
    x, P = 0.0, 1.0
    dx, dP, grad = np.zeros(2), np.zeros(2), np.zeros(2)
    for t in range(len(y)):
        P = P + q
        dP = dP + np.array([1.0, 0.0])
        S = P + r
        dS = dP + np.array([0.0, 1.0])
        v = y[t] - x
        grad = grad - 0.5 * (dS / S - 2 * v * dx / S - v**2 * dS / S**2)
        K = P / S
        dK = (dP - K * dS) / S
        x = x + K * v
        dx = (1 - K) * dx + v * dK
        dP = (1 - K) * dP - P * dK
        P = (1 - K) * P
    return grad[0], grad[1]
"""
SHORT = NAMED.replace("_q", "q").replace("_r", "r").replace("dx", "x").replace("dP", "P").replace("dll", "l")
SHORT = SHORT.replace("dS", "S").replace("dv", "v").replace("dK", "K")
AT = {"q": 0.3, "r": 0.5, "y": np.array([0.4, -0.2, 0.9, 1.1])}


def asked(folder: Path, hand: str) -> Report:
    path = folder / "filters.py"
    path.write_text(MODEL + hand)
    spec = importlib.util.spec_from_file_location("filters", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return verify(module.model, module.hand, at=AT, wrt=["q", "r"])


@pytest.mark.slow
@pytest.mark.parametrize("hand", [NAMED, STACKED, SHORT], ids=["named", "stacked", "short"])
def test_what_is_right_is_called_right(tmp_path: Path, hand: str):
    assert asked(tmp_path, hand).ok


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hand", "right", "slip"),
    [
        (NAMED, "dP_r = (1 - K) * dP_r - dK_r * P", "dP_r = (1 - K) * dP_r"),
        (NAMED, "dP_r / S - P * dS_r / S**2", "dP_r / S - dS_r / S**2"),
        (NAMED, "dx_r + dK_r * v + K * dv_r", "dx_r + dK_r * v - K * dv_r"),
        (NAMED, "dS_r = dP_r + 1", "dS_r = dP_r"),
        (STACKED, "dK = (dP - K * dS) / S", "dK = (dP + K * dS) / S"),
        (STACKED, "dx = (1 - K) * dx + v * dK", "dx = (1 - K) * dx"),
        (SHORT, "xr + Kr * v + K * vr", "xr + Kr * v - K * vr"),
    ],
)
def test_the_line_of_the_slip_is_blamed_and_no_other(tmp_path: Path, hand: str, right: str, slip: str):
    wrong = hand.replace(right, slip)
    assert wrong != hand
    report = asked(tmp_path, wrong)
    line = (MODEL + wrong).split(slip)[0].count("\n") + 1
    assert {s.source.line for s in report.steps if s.verdict == "wrong" and s.source is not None} == {line}
    assert [r.line for r in report.repairs] == [line]
