"""Every byte of a lake, searched: files as they are, and what Parquet, gzip and zip files hold inside."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def places(root: Path, needle: str) -> list[str]:
    """The files below `root`, relative to it, whose name or content holds `needle`; those that no table refers to any more too."""
    wanted = needle.encode()
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and (needle in str(path.relative_to(root)) or any(wanted in piece for piece in contents(path))):
            found.append(str(path.relative_to(root)))
    return found


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and those inside it."""
    data = path.read_bytes()
    yield data
    if path.name.endswith(".parquet") and data.endswith(b"PAR1"):  # what a task that was stopped left has no footer
        # Compressed pages hide their text: every value is read.
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches():
            for column in batch.columns:
                yield "\n".join(text_of(value) for value in column.to_pylist()).encode()
    elif path.name.endswith(".gz"):
        yield gzip.decompress(data)
    elif path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield "\n".join(archive.namelist()).encode()
            yield from (archive.read(name) for name in archive.namelist())


def text_of(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
