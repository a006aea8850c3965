"""What a normal form is made of: atoms, monomials and polynomials, each kept once.

A *polynomial* is a combination of monomials with rational coefficients; a *monomial* is a product of atoms with
rational exponents; an *atom* is a leaf, a function of polynomials, a delta, or a *sum*: a monomial with bound indices,
one connected component at a time.  So a body becomes one flat thing in which equal parts are the same object.

Index names are SymPy Symbols where they are free, and integers where they are bound: a sum that is put away numbers its
own from the height of what is inside it, and a sum that is opened gives them new numbers.  Nothing can be captured.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import sympy as sp
from flint import Ordering, fmpq, fmpq_mpoly_ctx, fmpq_poly

from symgrad.indices.terms import Fact, Positive, SumsTo, Symmetric

# --------------------------------------------------------------------------------------------------------- polynomials

Name = Any  # a SymPy Symbol, or the number of a bound index
Exponent = int | Fraction
_FRESH = 10**6  # numbers from here on are open indices; below are those put away
_SHOWN = 3  # how many uses of one rule a proof shows


MATRICES = frozenset({"inv", "chol", "expm", "dexpm", "det", "logdet"})  # kinds of atoms that bind two indices


class Exhausted(Exception):
    """The work allowed was done before an answer was found."""


class Unstable(Exhausted):
    """Renaming made a monomial into something else; no answer is better than a wrong one."""


class Atom:
    """One generator.  ``data`` is a tuple of names, polynomials, monomials and plain values, by ``kind``:

    ======== ============================== =================================================================
    kind     data                           meaning
    ======== ============================== =================================================================
    sym      (name,)                        a scalar input, a size, or an index as a number
    leaf     (label, indices)               an entry of a tensor
    num      (number,)                      a prime, or pi: what fractional powers of numbers are made of
    exp      (monomial,)                    the exponential of a monomial with coefficient 1
    base     (polynomial,)                  a polynomial of several terms, with an exponent that is not natural
    fun      (head, polynomials)            a scalar function
    sgn      (polynomial,)                  +1 or -1
    delta    (polynomial,)                  1 where the polynomial is 0
    nonneg   (polynomial,)                  1 where the polynomial is at least 0, else 0
    sum      (sizes, monomial, first)       a sum over the indices first, first + 1, ...
    inv      (polynomial, first, size, i, j) an entry of the inverse of the matrix with entries at (first, first + 1)
    chol     (polynomial, first, size, i, j) an entry of the matrix's Cholesky factor
    expm     (polynomial P, first, size, i, j, k, c) an entry of P**k exp(c P), for the matrix P and a scalar c
    dexpm    (polynomial P, first, size, i, p, q, j, c) what exp(c P)[i, j] changes by with (c P)[p, q]: the integral
                                            over s from 0 to 1 of exp(s c P)[i, p] exp((1 - s) c P)[q, j]
    det      (polynomial, first, size)      a determinant
    logdet   (polynomial, first, size)      the logarithm of its absolute value
    ======== ============================== =================================================================
    """

    __slots__ = ("_key", "data", "free", "height", "kind", "serial")

    def __init__(self, kind: str, data: tuple[Any, ...], serial: int) -> None:
        self.kind, self.data, self.serial = kind, data, serial
        self._key: bytes | None = None
        free: set[Name] = set()
        height = 0
        for part in _parts(data):
            if isinstance(part, (Mono, Poly)):
                free |= part.free
                height = max(height, part.height)
        if kind in ("sym", "leaf"):
            free |= {p for p in _names(data) if not isinstance(p, (Mono, Poly))}
        if kind == "sum":
            sizes, _, first = data
            free -= set(range(first, first + len(sizes)))
            height = max(height, first + len(sizes))
        if kind in MATRICES:
            first = data[1]
            free -= {first, first + 1}
            height = max(height, first + 2)
            free |= {p for p in data[3:] if not isinstance(p, (Mono, Poly))}
        self.free, self.height = frozenset(free), height

    @property
    def key(self) -> bytes:
        """A digest of the structure, for choosing an order; equality is identity."""
        if self._key is None:
            self._key = key_of((self.kind, *self.data))
        return self._key


class Mono:
    """A product of powers of atoms; ``powers`` is ordered by the serial numbers of the atoms."""

    __slots__ = ("_key", "free", "height", "powers")

    def __init__(self, powers: tuple[tuple[Atom, Exponent], ...]) -> None:
        self.powers = powers
        self._key: bytes | None = None
        self.free = frozenset().union(*(a.free for a, _ in powers))
        self.height = max((a.height for a, _ in powers), default=0)

    @property
    def key(self) -> bytes:
        if self._key is None:
            self._key = key_of(tuple(sorted((a.key, str(e)) for a, e in self.powers)))
        return self._key


class Poly:
    """A combination of monomials."""

    __slots__ = ("_key", "free", "height", "terms")

    def __init__(self, terms: Mapping[Mono, Any]) -> None:
        self.terms = terms
        self._key: bytes | None = None
        self.free = frozenset().union(*(m.free for m in terms))
        self.height = max((m.height for m in terms), default=0)

    @property
    def key(self) -> bytes:
        if self._key is None:
            self._key = key_of(tuple(sorted((m.key, str(c)) for m, c in self.terms.items())))
        return self._key

    @property
    def only(self) -> tuple[Mono, Any] | None:
        """The single term of a polynomial that has one."""
        return next(iter(self.terms.items())) if len(self.terms) == 1 else None

    @property
    def number(self) -> Any:
        """The value of a constant polynomial, else None."""
        if not self.terms:
            return fmpq(0)
        only = self.only
        return only[1] if only and not only[0].powers else None


Powers = dict[Atom, Exponent]


def _parts(data: Any) -> Iterable[Any]:
    for part in data:
        if isinstance(part, tuple):
            yield from _parts(part)
        else:
            yield part


def _names(data: tuple[Any, ...]) -> Iterable[Any]:
    return data[1] if len(data) == 2 else data


def is_index(name: Name) -> bool:
    """Whether a name is an index, and not a size or a scalar."""
    return isinstance(name, int) or bool(name.is_integer and not name.is_positive)


def _is_integer(name: Name) -> bool:
    return isinstance(name, int) or bool(name.is_integer)


def name_key(name: Name) -> str:
    return f"{name}#{name.dummy_index}" if isinstance(name, sp.Dummy) else str(name)


def key_of(part: Any) -> bytes:
    """A digest that depends on the structure only, and not on the order in which things were made."""
    match part:
        case Atom() | Mono() | Poly():
            return part.key
        case bytes():
            return part
        case tuple():
            return blake2b(b"\0".join(map(key_of, part)), digest_size=12).digest()
        case _:
            return name_key(part).encode()


@dataclass(frozen=True, slots=True)
class Instance:
    """One use of a rule: the sum of ``before`` over ``bound`` is ``after``."""

    rule: str
    before: Poly
    after: Poly
    bound: tuple[tuple[Name, Poly], ...]

    @property
    def open_names(self) -> list[Name]:
        """The indices that stand free in it."""
        names = (self.before.free | self.after.free) - {i for i, _ in self.bound}
        return sorted((i for i in names if is_index(i)), key=name_key)


class Store:
    """What one question keeps: atoms, monomials and polynomials, each once, and what was found out about them.

    A Store is data.  Its methods make and count what needs no rule; whatever simplifies is a function of a Store, in a
    module that uses those before it only: `symgrad.indices.signatures`, `symgrad.indices.products`, then
    `symgrad.indices.normal_functions` and `symgrad.indices.canonical_labels`, then `symgrad.indices.sums`.

    The rules go round at one point: where an index is replaced, a product is made again from its atoms, and an atom may
    be a sum, a function or a matrix, whose own rules multiply.  So this one step is handed in, for all the rules in one
    module would be too long to read: ``remake``, which is `symgrad.indices.sums.remake`, makes an atom again with names
    replaced in it.  Only `symgrad.indices.products.substitute` and what it consists of takes the step.
    """

    def __init__(
        self,
        remake: Callable[[Store, Atom, Mapping[Name, Any]], Poly],
        *,
        facts: Iterable[Fact] = (),
        effort: int,
        deep: bool = True,
    ) -> None:
        self.remake = remake
        self.left = effort
        self.deep = deep  # whether tanh is written in exponentials
        self._atoms: dict[Any, Atom] = {}
        self._monos: dict[Any, Mono] = {}
        self._polys: dict[Any, Poly] = {}
        self._numbers = itertools.count(_FRESH)
        self._spares: dict[Poly, list[int]] = {}
        self.ranges: dict[Name, Poly] = {}
        self.free_names: set[Name] = set()  # those that no sum will bind
        # what may be used of the leaves
        facts = tuple(facts)
        self.sums_to = [fact for fact in facts if isinstance(fact, SumsTo)]
        self.symmetric = {fact.name for fact in facts if isinstance(fact, Symmetric)}
        self.positive_leaves = {fact.name for fact in facts if isinstance(fact, Positive)}
        # what was used, and what must be so
        self.instances: dict[str, list[Instance]] = {}
        self.used: set[Fact] = set()
        self.conditions: dict[tuple[str, Any], None] = {}  # ("is not zero", a body), ...
        # what was read
        self.bodies: dict[Any, Poly] = {}
        self.bases: dict[str, Any] = {}
        self.shapes: dict[str, tuple[Poly | None, ...]] = {}
        self.aliases: dict[Any, Any] = {}
        # what was found before, and need not be found again
        self.signatures: dict[Any, bytes] = {}
        self.heads: dict[Poly, Mono | None] = {}
        self.products: dict[Mono, Poly] = {}
        self.substituted: dict[Any, Poly] = {}
        self.solved: dict[Atom, Poly] = {}
        self.written: dict[Atom | Poly, Any] = {}
        self.unit = self.mono({})
        self.zero, self.one = self.poly({}), self.poly({self.unit: fmpq(1)})

    def spend(self, work: int = 1) -> None:
        self.left -= work
        if self.left < 0:
            raise Exhausted

    def note(self, rule: str, before: Poly, after: Poly, bound: Mapping[Name, Poly] | None = None) -> None:
        """Remember that a rule was used: the sum of ``before`` over ``bound`` is ``after``."""
        shown = self.instances.setdefault(rule, [])
        if len(shown) < _SHOWN:
            shown.append(Instance(rule, before, after, tuple((bound or {}).items())))

    def atom(self, kind: str, *data: Any) -> Atom:
        known = self._atoms.get((kind, data))
        if known is None:
            known = self._atoms[kind, data] = Atom(kind, data, len(self._atoms))
        return known

    def mono(self, powers: Powers) -> Mono:
        key = tuple(sorted(powers.items(), key=_serial))
        known = self._monos.get(key)
        if known is None:
            known = self._monos[key] = Mono(key)
        return known

    def poly(self, terms: Mapping[Mono, Any]) -> Poly:
        if not all(terms.values()):
            terms = {m: c for m, c in terms.items() if c}
        key = frozenset(terms.items())
        known = self._polys.get(key)
        if known is None:
            known = self._polys[key] = Poly(terms)
        return known

    def constant(self, value: Any) -> Poly:
        return self.poly({self.unit: fmpq(value)})

    def single(self, atom: Atom, exponent: Exponent = 1) -> Poly:
        return self.poly({self.mono({atom: exponent}): fmpq(1)})

    def symbol(self, name: Name) -> Poly:
        return self.single(self.atom("sym", name))

    def fresh(self, size: Poly | None = None) -> int:
        """A new open index, which runs over ``size``."""
        name = next(self._numbers)
        if size is not None:
            self.ranges[name] = size
        return name

    def spare(self, size: Poly, used: frozenset[Name], above: int = 0) -> int:
        """An open index over ``size``, not ``used``, past another; names come again, so that results are found."""
        if any(map(is_index, size.free)):
            return self.fresh(size)  # the size moves with another index
        names = self._spares.setdefault(size, [])
        for name in names:
            if name > above and name not in used:
                return name
        names.append(self.fresh(size))
        return names[-1]

    def add(self, polys: Iterable[Poly]) -> Poly:
        total: dict[Mono, Any] = {}
        for p in polys:
            for m, c in p.terms.items():
                total[m] = total[m] + c if m in total else c
        self.spend(len(total))
        return self.poly(total)

    def scale(self, p: Poly, factor: Any) -> Poly:
        return p if factor == 1 else self.poly({m: c * factor for m, c in p.terms.items()})

    def subtract(self, p: Poly, q: Poly) -> Poly:
        return self.add((p, self.scale(q, fmpq(-1))))


def never_negative(store: Store, p: Poly) -> bool:
    """Whether an affine index value is at least 0 for all sizes and all places of its indices in their ranges."""
    for m, c in list(p.terms.items()):
        for name in m.free:
            if not is_index(name):
                continue
            only = m.powers == ((store.atom("sym", name), 1),)
            if not only or name not in store.ranges:
                return False
            end = store.zero if c > 0 else store.subtract(store.ranges[name], store.one)
            rest = store.poly({k: v for k, v in p.terms.items() if k is not m})
            return never_negative(store, store.add((rest, store.scale(end, c))))
    least = fmpq(0)  # every size is at least 1
    for m, c in p.terms.items():
        if c < 0 and m.powers:
            return False
        if any(a.kind != "sym" or not isinstance(e, int) or e < 0 for a, e in m.powers):
            return False
        least += c
    return least >= 0


def is_whole(p: Poly) -> bool:
    """Whether a polynomial in sizes and indices has whole values only."""
    return all(
        c.q == 1 and all(a.kind == "sym" and _is_integer(a.data[0]) and e in (1, 2, 3) for a, e in m.powers)
        for m, c in p.terms.items()
    )


def as_index(p: Poly) -> Any:
    """An index value: a bare name where it is one, else the polynomial."""
    only = p.only
    if only and only[1] == 1 and len(only[0].powers) == 1:
        (atom, e), *_ = only[0].powers
        if atom.kind == "sym" and e == 1:
            return atom.data[0]
    return p


def transposed(kind: str, ends: Sequence[Any]) -> list[Any]:
    """The ends of the same entry, where the matrix is written the other way round."""
    pairs = 4 if kind == "dexpm" else 2
    return [ends[k ^ 1] if k < pairs else end for k, end in enumerate(ends)]


def as_poly(store: Store, index: Any) -> Poly:
    return index if isinstance(index, Poly) else store.symbol(index)


def _serial(power: tuple[Atom, Exponent]) -> int:
    return power[0].serial


def rational(value: Any) -> fmpq:
    """A rational number, as SymPy or Python have it, as a coefficient."""
    number: Any = sp.Rational(value)
    return fmpq(number.p, number.q)


def whole(e: Any) -> Exponent:
    """An exponent as an int where it is one."""
    if isinstance(e, int):
        return e
    e = Fraction(int(e.p), int(e.q)) if isinstance(e, fmpq) else Fraction(e)
    return int(e) if e.denominator == 1 else e


# --------------------------------------------------------------------------------------------------- partial fractions
# Denominators made unique: factors of polynomials, and partial fractions where two have one variable.
#
# Both are flint's, over the rationals; an atom is a variable.

_TERMS, _VARIABLES, _DEGREE = 40, 8, 12  # beyond these, a polynomial is left as it is


def factors(store: Store, p: Poly) -> list[tuple[Poly, int]] | None:
    """The factors of a polynomial with their multiplicities (their product may lack a number); None where it is one."""
    atoms = sorted({a for m in p.terms for a, _ in m.powers}, key=lambda a: a.key)
    exponents = [e * _sense(a) for m in p.terms for a, e in m.powers]
    if not all(isinstance(e, int) and 0 <= e <= _DEGREE for e in exponents):
        return None
    if len(p.terms) > _TERMS or len(atoms) > _VARIABLES:
        return None
    ring = fmpq_mpoly_ctx.get([f"x{k}" for k in range(len(atoms))], Ordering.lex)
    place = {a: k for k, a in enumerate(atoms)}
    rows: dict[tuple[int, ...], Any] = {}
    for m, c in p.terms.items():
        row = [0] * len(atoms)
        for a, e in m.powers:
            row[place[a]] = int(e) * _sense(a)
        rows[tuple(row)] = c
    _, found = ring.from_dict(rows).factor()
    if len(found) == 1 and found[0][1] == 1:
        return None
    return [(_back(store, atoms, f), int(k)) for f, k in found]


def _sense(a: Atom) -> int:
    """An exponential stands in a denominator with negative exponents."""
    return -1 if a.kind == "exp" else 1


def _back(store: Store, atoms: list[Atom], f: Any) -> Poly:
    terms = {}
    for row, c in f.to_dict().items():
        powers: Powers = {a: int(e) * _sense(a) for a, e in zip(atoms, row, strict=True) if e}
        terms[store.mono(powers)] = fmpq(c)
    return store.poly(terms)


def combination_of_one(store: Store, p: Poly, q: Poly) -> tuple[Poly, Poly] | None:
    """(u, v) with u*p + v*q = 1, for two polynomials in one and the same atom that have no common root."""
    atoms = {a for m in (*p.terms, *q.terms) for a, _ in m.powers}
    if len(atoms) != 1:
        return None
    (atom,) = atoms
    one, two = _univariate(p), _univariate(q)
    if one is None or two is None:
        return None
    common, u, v = one.xgcd(two)
    if common.degree() != 0:
        return None
    return _polynomial(store, atom, u / common[0]), _polynomial(store, atom, v / common[0])


def _univariate(p: Poly) -> Any:
    rows: dict[int, Any] = {}
    for m, c in p.terms.items():
        e = m.powers[0][1] * _sense(m.powers[0][0]) if m.powers else 0
        if not isinstance(e, int) or not 0 <= e <= _DEGREE:
            return None
        rows[e] = c
    return fmpq_poly([rows.get(k, 0) for k in range(max(rows) + 1)])


def _polynomial(store: Store, atom: Atom, f: Any) -> Poly:
    return store.poly({store.mono({atom: k * _sense(atom)} if k else {}): c for k, c in enumerate(f.coeffs())})
