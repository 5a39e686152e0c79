"""Kafka messages to records: the value is a JSON object, read as a line of a JSON lines file is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Accumulator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.formats.json_objects import Left, Row, json_record, read_alike
from shoal.ingest.formats.parsing import KEPT_BYTES, batch_schema, slow_batch


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
            yield from message_batches(batch, taken, wanted, max_bytes, left)
        seen.add(left.names)

    made = ", ".join(f"`{name}` string" for name in ("raw", "_rule", "_reason", *names))
    placed = messages.select(
        F.concat_ws("/", "topic", F.col("partition").cast("string")).alias("_file"), F.col("offset").alias("_line"), "value"
    )
    return placed.mapInArrow(parsed, f"_file string, _line bigint, {made}")


def message_batches(
    batch: pa.RecordBatch, pairs: Sequence[str], names: Sequence[str], max_bytes: int, left: Left
) -> Iterator[pa.RecordBatch]:
    """The records of the messages (_file, _line, value), in some order: as `message_record` makes them, those of the same names
    together."""
    columns = ["_file", *batch_schema(names).names]
    files, lines, values = batch.columns
    # A missing value is not of any length.
    fit = np.flatnonzero(pc.fill_null(pc.less_equal(pc.binary_length(values), max_bytes), False).to_numpy(zero_copy_only=False))
    others = np.setdiff1d(np.arange(len(values)), fit)
    try:
        texts = values.take(pa.array(fit)).cast(pa.string())
    except pa.ArrowInvalid:
        # Some are no UTF-8.
        others = np.arange(len(values))
    else:
        alike, singly = read_alike(texts, pairs, names, left)
        for each in alike:
            at = pa.array(fit[each.places])
            found = [files.take(at), lines.take(at), texts.take(pa.array(each.places)), *each.columns]
            yield pa.RecordBatch.from_arrays(found, names=columns)
        others = np.sort(np.concatenate([others, fit[singly]]))
    if len(others):
        at = pa.array(others)
        places = zip(lines.take(at).to_pylist(), values.take(at).to_pylist(), strict=True)
        rows = [(line, *message_record(value, pairs, max_bytes, left)) for line, value in places]
        yield pa.RecordBatch.from_arrays([files.take(at), *slow_batch(rows, names).columns], names=columns)


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
