"""What keeps a session of many jobs small and quick: conf/spark/local.conf."""

from __future__ import annotations

import subprocess
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F


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
