"""What keeps a session of many jobs small and quick: conf/spark/local.conf."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.sections import Settings
from shoal.errors import UsageError
from shoal.lake import log
from shoal.lake.lake import Lake, Run
from shoal.spark.session import own_session, refuse_missing_archives


def test_the_table_of_a_small_broadcast_join_is_small(spark: SparkSession) -> None:
    """Keys are texts: such a table is a page of memory at least, and stays until Java next collects the whole heap."""
    memory = spark.sparkContext._jsc.sc().env().memoryManager()
    names = spark.createDataFrame([("a", 1), ("b", 2)], "name string, number int")
    before = memory.storageMemoryUsed()

    joined = spark.createDataFrame([("a",), ("b",), ("c",)], "name string").join(F.broadcast(names), "name")

    assert [tuple(row) for row in joined.orderBy("name").collect()] == [("a", 1), ("b", 2)]
    assert memory.storageMemoryUsed() - before < 4_000_000


def test_code_that_was_compiled_is_kept_while_several_jobs_run(spark: SparkSession) -> None:
    """Three hundred other pieces of code later, a piece is not compiled again."""
    jvm = spark._jvm
    generator = jvm.org.apache.spark.sql.catalyst.expressions.codegen
    nothing = getattr(jvm, "scala.collection.immutable.Map$").__getattr__("MODULE$").empty()

    def compile_piece(number: int) -> None:
        body = f"public Object generate(Object[] references) {{ return Integer.valueOf({number}); }}"
        generator.CodeGenerator.compile(generator.CodeAndComment(body, nothing))

    compiled = jvm.org.apache.spark.metrics.source.CodegenMetrics.METRIC_COMPILATION_TIME()
    for number in range(300):
        compile_piece(number)
    before = compiled.getCount()
    compile_piece(0)
    compile_piece(150)
    assert compiled.getCount() == before
    compile_piece(300)
    assert compiled.getCount() == before + 1


def test_what_java_prints_is_not_a_commands_output() -> None:
    """Delta's VACUUM prints so; a command's output is one JSON."""
    code = (
        "from shoal.spark.session import spark_session\n"
        "print('first')\n"
        "spark_session('printing', 'local', {'spark.driver.memory': '1g'})._jvm.java.lang.System.out.println('from Java')\n"
        "print('last')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "first\nlast\n"
    assert "from Java" in done.stderr


def test_a_run_has_a_session_of_its_own(spark: SparkSession) -> None:
    """With the settings and views of the caller's at that moment, active in its thread, and no way back for its own settings."""
    key = "spark.databricks.delta.commitInfo.userMetadata"
    spark.range(2).createOrReplaceTempView("seen_by_runs")
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    before = spark._jvm.SparkSession.getActiveSession()
    try:
        with own_session(spark) as own:
            assert own.conf.get("spark.sql.shuffle.partitions") == "3"
            assert own.table("seen_by_runs").count() == 2
            own.conf.set(key, "mine")
            assert spark._jvm.SparkSession.active().equals(own._jsparkSession)
            assert own.sparkContext is spark.sparkContext
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        spark.catalog.dropTempView("seen_by_runs")
    assert spark.conf.get(key, None) is None
    assert spark._jvm.SparkSession.getActiveSession().isDefined() == before.isDefined()


def test_runs_in_threads_commit_with_their_own_metadata_at_once(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    """Each waits among its settings for the other: a lock around them would never let them meet."""
    meeting = Barrier(2, timeout=200)
    tables = ("silver.follows", "silver.blocks")

    def run(name: str) -> None:
        with own_session(spark) as own:
            lake = Lake(own, tmp_path, settings, Run(f"run-of-{name}", "test"))
            lake.create(name)
            with lake.commits.settings():
                meeting.wait()
                lake.commits.alter(name, "ALTER TABLE {table} SET TBLPROPERTIES ('written.by' = '" + name + "')")
                meeting.wait()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run, tables))
    reader = Lake(spark, tmp_path, settings, Run("reader", "test"))
    for name in tables:
        found = [json.loads(commit["userMetadata"])["run_id"] for commit in log.commits(reader.store, name, 10)]
        assert found == [f"run-of-{name}"] * 2


def test_an_archive_for_workers_that_is_not_there_is_refused_before_spark_starts(tmp_path: Path) -> None:
    (tmp_path / "there.tar.gz").touch()
    refuse_missing_archives({"spark.archives": f"{tmp_path}/there.tar.gz#environment,hdfs://name/elsewhere.tar.gz#more"})
    with pytest.raises(UsageError, match="spark.archives=dist/none.tar.gz#environment: no such file; `make dist` writes"):
        refuse_missing_archives({"spark.archives": "dist/none.tar.gz#environment"})
