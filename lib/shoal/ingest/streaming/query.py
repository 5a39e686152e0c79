"""A stream's query: what it reads, how it runs and ends, and what its failures mean."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import date

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from shoal.conf.addresses import is_uri
from shoal.conf.sections import StreamEventsConf
from shoal.errors import InputError, ShoalError
from shoal.ingest.columns import json_pairs, takes_unknown
from shoal.ingest.fields import refuse_unknown_pattern
from shoal.ingest.formats.listing import unreadable_names
from shoal.ingest.formats.messages import read_messages
from shoal.ingest.formats.reading import seen_names
from shoal.ingest.record_type import RecordType
from shoal.ingest.streaming.batches import Counts, load_batch, read_files
from shoal.ingest.streaming.kafka import as_told, reach, refusal, refuse_unreadable, source_options
from shoal.ingest.streaming.streams import Stream, input_folder, open_stream, stream_name
from shoal.lake.lake import Lake
from shoal.privacy.guard import check_pseudonymisation

LOG = logging.getLogger(__name__)
# Schema of Spark's binaryFile; `content` is never asked for, so that a file is only listed.
_LISTING = "path string, modificationTime timestamp, length long, content binary"


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
    return reader.option("maxFilesPerTrigger", conf.max_files_per_trigger).load(input_folder(conf)).select("path", "length")


def note_unreadable(lake: Lake, conf: StreamEventsConf) -> None:
    """Name the files of the folder whose names are not UTF-8 in the run's tags and the log: Spark does not see them."""
    names = unreadable_names(conf.input) if conf.source == "files" and conf.input and not is_uri(conf.input) else []
    if names:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        lake.run.note(unreadable_files=f"{len(names)}: {shown}; the name is not UTF-8, rename the file")
        LOG.warning("%s: the name is not UTF-8, and Spark does not see the file; rename it", shown)


def follow(query: StreamingQuery, conf: StreamEventsConf) -> None:
    """Wait for the stream's end: of what there was (available_now), or of stream_events.max_run_seconds, or an interrupt."""
    if conf.trigger == "available_now":
        query.awaitTermination()
        return
    try:
        if conf.max_run_seconds is None:
            query.awaitTermination()
            return
        if not query.awaitTermination(max(1, round(conf.max_run_seconds))):
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
    """Return the message for a known failure of the source, recognised by its text; None for any other."""
    lost = ("failOnDataLoss", "OffsetOutOfRange", "data may have been lost", "offset was changed from")
    if any(mark in text for mark in lost):
        return InputError(
            f"{stream.name}: the topic no longer has messages that were not read yet (or was made anew); "
            "--replay begins at the earliest that it has, without doubles; what it lost is lost"
        )
    return refusal(text, conf) if conf.source == "kafka" else None


def started(arrived: DataFrame, conf: StreamEventsConf, stream: Stream, load: Callable[[DataFrame, int], None]) -> StreamingQuery:
    """The running query, with the stream's checkpoint and trigger."""
    writer = arrived.writeStream.foreachBatch(load).option("checkpointLocation", stream.folder).queryName(stream.app)
    if conf.trigger == "available_now":
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{conf.trigger} seconds").start()


def run_stream(lake: Lake, conf: StreamEventsConf, as_of: date, record_types: tuple[RecordType, ...], replay: bool = False) -> None:
    """Write what the stream has, from where it was left; see jobs/ingest/stream_events.py. `record_types` have the same fields, and
    each record is of one of them."""
    name = stream_name(lake.spark, conf)
    # Option values are in the plan, and a plan is in error messages.
    lake.spark.conf.set("spark.sql.redaction.options.regex", "(?i)url|password|secret|jaas|token|keystore")
    if conf.source == "kafka":
        # Mistakes in settings come before anything is written.
        source_options(conf, os.environ, earliest=True)
        reach(conf.bootstrap_servers or "")
        refuse_unreadable(lake.spark, conf, os.environ)
    check_pseudonymisation(lake)
    refuse_unknown_pattern(lake.spark, lake.settings.ingest)
    stream = open_stream(lake, conf, name, record_types, replay)
    lake.run.note(stream=name, checkpoint_generation=stream.generation, trigger=conf.trigger)
    counts, failed = Counts(), []
    first, ingest = record_types[0], lake.settings.ingest
    pairs, seen, names = json_pairs(first, ingest), seen_names(lake.spark), [field.name for field in first.fields]

    def load(arrived: DataFrame, number: int) -> None:
        try:
            if conf.source == "kafka":
                records = read_messages(arrived, pairs, names, ingest, seen, not takes_unknown(first))
            else:
                note_unreadable(lake, conf)
                records = read_files(lake, arrived, first, ingest, seen)
            load_batch(lake, stream, records, number, as_of, counts)
            if seen.value:
                lake.run.note(events_unmapped_columns=", ".join(sorted(seen.value)))
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
