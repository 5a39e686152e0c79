"""Find what texts are about: topics with names, coherence and their share by week; ids stay where a topic of the run before is
alike.

Reads:  silver.texts    texts known by as_of
        gold.topics     topics of the latest day before as_of, where there is one
Writes: gold.topics     one row per topic; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import TopicsConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.topics import Topic, TopicSettings, find_topics, matched_ids, shares_in_time
from shoal.runner.command import run_job

READS = ("silver.texts",)
WRITES = ("gold.topics",)
TOPICS = (
    "topic_id string, name string, terms array<string>, weights array<double>, coherence double, share double, text_count bigint, "
    "weekly_shares array<struct<week:date,share:double>>, is_new boolean, as_of date"
)


def earlier_topics(lake: Lake, as_of: date) -> dict[str, dict[str, float]]:
    """Terms and weights of the topics of the latest day before as_of, by id. Collects a day's topics, topics.topics rows."""
    held = lake.read_if_exists("gold.topics")
    if held is None:
        return {}
    past = held.where(F.col("as_of") < F.lit(as_of))
    last = past.agg(F.max("as_of")).collect()[0][0]
    rows = [] if last is None else past.where(F.col("as_of") == F.lit(last)).collect()
    return {row["topic_id"]: dict(zip(row["terms"], row["weights"], strict=True)) for row in rows}


def named_ids(topics: list[Topic], matched: dict[int, str | None], as_of: date) -> dict[int, str]:
    """The ids of the matched topics, and new ones of the day for the others."""
    return {topic.number: matched[topic.number] or f"topic-{as_of:%Y%m%d}-{topic.number + 1:02}" for topic in topics}


def run(lake: Lake, conf: TopicsConf, as_of: date) -> None:
    """Learn the topics, match them with those before, and replace the day's rows."""
    texts = lake.read("silver.texts", before=as_of).select("text_id", "text", "created_at")
    found = find_topics(texts, TopicSettings(**conf.model_dump(exclude={"min_similarity"})))
    if found is None:
        raise SkippedError(f"silver.texts has too few texts of three words and more up to {as_of} for {conf.topics} topics")
    topics, shares = found
    held = shares.persist()
    try:
        whole, weekly = shares_in_time(held, len(topics))
        largest = F.expr("cast(array_position(shares, array_max(shares)) AS int) - 1").alias("number")
        counts = {row["number"]: row["count"] for row in held.groupBy(largest).count().collect()}
    finally:
        held.unpersist()
    matched = matched_ids(topics, earlier_topics(lake, as_of), conf.min_similarity)
    ids = named_ids(topics, matched, as_of)
    rows = [
        (
            ids[one.number], one.name, list(one.terms), list(one.weights), one.coherence, min(1.0, whole[one.number]),
            counts.get(one.number, 0), [(date.fromisoformat(week), share) for week, share in weekly[one.number]],
            matched[one.number] is None, as_of,
        )
        for one in topics
    ]  # fmt: skip
    lake.run.note(matched_topics=sum(one is not None for one in matched.values()))
    lake.replace("gold.topics", lake.spark.createDataFrame(rows, TOPICS).coalesce(1), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TopicsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
