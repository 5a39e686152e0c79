"""Features: a snapshot carried forward by 1% new events against the first one, which counts them all.

The peer is the first run; all go through the job, its writes and ops.runs. Three more days follow it, each with 1% of new events:
the median of them. 50 million events, the size that `shoal simulate` is asked for: some seconds of a day do not depend on its size
(docs/adr/0004).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.runner.execute import execute
from shoal.runner.job import find_job

ROWS, USERS, ITEMS = 50_000_000, 160_000, 60_000
LATER = [date(2024, 10, day) for day in (28, 29, 30)]


def events(spark: SparkSession, first: int, count: int, start: str, days: int) -> DataFrame:
    """`count` ratings by skewed users on skewed items, from `start` over `days` days."""
    rows = spark.range(first, first + count)
    user = (F.pow(F.rand(1), 3) * USERS).cast("int").cast("string")
    item = (F.pow(F.rand(2), 3) * ITEMS).cast("int").cast("string")
    made = rows.select(
        F.concat(F.lit("e"), F.col("id")).alias("event_id"), user.alias("user_id"), item.alias("item_id"),
        F.lit("rating").alias("event"), (F.floor(F.rand(3) * 10) / 2 + 0.5).alias("value"),
        F.timestamp_seconds(F.unix_timestamp(F.lit(start)) + (F.rand(4) * days * 86400).cast("int")).alias("occurred_at"),
        F.lit("bench").alias("source"),
    )  # fmt: skip
    wanted = [n for n in contract("silver.interactions").columns if n != "run_id"]
    for name in wanted:
        if name not in made.columns:
            made = made.withColumn(name, F.lit(None).cast(contract("silver.interactions").columns[name].type))
    return made.select(*wanted)


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """One row a feature job: seconds of the carried snapshot to seconds of the whole one."""
    settings = load()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lake"
        Lake(spark, root, settings, Run("load-1")).append(
            "silver.interactions", events(spark, 0, ROWS, "2024-01-01 00:00:00", 300), unique=True
        )
        jobs = [find_job(name) for name in ("build_users", "build_items")]
        execute(spark, jobs[0], settings, root, date(2023, 12, 31))  # warms the session; no event is that early
        first = {}
        for job in jobs:
            clock = time.monotonic()
            assert execute(spark, job, settings, root, date(2024, 10, 27)).tags["snapshot"] == "whole"
            first[job.name] = time.monotonic() - clock
        later: dict[str, list[float]] = {job.name: [] for job in jobs}
        for n, day in enumerate(LATER):
            new = events(spark, ROWS + n * ROWS // 100, ROWS // 100, f"{day} 00:00:00", 1)
            Lake(spark, root, settings, Run(f"load-{day}")).append("silver.interactions", new, unique=True)
            for job in jobs:
                clock = time.monotonic()
                result = execute(spark, job, settings, root, day)
                later[job.name].append(time.monotonic() - clock)
                assert result.tags["snapshot"].startswith("carried forward"), result
        for job in jobs:
            seconds = statistics.median(later[job.name])
            rows.append({
                "what": f"{job.name}, 1% new events on {ROWS:,}", "ours": seconds, "peer": first[job.name],
                "ratio": seconds / first[job.name], "unit": "s", "target": "<= 0.25",
                "note": "median of three days; peer: the first run, all events",
            })  # fmt: skip
    return rows
