"""Every sentence that a proof can say is explained, and so is every error."""

import re
from pathlib import Path

import pytest

import symgrad
from symgrad import errors
from symgrad.cli import main
from symgrad.errors import BadInput, SymgradError
from symgrad.report.glossary import WORDS, explain
from symgrad.report.proof_text import IN_EXP, RULES

INDICES = Path(symgrad.__file__).parent / "indices"
RULE = re.compile(r'(?:note|Link)\(\s*"([^"]+)"|\("(a [^"]+)", _|^_SAME, _CASES, _CASE = "(.+)", "(.+)", "(.+)"$', re.M)


def test_every_rule_of_a_proof_is_explained():
    of_sums = {
        rule for path in INDICES.glob("*.py") for found in RULE.findall(path.read_text()) for rule in found if rule
    }
    assert len(of_sums) >= 13
    assert explain("induction over n").startswith("induction\n    The two are equal after no turns")
    assert of_sums | {*RULES.values(), IN_EXP} <= set(WORDS)


@pytest.mark.parametrize("name", [n for n in vars(errors) if n[0].isupper() and n not in ("Any", "Iterable")])
def test_every_error_is_explained_by_its_own_docstring(name):
    kind = getattr(errors, name)
    assert issubclass(kind, SymgradError)
    assert "".join(explain(name).split()) == name + "".join((kind.__doc__ or "").split())


def test_the_command_line_explains(capsys):
    assert main(["explain", "Partial", "fractions"]) == 0
    assert capsys.readouterr().out.startswith("partial fractions\n    A fraction is split")
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert {"ulp", "BadFormula", *RULES.values()} <= set(listed)
    assert main(["explain", "sums"]) == 3
    assert "Close names: comparing sums term by term, arithmetic of sums." in capsys.readouterr().err


def test_what_stands_in_no_report_is_said_so():
    with pytest.raises(BadInput, match="is explained nowhere"):
        explain("a proof by intimidation")
