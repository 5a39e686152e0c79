"""A stream and its checkpoint: which one a run resumes from, and why it cannot."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from shoal.conf.addresses import is_uri
from shoal.conf.sections import StreamEventsConf
from shoal.errors import InputError, UsageError
from shoal.ingest.record_type import RecordType
from shoal.ingest.streaming.checkpoints import has_content, local_checkpoint, read_checkpoint
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.spark import hadoop_files

EVENTS = "events"


@dataclass(frozen=True)
class Stream:
    """A stream with the checkpoint that it resumes from. `app` names both in Delta's transactions and in batch ids. record_types:
    each record is of one of these, all of which have the same fields."""

    name: str
    generation: int
    folder: str
    is_replay: bool
    opened_by: str
    record_type: str
    record_types: tuple[RecordType, ...]

    @property
    def source(self) -> str:
        """The source that rows of the stream name."""
        return f"{self.record_type}_stream"

    @property
    def app(self) -> str:
        """The stream, the generation of its checkpoint, and the end of the run's id that began it: no two checkpoints ever have
        the same, or Delta would take the new one's batches for done."""
        return f"{stream_key(self.name)}-g{self.generation}-{self.opened_by[-8:]}"

    def batch_id(self, number: int) -> str:
        """The id of a batch: sorts by number, and is the same whenever that batch is done again."""
        return f"{self.app}-{number:09d}"


def stream_key(name: str) -> str:
    """Twelve hex digits of a stream's name: its batch ids begin with them, its checkpoints lie in a folder of that name."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def stream_name(spark: SparkSession, conf: StreamEventsConf) -> str:
    """What the stream is known by: kafka:TOPIC or files:FOLDER, with the record type where it is not events: read as another record
    type, the same topic is another stream. Raises UsageError where the setting is missing, InputError where the folder is."""
    suffix = "" if conf.record_type == EVENTS else f" as {conf.record_type}"
    if conf.source == "kafka":
        return f"kafka:{conf.topic}{suffix}"
    if not conf.input:
        raise UsageError("source=files needs a folder: --set input=FOLDER")
    is_there = hadoop_files.is_folder(spark, conf.input) if is_uri(conf.input) else Path(conf.input).is_dir()
    if not is_there:
        raise InputError(f"{conf.input}: no such folder; the stream reads the files that are put there")
    return f"files:{input_folder(conf)}{suffix}"


def input_folder(conf: StreamEventsConf) -> str:
    """The folder that a stream of files reads: an absolute local path, or the URI without a trailing slash."""
    given = conf.input or ""
    return given.rstrip("/") if is_uri(given) else str(Path(given).resolve())


def checkpoint_folder(lake: Lake, conf: StreamEventsConf, name: str) -> str:
    """The folder of the stream's checkpoints, a path or a URI. Raises UsageError with a catalog and no folder named."""
    if conf.checkpoint_location is None and lake.settings.lake.catalog:
        raise UsageError("a catalog has no folder for checkpoints: --set checkpoint_location=/Volumes/<catalog>/<schema>/<volume>")
    base = (conf.checkpoint_location or f"{lake.address}/.checkpoints").rstrip("/")
    return f"{base}/stream_events/{stream_key(name)}"


def open_stream(lake: Lake, conf: StreamEventsConf, name: str, record_types: tuple[RecordType, ...], replay: bool) -> Stream:
    """The stream with the checkpoint to resume from; a new one for a new stream and with `replay`.

    Raises InputError, with the way out, where the lake knows the stream and the checkpoint is lost, damaged or older than
    what the lake has, or where the checkpoint knows a stream that the lake does not: to resume would lose or skip events.
    """
    base, known = checkpoint_folder(lake, conf, name), None
    if lake.exists("ops.streams"):
        # One row a generation.
        rows = (
            lake.read_current("ops.streams")
            .where(F.col("stream") == name)
            .orderBy(F.desc("checkpoint_generation"))
            .limit(1)
            .collect()
        )
        known = rows[0] if rows else None
    if known is None and not replay:
        traces = [base] if has_content(lake.spark, base) else []
        traces += [
            f"rows in {record_type.bronze}" for record_type in record_types if has_batches(lake, record_type, stream_key(name))
        ]
        if traces:
            raise InputError(
                f"{name}: there are {' and '.join(traces)} that ops.streams of this lake does not have; tables were made anew "
                "or come from elsewhere; --replay reads everything from the earliest offset on, without doubles"
            )
    if known is None or replay:
        number = (known["checkpoint_generation"] if known else 0) + 1
        while has_content(lake.spark, f"{base}/g{number}"):
            number += 1
        stream = Stream(name, number, f"{base}/g{number}", replay, lake.run.run_id, conf.record_type, record_types)
        types = ", ".join(f"{n} {c.type}" for n, c in contract("ops.streams").columns.items() if n != "run_id")
        row = (name, number, stream.folder, replay, lake.run.started_at)
        lake.insert_if_absent("ops.streams", lake.spark.createDataFrame([row], types))
        return stream
    folder = f"{base}/g{known['checkpoint_generation']}"
    stream = Stream(
        name, known["checkpoint_generation"], folder, known["is_replay"], known["run_id"], conf.record_type, record_types
    )
    fault = checkpoint_fault(lake, stream)
    if fault:
        raise InputError(
            f"{stream.folder}: cannot resume from checkpoint of {name}: {fault}; put it back as it was, "
            f"or run again with --replay, which reads everything from the earliest offset on, without doubles"
        )
    return stream


def checkpoint_fault(lake: Lake, stream: Stream) -> str:
    """Why the stream cannot resume from its checkpoint; "" where it can."""
    last = last_batch(lake, stream)
    begun = last >= 0 or any(has_batches(lake, record_type, stream.app) for record_type in stream.record_types)
    with local_checkpoint(lake.spark, stream.folder) as folder:
        checkpoint, fault = read_checkpoint(folder)
    if checkpoint is None:
        # Nothing was begun with it: the run that opened the stream was killed before its first batch.
        return fault if begun or has_content(lake.spark, stream.folder) else ""
    if checkpoint.planned < last:
        return f"it ends with batch {checkpoint.planned}, the lake has batch {last}: it is an older copy"
    # A batch that is done has made all of them, with rows or without.
    missing = [
        name
        for record_type in stream.record_types
        for name in (record_type.bronze, record_type.silver)
        if last >= 0 and not lake.exists(name)
    ]
    return f"the lake has lost {' and '.join(missing)}, which the stream had written to" if missing else ""


def last_batch(lake: Lake, stream: Stream) -> int:
    """The number of the last batch that ops.stream_batches has of this checkpoint; -1 for none."""
    if not lake.exists("ops.stream_batches"):
        return -1
    rows = lake.read_current("ops.stream_batches").where(
        (F.col("stream") == stream.name) & (F.col("checkpoint_generation") == stream.generation)
    )
    found = rows.agg(F.max("batch_number").alias("last")).collect()[0]["last"]
    return -1 if found is None else int(found)


def has_batches(lake: Lake, record_type: RecordType, beginning: str) -> bool:
    """Whether the record type's bronze has rows of batches, done or begun, whose id begins with that and a hyphen; read by file
    statistics on _batch_id."""
    if not lake.exists(record_type.bronze):
        return False
    rows = lake.read_current(record_type.bronze).where(F.col("_batch_id").between(f"{beginning}-", f"{beginning}-~"))
    return bool(rows.limit(1).count())
