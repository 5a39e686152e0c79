"""Write what is known of each user at the end of a day.

Reads:  silver.interactions   events up to as_of
        features.users        the latest earlier snapshot, where it can be carried forward
Writes: features.users        one row per user with an event; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import FeaturesConf
from shoal.features.snapshots import user_snapshot
from shoal.lake.lake import Lake
from shoal.runner.execute import run_job
from shoal.runner.incremental import events_to_count

READS = ("silver.interactions", "features.users")
WRITES = ("features.users",)


def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    """Count the events and replace the day's rows."""
    events = events_to_count(lake, "features.users", conf, as_of)
    try:
        # A group a user.
        lake.replace("features.users", user_snapshot(lake.spark, events, as_of), on=as_of, unique=True)
    finally:
        events.new.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, FeaturesConf, argv)


if __name__ == "__main__":
    sys.exit(main())
