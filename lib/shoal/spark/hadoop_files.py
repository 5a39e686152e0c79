"""Files at URIs by Hadoop's file systems, from the driver: hdfs, s3a, abfss, gs and whatever else the session has a client of."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from shoal.errors import InputError, one_line

_LONGEST = 300


def hadoop_path(spark: SparkSession, path: str) -> Any:
    """Hadoop's Path of a local path or a URI."""
    return spark._jvm.org.apache.hadoop.fs.Path(path)


def file_system(spark: SparkSession, path: str) -> Any:
    """The file system of a path, as the session is set. Raises Py4JJavaError for a scheme without a client."""
    return hadoop_path(spark, path).getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Raise InputError, one line that begins with `address`, for what the store answers in the block: a scheme without a client, a
    bucket or server that is not there, a permission that is missing."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        # pyspark makes exceptions of its own of some that Hadoop raises, whose text has the cause.
        cause = getattr(error, "java_exception", None)
        while cause is not None and cause.getCause() is not None:
            cause = cause.getCause()
        raise InputError(f"{address}: {_with_advice(one_line(error) if cause is None else cause.toString())}") from None


def _with_advice(text: str) -> str:
    """What a store answered as one line, with what to do where that is known."""
    kinds = {
        "No FileSystem for scheme": "no client of this scheme is among Spark's jars; expected hdfs, s3a, abfss or gs, and its "
        "package by --set spark.jars.packages=...",
        "UnknownHostException": "there is no such server; check the address",
        "ConnectException": "nothing answers there; check the address, and whether the name node is up",
        "AccessControlException": "permission denied; give the user of this command the right to write there",
        "ClassNotFoundException": "its client is not among Spark's jars; add the package by --set spark.jars.packages=...",
        "NoSuchBucket": "there is no such bucket; make it first",
        "UnknownStoreException": "there is no such bucket; make it first",
        "NoAuthWithAWSException": "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role",
    }
    said = next((advice for mark, advice in kinds.items() if mark in text), None)
    found = one_line(Exception(text)).split("; For more details")[0][:_LONGEST]
    return found if said is None else f"{said} ({found})"


def exists(spark: SparkSession, address: str) -> bool:
    """Whether a file or folder is there. Raises InputError as `store_errors`."""
    with store_errors(address):
        return bool(file_system(spark, address).exists(hadoop_path(spark, address)))


def is_folder(spark: SparkSession, address: str) -> bool:
    """Whether a folder is there. Raises InputError as `store_errors`."""
    with store_errors(address):
        files, path = file_system(spark, address), hadoop_path(spark, address)
        return bool(files.exists(path) and files.getFileStatus(path).isDirectory())


def names_in(spark: SparkSession, folder: str) -> list[str]:
    """The names of what lies in a folder, sorted; none where it is not there. Raises InputError as `store_errors`."""
    with store_errors(folder):
        files, path = file_system(spark, folder), hadoop_path(spark, folder)
        return sorted(status.getPath().getName() for status in files.listStatus(path)) if files.exists(path) else []


def copy_from_local(spark: SparkSession, source: Path, target: str) -> None:
    """Copy a local file or folder to a URI where nothing is, by streams.

    s3a's own copyFromLocalFile (Hadoop 3.3.4) fails on folders; this one is every file system's."""
    jvm: Any = spark._jvm
    conf = spark._jsparkSession.sessionState().newHadoopConf()
    local = jvm.org.apache.hadoop.fs.FileSystem.getLocal(conf)
    place = hadoop_path(spark, f"file://{source.resolve()}")
    jvm.org.apache.hadoop.fs.FileUtil.copy(local, place, file_system(spark, target), hadoop_path(spark, target), False, True, conf)


def put_file(spark: SparkSession, source: Path, target: str) -> None:
    """Copy a local file to a URI, whole or not at all: beside its place, then renamed over what was there. Its parents are made.

    Raises InputError as `store_errors`; nothing is left beside then."""
    beside = f"{target}.{secrets.token_hex(4)}.new"
    with store_errors(target):
        files, path, new = file_system(spark, target), hadoop_path(spark, target), hadoop_path(spark, beside)
        try:
            files.mkdirs(path.getParent())
            copy_from_local(spark, source, beside)
            # A Hadoop file system renames over nothing that exists.
            files.delete(path, False)
            files.rename(new, path)
        finally:
            files.delete(new, False)


def get_file(spark: SparkSession, source: str, target: Path) -> None:
    """Copy the file or folder at a URI to a local path that does not exist. Raises InputError as `store_errors`."""
    with store_errors(source):
        # Without the local file system's checksums beside.
        file_system(spark, source).copyToLocalFile(
            False, hadoop_path(spark, source), hadoop_path(spark, f"file://{target.resolve()}"), True
        )
