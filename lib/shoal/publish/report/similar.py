"""Which items are like which: how far each kind of likeness reaches, and what it says of the items that most people met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.blocks import Cell, Table
from shoal.publish.report.wording import NONE, count, decimal, share, shortened

# A kind is a formula; the table's contract has ten.
MOST_KINDS = 20
SHOWN_ITEMS = 5


def kinds_of_likeness(similar: DataFrame, titles: DataFrame | None) -> list[dict[str, Any]]:
    """One row per kind, most items first, at most MOST_KINDS (20), which are collected: kind, items that have a nearest one, the
    median similarity to it, and `same_category`, the share of the pairs of items with categories that have one in common; null
    without such a pair. Two joins with the catalogue, one shuffle by kind."""
    nearest = similar.where("rank = 1").select("kind", "item_id", "similar_item_id", "similarity")
    common = F.lit(None).cast("double")
    if titles is not None and "categories" in titles.columns:
        of = titles.select("item_id", F.col("categories").alias("own"))
        theirs = of.select(F.col("item_id").alias("similar_item_id"), F.col("own").alias("others"))
        nearest = nearest.join(of, "item_id", "left").join(theirs, "similar_item_id", "left")
        is_known = (F.size("own") > 0) & (F.size("others") > 0)
        common = F.avg(F.when(is_known, F.arrays_overlap("own", "others").cast("double")))
    columns = (F.count(F.lit(1)).alias("items"), F.median("similarity").alias("similarity"), common.alias("same_category"))
    found = nearest.groupBy("kind").agg(*columns)
    return [row.asDict() for row in found.orderBy(F.desc("items"), "kind").limit(MOST_KINDS).collect()]


def nearest_items(similar: DataFrame, items: DataFrame, titles: DataFrame | None) -> list[dict[str, Any]]:
    """For the SHOWN_ITEMS (5) items that most users met (ties by id) among those that have a nearest one, that one by each kind: at
    most SHOWN_ITEMS x MOST_KINDS rows are collected: item_id, title, kind, similar_item_id, similar_title, similarity; a title is
    null where there is none. `items`: rows of features.items."""
    nearest = similar.where("rank = 1").select("item_id", "kind", "similar_item_id", "similarity")
    known = items.select("item_id", "distinct_users").join(nearest.select("item_id").distinct(), "item_id", "left_semi")
    met = known.orderBy(F.desc("distinct_users"), "item_id").limit(SHOWN_ITEMS)
    shown = nearest.join(F.broadcast(met), "item_id").orderBy(F.desc("distinct_users"), "item_id", "kind")
    few = shown.limit(SHOWN_ITEMS * MOST_KINDS)
    for key, name in (("item_id", "title"), ("similar_item_id", "similar_title")):
        if titles is None:
            few = few.withColumn(name, F.lit(None).cast("string"))
        else:
            few = titles.select(F.col("item_id").alias(key), F.col("title").alias(name)).join(F.broadcast(few), key, "right")
    ordered = few.orderBy(F.desc("distinct_users"), "item_id", "kind").limit(SHOWN_ITEMS * MOST_KINDS)
    return [row.asDict() for row in ordered.collect()]


def likeness_blocks(similar: DataFrame, items: DataFrame | None, titles: DataFrame | None) -> list[Table]:
    """The tables for rows of gold.similar_items; none where it has no row. `items`: features.items; `titles`: silver.items; both
    may be missing."""
    kinds = kinds_of_likeness(similar, titles)
    if not kinds:
        return []
    tables = [_kinds(kinds)]
    if items is not None:
        nearest = nearest_items(similar, items, titles)
        shown = {row["kind"] for row in nearest}
        tables += [_items(nearest, [row["kind"] for row in kinds if row["kind"] in shown])] if nearest else []
    return tables


def _kinds(kinds: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            Cell(row["kind"]),
            Cell(count(row["items"]), kind="number"),
            Cell(decimal(row["similarity"]), kind="number"),
            Cell(share(row["same_category"]), kind="number", share=row["same_category"]),
        ]
        for row in kinds
    ]
    note = (
        "cosine, jaccard, lift and bm25 count shared users; content, words, hashtags and owners; text, image and price compare "
        "vectors of these; multimodal, those of text, picture and graph together. Similarities of different kinds do not compare."
    )
    headings = ["Kind", "Items", "Similarity of the nearest, median", "Nearest in a category of the item's"]
    return Table("What items are like each other by", headings, rows, note)


def _items(nearest: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> Table:
    rows = []
    for item in dict.fromkeys(row["item_id"] for row in nearest):
        by_kind = {row["kind"]: row for row in nearest if row["item_id"] == item}
        title = next(iter(by_kind.values()))["title"]
        cells = [Cell(shortened(title or item), item if title else "")]
        for kind in kinds:
            one = by_kind.get(kind)
            name = NONE if one is None else shortened(one["similar_title"] or one["similar_item_id"])
            cells.append(Cell(name, "" if one is None else decimal(one["similarity"])))
        rows.append(cells)
    note = "The items that most users met, and the nearest of each by kind, with the similarity."
    return Table("The nearest of what most people met", ["Item", *kinds], rows, note)
