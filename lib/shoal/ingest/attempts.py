"""What runs that were broken off have left of a batch's files: their rows of bronze and quarantine, which the batch takes the place
of, and those that had come as far as silver, which it counts as its own.

A folder that has new files since is another batch, so an attempt is known by its files: each commit to bronze carries a mark
{batch, files} in its metadata. A file that was brought to the end is not in a batch again; whoever has one of its files has not
come to the end with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Attempts:
    """What is known of earlier attempts at a batch's files.

    runs: those that may have brought rows of these files as far as silver. shared: other batch -> which of this batch's files it
    has. is_partly: whether one of them has files that this batch does not have.
    """

    runs: frozenset[str] = frozenset()
    shared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    is_partly: bool = False


def file_mark(*known_by: str) -> str:
    """16 hex digits for a file as it is read: the same for the same content under the same name with the same settings."""
    return hashlib.sha256(json.dumps(known_by).encode()).hexdigest()[:16]


def batch_mark(batch_id: str, files: Iterable[str]) -> dict[str, Any]:
    """What a commit of the batch's rows carries: 20 bytes a file."""
    return {"batch": batch_id, "files": sorted(files)}


def earlier_attempts(marks: Iterable[tuple[str, dict[str, Any]]], batch_id: str, files: Mapping[str, str]) -> Attempts:
    """What the `marks` of a table, (run, mark), tell of earlier attempts at the `files` (mark -> name) of the batch."""
    runs: set[str] = set()
    shared: dict[str, frozenset[str]] = {}
    is_partly = False
    for run, mark in marks:
        both = frozenset(files[each] for each in mark["files"] if each in files)
        if not both:
            continue
        runs.add(run)
        if mark["batch"] != batch_id:
            shared[mark["batch"]] = shared.get(mark["batch"], frozenset()) | both
            is_partly |= len(both) < len(mark["files"])
    return Attempts(frozenset(runs), shared, is_partly)


def others_files(rows: DataFrame, attempts: Attempts, batch: str, file: str) -> DataFrame:
    """Those `rows` of the other batches that are of files which this batch does not have, by the columns `batch` and `file`. Cost:
    a scan, with a row a shared file sent to where the rows are."""
    taken = [(each, name) for each, names in attempts.shared.items() for name in sorted(names)]
    places = rows.sparkSession.createDataFrame(taken, f"`{batch}` string, `{file}` string")
    return rows.where(F.col(batch).isin(sorted(attempts.shared))).join(F.broadcast(places), [batch, file], "left_anti")
