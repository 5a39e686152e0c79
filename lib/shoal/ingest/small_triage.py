"""Triage of few records on the driver: the keys of a small input are collected once, and compared here.

The verdicts are those of `shoal.ingest.duplicates`, which compares large inputs in Spark. Keys are compared by 128 bits of hash:
two of a billion keys are equal in all of them once in 10^20 lakes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.lake.contract import Contract

# Hashes up to this number stand in the query itself.
FEW_HASHES = 1_000
Key = tuple[int, int]


class KeyRow(NamedTuple):
    """A record as triage sees it: its place, the rule that it breaks, the hashes of its key and of its content, and the time that
    its key is derived from, in microseconds."""

    file: str
    line: int
    rule: str | None
    key: Key
    content: int
    at: int | None


class SilverRow(NamedTuple):
    """A row of silver with a key of the batch."""

    content: int
    source: str
    run_id: str


class Verdict(NamedTuple):
    """What becomes of a sound record that is not written: `duplicate` or `conflict`, with the reason."""

    file: str
    line: int
    verdict: str
    reason: str


@dataclass
class SilverKeys:
    """The rows of one silver table, at `version`, that have a key of the run's records; what the run decides to write is added."""

    version: int
    rows: dict[Key, SilverRow] = field(default_factory=dict)


def hashes(made: Contract) -> list[Column]:
    """_h, _h2: 128 bits of the key; _content: of all values but source and run_id, where null and empty differ."""
    content = [name for name in made.columns if name not in ("source", "run_id")]
    nulls = [F.col(name).isNull() for name in content if made.columns[name].null]
    second = F.xxhash64(F.lit(1), *made.key)
    return [F.xxhash64(*made.key).alias("_h"), second.alias("_h2"), F.xxhash64(*content, *nulls).alias("_content")]


def collect_keys(
    frames: Sequence[tuple[DataFrame, Contract, str | None]], pairs: DataFrame | None = None
) -> tuple[list[list[KeyRow]], list[tuple[str, str]]]:
    """The key rows of each frame (_file, _line, _rule and silver's columns; its table's contract; the column of time that all keys
    are derived from), in the order of place; and the rows of `pairs`, two columns of text. One Spark job for both. Collects 50
    bytes a record and its file's name."""
    selected = []
    for number, (frame, made, key_from) in enumerate(frames):
        at = F.unix_micros(key_from) if key_from else F.lit(None).cast("bigint")
        place = (F.lit(number).alias("_number"), "_file", "_line", "_rule", at.alias("_at"))
        selected.append(frame.select(*place, *hashes(made)))
    if pairs is not None:
        one, two = pairs.columns
        zeros = [F.lit(0).cast("bigint").alias(name) for name in ("_line", "_at", "_h", "_h2", "_content")]
        texts = F.col(one).alias("_file"), F.col(two).alias("_rule")
        selected.append(pairs.select(F.lit(-1).alias("_number"), *texts, *zeros))
    found: list[list[KeyRow]] = [[] for _ in frames]
    others: list[tuple[str, str]] = []
    names = ("_number", "_file", "_line", "_rule", "_h", "_h2", "_content", "_at")
    if not selected:
        return found, others
    everything = reduce(DataFrame.unionByName, selected)
    with without_adaptive_execution(everything.sparkSession):
        batches = everything._collect_as_arrow()
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in names)
        for number, file, line, rule, first, second, content, at in zip(*columns, strict=True):
            if number < 0:
                others.append((file, rule))
            else:
                found[number].append(KeyRow(file, line, rule, (first, second), content, at))
    return [sorted(rows, key=lambda row: (row.file, row.line)) for rows in found], others


@dataclass(frozen=True)
class Lookup:
    """Keys to look for in a silver table: its rows, its contract, the hashes, and, where all keys of a source are derived from a
    time, that column, the source, and the first and last time."""

    silver: DataFrame
    made: Contract
    keys: Collection[Key]
    times: tuple[str, str, int, int] | None = None


def look_up(lookups: Sequence[Lookup]) -> list[dict[Key, SilverRow]]:
    """The rows of each silver table that have one of the keys: one scan of the key columns each, one Spark job for all."""
    selected = []
    for number, each in enumerate(lookups):
        rows = each.silver
        if each.times:
            column, source, first, last = each.times
            within = F.col(column).between(*[F.timestamp_micros(F.lit(end)) for end in (first, last)])
            rows = rows.where(within | (F.col("source") != source))
        wanted = sorted({first for first, _ in each.keys})
        if len(wanted) <= FEW_HASHES:
            columns = ", ".join(f"`{name}`" for name in each.made.key)
            near = rows.where(f"xxhash64({columns}) IN ({long_literals(wanted)})")
        else:
            few = rows.sparkSession.createDataFrame([(h,) for h in wanted], "_h bigint")
            near = rows.withColumn("_h", F.xxhash64(*each.made.key)).join(F.broadcast(few), "_h", "left_semi").drop("_h")
        selected.append(near.select(F.lit(number).alias("_number"), *hashes(each.made), "source", "run_id"))
    found: list[dict[Key, SilverRow]] = [{} for _ in lookups]
    if selected:
        everything = reduce(DataFrame.unionByName, selected)
        with without_adaptive_execution(everything.sparkSession):
            collected = everything.collect()
        for row in collected:
            key: Key = (row["_h"], row["_h2"])
            if key in lookups[row["_number"]].keys:
                found[row["_number"]][key] = SilverRow(row["_content"], row["source"], row["run_id"])
    return found


@contextmanager
def without_adaptive_execution(spark: SparkSession) -> Iterator[None]:
    """Plan queries at once, for few rows: adaptive execution runs each shuffle, and each read of what is cached, which the files
    that Delta lists are, as a Spark job of its own. Other threads of the session may plan a query at once meanwhile, to the same
    result."""
    name = "spark.sql.adaptive.enabled"
    before = spark.conf.get(name)
    spark.conf.set(name, "false")
    try:
        yield
    finally:
        spark.conf.set(name, str(before))


def long_literals(values: Iterable[int]) -> str:
    """Values of a bigint as SQL, between commas; the smallest has no literal."""
    return ", ".join(f"{value}L" if value > -(2**63) else f"({value + 1}L - 1L)" for value in values)


def times_of(rows: Iterable[KeyRow], column: str | None, source: str) -> tuple[str, str, int, int] | None:
    """The first and last time that the keys are derived from, for `Lookup`; None where keys are not."""
    times = [row.at for row in rows if row.rule is None and row.at is not None] if column else []
    return (column, source, min(times), max(times)) if column and times else None


def verdicts_of(
    rows: Iterable[KeyRow],
    made: Contract,
    silver: Mapping[Key, SilverRow],
    keeps_newest: bool,
    adopted: Collection[tuple[str, str]],
) -> list[Verdict]:
    """The sound records, of `rows` in the order of place, that silver does not get.

    The first record of a key stays; a later one is a duplicate where all values are equal, else a conflict. A first record whose
    key silver has is a duplicate where all values are equal, unless the row's (source, run) is `adopted`: a run that did not finish
    wrote it, and it is written again. With other values it is a conflict, or is written where the newest is kept.
    """
    first: dict[Key, KeyRow] = {}
    found = []
    for row in rows:
        if row.rule is not None:
            continue
        met = first.setdefault(row.key, row)
        if met is not row:
            verdict = "duplicate" if met.content == row.content else "conflict"
            reason = f"{', '.join(made.key)}: the same key with other values is at {met.file}:{met.line}"
            found.append(Verdict(row.file, row.line, verdict, reason))
            continue
        there = silver.get(row.key)
        if there is None or (there.content == row.content and (there.source, there.run_id) in adopted):
            continue
        if there.content == row.content:
            found.append(Verdict(row.file, row.line, "duplicate", ""))
        elif not keeps_newest:
            reason = f"{', '.join(made.key)}: {made.name} has this key with other values"
            found.append(Verdict(row.file, row.line, "conflict", reason))
    return found
