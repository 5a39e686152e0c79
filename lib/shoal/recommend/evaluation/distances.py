"""How far apart the items of a list are: intra-list diversity (Smyth and McClave, ICCBR 2001; Ziegler et al., WWW 2005).

The distance of two items is 1 - cosine of their vectors: TF-IDF terms where it is known what items are about, else who met
them. docs/metrics.md has the definition with an example.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix, diags

from shoal.arrays import Doubles
from shoal.errors import InputError
from shoal.recommend.candidates.content import ContentSettings, as_content, content_terms

# Vectors of the listed items, on the driver and in each worker: 12 bytes a number.
MAX_VECTOR_BYTES = 1 << 30
# Lists that are summed at once: 64 x 20 items that 10,000 users met are 150 MB.
LISTS = 64


@dataclass(frozen=True)
class Vectors:
    """Items on a worker: ids in string order, and a row of length 1 each."""

    ids: pa.StringArray
    rows: csr_matrix


def content_vectors(items: DataFrame, settings: ContentSettings) -> DataFrame:
    """One row per item with a term that counts: item_id, `places` (array<bigint>), `weights` (array<float>): TF-IDF.

    `items`: as for `content_terms`. Cost: that of `as_content`.
    """
    content = as_content(content_terms(items), settings)
    return content.select("item_id", F.col("terms").cast("array<bigint>").alias("places"), "weights")


def user_vectors(history: DataFrame) -> DataFrame:
    """One row per item: item_id, `places` (the users who met it, hashed), `weights`, all 1; so that the cosine of two items is
    their co-occurrence, c / sqrt(n_i n_j).

    `history`: user_id, item_id; repeated rows count once. Cost: one shuffle by item.
    """
    users = history.groupBy("item_id").agg(F.array_sort(F.collect_set(F.xxhash64("user_id"))).alias("places"))
    return users.withColumn("weights", F.transform("places", lambda _: F.lit(1.0).cast("float")))


def intra_list_diversity(lists: DataFrame, vectors: DataFrame, ks: Sequence[int], models: Sequence[str]) -> DataFrame:
    """One row per model of `models`: `intra_list_diversity@<k>`, the mean over its lists of the mean distance of all pairs of
    items within k. 0..1, null for a model without a list of two.

    `lists`: model, user_id, rank, item_id; an item listed twice counts once. `vectors`: item_id, places, weights; an item
    that it does not have is like nothing: at distance 1. A list of one item has no pair and does not count. Raises
    InputError where the vectors of the listed items take over 1 GiB. Cost: collects these, size asked for first, and
    broadcasts them; one shuffle of the lists.
    """
    listed = lists.where(F.col("rank") <= max(ks))
    shared = lists.sparkSession.sparkContext.broadcast(collect_vectors(vectors, listed))
    entry = F.struct(F.col("rank").cast("int").alias("rank"), "item_id")
    together = listed.groupBy("model", "user_id").agg(F.array_sort(F.collect_list(entry)).alias("_list"))
    names = [f"_{k}" for k in ks]

    def judged(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, LISTS):
                part = batch.slice(start, LISTS)
                items, ranks = part.column("items"), part.column("ranks")
                owner = np.repeat(np.arange(len(items)), pc.list_value_length(items).to_numpy())
                found = [pa.array(one, pa.float64(), from_pandas=True) for one in diversity_of_lists(
                    shared.value, owner, items.flatten(), ranks.flatten().to_numpy(), ks, len(items)
                )]  # fmt: skip
                yield pa.RecordBatch.from_arrays([part.column("model"), *found], names=["model", *names])

    flat = together.select("model", F.col("_list.item_id").alias("items"), F.col("_list.rank").alias("ranks"))
    each = flat.mapInArrow(judged, ", ".join(["model string", *[f"{name} double" for name in names]]))
    means = each.groupBy("model").agg(*[F.avg(f"_{k}").alias(f"intra_list_diversity@{k}") for k in ks])
    asked = lists.sparkSession.createDataFrame([(model,) for model in models], "model string")
    return asked.join(means, "model", "left")


def diversity_of_lists(
    vectors: Vectors, owner: np.ndarray, items: pa.StringArray, ranks: np.ndarray, ks: Sequence[int], lists: int
) -> list[Doubles]:
    """For each k a number per list, NaN without two items. `owner`: the list of each place, ascending; ranks ascend in a list.

    Of unit vectors the cosines of all pairs sum to (|sum of the vectors|^2 - their number) / 2: no pair is looked at.
    """
    codes = pc.dictionary_encode(items).indices.to_numpy().astype(np.int64)
    # The first place of an item in its list.
    _, first = np.unique(owner * (len(items) + 1) + codes, return_index=True)
    owner, items, ranks = owner[first], items.take(pa.array(first)), ranks[first]
    index = pc.fill_null(pc.index_in(items, value_set=vectors.ids), -1).to_numpy()
    found = []
    for k in ks:
        within = ranks <= k
        number = np.bincount(owner[within], minlength=lists).astype(np.float64)
        known = within & (index >= 0)
        chosen = csr_matrix((np.ones(known.sum()), (owner[known], index[known])), (lists, len(vectors.ids)))
        sums = chosen @ vectors.rows
        squares = np.asarray(sums.multiply(sums).sum(axis=1)).ravel()
        pairs = number * (number - 1)
        likeness = (squares - np.bincount(owner[known], minlength=lists)) / np.where(pairs, pairs, np.nan)
        found.append(np.clip(1.0 - likeness, 0.0, 1.0))
    return found


def collect_vectors(vectors: DataFrame, listed: DataFrame) -> Vectors:
    """The vectors of the items that `listed` (item_id) names, on the driver, each of length 1. See `intra_list_diversity`."""
    rows = vectors.join(listed.select("item_id").distinct(), "item_id", "left_semi").persist()
    try:
        size = rows.agg(F.sum(F.size("places"))).collect()[0][0] or 0
        if size * 12 > MAX_VECTOR_BYTES:
            raise InputError(f"intra-list diversity: {size:,} numbers of items take over {MAX_VECTOR_BYTES >> 30} GiB")
        batches = rows.select("item_id", "places", "weights")._collect_as_arrow()
    finally:
        rows.unpersist()
    if not size:
        return Vectors(pa.array([], pa.string()), csr_matrix((0, 1)))
    table = pa.Table.from_batches(batches).sort_by("item_id").combine_chunks()
    places, weights = (table.column(name).combine_chunks() for name in ("places", "weights"))
    known, columns = np.unique(places.flatten().to_numpy(), return_inverse=True)
    ends = np.concatenate([[0], np.cumsum(pc.list_value_length(places).to_numpy())])
    matrix = csr_matrix((weights.flatten().to_numpy().astype(np.float64), columns, ends), (len(table), len(known)))
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    units = diags(1.0 / np.where(lengths > 0, lengths, 1.0)) @ matrix
    return Vectors(table.column("item_id").combine_chunks(), csr_matrix(units))
