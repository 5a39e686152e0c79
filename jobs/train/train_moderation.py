"""Train the classifier of items that moderators decided about, test it, register it.

Reads:  silver.items        title and text of the items known by as_of
        silver.moderation   decisions up to as_of; of an item the newest counts
Writes: ops.model_metrics   one row per model, slice and metric of the task moderation; replaces as_of's part
        and a version of the registered model `shoal_moderation` with its run in MLflow
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import TrainSentimentConf
from shoal.lake.lake import Lake
from shoal.models.text_classifiers import MODERATION, labelled_texts, train_task
from shoal.runner.command import run_job

READS = ("silver.items", "silver.moderation")
WRITES = ("ops.model_metrics", "models:/shoal_moderation")


def run(lake: Lake, conf: TrainSentimentConf, as_of: date) -> None:
    """Train, register, write the metrics. Decisions that nothing can be learned from skip the stage: the rest can go on."""
    train_task(lake, MODERATION, labelled_texts(lake, MODERATION, as_of), conf, as_of, "silver.moderation")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainSentimentConf, argv)


if __name__ == "__main__":
    sys.exit(main())
