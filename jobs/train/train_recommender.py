"""Train the recommender: choose settings, test them, fit them on everything, register the model.

Reads:  silver.interactions   events up to as_of
Writes: ops.model_metrics     one row per model, metric and slice of the task recommender; replaces as_of's part
        and a version of the registered model `shoal_recommender` with its run in MLflow

The test part is the last fifth of each user's items by time. Settings are chosen inside the rest. The champion is judged
by its settings, fitted on the same training part: its own factors have seen the test events.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from shoal.conf import TrainRecommenderConf
from shoal.contract import contract
from shoal.errors import SkippedError
from shoal.lake import Lake
from shoal.models import Model, register
from shoal.recommend.als import AlsSettings, as_pipeline, fit_als, settings_of, with_numbers
from shoal.recommend.evaluate import Evaluation, Metrics, Protocol, evaluate_models, evaluate_settings
from shoal.recommend.preferences import preferences
from shoal.recommend.search import SearchSpace, Trial
from shoal.recommend.split import test_part, training_part, with_time_split
from shoal.runs import run_job

LOG = logging.getLogger(__name__)
MODEL = "shoal_recommender"
TASK = "recommender"
BASELINE = "baseline"


def build_metric_rows(
    spark: SparkSession, metrics: Mapping[str, Mapping[str, Metrics]], version: str, is_champion: bool
) -> DataFrame:
    """One row per model, slice and metric; `users` is each row's units, not a metric of its own."""
    rows = [
        (
            TASK, model, version if model == "als" else BASELINE, part, metric,
            value, int(values["users"] or 0), is_champion and model == "als",
        )
        for model, slices in metrics.items()
        for part, values in slices.items()
        for metric, value in values.items()
        if metric != "users"
    ]  # fmt: skip
    names = ("task", "model", "model_version", "slice", "metric", "value", "units", "is_champion")
    columns = contract("ops.model_metrics").columns
    return spark.createDataFrame(rows, ", ".join(f"{name} {columns[name].type}" for name in names))


def search_space(conf: TrainRecommenderConf) -> SearchSpace:
    """What the settings allow to be tried."""
    return SearchSpace(
        conf.feedback, conf.ranks, conf.reg_params, conf.alphas, conf.search_iter, conf.max_iter, conf.seed
    )


def save_model(known: DataFrame, settings: AlsSettings, folder: Path) -> None:
    """Fit `settings` on all preferences and save the pipeline in `folder`."""
    as_pipeline(fit_als(known, settings), known).write().overwrite().save(folder.as_uri())


def run(lake: Lake, conf: TrainRecommenderConf, as_of: date) -> None:
    """Search, test against the baselines, refit, register, and write the metrics."""
    events = lake.read("silver.interactions", before=as_of)
    known = with_numbers(preferences(events, conf.event_weights)).persist()
    split = with_time_split(known, conf.test_ratio).persist()
    protocol = Protocol(conf.k, search_space(conf), conf.validation_ratio, lake.settings.recommend.user_block)
    try:
        if known.isEmpty():
            raise SkippedError(f"silver.interactions has no event up to {as_of}: there is nothing to train on")
        train, test = training_part(split), test_part(split)
        found = evaluate_models(train, test, ("random", "popularity", "als"), protocol, _log)
        found.lists.unpersist()
        chosen = found.als
        metric = f"ndcg@{conf.k}"
        with tempfile.TemporaryDirectory() as folder:
            save_model(known, chosen, Path(folder) / "pipeline")
            model = register(
                lake,
                MODEL,
                folder,
                metric=metric,
                metrics={name: value for name, value in found.metrics["als"]["all"].items() if value is not None},
                params={**chosen.named(), "as_of": as_of, "trials": len(found.trials), "k": conf.k},
                inputs={"user_id": "string", "item_id": "string"},
                outputs={"prediction": "float"},
                judge=lambda rival: judge_champion(rival, found, train, test, protocol, metric),
            )
    finally:
        split.unpersist()
        known.unpersist()
    rows = build_metric_rows(lake.spark, found.metrics, model.version, model.is_champion)
    lake.replace("ops.model_metrics", rows, on=as_of, task=TASK)
    lake.run.note(model_version=model.label, is_champion=model.is_champion, feedback=chosen.feedback, rank=chosen.rank,
                  reg_param=chosen.reg_param, alpha=chosen.alpha, trials=len(found.trials))  # fmt: skip


def judge_champion(
    rival: Model, found: Evaluation, train: DataFrame, test: DataFrame, protocol: Protocol, metric: str
) -> float | None:
    """What the champion's settings reach on the same split; the new model's own value where the settings are the same.
    """
    settings = settings_of(rival.params)
    if settings == found.als:
        return found.metrics["als"]["all"][metric]
    return evaluate_settings(train, test, settings, protocol)["all"][metric]


def _log(trial: Trial) -> None:
    """Each trial goes to the log."""
    LOG.info("%s: %s", trial.settings, trial.metrics)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runs for arguments and exit codes."""
    return run_job(__doc__, run, TrainRecommenderConf, argv)


if __name__ == "__main__":
    sys.exit(main())
