"""Communities from run to run: an id that stays with most of its members, and what was born, died, split and merged."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.spark.checkpoints import cut_lineage

# A part of a community counts in a split or merge from a quarter of it on.
LEAST_PART = 0.25


def carry_ids(members: DataFrame, before: DataFrame, mark: str) -> DataFrame:
    """`node_id`, `community_id` with the ids of the last run where a community is the same.

    members, before: `node_id`, `community_id`, a node once. A community has the id of the earlier one with which it shares most
    members, where it is also the one that shares most with that (ties by id); any other keeps its own, and one whose own id another
    has inherited gets a new one, of its own and `mark`. Three shuffles of the nodes, then of the communities.
    """
    inherited = inherited_ids(members, before)
    taken = inherited.select(F.col("inherited").alias("community_id"), F.lit(True).alias("is_taken"))
    names = members.select("community_id").distinct().join(inherited, "community_id", "left").join(taken, "community_id", "left")
    # A name in which no member's id is left.
    other = F.concat(F.lit("c"), F.lower(F.hex(F.xxhash64("community_id", F.lit(mark)))))
    own = F.when(F.col("is_taken"), other).otherwise(F.col("community_id"))
    names = names.select("community_id", F.coalesce("inherited", own).alias("_name"))
    return members.join(names, "community_id").select("node_id", F.col("_name").alias("community_id"))


def inherited_ids(members: DataFrame, before: DataFrame) -> DataFrame:
    """`community_id`, `inherited`: a community and the earlier one that it is the same as; no row for one that is new."""
    shared = _shared(members, before)
    by_new = Window.partitionBy("new").orderBy(F.desc("nodes"), "old")
    by_old = Window.partitionBy("old").orderBy(F.desc("nodes"), "new")
    best = shared.withColumns({"_n": F.row_number().over(by_new), "_o": F.row_number().over(by_old)}).where("_n = 1 and _o = 1")
    return best.select(F.col("new").alias("community_id"), F.col("old").alias("inherited"))


def _shared(members: DataFrame, before: DataFrame) -> DataFrame:
    """`new`, `old`, `nodes`: how many members both have."""
    both = members.select("node_id", F.col("community_id").alias("new")).join(
        before.select("node_id", F.col("community_id").alias("old")), "node_id"
    )
    return both.groupBy("new", "old").agg(F.count("*").alias("nodes"))


def no_changes(members: DataFrame) -> DataFrame:
    """`changes` of a first run: its columns, no row."""
    columns = "community_id string, change string, others array<string>, nodes bigint, nodes_before bigint"
    return members.sparkSession.createDataFrame([], columns)


def changes(members: DataFrame, before: DataFrame) -> DataFrame:
    """A row an event: `community_id`, `change`, `others` (ids, in order), `nodes`, `nodes_before`.

    members: of this run after `carry_ids`; before: of the last. split: a quarter (LEAST_PART) or more of an earlier community
    went to each of two or more: `community_id` is the earlier one, `others` where they went. merge: two or more each gave a
    quarter or more of it: `others` are they. birth: an id that was not there and is no part of a split or merge; death: one
    that is gone, alike. Four shuffles.
    """
    sizes = members.groupBy("community_id").agg(F.count("*").alias("nodes"))
    old_sizes = before.groupBy("community_id").agg(F.count("*").alias("nodes_before"))
    shared = _shared(members, before).join(sizes.withColumnsRenamed({"community_id": "new", "nodes": "size"}), "new")
    shared = shared.join(old_sizes.withColumnRenamed("community_id", "old"), "old").transform(cut_lineage)
    split = shared.where(F.col("nodes") >= LEAST_PART * F.col("nodes_before")).groupBy("old").agg(
        F.array_sort(F.collect_set("new")).alias("others"), F.first("nodes_before").alias("nodes_before"),
        F.sum("nodes").alias("nodes"),
    ).where(F.size("others") > 1)  # fmt: skip
    merge = shared.where(F.col("nodes") >= LEAST_PART * F.col("size")).groupBy("new").agg(
        F.array_sort(F.collect_set("old")).alias("others"), F.first("size").alias("nodes"),
        F.sum("nodes").alias("nodes_before"),
    ).where(F.size("others") > 1)  # fmt: skip
    split, merge = split.transform(cut_lineage), merge.transform(cut_lineage)
    parts = [frame.select(F.explode("others").alias("community_id")) for frame in (split, merge)]
    explained = parts[0].unionByName(merge.select(F.col("new").alias("community_id")))
    gone = parts[1].unionByName(split.select(F.col("old").alias("community_id")))
    none, empty = F.lit(0).cast("bigint"), F.array().cast("array<string>").alias("others")
    born = sizes.join(old_sizes, "community_id", "left_anti").join(explained, "community_id", "left_anti")
    died = old_sizes.join(sizes, "community_id", "left_anti").join(gone, "community_id", "left_anti")
    born = born.select("community_id", F.lit("birth").alias("change"), empty, "nodes", none.alias("nodes_before"))
    died = died.select("community_id", F.lit("death").alias("change"), empty, none.alias("nodes"), "nodes_before")
    columns = ("others", "nodes", "nodes_before")
    parted = split.select(F.col("old").alias("community_id"), F.lit("split").alias("change"), *columns)
    joined = merge.select(F.col("new").alias("community_id"), F.lit("merge").alias("change"), *columns)
    return parted.unionByName(joined).unionByName(born).unionByName(died)
