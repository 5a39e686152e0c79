"""Train the recommender: choose settings, compare models, fit the chosen one on everything, register it.

Reads:  silver.interactions   events up to as_of
        silver.items          what items are about, where there are any
        silver.blocks         users whose items a user is not to see, where the table exists
        silver.moderation     items that moderators have removed, where the table exists
        silver.follows        whom users follow, where the table exists
        silver.profiles       country, language and age group of users, where the table exists
Writes: ops.model_metrics     one row per model, metric and slice of the task recommender; replaces as_of's part
        and a version of the registered model `shoal_recommender` with its run in MLflow

Events after one moment, the last fifth of all, are what models must find; half of the users there decide which model serves and
whether it becomes champion, the others give the reported figures. `served` are the chosen model's lists as build_recommendations
makes them: rules, cold-start slots and fallback included. See shoal.recommend.evaluation.training and served.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import TrainRecommenderConf
from shoal.lake.lake import Lake
from shoal.models.metrics_table import metric_frame, metric_rows
from shoal.models.recommender_training import RecommenderConf, train_recommender
from shoal.recommend.evaluation.training import SERVED
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items", "silver.blocks", "silver.moderation", "silver.follows",
         "silver.profiles")  # fmt: skip
WRITES = ("ops.model_metrics", "models:/shoal_recommender")
SETTINGS = ("blend", "content", "features", "recommend")
TASK = "recommender"
OWN = ("als", "blend", SERVED)


def run(lake: Lake, conf: TrainRecommenderConf, as_of: date) -> None:
    """Split, select, fit, register, and write the metrics."""
    others = lake.settings
    found = train_recommender(lake, RecommenderConf(conf, others.blend, others.content, others.features, others.recommend), as_of)
    model, chosen, spec = found.model, found.chosen, found.chosen.spec
    champion = spec.serves if model.is_champion else None
    rows = metric_rows(TASK, chosen.metrics, lambda name: model.version if name in OWN else "baseline", champion)
    lake.replace("ops.model_metrics", metric_frame(lake.spark, rows), on=as_of, task=TASK)
    lake.run.note(model_version=model.label, is_champion=model.is_champion, serves=spec.serves, feedback=spec.als.feedback,
                  rank=spec.als.rank, reg_param=spec.als.reg_param, alpha=spec.als.alpha, trials=len(chosen.trials),
                  split=found.split)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainRecommenderConf, argv)


if __name__ == "__main__":
    sys.exit(main())
