"""Names as factors: words without a backslash, and names before a parenthesis, which may be functions."""

from __future__ import annotations

from symgrad.lifting.latex.cases import Choices
from symgrad.lifting.latex.nodes import Node, Undecided, place, spelled
from symgrad.lifting.latex.vocabulary import LIKE_FUNCTIONS, WORDS, function
from symgrad.ops.scalars import unknown

__all__ = ["Symbols"]


class Symbols(Choices):
    """Reads a name where a factor may stand."""

    def letters(self) -> Node:
        """A letter; or, where letters stand together, a function's name that lacks its backslash."""
        run = [self.token]
        while (following := self.peek(len(run))).kind == "letter" and following.start == run[-1].stop:
            run.append(following)
        inside = self.at > 0 and self.before.kind == "letter" and self.before.stop == run[0].start
        word, span, after = "".join(t.text for t in run), (run[0].start, run[-1].stop), self.peek(len(run))
        if len(run) == 1 or inside:
            return self.named()
        opens = after.text in ("(", "[", "\\{") or (after.kind == "open" and self.peek(len(run) + 1).text == "(")
        if opens and (word in WORDS or (len(word) > 3 and function(word) is not None)):
            if word in ("asin", "acos", "atan"):
                self.fail(f"{word} is a function to some and a\\{word[1:]} to others.", span, f"Write \\arc{word[1:]}.")
            return self.call(str(function(word)), len(run)) if word != "sqrt" else self.square_root(len(run))
        if word in WORDS:
            self.fail(f"{word} without a backslash is the product of its letters.", span, f"Write \\{word}.")
        ending = next((w for w in sorted(WORDS, key=len, reverse=True) if word.endswith(w)), None)
        if opens and ending is not None:
            start = word.removesuffix(ending)
            self.fail(
                f"{word}(...) holds the function {ending}, or is a product.", span, f"Write {start} \\{ending}(...)."
            )
        if opens and (len(word) > 2 or function(word) is not None):
            self.fail(
                f"{word}(...) is a product of {len(word)} letters in LaTeX, and looks like a function.",
                span,
                f"Write \\operatorname{{{word}}}(...), or the factors with spaces: {' '.join(word)} (...).",
            )
        if (self.known is not None and word in self.known) or len(word) > 3:
            self.fail(
                f"{word} is a product of {len(word)} letters in LaTeX, and looks like one name.",
                span,
                f"Write \\mathrm{{{word}}} for the name, or the factors with spaces: {' '.join(word)}.",
            )
        if len(word) == 2 and word[0] == "d" and not (self.known is not None and "d" in self.known):
            self.fail(f"{word} looks like a differential.", span, f"For the product write d \\cdot {word[1]}.")
        return self.named()

    def named(self) -> Node:
        """A name with its scripts, and a call where a parenthesis follows one that is a function."""
        node = self.bare_name()
        if node.head != "symbol":
            return self.indicator(node) if node.head == "ones" else node
        if node.value.base == "I" and node.value.style == "blackboard" and self.token.text in ("(", "[", "_"):
            return self.indicator(node)
        node = self.subscripted(node)
        if self.token.text in ("(", "[", "\\{") and self.token.kind == "sign":
            return self.before_parenthesis(node)
        return node

    def before_parenthesis(self, node: Node) -> Node:
        full, base = spelled(node), node.value.base
        if self.known is not None and (full in self.known or base in self.known):
            return node
        letter = node.value.shown or base
        if letter == base and len(base) > 1:
            raise unknown(base, place(self.text, node.span))
        if node.value.style == "blackboard" or (base in ("E", "P") and self.token.text == "["):
            self.fail(f"{letter} with brackets is an expectation or a probability.", node.span, "Write out its value.")
        if base in ("sigma", "Gamma") and not node.args and not node.value.style:
            if base in self.alone:
                self.fail(
                    f"{letter} is a function here, and a number elsewhere in the formula.",
                    (node.span[0], self.token.stop),
                    f"For a product write {letter} \\cdot (...); the logistic function is \\operatorname{{sigmoid}}."
                    if base == "sigma"
                    else f"For a product write {letter} \\cdot (...); the function is \\operatorname{{gamma}}.",
                    Undecided,
                )
            return self.call("sigmoid" if base == "sigma" else "gamma", 0, node.span)
        if base.replace("_prime", "") == "sigma" and not node.args:
            return self.call("sigmoid" + "'" * base.count("_prime"), 0, node.span)
        if base in LIKE_FUNCTIONS or base.endswith("_prime"):
            self.fail(
                f"{letter}(...) reads as a function, and which one is not known.",
                (node.span[0], self.token.stop),
                f"Write out what it is; for a product write {letter} \\cdot (...).",
                Undecided,
            )
        mark = self.at
        inner = self.fenced(commas=True)
        if inner.head == "several":
            self.fail(
                f"{letter}(...) with a comma is a call, and {letter} is not a known function.",
                (node.span[0], inner.span[1]),
                "The functions are those of the table, such as \\exp, \\tanh and \\operatorname{softmax}.",
                Undecided,
            )
        if inner.head in ("symbol", "number"):
            self.fail(
                f"{letter}(...) around one name reads as a call.",
                (node.span[0], inner.span[1]),
                f"For the product write {letter} \\cdot {self.text[slice(*inner.span)][1:-1].strip()}.",
                Undecided,
            )
        self.at = mark
        return node

    def raised_call(self, last: Node) -> None:
        """Refuse ``f^2(x)``, which may be a square of a function's value."""
        name = last.args[0]
        base = name.value.base
        if self.known is not None and (spelled(name) in self.known or base in self.known):
            return
        mark, inner = self.at, self.fenced(commas=True)
        if base in LIKE_FUNCTIONS or base == "Gamma" or inner.head in ("symbol", "several"):
            shown = self.text[slice(*last.span)]
            self.fail(
                f"{shown}(...) reads as the power of a function.",
                (last.span[0], inner.span[1]),
                f"For the product write {shown} \\cdot (...), for the power ({name.value.shown}(...))^n.",
                Undecided,
            )
        self.at = mark
