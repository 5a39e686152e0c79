"""What an item is about, as TF-IDF terms, and what that says of who will like it: for items that no user has met yet.

Terms are words of title and text, categories, hashtags, kind, owner, the half decade of a year in the title, the order of
magnitude of the price. A ridge regression from terms to the factors of items that have events (Gantner et al., Learning
Attribute-to-Feature Mappings for Cold-Start Recommendations, ICDM 2010) gives factors to those that have none; lists of
both then come from the same product with the same users' factors. docs/adr/0042 has the measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.linalg import solve
from scipy.sparse import csr_matrix, diags

from shoal.arrays import Floats
from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.cooccurrence import co_occurrence
from shoal.recommend.candidates.histories import Catalogue, catalogue_of
from shoal.recommend.candidates.neighbours import as_pairs, keep_nearest_sums

# Words, in every script; of a text as long as a book the first 20,000 code points speak for all.
WORD, TEXT_LENGTH = r"([\p{L}\p{N}]+)", 20_000
# A regression on more terms than this takes over 2 GiB for its square.
MAX_TERMS = 16_000
# Weights of the items that the regression learns from, on the driver.
MAX_CONTENT_BYTES = 2 << 30


@dataclass(frozen=True)
class ContentSettings:
    """`max_terms`: those that most items have; `min_items`: items that a term needs; `l2`: of the regression; `vector_weight`: how
    long a vector beside the terms is, 0 for none."""

    max_terms: int
    min_items: int
    l2: float
    vector_weight: float = 0.0


def content_terms(items: DataFrame, words: bool = True) -> DataFrame:
    """One row per item: item_id and `terms`, array<string>, repeated as often as they occur, empty where nothing is known.

    `items`: item_id and any of title, text, categories, hashtags (arrays), kind, owner_id, price_usd. Without `words` those of
    title and text are excluded. Column expressions only.
    """
    nothing = F.array().cast("array<string>")

    def marked(mark: str, value: Column) -> Column:
        return F.when(value.isNotNull(), F.array(F.concat(F.lit(f"{mark}:"), value.cast("string"))))

    def words_of(name: str) -> Column:
        return F.regexp_extract_all(F.lower(F.substring(name, 1, TEXT_LENGTH)), F.lit(WORD), F.lit(1))

    # (1995) ends the title of a film.
    year = F.regexp_extract("title", r"\((\d{4})\)\s*$", 1)
    made = {
        "title": [*([words_of("title")] if words else []), marked("years", F.when(year != "", F.floor(year.cast("int") / 5) * 5))],
        "text": [words_of("text")] if words else [],
        "categories": [F.transform("categories", lambda name: F.concat(F.lit("category:"), F.lower(name)))],
        "hashtags": [F.transform("hashtags", lambda tag: F.concat(F.lit("#"), F.lower(tag)))],
        "kind": [marked("kind", F.col("kind"))] if "kind" in items.columns else [],
        "owner_id": [marked("owner", F.col("owner_id"))] if "owner_id" in items.columns else [],
        "price_usd": [marked("price", F.when(F.col("price_usd") > 0, F.floor(F.log2("price_usd"))))]
        if "price_usd" in items.columns else [],
    }  # fmt: skip
    parts = [F.coalesce(part, nothing) for name, given in made.items() if name in items.columns for part in given]
    terms = F.filter(F.concat(*parts), lambda term: term.isNotNull()) if parts else nothing
    return items.where("item_id is not null").select("item_id", terms.alias("terms"))


def kept_terms(terms: DataFrame, settings: ContentSettings) -> list[str]:
    """The `max_terms` terms that most items have, at least `min_items` of them; ties to the smaller term; in string order. Raises
    UsageError for a max_terms outside 1 to MAX_TERMS. Cost: two shuffles by term."""
    if not 1 <= settings.max_terms <= MAX_TERMS:
        raise UsageError(f"max_terms: {settings.max_terms}; expected 1 to {MAX_TERMS}")
    each = terms.select(F.explode(F.array_distinct("terms")).alias("term"))
    common = each.groupBy("term").agg(F.count(F.lit(1)).alias("items")).where(F.col("items") >= settings.min_items)
    return sorted(row["term"] for row in common.orderBy(F.desc("items"), "term").limit(settings.max_terms).collect())


def as_content(terms: DataFrame, settings: ContentSettings, kept: list[str] | None = None) -> DataFrame:
    """One row per item with a term that counts: item_id, `terms` (array<int>, ascending), `weights` (array<float>).

    `kept`: what `kept_terms` gave, where that was asked before. Numbers of terms: places in it. weight = (1 + ln(count)) x
    (1 + ln((items + 1) / (items with it + 1))) (Manning et al., IR, 2008, sections 6.2.1 and 6.4.1, smoothed); an item whose vector
    is over twice as long as the mean is made that long: a book's text must not count ten captions. Cost: that of `kept_terms`,
    three shuffles by item or term.
    """
    kept = kept_terms(terms, settings) if kept is None else kept
    each = terms.select("item_id", F.explode("terms").alias("term"))
    counted = each.groupBy("item_id", "term").agg(F.count(F.lit(1)).alias("n"))
    common = counted.groupBy("term").agg(F.count(F.lit(1)).alias("items"))
    spark = terms.sparkSession
    numbers = spark.createDataFrame(list(zip(kept, range(len(kept)), strict=True)), "term string, number int")
    total = terms.agg(F.count(F.lit(1)).alias("_all"))
    rarity = 1 + F.log((F.col("_all") + 1) / (F.col("items") + 1))
    known = common.join(F.broadcast(numbers), "term").crossJoin(F.broadcast(total))
    known = known.select("term", "number", rarity.alias("_rarity"))
    weighted = counted.join(F.broadcast(known), "term").withColumn("_weight", ((1 + F.log("n")) * F.col("_rarity")).cast("float"))
    entry = F.array_sort(F.collect_list(F.struct("number", "_weight")))
    rows = weighted.groupBy("item_id").agg(entry.alias("_entries"))
    rows = rows.withColumn("_length", _length("_entries._weight"))
    most = rows.agg((2 * F.avg("_length")).alias("_most"))
    rows = rows.crossJoin(F.broadcast(most))
    # Five digits: a mean depends on the order in which partitions are added.
    share = F.round(F.least(F.lit(1.0), F.col("_most") / F.col("_length")), 5)
    weights = F.transform("_entries._weight", lambda w: (w * share).cast("float"))
    return rows.select("item_id", F.col("_entries.number").alias("terms"), weights.alias("weights"))


def labels_of(items: DataFrame | None, settings: ContentSettings) -> DataFrame | None:
    """`as_content` of items (see `content_terms`) without words of title and text; None where there are none.

    Rare words of titles make a vector's length and say little of taste: docs/adr/0041.
    """
    return None if items is None else as_content(content_terms(items, words=False), settings)


def with_vector_terms(content: DataFrame, vectors: DataFrame, settings: ContentSettings) -> DataFrame:
    """`content` with the numbers of `vectors` (item_id, vector: array<float>, of one length) as further terms: number n is term
    max_terms + n and weighs vector_weight times itself. Who has one of the two only has a row too. Cost: a join by item."""
    joined = content.join(vectors.select("item_id", "vector"), "item_id", "full")
    places = F.transform("vector", lambda _, n: n + F.lit(settings.max_terms))
    longer = F.transform("vector", lambda x: (x * F.lit(settings.vector_weight)).cast("float"))
    none_int, none_float = F.array().cast("array<int>"), F.array().cast("array<float>")
    return joined.select(
        "item_id",
        F.concat(F.coalesce("terms", none_int), F.coalesce(places, none_int)).alias("terms"),
        F.concat(F.coalesce("weights", none_float), F.coalesce(longer, none_float)).alias("weights"),
    )


def fit_mapping(content: DataFrame, item_factors: DataFrame, settings: ContentSettings, vector_size: int = 0) -> Floats:
    """(terms + vector_size + 1) x rank: the factors that each term, and each number of `with_vector_terms`, adds; the last row is
    what every item has.

    Ridge regression on the items that have both content and factors (item_id, features); zeros where there is none. Raises
    InputError where these take over 2 GiB. Cost: collects them, size asked for first; terms^3 operations on the driver.
    """
    factors_of = item_factors.select("item_id", F.col("features").cast("array<float>").alias("features"))
    table, rank = _collected(content.join(factors_of, "item_id"), F.size("features"))
    width = settings.max_terms + vector_size + 1
    if table is None:
        return np.zeros((width, rank), np.float32)
    # In order of ids: a sum depends on the order of its terms.
    table = table.sort_by("item_id").combine_chunks()
    terms, weights, factors = (table.column(name).combine_chunks() for name in ("terms", "weights", "features"))
    features = _features(terms, weights, width).astype(np.float64)
    square = (features.T @ features).toarray()
    square[np.diag_indices_from(square)] += settings.l2
    target = features.T @ factors.flatten().to_numpy().reshape(len(table), rank).astype(np.float64)
    return np.ascontiguousarray(solve(square, target, assume_a="pos", overwrite_a=True), np.float32)


def as_factors(content: DataFrame, mapping: Floats) -> DataFrame:
    """One row per row of `content`: item_id, features (array<float>). Cost: no shuffle; a broadcast of the mapping."""
    shared = content.sparkSession.sparkContext.broadcast(mapping)

    def mapped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        weights = shared.value
        for batch in batches:
            if not batch.num_rows:
                continue
            found = _features(batch.column("terms"), batch.column("weights"), len(weights)) @ weights
            offsets = pa.array(np.arange(len(found) + 1) * found.shape[1], pa.int32())
            features = pa.ListArray.from_arrays(offsets, pa.array(found.astype(np.float32).ravel()))
            yield pa.RecordBatch.from_arrays([batch.column("item_id"), features], names=["item_id", "features"])

    return content.select("item_id", "terms", "weights").mapInArrow(mapped, "item_id string, features array<float>")


def content_factors(
    items: DataFrame, item_factors: DataFrame, settings: ContentSettings, vectors: DataFrame | None = None
) -> DataFrame:
    """One row per item with a term that counts: item_id, features: factors made of its terms, learned on `item_factors`.

    With `vectors` (see `with_vector_terms`) and a vector_weight above 0, of these numbers too; an item of `items` that has no more
    has a row then. Cost: that of `as_content` (whose rows are cached) and of `fit_mapping`; with vectors one job that asks how long
    they are.
    """
    content, size = as_content(content_terms(items), settings), 0
    if vectors is not None and settings.vector_weight > 0:
        ours = vectors.join(items.select("item_id"), "item_id", "left_semi")
        first = ours.select(F.size("vector").alias("size")).first()
        if first is not None:
            content, size = with_vector_terms(content, ours, settings), int(first["size"])
    content = content.persist()
    return as_factors(content, fit_mapping(content, item_factors, settings, size))


def content_matrix(content: DataFrame, catalogue: Catalogue, max_terms: int) -> csr_matrix:
    """Items x terms, float32: the items of the catalogue by number, each row of length 1; empty rows for items without content.

    `content`: see `as_content`. Raises InputError where it takes over 2 GiB. Cost: a broadcast of the catalogue, one collect,
    whose size is asked for first.
    """
    table, _ = _collected(content.join(F.broadcast(catalogue.numbers), "item_id").select("item", "terms", "weights"), F.lit(0))
    shape = (len(catalogue), max_terms)
    if table is None:
        return csr_matrix(shape, dtype=np.float32)
    terms, weights = (table.column(name).combine_chunks() for name in ("terms", "weights"))
    items = np.repeat(table.column("item").to_numpy(), terms.value_lengths().to_numpy(zero_copy_only=False))
    matrix = csr_matrix((weights.flatten().to_numpy(), (items, terms.flatten().to_numpy())), shape=shape, dtype=np.float64)
    matrix.sort_indices()
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return csr_matrix(diags(1 / np.maximum(lengths, 1e-12)) @ matrix, dtype=np.float32)


def _collected(rows: DataFrame, beside: Column) -> tuple[pa.Table | None, int]:
    """The rows on the driver (None where there is none), and the largest of `beside`, a row's numbers besides terms and weights.

    Raises InputError where they take over MAX_CONTENT_BYTES; the size is asked for first.
    """
    held = rows.persist()
    try:
        size = held.agg(F.sum(2 * F.size("terms") + beside), F.max(beside)).first()
        numbers, most = (int(value) if value is not None else 0 for value in (size if size is not None else (0, 0)))
        if numbers * 4 > MAX_CONTENT_BYTES:
            raise InputError(f"content: {numbers:,} numbers of items take over {MAX_CONTENT_BYTES >> 30} GiB: lower max_terms")
        return pa.Table.from_batches(held._collect_as_arrow()) if numbers else None, most
    finally:
        held.unpersist()


def content_neighbours(content: DataFrame, max_items: int, neighbours: int, max_share: float) -> DataFrame:
    """One row per item and rank: item_id, rank, similar_item_id, similarity: the cosine of the two items' weights, ]0, 1].

    Only terms that at most `max_share` of the items have count: what all share makes no two alike. Exact, ties by id; an item
    that shares no such term with any other has no row. Cost: `co_occurrence` with terms as rows, where a term of n items is n^2
    products: at most `max_items` items count, those of most terms.
    """
    each = content.select("item_id", F.explode(F.arrays_zip("terms", "weights")).alias("_entry"))
    total = content.agg(F.count(F.lit(1)).alias("_all"))
    common = each.groupBy("_entry.terms").agg(F.count(F.lit(1)).alias("_items")).crossJoin(F.broadcast(total))
    rare = F.broadcast(common.where(F.col("_items") <= max_share * F.col("_all")).select("terms"))
    each = each.select("item_id", "_entry.*").join(rare, "terms")
    # Summed in the order of terms: it does not depend on partitions.
    weights = F.array_sort(F.collect_list(F.struct("terms", "weights")))
    content = each.groupBy("item_id").agg(weights.alias("_rows")).select("item_id", "_rows.terms", "_rows.weights")
    each = content.withColumn("_length", _length("weights"))
    each = each.select("item_id", "_length", F.explode(F.arrays_zip("terms", "weights")).alias("_entry"))
    each = each.select("item_id", F.col("_entry.terms").alias("row"), (F.col("_entry.weights") / F.col("_length")).alias("weight"))
    catalogue: Catalogue = catalogue_of(each, max_items)
    rows = each.join(F.broadcast(catalogue.numbers), "item_id").select(F.col("row").cast("bigint").alias("row"), "item", "weight")
    return as_pairs(co_occurrence(rows, len(catalogue), keep_nearest_sums(neighbours)), catalogue)


def genre_popularity(items: DataFrame, popular: DataFrame) -> DataFrame:
    """One row per item with a category: item_id, score: the mean over its categories of the mean of `popular`'s score (item_id,
    score) over the category's items, an item without one as 0. The baseline that content has to beat on new items.

    `items`: item_id, categories. Cost: two shuffles, and a join by category.
    """
    each = items.select("item_id", F.explode(F.array_distinct("categories")).alias("category"))
    means = each.join(popular, "item_id").groupBy("category").agg(F.avg("score").alias("_mean"))
    # No broadcast is asked for: categories may be anybody's words.
    found = each.join(means, "category", "left").groupBy("item_id")
    return found.agg(F.round(F.avg(F.coalesce("_mean", F.lit(0.0))), 9).alias("score"))


def _length(weights: str) -> Column:
    """The Euclidean length of an array of floats."""
    return F.sqrt(F.aggregate(weights, F.lit(0.0), lambda sum_, w: sum_ + w.cast("double") * w.cast("double")))


def _features(terms: pa.ListArray, weights: pa.ListArray, width: int) -> csr_matrix:
    """The rows of a batch as a sparse matrix, with a last column of ones."""
    lengths = terms.value_lengths().to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(terms)), lengths)
    columns, values = terms.flatten().to_numpy(), weights.flatten().to_numpy()
    every = np.arange(len(terms))
    data = np.concatenate([values, np.ones(len(terms), np.float32)])
    where = (np.concatenate([rows, every]), np.concatenate([columns, np.full(len(terms), width - 1)]))
    return csr_matrix((data, where), shape=(len(terms), width), dtype=np.float32)
