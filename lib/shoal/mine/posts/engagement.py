"""Likes and comments of posts, with intervals: train on posts whose counts are known, score posts as they appear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles
from shoal.mine.posts.features import POSTS
from shoal.mine.posts.levels import (
    LevelModel,
    PreparedPosts,
    choose_linear_share,
    prepare_posts,
    prepare_training,
    recent_mean,
    with_expected,
)
from shoal.mine.posts.online import follow_author
from shoal.spark.checkpoints import cut_lineage

COUNTS = ("likes", "comments")
# Quantiles of the absolute errors of all authors that are kept: 0, .5, 1 ... 100%.
SPREAD_POINTS = 201
# What `follow_posts` reads and adds.
_FOLLOWED = "position bigint, predicted double, low double, high double, confidence double"


@dataclass(frozen=True)
class CountModel:
    """A model of one count, and the quantiles of its absolute errors on posts that it had not seen, ascending."""

    level: LevelModel
    spread: Doubles


@dataclass(frozen=True)
class EngagementTraining:
    """What training gives: a model a count, the posts it learned from as the past of later ones (`past_columns`), and how well it
    did on the last tenth of each author's posts, by count."""

    models: dict[str, CountModel]
    past: DataFrame
    metrics: dict[str, dict[str, float | int]]


def past_columns(counts: Iterable[str]) -> list[str]:
    """The columns of a training's past: POSTS without the text, and `expected_<count>`, null for posts that the model has seen."""
    return [*(name for name in POSTS if name != "text"), *(f"expected_{count}" for count in counts)]


def train_engagement(posts: DataFrame, coverage: float, seed: int) -> EngagementTraining:
    """Models of likes and, where at least one in two posts has them, of comments; see `engagement_from`.

    posts: columns POSTS (shoal.mine.posts.features); those without a time or the count teach nothing. Raises InputError where no
    post has likes and a time, or too few have.
    """
    return engagement_from(prepare_training(posts, COUNTS, seed), coverage)


def engagement_from(prepared: PreparedPosts, coverage: float) -> EngagementTraining:
    """The models of prepared posts.

    The first eight tenths of each author's posts, by time, teach the draft; the ninth chooses the mix of linear model and forest;
    the last reports (online, as scoring goes). The models are those that all posts teach. A few passes a count.
    """
    models, metrics, past = {}, {}, prepared.rows
    for count in prepared.early:
        models[count], scored, metrics[count] = _train_count(prepared, count, coverage)
        past = past.join(scored.select("position", F.col("expected").alias(f"expected_{count}")), "position", "left")
    past = past.select(*past_columns(prepared.early))
    return EngagementTraining(models, past, metrics)


def _train_count(
    prepared: PreparedPosts, count: str, coverage: float
) -> tuple[CountModel, DataFrame, dict[str, float | int]]:
    """The model of a count, the later posts with `expected` of a model that has not seen them, and its quality on the last
    tenth."""
    early = prepared.early[count]
    unseen = with_expected(prepared.rows.where((F.col("part") != "early") & F.col(count).isNotNull()), early)
    unseen = unseen.select(
        "author_id", "created_at", "position", "part", count, f"{count}_mean_5", f"{count}_mean_20", "expected_linear",
        "expected_forest", "level",
    ).transform(cut_lineage)  # fmt: skip
    share = choose_linear_share(unseen.where("part = 'middle'"), count)
    mixed = share * F.col("expected_linear") + (1.0 - share) * F.col("expected_forest")
    truth = F.log1p(F.col(count).cast("double"))
    unseen = unseen.withColumns({"expected": mixed, "truth": truth, "recent": recent_mean(count, early.prior)})
    spread = quantiles_of_errors(unseen.where("part = 'middle'"))
    metrics = _quality(unseen, spread, coverage) | {"linear_share": share}
    # The model's spread comes from all posts that its first draft had not seen.
    model = CountModel(replace(prepared.final[count], linear_share=share), quantiles_of_errors(unseen))
    return model, unseen, metrics


def quantiles_of_errors(rows: DataFrame) -> Doubles:
    """SPREAD_POINTS quantiles of |truth - expected|, ascending; [1.0] where there is no row. One pass."""
    points = [i / (SPREAD_POINTS - 1) for i in range(SPREAD_POINTS)]
    levels = F.array(*[F.lit(p) for p in points])
    found = rows.agg(F.percentile_approx(F.abs(F.col("truth") - F.col("expected")), levels, F.lit(10_000))).collect()[0][0]
    return np.asarray(found if found else [1.0], np.float64)


def _quality(unseen: DataFrame, spread: Doubles, coverage: float) -> dict[str, float | int]:
    """Errors (log1p) on the late posts beside two baselines, and the share that the intervals hold; posts of the middle part
    are their past."""
    followed = follow_posts(unseen, spread, coverage).join(unseen.where("part = 'late'"), "position")
    truth = F.col("truth")
    row = followed.agg(
        F.count("*").alias("posts"),
        F.avg(F.abs(truth - F.col("predicted"))).alias("mae_log"),
        F.avg(F.abs(truth - F.col("recent"))).alias("mae_log_mean_of_last_5"),
        F.avg(F.abs(truth - F.col("level"))).alias("mae_log_mean_of_last_20"),
        F.avg(truth.between(F.col("low") - 1e-9, F.col("high") + 1e-9).cast("double")).alias("coverage"),
    ).collect()[0]
    return {name: (value if name == "posts" else round(float(value or 0.0), 4)) for name, value in row.asDict().items()}


def score_engagement(posts: DataFrame, past: DataFrame, models: Mapping[str, CountModel], coverage: float) -> DataFrame:
    """`position` of each of `posts` with predicted_<count>, <count>_low, <count>_high (counts, from 0) and `confidence` of likes,
    0 to 1.

    posts: POSTS, positions from 0 on, likes and comments null where hidden. past: a training's, positions below 0. A scored post
    whose counts are known is part of the past of later ones, never of itself. Columns of a count without a model are null. Three
    shuffles by author; an author's posts are one task's.
    """
    counts = tuple(models)
    nothing = [F.lit(None).cast("double").alias(f"expected_{count}") for count in counts]
    together = posts.select(*POSTS, *nothing).unionByName(past.withColumn("text", F.lit(None).cast("string")))
    prepared = prepare_posts(together, COUNTS).transform(cut_lineage)
    return predict_engagement(prepared, models, coverage)


def predict_engagement(prepared: DataFrame, models: Mapping[str, CountModel], coverage: float) -> DataFrame:
    """What `score_engagement` gives, from prepared posts: those to score at positions from 0 on, their past below, with
    expected_<count> of a model that has not seen them, or null."""
    scored = prepared.where("position >= 0").select("position")
    for count, model in models.items():
        fresh = with_expected(prepared.where("position >= 0"), model.level).withColumn(f"expected_{count}", F.col("expected"))
        names = ["author_id", "created_at", "position", count, f"{count}_mean_5", f"expected_{count}"]
        old = prepared.where((F.col("position") < 0) & F.col(f"expected_{count}").isNotNull() & F.col(count).isNotNull())
        rows = fresh.select(names).unionByName(old.select(names)).select(
            "author_id", "created_at", "position", F.log1p(F.col(count).cast("double")).alias("truth"),
            F.col(f"expected_{count}").alias("expected"), recent_mean(count, model.level.prior).alias("recent"),
        )  # fmt: skip
        found = follow_posts(rows, model.spread, coverage).where("position >= 0")
        columns = [F.expm1(F.col(name)).alias(new) for name, new in _names(count).items()]
        confidence = [F.col("confidence")] if count == "likes" else []
        scored = scored.join(found.select("position", *columns, *confidence), "position", "left")
    absent = {new: F.lit(None).cast("double") for count in COUNTS if count not in models for new in _names(count).values()}
    return scored.withColumns(absent) if absent else scored


def _names(count: str) -> dict[str, str]:
    return {"predicted": f"predicted_{count}", "low": f"{count}_low", "high": f"{count}_high"}


def follow_posts(rows: DataFrame, spread: Doubles, coverage: float) -> DataFrame:
    """`position`, `predicted`, `low`, `high`, `confidence` of rows author_id, created_at, position, truth, expected, recent.

    shoal.mine.posts.online.follow_author, author by author, in the order of time; posts without a time come last, at one moment.
    One shuffle by author; a task holds one Arrow batch and the posts of one author.
    """

    def follow(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for posts in whole_authors(batches):
            moment = posts["moment"].to_numpy(np.int64)
            truth, expected, recent = (posts[name].to_numpy(np.float64) for name in ("truth", "expected", "recent"))
            found = follow_author(moment, truth, expected, recent, spread, coverage)
            yield pd.DataFrame({"position": posts["position"], **vars(found)})

    # No post has a moment after this.
    moment = F.coalesce(F.unix_micros("created_at"), F.lit(2**62)).alias("moment")
    ordered = rows.select("author_id", moment, "position", "truth", "expected", "recent")
    ordered = ordered.repartition("author_id").sortWithinPartitions("author_id", "moment", "position")
    return ordered.mapInPandas(follow, _FOLLOWED)


def whole_authors(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The rows of one author at a time, of batches in which an author's rows follow each other."""
    kept: Any = None
    for batch in batches:
        frame = batch if kept is None else pd.concat([kept, batch], ignore_index=True)
        authors = frame["author_id"].to_numpy()
        edges = [0, *(np.flatnonzero(authors[1:] != authors[:-1]) + 1).tolist()] if len(frame) else []
        for start, end in pairwise(edges):
            yield frame.iloc[start:end]
        kept = frame.iloc[edges[-1] :] if edges else None
    if kept is not None and len(kept):
        yield kept
