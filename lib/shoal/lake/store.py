"""Where tables lie: Delta folders under a local root, below a URI of any Hadoop file system, or a catalog. Finds, opens, saves,
names and drops a table by its contract's name. No rule about what is in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delta.tables import DeltaTable
from pyspark.errors import ParseException
from pyspark.sql import DataFrame, SparkSession

from shoal.conf.addresses import is_uri, local_path
from shoal.errors import UsageError
from shoal.lake.contract import contract
from shoal.spark.hadoop_files import copy_from_local, file_system, hadoop_path, put_file, store_errors

# Open-source Delta's only catalog, whose tables go by two-part names in Delta's own builders.
SESSION_CATALOG = "spark_catalog"


def resolved_root(root: str | Path) -> str:
    """Return the root of a lake as its tables' paths begin: a URI without a trailing slash, or an absolute local path."""
    if is_uri(root):
        return str(root).rstrip("/")
    return str(Path(local_path(root)).resolve())


def refuse_missing_folder(root: str | Path, catalog: str | None, made_by: str = "`shoal ingest` makes a lake") -> None:
    """Raise UsageError for a local lake without a folder. A URI or a catalog is looked at when its first table is."""
    if not catalog and not is_uri(root) and not Path(resolved_root(root)).is_dir():
        raise UsageError(f"--lake {root}: no such folder; {made_by}")


@dataclass(frozen=True)
class Store:
    """The tables under one root, or of one catalog where `catalog` names one, as a session sees them.

    `root`: of `resolved_root`. A table lies in <root>/<layer>/<table>; a catalog's is catalog.layer.table.
    """

    spark: SparkSession
    root: str
    catalog: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether the tables are folders of this machine: locks of files and reads of Delta's log as files work only there."""
        return not self.catalog and not is_uri(self.root)

    def require_root(self) -> None:
        """Raise InputError, one line, where the file system of a URI cannot be reached; nothing for a local root or a catalog.
        Cost: one request; a name node that is down takes Hadoop's ten seconds of retries."""
        if self.catalog or not is_uri(self.root):
            return
        with store_errors(f"--lake {self.root}"):
            self._file_system(self.root).exists(self._hadoop_path(self.root))

    def path(self, name: str) -> str:
        """Return the folder or URI of a table that goes by its path. Raises UsageError for a name without a contract."""
        made = contract(name)
        return f"{self.root}/{made.layer}/{made.table}"

    def log_folder(self, name: str) -> Path:
        """Return the folder of a local table's log."""
        return Path(self._log_path(name))

    def sql_name(self, name: str) -> str:
        """Return the quoted name of a table in SQL: `layer`.`table`, with the catalog where there is one."""
        made = contract(name)
        parts = [self.catalog] if self.catalog and self.catalog != SESSION_CATALOG else []
        return ".".join(f"`{part}`" for part in [*parts, made.layer, made.table])

    def statement_name(self, name: str) -> str:
        """Return how a statement names the table; a path can be named only while `spark.sql.runSQLOnFiles` is true."""
        return self.sql_name(name) if self.catalog else f"delta.`{self.path(name)}`"

    def exists(self, name: str) -> bool:
        """Whether the table has been made; True for a table without rows. No Spark job."""
        if self.catalog:
            return self.spark.catalog.tableExists(self.sql_name(name))
        return DeltaTable.isDeltaTable(self.spark, self.path(name))

    def load(self, name: str, **options: object) -> DataFrame:
        """Return the table as Delta reads it, with reader options such as versionAsOf."""
        reader = self.spark.read.format("delta").options(**options)  # type: ignore[arg-type]
        return reader.table(self.sql_name(name)) if self.catalog else reader.load(self.path(name))

    def save(self, name: str, writer: Any) -> None:
        """Write with a DataFrameWriter to where the table lies."""
        if not self.catalog:
            writer.save(self.path(name))
        elif self.catalog == SESSION_CATALOG:
            # By its place: open-source Delta refuses an overwrite by name ("does not support truncate in batch mode").
            writer.save(self.location(name))
        else:
            writer.saveAsTable(self.sql_name(name))

    def location(self, name: str) -> str:
        """Return where the files of a catalog's table lie. One query of the catalog."""
        return str(self.spark.sql(f"DESCRIBE DETAIL {self.sql_name(name)}").select("location").collect()[0]["location"])

    def delta_table(self, name: str) -> DeltaTable:
        """Return Delta's handle of a table, for MERGE, DELETE, OPTIMIZE and VACUUM."""
        if self.catalog:
            try:
                return DeltaTable.forName(self.spark, self.sql_name(name))
            except ParseException:
                # Open-source Delta takes no name of three parts here.
                return DeltaTable.forPath(self.spark, self.location(name))
        return DeltaTable.forPath(self.spark, self.path(name))

    def drop(self, name: str) -> None:
        """Remove the table with all its files; do nothing where it does not exist."""
        if not self.exists(name):
            return
        if self.catalog:
            self.spark.sql(f"DROP TABLE {self.sql_name(name)}")
            return
        jvm, path = self.spark._jvm, self._hadoop_path(self.path(name))
        if self.is_local:
            shutil.rmtree(self.path(name))
        else:
            self._file_system(self.path(name)).delete(path, True)
        jvm.org.apache.spark.sql.delta.DeltaLog.invalidateCache(self.spark._jsparkSession, path)

    def register(self, names: Sequence[str]) -> list[str]:
        """Give tables that go by their paths their SQL names in this session; returns those that exist. A catalog has them."""
        present = [name for name in names if self.exists(name)]
        if self.catalog:
            return present
        for layer in {contract(name).layer for name in names}:
            where = f"{self.root}/{layer}".replace("'", "\\'")
            self.spark.sql(f"CREATE DATABASE IF NOT EXISTS `{layer}` LOCATION '{where}'")
        for name in present:
            # An external table: dropping the name leaves the files.
            self.spark.sql(f"DROP TABLE IF EXISTS {self.sql_name(name)}")
            self.spark.catalog.createTable(name, path=self.path(name), source="delta")
        return present

    def remove_folder(self, path: str) -> None:
        """Delete the folder at a URI with all that is in it; nothing where it does not exist."""
        self._file_system(path).delete(self._hadoop_path(path), True)

    def write_text(self, place: str, text: str) -> None:
        """Write a file, a path or a URI, whole or not at all: beside its place, then renamed. Its parents are made.
        Raises InputError, one line, where the store of a URI refuses."""
        self.write_pieces(place, [text])

    def write_pieces(self, place: str, pieces: Iterable[str]) -> None:
        """`write_text` of a text that comes in pieces, one in memory at a time."""
        if not is_uri(place):
            path = Path(place)
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                with beside.open("w", encoding="utf-8") as file:
                    file.writelines(pieces)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
            return
        with tempfile.TemporaryDirectory() as made:
            with (Path(made) / "file").open("w", encoding="utf-8") as file:
                file.writelines(pieces)
            put_file(self.spark, Path(made) / "file", place)

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a local file or folder to `target`, a URI, whose parents are made; what is there is replaced."""
        files = self._file_system(target)
        files.delete(self._hadoop_path(target), True)
        files.mkdirs(self._hadoop_path(target).getParent())
        copy_from_local(self.spark, source, target)

    def copy_out(self, source: str, target: Path) -> None:
        """Copy a file or folder at `source`, a URI, to a local path that does not exist; nothing where there is no `source`."""
        files, path = self._file_system(source), self._hadoop_path(source)
        if files.exists(path):
            # Without the local file system's checksums beside.
            files.copyToLocalFile(False, path, self._hadoop_path(str(target)), True)

    def remove_log_before(self, name: str, version: int) -> None:
        """Delete the files of a table's log that describe versions before `version`, whose checkpoint the caller has seen."""
        files = self._file_system(self._log_path(name))
        for status in files.listStatus(self._hadoop_path(self._log_path(name))):
            number = status.getPath().getName().lstrip(".").split(".")[0]
            if number.isdigit() and int(number) < version:
                files.delete(status.getPath(), False)

    def has_log_folder(self, name: str) -> bool:
        """Whether a table that goes by its path has a folder for its log, with a version in it or not; False in a catalog."""
        path = self._log_path(name)
        return not self.catalog and bool(self._file_system(path).exists(self._hadoop_path(path)))

    def remove_empty_log(self, name: str) -> None:
        """Delete the folder of a table's log where no version is in it; data files, which no version names, stay for VACUUM."""
        files, path = self._file_system(self._log_path(name)), self._hadoop_path(self._log_path(name))
        # A commit that is not finished has a name that begins with a point.
        if all(status.getPath().getName().startswith(".") for status in files.listStatus(path)):
            files.delete(path, True)

    def has_checkpoint(self, name: str, version: int) -> bool:
        """Whether the table's log has a checkpoint of that version in one file."""
        path = f"{self._log_path(name)}/{version:020d}.checkpoint.parquet"
        return bool(self._file_system(path).exists(self._hadoop_path(path)))

    def _log_path(self, name: str) -> str:
        return f"{self.path(name)}/_delta_log"

    def _hadoop_path(self, path: str) -> Any:
        return hadoop_path(self.spark, path)

    def _file_system(self, path: str) -> Any:
        return file_system(self.spark, path)
