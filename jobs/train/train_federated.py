"""Train a classifier of texts of several sources without pooling their rows, with noise that bounds what one person can change.

Reads:  silver.texts        one row per text; those with a label of `task` that were known by as_of
Writes: ops.fed_rounds      one row per run, task, round and source: rows, people, clipping, noise, epsilon spent so far, loss
        ops.model_metrics   one row per model, slice and metric of the task federated_<task>; replaces as_of's part
        and a version of the registered model `shoal_federated_<task>`, with `serves` of `shoal_<task>`

Each run spends its epsilon anew; ops.fed_rounds keeps the runs before it. Skipped: where no text has a label, and where no source
has `min_units` people. What it is not: docs/federated.md.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import TrainFederatedConf
from shoal.lake.lake import Lake
from shoal.models.federated_texts import train_task_federated
from shoal.runner.command import run_job

READS = ("silver.texts",)
WRITES = (
    "ops.fed_rounds", "ops.model_metrics", "models:/shoal_federated_sentiment", "models:/shoal_federated_emotion",
    "models:/shoal_federated_moderation", "models:/shoal_sentiment", "models:/shoal_emotion",
)  # fmt: skip
SETTINGS = ("moderation", "train_sentiment")


def run(lake: Lake, conf: TrainFederatedConf, as_of: date) -> None:
    """Train, record the rounds, register, write the metrics."""
    train_task_federated(lake, conf, lake.settings.train_sentiment, lake.settings.moderation.allowed_labels, as_of)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainFederatedConf, argv)


if __name__ == "__main__":
    sys.exit(main())
