"""Evaluate the alert rules, keep the state of each alert, and send what is new to the webhook.

Reads:  ops.runs, ops.job_metrics, ops.data_quality, ops.drift, ops.model_metrics   the window of each rule, up to as_of
        ops.alerts                                                                  the open episodes
Writes: ops.alerts   the episodes that are new or have changed: a rerun of the same moment changes nothing
Sends:  firing and resolved alerts to the address in SHOAL_ALERT_WEBHOOK, where there is one; what it does not take is one line of
        the log, no failure of the run, and is sent again by the next run: a receiver may hear of an alert twice, never not at all
Skipped: for a day before the last one that was evaluated, and for a lake without any of the tables.

Cost: one query over all rules (a job of a shuffle a rule without adaptive execution), one for open episodes, a MERGE.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import defaultdict
from dataclasses import astuple, fields, replace
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from shoal.conf.sections import AlertsConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.monitor.alerts.delivery import Delivery
from shoal.monitor.alerts.episodes import FIRING, PENDING, RESOLVED, Episode, next_episodes
from shoal.monitor.alerts.values import TABLES, check_rule, values_of
from shoal.monitor.alerts.webhook import send, webhook_address
from shoal.runner.clock import utc_now
from shoal.runner.command import run_job

LOG = logging.getLogger(__name__)
READS = ("ops.runs", "ops.job_metrics", "ops.data_quality", "ops.drift", "ops.model_metrics")
WRITES = ("ops.alerts",)
ALERTS = "ops.alerts"


def measure(lake: Lake, conf: AlertsConf, as_of: date) -> dict[str, dict[str, float]]:
    """The value of each series of each rule, in one query: at most some rows a table and job."""
    tables = {name: lake.read(name) for name in READS if lake.exists(name)}
    if not tables:
        raise SkippedError("there is nothing to evaluate: no run was recorded in this lake")
    rules = [rule for rule in conf.rules if TABLES[rule.metric] in tables]
    frames = [values_of(rule, tables[TABLES[rule.metric]], as_of).withColumn("rule", F.lit(rule.name)) for rule in rules]
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in reduce(DataFrame.unionAll, frames).collect() if frames else []:
        found[row["rule"]][row["series"]] = row["value"]
    return found


def unfinished(lake: Lake, as_of: date) -> list[Episode]:
    """The open episodes, and those whose end is still to be sent. Raises SkippedError where a later day was evaluated already."""
    lake.create(ALERTS)
    names = [field.name for field in fields(Episode)]
    rows = lake.read_current(ALERTS)
    waits = F.col("state").isin(PENDING, FIRING) | ((F.col("state") == RESOLVED) & (F.col("notified_state") == FIRING))
    later = F.col("as_of") > F.lit(as_of)
    episodes = [Episode(*(row[name] for name in names)) for row in rows.where(waits | later).collect()]
    if last := max((each.as_of for each in episodes if each.as_of > as_of), default=None):
        raise SkippedError(f"alerts were evaluated for {last} already; a day before it says nothing about their state")
    return episodes


def write(lake: Lake, episodes: list[Episode]) -> None:
    """Put these episodes in the place of their earlier states."""
    if not episodes:
        lake.run.wrote(ALERTS, 0)
        return
    kept = StructType([field for field in contract(ALERTS).struct() if field.name != "run_id"])
    # One a rule, series and beginning.
    lake.upsert(ALERTS, lake.spark.createDataFrame([astuple(each) for each in episodes], kept).coalesce(1), unique=True)


def notify(lake: Lake, address: str, episodes: list[Episode], delivery: Delivery) -> None:
    """Send what has to be sent, and record what was taken."""
    taken, failure = send(address, [each for each in episodes if each.is_to_be_sent], delivery)
    if taken:
        now = utc_now().replace(tzinfo=None)
        write(lake, [replace(each, notified_at=now, notified_state=each.state) for each in taken])
    if failure is not None:
        LOG.warning("%s; what it did not take is sent again by the next run", failure)
    lake.run.note(sent=len(taken), webhook=failure or "ok")


def run(lake: Lake, conf: AlertsConf, as_of: date) -> None:
    """Evaluate the rules as of the end of as_of, or of the run's start where that is earlier."""
    for rule in conf.rules:
        check_rule(rule)
    address = webhook_address(os.environ)
    values = measure(lake, conf, as_of)
    before = unfinished(lake, as_of)
    moment = min(end_of(as_of), lake.run.started_at).replace(tzinfo=None)
    changed = next_episodes(conf.rules, values, before, as_of, moment)
    write(lake, changed)
    now = {(each.alert, each.series, each.since): each for each in [*before, *changed]}
    counts = {state: sum(each.state == state for each in now.values()) for state in (PENDING, FIRING)}
    lake.run.note(rules=len(conf.rules), changed=len(changed), **counts)
    if address is not None:
        notify(lake, address, list(now.values()), Delivery(conf.webhook_timeout_seconds, conf.webhook_attempts))


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, AlertsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
