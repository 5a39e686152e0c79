"""Surveyed files to records, whatever their names are: one Spark job for what ingest would need many for."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.ingest.columns import columns_of
from shoal.ingest.formats.listing import list_files, survey_files
from shoal.ingest.formats.reading import read_records
from shoal.ingest.sources.general import RATINGS
from shoal.ingest.validation import with_fields, with_verdict


def test_ratings_of_book_crossing_in_files_of_any_name(spark: SparkSession, tmp_path: Path) -> None:
    """Quotes escaped by a backslash, no time, a name that is not UTF-8; Java opens no Parquet file of such a name."""
    head = '"User-ID";"ISBN";"Book-Rating"\r\n'
    for name, user in (("ok.csv", "u1"), ("caf\udce9.csv", "u2"), ("b[1] é.csv", "u\\\\3")):
        text = f'{head}"{user}";"034545104X";"0"\r\n"{user}";"\\"X\\"";"5"\r\n"{user}";"Y";"11"\r\n'
        (tmp_path / name).write_bytes(text.encode())
    table = pa.table({"user_id": ["u4"], "item_id": ["X"], "rating": [2.5]})
    for file in (b"caf\xe9.parquet", "b[1] é.parquet".encode()):
        with open(os.fsencode(tmp_path) + b"/" + file, "wb") as out:  # noqa: PTH123 - Path takes no bytes
            pq.write_table(table, out)
    conf = load("local", ["delimiter=;", "escape=\\", "allow_missing_time=true"], "ingest").ingest
    surveys = survey_files(spark, list_files(str(tmp_path), 10), conf)
    columns = {survey.path: columns_of(RATINGS, survey, conf)[0] for survey in surveys}
    records = read_records(spark, surveys, columns, [field.name for field in RATINGS.fields], conf)
    judged = with_verdict(with_fields(records, RATINGS, conf, date(2024, 1, 1)), RATINGS, conf)
    rows = judged.select("_file", "_line", "_rule", "user_id", "item_id", "value", "occurred_at", "event_id").collect()
    found = sorted((Path(r[0]).name, *r[1:-1]) for r in rows if r["_rule"] is None)
    expected = [("b[1] é.parquet", 1, None, "u4", "X", 2.5, None)]
    for name, user in (("b[1] é.csv", "u\\3"), ("caf\\xe9.csv", "u2"), ("ok.csv", "u1")):
        expected += [(name, 2, None, user, "034545104X", 0.0, None), (name, 3, None, user, '"X"', 5.0, None)]
    assert found == sorted(expected)
    rejected = sorted((Path(r["_file"]).name, r["_line"], r["_rule"]) for r in rows if r["_rule"] is not None)
    assert rejected == [
        ("b[1] é.csv", 4, "range"), ("caf\\xe9.csv", 4, "range"), ("caf\\xe9.parquet", 1, "file_name"), ("ok.csv", 4, "range"),
    ]  # fmt: skip
    assert len({r["event_id"] for r in rows if r["_rule"] is None}) == len(found)
