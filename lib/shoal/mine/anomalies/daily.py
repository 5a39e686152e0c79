"""Events a day as series: of the platform by kind of event, and of the users who are there nearly every day."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.mine.anomalies.seasonal import AlarmRule
from shoal.mine.anomalies.series import score_moments

# A user with fewer active days has a series of zeros and surprises.
LEAST_ACTIVE_DAYS = 28
# Days before as_of that are looked at: the seasons that count, and a quarter more.
MAX_DAYS = 180


def daily_counts(events: DataFrame, as_of: date) -> DataFrame:
    """`entity_kind`, `entity_id`, `metric`, `measured_on` (date), `value` (double) of events user_id, event, occurred_at.

    The platform (entity_id all) by kind of event; each user with at least LEAST_ACTIVE_DAYS days, all events together (metric
    events). The last MAX_DAYS days up to as_of, from the series' first day on; a day without an event has 0. At most MAX_DAYS rows
    a user of many days.
    """
    day = F.to_date("occurred_at")
    recent = events.where(day.between(F.date_sub(F.lit(as_of), MAX_DAYS - 1), F.lit(as_of)))
    platform = recent.select(F.lit("platform").alias("entity_kind"), F.lit("all").alias("entity_id"),
    F.col("event").alias("metric"),
                             day.alias("measured_on"))  # fmt: skip
    users = recent.select(F.lit("user").alias("entity_kind"), F.col("user_id").alias("entity_id"), F.lit("events").alias("metric"),
                          day.alias("measured_on"))  # fmt: skip
    keys = ["entity_kind", "entity_id", "metric"]
    counted = platform.unionByName(users).groupBy(*keys, "measured_on").agg(F.count("*").cast("double").alias("value"))
    spans = counted.groupBy(*keys).agg(
        F.map_from_entries(F.collect_list(F.struct("measured_on", "value"))).alias("values"), F.min("measured_on").alias("first")
    )
    often = spans.where((F.col("entity_kind") == "platform") | (F.size("values") >= LEAST_ACTIVE_DAYS))
    days = often.withColumn("measured_on", F.explode(F.sequence(F.col("first"), F.lit(as_of))))
    value = F.coalesce(F.try_element_at("values", F.col("measured_on")), F.lit(0.0))
    return days.select(*keys, "measured_on", value.alias("value"))


def find_odd_days(counts: DataFrame, rule: AlarmRule) -> DataFrame:
    """The rows of `daily_counts` that stand out, with expected, expected_low, expected_high and anomaly_score. Two shuffles."""
    series = F.concat_ws("\u0001", "entity_kind", "entity_id", "metric")
    rows = counts.withColumns(
        {
            "series": series,
            "measured_at": F.col("measured_on").cast("timestamp"),
            "position": F.xxhash64(series, F.col("measured_on")),
        }
    )
    found = score_moments(rows, rule).where("is_anomaly").drop("is_anomaly")
    return rows.drop("series", "measured_at").join(F.broadcast(found), "position").drop("position")
