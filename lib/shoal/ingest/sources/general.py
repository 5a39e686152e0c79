"""The general sources: ratings, events, items, texts, edges, blocks, profiles and moderation.

Their columns may have the names that people give them.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field, broken_rule
from shoal.ingest.record_type import RecordType, event_id_from, hashtags_of, id_from

USER = Field("user_id", "id", True, ("user", "uid", "reviewer_id", "customer_id", "visitor_id", "member_id", "account_id",
                                     "viewer_id", "listener_id", "reader_id", "buyer_id"))  # fmt: skip
_ITEM = ("item", "movie_id", "film_id", "product_id", "book_id", "post_id", "tweet_id", "asin", "business_id", "iid")
# In a file of items these may be of something else, as the artist of a song: its own id comes before them.
_ITEM_OR_OTHER = ("parent_asin", "isbn", "article_id", "sku", "song_id", "track_id", "artist_id", "video_id", "photo_id",
                  "anime_id", "game_id", "recipe_id", "news_id", "content_id", "listing_id", "pid")  # fmt: skip
ITEM = Field("item_id", "id", True, (*_ITEM, *_ITEM_OR_OTHER))
_ITEM_OF_ITS_OWN = Field("item_id", "id", True, (*_ITEM, "id", *_ITEM_OR_OTHER))
TIME = Field("occurred_at", "time", True, ("timestamp", "time", "created_at", "date", "datetime", "ts", "rated_at", "event_time",
                                           "event_timestamp", "event_date", "unix_timestamp", "unix_time", "unix_review_time",
                                           "rating_timestamp", "rating_time", "review_date"))  # fmt: skip


# What others call our events. What takes back another, as `remove_from_cart`, is not among them.
_EVENT_WORDS = {
    "view": ("browse", "viewed", "pv", "page_view", "play", "listen", "watch", "read"),
    "click": ("clicked",),
    "like": ("liked", "upvote", "heart"),
    "comment": ("commented", "reply"),
    "share": ("shared", "retweet", "repost"),
    "save": ("cart", "addtocart", "add_to_cart", "wishlist", "bookmark", "favorite", "favourite", "fav"),
    "purchase": ("buy", "bought", "purchased", "order", "transaction"),
    "rating": ("rate", "rated"),
}  # fmt: skip


def named_event(event: Column) -> Column:
    """The event that a word in lower case means; the word itself where it is another."""
    # First those that need no other word: nearly all.
    found = F.when(event.isin(*_EVENT_WORDS), event)
    for name, words in _EVENT_WORDS.items():
        found = found.when(event.isin(*words), name)
    return found.otherwise(event)


# What moderators call their decisions. A word that may be a mere suspicion, as `flagged`, is not among them.
REMOVED = ("removed", "remove", "hidden", "hide", "rejected", "reject", "deleted", "delete", "blocked", "block", "banned", "ban",
           "taken_down", "take_down", "disapproved", "suspended", "unpublished")  # fmt: skip
ALLOWED = ("allowed", "allow", "approved", "approve", "accepted", "accept", "restored", "restore", "reinstated", "kept", "keep",
           "visible", "published", "ok")  # fmt: skip


def item_of(values: dict[str, Column]) -> dict[str, Column]:
    """silver.items of an item of which `values` are known: other columns are null, other lists empty."""
    nothing, no_list = F.lit(None), F.array().cast("array<string>")
    others = ("owner_id", "title", "text", "is_video", "image_count", "image_path", "location", "price_usd", "created_at")
    return {**dict.fromkeys(others, nothing), "hashtags": no_list, "categories": no_list, **values}


def rating_range(rating: Column, conf: IngestConf) -> Column:
    """Rule `range` for a rating: null where it lies from ingest.rating_min to rating_max; a missing one does not."""
    found = F.concat(F.lit("rating: found "), F.coalesce(rating.cast("string"), F.lit("nothing")))
    wanted = F.lit(f", expected {conf.rating_min:g} to {conf.rating_max:g} (rating_min, rating_max)")
    sound = rating.isNotNull() & rating.between(conf.rating_min, conf.rating_max) & ~F.isnan(rating)
    return F.when(~sound, broken_rule("range", F.concat(found, wanted)))


def made_ratings(source: str) -> dict[str, Column]:
    """silver.interactions of ratings: event `rating`, the rating as its value."""
    event = F.lit("rating")
    return {
        "event_id": event_id_from(source, event), "user_id": F.col("user_id"), "item_id": F.col("item_id"), "event": event,
        "value": F.col("rating"), "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def rating_in_range(conf: IngestConf) -> Column:
    """Rule `range`: a rating without a value or outside ingest.rating_min to rating_max, a negative amount of another event."""
    value, rating = F.col("value"), F.col("event") == "rating"
    amount = F.concat(F.lit("value: found "), value.cast("string"), F.lit(", expected 0 or more"))
    return F.when(rating, rating_range(value, conf)).when(~rating & (value < 0), broken_rule("range", amount))


def _events(conf: IngestConf) -> dict[str, Column]:
    event = named_event(F.col("event"))
    return {
        "event_id": F.coalesce("event_id", event_id_from("events", event)), "user_id": F.col("user_id"),
        "item_id": F.col("item_id"), "event": event, "value": F.col("value"), "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def _items(conf: IngestConf) -> dict[str, Column]:
    words = F.concat_ws(" ", "title", "text")
    return {
        "item_id": F.col("item_id"), "kind": F.coalesce("kind", F.lit("item")), "owner_id": F.col("owner_id"),
        "title": F.col("title"), "text": F.col("text"),
        "hashtags": F.coalesce(F.transform("hashtags", lambda tag: F.lower(F.translate(tag, "#", ""))), hashtags_of(words)),
        "categories": F.coalesce("categories", F.array().cast("array<string>")), "is_video": F.col("is_video"),
        "image_count": F.col("image_count"), "image_path": F.col("image_path"), "location": F.col("location"),
        "price_usd": F.col("price_usd"), "created_at": F.col("created_at"),
    }  # fmt: skip


def _texts(conf: IngestConf) -> dict[str, Column]:
    return {
        "text_id": F.coalesce("text_id", id_from("author_id", "item_id", "text", "created_at")),
        "kind": F.coalesce("kind", F.lit("text")), "author_id": F.col("author_id"), "item_id": F.col("item_id"),
        "conversation_id": F.col("conversation_id"), "text": F.col("text"), "label": F.col("label"),
        "emotion_label": F.col("emotion_label"), "moderation_label": F.col("moderation_label"), "created_at": F.col("created_at"),
    }  # fmt: skip


def _edges(conf: IngestConf) -> dict[str, Column]:
    return {
        "src_id": F.col("src_id"), "dst_id": F.col("dst_id"), "weight": F.coalesce("weight", F.lit(1.0)),
        "followed_at": F.col("followed_at"),
    }  # fmt: skip


def _blocks(conf: IngestConf) -> dict[str, Column]:
    return {name: F.col(name) for name in ("user_id", "blocked_id", "occurred_at")}


def _moderation(conf: IngestConf) -> dict[str, Column]:
    spelled = F.regexp_replace("verdict", "[ -]", "_")
    verdict = F.when(spelled.isin(*REMOVED), "removed").when(spelled.isin(*ALLOWED), "allowed").otherwise(spelled)
    return {"item_id": F.col("item_id"), "decided_at": F.col("decided_at"), "verdict": verdict}


def _profiles(conf: IngestConf) -> dict[str, Column]:
    return {name: F.col(name) for name in ("user_id", "country", "language", "age_group", "described_at")}


TEXT = Field("text", "text", True, ("content", "body", "review", "tweet", "comment", "message", "caption", "sms", "review_text",
                                    "review_body", "tweet_text", "full_text", "comment_text", "message_text"))  # fmt: skip
EVENT = Field("event", "word", True, ("event_type", "type", "action", "kind", "event_name", "interaction_type", "interaction",
                                      "behavior_type", "behavior", "behaviour", "activity_type", "activity"))  # fmt: skip
RATING = Field("rating", "number", True, ("score", "stars", "value", "overall", "star_rating", "user_rating", "book_rating",
                                          "review_score", "rating_score"))  # fmt: skip
RATING_FIELDS = (USER, ITEM, RATING, TIME)
RATINGS = RecordType(
    "ratings",
    "bronze.ratings",
    "silver.interactions",
    RATING_FIELDS,
    lambda conf: made_ratings("ratings"),
    None,
    False,
    rating_in_range,
    key_from="occurred_at",
)
EVENTS = RecordType(
    "events",
    "bronze.events",
    "silver.interactions",
    (
        Field("event_id", "id", False, ("id",)),
        USER,
        ITEM,
        EVENT,
        Field("value", "number", False, ("rating", "amount", "price")),
        TIME,
    ),
    _events,
    keeps_newest=False,
    checked=rating_in_range,
)
ITEMS = RecordType(
    "items",
    "bronze.items",
    "silver.items",
    (
        _ITEM_OF_ITS_OWN,
        Field("kind", "word", False, ("type",)),
        Field("owner_id", "id", False, ("author_id", "user_id", "seller_id", "owner", "author", "brand")),
        Field("title", "text", False, ("name",)),
        Field("text", "text", False, ("caption", "body", "description", "overview")),
        Field("hashtags", "list", False, ("tags", "keywords")),
        Field("categories", "list", False, ("genres", "category")),
        Field("is_video", "flag"),
        Field("image_count", "whole"),
        Field("image_path", "text", False, ("image", "image_url")),
        Field("location", "text"),
        Field("price_usd", "number", False, ("price",)),
        Field("created_at", "time", False, ("published_at", "timestamp")),
    ),
    _items,
)
TEXTS = RecordType(
    "texts",
    "bronze.texts",
    "silver.texts",
    (
        Field("text_id", "id", False, ("id", "tweet_id", "review_id", "comment_id", "message_id")),
        Field("kind", "word", False, ("type",)),
        Field("author_id", "id", False, ("user_id", "author", "user", "sender", "sender_name")),
        Field("item_id", "id", False, ("product_id", "movie_id", "post_id")),
        Field("conversation_id", "id", False, ("thread_id",)),
        TEXT,
        Field("label", "text", False, ("label.sentiment", "label_sentiment", "sentiment", "class", "category", "target",
                                       "airline_sentiment", "sentiment_label", "polarity")),
        Field("emotion_label", "text", False, ("label.emotion", "label_emotion", "emotion")),
        Field("moderation_label", "text", False, ("label.moderation", "label_moderation", "moderation")),
        Field(
            "created_at",
            "time",
            False,
            ("timestamp", "time", "date", "sent_at", "tweet_created", "published_at", "posted_at", "review_date"),
        ),
    ),
    _texts,
)
EDGES = RecordType(
    "edges",
    "bronze.edges",
    "silver.follows",
    (
        Field(
            "src_id",
            "id",
            True,
            ("src", "source", "from", "node_1", "id_1", "follower", "follower_id", "from_id", "from_node_id", "u"),
        ),
        Field(
            "dst_id", "id", True, ("dst", "target", "to", "node_2", "id_2", "followee", "followed_id", "to_id", "to_node_id", "v")
        ),
        Field("weight", "number", False, ("value", "w")),
        Field("followed_at", "time", False, ("created_at", "timestamp", "time")),
    ),
    _edges,
)
BLOCKS = RecordType(
    "blocks",
    "bronze.blocks",
    "silver.blocks",
    (
        Field("user_id", "id", True, ("src_id", "src", "blocker", "blocker_id", "user", "from_id")),
        Field("blocked_id", "id", True, ("dst_id", "dst", "blocked", "blockee", "other_id", "to_id")),
        Field("occurred_at", "time", False, ("blocked_at", "created_at", "timestamp", "time")),
    ),
    _blocks,
)
PROFILES = RecordType(
    "profiles",
    "bronze.profiles",
    "silver.profiles",
    (
        Field("user_id", "id", True, ("user", "uid", "id")),
        Field("country", "text", False, ("country_code", "region")),
        Field("language", "text", False, ("lang", "locale")),
        Field("age_group", "text", False, ("age", "age_range")),
        Field("described_at", "time", False, ("updated_at", "created_at", "timestamp")),
    ),
    _profiles,
)
MODERATION = RecordType(
    "moderation",
    "bronze.moderation",
    "silver.moderation",
    (
        _ITEM_OF_ITS_OWN,
        Field("decided_at", "time", True, ("moderated_at", "reviewed_at", "updated_at", *TIME.aliases)),
        Field("verdict", "word", True, ("decision", "status", "action", "outcome")),
    ),
    _moderation,
)
