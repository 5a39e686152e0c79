"""Write what each shopper is like at the end of a day: recency, frequency, money, categories, prices.

Reads:  silver.interactions   events up to as_of: purchases, and views and clicks of products
        silver.items          products known by as_of: categories, list prices; may be missing
Writes: features.shoppers     one row per user who bought anything or looked at a product; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import FeaturesConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.mine.people.shoppers import shopper_features
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items")
WRITES = ("features.shoppers",)


def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    """Make the features and replace the day's rows."""
    events = lake.read("silver.interactions", before=as_of)
    items = lake.read("silver.items", before=as_of, missing_ok=True)
    # A group a user, joined with groups by user.
    if not lake.replace("features.shoppers", shopper_features(events, items, end_of(as_of)), on=as_of, unique=True):
        raise SkippedError(f"silver.interactions has no purchase and no view of a product up to {as_of}")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, FeaturesConf, argv)


if __name__ == "__main__":
    sys.exit(main())
