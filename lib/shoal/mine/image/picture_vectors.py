"""Items by what they look like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.mine.image.descriptor import LENGTH, descriptor

# Of an item with many pictures so many are tried until one can be read.
TRIED = 3


def picture_vectors(images: DataFrame, max_pixels: int) -> DataFrame:
    """One row per item with a picture that can be read: item_id, features (array<float>, see `shoal.mine.image.descriptor`).

    `images`: item_id, path, status, as in silver.images; only those that were `found` on this machine's disks are opened, none
    is fetched. Of several the first by path counts that can be read, of the first TRIED. A picture that is gone or damaged since is
    passed over. Cost: one shuffle by item; some milliseconds a picture; a task holds one picture.
    """
    paths = images.where("status = 'found'").groupBy("item_id").agg(F.array_sort(F.collect_set("path")).alias("paths"))
    tried = paths.select("item_id", F.slice("paths", 1, TRIED).alias("paths"))

    def looked_at(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            items, found = [], []
            for item, some in zip(batch.column("item_id").to_pylist(), batch.column("paths").to_pylist(), strict=True):
                made = next((one for one in (descriptor(path, max_pixels) for path in some) if one is not None), None)
                if made is not None:
                    items.append(item)
                    found.append(made)
            values = pa.array(np.concatenate([np.empty(0, np.float32), *found]), pa.float32())
            features = pa.ListArray.from_arrays(pa.array(np.arange(len(items) + 1) * LENGTH, pa.int32()), values)
            yield pa.RecordBatch.from_arrays([pa.array(items, pa.string()), features], names=["item_id", "features"])

    # Decoding is the work: adaptive execution would give few paths to one task.
    spread = tried.repartition(images.sparkSession.sparkContext.defaultParallelism, "item_id")
    return spread.mapInArrow(looked_at, "item_id string, features array<float>")
