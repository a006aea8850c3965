"""Signs that are known because a function is defined: where log(u) and sqrt(u) have real values, u is not negative.

A fact is about one irreducible polynomial in kernels.  An equality is claimed where both sides are defined, so that
what any step of either side needs may be used everywhere.  Facts outlive the field they were found in, under names
that do not depend on the numbering of kernels: a field that has learned something is begun again.
"""

from __future__ import annotations

from typing import Any

from flint import fmpq

from symgrad.proving.field import Element, Field, OutOfWork, Poly

__all__ = ["Empty", "Facts"]

Rational = Any  # python-flint's fmpq
_SURE = 2  # the size of a sign that holds wherever its reason does; else it is 1
_MOST = 40  # facts of one proof
_SUMMED = 8  # assumptions that are added to each other
_SHORT = 8  # terms of such an assumption


class Empty(OutOfWork):
    """What is said to be positive or zero is negative or zero: all is defined together on no open set."""


class Facts(Field):
    """A field that knows signs; ``known`` maps the name of a monic polynomial to its sign, and is added to.

    A sign that holds wherever its reason is positive or zero is 2 or -2; one that asks for it to be positive, 1 or -1.
    """

    def __init__(self, n: int, known: dict[str, int], *, terms: int = 3000) -> None:
        super().__init__(n, terms=terms)
        self.known = known
        self.learned = False
        self.assumed: list[tuple[Element, bool]] = []
        self._signs: dict[str, int] = {}

    def assume(self, u: Element, *, strict: bool = False, stated: bool = False) -> None:
        """Remember that u is positive or zero (with ``strict``: positive), if that tells the sign of one irreducible
        factor of it, or of its sum with something else that was assumed.

        Where another factor is zero, u is zero whatever the sign of this one: x**2 y is not negative at x = 0.  Such a
        fact holds where u is positive, and is marked as one that a proof has to say so of.  What is only ``stated``
        can not be said more strictly, and teaches none.
        """
        if self.is_complex(u) or not self._tell(u, strict, stated):
            return
        if len(u.n) + len(u.d) > _SHORT:
            return
        for other, positive in self.assumed:
            self._tell(self.add(u, other), strict or positive, stated)
        if len(self.assumed) < _SUMMED:
            self.assumed.append((u, strict))

    def _tell(self, u: Element, strict: bool, stated: bool) -> bool:
        """Whether this says something that was not known to this field."""
        content, parts = self.factors(u)
        unknown = [f for f, e, positive in parts if not positive and e % 2]
        if not unknown and content < 0 and not u.n.is_zero():
            raise Empty
        if content == 0 or len(self.known) >= _MOST:
            return bool(unknown)
        sure = strict or not any(e > 0 and f not in unknown and not self._never_zero(f) for f, e, _ in parts)
        if stated and not sure:
            return bool(unknown)
        if len(unknown) == 1:
            self._learn(unknown[0], 1 if content > 0 else -1, sure)
        elif len(unknown) == 2:  # of one sign: that of their sum
            f, g = unknown[0], unknown[1] if content > 0 else -unknown[1]
            sign = self.is_positive(f + g) - self.is_positive(-(f + g))
            if sign and (f + g) != 0:
                self._learn(f, sign, sure)
                self._learn(g, sign, sure)
        return bool(unknown)

    def _never_zero(self, p: Poly) -> bool:
        """Whether p is positive by its terms alone: all are squares or products of kernels with a known sign, and one
        of these is never zero."""
        sure = False
        for exponents, c in p.to_dict().items():
            signs = [(self.kernels[k].sign, e) for k, e in enumerate(exponents) if e]
            if c < 0 or any(sign == 0 and e % 2 for sign, e in signs):
                return False
            sure = sure or all(sign == 2 for sign, _ in signs)
        return sure

    def _learn(self, f: Poly, sign: int, sure: bool) -> None:
        lead = f.leading_coefficient()
        name = self.name(f / lead)
        if name is not None and name not in self.known:
            self.known[name] = (sign if lead > 0 else -sign) * (_SURE if sure else 1)
            self.learned = True

    def is_complex(self, u: Element) -> bool:
        return any(self.kernels[k].is_complex for k in self.used(u))

    def sign_known(self, p: Poly) -> int:
        """Above zero for a polynomial known to be positive or zero, below for negative or zero, 0 if unknown."""
        if not self.known:
            return 0
        text = str(p)
        if text not in self._signs:
            lead = p.leading_coefficient()
            name = self.name(p / lead)
            sign = self.known.get(name, 0) if name is not None else 0
            self._signs[text] = sign if lead > 0 else -sign
        return self._signs[text]

    def factors(self, u: Element) -> tuple[Rational, list[tuple[Poly, int, bool]]]:
        """A rational number and irreducible factors with their powers, and whether each is known not to be negative."""
        u = self.canonical(u)
        content, found = fmpq(1, 1), []
        for p, side in ((u.n, 1), (u.d, -1)):
            if len(p) > 200:
                raise OutOfWork
            c, parts = p.factor()
            for f, e in parts:
                lead = f.leading_coefficient()
                found.append((f / lead, int(e) * side))
                c = c * lead ** int(e)
            content = content * c if side > 0 else content / c
        out = []
        for f, e in found:
            positive = self.is_positive(f, or_zero=True)
            if not positive and self.is_positive(-f, or_zero=True):
                f, positive = -f, True
                content = -content if e % 2 else content
            out.append((f, e, positive))
        return content, sorted(out, key=lambda x: str(x[0]))

    def is_positive(self, p: Poly, *, or_zero: bool = False) -> bool:
        """Whether p is positive: a fact, or every term is a square or a product of positive kernels, one without zeros.

        With ``or_zero`` the last is not asked for: then p is positive or zero.
        """
        if self.sign_known(p) > 0:
            return True
        for exponents, c in p.to_dict().items():
            if c < 0:
                return False
            sure = True
            for k, e in enumerate(exponents):
                if e:
                    sign = self._kernel_sign(k)
                    if self.kernels[k].is_complex or (sign == 0 and e % 2):
                        return False
                    sure = sure and sign == 2
            or_zero = or_zero or sure
        return or_zero

    def _kernel_sign(self, k: int) -> int:
        sign = self.kernels[k].sign
        return sign if sign else int(self.sign_known(self.gens[k]) > 0)
