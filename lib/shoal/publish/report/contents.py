"""The part about what people write and show: topics, copies, conversations, pictures, and which items are like which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Bar, Bars, Block, Cell, Part, Table, Tile, Tiles
from shoal.publish.report.wording import count, decimal, plural, seconds, share, shortened

MOST_GROUPS = 10
MOST_TOPICS = 10
MOST_STATUSES = 7
MOST_COLOURS = 8
MOST_CLASSES = 10
# Colours that differ in the lower bits of a channel are one bar.
COLOUR_STEPS = 4


def largest_groups(pairs: DataFrame, texts: DataFrame | None) -> list[dict[str, Any]]:
    """The MOST_GROUPS (10) largest groups of near-duplicates, which are collected: kind, group_id, members, mean similarity of
    their pairs, and the text of the first member where `texts` has it. Two shuffles of the pairs."""
    both = F.explode(F.array("id", "other_id")).alias("member")
    members = pairs.select("kind", "group_id", both).groupBy("kind", "group_id").agg(F.count_distinct("member").alias("members"))
    alike = pairs.groupBy("kind", "group_id").agg(F.avg("similarity").alias("similarity"))
    top = members.join(alike, ["kind", "group_id"]).orderBy(F.desc("members"), "kind", "group_id").limit(MOST_GROUPS)
    if texts is None:
        named = top.withColumn("text", F.lit(None).cast("string"))
    else:
        named = texts.select(F.col("text_id").alias("group_id"), "text").join(F.broadcast(top), "group_id", "right")
        named = named.withColumn("text", F.when(F.col("kind") == "text", F.col("text")))
    rows = named.orderBy(F.desc("members"), "kind", "group_id").limit(MOST_GROUPS).collect()
    return [row.asDict() for row in rows]


def conversation_facts(conversations: DataFrame) -> dict[str, Any]:
    """Totals and medians over conversations; one row is collected."""
    return conversations.agg(
        F.count(F.lit(1)).alias("conversations"), F.sum("text_count").alias("texts"),
        F.percentile_approx("participant_count", 0.5).alias("participants"), F.percentile_approx("text_count", 0.5).alias("length"),
        F.percentile_approx("median_reply_seconds", 0.5).alias("reply_seconds"),
        F.avg("polarity_start").alias("start"), F.avg("polarity_middle").alias("middle"), F.avg("polarity_end").alias("end"),
    ).collect()[0].asDict()  # fmt: skip


def pictures_by_status(pictures: DataFrame) -> list[dict[str, Any]]:
    """status and pictures, most first; at most MOST_STATUSES (7) rows are collected."""
    found = pictures.groupBy("status").agg(F.count(F.lit(1)).alias("pictures"))
    return [row.asDict() for row in found.orderBy(F.desc("pictures"), "status").limit(MOST_STATUSES).collect()]


def classes_of_pictures(pictures: DataFrame) -> list[dict[str, Any]]:
    """predicted_label, pictures and the mean of label_probability, most first; at most MOST_CLASSES (10) rows are collected, and
    none where no picture has a class."""
    found = pictures.where("predicted_label IS NOT NULL").groupBy("predicted_label")
    rows = found.agg(F.count(F.lit(1)).alias("pictures"), F.avg("label_probability").alias("probability"))
    return [row.asDict() for row in rows.orderBy(F.desc("pictures"), "predicted_label").limit(MOST_CLASSES).collect()]


def colours_of_pictures(pictures: DataFrame) -> list[dict[str, Any]]:
    """The MOST_COLOURS (8) colours with the largest summed shares, of COLOUR_STEPS steps a channel, which are collected: colour
    (#rrggbb, the middle of its step) and share of all. One small shuffle."""
    step = 256 // COLOUR_STEPS
    one = pictures.where("status = 'ok'").select(F.explode("colours").alias("one")).select("one.*")
    channels = [
        F.lpad(F.hex((F.conv(F.substring("colour", at, 2), 16, 10).cast("int") / step).cast("int") * step + step // 2), 2, "0")
        for at in (2, 4, 6)
    ]
    named = one.select(F.lower(F.concat(F.lit("#"), *channels)).alias("colour"), "share")
    sums = named.groupBy("colour").agg(F.sum("share").alias("share")).orderBy(F.desc("share"), "colour").limit(MOST_COLOURS)
    return [row.asDict() for row in sums.collect()]


def largest_topics(topics: DataFrame) -> list[dict[str, Any]]:
    """The MOST_TOPICS (10) topics with the largest shares, which are collected: name, share, coherence, text_count, is_new, and the
    share of the last week and of the one before, null without one."""
    week = [F.try_element_at("weekly_shares", F.lit(at))["share"].alias(name) for at, name in ((-1, "last"), (-2, "before"))]
    shown = topics.select("name", "share", "coherence", "text_count", "is_new", *week)
    return [row.asDict() for row in shown.orderBy(F.desc("share"), "name").limit(MOST_TOPICS).collect()]


def contents_part(
    pairs: DataFrame | None,
    texts: DataFrame | None,
    conversations: DataFrame | None,
    topics: DataFrame | None,
    pictures: DataFrame | None,
    absent: Absent,
    likeness: Sequence[Block] = (),
) -> Part:
    """The frames: rows of gold.near_duplicates, silver.texts, gold.conversations, gold.topics, features.images; each may be
    missing. `likeness`: blocks about items that are like each other, put last."""
    blocks: list[Block] = [absent("gold.topics") if topics is None else _topics(largest_topics(topics))]
    groups = [] if pairs is None else largest_groups(pairs, texts)
    blocks += [absent("gold.near_duplicates")] if pairs is None else [_groups(groups)]
    facts = None if conversations is None else conversation_facts(conversations)
    blocks += [absent("gold.conversations")] if not facts or not facts["conversations"] else _conversations(facts)
    # Most products have no pictures here: without the table nothing is missing.
    if pictures is not None:
        blocks += _pictures(pictures_by_status(pictures), colours_of_pictures(pictures), classes_of_pictures(pictures))
    blocks += likeness
    largest = max((row["members"] for row in groups), default=0)
    finding = f"The largest group of near-duplicates has {plural(largest, 'member')}." if largest > 2 else ""
    lead = "What is talked about and said more than once, how people talk to each other, and what pictures look like."
    return Part("contents", "Texts and pictures", lead, blocks, finding)


def _topics(topics: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            Cell(row["name"], "new" if row["is_new"] else ""),
            Cell(share(row["share"]), kind="number", share=row["share"]),
            Cell(count(row["text_count"]), kind="number"),
            Cell(share(row["last"]), share(row["before"]) + " the week before", "number"),
            Cell(decimal(row["coherence"]), kind="number"),
        ]
        for row in topics
    ]
    note = (
        "A topic is called by its three most telling words. Coherence: whether its words stand in the same texts, 0 by chance, "
        "1 always. New: no topic of the run before is like it."
    )
    return Table("What texts are about", ["Topic", "Share", "Texts", "Last week", "Coherence"], rows, note)


def _groups(groups: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            Cell(shortened(row["text"] or row["group_id"], 120), row["group_id"] if row["text"] else "", swatch=""),
            Cell(row["kind"]),
            Cell(count(row["members"]), kind="number"),
            Cell(decimal(row["similarity"]), kind="number"),
        ]
        for row in groups
    ]
    note = "A group is all that pairs lead to; the first member by id names it. Similarity: mean over its pairs, 1 is the same."
    empty = "No two texts of five words and more, and no two pictures, are nearly the same. "
    caption = f"The {len(rows)} largest groups of near-duplicates" if rows else "Groups of near-duplicates"
    return Table(caption, ["First member", "Kind", "Members", "Similarity"], rows, note if rows else empty + note)


def _conversations(facts: Mapping[str, Any]) -> list[Block]:
    reply = facts["reply_seconds"]
    tiles = [
        Tile("Conversations", count(facts["conversations"]), plural(facts["texts"], "text")),
        Tile("Texts, median", count(facts["length"]), "of a conversation"),
        Tile("Participants, median", count(facts["participants"])),
        Tile("Reply, median", "none" if reply is None else seconds(reply), "from the text before"),
    ]
    course = [(name, facts[name]) for name in ("start", "middle", "end") if facts[name] is not None]
    if not course:
        return [Tiles(tiles)]
    bars = [Bar(name, abs(value), f"{value:+.2f}") for name, value in course]
    note = "Mean polarity, -1 negative to 1 positive, of the first, middle and last third of each conversation; bars by size."
    return [Tiles(tiles), Bars("Sentiment in the course of conversations", bars, note)]


def _pictures(
    statuses: Sequence[Mapping[str, Any]], colours: Sequence[Mapping[str, Any]], classes: Sequence[Mapping[str, Any]]
) -> list[Block]:
    total = sum(row["pictures"] for row in statuses)
    if not total:
        return []
    parts = [(row["status"], row["pictures"], row["pictures"] / total) for row in statuses]
    bars = [Bar(status, part, f"{count(pictures)} · {share(part)}") for status, pictures, part in parts]
    blocks: list[Block] = [Bars("Pictures by what a look at them said", bars, "Number of pictures, and their share.")]
    if classes:
        readable = sum(row["pictures"] for row in statuses if row["status"] == "ok")
        cells = [
            [Cell(row["predicted_label"]), Cell(count(row["pictures"]), kind="number"),
             Cell(share(row["pictures"] / readable), kind="number", share=row["pictures"] / readable),
             Cell(decimal(row["probability"]), kind="number")]
            for row in classes
        ]  # fmt: skip
        note = "By the classifier in images.classifier; share of the pictures that could be read; mean probability of the class."
        blocks.append(Table("Pictures by class", ["Class", "Pictures", "Share", "Probability"], cells, note))
    whole = sum(row["share"] for row in colours)
    if whole:
        parts = [(row["colour"], 0, row["share"] / whole) for row in colours]
        cells = [[Cell(colour, swatch=colour), Cell(share(part), kind="number", share=part)] for colour, _, part in parts]
        note = "Of the dominant colours of all pictures, each channel in four steps; the share is of those shown."
        blocks.append(Table("Colours of the pictures", ["Colour", "Share"], cells, note))
    return blocks
