"""Train the classifier of moderation on items that moderators decided about and texts that are labelled, test it, register it.

Reads:  silver.items        title and text of the items known by as_of
        silver.moderation   decisions up to as_of; of an item the newest counts; may be missing
        silver.texts        texts known by as_of with a moderation_label; may be missing
Writes: ops.model_metrics   one row per model, slice and metric of the task moderation; replaces as_of's part
        and a version of the registered model `shoal_moderation` with its run in MLflow
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import TrainSentimentConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.text_classifiers import MODERATION, judged_texts, train_task
from shoal.runner.command import run_job

READS = ("silver.items", "silver.moderation", "silver.texts")
WRITES = ("ops.model_metrics", "models:/shoal_moderation")
SETTINGS = ("moderation",)


def run(lake: Lake, conf: TrainSentimentConf, as_of: date) -> None:
    """Train, register, write the metrics. Labels that nothing can be learned from skip the stage: the rest can go on."""
    texts = judged_texts(lake, lake.settings.moderation.allowed_labels, as_of)
    if texts.isEmpty():
        raise SkippedError(f"no decision in silver.moderation and no moderation_label in silver.texts up to {as_of}")
    train_task(lake, MODERATION, texts, conf, as_of, "silver.moderation and silver.texts")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainSentimentConf, argv)


if __name__ == "__main__":
    sys.exit(main())
