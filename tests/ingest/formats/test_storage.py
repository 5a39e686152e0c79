"""Inputs at a URI: fsspec's memory stands for a store where no worker reads; WebHDFS was tried by hand."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import fsspec
import pytest
from shoal.conf.loading import load
from shoal.errors import InputError, UsageError
from shoal.ingest.formats import storage
from shoal.ingest.formats.archives import archives_of, unpack
from shoal.ingest.formats.listing import list_files, literal_path, survey_row
from shoal.ingest.formats.parsing import open_bytes

CONTENT = b"user_id,item_id\nu,a\n"


@pytest.fixture
def store() -> Iterator[str]:
    system = fsspec.filesystem("memory")
    files = {"a.csv": CONTENT, "below/b.csv.gz": gzip.compress(CONTENT), "_hidden/c.csv": CONTENT, "notes.md": b"#", "p.png": b""}
    for name, content in files.items():
        system.pipe_file(f"/in/{name}", content)
    yield "memory://in"
    system.rm("/in", recursive=True)


def test_a_folder_at_a_uri_is_listed_and_read_as_a_local_one(store: str, tmp_path: Path) -> None:
    for name in ("a.csv", "below/b.csv.gz", "_hidden/c.csv", "notes.md", "p.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"".join([fsspec.filesystem("memory").cat_file(f"/in/{name}")]))
    local, there = list_files(str(tmp_path), 10), list_files(store, 10)
    assert there == ["memory://in/a.csv", "memory://in/below/b.csv.gz"]
    assert [Path(path).relative_to(tmp_path).as_posix() for path in local] == [path.removeprefix("memory://in/") for path in there]
    conf = load().ingest
    assert [survey_row(path, conf)[1:] for path in there] == [survey_row(path, conf)[1:] for path in local]
    with open_bytes(there[1]) as stream:
        assert stream.read() == CONTENT
    assert list_files(f"{store}/a.csv", 10) == ["memory://in/a.csv"]
    assert list_files(tmp_path.as_uri(), 10) == local
    assert storage.sha256_of(there[0]) == hashlib.sha256(CONTENT).hexdigest()


def test_an_archive_at_a_uri_is_unpacked(store: str, tmp_path: Path) -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("in/x.csv", CONTENT)
    fsspec.filesystem("memory").pipe_file("/in/some.ZIP", made.getvalue())
    assert archives_of(store) == ["memory://in/some.ZIP"]
    folder = unpack("memory://in/some.ZIP", tmp_path, load().ingest)
    assert (folder / "in" / "x.csv").read_bytes() == CONTENT


def test_parquet_goes_to_spark_by_hadoops_name_of_the_store() -> None:
    assert literal_path("s3://bucket/a{1}.parquet") == "s3a://bucket/a\\{1\\}.parquet"
    assert literal_path("abfss://c@a.dfs.core.windows.net/x") == "abfss://c@a.dfs.core.windows.net/x"
    assert literal_path("/data/x*.parquet") == "file:///data/x\\*.parquet"


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("memory://in/none.csv", InputError, "memory://in/none.csv: no such file or folder"),
        ("webhdfs://127.0.0.1:1/in", InputError, "webhdfs://127.0.0.1:1/in: cannot be read: .*; check the address, the network"),
        ("gopher://there/in", InputError, "gopher://there/in: cannot be read: Protocol not known: gopher"),
        ("gs://bucket/in", InputError, r"gs://bucket/in: reading gs:// needs one more package: pip install 'shoal\[gcs\]'"),
        ("webhdfs://me:secret@127.0.0.1:1/in", UsageError, "webhdfs://: the URI holds a password; give credentials by the env"),
    ],
)
def test_what_cannot_be_read_is_one_line(store: str, given: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as raised:
        list_files(given, 10)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
