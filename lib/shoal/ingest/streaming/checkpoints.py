"""What a stream's checkpoint folder says, read as files: whether it is whole, and how far the stream has come by it.

Spark's layout (HDFSMetadataLog): `metadata` is JSON with the query's id; `offsets/N` and `commits/N` are a line `v1` and lines of
JSON, one file a batch; `sources/0/N` is the file source's list of files, `N.compact` now and then. A batch's offsets are
written before it runs, its commit after. No Spark job here: a lost or damaged checkpoint must be known before a query starts.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from shoal.conf.addresses import is_uri
from shoal.spark.hadoop_files import exists, get_file, names_in

# Files of a checkpoint that are looked at: of the query, and of a batch.
_KEPT = re.compile(r"metadata|\d+(\.compact)?")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is whole: the numbers of the last batch that was planned and of the last that was done, -1 for none."""

    folder: Path
    planned: int
    done: int


def has_content(spark: SparkSession, folder: str) -> bool:
    """Whether anything lies in the folder, a path or a URI."""
    return bool(names_in(spark, folder)) if is_uri(folder) else _is_filled(Path(folder))


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


@contextmanager
def local_checkpoint(spark: SparkSession, address: str) -> Iterator[Path]:
    """Yield a checkpoint's folder, or, of one at a URI, a copy for the block of what `read_checkpoint` looks at: the names of all
    files, and what is in the last two of each folder. Raises InputError, one line, where the store does not answer."""
    if not is_uri(address):
        yield Path(address)
        return
    with tempfile.TemporaryDirectory(prefix="shoal-checkpoint-") as made:
        copy = Path(made) / "checkpoint"
        for inside in ("", "offsets", "commits", "sources/0"):
            folder = f"{address}/{inside}".rstrip("/")
            names = [name for name in names_in(spark, folder) if _KEPT.fullmatch(name)]
            names.sort(key=lambda name: int(name.split(".")[0]) if name[0].isdigit() else -1)
            if exists(spark, folder):
                (copy / inside).mkdir(parents=True, exist_ok=True)
            for name in names[:-2]:
                (copy / inside / name).touch()
            for name in names[-2:]:
                get_file(spark, f"{folder}/{name}", copy / inside / name)
        yield copy


def read_checkpoint(folder: Path) -> tuple[Checkpoint | None, str]:
    """(the checkpoint, "") where it is whole, else (None, what is wrong with it). Reads at most six small files.

    Spark looks at the last two planned batches, the last done one and the source's own list; those are looked at here.
    """
    if not _is_filled(folder):
        return None, "it is not there" if not folder.exists() else "it is empty"
    try:
        identity = json.loads((folder / "metadata").read_text(encoding="utf-8"))
        if not identity.get("id"):
            return None, "its file metadata names no query"
        planned, done = _numbers(folder / "offsets"), _numbers(folder / "commits")
        for number in planned[-2:]:
            _lines(folder / "offsets" / str(number), 3)
        for number in done[-1:]:
            _lines(folder / "commits" / str(number), 2)
        fault = _source_fault(folder, planned[-1]) if planned else ""
    except FileNotFoundError as error:
        return None, f"its file {_inner(folder, error.filename)} is missing"
    except (OSError, UnicodeDecodeError) as error:
        return None, f"it cannot be read: {getattr(error, 'strerror', None) or 'not text'}"
    except (ValueError, AttributeError) as error:
        return None, f"{error}" if isinstance(error, _DamageError) else "its file metadata is not JSON"
    if fault:
        return None, fault
    if done and not planned:
        return None, "its folder offsets is empty"
    return Checkpoint(folder, planned[-1] if planned else -1, done[-1] if done else -1), ""


class _DamageError(ValueError):
    """A file of the checkpoint that holds something else than it should."""


def _inner(folder: Path, name: str) -> str:
    path = Path(name)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else name


def _numbers(folder: Path) -> list[int]:
    """The batches that have a file in the folder, in order; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())


def _lines(path: Path, least: int) -> list[str]:
    """The lines of a log file; _DamageError where it is not `v1` and JSON."""
    where = f"its file {path.parent.name}/{path.name}"
    try:
        head, *rest = path.read_text(encoding="utf-8").splitlines() or [""]
    except UnicodeDecodeError:
        raise _DamageError(f"{where} is not text") from None
    if head != "v1" or len(rest) + 1 < least:
        raise _DamageError(f"{where} is {'cut off' if head == 'v1' else 'empty' if not head else 'no log of Spark'}")
    for line in rest:
        try:
            json.loads(line) if line != "-" else None
        except ValueError:
            raise _DamageError(f"{where} is cut off") from None
    return rest


def _source_fault(folder: Path, last: int) -> str:
    """What is wrong with the list that a source of files keeps of what it has given; "" for Kafka, which keeps none.

    Without the list such a source begins to count at 0 again, below what was done, and takes everything new for done.
    """
    offset = json.loads(_lines(folder / "offsets" / str(last), 3)[1])
    if not isinstance(offset, dict) or "logOffset" not in offset:
        return ""
    log = folder / "sources" / "0"
    if not log.is_dir():
        return "its folder sources/0 is missing"
    found = {int(p.name.removesuffix(".compact")): p for p in log.iterdir() if p.name.removesuffix(".compact").isdigit()}
    if not found or max(found) < offset["logOffset"]:
        return f"its folder sources/0 ends before batch {last}"
    newest = found[max(found)]
    _lines(newest, 1)
    return ""
