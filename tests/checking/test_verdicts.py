"""Wrong verdicts are the worst bugs.  Each test here is a trap: a formula that is equal where one looks and differs
elsewhere, or a right one that looks different where one looks.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import lift, verify
from symgrad.checking.comparison import Pair, branch_of
from symgrad.checking.verdicts import Agrees, Proved, Refuted, Undecided, Witness, worst
from symgrad.evaluation.balls import Balls, binary
from symgrad.lifting.formulas import open_formula
from symgrad.ops.row import precision
from symgrad.problem.definedness import branches_on, misjudged, ties
from symgrad.program.program import interpret

OK = ("proved", "agrees")


def said(model, hand, at=None, **options) -> str:
    return verify(model, hand, at=at, **options).verdict


def number(x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


# ------------------------------------------------------------------------------------------------ equal where one looks


def far_if(x):
    if x > 100:
        return 0 * x
    return 2 * x


def far_nested(x):
    if x > 10 and x * x > 1e6:
        return 3 * x
    return 2 * x


@pytest.mark.parametrize(
    "hand",
    [
        far_if,
        far_nested,
        lambda x: torch.where(x > 100, 0 * x, 2 * x),
        lambda x: torch.where(torch.exp(x) < 1e-40, 0 * x, 2 * x),
        lambda x: 2 * x + torch.relu(x - 1e4),
        lambda x: torch.maximum(2 * x, -1 - x * x * x),
        lambda x: 2 * torch.clamp(x, -500, 500),
    ],
    ids=["if", "nested if", "where", "where of exp", "relu", "maximum", "clamp"],
)
def test_a_formula_that_differs_only_far_away(hand):
    report = verify(lambda x: x**2, hand, at={"x": number(1.0)})
    assert report.verdict == "refuted"
    point = report.claims["x"].witness.point["x"]
    assert float(hand(torch.as_tensor(point))) != 2 * float(point)


def test_a_branch_of_the_model_that_is_far_away():
    model = lambda x: torch.relu(x - 1000) + x  # noqa: E731
    assert said(model, lambda x: torch.ones_like(x), {"x": number(1.0)}) == "refuted"
    assert said(model, lambda x: 1.0 + (x > 1000), {"x": number(1.0)}) in OK


def test_a_branch_that_cannot_be_reached_does_not_count():
    def hand(x):
        return 0 * x if x * x < -1 else 2 * x

    report = verify(lambda x: x**2, hand, at={"x": number(1.0)})
    assert report.verdict == "proved"
    (choice,) = report.coverage
    assert {o.value: o.state for o in choice.outcomes} == {"true": "impossible", "false": "reached"}


@pytest.mark.parametrize("relative", [1e-15, 1e-30, 1e-60])
def test_a_tiny_relative_difference(relative):
    exponent = round(-np.log10(relative))
    assert said("x**2", f"2*x*(1 + 10**(-{exponent}))") == "refuted"


def test_a_difference_too_small_to_see_is_not_accepted():
    """exp(-10**6) is below 10**-434294: no ball of a reasonable size sees it; residues do."""
    report = verify("x**2", "2*x + exp(-1000000)")
    assert report.verdict == "undecided"
    assert "modulo a prime" in report.claims["x"].verdict.why


def test_a_saturated_entry_beside_a_large_one_is_not_accepted():
    """The second entry is sech(1000 x)**2, never seen beside the first; the formula says that it is zero."""
    model = lambda x, k: torch.tanh(x * k).sum()  # noqa: E731
    hand = lambda x, k: torch.stack([k[0] * (1 - torch.tanh(k[0] * x[0]) ** 2), 0 * x[1]])  # noqa: E731
    at = {"x": np.array([1.25, 1.5]), "k": np.array([1.0, 1000.0])}
    assert said(model, hand, at, wrt="x", domain={"x": (1, 2)}) in ("undecided", "refuted")


def test_a_formula_that_is_wrong_at_the_users_own_point_alone():
    hand = lambda x: torch.where(x == 3, 0 * x + 5, 2 * x)  # noqa: E731
    assert said(lambda x: x**2, hand, {"x": number(3.0)}) == "refuted"


def test_a_slip_that_integers_and_ones_hide():
    """At 0, 1 and 2: x^2 and x^3 agree at two of them, x*x and x+x at two, 2x and x^2 at two."""
    at = {"x": np.array([0.0, 1.0, 2.0])}
    assert said(lambda x: (x**3).sum(), lambda x: 3 * x, at) == "refuted"
    assert said(lambda x: (x**3).sum() / 3, lambda x: x, {"x": np.array([0.0, 1.0])}) == "refuted"
    assert said(lambda x: (x**2).sum(), lambda x: x**2, {"x": np.array([0.0, 2.0])}) == "refuted"


def test_a_term_that_the_data_hide_and_data_that_do_not():
    model = lambda x, y: y * x**2 + x  # noqa: E731
    hand = lambda x, y: torch.ones_like(x)  # noqa: E731
    x = number(1.5)
    hidden = verify(model, hand, at={"x": x, "y": number(0.0)}, wrt="x")
    assert hidden.verdict == "refuted"  # y is data, and it is zero: right for it alone
    assert any("right for your y only" in n for n in hidden.notes)
    assert said(model, hand, {"x": x, "y": number(0.5)}, wrt="x") == "refuted"
    assert said(model, hand, {"x": x}, wrt="x") == "refuted"  # y is drawn


def test_a_gamma_of_one_hides_nothing():
    """Whoever starts batch norm with gamma = 1 is still told, where gamma is an input."""
    model = lambda x, gamma: (gamma * (x - x.mean())).prod()  # noqa: E731
    hand = lambda x, gamma: (x - x.mean()).prod() / (x - x.mean())  # noqa: E731
    at = {"x": np.array([0.5, 2.0, -1.0]), "gamma": np.ones(3)}
    assert said(model, hand, at, wrt=("x",)) == "refuted"


# ------------------------------------------------------------------------------------------------ ties and rounding


def test_the_largest_entry_is_equal_to_itself_at_every_point():
    """x == x.max() is always a tie of one entry with itself: no edge, so a wrong formula can be refuted."""
    at = {"x": np.array([1.0, 3.0, 2.0])}
    assert said(lambda x: x.max(), lambda x: (x == x.max()).to(x.dtype), at) == "proved"
    assert said(lambda x: x.max(), lambda x: (x == x.min()).to(x.dtype), at) == "refuted"


def test_a_comparison_that_a_rounding_error_decided_is_no_evidence():
    """At 1e-9 the floats x and x + x**3 are equal, and the code takes the branch that it should not."""
    model = lambda x: torch.maximum(x, x + x * x * x)  # noqa: E731
    right = lambda x: torch.where(x > 0, 1 + 3 * x * x, torch.ones_like(x))  # noqa: E731
    assert said(model, right, {"x": number(1e-9)}) in OK
    assert said(model, lambda x: torch.ones_like(x), {"x": number(1e-9)}) == "refuted"


def test_guards_know_ties_identities_and_rounding_errors():
    formula = open_formula(lambda x: torch.where(x[0] + 1e-20 > x[1], x[0], x[1]) * (x == x.max()).sum())
    for x, tied, rounded in (([2.0, 1.0], False, False), ([1.0, 1.0], True, True)):
        run = formula.run({"x": np.array(x)})
        guards = branches_on(run.program, ["x"])
        with precision(256):
            values = interpret(run.program, Balls(), {"x": binary(np.array(x))}, [a for g in guards for a in g.args])
            assert bool(ties(run.program, values, ["x"])) == tied
            assert misjudged(run.program, values, ["x"]) == rounded


@pytest.mark.slow
def test_an_edge_that_is_on_a_sampled_point():
    """Seen from x = 0.7 the samples land on the edge x = 1 itself, where the two branches are different functions."""
    model = lambda x: torch.where(x.abs() <= 1, x * x / 2, x.abs() - 0.5)  # noqa: E731
    for x in (0.7, 1 - 1e-11, 1.0):
        assert said(model, lambda x: x.clamp(-1, 1), {"x": number(x)}) in OK
        assert said(model, lambda x: x.clamp(-2, 1), {"x": number(x)}) == "refuted"


@pytest.mark.parametrize("x", [[1.0, 2.0, 2.0], [2.0, 2.0, 2.0]])
def test_equal_entries(x):
    one = lambda x: torch.nn.functional.one_hot(x.argmax(), 3).to(x.dtype)  # noqa: E731
    report = verify(lambda x: x.max(), one, at={"x": np.array(x)})
    assert report.ok
    assert said(lambda x: x.max(), lambda x: torch.ones_like(x), {"x": np.array(x)}) == "refuted"


# ------------------------------------------------------------------------------------------------ code that misleads


def test_detach_in_the_model_cuts_and_the_formula_of_the_whole_is_refuted():
    model = lambda x: x * x.detach()  # noqa: E731
    assert said(model, lambda x: x, {"x": number(3.0)}) == "proved"
    assert said(model, lambda x: 2 * x, {"x": number(3.0)}) == "refuted"


def test_in_place_changes_of_the_inputs_stay_inside():
    def model(x):
        x.mul_(2)
        return (x**2).sum()

    def hand(x):
        x *= 8
        return x

    x = np.array([3.0, 1.0])
    assert said(model, hand, {"x": x}) == "proved"
    assert x.tolist() == [3.0, 1.0]


# ------------------------------------------------------------------------------------------------ odd sizes and values


@pytest.mark.parametrize("x", [1e300, -1e300, 5e-324, -0.0, 1e-310, 2.0**53 + 2])
def test_huge_and_tiny_values(x):
    assert said(lambda x: x**3, lambda x: 3 * x**2, {"x": number(x)}) in OK
    assert said(lambda x: x**3, lambda x: 3 * x**2 + x, {"x": number(x)}) == "refuted"


def test_a_formula_whose_floats_overflow_at_the_point_is_judged_by_its_meaning():
    at = {"x": np.float32(200.0)}
    right = lambda x: torch.exp(x) / (1 + torch.exp(x))  # noqa: E731  # inf/inf in float32
    report = verify(lambda x: torch.nn.functional.softplus(x), right, at=at)
    assert report.ok
    assert report.instabilities


def test_axes_of_one_and_hand_shapes():
    square = lambda x: (x**2).sum()  # noqa: E731
    at = {"x": np.array([[1.0, -2.0, 0.5]])}
    assert said(square, lambda x: (2 * x).reshape(3), at) in OK  # laid out, and said
    assert said(square, lambda x: (2 * x).T, at) in OK
    assert said(lambda x: x.sum(), lambda x: torch.ones(()), at) == "refuted"  # one number for three
    assert said(square, lambda x: 2 * x[:, :2], at) == "refuted"


def test_square_transposed_gradients_are_seen():
    at = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "x": np.array([1.0, -1.0])}
    model = lambda W, x: torch.tanh(W @ x).sum()  # noqa: E731
    right = lambda W, x: torch.outer(1 - torch.tanh(W @ x) ** 2, x)  # noqa: E731
    assert said(model, right, at, wrt="W") == "proved"
    assert said(model, lambda W, x: right(W, x).T, at, wrt="W") == "refuted"


# ------------------------------------------------------------------------------------------------ kinks and edges


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.0, "ok"), (0.5, "ok"), (1.0, "ok"), (1.5, "refuted"), (-0.25, "refuted")]
)
def test_at_a_corner_the_slopes_between_both_sides_are_right(value, verdict):
    def hand(x):
        return torch.where(x == 0, torch.full_like(x, value), (x > 0).to(x.dtype))

    report = verify(lambda x: torch.relu(x), hand, at={"x": number(0.0)})
    assert (report.verdict in OK) == (verdict == "ok")
    if verdict == "ok" and value:
        (kink,) = report.kinks
        assert (kink.low, kink.high, kink.hand) == (0.0, 1.0, value)


def test_a_removable_point_is_no_fault():
    sinc = "sin(x)/x"
    assert said(sinc, "cos(x)/x - sin(x)/x**2", {"x": 1.0}) in OK
    report = verify(lambda x: x**4, lambda x: 4 * x**4 / x, at={"x": number(0.0)})  # 0/0 at the point itself
    assert report.ok
    assert any("0/0" in note for note in report.notes)


def test_a_hand_formula_that_is_undefined_where_the_derivative_is_not():
    hand = lambda x: 2 * torch.exp(torch.log(x))  # noqa: E731
    report = verify(lambda x: x**2, hand)
    assert report.verdict == "refuted"
    assert report.claims["x"].witness.reason == "undefined"
    assert report.claims["x"].witness.point["x"] < 0
    assert said(lambda x: x**2, hand, domain={"x": (0, None)}) in OK
    near = verify(lambda x: x**2, hand, at={"x": 2.0})  # no point below zero is near 2: then the domain is told
    assert near.verdict == "refuted" or any("is positive" in a for a in near.assumptions)


# ------------------------------------------------------------------------------------------------ verdicts


def test_the_square_of_what_cancels_has_a_value():
    """A ball around zero has a square; python-flint has none for it where its midpoint is zero."""
    hand = lambda x: x + (torch.exp(x) - torch.exp(x)) ** 2  # noqa: E731
    assert verify(lambda x: x**2 / 2, hand).verdict == "proved"
    for n in (2, 3, 4):
        steps = lift(f"(exp(x) - exp(x))**{n}")
        with precision(100):
            value = interpret(steps, Balls(), {"x": binary(1.5)})[steps.output]
        assert value.is_finite()
        assert value.contains(0)
        assert value.rad() < 1e-50


def test_the_worst_claim_decides():
    assert worst(["proved", "agrees", "undecided", "refuted"]) == "refuted"
    assert worst(["proved", "agrees", "undecided"]) == "undecided"
    assert worst(["proved", "agrees"]) == "agrees"
    assert worst([]) == "undecided"


def test_a_verdict_carries_its_evidence():
    witness = Witness({"x": np.array(0.5)}, (1, 0), "2", "3", hand_value=2.0, exact_value=3.0)
    assert str(Refuted(witness)) == "refuted: at x = 0.5, entry [1, 0]: 2, not 3"
    assert str(Agrees(64, 180)) == "agrees: equal to 180 bits at 64 points; not proved"
    assert str(Undecided("too thin.", ("balls",))) == "undecided: too thin."
    assert str(Proved((), ("x is positive", "y is not zero"))) == "proved, where x is positive and y is not zero"
    with pytest.raises(TypeError):
        Refuted()  # type: ignore[call-arg]


def test_a_branch_joins_the_model_the_hand_formula_and_the_exact_derivative():
    model, hand = open_formula("x**3"), open_formula({"x": "3*x**2"})
    at = {"x": np.array(2.0)}
    branch = branch_of(model.run(at), hand.run(at), ("x",))
    (pair,) = branch.pairs
    assert isinstance(pair, Pair)
    with precision(64):
        wanted = [branch.model, pair.hand, pair.exact]
        values = interpret(branch.program, Balls(), {"x": binary(at["x"])}, wanted)
        assert float(values[branch.model].mid()) == 8
        assert float(values[pair.hand].mid()) == float(values[pair.exact].mid()) == 12


# ------------------------------------------------------------------------------------------------ numbers made of none


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("model", "hand"),
    [
        (lambda x: x / 3, lambda x: torch.ones_like(x) / 3),
        (lambda x: x * 1.2345678901234567, lambda x: torch.ones_like(x) * 1.2345678901234567),
        (lambda x: x * np.pi, lambda x: torch.full_like(x, np.pi)),
        (lambda x: x * np.exp(2), lambda x: torch.exp(2 * torch.ones_like(x))),
        (lambda x: x * np.sqrt(3), lambda x: torch.sqrt(torch.tensor(3.0, dtype=x.dtype)) * torch.ones_like(x)),
    ],
    ids=["ones / 3", "ones * c", "full of pi", "exp of 2", "sqrt of 3"],
)
def test_a_constant_gradient_made_of_tensors_means_its_number(model, hand, dtype):
    """What is computed from no input is rounded too; it must not be taken for the float it was rounded to."""
    at = {"x": torch.tensor(1.0, dtype=dtype)}
    assert said(model, hand, at) in OK
    assert said(model, lambda x: hand(x) * (1 + 1e-9), at) == "refuted"


@pytest.mark.slow
def test_a_sign_that_is_missing_is_no_sum_that_is_not_one():
    """3 x**2 is the derivative of abs(x)**3 where x is positive, whatever the entries of x add up to."""
    report = verify(lambda x: (abs(x) ** 3).sum(), lambda x: 3 * x**2, at={"x": np.array([0.5, 1.2])})
    assert report.claims["x"].verdict.true_if is None
    (x,) = (report.claims["x"].witness.point["x"],)
    assert min(x) < 0
