"""Where tables lie: local Delta folders under a root, or a catalog. Finds, opens, saves, names and drops a table by its contract's
name. No rule about what is in it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from shoal.lake.contract import contract


@dataclass(frozen=True)
class Store:
    """The tables under one root, or of one catalog where `catalog` names one, as a session sees them.

    A local table lies in <root>/<layer>/<table>; a catalog's is catalog.layer.table.
    """

    spark: SparkSession
    root: Path
    catalog: str | None = None

    def path(self, name: str) -> str:
        """Return the folder of a local table. Raises UsageError for a name without a contract."""
        made = contract(name)
        return str(self.root / made.layer / made.table)

    def log_folder(self, name: str) -> Path:
        """Return the folder of a local table's log."""
        return Path(self.path(name)) / "_delta_log"

    def sql_name(self, name: str) -> str:
        """Return the quoted name of a table in SQL: `layer`.`table`, with the catalog where there is one."""
        made = contract(name)
        parts = [self.catalog] if self.catalog else []
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
        if self.catalog:
            writer.saveAsTable(self.sql_name(name))
        else:
            writer.save(self.path(name))

    def delta_table(self, name: str) -> DeltaTable:
        """Return Delta's handle of a table, for MERGE, DELETE, OPTIMIZE and VACUUM."""
        if self.catalog:
            return DeltaTable.forName(self.spark, self.sql_name(name))
        return DeltaTable.forPath(self.spark, self.path(name))

    def drop(self, name: str) -> None:
        """Remove the table with all its files; do nothing where it does not exist."""
        if not self.exists(name):
            return
        if self.catalog:
            self.spark.sql(f"DROP TABLE {self.sql_name(name)}")
            return
        shutil.rmtree(self.path(name))
        jvm = self.spark._jvm
        path = jvm.org.apache.hadoop.fs.Path(self.path(name))
        jvm.org.apache.spark.sql.delta.DeltaLog.invalidateCache(self.spark._jsparkSession, path)

    def register(self, names: Sequence[str]) -> list[str]:
        """Give tables of a local lake their SQL names in this session; returns those that exist. A catalog has them already."""
        present = [name for name in names if self.exists(name)]
        if self.catalog:
            return present
        for layer in {contract(name).layer for name in names}:
            where = str(self.root / layer).replace("'", "\\'")
            self.spark.sql(f"CREATE DATABASE IF NOT EXISTS `{layer}` LOCATION '{where}'")
        for name in present:
            # An external table: dropping the name leaves the files.
            self.spark.sql(f"DROP TABLE IF EXISTS {self.sql_name(name)}")
            self.spark.catalog.createTable(name, path=self.path(name), source="delta")
        return present
