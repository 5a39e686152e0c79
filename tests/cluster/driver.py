"""The driver of the cluster's test, in a process of its own: ingests and runs every job of the pipeline, naming each on standard
output as it begins.

`python -m tests.cluster.driver ENV LAKE RAW AS_OF [key=value ...]`
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.loading import load
from shoal.runner.execute import execute
from shoal.runner.job import find_job
from shoal.spark.session import spark_session

SOURCES = ("items", "events", "edges", "texts")


def main(env: str, lake: str, raw: str, as_of: str, *sets: str) -> int:
    """Run all; returns the first exit code that is none of success."""
    settings, day = load(env, sets), date.fromisoformat(as_of)
    spark = spark_session("shoal-cluster-test", env, settings.spark)
    jobs = [("ingest_files", {"source": source, "input": f"{raw}/{source}"}) for source in SOURCES]
    jobs += [(name, {}) for names in settings.pipeline.values() for name in names]
    for name, extras in jobs:
        sys.stdout.write(f"begins {name}\n")
        sys.stdout.flush()
        result = execute(spark, find_job(name), settings, lake, day, extras)
        sys.stdout.write(f"{result.status} {name} {result.seconds:.1f} {result.message or ''}\n")
        sys.stdout.flush()
        if result.exit_code:
            return result.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
