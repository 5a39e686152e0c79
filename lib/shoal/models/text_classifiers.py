"""The registered text classifiers, `shoal_<task>`: put a trained one into the lake's registry, get the champion back."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf.sections import TrainSentimentConf
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.classifier import Classifier, Training, evaluate_classifier, train_classifier
from shoal.mine.text.moderation import ALLOWED, decided_items
from shoal.mine.text.parts import Plan
from shoal.mine.text.saved import load_classifier, save_classifier
from shoal.models.metrics_table import metric_frame
from shoal.models.registry import Model, champion, register

LOG = logging.getLogger(__name__)
SENTIMENT, EMOTION, MODERATION = TASKS = ("sentiment", "emotion", "moderation")
METRIC, BASELINE = "macro_f1", "baseline"


def model_name(task: str) -> str:
    """The name of a task's model in the registry."""
    return f"shoal_{task}"


def plan_of(conf: TrainSentimentConf) -> Plan:
    """The settings as the classifier takes them."""
    return Plan(**conf.model_dump(exclude={"lexicon_weight"}))


# The column of silver.texts with a task's labels, and the table that a task without labels is waiting for.
LABEL_COLUMNS = {SENTIMENT: "label", EMOTION: "emotion_label", MODERATION: "moderation_label"}
LABELLED_IN = {SENTIMENT: "silver.texts", EMOTION: "silver.texts", MODERATION: "silver.moderation"}


def labelled_texts(lake: Lake, task: str, as_of: date, after: date | None = None) -> DataFrame:
    """Columns text, label and group of the rows of silver.texts with a label of SENTIMENT or EMOTION that were known by as_of. With
    `after`, only what no model can have learned from by the end of that day: texts written later.

    A text's own words are its group (null). Raises SkippedError where the table does not exist.
    """
    return _labelled(lake.read("silver.texts", before=as_of), task, after)


def judged_texts(lake: Lake, allowed_labels: Sequence[str], as_of: date, after: date | None = None) -> DataFrame:
    """The same for MODERATION: items that moderators decided about (label: the newest verdict; with `after`, items whose first
    decision came later), and texts with a moderation_label. What `allowed_labels` names, in any case, is the one label `allowed`.

    Raises SkippedError where neither silver.moderation nor silver.texts exists. One job, which ends at the first labelled text.
    """
    frames = []
    decisions, texts = (lake.read_if_exists(name, before=as_of) for name in ("silver.moderation", "silver.texts"))
    if decisions is not None:
        if after is not None:
            earlier = lake.read("silver.moderation", before=after).select("item_id")
            decisions = decisions.join(earlier, "item_id", "left_anti")
        frames.append(decided_items(lake.read("silver.items", before=as_of), decisions))
    if texts is not None:
        known = _labelled(texts, MODERATION, after)
        is_allowed = F.lower(F.trim("label")).isin([name.lower() for name in allowed_labels])
        named = F.when(is_allowed, ALLOWED).otherwise(F.col("label"))
        # Most lakes label no text for moderation: then the training reads the decisions alone.
        if not frames or not known.isEmpty():
            frames.append(known.withColumn("label", named))
    if not frames:
        raise SkippedError("silver.moderation and silver.texts do not exist")
    return reduce(DataFrame.unionByName, frames)


def _labelled(texts: DataFrame, task: str, after: date | None) -> DataFrame:
    """text, label and group (null) of the rows of silver.texts with a label of the task, written after that day."""
    label = F.col(LABEL_COLUMNS[task])
    known = texts.where(F.trim(label) != "")
    if after is not None:
        known = known.where(F.to_date("created_at") > F.lit(after))
    return known.select("text", label.alias("label"), F.lit(None).cast("string").alias("group"))


def train_task(lake: Lake, task: str, texts: DataFrame, conf: TrainSentimentConf, as_of: date, source: str) -> None:
    """Train the classifier of a task on `texts` (text, label, group), register it, replace the task's rows of the day in
    ops.model_metrics, and note the outcome in the run.

    Raises SkippedError, naming `source`, for labels that nothing can be learned from: the other stages can go on.
    """
    plan = plan_of(conf)
    training = learned(texts, plan, as_of, source)
    model = register_classifier(lake, task, texts, training, plan, {"as_of": as_of})
    rows = metric_rows(lake.spark, task, training, model).coalesce(1)
    lake.replace("ops.model_metrics", rows, on=as_of, unique=True, task=task)
    lake.run.note(model_version=model.label, is_champion=model.is_champion, macro_f1=training.quality.macro_f1,
                  dropped_texts=training.dropped, **training.settings)  # fmt: skip


def learned(texts: DataFrame, plan: Plan, as_of: date, source: str) -> Training:
    """The classifier of `texts`. Raises SkippedError, naming `source`, for labels that nothing can be learned from."""
    try:
        return train_classifier(texts, plan)
    except InputError as error:
        raise SkippedError(f"{source} up to {as_of}: {error}") from None


def register_classifier(
    lake: Lake, task: str, texts: DataFrame, training: Training, plan: Plan, params: Mapping[str, object], promotes: bool = True
) -> Model:
    """Register the classifier of a task; with `promotes` it becomes champion where its macro-F1 is at least the champion's on
    the same held-out rows of `texts`, and where the champion is of a format that is not read any more. `params` are recorded beside
    the settings.
    """

    def judge(rival: Model) -> float:
        try:
            loaded, _ = load_classifier(rival.folder)
        except InputError as error:
            LOG.warning("%s cannot be judged and is replaced: %s", rival.label, error)
            return -1.0
        return evaluate_classifier(texts, loaded, plan).macro_f1

    found = {**training.quality.named(), **{f"baseline_{k}": v for k, v in training.baseline.named().items()}}
    with tempfile.TemporaryDirectory(prefix=f"shoal-{task}-") as folder:
        save_classifier(training.classifier, Path(folder) / "model", content_version(task, training), facts_of(training))
        return register(
            lake, model_name(task), Path(folder) / "model", metric=METRIC, metrics=found, judge=judge,
            params={
                **training.settings, **params, "rows": training.rows, "train_rows": training.train_rows,
                "seed": plan.seed, "test_ratio": plan.test_ratio, "labels": json.dumps(training.classifier.labels),
            },
            inputs={"text": "string"}, outputs={"predicted_label": "string"}, promotes=promotes,
        )  # fmt: skip


def champion_classifier(lake: Lake, task: str) -> tuple[Classifier, Model] | None:
    """The champion of a task and its registry entry, or None where no classifier was registered."""
    model = champion(lake, model_name(task))
    return None if model is None else (load_classifier(model.folder)[0], model)


def champion_thresholds(lake: Lake, task: str) -> tuple[Classifier, dict[str, list[float | None]], str] | None:
    """The champion of a task, of each label the thresholds for the precisions of its training, and its version; None without
    one."""
    model = champion(lake, model_name(task))
    if model is None:
        return None
    classifier, about = load_classifier(model.folder)
    return classifier, {name: [one["threshold"] for one in found] for name, found in about["thresholds"].items()}, model.label


def metric_rows(spark: SparkSession, task: str, training: Training, model: Model) -> DataFrame:
    """One row per model and metric of ops.model_metrics; the F1 of a label has the slice `label=<label>`, and so has the precision
    on held-out rows from the label's thresholds on, `precision_from_<wanted>`, null where no row reaches it."""
    judged = (("linear", model.version, training.quality, model.is_champion), ("majority", BASELINE, training.baseline, False))
    rows: list[tuple[str, str, str, str, str, float | None, int, bool]] = [
        (task, name, version, part, metric, value, found.rows, is_champion)
        for name, version, found, is_champion in judged
        for part, metric, value in [
            *(("all", metric, value) for metric, value in found.named().items()),
            *((f"label={label}", "f1", value) for label, value in found.f1.items()),
        ]
    ]
    rows += [
        (task, "linear", model.version, f"label={label}", f"precision_from_{one.precision}", one.held_out_precision,
         one.held_out_rows, model.is_champion)
        for label, found in training.thresholds.items() for one in found
    ]  # fmt: skip
    return metric_frame(spark, rows)


def facts_of(training: Training) -> dict[str, Any]:
    """What a training found, for a summary and for model.json."""
    tested, base = training.quality, training.baseline
    return {
        "rows": training.rows, "dropped_rows": training.dropped, "train_rows": training.train_rows, "test_rows": tested.rows,
        "fitted_rows": training.fitted_rows,
        "metrics": {**tested.named(), "f1": tested.f1}, "baseline": {**base.named(), "f1": base.f1},
        "settings": training.settings, "thresholds": {k: [asdict(one) for one in v] for k, v in training.thresholds.items()},
    }  # fmt: skip


def content_version(task: str, training: Training) -> str:
    """A version for a model outside a registry, `<task>-<12 hex digits>`: equal trainings have equal versions."""
    # Sums of doubles depend on the order of partitions in their last digits.
    facts = json.loads(json.dumps(facts_of(training)), parse_float=lambda text: f"{float(text):.6g}")
    said = json.dumps([training.classifier.labels, facts], sort_keys=True)
    return f"{task}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
