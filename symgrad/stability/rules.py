"""What to write instead: identities of real numbers, one row each; the right side keeps in floats what the left loses.

A row is data: ``before`` and ``after`` are patterns (`symgrad.stability.pattern_matching`), in which a name is any
term, ``N`` is how many entries a sum has, and a function is a row of the operation table or a reduction.  That a row
holds, and that its right side has a value wherever its left side has one, is tested for every row.  ``where`` bounds
the variables for that test, and a rewrite by such a row is offered only if it is defined at every point of a sample.

A rewrite is offered only if the whole of the code with it is proved equal to what it was, so that a row here is never
more than a suggestion.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One identity.  ``where`` maps variables to (low, high), where the left side has a value or the right side is
    asked for.
    """

    before: str
    after: str
    where: tuple[tuple[str, float | None, float | None], ...] = ()
    name: str = ""

    def __str__(self) -> str:
        return f"{self.before} = {self.after}"


def _rows(text: str) -> tuple[Rule, ...]:
    """Rows as they are written below: ``before -> after`` and, after a semicolon, bounds such as ``a > 0, b < 1``."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        rule, _, bounds = line.partition(";")
        before, after = (side.strip() for side in rule.split("->"))
        where = []
        for bound in filter(None, map(str.strip, bounds.split(","))):
            name, sign, value = bound.split()
            where.append((name, float(value), None) if sign == ">" else (name, None, float(value)))
        found.append(Rule(before, after, tuple(where)))
    return tuple(found)


RULES = _rows(
    """
    # logarithms
    log(1 + u)                        -> log1p(u)                             ; u > -1
    log1p(exp(u))                     -> softplus(u)
    log(1 + exp(u))                   -> softplus(u)
    log(exp(a) + exp(b))              -> logaddexp(a, b)
    log(exp(u))                       -> u
    log1p(expm1(u))                   -> u
    log(sigmoid(z))                   -> logsigmoid(z)
    log(1 - sigmoid(z))               -> logsigmoid(-z)
    log1p(-sigmoid(z))                -> logsigmoid(-z)
    logit(sigmoid(z))                 -> z
    u - log(1 + exp(u))               -> logsigmoid(u)
    u - softplus(u)                   -> logsigmoid(u)
    log(sigmoid(z)) - log(1 - sigmoid(z)) -> z
    logsigmoid(z) - logsigmoid(-z)    -> z
    softplus(u) - softplus(-u)        -> u
    log(1 - exp(u))                   -> log(-expm1(u))                       ; u < 0
    log(1 - exp(u))                   -> log1p(-exp(u))                       ; u < 0
    log(exp(u) - 1)                   -> u + log(-expm1(-u))                  ; u > 0
    log(expm1(u))                     -> u + log(-expm1(-u))                  ; u > 0
    log(cosh(x))                      -> abs(x) + log1p(expm1(-2*abs(x))/2)
    log(cosh(x))                      -> log1p(2*sinh(x/2)**2)
    log(1 + x**2)                     -> log1p(x**2)
    log(gamma(x))                     -> lgamma(x)                            ; x > 0
    gamma(a)/gamma(b)                 -> exp(lgamma(a) - lgamma(b))           ; a > 0, b > 0
    log(ndtr(x))                      -> log_ndtr(x)
    log(erfc(x))                      -> log(erfcx(x)) - x**2
    log(a + sqrt(a**2 + 1))           -> asinh(a)
    log(hypot(a, 1) + a)              -> asinh(a)
    log(a + sqrt(a**2 - 1))           -> acosh(a)                             ; a > 1
    log((1 + x)/(1 - x))              -> 2*atanh(x)                           ; x > -1, x < 1
    log(1 + x) - log(1 - x)           -> 2*atanh(x)                           ; x > -1, x < 1
    log1p(x) - log1p(-x)              -> 2*atanh(x)                           ; x > -1, x < 1
    log(a) - log(b)                   -> log1p((a - b)/b)                     ; a > 0, b > 0
    # reductions
    log(sum(exp(x)))                  -> logsumexp(x)
    exp(x)/sum(exp(x))                -> softmax(x)
    exp(x - logsumexp(x))             -> softmax(x)
    log(softmax(x))                   -> log_softmax(x)
    log(exp(x)/sum(exp(x)))           -> log_softmax(x)
    x - log(sum(exp(x)))              -> log_softmax(x)
    log(prod(x))                      -> sum(log(x))                          ; x > 0
    sum(x**2)/N - sum(x)**2/N**2      -> sum((x - sum(x)/N)**2)/N
    sum(x**2) - sum(x)**2/N           -> sum((x - sum(x)/N)**2)
    sum(x*y)/N - sum(x)*sum(y)/N**2   -> sum((x - sum(x)/N)*(y - sum(y)/N))/N
    sum(x*y) - sum(x)*sum(y)/N        -> sum((x - sum(x)/N)*(y - sum(y)/N))
    # exponentials
    exp(u) - 1                        -> expm1(u)
    exp(a) - exp(b)                   -> exp(b)*expm1(a - b)
    exp(a) - exp(-a)                  -> 2*sinh(a)
    exp(a) + exp(-a)                  -> 2*cosh(a)
    exp(a)*exp(b)                     -> exp(a + b)
    exp(a)*erfc(b)                    -> erfcx(b)*exp(a - b**2)
    exp(b**2)*erfc(b)                 -> erfcx(b)
    cosh(x) - 1                       -> 2*sinh(x/2)**2
    cosh(x)**2 - 1                    -> sinh(x)**2
    cosh(x) - sinh(x)                 -> exp(-x)
    cosh(x) + sinh(x)                 -> exp(x)
    sinh(x)/cosh(x)                   -> tanh(x)
    # the logistic function and its kin
    1/(1 + exp(u))                    -> sigmoid(-u)
    exp(u)/(1 + exp(u))               -> sigmoid(u)
    exp(u)*sigmoid(-u)                -> sigmoid(u)
    exp(a)/(exp(a) + exp(b))          -> sigmoid(a - b)
    1/(exp(a) + exp(b))               -> sigmoid(a - b)*exp(-a)
    (1 - exp(u))/(1 + exp(u))         -> -tanh(u/2)
    (exp(a) - exp(b))/(exp(a) + exp(b)) -> tanh((a - b)/2)
    1 - sigmoid(z)                    -> sigmoid(-z)
    sigmoid(z)/sigmoid(-z)            -> exp(z)
    sigmoid(z)/(1 - sigmoid(z))       -> exp(z)
    1 - tanh(z)**2                    -> 1/cosh(z)**2
    1 - tanh(z)**2                    -> 4*sigmoid(2*z)*sigmoid(-2*z)
    1 - tanh(z)                       -> 2*sigmoid(-2*z)
    1 + tanh(z)                       -> 2*sigmoid(2*z)
    2*sigmoid(z) - 1                  -> tanh(z/2)
    1 - 2*sigmoid(z)                  -> -tanh(z/2)
    # roots and powers
    sqrt(a) - sqrt(b)                 -> (a - b)/(sqrt(a) + sqrt(b))          ; a > 0, b > 0
    sqrt(a) - b                       -> (a - b**2)/(sqrt(a) + b)             ; a > 0, b > 0
    b - sqrt(a)                       -> (b**2 - a)/(b + sqrt(a))             ; a > 0, b > 0
    sqrt(a) + b                       -> (a - b**2)/(sqrt(a) - b)             ; a > 0, b < 0
    hypot(a, c) - b                   -> (a**2 + c**2 - b**2)/(hypot(a, c) + b) ; b > 0
    sqrt(a**2 + b**2)                 -> hypot(a, b)
    sqrt(a**2 + 1)                    -> hypot(a, 1)
    log(a**2 + b**2)                  -> 2*log(hypot(a, b))
    log(hypot(a, 1))                  -> log1p(a**2)/2
    a/(1 + a**2)                      -> 1/(a + 1/a)                          ; a > 0
    a**2/(a**2 + b**2)                -> (a/hypot(a, b))**2
    a**2/(a**2 + 1)                   -> (a/hypot(a, 1))**2
    sqrt(a**2)                        -> abs(a)
    sqrt(a*b)                         -> sqrt(a)*sqrt(b)                      ; a > 0, b > 0
    sqrt(a/b)                         -> sqrt(a)/sqrt(b)                      ; a > 0, b > 0
    a**2/b**2                         -> (a/b)**2
    pow(1 + u, n) - 1                 -> expm1(n*log1p(u))                    ; u > -1
    pow(1 + u, n)                     -> exp(n*log1p(u))                      ; u > -1
    pow(a, b) - 1                     -> expm1(b*log(a))                      ; a > 0
    # circles
    1 - cos(x)                        -> 2*sin(x/2)**2
    1 - cos(x)**2                     -> sin(x)**2
    1 - sin(x)**2                     -> cos(x)**2
    cos(x)**2 - sin(x)**2             -> cos(2*x)
    sin(a) - sin(b)                   -> 2*cos((a + b)/2)*sin((a - b)/2)
    cos(a) - cos(b)                   -> -2*sin((a + b)/2)*sin((a - b)/2)
    tan(a) - tan(b)                   -> sin(a - b)/(cos(a)*cos(b))
    atan(a) - atan(b)                 -> atan2(a - b, 1 + a*b)                ; a > 0, b > 0
    1/tan(x) - 1/sin(x)               -> -tan(x/2)
    # the normal distribution
    1 - erf(x)                        -> erfc(x)
    1 + erf(x)                        -> erfc(-x)
    1 - erfc(x)                       -> erf(x)
    1 - ndtr(x)                       -> ndtr(-x)
    erfc(-x/sqrt(2))/2                -> ndtr(x)
    (1 + erf(x/sqrt(2)))/2            -> ndtr(x)
    (1 - erf(x/sqrt(2)))/2            -> ndtr(-x)
    """
)
