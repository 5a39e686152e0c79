"""How good a scored frame is: accuracy, macro-F1, F1 of each label, log loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# A probability of 0 for what happened would cost infinitely much; 1e-15 is scikit-learn's floor of old.
FLOOR = 1e-15


@dataclass(frozen=True)
class Quality:
    """Metrics over `rows` texts. F1 lies in 0..1, log loss is in nats a text; `f1` has every label that occurs, `truths` the
    rows of each label."""

    rows: int
    accuracy: float
    macro_f1: float
    f1: dict[str, float]
    log_loss: float
    truths: dict[str, int]

    def named(self) -> dict[str, float]:
        """The metrics of the whole by name."""
        return {"accuracy": self.accuracy, "macro_f1": self.macro_f1, "log_loss": self.log_loss}


def label_index(labels: Sequence[str]) -> Column:
    """The place of column `label` in `labels`, from 0; null for a label that is not among them."""
    pairs = [F.lit(value) for index, name in enumerate(labels) for value in (name, index)]
    return F.try_element_at(F.create_map(*pairs), F.col("label"))


def quality(scored: DataFrame, labels: Sequence[str]) -> Quality:
    """The quality of columns label, predicted_label and probabilities (array in the order of `labels`).

    F1 of a label is 2 TP / (2 TP + FP + FN); macro-F1 is its plain mean over the labels that occur as truth or prediction, as
    in scikit-learn's f1_score(average="macro"). A label that the model does not know is an error with probability FLOOR.
    Raises ValueError for an empty frame. Collects one row a pair of labels.
    """
    given = F.coalesce(F.try_element_at("probabilities", label_index(labels) + 1), F.lit(0.0))
    loss = F.sum(-F.log(F.greatest(given, F.lit(FLOOR)))).alias("loss")
    pairs = scored.groupBy("label", "predicted_label").agg(F.count(F.lit(1)).alias("rows"), loss).collect()
    return quality_of_pairs([(row["label"], row["predicted_label"], row["rows"], row["loss"]) for row in pairs])


def quality_of_pairs(pairs: Sequence[tuple[str, str, int, float]]) -> Quality:
    """The quality from (label, predicted_label, rows, their summed log loss) of each pair that occurs. ValueError without one."""
    counts = {(truth, guess): rows for truth, guess, rows, _ in pairs}
    total = sum(counts.values())
    if total == 0:
        raise ValueError("no row to judge")
    truths = {label: sum(n for (truth, _), n in counts.items() if truth == label) for label, _ in counts}
    guesses = {label: sum(n for (_, guess), n in counts.items() if guess == label) for _, label in counts}
    occurring = sorted({*truths, *guesses})
    f1 = {name: 2 * counts.get((name, name), 0) / (truths.get(name, 0) + guesses.get(name, 0)) for name in occurring}
    accuracy = sum(n for (truth, guess), n in counts.items() if truth == guess) / total
    mean_loss = math.fsum(loss for *_, loss in pairs) / total
    return Quality(total, accuracy, math.fsum(f1.values()) / len(f1), f1, mean_loss, truths)
