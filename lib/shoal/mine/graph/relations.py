"""Edges between users: who uses the same hashtags, engages with the same items, mentions, answers or follows whom.

Nothing here is quadratic. A hashtag or item of n users makes n (n - 1) / 2 pairs, and counts only with 2 to MAX_SHARED (100) users:
at most 49.5 pairs for each use of it, whatever everybody uses. Then each user keeps the heaviest edges only.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.mine.graph.edges import follow_edges

# A hashtag, or an item, of more users says nothing of any two of them.
MAX_SHARED = 100
_MENTION = r"(?<![\p{L}\p{N}_.@])@([\p{L}\p{N}_.]*[\p{L}\p{N}_])"


def edges_of(relation: str, follows: DataFrame | None, edges: DataFrame | None) -> DataFrame | None:
    """`src`, `dst`, `weight` of a relation, from silver.follows for follows, else from features.edges; None without its table."""
    if relation == "follows":
        return None if follows is None else follow_edges(follows)
    if edges is None:
        return None
    ends = (F.col("src_id").alias("src"), F.col("dst_id").alias("dst"))
    return edges.where(F.col("relation") == relation).select(*ends, "weight")


def shared_edges(uses: DataFrame, most: int) -> DataFrame:
    """`src`, `dst` (src < dst), `weight`: users who use the same things; a thing of n users adds 1 / ln(1 + n) (Adamic and Adar
    2003).

    uses: `user_id`, `thing`; repeats and nulls do not count. Things of one user, and of more than MAX_SHARED, are set aside before
    any pair is made. Of a user's edges the `most` heaviest stay, ties by id; an edge stays where it is among those of both its
    ends, so that no user has more than `most`. Cost: at most 49.5 pairs a use; four shuffles.
    """
    used = uses.where("user_id is not null and thing is not null").select("user_id", "thing").distinct()
    groups = used.groupBy("thing").agg(F.count("*").alias("users")).where(F.col("users").between(2, MAX_SHARED))
    weighed = used.join(groups, "thing").groupBy("thing").agg(
        F.array_sort(F.collect_list("user_id")).alias("members"), (1.0 / F.log1p(F.first("users").cast("double"))).alias("weight")
    )  # fmt: skip
    placed = weighed.select("members", "weight", F.posexplode("members").alias("place", "src"))
    later = F.slice("members", F.col("place") + 2, F.size("members"))
    pairs = placed.select("src", F.explode(later).alias("dst"), "weight")
    return heaviest_edges(pairs.groupBy("src", "dst").agg(F.sum("weight").alias("weight")), most)


def heaviest_edges(edges: DataFrame, most: int) -> DataFrame:
    """The undirected edges (`src`, `dst`, `weight`, a pair once) that are among the `most` heaviest of both ends. Two shuffles."""
    ends = edges.select(F.explode(F.array("src", "dst")).alias("node"), "src", "dst", "weight")
    order = Window.partitionBy("node").orderBy(F.desc("weight"), "src", "dst")
    kept = ends.withColumn("place", F.row_number().over(order)).where(F.col("place") <= most)
    both = kept.groupBy("src", "dst").agg(F.count("*").alias("ends"), F.first("weight").alias("weight"))
    return both.where("ends = 2").select("src", "dst", "weight")


def mention_edges(texts: DataFrame, users: DataFrame) -> DataFrame:
    """`src` mentions `dst`, `weight` how many texts of src do: @name in any case, the name a user's username or id.

    texts: `author_id`, `text`. users: `user_id`, `username`. A name of several users counts for none; self-mentions do not count.
    One join on names, two shuffles.
    """
    found = F.array_distinct(F.regexp_extract_all(F.lower("text"), F.lit(_MENTION), F.lit(1)))
    named = texts.where("author_id is not null").select(F.col("author_id").alias("src"), F.explode(found).alias("name"))
    names = users.select(F.explode(F.array_distinct(F.array(F.lower("username"), F.lower("user_id")))).alias("name"), "user_id")
    known = names.where("name is not null").distinct().groupBy("name").agg(F.count("*").alias("n"), F.first("user_id").alias("dst"))
    return _counted(named.join(known.where("n = 1"), "name"))


def reply_edges(texts: DataFrame, items: DataFrame) -> DataFrame:
    """`src` answers `dst`, `weight` how often: a text about an item of another user. texts: `author_id`, `item_id`; items:
    `item_id`, `owner_id`. One join."""
    owners = items.where("owner_id is not null").select("item_id", F.col("owner_id").alias("dst"))
    return _counted(texts.where("author_id is not null").select(F.col("author_id").alias("src"), "item_id").join(owners, "item_id"))


def _counted(pairs: DataFrame) -> DataFrame:
    return pairs.where("src <> dst").groupBy("src", "dst").agg(F.count("*").cast("double").alias("weight"))
