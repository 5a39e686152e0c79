"""A checkpoint folder, whole and spoiled in each way that Spark would go on from without a word or with a stack trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.ingest.streaming.checkpoints import has_content, read_checkpoint

OFFSETS = 'v1\n{"batchWatermarkMs":0,"batchTimestampMs":1,"conf":{}}\n'


def write(folder: Path, source: str = '{"events":{"0":5}}') -> Path:
    """A checkpoint of two batches, the second planned and not done."""
    for name in ("offsets", "commits", "sources/0"):
        (folder / name).mkdir(parents=True)
    (folder / "metadata").write_text('{"id":"a-b"}')
    for number in (0, 1):
        (folder / "offsets" / str(number)).write_text(OFFSETS + source)
    (folder / "commits" / "0").write_text('v1\n{"nextBatchWatermarkMs":0}')
    (folder / "sources" / "0" / "0").write_text('v1\n{"path":"file:///a"}')
    return folder


def test_a_whole_one_says_how_far_it_is(tmp_path: Path) -> None:
    found, fault = read_checkpoint(write(tmp_path / "c"))
    assert fault == ""
    assert found is not None
    assert (found.planned, found.done) == (1, 0)


def test_one_that_has_not_begun_is_whole(tmp_path: Path) -> None:
    (tmp_path / "metadata").write_text('{"id":"a-b"}')
    found, fault = read_checkpoint(tmp_path)
    assert (fault, found and found.planned) == ("", -1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda c: (c / "metadata").unlink(), "its file metadata is missing"),
        (lambda c: (c / "metadata").write_text(""), "its file metadata is not JSON"),
        (lambda c: (c / "metadata").write_text("{}"), "its file metadata names no query"),
        (lambda c: (c / "offsets" / "1").write_text(""), "its file offsets/1 is empty"),
        (lambda c: (c / "offsets" / "1").write_text("v1\n{"), "its file offsets/1 is cut off"),
        (lambda c: (c / "offsets" / "1").write_text(OFFSETS + '{"events":{"0'), "its file offsets/1 is cut off"),
        (lambda c: (c / "offsets" / "1").write_bytes(b"\xff\xfe"), "its file offsets/1 is not text"),
        (lambda c: (c / "offsets" / "1").write_text("hello\nyou\nthere"), "its file offsets/1 is no log of Spark"),
        (lambda c: (c / "commits" / "0").write_text(""), "its file commits/0 is empty"),
        (lambda c: [p.unlink() for p in (c / "offsets").iterdir()], "its folder offsets is empty"),
    ],
)
def test_a_spoiled_one_is_told(tmp_path: Path, spoil: Callable[[Path], object], says: str) -> None:
    folder = write(tmp_path / "c")
    spoil(folder)
    assert read_checkpoint(folder) == (None, says)


def test_a_missing_and_an_empty_one(spark: SparkSession, tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "nowhere") == (None, "it is not there")
    assert read_checkpoint(tmp_path) == (None, "it is empty")
    assert not has_content(spark, str(tmp_path))


def test_the_list_of_files_must_reach_as_far_as_the_offsets(tmp_path: Path) -> None:
    whole = write(tmp_path / "a", '{"logOffset":0}')
    assert read_checkpoint(whole)[1] == ""
    behind = write(tmp_path / "b", '{"logOffset":3}')
    assert read_checkpoint(behind) == (None, "its folder sources/0 ends before batch 1")
    (whole / "sources" / "0" / "0").rename(whole / "sources" / "0" / "0.compact")
    assert read_checkpoint(whole)[1] == ""
    (whole / "sources" / "0" / "0.compact").unlink()
    (whole / "sources" / "0").rmdir()
    assert read_checkpoint(whole) == (None, "its folder sources/0 is missing")
