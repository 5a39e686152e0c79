"""The records of new files in bronze, each with the verdict on it by itself, and their counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce

from pyspark import Accumulator, StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.batches import FEW_VALUES, FileBatch, with_values
from shoal.ingest.columns import columns_of, refuse_unknown, takes_unknown
from shoal.ingest.formats.reading import read_records, seen_names
from shoal.ingest.pseudonymise import hide_people, withheld
from shoal.ingest.record_type import RecordType
from shoal.ingest.small_triage import KeyRow, collect_keys
from shoal.ingest.triage import Batch
from shoal.ingest.validation import as_bronze, silver_of, with_fields, with_verdict
from shoal.lake.contract import contract
from shoal.lake.lake import Lake

# Names of files up to this number are mapped to their ids by an expression, else by a broadcast join.
_FEW_FILES = 100


def validated(lake: Lake, records: DataFrame, record_type: RecordType, as_of: date, others: Mapping[str, str]) -> DataFrame:
    """Records as they were read as bronze's columns without provenance: typed, with the first rule that each breaks, and without
    plain ids in a pseudonymised lake. `others`: names of people in the files, with the id of each. Narrow."""
    conf, privacy = lake.settings.ingest, lake.settings.privacy
    fielded = with_fields(hide_people(records, record_type, privacy, others), record_type, conf, as_of)
    return withheld(with_verdict(fielded, record_type, conf), record_type, privacy)


def write_bronze(
    lake: Lake, conf: IngestConf, as_of: date, source: str, batches: Sequence[FileBatch], is_small: bool
) -> list[Batch]:
    """Parse the files into bronze, one commit a table, and count their records.

    Rows that an earlier run has left of these files are replaced in the same commit. A small input is one task a record type; it is
    cached, its keys are collected with one Spark job before anything is written, and triage reads the cache. Of another the rows
    are read back from the commit. Collects a row a file and rule, of a small input a row a record.
    """
    parsed = [_parse(lake, conf, as_of, source, batch) for batch in batches]
    frames = [frame.coalesce(1).persist(StorageLevel.MEMORY_AND_DISK) if is_small else frame for frame, _, _ in parsed]
    keys: Sequence[Sequence[KeyRow]] = _keys(conf, batches, frames) if is_small else ()
    loaded: dict[int, Batch] = {}
    for table in dict.fromkeys(batch.record_type.bronze for batch in batches):
        places = [i for i, batch in enumerate(batches) if batch.record_type.bronze == table]
        ids = sorted({each for i in places for each in batches[i].ids.values()})
        is_resumed = any(batches[i].resumed for i in places)
        rows = reduce(DataFrame.unionByName, [frames[i] for i in places])
        rows = rows.coalesce(1) if is_small else rows
        if is_resumed:
            lake.replace_where(table, rows, "_batch_id", ids, unique=True)
        else:
            # No row of these files to take out: no look at the table's data files.
            lake.append(table, rows, unique=True)
        for i in places:
            record_type, ours = batches[i].record_type, sorted(batches[i].ids.values())
            if is_small:
                counts = _counted(keys[i])
                loaded[i] = Batch(record_type, source, frames[i], counts, ours, bool(batches[i].resumed), keys[i])
                continue
            written = _written(lake, table, None if is_resumed else lake.last_commit(table), ours, len(places) > 1)
            counted = written.groupBy("_file", "_rule").count().collect()
            counts = {(row["_file"], row["_rule"]): row["count"] for row in counted}
            loaded[i] = Batch(record_type, source, written, counts, ours, bool(batches[i].resumed))
    for batch, (_, unknown, seen) in zip(batches, parsed, strict=True):
        _note_unmapped(lake, batch.record_type, unknown, seen)
    return [loaded[i] for i in range(len(batches))]


def _parse(
    lake: Lake, conf: IngestConf, as_of: date, source: str, batch: FileBatch
) -> tuple[DataFrame, set[str], Accumulator[set[str]]]:
    """The batch's records as bronze's rows; the unmapped columns of its tables; where names of JSON objects come to be."""
    record_type = batch.record_type
    described = {s.path: columns_of(record_type, s, conf) for s in batch.surveys}
    for path, (_, names) in described.items():
        refuse_unknown(record_type, path, names)
    seen = seen_names(lake.spark)
    records = read_records(
        lake.spark, batch.surveys, {path: found for path, (found, _) in described.items()},
        [field.name for field in record_type.fields], conf, record_type.records_of, record_type.has_quotes, seen,
        not takes_unknown(record_type), record_type.shaped,
    )  # fmt: skip
    # At most one a file; as many as there are people whose files these are.
    names_in = record_type.names_in if lake.settings.privacy.pseudonymise else None
    others = {name: of for s in batch.surveys for name, of in names_in(s.path).items()} if names_in else {}
    rows = _with_ids(validated(lake, records, record_type, as_of, others), batch.ids)
    rows = as_bronze(rows, F.col("_batch_id"), source, lake.run.started_at)
    return rows, {name for _, names in described.values() for name in names}, seen


def _with_ids(rows: DataFrame, ids: Mapping[str, str]) -> DataFrame:
    """The rows with the id of their file as _batch_id."""
    if len(set(ids.values())) == 1:
        return rows.withColumn("_batch_id", F.lit(next(iter(ids.values()))))
    if len(ids) <= _FEW_FILES:
        found: Column = F.create_map(*[F.lit(each) for pair in ids.items() for each in pair])[F.col("_file")]
        return rows.withColumn("_batch_id", found)
    named = rows.sparkSession.createDataFrame(list(ids.items()), "_file string, _batch_id string")
    return rows.join(F.broadcast(named), "_file")


def _keys(conf: IngestConf, batches: Sequence[FileBatch], frames: Sequence[DataFrame]) -> list[list[KeyRow]]:
    """The key rows of a small input's records."""
    return collect_keys(
        [
            (
                silver_of(frame, batch.record_type, conf, "_rule"),
                contract(batch.record_type.silver),
                batch.record_type.key_from,
            )
            for batch, frame in zip(batches, frames, strict=True)
        ]
    )


def _counted(keys: Sequence[KeyRow]) -> dict[tuple[str, str | None], int]:
    """Records by (file, rule)."""
    counts: dict[tuple[str, str | None], int] = {}
    for row in keys:
        counts[row.file, row.rule] = counts.get((row.file, row.rule), 0) + 1
    return counts


def _written(lake: Lake, table: str, version: int | None, ids: Sequence[str], is_shared: bool) -> DataFrame:
    """The rows of these files that this run has written, all of them in the commit `version` where that is known; other files'
    rows are there too where the table `is_shared` by record types."""
    if version is None:
        return with_values(lake.read_current(table).where(F.col("run_id") == lake.run.run_id), "_batch_id", ids)
    rows = lake.read_commit(table, version)
    # More than 100 data files, or an old commit, are read as the whole table.
    is_whole = not is_shared and len(ids) > FEW_VALUES
    return rows.where(F.col("run_id") == lake.run.run_id) if is_whole else with_values(rows, "_batch_id", ids)


def _note_unmapped(lake: Lake, record_type: RecordType, columns: set[str], seen: Accumulator[set[str]]) -> None:
    """Name in the run's tags the columns, and names of JSON objects, that no field is made of; read before."""
    unknown = sorted(columns | seen.value)
    if unknown:
        lake.run.note(**{f"{record_type.name}_unmapped_columns": ", ".join(unknown)})
