"""Sums over indices: deltas contracted, facts used, denominators cancelled, connected components named.

A sum is worked on while it is *open*: a set of bound indices, each with its size, and a product of powers of atoms in
which nested sums are opened too, so that the order and the nesting of sums do not matter (Fubini).  What can be
simplified is; what is left falls into connected components, and each becomes one atom.

What is left after a rule is a sum again: `_total`, its rules and `_label` call each other, and so they stand together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from flint import fmpq

from symgrad.indices.canonical_labels import name_indices
from symgrad.indices.exponentials import along, commuted, exponent_trace, exponential_of_matrix, in_blocks, times_matrix
from symgrad.indices.normal_functions import apply, exponential, matrix
from symgrad.indices.polynomials import (
    Atom,
    Mono,
    Name,
    Poly,
    Powers,
    Store,
    Unstable,
    as_index,
    as_poly,
    key_of,
    never_negative,
    rational,
    whole,
)
from symgrad.indices.products import (
    delta,
    delta_of,
    head,
    indicator,
    multiply,
    multiply_all,
    power,
    product,
    sign,
    solve,
    substitute,
    substitute_factors,
    within,
)
from symgrad.indices.signatures import blank, blank_sum
from symgrad.indices.terms import Symmetric

Bound = dict[Name, Poly]


def sum_over(store: Store, bound: Bound, p: Poly) -> Poly:
    """The sum of ``p`` over open indices, each with its size."""
    return store.add(_total(store, bound, dict(m.powers), c) for m, c in p.terms.items())


def _total(store: Store, bound: Bound, powers: Powers, c: Any) -> Poly:
    """The sum of ``c`` times a product over the bound indices, which are open."""
    store.spend()
    bound, powers, factor = _open(store, dict(bound), powers)
    c = c * factor
    for rule, step in (
        ("a sum of which one term is left", _without_delta),
        (None, _simplified),
        ("a sum counted from its other end", _turned),
        ("a sum of equal terms", _counted),
        ("a property that was assumed", _with_facts),
        ("a matrix times its inverse", partial(_with_functions, kind="inv")),
        ("a matrix times its exponential", partial(_with_functions, kind="expm")),
        ("the slope of an exponential along its matrix", partial(_with_functions, kind="dexpm")),
        ("exponentials that commute", _with_exponentials),
        ("a triangle times its transpose", _with_triangles),
        ("a factor cancelled in a fraction", _without_denominators),
    ):
        found = step(store, bound, powers)
        if found is not None:
            if rule:
                store.note(rule, store.poly({store.mono(powers): fmpq(1)}), found, bound)
            return store.scale(found, c)
    out = store.one
    for inside, factors in _components(bound, powers):
        if not factors:
            out = multiply_all(store, out, *inside.values())
        elif not inside:
            out = multiply(store, out, product(store, factors))
        else:
            out = multiply(store, out, _label(store, inside, factors))
    return store.scale(out, c)


def _turned(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    """Sum over i of f[n - 1 - i] is the sum of f[i]: the leaf that has the index and the first name counts upwards."""
    for i, size in bound.items():
        holders = [a for a in powers if i in a.free]
        if any(a.kind != "leaf" for a in holders) or any(i in s.free for s in bound.values()) or not holders:
            continue
        name, alone = min(a.data[0] for a in holders), store.mono({store.atom("sym", i): 1})
        places = [p for a in holders if a.data[0] == name for p in a.data[1]]
        down = [p.terms.get(alone) == -1 for p in places if isinstance(p, Poly) and i in p.free]
        if down and all(down) and i not in places:
            j = store.fresh(size)
            store.ranges[j] = size
            back = store.subtract(store.subtract(size, store.one), store.symbol(j))
            turned = substitute_factors(store, store.mono(powers), {i: back})
            return sum_over(store, {j: size} | {k: s for k, s in bound.items() if k != i}, turned)
    return None


def _opened(store: Store, sizes: tuple[Poly, ...], first: int, used: frozenset[Name]) -> tuple[dict[Name, int], Bound]:
    """New open names, not ``used``, for the bound indices first, first + 1, ... in the same order; and their sizes."""
    names: dict[Name, int] = {}
    for k, size in enumerate(sizes):
        names[first + k] = store.spare(size, used, max(names.values(), default=0))
        used |= {names[first + k]}
    bound = {new: substitute(store, sizes[old - first], names) for old, new in names.items()}
    store.ranges.update(bound)
    return names, bound


def _open_sum(store: Store, a: Atom, taken: Iterable[Name] = ()) -> tuple[Bound, Powers, Any]:
    """The indices and factors of a ``sum`` atom under new numbers that are not ``taken``; and a sign."""
    sizes, mono, first = a.data
    names, bound = _opened(store, sizes, first, a.free.union(taken))
    only = substitute(store, store.poly({mono: fmpq(1)}), names).only
    if only is None:
        raise Unstable("opening a sum changed it")
    return bound, dict(only[0].powers), only[1]


def _open(store: Store, bound: Bound, powers: Powers) -> tuple[Bound, Powers, Any]:
    """Nested sums opened, where a bound index reaches into them."""
    c = fmpq(1)
    while True:
        inner = (
            (a, e)
            for a, e in powers.items()
            if a.kind == "sum" and isinstance(e, int) and e > 0 and not a.free.isdisjoint(bound)
        )
        hit = next(inner, None)
        if hit is None:
            return bound, powers, c
        a, e = hit
        powers = {b: f for b, f in powers.items() if b is not a}
        for _ in range(e):
            more, factors, d = _open_sum(store, a, bound.keys() | frozenset().union(*(b.free for b in powers)))
            bound |= more
            c *= d
            for b, f in factors.items():
                powers[b] = powers.get(b, 0) + f
        powers = {b: f for b, f in powers.items() if f}


def _components(bound: Bound, powers: Powers) -> Iterator[tuple[Bound, Powers]]:
    """Connected components: indices and the factors they stand in; last the factors with no bound index."""
    waiting = dict(powers)
    left = dict(bound)
    while left:
        first = next(iter(left))
        inside: Bound = {}
        factors: Powers = {}
        names = [first]
        while names:
            i = names.pop()
            if i not in left:
                continue
            inside[i] = left.pop(i)
            near = [s for s in inside[i].free if s in left]
            near += [j for j, s in left.items() if i in s.free]
            for a in [a for a in waiting if i in a.free]:
                factors[a] = waiting.pop(a)
                near += [j for j in a.free if j in left]
            names += near
        yield inside, factors
    if waiting:
        yield {}, waiting


def _label(store: Store, bound: Bound, powers: Powers) -> Poly:
    """One connected component as a ``sum`` atom, whose indices have canonical names (perhaps with a sign).

    Where the product simplifies under its canonical names, whichever way it is named, it is what it simplifies to.
    """
    first = max([*(a.height for a in powers), *(size.height for size in bound.values())])
    found = name_indices(store, bound, powers, first)
    single = [(key, p.only, sizes) for key, p, sizes in found if p.only is not None]
    if not single:
        _, p, sizes = min(found, key=lambda naming: naming.key)
        return _named_again(store, p, sizes, first)
    key, (mono, c), sizes = min(single, key=lambda t: t[0])
    if any(k == key and only[1] != c for k, only, _ in single):
        return store.zero  # it is minus itself
    atom = store.atom("sum", sizes, mono, first)
    other = next(((p, s) for _, p, s in found if p.only is None), None)
    if other is not None and atom not in store.solved:
        store.solved[atom] = store.single(atom)  # while it is worked on
        store.solved[atom] = _solve_for(store, atom, _named_again(store, *other, first), c)
    return store.scale(store.solved.get(atom, store.single(atom)), c)


def _named_again(store: Store, p: Poly, sizes: tuple[Poly, ...], first: int) -> Poly:
    """The sum of a polynomial over its canonical names, which are made open names in the same order."""
    names, bound = _opened(store, sizes, first, p.free)
    return sum_over(store, bound, substitute(store, p, names))


def _solve_for(store: Store, atom: Atom, other: Poly, c: Any) -> Poly:
    """A sum that is something else under other names, perhaps with itself in it: c*A = k*A + rest."""
    mono = store.mono({atom: 1})
    k = other.terms.get(mono, fmpq(0))
    rest = store.poly({m: d for m, d in other.terms.items() if m is not mono})
    inside = any(atom is a for m in rest.terms for a, _ in m.powers)
    return store.single(atom) if k == c or inside else store.scale(rest, 1 / (c - k))


def _without_delta(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    for a in powers:
        if a.kind == "delta" and (solved := solve(store, a, a.free & bound.keys())):
            name, value = solved
            later = solve(store, a, a.free - bound.keys() - store.free_names)
            if later is not None and _minuses(later[1]) < _minuses(value):
                continue  # i = j + 1 is waited for, so that the order of sums does not matter
            to = {name: as_index(value)}
            rest = {b: f for b, f in powers.items() if b is not a}
            left = {j: substitute(store, s, to) for j, s in bound.items() if j != name}
            store.ranges.update({j: left[j] for j in left if isinstance(j, int)})
            inside = within(store, value, substitute(store, bound[name], to))
            moved = substitute(store, store.poly({store.mono(rest): fmpq(1)}), to)
            return sum_over(store, left, multiply(store, inside, moved))
    return None


def _simplified(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    """Factors that met only when sums were opened."""
    p = product(store, powers)
    only = p.only
    return None if only and only[1] == 1 and only[0] is store.mono(powers) else sum_over(store, bound, p)


def _counted(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    """The sum over i of [i >= e] is size - e, and of [i <= e] it is e + 1, where e is in the range."""
    for a in powers:
        for i in a.free & bound.keys() if a.kind == "nonneg" else ():
            if any(i in b.free for b in powers if b is not a) or any(i in s.free for s in bound.values()):
                continue
            p, size = a.data[0], bound[i]
            c = p.terms.get(store.mono({store.atom("sym", i): 1}), 0)
            rest = store.subtract(p, store.scale(store.symbol(i), c))
            if c not in (1, -1) or i in rest.free:
                continue
            count = store.add((size, rest)) if c == 1 else store.add((rest, store.one))
            if never_negative(store, count) and never_negative(store, store.subtract(size, count)):
                left = {j: s for j, s in bound.items() if j != i}
                factors = product(store, {b: f for b, f in powers.items() if b is not a})
                return sum_over(store, left, multiply(store, count, factors))
    return None


def _with_facts(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    for fact in store.sums_to:
        for a, e in powers.items():
            if a.kind != "leaf" or e != 1 or a.data[0] != fact.name:
                continue
            i = a.data[1][fact.axis]
            axis = store.shapes.get(fact.name, (None,) * (fact.axis + 1))[fact.axis]
            alone = i in bound and sum(i in b.free for b in powers) == 1 and a.data[1].count(i) == 1
            if alone and axis is bound[i] and not any(i in s.free for s in bound.values()):
                store.used.add(fact)
                rest = {b: f for b, f in powers.items() if b is not a}
                left = {j: s for j, s in bound.items() if j != i}
                return _total(store, left, rest, rational(fact.value))
    return None


def _with_functions(store: Store, bound: Bound, powers: Powers, kind: str) -> Poly | None:
    """Sum over b of inv[i, b] * B[b, k] = delta(i, k), for the leading term of B; the other terms move over.

    With the exponential of c B in the place of the inverse, it is B exp(c B)[i, k]; so it is where the derivative of
    the exponential is summed along B, over both of its indices.
    """
    for a, e in powers.items():
        if a.kind != kind or e != 1:
            continue
        ends = a.data[3:]
        for side, b, to in ((0, ends[0], None), (1, ends[1], None)) if kind != "dexpm" else along(a):
            free = [x for x in (b, to) if x is not None]
            if any(isinstance(x, Poly) or bound.get(x) is not a.data[2] or ends.count(x) != 1 for x in free):
                continue
            found = _against(store, a, powers, bound, b, side % 2, to)
            if found is not None and to not in found[1].free:
                k, left, others, c = found
                near = {j: s for j, s in bound.items() if j in a.free or j == k}  # the others are summed already
                outer = {j: s for j, s in near.items() if j not in free}
                made = delta(store, ends[1 - side], k) if kind == "inv" else times_matrix(store, a, side, k)
                one = multiply(store, made, left)
                two = multiply_all(store, store.single(a), others, left)
                return store.add(
                    (store.scale(sum_over(store, outer, one), 1 / c), store.scale(sum_over(store, near, two), -1 / c))
                )
    return None


def _with_exponentials(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    found = commuted(store, bound, powers)
    return None if found is None else sum_over(store, *found)


def _with_triangles(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    """Sum over k of L[i, k] L[j, k] = A[i, j] for the Cholesky factor L of A; of inv(L)[k, i] inv(L)[k, j], inv(A)."""
    found = [(a, place) for a, e in powers.items() if e in (1, 2) and (place := _triangle(a)) is not None]
    for (a, mine), (b, theirs) in itertools.combinations_with_replacement(found, 2):
        (factor, inverted, *ends), (other, same, *others) = mine, theirs
        k, i, j = (ends[0], ends[1], others[1]) if inverted else (ends[1], ends[0], others[0])
        end = 0 if inverted else 1
        used = {a: 1, b: 1} if a is not b else {a: 2}
        alone = all(k not in x.free for x in powers if x not in used) and not any(k in s.free for s in bound.values())
        if (factor, inverted) != (other, same) or others[end] is not k or isinstance(k, Poly) or k in (i, j):
            continue
        body, first, size = factor
        if not alone or bound.get(k) is not size or any(powers[x] != e for x, e in used.items()):
            continue
        r, c = store.fresh(size), store.fresh(size)
        if inverted:
            one = matrix_term(store, "inv", substitute(store, body, {first: r, first + 1: c}), r, c, size, i, j)
        else:
            one = substitute(store, body, {first: i, first + 1: j})
        rest = product(store, {x: e for x, e in powers.items() if x not in used})
        return sum_over(store, {x: s for x, s in bound.items() if x != k}, multiply(store, one, rest))
    return None


def _triangle(a: Atom) -> tuple[Any, bool, Any, Any] | None:
    """The matrix whose Cholesky factor an atom is, or inverts; whether it does; and the row and column in it."""
    if a.kind == "chol":
        return a.data[:3], False, *a.data[3:]
    only = a.data[0].only if a.kind == "inv" else None
    if only is None or only[1] != 1 or len(only[0].powers) != 1 or only[0].powers[0][1] != 1:
        return None
    factor = only[0].powers[0][0]
    _, first, _, i, j = a.data
    if factor.kind != "chol" or set(factor.data[3:]) != {first, first + 1}:
        return None
    return factor.data[:3], True, *((i, j) if factor.data[3] == first else (j, i))


def _against(store: Store, inv: Atom, powers: Powers, bound: Bound, b: Name, side: int, to: Name | None = None) -> Any:
    """Where the matrix's leading term stands at b and k (which is ``to``): k, the other factors, the other terms, the
    coefficient."""
    body, first, *_ = inv.data
    lead = head(store, body)
    if lead is None:
        return None
    powers = {x: f for x, f in powers.items() if x is not inv}
    leaves = [x for x, _ in lead.powers]
    candidates = {j for x in powers if b in x.free for j in x.free if j != b}
    candidates |= {i for x in powers if x.kind == "leaf" and b in x.free for i in x.data[1] if i != b}
    if len(leaves) > 1 or leaves[0].kind != "leaf":
        candidates |= {j for x in powers for j in x.free if j != b}
    if to is not None:
        candidates &= {to}
    for k in sorted(candidates, key=lambda j: (not isinstance(j, int), key_of(j))):
        at = {first: b, first + 1: k} if side == 1 else {first: k, first + 1: b}
        want = substitute(store, store.poly({lead: fmpq(1)}), at).only
        if want is None:
            continue
        left = _divided(store, powers, bound, want[0], inv.free | {b, k})
        if left is None or b in left.free:
            continue
        others = store.poly({m: c for m, c in body.terms.items() if m is not lead})
        return k, left, substitute(store, others, at), body.terms[lead] * want[1]
    return None


def _divided(store: Store, powers: Powers, bound: Bound, by: Mono, fixed: frozenset[Name]) -> Poly | None:
    """A product over a monomial with only ``fixed`` indices open, the others summed first; None if it is no factor."""
    wanted = dict(by.powers)
    free = {j: s for j, s in bound.items() if j not in fixed}
    looked_for = {blank(store, a) for a in wanted if a.kind == "sum"}
    rest: Poly = store.one
    for inside, factors in _components(free, powers):
        if not inside:
            for a, e in factors.items():
                asked = wanted.get(a, 0)
                taken = min(e, asked) if asked > 0 and e > 0 else max(e, asked) if asked < 0 and e < 0 else 0
                if taken:
                    wanted[a] -= taken
                if e - taken:
                    rest = multiply(store, rest, store.single(a, whole(e - taken)))
            continue
        part = None
        if factors and blank_sum(store, inside, factors) in looked_for:
            only = _label(store, inside, factors).only
            if only and only[1] == 1 and len(only[0].powers) == 1:
                part = only[0].powers[0][0]
        if part is not None and wanted.get(part, 0) >= 1:
            wanted[part] -= 1
        elif part is not None:
            rest = multiply(store, rest, store.single(part))
        else:
            rest = multiply(store, rest, _total(store, inside, factors, fmpq(1)))
    return rest if not any(wanted.values()) else None


def _without_denominators(store: Store, bound: Bound, powers: Powers) -> Poly | None:
    """A denominator that cancels against a sum inside the sum, once the denominator's own indices are fixed."""
    for a, e in powers.items():
        if e >= 0 or a.kind not in ("base", "sum") or a.free.isdisjoint(bound):
            continue
        if a.kind == "sum":
            lead, c, others = store.mono({a: 1}), fmpq(1), store.zero
        else:
            p: Poly = a.data[0]
            lead = head(store, p)
            if lead is None:
                continue
            c = p.terms[lead]
            others = store.poly({m: d for m, d in p.terms.items() if m is not lead})
        if any(f < 0 and b.kind != "exp" for b, f in lead.powers) or all(b.kind != "sum" for b, _ in lead.powers):
            continue  # nothing is summed there: the products' own rule sees it
        rest = {b: f for b, f in powers.items() if b is not a}
        left = _divided(store, rest, bound, lead, a.free)
        if left is None:
            continue
        outer = {j: s for j, s in bound.items() if j in a.free or j in left.free}
        first = multiply(store, left, power(store, store.single(a), whole(e + 1)))
        second = multiply_all(store, left, store.single(a, e), others)
        return store.add(
            (store.scale(sum_over(store, outer, first), 1 / c), store.scale(sum_over(store, outer, second), -1 / c))
        )
    return None


# ------------------------------------------------------------------------------------------------------------- matrices


def matrix_term(store: Store, kind: str, body: Poly, row: Name, column: Name, size: Poly, *ends: Any) -> Poly:
    """A function of the matrix with this entry at the open indices (row, column), or its entry at the ``ends``; of a
    product of square matrices in those of its factors, of an exponential and of blocks in those of the exponents."""
    if kind in ("expm", "dexpm"):
        blocks = in_blocks(store, body, row, column, size, *ends) if kind == "expm" else None
        if blocks is None:
            return exponential_of_matrix(store, kind, body, row, column, size, *ends)
        return store.add(sum_over(store, *block) for block in blocks)
    if kind in ("det", "logdet") and (trace := exponent_trace(store, body, row, column, size)) is not None:
        return exponential(store, sum_over(store, *trace)) if kind == "det" else sum_over(store, *trace)
    parts = None if kind == "chol" else _as_product(store, body, row, column, size)
    if parts is None:
        return matrix(store, kind, body, row, column, size, *ends)
    left, right, k = parts
    if kind == "inv":
        i, j = ends
        middle = store.fresh(size)
        store.ranges[middle] = size
        first = matrix_term(store, kind, right, k, column, size, i, middle)
        found = sum_over(
            store, {middle: size}, multiply(store, first, matrix_term(store, kind, left, row, k, size, middle, j))
        )
    else:
        sides = (matrix_term(store, kind, left, row, k, size), matrix_term(store, kind, right, k, column, size))
        found = multiply(store, *sides) if kind == "det" else store.add(sides)
    store.note("a product of square matrices", matrix(store, kind, body, row, column, size, *ends), found)
    return found


def _as_product(store: Store, body: Poly, row: Name, column: Name, size: Poly) -> tuple[Poly, Poly, Name] | None:
    """The matrix as a product over an index that runs as far as its own two: the entries of both factors, and it."""
    if body.only is None:
        return None
    mono, c = body.only
    bound, powers, sign_ = _open(store, {row: size, column: size}, dict(mono.powers))
    inner = {i: s for i, s in bound.items() if i not in (row, column)}
    for k in [i for i, s in inner.items() if s is size]:
        sides: dict[Name, Poly] = {row: store.constant(c * sign_), column: store.one}
        rest = {i: s for i, s in inner.items() if i != k}
        if any({k, row, column} & s.free for s in rest.values()):
            continue
        parts = [part for inside, factors in _components(rest, powers) for part in _split_up(inside, factors)]
        for inside, factors in parts:
            free = frozenset().union(*(a.free for a in factors))
            if free >= {row, column}:
                break
            side = column if column in free else row
            sides[side] = multiply(store, sides[side], sum_over(store, inside, product(store, factors)))
        else:
            left, right = sides.values()
            if left.free >= {row, k} and right.free >= {column, k}:
                return left, right, k
    return None


def _split_up(inside: Bound, factors: Powers) -> Iterator[tuple[Bound, Powers]]:
    """A component as it is; factors that share no bound index one by one."""
    if inside:
        yield inside, factors
    else:
        yield from (({}, {a: e}) for a, e in factors.items())


# ----------------------------------------------------------------------------------------------------- atoms made again


def remake(store: Store, a: Atom, mapping: Mapping[Name, Any]) -> Poly:
    """An atom made again from its parts, names replaced in them, by the rule of its kind: what `Store` asks for."""
    new = lambda p: substitute(store, p, mapping)  # noqa: E731
    match a.kind:
        case "sym":
            return as_poly(store, mapping[a.data[0]])
        case "leaf":
            return leaf(store, a.data[0], tuple(_index(store, i, mapping) for i in a.data[1]))
        case "exp":
            return exponential(store, new(store.poly({a.data[0]: fmpq(1)})))
        case "base":
            return new(a.data[0])
        case "fun":
            return apply(store, a.data[0], *map(new, a.data[1]))
        case "sgn":
            return sign(store, new(a.data[0]))
        case "delta":
            return delta_of(store, new(a.data[0]))
        case "nonneg":
            return indicator(store, new(a.data[0]))
        case "sum":
            values = (as_poly(store, v).free for v in mapping.values())
            bound, powers, c = _open_sum(store, a, frozenset().union(*values))
            bound = {i: new(s) for i, s in bound.items()}
            store.ranges.update(bound)
            return store.scale(sum_over(store, bound, substitute_factors(store, store.mono(powers), mapping)), c)
        case _:
            body, first, size, *ends = a.data
            r, c = store.fresh(size), store.fresh(size)
            body = substitute(store, body, {first: r, first + 1: c} | dict(mapping))
            ends = [_index(store, i, mapping) for i in ends]
            return matrix_term(store, a.kind, body, r, c, new(size), *ends)


def _index(store: Store, i: Any, mapping: Mapping[Name, Any]) -> Any:
    return as_index(substitute(store, i, mapping)) if isinstance(i, Poly) else mapping.get(i, i)


def leaf(store: Store, label: str, indices: tuple[Any, ...]) -> Poly:
    """An entry of a tensor; of a symmetric one, with its indices in a fixed order."""
    if label in store.symmetric:
        store.used.add(Symmetric(label))
        indices = tuple(sorted(indices, key=lambda i: as_poly(store, i).key))
    return store.single(store.atom("leaf", label, indices))


def _minuses(p: Poly) -> int:
    return sum(c < 0 for c in p.terms.values())
