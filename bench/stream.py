"""Stream: rows a second from a Kafka topic through the job beside a bare Spark Kafka -> Delta append of the same topic.

The peer is what a person would write first: readStream kafka, from_json with a schema, writeStream to Delta with a checkpoint; it
keeps no raw text, looks for no duplicate, checks no value. Both take the whole topic with availableNow, in batches of the same
size. One message in 1,000 is broken, so that quarantine is written too.
"""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.runner.execute import execute
from shoal.runner.job import find_job
from shoal.testing import kafka_broker as broker

from bench.ingest import seconds

# The size of a batch that the job has by default, and a little more: Kafka's split of it over partitions rounds down.
EVENTS, WARM, ROUNDS, BATCH = 3_000_000, 20_000, 3, 1_000_400
SCHEMA = "event_id string, user_id string, item_id string, event string, value double, occurred_at long"


def messages(spark: SparkSession, count: int) -> DataFrame:
    """Events as JSON in four partitions, no two with one id; one in 1,000 is cut off."""
    number = F.col("id")
    fields = {
        "event_id": F.md5(number.cast("string")), "user_id": F.concat(F.lit("user-"), F.pmod(F.xxhash64(number), F.lit(50_000))),
        "item_id": F.concat(F.lit("item-"), F.pmod(F.xxhash64(number + 1), F.lit(9_000))), "event": F.lit("purchase"),
        "value": F.round(F.pmod(F.xxhash64(number + 2), F.lit(10_000)) / 100, 2), "occurred_at": 1_600_000_000 + number,
    }  # fmt: skip
    value = F.to_json(F.struct(*[column.alias(name) for name, column in fields.items()]))
    return spark.range(count).select(F.when(number % 1000 == 500, F.substring(value, 1, 40)).otherwise(value).alias("value"))


def through(spark: SparkSession, servers: str, topic: str, root: Path, count: int) -> None:
    """The job, with its row in ops.runs."""
    sets = ["source=kafka", f"topic={topic}", f"bootstrap_servers={servers}", f"max_offsets_per_trigger={BATCH}"]
    result = execute(spark, find_job("stream_events"), load("local", sets, "stream_events"), root, date(2024, 1, 1))
    assert (result.status, int(result.tags["records"])) == ("succeeded", count), result


def barely(spark: SparkSession, servers: str, topic: str, target: Path) -> None:
    """Plain Spark: one streaming read, one Delta append."""
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", servers).option("subscribe", topic)
    rows = reader.option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", BATCH).load()
    typed = rows.select(F.from_json(F.col("value").cast("string"), SCHEMA).alias("e")).select("e.*")
    writer = typed.writeStream.format("delta").option("checkpointLocation", str(target) + "-checkpoint")
    writer.trigger(availableNow=True).start(str(target)).awaitTermination()


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """One row: medians of the rounds, ours and the peer in turn."""
    with tempfile.TemporaryDirectory() as name, broker.running() as kafka:
        folder, servers = Path(name), kafka.bootstrap_servers
        for topic, count in (("warm", WARM), ("events", EVENTS)):
            sent = messages(spark, count).write.format("kafka").option("kafka.bootstrap.servers", servers)
            sent.option("topic", topic).save()
        through(spark, servers, "warm", folder / "warm", WARM)
        barely(spark, servers, "warm", folder / "warm-bare")
        ours, peer = [], []
        for i in range(ROUNDS):
            peer.append(seconds(lambda: barely(spark, servers, "events", folder / f"bare-{i}")))  # noqa: B023
            ours.append(seconds(lambda: through(spark, servers, "events", folder / f"lake-{i}", EVENTS)))  # noqa: B023
        speed, bare = EVENTS / float(np.median(ours)), EVENTS / float(np.median(peer))
        return [{
            "what": f"Kafka to the lake, {EVENTS:,} messages, batches of {BATCH:,}", "ours": speed, "peer": bare,
            "ratio": speed / bare, "unit": "rows/s", "target": ">= 0.6",
            "note": "peer: bare Spark, Kafka -> from_json -> Delta append",
        }]  # fmt: skip
