"""A table of integrals and derivatives of our own: each row a function of x, its derivative as a table would print it,
and a point inside the domain.

The rows go through the classes of functions that tables have: algebraic with roots, trigonometric and their inverses,
exponentials and logarithms, hyperbolic ones, special functions, complex coefficients.  mpmath's derivative at the
point is the judge of every row (`judged_by_mpmath`) and of every mutant.  Run as a script it prints what symgrad says.

    python tests/trust/antiderivatives.py
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import mpmath
import sympy as sp

from symgrad import verify

X = sp.Symbol("x", real=True)
A, B, N = sp.symbols("a b n", real=True)
_NAMES = {"x": X, "a": A, "b": B, "n": N}


@dataclass(frozen=True)
class Row:
    """``d function / dx = derivative`` on a domain (everywhere, if none is stated); x is a point of it, and there
    a = 3/4, b = 5/8, n = 7/4."""

    function: str
    derivative: str
    x: str = "3/8"
    domain: str | None = None

    @staticmethod
    def read(line: str) -> Row:
        """``function -> derivative @ point | domain``"""
        rule, _, domain = line.partition(" | ")
        rule, _, point = rule.partition(" @ ")
        return Row(*rule.split(" -> "), point or "3/8", domain or None)

    def __str__(self) -> str:
        return self.function

    @property
    def formulas(self) -> tuple[sp.Expr, sp.Expr]:
        return _read(self.function), _read(self.derivative)

    @property
    def point(self) -> dict[sp.Symbol, sp.Rational]:
        return {X: sp.Rational(self.x), A: sp.Rational(3, 4), B: sp.Rational(5, 8), N: sp.Rational(7, 4)}


def _read(text: str) -> sp.Expr:
    return sp.sympify(text, locals=_NAMES)


ROWS = tuple(
    Row.read(line)
    for line in """
x/sqrt(a + b*x**2) -> a/(a + b*x**2)**(3/2)
sqrt(x)*sqrt(a + x) - a*log(sqrt(x) + sqrt(a + x)) -> sqrt(x)/sqrt(a + x)
(2*b*x - 4*a)*sqrt(a + b*x)/(3*b**2) -> x/sqrt(a + b*x)
log(x + sqrt(x**2 + a**2)) -> 1/sqrt(a**2 + x**2)
x*sqrt(a**2 - x**2)/2 + a**2*asin(x/a)/2 -> sqrt(a**2 - x**2) | a > 0
-sqrt(a**2 - x**2)/x - asin(x/a) -> sqrt(a**2 - x**2)/x**2 | a > 0
sqrt(x**2 - 1) - asec(x) -> sqrt(x**2 - 1)/x @ 7/4 | x > 0
(x**2 + 1)**(1/3)*(x**2 + 1) -> 8*x*(1 + x**2)**(1/3)/3
x**(1/4)/(1 + x**(1/4)) -> 1/(4*x**(3/4)*(1 + x**(1/4))**2)
sqrt((1 - x)/(1 + x)) -> -1/((1 + x)*sqrt(1 - x**2))
atan(sqrt(x)) - sqrt(x)/(1 + x) -> sqrt(x)/(1 + x)**2
acosh(x/a) -> 1/sqrt(x**2 - a**2) @ 7/4 | a > 0
asech(x) -> -1/(x*sqrt(1 - x**2))
acsch(x) -> -1/(x**2*sqrt(1 + 1/x**2))
atanh(sqrt(1 - x**2)) -> -1/(x*sqrt(1 - x**2))
atan(x/a)/a -> 1/(a**2 + x**2)
log((x - a)/(x + a))/(2*a) -> 1/(x**2 - a**2) @ 7/4
log(a + b*x)/b**2 + a/(b**2*(a + b*x)) -> x/(a + b*x)**2
atan((2*x + 1)/sqrt(3))/sqrt(3) + log((x - 1)**2/(x**2 + x + 1))/6 -> x/(x**3 - 1)
sin(a*x)**3/(3*a) - sin(a*x)**5/(5*a) -> sin(a*x)**2*cos(a*x)**3
log(tan(x/2)) -> csc(x)
log(sec(x) + tan(x)) -> 1/cos(x)
tan(x) - cot(x) -> 4/sin(2*x)**2
tan(x)**2/2 + log(cos(x)) -> tan(x)**3
x*tan(x) + log(cos(x)) -> x*sec(x)**2
2*atan(sqrt((a - b)/(a + b))*tan(x/2))/sqrt(a**2 - b**2) -> 1/(a + b*cos(x)) | a > b > 0
sqrt(sin(x))*cos(x) -> cos(x)**2/(2*sqrt(sin(x))) - sin(x)**(3/2)
x*asin(x) + sqrt(1 - x**2) -> asin(x)
x*acos(x) - sqrt(1 - x**2) -> acos(x)
(x**2 + 1)*atan(x)/2 - x/2 -> x*atan(x)
sin(2*asin(x)) -> (2 - 4*x**2)/sqrt(1 - x**2)
cos(3*acos(x)) -> 12*x**2 - 3
tan(atan(x)/2) -> (1 - 1/sqrt(1 + x**2))/x**2
exp(a*x)*(a*sin(b*x) - b*cos(b*x))/(a**2 + b**2) -> exp(a*x)*sin(b*x)
exp(2*atanh(x)) -> 2/(1 - x)**2
exp(atan(x)) -> exp(atan(x))/(1 + x**2)
exp(asinh(x)/2) -> sqrt(x + sqrt(1 + x**2))/(2*sqrt(1 + x**2))
x**n*log(x) -> x**(n - 1)*(1 + n*log(x))
x**x -> x**x*(log(x) + 1)
(a + b*x)**(n + 1)/(b*(n + 1)) -> (a + b*x)**n
a**x/log(a) -> a**x
x*log(x)**2 - 2*x*log(x) + 2*x -> log(x)**2
log(log(x)) -> 1/(x*log(x)) @ 7/4
2**(log(x)/log(2) + 1) -> 2
log(2**x + 2**a)/log(2) -> 2**(x - log(2**x + 2**a)/log(2))
log(1 + exp(x)) - x -> -1/(1 + exp(x))
sinh(x)*cosh(x) - x -> 2*sinh(x)**2
2*atan(exp(x)) -> sech(x)
log(tanh(x/2)) -> csch(x)
x*tanh(x) - log(cosh(x)) -> x/cosh(x)**2
log(cosh(a*x) + sinh(a*x)) -> a
sqrt(pi)*erf(a*x)/(2*a) -> exp(-a**2*x**2)
x*erf(x) + exp(-x**2)/sqrt(pi) -> erf(x)
sqrt(pi)*erfi(sqrt(x)) -> exp(x)/sqrt(x)
exp(x**2)*erfc(x) -> 2*x*exp(x**2)*erfc(x) - 2/sqrt(pi)
x*Si(x) + cos(x) -> Si(x)
Si(x)*cos(a) - Ci(x)*sin(a) -> sin(x - a)/x
Ei(2*log(x)) -> x/log(x) @ 7/4
li(x**2) -> x/log(x) @ 7/4 | x > 0
Shi(x) + Chi(x) -> exp(x)/x
x*fresnels(x) + cos(pi*x**2/2)/pi -> fresnels(x)
fresnelc(sqrt(2/pi)*sqrt(x)) -> cos(x)/sqrt(2*pi*x)
loggamma(x + 1) - loggamma(x) -> 1/x
gamma(x + 1) -> gamma(x)*(1 + x*digamma(x))
uppergamma(n, a*x) -> -a**n*x**(n - 1)*exp(-a*x) | a > 0
x*besselj(1, x) -> x*besselj(0, x)
besselj(n, x)/x**n -> -besselj(n + 1, x)/x**n
x**n*besselk(n, x) -> -x**n*besselk(n - 1, x)
x*airyai(x)**2 - airyaiprime(x)**2 -> airyai(x)**2
polylog(2, x) + log(x)*log(1 - x) -> -log(x)/(1 - x)
polylog(2, -exp(x)) -> -log(1 + exp(x))
x*polylog(2, exp(-x)) + polylog(3, exp(-x)) -> x*log(1 - exp(-x))
elliptic_f(asin(x), a) -> 1/sqrt((1 - x**2)*(1 - a*x**2))
elliptic_e(x, b) - elliptic_f(x, b) -> -b*sin(x)**2/sqrt(1 - b*sin(x)**2)
elliptic_pi(a, x, b) -> 1/((1 - a*sin(x)**2)*sqrt(1 - b*sin(x)**2))
x*(LambertW(x) - 1 + 1/LambertW(x)) -> LambertW(x)
sqrt(LambertW(x)) -> sqrt(LambertW(x))/(2*x*(1 + LambertW(x)))
I*log(1 - I*x)/2 - I*log(1 + I*x)/2 -> 1/(1 + x**2)
sqrt(1 + I*x)*sqrt(1 - I*x) -> x/sqrt(1 + x**2)
I*polylog(2, -I*x)/2 - I*polylog(2, I*x)/2 -> atan(x)/x
exp(I*x)*exp(I*a)/I -> exp(I*(x + a))
Abs(x**2 - 1) -> 2*x*sign(x**2 - 1)
x*Abs(x)/2 -> Abs(x)
Max(x, a)**2 -> 2*x @ 7/4 | x > a > 0
""".strip().splitlines()
)


def mutants(derivative: sp.Expr) -> Iterator[tuple[str, sp.Expr]]:
    """The derivative with a sign changed, a factor of two, a factor dropped, an exponent raised."""
    yield "sign", -derivative
    yield "factor 2", 2 * derivative
    factors = [f for f in sp.Mul.make_args(derivative) if not f.is_number]
    if len(factors) > 1:
        yield "dropped", derivative / factors[-1]
    powers = sorted((p for p in derivative.atoms(sp.Pow) if p.exp.is_Rational and not p.is_number), key=str)
    if powers:
        yield "exponent", derivative.xreplace({powers[0]: powers[0].base ** (powers[0].exp + 1)})


def judged_by_mpmath(function: sp.Expr, derivative: sp.Expr, point: dict[sp.Symbol, sp.Rational]) -> bool:
    """Whether mpmath's derivative at the point is the derivative's value there, to 15 digits."""
    rest = {s: v for s, v in point.items() if s is not X}
    unprinted = {"airyaiprime": lambda x: mpmath.airyai(x, derivative=1)}
    f = sp.lambdify(X, function.subs(rest), [unprinted, "mpmath"])
    g = sp.lambdify(X, derivative.subs(rest), [unprinted, "mpmath"])
    with mpmath.workdps(50):
        x = mpmath.mpf(int(point[X].p)) / int(point[X].q)
        wanted, found = mpmath.diff(f, x), g(x)
        return bool(abs(wanted - found) <= mpmath.mpf(10) ** -15 * (1 + abs(wanted)))


def said(row: Row, derivative: sp.Expr) -> str:
    return verify(row.formulas[0], derivative, wrt="x", domain=row.domain).verdict


def main() -> None:
    verdicts, times = Counter(), []
    for row in ROWS:
        begun = time.process_time()
        verdict = said(row, row.formulas[1])
        times.append(time.process_time() - begun)
        verdicts[verdict] += 1
        print(f"{verdict:10} {times[-1]:6.2f} s  d/dx {row.function}  =  {row.derivative}")
    times.sort()
    print(f"\n{len(ROWS)} rows: {dict(verdicts)}; median {times[len(times) // 2]:.3f} s, slowest {times[-1]:.2f} s")
    found = Counter(said(row, m) for row in ROWS for _, m in mutants(row.formulas[1]))
    print(f"their mutants: {dict(found)}", file=sys.stdout)


if __name__ == "__main__":
    main()
