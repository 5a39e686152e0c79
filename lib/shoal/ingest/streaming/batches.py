"""A batch of a stream in the tables, once, however often it is done again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark import Accumulator
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.errors import ContractError, InputError, TransientError, one_line
from shoal.ingest.bronze import validated
from shoal.ingest.columns import columns_of, refuse_unknown, takes_unknown
from shoal.ingest.formats.listing import Survey, form_of, survey_files
from shoal.ingest.formats.reading import read_records
from shoal.ingest.record_type import RecordType
from shoal.ingest.silver import write_silver
from shoal.ingest.small_triage import KeyRow, SilverKeys, collect_keys
from shoal.ingest.streaming.streams import Stream
from shoal.ingest.triage import Batch, TriagedBatch, find_duplicates_and_conflicts, quarantine
from shoal.ingest.validation import as_bronze, silver_of
from shoal.lake.contract import contract
from shoal.lake.lake import Lake

# Records of one type up to which their keys are compared on the driver: 50 bytes each.
SMALL_RECORDS = 10_000


@dataclass
class Counts:
    """What the batches of this run did; seconds."""

    batches: int = 0
    records: int = 0
    ingested: int = 0
    duplicates: int = 0
    rejected: int = 0
    seconds: float = 0
    longest: float = 0


def read_files(lake: Lake, listed: DataFrame, record_type: RecordType, conf: IngestConf, seen: Accumulator[set[str]]) -> DataFrame:
    """The records of the listed files, at most stream_events.max_files_per_trigger; a file that cannot be read is one record
    of rule bad_file. Names of columns that no field uses are added to `seen`.

    Raises TransientError for a file whose size changes while it is looked at: it is being written to.
    """
    sizes = {_path_of(row["path"]): int(row["length"]) for row in listed.collect()}
    surveys: list[Survey] = []
    bad: list[tuple[str, int, str, str, str]] = []
    columns = {}
    paths = sorted(path for path in sizes if form_of(path) is not None)
    for survey in _surveyed(lake, paths, conf, bad):
        if survey.bytes != sizes[survey.path]:
            raise TransientError(
                f"{survey.path}: the file grows while it is read, from {sizes[survey.path]:,} to {survey.bytes:,} bytes; "
                "put whole files there (write beside it, then rename), and run this again"
            )
        if not survey.bytes or (survey.form == "csv" and not survey.header):
            continue
        try:
            columns[survey.path], unknown = columns_of(record_type, survey, conf)
            refuse_unknown(record_type, survey.path, unknown)
            seen.add(set(unknown))
            surveys.append(survey)
        except InputError as error:
            bad.append((survey.path, 1, "", "bad_file", one_line(error)))
    lake.run.note(files=int(lake.run.tags.get("files", 0)) + len(surveys))
    unread = lake.spark.createDataFrame(bad, "_file string, _line bigint, raw string, _rule string, _reason string")
    names = [field.name for field in record_type.fields]
    rejected = unread.withColumns({name: F.lit(None).cast("string") for name in names})
    if not surveys:
        return rejected
    found = read_records(lake.spark, surveys, columns, names, conf, seen=seen, refuse=not takes_unknown(record_type))
    found = found.select(*rejected.columns)
    return found.unionByName(rejected) if bad else found


def _surveyed(lake: Lake, paths: Sequence[str], conf: IngestConf, bad: list[tuple[str, int, str, str, str]]) -> list[Survey]:
    """A survey a file; where one of them cannot be, they are looked at one by one and the faults go into `bad`."""
    if not paths:
        return []
    try:
        return survey_files(lake.spark, list(paths), conf)
    except InputError as error:
        if len(paths) == 1:
            bad.append((paths[0], 1, "", "bad_file", one_line(error)))
            return []
    half = len(paths) // 2
    return _surveyed(lake, paths[:half], conf, bad) + _surveyed(lake, paths[half:], conf, bad)


def _path_of(listed: str) -> str:
    """A path as the machine knows it, of one as Spark's listing names it: file:/a -> /a, dbfs:/Volumes/a -> /Volumes/a."""
    scheme, separator, rest = listed.partition(":")
    return "/" + rest.lstrip("/") if separator and scheme in ("file", "dbfs") else listed


@dataclass(frozen=True)
class LoadedType:
    """The records of one type of a batch in bronze, and a row a file or partition with its first and last line or offset."""

    batch: Batch
    places: Sequence[Row]


def load_bronze(lake: Lake, stream: Stream, record_type: RecordType, records: DataFrame, number: int, as_of: date) -> LoadedType:
    """Append those of a batch's records that are of one type to its bronze, unless an earlier attempt has. Collects a row a rule
    and file, of at most stream_events.max_files_per_trigger, or partition of the topic, and of a small batch a row a record."""
    conf, batch_id, txn = lake.settings.ingest, stream.batch_id(number), (stream.app, number)
    rows = as_bronze(validated(lake, records, record_type, as_of, {}), F.lit(batch_id), stream.source, lake.run.started_at)
    at = lake.append_once(record_type.bronze, rows, txn)
    bronze = lake.read_current(record_type.bronze) if at is None else lake.read_commit(record_type.bronze, at)
    bronze = bronze.where(F.col("_batch_id") == batch_id)
    ends = (F.count("*").alias("records"), F.min("_line").alias("first"), F.max("_line").alias("last"))
    places = bronze.groupBy("_file", "_rule").agg(*ends).collect()
    counts = {(row["_file"], row["_rule"]): row["records"] for row in places}
    total = sum(counts.values())
    lake.run.wrote(record_type.bronze, total)
    keys: list[KeyRow] | None = None
    if 0 < total <= SMALL_RECORDS:
        typed = silver_of(bronze, record_type, conf, "_rule")
        (keys,), _ = collect_keys([(typed, contract(record_type.silver), record_type.key_from)])
    batch = Batch(record_type, stream.source, bronze, counts, [batch_id], at is None, keys, txn)
    return LoadedType(batch, places)


def load_batch(lake: Lake, stream: Stream, records: DataFrame, number: int, as_of: date, counts: Counts) -> None:
    """Write one batch's records to the tables: bronze, quarantine, silver, ops.stream_batches. To do it again, from wherever it was
    killed, changes nothing.

    Raises ContractError where the records are not exactly those ingested, duplicate and rejected.
    """
    clock, conf = time.monotonic(), lake.settings.ingest
    loaded = [load_bronze(lake, stream, record_type, records, number, as_of) for record_type in stream.record_types]
    known: dict[str, SilverKeys] = {}
    triaged = find_duplicates_and_conflicts(lake, conf, [each.batch for each in loaded], known)
    ingested = 0
    try:
        wrote, expected = quarantine(lake, triaged), sum(each.rejected() for each in triaged)
        if wrote != expected:
            raise ContractError(f"ops.quarantine: {expected:,} records of batch {number} are rejected, {wrote:,} rows written")
        for place, each in enumerate(triaged):
            of_table = known.get(each.batch.record_type.silver) if each.batch.keys is not None else None
            triaged[place], rows = write_silver(lake, conf, each, of_table)
            ingested += rows
    finally:
        for each in triaged:
            each.release()
    places = [row for each in loaded for row in each.places]
    if stream.is_replay and places:
        files = sorted({row["_file"] for row in places})
        replace_earlier(lake, stream, stream.batch_id(number), files, min(row["first"] for row in places))
    _record_batch(lake, stream, number, triaged, ingested, places, clock, counts)


def _record_batch(
    lake: Lake, stream: Stream, number: int, triaged: Sequence[TriagedBatch], ingested: int, places: Sequence[Row], clock: float,
    counts: Counts,
) -> None:  # fmt: skip
    """Append the batch's row to ops.stream_batches, which says that it is done, and add it to the run's counts."""
    total, rejected = sum(each.batch.records() for each in triaged), sum(each.rejected() for each in triaged)
    duplicates, seconds = total - ingested - rejected, time.monotonic() - clock
    ends: dict[str, int] = {}
    for each in places if stream.name.startswith("kafka:") else ():
        ends[each["_file"]] = max(each["last"], ends.get(each["_file"], 0))
    done = (total, ingested, duplicates, rejected, seconds, total / seconds, ends)
    row = (stream.batch_id(number), stream.name, stream.generation, number, *done)
    types = ", ".join(f"{n} {c.type}" for n, c in contract("ops.stream_batches").columns.items() if n != "run_id")
    lake.append_once("ops.stream_batches", lake.spark.createDataFrame([row], types).coalesce(1), (stream.app, number))
    counts.batches += 1
    counts.records, counts.ingested = counts.records + total, counts.ingested + ingested
    counts.duplicates, counts.rejected = counts.duplicates + duplicates, counts.rejected + rejected
    seconds = time.monotonic() - clock
    counts.seconds, counts.longest = counts.seconds + seconds, max(counts.longest, seconds)


def replace_earlier(lake: Lake, stream: Stream, batch_id: str, files: Sequence[str], first: int) -> None:
    """Remove what batches of earlier checkpoints have of the same messages: same place, same text.

    A topic or a file that was made anew has other text at the same places: nothing of it is removed.
    """
    of_bronze = [(each.bronze, "_batch_id", "_source", "_file", "_line") for each in stream.record_types]
    for name, batch, source, file, line in (*of_bronze, ("ops.quarantine", "batch_id", "source", "file", "line")):
        if not lake.exists(name):
            continue
        ours = lake.read_current(name).where(F.col(batch) == batch_id)
        shown = ", ".join("'" + file_name.replace("\\", "\\\\").replace("'", "\\'") + "'" for file_name in files)
        where = f"t.`{file}` IN ({shown}) AND t.`{line}` >= {first} AND t.`{source}` = '{stream.source}'"
        lake.delete_duplicates(name, ours, [source, file, line, "raw"], batch, where)
