"""Files of the driver's disk that Spark writes or reads, where tasks may run on other machines.

In a local session tasks see the driver's disk. On a cluster what tasks write goes to the session's checkpoint folder, which all see
(`runner.execute` names one in the lake), and is copied to the driver from there; what they read goes through the driver's memory.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from shoal.errors import UsageError
from shoal.spark.hadoop_files import file_system, get_file, hadoop_path


def shares_disk(spark: SparkSession) -> bool:
    """Whether tasks run in this process, so that they see the driver's files."""
    return str(spark.sparkContext.master).startswith("local")


@contextmanager
def written_by_tasks(spark: SparkSession, folder: Path, shared: str | None = None) -> Iterator[str]:
    """Yield the URI that tasks are to write a folder to, which is `folder` of the driver when the block has ended well. It must not
    exist before; its parent must. `shared`: a folder that all see, where it is not to be the checkpoint folder.

    Raises UsageError on a cluster whose session has no checkpoint folder, InputError as `hadoop_files.store_errors`. Cost on a
    cluster: a copy of the files; nothing is left in the checkpoint folder, whatever happens to the block.
    """
    if shares_disk(spark):
        yield f"file://{folder}"
        return
    base = shared or spark.sparkContext.getCheckpointDir()
    if base is None:
        raise UsageError(
            f"{folder}: tasks on a cluster do not see this folder of the driver; name a URI, or run a job on a lake at a URI"
        )
    place = f"{base}/{uuid.uuid4().hex}"
    try:
        yield place
        get_file(spark, place, folder)
    finally:
        file_system(spark, place).delete(hadoop_path(spark, place), True)


def read_parquet_folder(spark: SparkSession, folder: Path) -> DataFrame:
    """The rows of Parquet files of the driver in one folder. On a cluster they are read into its memory, now; else lazily."""
    if shares_disk(spark):
        return spark.read.parquet(f"file://{folder}")
    table = pq.read_table(folder)
    return spark.createDataFrame(table.to_pandas(), from_arrow_schema(table.schema))
