"""A table's contract: the one definition of its columns, from which everything about the table is made.

lib/shoal/lake/contracts/<layer>.<table>.yaml gives grain, key, columns (type, null, comment, check, pii), checks over several
columns, partitioning or clustering. From it come the Delta table (comments, NOT NULL, CHECK, properties), the check of every
frame before it is written (`lake`), what ingest quarantines (`contract_checks`), what an erasure takes (`erasure`),
who may read what (`shoal.privacy.grants`) and docs/tables.md (`shoal.lake.catalog_page`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyspark.sql.types import DataType, StructField, StructType, _parse_datatype_string

from shoal.errors import UsageError

LAYERS = ("bronze", "silver", "features", "gold", "ops")
FOLDER = Path(__file__).resolve().parent / "contracts"
VERSION = "shoal.contract_version"
_NAME = re.compile(r"^(?:" + "|".join(LAYERS) + r")\.[a-z][a-z0-9_]*$")


class Column(BaseModel):
    """One column: its Spark type, whether it may be null, what it means, and the check its values pass.

    `pii` says that and how the column is personal:
    id       the id of the person whose row this is (where `pii_when` holds); the row is erased and exported with that person
    name     another name of that person: a username
    mention  the id of a person in a row that is not theirs, or a list of such ids: taken out, the row stays
    text     words in which people may be named; a row is erased for a name in it where `erase_when` holds, else the name goes
    true     personal, none of these: it goes with its row

    `drift` is how a snapshot's column is compared with an earlier snapshot's; without it a column is not compared:
    value    as it is (a time as its age in days at the end of as_of)
    rate     divided by the age in days of what the row describes, `drift_age` of the contract
    none     not at all: it grows or shrinks with time alone, as a count of everything up to as_of does
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    null: bool = True
    comment: str = Field(min_length=3)
    check: str | None = None
    pii: bool | Literal["id", "name", "mention", "text"] = False
    pii_when: str | None = None
    erase_when: str | None = None
    drift: Literal["value", "rate", "none"] | None = None


class ErasedWith(BaseModel):
    """Rows that are erased with rows of another table: `by` names our columns and theirs, `when` which of our rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    by: dict[str, str] = Field(min_length=1)
    when: str | None = None


class Contract(BaseModel):
    """One table. `key` is unique and never null; `time_column` is the event time that `before` filters on.

    `retention_days`: rows older by time_column, else by as_of, are removed by `optimize_tables`. `unknown_columns`: whether a
    file's column that no field uses is kept in bronze's raw text and reported, or the file is refused. `drift_rows`: SQL of the
    rows that are compared, all without it; `drift_age`: a column of days, or a time that the days are counted from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    grain: str
    key: list[str]
    columns: dict[str, Column]
    checks: dict[str, str] = {}
    partition_by: list[str] = []
    cluster_by: list[str] = []
    properties: dict[str, str] = {}
    time_column: str | None = None
    retention_days: int | None = Field(default=None, ge=1)
    unknown_columns: Literal["keep", "refuse"] = "keep"
    erased_with: list[ErasedWith] = []
    drift_rows: str | None = None
    drift_age: str | None = None

    @property
    def layer(self) -> str:
        """The part of the name before the dot."""
        return self.name.split(".")[0]

    @property
    def table(self) -> str:
        """The part of the name after the dot."""
        return self.name.split(".")[1]

    def data_type(self, column: str) -> DataType:
        """The Spark type of a column; needs a running Spark."""
        return _data_type(self.columns[column].type)

    def struct(self) -> StructType:
        """The table's schema in contract order, with nullability and comments; needs a running Spark."""
        return StructType([StructField(n, self.data_type(n), c.null, {"comment": c.comment}) for n, c in self.columns.items()])

    def constraints(self) -> dict[str, str]:
        """Every CHECK of the table, name to SQL: a column's is named after the column, the table's by their own names."""
        return {f"{n}_check": c.check for n, c in self.columns.items() if c.check} | self.checks

    def table_properties(self) -> dict[str, str]:
        """Delta properties: the contract's, its CHECKs, and the columns that file statistics are kept of: none that is personal;
        of bronze and silver those that rows are found by.

        File statistics hold smallest and largest values, which an erasure would otherwise leave behind in the log.
        """
        checks = {f"delta.constraints.{name}": sql for name, sql in self.constraints().items()}
        # Delta keeps no statistics of partition columns, nested types and booleans, and refuses to be asked for them.
        plain = {n: c for n, c in self.columns.items() if n not in self.partition_by and "<" not in c.type}
        open_columns = [n for n, c in plain.items() if not c.pii and c.type not in ("boolean", "binary")]
        if self.layer in ("bronze", "silver"):
            # Of a column that rows neither lie by nor are asked for by, statistics cut no file off, and cost a tenth of a load.
            found_by = {*self.key, *self.cluster_by, self.time_column}
            open_columns = [n for n in open_columns if n in found_by]
        stats = {"delta.dataSkippingStatsColumns": ",".join(open_columns)} if len(open_columns) < len(self.columns) else {}
        return stats | checks | {"shoal.lake.contract": self.name, VERSION: self.version()} | self.properties

    def version(self) -> str:
        """12 hex digits that change with anything of the contract that a table is made from; a table carries them."""
        columns = {n: [c.type, c.null, c.comment, c.check, bool(c.pii)] for n, c in self.columns.items()}
        facts = [columns, self.checks, self.partition_by, self.cluster_by, self.properties]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]

    def personal(self, *kinds: str | bool) -> list[str]:
        """The columns of these kinds of `pii`, in contract order."""
        # True == 1 in Python, but no kind is a number.
        return [n for n, c in self.columns.items() if c.pii in kinds and c.pii is not False]

    def is_personal(self) -> bool:
        """Whether any column is personal."""
        return any(c.pii for c in self.columns.values())

    def age_column(self) -> str | None:
        """What retention goes by: the time column, else as_of, else None."""
        return self.time_column or ("as_of" if "as_of" in self.columns else None)


@cache
def _data_type(text: str) -> DataType:
    """Asked of the JVM once a text: a table has some sixty columns, a run writes ten tables."""
    return _parse_datatype_string(text)


def contract_names() -> list[str]:
    """Every table's name, sorted by layer in the order of the pipeline, then by name."""
    return sorted((p.stem for p in FOLDER.glob("*.yaml")), key=lambda n: (LAYERS.index(n.split(".")[0]), n))


@cache
def contract(name: str) -> Contract:
    """The contract of a table. Raises UsageError, naming the nearest table, for an unknown name."""
    path = FOLDER / f"{name}.yaml"
    if not _NAME.match(name) or not path.is_file():
        near = difflib.get_close_matches(name, contract_names(), n=1, cutoff=0.5)
        raise UsageError(f"no table {name!r}" + (f"; did you mean {near[0]}?" if near else "; `shoal tables` lists them"))
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        # YAML reads the bare key `null` as its null value.
        document["columns"] = {n: {"null" if k is None else k: v for k, v in c.items()} for n, c in document["columns"].items()}
        made = Contract.model_validate(document)
    except (ValidationError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"{path.name}: {' '.join(str(error).split())[:400]}") from None
    named = {*made.key, *made.partition_by, *made.cluster_by, *([made.time_column] if made.time_column else [])}
    named |= {column for each in made.erased_with for column in each.by} | ({made.drift_age} if made.drift_age else set())
    strangers = sorted(named - set(made.columns))
    nullable = [k for k in made.key if k in made.columns and made.columns[k].null]
    if made.name != name or strangers or nullable:
        faults = f"name {made.name!r}; unknown columns {strangers}; key columns that may be null {nullable}"
        raise UsageError(f"{path.name}: {faults}")
    if made.drift_age is None and any(column.drift == "rate" for column in made.columns.values()):
        raise UsageError(f"{path.name}: a column with drift: rate needs drift_age, the age that it is divided by")
    if made.retention_days and made.age_column() is None:
        raise UsageError(f"{path.name}: retention_days needs a time_column or an as_of to go by")
    return made
