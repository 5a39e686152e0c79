"""What the champions say of a lake's young posts and of its accounts, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import PostsConf
from shoal.lake.lake import Lake
from shoal.mine.people.influencers import explain_influencers, score_influencers
from shoal.mine.posts.engagement import COUNTS, predict_engagement
from shoal.mine.posts.explanations import expected_sum, explain_posts, viral_sum
from shoal.mine.posts.features import POSTS
from shoal.mine.posts.levels import prepare_posts, with_expected
from shoal.mine.posts.viral import predict_viral
from shoal.models.influencers import INFLUENCERS, load_influencers
from shoal.models.lake_posts import model_name
from shoal.models.posts import ENGAGEMENT, VIRAL, load_engagement, load_viral
from shoal.models.registry import champion
from shoal.spark.checkpoints import cut_lineage


@dataclass(frozen=True)
class YoungPosts:
    """`names`: position (from 0 on), item_id, author_id, created_at of each young post. `prepared`: these with all that models
    read, their counts hidden, and mature posts as their past at positions below 0, which `key` tells apart as training saw them."""

    names: DataFrame
    prepared: DataFrame


@dataclass(frozen=True)
class Scores:
    """Rows of the table of scores and of gold.explanations, but for as_of and run_id, and the model's version."""

    scores: DataFrame
    explanations: DataFrame
    version: str


def young_posts(posts: DataFrame, is_young: Column) -> YoungPosts:
    """The posts (shoal.mine.posts.from_tables.posts_of) divided. The past is that of the young posts' authors, whose likes or
    comments are known. One shuffle by author, materialised."""
    place = F.shiftrightunsigned("position", 1)
    young = posts.where(is_young).withColumn("key", F.col("position"))
    authors = young.select("author_id").distinct()
    past = posts.where(~is_young).withColumn("key", F.col("position")).join(authors, "author_id", "left_semi")
    hidden = {name: F.lit(None).cast("bigint") for name in COUNTS}
    scored = young.withColumns({"position": place, **hidden})
    # Words of the past are in no feature of what comes.
    before = past.withColumns({"position": -1 - place, "text": F.lit(None).cast("string")})
    columns = [*POSTS, "key"]
    prepared = prepare_posts(scored.select(*columns).unionByName(before.select(*columns)), COUNTS).transform(cut_lineage)
    return YoungPosts(scored.select("position", "item_id", "author_id", "created_at"), prepared)


def read_viral(lake: Lake, young: YoungPosts, conf: PostsConf) -> Scores | None:
    """gold.viral_posts by the champion; None without one."""
    found = champion(lake, model_name(VIRAL))
    if found is None:
        return None
    model, _, _ = load_viral(lake.spark, found.folder)
    rows = young.prepared.where("position >= 0")
    scores = young.names.join(predict_viral(rows, model), "position").drop("position")
    scores = scores.withColumns({"threshold_likes": F.lit(model.threshold), "model_version": F.lit(found.label)})
    score = viral_sum(model)
    explained = explain_posts(rows, model.level, score, conf.explained_features)
    return Scores(scores, _of_posts(explained, young, VIRAL, found.label), found.label)


def read_engagement(lake: Lake, young: YoungPosts, conf: PostsConf) -> Scores | None:
    """gold.engagement_predictions by the champion, explained by expected likes; None without one."""
    found = champion(lake, model_name(ENGAGEMENT))
    if found is None:
        return None
    models, past, _ = load_engagement(lake.spark, found.folder)
    known = young.prepared.join(past.withColumnRenamed("position", "key"), "key", "left").transform(cut_lineage)
    predicted = predict_engagement(known, models, conf.interval_coverage).transform(cut_lineage)
    scores = young.names.join(predicted, "position").drop("position")
    scores = scores.withColumns({"interval_coverage": F.lit(conf.interval_coverage), "model_version": F.lit(found.label)})
    level = models["likes"].level
    rows = known.where("position >= 0").join(predicted.select("position", "predicted_likes"), "position")
    rows = with_expected(rows, level).withColumn("corrected", F.log1p("predicted_likes") - F.col("expected"))
    # Made anew by the explanation, of the same columns.
    rows = rows.select(*known.columns, "corrected")
    score = expected_sum(level)
    explained = explain_posts(rows, level, score, conf.explained_features, "corrected")
    return Scores(scores, _of_posts(explained, young, ENGAGEMENT, found.label), found.label)


def _of_posts(explained: DataFrame, young: YoungPosts, task: str, version: str) -> DataFrame:
    named = explained.join(young.names.select("position", F.col("item_id").alias("entity_id"), "author_id"), "position")
    return named.drop("position").withColumns({"task": F.lit(task), "model_version": F.lit(version)})


def score_influencer_accounts(lake: Lake, authors: DataFrame, conf: PostsConf) -> Scores | None:
    """`user_id`, `probability`, `model_version` by the champion; None without one."""
    found = champion(lake, model_name(INFLUENCERS))
    if found is None:
        return None
    # The loaded model calls its columns feature_0 ...
    model, columns, _ = load_influencers(lake.spark, found.folder)
    inputs = [F.col(column).cast("double").alias(name) for name, column in columns.items()]
    rows = authors.select("author_id", F.xxhash64("author_id").alias("position"), *inputs)
    scores = rows.select("position", "author_id").join(score_influencers(rows, model), "position")
    scores = scores.select(F.col("author_id").alias("user_id"), "probability", F.lit(found.label).alias("model_version"))
    explained = explain_influencers(rows, model, conf.explained_features, columns)
    named = explained.join(rows.select("position", F.col("author_id").alias("entity_id"), "author_id"), "position")
    marks = {"task": F.lit(INFLUENCERS), "model_version": F.lit(found.label)}
    return Scores(scores, named.drop("position").withColumns(marks), found.label)
