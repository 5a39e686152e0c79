"""The tables of a simulated world, as the field would hand them over, and the truth behind them.

Every function takes a session only to make a range of numbers, is deterministic in `conf` whatever the number of partitions,
and returns rows in no order. Nothing is collected; only `likes` shuffles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.simulate import activity, catalogue, people
from shoal.simulate.draws import Longs, uniform_array, uniform_column
from shoal.simulate.roles import roles_of_texts
from shoal.simulate.sentences import (
    chosen_hashtags,
    noisy_label,
    true_emotion,
    true_sentiment,
    word_list,
    written_campaign,
    written_emotion,
    written_text,
    written_title,
)
from shoal.simulate.spread import spread_likes
from shoal.simulate.tails import share_above
from shoal.simulate.words import EMOTIONS, LOCATIONS, SENTIMENTS, TOPICS, VERDICTS
from shoal.simulate.world import WorldConf

# One of so many users has blocked somebody.
BLOCKERS = 5
EXPERIMENT = "bigger_buttons"
# A task's rows: below the smaller number a task's own cost is the larger part, the larger one makes files of some 70 MB.
_MIN_TASK_ROWS, _MAX_TASK_ROWS = 20_000, 1_000_000
_MOST_SMALL_TASKS = 8


def users(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """Truth: one row per user.

    user_id, community_id, topic, planned_events (of the user's own accord), planned_followers, is_treated (in the experiment),
    taste (unit vector of people.FACTORS numbers).
    """
    communities = people.plant_communities(conf)

    def describe(number: Longs) -> dict[str, object]:
        group = people.communities_of_users(conf, communities, number)
        likes, others = activity.planned_events(conf)
        outside, inside = people.follower_counts(conf, communities, number)
        return {
            "number": number,
            "community_id": group,
            "topic": communities.topics[group],
            "planned_events": activity.event_counts(conf, number, likes) + activity.event_counts(conf, number, others),
            "planned_followers": outside + inside,
            "is_treated": activity.are_treated(conf, number),
            "taste": list(activity.user_tastes(conf, communities, number, group)),
        }

    schema = (
        "number long, community_id long, topic long, planned_events long, planned_followers long, is_treated boolean, "
        "taste array<float>"
    )
    rows = map_numbers(spark, conf.users, partitions, describe, schema)
    return rows.select(user_id(conf, F.col("number")).alias("user_id"), *rows.columns[1:]).withColumn(
        "topic", topic_name(F.col("topic"))
    )


def communities(spark: SparkSession, conf: WorldConf) -> DataFrame:
    """Truth: one row per planted community: community_id, topic, members, items, centre. At most 20,000 rows, made here."""
    planted = people.plant_communities(conf)
    rows = pd.DataFrame(
        {
            "community_id": np.arange(conf.community_count),
            "topic": [TOPICS[topic].name for topic in planted.topics],
            "members": np.diff(planted.user_bounds),
            "items": np.diff(planted.item_bounds),
            "centre": [centre.tolist() for centre in planted.centres],
        }
    )
    return spark.createDataFrame(rows, "community_id long, topic string, members long, items long, centre array<float>")


def items_with_truth(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """One row per item: the columns of `items`, then the truth about it.

    item_id, kind (post, product), owner_id, title, text, hashtags, categories, price_usd (null for posts), location (null for
    three of five), created_at; community_id, topic, quality (standard normal), is_spam, expected_share (of the events that
    popularity alone would give it), taste.
    """
    planted = people.plant_communities(conf)

    def describe(number: Longs) -> dict[str, object]:
        group = catalogue.communities_of_items(planted, number)
        first, size = planted.item_bounds[group], np.diff(planted.item_bounds)[group]
        rank = number - first
        upto, above = (share_above(r / size, conf.popularity_tail, conf.popularity_span) for r in (rank + 1, rank))
        return {
            "number": number,
            "public": catalogue.public_numbers(conf, number),
            "owner": catalogue.owners_of_items(conf, planted, number),
            "community_id": group,
            "topic_number": catalogue.topics_of_items(conf, planted, number),
            "created": catalogue.created_at(conf, number),
            "quality": catalogue.qualities(conf, number),
            "is_spam": catalogue.are_spam(conf, number),
            "is_product": catalogue.are_products(conf, number),
            "price": catalogue.prices_usd(conf, number),
            "expected_share": (upto - above) * size / conf.items,
            "taste": list(catalogue.item_tastes(conf, planted, number)),
        }

    schema = (
        "number long, public long, owner long, community_id long, topic_number long, created long, quality double, "
        "is_spam boolean, is_product boolean, price double, expected_share double, taste array<float>"
    )
    rows = map_numbers(spark, conf.items, partitions, describe, schema)
    key, topic, is_spam = F.col("number"), F.col("topic_number"), F.col("is_spam")
    has_place = uniform_column(conf.seed, "has-location", key) < 0.4
    place = F.floor(uniform_column(conf.seed, "location", key) * len(LOCATIONS)).cast("int") + 1
    tags = chosen_hashtags(conf, "item", key, topic, is_spam)
    text = written_text(conf, "item", key, topic, true_sentiment(conf, "item", key), is_spam)
    return rows.withColumn("hashtags", tags).select(
        item_id(conf, F.col("public")).alias("item_id"),
        F.when(F.col("is_product"), "product").otherwise("post").alias("kind"),
        user_id(conf, F.col("owner")).alias("owner_id"),
        written_title(conf, "item", key, topic).alias("title"),
        F.concat_ws(" #", text, F.concat_ws(" #", "hashtags")).alias("text"),
        "hashtags",
        F.array(topic_name(topic)).alias("categories"),
        F.when(F.col("is_product"), F.col("price")).alias("price_usd"),
        F.when(has_place, F.element_at(word_list(LOCATIONS), place)).alias("location"),
        F.timestamp_seconds("created").alias("created_at"),
        "community_id",
        topic_name(topic).alias("topic"),
        "quality",
        "is_spam",
        "expected_share",
        "taste",
    )


ITEM_COLUMNS = (
    "item_id", "kind", "owner_id", "title", "text", "hashtags", "categories", "price_usd", "location", "created_at",
)  # fmt: skip
TEXT_COLUMNS = ("text_id", "kind", "author_id", "item_id", "text", "label", "created_at")


def text_columns(conf: WorldConf) -> tuple[str, ...]:
    """The columns of a world's raw texts: TEXT_COLUMNS, and before the time those of emotions, moderators and conversations where
    the world has them."""
    shares = (conf.emotion_share, conf.moderated_share, conf.conversation_share)
    names = ("emotion_label", "moderation_label", "conversation_id")
    more = [name for name, share in zip(names, shares, strict=True) if share > 0]
    return (*TEXT_COLUMNS[:-1], *more, TEXT_COLUMNS[-1])


def texts_with_truth(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """One row per text: the columns of the raw texts (`text_columns`), then the truth about it.

    text_id, kind (review of a product, comment on a post or in answer to a text), author_id, item_id, text, label (positive,
    negative, neutral, null), emotion_label (null for spam and unlabelled texts), moderation_label (allowed, removed, null),
    conversation_id (null for texts alone), created_at (after the item's, within the window); sentiment (what the author meant),
    topic, is_spam; with emotions: emotion (null for spam); with campaigns: campaign_id (null for other texts); with conversations:
    place (0 for the first text), reply_to (the text_id that it answers, null for a first text and for texts alone).
    """
    planted = people.plant_communities(conf)

    def describe(number: Longs) -> dict[str, object]:
        roles = roles_of_texts(conf, number)
        about, voice = roles.about, roles.voice
        pick, draw = (uniform_array(conf.seed, f"text-item/{name}", about) for name in ("place", "rank"))
        item = catalogue.draw_anywhere(planted, pick, draw, conf)
        home = catalogue.communities_of_items(planted, item)
        away = people.communities_of_slots(
            planted, np.floor(uniform_array(conf.seed, "text-away", voice) * conf.users).astype(np.int64)
        )
        group = np.where(uniform_array(conf.seed, "text-crosses", voice) < conf.mu, away, home)
        since = np.maximum(catalogue.created_at(conf, item), conf.starts_at)
        # A conversation begins early enough to end in the window; one about an item of its last hours is cut short there.
        room = np.maximum(conf.ends_at - since - roles.span, 1)
        wait = np.floor(room * uniform_array(conf.seed, "text-time", about)).astype(np.int64)
        return {
            "number": number,
            "item": catalogue.public_numbers(conf, item),
            "author": people.draw_members(conf, planted, group, uniform_array(conf.seed, "author", voice)),
            "topic_number": catalogue.topics_of_items(conf, planted, item),
            "is_product": catalogue.are_products(conf, item),
            "created": np.minimum(since + wait + roles.delay, conf.ends_at - 1),
            "campaign": roles.campaign,
            "conversation": roles.conversation,
            "place": roles.place,
            "parent": roles.parent,
        }

    schema = (
        "number long, item long, author long, topic_number long, is_product boolean, created long, campaign long, "
        "conversation long, place long, parent long"
    )
    rows = map_numbers(spark, conf.texts, partitions, describe, schema)
    key, topic, campaign = F.col("number"), F.col("topic_number"), F.col("campaign")
    is_campaign, is_reply = campaign >= 0, F.col("place") > 0
    rows = rows.withColumn("is_spam", (uniform_column(conf.seed, "text-spam", key) < conf.spam_share) | is_campaign)
    rows = rows.withColumn("sentiment_number", true_sentiment(conf, "text", key))
    sentiment, is_spam = F.col("sentiment_number"), F.col("is_spam")
    text = written_text(conf, "text", key, topic, sentiment, is_spam)
    emotion = F.lit(None).cast("int")
    if conf.emotion_share > 0:
        rows = rows.withColumn("emotion_number", F.when(~is_spam, true_emotion(conf, "text", key, sentiment)))
        emotion = F.col("emotion_number")
        text = F.concat_ws(" ", text, written_emotion(conf, "text", key, emotion))
    if conf.campaign_share > 0:
        text = F.when(is_campaign, written_campaign(conf, "campaign", campaign, key)).otherwise(text)
    is_met = uniform_column(conf.seed, "moderated-text", key) < conf.moderated_share
    is_wrong = uniform_column(conf.seed, "wrong-verdict", key) < conf.verdict_noise
    columns = {
        "text_id": text_id(conf, key),
        "kind": F.when(F.col("is_product") & ~is_reply, "review").otherwise("comment"),
        "author_id": user_id(conf, F.col("author")),
        "item_id": item_id(conf, F.col("item")),
        "text": text,
        "label": F.when(~is_spam, noisy_label(conf, "text", key, sentiment, SENTIMENTS)),
        "emotion_label": noisy_label(conf, "text-emotion", key, emotion, EMOTIONS),
        "moderation_label": F.when(is_met, F.element_at(word_list(VERDICTS), (is_spam != is_wrong).cast("int") + 1)),
        "conversation_id": _numbered("c", F.col("conversation"), conf.texts),
        "created_at": F.timestamp_seconds("created"),
    }
    truth = {
        "sentiment": F.element_at(word_list(SENTIMENTS), sentiment + 1),
        "topic": topic_name(topic),
        "is_spam": is_spam,
    }
    if conf.emotion_share > 0:
        truth["emotion"] = F.element_at(word_list(EMOTIONS), emotion.cast("int") + 1)
    if conf.campaign_share > 0:
        truth["campaign_id"] = _numbered("s", campaign, conf.texts)
    if conf.conversation_share > 0:
        truth |= {"place": F.col("place"), "reply_to": _numbered("t", F.col("parent"), conf.texts)}
    raw = {name: columns[name] for name in text_columns(conf)}
    return rows.select(*[column.alias(name) for name, column in (raw | truth).items()])


def follows(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """One row per directed pair: src follows dst. weight in (0, 1] (within a community on the average twice that across).

    src, dst, weight, followed_at. No pair occurs twice; no user follows themselves.
    """
    planted = people.plant_communities(conf)

    def make(numbers: Longs) -> Iterator[pd.DataFrame]:
        outside, inside = people.follower_counts(conf, planted, numbers)
        for batch, _ in activity.batches_of_users(numbers, outside + inside):
            made = people.followers_of_users(conf, planted, batch)
            weight = 0.2 + 0.8 * uniform_array(conf.seed, "weight", made.target, made.place)
            yield pd.DataFrame(
                {
                    "source": made.source,
                    "target": made.target,
                    "weight": np.round(np.where(made.is_outside, weight / 2, weight), 2),
                    "followed": made.followed_at,
                }
            )

    schema = "source long, target long, weight double, followed long"
    rows = _expand_numbers(spark, conf.users, round(conf.users * conf.follows_per_user), partitions, make, schema)
    return rows.select(
        user_id(conf, F.col("source")).alias("src"),
        user_id(conf, F.col("target")).alias("dst"),
        "weight",
        F.timestamp_seconds("followed").alias("followed_at"),
    )


def blocks(spark: SparkSession, conf: WorldConf) -> DataFrame:
    """One row per user who has blocked another, some one in BLOCKERS: src, dst, blocked_at (in the window). Nothing else in the
    world depends on it: src may follow dst, and like what they post."""
    number = F.col("id")
    step = F.floor(uniform_column(conf.seed, "blocked", number) * (conf.users - 1)).cast("long") + 1
    late = uniform_column(conf.seed, "blocked at", number) * (conf.ends_at - conf.starts_at)
    when = (F.lit(conf.starts_at) + F.floor(late)).cast("long")
    rows = spark.range(conf.users).where(uniform_column(conf.seed, "blocks", number) < 1 / BLOCKERS)
    return rows.select(
        user_id(conf, number).alias("src"),
        user_id(conf, (number + step) % conf.users).alias("dst"),
        F.timestamp_seconds(when).alias("blocked_at"),
    )


def other_events(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """One row per event that is no like: event_id, user_id, item_id, event, value, occurred_at.

    value is stars (0.5 to 5) for a rating, US dollars for a purchase, else null.
    """
    planted = people.plant_communities(conf)
    _, total = activity.planned_events(conf)

    def make(numbers: Longs) -> Iterator[pd.DataFrame]:
        for batch, counts in activity.batches_of_users(numbers, activity.event_counts(conf, numbers, total)):
            made = activity.make_other_events(conf, planted, batch, counts)
            yield pd.DataFrame(
                {
                    "user": made.user,
                    "number": made.number,
                    "item": catalogue.public_numbers(conf, made.item),
                    "at": made.at,
                    "kind": made.kind,
                    "value": made.value,
                }
            )

    schema = "user long, number long, item long, at long, kind byte, value double"
    rows = _expand_numbers(spark, conf.users, total, partitions, make, schema)
    kind = F.element_at(word_list(activity.KINDS), F.col("kind").cast("int") + 1)
    return rows.select(
        F.concat(F.lit("e"), F.col("user").cast("string"), F.lit("-"), F.col("number").cast("string")).alias("event_id"),
        user_id(conf, F.col("user")).alias("user_id"),
        item_id(conf, F.col("item")).alias("item_id"),
        kind.alias("event"),
        F.when(~F.isnan("value"), F.col("value")).alias("value"),
        F.timestamp_seconds("at").alias("occurred_at"),
    )


def likes(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """One row per user and item: the like's first moment and, as the truth, how it came about.

    event_id, user_id, item_id, occurred_at, generation (0: of the user's own accord; n: n follows away from such a like),
    parent_id (whom the user saw liking it; null for generation 0). One shuffle on (user, item); ties go to the smallest
    generation, then to the smallest parent.
    """
    planted = people.plant_communities(conf)
    total, _ = activity.planned_events(conf)

    def make(numbers: Longs) -> Iterator[pd.DataFrame]:
        for batch, counts in activity.batches_of_users(numbers, activity.event_counts(conf, numbers, total)):
            own = activity.make_likes(conf, planted, batch, counts)
            made = spread_likes(conf, planted, own.user, own.item, own.at)
            yield pd.DataFrame(
                {
                    "user": made.user,
                    "item": catalogue.public_numbers(conf, made.item),
                    "at": made.at,
                    "generation": made.generation,
                    "parent": made.parent,
                }
            )

    schema = "user long, item long, at long, generation long, parent long"
    rows = _expand_numbers(spark, conf.users, total, partitions, make, schema)
    first = rows.groupBy("user", "item").agg(F.min(F.struct("at", "generation", "parent")).alias("first"))
    parent = F.when(F.col("first.parent") >= 0, F.col("first.parent"))
    return first.select(
        F.concat(F.lit("l"), F.col("user").cast("string"), F.lit("-"), F.col("item").cast("string")).alias("event_id"),
        user_id(conf, F.col("user")).alias("user_id"),
        item_id(conf, F.col("item")).alias("item_id"),
        F.timestamp_seconds("first.at").alias("occurred_at"),
        F.col("first.generation").cast("int").alias("generation"),
        user_id(conf, parent).alias("parent_id"),
    )


def as_events(liked: DataFrame) -> DataFrame:
    """Likes with the columns of `other_events`."""
    return liked.select(
        "event_id",
        "user_id",
        "item_id",
        F.lit("like").alias("event"),
        F.lit(None).cast("double").alias("value"),
        "occurred_at",
    )


def events(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """All events: likes and others. Some `conf.events` rows: the number of likes that spread is met to a few percent."""
    return other_events(spark, conf, partitions).unionByName(as_events(likes(spark, conf, partitions)))


def assignments(conf: WorldConf, people_of_world: DataFrame) -> DataFrame:
    """Of `users`, one row per user: experiment, user_id, variant (control, treatment), assigned_at (the experiment's start)."""
    return people_of_world.select(
        F.lit(EXPERIMENT).alias("experiment"),
        "user_id",
        F.when(F.col("is_treated"), "treatment").otherwise("control").alias("variant"),
        F.timestamp_seconds(F.lit(conf.experiment_window[0])).alias("assigned_at"),
    )


def user_id(conf: WorldConf, number: Column) -> Column:
    """The public id of a user's number."""
    return _public_id("u", number, conf.users)


def item_id(conf: WorldConf, public: Column) -> Column:
    """The public id of an item's public number."""
    return _public_id("i", public, conf.items)


def text_id(conf: WorldConf, number: Column) -> Column:
    """The public id of a text's number."""
    return _public_id("t", number, conf.texts)


def _numbered(letter: str, number: Column, size: int) -> Column:
    """`_public_id`, null for -1."""
    return F.when(number >= 0, _public_id(letter, number, size))


def _public_id(letter: str, number: Column, size: int) -> Column:
    """A letter and the number with leading zeros, all ids of one kind equally long."""
    return F.concat(F.lit(letter), F.lpad(number.cast("string"), len(str(max(size - 1, 0))), "0"))


def topic_name(topic: Column) -> Column:
    """The name of a topic's number."""
    return F.element_at(word_list([t.name for t in TOPICS]), topic.cast("int") + 1)


def map_numbers(
    spark: SparkSession,
    size: int,
    partitions: int | None,
    describe: Callable[[Longs], dict[str, object]],
    schema: str,
) -> DataFrame:
    """One row per number 0..size-1 with the columns that `describe` gives for a batch of numbers."""

    def make(numbers: Longs) -> Iterator[pd.DataFrame]:
        yield pd.DataFrame(describe(numbers))

    return _expand_numbers(spark, size, size, partitions, make, schema)


def _expand_numbers(
    spark: SparkSession,
    size: int,
    rows: int,
    partitions: int | None,
    make: Callable[[Longs], Iterator[pd.DataFrame]],
    schema: str,
) -> DataFrame:
    """The rows that `make` gives for batches of the numbers 0..size-1; about `rows` rows in all, which sets the tasks."""

    def run(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield from make(batch["id"].to_numpy())

    tasks = max(min(-(-rows // _MIN_TASK_ROWS), _MOST_SMALL_TASKS), -(-rows // _MAX_TASK_ROWS), 1)
    return spark.range(0, size, 1, partitions or min(tasks, max(size, 1))).mapInPandas(run, schema)
