"""A local folder under a URI of Hadoop's own view of other file systems (viewfs): a file system with a scheme, without a server."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession


def mounted(spark: SparkSession, folder: Path) -> str:
    """The URI of `folder`, which is made, as <its parent's name>/<its name>."""
    folder.mkdir(exist_ok=True)
    name = folder.parent.name.replace("_", "-").lower()
    key = f"fs.viewfs.mounttable.{name}.link./{folder.name}"
    spark.sparkContext._jsc.hadoopConfiguration().set(key, folder.as_uri())
    return f"viewfs://{name}/{folder.name}"
