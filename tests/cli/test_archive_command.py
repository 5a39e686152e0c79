"""`shoal archive` on literal archives, from an empty folder to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.cli.archive import archive, owner_of
from shoal.conf.loading import load
from shoal.errors import InputError, UsageError
from shoal.lake.lake import Lake, Run

from tests.ingest.sources.instagram_archives import OLD, write_folder

# A person's profile and likes alone, without a text, are an archive: a few tables instead of all.
LIKES = {"profile.json": {"username": "zoe"}, "likes.json": OLD["likes.json"]}


def test_a_page_of_one_archive(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    write_folder(OLD, tmp_path / "both/ann")
    archive(str(tmp_path / "both"), tmp_path / "ann.html", time_zone="Europe/Paris")
    said = json.loads(capsys.readouterr().out)
    assert (said["person"], said["rejected"]) == ("ann", 0)
    page = (tmp_path / "ann.html").read_text(encoding="utf-8")
    assert "<title>The archive of ann</title>" in page and "Europe/Paris" in page and "cat" in page
    # Nothing personal stays behind.
    assert [p for p in (tmp_path / "tmp").iterdir() if p.name.startswith("shoal-archive-")] == []


def test_mistakes_are_told_before_anything_is_read(tmp_path: Path) -> None:
    for arguments, said in (
        ({"output": tmp_path / "a.pdf"}, "expected a name that ends in .html"),
        ({"output": tmp_path / "none/a.html"}, "a folder that exists"),
        ({"output": tmp_path / "a.html", "time_zone": "Mars/Olympus"}, "no such zone"),
        ({"output": tmp_path / "a.html", "sets": ["privacy.pseudonymise=true"]}, "a page about people shows their names"),
    ):
        with pytest.raises(UsageError, match=said):
            archive(str(tmp_path), **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_texts_one_of_two_people_and_one_that_cannot_be_read(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        archive(str(tmp_path / "nowhere"), tmp_path / "a.html")
    lake = str(tmp_path / "lake")
    write_folder(LIKES, tmp_path / "both/zoe")
    archive(str(tmp_path / "both"), tmp_path / "likes.html", lake=lake)
    assert "You are most active on" in (tmp_path / "likes.html").read_text(encoding="utf-8")

    write_folder(LIKES | {"profile.json": {"username": "ann"}}, tmp_path / "both/ann")
    with pytest.raises(InputError, match="archives of 2 people: ann, zoe; name one with --person"):
        archive(str(tmp_path / "both"), tmp_path / "two.html", lake=lake)
    opened = Lake(spark, lake, load(), Run("archive", "test"))
    with pytest.raises(InputError, match="--person bob: no such archive; there is ann, zoe"):
        owner_of(opened, "bob")
    assert owner_of(opened, "zoe") == "zoe"

    write_folder({"connections.json": {"followers": {"bob": "2019-02-01T00:00:00"}, "following": {}}}, tmp_path / "lone")
    with pytest.raises(InputError, match="nothing says whose it is"):
        archive(str(tmp_path / "lone"), tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()
