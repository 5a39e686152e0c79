"""How many Spark jobs a small ingest takes, its row of ops.runs included: a count that does not depend on the machine."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from tests.ingest.sources.instagram_archives import NEW, write_folder
from tests.jobs.ingest.test_ingest_files import HEAD, World


def jobs_so_far(spark: SparkSession) -> int:
    return int(spark.sparkContext._jsc.sc().dagScheduler().numTotalJobs())


def six(world: World, user: str) -> Path:
    return world.file(HEAD + "".join(f"{user},i{n},4,17000000{n}0\n" for n in range(6)), f"{user}.csv")


def test_six_rows_into_an_existing_lake_take_eight_jobs_and_an_archive_at_most_25(spark: SparkSession, tmp_path: Path) -> None:
    world = World(spark, tmp_path)
    assert world.ingest(six(world, "u")).tags["ingested"] == "6"
    before = jobs_so_far(spark)
    assert world.ingest(six(world, "v")).tags["ingested"] == "6"
    assert jobs_so_far(spark) - before <= 8
    before = jobs_so_far(spark)
    result = world.ingest(write_folder(NEW, tmp_path / "ann"), "instagram_export")
    assert (result.status, result.message) == ("succeeded", None)
    assert jobs_so_far(spark) - before <= 25
