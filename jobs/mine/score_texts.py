"""Give every text known by as_of its sentiment, by the champion, and without one by the lexicon; and its emotion where there is a
champion of emotions.

Only texts that are new, changed, or were not scored by these models are scored; without one no model is run, and the run's
tags say so (scored_sentiments, unchanged_sentiments).

Reads:  silver.texts      one row per text; those known by as_of
        and the champions of the registered models `shoal_sentiment` and `shoal_emotion`
Writes: gold.sentiments   one row per text and model version; rows of earlier models of the same texts stop being current
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from shoal.conf.sections import TrainSentimentConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.lexicon_rules import lexicon_version
from shoal.mine.text.sentiment import score_sentiment
from shoal.models.rescoring import upsert_scores
from shoal.models.text_classifiers import EMOTION, SENTIMENT, champion_classifier
from shoal.runner.command import run_job

READS = ("silver.texts", "models:/shoal_sentiment", "models:/shoal_emotion")
WRITES = ("gold.sentiments",)


def run(lake: Lake, conf: TrainSentimentConf, as_of: date) -> None:
    """Score what was not scored yet, in one commit with the rows that it retires."""
    texts = lake.read("silver.texts", before=as_of).select("text_id", "text")
    if texts.isEmpty():
        raise SkippedError(f"no text in silver.texts up to {as_of}")
    found = champion_classifier(lake, SENTIMENT)
    classifier, version = (None, lexicon_version()) if found is None else (found[0], found[1].label)
    feeling = champion_classifier(lake, EMOTION)
    emotions, emotion_version = (None, None) if feeling is None else (feeling[0], feeling[1].label)

    def score(new: DataFrame) -> DataFrame:
        return score_sentiment(new, classifier, conf.lexicon_weight, conf.max_text_length, emotions)

    upsert_scores(lake, "gold.sentiments", texts, "text_id", version, as_of, score, {"emotion_model_version": emotion_version})


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainSentimentConf, argv)


if __name__ == "__main__":
    sys.exit(main())
