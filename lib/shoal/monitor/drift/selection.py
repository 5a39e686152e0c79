"""Which columns of a table are compared, and as what: events and texts described, features as their contract says, scores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType


def describe_events(events: DataFrame) -> DataFrame:
    """What each event is: event, value, hour (two digits, UTC), source. One row per event."""
    return events.select("event", "value", F.date_format("occurred_at", "HH").alias("hour"), "source")


def describe_texts(texts: DataFrame) -> DataFrame:
    """What each text is: kind, label, text_length in code points, word_count, hour (two digits, UTC), source."""
    words = F.size(F.filter(F.split("text", r"\s+"), lambda word: word != ""))
    hour = F.date_format("created_at", "HH").alias("hour")
    return texts.select("kind", "label", F.length("text").alias("text_length"), words.alias("word_count"), hour, "source")


def describe_decisions(decisions: DataFrame) -> DataFrame:
    """What moderators decided: verdict, source; the labels that the moderation model learns. One row per decision."""
    return decisions.select("verdict", "source")


def select_features(
    rows: DataFrame, drift: Mapping[str, str | None], as_of: date, where: str | None = None, age: str | None = None
) -> DataFrame:
    """The comparable columns of the snapshot `as_of`, in its order. `drift`: column to `value`, `rate` or `none`.

    value: as it is; a time `x_at` becomes `x_age_days`, its age at the end of as_of, because a time moves with the calendar.
    rate: divided by `age`, a column of days or a time, and named `x_per_day`; an age below one day counts as one, so that an
    account of one hour is not compared by 24 times what it did. A null age gives a null rate. Every other column is omitted.
    `where`: SQL of the rows that are compared. No shuffle.
    """
    types = {field.name: field.dataType for field in rows.schema.fields}

    def days_of(name: str) -> Column:
        if not isinstance(types[name], TimestampType):
            return F.col(name)
        end = F.lit(f"{as_of + timedelta(days=1)} 00:00:00").cast("timestamp").cast("double")
        return (end - F.col(name).cast("double")) / 86400

    kept: list[Column] = []
    for name in rows.columns:
        how = drift.get(name)
        if how == "value" and isinstance(types[name], TimestampType):
            kept.append(days_of(name).alias(f"{name.removesuffix('_at')}_age_days"))
        elif how == "value":
            kept.append(F.col(name))
        elif how == "rate" and age is not None:
            days = F.when(days_of(age).isNotNull(), F.greatest(days_of(age), F.lit(1.0)))
            kept.append((F.col(name) / days).alias(f"{name}_per_day"))
    return (rows if where is None else rows.where(where)).select(*kept)


def select_scores(rows: DataFrame, column: str, part: str) -> DataFrame:
    """The scores of the rows whose `column` (source, kind) is `part`, as `score:<part>`: scales of two parts do not compare."""
    return rows.where(F.col(column) == F.lit(part)).select(F.col("score").alias(f"score:{part}"))
