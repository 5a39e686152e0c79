"""One film, one item: which ids of IMDb and TMDb are a film that another source has, and what they add to it.

silver.item_external_ids says which ids belong together, whatever came first. A catalogue's id gives way to another source's, which
has the events; TMDb's gives way to IMDb's.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.lake.contract import contract

CATALOGUES = "media_reviews"


def same_films(links: DataFrame) -> DataFrame:
    """One row per catalogue id that is another item's film: item_id, kept_id. Of `links`, the rows of silver.item_external_ids.

    A film is the same by imdb_id, else by tmdb_id; a row of TMDb with both ids lets IMDb's row be found by TMDb's id. Where several
    items of another source have the id, the shortest, then smallest, is kept. Three joins on the ids.
    """
    of_catalogue = F.col("source") == CATALOGUES
    catalogue, others = links.where(of_catalogue), links.where(~of_catalogue)
    bridge = catalogue.where("imdb_id is not null and tmdb_id is not null").groupBy("imdb_id").agg(F.min("tmdb_id").alias("_tmdb"))
    both = catalogue.join(bridge, "imdb_id", "left").withColumn("tmdb_id", F.coalesce("tmdb_id", "_tmdb"))
    first = F.min_by("item_id", F.struct(F.length("item_id"), F.col("item_id")))
    for name in ("imdb_id", "tmdb_id"):
        kept = others.where(F.col(name).isNotNull()).groupBy(name).agg(first.alias(f"_by_{name}"))
        both = both.join(kept, name, "left")
    titles = catalogue.where("item_id = imdb_id").select("imdb_id", F.col("imdb_id").alias("_title"))
    both = both.join(titles, "imdb_id", "left")
    return both.select("item_id", F.coalesce("_by_imdb_id", "_by_tmdb_id", "_title").alias("kept_id")).where("kept_id != item_id")


def enriched(items: DataFrame, described: DataFrame, aliases: DataFrame) -> DataFrame:
    """The rows of silver.items that change: each kept item of `aliases` with what `described` adds to it.

    Null values and empty lists are filled, others stay; of several catalogues TMDb is asked first (its dates are of the day). A
    kept item that `items` does not have is made. `described`: silver.items' columns under the catalogues' ids.
    """
    names = [name for name in contract("silver.items").columns if name not in ("item_id", "source", "run_id")]
    # min_by passes over rows whose order is null, so it finds the first that has a value.
    values = [F.min_by(name, F.when(_is_filled(described, name), F.col("item_id"))).alias(f"_{name}") for name in names]
    found = described.join(aliases, "item_id").groupBy("kept_id").agg(*values).withColumnRenamed("kept_id", "item_id")
    met = found.join(items, "item_id", "left")
    new = {name: F.coalesce(F.when(_is_filled(items, name), F.col(name)), f"_{name}", name) for name in names}
    is_other = F.exists(F.array(*[~new[name].eqNullSafe(F.col(name)) for name in names]), lambda differs: differs)
    source = F.coalesce("source", F.lit(CATALOGUES)).alias("source")
    return met.where(is_other | F.col("source").isNull()).select("item_id", *[new[n].alias(n) for n in names], source)


def _is_filled(rows: DataFrame, name: str) -> Column:
    """Whether a column has a value, of a list: an element."""
    column = F.col(name)
    return F.size(column) > 0 if dict(rows.dtypes)[name].startswith("array") else column.isNotNull()


def moved(rows: DataFrame, aliases: DataFrame, key: list[str]) -> DataFrame:
    """The rows of a table that name an item by an id of `aliases`, under the id that is kept; each key once."""
    found = rows.join(aliases, "item_id").drop("run_id")
    if "item_id" not in key:
        return found.withColumn("item_id", F.col("kept_id")).drop("kept_id")
    others = [name for name in found.columns if name not in (*key, "kept_id")]
    groups = [F.col("kept_id") if name == "item_id" else F.col(name) for name in key]
    one = found.groupBy(*groups).agg(F.min_by(F.struct(*others), "item_id").alias("_row"))
    return one.select(F.col("kept_id").alias("item_id"), *[n for n in key if n != "item_id"], *[f"_row.{n}" for n in others])
