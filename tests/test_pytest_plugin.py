"""The pytest plugin, run in a pytest of its own."""

import re
from pathlib import Path

import symgrad.api.custom_functions  # noqa: F401  (torch cannot be imported twice, and pytester forgets what a run imported)

pytest_plugins = ["pytester"]

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
(GUARD,) = (code for code in re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S) if "(symgrad)" in code)


def test_the_readmes_test_module_guards_a_custom_backward(pytester):
    pytester.makepyfile(GUARD)
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_it_fails_where_the_backward_is_wrong_and_takes_its_seed_from_the_command_line(pytester):
    pytester.makepyfile(GUARD.replace("3 * x**2", "2 * x**2"))
    result = pytester.runpytest("-p", "no:cacheprovider", "--symgrad-seed", "7")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["*Wrong: your gradient for x is not the derivative.*", "*Mismatched entries: 4 / 4*", "*seed=7,*"]
    )
    result.stdout.no_fnmatch_line("*assertions.py*")  # the traceback ends in the user's test
