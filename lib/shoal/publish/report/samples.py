"""The part about recommendations: who is served by what, whose items get the places, and a few users' lists beside what they did
last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Bar, Bars, Block, Cell, Part, Table
from shoal.publish.report.wording import count, day, decimal, plural, share, shortened
from shoal.recommend.ranking.exposure import exposure_by_owner_size, largest_share
from shoal.recommend.ranking.reason import called, sentence

MOST_SOURCES = 20
MOST_USERS = 20
LIST_LENGTH = 5
LAST_EVENTS = 3
_SOURCES = {
    "blend": "known to the trained models",
    "als": "known to the trained model",
    "content": "items without an event, by what they are",
    "follows": "unknown to the model: what those they follow like",
    "community": "unknown to the model: what their community likes",
    "profile": "unknown to the model: what people of their profile like",
    "popularity": "unknown to the model: what is popular now",
    "explore": "places left to chance",
}


def lists_by_source(recommendations: DataFrame) -> list[dict[str, Any]]:
    """One row per source, most users first: source, users (whose first place it made), rows. Collects at most 20 rows."""
    first = F.count(F.when(F.col("rank") == 1, F.lit(1)))
    found = recommendations.groupBy("source").agg(first.alias("users"), F.count(F.lit(1)).alias("rows"))
    return [row.asDict() for row in found.orderBy(F.desc("users"), "source").limit(MOST_SOURCES).collect()]


def sample_users(recommendations: DataFrame, sources: Sequence[str], users: int) -> list[tuple[str, str]]:
    """(source of the first place, user_id) of `users` users, at most MOST_USERS (20), which are collected.

    Each source gives one, the first source the rest. Drawn by a hash of the id, so the same users on every run.
    """
    wanted = min(users, MOST_USERS)
    named = list(sources)[:wanted]
    if not named:
        return []
    firsts = recommendations.where("rank = 1").select("source", "user_id")
    order = (F.xxhash64("user_id"), F.col("user_id"))
    quota = dict.fromkeys(named, 1) | {named[0]: wanted - len(named) + 1}
    drawn = [firsts.where(F.col("source") == s).orderBy(*order).limit(n) for s, n in quota.items()]
    rows = reduce(DataFrame.unionAll, drawn).collect()
    return sorted(((r["source"], r["user_id"]) for r in rows), key=lambda pair: (named.index(pair[0]), pair[1]))


def lists_of(recommendations: DataFrame, users: Sequence[str], titles: DataFrame | None) -> list[dict[str, Any]]:
    """The first LIST_LENGTH (5) places of each of at most MOST_USERS users, with titles and `reason`, the sentence of reason_code;
    100 rows at most are collected."""
    listed = recommendations.where(F.col("user_id").isin(list(users)[:MOST_USERS]) & (F.col("rank") <= LIST_LENGTH))
    listed = listed.select("user_id", "rank", "item_id", "score", "source", "reason_code", "because_item_id")
    name = F.col("because_item_id")
    if titles is not None:
        text = F.col("text") if "text" in titles.columns else F.lit(None).cast("string")
        names = titles.select(F.col("item_id").alias("because_item_id"), called(F.col("title"), text).alias("_name"))
        listed = names.join(F.broadcast(listed), "because_item_id", "right")
        name = F.coalesce("_name", name)
    listed = listed.withColumn("reason", sentence(F.col("reason_code"), name)).drop("_name", "reason_code", "because_item_id")
    return _with_titles(listed, titles, ("user_id", "rank"), MOST_USERS * LIST_LENGTH)


def last_events(events: DataFrame, users: Sequence[str], titles: DataFrame | None) -> list[dict[str, Any]]:
    """The LAST_EVENTS (3) latest events of each of at most MOST_USERS users, with titles; 60 rows at most are collected.

    Views and clicks come after everything that says more. One pass over the events with a filter on the users.
    """
    order = [F.col("event").isin("view", "click"), F.desc("occurred_at"), F.asc("event_id")]
    mine = events.where(F.col("user_id").isin(list(users)[:MOST_USERS]))
    place = F.row_number().over(Window.partitionBy("user_id").orderBy(*order))
    last = mine.withColumn("place", place).where(F.col("place") <= LAST_EVENTS)
    last = last.select("user_id", "place", "item_id", "event", "value")
    return _with_titles(last, titles, ("user_id", "place"), MOST_USERS * LAST_EVENTS)


def samples_part(
    recommendations: DataFrame | None,
    made_on: date | None,
    as_of: date,
    events: DataFrame | None,
    titles: DataFrame | None,
    users: int,
    absent: Absent,
) -> Part:
    """`recommendations`: gold.recommendations of the day `made_on`; `events` and `titles` may be missing."""
    sources = lists_by_source(recommendations) if recommendations is not None else []
    if recommendations is None or not sources:
        return Part("recommendations", "Recommendations", "No user has a list.", [absent("gold.recommendations")])
    served, rows = sum(s["users"] for s in sources), sum(s["rows"] for s in sources)
    old = f" The lists are of {day(made_on)}: none were made for {day(as_of)}." if made_on and made_on != as_of else ""
    drawn = sample_users(recommendations, [s["source"] for s in sources if s["users"]], users)
    ids = [user for _, user in drawn]
    lists = lists_of(recommendations, ids, titles)
    lately = last_events(events, ids, titles) if events is not None else []
    blocks: list[Block] = [
        _bars("Users by what made their first place", sources, "users", "Number of users, and their share."),
        _bars("Places by what made them", sources, "rows", "Number of places in all lists, and their share."),
    ]
    if titles is not None and "owner_id" in titles.columns and events is not None:
        blocks += _exposure(exposure_by_owner_size(recommendations, titles, events), largest_share(recommendations))
    blocks += [
        _list_table(user, source, [r for r in lists if r["user_id"] == user], [r for r in lately if r["user_id"] == user])
        for source, user in drawn
    ]
    return Part(
        "recommendations",
        "Recommendations",
        f"{plural(served, 'user')} have a list, {plural(rows, 'row')} in all. Below: {plural(len(ids), 'user')} drawn by "
        f"a hash of the id, with the first {LIST_LENGTH} places.{old}",
        blocks,
        f"{plural(served, 'user')} have recommendations.",
        frozenset({"score"}),
    )


def _exposure(sizes: Sequence[Mapping[str, Any]], largest: float) -> list[Block]:
    """Whose items get the places; nothing without an owner."""
    if not sizes:
        return []
    cells = [
        [
            Cell(row["size"]), Cell(count(row["owners"]), kind="number"),
            Cell(count(row["items"]), f"{count(row['listed_items'])} listed", "number"),
            *[Cell(share(row[f"{name}_share"]), kind="number") for name in ("items", "events", "exposure")],
        ]
        for row in sizes
    ]  # fmt: skip
    note = (
        "Owners by the number of their items. A place counts 1 / log2(rank + 1), as in NDCG. A share of places above the share of "
        f"events favours these owners. The most listed item stands in {share(largest)} of all lists (recommend.max_item_share)."
    )
    headings = ["Items of the owner", "Owners", "Items", "Of items", "Of events", "Of places"]
    return [Table("Places by size of owner", headings, cells, note)]


def _bars(title: str, sources: Sequence[Mapping[str, Any]], by: str, note: str) -> Bars:
    """A bar a source that has any of `by` (users, rows), most first."""
    some = sorted((s for s in sources if s[by]), key=lambda s: -s[by])
    total = sum(s[by] for s in some)
    return Bars(title, [
        Bar(s["source"], s[by] / some[0][by], f"{count(s[by])} · {share(s[by] / total)}", under=_SOURCES.get(s["source"], ""))
        for s in some
    ], note)  # fmt: skip


def _with_titles(rows: DataFrame, titles: DataFrame | None, order: Sequence[str], most: int) -> list[dict[str, Any]]:
    """The rows with `title` (null without one), in order, at most `most`; the rows go to the catalogue, it does not move."""
    few = rows.orderBy(*order).limit(most)
    if titles is None:
        named = few.withColumn("title", F.lit(None).cast("string"))
    else:
        named = titles.select("item_id", "title").join(F.broadcast(few), "item_id", "right")
    return [row.asDict() for row in named.orderBy(*order).limit(most).collect()]


def _list_table(user: str, source: str, rows: Sequence[Mapping[str, Any]], lately: Sequence[Mapping[str, Any]]) -> Table:
    history = "; ".join(_event(row) for row in lately)
    cells = [
        [
            Cell(str(row["rank"]), kind="number"),
            Cell(_title(row), row["item_id"] if row["title"] else ""),
            Cell(shortened(row["reason"])),
            Cell(decimal(row["score"]), "" if row["source"] == source else row["source"], "number"),
        ]
        for row in rows
    ]
    note = f"Last seen of this user: {history}." if history else "No event of this user is known."
    return Table(f"User {shortened(user, 60)} · {source}", ["Rank", "Item", "Because", "Score"], cells, note)


def _event(row: Mapping[str, Any]) -> str:
    value = f" {decimal(row['value'])}" if row["event"] == "rating" and row["value"] is not None else ""
    return f"{row['event']}{value}, {_title(row, 60)}"


def _title(row: Mapping[str, Any], length: int = 120) -> str:
    return shortened(row["title"], length) or shortened(row["item_id"], length)
