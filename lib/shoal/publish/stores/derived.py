"""Exports that are no table of their own: items that a user has met, and items by their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Code points of an item's text that are searched, and different words of an item.
SEARCHED_TEXT, SEARCHED_WORDS = 2_000, 200
# A word is a run of letters, marks and digits, at least so long and at most.
WORD = r"[\p{L}\p{M}\p{N}_]+"
SHORTEST_WORD, LONGEST_WORD = 2, 64
# What words of other kinds begin with: no word of a text has a colon.
HASHTAG, CATEGORY, KIND = "hashtag:", "category:", "kind:"


def seen_items(tables: Mapping[str, DataFrame]) -> DataFrame:
    """One row per user and item that the user has met: user_id, item_id, last_at (null where no event has a time).

    `tables`: silver.interactions. Cost: a shuffle by user and item.
    """
    events = tables["silver.interactions"].where("user_id <> '' AND item_id <> ''")
    return events.groupBy("user_id", "item_id").agg(F.max("occurred_at").alias("last_at"))


def search_words(tables: Mapping[str, DataFrame]) -> DataFrame:
    """One row per item and different word: word, item_id, popularity (0 without an event).

    Words of title and text in lower case, those of hashtags and categories too; each hashtag, each category and the kind whole,
    under HASHTAG, CATEGORY, KIND. At most SEARCHED_WORDS words of an item. `tables`: silver.items, and features.items of its
    newest day where there is one. Cost: a join by item; one row a word.
    """
    items = tables["silver.items"]
    lists = {name: F.coalesce(name, F.expr("cast(array() AS array<string>)")) for name in ("hashtags", "categories")}
    text = F.concat_ws(
        " ", "title", F.substring(F.coalesce("text", F.lit("")), 1, SEARCHED_TEXT), lists["hashtags"], lists["categories"]
    )
    words = F.regexp_extract_all(F.lower(text), F.lit(WORD), F.lit(0))
    words = F.filter(words, lambda w: F.length(w).between(SHORTEST_WORD, LONGEST_WORD))
    every = F.array_distinct(F.concat(
        F.slice(F.array_distinct(words), 1, SEARCHED_WORDS),
        _marked(lists["hashtags"], HASHTAG), _marked(lists["categories"], CATEGORY),
        F.array(F.concat(F.lit(KIND), F.lower("kind"))),
    ))  # fmt: skip
    found = items.select("item_id", F.explode(every).alias("word"))
    if "features.items" not in tables:
        return found.withColumn("popularity", F.lit(0.0))
    popular = tables["features.items"].select("item_id", "popularity")
    return found.join(popular, "item_id", "left").fillna({"popularity": 0.0})


def search_documents(tables: Mapping[str, DataFrame]) -> DataFrame:
    """One row per item, as a search engine has it: item_id, kind, title, text (its first SEARCHED_TEXT code points), hashtags,
    categories, price_usd, created_at, popularity (0 without an event). Kind, hashtags and categories in lower case.

    `tables`: as of `search_words`. Cost: a join by item.
    """
    items = tables["silver.items"].select(
        "item_id", F.lower("kind").alias("kind"), "title", F.substring("text", 1, SEARCHED_TEXT).alias("text"),
        _marked(F.col("hashtags"), "").alias("hashtags"), _marked(F.col("categories"), "").alias("categories"),
        F.col("price_usd").cast("double").alias("price_usd"), "created_at",
    )  # fmt: skip
    if "features.items" not in tables:
        return items.withColumn("popularity", F.lit(0.0))
    popular = tables["features.items"].select("item_id", "popularity")
    return items.join(popular, "item_id", "left").fillna({"popularity": 0.0})


def _marked(values: Column, mark: str) -> Column:
    return F.transform(values, lambda each: F.concat(F.lit(mark), F.lower(F.trim(each))))


DERIVED: dict[str, Callable[[Mapping[str, DataFrame]], DataFrame]] = {
    "seen_items": seen_items, "search_words": search_words, "search_documents": search_documents,
}  # fmt: skip
