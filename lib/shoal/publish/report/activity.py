"""The part about what people do: events by kind and over time, ratings, and how unevenly attention falls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.blocks import Bar, Bars, Block, Cell, Figure, Missing, Part, Table
from shoal.publish.report.pictures import NARROW, area, histogram, log_log
from shoal.publish.report.wording import NONE, count, day, decimal, plural, share, shortened

Absent = Callable[[str], Missing]

MOST_KINDS = 30
MOST_BINS = 40
MOST_SPANS = 400
MOST_CLASSES = 600
TOP_ITEMS = 10
# Eight classes a doubling: the curve's points are 9% apart.
_CLASSES_A_DOUBLING = 8


@dataclass(frozen=True)
class CountClass:
    """The members (users, items) whose number of events is about the same: how many, their fewest, most and all events."""

    members: int
    fewest: int
    most: int
    events: int


def events_by_kind(events: DataFrame) -> list[dict[str, Any]]:
    """One row per event kind, most events first: event, events, first_at, last_at, and of its values mean, minimum, maximum
    (null without values). Collects at most MOST_KINDS (30) rows. One pass.
    """
    value = F.col("value")
    kinds = events.groupBy("event").agg(
        F.count(F.lit(1)).alias("events"), F.min("occurred_at").alias("first_at"), F.max("occurred_at").alias("last_at"),
        F.count(value).alias("values"), F.mean(value).alias("mean"), F.min(value).alias("minimum"),
        F.max(value).alias("maximum"),
    )  # fmt: skip
    return [row.asDict() for row in kinds.orderBy(F.desc("events"), "event").limit(MOST_KINDS).collect()]


def rating_step(minimum: float, maximum: float) -> float:
    """Half a star where ratings span at most ten points, else a round width that gives at most 20 bins."""
    span = maximum - minimum
    if span <= 10:
        return 0.5
    raw = span / 20
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)


def rating_counts(events: DataFrame, step: float) -> list[tuple[float, int]]:
    """(value, ratings) for multiples of `step`, each rating counted at the nearest one; half-way ones at the higher.

    Collects at most MOST_BINS (40) rows. One pass.
    """
    place = F.floor(F.col("value") / F.lit(step) + 0.5).cast("double") * F.lit(step)
    rated = events.where((F.col("event") == "rating") & F.col("value").isNotNull())
    rows = rated.groupBy(place.alias("place")).count().orderBy("place").limit(MOST_BINS).collect()
    return [(row["place"], row["count"]) for row in rows]


def span_of(first: date, last: date) -> str:
    """The unit that events over time are counted in: a day up to half a year, a week up to five years, else a month."""
    days = (last - first).days + 1
    return "day" if days <= 184 else "week" if days <= 5 * 366 else "month"


def events_over_time(events: DataFrame, span: str) -> list[tuple[date, int]]:
    """(first day of the span, events), in order, without spans that have no events; `span`: day, week (from Monday), month.

    Collects at most the last MOST_SPANS (400) spans. One pass.
    """
    start = F.to_date(F.date_trunc(span, "occurred_at"))
    spans = events.where(F.col("occurred_at").isNotNull()).groupBy(start.alias("start")).count()
    rows = spans.orderBy(F.desc("start")).limit(MOST_SPANS).collect()
    return [(row["start"], row["count"]) for row in reversed(rows)]


def count_classes(members: DataFrame) -> list[CountClass]:
    """Members (rows with event_count) with about the same number of events, the most active first; none without events.

    Classes are an eighth of a doubling wide, and exact up to 8 events. Collects at most MOST_CLASSES (600) rows, enough for
    2^63 events. One pass.
    """
    events = F.col("event_count")
    number = F.floor(F.log2(events.cast("double")) * _CLASSES_A_DOUBLING)
    classes = (
        members.where(events > 0)
        .groupBy(number.alias("number"))
        .agg(F.count(F.lit(1)).alias("members"), F.min(events).alias("fewest"), F.max(events).alias("most"),
             F.sum(events).alias("events"))
    )  # fmt: skip
    rows = classes.orderBy(F.desc("number")).limit(MOST_CLASSES).collect()
    return [CountClass(row["members"], row["fewest"], row["most"], row["events"]) for row in rows]


def rank_curve(classes: Sequence[CountClass]) -> list[tuple[float, float]]:
    """(rank, events) at the end of each class: so many members have at least so many events. Exact at these points."""
    points, rank = [], 0
    for group in classes:
        rank += group.members
        points.append((float(rank), float(group.fewest)))
    return points


def top_share(classes: Sequence[CountClass], part: float) -> float | None:
    """The share of all events that the busiest `part` (0..1) of members have; straight within a class. None without events."""
    members, events = sum(c.members for c in classes), sum(c.events for c in classes)
    if not events:
        return None
    left, had = part * members, 0.0
    for group in classes:
        taken = min(left, group.members)
        had += group.events * taken / group.members
        left -= taken
    return had / events


def popular_items(items: DataFrame, titles: DataFrame | None) -> list[dict[str, Any]]:
    """The TOP_ITEMS (10) items of most decayed popularity, which are collected: item_id, title, kind, popularity, event_count,
    distinct_users, mean_rating; ties by id. Without `titles` (item_id, title, kind) both are null.
    """
    columns = ("item_id", "popularity", "event_count", "distinct_users", "mean_rating")
    order = (F.desc("popularity"), F.asc("item_id"))
    top = items.select(*columns).where("popularity > 0").orderBy(*order).limit(TOP_ITEMS)
    if titles is None:
        named = top.withColumns({"title": F.lit(None).cast("string"), "kind": F.lit(None).cast("string")})
    else:
        # Ten rows against the catalogue: they go to it, it does not move.
        named = titles.select("item_id", "title", "kind").join(F.broadcast(top), "item_id", "right")
    return [row.asDict() for row in named.orderBy(*order).limit(TOP_ITEMS).collect()]


def activity_part(
    events: DataFrame | None, users: DataFrame | None, items: DataFrame | None, titles: DataFrame | None, absent: Absent
) -> Part:
    """Events (silver.interactions), users and items (features.users, features.items of one day), titles (silver.items)."""
    blocks: list[Block] = []
    lead, finding = "No event is known.", ""
    kinds = events_by_kind(events) if events is not None else []
    if events is None or not kinds:
        blocks.append(absent("silver.interactions"))
    else:
        first, last = min(k["first_at"] for k in kinds), max(k["last_at"] for k in kinds)
        total = sum(k["events"] for k in kinds)
        lead = f"{plural(total, 'event')} from {day(first)} to {day(last)} (UTC)."
        blocks += [*_over_time(events_over_time(events, span_of(first, last)), span_of(first, last)), _kind_bars(kinds, total)]
        rated = next((k for k in kinds if k["event"] == "rating" and k["values"]), None)
        if rated is None:
            blocks.append(Missing("Ratings", "none of the events is a rating with a value"))
        else:
            blocks.append(_rating_figure(rating_counts(events, rating_step(rated["minimum"], rated["maximum"])), rated))
    curves = {
        "items": count_classes(items) if items is not None else [],
        "users": count_classes(users) if users is not None else [],
    }
    shown = [name for name in curves if curves[name]]
    if shown:
        blocks += [_rank_figure(name, curves[name]) for name in shown]
        tenth = top_share(curves[shown[0]], 0.1)
        finding = f"The busiest tenth of the {shown[0]} has {share(tenth)} of all events."
    blocks += [absent(f"features.{name}") for name in curves if name not in shown]
    if items is not None and shown:
        top = popular_items(items, titles)
        blocks += [_popular_table(top)] if top else []
    terms = frozenset({"popularity", "rank_frequency"} if shown else set())
    return Part("activity", "What people do", lead, blocks, finding, terms)


def _over_time(spans: Sequence[tuple[date, int]], span: str) -> list[Block]:
    if not spans:
        return []
    most = max(spans, key=lambda s: s[1])
    label = {"day": "events a day", "week": "events a week", "month": "events a month"}[span]
    shown = f"{label.capitalize()}, {day(spans[0][0])} to {day(spans[-1][0])}"
    alt = f"{shown}. Most: {count(most[1])} (the {span} of {day(most[0])}). Last: {count(spans[-1][1])}."
    note = "" if span == "day" else f" The first and the last {span} may be cut by the data."
    days, values = [s[0] for s in spans], [float(s[1]) for s in spans]
    caption = f"{label.capitalize()} (UTC). Most: {count(most[1])}, {day(most[0])}.{note}"
    narrow = area("over-time-narrow", days, values, label, NARROW)
    return [Figure(area("over-time", days, values, label), alt, caption, narrow)]


def _kind_bars(kinds: Sequence[Mapping[str, Any]], total: int) -> Bars:
    most = kinds[0]["events"]
    bars = [Bar(k["event"], k["events"] / most, f"{count(k['events'])} · {share(k['events'] / total)}") for k in kinds]
    return Bars("Events by kind", bars, "Number of events, and its share of all events.")


def _rating_figure(bins: Sequence[tuple[float, int]], rated: Mapping[str, Any]) -> Figure:
    step = min((b[0] - a[0] for a, b in pairwise(bins)), default=1.0)
    places = [bins[0][0] + i * step for i in range(round((bins[-1][0] - bins[0][0]) / step) + 1)]
    counts = dict(bins)
    heights = [float(next((n for v, n in counts.items() if math.isclose(v, place, abs_tol=step / 4)), 0)) for place in places]
    edges = [place - step / 2 for place in places] + [places[-1] + step / 2]
    mean = f"mean {rated['mean']:.2f}"
    top = max(bins, key=lambda b: b[1])
    summary = f"{count(rated['values'])} ratings from {decimal(rated['minimum'])} to {decimal(rated['maximum'])}, {mean}"
    svg = histogram("ratings", edges, heights, "rating (in the source's scale)", "ratings", (rated["mean"], mean))
    each = "; ".join(f"{decimal(value)}: {count(number)}" for value, number in bins)
    return Figure(svg, f"Histogram of {summary}. {each}.", f"Ratings. {summary}; most often {decimal(top[0])}.")


def _rank_figure(name: str, classes: Sequence[CountClass]) -> Figure:
    members = sum(c.members for c in classes)
    summary = (
        f"{plural(members, name[:-1])} with events: most {count(classes[0].most)}, median {count(_median(classes))}; "
        f"the busiest tenth has {share(top_share(classes, 0.1))} of all events"
    )
    svg = log_log(f"rank-{name}", rank_curve(classes), f"rank among {name} (1 = most events)", "events")
    return Figure(svg, f"Rank and frequency of {name} on logarithmic axes. {summary}.", f"Events by rank. {summary}.")


def _median(classes: Sequence[CountClass]) -> float | None:
    """The fewest events in the class of the middle member; exact up to 8 events, else low by at most 9%."""
    half, seen = sum(c.members for c in classes) / 2, 0
    for group in classes:
        seen += group.members
        if seen >= half:
            return float(group.fewest)
    return None


def _popular_table(top: Sequence[Mapping[str, Any]]) -> Table:
    most = top[0]["popularity"]
    rows = [
        [
            Cell(shortened(r["title"]) or r["item_id"], " · ".join(t for t in (r["kind"], r["item_id"]) if t)),
            Cell(decimal(r["popularity"]), kind="number", share=r["popularity"] / most),
            Cell(count(r["event_count"]), kind="number"),
            Cell(count(r["distinct_users"]), kind="number"),
            Cell(NONE if r["mean_rating"] is None else f"{r['mean_rating']:.2f}", kind="number"),
        ]
        for r in top
    ]
    return Table("Most popular items now", ["Item", "Popularity", "Events", "Users", "Mean rating"], rows)
