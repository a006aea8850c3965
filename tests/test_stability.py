"""Right formulas that break in floats: the points that are found, and what is said to write instead.

Judged against outside truth: every finding by mpmath, every rule in balls, every rewrite by running it and by mpmath.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import find_instabilities, lift, verify
from symgrad.errors import BadInput, UnknownName
from symgrad.evaluation.balls import Balls, ball_of, precision
from symgrad.evaluation.entrywise import array_of, flat
from symgrad.evaluation.floats import Floats, Many
from symgrad.program.builder import Builder
from symgrad.program.program import interpret
from symgrad.stability.detection import losing, ordinary, truth_of
from symgrad.stability.pattern_matching import everywhere, pattern, substituted
from symgrad.stability.rewriting import _agree
from symgrad.stability.rules import RULES, Rule
from symgrad.stability.term_algebra import Call, Leaf, Term, Var, algebra, parts
from symgrad.stability.term_reader import Reader, written

sys.path.insert(0, str(Path(__file__).parent / "trust"))
import unstable_formulas as family

one = lambda x: np.asarray(float(x))  # noqa: E731


# ------------------------------------------------------------------------------------------------ the rules


def variables(term: Term) -> set[str]:
    return {term.name} if isinstance(term, Var) else {n for p in parts(term) for n in variables(p)}


def reduces(term: Term) -> bool:
    heads = ("sum", "prod", "softmax", "log_softmax", "logsumexp")
    return (isinstance(term, Call) and term.head in heads) or any(map(reduces, parts(term)))


def in_balls(rule: Rule, values: dict[str, np.ndarray]) -> tuple[list, list]:
    """Both sides of a rule at a point, in balls, entry by entry."""
    n = max(np.size(v) for v in values.values())
    b = Builder()
    bound: dict = {name: Leaf(b.input(name, v.shape)) for name, v in values.items()}
    shape = next(iter(values.values())).shape
    bound["axes"] = ((tuple(range(len(shape))), len(shape)), True)
    sides = [written(b, substituted(pattern(side, n), bound), "float64") for side in (rule.before, rule.after)]
    with precision(400):
        exact = {name: array_of([ball_of(x) for x in v.reshape(-1).tolist()], v.shape) for name, v in values.items()}
        found = interpret(b.build({}), Balls(), exact, sides)
    return list(flat(found[sides[0]])), list(flat(found[sides[1]]))


def points_for(rule: Rule, count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    before = pattern(rule.before, 4)
    shape = (4,) if reduces(before) else ()
    bounds = {}
    for name in {w[0] for w in rule.where}:
        known = [w for w in rule.where if w[0] == name]
        bounds[name] = (
            max((w[1] for w in known if w[1] is not None), default=None),
            min((w[2] for w in known if w[2] is not None), default=None),
        )
    out = []
    for _ in range(count):
        values = {}
        for name in sorted(variables(before)):
            low, high = bounds.get(name, (None, None))
            size = 10.0 ** rng.uniform(-4, 1.2, shape)
            x = size * rng.choice([-1.0, 1.0], shape)
            if low is not None and high is not None:
                x = low + (high - low) * rng.uniform(0.001, 0.999, shape)
            elif low is not None:
                x = low + size
            elif high is not None:
                x = high - size
            values[name] = np.asarray(x)
        out.append(values)
    return out


def faults_of(rule: Rule) -> list[str]:
    """What is wrong with a rule: points where the sides differ, or where only the left has a value."""
    found, judged = [], 0
    for values in points_for(rule, 40):
        left, right = in_balls(rule, values)
        if not all(x.is_finite() for x in left):
            continue
        judged += 1
        if not all(x.is_finite() for x in right):
            found.append(f"no value at {values}")
        elif not all(
            (x - y).contains(0) and (x - y).rad() < arb(10) ** -40 * (1 + abs(x)) for x, y in zip(left, right)
        ):
            found.append(f"differs at {values}: {left}, {right}")
    return found if judged >= 10 else [*found, f"only {judged} points have a value"]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_each_rule_holds_and_adds_no_undefined_point(rule):
    assert faults_of(rule) == []


@pytest.mark.parametrize(
    "rule",
    [
        Rule("1 - sigmoid(z)", "sigmoid(z)"),
        Rule("sqrt(a) - sqrt(b)", "(a + b)/(sqrt(a) + sqrt(b))", (("a", 0, None), ("b", 0, None))),
        Rule("log(a*b)", "log(a) + log(b)"),  # no value where both are negative
        Rule("sum(x**2)/N - sum(x)**2/N**2", "sum((x - sum(x)/N)**2)"),
    ],
    ids=str,
)
def test_a_wrong_rule_is_noticed(rule):
    assert faults_of(rule) != []


def test_no_rule_stands_twice():
    assert len({str(r) for r in RULES}) == len(RULES)


# ------------------------------------------------------------------------------------------------ terms


FORMULAS = st.recursive(
    st.sampled_from(["x", "y", "2", "0.5", "3"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda a: f"exp({a}/8)"),
        inner.map(lambda a: f"sigmoid({a})"),
        inner.map(lambda a: f"log(1 + ({a})**2)"),
        inner.map(lambda a: f"(1/(2 + ({a})**2))"),
    ),
    max_leaves=6,
)


def exactly(program, step, point):
    with precision(300):
        return interpret(program, Balls(), {n: ball_of(point[n]) for n in program.inputs}, [step])[step]


@settings(max_examples=60, deadline=None)
@given(FORMULAS, st.floats(-3, 3), st.floats(-3, 3))
def test_a_term_means_what_its_step_does_and_so_does_what_the_rules_make_of_it(text, x, y):
    program = lift(f"({text}) + 0*x*y", at={"x": x, "y": y})
    own = program.outputs["value"]
    term = Reader(program).read(own)
    wanted = exactly(program, own, {"x": x, "y": y})
    made = [term, *algebra(term)]
    for rule in RULES:
        if not rule.where and "sum" not in rule.before:
            made += list(everywhere(pattern(rule.before), pattern(rule.after), term))[:2]
    for other in made[:12]:
        b = Builder.on(program)
        step = written(b, other, "float64")
        got = exactly(b.build({}), step, {"x": x, "y": y})
        if got.is_finite() and wanted.is_finite():
            assert (got - wanted).contains(0), f"{text} became {other}"


def test_a_pattern_is_found_in_any_order_and_under_a_factor():
    def became(before, after, term):
        return [str(t) for t in everywhere(pattern(before), pattern(after), pattern(term))]

    assert became("1 - sigmoid(z)", "sigmoid(-z)", "a - sigmoid(b)*a") == ["a*sigmoid(-1*b)"]
    assert became("log(1 + u)", "log1p(u)", "log(x + 1 - y)") == ["log1p(x + -1*y)"]
    assert became("exp(u)/(1 + exp(u))", "sigmoid(u)", "exp(-z)/(1 + exp(-z))**2") == [
        "(1 + exp(-1*z))**(-1)*sigmoid(-1*z)"
    ]
    assert became("1 - sigmoid(z)", "sigmoid(-z)", "1 - sigmoid(a)*sigmoid(b)") == []


# ------------------------------------------------------------------------------------------------ one point


def test_what_the_inputs_rounding_explains_is_no_loss():
    for text, x in (("log(x)", 1 + 1e-12), ("sin(x)", 1e22), ("acos(x)", 1 - 1e-14), ("x - 1", 1 + 1e-15)):
        program = lift(text)
        assert losing(program, {"x": one(x)}, program.output) is None, text


@pytest.mark.parametrize(
    ("text", "x", "kind"),
    [
        ("log(1 + exp(x))", 1000, "overflow"),
        ("log(1 + exp(x))", -40, "absorption"),
        ("1 - cos(x)", 1e-8, "cancellation"),
        ("log(sigmoid(x))", -800, "underflow"),
    ],
)
def test_how_digits_are_lost(text, x, kind):
    program = lift(text)
    found = losing(program, {"x": one(x)}, program.output)
    assert found is not None
    assert found.kind == kind


def test_the_truth_is_refined_until_it_is_known():
    program = lift("1 - tanh(x)**2")
    (truth,), bits = truth_of(program, {"x": one(300)}, program.output)
    with mpmath.workdps(600):
        assert abs(float(truth.mid()) / float(1 - mpmath.tanh(300) ** 2) - 1) < 1e-15
    assert bits > 320


def test_near_the_ends_of_the_range_nothing_is_ordinary():
    assert ordinary(1.0, torch.float32)
    assert not ordinary(1e38, torch.float32)
    assert not ordinary(1e-38, torch.float32)
    assert find_instabilities("(exp(x) - exp(-x))/2", domain={"x": (709, 711)}) == ()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_many_points_at_once_are_what_each_is_alone(n, seed):
    def f(w, x):
        return torch.softmax(w @ x, 0).log().sum() + (w * w).sum(1).prod() - x[0]

    rng = np.random.default_rng(seed)
    program = lift(f, at={"w": rng.normal(size=(2, 3)), "x": rng.normal(size=3)})
    points = {"w": torch.tensor(rng.normal(size=(n, 2, 3))), "x": torch.tensor(rng.normal(size=(n, 3)))}
    together = interpret(program, Many(n), points)[program.output]
    for k in range(n):
        alone = interpret(program, Floats(), {name: v[k] for name, v in points.items()})[program.output]
        torch.testing.assert_close(together[k], alone)


# ------------------------------------------------------------------------------------------------ the family


def in_mpmath(text):
    names = {"sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)), "erfcx": lambda z: mpmath.exp(z * z) * mpmath.erfc(z)}
    names |= {f: getattr(mpmath, f) for f in "exp log sqrt tanh cosh sin cos erf erfc atan expm1 log1p".split()}
    names |= {"asinh": mpmath.asinh, "softplus": lambda z: mpmath.log1p(mpmath.exp(z)), "sinh": mpmath.sinh}
    names |= {"logsigmoid": lambda z: -mpmath.log1p(mpmath.exp(-z)), "abs": abs}
    return lambda point: eval(text, {**names, **{n: mpmath.mpf(float(x)) for n, x in point.items()}})


TEXTS = [c for c in (*family.UNSTABLE_FIRST, *family.UNSTABLE_SECOND) if isinstance(c.formula, str)]


@pytest.mark.parametrize("case", TEXTS, ids=str)
def test_what_is_told_of_a_text_is_so_in_mpmath(case):
    found = family.asked(case)
    assert found.instabilities
    for i in found.instabilities:
        with mpmath.workdps(400):
            assert abs(in_mpmath(case.formula)(i.point) / mpmath.mpf(i.exact) - 1) < 1e-14
            if i.rewrite is not None:
                assert abs(in_mpmath(i.rewrite.text)(i.point) / mpmath.mpf(i.exact) - 1) < 1e-14
                unit = 1e-7 if i.dtype == "float32" else 1e-15
                assert abs(i.rewrite.given - i.exact) < 2000 * unit * abs(i.exact)
        assert not abs(i.computed - i.exact) < 1e-9 * abs(i.exact)


SOME = [c for c in (*family.UNSTABLE_FIRST, *family.UNSTABLE_SECOND) if not isinstance(c.formula, str)][::5]


def test_unstable_code_is_found_and_rewritten():
    judged = [family.asked(c) for c in SOME]
    assert [str(f.case) for f in judged if not f.instabilities] == []
    assert [str(f.case) for f in judged if not f.is_rewritten] == []


def test_stable_and_ill_conditioned_formulas_are_not_accused():
    judged = [family.asked(c) for c in (*family.STABLE_FIRST, *family.STABLE_SECOND)]
    assert [str(i) for f in judged for i in f.instabilities] == []


# ------------------------------------------------------------------------------------------------ what is said


def slope(z):
    s = torch.sigmoid(z)
    return s * (1 - s)


def test_a_rewrite_reaches_over_lines_and_is_code_that_runs():
    (found,) = find_instabilities(slope, at={"z": (3,)}, dtype="float32")
    assert found.rewrite.after == "s * torch.sigmoid(-z)"
    assert found.rewrite.before == "s * (1 - s)"
    names = {"torch": torch}
    exec(found.rewrite.text, names)
    z = torch.tensor([17.0, -3.0, 80.0])
    right = torch.sigmoid(z.double()) * torch.sigmoid(-z.double())
    torch.testing.assert_close(names["slope"](z).double(), right, rtol=1e-6, atol=0)


def test_the_sentences():
    def softplus(x):
        return math.log(1 + math.exp(x))

    found = {i.kind: str(i) for i in find_instabilities(softplus)}
    line = softplus.__code__.co_firstlineno + 1
    assert found["overflow"] == "\n".join(
        [
            "At x = 1000, in float64, it gives inf; exact is 1000.",
            f"    line {line}:  return math.log(1 + math.exp(x))",
            f"    {' ' * len(f'line {line}:  ')}       ^^^^^^^^^^^^^^^^^^^^^^^^^",
            "    math.exp(x) overflows, and Python raises OverflowError.",
            "    Write instead:  max(x, 0) + math.log1p(math.exp(-abs(x)))",
            "    It is proved equal, and at this point gives 1000.",
        ]
    )
    (nothing,) = find_instabilities("1/tanh(x) - 1/x")
    assert "No other way to write it was found that is proved equal" in str(nothing).replace("\n    ", " ")


def test_a_rewrite_that_is_good_on_one_side_says_on_which():
    def root(a, b, c):
        d = math.sqrt(b * b - 4 * a * c)
        return (-b + d) / (2 * a)

    found = find_instabilities(root, at={"a": 1.0, "b": 5.0, "c": 1.0})
    (cancels,) = [i for i in found if i.kind == "cancellation"]
    assert cancels.rewrite.after == "-2 * c / (b + d)"
    assert cancels.rewrite.where == "b > 0"


def test_a_rewrite_that_is_equal_on_a_part_alone_is_seen():
    root, itself = lift("sqrt(x**2)"), lift("x")
    assert _agree(root, root.output, itself, itself.output, {"x": one(2)})
    assert not _agree(root, root.output, itself, itself.output, {"x": one(-2)})
    half = lift("sqrt(x)**2")
    assert not _agree(itself, itself.output, half, half.output, {"x": one(-2)})  # has no value there
    assert _agree(half, half.output, itself, itself.output, {"x": one(-2)})  # has one more


def test_a_domain_is_kept_and_the_seed_decides():
    assert find_instabilities("log(1 + exp(x))", domain={"x": (-5, 300)}) == ()
    (only,) = find_instabilities("log(1 + exp(x))", domain="x > 0")
    assert only.kind == "overflow"
    again = [find_instabilities("sin(x + y) - sin(x)", seed=3) for _ in range(2)]
    assert [str(i) for i in again[0]] == [str(i) for i in again[1]]


def test_each_branch_is_searched():
    def f(x):
        if x > 3:
            return x + math.log1p(math.exp(-x))
        return math.log(1 + math.exp(x))

    found = find_instabilities(f)
    assert [(i.kind, i.rewrite is not None) for i in found] == [("absorption", True)]


def test_data_stay_as_they_are():
    found = find_instabilities(lambda w, x: torch.log(1 + torch.exp(w * x)), at={"w": 2.0, "x": ()})
    assert found
    assert all(float(i.point["w"]) == 2.0 for i in found)


class Softplus(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(2, 1, bias=False)

    def forward(self, x):
        u = self.inner(x)
        return torch.log(1 + torch.exp(u))


def test_a_module_is_rewritten_in_its_own_forward_and_stays_as_it_is():
    module = Softplus()
    with torch.no_grad():
        module.inner.weight.copy_(torch.tensor([[1.0, -1.0]]))
    found = {i.kind: i for i in find_instabilities(module, at={"x": (2,)})}
    assert {i.rewrite.after for i in found.values()} == {"torch.nn.functional.softplus(u)"}
    assert list(found["overflow"].point) == ["x"]
    assert "forward" not in vars(module)
    assert torch.isinf(module(torch.tensor([100.0, 0.0]))).all()


def test_entries_that_happen_to_cancel_in_a_sum_are_not_told():
    assert find_instabilities(lambda x: torch.tanh(x).sum(), at={"x": (6,)}) == ()


def test_half_precision():
    found = find_instabilities(lambda x: torch.log(1 + torch.exp(x)), dtype="float16")
    assert {i.dtype for i in found} == {"float16"}
    assert any(i.kind == "overflow" and float(i.point["x"]) < 100 for i in found)


def test_what_cannot_be_asked():
    with pytest.raises(BadInput, match="no real float input"):
        find_instabilities(lambda z: (z * z).real, at={"z": torch.tensor(1 + 1j)})
    with pytest.raises(BadInput, match="effort"):
        find_instabilities("log(x)", effort=0)
    with pytest.raises(UnknownName, match="has 'y'"):
        find_instabilities("log(x)", at={"y": 1.0})


# ------------------------------------------------------------------------------------------------ in a report


def test_a_report_says_what_to_write_at_the_users_own_point():
    def model(z):
        return torch.sigmoid(z).sum()

    def hand(z):
        s = torch.sigmoid(z)
        return {"z": s * (1 - s)}

    report = verify(model, hand, at={"z": torch.tensor([17.0, 0.5])})
    assert report.verdict == "proved"
    mine = next(i for i in report.instabilities if i.side == "hand")
    assert mine.rewrite.after == "s * torch.sigmoid(-z)"
    assert mine.kind == "cancellation"
    assert "Write instead:  s * torch.sigmoid(-z)" in str(report)
    assert "torch.sigmoid(-z)" in report.to_html()
    told = json.loads(report.to_json())["instabilities"][0]["rewrite"]
    assert told["after"] == "s * torch.sigmoid(-z)"
    assert told["proved"] is True


def test_where_autograd_alone_loses_digits_the_hand_formula_is_said_to_keep_them():
    report = verify(torch.tanh, lambda x: 1 / torch.cosh(x) ** 2, at={"x": torch.tensor(20.0)})
    (i,) = report.instabilities
    assert i.side == "autograd"
    assert "Your formula keeps them." in " ".join(str(report).split())
