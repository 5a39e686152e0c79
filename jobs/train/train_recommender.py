"""Train the recommender: choose settings, test them, fit them on everything, register the model.

Reads:  silver.interactions   events up to as_of
Writes: ops.model_metrics     one row per model, metric and slice of the task recommender; replaces as_of's part
        and a version of the registered model `shoal_recommender` with its run in MLflow

The test part is the last fifth of each user's items by time. Settings are chosen inside the rest, where the blend's experts learn
too. What serves is the better of ALS and the blend that rests on it. The champion is judged by its settings, fitted on the same
training part: its own factors have seen the test events.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf import TrainRecommenderConf
from shoal.contract import contract
from shoal.errors import SkippedError
from shoal.lake import Lake
from shoal.models import Model, register
from shoal.recommend.als import AlsSettings, as_pipeline, fit_als, with_numbers
from shoal.recommend.blend import BlendSettings, Expert, can_blend, fit_experts, list_blend
from shoal.recommend.configured import blend_settings
from shoal.recommend.evaluate import Evaluation, Metrics, Protocol, evaluate_models, evaluate_settings, judge_lists
from shoal.recommend.preferences import preferences
from shoal.recommend.search import SearchSpace, Trial
from shoal.recommend.split import test_part, training_part, with_time_split
from shoal.recommend.trained import Trained, rounded, trained_of
from shoal.runs import run_job

LOG = logging.getLogger(__name__)
MODEL = "shoal_recommender"
TASK = "recommender"
BASELINE = "baseline"


OWN = ("als", "blend")


def build_metric_rows(
    spark: SparkSession, metrics: Mapping[str, Mapping[str, Metrics]], version: str, is_champion: bool, serves: str
) -> DataFrame:
    """One row per model, slice and metric; `users` is each row's units, not a metric of its own. `serves`: the model that is the
    champion's."""
    rows = [
        (
            TASK, model, version if model in OWN else BASELINE, part, metric,
            value, int(values["users"] or 0), is_champion and model == serves,
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
        metric = f"ndcg@{conf.k}"
        chosen = with_blend(lake, conf, found, train, test)
        with tempfile.TemporaryDirectory() as folder:
            save_model(known, chosen.als, Path(folder) / "pipeline")
            model = register(
                lake,
                MODEL,
                folder,
                metric=metric,
                metrics={name: value for name, value in found.metrics[chosen.serves]["all"].items() if value is not None},
                params={**chosen.named(), "as_of": as_of, "trials": len(found.trials), "k": conf.k},
                inputs={"user_id": "string", "item_id": "string"},
                outputs={"prediction": "float"},
                judge=lambda rival: judge_champion(lake, rival, found, chosen, train, test, protocol)[metric],
            )
    finally:
        split.unpersist()
        known.unpersist()
    rows = build_metric_rows(lake.spark, found.metrics, model.version, model.is_champion, chosen.serves)
    lake.replace("ops.model_metrics", rows, on=as_of, task=TASK)
    als = chosen.als
    lake.run.note(model_version=model.label, is_champion=model.is_champion, serves=chosen.serves, feedback=als.feedback,
                  rank=als.rank, reg_param=als.reg_param, alpha=als.alpha, trials=len(found.trials))  # fmt: skip


def with_blend(lake: Lake, conf: TrainRecommenderConf, found: Evaluation, train: DataFrame, test: DataFrame) -> Trained:
    """What ALS and the blend on it are, the better serving (ALS where they are equal); the blend's metrics go into `found`.

    A search that chose explicit ALS, no expert in conf, and data in which no two users share an item leave ALS alone.
    """
    settings = blend_settings(lake.settings.blend, found.als, conf.experts)
    if not found.als.is_implicit or not conf.experts or not can_blend(train, settings):
        return Trained(found.als, (), "als")
    experts = tuple(map(rounded, fit_experts(train, settings)))
    found.metrics["blend"] = judge_blend(settings, experts, train, test, conf.k)
    value = {name: found.metrics[name]["all"][f"ndcg@{conf.k}"] or 0.0 for name in OWN}
    return Trained(found.als, experts, "blend" if value["blend"] > value["als"] else "als")


def judge_blend(
    settings: BlendSettings, experts: Sequence[Expert], train: DataFrame, test: DataFrame, k: int
) -> dict[str, Metrics]:
    """slice -> metric -> mean of the blend with these experts, its parts fitted on `train`."""
    users = test.select("user_id").where("user_id is not null").distinct()
    lists = list_blend(train, users, settings, experts, k).withColumn("model", F.lit("blend")).persist()
    try:
        return judge_lists(lists, test, train, ["blend"], k)["blend"]
    finally:
        lists.unpersist()


def judge_champion(
    lake: Lake, rival: Model, found: Evaluation, chosen: Trained, train: DataFrame, test: DataFrame, protocol: Protocol
) -> Metrics:
    """What the champion's settings reach on the same split; the new model's own metrics where the settings are the same."""
    trained = trained_of(rival.params)
    if trained.named() == {**chosen.named(), "serves": trained.serves}:
        return found.metrics[trained.serves]["all"]
    if trained.serves == "als":
        return evaluate_settings(train, test, trained.als, protocol)["all"]
    settings = blend_settings(lake.settings.blend, trained.als, [expert.name for expert in trained.experts])
    return judge_blend(settings, trained.experts, train, test, protocol.k)["all"]


def _log(trial: Trial) -> None:
    """Each trial goes to the log."""
    LOG.info("%s: %s", trial.settings, trial.metrics)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runs for arguments and exit codes."""
    return run_job(__doc__, run, TrainRecommenderConf, argv)


if __name__ == "__main__":
    sys.exit(main())
