"""Python code of floats, and everything that the language lets people write around a formula."""

from __future__ import annotations

import ast
import contextlib
import functools
import math
import operator
import statistics
from dataclasses import dataclass
from math import tanh
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from support.lifting_replay import points, replay

import symgrad
from symgrad.lifting.tracing.functions import Function, library_of
from symgrad.lifting.tracing.sources import is_users
from symgrad.program.program import interpret

GAIN = 1.5

EXPRESSIONS = {
    "exp": lambda s: math.exp(s) + math.expm1(s) + 2**s,
    "log": lambda p: math.log(p[0]) + math.log1p(p[1]) + math.log2(p[2]) + math.log10(p[3]) + math.log(p[0], 3),
    "log of a traced base": lambda p: math.log(p[0] + 2, p[1] + 2),
    "roots": lambda p: math.sqrt(p[0]) + math.cbrt(p[1]) + p[2] ** 0.5 + p[3] ** (1 / 3) + p[0] ** -1 + p[0] ** p[1],
    "trigonometry": lambda s: math.sin(s) + math.cos(s) * math.tan(s) + math.atan2(s, 2) + math.atan(s),
    "inverse trigonometry": lambda s: math.asin(s / 9) + math.acos(s / 9) + math.degrees(s) + math.radians(s),
    "hyperbolic": lambda s: (
        math.sinh(s) + math.cosh(s) * tanh(s) + math.asinh(s) + math.atanh(s / 9) + math.acosh(s + 9)
    ),
    "special": lambda s: math.erf(s) + math.erfc(s) + math.gamma(s + 2) + math.lgamma(s + 2),
    "pairs": lambda s, t: math.pow(s + 9, t) + math.hypot(s, t) + math.hypot(s, t, 1.0) + math.dist([s, t], [1.0, 2.0]),
    "signs": lambda s, t: math.copysign(s, t) + math.fabs(s) + abs(t) * s,
    "modulo": lambda s: (
        s % 0.7 + math.fmod(s, 0.3) + s // 0.5 * s + divmod(s, 0.3)[1] + math.remainder(s, 0.3) + 7 % (s + 2)
    ),
    "whole": lambda s: (
        s * math.floor(s * 10) + s * math.ceil(s) + s * int(s * 10) + s * round(s * 10) + s * math.trunc(s)
    ),
    "sums": lambda x: (
        math.fsum(x) + sum(x) + math.prod(x) + sum(v * v for v in x) + sum(x, 1.0) + statistics.mean([1, 2])
    ),
    "modf": lambda s: math.modf(s * 10)[0] * 2 + math.ldexp(s, 3),
    "builtins": lambda x: max(x) + min(x) * max(x[0], x[1], 0.1) + sorted(x)[1] + min(x, key=abs) + pow(x[0], 2),
    "choice": lambda s: (s if s > 0 else 0) + (s if not s < 0 else -s) + (1 if s == 0 else s) + bool(s) * s,
    "comparison chain": lambda s: s * 2 if -5 < s < 5 else s,
    "constants": lambda s: s / 3 + s * (1 / 3) + s * 2**0.5 + s * math.log(2 * math.pi) + s * math.tau + s * math.e,
    "vectors": lambda x, y: [a * b for a, b in zip(x, y)],
    "matrices": lambda A, x: [sum(a * v for a, v in zip(row, x)) for row in A],
    "map": lambda x: sum(map(math.tanh, x)) + functools.reduce(operator.mul, x) + sum(map(lambda v: math.exp(v), x)),  # noqa: C417
    "filter": lambda x: sum(filter(lambda v: v > 0, x)) + len([v for v in x if v > 0]) * x[0],
    "dictionary": lambda s, t: {"a": s * t, "b": s + t}["a"] + dict(c=s)["c"],  # noqa: C408
    "walrus": lambda s: (y := s * s) + y * (z := math.exp(y)) + z,
    "isclose": lambda s: s if math.isclose(s, s) and math.isfinite(s) and not math.isnan(s) else -s,
    "lambda in a lambda": lambda s: (lambda a, b=2.0: a * b + s)(s * 3),
    "unpacking": lambda x: (lambda a, *rest: a * sum(rest))(*x) + (lambda **k: k["u"] * 2)(u=x[0]),
    "printing": lambda s: (print(f"{s} {s!r}", "%s" % s) or s) * len(f"{s:.1f}") * len("%.1f %.2f" % (s, s)),  # noqa: UP031
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expression(name: str) -> None:
    replay(EXPRESSIONS[name], like="math")


# ------------------------------------------------------------------------------------------------ statements


def tanh_steps(s, t, r):
    h = 0.0
    for x in (0.5, -1.0, r):
        h_raw = s * x + t * h
        h = math.tanh(h_raw)
    return h


def while_loop(s):
    n = 0
    while s < 10:
        s = s * 2 if s > 0 else s + 3
        n += 1
    return s * n


def recursion(s, depth=3):
    return s if depth == 0 else math.sin(recursion(s, depth - 1)) + s


def inner_recursion(s):
    def power(x, n):
        return 1 if n == 0 else x * power(x, n - 1)

    return power(s, 4)


def closures(s, t):
    def make(scale):
        offset = scale * t

        def apply(v):
            nonlocal offset
            offset = offset + 1
            return v * scale + offset

        return apply

    f = make(s)
    return f(t) + f(2.0)


def generator(x):
    def squares():
        total = 0.0
        for v in x:
            total += v * v
            yield total

    *_, last = squares()
    return last + sum(v**3 for v in x)


def twice(function):
    @functools.wraps(function)
    def wrapper(*args, **options):
        return 2 * function(*args, **options) + math.exp(args[0] if args else options["s"])

    return wrapper


@twice
def decorated(s, t):
    return math.tanh(s) * t


@functools.lru_cache
def cached(s):
    return math.exp(s) * 2


@contextlib.contextmanager
def doubled(s):
    yield s * 2


def with_blocks(s):
    with doubled(s) as twice_s, contextlib.suppress(ValueError):
        result = math.exp(twice_s)
    return result


def exceptions(s):
    try:
        y = math.log(s - 100)
    except ValueError:
        y = s * 3
    finally:
        z = y + 1
    return z


def with_global(s):
    global GAIN
    GAIN = GAIN * 1.0
    return s * GAIN


def matching(s, t):
    match (s > 0, t > 0):
        case (True, True):
            return s * t
        case _:
            return s - t


def unpacked(x):
    first, *middle, last = x
    (a, b), c = (first * 2, middle[0]), last
    a, b = b, a
    d = e = a * b
    values = [0.0] * 3
    values[0], values[1] = d, e
    values[2] += c
    return sum(values)


def simple_kinds(s, *rest, scale=2.0, **options):
    return s * scale + sum(rest) + options.get("extra", 0.0)


def partials(s, t):
    f = functools.partial(math.pow, s + 9)
    g = functools.partial(tanh_steps, t=t, r=1.0)
    return f(t) + g(s)


class Neuron:
    slope = 0.5

    def __init__(self, w):
        self.w = math.tanh(w)
        self.__private = w * 2

    def __call__(self, x):
        return self.activate(self.w * x) + self.__private

    @staticmethod
    def activate(v):
        return math.tanh(v)

    @classmethod
    def named(cls, w):
        return cls(w * cls.slope)

    @property
    def double(self):
        return self.w * 2


class Wide(Neuron):
    def __init__(self, w):
        super().__init__(w)
        self.w = self.w * 3

    def __call__(self, x):
        return super().__call__(x) * 2


@dataclass
class Pair:
    a: float
    b: float

    def __add__(self, other):
        return Pair(self.a + other.a, self.b * other.b)


def objects(s, t):
    pair = Pair(s, t) + Pair(t, s)
    return Neuron(s)(t) + Neuron.named(t)(s) + Neuron(s).double + Wide(s)(t) + pair.a * pair.b


class Node:
    """A scalar with its own reverse pass, as in many tutorials."""

    def __init__(self, value, parents=()):
        self.value, self.parents, self.grad = value, parents, 0.0

    def __mul__(self, other):
        return Node(self.value * other.value, ((self, other.value), (other, self.value)))

    def __add__(self, other):
        return Node(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def tanh(self):
        t = math.tanh(self.value)
        return Node(t, ((self, 1 - t**2),))

    def backward(self, g=1.0):
        self.grad += g
        for parent, slope in self.parents:
            parent.backward(g * slope)


def own_autograd(s, t):
    a, b = Node(s), Node(t)
    out = (a * b + a).tanh()
    out.backward()
    return {"s": a.grad, "t": b.grad, "value": out.value}


class Model:
    def __init__(self, rate):
        self.rate = rate

    def loss(self, s, t):
        return math.exp(-self.rate * s) * t

    def __call__(self, s):
        return self.loss(s, 2.0)


MODEL = Model(0.3)

STATEMENTS = [tanh_steps, while_loop, inner_recursion, closures, generator, decorated, cached, with_blocks, exceptions]
STATEMENTS += [with_global, matching, unpacked, partials, objects, own_autograd, MODEL.loss, MODEL]


@pytest.mark.parametrize("function", STATEMENTS, ids=lambda f: getattr(f, "__name__", type(f).__name__))
def test_statements(function) -> None:
    replay(function, like="math")


def test_recursion_and_arguments_that_are_no_floats() -> None:
    replay(recursion, {"s": 0.5, "depth": 3}, {"s": 0.6, "depth": 3}, like="math")


def test_keyword_arguments_of_any_name() -> None:
    replay(simple_kinds, {"s": 0.5, "extra": 2.0}, {"s": 0.7, "extra": -1.0}, like="math")


def test_a_partial() -> None:
    replay(functools.partial(tanh_steps, r=0.5), {"s": 0.5, "t": 0.3}, {"s": 0.6, "t": 0.1}, like="math")


def test_several_lambdas_on_one_line() -> None:
    functions = [lambda s: s * 2, lambda s: s * 3, (lambda s: s + 4)]
    values = [float(replay(f, {"s": np.array(5.0)}, like="math").values["output"]) for f in functions]
    assert values == [10, 15, 9]


def test_a_cache_does_not_keep_values_from_one_run_to_the_next() -> None:
    replay(cached, {"s": 0.25}, {"s": 0.5}, like="math")
    replay(cached, {"s": 0.25}, {"s": 0.75}, like="math")


# ------------------------------------------------------------------------------------------------ without source


def from_text(text: str) -> object:
    scope: dict[str, object] = {}
    exec(text, scope)
    return scope["f"]


@pytest.mark.parametrize(
    "text",
    [
        "import math\ndef f(s, t): return math.tanh(s) * math.exp(t) + math.atan2(s, t)",
        "from math import tanh as th\ndef f(s): return th(s) ** 2",
        "import math\ndef make():\n    g = math.sin\n    return lambda s: g(s) * 2\nf = make()",
        "import math\ndef helper(s): return math.exp(s)\ndef f(s): return helper(s) + helper(2 * s)",
        "import math\ndef f(s, n=3): return s if n == 0 else math.sin(f(s, n - 1))",
    ],
)
def test_code_without_source(text: str) -> None:
    function = from_text(text)
    assert library_of(function) == "math"
    replay(function, {"s": 0.3, "t": 0.4}, {"s": 0.5, "t": 0.2})


def test_numpy_code_without_source() -> None:
    text = "import numpy as np\ndef f(s, t):\n    y = np.zeros(2)\n    y[0] = s\n    return np.array([s, t]) @ y"
    replay(from_text(text), {"s": 0.3, "t": 0.4}, {"s": 0.5, "t": 0.2})


# ------------------------------------------------------------------------------------------------ exact constants


def constant_of(function: object, library: str) -> object:
    """The exact value of a function that does not depend on its input, in SymPy."""
    run = Function.of(function, like=library).run({"s": np.array(1.0)})  # type: ignore[arg-type]
    program = run.program

    class Exact:
        def read(self, step, args):
            match step.op:
                case "constant":
                    assert step.params.radius is None
                    return step.params.exact
                case "add" | "sub" | "mul" | "div" | "pow":
                    name = {"div": "truediv"}.get(step.op, step.op)
                    return getattr(operator, name)(*args)
                case "powi":
                    return args[0] ** step.params
                case "cast" | "name" | "pick":
                    return args[0]
            return getattr(sp, step.op)(*args)

    (used,) = [s for s in program if (s.op == "mul" and s.args[0] == program.inputs["s"]) or s.op == "add"][-1:]
    return interpret(program, Exact(), {"s": sp.Integer(1)}, [used.args[1]])[used.args[1]]


@pytest.mark.parametrize("library", ["math", "numpy", "torch"])
@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (lambda s: s * (1 / 3), sp.Rational(1, 3)),
        (lambda s: s * 2**0.5, sp.sqrt(2)),
        (lambda s: s * math.log(2 * math.pi), sp.log(2 * sp.pi)),
        (lambda s: s * math.sqrt(10), sp.sqrt(10)),
        (lambda s: s * (0.1 + 0.2), sp.Rational(3, 10)),
        (lambda s: s * float(np.sqrt(10)), sp.sqrt(10)),
        (lambda s: s * 1e-5, sp.Rational(1, 100000)),
    ],
)
def test_constants_keep_their_exact_meaning(function, exact, library) -> None:
    assert sp.simplify(constant_of(function, library) - exact) == 0


def test_a_computed_zero_does_not_change_other_zeros() -> None:
    def code(s):
        rest = 0.1 + 0.2 - 0.30000000000000004
        return s * 0.0 + rest

    replay(code, like="math")


# ------------------------------------------------------------------------------------------------ names, lines, guards


def derivation(s, t):
    h_raw = s * t
    h = math.tanh(h_raw)
    dh = 1 - h**2
    dt = (
        dh  # the slope
        * s
    )
    return dt


def test_bindings_carry_the_statement_and_the_line() -> None:
    run = Function.of(derivation, stops=False).run({"s": 0.3, "t": 0.4})
    first = derivation.__code__.co_firstlineno
    found = [(b.name, b.source.line - first, b.source.text) for b in run.program.bindings if b.source]
    assert found == [
        ("h_raw", 1, "h_raw = s * t"),
        ("h", 2, "h = math.tanh(h_raw)"),
        ("dh", 3, "dh = 1 - h**2"),
        ("dt", 4, "dt = (dh * s)"),
    ]


def test_steps_carry_the_columns_of_their_expression() -> None:
    run = Function.of(derivation, stops=False).run({"s": 0.3, "t": 0.4})
    shown = {
        step.source.text[slice(*step.source.span)]
        for step in run.program.steps
        if step.source is not None and step.source.span is not None
    }
    assert {"s * t", "math.tanh(h_raw)", "h**2", "1 - h**2", "dh * s"} <= shown


def test_versions_of_a_variable_count_its_bindings() -> None:
    run = Function.of(tanh_steps, like="math").run({"s": 0.3, "t": 0.4, "r": 0.2})
    assert [(b.name, b.version) for b in run.program.bindings] == [
        *(("h_raw", 0), ("h", 0)),
        *(("h_raw", 1), ("h", 1)),
        *(("h_raw", 2), ("h", 2)),
    ]


@pytest.mark.parametrize(
    ("function", "library", "guards"),
    [
        (lambda s: s if s > 0 else -s, "math", ["gt"]),
        (lambda s: max(s, 0.0), "math", ["lt"]),
        (lambda s: abs(s), "math", ["sign"]),
        (lambda s: s * int(s), "math", ["trunc"]),
        (lambda s: s * math.floor(s), "math", ["floor"]),
        (lambda s: s % 1.0, "math", ["floor"]),
        (lambda x: sorted(x)[0], "math", ["lt", "lt", "lt", "lt", "lt"]),
        (lambda x: x[x > 0].sum(), "numpy", ["gt"]),
        (lambda x: np.maximum(x, 0), "numpy", ["ge"]),
        (lambda x: x.max() + x[x.argmin()], "numpy", ["argmax", "argmin", "decided"]),
        (lambda x: np.sort(x), "numpy", ["argsort"]),
        (lambda x: np.floor(x), "numpy", ["floor"]),
        (lambda x: x * np.sign(x), "numpy", ["sign"]),
        (lambda x: x.astype(int) * x, "numpy", ["trunc"]),
        (lambda x: np.where(x > 0, x, 0), "numpy", ["gt"]),
        (lambda x: x if x[0] > 0 else -x, "numpy", ["gt"]),
        (lambda x: x * np.any(x > 0), "numpy", ["gt"]),
        (lambda x: x % 1, "numpy", ["floor"]),
        (lambda x: x[x > 0].sum(), "torch", ["gt"]),
        (lambda x: torch.relu(x), "torch", ["gt"]),
        (lambda x: x[torch.where(x > 0)], "torch", ["gt"]),
        (lambda x: x.abs(), "torch", ["sign"]),
        (lambda x: x.max(), "torch", ["argmax"]),
        (lambda x: x.sort()[0], "torch", ["argsort"]),
        (lambda x: x * x.long(), "torch", ["trunc"]),
        (lambda x: x * x.round(), "torch", ["round"]),
        (lambda x: x * torch.sign(x), "torch", ["sign"]),
        (lambda x: x if x.sum() > 0 else -x, "torch", ["gt"]),
        (lambda x: x * bool(x[0]), "torch", ["ne"]),
        (lambda x: x * int(x[0]), "torch", ["trunc"]),
        (lambda x: torch.norm(x, 1), "torch", ["sign"]),
        (lambda x: x.clamp(0, 1), "torch", ["ge", "le"]),
        (lambda x: x * torch.isnan(x).any(), "torch", ["isnan"]),
    ],
)
def test_every_look_at_a_value_is_a_guard(function, library, guards) -> None:
    if library == "math" and "x" in function.__code__.co_varnames:
        assert {g.op for g in replay(function, like=library).program.guards} == set(guards)
    else:
        assert [g.op for g in replay(function, like=library).program.guards] == guards


def test_looks_at_data_are_no_guards() -> None:
    def code(x):
        scale = np.ones(4)
        if scale.sum() > 3 and np.all(scale > 0):
            x = x * scale.max()
        return x

    assert replay(code, like="numpy").program.guards == ()


# ------------------------------------------------------------------------------------------------ which library


@pytest.mark.parametrize(
    ("function", "library"),
    [
        (lambda x: torch.exp(x), "torch"),
        (lambda x: np.exp(x), "numpy"),
        (lambda x: math.exp(x), "math"),
        (lambda x: x * 2, None),
        (lambda x: tanh_steps(x, x, x), "math"),
        (functools.partial(tanh_steps, r=1.0), "math"),
        (torch.nn.Linear(2, 2), "torch"),
        (MODEL.loss, "math"),
        (MODEL, "math"),
        (decorated, "math"),
    ],
)
def test_library_of(function, library) -> None:
    assert library_of(function) == library


def test_a_planted_lost_value_is_found_by_the_replay() -> None:
    """The test's own check: code that freezes what it saw first fails the replay at the second point."""
    seen: list[float] = []

    def code(s):
        seen.append(1.0)
        return s * (2.0 if len(seen) < 3 else 3.0)

    with pytest.raises(AssertionError):
        replay(code, *points("s"), like="math")


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("/data/project/model.py", True),
        ("<stdin>", True),
        ("/usr/lib/python3/dist-packages/numpy/_core/numeric.py", False),
        ("/data/other/lib/python3.11/site-packages/numpy/_core/numeric.py", False),
        (np.__file__, False),
        (ast.__file__, False),
    ],
)
def test_whose_code_it_is_does_not_depend_on_where_packages_stand(file, own):
    """A virtual environment may be built on another, and a system's packages stand apart from a user's."""
    assert is_users(compile("", file, "exec")) is own


def test_no_module_of_symgrad_is_the_users_code():
    files = map(str, Path(symgrad.__file__).resolve().parent.rglob("*.py"))
    assert [file for file in files if is_users(compile("", file, "exec"))] == []


def test_code_that_was_edited_is_told_as_it_stands_now(tmp_path):
    file = tmp_path / "edited.py"
    for constant in ("0.125", "0.0625 + 0.25"):
        file.write_text(f"def f(x):\n    y = x * ({constant})\n    return y\n", encoding="utf-8")
        space: dict = {}
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), space)
        for _ in range(2):  # where code stands is looked up once for all its runs
            program = Function.of(space["f"]).run({"x": np.array(2.0)}).program
            assert {b.source.text for b in program.bindings} == {f"y = x * ({constant})"}
