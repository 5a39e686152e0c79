"""Train the classifier of sentiment on the texts that have a label, test it, register it.

Reads:  silver.texts        one row per text; those with a label of the sentiment that were known by as_of
Writes: ops.model_metrics   one row per model, slice and metric of the task sentiment; replaces as_of's part
        and a version of the registered model `shoal_sentiment` with its run in MLflow

A fifth of the texts is held out by a hash of the text, the same fifth in every run: the champion has not learned from it
either, and both are judged on it.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import TrainSentimentConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.text_classifiers import SENTIMENT, labelled_texts, train_task
from shoal.runner.command import run_job

READS = ("silver.texts",)
WRITES = ("ops.model_metrics", "models:/shoal_sentiment")


def run(lake: Lake, conf: TrainSentimentConf, as_of: date) -> None:
    """Train, register, write the metrics. Labels that nothing can be learned from skip the stage: the rest can go on."""
    texts = labelled_texts(lake, SENTIMENT, as_of)
    if texts.isEmpty():
        raise SkippedError(f"no labelled text in silver.texts up to {as_of}")
    train_task(lake, SENTIMENT, texts, conf, as_of, "silver.texts")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainSentimentConf, argv)


if __name__ == "__main__":
    sys.exit(main())
