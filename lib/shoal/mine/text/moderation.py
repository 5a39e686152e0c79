"""What is to be removed, reviewed or allowed by the words of a text, and which words say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.text.classifier import Classifier, score_texts
from shoal.mine.text.spans import SpanFinder, weights_by_label

ALLOW, REVIEW, REMOVE = "allow", "review", "remove"
# The label of what has nothing wrong, as moderators' decisions name it.
ALLOWED = "allowed"
SPAN_TYPE = "array<struct<start: int, end: int, text: string, weight: double>>"


def decided_items(items: DataFrame, decisions: DataFrame) -> DataFrame:
    """Columns text (title and text), label (the newest verdict: removed, allowed) and group (null) of the items that moderators
    decided about. `decisions`: item_id, decided_at, verdict. Two shuffles."""
    newest = decisions.groupBy("item_id").agg(F.max_by("verdict", "decided_at").alias("label"))
    return items.join(newest, "item_id").select(words_of_item().alias("text"), "label", F.lit(None).cast("string").alias("group"))


def words_of_item() -> Column:
    """An item's title and text, columns of silver.items, as one text; null without either."""
    words = F.concat_ws("\n", "title", "text")
    return F.when(words != "", words)


def moderate(
    texts: DataFrame, classifier: Classifier, thresholds: Mapping[str, Sequence[float | None]], allowed: Sequence[str]
) -> DataFrame:
    """One row per text and category: item_id, content_hash, category, probability, remove_threshold, review_threshold, action,
    spans.

    `texts`: item_id, text, content_hash. Categories are the classifier's labels but those in `allowed`; `thresholds` has for each
    the probability from which on a text is removed, and from which on it is reviewed; without one it never is. A text without
    words is allowed. `spans`: up to SPANS words of a text that is not allowed with the largest weights for the category, with
    their places in code points from 0 and their weights; empty for others. Lazy; no shuffle.
    """
    scored = score_texts(texts, F.col("text"), classifier)
    kinds = [label for label in classifier.labels if label.lower() not in {name.lower() for name in allowed}]
    rows = []
    for label in kinds:
        remove, review = (*thresholds.get(label, ()), None, None)[:2]
        rows.append(F.struct(
            F.lit(label).alias("category"), F.element_at("probabilities", classifier.labels.index(label) + 1).alias("probability"),
            F.lit(remove).cast("double").alias("remove_threshold"), F.lit(review).cast("double").alias("review_threshold"),
        ))  # fmt: skip
    each = scored.select("item_id", "content_hash", "text", F.explode(F.array(*rows)).alias("_one"))
    each = each.select("item_id", "content_hash", "text", "_one.*")
    probability, has_words = F.col("probability"), F.coalesce(F.col("text").rlike(r"\S"), F.lit(False))
    action = F.when(has_words & (probability >= F.col("remove_threshold")), REMOVE)
    action = action.when(has_words & (probability >= F.col("review_threshold")), REVIEW).otherwise(ALLOW)
    judged = each.withColumn("action", action)
    spans = F.pandas_udf(_span_finder(classifier), SPAN_TYPE)  # type: ignore[call-overload]
    shown = F.when(F.col("action") != ALLOW, F.col("text"))
    return judged.withColumn("spans", spans(shown, F.col("category"))).drop("text")


def with_model_decisions(decisions: DataFrame | None, moderation: DataFrame | None) -> DataFrame | None:
    """Moderators' decisions (item_id, decided_at, verdict) and, older than each of them, the removals of a model: rows of
    gold.moderation that are current and have the action remove. None where there is neither table."""
    if moderation is None:
        return decisions
    removals = moderation.where(F.col("is_current") & (F.col("action") == REMOVE)).select(
        "item_id", F.lit("1970-01-01 00:00:00").cast("timestamp").alias("decided_at"), F.lit("removed").alias("verdict")
    )
    removals = removals.distinct()
    return removals if decisions is None else decisions.select("item_id", "decided_at", "verdict").unionByName(removals)


def _span_finder(classifier: Classifier) -> Callable[[pd.Series, pd.Series], pd.Series]:
    """The function from texts and categories to lists of spans, empty for a null text."""
    stages: list[Any] = classifier.pipeline.stages
    present, weighted, _, model = stages
    weights = weights_by_label(classifier.labels, model.coefficientMatrix.toArray(), weighted.getScalingVec().toArray())
    place, made = {term: i for i, term in enumerate(present.vocabulary)}, classifier.preprocessing
    finder = SpanFinder(place, weights, made.char_ngrams, made.hash_bits)

    def find(texts: pd.Series, categories: pd.Series) -> pd.Series:
        return pd.Series([finder.spans(text, name) for text, name in zip(texts, categories, strict=True)])

    return find
