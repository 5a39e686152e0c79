"""Give every text known by as_of its sentiment: by the champion, and without one by the lexicon.

Only texts that are new, changed, or were not scored by this model are scored; where there is none, no model is run, and the run's
tags say so (scored_texts, unchanged_texts).

Reads:  silver.texts      one row per text; those known by as_of
        and the champion of the registered model `shoal_sentiment`
Writes: gold.sentiments   one row per text and model version; rows of earlier models of the same texts stop being current
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import TrainSentimentConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.lexicon import lexicon_version
from shoal.mine.text.sentiment import score_sentiment, texts_to_score
from shoal.models.text_classifiers import SENTIMENT, champion_classifier
from shoal.runner.command import run_job

READS = ("silver.texts", "models:/shoal_sentiment")
WRITES = ("gold.sentiments",)


def retired(held: DataFrame, scored: DataFrame, version: str) -> DataFrame:
    """The current rows of other models of the texts in `scored`, as they are to be: not current."""
    others = held.where(F.col("is_current") & (F.col("model_version") != version))
    return others.join(scored.select("text_id"), "text_id", "left_semi").withColumn("is_current", F.lit(False))


def run(lake: Lake, conf: TrainSentimentConf, as_of: date) -> None:
    """Score what was not scored yet, in one commit with the rows that it retires."""
    texts = lake.read("silver.texts", before=as_of)
    if texts.isEmpty():
        raise SkippedError(f"no text in silver.texts up to {as_of}")
    found = champion_classifier(lake, SENTIMENT)
    classifier, version = (None, lexicon_version()) if found is None else (found[0], found[1].label)
    held = lake.read_if_exists("gold.sentiments")
    known = None if held is None else held.where(F.col("is_current") & (F.col("model_version") == version))
    new = texts_to_score(texts, known).persist()
    try:
        count = new.count()
        lake.run.note(model_version=version, scored_texts=count, unchanged_texts=texts.count() - count)
        if not count:
            return
        rows = score_sentiment(new, classifier, conf.lexicon_weight, conf.max_text_length).withColumns(
            {"as_of": F.lit(as_of), "model_version": F.lit(version), "is_current": F.lit(True)}
        )
        # A text of silver.texts is one row, and what is retired has another model_version: keys are unique.
        old = None if held is None else retired(held, new, version).drop("run_id")
        lake.upsert("gold.sentiments", rows if old is None else rows.unionByName(old), unique=True)
    finally:
        new.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainSentimentConf, argv)


if __name__ == "__main__":
    sys.exit(main())
