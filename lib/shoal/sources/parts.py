"""A part of a source: one kind of record, the fields of its files, and the silver columns they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf import IngestConf
from shoal.sources.fields import Field

# `made(conf)` gives the silver columns from the typed fields (columns of their names; null where a file has none).
Make = Callable[[IngestConf], dict[str, Column]]


@dataclass(frozen=True)
class Part:
    """One kind of record of a source.

    bronze and silver: its tables. file: the file's name in a folder of several parts; None where every file is this part.
    keeps_newest: whether a later record of a key replaces the earlier (items) or is refused as a contradiction (events).
    checked(conf): struct(rule, reason) of what the silver columns break beyond their contract; null where nothing.
    """

    name: str
    bronze: str
    silver: str
    fields: tuple[Field, ...]
    made: Make
    file: str | None = None
    keeps_newest: bool = True
    checked: Callable[[IngestConf], Column] | None = None


def id_from(*columns: str) -> Column:
    """32 hex digits that the values of `columns` determine: an id for records that bring none."""
    return F.md5(F.concat_ws("\u001f", *[F.coalesce(F.col(c).cast("string"), F.lit("")) for c in columns]))


def event_id_from(source: str, event: Column) -> Column:
    """An event's id from who did what with which item when: the same record gives the same id in every file."""
    when = F.unix_micros("occurred_at").cast("string")
    return F.md5(F.concat_ws("\u001f", F.lit(source), F.col("user_id"), F.col("item_id"), event, when))


def hashtags_of(text: Column) -> Column:
    """The hashtags in a text, without #, in lower case, each once, in order; letters and digits of every script."""
    return F.array_distinct(F.transform(F.regexp_extract_all(text, F.lit(r"#([\p{L}\p{N}_]+)"), F.lit(1)), F.lower))
