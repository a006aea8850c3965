"""Derivations in LaTeX: each right side is judged, and the first that breaks is the fault."""

import numpy as np
import pytest

from symgrad import Latex, verify

SOFTMAX = Latex(r"p_i = \frac{e^{z_i}}{\sum_k e^{z_k}} \\ L = -\sum_i y_i \log p_i")

BROKEN = [  # a derivation, and which of its sides is the first wrong one
    (SOFTMAX,
     r"\frac{\partial L}{\partial z_k} = -\sum_i \frac{y_i}{p_i}\frac{\partial p_i}{\partial z_k} "
     r"= -\sum_i y_i(\delta_{ik} - p_k) = y_k + p_k\sum_i y_i",
     2),
    (SOFTMAX, r"\frac{\partial L}{\partial z_k} = \sum_i y_i(\delta_{ik} - p_k) = y_k - p_k \sum_i y_i", 0),
    (SOFTMAX,
     r"\frac{\partial p_i}{\partial z_k} = p_i(\delta_{ik} - p_i) \\ \frac{\partial L}{\partial z_k} "
     r"= p_k\sum_i y_i - y_k",
     0),
    (SOFTMAX,
     r"\frac{\partial L}{\partial p_i} = \frac{y_i}{p_i} \\ \frac{\partial L}{\partial z_k} "
     r"= p_k\sum_i y_i - y_k",
     0),
    (Latex(r"f(x) = \ln(1+e^{-x})"),
     r"f'(x) = \frac{1}{1+e^{-x}}\cdot\frac{d}{dx}e^{-x} = \frac{e^{-x}}{1+e^{-x}} = \frac{1}{e^x + 1}",
     1),
    (Latex(r"f(x) = x e^x"), r"f'(x) = (1 + x) e^x \\ f''(x) = e^x + (1+x)e^x = (3+x)e^x", 2),
    (Latex(r"f(x) = x^2"), r"f'(x) = x = \frac{2x}{2}", 0),
    (Latex(r"f(x) = \frac{x^2}{1+x}"),
     r"f'(x) = \frac{2x(1+x) - x^2}{(1+x)^2} = \frac{2x + 2x^2 + x^2}{(1+x)^2} "
     r"= \frac{2x + x^2}{(1+x)^2}",
     1),
    (Latex(r"E = (y-t)^2, y = \tanh(z), z = w x"),
     r"\frac{\partial E}{\partial y} = 2(y-t) \\ \frac{\partial y}{\partial z} = 1 - z^2 "
     r"\\ \frac{\partial E}{\partial w} = 2(y-t)(1-y^2)x",
     1),
]  # fmt: skip


@pytest.mark.parametrize(("model", "rows", "fault"), BROKEN, ids=[rows for _, rows, _ in BROKEN])
def test_the_first_side_that_breaks_is_the_fault(model, rows, fault):
    report = verify(model, Latex(rows))
    claims = [s for s in report.steps if s.verdict is not None]
    assert [k for k, s in enumerate(claims) if s.verdict == "wrong"] == [fault]
    assert all(s.verdict == "right" for s in claims[:fault])
    sides = [side.strip() for row in rows.split(r"\\ ") for side in row.split(" = ")[1:]]
    assert claims[fault].source.text.endswith(f"= {sides[fault]}")


def test_what_follows_from_a_wrong_side_is_no_fault_of_its_own():
    report = verify(Latex("f(x) = x^2"), Latex(r"f'(x) = x = \frac{2x}{2} = 3x"))
    assert [s.verdict for s in report.steps] == ["wrong", "fed wrong values", "wrong"]


def test_a_right_result_below_a_wrong_line_is_not_called_right_alone():
    """A guard must not pass: the line is refuted, whatever follows from it."""
    report = verify(SOFTMAX, Latex(BROKEN[2][1]))
    assert [claim.kind for claim in report.claims.values()] == ["proved"]
    assert (report.verdict, report.ok, bool(report)) == ("refuted", False, False)
    assert str(report).startswith("The result is right, and proved; the derivation is not: line 1 is wrong.")


def test_a_right_derivation_has_no_wrong_side():
    rows = (
        r"\frac{\partial L}{\partial p_i} = -\frac{y_i}{p_i} \\ "
        r"\frac{\partial L}{\partial z_k} = \sum_i \frac{\partial L}{\partial p_i}\frac{\partial p_i}{\partial z_k} "
        r"= p_k\sum_i y_i - y_k"
    )
    report = verify(SOFTMAX, Latex(rows))
    assert report.verdict == "proved"
    assert [s.verdict for s in report.steps] == ["right"] * 3


def test_a_quantity_of_the_derivation_alone_is_found_in_the_model():
    rows = r"u = 3x \\ \frac{dy}{du} = 2\sin u \cos u \\ \frac{dy}{dx} = "
    right = verify(Latex(r"y = \sin^2(3x)"), Latex(rows + r"6 \sin(3x)\cos(3x)"))
    assert [s.verdict for s in right.steps if s.verdict] == ["right", "right"]
    wrong = verify(Latex(r"y = \sin^2(3x)"), Latex(rows + r"6 \sin(3x)"))
    assert [s.verdict for s in wrong.steps if s.verdict] == ["right", "wrong"]
    unclear = verify(Latex(r"y = x \sin(3x)"), Latex(r"u = 3x \\ \frac{dy}{du} = x \cos u \\ \frac{dy}{dx} = 1"))
    assert [s.verdict for s in unclear.steps] == [None, None, "wrong"]  # x moves besides u


def test_rows_of_matrices():
    model = Latex(r"f(w) = \frac{1}{2}\|Xw - y\|^2")
    at = {"X": (3, 2), "w": (2,), "y": (3,)}
    rows = r"\nabla_w f = X^\top(Xw - y) = X^\top X w {sign} X^\top y"
    right = verify(model, Latex(rows.replace("{sign}", "-")), at=at, wrt="w")
    assert [s.verdict for s in right.steps] == ["right", "right"]
    wrong = verify(model, Latex(rows.replace("{sign}", "+")), at=at, wrt="w")
    assert [s.verdict for s in wrong.steps] == ["right", "wrong"]


def test_a_derivative_of_the_models_own_quantity_has_its_exact_value():
    point = {"z": np.array([0.3, -0.2, 1.1]), "y": np.array([0.2, 0.5, 0.3])}
    p = np.exp(point["z"]) / np.exp(point["z"]).sum()
    hand = Latex(r"\frac{\partial L}{\partial z_k} = -\sum_i \frac{y_i}{p_i}\frac{\partial p_i}{\partial z_k}")
    report = verify(SOFTMAX, hand, at=point, wrt="z")
    claim = report.claims["z"]
    assert claim.kind == "proved"
    assert np.allclose(np.asarray(claim.hand_value), p - point["y"], rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "hand"),
    [
        (r"f = x^\top A y", r"\nabla_y f = A x"),
        (r"f = \operatorname{tr}(A X)", r"\nabla_X f = A"),
        (r"f = \|A x - b\|^2", r"\nabla_x f = 2 A (A x - b)"),
    ],
)
def test_a_transpose_that_is_missing_is_a_slip_where_the_formula_tells_the_matrix_from_its_transpose(formula, hand):
    square = {"A": (3, 3), "X": (3, 3), "x": (3,), "y": (3,), "b": (3,)}
    at = {n: s for n, s in square.items() if n in formula.split("=")[1].replace("operatorname", "")}
    report = verify(Latex(formula), Latex(hand), at=at)
    assert not report
    assert report.verdict == "refuted"
    assert str(report).startswith("Wrong: ")
    assert "It is true if A is symmetric" in str(report)
    rows = verify(Latex(rf"{formula} \\ {hand} \\ = 1 \cdot {hand.split('=')[1]}"), at=at)
    assert [s.verdict for s in rows.steps] == ["wrong", "fed wrong values"]


def test_of_a_quadratic_form_it_is_told_first_that_the_matrix_has_to_be_symmetric():
    report = verify(Latex(r"f = x^\top A x"), Latex(r"\nabla_x f = 2 A x"))
    assert not report
    assert str(report).startswith("Wrong unless A is symmetric: ")
    assert verify(Latex(r"f = x^\top A x"), Latex(r"\nabla_x f = 2 A x"), assuming="A = A.T").verdict == "proved"


LQR = Latex(r"J(u) = \frac12 x^\top Q x + \frac12 u^\top R u, \quad x = Ax_0 + Bu")
AT = {"Q": (3, 3), "R": (2, 2), "A": (3, 3), "B": (3, 2), "x_0": (3,), "u": (2,)}


@pytest.mark.slow
def test_two_matrices_that_have_to_be_symmetric_are_told_together():
    """Of the square ones only those that are needed: A, which is no weight, may be any."""
    hand = Latex(r"\nabla_u J = B^\top Q(Ax_0 + Bu) + Ru")
    report = verify(LQR, hand, at=AT)
    assert report.verdict == "refuted"
    assert str(report).startswith("Wrong unless Q and R are symmetric: ")
    assert verify(LQR, hand, at=AT, assuming=report.claims["u"].verdict.true_if[1]).verdict == "proved"


@pytest.mark.slow
def test_a_covariance_has_to_be_symmetric():
    """Its log det has no value at many symmetric matrices: that says nothing against the condition."""
    gaussian = r"-\frac{n}{2}\log\det\Sigma - \frac12\sum_{i=1}^n (x_i-\mu)^\top\Sigma^{-1}(x_i-\mu)"
    at = {"Sigma": ("d", "d"), "x": ("n", "d"), "mu": ("d",)}
    report = verify(Latex(rf"\ell = {gaussian}"), Latex(r"\nabla_\mu \ell = \Sigma^{-1}\sum_{i=1}^n (x_i-\mu)"), at=at)
    assert str(report).startswith("Wrong unless Sigma is symmetric: ")


@pytest.mark.slow
def test_what_is_wrong_with_symmetric_matrices_too_is_wrong():
    report = verify(LQR, Latex(r"\nabla_u J = B^\top Q(Ax_0 + Bu) + 2Ru"), at=AT)
    assert report.claims["u"].verdict.true_if is None
    assert str(report).startswith("Wrong: ")


@pytest.mark.parametrize(
    ("slope", "wrong"),
    [
        (r"s_i - s_i^2 = s_i(1 - s_i)", []),
        (r"s_i - s_i^2 = s_i(1 + s_i)", ["side 3"]),
        (r"s_i = s_i + s_i^2", ["side 2", "side 3"]),
    ],
)
def test_of_the_entries_with_one_index_nothing_is_claimed_of_the_others(slope, wrong):
    formula = Latex(r"s_i = \frac{e^{z_i}}{\sum_k e^{z_k}}")
    report = verify(formula, Latex(rf"\frac{{\partial s_i}}{{\partial z_i}} = {slope}"))
    assert [name for name, claim in report.claims.items() if claim.kind == "refuted"] == wrong
    assert bool(report) is (not wrong)
    other = verify(formula, Latex(r"\frac{\partial s_i}{\partial z_j} = s_i(1 - s_i)"))
    assert other.verdict == "refuted"
