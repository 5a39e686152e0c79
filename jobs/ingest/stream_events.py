"""Bring events from a growing folder or a Kafka topic into the lake, batch by batch, each event once.

Reads:  the folder stream_events.input, or the topic stream_events.topic, from where the stream's checkpoint says; ops.streams
Writes: bronze.events        one row per message or record, sound or not; _file is topic/partition, _line the offset
        silver.interactions  one row per event that it did not have
        bronze.edges         with form=twitter_activity: one row per message that is a follow
        silver.follows       and one row per pair, new or renewed
        ops.quarantine       one row per rejected message, with rule, reason, topic/partition, offset and the raw text
        ops.stream_batches   one row per batch, last of all
        ops.streams          one row per checkpoint that the stream began with

The parser and the verdicts are those of `shoal ingest --source events`, or with form=twitter_activity of that source's activity.
A batch is done in this order: bronze, silver (MERGE on event_id; the same for follows), quarantine, ops.stream_batches, and then
Spark's own commit in the checkpoint. Every write can be asked for again without a double: bronze and silver carry Delta
transaction ids, quarantine is replaced where an earlier attempt may have written to it. So a batch that was killed anywhere is
done again from the start. A stream whose checkpoint is lost or damaged does not start: --replay begins a new one at the earliest
offsets, and puts what is read again in the place of what was read before.
Cost of a batch: one pass over it for bronze, two over its new bronze rows, a shuffle of 8-byte key hashes, four commits.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from pathlib import Path

from pyspark import Accumulator, StorageLevel
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery
from shoal.conf.sections import IngestConf, StreamEventsConf
from shoal.errors import ContractError, InputError, ShoalError, TransientError, UsageError, one_line
from shoal.ingest.columns import columns_of, json_pairs, refuse_unknown, takes_unknown
from shoal.ingest.duplicates import duplicates_in_silver, duplicates_within, is_any_in, repeated, with_hashes
from shoal.ingest.fields import refuse_unknown_pattern
from shoal.ingest.formats.listing import Survey, form_of, survey_files, unreadable_names
from shoal.ingest.formats.messages import read_messages
from shoal.ingest.formats.reading import read_records, seen_names
from shoal.ingest.pseudonymise import hide_people, withheld
from shoal.ingest.record_type import RecordType
from shoal.ingest.sources.catalogue import STREAMED
from shoal.ingest.streaming.checkpoints import has_content, read_checkpoint
from shoal.ingest.streaming.kafka import as_told, reach, refusal, refuse_unreadable, source_options
from shoal.ingest.validation import as_bronze, as_quarantine, silver_of, with_fields, with_verdict
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Txn
from shoal.privacy.guard import check_pseudonymisation
from shoal.runner.command import run_job

READS = ("ops.streams",)
WRITES = (
    "bronze.edges", "bronze.events", "silver.follows", "silver.interactions", "ops.quarantine", "ops.stream_batches",
    "ops.streams",
)  # fmt: skip
SETTINGS = ("ingest", "privacy")

# Schema of Spark's binaryFile; `content` is never asked for, so that a file is only listed.
_LISTING = "path string, modificationTime timestamp, length long, content binary"
EVENTS = "events"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stream:
    """A stream with the checkpoint it goes on from. `app` names both in Delta's transactions and in batch ids."""

    name: str
    generation: int
    folder: str
    is_replay: bool
    opened_by: str
    form: str

    @property
    def source(self) -> str:
        """The source that rows of the stream name."""
        return f"{self.form}_stream"

    @property
    def parts(self) -> tuple[RecordType, ...]:
        """What the stream's records are: each is of one of these."""
        return STREAMED[self.form]

    @property
    def app(self) -> str:
        """The stream, the generation of its checkpoint, and the end of the run's id that began it: no two checkpoints ever have
        the same, or Delta would take the new one's batches for done."""
        return f"{stream_key(self.name)}-g{self.generation}-{self.opened_by[-8:]}"

    def batch_id(self, number: int) -> str:
        """The id of a batch: sorts by number, and is the same whenever that batch is done again."""
        return f"{self.app}-{number:09d}"


@dataclass
class Counts:
    """What the batches of this run did."""

    batches: int = 0
    records: int = 0
    ingested: int = 0
    duplicates: int = 0
    rejected: int = 0
    seconds: float = 0
    longest: float = 0


def stream_key(name: str) -> str:
    """Twelve hex digits of a stream's name: its batch ids begin with them, its checkpoints lie in a folder of that name."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def stream_name(conf: StreamEventsConf) -> str:
    """What the stream is known by: kafka:TOPIC or files:FOLDER, with the form where it is not that of events: read in another
    form, the same topic is another stream. Raises UsageError where the setting is missing."""
    form = "" if conf.form == EVENTS else f" as {conf.form}"
    if conf.source == "kafka":
        return f"kafka:{conf.topic}{form}"
    if not conf.input:
        raise UsageError("source=files needs a folder: --set input=FOLDER")
    if not Path(conf.input).is_dir():
        raise InputError(f"{conf.input}: no such folder; the stream reads the files that are put there")
    return f"files:{Path(conf.input).resolve()}{form}"


def checkpoints_of(lake: Lake, conf: StreamEventsConf, name: str) -> Path:
    """The folder of the stream's checkpoints. Raises UsageError with a catalog and no folder named."""
    if conf.checkpoint is None and lake.settings.lake.catalog:
        raise UsageError("a catalog has no folder for checkpoints: --set checkpoint=/Volumes/<catalog>/<schema>/<volume>")
    base = Path(conf.checkpoint) if conf.checkpoint else lake.root / ".checkpoints"
    return base / "stream_events" / stream_key(name)


def open_stream(lake: Lake, conf: StreamEventsConf, name: str, replay: bool) -> Stream:
    """The stream with the checkpoint to go on from; a new one for a new stream and with `replay`.

    Raises InputError, with the way out, where the lake knows the stream and the checkpoint is lost, damaged or older than
    what the lake has, or where the checkpoint knows a stream that the lake does not: to go on would lose or skip events.
    """
    base, known = checkpoints_of(lake, conf, name), None
    if lake.exists("ops.streams"):
        # One row a generation.
        rows = lake.read_current("ops.streams").where(F.col("stream") == name).orderBy(F.desc("generation")).limit(1).collect()
        known = rows[0] if rows else None
    if known is None and not replay:
        traces = [str(base)] if has_content(base) else []
        traces += [f"rows in {part.bronze}" for part in STREAMED[conf.form] if has_batches(lake, part, stream_key(name))]
        if traces:
            raise InputError(
                f"{name}: there are {' and '.join(traces)} that ops.streams of this lake knows nothing of; tables were made anew "
                "or come from elsewhere; --replay reads everything from the earliest offset on, without doubles"
            )
    if known is None or replay:
        number = (known["generation"] if known else 0) + 1
        while has_content(base / f"g{number}"):
            number += 1
        stream = Stream(name, number, str(base / f"g{number}"), replay, lake.run.run_id, conf.form)
        types = ", ".join(f"{n} {c.type}" for n, c in contract("ops.streams").columns.items() if n != "run_id")
        row = (name, number, stream.folder, replay, lake.run.started_at)
        lake.insert_if_absent("ops.streams", lake.spark.createDataFrame([row], types))
        return stream
    folder = str(base / f"g{known['generation']}")
    stream = Stream(name, known["generation"], folder, known["is_replay"], known["run_id"], conf.form)
    fault = checkpoint_fault(lake, stream)
    if fault:
        raise InputError(
            f"{stream.folder}: the checkpoint of {name} cannot be gone on from: {fault}; put it back as it was, "
            f"or run again with --replay, which reads everything from the earliest offset on, without doubles"
        )
    return stream


def checkpoint_fault(lake: Lake, stream: Stream) -> str:
    """Why the stream cannot go on from its checkpoint; "" where it can."""
    last = last_batch(lake, stream)
    begun = last >= 0 or any(has_batches(lake, part, stream.app) for part in stream.parts)
    checkpoint, fault = read_checkpoint(Path(stream.folder))
    if checkpoint is None:
        # Nothing was begun with it: the run that opened the stream was killed before its first batch.
        return fault if begun or has_content(Path(stream.folder)) else ""
    if checkpoint.planned < last:
        return f"it ends with batch {checkpoint.planned}, the lake has batch {last}: it is an older copy"
    # A batch that is done has made all of them, with rows or without.
    missing = [name for part in stream.parts for name in (part.bronze, part.silver) if last >= 0 and not lake.exists(name)]
    return f"the lake has lost {' and '.join(missing)}, which the stream had written to" if missing else ""


def last_batch(lake: Lake, stream: Stream) -> int:
    """The number of the last batch that ops.stream_batches has of this checkpoint; -1 for none."""
    if not lake.exists("ops.stream_batches"):
        return -1
    rows = lake.read_current("ops.stream_batches").where(
        (F.col("stream") == stream.name) & (F.col("generation") == stream.generation)
    )
    found = rows.agg(F.max("number").alias("last")).collect()[0]["last"]
    return -1 if found is None else int(found)


def has_batches(lake: Lake, part: RecordType, beginning: str) -> bool:
    """Whether the part's bronze has rows of batches, done or begun, whose id begins with that and a hyphen; read by file
    statistics on _batch_id."""
    if not lake.exists(part.bronze):
        return False
    rows = lake.read_current(part.bronze).where(F.col("_batch_id").between(f"{beginning}-", f"{beginning}-~"))
    return bool(rows.limit(1).count())


def read_stream(lake: Lake, conf: StreamEventsConf, stream: Stream) -> DataFrame:
    """The streaming frame: messages (topic, partition, offset, value), or files (path, length) that the folder has come to hold."""
    reader = lake.spark.readStream
    if conf.source == "kafka":
        options = source_options(conf, os.environ, earliest=stream.is_replay)
        reach(conf.bootstrap_servers or "")
        return reader.format("kafka").options(**options).load().select("topic", "partition", "offset", "value")
    # A file that is moved here late keeps its old date: by default the source would leave out what is a week older than the
    # newest, without a word.
    reader = reader.format("binaryFile").schema(_LISTING).option("recursiveFileLookup", True).option("maxFileAge", "36500d")
    return reader.option("maxFilesPerTrigger", conf.max_files).load(str(Path(conf.input or "").resolve())).select("path", "length")


def read_files(lake: Lake, listed: DataFrame, part: RecordType, conf: IngestConf, seen: Accumulator[set[str]]) -> DataFrame:
    """The records of the listed files, at most stream_events.max_files; a file that is none is one record of rule bad_file.
    Names of columns that nothing is made of are added to `seen`.

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
            columns[survey.path], unknown = columns_of(part, survey, conf)
            refuse_unknown(part, survey.path, unknown)
            seen.add(set(unknown))
            surveys.append(survey)
        except InputError as error:
            bad.append((survey.path, 1, "", "bad_file", one_line(error)))
    lake.run.note(files=int(lake.run.tags.get("files", 0)) + len(surveys))
    told = lake.spark.createDataFrame(bad, "_file string, _line bigint, raw string, _rule string, _reason string")
    names = [field.name for field in part.fields]
    rejected = told.withColumns({name: F.lit(None).cast("string") for name in names})
    if not surveys:
        return rejected
    found = read_records(lake.spark, surveys, columns, names, conf, seen=seen, refuse=not takes_unknown(part))
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


def duplicates_within_batch(sound: DataFrame, part: RecordType, rows: int) -> DataFrame | None:
    """The records whose key an earlier one, by file and line, of the `rows` sound ones has: _file, _line, verdict, reason; None
    where there is none, as nearly always."""
    made = contract(part.silver)
    hashed = with_hashes(sound, made)
    twice = repeated(hashed.select("_h"), rows).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        if not twice.limit(1).count():
            return None
        # At most half the batch, and held by Spark, not by us: the merge comes after `twice` is gone.
        return duplicates_within(hashed, made, twice).localCheckpoint()
    finally:
        twice.unpersist()


def renewing(first: DataFrame, part: RecordType, silver: DataFrame, rows: int) -> DataFrame:
    """Those of the records that silver does not have just so."""
    made = contract(part.silver)
    equal = duplicates_in_silver(with_hashes(first, made), made, silver, [], True, rows)
    return first.join(equal.select("_file", "_line"), ["_file", "_line"], "left_anti")


def insert_if_absent(lake: Lake, part: RecordType, first: DataFrame, rows: int, txn: Txn) -> int:
    """Add those of the `rows` records to the part's silver table whose key it does not have; returns their number.

    A MERGE on the key, but where silver has none of them, as nearly always: then a scan of its keys does for the MERGE's join with
    all of them (docs/adr/0061).
    """
    made, at = contract(part.silver), lake.version(part.silver)
    if is_any_in(lake.read_current(made.name), with_hashes(first, made), made, rows):
        return lake.insert_if_absent(made.name, first, unique=True, txn=txn)
    return lake.append_known_new(made.name, first, at, txn)


def contradictions(sound: DataFrame, part: RecordType, silver: DataFrame, rows: int) -> DataFrame:
    """The sound records whose key silver has with other values: _file, _line, reason. `silver` has their keys by now."""
    made = contract(part.silver)
    met = duplicates_in_silver(with_hashes(sound, made), made, silver, [], False, rows)
    return met.where("verdict = 'conflict'").select("_file", "_line", "reason")


@dataclass(frozen=True)
class BatchResult:
    """What a batch brought of one part: records, and those of them that are rows of silver, that are rejected; the rejected ones
    as rows of ops.quarantine; a row a file or partition with its first and last line or offset. is_first: whether it is known that
    no earlier attempt came further than the part's bronze."""

    records: int
    ingested: int
    rejected: int
    rejects: DataFrame
    files: Sequence[Row]
    is_first: bool


def load_part(lake: Lake, stream: Stream, part: RecordType, records: DataFrame, number: int, as_of: date) -> BatchResult:
    """Bring those of a batch's records that are of one part into its bronze and silver table. Collects a row a file, of at most
    stream_events.max_files, or partition of the topic."""
    conf, privacy = lake.settings.ingest, lake.settings.privacy
    batch_id, txn = stream.batch_id(number), (stream.app, number)
    fielded = with_fields(hide_people(records, part, privacy), part, conf, as_of)
    judged = withheld(with_verdict(fielded, part, conf), part, privacy)
    at = lake.append_once(part.bronze, as_bronze(judged, batch_id, stream.source, lake.run.started_at), txn)
    lake.create(part.silver)
    bronze = lake.read_current(part.bronze) if at is None else lake.read_commit(part.bronze, at)
    bronze = bronze.where(F.col("_batch_id") == batch_id)
    sums = (F.count("*").alias("records"), F.count("_rule").alias("rejected"))
    files = bronze.groupBy("_file").agg(*sums, F.min("_line").alias("first"), F.max("_line").alias("last")).collect()
    total, rejected = sum(row["records"] for row in files), sum(row["rejected"] for row in files)
    lake.run.wrote(part.bronze, total)
    sound, ingested, rejects = total - rejected, 0, bronze.where("_rule is not null")
    if sound:
        rows = silver_of(bronze.where("_rule is null"), part, conf)
        later = duplicates_within_batch(rows, part, sound)
        first = rows if later is None else rows.join(later, ["_file", "_line"], "left_anti")
        first = first.withColumn("source", F.lit(stream.source))
        if part.keeps_newest:
            new = renewing(first, part, lake.read_current(part.silver), sound)
            ingested = lake.upsert(part.silver, new.drop("_file", "_line"), unique=True, txn=txn)
        else:
            ingested = insert_if_absent(lake, part, first.drop("_file", "_line"), sound, txn)
        told = None
        if part.keeps_newest:
            # Only within the batch, which bronze has as it was: a later batch goes over silver's rows.
            told = later.where("verdict = 'conflict'").select("_file", "_line", "reason") if later is not None else None
        elif ingested < sound:
            told = contradictions(rows, part, lake.read_current(part.silver), sound).persist(StorageLevel.MEMORY_AND_DISK)
        if told is not None:
            rejected += told.count()
            named = told.select("_file", "_line", F.lit("duplicate_key").alias("_rule"), F.col("reason").alias("_reason"))
            rejects = rejects.unionByName(bronze.drop("_rule", "_reason").join(named, ["_file", "_line"]))
    return BatchResult(total, ingested, rejected, as_quarantine(rejects, stream.source, part), files, at is not None)


def load_batch(lake: Lake, stream: Stream, records: DataFrame, number: int, as_of: date, counts: Counts) -> None:
    """Bring one batch's records into the tables. Doing it again, from wherever it was broken off, changes nothing.

    Raises ContractError where the records are not exactly those ingested, duplicate and rejected.
    """
    clock, batch_id = time.monotonic(), stream.batch_id(number)
    landed = [load_part(lake, stream, part, records, number, as_of) for part in stream.parts]
    total, ingested = sum(each.records for each in landed), sum(each.ingested for each in landed)
    rejected = sum(each.rejected for each in landed)
    if rejected:
        rejects = reduce(DataFrame.unionByName, [each.rejects for each in landed if each.rejected])
        if any(each.is_first for each in landed):
            # Nothing of this batch to take out: no look at the table's files.
            wrote = lake.append("ops.quarantine", rejects, unique=True)
        else:
            wrote = lake.replace_where("ops.quarantine", rejects, "batch_id", [batch_id], unique=True)
        if wrote != rejected:
            raise ContractError(f"ops.quarantine: {rejected:,} records of batch {number} are rejected, {wrote:,} rows written")
    files = [row for each in landed for row in each.files]
    if stream.is_replay and files:
        replace_earlier(lake, stream, batch_id, sorted({row["_file"] for row in files}), min(row["first"] for row in files))
    duplicates = total - ingested - rejected
    seconds = time.monotonic() - clock
    ends_at: dict[str, int] = {}
    for each in files if stream.name.startswith("kafka:") else ():
        ends_at[each["_file"]] = max(each["last"], ends_at.get(each["_file"], 0))
    done = (total, ingested, duplicates, rejected, seconds, total / seconds, ends_at)
    row = (batch_id, stream.name, stream.generation, number, *done)
    types = ", ".join(f"{n} {c.type}" for n, c in contract("ops.stream_batches").columns.items() if n != "run_id")
    lake.append_once("ops.stream_batches", lake.spark.createDataFrame([row], types).coalesce(1), (stream.app, number))
    counts.batches += 1
    counts.records, counts.ingested = counts.records + total, counts.ingested + ingested
    counts.duplicates, counts.rejected = counts.duplicates + duplicates, counts.rejected + rejected
    seconds = time.monotonic() - clock
    counts.seconds, counts.longest = counts.seconds + seconds, max(counts.longest, seconds)


def replace_earlier(lake: Lake, stream: Stream, batch_id: str, files: Sequence[str], first: int) -> None:
    """Remove what earlier checkpoints' batches had brought of the same messages: same place, same text.

    A topic or a file that was made anew has other text at the same places: nothing of it is removed.
    """
    of_bronze = [(part.bronze, "_batch_id", "_source", "_file", "_line") for part in stream.parts]
    for name, batch, source, file, line in (*of_bronze, ("ops.quarantine", "batch_id", "source", "file", "line")):
        if not lake.exists(name):
            continue
        ours = lake.read_current(name).where(F.col(batch) == batch_id)
        shown = ", ".join("'" + each.replace("\\", "\\\\").replace("'", "\\'") + "'" for each in files)
        where = f"t.`{file}` IN ({shown}) AND t.`{line}` >= {first} AND t.`{source}` = '{stream.source}'"
        lake.delete_duplicates(name, ours, [source, file, line, "raw"], batch, where)


def follow(query: StreamingQuery, conf: StreamEventsConf) -> None:
    """Wait for the stream's end: of what there was (available_now), or of stream_events.run_seconds, or an interrupt."""
    if conf.trigger == "available_now":
        query.awaitTermination()
        return
    try:
        if conf.run_seconds is None:
            query.awaitTermination()
            return
        if not query.awaitTermination(max(1, round(conf.run_seconds))):
            finish(query)
    except KeyboardInterrupt:
        finish(query)


def finish(query: StreamingQuery) -> None:
    """Stop the stream between two batches: a batch that is cut off is only work to be done again, but it is work."""
    deadline = time.monotonic() + 120
    while query.isActive and query.status["isTriggerActive"] and query.status["isDataAvailable"] and time.monotonic() < deadline:
        time.sleep(0.05)
    query.stop()


def note_progress(lake: Lake, query: StreamingQuery, counts: Counts) -> None:
    """What the run did and how far it is behind, into the run's tags."""
    lake.run.rows_in["records"] = counts.records
    lake.run.note(
        batches=counts.batches, records=counts.records, ingested=counts.ingested, duplicates=counts.duplicates,
        rejected=counts.rejected, batch_seconds=round(counts.seconds, 3), longest_batch_seconds=round(counts.longest, 3),
        rows_per_second=round(counts.records / counts.seconds) if counts.seconds else 0,
    )  # fmt: skip
    last = query.lastProgress
    metrics = (last["sources"][0].get("metrics") or {}) if last and last["sources"] else {}
    behind = {"maxOffsetsBehindLatest": "lag_offsets", "numFilesOutstanding": "lag_files", "numBytesOutstanding": "lag_bytes"}
    # Spark tells the lag once a batch has run; without a batch there was nothing to come.
    lake.run.note(**({name: metrics[key] for key, name in behind.items() if key in metrics} or {"lag": 0}))


def translated(text: str, conf: StreamEventsConf, stream: Stream) -> ShoalError | None:
    """What a failure of the source means, by its text, to the one who ran the job; None for what is none of these."""
    lost = ("failOnDataLoss", "OffsetOutOfRange", "data may have been lost", "offset was changed from")
    if any(mark in text for mark in lost):
        return InputError(
            f"{stream.name}: the topic no longer has messages that were not read yet (or was made anew); "
            "--replay begins at the earliest that it has, without doubles; what it lost is lost"
        )
    return refusal(text, conf) if conf.source == "kafka" else None


def note_unreadable(lake: Lake, conf: StreamEventsConf) -> None:
    """Name the files of the folder whose names are not UTF-8 in the run's tags and the log: Spark does not see them."""
    names = unreadable_names(conf.input) if conf.source == "files" and conf.input else []
    if names:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        lake.run.note(unreadable_files=f"{len(names)}: {shown}; the name is not UTF-8, rename the file")
        LOG.warning("%s: the name is not UTF-8, and Spark does not see the file; rename it", shown)


def run(lake: Lake, conf: StreamEventsConf, as_of: date, *, replay: bool = False) -> None:
    """Bring what the stream has, from where it was left."""
    name = stream_name(conf)
    # Option values are in the plan, and a plan is in error messages.
    lake.spark.conf.set("spark.sql.redaction.options.regex", "(?i)url|password|secret|jaas|token|keystore")
    if conf.source == "kafka":
        # Mistakes in settings come before anything is written.
        source_options(conf, os.environ, earliest=True)
        reach(conf.bootstrap_servers or "")
        refuse_unreadable(lake.spark, conf, os.environ)
    check_pseudonymisation(lake)
    refuse_unknown_pattern(lake.spark, lake.settings.ingest)
    stream = open_stream(lake, conf, name, replay)
    lake.run.note(stream=name, generation=stream.generation, trigger=conf.trigger)
    counts, failed = Counts(), []
    # Parts of one form have the same fields.
    part, ingest = stream.parts[0], lake.settings.ingest
    pairs, seen, names = json_pairs(part, ingest), seen_names(lake.spark), [field.name for field in part.fields]

    def load(arrived: DataFrame, number: int) -> None:
        try:
            if conf.source == "kafka":
                records = read_messages(arrived, pairs, names, ingest, seen, not takes_unknown(part))
            else:
                note_unreadable(lake, conf)
                records = read_files(lake, arrived, part, ingest, seen)
            load_batch(lake, stream, records, number, as_of, counts)
            if seen.value:
                lake.run.note(events_columns_left_raw=", ".join(sorted(seen.value)))
        except Exception as error:
            failed.append(error)
            raise

    note_unreadable(lake, conf)
    query = started(read_stream(lake, conf, stream), conf, stream, load)
    try:
        follow(query, conf)
    except StreamingQueryException as error:
        cause = failed[0] if failed else error
        if isinstance(cause, ShoalError):
            raise cause from None
        raise as_told(cause, conf, os.environ, lambda text, conf: translated(text, conf, stream)) or cause from None
    finally:
        if query.isActive:
            query.stop()
        note_progress(lake, query, counts)


def started(arrived: DataFrame, conf: StreamEventsConf, stream: Stream, load: Callable[[DataFrame, int], None]) -> StreamingQuery:
    """The running query, with the stream's checkpoint and trigger."""
    writer = arrived.writeStream.foreachBatch(load).option("checkpointLocation", stream.folder).queryName(stream.app)
    if conf.trigger == "available_now":
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{conf.trigger} seconds").start()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, StreamEventsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
