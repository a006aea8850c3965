"""The command line, as a person meets it: exit codes, messages, what is printed where."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from symgrad.cli import main

POSTS = Path(__file__).resolve().parent / "posts"

RIGHT = """
    import torch

    def model(w, x):
        return torch.tanh(w * x)

    def hand(w, x):
        return {"w": x * (1 - torch.tanh(w * x) ** 2)}

    at = {"w": 0.5, "x": 2.0}
"""
WRONG = RIGHT.replace("torch.tanh(w * x) ** 2", "(w * x) ** 2")


@pytest.fixture
def file(tmp_path):
    def write(text: str):
        path = tmp_path / "derivation.py"
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


# ------------------------------------------------------------------------------------------------ exit codes


def test_right_exits_with_0(file, capsys):
    assert main(["check", file(RIGHT)]) == 0
    assert capsys.readouterr().out.startswith("Right, and proved: your gradient for w is the derivative.\n")


def test_wrong_exits_with_1(file, capsys):
    assert main(["check", file(WRONG)]) == 1
    assert capsys.readouterr().out.startswith("Wrong: your gradient for w is not the derivative.\n")


def test_undecided_exits_with_2(file, capsys):
    # The argument of the sine has some 4,000 digits before the point: no precision that is tried settles its sign.
    hopeless = """
        model = "sin(exp(exp(x)))"
        hand = "2*cos(exp(exp(x)))*exp(exp(x))*exp(x)"
        at = {"x": 9.5}
        domain = {"x": (9, 10)}
    """
    assert main(["check", file(hopeless), "--points", "4"]) == 2
    assert capsys.readouterr().out.startswith("Undecided: your gradient for x could be neither proved nor refuted.\n")


@pytest.mark.parametrize(
    ("name", "code", "first"), [("tanh_rnn", 1, "Wrong: "), ("sigmoid_net", 0, "Right, and proved: ")]
)
def test_a_post_is_checked_as_it_was_pasted(name, code, first, capsys):
    assert main(["check", str(POSTS / f"{name}.txt")]) == code
    assert capsys.readouterr().out.startswith(first)


def test_a_wrong_file_is_answered_with_its_wrong_line(file, capsys):
    named = WRONG.replace('return {"w": ', "dw = ").replace("** 2)}", '** 2)\n        return {"w": dw}')
    assert main(["check", file(named), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["answers"]
    (line,) = found["wrong_lines"]
    assert (line["name"], line["line"], line["proved"]) == ("dw", 8, True)
    assert (line["before"], line["after"]) == ("x * (1 - (w * x) ** 2)", "x * (1 - torch.tanh(w * x) ** 2)")
    space: dict[str, Any] = {"torch": torch}
    exec(found["repaired_source"], space)
    w, x = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.5, 2.0))
    torch.tanh(w * x).backward()
    assert space["hand"](w, x)["w"].item() == pytest.approx(w.grad.item(), rel=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["check", "a.py", "-j", "0"], "argument -j/--jobs: '0' is no number of processes"),
        (["check", "a.py", "--order", "3"], "argument --order: invalid choice: 3"),
        (["check", "a.py", "--wrt", ","], "argument --wrt: no names"),
        (["check", "a.py", "--json", "--full"], "not allowed with argument --json"),
        (["prove", "a.py"], "invalid choice: 'prove'"),
        (["audit", "torch", "celu", "sinc"], "Write --only celu,sinc."),
        (["check", "--fast", "a.py"], "symgrad check knows no --fast. Write --help"),
    ],
)
def test_bad_arguments_exit_with_3_not_with_argparses_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 3
    assert message in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ could not run


def complaint(arguments, capsys) -> str:
    assert main(arguments) == 3
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_file_that_is_not_there(capsys):
    assert complaint(["check", "nowhere.py"], capsys) == "symgrad: there is no file nowhere.py.\n"


def test_a_file_of_another_kind(tmp_path, capsys):
    path = tmp_path / "derivation.csv"
    path.write_text("x")
    err = complaint(["check", str(path)], capsys)
    assert "derivation.csv is neither a Python file nor a post, a notebook or one with formulas.\n" in err
    assert err.endswith("Its name should end in .py, .ipynb, .tex, .md or .txt.\n")


def test_a_text_with_nothing_in_it(tmp_path, capsys):
    path = tmp_path / "derivation.txt"
    path.write_text("Why is this wrong?")
    assert "there is no Python code in this text" in complaint(["check", str(path)], capsys)


def test_nothing_to_check(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complaint(["check"], capsys).startswith("symgrad: no file was named.\nName files or folders, or write paths")


def test_a_name_that_the_file_has_not(file, capsys):
    err = complaint(["check", file(RIGHT), "--hand", "hands"], capsys)
    assert err.endswith("derivation.py has no 'hands'.\nClose names: hand. Name another one with --hand.\n")


def test_a_point_that_is_no_mapping(file, capsys):
    err = complaint(["check", file(RIGHT + "\n    at = [1, 2]\n")], capsys)
    assert "is a list.\nMake it a mapping from input to number, array, tensor or shape.\n" in err


def test_a_symgrad_error_is_a_message_without_a_traceback(file, capsys):
    err = complaint(["check", file(RIGHT), "--wrt", "v"], capsys)
    assert err.startswith("symgrad: wrt names 'v', but the model has only w, x.")
    assert "Traceback" not in err


def test_an_error_in_the_file_shows_its_own_traceback_and_none_of_ours(file, capsys):
    path = file("limit = 0\nprint(1 / limit)\n")
    err = complaint(["check", path], capsys)
    assert f'File "{path}", line 2, in <module>' in err
    assert "ZeroDivisionError: division by zero" in err
    assert "cli.py" not in err


def test_an_error_in_the_users_function_shows_its_own_traceback(file, capsys):
    path = file(RIGHT.replace("return torch.tanh(w * x)", "return torch.tanh(w * x) / [1]"))
    err = complaint(["check", path], capsys)
    assert f'File "{path}", line 5, in model' in err
    assert "TypeError" in err
    assert "cli.py" not in err


def test_a_syntax_error_is_shown_with_its_caret(file, capsys):
    err = complaint(["check", file("model = (1 +\n")], capsys)
    assert "SyntaxError" in err
    assert "^" in err


def test_a_file_that_exits(file, capsys):
    assert "derivation.py exited before anything could be checked." in complaint(
        ["check", file("raise SystemExit(0)")], capsys
    )


def test_a_fault_of_ours_does_not_exit_with_wrong(file, capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a broken invariant")

    monkeypatch.setattr("symgrad.verifier.verify", broken)
    err = complaint(["check", file(RIGHT)], capsys)
    assert "a broken invariant" in err
    assert err.endswith("symgrad: this is a fault in symgrad, not in your file. Please report it.\n")


# ------------------------------------------------------------------------------------------------ options


def test_names_by_options(file, capsys):
    renamed = RIGHT.replace("def model", "def f").replace("def hand", "def df").replace("at =", "here =")
    assert main(["check", file(renamed), "--model", "f", "--hand", "df", "--at", "here"]) == 0
    assert "w = 0.5" not in capsys.readouterr().err


def test_settings_of_the_file_and_options_before_them(file, capsys):
    path = file(RIGHT + '\n    dtype = "float32"\n    seed = 11\n')
    assert main(["check", path]) == 0
    out = capsys.readouterr().out
    assert "it is float32 rounding" in out
    assert "seed 11." in out
    assert main(["check", path, "--dtype", "float64", "--seed", "12"]) == 0
    out = capsys.readouterr().out
    assert "In float64:" in out
    assert "seed 12." in out


def test_constraints_and_domains_are_options(file, capsys):
    text = "import torch\ndef model(z, y): return -(y * torch.log_softmax(z, 0)).sum()\n"
    text += 'def hand(z, y): return {"z": torch.softmax(z, 0) - y}\nat = {"z": (3,), "y": (3,)}\n'
    assert main(["check", file(text)]) == 1
    assert main(["check", file(text), "--assuming", "sum(y) = 1"]) == 0
    text = 'model = "sqrt((x - y)**2)"\nhand = {"x": "1"}\n'
    assert main(["check", file(text)]) == 1
    assert main(["check", file(text), "--domain", "x > y"]) == 0


@pytest.mark.parametrize(("option", "value"), [("--order", "2"), ("--dtype", "float32")])
def test_what_a_whole_script_has_itself_is_no_option(option, value, tmp_path, capsys):
    path = tmp_path / "post.py"
    path.write_text("import torch\nw = torch.tensor(2.0, requires_grad=True)\n(w**2).backward()\ndw = 2 * 2.0\n")
    assert main(["check", str(path), option, value]) == 3
    assert f"{option} was given, and post.py is a whole script, which has its own." in capsys.readouterr().err


def test_json_is_alone_on_stdout(file, capsys):
    assert main(["check", file(WRONG + '\n    print("hello")\n'), "--json"]) == 1
    out, err = capsys.readouterr()
    (told,) = json.loads(out)["answers"]
    assert told["verdict"] == "refuted"
    assert [(c["name"], c["verdict"]) for c in told["claims"]] == [("w", "refuted")]
    assert err == "hello\n"


def test_full_tells_the_versions(file, capsys):
    assert main(["check", file(RIGHT), "--full"]) == 0
    assert "sympy" in capsys.readouterr().out


def test_the_table_stands_below_the_answer(file, capsys):
    assert main(["check", file(WRONG), "--table"]) == 1
    answer, table = capsys.readouterr().out.split("\n\nSymbolic is the exact derivative, run as torch code.")
    assert answer.startswith("Wrong: ")
    assert "At your own point:\n        symbolic" in table


def test_a_file_may_import_its_neighbours(file, tmp_path):
    (tmp_path / "shared_layers.py").write_text("SCALE = 2\n")
    text = RIGHT.replace("    import torch\n", "    import torch\n    from shared_layers import SCALE\n")
    assert main(["check", file(text)]) == 0
    assert str(tmp_path) not in sys.path


# ------------------------------------------------------------------------------------------------ files

WITH_A_LINE = WRONG.replace('return {"w": ', "dw = ").replace("** 2)}", '** 2)\n        return {"w": dw}')


def test_html_writes_a_page(file, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main(["check", file(WRONG), "--html", str(page)]) == 1
    assert capsys.readouterr().err == f"symgrad: wrote {page}.\n"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert f"<title>{file(WRONG)}: Wrong: your gradient for w is not the derivative.</title>" in text


def test_html_never_replaces_the_file_that_is_checked(file, capsys):
    path = file(WRONG)
    before = Path(path).read_text()
    assert main(["check", path, "--html", path]) == 3
    out, err = capsys.readouterr()
    assert out.startswith("Wrong: "), "the report is not lost"
    assert "is the file that is checked" in err
    assert Path(path).read_text() == before


def test_html_makes_the_folders_of_its_page(file, tmp_path, capsys):
    page = tmp_path / "new" / "folder" / "page.html"
    assert main(["check", file(RIGHT), "--html", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_html_that_cannot_be_written_does_not_lose_the_report(file, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file, and no folder")
    assert main(["check", file(RIGHT), "--html", str(tmp_path / "taken" / "page.html")]) == 3
    out, err = capsys.readouterr()
    assert out.startswith("Right, and proved: ")
    assert err.startswith("symgrad: the page could not be written: ")


def test_repair_writes_a_right_file_beside_the_wrong_one(file, tmp_path, capsys):
    path = file(WITH_A_LINE)
    before = Path(path).read_text()
    assert main(["check", path, "--repair"]) == 1, "the exit code is about the file that was asked about"
    made = tmp_path / "derivation_repaired.py"
    out, err = capsys.readouterr()
    assert f"symgrad: wrote {made}, which was checked too: proved.\n" in err
    assert (
        "@@ -8 +8 @@" in out or "\n-    dw = x * (1 - (w * x) ** 2)\n+    dw = x * (1 - torch.tanh(w * x) ** 2)" in out
    )
    assert Path(path).read_text() == before
    space: dict[str, Any] = {}
    exec(made.read_text(), space)
    w, x = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.5, 2.0))
    torch.tanh(w * x).backward()
    assert space["hand"](w, x)["w"].item() == pytest.approx(w.grad.item(), rel=1e-13)
    assert main(["check", str(made)]) == 0


def test_repair_makes_no_second_copy(file, tmp_path, capsys):
    path = file(WITH_A_LINE)
    assert main(["check", path, "--repair"]) == 1
    capsys.readouterr()
    assert main(["check", path, "--repair"]) == 1
    assert (
        "derivation_repaired.py is there already, and says this. It was checked too: proved." in capsys.readouterr().err
    )
    assert sorted(p.name for p in tmp_path.glob("*.py")) == ["derivation.py", "derivation_repaired.py"]


def test_repair_writes_over_no_file(file, tmp_path, capsys):
    taken = tmp_path / "derivation_repaired.py"
    taken.write_text("mine\n")
    assert main(["check", file(WITH_A_LINE), "--repair"]) == 3
    out, err = capsys.readouterr()
    assert "+    dw = x * (1 - torch.tanh(w * x) ** 2)" in out, "the patch is shown"
    assert "derivation_repaired.py is there already, and says something else.\nMove it away.\n" in err
    assert taken.read_text() == "mine\n"


def test_repair_of_a_formula_in_text(file, tmp_path):
    path = file('model = "tanh(w*x)"\nhand = {"w": "x*(1 - (w*x)**2)"}\n')
    assert main(["check", path, "--repair"]) == 1
    assert main(["check", str(tmp_path / "derivation_repaired.py")]) == 0


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        (RIGHT, 0, "there is nothing to repair."),
        ('model = "x**3"\nhand = 5.0\nat = {"x": 2.0}\n', 1, "no repair was found that could be written"),
    ],
)
def test_where_there_is_no_repair_no_file_is_written(text, code, told, file, tmp_path, capsys):
    assert main(["check", file(text), "--repair"]) == code
    assert told in capsys.readouterr().err
    assert [p.name for p in tmp_path.glob("*.py")] == ["derivation.py"]


# ------------------------------------------------------------------------------------------------ many files

MANY = {
    "right.py": RIGHT,
    "wrong.py": WITH_A_LINE,
    "refused.py": "model = '2*(x'\nhand = '2*x'\n",
    "none.py": "import os\n",
    "notes.md": "$$f(x) = x^3$$ $$f'(x) = 3x^2$$\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in MANY.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


@pytest.mark.slow
def test_a_folder_is_answered_with_a_table(folder, capsys):
    assert main(["check", ".", "-j", "2"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "--- wrong.py -----" in out
    assert re.sub(r" \d+\.\d$", " T", out[out.index("file ") :], flags=re.M) == textwrap.dedent(
        """\
        file        claim  verdict        seconds
        ----------  -----  -------------  -------
        notes.md    x      right, proved  T
        refused.py         could not run  T
        right.py    w      right, proved  T
        wrong.py    w      wrong          T

        Not run:
            none.py: nothing in it is meant as a gradient

        4 questions: 2 right, 1 wrong, 1 could not run; 1 file not run.
        """
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json", "sarif", "junit", "github"])
def test_each_format_is_alone_on_stdout(name, folder, capsys):
    assert main(["check", ".", "--format", name, "--html", "pages", "--repair"]) == 1
    out, err = capsys.readouterr()
    match name:
        case "json":
            assert [a["verdict"] for a in json.loads(out)["answers"]] == ["proved", "failed", "proved", "refuted"]
        case "sarif":
            assert [r["ruleId"] for r in json.loads(out)["runs"][0]["results"]] == ["could-not-run", "wrong-gradient"]
        case "junit":
            assert ElementTree.fromstring(out).attrib["failures"] == "1"
        case "github":
            assert out.count("\n::") == 2
    assert "wrote pages/index.html and the 4 pages that it lists." in err
    assert "+    dw = x * (1 - torch.tanh(w * x) ** 2)" in err


def test_files_that_hold_no_question_can_be_passed_over(folder, capsys):
    hook = (Path(__file__).resolve().parent.parent / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    (entry,) = re.findall(r"entry: symgrad (.*)", hook)
    assert main([*entry.split(), "none.py"]) == 0
    assert capsys.readouterr().out.endswith("0 questions; 1 file not run.\n")
    assert main(["check", "none.py"]) == 3


def test_the_input_is_a_file_too(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(MANY["notes.md"]))
    assert main(["check", "-"]) == 0
    assert capsys.readouterr().out.startswith("Right, and proved: ")


def test_the_projects_settings_are_read(folder, capsys):
    (folder / "pyproject.toml").write_text('[tool.symgrad]\npaths = ["right.py"]\nseed = 17\n')
    assert main(["check"]) == 0
    assert "seed 17." in capsys.readouterr().out


def test_a_certificate_is_of_one_question(folder, capsys):
    assert "--certificate writes the proofs of one question, and here are 2." in complaint(
        ["check", "right.py", "wrong.py", "--certificate", "proof.json"], capsys
    )


# ------------------------------------------------------------------------------------------------ colours


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)

    def show(*arguments: str, on: io.StringIO | None = None) -> str:
        with contextlib.redirect_stdout(Terminal() if on is None else on) as out:
            main(["check", *arguments])
        return out.getvalue()

    return show


def test_a_terminal_has_colours_and_the_same_words(file, shown):
    path = file(WITH_A_LINE)
    coloured, plain = shown(path), shown(path, on=io.StringIO())
    assert coloured.startswith("\x1b[1;31mWrong: ")
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[\d;]*m|\x1b\]8;.*?\x1b\\", "", coloured) == plain


def test_a_terminal_links_each_place_to_its_line_in_the_file(file, shown):
    path = file(WITH_A_LINE)
    links = re.findall(r"\x1b\]8;[^;]*;(.+?)\x1b\\(.*?)\x1b", shown(path))
    assert links
    assert {to for to, _ in links} == {f"{Path(path).as_uri()}#{told.split(':')[1]}" for _, told in links}


def test_a_wide_terminal_is_used_and_a_narrow_one_is_kept_to(file, shown, monkeypatch):
    def longest(columns: int) -> int:
        monkeypatch.setenv("COLUMNS", str(columns))
        told = re.sub(r"\x1b\[[\d;]*m|\x1b\]8;.*?\x1b\\", "", shown(file(RIGHT)))
        return max(map(len, told.splitlines()))

    assert longest(60) <= 60 < longest(100) <= 100


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours_where_they_are_not_wanted(name, value, file, shown, monkeypatch):
    monkeypatch.setenv(name, value)
    assert "\x1b" not in shown(file(RIGHT))


# ------------------------------------------------------------------------------------------------ as a program

LOADED = "import sys; print(sorted({'torch', 'sympy', 'numpy'} & set(sys.modules)))"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["check"], ["check", "nowhere.py"], ["--version"]]
)
def test_arguments_are_parsed_before_anything_heavy_is_imported(arguments):
    code = f"from symgrad.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n{LOADED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_what_renders_is_imported_when_something_is_rendered():
    code = """
import sys
from symgrad import verify
renderers = {"rich", "jinja2", "pygments", "matplotlib"}
report = verify("x**3", "3*x", at={"x": 2.0})
print(sorted(renderers & set(sys.modules)))
str(report)
print(sorted(renderers & set(sys.modules)))
report.to_html()
print(sorted(renderers & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['rich']", "['jinja2', 'pygments', 'rich']"]


@pytest.mark.slow
def test_python_m_symgrad(file):
    done = subprocess.run([sys.executable, "-m", "symgrad", "check", file(WRONG)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.startswith("Wrong: ")
    assert done.stderr == ""


def test_a_reader_that_goes_away_is_no_fault():
    """As in ``symgrad check post.py | head -3``."""
    command = [sys.executable, "-m", "symgrad", "explain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 3


# ------------------------------------------------------------------------------------------------ certificates


def test_a_certificate_is_written_and_checked_again(file, tmp_path, capsys):
    path = tmp_path / "proof.json"
    assert main(["check", file(RIGHT), "--certificate", str(path)]) == 0
    capsys.readouterr()
    assert main(["check-certificate", str(path)]) == 0
    assert capsys.readouterr().out.startswith("w: holds, ")
    data = json.loads(path.read_text())
    branch = data["claims"][0]["branches"][0]
    branch["hand"] = branch["model"]
    path.write_text(json.dumps(data))
    assert main(["check-certificate", str(path)]) == 1
    assert "w: rejected: " in capsys.readouterr().out


def test_a_certificate_of_what_is_wrong_is_not_whole(file, tmp_path, capsys):
    path = tmp_path / "proof.json"
    assert main(["check", file(WRONG), "--certificate", str(path)]) == 1
    assert main(["check-certificate", str(path)]) == 2
    assert "not checked: it is not proved, but refuted" in capsys.readouterr().out


def test_a_certificate_that_is_not_there_could_not_be_checked(file, tmp_path, capsys):
    assert main(["check-certificate", str(tmp_path / "none.json")]) == 3
    assert "could not be read" in capsys.readouterr().err
    path = tmp_path / "proof.json"
    path.write_text("")
    assert main(["check", file(RIGHT), "--certificate", str(path)]) == 3
    assert "is there already, and says something else" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_fault(monkeypatch, capfd):
    """``symgrad explain | head -1``"""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["explain"]) == 3
    assert capfd.readouterr().err == ""


def test_ctrl_c_before_anything_is_known(file, monkeypatch, capsys):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("symgrad.cli.import_pipeline", pressed)
    assert main(["check", file(RIGHT)]) == 130
    assert capsys.readouterr().err == "symgrad: ended by Ctrl-C before anything was known.\n"
