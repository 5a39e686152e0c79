"""Compare the columns that models and people rely on with how they were, and keep a profile of each.

Snapshots (features and scores, keyed by as_of) are compared with the snapshot before (`previous`) and with the oldest one
(`baseline`). Events and texts are compared by their own times: the last `window_days` days with the window before them and
with the first window of the history, so that the first run of a lake already compares something. docs/adr/0020 and 0021.

Reads:  silver.interactions   events up to as_of
        silver.texts          texts with a time up to as_of; their label is a column
        silver.moderation     decisions up to as_of: the labels of moderation
        features.users        snapshots of as_of, of the day before it that there is, and the oldest
        features.items        the same
        features.user_graph      the same
        gold.recommendations  the same: score by source
        gold.sentiments       the same: probability and label
        gold.node_ranks       the same: PageRank by kind, over its mean
Writes: ops.profiles          one row per table, column and window; replaces as_of
        ops.drift             one row per table, column, comparison and metric; replaces as_of, but for kind loss (measure_losses)
Skipped: where there is no row to profile, and nothing is written. With nothing to compare with, ops.profiles is written.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import DriftConf
from shoal.errors import SkippedError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.monitor.drift.columns import CATEGORY, NUMBER
from shoal.monitor.drift.compare import CURRENT, Window, drift_rows, measure_windows, profile_rows
from shoal.monitor.drift.selection import describe_decisions, describe_events, describe_texts, select_features, select_scores
from shoal.monitor.drift.thresholds import Rules
from shoal.monitor.drift.windows import Span, event_spans, known_days, snapshot_spans
from shoal.runner.command import run_job

EVENTS = {"silver.interactions": describe_events, "silver.texts": describe_texts, "silver.moderation": describe_decisions}
FEATURES = ("features.users", "features.items", "features.user_graph")
# Scores, and the column that tells apart scores of different scales.
SCORES = {"gold.recommendations": "source", "gold.sentiments": None, "gold.node_ranks": "kind"}
READS = (*EVENTS, *FEATURES, *SCORES)
WRITES = ("ops.profiles", "ops.drift")
# PageRank sums to one: with more nodes all ranks shrink, which is growth, not drift.
RELATIVE = {"features.user_graph": "page_rank", "gold.node_ranks": "score:{part}"}
# Other measures of a node follow the same edges, and a mean of 0 (no triangle at all) is nothing to divide by.
COMPARED_PARTS = {"gold.node_ranks": ("engagement_user", "engagement_item", "follows")}
# What this job writes of a day's ops.drift.
KINDS = (NUMBER, CATEGORY)
# Values of such a column come from the contract's check and are few; the windows of the first 20 are compared.
MAX_PARTS = 20


def read_days(lake: Lake, as_of: date) -> list[DataFrame]:
    """Of every table there is to compare: table_name, part, and the day of each row up to as_of."""
    days = []
    for name in READS:
        if not lake.exists(name):
            continue
        time, split = str(contract(name).time_column), SCORES.get(name)
        if name in EVENTS:
            rows = lake.read(name, before=as_of).select(F.to_date(time).alias("day"), F.lit("").alias("part"))
        else:
            rows = lake.read(name).select(F.col("as_of").alias("day"), (F.col(split) if split else F.lit("")).alias("part"))
            rows = rows.where(F.col("part").isin(*COMPARED_PARTS[name])) if name in COMPARED_PARTS else rows
        days.append(rows.where(F.col("day") <= F.lit(as_of)).select(F.lit(name).alias("table_name"), "part", "day"))
    return days


def windows_of(lake: Lake, conf: DriftConf, as_of: date) -> list[Window]:
    """Every window of every table, current ones first. Collects one row per table and part: at most MAX_PARTS times the tables."""
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
            relative = frozenset({RELATIVE[name].format(part=part)} if name in RELATIVE else ())
            windows += [Window(name, s.names, _snapshot(lake, name, part, s.end), s.start, s.end, part, relative) for s in spans]
    return windows


def _events(lake: Lake, name: str, span: Span, as_of: date) -> DataFrame:
    """The described events of a window."""
    time = str(contract(name).time_column)
    start, end = (F.lit(f"{day} 00:00:00").cast("timestamp") for day in (span.start, span.end + timedelta(days=1)))
    return EVENTS[name](lake.read(name, before=as_of).where((F.col(time) >= start) & (F.col(time) < end)))


def _snapshot(lake: Lake, name: str, part: str, day: date) -> DataFrame:
    """The comparable columns of one day's snapshot, of one part where the table has parts."""
    rows, split, made = lake.read(name).where(F.col("as_of") == F.lit(day)), SCORES.get(name), contract(name)
    if split:
        return select_scores(rows, split, part)
    if name in SCORES:
        return rows.select("probability", "label")
    drift = {column: spec.drift for column, spec in made.columns.items()}
    return select_features(rows, drift, day, made.drift_rows, made.drift_age)


def run(lake: Lake, conf: DriftConf, as_of: date) -> None:
    """Measure all windows in one pass and replace the day's profiles and comparisons."""
    windows = windows_of(lake, conf, as_of)
    if not windows:
        raise SkippedError(f"nothing to compare: no event, text, feature or score up to {as_of}")
    compared = sorted({window.table for window in windows if window.names != (CURRENT,)})
    lake.run.note(compared=", ".join(compared) or "nothing: no earlier snapshot or event", window_days=conf.window_days)
    rules = Rules(**conf.model_dump(include=set(Rules.__dataclass_fields__)))
    # Few rows: one task keeps them, so that each table gets one file.
    measured = measure_windows(windows, rules).repartition(1).persist()
    try:
        # A row per table and column, exploded by window or by comparison and metric: keys are unique.
        lake.replace("ops.profiles", profile_rows(measured), on=as_of, unique=True)
        lake.replace("ops.drift", drift_rows(measured), on=as_of, unique=True, kind=KINDS)
    finally:
        measured.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, DriftConf, argv)


if __name__ == "__main__":
    sys.exit(main())
