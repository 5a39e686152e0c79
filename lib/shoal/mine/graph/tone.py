"""What the texts of a community's members sound like."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def polarities(texts: DataFrame, scored: DataFrame) -> DataFrame:
    """`node_id`, `polarity`: one row a text of a known author. texts: `text_id`, `author_id`; scored: gold.sentiments. One join."""
    current = scored.where("is_current").select("text_id", "polarity")
    written = texts.where("author_id is not null").select("text_id", F.col("author_id").alias("node_id"))
    return written.join(current, "text_id").select("node_id", "polarity")


def with_sentiment(summary: DataFrame, members: DataFrame, tones: DataFrame | None) -> DataFrame:
    """`summary` with `mean_sentiment` (-1 to 1) and `sentiment_texts`: the mean polarity of its members' texts, each text once, and
    how many there are; null and 0 without any.

    members: `node_id`, `community_id`; tones: `polarities`, or None. Two shuffles of the texts.
    """
    if tones is None:
        return summary.withColumns({"mean_sentiment": F.lit(None).cast("double"), "sentiment_texts": F.lit(0).cast("bigint")})
    heard = tones.join(members, "node_id").groupBy("community_id").agg(
        F.avg("polarity").alias("mean_sentiment"), F.count("*").alias("sentiment_texts")
    )  # fmt: skip
    return summary.join(heard, "community_id", "left").fillna(0, ["sentiment_texts"])
