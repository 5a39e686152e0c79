"""Train the recommender: choose settings, compare models, fit the chosen one on everything, register it.

Reads:  silver.interactions   events up to as_of
        silver.items          what items are about, where there are any
        silver.blocks         users whose items a user is not to see, where the table exists
        silver.moderation     items that moderators have removed, where the table exists
Writes: ops.model_metrics     one row per model, metric and slice of the task recommender; replaces as_of's part
        and a version of the registered model `shoal_recommender` with its run in MLflow

Events after one moment, the last fifth of all, are what models must find; half of the users there decide which model serves and
whether it becomes champion, the others give the reported figures. `served` are the chosen model's lists as build_recommendations
makes them: rules, cold-start slots and fallback included. See shoal.recommend.evaluation.training and served.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame
from shoal.conf.sections import TrainRecommenderConf
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.models.metrics_table import metric_frame, metric_rows
from shoal.models.recommender import FOLDER, MODEL
from shoal.models.registry import Model, register
from shoal.recommend.candidates.artifact import load_recommender, save_recommender
from shoal.recommend.candidates.configured import content_settings, training_blend
from shoal.recommend.candidates.content import labels_of
from shoal.recommend.candidates.search import SearchSpace, Trial
from shoal.recommend.evaluation.served import ServingInputs
from shoal.recommend.evaluation.training import SERVED, TrainingSettings, beats, fit_chosen, prepare, select
from shoal.recommend.ranking.context import Sources
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items", "silver.blocks", "silver.moderation")
WRITES = ("ops.model_metrics", "models:/shoal_recommender")
SETTINGS = ("blend", "content", "features", "recommend")
LOG = logging.getLogger(__name__)
TASK = "recommender"
OWN = ("als", "blend", SERVED)


def settings_of(lake: Lake, conf: TrainRecommenderConf) -> TrainingSettings:
    """What the settings ask for."""
    space = SearchSpace(conf.feedback, conf.ranks, conf.reg_params, conf.alphas, conf.search_iter, conf.max_iter, conf.seed)
    weights = tuple(sorted(conf.event_weights.items()))
    blend = training_blend(lake.settings.blend, lake.settings.content, conf.experts) if conf.experts else None
    return TrainingSettings(
        conf.k, space, conf.validation_ratio, conf.test_ratio, conf.max_p_value, lake.settings.recommend.user_batch_size,
        conf.ratings, weights, blend,
    )  # fmt: skip


def serving_of(lake: Lake, conf: TrainRecommenderConf, as_of: date) -> ServingInputs:
    """What build_recommendations would read, up to as_of; the evaluation drops what is later than its moment."""
    optional = [lake.read_if_exists(name, before=as_of) for name in ("silver.items", "silver.blocks", "silver.moderation")]
    sources, others = Sources(lake.read("silver.interactions", before=as_of), *optional), lake.settings
    half_life = others.features.half_life_days
    return ServingInputs(sources, others.recommend, others.content, half_life, conf.event_weights, as_of)


def run(lake: Lake, conf: TrainRecommenderConf, as_of: date) -> None:
    """Split, select, fit, register, and write the metrics."""
    settings = settings_of(lake, conf)
    events = lake.read("silver.interactions", before=as_of)
    with ExitStack() as stack:

        def keep(rows: DataFrame) -> DataFrame:
            stack.callback(rows.persist().unpersist)
            return rows

        data = prepare(events, settings, keep)
        if data is None:
            raise SkippedError(f"silver.interactions has no event up to {as_of}: there is nothing to train on")
        items = lake.read("silver.items", before=as_of) if lake.exists("silver.items") else None
        described = labels_of(items, content_settings(lake.settings.content)) if settings.blend is not None else None
        content = keep(described) if described is not None else None
        chosen = select(data, content, settings, keep, _log, serving_of(lake, conf, as_of))
        spec = chosen.spec

        def is_better(rival: Model) -> bool:
            try:
                return beats(chosen, load_recommender(rival.folder / FOLDER), data, content, settings, keep)
            except InputError as error:
                LOG.warning("%s cannot be compared; the new model serves: %s", rival.label, error)
                return True

        with tempfile.TemporaryDirectory() as folder:
            als, blend = fit_chosen(data, spec, content, settings)
            save_recommender(Path(folder) / FOLDER, spec, als, blend)
            model = register(
                lake,
                MODEL,
                folder,
                metric=f"ndcg@{conf.k}",
                metrics={name: value for name, value in chosen.metrics[spec.serves]["all"].items() if value is not None},
                params={**spec.named(), "as_of": as_of, "trials": len(chosen.trials), "k": conf.k},
                inputs={"user_id": "string", "item_id": "string"},
                outputs={"prediction": "float"},
                beats=is_better,
                tags={"shoal.split": data.kind},
            )
    champion = spec.serves if model.is_champion else None
    rows = metric_rows(TASK, chosen.metrics, lambda name: model.version if name in OWN else "baseline", champion)
    lake.replace("ops.model_metrics", metric_frame(lake.spark, rows), on=as_of, task=TASK)
    lake.run.note(model_version=model.label, is_champion=model.is_champion, serves=spec.serves, feedback=spec.als.feedback,
                  rank=spec.als.rank, reg_param=spec.als.reg_param, alpha=spec.als.alpha, trials=len(chosen.trials),
                  split=data.kind if data.moment is not None else "random: no event has a time")  # fmt: skip


def _log(trial: Trial) -> None:
    """Each trial goes to the log."""
    LOG.info("%s: %s", trial.settings, trial.metrics)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainRecommenderConf, argv)


if __name__ == "__main__":
    sys.exit(main())
