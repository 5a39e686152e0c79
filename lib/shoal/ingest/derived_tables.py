"""The rows that records give further silver tables: a person that a message names, the picture of a product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.record_type import DerivedTable, RecordType
from shoal.ingest.small_triage import FEW_HASHES, Key, KeyRow, SilverKeys, SilverRow, collect_keys, long_literals
from shoal.ingest.triage import TriagedBatch, look_up_tables
from shoal.ingest.validation import rows_of
from shoal.lake.contract import Contract, contract
from shoal.lake.lake import Lake


@dataclass(frozen=True)
class DerivedRows:
    """The rows that the records of an input give one further silver table, each key once, without their source; keys: of a small
    input, their key rows."""

    silver: str
    keeps_newest: bool
    rows: DataFrame
    keys: Sequence[KeyRow] = ()

    def to_collect(self) -> tuple[DataFrame, Contract, str | None]:
        """The rows for `collect_keys`; they have no place."""
        place = (F.lit("").alias("_file"), F.lit(0).cast("bigint").alias("_line"), F.lit(None).cast("string").alias("_rule"))
        return self.rows.select(*place, "*"), contract(self.silver), None


def derived_rows(sound: Sequence[tuple[RecordType, DataFrame]], conf: IngestConf, is_small: bool) -> list[DerivedRows]:
    """The derived rows of the `sound` records of each type, by table. Of a table with rows of both kinds, those that keep the
    newest come first: the others only fill gaps."""
    outputs: dict[tuple[str, bool], list[tuple[DataFrame, DerivedTable]]] = {}
    for record_type, rows in sound:
        for also in record_type.also:
            outputs.setdefault((also.silver, also.keeps_newest), []).append((rows, also))
    ordered = sorted(outputs, key=lambda output: not output[1])
    return [DerivedRows(silver, newest, rows_of(outputs[silver, newest], conf, is_small)) for silver, newest in ordered]


def keys_by_table(derived: Sequence[DerivedRows]) -> dict[str, set[Key]]:
    """The keys of the derived rows of each table."""
    found: dict[str, set[Key]] = {}
    for each in derived:
        found.setdefault(each.silver, set()).update(row.key for row in each.keys)
    return found


def write_derived_tables(
    lake: Lake, conf: IngestConf, source: str, triaged: Sequence[TriagedBatch], derived: Sequence[DerivedRows] | None,
    known: dict[str, SilverKeys],
) -> None:  # fmt: skip
    """Write the rows that the batches' sound records give further tables, one commit a table; a rerun writes the same rows again.

    After all of the batches' own silver tables: a derived row must not take the key of a record. `derived`: of a small input, the
    rows of all records, whose keys are in `known`; where a record is a conflict, or they are not given, they are made here.
    """
    is_small = all(each.batch.keys is not None for each in triaged)
    if derived is None or any(each.verdict("conflict") for each in triaged):
        sound = [(each.batch.record_type, each.sound_rows()) for each in triaged if each.batch.sound()]
        derived = derived_rows(sound, conf, is_small)
        if is_small:
            collected, _ = collect_keys([each.to_collect() for each in derived])
            derived = [replace(each, keys=keys) for each, keys in zip(derived, collected, strict=True)]
            known = {}
            look_up_tables(lake, keys_by_table(derived), {}, known)
    for each in derived:
        rows = each.rows.withColumn("source", F.lit(source))
        if is_small:
            _write_small(lake, source, each, rows, known)
        else:
            (lake.upsert if each.keeps_newest else lake.insert_if_absent)(each.silver, rows, unique=True)


def _write_small(lake: Lake, source: str, derived: DerivedRows, rows: DataFrame, known: Mapping[str, SilverKeys]) -> None:
    """Append the rows of a small input whose keys the table does not have; merge those with other values where the newest is kept.
    Rows that it has with equal values are not written again."""
    name, silver = derived.silver, known[derived.silver]
    left = {row.key for row in derived.keys if row.key not in silver.rows}
    changed = {row.key for row in derived.keys if row.key in silver.rows and silver.rows[row.key].content != row.content}
    wanted = left | changed if derived.keeps_newest else left
    if not wanted:
        return
    # What is written is there for the next rows of the same table.
    silver.rows.update({row.key: SilverRow(row.content, source, lake.run.run_id) for row in derived.keys if row.key in wanted})
    if len(wanted) < len(derived.keys):
        rows = _with_keys(rows, contract(name), wanted)
    lake.create(name)
    with lake.sole_writer(name):
        now = lake.version(name)
        is_same = now == silver.version or (silver.version == -1 and now == 0)
        if derived.keeps_newest and changed:
            lake.upsert(name, rows, unique=True)
        else:
            # Another version than was looked at is merged.
            lake.append_known_new(name, rows, now if is_same else -2, renew=derived.keeps_newest)
        silver.version = lake.version(name) if is_same else -2


def _with_keys(rows: DataFrame, made: Contract, keys: set[Key]) -> DataFrame:
    """The rows with one of the keys: by a condition where they are few, which takes no job, else by a broadcast join."""
    hashed = rows.withColumns({"_h": F.xxhash64(*made.key), "_h2": F.xxhash64(F.lit(1), *made.key)})
    if len(keys) <= FEW_HASHES:
        one, two = (long_literals(each) for each in zip(*keys, strict=True))
        return hashed.where(f"_h IN ({one}) AND _h2 IN ({two})").drop("_h", "_h2")
    few = rows.sparkSession.createDataFrame(sorted(keys), "_h bigint, _h2 bigint")
    return hashed.join(F.broadcast(few), ["_h", "_h2"], "left_semi").drop("_h", "_h2")
