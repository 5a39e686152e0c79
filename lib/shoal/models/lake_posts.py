"""The registered models of a lake's posts and people: `shoal_viral`, `shoal_engagement`, `shoal_influencers`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles
from shoal.conf.sections import PostsConf
from shoal.errors import InputError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.mine.people.authors import INFLUENCER_FEATURES
from shoal.mine.people.influencers import probabilities, train_influencers
from shoal.mine.posts.engagement import EngagementTraining, engagement_from
from shoal.mine.posts.explanations import LEVEL_NAME, readable, word_name
from shoal.mine.posts.from_tables import COUNTED, posts_of
from shoal.mine.posts.levels import LevelModel, PreparedPosts, prepare_training, with_expected
from shoal.mine.posts.viral import MAX_STACKED, ViralTraining, predict_viral, viral_from
from shoal.mine.probability.forests import impurity_importances
from shoal.mine.probability.paired import is_smaller, log_losses
from shoal.mine.probability.trees import permutation_importances
from shoal.models.influencers import INFLUENCERS, load_influencers, save_influencers
from shoal.models.post_tables import read_post_tables
from shoal.models.posts import ENGAGEMENT, VIRAL, load_engagement, load_viral, save_engagement, save_viral
from shoal.models.registry import Model, register

LOG = logging.getLogger(__name__)
# Words whose weights are written; all numbers are.
MOST_WORDS = 30
TRAINED_BEFORE = "trained_before"
INPUTS = {"author_id": "string", "created_at": "datetime", "text": "string", "likes": "long", "comments": "long"}


@dataclass(frozen=True)
class Registered:
    """A trained model in the registry; rows of ops.model_metrics (see shoal.models.metrics_table) and of gold.feature_importances
    (task, model_version, kind, feature, importance). `losses`: of influencers, the losses of this model and of another one on the
    accounts that teach neither; None where they do not read the same columns."""

    task: str
    model: Model
    metrics: list[tuple[Any, ...]] = field(default_factory=list)
    importances: list[tuple[str, str, str, str, float]] = field(default_factory=list)
    losses: Callable[[Model], tuple[Doubles, Doubles] | None] | None = None


def model_name(task: str) -> str:
    """The name of a task's model in the registry."""
    return f"shoal_{task}"


def prepared_posts(lake: Lake, conf: PostsConf, as_of: date) -> PreparedPosts:
    """The mature posts with what all models of them share. Raises InputError, SkippedError for too few."""
    return prepare_training(mature_posts(lake, conf, as_of), COUNTED, conf.seed)


def mature_posts(lake: Lake, conf: PostsConf, as_of: date) -> DataFrame:
    """The posts known by as_of that were `posts.mature_days` old by its end (shoal.mine.posts.from_tables.posts_of)."""
    posts = posts_of(read_post_tables(lake), end_of(as_of))
    return posts.where(F.col("created_at") < F.lit(end_of(as_of) - timedelta(days=conf.mature_days)))


def register_viral(lake: Lake, prepared: PreparedPosts, conf: PostsConf, as_of: date, promotes: bool = True) -> Registered:
    """Train on the prepared posts and register. Champion where its log loss on posts that neither model has learned from is smaller
    by a paired test. Raises InputError for posts that nothing can be learned from."""
    training = viral_from(prepared, conf.seed)
    metrics = {name: value for name, value in training.metrics.items() if value is not None}

    def save(folder: Path) -> None:
        save_viral(training, folder, with_past=False)

    def beats(rival: Model) -> bool:
        theirs, _, _ = load_viral(lake.spark, rival.folder)
        since, late = _since(rival), training.draft.late
        rows = _late(prepared, since)
        found: Any = predict_viral(rows, theirs).select("position", "probability").limit(MAX_STACKED).toPandas()
        known = dict(zip(found["position"], found["probability"], strict=True))
        both = np.array([p in known and c >= since for p, c in zip(late["position"], late["created"], strict=True)], np.bool_)
        other = np.array([known[p] for p in late["position"][both]], np.float64)
        label = late["is_viral"][both]
        return is_smaller(log_losses(label, late["probability"][both]), log_losses(label, other), conf.max_p_value)

    outputs = {"probability": "double", "probability_for_author": "double"}
    params = {"threshold_likes": training.model.threshold, TRAINED_BEFORE: _end(prepared)}
    model = _register(lake, VIRAL, "roc_auc", metrics, params, outputs, save, beats, as_of, promotes=promotes)
    return Registered(VIRAL, model, _viral_metrics(training, model), _viral_importances(training, model, conf.seed))


def _viral_metrics(training: ViralTraining, model: Model) -> list[tuple[Any, ...]]:
    found, units = training.metrics, int(training.metrics["posts"] or 0)
    rows = [(VIRAL, VIRAL, model.version, "all", name, found[name], units, model.is_champion)
            for name in ("roc_auc", "average_precision", "brier")]  # fmt: skip
    base = [("mean_of_last_20", name, found[f"{name}_mean_of_last_20"]) for name in ("roc_auc", "average_precision")]
    base.append(("constant", "brier", found["brier_constant"]))
    return rows + [(VIRAL, name, "baseline", "all", metric, value, units, False) for name, metric, value in base]


def _viral_importances(training: ViralTraining, model: Model, seed: int) -> list[tuple[str, str, str, str, float]]:
    names = [*map(readable, training.model.level.design.scales), LEVEL_NAME]
    late = training.draft.late
    lost: dict[str, float] = {}
    if len(late["position"]):
        found = permutation_importances(training.draft.forest, late["inputs"], late["is_viral"], seed)
        for name, value in zip(names, found, strict=True):
            lost[name] = lost.get(name, 0.0) + float(value)
    weights = training.model.logistic.coefficients.toArray()
    return _importance_rows(VIRAL, model, lost, _weights(training.model.level, weights))


def register_engagement(lake: Lake, prepared: PreparedPosts, conf: PostsConf, as_of: date, promotes: bool = True) -> Registered:
    """Train on the prepared posts and register. Champion where the absolute error of its expected likes (log1p) on posts that
    neither model has learned from is smaller by a paired test."""
    training = engagement_from(prepared, conf.interval_coverage)
    counts = training.models
    metrics = {f"{count}.{name}": float(value) for count in counts for name, value in training.metrics[count].items()}

    def save(folder: Path) -> None:
        expected = [f"expected_{count}" for count in counts]
        known = training.past.where(" or ".join(f"{name} is not null" for name in expected)).select("position", *expected)
        save_engagement(training, folder, known.coalesce(1))

    def beats(rival: Model) -> bool:
        theirs, _, _ = load_engagement(lake.spark, rival.folder)
        rows = with_expected(_late(prepared, _since(rival)), theirs["likes"].level)
        truth = F.log1p(F.col("likes").cast("double")).alias("truth")
        ours = training.past.select("position", F.col("expected_likes").alias("ours"))
        both = rows.select("position", truth, "expected").join(ours, "position").limit(MAX_STACKED)
        found: Any = both.toPandas()
        losses = [np.abs(found["truth"].to_numpy() - found[name].to_numpy()) for name in ("ours", "expected")]
        return is_smaller(losses[0], losses[1], conf.max_p_value)

    outputs = {f"{part}": "double" for part in ("predicted_likes", "likes_low", "likes_high", "confidence")}
    model = _register(
        lake, ENGAGEMENT, "likes.mae_log", metrics, {TRAINED_BEFORE: _end(prepared)}, outputs, save, beats, as_of, False, promotes
    )
    return Registered(ENGAGEMENT, model, _engagement_metrics(training, model), _engagement_importances(training, model))


def _engagement_metrics(training: EngagementTraining, model: Model) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for count, found in training.metrics.items():
        part, units = "all" if count == "likes" else count, int(found["posts"])
        ours = (("mae_log", found["mae_log"]), ("interval_coverage", found["coverage"]))
        rows += [(ENGAGEMENT, ENGAGEMENT, model.version, part, name, value, units, model.is_champion) for name, value in ours]
        rows += [
            (ENGAGEMENT, f"mean_of_last_{span}", "baseline", part, "mae_log", found[f"mae_log_mean_of_last_{span}"], units, False)
            for span in (5, 20)
        ]
    return rows


def _engagement_importances(training: EngagementTraining, model: Model) -> list[tuple[str, str, str, str, float]]:
    level = training.models["likes"].level
    gained: dict[str, float] = {}
    for name, value in zip(level.design.scales, impurity_importances(level.forest, len(level.design.scales)), strict=True):
        gained[readable(name)] = gained.get(readable(name), 0.0) + float(value)
    rows = _importance_rows(ENGAGEMENT, model, {}, _weights(level, level.linear.coefficients.toArray()))
    return rows + [(ENGAGEMENT, model.label, "impurity", name, value) for name, value in gained.items()]


def register_influencers(lake: Lake, authors: DataFrame, conf: PostsConf, as_of: date, promotes: bool = True) -> Registered:
    """Train on features.authors (the accounts whose followers are known) and register; a fifth of the accounts, the same in every
    training, teaches no model. Champion where its log loss on them is smaller by a paired test."""
    rows = authors.select(
        F.xxhash64("author_id").alias("position"), F.col("followers"), *[F.col(n).cast("double") for n in INFLUENCER_FEATURES]
    )
    known = [n for n, some in rows.agg(*[F.count(n).alias(n) for n in INFLUENCER_FEATURES]).collect()[0].asDict().items() if some]
    names = {name: name for name in known}
    training = train_influencers(rows, names, conf.seed, learns_all=False)
    metrics = {n: v for n, v in training.metrics.items() if v is not None and not isinstance(v, str)}

    def save(folder: Path) -> None:
        save_influencers(training, names, folder)

    def of_rival(rival: Model) -> Doubles | None:
        theirs, columns, _ = load_influencers(lake.spark, rival.folder)
        if list(columns.values()) != list(training.model.medians):
            return None
        return log_losses(training.draft.label, probabilities(training.draft.inputs, theirs.forest, theirs.calibration))

    def losses(rival: Model) -> tuple[Doubles, Doubles] | None:
        theirs = of_rival(rival)
        if theirs is None:
            return None
        # These accounts have taught the model that is registered nothing either.
        given = probabilities(training.draft.inputs, training.model.forest, training.model.calibration)
        return log_losses(training.draft.label, given), theirs

    def beats(rival: Model) -> bool:
        theirs = of_rival(rival)
        if theirs is None:
            LOG.warning("%s reads other columns; the new model serves", rival.label)
            return True
        return is_smaller(log_losses(training.draft.label, training.draft.probability), theirs, conf.max_p_value)

    params = {"threshold_followers": training.model.threshold, "columns": ", ".join(training.model.medians)}
    model = _register(
        lake, INFLUENCERS, "roc_auc", metrics, params, {"probability": "double"}, save, beats, as_of, promotes=promotes
    )
    found, units = training.metrics, int(training.metrics["accounts"] or 0)
    said = [(INFLUENCERS, INFLUENCERS, model.version, "all", name, found[name], units, model.is_champion)
            for name in ("roc_auc", "average_precision", "brier")]  # fmt: skip
    said += [(INFLUENCERS, "best_column", "baseline", "all", "roc_auc", found["roc_auc_best_column"], units, False),
             (INFLUENCERS, "constant", "baseline", "all", "brier", found["brier_constant"], units, False)]  # fmt: skip
    lost = permutation_importances(training.draft.forest, training.draft.inputs, training.draft.label, conf.seed)
    named = {name.replace("_", " "): float(value) for name, value in zip(training.model.medians, lost, strict=True)}
    gained = [
        (INFLUENCERS, model.label, "impurity", n.replace("_", " "), float(v)) for n, v in training.importances.items()
    ]  # fmt: skip
    return Registered(INFLUENCERS, model, said, _importance_rows(INFLUENCERS, model, named, {}) + gained, losses)


def _register(
    lake: Lake, task: str, metric: str, metrics: Mapping[str, float], params: Mapping[str, object], outputs: Mapping[str, str],
    save: Callable[[Path], None], beats: Callable[[Model], bool], as_of: date, higher_is_better: bool = True, promotes: bool = True,
) -> Model:  # fmt: skip
    """Save to a temporary folder and register; a champion that cannot be read is replaced."""

    def wins(rival: Model) -> bool:
        try:
            return beats(rival)
        except InputError as error:
            LOG.warning("%s cannot be compared; the new model serves: %s", rival.label, error)
            return True

    with tempfile.TemporaryDirectory(prefix=f"shoal-{task}-") as folder:
        save(Path(folder) / "model")
        inputs = INPUTS if task != INFLUENCERS else dict.fromkeys(INFLUENCER_FEATURES, "double")
        return register(
            lake, model_name(task), Path(folder) / "model", metric=metric, metrics=metrics, params={**params, "as_of": as_of},
            inputs=inputs, outputs=outputs, beats=wins, higher_is_better=higher_is_better, promotes=promotes,
        )  # fmt: skip


def _end(prepared: PreparedPosts) -> int:
    """When the last post that teaches appeared, in microseconds."""
    return int(prepared.rows.agg(F.max(F.unix_micros("created_at"))).collect()[0][0]) + 1


def _since(rival: Model) -> int:
    """From when on posts are unknown to a model."""
    return int(rival.params.get(TRAINED_BEFORE, "0"))


def _late(prepared: PreparedPosts, since: int) -> DataFrame:
    """The posts of the last part that appeared at `since` or later and whose likes are known."""
    return prepared.rows.where((F.col("part") == "late") & F.col("likes").isNotNull() & (F.unix_micros("created_at") >= since))


def _weights(level: LevelModel, weights: np.ndarray) -> dict[str, float]:
    """What a deviation of a number, and the presence of a word, adds: of the numbers, and the MOST_WORDS words that add or take
    most."""
    known = len(level.design.vocabulary)
    words: dict[str, float] = {}
    for place in np.argsort(-np.abs(weights[:known]), kind="stable"):
        name = word_name(level.design.vocabulary[place])
        if name.startswith("word: ") and len(words) < MOST_WORDS:
            words[name] = float(weights[place])
    # The logistic regression has one weight more, of the scaled level.
    numbers = zip([n.replace("_", " ") for n in level.design.scales], weights[known:], strict=False)
    return words | {name: float(weight) for name, weight in numbers}


def _importance_rows(
    task: str, model: Model, lost: Mapping[str, float], weights: Mapping[str, float]
) -> list[tuple[str, str, str, str, float]]:
    kinds = (("permutation", lost), ("coefficient", weights))
    return [(task, model.label, kind, name, value) for kind, found in kinds for name, value in found.items()]
