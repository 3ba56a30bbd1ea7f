"""The house keeps its shape: imports go down only, the pure rooms stay light, one room talks, one page shows it all."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "blasphemer"

# From the ground up. A room may import rooms of lower floors only.
FLOORS = (
    {"errors", "records", "language"},
    {"config", "console", "tokens", "languages"},
    {"command_line", "workspace"},
    {"job"},
    {"dataset_processor", "language_model", "quiet"},
    {"exam", "abliteration"},
    {"study"},
    {"memory", "lora_trainer", "report"},
    {"export"},
    {"finetuner"},
    {"menus"},
    {"main"},
    {"__main__"},
)
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")}
PURE = {name for floor in FLOORS[:4] for name in floor} | {"dataset_processor", "exam", "study", "report", "main"}
MOST_LINES_OF_THE_PAGE = 45
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "accelerate",
    "safetensors",
    "heretic",
    "optuna",
    "lm_eval",
}

TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def room(path: Path) -> str:
    """The room that a file belongs to: its own name, or that of its folder."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Dotted names of all that is imported at run time, wherever it stands."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            names |= imported(node)
    return names


def rooms_imported(path: Path) -> set[str]:
    """The rooms whose code a file imports; the doors of a package are its own."""
    own: set[str] = set()
    for name in imported(TREES[path]):
        first, *rest = name.split(".")
        if first == "blasphemer" and rest:
            own.add(rest[0])
    return {name for name in own if (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()}


def imports() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in TREES:
        if room(path) != "__init__":
            found.setdefault(room(path), set()).update(rooms_imported(path) - {room(path)})
    return found


def test_every_room_has_its_floor() -> None:
    assert set(imports()) == set().union(*FLOORS)


def test_imports_go_down_only() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    up = {(name, other) for name, others in imports().items() for other in others if floor[other] >= floor[name]}
    assert up == set()


def test_nobody_imports_past_a_face() -> None:
    """`from blasphemer.exam import sit`, and never `from blasphemer.exam.sitting import sit`, in another package."""
    past = {
        (path.relative_to(ROOT).as_posix(), name)
        for path, tree in TREES.items()
        for name in imported(tree)
        if len(parts := name.split(".")) > 3
        and parts[0] == "blasphemer"
        and parts[1] in PACKAGES
        and parts[1] != room(path)
    }
    assert past == set()


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_face_says_what_comes_in_and_what_goes_out(package: str) -> None:
    face = TREES[ROOT / package / "__init__.py"]
    assert "->" in str(ast.get_docstring(face)) or package == "menus"
    (exported,) = [node for node in face.body if isinstance(node, ast.Assign)]
    assert ast.unparse(exported.targets[0]) == "__all__"


def test_imports_make_no_circle() -> None:
    order = list(TopologicalSorter(imports()).static_order())  # raises CycleError
    assert order.index("errors") < order.index("finetuner")


def test_pure_rooms_know_no_torch() -> None:
    at_fault = {
        (room(path), name)
        for path, tree in TREES.items()
        if (room(path) in PURE or path.name == "start_menu.py") and path.name != "hub.py"  # loaded for datasets only
        for name in imported(tree)
        if name.split(".")[0] in HEAVY
    }
    assert at_fault == set()


def test_only_the_console_writes_to_the_terminal() -> None:
    at_fault = set()
    for path, tree in TREES.items():
        if path.name == "console.py":
            continue
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        writes = {call for call in calls if call in {"print", "input"} or call.startswith(("sys.stdout", "sys.stderr"))}
        libraries = {name.split(".")[0] for name in imported(tree)} & {"rich", "questionary", "tqdm"}
        at_fault |= {(path.name, name) for name in writes | libraries}
    assert at_fault == set()


def test_the_whole_job_is_a_page_of_doors() -> None:
    """Every call of a stage goes to a package's door; nothing is worked out on the page."""
    (page,) = [
        node
        for node in ast.walk(TREES[ROOT / "finetuner.py"])
        if isinstance(node, ast.FunctionDef) and node.name == "fine_tune"
    ]
    assert page.end_lineno is not None
    assert page.end_lineno - page.lineno < MOST_LINES_OF_THE_PAGE
    called = {ast.unparse(node.func) for node in ast.walk(page) if isinstance(node, ast.Call)}
    assert {call for call in called if call.split(".")[0] not in PACKAGES} == {
        "_opened", "job.confirmed", "job.model.as_given",
    }  # fmt: skip


@pytest.mark.parametrize("path", TREES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_happens_when_a_room_is_imported(path: Path) -> None:
    """Settings, patterns and tables may be made; nothing may be called for its effect."""
    at_fault = [
        ast.unparse(node)
        for node in TREES[path].body
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    ]
    assert at_fault == (["sys.exit(main())"] if path.name == "__main__.py" else [])
