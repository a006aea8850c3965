"""The words of a report, each explained: verdicts, what a proof rests on, what floats did, and the errors.

``symgrad explain`` lists them, and ``symgrad explain WORDS`` prints one.  An error's page is its class's own docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from textwrap import fill

from symgrad import errors
from symgrad.errors import BadInput, close_names

WORDS: Mapping[str, str] = {
    "proved": """
        Equal for all inputs on the stated domain, by a chain of rules that the report names, on every branch of the
        code. `report.proof()` has each equation; `symgrad check-certificate` checks them again, by rules that share
        nothing with the search.
    """,
    "agrees": """
        Equal to 180 bits at every point that was looked at, and modulo random primes where a chance of error is told;
        no proof was found. More effort may find one: `effort=10`.
    """,
    "wrong": """
        At the point that is shown, and whose numbers are exact, an interval with proved bounds around the difference
        does not hold zero. No rounding can be the reason.
    """,
    "undecided": """Neither proved nor refuted; the report says what was tried. It is never rounded up to right.""",
    "comparing both step by step": """
        The two are the same operations on the same values: x + y is y + x, and f(u) is f(v) where u is v.
    """,
    "comparing sums term by term": """
        Both are multiplied out as far as sums, negation and products with numbers go, and have the same terms: 2*(u +
        v) - u is u + 2*v, whatever u and v are.
    """,
    "exact arithmetic of fractions": """
        Both are brought to one fraction of polynomials, whose numerators are the same when multiplied out in whole
        numbers. Functions of equal values count as one unknown.
    """,
    "written in exp": """
        tanh(u) = (exp(2u) - 1)/(exp(2u) + 1) and sigmoid(u) = 1/(1 + exp(-u)): then arithmetic alone shows what is true
        of them, such as 1 - sigmoid(u) = sigmoid(-u).
    """,
    "arithmetic of sums": """
        Both are written as sums over indices, with letters for the sizes. Sums of sums are split, bound indices are
        renamed, and the terms are compared.
    """,
    "a sum of which one term is left": """A sum over j of terms that are zero but for j = i is the term at i.""",
    "a sum counted from its other end": """The sum of f(i) over i from 0 to n - 1 is that of f(n - 1 - i).""",
    "a sum of equal terms": """A sum over n equal terms is n times one of them.""",
    "a property that was assumed": """What `assuming=` states of the inputs was used, such as "sum(y) = 1".""",
    "a product of square matrices": """The inverse of A B is inv(B) inv(A), and its determinant is det(A) det(B).""",
    "a triangle times its transpose": """
        The Cholesky factor L of A is the lower triangle with L L' = A, so that inv(L)' inv(L) = inv(A); it exists where
        A is positive definite.
    """,
    "a matrix times its inverse": """The product is the identity; the proof holds where the inverse exists.""",
    "a matrix times its exponential": """A exp(t A) and exp(t A) A are the same matrix.""",
    "exponentials that commute": """
        exp(s A) exp(t A) is exp((s + t) A); and the derivative of exp(A) along a matrix that commutes with A is that
        matrix times exp(A).
    """,
    "the slope of an exponential along its matrix": """The derivative of exp(A) along A is A exp(A).""",
    "a factor cancelled in a fraction": """a*b/(a*c) is b/c, where a is not zero, which is then a condition.""",
    "partial fractions": """A fraction is split into a sum of simpler ones: 1/(u*(u + 1)) is 1/u - 1/(u + 1).""",
    "an even power under a root": """The root of u**2 is the absolute value of u.""",
    "the exponential of a logarithm": """exp(log(u)) is u, where u is positive.""",
    "log of a product with positive factors": """log(u*v) is log(u) + log(v), where u and v are positive.""",
    "multiply by what is not zero": """
        Both sides are multiplied by one value that is not zero wherever both are defined.
    """,
    "multiply by a matrix that is invertible": """
        Both sides are multiplied by a matrix that has an inverse: they are equal where the products are.
    """,
    "a matrix and its transpose, each by itself": """
        The terms in which a matrix stands as it is cancel, and so do those in which it stands transposed.
    """,
    "each case of what is compared": """
        The code compares values. In each combination of outcomes that has points, the two are equal.
    """,
    "one such case": """One combination of outcomes of what the code compares.""",
    "induction": """
        The two are equal after no turns of the loop, and equal after one turn more wherever they are equal after any
        number of them; so they are equal for all sizes.
    """,
    "since": """What an equation uses of a function: its derivative, in terms of itself.""",
    "modulo random primes": """
        Both are computed in whole numbers modulo a large prime, at random inputs. Two different formulas give the same
        remainder with a chance that has a bound; the report tells it.
    """,
    "ulp": """
        Unit in the last place: the gap between two neighbouring floats at a number. Half an ulp is the best that a
        rounded result can be. Zero has none, and what is beside it is told as it is.
    """,
    "kink": """
        A point at which the slopes on two sides differ, as that of abs at zero. Any number between the slopes is a
        convention, and no error.
    """,
    "branch": """
        A path that the code takes by the values of its inputs. Each is judged by itself; `report.coverage` lists the
        choices, and where each outcome was reached.
    """,
    "right, but given wrong values": """
        The line is the right formula of what it uses; what it uses is wrong further up.
    """,
    "meant as": """
        The quantity that a line is judged against: the derivative whose name and value it is nearest to.
        `meanings={"ds": "d s / d x"}` says otherwise.
    """,
    "closer to the truth": """
        Both results were held against the exact value, in proved bounds; autograd is not the truth, it is a float
        computation like yours.
    """,
}
_LISTED = "\n".join(f"\n* **{name}**: {' '.join(text.split())}" for name, text in WORDS.items())
ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if getattr(kind, "__module__", "") == errors.__name__ and isinstance(kind, type)
}


def explain(words: str = "") -> str:
    """What words of a report mean, or an error; without any, all that there are.

    >>> print(explain("a sum of equal terms"))
    a sum of equal terms
        A sum over n equal terms is n times one of them.

    Raises `BadInput` for words that stand in no report.
    """
    if not words.strip():
        return "\n".join([*WORDS, *ERRORS])
    said = " ".join(words.split()).casefold()
    name = next((n for n in (*WORDS, *ERRORS) if f"{said} ".startswith(f"{n.casefold()} ")), None)
    if name is None:
        known = [n for n in (*WORDS, *ERRORS) if words.casefold() in n.casefold()]
        near = f"Close names: {', '.join(known)}." if known else close_names(words, [*WORDS, *ERRORS])
        raise BadInput(f"{words!r} is explained nowhere.", instead=near or "symgrad explain lists what is.")
    known_text = WORDS.get(name)
    text = (
        inspect.cleandoc(ERRORS[name].__doc__ or "") if known_text is None else fill(" ".join(known_text.split()), 76)
    )
    return "\n".join([name, *(f"    {line}".rstrip() for line in text.splitlines())])


__doc__ = f"{__doc__}{_LISTED}"
