"""The part about people and posts: who leads, what will go far and why, when posts do best, what rises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Bar, Bars, Block, Cell, Figure, Part, Table
from shoal.publish.report.pictures import log_log
from shoal.publish.report.wording import NONE, count, decimal, metric, plural, share, shortened

TOP = 10
# Half a doubling a class: 2^60 of anything are 120 classes, of each of six plots.
CLASSES_A_DOUBLING, MOST_CLASSES = 2, 1_000
MOST_TAGS = 10
_REASONS = 3
_TASKS = {"viral": "Viral posts", "engagement": "Engagement", "influencers": "Influencers"}


@dataclass(frozen=True)
class PeopleTables:
    """What the part shows; None where there are no rows. `posts`: likes, comments, hashtag_count, content_type of each post."""

    posts: DataFrame | None
    authors: DataFrame | None
    influencers: DataFrame | None
    viral: DataFrame | None
    explanations: DataFrame | None
    importances: DataFrame | None
    times: DataFrame | None
    trends: DataFrame | None


@dataclass(frozen=True)
class Class:
    """Cases that are about alike in one number: their mean of it, how many, the mean of the other number."""

    x: float
    cases: int
    y: float


def _row(plot: str, place: Column, x: Column, y: Column) -> Column:
    return F.struct(F.lit(plot).alias("plot"), place.cast("string").alias("place"), x.cast("double").alias("x"),
                    y.cast("double").alias("y"))  # fmt: skip


def _log_class(value: Column) -> Column:
    return F.floor(F.log2(value + 1.0) * CLASSES_A_DOUBLING)


def classes(rows: DataFrame, plots: Sequence[Column]) -> dict[str, dict[str, Class]]:
    """Plot -> class -> Class of the rows' structs; a struct with a null place or x is no case. One pass, one shuffle; collects at
    most MOST_CLASSES (1,000) rows."""
    cases = rows.select(F.explode(F.array(*plots)).alias("c")).select("c.*").where("place is not null and x is not null")
    found = cases.groupBy("plot", "place").agg(F.avg("x").alias("x"), F.count("*").alias("cases"), F.avg("y").alias("y"))
    said: dict[str, dict[str, Class]] = {}
    for row in found.orderBy("plot", "x", "place").limit(MOST_CLASSES).collect():
        said.setdefault(row["plot"], {})[row["place"]] = Class(row["x"], row["cases"], row["y"] or 0.0)
    return said


def people_part(tables: PeopleTables, absent: Absent) -> Part:
    """The plots that analysts of influencers start from, and the tables; each table shows its first TOP rows."""
    blocks: list[Block] = [*_author_figures(tables.authors), *_post_figures(tables.posts)]
    finding = ""
    wanted = (
        ("gold.influencers", tables.influencers, _influencers), ("gold.viral_posts", tables.viral, None),
        ("gold.feature_importances", tables.importances, _importances), ("gold.posting_times", tables.times, _times),
        ("gold.trends", tables.trends, _trends),
    )  # fmt: skip
    for name, rows, show in wanted:
        if rows is None:
            blocks.append(absent(name))
        elif show is None:
            blocks += _viral(rows, tables.explanations)
        else:
            shown = show(rows)
            blocks += shown
            if name == "gold.trends" and shown:
                finding = f"{shown[0].rows[0][0].text} rises most."  # type: ignore[union-attr]
    lead = "Who leads, what will go far, and what rises. Scores are of posts as they appear, from what was known before."
    return Part("people", "People and posts", lead, blocks, finding, frozenset())


def _author_figures(authors: DataFrame | None) -> list[Block]:
    if authors is None:
        return []
    followers = F.col("followers")
    plots = [
        _row("followers", _log_class(followers), followers, F.lit(1.0)),
        _row("rate", F.when(F.col("engagement_rate") > 0, _log_class(followers)), followers, F.col("engagement_rate")),
    ]
    found = classes(authors, plots)
    return [
        *_curve("followers", found.get("followers"), "followers", "authors", "Authors by followers", is_count=True),
        *_curve("rate", found.get("rate"), "followers", "engagement rate", "Engagement rate by followers"),
    ]


def _post_figures(posts: DataFrame | None) -> list[Block]:
    if posts is None:
        return []
    likes, comments = F.col("likes"), F.coalesce("comments", F.lit(0))
    tags = F.least(F.col("hashtag_count"), F.lit(MOST_TAGS))
    plots = [
        _row("likes", _log_class(likes), likes, F.lit(1.0)),
        _row("comments", F.when(F.col("comments").isNotNull(), _log_class(likes)), likes, comments),
        _row("tags", F.when(likes.isNotNull(), tags.cast("int")), tags, likes + comments),
        _row("type", F.when(likes.isNotNull(), F.col("content_type")), F.lit(0.0), likes + comments),
    ]
    found = classes(posts, plots)
    return [
        *_curve("likes", found.get("likes"), "likes", "posts", "Posts by likes", is_count=True),
        *_curve("comments", found.get("comments"), "likes", "comments", "Comments by likes"),
        *_bars("Likes and comments of a post by number of hashtags", found.get("tags"), f"{MOST_TAGS} stands for more too."),
        *_bars("Likes and comments of a post by kind of content", found.get("type"), ""),
    ]


def _curve(name: str, found: Mapping[str, Class] | None, x: str, y: str, title: str, is_count: bool = False) -> list[Block]:
    points = [(c.x, float(c.cases) if is_count else c.y) for c in (found or {}).values()]
    points = [(a, b) for a, b in points if a > 0 and b > 0]
    if not points:
        return []
    cases = sum(c.cases for c in (found or {}).values())
    said = "number of them" if is_count else "mean"
    caption = f"{title}: {said} in classes of half a doubling, {plural(cases, 'case')}; both axes logarithmic, 0 is not drawn."
    ends = f"From {decimal(points[0][0])} ({decimal(points[0][1])}) to {decimal(points[-1][0])} ({decimal(points[-1][1])})."
    return [Figure(log_log(f"people-{name}", points, x, y), f"{title} on logarithmic axes. {ends}", caption)]


def _bars(title: str, found: Mapping[str, Class] | None, note: str) -> list[Block]:
    if not found:
        return []
    most = max(c.y for c in found.values()) or 1.0
    bars = [Bar(name, c.y / most, decimal(c.y), under=plural(c.cases, "post")) for name, c in found.items()]
    return [Bars(title, bars, f"Mean. {note}".strip())]


def _first(rows: DataFrame, *order: Column | str) -> list[dict[str, Any]]:
    """The first TOP (10) rows."""
    return [row.asDict() for row in rows.orderBy(*order).limit(TOP).collect()]


def _influencers(rows: DataFrame) -> list[Block]:
    cells = [
        [
            Cell(shortened(r["user_id"], 40)), Cell(metric(r["influence_score"]), kind="number", share=r["influence_score"]),
            *[Cell(metric(r[name]), kind="number") for name in ("reach", "engagement", "authority")],
            Cell(NONE if r["probability"] is None else metric(r["probability"]), kind="number"),
        ]
        for r in _first(rows, F.desc("influence_score"), "user_id")
    ]  # fmt: skip
    heads = ["Author", "Influence", "Reach", "Engagement", "Authority", "Probability"]
    note = "Influence is the mean of the three parts; probability: of the top quarter by followers, from behaviour alone."
    return [Table("Most influential authors", heads, cells, note)] if cells else []


def _viral(rows: DataFrame, explanations: DataFrame | None) -> list[Block]:
    top = _first(rows, F.desc("probability"), "item_id")
    reasons: dict[str, str] = {}
    if explanations is not None and top:
        ids = [r["item_id"] for r in top]
        why = explanations.where((F.col("task") == "viral") & F.col("entity_id").isin(ids) & F.col("rank").between(1, _REASONS))
        for row in why.orderBy("entity_id", "rank").limit(TOP * _REASONS).collect():
            sign = "+" if row["contribution"] > 0 else "−"
            said = f"{sign} {shortened(row['feature'], 30)}"
            reasons[row["entity_id"]] = f"{reasons[row['entity_id']]}, {said}" if row["entity_id"] in reasons else said
    cells = [
        [
            Cell(r["item_id"], shortened(r["author_id"], 30)), Cell(share(r["probability"]), kind="number", share=r["probability"]),
            Cell(share(r["probability_for_author"]), kind="number"), Cell(reasons.get(r["item_id"], NONE)),
        ]
        for r in top
    ]  # fmt: skip
    heads = ["Post", "Top tenth", "For its author", "What adds (+) and takes (−) most"]
    return [Table("Posts of the last days that will go far", heads, cells)] if cells else []


def _importances(rows: DataFrame) -> list[Block]:
    blocks: list[Block] = []
    for task, kind in (("viral", "permutation"), ("engagement", "impurity"), ("influencers", "permutation")):
        some = rows.where((F.col("task") == task) & (F.col("kind") == kind) & (F.col("importance") > 0))
        top = _first(some, F.desc("importance"), "feature")
        if top:
            most = top[0]["importance"]
            bars = [Bar(shortened(r["feature"], 30), r["importance"] / most, metric(r["importance"])) for r in top]
            blocks.append(Bars(f"{_TASKS[task]}: what counts ({kind})", bars, size="third"))
    return blocks


def _times(rows: DataFrame) -> list[Block]:
    top = _first(rows.where("scope = 'overall'"), "rank")
    most = max((abs(r["lift"]) for r in top), default=0.0) or 1.0
    bars = [
        Bar(f"{r['hour']:02d}:00", max(r["lift"], 0.0) / most, f"{r['lift']:+.2f}", under=plural(r["posts"], "post")) for r in top
    ]
    note = "log1p of likes against the author's last 20 posts, drawn to 0 where there are few posts. UTC."
    return [Bars("Best hours of the day", bars, note)] if bars else []


def _trends(rows: DataFrame) -> list[Block]:
    cells = [
        [
            Cell(shortened(r["topic"], 40), r["kind"]), Cell(count(r["users_recent"]), kind="number"),
            Cell(decimal(r["expected"]), kind="number"), Cell(f"×{decimal(r['rate_ratio'])}", kind="number"),
            Cell(decimal(r["q_value"]), kind="number"),
        ]
        for r in _first(rows, "p_value", "kind", "topic")
    ]  # fmt: skip
    heads = ["What", "User-days", "Expected", "Rate", "False discovery rate"]
    note = "User-days of the last days against those before; what comes in bursts at all times needs more."
    return [Table("What rises", heads, cells, note)] if cells else []
