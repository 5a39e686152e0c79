"""The chance of a post to be among the top tenth by likes, overall and against its author's own level, before anybody has
liked it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml.classification import LogisticRegressionModel, RandomForestClassificationModel, RandomForestClassifier
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError
from shoal.mine.posts.design import FEATURES, LEVEL, NUMBERS
from shoal.mine.posts.features import POSTS
from shoal.mine.posts.levels import (
    DEPTH,
    MIN_POSTS,
    TREES,
    LevelModel,
    fit_level_model,
    prepare_posts,
    tasks_for,
    with_expected,
    with_part,
)
from shoal.mine.probability.linear_models import fit_logistic
from shoal.mine.probability.quality import average_precision, brier, roc_auc
from shoal.mine.probability.stack import Stack, fit_stack

TOP_SHARE = 0.1
# Vectors that the two classifiers read: words, numbers and the author's level; numbers and level.
LINEAR_INPUT, FOREST_INPUT = "linear_input", "forest_input"
# What the members say, each a number that grows with the chance: expected likes, and the log odds of two classifiers.
MEMBERS = ("expected", "logistic", "forest")
# Posts that the weights of the members are fitted on; three weights need no more.
MAX_STACKED = 100_000


@dataclass(frozen=True)
class ViralModel:
    """The members, how they are put together, and the likes from which on a post counted as viral in training."""

    level: LevelModel
    logistic: LogisticRegressionModel
    forest: RandomForestClassificationModel
    overall: Stack
    for_author: Stack
    threshold: float


@dataclass(frozen=True)
class ViralTraining:
    """A model, its posts as the past of later ones, and its quality on the last tenth of each author's posts."""

    model: ViralModel
    past: DataFrame
    metrics: dict[str, float | int | None]


def train_viral(posts: DataFrame, seed: int) -> ViralTraining:
    """A model of posts (POSTS of shoal.mine.posts.features); those without likes or time teach nothing.

    Viral is a post with at least as many likes as the top tenth of all posts here has. The first eight tenths of each author's
    posts, by time, teach the members; the ninth how they are put together; the last reports; then all teach again, and the last
    two tenths put together. Raises InputError for too few posts, or where all have the same likes. About 100 passes over cached
    posts; collects at most MAX_STACKED rows of three numbers.
    """
    timed = posts.where(F.col("created_at").isNotNull())
    seen = timed.where(F.col("likes").isNotNull()).agg(
        F.count("*").alias("posts"), F.percentile_approx("likes", 1 - TOP_SHARE, 10_000).alias("top"),
        F.min("likes").alias("least"), F.max("likes").alias("most"),
    ).collect()[0]  # fmt: skip
    if seen["posts"] < MIN_POSTS:
        raise InputError(f"{seen['posts']} posts with likes and a time to learn from; expected at least {MIN_POSTS}")
    if seen["least"] == seen["most"]:
        raise InputError(f"all {seen['posts']} posts have {seen['most']} likes; expected posts that differ")
    # Where nine in ten posts have no like, one like is viral.
    threshold = float(max(seen["top"], seen["least"] + 1))
    prepared = with_part(prepare_posts(timed, ("likes",))).coalesce(tasks_for(seen["posts"])).localCheckpoint()
    # Where likes grow, all of the top tenth may be later posts: the first draft learns the top of its own time.
    first = prepared.where("part = 'early'")
    top = first.agg(F.percentile_approx("likes", 1 - TOP_SHARE, 10_000), F.min("likes")).collect()[0]
    early_threshold = min(threshold, float(max(top[0] or 0, (top[1] or 0) + 1)))
    early = _fit_members(first, early_threshold, seed)
    unseen = _collect_members(prepared.where("part != 'early'"), early, threshold)
    is_late = unseen["part"] == "late"
    draft = _fit_stacks(unseen, ~is_late)
    metrics = _quality(unseen, draft[0], is_late)
    overall, for_author = _fit_stacks(unseen, np.ones(len(is_late), np.bool_))
    level, logistic, forest = _fit_members(prepared, threshold, seed)
    past = prepared.select(*(name for name in POSTS if name != "text"))
    return ViralTraining(ViralModel(level, logistic, forest, overall, for_author, threshold), past, metrics)


Members = tuple[LevelModel, LogisticRegressionModel, RandomForestClassificationModel]


def _with_inputs(posts: DataFrame, level: LevelModel) -> DataFrame:
    """Prepared posts with the expected likes and the vectors of the classifiers."""
    framed = with_expected(posts, level)
    framed = VectorAssembler(inputCols=[FEATURES, LEVEL], outputCol=LINEAR_INPUT).transform(framed)
    return VectorAssembler(inputCols=[NUMBERS, LEVEL], outputCol=FOREST_INPUT).transform(framed)


def _fit_members(posts: DataFrame, threshold: float, seed: int) -> Members:
    """The three members, fitted on the prepared posts whose likes are known."""
    level = fit_level_model(posts, "likes", seed)
    known = posts.where(F.col("likes").isNotNull())
    label = (F.col("likes") >= threshold).cast("double").alias("label")
    rows = _with_inputs(known, level).select(LINEAR_INPUT, FOREST_INPUT, label)
    rows = rows.localCheckpoint()
    counts = rows.agg(F.count("*").alias("posts"), F.sum("label").alias("viral")).collect()[0]
    if not 0 < counts["viral"] < counts["posts"]:
        raise InputError(
            f"{int(counts['viral'])} of the earlier {counts['posts']} posts have at least {threshold:g} likes; "
            "expected some that have and some that have not: give posts of a longer time"
        )
    logistic = fit_logistic(rows, LINEAR_INPUT, "label", 1.0 / counts["posts"], counts["posts"])
    forest = RandomForestClassifier(
        featuresCol=FOREST_INPUT, labelCol="label", numTrees=TREES, maxDepth=DEPTH, minInstancesPerNode=3, seed=seed
    ).fit(rows)
    return level, logistic, forest


def _with_members(posts: DataFrame, members: Members) -> DataFrame:
    """Prepared posts with MEMBERS: log1p likes expected, and log odds. Lazy."""
    level, logistic, forest = members
    framed = _with_inputs(posts, level)
    framed = logistic.setPredictionCol("").setProbabilityCol("").setRawPredictionCol("_logistic").transform(framed)
    framed = forest.setPredictionCol("").setRawPredictionCol("_votes").setProbabilityCol("_share").transform(framed)
    # A forest that is all of one mind has log odds of TREES to a half.
    share = (vector_to_array(F.col("_share"))[1] * TREES + 0.5) / (TREES + 1)
    return framed.withColumns(
        {"logistic": vector_to_array(F.col("_logistic"))[1], "forest": F.log(share / (1.0 - share))}
    ).drop("_logistic", "_votes", "_share", LINEAR_INPUT, FOREST_INPUT)  # fmt: skip


def _collect_members(posts: DataFrame, members: Members, threshold: float) -> dict[str, np.ndarray]:
    """The members' words on posts that they have not seen, with the truth; at most MAX_STACKED rows, drawn by a hash."""
    known = _with_members(posts.where(F.col("likes").isNotNull()), members).select(
        *MEMBERS, "level", "part", (F.col("likes") >= threshold).cast("double").alias("is_viral"),
        F.log1p(F.col("likes").cast("double")).alias("truth"), F.xxhash64("position").alias("_drawn"), F.col("likes_mean_20"),
    )  # fmt: skip
    found: Any = known.orderBy("_drawn").limit(MAX_STACKED).toPandas()
    if found.empty:
        raise InputError("no later post to test on; expected posts of a longer time")
    return {name: found[name].to_numpy() for name in found.columns}


def _fit_stacks(unseen: dict[str, np.ndarray], rows: np.ndarray) -> tuple[Stack, Stack]:
    """How members become the probability of the top tenth overall, and against the author's level, from these rows."""
    members = np.column_stack([unseen[name] for name in MEMBERS])[rows]
    lift = (unseen["expected"] - unseen["level"])[rows, None]
    risen = (unseen["truth"] - unseen["level"])[rows]
    above = risen >= np.quantile(risen, 1 - TOP_SHARE) if len(risen) else risen > 0
    return fit_stack(members, unseen["is_viral"][rows]), fit_stack(lift, above.astype(np.float64))


def _quality(unseen: dict[str, np.ndarray], stack: Stack, rows: np.ndarray) -> dict[str, float | int | None]:
    """Quality on the late posts, beside the mean of the author's last 20 posts; None where they are all of one class."""
    label = unseen["is_viral"][rows]
    given = stack.probability(np.column_stack([unseen[name] for name in MEMBERS])[rows])
    level = unseen["level"][rows]
    share = float(label.mean()) if len(label) else None
    return {
        "posts": len(label), "viral_share": share, "roc_auc": roc_auc(label, given),
        "average_precision": average_precision(label, given),
        "roc_auc_mean_of_last_20": roc_auc(label, level), "average_precision_mean_of_last_20": average_precision(label, level),
        "brier": brier(label, given), "brier_constant": brier(label, np.full(len(label), TOP_SHARE)),
    }  # fmt: skip


def score_viral(posts: DataFrame, past: DataFrame, model: ViralModel) -> DataFrame:
    """`position` of each of `posts` with `probability` of at least model.threshold likes and `probability_for_author`, of the top
    tenth against the author's own level; 0 to 1.

    posts: POSTS, positions from 0 on, likes null where hidden. past: a training's, positions below 0. A scored post whose likes
    are known is part of the past of later ones, never of itself. One shuffle.
    """
    together = posts.select(*POSTS).unionByName(past.withColumn("text", F.lit(None).cast("string")).select(*POSTS))
    prepared = prepare_posts(together, ("likes",)).where("position >= 0")
    scored = _with_members(prepared, (model.level, model.logistic, model.forest))
    return scored.select(
        "position", model.overall.column([F.col(name) for name in MEMBERS]).alias("probability"),
        model.for_author.column([F.col("expected") - F.col("level")]).alias("probability_for_author"),
    )  # fmt: skip
