"""One kind of record of a source: the fields of its files, and the silver columns they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field, Hide
from shoal.ingest.formats.documents import RecordsOf
from shoal.ingest.formats.json_objects import Shaped

# `made(conf)` gives the silver columns from the typed fields (columns of their names; null where a file has none).
Make = Callable[[IngestConf], dict[str, Column]]


@dataclass(frozen=True)
class DerivedTable:
    """A further silver table that the records of a type give rows of.

    made(conf): the row's silver columns, or one column, array<struct of silver columns>: each of its elements is a row.
    where(): whether a record gives any; None where each does. keeps_newest: whether a row replaces an earlier one of its key,
    or the earlier one stays (and no conflict is recorded: these rows are derived). prefers_complete: of an input's rows of one key
    those with the fewest nulls come before others, where the earlier one stays.
    """

    silver: str
    made: Callable[[IngestConf], dict[str, Column] | Column]
    where: Callable[[], Column] | None = None
    keeps_newest: bool = True
    prefers_complete: bool = False


@dataclass(frozen=True)
class RecordType:
    """One kind of record of a source.

    bronze and silver: its tables. file: the name or names of its files in a folder of several record types, where `*` stands for
    anything but a slash; `messages/*/message_*.json` also names folders, from the right; None where every file is of this type.
    keeps_newest: whether a later record of a key replaces the earlier (items) or is refused as a contradiction (events).
    checked(conf): struct(rule, reason) of what the silver columns break beyond their contract; null where nothing.
    also: further silver tables. holds_fields: whether bronze keeps the typed fields, from which every output can be made again,
    and not silver's columns; always so with `also`.
    records_of: how a .json file that is one document becomes records, a module-level function; an element that it gives and
    that is no object is a rejected record, an error of a wrong shape rejects the document. pages: names by which a line of JSON
    lines is recognised as such a document too. shaped: what is done to a JSON object before its names are matched, a module-level
    function; one that fails rejects the record. is_optional: whether the source may
    come without it, where it is the first part. depends_on(path): what a file's records depend on besides its bytes, as the person
    whose archive it lies in; a file is ingested once for each.
    excluding: names of files of another type, for a type that takes all others. takes(): which records of its files are
    of this type, by the typed fields, never null; another type of the same files takes the rest, so that each record counts once.
    of_pictures: whether its files are pictures, one record each.
    hidden_path(path, hide): what a pseudonymised lake calls a file, for a source that names files after people. names_in(path):
    names of people that a file's words may hold, besides those its records say, each with the id it stands for; words then lose
    these names and those of their record's people.
    key_from: the silver column of time that all keys are derived from, where no record has a key of its own: rows of one key, of
    the source, have the same time.
    null: a text that stands for no value; has_quotes: whether quotes enclose fields in its delimited files.
    """

    name: str
    bronze: str
    silver: str
    fields: tuple[Field, ...]
    made: Make
    file: str | tuple[str, ...] | None = None
    keeps_newest: bool = True
    checked: Callable[[IngestConf], Column] | None = None
    also: tuple[DerivedTable, ...] = ()
    records_of: RecordsOf | None = None
    pages: frozenset[str] = frozenset()
    shaped: Shaped | None = None
    is_optional: bool = False
    holds_fields: bool = False
    excluding: tuple[str, ...] = ()
    takes: Callable[[], Column] | None = None
    depends_on: Callable[[str], str] | None = None
    null: str | None = None
    has_quotes: bool = True
    of_pictures: bool = False
    hidden_path: Callable[[str, Hide], str] | None = None
    names_in: Callable[[str], dict[str, str]] | None = None
    key_from: str | None = None

    @property
    def fields_in_bronze(self) -> bool:
        """Whether the bronze table has the typed fields instead of silver's columns."""
        return self.holds_fields or bool(self.also)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of its files; none where every file is of this type."""
        return (self.file,) if isinstance(self.file, str) else self.file or ()

    def claims(self, path: str) -> bool:
        """Whether a file, by its path, is of this type; case and a last .gz do not count."""
        plain = PurePosixPath(path.lower().removesuffix(".gz"))
        if any(plain.match(pattern.lower()) for pattern in self.excluding):
            return False
        return not self.patterns or any(plain.match(pattern.lower()) for pattern in self.patterns)


def id_from(*columns: str) -> Column:
    """32 hex digits that the values of `columns` determine: an id for records that have none."""
    return F.md5(F.concat_ws("\u001f", *[F.coalesce(F.col(c).cast("string"), F.lit("")) for c in columns]))


def event_id_from(source: str, event: Column) -> Column:
    """An event's id from who did what with which item when: the same record gives the same id in every file.

    32 hex digits, of two 64-bit hashes with seeds of their own: the md5 of the same values would be a third of the time
    of a load (docs/adr/0060). Two of a billion events meet in all 128 bits once in 10^20 lakes.
    """
    values = [F.lit(source), F.col("user_id"), F.col("item_id"), event, F.unix_micros("occurred_at")]
    # As bytes: the hex digits of a number come without leading zeros, and to put them there costs as much as the hash.
    halves = [F.xxhash64(F.lit(seed), *values).cast("binary") for seed in (1, 2)]
    return F.lower(F.hex(F.concat(*halves)))


def hashtags_of(text: Column) -> Column:
    """The hashtags in a text, without #, in lower case, each once, in order; letters and digits of every script."""
    return F.array_distinct(F.transform(F.regexp_extract_all(text, F.lit(r"#([\p{L}\p{N}_]+)"), F.lit(1)), F.lower))


def status_of(path: Column) -> Column:
    """A picture's status before anybody looked at it: remote where its path is a URL, else listed."""
    return F.when(path.rlike("(?i)^https?://"), "remote").otherwise("listed")


def unlabelled() -> dict[str, Column]:
    """Return silver.texts' labels, one for each task, of a text without labels: null."""
    return {name: F.lit(None).cast("string") for name in ("label", "emotion_label", "moderation_label")}
