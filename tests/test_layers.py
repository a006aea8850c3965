"""The house: what may import what, how long a file may be, what names mean, where a module's tests are.

`ROOMS` is the reading order of `.github/CONTRIBUTING.md`: a module imports only from its own room and from rooms above
it, wherever the import stands; inside a room, no two modules import each other.
"""

from __future__ import annotations

import ast
import functools
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
    ["report"],
    ["diagnosis"],
    ["stability"],
    ["verifier"],
    ["api"],
    ["cli", "notebook", "__main__", "pytest_plugin"],
]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "symgrad").rglob("*.py"))
}
TESTS = {path.relative_to(ROOT / "tests").as_posix(): path for path in sorted((ROOT / "tests").rglob("*.py"))}
# Tests of the whole, which are tests of no module.
WHOLE = {f"test_{name}.py" for name in ("corpus", "docs", "layers", "package", "posts", "trust")}
WHOLE |= {"benchmarks/test_speed.py"}
# A report writes itself when it is asked to, so that the data need not know their formats.
FORMATS = {module for module in FILES if module.startswith("symgrad.report.")}
WHEN_ASKED = {"symgrad.report.report": FORMATS}


def room_of(module: str) -> int:
    """The place of a module's room in the list: the room that names the longest part of it."""
    name = module.removeprefix("symgrad.") if module != "symgrad" else module
    rooms = [(len(r), k) for k, room in enumerate(ROOMS) for r in room if name == r or name.startswith(f"{r}.")]
    assert rooms, f"{module} is in no room: add it to ROOMS and to CONTRIBUTING.md"
    return max(rooms)[1]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """The modules of symgrad that a file imports, at its top or inside a function, except for types alone."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    waiting: list[ast.AST] = [tree_of(path)]
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
        for used in imports(path) - WHEN_ASKED.get(module, set()):
            if room_of(used) > room_of(module):
                wrong.append(f"{module} imports {used}")
    assert wrong == []


def test_no_module_imports_itself_in_a_circle():
    uses = {m: imports(p) - {m} - WHEN_ASKED.get(m, set()) for m, p in FILES.items() if m != "symgrad"}
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


def test_a_test_and_its_module_are_found_from_each_other():
    """tests/<room>/test_<module>.py, or test_<module>_<aspect>.py; tests/support has tests of its own."""
    lost = []
    for name, path in TESTS.items():
        if path.stem.startswith("test_") and name not in WHOLE:
            room = ROOT / ("tests" if name.startswith("support/") else "symgrad") / Path(name).parent
            modules = [module.stem for module in room.glob("*.py") if module != path]
            if not any(f"{path.stem}_".startswith(f"test_{module}_") for module in modules):
                lost.append(name)
    assert lost == []
    assert set(TESTS) >= WHOLE


WAITING = {"_open_hand", "_problem"}  # follows the pipeline


def private_names(path: Path) -> Iterator[str]:
    """Private names of symgrad that a file imports, reads, or replaces."""
    tree = tree_of(path)
    ours: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "symgrad":
            yield from (name.name for name in node.names if name.name.startswith("_"))
            ours |= {name.asname or name.name for name in node.names}
        if isinstance(node, ast.Import):
            ours |= {(name.asname or name.name).split(".")[0] for name in node.names if name.name.startswith("symgrad")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            base = node.value
            while isinstance(base, ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name) and base.id in ours:
                yield ast.unparse(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            yield from (
                a.value for a in node.args if isinstance(a, ast.Constant) and re.search(r"(^|\.)_[^_]", str(a.value))
            )


def test_no_test_uses_a_private_name():
    found = {name: set(private_names(path)) - WAITING for name, path in TESTS.items()}
    assert {name: names for name, names in found.items() if names} == {}


def test_files_are_short():
    files = {**FILES, **TESTS}
    lengths = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in files.items()}
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
