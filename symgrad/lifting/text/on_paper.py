r"""Text that is written as on paper: ``f(x) = 2x ln x``, ``y' = 2 ln x + 2``, ``x²y``, ``sin^2 x``.

What stands side by side is multiplied, functions need no parentheses, and primes are derivatives.  There is a reader
for all of that: the text is handed to it as the LaTeX that it would be typeset with.  A word of several letters is one
name, unless all of its letters are names of the text by themselves.
"""

from __future__ import annotations

import re

from symgrad.errors import BadFormula, SymgradError, caret
from symgrad.lifting.latex.token_reader import TwoReadings
from symgrad.lifting.text.lexicon import RAISED, resolve
from symgrad.lifting.text.step_list import equal_signs, is_remark, rows_of, without_remark

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Σ": "Sigma",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "π": "pi",
}  # fmt: skip
_SAME = {"arctan": "atan", "arcsin": "asin", "arccos": "acos", "ln": "log", "sgn": "sign"}
_BARE = frozenset("sin cos tan cot sec csc sinh cosh tanh ln log exp arctan arcsin arccos".split())
PRIMES = str.maketrans({"′": "'", "’": "'", "″": "''", "‴": "'''"})
_SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_NAME = rf"[^\W\d_{_SUPER}][^\W{_SUPER}]*"
_TOKEN = re.compile(
    r"(?P<fold>(?:[Σ∑∏]|(?<![^\W_])(?:sum|prod))_(?:\{(?P<under>[^{}]+)\}|(?P<index>[a-z]))"
    r"(?:\^(?:\{(?P<top>[^{}]+)\}|(?P<last>\w)))?(?=\s*[\w(\[\\√]))"
    rf"|(?P<slope>(?<![\w.])(?P<d>[d∂])(?:\^?(?P<order>[2-9²³]))?\s*(?P<of>(?:{_NAME})?)\s*/\s*(?P=d)\s*"
    rf"(?P<by>{_NAME}?)(?:\^?(?P=order))?(?![\w*^]))"
    rf"|(?P<name>{_NAME})(?P<primes>'*)|(?P<ratio>(?<![\w./^*])(?P<above>\d+)\s*/\s*(?P<below>\d+)(?=\s+[^\W\d]))"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<raised>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
    r"|(?P<power>\*\*|\^)|(?P<sign>[-+*/()\[\]<>,=|·×⋅−≤≥≠√])|(?P<space>\s+)"
)
_PI = re.compile(r"π[^\W\d_]{1,3}(?![^\W_]|\()")  # 2πrh
_SIGNS = {
    "*": r"\cdot ",
    "·": r"\cdot ",
    "×": r"\cdot ",
    "⋅": r"\cdot ",
    "−": "-",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
}
_RAISED = RAISED | str.maketrans("⁻", "-")
_SHORT = 3  # letters of what may be a product of letters, some of which are names


def typeset(text: str) -> str:
    r"""The LaTeX of a text, or of several rows of it.  Raises `BadFormula` for what is no formula on paper,
    `TwoReadings` for what is one thing to some and another to others.

    >>> typeset("y = 2x ln(x)")
    'y = 2x \\ln (x)'
    >>> typeset("d²y/dx² = sin^2 x")
    '\\frac{d^{2} y}{d x^{2}} = \\sin ^{2} x'
    """
    rows = [_PI.sub(lambda m: " ".join(m[0]), without_remark(row)) for _, row in rows_of(text) if not is_remark(row)]
    found = [m for row in rows for m in _TOKEN.finditer(row)]
    letters = {n for m in found for n in (m["name"], m["of"], m["by"]) if n and len(n) == 1}
    return " \\\\\n".join(_row(_bracketed(row), letters) for row in rows)


def _bracketed(row: str) -> str:
    """An equation with parentheses around what its left side differentiates."""
    left = row[: (equal_signs(row) or [(0, 0)])[0][0]]
    operator = _TOKEN.match(left)
    if operator is None or not operator["slope"] or operator["of"] or not left[operator.end() :].strip():
        return row
    formula = left[operator.end() :].strip()
    refuse_sum(left.rstrip(), formula)
    return f"{operator[0]}({formula}) {row[len(left) :]}"


def refuse_sum(left: str, formula: str) -> None:
    """Refuse ``d/dx x**2 + x``, of which it is not clear what is differentiated."""
    depth = 0
    for k, c in enumerate(formula):
        depth += (c in "([") - (c in ")]")
        if (
            not depth
            and k
            and c in "+-"
            and formula[:k].rstrip()[-1:] not in tuple("*/^(,+-")
            and not _in_number(formula, k)
        ):
            raise BadFormula(
                "it is not clear where what is differentiated ends.",
                where=caret(left, (left.index(formula), left.index(formula) + k + 1)),
                instead=f"Write d/dx ({formula}) = ..., with parentheses around all of it.",
            )


def _in_number(text: str, k: int) -> bool:
    return re.search(r"(?<![\w.])[\d.]+[eE]$", text[:k]) is not None


def in_text(typed: str) -> str:
    r"""LaTeX that was made of a text, or advice about it, in signs of text.

    >>> in_text(r"\frac{d^{2} y}{d x^{2}} = 2x \cdot \ln (x)"), in_text(r"\frac{a}{b c} or \frac{a}{b} c")
    ('d^2 y/d x^2 = 2x * ln(x)', 'a/(b c) or (a/b) c')
    """
    made = re.sub(r"(?<=[\w)])\\", r" \\", typed).replace("\\partial", "∂").replace("\\cdot", "*")
    made = re.sub(r"\\(?:mathrm|text|operatorname)\{(\w+)\}", r"\1", made)
    made = re.sub(r"([_^])\{(\w+)\}", r"\1\2", made)
    made = re.sub(r"\\frac\{([d∂][^{}]*)\}\{([d∂][^{}]*)\}", r"\1/\2", made)
    made = re.sub(r"\\frac\{(\w+)\}\{(\w+)\}", r"(\1/\2)", made)
    made = re.sub(r"\\frac\{(\w+)\}\{([^{}]+)\}", r"\1/(\2)", made)
    made = re.sub(r"\\(sqrt)\{([^{}]*)\}", r"\1(\2)", made)
    made = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", made)
    return re.sub(r"  +", " ", re.sub(r"\\([A-Za-z]+) *(\(?)", _bare_word, made))


def _bare_word(m: re.Match[str]) -> str:
    return f"{m[1]}(" if m[2] else f"{m[1]} "


def advise_in_text(error: SymgradError) -> None:
    """Make an error that is about the LaTeX of a text say in signs of text what to write instead."""
    if error.instead is not None:
        error.instead = in_text(error.instead)
        error.args = ("\n".join(x for x in (error.what, error.where, error.instead) if x),)


def _row(row: str, letters: set[str]) -> str:
    out, at = "", 0
    while at < len(row):
        m = _TOKEN.match(row, at)
        if m is None:
            raise BadFormula(f"{row[at]!r} is not part of a formula.", where=caret(row, (at, at + 1)))
        at = m.end()
        if m["slope"]:
            out += _slope(m)
        elif m["fold"]:
            top = m["top"] or m["last"]
            out += rf"\{'prod' if m[0][0] in '∏p' else 'sum'}_{{{m['under'] or m['index']}}}"
            out += f"^{{{top}}} " if top else " "
        elif m["name"]:
            out += _name(m, row, letters) + m["primes"]
        elif m["ratio"]:
            out += rf"\frac{{{m['above']}}}{{{m['below']}}}"
        elif m["number"]:
            digits, _, power = m[0].lower().partition("e")
            out += rf"({digits} \cdot 10^{{{int(power)}}})" if power else digits
        elif m[0] == "√":
            at, inner = _argument(row, at, letters)
            out += rf"\sqrt{{{inner}}}"
        elif m["raised"]:
            out += f"^{{{m['raised'].translate(_RAISED)}}}"
        elif m["power"]:
            at, exponent = _exponent(row, at, letters)
            out += f"^{{{exponent}}}"
        else:
            out += _SIGNS.get(m[0], m[0])
    return out


def _slope(m: re.Match[str]) -> str:
    d = "d" if m["d"] == "d" else r"\partial"
    order = f"^{{{m['order'].translate(_RAISED)}}}" if m["order"] else ""
    return rf"\frac{{{d}{order} {_written(m['of'])}}}{{{d} {_written(m['by'])}{order}}}"


def _exponent(row: str, at: int, letters: set[str]) -> tuple[int, str]:
    """What is raised to: a number or a name with its sign, or what stands in parentheses; and where it ends."""
    before = row[:at].rstrip("*^ ")
    stop, exponent = _argument(row, at, letters)
    following = "" if row[stop - 1] == ")" else row[stop : stop + 1]
    of_function = (m := re.search(rf"{_NAME}$", before)) is not None and m[0] in _BARE
    if (following == "(" and not of_function) or (before[-1:].isdigit() and following.isalpha()):
        what, instead = "it is not clear where this exponent ends.", "Write it in parentheses."
        raise TwoReadings(what, where=caret(row, (at, stop + 1)), instead=instead)
    return stop, exponent


def _argument(row: str, at: int, letters: set[str]) -> tuple[int, str]:
    """A number or a name with its sign, or what stands in parentheses, without these; and where it ends."""
    m = re.compile(rf"\s*[-−]?\s*(?:\d+\.?\d*|{_NAME})").match(row, at)
    if m is not None:
        return m.end(), _row(m[0].strip(), letters)
    stop = at + len(row[at:]) - len(row[at:].lstrip())
    sign = row[stop : stop + 1] in ("-", "−")
    inside, depth = stop + sign, 0
    for stop in range(inside, len(row)):
        depth += (row[stop] == "(") - (row[stop] == ")")
        if not depth:
            break
    if row[inside : inside + 1] != "(" or depth:
        raise BadFormula("something is missing here.", where=caret(row, (at - 1, at)))
    inner = _row(row[inside + 1 : stop], letters)
    return stop + 1, f"-({inner})" if sign else inner


def _name(m: re.Match[str], row: str, letters: set[str]) -> str:
    name, following = m["name"], row[m.end() :].lstrip()[:2]
    if resolve(name) is not None and (following[:1] == "(" or name in _BARE):
        return rf"\{name} " if name in _BARE else rf"\operatorname{{{_SAME.get(name, name)}}}"
    if name == "e" and (following[:1] == "^" or following == "**"):
        what, instead = "e is a number to some, and a name to others.", "Write exp(...) for the exponential."
        raise TwoReadings(what, where=caret(row, m.span("name")), instead=instead)
    inside = letters & set(name) if len(name) > 1 and name.isalpha() and name not in _GREEK.values() else None
    if inside and set(name) <= letters:
        return " ".join(name)
    if len(name) > 1 and row[m.end() : m.end() + 1] == "(" and not m["primes"] and name not in _GREEK.values():
        raise BadFormula(f"no operation is called {name!r}.", where=caret(row, m.span("name")))
    if inside and len(name) <= _SHORT:
        what, instead = (
            f"{name} is one name to some, and a product to others.",
            f"Write {'*'.join(name)} for the product.",
        )
        raise TwoReadings(what, where=caret(row, m.span("name")), instead=instead)
    return _written(name)


def _written(name: str) -> str:
    """A name as it is typeset, so that it is read as the same one."""
    head, _, below = name.partition("_")
    if head in _GREEK or head in _GREEK.values():
        head = f"\\{_GREEK.get(head, head)} "
    elif len(head) > 1:
        head = rf"\mathrm{{{head}}}"
    return f"{head}_{{{below}}}" if below else head
