"""Files that a test puts on an HDFS, by WebHDFS."""

from __future__ import annotations

import getpass
import gzip
from pathlib import Path

import fsspec


def put(folder: Path, uri: str) -> None:
    """The folder's files at the URI, the first of them zipped where it is text."""
    system, place = fsspec.core.url_to_fs(uri, user=getpass.getuser())
    for n, file in enumerate(sorted(file for file in folder.rglob("*") if file.is_file())):
        inside, content = file.relative_to(folder).as_posix(), file.read_bytes()
        is_text = file.suffix in (".csv", ".jsonl")
        name, content = (f"{inside}.gz", gzip.compress(content)) if is_text and not n else (inside, content)
        system.makedirs(f"{place}/{inside}".rsplit("/", 1)[0], exist_ok=True)
        with system.open(f"{place}/{name}", "wb") as out:
            out.write(content)
