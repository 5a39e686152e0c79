"""Stream events from a growing folder or a Kafka topic into the lake, batch by batch, each event once.

Reads:  the folder stream_events.input, or the topic stream_events.topic, from where the stream's checkpoint says; ops.streams
Writes: bronze.events        one row per message or record, sound or not; _file is topic/partition, _line the offset
        silver.interactions  one row per event that it did not have
        bronze.edges         with record_type=twitter_activity: one row per message that is a follow
        silver.follows       and one row per pair, new or renewed
        ops.quarantine       one row per rejected message, with rule, reason, topic/partition, offset and the raw text
        ops.stream_batches   one row per batch, last of all
        ops.streams          one row per checkpoint that the stream began with

Parser, validation and triage are those of `shoal ingest --source events`, or with record_type=twitter_activity of that source's
activity. A batch is done in this order: bronze, quarantine, silver (by event_id; the same for follows), ops.stream_batches, and
then Spark's own commit in the checkpoint. Every write can be repeated without a double: bronze and silver carry Delta transaction
ids, quarantine is replaced where an earlier attempt may have written to it. So a batch that was killed anywhere is done again from
the start. A stream whose checkpoint is lost or damaged does not start: --replay begins a new one at the earliest offsets, and what
is read again replaces what was read before.
Cost of a batch: one pass over it for bronze, two over its new bronze rows, a scan of silver's keys, four commits.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import StreamEventsConf
from shoal.ingest.sources.catalogue import STREAMED
from shoal.ingest.streaming.query import run_stream
from shoal.lake.lake import Lake
from shoal.runner.command import run_job

READS = ("ops.streams",)
WRITES = (
    "bronze.events", "silver.interactions", "bronze.edges", "silver.follows", "ops.quarantine", "ops.stream_batches", "ops.streams",
)  # fmt: skip
SETTINGS = ("ingest", "privacy")


def run(lake: Lake, conf: StreamEventsConf, as_of: date, *, replay: bool = False) -> None:
    """Write what the stream has, from where it was left."""
    run_stream(lake, conf, as_of, STREAMED[conf.record_type], replay)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, StreamEventsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
