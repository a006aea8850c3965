"""Entries by the number of a class, ``p_c`` and ``z_y``, as books on classification have them."""

import pytest

from symgrad import Latex, SymgradError, verify

SOFTMAX = r"p_k = \frac{e^{z_k}}{\sum_{j} e^{z_j}}, \quad \ell = -\log p_c"
LOGITS = r"L = -z_y + \log\sum_{j} e^{z_j}"
WORD2VEC = r"J = -\log\sigma(u_o^\top v_c) - \sum_{k=1}^K\log\sigma(-u_k^\top v_c)"


@pytest.mark.parametrize(
    ("formula", "right", "wrong"),
    [
        (SOFTMAX, r"\frac{\partial \ell}{\partial z_k} = p_k - \delta_{kc}", r"p_k(1 - \delta_{kc})"),
        pytest.param(
            SOFTMAX,
            r"\frac{\partial \ell}{\partial z_k} = p_k - \mathbb{1}[k=c]",
            r"\mathbb{1}[k=c] - p_k",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            SOFTMAX,
            r"\frac{\partial \ell}{\partial z_k} = \begin{cases} p_k - 1 & k = c \\ p_k & k \ne c \end{cases}",
            r"\begin{cases} p_k + 1 & k = c \\ p_k & k \ne c \end{cases}",
            marks=pytest.mark.slow,
        ),
        (
            LOGITS,
            r"\frac{\partial L}{\partial z_j} = \mathrm{softmax}(z)_j - \mathbb{1}[j=y]",
            r"\mathrm{softmax}(z)_j + 1",
        ),
        pytest.param(
            WORD2VEC,
            r"\frac{\partial J}{\partial v_c} = (\sigma(u_o^\top v_c)-1)u_o + \sum_{k=1}^K\sigma(u_k^\top v_c)u_k",
            r"(\sigma(u_o^\top v_c)-1)u_o - \sum_{k=1}^K\sigma(u_k^\top v_c)u_k",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_entry_by_its_number_is_read(formula, right, wrong):
    assert verify(Latex(formula), Latex(right)).verdict == "proved"
    left = right.partition("=")[0]
    assert verify(Latex(formula), Latex(f"{left} = {wrong}")).verdict == "refuted"


@pytest.mark.slow
def test_which_reading_is_right_is_told():
    report = verify(Latex(LOGITS), Latex(r"\frac{\partial L}{\partial z_j} = \mathrm{softmax}(z)_j - \mathbb{1}[j=y]"))
    assert "z_y was read as the entry of number y of z." in report.notes
    own = Latex(r"\frac{\partial J}{\partial u_o} = (\sigma(u_o^\top v_c)-1)v_c")
    assert verify(Latex(WORD2VEC), own).verdict == "proved"  # u_o as a name of its own


def test_an_answer_that_hangs_on_the_reading_is_a_question():
    with pytest.raises(SymgradError, match="z_y is the entry of number y to some, and a name of its own to others"):
        verify(Latex(LOGITS), Latex(r"\frac{\partial L}{\partial z_j} = \frac{e^{z_j}}{\sum_k e^{z_k}}"))


def test_what_is_claimed_of_one_entry_is_not_judged_for_all():
    with pytest.raises(SymgradError) as error:
        verify(Latex(SOFTMAX), Latex(r"\frac{\partial \ell}{\partial z_c} = p_c - 1"))
    assert "this is about one entry alone" in error.value.what
    advised = r"\frac{\partial \ell}{\partial z_k} = p_k - \mathbb{1}[k=c]"
    assert verify(Latex(SOFTMAX), Latex(advised)).verdict == "proved"
