"""What a shopper is like: how lately, how often and for how much they buy, what of, and how dear for its kind."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

RECENT_DAYS = 28
# Paid less than the list price by more than this share: a discount. Cents of rounding are none.
LEAST_DISCOUNT = 0.01
# Categories named for each shopper, the most bought first.
MOST_CATEGORIES = 20


def shopper_features(events: DataFrame, items: DataFrame, end: datetime) -> DataFrame:
    """A row a user who has bought anything, or looked at a product: `user_id` and numbers, null where nothing is known.

    events: silver.interactions up to `end`; items: silver.items. A product is an item of that kind, or one that anybody bought.
    Views are views and clicks of products. recency_days is since the last purchase with a time; spent_usd and mean_order_usd are of
    what was paid, else of the list price; view_to_buy is the share of products looked at that were bought, whenever. A purchase
    counts once for each category of its item. price_level is the geometric mean, over purchases, of the list price over the median
    of all products of the item's first category: 1 is its kind's middle. discount_share is the share of purchases, of those whose
    amount and list price are known, paid by more than LEAST_DISCOUNT below the price. Five shuffles of the events of products, one
    of the products.
    """
    bought_items = events.where("event = 'purchase'").select("item_id").distinct().withColumn("_bought", F.lit(True))
    known = items.select("item_id", "kind", "categories", "price_usd").withColumn("category", F.col("categories")[0])
    medians = known.where("kind = 'product' and price_usd > 0").groupBy("category").agg(
        F.percentile("price_usd", 0.5).alias("median_usd")
    )  # fmt: skip
    of_products = events.where("event in ('view', 'click', 'purchase')").select(
        "user_id", "item_id", "event", "value", "occurred_at"
    )
    framed = of_products.join(known.join(medians, "category", "left"), "item_id", "left").join(bought_items, "item_id", "left")
    is_buy = F.col("event") == "purchase"
    framed = framed.where(is_buy | (F.col("kind") == "product") | F.col("_bought"))
    paid = F.coalesce(F.when(F.col("value") >= 0, F.col("value")), F.col("price_usd"))
    can_tell = is_buy & (F.col("value") >= 0) & (F.col("price_usd") > 0)
    below = F.col("value") < F.col("price_usd") * (1 - LEAST_DISCOUNT)
    start = F.lit(end - timedelta(days=RECENT_DAYS))
    by_item = framed.groupBy("user_id", "item_id").agg(
        F.count_if(is_buy).alias("buys"), F.count_if(is_buy & (F.col("occurred_at") >= start)).alias("buys_28d"),
        F.count_if(~is_buy).alias("views"), F.max(F.when(is_buy, F.col("occurred_at"))).alias("last"),
        F.sum(F.when(is_buy, paid)).alias("paid"), F.count(F.when(is_buy, paid)).alias("paid_count"),
        F.count_if(can_tell).alias("known"), F.count_if(can_tell & below).alias("below"),
        F.first("categories").alias("categories"),
        F.first(F.log(F.when(F.col("price_usd") > 0, F.col("price_usd")) / F.col("median_usd"))).alias("level"),
    )  # fmt: skip
    buys, level = F.col("buys"), F.when(F.col("buys") > 0, F.col("level"))
    viewed = F.count_if(F.col("views") > 0)
    found = by_item.groupBy("user_id").agg(
        F.sum(buys).alias("purchase_count"), F.sum("buys_28d").alias("purchase_count_28d"), F.sum("views").alias("view_count"),
        ((F.lit(end.timestamp()) - F.unix_timestamp(F.max("last"))) / 86_400.0).alias("recency_days"),
        F.sum("paid").alias("spent_usd"), _ratio(F.sum("paid"), F.sum("paid_count")).alias("mean_order_usd"),
        _ratio(F.count_if((F.col("views") > 0) & (buys > 0)), viewed).alias("view_to_buy"),
        F.exp(_ratio(F.sum(level * buys), F.sum(F.when(level.isNotNull(), buys)))).alias("price_level"),
        _ratio(F.sum("below"), F.sum("known")).alias("discount_share"),
    )  # fmt: skip
    return found.join(_categories(by_item), "user_id", "left")


def _ratio(part: Column, whole: Column) -> Column:
    """Null where there is no whole."""
    return F.when(whole > 0, part / whole)


def _categories(by_item: DataFrame) -> DataFrame:
    """`user_id`, `top_category`, `category_shares` (of purchases, the MOST_CATEGORIES largest), `category_entropy` in bits."""
    bought = by_item.where("buys > 0").select("user_id", "buys", F.explode(F.array_distinct("categories")).alias("category"))
    counts = bought.where("category is not null").groupBy("user_id", "category").agg(F.sum("buys").alias("n"))
    n = F.col("n")
    lists = counts.groupBy("user_id").agg(
        F.sort_array(F.collect_list(F.struct((-n).alias("order"), "category"))).alias("all"), F.sum(n).alias("total"),
        (F.log2(F.sum(n)) - F.sum(n * F.log2(n)) / F.sum(n)).alias("category_entropy"),
    )  # fmt: skip
    shares = F.transform(F.slice("all", 1, MOST_CATEGORIES), lambda one: F.struct(one["category"], -one["order"] / F.col("total")))
    return lists.select(
        "user_id", F.col("all")[0]["category"].alias("top_category"), F.map_from_entries(shares).alias("category_shares"),
        F.greatest("category_entropy", F.lit(0.0)).alias("category_entropy"),
    )  # fmt: skip
