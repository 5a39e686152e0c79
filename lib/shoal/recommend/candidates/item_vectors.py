"""One vector an item from what is written, what is to be seen and who is around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

TEXT, IMAGE, GRAPH = PARTS = ("text", "image", "graph")
# What an item's owner and hashtags say of it, met or not.
AROUND = "around"


def item_vectors(
    items: DataFrame, parts: Mapping[str, DataFrame], weights: Mapping[str, float], size: int, around: DataFrame | None = None
) -> DataFrame:
    """One row per item of `items` (item_id): `<part>_vector` of each of PARTS, `size` numbers of length 1, zeros where the item has
    none; `parts`, the names of those that it has, in the order of PARTS; `vector`, all of them one behind the other, each times the
    root of its weight, and of length 1 together; zeros for an item without a part; `around_vector`, that of `around` (item_id,
    features), zeros where it has none.

    `parts`: name -> item_id, features (see `vector_neighbours.directions`); an absent one is zeros. The product of two
    vectors with the same parts is the mean of the parts' cosines by weight; of two with others it is smaller. Cost: a shuffle by
    item for each part.
    """
    given_parts = dict(parts) if around is None else {**parts, AROUND: around}
    zeros = F.array_repeat(F.lit(0.0).cast("float"), size)
    rows = reduce(
        lambda found, name: found.join(given_parts[name].select("item_id", F.col("features").alias(f"_{name}")), "item_id", "left"),
        list(given_parts), items.select("item_id"),
    )  # fmt: skip
    names = (*PARTS, AROUND)
    has = {name: F.col(f"_{name}").isNotNull() if name in given_parts else F.lit(False) for name in names}
    given = {name: F.coalesce(f"_{name}", zeros) if name in given_parts else zeros for name in names}
    # A part of weight 0 has no place in the length either.
    held = sum((F.when(has[name], F.lit(float(weights[name]))).otherwise(0.0) for name in PARTS), F.lit(0.0))
    scale = {name: F.when(held > 0, F.sqrt(F.lit(float(weights[name])) / held)).otherwise(0.0) for name in PARTS}
    return rows.select(
        "item_id", *[given[name].alias(f"{name}_vector") for name in names],
        F.concat(*[_times(given[name], scale[name]) for name in PARTS]).alias("vector"),
        F.filter(F.array(*[F.when(has[name], F.lit(name)) for name in PARTS]), lambda name: name.isNotNull()).alias("parts"),
    )  # fmt: skip


def named_vectors(rows: DataFrame, names: Sequence[str]) -> DataFrame | None:
    """item_id, vector: the named ones (of PARTS, or AROUND) of rows of `item_vectors`, one behind the other; None for no name.
    Lazy."""
    return rows.select("item_id", F.concat(*[F.col(f"{name}_vector") for name in names]).alias("vector")) if names else None


def _times(numbers: Column, factor: Column) -> Column:
    return F.transform(numbers, lambda x: (x * factor).cast("float"))
