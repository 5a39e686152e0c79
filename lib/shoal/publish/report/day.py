"""What the report shows of each table on its day, and the parts of the page in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from typing import Any, Protocol

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import ReportConf
from shoal.lake.contract import contract, contract_names
from shoal.publish.report import activity, alarms, communities, contents, models, people, quality, samples, segments, shifts, stages
from shoal.publish.report.blocks import Block, Missing, Part, Tile, Tiles
from shoal.publish.report.holdings import Holding, holdings_part
from shoal.publish.report.similar import likeness_blocks
from shoal.publish.report.wording import count

# The job that makes each table that a part needs.
MAKERS = {
    "features.users": "build_users",
    "features.items": "build_items",
    "ops.model_metrics": "train_recommender",
    "gold.recommendations": "build_recommendations",
    "gold.communities": "find_communities",
    "gold.segments": "find_segments",
    "gold.anomalies": "find_anomalies",
    "gold.community_summary": "summarise_communities",
    "gold.influencers": "score_people",
    "gold.viral_posts": "score_posts",
    "gold.posting_times": "score_posts",
    "gold.feature_importances": "train_posts",
    "gold.trends": "find_trends",
    "gold.near_duplicates": "find_near_duplicates",
    "gold.conversations": "summarise_conversations",
    "gold.topics": "find_topics",
    "gold.similar_items": "find_similar",
    "ops.drift": "detect_drift",
    "ops.profiles": "detect_drift",
    "ops.data_quality": "check_quality",
    "ops.alerts": "raise_alerts",
    "gold.node_ranks": "rank_nodes",
}
# In the order of PeopleTables.
PEOPLE_TABLES = ("features.authors", "gold.influencers", "gold.viral_posts", "gold.explanations", "gold.feature_importances",
                 "gold.posting_times", "gold.trends")  # fmt: skip
INGESTED = ("silver.interactions", "silver.items", "silver.texts", "silver.follows", "ops.quarantine", "ops.ingest_files")
SIZES = {
    "Users": "features.users", "Items": "features.items", "Events": "silver.interactions", "Texts": "silver.texts",
    "Follows": "silver.follows",
}  # fmt: skip


class Reader(Protocol):
    """Reads a table by name: the rows of the day `on`, or those known `before` the end of a day, or all."""

    def __call__(self, name: str, on: date | None = None, before: date | None = None) -> DataFrame:
        """The rows."""
        ...


@dataclass(frozen=True)
class ReportDay:
    """The tables as of a day. `tables`: those that exist, with the last day that each is shown of; `messages`: what the last run
    of a job on that day reported, by job."""

    read: Reader
    as_of: date
    tables: Mapping[str, Holding]
    messages: Mapping[str, str] = field(default_factory=dict)

    def day(self, name: str) -> date | None:
        """The table's last day up to as_of; None where it has no such rows or no days."""
        return self.tables[name].latest_day if name in self.tables else None

    def rows(self, name: str) -> DataFrame | None:
        """The rows to show: of `day`, or known before the end of as_of, or all; None where there is nothing to read."""
        if name not in self.tables:
            return None
        if self.tables[name].has_days:
            day = self.day(name)
            return None if day is None else self.read(name, on=day)
        return self.read(name, before=self.as_of if contract(name).time_column else None)

    def absent(self, name: str) -> Missing:
        """Why a table has nothing to show, and the command that would make it."""
        day = self.as_of.isoformat()
        if name in INGESTED:
            return Missing(name, "nothing has been ingested into it", "shoal ingest --source NAME --input PATH")
        job = MAKERS[name]
        why = f"no rows up to {day}" if name in self.tables else "the table has not been made"
        message = f"; {job} said: {self.messages[job].rstrip('.')}" if job in self.messages else ""
        return Missing(name, why + message, f"shoal run {job} --as-of {day}")


def latest_days(days: Mapping[str, DataFrame], as_of: date) -> dict[str, date]:
    """The last day up to as_of of each table that has one. `days`: the rows of each table by name. One aggregate over all."""
    known = [rows.select(F.lit(name).alias("name"), "as_of").where(F.col("as_of") <= F.lit(as_of)) for name, rows in days.items()]
    if not known:
        return {}
    latest = reduce(DataFrame.unionAll, known).groupBy("name").agg(F.max("as_of").alias("day")).limit(len(known)).collect()
    return {row["name"]: row["day"] for row in latest}


def latest_metrics(shown: ReportDay, which: str) -> tuple[DataFrame | None, date | None]:
    """The rows of ops.model_metrics `which` (SQL) of their last day up to as_of, and that day; None where there is none. An
    evaluation may be of another day than a training. One small Spark job."""
    if shown.day("ops.model_metrics") is None:
        return None, None
    rows = shown.read("ops.model_metrics").where(which).where(F.col("as_of") <= F.lit(shown.as_of))
    last = rows.agg(F.max("as_of")).collect()[0][0]
    return (None, None) if last is None else (rows.where(F.col("as_of") == F.lit(last)), last)


def sizes(shown: ReportDay) -> Tiles:
    """The world's sizes as of the day, of the tables that exist. One aggregate over all."""
    there = {label: rows for label, name in SIZES.items() if (rows := shown.rows(name)) is not None}
    if not there:
        return Tiles([])
    labels = reduce(DataFrame.unionAll, [rows.select(F.lit(label).alias("label")) for label, rows in there.items()])
    found = {row["label"]: row["count"] for row in labels.groupBy("label").count().limit(len(SIZES)).collect()}
    return Tiles([Tile(label, count(found.get(label, 0))) for label in there])


def _by_follows(rows: DataFrame | None) -> DataFrame | None:
    """The rows of the relation that the drawing shows."""
    return None if rows is None else rows.where("relation = 'follows'")


def current_pictures(shown: ReportDay) -> DataFrame | None:
    """The current rows of features.images up to as_of: a picture's row keeps the day on which it was described."""
    if "features.images" not in shown.tables:
        return None
    return shown.read("features.images").where(F.col("is_current") & (F.col("as_of") <= F.lit(shown.as_of)))


def likeness(shown: ReportDay, items: DataFrame | None, titles: DataFrame | None) -> list[Block]:
    """Which items are like which on the day; the table's absence where it has no row. `items`: features.items."""
    similar = shown.rows("gold.similar_items")
    tables: list[Block] = [] if similar is None else [*likeness_blocks(similar, items, titles)]
    return tables or [shown.absent("gold.similar_items")]


def build_parts(
    shown: ReportDay, runs: Sequence[dict[str, Any]], writers: Mapping[str, stages.Writer], evaluation_task: str, conf: ReportConf,
    posts: DataFrame | None = None,
) -> list[Part]:
    """The parts of the page, in order. `runs`: of the day; `writers`: of each table; `evaluation_task`: the task of
    ops.model_metrics whose models were judged on files; `posts`: see shoal.publish.report.people.PeopleTables."""
    events = shown.rows("silver.interactions")
    # A title may have been given after the day: every row of the catalogue counts.
    titles = shown.read("silver.items") if "silver.items" in shown.tables else None
    users, items = shown.rows("features.users"), shown.rows("features.items")
    trained = latest_metrics(shown, f"task != '{evaluation_task}'")
    evaluated = latest_metrics(shown, f"task = '{evaluation_task}'")
    absent_tables = [name for name in contract_names() if name not in shown.tables]
    parts: list[Callable[[], Part]] = [
        lambda: activity.activity_part(events, users, items, titles, shown.absent),
        lambda: models.models_part(*trained, shown.as_of, shown.absent, *evaluated),
        lambda: samples.samples_part(
            shown.rows("gold.recommendations"), shown.day("gold.recommendations"), shown.as_of, events, titles,
            conf.sample_users, shown.absent,
        ),
        lambda: people.people_part(
            people.PeopleTables(posts, *(shown.rows(name) for name in PEOPLE_TABLES)), shown.absent,
        ),
        lambda: communities.communities_part(
            _by_follows(shown.rows("gold.community_summary")), _by_follows(shown.rows("gold.communities")),
            shown.rows("silver.follows"),
            shown.day("gold.community_summary"), shown.as_of, conf.communities, conf.nodes, shown.absent,
            shown.rows("gold.node_ranks"),
        ),
        lambda: segments.segments_part(
            segments.SegmentTables(
                shown.rows("gold.segments"), shown.rows("gold.segment_changes"), shown.rows("features.shoppers"),
                shown.rows("gold.anomalies"), events,
            ),
            shown.as_of, shown.absent,
        ),
        lambda: contents.contents_part(
            shown.rows("gold.near_duplicates"), shown.rows("silver.texts"), shown.rows("gold.conversations"),
            shown.rows("gold.topics"), current_pictures(shown), shown.absent, likeness(shown, items, titles),
        ),
        lambda: shifts.shifts_part(
            shown.rows("ops.drift"), shown.rows("ops.profiles"), shown.day("ops.drift"), shown.as_of, shown.absent
        ),
        lambda: alarms.alarms_part(
            shown.read("ops.alerts") if "ops.alerts" in shown.tables else None, shown.rows("ops.data_quality"), shown.absent
        ),
        lambda: quality.quality_part(shown.rows("ops.quarantine"), shown.rows("ops.ingest_files"), shown.absent),
        lambda: stages.stages_part(runs),
        lambda: holdings_part(list(shown.tables.values()), absent_tables, writers, shown.as_of),
    ]  # fmt: skip
    return [make() for make in parts]
