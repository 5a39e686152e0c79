"""What makes an earlier run count: the code that runs, whatever its git revision, and the settings that the job declares."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from shoal.conf.loading import load
from shoal.runner import fingerprint as fingerprint_module
from shoal.runner.fingerprint import LIBRARY, code_files, code_hash, conf_hash, fingerprint
from shoal.runner.job import find_job

JOB = """from shoal.mine.ranks import rank
def run(lake, conf, as_of):
    from shoal.late import late
"""
FILES = {
    "__init__.py": "",
    "mine/__init__.py": "",
    "mine/ranks.py": "from . import near\nfrom shoal.features import query\n",
    "mine/near.py": "",
    "mine/other.py": "",
    "mine/page.css": "p {}",
    "features/__init__.py": "",
    "features/query.py": "",
    "features/sql/users.sql": "select 1",
    "late.py": "",
    "unused.py": "",
    "lake/__init__.py": "",
    "lake/contracts/gold.a.yaml": "name: gold.a",
    "lake/contracts/gold.b.yaml": "name: gold.b",
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small package beside a job file that git does not know."""
    for name, text in FILES.items():
        path = tmp_path / "shoal" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "job.py").write_text(JOB)
    return tmp_path / "shoal"


def test_the_files_are_those_that_a_job_imports_with_their_data(library: Path) -> None:
    found = [path.relative_to(library).as_posix() for path in code_files(library.parent / "job.py", ["gold.a"], library)]
    unused = {"mine/other.py", "unused.py", "lake/__init__.py", "lake/contracts/gold.b.yaml"}
    assert found == sorted(set(FILES) - unused)


def appended(path: Path) -> None:
    path.write_text(path.read_text() + "\n# changed\n")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("../job.py", True), ("mine/ranks.py", True), ("mine/near.py", True), ("features/query.py", True), ("late.py", True),
        ("mine/__init__.py", True), ("features/sql/users.sql", True), ("mine/page.css", True), ("lake/contracts/gold.a.yaml", True),
        ("unused.py", False), ("mine/other.py", False), ("lake/contracts/gold.b.yaml", False),
    ],
)  # fmt: skip
def test_a_change_counts_where_the_job_uses_the_file(library: Path, name: str, counts: bool) -> None:
    def now() -> str:
        return fingerprint(library.parent / "job.py", ["gold.a"], library)

    before = now()
    assert now() == before
    appended(library / name)
    first = now()
    appended(library / name)
    # Two different changes of one revision differ from each other, too.
    assert (first != before, now() != first) == (counts, counts)


def test_the_place_of_the_checkout_does_not_count(library: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    before = fingerprint(library.parent / "job.py", ["gold.a"], library)
    (library.parent / "job.py").rename(moved / "job.py")
    library.rename(moved / "shoal")
    assert fingerprint(moved / "job.py", ["gold.a"], moved / "shoal") == before


def test_a_job_of_the_project_uses_its_own_rooms_only() -> None:
    job = find_job("rank_trending")
    used = {path.relative_to(LIBRARY).as_posix() for path in code_files(job.file, job.tables_read() + job.tables_written())}
    assert {"recommend/feeds/trending.py", "runner/execute.py", "lake/lake.py", "lake/contracts/gold.trending.yaml"} <= used
    assert not [name for name in used if name.startswith(("cli/", "simulate/", "publish/", "runner/pipeline"))]
    assert len({code_hash(find_job(name)) for name in ("rank_trending", "find_interests", "build_users")}) == 3


def test_a_job_without_a_file_has_a_hash_of_its_code() -> None:
    def named(source: str) -> Callable[..., None]:
        space: dict[str, Callable[..., None]] = {}
        exec(source, space)  # noqa: S102 - as a notebook does
        return space["run"]

    from dataclasses import replace

    made = [replace(find_job("build_users"), run=named(f"def run(lake, conf, as_of): return {n}")) for n in (1, 1, 2)]
    first, same, other = map(code_hash, made)
    assert first == same != other


def test_only_declared_settings_count() -> None:
    def hashes(*sets: str) -> dict[str, str]:
        settings = load(sets=sets)
        jobs = map(find_job, ("build_users", "write_report", "rank_trending", "train_sentiment"))
        return {job.name: conf_hash(settings, job.settings()) for job in jobs}

    def changed(*sets: str) -> set[str]:
        before, after = hashes(), hashes(*sets)
        return {name for name in before if before[name] != after[name]}

    assert changed("report.nodes=200") == {"write_report"}
    assert changed("features.half_life_days=7") == {"build_users"}
    # rank_trending declares train_recommender, whose weights of events it reads.
    assert changed("train_recommender.event_weights.view=0.5") == {"rank_trending"}
    assert changed("seed=7") == {"rank_trending", "train_sentiment"}
    assert changed("lake.retries=1", "spark.driver.memory=3g") == set()


def test_a_jobs_own_arguments_count_but_not_a_hidden_path() -> None:
    plain, hidden = load(), load(sets=["privacy.pseudonymise=true"])
    given = [{"source": "events", "input": path} for path in ("a.csv", "b.csv")]
    assert len({conf_hash(plain, ["ingest"], extras) for extras in given}) == 2
    assert len({conf_hash(hidden, ["ingest"], extras) for extras in given}) == 1


def test_threads_find_the_same_imports() -> None:
    """The jobs of a pipeline are threads; trees built at the same time ended in "AST constructor recursion depth mismatch"."""
    sources = ["import shoal.lake.lake\n" + f"x{n} = [{'(1, ' * 20}{'),' * 20}]\n" * 200 for n in range(8)]

    def switch(phase: str, info: dict[str, int]) -> None:
        # As a finalizer in Python does: it gives way to another thread while a tree is under construction.
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.callbacks.append(switch)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda source: fingerprint_module._imports(source, ()), sources))
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(switch)
    assert set(found) == {("shoal.lake.lake",)}
