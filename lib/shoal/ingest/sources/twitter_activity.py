"""Twitter: tweets as tables, JSON lines or pages of its API, what people did with them, and who follows whom.

In a folder, files with `event` or `activity` in their names are activity, those with `follow`, `edges` or `network` follower
edges, all others tweets. Ids are text from the first byte on: as numbers the longer ones would be rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field, broken_rule
from shoal.ingest.record_type import DerivedTable, RecordType, event_id_from, hashtags_of, id_from, unlabelled
from shoal.ingest.sources.general import EDGES

SOURCE = "twitter_activity"
_ACTIVITY = ("*event*", "*activity*", "events/*")
_EDGES = ("*follow*", "*edges*", "*network*", "follows/*", "followers/*", "edges/*")
_PROSE = ("readme*", "license*", "licence*")
# What the activity's words are in silver; other words stay, and the contract says whether there is such an event.
_EVENTS = {"retweet": "share", "retweeted": "share", "quote": "share", "reply": "comment", "replied": "comment", "favorite": "like",
           "favourite": "like", "liked": "like", "impression": "view", "bookmark": "save"}  # fmt: skip
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def twitter_time(text: Column) -> Column:
    """Twitter's own time, Wed Oct 10 20:19:24 +0000 2018, as ISO 8601; null for other texts."""
    form = r"^[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d?) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d) (\d{4})$"
    month, day, time, hours, minutes, year = (F.regexp_extract(text, form, i) for i in range(1, 7))
    number = ((F.position(month, F.lit(_MONTHS)) + 2) / 3).cast("int")
    written = F.concat(year, F.lit("-"), _two(number), F.lit("-"), _two(day), F.lit("T"), time, hours, F.lit(":"), minutes)
    return F.when(text.rlike(form), written)


def american_time(text: Column) -> Column:
    """A spreadsheet's American time, 10/16/17 22:59, as ISO 8601; years without a century are of this one; null for others."""
    form = r"^(\d\d?)/(\d\d?)/(?:20)?(\d\d) (\d\d?):(\d\d)$"
    month, day, year, hour, minute = (F.regexp_extract(text, form, i) for i in range(1, 6))
    date = F.concat(F.lit("20"), year, F.lit("-"), _two(month), F.lit("-"), _two(day))
    return F.when(text.rlike(form), F.concat(date, F.lit("T"), _two(hour), F.lit(":"), minute))


def _two(number: Column) -> Column:
    """A number with two digits."""
    return F.lpad(number.cast("string"), 2, "0")


TIME_FORMS = (twitter_time, american_time)

FIELDS = (
    Field("tweet_id", "id", False, ("id_str", "id", "status_id", "item_id")),
    Field("url", "text", False, ("link", "permalink"), people="link"),
    Field("text", "text", True, ("full_text", "tweet", "content")),
    Field("hashtags", "list"),
    Field("created_at", "time", False, ("timestamp", "date", "time", "posted_at"), TIME_FORMS),
    Field("observed_at", "time", False, ("collected_at", "scraped_at", "fetched_at"), TIME_FORMS),
    Field("author_id", "id", False, ("user_id",)),
    Field("username", "text", False, ("screen_name", "user_name")),
    # A name in tables, an object in the API's first version.
    Field("user", "text", False, ("author",), people="person"),
    Field("followers", "count", False, ("followers_count", "user_followers_count")),
    Field("following", "count", False, ("friends_count", "user_friends_count", "following_count")),
    Field("likes", "count", False, ("favorite_count", "favorites", "like_count", "favourites")),
    Field("comments", "count", False, ("reply_count", "replies")),
    Field("shares", "count", False, ("retweet_count", "retweets")),
    Field("quotes", "count", False, ("quote_count",)),
    Field("views", "count", False, ("view_count", "impression_count", "impressions")),
    Field("public_metrics", "text", people="none"),
    Field("conversation_id", "id", False, ("thread_id",)),
    Field("place", "text", False, ("location",)),
    # A JSON array of the API's user objects.
    Field("people", "text", people="person"),
)

ACTIVITY_FIELDS = (
    Field("event_id", "id", False, ("id", "id_str")),
    Field("event", "word", True, ("type", "event_type", "action")),
    Field("user_id", "id", True, ("actor_id", "source_user_id", "user")),
    Field("item_id", "id", False, ("tweet_id", "target_tweet_id", "status_id")),
    Field("target_user_id", "id", False, ("target_id", "followee_id", "followed_id"), people="id"),
    Field("occurred_at", "time", True, ("created_at", "timestamp", "time"), TIME_FORMS),
)


# The keys by which a page of the API's second version is recognised, and a search's of the first.
_PAGE = frozenset({"data", "includes", "meta", "errors"})


def tweets_of(document: object, path: str) -> Iterator[object]:
    """The tweets of a document: a tweet, a page of the API's second version, a search of the first, or an array of these."""
    for each in document if isinstance(document, list) else [document]:
        if isinstance(each, dict) and not _PAGE.isdisjoint(each):
            yield from _tweets_of_page(each)
        elif isinstance(each, dict) and isinstance(each.get("statuses"), list):
            yield from each["statuses"]
        else:
            yield each


def _tweets_of_page(page: dict[str, Any]) -> Iterator[object]:
    """The tweets of a page, those that it includes too, each with its author; the first one also with all others it names."""
    data, includes = page.get("data") or [], page.get("includes") or {}
    tweets = [*([data] if isinstance(data, dict) else data), *(includes.get("tweets") or [])]
    users = [user for user in includes.get("users") or [] if isinstance(user, dict)]
    authors = {str(tweet.get("author_id")) for tweet in tweets if isinstance(tweet, dict)}
    others = [user for user in users if str(user.get("id")) not in authors]
    for place, tweet in enumerate(tweets):
        if not isinstance(tweet, dict):
            yield tweet
            continue
        author = [user for user in users if str(user.get("id")) == str(tweet.get("author_id"))]
        yield {**tweet, "people": author + (others if place == 0 else [])}


def tweet_shaped(tweet: dict[str, Any]) -> dict[str, Any]:
    """A tweet with all of its text, where the API gives that beside the cut one; a retweet without the count of retweets, which is
    that of the tweet that it repeats. An object with a tweet alone, as the archive that X gives a person has it, is that tweet.

    >>> tweet_shaped({"text": "Long…", "extended_tweet": {"full_text": "Longer"}, "retweet_count": 2})
    {'extended_tweet': {'full_text': 'Longer'}, 'retweet_count': 2, 'full_text': 'Longer'}
    """
    if len(tweet) == 1 and isinstance(tweet.get("tweet"), dict):
        tweet = tweet["tweet"]
    whole = dict(tweet)
    for holder, name in (("extended_tweet", "full_text"), ("note_tweet", "text")):
        held = tweet.get(holder)
        if isinstance(held, dict) and isinstance(held.get(name), str) and held[name]:
            whole.pop("text", None)
            whole["full_text"] = held[name]
    named = tweet.get("referenced_tweets")
    others = named if isinstance(named, list) else []
    if isinstance(tweet.get("retweeted_status"), dict) or any(isinstance(o, dict) and o.get("type") == "retweeted" for o in others):
        whole.pop("retweet_count", None)
        if isinstance(whole.get("public_metrics"), dict):
            whole["public_metrics"] = {n: v for n, v in whole["public_metrics"].items() if n != "retweet_count"}
    return whole


def without_entities(text: str) -> Column:
    """A text without Twitter's escapes of & and quotes: &#39; is no hashtag."""
    return F.regexp_replace(text, r"&#?\w+;", " ")


def _tweet_id() -> Column:
    """The tweet's id, else the one that its link names, else one made from the rest."""
    linked = F.nullif(F.regexp_extract("url", r"/status(?:es)?/(\d+)", 1), F.lit(""))
    return F.coalesce("tweet_id", linked, id_from("author_id", "username", "user", "created_at", "text"))


def _user_of_tweet(name: str) -> Column:
    """A value of the user object that a tweet holds; null where it holds none."""
    return F.when(F.col("user").startswith("{"), F.get_json_object("user", f"$.{name}"))


def _username() -> Column:
    return F.coalesce("username", _user_of_tweet("screen_name"), F.when(~F.col("user").startswith("{"), F.col("user")))


def _author_id() -> Column:
    """Who wrote it; the name where a file has no ids."""
    return F.coalesce("author_id", _user_of_tweet("id_str"), _user_of_tweet("id"), _username())


def _metric(column: str, name: str) -> Column:
    """A count of a tweet, from its column or its public_metrics."""
    return F.coalesce(F.col(column), F.get_json_object("public_metrics", f"$.{name}").cast("bigint"))


def _items(conf: IngestConf) -> dict[str, Column]:
    nothing = F.lit(None)
    from_text = hashtags_of(without_entities("text"))
    given = F.transform("hashtags", lambda tag: F.lower(F.translate(tag, "#", "")))
    return {
        "item_id": _tweet_id(), "kind": F.lit("tweet"), "owner_id": _author_id(), "title": nothing, "text": F.col("text"),
        "hashtags": F.coalesce(given, from_text), "categories": F.array().cast("array<string>"), "is_video": nothing,
        "image_count": nothing, "image_path": nothing,
        "location": F.when(F.col("place").startswith("{"), F.get_json_object("place", "$.full_name")).otherwise(F.col("place")),
        "price_usd": nothing, "created_at": F.col("created_at"),
    }  # fmt: skip


def _rounded_ids(conf: IngestConf) -> Column:
    """Rule `type`: an id that was made a number and rounded on its way: 9.01657E+17 is many tweets."""
    expected = F.lit("', expected all digits of the id; something took it for a number")
    reason = F.concat(F.lit("item_id: found '"), "item_id", expected)
    return F.when(F.col("item_id").rlike(r"^\d(\.\d+)?[eE]\+?\d+$"), broken_rule("type", reason))


def _texts(conf: IngestConf) -> dict[str, Column]:
    return {
        "text_id": _tweet_id(), "kind": F.lit("tweet"), "author_id": _author_id(), "item_id": _tweet_id(),
        "conversation_id": F.col("conversation_id"), "text": F.col("text"), **unlabelled(), "created_at": F.col("created_at"),
    }  # fmt: skip


def _counts(conf: IngestConf) -> dict[str, Column]:
    """Counts so far; quotes are shares."""
    retweets, quotes = _metric("shares", "retweet_count"), _metric("quotes", "quote_count")
    shares = F.when(F.coalesce(retweets, quotes).isNotNull(), F.coalesce(retweets, F.lit(0)) + F.coalesce(quotes, F.lit(0)))
    return {
        "item_id": _tweet_id(), "observed_at": F.coalesce("observed_at", "created_at"), "likes": _metric("likes", "like_count"),
        "comments": _metric("comments", "reply_count"), "shares": shares, "views": _metric("views", "impression_count"),
    }  # fmt: skip


def _is_counted() -> Column:
    """Whether a tweet has a count, and a time for it."""
    counts = ("likes", "like_count"), ("comments", "reply_count"), ("shares", "retweet_count"), ("quotes", "quote_count"), (
        "views", "impression_count")  # fmt: skip
    return F.coalesce(*[_metric(*each) for each in counts]).isNotNull() & F.coalesce("observed_at", "created_at").isNotNull()


def _users(conf: IngestConf) -> Column:
    """The users that a tweet describes: its author, and those of the page."""
    text = "id string, id_str string, screen_name string, username string, followers_count string, friends_count string"
    metrics = "public_metrics struct<followers_count: string, following_count: string>, created_at string"
    held = F.when(F.col("user").startswith("{"), F.concat(F.lit("["), "user", F.lit("]")))
    found = F.from_json(F.coalesce("people", held), f"array<struct<{text}, {metrics}>>")

    def row(each: Column) -> Column:
        when = F.coalesce(F.try_to_timestamp(each["created_at"]), twitter_time(each["created_at"]).cast("timestamp"))
        return _user(
            F.coalesce(each["id_str"], each["id"]), F.coalesce(each["username"], each["screen_name"]),
            F.coalesce(each["followers_count"], each["public_metrics"]["followers_count"]),
            F.coalesce(each["friends_count"], each["public_metrics"]["following_count"]), when,
        )  # fmt: skip

    no_user = F.array().cast("array<struct<user_id:string,username:string,followers:bigint,following:bigint,created_at:timestamp>>")
    author = F.array(_user(_author_id(), _username(), F.col("followers"), F.col("following"), F.lit(None)))
    described = F.when(F.coalesce(_username(), F.col("followers"), F.col("following")).isNotNull(), author)
    rows = F.concat(F.coalesce(described, no_user), F.coalesce(F.transform(found, row), no_user))
    return F.filter(rows, lambda each: F.length(each["user_id"]) > 0)


def _user(user_id: Column, name: Column, followers: Column, following: Column, created: Column) -> Column:
    return F.struct(
        user_id.alias("user_id"), name.alias("username"), followers.cast("bigint").alias("followers"),
        following.cast("bigint").alias("following"), created.cast("timestamp").alias("created_at"),
    )  # fmt: skip


def _is_follow() -> Column:
    return F.coalesce(F.col("event").isin("follow", "followed"), F.lit(False))


def _is_event() -> Column:
    """Whatever is no follow: also a record that cannot be read."""
    return ~_is_follow()


def _events(conf: IngestConf) -> dict[str, Column]:
    words = F.create_map(*[F.lit(word) for pair in _EVENTS.items() for word in pair])
    event = F.coalesce(words[F.col("event")], "event")
    return {
        "event_id": F.coalesce("event_id", event_id_from(SOURCE, event)), "user_id": F.col("user_id"), "item_id": F.col("item_id"),
        "event": event, "value": F.lit(None), "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def _follows(conf: IngestConf) -> dict[str, Column]:
    pair = {"src_id": F.col("user_id"), "dst_id": F.col("target_user_id")}
    return pair | {"weight": F.lit(1.0), "followed_at": F.col("occurred_at")}


ACTIVITY = RecordType(
    "activity", "bronze.events", "silver.interactions", ACTIVITY_FIELDS, _events, _ACTIVITY, False, _rounded_ids, takes=_is_event
)
# A follow is no event with an item: the same files, the other records.
FOLLOWS = RecordType("follows", "bronze.edges", "silver.follows", ACTIVITY_FIELDS, _follows, _ACTIVITY, takes=_is_follow)

PARTS = (
    RecordType(
        "tweets", "bronze.tweets", "silver.items", FIELDS, _items, checked=_rounded_ids, records_of=tweets_of, is_optional=True,
        pages=_PAGE | {"statuses"}, shaped=tweet_shaped,
        excluding=(*_ACTIVITY, *_EDGES, *_PROSE),
        also=(
            DerivedTable("silver.texts", _texts, lambda: F.trim("text") != ""),
            DerivedTable("silver.item_engagement", _counts, _is_counted),
            DerivedTable("silver.users", _users),
        ),
    ),
    ACTIVITY,
    FOLLOWS,
    RecordType("followers", "bronze.edges", "silver.follows", EDGES.fields, EDGES.made, _EDGES),
)  # fmt: skip
