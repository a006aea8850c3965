"""Signs that are known because a function is defined: where log(u) and sqrt(u) have real values, u is not negative.

A fact is about one irreducible polynomial in kernels.  An equality is claimed where both sides are defined, so that
what any step of either side needs may be used everywhere.  Facts outlive the field they were found in, under names
that do not depend on the numbering of kernels: a field that has learned something is begun again.

A sign that holds wherever its reason is positive or zero is 2 or -2; one that asks for it to be positive, 1 or -1.
"""

from __future__ import annotations

from flint import fmpq

from symgrad.proving.field import Element, Field, OutOfWork, Poly, Rational

_SURE = 2  # the size of a sign that holds wherever its reason does; else it is 1
_MOST_FACTS = 40  # facts of one proof
_SUMMED = 8  # assumptions that are added to each other
_SHORT = 8  # terms of such an assumption


class Empty(OutOfWork):
    """What is said to be positive or zero is negative or zero: all is defined together on no open set."""


def assume(f: Field, u: Element, *, strict: bool = False, stated: bool = False) -> None:
    """Remember that u is positive or zero (with ``strict``: positive), if that tells the sign of one irreducible
    factor of it, or of its sum with something else that was assumed.

    Where another factor is zero, u is zero whatever the sign of this one: x**2 y is not negative at x = 0.  Such a
    fact holds where u is positive, and is marked as one that a proof has to say so of.  What is only ``stated``
    can not be said more strictly, and teaches none.
    """
    if f.is_complex(u) or not _tell(f, u, strict, stated):
        return
    if len(u.n) + len(u.d) > _SHORT:
        return
    for other, positive in f.assumed:
        _tell(f, f.add(u, other), strict or positive, stated)
    if len(f.assumed) < _SUMMED:
        f.assumed.append((u, strict))


def _tell(f: Field, u: Element, strict: bool, stated: bool) -> bool:
    """Whether this says something that was not known to this field."""
    content, parts = factors(f, u)
    unknown = [p for p, e, positive in parts if not positive and e % 2]
    if not unknown and content < 0 and not u.n.is_zero():
        raise Empty
    if content == 0 or len(f.known) >= _MOST_FACTS:
        return bool(unknown)
    sure = strict or not any(e > 0 and p not in unknown and not _never_zero(f, p) for p, e, _ in parts)
    if stated and not sure:
        return bool(unknown)
    if len(unknown) == 1:
        _learn(f, unknown[0], 1 if content > 0 else -1, sure)
    elif len(unknown) == 2:  # of one sign: that of their sum
        p, q = unknown[0], unknown[1] if content > 0 else -unknown[1]
        sign = is_positive(f, p + q) - is_positive(f, -(p + q))
        if sign and (p + q) != 0:
            _learn(f, p, sign, sure)
            _learn(f, q, sign, sure)
    return bool(unknown)


def _never_zero(f: Field, p: Poly) -> bool:
    """Whether p is positive by its terms alone: squares and products of known signs, of which one is never zero."""
    sure = False
    for exponents, c in p.to_dict().items():
        signs = [(f.kernels[k].sign, e) for k, e in enumerate(exponents) if e]
        if c < 0 or any(sign == 0 and e % 2 for sign, e in signs):
            return False
        sure = sure or all(sign == 2 for sign, _ in signs)
    return sure


def _learn(f: Field, p: Poly, sign: int, sure: bool) -> None:
    lead = p.leading_coefficient()
    name = f.name(p / lead)
    if name is not None and name not in f.known:
        f.known[name] = (sign if lead > 0 else -sign) * (_SURE if sure else 1)
        f.learned = True


def _sign_known(f: Field, p: Poly) -> int:
    """Above zero for a polynomial known to be positive or zero, below for negative or zero, 0 if unknown."""
    if not f.known:
        return 0
    text = str(p)
    if text not in f.signs:
        lead = p.leading_coefficient()
        name = f.name(p / lead)
        sign = f.known.get(name, 0) if name is not None else 0
        f.signs[text] = sign if lead > 0 else -sign
    return f.signs[text]


def factors(f: Field, u: Element) -> tuple[Rational, list[tuple[Poly, int, bool]]]:
    """A rational number and irreducible factors with their powers, and whether each is known not to be negative."""
    u = f.canonical(u)
    content, found = fmpq(1, 1), []
    for p, side in ((u.n, 1), (u.d, -1)):
        if len(p) > 200:
            raise OutOfWork
        c, parts = p.factor()
        for q, e in parts:
            lead = q.leading_coefficient()
            found.append((q / lead, int(e) * side))
            c = c * lead ** int(e)
        content = content * c if side > 0 else content / c
    out = []
    for p, e in found:
        positive = is_positive(f, p, or_zero=True)
        if not positive and is_positive(f, -p, or_zero=True):
            p, positive = -p, True
            content = -content if e % 2 else content
        out.append((p, e, positive))
    return content, sorted(out, key=lambda x: str(x[0]))


def is_positive(f: Field, p: Poly, *, or_zero: bool = False) -> bool:
    """Whether p is positive: a fact, or every term is a square or a product of positive kernels, one without zeros.

    With ``or_zero`` the last is not asked for: then p is positive or zero.
    """
    if _sign_known(f, p) > 0:
        return True
    for exponents, c in p.to_dict().items():
        if c < 0:
            return False
        sure = True
        for k, e in enumerate(exponents):
            if e:
                sign = _kernel_sign(f, k)
                if f.kernels[k].is_complex or (sign == 0 and e % 2):
                    return False
                sure = sure and sign == 2
        or_zero = or_zero or sure
    return or_zero


def _kernel_sign(f: Field, k: int) -> int:
    sign = f.kernels[k].sign
    return sign if sign else int(_sign_known(f, f.gens[k]) > 0)
