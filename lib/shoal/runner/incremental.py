"""Which events a feature snapshot has to count: all of them, or those that the latest earlier snapshot had not seen."""

from __future__ import annotations

from datetime import date

from pyspark.sql import functions as F

from shoal.conf.sections import FeaturesConf
from shoal.features.snapshots import Events, end_of
from shoal.lake.lake import Lake

INTERACTIONS = "silver.interactions"


def events_to_count(lake: Lake, table: str, conf: FeaturesConf, as_of: date) -> Events:
    """The events of a new snapshot of `table` at `as_of`, with the snapshot it carries forward where there is one.

    An earlier snapshot can be carried forward where its run succeeded with these settings and this code, and silver has only
    gained rows since, at most features.full_refresh_above_new_rows; these are persisted, for each count reads them and the caller
    lets them go. Records the choice in the run's tags (`snapshot`: whole, or from which day). Raises SkippedError where there is no
    silver.interactions.
    """
    events = lake.read(INTERACTIONS, before=as_of)
    found = None
    if lake.run.rows_in[INTERACTIONS] >= conf.full_refresh_below_rows and lake.exists("ops.runs") and lake.exists(table):
        found = _earlier(lake, table, as_of)
    added = lake.inserts_since(INTERACTIONS, found[1]) if found else None
    if found is None or added is None:
        lake.run.note(snapshot="whole")
        return Events(events)
    day, version, run_id = found
    since, until = F.lit(end_of(day)), F.lit(end_of(as_of))
    later = events.where(F.col("occurred_at") >= since)
    # An event without a time counts as always known.
    at = F.col("occurred_at")
    late = added.where(at.isNull() | ((at < since) & (at < until))).select(*later.columns)
    previous = lake.read(table, on=day).where(F.col("run_id") == run_id)
    new = later.unionByName(late).persist()
    # Their pairs and days are sent to every task.
    if new.count() > conf.full_refresh_above_new_rows:
        new.unpersist()
        lake.run.note(snapshot="whole")
        return Events(events)
    lake.run.note(snapshot=f"carried forward from {day}")
    return Events(new, previous, lake.read(INTERACTIONS, before=day, version=version), day)


def _earlier(lake: Lake, table: str, as_of: date) -> tuple[date, int, str] | None:
    """The latest snapshot that can be carried to `as_of`: its day, the version of silver it counted, its run."""
    runs = lake.read("ops.runs").where(
        (F.col("job") == lake.run.job) & (F.col("status") == "succeeded") & (F.col("as_of") <= F.lit(as_of))
        & (F.col("conf_hash") == lake.run.conf_hash) & (F.col("code_hash") == lake.run.code_hash)
    )  # fmt: skip
    latest = runs.orderBy(F.desc("as_of"), F.desc("started_at")).limit(1).collect()
    if not latest or INTERACTIONS not in latest[0]["input_versions"]:
        return None
    row = latest[0]
    is_gone = lake.read(table, on=row["as_of"]).where(F.col("run_id") == row["run_id"]).isEmpty()
    return None if is_gone else (row["as_of"], row["input_versions"][INTERACTIONS], row["run_id"])
