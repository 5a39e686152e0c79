"""Items by what they cost, among their like: half of the likeness of two items is that of prices, half that of categories.

Of prices a and b it is exp(-(log2 a - log2 b)^2): 1 for the same price, .37 for twice the price, .02 for four times. A vector has
that for its product where the price is a bell of half an octave on a grid of half octaves, to four digits. Of categories it is
their cosine: what they share over the root of the product of how many each has.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# log2 of US dollars: a tenth of a cent to sixteen million; what lies beyond is at the end.
LOWEST, HIGHEST, WIDTH = -10, 24, 0.5
# Those that most items have; more would be dimensions that hardly anybody has.
CATEGORIES = 128


def price_vectors(items: DataFrame) -> DataFrame:
    """One row per item with a price above 0: item_id, features (array<float>); of length 1, less without a category.

    `items`: item_id, price_usd, categories (array<string>); the CATEGORIES that most of these items have count, in any case of
    letters. Cost: one shuffle by category; collects those.
    """
    priced = items.where("item_id is not null and price_usd > 0 and price_usd < 1e300")
    lower = F.array_distinct(F.transform(F.coalesce("categories", F.array().cast("array<string>")), F.lower))
    priced = priced.select("item_id", "price_usd", lower.alias("_categories"))
    counts = priced.select(F.explode("_categories").alias("name")).groupBy("name").agg(F.count(F.lit(1)).alias("items"))
    names = sorted(row["name"] for row in counts.orderBy(F.desc("items"), "name").limit(CATEGORIES).collect())
    at = F.greatest(F.lit(float(LOWEST)), F.least(F.lit(float(HIGHEST)), F.log2("price_usd")))
    grid = F.array(*[F.lit(LOWEST + n * WIDTH) for n in range(int((HIGHEST - LOWEST) / WIDTH) + 1)])
    bell = F.transform(grid, lambda mark: F.exp(-((at - mark) * (at - mark)) / F.lit(2 * WIDTH * WIDTH)))
    kept = F.array(*[F.lit(name) for name in names]).cast("array<string>")
    has = F.transform(kept, lambda name: F.array_contains("_categories", name).cast("double"))
    features = F.concat(_half(bell), _half(has))
    return priced.select("item_id", features.cast("array<float>").alias("features"))


def _half(numbers: Column) -> Column:
    """The numbers as a vector whose square is a half; zeros stay."""
    length = F.sqrt(F.aggregate(numbers, F.lit(0.0), lambda sum_, x: sum_ + x * x))
    return F.transform(numbers, lambda x: F.when(length > 0, x / length).otherwise(0.0) * F.lit(0.5**0.5))
