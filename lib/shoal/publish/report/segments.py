"""The part about groups of users and unusual days: segments and who moved, shoppers, days that stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Bar, Bars, Block, Cell, Figure, Missing, Part, Table, Tile, Tiles
from shoal.publish.report.pictures import NARROW, marked_days
from shoal.publish.report.wording import NONE, count, day, decimal, plural, share, shortened

MOST_SEGMENTS = 12
MOST_MOVES = 10
MOST_DAYS = 12
# The days before the newest one of the picture: a half-year, in which a weekly rhythm can still be seen.
DAYS_DRAWN = 180


@dataclass(frozen=True)
class SegmentTables:
    """What the part shows; None where there are no rows. `events`: silver.interactions, which the timeline counts."""

    segments: DataFrame | None
    changes: DataFrame | None
    shoppers: DataFrame | None
    anomalies: DataFrame | None
    events: DataFrame | None


def segment_sizes(segments: DataFrame) -> list[dict[str, Any]]:
    """segment_id, segment_name and users of the MOST_SEGMENTS (12) largest segments, which are collected; ties by id."""
    sizes = segments.groupBy("segment_id", "segment_name").agg(F.count(F.lit(1)).alias("users"))
    return [row.asDict() for row in sizes.orderBy(F.desc("users"), "segment_id").limit(MOST_SEGMENTS).collect()]


def segment_moves(changes: DataFrame) -> list[dict[str, Any]]:
    """segment_name_before, segment_name, users and since of the MOST_MOVES (10) commonest moves, which are collected; ties by
    names."""
    moves = changes.groupBy("segment_name_before", "segment_name").agg(
        F.count(F.lit(1)).alias("users"), F.max("since").alias("since")
    )
    rows = moves.orderBy(F.desc("users"), "segment_name_before", "segment_name").limit(MOST_MOVES).collect()
    return [row.asDict() for row in rows]


def shopper_facts(shoppers: DataFrame) -> dict[str, Any]:
    """Medians over the users who bought, and how many these are; one row is collected."""
    bought = shoppers.where("purchase_count > 0")
    medians = [
        F.percentile_approx(name, 0.5).alias(name) for name in ("recency_days", "purchase_count", "spent_usd", "view_to_buy")
    ]
    return bought.agg(F.count(F.lit(1)).alias("users"), *medians).collect()[0].asDict()


def unusual_days(anomalies: DataFrame) -> list[dict[str, Any]]:
    """The MOST_DAYS (12) rows of gold.anomalies of the largest scores, which are collected; ties by day and entity."""
    rows = anomalies.orderBy(F.desc("anomaly_score"), "measured_on", "entity_kind", "entity_id", "metric").limit(MOST_DAYS)
    return [row.asDict() for row in rows.collect()]


def counts_by_day(events: DataFrame, metric: str, last: date) -> list[tuple[date, int]]:
    """(day, events of kind `metric`) of the DAYS_DRAWN (180) days up to `last`, days without any as 0; at most so many rows are
    collected."""
    on = F.to_date("occurred_at")
    days = events.where((F.col("event") == metric) & on.between(F.date_sub(F.lit(last), DAYS_DRAWN - 1), F.lit(last)))
    known = {row["day"]: row["count"] for row in days.groupBy(on.alias("day")).count().limit(DAYS_DRAWN).collect()}
    if not known:
        return []
    first = min(known).toordinal()
    return [(date.fromordinal(n), known.get(date.fromordinal(n), 0)) for n in range(first, last.toordinal() + 1)]


def segments_part(tables: SegmentTables, as_of: date, absent: Absent) -> Part:
    """Sizes of segments, moves between them, what shoppers do, and days that stand out of their past."""
    blocks: list[Block] = []
    finding = ""
    sizes = [] if tables.segments is None else segment_sizes(tables.segments)
    if sizes:
        whole, most = sum(row["users"] for row in sizes), sizes[0]["users"]
        bars = [
            Bar(shortened(row["segment_name"], 60), row["users"] / most, f"{count(row['users'])} · {share(row['users'] / whole)}")
            for row in sizes
        ]
        blocks.append(
            Bars("Segments of users", bars, "Named by what their middle stands out by. Number of users, and their share.")
        )
        finding = f"The largest segment, {shortened(sizes[0]['segment_name'], 60)}, has {plural(sizes[0]['users'], 'user')}."
        blocks += _moves([] if tables.changes is None else segment_moves(tables.changes))
    else:
        blocks.append(absent("gold.segments"))
    if tables.shoppers is not None:
        blocks += _shoppers(shopper_facts(tables.shoppers))
    blocks += _days(tables, as_of, absent)
    lead = "Users who behave alike, and days on which the platform or a user did not behave as on the same weekdays before."
    return Part("segments", "Segments and unusual days", lead, blocks, finding)


def _moves(moves: Sequence[dict[str, Any]]) -> list[Block]:
    if not moves:
        return []
    cells = [
        [
            Cell(shortened(row["segment_name_before"], 60)),
            Cell(shortened(row["segment_name"], 60)),
            Cell(count(row["users"]), kind="number"),
        ]
        for row in moves
    ]
    return [Table(f"Users who moved since {day(max(row['since'] for row in moves))}", ["From", "To", "Users"], cells)]


def _shoppers(facts: dict[str, Any]) -> list[Block]:
    if not facts["users"]:
        return []
    spent = NONE if facts["spent_usd"] is None else f"${decimal(facts['spent_usd'])}"
    tiles = [
        Tile("Users who bought", count(facts["users"])),
        Tile("Days since the last purchase", decimal(facts["recency_days"]), "median"),
        Tile("Purchases", count(facts["purchase_count"]), "median"),
        Tile("Spent", spent, "median"),
        Tile(
            "Products bought, of those looked at", NONE if facts["view_to_buy"] is None else share(facts["view_to_buy"]), "median"
        ),
    ]
    return [Tiles(tiles)]


def _days(tables: SegmentTables, as_of: date, absent: Absent) -> list[Block]:
    if tables.anomalies is None:
        return [absent("gold.anomalies")]
    rows = unusual_days(tables.anomalies)
    if not rows:
        return [Missing("gold.anomalies", f"no day up to {as_of.isoformat()} stands out")]
    cells = [
        [
            Cell(day(row["measured_on"]), row["metric"]),
            Cell("all users" if row["entity_kind"] == "platform" else shortened(row["entity_id"], 40)),
            Cell(count(round(row["value"])), kind="number"),
            Cell(f"{decimal(row['expected_low'])} to {decimal(row['expected_high'])}", kind="number"),
            Cell(decimal(row["anomaly_score"]), kind="number"),
        ]
        for row in rows
    ]
    note = "Score: robust deviations from the median of the same weekday in the 14 weeks before."
    table = Table("Days that stand out", ["Day", "Whose", "Counted", "Ordinary", "Score"], cells, note)
    drawn = next((row for row in rows if row["entity_kind"] == "platform"), None)
    if drawn is None or tables.events is None:
        return [table]
    counts = counts_by_day(tables.events, drawn["metric"], as_of)
    marks = [row["measured_on"] for row in rows if (row["entity_kind"], row["metric"]) == ("platform", drawn["metric"])]
    if not counts:
        return [table]
    days, values = [one for one, _ in counts], [float(n) for _, n in counts]
    shown = ", ".join(day(one) for one in sorted(marks))
    label = f"{drawn['metric']} a day"
    figure = Figure(
        marked_days("unusual", days, values, marks, label),
        f"{label}, days that stand out: {shown}.",
        f"{label.capitalize()} (UTC). Marked: {shown}.",
        marked_days("unusual-narrow", days, values, marks, label, NARROW),
    )
    return [figure, table]
