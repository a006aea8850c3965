"""LaTeX as tokens with their places: letters, numbers, macros, braces and signs; what only sets type is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from symgrad.errors import BadFormula, caret
from symgrad.lifting.text.lexicon import refuse_long, resolve

_MOST = 25_000  # signs of a formula

# ---------------------------------------------------------------------------------------------------------- vocabulary
# The words of formulas in LaTeX: which macros are functions, accents, fonts and signs, and what to write instead.

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
FUNCTIONS = frozenset(
    "sin cos tan sec csc cot sinh cosh tanh coth arcsin arccos arctan exp log ln max min det sech csch arsinh arcosh "
    "artanh arcsinh arccosh arctanh erf sgn sign sigmoid softmax relu tr Tr diag cosec ctg arccot arcsec arccsc".split()
)
"""Functions that have a macro of their own."""

WORDS = frozenset("exp log ln sin cos tan sinh cosh tanh sqrt max min det erf softmax sigmoid relu softplus".split())
"""Functions that people write without a backslash, before a parenthesis."""

LIKE_FUNCTIONS = frozenset("f g F G phi varphi Phi psi Psi".split())
"""Letters that mean a function where a parenthesis follows."""


def function(word: str, *, macro: bool = False) -> str | None:
    """The name that symgrad has for a function in LaTeX, or None; ``macro`` for one with a backslash of its own."""
    if macro and word not in FUNCTIONS:
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
    "mathds": "blackboard",
    "mathbbm": "blackboard",
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
    "\\lim": ("a limit is not a closed form.", "Write its value."),
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


# -------------------------------------------------------------------------------------------------------------- tokens

_SPACING = frozenset(
    ", ; : ! > quad qquad thinspace medspace thickspace enspace space negthinspace limits nolimits displaystyle "
    "textstyle scriptstyle nonumber notag hfill cr allowbreak null smallskip noindent centering".split()
) | {" ", "\n", "/"}
_SIZES = {f"{size}{side}": side for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")}
_SIDES = {"left": "l", "right": "r", "middle": "m"} | _SIZES
_DELIMITERS = frozenset("()[]|./") | {"{", "}", "|", "lbrace", "rbrace", "lvert", "rvert", "lVert", "rVert", "vert"}
_DELIMITERS |= {"Vert", "langle", "rangle", "lbrack", "rbrack"}
_OTHER_NAME = {
    "lbrace": "{",
    "rbrace": "}",
    "lbrack": "[",
    "rbrack": "]",
    "vert": "|",
    "lvert": "|",
    "rvert": "|",
    "Vert": "\\|",
    "lVert": "\\|",
    "rVert": "\\|",
    "|": "\\|",
    "{": "\\{",
    "}": "\\}",
}
_FIXED_SIDE = {"lvert": "l", "rvert": "r", "lVert": "l", "rVert": "r"}
_WITH_ARGUMENT = frozenset("label tag hspace vspace phantom hphantom vphantom color".split())
_BOXES = frozenset("boxed fbox framebox ensuremath mathop mathord mathrel mathstrut".split())
_AROUND = frozenset(
    "aligned align align* equation equation* gather gather* gathered split eqnarray eqnarray* multline multline* "
    "displaymath math alignat alignat*".split()
)
_TEXT = frozenset("text textrm textit textbf textsf texttt mbox hbox textnormal".split())

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega varepsilon vartheta varrho varsigma varphi varkappa varpi digamma "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar imath jmath".split()
)
_UNICODE_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξορστυφχψωΓΔΘΛΞΠΣΥΦΨΩϵϕ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron rho sigma tau upsilon phi "
        "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega epsilon phi".split(),
        strict=True,
    )
) | {"π": "pi", "ℓ": "ell"}
_UNICODE = {
    "·": "\\cdot",
    "⋅": "\\cdot",
    "×": "\\times",
    "−": "-",
    "–": "-",
    "∂": "\\partial",
    "∑": "\\sum",
    "∏": "\\prod",
    "√": "\\sqrt",
    "≤": "\\leq",
    "≥": "\\geq",
    "≠": "\\neq",
    "⊙": "\\odot",
    "∇": "\\nabla",
    "∞": "\\infty",
    "⊤": "\\top",
    "′": "'",
    "‖": "\\|",
    "∈": "\\in",
    "…": "\\dots",
}
_SIGNS = frozenset("+-*/^_=<>()[]|,.;:'!&")


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is letter, number, macro, text, sign, open, close, row or end; ``side`` is l or r of a delimiter that
    says so.
    """

    kind: str
    text: str
    start: int
    stop: int
    side: str = ""

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.stop

    @property
    def key(self) -> str:
        """What tells apart the rows of the table: the macro or sign, and of all else the kind."""
        return self.text if self.kind in ("macro", "sign") else self.kind


_PIECE = re.compile(
    r"(?P<space>\s+|~|%[^\n]*|\$+)"
    r"|(?P<row>\\\\(?:\s*\[[^\]]*\])?|\\newline\b)"
    r"|(?P<macro>\\(?:[A-Za-z]+|.))"
    r"|(?P<number>\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<letter>[A-Za-z])"
    r"|(?P<open>\{)|(?P<close>\})"
    r"|(?P<other>.)",
    re.S,
)


_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\v": "v", "\r": "r", "\t": "t", "\n": "n"}
_OF_BLANKS = frozenset(  # macros that begin as a tab or a new line does, which may also be meant as what they are
    "tan tanh tau text tfrac theta tilde times top triangle nabla neg neq not notin nu".split()
)


def refuse_escapes(text: str) -> None:
    r"""Refuse a text whose backslashes Python has read: of "\frac" without an r is left a form feed, and "rac".

    Raises `BadFormula`, which says so.
    """
    for match in re.finditer(r"[\a\b\f\v]|\r(?!\n)|[\t\n](?=[A-Za-z])", text):
        letter, at = _ESCAPES[match[0]], match.start()
        word = re.match(r"[A-Za-z]*", text[at + 1 :])
        macro = letter + (word[0] if word else "")
        before = text[:at].rstrip()
        first = len(macro) == 2 and (not before or before.endswith("\\\\"))  # a row may begin with a u
        if match[0] in "\t\n" and (macro not in _OF_BLANKS or first):
            continue
        beside = f"; or a space before {macro[1:]}" if match[0] in "\t\n" else ""
        raise BadFormula(
            f"where \\{macro} may be meant stands {match[0]!r}: in quotes without an r, Python makes it of \\{letter}.",
            where=f"    {text[max(0, at - 30) : at + 30]!r}",
            instead=f'Write Latex(r"\\{macro}..."), with an r before the quotes{beside}.',
        )


def tokens(text: str) -> list[Token]:
    """The tokens of ``text``; raises `BadFormula` for a character that no formula has."""
    found: list[Token] = []
    at, side, since = 0, "", 0
    boxes: set[int] = set()  # the places of braces that only draw
    while at < len(text):
        match = _PIECE.match(text, at)
        refuse_long(len(found), most=_MOST)
        if match is None:  # a lone backslash
            raise BadFormula("a backslash ends the formula.", where=caret(text, (at, at + 1)))
        kind, piece, start, at = match.lastgroup or "", match.group(), at, match.end()
        if kind == "space" or start in boxes:
            continue
        if kind == "macro":
            name = piece[1:]
            if name in _SPACING or name in "()[]":  # \( \) and \[ \] stand around formulas
                continue
            if name in _SIDES:
                side, since = _SIDES[name] or "", start
                if name in ("left", "right", "middle") and not _delimiter(text, at):
                    raise BadFormula(
                        f"{piece} must be followed by a delimiter.",
                        where=caret(text, (start, at)),
                        instead="Write, for example, \\left( ... \\right).",
                    )
                if name in ("left", "right") and text[at:].lstrip().startswith("."):
                    at += len(text[at:]) - len(text[at:].lstrip()) + 1  # an empty delimiter
                    side = ""
                continue
            if name in _WITH_ARGUMENT:
                at += text.startswith("*", at)
                at = _argument(text, at)[1]
                continue
            if name in _BOXES:
                opening = at + len(text[at:]) - len(text[at:].lstrip())
                boxes |= {opening, _argument(text, at)[1] - 1} if text.startswith("{", opening) else set()
                continue
            if name in _TEXT:
                inside, at = _argument(text, at)
                found.append(Token("text", inside.strip(), start, at))
                continue
            if name in ("begin", "end"):
                inside, at = _argument(text, at)
                if inside in _AROUND or (inside == "cases" and _is_system(text, start)):
                    continue
                if inside == "array" and name == "begin":  # how its columns are set
                    at = _argument(text, at)[1]
                piece = f"{piece}{{{'cases' if inside == 'dcases' else inside}}}"
            side = _FIXED_SIDE.get(name, side)
            kind, piece = ("sign", _OTHER_NAME[name]) if name in _OTHER_NAME else ("macro", piece)
        if kind == "other":
            if piece in _UNICODE_GREEK:
                kind, piece = "macro", "\\" + _UNICODE_GREEK[piece]
            elif piece in _UNICODE:
                piece = _UNICODE[piece]
                kind = "macro" if len(piece) > 2 else "sign"
            elif piece in _SIGNS:
                kind = "sign"
            else:
                raise BadFormula(f"{piece!r} is not part of a formula.", where=caret(text, (start, at)))
        found.append(Token(kind, piece, since if side else start, at, side))
        side = ""
    end = len(text.rstrip())
    found.append(Token("end", "", end, end + 1))
    return _with_words(_with_means(_with_inner_products(_with_concentrations(found))))


def _with_concentrations(found: list[Token]) -> list[Token]:
    """``[S]`` and ``[A]_0`` as the names that they are in chemistry, where one is differentiated for, has an index, or
    stands alone: a letter in brackets that follows a name may be an argument.
    """
    places = [k for k in range(len(found) - 3) if _is_concentration(found[k : k + 3])]
    before = {k: found[k - 1] if k else Token("row", "", 0, 0) for k in places}
    said = {
        found[k + 1].text
        for k, t in before.items()
        if t.text in ("d", "+", "-", "=", "(") or t.kind in ("row", "open") or found[k + 3].text == "_"
    }
    brackets = {x for k in places if found[k + 1].text in said for x in (k, k + 2)}
    return [t for k, t in enumerate(found) if k not in brackets]


def _is_concentration(found: list[Token]) -> bool:
    opening, name, closing = found
    is_species = (name.kind == "letter" and name.text.isupper()) or name.kind == "text"
    return opening.text == "[" and closing.text == "]" and is_species and not opening.side


def _with_inner_products(found: list[Token]) -> list[Token]:
    """A point between names that stand beside it, ``v.u``, as the product that it is."""
    for k in range(1, len(found) - 1):
        before, here, after = found[k - 1 : k + 2]
        beside = before.stop == here.start and here.stop == after.start
        if here.text == "." and beside and before.kind in ("letter", "close") and after.kind in ("letter", "macro"):
            found[k] = Token("macro", "\\cdot", here.start, here.stop)
    return found


def _with_means(found: list[Token]) -> list[Token]:
    """``\\langle E \\rangle`` and ``\\langle \\hat x^2 \\rangle`` as the names that they are in physics."""
    made: list[Token] = []
    k = 0
    while k < len(found):
        stop = next((j for j in range(k + 1, min(k + 9, len(found))) if found[j].text == "\\rangle"), k)
        inside = found[k + 1 : stop] if found[k].text == "\\langle" else []
        names = [t for t in inside if t.kind == "letter" or t.text[1:] in GREEK]
        marks = all(t in names or t.kind in ("number", "open", "close") or t.text in _OVER_MEANS for t in inside)
        if names and marks:
            word = "".join(t.text.removeprefix("\\") for t in inside if t in names or t.kind == "number")
            span = found[k].start, found[stop].stop
            made += [Token("macro", "\\mathrm", *span), Token("open", "{", *span)]
            kinds = {"_": ("macro", "\\_"), **{c: ("number", c) for c in "0123456789"}}
            made += [Token(*kinds.get(c, ("letter", c)), *span) for c in f"mean_{word}"]
            made += [Token("close", "}", *span)]
        else:
            made += found[k : max(stop, k) + 1] if inside else found[k : k + 1]
        k = stop + 1 if inside else k + 1
    return made


_OVER_MEANS = ("^", "_", "\\hat")
_PROSE = frozenset(
    "let given where then hence thus therefore since because now note recall using substituting simplifying finally "
    "similarly again also first second next with and so as by we get have obtain gives giving becomes which that is "
    "suppose set put define consider yields implies wherein from differentiate differentiating".split()
)


def is_prose(token: Token) -> bool:
    """Whether a text joins formulas, and is no name: several words, or one such as "hence"."""
    word = token.text.strip(" ,.:;()").lower()
    return token.kind == "text" and (not word or " " in word or word in _PROSE)


def _with_words(found: list[Token]) -> list[Token]:
    """Words of prose that stand among letters, as text: ``Let u = x^2``, ``Then f'(x) = ...``."""
    made: list[Token] = []
    k = 0
    while k < len(found):
        run = k
        while found[run].kind == "letter" and (run == k or found[run].start == found[run - 1].stop):
            run += 1
        word = "".join(t.text for t in found[k:run])
        begins = not made or made[-1].kind in ("row", "text") or made[-1].text in (",", ".", ";")
        if begins and word.lower() in _PROSE and len(word) > 2 and found[run].start > found[run - 1].stop:
            made.append(Token("text", word, found[k].start, found[run - 1].stop))
        else:
            made += found[k : max(run, k + 1)]
        k = max(run, k + 1)
    return made


def _delimiter(text: str, at: int) -> bool:
    rest = text[at:].lstrip()
    if rest.startswith("\\"):
        match = re.match(r"\\([A-Za-z]+|.)", rest)
        return match is not None and match[1] in _DELIMITERS
    return rest[:1] in _DELIMITERS and bool(rest)


def _is_system(text: str, at: int) -> bool:
    """Whether ``\\begin{cases}`` or its end stands around equations, one to a row, and no choice."""
    begins, ends = "\\begin{cases}", "\\end{cases}"
    first = text.rfind(begins, 0, at + len(begins))
    stop = text.find(ends, first)
    rows = [row for row in text[first + len(begins) : stop].split("\\\\") if row.strip()]
    if first < 0 and text.startswith(ends, at):
        return True  # what it opened stands in the text that this one was cut out of
    return 0 <= first < stop and all("=" in row and "&" not in row.replace("&=", "=") for row in rows)


def _argument(text: str, at: int) -> tuple[str, int]:
    """The text in braces from ``at``, and where it ends."""
    start = at + len(text[at:]) - len(text[at:].lstrip())
    if not text.startswith("{", start):
        return text[start : start + 1], start + 1
    depth = 0
    for k in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[k], 0)
        if depth == 0:
            return text[start + 1 : k], k + 1
    raise BadFormula("this brace is never closed.", where=caret(text, (start, start + 1)))
