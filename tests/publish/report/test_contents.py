"""The part about copies, conversations and pictures."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.publish.report.blocks import Bars, Missing, Table, Tiles
from shoal.publish.report.contents import colours_of_pictures, contents_part, largest_groups

CONVERSATIONS = (
    "conversation_id string, text_count bigint, participant_count bigint, median_reply_seconds double, polarity_start double, "
    "polarity_middle double, polarity_end double"
)


def absent(name: str) -> Missing:
    return Missing(name, "not made")


def test_groups_conversations_and_pictures_are_shown(spark: SparkSession) -> None:
    pairs = spark.createDataFrame(
        [("text", "t1", "t2", 1.0, "t1"), ("text", "t2", "t3", 0.8, "t1"), ("image", "p1", "p2", 0.9, "p1")],
        "kind string, id string, other_id string, similarity double, group_id string",
    )
    texts = spark.createDataFrame([("t1", "Buy <now>"), ("p1", "a text with a picture's id")], "text_id string, text string")
    groups = largest_groups(pairs, texts)
    assert [(g["group_id"], g["members"], round(g["similarity"], 3), g["text"]) for g in groups] == [
        ("t1", 3, 0.9, "Buy <now>"), ("p1", 2, 0.9, None),
    ]  # fmt: skip
    talks = spark.createDataFrame([("c1", 4, 2, 60.0, 0.5, None, -0.5), ("c2", 10, 3, None, None, None, None)], CONVERSATIONS)
    pictures = spark.createDataFrame(
        [("ok", [("#ff0000", 0.75), ("#fe0101", 0.25)], "hat", 0.9), ("ok", [("#000000", 1.0)], "hat", 0.7),
         ("bomb", None, None, None), ("ok", [], "boat", 0.5), ("ok", [], None, None)],
        "status string, colours array<struct<colour:string,share:double>>, predicted_label string, label_probability double",
    )
    assert colours_of_pictures(pictures) == [{"colour": "#202020", "share": 1.0}, {"colour": "#e02020", "share": 1.0}]
    topics = spark.createDataFrame(
        [("sea, ship, sail", 0.25, 0.5, 3, True, [0.1]), ("bread, oven, rye", 0.75, 0.1, 9, False, [0.2, 0.3, 0.4])],
        "name string, share double, coherence double, text_count bigint, is_new boolean, shares array<double>",
    )
    weekly = F.transform("shares", lambda one: F.struct(F.lit(None).cast("date").alias("week"), one.alias("share")))
    part = contents_part(pairs, texts, talks, topics.withColumn("weekly_shares", weekly), pictures, absent)
    about, table, tiles, course, statuses, classes, colours = part.blocks
    assert isinstance(about, Table)
    assert [[cell.text for cell in row[:4]] + [row[3].under] for row in about.rows] == [
        ["bread, oven, rye", "75.0%", "9", "40.0%", "30.0% the week before"],
        ["sea, ship, sail", "25.0%", "3", "10.0%", "– the week before"],
    ]
    assert isinstance(table, Table) and [cell.text for cell in table.rows[0]] == ["Buy <now>", "text", "3", "0.9"]
    assert isinstance(tiles, Tiles) and [tile.number for tile in tiles.tiles][:3] == ["2", "4", "2"]
    assert isinstance(course, Bars) and [bar.text for bar in course.bars] == ["+0.50", "-0.50"]
    assert isinstance(statuses, Bars) and [bar.label for bar in statuses.bars] == ["ok", "bomb"]
    assert isinstance(classes, Table) and [[cell.text for cell in row] for row in classes.rows] == [
        ["hat", "2", "50.0%", "0.8"], ["boat", "1", "25.0%", "0.5"],
    ]  # fmt: skip
    assert isinstance(colours, Table) and colours.rows[0][0].swatch == "#202020"
    assert part.finding == "The largest group of near-duplicates has 3 members."


def test_what_is_not_there_is_named(spark: SparkSession) -> None:
    part = contents_part(None, None, None, None, None, absent)
    assert [block.what for block in part.blocks if isinstance(block, Missing)] == [
        "gold.topics", "gold.near_duplicates", "gold.conversations",
    ]  # fmt: skip
    nothing = spark.createDataFrame([], "kind string, id string, other_id string, similarity double, group_id string")
    (_, table, _) = contents_part(nothing, None, spark.createDataFrame([], CONVERSATIONS), None, None, absent).blocks
    assert isinstance(table, Table) and table.rows == [] and "No two texts" in table.note
