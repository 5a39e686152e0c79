"""Alternating least squares with string ids, by MLlib or, small data, in numpy, and lists from the top-k engine.

Explicit ALS predicts the rating that a user would give. It is fitted on what users chose to rate, so its order says
little about what they will choose next (Cremonesi, Koren and Turrin, RecSys 2010): lists are best made by implicit ALS,
which models the choice itself (Hu, Koren and Volinsky, ICDM 2008). Which one serves is decided on validation data
(`shoal.recommend.candidates.search`).
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.ml.recommendation import ALS
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from shoal.arrays import Floats
from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.als_numpy import solve_als, solve_users
from shoal.recommend.candidates.collected import collect_up_to
from shoal.recommend.ranking.reason import als_reason
from shoal.recommend.ranking.top_k import Items, collect_items, rank_top_k
from shoal.spark.driver_files import shares_disk

# Ids are numbered inside so many hash buckets, in parallel and the same way every time.
BUCKETS = 64
# MLlib cuts its lineage every so many rounds where it has a folder for that; without one, some 20 rounds overflow the stack.
CHECKPOINT_ROUNDS = 10
# Up to so many ratings of so many factors are fitted on the driver: at most some seconds a round on one core, where MLlib's
# two dozen Spark jobs a fit cost more than the sums. docs/adr/0046.
LOCAL_RATINGS, LOCAL_RANK = 300_000, 128
RATINGS = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("rating", pa.float64())])


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
    """`user_factors`: user_id, features (array<float>); `item_factors`: item_id, features. Ids are unique; no order. `held`: the
    frame of item factors that is on the driver already, and what it holds."""

    settings: AlsSettings
    user_factors: DataFrame
    item_factors: DataFrame
    held: tuple[DataFrame, Items] | None = None

    def collected_items(self, among: DataFrame | None = None) -> Items:
        """The item factors on the driver, of the items of `among` (item_id) at least: see `collect_items`."""
        # A copy with other item factors (`replace`) has not got these.
        if self.held is not None and self.held[0] is self.item_factors:
            return self.held[1]
        rows = self.item_factors
        return collect_items(rows if among is None else rows.join(F.broadcast(among.select("item_id")), "item_id", "left_semi"))


def number_ids(rows: DataFrame, column: str, name: str) -> DataFrame:
    """One row per distinct id of `column`: the id and `name`, an int from 0 without gaps; the same at every call.

    Null ids are excluded. Cost: two shuffles of the distinct ids; no single partition sorts them all. Raises nothing
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
    are excluded.

    Number first, then split: all parts then share one numbering. Persist the result where several fits use it. Cost: the
    shuffles of `number_ids`, two joins.
    """
    users, items = number_ids(preferences, "user_id", "user"), number_ids(preferences, "item_id", "item")
    return preferences.join(users, "user_id").join(items, "item_id").select(*preferences.columns, "user", "item")


def fit_als(preferences: DataFrame, settings: AlsSettings) -> AlsModel:
    """The factors of all users and items in `preferences`, explicit on `value` or implicit on `weight` where it is above 0.

    `preferences`: user_id, item_id, weight, value, and, where `with_numbers` made them, user and item. Users and items without a
    rating have no factors. The same data and settings give the same factors up to the rounding of sums. Up to LOCAL_RATINGS
    ratings and LOCAL_RANK factors are fitted by `als_numpy` on the driver, the same model from another starting point; above, by
    MLlib. There more than 10 rounds need a checkpoint folder: a local session without one gets a temporary folder.

    Raises InputError where there is nothing to fit, UsageError on a cluster without that folder. Cost: on the driver one collect
    of the ratings, of which one more than LOCAL_RATINGS is asked for first; else max_iter shuffles of the factors; MLlib caches the
    ratings in blocks, one a core, and the factors, which Spark drops when nothing refers to them; the numbers of the ids.
    """
    target = F.col("weight" if settings.is_implicit else "value")
    wanted = preferences.where(target > 0 if settings.is_implicit else target.isNotNull())
    if settings.rank <= LOCAL_RANK:
        rows = wanted.select("user_id", "item_id", target.cast("double").alias("rating"))
        table = collect_up_to(rows, LOCAL_RATINGS, RATINGS)
        if table is not None:
            return _fit_here(preferences.sparkSession, table, settings)
    return _fit_mllib(wanted if "user" in wanted.columns else with_numbers(wanted), target, settings)


def _nothing_to_fit(settings: AlsSettings) -> InputError:
    wanted = "weight" if settings.is_implicit else "rating"
    return InputError(f"nothing to fit {settings.feedback} ALS on: no row has a {wanted}")


def _fit_here(spark: SparkSession, table: pa.Table, settings: AlsSettings) -> AlsModel:
    """`fit_als` in numpy. The order of rows changes nothing: numbers are places of the ids in string order."""
    if not len(table):
        raise _nothing_to_fit(settings)
    numbers, names = {}, {}
    for column in ("user_id", "item_id"):
        encoded = table.column(column).combine_chunks().dictionary_encode()
        order = pc.sort_indices(encoded.dictionary)
        place = np.empty(len(order), np.int64)
        place[order.to_numpy()] = np.arange(len(order))
        numbers[column], names[column] = place[encoded.indices.to_numpy()], encoded.dictionary.take(order)
    ratings = table.column("rating").to_numpy().astype(np.float32).astype(np.float64)
    alpha = settings.alpha if settings.is_implicit else None
    users, items = solve_als(
        numbers["user_id"], numbers["item_id"], ratings, settings.rank, settings.reg_param, alpha, settings.max_iter, settings.seed
    )
    item_factors = factor_frame(spark, "item_id", names["item_id"], items)
    held = Items(names["item_id"], items, np.linalg.norm(items.astype(np.float64), axis=1))
    return AlsModel(settings, factor_frame(spark, "user_id", names["user_id"], users), item_factors, (item_factors, held))


def factor_frame(spark: SparkSession, column: str, ids: pa.StringArray, factors: Floats) -> DataFrame:
    """One row per id: `column` and features (array<float>), from the driver's memory."""
    rows = pd.DataFrame({column: ids.to_pandas(), "features": list(factors)})
    return spark.createDataFrame(rows, f"{column} string, features array<float>")


def _fit_mllib(numbered: DataFrame, target: Column, settings: AlsSettings) -> AlsModel:
    """`fit_als` by MLlib, over dense numbers."""
    blocks = numbered.sparkSession.sparkContext.defaultParallelism
    ratings = numbered.select("user", "item", target.cast("float").alias("rating"))
    if ratings.isEmpty():
        raise _nothing_to_fit(settings)
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
    users, items = (numbered.select(pair).distinct() for pair in (["user_id", "user"], ["item_id", "item"]))
    user_factors = fitted.userFactors.join(users, F.col("id") == F.col("user")).select("user_id", "features")
    item_factors = fitted.itemFactors.join(items, F.col("id") == F.col("item")).select("item_id", "features")
    return AlsModel(settings, user_factors, item_factors)


def _need_checkpoints(spark: SparkSession) -> None:
    """A folder for MLlib's checkpoints: the session's own, else, where Spark runs on this machine, a temporary one."""
    context = spark.sparkContext
    if context.getCheckpointDir() is not None:
        return
    if not shares_disk(spark):
        raise UsageError(f"max_iter above {CHECKPOINT_ROUNDS}: the cluster has no checkpoint folder; call setCheckpointDir first")
    folder = tempfile.mkdtemp(prefix="shoal-als-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    context.setCheckpointDir(Path(folder).as_uri())


def fold_in(model: AlsModel, preferences: DataFrame) -> AlsModel:
    """The model with the users of `preferences` in place of its own: their factors are one half round over its item factors.

    `preferences`: user_id, item_id, weight, value, unique by user and item; what the model does not know, and what weighs nothing
    (implicit) or has no rating (explicit), does not count; a user with nothing left has no factors. Cost: the item factors are
    collected and broadcast (`collect_items` says the bound); one shuffle by user; one system of the rank a user.
    """
    settings, items = model.settings, model.collected_items()
    target = F.col("weight" if settings.is_implicit else "value")
    wanted = preferences.where(target > 0 if settings.is_implicit else target.isNotNull())
    pair = F.struct("item_id", target.cast("double").alias("rating"))
    rows = wanted.groupBy("user_id").agg(F.sort_array(F.collect_list(pair)).alias("met"))
    shared = preferences.sparkSession.sparkContext.broadcast((items.ids, items.factors))
    alpha = settings.alpha if settings.is_implicit else None

    def folded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ids, factors = shared.value
        for batch in batches:
            met = batch.column("met")
            item = pc.index_in(met.values.field("item_id"), value_set=ids)
            known = item.is_valid().to_numpy(zero_copy_only=False)
            user = np.repeat(np.arange(len(batch)), np.diff(met.offsets.to_numpy()))[known]
            present, numbers = np.unique(user, return_inverse=True)
            if not len(present):
                continue
            at, rating = item.drop_null().to_numpy().astype(np.int64), met.values.field("rating").to_numpy()[known]
            found = solve_users(numbers, at, rating, factors, settings.reg_param, alpha)
            values = pa.ListArray.from_arrays(np.arange(len(found) + 1, dtype=np.int32) * found.shape[1], pa.array(found.ravel()))
            yield pa.record_batch([batch.column("user_id").take(pa.array(present)), values], ["user_id", "features"])

    return replace(model, user_factors=rows.mapInArrow(folded, "user_id string, features array<float>"))


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
    return rank_top_k(user_factors, model.collected_items(), seen, k, user_batch_size, reason)
