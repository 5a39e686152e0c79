"""`shoal demo-stream`: events through a Kafka on this machine into a lake."""

from __future__ import annotations

import json
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.cli.jobs import progress, steps_table
from shoal.cli.options import EnvOption, SetOption
from shoal.cli.rendering import as_text
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run
from shoal.lake.query import answer
from shoal.runner.execute import execute
from shoal.runner.interrupt import interruptible
from shoal.runner.job import find_job
from shoal.runner.pipeline import Step
from shoal.spark.session import spark_session
from shoal.testing import kafka_broker as broker

TOPIC, DAY = "events", date(2024, 3, 1)
QUERIES = {
    "What did each batch ingest?": """
        select number, records, ingested, duplicates, rejected, round(seconds, 1) as seconds,
               round(rows_per_second) as rows_per_second from ops.stream_batches order by generation, number""",
    "What was rejected, and where did it come from?": """
        select file as topic_partition, line as offset, rule, left(raw, 40) as raw
        from ops.quarantine order by file, line limit 5""",
    "Is an event there twice?": """
        select count(*) as rows, count(distinct event_id) as events, count(distinct user_id) as users from silver.interactions""",
}


def demo_events(spark: SparkSession, first: int, count: int) -> DataFrame:
    """Messages (value) of events `first` to `first + count - 1`, no clock and no chance in them; one in 2,000 is broken."""
    number, kinds = F.col("id"), ["view", "click", "like", "comment", "share", "save"]

    def below(end: int, salt: int) -> Column:
        return F.pmod(F.xxhash64(number + salt), F.lit(end)).cast("int")

    value = F.to_json(F.struct(
        F.concat(F.lit("e"), number).alias("event_id"), F.concat(F.lit("u"), below(5000, 1)).alias("user_id"),
        F.concat(F.lit("p"), below(800, 2)).alias("item_id"),
        F.element_at(F.array(*map(F.lit, kinds)), below(6, 3) + 1).alias("event"),
        (F.lit(1_704_067_200) + number * 3).alias("occurred_at"),
    ))  # fmt: skip
    broken = F.when(number % 2000 == 1999, F.substring(value, 1, 30)).otherwise(value)
    return spark.range(first, first + count).select(broken.alias("value"))


def demo_stream(
    lake: Annotated[str, typer.Option("--lake", help="Folder of the lake.", metavar="DIR")] = "demo-stream-lake",
    env: EnvOption = "local",
    sets: SetOption = None,
    events: Annotated[int, typer.Option(min=1, help="How many events to send.")] = 20_000,
) -> int:
    """Start a Kafka, send simulated events, run the stream twice, show what came, stop Kafka. Example: shoal demo-stream"""
    root, job = Path(lake).resolve(), find_job("stream_events")
    with progress(4) as show:
        show.describe("start", "kafka")
        with broker.running() as kafka:
            asked = ["source=kafka", f"topic={TOPIC}", f"bootstrap_servers={kafka.bootstrap_servers}", *(sets or [])]
            settings = load(env, asked, "stream_events")
            spark = spark_session("shoal-demo-stream", env, settings.spark)
            steps: list[Step] = []
            # The second time a tenth of the first comes again, as from a producer that received no acknowledgement.
            for first, count in ((0, events), (events - events // 10, events // 2)):
                show.describe("send", f"{count:,} events")
                sent = demo_events(spark, first, count).write.format("kafka").option("topic", TOPIC)
                sent.option("kafka.bootstrap.servers", kafka.bootstrap_servers).save()
                # The broker is new each time: the offsets in an earlier demo's checkpoint are those of another topic.
                again = {"replay": True} if not steps and Lake(spark, root, settings, Run("ask")).exists("ops.streams") else {}
                steps.append(interruptible(spark, partial(execute, spark, job, settings, root, DAY, again)))
                show.ended(steps[-1])
    sys.stdout.write(steps_table(steps))
    code = next((step.exit_code for step in steps if step.exit_code), 0)  # type: ignore[union-attr]
    if code:
        return code
    reader = Lake(spark, root, settings, Run("ask", "demo"))
    for title, query in QUERIES.items():
        sys.stdout.write(f"\n{title}\n")
        sys.stdout.write("".join(as_text(answer(reader, query), "table", None)))
    sys.stdout.write(f'\n{json.dumps(steps[-1].tags)}\nask more:  shoal sql "select ..." --lake {lake}\n')  # type: ignore[union-attr]
    return 0
