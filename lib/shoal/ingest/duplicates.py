"""Which records have a key that another record, or silver, has already. Batch and stream share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.lake.contract import Contract

# Keys of a batch up to this number are sent to where silver's rows are: 8 bytes each, some tens of MB with their index.
BROADCAST_ROWS = 1_000_000
# Key hashes that one task sorts: 32 MB.
HASHES_PER_TASK = 4_000_000


def repeated(hashes: DataFrame, rows: int) -> DataFrame:
    """The values of the bigint column `_h` that more than one of the `rows` rows have, each once.

    One shuffle of 8 bytes a row, then a sort in numpy, HASHES_PER_TASK at a time: a third of the time of groupBy and count.
    """

    def found(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts = [batch.column(0).to_numpy() for batch in batches]
        values = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
        twice = np.unique(values[1:][values[1:] == values[:-1]])
        yield pa.RecordBatch.from_arrays([pa.array(twice, pa.int64())], names=["_h"])

    return hashes.repartition(rows // HASHES_PER_TASK + 2, "_h").mapInArrow(found, "_h bigint")


def with_hashes(sound: DataFrame, made: Contract) -> DataFrame:
    """`sound` with `_h`, a hash of the key, and `_content`, one of all values; null and nothing are different contents."""
    content = [name for name in made.columns if name not in ("source", "run_id")]
    nulls = [F.col(name).isNull() for name in content if made.columns[name].null]
    return sound.withColumns({"_h": F.xxhash64(*made.key), "_content": F.xxhash64(*content, *nulls)})


def duplicates_within(hashed: DataFrame, made: Contract, twice: DataFrame) -> DataFrame:
    """The records whose key an earlier record of the batch, by file and line, has: _file, _line, verdict, reason.

    The verdict is `duplicate` where all values are equal, else `conflict`. Only records with a key hash in `twice` are sorted.
    """
    order = Window.partitionBy(*made.key).orderBy("_file", "_line")
    first = F.first(F.struct("_content", "_file", "_line")).over(order)
    groups = hashed.join(twice, "_h", "left_semi").select("_file", "_line", "_content", first.alias("_first"))
    later = groups.where((F.col("_file") != F.col("_first._file")) | (F.col("_line") != F.col("_first._line")))
    same = F.when(F.col("_content") == F.col("_first._content"), "duplicate").otherwise("conflict")
    where = F.concat(F.col("_first._file"), F.lit(":"), F.col("_first._line"))
    reason = F.concat(F.lit(f"{', '.join(made.key)}: the same key with other values is at "), where)
    return later.select("_file", "_line", same.alias("verdict"), reason.alias("reason"))


def where_keys_may_be(silver: DataFrame, sound: DataFrame, source: str, column: str) -> DataFrame:
    """Silver's rows that may have a key of the `sound` records, whose keys are derived from that column, a time, as are all of the
    `source`: within their times, and all of other sources, which may have keys of their own. Cost: a job over the column."""
    first, last = sound.select(F.unix_micros(column).alias("_at")).agg(F.min("_at"), F.max("_at")).collect()[0]
    within = F.col(column).between(*[F.timestamp_micros(F.lit(end)) for end in (first, last)])
    # A record without a time has a key that another one without a time may have.
    return silver.where(within | F.col(column).isNull() | (F.col("source") != source))


def is_any_in(silver: DataFrame, hashed: DataFrame, made: Contract, rows: int) -> bool:
    """Whether silver has a key of the `rows` records in `hashed`, or one of the same hash: nearly always not, and then no more
    is read than silver's key columns. Cost: a scan of these; of up to BROADCAST_ROWS records 8 bytes each are sent to where
    they are, of more both are shuffled."""
    keys = hashed.select("_h")
    near = silver.select(F.xxhash64(*made.key).alias("_h")).join(_sent(keys, rows), "_h", "left_semi")
    return not near.isEmpty()


def duplicates_in_silver(
    hashed: DataFrame,
    made: Contract,
    silver: DataFrame,
    with_open: Callable[[DataFrame], DataFrame],
    keeps_newest: bool,
    rows: int,
) -> DataFrame:
    """The records whose key silver has: _file, _line, verdict, reason.

    The verdict is `duplicate` where all values are equal; `adopted` where, besides, the row's `_is_open` is true, which `with_open`
    adds by its _source and _run: a run wrote it that was killed before it could count the row. Other values are a `conflict`, or
    nothing where the newest is kept.
    """
    near = with_hashes(silver, made).join(_sent(hashed.select("_h").distinct(), rows), "_h", "left_semi")
    writer = (F.col("run_id").alias("_run"), F.col("source").alias("_source"))
    known = with_open(near.select(*made.key, F.col("_content").alias("_known"), *writer))
    met = hashed.select("_file", "_line", "_content", *made.key).join(known, made.key)
    equal = F.col("_content") == F.col("_known")
    verdict = F.when(equal & F.col("_is_open"), "adopted").when(equal, "duplicate").otherwise("conflict")
    reason = F.lit(f"{', '.join(made.key)}: {made.name} has this key with other values")
    found = met.select("_file", "_line", verdict.alias("verdict"), reason.alias("reason"))
    return found.where("verdict != 'conflict'") if keeps_newest else found


def _sent(keys: DataFrame, rows: int) -> DataFrame:
    """The batch is mostly the small side: it goes to silver's rows, not they to it."""
    return F.broadcast(keys) if rows <= BROADCAST_ROWS else keys
