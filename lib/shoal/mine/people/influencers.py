"""The chance of an account to be in the top quarter by followers, from its behaviour and network: followers, and all that is made
of them, are no feature."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.stats import rankdata

from shoal.arrays import Doubles
from shoal.errors import InputError
from shoal.mine.probability.explain import EXPLAINED, odds_contributions, ranked, stack_scales
from shoal.mine.probability.forests import Growth, forest_column, grow_from, impurity_importances
from shoal.mine.probability.linear_models import DRIVER_ROWS
from shoal.mine.probability.plain_forest import Forest
from shoal.mine.probability.quality import average_precision, brier, roc_auc
from shoal.mine.probability.search import search
from shoal.mine.probability.stack import Stack, fit_stack
from shoal.mine.probability.trees import contributions
from shoal.spark.checkpoints import cut_lineage

TOP_SHARE = 0.25
MIN_ACCOUNTS = 40
TREES, DEPTH, MIN_LEAF = 100, 8, 3
# Of ten accounts, by a hash of the position: two calibrate, two report, all of them teach in the end.
_TENTHS, _CALIBRATE, _REPORT = 10, 6, 8
# Rows that probabilities are calibrated and judged on, and that a column is compared with followers on.
MAX_JUDGED = 50_000
# A column whose order is that of followers to this degree (rank correlation) is made of them, whatever its name is.
SAME_ORDER = 0.95
# Names of what is made of followers: rates are per follower, ratios of followers to following.
_MADE_OF_FOLLOWERS = re.compile(
    r"follower|subscriber|fans?\b|fan_?count|eng(agement)?_?rate|er_?percent|follow\w*_?ratio|influence|reach|audience", re.I
)


@dataclass(frozen=True)
class InfluencerModel:
    """The forest, its features by name with the median that stands for a missing value, how votes become a probability, and the
    followers from which on an account counted."""

    forest: Forest
    medians: dict[str, float]
    calibration: Stack
    threshold: float


@dataclass(frozen=True)
class InfluencerDraft:
    """A forest, and the reporting accounts: a row of `inputs` an account, whether it is in the top quarter, the probability."""

    forest: Forest
    inputs: Doubles
    label: Doubles
    probability: Doubles


@dataclass(frozen=True)
class InfluencerTraining:
    """A model, its quality on accounts that it had not seen, the columns excluded with the reason, importances by feature
    (impurity), and what the draft that had not seen them says of them."""

    model: InfluencerModel
    metrics: dict[str, float | int | str | None]
    left_out: dict[str, str]
    importances: dict[str, float]
    draft: InfluencerDraft


def is_made_of_followers(name: str) -> bool:
    """Whether a column's name says that followers are in it.

    >>> [is_made_of_followers(name) for name in ("followers_log", "engagementRate", "posts", "mean_likes")]
    [True, True, False, False]
    """
    return bool(_MADE_OF_FOLLOWERS.search(name))


@dataclass(frozen=True)
class ForestTuning:
    """What a search may choose: how the forest is grown (shoal.mine.probability.forests.Growth)."""

    kind: str = "forest"
    trees: int = field(default_factory=lambda: TREES)
    depth: int = DEPTH
    leaf: int = MIN_LEAF


# The shipped settings first; then forests that see more, or less, in a few accounts.
CANDIDATES = (
    ForestTuning(), ForestTuning(kind="extra"), ForestTuning(depth=14, leaf=1), ForestTuning(depth=5, leaf=10),
    ForestTuning(trees=300), ForestTuning(kind="extra", depth=14, leaf=1), ForestTuning(kind="extra", trees=300, depth=14),
)  # fmt: skip
# Training the champion fits it on six tenths and on all.
REFITS = 2.5


@dataclass(frozen=True)
class TrainingAccounts:
    """Accounts (`features`, `label`, `tenth`; materialised), the followers from which on one counts, the features' medians, and the
    columns excluded with the reason."""

    rows: DataFrame
    threshold: float
    medians: dict[str, float]
    left_out: dict[str, str]
    accounts: int


def search_influencers(training: TrainingAccounts, seed: int, seconds: float) -> tuple[ForestTuning, dict[str, Any]]:
    """The settings of the highest ROC-AUC on the two tenths that calibrate, of forests of the first six, and what search.json says;
    the two that report are not looked at. Collects MAX_JUDGED numbers a candidate."""
    judged = training.rows.where((F.col("tenth") >= _CALIBRATE) & (F.col("tenth") < _REPORT))
    judged = judged.orderBy(F.xxhash64("features")).limit(MAX_JUDGED).transform(cut_lineage)

    def fit(tuning: ForestTuning) -> float:
        forest = _fit(training.rows.where(F.col("tenth") < _CALIBRATE), seed, tuning)
        found: Any = judged.select("label", _log_odds(forest).alias("odds")).toPandas()
        area = roc_auc(found["label"].to_numpy(np.float64), found["odds"].to_numpy(np.float64))
        if area is None:
            raise InputError("the accounts to judge candidates on are all of one class; expected more accounts")
        return area

    candidates = [one for one in CANDIDATES if training.accounts <= DRIVER_ROWS or one.kind == "forest"]
    found = search(candidates, fit, seconds, REFITS)
    return found.champion, found.facts("roc_auc", asdict)


def train_influencers(accounts: DataFrame, names: Mapping[str, str], seed: int, learns_all: bool = True) -> InfluencerTraining:
    """A model of accounts: see `training_accounts` and `influencers_from`."""
    return influencers_from(training_accounts(accounts, names, seed), names, seed, learns_all)


def training_accounts(accounts: DataFrame, names: Mapping[str, str], seed: int) -> TrainingAccounts:
    """What models learn from: `position` (bigint), `followers` (null where not known: teaches nothing) and double columns, which
    `names` maps to what people call them.

    Left out: columns whose name says followers, and those that order accounts as followers do. Raises InputError for fewer than
    MIN_ACCOUNTS, equal followers, or no column left. Collects MAX_JUDGED rows.
    """
    known = accounts.where(F.col("followers").isNotNull()).select("position", "followers", *names).transform(cut_lineage)
    seen = known.agg(
        F.count("*").alias("accounts"), F.percentile_approx("followers", 1 - TOP_SHARE, 10_000).alias("top"),
        F.min("followers").alias("least"), F.max("followers").alias("most"),
        *[F.percentile_approx(name, 0.5, 10_000).alias(name) for name in names],
    ).collect()[0]  # fmt: skip
    if seen["accounts"] < MIN_ACCOUNTS:
        raise InputError(f"{seen['accounts']} accounts with followers to learn from; expected at least {MIN_ACCOUNTS}")
    if seen["least"] == seen["most"]:
        raise InputError(f"all {seen['accounts']} accounts have {seen['most']} followers; expected accounts that differ")
    threshold = float(max(seen["top"], seen["least"] + 1))
    left_out = _left_out(known, names, seed)
    medians = {name: float(seen[name]) for name in names if name not in left_out and seen[name] is not None}
    if not medians:
        raise InputError("no column to learn from besides followers and what is made of them; expected posts, likes, following ...")
    tenth = F.pmod(F.xxhash64("position", F.lit(seed)), F.lit(_TENTHS))
    rows = known.select(
        _features(medians).alias("features"), (F.col("followers") >= threshold).cast("double").alias("label"), tenth.alias("tenth")
    ).transform(cut_lineage)
    return TrainingAccounts(rows, threshold, medians, left_out, seen["accounts"])


def influencers_from(
    training: TrainingAccounts, names: Mapping[str, str], seed: int, learns_all: bool = True, tuning: ForestTuning | None = None
) -> InfluencerTraining:
    """A model of the accounts: six tenths teach, two calibrate, two report; then all teach, or with learns_all=False all but the
    reporting ones, which are the same accounts in every training of a seed: later models can be compared on them. Collects
    MAX_JUDGED rows."""
    rows, medians, tuning = training.rows, training.medians, tuning or ForestTuning()
    draft_forest = _fit(rows.where(F.col("tenth") < _CALIBRATE), seed, tuning)
    judged = rows.where(F.col("tenth") >= _CALIBRATE).orderBy(F.xxhash64("features")).limit(MAX_JUDGED)
    columns = [_log_odds(draft_forest).alias("odds"), vector_to_array(F.col("features")).alias("f")]
    found: Any = judged.select("tenth", "label", *columns).toPandas()
    odds, label = found["odds"].to_numpy(np.float64)[:, None], found["label"].to_numpy(np.float64)
    late = found["tenth"].to_numpy() >= _REPORT
    given = fit_stack(odds[~late], label[~late]).probability(odds[late])
    inputs = np.array(found["f"].tolist(), np.float64)
    single, column = _best_single(inputs, label, late, [names[name] for name in medians])
    metrics: dict[str, float | int | str | None] = {
        "accounts": int(late.sum()), "roc_auc": roc_auc(label[late], given),
        "average_precision": average_precision(label[late], given),
        "brier": brier(label[late], given), "brier_constant": brier(label[late], np.full(int(late.sum()), TOP_SHARE)),
        "roc_auc_best_column": single, "best_column": column,
    }  # fmt: skip
    forest = _fit(rows if learns_all else rows.where(F.col("tenth") < _REPORT), seed, tuning)
    importances = {
        names[name]: round(float(value), 6) for name, value in zip(medians, impurity_importances(forest, len(medians)), strict=True)
    }
    calibration = fit_stack(odds, label) if learns_all else fit_stack(odds[~late], label[~late])
    model = InfluencerModel(forest, medians, calibration, training.threshold)
    draft = InfluencerDraft(draft_forest, inputs[late], label[late], given)
    return InfluencerTraining(model, metrics, {names[name]: why for name, why in training.left_out.items()}, importances, draft)


def _left_out(known: DataFrame, names: Mapping[str, str], seed: int) -> dict[str, str]:
    """The columns that followers are in, with how that is known."""
    found = {name: "its name says followers" for name, shown in names.items() if is_made_of_followers(shown)}
    others = [name for name in names if name not in found]
    if others:
        sample: Any = known.orderBy(F.xxhash64("position", F.lit(seed))).limit(MAX_JUDGED).select("followers", *others).toPandas()
        for name in others:
            both = sample[["followers", name]].dropna().to_numpy(np.float64)
            if len(both) > 2 and np.ptp(both[:, 1]) > 0 and np.ptp(both[:, 0]) > 0:
                ranks = rankdata(both, axis=0)
                if abs(float(np.corrcoef(ranks.T)[0, 1])) >= SAME_ORDER:
                    found[name] = "it orders accounts as followers do"
    return found


def _features(medians: Mapping[str, float]) -> Column:
    return array_to_vector(F.array(*[F.coalesce(F.col(name).cast("double"), F.lit(median)) for name, median in medians.items()]))


def _fit(rows: DataFrame, seed: int, tuning: ForestTuning) -> Forest:
    """The forest. Raises InputError where the rows have one class only."""
    classes = rows.agg(F.count("*"), F.min("label"), F.max("label")).collect()[0]
    if classes[1] == classes[2]:
        raise InputError("the accounts to learn from are all of one class; expected more accounts")
    growth = Growth(tuning.trees, tuning.depth, tuning.leaf, seed, tuning.kind)
    return grow_from(rows, "features", "label", growth, classes[0], is_class=True)


def _log_odds(forest: Forest) -> Column:
    """Of the forest's share of votes; that of a forest all of one mind is its trees to a half."""
    share = (forest_column(forest, vector_to_array(F.col("features"))) * len(forest) + 0.5) / (len(forest) + 1)
    return F.log(share / (1.0 - share))


def _best_single(
    features: np.ndarray, label: np.ndarray, late: np.ndarray, names: Sequence[str]
) -> tuple[float | None, str | None]:
    """ROC-AUC on the late rows of the one column, rising or falling, that is best on the others: what a model has to beat."""
    best: tuple[float, int, float] = (0.0, 0, 1.0)
    for i in range(features.shape[1]):
        area = roc_auc(label[~late], features[~late, i])
        if area is not None and max(area, 1 - area) > best[0]:
            best = (max(area, 1 - area), i, 1.0 if area >= 0.5 else -1.0)
    return (roc_auc(label[late], best[2] * features[late, best[1]]), names[best[1]]) if best[0] else (None, None)


def score_influencers(accounts: DataFrame, model: InfluencerModel) -> DataFrame:
    """`position` and `probability` (0 to 1) of accounts `position` and the model's columns; a null counts as the median of
    training. Lazy."""
    rows = accounts.select("position", _features(model.medians).alias("features"))
    return rows.select("position", model.calibration.column([_log_odds(model.forest)]).alias("probability"))


def probabilities(inputs: Doubles, forest: Forest, calibration: Stack) -> Doubles:
    """The probability of rows of a model's features, from its forest as arrays."""
    base, parts = contributions(forest, inputs)
    start, odds = odds_contributions(base, parts, len(forest))
    return calibration.probability((start + odds.sum(axis=1))[:, None])


def explain_influencers(accounts: DataFrame, model: InfluencerModel, shown: int, called: Mapping[str, str]) -> DataFrame:
    """`position`, `rank`, `feature`, `contribution`: of each account the base (rank 0), the `shown` columns that add or take most,
    and all others together (the last rank); they add up to the log odds of `probability`.
    `called`: the model's columns as people call them. Along the paths of the forest. Lazy."""
    rows = accounts.select("position", vector_to_array(_features(model.medians)).alias("inputs"))
    names = [called[name].replace("_", " ") for name in model.medians]
    (start, (unit,)), forest = stack_scales(model.calibration), model.forest

    def explain(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            if len(batch):
                base, parts = contributions(forest, np.array(batch["inputs"].tolist(), np.float64))
                root, odds = odds_contributions(base, parts, len(forest))
                found = [
                    (position, *row)
                    for position, added in zip(batch["position"], odds * unit, strict=True)
                    for row in ranked(start + unit * root, dict(zip(names, map(float, added), strict=True)), shown)
                ]
                yield pd.DataFrame(found, columns=["position", "rank", "feature", "contribution"])

    return rows.mapInPandas(explain, EXPLAINED)
