"""Classifiers of texts that were trained without pooling the sources: the rows, the registry, ops.fed_rounds.

The model is registered as `shoal_federated_<task>`, beside `shoal_<task>` of the pooled training, whose next run would take its
place; with `serves` as the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from shoal.conf.sections import TrainFederatedConf, TrainSentimentConf
from shoal.errors import InputError, SkippedError, UsageError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.mine.text.federated import FederatedTraining, Federation, train_federated
from shoal.mine.text.moderation import ALLOWED
from shoal.mine.text.parts import Plan
from shoal.models.text_classifiers import LABEL_COLUMNS, MODERATION, metric_rows, plan_of, register_classifier

TABLE = "ops.fed_rounds"
AUTHOR = "author"


def federated_task(task: str) -> str:
    """The task of ops.model_metrics, and of the registered model's name."""
    return f"federated_{task}"


def federation_of(conf: TrainFederatedConf) -> Federation:
    """The settings as the training takes them."""
    names = (
        "epsilon", "delta", "rounds", "clip_norm", "learning_rate", "momentum", "class_weight_power", "min_units", "labels",
        "noise_at", "noise_seed",
    )  # fmt: skip
    return Federation(**{name: getattr(conf, name) for name in names})


def federated_plan(conf: TrainFederatedConf, shared: TrainSentimentConf) -> Plan:
    """How rows are held out, as in the pooled training, and how texts become terms."""
    return replace(plan_of(shared), word_ngrams=conf.word_ngrams, char_ngrams=conf.char_ngrams, hash_bits=conf.hash_bits)


def texts_by_source(texts: DataFrame, conf: TrainFederatedConf, allowed_labels: Sequence[str]) -> DataFrame:
    """Columns text, label, group, source and unit of the rows of silver.texts with a label of the task. A person is a group, so
    that all texts of a person are held out or none.

    Raises UsageError for a source_column that silver.texts has not, that names people, or that is a label.
    """
    made = contract("silver.texts").columns
    column = made.get(conf.source_column)
    usable = [n for n, c in made.items() if c.type == "string" and not c.pii and n not in (*LABEL_COLUMNS.values(), "run_id")]
    if column is None or conf.source_column not in usable:
        raise UsageError(f"train_federated.source_column {conf.source_column}: expected one of {', '.join(usable)}")
    label = F.col(LABEL_COLUMNS[conf.task])
    rows = texts.where(F.trim(label) != "")
    if conf.task == MODERATION:
        label = F.when(F.lower(F.trim(label)).isin([n.lower() for n in allowed_labels]), ALLOWED).otherwise(label)
    by_author = conf.unit == AUTHOR
    return rows.select(
        "text", label.alias("label"), (F.col("author_id") if by_author else F.lit(None).cast("string")).alias("group"),
        F.col(conf.source_column).alias("source"), F.col("author_id" if by_author else "text_id").alias("unit"),
    )  # fmt: skip


def train_task_federated(
    lake: Lake, conf: TrainFederatedConf, shared: TrainSentimentConf, allowed_labels: Sequence[str], as_of: date
) -> None:
    """Train on the texts known by as_of, record the rounds, register the classifier, replace the task's rows of the day in
    ops.model_metrics, and note the outcome in the run.

    The rounds are recorded first: a run that is cut off after that has spent more by the table than anybody saw. Raises
    SkippedError where nothing can be learned.
    """
    texts = texts_by_source(lake.read("silver.texts", before=as_of), conf, allowed_labels)
    if texts.isEmpty():
        raise SkippedError(f"no text with a {LABEL_COLUMNS[conf.task]} in silver.texts up to {as_of}")
    plan = federated_plan(conf, shared)
    try:
        found = train_federated(texts, plan, federation_of(conf))
    except InputError as error:
        raise SkippedError(f"silver.texts up to {as_of}: {error}") from None
    lake.append(TABLE, round_rows(lake, found, conf, as_of), unique=True)
    name = conf.task if conf.serves else federated_task(conf.task)
    # Equal figures are no equal model where the noise is new.
    drawn = lake.run.run_id if noise_of(conf) == "system" else noise_of(conf)
    params = {
        "as_of": as_of, "federated": True, "unit": conf.unit, "epsilon": found.epsilon, "delta": found.delta, "noise": drawn,
        "noise_at": conf.noise_at,
        "sources": len(found.sources),
    }  # fmt: skip
    model = register_classifier(lake, name, texts.drop("source", "unit"), found.training, plan, params)
    rows = metric_rows(lake.spark, federated_task(conf.task), found.training, model).coalesce(1)
    lake.replace("ops.model_metrics", rows, on=as_of, unique=True, task=federated_task(conf.task))
    everywhere = found.epsilon_in(len(found.sources))
    lake.run.note(
        model_version=model.label, is_champion=model.is_champion, macro_f1=found.training.quality.macro_f1, epsilon=found.epsilon,
        delta=found.delta, noise=noise_of(conf), noise_at=conf.noise_at, noise_multiplier=found.multiplier,
        sources=len(found.sources), people=sum(found.sources.values()), epsilon_of_a_person_in_all_sources=everywhere,
        sources_left_out=len(found.left_out), rows_without_person=found.unnamed, model=model.folder,
    )  # fmt: skip


def noise_of(conf: TrainFederatedConf) -> str:
    """Where the noise comes from: none, system, seeded."""
    if conf.epsilon is None:
        return "none"
    return "system" if conf.noise_seed is None else "seeded"


def round_rows(lake: Lake, found: FederatedTraining, conf: TrainFederatedConf, as_of: date) -> DataFrame:
    """The rows of ops.fed_rounds of a training."""
    kept = StructType([field for field in contract(TABLE).struct() if field.name != "run_id"])
    rows: list[tuple[Any, ...]] = [
        (as_of, conf.task, each.round, conf.source_column, each.source, conf.unit, each.rows, each.units,
         conf.clip_norm if each.round else 1.0, each.clipped / each.units, each.norm, noise_of(conf), conf.noise_at,
         found.multiplier, each.epsilon, found.delta, each.loss)
        for each in found.updates
    ]  # fmt: skip
    return lake.spark.createDataFrame(rows, kept).coalesce(1)
