"""The earlier values of figures, from ops.data_quality."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.monitor.quality.severity import Past


def collect_pasts(quality: DataFrame, as_of: date, days: int) -> dict[tuple[str, str, str], Past]:
    """Past by table_name, rule and column_name, of the `days` days before as_of in rows of ops.data_quality.

    Collects at most `days` numbers of as many figures as contracts allow. One shuffle.
    """
    is_past = (F.col("as_of") < F.lit(as_of)) & (F.col("as_of") >= F.lit(as_of - timedelta(days=days)))
    rows = quality.where(is_past & F.col("value").isNotNull())
    listed = F.sort_array(F.collect_list(F.struct("as_of", "value"))).alias("past")
    return {
        (row["table_name"], row["rule"], row["column_name"]): Past(
            [each["as_of"] for each in row["past"]], [each["value"] for each in row["past"]]
        )
        for row in rows.groupBy("table_name", "rule", "column_name").agg(listed).collect()
    }
