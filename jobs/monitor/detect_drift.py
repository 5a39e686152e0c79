"""Compare the columns that models and people rely on with how they were, and keep what each looked like.

Snapshots (features and scores, keyed by as_of) are compared with the snapshot before (`previous`) and with the oldest one
(`baseline`). Events and texts are compared by their own times: the last `window_days` days with the window before them and
with the first window of the history, so that the first run of a lake already has something to say. docs/adr/0020.

Reads:  silver.interactions   events up to as_of
        silver.texts          texts with a time up to as_of
        features.users        snapshots of as_of, of the day before it that there is, and the oldest
        features.items        the same
        features.user_graph      the same
        gold.recommendations  the same: score by source
        gold.sentiments       the same: probability and label
        gold.node_ranks       the same: score by kind
Writes: ops.profiles          one row per table, column and window; replaces as_of
        ops.drift             one row per table, column, comparison and metric; replaces as_of
Skipped: where there is nothing but the present to look at; the profiles are written all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType
from shoal.conf.sections import DriftConf
from shoal.errors import SkippedError
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import Lake
from shoal.monitor.drift.compare import CURRENT, Window, drift_rows, measure_windows, profile_rows
from shoal.monitor.drift.thresholds import Rules
from shoal.runner.command import run_job

READS = (
    "silver.interactions", "silver.texts", "features.users", "features.items", "features.user_graph", "gold.recommendations",
    "gold.sentiments", "gold.node_ranks",
)  # fmt: skip
WRITES = ("ops.profiles", "ops.drift")

EVENTS = ("silver.interactions", "silver.texts")
FEATURES = ("features.users", "features.items", "features.user_graph")
# Scores, and the column whose values must not be mixed: their scores have scales of their own.
SCORES = {"gold.recommendations": "source", "gold.sentiments": None, "gold.node_ranks": "kind"}
PREVIOUS, BASELINE = "previous", "baseline"
# The values of such a column are few and come from the contract's check; a lake with more is looked at in part.
MAX_PARTS = 20


@dataclass(frozen=True)
class Span:
    """The first and the last day of a window, both included, and its names."""

    names: tuple[str, ...]
    start: date
    end: date


def event_spans(first: date, as_of: date, window_days: int, baseline: date | None) -> list[Span]:
    """The windows of a history of events that begins on `first`: current, previous, baseline.

    current: the `window_days` days up to as_of. previous: as many days before it. baseline: as many days from `first` on, or
    up to the day `baseline`. No window begins before `first` or reaches into the current one; one that would hold no day is
    left out, and a baseline that would be the previous window is the same window with both names.
    """
    length, one_day = timedelta(days=window_days), timedelta(days=1)
    begin = as_of - length + one_day
    last = begin - one_day
    previous = max(first, begin - length), last
    if baseline is None:
        reference = first, min(last, first + length - one_day)
    else:
        reference = max(first, baseline - length + one_day), min(last, baseline)
    if previous == reference:
        named = [Span((PREVIOUS, BASELINE), *previous)]
    else:
        named = [Span((PREVIOUS,), *previous), Span((BASELINE,), *reference)]
    return [Span((CURRENT,), begin, as_of), *(span for span in named if span.start <= span.end)]


def snapshot_spans(oldest: date | None, previous: date | None, fixed: date | None, as_of: date) -> list[Span]:
    """The snapshot of as_of and those it is compared with; `fixed` is the latest one up to the configured baseline."""
    spans = [Span((CURRENT,), as_of, as_of)]
    reference = fixed or oldest
    if previous is not None and previous == reference:
        return [*spans, Span((PREVIOUS, BASELINE), previous, previous)]
    spans += [Span((PREVIOUS,), previous, previous)] if previous else []
    return spans + ([Span((BASELINE,), reference, reference)] if reference else [])


def describe_events(events: DataFrame) -> DataFrame:
    """What each event is: event, value, hour (two digits, UTC), source. One row an event."""
    return events.select("event", "value", F.date_format("occurred_at", "HH").alias("hour"), "source")


def describe_texts(texts: DataFrame) -> DataFrame:
    """What each text is: kind, label, text_length in code points, word_count, hour (two digits, UTC), source."""
    words = F.size(F.filter(F.split("text", r"\s+"), lambda word: word != ""))
    hour = F.date_format("created_at", "HH").alias("hour")
    return texts.select("kind", "label", F.length("text").alias("text_length"), words.alias("word_count"), hour, "source")


def select_features(rows: DataFrame, key: Sequence[str], as_of: date) -> DataFrame:
    """The feature columns of a snapshot: neither its key nor any id; a time as its age in days at the end of as_of.

    A time moves with the calendar, which is no drift; an age does not. `x_at` becomes `x_age_days`.
    """
    end = F.lit(f"{as_of + timedelta(days=1)} 00:00:00").cast("timestamp").cast("double")
    kept = []
    for field in rows.schema.fields:
        name = field.name
        if name in key or name in ("as_of", "run_id") or name.endswith("_id"):
            continue
        if isinstance(field.dataType, TimestampType):
            age = (end - F.col(name).cast("double")) / 86400
            kept.append(age.alias(f"{name.removesuffix('_at')}_age_days"))
        else:
            kept.append(F.col(name))
    return rows.select(*kept)


def select_recommendation_scores(rows: DataFrame, source: str) -> DataFrame:
    """The scores of one source, as the column `score:<source>`: two sources' scores have nothing in common."""
    return rows.where(F.col("source") == F.lit(source)).select(F.col("score").alias(f"score:{source}"))


def divide_by_mean(rows: DataFrame, column: str) -> DataFrame:
    """`column` over its mean over all rows; null stays null. Cost: one aggregate to a single row.

    PageRank sums to one: with more nodes all ranks shrink, which is growth, not drift.
    """
    mean = rows.agg(F.avg(column).alias("_mean"))
    return rows.crossJoin(F.broadcast(mean)).withColumn(column, F.col(column) / F.col("_mean")).drop("_mean")


def select_rank_scores(rows: DataFrame, kind: str) -> DataFrame:
    """The ranks of one kind of graph and node over their mean, as the column `score:<kind>`."""
    mine = rows.where(F.col("kind") == F.lit(kind)).select("score")
    return divide_by_mean(mine, "score").withColumnRenamed("score", f"score:{kind}")


def known_days(days: Sequence[DataFrame], as_of: date, baseline: date | None) -> DataFrame:
    """One row per table and part: oldest, previous, fixed and whether as_of is there. `days`: table_name, part, day.

    oldest and previous: the first and the last day before as_of; fixed: the last one up to `baseline`; null where there is
    none. One shuffle of a few rows a file.
    """
    day, today = F.col("day"), F.lit(as_of)
    earlier = F.when(day < today, day)
    fixed = F.max(F.when(day <= F.lit(baseline), earlier)) if baseline else F.lit(None).cast("date")
    return reduce(DataFrame.unionAll, days).groupBy("table_name", "part").agg(
        F.min(day).alias("first"), F.min(earlier).alias("oldest"), F.max(earlier).alias("previous"),
        fixed.alias("fixed"), F.max(day == today).alias("has_as_of"),
    )  # fmt: skip


def read_days(lake: Lake, as_of: date) -> list[DataFrame]:
    """Of every table there is to compare: table_name, part, day of each row up to as_of (for events the first day only)."""
    days = []
    for name in (*EVENTS, *FEATURES, *SCORES):
        if name not in contract_names() or not lake.exists(name):
            continue
        if name in EVENTS:
            time = str(contract(name).time_column)
            first = lake.read(name, before=as_of).agg(F.min(time).cast("date").alias("day")).where("day is not null")
            days.append(first.select(F.lit(name).alias("table_name"), F.lit("").alias("part"), "day"))
            continue
        split = SCORES.get(name)
        part = F.col(split) if split else F.lit("")
        rows = lake.read(name).where(F.col("as_of") <= F.lit(as_of))
        days.append(rows.select(F.lit(name).alias("table_name"), part.alias("part"), F.col("as_of").alias("day")).distinct())
    return days


def windows_of(lake: Lake, conf: DriftConf, as_of: date) -> list[Window]:
    """Every window of every table, current ones first. Collects one row per table and part: at most MAX_PARTS
    times the tables."""
    days = read_days(lake, as_of)
    if not days:
        raise SkippedError("there is no table to compare yet: neither events, texts, features nor scores")
    known = known_days(days, as_of, conf.baseline).orderBy("table_name", "part")
    windows = []
    for row in known.limit(MAX_PARTS * len(days)).collect():
        name, part = row["table_name"], row["part"]
        if name in EVENTS:
            spans = event_spans(row["first"], as_of, conf.window_days, conf.baseline)
            windows += [Window(name, s.names, _events(lake, name, s, as_of), s.start, s.end) for s in spans]
        elif row["has_as_of"]:
            spans = snapshot_spans(row["oldest"], row["previous"], row["fixed"], as_of)
            windows += [Window(name, s.names, _snapshot(lake, name, part, s.end), s.start, s.end, part) for s in spans]
    return windows


def _events(lake: Lake, name: str, span: Span, as_of: date) -> DataFrame:
    """The described events of a window."""
    time = str(contract(name).time_column)
    start, end = (F.lit(f"{day} 00:00:00").cast("timestamp") for day in (span.start, span.end + timedelta(days=1)))
    rows = lake.read(name, before=as_of).where((F.col(time) >= start) & (F.col(time) < end))
    return describe_events(rows) if name == EVENTS[0] else describe_texts(rows)


def _snapshot(lake: Lake, name: str, part: str, day: date) -> DataFrame:
    """The comparable columns of one day's snapshot, of one part where the table has parts."""
    rows = lake.read(name).where(F.col("as_of") == F.lit(day))
    if name == "gold.recommendations":
        return select_recommendation_scores(rows, part)
    if name == "gold.node_ranks":
        return select_rank_scores(rows, part)
    if name == "gold.sentiments":
        return rows.select("probability", "label")
    features = select_features(rows, contract(name).key, day)
    return divide_by_mean(features, "page_rank") if name == "features.user_graph" else features


def rules_of(conf: DriftConf) -> Rules:
    """The configured rules of comparison."""
    return Rules(**conf.model_dump(include=set(Rules.__dataclass_fields__)))


def run(lake: Lake, conf: DriftConf, as_of: date) -> None:
    """Measure all windows in one pass and replace the day's profiles and comparisons."""
    windows = windows_of(lake, conf, as_of)
    if not windows:
        raise SkippedError(f"nothing to compare: no event, text, feature or score up to {as_of}")
    compared = sorted({window.table for window in windows if window.names != (CURRENT,)})
    lake.run.note(compared=", ".join(compared) or "nothing", window_days=conf.window_days)
    measured = measure_windows(windows, rules_of(conf)).persist()
    try:
        lake.replace("ops.profiles", profile_rows(measured), on=as_of)
        lake.replace("ops.drift", drift_rows(measured), on=as_of)
    finally:
        measured.unpersist()
    if not compared:
        raise SkippedError(
            f"nothing to compare with: no snapshot before {as_of} and no event before the last {conf.window_days} days; "
            "ops.profiles has what there is"
        )


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, DriftConf, argv)


if __name__ == "__main__":
    sys.exit(main())
