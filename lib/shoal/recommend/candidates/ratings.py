"""What rating a user would give: the mean, what users and items add to it, and factors for what is left.

A rating is taken as mean + user bias + item bias + (user factors . item factors) (Koren, Bell and Volinsky, IEEE Computer
42(8), 2009, section "Adding biases"). The biases are damped means of residuals, items first, then users, in turns (Koren, KDD
2008, section 2.1, by coordinate descent); the factors are MLlib's explicit ALS on the residuals, which alone knows nothing of
generous users and good films and spends its factors on them. On a random fifth of MovieLens' small set biases alone give RMSE .868,
with factors .85 (tests and docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError
from shoal.recommend.candidates.als import AlsModel, AlsSettings, fit_als
from shoal.recommend.protocol.split import test_part, training_part, with_random_split

# Turns after which biases are within .001 of a rating of their limit on every set at hand.
ROUNDS = 3


@dataclass(frozen=True)
class RatingSettings:
    """`user_damping`, `item_damping`: ratings of the mean that each bias counts besides its own; `reg_params`: to be chosen from;
    `validation_ratio`: of each user's ratings, for that choice."""

    user_damping: float
    item_damping: float
    rank: int
    reg_params: Sequence[float]
    max_iter: int
    validation_ratio: float
    seed: int


@dataclass(frozen=True)
class Biases:
    """`users`: user_id, user_bias; `items`: item_id, item_bias, in the ratings' scale; `low` and `high`: the lowest and the
    highest rating that was given."""

    mean: float
    users: DataFrame
    items: DataFrame
    low: float
    high: float


@dataclass(frozen=True)
class RatingModel:
    """Biases and the factors of what they leave."""

    biases: Biases
    factors: AlsModel


def fit_biases(ratings: DataFrame, settings: RatingSettings) -> Biases:
    """The mean and the biases of `ratings` (user_id, item_id, value, one row a pair; null values do not count).

    Raises InputError where there is no rating. Cost: one row collected; two shuffles a round.
    """
    rated = ratings.select("user_id", "item_id", "value").where("value is not null")
    seen = rated.agg(F.avg("value"), F.min("value"), F.max("value")).first()
    if seen is None or seen[0] is None:
        raise InputError("nothing to fit biases on: no row has a rating")
    mean, low, high = (float(number) for number in seen)
    users = rated.select("user_id").distinct().withColumn("user_bias", F.lit(0.0))
    items = rated.select("item_id").distinct().withColumn("item_bias", F.lit(0.0))
    for _ in range(ROUNDS):
        left = rated.join(users, "user_id").withColumn("_left", F.col("value") - mean - F.col("user_bias"))
        items = left.groupBy("item_id").agg(_damped(settings.item_damping).alias("item_bias"))
        left = rated.join(items, "item_id").withColumn("_left", F.col("value") - mean - F.col("item_bias"))
        users = left.groupBy("user_id").agg(_damped(settings.user_damping).alias("user_bias"))
    return Biases(mean, users, items, low, high)


def fit_ratings(numbered: DataFrame, settings: RatingSettings, reg_param: float) -> RatingModel:
    """Biases, and factors of what they leave, of `numbered` ratings (`shoal.recommend.candidates.als.with_numbers`, with value).

    The biases are cached; the caller's session drops them. Raises InputError where there is no rating. Cost: `fit_biases`,
    `fit_als`.
    """
    biases = fit_biases(numbered, settings)
    biases = Biases(biases.mean, biases.users.persist(), biases.items.persist(), biases.low, biases.high)
    left = with_biases(numbered.where("value is not null"), biases)
    left = left.withColumn("value", F.col("value") - F.col("_base")).drop("_base")
    als = AlsSettings("explicit", settings.rank, reg_param, 0.0, settings.max_iter, settings.seed)
    return RatingModel(biases, fit_als(left, als))


def with_biases(rows: DataFrame, biases: Biases) -> DataFrame:
    """`rows` (user_id, item_id ...) with `_base`: mean and biases; of an unknown user or item 0. Two joins."""
    joined = rows.join(biases.users, "user_id", "left").join(biases.items, "item_id", "left")
    base = F.lit(biases.mean) + F.coalesce("user_bias", F.lit(0.0)) + F.coalesce("item_bias", F.lit(0.0))
    return joined.withColumn("_base", base).drop("user_bias", "item_bias")


def with_predicted_ratings(rows: DataFrame, model: RatingModel) -> DataFrame:
    """`rows` (user_id, item_id ...) with `bias_rating` (mean and biases) and `predicted_rating` (factors too), both within the
    ratings that were given; every row has both, an unknown user's and item's is the mean. Four joins.
    """
    users = model.factors.user_factors.select("user_id", F.col("features").alias("_user"))
    items = model.factors.item_factors.select("item_id", F.col("features").alias("_item"))
    found = with_biases(rows, model.biases).join(users, "user_id", "left").join(items, "item_id", "left")
    products = F.zip_with(F.col("_user").cast("array<double>"), F.col("_item").cast("array<double>"), lambda u, i: u * i)
    product = F.aggregate(products, F.lit(0.0), lambda total, one: total + one)

    def within(value: Column) -> Column:
        return F.greatest(F.least(value, F.lit(model.biases.high)), F.lit(model.biases.low))

    predicted = within(F.col("_base") + F.coalesce(product, F.lit(0.0)))
    return found.withColumns({"bias_rating": within(F.col("_base")), "predicted_rating": predicted}).drop("_user", "_item", "_base")


def rating_errors(predicted: DataFrame, columns: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """column -> {"rmse", "mae", "ratings"}: root mean square and mean absolute difference to `value`, in its scale; None where
    no row has a value. Cost: one aggregate, one row collected."""
    rated = predicted.where("value is not null")
    aggregates = [F.count(F.lit(1)).alias("_n")]
    for name in columns:
        off = F.col(name) - F.col("value")
        aggregates += [F.sqrt(F.avg(off * off)).alias(f"rmse {name}"), F.avg(F.abs(off)).alias(f"mae {name}")]
    row = rated.agg(*aggregates).collect()[0]
    return {name: {"rmse": row[f"rmse {name}"], "mae": row[f"mae {name}"], "ratings": row["_n"]} for name in columns}


def evaluate_ratings(
    train: DataFrame, test: DataFrame, settings: RatingSettings
) -> tuple[dict[str, dict[str, float | None]], dict[str, float]]:
    """{"mean", "bias" and "als": errors on `test`}, and the settings that were chosen inside `train`.

    `train`: numbered preferences with value; `test`: user_id, item_id, value; each row with a value counts. Raises InputError where
    `train` has no rating. Cost: a fit for each of `reg_params` on a part, one on all.
    """
    chosen = _chosen_reg(train, settings)
    model = fit_ratings(train, settings, chosen)
    predicted = with_predicted_ratings(test, model).withColumn("mean_rating", F.lit(model.biases.mean))
    found = rating_errors(predicted, ["mean_rating", "bias_rating", "predicted_rating"])
    named = {"mean_rating": "mean", "bias_rating": "bias", "predicted_rating": "als"}
    return {named[column]: errors for column, errors in found.items()}, {"reg_param": chosen, "rank": settings.rank}


def _chosen_reg(train: DataFrame, settings: RatingSettings) -> float:
    """The one of `reg_params` with the smallest RMSE on validation data; the first where nothing can be validated."""
    if len(settings.reg_params) < 2:
        return settings.reg_params[0]
    split = with_random_split(train.where("value is not null"), settings.validation_ratio, settings.seed, "ratings").persist()
    try:
        known, held_out = training_part(split), test_part(split)
        if held_out.isEmpty() or known.isEmpty():
            return settings.reg_params[0]
        errors = {}
        for reg_param in settings.reg_params:
            predicted = with_predicted_ratings(held_out, fit_ratings(known, settings, reg_param))
            errors[reg_param] = rating_errors(predicted, ["predicted_rating"])["predicted_rating"]["rmse"] or 0.0
    finally:
        split.unpersist()
    return min(errors, key=lambda reg_param: errors[reg_param])


def _damped(damping: float) -> Column:
    """The mean of `_left` as if `damping` more rows were 0."""
    return F.sum("_left") / (F.count(F.lit(1)) + F.lit(float(damping)))
