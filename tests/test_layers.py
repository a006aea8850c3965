"""The house: what may import what, how long a file may be, what names mean, where tests are.

`ROOMS` is the reading order of `.github/CONTRIBUTING.md`: a module imports only from its own room and from rooms above
it, wherever the import stands and be it for types alone; inside a room, no two modules import each other.  Nor do
classes: what a method calls on ``self``, its class or a base of it defines.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    ["lifting", "typing"],
    ["problem"],
    ["checking"],
    ["diagnosis"],
    ["stability"],
    ["report"],
    ["verifier"],
    ["api"],
    ["files"],
    ["audit"],
    ["cli", "notebook", "__main__", "pytest_plugin"],
]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "symgrad").rglob("*.py"))
}
TESTS = {path.relative_to(ROOT / "tests").as_posix(): path for path in sorted((ROOT / "tests").rglob("*.py"))}
# Tests of the whole, which are tests of no module.
WHOLE = {f"test_{name}.py" for name in ("corpus", "docs", "layers", "package", "posts", "questions", "trust")}
WHOLE |= {"benchmarks/test_peers.py", "benchmarks/test_speed.py"}


def room_of(module: str) -> int:
    """The place of a module's room in the list: the room that names the longest part of it."""
    name = module.removeprefix("symgrad.") if module != "symgrad" else module
    rooms = [(len(r), k) for k, room in enumerate(ROOMS) for r in room if name == r or name.startswith(f"{r}.")]
    assert rooms, f"{module} is in no room: add it to ROOMS and to CONTRIBUTING.md"
    return max(rooms)[1]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements of a tree at every depth: an import stands in no expression."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.expr, ast.expr_context, ast.arguments)):
            yield node
            yield from statements(node)


@functools.cache
def imports(path: Path) -> list[tuple[str, str | None]]:
    """The modules of symgrad that a file imports, at its top, inside a function, or for types alone; and the name that
    it imports from each, None for the module itself."""
    return list(imports_of(tree_of(path)))


def imports_of(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    for node in statements(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "symgrad":
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield (whole, None) if whole in FILES else (str(node.module), name.name)
        if isinstance(node, ast.Import):
            yield from ((name.name, None) for name in node.names if name.name.split(".")[0] == "symgrad")


def used_by(module: str) -> set[str]:
    """The modules that a module imports."""
    return {used for used, _ in imports(FILES[module])} - {module}


def test_imports_point_up_the_list():
    wrong = []
    for module in FILES:
        if module == "symgrad":
            continue  # its imports are names in a table, and happen when one is used
        for used in used_by(module):
            if room_of(used) > room_of(module):
                wrong.append(f"{module} imports {used}")
    assert wrong == []


def test_no_module_imports_itself_in_a_circle():
    uses = {module: used_by(module) for module in FILES if module != "symgrad"}
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
    body = tree_of(FILES["symgrad"]).body
    for_types = [n for n in body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    assert len(for_types) == 1
    assert list(imports_of(ast.Module([n for n in body if n not in for_types], []))) == []


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


def test_the_guide_names_functions_that_there_are():
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    journey = guide.split("## The journey of one question")[1].split("\n## ")[0]
    named = re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", journey)
    assert len(named) > 15
    for name in named:
        module = max((m for m in FILES if f"symgrad.{name}".startswith(f"{m}.")), key=len)
        found = importlib.import_module(module)
        for part in f"symgrad.{name}".removeprefix(f"{module}.").split("."):
            assert hasattr(found, part), f"the guide names {name}"
            found = getattr(found, part)


def test_files_are_short():
    files = {**FILES, **TESTS}
    lengths = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in files.items()}
    assert {m: n for m, n in lengths.items() if n > LONGEST} == {}


def test_modules_are_nouns_and_functions_are_verbs():
    stems = {m.rsplit(".", 1)[-1] for m in FILES if m != "symgrad"}
    assert stems & set(symgrad.__all__) == set()


def test_no_two_modules_have_one_name():
    names = Counter(m.rsplit(".", 1)[-1] for m, path in FILES.items() if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_uses(path: Path) -> Iterator[str]:
    """The private names of symgrad's modules that a file imports, or takes from a module that it imports."""
    for module, name in imports(path):
        if is_private(name or ""):
            yield f"{module}.{name}"
    tree = tree_of(path)
    modules = {name: module for name, module in imported_names(tree).items() if module in FILES}
    for node in ast.walk(tree) if modules else ():
        if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) in modules:
            yield f"{modules[ast.unparse(node.value)]}.{node.attr}"


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What the names mean that a file imports."""
    found: dict[str, str] = {}
    for node in statements(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
        if isinstance(node, ast.Import):
            found |= {n.asname or n.name: n.name for n in node.names}
    return found


def test_no_private_name_leaves_its_module():
    readers = dict(FILES.items())
    readers |= TESTS
    assert [f"{reader} uses {name}" for reader, path in readers.items() for name in private_uses(path)] == []


@dataclass(frozen=True)
class Class:
    """A class of symgrad: its bases, what it gives a meaning, and what it calls on ``self``."""

    bases: tuple[str, ...]
    defined: frozenset[str]
    called: frozenset[str]


def is_stub(node: ast.FunctionDef) -> bool:
    """A method that says nothing itself: it is there to be written by a subclass."""
    said = [ast.unparse(s) for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    abstract = any("abstractmethod" in ast.unparse(d) for d in node.decorator_list)
    return abstract or said in ([], ["raise NotImplementedError"])


def class_of(node: ast.ClassDef, names: Mapping[str, str]) -> Class:
    defined: set[str] = set()
    called: set[str] = set()
    for item in ast.walk(node):
        match item:
            case ast.Attribute(ast.Name("self"), name, ast.Store()):
                defined.add(name)
            case ast.Call(ast.Attribute(ast.Name("self"), name)):
                called.add(name)
    for item in node.body:
        match item:
            case ast.FunctionDef(name) if not is_stub(item):
                defined.add(name)
            case ast.AnnAssign(ast.Name(name)) | ast.Assign([ast.Name(name)]):
                defined.add(name)
    bases = (ast.unparse(b.value if isinstance(b, ast.Subscript) else b) for b in node.bases)
    return Class(tuple(names.get(b, b) for b in bases), frozenset(defined), frozenset(called))


def classes_of(trees: Mapping[str, ast.Module]) -> dict[str, Class]:
    """Every class at the top of these modules, by its whole name."""
    found: dict[str, Class] = {}
    for module, tree in trees.items():
        own = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        names = imported_names(tree) | {node.name: f"{module}.{node.name}" for node in own}
        found |= {f"{module}.{node.name}": class_of(node, names) for node in own}
    return found


def calls_down(classes: Mapping[str, Class]) -> list[str]:
    """The calls on ``self`` of what a class and its bases do not define, and a subclass does."""

    def above(name: str) -> Iterator[str]:
        yield name
        for base in classes[name].bases:
            if base in classes:
                yield from above(base)

    defined = {name: frozenset().union(*(classes[c].defined for c in above(name))) for name in classes}
    found = {
        f"{base} calls {method}, which {child} defines"
        for child in classes
        for base in above(child)
        for method in classes[base].called & classes[child].defined - defined[base]
    }
    return sorted(found)


def test_no_class_calls_what_only_a_subclass_defines():
    assert calls_down(classes_of({m: tree_of(p) for m, p in FILES.items()})) == []


BASE = """
class Base:
    def judge(self):
        return self.weigh() + self.count()

    def count(self):
        return 1

"""
CHILD = """
from symgrad.base import Base

class Child(Base):
    def weigh(self):
        return 2
"""
STUBS = {
    "nothing": "",
    "a stub": "    def weigh(self):\n        raise NotImplementedError\n",
    "an abstract method": "    @abstractmethod\n    def weigh(self):\n        return 0\n",
}


@pytest.mark.parametrize("stub", STUBS.values(), ids=STUBS)
def test_a_planted_call_down_is_seen(stub):
    trees = {"symgrad.base": ast.parse(BASE + stub), "symgrad.child": ast.parse(CHILD)}
    found = calls_down(classes_of(trees))
    assert found == ["symgrad.base.Base calls weigh, which symgrad.child.Child defines"]


def test_a_call_of_what_the_class_defines_is_none():
    own = "    def weigh(self):\n        return 0\n"
    trees = {"symgrad.base": ast.parse(BASE + own), "symgrad.child": ast.parse(CHILD)}
    assert calls_down(classes_of(trees)) == []


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
