"""What a user is interested in: the topics of the items that the user had to do with, in the long run and of late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.recommend.candidates.preferences import event_weight

# A kind of topic and the column of silver.items that lists them.
TOPIC_COLUMNS = {"hashtag": "hashtags", "category": "categories"}
# 2 ** -1000 is still a number; whoever did nothing for a thousand half-lives keeps the shares of then.
_MOST_HALF_LIVES = 1000.0


@dataclass(frozen=True)
class InterestSettings:
    """Half-lives of the two memories, topics of an item that count, topics kept a user and kind."""

    long_half_life_days: float
    short_half_life_days: float
    item_topics: int
    topics: int


def topics_of(items: DataFrame, item_topics: int) -> DataFrame:
    """One row per item, kind of topic and topic: item_id, topic_kind, topic, `part`, which sums to 1 over an item and kind.

    The first `item_topics` different topics of a list count; empty ones do not. Topics are in lower case, without blanks around
    them. Items without a topic have no row. No shuffle.
    """
    lists = []
    for kind, column in TOPIC_COLUMNS.items():
        clean = F.filter(F.transform(column, lambda topic: F.lower(F.trim(topic))), lambda topic: F.length(topic) > 0)
        lists.append(F.struct(F.lit(kind).alias("topic_kind"), F.slice(F.array_distinct(clean), 1, item_topics).alias("topics")))
    kinds = items.select("item_id", F.inline(F.array(*lists))).where("size(topics) > 0")
    return kinds.select("item_id", "topic_kind", F.explode("topics").alias("topic"), (1.0 / F.size("topics")).alias("part"))


def interests(
    events: DataFrame, items: DataFrame, end: Column, settings: InterestSettings, event_weights: Mapping[Any, float] | None
) -> DataFrame:
    """One row per user, kind of topic and rank: user_id, topic_kind, rank, topic, long_term, short_term, events.

    An event gives its weight, halved every long_half_life_days (short_half_life_days) before `end`, to its item's topics in equal
    parts. long_term and short_term are a topic's share of all that the user's events gave to topics of the kind: 0 to 1, they sum
    to 1 over the user's topics of a kind before the first `topics` are kept. Order: the mean of both shares, ties by topic.
    `events`: how many events met the topic. Events of weight 0, after `end` or without a time do not count; a user none of whose
    items has a topic has no row.

    `events`: user_id, item_id, event, occurred_at; `items`: item_id, unique, hashtags, categories. Cost: events are summed by user
    and item before they meet the topics; one more shuffle by user, kind and topic, one by user and kind.
    """
    age = (F.unix_micros(end) - F.unix_micros("occurred_at")) / F.lit(86_400e6)
    counted = events.withColumn("_age", age).withColumn("_weight", event_weight(event_weights)).where("_age > 0 and _weight > 0")

    def decayed(days: float) -> Column:
        halves = F.least(F.col("_age") / F.lit(float(days)), F.lit(_MOST_HALF_LIVES))
        return F.sum(F.col("_weight") * F.pow(F.lit(2.0), -halves))

    met = counted.groupBy("user_id", "item_id").agg(
        decayed(settings.long_half_life_days).alias("long"),
        decayed(settings.short_half_life_days).alias("short"),
        F.count(F.lit(1)).alias("events"),
    )
    given = met.join(topics_of(items, settings.item_topics), "item_id")
    sums = [F.sum(F.col(name) * F.col("part")).alias(name) for name in ("long", "short")]
    topics = given.groupBy("user_id", "topic_kind", "topic").agg(*sums, F.sum("events").alias("events"))
    whole = Window.partitionBy("user_id", "topic_kind")
    # Nine digits: beyond them a sum depends on the order in which partitions are added.
    shares = [F.round(F.col(name) / F.sum(name).over(whole), 9).alias(f"{name}_term") for name in ("long", "short")]
    shared = topics.select("user_id", "topic_kind", "topic", "events", *shares)
    order = whole.orderBy(F.desc(F.col("long_term") + F.col("short_term")), "topic")
    ranked = shared.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= settings.topics)
    return ranked.select("user_id", "topic_kind", "rank", "topic", "long_term", "short_term", "events")
