"""Which pictures must be opened: those whose file is new or another one since they were described."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.mine.image.fetching import UNREACHABLE, is_url

# What the record of a picture's file says where the file was looked at; `listed` and `remote` ones are not on these disks.
LOOKED_AT = ("found", "missing", "damaged")
REMOTE = "remote"


def with_file_state(images: DataFrame, with_remote: bool = False) -> DataFrame:
    """The rows of silver.images that are files: image_id, item_id, path, file_bytes and modified_at (UTC); both null for no such
    file. With `with_remote` pictures by URL too, both null.

    One look at each file's entry, none into it. No shuffle.
    """

    def looked_at(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = [(None, None) if is_url(path) else _state(path) for path in batch.column(2).to_pylist()]
            sizes, times = pa.array([size for size, _ in found], pa.int64()), [time for _, time in found]
            state = [sizes, pa.array(times, pa.timestamp("us", tz="UTC"))]
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *state], names=["image_id", "item_id", "path", "file_bytes", "modified_at"]
            )

    wanted = F.col("status").isin(*LOOKED_AT)
    if with_remote:
        wanted |= (F.col("status") == REMOTE) & F.lower("path").rlike("^https?://")
    files = images.where(wanted).select("image_id", "item_id", "path")
    schema = "image_id string, item_id string, path string, file_bytes bigint, modified_at timestamp"
    return files.mapInArrow(looked_at, schema)


def pictures_to_open(files: DataFrame, held: DataFrame | None, version: str) -> DataFrame:
    """Those of `files` (`with_file_state`) that `held` (features.images) has not described by this `version` with the same item,
    path, size and time. A URL that did not answer is asked again. One shuffle, none where nothing is held."""
    if held is None:
        return files
    same = ("image_id", "item_id", "path", "file_bytes", "modified_at")
    current = held.where(F.col("is_current") & (F.col("model_version") == version) & (F.col("status") != UNREACHABLE))
    known = current.select(*[F.col(name).alias(f"_{name}") for name in same])
    # Spark finds no hash join in null-safe equalities alone.
    meets = F.col("image_id") == F.col("_image_id")
    for name in same[1:]:
        meets &= F.col(name).eqNullSafe(F.col(f"_{name}"))
    return files.join(known, meets, "left_anti")


def _state(path: str) -> tuple[int | None, datetime | None]:
    """Bytes and time of a file; a path that cannot be one is no file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None, None
    return found.st_size, datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, tz=timezone.utc)
