"""From buckets to candidate pairs, and from pairs of contents to pairs of those who have them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def keys_that_meet(banded: DataFrame, max_bucket: int) -> DataFrame:
    """Pairs of keys that share a bucket: key < other_key, each pair once.

    `banded`: key, bucket. Of a bucket the first `max_bucket` keys by a hash count, so that a hot one makes at most their square.
    """
    held = banded.distinct().groupBy("bucket").agg(F.array_sort(F.collect_list(F.struct(F.xxhash64("key"), "key"))).alias("held"))
    some = held.where(F.size("held") > 1).select(F.slice("held", 1, max_bucket)["key"].alias("keys"))
    one = some.select("keys", F.explode("keys").alias("key"))
    pairs = one.select("key", F.explode(F.filter("keys", lambda other: other > F.col("key"))).alias("other_key"))
    return pairs.distinct()


def pairs_of_members(members: DataFrame, alike: DataFrame, max_copies: int) -> DataFrame:
    """Pairs of those whose contents are equal or alike: id < other_id, similarity (1 for equal contents).

    `members`: id, key; `alike`: key < other_key, similarity. Of the members of one content the first `max_copies` by id stand for
    it: a text that was sent a million times would make 500 billion pairs; the others are paired with the first one only.
    """
    order = F.array_sort(F.collect_list("id"))
    groups = members.groupBy("key").agg(order.alias("ids")).select("key", F.slice("ids", 1, max_copies).alias("some"), "ids")
    own = groups.where(F.size("ids") > 1)
    within = own.select("some", F.explode("some").alias("id")).select(
        "id", F.explode(F.filter("some", lambda other: other > F.col("id"))).alias("other_id")
    )
    beyond = own.where(F.size("ids") > max_copies).select(
        F.col("some")[0].alias("id"), F.explode(F.slice("ids", max_copies + 1, F.size("ids") - max_copies)).alias("other_id")
    )
    copies = within.unionByName(beyond).withColumn("similarity", F.lit(1.0))
    one = groups.select("key", F.col("some").alias("ids"))
    other = groups.select(F.col("key").alias("other_key"), F.col("some").alias("others"))
    across = alike.join(one, "key").join(other, "other_key").select("similarity", F.explode("ids").alias("a"), "others")
    across = across.select("similarity", "a", F.explode("others").alias("b"))
    ordered = across.select(F.least("a", "b").alias("id"), F.greatest("a", "b").alias("other_id"), "similarity")
    return copies.unionByName(ordered)
