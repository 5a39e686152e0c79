"""The chance of a post to be among the top tenth by likes, overall and against its author's own level, before anybody has
liked it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError
from shoal.mine.posts.design import FEATURES, LEVEL, NUMBERS
from shoal.mine.posts.features import POSTS
from shoal.mine.posts.levels import (
    LevelModel,
    PreparedPosts,
    TrainingPosts,
    Tuning,
    fit_level_model,
    prepare_posts,
    prepare_training,
    with_expected,
)
from shoal.mine.probability.forests import Growth, forest_column, grow_from
from shoal.mine.probability.linear_models import fit_logistic
from shoal.mine.probability.plain_forest import Forest
from shoal.mine.probability.quality import average_precision, brier, roc_auc
from shoal.mine.probability.stack import Stack, fit_stack
from shoal.spark.checkpoints import cut_lineage

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
    forest: Forest
    overall: Stack
    for_author: Stack
    threshold: float


@dataclass(frozen=True)
class Draft:
    """The forest that has not seen the last tenth of posts, and these: a row a post of MEMBERS, `position`, `is_viral`,
    `probability` and `inputs` (the forest's numbers)."""

    forest: Forest
    late: dict[str, np.ndarray]


@dataclass(frozen=True)
class ViralTraining:
    """A model, its posts as the past of later ones, and its quality on the last tenth of each author's posts."""

    model: ViralModel
    past: DataFrame
    metrics: dict[str, float | int | None]
    draft: Draft


def train_viral(posts: DataFrame, seed: int) -> ViralTraining:
    """A model of posts (POSTS of shoal.mine.posts.features); those without likes or time teach nothing. See `viral_from`.

    Raises InputError for too few posts, or where all have the same likes.
    """
    return viral_from(prepare_training(posts, ("likes",), seed), seed)


def viral_from(prepared: PreparedPosts, seed: int, tuning: Tuning | None = None) -> ViralTraining:
    """A model of prepared posts.

    Viral is a post with at least as many likes as the top tenth of all posts here has. The first eight tenths of each author's
    posts, by time, teach the members; the ninth how they are put together; the last reports; then all teach again, and the last
    two tenths put together. Raises InputError where all posts have the same likes, or one part has none of a class. About 40 passes
    over cached posts; collects at most MAX_STACKED rows of numbers.
    """
    tuning = tuning or Tuning()
    threshold, early_threshold = viral_thresholds(prepared.rows)
    early = _fit_members(prepared.rows.where("part = 'early'"), prepared.early["likes"], early_threshold, seed, tuning)
    unseen = unseen_members(prepared.rows.where("part != 'early'"), early, threshold)
    is_late = unseen["part"] == "late"
    draft = _fit_stacks(unseen, ~is_late)
    metrics = _quality(unseen, draft[0], is_late)
    overall, for_author = _fit_stacks(unseen, np.ones(len(is_late), np.bool_))
    level, logistic, forest = _fit_members(prepared.rows, prepared.final["likes"], threshold, seed, tuning)
    past = prepared.rows.select(*(name for name in POSTS if name != "text"))
    late = {name: values[is_late] for name, values in unseen.items()}
    late["probability"] = draft[0].probability(np.column_stack([late[name] for name in MEMBERS]))
    model = ViralModel(level, logistic, forest, overall, for_author, threshold)
    return ViralTraining(model, past, metrics, Draft(early[2], late))


def draft_members(training: TrainingPosts, seed: int, tuning: Tuning) -> Members:
    """The members of these settings that the early posts teach, viral being the top tenth of those."""
    early = training.rows.where("part = 'early'")
    level = fit_level_model(early, "likes", seed, tuning)
    return _fit_members(early, level, viral_thresholds(early)[0], seed, tuning)


def viral_thresholds(rows: DataFrame) -> tuple[float, float]:
    """From how many likes on a post counts as viral, by all rows, and for the early ones. Raises InputError where all have the same
    likes. Two passes."""
    known = rows.where(F.col("likes").isNotNull())
    top = F.percentile_approx("likes", 1 - TOP_SHARE, 10_000)
    by_part = known.groupBy((F.col("part") == "early").alias("is_early")).agg(
        F.count("*").alias("posts"), F.min("likes").alias("least"), F.max("likes").alias("most"), top.alias("top")
    )
    parts = {row["is_early"]: row for row in by_part.collect()}
    least, most = min(row["least"] for row in parts.values()), max(row["most"] for row in parts.values())
    if least == most:
        raise InputError(f"all {sum(row['posts'] for row in parts.values())} posts have {most} likes; expected posts that differ")
    # Where nine in ten posts have no like, one like is viral.
    threshold = float(max(known.agg(top).collect()[0][0], least + 1))
    # Where likes grow, all of the top tenth may be later posts: the first draft learns the top of its own time.
    first = parts.get(True)
    early_threshold = min(threshold, float(max(first["top"], first["least"] + 1))) if first else threshold
    return threshold, early_threshold


Members = tuple[LevelModel, LogisticRegressionModel, Forest]


def _with_inputs(posts: DataFrame, level: LevelModel) -> DataFrame:
    """Prepared posts with the expected likes and the vectors of the classifiers."""
    framed = with_expected(posts, level)
    framed = VectorAssembler(inputCols=[FEATURES, LEVEL], outputCol=LINEAR_INPUT).transform(framed)
    return VectorAssembler(inputCols=[NUMBERS, LEVEL], outputCol=FOREST_INPUT).transform(framed)


def _fit_members(posts: DataFrame, level: LevelModel, threshold: float, seed: int, tuning: Tuning) -> Members:
    """The three members, the classifiers fitted on the prepared posts whose likes are known."""
    known = posts.where(F.col("likes").isNotNull())
    label = (F.col("likes") >= threshold).cast("double").alias("label")
    rows = _with_inputs(known, level).select(LINEAR_INPUT, FOREST_INPUT, label)
    rows = rows.transform(cut_lineage)
    counts = rows.agg(F.count("*").alias("posts"), F.sum("label").alias("viral")).collect()[0]
    if not 0 < counts["viral"] < counts["posts"]:
        raise InputError(
            f"{int(counts['viral'])} of the earlier {counts['posts']} posts have at least {threshold:g} likes; "
            "expected some that have and some that have not: give posts of a longer time"
        )
    logistic = fit_logistic(rows, LINEAR_INPUT, "label", tuning.logistic_penalty / counts["posts"], counts["posts"])
    # Boosted trees are of numbers: the classifier has its forest then.
    shape = tuning if tuning.kind != "boosting" else Tuning()
    growth = Growth(shape.trees, shape.depth, max(1, shape.leaf - 2), seed, shape.kind)
    forest = grow_from(rows, FOREST_INPUT, "label", growth, counts["posts"], is_class=True)
    return level, logistic, forest


def _with_members(posts: DataFrame, members: Members) -> DataFrame:
    """Prepared posts with MEMBERS: log1p likes expected, and log odds. Lazy."""
    level, logistic, forest = members
    framed = _with_inputs(posts, level)
    framed = logistic.setPredictionCol("").setProbabilityCol("").setRawPredictionCol("_logistic").transform(framed)
    framed = framed.withColumn("_share", forest_column(forest, vector_to_array(F.col(FOREST_INPUT))))
    # A forest that is all of one mind has log odds of TREES to a half.
    share = (F.col("_share") * len(forest) + 0.5) / (len(forest) + 1)
    return framed.withColumns(
        {"logistic": vector_to_array(F.col("_logistic"))[1], "forest": F.log(share / (1.0 - share))}
    ).drop("_logistic", "_share", LINEAR_INPUT)  # fmt: skip


def unseen_members(posts: DataFrame, members: Members, threshold: float) -> dict[str, np.ndarray]:
    """The members' words on posts that they have not seen, with the truth; at most MAX_STACKED rows, drawn by a hash."""
    known = _with_members(posts.where(F.col("likes").isNotNull()), members).select(
        *MEMBERS, "level", "part", (F.col("likes") >= threshold).cast("double").alias("is_viral"),
        F.log1p(F.col("likes").cast("double")).alias("truth"), F.xxhash64("position").alias("_drawn"), "position", "author_id",
        F.unix_micros("created_at").alias("created"),
        vector_to_array(F.col(FOREST_INPUT)).alias("inputs"), F.col("likes_mean_20"),
    )  # fmt: skip
    found: Any = known.orderBy("_drawn").limit(MAX_STACKED).toPandas()
    if found.empty:
        raise InputError("no later post to test on; expected posts of a longer time")
    return {name: np.array(found[name].tolist()) if name == "inputs" else found[name].to_numpy() for name in found.columns}


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
    return predict_viral(prepare_posts(together, ("likes",)).where("position >= 0"), model)


def predict_viral(prepared: DataFrame, model: ViralModel) -> DataFrame:
    """`position`, `probability`, `probability_for_author` of prepared posts. Lazy."""
    scored = _with_members(prepared, (model.level, model.logistic, model.forest))
    return scored.select(
        "position", model.overall.column([F.col(name) for name in MEMBERS]).alias("probability"),
        model.for_author.column([F.col("expected") - F.col("level")]).alias("probability_for_author"),
    )  # fmt: skip
