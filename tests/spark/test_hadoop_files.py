"""Files at URIs: whole or not at all, and one line for what a store refuses."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import write_rows
from shoal.spark.driver_files import read_parquet_folder, written_by_tasks
from shoal.spark.hadoop_files import exists, get_file, is_folder, names_in, put_file

from tests.support.viewfs import mounted


def test_a_file_is_put_over_another_and_fetched(spark: SparkSession, tmp_path: Path) -> None:
    there = mounted(spark, tmp_path / "there")
    for text in ("first", "second"):
        (tmp_path / "a file").write_text(text)
        put_file(spark, tmp_path / "a file", f"{there}/sub/x.txt")
    assert (tmp_path / "there" / "sub" / "x.txt").read_text() == "second"
    assert names_in(spark, f"{there}/sub") == ["x.txt"]
    assert names_in(spark, f"{there}/nowhere") == []
    assert is_folder(spark, f"{there}/sub")
    assert not is_folder(spark, f"{there}/sub/x.txt")
    assert not exists(spark, f"{there}/y")
    get_file(spark, f"{there}/sub/x.txt", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "second"


def test_rows_are_written_as_one_file_at_a_uri(spark: SparkSession, tmp_path: Path) -> None:
    there = mounted(spark, tmp_path / "there")
    rows = spark.createDataFrame([("b", 2), ("a", None)], "name string, n int").repartition(2).orderBy("name")
    for name in ("x.csv", "x.csv.gz", "x.parquet"):
        write_rows(rows, f"{there}/out/{name}")
    text = 'name,n\na,\nb,2\n'
    assert (tmp_path / "there" / "out" / "x.csv").read_text() == text
    assert gzip.decompress((tmp_path / "there" / "out" / "x.csv.gz").read_bytes()).decode() == text
    assert pq.read_table(tmp_path / "there" / "out" / "x.parquet").to_pylist() == [{"name": "a", "n": None}, {"name": "b", "n": 2}]
    assert names_in(spark, f"{there}/out") == ["x.csv", "x.csv.gz", "x.parquet"]
    (tmp_path / "there" / "out" / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="out/folder.csv: is a folder; expected the name of a file"):
        write_rows(rows, f"{there}/out/folder.csv")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ftpx://host/x.csv", "no client of this scheme is among Spark's jars; expected hdfs, s3a, abfss or gs"),
        ("hdfs://no-such-host.invalid/x.csv", "there is no such server; check the address"),
        ("s3a://bucket/x.csv", "its client is not among Spark's jars; add the package by --set spark.jars.packages="),
    ],
)  # fmt: skip
def test_what_a_store_refuses_is_one_line(spark: SparkSession, address: str, says: str) -> None:
    with pytest.raises(InputError) as raised:
        write_rows(spark.range(1), address)
    assert str(raised.value).startswith(f"{address}: {says}")
    assert "\n" not in str(raised.value)


def test_tasks_of_a_local_session_write_where_the_driver_reads(spark: SparkSession, tmp_path: Path) -> None:
    with written_by_tasks(spark, tmp_path / "rows") as place:
        spark.createDataFrame([("a", [1.5])], "id string, features array<float>").write.parquet(place)
    assert read_parquet_folder(spark, tmp_path / "rows").collect() == [("a", [1.5])]
