"""Random torch programs that choose by their values, each with its gradient and with one line of it changed.

A program is a list of statements: smooth ones, masks, clamps, the largest of several, indices, floors, ``if`` on
traced values and on what is made of them, loops that a value ends, and counters of these.  The gradient carries the
tangents of both inputs through the same statements.  A change is a wrong tangent in one line, half of the time in a
line of one branch only, or a threshold that is not the model's.  Autograd in float64 at some thousand points tells
which gradients are right.

    cd tests && python -m trust.random_branches COUNT [FIRST]
"""

from __future__ import annotations

import functools
import linecache
import math
import random
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from symgrad import verify
from symgrad.errors import SymgradError

__all__ = ["Branching", "changed", "hunt", "program"]

_POINTS = 1500
_FEW = 150
_SCALES = (0.3, 1.0, 3.0, 10.0, 60.0)
_NUMBERS = ("0.5", "1.0", "1.5", "2.0", "-0.5", "-1.0", "3.0")

# value and tangent; p, q and r are variables, k a number, and D the input that the tangent is for
_SMOOTH = (
    ("p * q", "p_D * q + p * q_D"),
    ("p + k * q", "p_D + k * q_D"),
    ("torch.sin(p)", "torch.cos(p) * p_D"),
    ("torch.tanh(p) * q", "(1 - torch.tanh(p) ** 2) * p_D * q + torch.tanh(p) * q_D"),
    ("p**2 + k", "2 * p * p_D"),
    ("torch.exp(-p * p)", "-2 * p * torch.exp(-p * p) * p_D"),
    ("p / (1 + q * q)", "p_D / (1 + q * q) - 2 * p * q * q_D / (1 + q * q) ** 2"),
    ("torch.sqrt(p * p + 1)", "p * p_D / torch.sqrt(p * p + 1)"),
)
_CHOOSING = (
    ("torch.relu(p - k)", "(p > k) * p_D"),
    ("torch.abs(p)", "torch.sign(p) * p_D"),
    ("p.clamp(-1.5, 2.0)", "((p > -1.5) & (p < 2.0)) * p_D"),
    ("torch.maximum(p, q)", "torch.where(p > q, p_D, q_D)"),
    ("torch.where(p > k, q * p, q)", "torch.where(p > k, q_D * p + q * p_D, q_D)"),
    ("p - torch.floor(p)", "p_D"),
    ("torch.floor(p) * q", "torch.floor(p) * q_D"),
    ("math.floor(p) * q", "math.floor(p) * q_D"),
    ("torch.stack([p, q, r]).max()", "torch.stack([p_D, q_D, r_D])[torch.stack([p, q, r]).argmax()]"),
    ("torch.stack([p, q, r]).sort().values[1]", "torch.stack([p_D, q_D, r_D])[torch.stack([p, q, r]).argsort()[1]]"),
    ("torch.stack([p, q])[int(r > k)]", "torch.stack([p_D, q_D])[int(r > k)]"),
    ("[1.0, 2.0, -3.0][int(p) % 3] * q", "[1.0, 2.0, -3.0][int(p) % 3] * q_D"),
    ("(torch.stack([p, q, r]) * (torch.stack([p, q, r]) > k)).sum()", "(p > k) * p_D + (q > k) * q_D + (r > k) * r_D"),
)
_CONDITIONS = (
    "p > k", "p * q < k", "p > q", "float(p) > k", "p.item() < k", "int(p) == 2", "math.floor(p) % 2 == 0",
    "abs(p) > 1.5 and q < k", "round(float(p)) >= 2", "p < k or q > 2.0", "not p > k", "k < p < 4.0",
    "(torch.stack([p, q, r]) > k).sum() == 2", "torch.stack([p, q, r]).argmax() == 1",
    "(torch.stack([p, q]) > k).all()",
    "torch.allclose(torch.floor(p), torch.zeros_like(p))",
)  # fmt: skip
# a loop: its lines, of which a tangent's line stands for one of each input; n is its counter and t its target
_LOOPS = (
    ("n = 0", "while t.abs() > 1.0 and n < 6:", "    t_D = t_D / 2", "    t = t / 2", "    n = n + 1"),
    ("n = 0", "while n < p and n < 4:", "    t_D = t_D * q + t * q_D", "    t = t * q", "    n += 1"),
    ("n = 0", "for n in range(int(p.abs().clamp(max=3.0))):", "    t_D = t_D + k * p_D", "    t = t + k * p"),
    ("n = 0", "while t < 2.0 and n < 5:", "    t_D = t_D + 2 * p * p_D", "    t = t + p * p + 0.5", "    n += 1"),
    (
        "n = 0", "for n in range(1, 4):", "    if p < n:", "        break", "    t_D = t_D * p + t * p_D",
        "    t = t * p",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Branching:
    """A model and its gradient as text; ``slip`` says what was changed in the gradient."""

    model: str
    hand: str
    slip: str = ""

    @functools.cached_property
    def functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Both as functions whose text is found."""
        name = f"<branches {zlib.crc32((self.model + self.hand).encode())}>"
        text = f"{self.model}\n\n{self.hand}\n"
        linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
        scope: dict[str, Any] = {"torch": torch, "math": math}
        exec(compile(text, name, "exec"), scope)
        return scope["model"], scope["hand"]

    def said(self, seed: int) -> str:
        """symgrad's verdict at a drawn point."""
        draw = torch.Generator().manual_seed(seed)
        at = {n: torch.randn((), dtype=torch.float64, generator=draw) for n in ("x", "y")}
        model, hand = self.functions
        try:
            return verify(model, hand, at=at, points=16).verdict
        except SymgradError as error:
            return f"error {type(error).__name__}: {error.what}"[:160]

    def is_right(self) -> bool:
        """Autograd in float64 at points near and far."""
        return not any(self.apart_at(*point) for point in _points()[:_FEW])

    def is_wrong(self) -> bool:
        """Whether a point shows the gradient to be another."""
        return any(self.apart_at(*point) for point in _points())

    def apart_at(self, x: torch.Tensor, y: torch.Tensor) -> bool | None:
        """Whether the two differ at a point; None where one has no value there."""
        model, hand = self.functions
        leaves = x.clone().requires_grad_(), y.clone().requires_grad_()
        out = model(*leaves)
        truth = torch.autograd.grad(out, leaves, allow_unused=True) if out.requires_grad else (None, None)
        said = hand(x, y)
        for mine, g in zip((said["x"], said["y"]), truth, strict=True):
            g = torch.zeros(()) if g is None else g
            if not (torch.isfinite(g) and torch.isfinite(mine)):
                return None
            if abs(float(mine) - float(g)) > 1e-9 * (1e-3 + abs(float(g)) + abs(float(mine))):
                return True
        return False


@functools.cache
def _points() -> list[tuple[torch.Tensor, ...]]:
    draw = torch.Generator().manual_seed(5)
    numbers = torch.randn(_POINTS, 2, dtype=torch.float64, generator=draw)
    return [(numbers[k] * _SCALES[k % len(_SCALES)]).unbind() for k in range(_POINTS)]


# ------------------------------------------------------------------------------------------------ making them


@dataclass(eq=False)
class _Maker:
    """Writes the lines of both functions; what is drawn comes from ``choose``."""

    choose: random.Random
    names: list[str]

    def filled(self, texts: Sequence[str], target: str = "") -> list[str]:
        """Templates with variables and a number in the places of their letters."""
        names = self.choose.sample(self.names, 3) if len(self.names) > 2 else [*self.names, self.names[0]]
        if target and target in names:  # a loop changes its target, and no other
            names = [n for n in self.names if n != target] * 2
        put = dict(zip("pqr", names, strict=False)) | {"k": self.choose.choice(_NUMBERS), "t": target, "n": "n"}
        return [re.sub(r"\b([pqrktn])(?=_D\b|\b)", lambda m: put[m[1]], t) for t in texts]

    def assigned(self, target: str, smooth: bool) -> list[str]:
        value, tangent = self.filled(self.choose.choice(_SMOOTH if smooth else (*_SMOOTH, *_CHOOSING, *_CHOOSING)))
        return [f"{target}_D = {tangent}", f"{target} = {value}"]

    def statement(self, fresh: str, depth: int) -> list[str]:
        kind = self.choose.random()
        if kind < 0.4 or (depth and kind < 0.6):
            return self.assigned(fresh, bool(depth))
        if kind < 0.8 and depth < (2 if self.choose.random() < 0.3 else 1):
            (condition,) = self.filled([self.choose.choice(_CONDITIONS)])
            yes, no = (_indented(self.statement(fresh, depth + 1)) for _ in range(2))
            return [f"if {condition}:", *yes, "else:", *no]
        lines = self.assigned(fresh, True)
        lines += self.filled(self.choose.choice(_LOOPS), fresh)
        if self.choose.random() < 0.4:  # what a counter decides
            lines += [f"if n {self.choose.choice(('==', '>', '<='))} {self.choose.randint(0, 3)}:"]
            lines += [f"    {fresh}_D = 2 * {fresh} * {fresh}_D", f"    {fresh} = {fresh} * {fresh}"]
        return lines


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def program(seed: int) -> Branching:
    """A random program with its right gradient."""
    choose = random.Random(seed)
    maker = _Maker(choose, ["x", "y"])
    lines: list[str] = []
    for fresh in "abc"[: choose.choice((1, 1, 2, 2, 3))]:
        lines += maker.statement(fresh, 0)
        maker.names.append(fresh)
    last, other = maker.names[-1], choose.choice(maker.names[:-1])
    lines += [f"out_D = {last}_D * {other} + {last} * {other}_D", f"out = {last} * {other}"]
    model = [line for line in lines if "_D = " not in line]
    hand = ["x_x, x_y = torch.ones_like(x), torch.zeros_like(x)", "y_x, y_y = torch.zeros_like(x), torch.ones_like(x)"]
    hand += [line.replace("_D", f"_{d}") for line in lines for d in ("xy" if "_D = " in line else "x")]
    body = "\n".join(_indented([*model, "return out"]))
    back = "\n".join(_indented([*hand, 'return {"x": out_x, "y": out_y}']))
    return Branching(f"def model(x, y):\n{body}", f"def hand(x, y):\n{back}")


_SLIPS = ("-({})", "2 * ({})", "({}) * 1.001", "({}) + x", "({}) * y")


def changed(right: Branching, seed: int) -> Branching:
    """The program with one line of its gradient changed: half of the time in a line of one branch, where it has any."""
    choose = random.Random(seed + 7)
    lines = right.hand.splitlines()
    tangents = [k for k, line in enumerate(lines) if re.search(r"_[xy] = ", line) and ", " not in line.split(" = ")[0]]
    of_branches = [k for k in tangents if lines[k].startswith(" " * 8)]
    conditions = [k for k, line in enumerate(lines) if re.search(r"(if|while) .*\d\.\d", line)]
    kind = choose.random()
    if kind < 0.2 and conditions:
        k = choose.choice(conditions)
        numbers = list(re.finditer(r"-?\d\.\d", lines[k]))
        number = choose.choice(numbers)
        moved = float(number[0]) + choose.choice((0.25, -0.75))
        new = f"{lines[k][: number.start()]}{moved}{lines[k][number.end() :]}"
    else:
        k = choose.choice(of_branches if kind < 0.6 and of_branches else tangents)
        head, tail = lines[k].split(" = ", 1)
        new = f"{head} = {choose.choice(_SLIPS).format(tail)}"
    slip = f"{lines[k].strip()} -> {new.strip()}"
    return replace(right, hand="\n".join([*lines[:k], new, *lines[k + 1 :]]), slip=slip)


# ------------------------------------------------------------------------------------------------ asking them


def hunt(count: int, first: int = 0, tell: Callable[[str], None] | None = None) -> tuple[Counter[str], list[str]]:
    """How programs were judged, with their right and their changed gradients, and what was judged wrongly."""
    said: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in range(first, first + count):
        right = program(seed)
        if not right.is_right():
            said["left out"] += 1
            continue
        for what, case in (("right", right), ("changed", changed(right, seed))):
            if what == "changed" and not case.is_wrong():
                said["changed, yet equal"] += 1
                continue
            begun = time.process_time()
            word = case.said(seed)
            spent = time.process_time() - begun
            said[f"{what}: {word.split(':')[0]}"] += 1
            good = ("refuted",) if what == "changed" else ("proved", "agrees")
            if word not in (*good, "undecided"):
                wrong.append(f"{what} {seed}: {word} {case.slip}")
            if tell is not None and (word not in good or spent > 15):
                tell(f"{what} {seed}: {word} {spent:.1f} s {case.slip}")
    return said, wrong


def main(count: int, first: int = 0) -> None:
    said, wrong = hunt(count, first, lambda line: print(line, flush=True))
    for key, n in sorted(said.items()):
        print(f"{n:7} {key}")
    print("wrongly judged:", *wrong, sep="\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
