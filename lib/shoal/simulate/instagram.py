"""A simulated world in Instagram's forms: the table of posts that scrapers hand out, and the archives that persons are given.

Both tell of the same world under the same ids: a post's shortcode is its item_id, a username its user_id.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.simulate import tables
from shoal.simulate.world import WorldConf

# Rows of archives that the driver holds at once: some 200 MB.
MOST_ROWS = 200_000


def influencer_posts(spark: SparkSession, conf: WorldConf) -> DataFrame:
    """One row per post of the world, as `instagram_influencers` reads it, in its columns: counts as people write them.

    likes and comments are those of the whole window; followers and following of the whole world. Two shuffles by item, two by
    user. Nothing is collected.
    """
    posts = tables.items_with_truth(spark, conf).where("kind = 'post'")
    likes = tables.likes(spark, conf).groupBy("item_id").agg(F.count(F.lit(1)).alias("_likes"))
    comments = tables.texts_with_truth(spark, conf).groupBy("item_id").agg(F.count(F.lit(1)).alias("_comments"))
    pairs = tables.follows(spark, conf)
    followers = pairs.groupBy(F.col("dst").alias("owner_id")).agg(F.count(F.lit(1)).alias("_followers"))
    following = pairs.groupBy(F.col("src").alias("owner_id")).agg(F.count(F.lit(1)).alias("_following"))
    rows = posts.join(likes, "item_id", "left").join(comments, "item_id", "left")
    rows = rows.join(followers, "owner_id", "left").join(following, "owner_id", "left")
    number = F.crc32("item_id")
    return rows.select(
        "owner_id", F.col("owner_id").alias("owner_username"), F.col("item_id").alias("shortcode"),
        (number % 5 == 0).alias("is_video"), F.col("text").alias("caption"), _count("_comments").alias("comments"),
        _count("_likes").alias("likes"), F.unix_timestamp("created_at").alias("created_at"), "location",
        F.concat(F.lit("https://pictures.test/"), "item_id", F.lit(".jpg")).alias("imageUrl"),
        (number % 7 == 0).alias("multiple_images"), F.col("owner_id").alias("username"), _count("_followers").alias("followers"),
        _count("_following").alias("following"),
    )  # fmt: skip


def _count(name: str) -> Column:
    """A count as text: 1,234, and 12.3k from ten thousand on."""
    count = F.coalesce(name, F.lit(0))
    thousands = F.concat(F.round(count / 1000, 1).cast("string"), F.lit("k"))
    return F.when(count >= 10_000, thousands).otherwise(F.format_number(count, 0))


def person_archives(spark: SparkSession, conf: WorldConf, users: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The archive of each of `users`: file name to JSON document, in the layout of 2022 and later.

    Likes, saved posts, comments, own posts, follows, whom they have blocked, and messages that share a post (the world's
    shares, each sent to whom the user follows first; none where there is no such account). Collects what is of these users: raises
    ValueError where that is more than MOST_ROWS rows of one kind.
    """
    wanted = F.broadcast(spark.createDataFrame([(user,) for user in users], "user_id string"))
    items = tables.items_with_truth(spark, conf)
    owners = items.select("item_id", "owner_id")
    events = tables.events(spark, conf).join(wanted, "user_id").where("event in ('like', 'save', 'share')").join(owners, "item_id")
    texts = tables.texts_with_truth(spark, conf).join(wanted.toDF("author_id"), "author_id").join(owners, "item_id")
    posts = items.where("kind = 'post'").join(wanted.toDF("owner_id"), "owner_id")
    follows = tables.follows(spark, conf)
    follows = follows.join(wanted.toDF("src"), "src").unionByName(follows.join(wanted.toDF("dst"), "dst")).distinct()
    blocks = tables.blocks(spark, conf).join(wanted.toDF("src"), "src")
    rows = {
        "events": _bounded(events.orderBy("occurred_at", "event_id")),
        "texts": _bounded(texts.orderBy("created_at", "text_id")),
        "posts": _bounded(posts.orderBy("created_at", "item_id")),
        "follows": _bounded(follows.orderBy("followed_at", "src", "dst")),
        "blocks": _bounded(blocks.orderBy("blocked_at", "src", "dst")),
    }
    return {user: _archive(user, rows) for user in users}


def _bounded(rows: DataFrame) -> list[Any]:
    """The rows, at most MOST_ROWS, with times as unix seconds: a time that is collected is in the driver's zone."""
    times = {name: F.unix_timestamp(name) for name, kind in rows.dtypes if kind == "timestamp"}
    found = rows.withColumns(times).limit(MOST_ROWS + 1).collect()
    if len(found) > MOST_ROWS:
        raise ValueError(f"the archives hold more than {MOST_ROWS:,} rows of one kind; ask for fewer users")
    return found


def _archive(user: str, rows: dict[str, list[Any]]) -> dict[str, Any]:
    """One user's files."""
    mine = [event for event in rows["events"] if event["user_id"] == user]
    followed = [pair for pair in rows["follows"] if pair["src"] == user]
    activity = "your_instagram_activity"
    files = {
        "personal_information/personal_information/personal_information.json": {
            "profile_user": [{"title": "", "string_map_data": {
                "Username": _value(user), "Name": _value(_display(user)), "Email": _value(f"{user}@mail.test"),
            }}]
        },
        f"{activity}/likes/liked_posts.json": {"likes_media_likes": [
            {"title": e["owner_id"], "string_list_data": [
                {"href": _link(e["item_id"]), "value": _misread("👍"), "timestamp": e["occurred_at"]}]}
            for e in mine if e["event"] == "like"
        ]},
        f"{activity}/saved/saved_posts.json": {"saved_saved_media": [
            {"title": e["owner_id"], "string_map_data": {
                "Saved on": {"href": _link(e["item_id"]), "timestamp": e["occurred_at"]}}}
            for e in mine if e["event"] == "save"
        ]},
        f"{activity}/comments/post_comments_1.json": [
            {"media_list_data": [{"uri": ""}], "string_map_data": {
                "Comment": _value(_misread(t["text"])), "Media Owner": _value(t["owner_id"]),
                "Time": _value("", t["created_at"])}}
            for t in rows["texts"] if t["author_id"] == user
        ],
        f"{activity}/content/posts_1.json": [
            {"media": [{"uri": f"media/posts/{p['item_id']}.jpg", "creation_timestamp": p["created_at"], "title": ""}],
             "title": _misread(p["text"]), "creation_timestamp": p["created_at"]}
            for p in rows["posts"] if p["owner_id"] == user
        ],
        "connections/followers_and_following/followers_1.json": [
            _follow(pair["src"], pair["followed_at"]) for pair in rows["follows"] if pair["dst"] == user
        ],
        "connections/followers_and_following/following.json": {
            "relationships_following": [_follow(pair["dst"], pair["followed_at"]) for pair in followed]
        },
    }  # fmt: skip
    blocked = [pair for pair in rows["blocks"] if pair["src"] == user]
    if blocked:
        # As Instagram has it: the name is the title.
        blocks = [_follow(pair["dst"], pair["blocked_at"]) | {"title": pair["dst"]} for pair in blocked]
        files["connections/followers_and_following/blocked_accounts.json"] = {"relationships_blocked_users": blocks}
    shares = [event for event in mine if event["event"] == "share"]
    if followed and shares:
        friend = followed[0]["dst"]
        files[f"{activity}/messages/inbox/{friend}_1/message_1.json"] = {
            "participants": [{"name": _misread(_display(friend))}, {"name": _misread(_display(user))}],
            "messages": [
                {"sender_name": _misread(_display(user)), "timestamp_ms": e["occurred_at"] * 1000,
                 "content": _misread("Schau: 😀"), "share": {"link": _link(e["item_id"])},
                 "reactions": [{"reaction": _misread("❤"), "actor": _misread(_display(friend))}]}
                for e in shares
            ],
            "title": _misread(_display(friend)), "is_still_participant": True, "thread_path": f"inbox/{friend}_1",
        }  # fmt: skip
    return files


def write_archives(archives: dict[str, dict[str, Any]], folder: Path, zipped: Iterable[str] = ()) -> int:
    """Write each archive to <folder>/<user>/, those of the users in `zipped` to <folder>/<user>.zip; returns the files.

    The same archives give the same bytes, zipped ones too.
    """
    count, packed = 0, set(zipped)
    folder.mkdir(parents=True, exist_ok=True)
    for user, files in archives.items():
        if user in packed:
            with zipfile.ZipFile(folder / f"{user}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for name, document in files.items():
                    # An entry made from a name alone has a fixed time.
                    archive.writestr(zipfile.ZipInfo(name), json.dumps(document), zipfile.ZIP_DEFLATED)
        else:
            for name, document in files.items():
                path = folder / user / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(document), encoding="utf-8")
        count += len(files)
    return count


def _display(user: str) -> str:
    """The name people see: not the username, and not ASCII."""
    return f"Zoë {user}"


def _misread(text: str) -> str:
    """UTF-8 read as Latin-1, as Instagram writes it."""
    return text.encode().decode("latin-1")


def _link(item: str) -> str:
    return f"https://www.instagram.com/p/{item}/"


def _value(value: str, timestamp: int = 0) -> dict[str, Any]:
    return {"href": "", "value": value, "timestamp": timestamp}


def _follow(user: str, when: int) -> dict[str, Any]:
    entry = {"href": f"https://www.instagram.com/{user}", "value": user, "timestamp": when}
    return {"title": "", "media_list_data": [], "string_list_data": [entry]}
