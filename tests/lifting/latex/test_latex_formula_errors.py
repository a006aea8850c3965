"""What is no formula in LaTeX, or has two readings: each message in full."""

import pytest

from symgrad import Latex
from symgrad.errors import BadFormula, SymgradError


def texts(block):
    """The formula in a message, and the message."""
    message = block.strip()
    return message.split("\n")[1].strip(), message


# a formula, and the message without it: what happened, the carets under it, what to write instead
REFUSED = r"""
the formula ends after '+'.
    x +
      ^
Something must follow it.

this parenthesis is never closed.
    (x + 1
    ^

this parenthesis was never opened.
    x + 1)
         ^

there is nothing between these braces.
    \frac{x}{}
            ^^

this brace is never closed.
    {x
    ^

this brace was never opened.
    x}
     ^

\left must be followed by a delimiter.
    \left x
    ^^^^^
Write, for example, \left( ... \right).

( is closed by ].
    \left( x ]
    ^^^^^^^^^^

this | is never closed.
    | x
    ^

this | is never closed.
    \left| x
    ^^^^^^

it is not clear which | opens and which closes.
    |x|y|z|
    ^^^^^
Write \left| ... \right|.

two signs stand in a row.
    a--b
     ^^
Write a - (-b).

after a slash it is not clear what the denominator is.
    1/2x
      ^^
Write \frac{a}{b c}, a/(b c) or \frac{a}{b} c.

a number follows a factor.
    x2
    ^^
Write it first, 2x, or with a sign, x \cdot 2; a subscript is x_2 and a power x^2.

TeX takes only '1' of 10 after ^.
    x^10
      ^^
Write ^{10}.

two exponents stand on one factor.
    x^2^3
    ^^^^^
Write {x^a}^b as x^{ab} or (x^a)^b.

two subscripts stand on one name.
    x_a_b
    ^^^^
Write x_{i,j}.

the exponent \dagger has many meanings.
    x^\dagger
    ^^^^^^^^^
For a transpose write ^\top, for a name \mathrm{x\_star}, for an inverse ^{-1}.

it is not clear where the argument of \sin ends.
    \sin x y
    ^^^^^^^^
Write \sin(x) y... or \sin(x y...).

it is not clear where the argument of \sin ends.
    \sin x/2
    ^^^^^^^
Write \sin(x) /... or \sin(x /...).

\ln^{-1} is the inverse function to some and the reciprocal to others.
    \ln^{-1} x
    ^^^^^^^
Write \frac{1}{\ln x}, or the inverse by its name, such as \exp.

\sin has no argument.
    \sin
    ^^^^
Write \sin(x).

\exp is followed by a sign.
    \exp -x
    ^^^^^^
Write \exp(-x).

braces are invisible, so it is not clear where the argument ends.
    \sin{a+b}
    ^^^^^^^^^
Write \sin\left(a+b\right).

braces are not printed, and here they would group.
    {a+b}c
    ^^^^^
Write (a+b).

\max needs parentheses.
    \max 0
    ^^^^^^
Write \max(0, x).

\max takes at least 2 arguments, and 1 are given.
    \max(x)
    ^^^^^^^

\log takes 1 argument, and 2 are given.
    \log(x, y)
    ^^^^^^^^^^

a subscript on \max is not read.
    \max_i x_i
    ^^^^^^

f(...) reads as a function, and which one is not known.
    f(x+1)
    ^^
Write out what it is; for a product write f \cdot (...).

y(...) around one name reads as a call.
    y(x)
    ^^^^
For the product write y \cdot x.

\psi(...) reads as a function, and which one is not known.
    \psi(x, y)
    ^^^^^
Write out what it is; for a product write \psi \cdot (...); the digamma function is \operatorname{digamma}.

\sigma is a function here, and a number elsewhere in the formula.
    \sigma(x) + \sigma^2
    ^^^^^^^
For a product write \sigma \cdot (...); the logistic function is \operatorname{sigmoid}.

f^2(...) reads as the power of a function.
    f^2(x)
    ^^^^^^
For the product write f^2 \cdot (...), for the power (f(...))^n.

exp without a backslash is the product of its letters.
    exp x
    ^^^
Write \exp.

aexp(...) holds the function exp, or is a product.
    aexp(x)
    ^^^^
Write a \exp(...).

abc(...) is a product of 3 letters in LaTeX, and looks like a function.
    abc(x+1)
    ^^^
Write \operatorname{abc}(...), or the factors with spaces: a b c (...).

loss is a product of 4 letters in LaTeX, and looks like one name.
    loss
    ^^^^
Write \mathrm{loss} for the name, or the factors with spaces: l o s s.

dx looks like a differential.
    dx
    ^^
For the product write d \cdot x.

\mathrm{d} stands for a differential.
    \mathrm{d}x
    ^^^^^^^^^^
For the product write d \cdot x.

\mathbf of 2 letters is their product to some and one name to others.
    \mathbf{ab}
    ^^^^^^^^^^^
Write \mathrm{ab} for one name, or \mathbf for each letter.

no operation is called 'foo'.
    \operatorname{foo}(x)
    ^^^^^^^^^^^^^^^^^^
Add a row that says what it is, \operatorname{foo}(x) = ..., or symgrad.define('foo', ...).

\foo is not read.
    \foo x
    ^^^^
For a function write \operatorname{foo}, for a name \mathrm{foo}.

E with brackets is an expectation or a probability.
    \mathbb{E}[x + 1]
    ^^^^^^^^^^
Write out its value.

e alone is a number to some and a name to others.
    e x
    ^
Write \mathrm{e} for the number 2.718..., \exp(x) for a power; another letter for a name.

i alone is an index that nothing binds, or the imaginary unit.
    i x
    ^
Write the sum over i; formulas are read over the real numbers.

\pm is two formulas.
    x \pm y
      ^^^
Write each by itself.

an integral without limits is known up to a constant.
    \int x
    ^^^^
Write its limits, \int_a^b; or a function of which it is the integral.

which variable this integral is over is not said.
    \int_0^1 x
    ^^^^
End it with its differential, \, dx.

... leaves open what is meant.
    1 + 2 + \dots + n
            ^^^^^
Write a sum or a product with its limits.

\infty is not a number to compute with.
    \infty
    ^^^^^^

\otimes is a Kronecker or an outer product.
    a \otimes b
      ^^^^^^^
Write x y^\top, or the entries with indices.

** is no power in LaTeX.
    a ** b
      ^^
Write x^{2}.

& has no place here.
    x & y
      ^

a comparison has no place here.
    x > 0
      ^
Conditions stand in \begin{cases} and in \mathbb{1}[x > 0].

a comma inside a number is not read.
    1,000
    ^^^^^
Write 1000.

'#' is not part of a formula.
    # x
    ^

'\\' is not part of a formula.
    \
    ^

\sum has no index.
    \sum x_k
    ^^^^
Write \sum_{k=1}^{m}.

\sum has only one limit.
    \sum_{k=1} x_k
    ^^^^^^^^^^
Write \sum_{k=1}^{m}, or \sum_k for all.

what stands below \sum is not read.
    \sum_{i<j} x_i
    ^^^^^^^^
Write \sum_{k=1}^{m}, or \sum_k for all entries; a condition goes into \mathbb{1}[...].

the sum over k has ended before this: it goes to the next plus or minus.
    \sum_k a_k + b_k
                 ^^^
Put what is summed in parentheses.

the index k is bound already, by a sum around it.
    \sum_k a_k \sum_k b_k
               ^^^^^^
Use another letter.

i, j is no index here: no sum binds it, and the left side does not have it.
    x_{i,j}
    ^^^^^^^
Write the sum, or name the free indices on the left side: \frac{\partial f}{\partial u_{k,s}} = ...

j is no index here: no sum binds it, and the left side does not have it.
    \sum_k u_{k,j}
           ^^^^^^^
Write the sum, or name the free indices on the left side: \frac{\partial f}{\partial u_{k,s}} = ...

j is no index here: no sum binds it, and the left side does not have it.
    \sum_k (u_k + u_j)
                  ^^^
Write the sum, or name the free indices on the left side: \frac{\partial f}{\partial u_{k,s}} = ...

T is a size or a name here, and a transpose to others.
    \sum_{t=1}^T \gamma^T r_t
                 ^^^^^^^^
Write ^\top for a transpose; for a power give the exponent another letter.

x stands in two fonts: one name or two is not clear.
    \mathbf{x} x
               ^
Rename one of them.

the formula uses dy/dx, and no row says what it is.
    x(1 + \frac{dy}{dx})
          ^^^^^^^^^^^^^
Add a row with its value before this one, or write it out.

the order is 1 above the line and 2 below it.
    \frac{\partial f}{\partial x \partial y}
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
Write \frac{\partial^2 f}{\partial x^2}, or \frac{\partial f}{\partial x}.

the order of a derivative is a whole number below 10.
    \frac{\partial^{12} f}{\partial x^{12}}
                    ^^

\nabla_ needs one name.
    \nabla_{x y} f = 2
    ^^^^^^^^^^^
Write \nabla_w f.

this says that values are equal, and a formula is one value.
    2·x = y
Begin with a name, f(x) = ...; or pass the equation alone, to have each side judged.

the arguments of a function that is defined are names.
    f(2x) = x
     ^^

the formula ends after '+'.
    f = x, g = 2 f +
                   ^
Something must follow it.

x is said by means of itself, or used before it is defined.
    x = x + 1
        ^
Write the rows in the order in which they need each other.

a side of this equation is missing.
    y = x =
        ^

this choice has no condition.
    \begin{cases} x & x > 0 \\ 0 \end{cases}
                               ^
Write x > 0 or \text{otherwise} after &.

\begin{cases} is never closed.
    \begin{cases} x & \text{otherwise}
    ^^^^^^^^^^^^^
Write \end{cases}.

the rows of this matrix have different lengths.
    \begin{pmatrix} 1 & 2 \\ 3 \end{pmatrix}
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
Write each entry, with 0 where there is none.

\begin{pmatrix} is never closed.
    \begin{pmatrix} 1 & 2
    ^^^^^^^^^^^^^^^
Write \end{pmatrix}.

\begin{tabular} is not read here.
    \begin{tabular} 1 & 2 \end{tabular}
    ^^^^^^^^^^^^^^^
Choices are \begin{cases}, and matrices \begin{pmatrix}.

an indicator needs a condition.
    \mathbb{1}(x)
    ^^^^^^^^^^^
Write \mathbb{1}[x > 0].

the largest entry is not read.
    \|x\|_\infty
    ^^^^^^^^^^^^
Norms are 1, 2, p and F.

the norm \|.\|_{A} is not read.
    \|x\|_A
    ^^^^^^^
Norms are 1, 2, p and F.

text is not part of a formula.
    x \text{ for all } y
      ^^^^^^^^^^^^^^^^
Leave it out; conditions stand in \begin{cases}.

\hat stands over one name.
    \hat{x + y}
        ^^^^

an inner product has two sides.
    \langle x + y \rangle
    ^^^^^^^^^^^^^^^^^^^^^
Write \langle x, y \rangle.

there is nothing between these parentheses.
    ()
    ^^

something is missing between '\\cdot' and '\\cdot'.
    a \cdot \cdot b
      ^^^^^^^^^^^

a side of this equation is missing.
    x =
    ^


y' is the transpose of y to some, and another name to others.
    y'y
    ^^
Write y^\top for the transpose, or give the name another mark: \tilde{y}.

N(...) around one name reads as a call.
    N\left(s_1\right)
    ^^^^^^^^^^^^^^^^^
For the product write N \cdot s_1; the normal distribution function is \operatorname{ndtr}.

L is used, and only its logarithm is defined.
    \ln L = -\mu^2 \\ A = 2k - L
                               ^
Write \exp(\ln L), or a row that says what L is.

f takes 2 arguments, and 1 are given.
    f(x, y) = x y \\ z = f(2)
                         ^^^^
It is defined as f(x, y).

a(...) is a call of a(z) to some, and a product with a to others.
    a(z) = \tanh(z) \\ y = a (1 - z) + a
                           ^^^^^^^^^
For the product write a \cdot (...); for the call write a(z) where a stands alone.

what f(n) is at other arguments is not clear: n is a size or another name in its row.
    f(n) = \sum_{k=1}^{n} k \\ y = f(5)
                                   ^^^^
Write out its value here.

what f(W) is at other arguments is not clear: W is a size or another name in its row.
    f(W) = w^2 \\ y = f(5)
                      ^^^^
Write out its value here.

what f(x) is at other arguments is not clear: its row is written by means of z.
    z = w x \\ f(x) = z^2 \\ y = f(5)
                                 ^^^^
Write f(x) without z, or write out its value here.

f is said by means of itself, or used before it is defined.
    y = f(2) \\ f(x) = x y
        ^
Write the rows in the order in which they need each other.

f^2(...) reads as the power of a function.
    f(x) = x + 1 \\ y = f^2(3)
                        ^^^^^^
For the product write f^2 \cdot (...), for the power (f(...))^n.

the derivative of f has a jump.
    f(x) = |x| \\ y = f'(w)
                      ^^^^^
Write it out, with \begin{cases}.
"""


def test_every_refusal_says_what_where_and_what_to_write_instead():
    wrong = []
    for block in REFUSED.strip().split("\n\n"):
        text, message = texts(block)
        try:
            formula = Latex(text)
            formula.run(dict.fromkeys(formula.names, 1.0))
            wrong.append((text, formula.plain))
        except SymgradError as error:
            if str(error) != message:
                wrong.append((message, str(error)))
    assert wrong == []


WITHOUT_R = [
    "\frac{x^2}{2}",
    "\tanh(x)",
    "\beta x",
    "2\nu x",
    "\rho x",
    "\alpha x",
    "\vec{x}",
    "x \times y",
    "\nabla f",
]


@pytest.mark.parametrize("text", WITHOUT_R, ids=ascii)
def test_backslashes_that_python_has_read_are_told(text):
    """Of these some read as other formulas: "rho x" as h o x."""
    with pytest.raises(BadFormula, match="with an r before the quotes"):
        Latex(text)


@pytest.mark.parametrize("text", ["\nu = 3x \\\\\nf = u^2", "f = x +\n\tu y", "f = x^2\r\n + y", "f = x +\ny"])
def test_new_lines_and_tabs_are_spaces(text):
    assert Latex(text).plain
