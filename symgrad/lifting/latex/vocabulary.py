"""The words of formulas in LaTeX: which macros are functions, accents, fonts and signs, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping

from symgrad.lifting.text.lexer import resolve

__all__ = [
    "ACCENTS",
    "FONTS",
    "INSTEAD",
    "LIKE_FUNCTIONS",
    "OPERATORS",
    "RELATIONS",
    "TENSOR_FUNCTIONS",
    "WORDS",
    "function",
]

# ------------------------------------------------------------------------------------------------ functions

_RENAMED = {
    "ln": "log",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arsinh": "asinh",
    "arcsinh": "asinh",
    "arcosh": "acosh",
    "arccosh": "acosh",
    "artanh": "atanh",
    "arctanh": "atanh",
    "arccot": "acot",
    "arcsec": "asec",
    "arccsc": "acsc",
    "cosec": "csc",
    "ctg": "cot",
    "sgn": "sign",
    "logistic": "sigmoid",
    "Gamma": "gamma",
}
TENSOR_FUNCTIONS: Mapping[str, str] = {
    "det": "det",
    "tr": "tr",
    "trace": "tr",
    "diag": "diag",
    "softmax": "softmax",
    "logsumexp": "logsumexp",
    "lse": "logsumexp",
    "logdet": "logdet",
    "sum": "total",
}
_MACROS = frozenset(
    "sin cos tan sec csc cot sinh cosh tanh coth arcsin arccos arctan exp log ln max min det sech csch arsinh arcosh "
    "artanh arcsinh arccosh arctanh erf sgn sign sigmoid softmax relu tr Tr diag cosec ctg arccot arcsec arccsc".split()
)
WORDS = frozenset("exp log ln sin cos tan sinh cosh tanh sqrt max min det erf softmax sigmoid relu softplus".split())
"""Functions that people write without a backslash, before a parenthesis."""

LIKE_FUNCTIONS = frozenset("f g F G phi varphi Phi psi Psi".split())
"""Letters that mean a function where a parenthesis follows."""


def function(word: str, *, macro: bool = False) -> str | None:
    """The name that symgrad has for a function in LaTeX, or None; ``macro`` for one with a backslash of its own."""
    if macro and word not in _MACROS:
        return None
    for spelling in (word, word.lower()):
        if spelling in TENSOR_FUNCTIONS:
            return TENSOR_FUNCTIONS[spelling]
        name = _RENAMED.get(spelling, spelling)
        if len(name) > 1 and name not in ("where", "step") and resolve(name) is not None:
            return name
    return None


# ------------------------------------------------------------------------------------------------ names and signs

ACCENTS: Mapping[str, str] = {
    "hat": "_hat",
    "widehat": "_hat",
    "bar": "_bar",
    "overline": "_bar",
    "tilde": "_tilde",
    "widetilde": "_tilde",
    "dot": "_dot",
    "ddot": "_ddot",
    "check": "_check",
    "breve": "_breve",
    "mathring": "_ring",
    "underline": "_underline",
    "vec": "",
    "overrightarrow": "",
}
FONTS: Mapping[str, str] = {
    "mathrm": "",
    "mathit": "",
    "mathnormal": "",
    "mathsf": "sans",
    "mathtt": "typewriter",
    "mathbf": "bold",
    "boldsymbol": "bold",
    "bm": "bold",
    "pmb": "bold",
    "mathbfit": "bold",
    "mathcal": "calligraphic",
    "mathscr": "calligraphic",
    "mathfrak": "fraktur",
    "mathbb": "blackboard",
}
OPERATORS: Mapping[str, str] = {
    "*": "*",
    "\\cdot": "cdot",
    "\\times": "times",
    "\\odot": "odot",
    "\\circ": "odot",
    "\\oslash": "oslash",
    "\\div": "/",
    "/": "/",
}
RELATIONS: Mapping[str, str] = {
    "<": "<",
    ">": ">",
    "=": "==",
    "\\lt": "<",
    "\\gt": ">",
    "\\le": "<=",
    "\\leq": "<=",
    "\\leqslant": "<=",
    "\\ge": ">=",
    "\\geq": ">=",
    "\\geqslant": ">=",
    "\\ne": "!=",
    "\\neq": "!=",
}

INSTEAD: Mapping[str, tuple[str, str | None]] = {
    "\\pm": ("\\pm is two formulas.", "Write each by itself."),
    "\\mp": ("\\mp is two formulas.", "Write each by itself."),
    "\\int": ("an integral is not a closed form.", "Write its value."),
    "\\lim": ("a limit is not a closed form.", "Write its value."),
    "\\infty": ("\\infty is not a number to compute with.", None),
    "\\dots": ("... leaves open what is meant.", "Write a sum or a product with its limits."),
    "\\ldots": ("... leaves open what is meant.", "Write a sum or a product with its limits."),
    "\\cdots": ("... leaves open what is meant.", "Write a sum or a product with its limits."),
    "\\lg": ("\\lg is the logarithm to base 2 to some and to base 10 to others.", "Write \\log_2 x or \\log_{10} x."),
    "\\ast": ("\\ast is a convolution to some and a product to others.", "Write \\cdot, \\odot or the sum."),
    "\\star": ("\\star is a correlation to some and a product to others.", "Write \\cdot, \\odot or the sum."),
    "\\otimes": ("\\otimes is a Kronecker or an outer product.", "Write x y^\\top, or the entries with indices."),
    "\\oplus": ("\\oplus is not read.", None),
    "\\wedge": ("\\wedge has no place here.", None),
    "\\mathbb": ("\\mathbb is not read here.", "For an indicator write \\mathbb{1}[x > 0]."),
    "\\argmax": ("an argmax has no derivative.", None),
    "\\argmin": ("an argmin has no derivative.", None),
    "\\partial": ("\\partial has no place here.", "A derivative is a fraction, \\frac{\\partial f}{\\partial x}."),
    "\\nabla": ("\\nabla stands on the left side only.", "Write \\nabla_w f = ..."),
    "\\approx": ("an approximation is no formula.", None),
    "\\sim": ("a distribution is no formula.", None),
    "\\propto": ("a proportion is no formula.", "Write the factor."),
    "\\to": ("\\to has no place here.", None),
    "\\Rightarrow": ("\\Rightarrow has no place here.", "Pass the formulas as a list."),
    "\\implies": ("\\implies has no place here.", "Pass the formulas as a list."),
    "\\mid": ("a condition is not read.", "For an absolute value write \\left| ... \\right|."),
    "\\in": ("\\in has no place here.", "Write the limits of a sum as \\sum_{k=1}^{m}."),
    "\\forall": ("\\forall has no place here.", "The indices on the left side are free; leave it out."),
    "\\over": ("\\over is not read.", "Write \\frac{a}{b}."),
    "\\binom": ("\\binom is not read.", "Write it with factorials: \\frac{n!}{k!(n-k)!}."),
    "!": ("! has no place here.", None),
    ";": ("; has no place here.", "Pass several formulas as a list."),
    ":": (": has no place here.", None),
    "<": ("a comparison has no place here.", "Conditions stand in \\begin{cases} and in \\mathbb{1}[x > 0]."),
    ">": ("a comparison has no place here.", "Conditions stand in \\begin{cases} and in \\mathbb{1}[x > 0]."),
    "&": ("& has no place here.", None),
    "'": ("a prime has no place here.", None),
    ",": ("a comma has no place here.", "Commas separate the arguments of a function."),
    "=": ("= has no place here.", "Pass several formulas as a list, or one to a row."),
}
