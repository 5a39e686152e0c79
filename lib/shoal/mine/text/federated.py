"""Train a classifier of texts of several sources without pooling their rows.

Each round a source's own tasks sum the clipped gradients of its units (a unit is whose contribution is bounded: a person, a text),
add Gaussian noise to the sum, and only that sum reaches the driver, which merges those of all sources and takes a step; where the
driver is trusted the noise is added there, once. The merge weighs the mean of each source by its units. Round 0 releases counts of
labels the same way: from them come the weights of labels.

Terms are hashed: a dictionary of all sources' terms would name what one person alone has written, and document frequencies would
count it. What the noise covers, and what it does not: docs/adr/0155.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.special import softmax

from shoal.arrays import Doubles
from shoal.errors import InputError
from shoal.mine.text.classifier import Classifier, Training, evaluate_classifier, majority, vector_stages
from shoal.mine.text.clipped_updates import Block, UnitSums, block_of, clipped_gradients, clipped_label_counts
from shoal.mine.text.gaussian_mechanism import epsilon_of, gaussian_noise, multiplier_for
from shoal.mine.text.linear import Weights, as_model
from shoal.mine.text.metrics import label_index
from shoal.mine.text.parts import Plan, known_texts, label_counts, usable
from shoal.mine.text.split import is_held_out
from shoal.mine.text.terms import TERMS, bucket_numbers, with_terms

# The driver keeps a round's update of every source: so many sources, and numbers in all of them (400 MB).
MAX_SOURCES = 1000
MAX_NUMBERS = 50_000_000
# Texts of a task: some 60 MB of terms. Those of a unit are in one block.
BLOCK_ROWS = 50_000
# Delta where none is given: below one in so many units, or it would allow to publish a unit's texts whole.
DELTA_POWER = 1.1

SOURCE, MERGE = "source", "merge"
_PACKED = "source string, sizes binary, columns binary, units binary, target binary"
_SUMS = "source string, rows bigint, units bigint, clipped bigint, loss double, total binary"
_SUM_COLUMNS = ("source", "rows", "units", "clipped", "loss", "total")


@dataclass(frozen=True)
class Federation:
    """How to train. `epsilon` None: no noise. `delta` None: 1 / units ** DELTA_POWER. `min_units`: a source with fewer is left out.
    `labels`: those to learn; empty: all that occur. `noise_at`: SOURCE, the tasks of a source add noise to its own sum, or MERGE,
    the driver adds it to the sum of all. `noise_seed`: for tests only."""

    epsilon: float | None
    delta: float | None
    rounds: int
    clip_norm: float
    learning_rate: float
    momentum: float
    class_weight_power: float
    min_units: int
    labels: Sequence[str] = ()
    noise_at: str = "source"
    noise_seed: int | None = None
    block_rows: int = BLOCK_ROWS


@dataclass(frozen=True)
class Update:
    """What a source released in a round: the noised sum, with figures beside it that bear no noise (rows, units, clipped units,
    mean log loss in nats before the round; null in round 0)."""

    round: int
    source: str
    rows: int
    units: int
    clipped: int
    loss: float | None
    norm: float
    epsilon: float | None


@dataclass(frozen=True)
class FederatedTraining:
    """The training, its rounds, and what the noise was: multiplier 0, epsilon and delta null without any. `left_out`: sources with
    too few units; `unnamed`: usable rows without a source or a unit, which were not used."""

    training: Training
    updates: list[Update]
    sources: dict[str, int]
    left_out: dict[str, int]
    unnamed: int
    multiplier: float
    epsilon: float | None
    delta: float | None
    noise_at: str

    def epsilon_in(self, sources: int) -> float | None:
        """The epsilon of a person whose texts are in so many sources: each spends its own."""
        if self.epsilon is None or self.delta is None:
            return None
        # Into one sum that gets noise once such a person adds so many vectors, each as long as the bound.
        share = self.multiplier / (math.sqrt(sources) if self.noise_at == SOURCE else sources)
        return epsilon_of(share, self.delta, len({each.round for each in self.updates}))


def train_federated(texts: DataFrame, plan: Plan, how: Federation) -> FederatedTraining:
    """A classifier trained on columns text, label, group, source and unit (strings).

    Rows of one group, or of equal text where the group is null, are held out together, as by `train_classifier`, and give the
    quality; give people as groups, so that no person is in both parts. Rows without a source or a unit are dropped and counted. No
    setting is chosen by the data. Probabilities are not calibrated and there are no thresholds: both need the rows themselves.

    Raises InputError for labels that nothing can be learned from, `labels` with fewer than two that occur, no source with
    `min_units` units, more than MAX_SOURCES, and more numbers than the driver keeps. Cost: texts are tokenised once, two small
    Spark jobs a round; collects a vector a source and round.
    """
    known = known_texts(texts, plan.max_text_length, "source", "unit")
    counts = label_counts(known)
    if how.labels:
        counts = {name: rows for name, rows in counts.items() if name in how.labels}
        if len(counts) < 2:
            raise InputError(f"labels {', '.join(how.labels)}: {len(counts)} of them occur; expected at least two")
    labels = tuple(sorted(counts))
    # By the row alone: that rows of rare labels are never held out would let one person's rows decide about those of others.
    is_test = is_held_out(F.col("key"), plan.test_ratio, plan.seed, "test")
    learned = usable(known).where(F.col("label").isin(*labels) & ~is_test)
    found = source_sizes(learned)
    kept = {name: units for name, (_, units) in found.items() if name is not None and units >= how.min_units}
    left_out = {name: units for name, (_, units) in found.items() if name is not None and units < how.min_units}
    unnamed = found.get(None, (0, 0))[0]
    size = (1 if len(labels) == 2 else len(labels)) * ((1 << plan.hash_bits) + 1)
    _check(kept, left_out, unnamed, size, how)
    rows_of = {name: found[name][0] for name in kept}
    blocks = _packed(learned, rows_of, labels, plan, how).persist()
    try:
        fitted = _rounds(blocks, kept, labels, 1 << plan.hash_bits, how)
    finally:
        blocks.unpersist()
    spark = texts.sparkSession
    classifier = Classifier(
        PipelineModel(vector_stages(plan.preprocessing.buckets(), np.ones(1 << plan.hash_bits), as_model(spark, fitted.weights))),
        labels, fitted.priors, plan.max_text_length, plan.preprocessing,
    )  # fmt: skip
    judged = evaluate_classifier(texts.where(F.trim("label").isin(*labels)), classifier, plan)
    rows = sum(rows_of.values())
    settings = {
        "clip_norm": how.clip_norm, "learning_rate": how.learning_rate, "momentum": how.momentum, "rounds": float(how.rounds),
        "class_weight_power": how.class_weight_power, "noise_multiplier": fitted.multiplier,
    }  # fmt: skip
    training = Training(
        classifier, judged, majority(judged, dict(zip(labels, fitted.shares, strict=True))), settings, sum(counts.values()),
        sum(found[name][0] for name in left_out) + unnamed, rows, rows, {},
    )  # fmt: skip
    return FederatedTraining(
        training, fitted.updates, kept, left_out, unnamed, fitted.multiplier, how.epsilon, fitted.delta, how.noise_at
    )


def source_sizes(learned: DataFrame) -> dict[str | None, tuple[int, int]]:
    """Rows and units of each source, in the order of their names; those of rows without a source or a unit under None. Collects at
    most MAX_SOURCES + 2 rows."""
    source = F.when(F.col("unit").isNotNull(), F.col("source")).alias("source")
    sizes = learned.groupBy(source).agg(F.count(F.lit(1)).alias("rows"), F.countDistinct("unit").alias("units"))
    found = {row["source"]: (row["rows"], row["units"]) for row in sizes.limit(MAX_SOURCES + 2).collect()}
    return dict(sorted(found.items(), key=lambda pair: pair[0] or ""))


def _check(kept: dict[str, int], left_out: dict[str, int], unnamed: int, size: int, how: Federation) -> None:
    """Raise InputError where no source, or too much for the driver, is left."""
    if not kept:
        most = max(left_out.values(), default=0)
        raise InputError(
            f"no source has {how.min_units} people to learn from (min_units): the largest of {len(left_out)} has {most}, and "
            f"{unnamed} rows name no person or source; unit=text protects texts and not people"
        )
    if len(kept) + len(left_out) > MAX_SOURCES:
        raise InputError(f"more than {MAX_SOURCES} sources; expected a column that divides the texts into a few")
    if len(kept) * size > MAX_NUMBERS:
        raise InputError(
            f"{len(kept)} sources with {size} weights each are more than the {MAX_NUMBERS} numbers that the driver keeps; "
            "lower hash_bits"
        )


def _packed(learned: DataFrame, rows_of: dict[str, int], labels: Sequence[str], plan: Plan, how: Federation) -> DataFrame:
    """A row a block of a source: its texts as arrays in bytes. All rows of a unit are in one block."""
    sizes = [F.lit(part) for name, rows in rows_of.items() for part in (name, math.ceil(rows / how.block_rows))]
    blocks = F.try_element_at(F.create_map(*sizes), F.col("source"))
    named = learned.where(F.col("unit").isNotNull() & blocks.isNotNull())
    hashed = with_terms(named, plan.preprocessing).select(
        "source", "unit", F.pmod(F.xxhash64("unit"), blocks).alias("block"), label_index(labels).alias("target"),
        F.array_sort(bucket_numbers(F.col(TERMS))).alias("columns"),
    )  # fmt: skip
    return hashed.groupBy("source", "block").applyInPandas(_pack, _PACKED)


def _pack(rows: pd.DataFrame) -> pd.DataFrame:
    """One row of a block's texts, ordered by unit; equal rows in any order are the same block."""
    texts = [np.asarray(each, np.int32) for each in rows["columns"]]
    keys = [each.tobytes() for each in texts]
    order = pd.DataFrame({"unit": rows["unit"], "target": rows["target"], "key": keys}).sort_values(["unit", "target", "key"]).index
    places = rows.index.get_indexer(order)
    sizes = np.array([len(texts[place]) for place in places], np.int32)
    columns = np.concatenate([texts[place] for place in places])
    units = np.unique(rows["unit"].to_numpy(str)[places], return_inverse=True)[1].astype(np.int32)
    target = rows["target"].to_numpy(np.int32)[places]
    packed = [each.tobytes() for each in (sizes, columns, units, target)]
    return pd.DataFrame([[rows["source"].iloc[0], *packed]], columns=["source", "sizes", "columns", "units", "target"])


@dataclass(frozen=True)
class _Fitted:
    """What the rounds gave. `shares`: noised rows of each label, at least 1."""

    weights: Weights
    priors: tuple[float, ...]
    shares: list[int]
    updates: list[Update]
    multiplier: float
    delta: float | None


def _rounds(blocks: DataFrame, kept: dict[str, int], labels: Sequence[str], buckets: int, how: Federation) -> _Fitted:
    """All rounds. A step goes against the merged gradient, with momentum; the last one gives the model."""
    units = sum(kept.values())
    multiplier, delta = 0.0, None
    if how.epsilon is not None:
        delta = how.delta if how.delta is not None else units**-DELTA_POWER
        multiplier = multiplier_for(how.epsilon, delta, how.rounds + 1)
    updates: list[Update] = []

    def released(number: int, step: Callable[[Block], UnitSums], bound: float, shape: tuple[int, ...]) -> Doubles:
        """The merged sum of a round: of all sources, in the order of their names."""
        noise = multiplier * bound
        spent = None if delta is None else epsilon_of(multiplier, delta, number + 1)
        rows = _release(blocks, step, buckets, noise if how.noise_at == SOURCE else 0.0, how.noise_seed, number)
        totals = []
        for row in rows:
            total = np.frombuffer(row["total"], np.float64).reshape(shape)
            totals.append(total)
            loss = row["loss"] / row["rows"] if number else None
            norm = float(np.linalg.norm(total)) / row["units"]
            updates.append(Update(number, row["source"], row["rows"], row["units"], row["clipped"], loss, norm, spent))
        merged = np.asarray(sum(totals))
        if how.noise_at == MERGE:
            seeds = None if how.noise_seed is None else (how.noise_seed, number)
            merged = merged + gaussian_noise(merged.size, noise, seeds).reshape(shape)
        return merged

    counts = released(0, partial(clipped_label_counts, labels=len(labels)), 1.0, (len(labels),))
    shares = np.maximum(counts, 1.0)
    weights = (shares.mean() / shares) ** how.class_weight_power
    # Their mean over the rows is 1, so that the bound means the same for any balance of labels.
    weights *= shares.sum() / (weights * shares).sum()
    shape = (1 if len(labels) == 2 else len(labels), buckets + 1)
    parameters, velocity = np.zeros(shape), np.zeros(shape)
    for number in range(1, how.rounds + 1):
        step = partial(clipped_gradients, parameters=parameters, label_weights=weights, clip_norm=how.clip_norm)
        velocity = how.momentum * velocity + released(number, step, how.clip_norm, shape) / units
        parameters = parameters - how.learning_rate * velocity
    intercepts = parameters[:, -1]
    priors = softmax(np.append(0.0, intercepts) if len(labels) == 2 else intercepts)
    rows = [max(1, round(float(share))) for share in shares]
    fitted = Weights(parameters[:, :-1].copy(), intercepts.copy())
    return _Fitted(fitted, tuple(map(float, priors)), rows, updates, multiplier, delta)


def _release(
    blocks: DataFrame, step: Callable[[Block], UnitSums], buckets: int, noise: float, seed: int | None, number: int
) -> list[dict[str, Any]]:
    """The sources' noised sums of a round, a row a source in the order of their names; collects no more. Tasks sum the blocks of a
    source and add noise before anything reaches the driver."""
    sums = blocks.mapInPandas(partial(_block_sums, step=step, buckets=buckets), _SUMS)
    noised = sums.groupBy("source").applyInPandas(partial(_noised, noise=noise, seed=seed, number=number), _SUMS)
    return sorted((row.asDict() for row in noised.collect()), key=lambda row: str(row["source"]))


def _block_sums(frames: Iterable[pd.DataFrame], step: Callable[[Block], UnitSums], buckets: int) -> Iterator[pd.DataFrame]:
    """A row of sums for each row of packed texts."""
    for frame in frames:
        made = []
        for row in frame.itertuples(index=False):
            sizes, columns, units, target = (
                np.frombuffer(each, np.int32).astype(np.int64) for each in (row.sizes, row.columns, row.units, row.target)
            )
            found = step(block_of(sizes, columns, units, target, buckets))
            made.append([row.source, found.rows, found.units, found.clipped, found.loss, found.total.tobytes()])
        yield pd.DataFrame(made, columns=list(_SUM_COLUMNS))


def _noised(rows: pd.DataFrame, noise: float, seed: int | None, number: int) -> pd.DataFrame:
    """The sum of a source's blocks with its noise. Where a task is tried again the noise is drawn again, and the first is never
    seen."""
    source = rows["source"].iloc[0]
    # Of equal sums the order does not matter, of others it decides the last digit.
    total = np.sum([np.frombuffer(each) for each in sorted(rows["total"])], axis=0)
    seeds = None if seed is None else (seed, number, *source.encode())
    total = total + gaussian_noise(len(total), noise, seeds)
    sums = [int(rows[name].sum()) for name in ("rows", "units", "clipped")]
    return pd.DataFrame([[source, *sums, float(rows["loss"].sum()), total.tobytes()]], columns=list(_SUM_COLUMNS))
