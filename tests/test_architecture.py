"""The rules of the layout, checked from the syntax tree: who may import, read, write, open a session or look at the clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIB, JOBS = ROOT / "lib" / "shoal", ROOT / "jobs"
# DataFrames in, DataFrames out. `report` makes an HTML page of them, which is what it is for.
PURE = ("recommend", "mine", "monitor/drift", "monitor/quality", "monitor/alerts", "experiment", "features", "publish/report")
LAKE_ONLY = {"saveAsTable", "insertInto", "forPath", "forName", "writeTo", "createIfNotExists"}
SESSION_MAKERS = {"getOrCreate", "newSession", "spark_session"}
CLOCKS = {"now", "utcnow", "today", "current_timestamp", "current_date"}


def python_files(*folders: Path) -> list[Path]:
    return sorted(p for folder in folders for p in folder.rglob("*.py"))


def pure_files() -> list[Path]:
    return [p for name in PURE for p in python_files(LIB / name)]


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Every call's last name and line: `a.b.c()` is c."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node.lineno


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


# Which room may import which, besides `errors` and `arrays`. A room is a folder of modules; rooms below it are rooms of their own.
ARROWS: dict[str, set[str]] = {
    "conf": set(),
    "spark": {"conf"},
    "lake": {"conf", "spark"},
    "ingest/formats": {"conf", "spark"},
    "ingest/streaming": {"conf", "lake", "privacy", "ingest", "ingest/formats", "spark"},
    "privacy": {"conf", "lake", "models", "ingest/formats", "spark"},
    "ingest": {"conf", "lake", "privacy", "ingest/formats", "spark"},
    "ingest/sources": {"conf", "lake", "ingest", "ingest/formats", "ingest/sources/instagram_export"},
    "ingest/sources/instagram_export": {"conf", "ingest", "ingest/formats"},
    "runner": {"conf", "lake", "spark", "features"},
    "features": {"conf", "lake"},
    "mine/graph": {"conf", "spark"},
    "mine/text": set(),
    # How good a classifier is, and where its folder may lie, are the same for words and for pictures.
    "mine/image": {"ingest/formats", "mine/text"},
    "mine/anomalies": set(),
    "mine/duplicates": set(),
    "mine/probability": {"spark"},
    # Words of posts are matched without Spark as those of texts are.
    "mine/posts": {"mine/probability", "mine/text", "spark"},
    "mine/people": {"mine/probability", "spark"},
    "experiment": {"conf"},
    "recommend/ranking": {"conf", "features", "experiment", "spark"},
    "recommend/protocol": {"recommend/ranking"},
    "recommend/candidates": {"conf", "experiment", "recommend/protocol", "recommend/ranking", "spark"},
    "recommend/evaluation": {"conf", "recommend/candidates", "recommend/protocol", "recommend/ranking"},
    "recommend/feeds": {"conf", "recommend/candidates", "recommend/ranking"},
    "models": {
        "conf", "lake", "runner", "features", "experiment", "mine/people", "mine/posts", "mine/probability", "mine/text",
        "recommend/candidates",
        "recommend/evaluation", "recommend/protocol", "recommend/ranking", "spark",
        # Windows of losses are compared as those of columns are.
        "monitor/drift",
    },
    "monitor/drift": set(),
    # A figure is compared with its past as any other series is.
    "monitor/quality": {"conf", "lake", "mine/anomalies"},
    "monitor/alerts": {"conf", "lake"},
    "publish/report": {"conf", "lake", "monitor/alerts", "recommend/ranking"},
    # A publication carries the champions of text models.
    "publish/stores": {"conf", "lake", "models", "spark"},
    # Reads stores and scores without Spark; of the runner only the clock.
    "publish/api": {"conf", "runner", "publish/stores", "mine/text", "mine/posts", "mine/anomalies", "recommend/ranking"},
    # SQL to programs; the users are those of the server's tokens.
    "publish/sql": {"lake", "publish/api"},
    "simulate": set(),
    "testing": {"spark"},
    "cli": {
        "conf", "spark", "lake", "runner", "privacy", "ingest/formats", "ingest/sources", "mine/anomalies", "mine/graph",
        "mine/image", "mine/people", "mine/posts", "mine/text", "experiment",
        "recommend/candidates", "recommend/evaluation", "recommend/protocol", "models", "simulate", "testing",
        "publish/stores", "publish/api", "publish/report", "publish/sql", "features", "ingest", "monitor/alerts",
    },
}  # fmt: skip
# Rooms that hold rooms only.
HALLS = {"mine", "monitor", "publish", "recommend"}
SHARED = {"shoal", "shoal.errors", "shoal.arrays"}


def room_of(path: Path) -> str:
    """`mine/graph` for lib/shoal/mine/graph/edges.py; `.` for a module beside the rooms."""
    return path.parent.relative_to(LIB).as_posix()


def module_room(name: str) -> str:
    """The room of a module or package by its dotted name."""
    path = LIB.joinpath(*name.split(".")[1:])
    return path.relative_to(LIB).as_posix() if path.is_dir() else room_of(path)


def arrows() -> set[tuple[str, str]]:
    """(room, room that it imports)."""
    found = set()
    for path in python_files(LIB):
        for name in imports(path):
            if name.split(".")[0] == "shoal" and name not in SHARED and module_room(name) != room_of(path):
                found.add((room_of(path), module_room(name)))
    return found


def test_rooms_import_only_what_their_rule_allows() -> None:
    wrong = sorted((a, b) for a, b in arrows() if a != "." and b not in ARROWS.get(a, set()))
    assert wrong == []


def test_every_rule_names_rooms_that_exist_and_every_room_has_a_rule() -> None:
    rooms = {room_of(p) for p in python_files(LIB) if p.name != "__init__.py"} - {"."}
    assert set(ARROWS) == rooms
    assert {b for allowed in ARROWS.values() for b in allowed} <= rooms
    assert {name for name in HALLS if (LIB / name / "__init__.py").is_file()} == HALLS


def test_rooms_form_no_circle() -> None:
    left = {a: set(b) for a, b in ARROWS.items()}
    while free := [a for a, b in left.items() if not b & set(left)]:
        for a in free:
            del left[a]
    assert left == {}


def test_no_module_lies_beside_the_rooms() -> None:
    assert {p.name for p in LIB.glob("*.py")} == {"__init__.py", "__main__.py", "arrays.py", "errors.py"}


def test_lib_never_imports_jobs() -> None:
    wrong = [str(p) for p in python_files(LIB) for name in imports(p) if name.split(".")[0] == "jobs"]
    assert wrong == []


def test_only_the_lake_touches_tables() -> None:
    wrong = [
        where(p, n) for p in python_files(LIB, JOBS) if LIB / "lake" not in p.parents for name, n in calls(p) if name in LAKE_ONLY
    ]
    assert wrong == []


def test_pure_folders_make_no_session_and_know_no_lake() -> None:
    makers = [where(p, n) for p in pure_files() for name, n in calls(p) if name in SESSION_MAKERS]
    known = [
        f"{p.relative_to(ROOT)}: {m}" for p in pure_files() for m in imports(p) if m in ("shoal.lake.lake", "shoal.spark.session")
    ]
    assert makers + known == []


def test_nobody_looks_at_the_clock_but_the_log_of_runs() -> None:
    allowed = {LIB / "runner" / "clock.py"}
    wrong = [where(p, n) for p in python_files(LIB, JOBS) if p not in allowed for name, n in calls(p) if name in CLOCKS]
    assert wrong == []


def test_nothing_is_swallowed() -> None:
    """An `except` that only passes hides the fault; `contextlib.suppress` is the same by another name."""
    wrong = []
    for path in python_files(LIB, JOBS):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass) for s in node.body):
                wrong.append(where(path, node.lineno))
        wrong += [where(path, n) for name, n in calls(path) if name == "suppress"]
    assert wrong == []


@pytest.mark.parametrize("path", python_files(JOBS), ids=lambda p: p.stem)
def test_a_job_has_the_shape_of_a_job(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    names = [t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)]
    assert {"READS", "WRITES"} <= set(names)
    functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    assert {"run", "main"} <= functions
    undocumented = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not ast.get_docstring(n)]
    assert undocumented == []


@pytest.mark.parametrize("path", python_files(LIB), ids=lambda p: str(p.relative_to(LIB)))
def test_public_things_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]
    assert ast.get_docstring(tree) or not tree.body, "module docstring"
    assert [n.name for n in public if not ast.get_docstring(n)] == []


def test_folder_names_say_nothing_vague() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
    assert [str(p) for p in [*LIB.rglob("*"), *JOBS.rglob("*")] if p.stem in vague] == []
