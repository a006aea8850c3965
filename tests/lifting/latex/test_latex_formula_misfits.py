"""Formulas in LaTeX that do not fit the point or the model: each message in full."""

import numpy as np
import pytest

from symgrad import Latex, verify
from symgrad.errors import SymgradError

# the same, with the shapes of the tensors
MISFITS = [
    (
        {"v": (3,), "u": (3,)},
        r"""
a choice by the index of a sum inside of this one is not read beside a factor.
    \sum_i v_i \sum_{j<i} u_j
    ^^^^^^^^^^^^^^^^^^^^^^^^^
Write the factor inside of the inner sum.
""",
    ),
    (
        {"v": (3,)},
        r"""
a power of a vector is not clear.
    v^2
    ^^^
Write \|x\|^2 for the norm, x \odot x or x^{\odot 2} for the entries.
""",
    ),
    (
        {"v": (3,), "u": (3,)},
        r"""
the product of two vectors is not clear.
    v u
    ^^^
Write x^\top y, x y^\top or x \odot y.
""",
    ),
    (
        {"A": (2, 3), "v": (2,)},
        r"""
the product of a matrix of shape 2 x 3 and a vector of 2 entries is not defined: 3 and 2 do not fit.
    A v
    ^^^
""",
    ),
    (
        {"A": (2, 3)},
        r"""
a number is added to a matrix of shape 2 x 3, which means the identity to some and ones to others.
    A + 1
    ^^^^^
Write \lambda \mathbf{I}, or the entries with indices: A_{ij} + \lambda.
""",
    ),
    (
        {"A": (2, 2)},
        r"""
exp of a matrix of shape 2 x 2 is entry by entry to some and a function of the matrix to others.
    \exp(A)
    ^^^^^^^
Write it with indices, as in \exp(A_{ij}).
""",
    ),
    (
        {"A": (2, 2)},
        r"""
of a matrix only whole powers are read.
    A^{1/2}
    ^^^^^^^
Write A^{-1}, A^2 or A^{\odot 2}.
""",
    ),
    (
        {"v": (3,), "u": (3,)},
        r"""
\times of a vector of 3 entries and a vector of 3 entries is a cross product to some.
    v \times u
    ^^^^^^^^^^
Write A B, x^\top y or x \odot y.
""",
    ),
    (
        {"v": (3,)},
        r"""
a division by a vector of 3 entries is not defined.
    \frac{1}{v}
    ^^^^^^^^^^^
Write A^{-1}, or x \oslash y for entries.
""",
    ),
    (
        {"v": (3,)},
        r"""
|x| of a vector of 3 entries is not clear.
    |v|
    ^^^
Write \|x\| for the norm.
""",
    ),
    (
        {"A": (2, 2)},
        r"""
\|A\| of a matrix is the spectral norm to some.
    \|A\|
    ^^^^^
Write \|A\|_F for the Frobenius norm.
""",
    ),
    (
        {"A": (2, 3)},
        r"""
the determinant of a matrix of shape 2 x 3 is not defined.
    \det A
    ^^^^^^
It needs a square matrix.
""",
    ),
    (
        {"A": (2, 3)},
        r"""
the softmax of a matrix of shape 2 x 3 is not clear.
    \operatorname{softmax}(A)
    ^^^^^^^^^^^^^^^^^^^^^^^^^
It is read of vectors; write the sum with indices.
""",
    ),
    (
        {"v": (3,), "u": (2,)},
        r"""
the sum has axes of 3 and 2 entries.
    v + u
    ^^^^^
""",
    ),
    (
        {"v": (), "u": ()},
        r"""
^T stands on a number, where it may be a power.
    v^T u
    ^^^
Give the tensor a shape, at={...: (3,)}; for a power call the exponent otherwise.
""",
    ),
    (
        {"v": ()},
        r"""
v has 1 index here, and is a number.
    \sum_k v_k
           ^^^
Give it a shape that fits: at={'v': (3,)}.
""",
    ),
    (
        {"v": (3,)},
        r"""
v has 2 indices here, and has the shape [3].
    \sum_{k,s} v_{k,s}
               ^^^^^^^
Give it a shape that fits: at={'v': (3, 3)}.
""",
    ),
    (
        {"v": (3,)},
        r"""
how large n is, is not known: no sum runs to it along an axis.
    \sum_{k=1}^{n-1} v_k
                ^
Say which axis it is, Latex(r"...", shapes={"u": ("n", "d")}), or write the number.
""",
    ),
    (
        {"v": (3,), "u": (2,)},
        r"""
the size m is 3 elsewhere, and 2 here.
    \sum_{k=1}^{m} v_k + \sum_{k=1}^m u_k
                         ^^^^^^^^^^^^^^^^
""",
    ),
    (
        {"v": (3,), "u": (2,)},
        r"""
the index k runs along axes of 3 and 2 entries.
    \sum_{k} v_k u_k
                 ^^^
""",
    ),
    (
        {"v": (3,)},
        r"""
a determinant is read of sums and products of matrices alone.
    \det(\operatorname{diag}(v))
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
Give the matrix a name of its own.
""",
    ),
    (
        {"v": (3,)},
        r"""
the sum of a vector of 3 entries and a vector is not defined.
    v + \mathbf{1}^\top
    ^^^^^^^^^^^^^^^^^^^
""",
    ),
    (
        {"v": (3,)},
        r"""
this entry is outside of a vector of 3 entries.
    v_5 \sum_k v_k
    ^^^
""",
    ),
    (
        {"v": (3,)},
        r"""
v[k] takes its index k to 5, and axis 0 of the tensor of shape [3] runs from 1 to 3.
    \sum_{k=1}^{5} v_k
    ^^^^^^^^^^^^^^^^^^
""",
    ),
    (
        {"v": (3,)},
        r"""
a power with a vector of 3 entries as exponent is not read.
    2^{v}
    ^^^^^
Write \exp(...).
""",
    ),
]


def texts(block):
    """The formula in a message, and the message."""
    message = block.strip()
    return message.split("\n")[1].strip(), message


@pytest.mark.parametrize(("shapes", "block"), MISFITS, ids=[texts(b)[0] for _, b in MISFITS])
def test_tensors_that_do_not_fit(shapes, block):
    text, message = texts(block)
    point = {n: np.ones(s) + np.arange(np.prod(s, dtype=int)).reshape(s) for n, s in shapes.items()}
    with pytest.raises(SymgradError) as error:
        Latex(text).run(point)
    assert str(error.value) == message


F = Latex("f = x y")


ABOUT = [
    (
        lambda: verify(F, Latex(r"\frac{\partial g}{\partial x} = y")),
        r"""
the left side is a derivative of g, and the model is f.
    \frac{\partial g}{\partial x} = y
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
Write \partial f, or rename the model.
""",
    ),
    (
        lambda: verify(Latex(r"f(x) = x^2 \\ f'(x) = 2x"), Latex(r"f'(x) = 2x")),
        r"""
this text says what f is, and what its derivative is.
    f(x) = x^2 \\ f'(x) = 2x
                  ^^
Pass two: the formula, and its derivative.
""",
    ),
    (
        lambda: verify(F, Latex(r"\frac{\partial}{\partial x} (x + y) = 1")),
        r"""
the left side is a derivative of x + y, and the model is x*y.
    \frac{\partial}{\partial x} (x + y) = 1
                                ^^^^^^^
Write \frac{\partial f}{\partial x} = ..., where f is the model.
""",
    ),
    (
        lambda: verify("x**2", Latex(r"\frac{d}{dx} x^2 = 2x")),
        r"""
the left side is a derivative of x**2, and the model is not in LaTeX.
    \frac{d}{dx} x^2 = 2x
                 ^^^
Write \frac{\partial f}{\partial x} = ..., where f is the model.
""",
    ),
    (
        lambda: verify(F, Latex(r"f''(x) = 0"), order=1),
        r"""
the left side is a derivative of order 2, and order is 1.
    f''(x) = 0
    ^^^
Pass order=2.
""",
    ),
    (
        lambda: verify(F, {"x": Latex(r"\frac{\partial f}{\partial y} = x"), "y": Latex("x")}),
        r"""
the formula for 'x' has a left side about 'y'.
    \frac{\partial f}{\partial y} = x
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
Pass it as {'y': ...}, or mend the left side.
""",
    ),
    (
        lambda: verify("x/3", Latex(r"\frac{\partial f}{\partial x} = \frac{1}{m}")),
        r"""
'm' is not an input of the model, which has x.
    \frac{\partial f}{\partial x} = \frac{1}{m}
                                             ^
If it is a size, say of what: Latex(r"...", shapes={"u": ("m", "d")}).
""",
    ),
    (
        lambda: verify(
            lambda v: v.sum(), Latex(r"\frac{\partial f}{\partial v_k} = \sum_j \delta_{jk}"), at={"v": (3,)}
        ),
        r"""
the range of the index j is not known: it is the index of no tensor here.
    \frac{\partial f}{\partial v_k} = \sum_j \delta_{jk}
                                             ^^^^^^^^^^^
Give the limits, \sum_{j=1}^{n}, or a shape to the tensor that has it, at={...}.
""",
    ),
    (
        lambda: verify("g*(x + 1)", Latex(r"f'(x) = f(x + 1)")),
        r"""
f(...) reads as a function, and which one is not known.
    f'(x) = f(x + 1)
            ^^
Write out what it is; for a product write f \cdot (...).
""",
    ),
    (
        lambda: Latex(r"2\frac{dy}{dx}").names,
        r"""
the formula uses dy/dx, and no row says what it is.
    2\frac{dy}{dx}
     ^^^^^^^^^^^^^
Add a row with its value before this one, or write it out.
""",
    ),
    (
        lambda: Latex("x", shapes={"x": "m"}),
        r"""
shapes['x'] is 'm'.
Give a size or a letter for each axis: ('m', 'd').
""",
    ),
    (
        lambda: Latex(r"x \, y").run({"x": 1.0}),
        r"""
'y' has no value at the point.
    x \, y
         ^
Pass at={'y': ...}.
""",
    ),
]


@pytest.mark.parametrize(("call", "message"), ABOUT, ids=[m.split("\n")[1][:40] for _, m in ABOUT])
def test_formulas_that_do_not_fit_the_model(call, message):
    with pytest.raises(SymgradError) as error:
        call()
    assert str(error.value) == message.strip()
