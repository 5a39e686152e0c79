"""A job: what a file under jobs/ declares, and the one way in which such a file is loaded.

A job file has `run(lake, conf, as_of, *, ...)` and declares at module level

- `READS`     the tables and models that it reads, `WRITES` those that it writes. A model is `models:/<registered name>`; `*` is
              every table. The pipeline's order, `--dry-run` and the test of databricks.yml come from these two;
- `SETTINGS`  the sections of settings that it reads besides the one that `conf` is; absent: none. Only the declared sections can
              be read, and only these count when an earlier run is looked for.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from shoal.conf.home import home
from shoal.conf.loading import section_name
from shoal.conf.sections import Section
from shoal.errors import ShoalError, UsageError
from shoal.lake.contract import contract_names

MODEL = "models:/"
EVERY_TABLE = "*"


@dataclass(frozen=True)
class Job:
    """A job's `run` function and what its file declares."""

    name: str
    stage: str
    doc: str
    run: Callable[..., None]
    model: type[Section]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    extra_settings: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """The file of `run`."""
        return Path(self.run.__code__.co_filename)

    def settings(self) -> tuple[str, ...]:
        """The sections of settings that the job reads: that of `conf` and those of SETTINGS, sorted."""
        own = section_name(self.model)
        return tuple(sorted({*([own] if own else []), *self.extra_settings}))

    def extras(self) -> list[str]:
        """The job's own arguments: the keyword-only parameters of `run`."""
        kinds = inspect.signature(self.run).parameters.values()
        return [p.name for p in kinds if p.kind is inspect.Parameter.KEYWORD_ONLY]

    def flags(self) -> list[str]:
        """Those of `extras` that take no value: their default is False."""
        given = inspect.signature(self.run).parameters
        return [name for name in self.extras() if given[name].default is False]

    def tables_read(self) -> list[str]:
        """The tables of READS, `*` resolved."""
        return tables_of(self.reads)

    def tables_written(self) -> list[str]:
        """The tables of WRITES, `*` resolved."""
        return tables_of(self.writes)

    def depends_on(self, other: Job) -> bool:
        """Whether this job reads a table or a model that `other` writes."""
        if EVERY_TABLE in self.reads:
            return True
        tables = any(not name.startswith(MODEL) for name in self.reads)
        return not set(self.reads).isdisjoint(other.writes) or (EVERY_TABLE in other.writes and tables)


def tables_of(names: Iterable[str]) -> list[str]:
    """The tables among `names` in their order; every table with a contract where `*` is among them."""
    if EVERY_TABLE in names:
        return contract_names()
    return [name for name in names if not name.startswith(MODEL)]


def job_of(run: Callable[..., None], doc: str | None, model: type[Section]) -> Job:
    """The job whose `run` this is: its file gives the name and the stage, the module of `run` the declarations."""
    path, declared = Path(run.__code__.co_filename), run.__globals__
    reads, writes, settings = (tuple(declared.get(name, ())) for name in ("READS", "WRITES", "SETTINGS"))
    return Job(path.stem, path.parent.name, doc or "", run, model, reads, writes, settings)


def job_files() -> dict[str, Path]:
    """The file of every job under jobs/, by the job's name."""
    return {p.stem: p for p in sorted((home() / "jobs").glob("*/*.py")) if not p.stem.startswith("_")}


def find_job(name: str) -> Job:
    """The job of that name under jobs/. Raises UsageError, with the names there are, for another name."""
    module = job_module(name)
    return job_of(module.run, module.__doc__, typing.get_type_hints(module.run)["conf"])


def job_module(name: str) -> ModuleType:
    """The module of the job of that name; loaded once a process. Raises UsageError for an unknown name."""
    found = job_files()
    if name not in found:
        raise UsageError(f"no job {name!r}; there are {', '.join(found)}")
    return _module(found[name])


@cache
def _module(path: Path) -> ModuleType:
    """A job file as a module; registered by name, so that functions of it can be sent to Spark's workers by value."""
    spec = importlib.util.spec_from_file_location(f"shoal_job_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ShoalError(f"{path.name} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for name in ("READS", "WRITES"):
        if not isinstance(getattr(module, name, None), tuple):
            raise ShoalError(f"jobs/{path.parent.name}/{path.name}: {name} is missing; expected a tuple of tables and models")
    # The workers do not have this module under that name: pickle its functions whole.
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return module
