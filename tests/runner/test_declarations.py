"""Every job declares the settings sections that it reads: checked by running, and by walking the code that a job can reach."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from shoal.conf.loading import load
from shoal.conf.sections import FOR_EVERY_JOB, Settings
from shoal.errors import ShoalError
from shoal.ingest.sources.catalogue import SOURCES, STREAMED
from shoal.lake.contract import contract_names
from shoal.models.federated_texts import federated_task
from shoal.models.recommender import MODEL as RECOMMENDER
from shoal.models.text_classifiers import EMOTION, MODERATION, SENTIMENT, model_name
from shoal.runner.fingerprint import LIBRARY
from shoal.runner.job import EVERY_TABLE, MODEL, find_job, job_files

SECTIONS = set(Settings.model_fields)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def definitions(path: Path) -> dict[str, ast.AST]:
    """The functions, classes and constants of a module by name."""
    found: dict[str, ast.AST] = {}
    for node in parsed(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
    return found


@cache
def imported(path: Path) -> dict[str, tuple[Path, str | None]]:
    """What the names of a module's imports mean: a file of the library, and the name in it or None for the whole module."""
    found: dict[str, tuple[Path, str | None]] = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "shoal":
            folder = LIBRARY.joinpath(*(node.module or "").split(".")[1:])
            for alias in node.names:
                module = folder / f"{alias.name}.py"
                file = module if module.is_file() else folder.with_suffix(".py")
                file = file if file.is_file() else folder / "__init__.py"
                found[alias.asname or alias.name] = (file, None if file == module else alias.name)
    return found


def uses(path: Path, node: ast.AST) -> Iterator[tuple[Path, str]]:
    """The definitions that a piece of code names."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            if part.id in definitions(path):
                yield path, part.id
            file, name = imported(path).get(part.id, (path, None))
            if name:
                yield file, name
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            file, name = imported(path).get(part.value.id, (path, None))
            if name is None and file != path:
                yield file, part.attr


def sections_read(node: ast.AST) -> set[str]:
    """The sections that a piece of code reads from a lake's settings: `x.settings.graph`, or by a name that stands for them."""

    def is_settings(value: ast.AST) -> bool:
        return isinstance(value, ast.Attribute) and value.attr == "settings"

    names = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Assign):
            for target in part.targets:
                pairs = zip(target.elts, part.value.elts, strict=False) if (
                    isinstance(target, ast.Tuple) and isinstance(part.value, ast.Tuple)
                ) else [(target, part.value)]  # fmt: skip
                names |= {t.id for t, value in pairs if isinstance(t, ast.Name) and is_settings(value)}
        if isinstance(part, ast.arg) and part.annotation is not None and ast.unparse(part.annotation) == "Settings":
            names.add(part.arg)
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and part.attr in SECTIONS
        and (is_settings(part.value) or (isinstance(part.value, ast.Name) and part.value.id in names))
    }  # fmt: skip


def reached(path: Path) -> dict[tuple[Path, str], set[str]]:
    """Every definition that `run` of a job file can reach, with the sections that it reads; not the runner's and the lake's."""
    found: dict[tuple[Path, str], set[str]] = {}
    waiting = [(path, "run")]
    while waiting:
        file, name = waiting.pop()
        node = definitions(file).get(name)
        apart = {LIBRARY / "lake" / "lake.py", LIBRARY / "runner" / "execute.py", LIBRARY / "runner" / "command.py"}
        if node is None or (file, name) in found or (file in apart and file != path) or LIBRARY / "conf" in file.parents:
            continue
        found[(file, name)] = sections_read(node)
        waiting += uses(file, node)
    return found


@pytest.mark.parametrize("name", job_files())
def test_a_job_reads_the_sections_that_it_declares(name: str) -> None:
    job = find_job(name)
    by_place = {f"{file.name}:{what}": found for (file, what), found in reached(job.file).items() if found}
    read = set().union(*by_place.values())
    assert read - set(job.settings()) - set(FOR_EVERY_JOB) == set(), f"add to SETTINGS of {name}: {by_place}"
    assert set(job.extra_settings) - read == set(), f"{name} declares what it does not read"
    assert set(job.settings()) <= SECTIONS


def test_the_walk_finds_what_functions_of_the_library_read() -> None:
    found = reached(job_files()["erase_people"])
    assert set().union(*found.values()) >= {"privacy", "report"}
    assert any(file == LIBRARY / "privacy" / "erasure.py" for file, _ in found)


def test_the_lake_and_the_registry_read_only_what_every_job_may() -> None:
    rooms = [*(LIBRARY / "lake").glob("*.py"), *(LIBRARY / "models").glob("*.py"), *(LIBRARY / "privacy").glob("*.py")]
    read = {path.name: sections_read(parsed(path)) | self_sections(path) for path in rooms}
    # erase_people declares report, measure_losses evaluate_policies, find_similar texts, jobs that list content.
    assert {name: found - set(FOR_EVERY_JOB) for name, found in read.items() if found - set(FOR_EVERY_JOB)} == {
        "erasure.py": {"report"}, "matured_lists.py": {"evaluate_policies"}, "item_texts.py": {"texts"},
        "recommender.py": {"content"},
    }


def self_sections(path: Path) -> set[str]:
    """Sections read as self.settings.x, which `sections_read` sees as any other."""
    return {n.attr for n in ast.walk(parsed(path)) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self.settings"}


def test_reading_an_undeclared_section_is_an_error_that_says_what_to_do() -> None:
    settings = load()
    declared = settings.only(["graph"])
    assert (declared.graph, declared.lake, declared.privacy) == (settings.graph, settings.lake, settings.privacy)
    with pytest.raises(ShoalError, match="settings section report, which it does not declare; add it to the job's SETTINGS"):
        declared.report.nodes  # noqa: B018


@pytest.mark.parametrize("name", job_files())
def test_what_is_declared_exists(name: str) -> None:
    job = find_job(name)
    texts = (SENTIMENT, EMOTION, MODERATION)
    models = {RECOMMENDER, *map(model_name, (*texts, *map(federated_task, texts), "viral", "engagement", "influencers"))}
    known = {*contract_names(), EVERY_TABLE, *(f"{MODEL}{model}" for model in models)}
    assert {*job.reads, *job.writes} <= known
    assert len(set(job.reads)) == len(job.reads)
    assert len(set(job.writes)) == len(job.writes)


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("ingest_files", [part for parts in SOURCES.values() for part in parts]),
        ("stream_events", [part for parts in STREAMED.values() for part in parts]),
    ],
)
def test_the_ingest_jobs_declare_the_tables_of_all_their_record_types(name: str, types: list) -> None:
    tables = {table for part in types for table in (part.bronze, part.silver, *(also.silver for also in part.also))}
    assert tables - set(find_job(name).writes) == set()
