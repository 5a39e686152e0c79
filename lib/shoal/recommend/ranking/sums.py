"""Sums that do not depend on the order in which Spark adds partitions."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def stable_sum(column: Column | str) -> Column:
    """The sum with ten digits; null over no row. Beyond ten digits a sum of doubles depends on the order of its terms, and so
    on the number of partitions."""
    return F.format_string("%.9e", F.sum(column)).cast("double")
