"""The package as it is handed out: what it needs, what is in it, and that it can be built from its own source."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import symgrad

ROOT = Path(__file__).resolve().parent.parent
NAMED = ["pyproject.toml", "README.md", "LICENSE", "symgrad"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is built from it."""
    pytest.importorskip("build")
    source = tmp_path_factory.mktemp("source")
    for name in NAMED:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(source / "dist"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (wheel,) = (source / "dist").glob("*.whl")
    (sdist,) = (source / "dist").glob("*.tar.gz")
    return wheel, sdist


def test_it_needs_seven_packages_and_where_nothing_forks_one_more(built):
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(wheel.read(name).decode())
    lines = [line for line in told.get_all("Requires-Dist", []) if "extra ==" not in line]
    needed = [line for line in lines if ";" not in line]
    assert set(lines) - set(needed) == {'cloudpickle>=3; sys_platform != "linux"'}
    named = sorted(re.match(r"[\w-]+", line)[0] for line in needed)
    assert named == ["jinja2", "numpy", "pygments", "python-flint", "rich", "sympy", "torch"]
    assert set(told.get_all("Provides-Extra", [])) == {"docs", "hypothesis", "notebook", "plot", "progress", "test"}
    assert told["Version"] == symgrad.__version__
    assert told["License-Expression"] == "MIT"
    assert told["Description-Content-Type"] == "text/markdown"


def bounds_of(declared: list[str]) -> dict[str, str]:
    """The least version of each package that is declared with one."""
    return {name: least for line in declared for name, least in re.findall(r"^([\w-]+)>=([\d.]+)$", line)}


def test_the_oldest_versions_that_are_declared_are_those_that_tests_run_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "tests" / "lower.txt").read_text(encoding="utf-8"), re.M))
    needed = bounds_of(project["dependencies"])
    assert len(needed) == 7
    declared = needed | bounds_of([line for extra in extras.values() for line in extra])
    of_pins = {name: declared[name] for name in pins if name in declared}
    assert needed.keys() <= of_pins.keys()
    assert {
        n: pins[n] for n, v in of_pins.items() if [*pins[n].split("."), "0"][: v.count(".") + 1] != v.split(".")
    } == {}


def test_the_wheel_holds_the_package_with_its_types_and_no_tests(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        (entries,) = (wheel.read(n).decode() for n in names if n.endswith("entry_points.txt"))
    inside = {n for n in names if not n.startswith(f"symgrad-{symgrad.__version__}.dist-info/")}
    data = {"symgrad/py.typed", "symgrad/files/check.schema.json", "symgrad/report/report.html.jinja"}
    expected = {str(p.relative_to(ROOT)) for p in (ROOT / "symgrad").rglob("*.py")} | data
    assert inside == expected
    assert "symgrad = symgrad.cli:main" in entries
    assert "symgrad = symgrad.pytest_plugin" in entries


def test_the_sdist_holds_what_the_wheel_is_built_from(built):
    with tarfile.open(built[1]) as sdist:
        names = {n.partition("/")[2] for n in sdist.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "symgrad/py.typed",
        "symgrad/files/check.schema.json",
        "symgrad/verifier.py",
    } <= names


def test_both_pass_a_check(built):
    pytest.importorskip("twine")
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_every_report_tells_the_versions_that_it_was_made_with():
    import flint
    import numpy
    import sympy
    import torch

    told = symgrad.verify("x**2", "2*x").environment
    assert told["symgrad"] == symgrad.__version__
    for name, module in (("sympy", sympy), ("torch", torch), ("numpy", numpy), ("python-flint", flint)):
        assert told[name] == module.__version__
