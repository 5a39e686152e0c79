"""The parts of the page about one person's archive: activity, people, words, mood. Counted in Spark, drawn here.

Own is what the archive's owner wrote or did; received are the messages of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import events_over_time, span_of
from shoal.publish.report.blocks import Bar, Bars, Block, Cell, Figure, Part, Table, Tile, Tiles
from shoal.publish.report.pictures import NARROW, area, hours_of_the_week, lines_over_time
from shoal.publish.report.wording import NONE, count, day, decimal, plural, seconds, share, shortened

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_KINDS = 20
MOST_PEOPLE = 15
MOST_WORDS = 20
MOST_EMOJI = 12
# Fewer uses of a word say nothing of a person.
FEWEST_USES = 3
# Size in words of the prior that pulls rare words together; a few hundred to some thousand give the same order.
PRIOR_WORDS = 1000.0
MONTHS_SHOWN = 240
# Means of fewer texts jump from month to month.
FEWEST_TEXTS = 5
_WORD = r"(\p{L}[\p{L}\p{M}'’]+)"
_EMOJI = r"([\x{1F300}-\x{1FAFF}\x{2600}-\x{27BF}])"
_LINK = r"https?://\S+|@\w+"


@dataclass(frozen=True)
class Archive:
    """The rows of one archive. `owner`: whose it is. Times are UTC; they are shown in `zone`.

    texts: silver.texts with polarity and subjectivity; ordered: its conversations (shoal.mine.text.conversations.order_texts);
    members: conversation_id and people, the names of all who are in it, the owner among them or not; interactions, items, follows:
    the silver tables, None where the archive has none.
    """

    owner: str
    zone: str
    texts: DataFrame
    ordered: DataFrame
    members: DataFrame
    interactions: DataFrame | None
    items: DataFrame | None
    follows: DataFrame | None


def own_activity(archive: Archive) -> DataFrame:
    """One row per thing that the owner did: kind (messages, comments, likes, saves, shares, posts), at (local time of the archive's
    zone; null where the archive does not say)."""
    wrote = F.when(F.col("kind") == "message", "messages").when(F.col("kind") == "comment", "comments")
    own = archive.texts.where(F.col("author_id") == archive.owner)
    parts = [own.select(wrote.alias("kind"), F.col("created_at").alias("at")).where("kind IS NOT NULL")]
    if archive.interactions is not None:
        did = F.when(F.col("event").isin("like", "save", "share"), F.concat("event", F.lit("s")))
        mine = archive.interactions.where(F.col("user_id") == archive.owner)
        parts.append(mine.select(did.alias("kind"), F.col("occurred_at").alias("at")).where("kind IS NOT NULL"))
    if archive.items is not None:
        posted = archive.items.where(F.col("owner_id") == archive.owner)
        # What the owner's messages share and others' posts have no time of their own.
        parts.append(posted.where("created_at IS NOT NULL").select(F.lit("posts").alias("kind"), F.col("created_at").alias("at")))
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionByName(part)
    return rows.withColumn("at", F.from_utc_timestamp("at", archive.zone))


def conversations_of(archive: Archive) -> list[dict[str, Any]]:
    """The MOST_PEOPLE (15) conversations with most messages, which are collected: people (the others, by name), sent, received,
    own_reply_seconds and their_reply_seconds (medians, null without a reply), begun (sessions that the owner began), sessions,
    first_at, last_at. Ties by the names. One shuffle by conversation."""
    own = F.col("author_id") == archive.owner
    found = archive.ordered.where("kind = 'message'").groupBy("conversation_id").agg(
        F.array_sort(F.collect_set(F.when(~own, F.col("author_id")))).alias("authors"),
        F.count_if(own).alias("sent"), F.count_if(~own).alias("received"),
        F.percentile_approx(F.when(own, F.col("reply_seconds")), 0.5).alias("own_reply_seconds"),
        F.percentile_approx(F.when(~own, F.col("reply_seconds")), 0.5).alias("their_reply_seconds"),
        F.count_if(own & F.col("is_session")).alias("begun"), F.count_if("is_session").alias("sessions"),
        F.min("created_at").alias("first_at"), F.max("created_at").alias("last_at"),
    )  # fmt: skip
    # Who never wrote is a member all the same.
    named = found.join(archive.members, "conversation_id", "left")
    others = F.array_sort(F.array_remove("people", archive.owner))
    silent = F.coalesce(others, F.array().cast("array<string>"))
    named = named.withColumn("people", F.when(F.size("authors") > 0, F.col("authors")).otherwise(silent)).drop("authors")
    top = named.orderBy((F.col("sent") + F.col("received")).desc(), F.array_join("people", ",")).limit(MOST_PEOPLE)
    return [row.asDict() for row in top.collect()]


def accounts_met(archive: Archive) -> list[dict[str, Any]]:
    """The MOST_PEOPLE (15) accounts whose posts the owner liked, saved, commented on or sent on most, which are collected: account,
    events, likes, saves, comments, is_followed. One join, one shuffle."""
    if archive.interactions is None or archive.items is None:
        return []
    mine = archive.interactions.where(F.col("user_id") == archive.owner).select("item_id", "event")
    owners = archive.items.select("item_id", F.col("owner_id").alias("account"))
    named = mine.join(owners, "item_id").where(F.col("account") != archive.owner)
    counts = [F.count_if(F.col("event") == event).alias(f"{event}s") for event in ("like", "save", "comment")]
    top = named.groupBy("account").agg(F.count(F.lit(1)).alias("events"), *counts)
    top = top.orderBy(F.desc("events"), "account").limit(MOST_PEOPLE)
    if archive.follows is None:
        return [row.asDict() | {"is_followed": False} for row in top.collect()]
    followed = archive.follows.where(F.col("src_id") == archive.owner).select(F.col("dst_id").alias("account"))
    met = top.join(followed.withColumn("is_followed", F.lit(True)), "account", "left").na.fill(False, ["is_followed"])
    return [row.asDict() for row in met.orderBy(F.desc("events"), "account").limit(MOST_PEOPLE).collect()]


def follow_counts(archive: Archive) -> tuple[int, int, int]:
    """How many the owner follows, how many follow the owner, and how many do both."""
    if archive.follows is None:
        return 0, 0, 0
    out = F.col("src_id") == archive.owner
    other = F.when(out, F.col("dst_id")).otherwise(F.col("src_id"))
    each = archive.follows.groupBy(other.alias("other")).agg(
        F.max(out.cast("int")).alias("out"), F.max((~out).cast("int")).alias("in")
    )
    found = each.agg(F.sum("out"), F.sum("in"), F.count_if(F.col("out") + F.col("in") == 2)).collect()[0]
    return found[0] or 0, found[1] or 0, found[2]


def own_words(archive: Archive) -> list[dict[str, Any]]:
    """The MOST_WORDS (20) words that the owner uses most beyond what others write to them, which are collected: word, uses, others'
    uses, z.

    z is the log-odds ratio of the word in own and in others' texts over its standard error, with the words of both together as the
    prior (Monroe, Colaresi, Quinn, Political Analysis 2008). Words in lower case, without links and mentions; of at least
    FEWEST_USES uses by the owner and z above 0. Without a text of others z counts against the prior alone: no word stands out, and
    the list is empty. Two small shuffles.
    """
    plain = F.regexp_replace(F.lower("text"), _LINK, " ")
    each = F.explode(F.regexp_extract_all(plain, F.lit(_WORD), F.lit(1)))
    words = archive.texts.select((F.col("author_id") == archive.owner).alias("own"), each.alias("word")).where("own IS NOT NULL")
    uses = words.groupBy("word").agg(F.count_if("own").alias("uses"), F.count_if(~F.col("own")).alias("others")).persist()
    try:
        totals = uses.agg(F.sum("uses"), F.sum("others")).collect()[0]
        own, others = totals[0] or 0, totals[1] or 0
        if not own or not others:
            return []
        z = log_odds_z(F.col("uses"), F.col("others"), own, others)
        top = uses.withColumn("z", z).where((F.col("uses") >= FEWEST_USES) & (F.col("z") > 0))
        return [row.asDict() for row in top.orderBy(F.desc("z"), "word").limit(MOST_WORDS).collect()]
    finally:
        uses.unpersist()


def log_odds_z(uses: Column, others: Column, own_total: int, others_total: int) -> Column:
    """The log-odds ratio of a word over its standard error, with a prior of PRIOR_WORDS words (Monroe et al. 2008, equation 22)."""
    prior = (uses + others) * F.lit(PRIOR_WORDS / (own_total + others_total))
    a, b = uses + prior, others + prior
    odds = F.log(a / (F.lit(own_total + PRIOR_WORDS) - a)) - F.log(b / (F.lit(others_total + PRIOR_WORDS) - b))
    return odds / F.sqrt(1 / a + 1 / b)


def own_emoji(archive: Archive) -> list[tuple[str, int]]:
    """The MOST_EMOJI (12) emoji that the owner writes most, and how often; ties by code point."""
    own = archive.texts.where(F.col("author_id") == archive.owner)
    each = own.select(F.explode(F.regexp_extract_all("text", F.lit(_EMOJI), F.lit(1))).alias("emoji"))
    rows = each.groupBy("emoji").count().orderBy(F.desc("count"), "emoji").limit(MOST_EMOJI).collect()
    return [(row["emoji"], row["count"]) for row in rows]


def mood_by_month(archive: Archive) -> list[dict[str, Any]]:
    """month (its first day), own and received (mean polarity of the texts with words of the lexicon, null for fewer than
    FEWEST_TEXTS), own_texts and received_texts; in order, at most the last MONTHS_SHOWN (240) months, which are collected."""
    month = F.to_date(F.date_trunc("month", F.from_utc_timestamp("created_at", archive.zone)))
    own, said = F.col("author_id") == archive.owner, F.when(F.col("subjectivity") > 0, F.col("polarity"))
    counts = {"own": F.when(own, said), "received": F.when(~own & (F.col("kind") == "message"), said)}
    columns = [column for name, value in counts.items() for column in (
        F.when(F.count(value) >= FEWEST_TEXTS, F.avg(value)).alias(name), F.count(value).alias(f"{name}_texts"))]  # fmt: skip
    rows = archive.texts.where("created_at IS NOT NULL").groupBy(month.alias("month")).agg(*columns)
    found = rows.orderBy(F.desc("month")).limit(MONTHS_SHOWN).collect()
    return [row.asDict() for row in reversed(found)]


def archive_parts(archive: Archive) -> tuple[Tiles, list[Part]]:
    """The numbers above the page, and its parts in order. Cost: some ten small Spark jobs."""
    activity = own_activity(archive).persist()
    try:
        kinds = activity.groupBy("kind").agg(
            F.count(F.lit(1)).alias("events"), F.min("at").alias("first"), F.max("at").alias("last")
        )
        counted = [row.asDict() for row in kinds.orderBy(F.desc("events"), "kind").limit(MOST_KINDS).collect()]
        parts = [_activity_part(archive, activity, counted)]
    finally:
        activity.unpersist()
    following, followers, mutual = follow_counts(archive)
    conversations, moods = conversations_of(archive), mood_by_month(archive)
    parts += [
        _people_part(conversations, accounts_met(archive), (following, followers, mutual)),
        _words_part(own_words(archive), own_emoji(archive)),
        _mood_part(moods),
    ]
    tiles = [Tile(row["kind"].capitalize(), count(row["events"])) for row in counted]
    return Tiles([*tiles, Tile("Following", count(following)), Tile("Followers", count(followers))]), parts


def _activity_part(archive: Archive, activity: DataFrame, kinds: Sequence[Mapping[str, Any]]) -> Part:
    dated = [kind for kind in kinds if kind["first"] is not None]
    if not dated:
        return Part("activity", "What you did", "The archive has no activity with a time.", [])
    first, last = min(k["first"] for k in dated).date(), max(k["last"] for k in dated).date()
    span = span_of(first, last)
    found = with_empty_spans(events_over_time(activity.withColumnRenamed("at", "occurred_at"), span), span)
    weekday, hour = (F.dayofweek("at") + 5) % 7, F.hour("at")
    week = [[0] * 24 for _ in DAYS]
    hours = activity.where("at IS NOT NULL").groupBy(weekday.alias("weekday"), hour.alias("hour")).count().limit(7 * 24)
    for row in hours.collect():
        week[row["weekday"]][row["hour"]] = row["count"]
    top = max(((n, d, h) for d, line in enumerate(week) for h, n in enumerate(line)), key=lambda one: (one[0], -one[1], -one[2]))
    busiest = f"{DAYS[top[1]]}, {top[2]}:00 to {top[2] + 1}:00"
    total, most = sum(kind["events"] for kind in kinds), kinds[0]["events"]
    bars = [Bar(k["kind"], k["events"] / most, f"{count(k['events'])} · {share(k['events'] / total)}") for k in kinds]
    blocks: list[Block] = [
        _over_time(found, span),
        Bars("What you did, by kind", bars, "Number, and its share of all."),
        Figure(
            hours_of_the_week("week", DAYS, week), f"Activity by day of the week and hour. Most: {busiest}, {count(top[0])}.",
            f"When you are active, by hour of the week ({archive.zone}). Most: {busiest}.",
        ),
    ]  # fmt: skip
    lead = f"{plural(total, 'thing')} that you did or wrote, from {day(first)} to {day(last)}."
    return Part("activity", "What you did", lead, blocks, f"You are most active on {busiest} ({archive.zone}).")


def with_empty_spans(spans: Sequence[tuple[date, int]], span: str) -> list[tuple[date, int]]:
    """The spans (first day, number) in order, with 0 for each day, week or month between them that has none."""
    known, filled, at = dict(spans), [], spans[0][0]
    while at <= spans[-1][0]:
        filled.append((at, known.get(at, 0)))
        after = at + timedelta(days={"day": 1, "week": 7, "month": 31}[span])
        at = after.replace(day=1) if span == "month" else after
    return filled


def _over_time(spans: Sequence[tuple[date, int]], span: str) -> Figure:
    label = f"activity a {span}"
    days, values = [s[0] for s in spans], [float(s[1]) for s in spans]
    top = max(spans, key=lambda s: s[1])
    alt = f"{label.capitalize()}, {day(days[0])} to {day(days[-1])}. Most: {count(top[1])}, {day(top[0])}."
    return Figure(area("over-time", days, values, label), alt, f"{label.capitalize()}. Most: {count(top[1])}, {day(top[0])}.",
                  area("over-time-narrow", days, values, label, NARROW))  # fmt: skip


def _people_part(
    conversations: Sequence[Mapping[str, Any]], accounts: Sequence[Mapping[str, Any]], follows: tuple[int, int, int]
) -> Part:
    blocks: list[Block] = []
    following, followers, mutual = follows
    if following or followers:
        one_sided = f"{count(following - mutual)} that you follow do not follow you, {count(followers - mutual)} the other way"
        blocks.append(Tiles([Tile("Follow each other", count(mutual), one_sided)]))
    if conversations:
        rows = [
            [
                Cell(_names(row["people"]), _period(row)), Cell(count(row["sent"]), kind="number"),
                Cell(count(row["received"]), kind="number"), _wait(row["own_reply_seconds"]), _wait(row["their_reply_seconds"]),
                Cell(share(row["begun"] / row["sessions"]) if row["sessions"] else NONE, kind="number"),
            ]
            for row in conversations
        ]  # fmt: skip
        headings = ["With", "From you", "To you", "You answer within", "They answer within", "You begin"]
        note = "Medians of the times to the first answer within a session; a session ends with a night's pause."
        blocks.append(Table("Conversations with most messages", headings, rows, note))
    if accounts:
        rows = [
            [
                Cell(shortened(row["account"]), "followed" if row["is_followed"] else ""), Cell(count(row["likes"]), kind="number"),
                Cell(count(row["comments"]), kind="number"), Cell(count(row["saves"]), kind="number"),
            ]
            for row in accounts
        ]  # fmt: skip
        blocks.append(Table("Accounts whose posts you meet most", ["Account", "Likes", "Comments", "Saves"], rows))
    if not blocks:
        return Part("people", "People", "The archive names nobody else.", [])
    finding = ""
    if conversations:
        top = conversations[0]
        finding = f"You exchanged most messages with {_names(top['people'])}: {count(top['sent'] + top['received'])}."
    return Part("people", "People", "Whom you write with, and whose posts you like, save and comment on.", blocks, finding)


def _words_part(words: Sequence[Mapping[str, Any]], emoji: Sequence[tuple[str, int]]) -> Part:
    blocks: list[Block] = []
    if words:
        most = words[0]["z"]
        bars = [
            Bar(
                row["word"],
                row["z"] / most,
                decimal(row["z"]),
                under=f"{count(row['uses'])} yours, {count(row['others'])} others'",
            )
            for row in words
        ]
        note = "z: the log-odds ratio of a word in your texts and in those of others over its standard error (Monroe et al. 2008)."
        blocks.append(Bars("Words that are yours", bars, note))
    if emoji:
        blocks.append(Bars("Your emoji", [Bar(sign, uses / emoji[0][1], count(uses)) for sign, uses in emoji]))
    if not blocks:
        return Part("words", "Words", f"No word stands {FEWEST_USES} times in your texts more often than in those of others.", [])
    finding = f"Your words are {', '.join(row['word'] for row in words[:5])}." if words else ""
    return Part("words", "Words", "What you write more often than those who write to you.", blocks, finding)


def _mood_part(moods: Sequence[Mapping[str, Any]]) -> Part:
    lead = (
        "Polarity from -1 (negative) to 1 (positive), by a lexicon of English words and of emoji; other languages do not count. "
        f"Months of fewer than {FEWEST_TEXTS} such texts have no point."
    )
    if not any(row["own"] is not None or row["received"] is not None for row in moods):
        return Part("mood", "Mood in time", lead, [])
    months = [row["month"] for row in moods]
    named = (("your texts", "own"), ("messages to you", "received"))
    series = [(label, [row[name] for row in moods]) for label, name in named if any(row[name] is not None for row in moods)]
    known = [row for row in moods if row["own"] is not None]
    said = ""
    if known:
        best = max(known, key=lambda row: row["own"])
        said = f"Your texts were most positive in {best['month']:%B %Y} ({best['own']:.2f})."
    figure = Figure(
        lines_over_time("mood", months, series, "mean polarity"), f"Mean polarity by month, your texts and messages to you. {said}",
        f"Mean polarity by month. {said}", lines_over_time("mood-narrow", months, series, "mean polarity", NARROW),
    )  # fmt: skip
    return Part("mood", "Mood in time", lead, [figure], said)


def _names(people: Sequence[str]) -> str:
    shown = ", ".join(shortened(name) for name in people[:3])
    return f"{shown} and {len(people) - 3} more" if len(people) > 3 else shown or "accounts that are gone"


def _period(row: Mapping[str, Any]) -> str:
    first, last = day(row["first_at"]), day(row["last_at"])
    return first if first == last else f"{first} to {last}"


def _wait(median: float | None) -> Cell:
    return Cell(NONE if median is None else seconds(median), kind="number")
