"""Write one self-contained HTML page about the lake on a day.

Reads:  ops.runs, ops.model_metrics, ops.drift, ops.profiles, ops.alerts, ops.data_quality, ops.quarantine, ops.ingest_files
        silver.interactions, silver.items, silver.texts, silver.follows
        features.users, features.items
        gold.recommendations, gold.communities, gold.community_summary, gold.near_duplicates, gold.conversations
        gold.topics, gold.node_ranks, features.images, gold.similar_items
        features.authors, gold.influencers, gold.viral_posts, gold.explanations, gold.feature_importances, gold.posting_times,
        gold.trends, gold.segments, gold.segment_changes, features.shoppers, gold.anomalies, and the posts as build_posts reads them
        and the number of rows of every other table
Writes: <lake>/reports/<as_of>/report.html, or under report.folder: one file, put in place whole; replaces as_of
        ops.runs: the run's own row, as every job

A part whose table is missing names the table and the command that makes it. Where as_of has no rows, those of the latest day
before it are shown and dated. Skipped where the lake has no table but ops.runs.
"""

from __future__ import annotations

import sys
from collections.abc import Container
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import ReportConf
from shoal.errors import SkippedError, UsageError
from shoal.features.snapshots import end_of
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import Lake
from shoal.mine.posts.from_tables import posts_of
from shoal.models.metrics_table import EVALUATION
from shoal.models.post_tables import read_post_tables
from shoal.publish.report import stages
from shoal.publish.report.day import ReportDay, build_parts, latest_days, sizes
from shoal.publish.report.holdings import Holding
from shoal.publish.report.page import lake_heading, page
from shoal.runner.command import run_job
from shoal.runner.fingerprint import code_version

READS = ("*",)
WRITES = ()


def find_tables(lake: Lake, as_of: date) -> dict[str, Holding]:
    """Every table that exists, by name, in the order of the layers."""
    found: dict[str, Holding] = {}
    days = {}
    for name in contract_names():
        if not lake.exists(name):
            continue
        rows = lake.read(name)
        has_days = "as_of" in contract(name).columns and name != "ops.runs"
        found[name] = Holding(name, lake.run.rows_in[name], lake.run.input_versions[name], contract(name).grain, None, has_days)
        if has_days:
            days[name] = rows
    latest = latest_days(days, as_of)
    return {n: Holding(n, t.rows, t.version, t.grain, latest.get(n), t.has_days) for n, t in found.items()}


def folder(lake: Lake, conf: ReportConf) -> str:
    """Where reports go, a path or a URI. Raises UsageError where the lake is a catalog and no folder is named."""
    if conf.folder is not None:
        return conf.folder
    if lake.settings.lake.catalog:
        raise UsageError("report.folder: needed with lake.catalog; name a Volume: /Volumes/<catalog>/<schema>/<volume>")
    return f"{lake.address}/reports"


def counted_posts(lake: Lake, as_of: date, tables: Container[str]) -> DataFrame | None:
    """likes, comments, hashtag_count and content_type of the posts up to as_of; None without silver.items."""
    if "silver.items" not in tables:
        return None
    posts = posts_of(read_post_tables(lake), end_of(as_of))
    is_video = F.when(F.col("is_video"), "video").when(~F.col("is_video"), "picture")
    tags = F.size(F.regexp_extract_all("text", F.lit(r"(#[\p{L}\p{N}_]+)"), F.lit(1)))
    return posts.select(
        "likes", "comments", F.greatest(tags, F.lit(0)).alias("hashtag_count"),
        F.coalesce(is_video, F.lit("not known")).alias("content_type"),
    )  # fmt: skip


def run(lake: Lake, conf: ReportConf, as_of: date) -> None:
    """Look at every table, build the page, put it in place."""
    path = f"{folder(lake, conf)}/{as_of.isoformat()}/report.html"
    tables = find_tables(lake, as_of)
    if not set(tables) - {"ops.runs"}:
        raise SkippedError("the lake has no table to report on; `shoal ingest` loads data")
    runs, writers = [], {}
    if "ops.runs" in tables:
        log = lake.read("ops.runs").persist()
        try:
            runs = [row for row in stages.runs_of_day(log, as_of) if row["job"] != lake.run.job]
            writers = stages.last_writers(log)
        finally:
            log.unpersist()
    messages = {row["job"]: row["message"] for row in runs if row["message"]}
    shown = ReportDay(lake.read, as_of, tables, messages)
    heading = lake_heading(lake.settings.lake.catalog or lake.address, as_of, lake.run.run_id, code_version(), sizes(shown))
    parts = build_parts(shown, runs, writers, EVALUATION, conf, counted_posts(lake, as_of, tables))
    lake.store.write_text(path, page(heading, parts))
    lake.run.note(report=path)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ReportConf, argv)


if __name__ == "__main__":
    sys.exit(main())
