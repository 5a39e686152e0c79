"""Cutting the lineage of iterative frames, and freeing what that leaves behind.

Each round of a graph algorithm builds on the last. Without a cut, Spark would plan round 30 as thirty rounds, and `persist`
alone keeps the nested plans. A local checkpoint keeps the rows in the executors' storage and forgets the plan; a lost
executor fails the job, which a rerun of the same as_of repairs.
"""

from __future__ import annotations

from pyspark.sql import DataFrame


def cut_lineage(rows: DataFrame) -> DataFrame:
    """The same rows, computed now, with no plan behind them. Keeps the partitioning. The caller releases it."""
    return rows.localCheckpoint(eager=True)


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
