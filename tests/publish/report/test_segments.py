"""The part about segments and unusual days, from literal rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pyspark.sql import SparkSession
from shoal.publish.report.blocks import Bars, Figure, Missing, Table, Tiles
from shoal.publish.report.segments import SegmentTables, counts_by_day, segments_part

from tests.publish.report.literal import rows

DAY = date(2024, 3, 31)


def test_every_table_is_shown(spark: SparkSession, absent: Callable[[str], Missing]) -> None:
    named = {0: "high likes", 1: "typical"}
    members = [{"user_id": f"u{i}", "segment_id": i // 3, "segment_name": named[i // 3]} for i in range(5)]
    moved = [
        {"user_id": u, "segment_name_before": a, "segment_name": b, "since": date(2024, 3, 24)}
        for u, a, b in (("u1", "typical", "high likes"), ("u2", "typical", "high likes"), ("u4", "high likes", "typical"))
    ]
    bought = [
        {"user_id": f"u{i}", "purchase_count": n, "recency_days": float(n), "spent_usd": 10.0 * n, "view_to_buy": None}
        for i, n in enumerate((0, 1, 3, 5))
    ]
    strange = [
        {
            "entity_kind": "user",
            "entity_id": "u9",
            "metric": "events",
            "measured_on": date(2024, 3, 30),
            "value": 50.0,
            "expected": 4.0,
            "expected_low": 1.0,
            "expected_high": 7.0,
            "anomaly_score": 20.0,
        },
        {
            "entity_kind": "platform",
            "entity_id": "all",
            "metric": "like",
            "measured_on": date(2024, 3, 29),
            "value": 2.0,
            "expected": 0.0,
            "expected_low": 0.0,
            "expected_high": 1.5,
            "anomaly_score": 6.5,
        },
    ]
    events = spark.sql(
        "select * from values ('like', timestamp'2024-03-27 10:00:00'), ('like', timestamp'2024-03-29 10:00:00'), "
        "('like', timestamp'2024-03-29 11:00:00'), ('view', timestamp'2024-03-30 11:00:00'), "
        "('like', timestamp'2023-01-01 11:00:00') as t(event, occurred_at)"
    )
    given = (
        ("gold.segments", members),
        ("gold.segment_changes", moved),
        ("features.shoppers", bought),
        ("gold.anomalies", strange),
    )
    part = segments_part(SegmentTables(*(rows(spark, name, *values) for name, values in given), events), DAY, absent)
    assert [type(block) for block in part.blocks] == [Bars, Table, Tiles, Figure, Table]
    bars, moves, shoppers, figure, days = part.blocks
    assert [(bar.label, bar.text) for bar in bars.bars] == [("high likes", "3 · 60.0%"), ("typical", "2 · 40.0%")]
    assert moves.caption == "Users who moved since 24 March 2024"
    assert [[cell.text for cell in row] for row in moves.rows] == [["typical", "high likes", "2"], ["high likes", "typical", "1"]]
    assert [(tile.number, tile.under) for tile in shoppers.tiles] == [
        ("3", ""),
        ("3", "median"),
        ("3", "median"),
        ("$30", "median"),
        ("–", "median"),
    ]
    assert figure.caption == "Like a day (UTC). Marked: 29 March 2024."
    assert [[cell.text for cell in row] for row in days.rows] == [
        ["30 March 2024", "u9", "50", "1 to 7", "20"],
        ["29 March 2024", "all users", "2", "0 to 1.5", "6.5"],
    ]
    assert part.finding == "The largest segment, high likes, has 3 users."
    # Days without a like are 0; those of another year are not drawn.
    assert counts_by_day(events, "like", DAY) == [
        (date(2024, 3, 27), 1),
        (date(2024, 3, 28), 0),
        (date(2024, 3, 29), 2),
        (date(2024, 3, 30), 0),
        (date(2024, 3, 31), 0),
    ]


def test_what_is_missing_says_so(spark: SparkSession, absent: Callable[[str], Missing]) -> None:
    part = segments_part(SegmentTables(None, None, None, None, None), DAY, absent)
    assert [block.what for block in part.blocks] == ["gold.segments", "gold.anomalies"] and part.finding == ""
    quiet = segments_part(SegmentTables(None, None, None, rows(spark, "gold.anomalies"), None), DAY, absent)
    assert [block.why for block in quiet.blocks][1] == "no day up to 2024-03-31 stands out"
