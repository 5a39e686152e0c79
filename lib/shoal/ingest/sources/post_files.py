"""Files of posts and of accounts for the file commands: which columns they may have, under which names, and their values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.errors import InputError, UsageError
from shoal.ingest.fields import Field, typed
from shoal.ingest.formats.files import quoted, read_rows, refuse_faults
from shoal.ingest.formats.names import by_plain, plain
from shoal.ingest.sources.twitter_activity import TIME_FORMS

_COUNTS = (
    Field("followers", "count", False, ("user_followers", "followers_count", "follower_count", "user_followers_count",
    "num_followers",
                                        "author_followers")),
    Field("following", "count", False, ("user_friends", "friends_count", "following_count", "user_friends_count", "followees",
                                        "user_following", "friends", "author_following")),
)  # fmt: skip
_VERIFIED = Field("is_verified", "flag", False, ("user_verified", "verified", "author_verified"))
_CREATED = ("user_created", "user_created_at", "account_created_at", "author_created")

# A row a post. The likes and comments of a post are its counts when the file was written.
POST_FIELDS = (
    Field("author_id", "id", False, ("user_id", "owner_id", "author", "user", "username", "screen_name", "user_name",
    "owner_username",
                                     "account", "account_id")),
    Field("created_at", "time", True, ("timestamp", "date", "time", "posted_at", "taken_at", "taken_at_timestamp", "published_at",
                                       "tweet_created"), TIME_FORMS),
    Field("text", "text", False, ("full_text", "tweet", "content", "caption", "description", "body", "title")),
    Field("likes", "count", False, ("favorite_count", "favorites", "like_count", "favourites", "likes_count", "num_likes")),
    Field("comments", "count", False, ("reply_count", "replies", "comments_count", "comment_count", "num_comments")),
    Field("is_video", "flag"),
    Field("location", "text", False, ("place", "location_name")),
    *_COUNTS,
    _VERIFIED,
    Field("author_created_at", "time", False, _CREATED, TIME_FORMS),
)  # fmt: skip
# A row an account: behaviour and network, means or totals as the file has them.
ACCOUNT_FIELDS = (
    Field(
        "user_id", "id", False, ("id", "author_id", "username", "user", "screen_name", "owner_id", "account", "account_id", "name")
    ),
    *_COUNTS,
    _VERIFIED,
    Field("created_at", "time", False, _CREATED, TIME_FORMS),
)
# A moment of a series, the name of its series, and what was measured; a number is read as text first, so that a fault can be shown.
SERIES_FIELDS = (Field("measured_at", "time", True, (), TIME_FORMS), Field("value", "text"), Field("series", "text"))


def text_fields(names: Sequence[str]) -> list[Field]:
    """Fields of any text under these names."""
    return [Field(name, "text") for name in names]


def read_table(
    spark: SparkSession, path: str | Path, fields: Sequence[Field], conf: IngestConf, required: Sequence[str] = ()
) -> DataFrame:
    """The rows of a file: `row` (struct of the file's own columns, in its order), `position` (bigint, ascending in the order of the
    file) and each of `fields` with its value; null where the file has no such column or the field is empty.

    Names: a rename of --set column_mapping.NAME=COLUMN (NAME may be any name of the field), else the field's name or an alias.
    Raises InputError, one line, as shoal.ingest.formats.files.read_rows does, for a column of `required` that is not there, and
    for values of another kind; UsageError for a rename of no field. The frame is cached.
    """
    renames = _renames(fields, conf)
    rows = read_rows(spark, path, [], conf=conf.model_copy(update={"column_mapping": {}}))
    spelled = by_plain(rows.columns)
    used: set[str] = set()
    matched: dict[str, str] = {}
    for field in fields:
        if field.name in renames:
            if renames[field.name] not in rows.columns:
                raise InputError(
                    f"{path}: no column {renames[field.name]!r} (set as column_mapping.{field.name}); found {_shown(rows)}"
                )
            matched[field.name] = renames[field.name]
        else:
            found = [spelled[plain(name)] for name in (field.name, *field.aliases) if plain(name) in spelled]
            free = [name for name in found if name not in used and name not in renames.values()]
            if free:
                matched[field.name] = free[0]
            elif field.name in required:
                also = f" (or {', '.join(field.aliases)})" if field.aliases else ""
                hint = f"name it with --set column_mapping.{field.name}=NAME"
                raise InputError(f"{path}: no column {field.name}{also}; found {_shown(rows)}; {hint}")
        used.add(matched.get(field.name, ""))
    nothing = F.lit(None).cast("string")
    texts = rows.select(
        F.struct(*[F.col(quoted(name)) for name in rows.columns]).alias("row"),
        F.monotonically_increasing_id().alias("position"),
        *[(F.col(quoted(matched[f.name])).cast("string") if f.name in matched else nothing).alias(f.name) for f in fields],
    )
    form = "--set ingest.timestamp_format=dd/MM/yyyy"
    kinds = {
        "time": f"unix seconds, an ISO 8601 time or 10/16/17 22:59; name another form with {form}",
        "count": "a count as 1234, 1,234 or 12.3k",
        "flag": "true or false",
    }
    nowhere = ("", "-1", "-1.0", "nan", "none", "null")
    faults = {
        f.name: (typed(f, conf).isNull() & ~F.lower(F.trim(f.name)).isin(*nowhere), kinds[f.kind])
        for f in fields
        if f.name in matched and f.kind in kinds
    }
    texts = texts.persist()
    if faults:
        refuse_faults(texts, path, faults)
    return texts.select("row", "position", *[typed(f, conf).alias(f.name) for f in fields]).persist()


def _renames(fields: Sequence[Field], conf: IngestConf) -> dict[str, str]:
    """Our field -> the file's column, of the settings; a field may be named by an alias."""
    named = {plain(alias): f.name for f in reversed(fields) for alias in (*f.aliases, f.name)}
    unknown = [name for name in conf.column_mapping if plain(name) not in named]
    if unknown:
        ours = ", ".join(field.name for field in fields)
        raise UsageError(f"--set column_mapping.{unknown[0]}: no such column is read here; there are {ours}")
    return {named[plain(name)]: column for name, column in conf.column_mapping.items()}


def _shown(rows: DataFrame) -> str:
    return ", ".join(rows.columns[:20]) + (", ..." if len(rows.columns) > 20 else "")
