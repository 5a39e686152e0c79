"""Kafka messages to records: the value is a JSON object, read as a line of a JSON lines file is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark import Accumulator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf import IngestConf
from shoal.sources.parsing import KEPT_BYTES, Left, Row, json_record

_PLACES = ("_file", "_line")


def read_messages(
    messages: DataFrame, pairs: Sequence[str], names: Sequence[str], conf: IngestConf, seen: Accumulator[set[str]], refuse: bool
) -> DataFrame:
    """Every message (topic, partition, offset, value) as a record: _file, _line, raw, _rule and _reason (null for a sound
    form), then `names` as strings. `_file` is topic/partition, `_line` the offset, which together name a message for good.

    `pairs` (`theirs=ours`) say which names of the JSON become which of ours. A message without a value, or with an empty
    one, is a record like any other: bad_json. `seen` and `refuse`: see `read_records`. Narrow: no shuffle.
    """
    taken, wanted, max_bytes = tuple(pairs), list(names), conf.max_record_bytes

    def parsed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        left = Left(refuse)
        for batch in batches:
            rows = [message_record(value, taken, max_bytes, left) for value in batch.column(2).to_pylist()]
            texts = [pa.array([row[i] for row in rows], pa.string()) for i in (0, 1, 2)]
            found = [row[3] or {} for row in rows]
            fields = [pa.array([each.get(name) for each in found], pa.string()) for name in wanted]
            columns = [batch.column(0), batch.column(1), *texts, *fields]
            yield pa.RecordBatch.from_arrays(columns, names=[*_PLACES, "raw", "_rule", "_reason", *wanted])
        seen.add(left.names)

    made = ", ".join(f"`{name}` string" for name in ("raw", "_rule", "_reason", *names))
    placed = messages.select(
        F.concat_ws("/", "topic", F.col("partition").cast("string")).alias("_file"), F.col("offset").alias("_line"), "value"
    )
    return placed.mapInArrow(parsed, f"_file string, _line bigint, {made}")


def message_record(value: bytes | None, pairs: Sequence[str], max_bytes: int, left: Left) -> Row:
    """One message: (raw, rule, reason, fields); raw is the value as text, what is no UTF-8 in it as \\xNN."""
    if value is None:
        return "", "bad_json", "the message has no value; expected a JSON object", None
    if len(value) > max_bytes:
        kept = min(KEPT_BYTES, max_bytes)
        reason = f"a record of {len(value):,} bytes; expected at most {max_bytes:,}; the first {kept:,} are kept"
        return value[:kept].decode("utf-8", "backslashreplace"), "record_too_long", reason, None
    try:
        raw = value.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte 0x{value[error.start : error.end].hex()} at {error.start}; expected UTF-8"
        return value.decode("utf-8", "backslashreplace"), "bad_encoding", reason, None
    return json_record(raw, pairs, left)
