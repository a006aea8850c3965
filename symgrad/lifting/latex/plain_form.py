"""A formula that was read from LaTeX, in plain form: what is meant, with every product and every bracket written."""

from __future__ import annotations

from fractions import Fraction

from symgrad.lifting.latex.equations import Claim, Definition, Document
from symgrad.lifting.latex.token_reader import Node

_SUM, _PRODUCT, _SIGNED, _POWER, _ATOM = range(5)


def plain_text(document: Document) -> str:
    """All lines of a document."""
    return "\n".join(plain_line(line) for line in document.lines)


def plain_line(line: Definition | Claim) -> str:
    """``f[i] = ...`` or ``df/dw[k] = ...``."""
    sides = " = ".join(plain(side) for side in line.sides)
    if isinstance(line, Definition):
        left = "" if line.name is None else line.name + _bracketed(line.indices)
    elif line.order == 1:
        left = f"d{line.of}/d{line.wrt[0] if line.wrt else '(...)'}{_bracketed(line.indices)}"
    else:
        left = f"d^{line.order}{line.of}/({' '.join('d' + w for w in line.wrt)}){_bracketed(line.indices)}"
    return f"{left} = {sides}" if left else sides


def _bracketed(indices: tuple[str, ...]) -> str:
    return f"[{', '.join(indices)}]" if indices else ""


def plain(node: Node) -> str:
    """A formula in plain form; what is scalar in it is in the grammar of `symgrad.lifting.text.text_formula`.

    >>> from fractions import Fraction
    >>> x = Node("name", (), (0, 1), "x")
    >>> plain(Node("pow", (Node("add", (x, x), (0, 1)), Node("number", (), (0, 1), Fraction(2))), (0, 1)))
    '(x + x)**2'
    """
    return _written(node)[0]


def _at(node: Node, least: int) -> str:
    text, strength = _written(node)
    return text if strength >= least else f"({text})"


def _written(node: Node) -> tuple[str, int]:
    args = node.args
    match node.head:
        case "number":
            return _number(node.value)
        case "decimal":
            return node.value, _ATOM
        case "name" | "index" | "size" | "constant" | "slope":
            return str(node.value), _ATOM
        case "e":
            return "exp(1)", _ATOM
        case "identity" | "ones" | "zeros":
            return node.head, _ATOM
        case "entry":
            return (
                f"{_at(args[0], _ATOM)}[{', '.join(':' if a.head == 'slice' else plain(a) for a in args[1:])}]",
                _ATOM,
            )
        case "partial":
            under = " ".join(f"d{plain(w)}" for w in args[1:])
            order = "" if len(args) == 2 else f"^{len(args) - 1}"
            return f"(d{order}/{under})({plain(args[0])})", _ATOM
        case "delta":
            return f"delta[{', '.join(map(plain, args))}]", _ATOM
        case "add":
            text = _at(args[0], _SUM)
            for a in args[1:]:
                text += f" - {_at(a.args[0], _PRODUCT)}" if a.head == "neg" else f" + {_at(a, _PRODUCT)}"
            return text, _SUM
        case "neg":
            text = _at(args[0], _PRODUCT)
            return f"-({text})" if text.startswith("-") else f"-{text}", _PRODUCT
        case "mul":
            return _product(node)
        case "frac":
            return f"{_at(args[0], _PRODUCT)}/{_at(args[1], _SIGNED)}", _PRODUCT
        case "pow":
            return f"{_at(args[0], _ATOM)}**{_at(args[1], _POWER)}", _POWER
        case "hadamard_power":
            return f"hadamard_power({plain(args[0])}, {plain(args[1])})", _ATOM
        case "transpose":
            return f"{_at(args[0], _ATOM)}.T", _ATOM
        case "root":
            name = {2: "sqrt", 3: "cbrt"}.get(node.value)
            return (f"{name}({plain(args[0])})" if name else f"root({plain(args[0])}, {node.value})"), _ATOM
        case "call":
            name, primes = node.value
            return f"{name}{chr(39) * primes}({', '.join(map(plain, args))})", _ATOM
        case "unknown":
            return f"{node.value[0]}{chr(39) * node.value[1]}({', '.join(map(plain, args))})", _ATOM
        case "applied":
            (f, primes), count = node.value, len(node.value[0].indices)
            indices = f"[{', '.join(map(plain, args[:count]))}]" if count else ""
            return f"{f.name}{indices}{chr(39) * primes}({', '.join(map(plain, args[count:]))})", _ATOM
        case "log_to":
            return f"log({', '.join(map(plain, args))})", _ATOM
        case "norm":
            return f"norm{'' if node.value == '2' else '_' + node.value}({plain(args[0])})", _ATOM
        case "inner":
            return f"dot({plain(args[0])}, {plain(args[1])})", _ATOM
        case "factorial":
            return f"gamma({plain(args[0])} + 1)", _ATOM
        case "sum" | "prod":
            body, *ends = map(plain, args)
            limits = f"{node.value}={'..'.join(ends)}" if ends else str(node.value)
            return f"{node.head}({limits}, {body})", _ATOM
        case "integral" | "between":
            body, low, high = map(plain, args)
            return f"{node.head}({node.value}={low}..{high}, {body})", _ATOM
        case "along":
            return f"(d/dt)({plain(args[0])})", _ATOM
        case "at":
            body, *rest = map(plain, args)
            half = len(rest) // 2
            where = ", ".join(f"{n}={v}" for n, v in zip(rest[:half], rest[half:], strict=True))
            return f"({body})|{where}", _ATOM
        case "jacobian":
            of, wrt = (", ".join(map(plain, x)) for x in (args[: node.value], args[node.value :]))
            return f"d({of})/d({wrt})", _ATOM
        case "matrix":
            rows, columns = node.value
            shown = [", ".join(map(plain, args[k * columns : (k + 1) * columns])) for k in range(rows)]
            return f"[{'; '.join(shown)}]", _ATOM
        case "moment":
            return f"{node.value}[{', '.join(map(plain, args))}]", _ATOM
        case "infinity":
            return "oo", _ATOM
        case "compare":
            return f"{plain(args[0])} {node.value} {plain(args[1])}", _SUM
        case "and" | "or":
            return f"({plain(args[0])}) {node.head} ({plain(args[1])})", _SUM
        case "indicator":
            return f"where({plain(args[0])}, 1, 0)", _ATOM
        case "cases":
            text = plain(args[-1]) if len(args) % 2 else "undefined"
            pairs = list(zip(args[0 : len(args) - len(args) % 2 : 2], args[1::2], strict=True))
            for value, condition in reversed(pairs):
                text = f"where({plain(condition)}, {plain(value)}, {text})"
            return text, _ATOM
        case head:
            return f"{head}({', '.join(map(plain, args))})", _ATOM


def _number(value: Fraction) -> tuple[str, int]:
    if value.denominator == 1:
        return str(value), _ATOM if value >= 0 else _SIGNED
    digits = 0
    while (value * 10**digits).denominator != 1 and digits < 40:
        digits += 1
    whole = value * 10**digits
    if whole.denominator != 1:
        return f"{value.numerator}/{value.denominator}", _PRODUCT
    text = str(abs(whole.numerator)).rjust(digits + 1, "0")
    return f"{'-' if value < 0 else ''}{text[:-digits]}.{text[-digits:]}", _ATOM if value >= 0 else _SIGNED


def _product(node: Node) -> tuple[str, int]:
    """Factors from left to right; those without a sign between them belong together, and ``\\odot`` comes last."""
    marks = {"cdot": "·", "*": "·", "times": "·", "/": "/", "odot": " ⊙ ", "oslash": " ⊘ "}
    groups: list[list[Node]] = [[node.args[0]]]
    signs: list[str] = []
    for sign, factor in zip(node.value, node.args[1:], strict=True):
        if sign:
            signs.append(marks[sign])
            groups.append([factor])
        else:
            groups[-1].append(factor)
    text, loose = "", False
    for sign, group in zip(["", *signs], groups, strict=True):
        first = _PRODUCT if not sign or sign in " ⊙ ⊘ " else _POWER if sign == "/" else _SIGNED
        inner = "*".join([_at(group[0], first if len(group) == 1 else _PRODUCT), *(_at(f, _SIGNED) for f in group[1:])])
        loose |= sign in (" ⊙ ", " ⊘ ")
        text += sign + (f"({inner})" if len(group) > 1 and sign in ("·", "/") else inner)
    return text, _SUM if loose else _PRODUCT
