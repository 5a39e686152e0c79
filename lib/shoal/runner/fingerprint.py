"""What a run's result depends on besides its input: a hash of the settings that the job declares, a hash of the code that runs.

The git revision stands in ops.runs too, as information: two changed checkouts can share a revision, and an installed package has
none.
"""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import shoal
from shoal import __version__
from shoal.conf.home import home
from shoal.conf.sections import Settings
from shoal.runner.job import Job

LIBRARY = Path(shoal.__file__).resolve().parent
CONTRACTS = "lake/contracts"
# Where a job commits and how it waits for other writers changes no row.
NOT_COUNTED = {"lake", "spark", "pipeline"}
# CPython counts the depth of trees under construction once for all threads ("AST constructor recursion depth mismatch"), and the
# pipeline's jobs are threads.
_PARSING = Lock()


def conf_hash(settings: Settings, sections: Iterable[str], extras: dict[str, Any] | None = None) -> str:
    """SHA-256 of these sections of the settings and of the job's own arguments.

    For a pseudonymised lake without the path of the input: a person's name in it could be found by trial.
    """
    if settings.privacy.pseudonymise:
        extras = {name: value for name, value in (extras or {}).items() if name != "input"}
    counted = sorted(set(sections) - NOT_COUNTED)
    shown = {name: getattr(settings, name).model_dump(mode="json") for name in counted} | {"extras": extras or {}}
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def code_hash(job: Job) -> str:
    """SHA-256 of the code that runs as `job`; found once a process, since what is imported does not change any more.

    Cost: some 100 files are read and parsed, a third of a second for the first job.
    """
    if not job.file.is_file():
        # Defined in a notebook: its compiled form, with all of the library.
        code = job.run.__code__
        return hashlib.sha256(code.co_code + repr(code.co_consts).encode() + _whole_library().encode()).hexdigest()
    return _code_hash(job.file, tuple(job.tables_read() + job.tables_written()))


@cache
def _code_hash(file: Path, tables: tuple[str, ...]) -> str:
    return fingerprint(file, tables)


@cache
def _whole_library() -> str:
    files = sorted(p for p in LIBRARY.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return hashlib.sha256(b"\0".join(p.read_bytes() for p in files)).hexdigest()


def fingerprint(file: Path, tables: Iterable[str], library: Path = LIBRARY) -> str:
    """SHA-256 over a job file, the modules of the library that it imports (transitively, imports inside functions too), the other
    files in those modules' packages (SQL, templates), and the contracts of `tables`. Paths count relative to the library."""
    digest = hashlib.sha256(file.read_bytes())
    for path in code_files(file, tables, library):
        digest.update(f"\0{path.relative_to(library).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def code_files(file: Path, tables: Iterable[str], library: Path = LIBRARY) -> list[Path]:
    """The files of the library that `fingerprint` reads, sorted."""
    found: set[Path] = set()
    waiting = list(_imported(file, None, library))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path, library, library)
    packages = {path.parent for path in found}
    data = {path for package in packages for path in _data_files(package)}
    contracts = {library / CONTRACTS / f"{table}.yaml" for table in tables}
    return sorted(found | {path for path in data | contracts if path.is_file()})


def _imported(path: Path, root: Path | None, library: Path) -> Iterator[Path]:
    """The files of the library that this one imports, the packages on the way included; `root`: where relative imports end."""
    package = () if root is None else (library.name, *path.relative_to(root).with_suffix("").parts[:-1])
    for name in _imports(path.read_text(encoding="utf-8"), package):
        parts = name.split(".")
        if parts[0] != library.name:
            continue
        for end in range(1, len(parts) + 1):
            place = library.joinpath(*parts[1:end])
            yield from (p for p in (place / "__init__.py", place.with_suffix(".py")) if p.is_file())


@lru_cache(maxsize=1024)
def _imports(source: str, package: tuple[str, ...]) -> tuple[str, ...]:
    """Every module that may be imported: of `from a.b import c` both a.b and a.b.c."""
    found: list[str] = []
    with _PARSING:
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(found))


def _data_files(package: Path) -> Iterator[Path]:
    """The files of a package that are not Python, those in its folders without modules included; contracts are named by tables."""
    for path in package.iterdir():
        if path.is_dir():
            if path.name not in ("__pycache__", "contracts", "_home") and not any(path.glob("*.py")):
                yield from (p for p in path.rglob("*") if p.is_file())
        elif path.suffix not in (".py", ".pyc"):
            yield path


@cache
def code_version() -> str:
    """The checkout's git commit, with a + where files were changed or added; without a checkout the package's version."""
    if not (home() / ".git").exists():
        return __version__
    commands = (["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain"])
    try:
        outputs = [subprocess.run(c, cwd=home(), capture_output=True, text=True, check=False) for c in commands]
    except FileNotFoundError:
        return __version__
    if outputs[0].returncode:
        return __version__
    return outputs[0].stdout.strip() + ("+" if outputs[1].stdout.strip() else "")
