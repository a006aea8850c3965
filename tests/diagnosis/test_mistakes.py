"""What is said of a slip: in the user's own names, and only what is so."""

from __future__ import annotations

from collections import Counter

import pytest
from support.planted import arrays
from support.repairs import POST, repaired

from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.differences import classified
from symgrad.diagnosis.mistakes import ROWS, explain
from symgrad.diagnosis.slip import Slip


def said(old: str, new: str, kind: str, of: str = "") -> str:
    """The sentence for an edit that stands by itself."""
    kind, operand = classified(old, new, kind)
    return explain(Slip("dz", Edit(new, old, new, kind, 1.0, of), old, new, None, operand))


SAID = [
    ("h1", "h2", "name", "h1 stands where h2 belongs; the number in the name is another one."),
    ("P", "dP", "name", "P is the value itself; the chain rule wants its gradient dP here."),
    ("dP", "P", "name", "dP is a gradient; the local derivative here is taken at the value P."),
    ("gamma", "beta", "name", "gamma stands where beta belongs."),
    ("torch.zeros(2)", "dh_prev", "replace", "dz is set to zero, so nothing flows back along this path"),
    (
        "s",
        "s * dout",
        "factor",
        "the chain rule multiplies the local derivative by the gradient that comes from above, dout.",
    ),
    (
        "s - y",
        "(s - y) / n",
        "divide",
        "the loss is a mean over n and its gradient carries 1/n: s - y is n times too large.",
    ),
    ("G[0, 1]", "2 * G[0, 1]", "factor", "one parameter stands in two cells, (0, 1) and (1, 0)"),
    ("e", "2 * e", "factor", "a factor 2 is missing: e becomes 2 * e."),
    ("0.5 * e", "e", "drop factor", "there is a factor 1/2 too much: 0.5 * e becomes e."),
    ("2 * e", "e", "drop factor", "there is a factor 2 too much: 2 * e becomes e."),
    ("e / 2", "e", "drop factor", "there is a factor 1/2 too much: e / 2 becomes e."),
    ("e", "3 * e", "factor", "the constant factor is off: e becomes 3 * e."),
    ("da", "da * w", "factor", "a factor of the chain rule is missing: w."),
    ("a", "a * w", "factor", "a factor is missing: w."),
    ("a * w", "a", "drop factor", "w is multiplied in once too often: a * w becomes a."),
    ("a", "a / n_rows", "divide", "a division by n_rows is missing: a becomes a / n_rows."),
    ("z = v", "z += v", "overwritten", "this line writes over what dz held; every use adds its own part to a gradient"),
    ("a - b", "b - a", "operand order", "the sign is wrong: a - b becomes b - a."),
    ("W @ (1 - s)", "(1 - s) @ W", "operand order", "the factors of a matrix product do not commute"),
    ("a @ b", "b @ a", "operand order", "the factors of a matrix product do not commute: b @ a, not a @ b."),
    ("a / b", "b / a", "operand order", "the operands are the wrong way round"),
    ("a", "-a", "sign", "a minus is missing: a becomes -a."),
    ("u + v", "u", "drop term", "there is a term too much, v: u + v becomes u."),
    ("u", "u + h * dz", "term", "a term is missing: h * dz."),
    ("h", "h**2", "replace", "the exponent is off: h becomes h**2"),
    ("u / v", "u / v**2", "exponent", "the quotient rule divides by the square of the denominator"),
    ("e**2 / r", "e / r", "exponent", "the exponent is off: e**2"),
    ("a - b * c", "(a - b) * c", "brackets", "a - b * c is read as a - (b * c); it is (a - b) * c."),
    ("(1 - h) ** 2", "1 - h ** 2", "brackets", "the brackets group the wrong things: it is 1 - h ** 2."),
    ("-a if s else -b", "-(a if s else -b)", "brackets", "is read as (-a) if s else (-b); it is -(a if s else -b)."),
    ("h", "1 - h**2", "slope", "h is the function's own value; its derivative is 1 - h**2."),
    ("scatter", "scatter_add", "function", "an input that is used twice receives both gradients"),
    ("d.mean(0)", "d.sum(0)", "function", "a sum belongs here: d.mean(0) becomes d.sum(0)."),
    ("sum(y)", "len(y)", "length", "how many there are is meant, not their sum"),
    ("d", "d * (p == q)", "mask", "the code clips first, and where it clips the derivative is zero"),
    ("x > 0", "x < 0", "comparison", "the condition is the wrong way round"),
    ("4 * x", "torch.conj(4 * x)", "conjugate", "is the conjugate of the derivative"),
    ("g @ W", "g @ W.T", "transpose", "the gradient goes back through a product by the transpose: g @ W.T, not g @ W."),
    ("W", "W.T", "transpose", "rows and columns stand in each other's place: W becomes W.T."),
    ("a * b", "a @ b", "operator", "this is a matrix product: a @ b, not a * b."),
    ("d", "d.sum(axis=0)", "reduction", "dz was repeated by broadcasting, and each copy receives a gradient"),
    ("d.sum(0)", "d", "reduction", "nothing is to be added up here"),
    ("d.sum(0)", "d.sum(1)", "axis", "the sum runs over the wrong axis"),
    ("softmax(a, 0)", "softmax(a, 1)", "axis", "the softmax runs over the wrong axis"),
    ("d", "d.mean(axis=0)", "reduction", "a mean is missing: d becomes d.mean(axis=0)."),
    ("x > 0", "x >= 0", "comparison", "the edge itself belongs to the other side: x > 0 becomes x >= 0."),
    ("a and b", "a or b", "comparison", "the condition is another one"),
    ("v = g\nw = v", "w = v\nv = g", "order", "these lines are right in another order"),
    ("A", "0.5 * (A + A.T)", "symmetric part", "a matrix and its transpose each give half"),
    ("a - b * c", "a * c - b", "factor moved", "a factor stands at the wrong term"),
    ("d", "d - (p * d).sum(-1)", "softmax", "softmax is no function entry by entry"),
    ("a", "a[:, None]", "broadcast", "broadcasting pairs the wrong axes"),
    ("h[t]", "h[t + 1]", "index", "the index is off: [t + 1], not [t]."),
    ("sin", "cos", "function", "another function belongs here: cos instead of sin."),
    ("3.0", "2.0", "constant", "the constant is 2.0, not 3.0."),
    ("J", "J * (np.pi / 180)", "factor", "the input is in degrees"),
    ("T", "np.sqrt(T)", "replace", "T is the value before sqrt; here it is np.sqrt(T)."),
    ("w*x", "tanh(w*x)", "replace", "w*x is the value before tanh; tanh'(z) = 1 - tanh(z)**2"),
]


@pytest.mark.parametrize(("old", "new", "kind", "sentence"), SAID)
def test_the_sentence_for_a_slip(old: str, new: str, kind: str, sentence: str):
    assert sentence in said(old, new, kind)


# where the reason would not be so, only the change is told
UNSAID = [
    ("x - m", "(x - m) - (x * d).sum(-1)", "replace", "softmax"),
    ("d", "d.mean(axis=0)", "reduction", "added up"),
    ("W", "W.T", "transpose", "product"),
    ("softmax(a, 0)", "softmax(a, 1)", "axis", "the sum"),
    ("x > 0", "x >= 0", "comparison", "wrong way round"),
    ("d.mean(-1)", "d.sum(-1)", "function", "batch"),
    ("d1", "d2", "name", "step"),  # numbers in names count whatever they count
]


@pytest.mark.parametrize(("old", "new", "kind", "untrue"), UNSAID)
def test_no_reason_is_told_that_is_not_so(old: str, new: str, kind: str, untrue: str):
    assert untrue not in said(old, new, kind)


def test_there_are_rows_for_many_slips_and_each_has_a_name_of_its_own():
    assert len(ROWS) >= 40
    assert max(Counter(row.name for row in ROWS).values()) == 1


def test_the_most_particular_row_speaks_first():
    """A swapped name is never explained as "anything else", nor a transpose as a swapped name."""
    assert "stands where" in said("u", "v", "name")
    assert "should be" in said("u * v + w", "f(u)[0] - 1", "replace")


def test_names_are_the_users_own_and_their_definitions_are_told():
    wrong = POST.hand.replace("dy2_dwh = w_y * dh2_dwh", "dy2_dwh = dh2_dwh")
    found, _ = repaired(POST, wrong)
    assert found[0].why == "a factor of the chain rule is missing: w_y."


def test_a_mean_over_the_batch_tells_the_size():
    d = arrays("mlp")
    found, _ = repaired(d, d.hand.replace("dP = 2 * (P - Y) / n", "dP = 2 * (P - Y)"))
    assert found[0].why == (
        "the loss is a mean over n, here 5, and its gradient carries 1/n: 2 * (P - Y) is n times too large."
    )
