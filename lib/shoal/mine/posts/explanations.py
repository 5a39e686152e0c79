"""Why a post's expected likes, and its chance to be viral, are what they are: what each word and number adds, up to the score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles
from shoal.mine.posts.design import LEVEL, NUMBERS, TERMS, Design
from shoal.mine.posts.levels import LevelModel, with_expected
from shoal.mine.posts.viral import ViralModel
from shoal.mine.probability.explain import EXPLAINED, odds_contributions, ranked, stack_scales
from shoal.mine.probability.plain_forest import Forest
from shoal.mine.probability.trees import contributions

LEVEL_NAME, CORRECTION, MENTION = "author level", "author's recent errors", "a mention"
# Points on a circle are one thing to a person; so are the two sides of the author's past.
_CIRCLES = ("hour", "weekday", "season")
_PAST = ("last", "mean_5", "mean_50", "mean_all", "maximum_20", "deviation_20")


@dataclass(frozen=True)
class Cuts:
    """A forest in a score: the trees, what a unit of its prediction adds, and, where its votes count as log odds, how many
    trees it has (0: its prediction counts as it is)."""

    trees: Forest
    unit: float
    votes: int


@dataclass(frozen=True)
class Additive:
    """A score as a sum: a base, what the author's level (log1p) and a unit of each word, number and of the scaled level add, and
    forests over numbers and scaled level. `names`: of the numbers, then the level's."""

    vocabulary: tuple[str, ...]
    idf: Doubles
    names: tuple[str, ...]
    base: float
    words: Doubles
    numbers: Doubles
    level: float
    forests: tuple[Cuts, ...]


def readable(name: str) -> str:
    """What a person calls a number of a post.

    >>> [readable(name) for name in ("hour_sin", "mean_5", "hashtag_count")]
    ['hour', 'past mean 5', 'hashtag count']
    """
    for circle in _CIRCLES:
        if name in (f"{circle}_sin", f"{circle}_cos"):
            return circle
    return f"past {name.replace('_', ' ')}" if name in _PAST else name.replace("_", " ")


def word_name(term: str) -> str:
    """What a term of the vocabulary is called; one that names an account is called a mention only."""
    return MENTION if "@" in term else "any words" if term == " " else f"word: {term}"


def expected_sum(model: LevelModel) -> Additive:
    """The expected log1p of a count as a sum."""
    design, share = model.design, model.linear_share
    weights = model.linear.coefficients.toArray() * share
    known = len(design.vocabulary)
    return Additive(
        design.vocabulary, design.idf, _names(design), model.linear.intercept * share, weights[:known],
        np.r_[weights[known:], 0.0], 1.0, (Cuts(model.forest, 1.0 - share, 0),),
    )  # fmt: skip


def viral_sum(model: ViralModel) -> Additive:
    """The log odds of `probability` as a sum."""
    expected = expected_sum(model.level)
    base, (by_expected, by_logistic, by_votes) = stack_scales(model.overall)
    weights, known = model.logistic.coefficients.toArray(), len(expected.vocabulary)
    return Additive(
        expected.vocabulary, expected.idf, expected.names,
        base + by_expected * expected.base + by_logistic * model.logistic.intercept,
        by_expected * expected.words + by_logistic * weights[:known],
        by_expected * expected.numbers + by_logistic * weights[known:],
        by_expected, (replace(expected.forests[0], unit=by_expected * expected.forests[0].unit),
                      Cuts(model.forest, by_votes, len(model.forest))),
    )  # fmt: skip


def _names(design: Design) -> tuple[str, ...]:
    return (*map(readable, design.scales), LEVEL_NAME)


def explain_posts(prepared: DataFrame, model: LevelModel, score: Additive, shown: int, correction: str | None = None) -> DataFrame:
    """`position`, `rank`, `feature`, `contribution`: of each prepared post the base (rank 0), the `shown` features that add or take
    most (1 ...), and all others together (the last rank). They add up to the score.

    correction: a column of `prepared` that is added to the sum, as one more feature. Lazy, no shuffle; some 50 µs a post and tree.
    """
    framed = with_expected(prepared, model).select(
        "position", TERMS, vector_to_array(F.col(NUMBERS)).alias("numbers"), vector_to_array(F.col(LEVEL))[0].alias("scaled"),
        "level", (F.col(correction) if correction else F.lit(0.0)).alias("correction"),
    )  # fmt: skip

    def explain(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        places = {term: place for place, term in enumerate(score.vocabulary)}
        for batch in batches:
            if len(batch):
                yield _explained(batch, score, places, shown)

    return framed.mapInPandas(explain, EXPLAINED)


def _explained(batch: pd.DataFrame, score: Additive, places: dict[str, int], shown: int) -> pd.DataFrame:
    inputs = np.column_stack([np.array(batch["numbers"].tolist(), np.float64), batch["scaled"].to_numpy(np.float64)])
    base, parts = score.base, inputs * score.numbers
    for cuts in score.forests:
        width = int(max(tree.feature.max() for tree in cuts.trees)) + 1
        root, added = contributions(cuts.trees, inputs[:, : max(width, 1)])
        if cuts.votes:
            root, added = odds_contributions(root, added, cuts.votes)
        base += cuts.unit * root
        parts[:, : added.shape[1]] += cuts.unit * added
    parts[:, -1] += score.level * batch["level"].to_numpy(np.float64)
    rows: list[tuple[Any, ...]] = []
    corrections = batch["correction"].to_numpy(np.float64)
    for position, terms, numbers, corrected in zip(batch["position"], batch[TERMS], parts, corrections, strict=True):
        sums = _sums(terms, numbers, score, places)
        if corrected:
            sums[CORRECTION] = corrected
        rows += [(position, rank, name, value) for rank, name, value in ranked(base, sums, shown)]
    return pd.DataFrame(rows, columns=["position", "rank", "feature", "contribution"])


def _sums(terms: Sequence[str], numbers: Doubles, score: Additive, places: dict[str, int]) -> dict[str, float]:
    """What each feature of one post adds, by its name."""
    sums: dict[str, float] = {}
    for name, value in zip(score.names, numbers, strict=True):
        sums[name] = sums.get(name, 0.0) + float(value)
    known = sorted({places[term] for term in terms if term in places})
    length = float(np.sqrt((score.idf[known] ** 2).sum())) if known else 0.0
    for place in known if length else []:
        name = word_name(score.vocabulary[place])
        sums[name] = sums.get(name, 0.0) + float(score.words[place] * score.idf[place] / length)
    return sums
