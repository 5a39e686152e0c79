"""How good a scored frame is: accuracy, macro-F1, F1 of each label, log loss, calibration error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Ints

# A probability of 0 for what happened would cost infinitely much; 1e-15 is scikit-learn's floor of old.
FLOOR = 1e-15
# Bins of equal width of the expected calibration error (Guo et al., ICML 2017, use 15).
BINS = 15


@dataclass(frozen=True)
class Quality:
    """Metrics over `rows` texts. F1 lies in 0..1, log loss is in nats a text; `f1` has every label that occurs, `truths` the
    rows of each label. `calibration_error`, 0..1: how far the probability of the predicted label is from the share of right
    predictions, mean over BINS bins of that probability, each with the weight of its rows."""

    rows: int
    accuracy: float
    macro_f1: float
    f1: dict[str, float]
    log_loss: float
    calibration_error: float
    truths: dict[str, int]

    def named(self) -> dict[str, float]:
        """The metrics of the whole by name."""
        return {
            "accuracy": self.accuracy, "macro_f1": self.macro_f1, "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
        }  # fmt: skip


class Outcome(NamedTuple):
    """Rows of one label, prediction and bin of the predicted label's probability, with the sums of their log losses and of that
    probability."""

    label: str
    predicted: str
    bin: int
    rows: int
    loss: float
    confidence: float


def label_index(labels: Sequence[str]) -> Column:
    """The place of column `label` in `labels`, from 0; null for a label that is not among them."""
    pairs = [F.lit(value) for index, name in enumerate(labels) for value in (name, index)]
    return F.try_element_at(F.create_map(*pairs), F.col("label"))


def quality(scored: DataFrame, labels: Sequence[str]) -> Quality:
    """The quality of columns label, predicted_label and probabilities (array in the order of `labels`).

    F1 of a label is 2 TP / (2 TP + FP + FN); macro-F1 is its plain mean over the labels that occur as truth or prediction, as
    in scikit-learn's f1_score(average="macro"). A label that the model does not know is an error with probability FLOOR.
    Raises ValueError for an empty frame. Collects at most BINS rows a pair of labels.
    """
    given = F.coalesce(F.try_element_at("probabilities", label_index(labels) + 1), F.lit(0.0))
    confidence = F.array_max("probabilities")
    outcomes = scored.groupBy(
        "label", F.col("predicted_label").alias("predicted"),
        F.least((confidence * BINS).cast("int"), F.lit(BINS - 1)).alias("bin"),
    ).agg(
        F.count(F.lit(1)).alias("rows"), F.sum(-F.log(F.greatest(given, F.lit(FLOOR)))).alias("loss"),
        F.sum(confidence).alias("confidence"),
    )  # fmt: skip
    return summarise([Outcome(*row) for row in outcomes.collect()])


def quality_of_arrays(probabilities: Doubles, target: Ints, labels: Sequence[str]) -> Quality:
    """The same of a row of probabilities a text and the place of its label."""
    guesses, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    losses = -np.log(np.maximum(probabilities[np.arange(len(target)), target], FLOOR))
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    keys = np.stack([target, guesses, bins], axis=1)
    found, place = np.unique(keys, axis=0, return_inverse=True)
    sums = [np.bincount(place.ravel(), values, len(found)) for values in (np.ones(len(target)), losses, confidence)]
    return summarise(
        [Outcome(labels[t], labels[g], int(b), int(n), float(loss), float(sure))
         for (t, g, b), n, loss, sure in zip(found, *sums, strict=True)]
    )  # fmt: skip


def summarise(outcomes: Sequence[Outcome]) -> Quality:
    """The quality from all outcomes. Raises ValueError without one."""
    counts: Counter[tuple[str, str]] = Counter()
    right: Counter[int] = Counter()
    for outcome in outcomes:
        counts[outcome.label, outcome.predicted] += outcome.rows
        # A bin's rows times the difference of its means is the difference of its sums.
        right[outcome.bin] += outcome.rows * (outcome.label == outcome.predicted) - outcome.confidence  # type: ignore[assignment]
    total = sum(counts.values())
    if total == 0:
        raise ValueError("no row to judge")
    truths = {label: sum(n for (truth, _), n in counts.items() if truth == label) for label, _ in counts}
    guesses = {label: sum(n for (_, guess), n in counts.items() if guess == label) for _, label in counts}
    occurring = sorted({*truths, *guesses})
    f1 = {name: 2 * counts.get((name, name), 0) / (truths.get(name, 0) + guesses.get(name, 0)) for name in occurring}
    return Quality(
        total, sum(n for (truth, guess), n in counts.items() if truth == guess) / total, math.fsum(f1.values()) / len(f1), f1,
        math.fsum(outcome.loss for outcome in outcomes) / total, math.fsum(map(abs, right.values())) / total, truths,
    )  # fmt: skip
