"""The search for a model of posts: estimators and their settings, judged on the ninth tenth of each author's posts by time.

The first eight tenths teach a candidate, the ninth judges it; the last, which reports, is not looked at until the champion is
known and trained as any model is.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.stats import rankdata

from shoal.errors import InputError
from shoal.mine.posts.levels import TrainingPosts, Tuning, choose_linear_share, fit_level_model, with_expected
from shoal.mine.posts.viral import MEMBERS, draft_members, unseen_members, viral_thresholds
from shoal.mine.probability.linear_models import DRIVER_ROWS
from shoal.mine.probability.quality import roc_auc
from shoal.mine.probability.search import search
from shoal.spark.checkpoints import cut_lineage

# Training the champion fits it on the early posts and on all of them.
REFITS = 2.5

# The shipped settings first; then one step in each direction, and boosted trees in the forest's place.
CANDIDATES = (
    Tuning(),
    Tuning(kind="boosting", trees=150, depth=3),
    Tuning(penalty=10.0),
    Tuning(penalty=1.0),
    Tuning(depth=12, leaf=3),
    Tuning(kind="extra"),
    Tuning(depth=5, leaf=20),
    Tuning(logistic_penalty=3.0),
    Tuning(kind="boosting", trees=300, depth=4, rate=0.05),
    Tuning(penalty=10.0, depth=12, leaf=3, logistic_penalty=3.0),
)


def candidates_for(posts: int) -> tuple[Tuning, ...]:
    """CANDIDATES; only forests where MLlib grows them."""
    return tuple(one for one in CANDIDATES if posts <= DRIVER_ROWS or one.kind == "forest")


def search_engagement(training: TrainingPosts, seed: int, seconds: float) -> tuple[Tuning, dict[str, Any]]:
    """The settings of least mean absolute error of log1p likes on the middle posts, of models that the early ones taught, and what
    search.json says.

    The score is less the error. Comments take the settings of likes. A candidate costs one `fit_level_model` and a pass.
    """
    middle = training.rows.where((F.col("part") == "middle") & F.col("likes").isNotNull())
    candidates = tuple(one for one in candidates_for(training.posts) if one.logistic_penalty == Tuning().logistic_penalty)

    def fit(tuning: Tuning) -> float:
        model = fit_level_model(training.rows.where("part = 'early'"), "likes", seed, tuning)
        expected = with_expected(middle, model).select("likes", "expected_linear", "expected_forest").transform(cut_lineage)
        return -_mixed_error(expected)

    found = search(candidates, fit, seconds, REFITS)
    return found.champion, found.facts("minus_mae_log", asdict)


def _mixed_error(expected: DataFrame) -> float:
    share = choose_linear_share(expected, "likes")
    mixed = share * F.col("expected_linear") + (1.0 - share) * F.col("expected_forest")
    found = expected.agg(F.avg(F.abs(F.log1p(F.col("likes").cast("double")) - mixed))).collect()[0][0]
    if found is None:
        raise InputError("no later post to judge candidates on; expected posts of a longer time")
    return float(found)


def search_viral(training: TrainingPosts, seed: int, seconds: float) -> tuple[Tuning, dict[str, Any]]:
    """The settings of the highest ROC-AUC on the middle posts, whose own top tenth is viral, of members that the early ones taught,
    and what search.json says.

    By the mean of the three members' ranks, which leaves nothing to fit there. A candidate costs the four fits of a draft, a pass.
    Raises InputError where the middle posts have all the same likes.
    """
    middle = training.rows.where("part = 'middle'")
    if middle.where(F.col("likes").isNotNull()).isEmpty():
        raise InputError("no later post to judge candidates on; expected posts of a longer time")
    threshold = viral_thresholds(middle)[0]

    def fit(tuning: Tuning) -> float:
        found = unseen_members(middle, draft_members(training, seed, tuning), threshold)
        ranks = np.mean([rankdata(found[name]) for name in MEMBERS], axis=0)
        area = roc_auc(found["is_viral"], ranks)
        if area is None:
            raise InputError("the posts to judge candidates on are all viral, or none is; expected posts of a longer time")
        return area

    found = search(candidates_for(training.posts), fit, seconds, REFITS)
    return found.champion, found.facts("roc_auc", asdict)
