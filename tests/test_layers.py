"""The house: what may import what, how long a file may be, what names mean.

`ROOMS` is the reading order of `.github/CONTRIBUTING.md`: a module imports only from its own room and from rooms above
it, wherever the import stands; inside a room, no two modules import each other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import symgrad

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 600

ROOMS = [
    ["symgrad"],  # the public names: it imports nothing until one is used
    ["errors", "progress"],
    ["ops"],
    ["program"],
    ["evaluation"],
    ["rounding"],
    ["indices"],
    ["proving"],
    ["lifting"],
    ["problem"],
    ["checking"],
    ["diagnosis"],
    ["stability"],
    ["report"],
    ["verifier"],
    ["api"],
    ["cli", "notebook", "__main__", "pytest_plugin"],
]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "symgrad").rglob("*.py"))
}


def room_of(module: str) -> int:
    """The place of a module's room in the list: the room that names the longest part of it."""
    name = module.removeprefix("symgrad.") if module != "symgrad" else module
    rooms = [(len(r), k) for k, room in enumerate(ROOMS) for r in room if name == r or name.startswith(f"{r}.")]
    assert rooms, f"{module} is in no room: add it to ROOMS and to CONTRIBUTING.md"
    return max(rooms)[1]


def imports(path: Path) -> Iterator[str]:
    """The modules of symgrad that a file imports, at its top or inside a function, except for types alone."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "symgrad":
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in FILES else str(node.module)
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "symgrad")
        waiting.extend(ast.iter_child_nodes(node))


def test_imports_point_up_the_list():
    wrong = []
    for module, path in FILES.items():
        if module == "symgrad":
            continue  # its imports are names in a table, and happen when one is used
        for used in set(imports(path)):
            if room_of(used) > room_of(module):
                wrong.append(f"{module} imports {used}")
    assert wrong == []


def test_no_module_imports_itself_in_a_circle():
    uses = {m: set(imports(p)) - {m} for m, p in FILES.items() if m != "symgrad"}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for used in sorted(uses.get(module, ())):
                visit(used, (*way, module))
            done.add(module)

    for module in uses:
        visit(module, ())


def test_importing_symgrad_imports_nothing_else():
    assert not [name for name in imports(FILES["symgrad"]) if name != "symgrad"]


def test_the_guide_has_the_same_list():
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d+\. (.*?):", guide.split("## The rooms")[1].split("\n## ")[0], re.M)
    assert [re.findall(r"`([\w.]+)`", line) for line in listed] == ROOMS


def test_files_are_short():
    lengths = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in FILES.items()}
    assert {m: n for m, n in lengths.items() if n > LONGEST} == {}


def test_modules_are_nouns_and_functions_are_verbs():
    stems = {m.rsplit(".", 1)[-1] for m in FILES if m != "symgrad"}
    assert stems & set(symgrad.__all__) == set()


def test_no_path_of_this_machine_is_written_down():
    texts = [*FILES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "notebooks").rglob("*.py"), ROOT / "README.md"]
    texts += [*(ROOT / "notebooks").glob("*.ipynb")]
    found = [
        str(p) for p in texts if p != Path(__file__) and re.search(r"/(home|root|work|tmp)/", p.read_text("utf-8"))
    ]
    assert found == []


def test_the_top_level_holds_only_what_it_should():
    known = {"pyproject.toml", "symgrad", "tests", "notebooks", "README.md", "LICENSE", "CHANGELOG.md"}
    left = {"build", "dist", "symgrad.egg-info"}
    assert {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} <= known | left
