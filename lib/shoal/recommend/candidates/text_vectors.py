"""Items by what is written in them and about them: their texts' vectors together.

Parts are rows of item_id, indices, values: a text of the item as a vector. `indices` are the places of `values` in a sparse vector;
null where `values` are all numbers.
"""

from __future__ import annotations

from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.stat import Summarizer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def item_words(items: DataFrame) -> DataFrame:
    """One row per item: item_id, text: its title, text, hashtags (with #) and categories, a blank between; empty where it has none.
    Column expressions only."""
    tags = F.transform("hashtags", lambda tag: F.concat(F.lit("#"), tag))
    return items.where("item_id is not null").select("item_id", F.concat_ws(" ", "title", "text", tags, "categories").alias("text"))


def summed_weights(parts: DataFrame) -> DataFrame:
    """One row per item with a number in a part: item_id, terms (array<int>, ascending), weights (array<float>): the sum of its
    parts, which are sparse. Six digits: a sum depends on the order in which partitions are added. Cost: two shuffles by item."""
    entry = F.arrays_zip(F.col("indices").alias("term"), F.col("values").alias("weight"))
    each = parts.select("item_id", F.explode(entry).alias("_entry")).select("item_id", "_entry.*")
    summed = each.groupBy("item_id", "term").agg(F.round(F.sum("weight"), 6).cast("float").alias("weight"))
    entries = F.array_sort(F.collect_list(F.struct("term", "weight")))
    rows = summed.groupBy("item_id").agg(entries.alias("_entries"))
    return rows.select("item_id", F.col("_entries.term").alias("terms"), F.col("_entries.weight").alias("weights"))


def mean_vectors(parts: DataFrame) -> DataFrame:
    """One row per item with a part that is not all zeros: item_id, features (array<float>): the mean of those parts, which have all
    numbers, to six digits. Cost: one shuffle by item, of a vector an item and partition."""
    known = parts.where(F.exists("values", lambda value: value != 0))
    mean = Summarizer.mean(array_to_vector(F.col("values").cast("array<double>")))
    rows = known.groupBy("item_id").agg(vector_to_array(mean).alias("_mean"))
    return rows.select("item_id", F.transform("_mean", lambda value: F.round(value, 6).cast("float")).alias("features"))
