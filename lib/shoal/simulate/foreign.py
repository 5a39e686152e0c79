"""A simulated world in the forms of Twitter, of films' catalogues with reviews, of a shop, of a log of what was shown, and what its
moderators decided.

All tell of the same world under its ids. Rows go from the tasks to the files; nothing is collected but the names of pictures.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.simulate import tables
from shoal.simulate.moderators import decisions
from shoal.simulate.world import WorldConf
from shoal.simulate.write import write_folder

# Pictures of a shop are written one by one: enough to look at.
PICTURES = 50


def _write(rows: DataFrame, folder: Path, form: str) -> int:
    return write_folder(rows, folder, form, F.count(F.lit(None)))[0]


def tweets(spark: SparkSession, conf: WorldConf) -> DataFrame:
    """One row per post of the world, in the format of the API's version 2, with Twitter's own time format. One shuffle by item."""
    names = {"like": "like_count", "comment": "reply_count", "share": "retweet_count", "view": "impression_count"}
    counts = tables.events(spark, conf).groupBy("item_id").agg(*[
        F.count_if(F.col("event") == event).alias(name)
        for event, name in names.items()
    ])  # fmt: skip
    posts = tables.items_with_truth(spark, conf).where("kind = 'post'").join(counts, "item_id", "left")
    return posts.select(
        F.col("item_id").alias("id"), "text", F.col("owner_id").alias("author_id"), F.col("owner_id").alias("username"),
        F.date_format("created_at", "EEE MMM dd HH:mm:ss Z yyyy").alias("created_at"),
        F.struct(*[F.coalesce(name, F.lit(0)).alias(name) for name in names.values()]).alias("public_metrics"),
    )  # fmt: skip


def activity(spark: SparkSession, conf: WorldConf) -> DataFrame:
    """One row per like, share, comment, save, click or view of the world, in Twitter's words."""
    words = {"share": "retweet", "comment": "reply", "save": "bookmark", "like": "like", "click": "click", "view": "view"}
    event_type = F.create_map(*[F.lit(each) for pair in words.items() for each in pair])[F.col("event")]
    rows = tables.events(spark, conf).withColumn("type", event_type).where("type is not null")
    when = F.unix_timestamp("occurred_at").alias("created_at")
    return rows.select("event_id", "type", "user_id", F.col("item_id").alias("tweet_id"), when)


def write_twitter(spark: SparkSession, conf: WorldConf, folder: Path) -> int:
    """<folder>/tweets and events (JSON lines), followers (CSV); returns the records."""
    pairs = tables.follows(spark, conf).select(F.col("src").alias("follower_id"), F.col("dst").alias("followed_id"))
    return (
        _write(tweets(spark, conf), folder / "tweets", "json")
        + _write(activity(spark, conf), folder / "events", "json")
        + _write(pairs, folder / "followers", "csv")
    )


def imdb_id(item_id: Column) -> Column:
    """An item's id as IMDb's: its number behind tt1."""
    return F.concat(F.lit("tt1"), F.substring(item_id, 2, 20))


def write_films(spark: SparkSession, conf: WorldConf, folder: Path) -> int:
    """The world's items as films: <folder>/reviews (CSV, its ratings with the user's words on the item, if any), title.basics and
    title.ratings (TSV), tmdb (JSON lines); returns the records. Items without a category have \\N for genres."""
    items = tables.items_with_truth(spark, conf)
    film, number = imdb_id(F.col("item_id")), F.substring("item_id", 2, 20).cast("bigint")
    ratings = tables.events(spark, conf).where("event = 'rating'")
    words = (
        tables.texts_with_truth(spark, conf)
        .groupBy(F.col("author_id").alias("user_id"), "item_id")
        .agg(F.min("text").alias("text"))
    )
    reviews = ratings.join(words, ["user_id", "item_id"], "left").select(
        F.col("event_id").alias("review_id"), "user_id", film.alias("imdb_id"), F.col("value").alias("rating"), "text",
        F.unix_timestamp("occurred_at").alias("time"),
    )  # fmt: skip
    basics = items.select(
        film.alias("tconst"), F.lit("movie").alias("titleType"), F.col("title").alias("primaryTitle"), F.lit(0).alias("isAdult"),
        F.year("created_at").alias("startYear"), F.concat_ws(",", "categories").alias("genres"),
    )  # fmt: skip
    mean = F.round(F.avg("value") * 2, 1).alias("averageRating")
    means = ratings.groupBy("item_id").agg(mean, F.count("value").alias("numVotes"))
    tmdb = items.select(
        number.alias("id"), film.alias("imdb_id"), "title", F.col("text").alias("overview"),
        F.transform("categories", lambda name: F.struct(F.crc32(name).alias("id"), name.alias("name"))).alias("genres"),
        F.date_format("created_at", "yyyy-MM-dd").alias("release_date"), F.col("expected_share").alias("popularity"),
    )  # fmt: skip
    return (
        _write(reviews, folder / "reviews", "csv")
        + _write(basics, folder / "title.basics", "tsv")
        + _write(means.select(film.alias("tconst"), "averageRating", "numVotes"), folder / "title.ratings", "tsv")
        + _write(tmdb, folder / "tmdb", "json")
    )


def write_shop(spark: SparkSession, conf: WorldConf, folder: Path) -> int:
    """The world's products as a shop's: <folder>/products (CSV), events (JSON lines: views and purchases of them) and pictures of
    the first PICTURES of them; returns the records."""
    products = tables.items_with_truth(spark, conf).where("kind = 'product'")
    rows = products.select(
        F.col("item_id").alias("id"), F.col("title").alias("name"), F.col("text").alias("description"),
        F.concat_ws("|", "categories").alias("category"), F.col("price_usd").alias("price"), F.lit("USD").alias("currency"),
        F.concat(F.lit("pictures/"), "item_id", F.lit(".png")).alias("image"),
    )  # fmt: skip
    events = tables.events(spark, conf).where("event in ('view', 'purchase')").join(products.select("item_id"), "item_id")
    shop_events = events.select(
        "event_id", "user_id", F.col("item_id").alias("product_id"), "event", F.col("value").alias("price"),
        F.unix_timestamp("occurred_at").alias("timestamp"),
    )  # fmt: skip
    written = _write(rows, folder / "products", "csv") + _write(shop_events, folder / "events", "json")
    pictured = products.select("item_id").orderBy("item_id").limit(PICTURES).collect()
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for place, row in enumerate(pictured):
        Image.new("RGB", (8 + place, 8), (place, 0, 0)).save(folder / "pictures" / f"{row['item_id']}.png")
    return written + len(pictured)


def write_impressions(spark: SparkSession, conf: WorldConf, folder: Path) -> int:
    """<folder>/random/all (CSV): the world's clicks and views as rows of a log whose policy draws evenly; returns the rows."""
    rows = tables.events(spark, conf).where("event in ('click', 'view')")
    return _write(
        rows.select(
            F.col("event_id").alias("impression_id"), "user_id", "item_id", (F.crc32("event_id") % 3 + 1).alias("position"),
            (F.col("event") == "click").cast("int").alias("click"), F.lit(1 / conf.items).alias("propensity_score"),
            F.date_format("occurred_at", "yyyy-MM-dd'T'HH:mm:ssXXX").alias("timestamp"),
        ),
        folder / "random" / "all", "csv",
    )  # fmt: skip


def write_moderation(spark: SparkSession, conf: WorldConf, folder: Path) -> int:
    """<folder>/decisions (CSV); returns the decisions."""
    when = F.date_format("decided_at", "yyyy-MM-dd'T'HH:mm:ssXXX").alias("decided_at")
    return _write(decisions(spark, conf).select("item_id", "verdict", when), folder / "decisions", "csv")
