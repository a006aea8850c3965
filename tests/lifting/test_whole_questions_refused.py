r"""Whoever does what a refusal says is answered: each refusal of LaTeX and text beside what its advice says to write.

Every place in these rooms that refuses something and says what to write instead has a row here.  The places are found
in the sources, and the row that leads to each by running it, so that a new refusal without a row fails.
"""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import symgrad.lifting.latex
import symgrad.lifting.text
from symgrad import Latex, verify
from symgrad.errors import SymgradError
from symgrad.lifting.text.text_formula import Text

# what is refused => what its message says to write; where there are two readings, both, with | between them
FORMULAS = r"""
x + => x + 1
\left x => \left( x \right)
|x|y|z| => \left|x\right| y \left|z\right|
a--b => a - (-b)
1/2x => \frac{1}{2x} | 1/(2x) | \frac{1}{2} x
x2 => 2x | x \cdot 2 | x_2 | x^2
x^10 => x^{10}
x^2^3 => x^{2 \cdot 3} | (x^2)^3
x_a_b => \sum_{a,b} x_{a,b}
x^\dagger => x^\top | \mathrm{x\_star} | x^{-1}
A^* => A^\top | \mathrm{A\_star} | A^{-1}
\sin x y => \sin(x) y | \sin(x y)
\ln^{-1} x => \frac{1}{\ln x} | \exp(x)
\sin => \sin(x)
\exp -x => \exp(-x)
\sin{a+b} => \sin\left(a+b\right)
{a+b}c => (a+b) c
\max 0 => \max(0, x)
y(x) => y \cdot x
\psi(x, y) => \operatorname{digamma}(x) | \psi \cdot (x + y)
\sigma(x) + \sigma^2 => \sigma \cdot (x) + \sigma^2 | \operatorname{sigmoid}(x) + \sigma^2
f^2(x) => f^2 \cdot (x) | (f \cdot x)^2
exp x => \exp x
aexp(x) => a \exp(x)
abc(x+1) => a b c (x+1) | \operatorname{abc}(x) = x^2 \\ y = \operatorname{abc}(x+1)
loss => \mathrm{loss} | l o s s
dx => d \cdot x
\mathrm{d}x => d \cdot x
\mathbf{ab} => \mathrm{ab} | \mathbf{a}^\top \mathbf{b}
\operatorname{foo}(x) => \operatorname{foo}(x) = x^2 \\ y = \operatorname{foo}(x)
\foo x => \mathrm{foo} x
\mathbb{E}[x + 1] => x + 1
e x => \mathrm{e} x | \exp(1) x | b x
i x => \sum_i x_i
x \pm y => x + y | x - y
\int x => \int_0^1 x \, dx
\int_0^1 x => \int_0^1 x \, dx
1 + 2 + \dots + n => \sum_{k=1}^n k
a \otimes b => a b^\top
a ** b => a^{b}
x > 0 => \begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases} | \mathbb{1}[x > 0]
1,000 => 1000
\sum x_k => \sum_{k=1}^{m} x_k
\sum_{k=1} x_k => \sum_{k=1}^{m} x_k | \sum_k x_k
\sum_{i<j} x_i => \sum_{i=1}^{m} x_i | \sum_i x_i | \sum_i \sum_j \mathbb{1}[i < j] x_i y_j
\sum_k a_k + b_k => \sum_k (a_k + b_k)
\sum_k a_k \sum_k b_k => \sum_k a_k \sum_j b_j
x_{i,j} => \sum_{i,j} x_{i,j} | y_{i,j} = x_{i,j}
\sum_k u_{k,j} => \sum_k \sum_j u_{k,j} | y_j = \sum_k u_{k,j}
\sum_{t=1}^T \gamma^T r_t => \sum_{t=1}^T \gamma^\top r_t | \sum_{t=1}^T \gamma^m r_t
\mathbf{x} x => \mathbf{x} y
x(1 + \frac{dy}{dx}) => \frac{dy}{dx} = 2x \\ z = x(1 + \frac{dy}{dx}) | x(1 + 2x)
\frac{df}{dx dy} = 1 => \frac{d^2 f}{dx dy} = 1 | \frac{df}{dx} = 1
\nabla_{x y} f = 2 => \nabla_w f = 2
\nabla_2 f = 2 => \nabla_w f = 2
x = x + 1 => y = x + 1
\begin{cases} x & x > 0 \\ 0 \end{cases} => \begin{cases} x & x > 0 \\ 0 & \text{otherwise} \end{cases}
\begin{cases} x & \text{otherwise} => \begin{cases} x & x > 0 \\ 0 & \text{otherwise} \end{cases}
\begin{cases} x & x \\ 0 & x \end{cases} => \begin{cases} x & x > 0 \\ 0 & x \le 0 \end{cases}
\begin{pmatrix} 1 & 2 \\ 3 \end{pmatrix} => \begin{pmatrix} 1 & 2 \\ 3 & 0 \end{pmatrix}
\begin{pmatrix} 1 & 2 => \begin{pmatrix} 1 & 2 \end{pmatrix}
\begin{tabular} 1 & 2 \end{tabular} => \begin{pmatrix} 1 & 2 \end{pmatrix}
\mathbb{1}(x) => \mathbb{1}[x > 0]
\mathbb{1}x > 0 => \mathbb{1}[x > 0]
\|x\|_\infty => \|x\|_1 | \|x\|_2 | \|x\|_p
\|x\|_A => \|x\|_1 | \|A\|_F
x \text{ for all } y => x y
x \text{ for } => x
\langle x + y \rangle => \langle x, y \rangle
y'y => y^\top y | \tilde{y} y
\sum_k x_k^2 + x_y => \sum_k x_k^2 + z
h(x) + h(y) => h \cdot x + h \cdot y
h(x, y) + x => h(x, y) = x y \\ z = h(x, y) + x
\phi(x + 1) => \phi \cdot (x + 1)
N\left(s_1\right) => N \cdot s_1 | \operatorname{ndtr}(s_1)
\ln L = -\mu^2 \\ A = 2k - L => \ln L = -\mu^2 \\ A = 2k - \exp(\ln L) | L = e^{-\mu^2} \\ A = 2k - L
f(x, y) = x y \\ z = f(2) => f(x, y) = x y \\ z = f(2, 1)
a(z) = z \\ y = a (1 - z) + a => a(z) = z \\ y = a \cdot (1 - z) + a | a(z) = z \\ y = a(1 - z) + a(z)
f(n) = \sum_{k=1}^{n} k \\ y = f(5) => y = \sum_{k=1}^{5} k
z = w x \\ f(x) = z^2 \\ y = f(5) => f(x) = (w x)^2 \\ y = f(5)
y = f(2) \\ f(x) = x y => f(x) = x z \\ y = f(2)
f(x) = x + 1 \\ y = f^2(3) => f(x) = x + 1 \\ y = f(3)^2
f(x) = |x| \\ y = f'(w) => y = \begin{cases} 1 & w > 0 \\ -1 & w < 0 \end{cases}
a b \quad (1) => a b | a \cdot b
x^2' => x'^2
asin(x) => \arcsin(x) | a \sin(x)
\mathbf + x => \mathbf{x}
E[X] + E => E \cdot X + E
I_0(x) => \operatorname{i0}(x) | I_0 \cdot (x)
S(x_1, \ldots, x_n) => S(x_1, \ldots, x_n) = \sum_i x_i
mgl(1 - x) => m g l (1 - x) | \operatorname{mgl}(x) = x^2 \\ y = \operatorname{mgl}(1 - x)
J_1(x + 1) => \operatorname{besselj}(1, x) | J_1 \cdot (x + 1)
x \text{or} => x
\sqrt => \sqrt{x}
\dv f x => \dv{f}{x} = 2
[x^2]_0^1 + \int_0^1 x dx + \int_0^1 y dy [x y]_0^1 => [x^2]_0^1 + \int_0^1 x dx + \int_0^1 y dy [x y]_{x=0}^1
x_i^2_j => \sum_{i,j} x_{i,j}^2
\mathbf{ab} = x => \mathrm{ab} = x
\mathbf{2} x => 2 x
\text{} x => x
\operatorname{foo} x => \operatorname{foo}(x) = x^2 \\ y = \operatorname{foo}(x)
a_{i}(x) = x_i \\ y = a(2) => a_{i}(x) = x_i \\ y_i = a_{i}(x)
\sum_{k=1}^n \sum_k 2 => \sum_{k=1}^n \sum_{j=1}^n 2
\sum_j 2 => \sum_{j=1}^{n} 2
\cos^{-2} x => \frac{1}{\cos x}
\mathbf{1}[x => \mathbb{1}[x > 0]
\max'(x, y) => \begin{cases} 1 & x > y \\ 0 & x < y \end{cases}
x; y => x y
v . u => v \cdot u | v^\top u
\def\a{\a} \a x => \def\a{y} \a x
\newcommand{n}{x} y => \newcommand{\n}{x} y \n
\newcommand{\n}[1]{#1} \n => \newcommand{\n}[1]{#1} \n{x}
"""
QUESTIONS = {  # two sides in LaTeX, and both as the message says to write them
    "left": (("y = x^2", r"2 + x = 2x"), ("y = x^2", r"\frac{dy}{dx} = 2x")),
    "a power": (
        ("f = x^2", r"\frac{\partial f}{\partial x^2} = 1"),
        ("f(x^2) = x^2", r"\frac{\partial f}{\partial x^2} = 1"),
    ),
    "a prime of two names": (("f = x y", r"(x y)' = y"), ("f = x y", r"\frac{\partial}{\partial x}(x y) = y")),
    "another output": (("f = x^2", r"\frac{dg}{dx} = 2x"), ("f = x^2", r"\frac{df}{dx} = 2x")),
    "another formula": (("f = x^2", r"\frac{d}{dx}(x^3) = 2x"), ("f = x^2", r"\frac{df}{dx} = 2x")),
    "a number that may move": (
        (r"y = 2x \\ z = x y", r"\frac{dz}{dx} = \frac{\partial}{\partial x}(x y)"),
        (r"y = 2x \\ z = x y", r"\frac{dz}{dx} = 4x"),
    ),
    "what a product holds": (
        (r"f = \prod_i x_i c", r"\frac{df}{dc} = \prod_i x_i"),
        (r"f = c \prod_i x_i", r"\frac{df}{dc} = \prod_i x_i"),
    ),
    "a dot behind an operator": (
        (r"y = x^2 e^x", r"\frac{dy}{dx} = \frac{d}{dx} x^2 \cdot e^x"),
        (r"y = x^2 e^x", r"\frac{dy}{dx} = \frac{d}{dx}(x^2 \cdot e^x)"),
    ),
    "columns": (
        (r"f = x w^2", r"\nabla f = \begin{pmatrix} w^2 \\ 2xw \end{pmatrix}"),
        (r"f = x w^2", r"\frac{\partial f}{\partial(x, w)} = \begin{pmatrix} w^2 & 2xw \end{pmatrix}"),
    ),
    "a bare letter": (
        (r"J = \sum_{i=1}^n P_i^2 - a P", r"\frac{\partial J}{\partial P} = -a"),
        (r"J = \sum_{i=1}^n P_i^2 - a Q", r"\frac{\partial J}{\partial Q} = -a"),
    ),
    "all that follows": (
        (r"y = \sin x(1 + x)", r"\frac{dy}{dx} = (1 + 2x)\cos(x + x^2)"),
        (r"y = \sin(x(1 + x))", r"\frac{dy}{dx} = (1 + 2x)\cos(x + x^2)"),
    ),
    "an index twice": (
        (r"f = \sum_i \sum_k u_{ik}^2", r"\frac{\partial f}{\partial u_{ii}} = 2 u_{ii}"),
        (r"f = \sum_i \sum_k u_{ik}^2", r"\frac{\partial f}{\partial u_{mn}} = 2 u_{mn}"),
    ),
    "a condition on indices": (
        (r"f = \sum_i x_i^2", r"\frac{\partial f}{\partial x_i} = 2 x_i, \quad i \ne j"),
        (r"f = \sum_i x_i^2", r"\frac{\partial f}{\partial x_i} = 2 x_i"),
    ),
    "a set": (
        (r"f = x^2, \quad x \in S", r"\frac{df}{dx} = 2x"),
        (r"f = x^2, \quad x \in (0, 1)", r"\frac{df}{dx} = 2x"),
    ),
    "no derivative on the left": (("y = x^2", "x^2 = y = 2x"), ("y = x^2", r"\frac{dy}{dx} = 2x")),
    "nothing": (("", "2x"), ("x^2", "2x")),
    "both in one": ((r"f = x^2 \\ \frac{df}{dx} = 2x", "2x"), ("f = x^2", r"\frac{df}{dx} = 2x")),
    "quotes without an r": (
        ("y = \frac{1}{x}", r"\frac{dy}{dx} = -x^{-2}"),
        (r"y = \frac{1}{x}", r"\frac{dy}{dx} = -x^{-2}"),
    ),
    "a size that nothing says": (
        (r"f(b) = \sum_{i=1}^n \sum_{j : x_j > 1} b x_j", r"f'(b) = \sum_{i=1}^n \sum_{j : x_j > 1} x_j"),
        (r"f(b) = \sum_{i=1}^3 \sum_{j : x_j > 1} b x_j", r"f'(b) = \sum_{i=1}^3 \sum_{j : x_j > 1} x_j"),
    ),
    "a condition that a name has two of": (
        (r"f = \sum_k x_k^2 + x_y", r"\frac{\partial f}{\partial x_k} = 2x_k"),
        (r"f = \sum_k x_k^2 + z", r"\frac{\partial f}{\partial x_k} = 2x_k"),
    ),
    "an unknown function": (("y = f(x)^2", r"\frac{dy}{dx} = 2 f(x)"), ("y = (f x)^2", r"\frac{dy}{dx} = 2 f^2 x")),
    "a name that is no input": (("y = x^2", r"\frac{dy}{dx} = 2 t"), ("y = x^2", r"\frac{dy}{dx} = 2 x")),
    "a prime of a name": (("y = x^2", r"\frac{dy}{dx} = 2 x'"), ("y = x^2", r"\frac{dy}{dx} = 2 x^\top")),
    "a transpose or a derivative": (("y = A x", r"\frac{dy}{dx} = (A B)'"), ("y = a x", r"\frac{dy}{dx} = a")),
    "arrays that do not fit": ((r"f(x) = \|x\|^2 + x", r"\nabla f = 2x"), (r"f(x) = \|x\|^2 + 1", r"\nabla f = 2x")),
    "a derivative of an array": (
        (r"f = \|x\|^2, \quad p = A x", r"\nabla_x f = \frac{\partial p}{\partial x} x"),
        (r"f = \|x\|^2", r"\nabla_x f = 2x"),
    ),
    "two choices": (
        (
            r"f = \sum_{i=1}^n b_i \sum_{j : x_j > x_i} x_j",
            r"\frac{\partial f}{\partial b_i} = \sum_{j : x_j > x_i} x_j",
        ),
        (
            r"f = \sum_{i=1}^n \sum_{j : x_j > x_i} b_i x_j",
            r"\frac{\partial f}{\partial b_i} = \sum_{j : x_j > x_i} x_j",
        ),
    ),
    "shapes": ((r"f(x) = \|a x\|^2", r"\nabla f = 2 a^2 x"), (r"f(x) = \|a\|^2 x", r"\frac{df}{dx} = \|a\|^2")),
}
SHAPED = r"""
y = x x => y = x^\top x
y = A^{x} => y = \exp(x)
y = x^2 => y = \|x\|^2 | y = x \odot x
y = A^{1/2} => y = A^{-1} | y = A^2 | y = A^{\odot 2}
y = |x| => y = \|x\|
y = \begin{pmatrix} x & 1 \end{pmatrix} => y = \begin{pmatrix} 2 & 1 \end{pmatrix}
y = \mathbf{1} => y_i = x_i
"""
TEXTS = r"""
x + => x + 1
x y => x*y
2x => 2*x
sin x => sin(x)
foo(x) => exp(x)
x(2) => x*2
x.y => x_y
x[] => x[0]
x % 2 => x - 2*y
x // 2 => x/2
x! => gamma(x + 1)
√x => sqrt(x)
where(x, 1, 2) => where(x > 0, 1, 2)
x > 0 => where(x > 0, 1, 0) | (x > 0)*x
lambda x: x => x
x if x > 0 => x if x > 0 else 0
x else y => x if y > 0 else y
{x} => (x)
|x => abs(x)
x & y => x*y
f = x => x
sum(x, 1.5) => sum(x, 1)
(x, y) => x*y
exp^2(x) => exp(x)**2
x^T => x.T | x**T
print(x) => x
x.real => x
A.T.grad => A.T
__import__(x) => x
"""


STEPS = {  # lines of a derivation in text, and the same as the message says to write them
    "no line of it": ("y = w*x\ndz/dw = x", "y = w*x\ndy/dw = x"),
    "no claim": ("y = w*x\nz = y**2", "y = w*x\nz = y**2\ndz/dw = 2*y*x"),
    "itself": ("y = w*x\ndy/dw = dy/dw*1", "y = w*x\ndy/dw = x"),
    "a derivative that no line says": ("y = w*x\ndy/dw = x*dq/dx", "y = w*x\ndy/dw = x"),
}
PAPER = {  # both sides of a question on paper, and both as the message says to write them
    "one name or two": (("f = ax² + x", "df/dx = 2ax + 1"), ("f = a*x² + x", "df/dx = 2a*x + 1")),
    "the number e": (("y = x e^x", "y' = (1+x) e^x"), ("y = x exp(x)", "y' = (1+x) exp(x)")),
    "an exponent": (("y = 2^3x", "y' = 8"), ("y = 2^(3)x", "y' = 8")),
    "a name of another": (("x**2", "2*t"), ("x**2", "2*x")),
    "the end of a formula": (("d/dx x**2 + x = 2*x + 1",), ("d/dx (x**2 + x) = 2*x + 1",)),
}

LEFT = (  # places that no row leads to yet, by how they begin
    "bare_letters: TwoReadings(f'{shown} stands alone and with an ind",
    "derivatives: r.fail('only a name is differentiated.', r.token.sp",
    "derivatives: r.fail('this derivative is not read.', here, 'Write",
    "derivatives: r.fail('what is differentiated must be a name.', r.",
    "equations: r.fail('the left side is neither a name nor a derivat",
    "grammar: r.fail('\\\\quad separates what stands beside it.', here,",
    "indicators: r.fail(\"an indicator's condition stands in brackets.",
    "latex_formula: BadInput('integrals and sums without end are read",
    "latex_formula: BadInput('this equation has several right sides.'",
    "latex_formula: BadInput(f'shapes[{name!r}] is {shape!r}.', inste",
    "latex_formula: BadInput(f'the formula for {key!r} has a left sid",
    "latex_formula: BadInput(f'the left side is a derivative of order",
    "latex_formula: UnknownName(f'{outer!r} has no value at the point",
    "lexicon: BadFormula(f'the formula has more than {most} {of}.', i",
    "names: Undecided(error.what, where=error.where, instead=instead)",
    "names: r.fail(what, here, instead, TwoReadings)",
    "parser: BadFormula('the formula is empty.', instead='Write an ex",
    "parser: self.fail('a comma has no place here.', token.span, 'Com",
    "parser: self.fail('an attribute is not part of a formula.', (tok",
    "parser: self.fail('an attribute is not part of a formula.', span",
    "parser: self.fail(f'the formula nests more than {_DEPTH} deep.',",
    "parser: self.fail(f'{name!r} is not an input. {near or listed}'.",
    "parser: self.fail(f'{name!r} is not part of a formula.', token.s",
    "parser: self.fail(f'{name} is an index in this formula, and a va",
    "parser: self.fail(f'{token.text!r} is not part of a formula here",
    "parser: self.fail(what, whole, f'Write exp{power} for the expone",
    "resolution: self.fail(f'two names that are written differently w",
    "resolution: self.fail(what, symbol.span, f\"Write {name}_{{{','.j",
    "semantics: self.fail('a derivative of tensors is read by entries",
    "semantics: self.fail('this derivative has no value in closed for",
    "semantics: self.fail('this number has too many digits to be writ",
    "semantics: self.fail(f'an integral of {value.kind} is not read.'",
    "semantics: self.fail(f'{f.name} of a number is {made.kind}.', no",
    "semantics: self.fail(what, node, instead, WrongShape)",
    "step_list: BadFormula('this line is no equation.', where=f'    l",
    "step_list: BadFormula(f'the left side of this line, {left!r}, is",
    "step_list: BadInput('the steps claim no derivative.', instead='W",
    "step_list: BadInput(f\"the steps differentiate {' and '.join(dict",
    "tensor_shapes: BadInput(f\"which shapes {', '.join(unclear)} have",
    "text_formula: UnknownName(f'{name!r} has no value at the point. ",
    "text_formula: WrongShape(f'{what}.', where=caret(self.text.text,",
    "token_reader: r.fail('there is no formula here.', token.span, 'W",
    "token_reader: self.fail(f'the formula nests more than {DEPTH} de",
    "two_readings: TwoReadings(what, of=first.of, where=first.where, ",
    "value_chains: BadInput('an equation of motion says nothing that ",
    "value_chains: BadInput('of several mixed or higher derivatives o",
    "value_chains: BadInput(f'here {by} stand in the place of {old}, ",
)
POINT = {"x": np.ones(3), "A": np.eye(3) + 1}


def _rows(block):
    """What is refused, and what is written instead, of each line."""
    for line in block.strip().splitlines():
        refused, _, written = line.partition(" => ")
        yield refused, tuple(x.strip() for x in written.split(" | "))


def _at_a_point(text):
    formula = Latex(text)
    return formula.run({n: POINT.get(n, 1.0) for n in formula.names})


def _in_latex(sides):
    return verify(*map(Latex, sides))


def _all():
    """For each row how it is asked, what is refused, how what is written instead is read, and that."""
    for refused, written in _rows(FORMULAS):
        yield refused, _at_a_point, refused, lambda text: Latex(text).document, written
    for refused, written in _rows(SHAPED):
        yield refused, _at_a_point, refused, _at_a_point, written
    for refused, written in _rows(TEXTS):
        yield f"text {refused}", Text, refused, Text, written
    for name, (refused, written) in QUESTIONS.items():
        yield name, _in_latex, refused, _in_latex, (written,)
    for name, (refused, written) in STEPS.items():
        yield name, verify, refused, verify, (written,)
    for name, (refused, written) in PAPER.items():
        yield name, lambda sides: verify(*sides), refused, lambda sides: verify(*sides), (written,)


@pytest.fixture(scope="module")
def refusals():
    """The error of each row, under its name."""
    found = {}
    for name, ask, refused, _, _ in _all():
        try:
            ask(refused)
        except SymgradError as error:
            found[name] = error
    return found


def test_each_row_is_refused_with_advice(refusals):
    assert [name for name, *_ in _all() if name not in refusals or not refusals[name].instead] == []


@pytest.mark.parametrize(("name", "ask", "refused", "again", "written"), list(_all()), ids=[x[0] for x in _all()])
def test_what_is_written_instead_is_answered(name, ask, refused, again, written):
    for text in written:
        made = again(text)
        assert getattr(made, "verdict", "proved") == "proved"


def _places():
    """Where the rooms refuse something and say what to write instead: file, first and last line, and the call."""
    kinds = {"BadFormula", "BadInput", "TwoReadings", "UnknownName", "UnknownOperation", "WrongShape", "Undecided"}
    for room in (symgrad.lifting.latex, symgrad.lifting.text):
        for path in sorted(Path(inspect.getfile(room)).parent.glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                advice = [k.value for k in node.keywords if k.arg == "instead"]
                advice += node.args[2:3] if name == "fail" else []
                said = [x for x in advice if not (isinstance(x, ast.Constant) and x.value is None)]
                if said and (name in kinds or name in ("fail", "kind")):
                    yield path, node.lineno, node.end_lineno, ast.unparse(node)


def test_each_place_that_refuses_has_a_row(refusals):
    reached = set()
    for error in refusals.values():
        while error is not None:
            trace = error.__traceback__
            while trace is not None:
                reached.add((Path(trace.tb_frame.f_code.co_filename), trace.tb_lineno))
                trace = trace.tb_next
            error = error.__context__
    left = [
        f"{path.stem}: {call}"
        for path, first, last, call in _places()
        if not any(file == path and first <= line <= last for file, line in reached)
    ]
    assert [x for x in left if not any(x.startswith(y) for y in LEFT)] == []
