"""What the documentation shows is what happens: the README's code, every docstring's examples, the notebooks."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from support.documents import OPEN, run, shown_and_printed
from support.golden import shows

import symgrad
from symgrad.checking.results import Results

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODULES = sorted(m.name for m in pkgutil.walk_packages(symgrad.__path__, "symgrad.") if not m.name.endswith("__main__"))


# ------------------------------------------------------------------------------------------------ the README


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


@pytest.mark.parametrize("name", ["README.md", pytest.param("notebooks/gallery.md", marks=pytest.mark.slow)])
def test_a_documents_code_prints_what_the_document_shows(name):
    told = [*shown_and_printed(ROOT / name, OPEN)]
    assert all(shows(text, printed) for text, printed in told)
    assert len(told) >= 2
    assert all(printed for _, printed in told)


def test_the_readme_is_read_in_one_go_and_the_gallery_has_twelve_answers():
    assert README.count("\n") < 250
    gallery = (ROOT / "notebooks" / "gallery.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\d+)\. ", gallery, re.M) == [str(k) for k in range(1, 13)]


def test_the_first_two_shell_blocks_are_one_command_each():
    first, second, *_ = fenced("sh")
    assert first.count("\n") == second.count("\n") == 1
    for word in ("venv", "torch", "tanh_rnn.py", "sigmoid_net.py"):
        assert word in first
    assert "pytest" in second


def test_the_readmes_chapters_stand_in_their_order():
    chapters = re.findall(r"^## (.*)$", README, re.M)
    assert chapters == [
        "A wrong gradient",
        "Install",
        "What the answers mean",
        "Where to ask",
        "Five ways to ask",
        "How it compares",
        "More",
    ]
    first = README.split("\n\n")[1]
    assert first.count(". ") == 0, "it begins with one sentence"


@pytest.mark.slow
def test_the_readmes_pictures_are_drawn_by_their_script(tmp_path):
    drawn = re.findall(r"!\[[^\]]*\]\((notebooks/pictures/[^)]+)\)", README)
    assert drawn
    run([sys.executable, str(ROOT / "notebooks" / "pictures" / "draw.py"), str(tmp_path)])
    for name in drawn:
        old, new = (
            ElementTree.parse(folder / Path(name).name).getroot() for folder in ((ROOT / name).parent, tmp_path)
        )
        assert [old.get(k) for k in ("width", "height")] == [new.get(k) for k in ("width", "height")]
        assert {e.get("id") for e in old.iter() if "line2d" in e.get("id", "")} == {
            e.get("id") for e in new.iter() if "line2d" in e.get("id", "")
        }


@pytest.mark.parametrize("name", ["README.md", "notebooks/gallery.md"])
def test_every_link_of_a_document_leads_somewhere(name):
    path = ROOT / name
    links = re.findall(r"\]\((?!#)([^)]+)\)", path.read_text(encoding="utf-8").replace("\n", " "))
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []


# ------------------------------------------------------------------------------------------------ the docstrings


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    assert module.__doc__ or not Path(str(module.__file__)).read_text(encoding="utf-8"), "a module says what it is"
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize("name", [n for n in symgrad.__all__ if n != "__version__"])
def test_every_public_name_is_documented(name):
    thing = getattr(symgrad, name)
    assert thing.__doc__
    if callable(thing) and not isinstance(thing, type):
        assert ">>>" in thing.__doc__, "a public function shows an example"


def test_every_field_of_a_report_has_a_line_of_its_own():
    (told,) = ast.parse(inspect.getsource(Results)).body
    pairs = zip(told.body, [*told.body[1:], None])
    lines = {a.target.id: ast.unparse(b) for a, b in pairs if isinstance(a, ast.AnnAssign) and isinstance(b, ast.Expr)}
    assert set(lines) == {field.name for field in dataclasses.fields(symgrad.Report)}
    assert all(text[1].isupper() or text[1].isdigit() for text in lines.values())


# ------------------------------------------------------------------------------------------------ the notebooks


def outputs(notebook: nbformat.NotebookNode) -> list[tuple[str, ...]]:
    """What each cell shows as text, but for cells whose tag says that their last digits vary.

    What a cell prints is one text, in however many pieces it came.
    """
    shown = []
    for cell in notebook.cells:
        if "varies" in cell.metadata.get("tags", ()):
            continue
        printed = "".join(out["text"] for out in cell.get("outputs", ()) if out.output_type == "stream")
        values = (out.get("data", {}).get("text/plain") for out in cell.get("outputs", ()))
        shown.append((printed, *(value for value in values if value is not None)))
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_notebooks_show_what_they_give(path, tmp_path):
    committed = nbformat.read(path, 4)
    assert len(committed.cells) <= 10
    done = tmp_path / path.name
    run([sys.executable, "-m", "support.notebooks", str(path), str(done), OPEN])
    fresh, golden = outputs(nbformat.read(done, 4)), outputs(committed)
    assert [len(cell) for cell in golden] == [len(cell) for cell in fresh]
    for text, was in ((text, was) for cells in zip(golden, fresh) for text, was in zip(*cells)):
        assert shows(text, was)


def test_there_are_notebooks():
    titles = [
        "1-tanh-rnn",
        "2-sigmoid-net",
        "3-find-the-wrong-line",
        "4-for-all-sizes",
        "5-rounding-or-bug",
        "6-guard-your-own-function",
        "7-audit-torch",
    ]
    assert [p.stem for p in NOTEBOOKS] == titles
    linked = {Path(link).stem for link in re.findall(r"\]\((notebooks/[^)]+\.ipynb)\)", README)}
    assert linked == set(titles), "the README leads to each"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_notebooks_show_no_warnings(path):
    shown = [out for cell in nbformat.read(path, 4).cells for out in cell.get("outputs", ())]
    assert shown
    assert [out["text"] for out in shown if out.get("name") == "stderr"] == []
