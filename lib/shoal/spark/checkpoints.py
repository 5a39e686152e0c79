"""Cutting the lineage of iterative frames, and freeing what that leaves behind.

Each round of an iterative algorithm builds on the last. Without a cut, Spark would plan round 30 as thirty rounds, and `persist`
alone keeps the nested plans. A local checkpoint keeps the rows in the executors' storage and forgets the plan. On a cluster an
executor can be lost, and its rows with it: where the session has a folder for checkpoints (`runner.execute` names one in the
lake), they are written there.

Spark carries its estimate of a frame's bytes through a checkpoint. For a join it is the product of both sides, so over rounds that
join a frame with itself its digits grow exponentially, and after some twenty rounds the driver only multiplies. So the size of what
was computed takes its place, which also lets small frames be broadcast.
"""

from __future__ import annotations

from typing import Any

from pyspark import RDD
from pyspark.sql import DataFrame

from shoal.spark.hadoop_files import file_system, hadoop_path


def cut_lineage(rows: DataFrame, eager: bool = True) -> DataFrame:
    """The same rows with no plan behind them, computed now; not `eager`: when they are first read, where they are kept in the
    executors' storage. Keeps the partitioning. Frames computed now have their size in bytes. The caller releases it."""
    if rows.sparkSession.sparkContext.getCheckpointDir() is not None:
        return _with_its_size(rows.checkpoint(eager=True))
    cut = rows.localCheckpoint(eager=eager)
    return _with_its_size(cut) if eager else cut


def _with_its_size(checkpointed: DataFrame) -> DataFrame:
    """The frame, its statistics those of the stored rows and not of the plan that made them."""
    spark, plan = checkpointed.sparkSession, checkpointed._jdf.queryExecution().analyzed()
    jvm = spark._jvm
    some = jvm.scala.Option.apply
    # Java's statistics cannot be made from Python, whose bridge turns their number into Python's: those of so many longs are taken.
    longs = spark.range(-(-_stored_bytes(checkpointed, plan.rdd()) // 8))
    sized = plan.copy(
        plan.output(), plan.rdd(), plan.outputPartitioning(), plan.outputOrdering(), plan.isStreaming(), spark._jsparkSession,
        some(longs._jdf.queryExecution().analyzed().stats()), some(plan.constraints()),
    )  # fmt: skip
    return DataFrame(jvm.org.apache.spark.sql.Dataset.ofRows(spark._jsparkSession, sized), spark)


def _stored_bytes(checkpointed: DataFrame, rdd: Any) -> int:
    """The bytes of a checkpoint: in the executors' storage, or of its files; at least 1."""
    spark, file = checkpointed.sparkSession, rdd.getCheckpointFile()
    if file.isDefined():
        return max(1, file_system(spark, file.get()).getContentSummary(hadoop_path(spark, file.get())).getLength())
    kept = [each for each in spark.sparkContext._jsc.sc().getRDDStorageInfo() if each.id() == rdd.id()]
    return max(1, sum(each.memSize() + each.diskSize() for each in kept))


def mark_checkpoint(records: RDD[Any]) -> None:
    """Forget how persisted records were made, once they are computed."""
    if records.context.getCheckpointDir() is None:
        records.localCheckpoint()
    else:
        records.checkpoint()


def release(checkpointed: DataFrame) -> None:
    """Free the storage of a frame that `cut_lineage` made; it cannot be read afterwards. Nothing for any other frame.

    DataFrame.unpersist does not reach a local checkpoint: Spark frees it when the driver's collector happens to find it,
    which on a large heap is after the disk has filled.
    """
    plan = checkpointed._jdf.queryExecution().analyzed()
    while plan.children().nonEmpty():
        plan = plan.children().head()
    if plan.getClass().getSimpleName() == "LogicalRDD":
        plan.rdd().unpersist(False)
