"""What the words of a command line mean: files, folders, patterns, the input, a name in a file."""

import io
from pathlib import Path

import pytest

from symgrad.errors import BadInput
from symgrad.files.targets import targets_of


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("a.py", "sub/b.md", "sub/c.csv", "sub/deep/d.tex", ".git/e.py", "__pycache__/f.py", "env/g.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(*words: str) -> list[str]:
    return [Path(t.file).as_posix() for t in targets_of(words)]


def test_a_folder_is_its_files_in_order_without_what_tools_keep_there(tree):
    assert files(".") == ["a.py", "sub/b.md", "sub/deep/d.tex"]
    assert all(not t.named for t in targets_of(["."]))


def test_a_pattern_is_what_it_matches(tree):
    assert files("sub/*.md") == ["sub/b.md"]
    assert files("**/*.tex") == ["sub/deep/d.tex"]
    with pytest.raises(BadInput, match=r"no file matches nowhere/\*\.py\."):
        targets_of(["nowhere/*.py"])


def test_each_file_counts_once_however_it_is_called(tree):
    assert files("a.py", ".", str(tree / "a.py")) == ["a.py", "sub/b.md", "sub/deep/d.tex"]


def test_a_name_in_a_file(tree):
    (target,) = targets_of(["a.py::Cube"])
    assert (target.file, target.name, target.named) == ("a.py", "Cube", True)


def test_the_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y = x**2\ndy/dx = 2*x\n"))
    (target,) = targets_of(["-"])
    assert (target.file, target.suffix, target.read()) == ("<stdin>", ".txt", "y = x**2\ndy/dx = 2*x\n")


@pytest.mark.parametrize(
    ("word", "message"),
    [("nowhere.py", "there is no file nowhere.py"), ("sub/c.csv", "is neither a Python file nor a post")],
)
def test_what_cannot_be_read_says_so(tree, word, message):
    (target,) = targets_of([word])
    with pytest.raises(BadInput, match=message):
        target.read()


def test_a_file_that_is_no_text(tree):
    (tree / "a.py").write_bytes(b"\xff\xfe\x00")
    (target,) = targets_of(["a.py"])
    with pytest.raises(BadInput, match=r"a\.py could not be read"):
        target.read()
