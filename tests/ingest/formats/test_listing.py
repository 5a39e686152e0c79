"""The look through the files of an input."""

from __future__ import annotations

import gzip
from pathlib import Path
from unittest.mock import patch

import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import Settings
from shoal.errors import InputError
from shoal.ingest.formats import listing, parsing
from shoal.ingest.formats.listing import list_files, literal_path, shown_path, survey_files, unreadable_names


def test_few_short_files_are_surveyed_without_spark_as_with_it(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    texts = {"a.csv": 'x,y\n1,"one\ntwo"\n2,b\n', "b.tsv": "x\ty\n1\t2\n", "c.jsonl": '{"x": 1}\n{"x": 2}\n', "d.csv": ""}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in texts]
    context = spark.sparkContext

    def surveyed(paths: list[str], group: str) -> tuple[list[listing.Survey], int]:
        context.setJobGroup(group, "a look through files")
        found = survey_files(spark, paths, settings.ingest)
        return found, len(context.statusTracker().getJobIdsForGroup(group))

    here, jobs = surveyed(paths, "here")
    assert ([s.path for s in here], [s.header for s in here], jobs) == (paths, [("x", "y"), ("x", "y"), (), ()], 0)
    with patch.object(listing, "FEW_FILES", 3):
        there, jobs = surveyed(paths, "there")
    assert (there, jobs) == (here, 1)
    with patch.object(listing, "FEW_BYTES", sum(len(text) for text in texts.values()) - 1):
        assert surveyed(paths, "long")[1] == 1
    # What is zipped may be longer than it looks.
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b"x,y\n1,2\n"))
    assert surveyed([str(tmp_path / "e.csv.gz")], "zipped")[1] == 1


def test_a_file_of_windows_1252_is_cut_between_records_too(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n" + '1,"caf\u00e9\n"\n2,\u20ac\n'.encode("windows-1252") * 3)
    conf = settings.ingest.model_copy(update={"encoding": "windows-1252", "split_bytes": 10})
    with patch.object(parsing, "CHUNK_BYTES", 10):
        (found,) = survey_files(spark, [str(path)], conf)
    # Of each pair the first record has 10 bytes in two lines, the second 4. A cut is the first begin of a record 10 bytes on.
    assert found.stretches == ((4, 14, 2), (14, 28, 4), (28, 42, 7), (42, 46, 10))


@pytest.mark.parametrize("few", [0, 8])
def test_a_file_that_is_gone_is_one_line(spark: SparkSession, settings: Settings, tmp_path: Path, few: int) -> None:
    with patch.object(listing, "FEW_FILES", few), pytest.raises(InputError, match=r"gone\.csv"):
        survey_files(spark, [str(tmp_path / "gone.csv")], settings.ingest)


@pytest.mark.parametrize("name", ["start_here.html", "messages/inbox/bob_1/message_1.html", "Your archive.HTM"])
def test_an_archive_in_html_form_is_one_line(tmp_path: Path, name: str) -> None:
    page, picture = tmp_path / "me" / name, tmp_path / "me" / "media" / "1.jpg"
    for file in (page, picture):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"<html>")
    said = "this is the HTML form of an archive, .* ask Instagram .*JSON.* or X .* for the JSON form"
    for given, pictures, unpacked in ((tmp_path / "me", False, []), (tmp_path / "me", True, []), (page, False, [])):
        with pytest.raises(InputError, match=said):
            list_files(str(given), 10, pictures, unpacked)
    with pytest.raises(InputError, match=said):
        list_files(str(page), 10, False, [str(tmp_path / "me")])
    (tmp_path / "me" / "data.json").write_text("{}")
    assert [Path(path).name for path in list_files(str(tmp_path / "me"), 10)] == ["data.json"]


def test_names_that_are_not_utf8_are_listed_shown_and_named(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    odd, plain = str(tmp_path / "caf\udce9.csv"), str(tmp_path / "caf\u00e9 [1].csv")
    for path in (odd, plain):
        Path(path).write_text("x,y\n1,2\n")
    Path(tmp_path / ".\udce9.csv").write_text("hidden")
    assert list_files(str(tmp_path), 10) == sorted([odd, plain])
    assert unreadable_names(str(tmp_path)) == [f"{tmp_path}/caf\\xe9.csv"]
    assert shown_path(plain) == plain
    assert literal_path(plain) == f"file://{tmp_path}/caf\u00e9 \\[1\\].csv"
    here = survey_files(spark, [odd, plain], settings.ingest)
    assert [(survey.path, survey.shown) for survey in here] == [(odd, f"{tmp_path}/caf\\xe9.csv"), (plain, plain)]
    with patch.object(listing, "FEW_FILES", 1):
        assert survey_files(spark, [odd, plain], settings.ingest) == here
    with pytest.raises(InputError, match=r"b\\xff.csv: cannot be read"):
        survey_files(spark, [str(tmp_path / "b\udcff.csv")], settings.ingest)
