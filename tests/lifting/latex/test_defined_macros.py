"""Macros that a text defines, as papers have them at their top."""

import pytest

from symgrad import Latex, verify
from symgrad.errors import BadFormula
from symgrad.lifting.latex.defined_macros import with_macros_written_out

ROWS = (
    r"J(\vw) = \frac12\norm{\vw - \vx}^2 + \Tr(A\T A)" "\n"
    r"\\ \nabla_{\vw} J = \vw - \vx"
)  # fmt: skip
MACROS = r"""
\newcommand{\vw}{\mathbf{w}}  % the weights
\def\vx{\mathbf{x}}
\newcommand{\norm}[1]{\left\lVert #1 \right\rVert}
\DeclareMathOperator{\Tr}{Tr}
\def\T{^{\mathsf{T}}}
"""


def test_macros_that_a_text_defines_are_what_they_stand_for():
    assert verify(Latex(MACROS + ROWS)).verdict == "proved"
    assert (
        verify(
            Latex(MACROS + ROWS.replace(r"\vw - \vx", r"\vx - \vw").replace("norm{\\vx - \\vw}", "norm{\\vw - \\vx}"))
        ).verdict
        == "refuted"
    )


@pytest.mark.parametrize(
    ("text", "written_out"),
    [
        (r"\newcommand{\d}[2]{\frac{\partial #1}{\partial #2}} \d{f}{x}", r"\frac{\partial f}{\partial x}"),
        (r"\newcommand{\at}[2][0]{#2_{#1}} \at{x} + \at[k]{x}", r"x_{0} + x_{k}"),
        (r"\newcommand\half{\tfrac12} \half x", r"\tfrac12 x"),
        (r"\DeclarePairedDelimiter{\abs}{\lvert}{\rvert} \abs*{x}y", r"\left\lvert x \right\rvert y"),
        (r"\def\a{\alpha}\def\b{\a\beta} \b x", r"\alpha\beta x"),
        (r"\let\eps\varepsilon \eps", r"\varepsilon"),
        (r"\newcommand{\vec}[1]{\mathbf#1} \vec x", r"\mathbf x"),
        (r"\DeclareMathOperator*{\argmin}{arg\,min} \argmin x", r"\operatorname{argmin} x"),
    ],
)
def test_a_macro_is_written_out_with_its_arguments(text, written_out):
    assert with_macros_written_out(text).strip() == written_out


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        (r"\def\a{\a x} \a", r"\a stands for itself", r"\a"),
        (r"\newcommand{\norm}[1]{\|#1\|} \norm", r"\norm takes 1 argument, and fewer follow it", r"\norm"),
        (r"\newcommand{norm}{x} y", "this definition of a macro is not read", r"\newcommand"),
    ],
)
def test_a_macro_that_cannot_be_written_out_is_shown(text, what, place):
    with pytest.raises(BadFormula) as error:
        Latex(text)
    assert what in error.value.what
    assert place in str(error.value.where)
