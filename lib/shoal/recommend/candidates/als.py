"""Alternating least squares on MLlib, with string ids, and lists from the top-k engine.

Explicit ALS predicts the rating that a user would give. It is fitted on what users chose to rate, so its order says
little about what they will choose next (Cremonesi, Koren and Turrin, RecSys 2010): lists are best made by implicit ALS,
which models the choice itself (Hu, Koren and Volinsky, ICDM 2008). Which one serves is decided on validation data
(`shoal.recommend.candidates.search`).
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.ml.feature import IndexToString, StringIndexerModel
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from shoal.errors import InputError, UsageError
from shoal.recommend.ranking.reason import als_reason
from shoal.recommend.ranking.top_k import MAX_ID_BYTES, rank_top_k

# Ids are numbered inside so many hash buckets, in parallel and the same way every time.
BUCKETS = 64
# MLlib cuts its lineage every so many rounds where it has a folder for that; without one, some 20 rounds overflow the stack.
CHECKPOINT_ROUNDS = 10


@dataclass(frozen=True)
class AlsSettings:
    """What is fitted. `reg_param` is per rating of a user or item (MLlib's ALS-WR scaling); `alpha`: confidence is
    1 + alpha * weight; it means nothing where feedback is explicit."""

    feedback: str
    rank: int
    reg_param: float
    alpha: float
    max_iter: int
    seed: int

    @property
    def is_implicit(self) -> bool:
        """Whether preferences are fitted by weight, and not ratings by value."""
        return self.feedback == "implicit"

    def named(self) -> dict[str, Any]:
        """The settings by name, for logs."""
        return asdict(self)


def settings_of(params: Mapping[str, str]) -> AlsSettings:
    """The settings whose `named()` was recorded as text. Raises InputError where one is missing or is no number."""
    kinds = {field.name: {"int": int, "float": float, "str": str}[str(field.type)] for field in fields(AlsSettings)}
    try:
        return AlsSettings(**{name: kind(params[name]) for name, kind in kinds.items()})
    except (KeyError, ValueError) as error:
        raise InputError(f"the recorded settings of an ALS model: {error}; train it again") from None


@dataclass(frozen=True)
class AlsModel:
    """`user_factors`: user_id, features (array<float>); `item_factors`: item_id, features. Ids are unique; no order.

    `fitted`: MLlib's model over the numbers that ids have (`with_numbers`).
    """

    settings: AlsSettings
    user_factors: DataFrame
    item_factors: DataFrame
    fitted: ALSModel


def number_ids(rows: DataFrame, column: str, name: str) -> DataFrame:
    """One row per distinct id of `column`: the id and `name`, an int from 0 without gaps; the same at every call.

    Null ids are left out. Cost: two shuffles of the distinct ids; no single partition sorts them all. Raises nothing
    below 2,147,483,648 ids, which is what MLlib's ALS can hold.
    """
    bucketed = rows.select(column).where(F.col(column).isNotNull()).distinct()
    bucketed = bucketed.withColumn("_bucket", F.pmod(F.xxhash64(column), F.lit(BUCKETS)))
    sizes = bucketed.groupBy("_bucket").agg(F.count(F.lit(1)).alias("_size"))
    before = F.sum("_size").over(Window.orderBy("_bucket").rowsBetween(Window.unboundedPreceding, -1))
    offsets = sizes.select("_bucket", F.coalesce(before, F.lit(0)).alias("_offset"))
    place = F.row_number().over(Window.partitionBy("_bucket").orderBy(column)) - 1
    numbered = bucketed.withColumn("_place", place).join(F.broadcast(offsets), "_bucket")
    return numbered.select(column, (F.col("_offset") + F.col("_place")).cast("int").alias(name))


def with_numbers(preferences: DataFrame) -> DataFrame:
    """The preferences with `user` and `item`, the ids as dense ints, which is what MLlib's ALS takes. Rows without an id
    are left out.

    Number first, then split: all parts then share one numbering. Persist the result where several fits use it. Cost: the
    shuffles of `number_ids`, two joins.
    """
    users, items = number_ids(preferences, "user_id", "user"), number_ids(preferences, "item_id", "item")
    return preferences.join(users, "user_id").join(items, "item_id").select(*preferences.columns, "user", "item")


def fit_als(preferences: DataFrame, settings: AlsSettings) -> AlsModel:
    """The factors of all users and items in `preferences`, explicit on `value` or implicit on `weight`.

    `preferences`: user_id, item_id, user, item (see `with_numbers`), weight, value. Users and items without a rating have
    no factors in an explicit model. The same data and settings give the same factors up to the rounding of sums. More
    than 10 rounds need a checkpoint folder: a local session without one gets a temporary folder.

    Raises InputError where there is nothing to fit, UsageError on a cluster without that folder. Cost: max_iter shuffles
    of the factors; MLlib caches the ratings in blocks, one a core, and the factors, which Spark drops when nobody refers
    to them; one shuffle of the preferences by user and one by item for the ids.
    """
    blocks = preferences.sparkSession.sparkContext.defaultParallelism
    target = F.col("weight" if settings.is_implicit else "value").cast("float")
    ratings = preferences.select("user", "item", target.alias("rating")).where("rating is not null")
    if ratings.isEmpty():
        wanted = "weight" if settings.is_implicit else "rating"
        raise InputError(f"nothing to fit {settings.feedback} ALS on: no row has a {wanted}")
    if settings.max_iter > CHECKPOINT_ROUNDS:
        _need_checkpoints(ratings.sparkSession)
    trainer = ALS(
        checkpointInterval=CHECKPOINT_ROUNDS,
        rank=settings.rank,
        maxIter=settings.max_iter,
        regParam=settings.reg_param,
        alpha=settings.alpha,
        implicitPrefs=settings.is_implicit,
        seed=settings.seed,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
    )
    fitted = trainer.fit(ratings)
    users, items = (preferences.select(pair).distinct() for pair in (["user_id", "user"], ["item_id", "item"]))
    user_factors = fitted.userFactors.join(users, F.col("id") == F.col("user")).select("user_id", "features")
    item_factors = fitted.itemFactors.join(items, F.col("id") == F.col("item")).select("item_id", "features")
    return AlsModel(settings, user_factors, item_factors, fitted)


def as_pipeline(model: AlsModel, numbered: DataFrame) -> PipelineModel:
    """The model as one MLlib pipeline, to be saved and registered: user_id, item_id -> prediction (float).

    `numbered`: all that `with_numbers` gave, not a part of it. Ids become numbers by string indexers that hold them in
    order; rows of an unknown user or item are left out. Raises InputError where the ids take more than 2 GiB. Cost: collects
    the ids, sizes asked for first: up to these 2 GiB as Arrow and again as text of Python, some 50 bytes more an id, each handed
    to Java by itself.
    """
    stages: list[Any] = []
    for column, name in (("user_id", "user"), ("item_id", "item")):
        ids = numbered.select(column, name).distinct()
        total = ids.agg(F.sum(F.octet_length(column))).first()
        if total is not None and (total[0] or 0) > MAX_ID_BYTES:
            raise InputError(f"{column}: the ids take {total[0] >> 20} MiB; a saved model holds {MAX_ID_BYTES >> 20} at most")
        labels = pa.Table.from_batches(ids._collect_as_arrow()).sort_by(name).column(column).to_pylist()
        stages.append(StringIndexerModel.from_labels(labels, inputCol=column, outputCol=name, handleInvalid="skip"))
    return PipelineModel([*stages, model.fitted])


def from_pipeline(pipeline: PipelineModel, settings: AlsSettings) -> AlsModel:
    """What `as_pipeline` made, as a model again; `settings` are those it was fitted with. Cost: the ids, at most the 2 GiB of
    `as_pipeline`, stay in Java, on the driver and in the tasks that name factors."""
    stages: list[Any] = pipeline.stages
    users, items, fitted = stages

    def named(factors: DataFrame, indexer: Any, column: str) -> DataFrame:
        names = IndexToString(inputCol="_number", outputCol=column)
        # From one Java object to the other: as `labels` all ids would come to Python and go back one by one.
        names._java_obj.setLabels(indexer._java_obj.labelsArray()[0])
        return names.transform(factors.withColumn("_number", F.col("id").cast("double"))).select(column, "features")

    return AlsModel(settings, named(fitted.userFactors, users, "user_id"), named(fitted.itemFactors, items, "item_id"), fitted)


def _need_checkpoints(spark: SparkSession) -> None:
    """A folder for MLlib's checkpoints: the session's own, else, where Spark runs on this machine, a temporary one."""
    context = spark.sparkContext
    if context.getCheckpointDir() is not None:
        return
    if not str(context.master).startswith("local"):
        raise UsageError(f"max_iter above {CHECKPOINT_ROUNDS}: the cluster has no checkpoint folder; call setCheckpointDir first")
    folder = tempfile.mkdtemp(prefix="shoal-als-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    context.setCheckpointDir(Path(folder).as_uri())


def list_als(
    model: AlsModel, preferences: DataFrame, users: DataFrame | None, k: int, user_batch_size: int, with_reason: bool = False
) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score, best first; `because_item_id` where asked for.

    `preferences` (user_id, item_id, weight, value) are not listed and are what reasons refer to, those with `is_liked` false
    apart (see `reason.with_liked`). `users`:
    user_id; None is everybody the model knows. A user that the model does not know has no row. score is the predicted
    rating, or, implicit, the predicted preference, about 0..1. Cost: that of `rank_top_k`.
    """
    user_factors = model.user_factors
    if users is not None:
        user_factors = user_factors.join(users.select("user_id").distinct(), "user_id", "left_semi")
    settings = model.settings
    weight = F.col("weight") if settings.is_implicit else F.coalesce("value", F.lit(0.0))
    liked = F.col("is_liked") if "is_liked" in preferences.columns else F.lit(True)
    seen = preferences.select("user_id", "item_id", weight.alias("weight"), liked.alias("is_liked"))
    reason = als_reason(settings.reg_param, settings.alpha if settings.is_implicit else None) if with_reason else None
    return rank_top_k(user_factors, model.item_factors, seen, k, user_batch_size, reason)
