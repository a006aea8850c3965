"""``[tool.symgrad]``: found above the current folder, checked, and never guessed at."""

import pytest

from symgrad.errors import SymgradError
from symgrad.files.settings import Settings, read_settings


@pytest.fixture
def project(tmp_path):
    def write(text: str):
        (tmp_path / "pyproject.toml").write_text(text)
        return tmp_path

    return write


def test_the_settings_of_a_project(project):
    folder = project('[tool.symgrad]\npaths = ["notes"]\nseed = 7\neffort = 2.5\ndtype = "float32"\njobs = 3\n')
    expected = Settings(("notes",), {"seed": 7, "effort": 2.5, "dtype": "float32"}, 3)
    assert read_settings(folder) == expected


def test_from_a_folder_below_the_paths_still_lead_there(project):
    folder = project('[tool.symgrad]\npaths = ["notes"]\n')
    (folder / "deep").mkdir()
    assert read_settings(folder / "deep").paths == (str(folder / "notes"),)


def test_a_project_without_any(project):
    assert read_settings(project("[tool.other]\nseed = 7\n")) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.symgrad]\nsed = 7\n", "has no setting 'sed'.\nClose names: seed."),
        ('[tool.symgrad]\nseed = "7"\n', "is '7'.\nMake it a whole number: 7."),
        ("[tool.symgrad]\nseed = true\n", "is True."),
        ('[tool.symgrad]\npaths = "notes"\n', 'Make it a list of paths: ["derivations"].'),
        ('[tool.symgrad]\nunreached = "maybe"\n', 'Make it "refuse" or "accept".'),
        ("[tool.symgrad\n", "pyproject.toml could not be read"),
    ],
)
def test_a_setting_that_is_none(project, text, message):
    with pytest.raises(SymgradError) as error:
        read_settings(project(text))
    assert message in str(error.value)
