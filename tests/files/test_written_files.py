"""Pages that are written: one for each answer, none lost, nothing written over."""

import re

import pytest
from support.found_answers import FAILED, RIGHT, WRONG, answer

from symgrad.errors import BadInput
from symgrad.files.written_files import write_new, write_pages


def test_one_answer_is_the_page_itself(tmp_path):
    page = tmp_path / "new" / "page.html"
    assert write_pages([answer("f.py", "proved", html="<p>report</p>")], page) == [page]
    assert page.read_text() == "<p>report</p>"


@pytest.mark.parametrize(
    ("called", "index", "folder"), [("all.html", "all.html", "all"), ("all", "all/index.html", "all")]
)
def test_several_answers_are_a_list_and_a_page_each(called, index, folder, tmp_path):
    same = answer("folder/wrong one.py", "refuted", name="again", html="other")
    pages = write_pages([RIGHT, WRONG, same, WRONG, FAILED], tmp_path / called)
    names = [p.relative_to(tmp_path).as_posix() for p in pages]
    assert names == [
        index,
        f"{folder}/right.py.html",
        f"{folder}/folder-wrong-one.py.html",
        f"{folder}/folder-wrong-one.py-again.html",
        f"{folder}/folder-wrong-one.py-2.html",
        f"{folder}/gone.py.html",
    ]
    links = re.findall(r'href="([^"]+)"', pages[0].read_text())
    assert [(pages[0].parent / link).resolve() for link in links] == [p.resolve() for p in pages[1:]]


def test_a_page_never_replaces_a_file_that_was_checked(tmp_path):
    path = tmp_path / "f.py"
    path.write_text("mine")
    with pytest.raises(BadInput, match="is the file that is checked"):
        write_pages([answer(str(path), "proved")], path)
    assert path.read_text() == "mine"


def test_a_new_file_replaces_none(tmp_path):
    path = tmp_path / "new" / "data.json"
    assert write_new("a", path) == write_new("a", path) == path
    with pytest.raises(BadInput, match="is there already, and says something else"):
        write_new("b", path)
    assert path.read_text() == "a"
