"""The report in words.  The reports here are made by hand, one of each finding, so that each golden text shows what a
person reads and which facts it was written from; the posts' own reports are in test_posts.py.
"""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symgrad import verify
from symgrad.checking.results import Claim, Instability, OnDemand, Repair, Results, StepFinding
from symgrad.checking.verdicts import Agrees, Kink, Proved, Refuted, Undecided, Witness
from symgrad.evaluation.residues import Certificate
from symgrad.program.builder import Builder
from symgrad.program.program import Binding, Program, Source
from symgrad.proving.proof import Condition, Link, Proof
from symgrad.report.report import Report
from symgrad.report.text import WIDTH, render_text
from symgrad.rounding.accuracy import Rounding, Side

# ------------------------------------------------------------------------------------------------ made by hand


def program(shape: tuple[int, ...] = ()) -> Program:
    """Two steps: the input z and its logarithm, which the user calls log_z."""
    b = Builder()
    z = b.input("z", shape)
    log = b.apply("log", z)
    built = b.build({"exact": log})
    return replace(built, bindings=(Binding("log_z", 0, log),))


def claim(name, verdict, shape=(), rounding=None, **rest) -> Claim:
    return Claim(name, verdict, program(shape), program(shape), measured=OnDemand(lambda: rounding), **rest)


def report(*claims: Claim, point=None, **rest) -> Report:
    point = {c.name: np.array(2.0) for c in claims} if point is None else point
    rest = {"counts": {"points": 3, "outside": 0, "branches": 1}, "given": tuple(point), **rest}
    return Report({c.name: c for c in claims}, 7, {"symgrad": "0.1.0", "torch": "2.13.0"}, point, **rest)


def side(largest: float, median: float = 0.25, bound: float | None = 9.0) -> Side:
    return Side(largest, median, (), bound, (), ())


ROUNDING = Rounding("float32", side(0.6), side(1.7), False)
FIELD = Proof(1, 1, (Link("field", 0, 1), Link("field", 0, 1, 3, True)), (Condition("is positive", 0),), (1, 1))
SAME = Proof(1, 1, (), (), (1, 1))
CERTIFICATE = Certificate(True, 3, 3, (2**61 - 1,), 40.0, 3.2e-52, ("erf",))
AWAY = Witness({"w": np.array(1.0), "y": np.array(-0.5)}, None, "1.3167", "1.39171")

PROVED = Proved((FIELD,), ("z is positive",))
AGREES = Agrees(64, 180, (CERTIFICATE,), "no chain of rules was found within the budget")
REFUTED = Refuted(AWAY)
UNDECIDED = Undecided("the two could not be told apart with 2048 bits.", ("balls", "residues"))


def test_a_report_is_frozen_data_that_travels():
    told = report(claim("w", PROVED), notes=("the formula was read as text",))
    back = pickle.loads(pickle.dumps(told))
    assert isinstance(back, Report)
    assert isinstance(back, Results)
    assert (str(back), back.to_dict()) == (str(told), told.to_dict())
    other = replace(told, claims={"w": claim("w", REFUTED)})
    assert type(other) is Report
    assert (told.ok, other.ok) == (True, False)
    for name in ("seed", "another"):
        with pytest.raises(FrozenInstanceError):
            setattr(told, name, 1)


def test_a_point_may_hold_a_tensor_of_whole_numbers():
    point = {"w": np.array(2.0), "k": torch.tensor([0, 2])}
    refuted = Refuted(replace(AWAY, point={"w": np.array(1.0), "k": torch.tensor([0, 2])}))
    values = {"hand_value": np.array(3.0), "exact_value": np.array(2.0)}
    assert "At your own point (w = 2, k = [0, 2]):" in str(report(claim("w", refuted, **values), point=point))


def test_a_wrong_gradient_is_told_first_with_the_users_own_point_and_then_the_witness():
    values = {"hand_value": np.array(-40.21530288726289), "exact_value": np.array(8.188810110092163)}
    told = report(
        claim("y", PROVED, rounding=ROUNDING),
        claim("w", REFUTED, **values, autograd_value=np.array(8.1888, dtype=np.float32)),
    )
    assert (
        str(told)
        == """\
Wrong: your gradient for w is not the derivative (y is right).

w: wrong
    At your own point (y = 2, w = 2):
        yours     -40.2153
        exact       8.18881
        autograd    8.1888
    At w = 1, y = -0.5:
        yours  1.3167
        exact  1.39171

y: right, proved
    It holds where z is positive.
    In float32: both are within rounding; yours is closer to the truth (at most
    0.6 ulp, autograd 1.7 ulp).
    How it was proved:
        By exact arithmetic of fractions, with tanh and sigmoid written in exp,
        in 2 steps.

Looked at 3 points; seed 7. One ulp is the gap between two neighbouring floats."""
    )


def test_a_witness_at_the_users_own_point_is_told_once():
    here = Refuted(replace(AWAY, point={"w": np.array(2.0)}, at_own_point=True))
    assert (
        str(report(claim("w", here, hand_value=np.array(1.3), exact_value=np.array(1.4))))
        == """\
Wrong: your gradient for w is not the derivative.

w: wrong
    At your own point (w = 2):
        yours  1.3167
        exact  1.39171

Looked at 3 points; seed 7."""
    )


def test_a_point_that_symgrad_drew_is_not_called_the_users():
    told = report(claim("w", REFUTED, hand_value=np.array(1.3), exact_value=np.array(1.4)), given=())
    assert "your own point" not in str(told)


def test_right_lines_beside_a_wrong_one_are_no_green_answer():
    told = report(claim("w", PROVED), steps=(FAULTY,))
    assert str(told).startswith("The result is right, and proved; the derivation is not: line 4 is wrong.")
    assert '<p class="answer refuted">' in told.to_html()


def test_a_proof_without_links_says_that_both_do_the_same():
    assert (
        str(report(claim("w", Proved((SAME,)), note="yours has the shape [1] and was read in the shape []")))
        == """\
Right, and proved: your gradient for w is the derivative.

w: right, proved
    Yours has the shape [1] and was read in the shape [].
    How it was proved:
        By comparing both step by step.

Before the proof, 3 points were looked at; seed 7."""
    )


def test_agreement_states_the_points_and_the_chance_of_error():
    assert (
        str(report(claim("w", AGREES), claim("b", PROVED)))
        == """\
Right: your gradient for w agrees with the derivative at 64 points and modulo
random primes (chance of error < 1e-51); no proof was found (b is proved).

w: right, not proved
    Equal to 180 bits at 64 points, and modulo random primes in 3 trials (chance
    of error < 1e-51). No chain of rules was found within the budget.

b: right, proved
    It holds where z is positive.
    How it was proved:
        By exact arithmetic of fractions, with tanh and sigmoid written in exp,
        in 2 steps.

Looked at 3 points; seed 7."""
    )


def test_agreement_without_a_certificate_claims_no_chance():
    first = " ".join(str(report(claim("w", Agrees(1, 180)))).split("\n\n")[0].split())
    assert first == "Right: your gradient for w agrees with the derivative at your point; no proof was found."
    typed = render_text(report(claim("w", Agrees(5, 180, typed="the constants that were typed with few digits"))))
    assert "up to the digits of the constants that you typed" in " ".join(typed.split())


@pytest.mark.parametrize("bound", [3.2e-52, 1e-9, 0.5, 1e-320, 0.0])
def test_the_chance_of_error_is_rounded_up(bound):
    verdict = replace(AGREES, certificates=(replace(CERTIFICATE, error_bound=bound),))
    text = " ".join(str(report(claim("w", verdict))).split())
    stated = text.split("chance of error < ")[1].split(")")[0]
    assert Fraction(stated) > Fraction(bound)


def test_undecided_says_what_was_tried():
    assert (
        str(report(claim("w", UNDECIDED), claim("b", PROVED)))
        == """\
Undecided: your gradient for w could be neither proved nor refuted (b is right).

w: undecided
    The two could not be told apart with 2048 bits. Tried: balls and residues.

b: right, proved
    It holds where z is positive.
    How it was proved:
        By exact arithmetic of fractions, with tanh and sigmoid written in exp,
        in 2 steps.

Looked at 3 points; seed 7."""
    )


def test_a_wrong_shape():
    shape = Witness({}, None, "shape [3]", "shape [3, 2]", "shape")
    point = {"W": np.zeros((3, 2))}
    assert (
        str(report(claim("W", Refuted(shape), (3, 2)), point=point, counts={}))
        == """\
Wrong: your gradient for W has the wrong shape.

W: wrong
    Yours has shape [3], the derivative has shape [3, 2].

Seed 7."""
    )


def test_a_value_that_only_the_derivative_has():
    lost = Refuted(replace(AWAY, hand="undefined", reason="undefined"))
    assert "There the derivative has a value, and yours has none." in str(report(claim("w", lost)))


def test_a_large_array_is_shown_by_its_shape_and_the_entry():
    point = {"W": np.full((40, 3), 0.1), "x": np.array([2.0, 1.0, 1.0]), "t": np.arange(9)}
    moved = {**point, "W": np.full((40, 3), 2.0)}
    seen = Witness(moved, (7, 1), "4.50141e-7", "9.00281e-7")
    text = str(report(claim("W", Refuted(seen), (40, 3)), point=point))
    assert "At W of shape [40, 3] with W[7, 1] = 2, x = [2, 1, 1], t as given, in entry" in text


@pytest.mark.parametrize(
    ("order", "shape", "words"),
    [
        (1, (), "your gradient for w is the derivative"),
        (1, (3,), "your Jacobian for w is the derivative"),
        (2, (), "your Hessian for w is the second derivative"),
    ],
)
def test_the_derivative_is_called_by_its_name(order, shape, words):
    told = report(claim("w", Proved((SAME,)), shape), point={"w": np.array(1.0)}, order=order)
    assert str(told).startswith(f"Right, and proved: {words}.")


def test_several_are_spoken_of_in_the_plural():
    first = str(report(claim("a", REFUTED), claim("b", REFUTED), claim("c", UNDECIDED), claim("d", PROVED)))
    assert first.startswith("Wrong: your gradients for a and b are not the derivatives (d is right; c is\nundecided).")


# ------------------------------------------------------------------------------------------------ faulty lines

WHERE_IS_IT = Repair("dh", 4, "(1 - z**2) * x", "(1 - h**2) * x", "z is not h", True, "name", ("z", "h"))


def line(name: str, text: str, number: int, verdict: str, claims: str = "d h / d w") -> StepFinding:
    return StepFinding(name, 0, Source(text, "derivation.py", number, (0, len(text))), claims, verdict)


FAULTY = line("dh", "dh = (1 - z**2) * x", 4, "wrong")


def faults(told: Report) -> str:
    """What stands between the first line and the claims."""
    return str(told).split("\n\nw: wrong")[0].partition("\n\n")[2]


def test_a_repaired_line_is_shown_with_the_place_the_reason_and_what_to_write():
    fed = line("dy", "dy = v * dh", 5, "fed wrong values")
    told = report(claim("w", REFUTED), steps=(FAULTY, fed), wrong_steps=("dh",), repairs=(WHERE_IS_IT,))
    assert (
        faults(told)
        == """\
The wrong line
    line 4:
    - dh = (1 - z**2) * x
                ^
    + dh = (1 - h**2) * x
    z is not h.
    With this change the derivation is proved; report.repaired_source holds it."""
    )


def test_a_line_without_a_repair_says_what_it_should_be():
    told = report(claim("w", REFUTED), steps=(FAULTY,), wrong_steps=("dh",))
    assert (
        faults(told)
        == """\
The wrong line
    line 4:  dh = (1 - z**2) * x
    Read as the derivative of h by w, this line is wrong even where all that it
    uses is right; no small edit puts it right."""
    )


def test_a_repair_that_is_not_proved_does_not_say_so():
    told = report(claim("w", REFUTED), steps=(FAULTY,), repairs=(replace(WHERE_IS_IT, proved=False),))
    assert "With this change the derivation agrees" in str(told)
    assert "is proved" not in str(told)


def test_a_right_value_under_another_name_is_no_fault():
    told = report(claim("w", REFUTED), steps=(line("dh", "dh = x", 4, "misnamed", "d z / d w"),))
    assert faults(told).split("\n")[0] == "Misnamed"
    assert "dh (line 4) holds the derivative of z by w" in faults(told)
    assert "wrong line" not in str(told)


def test_the_caret_is_under_the_part_that_the_repair_changes():
    told = report(claim("w", REFUTED), steps=(FAULTY,), repairs=(WHERE_IS_IT,))
    shown = str(told).split("\n")
    (k,) = (k for k, text in enumerate(shown) if text.strip() == "^")
    assert shown[k - 1][shown[k].index("^")] == "z"


def test_kinks_instabilities_and_notes():
    line = Source("dw = s * (1 - s)", "net.py", 12, (9, 16))
    told = report(
        claim("w", Proved((SAME, SAME))),
        kinks=(Kink("w", None, 0.0, 1.0, 0.0, 0.5, "line 4: torch.relu(w)"),),
        instabilities=(Instability("w", "hand", "float32", {}, None, 0.0, 4.1399375e-8, line, ""),),
        notes=("autograd gives no gradient for b: the graph is cut before it",),
        assumptions=("w is positive",),
        counts={"points": 5, "outside": 2, "branches": 2},
    )
    assert (
        str(told)
        == """\
Right, and proved: your gradient for w is the derivative.

w: right, proved
    How it was proved:
        By comparing both step by step, for each of the 2 branches that were
        reached.

At a kink
    w: your point is on a kink (line 4: torch.relu(w)); the slopes beside it are
    0 and 1; there yours gives 0, autograd 0.5; any number between the slopes is
    a convention, not an error.

Right, and still not safe in floats
    w: your formula is right, and at your own point it loses its digits in
    float32: it gives 0, exact is 4.13994e-8.
    line 12:  dw = s * (1 - s)
                       ^^^^^^^

Notes
    - Autograd gives no gradient for b: the graph is cut before it.

Assumed
    - w is positive.

Before the proof, 5 points were looked at, on 2 branches of the code; 2 more
outside the domain; seed 7."""
    )


def test_many_right_derivatives_make_a_table():
    told = report(*(claim(name, PROVED, rounding=ROUNDING) for name in "abcde"))
    assert (
        str(told)
        == """\
Right, and proved: your gradients for a, b, c, d and e are the derivatives.
Nothing is wrong: where yours and autograd differ, it is float32 rounding. Yours
is closer to the truth for all 5 inputs. One ulp is the gap between two
neighbours among these numbers.

input  verdict        yours  autograd
-----  -------------  -----  --------
a      right, proved  0.6    1.7
b      right, proved  0.6    1.7
c      right, proved  0.6    1.7
d      right, proved  0.6    1.7
e      right, proved  0.6    1.7

The last columns are the largest errors, in ulps of float32.

Before the proof, 3 points were looked at; seed 7."""
    )


def test_explain_adds_the_sides_and_the_versions():
    values = {"hand_value": np.array(0.5), "exact_value": np.array(0.5)}
    text = report(claim("w", PROVED, rounding=ROUNDING, **values)).explain()
    assert "autograd         1.7      0.25    9" in text
    assert text.endswith("symgrad 0.1.0, torch 2.13.0.")


def test_in_a_notebook_it_is_html_that_fetches_nothing():
    line = Source("y = x < 1 & <b>", "net.py", 3, (4, 9))
    told = report(
        claim("w", REFUTED),
        claim("y", PROVED, rounding=ROUNDING),
        instabilities=(Instability("y", "hand", "float32", {}, None, 0.0, 4.1e-8, line, ""),),
    )
    bundle = told._repr_mimebundle_()
    assert bundle["text/plain"] == str(told)
    page = bundle["text/html"]
    assert "Wrong: your gradient for w is not the derivative" in page
    assert "y = <mark>x &lt; 1</mark> &amp; &lt;b&gt;" in re.sub("</?span.*?>", "", page)
    assert not any(word in page for word in ("http", "src=", "url(", "<script", "@import"))
    open_tags: list[str] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attrs: open_tags.append(tag)
    reader.handle_endtag = lambda tag: None if open_tags.pop() == tag else pytest.fail(f"{tag} closes another tag")
    reader.feed(page)
    assert open_tags == []


EVERY = [PROVED, AGREES, REFUTED, UNDECIDED]


@given(st.lists(st.sampled_from(EVERY), min_size=1, max_size=7), st.booleans())
def test_every_page_fits_80_columns_and_shows_no_insides(verdicts, full):
    claims = [claim(f"a_long_name_{k}", v, rounding=ROUNDING) for k, v in enumerate(verdicts)]
    text = render_text(report(*claims), full)
    assert all(len(line) <= WIDTH and line == line.rstrip() for line in text.splitlines())
    assert not any(word in text for word in ("array(", "Witness(", "Proof(", "None", "tensor(", "nan", "'"))


def test_a_step_of_a_formula_in_text_is_named_by_the_whole_of_it():
    assert "It holds where s - x is positive." in str(verify("log(s - x)", "-1/(s - x)", wrt="x"))


def test_the_json_of_a_report_has_no_number_that_json_has_not():
    told = report(claim("w", REFUTED, hand_value=np.array(np.nan), exact_value=np.array(np.inf)))
    assert '"hand_value": "nan"' in told.to_json()
    assert told.to_dict()["verdict"] == "refuted"
    with pytest.raises(AssertionError, match="Wrong: your gradient for w"):
        told.assert_ok()


def test_the_whole_report_says_how_the_chance_of_error_comes_about():
    whole = " ".join(report(claim("w", AGREES)).explain().split())
    assert (
        f"In 3 trials, modulo {2**61 - 1}, the inputs and the values of exponentials were drawn at random, and both "
        "gave the same residue. If they differed, the difference would have degree 40 at most, so that a trial would "
        "miss it with a chance of 40 over the prime. Of erf only that equal arguments give equal values was used."
    ) in whole
    signs = replace(CERTIFICATE, trials=25, error_bound=0.5**25 + 1e-60)
    assert "a chance of a half" in " ".join(report(claim("w", Agrees(4, 180, (signs,)))).explain().split())


def test_the_whole_report_says_why_residues_told_nothing():
    nothing = Certificate(None, 0, 7, (), 0.0, 1.0, (), "the budget of work was spent")
    differ = Certificate(False, 1, 1, (), 40.0, 1.0, ("erf",), "residues differ")
    told = report(claim("w", Agrees(4, 180, (nothing, differ))))
    whole = " ".join(told.explain().split())
    assert "On branch 1: Residues modulo random primes told nothing: the budget of work was spent." in whole
    assert "On branch 2: Modulo random primes the two were not shown to be the same, which is no disproof." in whole
    assert "chance of error" not in whole
    assert "Residues" not in str(told)


def test_the_chance_of_error_is_that_of_all_branches_together():
    verdict = replace(AGREES, certificates=(CERTIFICATE, replace(CERTIFICATE, trials=2, error_bound=1e-9)))
    assert verdict.error_bound == CERTIFICATE.error_bound + 1e-9
    text = " ".join(str(report(claim("w", verdict))).split())
    assert "modulo random primes in 2 trials on each of 2 branches (chance of error < 1e-8)" in text
    assert replace(AGREES, certificates=(CERTIFICATE, Certificate(None, 0, 7, (), 0.0, 1.0, ()))).error_bound is None


@pytest.fixture(scope="module")
def wrong():
    return verify("w*tanh(w*x)", {"w": "tanh(w*x) + w*x*(1 - (w*x)**2)"}, at={"w": 2.0, "x": 0.5})


def test_a_notebook_is_given_html_latex_data_and_the_plain_text(wrong):
    bundle = wrong._repr_mimebundle_()
    assert bundle["text/plain"] == str(wrong)
    assert bundle["text/html"] == wrong.to_html()
    assert bundle["text/latex"] == f"$$\n{wrong.to_latex()}\n$$"
    assert bundle["application/vnd.symgrad.report+json"]["verdict"] == "refuted"
    json.dumps(bundle, allow_nan=False)
    assert "application/json" not in bundle, "JupyterLab would show it before the HTML"


def test_text_in_a_notebook_is_a_string_and_displays_nothing(wrong, monkeypatch):
    """In a kernel rich would show what it prints, besides giving it back."""
    shown = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *parts: shown.append(parts))
    assert str(wrong).startswith("Wrong: ")
    assert shown == []


def test_one_slip_on_several_lines_is_explained_once():
    second = replace(FAULTY, name="dh2", source=replace(FAULTY.source, text="dh2 = (1 - z2**2) * x", line=9))
    again = replace(
        WHERE_IS_IT, step="dh2", line=9, before="(1 - z2**2) * x", after="(1 - h2**2) * x", edit=("z2", "h2")
    )
    one, other = replace(WHERE_IS_IT, why="z1 is not h1."), replace(again, why="z2 is not h2.")
    told = faults(report(claim("w", REFUTED), steps=(FAULTY, second), repairs=(one, other)))
    assert "The same slip in lines 4 and 9: z1 is not h1." in told
    assert "z2 is not h2" not in told
    assert [line.strip() for line in told.splitlines() if line.startswith("    + ")] == [
        "+ dh = (1 - h**2) * x",
        "+ dh2 = (1 - h2**2) * x",
    ]


def test_claims_that_say_the_same_share_a_section():
    told = str(report(claim("v", REFUTED), claim("w", REFUTED)))
    assert "v and w: wrong" in told
    assert told.count("exact") == 1
