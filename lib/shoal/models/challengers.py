"""Challengers: of each task a model trained on what was known before the newest days, and both models' losses on these days.

The challenger is trained by the task's own training, which registers it without making it champion. Both score the window in the
shadow: nothing that people see changes. What is promoted is the very model that was compared (docs/adr/0152)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles
from shoal.conf.sections import PostsConf, TrainSentimentConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.mine.posts.from_tables import COUNTED
from shoal.mine.posts.levels import prepare_posts, with_expected
from shoal.mine.posts.viral import predict_viral
from shoal.mine.probability.paired import log_losses
from shoal.mine.text.classifier import Classifier, score_texts
from shoal.mine.text.saved import load_classifier
from shoal.models.comparison import Comparison, compare_losses, compare_replicates
from shoal.models.influencers import INFLUENCERS
from shoal.models.lake_posts import (
    Registered,
    mature_posts,
    model_name,
    prepared_posts,
    register_engagement,
    register_influencers,
    register_viral,
)
from shoal.models.posts import ENGAGEMENT, VIRAL, load_engagement, load_viral
from shoal.models.recommender import FOLDER
from shoal.models.recommender_training import RecommenderConf, kept_frames, train_recommender
from shoal.models.registry import Model
from shoal.models.text_classifiers import (
    EMOTION,
    LABELLED_IN,
    MODERATION,
    SENTIMENT,
    judged_texts,
    labelled_texts,
    learned,
    plan_of,
    register_classifier,
)
from shoal.recommend.candidates.artifact import load_recommender
from shoal.recommend.evaluation.training import TrainingData, compare_recommenders, prepare
from shoal.spark.checkpoints import cut_lineage

RECOMMENDER = "recommender"
# Cases that decide, drawn by a hash: a mean of so many is known to a third of a percent of its deviation.
MAX_CASES = 100_000


@dataclass(frozen=True)
class TaskConf:
    """The sections of settings that the trainings read, and the labels of moderation that mean that nothing is wrong."""

    recommender: RecommenderConf
    texts: TrainSentimentConf
    posts: PostsConf
    allowed_labels: Sequence[str]


@dataclass(frozen=True)
class EvaluationWindow:
    """The days after `cutoff` up to `end`: no model that was trained up to `cutoff` has seen them."""

    cutoff: date
    end: date

    @property
    def start(self) -> date:
        """The first day."""
        return self.cutoff + timedelta(days=1)


@dataclass(frozen=True)
class Task:
    """A kind of model. `source`: the table whose rows it learns from; `watched`: tables whose drift concerns it; `count`: the cases
    of a window, at most MAX_CASES; `compete`: train a challenger and compare it with the champion there."""

    name: str
    source: str
    watched: tuple[str, ...]
    count: Callable[[Lake, TaskConf, EvaluationWindow], int]
    compete: Callable[[Lake, TaskConf, Model, EvaluationWindow], tuple[Model, Comparison]]

    @property
    def model(self) -> str:
        """The name in the registry."""
        return model_name(self.name)


# -- recommender


def _split(lake: Lake, conf: TaskConf, window: EvaluationWindow, keep: Callable[[DataFrame], DataFrame]) -> TrainingData | None:
    events = lake.read("silver.interactions", before=window.end)
    data = prepare(events, conf.recommender.settings(), keep, moment=_micros(window.cutoff))
    if data is None:
        return None
    follows, profiles = (lake.read_if_exists(f"silver.{name}", before=window.end) for name in ("follows", "profiles"))
    return replace(data, follows=follows, profiles=profiles)


def _count_users(lake: Lake, conf: TaskConf, window: EvaluationWindow) -> int:
    """Users with an event in the window, who may still have met nothing new that they like."""
    events = lake.read("silver.interactions", before=window.end).where(F.unix_micros("occurred_at") > _micros(window.cutoff))
    return events.select("user_id").distinct().limit(MAX_CASES).count()


def _compete_recommenders(lake: Lake, conf: TaskConf, champion: Model, window: EvaluationWindow) -> tuple[Model, Comparison]:
    """NDCG of both, as they serve, over the users who met something that they like for the first time in the window."""
    settings = conf.recommender.settings()
    challenger = train_recommender(lake, conf.recommender, window.cutoff, promotes=False).model
    with kept_frames() as keep:
        data = _split(lake, conf, window, keep)
        if data is None:
            raise SkippedError(f"silver.interactions has no event up to {window.end}")
        new, old = (load_recommender(model.folder / FOLDER) for model in (challenger, champion))
        users, found = compare_recommenders(new, old, data, settings, keep)
    return challenger, compare_replicates(f"ndcg@{settings.k}", users, found, "old", "new")


# -- texts


def _known_texts(lake: Lake, conf: TaskConf, task: str, as_of: date, after: date | None = None) -> DataFrame:
    """The texts with a label of the task; with `after`, those of later days."""
    return judged_texts(lake, conf.allowed_labels, as_of, after) if task == MODERATION else labelled_texts(lake, task, as_of, after)


def _texts(task: str) -> Task:
    def count(lake: Lake, conf: TaskConf, window: EvaluationWindow) -> int:
        return _known_texts(lake, conf, task, window.end, window.cutoff).limit(MAX_CASES).count()

    def compete(lake: Lake, conf: TaskConf, champion: Model, window: EvaluationWindow) -> tuple[Model, Comparison]:
        """Log loss of the label of each text of the window."""
        plan, texts = plan_of(conf.texts), _known_texts(lake, conf, task, window.cutoff)
        training = learned(texts, plan, window.cutoff, LABELLED_IN[task])
        challenger = register_classifier(lake, task, texts, training, plan, {"as_of": window.cutoff}, promotes=False)
        late = _drawn(_known_texts(lake, conf, task, window.end, window.cutoff), "text").select("text", "label")
        old, new = (load_classifier(model.folder)[0] for model in (champion, challenger))
        scored = _label_probability(_label_probability(late, old, "old"), new, "new").select("old", "new")
        both: Any = scored.toPandas()
        happened = np.ones(len(both))
        losses = [log_losses(happened, both[name].to_numpy(np.float64)) for name in ("old", "new")]
        return challenger, compare_losses("log_loss", *losses)

    watched = ("silver.moderation",) if task == MODERATION else ("silver.texts", "gold.sentiments")
    return Task(task, LABELLED_IN[task], watched, count, compete)


def _label_probability(rows: DataFrame, classifier: Classifier, name: str) -> DataFrame:
    """The rows with the probability of their label; 0 for a label that the classifier does not know."""
    scored = score_texts(rows, F.col("text"), classifier)
    each = [F.when(F.col("label") == label, F.get("probabilities", F.lit(n))) for n, label in enumerate(classifier.labels)]
    given = F.coalesce(*each, F.lit(0.0))
    return scored.select(*rows.columns, given.alias(name))


# -- posts


def _window_posts(lake: Lake, conf: TaskConf, window: EvaluationWindow) -> DataFrame:
    """Posts that became mature in the window, their likes known."""
    first = end_of(window.cutoff) - timedelta(days=conf.posts.mature_days)
    posts = mature_posts(lake, conf.posts, window.end)
    return posts.where(F.col("likes").isNotNull() & (F.col("created_at") >= F.lit(first)))


def _count_posts(lake: Lake, conf: TaskConf, window: EvaluationWindow) -> int:
    return _window_posts(lake, conf, window).limit(MAX_CASES).count()


def _prepared_window(lake: Lake, conf: TaskConf, window: EvaluationWindow) -> DataFrame:
    """`_window_posts` as models read them, each with its author's past."""
    late = _drawn(_window_posts(lake, conf, window), "position").select("position")
    posts = mature_posts(lake, conf.posts, window.end)
    return prepare_posts(posts, COUNTED).join(late, "position", "left_semi").transform(cut_lineage)


def _compete_viral(lake: Lake, conf: TaskConf, champion: Model, window: EvaluationWindow) -> tuple[Model, Comparison]:
    """Log loss of "at least the challenger's threshold of likes", which is what viral means by the newer posts."""
    challenger = register_viral(
        lake, prepared_posts(lake, conf.posts, window.cutoff), conf.posts, window.cutoff, promotes=False
    ).model
    rows = _prepared_window(lake, conf, window)
    (old, _, _), (new, _, _) = (load_viral(lake.spark, model.folder) for model in (champion, challenger))
    given = [predict_viral(rows, model).select("position", F.col("probability").alias(name))
             for name, model in (("old", old), ("new", new))]  # fmt: skip
    label = rows.select("position", (F.col("likes") >= new.threshold).cast("double").alias("label"))
    both: Any = label.join(given[0], "position").join(given[1], "position").select("label", "old", "new").toPandas()
    losses = [log_losses(both["label"].to_numpy(), both[name].to_numpy()) for name in ("old", "new")]
    return challenger, compare_losses("log_loss", *losses)


def _compete_engagement(lake: Lake, conf: TaskConf, champion: Model, window: EvaluationWindow) -> tuple[Model, Comparison]:
    """Absolute error of log1p(likes)."""
    prepared = prepared_posts(lake, conf.posts, window.cutoff)
    challenger = register_engagement(lake, prepared, conf.posts, window.cutoff, promotes=False).model
    rows = _prepared_window(lake, conf, window)

    def errors(model: Model) -> DataFrame:
        level = load_engagement(lake.spark, model.folder)[0]["likes"].level
        truth = F.log1p(F.col("likes").cast("double"))
        return with_expected(rows, level).select("position", F.abs(truth - F.col("expected")).alias("error"))

    old, new = errors(champion), errors(challenger).withColumnRenamed("error", "new")
    both: Any = old.join(new, "position").select("error", "new").toPandas()
    return challenger, compare_losses("absolute_error", both["error"].to_numpy(), both["new"].to_numpy())


# -- influencers


def _newest_authors(lake: Lake, window: EvaluationWindow) -> DataFrame:
    """features.authors of the newest day up to the window's end."""
    authors = lake.read("features.authors").where(F.col("as_of") <= F.lit(window.end))
    newest = authors.agg(F.max("as_of")).collect()[0][0]
    return authors.where(F.col("as_of") == F.lit(newest))


def _count_accounts(lake: Lake, conf: TaskConf, window: EvaluationWindow) -> int:
    return _newest_authors(lake, window).where(F.col("followers").isNotNull()).limit(MAX_CASES).count()


def _compete_influencers(lake: Lake, conf: TaskConf, champion: Model, window: EvaluationWindow) -> tuple[Model, Comparison]:
    """Log loss over the fifth of the accounts that teaches neither model, as they are now."""
    found: Registered = register_influencers(lake, _newest_authors(lake, window), conf.posts, window.end, promotes=False)
    both = None if found.losses is None else found.losses(champion)
    if both is None:
        raise SkippedError(f"{champion.label} reads other columns than {found.model.label}: they cannot be compared")
    ours: Doubles = both[0]
    return found.model, compare_losses("log_loss", both[1], ours)


def _drawn(rows: DataFrame, by: str) -> DataFrame:
    """At most MAX_CASES rows, drawn by a hash."""
    return rows.orderBy(F.xxhash64(by), by).limit(MAX_CASES)


def _micros(cutoff: date) -> int:
    """The last microsecond of the day."""
    return int(end_of(cutoff).timestamp()) * 1_000_000 - 1


TASKS = (
    Task(RECOMMENDER, "silver.interactions", ("silver.interactions", "features.items"), _count_users, _compete_recommenders),
    _texts(SENTIMENT),
    _texts(EMOTION),
    _texts(MODERATION),
    Task(VIRAL, "silver.items", ("features.items",), _count_posts, _compete_viral),
    Task(ENGAGEMENT, "silver.items", ("features.items",), _count_posts, _compete_engagement),
    Task(INFLUENCERS, "silver.follows", ("features.users",), _count_accounts, _compete_influencers),
)
