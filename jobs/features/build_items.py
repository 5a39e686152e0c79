"""Write what is known of each item at the end of a day, its decayed popularity above all.

Reads:  silver.interactions   events up to as_of
        silver.items          the catalogue; none where there is no such table
        features.items        the latest earlier snapshot, where it can be carried forward
Writes: features.items        one row per item, with or without events; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import FeaturesConf
from shoal.features.snapshots import item_snapshot
from shoal.lake.lake import Lake
from shoal.runner.execute import run_job
from shoal.runner.incremental import events_to_count

READS = ("silver.interactions", "silver.items", "features.items")
WRITES = ("features.items",)


def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    """Count the events and replace the day's rows."""
    events = events_to_count(lake, "features.items", conf, as_of)
    items = lake.read("silver.items", missing_ok=True)
    try:
        rows = item_snapshot(lake.spark, events, items, as_of, conf.half_life_days)
        # A group an item, joined with silver.items, whose key is the item.
        lake.replace("features.items", rows, on=as_of, unique=True)
    finally:
        events.new.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, FeaturesConf, argv)


if __name__ == "__main__":
    sys.exit(main())
