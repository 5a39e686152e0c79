"""How far above or below its author's own level a post will go: a linear model on words and numbers, and a forest on numbers.

What is learned is log1p(count) less the level (shoal.mine.posts.design.author_level), so that the model outlives a change of level
and holds for authors of any size. docs/adr/0100.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.ml.functions import vector_to_array
from pyspark.ml.regression import LinearRegressionModel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.errors import InputError
from shoal.mine.posts.design import FEATURES, NUMBERS, Design, author_level, fit_design, numbers, with_terms, with_vectors
from shoal.mine.posts.features import with_author_history, with_post_features
from shoal.mine.probability.forests import Growth, forest_column, grow_from
from shoal.mine.probability.linear_models import fit_ridge
from shoal.mine.probability.plain_forest import Forest
from shoal.spark.checkpoints import cut_lineage

MIN_POSTS = 30
# Ridge's penalty: 1 to 10 are within .01 in MAE on two accounts of Twitter.
PENALTY = 3.0
TREES, DEPTH, MIN_LEAF = 60, 8, 5
# The last tenth of an author's posts reports, the tenth before it chooses, the first eight teach what is chosen from.
CHOOSE_FROM, REPORT_FROM = 0.8, 0.9
FEW_POSTS = 10
# Posts a task: a round over fewer is all overhead.
TASK_POSTS = 20_000
SHARES, EVEN_MIX = (0.0, 0.25, 0.5, 0.75, 1.0), 0.5


@dataclass(frozen=True)
class LevelModel:
    """A fitted model of one count; `linear_share` is the weight of the linear model beside the forest."""

    count: str
    prior: float
    design: Design
    linear: LinearRegressionModel
    forest: Forest
    linear_share: float


def tasks_for(posts: int) -> int:
    """How many tasks a pass of a solver over so many posts has."""
    return 1 + posts // TASK_POSTS


def prepare_posts(posts: DataFrame, counts: tuple[str, ...]) -> DataFrame:
    """The posts with all that models read: features, the author's past by `counts`, and terms. One shuffle."""
    return with_terms(with_author_history(with_post_features(posts), counts))


def with_part(posts: DataFrame) -> DataFrame:
    """The posts with `part`: "early", "middle" or "late", by time.

    The first CHOOSE_FROM of an author's posts are early, those from REPORT_FROM on late; authors of fewer than FEW_POSTS posts are
    divided at the moments at which all posts together are. Two shuffles, one of them of one row a partition.
    """
    author = Window.partitionBy("author_id")
    place = (F.row_number().over(author.orderBy("created_at", "position")) - 1) / F.count("*").over(author)
    edges = posts.agg(
        F.percentile_approx("created_at", F.array(F.lit(CHOOSE_FROM), F.lit(REPORT_FROM)), F.lit(10_000)).alias("_edges")
    )
    few = F.count("*").over(author) < FEW_POSTS
    framed = posts.withColumns({"_place": place, "_few": few}).crossJoin(F.broadcast(edges))
    by_time = F.when(F.col("created_at") <= F.col("_edges")[0], "early").when(F.col("created_at") <= F.col("_edges")[1], "middle")
    by_place = F.when(F.col("_place") < CHOOSE_FROM, "early").when(F.col("_place") < REPORT_FROM, "middle")
    part = F.when(F.col("_few"), F.coalesce(by_time, F.lit("late"))).otherwise(F.coalesce(by_place, F.lit("late")))
    return framed.withColumn("part", part).drop("_place", "_few", "_edges")


@dataclass(frozen=True)
class PreparedPosts:
    """Posts with features, their authors' past and `part` (materialised), how many, and of each count a model of the early part and
    one of all. What the tasks on the same posts share."""

    rows: DataFrame
    posts: int
    early: dict[str, LevelModel]
    final: dict[str, LevelModel]


@dataclass(frozen=True)
class TrainingPosts:
    """Posts with features, their authors' past and `part` (materialised), how many, and the counts that models are made of."""

    rows: DataFrame
    posts: int
    counts: tuple[str, ...]


@dataclass(frozen=True)
class Tuning:
    """What a search may choose. penalty: ridge's; logistic_penalty: of the classifier of viral posts, over the number of posts;
    kind, trees, depth, leaf, rate: how trees are grown (shoal.mine.probability.forests.Growth); that classifier is not boosted."""

    penalty: float = PENALTY
    logistic_penalty: float = 1.0
    kind: str = "forest"
    trees: int = field(default_factory=lambda: TREES)
    depth: int = DEPTH
    leaf: int = MIN_LEAF
    rate: float = 0.1


def prepare_training(posts: DataFrame, counts: tuple[str, ...], seed: int) -> PreparedPosts:
    """What models learn from: `training_posts`, and level models of their counts.

    Raises InputError where no post has likes and a time, or too few have. About 30 passes over cached posts a count.
    """
    return with_level_models(training_posts(posts, counts), seed, Tuning())


def training_posts(posts: DataFrame, counts: tuple[str, ...]) -> TrainingPosts:
    """Posts (POSTS of shoal.mine.posts.features) with a time, with all that models read, and those of `counts` that at least half
    as many posts have as have likes. Raises InputError where no post has likes and a time."""
    timed = posts.where(F.col("created_at").isNotNull())
    seen = timed.agg(F.count("*").alias("posts"), *[F.count(count).alias(count) for count in counts]).collect()[0]
    if not seen["likes"]:
        raise InputError("no post has both likes and a time; expected columns created_at and likes with values")
    known = tuple(count for count in counts if seen[count] * 2 >= seen["likes"])
    # A checkpoint cuts the plan, which every fit would analyse again.
    rows = with_part(prepare_posts(timed, counts)).coalesce(tasks_for(seen["posts"])).transform(cut_lineage)
    return TrainingPosts(rows, seen["posts"], known)


def with_level_models(training: TrainingPosts, seed: int, tuning: Tuning) -> PreparedPosts:
    """The level models of the early posts and of all, for each count. Raises InputError for too few posts."""
    rows, known = training.rows, training.counts
    first = rows.where("part = 'early'")
    early = {count: fit_level_model(first, count, seed, tuning) for count in known}
    final = {count: fit_level_model(rows, count, seed, tuning) for count in known}
    return PreparedPosts(rows, training.posts, early, final)


def fit_level_model(posts: DataFrame, count: str, seed: int, tuning: Tuning) -> LevelModel:
    """A model of prepared posts whose count and time are known.

    Raises InputError for fewer than MIN_POSTS. About 15 passes over `posts`, which the caller caches; collects what `fit_design`
    and `fit_ridge` do.
    """
    truth = F.log1p(F.col(count).cast("double"))
    known = posts.where(F.col(count).isNotNull() & F.col("created_at").isNotNull())
    seen = known.agg(F.count("*").alias("posts"), F.avg(truth).alias("mean")).collect()[0]
    if seen["posts"] < MIN_POSTS:
        raise InputError(f"{seen['posts']} posts with {count} and a time to learn from; expected at least {MIN_POSTS}")
    prior = float(seen["mean"])
    level = author_level(count, prior)
    columns = numbers(count, level)
    design = fit_design(known, columns, level)
    rows = with_vectors(known, design, columns, level).select(FEATURES, NUMBERS, (truth - level).alias("label"))
    # A checkpoint cuts the plan too: each round of a solver would analyse all of it again.
    rows = rows.coalesce(tasks_for(seen["posts"])).transform(cut_lineage)
    linear = fit_ridge(rows, FEATURES, "label", tuning.penalty / seen["posts"], seen["posts"])
    growth = Growth(tuning.trees, tuning.depth, tuning.leaf, seed, tuning.kind, tuning.rate)
    forest = grow_from(rows, NUMBERS, "label", growth, seen["posts"], is_class=False)
    return LevelModel(count, prior, design, linear, forest, EVEN_MIX)


def with_expected(posts: DataFrame, model: LevelModel) -> DataFrame:
    """Prepared posts with `expected` (log1p of the count), `expected_linear`, `expected_forest`, `level` and the two vectors.
    Lazy."""
    level = author_level(model.count, model.prior)
    framed = with_vectors(posts, model.design, numbers(model.count, level), level).withColumn("level", level)
    framed = model.linear.setPredictionCol("_linear").transform(framed)
    framed = framed.withColumn("_forest", forest_column(model.forest, vector_to_array(F.col(NUMBERS))))
    share = model.linear_share
    return framed.withColumns(
        {
            "expected_linear": F.col("level") + F.col("_linear"),
            "expected_forest": F.col("level") + F.col("_forest"),
            "expected": F.col("level") + share * F.col("_linear") + (1.0 - share) * F.col("_forest"),
        }
    ).drop("_linear", "_forest")


def choose_linear_share(expected: DataFrame, count: str) -> float:
    """The share of the linear model with the least mean absolute error of log1p(count) on rows that neither model has seen; ties go
    to the even mix, then to the smaller one. One pass; 0.5 where there is no row."""
    truth = F.log1p(F.col(count).cast("double"))
    errors = [
        F.avg(F.abs(truth - (share * F.col("expected_linear") + (1.0 - share) * F.col("expected_forest")))).alias(str(share))
        for share in SHARES
    ]
    found = expected.agg(*errors).collect()[0]
    return min(SHARES, key=lambda share: (round(found[str(share)] or 0.0, 6), abs(share - EVEN_MIX), share))


def recent_mean(count: str, prior: float) -> Column:
    """The mean of log1p over the author's last five posts, `prior` where there is none: what a prediction has to beat."""
    return F.coalesce(F.col(f"{count}_mean_5"), F.lit(prior))
