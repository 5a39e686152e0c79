"""Train the recommender: choose settings, test them, fit them on everything, register the model.

Reads:  silver.interactions   events up to as_of
        silver.items          what items are about, where there are any
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
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.sections import TrainRecommenderConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.metrics_table import metric_frame, metric_rows
from shoal.models.recommender import MODEL
from shoal.models.registry import Model, register
from shoal.recommend.candidates.als import AlsSettings, as_pipeline, fit_als, list_als, with_numbers
from shoal.recommend.candidates.blend import Expert, can_blend, fit_experts, list_blend
from shoal.recommend.candidates.configured import blend_settings, content_settings
from shoal.recommend.candidates.content import labels_of
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.candidates.search import SearchSpace, Trial, search_als
from shoal.recommend.candidates.trained import RecommenderSpec, rounded, trained_of
from shoal.recommend.evaluation.evaluate import MODELS, EvaluationProtocol, Metrics, evaluate_lists
from shoal.recommend.protocol.split import test_part, training_part, with_time_split
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items")
WRITES = ("ops.model_metrics", "models:/shoal_recommender")
SETTINGS = ("blend", "content", "recommend")

LOG = logging.getLogger(__name__)
TASK = "recommender"
BASELINE = "baseline"
BASELINES = ("random", "popularity")
OWN = ("als", "blend")


def build_metric_rows(
    spark: SparkSession, metrics: Mapping[str, Mapping[str, Metrics]], version: str, is_champion: bool, serves: str
) -> DataFrame:
    """One row per model, slice and metric. `serves`: the model that is the champion's."""
    rows = metric_rows(TASK, metrics, lambda model: version if model in OWN else BASELINE, serves if is_champion else None)
    return metric_frame(spark, rows)


def search_space(conf: TrainRecommenderConf) -> SearchSpace:
    """What the settings allow to be tried."""
    return SearchSpace(conf.feedback, conf.ranks, conf.reg_params, conf.alphas, conf.search_iter, conf.max_iter, conf.seed)


def save_model(known: DataFrame, settings: AlsSettings, folder: Path) -> None:
    """Fit `settings` on all preferences and save the pipeline in `folder`."""
    as_pipeline(fit_als(known, settings), known).write().overwrite().save(folder.as_uri())


def run(lake: Lake, conf: TrainRecommenderConf, as_of: date) -> None:
    """Search, test against the baselines, refit, register, and write the metrics."""
    events = lake.read("silver.interactions", before=as_of)
    metric = f"ndcg@{conf.k}"
    protocol = EvaluationProtocol(conf.k, search_space(conf), conf.validation_ratio, lake.settings.recommend.user_batch_size)
    with ExitStack() as stack:

        def keep(rows: DataFrame) -> DataFrame:
            stack.callback(rows.persist().unpersist)
            return rows

        known = keep(with_numbers(preferences(events, conf.event_weights)))
        if known.isEmpty():
            raise SkippedError(f"silver.interactions has no event up to {as_of}: there is nothing to train on")
        split = keep(with_time_split(known, conf.test_ratio))
        train, test = training_part(split), test_part(split)
        items = lake.read("silver.items", before=as_of) if lake.exists("silver.items") else None
        described = labels_of(items, content_settings(lake.settings.content))
        content = keep(described) if described is not None else None
        best, trials = search_als(train, protocol.space, conf.k, conf.validation_ratio, protocol.user_batch_size, _log)
        experts = learned_experts(lake, conf, best, train, content)
        metrics = judge(lake, RecommenderSpec(best, experts, ""), train, test, protocol, content, BASELINES)
        # ALS where they are equal: it is the cheaper one to serve.
        own = [name for name in OWN if name in metrics]
        chosen = RecommenderSpec(best, experts, max(own, key=lambda name: metrics[name]["all"][metric] or 0.0))
        with tempfile.TemporaryDirectory() as folder:
            save_model(known, chosen.als, Path(folder) / "pipeline")
            model = register(
                lake,
                MODEL,
                folder,
                metric=metric,
                metrics={name: value for name, value in metrics[chosen.serves]["all"].items() if value is not None},
                params={**chosen.named(), "as_of": as_of, "trials": len(trials), "k": conf.k},
                inputs={"user_id": "string", "item_id": "string"},
                outputs={"prediction": "float"},
                judge=lambda rival: evaluate_champion(lake, rival, chosen, metrics, train, test, protocol, content)[metric],
            )
    rows = build_metric_rows(lake.spark, metrics, model.version, model.is_champion, chosen.serves)
    lake.replace("ops.model_metrics", rows, on=as_of, task=TASK)
    als = chosen.als
    lake.run.note(model_version=model.label, is_champion=model.is_champion, serves=chosen.serves, feedback=als.feedback,
                  rank=als.rank, reg_param=als.reg_param, alpha=als.alpha, trials=len(trials))  # fmt: skip


def learned_experts(
    lake: Lake, conf: TrainRecommenderConf, als: AlsSettings, train: DataFrame, content: DataFrame | None
) -> tuple[Expert, ...]:
    """The blend's experts; none where the search chose explicit ALS, conf names none, or no two users share an item."""
    settings = blend_settings(lake.settings.blend, lake.settings.content, als, conf.experts)
    if not als.is_implicit or not conf.experts or not can_blend(train, settings):
        return ()
    return tuple(map(rounded, fit_experts(train, settings, content)))


def judge(
    lake: Lake,
    trained: RecommenderSpec,
    train: DataFrame,
    test: DataFrame,
    protocol: EvaluationProtocol,
    content: DataFrame | None,
    others: Sequence[str] = (),
) -> dict[str, dict[str, Metrics]]:
    """model -> slice -> metric -> mean of `others` (see MODELS), of ALS on `train`, and, where there are experts, of the blend on
    its factors; one evaluation pass."""
    users = test.select("user_id").where("user_id is not null").distinct()
    als = fit_als(train, trained.als)
    lists = list_als(als, train, users, protocol.k, protocol.user_batch_size).withColumn("model", F.lit("als"))
    if trained.experts:
        names = [expert.name for expert in trained.experts]
        settings = blend_settings(lake.settings.blend, lake.settings.content, trained.als, names)
        blended = list_blend(train, users, settings, trained.experts, protocol.k, als, content=content)
        lists = lists.unionByName(blended.withColumn("model", F.lit("blend")))
    for name in others:
        rows = MODELS[name](train, users, protocol, {}, _log)
        lists = lists.unionByName(rows.select("user_id", "rank", "item_id", "score", F.lit(name).alias("model")))
    lists = lists.persist()
    try:
        return evaluate_lists(lists, test, train, [*others, *(OWN if trained.experts else OWN[:1])], protocol.k)
    finally:
        lists.unpersist()


def evaluate_champion(
    lake: Lake, rival: Model, chosen: RecommenderSpec, metrics: Mapping[str, Mapping[str, Metrics]], train: DataFrame,
    test: DataFrame,
    protocol: EvaluationProtocol, content: DataFrame | None,
) -> Metrics:  # fmt: skip
    """What the champion's settings reach on the same split; from the new model's `metrics` where the settings are the same."""
    trained = trained_of(rival.params)
    if (trained.als, trained.experts) == (chosen.als, chosen.experts):
        return metrics[trained.serves]["all"]
    return judge(lake, trained, train, test, protocol, content)[trained.serves]["all"]


def _log(trial: Trial) -> None:
    """Each trial goes to the log."""
    LOG.info("%s: %s", trial.settings, trial.metrics)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainRecommenderConf, argv)


if __name__ == "__main__":
    sys.exit(main())
