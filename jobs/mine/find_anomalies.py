"""Find the days on which the platform, or a user who is there nearly every day, does much more or less than usual.

Reads:  silver.interactions   events up to as_of
Writes: gold.anomalies        one row per entity, metric and day that stands out; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import AnomaliesConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.anomalies.daily import daily_counts, find_odd_days
from shoal.mine.anomalies.seasonal import AlarmRule
from shoal.runner.command import run_job

READS = ("silver.interactions",)
WRITES = ("gold.anomalies",)


def run(lake: Lake, conf: AnomaliesConf, as_of: date) -> None:
    """Count, score and replace the day's rows."""
    events = lake.read("silver.interactions", before=as_of)
    if events.isEmpty():
        raise SkippedError("silver.interactions has no event up to this day")
    counts = daily_counts(events.select("user_id", "event", "occurred_at"), as_of)
    odd = find_odd_days(counts, AlarmRule(conf.alarm_share, conf.least_alarms))
    # A row a series and day, as daily_counts groups them.
    lake.replace("gold.anomalies", odd, on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, AnomaliesConf, argv)


if __name__ == "__main__":
    sys.exit(main())
