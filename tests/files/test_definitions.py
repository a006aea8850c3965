"""A file that defines what is asked: what is a setting of it, and at what its functions are asked."""

import ast

import pytest
import torch

from symgrad.errors import SymgradError, UserCodeFailed
from symgrad.files.definitions import load, point_of, settings, sides
from symgrad.files.question_kinds import Names, bound_names


@pytest.fixture
def module(tmp_path):
    def write(text: str, name: str = "derivation.py"):
        path = tmp_path / name
        path.write_text(text)
        return load(path)

    return write


def settings_of(module, text: str):
    return settings(module(text), bound_names(ast.parse(text)))


@pytest.mark.parametrize("library", ["sympy", "torch", "numpy"])
def test_what_came_with_a_star_is_no_setting(library, module):
    assert settings_of(module, f"from {library} import *\nmodel, hand = 'x**2', '2*x'\n") == {}


def test_what_the_file_binds_is_one(module):
    text = "from sympy import *\nimport torch\nassuming = 'x > 0'\ndtype = torch.float32\nseed: int = 3\n"
    assert settings_of(module, text) == {"assuming": "x > 0", "dtype": torch.float32, "seed": 3}


FUNCTIONS = """
import torch

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x**3

class Scale(torch.autograd.Function):
    {own}
    @staticmethod
    def forward(ctx, x, by): return x * by

{at}
"""


@pytest.mark.parametrize(
    ("own", "at", "cube", "scale"),
    [
        ("at = {'x': (3,), 'by': 2.0}", "at = {'x': (2,)}", {"x": (2,)}, {"x": (3,), "by": 2.0}),
        ("", "at = {'x': (2,), 'by': 2.0}", {"x": (2,)}, {"x": (2,), "by": 2.0}),
        ("", "at = {'Cube': {'x': (4,)}, 'Scale': {'x': (5,), 'by': 1.0}}", {"x": (4,)}, {"x": (5,), "by": 1.0}),
    ],
)
def test_a_function_is_asked_at_the_point_beside_it(own, at, cube, scale, module):
    found = module(FUNCTIONS.format(own=own or "pass", at=at))
    assert (point_of(found.Cube, found, Names()), point_of(found.Scale, found, Names())) == (cube, scale)


def test_a_function_without_a_point_says_what_to_write(module):
    found = module(FUNCTIONS.format(own="pass", at=""))
    with pytest.raises(SymgradError, match=r"there is no at for Cube in derivation\.py\.\nWrite at = "):
        point_of(found.Cube, found, Names())


def test_two_files_of_one_name_are_two_modules(tmp_path):
    for folder, text in (("a", "model = 1"), ("b", "model = 2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(f"{text}\nhand = model\n")
    models = [sides(load(tmp_path / folder / "net.py"), Names())[0] for folder in "ab"]
    assert models == [1, 2]


def test_a_file_that_fails_leaves_what_it_raised(module):
    with pytest.raises(UserCodeFailed, match=r"derivation\.py failed before anything could be checked") as error:
        module("1 / 0\n")
    assert isinstance(error.value.__cause__, ZeroDivisionError)
