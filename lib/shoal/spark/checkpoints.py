"""Cutting the lineage of iterative frames, and freeing what that leaves behind.

Each round of an iterative algorithm builds on the last. Without a cut, Spark would plan round 30 as thirty rounds, and `persist`
alone keeps the nested plans. A local checkpoint keeps the rows in the executors' storage and forgets the plan. On a cluster an
executor can be lost, and its rows with it: where the session has a folder for checkpoints (`runner.execute` names one in the
lake), they are written there.
"""

from __future__ import annotations

from typing import Any

from pyspark import RDD
from pyspark.sql import DataFrame


def cut_lineage(rows: DataFrame, eager: bool = True) -> DataFrame:
    """The same rows with no plan behind them, computed now; not `eager`: when they are first read, where they are kept in the
    executors' storage. Keeps the partitioning. The caller releases it."""
    if rows.sparkSession.sparkContext.getCheckpointDir() is None:
        return rows.localCheckpoint(eager=eager)
    return rows.checkpoint(eager=True)


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
