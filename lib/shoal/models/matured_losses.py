"""The loss of what models said, on cases whose truth has become known since: concept drift, which inputs alone do not show.

Each function of losses gives one row per case and model version: model_version, cluster (whose case it is: cases of one person
resemble each other), loss. Smaller is better. Frames in, a lazy frame out."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.mine.people.influencers import TOP_SHARE

# A probability of what happened is cut here, as in shoal.mine.probability.paired.log_losses.
FLOOR = 1e-6
# Of a sum of squares: less than this share of it is rounding.
ROUNDING = 1e-12


def text_losses(scores: DataFrame, labelled: DataFrame) -> DataFrame:
    """Log loss of the labels (`labelled`: text_id, author_id, label) by `scores` (gold.sentiments); what the lexicon said has no
    probabilities and no row. A label that the model does not know has the probability FLOOR. Cluster: the author, else the text.
    One shuffle by text."""
    given = F.greatest(F.coalesce(F.col("probabilities")[F.col("truth")], F.lit(0.0)), F.lit(FLOOR))
    known = labelled.select("text_id", F.coalesce("author_id", "text_id").alias("cluster"), F.col("label").alias("truth"))
    both = scores.where(F.col("probabilities").isNotNull()).join(known, "text_id")
    return both.select("model_version", "cluster", (-F.log(given)).alias("loss"))


def emotion_losses(scores: DataFrame, labelled: DataFrame) -> DataFrame:
    """Log loss of the emotions (`labelled`: text_id, author_id, emotion_label) by `scores` (gold.sentiments), as `text_losses`, by
    version of the champion of emotions. A text with rows of several models of sentiment counts once a version, its current row
    first; rows of before emotion_probabilities are not measured. Two shuffles by text."""
    newest = F.max_by("emotion_probabilities", F.struct("is_current", "as_of")).alias("probabilities")
    known = scores.where(F.col("emotion_probabilities").isNotNull()).groupBy("text_id", "emotion_model_version").agg(newest)
    named = known.withColumnRenamed("emotion_model_version", "model_version")
    return text_losses(named, labelled.select("text_id", "author_id", F.col("emotion_label").alias("label")))


def viral_losses(scores: DataFrame, posts: DataFrame) -> DataFrame:
    """Log loss of "at least threshold_likes" by the first score (gold.viral_posts) of each of `posts` (item_id, author_id, likes)
    and version. Cluster: the author. Two shuffles by post."""
    first = _first(scores, ["probability", "threshold_likes"]).join(_liked(posts), "item_id")
    happened = F.when(F.col("likes") >= F.col("threshold_likes"), F.col("probability")).otherwise(1 - F.col("probability"))
    return first.select("model_version", "cluster", (-F.log(F.greatest(happened, F.lit(FLOOR)))).alias("loss"))


def engagement_losses(scores: DataFrame, posts: DataFrame) -> DataFrame:
    """Absolute error of log1p(likes) by the first prediction (gold.engagement_predictions) of each of `posts` (item_id,
    author_id, likes) and version. Cluster: the author."""
    first = _first(scores, ["predicted_likes"]).join(_liked(posts), "item_id")
    off = F.log1p("predicted_likes") - F.log1p(F.col("likes").cast("double"))
    return first.select("model_version", "cluster", F.abs(off).alias("loss"))


def decision_losses(judgements: DataFrame, decisions: DataFrame) -> DataFrame:
    """Log loss of "removed" by the judgements (gold.moderation) that came before a decision (item_id, owner_id, decided_at,
    verdict; one an item): an item's probability of removal is that of its likeliest category. Cluster: the owner, else the item.
    One shuffle by item.

    Moderators decide mostly about what was reported or flagged: it is the loss on these items, not on all."""
    worst = judgements.groupBy("item_id", "model_version").agg(F.max("probability").alias("p"), F.max("as_of").alias("_day"))
    owned = F.coalesce("owner_id", "item_id").alias("cluster")
    both = worst.join(decisions.select("item_id", owned, "decided_at", "verdict"), "item_id")
    happened = F.when(F.col("verdict") == "removed", F.col("p")).otherwise(1 - F.col("p"))
    earlier = both.where(F.to_date("decided_at") > F.col("_day"))
    return earlier.select("model_version", "cluster", (-F.log(F.greatest(happened, F.lit(FLOOR)))).alias("loss"))


def influencer_losses(before: DataFrame, now: DataFrame) -> DataFrame:
    """Log loss of "among the top quarter by followers" on the accounts whose followers were not known when `before` was written and
    are in `now` (gold.influencers of two days); the quarter is that of all accounts that `now` knows. Cluster: the account. One
    shuffle by account."""
    known = now.where("followers is not null")
    edge = known.agg(F.percentile_approx("followers", 1 - TOP_SHARE, 10_000).alias("_edge"))
    said = before.where("followers is null and probability is not null").select("user_id", "model_version", "probability")
    both = said.join(known.select("user_id", "followers"), "user_id").crossJoin(F.broadcast(edge))
    happened = F.when(F.col("followers") >= F.col("_edge"), F.col("probability")).otherwise(1 - F.col("probability"))
    loss = (-F.log(F.greatest(happened, F.lit(FLOOR)))).alias("loss")
    return both.select("model_version", F.col("user_id").alias("cluster"), loss)


def mean_losses(losses: DataFrame) -> DataFrame:
    """One row a model version: value (the mean over cases), units (cases), clusters, standard_error of the value with clusters as
    independent, and skewness of the clusters' parts of it. What a later window needs to be compared with this one; no case is kept.

    A cluster with n cases of the sum s adds e = s - n x value: standard_error is the root of clusters / (clusters - 1) x sum of
    e^2, over units (Cochran, Sampling Techniques, 1977, section 6.4); null of one cluster. skewness: that of e, 0 where all are 0.
    Two shuffles: by version and cluster, and a row a task and version.
    """
    s, n, m = F.col("_s"), F.col("_n"), F.col("value")
    cases = F.count("loss").cast("double").alias("_n")
    of_clusters = losses.groupBy("model_version", "cluster").agg(F.sum("loss").alias("_s"), cases)
    powers = {"s1": s, "n1": n, "s2": s * s, "sn": s * n, "n2": n * n,
              "s3": s * s * s, "s2n": s * s * n, "sn2": s * n * n, "n3": n * n * n}  # fmt: skip
    totals = of_clusters.groupBy("model_version").agg(
        F.count("*").alias("clusters"), *[F.sum(power).alias(f"_{name}") for name, power in powers.items()]
    )
    known = totals.where("_n1 > 0").withColumn("value", F.col("_s1") / F.col("_n1"))
    second = F.col("_s2") - 2 * m * F.col("_sn") + m * m * F.col("_n2")
    third = F.col("_s3") - 3 * m * F.col("_s2n") + 3 * m * m * F.col("_sn2") - m * m * m * F.col("_n3")
    # What rounding leaves of equal losses is no spread.
    known = known.withColumn("_e2", F.when(second > ROUNDING * F.col("_s2"), second).otherwise(0.0)).withColumn("_e3", third)
    groups, error = F.col("clusters"), F.sqrt(F.col("clusters") / (F.col("clusters") - 1) * F.col("_e2")) / F.col("_n1")
    return known.select(
        "model_version", "value", F.col("_n1").cast("bigint").alias("units"), "clusters",
        F.when(groups > 1, error).alias("standard_error"),
        F.when(F.col("_e2") > 0, F.col("_e3") / groups / F.pow(F.col("_e2") / groups, 1.5)).otherwise(0.0).alias("skewness"),
    )  # fmt: skip


def _liked(posts: DataFrame) -> DataFrame:
    return posts.select("item_id", F.col("author_id").alias("cluster"), "likes")


def _first(scores: DataFrame, columns: list[str]) -> DataFrame:
    """Each post's score of its first day by a version: what was said when least was known."""
    found = F.min_by(F.struct(*columns), "as_of").alias("first")
    return scores.groupBy("item_id", "model_version").agg(found).select("item_id", "model_version", "first.*")
