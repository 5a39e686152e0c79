"""The records of new files in bronze, each with the verdict on it by itself, and their counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce

from pyspark import Accumulator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.batches import (
    FEW_VALUES,
    Candidates,
    FileBatch,
    FoundFiles,
    find_files,
    known_files,
    known_rows,
    new_files,
    with_values,
)
from shoal.ingest.columns import columns_of, refuse_unknown, takes_unknown
from shoal.ingest.derived_tables import DerivedRows, derived_rows
from shoal.ingest.formats.reading import read_records, seen_names
from shoal.ingest.pseudonymise import hide_people, withheld
from shoal.ingest.record_type import RecordType
from shoal.ingest.small_triage import KeyRow, collect_keys
from shoal.ingest.triage import Batch
from shoal.ingest.validation import as_bronze, silver_of, with_fields, with_verdict
from shoal.lake.contract import Contract, contract
from shoal.lake.lake import Lake
from shoal.spark.checkpoints import cut_lineage

# Names of files up to this number are mapped to their ids by an expression, else by a broadcast join.
_FEW_FILES = 100


def validated(lake: Lake, records: DataFrame, record_type: RecordType, as_of: date, others: Mapping[str, str]) -> DataFrame:
    """Records as they were read as bronze's columns without provenance: typed, with the first rule that each breaks, and without
    plain ids in a pseudonymised lake. `others`: names of people in the files, with the id of each. Narrow."""
    conf, privacy = lake.settings.ingest, lake.settings.privacy
    fielded = with_fields(hide_people(records, record_type, privacy, others), record_type, conf, as_of)
    return withheld(with_verdict(fielded, record_type, conf), record_type, privacy)


@dataclass(frozen=True)
class ParsedFiles:
    """The files of one record type as rows of bronze, not written yet. keys: of a small input, the key rows of its records.
    unmapped: the columns of its tables that no field uses; seen: such names of JSON objects."""

    batch: FileBatch
    source: str
    rows: DataFrame
    unmapped: frozenset[str]
    seen: Accumulator[set[str]]
    keys: Sequence[KeyRow] | None = None


@dataclass(frozen=True)
class ParsedInput:
    """The new files of an input, parsed. derived: of a small input, the rows that its records give further tables, with their keys;
    None where they are to be made later."""

    found: FoundFiles
    files: Sequence[ParsedFiles]
    derived: Sequence[DerivedRows] | None = None


def parse_large(lake: Lake, conf: IngestConf, as_of: date, candidates: Candidates) -> ParsedInput:
    """The new ones of an input's files, parsed when their rows are written."""
    found = find_files(lake, candidates)
    return ParsedInput(found, [parse(lake, conf, as_of, candidates.source, batch) for batch in found.batches])


def parse_small(lake: Lake, conf: IngestConf, as_of: date, candidates: Candidates) -> ParsedInput:
    """The new ones of a small input's files, parsed: a task a record type, kept in memory, and one Spark job for the keys of all
    records and derived rows and what ops.ingest_files has of the files. Files that were ingested before are parsed in vain."""
    parsed = [parse(lake, conf, as_of, candidates.source, batch) for batch in candidates.all_files()]
    # Not persist: adaptive execution fills a cache with a job of its own before the query that first reads it.
    parsed = [replace(each, rows=each.rows.coalesce(1).transform(cut_lineage, eager=False)) for each in parsed]
    derived = derived_rows([(each.batch.record_type, each.rows.where("_rule is null")) for each in parsed], conf, True)
    frames = [_to_collect(each, conf) for each in parsed] + [each.to_collect() for each in derived]
    collected, known = collect_keys(frames, known_rows(lake, candidates))
    found = new_files(candidates, known_files(lake, known))
    new = {batch.record_type.name: batch for batch in found.batches}
    files = []
    for each, keys in zip(parsed, collected, strict=False):
        batch = new.get(each.batch.record_type.name)
        if batch is not None:
            is_whole = len(batch.ids) == len(each.batch.ids)
            rows = each.rows if is_whole else with_values(each.rows, "_batch_id", sorted(batch.ids.values()))
            files.append(replace(each, batch=batch, rows=rows, keys=[row for row in keys if row.file in batch.ids]))
    keyed = [replace(each, keys=keys) for each, keys in zip(derived, collected[len(parsed) :], strict=True)]
    return ParsedInput(found, files, keyed if found.ingested_before == 0 else None)


def _to_collect(parsed: ParsedFiles, conf: IngestConf) -> tuple[DataFrame, Contract, str | None]:
    """The records of the files for `collect_keys`."""
    record_type = parsed.batch.record_type
    return silver_of(parsed.rows, record_type, conf, "_rule"), contract(record_type.silver), record_type.key_from


def write_bronze(lake: Lake, parsed: Sequence[ParsedFiles]) -> list[Batch]:
    """Write the parsed files to bronze, one commit a table, and count their records.

    Rows that an earlier run has left of these files are replaced in the same commit. Of a small input triage reads what is in
    memory; of another the rows are read back from the commit, and a row a file and rule is collected.
    """
    loaded: dict[str, Batch] = {}
    for table in dict.fromkeys(each.batch.record_type.bronze for each in parsed):
        ours = [each for each in parsed if each.batch.record_type.bronze == table]
        ids = sorted({file_id for each in ours for file_id in each.batch.ids.values()})
        is_resumed = any(each.batch.resumed for each in ours)
        rows = reduce(DataFrame.unionByName, [each.rows for each in ours])
        rows = rows.coalesce(1) if all(each.keys is not None for each in ours) else rows
        if is_resumed:
            lake.replace_where(table, rows, "_batch_id", ids, unique=True)
        else:
            # No row of these files to take out: no look at the table's data files.
            lake.append(table, rows, unique=True)
        for each in ours:
            version = None if is_resumed or each.keys is not None else lake.last_commit(table)
            loaded[each.batch.record_type.name] = _loaded(lake, each, version, len(ours) > 1)
    for each in parsed:
        _note_unmapped(lake, each)
    return [loaded[each.batch.record_type.name] for each in parsed]


def _loaded(lake: Lake, parsed: ParsedFiles, version: int | None, is_shared: bool) -> Batch:
    """The batch of files that are in bronze, by the commit `version` where that is known."""
    batch, ids = parsed.batch, sorted(parsed.batch.ids.values())
    if parsed.keys is not None:
        return Batch(batch.record_type, parsed.source, parsed.rows, _counted(parsed.keys), ids, bool(batch.resumed), parsed.keys)
    written = _written(lake, batch.record_type.bronze, version, ids, is_shared)
    counted = written.groupBy("_file", "_rule").count().collect()
    counts = {(row["_file"], row["_rule"]): row["count"] for row in counted}
    return Batch(batch.record_type, parsed.source, written, counts, ids, bool(batch.resumed))


def parse(lake: Lake, conf: IngestConf, as_of: date, source: str, batch: FileBatch) -> ParsedFiles:
    """The records of the batch's files as bronze's rows. Lazy."""
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
    return ParsedFiles(batch, source, rows, frozenset(name for _, names in described.values() for name in names), seen)


def _with_ids(rows: DataFrame, ids: Mapping[str, str]) -> DataFrame:
    """The rows with the id of their file as _batch_id."""
    if len(set(ids.values())) == 1:
        return rows.withColumn("_batch_id", F.lit(next(iter(ids.values()))))
    if len(ids) <= _FEW_FILES:
        found: Column = F.create_map(*[F.lit(each) for pair in ids.items() for each in pair])[F.col("_file")]
        return rows.withColumn("_batch_id", found)
    named = rows.sparkSession.createDataFrame(list(ids.items()), "_file string, _batch_id string")
    return rows.join(F.broadcast(named), "_file")


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


def _note_unmapped(lake: Lake, parsed: ParsedFiles) -> None:
    """Name in the run's tags the columns, and names of JSON objects, that no field uses; the records were read before."""
    unknown = sorted(parsed.unmapped | parsed.seen.value)
    if unknown:
        lake.run.note(**{f"{parsed.batch.record_type.name}_unmapped_columns": ", ".join(unknown)})
