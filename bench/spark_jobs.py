"""Spark jobs of the demo's pipeline, job by job, and what else its seconds are made of: counts do not depend on the machine.

The peer is the count of the same world before the lake's calls were cut (docs/adr/0006), where it was counted. Jobs run one after
the other here, so that each Spark job belongs to one of ours; side by side, as `shoal pipeline` runs them, they are as many.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from shoal.cli.jobs import DEMO_SETS
from shoal.conf.loading import load
from shoal.runner.execute import execute
from shoal.runner.job import find_job
from shoal.runner.pipeline import jobs_between
from shoal.simulate.world import DEMO_AS_OF, WorldConf
from shoal.simulate.write import write_world
from shoal.spark.job_count import counted_jobs

# Of the whole of `shoal pipeline --force` on the demo's world without emotions, moderators, conversations and pictures.
BEFORE, TARGET = 1758, 880


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a job, and one of all."""
    settings = load(sets=list(DEMO_SETS))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_world(spark, WorldConf(seed=42, as_of=DEMO_AS_OF), root / "raw", root / "raw-truth")
        for source in ("items", "events", "texts", "edges"):
            given = {"source": source, "input": str(root / "raw" / source)}
            result = execute(spark, find_job("ingest_files"), settings, root, DEMO_AS_OF, given)
            assert result.status == "succeeded", result.message
        for job in jobs_between(settings):
            clock = time.monotonic()
            with counted_jobs(spark) as counted:
                result = execute(spark, job, settings, root, DEMO_AS_OF)
            assert result.exit_code == 0, result.message
            seconds = time.monotonic() - clock
            rows.append({"what": job.name, "ours": counted.number, "unit": "Spark jobs", "note": f"{seconds:.1f} s by itself"})
    total = sum(row["ours"] for row in rows)
    whole = {"what": "shoal pipeline --force, the demo's world", "ours": total, "peer": BEFORE, "ratio": total / BEFORE,
             "unit": "Spark jobs", "target": f"<= {TARGET}", "note": "peer: the same before"}  # fmt: skip
    return [whole, *rows]
