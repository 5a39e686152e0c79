"""Score every text known by as_of with the champion of sentiment.

Reads:  silver.texts      one row per text; those known by as_of
        and the champion of the registered model `shoal_sentiment`
Writes: gold.sentiments   one row per text; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import TrainSentimentConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.classifier import Classifier, score_texts
from shoal.models.text_classifiers import SENTIMENT, champion_classifier
from shoal.runner.command import run_job

READS = ("silver.texts", "models:/shoal_sentiment")
WRITES = ("gold.sentiments",)


def build(texts: DataFrame, classifier: Classifier, version: str) -> DataFrame:
    """Columns text_id, label, probability, probabilities (by label) and model_version."""
    labels = F.array(*map(F.lit, classifier.labels))
    return score_texts(texts.select("text_id", "text"), F.col("text"), classifier).select(
        "text_id",
        F.col("predicted_label").alias("label"),
        F.array_max("probabilities").alias("probability"),
        F.map_from_arrays(labels, "probabilities").alias("probabilities"),
        F.lit(version).alias("model_version"),
    )


def run(lake: Lake, conf: TrainSentimentConf, as_of: date) -> None:
    """Score and replace the day's rows."""
    texts = lake.read("silver.texts", before=as_of)
    if texts.isEmpty():
        raise SkippedError(f"no text in silver.texts up to {as_of}")
    found = champion_classifier(lake, SENTIMENT)
    if found is None:
        raise SkippedError("there is no champion of sentiment in this lake; train_sentiment makes one from labelled texts")
    classifier, model = found
    # A row a text, whose id is the key of silver.texts.
    lake.replace("gold.sentiments", build(texts, classifier, model.label), on=as_of, unique=True)
    lake.run.note(model_version=model.label)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainSentimentConf, argv)


if __name__ == "__main__":
    sys.exit(main())
